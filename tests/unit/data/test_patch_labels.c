/* Labels of patches equal Pillow's nearest sampling and NumPy's majority; the loader gives them for every kind of set,
 * whatever the threads, the cache or the bad files. */
#include "data/patch_labels.h"
#include "data/augment_int.h"
#include "data/inspect.h"
#include "make_sets.h"

/* The same formula as in tools/golden/patch_labels.py. */
static void fill_map(ehm_image *m, int w, int h, bool wide, ehm_arena *a) {
    ehm_err err = {0};
    REQUIRE_OK(ehm_image_new(m, w, h, 1, wide ? EHM_U16 : EHM_U8, a, &err), &err);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int v = (x / 9 + 3 * (y / 7)) % 5 + ((x * 7 + y * 13 + (x * y) % 31) % 11 == 0 ? 3 : 0);
            if ((x / 16 + y / 12) % 4 == 3) v = 11;
            if (wide) ((uint16_t *)m->px)[y * w + x] = (uint16_t)(v * 300);
            else ((uint8_t *)m->px)[y * w + x] = (uint8_t)v;
        }
}

TEST(patch_labels, golden) {
    ehm_arena a = {0}, scratch = {0};
    ehm_err err = {0};
    ehm_bytes text;
    char kind[16];
    double box[4];
    int w, h, wide, flip, iw, ih, gw, gh, ignore, used, n = 0, n_none = 0;
    int32_t got[196];
    REQUIRE_OK(ehm_file_read(&text, ehm_test_path("tests/golden/patch_labels/patch_labels.txt"), &a, &err), &err);
    const char *at = (const char *)text.data;
    while (sscanf(at, "%15s %d %d %d %lf %lf %lf %lf %d %d %d %d %d %d :%n", kind, &w, &h, &wide, box, box + 1,
                  box + 2, box + 3, &flip, &iw, &ih, &gw, &gh, &ignore, &used) == 14) {
        ehm_image m;
        ehm_placement p;
        at += used, n++;
        ehm_arena_reset(&scratch);
        fill_map(&m, w, h, wide, &scratch);
        if (!strcmp(kind, "crop")) ehm_place_crop(&p, box, flip, iw, ih);
        else ehm_place_fit(&p, w, h, iw, ih, !strcmp(kind, "crop_fit") ? "crop" : kind);
        REQUIRE_OK(ehm_patch_labels(got, &m, 1, gh, gw, &p, ignore, &scratch, &err), &err);
        for (int i = 0; i < gh * gw; i++) {
            int want = (int)strtol(at, (char **)&at, 10);
            n_none += want < 0;
            if (got[i] != want)
                ehm_test_fail(__FILE__, __LINE__, "case %d (%s %dx%d): patch %d is %d, expected %d", n, kind, w, h,
                              i, got[i], want);
        }
    }
    CHECK_INT(n, 47);
    CHECK(n_none > 50);
    ehm_arena_free(&a), ehm_arena_free(&scratch);
}

TEST(patch_labels, ties_ignored_and_absent) {
    uint8_t classes[16] = {7, 3, 9, 9, 3, 7, 9, 9, 5, 9, 2, 2, 9, 9, 2, 4};
    uint8_t objects[16] = {1, 1, 8, 8, 0, 0, 8, 8, 6, 8, 1, 2, 8, 8, 2, 1};
    ehm_image maps[3] = {{0}, {objects, 4, 4, 1, EHM_U8}, {classes, 4, 4, 1, EHM_U8}};
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_placement p;
    int32_t got[12];
    ehm_place_fit(&p, 4, 4, 4, 4, "stretch");
    REQUIRE_OK(ehm_patch_labels(got, maps, 3, 2, 2, &p, 9, &a, &err), &err);
    const int32_t want[12] = {-1, -1, -1, -1, /* no part map */
                              0, -1, 6, 1, /* a tie to the lower; a class that is ignored leaves objects out */
                              3, -1, 5, 2};
    for (int i = 0; i < 12; i++) CHECK_INT(got[i], want[i]);
    ehm_place_crop(&p, (double[4]){0, 0, 4, 4}, true, 4, 4);
    REQUIRE_OK(ehm_patch_labels(got, maps, 3, 2, 2, &p, 9, &a, &err), &err);
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 4; i++) CHECK_INT(got[4 * k + i], want[4 * k + (i ^ 1)]);
    CHECK_FAILS(ehm_patch_labels(got, maps, 3, 3, 2, &p, 9, &a, &err), &err, EHM_E_ARG, "3x2");
    ehm_place_crop(&p, (double[4]){0, 0, 5, 4}, true, 4, 4);
    CHECK_FAILS(ehm_patch_labels(got, maps, 3, 2, 2, &p, 9, &a, &err), &err, EHM_E_ARG, "4x4");
    ehm_arena_free(&a);
}

