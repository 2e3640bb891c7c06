/* safetensors: read by mapping with full checks, write atomically; official rules in docs/formats.md (header
 * length, contiguous offsets, no gaps).
 *
 *     ehm_st *f; ehm_st_open(&f, "model.safetensors", &err);
 *     const ehm_st_tensor *t = ehm_st_find(f, "cls_token");
 */
#ifndef EHM_EXCHANGE_SAFETENSORS_H
#define EHM_EXCHANGE_SAFETENSORS_H
#include "base/dtype.h"
#include "base/err.h"
#include "base/mem.h"

typedef struct {
    const char *name;
    ehm_dtype dtype;
    int32_t rank;
    int64_t dim[8], count;
    const void *data;
    size_t bytes;
} ehm_st_tensor; /* data may begin at any byte */
typedef struct { const char *key, *value; } ehm_st_meta;
typedef struct ehm_st ehm_st;
ehm_code
/* EHM_E_FORMAT names what is wrong: header size, offsets, dtype, duplicate keys. */
ehm_st_open(ehm_st **out, const char *path, ehm_err *err);
void ehm_st_close(ehm_st *f);
/* The same from memory, for readers of other formats. Names and metadata are copied, data is borrowed and has to live as long as `owned`
 * does: free_owned(owned) is called at close (both may be NULL), or at once when this fails. The order stays as given.
 * EHM_E_ARG: dtype, shape, count and bytes that disagree, no data; EHM_E_FORMAT: two of one name, or two of one metadata key. */
ehm_code ehm_st_from(ehm_st **out, const ehm_st_tensor *t, int32_t n, const ehm_st_meta *meta, int32_t n_meta,
                     void *owned, void (*free_owned)(void *), ehm_err *err);
int32_t ehm_st_count(const ehm_st *f);
const ehm_st_tensor *ehm_st_at(const ehm_st *f, int32_t i); /* in order of data; ehm_st_from: as given */
const ehm_st_tensor *ehm_st_find(const ehm_st *f, const char *name);
int32_t ehm_st_n_meta(const ehm_st *f);
const ehm_st_meta *ehm_st_meta_at(const ehm_st *f, int32_t i);
const char *ehm_st_meta_get(const ehm_st *f, const char *key); /* NULL when absent */
ehm_code ehm_st_to_f32_part(const ehm_st_tensor *t, int64_t first, int64_t n, float *out, ehm_err *err);
ehm_code ehm_st_to_f32(const ehm_st_tensor *t, float *out, ehm_err *err); /* from F32, F16, BF16, F64 */
/* Write tensors (sorted by alignment, then name as the reference writer does); metadata gets "format":"pt"
 * first. Atomic. */
ehm_code ehm_st_write(const char *path, const ehm_st_tensor *t, int32_t n, const ehm_st_meta *meta,
                      int32_t n_meta, ehm_err *err);
#endif
