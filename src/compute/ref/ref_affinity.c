/* From attention to the similarity of patches: attention among patches, its running mean, profiles, and the direct form. */
#include <math.h>
#include "compute/ref/ref_int.h"

/* Does anything but rounding vary: the largest distance from the mean against the largest value. The second bound is where f32
 * begins to lose digits; probabilities that small say nothing. */
static bool varies(double distance, double top) { return distance > fmax(1e-6 * top, 1e-30); }

/* out[n] = old + x where it accumulates, else x */
static void put_row(ehm_view out, int64_t first, double *restrict x, int64_t n, bool accumulate, double *restrict old) {
    if (accumulate) {
        ehm_ref_load(old, out, first, n);
        for (int64_t i = 0; i < n; i++) x[i] += old[i];
    }
    ehm_ref_store(out, first, x, n);
}

/* ---- attention among patches ---- */

typedef struct {
    const ehm_attn_patches_args *a;
    double *scratch;
    int64_t stride;
} patches_job;

static void patches_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const patches_job *j = ctx;
    const ehm_attn_patches_args *a = j->a;
    const int64_t l = a->out.dim[1];
    double *p = j->scratch + i_thread * j->stride, *old = p + l;
    for (int64_t r = begin; r < end; r++) { /* rows of probs, class tokens among them */
        int64_t x = r / (1 + l), i = r % (1 + l) - 1;
        double sum = 0, weight = (double)a->weight;
        if (i < 0 && !a->cls.rank) continue;
        ehm_ref_load(p, a->probs, r * (1 + l) + 1, l);
        for (int64_t k = 0; k < l; k++) sum += p[k];
        bool whole = i < 0 || !a->renormalise;
        for (int64_t k = 0; k < l; k++) p[k] = weight * (whole ? p[k] : sum != 0 ? p[k] / sum : 1 / (double)l);
        if (i < 0) put_row(a->cls, x * l, p, l, a->accumulate, old);
        else put_row(a->out, (x * l + i) * l, p, l, a->accumulate, old);
    }
}

void ehm_ref_attn_patches(void *self, const ehm_attn_patches_args *a) {
    ehm_ref *r = self;
    patches_job j = {.a = a};
    j.scratch = ehm_ref_scratch(r, 2 * a->out.dim[1], &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, a->probs.dim[0] * a->probs.dim[1], 32, patches_rows, &j);
}

/* ---- running mean ---- */

typedef struct {
    const ehm_running_mean_args *a;
    double w;
} mean_job;

static void mean_values(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const mean_job *j = ctx;
    const ehm_view x = j->a->x;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        double sum = 0, old = ehm_ref_get(j->a->mean, i);
        for (int64_t b = 0; b < x.dim[0]; b++) sum += ehm_ref_get(x, b * x.dim[1] + i);
        ehm_ref_put(j->a->mean, i, old + j->w * (sum / (double)x.dim[0] - old));
    }
}

void ehm_ref_running_mean(void *self, const ehm_running_mean_args *a) {
    ehm_ref *r = self;
    double count = ehm_ref_get(a->count, 0) + 1, decay = (double)a->decay;
    mean_job j = {.a = a, .w = decay < 1 ? (1 - decay) / (1 - pow(decay, count)) : 1 / count};
    ehm_ref_put(a->count, 0, count);
    ehm_pool_for(r->pool, a->x.dim[1], 256, mean_values, &j);
}

/* ---- profiles ---- */

typedef struct {
    ehm_view s, a, mean;
    int64_t c, l;
    double weight;
    bool accumulate, standardise;
    double *scratch;
    int64_t stride;
} stack_job;

static stack_job stack_of(ehm_view s, ehm_view a, float weight, bool accumulate) {
    return (stack_job){.s = s, .a = a, .c = a.dim[1], .l = a.dim[2], .weight = (double)weight, .accumulate = accumulate};
}

/* Mean 0 and length 1; all 0 when the row is constant. */
static void unit_row(double *x, int64_t n) {
    double sum = 0, top = 0, far = 0, square = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i], top = fmax(top, fabs(x[i]));
    for (int64_t i = 0; i < n; i++) {
        x[i] -= sum / (double)n;
        far = fmax(far, fabs(x[i]));
        square += x[i] * x[i];
    }
    double f = varies(far, top) ? 1 / sqrt(square) : 0; /* times 0, what is not a number stays none */
    for (int64_t i = 0; i < n; i++) x[i] *= f;
}