/* ---- the loader ---- */
static ehm_loader_opt usual(void) {
    return (ehm_loader_opt){.batch_size = 8, .h = 24, .w = 24, .augment = true, .crop_min = .2, .crop_max = 1,
                            .flip = .5, .shuffle = true, .drop_last = true, .repeat = true, .seed = 11,
                            .label_grid_h = 6, .label_grid_w = 6, .n_workers = 1, .max_bad = .5};
}

enum { N_KEEP = 4 * 8 * 3 * 36 };
/* Four batches of labels and ids. */
static int run(int32_t *out, int64_t *ids, ehm_dataset *ds, ehm_loader_opt o) {
    ehm_loader *l;
    ehm_err err = {0};
    int at = 0, n_levels = 0;
    REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
    for (int i = 0; i < 4; i++) {
        ehm_batch b;
        REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
        REQUIRE(b.patch_labels && b.n == 8);
        n_levels = b.n_levels;
        memcpy(out + at, b.patch_labels, sizeof(int32_t) * (size_t)(b.n * n_levels * 36));
        memcpy(ids + i * 8, b.ids, sizeof(int64_t) * 8);
        at += b.n * n_levels * 36;
    }
    ehm_loader_close(l);
    return n_levels;
}

TEST(patch_labels, threads_and_cache_do_not_matter) {
    static int32_t want[N_KEEP], got[N_KEEP];
    int64_t ids[32];
    ehm_dataset *ds;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, "scenes:5:19:32", &err), &err);
    for (int augment = 0; augment < 2; augment++) {
        ehm_loader_opt o = usual();
        o.augment = augment;
        CHECK_INT(run(want, ids, ds, o), 3);
        int differ = 0;
        for (int i = 1; i < N_KEEP; i++) differ += want[i] != want[i - 1];
        CHECK(differ > 500);
        for (int k = 0; k < 3; k++) {
            o.n_workers = 1 + 2 * k, o.cache_bytes = k ? 1 << 24 : 0;
            if (k == 2) o.cache_bytes = 60000; /* holds a part of them, or none */
            memset(got, 7, sizeof got);
            run(got, ids, ds, o);
            CHECK(!memcmp(got, want, sizeof got));
        }
    }
    ehm_dataset_close(ds);
}

/* Labels of a crop are those of the picture's own maps in the box that the loader took. */
TEST(patch_labels, loader_uses_the_crop_of_the_picture) {
    static int32_t got[N_KEEP];
    int64_t ids[32];
    int32_t want[3 * 36];
    ehm_dataset *ds;
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_loader_opt o = usual();
    REQUIRE_OK(open_set(&ds, "scenes:5:200:48", &err), &err);
    run(got, ids, ds, o);
    int n_flip = 0;
    for (int i = 0; i < 32; i++) {
        ehm_sample s;
        ehm_placement p;
        double box[4];
        bool flip;
        ehm_arena_reset(&a);
        REQUIRE_OK(ehm_dataset_read(ds, ids[i], &s, EHM_WANT_LABEL_MAPS | EHM_WANT_OBJECT_MAPS, NULL, &a, &err), &err);
        ehm_augment_box(box, &flip, 48, 48, .2, 1, .5, 11, 0, ids[i]);
        n_flip += flip;
        ehm_place_crop(&p, box, flip, 24, 24);
        ehm_image maps[3] = {s.part_map, s.object_map, s.label_map};
        REQUIRE_OK(ehm_patch_labels(want, maps, 3, 6, 6, &p, 255, &a, &err), &err);
        CHECK(!memcmp(want, got + i * 3 * 36, sizeof want));
    }
    CHECK(n_flip > 4 && n_flip < 28);
    ehm_arena_free(&a);
    ehm_dataset_close(ds);
}

