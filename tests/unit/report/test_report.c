/* Whole pages of small run folders: well-formed, escaped, complete, and honest about what is missing. */
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/json.h"
#include "harness.h"
#include "report/record.h"
#include "report/report.h"
#include "unit/report/run_files.h"

/* ---- a strict look at the markup: every element is closed in order, attributes are quoted, no stray < or & ---- */

static const char *tag_error(const char *p, char *why) {
    static const char *const empty[] = {"meta", "link", "img", "input", "br"};
    char open[64][16];
    int depth = 0;
    if (strncmp(p, "<!DOCTYPE html>\n", 16)) return "no doctype";
    for (p += 16; *p;) {
        if (*p == '&') {
            size_t n = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz#0123456789");
            if (!n || p[n + 1] != ';') return sprintf(why, "bare & at %.40s", p), why;
        }
        if (*p == '>') return sprintf(why, "bare > at %.40s", p), why;
        if (*p++ != '<') continue;
        bool close = *p == '/';
        p += close;
        size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789");
        if (!n || n > 15) return sprintf(why, "bare < at %.40s", p), why;
        char name[16];
        memcpy(name, p, n), name[n] = 0;
        p += n;
        if (close) {
            if (*p != '>') return sprintf(why, "</%s is not closed", name), why;
            if (!depth || strcmp(open[depth - 1], name)) return sprintf(why, "</%s> where %s is open: %.60s", name, depth ? open[depth - 1] : "nothing", p), why;
            depth--, p++;
            continue;
        }
        while (*p == ' ') {
            p++;
            n = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789");
            if (!n) return sprintf(why, "attribute of %s at %.40s", name, p), why;
            p += n;
            if (*p != '=') continue;
            if (*++p != '"') return sprintf(why, "attribute of %s is not quoted", name), why;
            for (p++; *p != '"'; p++)
                if (!*p || *p == '<') return sprintf(why, "attribute of %s holds <", name), why;
            p++;
        }
        bool self = *p == '/';
        p += self;
        if (*p++ != '>') return sprintf(why, "<%s is not closed at %.40s", name, p), why;
        bool none = self;
        for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) none |= !strcmp(empty[i], name);
        if (none) continue;
        if (!strcmp(name, "script") || !strcmp(name, "style")) { /* their text is not markup */
            char end[24];
            sprintf(end, "</%s>", name);
            p = strstr(p, end);
            if (!p) return sprintf(why, "%s has no end", name), why;
            p += strlen(end);
            continue;
        }
        if (depth == 64) return "too deep";
        strcpy(open[depth++], name);
    }
    return depth ? (sprintf(why, "%s is never closed", open[depth - 1]), why) : NULL;
}

static void check_page(const char *html) {
    char why[256];
    const char *bad = tag_error(html, why);
    if (bad) ehm_test_fail(__FILE__, __LINE__, "the page: %s", bad);
    CHECK(!strstr(html, "src=\"http"));
    CHECK(!strstr(html, "url("));
    /* Every link inside the page leads somewhere. */
    for (const char *p = html; (p = strstr(p, "href=\"#")); p++) {
        char id[64];
        snprintf(id, sizeof id, "id=\"%.*s\"", (int)strcspn(p + 7, "\""), p + 7);
        CHECK(strstr(html, id));
    }
}

/* ---- run folders ---- */

static const char *run_at(const char *name, const char *recipe, const char *lr, int32_t n_lines, double loss) {
    static char paths[8][512];
    static int at;
    char *dir = paths[at++ % 8], text[2000];
    ehm_str metrics = {0}, timing = {0};
    snprintf(dir, 512, "%s/%s", ehm_test_tmp(), name);
    snprintf(text, sizeof text,
             "{\"format\": 1, \"version\": \"0.1.0\", \"settings\": {\"seed\": {\"value\": 0, \"origin\": \"default\"}, \"data\": {\"value\": [\"pictures <b>&\\\"x\\\"\"], "
             "\"origin\": \"flag\"}, \"recipe\": {\"value\": \"%s\", \"origin\": \"flag\"}, \"lr\": {\"value\": %s, \"origin\": \"flag\"}, \"norm_pix_loss\": {\"value\": true, \"origin\": "
             "\"recipe\"}, \"batch_size\": {\"value\": 128, \"origin\": \"machine\"}, \"out\": {\"value\": \"o\", \"origin\": \"flag\"}}, \"shape\": {\"img_h\": 64, \"img_w\": 64}, "
             "\"data\": {\"hash\": \"abc\", \"count\": 2000, \"classes\": 10}, \"schedule\": [{\"total_steps\": %d}], \"machine\": {\"describe\": \"a machine\"}}\n", recipe, lr, 10 * n_lines);
    put(dir, "config.json", text);
    for (int i = 1; i <= n_lines; i++) {
        ehm_str_addf(&metrics, "{\"step\": %d, \"epoch\": %g, \"loss\": %g, \"lr\": 0.001, \"grad_norm\": %s, \"new_number\": %d}\n", 10 * i, 0.1 * i, loss + 1.0 / i, i == 3 ? "\"nan\"" : "0.5", i);
        ehm_str_addf(&timing, "{\"step\": %d, \"images_per_s\": %d, \"wait_frac\": 0.25, \"seconds\": %g, \"rss\": 1073741824}\n", 10 * i, 100 + i % 3, (double)(i <= n_lines / 2 ? i : i - n_lines / 2));
    }
    put(dir, "metrics.jsonl", ehm_str_c(&metrics));
    put(dir, "timing.jsonl", ehm_str_c(&timing));
    put(dir, "train.log", "2026-01-01T00:00:00Z  2,000 pictures from a folder\n2026-01-01T00:00:00Z  setting            value\n2026-01-01T01:00:00Z  done: <all>\n");
    put(dir, "DONE", "done\n");
    ehm_str_free(&metrics), ehm_str_free(&timing);
    return dir;
}

