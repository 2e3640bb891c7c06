#include "base/file.h"
#include "base/rng.h"
#include "eval/eval.h"
#include "eval/ranking.h"
#include "eval/segment_int.h"
#include "harness.h"

/* The formulas of tools/golden/segment.py. */
static int32_t whole(int64_t i, int64_t a, int64_t m) { return (int32_t)((i * a + i * i % 31 + i / 7) % m); }
static double wave(int64_t i, double a, double b) {
    return sin(a * (double)i + b) + 0.4 * cos(0.37 * (double)i * (double)i);
}
static double next(FILE *f) {
    char text[64];
    REQUIRE(fscanf(f, "%63s", text) == 1);
    return strtod(text, NULL);
}
static void check_line(FILE *f, const double *got, int n) {
    for (int k = 0; k < n; k++) {
        double want = next(f);
        if (isnan(want))
            CHECK(isnan(got[k]));
        else
            CHECK_NEAR(got[k], want, 1e-8);
    }
}

/* ---- scores ---- */

enum { N = 4, P = 150, C = 6 };
static void picture_of(int32_t *truth, int32_t *predicted, int i) {
    for (int64_t k = 0; k < P; k++) {
        int32_t t = whole(k, 11 + i, 5 + i % 2) - 1, p = whole(k, 17 + 3 * i, 5);
        if (whole(k, 5, 3) > 0) p = t > 0 ? t : 0;
        truth[k] = t == 4 ? 0 : t, predicted[k] = p == 4 ? 5 : p;
    }
}
static void make_scores(ehm_seg_scores *s, ehm_arena *a) {
    ehm_err err = {0};
    int32_t t[P], p[P];
    REQUIRE_OK(ehm_seg_scores_new(s, N, C, a, &err), &err);
    for (int i = 0; i < N; i++) picture_of(t, p, i), ehm_seg_scores_add(s, i, t, p, P);
}

