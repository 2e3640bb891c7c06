/* Groups and differences of models, against numbers worked out by hand and against ehm_bootstrap; which runs are one group. */
#include "base/file.h"
#include "base/rng.h"
#include "base/settings.h"
#include "eval/compare.h"
#include "harness.h"

enum { N = 40, SEEDS = 3 };

typedef struct { float items[2][SEEDS][N]; double draws[2][SEEDS][EHM_BOOT_DRAWS]; ehm_compare_score s[2][SEEDS]; } two_groups;

/* Group 1 is better by `gain` at each item; seeds differ by `by_seed` of their number. */
static two_groups *make(double gain, double by_seed) {
    two_groups *g = calloc(1, sizeof *g);
    ehm_err err = {0};
    REQUIRE(g);
    for (int k = 0; k < 2; k++)
        for (int s = 0; s < SEEDS; s++) {
            const float *row = g->items[k][s];
            double *to = g->draws[k][s], sum = 0;
            for (int i = 0; i < N; i++) {
                ehm_rng r = ehm_rng_of(7, EHM_RNG_test, 0, (uint64_t)i);
                g->items[k][s][i] = (float)(ehm_rng_f64(&r) + gain * k + by_seed * s);
                sum += (double)g->items[k][s][i];
            }
            REQUIRE_OK(ehm_bootstrap_values(&to, &row, 1, 1, N, 0, &err), &err);
            g->s[k][s] = (ehm_compare_score){.value = sum / N, .seed = s, .draws = g->draws[k][s], .n = N};
        }
    return g;
}

TEST(compare, one_model_has_the_interval_of_its_task) {
    two_groups *g = make(0.1, 0);
    const float *rows[2] = {g->items[0][0], g->items[1][0]};
    double mean[2], lo[2], hi[2];
    ehm_compare_figure f;
    ehm_err err = {0};
    CHECK_OK(ehm_bootstrap(mean, lo, hi, rows, 2, N, 0, &err), &err);
    CHECK_OK(ehm_compare_mean(&f, g->s[0], 1, &err), &err);
    CHECK_NEAR(f.value, mean[0], 1e-12), CHECK_NEAR(f.lo, lo[0], 1e-12), CHECK_NEAR(f.hi, hi[0], 1e-12);
    CHECK_INT(f.n, 1);
    CHECK(!f.over_seeds), CHECK_NEAR(f.spread, 0, 0);
    free(g);
}

TEST(compare, differences_are_paired) {
    two_groups *g = make(0.25, 0);
    ehm_compare_figure f;
    ehm_err err = {0};
    CHECK_OK(ehm_compare_difference(&f, &g->s[1][0], 1, &g->s[0][1], 1, &err), &err); /* one against one: whatever the seeds */
    CHECK_NEAR(f.value, 0.25, 1e-6), CHECK_NEAR(f.lo, 0.25, 1e-6), CHECK_NEAR(f.hi, 0.25, 1e-6);
    CHECK(f.by_seed), CHECK(!f.over_seeds);
    free(g);
}

TEST(compare, groups_are_paired_by_seed_not_by_place) {
    two_groups *g = make(0.25, 10);
    ehm_compare_score turned[SEEDS] = {g->s[0][2], g->s[0][0], g->s[0][1]};
    ehm_compare_figure f;
    ehm_err err = {0};
    CHECK_OK(ehm_compare_difference(&f, g->s[1], SEEDS, turned, SEEDS, &err), &err);
    CHECK_NEAR(f.value, 0.25, 1e-5), CHECK_NEAR(f.lo, 0.25, 1e-5), CHECK_NEAR(f.hi, 0.25, 1e-5);
    CHECK_NEAR(f.spread, 0, 1e-5);
    CHECK(f.by_seed), CHECK(f.over_seeds);
    CHECK_INT(f.n, SEEDS);
    free(g);
}

/* Without a spread over items the interval is that of drawing 0, 10 and 20 three times: the mean is 0 or 20 in 1 of 27 draws each, more than 2.5 %. */
TEST(compare, three_seeds_are_drawn) {
    two_groups *g = make(0, 0);
    double flat[SEEDS][EHM_BOOT_DRAWS];
    ehm_compare_score s[SEEDS];
    ehm_compare_figure f;
    ehm_err err = {0};
    for (int k = 0; k < SEEDS; k++) {
        for (int d = 0; d < EHM_BOOT_DRAWS; d++) flat[k][d] = 10 * k;
        s[k] = (ehm_compare_score){.value = 10 * k, .seed = k, .draws = flat[k], .n = N};
    }
    CHECK_OK(ehm_compare_mean(&f, s, SEEDS, &err), &err);
    CHECK_NEAR(f.value, 10, 1e-12), CHECK_NEAR(f.spread, 10, 1e-12);
    CHECK_NEAR(f.lo, 0, 1e-12), CHECK_NEAR(f.hi, 20, 1e-12);
    CHECK(f.over_seeds);
    CHECK_OK(ehm_compare_mean(&f, s, 2, &err), &err); /* two are not drawn from */
    CHECK_NEAR(f.value, 5, 1e-12), CHECK_NEAR(f.lo, 5, 1e-12), CHECK_NEAR(f.hi, 5, 1e-12);
    CHECK_NEAR(f.spread, sqrt(50), 1e-9);
    CHECK(!f.over_seeds);
    free(g);
}

