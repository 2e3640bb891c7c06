#include "net/layer_grid.h"
#include <stdio.h>

enum { SIDE = 3, NEAR = SIDE * SIDE, CHUNK = 1024 };

bool ehm_mix_new(ehm_mix *t, ehm_arena *a, int64_t rows, int64_t k, bool weighted) {
    size_t n;
    *t = (ehm_mix){.rows = rows, .k = k};
    if (!ehm_mul_size(&n, (size_t)rows, (size_t)k)) return false;
    t->host_idx = EHM_NEW_N(a, int32_t, n);
    if (weighted) t->host_weight = EHM_NEW_N(a, float, n);
    return t->host_idx && (!weighted || t->host_weight);
}

bool ehm_mix_span(ehm_mix *t, ehm_arena *a, int64_t first, int64_t n) {
    if (!ehm_mix_new(t, a, n, 1, false)) return false;
    for (int64_t i = 0; i < n; i++) t->host_idx[i] = (int32_t)(first + i);
    return true;
}

bool ehm_mix_mean(ehm_mix *t, ehm_arena *a, int64_t first, int64_t n) {
    if (!ehm_mix_new(t, a, 1, n, true)) return false;
    for (int64_t i = 0; i < n; i++) {
        t->host_idx[i] = (int32_t)(first + i);
        t->host_weight[i] = (float)(1.0 / (double)n);
    }
    return true;
}

bool ehm_mix_conv3(ehm_mix *t, ehm_arena *a, int32_t gh, int32_t gw) {
    if (!ehm_mix_new(t, a, (int64_t)gh * gw * NEAR, 1, false)) return false;
    int32_t *idx = t->host_idx;
    for (int32_t r = 0; r < gh; r++)
        for (int32_t c = 0; c < gw; c++)
            for (int32_t k = 0; k < NEAR; k++) {
                int32_t y = r + k / SIDE - 1, x = c + k % SIDE - 1;
                *idx++ = y < 0 || y >= gh || x < 0 || x >= gw ? -1 : y * gw + x;
            }
    return true;
}

bool ehm_mix_unfold2(ehm_mix *t, ehm_arena *a, int32_t gh, int32_t gw) {
    if (!ehm_mix_new(t, a, 4 * (int64_t)gh * gw, 1, false)) return false;
    int32_t *idx = t->host_idx;
    for (int32_t r = 0; r < 2 * gh; r++)
        for (int32_t c = 0; c < 2 * gw; c++) *idx++ = 4 * (r / 2 * gw + c / 2) + 2 * (r % 2) + c % 2;
    return true;
}

/* Cell i of 2n lies at (i + 0.5) / 2 - 0.5 among n: a quarter of a cell before or behind the nearest, held at
 * the edges. */
static void enlarged(int32_t i, int32_t n, int32_t at[2], float share[2]) {
    int32_t near = i / 2, far = i % 2 ? near + 1 : near - 1;
    at[0] = near;
    at[1] = far < 0 ? 0 : far >= n ? n - 1 : far;
    share[0] = 0.75f, share[1] = 0.25f;
}

bool ehm_mix_enlarge2(ehm_mix *t, ehm_arena *a, int32_t gh, int32_t gw) {
    if (!ehm_mix_new(t, a, 4 * (int64_t)gh * gw, 4, true)) return false;
    int32_t *idx = t->host_idx;
    float *weight = t->host_weight;
    for (int32_t r = 0; r < 2 * gh; r++)
        for (int32_t c = 0; c < 2 * gw; c++) {
            int32_t y[2], x[2];
            float wy[2], wx[2];
            enlarged(r, gh, y, wy);
            enlarged(c, gw, x, wx);
            for (int32_t k = 0; k < 4; k++) {
                *idx++ = y[k / 2] * gw + x[k % 2];
                *weight++ = wy[k / 2] * wx[k % 2];
            }
        }
    return true;
}

void ehm_mix_plan(ehm_mix *t, ehm_plan *plan) {
    t->idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, t->rows, t->k);
    t->weight = t->host_weight
                    ? ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, ehm_dev_real(plan->dev), t->rows, t->k)
                    : ehm_view_none();
}

