#include "exchange/safetensors.h"
#include "harness.h"
#include "net/vit.h"

TEST(params, position_table_as_published) {
    ehm_st *f;
    ehm_err err = {0};
    REQUIRE_OK(ehm_st_open(&f, ehm_test_path("tests/golden/net/net.safetensors"), &err), &err);
    const int32_t size[][3] = {{16, 3, 3}, {12, 7, 7}, {192, 4, 5}};
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "sincos_%d_%dx%d", (int)size[i][0], (int)size[i][1], (int)size[i][2]);
        const ehm_st_tensor *t = ehm_st_find(f, name);
        REQUIRE(t);
        float *got = malloc(t->bytes);
        ehm_sincos_table(got, size[i][0], size[i][1], size[i][2]);
        CHECK_CLOSE_F32(got, (const float *)t->data, t->count, 1e-6);
        free(got);
    }
    ehm_st_close(f);
}

/* Column first, sines and cosines in blocks, a first row of zeros; a grid that is not square. */
TEST(params, position_table_by_hand) {
    float t[7 * 8];
    ehm_sincos_table(t, 8, 2, 3);
    for (int k = 0; k < 8; k++) CHECK(t[k] == 0);
    const float *last = t + 6 * 8; /* row 1, column 2 */
    const double want[8] = {sin(2), sin(0.02), cos(2), cos(0.02), sin(1), sin(0.01), cos(1), cos(0.01)};
    for (int k = 0; k < 8; k++) CHECK_NEAR(last[k], want[k], 1e-7);
}

typedef struct {
    ehm_params ps;
    ehm_arena a;
    ehm_vit_encoder enc;
    ehm_vit_decoder dec;
    ehm_weights w;
    ehm_plan plan;
    ehm_dev *d;
} net;

static void open_net(net *n, int32_t depth, uint64_t seed, ehm_dtype act) {
    ehm_err err = {0};
    ehm_config c;
    ehm_vit_shape s;
    memset(n, 0, sizeof *n);
    ehm_config_init(&c);
    c.preset = "pico", c.depth = depth;
    REQUIRE_OK(ehm_vit_shape_of(&s, &c, 32, 32, 3, &err), &err);
    ehm_vit_encoder_roots(&n->enc, &n->ps, &s);
    ehm_vit_decoder_roots(&n->dec, &n->ps, &s);
    ehm_vit_encoder_modules(&n->enc, &n->ps, &n->a);
    ehm_vit_decoder_modules(&n->dec, &n->ps, s.patch_pixels, &n->a);
    CHECK(!n->ps.failed);
    REQUIRE_OK(ehm_dev_open(&n->d, "ref", 1, &err), &err);
    ehm_plan_begin(&n->plan, n->d);
    ehm_weights_plan(&n->w, &n->ps, &n->plan, EHM_MEM_PARAM, "", act);
    REQUIRE_OK(ehm_plan_commit(&n->plan, &err), &err);
    ehm_weights_plan(&n->w, &n->ps, &n->plan, EHM_MEM_PARAM, "", act);
    REQUIRE_OK(ehm_plan_end(&n->plan, &err), &err);
    ehm_weights_init(&n->w, n->d, seed);
    REQUIRE_OK(ehm_dev_check(n->d, &err), &err);
}

static void close_net(net *n) {
    ehm_plan_free(&n->plan);
    ehm_dev_close(n->d);
    ehm_params_free(&n->ps);
    ehm_arena_free(&n->a);
}

static float *values(net *n, const char *name, int64_t *count) {
    int32_t i = ehm_params_find(&n->ps, name);
    REQUIRE(i >= 0);
    ehm_view v = ehm_weight(&n->w, i);
    *count = ehm_view_count(v);
    float *x = malloc((size_t)*count * sizeof *x);
    ehm_download(n->d, x, v, (size_t)*count * sizeof *x);
    return x;
}

/* Mean square and largest magnitude of a part. */
static void moments(net *n, const char *name, double *rms, double *most) {
    int64_t count;
    float *x = values(n, name, &count);
    *rms = *most = 0;
    for (int64_t i = 0; i < count; i++)
        *rms += (double)x[i] * x[i] / (double)count, *most = fmax(*most, fabs(x[i]));
    *rms = sqrt(*rms);
    free(x);
}

static void check_uniform(net *n, const char *name, double bound) {
    double rms, most;
    moments(n, name, &rms, &most);
    if (most > bound * (1 + 1e-6) || most < 0.97 * bound || fabs(rms - bound / sqrt(3)) > 0.06 * bound)
        ehm_test_fail(__FILE__, __LINE__, "%s: largest %g, rms %g, expected uniform within %g", name, most,
                      rms, bound);
}

