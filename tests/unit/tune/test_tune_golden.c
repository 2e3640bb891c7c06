/* Ten steps with layer-wise decay against PyTorch: soft targets, clipping, warm-up and cosine; and position tables against timm. */
#include "tune_fixture.h"
#include "net/table_resize.h"

enum { STEPS = 10, BATCH = 4, CLASSES = 3, PX = 8 * 8 * 3 };

typedef struct {
    ehm_st *file;
    ehm_params *params;
    ehm_head *head; ehm_head_pass *learn, *look;
    ehm_view target, row_loss;
    float pixels[STEPS * BATCH * PX], targets[STEPS * BATCH * CLASSES], loss[STEPS];
    int32_t step;
} golden;

static void get(const golden *g, const char *name, float *out) {
    ehm_err err = {0};
    const ehm_st_tensor *t = ehm_st_find(g->file, name);
    REQUIRE(t != NULL);
    REQUIRE_OK(ehm_st_to_f32(t, out, &err), &err);
}

static ehm_code add(void *user, const ehm_tune_place *p, ehm_err *err) {
    golden *g = user;
    (void)err;
    g->params = p->params;
    g->head = ehm_head_add(p->params, p->arena, p->shape, p->encoder_norm, &(ehm_head_opt){.kind = EHM_HEAD_CLASS_MEAN, .n_out = CLASSES});
    return g->head ? EHM_OK : EHM_E_MEMORY;
}
static ehm_code pass_open(void *user, const ehm_tune_place *p, ehm_err *err) {
    golden *g = user;
    (void)err;
    return (*(p->train ? &g->learn : &g->look) = ehm_head_pass_open(g->head, p->batch, p->train, p->act, p->arena)) ? EHM_OK : EHM_E_MEMORY;
}
static int32_t level(void *user, int32_t i) { return ehm_head_level(((golden *)user)->head, i); }
static void plan(void *user, ehm_plan *p, bool train) {
    golden *g = user;
    ehm_head_pass_plan(train ? g->learn : g->look, p);
    if (!train) return;
    g->target = ehm_plan_2d(p, EHM_MEM_INPUT, NULL, EHM_F32, BATCH, CLASSES);
    g->row_loss = ehm_plan_1d(p, EHM_MEM_CACHE, NULL, EHM_F32, BATCH);
}
static void plan_bwd(void *user, ehm_plan *p) { ehm_head_pass_plan_bwd(((golden *)user)->learn, p); }
static ehm_code placed(void *user, ehm_dev *d, ehm_err *err) {
    golden *g = user;
    EHM_TRY(ehm_head_pass_load(g->learn, d, err));
    return ehm_head_pass_load(g->look, d, err);
}
static ehm_code load(void *user, ehm_dev *d, const ehm_batch *b, const float **mixed, ehm_err *err) {
    golden *g = user;
    (void)b, (void)err;
    *mixed = g->pixels + g->step * BATCH * PX;
    ehm_upload(d, g->target, g->targets + g->step * BATCH * CLASSES, BATCH * CLASSES * sizeof(float));
    return EHM_OK;
}
/* The head starts as the golden one does. */
static void set_head(golden *g, ehm_dev *d, const ehm_weights *w) {
    static const char *const part[] = {"head.weight", "head.bias", "fc_norm.weight", "fc_norm.bias"};
    float v[64];
    for (int i = 0; i < 4; i++) {
        char name[64];
        int32_t p = ehm_params_find(g->params, part[i]);
        REQUIRE(p >= 0);
        snprintf(name, sizeof name, "start.%s", part[i]);
        get(g, name, v);
        ehm_upload(d, ehm_weight(w, p), v, (size_t)g->params->item[p].count * sizeof *v);
    }
    ehm_weights_refresh(w, d);
}
static void loss_of(golden *g, ehm_dev *d, ehm_view dlogits, float scale) {
    ehm_xent(d, &(ehm_xent_args){.row_loss = g->row_loss, .dlogits = dlogits, .logits = ehm_fit2(ehm_head_out(g->learn, 0, BATCH), BATCH, CLASSES), .target = g->target, .scale = scale});
}
static void fwd_loss(void *user, ehm_dev *d, const ehm_weights *w, const ehm_view *levels, int64_t b, ehm_view loss) {
    golden *g = user;
    if (!g->step) set_head(g, d, w);
    ehm_head_fwd(d, g->learn, w, levels, b);
    loss_of(g, d, ehm_view_none(), 0);
    ehm_sum(d, &(ehm_sum_args){.out = loss, .x = g->row_loss, .scale = 1.0f / BATCH});
    ehm_download(d, &g->loss[g->step++], loss, sizeof(float));
}
static void bwd(void *user, ehm_dev *d, const ehm_weights *w, const ehm_grads *gr, const ehm_view *levels, const ehm_view *dlevels, int64_t b, float share) {
    golden *g = user;
    loss_of(g, d, ehm_fit2(ehm_head_dout(g->learn, 0, b), b, CLASSES), share / BATCH);
    ehm_head_bwd(d, g->learn, dlevels, levels, w, gr, b);
}
static void infer(void *user, ehm_dev *d, const ehm_weights *w, const ehm_view *levels, int64_t b) { ehm_head_fwd(d, ((golden *)user)->look, w, levels, b); }
static void describe(void *user, ehm_json_w *w) { (void)user, (void)w; }

