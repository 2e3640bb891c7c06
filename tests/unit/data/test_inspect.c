/* Check, near-duplicates and export. */
#include "data/inspect.h"
#include "make_sets.h"

TEST(inspect, check_names_bad_files) {
    put_ppm(in_tmp("s/a.ppm"), 4, 3, 3, 1);
    put_text(in_tmp("s/b.ppm"), "P6\n4 3\n255\nshort");
    put_ppm(in_tmp("s/c.ppm"), 4, 3, 3, 1);
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_data_checked r;
    ehm_pool *pool = NULL;
    REQUIRE_OK(ehm_pool_open(&pool, 2, &err), &err);
    REQUIRE_OK(open_set(&ds, in_tmp("s"), &err), &err);
    ehm_print prints[3];
    REQUIRE_OK(ehm_data_check(&r, ds, prints, pool, &a, &err), &err);
    CHECK_INT(r.n, 3);
    CHECK_INT(r.n_bad, 1);
    REQUIRE(r.n_kept == 1);
    CHECK_INT(r.bad[0].id, 1);
    CHECK(r.bad[0].reason[0] != 0);
    CHECK(prints[0].there && prints[0].flat && !prints[1].there);
    ehm_dataset_close(ds);
    ehm_pool_close(pool);
    ehm_arena_free(&a);
}

TEST(inspect, export_and_read_again) {
    if (!ehm_image_can_write_png()) SKIP("this build is without libpng");
    ehm_dataset *ds = NULL, *again = NULL;
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_data_exported x;
    REQUIRE_OK(open_set(&ds, "scenes:5:40:32", &err), &err);
    REQUIRE_OK(ehm_data_export(&x, ds, in_tmp("out"), NULL, &err), &err);
    CHECK_INT(x.n, 40);
    CHECK_INT(x.n_bad, 0);
    CHECK_INT(x.n_maps, 40);
    CHECK_INT(x.n_captions, 40);
    REQUIRE_OK(open_set(&again, in_tmp("out"), &err), &err);
    CHECK_INT(ehm_dataset_count(again), 40);
    REQUIRE(ehm_dataset_n_classes(again) == ehm_dataset_n_classes(ds));
    REQUIRE(ehm_dataset_n_map_classes(again) == ehm_dataset_n_map_classes(ds));
    REQUIRE(ehm_dataset_n_box_classes(again) == ehm_dataset_n_box_classes(ds));
    CHECK_INT(ehm_dataset_ignore_label(again), ehm_dataset_ignore_label(ds));
    for (int32_t i = 0; i < ehm_dataset_n_classes(ds); i++)
        CHECK_STR(ehm_dataset_class(again, i), ehm_dataset_class(ds, i));
    for (int32_t i = 0; i < ehm_dataset_n_map_classes(ds); i++)
        CHECK_STR(ehm_dataset_map_class(again, i), ehm_dataset_map_class(ds, i));
    enum { WANT = EHM_WANT_BOXES | EHM_WANT_CAPTION | EHM_WANT_LABEL_MAPS | EHM_WANT_OBJECT_MAPS };
    for (int64_t i = 0; i < 40; i++) {
        ehm_sample p, q;
        ehm_arena_reset(&a);
        REQUIRE_OK(ehm_dataset_read(again, i, &q, WANT, NULL, &a, &err), &err);
        int64_t k = strtoll(ehm_path_base(ehm_dataset_name(again, i)), NULL,
                            10); /* its number is in its name */
        REQUIRE_OK(ehm_dataset_read(ds, k, &p, WANT, NULL, &a, &err), &err);
        CHECK_INT(q.label, p.label);
        CHECK_STR(q.caption, p.caption);
        REQUIRE(q.image.w == p.image.w && q.image.h == p.image.h && q.label_map.px && q.object_map.px &&
                q.part_map.px);
        CHECK(!memcmp(q.image.px, p.image.px, ehm_image_bytes(&p.image)));
        CHECK(!memcmp(q.label_map.px, p.label_map.px, ehm_image_bytes(&p.label_map)));
        CHECK(!memcmp(q.object_map.px, p.object_map.px, ehm_image_bytes(&p.object_map)));
        CHECK(!memcmp(q.part_map.px, p.part_map.px, ehm_image_bytes(&p.part_map)));
        REQUIRE(q.n_boxes == p.n_boxes);
        for (int32_t b = 0; b < p.n_boxes; b++) CHECK(!memcmp(&q.boxes[b], &p.boxes[b], sizeof q.boxes[b]));
    }
    ehm_dataset_close(again);
    CHECK_FAILS(ehm_data_export(&x, ds, in_tmp("out"), NULL, &err), &err, EHM_E_CONFIG, "not empty");
    ehm_dataset_close(ds);
    ehm_arena_free(&a);
}

