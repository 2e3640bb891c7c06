/* A linear classifier as a file: what is written is read, the encoder is the same to the bit, and a file that lacks something is refused. */
#include "base/rng.h"
#include "eval/linear_probe.h"
#include "harness.h"
#include "infer/save.h"

enum { K = 3, N = 2, DIM = 128, DEPTHS = 2, ALL = DEPTHS * DIM };
static const char *const names[K] = {"a", "b\t\"c\"", "ünder"};
static const ehm_model_opt ref_opt = {"ref", 1, "auto", N};

typedef struct { ehm_linear_probe p; double weight[K * ALL], bias[K], mean[ALL], std[ALL]; } made;

static void make(made *m) {
    ehm_rng r = ehm_rng_of(3, EHM_RNG_test, 0, 0);
    for (int i = 0; i < K * ALL; i++) m->weight[i] = ehm_rng_normal(&r);
    for (int i = 0; i < K; i++) m->bias[i] = ehm_rng_normal(&r);
    for (int i = 0; i < ALL; i++) m->mean[i] = ehm_rng_normal(&r), m->std[i] = 0.5 + ehm_rng_f64(&r);
    m->p = (ehm_linear_probe){.of_cls = true, .depth = {2, 4}, .n_depths = DEPTHS, .dim = ALL, .n_classes = K, .classes = names, .mean = m->mean, .std = m->std,
                              .weight = m->weight, .bias = m->bias};
}

static const char *path_of(const char *name, char *buf) {
    snprintf(buf, 512, "%s/%s", ehm_test_tmp(), name);
    return buf;
}

TEST(linear_probe, a_file_stands_alone) {
    static made m;
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_model *model = NULL, *again = NULL;
    ehm_linear_probe p;
    ehm_st *f = NULL;
    ehm_json *meta;
    char buf[512];
    const char *path = path_of("p.safetensors", buf);
    uint8_t *px = EHM_NEW_N(&a, uint8_t, N * 64 * 64 * 3);
    float *x = EHM_NEW_N(&a, float, N * ALL), *room = EHM_NEW_N(&a, float, N * ALL);
    double logits[N * K];
    make(&m);
    for (int i = 0; i < N * 64 * 64 * 3; i++) px[i] = (uint8_t)(i * 7 + i / 200);
    REQUIRE_OK(ehm_model_open(&model, "untrained:pico", &ref_opt, &err), &err);
    REQUIRE_OK(ehm_model_depths(model, px, EHM_U8, N, m.p.depth, DEPTHS, x, NULL, &err), &err);
    REQUIRE_OK(ehm_linear_probe_save(path, model, &m.p, &err), &err);
    ehm_model_close(model);
    REQUIRE_OK(ehm_st_open(&f, path, &err), &err);
    const char *text = ehm_st_meta_get(f, "task");
    REQUIRE(text);
    REQUIRE_OK(ehm_json_parse(&meta, text, strlen(text), "task", &a, &err), &err);
    CHECK_STR(ehm_json_str_or(meta, "name", ""), EHM_LINEAR_PROBE_NAME);
    CHECK(!ehm_st_find(f, "decoder_embed.weight"));
    ehm_st_close(f);
    REQUIRE_OK(ehm_linear_probe_open(&p, path, meta, &a, &err), &err);
    CHECK_INT(p.n_classes, K);
    CHECK_STR(p.classes[1], names[1]);
    CHECK_STR(p.classes[2], names[2]);
    REQUIRE_OK(ehm_model_open(&again, path, &ref_opt, &err), &err);
    REQUIRE_OK(ehm_linear_probe_logits(logits, &p, again, px, EHM_U8, N, room, &err), &err);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < K; k++) {
            double s = m.bias[k];
            for (int c = 0; c < ALL; c++) s += m.weight[k * ALL + c] * ((double)x[i * ALL + c] - m.mean[c]) / m.std[c];
            CHECK_NEAR(logits[i * K + k], s, 1e-4);
        }
    ehm_model_close(again);
    ehm_arena_free(&a);
}

/* What open says of a file with one tensor changed, or of another "task". */
static void refused(const ehm_model *model, const char *task, const char *tensor, double value, int64_t count, const char *want) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_linear_probe p;
    ehm_json *meta;
    char buf[512];
    const char *all[] = {"probe.weight", "probe.bias", "probe.mean", "probe.std"}, *path = path_of("bad.safetensors", buf);
    ehm_st_tensor t[4];
    double *v = EHM_NEW_N(&a, double, 2 * DIM);
    int n = 0;
    for (int i = 0; i < 4; i++) {
        int64_t rows = i < 2 ? 2 : DIM;
        if (!strcmp(all[i], tensor)) rows = count;
        if (!rows) continue;
        t[n++] = (ehm_st_tensor){.name = all[i], .dtype = EHM_F64, .rank = i ? 1 : 2, .dim = {rows, DIM}, .count = i ? rows : rows * DIM, .data = v,
                                 .bytes = sizeof(double) * (size_t)(i ? rows : rows * DIM)};
    }
    v[1] = value;
    REQUIRE_OK(ehm_model_save(model, path, t, n, &(ehm_st_meta){"task", task}, 1, &err), &err);
    REQUIRE_OK(ehm_json_parse(&meta, task, strlen(task), "task", &a, &err), &err);
    ehm_code rc = ehm_linear_probe_open(&p, path, meta, &a, &err);
    CHECK_INT(rc, *want ? EHM_E_FORMAT : EHM_OK);
    if (*want) CHECK_HAS(err.what, want);
    ehm_arena_free(&a);
}

TEST(linear_probe, what_is_not_whole_is_refused) {
    ehm_model *m = NULL;
    ehm_err err = {0};
    const char *task = "{\"name\": \"linear\", \"pool\": \"mean\", \"depths\": [], \"classes\": [\"x\", \"y\"]}";
    REQUIRE_OK(ehm_model_open(&m, "untrained:pico", &ref_opt, &err), &err);
    refused(m, task, "", 0, 0, "");
    refused(m, task, "probe.weight", 0, 1, "\"probe.weight\" is missing or not what its task says");
    refused(m, task, "probe.bias", 0, 0, "\"probe.bias\" is missing");
    refused(m, task, "probe.std", 0, 5, "\"probe.std\" is missing or not");
    refused(m, task, "", (double)INFINITY, 0, "is not finite");
    refused(m, "{\"name\": \"linear\", \"pool\": \"max\", \"depths\": [], \"classes\": [\"x\", \"y\"]}", "", 0, 0, "lacks classes, pooling or depths");
    refused(m, "{\"name\": \"linear\", \"pool\": \"cls\", \"depths\": [2, 2], \"classes\": [\"x\", \"y\"]}", "", 0, 0, "lacks classes, pooling or depths");
    refused(m, "{\"name\": \"linear\", \"pool\": \"cls\", \"depths\": [9], \"classes\": [\"x\", \"y\"]}", "", 0, 0, "reads block 9 of 4");
    refused(m, "{\"name\": \"linear\", \"pool\": \"cls\", \"depths\": [], \"classes\": [\"x\"]}", "", 0, 0, "lacks classes, pooling or depths");
    refused(m, "{\"name\": \"linear\", \"pool\": \"cls\", \"depths\": [], \"classes\": [\"x\", 3]}", "", 0, 0, "lacks classes, pooling or depths");
    ehm_model_close(m);
}
