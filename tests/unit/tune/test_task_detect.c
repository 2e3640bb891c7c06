#include "base/rng.h"
#include "data/patch_labels.h"
#include "harness.h"
#include "tune/task_detect.h"

static double next(FILE *f) {
    double v;
    REQUIRE(fscanf(f, "%lf", &v) == 1);
    return v;
}

TEST(detect, suppression_as_torchvision) {
    FILE *f = fopen(ehm_test_path("tests/golden/detection/nms.txt"), "r");
    REQUIRE(f);
    for (int set = 0; set < 4; set++) {
        int n = (int)next(f);
        float bound = (float)next(f);
        int n_kept = (int)next(f);
        ehm_found_box *v = calloc((size_t)n, sizeof *v), swap;
        for (int i = 0; i < n; i++) {
            v[i].x0 = (float)next(f), v[i].y0 = (float)next(f), v[i].x1 = (float)next(f), v[i].y1 = (float)next(f);
            v[i].score = (float)next(f), v[i].class_id = (int32_t)next(f), v[i].said_by = i;
        }
        for (int i = 0; i < n; i++)
            for (int k = i + 1; k < n; k++)
                if (v[k].score > v[i].score) swap = v[i], v[i] = v[k], v[k] = swap;
        CHECK_INT(ehm_nms(v, n, bound, n), n_kept);
        for (int i = 0; i < n_kept; i++) CHECK_INT(v[i].said_by, next(f));
        CHECK_INT(ehm_nms(v, n_kept, bound, 5), n_kept < 5 ? n_kept : 5);
        free(v);
    }
    fclose(f);
}

/* ---- points ---- */

static ehm_box random_box(ehm_rng *r, double size, double w, double h) {
    double bw = ehm_rng_uniform(r, 0.5, size), bh = ehm_rng_uniform(r, 0.5, size), x = ehm_rng_uniform(r, 0, w - bw), y = ehm_rng_uniform(r, 0, h - bh);
    ehm_box b = {(float)x, (float)y, (float)(x + bw), (float)(y + bh), (int32_t)ehm_rng_below(r, 3), 0, 0};
    b.crowd = ehm_rng_below(r, 4) == 0;
    return b;
}

/* Against the definition, point by point. */
TEST(detect, points_answer_for_the_smallest_box_around_them) {
    enum { GH = 8, GW = 12, N = 7 };
    ehm_points p = {GH, GW, 4};
    for (uint64_t round = 0; round < 200; round++) {
        ehm_rng r = ehm_rng_of(ehm_test_seed(), 99, 0, round);
        ehm_box b[N];
        int32_t got[GH * GW], without = 0;
        bool has[N] = {false};
        for (int i = 0; i < N; i++) b[i] = random_box(&r, i < 3 ? 6 : 30, GW * 4, GH * 4);
        b[N - 1] = b[N - 2]; /* equal boxes: the first */
        int32_t n_without = ehm_points_assign(got, &p, b, N);
        for (int i = 0; i < GH * GW; i++) {
            double x = i % GW * 4 + 2, y = i / GW * 4 + 2, least = 1e9;
            int32_t want = -1;
            for (int k = 0; k < N; k++) {
                double cx = ((double)b[k].x0 + (double)b[k].x1) / 2, cy = ((double)b[k].y0 + (double)b[k].y1) / 2;
                double area = ((double)b[k].x1 - (double)b[k].x0) * ((double)b[k].y1 - (double)b[k].y0);
                bool inside = x > (double)b[k].x0 && x < (double)b[k].x1 && y > (double)b[k].y0 && y < (double)b[k].y1;
                if (!b[k].crowd && inside && fabs(x - cx) < 6 && fabs(y - cy) < 6 && area < least) least = area, want = k;
            }
            CHECK_INT(got[i], want);
            if (want >= 0) has[want] = true;
        }
        for (int k = 0; k < N; k++) without += !has[k] && !b[k].crowd;
        CHECK_INT(n_without, without);
    }
}

