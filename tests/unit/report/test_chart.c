/* Ticks, thinning, smoothing: numbers of the charts. */
#include "harness.h"
#include "report/chart.h"
#include "report/markup.h"

TEST(chart, ticks_are_1_2_or_5_times_a_power_of_ten) {
    double tick[EHM_CHART_TICKS];
    for (int e = -12; e <= 12; e++)
        for (int k = 0; k < 40; k++) {
            double hi = (1 + 0.23 * k) * pow(10, e), lo = k % 3 ? 0 : 0.37 * hi;
            ehm_axis a;
            ehm_axis_nice(&a, lo, hi, 6);
            double m = a.step / pow(10, floor(log10(a.step) + 1e-9));
            CHECK(fabs(m - 1) < 1e-6 || fabs(m - 2) < 1e-6 || fabs(m - 5) < 1e-6);
            CHECK(a.lo <= lo + 1e-9 * hi && a.hi >= hi * (1 - 1e-9)); /* the limits hold the data */
            int32_t n = ehm_axis_ticks(&a, tick);
            CHECK(n >= 2 && n <= 6);
            CHECK_NEAR(tick[0], a.lo, 1e-6 * hi);
            CHECK_NEAR(tick[n - 1], a.hi, 1e-6 * hi);
            for (int32_t i = 1; i < n; i++) CHECK_NEAR(tick[i] - tick[i - 1], a.step, 1e-6 * a.step);
        }
}

TEST(chart, ticks_by_hand) {
    double tick[EHM_CHART_TICKS];
    char t[32];
    ehm_axis a;
    ehm_axis_nice(&a, 0.57, 1.61, 6);
    CHECK_NEAR(a.lo, 0.5, 1e-12), CHECK_NEAR(a.hi, 2, 1e-12);
    ehm_axis_nice(&a, 0, 96, 6);
    CHECK_NEAR(a.hi, 100, 1e-12), CHECK_NEAR(a.step, 20, 1e-12);
    CHECK_STR(ehm_axis_label(&a, 60, t), "60");
    ehm_axis_nice(&a, 0, 1.5e-4, 6);
    CHECK_STR(ehm_axis_label(&a, 1e-4, t), "0.00010");
    ehm_axis_nice(&a, 0, 3e-7, 6);
    CHECK_STR(ehm_axis_label(&a, 3e-7, t), "3e-7");
    ehm_axis_exact(&a, 0, 468000, 6);
    CHECK_STR(ehm_axis_label(&a, 200000, t), "200k");
    ehm_axis_log(&a, 0.02, 47);
    CHECK_NEAR(a.lo, 0.01, 1e-12), CHECK_NEAR(a.hi, 100, 1e-9);
    CHECK_INT(ehm_axis_ticks(&a, tick), 5);
    CHECK_NEAR(ehm_axis_share(&a, 1), 0.5, 1e-12);
    ehm_axis_nice(&a, -3, -3, 6); /* one value: there is an axis around it */
    CHECK(a.lo < -3 && a.hi > -3);
    ehm_axis_nice(&a, NAN, INFINITY, 6);
    CHECK(a.lo == 0 && a.hi == 1);
}

/* A spike of one point among many is still there, and so is the gap. */
TEST(chart, thinning_keeps_spikes_gaps_and_ends) {
    enum { N = 100000, COLUMNS = 300, SPIKE = 54321, DIP = 77777, GAP = 12345 };
    double *x = calloc(N, sizeof *x), *y = calloc(N, sizeof *y);
    int64_t *keep = calloc(5 * COLUMNS + 5, sizeof *keep);
    REQUIRE(x && y && keep);
    for (int i = 0; i < N; i++) x[i] = i, y[i] = sin(i * 0.001);
    y[SPIKE] = 50, y[DIP] = -50, y[GAP] = NAN;
    int64_t n = ehm_chart_thin(keep, x, y, N, 0, N - 1, COLUMNS);
    CHECK(n <= 5 * COLUMNS && n >= COLUMNS);
    bool spike = false, dip = false, gap = false;
    for (int64_t i = 0; i < n; i++) {
        spike |= keep[i] == SPIKE, dip |= keep[i] == DIP, gap |= keep[i] == GAP;
        CHECK(!i || keep[i] > keep[i - 1]);
        CHECK(keep[i] >= 0 && keep[i] < N);
    }
    CHECK(spike && dip && gap);
    CHECK_INT(keep[0], 0);
    CHECK_INT(keep[n - 1], N - 1);
    n = ehm_chart_thin(keep, x, y, 7, 0, 6, COLUMNS); /* few: all */
    CHECK_INT(n, 7);
    free(x), free(y), free(keep);
}

