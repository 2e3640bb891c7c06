#include "harness.h"
#include "mask/mask.h"

static void draw_one(const ehm_mask_rule *r, ehm_mask *m, int32_t gh, int32_t gw, int32_t n_masked,
                     uint64_t sample, ehm_arena *scratch) {
    ehm_err err = {0};
    ehm_mask_in in = {.grid_h = gh,
                      .grid_w = gw,
                      .n_masked = n_masked,
                      .n_views = 1,
                      .progress_frac = 0.5f,
                      .rng = ehm_rng_of(ehm_test_seed(), EHM_RNG_mask, 0, sample)};
    ehm_arena_reset(scratch);
    REQUIRE_OK(ehm_mask_draw(r, m, &in, scratch, &err), &err);
}

/* Every rule that needs nothing of the model, every count, awkward grids: the lists are looked at here, not
 * by the code under test. */
TEST(mask, promises_of_every_rule) {
    const int32_t grid[][2] = {{1, 1}, {1, 7}, {7, 3}, {14, 14}};
    ehm_arena scratch = {0};
    int32_t visible[196], masked[196], n_rules = 0;
    for (const ehm_mask_rule *const *r = ehm_mask_rules; *r; r++, n_rules++) {
        CHECK((*r)->name && (*r)->summary && (*r)->source && (*r)->draw);
        if ((*r)->needs) continue;
        for (int g = 0; g < 4; g++) {
            int32_t n = grid[g][0] * grid[g][1];
            for (int32_t k = 0; k <= n; k++) {
                uint8_t seen[196] = {0};
                ehm_mask m = {.visible = visible, .masked = masked};
                draw_one(*r, &m, grid[g][0], grid[g][1], k, (uint64_t)k, &scratch);
                CHECK_INT(m.n_masked, k);
                CHECK_INT(m.n_visible, n - k);
                for (int32_t i = 0; i < n - k; i++)
                    seen[visible[i]]++, CHECK(!i || visible[i] > visible[i - 1]);
                for (int32_t i = 0; i < k; i++) seen[masked[i]]++, CHECK(!i || masked[i] > masked[i - 1]);
                for (int32_t i = 0; i < n; i++) CHECK_INT(seen[i], 1);
            }
        }
    }
    CHECK(n_rules >= 1);
    ehm_arena_free(&scratch);
}

TEST(mask, count_truncates_as_published) {
    CHECK_INT(ehm_mask_n_visible(196, 0.75), 49);
    CHECK_INT(ehm_mask_n_visible(100, 0.9), 9); /* 100 * 0.0999... */
    CHECK_INT(ehm_mask_n_visible(100, 0.8), 19);
    CHECK_INT(ehm_mask_n_visible(64, 0.75), 16);
    CHECK_INT(ehm_mask_n_visible(9, 0.6), 3);
    CHECK_INT(ehm_mask_n_visible(7, 0), 7);
    CHECK_INT(ehm_mask_n_visible(7, 1), 0);
}

/* All 15 subsets of 4 of 6 equally often: chi-square with 14 degrees of freedom, limit at 1e-6 is 57. */
TEST(mask, random_is_uniform_over_subsets) {
    enum { DRAWS = 30000 };
    ehm_arena scratch = {0};
    int32_t visible[6], masked[6], count[64] = {0};
    for (int32_t k = 0; k < DRAWS; k++) {
        ehm_mask m = {.visible = visible, .masked = masked};
        draw_one(ehm_mask_rules[0], &m, 2, 3, 4, (uint64_t)k, &scratch);
        count[1 << visible[0] | 1 << visible[1]]++;
    }
    double chi = 0, expect = DRAWS / 15.0;
    int32_t n_subsets = 0;
    for (int32_t i = 0; i < 64; i++)
        if (__builtin_popcount((unsigned)i) == 2)
            chi += (count[i] - expect) * (count[i] - expect) / expect, n_subsets++;
    CHECK_INT(n_subsets, 15);
    CHECK_NEAR(chi, 14, 43);
    ehm_arena_free(&scratch);
}

/* Each patch of a large grid is removed as often as the next: largest |z| of 20,000 draws. */
TEST(mask, random_marginals) {
    enum { N = 196, M = 147, DRAWS = 20000 };
    ehm_arena scratch = {0};
    int32_t visible[N], masked[N], count[N] = {0};
    double worst = 0;
    for (int32_t k = 0; k < DRAWS; k++) {
        ehm_mask m = {.visible = visible, .masked = masked};
        draw_one(ehm_mask_rules[0], &m, 14, 14, M, (uint64_t)k, &scratch);
        for (int32_t i = 0; i < M; i++) count[masked[i]]++;
    }
    double p = (double)M / N, sd = sqrt(DRAWS * p * (1 - p));
    for (int32_t i = 0; i < N; i++) worst = fmax(worst, fabs(count[i] - DRAWS * p) / sd);
    CHECK(worst < 6);
    CHECK(worst > 1.5); /* too even is no randomness either */
    ehm_arena_free(&scratch);
}

