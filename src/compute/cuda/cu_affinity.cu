/* From attention to the similarity of patches: attention among patches, its running mean, profiles, and the direct form. */
#include "compute/cuda/cuda_kern.h"

enum { THREADS = 256, TILE = 32, SCRATCH_MOST = 1 << 26 };

/* Does anything but rounding vary: the bounds are the reference's. */
DEV bool varies(float distance, float top) {
    float bound = 1e-6f * top;
    return distance > (bound > 1e-30f ? bound : 1e-30f);
}

/* ---- attention among patches: a block a row of probs ---- */

typedef struct {
    float *out, *cls; /* cls may be NULL */
    const float *probs;
    float weight;
    int64_t l;
    int32_t renormalise, accumulate;
} patches_job;
KERNEL(attn_patches, patches_job) {
    SHARED float of[THREADS / WARP];
    const int64_t l = job.l, i = (int64_t)(blockIdx.x % (uint64_t)(1 + l)) - 1, x = blockIdx.x / (1 + l);
    const float *p = job.probs + ((x * (1 + l)) + 1 + i) * (1 + l) + 1;
    float sum = 0, *out = i < 0 ? job.cls + x * l : job.out + (x * l + i) * l;
    if (i < 0 && !job.cls) return; /* the block as a whole */
    for (int64_t k = threadIdx.x; k < l; k += THREADS) sum += p[k];
    sum = block_sum(sum, of);
    const bool whole = i < 0 || !job.renormalise;
    for (int64_t k = threadIdx.x; k < l; k += THREADS) {
        float v = job.weight * (whole ? p[k] : sum != 0 ? p[k] / sum : 1 / (float)l);
        out[k] = job.accumulate ? out[k] + v : v;
    }
}
void ehm_cuda_op_attn_patches(void *self, const ehm_attn_patches_args *a) {
    patches_job j;
    j.out = (float *)ehm_ptr(a->out), j.cls = (float *)ehm_ptr(a->cls), j.probs = (const float *)ehm_ptr(a->probs);
    j.weight = a->weight, j.l = a->out.dim[1], j.renormalise = a->renormalise, j.accumulate = a->accumulate;
    LAUNCH((ehm_cuda *)self, attn_patches, blocks_of(a->out.dim[0] * (1 + j.l), 1), THREADS, j);
}

/* ---- running mean ---- */

typedef struct {
    float *mean, *count, *w;
    const float *x;
    float decay;
    int64_t pictures, n;
} mean_job;
KERNEL(mean_weight, mean_job) {
    if (threadIdx.x) return;
    double count = (double)job.count[0] + 1, decay = (double)job.decay;
    job.count[0] = (float)count;
    job.w[0] = (float)(decay < 1 ? (1 - decay) / (1 - pow(decay, count)) : 1 / count);
}
KERNEL(running_mean, mean_job) {
    const int64_t i = GLOBAL_ID;
    double sum = 0;
    if (i >= job.n) return;
    for (int64_t b = 0; b < job.pictures; b++) sum += (double)job.x[b * job.n + i];
    job.mean[i] += job.w[0] * ((float)(sum / (double)job.pictures) - job.mean[i]);
}
void ehm_cuda_op_running_mean(void *self, const ehm_running_mean_args *a) {
    ehm_cuda *c = (ehm_cuda *)self;
    mean_job j;
    j.mean = (float *)ehm_ptr(a->mean), j.count = (float *)ehm_ptr(a->count), j.x = (const float *)ehm_ptr(a->x), j.decay = a->decay;
    j.pictures = a->x.dim[0], j.n = a->x.dim[1];
    j.w = (float *)ehm_cuda_scratch(c, 0, sizeof(float));
    if (!j.w) return;
    LAUNCH_FLAT(c, mean_weight, EHM_DIM3(1, 1, 1), WARP, j);
    LAUNCH_FLAT(c, running_mean, blocks_of(j.n, THREADS), THREADS, j);
}

/* ---- profiles ---- */

typedef struct {
    float *s, *a, *rows, *columns, *f; /* rows and columns: of slices, of mean 0 and length 1, a column lying as a row; f [slices] */
    const float *mean; /* [C,L,L] or NULL */
    float weight;
    int64_t slices, slice, l;         /* slices a picture; number of the first one here */
    int32_t accumulate, standardise;
} stack_job;

