/* A back end of another build, which must be refused before anything of it is called. */
#include "compute/cuda_plugin.h"

const ehm_cuda_plugin *ehm_cuda_plugin_get(void);
const ehm_cuda_plugin *ehm_cuda_plugin_get(void) {
    static const ehm_cuda_plugin plugin = {EHM_CUDA_PLUGIN_MAGIC, (uint32_t)sizeof(ehm_backend), EHM_OPS_N, "0.0.0", 0};
    return &plugin;
}
