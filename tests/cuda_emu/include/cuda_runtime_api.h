/* The part of CUDA's runtime that src/compute/cuda/cuda.c calls, for the tests: a device that is the host. Its memory cannot be touched but by a
 * kernel or a copy, so code that reads a device's pointer as its own is found. Environment: EHM_EMU_DEVICES how many there are (1),
 * EHM_EMU_DRIVER the CUDA version of the driver, such as 12040 (13000; 0: none is installed), EHM_EMU_BYTES memory of a device. */
#ifndef EHM_TESTS_CUDA_RUNTIME_API_H
#define EHM_TESTS_CUDA_RUNTIME_API_H
#include <stddef.h>
#include <stdint.h>

typedef enum { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorMemoryAllocation = 2, cudaErrorInsufficientDriver = 35, cudaErrorNoDevice = 100 } cudaError_t;
typedef struct emu_stream *cudaStream_t;
enum { cudaStreamNonBlocking = 1, cudaHostAllocDefault = 0 };
typedef enum { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 } cudaMemcpyKind;
struct cudaDeviceProp { char name[64]; size_t totalGlobalMem, sharedMemPerBlockOptin; int major, minor, multiProcessorCount; };

cudaError_t cudaGetDeviceCount(int *n);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaSetDevice(int i);
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int i);
cudaError_t cudaGetLastError(void);
const char *cudaGetErrorString(cudaError_t e);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t s);
cudaError_t cudaStreamSynchronize(cudaStream_t s);
cudaError_t cudaMalloc(void **p, size_t n);
cudaError_t cudaFree(void *p);
cudaError_t cudaHostAlloc(void **p, size_t n, unsigned flags);
cudaError_t cudaFreeHost(void *p);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *all);
cudaError_t cudaMemsetAsync(void *p, int value, size_t n, cudaStream_t s);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind kind, cudaStream_t s);

/* The kernels may look at device memory between these two. */
void emu_memory_open(void);
void emu_memory_close(void);
#endif
