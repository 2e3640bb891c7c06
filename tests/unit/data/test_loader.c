#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/loader.h"
#include "harness.h"
#include <malloc.h>

static ehm_dataset *set_open(const char *path) {
    ehm_dataset *ds;
    ehm_err err = {0};
    const char *v[1] = {path};
    REQUIRE_OK(ehm_dataset_open(&ds, &(ehm_strs){v, 1}, &(ehm_dataset_opt){.ignore_label = -1}, &err), &err);
    return ds;
}
static ehm_loader_opt usual(void) {
    return (ehm_loader_opt){.batch_size = 8,
                            .h = 24,
                            .w = 24,
                            .augment = true,
                            .crop_min = .2,
                            .crop_max = 1,
                            .flip = .5,
                            .shuffle = true,
                            .drop_last = true,
                            .repeat = true,
                            .seed = 11,
                            .n_workers = 2,
                            .max_bad = .5};
}

/* A digest a batch over all that a batch says. */
typedef struct {
    char hex[65];
} digest;
static digest digest_of(const ehm_batch *b, const ehm_loader_opt *o, int c) {
    ehm_sha256 s;
    uint8_t d[32];
    digest x;
    ehm_sha256_init(&s);
    ehm_sha256_add(&s, &b->n, sizeof b->n), ehm_sha256_add(&s, &b->epoch, 8),
        ehm_sha256_add(&s, &b->i_batch, 8), ehm_sha256_add(&s, &b->index, 8);
    ehm_sha256_add(&s, b->pixels, (size_t)b->n * (size_t)(o->h * o->w * c) * ehm_dtype_size(b->type));
    ehm_sha256_add(&s, b->ids, (size_t)b->n * 8), ehm_sha256_add(&s, b->slots, (size_t)b->n * 8),
        ehm_sha256_add(&s, b->labels, (size_t)b->n * 4);
    ehm_sha256_end(&s, d);
    ehm_sha256_hex(d, x.hex);
    return x;
}
static void run(digest *out, int n, ehm_dataset *ds, ehm_loader_opt o, int64_t first) {
    ehm_loader *l;
    ehm_err err = {0};
    REQUIRE_OK(ehm_loader_open(&l, ds, &o, first, &err), &err);
    for (int i = 0; i < n; i++) {
        ehm_batch b;
        REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
        CHECK_INT(b.index, first + i);
        out[i] = digest_of(&b, &o, ehm_dataset_channels(ds));
    }
    ehm_loader_close(l);
}
static void check_same(const digest *a, const digest *b, int n, const char *what) {
    for (int i = 0; i < n; i++)
        if (strcmp(a[i].hex, b[i].hex))
            ehm_test_fail(__FILE__, __LINE__, "%s: batch %d of %d differs", what, i, n);
}

/* A folder of small pictures p00.ppm..., those with their bit in `bad` cut short. */
static void folder(const char *dir, int n, uint64_t bad) {
    uint8_t px[20 * 16 * 3];
    char path[700];
    ehm_err err = {0};
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < (int)sizeof px; k++) px[k] = (uint8_t)(k * (i + 3) + k / 60 * 7);
        snprintf(path, sizeof path, "%s/p%03d.ppm", dir, i);
        if (i < 64 && bad >> i & 1)
            REQUIRE_OK(ehm_file_write(path, "P6 20 16 255\ncut short", 22, &err), &err);
        else REQUIRE_OK(ehm_ppm_write(path, &(ehm_image){px, 20, 16, 3, EHM_U8}, &err), &err);
    }
}

TEST(loader, thread_count_does_not_matter) {
    ehm_dataset *ds = set_open("scenes:5:43:32");
    digest want[16], got[16];
    ehm_loader_opt o = usual();
    o.n_workers = 1;
    run(want, 16, ds, o, 0); /* three epochs of five whole batches and one more */
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < i; k++) CHECK(strcmp(want[i].hex, want[k].hex) != 0);
    for (int n = 2; n <= 5; n += 3) {
        o.n_workers = n;
        run(got, 16, ds, o, 0);
        check_same(got, want, 16, n == 2 ? "2 workers" : "5 workers");
    }
    o.n_ahead = 1;
    run(got, 16, ds, o, 0);
    check_same(got, want, 16, "1 ahead");
    o.n_ahead = 40;
    run(got, 16, ds, o, 0);
    check_same(got, want, 16, "40 ahead");
    o.seed = 12;
    run(got, 16, ds, o, 0);
    CHECK(strcmp(got[0].hex, want[0].hex) != 0);
    ehm_dataset_close(ds);
}

