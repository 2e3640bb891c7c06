/* Helper files that stand beside the pictures of a set: ground truth and groups, in a folder or inside a tar.
 *
 *     ehm_bytes text; bool there;
 *     EHM_TRY(ehm_data_helper(&text, &there, "copies.tar#landmarks", "landmarks.tsv", cache_dir, a, err));
 *     ehm_table_lines l = {.at = (char *)text.data};
 *     char *f[8]; int32_t n;
 *     while ((n = ehm_table_next(&l, f, 8)) > 0) ... f[0], f[1], l.line ...
 */
#ifndef EHM_DATA_TRUTH_H
#define EHM_DATA_TRUTH_H
#include "base/err.h"
#include "base/mem.h"
#include <stdbool.h>

/* PATH#NAME taken apart: NAME or NULL; path in a. A path that exists as it is written has no part. */
ehm_code ehm_data_split_spec(const char **path, const char **part, const char *spec, ehm_arena *a, ehm_err *err);
/* The file of this name at the root of a folder or tar (packed ones too); *there says whether it exists. A '\0' follows the text.
 * spec may have a #NAME, which does not matter here. Sets of other kinds have no helpers: *there is false. */
ehm_code ehm_data_helper(ehm_bytes *text, bool *there, const char *spec, const char *name, const char *cache_dir, ehm_arena *a, ehm_err *err);

/* Lines split at tabs; the text is changed. Empty lines are passed over. */
typedef struct { char *at; int64_t line; } ehm_table_lines;
int32_t ehm_table_next(ehm_table_lines *l, char **field, int32_t n_max); /* fields of the next line, 0 at the end */
#endif