static void turn(double *restrict dst, const double *restrict src, int64_t l) {
    for (int64_t i = 0; i < l; i++)
        for (int64_t k = 0; k < l; k++) dst[k * l + i] = src[i * l + k];
}

/* s += the correlations of the rows of x, which become units; t has room for as many */
static void add_correlations(double *s, double *x, double *t, int64_t l) {
    for (int64_t i = 0; i < l; i++) unit_row(x + i * l, l);
    turn(t, x, l);
    ehm_ref_gemm_add(s, l, x, l, t, l, l, l, l);
}

static void profile_pictures(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const stack_job *j = ctx;
    const int64_t l = j->l, ll = l * l;
    double *s = j->scratch + i_thread * j->stride, *x = s + ll, *rows = x + ll, *t = rows + ll;
    for (int64_t b = begin; b < end; b++) {
        memset(s, 0, (size_t)ll * sizeof *s);
        for (int64_t c = 0; c < j->c; c++) {
            int64_t first = (b * j->c + c) * ll;
            ehm_ref_load(x, j->a, first, ll);
            if (j->mean.rank) {
                ehm_ref_load(t, j->mean, c * ll, ll);
                for (int64_t i = 0; i < ll; i++) x[i] -= t[i];
            }
            for (int64_t i = 0; i < l; i++) {
                double sum = 0;
                for (int64_t k = 0; k < l; k++) sum += k == i ? 0 : x[i * l + k];
                x[i * l + i] = l > 1 ? sum / (double)(l - 1) : 0;
            }
            ehm_ref_store(j->a, first, x, ll);
            memcpy(rows, x, (size_t)ll * sizeof *x);
            add_correlations(s, rows, t, l);
            turn(rows, x, l);
            add_correlations(s, rows, t, l);
        }
        for (int64_t i = 0; i < l; i++) /* the product of two rows has the same bits either way, but nobody promised */
            for (int64_t k = 0; k < i; k++) s[i * l + k] = s[k * l + i];
        for (int64_t i = 0; i < ll; i++) s[i] *= j->weight / (double)j->c;
        put_row(j->s, b * ll, s, ll, j->accumulate, t);
    }
}

void ehm_ref_attn_profile(void *self, const ehm_attn_profile_args *a) {
    ehm_ref *r = self;
    stack_job j = stack_of(a->s, a->a, a->weight, a->accumulate);
    j.mean = a->mean;
    j.scratch = ehm_ref_scratch(r, 4 * j.l * j.l, &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, a->s.dim[0], 1, profile_pictures, &j);
}

/* ---- the direct form ---- */

/* Standard deviation of what is off the diagonal; 1 when that is constant. */
static double deviation_of(const double *x, int64_t l) {
    double n = (double)(l * (l - 1)), sum = 0, top = 0, far = 0, square = 0;
    for (int64_t i = 0; i < l * l; i++)
        if (i % (l + 1)) sum += x[i], top = fmax(top, fabs(x[i]));
    for (int64_t i = 0; i < l * l; i++)
        if (i % (l + 1)) far = fmax(far, fabs(x[i] - sum / n)), square += (x[i] - sum / n) * (x[i] - sum / n);
    return varies(far, top) ? sqrt(square / n) : 1;
}

static void direct_pictures(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const stack_job *j = ctx;
    const int64_t l = j->l, ll = l * l;
    double *s = j->scratch + i_thread * j->stride, *x = s + ll;
    for (int64_t b = begin; b < end; b++) {
        memset(s, 0, (size_t)ll * sizeof *s);
        for (int64_t c = 0; c < j->c; c++) {
            ehm_ref_load(x, j->a, (b * j->c + c) * ll, ll);
            double f = j->weight / (2 * (double)j->c * (j->standardise ? deviation_of(x, l) : 1));
            for (int64_t i = 0; i < l; i++)
                for (int64_t k = 0; k < l; k++) s[i * l + k] += f * (x[i * l + k] + x[k * l + i]);
        }
        put_row(j->s, b * ll, s, ll, j->accumulate, x);
    }
}

void ehm_ref_attn_direct(void *self, const ehm_attn_direct_args *a) {
    ehm_ref *r = self;
    stack_job j = stack_of(a->s, a->a, a->weight, a->accumulate);
    j.standardise = a->standardise;
    j.scratch = ehm_ref_scratch(r, 2 * j.l * j.l, &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, a->s.dim[0], 1, direct_pictures, &j);
}
