/* Drawings of trees, masks and maps: colours follow nodes, covers and lines are where they should be, odd
 * input is refused in words. */
#include "draw/canvas.h"
#include "draw/hierarchy.h"
#include "harness.h"

enum { G = 4, N = G * G, PATCH = 8, SIDE = G * PATCH, CELL = 56 /* 224 / 4 */, MARGIN = 14, GAP = 12 };

static uint8_t px[SIDE * SIDE * 3];
static const ehm_image grey = {px, SIDE, SIDE, 3, EHM_U8};

static void fill(uint8_t v) { memset(px, v, sizeof px); }

static ehm_rgb at(const ehm_image *c, int32_t x, int32_t y) {
    const uint8_t *p = (const uint8_t *)c->px + ((size_t)y * (size_t)c->w + (size_t)x) * 3;
    return (ehm_rgb){p[0], p[1], p[2]};
}
static bool same(ehm_rgb a, ehm_rgb b) { return a.r == b.r && a.g == b.g && a.b == b.b; }
static bool light(ehm_rgb c) { return c.r == 255 && c.g == 255 && c.b == 255; }

/* A 4 x 4 grid in quadrants: each quadrant merges pair by pair, then the quadrants, left before right. */
static void quadrants(ehm_tree *t, ehm_arena *a) {
    ehm_err err = {0};
    int32_t k = 0, quad[4];
    REQUIRE_OK(ehm_tree_new(t, N, a, &err), &err);
    for (int32_t q = 0; q < 4; q++) { /* merges 0..7: the rows of each quadrant */
        int32_t first = q / 2 * 2 * G + q % 2 * 2;
        t->left[k] = first, t->right[k] = first + 1, t->size[k] = 2, t->height[k] = 1, k++;
        t->left[k] = first + G, t->right[k] = first + G + 1, t->size[k] = 2, t->height[k] = 1, k++;
    }
    for (int32_t q = 0; q < 4; q++, k++)
        t->left[k] = N + 2 * q, t->right[k] = N + 2 * q + 1, t->size[k] = 4, t->height[k] = 2,
        quad[q] = N + k;
    t->left[k] = quad[0], t->right[k] = quad[1], t->size[k] = 8, t->height[k] = 3, k++;
    t->left[k] = quad[2], t->right[k] = quad[3], t->size[k] = 8, t->height[k] = 3, k++;
    t->left[k] = N + k - 2, t->right[k] = N + k - 1, t->size[k] = 16, t->height[k] = 4, k++;
    REQUIRE(k == N - 1);
}

/* The middle of a patch in panel i (0: the picture) of a drawing with a caption or without. */
static ehm_rgb patch(const ehm_image *c, int32_t panel, int32_t top, int32_t leaf) {
    return at(c, MARGIN + panel * (G * CELL + GAP) + leaf % G * CELL + CELL / 2,
              top + leaf / G * CELL + CELL / 2);
}

TEST(draw_tree, colours_follow_nodes) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_tree t;
    ehm_image c;
    fill(128);
    quadrants(&t, &a);
    REQUIRE_OK(ehm_draw_tree(&c, &grey, &t, G, G, (const double[]){16, 8, 4, 2}, 4, NULL, &a, &err), &err);
    CHECK_INT(c.w, 2 * MARGIN + 5 * (G * CELL + GAP) - GAP);
    for (int32_t leaf = 0; leaf < N; leaf++) {
        int32_t first = leaf / (2 * G) * 2 * G + leaf % G / 2 * 2, row = leaf / G * G + leaf % G / 2 * 2;
        CHECK(same(patch(&c, 0, MARGIN, leaf), (ehm_rgb){128, 128, 128}));
        for (int32_t k = 0; k < leaf; k++) CHECK(!same(patch(&c, 1, MARGIN, leaf), patch(&c, 1, MARGIN, k)));
        CHECK(same(patch(&c, 2, MARGIN, leaf), patch(&c, 2, MARGIN, row)));
        CHECK(same(patch(&c, 3, MARGIN, leaf), patch(&c, 3, MARGIN, first)));
        /* equal sizes: the left child is the heir */
        CHECK(same(patch(&c, 3, MARGIN, leaf), patch(&c, 2, MARGIN, first)));
        CHECK(same(patch(&c, 4, MARGIN, leaf), patch(&c, 3, MARGIN, leaf / (2 * G) * 2 * G)));
    }
    CHECK(!same(patch(&c, 4, MARGIN, 0), patch(&c, 4, MARGIN, N - 1)));
    /* between the quadrants a light line in the cut of 8, whose next coarser cut they are; none in the
     * coarsest */
    int32_t x = MARGIN + 2 * (G * CELL + GAP) + 2 * CELL, y = MARGIN + CELL / 2;
    CHECK(light(at(&c, x, y)) && !light(at(&c, x - CELL, y)));
    for (int32_t i = 0; i < G * CELL; i++) CHECK(!light(at(&c, MARGIN + 4 * (G * CELL + GAP) + i, y)));
    ehm_arena_free(&a);
}

