/* Label maps, boxes and objects that come with batches: they stay on the picture through crop, scale, flip and fit, and
 * depend on nothing but seed, epoch and position. */
#include "base/hash.h"
#include "base/log.h"
#include "data/augment_int.h"
#include "data/inspect.h"
#include "make_sets.h"

static ehm_loader_opt usual(void) {
    return (ehm_loader_opt){.batch_size = 8, .h = 40, .w = 32, .augment = true, .crop_min = .2, .crop_max = 1,
                            .flip = .5, .shuffle = true, .drop_last = true, .repeat = true, .seed = 11,
                            .want_maps = true, .want_boxes = true, .want_objects = true, .n_workers = 1, .max_bad = .5};
}

/* A placement of each kind by turns. */
static void any_placement(ehm_placement *p, int i, int w, int h, int in_w, int in_h) {
    static const char *const fits[] = {"crop", "stretch", "pad"};
    double box[4];
    bool flip;
    if (i % 3 == 0) {
        ehm_augment_box(box, &flip, w, h, .1, 1, .5, 3, 0, i);
        ehm_place_crop(p, box, flip, in_w, in_h);
    } else if (i % 3 == 1) {
        ehm_place_scaled(p, w, h, in_w, in_h, .3, 3, .5, 3, 0, i);
    } else {
        ehm_place_fit(p, w, h, in_w, in_h, fits[i / 3 % 3]);
    }
}

TEST(sample_targets, points_go_there_and_back) {
    ehm_rng r = ehm_rng_of(1, EHM_RNG_augment, 9, 9);
    int n_flip = 0, n_cut = 0, n_placed = 0;
    for (int i = 0; i < 600; i++) {
        ehm_placement p;
        any_placement(&p, i, 90, 61, 48, 64);
        n_flip += p.flip, n_cut += p.w == 48 && p.box[2] - p.box[0] < 90, n_placed += p.w < 48;
        CHECK(p.x >= 0 && p.y >= 0 && p.w > 0 && p.h > 0 && p.x + p.w <= 48 && p.y + p.h <= 64);
        CHECK(p.box[0] >= 0 && p.box[1] >= 0 && p.box[2] <= 90 && p.box[3] <= 61);
        double x = ehm_rng_uniform(&r, 0, 90), y = ehm_rng_uniform(&r, 0, 61), u = x, v = y;
        ehm_place_point(&p, &u, &v);
        ehm_place_back(&p, &u, &v);
        CHECK_NEAR(u, x, 1e-9);
        CHECK_NEAR(v, y, 1e-9);
        u = p.flip ? 48 - p.x : p.x, v = p.y; /* the corner that shows the box's first pixel */
        ehm_place_back(&p, &u, &v);
        CHECK_NEAR(u, p.box[0], 1e-9);
        CHECK_NEAR(v, p.box[1], 1e-9);
    }
    CHECK(n_flip > 100 && n_cut > 100 && n_placed > 50);
}

/* Scales are log-uniform, positions uniform; the aspect is kept to the rounding of a side. */
TEST(sample_targets, scales) {
    double sum = 0, least = 9, most = 0, at = 0;
    int n_at = 0, n_flip = 0;
    for (int i = 0; i < 4000; i++) {
        ehm_placement p;
        ehm_place_scaled(&p, 200, 100, 64, 64, .5, 2, .25, 1, 2, i);
        double sx = p.w / (p.box[2] - p.box[0]), sy = p.h / (p.box[3] - p.box[1]), s = sx / .32;
        CHECK_NEAR(sy / sx, 1, .035);
        /* The picture has whole pixels at that scale, and the window cuts between them. */
        CHECK_NEAR(200 * sx, rint(200 * sx), 1e-9);
        CHECK_NEAR(p.box[0] * sx, rint(p.box[0] * sx), 1e-9);
        CHECK_NEAR(100 * sy, rint(100 * sy), 1e-9);
        CHECK_NEAR(p.box[1] * sy, rint(p.box[1] * sy), 1e-9);
        sum += log(s), least = s < least ? s : least, most = s > most ? s : most;
        n_flip += p.flip;
        if (p.h < 64) at += p.y / (64. - p.h), n_at++;
    }
    CHECK_NEAR(sum / 4000, 0, .03);
    CHECK(least > .49 && least < .51 && most > 1.98 && most < 2.02);
    CHECK_NEAR(at / n_at, .5, .02);
    CHECK_NEAR(n_flip / 4000., .25, .03);
}

