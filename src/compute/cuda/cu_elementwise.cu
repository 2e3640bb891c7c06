/* One value from one or two others: fills, conversions, GELU, residual branches, AdamW, averages. Memory-bound: four neighbours a thread where the
 * addresses allow it. */
#include "compute/cuda/cuda_kern.h"

enum { THREADS = 256, EACH = 4 };

/* What the kernels below take: y from x and z at i. */
typedef struct {
    cu_out y;
    cu_in x, z;
    float a, b;
    int64_t n, per_picture;
    const float *s;
    int32_t quads; /* may four be moved at once */
} map_job;

static map_job map_of(ehm_view y, ehm_view x, ehm_view z) {
    map_job j;
    memset(&j, 0, sizeof j);
    j.y = out_of(y), j.x = in_of(x), j.z = in_of(z);
    j.n = ehm_view_count(y);
    j.quads = quads_fit(y) && quads_fit(x) && quads_fit(z);
    return j;
}

/* A kernel over values: f(job, i, x, z, y's old value); reads says which of them it needs: 1 x, 2 z, 4 y. */
#define MAP_KERNEL(name, reads, f)                                                                                          \
    KERNEL(name, map_job) {                                                                                                 \
        const int64_t i = GLOBAL_ID * EACH;                                                                                 \
        if (job.quads && i + EACH <= job.n) {                                                                               \
            quad x, y, z;                                                                                                   \
            if ((reads) & 1) x = load4(job.x, i);                                                                           \
            if ((reads) & 2) z = load4(job.z, i);                                                                           \
            if ((reads) & 4) y = load4(as_in(job.y), i);                                                                    \
            UNROLL for (int32_t k = 0; k < EACH; k++)                                                                       \
                y.v[k] = f(job, i + k, (reads) & 1 ? x.v[k] : 0, (reads) & 2 ? z.v[k] : 0, (reads) & 4 ? y.v[k] : 0);       \
            store4(job.y, i, y);                                                                                            \
        } else {                                                                                                            \
            for (int64_t k = i; k < i + EACH && k < job.n; k++)                                                             \
                store(job.y, k, f(job, k, (reads) & 1 ? load(job.x, k) : 0, (reads) & 2 ? load(job.z, k) : 0,               \
                                  (reads) & 4 ? load(as_in(job.y), k) : 0));                                                \
        }                                                                                                                   \
    }
#define MAP(c, name, j) LAUNCH_FLAT(c, name, blocks_of((j).n, THREADS * EACH), THREADS, j)

DEV float f_fill(map_job job, int64_t i, float x, float z, float y) { return (void)i, (void)x, (void)z, (void)y, job.a; }
DEV float f_copy(map_job job, int64_t i, float x, float z, float y) { return (void)job, (void)i, (void)z, (void)y, x; }
DEV float f_scale(map_job job, int64_t i, float x, float z, float y) { return (void)i, (void)z, (void)y, job.a * x; }
DEV float f_axpby(map_job job, int64_t i, float x, float z, float y) { return (void)i, (void)z, job.a * x + job.b * y; }
DEV float f_ema(map_job job, int64_t i, float x, float z, float y) { return (void)i, (void)z, job.a * y + (1 - job.a) * x; }
DEV float f_add_scaled(map_job job, int64_t i, float x, float z, float y) { return (void)y, x + job.s[i / job.per_picture] * z; }
DEV float f_scale_sample(map_job job, int64_t i, float x, float z, float y) { return (void)z, (void)y, job.s[i / job.per_picture] * x; }
DEV float normal_cdf(float x) { return 0.5f * (1 + erff(x * 0.70710678118654752f)); }
DEV float f_gelu(map_job job, int64_t i, float x, float z, float y) {
    /* far below 0 the sum 1 + erf loses its digits */
    return (void)job, (void)i, (void)z, (void)y, x * (x < -1 ? 0.5f * erfcf(-x * 0.70710678118654752f) : normal_cdf(x));
}
DEV float f_gelu_bwd(map_job job, int64_t i, float x, float z, float y) {
    float cdf = x < -1 ? 0.5f * erfcf(-x * 0.70710678118654752f) : normal_cdf(x), density = 0.39894228040143268f * expf(-0.5f * x * x);
    return (void)job, (void)i, (void)y, z * (cdf + x * density);
}
MAP_KERNEL(fill, 0, f_fill)
MAP_KERNEL(copy, 1, f_copy)
MAP_KERNEL(scale_values, 1, f_scale)
MAP_KERNEL(axpby, 1 | 4, f_axpby)
MAP_KERNEL(ema, 1 | 4, f_ema)
MAP_KERNEL(add_scaled, 1 | 2, f_add_scaled)
MAP_KERNEL(scale_samples, 1, f_scale_sample)
MAP_KERNEL(gelu_fwd, 1, f_gelu)
MAP_KERNEL(gelu_bwd, 1 | 2, f_gelu_bwd)

