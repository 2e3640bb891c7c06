/* The fast CPU back end: choice of kernels, memory, and the table of functions.
 *
 * Environment, for measurements and tests only:
 *   EHM_ISA=generic|avx2|avx512   at most this instruction set
 *   EHM_GEMM=own|dnnl             all matrix products by our own kernels, or by oneDNN where it can
 * Without them our own kernels multiply f32, and bf16 too: in pairs where the processor has instructions for
 * it, elsewhere widened while it is packed. Only where it has tiles of bf16 (AMX), which our kernels do not
 * use, does oneDNN multiply bf16, if the build has it. bench/log.md holds the measurements behind this.
 */
#include "base/str.h"
#include "compute/cpu/cpu_int.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- scratch ---- */
static bool grow(ehm_cpu *c, ehm_cpu_scratch *s, size_t bytes) {
    if (s->bytes >= bytes) return true;
    void *p = ehm_block_alloc(bytes);
    if (!p) {
        if (!c->failed) c->failed = EHM_E_MEMORY, c->failed_bytes = bytes;
        return false;
    }
    ehm_block_free(s->p, s->bytes);
    s->p = p, s->bytes = bytes;
    return true;
}
void *ehm_cpu_shared(ehm_cpu *c, size_t bytes) {
    return grow(c, &c->shared, bytes ? bytes : 64) ? c->shared.p : NULL;
}
bool ehm_cpu_own(ehm_cpu *c, size_t bytes) {
    for (int32_t i = 0; i < c->n_threads; i++)
        if (!grow(c, &c->own[i], bytes ? bytes : 64)) return false;
    return true;
}

/* ---- choice of kernels ---- */
typedef enum { ISA_GENERIC, ISA_AVX2, ISA_AVX512 } isa;
static bool is_env(const char *name, const char *value) {
    const char *v = getenv(name);
    return v && !strcmp(v, value);
}
static isa widest(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (is_env("EHM_ISA", "generic")) return ISA_GENERIC;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return ISA_GENERIC;
    if (is_env("EHM_ISA", "avx2")) return ISA_AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return ISA_AVX512;
    return ISA_AVX2;
#else
    return ISA_GENERIC;
#endif
}
static bool has_bf16(isa i) {
#if defined(__x86_64__)
    return i == ISA_AVX512 && __builtin_cpu_supports("avx512bf16");
#else
    (void)i;
    return false;
#endif
}
static bool has_bf16_tiles(void) { /* AMX: CPUID leaf 7, EDX bits 22 (bf16) and 24 (tiles) */
#if defined(__x86_64__)
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && d >> 22 & 1 && d >> 24 & 1;
#else
    return false;
#endif
}
static void choose(ehm_cpu *c) {
    isa i = widest();
    c->gemm_f32 = &ehm_gemm_generic, c->row = &ehm_row_generic, c->attn = &ehm_attn_generic;
#if defined(__x86_64__)
    if (i == ISA_AVX2) c->gemm_f32 = &ehm_gemm_avx2, c->row = &ehm_row_avx2, c->attn = &ehm_attn_avx2;
    if (i == ISA_AVX512) c->gemm_f32 = &ehm_gemm_avx512, c->row = &ehm_row_avx512, c->attn = &ehm_attn_avx512;
    if (has_bf16(i)) c->gemm_bf16 = &ehm_gemm_avx512bf16;
#endif
    c->hw_bf16 = has_bf16(i);
}
/* "AMD EPYC 7763 64-Core Processor" where the system tells it. */
static void processor(char *text, size_t n) {
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(text, n, "processor");
    while (f && fgets(line, sizeof line, f)) {
        char *v = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !v) continue;
        v += v[1] == ' ' ? 2 : 1;
        v[strcspn(v, "\n")] = 0;
        snprintf(text, n, "%.80s", v);
        break;
    }
    if (f) fclose(f);
}

