#include "mask_data.h"

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

/* Every rule with every argument, awkward grids, every progress, ratios from 0 to 1: the lists are looked at
 * here, not by the code under test. */
static void promises_of(const ehm_mask_rule *r, const char *arg, ehm_mask_in *in, ehm_arena *scratch) {
    static int32_t visible[1024], masked[1024];
    int32_t n = in->grid_h * in->grid_w;
    ehm_err err = {0};
    in->arg = arg;
    for (int32_t k = 0; k <= n; k += n > 256 ? 341 : n > 64 ? 14 : 1)
        for (int q = 0; q <= 2; q++) {
            uint8_t seen[1024] = {0};
            ehm_mask m = {.visible = visible, .masked = masked};
            in->n_masked = k, in->progress_frac = (float)q / 2;
            mask_sample(in, (uint64_t)k);
            ehm_arena_reset(scratch);
            if (!CHECK_OK(ehm_mask_draw(r, &m, in, scratch, &err), &err)) {
                printf("    rule %s:%s, %dx%d, %d removed\n", r->name, arg ? arg : "", in->grid_h, in->grid_w,
                       k);
                ehm_test_leave();
            }
            if (!r->inexact) CHECK_INT(m.n_masked, k);
            CHECK_INT(m.n_visible, n - m.n_masked);
            for (int32_t i = 0; i < m.n_visible; i++)
                seen[visible[i]]++, CHECK(!i || visible[i] > visible[i - 1]);
            for (int32_t i = 0; i < m.n_masked; i++)
                seen[masked[i]]++, CHECK(!i || masked[i] > masked[i - 1]);
            for (int32_t i = 0; i < n; i++) CHECK_INT(seen[i], 1);
        }
}