/* A picture whose values are its own coordinates: each pixel of the input says where it came from. */
TEST(sample_targets, pixels_lie_where_the_placement_says) {
    enum { W = 90, H = 61, IW = 48, IH = 64 };
    ehm_arena a = {0};
    ehm_err err = {0};
    static float out[IH * IW * 2];
    for (int i = 0; i < 200; i++) {
        ehm_image img, part;
        ehm_placement p;
        ehm_arena_reset(&a);
        REQUIRE_OK(ehm_image_new(&img, W, H, 2, EHM_F32, &a, &err), &err);
        for (int k = 0; k < W * H; k++)
            ((float *)img.px)[2 * k] = (float)(k % W) + 1.5f, ((float *)img.px)[2 * k + 1] = (float)(k / W) + 1.5f;
        if (i % 2) {
            any_placement(&p, 1 + 3 * i, W, H, IW, IH);
            REQUIRE_OK(ehm_data_window(out, EHM_F32, &img, &p, &a, &err), &err);
        } else {
            any_placement(&p, 3 * i, W, H, IW, IH);
            REQUIRE_OK(ehm_data_crop(&part, &img, p.box, &a, &err), &err);
            REQUIRE_OK(ehm_data_resample(out, EHM_F32, IH, IW, &part, NULL, &a, &err), &err);
        }
        if (p.flip) ehm_data_mirror(out, IH, IW, 8);
        /* Near the ends of the picture a filter has fewer pixels and pulls values inward; a shrinking one is not quite
         * exact on ramps. */
        double edge_x = 3 * fmax(1, (p.box[2] - p.box[0]) / p.w), edge_y = 3 * fmax(1, (p.box[3] - p.box[1]) / p.h);
        int left = p.flip ? IW - p.x - p.w : p.x;
        for (int y = 0; y < IH; y++)
            for (int x = 0; x < IW; x++) {
                const float *v = out + 2 * (y * IW + x);
                bool inside = x >= left && x < left + p.w && y >= p.y && y < p.y + p.h;
                if (!inside) CHECK(v[0] == .5f && v[1] == .5f);
                if (!inside) continue;
                double u = x + .5, w = y + .5;
                ehm_place_back(&p, &u, &w);
                if (u > p.box[0] + edge_x && u < p.box[2] - edge_x) CHECK_NEAR((double)v[0] - 1, u, .05);
                if (w > p.box[1] + edge_y && w < p.box[3] - edge_y) CHECK_NEAR((double)v[1] - 1, w, .05);
                CHECK(v[0] >= 1 && v[1] >= 1);
            }
    }
    ehm_arena_free(&a);
}

/* The extent of the pixels that show object k; area 0 when none. */
static int extent(int e[4], const int32_t *objects, int w, int h, int k) {
    int n = 0;
    e[0] = w, e[1] = h, e[2] = e[3] = 0;
    for (int i = 0; i < w * h; i++) {
        if (objects[i] != k) continue;
        int x = i % w, y = i / w;
        e[0] = x < e[0] ? x : e[0], e[1] = y < e[1] ? y : e[1], e[2] = x >= e[2] ? x + 1 : e[2], e[3] = y >= e[3] ? y + 1 : e[3];
        n++;
    }
    return n;
}