void ehm_put_reals(ehm_dev *d, ehm_view v, const float *x, int64_t n) {
    EHM_ASSERT(n <= ehm_view_count(v));
    v.rank = 1, v.dim[0] = n;
    if (v.dtype != EHM_F64) {
        ehm_upload(d, v, x, (size_t)n * sizeof *x);
        return;
    }
    double wide[CHUNK];
    for (int64_t at = 0; at < n; at += CHUNK) {
        int64_t some = n - at < CHUNK ? n - at : CHUNK;
        for (int64_t i = 0; i < some; i++) wide[i] = x[at + i];
        ehm_upload(d, ehm_view_rows(v, at, some), wide, (size_t)some * sizeof *wide);
    }
}

void ehm_mix_load(const ehm_mix *t, ehm_dev *d) {
    ehm_upload(d, t->idx, t->host_idx, (size_t)(t->rows * t->k) * sizeof *t->host_idx);
    if (t->host_weight) ehm_put_reals(d, t->weight, t->host_weight, t->rows * t->k);
}

void ehm_mix_fwd(ehm_dev *d, ehm_view out, ehm_view x, const ehm_mix *t) {
    ehm_mix_rows_fwd(d, &(ehm_mix_rows_fwd_args){.out = out, .x = x, .idx = t->idx, .weight = t->weight});
}

void ehm_mix_bwd(ehm_dev *d, ehm_view dx, ehm_view dout, const ehm_mix *t, bool accumulate) {
    ehm_mix_rows_bwd(
        d, &(ehm_mix_rows_bwd_args){
               .dx = dx, .dout = dout, .idx = t->idx, .weight = t->weight, .accumulate = accumulate});
}

ehm_view ehm_feed(ehm_dev *d, ehm_view scratch, ehm_view dout) {
    if (!scratch.rank) return dout;
    ehm_view v = ehm_fit2(scratch, dout.dim[0], dout.dim[1]);
    ehm_cast(d, &(ehm_cast_args){.out = v, .x = dout});
    return v;
}

/* ---- 3x3 convolution ---- */

bool ehm_conv3_open(ehm_conv3 *c, ehm_arena *a, int32_t gh, int32_t gw, int64_t width) {
    *c = (ehm_conv3){.gh = gh, .gw = gw, .width = width};
    return ehm_mix_conv3(&c->table, a, gh, gw);
}

static int64_t cells(const ehm_conv3 *c) { return (int64_t)c->gh * c->gw; }

void ehm_conv3_plan(ehm_conv3 *c, ehm_plan *plan, ehm_dtype act, int64_t batch) {
    ehm_mix_plan(&c->table, plan);
    c->col = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, act, batch * cells(c), NEAR * c->width);
}

/* The neighbours are ninefold their cells, so they are gathered anew rather than kept from the forward pass.
 */
void ehm_conv3_plan_bwd(ehm_conv3 *c, ehm_plan *plan, ehm_dtype act, int64_t batch) {
    c->col_bwd = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, act, batch * cells(c), NEAR * c->width);
    c->dcol = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, act, batch * cells(c), NEAR * c->width);
}

/* The buffer as rows of cells with all their neighbours, what products read; filled from x first where there
 * is one. */
static ehm_view neighbours(ehm_dev *d, const ehm_conv3 *c, ehm_view col, ehm_view x, int64_t b) {
    if (x.rank)
        ehm_mix_fwd(d, ehm_fit3(col, b, cells(c) * NEAR, c->width), ehm_fit3(x, b, cells(c), c->width),
                    &c->table);
    return ehm_fit2(col, b * cells(c), NEAR * c->width);
}

void ehm_conv3_fwd(ehm_dev *d, const ehm_conv3 *c, ehm_view out, ehm_view x, const ehm_linear *l,
                   const ehm_weights *w, int64_t b) {
    ehm_linear_fwd(d, out, neighbours(d, c, c->col, x, b), l, w, ehm_view_none());
}

void ehm_conv3_bwd(ehm_dev *d, const ehm_conv3 *c, ehm_view dx, bool accumulate, ehm_view dout,
                   ehm_view dout_bias, ehm_view x, const ehm_linear *l, const ehm_weights *w,
                   const ehm_grads *g, int64_t b) {
    ehm_view dcol = ehm_fit2(c->dcol, b * cells(c), NEAR * c->width);
    ehm_linear_bwd(d, dcol, dout, dout_bias, neighbours(d, c, c->col_bwd, x, b), l, w, g);
    ehm_mix_bwd(d, ehm_fit3(dx, b, cells(c), c->width), ehm_fit3(dcol, b, cells(c) * NEAR, c->width),
                &c->table, accumulate);
}

