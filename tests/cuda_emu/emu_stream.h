/* What kernels, copies and products of the emulated device put on its streams. */
#ifndef EHM_TESTS_EMU_STREAM_H
#define EHM_TESTS_EMU_STREAM_H
#include <cuda_runtime_api.h>
#include <stdbool.h>

/* run(data) now, later, or each time a graph is started; data is copied where it is not now. */
void emu_put(void *stream, void (*run)(const void *data), const void *data, size_t bytes);
/* Asked by what a capture does not allow: true while there is one, which is spoilt then. */
bool emu_refused(void);
void emu_wait_all(void);
int emu_device(void); /* the calling thread's current one */
#endif
