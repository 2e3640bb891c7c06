/* What a back end gives: a struct of functions made from ops.def. Only device.c, ops.c, trees.c and the back ends include
 * this. ops.c (and trees.c) has checked types, shapes, overlap and index ranges, and hands over views in the rank that compute.h documents ([R,D] is
 * rank 2, [n] rank 1), so back ends check nothing again. A back end in host memory has finished when an op returns. */
#ifndef EHM_COMPUTE_BACKEND_H
#define EHM_COMPUTE_BACKEND_H
#include "compute/trees.h"

enum { EHM_SECTIONS = 16 };
struct ehm_buf { ehm_dev *dev; void *ptr; size_t bytes; }; /* ptr: host address for ref and cpu */

typedef struct ehm_backend {
    const char *name;
    /* NULL fn = op not there: ehm_dev_open refuses and lists them. self is what open returned. */
#define OP(name, what, tol_f32, tol_bf16, bwd) void (*name)(void *self, const ehm_##name##_args *a);
#include "compute/ops.def"
#undef OP
    ehm_code (*open)(void **self, const char *name, int32_t n_threads, ehm_err *err);
    void (*close)(void *self);
    int64_t (*available)(void *self); /* bytes of device memory that are free, -1: not known; NULL: memory is the host's */
    ehm_code (*alloc)(void *self, void **ptr, size_t bytes, ehm_err *err);
    void (*free)(void *self, void *ptr, size_t bytes);
    void (*upload)(void *self, void *dst, const void *src, size_t n);
    void (*upload_ahead)(void *self, void *dst, const void *src, size_t n); /* NULL: upload */
    void (*download)(void *self, void *dst, const void *src, size_t n);
    /* Recordings, by number below EHM_SECTIONS; all three, or NULL: none. What follows record is kept, and not run; recorded ends that and runs it once, or
     * says false: nothing has run. replay: false where nothing was kept, or memory that it used is there no more. */
    bool (*record)(void *self, int32_t section);
    bool (*recorded)(void *self, int32_t section);
    bool (*replay)(void *self, int32_t section);
    /* Waits for all work; reports the first failure since the last call, and forgets it (ops.c keeps it for the device). */
    ehm_code (*wait)(void *self, ehm_err *err);
    void (*weights_changed)(void *self);
    const char *(*describe)(void *self);
    ehm_pool *(*pool)(void *self);
    bool (*fast_bf16)(void *self);
    /* Optional, of trees.h: all NULL where the back end has none. For trees of 2 to most_leaves leaves. */
    void (*trees)(void *self, const ehm_trees_args *a);
    void (*tree_masks)(void *self, const ehm_tree_masks_args *a);
    void (*mask_routes)(void *self, const ehm_mask_routes_args *a);
    int64_t most_leaves;
    bool same_bits_any_threads;
    bool device_memory; /* ptr is no address of the host: ops.c then looks at no index */
    ehm_dtype real;     /* what "f32" in compute.h stands for: EHM_F32 (0), or EHM_F64 */
} ehm_backend;
extern const ehm_backend ehm_backend_ref, ehm_backend_ref64, ehm_backend_cpu;

static inline void *ehm_ptr(ehm_view v) { return v.rank ? (char *)v.buf->ptr + (size_t)v.offset * ehm_dtype_size(v.dtype) : NULL; }
#endif
