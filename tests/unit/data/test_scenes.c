#include "base/hash.h"
#include "base/rng.h"
#include "data/scenes.h"
#include "harness.h"
#include <stddef.h>

static const uint32_t all_of_it =
    EHM_WANT_LABEL_MAPS | EHM_WANT_OBJECT_MAPS | EHM_WANT_BOXES | EHM_WANT_CAPTION;

TEST(scenes, names) {
    CHECK(ehm_scenes_n_classes() >= 10);
    for (int i = 0; i < ehm_scenes_n_classes(); i++) {
        CHECK(ehm_scenes_class(i) && *ehm_scenes_class(i));
        if (i)
            CHECK(strcmp(ehm_scenes_class(i - 1), ehm_scenes_class(i)) <
                  0); /* sorted: the ids that a folder of them would get */
    }
    for (int i = 0; i < ehm_scenes_n_parts(); i++)
        for (int k = 0; k < i; k++) CHECK(strcmp(ehm_scenes_part(i), ehm_scenes_part(k)) != 0);
    for (int i = 0; i < ehm_scenes_n_map_classes(); i++)
        for (int k = 0; k < i; k++) CHECK(strcmp(ehm_scenes_map_class(i), ehm_scenes_map_class(k)) != 0);
    CHECK(!ehm_scenes_class(-1) && !ehm_scenes_class(ehm_scenes_n_classes()));
    CHECK(!ehm_scenes_part(-1) && !ehm_scenes_part(ehm_scenes_n_parts()));
    CHECK(!ehm_scenes_map_class(-1) && !ehm_scenes_map_class(ehm_scenes_n_map_classes()));
}

TEST(scenes, labels_balanced) {
    int n = ehm_scenes_n_classes(), first[64] = {0};
    for (int block = 0; block < 200; block++) {
        int seen[64] = {0};
        for (int i = 0; i < n; i++) {
            int label = ehm_scenes_label(9, (int64_t)block * n + i);
            REQUIRE(label >= 0 && label < n);
            seen[label]++;
            if (!i) first[label]++;
        }
        for (int i = 0; i < n; i++) CHECK_INT(seen[i], 1);
    }
    for (int i = 0; i < n; i++) CHECK(first[i] > 2 && first[i] < 40); /* 16.7 expected */
    int same = 0;
    for (int i = 0; i < 1200; i++) same += ehm_scenes_label(9, i) == ehm_scenes_label(10, i);
    CHECK(same < 200); /* 100 expected */
}

/* Written down once; any compiler, optimisation and machine must give these again. A change of what is drawn
 * changes them on purpose: runs on scenes are then no longer comparable with older ones, so say it in the
 * changelog. */
TEST(scenes, same_pixels_everywhere) {
    static const struct {
        uint64_t seed;
        int32_t w, h, n;
        const char *image, *maps;
    } want[] = {{1, 64, 64, 48, "6a46e6d054072eb0191c19b787cb03ed744b646c181aee2ce594e122356cf0b3",
                 "88dc54e9cf657db1128c7d757236c34b96f74aa18471a1942bffd9a6772495dd"},
                {123456789012345ull, 96, 48, 24,
                 "c2f64968b549639343f1e5a92166862cd912b6af18a9cb45b154857319c5d420",
                 "b8bd8e73b2e4b405cc8faf84e280195bf11ca72ad072dd1935d1e412a84fd220"},
                {2, 33, 200, 12, "dd9cbebfa0615fc534324bc32fd84c20c63cec95d43b9d3a0a7b8c8a4626bfe2",
                 "bb33ea6f6d567864dcf4013af46edab3c8fd74cfb9c325c0db392e1d44471ec9"}};
    ehm_arena a = {0};
    ehm_err err = {0};
    for (int k = 0; k < 3; k++) {
        ehm_sha256 image, maps;
        uint8_t d[32];
        char hex[65];
        ehm_sha256_init(&image), ehm_sha256_init(&maps);
        for (int i = 0; i < want[k].n; i++) {
            ehm_sample s;
            REQUIRE_OK(ehm_scene_draw(&s, want[k].seed, i, want[k].w, want[k].h, all_of_it, &a, &err), &err);
            size_t n = (size_t)want[k].w * (size_t)want[k].h;
            ehm_sha256_add(&image, s.image.px, n * 3);
            ehm_sha256_add(&maps, s.label_map.px, n), ehm_sha256_add(&maps, s.object_map.px, n),
                ehm_sha256_add(&maps, s.part_map.px, n);
            for (int b = 0; b < s.n_boxes; b++) { /* corners and class; a scene has no crowds */
                ehm_sha256_add(&maps, &s.boxes[b], offsetof(ehm_box, crowd));
                CHECK_INT(s.boxes[b].crowd, 0);
            }
            ehm_sha256_add(&maps, s.caption, strlen(s.caption));
            ehm_arena_reset(&a);
        }
        ehm_sha256_end(&image, d), ehm_sha256_hex(d, hex);
        CHECK_STR(hex, want[k].image);
        ehm_sha256_end(&maps, d), ehm_sha256_hex(d, hex);
        CHECK_STR(hex, want[k].maps);
    }
    ehm_arena_free(&a);
}