/* Painted rectangles: their boxes are the extents of their pixels whatever happens to the picture. */
TEST(sample_targets, boxes_of_painted_rectangles) {
    enum { W = 90, H = 61, IW = 48, IH = 64 };
    static const int rect[5][4] = {{2, 3, 20, 30}, {30, 5, 40, 25}, {50, 33, 88, 60}, {5, 40, 45, 52}, {60, 2, 75, 9}};
    static uint8_t object[W * H], label[W * H];
    static int32_t objects[IW * IH], map[IW * IH];
    ehm_box boxes[4], got[4];
    ehm_dataset *ds;
    ehm_arena a = {0};
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, "scenes:1:2:32", &err), &err);
    /* The fifth has no box. Numbers in the map are not those of the boxes. */
    for (int k = 0; k < 5; k++)
        for (int y = rect[k][1]; y < rect[k][3]; y++)
            for (int x = rect[k][0]; x < rect[k][2]; x++) object[y * W + x] = (uint8_t)(9 - k), label[y * W + x] = (uint8_t)(k + 1);
    for (int k = 0; k < 4; k++)
        boxes[k] = (ehm_box){(float)rect[k][0], (float)rect[k][1], (float)rect[k][2], (float)rect[k][3], k + 3, k == 1, 0};
    ehm_truth t = {.boxes = boxes, .n_boxes = 4};
    t.map[EHM_MAP_OBJECT] = (ehm_image){object, W, H, 1, EHM_U8};
    t.map[EHM_MAP_CLASS] = (ehm_image){label, W, H, 1, EHM_U8};
    int n_boxes = 0, n_gone = 0, n_partly = 0;
    for (int i = 0; i < 900; i++) {
        ehm_placement p;
        int32_t n, seen[4] = {0};
        double keep = i % 2 ? .25 : 0;
        ehm_arena_reset(&a);
        any_placement(&p, i, W, H, IW, IH);
        REQUIRE_OK(ehm_truth_boxes(got, &n, objects, &t, &p, keep, ds, &a, &err), &err);
        REQUIRE_OK(ehm_place_map(map, &t.map[EHM_MAP_CLASS], &p, 0, &a, &err), &err);
        for (int k = 0; k < n; k++) {
            int e[4], of = got[k].class_id - 3, area = extent(e, objects, IW, IH, k);
            const ehm_box *b = &got[k];
            REQUIRE(of >= 0 && of < 4 && !seen[of]);
            CHECK(b->crowd == (of == 1));
            seen[of] = 1;
            CHECK(b->x0 >= 0 && b->y0 >= 0 && b->x1 <= IW && b->y1 <= IH && b->x1 > b->x0 && b->y1 > b->y0);
            /* A box thinner than a pixel may show none. */
            if (!area) CHECK(b->x1 - b->x0 < 1 || b->y1 - b->y0 < 1);
            if (!area) continue;
            CHECK_NEAR((double)b->x0, e[0], 1);
            CHECK_NEAR((double)b->y0, e[1], 1);
            CHECK_NEAR((double)b->x1, e[2], 1);
            CHECK_NEAR((double)b->y1, e[3], 1);
            for (int q = 0; q < IW * IH; q++)
                if (objects[q] == k) CHECK_INT(map[q], of + 1);
            n_boxes++;
        }
        /* What has no box shows nothing of itself, or less than it must keep. */
        for (int k = 0; k < 4; k++) {
            if (seen[k]) continue;
            n_gone++;
            double x0 = rect[k][0], y0 = rect[k][1], x1 = rect[k][2], y1 = rect[k][3], area = (x1 - x0) * (y1 - y0);
            x0 = fmax(x0, p.box[0]), y0 = fmax(y0, p.box[1]), x1 = fmin(x1, p.box[2]), y1 = fmin(y1, p.box[3]);
            double left = x1 > x0 && y1 > y0 ? (x1 - x0) * (y1 - y0) / area : 0;
            CHECK(left <= keep);
            n_partly += left > 0;
        }
        for (int q = 0; q < IW * IH; q++) {
            CHECK(objects[q] >= -1 && objects[q] < n);
            if (objects[q] >= 0) CHECK(map[q] > 0);
            if (map[q] == 5) CHECK_INT(objects[q], -1);
        }
    }
    CHECK(n_boxes > 1500 && n_gone > 300 && n_partly > 20);
    ehm_arena_free(&a);
    ehm_dataset_close(ds);
}