TEST(detect, targets_decode_to_their_box) {
    ehm_points p = {6, 9, 8};
    ehm_box b = {11, 6, 51, 44, 1, 0, 0};
    float t[4], classes[6 * 9 * 2], logs[6 * 9 * 4] = {0}, centres[6 * 9];
    int32_t at = 2 * 9 + 3; /* its centre is 28, 20 */
    ehm_points_target(t, &p, at, &b);
    CHECK_NEAR((double)t[0], 17 / 8., 1e-6);
    CHECK_NEAR((double)t[1], 14 / 8., 1e-6);
    CHECK_NEAR((double)t[2], 23 / 8., 1e-6);
    CHECK_NEAR((double)t[3], 24 / 8., 1e-6);
    CHECK_NEAR((double)ehm_points_centreness(t), sqrt(17. / 23 * 14 / 24), 1e-6);
    for (int i = 0; i < 54; i++) classes[2 * i] = classes[2 * i + 1] = -9, centres[i] = 0;
    for (int k = 0; k < 4; k++) logs[4 * at + k] = logf(t[k]);
    classes[2 * at + 1] = 2, classes[2 * at] = 1;
    ehm_found_box v[8];
    REQUIRE(ehm_points_decode(v, 8, &p, classes, logs, centres, 2, 0.05f) == 2);
    CHECK_INT(v[0].class_id, 1);
    CHECK_INT(v[1].class_id, 0);
    CHECK_NEAR((double)v[0].score, sqrt(0.5 / (1 + exp(-2.0))), 1e-6);
    CHECK_NEAR((double)v[0].x0, 11, 1e-4);
    CHECK_NEAR((double)v[0].y0, 6, 1e-4);
    CHECK_NEAR((double)v[0].x1, 51, 1e-4);
    CHECK_NEAR((double)v[0].y1, 44, 1e-4);
    logs[4 * at] = 50, logs[4 * at + 3] = 50; /* huge: cut at the grid's edge; not a number: no box */
    REQUIRE(ehm_points_decode(v, 8, &p, classes, logs, centres, 2, 0.05f) == 2);
    CHECK_NEAR((double)v[0].x0, 0, 0);
    CHECK_NEAR((double)v[0].y1, 48, 0);
    logs[4 * at + 1] = NAN;
    CHECK_INT(ehm_points_decode(v, 8, &p, classes, logs, centres, 2, 0.05f), 0);
}

static int by_score(const void *x, const void *y) {
    const ehm_found_box *a = x, *b = y;
    if (a->score > b->score || a->score < b->score) return a->score > b->score ? -1 : 1;
    return a->said_by - b->said_by;
}
TEST(detect, the_best_candidates_are_kept) {
    enum { N = 400, CAP = 37 };
    static float classes[N * 2], logs[N * 4], centres[N];
    static ehm_found_box all[N * 2], some[CAP];
    ehm_points p = {20, 20, 4};
    ehm_rng r = ehm_rng_of(ehm_test_seed(), 98, 0, 0);
    for (int i = 0; i < N; i++) {
        classes[2 * i] = (float)ehm_rng_below(&r, 7) - 4, classes[2 * i + 1] = (float)ehm_rng_below(&r, 7) - 4; /* many ties */
        centres[i] = (float)ehm_rng_below(&r, 3) - 1;
    }
    int32_t n = ehm_points_decode(all, N * 2, &p, classes, logs, centres, 2, 0.05f);
    CHECK_INT(n, N * 2);
    for (int i = 1; i < n; i++) CHECK(by_score(&all[i - 1], &all[i]) < 0);
    CHECK_INT(ehm_points_decode(some, CAP, &p, classes, logs, centres, 2, 0.05f), CAP);
    for (int i = 0; i < CAP; i++) CHECK(!memcmp(&some[i], &all[i], sizeof some[i]));
}

TEST(detect, masks_are_laid_as_interpolate_does) {
    FILE *f = fopen(ehm_test_path("tests/golden/detection/paste.txt"), "r");
    REQUIRE(f);
    for (int set = 0; set < 4; set++) {
        double x0 = next(f), y0 = next(f), w = next(f), h = next(f);
        float mask[EHM_MASK_SIDE * EHM_MASK_SIDE];
        uint8_t px[64 * 64];
        for (int i = 0; i < EHM_MASK_SIDE * EHM_MASK_SIDE; i++) mask[i] = (float)next(f);
        ehm_mask_paste(px, 64, 64, mask, x0, y0, x0 + w, y0 + h);
        for (int y = 0; y < 64; y++) {
            char row[80];
            REQUIRE(fscanf(f, "%79s", row) == 1);
            for (int x = 0; x < 64; x++) CHECK_INT(px[y * 64 + x], row[x] - '0');
        }
        ehm_mask_paste(px, 64, 64, mask, -20, -30, 200, 300); /* beyond the picture: no harm */
    }
    fclose(f);
}

