#include "net/layer.h"
#include <math.h>
#include <stdio.h>

bool ehm_stack_add(ehm_stack *s, ehm_params *ps, ehm_arena *a, const char *prefix, int32_t n_blocks,
                   int64_t dim, int32_t num_heads, int64_t mlp_dim) {
    *s = (ehm_stack){.block = EHM_NEW_N(a, ehm_block, n_blocks),
                     .n_blocks = n_blocks,
                     .num_heads = num_heads,
                     .dim = dim,
                     .mlp_dim = mlp_dim};
    if (!s->block) return false;
    for (int32_t i = 0; i < n_blocks; i++) {
        ehm_block *b = &s->block[i];
        char name[64];
#define NAME(part) (snprintf(name, sizeof name, "%s.%d.%s", prefix, (int)i, part), name)
        ehm_norm_add(&b->norm1, ps, NAME("norm1"), dim);
        ehm_linear_add(&b->qkv, ps, NAME("attn.qkv"), 3 * dim, dim);
        ehm_linear_add(&b->proj, ps, NAME("attn.proj"), dim, dim);
        ehm_norm_add(&b->norm2, ps, NAME("norm2"), dim);
        ehm_linear_add(&b->fc1, ps, NAME("mlp.fc1"), mlp_dim, dim);
        ehm_linear_add(&b->fc2, ps, NAME("mlp.fc2"), dim, mlp_dim);
#undef NAME
        snprintf(b->label_attn, sizeof b->label_attn, "%.16s.%d.attn", prefix, (int)i);
        snprintf(b->label_mlp, sizeof b->label_mlp, "%.16s.%d.mlp", prefix, (int)i);
    }
    return true;
}

float ehm_stack_scale(const ehm_stack *s) { return (float)(1.0 / sqrt((double)(s->dim / s->num_heads))); }

bool ehm_stack_pass_open(ehm_stack_pass *p, const ehm_stack *s, int32_t batch, int32_t n_tokens, bool train,
                         ehm_dtype act, ehm_arena *a) {
    int32_t n = train ? s->n_blocks : 1;
    *p = (ehm_stack_pass){.stack = s, .batch = batch, .n_tokens = n_tokens, .train = train, .act = act};
    p->x = EHM_NEW_N(a, ehm_view, n + 1);
    p->cache = EHM_NEW_N(a, ehm_block_cache, n);
    return p->x && p->cache;
}

static void plan_norm(ehm_norm_cache *c, ehm_plan *plan, ehm_mem_kind kind, int64_t rows) {
    ehm_dtype real = ehm_dev_real(plan->dev);
    c->mean = ehm_plan_1d(plan, kind, NULL, real, rows);
    c->rstd = ehm_plan_1d(plan, kind, NULL, real, rows);
}

static void plan_attention(ehm_block_cache *c, const ehm_stack_pass *p, ehm_plan *plan, ehm_mem_kind kind) {
    int64_t rows = (int64_t)p->batch * p->n_tokens, D = p->stack->dim;
    c->h1 = ehm_plan_2d(plan, kind, NULL, p->act, rows, D);
    plan_norm(&c->norm1, plan, kind, rows);
    c->qkv = ehm_plan_2d(plan, kind, NULL, p->act, rows, 3 * D);
    c->att = ehm_plan_2d(plan, kind, NULL, p->act, rows, D);
    c->lse = ehm_plan_2d(plan, kind, NULL, ehm_dev_real(plan->dev), p->batch * (int64_t)p->stack->num_heads,
                         p->n_tokens);
}

static void plan_mlp(ehm_block_cache *c, const ehm_stack_pass *p, ehm_plan *plan, ehm_mem_kind kind) {
    int64_t rows = (int64_t)p->batch * p->n_tokens;
    c->h2 = ehm_plan_2d(plan, kind, NULL, p->act, rows, p->stack->dim);
    plan_norm(&c->norm2, plan, kind, rows);
    c->u = ehm_plan_2d(plan, kind, NULL, p->act, rows, p->stack->mlp_dim);
    c->g = ehm_plan_2d(plan, kind, NULL, p->act, rows, p->stack->mlp_dim);
}

/* The residual stream comes first, so that a caller may put what lives shorter (the embedding) between it and
 * the blocks' scratch. */