TEST(inspect, export_of_odd_classes) {
    put_ppm(in_tmp("s/only/1.ppm"), 4, 3, 1, 1);
    put_text(in_tmp("s/classes.txt"), "absent\nonly\n");
    put_text(in_tmp("s/list.txt"), "only/1.ppm\t../up\n");
    ehm_dataset *ds = NULL, *again = NULL;
    ehm_err err = {0};
    ehm_data_exported x;
    REQUIRE_OK(open_set(&ds, in_tmp("s"), &err), &err); /* a class without pictures, one class with them */
    REQUIRE_OK(ehm_data_export(&x, ds, in_tmp("o1"), NULL, &err), &err);
    REQUIRE_OK(open_set(&again, in_tmp("o1"), &err), &err);
    CHECK_INT(ehm_dataset_n_classes(again), 2);
    CHECK_INT(ehm_dataset_label(again, 0), 1);
    ehm_dataset_close(again);
    ehm_dataset_close(ds);
    CHECK(!unlink(in_tmp("s/classes.txt")));
    REQUIRE_OK(open_set(&ds, in_tmp("s/list.txt"), &err),
               &err); /* a class name that would lead out of the folder */
    REQUIRE_OK(ehm_data_export(&x, ds, in_tmp("o2/deep"), NULL, &err), &err);
    CHECK(!ehm_dir_exists(in_tmp("o2/up")));
    REQUIRE_OK(open_set(&again, in_tmp("o2/deep"), &err), &err);
    CHECK_INT(ehm_dataset_count(again), 1);
    CHECK_INT(ehm_dataset_n_classes(again), 1);
    ehm_dataset_close(again);
    ehm_dataset_close(ds);
}

/* copies.tar says which picture was made from which: re-encoded copies must be found, and nothing that is no
 * copy. */
TEST(inspect, near_duplicates) {
#if !EHM_WITH_JPEG
    SKIP("this build is without libjpeg");
#endif
    char base[2048], queries[2048];
    snprintf(base, sizeof base, "%s#database", ehm_test_data("copies.tar"));
    snprintf(queries, sizeof queries, "%s#queries", ehm_test_data("copies.tar"));
    ehm_dataset *d = NULL, *q = NULL;
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_bytes tar;
    REQUIRE_OK(open_set(&d, base, &err), &err);
    REQUIRE_OK(open_set(&q, queries, &err), &err);
    int64_t n_d = ehm_dataset_count(d), n_q = ehm_dataset_count(q);
    ehm_print *pd = malloc((size_t)n_d * sizeof *pd), *pq = malloc((size_t)n_q * sizeof *pq);
    REQUIRE_OK(ehm_data_prints(pd, d, NULL, &err), &err);
    REQUIRE_OK(ehm_data_prints(pq, q, NULL, &err), &err);
    ehm_twins t;
    REQUIRE_OK(ehm_prints_match(&t, pd, n_d, pq, n_q, &a, &err), &err);
    REQUIRE_OK(ehm_file_read(&tar, ehm_test_data("copies.tar"), &a, &err), &err);
    char *truth = memmem(tar.data, tar.len, "query\tpositive\t", 15);
    REQUIRE(truth != NULL);
    int64_t right = 0, wrong = 0, n_jpeg = 0, found_jpeg = 0;
    for (int64_t i = 0; i < t.n_kept; i++) {
        char line[512];
        snprintf(line, sizeof line, "\n%s\t%s\t", ehm_dataset_name(q, t.pairs[i].b),
                 ehm_dataset_name(d, t.pairs[i].a));
        char *hit = strstr(truth, line);
        if (!hit) wrong++;
        else right++, found_jpeg += !strncmp(hit + strlen(line), "jpeg", 4);
    }
    for (char *p = truth; (p = strstr(p, "\tjpeg\t")); p++) n_jpeg++;
    CHECK_INT(n_jpeg, 200);
    CHECK_INT(wrong, 0);
    if (found_jpeg < 180)
        ehm_test_fail(__FILE__, __LINE__, "only %lld of 200 re-encoded copies are found",
                      (long long)found_jpeg);
    if (getenv("EHM_TEST_VERBOSE"))
        fprintf(stderr, "right %lld wrong %lld jpeg %lld of %lld\n", (long long)right, (long long)wrong,
                (long long)found_jpeg, (long long)n_jpeg);
    REQUIRE_OK(ehm_prints_match(&t, pd, n_d, NULL, 0, &a, &err), &err);
    CHECK_INT(t.n_pairs, 0); /* the photographs themselves differ */
    free(pd);
    free(pq);
    ehm_dataset_close(d);
    ehm_dataset_close(q);
    ehm_arena_free(&a);
}