static char *page_of(const char *const *runs, int32_t n) {
    static ehm_str s;
    ehm_err err = {0};
    ehm_str_clear(&s);
    REQUIRE_OK(ehm_report_html(&s, runs, n, NULL, &err), &err);
    check_page(s.s);
    return s.s;
}

static ehm_json *numbers_of(const char *const *runs, int32_t n, ehm_arena *a) {
    ehm_str s = {0};
    ehm_json *j = NULL;
    ehm_err err = {0};
    REQUIRE_OK(ehm_report_json(&s, runs, n, &err), &err);
    REQUIRE_OK(ehm_json_parse(&j, s.s, s.len, "numbers", a, &err), &err);
    ehm_str_free(&s);
    return ehm_json_get(j, "runs")->first;
}

/* ---- cases ---- */

TEST(report, a_finished_run) {
    ehm_arena a = {0};
    const char *run = run_at("r", "mae", "0.001", 40, 0.5);
    char *p = page_of(&run, 1);
    CHECK_HAS(p, ">finished</span>");
    CHECK_HAS(p, "2,000 pictures of 10 classes");
    CHECK_HAS(p, "predicting each patch");
    CHECK_HAS(p, "new_number"); /* a metric that nobody knows is drawn all the same */
    CHECK_HAS(p, "ehm pretrain --data");
    CHECK_HAS(p, "done: &lt;all&gt;");
    CHECK(!strstr(p, "<b>&"));
    const ehm_json *r = numbers_of(&run, 1, &a);
    CHECK_INT(ehm_json_i64_or(r, "steps", 0), 400);
    CHECK_NEAR(ehm_json_num_or(r, "loss_first", 0), 1.5, 1e-9);
    CHECK_NEAR(ehm_json_num_or(r, "loss_final", 0), 0.5 + (1.0 / 39 + 1.0 / 40) / 2, 1e-5); /* the last 5 % of the lines; written with six digits */
    CHECK_NEAR(ehm_json_num_or(r, "images_per_s", 0), 101, 1e-9);
    CHECK_NEAR(ehm_json_num_or(r, "seconds", 0), 40, 1e-9); /* the clock began anew in the middle */
    CHECK_NEAR(ehm_json_num_or(r, "epochs", 0), 4, 1e-9);
    const ehm_json *changed = ehm_json_get(r, "settings_not_default");
    CHECK_STR(ehm_json_str_or(changed, "recipe", ""), "mae");
    CHECK(!ehm_json_get(changed, "seed") && !ehm_json_get(changed, "norm_pix_loss"));
    ehm_arena_free(&a);
}

TEST(report, two_runs_overlay_and_differ) {
    const char *runs[] = {run_at("a", "mae", "0.001", 40, 0.5), run_at("b", "ehm", "0.002", 30, 0.4)};
    char *p = page_of(runs, 2);
    CHECK_HAS(p, "id=\"differences\"");
    CHECK_HAS(p, "<th scope=\"row\"><code>recipe</code></th><td class=\"wrap\">mae</td><td class=\"wrap\">ehm</td>");
    CHECK_HAS(p, "<code>lr</code></th><td class=\"wrap\">0.001</td><td class=\"wrap\">0.002</td>");
    CHECK_HAS(p, "have not gone equally far");
    const char *loss = strstr(p, "aria-label=\"Loss over epoch\"");
    REQUIRE(loss);
    const char *end = strstr(loss, "</svg>"), *first = strstr(loss, "data-label=\"a\""), *second = strstr(loss, "data-label=\"b\"");
    CHECK(first && second && first < end && second < end);
    const char *same[] = {runs[0], runs[0]};
    CHECK_HAS(page_of(same, 2), "No setting that could change the result differs");
}

