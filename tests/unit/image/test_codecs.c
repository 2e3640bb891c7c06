/* Decoders against what Pillow (or the array a file was made from) says: tests/golden/image,
 * tools/golden/image.py. */
#include "base/file.h"
#include "base/hash.h"
#include "base/str.h"
#include "harness.h"
#include "image/image.h"

static ehm_bytes golden(const char *name, ehm_arena *a) {
    ehm_err err = {0};
    ehm_bytes b = {0};
    char rel[256];
    snprintf(rel, sizeof rel, "tests/golden/image/%s", name);
    REQUIRE_OK(ehm_file_read(&b, ehm_test_path(rel), a, &err), &err);
    return b;
}

static ehm_dtype type_of(const char *s) {
    return !strcmp(s, "u8") ? EHM_U8 : !strcmp(s, "u16") ? EHM_U16 : EHM_F32;
}

static void check_one(const char *name, int w, int h, int c, const char *type, int tolerance,
                      const char *sha) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image im, ref;
    ehm_image_info info;
    char hex[65], ref_name[256];
    ehm_bytes b = golden(name, &a);
    if (!ehm_image_readable(ehm_image_format(b.data, b.len))) goto done; /* a build without the library */
    if (!CHECK_OK(ehm_image_probe(&info, b.data, b.len, &err), &err) ||
        !CHECK_OK(ehm_image_decode(&im, b.data, b.len, NULL, &a, &err), &err)) {
        ehm_test_fail(__FILE__, __LINE__, "%s is not read", name);
        goto done;
    }
    if (im.w != w || im.h != h || im.c != c || im.type != type_of(type))
        ehm_test_fail(__FILE__, __LINE__, "%s: %d x %d x %d %s, expected %d x %d x %d %s", name, im.w, im.h,
                      im.c, ehm_dtype_name(im.type), w, h, c, type);
    else if (info.w != w || info.h != h || info.c != c || info.type != im.type)
        ehm_test_fail(__FILE__, __LINE__, "%s: probe says %d x %d x %d %s", name, info.w, info.h, info.c,
                      ehm_dtype_name(info.type));
    else if (tolerance == 0) {
        ehm_sha256_text(im.px, ehm_image_bytes(&im), hex);
        if (strcmp(hex, sha)) ehm_test_fail(__FILE__, __LINE__, "%s: pixels differ (sha256 %s)", name, hex);
    } else {
        snprintf(ref_name, sizeof ref_name, "%s.ref.pnm", name);
        ehm_bytes r = golden(ref_name, &a);
        REQUIRE_OK(ehm_image_decode(&ref, r.data, r.len, NULL, &a, &err), &err);
        REQUIRE(ref.w == w && ref.h == h && ref.c == c);
        int worst = 0;
        for (size_t i = 0; i < ehm_image_bytes(&im); i++) {
            int d = abs(((uint8_t *)im.px)[i] - ((uint8_t *)ref.px)[i]);
            if (d > worst) worst = d;
        }
        if (worst > tolerance)
            ehm_test_fail(__FILE__, __LINE__, "%s: a value is %d off, at most %d allowed", name, worst,
                          tolerance);
    }
done:
    ehm_arena_free(&a);
}

TEST(codecs, golden) {
    ehm_arena a = {0};
    ehm_bytes csv = golden("images.csv", &a);
    char name[128], type[8], sha[65];
    int w, h, c, tolerance, n = 0, used;
    const char *line = strchr((char *)csv.data, '\n') + 1;
    while (sscanf(line, "%127[^,],%d,%d,%d,%7[^,],%d,%64[0-9a-f]\n%n", name, &w, &h, &c, type, &tolerance,
                  sha, &used) == 7) {
        check_one(name, w, h, c, type, tolerance, sha);
        line += used;
        n++;
    }
    CHECK(n > 80);
    ehm_arena_free(&a);
}

