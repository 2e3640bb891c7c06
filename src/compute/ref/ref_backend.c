/* The reference back end's table, memory and conversions. */
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/str.h"
#include "compute/ref/ref_int.h"

double *ehm_ref_scratch(ehm_ref *r, int64_t n, int64_t *stride) {
    size_t piece = ((size_t)n + 7) / 8 * 8, total, bytes; /* whole cache lines, so that threads share none */
    if (piece > r->scratch_n) {
        double *more = NULL;
        if (ehm_mul_size(&total, piece, (size_t)r->n_threads) && ehm_mul_size(&bytes, total, sizeof *more))
            more = aligned_alloc(64, bytes);
        if (!more) {
            EHM_FAIL(&r->err, EHM_E_MEMORY, "no memory for %zu values of scratch for each of %d threads", piece,
                     (int)r->n_threads);
            EHM_HINT(&r->err, "fewer --threads, or smaller pictures");
            return NULL;
        }
        free(r->scratch);
        r->scratch = more;
        r->scratch_n = piece;
    }
    *stride = (int64_t)r->scratch_n;
    return r->scratch;
}

void ehm_ref_load(double *restrict dst, ehm_view v, int64_t first, int64_t n) {
    const void *p = ehm_ptr(v);
    switch (v.dtype) {
    case EHM_F32:
        for (int64_t i = 0; i < n; i++) dst[i] = (double)((const float *)p)[first + i];
        break;
    case EHM_BF16:
        for (int64_t i = 0; i < n; i++) dst[i] = (double)ehm_f32_of(((const uint16_t *)p)[first + i]);
        break;
    case EHM_U8:
        for (int64_t i = 0; i < n; i++) dst[i] = (double)((const uint8_t *)p)[first + i];
        break;
    default:
        EHM_ASSERT(v.dtype == EHM_F64);
        memcpy(dst, (const double *)p + first, (size_t)n * sizeof *dst);
    }
}

void ehm_ref_store(ehm_view v, int64_t first, const double *restrict src, int64_t n) {
    void *p = ehm_ptr(v);
    switch (v.dtype) {
    case EHM_F32:
        for (int64_t i = 0; i < n; i++) ((float *)p)[first + i] = (float)src[i];
        break;
    case EHM_BF16:
        for (int64_t i = 0; i < n; i++) ((uint16_t *)p)[first + i] = ehm_bf16_of((float)src[i]);
        break;
    default:
        EHM_ASSERT(v.dtype == EHM_F64);
        memcpy((double *)p + first, src, (size_t)n * sizeof *src);
    }
}

double ehm_ref_get(ehm_view v, int64_t i) {
    double x;
    ehm_ref_load(&x, v, i, 1);
    return x;
}

void ehm_ref_put(ehm_view v, int64_t i, double value) { ehm_ref_store(v, i, &value, 1); }

static ehm_code ref_open(void **self, const char *name, int32_t n_threads, ehm_err *err) {
    ehm_ref *r = calloc(1, sizeof *r);
    if (!r) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for device \"%s\"", name);
    ehm_code rc = ehm_pool_open(&r->pool, n_threads, err);
    if (rc) {
        free(r);
        return rc;
    }
    r->n_threads = ehm_pool_threads(r->pool);
    snprintf(r->text, sizeof r->text, "plain C, sums in double, %s values, %d thread%s",
             strcmp(name, "ref64") ? "f32 or bf16" : "f64", (int)r->n_threads, r->n_threads == 1 ? "" : "s");
    *self = r;
    return EHM_OK;
}

static void ref_close(void *self) {
    ehm_ref *r = self;
    ehm_pool_close(r->pool);
    free(r->scratch);
    free(r);
}

static ehm_code ref_alloc(void *self, void **ptr, size_t bytes, ehm_err *err) {
    char text[32];
    (void)self;
    *ptr = ehm_block_alloc(bytes);
    if (*ptr) return EHM_OK;
    return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a buffer of %s", ehm_format_bytes((double)bytes, text));
}

static void ref_free(void *self, void *ptr, size_t bytes) {
    (void)self;
    ehm_block_free(ptr, bytes);
}

static void ref_copy(void *self, void *dst, const void *src, size_t n) {
    (void)self;
    memcpy(dst, src, n);
}

static ehm_code ref_wait(void *self, ehm_err *err) {
    ehm_ref *r = self;
    ehm_code rc = r->err.code;
    if (!rc) return EHM_OK;
    if (err && !err->code) *err = r->err;
    ehm_err_clear(&r->err);
    return rc;
}

static const char *ref_describe(void *self) { return ((ehm_ref *)self)->text; }
static ehm_pool *ref_pool(void *self) { return ((ehm_ref *)self)->pool; }

#define OP(NAME, what, tol_f32, tol_bf16, bwd) .NAME = ehm_ref_##NAME,
#define REF_BACKEND(NAME, REAL)                                                                                   \
    {                                                                                                             \
        .name = NAME, .open = ref_open, .close = ref_close, .alloc = ref_alloc, .free = ref_free,                 \
        .upload = ref_copy, .download = ref_copy, .wait = ref_wait, .describe = ref_describe, .pool = ref_pool,   \
        .same_bits_any_threads = true, .real = REAL,
const ehm_backend ehm_backend_ref = REF_BACKEND("ref", EHM_F32)
#include "compute/ops.def"
};
const ehm_backend ehm_backend_ref64 = REF_BACKEND("ref64", EHM_F64)
#include "compute/ops.def"
};
#undef OP
