#include "base/json.h"
#include "base/file.h"
#include "harness.h"
#include <locale.h>

TEST(json, writes_one_line_and_indented) {
    for (int indent = 0; indent <= 2; indent += 2) {
        ehm_str s = {0};
        ehm_json_w w = {.out = &s, .indent = indent};
        ehm_json_obj(&w);
        ehm_json_key(&w, "a");
        ehm_json_arr(&w);
        ehm_json_i64(&w, -3);
        ehm_json_bool(&w, true);
        ehm_json_null(&w);
        ehm_json_end(&w);
        ehm_json_key(&w, "b");
        ehm_json_obj(&w);
        ehm_json_end(&w);
        ehm_json_key(&w, "c\n");
        ehm_json_str(&w, "\x01 \"q\" \\ \xc3\xa9 \xff \xed\xa0\x80");
        ehm_json_key(&w, "d");
        ehm_json_raw(&w, "[1]");
        ehm_json_key(&w, "e");
        ehm_json_str(&w, NULL);
        ehm_json_end(&w);
        CHECK_STR(
            ehm_str_c(&s),
            indent ? "{\n  \"a\": [\n    -3,\n    true,\n    null\n  ],\n  \"b\": {},\n  \"c\\n\": \"\\u0001 "
                     "\\\"q\\\" \\\\ \xc3\xa9 "
                     "\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\",\n  \"d\": [1],\n  \"e\": null\n}"
                   : "{\"a\": [-3, true, null], \"b\": {}, \"c\\n\": \"\\u0001 \\\"q\\\" \\\\ \xc3\xa9 "
                     "\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\", \"d\": [1], \"e\": null}");
        ehm_str_free(&s);
    }
}

static const char *f64(ehm_str *s, double v) {
    ehm_json_w w = {.out = s};
    ehm_str_clear(s);
    ehm_json_f64(&w, v);
    return ehm_str_c(s);
}

TEST(json, numbers_are_short_and_exact) {
    ehm_str s = {0};
    CHECK_STR(f64(&s, 0.1), "0.1");
    CHECK_STR(f64(&s, 1e300), "1e+300");
    CHECK_STR(f64(&s, 5e-324), "5e-324");
    CHECK_STR(f64(&s, 100), "100");
    CHECK_STR(f64(&s, -0.0), "-0");
    CHECK_STR(f64(&s, 0.1 + 0.2), "0.30000000000000004");
    CHECK_STR(f64(&s, NAN), "\"nan\"");
    CHECK_STR(f64(&s, INFINITY), "\"inf\"");
    CHECK_STR(f64(&s, -INFINITY), "\"-inf\"");
    ehm_json_w w = {.out = &s};
    ehm_str_clear(&s);
    ehm_json_f32(&w, 0.1f);
    CHECK_STR(ehm_str_c(&s), "0.1");
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 20000; i++) { /* any bit pattern comes back */
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        double d, back;
        float f;
        memcpy(&d, &x, 8);
        memcpy(&f, &x, 4);
        if (isfinite(d)) REQUIRE(ehm_parse_f64(f64(&s, d), &back) && back == d);
        if (!isfinite(f)) continue;
        ehm_str_clear(&s);
        ehm_json_f32(&w, f);
        REQUIRE(strtof(ehm_str_c(&s), NULL) == f);
    }
    ehm_str_free(&s);
}

TEST(json, a_comma_locale_changes_nothing) {
    static const char *const names[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "de_DE.utf8"};
    bool found = false;
    for (int i = 0; i < 4 && !found; i++) found = setlocale(LC_NUMERIC, names[i]) != NULL;
    if (!found) SKIP("no locale with a decimal comma is installed");
    ehm_str s = {0};
    double d = 0;
    f64(&s, 1.5);
    bool read = ehm_parse_f64("2.25", &d);
    setlocale(LC_NUMERIC, "C");
    CHECK_STR(ehm_str_c(&s), "1.5");
    CHECK(read && d == 2.25);
    ehm_str_free(&s);
}