TEST(loader, resume_equals_running_through) {
    ehm_dataset *ds = set_open("scenes:5:43:32");
    digest want[16], got[16];
    ehm_loader_opt o = usual();
    for (int short_last = 0; short_last < 2; short_last++) {
        o.drop_last = !short_last;
        run(want, 16, ds, o, 0);
        for (int k = 1; k < 16; k += 4) {
            run(got, 16 - k, ds, o, k);
            check_same(got, want + k, 16 - k, "resumed");
        }
    }
    ehm_dataset_close(ds);
}

TEST(loader, resume_with_bad_files) {
    const char *dir = ehm_test_tmp();
    folder(dir, 21, 0x12410u);
    ehm_dataset *ds = set_open(dir);
    digest want[20], got[20];
    ehm_loader_opt o = usual();
    o.batch_size = 4;
    o.n_workers = 1;
    run(want, 20, ds, o, 0);
    o.n_workers = 3;
    for (int k = 0; k < 20; k += 3) {
        run(got, 20 - k, ds, o, k);
        check_same(got, want + k, 20 - k, "resumed with bad files");
    }
    ehm_dataset_close(ds);
}

TEST(loader, each_picture_once_an_epoch) {
    ehm_dataset *ds = set_open("scenes:5:43:32");
    ehm_loader_opt o = usual();
    ehm_loader *l;
    ehm_batch b;
    ehm_err err = {0};
    o.drop_last = false;
    REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
    CHECK_INT(ehm_loader_batches_per_epoch(l), 6);
    for (int e = 0; e < 3; e++) {
        int seen[43] = {0};
        int64_t perm[43];
        ehm_order_fill(perm, 43, o.seed, e);
        for (int i = 0; i < 6; i++) {
            REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
            CHECK_INT(b.n, i < 5 ? 8 : 3);
            CHECK_INT(b.epoch, e);
            CHECK_INT(b.i_batch, i);
            CHECK_INT(b.index, e * 6 + i);
            for (int k = 0; k < b.n; k++) {
                seen[b.ids[k]]++;
                CHECK_INT(b.ids[k], perm[i * 8 + k]);
                CHECK_INT(b.slots[k], b.ids[k]);
                CHECK_INT(b.labels[k], ehm_dataset_label(ds, b.ids[k]));
            }
        }
        for (int k = 0; k < 43; k++) CHECK_INT(seen[k], 1);
    }
    CHECK(ehm_loader_wait_s(l) >= 0);
    ehm_loader_close(l);
    ehm_dataset_close(ds);
}

TEST(loader, evaluation_in_order) {
    ehm_dataset *ds = set_open("scenes:5:19:32");
    ehm_loader_opt o = {.batch_size = 8, .h = 24, .w = 24, .n_workers = 3, .max_bad = 0};
    ehm_loader *l;
    ehm_batch b;
    ehm_err err = {0};
    ehm_arena a = {0};
    uint8_t want[24 * 24 * 3];
    REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
    int64_t at = 0;
    ehm_code rc;
    while (!(rc = ehm_loader_next(l, &b, &err))) {
        for (int k = 0; k < b.n; k++, at++) {
            ehm_sample s;
            CHECK_INT(b.ids[k], at);
            REQUIRE_OK(ehm_dataset_read(ds, at, &s, 0, NULL, &a, &err), &err);
            REQUIRE_OK(ehm_data_fit(want, EHM_U8, 24, 24, &s.image, NULL, &a, &err), &err);
            CHECK(!memcmp(want, (const uint8_t *)b.pixels + k * 24 * 24 * 3, sizeof want));
            ehm_arena_reset(&a);
        }
    }
    CHECK_INT(rc, EHM_E_STOPPED);
    CHECK_INT(b.n, 0);
    CHECK_INT(at, 19);
    CHECK_INT(ehm_loader_next(l, &b, &err), EHM_E_STOPPED); /* and again */
    CHECK_INT(err.code, EHM_OK);
    ehm_loader_close(l);
    /* One that begins behind the end. */
    REQUIRE_OK(ehm_loader_open(&l, ds, &o, 3, &err), &err);
    CHECK_INT(ehm_loader_next(l, &b, &err), EHM_E_STOPPED);
    ehm_loader_close(l);
    ehm_arena_free(&a);
    ehm_dataset_close(ds);
}

