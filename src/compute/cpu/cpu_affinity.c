/* From attention to the similarity of patches: attention among patches, its running mean, profiles, and the
 * direct form.
 *
 * A profile is two products of a matrix with its own transpose, so only the tiles that reach above the
 * diagonal are multiplied, by the kernel of all products, a picture a task; the rest is their mirror image.
 */
#include "compute/cpu/cpu_int.h"
#include <math.h>
#include <string.h>

enum {
    MEAN_BLOCK = 512, /* values of the running mean at once */
    TURN = 16         /* side of the squares that the direct form reads across */
};
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t up_to(int64_t a, int64_t b) { return (a + b - 1) / b * b; }
static float *floats(ehm_view v, int64_t first) { return (float *)ehm_ptr(v) + first; }

/* ---- attention among patches ---- */
typedef struct {
    const ehm_row_kern *k;
    const ehm_attn_patches_args *a;
} patches_job;
static void patches_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const patches_job *j = ctx;
    const ehm_attn_patches_args *a = j->a;
    const int64_t l = a->out.dim[1];
    const float weight = a->weight, keep = a->accumulate ? 1.f : 0.f;
    (void)i_thread;
    for (int64_t r = begin; r < end; r++) { /* rows of probs, class tokens among them */
        const int64_t x = r / (1 + l), i = r % (1 + l) - 1;
        const float *p = floats(a->probs, r * (1 + l) + 1);
        if (i < 0) {
            if (a->cls.rank) j->k->axpby(floats(a->cls, x * l), p, weight, keep, l);
            continue;
        }
        float *out = floats(a->out, (x * l + i) * l), factor = weight;
        if (a->renormalise) {
            double sum = j->k->sum(p, l);
            factor = (float)((double)weight / sum);
            if (!(sum > 1e-30)) { /* nothing, or so little that the factor is no f32 (or not a number) */
                for (int64_t q = 0; q < l; q++) {
                    double v = (double)weight * (sum == 0 ? 1 / (double)l : (double)p[q] / sum);
                    out[q] = (float)(a->accumulate ? (double)out[q] + v : v);
                }
                continue;
            }
        }
        j->k->axpby(out, p, factor, keep, l);
    }
}
void ehm_cpu_op_attn_patches(void *self, const ehm_attn_patches_args *a) {
    ehm_cpu *c = self;
    patches_job j = {c->row, a};
    if (!c->failed) ehm_pool_for(c->pool, a->probs.dim[0] * a->probs.dim[1], 32, patches_rows, &j);
}

/* ---- running mean ---- */
typedef struct {
    const ehm_running_mean_args *a;
    double w;
} mean_job;
static void mean_blocks(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const mean_job *j = ctx;
    const int64_t pictures = j->a->x.dim[0], m = j->a->x.dim[1];
    double sum[MEAN_BLOCK];
    (void)i_thread;
    for (int64_t b = begin; b < end; b++) {
        const int64_t first = b * MEAN_BLOCK, n = least(MEAN_BLOCK, m - first);
        const float *x = floats(j->a->x, first);
        float *mean = floats(j->a->mean, first);
        for (int64_t i = 0; i < n; i++) sum[i] = 0;
        for (int64_t p = 0; p < pictures; p++, x += m)
            for (int64_t i = 0; i < n; i++) sum[i] += (double)x[i];
        for (int64_t i = 0; i < n; i++) {
            double old = (double)mean[i];
            mean[i] = (float)(old + j->w * (sum[i] / (double)pictures - old));
        }
    }
}
void ehm_cpu_op_running_mean(void *self, const ehm_running_mean_args *a) {
    ehm_cpu *c = self;
    if (c->failed) return;
    float *count = floats(a->count, 0);
    double n = (double)*count + 1, decay = (double)a->decay;
    mean_job j = {a, decay < 1 ? (1 - decay) / (1 - pow(decay, n)) : 1 / n};
    *count = (float)n;
    ehm_pool_for(c->pool, (a->x.dim[1] + MEAN_BLOCK - 1) / MEAN_BLOCK, 1, mean_blocks, &j);
}

/* ---- profiles ---- */
typedef struct {
    ehm_cpu *c;
    ehm_view s, a, mean;
    int64_t slices, l;
    float weight;
    bool accumulate, standardise;
    int64_t ld, rows; /* of the sums: distance of rows, and how many with those at the edge */
    int64_t sums_at, live_at, pack_a, pack_b; /* places in a thread's scratch, after the units; floats */
} stack_job;
static stack_job stack_of(ehm_cpu *c, ehm_view s, ehm_view a, float weight, bool accumulate) {
    return (stack_job){.c = c,
                       .s = s,
                       .a = a,
                       .slices = a.dim[1],
                       .l = a.dim[2],
                       .weight = weight,
                       .accumulate = accumulate};
}
/* Rows of the units packed at a time: few, so that little is multiplied in vain below the diagonal. */
static int64_t rows_a_turn(const ehm_gemm_kern *kern) { return 4 * kern->mr; }