static ehm_code parse(ehm_json **out, const char *t, ehm_arena *a, ehm_err *err) {
    return ehm_json_parse(out, t, strlen(t), "x.json", a, err);
}

TEST(json, reads) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_json *j;
    REQUIRE_OK(parse(&j,
                     "\xef\xbb\xbf {\"a\" : [1, -2.5e1, 9223372036854775807, 9223372036854775808],\n "
                     "\"s\":\"\\u00e9\\ud83d\\ude00\\n\\/\","
                     "\"t\":true,\"n\":null,\"o\":{}, \"e\":[]} ",
                     &a, &err),
               &err);
    CHECK_INT(j->n, 6);
    const ehm_json *v = ehm_json_get(j, "a")->first;
    CHECK(v->is_int && v->i64 == 1 && v->num == 1);
    v = v->next;
    CHECK(!v->is_int && v->num == -25);
    v = v->next;
    CHECK(v->is_int && v->i64 == INT64_MAX);
    v = v->next;
    CHECK(!v->is_int && v->num == 9223372036854775808.0 && !strcmp(v->str, "9223372036854775808"));
    CHECK_STR(ehm_json_str_or(j, "s", "?"), "\xc3\xa9\xf0\x9f\x98\x80\n/");
    CHECK(ehm_json_get(j, "t")->kind == EHM_JSON_BOOL && ehm_json_get(j, "t")->num == 1);
    CHECK(ehm_json_get(j, "n")->kind == EHM_JSON_NULL);
    CHECK(ehm_json_get(j, "o")->kind == EHM_JSON_OBJ && ehm_json_get(j, "e")->kind == EHM_JSON_ARR);
    CHECK(ehm_json_get(j, "zz") == NULL && ehm_json_get(NULL, "a") == NULL &&
          ehm_json_get(ehm_json_get(j, "a"), "a") == NULL);
    CHECK_INT(ehm_json_i64_or(j, "zz", 5), 5);
    CHECK_INT(ehm_json_i64_or(j, "s", 5), 5);
    CHECK(ehm_json_num_or(j, "zz", 2.5) == 2.5);
    REQUIRE_OK(parse(&j, "7", &a, &err), &err);
    CHECK_INT(j->i64, 7);
    ehm_arena_free(&a);
}

TEST(json, refuses_what_is_not_json) {
    static const struct { const char *text, *part;
    } bad[] = {
        {"", "value is expected"},
        {"  ", "value is expected"},
        {"{", "key in quotes"},
        {"[1,]", "value is expected"},
        {"[1 2]", "',' or ']'"},
        {"{\"a\":1,}", "key in quotes"},
        {"{\"a\" 1}", "':' is expected after the key \"a\""},
        {"{\"a\":1 \"b\":2}", "',' or '}'"},
        {"{a:1}", "key in quotes"},
        {"[01]", "no JSON number"},
        {"[1.]", "no JSON number"},
        {"[.5]", "value is expected"},
        {"[+1]", "value is expected"},
        {"[1e]", "no JSON number"},
        {"[-]", "no JSON number"},
        {"[1e999]", "out of range"},
        {"nul", "value is expected"},
        {"[NaN]", "value is expected"},
        {"\"abc", "no end"},
        {"\"a\nb\"", "control character"},
        {"\"\\x\"", "unknown escape"},
        {"\"\\u12\"", "four hexadecimal"},
        {"\"\\u0000\"", "\\u0000"},
        {"\"\\ud800\"", "surrogate"},
        {"\"\\ud800\\u0041\"", "surrogate"},
        {"\"\\udc00\"", "surrogate"},
        {"\"\xff\"", "not UTF-8"},
        {"\"\xc0\x80\"", "not UTF-8"},
        {"\"\xed\xa0\x80\"", "not UTF-8"},
        {"\"\xf4\x90\x80\x80\"", "not UTF-8"},
        {"\"\xc3\"", "not UTF-8"},
        {"\"\\", "ends inside"},
        {"1 2", "text after the end"},
        {"{} x", "text after the end"},
        {"{\"k\":1,\"b\":2,\"k\":3}", "the key \"k\" twice"},
        {"[1", "no end"},
        {"{\"a\":[1,2}", "',' or ']'"},
        {"'a'", "value is expected"},
    };
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_json *j;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        /* Exactly as long as the text, so that a sanitizer sees any byte read after it. */
        size_t n = strlen(bad[i].text);
        char *t = malloc(n ? n : 1);
        memcpy(t, bad[i].text, n);
        CHECK_FAILS(ehm_json_parse(&j, t, n, "x.json", &a, &err), &err, EHM_E_FORMAT, bad[i].part);
        CHECK(j == NULL);
        free(t);
    }
    CHECK_FAILS(parse(&j, "{\n \"a\": 1,\n \"b\": x}", &a, &err), &err, EHM_E_FORMAT, "x.json:3:7: a value");
    ehm_arena_free(&a);
}