void ehm_cuda_op_fill(void *self, const ehm_fill_args *a) {
    map_job j = map_of(a->x, ehm_view_none(), ehm_view_none());
    j.a = a->value;
    MAP((ehm_cuda *)self, fill, j);
}
void ehm_cuda_op_cast(void *self, const ehm_cast_args *a) {
    map_job j = map_of(a->out, a->x, ehm_view_none());
    MAP((ehm_cuda *)self, copy, j);
}
void ehm_cuda_op_axpby(void *self, const ehm_axpby_args *a) {
    map_job j = map_of(a->out, a->x, ehm_view_none());
    j.a = a->a, j.b = a->b;
    if (a->b == 0) MAP((ehm_cuda *)self, scale_values, j);
    else MAP((ehm_cuda *)self, axpby, j);
}
void ehm_cuda_op_ema(void *self, const ehm_ema_args *a) {
    map_job j = map_of(a->avg, a->p, ehm_view_none());
    j.a = a->decay;
    MAP((ehm_cuda *)self, ema, j);
}
void ehm_cuda_op_gelu_fwd(void *self, const ehm_gelu_fwd_args *a) {
    map_job j = map_of(a->out, a->x, ehm_view_none());
    MAP((ehm_cuda *)self, gelu_fwd, j);
}
void ehm_cuda_op_gelu_bwd(void *self, const ehm_gelu_bwd_args *a) {
    map_job j = map_of(a->dx, a->x, a->dout);
    MAP((ehm_cuda *)self, gelu_bwd, j);
}
void ehm_cuda_op_add_scaled(void *self, const ehm_add_scaled_args *a) {
    map_job j = map_of(a->out, a->x, a->y);
    j.s = (const float *)ehm_ptr(a->s), j.per_picture = a->out.dim[1] * a->out.dim[2];
    MAP((ehm_cuda *)self, add_scaled, j);
}
void ehm_cuda_op_scale_samples(void *self, const ehm_scale_samples_args *a) {
    map_job j = map_of(a->out, a->x, ehm_view_none());
    j.s = (const float *)ehm_ptr(a->s), j.per_picture = a->out.dim[1] * a->out.dim[2];
    MAP((ehm_cuda *)self, scale_samples, j);
}

/* ---- AdamW ---- */

typedef struct {
    float *p, *m, *v;
    const float *g, *factor;
    uint16_t *p_act; /* may be NULL */
    float shrink, step, beta1, beta2, rest1, rest2, rsqrt2, eps;
    int64_t n;
} adamw_job;
KERNEL(adamw, adamw_job) {
    const int64_t i = GLOBAL_ID;
    const float factor = job.factor[0];
    if (i >= job.n || isnan(factor)) return;
    float g = job.g[i] * factor, m = job.beta1 * job.m[i] + job.rest1 * g, v = job.beta2 * job.v[i] + job.rest2 * (g * g);
    float p = job.p[i] * job.shrink - job.step * (m / (sqrtf(v) * job.rsqrt2 + job.eps));
    job.m[i] = m, job.v[i] = v, job.p[i] = p;
    if (job.p_act) job.p_act[i] = bf16_down(p);
}
void ehm_cuda_op_adamw(void *self, const ehm_adamw_args *a) {
    ehm_cuda *c = (ehm_cuda *)self;
    adamw_job j;
    j.p = (float *)ehm_ptr(a->p), j.m = (float *)ehm_ptr(a->m), j.v = (float *)ehm_ptr(a->v);
    j.g = (const float *)ehm_ptr(a->g), j.factor = (const float *)ehm_ptr(a->factor);
    j.p_act = (uint16_t *)ehm_ptr(a->p_act);
    j.n = a->p.dim[0];
    j.shrink = (float)(1 - (double)a->lr * (double)a->weight_decay);
    j.step = (float)((double)a->lr / (1 - pow((double)a->beta1, (double)a->t)));
    j.rsqrt2 = (float)(1 / sqrt(1 - pow((double)a->beta2, (double)a->t)));
    j.beta1 = a->beta1, j.beta2 = a->beta2, j.rest1 = (float)(1 - (double)a->beta1), j.rest2 = (float)(1 - (double)a->beta2);
    j.eps = a->eps;
    LAUNCH_FLAT(c, adamw, blocks_of(j.n, THREADS), THREADS, j);
}
