/* Folders: what counts as a picture, links, labels, order, parts. */
#include "make_sets.h"

TEST(source_folder, class_folders) {
    put_ppm(in_tmp("s/dog/b.ppm"), 4, 3, 3, 20);
    put_ppm(in_tmp("s/dog/deep/a.ppm"), 4, 3, 3, 21);
    put_ppm(in_tmp("s/cat/1.ppm"), 4, 3, 3, 10);
    put_text(in_tmp("s/README"), "no picture");
    put_text(in_tmp("s/dog/broken.jpg"), "a text that calls itself a picture");
    put_text(in_tmp("s/.hidden"), "x");
    put_ppm(in_tmp("s/dog/._b.ppm"), 4, 3, 3, 99);
    put_ppm(in_tmp("s/.git/x.ppm"), 4, 3, 3, 99);
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, in_tmp("s"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 3);
    CHECK_INT(ehm_dataset_n_classes(ds), 2);
    CHECK_STR(ehm_dataset_class(ds, 0), "cat");
    CHECK_STR(ehm_dataset_name(ds, 0), "cat/1.ppm");
    CHECK_STR(ehm_dataset_name(ds, 1), "dog/b.ppm");
    CHECK_STR(ehm_dataset_name(ds, 2), "dog/deep/a.ppm");
    CHECK_INT(ehm_dataset_label(ds, 0), 0);
    CHECK_INT(ehm_dataset_label(ds, 2), 1);
    CHECK_INT(first_value(ds, 0), 10);
    CHECK_INT(first_value(ds, 1), 20);
    CHECK_INT(first_value(ds, 2), 21);
    ehm_data_summary sum;
    REQUIRE_OK(ehm_dataset_summary(ds, &sum, &err), &err);
    CHECK_INT(sum.n_ignored, 5); /* README, broken.jpg, .hidden, ._b.ppm, .git */
    CHECK_INT(sum.channels, 3);
    CHECK_INT(sum.median_short_side, 3);
    CHECK(ehm_dataset_name(ds, 3) == NULL && ehm_dataset_name(ds, -1) == NULL);
    ehm_dataset_close(ds);
}

TEST(source_folder, flat_wrapped_and_single) {
    put_ppm(in_tmp("flat/a.ppm"), 4, 3, 1, 1);
    put_ppm(in_tmp("flat/sub/b.ppm"), 4, 3, 1, 2);
    put_ppm(in_tmp("wrap/outer/x/1.ppm"), 4, 3, 1, 3);
    put_ppm(in_tmp("wrap/outer/y/1.ppm"), 4, 3, 1, 4);
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, in_tmp("flat"), &err), &err); /* pictures beside one folder: no classes */
    CHECK_INT(ehm_dataset_n_classes(ds), 0);
    CHECK_INT(ehm_dataset_label(ds, 0), -1);
    CHECK_INT(ehm_dataset_channels(ds), 1);
    ehm_dataset_close(ds);
    REQUIRE_OK(open_set(&ds, in_tmp("wrap"), &err), &err);
    CHECK_INT(ehm_dataset_n_classes(ds), 2);
    CHECK_STR(ehm_dataset_class(ds, 1), "y");
    ehm_dataset_close(ds);
    REQUIRE_OK(open_set(&ds, in_tmp("wrap/outer/y/1.ppm"), &err), &err); /* one picture is a set of one */
    CHECK_INT(ehm_dataset_count(ds), 1);
    CHECK_STR(ehm_dataset_name(ds, 0), "1.ppm");
    CHECK_INT(first_value(ds, 0), 4);
    ehm_dataset_close(ds);
}