/* The crop that a batch holds is the one of the pieces: read, crop, resample, flip. Replacements draw by the
 * slot asked for. */
TEST(loader, bad_files_are_replaced) {
    const char *dir = ehm_test_tmp();
    const uint64_t bad = 1u << 2 | 1u << 3 | 1u << 9 | 1u << 14;
    folder(dir, 17, bad);
    ehm_dataset *ds = set_open(dir);
    REQUIRE(ehm_dataset_count(ds) == 17);
    ehm_loader_opt o = usual();
    o.batch_size = 17;
    ehm_loader *l;
    ehm_batch b;
    ehm_err err = {0};
    ehm_arena a = {0};
    REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
    for (int e = 0; e < 4; e++) {
        int64_t perm[17];
        ehm_order_fill(perm, 17, o.seed, e);
        REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
        for (int k = 0; k < 17; k++) {
            int p = k;
            while (bad >> perm[p % 17] & 1) p++;
            CHECK_INT(b.slots[k], perm[k]);
            CHECK_INT(b.ids[k], perm[p % 17]);
            ehm_sample s;
            double box[4];
            bool flip;
            uint8_t want[24 * 24 * 3];
            ehm_image crop, out = {want, 24, 24, 3, EHM_U8};
            REQUIRE_OK(ehm_dataset_read(ds, b.ids[k], &s, 0, NULL, &a, &err), &err);
            ehm_augment_box(box, &flip, s.image.w, s.image.h, .2, 1, .5, o.seed, e, b.slots[k]);
            REQUIRE_OK(ehm_image_new(&crop, (int32_t)(box[2] - box[0]), (int32_t)(box[3] - box[1]), 3, EHM_U8,
                                     &a, &err),
                       &err);
            for (int y = 0; y < crop.h; y++)
                memcpy((uint8_t *)crop.px + y * crop.w * 3,
                       (uint8_t *)s.image.px + ((y + (int)box[1]) * s.image.w + (int)box[0]) * 3,
                       (size_t)crop.w * 3);
            REQUIRE_OK(ehm_resize(&out, &crop, NULL, EHM_RESIZE_BICUBIC, &a, &err), &err);
            const uint8_t *got = (const uint8_t *)b.pixels + k * 24 * 24 * 3;
            int wrong = 0;
            for (int y = 0; y < 24; y++)
                for (int x = 0; x < 24; x++)
                    wrong +=
                        memcmp(got + (y * 24 + x) * 3, want + (y * 24 + (flip ? 23 - x : x)) * 3, 3) != 0;
            CHECK_INT(wrong, 0);
            ehm_arena_reset(&a);
        }
    }
    CHECK_INT(ehm_loader_bad_count(l), 4); /* distinct, however often they came up */
    uint64_t listed = 0;
    for (int i = 0; i < 4; i++) {
        int64_t id;
        const char *reason;
        REQUIRE(ehm_loader_bad(l, i, &id, &reason));
        listed |= 1ull << id;
        CHECK_HAS(reason, "early");
        CHECK(!strchr(reason, '\n'));
    }
    CHECK(listed == bad);
    CHECK(!ehm_loader_bad(l, 4, NULL, NULL) && !ehm_loader_bad(l, -1, NULL, NULL));
    ehm_loader_close(l);
    ehm_arena_free(&a);
    ehm_dataset_close(ds);
}

