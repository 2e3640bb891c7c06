/* The emulated device: its memory, copies, and what it says of itself. */
#include "compute/cuda/cuda_int.h"
#include "emu_stream.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define EXACT 1 /* each buffer is a block of its own, so that its ends are seen */
#else
#define EXACT 0 /* all buffers lie in one range, which is open only to kernels and copies */
#endif

enum { PAGE = 4096, BLOCKS_MAX = 4096 };
static const size_t range_bytes = (size_t)16 << 30;

static struct {
    char *range;
    size_t used; /* of the range: places are not used twice */
    struct { void *p; size_t n; } block[BLOCKS_MAX];
    size_t taken;
} memory;

static long number(const char *name, long otherwise) {
    const char *v = getenv(name);
    return v && *v ? strtol(v, NULL, 10) : otherwise;
}
static size_t device_bytes(void) { return (size_t)number("EHM_EMU_BYTES", 8l << 30); }

void emu_memory_open(void) {
    if (!EXACT && memory.used) mprotect(memory.range, memory.used, PROT_READ | PROT_WRITE);
}
void emu_memory_close(void) {
    if (!EXACT && memory.used) mprotect(memory.range, memory.used, PROT_NONE);
}

cudaError_t cudaMalloc(void **p, size_t n) {
    int i = 0;
    *p = NULL;
    if (emu_refused()) return cudaErrorStreamCaptureUnsupported;
    if (memory.taken + n > device_bytes()) return cudaErrorMemoryAllocation;
    while (i < BLOCKS_MAX && memory.block[i].p) i++;
    if (i == BLOCKS_MAX) return cudaErrorMemoryAllocation;
    if (EXACT) {
        *p = aligned_alloc(256, (n + 255) / 256 * 256);
    } else {
        size_t whole = (n + PAGE - 1) / PAGE * PAGE;
        if (!memory.range) {
            void *r = mmap(NULL, range_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            memory.range = r == MAP_FAILED ? NULL : r;
        }
        if (!memory.range || memory.used + whole > range_bytes) return cudaErrorMemoryAllocation;
        *p = memory.range + memory.used;
        memory.used += whole;
    }
    if (!*p) return cudaErrorMemoryAllocation;
    memory.block[i].p = *p, memory.block[i].n = n;
    memory.taken += n;
    emu_memory_open();
    memset(*p, 0xff, n); /* NaN: nothing is promised of new memory */
    emu_memory_close();
    return cudaSuccess;
}
cudaError_t cudaFree(void *p) {
    if (!p) return cudaSuccess;
    if (emu_refused()) return cudaErrorStreamCaptureUnsupported;
    emu_wait_all();
    for (int i = 0; i < BLOCKS_MAX; i++) {
        if (memory.block[i].p != p) continue;
        memory.taken -= memory.block[i].n;
        if (EXACT) free(p);
        else madvise(p, (memory.block[i].n + PAGE - 1) / PAGE * PAGE, MADV_DONTNEED);
        memory.block[i].p = NULL;
        return cudaSuccess;
    }
    return cudaErrorInvalidValue;
}
cudaError_t cudaHostAlloc(void **p, size_t n, unsigned flags) {
    (void)flags;
    if (emu_refused()) return cudaErrorStreamCaptureUnsupported;
    *p = malloc(n);
    return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFreeHost(void *p) { return free(p), cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *all) {
    *all = device_bytes();
    *free_bytes = *all - memory.taken;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *version) { return *version = (int)number("EHM_EMU_DRIVER", 13000), cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int *version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int *n) {
    int driver;
    *n = (int)number("EHM_EMU_DEVICES", 1);
    cudaDriverGetVersion(&driver);
    return driver < 13000 ? cudaErrorInsufficientDriver : *n ? cudaSuccess : cudaErrorNoDevice;
}
static _Thread_local int current;
cudaError_t cudaSetDevice(int i) { return current = i, cudaSuccess; }
int emu_device(void) { return current; }
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int i) {
    (void)i;
    *p = (struct cudaDeviceProp){.name = "emulated GPU", .totalGlobalMem = device_bytes(), .sharedMemPerBlockOptin = 232448, .major = 9,
                                 .multiProcessorCount = 4};
    return cudaSuccess;
}
cudaError_t cudaGetLastError(void) { return cudaSuccess; }
const char *cudaGetErrorString(cudaError_t e) {
    return e == cudaErrorMemoryAllocation ? "out of memory" : e == cudaErrorNoDevice ? "no CUDA-capable device is detected" : "emulated error";
}
/* In cuBLASLt's place: plain loops, or nothing with EHM_CUDA_GEMM=own, so that our own kernel makes the products. As its header says, a bias
 * must be of out's type; with EHM_EMU_BLAS=no-bias none is taken. */
struct ehm_cuda_blas { char none; };
ehm_code ehm_cuda_blas_open(ehm_cuda_blas **out, ehm_cuda *c, ehm_err *err) { return (void)out, (void)c, (void)err, EHM_OK; }
void ehm_cuda_blas_close(ehm_cuda_blas *b) { (void)b; }
const char *ehm_cuda_blas_about(const ehm_cuda_blas *b) { return (void)b, "products of the host"; }

static float value(const void *p, bool bf16, int64_t i) { return bf16 ? ehm_f32_of(((const uint16_t *)p)[i]) : ((const float *)p)[i]; }
static void widen(float *out, const void *p, bool bf16, int64_t rows, int64_t columns, bool turn) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) out[r * columns + c] = value(p, bf16, turn ? c * rows + r : r * columns + c);
}
static void multiply(const void *data) {
    const ehm_cuda_product *p = data;
    float *a = malloc((size_t)(p->m * p->k) * sizeof *a), *b = malloc((size_t)(p->k * p->n) * sizeof *b), *row = malloc((size_t)p->n * sizeof *row);
    if (!a || !b || !row) abort();
    emu_memory_open();
    widen(a, p->a, p->in_bf16, p->m, p->k, p->trans_a);
    widen(b, p->b, p->in_bf16, p->k, p->n, p->trans_b);
    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < p->n; j++) row[j] = (p->bias ? value(p->bias, p->bias_bf16, j) : 0) + (p->add ? value(p->add, p->out_bf16, i * p->n + j) : 0);
        for (int64_t k = 0; k < p->k; k++)
            for (int64_t j = 0; j < p->n; j++) row[j] += a[i * p->k + k] * b[k * p->n + j];
        for (int64_t j = 0; j < p->n; j++) {
            if (p->out_bf16) ((uint16_t *)p->out)[i * p->n + j] = ehm_bf16_of(row[j]);
            else ((float *)p->out)[i * p->n + j] = row[j];
        }
    }
    emu_memory_close();
    free(a), free(b), free(row);
}
bool ehm_cuda_blas_multiply(ehm_cuda *c, const ehm_cuda_product *p) {
    const char *how = getenv("EHM_CUDA_GEMM"), *blas = getenv("EHM_EMU_BLAS");
    if (c->err.code) return true;
    if (p->bias && (p->bias_bf16 != p->out_bf16 || (blas && !strcmp(blas, "no-bias")))) return false;
    if (how && !strcmp(how, "own")) return false;
    emu_put(c->stream, multiply, p, sizeof *p);
    return true;
}