TEST(draw_tree, larger_child_keeps_the_colour) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_tree t;
    ehm_image c;
    ehm_image strip = {px, 4 * PATCH, PATCH, 1, EHM_U8};
    fill(90);
    REQUIRE_OK(ehm_tree_new(&t, 4, &a, &err), &err);
    const int32_t left[] = {2, 1, 0}, right[] = {3, 4, 5}; /* 2 3 | 1 (2 3) | 0 (1 2 3) */
    for (int32_t k = 0; k < 3; k++)
        t.left[k] = left[k], t.right[k] = right[k], t.size[k] = k + 2, t.height[k] = k;
    REQUIRE_OK(ehm_draw_tree(&c, &strip, &t, 1, 4, (const double[]){1.5, 1}, 2, "a strip", &a, &err), &err);
    int32_t top = MARGIN + 20, y = top + CELL / 2, x1 = MARGIN + 4 * CELL + GAP, x2 = x1 + 4 * CELL + GAP;
    CHECK(same(at(&c, x1 + CELL + CELL / 2, y), at(&c, x2 + CELL / 2, y)));
    CHECK(same(at(&c, x1 + 3 * CELL + CELL / 2, y), at(&c, x2 + CELL / 2, y)));
    CHECK(!same(at(&c, x1 + CELL / 2, y), at(&c, x2 + CELL / 2, y)));
    /* nor is it the same colour, paler */
    ehm_rgb single = at(&c, x1 + CELL / 2, y), big = at(&c, x2 + CELL / 2, y);
    double s[2] = {single.r - single.b, big.r - big.b};
    CHECK(s[0] * s[1] < 0 || fabs(s[0] - s[1]) > 20);
    ehm_arena_free(&a);
}

TEST(draw_tree, refuses) {
    ehm_arena a = {0}, tight = {.limit_bytes = 20000};
    ehm_err err = {0};
    ehm_tree t;
    ehm_image c, none = {0};
    const double k[] = {8, 4};
    quadrants(&t, &a);
    CHECK_FAILS(ehm_draw_tree(&c, &grey, &t, 4, 5, k, 2, NULL, &a, &err), &err, EHM_E_ARG,
                "16 leaves on a grid of 4 x 5");
    CHECK_FAILS(ehm_draw_tree(&c, &grey, &t, 0, 5, k, 2, NULL, &a, &err), &err, EHM_E_ARG, "0 x 5");
    CHECK_FAILS(ehm_draw_tree(&c, &none, &t, G, G, k, 2, NULL, &a, &err), &err, EHM_E_ARG, "0 x 0 px");
    CHECK_FAILS(ehm_draw_tree(&c, &grey, &t, G, G, k, 0, NULL, &a, &err), &err, EHM_E_ARG, "0 cuts");
    CHECK_FAILS(ehm_draw_tree(&c, &grey, &t, G, G, (const double[]){4, 8}, 2, NULL, &a, &err), &err,
                EHM_E_ARG, "cut 1 at 8 nodes");
    CHECK_FAILS(ehm_draw_tree(&c, &grey, &t, G, G, (const double[]){NAN}, 1, NULL, &a, &err), &err, EHM_E_ARG,
                "nan");
    CHECK_FAILS(ehm_draw_tree(&c, &grey, &t, G, G, k, 2, NULL, &tight, &err), &err, EHM_E_MEMORY,
                "no memory");
    ehm_arena_free(&a);
    ehm_arena_free(&tight);
}

/* ---- masks ---- */

static int64_t count(const ehm_image *c, ehm_rgb v) {
    int64_t n = 0;
    for (int32_t y = 0; y < c->h; y++)
        for (int32_t x = 0; x < c->w; x++) n += same(at(c, x, y), v);
    return n;
}

TEST(draw_masks, pattern) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image c;
    uint8_t m[2 * 3 * N] = {0};
    for (int32_t i = 0; i < 2 * 3 * N; i++) m[i] = i % 5 == 0;
    int64_t n_removed = 0, cell = 112 / G;
    for (int32_t i = 0; i < 2 * 3 * N; i++) n_removed += m[i];
    REQUIRE_OK(ehm_draw_masks(&c, NULL, m, NULL, 2, 3, G, G, NULL, NULL, &a, &err), &err);
    CHECK_INT(c.w, 2 * MARGIN + 3 * 112 + 2 * 8);
    CHECK_INT(count(&c, EHM_RGB(0x3a3f45)), n_removed * (cell - 1) * (cell - 1));
    CHECK_INT(count(&c, EHM_RGB(0xe9e6dd)), (2 * 3 * N - n_removed) * (cell - 1) * (cell - 1));
    int32_t w = c.w;
    REQUIRE_OK(
        ehm_draw_masks(&c, NULL, m, NULL, 2, 3, G, G, (const char *const[]){"u 0", NULL}, "title", &a, &err),
        &err);
    CHECK_INT(c.w, w + ehm_text_width("u 0", 1) + 8);
    ehm_arena_free(&a);
}

