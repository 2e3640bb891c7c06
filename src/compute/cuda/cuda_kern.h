/* What every kernel file shares: how a kernel is written and launched, loads and stores of both activation types, sums over a
 * warp and a block in a fixed order.
 *
 *     typedef struct { float *x; float value; int64_t n; } fill_job;
 *     KERNEL(fill, fill_job) { int64_t i = GLOBAL_ID; if (i < job.n) job.x[i] = job.value; }
 *     ...  LAUNCH_FLAT(c, fill, blocks_of(n, 256), 256, job);
 *
 * The files are the common part of C and CUDA C: nvcc makes device code of them, and the tests compile the same lines for the host,
 * where tests/cuda_emu runs the threads of a block in turn. So a kernel takes one struct, shared memory is declared by SHARED and
 * DYNAMIC_SHARED, and a kernel that waits for others (barriers, shuffles) is started by LAUNCH, one that does not by LAUNCH_FLAT.
 * All threads of a warp take part in a shuffle (and in warp_least), all of a block in a barrier. Nothing adds atomically: the same bits each time. */
#ifndef EHM_COMPUTE_CUDA_KERN_H
#define EHM_COMPUTE_CUDA_KERN_H
#include "compute/cuda/cuda_int.h"
#include <math.h>

#ifdef __CUDACC__
#include <cuda_runtime.h>
#define EHM_DIM3(x, y, z) dim3((x), (y), (z))
#define EHM_ALIGN(n) __align__(n)
#define DEV static __device__ __forceinline__
#define KERNEL(name, type) static __global__ void name(const type job)
/* At most so many threads a block, and registers such that so many blocks fit on one multiprocessor. */
#define KERNEL_BOUND(name, type, threads, blocks) static __global__ void __launch_bounds__(threads, blocks) name(const type job)
#define SHARED __shared__
#define DYNAMIC_SHARED(type, name)                                    \
    extern __shared__ __align__(16) unsigned char ehm_dynamic_shared[]; \
    type *name = (type *)ehm_dynamic_shared
#define BARRIER() __syncthreads()
#define UNROLL _Pragma("unroll")
#define LAUNCH_SHARED(c, name, grid, threads, bytes, job)                                                               \
    do {                                                                                                                \
        void *ehm_args[] = {(void *)&(job)};                                                                            \
        if ((c)->err.code) break;                                                                                       \
        ehm_cuda_enter(c);                                                                                              \
        if ((bytes) > 40 * 1024) /* more than 48 KiB with the kernel's static ones must be asked for */                  \
            ehm_cuda_note((c), cudaFuncSetAttribute((const void *)name, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)(bytes)), #name); \
        ehm_cuda_note((c), cudaLaunchKernel((const void *)name, (grid), dim3(threads), ehm_args, (bytes), (cudaStream_t)(c)->stream), #name); \
    } while (0)
#define LAUNCH(c, name, grid, threads, job) LAUNCH_SHARED(c, name, grid, threads, (size_t)0, job)
#define LAUNCH_FLAT LAUNCH
DEV float shuffle_xor(float x, int32_t lane) { return __shfl_xor_sync(0xffffffffu, x, lane); }
DEV double shuffle_xor_double(double x, int32_t lane) { return __shfl_xor_sync(0xffffffffu, x, lane); }
DEV float f32_bits(uint32_t u) { return __uint_as_float(u); }
DEV uint32_t pack_bf16(float low, float high) {
    uint32_t u;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(u) : "f"(high), "f"(low));
    return u;
}
/* c[16,8] += a[16,16] b[16,8] by a warp's tensor core, in the layout of PTX's mma.m16n8k16: with g = lane / 4 and t = lane % 4, c holds (g, 2t), (g, 2t + 1),
 * (g + 8, 2t), (g + 8, 2t + 1); a pairs of columns 2t, 2t + 1 of rows g and g + 8, then of columns 2t + 8, 2t + 9; b pairs of rows 2t, 2t + 1, then
 * 2t + 8, 2t + 9, of column g. */
DEV void mma_bf16(float *c, const uint32_t *a, const uint32_t *b) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/* b as mma_bf16 wants it, from shared memory that holds b's rows: lane i < 16 gives the place of row i's 8 values, 16 bytes aligned. */
DEV void load_turned(uint32_t *b, const uint16_t *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(b[0]), "=r"(b[1])
                 : "r"((uint32_t)__cvta_generic_to_shared(row))
                 : "memory");
}
DEV uint32_t bits_f32(float x) { return __float_as_uint(x); }
DEV float times_rounded(float a, float b) { return __fmul_rn(a, b); } /* rounded by itself, never as one with a sum: what the host does */
DEV uint64_t multiply_high(uint64_t a, uint64_t b) { return __umul64hi(a, b); } /* the upper half of 128 bits */
DEV uint32_t warp_least(uint32_t x) { return __reduce_min_sync(0xffffffffu, x); }
#else
#include <emu_kern.h> /* tests/cuda_emu */
#endif

enum { WARP = 32 };
#define GLOBAL_ID ((int64_t)blockIdx.x * (int64_t)blockDim.x + (int64_t)threadIdx.x)

/* Blocks for n items of so many a block. */
static inline dim3 blocks_of(int64_t n, int64_t per_block) {
    int64_t blocks = (n + per_block - 1) / per_block;
    return EHM_DIM3((uint32_t)blocks, 1, 1);
}

