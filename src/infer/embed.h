/* Features of a set written out: F.npy (f32, C order, [n,D] or [n,L,D]) and F.tsv beside it (header line,
 * then file and label, a row each, in the array's order). Never masked. Pictures that cannot be read are left
 * out of both, counted and named in the log.
 */
#ifndef EHM_INFER_EMBED_H
#define EHM_INFER_EMBED_H
#include "infer/infer.h"

typedef struct {
    int64_t n, n_bad;
    int32_t dim, n_tokens; /* n_tokens 0: one row a picture */
    char tsv[1024];
} ehm_embed_result;
ehm_code ehm_pooling_of(ehm_pooling *out, const char *name, ehm_err *err); /* "cls", "mean", "patches" */
/* path ends in .npy. Both files are written aside and renamed at the end. */
ehm_code ehm_embed(ehm_embed_result *out, ehm_model *m, ehm_dataset *ds, ehm_pooling pool, const char *path,
                   int32_t n_workers, ehm_err *err);
#endif
