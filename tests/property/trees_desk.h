/* What the tests of trees and masks on a device share: similarities of many kinds, places for them there, and what the host makes of them. */
#ifndef EHM_TESTS_TREES_DESK_H
#define EHM_TESTS_TREES_DESK_H
#include "base/rng.h"
#include "compute/trees.h"
#include "harness.h"
#include "mask/tree_mask_int.h"
#include "real_gpu.h"

/* With EHM_TEST_GPU in the environment the GPU itself is meant. */
static inline void emulate(const char *order) {
    if (getenv("EHM_TEST_GPU")) {
        real_plugin();
        return;
    }
    setenv("EHM_CUDA_PLUGIN", EHM_CUDA_EMU, 1);
    setenv("EHM_EMU_ORDER", order, 1);
}

/* ---- matrices ---- */

enum { RANDOM, CLUSTERED, THREE_LEVELS, BLOCKS, FLAT, GRID, NEGATIVE, LAST_BITS, ALMOST_FLAT, SPINE, TINY, HUGE_SPAN, SIGNED_ZEROS, NAN_ON_DIAGONAL,
       KINDS_GOOD, NAN_INSIDE = KINDS_GOOD, INFINITE, TOO_FAR, KINDS };

static inline float entry(int kind, int32_t i, int32_t j, int32_t n, ehm_rng *r) {
    int32_t side = (int32_t)sqrt(n), dy = i / side - j / side, dx = i % side - j % side;
    float u = ehm_rng_f32(r);
    switch (kind) {
    case CLUSTERED: return (i * 5 / n == j * 5 / n ? 0.8f : 0.1f) + 0.1f * u;
    case THREE_LEVELS: return (float)(int32_t)(3 * u) - 1;
    case BLOCKS: return i * 4 / n == j * 4 / n ? 0.5f : i * 2 / n == j * 2 / n ? 0.25f : 0;
    case FLAT: return 0.3f;
    case GRID: return -sqrtf((float)(dy * dy + dx * dx));
    case NEGATIVE: return -1000 * u - 7;
    case LAST_BITS: return 1 + (float)(int32_t)(100 * u) * 0x1p-23f;
    case ALMOST_FLAT: return 1 + (float)(int32_t)(5 * u) * 0x1p-23f;
    case SPINE: return -(float)(i > j ? i : j) - 0.001f * u; /* leaf after leaf joins: the deepest tree */
    case TINY: return u * 1e-41f;
    case HUGE_SPAN: return u * 8e37f - 4e37f;
    case SIGNED_ZEROS: return u < 0.5f ? u < 0.25f ? 0.0f : -0.0f : -(float)(int32_t)(4 * u);
    default: return u;
    }
}
static inline void matrix(float *s, int kind, int32_t n, uint64_t seed) {
    ehm_rng r = ehm_rng_of(seed, EHM_RNG_test, (uint32_t)kind, (uint64_t)n);
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j <= i; j++) s[i * n + j] = s[j * n + i] = entry(kind, i, j, n, &r);
    float odd = kind == NAN_INSIDE ? NAN : kind == INFINITE ? (seed % 2 ? INFINITY : -INFINITY) : kind == TOO_FAR ? -3e38f : 0;
    if (kind >= KINDS_GOOD) s[(n - 1) * n] = s[n - 1] = odd;
    if (kind == TOO_FAR && n > 2) s[n] = s[1] = 3e38f;
    if (kind == NAN_ON_DIAGONAL) s[0] = s[n * n - 1] = NAN;
}

/* ---- a device's side ---- */

typedef struct {
    ehm_dev *d;
    ehm_buf *buf[16];
    int n_bufs;
    int32_t n, pictures;
    ehm_trees_args t;
    ehm_arena a;
} desk;

