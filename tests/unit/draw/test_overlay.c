#include "draw/overlay.h"
#include "harness.h"

static double linear(double v) { return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4); }
static double bent(double v) { return v > 0.008856 ? cbrt(v) : 7.787 * v + 16.0 / 116; }
static void lab_of(double out[3], ehm_rgb c) {
    double r = linear(c.r / 255.0), g = linear(c.g / 255.0), b = linear(c.b / 255.0);
    double x = bent((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047),
           y = bent(0.2126729 * r + 0.7151522 * g + 0.0721750 * b),
           z = bent((0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883);
    out[0] = 116 * y - 16, out[1] = 500 * (x - y), out[2] = 200 * (y - z);
}

TEST(overlay, colours_can_be_told_apart) {
    static const struct {
        int n;
        double least;
    } step[] = {{4, 100}, {8, 75}, {12, 53}, {24, 36}, {60, 3}};
    for (size_t s = 0; s < sizeof step / sizeof *step; s++)
        for (int i = 0; i < step[s].n; i++)
            for (int k = 0; k < i; k++) {
                double a[3], b[3];
                lab_of(a, ehm_overlay_colour(i)), lab_of(b, ehm_overlay_colour(k));
                if (hypot(hypot(a[0] - b[0], a[1] - b[1]), a[2] - b[2]) < step[s].least)
                    ehm_test_fail(__FILE__, __LINE__, "colours %d and %d are nearer than %g", i, k,
                                  step[s].least);
            }
}

static ehm_rgb at(const ehm_image *c, int32_t x, int32_t y) {
    const uint8_t *p = (const uint8_t *)c->px + ((size_t)y * (size_t)c->w + (size_t)x) * 3;
    return (ehm_rgb){p[0], p[1], p[2]};
}
static int32_t count_of(const ehm_image *c, ehm_rgb v) {
    int32_t n = 0;
    for (int32_t y = 0; y < c->h; y++)
        for (int32_t x = 0; x < c->w; x++) {
            ehm_rgb p = at(c, x, y);
            n += p.r == v.r && p.g == v.g && p.b == v.b;
        }
    return n;
}

/* Panels show their own map, enlarged by a whole factor; pixels without a class stay as they are. */
TEST(overlay, each_map_in_its_panel) {
    enum { W = 8, H = 4, F = 40, C = 3 };
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image im, sheet;
    int32_t predicted[W * H], truth[W * H];
    REQUIRE_OK(ehm_image_new(&im, W, H, 3, EHM_U8, &a, &err), &err);
    memset(im.px, 137, ehm_image_bytes(&im));
    for (int i = 0; i < W * H; i++) predicted[i] = i % W < 4 ? 0 : 1, truth[i] = i % W < 6 ? 0 : -1;
    ehm_overlay o = {.picture = &im,
                     .predicted = predicted,
                     .truth = truth,
                     .n_classes = C,
                     .classes = (const char *[]){"sky", "road", "tree"}};
    REQUIRE_OK(ehm_draw_overlay(&sheet, &o, &a, &err), &err);
    int32_t top = sheet.h / 3, panel = W * F, gap = 12;
    ehm_rgb plain = at(&sheet, 14 + 10, top), zero = at(&sheet, 14 + panel + gap + 10, top),
            one = at(&sheet, 14 + panel + gap + panel - 10, top);
    ehm_rgb t0 = at(&sheet, 14 + 2 * (panel + gap) + 10, top),
            none = at(&sheet, 14 + 2 * (panel + gap) + panel - 10, top);
    CHECK(plain.r == 137 && plain.g == 137 && plain.b == 137);
    CHECK(!memcmp(&zero, &t0, sizeof zero) && memcmp(&zero, &one, sizeof zero) &&
          memcmp(&zero, &plain, sizeof zero));
    CHECK(!memcmp(&none, &plain, sizeof none));
    CHECK_INT(count_of(&sheet, one), 4 * H * F * F); /* as many as pixels called 1 */
    CHECK(count_of(&sheet, ehm_overlay_colour(0)) > 50 &&
          count_of(&sheet, ehm_overlay_colour(1)) > 50); /* the legend */
    CHECK_INT(count_of(&sheet, ehm_overlay_colour(2)), 0);
    ehm_arena_free(&a);
}

TEST(overlay, any_picture) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image sheet;
    static const struct {
        int32_t w, h, c;
        ehm_dtype type;
    } kind[] = {{1, 1, 1, EHM_U8},
                {700, 30, 3, EHM_U8},
                {20, 900, 4, EHM_U8},
                {33, 21, 1, EHM_F32},
                {16, 16, 3, EHM_U16}};
    for (size_t i = 0; i < sizeof kind / sizeof *kind; i++) {
        ehm_image im;
        REQUIRE_OK(ehm_image_new(&im, kind[i].w, kind[i].h, kind[i].c, kind[i].type, &a, &err), &err);
        int32_t *map = EHM_NEW_N(&a, int32_t, kind[i].w * kind[i].h);
        double score[200];
        for (int k = 0; k < 200; k++) score[k] = k % 3 ? k / 200.0 : NAN;
        for (int32_t k = 0; k < kind[i].w * kind[i].h; k++) map[k] = k % 200;
        REQUIRE_OK(
            ehm_draw_overlay(
                &sheet,
                &(ehm_overlay){
                    .picture = &im, .predicted = map, .n_classes = 200, .score = score, .caption = "caption"},
                &a, &err),
            &err);
        CHECK(sheet.w > 200 && sheet.h > 30 && sheet.c == 3);
        ehm_arena_reset(&a);
    }
    ehm_image im;
    int32_t map[4] = {0, 1, 2, 3};
    REQUIRE_OK(ehm_image_new(&im, 2, 2, 3, EHM_U8, &a, &err), &err);
    CHECK_FAILS(
        ehm_draw_overlay(&sheet, &(ehm_overlay){.picture = &im, .predicted = map, .n_classes = 3}, &a, &err),
        &err, EHM_E_ARG, "class 3 of 3");
    CHECK_FAILS(ehm_draw_overlay(&sheet, &(ehm_overlay){.picture = &im, .n_classes = 3}, &a, &err), &err,
                EHM_E_ARG, "over no picture");
    ehm_arena_free(&a);
}
