#include "compute/compute_int.h"
#include "compute/cuda_plugin.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "base/mem.h"
#include "base/str.h"

const ehm_op_info ehm_op_table[EHM_OPS_N] = {
#define OP(name, what, tol_f32, tol_bf16, bwd) {#name, what, tol_f32, tol_bf16, bwd},
#include "compute/ops.def"
#undef OP
};

static const ehm_backend *const backends[] = {&ehm_backend_cpu, &ehm_backend_ref, &ehm_backend_ref64};
enum { BACKENDS_N = sizeof backends / sizeof backends[0] };

/* ---- views ---- */

static ehm_view view_bad(ehm_view v) {
    v.rank = 1;
    v.dim[0] = -1;
    return v;
}

ehm_view ehm_view_of(ehm_buf *buf, int64_t offset, ehm_dtype t, int32_t rank, const int64_t *dim) {
    ehm_view v = {.buf = buf, .offset = offset, .rank = rank, .dtype = t};
    if (rank < 0 || rank > 4) return view_bad(v);
    for (int32_t i = 0; i < rank; i++) v.dim[i] = dim[i];
    return v;
}

ehm_view ehm_view_1d(ehm_buf *buf, ehm_dtype t, int64_t n) { return ehm_view_of(buf, 0, t, 1, (int64_t[]){n}); }

ehm_view ehm_view_2d(ehm_buf *buf, ehm_dtype t, int64_t r, int64_t c) {
    return ehm_view_of(buf, 0, t, 2, (int64_t[]){r, c});
}

ehm_view ehm_view_reshape(ehm_view v, int32_t rank, const int64_t *dim) {
    ehm_view w = ehm_view_of(v.buf, v.offset, v.dtype, rank, dim);
    return ehm_view_count(w) == ehm_view_count(v) ? w : view_bad(w);
}

ehm_view ehm_view_rows(ehm_view v, int64_t first, int64_t n) {
    if (v.rank < 1 || first < 0 || n < 0 || n > v.dim[0] || first > v.dim[0] - n) return view_bad(v);
    int64_t row = 1;
    for (int32_t i = 1; i < v.rank; i++) row *= v.dim[i];
    v.offset += first * row;
    v.dim[0] = n;
    return v;
}

bool ehm_view_fits(const ehm_dev *d, ehm_view v, char *why, size_t n_why) {
    size_t n = 1, end;
    if (v.rank < 1 || v.rank > 4) return (void)snprintf(why, n_why, "has rank %d", (int)v.rank), false;
    if ((unsigned)v.dtype >= EHM_DTYPE_N) return (void)snprintf(why, n_why, "has no number type"), false;
    for (int32_t i = 0; i < v.rank; i++) {
        if (v.dim[i] < 1)
            return (void)snprintf(why, n_why, "has %lld as dim %d", (long long)v.dim[i], (int)i), false;
        if (!ehm_mul_size(&n, n, (size_t)v.dim[i])) return (void)snprintf(why, n_why, "is too large"), false;
    }
    if (!v.buf) return (void)snprintf(why, n_why, "has no buffer"), false;
    if (v.buf->dev != d) return (void)snprintf(why, n_why, "lies on another device"), false;
    if (v.offset < 0 || !ehm_add_size(&end, n, (size_t)v.offset) ||
        !ehm_mul_size(&end, end, ehm_dtype_size(v.dtype)) || end > v.buf->bytes) {
        snprintf(why, n_why, "at element %lld reaches beyond its buffer of %zu bytes", (long long)v.offset, v.buf->bytes);
        return false;
    }
    return true;
}

char *ehm_view_text(ehm_view v, char *text, size_t n_text) {
    size_t at = 0;
    if (!v.rank) return (void)snprintf(text, n_text, "absent"), text;
    for (int32_t i = 0; i < v.rank && i < 4 && at < n_text; i++)
        at += (size_t)snprintf(text + at, n_text - at, "%c%lld", i ? ',' : '[', (long long)v.dim[i]);
    if (at < n_text)
        snprintf(text + at, n_text - at, "] %s", (unsigned)v.dtype < EHM_DTYPE_N ? ehm_dtype_name(v.dtype) : "?");
    return text;
}

char *ehm_dev_place(const ehm_dev *d, const char *op, char *text, size_t n_text) {
    if (d->label) snprintf(text, n_text, "%s (%.80s)", op, d->label);
    else snprintf(text, n_text, "%s", op);
    return text;
}

/* ---- devices ---- */

