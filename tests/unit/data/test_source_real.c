/* The real sets of the project's data folder: counts as its README states them, which were made with Pillow
 * and tar. */
#include "base/clock.h"
#include "make_sets.h"

static ehm_code open_cached(ehm_dataset **ds, const char *file, const char *part, ehm_err *err) {
    char spec[2048];
    snprintf(spec, sizeof spec, "%s%s", ehm_test_data(file), part);
    const ehm_dataset_opt opt = {.ignore_label = -1, .cache_dir = in_tmp("cache")};
    return open_with(ds, spec, &opt, err);
}

static void class_counts(const ehm_dataset *ds, int64_t want) {
    int32_t n = ehm_dataset_n_classes(ds);
    int64_t *count = calloc((size_t)n + 1, sizeof *count);
    for (int64_t i = 0; i < ehm_dataset_count(ds); i++) {
        REQUIRE(ehm_dataset_label(ds, i) >= 0 && ehm_dataset_label(ds, i) < n);
        count[ehm_dataset_label(ds, i)]++;
    }
    for (int32_t c = 0; c < n; c++) CHECK_INT(count[c], want);
    free(count);
}

TEST(source_real, cifar10) {
#if !EHM_WITH_ZLIB || !EHM_WITH_JPEG
    SKIP("this build is without zlib or libjpeg");
#endif
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_cached(&ds, "cifar10.tar.gz", "", &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 60000);
    CHECK_INT(ehm_dataset_n_classes(ds), 10);
    class_counts(ds, 6000);
    ehm_dataset_close(ds);
    double t0 = ehm_clock_s();
    REQUIRE_OK(open_cached(&ds, "cifar10.tar.gz", "#train", &err), &err);
    double t = ehm_clock_s() - t0;
#ifndef EHM_ARENA_DEBUG
    if (t > 5)
        ehm_test_fail(__FILE__, __LINE__, "opening the unpacked set took %.1f s",
                      t); /* 0.2 s on a quiet machine */
#else
    (void)t;
#endif
    CHECK_INT(ehm_dataset_count(ds), 50000);
    class_counts(ds, 5000);
    CHECK_STR(ehm_dataset_class(ds, 0), "airplane");
    CHECK_STR(ehm_dataset_class(ds, 9), "truck");
    CHECK_STR(ehm_dataset_name(ds, 49999), "train/truck/4999.jpg");
    ehm_arena a = {0};
    ehm_sample s;
    for (int64_t i = 0; i < 50000; i += 500) {
        ehm_arena_reset(&a);
        REQUIRE_OK(ehm_dataset_read(ds, i, &s, 0, NULL, &a, &err), &err);
        REQUIRE(s.image.w == 32 && s.image.h == 32 && s.image.c == 3 && s.image.type == EHM_U8);
    }
    ehm_arena_free(&a);
    ehm_dataset *test = NULL;
    REQUIRE_OK(open_cached(&test, "cifar10.tar.gz", "#test", &err), &err);
    CHECK_INT(ehm_dataset_count(test), 10000);
    REQUIRE_OK(ehm_dataset_adopt_classes(test, ds, &err), &err);
    class_counts(test, 1000);
    ehm_dataset_close(test);
    ehm_dataset_close(ds);
}