typedef struct { char hex[65]; } digest;
static digest digest_of(const ehm_batch *b, const ehm_loader_opt *o, int c) {
    ehm_sha256 s;
    uint8_t d[32];
    digest x;
    size_t n_px = (size_t)b->n * (size_t)(o->h * o->w);
    ehm_sha256_init(&s);
    ehm_sha256_add(&s, b->pixels, n_px * (size_t)c * ehm_dtype_size(b->type));
    ehm_sha256_add(&s, b->ids, (size_t)b->n * 8);
    if (b->maps) ehm_sha256_add(&s, b->maps, n_px * 4);
    if (b->objects) ehm_sha256_add(&s, b->objects, n_px * 4);
    if (b->box_start) {
        ehm_sha256_add(&s, b->box_start, ((size_t)b->n + 1) * 4);
        ehm_sha256_add(&s, b->boxes, (size_t)b->box_start[b->n] * sizeof *b->boxes);
    }
    for (int i = 0; b->places && i < b->n; i++) {
        ehm_sha256_add(&s, b->places[i].box, 32);
        ehm_sha256_add(&s, &b->places[i].x, 16);
        ehm_sha256_add(&s, &b->places[i].flip, 1);
    }
    if (b->sizes) ehm_sha256_add(&s, b->sizes, (size_t)b->n * 8);
    ehm_sha256_end(&s, d);
    ehm_sha256_hex(d, x.hex);
    return x;
}
static void run(digest *out, int n, ehm_dataset *ds, const ehm_loader_opt *o, int64_t first) {
    ehm_loader *l;
    ehm_err err = {0};
    REQUIRE_OK(ehm_loader_open(&l, ds, o, first, &err), &err);
    for (int i = 0; i < n; i++) {
        ehm_batch b;
        REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
        CHECK(!b.maps == !o->want_maps && !b.box_start == !o->want_boxes && !b.objects == !o->want_objects);
        CHECK(!b.places == !(o->want_maps || o->want_boxes) && !b.places == !b.sizes);
        out[i] = digest_of(&b, o, ehm_dataset_channels(ds));
    }
    ehm_loader_close(l);
}
static void check_same(const digest *a, const digest *b, int n, const char *what) {
    for (int i = 0; i < n; i++)
        if (strcmp(a[i].hex, b[i].hex)) ehm_test_fail(__FILE__, __LINE__, "%s: batch %d of %d differs", what, i, n);
}

TEST(sample_targets, threads_cache_and_resume_do_not_matter) {
    static const double mean[3] = {.5, .4, .3}, std[3] = {.2, .2, .2};
    digest want[8], got[8];
    ehm_dataset *ds;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, "scenes:5:27:32x40", &err), &err);
    for (int kind = 0; kind < 4; kind++) {
        ehm_loader_opt o = usual();
        if (kind == 1) o.scale_min = .5, o.scale_max = 2, o.color_jitter = .4, o.erase = .5, o.noise_mean = mean, o.noise_std = std;
        if (kind == 2) {
            o.want_maps = o.want_boxes = o.want_objects = false, o.as_f32 = true;
            o.rand_augment_n = 2, o.rand_augment_m = 9, o.rand_augment_std = .5, o.color_jitter = .3;
        }
        if (kind == 3) o.augment = false, o.fit = "pad";
        run(want, 8, ds, &o, 0);
        for (int i = 1; i < 8; i++)
            if (kind < 3 || i != 3) CHECK(strcmp(want[i].hex, want[i - 1].hex) != 0);
        for (int k = 0; k < 3; k++) {
            o.n_workers = 2 + k, o.cache_bytes = k == 0 ? 0 : k == 1 ? 1 << 24 : 300000;
            run(got, 8, ds, &o, 0);
            check_same(got, want, 8, k == 1 ? "cached" : "more workers");
        }
        for (int first = 1; first < 8; first += kind == 1 ? 1 : 3) {
            run(got, 8 - first, ds, &o, first);
            check_same(got, want + first, 8 - first, "resumed");
        }
    }
    ehm_dataset_close(ds);
}