TEST(mask, same_stream_same_mask) {
    ehm_arena scratch = {0};
    int32_t v[2][196], k[2][196];
    ehm_mask a = {.visible = v[0], .masked = k[0]}, b = {.visible = v[1], .masked = k[1]};
    draw_one(ehm_mask_rules[0], &a, 14, 14, 147, 5, &scratch),
        draw_one(ehm_mask_rules[0], &b, 14, 14, 147, 5, &scratch);
    CHECK(!memcmp(v[0], v[1], 49 * sizeof(int32_t)));
    draw_one(ehm_mask_rules[0], &b, 14, 14, 147, 6, &scratch);
    CHECK(memcmp(v[0], v[1], 49 * sizeof(int32_t)));
    ehm_arena_free(&scratch);
}

TEST(mask, views_differ) {
    ehm_err err = {0};
    ehm_arena scratch = {0};
    int32_t v[2][64], k[2][64];
    ehm_mask m[2] = {{.visible = v[0], .masked = k[0]}, {.visible = v[1], .masked = k[1]}};
    ehm_mask_in in = {
        .grid_h = 8, .grid_w = 8, .n_masked = 48, .n_views = 2, .rng = ehm_rng_of(1, EHM_RNG_mask, 0, 0)};
    REQUIRE_OK(ehm_mask_draw(ehm_mask_rules[0], m, &in, &scratch, &err), &err);
    CHECK_INT(m[1].n_visible, 16);
    CHECK(memcmp(v[0], v[1], 16 * sizeof(int32_t)));
    ehm_arena_free(&scratch);
}

TEST(mask, from_noise_keeps_the_smallest_and_breaks_ties_low) {
    const float noise[6] = {0.5f, 0.1f, 0.5f, 0.9f, 0.5f, 0.0f};
    ehm_err err = {0};
    ehm_arena scratch = {0};
    int32_t v[6], k[6];
    ehm_mask m = {.visible = v, .masked = k};
    REQUIRE_OK(ehm_mask_from_noise(&m, noise, 6, 3, &scratch, &err), &err);
    CHECK(v[0] == 0 && v[1] == 1 && v[2] == 5);
    CHECK(k[0] == 2 && k[1] == 3 && k[2] == 4);
    ehm_arena_free(&scratch);
}

/* Against a plain count of what is smaller, on noise with many ties and both zeros. */
TEST(mask, from_noise_by_counting) {
    ehm_err err = {0};
    ehm_arena scratch = {0};
    int32_t v[64], k[64];
    for (uint64_t round = 0; round < 500; round++) {
        ehm_rng rng = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 1, round);
        int32_t n = 1 + (int32_t)ehm_rng_below(&rng, 64),
                n_masked = (int32_t)ehm_rng_below(&rng, (uint32_t)n + 1), at = 0;
        float noise[64];
        for (int32_t i = 0; i < n; i++)
            noise[i] = (float)ehm_rng_below(&rng, 9) - 4,
            noise[i] = noise[i] == 0 && i % 2 ? -0.0f : noise[i];
        ehm_mask m = {.visible = v, .masked = k};
        ehm_arena_reset(&scratch);
        REQUIRE_OK(ehm_mask_from_noise(&m, noise, n, n_masked, &scratch, &err), &err);
        CHECK_INT(m.n_masked, n_masked);
        for (int32_t i = 0; i < n; i++) {
            int32_t before = 0;
            for (int32_t j = 0; j < n; j++) before += noise[j] < noise[i] || (noise[j] == noise[i] && j < i);
            if (before >= n - n_masked) continue;
            CHECK_INT(v[at], i);
            at++;
        }
        CHECK_INT(at, m.n_visible);
    }
    ehm_arena_free(&scratch);
}

static ehm_code broken_draw(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    (void)scratch, (void)err;
    out->n_visible = in->grid_h * in->grid_w - in->n_masked, out->n_masked = in->n_masked;
    for (int32_t i = 0; i < out->n_visible; i++) out->visible[i] = i;
    for (int32_t i = 0; i < out->n_masked; i++) out->masked[i] = i; /* names patches twice */
    return EHM_OK;
}

TEST(mask, refusals) {
    ehm_err err = {0};
    ehm_arena scratch = {0};
    int32_t v[64], k[64];
    ehm_mask m = {.visible = v, .masked = k};
    ehm_mask_in in = {.grid_h = 8, .grid_w = 8, .n_masked = 65, .n_views = 1};
    CHECK_FAILS(ehm_mask_draw(ehm_mask_rules[0], &m, &in, &scratch, &err), &err, EHM_E_ARG, "65 of 64");
    in.n_masked = 4, in.grid_w = 0;
    CHECK_FAILS(ehm_mask_draw(ehm_mask_rules[0], &m, &in, &scratch, &err), &err, EHM_E_ARG, "grid 8x0");
    in.grid_w = 8;
    const ehm_mask_rule broken = {.name = "broken", .draw = broken_draw},
                        needy = {.name = "needy", .draw = broken_draw, .needs = EHM_MASK_NEEDS_ATTENTION};
    CHECK_FAILS(ehm_mask_draw(&broken, &m, &in, &scratch, &err), &err, EHM_E_ARG, "broke its promise");
    CHECK_FAILS(ehm_mask_draw(&needy, &m, &in, &scratch, &err), &err, EHM_E_ARG,
                "needs the model's attention");
    ehm_err_clear(&err);
    CHECK(!ehm_mask_rule_find("randon", &err));
    CHECK_INT(err.code, EHM_E_CONFIG);
    CHECK_HAS(err.hint, "random");
    ehm_arena_free(&scratch);
}