TEST(segment, scores_as_scikit_learn) {
    FILE *f = fopen(ehm_test_path("tests/golden/segment/scores.txt"), "r");
    ehm_arena a = {0};
    ehm_seg_scores s;
    double m[EHM_SEG_IOU + C];
    REQUIRE(f);
    make_scores(&s, &a);
    for (int i = 0; i < N; i++) ehm_seg_measures_of(m, &s, i), check_line(f, m, EHM_SEG_IOU + C);
    ehm_seg_measures_of(m, &s, -1);
    check_line(f, m, EHM_SEG_IOU + C);
    int64_t pixels[C] = {0}, beside[C] = {0};
    for (int i = 0; i < N; i++) {
        int64_t all = 0;
        for (int k = 0; k < C; k++) all += s.count[i * C + k].truth;
        for (int k = 0; k < C; k++)
            if (s.count[i * C + k].truth) pixels[k] += s.count[i * C + k].truth, beside[k] += all;
    }
    float w[C];
    double wide[C];
    ehm_seg_median_weights(w, &(ehm_seg_scan){.pixels = pixels, .beside = beside}, C);
    for (int k = 0; k < C; k++) wide[k] = floor((double)w[k] * 1e6 + 0.5) / 1e6;
    for (int k = 0; k < C; k++) CHECK_NEAR(wide[k], next(f), 1e-6);
    fclose(f);
    ehm_arena_free(&a);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The long way: draw runs, add up whole confusion matrices, measure, sort. */
TEST(segment, intervals_the_long_way) {
    enum { RUNS = 3, W = EHM_SEG_IOU + C };
    static const int32_t run_of[N] = {0, 1, 1, 2};
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_seg_scores s, t;
    int32_t truth[P], p[P];
    double lo[2 * W], hi[2 * W], dlo[2 * W], dhi[2 * W],
        *draw = malloc(sizeof *draw * 2 * EHM_BOOT_DRAWS),
        *kept = malloc(sizeof *kept * 2 * W * EHM_BOOT_DRAWS);
    REQUIRE(draw && kept);
    make_scores(&s, &a);
    REQUIRE_OK(ehm_seg_scores_new(&t, N, C, &a, &err), &err);
    int64_t matrix[N][2][C * C] = {{{0}}};
    for (int i = 0; i < N; i++) {
        picture_of(truth, p, i);
        for (int k = 0; k < P; k++)
            if (truth[k] >= 0) matrix[i][0][truth[k] * C + p[k]]++;
        for (int k = 0; k < P; k++) p[k] = k % 4 ? p[k] : k / 4 % C;
        ehm_seg_scores_add(&t, i, truth, p, P);
        for (int k = 0; k < P; k++)
            if (truth[k] >= 0) matrix[i][1][truth[k] * C + p[k]]++;
    }
    REQUIRE_OK(ehm_seg_bootstrap(lo, hi, dlo, dhi, kept, (const ehm_seg_scores *[]){&s, &t},
                                 (int32_t[]){1, -1}, 2, run_of, RUNS, 7, &err),
               &err);
    for (int d = 0; d < EHM_BOOT_DRAWS; d++) {
        ehm_rng r = ehm_rng_of(7, EHM_RNG_bootstrap, 0, (uint64_t)d);
        int64_t sum[2][C * C] = {{0}};
        for (int k = 0; k < RUNS; k++) {
            int32_t run = (int32_t)ehm_rng_below(&r, RUNS);
            for (int i = 0; i < N; i++)
                for (int m = 0; m < 2 && run_of[i] == run; m++)
                    for (int x = 0; x < C * C; x++) sum[m][x] += matrix[i][m][x];
        }
        double iou[C], one = ehm_mean_iou(iou, sum[0], C);
        CHECK_NEAR(kept[EHM_SEG_MIOU * EHM_BOOT_DRAWS + d], one, 1e-12);
        draw[d] = one, draw[EHM_BOOT_DRAWS + d] = one - ehm_mean_iou(iou, sum[1], C);
    }
    for (int m = 0; m < 2; m++) {
        double *v = draw + m * EHM_BOOT_DRAWS, *l = m ? dlo : lo, *h = m ? dhi : hi;
        qsort(v, EHM_BOOT_DRAWS, sizeof *v, by_value);
        double at = 0.025 * (EHM_BOOT_DRAWS - 1), up = 0.975 * (EHM_BOOT_DRAWS - 1);
        CHECK_NEAR(l[EHM_SEG_MIOU], v[(int)at] + (at - (int)at) * (v[(int)at + 1] - v[(int)at]), 1e-12);
        CHECK_NEAR(h[EHM_SEG_MIOU], v[(int)up] + (up - (int)up) * (v[(int)up + 1] - v[(int)up]), 1e-12);
    }
    CHECK(isnan(lo[EHM_SEG_IOU + 4]) && isnan(hi[EHM_SEG_IOU + 4])); /* class 4 is in no draw */
    CHECK(lo[EHM_SEG_PIXELS] < hi[EHM_SEG_PIXELS] && lo[EHM_SEG_CLASSES] < hi[EHM_SEG_CLASSES]);
    free(draw), free(kept);
    ehm_arena_free(&a);
}

TEST(segment, runs_of_frames) {
    static const char *const camvid[] = {"test/images/0001TP_008550.jpg",  "test/images/0001TP_008580.jpg",
                                         "test/images/0001TP_008610.jpg",  "test/images/Seq05VD_f00000.jpg",
                                         "test/images/Seq05VD_f00030.jpg", "test/images/Seq05VD_f00060.jpg",
                                         "test/images/Seq05VD_f00990.jpg"};
    static const char *const numbered[] = {"images/000000.png", "images/000001.png", "images/000002.png",
                                           "images/000003.png", "images/000004.png"};
    static const char *const frames[] = {"a/frame_1.png", "a/frame_2.png", "a/frame_3.png", "a/frame_4.png",
                                         "b/frame_5.png"};
    static const char *const words[] = {"cat.jpg", "dog.jpg", "x12.jpg", "y42.jpg",
                                        "z999999999999999999.jpg"};
    int32_t r[8], used;
    CHECK_INT(ehm_seg_runs(r, camvid, 7, 0, &used), 3); /* another scene, a gap of half a minute */
    CHECK_INT(used, 10);
    CHECK(r[0] == 0 && r[2] == 0 && r[3] == 1 && r[5] == 1 && r[6] == 2);
    CHECK_INT(ehm_seg_runs(r, camvid, 7, 2, &used), 5);
    CHECK(r[1] == 0 && r[2] == 1 && r[3] == 2 && r[4] == 2 && r[5] == 3 && r[6] == 4);
    CHECK_INT(ehm_seg_runs(r, numbered, 5, 0, &used), 5);
    CHECK_INT(used, 1);
    CHECK_INT(ehm_seg_runs(r, numbered, 5, 2, NULL), 3);
    CHECK_INT(ehm_seg_runs(r, frames, 5, 0, &used), 2);
    CHECK(used == 10 && r[3] == 0 && r[4] == 1);
    CHECK_INT(ehm_seg_runs(r, words, 5, 0, NULL), 5);
}

/* ---- windows ---- */

enum { IN = 16, GRID = 4, K = 5 };
typedef struct {
    int32_t n_runs, n_inputs;
} net_log;

/* Mean colours of cells, mixed into classes. */
static ehm_code colours(void *user, const void *pixels, ehm_dtype type, int32_t n, float *logits,
                        ehm_err *err) {
    net_log *log = user;
    (void)err;
    log->n_runs++, log->n_inputs += n;
    for (int64_t cell = 0; cell < (int64_t)n * GRID * GRID; cell++) {
        int64_t i = cell / (GRID * GRID), gy = cell / GRID % GRID, gx = cell % GRID, side = IN / GRID;
        double c[3] = {0};
        for (int64_t y = gy * side; y < (gy + 1) * side; y++)
            for (int64_t x = gx * side; x < (gx + 1) * side; x++)
                for (int64_t k = 0; k < 3; k++) {
                    int64_t at = ((i * IN + y) * IN + x) * 3 + k;
                    c[k] += (type == EHM_U8 ? ((const uint8_t *)pixels)[at] / 255.0
                                            : (double)((const float *)pixels)[at]) /
                            (double)(side * side);
                }
        for (int64_t k = 0; k < K; k++) {
            double v = 0.05 * wave(k, 2.3, 0.2);
            for (int64_t q = 0; q < 3; q++) v += wave(k * 3 + q, 1.9, 0.7) * (6 * c[q] - 3);
            logits[cell * K + k] = (float)v;
        }
    }
    return EHM_OK;
}
static ehm_seg_net net_of(net_log *log, int32_t batch) {
    return (ehm_seg_net){.in_h = IN,
                         .in_w = IN,
                         .channels = 3,
                         .n_classes = K,
                         .grid_h = GRID,
                         .grid_w = GRID,
                         .batch = batch,
                         .run = colours,
                         .user = log};
}
static ehm_image picture(int32_t w, int32_t h, ehm_arena *a) {
    ehm_err err = {0};
    ehm_image im;
    REQUIRE_OK(ehm_image_new(&im, w, h, 3, EHM_U8, a, &err), &err);
    for (int64_t i = 0; i < (int64_t)w * h * 3; i++) ((uint8_t *)im.px)[i] = (uint8_t)whole(i, 37, 256);
    return im;
}

TEST(segment, windows_as_torch) {
    FILE *f = fopen(ehm_test_path("tests/golden/segment/windows.txt"), "r");
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_pool *pool = NULL;
    REQUIRE(f);
    REQUIRE_OK(ehm_pool_open(&pool, 3, &err), &err);
    for (int one = 0; one < 5; one++) {
        net_log log = {0};
        int w, h, slide, stride, n_wrong = 0, seen[K] = {0};
        char text[2048];
        REQUIRE(fscanf(f, "%d %d %d %d %2047s", &w, &h, &slide, &stride, text) == 5);
        REQUIRE((int)strlen(text) == w * h);
        ehm_image im[2] = {picture(w, h, &a), picture(w, h, &a)};
        int32_t *maps[2] = {EHM_NEW_N(&a, int32_t, w * h), EHM_NEW_N(&a, int32_t, w * h)};
        ehm_seg_net net = net_of(&log, 3);
        ehm_seg_look look = {.slide = slide, .stride_h = stride, .stride_w = stride};
        REQUIRE_OK(ehm_seg_maps(maps, &net, &look, im, 2, pool, &a, &err), &err);
        for (int i = 0; i < w * h; i++)
            n_wrong += maps[0][i] != text[i] - '0' || maps[1][i] != maps[0][i], seen[text[i] - '0']++;
        CHECK_INT(n_wrong, 0);
        CHECK(seen[0] && seen[3]);
        CHECK_INT(log.n_inputs, 2 * ehm_seg_n_windows(&net, &look, w, h));
        CHECK_INT(log.n_runs, (log.n_inputs + 2) / 3); /* batches go across pictures */
    }
    fclose(f);
    ehm_pool_close(pool);
    ehm_arena_free(&a);
}

TEST(segment, how_many_windows) {
    net_log log = {0};
    ehm_seg_net net = net_of(&log, 3);
    ehm_seg_look slide = {.slide = true}, fine = {.slide = true, .stride_h = 4, .stride_w = 16}, all = {0};
    CHECK_INT(ehm_seg_n_windows(&net, &slide, 16, 16), 1);
    CHECK_INT(ehm_seg_n_windows(&net, &slide, 17, 3), 2);
    CHECK_INT(ehm_seg_n_windows(&net, &slide, 40, 32), 4 * 3);
    CHECK_INT(ehm_seg_n_windows(&net, &fine, 33, 20), 3 * 2);
    CHECK_INT(ehm_seg_n_windows(&net, &all, 4000, 20), 1);
}

/* The whole of a picture: fitted, its halves on the right sides, back at its own size; of u8 and of floats.
 */
TEST(segment, whole_pictures) {
    enum { W = 50, H = 24 };
    net_log log = {0};
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_seg_net net = net_of(&log, 2);
    ehm_image im[2];
    int32_t map[2][W * H], *maps[2] = {map[0], map[1]};
    REQUIRE_OK(ehm_image_new(&im[0], W, H, 3, EHM_U8, &a, &err), &err);
    REQUIRE_OK(ehm_image_new(&im[1], W, H, 3, EHM_F32, &a, &err), &err);
    for (int i = 0; i < W * H; i++)
        for (int k = 0; k < 3; k++) {
            bool right = i % W >= W / 2;
            ((uint8_t *)im[0].px)[3 * i + k] = right ? 255 : 0, ((float *)im[1].px)[3 * i + k] = right;
        }
    for (int t = 0; t < 2; t++) {
        REQUIRE_OK(ehm_seg_maps(&maps[t], &net, &(ehm_seg_look){0}, &im[t], 1, NULL, &a, &err), &err);
        int32_t left = map[t][0], right = map[t][W - 1];
        CHECK(left != right);
        for (int i = 0; i < W * H; i++)
            if (abs(i % W - W / 2) > 4) CHECK_INT(map[t][i], i % W < W / 2 ? left : right);
    }
    CHECK(!memcmp(map[0], map[1], sizeof map[0]));
    CHECK_FAILS(ehm_seg_maps(maps, &net, &(ehm_seg_look){0}, im, 2, NULL, &a, &err), &err, EHM_E_ARG,
                "at once");
    im[0].c = 1;
    CHECK_FAILS(ehm_seg_maps(maps, &net, &(ehm_seg_look){0}, im, 1, NULL, &a, &err), &err, EHM_E_ARG,
                "1 channels");
    ehm_arena_free(&a);
}

/* ---- the walk over a set ---- */

TEST(segment, scan_of_scenes) {
    const char *paths[] = {"scenes:3:20:32"};
    ehm_strs set = {paths, 1};
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_pool *pool = NULL;
    ehm_seg_scan one, many, part;
    const char *const *names;
    int32_t n, *class_of, *other;
    bool only[20];
    REQUIRE_OK(ehm_dataset_open(&ds, &set, NULL, &err), &err);
    REQUIRE_OK(ehm_pool_open(&pool, 3, &err), &err);
    REQUIRE_OK(ehm_seg_classes(&names, &n, &class_of, ds, &a, &err), &err);
    CHECK_INT(n, ehm_dataset_n_map_classes(ds)); /* nothing is ignored there */
    REQUIRE_OK(ehm_seg_scan_set(&one, ds, NULL, class_of, n, n, NULL, &a, &err), &err);
    REQUIRE_OK(ehm_seg_scan_set(&many, ds, NULL, class_of, n, n, pool, &a, &err), &err);
    CHECK(one.n_pictures == 20 && one.n_pixels == 20 * 32 * 32 && one.wide == 32 && one.high == 32 &&
          one.n_bad + one.n_none + one.n_void == 0);
    CHECK(!memcmp(one.pixels, many.pixels, sizeof *one.pixels * (size_t)n) &&
          !memcmp(one.beside, many.beside, sizeof *one.beside * (size_t)n));
    for (int i = 0; i < 20; i++) only[i] = i == 7;
    REQUIRE_OK(ehm_seg_scan_set(&part, ds, only, class_of, n, n, pool, &a, &err), &err);
    CHECK(part.n_pictures == 1 && part.use[7] && !part.use[6] && part.n_pixels == 32 * 32);
    int64_t pixels = 0;
    for (int k = 0; k < n; k++)
        pixels += part.pixels[k], CHECK(part.beside[k] == (part.pixels[k] ? 1024 : 0));
    CHECK_INT(pixels, 1024);
    /* Another set knows one class fewer: pictures that show it are named. */
    const char *fewer[256];
    for (int k = 0; k < n; k++) fewer[k] = k ? names[k] : "something else";
    REQUIRE_OK(ehm_seg_match(&other, ds, fewer, n, &a, &err), &err);
    CHECK(other[0] == -2 && other[1] == 1);
    if (one.pixels[0])
        CHECK_FAILS(ehm_seg_scan_set(&part, ds, NULL, other, n, n, pool, &a, &err), &err, EHM_E_MISMATCH,
                    names[0]);
    for (int k = 0; k < n; k++) other[k] = -1;
    REQUIRE_OK(ehm_seg_scan_set(&part, ds, NULL, other, n, n, pool, &a, &err), &err);
    CHECK(part.n_pictures == 0 && part.n_void == 20 && part.n_pixels == 0);
    ehm_dataset_close(ds);
    ehm_pool_close(pool);
    ehm_arena_free(&a);
}

/* ---- sets of files ---- */

static void write_pair(const char *dir, const char *stem, int32_t w, int32_t h, int32_t map_w,
                       uint8_t value) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image im, map;
    char path[512];
    if (!ehm_image_can_write_png()) SKIP("this build writes no PNG");
    REQUIRE_OK(ehm_image_new(&im, w, h, 3, EHM_U8, &a, &err), &err);
    for (size_t i = 0; i < ehm_image_bytes(&im); i++)
        ((uint8_t *)im.px)[i] = (uint8_t)(i * 7 + (size_t)stem[0] * 31 + i * i % 13);
    snprintf(path, sizeof path, "%s/images/%s.png", dir, stem);
    REQUIRE_OK(ehm_dir_make_for(path, &err), &err);
    REQUIRE_OK(ehm_image_write(path, &im, &err), &err);
    if (map_w) {
        REQUIRE_OK(ehm_image_new(&map, map_w, h, 1, EHM_U8, &a, &err), &err);
        memset(map.px, value, ehm_image_bytes(&map));
        ((uint8_t *)map.px)[0] = 0;
        snprintf(path, sizeof path, "%s/labels/%s.png", dir, stem);
        REQUIRE_OK(ehm_dir_make_for(path, &err), &err);
        REQUIRE_OK(ehm_image_write(path, &map, &err), &err);
    }
    ehm_arena_free(&a);
}
static void write_text(const char *dir, const char *name, const char *text) {
    char path[512];
    ehm_err err = {0};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    REQUIRE_OK(ehm_dir_make_for(path, &err), &err);
    REQUIRE_OK(ehm_file_write(path, text, strlen(text), &err), &err);
}
static ehm_code scan_of(const char *dir, ehm_seg_scan *s, int32_t *n, ehm_arena *a, ehm_err *err) {
    ehm_dataset *ds = NULL;
    const char *const *names;
    int32_t *class_of;
    ehm_code rc = ehm_dataset_open(&ds, &(ehm_strs){&dir, 1}, &(ehm_dataset_opt){.ignore_label = -1}, err);
    if (!rc) rc = ehm_seg_classes(&names, n, &class_of, ds, a, err);
    if (!rc) rc = ehm_seg_scan_set(s, ds, NULL, class_of, ehm_dataset_n_map_classes(ds), *n, NULL, a, err);
    ehm_dataset_close(ds);
    return rc;
}

