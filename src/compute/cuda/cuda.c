/* The CUDA back end: the device, its memory, what is on its way there and back, and the table of functions.
 *
 * Ops, uploads and downloads are on one stream: they happen in the order of the calls, and nothing waits but a download and wait. An upload
 * copies into pinned memory and returns. What is uploaded ahead travels on a second stream, beside the ops; those that are started later wait for it. */
#include "compute/cuda/cuda_int.h"
#include "base/str.h"
#include "compute/cuda_plugin.h"
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAGING_LEAST = 1 << 22, STAGING_ALIGN = 256, KEPT_BYTES = 1 << 28 };

static cudaStream_t stream_of(const ehm_cuda *c) { return (cudaStream_t)c->stream; }

void ehm_cuda_enter(const ehm_cuda *c) { cudaSetDevice(c->index); }

void ehm_cuda_note(ehm_cuda *c, int what, const char *where) {
    if (!what || c->err.code) return;
    cudaGetLastError(); /* it is ours now */
    EHM_FAIL(&c->err, what == (int)cudaErrorMemoryAllocation ? EHM_E_MEMORY : EHM_E_DEVICE, "%s: %s", where,
             cudaGetErrorString((cudaError_t)what));
    if (what == (int)cudaErrorMemoryAllocation) EHM_HINT(&c->err, "a smaller --batch-size");
}

/* ---- opening ---- */

static void cuda_close(void *self) {
    ehm_cuda *c = self;
    if (!c) return;
    ehm_cuda_enter(c);
    if (c->stream) cudaStreamSynchronize(stream_of(c));
    ehm_cuda_graphs_close(c);
    ehm_cuda_blas_close(c->blas);
    for (int32_t i = 0; i < EHM_CUDA_SCRATCH; i++) cudaFree(c->scratch[i].p);
    cudaFreeHost(c->staging);
    cudaFreeHost(c->ahead);
    if (c->ahead_there) cudaEventDestroy((cudaEvent_t)c->ahead_there);
    if (c->ahead_stream) cudaStreamDestroy((cudaStream_t)c->ahead_stream);
    if (c->stream) cudaStreamDestroy(stream_of(c));
    free(c);
}

/* "cuda" is "cuda:0". */
static bool index_of(const char *name, int32_t *index) {
    char *end;
    *index = 0;
    if (!name[4]) return true;
    if (name[4] != ':' || name[5] < '0' || name[5] > '9') return false;
    long i = strtol(name + 5, &end, 10);
    *index = (int32_t)i;
    return !*end && i < 1024;
}

static ehm_code find_device(ehm_cuda *c, const char *name, ehm_err *err) {
    int n = 0;
    if (!index_of(name, &c->index)) {
        EHM_FAIL(err, EHM_E_CONFIG, "device \"%s\" is not known", name);
        EHM_HINT(err, "--device cuda, or cuda:1 for the second one");
        return EHM_E_CONFIG;
    }
    cudaError_t rc = cudaGetDeviceCount(&n);
    if (rc == cudaErrorInsufficientDriver) {
        int has = 0, wants = 0;
        cudaDriverGetVersion(&has), cudaRuntimeGetVersion(&wants);
        if (!has) EHM_FAIL(err, EHM_E_UNSUPPORTED, "device \"%s\": no NVIDIA driver is installed here", name);
        else
            EHM_FAIL(err, EHM_E_UNSUPPORTED, "device \"%s\": the NVIDIA driver is for CUDA up to %d.%d, and CUDA %d.%d is needed", name,
                     has / 1000, has % 1000 / 10, wants / 1000, wants % 1000 / 10);
        EHM_HINT(err, has ? "a newer NVIDIA driver, or --device cpu" : "--device cpu");
        return EHM_E_UNSUPPORTED;
    }
    if (rc && rc != cudaErrorNoDevice) return EHM_FAIL(err, EHM_E_DEVICE, "device \"%s\": %s", name, cudaGetErrorString(rc));
    if (c->index >= n) {
        if (n) EHM_FAIL(err, EHM_E_CONFIG, "device \"%s\": there %s %d here, counted from 0", name, n == 1 ? "is" : "are", n);
        else EHM_FAIL(err, EHM_E_UNSUPPORTED, "device \"%s\": no NVIDIA GPU is seen here", name);
        EHM_HINT(err, n ? "--device cuda:0" : "--device cpu");
        return n ? EHM_E_CONFIG : EHM_E_UNSUPPORTED;
    }
    return EHM_OK;
}