/* Formats that no build reads: left out among others, in a folder, a tar and a list; alone they stay, and fail as they are read. */
TEST(source_folder, foreign_formats) {
    static const char heic[] = "\0\0\0\030ftypheic\0\0\0\0mif1heic";
    put_ppm(in_tmp("f/a/1.ppm"), 4, 3, 3, 1);
    put_ppm(in_tmp("f/b/2.ppm"), 4, 3, 3, 2);
    put_file(in_tmp("f/a/0.jpg"), heic, sizeof heic - 1);
    put_file(in_tmp("f/b/3.heic"), heic, sizeof heic - 1);
    put_text(in_tmp("f/list.txt"), "b/3.heic\tb\na/1.ppm\ta\n");
    put_file(in_tmp("alone/3.heic"), heic, sizeof heic - 1);
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    ehm_data_summary sum;
    REQUIRE_OK(open_set(&ds, in_tmp("f"), &err), &err);
    CHECK(ehm_dataset_count(ds) == 2 && ehm_dataset_n_left_out(ds) == 2 && ehm_dataset_n_classes(ds) == 2);
    CHECK_STR(ehm_dataset_left_out(ds, 0).name, "a/0.jpg");
    CHECK_STR(ehm_dataset_left_out(ds, 1).name, "b/3.heic");
    CHECK_STR(ehm_dataset_left_out(ds, 1).format, "heic");
    CHECK(!ehm_dataset_left_out(ds, 2).name);
    CHECK(first_value(ds, 0) == 1 && first_value(ds, 1) == 2 && ehm_dataset_label(ds, 1) == 1);
    REQUIRE_OK(ehm_dataset_summary(ds, &sum, &err), &err);
    CHECK(sum.n_left_out == 2 && sum.n_ignored == 1 && strstr(sum.text, "2 more pictures are left out: heic cannot be read, such as a/0.jpg; to convert it: heif-convert"));
    ehm_dataset_close(ds);
    REQUIRE_OK(open_set(&ds, in_tmp("f/list.txt"), &err), &err);
    CHECK(ehm_dataset_count(ds) == 1 && ehm_dataset_n_left_out(ds) == 1 && ehm_dataset_n_classes(ds) == 1);
    ehm_dataset_close(ds);
    CHECK_FAILS(open_set(&ds, in_tmp("alone"), &err), &err, EHM_E_UNSUPPORTED, "heic pictures cannot be read");
    CHECK_FAILS(open_set(&ds, in_tmp("f/b/3.heic"), &err), &err, EHM_E_UNSUPPORTED, "heic pictures cannot be read");
}

TEST(source_folder, words_of_a_summary) {
    put_ppm(in_tmp("w/wide.ppm"), 8, 4, 3, 1);
    put_ppm(in_tmp("w/tall.ppm"), 3, 9, 3, 1);
    put_text(in_tmp("w/notes"), "x");
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    ehm_data_summary sum;
    REQUIRE_OK(open_set(&ds, in_tmp("w"), &err), &err);
    REQUIRE_OK(ehm_dataset_summary(ds, &sum, &err), &err);
    CHECK(strstr(sum.text, "\n1 other file is ignored\n") && strstr(sum.text, "looked at: 3x9 to 8x4 (1 wide, 1 tall), median short side 4"));
    CHECK(sum.min_w == 3 && sum.max_w == 8 && sum.min_h == 4 && sum.max_h == 9);
    ehm_dataset_close(ds);
    REQUIRE_OK(open_set(&ds, in_tmp("w/wide.ppm"), &err), &err);
    REQUIRE_OK(ehm_dataset_summary(ds, &sum, &err), &err);
    CHECK(ehm_starts(sum.text, "1 picture from folder "));
    ehm_dataset_close(ds);
    REQUIRE_OK(open_set(&ds, "scenes:1:12:16", &err), &err);
    REQUIRE_OK(ehm_dataset_summary(ds, &sum, &err), &err);
    CHECK(ehm_starts(sum.text, "12 pictures from scenes:1:12:16\n") && strstr(sum.text, "classes, 1 picture each"));
    ehm_dataset_close(ds);
}