TEST(params, published_start) {
    net n;
    double rms, most;
    open_net(&n, 2, 0, EHM_F32);
    check_uniform(&n, "blocks.1.attn.qkv.weight", sqrt(6.0 / (128 + 3 * 128))); /* as one matrix */
    check_uniform(&n, "blocks.0.mlp.fc2.weight", sqrt(6.0 / (128 + 512)));
    check_uniform(&n, "decoder_embed.weight", sqrt(6.0 / (128 + 64)));
    check_uniform(&n, "decoder_pred.weight", sqrt(6.0 / (64 + 48)));
    check_uniform(&n, "patch_embed.proj.weight", sqrt(6.0 / (128 + 48)));
    check_uniform(&n, "patch_embed.proj.bias", 1 / sqrt(48)); /* left at a convolution's own */
    moments(&n, "blocks.0.attn.qkv.bias", &rms, &most);
    CHECK(most == 0);
    moments(&n, "cls_token", &rms, &most);
    CHECK_NEAR(rms, 0.02, 0.005);
    moments(&n, "mask_token", &rms, &most);
    CHECK_NEAR(rms, 0.02, 0.007);
    int64_t count;
    float *x = values(&n, "decoder_norm.weight", &count);
    for (int64_t i = 0; i < count; i++) CHECK(x[i] == 1);
    free(x);
    close_net(&n);
}

TEST(params, names_order_and_groups) {
    net n;
    open_net(&n, 2, 0, EHM_F32);
    const char *first[] = {"cls_token",
                           "pos_embed",
                           "mask_token",
                           "decoder_pos_embed",
                           "patch_embed.proj.weight",
                           "patch_embed.proj.bias",
                           "blocks.0.norm1.weight"};
    for (int i = 0; i < 7; i++) CHECK_STR(n.ps.item[i].name, first[i]);
    CHECK_INT(n.ps.n, 2 + 2 + 2 + 2 * 12 + 2 + 2 + 2 * 12 + 2 + 2);
    int64_t used[EHM_PARAM_GROUPS] = {0};
    for (int32_t i = 0; i < n.ps.n; i++) {
        const ehm_param *p = &n.ps.item[i];
        size_t len = strlen(p->name);
        bool frozen = len >= 9 && !strcmp(p->name + len - 9, "pos_embed"),
             bias = len > 5 && !strcmp(p->name + len - 5, ".bias");
        CHECK_INT(p->group, frozen ? EHM_FROZEN : p->rank == 1 || bias ? EHM_NO_DECAY : EHM_DECAY);
        CHECK_INT(p->offset % 16, 0);
        CHECK(p->offset >= used[p->group]); /* no overlap */
        used[p->group] = p->offset + p->count;
        CHECK(used[p->group] <= n.ps.group_count[p->group]);
    }
    CHECK(!n.ps.item[0].matrix); /* tokens are decayed, but no matrices */
    CHECK(n.ps.item[4].matrix);
    CHECK_INT(ehm_params_find(&n.ps, "blocks.2.norm1.weight"), -1);
    close_net(&n);
}

/* What a part starts with depends on seed and name: a deeper net has the same first block. */
TEST(params, draws_depend_on_name_and_seed) {
    net a, b, c;
    int64_t count;
    open_net(&a, 2, 7, EHM_F32), open_net(&b, 3, 7, EHM_F32), open_net(&c, 2, 8, EHM_F32);
    float *xa = values(&a, "blocks.1.mlp.fc1.weight", &count),
          *xb = values(&b, "blocks.1.mlp.fc1.weight", &count);
    float *xc = values(&c, "blocks.1.mlp.fc1.weight", &count),
          *other = values(&a, "blocks.0.mlp.fc1.weight", &count);
    CHECK(!memcmp(xa, xb, (size_t)count * sizeof *xa));
    CHECK(memcmp(xa, xc, (size_t)count * sizeof *xa));
    CHECK(memcmp(xa, other, (size_t)count * sizeof *xa));
    free(xa), free(xb), free(xc), free(other);
    close_net(&a), close_net(&b), close_net(&c);
}

TEST(params, bf16_copies) {
    net n;
    open_net(&n, 1, 0, EHM_BF16);
    int32_t i = ehm_params_find(&n.ps, "blocks.0.mlp.fc1.weight");
    ehm_view act = ehm_weight_act(&n.w, i);
    CHECK_INT(act.dtype, EHM_BF16);
    CHECK_INT(act.rank, 2);
    int64_t count;
    float *x = values(&n, "blocks.0.mlp.fc1.weight", &count);
    uint16_t *h = malloc((size_t)count * sizeof *h);
    ehm_download(n.d, h, act, (size_t)count * sizeof *h);
    for (int64_t k = 0; k < count; k++)
        if (h[k] != ehm_bf16_of(x[k])) {
            ehm_test_fail(__FILE__, __LINE__, "copy %lld differs", (long long)k);
            break;
        }
    CHECK(!n.w.act[EHM_NO_DECAY].rank);
    CHECK_INT(n.plan.n_entries, 3); /* the copies are no state */
    free(x), free(h);
    close_net(&n);
}
