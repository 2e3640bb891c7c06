/* Studies: what is read of pictures, the levels that a tree is cut at, and masks that are those a training
 * would draw. */
#include "base/file.h"
#include "draw/study.h"
#include "harness.h"

TEST(study, levels) {
    double k[EHM_STUDY_LEVELS];
    CHECK_INT(ehm_study_levels(k, 196, 10), 5);
    CHECK(k[0] == 98 && k[4] == 10);
    for (int32_t i = 1; i < 5; i++) CHECK_NEAR(k[i] / k[i - 1], pow(10.0 / 98, 0.25), 0.03);
    CHECK_INT(ehm_study_levels(k, 20, 5), 4); /* 10, 8, 6, 5 */
    CHECK(k[0] == 10 && k[3] == 5);
    CHECK_INT(ehm_study_levels(k, 16, 8), 1);
    CHECK(k[0] == 8);
    CHECK_INT(ehm_study_levels(k, 1, 4), 1);
    CHECK(k[0] == 1);
    CHECK_INT(ehm_study_levels(k, 4, 0), 2);
    CHECK(k[0] == 2 && k[1] == 1);
    for (int32_t n = 1; n < 300; n++)
        for (int32_t end = 0; end <= n; end += 1 + end / 3) {
            int32_t levels = ehm_study_levels(k, n, end);
            CHECK(levels >= 1 && levels <= EHM_STUDY_LEVELS && k[levels - 1] == (end > 1 ? end : 1));
            for (int32_t i = 1; i < levels; i++) CHECK(k[i] < k[i - 1]);
        }
}

static ehm_mask_settings defaults(void) {
    ehm_config c;
    ehm_mask_settings s;
    ehm_err err = {0};
    ehm_config_init(&c);
    REQUIRE_OK(ehm_mask_settings_of(&s, &c, &err), &err);
    return s;
}

/* Two halves and noise: near patches of one half are alike. */
static float *halves(int32_t n, int32_t w, ehm_arena *a) {
    float *S = EHM_NEW_N(a, float, (size_t)n *(size_t)n);
    ehm_rng r = ehm_rng_of(1, EHM_RNG_test, 0, 0);
    REQUIRE(S);
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < i; k++)
            S[i * n + k] = S[k * n + i] =
                (i % w < w / 2) == (k % w < w / 2) ? 0.5f + 0.1f * ehm_rng_f32(&r) : 0.1f * ehm_rng_f32(&r);
    return S;
}

TEST(study, masks_are_those_of_a_training) {
    enum { G = 8, N = G * G };
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_mask_settings set = defaults();
    ehm_study s = {.grid_h = G, .grid_w = G, .similarity = halves(N, G, &a)};
    const ehm_mask_rule *rule = ehm_mask_rule_find("ehm", NULL, &err);
    const double u[] = {0, 1};
    ehm_study_masks m, again;
    REQUIRE(rule);
    REQUIRE_OK(ehm_study_draw_masks(&m, &s, rule, NULL, &set, u, 2, 5, 3, &a, &err), &err);
    REQUIRE_OK(ehm_study_draw_masks(&again, &s, rule, NULL, &set, u, 2, 5, 3, &a, &err), &err);
    CHECK(!memcmp(m.masks, again.masks, 2 * 5 * N));
    CHECK_STR(m.labels[0], "u 0.00  K 64");
    for (int32_t i = 0; i < 10; i++) {
        int32_t removed = 0, visible[N], masked[N];
        for (int32_t k = 0; k < N; k++) removed += m.masks[i * N + k];
        CHECK_INT(removed, 48);
        CHECK_INT(m.n_removed[i], 48);
        for (int32_t j = 0; j < i; j++)
            if (memcmp(m.masks + i * N, m.masks + j * N, N) == 0)
                ehm_test_fail(__FILE__, __LINE__, "masks %d and %d are one", i, j);
        ehm_mask_in in = ehm_study_mask_in(&s, &set, 3, (uint64_t)(i % 5), u[i / 5]);
        ehm_mask one = {.visible = visible, .masked = masked};
        REQUIRE_OK(ehm_mask_draw(rule, &one, &in, &a, &err), &err);
        for (int32_t k = 0; k < one.n_masked; k++) CHECK(m.masks[i * N + one.masked[k]]);
    }
    /* At the end of the curriculum nodes are whole but one, and the frontier that is shown is the one that
     * was used. */
    for (int32_t i = 5; i < 10; i++) {
        int32_t size[N] = {0}, removed[N] = {0}, n_nodes = 0, cut = 0;
        for (int32_t k = 0; k < N; k++)
            size[m.frontier[i * N + k]]++, removed[m.frontier[i * N + k]] += m.masks[i * N + k];
        for (int32_t k = 0; k < N; k++) n_nodes += size[k] > 0, cut += removed[k] > 0 && removed[k] < size[k];
        CHECK_INT(n_nodes, m.facts[i].n_nodes);
        CHECK_INT(cut, m.facts[i].n_cut);
        CHECK(cut <= 1 && n_nodes < N);
    }
    ehm_arena_free(&a);
}

