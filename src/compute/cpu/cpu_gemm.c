/* Matrix products: how they are cut into tasks, and the packed weights that are kept between calls.
 *
 * The scheme is that of Goto and van de Geijn (2008): k is cut into blocks short enough that a panel of b
 * stays in the first cache, a block of a lies packed in the second. What decides bits is only how k is cut,
 * which follows from the shape and the kernel; the size of the tiles may therefore follow the number of
 * threads. Products with a small result and a long k (weight gradients) are also cut along k; each part has
 * its own sums, added in order at the end.
 */
#include "compute/cpu/cpu_int.h"
#include <string.h>

struct ehm_packed_weight {
    const void *b; /* address of the matrix; NULL: a free place */
    const ehm_gemm_kern *kern;
    int64_t n, k, ldb;
    bool trans, bf16;
    uint64_t epoch; /* the weights' epoch it was packed in */
    float *packed;
    size_t bytes;
};

typedef struct {
    const ehm_gemm *g;
    const ehm_gemm_kern *kern;
    ehm_cpu *c;
    int64_t units, n_chunks, chunk; /* k in units, cut into n_chunks of `chunk` (the last may be shorter) */
    int64_t n_splits, chunks_per_split;
    int64_t mt, nt, n_i, n_j; /* tile and how many */
    const float *packed_b;    /* whole, or NULL: each task packs its own */
    float *partial;           /* [n_splits][m][n], n_splits > 1 */
    size_t b_at, acc_at;      /* places in a thread's scratch, floats */
} job;

static int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t chunk_units(const job *j, int64_t c) { return least(j->chunk, j->units - c * j->chunk); }
static int64_t per_unit(const ehm_gemm_kern *k) { return k->pairs ? 2 : 1; }

/* By shape and kernel alone: this decides bits. */
static void cut_k(job *j) {
    const ehm_gemm *g = j->g;
    j->units = up(g->k, per_unit(j->kern));
    j->n_chunks = most(1, up(j->units, j->kern->kc_max));
    j->chunk = most(1, up(up(j->units, j->n_chunks), 8) * 8);
    j->n_chunks = most(1, up(j->units, j->chunk));
    int64_t tiles = up(g->m, 96) * up(g->n, 256), want = up(32, tiles);
    j->n_splits = most(1, least(want, j->n_chunks / 2));
    j->chunks_per_split = up(j->n_chunks, j->n_splits);
    j->n_splits = up(j->n_chunks, j->chunks_per_split);
}

/* The tile that takes least time by a small model in cycles: multiply-adds, packing (again for every tile
 * that needs it), reading b, and the end when threads wait for the last task. Any choice gives the same bits.
 */
static void cut_tiles(job *j) {
    static const int32_t rows[] = {24, 48, 96, 144, 192, 288, 384, 576},
                         cols[] = {32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2304, 3072};
    const ehm_gemm *g = j->g;
    const int64_t mr = j->kern->mr, nr = j->kern->nr, threads = j->c->n_threads;
    double best = 0, k = (double)least(j->chunks_per_split * j->chunk, j->units), per_mac = 1.0 / (double)nr;
    double a_cost = g->trans_a ? 0.7 : 0.4, b_cost = j->packed_b ? 0.2 : g->trans_b ? 1.6 : 0.8;
    j->mt = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t q = 0; q < sizeof cols / sizeof *cols; q++) {
            int64_t mt = up(up(g->m, up(g->m, rows[i])), mr) * mr,
                    nt = up(up(g->n, up(g->n, cols[q])), nr) * nr;
            int64_t tasks = up(g->m, mt) * up(g->n, nt) * j->n_splits;
            double one = k * ((double)(mt * nt) * per_mac + (double)mt * a_cost + (double)nt * b_cost) + 3000;
            /* acc and a block of a should share the second cache; beyond that, they come from the third */
            double bytes = 4.0 * (double)mt * ((double)j->chunk + (j->n_chunks > 1 ? (double)nt : 0.0));
            if (bytes > 400e3) one *= 1.02;
            if (bytes > 1500e3) one *= 1.05;
            double time = ((double)up(tasks, threads) + (threads > 1 ? 0.35 : 0)) * one;
            if (!j->mt || time < best) best = time, j->mt = mt, j->nt = nt;
        }
    j->n_i = up(g->m, j->mt), j->n_j = up(g->n, j->nt);
}