static void ten_steps(const char *device) {
    static const ehm_tune_task task = {"golden", add, pass_open, 1, level, plan, plan_bwd, placed, load, fwd_loss, bwd, infer, describe, NULL};
    static const char *const keys[][2] = {{"threads", "1"}, {"workers", "1"}, {"dtype", "f32"}, {"batch_size", "4"}, {"lr", "4e-3"}, {"min_lr", "1e-6"},
        {"warmup_epochs", "0.2"}, {"weight_decay", "0.05"}, {"layer_decay", "0.75"}, {"drop_path", "0"}, {"clip_grad", "0.3"}, {"steps", "10"}, {"train", "scenes:3:40:32"}};
    static const char *const end[] = {"cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "blocks.1.mlp.fc2.bias", "fc_norm.weight", "head.weight"};
    fixture f = {0};
    golden *g = EHM_NEW(&f.a, golden);
    ehm_tune *t;
    ehm_tune_result res;
    float want[STEPS], x[4096], y[4096];
    ehm_config_init(&f.c);
    fx_set(&f, "device", device);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) fx_set(&f, keys[i][0], keys[i][1]);
    fx_set(&f, "model", ehm_test_path("tests/golden/tune/encoder.safetensors"));
    REQUIRE_OK(ehm_st_open(&g->file, ehm_test_path("tests/golden/tune/steps.safetensors"), &f.err), &f.err);
    get(g, "pixels", g->pixels), get(g, "targets", g->targets), get(g, "losses", want);
    REQUIRE_OK(ehm_dataset_open(&f.ds, &f.c.train, &(ehm_dataset_opt){.channels = 3, .ignore_label = -1}, &f.err), &f.err);
    f.setup = (ehm_tune_setup){.task = &task, .user = g, .train = f.ds};
    REQUIRE_OK(ehm_tune_open(&t, &f.setup, &f.c, &f.err), &f.err);
    REQUIRE_OK(ehm_tune_run(t, &res, &f.err), &f.err);
    CHECK_INT(g->step, STEPS);
    CHECK_CLOSE_F32(g->loss, want, STEPS, 2e-5);
    REQUIRE_OK(ehm_tune_save(t, fx_path(&f, "m.safetensors"), &f.err), &f.err);
    ehm_tune_close(t);
    ehm_st *saved;
    REQUIRE_OK(ehm_st_open(&saved, fx_path(&f, "m.safetensors"), &f.err), &f.err);
    for (size_t i = 0; i < sizeof end / sizeof end[0]; i++) {
        const ehm_st_tensor *s = ehm_st_find(saved, end[i]);
        REQUIRE(s && s->count <= 4096);
        REQUIRE_OK(ehm_st_to_f32(s, x, &f.err), &f.err);
        get(g, ehm_arena_printf(&f.a, "end.%s", end[i]), y);
        if (!ehm_test_close_f32(__FILE__, __LINE__, end[i], x, y, s->count, 1e-4)) printf("%s on %s\n", end[i], device);
    }
    ehm_st_close(saved);
    ehm_st_close(g->file);
    fx_end(&f);
}

TEST(tune_golden, ten_steps_ref) { ten_steps("ref"); }
TEST(tune_golden, ten_steps_cpu) {
    ehm_err err = {0};
    ehm_dev *d = NULL;
    if (ehm_dev_open(&d, "cpu", 1, &err)) SKIP("the cpu device does not run here");
    ehm_dev_close(d);
    ten_steps("cpu");
}

TEST(tune_golden, tables) {
    static const int32_t size[][2] = {{7, 9}, {2, 3}, {4, 6}, {6, 4}, {1, 13}};
    golden g = {0};
    ehm_err err = {0};
    float in[25 * 5], want[64 * 5], got[64 * 5];
    char name[16];
    REQUIRE_OK(ehm_st_open(&g.file, ehm_test_path("tests/golden/tune/tables.safetensors"), &err), &err);
    get(&g, "from_4x6", in);
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
        int32_t h = size[i][0], w = size[i][1];
        snprintf(name, sizeof name, "to_%dx%d", (int)h, (int)w);
        get(&g, name, want);
        REQUIRE_OK(ehm_table_resize(got, in, 5, 4, 6, h, w, 1, &err), &err);
        CHECK_CLOSE_F32(got, want, (1 + h * w) * 5, 2e-6);
    }
    ehm_st_close(g.file);
}
