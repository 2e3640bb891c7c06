/* A file of numbers for mask rules: 0/1 masks, scores or similarities, one for all pictures or one each, as .npy.
 *
 *     ehm_mask_file *f; ehm_mask_file_open(&f, "scores.npy", EHM_FILE_PATCHES, 14, 14, n_pictures, &err);
 *     in.score = ehm_mask_file_of(f, picture);     // borrowed; [n] or [n,n]
 */
#ifndef EHM_MASK_MASK_FILE_H
#define EHM_MASK_MASK_FILE_H
#include "base/err.h"
#include <stdint.h>
typedef struct ehm_mask_file ehm_mask_file;
typedef enum { EHM_FILE_PATCHES, EHM_FILE_PAIRS } ehm_mask_file_kind; /* [N], [gh,gw], [P,N], [P,gh,gw]; or [N,N], [P,N,N] */
/* n_pictures 0: any count. A leading axis of 1 is one for all, too. EHM_E_CONFIG names the file's shape and the ones that would do; NaN and infinite values are refused by place. */
ehm_code ehm_mask_file_open(ehm_mask_file **out, const char *path, ehm_mask_file_kind kind, int32_t grid_h, int32_t grid_w, int64_t n_pictures,
                            ehm_err *err);
const float *ehm_mask_file_of(const ehm_mask_file *f, int64_t i_picture); /* NULL when the file has fewer pictures */
void ehm_mask_file_close(ehm_mask_file *f);

/* How a file's masks (EHM_FILE_PATCHES; above 0.5: removed) compare with the count that is removed, so that trimming and filling at random
 * is never silent. */
typedef struct {
    int64_t n, n_fewer, n_more; /* masks; with fewer patches than n_masked: random ones are added; with more: random ones come back */
    int64_t n_blank;            /* with no patch or all of them: nothing but random */
    int32_t least, most;        /* patches of the smallest and of the largest mask */
} ehm_mask_file_counts;
ehm_mask_file_counts ehm_mask_file_count(const ehm_mask_file *f, int32_t n_masked);
#endif
