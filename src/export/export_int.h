/* Between the files of export/: the model on its way out. */
#ifndef EHM_EXPORT_EXPORT_INT_H
#define EHM_EXPORT_EXPORT_INT_H
#include "exchange/dialect.h"
#include "export/export.h"
#include "infer/source.h"

/* How a classifier reads the encoder. MEAN: the patch tokens' mean, as they leave the last block, through fc_norm. MEAN_OF_NORM: the mean of patch tokens that went
 * through the final norm. */
typedef enum { EHM_EXPORT_NO_HEAD, EHM_EXPORT_CLS, EHM_EXPORT_MEAN, EHM_EXPORT_MEAN_OF_NORM } ehm_export_head;
typedef enum { EHM_EXPORT_MAE, EHM_EXPORT_TIMM, EHM_EXPORT_HF, EHM_EXPORT_TORCHVISION, EHM_EXPORT_ONNX } ehm_export_kind;
typedef enum { EHM_EXPORT_VIT_MAE, EHM_EXPORT_VIT, EHM_EXPORT_VIT_CLASSIFIER } ehm_export_hf_class;
const char *ehm_export_hf_name(ehm_export_hf_class c);

typedef struct {
    ehm_arena *a;
    const char *spec, *path;       /* what the user named */
    const ehm_export_opt *opt;
    char *temp;                    /* weights that were no file yet, and what is being checked: in the place of path, removed at the end */
    ehm_model_source src;
    ehm_st *file;                  /* of temp; NULL: src.file has the weights */
    ehm_weights_info info;
    ehm_st_tensor *t; int32_t n;   /* MAE's names, f32: encoder, decoder where there is one, head.* and fc_norm.* of a classifier */
    bool has_norm;                 /* the final one: what reads a mean through fc_norm has none */
    ehm_export_head head;
    int32_t n_classes; const char **classes; /* names; NULL: the file has none */
    const char *data;              /* names of the sets it learned from, without folders; NULL: not known */
    double mask_ratio;
    ehm_export_kind kind;
    ehm_export_hf_class hf;
    bool folder;                   /* path is to be a folder */
    bool pool_avg;                 /* timm: of an encoder without a head */
} ehm_exporting;

/* ---- export_model.c ---- */
ehm_code ehm_exporting_open(ehm_exporting *x, ehm_err *err);
void ehm_exporting_close(ehm_exporting *x);
const ehm_st_tensor *ehm_exporting_tensor(const ehm_exporting *x, const char *mae_name); /* NULL: none */
bool ehm_export_is_decoder(const char *mae_name);
bool ehm_export_is_head(const char *mae_name);

/* ---- export_tensors.c ---- */
/* The tensors that this format stores, as a file. */
ehm_code ehm_export_write_weights(const ehm_exporting *x, const char *path, ehm_err *err);
bool ehm_export_keeps(const ehm_exporting *x, const char *mae_name);
ehm_dialect ehm_export_dialect(const ehm_exporting *x);
/* "task" of a network that ehm itself opens again, and every key of our own files; value NULL where memory ran out. Returns how many. */
enum { EHM_EXPORT_META_MAX = 32 };
const char *ehm_export_classes(const ehm_exporting *x); /* their names as a list of JSON */
int32_t ehm_export_meta(ehm_st_meta *meta, const ehm_exporting *x, bool decoder);

/* ---- export_config.c ---- */
ehm_code ehm_export_write_configs(const ehm_exporting *x, const char *dir, ehm_err *err);
/* The lines of Python; where: as the other tool should be told. NULL without memory. */
char *ehm_export_load_lines(const ehm_exporting *x, const char *where);
const char *ehm_export_timm_name(const ehm_vit_shape *s);
double ehm_export_mlp_ratio(const ehm_vit_shape *s);

/* ---- export_check.c ---- */
enum { EHM_EXPORT_PICTURES = 8 };
typedef struct { int64_t dim; float *cls, *mean, *logits; } ehm_export_features; /* [8,dim], [8,dim], [8,n_classes]; NULL: the model has none */
/* What the model itself says of the pictures. */
ehm_code ehm_export_look(ehm_export_features *out, const ehm_exporting *x, ehm_err *err);
/* The written thing, opened again; path: where it lies now. */
int32_t ehm_export_n_checked(const ehm_exporting *x); /* on so many of the pictures */
ehm_code ehm_export_check(double *max_difference, const ehm_exporting *x, const char *path, const ehm_export_features *want, ehm_err *err);
#endif
