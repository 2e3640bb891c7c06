/* Separable resampling with antialias, as Pillow does it: weights in double, for 8 bit rounded to 22
 * binary places, one direction, then the other. Every rounding step is Pillow's, so that results agree to
 * the bit; tests/golden/image holds proofs. */
#include "image/resize_int.h"
#include "image/image.h"
#include <math.h>
#include <string.h>

static double weight_bilinear(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double weight_bicubic(double x) { /* Keys 1981 with a = -0.5 */
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static double sinc(double x) {
    if (x == 0.0) return 1.0;
    x *= 3.14159265358979323846;
    return sin(x) / x;
}

static double weight_lanczos(double x) { return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

static const struct { double (*weight)(double x); double support; } filters[] = {
    [EHM_RESIZE_NEAREST] = {NULL, 0},
    [EHM_RESIZE_BILINEAR] = {weight_bilinear, 1},
    [EHM_RESIZE_BICUBIC] = {weight_bicubic, 2},
    [EHM_RESIZE_LANCZOS] = {weight_lanczos, 3},
};

static ehm_code no_memory(ehm_err *err) {
    return EHM_FAIL(err, EHM_E_MEMORY, "no memory for resizing a picture");
}

/* The box arrives as float because Pillow keeps it so; the window's edges are rounded in the same places. */
static ehm_code make_axis(ehm_resize_axis *axis, int32_t n_in, float from, float to, int32_t n_out,
                          ehm_resize_kind kind, bool is_u8, ehm_arena *a, ehm_err *err) {
    double scale = (double)(to - from) / n_out, widen = scale < 1.0 ? 1.0 : scale;
    double support = filters[kind].support * widen, per_step = 1.0 / widen;
    size_t stride = ((size_t)ceil(support) * 2 + 1 + 7) & ~(size_t)7, n_weights;
    if (stride > INT32_MAX || !ehm_mul_size(&n_weights, stride, (size_t)n_out)) return no_memory(err);
    *axis = (ehm_resize_axis){.n_out = n_out, .stride = (int32_t)stride};
    axis->first = EHM_NEW_N(a, int32_t, n_out);
    axis->n = EHM_NEW_N(a, int32_t, n_out);
    axis->k = EHM_NEW_N(a, double, n_weights);
    if (!axis->first || !axis->n || !axis->k) return no_memory(err);
    for (int32_t i = 0; i < n_out; i++) {
        double centre = from + (i + 0.5) * scale, sum = 0, *k = axis->k + stride * (size_t)i;
        int32_t first = (int32_t)(centre - support + 0.5), end = (int32_t)(centre + support + 0.5);
        if (first < 0) first = 0;
        if (end > n_in) end = n_in;
        for (int32_t j = 0; j < end - first; j++) {
            k[j] = filters[kind].weight((j + first - centre + 0.5) * per_step);
            sum += k[j];
        }
        for (int32_t j = 0; sum != 0.0 && j < end - first; j++) k[j] /= sum;
        axis->first[i] = first;
        axis->n[i] = end - first;
    }
    if (!is_u8) return EHM_OK;
    axis->q = EHM_NEW_N(a, int32_t, n_weights);
    axis->lo = EHM_NEW_N(a, int16_t, n_weights);
    axis->hi = EHM_NEW_N(a, int16_t, n_weights);
    if (!axis->q || !axis->lo || !axis->hi) return no_memory(err);
    for (size_t j = 0; j < n_weights; j++) {
        double k = axis->k[j];
        int32_t q = (int32_t)(k < 0 ? -0.5 + k * (1 << EHM_RESIZE_BITS) : 0.5 + k * (1 << EHM_RESIZE_BITS));
        axis->q[j] = q;
        axis->hi[j] = (int16_t)(q >> EHM_RESIZE_SPLIT);
        axis->lo[j] = (int16_t)(q & ((1 << EHM_RESIZE_SPLIT) - 1));
    }
    return EHM_OK;
}

void ehm_resize_row_u8(uint8_t *dst, const uint8_t *src, const ehm_resize_axis *axis, int32_t c,
                       size_t readable) {
    (void)readable;
    for (int32_t i = 0; i < axis->n_out; i++) {
        const int32_t *q = axis->q + (size_t)axis->stride * (size_t)i;
        const uint8_t *p = src + (size_t)axis->first[i] * (size_t)c;
        for (int32_t ch = 0; ch < c; ch++) {
            int32_t sum = 1 << (EHM_RESIZE_BITS - 1);
            for (int32_t j = 0; j < axis->n[i]; j++) sum += p[(size_t)j * (size_t)c + (size_t)ch] * q[j];
            *dst++ = ehm_resize_clip(sum);
        }
    }
}

void ehm_resize_col_u8(uint8_t *dst, const uint8_t *src, size_t n, const ehm_resize_axis *axis, int32_t i,
                       int32_t row_first) {
    const int32_t *q = axis->q + (size_t)axis->stride * (size_t)i;
    const uint8_t *p = src + (size_t)(axis->first[i] - row_first) * n;
    enum { BLOCK = 256 };
    int32_t sum[BLOCK];
    for (size_t x0 = 0; x0 < n; x0 += BLOCK) {
        size_t m = n - x0 < BLOCK ? n - x0 : BLOCK;
        for (size_t x = 0; x < m; x++) sum[x] = 1 << (EHM_RESIZE_BITS - 1);
        for (int32_t j = 0; j < axis->n[i]; j++)
            for (size_t x = 0; x < m; x++) sum[x] += p[(size_t)j * n + x0 + x] * q[j];
        for (size_t x = 0; x < m; x++) dst[x0 + x] = ehm_resize_clip(sum[x]);
    }
}

/* u16 and f32 are the same walk with sums in double. Pillow rounds 16 bit sums half away from zero. */
static uint16_t round_u16(double v) { return (uint16_t)(v <= 0 ? 0 : v >= 65535 ? 65535 : floor(v + 0.5)); }

static void row_wide(ehm_image *out, const ehm_image *in, size_t out_at, size_t in_at,
                     const ehm_resize_axis *axis) {
    int32_t c = in->c;
    for (int32_t i = 0; i < axis->n_out; i++)
        for (int32_t ch = 0; ch < c; ch++) {
            const double *k = axis->k + (size_t)axis->stride * (size_t)i;
            size_t at = in_at + (size_t)axis->first[i] * (size_t)c + (size_t)ch,
                   to = out_at + (size_t)i * (size_t)c + (size_t)ch;
            double sum = 0;
            if (in->type == EHM_U16) {
                const uint16_t *p = (const uint16_t *)in->px + at;
                for (int32_t j = 0; j < axis->n[i]; j++) sum += p[(size_t)j * (size_t)c] * k[j];
                ((uint16_t *)out->px)[to] = round_u16(sum);
            } else {
                const float *p = (const float *)in->px + at;
                for (int32_t j = 0; j < axis->n[i]; j++) sum += (double)p[(size_t)j * (size_t)c] * k[j];
                ((float *)out->px)[to] = (float)sum;
            }
        }
}

static void col_wide(ehm_image *out, const ehm_image *in, const ehm_resize_axis *axis, int32_t i,
                     int32_t row_first) {
    const double *k = axis->k + (size_t)axis->stride * (size_t)i;
    size_t n = (size_t)in->w * (size_t)in->c, from = (size_t)(axis->first[i] - row_first) * n,
           to = (size_t)i * n;
    enum { BLOCK = 128 };
    double sum[BLOCK];
    for (size_t x0 = 0; x0 < n; x0 += BLOCK) {
        size_t m = n - x0 < BLOCK ? n - x0 : BLOCK;
        memset(sum, 0, sizeof sum);
        for (int32_t j = 0; j < axis->n[i]; j++) {
            size_t at = from + (size_t)j * n + x0;
            if (in->type == EHM_U16)
                for (size_t x = 0; x < m; x++) sum[x] += ((const uint16_t *)in->px)[at + x] * k[j];
            else
                for (size_t x = 0; x < m; x++) sum[x] += (double)((const float *)in->px)[at + x] * k[j];
        }
        for (size_t x = 0; x < m; x++) {
            if (in->type == EHM_U16) ((uint16_t *)out->px)[to + x0 + x] = round_u16(sum[x]);
            else ((float *)out->px)[to + x0 + x] = (float)sum[x];
        }
    }
}

/* Rows [first, first + out->h) of in, resampled across. */
static void across(ehm_image *out, const ehm_image *in, int32_t first, const ehm_resize_axis *axis) {
    size_t in_row = (size_t)in->w * (size_t)in->c, out_row = (size_t)out->w * (size_t)out->c;
    bool fast = ehm_resize_has_avx2();
    for (int32_t y = 0; y < out->h; y++) {
        size_t from = in_row * (size_t)(first + y), to = out_row * (size_t)y;
        if (in->type != EHM_U8) {
            row_wide(out, in, to, from, axis);
            continue;
        }
        const uint8_t *src = (const uint8_t *)in->px + from;
        uint8_t *dst = (uint8_t *)out->px + to;
        size_t readable = ehm_image_bytes(in) - from;
        if (fast) ehm_resize_row_u8_avx2(dst, src, axis, in->c, readable);
        else ehm_resize_row_u8(dst, src, axis, in->c, readable);
    }
}

/* in's first row is number row_first of the picture that the axis speaks of. */
static void down(ehm_image *out, const ehm_image *in, int32_t row_first, const ehm_resize_axis *axis) {
    size_t n = (size_t)in->w * (size_t)in->c;
    bool fast = ehm_resize_has_avx2();
    for (int32_t i = 0; i < out->h; i++) {
        uint8_t *dst = (uint8_t *)out->px + n * (size_t)i;
        if (in->type != EHM_U8) col_wide(out, in, axis, i, row_first);
        else if (fast) ehm_resize_col_u8_avx2(dst, in->px, n, axis, i, row_first);
        else ehm_resize_col_u8(dst, in->px, n, axis, i, row_first);
    }
}

/* Pillow steps through the input by adding the scale, which rounds differently from multiplying. */
static void nearest_axis(int32_t *index, int32_t n_in, float from, float to, int32_t n_out) {
    double scale = (double)(to - from) / n_out, at = (double)from + scale * 0.5;
    for (int32_t i = 0; i < n_out; i++, at += scale) {
        int32_t v = (int32_t)at;
        index[i] = v < 0 ? 0 : v >= n_in ? n_in - 1 : v;
    }
}

static ehm_code nearest(ehm_image *out, const ehm_image *in, const float box[4], ehm_arena *scratch,
                        ehm_err *err) {
    int32_t *xs = EHM_NEW_N(scratch, int32_t, out->w), *ys = EHM_NEW_N(scratch, int32_t, out->h);
    if (!xs || !ys) return no_memory(err);
    nearest_axis(xs, in->w, box[0], box[2], out->w);
    nearest_axis(ys, in->h, box[1], box[3], out->h);
    size_t pixel = (size_t)in->c * ehm_dtype_size(in->type);
    uint8_t *dst = out->px;
    for (int32_t y = 0; y < out->h; y++) {
        const uint8_t *row = (const uint8_t *)in->px + (size_t)ys[y] * (size_t)in->w * pixel;
        for (int32_t x = 0; x < out->w; x++, dst += pixel) memcpy(dst, row + (size_t)xs[x] * pixel, pixel);
    }
    return EHM_OK;
}

static ehm_code check(const ehm_image *out, const ehm_image *in, const float box[4], ehm_resize_kind kind,
                      ehm_err *err) {
    if (!in->px || !out->px || in->w <= 0 || in->h <= 0 || in->c <= 0 || out->w <= 0 || out->h <= 0)
        return EHM_FAIL(err, EHM_E_ARG, "cannot resize %d x %d px to %d x %d px", in->w, in->h, out->w,
                        out->h);
    if (in->c != out->c || in->type != out->type ||
        (in->type != EHM_U8 && in->type != EHM_U16 && in->type != EHM_F32))
        return EHM_FAIL(err, EHM_E_ARG, "resizing keeps channels and type: %d of %s in, %d of %s out", in->c,
                        ehm_dtype_name(in->type), out->c, ehm_dtype_name(out->type));
    if ((int32_t)kind < 0 || kind > EHM_RESIZE_LANCZOS)
        return EHM_FAIL(err, EHM_E_ARG, "no resize kind %d", (int)kind);
    if (!(box[0] >= 0 && box[1] >= 0 && box[2] <= (float)in->w && box[3] <= (float)in->h && box[0] < box[2] &&
          box[1] < box[3]))
        return EHM_FAIL(err, EHM_E_ARG, "box %g %g %g %g lies outside the picture of %d x %d px or is empty",
                        (double)box[0], (double)box[1], (double)box[2], (double)box[3], in->w, in->h);
    return EHM_OK;
}

/* Which pass goes first decides how the numbers between them are rounded. This is the rule that Pillow 13
 * follows, found by comparing some ten thousand sizes with both orders (Pillow up to 12 always goes across
 * first). */
static bool down_first(const ehm_image *out, const ehm_image *in) {
    return out->h < in->h && (int64_t)in->h - out->h > 2 * ((int64_t)in->w - out->w);
}

static ehm_code two_passes(ehm_image *out, const ehm_image *in, const float box[4], ehm_resize_kind kind,
                           bool x_same, bool y_same, ehm_arena *scratch, ehm_err *err) {
    ehm_resize_axis ax = {0}, ay = {0};
    ehm_image mid;
    bool u8 = in->type == EHM_U8;
    if (!x_same) EHM_TRY(make_axis(&ax, in->w, box[0], box[2], out->w, kind, u8, scratch, err));
    if (!y_same) EHM_TRY(make_axis(&ay, in->h, box[1], box[3], out->h, kind, u8, scratch, err));
    if (y_same) {
        across(out, in, 0, &ax);
    } else if (x_same) {
        down(out, in, 0, &ay);
    } else if (down_first(out, in)) {
        EHM_TRY(ehm_image_new(&mid, in->w, out->h, in->c, in->type, scratch, err));
        down(&mid, in, 0, &ay);
        across(out, &mid, 0, &ax);
    } else { /* across, only the rows that some output row looks at */
        int32_t first = ay.first[0], end = ay.first[out->h - 1] + ay.n[out->h - 1];
        EHM_TRY(ehm_image_new(&mid, out->w, end - first, in->c, in->type, scratch, err));
        across(&mid, in, first, &ax);
        down(out, &mid, first, &ay);
    }
    return EHM_OK;
}

ehm_code ehm_resize(ehm_image *out, const ehm_image *in, const double box_d[4], ehm_resize_kind kind,
                    ehm_arena *scratch, ehm_err *err) {
    float box[4] = {0, 0, (float)in->w, (float)in->h};
    for (int i = 0; box_d && i < 4; i++) box[i] = (float)box_d[i];
    EHM_TRY(check(out, in, box, kind, err));
    bool x_same = out->w == in->w && box[0] == 0 && box[2] == (float)in->w;
    bool y_same = out->h == in->h && box[1] == 0 && box[3] == (float)in->h;
    if (x_same && y_same) {
        memcpy(out->px, in->px, ehm_image_bytes(in));
        return EHM_OK;
    }
    if (kind == EHM_RESIZE_NEAREST) return nearest(out, in, box, scratch, err);
    return two_passes(out, in, box, kind, x_same, y_same, scratch, err);
}