static ehm_code cuda_open(void **self, const char *name, int32_t n_threads, ehm_err *err) {
    struct cudaDeviceProp about;
    char memory[32];
    ehm_cuda *c = calloc(1, sizeof *c);
    (void)n_threads;
    *self = NULL;
    if (!c) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for device \"%s\"", name);
    ehm_code rc = find_device(c, name, err);
    if (rc) goto done;
    cudaError_t bad = cudaSetDevice(c->index);
    if (!bad) bad = cudaGetDeviceProperties(&about, c->index);
    if (!bad) bad = cudaStreamCreateWithFlags((cudaStream_t *)&c->stream, cudaStreamNonBlocking);
    if (!bad) bad = cudaStreamCreateWithFlags((cudaStream_t *)&c->ahead_stream, cudaStreamNonBlocking);
    if (!bad) bad = cudaEventCreateWithFlags((cudaEvent_t *)&c->ahead_there, cudaEventDisableTiming);
    if (bad) {
        rc = EHM_FAIL(err, EHM_E_DEVICE, "device \"%s\": %s", name, cudaGetErrorString(bad));
        EHM_HINT(err, "nvidia-smi shows what else runs there; --device cpu");
        goto done;
    }
    if (about.major < 8) {
        rc = EHM_FAIL(err, EHM_E_UNSUPPORTED, "device \"%s\": %s has compute capability %d.%d, and 8.0 is needed", name, about.name, about.major,
                      about.minor);
        EHM_HINT(err, "--device cpu");
        goto done;
    }
    c->multiprocessors = about.multiProcessorCount;
    c->shared_bytes = about.sharedMemPerBlockOptin;
    rc = ehm_cuda_blas_open(&c->blas, c, err);
    if (rc) goto done;
    snprintf(c->about, sizeof c->about, "%.80s, %s, compute capability %d.%d, %.60s", about.name,
             ehm_format_bytes((double)about.totalGlobalMem, memory), about.major, about.minor, ehm_cuda_blas_about(c->blas));
    *self = c;
    return EHM_OK;
done:
    cuda_close(c);
    return rc;
}

/* ---- memory ---- */

/* Without what ops take beside the plan (scratch, recorded sections): little, and known only once they run. */
static int64_t cuda_available(void *self) {
    size_t free_bytes = 0, all = 0;
    ehm_cuda_enter(self);
    if (cudaMemGetInfo(&free_bytes, &all)) return -1;
    size_t kept = all / 64 < KEPT_BYTES ? all / 64 : KEPT_BYTES;
    return free_bytes > kept ? (int64_t)(free_bytes - kept) : 0;
}

static ehm_code cuda_alloc(void *self, void **ptr, size_t bytes, ehm_err *err) {
    ehm_cuda *c = self;
    char wanted[32], free_now[32];
    ehm_cuda_enter(c);
    cudaError_t rc = cudaMalloc(ptr, bytes);
    if (!rc) rc = cudaMemsetAsync(*ptr, 0, bytes, stream_of(c));
    if (!rc) return EHM_OK;
    cudaGetLastError();
    if (rc != cudaErrorMemoryAllocation) return EHM_FAIL(err, EHM_E_DEVICE, "a buffer of the device: %s", cudaGetErrorString(rc));
    return EHM_FAIL(err, EHM_E_MEMORY, "no memory on the device for a buffer of %s; %s are free", ehm_format_bytes((double)bytes, wanted),
                    ehm_format_bytes((double)cuda_available(self), free_now));
}
static void cuda_free(void *self, void *ptr, size_t bytes) {
    ehm_cuda *c = self;
    (void)bytes;
    ehm_cuda_enter(c);
    cudaStreamSynchronize(stream_of(c));
    c->moved++;
    cudaFree(ptr);
}

void *ehm_cuda_scratch(ehm_cuda *c, int32_t which, size_t bytes) {
    if (c->err.code) return NULL;
    if (bytes <= c->scratch[which].bytes) return c->scratch[which].p;
    ehm_cuda_enter(c);
    cudaStreamSynchronize(stream_of(c)); /* an earlier op may still use the old one */
    c->moved++;
    cudaFree(c->scratch[which].p);
    c->scratch[which].p = NULL, c->scratch[which].bytes = 0;
    ehm_cuda_note(c, (int)cudaMalloc(&c->scratch[which].p, bytes), "scratch");
    if (c->err.code) return NULL;
    c->scratch[which].bytes = bytes;
    return c->scratch[which].p;
}

/* ---- there and back ---- */

