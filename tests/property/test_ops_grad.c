/* Every gradient op against finite differences, in double on "ref64".
 *
 * With random weights r the number L = sum of r * out depends on each input; its gradient by the op must be the slope by central
 * differences, element by element and along random directions through all elements at once. */
#include "ops_cases.h"

typedef struct {
    ehm_dev *d;
    ehm_buf *buf[24];
    int n;
} bench; /* the buffers of one gradient */

static ehm_view on_device(bench *b, const double *v, int32_t rank, const int64_t *dim) {
    ehm_err err = {0};
    ehm_view w = ehm_view_of(NULL, 0, EHM_F64, rank, dim);
    REQUIRE(b->n < 24);
    REQUIRE_OK(ehm_buf_new(&b->buf[b->n], b->d, ehm_view_bytes(w), &err), &err);
    w.buf = b->buf[b->n++];
    if (v) ehm_upload(b->d, w, v, ehm_view_bytes(w));
    return w;
}
static ehm_view of_arg(bench *b, const op_case *c, int k, const double *v) {
    const op_arg_case *t = &c->t[k];
    if (!t->rank) return ehm_view_none();
    if (t->type != T_I32) return on_device(b, v, t->rank, t->dim);
    ehm_err err = {0};
    int32_t host[4096];
    REQUIRE(b->n < 24 && t->n <= 4096);
    for (int64_t i = 0; i < t->n; i++) host[i] = (int32_t)t->v[i];
    REQUIRE_OK(ehm_buf_new(&b->buf[b->n], b->d, (size_t)t->n * 4, &err), &err);
    ehm_view w = ehm_view_of(b->buf[b->n++], 0, EHM_I32, t->rank, t->dim);
    ehm_upload(b->d, w, host, (size_t)t->n * 4);
    return w;
}
static void fetch(bench *b, double *to, ehm_view v) {
    if (v.rank) ehm_download(b->d, to, v, ehm_view_bytes(v));
}

/* Given r[k] for each output k, writes g[k] for each input k that has a gradient. The case has been run: got holds the outputs. */
typedef void (*gradient)(bench *b, const op_case *c, double *const r[], double *g[]);

static void grad_matmul(bench *b, const op_case *c, double *const r[], double *g[]) {
    bool ta = c->b[0], tb = c->b[1];
    ehm_view dy = of_arg(b, c, 0, r[0]), a = of_arg(b, c, 1, c->t[1].v), w = of_arg(b, c, 2, c->t[2].v);
    ehm_view da = of_arg(b, c, 1, NULL), dw = of_arg(b, c, 2, NULL), dbias = of_arg(b, c, 3, NULL);
    if (ta) ehm_matmul(b->d, &(ehm_matmul_args){.out = da, .a = w, .b = dy, .trans_a = tb, .trans_b = true});
    else ehm_matmul(b->d, &(ehm_matmul_args){.out = da, .a = dy, .b = w, .trans_b = !tb});
    if (tb) ehm_matmul(b->d, &(ehm_matmul_args){.out = dw, .a = dy, .b = a, .trans_a = true, .trans_b = ta});
    else ehm_matmul(b->d, &(ehm_matmul_args){.out = dw, .a = a, .b = dy, .trans_a = !ta});
    if (dbias.rank) ehm_colsum(b->d, &(ehm_colsum_args){dbias, dy, false});
    fetch(b, g[1], da);
    fetch(b, g[2], dw);
    fetch(b, g[3], dbias);
    if (c->t[0].role == INOUT) memcpy(g[0], r[0], (size_t)c->t[0].n * sizeof(double));
    if (c->t[4].rank && !c->t[4].is_first) memcpy(g[4], r[0], (size_t)c->t[0].n * sizeof(double));
    if (c->t[4].is_first) g[4] = NULL;
}
static void grad_norm_fwd(bench *b, const op_case *c, double *const r[], double *g[]) {
    ehm_view dy = of_arg(b, c, 0, r[0]), x = of_arg(b, c, 3, c->t[3].v), w = of_arg(b, c, 4, c->t[4].v);
    ehm_view mean = of_arg(b, c, 1, c->t[1].got), rstd = of_arg(b, c, 2, c->t[2].got);
    ehm_view dx = of_arg(b, c, 3, NULL), dw = of_arg(b, c, 4, NULL), db = of_arg(b, c, 5, NULL);
    ehm_norm_bwd(b->d, &(ehm_norm_bwd_args){dx, dw, db, dy, x, mean, rstd, w, false});
    fetch(b, g[3], dx);
    fetch(b, g[4], dw);
    fetch(b, g[5], db);
    /* mean and rstd are no outputs of the model: their weights are 0 */
    memset(r[1], 0, (size_t)c->t[1].n * sizeof(double));
    memset(r[2], 0, (size_t)c->t[2].n * sizeof(double));
}
static void grad_gelu_fwd(bench *b, const op_case *c, double *const r[], double *g[]) {
    ehm_view dy = of_arg(b, c, 0, r[0]), x = of_arg(b, c, 1, c->t[1].v), dx = of_arg(b, c, 1, NULL);
    ehm_gelu_bwd(b->d, &(ehm_gelu_bwd_args){dx, dy, x});
    fetch(b, g[1], dx);
}
static void grad_attn_fwd(bench *b, const op_case *c, double *const r[], double *g[]) {
    ehm_view dy = of_arg(b, c, 0, r[0]), out = of_arg(b, c, 0, c->t[0].got), lse = of_arg(b, c, 1, c->t[1].got);
    ehm_view qkv = of_arg(b, c, 2, c->t[2].v), dqkv = of_arg(b, c, 2, NULL);
    ehm_attn_bwd(b->d, &(ehm_attn_bwd_args){dqkv, dy, qkv, out, lse, c->i[0], (float)c->f[0]});
    fetch(b, g[2], dqkv);
    memset(r[1], 0, (size_t)c->t[1].n * sizeof(double));
}
static void grad_gather_rows(bench *b, const op_case *c, double *const r[], double *g[]) {
    ehm_view dy = of_arg(b, c, 0, r[0]), dx = of_arg(b, c, 1, NULL), idx = of_arg(b, c, 2, NULL);
    ehm_scatter_rows(b->d, &(ehm_scatter_rows_args){dx, dy, idx});
    fetch(b, g[1], dx);
    if (c->i[0]) g[1] = NULL; /* turned rows: no gradient is asked for */
}
static void grad_route_fwd(bench *b, const op_case *c, double *const r[], double *g[]) {
    ehm_view dy = of_arg(b, c, 0, r[0]), dx = of_arg(b, c, 1, NULL), dt = of_arg(b, c, 2, NULL), dp = of_arg(b, c, 3, NULL);
    ehm_view src = of_arg(b, c, 4, NULL), pos_idx = of_arg(b, c, 5, NULL);
    ehm_route_bwd(b->d, &(ehm_route_bwd_args){dx, dt, dp, dy, src, pos_idx});
    fetch(b, g[1], dx);
    fetch(b, g[2], dt);
    fetch(b, g[3], dp);
}
static void grad_mse(bench *b, const op_case *c, double *const r[], double *g[]) {
    (void)b;
    for (int64_t i = 0; i < c->t[0].n; i++) r[0][i] = (double)(float)c->f[0]; /* dpred is of scale * sum of row_loss */
    memset(r[1], 0, (size_t)c->t[1].n * sizeof(double));
    if (c->t[1].rank) memcpy(g[2], c->t[1].got, (size_t)c->t[1].n * sizeof(double));
    else g[2] = NULL;
    g[3] = NULL; /* the target is data */
}

