/* What is written reads back equal, here and (tools/golden/image.py) in Pillow's hands. */
#include "base/file.h"
#include "base/rng.h"
#include "harness.h"
#include "image/image.h"

static void round_trip(const char *name, const ehm_image *im) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_bytes b;
    ehm_image back;
    char *path = ehm_path_join(&a, ehm_test_tmp(), name);
    REQUIRE_OK(ehm_image_write(path, im, &err), &err);
    REQUIRE_OK(ehm_file_read(&b, path, &a, &err), &err);
    REQUIRE_OK(ehm_image_decode(&back, b.data, b.len, NULL, &a, &err), &err);
    CHECK(back.w == im->w && back.h == im->h && back.c == im->c && back.type == im->type);
    CHECK(ehm_image_bytes(&back) == ehm_image_bytes(im) && !memcmp(back.px, im->px, ehm_image_bytes(im)));
    ehm_arena_free(&a);
}

TEST(image_write, round_trips) {
    static uint16_t px[19 * 13 * 4];
    ehm_rng r = ehm_rng_of(ehm_test_seed(), 1, 0, 0);
    for (size_t i = 0; i < sizeof px / 2; i++) px[i] = (uint16_t)ehm_rng_u32(&r);
    for (int32_t c = 1; c <= 4; c++)
        for (int wide = 0; wide < 2; wide++) {
            ehm_image im = {px, 19, 13, c, wide ? EHM_U16 : EHM_U8};
            if (ehm_image_can_write_png()) round_trip("a.png", &im);
            if (c == 1) round_trip("a.pgm", &im);
            if (c == 3) round_trip("a.PPM", &im);
        }
}

TEST(image_write, refuses) {
    float f[3] = {0};
    uint8_t px[4] = {0};
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_image wide = {f, 1, 1, 3, EHM_F32}, rgba = {px, 1, 1, 4, EHM_U8};
    CHECK_FAILS(ehm_image_write(ehm_path_join(&a, ehm_test_tmp(), "a.ppm"), &wide, &err), &err, EHM_E_ARG,
                "f32");
    CHECK_FAILS(ehm_image_write(ehm_path_join(&a, ehm_test_tmp(), "a.ppm"), &rgba, &err), &err, EHM_E_ARG,
                "4 channels");
    CHECK_FAILS(ehm_image_write("a.jpg", &rgba, &err), &err, EHM_E_ARG, "a.jpg");
    if (ehm_image_can_write_png()) {
        CHECK_FAILS(ehm_image_write(ehm_path_join(&a, ehm_test_tmp(), "a.png"), &wide, &err), &err, EHM_E_ARG,
                    "f32");
        CHECK_FAILS(ehm_image_write(ehm_path_join(&a, ehm_test_tmp(), "no/a.png"), &rgba, &err), &err,
                    EHM_E_IO, "a.png");
        ehm_arena tight = {.limit_bytes = 4096};
        ehm_bytes b;
        CHECK_FAILS(ehm_png_encode(&b, &rgba, &tight, &err), &err, EHM_E_MEMORY, "no memory");
        ehm_arena_free(&tight);
    } else {
        CHECK_FAILS(ehm_image_write(ehm_path_join(&a, ehm_test_tmp(), "a.png"), &rgba, &err), &err,
                    EHM_E_UNSUPPORTED, "libpng");
    }
    ehm_arena_free(&a);
}
