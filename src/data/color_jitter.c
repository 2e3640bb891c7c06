/* Brightness, contrast and saturation changed at random: torchvision's ColorJitter(x, x, x). Pictures of 8 bits go by
 * Pillow's formulas, as they do there; floating-point ones by those for tensors, unclipped. */
#include "data/augment_int.h"
#include "data/rand_augment_int.h"

static float grey(const float *p, int32_t c) {
    return c == 1 ? p[0] : 0.2989f * p[0] + 0.587f * p[1] + 0.114f * p[2];
}

static void jitter_f32(ehm_image *img, int32_t op, double factor) {
    float *p = img->px, f = (float)factor, rest = (float)(1 - factor);
    size_t n = (size_t)img->w * (size_t)img->h, c = (size_t)img->c;
    if (op == EHM_JITTER_BRIGHTNESS) {
        for (size_t i = 0; i < n * c; i++) p[i] *= f;
    } else if (op == EHM_JITTER_CONTRAST) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += (double)grey(p + i * c, img->c);
        float mean = (float)(sum / (double)n);
        for (size_t i = 0; i < n * c; i++) p[i] = p[i] * f + mean * rest;
    } else if (c == 3) {
        for (size_t i = 0; i < n; i++, p += 3) {
            float g = grey(p, 3);
            for (int32_t k = 0; k < 3; k++) p[k] = p[k] * f + g * rest;
        }
    }
}

ehm_code ehm_jitter_apply(ehm_image *img, int32_t op, double factor, ehm_arena *scratch, ehm_err *err) {
    if (img->type == EHM_F32) jitter_f32(img, op, factor);
    else if (op == EHM_JITTER_BRIGHTNESS) ehm_enhance_brightness(img, factor);
    else if (op == EHM_JITTER_CONTRAST) return ehm_enhance_contrast(img, factor, scratch, err);
    else return ehm_enhance_color(img, factor, scratch, err);
    return EHM_OK;
}

ehm_code ehm_color_jitter(ehm_image *img, double x, ehm_rng *r, ehm_arena *scratch, ehm_err *err) {
    int32_t order[EHM_JITTER_N] = {EHM_JITTER_BRIGHTNESS, EHM_JITTER_CONTRAST, EHM_JITTER_SATURATION};
    double factor[EHM_JITTER_N];
    ehm_rng_shuffle_i32(r, order, EHM_JITTER_N);
    for (int32_t k = 0; k < EHM_JITTER_N; k++) factor[k] = ehm_rng_uniform(r, 1 - x, 1 + x);
    for (int32_t k = 0; k < EHM_JITTER_N; k++)
        EHM_TRY(ehm_jitter_apply(img, order[k], factor[order[k]], scratch, err));
    return EHM_OK;
}