static void grad_mix_rows_fwd(bench *b, const op_case *c, double *const r[], double *g[]) {
    ehm_view dy = of_arg(b, c, 0, r[0]), dx = of_arg(b, c, 1, NULL), idx = of_arg(b, c, 2, NULL), w = of_arg(b, c, 3, c->t[3].v);
    ehm_mix_rows_bwd(b->d, &(ehm_mix_rows_bwd_args){dx, dy, idx, w, false});
    fetch(b, g[1], dx);
    g[3] = NULL; /* weights are data */
}
static void grad_add_scaled(bench *b, const op_case *c, double *const r[], double *g[]) {
    ehm_view dout = of_arg(b, c, 0, r[0]), s = of_arg(b, c, 3, c->t[3].v), dy = of_arg(b, c, 2, NULL);
    ehm_scale_samples(b->d, &(ehm_scale_samples_args){dy, dout, s});
    fetch(b, g[2], dy);
    memcpy(g[c->t[1].is_first ? 0 : 1], r[0], (size_t)c->t[0].n * sizeof(double));
    if (c->t[1].is_first) g[1] = NULL;
    g[3] = NULL; /* drawn, not learnt */
}
/* Losses that write their gradient beside row_loss: it is that of scale * sum of row_loss towards `input`; all else is data. */
static void grad_loss(const op_case *c, double *const r[], double *g[], int row_loss, int slope_of, int input) {
    for (int k = 0; k < c->n; k++) {
        if (r[k]) memset(r[k], 0, (size_t)c->t[k].n * sizeof(double));
        if (k != input) g[k] = NULL;
    }
    for (int64_t i = 0; i < c->t[row_loss].n; i++) r[row_loss][i] = (double)(float)c->f[0];
    if (c->t[slope_of].rank) memcpy(g[input], c->t[slope_of].got, (size_t)c->t[slope_of].n * sizeof(double));
    else g[input] = NULL;
}
static void grad_xent(bench *b, const op_case *c, double *const r[], double *g[]) {
    (void)b;
    grad_loss(c, r, g, 1, 0, c->t[2].is_first ? 0 : 2);
}
static void grad_box_or_class(bench *b, const op_case *c, double *const r[], double *g[]) {
    (void)b;
    grad_loss(c, r, g, 0, 1, 2);
}

