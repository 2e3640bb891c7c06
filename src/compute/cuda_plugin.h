/* The CUDA back end is a library of its own, opened when it is asked for: one program runs with and without a GPU. This is all that both sides
 * know of each other. The plug-in exports one function, ehm_cuda_plugin_get; what it gives belongs to it and stays until it is closed. */
#ifndef EHM_COMPUTE_CUDA_PLUGIN_H
#define EHM_COMPUTE_CUDA_PLUGIN_H
#include "compute/backend.h"

#define EHM_CUDA_PLUGIN_MAGIC 0x65686d63u
typedef struct {
    uint32_t magic, backend_bytes; /* sizeof(ehm_backend) */
    int32_t n_ops;
    const char *version;           /* of the project: both sides must be of the same */
    const ehm_backend *backend;
} ehm_cuda_plugin;
typedef const ehm_cuda_plugin *ehm_cuda_plugin_get_fn(void);

/* The back end, opened once in a process and kept. EHM_E_UNSUPPORTED says which file was looked for and why it cannot be used. The file is
 * libehm_cuda.so in the folder that was built or installed with the program (absolute), or what EHM_CUDA_PLUGIN names, an absolute path too;
 * no other folder is searched. */
ehm_code ehm_cuda_plugin_name(char *path, size_t n, ehm_err *err);
ehm_code ehm_cuda_backend(const ehm_backend **out, ehm_err *err);
#endif