TEST(scenes, what_is_wanted_changes_no_pixel) {
    ehm_arena a = {0};
    ehm_err err = {0};
    for (int i = 0; i < 20; i++) {
        ehm_sample s, t;
        REQUIRE_OK(ehm_scene_draw(&s, 4, i, 64, 64, all_of_it, &a, &err), &err);
        for (uint32_t want = 0; want < 16; want++) {
            REQUIRE_OK(ehm_scene_draw(&t, 4, i, 64, 64, want, &a, &err), &err);
            CHECK(!memcmp(s.image.px, t.image.px, 64 * 64 * 3));
            CHECK(!t.label_map.px == !(want & EHM_WANT_LABEL_MAPS) &&
                  !t.object_map.px == !(want & EHM_WANT_OBJECT_MAPS));
            CHECK(!t.part_map.px == !(want & EHM_WANT_OBJECT_MAPS) && !t.boxes == !(want & EHM_WANT_BOXES) &&
                  !t.caption == !(want & EHM_WANT_CAPTION));
            if (t.boxes)
                CHECK(t.n_boxes == s.n_boxes &&
                      !memcmp(t.boxes, s.boxes, (size_t)s.n_boxes * sizeof *s.boxes));
        }
        REQUIRE_OK(ehm_scene_draw(&t, 5, i, 64, 64, 0, &a, &err), &err);
        CHECK(memcmp(s.image.px, t.image.px, 64 * 64 * 3) != 0);
        ehm_arena_reset(&a);
    }
    ehm_arena_free(&a);
}