TEST(study, rules_without_a_tree) {
    enum { N = 15 };
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_mask_settings set = defaults();
    ehm_study s = {.grid_h = 3, .grid_w = 5};
    const ehm_mask_rule *rule = ehm_mask_rule_find("random", NULL, &err);
    ehm_study_masks m;
    int32_t visible[N], masked[N];
    REQUIRE_OK(ehm_study_draw_masks(&m, &s, rule, NULL, &set, (const double[]){0.5}, 1, 4, 7, &a, &err),
               &err);
    CHECK(!m.frontier);
    CHECK_STR(m.labels[0], "u 0.50");
    for (uint64_t i = 0; i < 4; i++) { /* the numbers of picture i in epoch 0 */
        ehm_mask_in in = {.grid_h = 3,
                          .grid_w = 5,
                          .n_masked = 12,
                          .n_views = 1,
                          .settings = &set,
                          .rng = ehm_rng_of(7, EHM_RNG_mask, 0, i)};
        ehm_mask one = {.visible = visible, .masked = masked};
        REQUIRE_OK(ehm_mask_draw(rule, &one, &in, &a, &err), &err);
        for (int32_t k = 0; k < 12; k++) CHECK(m.masks[i * N + (uint64_t)masked[k]]);
    }
    ehm_arena_free(&a);
}

TEST(study, tree_from_numbers) {
    enum { G = 8, N = G * G, SIDE = 64 };
    static uint8_t px[SIDE * SIDE];
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_mask_settings set = defaults();
    ehm_study s = {.name = "x",
                   .grid_h = G,
                   .grid_w = G,
                   .similarity = halves(N, G, &a),
                   .picture = {px, SIDE, SIDE, 1, EHM_U8}};
    ehm_study_tree_facts f;
    ehm_image sheet;
    set.k_end = 2;
    REQUIRE_OK(ehm_study_tree(&sheet, &f, &s, &set, 0, "a note", &a, &err), &err);
    CHECK(!f.flat && f.n_levels == 5 && f.k[4] == 2 && f.n_nodes[4] == 2);
    CHECK_NEAR(f.k_effective[4], 2, 1e-9);
    float *flat = EHM_NEW_N(&a, float, N *N);
    for (int32_t i = 0; i < N * N; i++) flat[i] = 0.25f;
    s.similarity = flat;
    REQUIRE_OK(ehm_study_tree(&sheet, &f, &s, &set, 0, NULL, &a, &err), &err);
    CHECK(f.flat);
    flat[5] = flat[5 * N] = NAN;
    CHECK_FAILS(ehm_study_tree(&sheet, &f, &s, &set, 0, NULL, &a, &err), &err, EHM_E_ARG, "nan");
    ehm_arena_free(&a);
}

static ehm_dataset *folder_of(const char *spec) {
    ehm_err err = {0};
    ehm_dataset *ds = NULL;
    REQUIRE_OK(ehm_dataset_open(&ds, &(ehm_strs){&spec, 1}, &(ehm_dataset_opt){.channels = 3, .ignore_label = -1}, &err), &err);
    return ds;
}

/* Ten pictures, of which number 5 and 6 are bad: evenly spread, none twice, in pieces as at once. */
TEST(study, places_lie_evenly_over_the_set) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_study s[10];
    int32_t n = 0;
    char *dir = ehm_path_join(&a, ehm_test_tmp(), "ten");
    REQUIRE_OK(ehm_dir_make(dir, &err), &err);
    for (int i = 0; i < 10; i++) {
        char *path = ehm_arena_printf(&a, "%s/%d.ppm", dir, i);
        const char *text = i == 5 || i == 6 ? "P6\n2 2\n255\nabc" : "P6\n2 2\n255\nabcdefghijkl";
        REQUIRE_OK(ehm_file_write(path, text, strlen(text), &err), &err);
    }
    ehm_dataset *ds = folder_of(dir);
    ehm_study_source src = {.pictures = ds, .grid_h = 2, .grid_w = 2, .n_places = 4, .quiet = true};
    REQUIRE_OK(ehm_study_read(s, &n, &src, 4, &a, &err), &err);
    CHECK(n == 4 && s[0].i_picture == 0 && s[1].i_picture == 2 && s[2].i_picture == 7 && s[3].i_picture == 8); /* 0, 2, 5, 7 */
    ehm_study_cursor at = {0};
    src.at = &at, src.n_places = 5; /* 0, 2, 4, 6, 8 */
    REQUIRE_OK(ehm_study_read(s, &n, &src, 3, &a, &err), &err);
    CHECK(n == 3 && s[2].i_picture == 4 && at.place == 3);
    REQUIRE_OK(ehm_study_read(s, &n, &src, 3, &a, &err), &err);
    CHECK(n == 2 && s[0].i_picture == 7 && s[1].i_picture == 8);
    at = (ehm_study_cursor){0}, src.n_places = 9; /* the last place finds nothing that was not shown */
    REQUIRE_OK(ehm_study_read(s, &n, &src, 10, &a, &err), &err);
    CHECK_INT(n, 8);
    for (int32_t i = 1; i < n; i++) CHECK(s[i].i_picture > s[i - 1].i_picture);
    at = (ehm_study_cursor){0}, src.n_places = 0;
    REQUIRE_OK(ehm_study_read(s, &n, &src, 4, &a, &err), &err);
    CHECK(n == 4 && s[3].i_picture == 3 && at.picture == 4);
    ehm_dataset_close(ds);
    ehm_arena_free(&a);
}

