/* Broken files of every kind: an error or a picture, never a crash, a leak or a huge allocation. Meant for
 * the sanitizers. */
#include "base/file.h"
#include "base/rng.h"
#include "base/str.h"
#include "harness.h"
#include "image/image.h"

enum { MAX_PIXELS = 1 << 18 };

static void feed(const uint8_t *data, size_t n, ehm_arena *a) {
    /* An exact copy on the heap, so that reading one byte past the end is noticed. */
    uint8_t *copy = malloc(n ? n : 1);
    ehm_err err = {0};
    ehm_image im;
    ehm_image_info info;
    REQUIRE(copy);
    memcpy(copy, data, n);
    ehm_code rc = ehm_image_probe(&info, copy, n, &err);
    CHECK(rc == EHM_OK || err.what[0]);
    CHECK(info.orientation <= 8);
    err = (ehm_err){0};
    rc = ehm_image_decode(&im, copy, n, &(ehm_decode_opt){.max_pixels = MAX_PIXELS}, a, &err);
    CHECK(rc ? err.what[0] && err.code == rc && !im.px : im.w > 0 && im.h > 0 && im.px != NULL);
    err = (ehm_err){0};
    rc = ehm_image_decode(&im, copy, n,
                          &(ehm_decode_opt){.max_pixels = MAX_PIXELS,
                                            .crop_x = 3,
                                            .crop_y = 2,
                                            .crop_w = 5,
                                            .crop_h = 4,
                                            .min_w = 2,
                                            .min_h = 2},
                          a, &err);
    CHECK(rc ? err.what[0] != 0 : im.px != NULL);
    err = (ehm_err){0};
    rc = ehm_png_decode_index(&im, copy, n, MAX_PIXELS, a, &err);
    CHECK(rc ? err.what[0] != 0 : im.c == 1);
    free(copy);
    ehm_arena_reset(a);
}

static void each_file(void (*f)(const ehm_bytes *b, ehm_arena *a, ehm_rng *r)) {
    ehm_arena a = {0}, scratch = {0};
    ehm_err err = {0};
    ehm_strs names;
    REQUIRE_OK(ehm_dir_list(&names, ehm_test_path("tests/golden/image"), &a, &err), &err);
    CHECK(names.n > 80);
    scratch.limit_bytes = 256u << 20;
    for (int32_t i = 0; i < names.n; i++) {
        ehm_bytes b;
        if (ehm_ends(names.v[i], ".csv") || ehm_ends(names.v[i], ".ref.pnm") || ehm_ends(names.v[i], "HOW") ||
            ehm_starts(names.v[i], "r_"))
            continue;
        char *path = ehm_path_join(&a, ehm_test_path("tests/golden/image"), names.v[i]);
        REQUIRE_OK(ehm_file_read(&b, path, &a, &err), &err);
        ehm_rng r = ehm_rng_of(ehm_test_seed(), 1, 0, (uint64_t)i);
        f(&b, &scratch, &r);
    }
    ehm_arena_free(&a);
    ehm_arena_free(&scratch);
}

/* Every length of the head, then a coarse grid. */
static void truncate(const ehm_bytes *b, ehm_arena *a, ehm_rng *r) {
    (void)r;
    size_t step = b->len / 97 + 1;
    for (size_t n = 0; n < b->len; n += n < 200 ? 1 : step) feed(b->data, n, a);
}

static void flip(const ehm_bytes *b, ehm_arena *a, ehm_rng *r) {
    uint8_t *copy = malloc(b->len);
    REQUIRE(copy);
    for (int k = 0; k < 150; k++) {
        memcpy(copy, b->data, b->len);
        uint32_t n = 1 + ehm_rng_below(r, 4),
                 near_head = k % 2 ? (uint32_t)(b->len < 120 ? b->len : 120) : (uint32_t)b->len;
        for (uint32_t i = 0; i < n; i++) copy[ehm_rng_below(r, near_head)] = (uint8_t)ehm_rng_u32(r);
        feed(copy, b->len, a);
    }
    free(copy);
}

TEST(hostile, truncated_at_every_length) { each_file(truncate); }
TEST(hostile, random_bytes) { each_file(flip); }

TEST(hostile, sizes_that_overflow) {
    static const char *const heads[] = {
        "P6\n2147483647 2147483647\n255\n",
        "P6\n99999999999999999999 1\n255\n",
        "P5\n0 3\n255\n",
        "P5\n3 3\n0\n",
        "P5\n3 3\n70000\n",
        "P7\nWIDTH 100000\nHEIGHT 100000\nDEPTH 65535\nMAXVAL 255\nENDHDR\n",
        "P7\nWIDTH 1\nHEIGHT 1\nDEPTH 0\nMAXVAL 255\nENDHDR\n",
        "PF\n2147483647 2147483647\n-1.0\n",
        "Pf\n1 1\n0\nabcd",
        "Pf\n1 1\nnan\nabcd",
        "P1\n1000000 1000000\n0",
        "P3\n1000000 1000000\n9\n1 1",
    };
    ehm_arena a = {0};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        ehm_err err = {0};
        ehm_image im;
        ehm_code rc = ehm_image_decode(&im, (const uint8_t *)heads[i], strlen(heads[i]), NULL, &a, &err);
        if (rc != EHM_E_FORMAT)
            ehm_test_fail(__FILE__, __LINE__, "\"%s\" gave %s", heads[i], ehm_code_name(rc));
    }
    CHECK(a.used_bytes < 1 << 16);
    ehm_arena_free(&a);
}

/* An arena that refuses: out of memory is an error like others. */
TEST(hostile, no_memory) {
    static const char *const names[] = {"s420.jpg", "rgb8.png",  "lossy.webp", "alpha.webp", "tiles.tif",
                                        "cmyk.tif", "turn6.tif", "plain.gif",  "rgb24.bmp",  "rgb.ppm"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ehm_arena files = {0};
        ehm_err err = {0};
        ehm_bytes b;
        char rel[128];
        snprintf(rel, sizeof rel, "tests/golden/image/%s", names[i]);
        REQUIRE_OK(ehm_file_read(&b, ehm_test_path(rel), &files, &err), &err);
        for (size_t limit = 64; ehm_image_readable(ehm_image_format(b.data, b.len)) && limit < 4u << 20;
             limit = limit * 3 / 2) {
            ehm_arena a = {.limit_bytes = limit};
            ehm_image im;
            err = (ehm_err){0};
            ehm_code rc = ehm_image_decode(&im, b.data, b.len, NULL, &a, &err);
            if (rc != EHM_OK && rc != EHM_E_MEMORY)
                ehm_test_fail(__FILE__, __LINE__, "%s with %zu bytes: %s", names[i], limit,
                              ehm_code_name(rc));
            ehm_arena_free(&a);
        }
        ehm_arena_free(&files);
    }
}
