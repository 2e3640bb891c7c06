/* The CUDA back end on a real GPU: `make test-gpu`. Every op in every shape against ref, and the same bits from one time to the next; wider shapes than
 * the table's, where the tensor cores' kernels have several tiles a side and blocks run at once. */
#include "ops_against.h"
#include "real_gpu.h"

static void on_gpu(void) {
    if (!getenv("EHM_TEST_GPU")) SKIP("no GPU was asked for (make test-gpu)");
    real_plugin();
}

TEST(gpu, f32) {
    on_gpu();
    against_ref("cuda", EHM_F32);
}
TEST(gpu, bf16) {
    on_gpu();
    against_ref("cuda", EHM_BF16);
}
TEST(gpu, own_products) {
    on_gpu();
    setenv("EHM_CUDA_GEMM", "own", 1);
    products_against_ref("cuda");
    unsetenv("EHM_CUDA_GEMM");
}
TEST(gpu, same_bits_again) {
    on_gpu();
    same_bits("cuda", 1, 1, EHM_F32);
    same_bits("cuda", 1, 1, EHM_BF16);
}

/* ---- attention of a model's size: cpu beside cuda ---- */

typedef struct {
    ehm_dev *d;
    ehm_buf *buf[7];
    ehm_view v[7]; /* qkv, out, lse, dout, dqkv, probs, and qkv in f32 */
} attention_places;

static void places_open(attention_places *p, const char *device_name, const float *qkv, const float *dout, int64_t b, int64_t n, int64_t h, int64_t k) {
    ehm_err err = {0};
    const int64_t w = h * k, counts[7] = {b * n * 3 * w, b * n * w, b * h * n, b * n * w, b * n * 3 * w, b * n * n, b * n * 3 * w};
    p->d = device(device_name, 0);
    for (int i = 0; i < 7; i++) {
        ehm_dtype t = i == 2 || i == 5 || i == 6 ? EHM_F32 : EHM_BF16;
        REQUIRE_OK(ehm_buf_new(&p->buf[i], p->d, (size_t)counts[i] * ehm_dtype_size(t), &err), &err);
        p->v[i] = i == 2 ? ehm_view_of(p->buf[i], 0, t, 3, (int64_t[]){b, h, n}) : ehm_view_of(p->buf[i], 0, t, 3, (int64_t[]){b, n, counts[i] / (b * n)});
    }
    ehm_upload(p->d, p->v[6], qkv, ehm_view_bytes(p->v[6]));
    ehm_cast(p->d, &(ehm_cast_args){p->v[0], p->v[6]});
    ehm_view half = ehm_view_of(p->buf[6], 0, EHM_F32, 3, p->v[3].dim);
    ehm_upload(p->d, half, dout, ehm_view_bytes(half));
    ehm_cast(p->d, &(ehm_cast_args){p->v[3], half});
    float scale = (float)(1 / sqrt((double)k));
    ehm_attn_fwd(p->d, &(ehm_attn_fwd_args){p->v[1], p->v[2], p->v[0], (int32_t)h, scale});
    ehm_attn_bwd(p->d, &(ehm_attn_bwd_args){p->v[4], p->v[3], p->v[0], p->v[1], p->v[2], (int32_t)h, scale});
    ehm_attn_probs(p->d, &(ehm_attn_probs_args){p->v[5], p->v[0], (int32_t)h, scale, false});
    REQUIRE_OK(ehm_dev_check(p->d, &err), &err);
}
static void compare_places(attention_places *got, attention_places *want, int i, double bound) {
    int64_t n = ehm_view_count(want->v[i]);
    size_t bytes = ehm_view_bytes(want->v[i]);
    char *a = malloc(bytes), *b = malloc(bytes);
    double top = 0, worst = 0;
    ehm_download(got->d, a, got->v[i], bytes);
    ehm_download(want->d, b, want->v[i], bytes);
    for (int64_t k = 0; k < n; k++) {
        double x = get(a, want->v[i].dtype, k), y = get(b, want->v[i].dtype, k);
        top = fmax(top, fabs(y)), worst = fmax(worst, isnan(x) ? INFINITY : fabs(x - y));
    }
    if (worst > bound * top) ehm_test_fail(__FILE__, __LINE__, "view %d of attention over %lld tokens: error %g of largest %g", i, (long long)want->v[1].dim[1], worst, top);
    free(a), free(b);
}
TEST(gpu, attention_of_models) {
    static const int64_t shapes[][4] = {{8, 197, 12, 64}, {4, 50, 16, 64}, {4, 257, 16, 80}, {2, 1024, 6, 64}, {6, 197, 16, 32}};
    on_gpu();
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        const int64_t b = shapes[s][0], n = shapes[s][1], h = shapes[s][2], k = shapes[s][3], count = b * n * 3 * h * k;
        float *x = malloc((size_t)count * sizeof *x);
        ehm_rng r = ehm_rng_of(5, EHM_RNG_init, 0, (uint64_t)s);
        for (int64_t i = 0; i < count; i++) x[i] = (float)ehm_rng_normal(&r);
        attention_places got = {0}, want = {0};
        places_open(&got, "cuda", x, x + 1, b, n, h, k);
        places_open(&want, "cpu", x, x + 1, b, n, h, k);
        compare_places(&got, &want, 1, 2e-2), compare_places(&got, &want, 2, 1e-3), compare_places(&got, &want, 4, 3e-2), compare_places(&got, &want, 5, 1e-2);
        for (int i = 0; i < 7; i++) ehm_buf_free(got.buf[i]), ehm_buf_free(want.buf[i]);
        ehm_dev_close(got.d), ehm_dev_close(want.d);
        free(x);
    }
}
