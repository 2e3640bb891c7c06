/* Where tokens come from and go: patches of pixels, rows picked and put back, routing with position embeddings. */
#include "compute/cuda/cuda_kern.h"

enum { THREADS = 256, COLUMNS = 128, STRETCH_ROWS = 64 };

/* ---- patchify ---- */

typedef struct {
    float *patches;
    const void *pixels;
    const float *shift, *scale;
    int32_t u8, h, w, c, p, across;
    int64_t n, per_picture; /* values of all patches, and of a picture's */
} patchify_job;
KERNEL(patchify, patchify_job) {
    const int64_t i = GLOBAL_ID;
    if (i >= job.n) return;
    const int64_t b = i / job.per_picture, k = i % job.per_picture;
    const int32_t area = job.p * job.p * job.c, patch = (int32_t)(k / area), in = (int32_t)(k % area), channel = in % job.c;
    const int32_t y = patch / job.across * job.p + in / (job.p * job.c), x = patch % job.across * job.p + in / job.c % job.p;
    const int64_t at = ((b * job.h + y) * job.w + x) * job.c + channel;
    const float v = job.u8 ? (float)((const uint8_t *)job.pixels)[at] : ((const float *)job.pixels)[at];
    job.patches[i] = (v - job.shift[channel]) * job.scale[channel];
}
void ehm_cuda_op_patchify(void *self, const ehm_patchify_args *a) {
    patchify_job j;
    j.patches = (float *)ehm_ptr(a->patches), j.pixels = ehm_ptr(a->pixels);
    j.shift = (const float *)ehm_ptr(a->shift), j.scale = (const float *)ehm_ptr(a->scale);
    j.u8 = a->pixels.dtype == EHM_U8, j.p = a->patch;
    j.h = (int32_t)a->pixels.dim[1], j.w = (int32_t)a->pixels.dim[2], j.c = (int32_t)a->pixels.dim[3], j.across = j.w / j.p;
    j.per_picture = a->pixels.dim[1] * a->pixels.dim[2] * a->pixels.dim[3], j.n = a->pixels.dim[0] * j.per_picture;
    LAUNCH_FLAT((ehm_cuda *)self, patchify, blocks_of(j.n, THREADS), THREADS, j);
}

/* ---- gather and scatter: out[b,m,:] and x[b,idx[b,m],:] ---- */

typedef struct {
    cu_out out;
    cu_in x;
    const int32_t *idx;
    int64_t n, m, f, count; /* rows of x and of out a picture, width, values */
    int32_t area;           /* of a patch whose channels come first in out; 0: as they are */
    int32_t quads;
} rows_job;
KERNEL(gather_rows, rows_job) {
    const int64_t i = GLOBAL_ID;
    if (i >= job.count) return;
    const int64_t row = i / job.f, k = i % job.f, x = (row / job.m * job.n + job.idx[row]) * job.f, channels = job.area ? job.f / job.area : 1;
    store(job.out, i, load(job.x, x + (job.area ? k % job.area * channels + k / job.area : k)));
}
KERNEL(gather_quads, rows_job) {
    const int64_t i = GLOBAL_ID * 4;
    if (i >= job.count) return;
    const int64_t row = i / job.f;
    store4(job.out, i, load4(job.x, (row / job.m * job.n + job.idx[row]) * job.f + i % job.f));
}
KERNEL(scatter_rows, rows_job) { /* x is the short one, out the one whose rows are named */
    const int64_t i = GLOBAL_ID;
    if (i >= job.count) return;
    const int64_t row = i / job.f;
    store(job.out, (row / job.m * job.n + job.idx[row]) * job.f + i % job.f, load(job.x, i));
}
static void zero(ehm_cuda *c, ehm_view v) {
    ehm_fill_args a;
    a.x = v, a.value = 0;
    a.x.dim[0] = ehm_view_count(v), a.x.rank = 1;
    ehm_cuda_op_fill(c, &a);
}
static rows_job rows_of(ehm_view out, ehm_view x, ehm_view idx, int64_t n, int64_t f) {
    rows_job j;
    j.out = out_of(out), j.x = in_of(x), j.idx = (const int32_t *)ehm_ptr(idx);
    j.n = n, j.m = idx.dim[1], j.f = f, j.count = idx.dim[0] * idx.dim[1] * f, j.area = 0;
    j.quads = quads_fit(out) && quads_fit(x) && f % 4 == 0;
    return j;
}
void ehm_cuda_op_gather_rows(void *self, const ehm_gather_rows_args *a) {
    rows_job j = rows_of(a->out, a->x, a->idx, a->x.dim[1], a->x.dim[2]);
    j.area = a->channel_first_patch * a->channel_first_patch;
    if (j.quads && !j.area) LAUNCH_FLAT((ehm_cuda *)self, gather_quads, blocks_of(j.count / 4, THREADS), THREADS, j);
    else LAUNCH_FLAT((ehm_cuda *)self, gather_rows, blocks_of(j.count, THREADS), THREADS, j);
}
void ehm_cuda_op_scatter_rows(void *self, const ehm_scatter_rows_args *a) {
    rows_job j = rows_of(a->dx, a->dout, a->idx, a->dx.dim[1], a->dx.dim[2]);
    zero((ehm_cuda *)self, a->dx);
    LAUNCH_FLAT((ehm_cuda *)self, scatter_rows, blocks_of(j.count, THREADS), THREADS, j);
}