KERNEL(profile_centre, stack_job) { /* a block a row: the mean comes off, the diagonal becomes the mean of the others */
    SHARED double of[THREADS / WARP];
    const int64_t l = job.l, slice = job.slice + blockIdx.x / l, i = blockIdx.x % l;
    float *x = job.a + (slice * l + i) * l;
    const float *mean = job.mean ? job.mean + (slice % job.slices * l + i) * l : NULL;
    double sum = 0;
    for (int64_t k = threadIdx.x; k < l; k += THREADS) {
        float v = x[k] - (mean ? mean[k] : 0);
        x[k] = v;
        if (k != i) sum += (double)v;
    }
    sum = block_sum_double(sum, of);
    if ((int64_t)threadIdx.x == i % THREADS) x[i] = l > 1 ? (float)(sum / (double)(l - 1)) : 0;
}
KERNEL(profile_units, stack_job) { /* a block a row (blockIdx.y 0) or a column */
    SHARED double of[THREADS / WARP];
    SHARED float of_max[THREADS / WARP];
    const int64_t l = job.l, here = blockIdx.x / l, i = blockIdx.x % l, step = blockIdx.y ? l : 1;
    const float *x = job.a + (job.slice + here) * l * l + (blockIdx.y ? i : i * l);
    float *unit = (blockIdx.y ? job.columns : job.rows) + (here * l + i) * l, top = 0, far = 0;
    double sum = 0, square = 0;
    for (int64_t k = threadIdx.x; k < l; k += THREADS) sum += (double)x[k * step], top = fmaxf(top, fabsf(x[k * step]));
    const double mean = block_sum_double(sum, of) / (double)l;
    top = block_max(top, of_max);
    for (int64_t k = threadIdx.x; k < l; k += THREADS) {
        double v = (double)x[k * step] - mean;
        far = fmaxf(far, fabsf((float)v)), square += v * v;
    }
    square = block_sum_double(square, of), far = block_max(far, of_max);
    const double f = varies(far, top) ? 1 / sqrt(square) : 0; /* times 0, what is not a number stays none */
    for (int64_t k = threadIdx.x; k < l; k += THREADS) unit[k] = (float)(((double)x[k * step] - mean) * f);
}
KERNEL(profile_products, stack_job) { /* a block a tile of a picture on or above the diagonal */
    SHARED float p[TILE][TILE + 1], q[TILE][TILE + 1];
    const int64_t l = job.l, row = (int64_t)blockIdx.y * TILE, column = (int64_t)blockIdx.x * TILE, picture = blockIdx.z;
    const int32_t x = (int32_t)threadIdx.x % TILE, y = (int32_t)threadIdx.x / TILE;
    enum { EACH = TILE * TILE / THREADS, APART = THREADS / TILE };
    float sum[EACH];
    if (column < row) return;
    for (int32_t e = 0; e < EACH; e++) sum[e] = 0;
    for (int64_t slice = 0; slice < 2 * job.slices; slice++) {
        const float *u = (slice % 2 ? job.columns : job.rows) + (picture * job.slices + slice / 2) * l * l;
        for (int64_t k = 0; k < l; k += TILE) {
            for (int32_t e = 0; e < EACH; e++) {
                const int64_t r = row + y + e * APART, c = column + y + e * APART;
                p[y + e * APART][x] = r < l && k + x < l ? u[r * l + k + x] : 0;
                q[y + e * APART][x] = c < l && k + x < l ? u[c * l + k + x] : 0;
            }
            BARRIER();
            for (int32_t d = 0; d < TILE; d++)
                UNROLL for (int32_t e = 0; e < EACH; e++) sum[e] += p[y + e * APART][d] * q[x][d];
            BARRIER();
        }
    }
    for (int32_t e = 0; e < EACH; e++) {
        const int64_t r = row + y + e * APART, c = column + x;
        float *s = job.s + (job.slice / job.slices + picture) * l * l, v = times_rounded(job.weight / (float)job.slices, sum[e]);
        if (r >= l || c >= l || c < r) continue;
        s[r * l + c] = job.accumulate ? s[r * l + c] + v : v; /* one rounded value for both places, so they keep the same bits */
        if (c > r) s[c * l + r] = job.accumulate ? s[c * l + r] + v : v;
    }
}
void ehm_cuda_op_attn_profile(void *self, const ehm_attn_profile_args *a) {
    ehm_cuda *c = (ehm_cuda *)self;
    stack_job j;
    const int64_t pictures = a->s.dim[0], l = a->a.dim[2], slices = a->a.dim[1];
    int64_t at_once = SCRATCH_MOST / (8 * slices * l * l);
    memset(&j, 0, sizeof j);
    j.s = (float *)ehm_ptr(a->s), j.a = (float *)ehm_ptr(a->a), j.mean = (const float *)ehm_ptr(a->mean);
    j.weight = a->weight, j.slices = slices, j.l = l, j.accumulate = a->accumulate;
    at_once = at_once < 1 ? 1 : at_once > pictures ? pictures : at_once;
    j.rows = (float *)ehm_cuda_scratch(c, 0, (size_t)(2 * at_once * slices * l * l) * sizeof(float));
    if (!j.rows) return;
    j.columns = j.rows + at_once * slices * l * l;
    for (int64_t first = 0; first < pictures; first += at_once) {
        const int64_t n = pictures - first < at_once ? pictures - first : at_once;
        const uint32_t rows = (uint32_t)(n * slices * l), tiles = (uint32_t)((l + TILE - 1) / TILE);
        j.slice = first * slices;
        LAUNCH(c, profile_centre, EHM_DIM3(rows, 1, 1), THREADS, j);
        LAUNCH(c, profile_units, EHM_DIM3(rows, 2, 1), THREADS, j);
        LAUNCH(c, profile_products, EHM_DIM3(tiles, tiles, (uint32_t)n), THREADS, j);
    }
}

