/* Drawing stays on the canvas and inside its boxes; the font has every letter once. */
#include "draw/canvas.h"
#include "harness.h"

static bool same(const ehm_image *c, int32_t x, int32_t y, ehm_rgb v) {
    const uint8_t *p = (const uint8_t *)c->px + ((size_t)y * (size_t)c->w + (size_t)x) * 3;
    return p[0] == v.r && p[1] == v.g && p[2] == v.b;
}

/* Pixels that are not paper, and their bounding box. */
static int32_t inked(const ehm_image *c, int32_t box[4]) {
    int32_t n = 0;
    box[0] = c->w, box[1] = c->h, box[2] = box[3] = -1;
    for (int32_t y = 0; y < c->h; y++)
        for (int32_t x = 0; x < c->w; x++) {
            if (same(c, x, y, EHM_PAPER)) continue;
            n++;
            if (x < box[0]) box[0] = x;
            if (y < box[1]) box[1] = y;
            if (x > box[2]) box[2] = x;
            if (y > box[3]) box[3] = y;
        }
    return n;
}

static ehm_image fresh(int32_t w, int32_t h, ehm_arena *a) {
    ehm_err err = {0};
    ehm_image c;
    REQUIRE_OK(ehm_canvas_new(&c, w, h, EHM_PAPER, a, &err), &err);
    return c;
}

TEST(canvas, areas) {
    ehm_arena a = {0};
    int32_t b[4];
    ehm_image c = fresh(40, 30, &a);
    ehm_draw_rect(&c, 3, 4, 5, 6, EHM_INK);
    CHECK_INT(inked(&c, b), 30);
    CHECK(b[0] == 3 && b[1] == 4 && b[2] == 7 && b[3] == 9);
    c = fresh(40, 30, &a);
    ehm_draw_frame(&c, 3, 4, 10, 8, 2, EHM_INK);
    CHECK_INT(inked(&c, b), 80 - 6 * 4);
    c = fresh(40, 30, &a);
    ehm_draw_frame(&c, 3, 4, 3, 8, 2, EHM_INK); /* no room inside: all of it */
    CHECK_INT(inked(&c, b), 24);
    c = fresh(40, 30, &a);
    ehm_draw_rect(&c, -5, -5, 8, 8, EHM_INK);
    ehm_draw_rect(&c, 38, 28, INT32_MAX, INT32_MAX, EHM_INK);
    ehm_draw_rect(&c, 20, 20, -3, 5, EHM_INK);
    CHECK_INT(inked(&c, b), 9 + 4);
    c = fresh(40, 30, &a);
    ehm_draw_veil(&c, 0, 0, 1, 1, EHM_RGB(0), 0.5);
    CHECK(same(&c, 0, 0, EHM_RGB(0x7d7d7c)));
    c = fresh(40, 30, &a);
    ehm_draw_disc(&c, 20, 15, 10, EHM_INK);
    CHECK_NEAR(inked(&c, b), 3.14159 * 100, 40);
    CHECK(same(&c, 19, 14, EHM_INK) && same(&c, 0, 0, EHM_PAPER));
    ehm_arena_free(&a);
}

TEST(canvas, lines) {
    ehm_arena a = {0};
    int32_t b[4];
    ehm_image c = fresh(40, 30, &a);
    ehm_draw_line(&c, 2, 3, 22, 3, 1, EHM_INK);
    CHECK_INT(inked(&c, b), 21);
    c = fresh(40, 30, &a);
    ehm_draw_line(&c, 30, 20, 5, 2, 1, EHM_INK);
    CHECK_INT(inked(&c, b), 26);
    CHECK(b[0] == 5 && b[1] == 2 && b[2] == 30 && b[3] == 20);
    c = fresh(40, 30, &a);
    ehm_draw_line(&c, 7, 7, 7, 7, 3, EHM_INK);
    CHECK_INT(inked(&c, b), 9);
    c = fresh(40, 30, &a);
    ehm_draw_line(&c, INT32_MIN, 10, INT32_MAX, 10, 1, EHM_INK); /* quickly, too */
    CHECK_INT(inked(&c, b), 40);
    c = fresh(40, 30, &a);
    ehm_draw_line(&c, -100, -5, 100, -5, 1, EHM_INK);
    ehm_draw_line(&c, 100, INT32_MIN, 100, INT32_MAX, 1, EHM_INK);
    CHECK_INT(inked(&c, b), 0);
    ehm_arena_free(&a);
}

