#include "base/file.h"
#include "base/settings.h"
#include "harness.h"

static ehm_arena a;
static ehm_err err;
static ehm_config c;

static void fresh(void) {
    ehm_arena_reset(&a);
    ehm_err_clear(&err);
    ehm_config_init(&c);
}
static ehm_code flag(const char *key, const char *text) {
    return ehm_config_set(&c, key, text, EHM_FROM_FLAG, &a, &err);
}
static ehm_code file(const char *json) {
    ehm_json *j;
    ehm_code rc = ehm_json_parse(&j, json, strlen(json), "my.json", &a, &err);
    return rc ? rc : ehm_config_from_json(&c, j, "my.json", EHM_FROM_FILE, &a, &err);
}

TEST(settings, table_is_sound) {
    ehm_str s = {0};
    fresh();
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        const ehm_setting *e = &ehm_settings[i];
        if (ehm_setting_find(e->key) != i) ehm_test_fail(__FILE__, __LINE__, "%s stands twice", e->key);
        CHECK(e->help && *e->help && e->source && *e->source && e->group && strlen(e->key) < 64);
        CHECK(strcspn(e->key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == strlen(e->key));
        if (e->kind != EHM_SET_BOOL) CHECK(e->unit && *e->unit);
        /* The default as text is a permitted value. */
        const char *t = ehm_config_text(&c, i, &s);
        if (*t && ehm_config_set(&c, e->key, t, EHM_FROM_FLAG, &a, &err))
            ehm_test_fail(__FILE__, __LINE__, "default of %s is refused: %s", e->key, err.what),
                ehm_err_clear(&err);
    }
    ehm_str_free(&s);
    ehm_arena_free(&a);
}

TEST(settings, sets_every_kind) {
    fresh();
    CHECK(c.mask_ratio == 0.75 && EHM_IS_AUTO(c.threads) && c.norm_pix_loss && c.data.n == 0 &&
          c.out == NULL);
    CHECK_OK(flag("mask-ratio", "0.8"), &err);
    CHECK_OK(flag("batch_size", "64"), &err);
    CHECK_OK(flag("steps", "1e5"), &err);
    CHECK_OK(flag("norm-pix-loss", "off"), &err);
    CHECK_OK(flag("out", "r"), &err);
    CHECK_OK(flag("lr", "auto"), &err);
    for (int i = 0; i < 21; i++) {
        char t[8];
        snprintf(t, sizeof t, "d%d", i);
        CHECK_OK(flag("data", t), &err);
    }
    CHECK(c.mask_ratio == 0.8 && c.batch_size == 64 && c.steps == 100000 && !c.norm_pix_loss &&
          ehm_is_auto_f64(c.lr));
    CHECK_STR(c.out, "r");
    CHECK_INT(c.data.n, 21);
    CHECK_STR(c.data.v[0], "d0");
    CHECK_STR(c.data.v[20], "d20");
    CHECK_INT(c.origin[EHM_SETI_mask_ratio], EHM_FROM_FLAG);
    CHECK_INT(c.origin[EHM_SETI_blr], EHM_FROM_DEFAULT);
    ehm_arena_free(&a);
}

TEST(settings, errors_name_key_value_and_range) {
    fresh();
    CHECK_FAILS(flag("mask_ratio", "1.5"), &err, EHM_E_CONFIG,
                "--mask-ratio 1.5: must be a number from 0 to 1 (share)");
    CHECK_FAILS(flag("mask_ratio", "nan"), &err, EHM_E_CONFIG, "--mask-ratio nan");
    CHECK_FAILS(flag("mask_ratio", "auto"), &err, EHM_E_CONFIG, "--mask-ratio auto");
    CHECK_FAILS(flag("depth", "0"), &err, EHM_E_CONFIG,
                "--depth 0: must be a whole number from 1 to 128 or auto (blocks)");
    CHECK_FAILS(flag("depth", "129"), &err, EHM_E_CONFIG,
                "--depth 129: must be a whole number from 1 to 128");
    CHECK_FAILS(flag("depth", "2.5"), &err, EHM_E_CONFIG, "--depth 2.5: must be a whole number");
    CHECK_FAILS(flag("seed", "-1"), &err, EHM_E_CONFIG, "--seed -1: must be a whole number from 0");
    CHECK_FAILS(flag("seed", "99999999999999999999"), &err, EHM_E_CONFIG, "--seed 99999999999999999999");
    CHECK_FAILS(flag("json", "maybe"), &err, EHM_E_CONFIG, "--json maybe: must be true or false");
    CHECK_FAILS(flag("preset", "tinny"), &err, EHM_E_CONFIG,
                "--preset tinny: must be one of auto|pico|tiny|");
    CHECK_HAS(err.hint, "did you mean tiny?");
    CHECK_FAILS(flag("out", ""), &err, EHM_E_CONFIG, "--out (empty): must be a PATH");
    CHECK_FAILS(flag("mask_rato", "1"), &err, EHM_E_CONFIG, "--mask-rato: there is no such setting");
    CHECK_HAS(err.hint, "did you mean --mask-ratio?");
    CHECK_FAILS(flag("zzzzzz", "1"), &err, EHM_E_CONFIG, "--zzzzzz");
    CHECK_STR(err.hint, "");
    CHECK(c.mask_ratio == 0.75 && c.seed == 0); /* nothing was taken */
    ehm_arena_free(&a);
}