TEST(compare, groups_without_shared_seeds_are_drawn_apart) {
    two_groups *g = make(0.25, 10);
    ehm_compare_score far[SEEDS] = {g->s[0][0], g->s[0][1], g->s[0][2]};
    ehm_compare_figure f;
    ehm_err err = {0};
    for (int k = 0; k < SEEDS; k++) far[k].seed += 100;
    CHECK_OK(ehm_compare_difference(&f, g->s[1], SEEDS, far, SEEDS, &err), &err);
    CHECK_NEAR(f.value, 0.25, 1e-5);
    CHECK(!f.by_seed), CHECK(f.over_seeds);
    CHECK(f.lo < -10 && f.hi > 10); /* 729 ways to draw, means 20 apart at most */
    CHECK_OK(ehm_compare_difference(&f, g->s[1], SEEDS, g->s[0], 1, &err), &err); /* one seed of three would be compared otherwise */
    CHECK_NEAR(f.value, 10.25, 1e-5);
    CHECK(!f.by_seed), CHECK(!f.over_seeds);
    free(g);
}

TEST(compare, items_that_one_lacks_are_no_part_of_a_pair) {
    two_groups *g = make(0.25, 0);
    ehm_compare_figure f;
    ehm_err err = {0};
    g->items[0][0][3] = NAN, g->items[1][0][5] = NAN, g->items[1][0][6] = 1000, g->items[0][0][6] = NAN;
    g->s[0][0].items = g->items[0][0], g->s[1][0].items = g->items[1][0];
    CHECK_OK(ehm_compare_difference(&f, &g->s[1][0], 1, &g->s[0][0], 1, &err), &err);
    CHECK_NEAR(f.value, 0.25, 1e-6), CHECK_NEAR(f.lo, 0.25, 1e-6), CHECK_NEAR(f.hi, 0.25, 1e-6);
    free(g);
}

TEST(compare, unknown_draws_give_no_interval) {
    ehm_compare_score s[2] = {{.value = 1, .seed = 0}, {.value = 3, .seed = 1}};
    ehm_compare_figure f;
    ehm_err err = {0};
    CHECK_OK(ehm_compare_mean(&f, s, 2, &err), &err);
    CHECK_NEAR(f.value, 2, 0), CHECK(isnan(f.lo) && isnan(f.hi));
}

TEST(compare, noise_is_an_interval_that_holds_0) {
    ehm_compare_row r = {.has_diff = true, .diff = {.lo = -0.1, .hi = 0.2}};
    CHECK(ehm_compare_is_noise(&r));
    r.diff.lo = 0;
    CHECK(ehm_compare_is_noise(&r));
    r.diff.lo = 0.01;
    CHECK(!ehm_compare_is_noise(&r));
    r.diff.lo = NAN;
    CHECK(!ehm_compare_is_noise(&r));
}

/* ---- which runs are a group ---- */

/* A run folder as far as untrained:RUN needs it. */
static const char *run(ehm_arena *a, const char *name, int seed, const char *mask, const char *more, int channels) {
    ehm_err err = {0};
    char *dir = ehm_path_join(a, ehm_test_tmp(), name), *path = ehm_path_join(a, dir, "config.json");
    char *text = ehm_arena_printf(a,
        "{\"format\": 1, \"settings\": {\"seed\": {\"value\": %d, \"origin\": \"flag\"}, \"threads\": {\"value\": %d, \"origin\": \"flag\"}, "
        "\"mask\": {\"value\": \"%s\", \"origin\": \"flag\"}, \"out\": {\"value\": \"%s\", \"origin\": \"flag\"}, \"fit\": {\"value\": \"crop\", \"origin\": "
        "\"default\"}%s}, \"shape\": {\"img_h\": 32, \"img_w\": 32, \"channels\": %d, \"patch_size\": 8, \"embed_dim\": 64, \"depth\": 2, \"num_heads\": 2, "
        "\"mlp_dim\": 128, \"decoder_embed_dim\": 64, \"decoder_depth\": 1, \"decoder_num_heads\": 2, \"decoder_mlp_dim\": 128}, \"data\": {\"hash\": \"ab\", "
        "\"mean\": [%s], \"std\": [%s]}}", seed, seed + 1, mask, name, more, channels, channels == 1 ? "0.5" : "0.5,0.5,0.5", channels == 1 ? "0.5" : "0.5,0.5,0.5");
    REQUIRE_OK(ehm_dir_make(dir, &err), &err);
    REQUIRE_OK(ehm_file_write(path, text, strlen(text), &err), &err);
    return ehm_arena_printf(a, "untrained:%s", dir);
}