TEST(chart, extremes_of_every_column_stay) {
    enum { N = 5000, COLUMNS = 50 };
    double x[N], y[N], lo[COLUMNS], hi[COLUMNS], got_lo[COLUMNS], got_hi[COLUMNS];
    int64_t keep[5 * COLUMNS + 5];
    uint64_t s = ehm_test_seed();
    for (int c = 0; c < COLUMNS; c++) lo[c] = got_lo[c] = INFINITY, hi[c] = got_hi[c] = -INFINITY;
    for (int i = 0; i < N; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u;
        x[i] = i / (double)N * COLUMNS, y[i] = (double)(s >> 11) / 9007199254740992.0;
        int c = (int)x[i];
        lo[c] = fmin(lo[c], y[i]), hi[c] = fmax(hi[c], y[i]);
    }
    int64_t n = ehm_chart_thin(keep, x, y, N, 0, COLUMNS, COLUMNS);
    for (int64_t i = 0; i < n; i++) {
        int c = (int)x[keep[i]];
        got_lo[c] = fmin(got_lo[c], y[keep[i]]), got_hi[c] = fmax(got_hi[c], y[keep[i]]);
    }
    for (int c = 0; c < COLUMNS; c++) CHECK(lo[c] == got_lo[c] && hi[c] == got_hi[c]);
}

TEST(chart, smoothing_is_the_mean_around) {
    double y[] = {1, 2, 3, NAN, 5, 6, 7, 1e9, 9, 10}, out[10];
    ehm_chart_smooth(out, y, 10, 3);
    CHECK_NEAR(out[0], 1.5, 1e-9);
    CHECK_NEAR(out[1], 2, 1e-9);
    CHECK_NEAR(out[2], 2.5, 1e-9);
    CHECK(isnan(out[3]));
    CHECK_NEAR(out[4], 5.5, 1e-9);
    CHECK_NEAR(out[9], 9.5, 1e-6); /* the large value that went by leaves nothing */
}

TEST(chart, a_curve_has_gaps_titles_and_values) {
    double x[] = {0, 1, 2, 3, 4}, y[] = {1, 2, NAN, 4, 3};
    ehm_curve v = {.label = "a<b>&\"c", .x = x, .y = y, .n = 5};
    ehm_chart c = {.title = "T", .x_title = "step", .y_title = "u", .curves = &v, .n_curves = 1, .w = 400, .h = 250};
    ehm_str s = {0};
    ehm_err err = {0};
    CHECK_OK(ehm_chart_svg(&s, &c, &err), &err);
    const char *line = strstr(s.s, "class=\"line\" d=\"");
    REQUIRE(line);
    int moves = 0;
    for (const char *p = line + 16; *p != '"'; p++) moves += *p == 'M';
    CHECK_INT(moves, 2); /* before the gap and after it */
    CHECK_HAS(s.s, "a&lt;b&gt;&amp;&quot;c: 2 at step 1");
    CHECK_HAS(s.s, "data-v=\"0,1 1,2 3,4 4,3 \"");
    CHECK(!strstr(s.s, "nan"));
    ehm_str_free(&s);
}

TEST(markup, hostile_text) {
    ehm_str s = {0};
    ehm_html_text(&s, "<script>alert(\"1\")</script>&'");
    CHECK_STR(s.s, "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;");
    ehm_str_clear(&s);
    ehm_html_text(&s, "a\xff\x62\xc0\xaf\xed\xa0\x80z\x01\x7f");
    CHECK(!strpbrk(s.s, "\xff\x01\x7f"));
    CHECK(!strncmp(s.s, "a\xef\xbf\xbd" "b\xef\xbf\xbd", 8));
    ehm_str_clear(&s);
    ehm_html_text(&s, "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x9f");
    CHECK_STR(s.s, "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x9f");
    ehm_str_clear(&s);
    ehm_shell_word(&s, "it's $HOME");
    CHECK_STR(s.s, "'it'\\''s $HOME'");
    ehm_str_clear(&s);
    ehm_shell_word(&s, "a/b.tar#train");
    CHECK_STR(s.s, "a/b.tar#train");
    ehm_str_free(&s);
}

TEST(markup, base64_known_answers) { /* RFC 4648, 10 */
    static const char *const v[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        ehm_str s = {0};
        ehm_html_base64(&s, v[i][0], strlen(v[i][0]));
        CHECK_STR(ehm_str_c(&s), v[i][1]);
        ehm_str_free(&s);
    }
    char large[3000];
    ehm_str s = {0};
    memset(large, 0xff, sizeof large);
    ehm_html_base64(&s, large, sizeof large);
    CHECK_INT(s.len, 4000);
    CHECK_INT(strspn(s.s, "/"), 4000);
    ehm_str_free(&s);
}