void ehm_stack_pass_plan_fwd(ehm_stack_pass *p, ehm_plan *plan) {
    int64_t rows = (int64_t)p->batch * p->n_tokens, D = p->stack->dim;
    ehm_mem_kind kind = p->train ? EHM_MEM_CACHE : EHM_MEM_SCRATCH;
    int32_t n = p->train ? p->stack->n_blocks : 0;
    for (int32_t i = 0; i <= n; i++)
        p->x[i] = ehm_plan_2d(plan, kind, NULL, ehm_dev_real(plan->dev), rows, D);
    p->keep = p->drop_path ? ehm_plan_3d(plan, EHM_MEM_INPUT, NULL, ehm_dev_real(plan->dev),
                                         p->stack->n_blocks, 2, p->batch)
                           : ehm_view_none();
}

void ehm_stack_pass_plan_blocks(ehm_stack_pass *p, ehm_plan *plan) {
    int64_t rows = (int64_t)p->batch * p->n_tokens, D = p->stack->dim;
    size_t start = ehm_plan_mark(plan);
    /* A branch is scaled before it is added, so the sum cannot be the product's own; it stays as exact as
     * that one. */
    p->branch = p->drop_path ? ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, ehm_dev_real(plan->dev), rows, D)
                             : ehm_view_none();
    if (!p->train) {
        ehm_block_cache *c = &p->cache[0];
        size_t mark = ehm_plan_mark(plan);
        plan_attention(c, p, plan, EHM_MEM_SCRATCH);
        ehm_plan_release(plan, mark);
        plan_mlp(c, p, plan, EHM_MEM_SCRATCH);
        ehm_plan_release(plan, start);
        c->x_mid = p->x[0];
        return;
    }
    ehm_plan_release(plan, start);
    for (int32_t i = 0; i < p->stack->n_blocks; i++) {
        ehm_block_cache *c = &p->cache[i];
        plan_attention(c, p, plan, EHM_MEM_CACHE);
        c->x_mid = ehm_plan_2d(plan, EHM_MEM_CACHE, NULL, ehm_dev_real(plan->dev), rows, D);
        plan_mlp(c, p, plan, EHM_MEM_CACHE);
    }
}

void ehm_stack_pass_plan_bwd(ehm_stack_pass *p, ehm_plan *plan) {
    int64_t rows = (int64_t)p->batch * p->n_tokens, D = p->stack->dim, M = p->stack->mlp_dim;
    size_t mark = ehm_plan_mark(plan);
    p->dbranch = p->drop_path ? ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, ehm_dev_real(plan->dev), rows, D)
                              : ehm_view_none();
    /* Where act is the residual's own type the gradient feeds the products as it is. */
    p->da = p->act == ehm_dev_real(plan->dev) ? ehm_view_none()
                                              : ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, p->act, rows, D);
    p->dwide = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, p->act, rows, M > 3 * D ? M : 3 * D);
    p->dnarrow = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, p->act, rows, D);
    ehm_plan_release(plan, mark);
}

ehm_view ehm_stack_in(const ehm_stack_pass *p, int64_t b, int64_t n) {
    return ehm_fit3(p->x[0], b, n, p->stack->dim);
}
ehm_view ehm_stack_out(const ehm_stack_pass *p, int64_t b, int64_t n) {
    return ehm_fit3(p->x[p->train ? p->stack->n_blocks : 0], b, n, p->stack->dim);
}
ehm_view ehm_stack_qkv(const ehm_stack_pass *p, int64_t b, int64_t n, int32_t i_block) {
    return ehm_fit3(p->cache[p->train ? i_block : 0].qkv, b, n, 3 * p->stack->dim);
}

static ehm_view lse_of(const ehm_block_cache *c, const ehm_stack *s, int64_t b, int64_t n) {
    return ehm_fit3(c->lse, b, s->num_heads, n);
}

static void tap_probs(ehm_dev *d, const ehm_stack_pass *p, const ehm_block_cache *c, int32_t i, int64_t b,
                      int64_t n, const ehm_taps *taps) {
    for (int32_t k = 0; taps && k < taps->n_taps; k++) {
        const ehm_tap *t = &taps->tap[k];
        if (t->i_block == i && t->probs.rank)
            ehm_attn_probs(d, &(ehm_attn_probs_args){.probs = t->probs,
                                                     .qkv = ehm_fit3(c->qkv, b, n, 3 * p->stack->dim),
                                                     .n_heads = p->stack->num_heads,
                                                     .scale = ehm_stack_scale(p->stack),
                                                     .per_head = t->probs.rank == 4});
    }
}

static void tap_hidden(ehm_dev *d, ehm_view x, int32_t i, const ehm_taps *taps) {
    for (int32_t k = 0; taps && k < taps->n_taps; k++)
        if (taps->tap[k].i_block == i && taps->tap[k].hidden.rank)
            ehm_axpby(d, &(ehm_axpby_args){.out = taps->tap[k].hidden, .x = x, .a = 1, .b = 0});
}