/* ---- one task ---- */
static void run_tiles(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const job *j = ctx;
    const ehm_gemm *g = j->g;
    const ehm_gemm_kern *kern = j->kern;
    float *a = j->c->own[i_thread].p, *b = a + j->b_at, *acc = a + j->acc_at;
    for (int64_t task = begin; task < end; task++) {
        /* neighbours in time share rows of a across threads and differ in columns; splits go outermost */
        int64_t split = task / (j->n_i * j->n_j), i = task / j->n_j % j->n_i, q = task % j->n_j;
        int64_t r0 = i * j->mt, c0 = q * j->nt, rn = least(j->mt, g->m - r0), cn = least(j->nt, g->n - c0);
        int64_t from = split * j->chunks_per_split, to = least(from + j->chunks_per_split, j->n_chunks);
        for (int64_t c = from; c < to; c++) {
            int64_t units = chunk_units(j, c), k0 = c * j->chunk * per_unit(kern),
                    kn = least(units * per_unit(kern), g->k - k0);
            ehm_gemm_block t = {.m = rn,
                                .n = cn,
                                .kc = units,
                                .a = a,
                                .a_row = !g->trans_a,
                                .first = c == from,
                                .last = c + 1 == to};
            t.a_panel = kern->mr * (g->trans_a ? units : EHM_TILE_ROW);
            kern->pack_a(a, t.a_panel, g->a, g->a_bf16, g->trans_a, g->lda, r0, rn, k0, kn);
            t.b_panel = units * kern->nr;
            if (j->packed_b) t.b = j->packed_b + c * j->chunk * up(g->n, kern->nr) * kern->nr + c0 * units;
            else {
                kern->pack_b(b, t.b_panel, g->b, g->b_bf16, g->trans_b, g->ldb, c0, cn, k0, kn);
                t.b = b;
            }
            t.acc = to - from > 1 ? acc : NULL;
            if (j->n_splits > 1) {
                t.out = j->partial + (split * g->m + r0) * g->n + c0;
                t.ld_out = g->n;
            } else {
                t.out = (char *)g->out + (r0 * g->n + c0) * (g->out_bf16 ? 2 : 4);
                t.ld_out = g->n, t.ld_add = g->n, t.out_bf16 = g->out_bf16, t.add_bf16 = g->add_bf16,
                t.accumulate = g->accumulate;
                t.bias = g->bias ? g->bias + c0 : NULL;
                t.add = g->add ? (const char *)g->add + (r0 * g->n + c0) * (g->add_bf16 ? 2 : 4) : NULL;
            }
            kern->block(&t);
        }
    }
}
/* The parts of k together, in order, then what the last block of an uncut product does. */
static void join_splits(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const job *j = ctx;
    const ehm_gemm *g = j->g;
    const int64_t n = g->n, whole = g->m * n;
    (void)i_thread;
    for (int64_t r = begin; r < end; r++) {
        float *restrict x = j->partial + r * n;
        for (int64_t s = 1; s < j->n_splits; s++) {
            const float *restrict y = j->partial + s * whole + r * n;
            for (int64_t i = 0; i < n; i++) x[i] += y[i];
        }
        if (g->bias)
            for (int64_t i = 0; i < n; i++) x[i] += g->bias[i];
        if (g->add && g->add_bf16)
            for (int64_t i = 0; i < n; i++) x[i] += ehm_f32_of(((const uint16_t *)g->add)[r * n + i]);
        else if (g->add)
            for (int64_t i = 0; i < n; i++) x[i] += ((const float *)g->add)[r * n + i];
        if (g->out_bf16) {
            uint16_t *o = (uint16_t *)g->out + r * n;
            for (int64_t i = 0; i < n; i++)
                o[i] = ehm_bf16_of(g->accumulate ? x[i] + ehm_f32_of(o[i]) : x[i]);
        } else {
            float *restrict o = (float *)g->out + r * n;
            if (g->accumulate)
                for (int64_t i = 0; i < n; i++) o[i] = x[i] + o[i];
            else memcpy(o, x, (size_t)n * 4);
        }
    }
}

