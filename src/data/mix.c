/* Mixup and cutmix of a batch with itself turned round. Definition: timm's Mixup, mode "batch", lambda corrected for
 * boxes that the picture's edge cuts. */
#include "data/mix_int.h"
#include <math.h>
#include <string.h>

/* Gamma(a, 1) for a >= 1: Marsaglia and Tsang 2000. */
static double gamma_draw(double a, ehm_rng *r) {
    double d = a - 1.0 / 3.0, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = ehm_rng_normal(r), v = 1 + c * x;
        if (v <= 0) continue;
        v = v * v * v;
        double u = 1 - ehm_rng_f64(r);
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v)) return d * v;
    }
}

/* Small a: Johnk 1964, by logarithms where the powers underflow. */
double ehm_mix_beta(double a, ehm_rng *r) {
    if (a > 1) {
        double x = gamma_draw(a, r), y = gamma_draw(a, r);
        return x / (x + y);
    }
    for (;;) {
        double u = 1 - ehm_rng_f64(r), v = 1 - ehm_rng_f64(r), x = pow(u, 1 / a), y = pow(v, 1 / a);
        if (x + y > 1) continue;
        if (x + y > 0) return x / (x + y);
        double lx = log(u) / a, ly = log(v) / a, m = lx > ly ? lx : ly;
        return exp(lx - m - log(exp(lx - m) + exp(ly - m)));
    }
}

double ehm_mix_box(int32_t box[4], int32_t h, int32_t w, double lambda, int32_t cy, int32_t cx) {
    double ratio = sqrt(1 - lambda);
    int32_t cut_h = (int32_t)(h * ratio), cut_w = (int32_t)(w * ratio);
    int32_t y0 = cy - cut_h / 2, y1 = cy + (cut_h + 1) / 2, x0 = cx - cut_w / 2, x1 = cx + (cut_w + 1) / 2;
    box[0] = x0 < 0 ? 0 : x0, box[1] = y0 < 0 ? 0 : y0, box[2] = x1 > w ? w : x1, box[3] = y1 > h ? h : y1;
    return 1 - (double)(box[3] - box[1]) * (box[2] - box[0]) / ((double)h * w);
}

void ehm_mix_pixels(float *pixels, int32_t n, int32_t h, int32_t w, int32_t c, double lambda, const int32_t *box) {
    size_t picture = (size_t)h * (size_t)w * (size_t)c;
    float own = (float)lambda, other = (float)(1 - lambda);
    for (int32_t i = 0; i < n / 2; i++) {
        float *p = pixels + (size_t)i * picture, *q = pixels + (size_t)(n - 1 - i) * picture;
        if (!box) {
            for (size_t k = 0; k < picture; k++) {
                float a = p[k], b = q[k];
                p[k] = a * own + b * other, q[k] = b * own + a * other;
            }
            continue;
        }
        for (int32_t y = box[1]; y < box[3]; y++) {
            size_t from = ((size_t)y * (size_t)w + (size_t)box[0]) * (size_t)c,
                   to = ((size_t)y * (size_t)w + (size_t)box[2]) * (size_t)c;
            for (size_t k = from; k < to; k++) {
                float a = p[k];
                p[k] = q[k], q[k] = a;
            }
        }
    }
}

void ehm_mix_batch(double *lambda, float *pixels, int32_t n, int32_t h, int32_t w, int32_t c, const ehm_mix_opt *o,
                   uint64_t seed, int64_t epoch, int64_t i_batch) {
    ehm_rng r = ehm_rng_of(seed, EHM_RNG_mix, (uint32_t)epoch, (uint64_t)i_batch);
    *lambda = 1;
    double u = ehm_rng_f64(&r), v = ehm_rng_f64(&r); /* always both: what follows does not depend on the settings */
    if (!(u < o->prob) || n < 2 || (!(o->mixup > 0) && !(o->cutmix > 0))) return;
    bool cut = o->cutmix > 0 && (!(o->mixup > 0) || v < o->switch_prob);
    double drawn = ehm_mix_beta(cut ? o->cutmix : o->mixup, &r);
    if (drawn >= 1) return;
    if (cut) {
        int32_t box[4], cy = (int32_t)ehm_rng_below(&r, (uint32_t)h), cx = (int32_t)ehm_rng_below(&r, (uint32_t)w);
        *lambda = ehm_mix_box(box, h, w, drawn, cy, cx);
        ehm_mix_pixels(pixels, n, h, w, c, *lambda, box);
    } else {
        *lambda = drawn;
        ehm_mix_pixels(pixels, n, h, w, c, drawn, NULL);
    }
}

void ehm_mix_targets(float *target, const int32_t *labels, int32_t n, int32_t n_classes, double lambda,
                     double smoothing) {
    double off = smoothing / n_classes;
    float on_value = (float)(1 - smoothing + off), off_value = (float)off, own = (float)lambda,
          other = (float)(1 - lambda);
    for (int32_t i = 0; i < n; i++) {
        float *row = target + (size_t)i * (size_t)n_classes;
        int32_t a = labels[i], b = labels[n - 1 - i];
        bool has_a = a >= 0 && a < n_classes, has_b = b >= 0 && b < n_classes;
        /* A picture without a label gives its share to no class. */
        float base = (has_a ? off_value * own : 0) + (has_b ? off_value * other : 0);
        for (int32_t k = 0; k < n_classes; k++) row[k] = base;
        if (has_a) row[a] = on_value * own + (has_b ? (a == b ? on_value : off_value) * other : 0);
        if (has_b && b != a) row[b] = (has_a ? off_value * own : 0) + on_value * other;
    }
}
