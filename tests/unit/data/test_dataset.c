/* Datasets: sources joined, maps and boxes beside pictures, channels and types, hashes. */
#include "base/pool.h"
#include "data/sources_int.h"
#include "make_sets.h"

static ehm_code open_two(ehm_dataset **ds, const char *a, const char *b, ehm_err *err) {
    const char *v[] = {a, b};
    ehm_strs paths = {v, 2};
    const ehm_dataset_opt opt = {.ignore_label = -1};
    return ehm_dataset_open(ds, &paths, &opt, err);
}

TEST(dataset, joins_by_class_name) {
    put_ppm(in_tmp("x/cat/1.ppm"), 4, 3, 1, 1);
    put_ppm(in_tmp("x/dog/1.ppm"), 4, 3, 1, 2);
    put_ppm(in_tmp("y/ant/1.ppm"), 4, 3, 1, 3);
    put_ppm(in_tmp("y/dog/1.ppm"), 4, 3, 1, 4);
    ehm_dataset *ds = NULL, *alone = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_two(&ds, in_tmp("x"), in_tmp("y"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 4);
    CHECK_INT(ehm_dataset_n_classes(ds), 3);
    CHECK_STR(ehm_dataset_class(ds, 0), "ant");
    CHECK_INT(ehm_dataset_label(ds, 0), 1);
    CHECK_INT(ehm_dataset_label(ds, 2), 0);
    CHECK_INT(ehm_dataset_label(ds, 3), 2);
    CHECK_INT(first_value(ds, 3), 4);
    CHECK(strcmp(ehm_dataset_name(ds, 1), ehm_dataset_name(ds, 3)) != 0); /* dog/1.ppm is in both */
    CHECK(ehm_ends(ehm_dataset_name(ds, 3), "y/dog/1.ppm"));
    REQUIRE_OK(open_set(&alone, in_tmp("y"), &err), &err);
    REQUIRE_OK(ehm_dataset_adopt_classes(alone, ds, &err), &err);
    CHECK_INT(ehm_dataset_n_classes(alone), 3);
    CHECK_INT(ehm_dataset_label(alone, 1), 2);
    ehm_dataset_close(alone);
    ehm_dataset_close(ds);
    REQUIRE_OK(open_two(&ds, in_tmp("x"), in_tmp("x"), &err), &err); /* the same twice is allowed */
    CHECK_INT(ehm_dataset_count(ds), 4);
    CHECK(strcmp(ehm_dataset_name(ds, 0), ehm_dataset_name(ds, 2)) != 0);
    ehm_dataset_close(ds);
    char both[4096];
    snprintf(both, sizeof both, "%s::%s", in_tmp("x"), in_tmp("y"));
    REQUIRE_OK(open_set(&ds, both, &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 4);
    ehm_dataset_close(ds);
}

TEST(dataset, hash_and_limit) {
    put_ppm(in_tmp("s/1.ppm"), 4, 3, 1, 1);
    put_ppm(in_tmp("s/2.ppm"), 4, 3, 1, 2);
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    char hash[65];
    REQUIRE_OK(open_set(&ds, in_tmp("s"), &err), &err);
    strcpy(hash, ehm_dataset_hash(ds));
    CHECK_INT(strlen(hash), 64);
    ehm_dataset_close(ds);
    REQUIRE_OK(open_set(&ds, in_tmp("s"), &err), &err);
    CHECK_STR(ehm_dataset_hash(ds), hash);
    ehm_dataset_close(ds);
    ehm_dataset_opt opt = {.limit = 1, .ignore_label = -1};
    REQUIRE_OK(open_with(&ds, in_tmp("s"), &opt, &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 1);
    CHECK(strcmp(ehm_dataset_hash(ds), hash) != 0);
    ehm_dataset_close(ds);
    put_ppm(in_tmp("s/2.ppm"), 4, 4, 1, 2); /* another size in bytes */
    REQUIRE_OK(open_set(&ds, in_tmp("s"), &err), &err);
    CHECK(strcmp(ehm_dataset_hash(ds), hash) != 0);
    ehm_dataset_close(ds);
}

TEST(dataset, channels_and_types) {
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "c/%d.ppm", i);
        put_ppm(in_tmp(name), 4, 3, i < 2 ? 1 : 3, 100 + i);
    }
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_sample s;
    REQUIRE_OK(open_set(&ds, in_tmp("c"), &err), &err);
    CHECK_INT(ehm_dataset_channels(ds), 3); /* the majority */
    REQUIRE_OK(ehm_dataset_read(ds, 0, &s, 0, NULL, &a, &err), &err);
    CHECK_INT(s.image.c, 3);
    CHECK(!memcmp(s.image.px, "ddd", 3));
    ehm_image_info info;
    REQUIRE_OK(ehm_dataset_size_of(ds, 0, &info, &a, &err), &err);
    CHECK_INT(info.c, 1);
    CHECK_STR(info.format, "pnm");
    ehm_bytes raw;
    REQUIRE_OK(ehm_dataset_bytes(ds, 0, &raw, &a, &err), &err);
    CHECK(!memcmp(raw.data, "P5", 2));
    ehm_dataset_close(ds);
    ehm_dataset_opt opt = {.channels = 1, .ignore_label = -1};
    REQUIRE_OK(open_with(&ds, in_tmp("c"), &opt, &err), &err);
    REQUIRE_OK(ehm_dataset_read(ds, 4, &s, 0, NULL, &a, &err), &err);
    CHECK_INT(s.image.c, 1);
    CHECK_INT(((uint8_t *)s.image.px)[0], 104);
    ehm_dataset_close(ds);
    put_file(in_tmp("c/9.ppm"), "P5\n1 1\n65535\n\xff\xff", 15); /* 16 bit among them */
    REQUIRE_OK(open_set(&ds, in_tmp("c"), &err), &err);
    CHECK(!ehm_dataset_is_u8(ds));
    REQUIRE_OK(ehm_dataset_read(ds, 5, &s, 0, NULL, &a, &err), &err);
    CHECK(s.image.type == EHM_F32 && ((float *)s.image.px)[0] == 1.0f);
    REQUIRE_OK(ehm_dataset_read(ds, 0, &s, 0, NULL, &a, &err), &err);
    CHECK_NEAR(((float *)s.image.px)[0], 100.0 / 255, 1e-7);
    ehm_dataset_close(ds);
    opt = (ehm_dataset_opt){.max_pixels = 11, .ignore_label = -1};
    REQUIRE_OK(open_with(&ds, in_tmp("c"), &opt, &err), &err);
    CHECK_FAILS(ehm_dataset_read(ds, 0, &s, 0, NULL, &a, &err), &err, EHM_E_FORMAT, "0.ppm");
    ehm_dataset_close(ds);
    opt = (ehm_dataset_opt){.alpha = "blue", .ignore_label = -1};
    CHECK_FAILS(open_with(&ds, in_tmp("c"), &opt, &err), &err, EHM_E_CONFIG, "blue");
    ehm_arena_free(&a);
}

static void put_map(const char *path, int w, int h, int v) {
    uint8_t px[64];
    memset(px, v, sizeof px);
    ehm_image im = {px, w, h, 1, EHM_U8};
    ehm_err err = {0};
    char dir[1024];
    snprintf(dir, sizeof dir, "%s", path);
    *strrchr(dir, '/') = 0;
    REQUIRE_OK(ehm_dir_make(dir, &err), &err);
    REQUIRE_OK(ehm_png_write(path, &im, &err), &err);
}

TEST(dataset, label_maps) {
    if (!ehm_image_can_write_png()) SKIP("this build is without libpng");
    put_ppm(in_tmp("m/images/b.ppm"), 4, 3, 3, 1);
    put_ppm(in_tmp("m/images/sub/a.ppm"), 4, 3, 3, 2);
    put_ppm(in_tmp("m/images/zz.ppm"), 4, 3, 3, 3);
    put_map(in_tmp("m/labels/b.png"), 4, 3, 2);
    put_map(in_tmp("m/labels/sub/a.png"), 4, 3, 5);
    put_map(in_tmp("m/labels/nobody.png"), 4, 3, 0);
    put_map(in_tmp("m/preview.png"), 4, 3, 0);
    put_text(in_tmp("m/classes.tsv"), "0\tsky\n2\ttree\n5\tVoid\n");
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_sample s;
    REQUIRE_OK(open_set(&ds, in_tmp("m"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 3);
    CHECK_INT(ehm_dataset_n_classes(ds), 0);
    CHECK_INT(ehm_dataset_n_map_classes(ds), 3); /* 5 is void, beyond the others */
    CHECK_STR(ehm_dataset_map_class(ds, 2), "tree");
    CHECK_STR(ehm_dataset_map_class(ds, 1), "1");
    CHECK_INT(ehm_dataset_ignore_label(ds), 5);
    REQUIRE_OK(ehm_dataset_read(ds, 1, &s, EHM_WANT_LABEL_MAPS, NULL, &a, &err), &err);
    CHECK(s.label_map.px && s.label_map.w == 4 && ((uint8_t *)s.label_map.px)[0] == 5);
    REQUIRE_OK(ehm_dataset_read(ds, 1, &s, 0, NULL, &a, &err), &err);
    CHECK(!s.label_map.px);
    REQUIRE_OK(ehm_dataset_read(ds, 2, &s, EHM_WANT_LABEL_MAPS, NULL, &a, &err), &err);
    CHECK(!s.label_map.px); /* zz has none */
    ehm_data_summary sum;
    REQUIRE_OK(ehm_dataset_summary(ds, &sum, &err), &err);
    CHECK_INT(sum.n_ignored, 2);
    CHECK(sum.has_label_maps);
    ehm_dataset_close(ds);
    put_text(in_tmp("m/classes.tsv"), "0\tsky\n1\ttree\n");
    REQUIRE_OK(open_set(&ds, in_tmp("m"), &err), &err);
    CHECK_FAILS(ehm_dataset_read(ds, 0, &s, EHM_WANT_LABEL_MAPS, NULL, &a, &err), &err, EHM_E_FORMAT,
                "value 2");
    ehm_dataset_close(ds);
    CHECK(!unlink(in_tmp("m/classes.tsv")));
    REQUIRE_OK(open_set(&ds, in_tmp("m"), (ehm_err_clear(&err), &err)), &err);
    CHECK_INT(ehm_dataset_n_map_classes(ds), 6); /* the largest value there */
    CHECK_INT(ehm_dataset_ignore_label(ds), 255);
    ehm_dataset_close(ds);
    ehm_arena_free(&a);
}

TEST(dataset, voc_boxes) {
    static const char *const xml =
        "<?xml version=\"1.0\"?>\n<!-- a <comment> "
        "-->\n<annotation><size><width>10</width><height>8</height><depth>3</depth></size>"
        "<object><name>cat &amp; dog</name><part><name>ear</name><bndbox><xmin>1</xmin></bndbox></part>"
        "<bndbox><xmin>2</xmin><ymin> 3 </ymin><xmax>4.0</xmax><ymax>5</ymax></bndbox><difficult>0</difficult></object>"
        "<object><difficult> 1 </difficult><name>ant</name><bndbox><xmin>9</xmin><ymin>1</ymin><xmax>99</xmax><ymax>99</ymax></"
        "bndbox></object>"
        "<object><name>ant</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></"
        "object>"
        "<object><name>ant</name><bndbox><xmin>50</xmin><ymin>5</ymin><xmax>55</xmax><ymax>7</ymax></"
        "bndbox></object></annotation>";
    put_ppm(in_tmp("v/JPEGImages/1.jpg"), 10, 8, 3, 1);
    put_ppm(in_tmp("v/JPEGImages/2.jpg"), 10, 8, 3, 2);
    put_text(in_tmp("v/Annotations/1.xml"), xml);
    put_text(in_tmp("v/ImageSets/Main/val.txt"), "1  1\n2 -1\n3 1\n");
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_sample s;
    REQUIRE_OK(open_set(&ds, in_tmp("v"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 2);
    CHECK_INT(ehm_dataset_n_box_classes(ds), 2);
    CHECK_STR(ehm_dataset_box_class(ds, 0), "ant");
    CHECK_STR(ehm_dataset_box_class(ds, 1), "cat & dog");
    REQUIRE_OK(ehm_dataset_read(ds, 0, &s, EHM_WANT_BOXES, NULL, &a, &err), &err);
    REQUIRE(s.n_boxes == 2);
    CHECK(s.boxes[0].x0 == 1 && s.boxes[0].y0 == 2 && s.boxes[0].x1 == 4 && s.boxes[0].y1 == 5);
    CHECK_INT(s.boxes[0].class_id, 1);
    CHECK(s.boxes[1].x0 == 8 && s.boxes[1].x1 == 10 && s.boxes[1].y1 == 8);
    CHECK(!s.boxes[0].crowd && s.boxes[1].crowd); /* difficult */
    ehm_dataset_close(ds);
    REQUIRE_OK(open_set(&ds, in_tmp("v#val"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 1);
    CHECK_STR(ehm_dataset_name(ds, 0), "JPEGImages/1.jpg");
    ehm_dataset_close(ds);
    put_text(in_tmp("v/Annotations/2.xml"), "<annotation><object></annotation>");
    CHECK_FAILS(open_set(&ds, in_tmp("v"), &err), &err, EHM_E_FORMAT, "2.xml:1");
    ehm_arena_free(&a);
}

#define A8 "<a><a><a><a><a><a><a><a>"
TEST(dataset, voc_hostile) {
    static const char *const bad[] = {
        "",
        "<",
        "<annotation",
        "<annotation>",
        "<html></html>",
        "</annotation>",
        "<annotation><a></b></annotation>",
        "<!-- no end",
        "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><annotation></annotation>",
        "<annotation><![CDATA[</annotation>",
        "<annotation><object><bndbox></bndbox></object></annotation>",
        "<annotation><size><width>abc</width></size></annotation>",
        "<annotation><object><name>a</name><bndbox><xmin>x</xmin></bndbox></object></annotation>",
        "<annotation>" A8 A8 A8 A8, /* nested too deep */
    };
    ehm_arena a = {0};
    ehm_err err;
    ehm_voc v;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *copy = malloc(strlen(bad[i]) + 1); /* exactly as long: a sanitizer sees a step beyond */
        memcpy(copy, bad[i], strlen(bad[i]));
        err = (ehm_err){0};
        CHECK_INT(ehm_voc_parse(&v, copy, strlen(bad[i]), "x.xml", &a, &err), EHM_E_FORMAT);
        CHECK_HAS(err.what, "x.xml");
        free(copy);
    }
    err = (ehm_err){0};
    static const char nan_box[] = "<annotation><object><name>a</name><bndbox><xmin>1e99</xmin><ymin>1</"
                                  "ymin><xmax>1e300</xmax><ymax>3</ymax></bndbox></object><x/></annotation>";
    CHECK_OK(ehm_voc_parse(&v, nan_box, sizeof nan_box - 1, "x.xml", &a, &err), &err);
    CHECK_INT(v.n, 0);
    CHECK_INT(v.n_skipped, 1);
    ehm_arena_free(&a);
}

TEST(dataset, coco_boxes_captions_and_tables) {
    put_ppm(in_tmp("c/images/x/1.ppm"), 10, 8, 3, 1);
    put_ppm(in_tmp("c/images/y/2.ppm"), 10, 8, 3, 2);
    put_text(in_tmp("c/boxes.json"), "{\"images\":[{\"id\":7,\"file_name\":\"images/y/"
                                     "2.ppm\",\"width\":10,\"height\":8},{\"id\":3,\"file_name\":\"x/"
                                     "1.ppm\"},{\"id\":9,\"file_name\":\"gone\"}],"
                                     "\"categories\":[{\"id\":5,\"name\":\"b\"},{\"id\":2,\"name\":\"a\"}],"
                                     "\"annotations\":[{\"image_id\":7,\"category_id\":5,\"iscrowd\":1,\"area\":17.5,\"bbox\":[1,2,30,3]}"
                                     ",{\"image_id\":7,\"category_id\":2,\"bbox\":[1,1,0,4]},"
                                     "{\"image_id\":3,\"category_id\":2,\"iscrowd\":false,\"area\":4,\"bbox\":[0.5,0,2,2]},{\"image_id\":"
                                     "9,\"category_id\":2,\"bbox\":[0,0,1,1]}]}");
    put_text(in_tmp("c/captions.tsv"), "images/x/1.ppm\tone thing\nimages/none.ppm\tx\n");
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_sample s;
    REQUIRE_OK(open_set(&ds, in_tmp("c"), &err), &err);
    CHECK_INT(ehm_dataset_n_classes(ds), 2);
    CHECK_STR(ehm_dataset_box_class(ds, 0), "a"); /* by id */
    REQUIRE_OK(ehm_dataset_read(ds, 1, &s, EHM_WANT_BOXES, NULL, &a, &err), &err);
    REQUIRE(s.n_boxes == 1);
    CHECK(s.boxes[0].x0 == 1 && s.boxes[0].x1 == 10 && s.boxes[0].y1 == 5 && s.boxes[0].class_id == 1 && s.boxes[0].crowd && s.boxes[0].area == 17.5f);
    REQUIRE_OK(ehm_dataset_read(ds, 0, &s, EHM_WANT_BOXES | EHM_WANT_CAPTION, NULL, &a, &err), &err);
    CHECK_INT(s.n_boxes, 1);
    CHECK(!s.boxes[0].crowd && s.boxes[0].area == 0);
    CHECK_STR(s.caption, "one thing");
    ehm_dataset_close(ds);
    static const char *const bad[] = {"{}",
                                      "[]",
                                      "{\"images\":[],\"categories\":[{\"id\":1}],\"annotations\":[]}",
                                      "{\"images\":[],\"categories\":[],\"annotations\":[{\"image_id\":1,"
                                      "\"category_id\":1,\"bbox\":[0,0,1,1]}]}",
                                      "{\"images\":[],\"categories\":[],\"annotations\":[{\"image_id\":1,"
                                      "\"category_id\":1,\"bbox\":[0,0,1]}]}",
                                      "{"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_text(in_tmp("c/boxes.json"), bad[i]);
        CHECK_FAILS(open_set(&ds, in_tmp("c"), &err), &err, EHM_E_FORMAT, "boxes.json");
    }
    CHECK(!unlink(in_tmp("c/boxes.json")));
    put_text(in_tmp("c/boxes/all.tsv"), "images/x/1.ppm\t0\t1\t9\t20\n");
    REQUIRE_OK(open_set(&ds, in_tmp("c"), (ehm_err_clear(&err), &err)), &err);
    REQUIRE_OK(ehm_dataset_read(ds, 0, &s, EHM_WANT_BOXES, NULL, &a, &err), &err);
    REQUIRE(s.n_boxes == 1);
    CHECK(s.boxes[0].x1 == 10 && s.boxes[0].y0 == 1 && s.boxes[0].y1 == 8); /* cut at the edge */
    ehm_dataset_close(ds);
    put_text(in_tmp("c/boxes/all.tsv"), "images/x/1.ppm\t0\t1\t9\n");
    CHECK_FAILS(open_set(&ds, in_tmp("c"), &err), &err, EHM_E_FORMAT, "all.tsv:1");
    ehm_arena_free(&a);
}

typedef struct {
    ehm_dataset *ds;
    int n_wrong[8];
} readers;
static void read_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    readers *r = ctx;
    ehm_arena a = {0};
    for (int64_t i = begin; i < end; i++) {
        ehm_sample s;
        ehm_image_info info;
        ehm_err err = {0};
        int64_t k = i % ehm_dataset_count(r->ds); /* several threads meet at one picture */
        ehm_arena_reset(&a);
        bool ok = !ehm_dataset_size_of(r->ds, k, &info, &a, &err) &&
                  !ehm_dataset_read(r->ds, k, &s, 0, NULL, &a, &err);
        r->n_wrong[i_thread] += !ok || info.w != 4 + k || s.image.w != 4 + k ||
                                ((uint8_t *)s.image.px)[0] != k;
    }
    ehm_arena_free(&a);
}

TEST(dataset, many_threads) {
    static bytes t;
    t.n = 0;
    for (int i = 0; i < 12; i++) {
        char name[32];
        uint8_t b[512];
        snprintf(name, sizeof name, "%02d.ppm", i);
        tar_add(&t, name, b, ppm(b, 4 + i, 3, 3, i));
    }
    tar_end(&t);
    put_file(in_tmp("s.tar"), t.v, t.n);
    readers r = {0};
    ehm_pool *pool = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&r.ds, in_tmp("s.tar"), &err), &err);
    REQUIRE_OK(ehm_pool_open(&pool, 4, &err), &err);
    ehm_pool_for(pool, 600, 1, read_some, &r);
    for (int i = 0; i < 8; i++) CHECK_INT(r.n_wrong[i], 0);
    ehm_pool_close(pool);
    ehm_dataset_close(r.ds);
}