static ehm_code next_error(ehm_dataset *ds, ehm_loader_opt o, int64_t *n_batches, ehm_err *err) {
    ehm_loader *l;
    ehm_batch b;
    ehm_code rc;
    REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, err), err);
    for (*n_batches = 0; !(rc = ehm_loader_next(l, &b, err)) && *n_batches < 200; ++*n_batches) {}
    if (rc && rc != EHM_E_STOPPED) { /* says the same when asked again */
        ehm_err again = {0};
        CHECK_INT(ehm_loader_next(l, &b, &again), rc);
        CHECK_STR(again.what, err->what);
    }
    ehm_loader_close(l);
    return rc;
}

TEST(loader, too_many_bad) {
    char dir[700];
    snprintf(dir, sizeof dir, "%s/mixed", ehm_test_tmp());
    ehm_err err = {0};
    int64_t n, n1;
    REQUIRE_OK(ehm_dir_make(dir, &err), &err);
    folder(dir, 140, 0x1004010ull); /* 3 of 140 */
    ehm_dataset *ds = set_open(dir);
    ehm_loader_opt o = usual();
    o.batch_size = 10, o.max_bad = .01;
    CHECK_FAILS(next_error(ds, o, &n, &err), &err, EHM_E_FORMAT, "pictures seen are bad");
    CHECK_HAS(err.what, ".ppm");
    CHECK_HAS(err.hint, "--max-bad");
    CHECK(n >= 9 && n < 14); /* not before a hundred files were seen, not after the epoch's end */
    for (int w = 1; w <= 5; w += 2) {
        ehm_err e = {0};
        o.n_workers = w;
        next_error(ds, o, &n1, &e);
        CHECK_INT(n1, n);
        CHECK_STR(e.what, err.what);
    }
    o.max_bad = .03;
    ehm_err_clear(&err);
    CHECK_INT(next_error(ds, o, &n, &err), EHM_OK);
    ehm_dataset_close(ds);

    /* Fewer than a hundred files: judged at the epoch's end. */
    snprintf(dir, sizeof dir, "%s/few", ehm_test_tmp());
    REQUIRE_OK(ehm_dir_make(dir, &err), &err);
    folder(dir, 20, 1u << 7);
    ds = set_open(dir);
    o = usual(), o.batch_size = 5, o.max_bad = .04;
    CHECK_FAILS(next_error(ds, o, &n, &err), &err, EHM_E_FORMAT, "1 of 20 pictures");
    CHECK_INT(n, 3);
    ehm_dataset_close(ds);
}

TEST(loader, all_bad_is_an_error) {
    const char *dir = ehm_test_tmp();
    ehm_err err = {0};
    int64_t n;
    char path[700];
    folder(dir, 130, 0);
    ehm_dataset *ds = set_open(dir);
    /* Broken behind the set's back, so that a set which looks before it opens has nothing to say. */
    for (int i = 0; i < 130; i++) {
        snprintf(path, sizeof path, "%s/p%03d.ppm", dir, i);
        REQUIRE_OK(ehm_file_write(path, "P6 20 16 255\ncut short", 22, &err), &err);
    }
    for (int i = 0; i < 3; i++) {
        ehm_loader_opt o = usual();
        o.max_bad = i == 0 ? .01 : 1, o.n_workers = 3, o.augment = i < 2;
        double since = ehm_clock_s();
        CHECK_FAILS(next_error(ds, o, &n, &err), &err, EHM_E_FORMAT,
                    i == 0 ? "are bad" : "none of the 130 pictures");
        CHECK_INT(n, 0);
        CHECK(ehm_clock_s() - since < 20);
    }
    ehm_dataset_close(ds);
}