/* ---- the task on a device in double ---- */

enum { B = 2, SIZE = 32, PATCH = 8, DIM = 16, G = 64, C = 3 };
typedef struct {
    ehm_arena a;
    ehm_dev *d;
    ehm_detect *s;
    const ehm_tune_task *task;
    ehm_params ps;
    ehm_plan plan;
    ehm_weights w;
    ehm_grads g;
    ehm_view level, dlevel, loss;
    double *x; /* [B,1+16,DIM] */
} fixture;

static void plan_all(fixture *f) {
    ehm_dtype real = ehm_dev_real(f->d);
    ehm_weights_plan(&f->w, &f->ps, &f->plan, EHM_MEM_PARAM, "", real);
    ehm_grads_plan(&f->g, &f->ps, &f->plan);
    f->level = ehm_plan_3d(&f->plan, EHM_MEM_CACHE, NULL, real, B, 17, DIM);
    f->dlevel = ehm_plan_3d(&f->plan, EHM_MEM_CACHE, NULL, real, B, 17, DIM);
    f->loss = ehm_plan_1d(&f->plan, EHM_MEM_CACHE, NULL, real, 1);
    f->task->plan(f->s, &f->plan, true);
    f->task->plan(f->s, &f->plan, false);
    f->task->plan_bwd(f->s, &f->plan);
}
static void put_level(fixture *f) {
    float x[B * 17 * DIM];
    for (int i = 0; i < B * 17 * DIM; i++) x[i] = (float)f->x[i];
    if (ehm_dev_real(f->d) == EHM_F64) ehm_upload(f->d, f->level, f->x, ehm_view_bytes(f->level));
    else ehm_upload(f->d, f->level, x, sizeof x);
}
static void fixture_open(fixture *f, bool masks, const char *device, ehm_err *err) {
    *f = (fixture){.x = calloc(B * 17 * DIM, sizeof(double))};
    ehm_vit_shape shape = {.img_h = SIZE, .img_w = SIZE, .channels = 3, .patch_size = PATCH, .embed_dim = DIM, .depth = 2, .num_heads = 2, .mlp_dim = 32};
    REQUIRE_OK(ehm_vit_shape_check(&shape, err), err);
    REQUIRE_OK(ehm_dev_open(&f->d, device, 1, err), err);
    REQUIRE_OK(ehm_detect_new(&f->s, &(ehm_detect_opt){.n_classes = C, .masks = masks, .width = 8, .score_min = 0.01f}, err), err);
    f->task = ehm_detect_task(f->s);
    CHECK_STR(f->task->name, masks ? "instances" : "detect");
    ehm_tune_place place = {.arena = &f->a, .params = &f->ps, .shape = &shape, .batch = B, .act = ehm_dev_real(f->d)};
    REQUIRE_OK(f->task->add(f->s, &place, err), err);
    place.train = true;
    REQUIRE_OK(f->task->pass_open(f->s, &place, err), err);
    place.train = false;
    REQUIRE_OK(f->task->pass_open(f->s, &place, err), err);
    CHECK_INT(f->task->level(f->s, 0), 1);
    ehm_plan_begin(&f->plan, f->d);
    plan_all(f);
    REQUIRE_OK(ehm_plan_commit(&f->plan, err), err);
    plan_all(f);
    REQUIRE_OK(ehm_plan_end(&f->plan, err), err);
    REQUIRE_OK(f->task->placed(f->s, f->d, err), err);
    ehm_weights_init(&f->w, f->d, 3);
    for (int i = 0; i < B * 17 * DIM; i++) {
        ehm_rng r = ehm_rng_of(5, 97, 0, (uint64_t)i);
        f->x[i] = ehm_rng_normal(&r);
    }
    put_level(f);
}
static void fixture_close(fixture *f) {
    ehm_plan_free(&f->plan);
    ehm_dev_close(f->d);
    f->task->close(f->s);
    ehm_params_free(&f->ps);
    ehm_arena_free(&f->a);
    free(f->x);
}