/* On drawn scenes: each object's pixels have the class of its box and lie in it, and what is shown whole fills it. */
TEST(sample_targets, scenes) {
    ehm_dataset *ds;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, "scenes:5:64:48", &err), &err);
    for (int scaled = 0; scaled < 2; scaled++) {
        ehm_loader_opt o = usual();
        ehm_loader *l;
        int n_boxes = 0, n_tight = 0, n_whole = 0, n_empty = 0;
        if (scaled) o.scale_min = .5, o.scale_max = 2;
        o.cache_bytes = scaled ? 1 << 24 : 0, o.n_workers = 2;
        REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
        for (int i = 0; i < 30; i++) {
            ehm_batch b;
            REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
            for (int k = 0; k < b.n; k++) {
                const int32_t *map = b.maps + k * o.w * o.h, *objects = b.objects + k * o.w * o.h;
                const ehm_box *box = b.boxes + b.box_start[k];
                CHECK(b.sizes[2 * k] == 48 && b.sizes[2 * k + 1] == 48);
                for (int at = 0; at < b.box_start[k + 1] - b.box_start[k]; at++, box++) {
                    int e[4], area = extent(e, objects, o.w, o.h, at);
                    double x0 = box->x0, y0 = box->y0, x1 = box->x1, y1 = box->y1;
                    n_boxes++;
                    n_empty += !area;
                    if (!area) continue;
                    CHECK(e[0] >= x0 - 1 && e[1] >= y0 - 1 && e[2] <= x1 + 1 && e[3] <= y1 + 1);
                    for (int q = 0; q < o.w * o.h; q++)
                        if (objects[q] == at)
                            CHECK_STR(ehm_dataset_map_class(ds, map[q]), ehm_dataset_box_class(ds, box->class_id));
                    const ehm_placement *p = &b.places[k];
                    double left = p->flip ? p->in_w - p->x - p->w : p->x;
                    bool whole = x0 > left + .01 && y0 > p->y + .01 && x1 < left + p->w - .01 && y1 < p->y + p->h - .01;
                    /* Not tighter than the samples: shrunk pictures skip pixels. */
                    double step_x = fmax(1, p->w / (p->box[2] - p->box[0])), step_y = fmax(1, p->h / (p->box[3] - p->box[1]));
                    n_whole += whole;
                    n_tight += whole && fabs(e[0] - x0) <= step_x + 1 && fabs(e[1] - y0) <= step_y + 1 &&
                               fabs(e[2] - x1) <= step_x + 1 && fabs(e[3] - y1) <= step_y + 1;
                }
            }
        }
        CHECK(n_boxes > 200 && n_whole > 5);
        CHECK(n_tight * 100 >= n_whole * 85); /* a thin end may fall between samples */
        CHECK(n_empty * 100 <= n_boxes * 3);  /* a corner of the box may show nothing of the object */
        ehm_loader_close(l);
    }
    ehm_dataset_close(ds);
}

#ifdef EHM_WITH_PNG
/* Scenes written out and read again have the same maps, boxes and objects. */
TEST(sample_targets, exported_scenes) {
    ehm_dataset *ds, *again;
    ehm_data_exported x;
    ehm_err err = {0};
    ehm_loader *l, *m;
    ehm_batch b, c;
    REQUIRE_OK(open_set(&ds, "scenes:5:20:32", &err), &err);
    REQUIRE_OK(ehm_data_export(&x, ds, in_tmp("out"), NULL, &err), &err);
    REQUIRE_OK(open_set(&again, in_tmp("out"), &err), &err);
    ehm_loader_opt o = usual();
    o.augment = o.shuffle = o.repeat = false, o.batch_size = 20;
    REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
    REQUIRE_OK(ehm_loader_open(&m, again, &o, 0, &err), &err);
    REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
    REQUIRE_OK(ehm_loader_next(m, &c, &err), &err);
    size_t n_px = (size_t)(o.h * o.w);
    for (int i = 0; i < 20; i++) {
        int k = 0; /* the exported set is in order of class, then number */
        while (k < 20 && atoi(ehm_path_base(ehm_dataset_name(again, c.ids[k]))) != i) k++;
        REQUIRE(k < 20);
        int32_t n = b.box_start[i + 1] - b.box_start[i];
        CHECK_INT(c.box_start[k + 1] - c.box_start[k], n);
        CHECK(!memcmp(b.boxes + b.box_start[i], c.boxes + c.box_start[k], (size_t)n * sizeof *b.boxes));
        CHECK(!memcmp(b.maps + (size_t)i * n_px, c.maps + (size_t)k * n_px, n_px * 4));
        CHECK(!memcmp(b.objects + (size_t)i * n_px, c.objects + (size_t)k * n_px, n_px * 4));
    }
    ehm_loader_close(l), ehm_loader_close(m);
    ehm_dataset_close(ds), ehm_dataset_close(again);
}
#endif