/* The ops that be lacks, comma between, into text; how many. */
static int32_t ops_missing(const ehm_backend *be, ehm_str *text) {
    int32_t n = 0;
#define OP(name, what, tol_f32, tol_bf16, bwd) \
    if (!be->name) ehm_str_addf(text, "%s%s", n++ ? ", " : "", #name);
#include "compute/ops.def"
#undef OP
    return n;
}

static ehm_code open_backend(ehm_dev **out, const ehm_backend *be, const char *name, int32_t n_threads, ehm_err *err) {
    ehm_str missing = {0};
    if (ops_missing(be, &missing)) {
        EHM_FAIL(err, EHM_E_UNSUPPORTED, "device \"%s\" lacks ops: %s", name, ehm_str_c(&missing));
        ehm_str_free(&missing);
        EHM_HINT(err, "--device ref has all ops");
        return EHM_E_UNSUPPORTED;
    }
    ehm_dev *d = calloc(1, sizeof *d);
    if (!d) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for device \"%s\"", name);
    d->be = be, d->i_section = -1;
    ehm_code rc = be->device_memory ? ehm_pool_open(&d->pool, n_threads, err) : EHM_OK;
    if (!rc) rc = be->open(&d->self, name, n_threads, err);
    if (rc) {
        ehm_pool_close(d->pool);
        free(d);
        return rc;
    }
    *out = d;
    return EHM_OK;
}

static ehm_code open_cuda(ehm_dev **out, const char *name, int32_t n_threads, ehm_err *err) {
    const ehm_backend *be;
    EHM_TRY(ehm_cuda_backend(&be, err));
    return open_backend(out, be, name, n_threads, err);
}

/* The first of what is there. A GPU that is absent, or a processor that the fast back end cannot serve, is no reason to fail; whatever else goes
 * wrong with one that is there is. */
static ehm_code open_best(ehm_dev **out, int32_t n_threads, ehm_err *err) {
    ehm_err why = {0};
    ehm_code rc = open_cuda(out, "cuda", n_threads, &why);
    if (rc == EHM_E_UNSUPPORTED) {
        ehm_err_clear(&why);
        rc = open_backend(out, &ehm_backend_cpu, "cpu", n_threads, &why);
    }
    if (rc == EHM_E_UNSUPPORTED) return open_backend(out, &ehm_backend_ref, "ref", n_threads, err);
    if (rc && err && !err->code) *err = why;
    return rc;
}

static ehm_code name_unknown(const char *name, ehm_err *err) {
    const char *known[BACKENDS_N + 2] = {"auto", "cuda"};
    ehm_str list = {0};
    ehm_str_add(&list, "auto, cuda, cuda:N");
    for (int32_t i = 0; i < BACKENDS_N; i++) {
        known[i + 2] = backends[i]->name;
        ehm_str_addf(&list, ", %s", backends[i]->name);
    }
    EHM_FAIL(err, EHM_E_CONFIG, "device \"%s\" is not known; there are %s", name, ehm_str_c(&list));
    ehm_str_free(&list);
    const char *near = !strncasecmp(name, "gpu", 3) ? "cuda" : ehm_nearest(name, known, BACKENDS_N + 2);
    EHM_HINT(err, "--device %s", near ? near : "auto");
    return EHM_E_CONFIG;
}

ehm_code ehm_dev_open(ehm_dev **out, const char *name, int32_t n_threads, ehm_err *err) {
    *out = NULL;
    if (!name) return EHM_FAIL(err, EHM_E_ARG, "no device name given");
    if (n_threads < 0) return EHM_FAIL(err, EHM_E_ARG, "%d threads for device \"%s\"", (int)n_threads, name);
    if (!n_threads) n_threads = ehm_cpu_count();
    if (!strcmp(name, "auto")) return open_best(out, n_threads, err);
    for (int32_t i = 0; i < BACKENDS_N; i++)
        if (!strcmp(name, backends[i]->name)) return open_backend(out, backends[i], name, n_threads, err);
    if (!strcmp(name, "cuda") || ehm_starts(name, "cuda:")) return open_cuda(out, name, n_threads, err);
    return name_unknown(name, err);
}

void ehm_dev_close(ehm_dev *d) {
    if (!d) return;
    d->be->close(d->self);
    ehm_pool_close(d->pool);
    free(d->marks);
    free(d);
}