static int32_t objects[B * SIZE * SIZE];
static const ehm_box boxes[] = {{2, 3, 20, 25, 1, 0, 0}, {10, 10, 30, 22, 0, 0, 0}, {5.5f, 1, 18.5f, 31, 2, 0, 0}};
static const int32_t box_start[] = {0, 2, 3};
static ehm_batch batch_of(int32_t n) {
    for (int i = 0; i < SIZE * SIZE; i++) { /* a disc each; the second covers the first */
        double x = i % SIZE + 0.5, y = i / SIZE + 0.5;
        objects[i] = hypot(x - 20, y - 16) < 6 ? 1 : hypot(x - 11, y - 14) < 9 ? 0 : -1;
        objects[SIZE * SIZE + i] = fabs(x - 12) < 5 ? 0 : -1;
    }
    return (ehm_batch){.n = n, .boxes = boxes, .box_start = box_start, .objects = objects};
}

static double loss_of(fixture *f, int64_t b) {
    double v = 0;
    float narrow = 0;
    ehm_err err = {0};
    ehm_view level = ehm_view_rows(f->level, 0, b);
    f->task->fwd_loss(f->s, f->d, &f->w, &level, b, f->loss);
    if (ehm_dev_real(f->d) == EHM_F64) ehm_download(f->d, &v, f->loss, sizeof v);
    else ehm_download(f->d, &narrow, f->loss, sizeof narrow), v = (double)narrow;
    REQUIRE_OK(ehm_dev_check(f->d, &err), &err);
    return v;
}

/* The whole loss from its definition: the head's outputs (by an inference with the same weights) and targets by hand. */
TEST(detect, loss_is_that_of_fcos) {
    ehm_err err = {0};
    fixture f;
    fixture_open(&f, false, "ref64", &err);
    ehm_batch b = batch_of(B);
    REQUIRE_OK(f.task->load(f.s, f.d, &b, NULL, &err), &err);
    double got = loss_of(&f, B);
    /* At the start logits are small: classes near 0.01, distances near 1, centres near 0.5. */
    ehm_points p = {8, 8, 4};
    double focal = 0, giou = 0, bce = 0, centres = 0;
    int n = 0;
    for (int i = 0; i < B; i++) {
        int32_t of[G];
        ehm_points_assign(of, &p, boxes + box_start[i], box_start[i + 1] - box_start[i]);
        for (int k = 0; k < G; k++) {
            focal += of[k] < 0 ? C * 0.75 * 1e-4 * -log(0.99) : (C - 1) * 0.75 * 1e-4 * -log(0.99) + 0.25 * 0.99 * 0.99 * -log(0.01);
            if (of[k] < 0) continue;
            float t[4];
            ehm_points_target(t, &p, k, &boxes[box_start[i] + of[k]]);
            double centre = (double)ehm_points_centreness(t), a = 4, area = ((double)t[0] + (double)t[2]) * ((double)t[1] + (double)t[3]), both = 1, hull = 1;
            for (int q = 0; q < 2; q++) {
                both *= fmin(1, (double)t[q]) + fmin(1, (double)t[q + 2]);
                hull *= fmax(1, (double)t[q]) + fmax(1, (double)t[q + 2]);
            }
            giou += centre * (1 - both / (a + area - both) + (hull - (a + area - both)) / hull);
            bce += -centre * log(0.5) - (1 - centre) * log(0.5);
            centres += centre, n++;
        }
    }
    CHECK(n > 10);
    CHECK_NEAR(got, focal / n + giou / centres + bce / n, 0.02 * got); /* the head's first weights are small, not 0 */
    int64_t n_boxes, n_without;
    ehm_detect_counts(f.s, &n_boxes, &n_without);
    CHECK_INT(n_boxes, 3);
    CHECK_INT(n_without, 0);
    fixture_close(&f);
}