TEST(study, reads) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_model *m = NULL;
    ehm_dataset *ds = NULL;
    ehm_mask_settings set = defaults();
    ehm_config c;
    ehm_affinity_opt o;
    ehm_study s[4];
    int32_t n;
    const char *spec = "scenes:5:3";
    ehm_config_init(&c);
    REQUIRE_OK(ehm_model_open(&m, "untrained:pico",
                              &(ehm_model_opt){.device = "cpu", .threads = 1, .batch = 1}, &err),
               &err);
    REQUIRE_OK(ehm_dataset_open(&ds, &(ehm_strs){&spec, 1},
                                &(ehm_dataset_opt){.channels = 3, .ignore_label = -1}, &err),
               &err);
    REQUIRE_OK(ehm_affinity_opt_of(&o, &c, ehm_model_shape(m), &err), &err);
    ehm_study_source src = {
        .model = m, .pictures = ds, .settings = &set, .affinity = &o, .whose = "mask rule x"};
    src.needs = EHM_MASK_NEEDS_SIMILARITY | EHM_MASK_NEEDS_OTHER | EHM_MASK_NEEDS_CLS |
                EHM_MASK_NEEDS_COLOUR | EHM_MASK_NEEDS_LABELS;
    REQUIRE_OK(ehm_study_read(s, &n, &src, 2, &a, &err), &err);
    CHECK_INT(n, 2);
    CHECK(s[0].picture.w == 64 && s[0].grid_h == 8 && s[0].cls_attention && s[0].labels && !s[0].attention &&
          !s[0].score);
    CHECK(s[0].similarity_other == s[1].similarity && s[1].similarity_other != s[0].similarity &&
          s[1].similarity_other);
    /* the mean colour of the last patch */
    double sum = 0;
    for (int32_t y = 56; y < 64; y++)
        for (int32_t x = 56; x < 64; x++) sum += ((const uint8_t *)s[1].pixels)[(y * 64 + x) * 3 + 2];
    CHECK_NEAR(s[1].colour[63 * 3 + 2], sum / 64 / 255, 1e-6);
    REQUIRE_OK(ehm_study_read(s, &n, &src, 4, &a, &err),
               &err); /* as many as there are; the last takes the first's */
    CHECK_INT(n, 3);
    CHECK(s[2].similarity_other == s[0].similarity);
    src.model = NULL, src.grid_h = src.grid_w = 4;
    CHECK_FAILS(ehm_study_read(s, &n, &src, 1, &a, &err), &err, EHM_E_CONFIG,
                "mask rule x needs the model's attention: --model is missing");
    src.pictures = NULL;
    CHECK_FAILS(ehm_study_read(s, &n, &src, 1, &a, &err), &err, EHM_E_CONFIG,
                "--model and --image are missing");
    src.needs = EHM_MASK_NEEDS_COLOUR;
    CHECK_FAILS(ehm_study_read(s, &n, &src, 1, &a, &err), &err, EHM_E_CONFIG,
                "the picture's colours: --image is missing");
    src.needs = EHM_MASK_NEEDS_LOSS;
    CHECK_FAILS(ehm_study_read(s, &n, &src, 1, &a, &err), &err, EHM_E_CONFIG, "only a training knows");
    src.needs = 0;
    REQUIRE_OK(ehm_study_read(s, &n, &src, 3, &a, &err), &err);
    CHECK(n == 1 && !s[0].name && !s[0].picture.px && s[0].grid_w == 4);
    src.pictures = ds, src.needs = EHM_MASK_NEEDS_COLOUR;
    REQUIRE_OK(ehm_study_read(s, &n, &src, 1, &a, &err), &err);
    CHECK(n == 1 && s[0].picture.w == 64 && s[0].n_colour == 3);
    ehm_dataset_close(ds);
    ehm_model_close(m);
    ehm_arena_free(&a);
}