/* ---- routing ---- */

typedef struct {
    float *out;
    cu_in x;
    const float *tokens, *pos;
    const int32_t *src, *pos_idx;
    int64_t n, nx, d, count;
} route_job;
KERNEL(route_fwd, route_job) {
    const int64_t i = GLOBAL_ID;
    if (i >= job.count) return;
    const int64_t row = i / job.d, k = i % job.d, src = job.src[row];
    float v = src >= 0 ? load(job.x, (row / job.n * job.nx + src) * job.d + k) : job.tokens[(-1 - src) * job.d + k];
    if (job.pos) v += job.pos[(job.pos_idx ? (int64_t)job.pos_idx[row] : row % job.n) * job.d + k];
    job.out[i] = v;
}
void ehm_cuda_op_route_fwd(void *self, const ehm_route_fwd_args *a) {
    route_job j;
    j.out = (float *)ehm_ptr(a->out), j.x = in_of(a->x);
    j.tokens = (const float *)ehm_ptr(a->tokens), j.pos = (const float *)ehm_ptr(a->pos);
    j.src = (const int32_t *)ehm_ptr(a->src), j.pos_idx = (const int32_t *)ehm_ptr(a->pos_idx);
    j.n = a->out.dim[1], j.nx = a->x.dim[1], j.d = a->out.dim[2], j.count = a->out.dim[0] * j.n * j.d;
    LAUNCH_FLAT((ehm_cuda *)self, route_fwd, blocks_of(j.count, THREADS), THREADS, j);
}

typedef struct {
    cu_out dx;
    const float *dout;
    const int32_t *src;
    int64_t n, nx, d, count;
} route_dx_job;
KERNEL(route_dx, route_dx_job) {
    const int64_t i = GLOBAL_ID;
    if (i >= job.count) return;
    const int64_t row = i / job.d, src = job.src[row];
    if (src >= 0) store(job.dx, (row / job.n * job.nx + src) * job.d + i % job.d, job.dout[i]);
}

/* Sums of the rows that name a token (or a position): of stretches of rows, then of those in order. */
typedef struct {
    float *sums; /* [stretches,named,d] */
    const float *dout;
    const int32_t *name;  /* NULL: row % n */
    int32_t tokens;       /* row names token -1 - name where that is negative; else position name */
    int64_t rows, n, d, named;
} named_job;
DEV int64_t name_of(named_job job, int64_t row) {
    int64_t k = job.name ? (int64_t)job.name[row] : row % job.n;
    return job.tokens ? -1 - k : k;
}
KERNEL(token_sums, named_job) { /* few names: each thread a column, all names one after the other */
    const int64_t i = (int64_t)blockIdx.x * COLUMNS + threadIdx.x, begin = (int64_t)blockIdx.y * STRETCH_ROWS;
    const int64_t end = begin + STRETCH_ROWS < job.rows ? begin + STRETCH_ROWS : job.rows;
    if (i >= job.d) return;
    for (int64_t t = 0; t < job.named; t++) {
        float sum = 0;
        for (int64_t r = begin; r < end; r++)
            if (name_of(job, r) == t) sum += job.dout[r * job.d + i];
        job.sums[((int64_t)blockIdx.y * job.named + t) * job.d + i] = sum;
    }
}
typedef struct {
    float *out;
    const float *sums;
    int64_t count, stretches;
} stretches_job;
KERNEL(add_stretches, stretches_job) {
    const int64_t i = GLOBAL_ID;
    float sum = 0;
    if (i >= job.count) return;
    for (int64_t s = 0; s < job.stretches; s++) sum += job.sums[s * job.count + i];
    job.out[i] += sum;
}