static void check_gradients(bool masks) {
    ehm_err err = {0};
    fixture f;
    fixture_open(&f, masks, "ref64", &err);
    ehm_batch b = batch_of(B);
    const double share = 0.5;
    REQUIRE_OK(f.task->load(f.s, f.d, &b, NULL, &err), &err);
    loss_of(&f, B);
    f.task->bwd(f.s, f.d, &f.w, &f.g, &f.level, &f.dlevel, B, (float)share);
    REQUIRE_OK(ehm_dev_check(f.d, &err), &err);
    double *dx = malloc(ehm_view_bytes(f.dlevel)), largest = 0;
    ehm_download(f.d, dx, f.dlevel, ehm_view_bytes(f.dlevel));
    for (int i = 0; i < B * 17 * DIM; i += 83) { /* the level that was read */
        double at = f.x[i], v[2];
        for (int side = 0; side < 2; side++) {
            f.x[i] = at + (side ? 1e-5 : -1e-5);
            put_level(&f);
            v[side] = loss_of(&f, B);
        }
        f.x[i] = at;
        CHECK_NEAR(dx[i], share * (v[1] - v[0]) / 2e-5, 1e-7);
        largest = fmax(largest, fabs(dx[i]));
    }
    CHECK(largest > 1e-5);
    put_level(&f);
    for (int32_t k = 0; k < f.ps.n; k++) { /* and an element of each parameter */
        ehm_view w = ehm_weight(&f.w, k), g = ehm_grad(&f.g, k);
        int64_t n = ehm_view_count(w);
        double *value = malloc((size_t)n * sizeof *value), *grad = malloc((size_t)n * sizeof *grad), v[2];
        ehm_download(f.d, value, w, ehm_view_bytes(w));
        ehm_download(f.d, grad, g, ehm_view_bytes(g));
        int64_t i = n / 2;
        double at = value[i];
        for (int side = 0; side < 2; side++) {
            value[i] = at + (side ? 1e-5 : -1e-5);
            ehm_upload(f.d, w, value, ehm_view_bytes(w));
            ehm_dev_weights_changed(f.d);
            v[side] = loss_of(&f, B);
        }
        value[i] = at;
        ehm_upload(f.d, w, value, ehm_view_bytes(w));
        ehm_dev_weights_changed(f.d);
        double want = share * (v[1] - v[0]) / 2e-5;
        if (fabs(grad[i] - want) > 1e-7 + 1e-5 * fabs(want)) ehm_test_fail(__FILE__, __LINE__, "%s: %.9g, by differences %.9g", f.ps.item[k].name, grad[i], want);
        free(value), free(grad);
    }
    free(dx);
    fixture_close(&f);
}
TEST(detect, gradients_by_differences) { check_gradients(false); }
TEST(detect, gradients_by_differences_with_masks) { check_gradients(true); }

/* A smaller batch than planned, one without a box: nothing to answer for, background alone counts. */
TEST(detect, pictures_without_boxes) {
    ehm_err err = {0};
    fixture f;
    fixture_open(&f, true, "ref64", &err);
    ehm_batch b = batch_of(1);
    const int32_t none[] = {0, 0};
    b.box_start = none;
    REQUIRE_OK(f.task->load(f.s, f.d, &b, NULL, &err), &err);
    CHECK_NEAR(loss_of(&f, 1), G * C * 0.75 * 1e-4 * -log(0.99), 1e-4);
    ehm_view level = ehm_view_rows(f.level, 0, 1), dlevel = ehm_view_rows(f.dlevel, 0, 1);
    f.task->bwd(f.s, f.d, &f.w, &f.g, &level, &dlevel, 1, 1);
    REQUIRE_OK(ehm_dev_check(f.d, &err), &err);
    fixture_close(&f);
}

/* A crowd leaves no trace, wherever it stands among the others: the same loss, of masks too, and it is not counted. */
TEST(detect, crowds_are_not_learned_from) {
    static const ehm_box with[] = {{1, 1, 31, 31, 2, 1, 0}, {2, 3, 20, 25, 1, 0, 0}, {12, 12, 14, 14, 2, 1, 0}, {10, 10, 30, 22, 0, 0, 0}, {5.5f, 1, 18.5f, 31, 2, 0, 0}, {0, 0, 9, 9, 1, 1, 0}};
    static const int32_t start[] = {0, 4, 6};
    ehm_err err = {0};
    fixture f;
    int64_t n_boxes[2], n_without[2];
    fixture_open(&f, true, "ref64", &err);
    ehm_batch b = batch_of(B);
    REQUIRE_OK(f.task->load(f.s, f.d, &b, NULL, &err), &err);
    ehm_detect_counts(f.s, &n_boxes[0], &n_without[0]);
    double want = loss_of(&f, B);
    for (int i = 0; i < SIZE * SIZE; i++) objects[i] = objects[i] < 0 ? -1 : 2 * objects[i] + 1; /* numbers of boxes in their picture */
    b.boxes = with, b.box_start = start;
    REQUIRE_OK(f.task->load(f.s, f.d, &b, NULL, &err), &err);
    ehm_detect_counts(f.s, &n_boxes[1], &n_without[1]);
    CHECK(loss_of(&f, B) == want);
    CHECK_INT(n_boxes[1], 2 * n_boxes[0]);
    CHECK_INT(n_without[1], 2 * n_without[0]);
    fixture_close(&f);
}