TEST(canvas, every_letter_differs) {
    static const char *const others[] = {
        "\xef\xbf\xbd", "\xc2\xb0",     "\xc2\xb1",     "\xc2\xb2",     "\xc2\xb3",     "\xc2\xb5",
        "\xc2\xb7",     "\xc3\x97",     "\xc3\xb7",     "\xc3\x9f",     "\xe2\x80\x93", "\xe2\x80\x94",
        "\xe2\x80\xa6", "\xe2\x86\x92", "\xe2\x89\x88", "\xe2\x89\xa4", "\xe2\x89\xa5"};
    enum { N = 94 + 17, W = 12, H = 16 };
    static uint8_t drawn[N][W * H * 3];
    ehm_arena a = {0};
    for (int i = 0; i < N; i++) {
        char one[2] = {(char)(33 + i), 0};
        const char *text = i < 94 ? one : others[i - 94];
        int32_t b[4];
        ehm_image c = fresh(W, H, &a);
        ehm_draw_text(&c, 1, 1, 1, EHM_INK, text);
        if (inked(&c, b) < 2) ehm_test_fail(__FILE__, __LINE__, "\"%s\" is not drawn", text);
        if (b[2] - b[0] + 1 > ehm_text_width(text, 1) || b[2] > 1 + ehm_text_width(text, 1) - 1 ||
            b[3] > 1 + EHM_TEXT_ROW)
            ehm_test_fail(__FILE__, __LINE__, "\"%s\" leaves its box", text);
        memcpy(drawn[i], c.px, sizeof drawn[i]);
        for (int k = 0; k < i; k++)
            if (!memcmp(drawn[i], drawn[k], sizeof drawn[i]))
                ehm_test_fail(__FILE__, __LINE__, "letters %d and %d look the same", i, k);
    }
    ehm_arena_free(&a);
}

TEST(canvas, text) {
    ehm_arena a = {0};
    int32_t b[4];
    CHECK_INT(ehm_text_width("", 1), 0);
    CHECK_INT(ehm_text_width("ii", 3), 9);
    CHECK_INT(ehm_text_width("01", 1), 11);
    CHECK(ehm_text_width("0123456789", 1) == ehm_text_width("7777777777", 1)); /* digits stand in columns */
    CHECK(ehm_text_width("\xc3\xa9", 1) == ehm_text_width("e", 1));            /* e acute */
    CHECK(ehm_text_width("e\xcc\x81", 1) == ehm_text_width("e", 1));           /* the same, decomposed */
    CHECK(ehm_text_width("\xe4\xb8\xad", 1) == ehm_text_width("\xef\xbf\xbd", 1));
    /* broken bytes, one at the end */
    CHECK(ehm_text_width("\xff\xc3", 1) == ehm_text_width("\xef\xbf\xbd\xef\xbf\xbd", 1));
    ehm_image c = fresh(100, 40, &a), d = fresh(100, 40, &a);
    ehm_draw_text(&c, 90, -5, 2, EHM_INK, "clipped at every edge of the canvas");
    ehm_draw_text(&c, -30, 30, 2, EHM_INK, "clipped");
    c = fresh(100, 40, &a);
    ehm_draw_text_in(&c, 20, 5, 50, EHM_ALIGN_LEFT, 1, EHM_INK, "much too long for fifty pixels");
    CHECK(inked(&c, b) > 50);
    CHECK(b[0] >= 20 && b[2] < 70);
    c = fresh(100, 40, &a);
    ehm_draw_text_in(&c, 20, 5, 50, EHM_ALIGN_RIGHT, 1, EHM_INK, "H");
    ehm_draw_text(&d, 20 + 50 - ehm_text_width("H", 1), 5, 1, EHM_INK, "H");
    CHECK(!memcmp(c.px, d.px, ehm_image_bytes(&c)));
    ehm_arena_free(&a);
}

TEST(canvas, wrapping) {
    ehm_arena a = {0};
    int32_t b[4], w = ehm_text_width("alpha beta", 1);
#define LINES(width, max, text) \
    ehm_draw_text_wrapped(NULL, 0, 0, (width), (max), EHM_ALIGN_LEFT, 1, EHM_INK, (text))
    CHECK_INT(LINES(100, 0, ""), 0);
    CHECK_INT(LINES(w, 0, "alpha beta"), 1);
    CHECK_INT(LINES(w - 1, 0, "alpha beta"), 2);
    CHECK_INT(LINES(w, 0, "alpha beta alpha beta alpha beta"), 3);
    CHECK_INT(LINES(w, 2, "alpha beta alpha beta alpha beta"), 2);
    CHECK_INT(LINES(500, 0, "one\ntwo\n\nfour"), 4);
    CHECK_INT(LINES(0, 0, "abc"), 3); /* narrower than a letter: it still ends */
    CHECK_INT(LINES(ehm_text_width("long/path/", 1), 0, "a/very/long/path/without_any_space.png"), 5);
#undef LINES
    ehm_image c = fresh(120, 80, &a);
    ehm_draw_text_wrapped(&c, 10, 10, w, 2, EHM_ALIGN_CENTRE, 1, EHM_INK,
                          "alpha beta alphabetagammadelta and more of it");
    CHECK(inked(&c, b) > 50);
    CHECK(b[0] >= 10 && b[2] < 10 + w && b[1] >= 10 && b[3] < 10 + 2 * EHM_TEXT_ROW);
    ehm_arena_free(&a);
}