/* Maps agree with each other, boxes with the maps, and the main object is there to be seen. */
TEST(scenes, hierarchy_holds) {
    ehm_arena a = {0};
    ehm_err err = {0};
    int n_kinds = ehm_scenes_n_classes(), first_kind = -1, n_second = 0, least = 4096, part_seen[256] = {0},
        class_seen[256] = {0};
    for (int i = 0; i < ehm_scenes_n_map_classes(); i++)
        if (!strcmp(ehm_scenes_map_class(i), ehm_scenes_class(0))) first_kind = i;
    REQUIRE(first_kind > 0);
    for (int i = 0; i < 1500; i++) {
        ehm_sample s;
        REQUIRE_OK(ehm_scene_draw(&s, 6, i, 64, 64, all_of_it, &a, &err), &err);
        const uint8_t *label = s.label_map.px, *object = s.object_map.px, *part = s.part_map.px;
        int label_of[256], area[256] = {0}, box[256][4], n_main = 0;
        memset(label_of, -1, sizeof label_of);
        for (int p = 0; p < 4096; p++) {
            REQUIRE(label[p] < ehm_scenes_n_map_classes() && part[p] < ehm_scenes_n_parts());
            part_seen[part[p]]++, class_seen[label[p]]++;
            bool background = label[p] < first_kind;
            CHECK(background == (object[p] == 0));
            const char *name = ehm_scenes_map_class(label[p]), *piece = ehm_scenes_part(part[p]);
            if (strncmp(piece, name, strlen(name)))
                ehm_test_fail(__FILE__, __LINE__, "picture %d: part %s in class %s", i, piece, name);
            if (background) continue;
            int o = object[p], x = p % 64, y = p / 64;
            if (label_of[o] < 0) box[o][0] = box[o][2] = x, box[o][1] = box[o][3] = y;
            else CHECK_INT(label_of[o], label[p]);
            label_of[o] = label[p], area[o]++;
            if (x < box[o][0]) box[o][0] = x;
            if (x > box[o][2]) box[o][2] = x;
            if (y < box[o][1]) box[o][1] = y;
            if (y > box[o][3]) box[o][3] = y;
            n_main += label[p] == first_kind + s.label;
        }
        if (n_main < least) least = n_main;
        int at = 0, mains = 0;
        for (int o = 1; o < 256; o++) {
            if (label_of[o] < 0 || label_of[o] >= first_kind + n_kinds || area[o] * 500 < 4096) continue;
            REQUIRE(at < s.n_boxes);
            const ehm_box *b = &s.boxes[at++];
            CHECK(b->x0 == box[o][0] && b->y0 == box[o][1] && b->x1 == box[o][2] + 1 &&
                  b->y1 == box[o][3] + 1);
            CHECK_INT(b->class_id, label_of[o] - first_kind);
            mains += b->class_id == s.label;
        }
        CHECK_INT(at, s.n_boxes);
        CHECK_INT(mains, 1);
        n_second += s.n_boxes > 1;
        CHECK_HAS(s.caption, ehm_scenes_class(s.label));
        CHECK(!strchr(s.caption, '\n') && !strchr(s.caption, '\t'));
        ehm_arena_reset(&a);
    }
    CHECK(least >= 41); /* one in a hundred pixels */
    CHECK(n_second > 150 && n_second < 450);
    for (int i = 0; i < ehm_scenes_n_parts(); i++)
        if (!part_seen[i])
            ehm_test_fail(__FILE__, __LINE__, "part %s never seen in 1500 pictures", ehm_scenes_part(i));
    for (int i = 0; i < ehm_scenes_n_map_classes(); i++)
        if (!class_seen[i])
            ehm_test_fail(__FILE__, __LINE__, "class %s never seen in 1500 pictures",
                          ehm_scenes_map_class(i));
    ehm_arena_free(&a);
}

TEST(scenes, refuses_what_cannot_be) {
    ehm_arena a = {0}, tight = {.limit_bytes = 100000};
    ehm_err err = {0};
    ehm_sample s;
    CHECK_FAILS(ehm_scene_draw(&s, 1, 0, 4, 64, 0, &a, &err), &err, EHM_E_ARG, "4x64");
    CHECK_FAILS(ehm_scene_draw(&s, 1, 0, 64, 5000, 0, &a, &err), &err, EHM_E_ARG, "64x5000");
    CHECK_FAILS(ehm_scene_draw(&s, 1, -1, 64, 64, 0, &a, &err), &err, EHM_E_ARG, "-1");
    CHECK_FAILS(ehm_scene_draw(&s, 1, 0, 512, 512, 0, &tight, &err), &err, EHM_E_MEMORY, "512x512");
    ehm_err_clear(&err);
    CHECK_OK(ehm_scene_draw(&s, 1, 0, 8, 8, all_of_it, &a, &err), &err);
    CHECK_OK(ehm_scene_draw(&s, UINT64_MAX, INT64_MAX - 1, 9, 8, all_of_it, &a, &err), &err);
    ehm_arena_free(&a);
    ehm_arena_free(&tight);
}

static ehm_code set_open(ehm_dataset **ds, const char *spec, ehm_err *err) {
    const char *v[1] = {spec};
    return ehm_dataset_open(ds, &(ehm_strs){v, 1}, &(ehm_dataset_opt){.ignore_label = -1}, err);
}