/* Training by hand until the boxes of two pictures are found again, with their masks. */
TEST(detect, learns_two_pictures) {
    ehm_err err = {0};
    fixture f;
    fixture_open(&f, true, "auto", &err);
    ehm_batch b = batch_of(B);
    float lr = 0.01f;
    REQUIRE_OK(f.task->load(f.s, f.d, &b, NULL, &err), &err);
    int64_t n[2] = {f.ps.group_count[0], f.ps.group_count[1]};
    ehm_buf *m = NULL, *v = NULL, *one = NULL;
    REQUIRE_OK(ehm_buf_new(&m, f.d, (size_t)(n[0] + n[1]) * 4, &err), &err);
    REQUIRE_OK(ehm_buf_new(&v, f.d, (size_t)(n[0] + n[1]) * 4, &err), &err);
    REQUIRE_OK(ehm_buf_new(&one, f.d, 4, &err), &err);
    ehm_view factor = ehm_view_1d(one, EHM_F32, 1);
    ehm_fill(f.d, &(ehm_fill_args){.x = factor, .value = 1});
    double first = 0, last = 0;
    for (int step = 1; step <= 120; step++) {
        last = loss_of(&f, B);
        if (step == 1) first = last;
        for (int k = 0; k < 2; k++) ehm_fill(f.d, &(ehm_fill_args){.x = f.g.flat[k], .value = 0});
        f.task->bwd(f.s, f.d, &f.w, &f.g, &f.level, &f.dlevel, B, 1);
        for (int k = 0; k < 2; k++) {
            ehm_view mk = ehm_view_rows(ehm_view_1d(m, EHM_F32, n[0] + n[1]), k ? n[0] : 0, n[k]), vk = ehm_view_rows(ehm_view_1d(v, EHM_F32, n[0] + n[1]), k ? n[0] : 0, n[k]);
            ehm_adamw(f.d, &(ehm_adamw_args){.p = f.w.flat[k], .g = f.g.flat[k], .m = mk, .v = vk, .factor = factor, .lr = lr, .beta1 = 0.9f, .beta2 = 0.99f,
                                             .eps = 1e-8f, .t = step});
        }
        ehm_dev_weights_changed(f.d);
    }
    CHECK(last < 0.5 * first);
    f.task->infer(f.s, f.d, &f.w, &f.level, B);
    REQUIRE_OK(ehm_detect_read(f.s, f.d, B, &err), &err);
    for (int i = 0; i < B; i++)
        for (int k = box_start[i]; k < box_start[i + 1]; k++) {
            int32_t n_found;
            const ehm_found_box *found = ehm_detect_boxes(f.s, i, &n_found);
            const float *masks = ehm_detect_masks(f.s, i);
            double best = 0, mask_best = 0;
            for (int q = 0; q < n_found && q < 5; q++) {
                const ehm_box *t = &boxes[k];
                double w = fmin((double)t->x1, (double)found[q].x1) - fmax((double)t->x0, (double)found[q].x0);
                double h = fmin((double)t->y1, (double)found[q].y1) - fmax((double)t->y0, (double)found[q].y0);
                double both = fmax(w, 0) * fmax(h, 0), all = ((double)t->x1 - (double)t->x0) * ((double)t->y1 - (double)t->y0) +
                    ((double)found[q].x1 - (double)found[q].x0) * ((double)found[q].y1 - (double)found[q].y0) - both;
                if (found[q].class_id != t->class_id || both / all <= best) continue;
                best = both / all;
                uint8_t px[SIZE * SIZE];
                int shared = 0, either = 0;
                ehm_mask_paste(px, SIZE, SIZE, masks + q * EHM_MASK_SIDE * EHM_MASK_SIDE, (double)found[q].x0, (double)found[q].y0, (double)found[q].x1, (double)found[q].y1);
                for (int j = 0; j < SIZE * SIZE; j++) {
                    bool is = objects[i * SIZE * SIZE + j] == k - box_start[i] && j % SIZE >= (int)t->x0 && j % SIZE < (int)t->x1;
                    shared += is && px[j], either += is || px[j];
                }
                mask_best = (double)shared / either;
            }
            CHECK(best > 0.6);
            CHECK(mask_best > 0.7); /* a filled box has 0.5 to 0.63 */
        }
    float bias[C]; /* each class was shown, so each learned a mask of its own */
    ehm_view of_bias = ehm_weight(&f.w, ehm_params_find(&f.ps, "head.mask.classes.bias"));
    ehm_download(f.d, bias, of_bias, sizeof bias);
    for (int k = 0; k < C; k++) CHECK(bias[k] < 0 || bias[k] > 0);
    ehm_buf_free(m), ehm_buf_free(v), ehm_buf_free(one);
    fixture_close(&f);
}