TEST(mask, promises_of_every_rule) {
    const int32_t grid[][2] = {{1, 1}, {1, 7}, {7, 3}, {14, 14}, {32, 32}};
    ehm_arena scratch = {0}, keep = {0};
    int32_t n_rules = 0;
    for (int g = 0; g < 5; g++) {
        ehm_arena_reset(&keep);
        ehm_mask_in in = mask_data(grid[g][0], grid[g][1], ehm_test_seed(), &keep);
        for (const ehm_mask_rule *const *r = ehm_mask_rules; *r; r++, n_rules++) {
            CHECK((*r)->name && (*r)->summary && (*r)->source && (*r)->draw);
            promises_of(*r, NULL, &in, &scratch);
            for (const char *p = (*r)->args; p && *p;) {
                char arg[32] = {0};
                size_t len = strcspn(p, "|");
                REQUIRE(len && len < sizeof arg);
                memcpy(arg, p, len);
                promises_of(*r, arg, &in, &scratch);
                p += len + (p[len] == '|');
            }
        }
    }
    CHECK(n_rules >= 2 * 5);
    ehm_arena_free(&scratch), ehm_arena_free(&keep);
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

/* One patch more than it was asked for. */
static ehm_code greedy_draw(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    (void)scratch, (void)err;
    int32_t n = in->grid_h * in->grid_w;
    out->n_masked = in->n_masked + 1, out->n_visible = n - out->n_masked;
    for (int32_t i = 0; i < n; i++)
        if (i < out->n_masked) out->masked[i] = i;
        else out->visible[i - out->n_masked] = i;
    return EHM_OK;
}

static uint32_t bit_of_arg(const ehm_mask_settings *s, const char *arg, int32_t n, double progress_frac) {
    (void)n;
    CHECK(s != NULL);
    return progress_frac > 0.25 ? 1u << atoi(arg) : 0;
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
                        greedy = {.name = "greedy", .draw = greedy_draw},
                        free_hand = {.name = "free", .draw = greedy_draw, .inexact = true},
                        broken_free = {.name = "broken", .draw = broken_draw, .inexact = true};
    CHECK_FAILS(ehm_mask_draw(&broken, &m, &in, &scratch, &err), &err, EHM_E_ARG, "broke its promise");
    CHECK_FAILS(ehm_mask_draw(&greedy, &m, &in, &scratch, &err), &err, EHM_E_ARG, "59 visible and 5 masked");
    CHECK_FAILS(ehm_mask_draw(&broken_free, &m, &in, &scratch, &err), &err, EHM_E_ARG, "broke its promise");
    ehm_err_clear(&err);
    CHECK_OK(ehm_mask_draw(&free_hand, &m, &in, &scratch, &err), &err);
    ehm_arena_free(&scratch);
}

/* Each need is checked, at the progress at which it arises. */
TEST(mask, what_a_rule_needs_must_be_there) {
    ehm_err err = {0};
    ehm_arena scratch = {0}, keep = {0};
    int32_t v[64], k[64];
    ehm_mask m = {.visible = v, .masked = k};
    const ehm_mask_rule needy = {.name = "needy", .draw = greedy_draw, .inexact = true, .needs = bit_of_arg};
    ehm_mask_in none = {.grid_h = 8, .grid_w = 8, .n_masked = 4, .n_views = 1, .progress_frac = 1},
                all = mask_data(8, 8, 1, &keep);
    all.n_masked = 4, all.progress_frac = 1;
    for (int bit = 0; bit < 8; bit++) {
        char arg[2] = {(char)('0' + bit), 0};
        none.arg = all.arg = arg, none.progress_frac = 1;
        CHECK_FAILS(ehm_mask_draw(&needy, &m, &none, &scratch, &err), &err, EHM_E_ARG,
                    ehm_mask_need_name(1u << bit));
        ehm_err_clear(&err);
        CHECK_OK(ehm_mask_draw(&needy, &m, &all, &scratch, &err), &err);
        none.progress_frac = 0.25f;
        CHECK_OK(ehm_mask_draw(&needy, &m, &none, &scratch, &err), &err);
        CHECK_INT(ehm_mask_needs(&needy, NULL, arg, 64, 0), 0);
        CHECK_INT(ehm_mask_needs_ever(&needy, NULL, arg, 64), 1u << bit);
        for (int other = 0; other < bit; other++)
            CHECK(strcmp(ehm_mask_need_name(1u << bit), ehm_mask_need_name(1u << other)));
    }
    ehm_arena_free(&scratch), ehm_arena_free(&keep);
}

TEST(mask, find_by_name_and_argument) {
    ehm_err err = {0};
    const char *arg = "left over";
    CHECK(ehm_mask_rule_find("random", &arg, &err) == ehm_mask_rules[0]);
    CHECK(arg == NULL);
    CHECK(ehm_mask_rule_find("random", NULL, NULL) == ehm_mask_rules[0]);
    CHECK(!ehm_mask_rule_find("randon", &arg, &err));
    CHECK_INT(err.code, EHM_E_CONFIG);
    CHECK_HAS(err.hint, "random");
    ehm_err_clear(&err);
    CHECK(!ehm_mask_rule_find("random:blue", &arg, &err));
    CHECK_INT(err.code, EHM_E_CONFIG);
    CHECK_HAS(err.what, "takes nothing");
    ehm_err_clear(&err);
    CHECK(!ehm_mask_rule_find("randon:blue", &arg, &err));
    CHECK_HAS(err.what, "\"randon\" is not known");
    char endless[400];
    memset(endless, 'x', sizeof endless), endless[300] = ':', endless[399] = 0;
    ehm_err_clear(&err);
    CHECK(!ehm_mask_rule_find(endless, &arg, &err));
    for (const ehm_mask_rule *const *r = ehm_mask_rules; *r; r++) {
        char spec[64], first[32] = {0};
        ehm_err_clear(&err);
        if (!(*r)->args) continue;
        memcpy(first, (*r)->args, strcspn((*r)->args, "|"));
        snprintf(spec, sizeof spec, "%s:%s", (*r)->name, first);
        CHECK(ehm_mask_rule_find(spec, &arg, &err) == *r);
        CHECK_STR(arg, first);
        for (int i = 0; i < 2; i++) {
            snprintf(spec, sizeof spec, "%s:%s", (*r)->name, i ? "" : "nonsense");
            ehm_err_clear(&err);
            CHECK(!ehm_mask_rule_find(spec, &arg, &err));
            CHECK_HAS(err.what, (*r)->args);
        }
    }
}