TEST(settings, a_weaker_origin_never_wins) {
    fresh();
    CHECK_OK(flag("depth", "3"), &err);
    CHECK_OK(flag("blr", "0.5"), &err);
    CHECK_OK(flag("data", "flagged"), &err);
    CHECK_OK(flag("threads", "auto"), &err);
    CHECK_OK(
        file(
            "{\"depth\": 9, \"blr\": 1, \"data\": [\"a\", \"b\"], \"beta1\": 0.5, \"test\": [\"t\", \"u\"]}"),
        &err);
    ehm_config_put_i64(&c, EHM_SETI_depth, 7, EHM_FROM_PRESET);
    ehm_config_put_f64(&c, EHM_SETI_beta1, 0.25, EHM_FROM_RECIPE);
    ehm_config_put_f64(&c, EHM_SETI_lr, 0.25, EHM_FROM_RECIPE);
    ehm_config_put_i64(&c, EHM_SETI_threads, 2, EHM_FROM_MACHINE);
    ehm_config_put_str(&c, EHM_SETI_preset, "tiny", EHM_FROM_DATA);
    ehm_config_put_i64(&c, EHM_SETI_norm_pix_loss, 0, EHM_FROM_RECIPE);
    CHECK(c.depth == 3 && c.blr == 0.5 && c.beta1 == 0.5 && c.lr == 0.25 && c.threads == 2 &&
          !c.norm_pix_loss);
    CHECK_STR(c.preset, "tiny");
    CHECK_INT(c.data.n, 1);
    CHECK_STR(c.data.v[0], "flagged");
    CHECK_INT(c.test.n, 2);
    CHECK_INT(c.origin[EHM_SETI_threads], EHM_FROM_MACHINE);
    CHECK_INT(c.origin[EHM_SETI_beta1], EHM_FROM_FILE);
    CHECK_OK(flag("test", "other"), &err); /* replaces the file's list */
    CHECK_INT(c.test.n, 1);
    CHECK_FAILS(file("{\"depth\": 0}"), &err, EHM_E_CONFIG,
                "depth 0"); /* a mistake stays one, even where a flag wins */
    ehm_arena_free(&a);
}

TEST(settings, a_tasks_own_defaults) {
    static const ehm_own_setting own[] = {{EHM_SETI_blr, "0.25", NULL, NULL}, {EHM_SETI_lr, "auto", "the rate", NULL}, {EHM_SETI_beta1, "0.5", NULL, NULL}, {EHM_SETI_blr, "0.125", NULL, NULL},
                                          {.i = EHM_SETI_steps}, {.i = EHM_SETTINGS_N}};
    fresh();
    CHECK_OK(flag("beta1", "0.75"), &err);
    ehm_config_put_own(&c, own);
    CHECK(c.blr == 0.25 && ehm_is_auto_f64(c.lr) && c.beta1 == 0.75); /* words stay for the task; what was given wins */
    CHECK_INT(c.origin[EHM_SETI_blr], EHM_FROM_DEFAULT);
    CHECK(ehm_own_setting_find(own, EHM_SETI_lr) == own + 1 && !ehm_own_setting_find(own, EHM_SETI_steps)->value);
    CHECK(!ehm_own_setting_find(own, EHM_SETI_beta2) && !ehm_own_setting_find(NULL, EHM_SETI_lr));
    ehm_config_put_own(&c, NULL);
    CHECK(c.blr == 0.25);
    ehm_arena_free(&a);
}