/* What a branch of each picture is multiplied by, [b]; half 0 the attention, 1 the MLP. */
static ehm_view keep_of(const ehm_stack_pass *p, int32_t i_block, int32_t half, int64_t b) {
    return ehm_view_rows(ehm_fit2(p->keep, 2 * (int64_t)p->stack->n_blocks, b), 2 * i_block + half, 1);
}

/* out = x + l(in), the branch scaled for each picture where it may be dropped. All [R,D]. */
static void add_branch(ehm_dev *d, const ehm_stack_pass *p, ehm_view out, ehm_view x, ehm_view in,
                       const ehm_linear *l, const ehm_weights *w, int32_t i_block, int32_t half, int64_t b) {
    if (!p->drop_path) {
        ehm_linear_fwd(d, out, in, l, w, x);
        return;
    }
    int64_t n = x.dim[0] / b, D = x.dim[1];
    ehm_view y = ehm_fit2(p->branch, x.dim[0], D);
    ehm_linear_fwd(d, y, in, l, w, ehm_view_none());
    ehm_add_scaled(d, &(ehm_add_scaled_args){.out = ehm_fit3(out, b, n, D),
                                             .x = ehm_fit3(x, b, n, D),
                                             .y = ehm_fit3(y, b, n, D),
                                             .s = keep_of(p, i_block, half, b)});
}

/* The gradient that reaches a branch from that of the sum. */
static ehm_view branch_grad(ehm_dev *d, const ehm_stack_pass *p, ehm_view dx, int32_t i_block, int32_t half,
                            int64_t b) {
    if (!p->drop_path) return dx;
    int64_t n = dx.dim[0] / b, D = dx.dim[1];
    ehm_view y = ehm_fit2(p->dbranch, dx.dim[0], D);
    ehm_scale_samples(d, &(ehm_scale_samples_args){.out = ehm_fit3(y, b, n, D),
                                                   .x = ehm_fit3(dx, b, n, D),
                                                   .s = keep_of(p, i_block, half, b)});
    return y;
}

void ehm_stack_draw_keep(float *keep, int32_t n_blocks, int64_t b, const int64_t *slot, double rate,
                         uint64_t seed, int64_t epoch) {
    for (int64_t k = 0; k < b; k++) {
        ehm_rng rng = ehm_rng_of(seed, EHM_RNG_drop_path, (uint32_t)epoch, (uint64_t)slot[k]);
        for (int32_t i = 0; i < n_blocks; i++) {
            double drop = n_blocks > 1 ? rate * i / (n_blocks - 1) : 0;
            for (int32_t half = 0; half < 2; half++) {
                bool kept = ehm_rng_f64(&rng) >= drop;
                keep[(2 * (int64_t)i + half) * b + k] = kept ? (float)(1 / (1 - drop)) : 0;
            }
        }
    }
}

void ehm_stack_fwd(ehm_dev *d, ehm_stack_pass *p, const ehm_weights *w, int64_t b, int64_t n,
                   const ehm_taps *taps) {
    const ehm_stack *s = p->stack;
    int64_t R = b * n, D = s->dim, M = s->mlp_dim;
    int32_t last = taps && taps->n_blocks >= 0 && taps->n_blocks < s->n_blocks ? taps->n_blocks : s->n_blocks;
    for (int32_t i = 0; i < last; i++) {
        const ehm_block *l = &s->block[i];
        const ehm_block_cache *c = &p->cache[p->train ? i : 0];
        ehm_view x = ehm_fit2(p->x[p->train ? i : 0], R, D),
                 x_out = ehm_fit2(p->x[p->train ? i + 1 : 0], R, D), x_mid = ehm_fit2(c->x_mid, R, D);
        ehm_view h1 = ehm_fit2(c->h1, R, D), att = ehm_fit3(c->att, b, n, D), h2 = ehm_fit2(c->h2, R, D);
        ehm_view u = ehm_fit2(c->u, R, M), g = ehm_fit2(c->g, R, M), qkv = ehm_fit3(c->qkv, b, n, 3 * D);
        ehm_dev_label(d, l->label_attn);
        ehm_norm_layer_fwd(d, h1, &c->norm1, x, &l->norm1, w);
        ehm_linear_fwd(d, qkv, h1, &l->qkv, w, ehm_view_none());
        tap_probs(d, p, c, i, b, n, taps);
        if (taps && taps->look) taps->look(taps->ctx, d, i, qkv);
        if (taps && taps->only_qkv && i == last - 1) break;
        ehm_attn_fwd(d, &(ehm_attn_fwd_args){.out = att,
                                             .lse = lse_of(c, s, b, n),
                                             .qkv = qkv,
                                             .n_heads = s->num_heads,
                                             .scale = ehm_stack_scale(s)});
        add_branch(d, p, x_mid, x, ehm_fit2(c->att, R, D), &l->proj, w, i, 0, b);
        ehm_dev_label(d, l->label_mlp);
        ehm_norm_layer_fwd(d, h2, &c->norm2, x_mid, &l->norm2, w);
        ehm_linear_fwd(d, u, h2, &l->fc1, w, ehm_view_none());
        ehm_gelu_fwd(d, &(ehm_gelu_fwd_args){.out = g, .x = u});
        add_branch(d, p, x_out, x_mid, g, &l->fc2, w, i, 1, b);
        tap_hidden(d, x_out, i, taps);
    }
    ehm_dev_label(d, "");
}