/* ---- convolution, norm, GELU ---- */

void ehm_tower_layer_add(ehm_tower_layer *t, ehm_params *ps, const char *name, int64_t width) {
    char full[64];
    snprintf(full, sizeof full, "%s.conv", name);
    ehm_linear_add(&t->conv, ps, full, width, NEAR * width);
    snprintf(full, sizeof full, "%s.norm", name);
    ehm_norm_add(&t->norm, ps, full, width);
}

void ehm_tower_plan(ehm_tower_cache *c, ehm_plan *plan, ehm_mem_kind kind, ehm_dtype act, int64_t rows,
                    int64_t width) {
    ehm_dtype real = ehm_dev_real(plan->dev);
    c->y = ehm_plan_2d(plan, kind, NULL, real, rows, width);
    c->n = ehm_plan_2d(plan, kind, NULL, act, rows, width);
    c->a = ehm_plan_2d(plan, kind, NULL, act, rows, width);
    c->norm.mean = ehm_plan_1d(plan, kind, NULL, real, rows);
    c->norm.rstd = ehm_plan_1d(plan, kind, NULL, real, rows);
}

void ehm_tower_plan_bwd(ehm_tower_scratch *s, ehm_plan *plan, ehm_dtype act, int64_t rows, int64_t width) {
    ehm_dtype real = ehm_dev_real(plan->dev);
    s->dy = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, real, rows, width);
    s->dn = act == real ? ehm_view_none() : ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, act, rows, width);
}

void ehm_norm_gelu_fwd(ehm_dev *d, const ehm_tower_cache *c, const ehm_norm *norm, const ehm_weights *w,
                       int64_t rows, int64_t width) {
    ehm_view n = ehm_fit2(c->n, rows, width);
    ehm_norm_layer_fwd(d, n, &c->norm, ehm_fit2(c->y, rows, width), norm, w);
    ehm_gelu_fwd(d, &(ehm_gelu_fwd_args){.out = ehm_fit2(c->a, rows, width), .x = n});
}

ehm_view ehm_norm_gelu_bwd(ehm_dev *d, ehm_view *dy_act, ehm_view da, const ehm_tower_scratch *s,
                           const ehm_tower_cache *c, const ehm_norm *norm, const ehm_weights *w,
                           const ehm_grads *g) {
    int64_t R = da.dim[0], C = da.dim[1];
    ehm_view dn = ehm_feed(d, s->dn, da), dy = ehm_fit2(s->dy, R, C);
    ehm_gelu_bwd(d, &(ehm_gelu_bwd_args){.dx = dn, .dout = dn, .x = ehm_fit2(c->n, R, C)});
    ehm_norm_layer_bwd(d, dy, false, dn, ehm_fit2(c->y, R, C), &c->norm, norm, w, g);
    *dy_act = ehm_feed(d, s->dn, dy);
    return dy;
}

void ehm_tower_layer_fwd(ehm_dev *d, const ehm_conv3 *g, const ehm_tower_cache *c, ehm_view x,
                         const ehm_tower_layer *t, const ehm_weights *w, int64_t b) {
    ehm_conv3_fwd(d, g, ehm_fit2(c->y, b * cells(g), g->width), x, &t->conv, w, b);
    ehm_norm_gelu_fwd(d, c, &t->norm, w, b * cells(g), g->width);
}

void ehm_tower_layer_bwd(ehm_dev *d, const ehm_conv3 *g, ehm_view dx, bool accumulate, ehm_view da,
                         const ehm_tower_scratch *s, const ehm_tower_cache *c, ehm_view x,
                         const ehm_tower_layer *t, const ehm_weights *w, const ehm_grads *gr, int64_t b) {
    ehm_view dy_act,
        dy = ehm_norm_gelu_bwd(d, &dy_act, ehm_fit2(da, b * cells(g), g->width), s, c, &t->norm, w, gr);
    ehm_conv3_bwd(d, g, dx, accumulate, dy_act, dy, x, &t->conv, w, gr, b);
}
