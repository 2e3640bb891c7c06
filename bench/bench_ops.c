/* Speed of the compute ops on this machine, next to what its multiply-add units can do.
 *
 *     bench_ops [--threads N] [--samples N] [--dtype f32|bf16|both] [--device cpu] [--cpu-time] [NAME ...]
 *
 * First the peak: register-only multiply-adds on as many threads, measured again at the end because shared
 * machines change pace. Then one line an op and shape: median, least and most of the samples, GFLOP/s and the
 * share of the peak for products, GB/s for passes over memory. NAME keeps only lines whose name contains it.
 * Each sample repeats the op for at least 10 ms.
 * --cpu-time counts the processor's seconds instead of the clock's, for one thread on a machine that others
 * use too. EHM_GEMM=own|dnnl chooses who multiplies, EHM_ISA=generic|avx2|avx512 bounds the instruction set
 * (see compute/cpu/cpu.c).
 */
#include "base/clock.h"
#include "base/mem.h"
#include "compute/compute.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_SAMPLES = 101 };
static struct {
    int32_t threads, samples;
    bool cpu_time;
    const char *device, *dtype, **names;
    int n_names;
} opt = {0, 9, false, "cpu", "both", NULL, 0};

static void die(const char *what) {
    fprintf(stderr, "bench_ops: %s\n", what);
    exit(1);
}
static double now_s(void) { return opt.cpu_time ? (double)clock() / CLOCKS_PER_SEC : ehm_clock_s(); }
static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- the peak ---- */
/* Twelve independent sums, in assembler so that no compiler can spill or fold them. */
#if defined(__x86_64__)
#define SIX(OP, a, b, c, d, e, f) OP(a) OP(b) OP(c) OP(d) OP(e) OP(f)
#define FMA_Y(i) "vfmadd231ps %%ymm14,%%ymm15,%%ymm" #i "\n\t"
#define FMA_Z(i) "vfmadd231ps %%zmm30,%%zmm31,%%zmm" #i "\n\t"
#define BF_Z(i) "vdpbf16ps %%zmm30,%%zmm31,%%zmm" #i "\n\t"
#define CLEAR_Y(i) "vxorps %%ymm" #i ",%%ymm" #i ",%%ymm" #i "\n\t"
#define TWELVE(OP) SIX(OP, 0, 1, 2, 3, 4, 5) SIX(OP, 6, 7, 8, 9, 10, 11)
#define LOOP(name, OP)                                                                                   \
    static void name(int64_t n) {                                                                        \
        __asm__ volatile(                                                                                \
            TWELVE(CLEAR_Y) "vxorps %%ymm14,%%ymm14,%%ymm14\n\tvxorps %%ymm15,%%ymm15,%%ymm15\n\t" EXTRA \
                            ".p2align 5\n1:\n\t" TWELVE(OP) TWELVE(OP) "dec %0\n\tjnz 1b\n\tvzeroupper"  \
            : "+r"(n)::"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",   \
              "xmm10", "xmm11", "xmm14", "xmm15", "cc");                                                 \
    }
#define EXTRA ""
LOOP(fma_avx2, FMA_Y)
#undef EXTRA
#define EXTRA "vpxord %%zmm30,%%zmm30,%%zmm30\n\tvpxord %%zmm31,%%zmm31,%%zmm31\n\t"
LOOP(fma_avx512, FMA_Z)
LOOP(bf16_avx512, BF_Z)
#endif
typedef struct {
    void (*loop)(int64_t n);
    int64_t n;
} peak_job;
static void peak_thread(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const peak_job *j = ctx;
    (void)begin, (void)end, (void)i_thread;
    j->loop(j->n);
}
static double peak_of(ehm_pool *pool, void (*loop)(int64_t), double flops_a_turn) {
    double best[9];
    peak_job j = {loop, 2000000};
    for (int i = -1; i < 9; i++) {
        double t = now_s();
        ehm_pool_for(pool, ehm_pool_threads(pool), 1, peak_thread, &j);
        t = now_s() - t;
        if (i >= 0) best[i] = flops_a_turn * (double)j.n * ehm_pool_threads(pool) / t * 1e-9;
    }
    qsort(best, 9, sizeof *best, by_value);
    return best[4];
}
static double peak_f32, peak_bf16;
static void measure_peak(ehm_pool *pool) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    peak_f32 = peak_bf16 = 0;
    if (__builtin_cpu_supports("avx512f")) peak_f32 = peak_of(pool, fma_avx512, 24 * 32);
    else if (__builtin_cpu_supports("fma")) peak_f32 = peak_of(pool, fma_avx2, 24 * 16);
    peak_bf16 = __builtin_cpu_supports("avx512bf16") ? peak_of(pool, bf16_avx512, 24 * 64) : peak_f32;
