/* Resampling equals Pillow to the bit (u8, f32) over filters, boxes and sizes; both inner loops equal each
 * other. */
#include "image/resize_int.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/rng.h"
#include "harness.h"
#include "image/image.h"

TEST(resize, golden) {
    ehm_arena a = {0}, scratch = {0};
    ehm_err err = {0};
    ehm_bytes csv, b;
    char name[64], filter[16], sha[65], hex[65], rel[128], last[64] = "";
    double box[4];
    int w, h, n = 0, used;
    ehm_image in = {0};
    static const char *const kinds[] = {"nearest", "bilinear", "bicubic", "lanczos"};
    REQUIRE_OK(ehm_file_read(&csv, ehm_test_path("tests/golden/image/resize.csv"), &a, &err), &err);
    const char *line = strchr((char *)csv.data, '\n') + 1;
    while (sscanf(line, "%63[^,],%lf,%lf,%lf,%lf,%d,%d,%15[^,],%64[0-9a-f]\n%n", name, box, box + 1, box + 2,
                  box + 3, &w, &h, filter, sha, &used) == 9) {
        line += used;
        n++;
        if (strcmp(name, last)) {
            snprintf(rel, sizeof rel, "tests/golden/image/%s", name);
            REQUIRE_OK(ehm_file_read(&b, ehm_test_path(rel), &a, &err), &err);
            if (!ehm_image_readable(ehm_image_format(b.data, b.len))) continue;
            REQUIRE_OK(ehm_image_decode(&in, b.data, b.len, NULL, &a, &err), &err);
            snprintf(last, sizeof last, "%s", name);
        }
        int kind = 0;
        while (strcmp(kinds[kind], filter)) kind++;
        ehm_image out;
        ehm_arena_reset(&scratch);
        REQUIRE_OK(ehm_image_new(&out, w, h, in.c, in.type, &scratch, &err), &err);
        REQUIRE_OK(ehm_resize(&out, &in, box, (ehm_resize_kind)kind, &scratch, &err), &err);
        ehm_sha256_text(out.px, ehm_image_bytes(&out), hex);
        if (strcmp(hex, sha))
            ehm_test_fail(__FILE__, __LINE__, "%s %s box %g %g %g %g to %d x %d differs from Pillow", name,
                          filter, box[0], box[1], box[2], box[3], w, h);
    }
    CHECK_INT(n, 320);
    ehm_arena_free(&a);
    ehm_arena_free(&scratch);
}

TEST(resize, both_loops_agree) {
    if (!ehm_resize_has_avx2()) SKIP("no AVX2 here");
    enum { N_IN = 83, N_OUT = 41, STRIDE = 8 };
    static uint8_t in[N_IN * 40 * 4];
    static int32_t first[N_OUT], n[N_OUT], q[N_OUT * STRIDE];
    static int16_t lo[N_OUT * STRIDE], hi[N_OUT * STRIDE];
    ehm_rng r = ehm_rng_of(ehm_test_seed(), 1, 0, 0);
    for (size_t i = 0; i < sizeof in; i++) in[i] = (uint8_t)ehm_rng_u32(&r);
    for (int i = 0; i < N_OUT; i++) {
        n[i] = 1 + (int32_t)ehm_rng_below(&r, STRIDE - 1);
        first[i] = i == N_OUT - 1 ? 40 - n[i] : (int32_t)ehm_rng_below(&r, (uint32_t)(40 - n[i] + 1));
        for (int j = 0; j < n[i]; j++) {
            int at = i * STRIDE + j;
            q[at] = (int32_t)ehm_rng_below(&r, 1u << 21) - (1 << 20); /* real windows sum to at most 1.5 */
            hi[at] = (int16_t)(q[at] >> EHM_RESIZE_SPLIT);
            lo[at] = (int16_t)(q[at] & 32767);
        }
    }
    ehm_resize_axis axis = {
        .n_out = N_OUT, .stride = STRIDE, .first = first, .n = n, .q = q, .lo = lo, .hi = hi};
    for (int32_t c = 1; c <= 4; c++) {
        uint8_t a[N_OUT * 4] = {0}, b[N_OUT * 4] = {0};
        ehm_resize_row_u8(a, in, &axis, c, (size_t)40 * (size_t)c); /* only 40 pixels may be read */
        ehm_resize_row_u8_avx2(b, in, &axis, c, (size_t)40 * (size_t)c);
        CHECK(!memcmp(a, b, sizeof a));
    }
    for (size_t w = 1; w <= N_IN * 4; w += w < 70 ? 1 : 37)
        for (int i = 0; i < N_OUT; i += 5) {
            uint8_t a[N_IN * 4 + 1] = {0}, b[N_IN * 4 + 1] = {0};
            ehm_resize_col_u8(a, in, w, &axis, i, 0);
            ehm_resize_col_u8_avx2(b, in, w, &axis, i, 0);
            CHECK(!memcmp(a, b, sizeof a));
        }
}

TEST(resize, refuses) {
    ehm_arena a = {0};
    ehm_err err = {0};
    uint8_t px[48] = {0}, dst[48];
    ehm_image in = {px, 4, 4, 3, EHM_U8}, out = {dst, 2, 2, 3, EHM_U8}, grey = {dst, 2, 2, 1, EHM_U8};
    CHECK_FAILS(ehm_resize(&grey, &in, NULL, EHM_RESIZE_BICUBIC, &a, &err), &err, EHM_E_ARG,
                "keeps channels");
    CHECK_FAILS(ehm_resize(&out, &in, (double[4]){0, 0, 5, 4}, EHM_RESIZE_BICUBIC, &a, &err), &err, EHM_E_ARG,
                "outside the picture");
    CHECK_FAILS(ehm_resize(&out, &in, (double[4]){1, 1, 1, 4}, EHM_RESIZE_BICUBIC, &a, &err), &err, EHM_E_ARG,
                "empty");
    CHECK_FAILS(ehm_resize(&out, &in, (double[4]){NAN, 1, 2, 4}, EHM_RESIZE_BICUBIC, &a, &err), &err,
                EHM_E_ARG, "outside");
    out.w = 0;
    CHECK_FAILS(ehm_resize(&out, &in, NULL, EHM_RESIZE_BICUBIC, &a, &err), &err, EHM_E_ARG, "0 x 2 px");
    out.w = 2;
    ehm_arena tight = {.limit_bytes = 128};
    CHECK_FAILS(ehm_resize(&out, &in, NULL, EHM_RESIZE_BICUBIC, &tight, &err), &err, EHM_E_MEMORY,
                "no memory");
    ehm_arena_free(&a);
    ehm_arena_free(&tight);
}

TEST(resize, no_growth_with_a_reset_arena) {
    ehm_arena a = {0};
    ehm_err err = {0};
    static uint8_t px[100 * 80 * 3], dst[32 * 32 * 3];
    ehm_image in = {px, 100, 80, 3, EHM_U8}, out = {dst, 32, 32, 3, EHM_U8};
    size_t used = 0;
    for (int i = 0; i < 5; i++) {
        ehm_arena_reset(&a);
        REQUIRE_OK(ehm_resize(&out, &in, NULL, EHM_RESIZE_BICUBIC, &a, &err), &err);
        if (i) CHECK(a.used_bytes == used);
        used = a.used_bytes;
    }
    ehm_arena_free(&a);
}