/* A place in the ring. Before it begins anew, what lies in it must have arrived. */
static void *staging_place(ehm_cuda *c, size_t n) {
    size_t wanted = (n + STAGING_ALIGN - 1) / STAGING_ALIGN * STAGING_ALIGN;
    if (c->staging_at + wanted > c->staging_bytes) {
        ehm_cuda_note(c, (int)cudaStreamSynchronize(stream_of(c)), "upload");
        c->staging_at = 0;
    }
    if (wanted > c->staging_bytes / 2) { /* twice the largest, so that one can be filled while the other travels */
        size_t bytes = 2 * wanted > STAGING_LEAST ? 2 * wanted : STAGING_LEAST;
        ehm_cuda_note(c, (int)cudaStreamSynchronize(stream_of(c)), "upload");
        cudaFreeHost(c->staging);
        c->staging = NULL, c->staging_bytes = c->staging_at = 0;
        ehm_cuda_note(c, (int)cudaHostAlloc(&c->staging, bytes, cudaHostAllocDefault), "pinned memory");
        if (c->err.code) return NULL;
        c->staging_bytes = bytes;
    }
    void *p = (char *)c->staging + c->staging_at;
    c->staging_at += wanted;
    return p;
}
static void cuda_upload(void *self, void *dst, const void *src, size_t n) {
    ehm_cuda *c = self;
    ehm_cuda_enter(c);
    void *place = c->err.code ? NULL : staging_place(c, n);
    if (!place) return;
    memcpy(place, src, n);
    ehm_cuda_note(c, (int)cudaMemcpyAsync(dst, place, n, cudaMemcpyHostToDevice, stream_of(c)), "upload");
}
static void cuda_upload_ahead(void *self, void *dst, const void *src, size_t n) {
    ehm_cuda *c = self;
    cudaStream_t stream = (cudaStream_t)c->ahead_stream;
    if (c->err.code) return;
    ehm_cuda_enter(c);
    ehm_cuda_note(c, (int)cudaStreamSynchronize(stream), "upload"); /* the one before is long there */
    if (n > c->ahead_bytes) {
        cudaFreeHost(c->ahead);
        c->ahead = NULL, c->ahead_bytes = 0;
        ehm_cuda_note(c, (int)cudaHostAlloc(&c->ahead, n, cudaHostAllocDefault), "pinned memory");
        if (c->err.code) return;
        c->ahead_bytes = n;
    }
    memcpy(c->ahead, src, n);
    cudaError_t bad = cudaMemcpyAsync(dst, c->ahead, n, cudaMemcpyHostToDevice, stream);
    if (!bad) bad = cudaEventRecord((cudaEvent_t)c->ahead_there, stream);
    if (!bad) bad = cudaStreamWaitEvent(stream_of(c), (cudaEvent_t)c->ahead_there, 0);
    ehm_cuda_note(c, (int)bad, "upload");
}
static void cuda_download(void *self, void *dst, const void *src, size_t n) {
    ehm_cuda *c = self;
    ehm_cuda_enter(c);
    cudaError_t rc = c->err.code ? cudaSuccess : cudaMemcpyAsync(dst, src, n, cudaMemcpyDeviceToHost, stream_of(c));
    if (!rc && !c->err.code) rc = cudaStreamSynchronize(stream_of(c));
    ehm_cuda_note(c, (int)rc, "download");
    if (c->err.code) memset(dst, 0, n);
}

static ehm_code cuda_wait(void *self, ehm_err *err) {
    ehm_cuda *c = self;
    ehm_cuda_enter(c);
    ehm_cuda_note(c, (int)cudaStreamSynchronize(stream_of(c)), "the device");
    ehm_code rc = c->err.code;
    if (!rc) return EHM_OK;
    if (err && !err->code) *err = c->err;
    ehm_err_clear(&c->err);
    return rc;
}

static const char *cuda_describe(void *self) { return ((ehm_cuda *)self)->about; }
static bool cuda_fast_bf16(void *self) { return self != NULL; }

#define OP(NAME, what, tol_f32, tol_bf16, bwd) .NAME = ehm_cuda_op_##NAME,
static const ehm_backend backend = {
    .name = "cuda",
    .open = cuda_open,
    .close = cuda_close,
    .alloc = cuda_alloc,
    .free = cuda_free,
    .available = cuda_available,
    .upload = cuda_upload,
    .upload_ahead = cuda_upload_ahead,
    .download = cuda_download,
    .record = ehm_cuda_record,
    .recorded = ehm_cuda_recorded,
    .replay = ehm_cuda_replay,
    .wait = cuda_wait,
    .describe = cuda_describe,
    .fast_bf16 = cuda_fast_bf16,
    .same_bits_any_threads = true,
    .device_memory = true,
    .trees = ehm_cuda_trees,
    .tree_masks = ehm_cuda_tree_masks,
    .mask_routes = ehm_cuda_mask_routes,
    .most_leaves = EHM_CUDA_LEAVES,
#include "compute/ops.def"
};
#undef OP

__attribute__((visibility("default"))) const ehm_cuda_plugin *ehm_cuda_plugin_get(void) {
    static const ehm_cuda_plugin plugin = {EHM_CUDA_PLUGIN_MAGIC, (uint32_t)sizeof(ehm_backend), EHM_OPS_N, EHM_VERSION, &backend};
    return &plugin;
}
