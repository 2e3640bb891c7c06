/* Boxes of pictures and their way into a model input: random resized crop, flip, evaluation transform. */
#include "data/augment_int.h"
#include "base/rng.h"
#include <math.h>
#include <string.h>

/* exp for |x| < 1 by Taylor's series: a library's exp may differ in the last bit between machines, and a box
 * is rounded from it. */
static double exp_small(double x) {
    double sum = 1;
    for (int i = 18; i > 0; i--) sum = 1 + x * sum / i;
    return sum;
}

void ehm_augment_box(double box[4], bool *flip, int32_t w, int32_t h, double crop_min, double crop_max,
                     double flip_p, uint64_t seed, int64_t epoch, int64_t sample) {
    static const double log_most = 0.28768207245178092744; /* log(4/3) = -log(3/4) */
    ehm_rng r = ehm_rng_of(seed, EHM_RNG_augment, (uint32_t)epoch, (uint64_t)sample);
    /* First, so that it does not depend on how many tries the box took. */
    bool mirrored = ehm_rng_f64(&r) < flip_p;
    if (flip) *flip = mirrored;
    double area = (double)w * (double)h;
    for (int i = 0; i < 10; i++) {
        double share = ehm_rng_uniform(&r, crop_min, crop_max), target = area * share;
        double aspect = exp_small(ehm_rng_uniform(&r, -log_most, log_most));
        double cw = rint(sqrt(target * aspect)),
               ch = rint(sqrt(target / aspect)); /* half to even, as Python rounds */
        if (cw < 1 || ch < 1 || cw > w || ch > h) continue;
        double y = (double)ehm_rng_below(&r, (uint32_t)(h - (int32_t)ch + 1));
        double x = (double)ehm_rng_below(&r, (uint32_t)(w - (int32_t)cw + 1));
        box[0] = x, box[1] = y, box[2] = x + cw, box[3] = y + ch;
        return;
    }
    /* The centre, as much of it as the aspect allows. Division by 0.75 and not a product with 4/3, as
     * torchvision has it. */
    double ratio = (double)w / (double)h, cw = w, ch = h;
    if (ratio < 3.0 / 4.0) ch = rint(cw / (3.0 / 4.0));
    else if (ratio > 4.0 / 3.0) cw = rint(ch * (4.0 / 3.0));
    double x = floor((w - cw) / 2), y = floor((h - ch) / 2);
    box[0] = x, box[1] = y, box[2] = x + cw, box[3] = y + ch;
}

/* exp for larger x by squaring; the same on every machine. */
static double exp_any(double x) {
    double y = exp_small(x / 16);
    for (int i = 0; i < 4; i++) y *= y;
    return y;
}

/* One axis: n pixels scaled to `scaled` of them, of which in are shown from the draw u in [0, 1). */
static void place_axis(double *lo, double *hi, int32_t *at, int32_t *len, int32_t n, int32_t scaled, int32_t in,
                       double u) {
    int32_t slack = scaled > in ? scaled - in : in - scaled, shift = (int32_t)(u * ((double)slack + 1));
    if (shift > slack) shift = slack;
    *lo = 0, *hi = n, *at = shift, *len = scaled;
    if (scaled <= in) return;
    *lo = (double)shift * n / scaled, *hi = (double)(shift + in) * n / scaled;
    if (*hi > n) *hi = n;
    *at = 0, *len = in;
}

void ehm_place_scaled(ehm_placement *p, int32_t w, int32_t h, int32_t in_w, int32_t in_h, double scale_min,
                      double scale_max, double flip_p, uint64_t seed, int64_t epoch, int64_t sample) {
    ehm_rng r = ehm_rng_of(seed, EHM_RNG_augment, (uint32_t)epoch, (uint64_t)sample);
    bool flip = ehm_rng_f64(&r) < flip_p;
    double scale = scale_min * exp_any(ehm_rng_f64(&r) * log(scale_max / scale_min));
    double u = ehm_rng_f64(&r), v = ehm_rng_f64(&r);
    double fit_w = (double)in_w / w, fit_h = (double)in_h / h, by = (fit_w < fit_h ? fit_w : fit_h) * scale;
    double sw = rint(w * by), sh = rint(h * by);
    *p = (ehm_placement){.in_h = in_h, .in_w = in_w, .flip = flip};
    place_axis(&p->box[0], &p->box[2], &p->x, &p->w, w, sw < 1 ? 1 : (int32_t)sw, in_w, u);
    place_axis(&p->box[1], &p->box[3], &p->y, &p->h, h, sh < 1 ? 1 : (int32_t)sh, in_h, v);
}