/* ---- the direct form ---- */

KERNEL(direct_deviation, stack_job) { /* a block a slice; constant but for rounding: 1 */
    SHARED double of[THREADS / WARP];
    SHARED float of_max[THREADS / WARP];
    const int64_t l = job.l;
    const float *x = job.a + blockIdx.x * l * l;
    double sum = 0, square = 0, n = (double)(l * (l - 1));
    float top = 0, far = 0;
    for (int64_t i = threadIdx.x; i < l * l && job.standardise; i += THREADS)
        if (i % (l + 1)) sum += (double)x[i], top = fmaxf(top, fabsf(x[i]));
    const double mean = block_sum_double(sum, of) / (n > 0 ? n : 1);
    top = block_max(top, of_max);
    for (int64_t i = threadIdx.x; i < l * l && job.standardise; i += THREADS)
        if (i % (l + 1)) far = fmaxf(far, fabsf((float)((double)x[i] - mean))), square += ((double)x[i] - mean) * ((double)x[i] - mean);
    square = block_sum_double(square, of), far = block_max(far, of_max);
    if (!threadIdx.x) job.f[blockIdx.x] = (float)((double)job.weight / (2 * (double)job.slices) / (varies(far, top) ? sqrt(square / n) : 1));
}
KERNEL(direct_sum, stack_job) {
    const int64_t l = job.l, i = GLOBAL_ID, b = blockIdx.y, r = i / l, k = i % l;
    float sum = 0;
    if (i >= l * l) return;
    for (int64_t c = 0; c < job.slices; c++) {
        const float *x = job.a + (b * job.slices + c) * l * l;
        sum += job.f[b * job.slices + c] * (x[i] + x[k * l + r]);
    }
    float *s = job.s + b * l * l + i;
    *s = job.accumulate ? *s + sum : sum;
}
void ehm_cuda_op_attn_direct(void *self, const ehm_attn_direct_args *a) {
    ehm_cuda *c = (ehm_cuda *)self;
    stack_job j;
    memset(&j, 0, sizeof j);
    j.s = (float *)ehm_ptr(a->s), j.a = (float *)ehm_ptr(a->a);
    j.weight = a->weight, j.slices = a->a.dim[1], j.l = a->a.dim[2], j.accumulate = a->accumulate, j.standardise = a->standardise;
    const int64_t slices = a->a.dim[0] * j.slices;
    j.f = (float *)ehm_cuda_scratch(c, 0, (size_t)slices * sizeof(float));
    if (!j.f) return;
    LAUNCH(c, direct_deviation, EHM_DIM3((uint32_t)slices, 1, 1), THREADS, j);
    dim3 grid = blocks_of(j.l * j.l, THREADS);
    LAUNCH_FLAT(c, direct_sum, EHM_DIM3(grid.x, (uint32_t)a->a.dim[0], 1), THREADS, j);
}