TEST(codecs, channels_as_pillow) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_bytes csv = golden("channels.csv", &a);
    char name[128], sha[65], hex[65];
    int channels, n = 0, used;
    const char *line = strchr((char *)csv.data, '\n') + 1;
    while (sscanf(line, "%127[^,],%d,%64[0-9a-f]\n%n", name, &channels, sha, &used) == 3) {
        ehm_image im, out;
        ehm_bytes b = golden(name, &a);
        line += used;
        n++;
        if (!ehm_image_readable("png")) continue;
        REQUIRE_OK(ehm_image_decode(&im, b.data, b.len, NULL, &a, &err), &err);
        REQUIRE_OK(ehm_image_channels(&out, &im, channels, "drop", &a, &err), &err);
        ehm_sha256_text(out.px, ehm_image_bytes(&out), hex);
        if (strcmp(hex, sha)) ehm_test_fail(__FILE__, __LINE__, "%s to %d channels differs", name, channels);
    }
    CHECK_INT(n, 5);
    ehm_arena_free(&a);
}

TEST(codecs, alpha) {
    ehm_arena a = {0};
    ehm_err err = {0};
    uint8_t px[8] = {10, 200, 30, 0, 100, 100, 100, 255};
    ehm_image im = {px, 2, 1, 4, EHM_U8}, out;
    REQUIRE_OK(ehm_image_channels(&out, &im, 3, "white", &a, &err), &err);
    uint8_t *o = out.px;
    CHECK(o[0] == 255 && o[1] == 255 && o[2] == 255 && o[3] == 100 && o[5] == 100);
    REQUIRE_OK(ehm_image_channels(&out, &im, 2, "keep", &a, &err), &err);
    o = out.px;
    CHECK(o[1] == 0 && o[2] == 100 && o[3] == 255);
    ehm_image grey = {px, 8, 1, 1, EHM_U8};
    REQUIRE_OK(ehm_image_channels(&out, &grey, 4, "keep", &a, &err), &err);
    o = out.px;
    CHECK(o[4] == 200 && o[5] == 200 && o[6] == 200 && o[7] == 255);
    CHECK_FAILS(ehm_image_channels(&out, &grey, 4, "drop", &a, &err), &err, EHM_E_ARG,
                "1 channels cannot become one of 4");
    CHECK_FAILS(ehm_image_channels(&out, &grey, 3, "off", &a, &err), &err, EHM_E_ARG,
                "none of drop, keep, white");
    ehm_image five = {px, 1, 1, 5, EHM_U8};
    CHECK_FAILS(ehm_image_channels(&out, &five, 3, NULL, &a, &err), &err, EHM_E_ARG, "5 channels");
    REQUIRE_OK(ehm_image_channels(&out, &five, 5, NULL, &a, &err), &err);
    CHECK(out.px == px);
    ehm_arena_free(&a);
}

TEST(codecs, numbers_as_float) {
    float f[3];
    uint8_t u8[3] = {0, 51, 255};
    uint16_t u16[3] = {0, 13107, 65535};
    ehm_image_to_f32(f, &(ehm_image){u8, 3, 1, 1, EHM_U8});
    CHECK(f[0] == 0 && f[1] == 51 / 255.0f && f[2] == 1);
    ehm_image_to_f32(f, &(ehm_image){u16, 1, 1, 3, EHM_U16});
    CHECK(f[0] == 0 && f[1] == 13107 / 65535.0f && f[2] == 1);
}

