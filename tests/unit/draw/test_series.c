/* Sheets and folders of drawings: names that stay apart, what is refused before anything is drawn. */
#include "draw/series.h"
#include "base/file.h"
#include "draw/canvas.h"
#include "draw/panel_int.h"
#include "harness.h"

static const char *named(ehm_series *s, const char *name) {
    ehm_err err = {0};
    const char *out = NULL;
    REQUIRE_OK(ehm_series_name(&out, s, name, &err), &err);
    return out;
}

#define END (ehm_image_can_write_png() ? ".png" : ".ppm")
static void check_name(ehm_series *s, const char *name, const char *want) {
    char full[256];
    snprintf(full, sizeof full, "%s%s", want, END);
    CHECK_STR(named(s, name), full);
}

TEST(series, names) {
    ehm_series s = {0};
    char lengthy[400], name[32];
    check_name(&s, "n01/x.jpg", "n01_x");
    check_name(&s, "n01_x.png", "n01_x-2");
    check_name(&s, "N01/X", "N01_X-3"); /* one file on some systems */
    check_name(&s, "n01_x-2.jpg", "n01_x-2-2");
    check_name(&s, "../secret/.hidden", "_._secret_.hidden");
    check_name(&s, "-rf.png", "_rf");
    check_name(&s, "a:b*c?d|e\"f<g>h\\i\tj.png", "a_b_c_d_e_f_g_h_i_j");
    check_name(&s, "d.v2/x", "d.v2_x"); /* the folder's dot is no ending */
    check_name(&s, "", "picture");
    check_name(&s, "\xc3\xa4.png", "\xc3\xa4");
    memset(lengthy, 'y', sizeof lengthy);
    lengthy[399] = 0;
    CHECK_INT(strlen(named(&s, lengthy)), 150 + 4);
    CHECK(strcmp(named(&s, lengthy), named(&s, lengthy)) != 0);
    memcpy(lengthy + 399 - 151, "\xc3\xa4", 2); /* a letter is not cut in two: 151 bytes from the end begins one of two bytes */
    CHECK_INT(strlen(named(&s, lengthy)), 149 + 4);
    for (int32_t i = 0; i < 2000; i++) { /* many of one name, and the table grows */
        snprintf(name, sizeof name, i ? "same-%d" : "same", i + 1);
        check_name(&s, "same.png", name);
    }
    ehm_series_close(&s);
}

TEST(series, each_into_a_folder) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_series s;
    ehm_image im;
    ehm_strs names;
    char path[512], file[600];
    snprintf(path, sizeof path, "%s/deeper/out", ehm_test_tmp());
    REQUIRE_OK(ehm_canvas_new(&im, 200, 40, EHM_PAPER, &a, &err), &err);
    REQUIRE_OK(ehm_series_open(&s, path, true, 2, "a note", &err), &err);
    CHECK(!ehm_dir_exists(path)); /* nothing before the first drawing */
    REQUIRE_OK(ehm_series_add(&s, "a/1.jpg", &im, &err), &err);
    REQUIRE_OK(ehm_series_add(&s, "a/1.png", &im, &err), &err);
    REQUIRE_OK(ehm_series_end(&s, &err), &err);
    CHECK_INT(s.h, 40 + EHM_TEXT_ROW + EHM_PANEL_MARGIN);
    REQUIRE_OK(ehm_dir_list(&names, path, &a, &err), &err);
    CHECK_INT(names.n, 2);
    CHECK(names.n == 2 && ehm_starts(names.v[0], "a_1-2.") && ehm_starts(names.v[1], "a_1."));
    ehm_series_close(&s);
    snprintf(file, sizeof file, "%s/%s", path, names.v[0]);
    CHECK_FAILS(ehm_series_open(&s, file, true, 2, NULL, &err), &err, EHM_E_CONFIG, "this is a file");
    CHECK_FAILS(ehm_series_open(&s, "x/y.PNG", true, 2, NULL, &err), &err, EHM_E_CONFIG, "this names a file");
    CHECK_HAS(err.hint, "leave --each out");
    CHECK_OK(ehm_series_open(&s, "v1.5", true, 2, NULL, &err), &err);
    ehm_arena_free(&a);
}

TEST(series, sheets) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_series s;
    ehm_image im, grey;
    char path[512];
    snprintf(path, sizeof path, "%s/sub/sheet.ppm", ehm_test_tmp());
    REQUIRE_OK(ehm_canvas_new(&im, 200, 40, EHM_PAPER, &a, &err), &err);
    REQUIRE_OK(ehm_image_new(&grey, 4, 4, 1, EHM_U8, &a, &err), &err);
    REQUIRE_OK(ehm_series_open(&s, path, false, 20, "a note that is much too long for one line of two hundred pixels", &err), &err);
    for (int32_t i = 0; i < 20; i++) REQUIRE_OK(ehm_series_add(&s, "x", &im, &err), &err);
    CHECK_FAILS(ehm_series_add(&s, "x", &grey, &err), &err, EHM_E_ARG, "8 bit RGB");
    REQUIRE_OK(ehm_series_end(&s, &err), &err);
    CHECK_INT(s.w, 200);
    CHECK_INT(s.h, 20 * 40 + 2 * EHM_TEXT_ROW + EHM_PANEL_MARGIN);
    CHECK(ehm_file_exists(path));
    ehm_series_close(&s);
    /* too large is said at the first of them */
    REQUIRE_OK(ehm_series_open(&s, path, false, 1000, NULL, &err), &err);
    CHECK_FAILS(ehm_series_add(&s, "x", &im, &err), &err, EHM_E_CONFIG, "a sheet of 1000 drawings would be 200 x 40000 px (at most 32768)");
    CHECK_HAS(err.hint, "--each");
    ehm_series_close(&s);
    ehm_arena_free(&a);
}