TEST(loader, cache_changes_nothing) {
    ehm_dataset *ds = set_open("scenes:5:43:32");
    digest want[16], got[16];
    ehm_loader_opt o = usual();
    run(want, 16, ds, o, 0);
    /* Nothing fits; some fit at first sight but not in the end; all fit. */
    int64_t bytes[] = {100, 43 * 3072, 43 * (3072 + 64), 1 << 24};
    for (int i = 0; i < 4; i++) {
        o.cache_bytes = bytes[i];
        for (int w = 1; w <= 4; w += 3) {
            o.n_workers = w;
            run(got, 16, ds, o, 0);
            check_same(got, want, 16, "cached");
        }
    }
    ehm_dataset_close(ds);
}

static int count_pictures(const char *dir, const char *const *names, int n, int copies, ehm_err *err) {
    ehm_arena a = {0};
    int made = 0;
    for (int i = 0; i < n; i++) {
        char from[256], to[800];
        ehm_bytes b;
        snprintf(from, sizeof from, "tests/golden/image/%s", names[i]);
        if (ehm_file_read(&b, ehm_test_path(from), &a, NULL)) continue;
        for (int k = 0; k < copies; k++, made++) {
            snprintf(to, sizeof to, "%s/%d_%s", dir, k, names[i]);
            REQUIRE_OK(ehm_file_write(to, b.data, b.len, err), err);
        }
    }
    ehm_arena_free(&a);
    return made;
}

/* JPEG crops are decoded alone where there is no cache: the same bits as a crop of the whole. */
TEST(loader, jpeg_crops_equal_cached) {
    if (!ehm_image_readable("jpeg")) SKIP("built without libjpeg");
    const char *const names[] = {"crop_420.jpg", "crop_422.jpg", "crop_444.jpg", "crop_grey.jpg",
                                 "crop_p420.jpg"};
    const char *dir = ehm_test_tmp();
    ehm_err err = {0};
    if (count_pictures(dir, names, 5, 3, &err) < 9) SKIP("no JPEG pictures in tests/golden/image");
    ehm_dataset *ds = set_open(dir);
    digest want[24], got[24];
    ehm_loader_opt o = usual();
    o.crop_min = .02, o.batch_size = 5;
    run(want, 24, ds, o, 0);
    o.cache_bytes = 1 << 26;
    run(got, 24, ds, o, 0);
    check_same(got, want, 24, "JPEG cached");
    ehm_dataset_close(ds);
}

/* A file cut in its lower part: whole it is bad, a crop above the damage may be good. With and without cache
 * the same. */
TEST(loader, damaged_jpeg_cached_or_not) {
    if (!ehm_image_readable("jpeg")) SKIP("built without libjpeg");
    const char *const names[] = {"crop_420.jpg", "crop_444.jpg", "crop_422.jpg"};
    const char *dir = ehm_test_tmp();
    ehm_err err = {0};
    ehm_arena a = {0};
    if (count_pictures(dir, names, 3, 3, &err) < 9) SKIP("no JPEG pictures in tests/golden/image");
    for (int k = 0; k < 3; k++) {
        char path[800];
        ehm_bytes b;
        snprintf(path, sizeof path, "%s/%d_%s", dir, k, names[k]);
        REQUIRE_OK(ehm_file_read(&b, path, &a, &err), &err);
        size_t cut = b.len * 7 / 10;
        b.data[cut] = 0xff, b.data[cut + 1] = 0xd9;
        REQUIRE_OK(ehm_file_write(path, b.data, cut + 2, &err), &err);
    }
    ehm_dataset *ds = set_open(dir);
    digest want[40], got[40];
    ehm_loader_opt o = usual();
    o.crop_min = .05, o.crop_max = .3, o.batch_size = 9, o.max_bad = 1;
    run(want, 40, ds, o, 0);
    o.cache_bytes = 1 << 26;
    run(got, 40, ds, o, 0);
    check_same(got, want, 40, "damaged JPEG cached");
    run(got, 30, ds, o, 10);
    check_same(got, want + 10, 30, "damaged JPEG resumed");
    /* Both happened: a damaged file was used, and one was replaced. */
    ehm_loader *l;
    ehm_batch b;
    int n_used = 0, n_replaced = 0;
    REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
    for (int i = 0; i < 40; i++) {
        REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
        for (int k = 0; k < b.n; k++) {
            const char *name = ehm_dataset_name(ds, b.slots[k]);
            bool damaged = false;
            for (int q = 0; q < 3; q++)
                damaged = damaged || (name[0] == '0' + q && !strcmp(name + 2, names[q]));
            if (damaged && b.ids[k] == b.slots[k]) n_used++;
            if (b.ids[k] != b.slots[k]) n_replaced++;
        }
    }
    ehm_loader_close(l);
    CHECK(n_used > 0 && n_replaced > 0);
    ehm_arena_free(&a);
    ehm_dataset_close(ds);
}