/* ---- packed weights ---- */
typedef struct {
    const job *j;
    float *to;
    int64_t panels, per_task, tasks_per_chunk;
} pack_job;
static void pack_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const pack_job *p = ctx;
    const job *j = p->j;
    const ehm_gemm *g = j->g;
    const int64_t nr = j->kern->nr;
    (void)i_thread;
    for (int64_t t = begin; t < end; t++) {
        int64_t c = t / p->tasks_per_chunk, first = t % p->tasks_per_chunk * p->per_task,
                units = chunk_units(j, c);
        int64_t c0 = first * nr, cn = least(p->per_task * nr, g->n - c0),
                k0 = c * j->chunk * per_unit(j->kern);
        j->kern->pack_b(p->to + c * j->chunk * p->panels * nr + c0 * units, units * nr, g->b, g->b_bf16,
                        g->trans_b, g->ldb, c0, cn, k0, least(units * per_unit(j->kern), g->k - k0));
    }
}
static void pack_whole(const job *j, float *to) {
    pack_job p = {.j = j, .to = to, .panels = up(j->g->n, j->kern->nr)};
    p.per_task = most(1, least(8, p.panels / 4));
    p.tasks_per_chunk = up(p.panels, p.per_task);
    ehm_pool_for(j->c->pool, p.tasks_per_chunk * j->n_chunks, 1, pack_some, &p);
}
static size_t packed_bytes(const job *j) {
    return (size_t)(up(j->g->n, j->kern->nr) * j->kern->nr * most(1, j->units)) * 4;
}

static ehm_packed_weight *new_place(ehm_cpu *c) {
    for (int32_t i = 0; i < c->n_weights; i++)
        if (!c->weights[i].b) return &c->weights[i];
    if (c->n_weights == c->cap_weights) {
        int32_t cap = c->cap_weights ? 2 * c->cap_weights : 128;
        ehm_packed_weight *w = ehm_block_alloc((size_t)cap * sizeof *w);
        if (!w) return NULL;
        if (c->n_weights) memcpy(w, c->weights, (size_t)c->n_weights * sizeof *w);
        ehm_block_free(c->weights, (size_t)c->cap_weights * sizeof *w);
        c->weights = w, c->cap_weights = cap;
    }
    return &c->weights[c->n_weights++];
}
/* The packed form of a weight, made when it is new or has changed. NULL: the table is full by bytes, or there
 * is no memory for it; the product then packs into scratch, which costs time but changes nothing. */
static const float *packed_weight(const job *j) {
    ehm_cpu *c = j->c;
    const ehm_gemm *g = j->g;
    ehm_packed_weight *w = NULL;
    for (int32_t i = 0; i < c->n_weights && !w; i++) {
        ehm_packed_weight *e = &c->weights[i];
        if (e->b == g->b && e->kern == j->kern && e->n == g->n && e->k == g->k && e->ldb == g->ldb &&
            e->trans == g->trans_b && e->bf16 == g->b_bf16)
            w = e;
    }
    if (w && w->epoch == c->weight_epoch) return w->packed;
    if (!w) {
        size_t bytes = packed_bytes(j);
        if (c->weight_bytes + bytes > c->weight_bytes_max) return NULL;
        float *p = ehm_block_alloc(bytes);
        if (!p) return NULL;
        w = new_place(c);
        if (!w) {
            ehm_block_free(p, bytes);
            return NULL;
        }
        *w = (ehm_packed_weight){g->b, j->kern, g->n, g->k, g->ldb, g->trans_b, g->b_bf16, 0, p, bytes};
        c->weight_bytes += bytes;
    }
    pack_whole(j, w->packed);
    w->epoch = c->weight_epoch;
    return w->packed;
}
void ehm_cpu_weights_changed(ehm_cpu *c) { c->weight_epoch++; }
void ehm_cpu_weights_forget(ehm_cpu *c, const void *p, size_t bytes) {
    for (int32_t i = 0; i < c->n_weights; i++) {
        ehm_packed_weight *w = &c->weights[i];
        if (!w->b || (bytes != SIZE_MAX && ((const char *)w->b < (const char *)p ||
                                            (const char *)w->b >= (const char *)p + bytes)))
            continue;
        ehm_block_free(w->packed, w->bytes);
        c->weight_bytes -= w->bytes;
        *w = (ehm_packed_weight){0};
    }
    if (bytes == SIZE_MAX) {
        ehm_block_free(c->weights, (size_t)c->cap_weights * sizeof *c->weights);
        c->weights = NULL, c->n_weights = c->cap_weights = 0;
    }
}