const char *ehm_dev_name(const ehm_dev *d) { return d->be->name; }
const char *ehm_dev_describe(const ehm_dev *d) { return d->be->describe(d->self); }
ehm_pool *ehm_dev_pool(const ehm_dev *d) { return d->be->pool ? d->be->pool(d->self) : d->pool; }
ehm_dtype ehm_dev_real(const ehm_dev *d) { return d->be->real; }
bool ehm_dev_runs_ahead(const ehm_dev *d) { return d->be->device_memory; }
bool ehm_dev_fast_bf16(const ehm_dev *d) { return d->be->fast_bf16 && d->be->fast_bf16(d->self); }
bool ehm_dev_same_bits_any_threads(const ehm_dev *d) { return d->be->same_bits_any_threads; }
int64_t ehm_dev_available(const ehm_dev *d, bool *own) {
    *own = d->be->available != NULL;
    return *own ? d->be->available(d->self) : ehm_memory_available();
}
void ehm_dev_watch_finite(ehm_dev *d, bool on) { d->watch_finite = on; }
void ehm_dev_label(ehm_dev *d, const char *label) { d->label = label; }
double ehm_dev_flops(const ehm_dev *d) { return d->flops; }
void ehm_dev_flops_reset(ehm_dev *d) { d->flops = 0; }

ehm_code ehm_dev_check(ehm_dev *d, ehm_err *err) {
    if (!d->err.code) {
        ehm_code rc = d->be->wait(d->self, &d->err);
        if (rc && !d->err.code) EHM_FAIL(&d->err, rc, "device \"%s\" failed", d->be->name);
    }
    if (d->err.code && err && !err->code) *err = d->err;
    return d->err.code;
}

void ehm_dev_reset_error(ehm_dev *d) {
    ehm_err old = {0};
    d->be->wait(d->self, &old); /* what the back end still holds belongs to the failure that is forgotten */
    ehm_err_clear(&d->err);
}

void ehm_dev_weights_changed(ehm_dev *d) {
    if (d->be->weights_changed) d->be->weights_changed(d->self);
}

/* ---- buffers ---- */

ehm_code ehm_buf_new(ehm_buf **out, ehm_dev *d, size_t bytes, ehm_err *err) {
    *out = NULL;
    ehm_buf *b = calloc(1, sizeof *b);
    if (!b) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a buffer of %zu bytes", bytes);
    b->dev = d;
    b->bytes = bytes;
    ehm_code rc = d->be->alloc(d->self, &b->ptr, bytes ? bytes : 1, err);
    if (rc) {
        free(b);
        return rc;
    }
    *out = b;
    return EHM_OK;
}

void ehm_buf_free(ehm_buf *b) {
    if (!b) return;
    b->dev->be->free(b->dev->self, b->ptr, b->bytes ? b->bytes : 1);
    free(b);
}

size_t ehm_buf_bytes(const ehm_buf *b) { return b->bytes; }

static bool transfer_ok(ehm_dev *d, const char *what, ehm_view v, const void *host, size_t n_bytes) {
    char why[128], text[128], place[128];
    if (d->err.code) return false;
    EHM_ASSERT(d->i_section < 0); /* not inside a section */
    ehm_dev_place(d, what, place, sizeof place);
    ehm_view_text(v, text, sizeof text);
    if (!ehm_view_fits(d, v, why, sizeof why)) {
        EHM_FAIL(&d->err, EHM_E_ARG, "%s: the view %s; %s", place, why, text);
        return false;
    }
    if (!host || n_bytes != ehm_view_bytes(v)) {
        EHM_FAIL(&d->err, EHM_E_ARG, "%s: %s%zu bytes for a view of %zu; %s", place, host ? "" : "no host memory, ", n_bytes,
                 ehm_view_bytes(v), text);
        return false;
    }
    return true;
}

void ehm_upload(ehm_dev *d, ehm_view dst, const void *src, size_t n_bytes) {
    if (transfer_ok(d, "upload", dst, src, n_bytes)) d->be->upload(d->self, ehm_ptr(dst), src, n_bytes);
}

void ehm_upload_ahead(ehm_dev *d, ehm_view dst, const void *src, size_t n_bytes) {
    if (!transfer_ok(d, "upload", dst, src, n_bytes)) return;
    (d->be->upload_ahead ? d->be->upload_ahead : d->be->upload)(d->self, ehm_ptr(dst), src, n_bytes);
}

void ehm_download(ehm_dev *d, void *dst, ehm_view src, size_t n_bytes) {
    if (transfer_ok(d, "download", src, dst, n_bytes)) d->be->download(d->self, dst, ehm_ptr(src), n_bytes);
    else if (dst) memset(dst, 0, n_bytes); /* no caller then reads memory that was never written */
}