TEST(compare, runs_that_differ_by_the_seed_alone_are_a_group) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_compare_models m;
    const char *v[] = {run(&a, "a_2", 2, "random", "", 3), run(&a, "b_0", 0, "block", "", 3), run(&a, "a_0", 0, "random", ", \"workers\": 3", 3),
                       run(&a, "c", 1, "random", ", \"epochs\": {\"value\": 3, \"origin\": \"flag\"}", 3), run(&a, "a_10", 10, "random", "", 3), run(&a, "again", 0, "random", "", 3),
                       "untrained:pico"};
    REQUIRE_OK(ehm_compare_models_of(&m, &(ehm_strs){v, 7}, &a, &err), &err);
    CHECK_INT(m.n_groups, 5);
    REQUIRE(m.group[0].n == 3);
    CHECK_INT(m.group[0].model[0], 2);
    CHECK_INT(m.group[0].model[1], 0);
    CHECK_INT(m.group[0].model[2], 4);
    CHECK_HAS(m.group[0].label, "/a_{0,2,10}");
    CHECK_HAS(m.group[1].label, "/b_0");
    CHECK_INT(m.model[5].group, 3); /* the same seed once more is no further seed */
    CHECK_INT(m.model[3].group, 2);
    CHECK_INT(m.model[6].group, 4);
    ehm_arena_free(&a);
}

TEST(compare, what_follows_from_data_or_machine_divides_no_group) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_compare_models m;
    const char *v[] = {run(&a, "a", 0, "random", ", \"mean\": {\"value\": \"0.1\", \"origin\": \"data\"}, \"batch_size\": {\"value\": 64, \"origin\": \"machine\"}", 3),
                       run(&a, "b", 1, "random", ", \"mean\": {\"value\": \"0.2\", \"origin\": \"data\"}, \"batch_size\": {\"value\": 64, \"origin\": \"machine\"}", 3),
                       run(&a, "c", 2, "random", ", \"mean\": {\"value\": \"0.2\", \"origin\": \"data\"}, \"batch_size\": {\"value\": 32, \"origin\": \"machine\"}", 3)};
    REQUIRE_OK(ehm_compare_models_of(&m, &(ehm_strs){v, 3}, &a, &err), &err);
    CHECK_INT(m.n_groups, 2);
    CHECK_INT(m.model[1].group, 0);
    CHECK_INT(m.model[2].group, 1);
    ehm_arena_free(&a);
}

TEST(compare, models_that_cannot_be_compared) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_compare_models m;
    const char *rgb = run(&a, "rgb", 0, "random", "", 3), *grey = run(&a, "grey", 0, "random", "", 1);
    const char *one[] = {rgb}, *twice[] = {rgb, ehm_arena_printf(&a, "%s/../rgb/", rgb)}, *channels[] = {rgb, grey}, *none[] = {rgb, "untrained:pixo"};
    CHECK(ehm_compare_models_of(&m, &(ehm_strs){one, 1}, &a, &err) == EHM_E_CONFIG);
    CHECK_HAS(err.what, "two or more models are compared, and one was given");
    ehm_err_clear(&err);
    CHECK(ehm_compare_models_of(&m, &(ehm_strs){twice, 2}, &a, &err) == EHM_E_CONFIG);
    CHECK_HAS(err.what, "is given twice, the other time as");
    ehm_err_clear(&err);
    CHECK(ehm_compare_models_of(&m, &(ehm_strs){channels, 2}, &a, &err) == EHM_E_MISMATCH);
    CHECK_HAS(err.what, "takes 3 channels and");
    CHECK_HAS(err.what, "grey takes 1: they cannot look at the same pictures");
    ehm_err_clear(&err);
    CHECK(ehm_compare_models_of(&m, &(ehm_strs){none, 2}, &a, &err) == EHM_E_CONFIG);
    CHECK_HAS(err.what, "untrained:pixo");
    ehm_arena_free(&a);
}