/* The gradient of the residual stream in the type that products read. */
static ehm_view feed(ehm_dev *d, const ehm_stack_pass *p, ehm_view dx) {
    if (!p->da.rank) return dx;
    ehm_view da = ehm_fit2(p->da, dx.dim[0], dx.dim[1]);
    ehm_cast(d, &(ehm_cast_args){.out = da, .x = dx});
    return da;
}

void ehm_stack_bwd_with(ehm_dev *d, ehm_stack_pass *p, ehm_view dx3, const ehm_weights *w, const ehm_grads *g,
                        int64_t b, int64_t n, const ehm_stack_bwd_opt *opt) {
    const ehm_stack *s = p->stack;
    int64_t R = b * n, D = s->dim, M = s->mlp_dim;
    ehm_view dx = ehm_fit2(dx3, R, D), dh = ehm_fit2(p->dnarrow, R, D), du = ehm_fit2(p->dwide, R, M);
    ehm_view datt = ehm_fit3(p->dnarrow, b, n, D), dqkv = ehm_fit3(p->dwide, b, n, 3 * D);
    const int32_t first = opt ? opt->first_block : 0;
    for (int32_t i = s->n_blocks - 1; i >= first; i--) {
        const ehm_block *l = &s->block[i];
        const ehm_block_cache *c = &p->cache[i];
        if (opt && opt->join) opt->join(opt->ctx, d, i, dx);
        ehm_dev_label(d, l->label_mlp);
        ehm_view dy = branch_grad(d, p, dx, i, 1, b);
        ehm_linear_bwd(d, du, feed(d, p, dy), dy, ehm_fit2(c->g, R, M), &l->fc2, w, g);
        ehm_gelu_bwd(d, &(ehm_gelu_bwd_args){.dx = du, .dout = du, .x = ehm_fit2(c->u, R, M)});
        ehm_linear_bwd(d, dh, du, du, ehm_fit2(c->h2, R, D), &l->fc1, w, g);
        ehm_norm_layer_bwd(d, dx, true, dh, ehm_fit2(c->x_mid, R, D), &c->norm2, &l->norm2, w, g);
        ehm_dev_label(d, l->label_attn);
        dy = branch_grad(d, p, dx, i, 0, b);
        ehm_linear_bwd(d, datt, feed(d, p, dy), dy, ehm_fit2(c->att, R, D), &l->proj, w, g);
        ehm_attn_bwd(d, &(ehm_attn_bwd_args){.dqkv = dqkv,
                                             .dout = datt,
                                             .qkv = ehm_fit3(c->qkv, b, n, 3 * D),
                                             .out = ehm_fit3(c->att, b, n, D),
                                             .lse = lse_of(c, s, b, n),
                                             .n_heads = s->num_heads,
                                             .scale = ehm_stack_scale(s)});
        ehm_linear_bwd(d, dh, dqkv, dqkv, ehm_fit2(c->h1, R, D), &l->qkv, w, g);
        ehm_norm_layer_bwd(d, dx, true, dh, ehm_fit2(p->x[i], R, D), &c->norm1, &l->norm1, w, g);
    }
    ehm_dev_label(d, "");
}

void ehm_stack_bwd(ehm_dev *d, ehm_stack_pass *p, ehm_view dx, const ehm_weights *w, const ehm_grads *g,
                   int64_t b, int64_t n) {
    ehm_stack_bwd_with(d, p, dx, w, g, b, n, NULL);
}
