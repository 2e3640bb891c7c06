#include "harness.h"
#include <dirent.h>
#include <unistd.h>
#include "base/file.h"
#include "base/hash.h"
#include "runs/run.h"

static uint32_t masked(const void *p, size_t n) {
    uint32_t c = ehm_crc32c(p, n);
    return ((c >> 15) | (c << 17)) + 0xa282ead8u;
}
static uint64_t le(const uint8_t *p, int n) {
    uint64_t v = 0;
    for (int i = n - 1; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

static char *event_path(ehm_arena *a, const char *dir, int *n) {
    ehm_strs names;
    ehm_err err = {0};
    char *found = NULL;
    REQUIRE_OK(ehm_dir_list(&names, dir, a, &err), &err);
    *n = 0;
    for (int32_t i = 0; i < names.n; i++)
        if (ehm_starts(names.v[i], "events.out.tfevents.")) found = ehm_path_join(a, dir, names.v[i]), ++*n;
    return found;
}

/* The very calls that tools/golden/events.py makes with TensorBoard's writer. */
static void write_all(ehm_run *r, const ehm_bytes *png, ehm_err *err) {
    char tag[200] = "a/";
    for (int i = 0; i < 30; i++) strcat(tag, "long ");
    REQUIRE_OK(ehm_run_scalar(r, 0, "train/loss", 1.25, err), err);
    REQUIRE_OK(ehm_run_scalar(r, 1, "train/loss", 0.5, err), err);
    REQUIRE_OK(ehm_run_image(r, 2, "pictures/masks", png->data, png->len, 3, 2, err), err);
    REQUIRE_OK(ehm_run_scalar(r, 300, "train/lr", 1.5e-4, err), err);
    REQUIRE_OK(ehm_run_scalar(r, 70000, tag, -3.0, err), err);
}

TEST(event_file, as_tensorboard_writes_it) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_run *r;
    ehm_bytes golden, png, mine;
    int n_files, n_records = 0;
    char *dir = ehm_path_join(&a, ehm_test_tmp(), "r");
    REQUIRE_OK(ehm_file_read(&golden, ehm_test_path("tests/golden/events/golden.tfevents"), &a, &err), &err);
    REQUIRE_OK(ehm_file_read(&png, ehm_test_path("tests/golden/events/small.png"), &a, &err), &err);
    REQUIRE_OK(ehm_run_open(&r, dir, EHM_RUN_CREATE, &err), &err);
    write_all(r, &png, &err);
    ehm_run_close(r);
    char *path = event_path(&a, dir, &n_files);
    REQUIRE(path && n_files == 1);
    char tail[64];
    snprintf(tail, sizeof tail, ".%ld.0", (long)getpid());
    CHECK(ehm_ends(path, tail));
    REQUIRE_OK(ehm_file_read(&mine, path, &a, &err), &err);
    REQUIRE(mine.len == golden.len);
    for (size_t at = 0; at < golden.len; n_records++) {
        const uint8_t *g = golden.data + at, *m = mine.data + at;
        size_t n = le(g, 8);
        CHECK(!memcmp(g, m, 13));          /* length, its CRC as TensorBoard computed it, tag of the time */
        CHECK(!memcmp(g + 21, m + 21, n - 9)); /* all behind the time */
        CHECK_INT(le(g + 12 + n, 4), masked(g + 12, n)); /* our CRC on their bytes */
        CHECK_INT(le(m + 12 + n, 4), masked(m + 12, n));
        double time;
        memcpy(&time, m + 13, 8);
        CHECK(time > 1.7e9);
        at += 16 + n;
    }
    CHECK_INT(n_records, 6);
    ehm_arena_free(&a);
}

static void put_histogram(ehm_run *r, int64_t step, const char *tag, const float *v, int32_t n) {
    ehm_histogram h = {0};
    ehm_err err = {0};
    for (int32_t at = 0; at < n; at += 7) ehm_histogram_range(&h, v + at, n - at < 7 ? n - at : 7); /* in pieces */
    for (int32_t at = 0; at < n; at += 13) ehm_histogram_count(&h, v + at, n - at < 13 ? n - at : 13);
    REQUIRE_OK(ehm_run_histogram(r, step, tag, &h, &err), &err);
}

static void put_histograms(ehm_run *r) {
    float spread[1000], sizes[50], same[7] = {-0.25f, -0.25f, NAN, -0.25f, -0.25f, INFINITY, -0.25f}, zero[5] = {0};
    for (int i = 0; i < 1000; i++) spread[i] = (float)(i * 7919 % 1000 - 300) / 64;
    for (int i = 0; i < 50; i++) sizes[i] = (float)(1 + i % 7 * (i % 3));
    put_histogram(r, 5, "weights/blocks.0.attn", spread, 1000);
    put_histogram(r, 6, "mask/node_patches", sizes, 50);
    put_histogram(r, 7, "weights/same", same, 7);
    put_histogram(r, 8, "weights/zero", zero, 5);
    put_histogram(r, 9, "weights/none", same + 2, 1); /* nothing finite: nothing written */
}

/* Bytes of TensorBoard's own writer, counts and edges of NumPy. */
TEST(event_file, histograms_as_numpy_counts) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_run *r;
    ehm_bytes golden, mine;
    int n_files, n_records = 0;
    char *dir = ehm_path_join(&a, ehm_test_tmp(), "r");
    REQUIRE_OK(ehm_file_read(&golden, ehm_test_path("tests/golden/events/histograms.tfevents"), &a, &err), &err);
    REQUIRE_OK(ehm_run_open(&r, dir, EHM_RUN_CREATE, &err), &err);
    put_histograms(r);
    char *path = event_path(&a, dir, &n_files);
    REQUIRE(path && n_files == 1);
    REQUIRE_OK(ehm_file_read(&mine, path, &a, &err), &err);
    REQUIRE(mine.len == golden.len);
    for (size_t at = 0; at < golden.len; n_records++) {
        const uint8_t *g = golden.data + at, *m = mine.data + at;
        size_t n = le(g, 8);
        CHECK(!memcmp(g, m, 13));
        if (memcmp(g + 21, m + 21, n - 9)) ehm_test_fail(__FILE__, __LINE__, "record %d differs", n_records);
        CHECK_INT(le(m + 12 + n, 4), masked(m + 12, n));
        at += 16 + n;
    }
    CHECK_INT(n_records, 5);
    /* Cut as any other. */
    REQUIRE_OK(ehm_run_cut_after(r, 6, &err), &err);
    REQUIRE_OK(ehm_file_read(&mine, path, &a, &err), &err);
    size_t want = 0;
    for (int i = 0; i < 3; i++) want += 16 + le(golden.data + want, 8);
    CHECK_INT(mine.len, want);
    ehm_run_close(r);
    ehm_arena_free(&a);
}

