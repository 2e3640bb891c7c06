/* Finding and opening the CUDA back end's library. */
#include "compute/cuda_plugin.h"
#include "base/str.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLUGIN_NAME "libehm_cuda.so"
#ifndef EHM_LIBDIR_FROM_BINDIR
#define EHM_LIBDIR_FROM_BINDIR "../lib"
#endif

/* The folder of the program or library that this code is in. */
static bool own_folder(char *dir, size_t n) {
    Dl_info info;
    char path[PATH_MAX];
    if (dladdr((const void *)ehm_cuda_plugin_name, &info) && info.dli_fname && info.dli_fname[0] == '/' && realpath(info.dli_fname, path)) {
        snprintf(dir, n, "%s", path);
    } else { /* a program started by a relative name */
        ssize_t k = readlink("/proc/self/exe", dir, n - 1);
        if (k <= 0) return false;
        dir[k] = 0;
    }
    char *slash = strrchr(dir, '/');
    if (!slash) return false;
    *slash = 0;
    return true;
}

ehm_code ehm_cuda_plugin_name(char *path, size_t n, ehm_err *err) {
    const char *named = getenv("EHM_CUDA_PLUGIN");
    char dir[PATH_MAX];
    if (named && *named) {
        if (*named != '/') return EHM_FAIL(err, EHM_E_CONFIG, "EHM_CUDA_PLUGIN is \"%s\"; it must be an absolute path", named);
        snprintf(path, n, "%s", named);
        return EHM_OK;
    }
    if (!own_folder(dir, sizeof dir)) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "the folder of this program is not known, so no " PLUGIN_NAME " is looked for");
    snprintf(path, n, "%s/" PLUGIN_NAME, dir);
    if (access(path, F_OK)) {
        char installed[PATH_MAX], real[PATH_MAX];
        snprintf(installed, sizeof installed, "%.3000s/" EHM_LIBDIR_FROM_BINDIR "/" PLUGIN_NAME, dir);
        if (realpath(installed, real)) snprintf(path, n, "%s", real);
    }
    return EHM_OK;
}

/* Asked first, because it is quick: CUDA's own libraries are half a gigabyte. */
static bool driver_there(void) {
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    return driver != NULL; /* stays open: the back end wants it next */
}
/* By hand: such a back end says itself what it lacks. */
static bool named(void) {
    const char *path = getenv("EHM_CUDA_PLUGIN");
    return path && *path;
}

ehm_code ehm_cuda_backend(const ehm_backend **out, ehm_err *err) {
    char path[PATH_MAX];
    *out = NULL;
    EHM_TRY(ehm_cuda_plugin_name(path, sizeof path, err));
    if (!named() && !driver_there()) {
        EHM_FAIL(err, EHM_E_UNSUPPORTED, "no NVIDIA driver is installed here (libcuda.so.1), so there is no CUDA device");
        EHM_HINT(err, "--device cpu");
        return EHM_E_UNSUPPORTED;
    }
    if (access(path, F_OK)) {
        EHM_FAIL(err, EHM_E_UNSUPPORTED, "the CUDA back end, %s, is not there", path);
        EHM_HINT(err, "--device cpu; to have it, build where nvcc is found");
        return EHM_E_UNSUPPORTED;
    }
    /* Kept open: CUDA's libraries do not like to be closed, and opening again only counts. */
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        const char *why = dlerror();
        EHM_FAIL(err, EHM_E_UNSUPPORTED, "the CUDA back end cannot be opened: %s", why ? why : path);
        EHM_HINT(err, "CUDA's libraries must be installed, or their folder named in LD_LIBRARY_PATH; or --device cpu");
        return EHM_E_UNSUPPORTED;
    }
    ehm_cuda_plugin_get_fn *get;
    void *symbol = dlsym(lib, "ehm_cuda_plugin_get");
    memcpy(&get, &symbol, sizeof get);
    const ehm_cuda_plugin *plugin = symbol ? get() : NULL;
    if (!plugin || plugin->magic != EHM_CUDA_PLUGIN_MAGIC)
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s is no CUDA back end of ehm", path);
    if (plugin->backend_bytes != sizeof(ehm_backend) || plugin->n_ops != EHM_OPS_N || strcmp(plugin->version, EHM_VERSION)) {
        EHM_FAIL(err, EHM_E_MISMATCH, "%s belongs to another build: version %s with %d ops, and this is %s with %d", path, plugin->version,
                 plugin->n_ops, EHM_VERSION, (int)EHM_OPS_N);
        EHM_HINT(err, "build or install both together");
        return EHM_E_MISMATCH;
    }
    *out = plugin->backend;
    return EHM_OK;
}