TEST(source_folder, splits_and_parts) {
    put_ppm(in_tmp("s/train/b/1.ppm"), 4, 3, 1, 1);
    put_ppm(in_tmp("s/train/a/1.ppm"), 4, 3, 1, 2);
    put_ppm(in_tmp("s/test/a/1.ppm"), 4, 3, 1, 3);
    put_ppm(in_tmp("s/test/c/1.ppm"), 4, 3, 1, 4);
    put_ppm(in_tmp("odd#1/p.ppm"), 4, 3, 1, 9);
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, in_tmp("s"), &err), &err); /* train and test are no classes */
    CHECK_INT(ehm_dataset_count(ds), 4);
    CHECK_INT(ehm_dataset_n_classes(ds), 3);
    CHECK_INT(ehm_dataset_label(ds, 0), 0);
    CHECK_INT(ehm_dataset_label(ds, 1), 2);
    CHECK_INT(ehm_dataset_label(ds, 3), 1);
    ehm_dataset_close(ds);
    REQUIRE_OK(open_set(&ds, in_tmp("s#train"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 2);
    CHECK_STR(ehm_dataset_name(ds, 0), "train/a/1.ppm");
    ehm_dataset *test = NULL;
    REQUIRE_OK(open_set(&test, in_tmp("s#test"), &err), &err);
    CHECK_FAILS(ehm_dataset_adopt_classes(test, ds, &err), &err, EHM_E_MISMATCH, "\"c\"");
    ehm_dataset_close(test);
    REQUIRE_OK(open_set(&test, in_tmp("s#test"), (ehm_err_clear(&err), &err)), &err);
    REQUIRE_OK(ehm_dataset_adopt_classes(ds, ds, &err), &err);
    ehm_dataset_close(test);
    ehm_dataset_close(ds);
    REQUIRE_OK(open_set(&ds, in_tmp("odd#1"), &err), &err); /* what exists as written wins */
    CHECK_INT(ehm_dataset_count(ds), 1);
    ehm_dataset_close(ds);
    CHECK_FAILS(open_set(&ds, in_tmp("s#trian"), &err), &err, EHM_E_CONFIG, "train");
    CHECK(ds == NULL);
    CHECK_FAILS(open_set(&ds, in_tmp("s#"), &err), &err, EHM_E_CONFIG, "name is missing");
}

TEST(source_folder, class_list) {
    put_ppm(in_tmp("s/train/zebra/1.ppm"), 4, 3, 1, 1);
    put_ppm(in_tmp("s/train/ant/1.ppm"), 4, 3, 1, 2);
    put_text(in_tmp("s/classes.txt"), "zebra\r\nant\nmole\n");
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, in_tmp("s#train"), &err), &err);
    CHECK_INT(ehm_dataset_n_classes(ds), 3);
    CHECK_STR(ehm_dataset_class(ds, 0), "zebra");
    CHECK_INT(ehm_dataset_label(ds, 0), 1); /* train/ant comes first, its id is 1 */
    CHECK_INT(ehm_dataset_label(ds, 1), 0);
    ehm_dataset_close(ds);
    put_text(in_tmp("s/classes.txt"), "zebra\n");
    CHECK_FAILS(open_set(&ds, in_tmp("s"), &err), &err, EHM_E_MISMATCH, "\"ant\"");
    put_text(in_tmp("s/classes.txt"), "zebra\nzebra\n");
    CHECK_FAILS(open_set(&ds, in_tmp("s"), &err), &err, EHM_E_FORMAT, "twice");
    put_text(in_tmp("s/classes.txt"), "");
    CHECK_FAILS(open_set(&ds, in_tmp("s"), &err), &err, EHM_E_FORMAT, "no classes");
}