TEST(codecs, label_map) {
    if (!ehm_image_readable("png")) SKIP("built without libpng");
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image im, grey;
    ehm_bytes b = golden("label_palette4.png", &a), g = golden("grey8.png", &a);
    REQUIRE_OK(ehm_png_decode_index(&im, b.data, b.len, 0, &a, &err), &err);
    REQUIRE_OK(ehm_image_decode(&grey, g.data, g.len, NULL, &a, &err), &err);
    CHECK(im.c == 1 && im.type == EHM_U8);
    for (int i = 0; i < im.w * im.h; i++)
        if (((uint8_t *)im.px)[i] != ((uint8_t *)grey.px)[i] >> 4) { CHECK(!"index"); break; }
    b = golden("label_grey16.png", &a);
    REQUIRE_OK(ehm_png_decode_index(&im, b.data, b.len, 0, &a, &err), &err);
    CHECK(im.c == 1 && im.type == EHM_U16);
    b = golden("grey4.png", &a);
    REQUIRE_OK(ehm_png_decode_index(&im, b.data, b.len, 0, &a, &err), &err);
    for (int i = 0; i < im.w * im.h; i++)
        if (((uint8_t *)im.px)[i] != ((uint8_t *)grey.px)[i] >> 4) { CHECK(!"grey value as stored"); break; }
    b = golden("rgb8.png", &a);
    CHECK_FAILS(ehm_png_decode_index(&im, b.data, b.len, 0, &a, &err), &err, EHM_E_FORMAT, "this one is RGB");
    CHECK(im.px == NULL);
    ehm_err_clear(&err);
    b = golden("grey.pgm", &a);
    CHECK_FAILS(ehm_png_decode_index(&im, b.data, b.len, 0, &a, &err), &err, EHM_E_FORMAT, "must be a PNG");
    ehm_err_clear(&err);
    b = golden("grey8.png", &a);
    CHECK_FAILS(ehm_png_decode_index(&im, b.data, b.len, 1000, &a, &err), &err, EHM_E_FORMAT,
                "over the limit of 1000 pixels");
    ehm_arena_free(&a);
}

TEST(codecs, formats_by_content) {
    static const struct { const char *bytes; size_t n; const char *format; } cases[] = {
        {"\0\0\0\x18" "ftypheic\0\0\0\0", 16, "heic"}, {"\0\0\0\x18" "ftypavif\0\0\0\0", 16, "avif"},
        {"\xff\x0a\x00\x00", 4, "jxl"},                {"8BPS\0\1", 6, "psd"},
        {"\0\0\1\0\1\0\x10\x10\0\0", 10, "ico"},       {"\0\0\1\0\0\0\x10\x10\0\0", 10, NULL},
        {"P5 is a text", 12, NULL},                    {"P5\n3 3\n255\n", 11, "pnm"},
        {"P7\nWIDTH 3\n", 11, "pnm"},                  {"BM, the company's name, is no picture", 37, NULL},
        {"GIF89a\1\0\1\0", 10, "gif"},                 {"II*\0\x08\0\0\0", 8, "tiff"},
        {"hello", 5, NULL},                            {"", 0, NULL},
    };
    ehm_arena a = {0};
    ehm_image im;
    ehm_err err = {0};
    char text[EHM_ERR_TEXT];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = ehm_image_format((const uint8_t *)cases[i].bytes, cases[i].n);
        if (!got || !cases[i].format) CHECK(got == cases[i].format);
        else CHECK_STR(got, cases[i].format);
    }
    CHECK_FAILS(ehm_image_decode(&im, (const uint8_t *)cases[0].bytes, 16, NULL, &a, &err), &err,
                EHM_E_UNSUPPORTED, "heic");
    CHECK_HAS(ehm_err_text(&err, text), "heif-convert");
    ehm_err_clear(&err);
    CHECK_FAILS(ehm_image_decode(&im, (const uint8_t *)"hello", 5, NULL, &a, &err), &err, EHM_E_FORMAT,
                "no known format (5 bytes)");
    ehm_err_clear(&err);
    CHECK_FAILS(ehm_image_decode(&im, NULL, 0, NULL, &a, &err), &err, EHM_E_FORMAT, "the file is empty");
    CHECK(!ehm_image_readable("heic") && !ehm_image_readable(NULL) && ehm_image_readable("pnm") &&
          ehm_image_readable("bmp"));
    ehm_arena_free(&a);
}

