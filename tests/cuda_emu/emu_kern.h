/* Kernels on the host: the words of CUDA C that src/compute/cuda uses, for the tests. The threads of a block run in turn, each until it
 * waits (a barrier, a shuffle); blocks run one after the other. What is checked beside results: memory (each device buffer is a
 * block of its own, so the address sanitizer sees its ends), shared memory that is read before it was written (it starts as NaN),
 * a barrier that some threads do not reach, and order: EHM_EMU_ORDER=down runs threads and blocks from the last to the first, and
 * what races gives other bits then. */
#ifndef EHM_TESTS_EMU_KERN_H
#define EHM_TESTS_EMU_KERN_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct { uint32_t x, y, z; } dim3;
#define EHM_DIM3(x, y, z) ((dim3){(x), (y), (z)})
extern dim3 emu_thread, emu_block, emu_threads, emu_blocks;
#define threadIdx emu_thread
#define blockIdx emu_block
#define blockDim emu_threads
#define gridDim emu_blocks

#define DEV static inline
#define KERNEL(name, type) EMU_KERNEL(name, type) /* name may be a macro's */
#define EMU_KERNEL(name, type)                                                  \
    static void name(const type job);                                           \
    static void name##_thread(const void *job) { name(*(const type *)job); }    \
    static void name(const type job)
#define KERNEL_BOUND(name, type, threads, blocks) KERNEL(name, type)
#define SHARED static
#define DYNAMIC_SHARED(type, name) type *name = (type *)emu_shared()
#define BARRIER() emu_barrier()
#define UNROLL
#define EMU_LAUNCH(c, name, grid, threads, bytes, job, flat)                                                        \
    do {                                                                                                            \
        ehm_cuda_enter(c);                                                                                          \
        if (!(c)->err.code) emu_launch((c)->stream, #name, name##_thread, (grid), (threads), (bytes), &(job), sizeof(job), flat);             \
    } while (0)
#define LAUNCH_SHARED(c, name, grid, threads, bytes, job) EMU_LAUNCH(c, name, grid, threads, bytes, job, false)
#define LAUNCH(c, name, grid, threads, job) EMU_LAUNCH(c, name, grid, threads, 0, job, false)
#define LAUNCH_FLAT(c, name, grid, threads, job) EMU_LAUNCH(c, name, grid, threads, 0, job, true)
#define EHM_ALIGN(n) __attribute__((aligned(n)))

void emu_launch(void *stream, const char *name, void (*thread)(const void *job), dim3 grid, uint32_t threads, size_t shared_bytes, const void *job,
                size_t job_bytes, bool flat);
void *emu_shared(void);
void emu_barrier(void);
/* What each of a warp's 32 threads gave, in order; they all come here. Valid until the next call. */
const void *emu_warp(const void *mine, size_t bytes);

static inline float shuffle_xor(float x, int32_t lane) {
    return ((const float *)emu_warp(&x, sizeof x))[(emu_thread.x % 32) ^ (uint32_t)lane];
}
static inline double shuffle_xor_double(double x, int32_t lane) {
    return ((const double *)emu_warp(&x, sizeof x))[(emu_thread.x % 32) ^ (uint32_t)lane];
}
static inline float f32_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, 4);
    return x;
}
static inline uint32_t bits_f32(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}
static inline float times_rounded(float a, float b) { return a * b; } /* the build contracts nothing */
static inline uint64_t multiply_high(uint64_t a, uint64_t b) { return (uint64_t)((unsigned __int128)a * b >> 64); }
static inline uint32_t warp_least(uint32_t x) {
    const uint32_t *all = emu_warp(&x, sizeof x);
    for (int32_t i = 0; i < 32; i++) x = all[i] < x ? all[i] : x;
    return x;
}
static inline uint32_t emu_bf16(float x) {
    uint32_t u = bits_f32(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (u >> 16) | 0x40u;
    return (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
}
static inline uint32_t pack_bf16(float low, float high) { return emu_bf16(low) | emu_bf16(high) << 16; }

/* The tensor core's product, as PTX ISA describes the fragments of mma.m16n8k16. */
typedef struct { uint32_t a[4], b[2]; } emu_fragments;
static inline float emu_half(uint32_t pair, int32_t high) { return f32_bits(high ? pair & 0xffff0000u : pair << 16); }
static inline void mma_bf16(float *c, const uint32_t *a, const uint32_t *b) {
    emu_fragments mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const emu_fragments *all = emu_warp(&mine, sizeof mine);
    const int32_t lane = (int32_t)(emu_thread.x % 32);
    for (int32_t i = 0; i < 4; i++) {
        const int32_t row = lane / 4 + (i >= 2 ? 8 : 0), column = lane % 4 * 2 + i % 2;
        float sum = 0;
        for (int32_t k = 0; k < 16; k++) {
            const int32_t pair = k % 8 / 2;
            sum += emu_half(all[row % 8 * 4 + pair].a[(row >= 8) + 2 * (k >= 8)], k % 2) * emu_half(all[column * 4 + pair].b[k >= 8], k % 2);
        }
        c[i] += sum;
    }
}
static inline void load_turned(uint32_t *b, const uint16_t *row) {
    const uint16_t *const *all = emu_warp(&row, sizeof row);
    const int32_t lane = (int32_t)(emu_thread.x % 32), g = lane / 4, t = lane % 4;
    for (int32_t i = 0; i < 2; i++) b[i] = all[8 * i + 2 * t][g] | (uint32_t)all[8 * i + 2 * t + 1][g] << 16;
}
#endif