#else
    (void)pool;
#endif
    if (peak_f32 > 0)
        printf("# peak %d thread(s): f32 %.1f GFLOP/s, bf16 %.1f GFLOP/s\n", (int)ehm_pool_threads(pool),
               peak_f32, peak_bf16);
    else printf("# peak: not measured on this kind of processor\n");
}

/* ---- running ---- */
static ehm_dev *dev;
static ehm_arena arena; /* the buffers' list */
static ehm_buf *bufs[64];
static int n_bufs;
static ehm_view make(ehm_dtype t, int32_t rank, int64_t a, int64_t b, int64_t c, double size) {
    ehm_err err = {0};
    char text[EHM_ERR_TEXT];
    ehm_view v = ehm_view_of(NULL, 0, t, rank, (int64_t[]){a, b, c});
    int64_t n = ehm_view_count(v);
    if (n_bufs == 64) die("too many buffers");
    if (ehm_buf_new(&bufs[n_bufs], dev, ehm_view_bytes(v), &err)) die(ehm_err_text(&err, text));
    v.buf = bufs[n_bufs++];
    void *host = malloc(ehm_view_bytes(v));
    if (!host) die("no memory");
    uint32_t s = 12345;
    for (int64_t i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        float f = (float)(((double)(s >> 8) / (1 << 24) - 0.5) * size);
        if (t == EHM_F32) ((float *)host)[i] = f;
        else if (t == EHM_BF16) ((uint16_t *)host)[i] = ehm_bf16_of(f);
        else ((int32_t *)host)[i] = 0;
    }
    ehm_upload(dev, v, host, ehm_view_bytes(v));
    free(host);
    return v;
}
static void drop_all(void) {
    while (n_bufs) ehm_buf_free(bufs[--n_bufs]);
}
static bool wanted(const char *name) {
    for (int i = 0; i < opt.n_names; i++)
        if (strstr(name, opt.names[i])) return true;
    return !opt.n_names;
}
typedef void (*op_fn)(const void *args);
static void run(const char *name, op_fn fn, const void *args, double flops, double bytes, double peak) {
    double r[MAX_SAMPLES], t;
    ehm_err err = {0};
    char text[EHM_ERR_TEXT];
    fn(args);
    int64_t inner = 1;
    for (;; inner *= 2) {
        t = now_s();
        for (int64_t i = 0; i < inner; i++) fn(args);
        t = now_s() - t;
        if (t > 0.01) break;
    }
    if (ehm_dev_check(dev, &err)) die(ehm_err_text(&err, text));
    for (int32_t s = 0; s < opt.samples; s++) {
        t = now_s();
        for (int64_t i = 0; i < inner; i++) fn(args);
        r[s] = (now_s() - t) / (double)inner;
    }
    qsort(r, (size_t)opt.samples, sizeof *r, by_value);
    double mid = r[opt.samples / 2];
    printf("%-26s %9.1f us [%.1f .. %.1f]", name, mid * 1e6, r[0] * 1e6, r[opt.samples - 1] * 1e6);
    if (flops > 0) printf("  %7.1f GFLOP/s", flops / mid * 1e-9);
    if (flops > 0 && peak > 0) printf("  %5.1f %%", 100 * flops / mid * 1e-9 / peak);
    if (bytes > 0) printf("  %6.1f GB/s", bytes / mid * 1e-9);
    printf("\n");
    fflush(stdout);
}
#define RUNNER(op) \
    static void run_##op(const void *a) { ehm_##op(dev, a); }
RUNNER(matmul)
RUNNER(gelu_fwd) RUNNER(gelu_bwd) RUNNER(norm_fwd) RUNNER(norm_bwd) RUNNER(attn_fwd) RUNNER(attn_bwd)
    RUNNER(colsum) RUNNER(adamw) RUNNER(sumsq) RUNNER(cast)
    /* A weight changes once a step, so its packing is part of the price. */
    static void run_matmul_fresh(const void *a) {
    ehm_dev_weights_changed(dev);
    ehm_matmul(dev, a);
}