TEST(codecs, limits_and_crops) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image im, part;
    ehm_bytes b = golden("rgb.ppm", &a);
    REQUIRE_OK(ehm_image_decode(&im, b.data, b.len, &(ehm_decode_opt){.max_pixels = 37 * 29}, &a, &err),
               &err);
    CHECK_FAILS(
        ehm_image_decode(&part, b.data, b.len, &(ehm_decode_opt){.max_pixels = 37 * 29 - 1}, &a, &err), &err,
        EHM_E_FORMAT, "over the limit of 1072");
    ehm_err_clear(&err);
    CHECK_FAILS(ehm_image_decode(&part, b.data, b.len,
                                 &(ehm_decode_opt){.crop_x = 30, .crop_w = 8, .crop_h = 2}, &a, &err),
                &err, EHM_E_ARG, "outside the picture");
    ehm_err_clear(&err);
    REQUIRE_OK(ehm_image_decode(&part, b.data, b.len,
                                &(ehm_decode_opt){.crop_x = 5, .crop_y = 7, .crop_w = 20, .crop_h = 11}, &a,
                                &err),
               &err);
    CHECK(part.w == 20 && part.h == 11);
    for (int y = 0; y < 11; y++)
        if (memcmp((uint8_t *)part.px + y * 60, (uint8_t *)im.px + ((y + 7) * 37 + 5) * 3, 60))
            CHECK(!"crop");
    ehm_arena_free(&a);
}

/* The same part of a JPEG, cropped while decoding and cut from the whole, for many places and every
 * subsampling. */
TEST(codecs, jpeg_crop_equals_whole) {
    if (!ehm_image_readable("jpeg")) SKIP("built without libjpeg");
    static const char *const names[] = {"crop_444.jpg", "crop_422.jpg", "crop_420.jpg", "crop_p420.jpg",
                                        "crop_grey.jpg"};
    static const int sizes[][2] = {{1, 1}, {16, 16}, {40, 33}, {7, 120}, {150, 9}, {203, 20}};
    ehm_arena a = {0}, b = {0};
    ehm_err err = {0};
    for (size_t k = 0; k < 5; k++) {
        ehm_bytes data = golden(names[k], &a);
        ehm_image whole, part;
        REQUIRE_OK(ehm_image_decode(&whole, data.data, data.len, NULL, &a, &err), &err);
        for (size_t s = 0; s < 6; s++)
            for (int y = 0; y + sizes[s][1] <= whole.h; y += 11)
                for (int x = 0; x + sizes[s][0] <= whole.w; x += 13) {
                    ehm_decode_opt opt = {
                        .crop_x = x, .crop_y = y, .crop_w = sizes[s][0], .crop_h = sizes[s][1]};
                    ehm_arena_reset(&b);
                    REQUIRE_OK(ehm_image_decode(&part, data.data, data.len, &opt, &b, &err), &err);
                    REQUIRE(part.w == opt.crop_w && part.h == opt.crop_h && part.c == whole.c);
                    size_t n = (size_t)part.w * (size_t)part.c;
                    for (int r = 0; r < part.h; r++) {
                        const uint8_t *w = (uint8_t *)whole.px +
                                           ((size_t)(y + r) * (size_t)whole.w + (size_t)x) * (size_t)part.c;
                        if (memcmp((uint8_t *)part.px + n * (size_t)r, w, n)) {
                            ehm_test_fail(__FILE__, __LINE__, "%s: crop %d x %d at %d, %d differs in row %d",
                                          names[k], part.w, part.h, x, y, r);
                            break;
                        }
                    }
                }
    }
    ehm_arena_free(&a);
    ehm_arena_free(&b);
}