/* Positions: for each the rows of a picture that name it, as a chain in their order. */
typedef struct {
    int32_t *first, *next; /* [B,named], [B,n]; -1 ends a chain */
    const int32_t *name;
    int64_t pictures, n, named;
} chain_job;
KERNEL(make_chains, chain_job) {
    const int64_t b = GLOBAL_ID;
    if (b >= job.pictures) return;
    for (int64_t p = 0; p < job.named; p++) job.first[b * job.named + p] = -1;
    for (int64_t i = job.n - 1; i >= 0; i--) {
        int32_t p = job.name ? job.name[b * job.n + i] : (int32_t)i;
        job.next[b * job.n + i] = job.first[b * job.named + p];
        job.first[b * job.named + p] = (int32_t)i;
    }
}
typedef struct {
    float *out;
    const float *dout;
    const int32_t *first, *next;
    int64_t pictures, n, named, d;
} position_job;
KERNEL(position_sums, position_job) {
    const int64_t i = (int64_t)blockIdx.x * COLUMNS + threadIdx.x, p = blockIdx.y;
    float sum = 0;
    if (i >= job.d) return;
    for (int64_t b = 0; b < job.pictures; b++)
        for (int64_t k = job.first[b * job.named + p]; k >= 0; k = job.next[b * job.n + k]) sum += job.dout[(b * job.n + k) * job.d + i];
    job.out[p * job.d + i] += sum;
}

static void add_to_tokens(ehm_cuda *c, const ehm_route_bwd_args *a) {
    named_job j;
    stretches_job s;
    j.dout = (const float *)ehm_ptr(a->dout), j.name = (const int32_t *)ehm_ptr(a->src), j.tokens = 1;
    j.n = a->dout.dim[1], j.rows = a->dout.dim[0] * j.n, j.d = a->dout.dim[2], j.named = a->dtokens.dim[0];
    int64_t stretches = (j.rows + STRETCH_ROWS - 1) / STRETCH_ROWS;
    j.sums = (float *)ehm_cuda_scratch(c, 0, (size_t)(stretches * j.named * j.d) * sizeof(float));
    if (!j.sums) return;
    LAUNCH_FLAT(c, token_sums, EHM_DIM3((uint32_t)((j.d + COLUMNS - 1) / COLUMNS), (uint32_t)stretches, 1), COLUMNS, j);
    s.out = (float *)ehm_ptr(a->dtokens), s.sums = j.sums, s.count = j.named * j.d, s.stretches = stretches;
    LAUNCH_FLAT(c, add_stretches, blocks_of(s.count, COLUMNS), COLUMNS, s);
}
static void add_to_positions(ehm_cuda *c, const ehm_route_bwd_args *a) {
    chain_job j;
    position_job p;
    j.pictures = a->dout.dim[0], j.n = a->dout.dim[1], j.named = a->dpos.dim[0], j.name = (const int32_t *)ehm_ptr(a->pos_idx);
    j.first = (int32_t *)ehm_cuda_scratch(c, 1, (size_t)(j.pictures * (j.named + j.n)) * sizeof(int32_t));
    if (!j.first) return;
    j.next = j.first + j.pictures * j.named;
    LAUNCH_FLAT(c, make_chains, blocks_of(j.pictures, WARP), WARP, j);
    p.out = (float *)ehm_ptr(a->dpos), p.dout = (const float *)ehm_ptr(a->dout), p.first = j.first, p.next = j.next;
    p.pictures = j.pictures, p.n = j.n, p.named = j.named, p.d = a->dout.dim[2];
    LAUNCH_FLAT(c, position_sums, EHM_DIM3((uint32_t)((p.d + COLUMNS - 1) / COLUMNS), (uint32_t)p.named, 1), COLUMNS, p);
}
void ehm_cuda_op_route_bwd(void *self, const ehm_route_bwd_args *a) {
    ehm_cuda *c = (ehm_cuda *)self;
    route_dx_job j;
    zero(c, a->dx);
    j.dx = out_of(a->dx), j.dout = (const float *)ehm_ptr(a->dout), j.src = (const int32_t *)ehm_ptr(a->src);
    j.n = a->dout.dim[1], j.nx = a->dx.dim[1], j.d = a->dout.dim[2], j.count = a->dout.dim[0] * j.n * j.d;
    LAUNCH_FLAT(c, route_dx, blocks_of(j.count, THREADS), THREADS, j);
    if (a->dtokens.rank) add_to_tokens(c, a);
    if (a->dpos.rank) add_to_positions(c, a);
}
