/* Inside data: the parts of mixing that a test can hold against timm with a given lambda and box. */
#ifndef EHM_DATA_MIX_INT_H
#define EHM_DATA_MIX_INT_H
#include "data/loader.h"

double ehm_mix_beta(double a, ehm_rng *r); /* Beta(a, a); a > 0 */
/* Box x0 y0 x1 y1 of an area of 1 - lambda about cx,cy, cut at the edges; returns the share that is left outside it. */
double ehm_mix_box(int32_t box[4], int32_t h, int32_t w, double lambda, int32_t cy, int32_t cx);
/* box NULL: mixup by lambda; else the box of each picture comes from its partner. */
void ehm_mix_pixels(float *pixels, int32_t n, int32_t h, int32_t w, int32_t c, double lambda, const int32_t *box);
#endif