TEST(segment, sets_of_files) {
    char good[256], other[256], size[256];
    const char *tmp = ehm_test_tmp();
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_seg_scan s;
    int32_t n;
    snprintf(good, sizeof good, "%s/good", tmp), snprintf(other, sizeof other, "%s/value", tmp),
        snprintf(size, sizeof size, "%s/size", tmp);
    static const char classes[] = "0\tsky\n1\tvoid\n2\troad\n";
    write_pair(good, "a", 12, 8, 12, 2), write_pair(good, "b", 12, 8, 12, 1),
        write_pair(good, "c", 12, 8, 0, 0);
    write_text(good, "classes.tsv", classes);
    write_text(good, "images/d.png", "\x89PNG\r\n\x1a\n broken beyond its first bytes");
    REQUIRE_OK(scan_of(good, &s, &n, &a, &err), &err);
    CHECK_INT(n, 2); /* what is ignored is no class */
    CHECK_INT(s.n_pictures, 2);
    CHECK_INT(s.n_none, 1);
    CHECK_INT(s.n_bad, 1);
    CHECK(s.n_pixels == 97 && s.pixels[0] == 2 && s.pixels[1] == 95 && s.beside[0] == 97 &&
          s.beside[1] == 96);
    write_pair(other, "a", 12, 8, 12, 2), write_pair(other, "b", 12, 8, 12, 9),
        write_text(other, "classes.tsv", classes);
    CHECK_FAILS(scan_of(other, &s, &n, &a, &err), &err, EHM_E_FORMAT, "labels/b.png: value 9");
    write_pair(size, "a", 12, 8, 12, 2), write_pair(size, "b", 12, 8, 10, 2),
        write_text(size, "classes.tsv", classes);
    CHECK_FAILS(scan_of(size, &s, &n, &a, &err), &err, EHM_E_FORMAT,
                "images/b.png: the picture is 12x8, but its label map is 10x8");
    ehm_arena_free(&a);
}