TEST(detect, saved_and_opened_again) {
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_detect *s, *t;
    ehm_str text = {0};
    ehm_json_w w = {.out = &text};
    ehm_json *meta;
    const char *names[] = {"cat", "d\"og"};
    REQUIRE_OK(ehm_detect_new(&s, &(ehm_detect_opt){.n_classes = 2, .classes = names, .masks = true, .width = 64, .nms = 0.5f, .fit = "pad"}, &err), &err);
    ehm_json_obj(&w);
    ehm_json_key(&w, "name"), ehm_json_str(&w, ehm_detect_task(s)->name);
    ehm_detect_task(s)->describe(s, &w);
    ehm_json_end(&w);
    REQUIRE_OK(ehm_json_parse(&meta, text.s, text.len, "test", &a, &err), &err);
    REQUIRE_OK(ehm_detect_from_json(&t, meta, &err), &err);
    const ehm_detect_opt *o = ehm_detect_options(t);
    CHECK_INT(o->n_classes, 2);
    CHECK_STR(o->classes[1], "d\"og");
    CHECK(o->masks && o->width == 64 && o->max_boxes == 100);
    CHECK_NEAR((double)o->nms, 0.5, 1e-9);
    CHECK_NEAR((double)o->score_min, 0.05, 1e-8);
    CHECK_STR(o->fit, "pad");
    ehm_detect_free(t);
    static const char *const bad[][2] = {{"{\"name\":\"segment\",\"classes\":[\"a\"]}", "segment"},       {"{\"name\":\"detect\"}", "classes"},
                                         {"{\"name\":\"detect\",\"classes\":[3]}", "class 0"},            {"{\"name\":\"detect\",\"classes\":[\"a\"],\"width\":6}", "width"},
                                         {"{\"name\":\"detect\",\"classes\":[\"a\"],\"nms\":2}", "nms"},  {"{\"name\":\"detect\",\"classes\":[\"a\"],\"max_boxes\":0}", "max_boxes"},
                                         {"{\"name\":\"detect\",\"classes\":[\"a\"],\"score_min\":1}", "score_min"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        REQUIRE_OK(ehm_json_parse(&meta, bad[i][0], strlen(bad[i][0]), "test", &a, &err), &err);
        CHECK_FAILS(ehm_detect_from_json(&t, meta, &err), &err, EHM_E_FORMAT, bad[i][1]);
        ehm_err_clear(&err);
    }
    CHECK_FAILS(ehm_detect_new(&t, &(ehm_detect_opt){.n_classes = 0}, &err), &err, EHM_E_ARG, "0 classes");
    CHECK_FAILS(ehm_detect_new(&t, &(ehm_detect_opt){.n_classes = 1, .width = 3}, &err), &err, EHM_E_ARG, "multiple of 4");
    CHECK_FAILS(ehm_detect_new(&t, &(ehm_detect_opt){.n_classes = 1, .max_boxes = 5000}, &err), &err, EHM_E_ARG, "5000 boxes");
    ehm_detect_free(s);
    ehm_str_free(&text);
    ehm_arena_free(&a);
}
