#include "base/file.h"
#include "data/loader.h"
#include "harness.h"

static ehm_dataset *set_open(const char *path) {
    ehm_dataset *ds;
    ehm_err err = {0};
    const char *v[1] = {path};
    REQUIRE_OK(ehm_dataset_open(&ds, &(ehm_strs){v, 1}, &(ehm_dataset_opt){.ignore_label = -1}, &err), &err);
    return ds;
}
static void write_ppm(const char *dir, const char *name, int w, int h, int a, int b) {
    uint8_t px[16 * 16 * 3];
    char path[700];
    ehm_err err = {0};
    for (int i = 0; i < w * h; i++)
        px[3 * i] = (uint8_t)(i & 1 ? a : b), px[3 * i + 1] = 51, px[3 * i + 2] = (uint8_t)a;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    REQUIRE_OK(ehm_ppm_write(path, &(ehm_image){px, w, h, 3, EHM_U8}, &err), &err);
}

TEST(stats, known_pictures) {
    const char *dir = ehm_test_tmp();
    ehm_err err = {0};
    /* Sizes differ: each picture counts the same. */
    write_ppm(dir, "a.ppm", 16, 16, 0, 255), write_ppm(dir, "b.ppm", 4, 2, 102, 204);
    ehm_dataset *ds = set_open(dir);
    double mean[3], std[3];
    REQUIRE_OK(ehm_data_stats(ds, 100, 1, mean, std, NULL, &err), &err);
    CHECK_NEAR(mean[0], (.5 + .6) / 2, 1e-12);
    CHECK_NEAR(std[0], sqrt((.25 + .05 * .05 + .04 + .05 * .05) / 2), 1e-12);
    CHECK_NEAR(mean[1], .2, 1e-12);
    CHECK_NEAR(std[1], 1, 0); /* never varies */
    CHECK_NEAR(mean[2], .2, 1e-12);
    CHECK_NEAR(std[2], .2, 1e-12);
    ehm_dataset_close(ds);
}

TEST(stats, threads_do_not_matter) {
    ehm_dataset *ds = set_open("scenes:3:500:32");
    double mean[3], std[3], m[3], s[3];
    ehm_err err = {0};
    REQUIRE_OK(ehm_data_stats(ds, 60, 1, mean, std, NULL, &err), &err);
    for (int k = 0; k < 3; k++) CHECK(mean[k] > .3 && mean[k] < .7 && std[k] > .1 && std[k] < .4);
    for (int n = 2; n <= 5; n += 3) {
        ehm_pool *pool;
        REQUIRE_OK(ehm_pool_open(&pool, n, &err), &err);
        REQUIRE_OK(ehm_data_stats(ds, 60, 1, m, s, pool, &err), &err);
        CHECK(!memcmp(m, mean, sizeof m) && !memcmp(s, std, sizeof s));
        ehm_pool_close(pool);
    }
    REQUIRE_OK(ehm_data_stats(ds, 60, 2, m, s, NULL, &err), &err);
    CHECK(memcmp(m, mean, sizeof m) != 0); /* another seed, another sample */
    REQUIRE_OK(ehm_data_stats(ds, 500, 2, m, s, NULL, &err), &err);
    for (int k = 0; k < 3; k++) CHECK_NEAR(m[k], mean[k], .1);
    CHECK_FAILS(ehm_data_stats(ds, 0, 2, m, s, NULL, &err), &err, EHM_E_ARG, "0 of 500");
    ehm_dataset_close(ds);
}

TEST(stats, bad_pictures) {
    const char *dir = ehm_test_tmp();
    char path[700];
    ehm_err err = {0};
    double mean[3], std[3];
    write_ppm(dir, "a.ppm", 8, 8, 102, 102);
    snprintf(path, sizeof path, "%s/b.ppm", dir);
    REQUIRE_OK(ehm_file_write(path, "P6 8 8 255\nshort", 16, &err), &err);
    ehm_dataset *ds = set_open(dir);
    REQUIRE_OK(ehm_data_stats(ds, 10, 1, mean, std, NULL, &err), &err);
    CHECK_NEAR(mean[0], .4, 1e-12);
    /* Broken after the set was opened: nothing is left. */
    snprintf(path, sizeof path, "%s/a.ppm", dir);
    REQUIRE_OK(ehm_file_write(path, "P6 8 8 255\nshort", 16, &err), &err);
    CHECK_FAILS(ehm_data_stats(ds, 10, 1, mean, std, NULL, &err), &err, EHM_E_FORMAT, "a.ppm");
    ehm_dataset_close(ds);
}