static inline ehm_view place(desk *k, ehm_dtype t, int32_t rank, int64_t d0, int64_t d1, int64_t d2, const void *from) {
    ehm_err err = {0};
    const int64_t dim[3] = {d0, d1, d2};
    ehm_buf **buf = &k->buf[k->n_bufs++];
    REQUIRE_OK(ehm_buf_new(buf, k->d, (size_t)(d0 * d1 * d2) * ehm_dtype_size(t), &err), &err);
    ehm_view v = ehm_view_of(*buf, 0, t, rank, dim);
    if (from) ehm_upload(k->d, v, from, ehm_view_bytes(v));
    return v;
}
static inline void *fetch(desk *k, ehm_view v) {
    void *p = ehm_arena_alloc(&k->a, 1, ehm_view_bytes(v));
    REQUIRE(p != NULL);
    ehm_download(k->d, p, v, ehm_view_bytes(v));
    return p;
}
/* The matrices of all kinds with n leaves, and their places. */
static inline float *desk_open(desk *k, const char *device, int32_t n, int32_t pictures, uint64_t seed) {
    ehm_err err = {0};
    *k = (desk){.n = n, .pictures = pictures};
    REQUIRE_OK(ehm_dev_open(&k->d, device, 1, &err), &err);
    float *s = EHM_NEW_N(&k->a, float, (size_t)pictures *(size_t)n *(size_t)n);
    REQUIRE(s != NULL);
    for (int32_t j = 0; j < pictures; j++) matrix(s + (int64_t)j * n * n, j, n, seed);
    k->t.s = place(k, EHM_F32, 3, pictures, n, n, s);
    k->t.left = place(k, EHM_I32, 2, pictures, n - 1, 1, NULL), k->t.right = place(k, EHM_I32, 2, pictures, n - 1, 1, NULL);
    k->t.size = place(k, EHM_I32, 2, pictures, n - 1, 1, NULL), k->t.height = place(k, EHM_F32, 2, pictures, n - 1, 1, NULL);
    k->t.offset = place(k, EHM_F32, 1, pictures, 1, 1, NULL), k->t.state = place(k, EHM_I32, 1, pictures, 1, 1, NULL);
    return s;
}
static inline void desk_close(desk *k) {
    ehm_err err = {0};
    CHECK_OK(ehm_dev_check(k->d, &err), &err);
    for (int i = 0; i < k->n_bufs; i++) ehm_buf_free(k->buf[i]);
    ehm_dev_close(k->d);
    ehm_arena_free(&k->a);
}

/* The host's tree of s, and what the device should say of it. */
static inline int32_t host_tree(ehm_tree *t, const float *s, int32_t n, ehm_arena *a) {
    ehm_err err = {0};
    ehm_similarity_range range;
    REQUIRE_OK(ehm_tree_new(t, n, a, &err), &err);
    void *work = ehm_arena_alloc(a, 1, ehm_tree_work_bytes(n, EHM_LINK_AVERAGE, EHM_F32));
    REQUIRE(work != NULL);
    if (ehm_tree_build(t, s, EHM_F32, n, EHM_LINK_AVERAGE, EHM_TREE_TRUSTED, work, &err)) return EHM_TREES_BAD;
    REQUIRE_OK(ehm_similarity_check(&range, s, EHM_F32, n, EHM_TREE_TRUSTED, &err), &err);
    return ehm_similarity_is_flat(&range) ? EHM_TREES_FLAT : EHM_TREES_OK;
}

/* ---- masks ---- */

typedef struct {
    ehm_tree_masks_args m;
    int32_t views, *k;
    uint64_t seed, first; /* number of picture 0's sample */
    uint32_t epoch;
    ehm_mask_settings s;
} choice;

/* Places for the masks of a desk's trees; k and keys of every sample. */
static inline void choice_make(choice *c, desk *k, int32_t n_masked, const int32_t *nodes, int32_t n_nodes) {
    int32_t samples = c->views * k->pictures, n = k->n;
    int32_t *keys = EHM_NEW_N(&k->a, int32_t, samples * 10);
    c->k = EHM_NEW_N(&k->a, int32_t, samples);
    REQUIRE(keys && c->k);
    for (int32_t i = 0; i < samples; i++) {
        c->k[i] = nodes[i % n_nodes];
        for (int half = 0; half < 2; half++) {
            ehm_rng r = ehm_rng_of(c->seed, half ? EHM_RNG_mask_leaves : EHM_RNG_mask_nodes, c->epoch, c->first + (uint64_t)(i % k->pictures));
            r.ctr[3] ^= (uint32_t)(i / k->pictures) << 20;
            memcpy(keys + 10 * i + 5 * half, r.ctr + 1, 12), memcpy(keys + 10 * i + 5 * half + 3, r.key, 8);
        }
    }
    c->m = (ehm_tree_masks_args){.left = k->t.left, .right = k->t.right, .size = k->t.size, .state = k->t.state, .n_masked = n_masked};
    c->m.by_nodes = (int32_t)round((1 - c->s.mix_random) * n_masked);
    c->m.effective = c->s.cut == EHM_CUT_EFFECTIVE, c->m.along_tree = c->s.boundary == EHM_BOUNDARY_TREE;
    c->m.visible = place(k, EHM_I32, 2, samples, n - n_masked, 1, NULL), c->m.masked = place(k, EHM_I32, 2, samples, n_masked, 1, NULL);
    c->m.n_cut = place(k, EHM_I32, 1, samples, 1, 1, NULL);
    c->m.k = place(k, EHM_I32, 1, samples, 1, 1, c->k), c->m.keys = place(k, EHM_I32, 2, samples, 10, 1, keys);
}
static inline void choice_free(desk *k) {
    for (int i = 0; i < 5; i++) ehm_buf_free(k->buf[--k->n_bufs]);
}
#endif
