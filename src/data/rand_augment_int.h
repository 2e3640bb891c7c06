/* Inside data: RandAugment's operations one by one. */
#ifndef EHM_DATA_RAND_AUGMENT_INT_H
#define EHM_DATA_RAND_AUGMENT_INT_H
#include "data/loader.h"

typedef enum {
#define RA_OP(name) EHM_RA_##name,
#include "data/rand_augment.def"
#undef RA_OP
    EHM_RA_N
} ehm_ra_op;
const char *ehm_ra_name(int32_t op);
/* What a magnitude from 0 to 10 means to the operation: degrees, a factor, bits kept, a threshold, what is added, a
 * share of the side. negate: the other way round, where that has a meaning. 0 for those without. */
double ehm_ra_arg(int32_t op, double level, bool negate);
/* img u8 [h,w,3], changed in place. */
ehm_code ehm_ra_apply(ehm_image *img, int32_t op, double arg, ehm_arena *scratch, ehm_err *err);

/* The enhancements of Pillow, for the colour jitter too: img u8, c 1 or 3. Each blends with what it enhances from:
 * grey, a flat picture of the mean, black, a smoothed picture. */
ehm_code ehm_enhance_color(ehm_image *img, double factor, ehm_arena *scratch, ehm_err *err);
ehm_code ehm_enhance_contrast(ehm_image *img, double factor, ehm_arena *scratch, ehm_err *err);
void ehm_enhance_brightness(ehm_image *img, double factor);
#endif