/* Pixels as f32 are those of 8 bits by 255, and the rest of the batch does not notice. */
TEST(sample_targets, float_pixels) {
    ehm_dataset *ds;
    ehm_err err = {0};
    ehm_loader *l, *m;
    ehm_batch b, f;
    REQUIRE_OK(open_set(&ds, "scenes:5:20:32", &err), &err);
    for (int scaled = 0; scaled < 2; scaled++) {
        ehm_loader_opt o = usual();
        if (scaled) o.scale_min = .3, o.scale_max = 1;
        REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
        o.as_f32 = true;
        REQUIRE_OK(ehm_loader_open(&m, ds, &o, 0, &err), &err);
        for (int i = 0; i < 3; i++) {
            REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
            REQUIRE_OK(ehm_loader_next(m, &f, &err), &err);
            REQUIRE(b.type == EHM_U8 && f.type == EHM_F32);
            int n = b.n * o.h * o.w * 3, n_fill = 0;
            for (int k = 0; k < n; k++) {
                CHECK(((const float *)f.pixels)[k] == (float)((const uint8_t *)b.pixels)[k] / 255.f);
                n_fill += ((const uint8_t *)b.pixels)[k] == 128;
            }
            CHECK(!memcmp(b.maps, f.maps, (size_t)(b.n * o.h * o.w) * 4));
            if (scaled) CHECK(n_fill > n / 5);
            for (int k = 0; scaled && k < n / 3; k++)
                if (((const uint8_t *)b.pixels)[3 * k] != 128) CHECK(b.maps[k] >= 0);
        }
        ehm_loader_close(l), ehm_loader_close(m);
    }
    ehm_dataset_close(ds);
}

/* ---- sets on disk ---- */
static int n_notes;
static void count_notes(void *user, ehm_log_level level, const char *text) {
    (void)user;
    n_notes += level == EHM_LOG_NOTE && strstr(text, "boxes");
}

TEST(sample_targets, useless_boxes_are_counted) {
    ehm_dataset *ds;
    ehm_loader *l;
    ehm_batch b;
    ehm_err err = {0};
    put_ppm(in_tmp("c/a/1.ppm"), 10, 8, 3, 1), put_ppm(in_tmp("c/b/2.ppm"), 10, 8, 3, 2);
    put_text(in_tmp("c/boxes/all.tsv"), "a/1.ppm\t0\t1\t9\t20\n"   /* over the edge: cut */
                                        "a/1.ppm\t12\t1\t15\t3\n"  /* outside: known when the picture is */
                                        "b/2.ppm\t5\t5\t4\t7\n"    /* no size */
                                        "b/2.ppm\t0\t9\t3\t12\n"
                                        "b/2.ppm\t3\t3\t3\t3\n");  /* one pixel */
    n_notes = 0;
    ehm_log_sink(count_notes, NULL);
    REQUIRE_OK(open_set(&ds, in_tmp("c"), &err), &err);
    CHECK_INT(ehm_dataset_boxes_skipped(ds), 1);
    CHECK_INT(n_notes, 1);
    ehm_loader_opt o = usual();
    o.batch_size = 2, o.want_maps = o.want_objects = o.augment = o.shuffle = false, o.h = 16, o.w = 20, o.fit = "stretch";
    for (int k = 0; k < 2; k++) {
        REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
        REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
        REQUIRE(b.box_start[0] == 0 && b.box_start[1] == 1 && b.box_start[2] == 2);
        CHECK(b.boxes[0].class_id == 0 && b.boxes[1].class_id == 1); /* of what the picture is */
        CHECK(b.boxes[0].x0 == 0 && b.boxes[0].y0 == 2 && b.boxes[0].x1 == 20 && b.boxes[0].y1 == 16);
        CHECK(b.boxes[1].x0 == 6 && b.boxes[1].y0 == 6 && b.boxes[1].x1 == 8 && b.boxes[1].y1 == 8);
        ehm_loader_close(l);
    }
    CHECK_INT(ehm_dataset_boxes_skipped(ds), 3);
    CHECK_INT(n_notes, 2);
    ehm_log_sink(NULL, NULL);
    ehm_dataset_close(ds);
}

