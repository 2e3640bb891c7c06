/* Models in the formats of other tools: what `ehm export` does.
 *
 *     ehm_export_result r;
 *     ehm_export(&r, "runs/r", "timm", "out_folder", &(ehm_export_opt){0}, &arena, &err);
 *
 * After writing, the result is read back through the import of that format (ONNX: by an evaluator of our own) and its features on fixed pictures are compared
 * with the model's; a difference beyond 1e-4 (f32) is an error and the files are removed.
 */
#ifndef EHM_EXPORT_EXPORT_H
#define EHM_EXPORT_EXPORT_H
#include "base/err.h"
#include "base/mem.h"

typedef struct {
    const char *name;    /* "mae", "timm", "hf", "torchvision", "onnx" */
    const char *writes;  /* "a file: full encoder and decoder under the official names" */
    const char *loads;   /* how the other tool loads it, one line */
} ehm_export_format;
extern const ehm_export_format ehm_export_formats[]; /* ends with name NULL */

typedef struct {
    const char *hf_class; /* hf: "ViTMAEForPreTraining", "ViTModel", "ViTForImageClassification"; NULL: by what the model has */
    const char *pool;     /* timm: "token" or "avg"; NULL: token, or as the fine-tuned head has it */
    int64_t opset;        /* onnx; 0: 17 */
    bool dynamic_batch;   /* onnx: the first dim is free */
    bool overwrite;
    const char *device; int32_t threads; /* that the model is opened with; NULL, 0: auto */
} ehm_export_opt;
typedef struct {
    const char *files[8]; /* written, relative to out; ends with NULL */
    double max_difference; /* of features on the self-check's pictures */
    int32_t n_checked;     /* pictures */
    const char *load_with; /* the lines of Python that load it, for the user */
} ehm_export_result;
/* model: as --model takes it. Errors: EHM_E_CONFIG (unknown format with the list; a class that the model cannot be), EHM_E_UNSUPPORTED with the reason where a format
 * cannot hold the model (rectangular pictures in torchvision, mean-pooled classifiers in transformers, ...). */
ehm_code ehm_export(ehm_export_result *out, const char *model, const char *format, const char *path, const ehm_export_opt *opt, ehm_arena *a, ehm_err *err);
#endif
