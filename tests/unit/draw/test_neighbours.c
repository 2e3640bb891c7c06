/* Neighbours: those of NumPy-like brute force by hand, copies, labels, and no picture beside itself. */
#include "base/file.h"
#include "draw/neighbours.h"
#include "harness.h"

static ehm_dataset *set_of(const char *spec) {
    ehm_err err = {0};
    ehm_dataset *ds = NULL;
    REQUIRE_OK(ehm_dataset_open(&ds, &(ehm_strs){&spec, 1}, &(ehm_dataset_opt){.channels = 3, .ignore_label = -1}, &err), &err);
    return ds;
}

/* Vectors at angles of the circle: who is near is plain to see. */
TEST(neighbours, by_angle) {
    enum { N = 6 };
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_dataset *ds = set_of("scenes:3:6:16"), *other = set_of("scenes:4:6:16"), *same = set_of("scenes:3:7:16");
    const double degrees[N] = {0, 10, 25, 100, 10, -40};
    float x[N * 2];
    int64_t id[N];
    ehm_neighbours near[N];
    for (int32_t i = 0; i < N; i++) x[2 * i] = (float)cos(degrees[i] * M_PI / 180), x[2 * i + 1] = (float)sin(degrees[i] * M_PI / 180), id[i] = i;
    ehm_vectors v = {.set = ds, .dim = 2, .n = N, .id = id, .x = x}, o = v, c = v;
    o.set = other, c.set = same;
    REQUIRE_OK(ehm_neighbours_find(near, &v, 2, &v, 3, &a, &err), &err);
    CHECK_INT(near[0].n, 3);
    CHECK_INT(near[0].near[0].id, 1); /* of equals the earlier one */
    CHECK_INT(near[0].near[1].id, 4);
    CHECK_INT(near[0].near[2].id, 2);
    CHECK_NEAR(near[0].near[2].similarity, cos(25 * M_PI / 180), 1e-6);
    CHECK_INT(near[1].near[0].id, 4); /* not itself */
    CHECK(!near[1].near[0].copy);
    for (int32_t k = 0; k < 3; k++)
        CHECK_INT(near[0].near[k].same_label, ehm_dataset_label(ds, 0) == ehm_dataset_label(ds, near[0].near[k].id));
    REQUIRE_OK(ehm_neighbours_find(near, &v, 1, &v, 50, &a, &err), &err);
    CHECK_INT(near[0].n, N - 1);
    CHECK_INT(near[0].near[N - 2].id, 3);
    /* another set holding the same numbers and other pixels; and the same pixels under another name */
    REQUIRE_OK(ehm_neighbours_find(near, &v, 1, &o, 2, &a, &err), &err);
    CHECK(near[0].near[0].id == 0 && !near[0].near[0].copy);
    REQUIRE_OK(ehm_neighbours_find(near, &v, 1, &c, 2, &a, &err), &err);
    CHECK(near[0].near[0].id == 0 && near[0].near[0].copy && near[0].near[0].same_label == 1 && !near[0].near[1].copy);
    v.n = 1;
    CHECK_FAILS(ehm_neighbours_find(near, &v, 1, &v, 2, &a, &err), &err, EHM_E_CONFIG, "one picture only");
    CHECK_FAILS(ehm_neighbours_find(near, &v, 2, &o, 2, &a, &err), &err, EHM_E_ARG, "of 1 pictures");
    ehm_dataset_close(ds), ehm_dataset_close(other), ehm_dataset_close(same);
    ehm_arena_free(&a);
}

/* The query's own file by another name is no neighbour; another file of the same pixels is one, and a copy. */
TEST(neighbours, not_the_same_file) {
    ehm_arena a = {0};
    ehm_err err = {0};
    char *dir = ehm_path_join(&a, ehm_test_tmp(), "set"), *name[3];
    static const char *const text[3] = {"P6\n1 1\n255\nabc", "P6\n1 1\n255\nabc", "P6\n1 1\n255\nxyz"};
    REQUIRE_OK(ehm_dir_make(dir, &err), &err);
    for (int i = 0; i < 3; i++) {
        name[i] = ehm_arena_printf(&a, "%s/%d.ppm", dir, i);
        REQUIRE_OK(ehm_file_write(name[i], text[i], strlen(text[i]), &err), &err);
    }
    ehm_dataset *all = set_of(dir), *one = set_of(name[1]);
    float x[6] = {1, 0, 1, 0, 0, 1};
    int64_t id[3] = {0, 1, 2};
    ehm_neighbours near[1];
    ehm_vectors g = {.set = all, .dim = 2, .n = 3, .id = id, .x = x}, q = {.set = one, .dim = 2, .n = 1, .id = id, .x = x};
    REQUIRE_OK(ehm_neighbours_find(near, &q, 1, &g, 3, &a, &err), &err);
    CHECK(near[0].n == 2 && near[0].left_out && near[0].near[0].id == 0 && near[0].near[0].copy && near[0].near[1].id == 2);
    CHECK(ehm_dataset_same_picture(one, 0, all, 1) && !ehm_dataset_same_picture(one, 0, all, 0) && !ehm_dataset_same_picture(one, 1, all, 1));
    ehm_dataset_close(all), ehm_dataset_close(one);
    ehm_dataset *p = set_of("scenes:3:5:16"), *r = set_of("scenes:3:5:16"), *t = set_of("scenes:4:5:16");
    CHECK(ehm_dataset_same_picture(p, 2, r, 2) && !ehm_dataset_same_picture(p, 2, r, 3) && !ehm_dataset_same_picture(p, 2, t, 2));
    ehm_dataset_close(p), ehm_dataset_close(r), ehm_dataset_close(t);
    ehm_arena_free(&a);
}

TEST(neighbours, from_a_model) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_model *m = NULL;
    ehm_dataset *ds = set_of("scenes:3:5");
    ehm_vectors v, cls;
    ehm_neighbours near[5];
    ehm_image sheet;
    REQUIRE_OK(ehm_model_open(&m, "untrained:pico", &(ehm_model_opt){.device = "cpu", .threads = 1, .batch = 4}, &err), &err);
    REQUIRE_OK(ehm_vectors_of(&v, m, ds, EHM_POOL_MEAN, 1, &a, &err), &err);
    REQUIRE_OK(ehm_vectors_of(&cls, m, ds, EHM_POOL_CLS, 1, &a, &err), &err);
    CHECK(v.n == 5 && v.dim == 128 && memcmp(v.x, cls.x, sizeof(float) * 5 * 128) != 0);
    for (int32_t i = 0; i < 5; i++) {
        double norm = 0;
        for (int32_t k = 0; k < 128; k++) norm += (double)v.x[i * 128 + k] * (double)v.x[i * 128 + k];
        CHECK_NEAR(norm, 1, 1e-5);
    }
    REQUIRE_OK(ehm_neighbours_find(near, &v, 3, &v, 2, &a, &err), &err);
    CHECK(near[0].near[0].similarity >= near[0].near[1].similarity && near[0].near[0].similarity < 1);
    REQUIRE_OK(ehm_neighbours_sheet(&sheet, near, 3, &v, &v, m, NULL, &a, &err), &err);
    CHECK_INT(sheet.w, 20 + 3 * (128 + 12) - 12 + 20);
    CHECK_FAILS(ehm_vectors_of(&v, m, ds, EHM_POOL_PATCHES, 1, &a, &err), &err, EHM_E_ARG, "neither");
    ehm_dataset_close(ds);
    ehm_model_close(m);
    ehm_arena_free(&a);
}
