/* The parts of Evolved Part Masking: EM over the columns of an attention matrix, von Mises-Fisher style. */
#ifndef EHM_MASK_EPM_INT_H
#define EHM_MASK_EPM_INT_H
#include "mask/pick_int.h"

typedef struct {
    int32_t n, n_parts;
    float scale; /* attention is multiplied by it: the published code sums over layers and heads */
    bool unit;   /* columns are brought to length 1, and a patch belongs to the part of its largest posterior
                  * (ours); without it   columns are as they are, and posteriors are divided by their sum over
                  * patches first (published) */
} ehm_epm_opt;
/* part [n] in 0..n_parts-1 from attention [n,n] and the first centres mu [n,n_parts] (one a column, any
 * length). */
ehm_code ehm_epm_parts(int32_t *part, const float *attention, const float *mu, const ehm_epm_opt *o,
                       ehm_arena *scratch, ehm_err *err);
#endif