TEST(report, hostile_names) {
    char dir[700], nasty[800];
    const char *run = run_at("x", "mae", "0.001", 30, 0.5);
    snprintf(nasty, sizeof nasty, "%s/a<b>\"&'\xff <script>alert(1)<", ehm_test_tmp());
    snprintf(dir, sizeof dir, "%s", run);
    REQUIRE(!rename(dir, nasty));
    put(nasty, "pictures/00000100_<i>.png", "no picture");
    put(nasty, "pictures/00000200_<i>.png", "no picture");
    put(nasty, "bad_files.tsv", "index\tfile\treason\n7\t<img src=x>\xfe\tbroken & \"sad\"\n");
    put(nasty, "evaluations.jsonl", "{\"command\": \"ehm eval <knn>\", \"task\": \"<u>\", \"protocol\": \"</table>\", \"n_test\": 5, \"best\": 0, \"units\": {\"top-1\": \"%\"}, \"rows\": "
                                    "[{\"model\": \"<m>\", \"features\": \"</td>\", \"metric\": \"top-1\", \"value\": 0.5, \"lo\": 0.4, \"hi\": 0.6}], \"notes\": [\"<n>\"]}\n");
    const char *one = nasty;
    char *p = page_of(&one, 1);
    CHECK(!strstr(p, "<script>alert") && !strstr(p, "<img src=x") && !strstr(p, "<u>"));
    CHECK(!strchr(p, '\xff') && !strchr(p, '\xfe'));
    CHECK_HAS(p, "&lt;img src=x&gt;\xef\xbf\xbd");
    CHECK_HAS(p, "is damaged or of no kind that browsers show");
    CHECK_HAS(p, "50.00</td><td class=\"n\">40.00 .. 60.00");
    CHECK_HAS(p, "bad files: 1");
}

TEST(report, what_is_missing_is_said) {
    char path[600], text[200];
    ehm_err err = {0};
    ehm_str s = {0};
    const char *run = run_at("m", "mae", "0.001", 30, 0.5);
    snprintf(path, sizeof path, "%s/DONE", run), unlink(path);
    put(run, "timing.jsonl", "");
    put(run, "metrics.jsonl", "{\"step\": 10, \"epoch\": 0.1, \"loss\": 0.9}\nnonsense\n{\"step\": 20, \"epoch\": 0.2, \"lo");
    char *p = page_of(&run, 1);
    CHECK_HAS(p, "not finished: step 10 of 300 (3 %)");
    CHECK_HAS(p, "metrics.jsonl: damaged lines were passed over: 2");
    snprintf(path, sizeof path, "%s/timing.jsonl", run), unlink(path);
    snprintf(path, sizeof path, "%s/train.log", run), unlink(path);
    CHECK_HAS(page_of(&run, 1), "timing.jsonl is missing");
    put(run, "config.json", "{broken");
    CHECK_HAS(page_of(&run, 1), "config.json is damaged");
    snprintf(path, sizeof path, "%s/config.json", run), unlink(path);
    CHECK_HAS(page_of(&run, 1), "config.json is missing");
    put(run, "metrics.jsonl", "");
    CHECK_HAS(page_of(&run, 1), "holds no line yet");
    snprintf(path, sizeof path, "%s/metrics.jsonl", run), unlink(path);
    CHECK_FAILS(ehm_report_html(&s, &run, 1, NULL, &err), &err, EHM_E_FORMAT, "holds no run");
    const char *none = "/nowhere/at/all";
    snprintf(text, sizeof text, "%s: there is no such folder", none);
    CHECK_FAILS(ehm_report_html(&s, &none, 1, NULL, &err), &err, EHM_E_IO, text);
    CHECK_FAILS(ehm_report_html(&s, &none, 0, NULL, &err), &err, EHM_E_ARG, "1 to 1000");
    ehm_str_free(&s);
}