TEST(sample_targets, classes_of_boxes_by_name) {
    static const char *const json = "{\"images\":[{\"id\":1,\"file_name\":\"images/1.ppm\"}],\"categories\":["
                                    "{\"id\":4,\"name\":\"%s\"},{\"id\":9,\"name\":\"dog\"}],\"annotations\":["
                                    "{\"image_id\":1,\"category_id\":9,\"bbox\":[1,1,4,4]},"
                                    "{\"image_id\":1,\"category_id\":4,\"bbox\":[2,2,3,3]}]}";
    char text[500];
    ehm_dataset *ds, *model, *bad;
    ehm_sample s;
    ehm_arena a = {0};
    ehm_err err = {0};
    static const char *const first[] = {"cat", "zebra", "cow"};
    for (int k = 0; k < 3; k++) {
        char path[40];
        snprintf(path, sizeof path, "%d/images/1.ppm", k);
        put_ppm(in_tmp(path), 10, 8, 3, 1);
        snprintf(path, sizeof path, "%d/boxes.json", k);
        snprintf(text, sizeof text, json, first[k]);
        if (k == 1) { /* the same names with other numbers */
            char *cat = strstr(text, "zebra");
            memcpy(cat, "dog\",", 4), memmove(cat + 3, cat + 5, strlen(cat + 5) + 1);
            char *dog = strstr(cat + 5, "dog");
            memcpy(dog, "cat", 3);
        }
        put_text(in_tmp(path), text);
    }
    REQUIRE_OK(open_set(&model, in_tmp("0"), &err), &err);
    REQUIRE_OK(open_set(&ds, in_tmp("1"), &err), &err);
    REQUIRE_OK(open_set(&bad, in_tmp("2"), &err), &err);
    for (int k = 0; k < 3; k++) {
        if (k) REQUIRE_OK(ehm_dataset_adopt_box_classes(ds, model, &err), &err);
        REQUIRE_OK(ehm_dataset_read(ds, 0, &s, EHM_WANT_BOXES, NULL, &a, &err), &err);
        REQUIRE(s.n_boxes == 2);
        CHECK_STR(ehm_dataset_box_class(ds, s.boxes[0].class_id), "cat");
        CHECK_STR(ehm_dataset_box_class(ds, s.boxes[1].class_id), "dog");
        if (k) CHECK_STR(ehm_dataset_box_class(model, s.boxes[0].class_id), "cat");
    }
    CHECK_FAILS(ehm_dataset_adopt_box_classes(bad, model, &err), &err, EHM_E_MISMATCH, "cow");
    ehm_dataset_close(ds), ehm_dataset_close(model), ehm_dataset_close(bad);
    ehm_arena_free(&a);
}

TEST(sample_targets, camvid) {
#if !defined(EHM_WITH_JPEG) || !defined(EHM_WITH_PNG)
    SKIP("these pictures are JPEG and their maps PNG, which this build does not read");
#endif
    char spec[1024];
    ehm_dataset *ds;
    ehm_loader *l;
    ehm_batch b;
    ehm_err err = {0};
    ehm_arena a = {0};
    snprintf(spec, sizeof spec, "%s#val", ehm_test_data("camvid.tar"));
    REQUIRE_OK(open_set(&ds, spec, &err), &err);
    ehm_loader_opt o = usual();
    o.augment = o.shuffle = o.want_boxes = o.want_objects = false, o.h = 180, o.w = 240, o.fit = "stretch";
    REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
    REQUIRE_OK(ehm_loader_next(l, &b, &err), &err);
    CHECK(b.sizes[0] == 240 && b.sizes[1] == 180 && !b.boxes);
    int n_none = 0;
    for (int i = 0; i < b.n; i++) {
        ehm_sample s;
        ehm_arena_reset(&a);
        REQUIRE_OK(ehm_dataset_read(ds, i, &s, EHM_WANT_LABEL_MAPS, NULL, &a, &err), &err);
        for (int k = 0; k < 240 * 180; k++) {
            int want = ((uint8_t *)s.label_map.px)[k];
            n_none += want == 11;
            CHECK_INT(b.maps[i * 240 * 180 + k], want == 11 ? -1 : want);
        }
    }
    CHECK(n_none > 1000);
    ehm_loader_close(l);
    ehm_dataset_close(ds);
    ehm_arena_free(&a);
}