TEST(event_file, cut_after_a_step) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_run *r;
    ehm_bytes png, whole, cut;
    int n;
    char *dir = ehm_path_join(&a, ehm_test_tmp(), "r");
    REQUIRE_OK(ehm_file_read(&png, ehm_test_path("tests/golden/events/small.png"), &a, &err), &err);
    REQUIRE_OK(ehm_run_open(&r, dir, EHM_RUN_CREATE, &err), &err);
    write_all(r, &png, &err);
    ehm_run_close(r);
    char *path = event_path(&a, dir, &n);
    REQUIRE_OK(ehm_file_read(&whole, path, &a, &err), &err);
    REQUIRE(!truncate(path, (off_t)whole.len - 5)); /* a crash in the last record */
    REQUIRE_OK(ehm_run_open(&r, dir, EHM_RUN_RESUME, &err), &err);
    REQUIRE_OK(ehm_run_cut_after(r, 400, &err), &err);
    REQUIRE_OK(ehm_file_read(&cut, path, &a, &err), &err);
    size_t want = 0;
    for (int i = 0; i < 5; i++) want += 16 + le(whole.data + want, 8);
    CHECK_INT(cut.len, want); /* whole records, the broken one gone */
    CHECK(!memcmp(cut.data, whole.data, want));
    REQUIRE_OK(ehm_run_cut_after(r, 2, &err), &err);
    REQUIRE_OK(ehm_file_read(&cut, path, &a, &err), &err);
    want = 0;
    for (int i = 0; i < 4; i++) want += 16 + le(whole.data + want, 8);
    CHECK_INT(cut.len, want);
    /* what comes next goes to a file of its own, which sorts behind */
    REQUIRE_OK(ehm_run_scalar(r, 3, "train/loss", 0.25, &err), &err);
    ehm_run_close(r);
    char *next = event_path(&a, dir, &n);
    CHECK_INT(n, 2);
    CHECK(strcmp(next, path) > 0);
    REQUIRE_OK(ehm_run_open(&r, dir, EHM_RUN_RESUME, &err), &err);
    REQUIRE_OK(ehm_run_cut_after(r, -1, &err), &err);
    (void)event_path(&a, dir, &n);
    CHECK_INT(n, 0); /* nothing left but versions: no files */
    ehm_run_close(r);
    ehm_arena_free(&a);
}