/* Odd values in files of ours: whole numbers where objects are, empty lists, nulls. */
TEST(report, odd_values) {
    const char *run = run_at("o", "mae", "0.001", 5, 0.5);
    static const char *const configs[] = {"{}", "[]", "{\"settings\": 3}", "{\"settings\": {\"seed\": null, \"data\": [1, null, {}], \"mask\": {\"origin\": 3}}}",
                                          "{\"settings\": {}, \"schedule\": {}, \"data\": 1, \"machine\": [1], \"task\": 2, \"shape\": \"x\"}",
                                          "{\"settings\": {\"lr\": {\"value\": {\"a\": 1}, \"origin\": \"flag\"}, \"a<b\": {\"value\": true, \"origin\": \"flag\"}}, \"format\": 99}"};
    put(run, "metrics.jsonl", "{\"step\": 1, \"watch\": {}}\n{\"step\": 2, \"eval\": {\"knn_mean\": {\"value\": 0.5}, \"x\": {}, \"y\": null}}\n{\"step\": \"3\"}\n[1]\n{\"step\": 4, \"loss\": \"nan\"}\n"
                              "{\"step\": 2, \"loss\": 1}\n");
    put(run, "evaluations.jsonl", "{\"task\": \"knn\", \"rows\": []}\n{\"task\": \"a\", \"rows\": 3, \"best\": 7}\n{\"task\": 1, \"rows\": []}\n\n{\"task\": \"b\", \"rows\": [1, {}], \"best\": 9, \"units\": 4}\n");
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        ehm_arena a = {0};
        put(run, "config.json", configs[i]);
        page_of(&run, 1);
        numbers_of(&run, 1, &a);
        ehm_arena_free(&a);
    }
}

TEST(report, pictures_are_thinned_to_the_size_asked_for) {
    const char *run = run_at("p", "mae", "0.001", 30, 0.5);
    char name[64];
    ehm_str ppm = {0}, s = {0};
    ehm_err err = {0};
    ehm_str_add(&ppm, "P6\n16 16\n255\n");
    for (int i = 0; i < 3 * 256; i++) ehm_str_addc(&ppm, (char)(i % 200 + 1));
    for (int i = 1; i <= 20; i++) snprintf(name, sizeof name, "pictures/%08d_masks.ppm", 10 * i), put(run, name, ppm.s);
    REQUIRE_OK(ehm_report_html(&s, &run, 1, &(ehm_report_opt){.picture_bytes = 7000}, &err), &err);
    check_page(s.s);
    CHECK_HAS(s.s, "data:image/bmp;base64,Qk"); /* browsers read no PPM */
    CHECK_HAS(s.s, "Of 20 points in time 5 are shown here");
    CHECK_HAS(s.s, "data-steps=\"10 50 100 150 200\"");
    CHECK_HAS(s.s, "<figure data-step=\"10\">");
    CHECK_HAS(s.s, "<figure data-step=\"200\">");
    int n = 0;
    for (const char *p = s.s; (p = strstr(p, "data:image/bmp")); p++) n++;
    CHECK_INT(n, 5);
    ehm_str_free(&ppm), ehm_str_free(&s);
}

TEST(report, evaluations_latest_first_and_recorded_whole) {
    const char *run = run_at("e", "mae", "0.001", 30, 0.5);
    char path[600], *of = NULL;
    int64_t steps = 0;
    ehm_arena a = {0};
    ehm_err err = {0};
    put(run, "evaluations.jsonl", "{\"torn");
    CHECK_OK(ehm_record_add(run, "{\"task\": \"knn\", \"command\": \"k\", \"rows\": [{\"metric\": \"top-1\", \"value\": 0.1}]}", &err), &err);
    CHECK_OK(ehm_record_add(run, "{\"task\": \"linear\", \"command\": \"l\", \"rows\": [{\"metric\": \"top-1\", \"value\": 0.2}]}", &err), &err);
    CHECK_OK(ehm_record_add(run, "{\"task\": \"knn\", \"command\": \"k\", \"steps\": 300, \"rows\": [{\"metric\": \"top-1\", \"value\": 0.3}]}", &err), &err);
    const ehm_json *e = ehm_json_get(numbers_of(&run, 1, &a), "evaluations");
    CHECK_INT(e->n, 2);
    CHECK_NEAR(ehm_json_num_or(e->first, "value", 0), 0.3, 1e-12); /* the newest; the older one of the same kind is counted */
    CHECK_NEAR(ehm_json_num_or(e->first->next, "value", 0), 0.2, 1e-12);
    CHECK_HAS(page_of(&run, 1), "Done before as well: 1 times");
    CHECK(ehm_record_run_of(&of, &steps, run, &a));
    CHECK_STR(of, run);
    CHECK_INT(steps, 300);
    snprintf(path, sizeof path, "%s/checkpoints/00000120/", run);
    REQUIRE_OK(ehm_dir_make(path, &err), &err);
    CHECK(ehm_record_run_of(&of, &steps, path, &a));
    CHECK_STR(of, run);
    CHECK_INT(steps, 120);
    snprintf(path, sizeof path, "%s/checkpoints", run);
    CHECK(!ehm_record_run_of(&of, &steps, path, &a));
    CHECK(!ehm_record_run_of(&of, &steps, "untrained:pico", &a));
    CHECK_FAILS(ehm_record_add("/nowhere/at/all", "{}", &err), &err, EHM_E_IO, "evaluations.jsonl");
    ehm_arena_free(&a);
}