TEST(sample_targets, blood_cells) {
#ifndef EHM_WITH_JPEG
    SKIP("these pictures are JPEG, which this build does not read");
#endif
    char spec[1024];
    ehm_dataset *ds;
    ehm_loader *l;
    ehm_batch b;
    ehm_err err = {0};
    snprintf(spec, sizeof spec, "%s#test", ehm_test_data("bccd.tar"));
    REQUIRE_OK(open_set(&ds, spec, &err), &err);
    ehm_loader_opt o = usual();
    o.want_maps = o.want_objects = o.augment = o.shuffle = o.repeat = o.drop_last = false, o.fit = "pad", o.h = o.w = 64;
    REQUIRE_OK(ehm_loader_open(&l, ds, &o, 0, &err), &err);
    int64_t n = 0, at = 0;
    ehm_arena a = {0};
    ehm_code rc;
    while (!(rc = ehm_loader_next(l, &b, &err)))
        for (int i = 0; i < b.n; i++, at++) {
            ehm_sample s;
            ehm_arena_reset(&a);
            REQUIRE_OK(ehm_dataset_read(ds, at, &s, EHM_WANT_BOXES, NULL, &a, &err), &err);
            REQUIRE(b.box_start[i + 1] - b.box_start[i] == s.n_boxes);
            CHECK(b.sizes[2 * i] == s.image.w && b.sizes[2 * i + 1] == s.image.h);
            for (int k = 0; k < s.n_boxes; k++, n++) {
                const ehm_box *box = &b.boxes[b.box_start[i] + k];
                double x = box->x0, y = box->y0, u = box->x1, v = box->y1;
                ehm_place_back(&b.places[i], &x, &y), ehm_place_back(&b.places[i], &u, &v);
                CHECK_INT(box->class_id, s.boxes[k].class_id);
                CHECK(fabs(x - (double)s.boxes[k].x0) < 1e-3 && fabs(y - (double)s.boxes[k].y0) < 1e-3);
                CHECK(fabs(u - (double)s.boxes[k].x1) < 1e-3 && fabs(v - (double)s.boxes[k].y1) < 1e-3);
            }
        }
    CHECK_INT(rc, EHM_E_STOPPED);
    CHECK_INT(at, 72);
    CHECK(n > 700);
    ehm_loader_close(l);
    ehm_dataset_close(ds);
    ehm_arena_free(&a);
}

TEST(sample_targets, refusals) {
    ehm_dataset *ds;
    ehm_loader *l;
    ehm_err err = {0};
    ehm_loader_opt o;
    put_ppm(in_tmp("plain/1.pgm"), 8, 8, 1, 1);
    REQUIRE_OK(open_set(&ds, in_tmp("plain"), &err), &err);
#define REFUSED(change, code, part)                                             \
    do {                                                                        \
        o = usual();                                                            \
        o.batch_size = 1, o.want_maps = o.want_boxes = o.want_objects = false;  \
        change;                                                                 \
        CHECK_FAILS(ehm_loader_open(&l, ds, &o, 0, &err), &err, code, part);    \
        CHECK(!l);                                                              \
    } while (0)
    static const double one[3] = {1, 1, 1};
    REFUSED(o.want_maps = true, EHM_E_CONFIG, "no label maps");
    REFUSED(o.want_boxes = true, EHM_E_CONFIG, "no boxes");
    REFUSED(o.want_objects = true, EHM_E_ARG, "boxes");
    REFUSED(o.rand_augment_n = 2, EHM_E_CONFIG, "1 channels");
    REFUSED(o.scale_max = 2, EHM_E_CONFIG, "scale");
    REFUSED((o.scale_min = 1, o.scale_max = NAN), EHM_E_CONFIG, "scale");
    REFUSED((o.scale_min = 1, o.scale_max = 101), EHM_E_CONFIG, "101");
    REFUSED(o.color_jitter = 1.5, EHM_E_CONFIG, "color_jitter");
    REFUSED(o.erase = -.1, EHM_E_CONFIG, "erase");
    REFUSED(o.erase = .5, EHM_E_ARG, "noise");
    REFUSED(o.box_keep = 2, EHM_E_CONFIG, "box_keep");
    REFUSED(o.rand_augment_n = -1, EHM_E_CONFIG, "RandAugment");
    REFUSED((o.rand_augment_n = 2, o.rand_augment_m = 11), EHM_E_CONFIG, "magnitude 11");
    REFUSED((o.augment = false, o.erase = .5, o.noise_mean = o.noise_std = one), EHM_E_ARG, "without augment");
    ehm_dataset_close(ds);
    REQUIRE_OK(open_set(&ds, "scenes:5:8:32", &err), &err);
    REFUSED((o.want_boxes = true, o.rand_augment_n = 2, o.rand_augment_m = 9), EHM_E_CONFIG, "RandAugment turns");
    ehm_dataset_close(ds);
}