TEST(source_real, tiny_imagenet) {
#if !EHM_WITH_ZLIB || !EHM_WITH_JPEG
    SKIP("this build is without zlib or libjpeg");
#endif
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_cached(&ds, "tiny-imagenet-100.tar.gz", "", &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 25000);
    CHECK_INT(ehm_dataset_n_classes(ds), 100);
    CHECK_STR(ehm_dataset_class(ds, 0), "n01443537");
    CHECK_INT(ehm_dataset_channels(ds), 3);
    class_counts(ds, 250);
    ehm_arena a = {0};
    ehm_sample s;
    ehm_image_info info;
    int64_t n_boxes = 0, n_grey = 0;
    for (int64_t i = 0; i < 25000; i++) {
        ehm_arena_reset(&a);
        REQUIRE_OK(ehm_dataset_size_of(ds, i, &info, &a, &err), &err);
        n_grey += info.c == 1;
        if (i % 25) continue;
        REQUIRE_OK(ehm_dataset_read(ds, i, &s, EHM_WANT_BOXES, NULL, &a, &err), &err);
        n_boxes += s.n_boxes;
        REQUIRE(s.n_boxes && s.boxes[0].x0 >= 0 && s.boxes[0].x1 <= 64 && s.boxes[0].class_id == s.label);
        if (strcmp(ehm_dataset_name(ds, i), "train/n01443537/n01443537_0.JPEG")) continue;
        CHECK(s.boxes[0].x0 == 0 && s.boxes[0].y0 == 10 && s.boxes[0].x1 == 64 &&
              s.boxes[0].y1 == 59); /* 0 10 63 58, inclusive */
    }
    CHECK_INT(n_boxes, 1000);
    CHECK_INT(n_grey, 444);
    ehm_arena_free(&a);
    ehm_dataset_close(ds);
    REQUIRE_OK(open_cached(&ds, "tiny-imagenet-100.tar.gz", "#val", &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 5000);
    class_counts(ds, 50);
    ehm_dataset_close(ds);
}

TEST(source_real, camvid) {
#if !EHM_WITH_PNG || !EHM_WITH_JPEG
    SKIP("this build is without libpng or libjpeg");
#endif
    static const struct {
        const char *part;
        int64_t n;
    } parts[] = {{"", 701}, {"#train", 367}, {"#val", 101}, {"#test", 233}};
    for (int i = 0; i < 4; i++) {
        ehm_dataset *ds = NULL;
        ehm_err err = {0};
        REQUIRE_OK(open_cached(&ds, "camvid.tar", parts[i].part, &err), &err);
        CHECK_INT(ehm_dataset_count(ds), parts[i].n);
        CHECK_INT(ehm_dataset_n_classes(ds), 0);
        CHECK_INT(ehm_dataset_n_map_classes(ds), 12);
        CHECK_STR(ehm_dataset_map_class(ds, 10), "Bicyclist");
        CHECK_INT(ehm_dataset_ignore_label(ds), 11);
        ehm_arena a = {0};
        ehm_sample s;
        for (int64_t k = 0; k < ehm_dataset_count(ds); k += 7) {
            ehm_arena_reset(&a);
            REQUIRE_OK(ehm_dataset_read(ds, k, &s, EHM_WANT_LABEL_MAPS, NULL, &a, &err), &err);
            REQUIRE(s.label_map.px && s.label_map.w == 240 && s.label_map.h == 180 && s.label_map.c == 1);
        }
        ehm_data_summary sum;
        REQUIRE_OK(ehm_dataset_summary(ds, &sum, &err), &err);
        CHECK_INT(sum.n_ignored, 0);
        ehm_arena_free(&a);
        ehm_dataset_close(ds);
    }
}

TEST(source_real, bccd) {
#if !EHM_WITH_JPEG
    SKIP("this build is without libjpeg");
#endif
    static const struct {
        const char *part;
        int64_t n;
    } parts[] = {{"", 364}, {"#train", 205}, {"#val", 87}, {"#test", 72}, {"#trainval", 292}};
    int64_t of_class[3] = {0};
    for (int i = 0; i < 5; i++) {
        ehm_dataset *ds = NULL;
        ehm_err err = {0};
        REQUIRE_OK(open_cached(&ds, "bccd.tar", parts[i].part, &err), &err);
        CHECK_INT(ehm_dataset_count(ds), parts[i].n);
        CHECK_INT(ehm_dataset_n_classes(ds), 0);
        REQUIRE(ehm_dataset_n_box_classes(ds) == 3);
        CHECK_STR(ehm_dataset_box_class(ds, 1), "RBC");
        ehm_arena a = {0};
        ehm_sample s;
        for (int64_t k = 0; i == 0 && k < 364; k++) {
            ehm_arena_reset(&a);
            REQUIRE_OK(ehm_dataset_read(ds, k, &s, EHM_WANT_BOXES,
                                        &(ehm_decode_opt){.min_w = 40, .min_h = 30}, &a, &err),
                       &err);
            for (int32_t b = 0; b < s.n_boxes; b++) of_class[s.boxes[b].class_id]++;
        }
        ehm_arena_free(&a);
        ehm_dataset_close(ds);
    }
    CHECK_INT(of_class[0], 361);      /* Platelets */
    CHECK_INT(of_class[1], 4155 - 2); /* RBC: two boxes have no size */
    CHECK_INT(of_class[2], 372);      /* WBC */
}

TEST(source_real, copies) {
#if !EHM_WITH_JPEG
    SKIP("this build is without libjpeg");
#endif
    static const struct {
        const char *part;
        int64_t n;
    } parts[] = {{"", 825}, {"#database", 160}, {"#queries", 600}, {"#landmarks", 65}};
    for (int i = 0; i < 4; i++) {
        ehm_dataset *ds = NULL;
        ehm_err err = {0};
        REQUIRE_OK(open_cached(&ds, "copies.tar", parts[i].part, &err), &err);
        CHECK_INT(ehm_dataset_count(ds), parts[i].n);
        ehm_dataset_close(ds);
    }
}

TEST(source_real, mnist) {
#if !EHM_WITH_ZLIB
    SKIP("this build is without zlib");
#endif
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_cached(&ds, "mnist-idx", "#test", &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 10000);
    CHECK_INT(ehm_dataset_n_classes(ds), 10);
    static const int first[] = {7, 2, 1, 0, 4, 1, 4, 9, 5, 9}; /* as every MNIST tutorial shows */
    for (int i = 0; i < 10; i++) CHECK_INT(ehm_dataset_label(ds, i), first[i]);
    ehm_dataset_close(ds);
    CHECK_FAILS(open_cached(&ds, "mnist-idx", "#train", &err), &err, EHM_E_FORMAT, "train-images");
}