TEST(settings, file_forms) {
    fresh();
    CHECK_OK(file("{\"model\": {\"depth\": 4, \"mlp-ratio\": 2}, \"img_size\": 64, \"mean\": [0.5, 0.25, "
                  "0.125], \"data\": \"one\","
                  "\"blr\": {\"value\": 0.5, \"origin\": \"flag\"}, \"out\": null, \"json\": true, \"k\": "
                  "[1, 5], \"lr\": \"auto\"}"),
             &err);
    CHECK(c.depth == 4 && c.mlp_ratio == 2 && c.blr == 0.5 && c.json && c.data.n == 1 && !c.out);
    CHECK_STR(c.img_size, "64");
    CHECK_STR(c.mean, "0.5,0.25,0.125");
    CHECK_STR(c.k, "1,5");
    CHECK_OK((fresh(), file("{\"model\": \"m.safetensors\"}")), &err);
    CHECK_STR(c.model, "m.safetensors");
    ehm_arena_free(&a);
}

TEST(settings, file_errors) {
    static const struct { const char *json, *part;
    } bad[] = {
        {"[]", "must hold one JSON object"},
        {"3", "must hold one JSON object"},
        {"{\"dept\": 1}", "dept: there is no such setting"},
        {"{\"depth\": 3, \"model\": {\"depth\": 4}}", "\"depth\" is given twice"},
        {"{\"mask_ratio\": 0.1, \"mask-ratio\": 0.2}", "\"mask_ratio\" is given twice"},
        {"{\"depth\": 1.5}", "depth 1.5: must be a whole number"},
        {"{\"depth\": true}", "\"depth\" must be a whole number"},
        {"{\"json\": 1}", "\"json\" must be true or false"},
        {"{\"preset\": 3}", "\"preset\" must be a string"},
        {"{\"depth\": [1]}", "\"depth\" must be"},
        {"{\"data\": [1]}", "\"data\" must be a string or a list"},
        {"{\"train\": {\"depth\": 4}}", "stands in the group \"train\" but belongs to \"model\""},
        {"{\"depth\": {\"x\": 4}}", "\"depth\" must be a whole number"},
        {"{\"print_config\": true}", "belongs on the command line"},
        {"{\"mean\": [[1]]}", "\"mean\" must be"},
        {"{\"data\": [\"\"]}", "data (empty)"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fresh();
        CHECK_FAILS(file(bad[i].json), &err, EHM_E_CONFIG, bad[i].part);
        CHECK_HAS(err.context, "my.json");
    }
    fresh();
    CHECK_FAILS(file("{\"depth\": 1, \"depth\": 1}"), &err, EHM_E_FORMAT, "the key \"depth\" twice");
    ehm_arena_free(&a);
}

TEST(settings, printed_settings_read_back_equal) {
    for (int with_origin = 0; with_origin < 2; with_origin++) {
        ehm_str one = {0}, two = {0};
        ehm_json_w w1 = {.out = &one, .indent = 2}, w2 = {.out = &two, .indent = 2};
        ehm_json *j;
        fresh();
        CHECK_OK(flag("data", "a,b"), &err);
        CHECK_OK(flag("data", "c \"d\""), &err);
        CHECK_OK(flag("blr", "0.1"), &err);
        CHECK_OK(flag("max_pixels", "123456789012345678"), &err);
        CHECK_OK(flag("resume", "true"), &err);
        CHECK_OK(flag("mean", "0.1,0.2"), &err);
        CHECK_OK(flag("print_config", "true"), &err);
        ehm_json_obj(&w1);
        ehm_config_write(&c, NULL, with_origin, &w1);
        ehm_json_end(&w1);
        CHECK(!strstr(one.s, "print_config"));
        ehm_config_init(&c);
        REQUIRE_OK(ehm_json_parse(&j, one.s, one.len, "printed", &a, &err), &err);
        REQUIRE_OK(ehm_config_from_json(&c, j, "printed", EHM_FROM_FLAG, &a, &err), &err);
        CHECK(c.max_pixels == 123456789012345678 && c.data.n == 2 && c.blr == 0.1 && c.resume &&
              !c.print_config);
        memset(c.origin, 0, sizeof c.origin); /* a file does not carry origins over */
        ehm_json_obj(&w2);
        ehm_config_write(&c, NULL, false, &w2);
        ehm_json_end(&w2);
        if (!with_origin) CHECK_STR(two.s, one.s);
        ehm_str_free(&one);
        ehm_str_free(&two);
    }
    ehm_arena_free(&a);
}

TEST(settings, groups) {
    CHECK(ehm_in_groups("common,data", "data") && ehm_in_groups("common, data", "data") &&
          ehm_in_groups(NULL, "x"));
    CHECK(!ehm_in_groups("common,dataset", "data") && !ehm_in_groups("", "data"));
    ehm_str s = {0};
    ehm_json_w w = {.out = &s};
    fresh();
    ehm_json_obj(&w);
    ehm_config_write(&c, "mask", true, &w);
    ehm_json_end(&w);
    CHECK_STR(s.s, "{\"mask\": {\"value\": \"random\", \"origin\": \"default\"}, \"mask_ratio\": {\"value\": "
                   "0.75, \"origin\": \"default\"}, \"mask_file\": {\"value\": null, \"origin\": \"default\"}}");
    ehm_str_free(&s);
}

TEST(settings, reads_a_file) {
    fresh();
    char *p = ehm_path_join(&a, ehm_test_tmp(), "c.json");
    REQUIRE_OK(ehm_file_write(p, "{\"depth\": 5}", 12, &err), &err);
    CHECK_OK(ehm_config_read(&c, p, EHM_FROM_FILE, &a, &err), &err);
    CHECK_INT(c.depth, 5);
    CHECK_FAILS(ehm_config_read(&c, "/nonexistent", EHM_FROM_FILE, &a, &err), &err, EHM_E_IO, "/nonexistent");
    ehm_arena_free(&a);
}

TEST(settings, reads_a_runs_config) {
    static const char run[] = "{\"format\": 1, \"version\": \"0.1.0\", \"settings\": {"
                              "\"seed\": {\"value\": 7, \"origin\": \"flag\"}, \"data\": {\"value\": [\"a\", \"b\"], \"origin\": \"config file\"},"
                              "\"depth\": {\"value\": 4, \"origin\": \"preset\"}, \"threads\": {\"value\": 3, \"origin\": \"machine\"},"
                              "\"steps\": {\"value\": 9, \"origin\": \"data\"}, \"blr\": {\"value\": 0.5, \"origin\": \"resume\"},"
                              "\"mask_ratio\": {\"value\": 0.5, \"origin\": \"recipe\"}, \"epochs\": {\"value\": 3, \"origin\": \"default\"},"
                              "\"out\": {\"value\": \"runs/a\", \"origin\": \"flag\"}, \"resume\": {\"value\": true, \"origin\": \"flag\"},"
                              "\"json\": {\"value\": true, \"origin\": \"flag\"}%s}, \"shape\": {\"img_h\": 64}, \"parameters\": 5,"
                              "\"data\": {\"hash\": \"x\"}, \"schedule\": [], \"machine\": {}%s}";
    char text[2048];
    char *p = ehm_path_join(&a, ehm_test_tmp(), "config.json");
    for (int k = 0; k < 3; k++) {
        fresh();
        p = ehm_path_join(&a, ehm_test_tmp(), "config.json");
        snprintf(text, sizeof text, run, k == 1 ? ", \"dept\": {\"value\": 1, \"origin\": \"preset\"}" : "", k == 2 ? ", \"shapes\": 1" : "");
        REQUIRE_OK(ehm_file_write(p, text, strlen(text), &err), &err);
        if (k == 0) CHECK_OK(ehm_config_read(&c, p, EHM_FROM_FILE, &a, &err), &err);
        else CHECK_FAILS(ehm_config_read(&c, p, EHM_FROM_FILE, &a, &err), &err, EHM_E_CONFIG, k == 1 ? "dept: there is no such setting" : "shapes: there is no such setting");
        if (k) continue;
        CHECK(c.seed == 7 && c.data.n == 2 && c.blr == 0.5 && c.origin[EHM_SETI_seed] == EHM_FROM_FILE);
        CHECK(EHM_IS_AUTO(c.depth) && EHM_IS_AUTO(c.threads) && EHM_IS_AUTO(c.steps) && c.mask_ratio == 0.75 && c.epochs == 100); /* these follow again */
        CHECK(!c.out && !c.resume && !c.json); /* and these are that run's own */
    }
    ehm_arena_free(&a);
}

TEST(settings, for_people_numbers_are_short) {
    ehm_str s = {0};
    ehm_config_init(&c);
    c.epochs = 1.0 / 14, c.warmup_epochs = EHM_AUTO_F64;
    CHECK_STR(ehm_config_show(&c, EHM_SETI_epochs, &s), "0.0714286");
    CHECK_STR(ehm_config_show(&c, EHM_SETI_warmup_epochs, &s), "auto");
    CHECK_STR(ehm_config_show(&c, EHM_SETI_seed, &s), "0");
    ehm_str_free(&s);
}
