/* Lists of paths. */
#include "make_sets.h"

TEST(source_list, paths_and_labels) {
    put_ppm(in_tmp("l/p/b.ppm"), 4, 3, 1, 2);
    put_ppm(in_tmp("l/p/a.ppm"), 4, 3, 1, 1);
    put_text(in_tmp("l/p/text"), "no picture");
    put_text(in_tmp("l/list.txt"),
             "# pictures\r\np/b.ppm\tzebra\r\n\np/a.ppm\tant\np/text\tant\np/a.ppm\tant\n");
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, in_tmp("l/list.txt"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 2);
    CHECK_STR(ehm_dataset_name(ds, 0), "p/a.ppm");
    CHECK_INT(ehm_dataset_n_classes(ds), 2);
    CHECK_STR(ehm_dataset_class(ds, 1), "zebra");
    CHECK_INT(ehm_dataset_label(ds, 1), 1);
    CHECK_INT(first_value(ds, 1), 2);
    ehm_dataset_close(ds);
    char abs[2048];
    snprintf(abs, sizeof abs, "%s\t3\n%s\t-1\n", in_tmp("l/p/a.ppm"), in_tmp("l/p/b.ppm"));
    put_text(in_tmp("elsewhere/abs"), abs); /* no ending: the first line tells what it is */
    REQUIRE_OK(open_set(&ds, in_tmp("elsewhere/abs"), &err), &err);
    CHECK_INT(ehm_dataset_n_classes(ds), 4);
    CHECK_INT(ehm_dataset_label(ds, 0), 3);
    CHECK_INT(ehm_dataset_label(ds, 1), -1);
    ehm_dataset_close(ds);
    put_text(in_tmp("l/classes.txt"), "zebra\nlion\nant\n");
    REQUIRE_OK(open_set(&ds, in_tmp("l/list.txt"), &err), &err);
    CHECK_INT(ehm_dataset_label(ds, 0), 2);
    CHECK_INT(ehm_dataset_n_classes(ds), 3);
    ehm_dataset_close(ds);
}

TEST(source_list, errors) {
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    put_ppm(in_tmp("a.ppm"), 4, 3, 1, 1);
    put_text(in_tmp("1.txt"), "a.ppm\ngone.ppm\nalso.ppm\n");
    CHECK_FAILS(open_set(&ds, in_tmp("1.txt"), &err), &err, EHM_E_IO, "1.txt:2");
    put_text(in_tmp("2.txt"), "\n\n# nothing\n");
    CHECK_FAILS(open_set(&ds, in_tmp("2.txt"), &err), &err, EHM_E_FORMAT, "no pictures");
    put_text(in_tmp("3.txt"), "a.ppm\tx\na.ppm\ty\n");
    CHECK_FAILS(open_set(&ds, in_tmp("3.txt"), &err), &err, EHM_E_FORMAT, "twice");
    put_text(in_tmp("4.txt"), "a.ppm\t1000001\n");
    CHECK_FAILS(open_set(&ds, in_tmp("4.txt"), &err), &err, EHM_E_FORMAT, "1000001");
    CHECK_FAILS(open_set(&ds, in_tmp("4.txt#train"), &err), &err, EHM_E_CONFIG, "no parts");
}