void ehm_eval_box(double box[4], int32_t w, int32_t h, int32_t in_w, int32_t in_h, const char *fit) {
    double bw = w, bh = h;
    bool pad = fit && !strcmp(fit, "pad"), stretch = fit && !strcmp(fit, "stretch");
    if (!stretch) {
        double share = !pad && (in_w < in_h ? in_w : in_h) > 96 ? 0.875 : 1;
        /* crop: the side that is scarcer spans the input; pad: the one that is longer. */
        bool by_width = (double)in_w * h >= (double)in_h * w;
        if (pad) by_width = !by_width;
        if (by_width) bw = w * share, bh = bw * in_h / in_w;
        else bh = h * share, bw = bh * in_w / in_h;
        if (!pad && bw > w) bw = w;
        if (!pad && bh > h) bh = h;
    }
    box[0] = (w - bw) / 2, box[1] = (h - bh) / 2;
    box[2] = box[0] + bw, box[3] = box[1] + bh;
    if (pad) return; /* reaches beyond the picture */
    if (box[2] > w) box[2] = w;
    if (box[3] > h) box[3] = h;
}

static void to_u8(uint8_t *out, const ehm_image *in) {
    size_t n = (size_t)in->w * (size_t)in->h * (size_t)in->c;
    if (in->type == EHM_U16) {
        const uint16_t *p = in->px;
        for (size_t i = 0; i < n; i++) out[i] = (uint8_t)((p[i] * 255u + 32767u) / 65535u);
        return;
    }
    const float *p = in->px;
    for (size_t i = 0; i < n; i++) {
        float v = p[i] * 255.0f + 0.5f;
        out[i] = (uint8_t)(v > 0 ? (v < 255.0f ? v : 255.0f) : 0);
    }
}

ehm_code ehm_data_resample(void *px, ehm_dtype type, int32_t h, int32_t w, const ehm_image *img,
                           const double box[4], ehm_arena *scratch, ehm_err *err) {
    ehm_image out = {.px = px, .w = w, .h = h, .c = img->c, .type = img->type};
    if (type != EHM_U8 && type != EHM_F32)
        return EHM_FAIL(err, EHM_E_ARG, "a model input of type %s; u8 and f32 are possible",
                        ehm_dtype_name(type));
    if (type == img->type) return ehm_resize(&out, img, box, EHM_RESIZE_BICUBIC, scratch, err);
    /* Resampled in the picture's own type first: the same bits as when the batch has that type. */
    EHM_TRY(ehm_image_new(&out, w, h, img->c, img->type, scratch, err));
    EHM_TRY(ehm_resize(&out, img, box, EHM_RESIZE_BICUBIC, scratch, err));
    if (type == EHM_F32) ehm_image_to_f32(px, &out);
    else to_u8(px, &out);
    return EHM_OK;
}

ehm_code ehm_data_crop(ehm_image *out, const ehm_image *img, const double box[4], ehm_arena *a,
                       ehm_err *err) {
    int32_t x = (int32_t)box[0], y = (int32_t)box[1], w = (int32_t)box[2] - x, h = (int32_t)box[3] - y;
    if (x == 0 && y == 0 && w == img->w && h == img->h) {
        *out = *img;
        return EHM_OK;
    }
    EHM_TRY(ehm_image_new(out, w, h, img->c, img->type, a, err));
    size_t px = (size_t)img->c * ehm_dtype_size(img->type);
    for (int32_t i = 0; i < h; i++)
        memcpy((uint8_t *)out->px + (size_t)i * (size_t)w * px,
               (const uint8_t *)img->px + ((size_t)(y + i) * (size_t)img->w + (size_t)x) * px,
               (size_t)w * px);
    return EHM_OK;
}

