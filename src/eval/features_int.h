/* Features of a labelled set in memory, as evaluations need them. Internal to eval/. */
#ifndef EHM_EVAL_FEATURES_H
#define EHM_EVAL_FEATURES_H
#include "data/inspect.h"
#include "infer/depths.h"

typedef struct {
    int64_t n;
    int32_t dim, raw_dim;    /* dim: of one pooling, all depths together */
    float *cls, *mean, *raw; /* [n,dim], [n,dim], [n,raw_dim]; raw is NULL unless asked for */
    int32_t *labels;         /* [n] */
    int64_t *ids;            /* [n] picture in the set */
    ehm_print *prints;       /* [n] of the transformed pictures, to find near-duplicates; NULL unless raw is asked for */
} ehm_features;

/* Run model over the labelled pictures of ds (those with label -1 are left out). want_raw: keep the transformed pixels too, at most 3,072 values a
 * picture (larger ones reduced by whole factors with a box mean). With skip_bad the loader's replacements are left out, so each picture counts once. */
typedef enum { EHM_PART_ALL, EHM_PART_LEARN, EHM_PART_HELD_OUT } ehm_part; /* of a set that is split by (seed, picture) */
typedef struct { ehm_part part; double held_out_frac; uint64_t seed; } ehm_split;
ehm_code ehm_features_of(ehm_features *out, ehm_model *m, ehm_dataset *ds, const ehm_split *split, int32_t n_workers, bool want_raw, ehm_err *err);
/* The same with the features of several depths side by side (infer/depths.h): cls, mean [n, n_depths * embed_dim]. n_depths 0: the whole encoder's. */
typedef struct { int32_t depth[EHM_DEPTHS_MAX], n; } ehm_depths;
ehm_code ehm_features_at(ehm_features *out, ehm_model *m, ehm_dataset *ds, const ehm_split *split, const ehm_depths *depths, int32_t n_workers, bool want_raw,
                         ehm_err *err);
/* Labels and ids alone (cls, mean, raw NULL), from the index; want_prints: the pictures are read too, under the model's evaluation transform, and those that
 * cannot be are left out. */
ehm_code ehm_labels_of(ehm_features *out, ehm_model *m, ehm_dataset *ds, const ehm_split *split, int32_t n_workers, bool want_prints, ehm_err *err);
void ehm_features_free(ehm_features *f);
/* As ehm_features_of without raw pixels, and without a word of progress. */
ehm_code ehm_features_quiet(ehm_features *out, ehm_model *m, ehm_dataset *ds, const ehm_split *split, int32_t n_workers, ehm_err *err);
/* Is picture id in this part of its set. */
bool ehm_in_part(const ehm_split *s, int64_t id);
/* How raw pixels were taken, in words: "raw pixels 32x32x3". buf has 64 bytes. */
const char *ehm_features_raw_name(const ehm_model *m, char *buf);
/* Opens --train and --test; classes of test are matched by name to those of train; both need labels. Without --test, *test is NULL: split train. */
ehm_code ehm_eval_open_pair(ehm_dataset **train, ehm_dataset **test, const ehm_config *c, int32_t channels, ehm_err *err);
#endif