/* ---- the product ---- */
void ehm_cpu_gemm(ehm_cpu *c, const ehm_gemm_kern *kern, const ehm_gemm *g) {
    job j = {.g = g, .kern = kern, .c = c};
    if (g->m <= 0 || g->n <= 0) return;
    cut_k(&j);
    size_t partial = 0;
    if (j.n_splits > 1) partial = (size_t)(j.n_splits * g->m * g->n) * 4;
    if (g->weight_b) {
        j.packed_b = packed_weight(&j);
        if (!j.packed_b) {
            char *s = ehm_cpu_shared(c, packed_bytes(&j) + 64 + partial);
            if (!s) return;
            pack_whole(&j, (float *)(void *)s);
            j.packed_b = (float *)(void *)s;
            j.partial = (float *)(void *)(s + (packed_bytes(&j) + 63) / 64 * 64);
        }
    }
    if (partial && !j.partial && !(j.partial = ehm_cpu_shared(c, partial))) return;
    cut_tiles(&j);
    size_t a_size = (size_t)(j.mt * EHM_TILE_ROW), b_size = j.packed_b ? 0 : (size_t)(j.nt * j.chunk);
    j.b_at = a_size, j.acc_at = a_size + (b_size + 15) / 16 * 16;
    size_t acc_size = j.chunks_per_split > 1 ? (size_t)(j.mt * j.nt) : 0;
    if (!ehm_cpu_own(c, (j.acc_at + acc_size) * 4)) return;
    ehm_pool_for(c->pool, j.n_splits * j.n_i * j.n_j, 1, run_tiles, &j);
    if (j.n_splits > 1) ehm_pool_for(c->pool, g->m, most(1, 65536 / (g->n * j.n_splits)), join_splits, &j);
}

void ehm_cpu_op_matmul(void *self, const ehm_matmul_args *a) {
    ehm_cpu *c = self;
    if (c->failed) return;
    int64_t last_a = a->a.dim[a->a.rank - 1], last_b = a->b.dim[a->b.rank - 1],
            n = a->out.dim[a->out.rank - 1];
    ehm_gemm g = {.m = n ? ehm_view_count(a->out) / n : 0, .n = n, .lda = last_a, .ldb = last_b};
    g.k = a->trans_a ? (last_a ? ehm_view_count(a->a) / last_a : 0) : last_a;
    g.a = ehm_ptr(a->a), g.b = ehm_ptr(a->b), g.out = ehm_ptr(a->out), g.add = ehm_ptr(a->add),
    g.bias = ehm_ptr(a->bias);
    g.a_bf16 = a->a.dtype == EHM_BF16, g.b_bf16 = a->b.dtype == EHM_BF16;
    g.out_bf16 = a->out.dtype == EHM_BF16, g.add_bf16 = a->add.dtype == EHM_BF16;
    g.trans_a = a->trans_a, g.trans_b = a->trans_b, g.accumulate = a->accumulate, g.weight_b = a->weight_b;
    const bool bf16 = g.a_bf16 && g.b_bf16;
    if (c->dnnl && (bf16 ? c->dnnl_bf16 : c->dnnl_f32) && g.a_bf16 == g.b_bf16 &&
        ehm_cpu_dnnl_matmul(c->dnnl, &g))
        return;
    ehm_cpu_gemm(c, bf16 && c->gemm_bf16 ? c->gemm_bf16 : c->gemm_f32, &g);
}