static const struct {
    const char *name;
    int64_t m, n, k;
} shapes[] = {
    {"sq1024", 1024, 1024, 1024},  {"ti_qkv", 2176, 576, 192},    {"ti_proj", 2176, 192, 192},
    {"ti_fc1", 2176, 768, 192},    {"ti_fc2", 2176, 192, 768},    {"d96_qkv", 8320, 288, 96},
    {"d96_fc1", 8320, 384, 96},    {"d96_fc2", 8320, 96, 384},    {"b_qkv", 800, 2304, 768},
    {"b_fc1", 800, 3072, 768},     {"b_fc2", 800, 768, 3072},     {"b_proj", 800, 768, 768},
    {"d512_qkv", 3152, 1536, 512}, {"d512_fc1", 3152, 2048, 512}, {"d512_fc2", 3152, 512, 2048},
};
static void products(ehm_dtype act, const char *type) {
    char name[64];
    const double peak = act == EHM_BF16 ? peak_bf16 : peak_f32;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int64_t m = shapes[i].m, n = shapes[i].n, k = shapes[i].k;
        double flops = 2.0 * (double)m * (double)n * (double)k;
        ehm_view x = make(act, 2, m, k, 0, 1), w = make(act, 2, n, k, 0, 1), y = make(act, 2, m, n, 0, 1),
                 bias = make(EHM_F32, 1, n, 0, 0, 1);
        ehm_view dx = make(act, 2, m, k, 0, 1), dw = make(EHM_F32, 2, n, k, 0, 1);
        snprintf(name, sizeof name, "%s fwd %s", shapes[i].name, type);
        if (wanted(name))
            run(name, run_matmul,
                &(ehm_matmul_args){.out = y, .a = x, .b = w, .bias = bias, .trans_b = true, .weight_b = true},
                flops, 0, peak);
        snprintf(name, sizeof name, "%s fwd+pack %s", shapes[i].name, type);
        if (wanted(name))
            run(name, run_matmul_fresh,
                &(ehm_matmul_args){.out = y, .a = x, .b = w, .bias = bias, .trans_b = true, .weight_b = true},
                flops, 0, peak);
        snprintf(name, sizeof name, "%s dx %s", shapes[i].name, type);
        if (wanted(name))
            run(name, run_matmul, &(ehm_matmul_args){.out = dx, .a = y, .b = w, .weight_b = true}, flops, 0,
                peak);
        snprintf(name, sizeof name, "%s dw %s", shapes[i].name, type);
        if (wanted(name))
            run(name, run_matmul,
                &(ehm_matmul_args){.out = dw, .a = y, .b = x, .trans_a = true, .accumulate = true}, flops, 0,
                peak);
        drop_all();
    }
}
static const struct {
    const char *name;
    int64_t b, n;
    int32_t h;
    int64_t k;
} heads[] = {
    {"ti_enc", 128, 17, 3, 64}, {"ti_dec", 128, 65, 3, 32},  {"b_enc", 16, 50, 12, 64},
    {"b_dec", 16, 197, 16, 32}, {"ti_full", 128, 65, 3, 64}, {"long", 1, 1025, 6, 64},
};
static void attention(ehm_dtype act, const char *type) {
    char name[64];
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        int64_t b = heads[i].b, n = heads[i].n, w = heads[i].h * heads[i].k;
        double flops = 4.0 * (double)(b * n * n * w);
        float scale = 1.f / sqrtf((float)heads[i].k);
        ehm_view qkv = make(act, 3, b, n, 3 * w, 4), out = make(act, 3, b, n, w, 1),
                 lse = make(EHM_F32, 3, b, heads[i].h, n, 1);
        ehm_view dout = make(act, 3, b, n, w, 1), dqkv = make(act, 3, b, n, 3 * w, 1);
        snprintf(name, sizeof name, "attn_fwd %s %s", heads[i].name, type);
        if (wanted(name))
            run(name, run_attn_fwd, &(ehm_attn_fwd_args){out, lse, qkv, heads[i].h, scale}, flops, 0,
                peak_f32);
        snprintf(name, sizeof name, "attn_bwd %s %s", heads[i].name, type);
        if (wanted(name))
            run(name, run_attn_bwd, &(ehm_attn_bwd_args){dqkv, dout, qkv, out, lse, heads[i].h, scale},
                2.5 * flops, 0, peak_f32);
        drop_all();
    }
}
static const struct {
    const char *name;
    int64_t rows, d;
} passes[] = {{"ti 2176x192", 2176, 192},
              {"d96 8320x96", 8320, 96},
              {"b 800x768", 800, 768},
              {"d512 3152x512", 3152, 512}};