TEST(source_folder, links_and_loops) {
    put_ppm(in_tmp("s/real/1.ppm"), 4, 3, 1, 1);
    put_ppm(in_tmp("s/other/1.ppm"), 4, 3, 1, 2);
    put_ppm(in_tmp("outside/2.ppm"), 4, 3, 1, 3);
    CHECK(!symlink("..", in_tmp("s/real/up")));         /* a loop */
    CHECK(!symlink("real", in_tmp("s/again")));         /* a folder that is there already */
    CHECK(!symlink("../outside", in_tmp("s/linked")));  /* one that is not */
    CHECK(!symlink("nowhere", in_tmp("s/dangling")));
    CHECK(!symlink("self", in_tmp("s/self")));
    CHECK(!symlink("../other/1.ppm", in_tmp("s/real/file.ppm")));
    CHECK(!mkfifo(in_tmp("s/pipe"), 0600));             /* must not be opened: it would wait for ever */
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, in_tmp("s"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 4);
    CHECK_STR(ehm_dataset_name(ds, 0), "linked/2.ppm");
    CHECK_STR(ehm_dataset_name(ds, 1), "other/1.ppm");
    CHECK_STR(ehm_dataset_name(ds, 3), "real/file.ppm");
    CHECK_INT(first_value(ds, 0), 3);
    CHECK_INT(first_value(ds, 3), 2);
    ehm_dataset_close(ds);
}

TEST(source_folder, bad_files_and_errors) {
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    put_text(in_tmp("none/a.txt"), "x");
    CHECK_FAILS(open_set(&ds, in_tmp("none"), &err), &err, EHM_E_FORMAT, "no pictures");
    REQUIRE_OK(ehm_dir_make(in_tmp("empty"), (ehm_err_clear(&err), &err)), &err);
    CHECK_FAILS(open_set(&ds, in_tmp("empty"), &err), &err, EHM_E_FORMAT, "no pictures");
    CHECK_FAILS(open_set(&ds, in_tmp("emtpy"), &err), &err, EHM_E_CONFIG, "did you mean");
    CHECK_FAILS(open_set(&ds, in_tmp("a/b/c"), &err), &err, EHM_E_CONFIG, "not there either");
    CHECK_FAILS(open_set(&ds, "", &err), &err, EHM_E_CONFIG, "empty");
    put_text(in_tmp("prog"), "\177ELF and more");
    CHECK_FAILS(open_set(&ds, in_tmp("prog"), &err), &err, EHM_E_FORMAT, "7f 45 4c 46");
    put_file(in_tmp("void"), "", 0);
    CHECK_FAILS(open_set(&ds, in_tmp("void"), &err), &err, EHM_E_FORMAT, "empty");
    ehm_strs nothing = {0};
    CHECK_FAILS(ehm_dataset_open(&ds, &nothing, NULL, &err), &err, EHM_E_CONFIG, "--data");
    /* a picture whose pixels are missing is bad when it is read, not before */
    put_ppm(in_tmp("s/a.ppm"), 4, 3, 1, 7);
    put_text(in_tmp("s/b.ppm"), "P5\n400 300\n255\nshort");
    REQUIRE_OK(open_set(&ds, in_tmp("s"), (ehm_err_clear(&err), &err)), &err);
    CHECK_INT(ehm_dataset_count(ds), 2);
    CHECK_INT(first_value(ds, 0), 7);
    ehm_arena a = {0};
    ehm_sample s;
    CHECK_FAILS(ehm_dataset_read(ds, 1, &s, 0, NULL, &a, &err), &err, EHM_E_FORMAT, "b.ppm");
    CHECK_FAILS(ehm_dataset_read(ds, 2, &s, 0, NULL, &a, &err), &err, EHM_E_ARG, "2 of 2");
    CHECK(!unlink(in_tmp("s/a.ppm")));
    CHECK_FAILS(ehm_dataset_read(ds, 0, &s, 0, NULL, &a, &err), &err, EHM_E_IO, "a.ppm");
    ehm_arena_free(&a);
    ehm_dataset_close(ds);
    if (geteuid() != 0) { /* root may read everything */
        put_ppm(in_tmp("r/x/a.ppm"), 4, 3, 1, 7);
        chmod(in_tmp("r/x"), 0);
        CHECK_FAILS(open_set(&ds, in_tmp("r"), &err), &err, EHM_E_IO, "r/x");
        chmod(in_tmp("r/x"), 0700);
    }
}