TEST(draw_masks, over_a_picture) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image c;
    uint8_t m[N] = {1, 1, 0};
    int32_t halves[N], each[N];
    for (int32_t i = 0; i < N; i++) halves[i] = i % G / 2, each[i] = i;
    fill(200);
    REQUIRE_OK(ehm_draw_masks(&c, &grey, m, each, 1, 1, G, G, NULL, NULL, &a, &err), &err);
    int32_t x0 = c.w - MARGIN - G * CELL, y0 = MARGIN;
    CHECK(same(at(&c, x0 + 2 * CELL + 5, y0 + 5), (ehm_rgb){200, 200, 200}));
    ehm_rgb cover = at(&c, x0 + 5, y0 + 5);
    CHECK(cover.r < 110 && same(cover, at(&c, x0 + CELL + 5, y0 + 5)));
    CHECK_INT(count(&c, EHM_RGB(0xffffff)), 0); /* every patch its own node: no lines */
    REQUIRE_OK(ehm_draw_masks(&c, &grey, m, halves, 1, 1, G, G, NULL, NULL, &a, &err), &err);
    CHECK_INT(count(&c, EHM_RGB(0xffffff)), 2 * G * CELL);
    CHECK(light(at(&c, x0 + 2 * CELL, y0 + 100)) && !light(at(&c, x0 + CELL, y0 + 100)));
    ehm_arena_free(&a);
}

TEST(draw_masks, refuses) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image c;
    uint8_t m[N] = {0};
    CHECK_FAILS(ehm_draw_masks(&c, NULL, m, NULL, 0, 1, G, G, NULL, NULL, &a, &err), &err, EHM_E_ARG,
                "0 rows of 1");
    CHECK_FAILS(ehm_draw_masks(&c, NULL, m, NULL, 1, 1, -1, G, NULL, NULL, &a, &err), &err, EHM_E_ARG,
                "-1 x 4");
    CHECK_FAILS(ehm_draw_masks(&c, NULL, m, NULL, 1, 100000, G, G, NULL, NULL, &a, &err), &err, EHM_E_ARG,
                "at most 32768");
    CHECK_FAILS(ehm_draw_masks(&c, NULL, m, NULL, 100000, 1, G, G, NULL, NULL, &a, &err), &err, EHM_E_ARG,
                "at most 32768");
    ehm_arena_free(&a);
}

/* ---- maps and stacks ---- */

static double luma(ehm_rgb c) { return 0.299 * c.r + 0.587 * c.g + 0.114 * c.b; }

TEST(draw_maps, heat_and_odd_numbers) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image c;
    float maps[3 * N];
    fill(128);
    for (int32_t i = 0; i < N; i++)
        maps[i] = (float)i * 1e-6f - 3e-6f, maps[N + i] = 7, maps[2 * N + i] = NAN;
    maps[5] = INFINITY;
    REQUIRE_OK(
        ehm_draw_maps(&c, &grey, maps, 3, G, G, (const char *const[]){"one", "two", "three"}, NULL, &a, &err),
        &err);
    for (int32_t i = 1; i < N; i++)
        if (i != 5 && i != 6) CHECK(luma(patch(&c, 1, MARGIN, i)) > luma(patch(&c, 1, MARGIN, i - 1)));
    ehm_rgb inf = patch(&c, 1, MARGIN, 5), nan = patch(&c, 3, MARGIN, 0);
    CHECK(abs(inf.r - inf.b) < 3 && same(inf, nan));
    CHECK(same(patch(&c, 2, MARGIN, 0), patch(&c, 2, MARGIN, N - 1)));
    int32_t h = c.h;
    float many[9 * N] = {0};
    REQUIRE_OK(ehm_draw_maps(&c, &grey, many, 9, G, G, NULL, NULL, &a, &err), &err);
    CHECK_INT(c.w, 2 * MARGIN + 8 * (G * CELL + GAP) - GAP); /* seven beside the picture, the others below */
    CHECK_INT(c.h, h + (h - 2 * MARGIN) + GAP);
    CHECK_FAILS(ehm_draw_maps(&c, &grey, maps, 0, G, G, NULL, NULL, &a, &err), &err, EHM_E_ARG, "0 maps");
    ehm_arena_free(&a);
}

TEST(draw_maps, stack) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image s[2], out, one = {px, 2, 2, 1, EHM_U8};
    REQUIRE_OK(ehm_canvas_new(&s[0], 10, 4, EHM_RGB(0x112233), &a, &err), &err);
    REQUIRE_OK(ehm_canvas_new(&s[1], 6, 3, EHM_RGB(0x445566), &a, &err), &err);
    REQUIRE_OK(ehm_draw_stack(&out, s, 2, &a, &err), &err);
    CHECK(out.w == 10 && out.h == 7);
    CHECK_INT(count(&out, EHM_RGB(0x112233)), 40);
    CHECK_INT(count(&out, EHM_RGB(0x445566)), 18);
    CHECK(same(at(&out, 5, 4), EHM_RGB(0x445566)) && same(at(&out, 6, 4), EHM_PAPER));
    CHECK_FAILS(ehm_draw_stack(&out, s, 0, &a, &err), &err, EHM_E_ARG, "0 drawings");
    CHECK_FAILS(ehm_draw_stack(&out, &one, 1, &a, &err), &err, EHM_E_ARG, "1 channels");
    ehm_arena_free(&a);
}