TEST(codecs, jpeg_reduced) {
    if (!ehm_image_readable("jpeg")) SKIP("built without libjpeg");
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image im, whole;
    double box[4];
    ehm_bytes b = golden("crop_444.jpg", &a); /* 203 x 157 */
    REQUIRE_OK(
        ehm_image_decode_box(&im, box, b.data, b.len, &(ehm_decode_opt){.min_w = 50, .min_h = 30}, &a, &err),
        &err);
    CHECK(im.w == 51 && im.h == 40 && box[0] == 0 && box[2] == 50.75 && box[3] == 39.25);
    REQUIRE_OK(
        ehm_image_decode_box(&im, box, b.data, b.len, &(ehm_decode_opt){.min_w = 102, .min_h = 30}, &a, &err),
        &err);
    CHECK(im.w == 203 && im.h == 157 && box[2] == 203);
    ehm_decode_opt opt = {.crop_x = 51, .crop_y = 30, .crop_w = 100, .crop_h = 101, .min_w = 45, .min_h = 45};
    REQUIRE_OK(ehm_image_decode_box(&im, box, b.data, b.len, &opt, &a, &err), &err);
    CHECK(im.w == 51 && im.h == 51 && box[0] == 0.5 && box[1] == 0 && box[2] == 50.5 && box[3] == 50.5);
    /* and it shows the same place: half the size, resized from the whole, is close */
    REQUIRE_OK(ehm_image_decode(&whole, b.data, b.len, NULL, &a, &err), &err);
    uint8_t one[25 * 25 * 3], two[25 * 25 * 3];
    ehm_image r1 = {one, 25, 25, 3, EHM_U8}, r2 = {two, 25, 25, 3, EHM_U8};
    double whole_box[4] = {51, 30, 151, 131};
    REQUIRE_OK(ehm_resize(&r1, &im, box, EHM_RESIZE_BILINEAR, &a, &err), &err);
    REQUIRE_OK(ehm_resize(&r2, &whole, whole_box, EHM_RESIZE_BILINEAR, &a, &err), &err);
    double sum = 0;
    for (size_t i = 0; i < sizeof one; i++) sum += abs(one[i] - two[i]);
    CHECK(sum / sizeof one < 2.0);
    ehm_arena_free(&a);
}

static void check_cut(const char *name, const char *part) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image im;
    ehm_bytes b = golden(name, &a);
    if (ehm_image_readable(ehm_image_format(b.data, b.len))) {
        CHECK_FAILS(ehm_image_decode(&im, b.data, b.len - b.len / 4, NULL, &a, &err), &err, EHM_E_FORMAT,
                    part);
        CHECK(im.px == NULL);
        ehm_err_clear(&err);
        CHECK_FAILS(ehm_image_decode(&im, b.data, b.len - 2, NULL, &a, &err), &err, EHM_E_FORMAT, part);
    }
    ehm_arena_free(&a);
}

TEST(codecs, cut_files_are_errors) {
    check_cut("s420.jpg", "JPEG data ends early");
    check_cut("progressive.jpg", "JPEG data ends early");
    check_cut("rgb8.png", "PNG data ends early");
    check_cut("adam7_rgb.png", "PNG data ends early");
    check_cut("lossy.webp", "WebP data ends early");
    check_cut("rgb.ppm", "PNM data ends early");
    check_cut("rgb24.bmp", "BMP data ends early");
}

TEST(codecs, jpeg_crop_of_cut_file) {
    if (!ehm_image_readable("jpeg")) SKIP("built without libjpeg");
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image im;
    ehm_bytes b = golden("crop_420.jpg", &a);
    ehm_decode_opt top = {.crop_w = 30, .crop_h = 20};
    REQUIRE_OK(ehm_image_decode(&im, b.data, b.len, &top, &a, &err), &err);
    CHECK_FAILS(ehm_image_decode(&im, b.data, b.len - 40, &top, &a, &err), &err, EHM_E_FORMAT,
                "JPEG data ends early");
    ehm_arena_free(&a);
}