static void row_ops(ehm_dtype act, const char *type) {
    char name[64];
    const double el = (double)ehm_dtype_size(act);
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        int64_t r = passes[i].rows, d = passes[i].d, n4 = r * d * 4;
        ehm_view x = make(EHM_F32, 2, r, d, 0, 1), y = make(act, 2, r, d, 0, 1),
                 mean = make(EHM_F32, 1, r, 0, 0, 1), rstd = make(EHM_F32, 1, r, 0, 0, 1);
        ehm_view w = make(EHM_F32, 1, d, 0, 0, 1), b = make(EHM_F32, 1, d, 0, 0, 1),
                 dx = make(EHM_F32, 2, r, d, 0, 1), big = make(act, 2, r, 4 * d, 0, 6);
        ehm_view big2 = make(act, 2, r, 4 * d, 0, 1), sum = make(EHM_F32, 1, 4 * d, 0, 0, 1),
                 dw = make(EHM_F32, 1, d, 0, 0, 1), db = make(EHM_F32, 1, d, 0, 0, 1);
        snprintf(name, sizeof name, "norm_fwd %s %s", passes[i].name, type);
        if (wanted(name))
            run(name, run_norm_fwd, &(ehm_norm_fwd_args){y, mean, rstd, x, w, b, 1e-6f}, 0,
                (double)(r * d) * (4 + el), 0);
        snprintf(name, sizeof name, "norm_bwd %s %s", passes[i].name, type);
        if (wanted(name))
            run(name, run_norm_bwd, &(ehm_norm_bwd_args){dx, dw, db, y, x, mean, rstd, w, true}, 0,
                (double)(r * d) * (12 + el), 0);
        snprintf(name, sizeof name, "gelu_fwd %s %s", passes[i].name, type);
        if (wanted(name)) run(name, run_gelu_fwd, &(ehm_gelu_fwd_args){big2, big}, 0, (double)n4 * 2 * el, 0);
        snprintf(name, sizeof name, "gelu_bwd %s %s", passes[i].name, type);
        if (wanted(name))
            run(name, run_gelu_bwd, &(ehm_gelu_bwd_args){big2, big2, big}, 0, (double)n4 * 3 * el, 0);
        snprintf(name, sizeof name, "colsum %s %s", passes[i].name, type);
        if (wanted(name)) run(name, run_colsum, &(ehm_colsum_args){sum, big2, true}, 0, (double)n4 * el, 0);
        drop_all();
    }
}
static void optimiser(void) {
    const int64_t n = 5700000;
    ehm_view p = make(EHM_F32, 1, n, 0, 0, 1), g = make(EHM_F32, 1, n, 0, 0, 1),
             m = make(EHM_F32, 1, n, 0, 0, 0), v = make(EHM_F32, 1, n, 0, 0, 0);
    ehm_view act = make(EHM_BF16, 1, n, 0, 0, 1), factor = make(EHM_F32, 1, 1, 0, 0, 0),
             total = make(EHM_F32, 1, 1, 0, 0, 0);
    if (wanted("adamw"))
        run("adamw 5.7M", run_adamw,
            &(ehm_adamw_args){p, g, m, v, factor, act, 1e-3f, .9f, .95f, 1e-8f, .05f, 1}, 0, (double)n * 30,
            0);
    if (wanted("sumsq"))
        run("sumsq 5.7M", run_sumsq, &(ehm_sumsq_args){total, g, false}, 0, (double)n * 4, 0);
    if (wanted("cast")) run("cast 5.7M", run_cast, &(ehm_cast_args){act, p}, 0, (double)n * 6, 0);
    drop_all();
}
int main(int argc, char **argv) {
    ehm_err err = {0};
    char text[EHM_ERR_TEXT];
    opt.names = EHM_NEW_N(&arena, const char *, argc);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2)) opt.names[opt.n_names++] = argv[i];
        else if (!strcmp(argv[i], "--cpu-time")) opt.cpu_time = true;
        else if (i + 1 == argc) die("an option without its value");
        else if (!strcmp(argv[i], "--threads")) opt.threads = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--samples")) opt.samples = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--dtype")) opt.dtype = argv[++i];
        else if (!strcmp(argv[i], "--device")) opt.device = argv[++i];
        else
            die("options: --threads N --samples N --dtype f32|bf16|both --device NAME --cpu-time, then parts "
                "of names");
    }
    if (opt.samples < 1 || opt.samples > MAX_SAMPLES) die("--samples is 1 to 101");
    if (opt.cpu_time && opt.threads != 1) die("--cpu-time needs --threads 1");
    if (ehm_dev_open(&dev, opt.device, opt.threads, &err)) die(ehm_err_text(&err, text));
    printf("# %s\n", ehm_dev_describe(dev));
    measure_peak(ehm_dev_pool(dev));
    for (int t = 0; t < 2; t++) {
        ehm_dtype act = t ? EHM_BF16 : EHM_F32;
        const char *type = t ? "bf16" : "f32";
        if (strcmp(opt.dtype, "both") && strcmp(opt.dtype, type)) continue;
        products(act, type);
        attention(act, type);
        row_ops(act, type);
    }
    optimiser();
    measure_peak(ehm_dev_pool(dev));
    ehm_dev_close(dev);
    ehm_arena_free(&arena);
    return 0;
}