/* sums (+)= the products of all rows of u (by_column: columns) with each other, on and above the diagonal. */
static void add_gram(const stack_job *j, float *at, bool by_column, bool add) {
    const ehm_gemm_kern *kern = j->c->gemm_f32;
    const float *u = at;
    float *sums = at + j->sums_at, *pack_a = at + j->pack_a, *pack_b = at + j->pack_b;
    const int64_t l = j->l, turn = rows_a_turn(kern), half = kern->nr / 2;
    for (int64_t k = 0; k < l; k += kern->kc_max) {
        const int64_t kn = least(kern->kc_max, l - k);
        ehm_gemm_block t = {.kc = kn,
                            .a = pack_a,
                            .a_row = !by_column,
                            .a_panel = kern->mr * (by_column ? kn : EHM_TILE_ROW),
                            .b_panel = kn * kern->nr,
                            .ld_out = j->ld,
                            .first = true,
                            .last = true,
                            .accumulate = add || k};
        kern->pack_b(pack_b, t.b_panel, u, false, !by_column, j->ld, 0, l, k, kn);
        for (int64_t r = 0; r < l; r += turn) {
            const int64_t rn = least(turn, l - r), c = r / kern->nr * kern->nr;
            kern->pack_a(pack_a, t.a_panel, u, false, by_column, j->ld, r, rn, k, kn);
            /* whole tiles: the rows and columns beyond l are zeros, and there is room for them */
            t.m = up_to(rn, kern->mr), t.n = up_to(l - c, half);
            t.b = pack_b + c / kern->nr * t.b_panel;
            t.out = sums + r * j->ld + c;
            kern->block(&t);
        }
    }
}
static void profile_pictures(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const stack_job *j = ctx;
    const ehm_row_kern *row = j->c->row;
    const int64_t l = j->l;
    float *at = j->c->own[i_thread].p, *sums = at + j->sums_at, *live = at + j->live_at;
    for (int64_t b = begin; b < end; b++) {
        memset(live, 0, (size_t)l * 4);
        for (int64_t c = 0; c < j->slices; c++) {
            float *x = floats(j->a, (b * j->slices + c) * l * l);
            row->unit_rows(at, j->ld, x, j->mean.rank ? floats(j->mean, c * l * l) : NULL, live, l);
            add_gram(j, at, false, c);
            row->unit_cols(at, j->ld, x, live, l);
            add_gram(j, at, true, true);
        }
        row->mirror(sums, j->ld, l);
        for (int64_t i = 0; i < l; i++) { /* what varies is itself, whatever was rounded */
            sums[i * j->ld + i] = live[i];
            row->axpby(floats(j->s, (b * l + i) * l), sums + i * j->ld, j->weight / (float)j->slices,
                       j->accumulate ? 1.f : 0.f, l);
        }
    }
}
void ehm_cpu_op_attn_profile(void *self, const ehm_attn_profile_args *a) {
    ehm_cpu *c = self;
    const ehm_gemm_kern *kern = c->gemm_f32;
    stack_job j = stack_of(c, a->s, a->a, a->weight, a->accumulate);
    j.mean = a->mean;
    j.ld = up_to(j.l, most(16, kern->nr)), j.rows = most(up_to(j.l, 8), up_to(j.l, kern->mr));
    j.sums_at = j.l * j.ld;
    j.live_at = j.sums_at + j.rows * j.ld;
    j.pack_a = j.live_at + up_to(j.l, 16);
    j.pack_b = j.pack_a + rows_a_turn(kern) * EHM_TILE_ROW;
    int64_t all = j.pack_b + up_to(j.l, kern->nr) * least(j.l, kern->kc_max);
    if (c->failed || !ehm_cpu_own(c, (size_t)all * 4)) return;
    ehm_pool_for(c->pool, j.s.dim[0], 1, profile_pictures, &j);
}

/* ---- the direct form ---- */
/* Standard deviation of what is off the diagonal; 1 when nothing but rounding varies there. In double: it is
 * read twice and small. */
static double deviation_of(const float *x, int64_t l) {
    const double n = (double)(l * (l - 1));
    double sum = 0, square = 0;
    float top = 0, low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < l; i++)
        for (int64_t k = 0; k < l; k++)
            if (k != i) sum += (double)x[i * l + k];
    for (int64_t i = 0; i < l; i++)
        for (int64_t k = 0; k < l; k++) {
            if (k == i) continue;
            float v = x[i * l + k];
            square += ((double)v - sum / n) * ((double)v - sum / n);
            low = v < low ? v : low, high = v > high ? v : high;
        }
    top = fmaxf(fabsf(low), fabsf(high));
    double far = fmax((double)high - sum / n, sum / n - (double)low);
    return far > fmax(1e-6 * (double)top, 1e-30) ? sqrt(square / n) : isnan(square) ? square : 1;
}
static void direct_pictures(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const stack_job *j = ctx;
    const int64_t l = j->l;
    (void)i_thread;
    for (int64_t b = begin; b < end; b++) {
        float *restrict s = floats(j->s, b * l * l);
        if (!j->accumulate) memset(s, 0, (size_t)(l * l) * 4);
        for (int64_t c = 0; c < j->slices; c++) {
            const float *restrict x = floats(j->a, (b * j->slices + c) * l * l);
            double sd = j->standardise ? deviation_of(x, l) : 1;
            const float f = (float)((double)j->weight / (2 * (double)j->slices * sd));
            for (int64_t i = 0; i < l; i += TURN)
                for (int64_t k = 0; k < l; k += TURN)
                    for (int64_t r = i; r < least(i + TURN, l); r++)
                        for (int64_t q = k; q < least(k + TURN, l); q++)
                            s[r * l + q] += f * (x[r * l + q] + x[q * l + r]);
        }
    }
}
void ehm_cpu_op_attn_direct(void *self, const ehm_attn_direct_args *a) {
    ehm_cpu *c = self;
    stack_job j = stack_of(c, a->s, a->a, a->weight, a->accumulate);
    j.standardise = a->standardise;
    if (!c->failed) ehm_pool_for(c->pool, j.s.dim[0], 1, direct_pictures, &j);
}