TEST(patch_labels, evaluation_transform) {
    ehm_dataset *ds;
    ehm_err err = {0};
    ehm_arena a = {0};
    REQUIRE_OK(open_set(&ds, "scenes:6:8:40x56", &err), &err);
    static const char *const fits[] = {"crop", "stretch", "pad", NULL};
    for (int f = 0; f < 4; f++) {
        ehm_loader_opt o = usual();
        ehm_loader *l;
        ehm_batch b;
        o.augment = o.shuffle = o.repeat = false, o.fit = fits[f];
        REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
        REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
        int n_none = 0;
        for (int i = 0; i < 8; i++) {
            ehm_sample s;
            ehm_placement p;
            int32_t want[3 * 36];
            REQUIRE_OK(ehm_dataset_read(ds, i, &s, EHM_WANT_LABEL_MAPS | EHM_WANT_OBJECT_MAPS, NULL, &a, &err), &err);
            ehm_image maps[3] = {s.part_map, s.object_map, s.label_map};
            ehm_place_fit(&p, 56, 40, 24, 24, fits[f]);
            REQUIRE_OK(ehm_patch_labels(want, maps, 3, 6, 6, &p, 255, &a, &err), &err);
            CHECK(!memcmp(want, b.patch_labels + i * 3 * 36, sizeof want));
            for (int k = 0; k < 36; k++) n_none += want[72 + k] < 0;
        }
        CHECK_INT(n_none, f == 2 ? 8 * 6 : 0); /* padded above and below: 17 of 24 rows, 3.5 at the edges; rows 0 only is empty */
        ehm_loader_close(l);
    }
    ehm_arena_free(&a);
    ehm_dataset_close(ds);
}

TEST(patch_labels, camvid) {
#ifndef EHM_WITH_JPEG
    SKIP("these pictures are JPEG, which this build does not read");
#endif
    static int32_t want[N_KEEP], got[N_KEEP];
    int64_t ids[32];
    char spec[1024];
    ehm_dataset *ds;
    ehm_err err = {0};
    snprintf(spec, sizeof spec, "%s#test", ehm_test_data("camvid.tar"));
    REQUIRE_OK(open_set(&ds, spec, &err), &err);
    ehm_loader_opt o = usual();
    CHECK_INT(run(want, ids, ds, o), 1);
    int n_of[13] = {0};
    for (int i = 0; i < 32 * 36; i++) {
        REQUIRE(want[i] >= -1 && want[i] < 12);
        n_of[want[i] + 1]++;
    }
    CHECK_INT(n_of[12], 0); /* Unlabelled is ignored */
    CHECK(n_of[0] < 100);   /* and seldom fills a patch */
    CHECK(n_of[1] > 20 && n_of[2] > 100 && n_of[4] > 100); /* sky, building, road */
    o.n_workers = 3, o.cache_bytes = 1 << 28;
    run(got, ids, ds, o);
    CHECK(!memcmp(got, want, sizeof(int32_t) * 32 * 36));
    ehm_dataset_close(ds);
}