TEST(canvas, pictures) {
    ehm_arena a = {0};
    ehm_err err = {0};
    uint8_t grey[4] = {0, 255, 128, 64}, rgba[8] = {255, 0, 0, 0, 0, 0, 255, 255}, five[5] = {9, 1, 2, 3, 4};
    uint16_t wide[1] = {0x8001};
    float f[3] = {-1, 0.5f, 7};
    ehm_image c = fresh(20, 20, &a), im = {grey, 2, 2, 1, EHM_U8};
    REQUIRE_OK(ehm_draw_image(&c, 2, 2, 6, 6, &im, EHM_RESIZE_NEAREST, &a, &err), &err);
    CHECK(same(&c, 2, 2, EHM_RGB(0)) && same(&c, 4, 4, EHM_RGB(0)) && same(&c, 5, 2, EHM_RGB(0xffffff)) &&
          same(&c, 7, 7, EHM_RGB(0x404040)) && same(&c, 8, 8, EHM_PAPER));
    REQUIRE_OK(ehm_draw_image(&c, -1, 19, 2, 2, &im, EHM_RESIZE_NEAREST, &a, &err), &err);
    CHECK(same(&c, 0, 19, EHM_RGB(0xffffff)));
    REQUIRE_OK(
        ehm_draw_image(&c, 0, 0, 2, 1, &(ehm_image){rgba, 2, 1, 4, EHM_U8}, EHM_RESIZE_NEAREST, &a, &err),
        &err);
    CHECK(same(&c, 0, 0, EHM_RGB(0xffffff)) && same(&c, 1, 0, EHM_RGB(0x0000ff)));
    REQUIRE_OK(
        ehm_draw_image(&c, 0, 0, 1, 1, &(ehm_image){five, 1, 1, 5, EHM_U8}, EHM_RESIZE_NEAREST, &a, &err),
        &err);
    CHECK(same(&c, 0, 0, EHM_RGB(0x090909)));
    REQUIRE_OK(
        ehm_draw_image(&c, 0, 0, 1, 1, &(ehm_image){wide, 1, 1, 1, EHM_U16}, EHM_RESIZE_NEAREST, &a, &err),
        &err);
    CHECK(same(&c, 0, 0, EHM_RGB(0x808080)));
    REQUIRE_OK(
        ehm_draw_image(&c, 0, 0, 1, 1, &(ehm_image){f, 1, 1, 3, EHM_F32}, EHM_RESIZE_NEAREST, &a, &err),
        &err);
    CHECK(same(&c, 0, 0, EHM_RGB(0x0080ff)));
    CHECK_FAILS(ehm_draw_image(&c, 0, 0, 0, 1, &im, EHM_RESIZE_NEAREST, &a, &err), &err, EHM_E_ARG,
                "as 0 x 1 px");
    CHECK_FAILS(ehm_draw_image(&c, 0, 0, 1, 1, &(ehm_image){0}, EHM_RESIZE_NEAREST, &a, &err), &err,
                EHM_E_ARG, "0 x 0 px");
    ehm_arena_free(&a);
}

TEST(canvas, colours) {
    for (int32_t i = 0; i < 20; i++)
        for (int32_t k = 0; k < i; k++) {
            ehm_rgb x = ehm_colour_category(i), y = ehm_colour_category(k);
            if (abs(x.r - y.r) + abs(x.g - y.g) + abs(x.b - y.b) < 16)
                ehm_test_fail(__FILE__, __LINE__, "categories %d and %d are too near", i, k);
        }
    ehm_colour_category(INT32_MAX);
    ehm_colour_category(INT32_MIN);
    double last = -1;
    for (int i = 0; i <= 100; i++) { /* heat grows lighter all the way, so that it survives grey printing */
        ehm_rgb h = ehm_colour_heat(i / 100.0);
        double l = 0.299 * h.r + 0.587 * h.g + 0.114 * h.b;
        CHECK(l > last);
        last = l;
    }
    ehm_rgb low = ehm_colour_heat(-5), zero = ehm_colour_heat(0), nan = ehm_colour_heat(NAN),
            mid = ehm_colour_signed(0);
    CHECK(low.r == zero.r && low.b == zero.b && nan.r == nan.g && nan.g == nan.b && mid.r > 240 &&
          mid.b > 240);
}
