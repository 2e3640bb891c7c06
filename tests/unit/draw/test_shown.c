/* How channels become colours, and which words say so. */
#include "draw/shown.h"
#include "harness.h"

static void colour_of(uint8_t out[3], int32_t *c, const char *how, const void *px, ehm_dtype type, int32_t channels, ehm_arena *a) {
    ehm_err err = {0};
    ehm_shown s;
    ehm_image im;
    REQUIRE_OK(ehm_shown_of(&s, how, channels, &err), &err);
    ehm_shown_range r = ehm_shown_range_of(&s, px, type, 2, channels);
    REQUIRE_OK(ehm_shown_image(&im, &s, &r, px, type, 1, 2, channels, a, &err), &err);
    *c = im.c;
    memcpy(out, im.px, (size_t)im.c);
}

TEST(shown, channels) {
    ehm_arena a = {0};
    uint8_t v[3];
    int32_t c;
    const uint8_t px[10] = {10, 20, 30, 40, 50, 60, 70, 80, 90, 100};
    colour_of(v, &c, "auto", px, EHM_U8, 1, &a);
    CHECK(c == 1 && v[0] == 10);
    colour_of(v, &c, "auto", px, EHM_U8, 2, &a);
    CHECK(c == 3 && v[0] == 10 && v[1] == 20 && v[2] == 20);
    colour_of(v, &c, "auto", px, EHM_U8, 3, &a);
    CHECK(c == 3 && v[0] == 10 && v[1] == 20 && v[2] == 30);
    colour_of(v, &c, "auto", px, EHM_U8, 5, &a);
    CHECK(c == 3 && v[0] == 10 && v[1] == 20 && v[2] == 30);
    colour_of(v, &c, "4,3,2", px, EHM_U8, 5, &a);
    CHECK(c == 3 && v[0] == 40 && v[1] == 30 && v[2] == 20);
    colour_of(v, &c, "5,1", px, EHM_U8, 5, &a);
    CHECK(c == 3 && v[0] == 50 && v[1] == 10 && v[2] == 10);
    colour_of(v, &c, "4", px, EHM_U8, 5, &a);
    CHECK(c == 1 && v[0] == 40);
    ehm_arena_free(&a);
}

TEST(shown, floats) {
    ehm_arena a = {0};
    uint8_t v[3];
    int32_t c;
    const float plain[4] = {0.5f, 0.2f, 1.1f, -0.1f}, wide[4] = {-2000, 7, 6000, 9}, none[4] = {NAN, 0, 1, INFINITY};
    colour_of(v, &c, "1", plain, EHM_F32, 2, &a); /* a little beyond 0 to 1 is cut off */
    CHECK_INT(v[0], 128);
    colour_of(v, &c, "1", wide, EHM_F32, 2, &a);
    CHECK_INT(v[0], 0);
    ehm_shown first = {.n = 1};
    ehm_shown_range r = ehm_shown_range_of(&first, wide, EHM_F32, 2, 2);
    CHECK(r.stretched && r.lo == -2000 && r.hi == 6000);
    r = ehm_shown_range_of(&first, plain, EHM_F32, 2, 2);
    CHECK(!r.stretched && r.lo == 0 && r.hi == 1);
    colour_of(v, &c, "1", none, EHM_F32, 2, &a);
    CHECK_INT(v[0], 0);
    r = ehm_shown_range_of(&(ehm_shown){.n = 2, .channel = {0, 1}}, none, EHM_F32, 2, 2);
    CHECK(!r.stretched);
    ehm_arena_free(&a);
}

TEST(shown, words) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_shown s = {0};
    CHECK_STR(ehm_shown_channels_text(&s, 1, &a), "");
    CHECK_STR(ehm_shown_channels_text(NULL, 3, &a), "");
    CHECK_HAS(ehm_shown_channels_text(&s, 2, &a), "channel 1 as red, channel 2 as cyan.");
    CHECK_HAS(ehm_shown_channels_text(&s, 4, &a), "channels 1, 2, 3 of 4");
    CHECK_OK(ehm_shown_of(&s, "3,2,1", 3, &err), &err);
    CHECK_HAS(ehm_shown_channels_text(&s, 3, &a), "channels 3, 2, 1 of 3");
    CHECK_OK(ehm_shown_of(&s, "2", 3, &err), &err);
    CHECK_HAS(ehm_shown_channels_text(&s, 3, &a), "channel 2 of 3 as grey");
    CHECK_HAS(ehm_shown_fit_text("auto", 64, 64, &a), "64 x 64 px: short side to 64, middle");
    CHECK_HAS(ehm_shown_fit_text("crop", 224, 224, &a), "short side to 256, middle");
    CHECK_HAS(ehm_shown_fit_text("crop", 32, 64, &a), "64 x 32 px: the largest part of that shape");
    CHECK_HAS(ehm_shown_fit_text("stretch", 32, 64, &a), "stretched");
    CHECK_HAS(ehm_shown_fit_text("pad", 32, 64, &a), "black around");
    CHECK_FAILS(ehm_shown_of(&s, "1,2,9", 4, &err), &err, EHM_E_CONFIG, "--show-channels 1,2,9: there is no such channel");
    CHECK_FAILS(ehm_shown_of(&s, "0", 4, &err), &err, EHM_E_CONFIG, "no such channel");
    CHECK_FAILS(ehm_shown_of(&s, "1,,2", 4, &err), &err, EHM_E_CONFIG, "a number is missing");
    CHECK_FAILS(ehm_shown_of(&s, "1,2,3,4", 4, &err), &err, EHM_E_CONFIG, "more than three");
    CHECK_FAILS(ehm_shown_of(&s, "rgb", 4, &err), &err, EHM_E_CONFIG, "not a list of numbers");
    CHECK_FAILS(ehm_shown_of(&s, "1111111111111111111111", 4, &err), &err, EHM_E_CONFIG, "not a list of numbers");
    ehm_arena_free(&a);
}