static const gradient gradients[EHM_OPS_N] = {
    [EHM_OP_matmul] = grad_matmul,       [EHM_OP_norm_fwd] = grad_norm_fwd,   [EHM_OP_gelu_fwd] = grad_gelu_fwd,
    [EHM_OP_attn_fwd] = grad_attn_fwd,   [EHM_OP_gather_rows] = grad_gather_rows,
    [EHM_OP_route_fwd] = grad_route_fwd, [EHM_OP_mse] = grad_mse,
    [EHM_OP_mix_rows_fwd] = grad_mix_rows_fwd, [EHM_OP_add_scaled] = grad_add_scaled, [EHM_OP_xent] = grad_xent,
    [EHM_OP_focal] = grad_box_or_class,  [EHM_OP_giou] = grad_box_or_class,
};

static double weighted(op_case *c, ehm_dev *d, double *const r[]) {
    double sum = 0;
    if (!case_run(c, d)) return NAN;
    for (int k = 0; k < c->n; k++)
        for (int64_t i = 0; c->t[k].role != IN && i < c->t[k].n; i++) sum += r[k][i] * c->t[k].got[i];
    return sum;
}

/* (L(x + h u) - L(x - h u)) / 2h along u, for input k */
static double slope(op_case *c, ehm_dev *d, double *const r[], int k, const double *u, double h) {
    op_arg_case *t = &c->t[k];
    double *keep = malloc((size_t)t->n * sizeof *keep), l[2];
    memcpy(keep, t->v, (size_t)t->n * sizeof *keep);
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < t->n; i++) t->v[i] = keep[i] + (side ? -h : h) * u[i];
        l[side] = weighted(c, d, r);
    }
    memcpy(t->v, keep, (size_t)t->n * sizeof *keep);
    free(keep);
    return (l[0] - l[1]) / (2 * h);
}

static void check_input(op_case *c, ehm_dev *d, double *const r[], int k, const double *g) {
    enum { ELEMENTS = 24, DIRECTIONS = 3 };
    const op_arg_case *t = &c->t[k];
    double *u = calloc((size_t)t->n, sizeof *u), top = 0, norm = 0;
    for (int64_t i = 0; i < t->n; i++) top = fmax(top, fabs(g[i])), norm += g[i] * g[i];
    for (int q = 0; q < ELEMENTS + DIRECTIONS; q++) {
        int64_t i = t->n <= ELEMENTS ? q : (int64_t)ehm_rng_below(&c->rng, (uint32_t)t->n);
        bool whole = q >= ELEMENTS;
        if (!whole && i >= t->n) continue;
        double want = 0;
        for (int64_t j = 0; j < t->n; j++) {
            u[j] = whole ? ehm_rng_normal(&c->rng) / sqrt((double)t->n) : j == i;
            want += u[j] * g[j];
        }
        double got = slope(c, d, r, k, u, 1e-4), scale = fmax(whole ? sqrt(norm) : top, 1);
        if (!(fabs(got - want) <= 2e-7 * scale)) {
            ehm_test_fail(__FILE__, __LINE__, "%s: gradient of %s %s %lld is %.12g by the op, %.12g by differences (largest %g)",
                          case_name(c, d), t->name, whole ? "along direction" : "at element", (long long)(whole ? q : i), want, got, top);
            break;
        }
    }
    free(u);
}

static void check_shape(ehm_dev *d, op_case *c, gradient of) {
    bench b = {.d = d};
    double *r[10] = {0}, *g[10] = {0}, *place[10] = {0};
    ehm_err err = {0};
    for (int k = 0; k < c->n; k++) {
        op_arg_case *t = &c->t[k];
        r[k] = EHM_NEW_N(&c->a, double, t->n + 1);
        for (int64_t i = 0; i < t->n; i++) r[k][i] = ehm_rng_normal(&c->rng);
        if (t->role != OUT && t->type != T_I32 && t->rank) g[k] = place[k] = EHM_NEW_N(&c->a, double, t->n + 1);
    }
    if (case_run(c, d)) {
        of(&b, c, r, g);
        CHECK_OK(ehm_dev_check(d, &err), &err);
        ehm_dev_reset_error(d);
        for (int k = 0; k < c->n; k++)
            if (g[k]) check_input(c, d, r, k, g[k]);
    }
    for (int k = 0; k < b.n; k++) ehm_buf_free(b.buf[k]);
}

TEST(ops, gradients_by_differences) {
    ehm_dev *d = device("ref64", 1);
    for (int op = 0; op < EHM_OPS_N; op++) {
        const ehm_op_info *info = &ehm_op_table[op];
        if (info->bwd[0] && !gradients[op])
            ehm_test_fail(__FILE__, __LINE__, "op %s has the gradient op %s and no row in `gradients`", info->name, info->bwd);
        op_case c;
        for (int i = 0; gradients[op] && case_make(&c, (ehm_op)op, i, EHM_F64); i++) {
            int64_t n = 0;
            for (int k = 0; k < c.n; k++) n += c.t[k].n;
            if (n < 12000) check_shape(d, &c, gradients[op]);
            case_free(&c);
        }
    }
    ehm_dev_close(d);
}