/* ---- numbers ---- */

typedef struct { const void *p; int32_t bf16; } cu_in;   /* f32 or bf16 values */
typedef struct { void *p; int32_t bf16; } cu_out;

DEV float bf16_up(uint16_t h) { return f32_bits((uint32_t)h << 16); }
DEV uint16_t bf16_down(float x) { /* round to nearest even; NaN stays NaN */
    uint32_t u = bits_f32(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
DEV float load(cu_in v, int64_t i) { return v.bf16 ? bf16_up(((const uint16_t *)v.p)[i]) : ((const float *)v.p)[i]; }
DEV void store(cu_out v, int64_t i, float x) {
    if (v.bf16) ((uint16_t *)v.p)[i] = bf16_down(x);
    else ((float *)v.p)[i] = x;
}
DEV cu_in as_in(cu_out v) {
    cu_in w;
    w.p = v.p, w.bf16 = v.bf16;
    return w;
}

/* Four neighbours at once, their place a multiple of 16 bytes (f32) or 8 (bf16). */
typedef struct { float v[4]; } quad;
typedef struct EHM_ALIGN(16) { float v[4]; } quad_f32;
typedef struct EHM_ALIGN(8) { uint32_t v[2]; } quad_bf16;
DEV quad load4(cu_in v, int64_t i) {
    quad q;
    if (v.bf16) {
        quad_bf16 h = *(const quad_bf16 *)((const uint16_t *)v.p + i);
        q.v[0] = f32_bits(h.v[0] << 16), q.v[1] = f32_bits(h.v[0] & 0xffff0000u);
        q.v[2] = f32_bits(h.v[1] << 16), q.v[3] = f32_bits(h.v[1] & 0xffff0000u);
    } else {
        quad_f32 f = *(const quad_f32 *)((const float *)v.p + i);
        q.v[0] = f.v[0], q.v[1] = f.v[1], q.v[2] = f.v[2], q.v[3] = f.v[3];
    }
    return q;
}
DEV void store4(cu_out v, int64_t i, quad q) {
    if (v.bf16) {
        quad_bf16 h;
        h.v[0] = (uint32_t)bf16_down(q.v[0]) | (uint32_t)bf16_down(q.v[1]) << 16;
        h.v[1] = (uint32_t)bf16_down(q.v[2]) | (uint32_t)bf16_down(q.v[3]) << 16;
        *(quad_bf16 *)((uint16_t *)v.p + i) = h;
    } else {
        quad_f32 f;
        f.v[0] = q.v[0], f.v[1] = q.v[1], f.v[2] = q.v[2], f.v[3] = q.v[3];
        *(quad_f32 *)((float *)v.p + i) = f;
    }
}

/* ---- sums, the same in all threads ---- */

DEV float warp_sum(float x) {
    for (int32_t lane = WARP / 2; lane; lane /= 2) x += shuffle_xor(x, lane);
    return x;
}
DEV double warp_sum_double(double x) {
    for (int32_t lane = WARP / 2; lane; lane /= 2) x += shuffle_xor_double(x, lane);
    return x;
}
DEV float warp_max(float x) {
    for (int32_t lane = WARP / 2; lane; lane /= 2) x = fmaxf(x, shuffle_xor(x, lane));
    return x;
}
/* of has a place for each warp of the block; it can be used again at once */
DEV float block_sum(float x, float *of) {
    const int32_t warps = (int32_t)blockDim.x / WARP, i = (int32_t)threadIdx.x;
    float sum = 0;
    x = warp_sum(x);
    if (i % WARP == 0) of[i / WARP] = x;
    BARRIER();
    for (int32_t w = 0; w < warps; w++) sum += of[w];
    BARRIER();
    return sum;
}
DEV double block_sum_double(double x, double *of) {
    const int32_t warps = (int32_t)blockDim.x / WARP, i = (int32_t)threadIdx.x;
    double sum = 0;
    x = warp_sum_double(x);
    if (i % WARP == 0) of[i / WARP] = x;
    BARRIER();
    for (int32_t w = 0; w < warps; w++) sum += of[w];
    BARRIER();
    return sum;
}
DEV float block_max(float x, float *of) {
    const int32_t warps = (int32_t)blockDim.x / WARP, i = (int32_t)threadIdx.x;
    float top = -INFINITY;
    x = warp_max(x);
    if (i % WARP == 0) of[i / WARP] = x;
    BARRIER();
    for (int32_t w = 0; w < warps; w++) top = fmaxf(top, of[w]);
    BARRIER();
    return top;
}

/* ---- from the views of compute.h ---- */

static inline bool is_bf16(ehm_view v) { return v.dtype == EHM_BF16; }
static inline cu_in in_of(ehm_view v) {
    cu_in w;
    w.p = ehm_ptr(v), w.bf16 = v.rank && is_bf16(v);
    return w;
}
static inline cu_out out_of(ehm_view v) {
    cu_out w;
    w.p = ehm_ptr(v), w.bf16 = v.rank && is_bf16(v);
    return w;
}
/* May four values be moved at once, were i a multiple of four. */
static inline int32_t quads_fit(ehm_view v) {
    return !v.rank || (uintptr_t)ehm_ptr(v) % (is_bf16(v) ? 8 : 16) == 0;
}
#endif
