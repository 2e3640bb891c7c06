/* A retrieval measurement: which pictures are searched, which are asked for, and what is right. Internal to eval/.
 *
 *   retrieve_set.c       the pictures, made of settings: copies, or a ground truth
 *   retrieve_describe.c  pictures through a model: descriptors, patch tokens
 *   retrieve_rerank.c    the first results put in order by their patches
 *   retrieve_sheet.c     best and worst queries drawn
 *   eval_retrieve.c      the task
 */
#ifndef EHM_EVAL_RETRIEVE_INT_H
#define EHM_EVAL_RETRIEVE_INT_H
#include "eval/eval.h"
#include "eval/features_int.h"
#include "eval/retrieve.h"
#include "infer/infer.h"

/* A picture as it is shown to a model: one of a set, or a copy of it. */
typedef struct {
    ehm_dataset *ds;
    int64_t id;
    int32_t kind, severity; /* of the copy (data/copies.h); kind -1: the picture itself */
} ehm_shown;

typedef enum { EHM_ASK_COPIES, EHM_ASK_TRUTH, EHM_ASK_GROUPS } ehm_ask;
typedef struct {
    ehm_ask ask;
    ehm_dataset *gallery, *distractors, *hosts, *train; /* hosts: what pictures are pasted into */
    const char *hosts_are;
    bool is_u8;               /* every set is: models get u8 */
    uint64_t seed;
    int64_t n_db, n_gallery;  /* searched pictures: shown[0..n_db), the gallery's first, then distractors */
    int64_t n_q;              /* queries: shown[n_db..n_db + n_q) */
    ehm_shown *shown;
    int64_t *self, *start, *positive; /* as ehm_rank_ask; positive by database number */
    int32_t *group; int64_t n_groups; /* [n_q] original of each query, numbered without holes */
    int32_t *kind;            /* [n_q] into kind_name: the rows of the table */
    const char **kind_name; int32_t n_kinds;
    int64_t n_without;        /* queries without a positive */
    int64_t n_bad, n_twins;   /* left out: unreadable pictures, distractors that are in the gallery */
    const char *first_bad;
} ehm_retrieval;

ehm_code ehm_retrieval_open(ehm_retrieval *r, const ehm_config *c, int32_t channels, ehm_eval_out *out, ehm_arena *a, ehm_err *err);
void ehm_retrieval_close(ehm_retrieval *r);
/* Leaves out pictures with drop[i] (of n_db + n_q), queries whose picture is gone, and queries whose positives are all gone (unless they had
 * none). kept [n_db + n_q] gets the former numbers. Errors: EHM_E_MISMATCH when nothing is left. */
ehm_code ehm_retrieval_drop(ehm_retrieval *r, const uint8_t *drop, int64_t *kept, ehm_arena *a, ehm_err *err);
/* "crop 2", "as it is", or the ground truth's kind. */
const char *ehm_retrieval_kind(const ehm_retrieval *r, int64_t q);

/* The picture itself (changed as shown says) in a. */
ehm_code ehm_shown_picture(ehm_image *out, const ehm_shown *s, const ehm_retrieval *r, ehm_arena *a, ehm_err *err);

/* Pictures through a model, in their order: pixels (of the model's input) NULL for one that cannot be read, with why. patches [L,D] NULL unless
 * asked for. */
typedef struct {
    int64_t i;
    const void *pixels; ehm_dtype type;
    const float *cls, *mean, *patches;
    const char *why;
} ehm_shown_one;
typedef ehm_code (*ehm_shown_fn)(void *ctx, const ehm_shown_one *one, ehm_err *err);
ehm_code ehm_shown_run(ehm_model *m, const ehm_retrieval *r, const ehm_shown *v, int64_t n, int32_t n_workers, const char *doing, ehm_shown_fn fn, void *ctx,
                       ehm_err *err);

/* Descriptors of pictures; rows of unit length. */
enum { EHM_RAW_SIDE = 16, EHM_COLOUR_STEPS = 6, EHM_GREY_STEPS = 32 };
typedef struct {
    int64_t n;
    int32_t dim, raw_dim, colour_dim;
    float *cls, *mean, *gem, *raw, *colour; /* raw and colour NULL unless asked for */
    ehm_print *prints;                      /* of the first n_prints; NULL unless asked for */
    uint8_t *bad;                           /* [n] 1: cannot be read, its rows are zero */
    const char *first_bad;
} ehm_descriptors;
ehm_code ehm_descriptors_of(ehm_descriptors *out, ehm_model *m, const ehm_retrieval *r, const ehm_shown *v, int64_t n, int64_t n_prints, bool want_raw,
                            int32_t n_workers, const char *doing, ehm_arena *a, ehm_err *err);
void ehm_descriptors_keep(ehm_descriptors *d, const int64_t *kept, int64_t n); /* rows kept[0..n), ascending */
void ehm_descriptors_free(ehm_descriptors *d);
/* Descriptors that know nothing of a model, of a picture h x w x c: pixels of the picture at 16x16 less their mean; and the square roots of the
 * shares of colours (6 steps a channel together for three channels, else 32 a channel). */
int32_t ehm_raw_dim(int32_t c);
int32_t ehm_colour_dim(int32_t c);
ehm_code ehm_raw_row(float *out, const ehm_image *im, ehm_arena *scratch, ehm_err *err);
void ehm_colour_row(float *out, const ehm_image *im);

/* The first n_first of each list in new order: by inliers, then as they were; ranks are put right. Scores become inliers + (1 + s) / 4 of the
 * former score s, and (1 + s) / 4 - 1 behind the first n_first, so that lists of different queries compare. */
ehm_code ehm_rerank(ehm_rank_got *got, const ehm_rank_ask *ask, int32_t n_first, ehm_model *m, const ehm_retrieval *r, int32_t n_workers,
                    ehm_arena *a, ehm_err *err);

/* What a list of results is worth. */
typedef struct {
    const char *what;      /* "gem whitened" */
    ehm_rank_got got;
    float *ap, *ap_oxford, *at1, *at10, *n_positive; /* [n_q]; NaN where a query has no positive (n_positive: 0) */
    float *score; uint8_t *right; int32_t *query; int64_t n_candidates; /* the first 10 of each query */
    double map;
} ehm_ranked;
ehm_code ehm_retrieve_sheet(const char *path, const ehm_ranked *best, const ehm_retrieval *r, const char *model, ehm_arena *a, ehm_err *err);
#endif