/* ---- files of test pictures ---- */

TEST(segment, files_are_named_by_their_pictures) {
    const char *paths[] = {"scenes:3:6:16"};
    ehm_strs set = {paths, 1}, list;
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    ehm_arena a = {0}, scratch = {0};
    ehm_seg_scores s;
    static const char *const names[2] = {"sky", "road\tside"};
    int32_t truth[256], predicted[256];
    char maps[256], overlays[256], path[300];
    int64_t ids[3] = {1, 3, 5};
    if (!ehm_image_can_write_png()) SKIP("this build writes no PNG");
    snprintf(maps, sizeof maps, "%s/maps", ehm_test_tmp()),
        snprintf(overlays, sizeof overlays, "%s/overlays", ehm_test_tmp());
    REQUIRE_OK(ehm_dataset_open(&ds, &set, NULL, &err), &err);
    REQUIRE_OK(ehm_seg_scores_new(&s, 3, 2, &a, &err), &err);
    ehm_seg_files f = {.predictions = maps,
                       .overlays = overlays,
                       .n_overlays = 2,
                       .classes = names,
                       .n_classes = 2,
                       .test = ds};
    REQUIRE_OK(ehm_seg_files_check(&f, &err), &err);
    for (int i = 0; i < 3; i++) {
        ehm_sample one;
        for (int k = 0; k < 256; k++) truth[k] = k % 5 == 0 ? -1 : k % 2, predicted[k] = k % (2 + i) == 1;
        REQUIRE_OK(ehm_dataset_read(ds, ids[i], &one, 0, NULL, &scratch, &err), &err);
        ehm_seg_scores_add(&s, i, truth, predicted, 256);
        REQUIRE_OK(ehm_seg_files_add(&f, i, 3, ids[i], &one.image, truth, predicted, &s, &scratch, &err),
                   &err);
    }
    REQUIRE_OK(ehm_seg_files_end(&f, ids, &s, &err), &err);
    REQUIRE_OK(ehm_dir_list(&list, overlays, &a, &err), &err);
    CHECK_INT(list.n, 2);
    REQUIRE_OK(ehm_dir_list(&list, maps, &a, &err), &err);
    REQUIRE(list.n == 4);
    CHECK_STR(list.v[3], "pictures.tsv");
    ehm_bytes bytes;
    ehm_image back;
    snprintf(path, sizeof path, "%s/%s", maps, list.v[2]);
    REQUIRE_OK(ehm_file_read(&bytes, path, &a, &err), &err);
    REQUIRE_OK(ehm_png_decode_index(&back, bytes.data, bytes.len, 0, &a, &err), &err);
    for (int k = 0; k < 256; k++) CHECK_INT(((uint8_t *)back.px)[k], predicted[k]);
    snprintf(path, sizeof path, "%s/pictures.tsv", maps);
    REQUIRE_OK(ehm_file_read(&bytes, path, &a, &err), &err);
    CHECK_HAS((char *)bytes.data,
              "file\tpixels\tmean IoU\tpixel accuracy\tclass accuracy\tIoU sky\tIoU road side\n");
    CHECK_HAS((char *)bytes.data, "\t204\t1\t1\t1\t1\t1\n"); /* the first is right throughout */
    ehm_dataset_close(ds);
    ehm_arena_free(&a), ehm_arena_free(&scratch);
}