TEST(scenes, as_a_data_set) {
    ehm_dataset *ds;
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_sample s, t;
    REQUIRE_OK(set_open(&ds, "scenes:7:50:48x40", &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 50);
    CHECK_INT(ehm_dataset_channels(ds), 3);
    CHECK(ehm_dataset_is_u8(ds));
    CHECK_INT(ehm_dataset_n_classes(ds), ehm_scenes_n_classes());
    CHECK_INT(ehm_dataset_n_map_classes(ds), ehm_scenes_n_map_classes());
    CHECK_INT(ehm_dataset_n_box_classes(ds), ehm_scenes_n_classes());
    for (int i = 0; i < 50; i += 7) {
        CHECK_STR(ehm_dataset_class(ds, ehm_dataset_label(ds, i)), ehm_scenes_class(ehm_scenes_label(7, i)));
        REQUIRE_OK(ehm_dataset_read(ds, i, &s, all_of_it, NULL, &a, &err), &err);
        REQUIRE_OK(ehm_scene_draw(&t, 7, i, 40, 48, all_of_it, &a, &err), &err);
        CHECK_INT(s.image.w, 40);
        CHECK_INT(s.image.h, 48);
        CHECK(!memcmp(s.image.px, t.image.px, 40 * 48 * 3));
        REQUIRE(s.label_map.px && s.object_map.px && s.part_map.px && s.boxes && s.caption);
        CHECK(!memcmp(s.label_map.px, t.label_map.px, 40 * 48) &&
              !memcmp(s.object_map.px, t.object_map.px, 40 * 48));
        CHECK(!memcmp(s.part_map.px, t.part_map.px, 40 * 48));
        CHECK_INT(s.n_boxes, t.n_boxes);
        CHECK_STR(s.caption, t.caption);
        for (int k = 0; k < i; k++) CHECK(strcmp(ehm_dataset_name(ds, i), ehm_dataset_name(ds, k)) != 0);
    }
    ehm_dataset_close(ds);
    ehm_arena_free(&a);
}

TEST(scenes, bad_specs) {
    static const struct {
        const char *spec, *part;
    } bad[] = {
        {"scenes:1", "seed and count"},   {"scenes:x:10", "seed"},           {"scenes:-1:10", "seed"},
        {"scenes:1:0", "count"},          {"scenes:1:ten", "count"},         {"scenes:1:10:7", "8 and 4096"},
        {"scenes:1:10:64x5000", "8 and"}, {"scenes:1:10:a", "size"},         {"scenes:1:10:64:3", "fields"},
        {"scenes:", "seed and count"},    {"scenes:1:999999999999", "count"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ehm_dataset *ds = NULL;
        ehm_err err = {0};
        CHECK_FAILS(set_open(&ds, bad[i].spec, &err), &err, EHM_E_CONFIG, bad[i].part);
        CHECK_HAS(err.hint, "scenes:SEED:COUNT");
        ehm_dataset_close(ds);
    }
}

/* ---- what a linear classifier sees ---- */
enum { N_TRAIN = 5000, N_TEST = 2000, N_CLASS_MAX = 16 };

static double score(const float *x, const uint8_t *y, int n, int d, const float *w, int c) {
    int right = 0;
    for (int i = 0; i < n; i++) {
        int best = 0;
        float top = -1e30f;
        for (int k = 0; k < c; k++) {
            float s = w[k * (d + 1) + d];
            for (int j = 0; j < d; j++) s += w[k * (d + 1) + j] * x[(int64_t)i * d + j];
            if (s > top) top = s, best = k;
        }
        right += best == y[i];
    }
    return (double)right / n;
}

/* Softmax regression by stochastic gradients on standardised features. Returns the best test score over the
 * epochs, which is kinder to the classifier than any choice of when to stop; train_score is the last one. */
static double linear(float *x, const uint8_t *y, int d, int n_epochs, float rate, double *train_score) {
    int c = ehm_scenes_n_classes();
    float *w = calloc((size_t)c * (size_t)(d + 1), sizeof *w), p[N_CLASS_MAX];
    for (int j = 0; j < d; j++) {
        double s = 0, q = 0;
        for (int i = 0; i < N_TRAIN; i++)
            s += x[(int64_t)i * d + j], q += (double)x[(int64_t)i * d + j] * x[(int64_t)i * d + j];
        double mean = s / N_TRAIN, sd = sqrt(q / N_TRAIN - mean * mean);
        for (int i = 0; i < N_TRAIN + N_TEST; i++)
            x[(int64_t)i * d + j] = (float)((x[(int64_t)i * d + j] - mean) / (sd > 1e-9 ? sd : 1));
    }
    double best = 0;
    int32_t order[N_TRAIN];
    for (int i = 0; i < N_TRAIN; i++) order[i] = i;
    for (int e = 0; e < n_epochs; e++) {
        ehm_rng r = ehm_rng_of(1, EHM_RNG_test, (uint32_t)e, 0);
        ehm_rng_shuffle_i32(&r, order, N_TRAIN);
        float lr = rate * (1 - (float)e / (float)n_epochs) / (float)d;
        for (int t = 0; t < N_TRAIN; t++) {
            const float *v = x + (int64_t)order[t] * d;
            float top = -1e30f, sum = 0;
            for (int k = 0; k < c; k++) {
                float s = w[k * (d + 1) + d];
                const float *wk = w + k * (d + 1);
                for (int j = 0; j < d; j++) s += wk[j] * v[j];
                p[k] = s;
                if (s > top) top = s;
            }
            for (int k = 0; k < c; k++) sum += p[k] = expf(p[k] - top);
            for (int k = 0; k < c; k++) {
                float g = lr * ((k == y[order[t]]) - p[k] / sum), *wk = w + k * (d + 1);
                for (int j = 0; j < d; j++) wk[j] += g * v[j];
                wk[d] += g;
            }
        }
        double s = score(x + (int64_t)N_TRAIN * d, y + N_TRAIN, N_TEST, d, w, c);
        if (s > best) best = s;
    }
    *train_score = score(x, y, N_TRAIN, d, w, c);
    free(w);
    return best;
}

/* Colour histograms and small raw pictures must say next to nothing about the class; the label map's
 * histogram, put through the same classifier, says nearly all: so the classifier works. */
TEST(scenes, no_shortcut_for_linear_classifiers) {
    enum { D_HIST = 64 + 48, D_RAW = 16 * 16 * 3, D_MAP = 32 };
    int n = N_TRAIN + N_TEST;
    float *hist = calloc((size_t)n * D_HIST, sizeof *hist), *raw = calloc((size_t)n * D_RAW, sizeof *raw),
          *map = calloc((size_t)n * D_MAP, sizeof *map);
    uint8_t *y = calloc((size_t)n, 1);
    REQUIRE(hist && raw && map && y && ehm_scenes_n_map_classes() <= D_MAP &&
            ehm_scenes_n_classes() <= N_CLASS_MAX);
    ehm_arena a = {0};
    ehm_err err = {0};
    for (int i = 0; i < n; i++) {
        ehm_sample s;
        bool train = i < N_TRAIN;
        REQUIRE_OK(
            ehm_scene_draw(&s, train ? 1 : 2, train ? i : i - N_TRAIN, 64, 64, EHM_WANT_LABEL_MAPS, &a, &err),
            &err);
        const uint8_t *p = s.image.px, *m = s.label_map.px;
        y[i] = (uint8_t)s.label;
        float *h = hist + (int64_t)i * D_HIST;
        for (int q = 0; q < 4096; q++) {
            h[(p[3 * q] >> 6) * 16 + (p[3 * q + 1] >> 6) * 4 + (p[3 * q + 2] >> 6)]++;
            for (int k = 0; k < 3; k++) {
                h[64 + 16 * k + (p[3 * q + k] >> 4)]++;
                raw[(int64_t)i * D_RAW + ((q / 64 / 4) * 16 + q % 64 / 4) * 3 + k] += p[3 * q + k];
            }
            map[(int64_t)i * D_MAP + m[q]]++;
        }
        ehm_arena_reset(&a);
    }
    ehm_arena_free(&a);
    double chance = 1.0 / ehm_scenes_n_classes(), tr[3], te[3];
    te[0] = linear(hist, y, D_HIST, 20, 1.f, &tr[0]);
    te[1] = linear(raw, y, D_RAW, 10, 1.f, &tr[1]);
    te[2] = linear(map, y, D_MAP, 10, 1.f, &tr[2]);
    printf("  linear, train and best test: histogram %.3f %.3f, 16x16 pixels %.3f %.3f, label map %.3f %.3f; "
           "chance %.3f\n",
           tr[0], te[0], tr[1], te[1], tr[2], te[2], chance);
    CHECK(te[0] <= chance + .05);
    CHECK(te[1] <= chance + .05);
    CHECK(te[2] >= .8);
    CHECK(tr[0] > chance + .05 && tr[1] > chance + .10); /* it did fit what there was to fit */
    free(hist), free(raw), free(map), free(y);
}