TEST(loader, refuses_what_cannot_be) {
    ehm_dataset *ds = set_open("scenes:5:10:32");
    ehm_err err = {0};
    ehm_loader *l;
    ehm_loader_opt o = usual();
    o.batch_size = 16;
    CHECK_FAILS(ehm_loader_open(&l, ds, &o, 0, &err), &err, EHM_E_CONFIG,
                "a batch of 16 pictures cannot be filled: the set has 10");
    CHECK(l == NULL);
    o.drop_last = false; /* a short batch is fine */
    ehm_err_clear(&err);
    ehm_batch b;
    REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
    REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
    CHECK_INT(b.n, 10);
    ehm_loader_close(l);
    o = usual(), o.crop_min = .9, o.crop_max = .5;
    CHECK_FAILS(ehm_loader_open(&l, ds, &o, 0, &err), &err, EHM_E_CONFIG, "0.9 to 0.5");
    o = usual(), o.flip = 2;
    CHECK_FAILS(ehm_loader_open(&l, ds, &o, 0, &err), &err, EHM_E_CONFIG, "flip probability 2");
    o = usual(), o.fit = "squash";
    CHECK_FAILS(ehm_loader_open(&l, ds, &o, 0, &err), &err, EHM_E_CONFIG, "squash");
    o = usual(), o.max_bad = NAN;
    CHECK_FAILS(ehm_loader_open(&l, ds, &o, 0, &err), &err, EHM_E_CONFIG, "max_bad");
    o = usual(), o.n_workers = 0;
    CHECK_FAILS(ehm_loader_open(&l, ds, &o, 0, &err), &err, EHM_E_ARG, "0 workers");
    o = usual(), o.h = 1 << 20, o.w = 1 << 20, o.batch_size = 10, o.n_ahead = 100000;
    CHECK_FAILS(ehm_loader_open(&l, ds, &o, 0, &err), &err, EHM_E_MEMORY, "1048576x1048576");
    ehm_loader_close(NULL);
    ehm_dataset_close(ds);
}

TEST(loader, closes_at_any_moment) {
    ehm_dataset *ds = set_open("scenes:5:64:32");
    ehm_err err = {0};
    for (int i = 0; i < 60; i++) {
        ehm_loader_opt o = usual();
        ehm_loader *l;
        ehm_batch b;
        o.n_workers = 1 + i % 4, o.cache_bytes = i & 1 ? 1 << 20 : 0;
        REQUIRE_OK(ehm_loader_open(&l, ds, &o, i, &err), &err);
        for (int k = 0; k < i % 3; k++) REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
        if (i % 5 == 4) ehm_sleep_s(.001 * i);
        ehm_loader_close(l);
    }
    ehm_dataset_close(ds);
}

/* Workers reset their arenas after each picture: memory in use stops growing once they have seen the largest.
 */
TEST(loader, steady_memory) {
    ehm_dataset *ds = set_open("scenes:5:64:32");
    ehm_err err = {0};
    ehm_loader_opt o = usual();
    ehm_loader *l;
    ehm_batch b;
    size_t before = 0;
    REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
    for (int i = 0; i < 8 * 40; i++) {
        REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
        if (i == 8 * 4) before = mallinfo2().uordblks;
    }
    size_t after = mallinfo2().uordblks;
    if (after > before + (256 << 10))
        ehm_test_fail(__FILE__, __LINE__, "%zu bytes more in use after 36 epochs", after - before);
    ehm_loader_close(l);
    ehm_dataset_close(ds);
}
