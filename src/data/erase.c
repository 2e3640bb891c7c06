/* Random erasing of a rectangle by noise. Definition: timm's RandomErasing, mode "pixel", one rectangle a picture. */
#include "data/augment_int.h"
#include <math.h>

bool ehm_erase_size(int32_t *eh, int32_t *ew, int32_t h, int32_t w, double share, double aspect) {
    double area = share * ((double)h * (double)w);
    double y = rint(sqrt(area * aspect)), x = rint(sqrt(area / aspect)); /* half to even, as Python rounds */
    if (!(y < h) || !(x < w)) return false;
    *eh = (int32_t)y, *ew = (int32_t)x;
    return true;
}

void ehm_erase(float *px, int32_t h, int32_t w, int32_t c, double prob, const double *mean, const double *std,
               ehm_rng *r) {
    static const double log_most = 1.20397280432593599262; /* log(1 / 0.3) */
    if (!(ehm_rng_f64(r) < prob)) return;
    for (int32_t i = 0; i < 10; i++) {
        double share = ehm_rng_uniform(r, 0.02, 1.0 / 3.0), aspect = exp(ehm_rng_uniform(r, -log_most, log_most));
        int32_t eh, ew;
        if (!ehm_erase_size(&eh, &ew, h, w, share, aspect)) continue;
        int32_t top = (int32_t)ehm_rng_below(r, (uint32_t)(h - eh + 1));
        int32_t left = (int32_t)ehm_rng_below(r, (uint32_t)(w - ew + 1));
        for (int32_t y = top; y < top + eh; y++) {
            float *p = px + ((size_t)y * (size_t)w + (size_t)left) * (size_t)c;
            for (int32_t x = 0; x < ew; x++)
                for (int32_t k = 0; k < c; k++) *p++ = (float)(mean[k] + std[k] * ehm_rng_normal(r));
        }
        return;
    }
}