void ehm_data_mirror(void *px, int32_t h, int32_t w, size_t n_bytes) {
    uint8_t keep[1024];
    for (int32_t y = 0; y < h; y++) {
        uint8_t *l = (uint8_t *)px + (size_t)y * (size_t)w * n_bytes, *r = l + (size_t)(w - 1) * n_bytes;
        for (; l < r; l += n_bytes, r -= n_bytes)
            memcpy(keep, l, n_bytes), memcpy(l, r, n_bytes), memcpy(r, keep, n_bytes);
    }
}

void ehm_data_pad_rect(int32_t rect[4], int32_t w, int32_t h, int32_t in_w, int32_t in_h) {
    double box[4];
    ehm_eval_box(box, w, h, in_w, in_h, "pad");
    int32_t rw = (int32_t)rint(in_w * (w / (box[2] - box[0]))), rh = (int32_t)rint(in_h * (h / (box[3] - box[1])));
    rect[2] = rw < 1 ? 1 : rw > in_w ? in_w : rw, rect[3] = rh < 1 ? 1 : rh > in_h ? in_h : rh;
    rect[0] = (in_w - rect[2]) / 2, rect[1] = (in_h - rect[3]) / 2;
}

ehm_code ehm_data_fit(void *px, ehm_dtype type, int32_t in_h, int32_t in_w, const ehm_image *img,
                      const char *fit, ehm_arena *scratch, ehm_err *err) {
    if (!fit || strcmp(fit, "pad")) {
        double box[4];
        ehm_eval_box(box, img->w, img->h, in_w, in_h, fit);
        return ehm_data_resample(px, type, in_h, in_w, img, box, scratch, err);
    }
    /* The whole picture in the middle, zeros around it. */
    int32_t rect[4];
    ehm_data_pad_rect(rect, img->w, img->h, in_w, in_h);
    int32_t w = rect[2], h = rect[3];
    size_t at_px = (size_t)img->c * ehm_dtype_size(type), row = (size_t)w * at_px;
    uint8_t *small = ehm_arena_alloc(scratch, (size_t)h, row);
    if (!small) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a picture of %dx%d", w, h);
    EHM_TRY(ehm_data_resample(small, type, h, w, img, NULL, scratch, err));
    memset(px, 0, (size_t)in_h * (size_t)in_w * at_px);
    for (size_t i = 0; i < (size_t)h; i++)
        memcpy((uint8_t *)px + (((size_t)rect[1] + i) * (size_t)in_w + (size_t)rect[0]) * at_px, small + i * row,
               row);
    return EHM_OK;
}

ehm_code ehm_data_window(void *px, ehm_dtype type, const ehm_image *img, const ehm_placement *p,
                         ehm_arena *scratch, ehm_err *err) {
    if (!p->x && !p->y && p->w == p->in_w && p->h == p->in_h)
        return ehm_data_resample(px, type, p->h, p->w, img, p->box, scratch, err);
    size_t at_px = (size_t)img->c * ehm_dtype_size(type), row = (size_t)p->w * at_px;
    uint8_t *part = ehm_arena_alloc(scratch, (size_t)p->h, row);
    if (!part) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a picture of %dx%d", p->w, p->h);
    EHM_TRY(ehm_data_resample(part, type, p->h, p->w, img, p->box, scratch, err));
    size_t n = (size_t)p->in_h * (size_t)p->in_w * (size_t)img->c;
    if (type == EHM_U8) memset(px, 128, n);
    else for (size_t i = 0; i < n; i++) ((float *)px)[i] = 0.5f;
    for (size_t i = 0; i < (size_t)p->h; i++)
        memcpy((uint8_t *)px + (((size_t)p->y + i) * (size_t)p->in_w + (size_t)p->x) * at_px, part + i * row, row);
    return EHM_OK;
}