/* ---- the back end ---- */
static void cpu_close(void *self) {
    ehm_cpu *c = self;
    if (!c) return;
    ehm_cpu_dnnl_close(c->dnnl);
    ehm_cpu_weights_forget(c, NULL, SIZE_MAX);
    ehm_block_free(c->shared.p, c->shared.bytes);
    for (int32_t i = 0; c->own && i < c->n_threads; i++) ehm_block_free(c->own[i].p, c->own[i].bytes);
    free(c->own);
    ehm_pool_close(c->pool);
    free(c);
}
static ehm_code cpu_open(void **self, const char *name, int32_t n_threads, ehm_err *err) {
    char model[96], library[96] = "";
    ehm_cpu *c = calloc(1, sizeof *c);
    *self = NULL;
    if (!c) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for device \"%s\"", name);
    ehm_code rc = ehm_pool_open(&c->pool, n_threads, err);
    if (rc) goto done;
    c->n_threads = ehm_pool_threads(c->pool);
    c->own = calloc((size_t)c->n_threads, sizeof *c->own);
    if (!c->own) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for device \"%s\"", name);
        goto done;
    }
    c->weight_epoch = 1; /* 0: never packed */
    c->weight_bytes_max = (size_t)(ehm_memory_limit() / 8);
    choose(c);
    const bool tiles = c->hw_bf16 && has_bf16_tiles() && !is_env("EHM_GEMM", "own");
    if ((tiles || is_env("EHM_GEMM", "dnnl")) &&
        ehm_cpu_dnnl_open(&c->dnnl, c->n_threads, library, sizeof library)) {
        c->dnnl_bf16 = true;
        c->dnnl_f32 = is_env("EHM_GEMM", "dnnl");
    }
    processor(model, sizeof model);
    snprintf(c->about, sizeof c->about, "%s, %s%s%s%s, %d thread%s", model, c->gemm_f32->name,
             c->hw_bf16 ? " with bf16" : "", *library ? ", " : "", library, (int)c->n_threads,
             c->n_threads == 1 ? "" : "s");
    *self = c;
    return EHM_OK;
done:
    cpu_close(c);
    return rc;
}
static ehm_code cpu_alloc(void *self, void **ptr, size_t bytes, ehm_err *err) {
    char text[32];
    (void)self;
    *ptr = ehm_block_alloc(bytes);
    return *ptr ? EHM_OK
                : EHM_FAIL(err, EHM_E_MEMORY, "no memory for a buffer of %s",
                           ehm_format_bytes((double)bytes, text));
}
static void cpu_free(void *self, void *ptr, size_t bytes) {
    ehm_cpu *c = self;
    ehm_cpu_weights_forget(c, ptr, bytes); /* the address may soon hold another matrix */
    ehm_cpu_dnnl_forget(c->dnnl, ptr, bytes);
    ehm_block_free(ptr, bytes);
}
static void cpu_copy(void *self, void *dst, const void *src, size_t n) {
    (void)self;
    memcpy(dst, src, n);
}
static ehm_code cpu_wait(void *self, ehm_err *err) {
    ehm_cpu *c = self;
    ehm_code rc = c->failed;
    char text[32];
    if (!rc) return EHM_OK;
    c->failed = EHM_OK;
    EHM_FAIL(err, rc, "no memory for %s of scratch for %d threads",
             ehm_format_bytes((double)c->failed_bytes, text), (int)c->n_threads);
    EHM_HINT(err, "a smaller --batch-size, or fewer --threads");
    return rc;
}
static void cpu_weights_changed(void *self) {
    ehm_cpu *c = self;
    ehm_cpu_weights_changed(c);
    ehm_cpu_dnnl_weights_changed(c->dnnl);
}
static const char *cpu_describe(void *self) { return ((ehm_cpu *)self)->about; }
static ehm_pool *cpu_pool(void *self) { return ((ehm_cpu *)self)->pool; }
static bool cpu_fast_bf16(void *self) { return ((ehm_cpu *)self)->hw_bf16; }

#define OP(NAME, what, tol_f32, tol_bf16, bwd) .NAME = ehm_cpu_op_##NAME,
const ehm_backend ehm_backend_cpu = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .upload = cpu_copy,
    .download = cpu_copy,
    .wait = cpu_wait,
    .weights_changed = cpu_weights_changed,
    .describe = cpu_describe,
    .pool = cpu_pool,
    .fast_bf16 = cpu_fast_bf16,
#if !EHM_WITH_DNNL
    .same_bits_any_threads = true, /* all of ours; oneDNN promises bits only for a fixed number of threads */
#endif
#include "compute/ops.def"
};
#undef OP