#ifdef EHM_WITH_PNG
/* Twelve pictures with maps whose value is the picture's number; some maps are cut short, absent, or of another size. */
TEST(patch_labels, bad_maps_are_bad_files) {
    ehm_err err = {0};
    ehm_arena a = {0};
    char path[700];
    for (int i = 0; i < 12; i++) {
        uint8_t px[20 * 16];
        memset(px, i, sizeof px);
        snprintf(path, sizeof path, "%s/images/p%02d.ppm", ehm_test_tmp(), i);
        put_ppm(path, 20, 16, 3, 10 * i);
        snprintf(path, sizeof path, "%s/labels/p%02d.png", ehm_test_tmp(), i);
        if (i == 3) put_text(path, "\x89PNG\r\n\x1a\n and no more");
        else {
            ehm_bytes b;
            ehm_image m = {px, i == 5 ? 16 : 20, i == 5 ? 20 : 16, 1, EHM_U8};
            REQUIRE_OK(ehm_png_encode(&b, &m, &a, &err), &err);
            put_file(path, b.data, b.len);
        }
    }
    ehm_dataset *ds;
    REQUIRE_OK(open_set(&ds, ehm_test_tmp(), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 12);
    for (int cached = 0; cached < 2; cached++)
        for (int augment = 0; augment < 2; augment++) {
            ehm_loader_opt o = usual();
            ehm_loader *l;
            ehm_batch b;
            o.augment = augment, o.shuffle = false, o.repeat = false, o.batch_size = 12, o.cache_bytes = cached << 20;
            REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
            REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
            CHECK_INT(b.n_levels, 1);
            for (int i = 0; i < 12; i++) {
                CHECK_INT(b.slots[i], i);
                CHECK_INT(b.ids[i], i == 3 ? 4 : i == 5 ? 6 : i);
                for (int k = 0; k < 36; k++) CHECK_INT(b.patch_labels[i * 36 + k], b.ids[i]);
            }
            REQUIRE(ehm_loader_bad_count(l) == 2);
            int64_t id;
            const char *why;
            CHECK(ehm_loader_bad(l, 0, &id, &why) && id == 3);
            CHECK(ehm_loader_bad(l, 1, &id, &why) && id == 5);
            CHECK_HAS(why, "16x20 beside a picture of 20x16");
            ehm_loader_close(l);
        }
    ehm_dataset_close(ds);
    ehm_arena_free(&a);
}
#endif

TEST(patch_labels, refusals) {
    ehm_dataset *ds;
    ehm_loader *l;
    ehm_err err = {0};
    ehm_loader_opt o = usual();
    put_ppm(in_tmp("plain/1.ppm"), 8, 8, 3, 1);
    REQUIRE_OK(open_set(&ds, in_tmp("plain"), &err), &err);
    o.batch_size = 1;
    CHECK_FAILS(ehm_loader_open(&l, ds, &o, 0, &err), &err, EHM_E_CONFIG, "no label maps");
    ehm_dataset_close(ds);
    ehm_err_clear(&err);
    REQUIRE_OK(open_set(&ds, "scenes:5:8:32", &err), &err);
    o.label_grid_w = 5;
    CHECK_FAILS(ehm_loader_open(&l, ds, &o, 0, &err), &err, EHM_E_ARG, "6x5");
    o.label_grid_w = 0;
    CHECK_FAILS(ehm_loader_open(&l, ds, &o, 0, &err), &err, EHM_E_ARG, "6x0");
    /* Without a grid nothing is given. */
    ehm_batch b;
    o.label_grid_h = 0;
    ehm_err_clear(&err);
    REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
    REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
    CHECK(!b.patch_labels && b.n_levels == 0);
    ehm_loader_close(l);
    ehm_dataset_close(ds);
}

#ifdef EHM_WITH_PNG
/* Labels of all 20 pictures of a set under the evaluation transform, by the number that ends their names. */
static void in_order(int32_t *out, ehm_dataset *ds) {
    ehm_loader_opt o = usual();
    ehm_loader *l;
    ehm_batch b;
    ehm_err err = {0};
    o.augment = o.shuffle = o.repeat = false, o.batch_size = 20;
    REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
    REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
    REQUIRE(b.n == 20 && b.n_levels == 3);
    for (int i = 0; i < 20; i++) {
        int at = atoi(ehm_path_base(ehm_dataset_name(ds, b.ids[i])));
        REQUIRE(at >= 0 && at < 20);
        memcpy(out + at * 108, b.patch_labels + i * 108, sizeof *out * 108);
    }
    ehm_loader_close(l);
}

/* Scenes written out and read again have the same objects and parts. */
TEST(patch_labels, exported_scenes) {
    static int32_t want[20 * 108], got[20 * 108];
    ehm_dataset *ds;
    ehm_data_exported x;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, "scenes:5:20:32", &err), &err);
    in_order(want, ds);
    REQUIRE_OK(ehm_data_export(&x, ds, in_tmp("out"), NULL, &err), &err);
    ehm_dataset_close(ds);
    REQUIRE_OK(open_set(&ds, in_tmp("out"), &err), &err);
    in_order(got, ds);
    CHECK(!memcmp(got, want, sizeof got));
    ehm_dataset_close(ds);
}
#endif