TEST(json, depth_has_a_limit) {
    char t[400];
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_json *j;
    memset(t, '[', 64), memset(t + 64, ']', 64), t[128] = 0;
    CHECK_OK(parse(&j, t, &a, &err), &err);
    memset(t, '[', 65), memset(t + 65, ']', 65), t[130] = 0;
    CHECK_FAILS(parse(&j, t, &a, &err), &err, EHM_E_FORMAT, "deeper than 64");
    memset(t, '[', 399), t[399] = 0;
    CHECK_FAILS(parse(&j, t, &a, &err), &err, EHM_E_FORMAT, "deeper than 64");
    ehm_arena_free(&a);
}

TEST(json, every_cut_and_change_of_a_text_is_survived) {
    static const char text[] = "{\"a\": [1, 2.5e-3, true, null, \"x\\u00e9\\ud83d\\ude00\xc3\xa9\"], \"b\": "
                               "{\"c\": -0.0, \"d\": []}}";
    size_t n = sizeof text - 1;
    ehm_arena a = {0};
    ehm_json *j;
    for (size_t cut = 0; cut <= n; cut++) {
        char *t = malloc(cut ? cut : 1);
        memcpy(t, text, cut);
        CHECK((ehm_json_parse(&j, t, cut, "x", &a, NULL) == EHM_OK) == (cut == n));
        for (size_t at = 0; at < cut; at++)
            for (int c = 0; c < 256; c += cut == n ? 1 : 37) {
                t[at] = (char)c;
                (void)ehm_json_parse(&j, t, cut, "x", &a, NULL);
                t[at] = text[at];
                ehm_arena_reset(&a);
            }
        free(t);
    }
    ehm_arena_free(&a);
}

TEST(json, many_keys_do_not_take_for_ever) {
    ehm_str s = {0};
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_json *j;
    ehm_str_addc(&s, '{');
    for (int i = 0; i < 300000; i++) ehm_str_addf(&s, "%s\"k%d\":%d", i ? "," : "", i, i);
    ehm_str_addc(&s, '}');
    CHECK_OK(ehm_json_parse(&j, s.s, s.len, "x", &a, &err), &err);
    CHECK_INT(j->n, 300000);
    a.limit_bytes = a.used_bytes + s.len; /* no room for the nodes */
    CHECK_FAILS(ehm_json_parse(&j, s.s, s.len, "x", &a, &err), &err, EHM_E_MEMORY, "no memory");
    ehm_arena_free(&a);
    ehm_str_free(&s);
}

TEST(json, file) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_json *j;
    char *p = ehm_path_join(&a, ehm_test_tmp(), "a.json");
    REQUIRE_OK(ehm_file_write(p, "{\"x\": 1}", 8, &err), &err);
    REQUIRE_OK(ehm_json_read_file(&j, p, &a, &err), &err);
    CHECK_INT(ehm_json_i64_or(j, "x", 0), 1);
    CHECK_FAILS(ehm_json_read_file(&j, "/nonexistent.json", &a, &err), &err, EHM_E_IO, "/nonexistent.json");
    ehm_arena_free(&a);
}
