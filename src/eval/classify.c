#include "eval/classify.h"
#include <stdlib.h>
#include <string.h>

struct ehm_classify {
    ehm_arena arena;
    ehm_classify_opt o;
    const char **names;
    ehm_head *head;
    ehm_head_pass *learn, *look;
    int32_t batch, depth, h, w, channels;
    float *mixed, *target_host; int32_t *labels; /* [batch,...] of a training batch */
    ehm_view target, row_loss;
};

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a classifier"); }

ehm_code ehm_classify_new(ehm_classify **out, const ehm_classify_opt *o, ehm_err *err) {
    ehm_classify *k = *out = calloc(1, sizeof *k);
    if (!k) return no_memory(err);
    k->o = *o;
    k->names = EHM_NEW_N(&k->arena, const char *, o->n_classes);
    bool ok = k->names != NULL;
    for (int32_t i = 0; i < o->n_classes && ok; i++) ok = (k->names[i] = ehm_arena_strdup(&k->arena, o->names[i])) != NULL;
    if (ok) return EHM_OK;
    ehm_classify_task.close(k);
    *out = NULL;
    return no_memory(err);
}

ehm_code ehm_classify_from_meta(ehm_classify **out, const ehm_json *meta, ehm_err *err) {
    const ehm_json *classes = ehm_json_get(meta, "classes");
    const char *name = ehm_json_str_or(meta, "name", ""), *pool = ehm_json_str_or(meta, "pool", "");
    *out = NULL;
    if (strcmp(name, ehm_classify_task.name)) return EHM_FAIL(err, EHM_E_MISMATCH, "the network was trained for \"%.60s\", not to classify", name);
    if (!classes || classes->kind != EHM_JSON_ARR || classes->n < 2 || (strcmp(pool, "mean") && strcmp(pool, "cls")))
        return EHM_FAIL(err, EHM_E_FORMAT, "the metadata \"task\" names no classes, or no pooling that is known");
    ehm_arena a = {0};
    const char **names = EHM_NEW_N(&a, const char *, classes->n);
    int32_t n = 0;
    ehm_code rc = names ? EHM_OK : no_memory(err);
    for (const ehm_json *c = classes->first; c && !rc; c = c->next) {
        if (c->kind != EHM_JSON_STR) rc = EHM_FAIL(err, EHM_E_FORMAT, "the metadata \"task\" has a class without a name");
        else names[n++] = c->str;
    }
    if (!rc) rc = ehm_classify_new(out, &(ehm_classify_opt){.n_classes = n, .names = names, .pool_cls = !strcmp(pool, "cls")}, err);
    ehm_arena_free(&a);
    return rc;
}

bool ehm_classify_mixes(const ehm_classify *k) { return k->o.mix.prob > 0 && (k->o.mix.mixup > 0 || k->o.mix.cutmix > 0); }
int32_t ehm_classify_n(const ehm_classify *k) { return k->o.n_classes; }
const char *ehm_classify_name(const ehm_classify *k, int32_t i) { return k->names[i]; }
ehm_view ehm_classify_logits(const ehm_classify *k, int32_t n) { return ehm_fit2(ehm_head_out(k->look, 0, n), n, k->o.n_classes); }

/* ---- the task ---- */

static ehm_code add(void *user, const ehm_tune_place *p, ehm_err *err) {
    ehm_classify *k = user;
    /* The last layer starts almost at nothing, as MAE's fine-tuning has it. */
    ehm_head_opt o = {.kind = k->o.pool_cls ? EHM_HEAD_CLASS_CLS : EHM_HEAD_CLASS_MEAN, .n_out = k->o.n_classes, .head_std = 2e-5};
    k->head = ehm_head_add(p->params, p->arena, p->shape, p->encoder_norm, &o);
    k->depth = p->shape->depth, k->h = p->shape->img_h, k->w = p->shape->img_w, k->channels = p->shape->channels;
    return k->head ? EHM_OK : no_memory(err);
}

static ehm_code pass_open(void *user, const ehm_tune_place *p, ehm_err *err) {
    ehm_classify *k = user;
    ehm_head_pass *pass = ehm_head_pass_open(k->head, p->batch, p->train, p->act, p->arena);
    *(p->train ? &k->learn : &k->look) = pass;
    if (!pass) return no_memory(err);
    if (!p->train) return EHM_OK;
    size_t n = (size_t)p->batch;
    k->batch = p->batch;
    k->labels = EHM_NEW_N(p->arena, int32_t, n), k->target_host = EHM_NEW_N(p->arena, float, n * (size_t)k->o.n_classes);
    if (ehm_classify_mixes(k)) k->mixed = EHM_NEW_N(p->arena, float, n * (size_t)k->h * (size_t)k->w * (size_t)k->channels);
    return k->labels && k->target_host && (k->mixed || !ehm_classify_mixes(k)) ? EHM_OK : no_memory(err);
}

static int32_t level(void *user, int32_t i) { return ehm_head_level(((ehm_classify *)user)->head, i); }

static void plan(void *user, ehm_plan *p, bool train) {
    ehm_classify *k = user;
    ehm_head_pass_plan(train ? k->learn : k->look, p);
    if (!train) return;
    k->target = ehm_plan_2d(p, EHM_MEM_INPUT, NULL, ehm_dev_real(p->dev), k->batch, k->o.n_classes);
    k->row_loss = ehm_plan_1d(p, EHM_MEM_CACHE, NULL, ehm_dev_real(p->dev), k->batch);
}

static void plan_bwd(void *user, ehm_plan *p) { ehm_head_pass_plan_bwd(((ehm_classify *)user)->learn, p); }

static ehm_code placed(void *user, ehm_dev *d, ehm_err *err) {
    ehm_classify *k = user;
    if (k->learn) {
        ehm_code rc = ehm_head_pass_load(k->learn, d, err);
        if (rc) return rc;
    }
    return ehm_head_pass_load(k->look, d, err);
}

static ehm_code load(void *user, ehm_dev *d, const ehm_batch *b, const float **mixed, ehm_err *err) {
    ehm_classify *k = user;
    double lambda = 1;
    (void)err;
    for (int32_t i = 0; i < b->n; i++) k->labels[i] = k->o.in_model ? k->o.in_model[b->labels[i]] : b->labels[i];
    if (ehm_classify_mixes(k)) {
        EHM_ASSERT(b->type == EHM_F32);
        memcpy(k->mixed, b->pixels, (size_t)b->n * (size_t)k->h * (size_t)k->w * (size_t)k->channels * sizeof *k->mixed);
        ehm_mix_batch(&lambda, k->mixed, b->n, k->h, k->w, k->channels, &k->o.mix, k->o.seed, b->epoch, b->i_batch);
        *mixed = k->mixed;
    }
    ehm_mix_targets(k->target_host, k->labels, b->n, k->o.n_classes, lambda, k->o.smoothing);
    ehm_upload(d, ehm_fit2(k->target, b->n, k->o.n_classes), k->target_host, (size_t)b->n * (size_t)k->o.n_classes * sizeof(float));
    return EHM_OK;
}

static ehm_view rows_of(ehm_view v, int64_t n) { return ehm_view_of(v.buf, v.offset, v.dtype, 1, &n); }

static void loss_of(ehm_classify *k, ehm_dev *d, int64_t b, ehm_view dlogits, float scale) {
    ehm_xent(d, &(ehm_xent_args){.row_loss = rows_of(k->row_loss, b), .dlogits = dlogits, .logits = ehm_fit2(ehm_head_out(k->learn, 0, b), b, k->o.n_classes),
                                 .target = ehm_fit2(k->target, b, k->o.n_classes), .scale = scale});
}

static void fwd_loss(void *user, ehm_dev *d, const ehm_weights *w, const ehm_view *levels, int64_t b, ehm_view loss) {
    ehm_classify *k = user;
    ehm_head_fwd(d, k->learn, w, levels, b);
    loss_of(k, d, b, ehm_view_none(), 0);
    ehm_sum(d, &(ehm_sum_args){.out = loss, .x = rows_of(k->row_loss, b), .scale = 1.0f / (float)b});
}

static void bwd(void *user, ehm_dev *d, const ehm_weights *w, const ehm_grads *g, const ehm_view *levels, const ehm_view *dlevels, int64_t b, float share) {
    ehm_classify *k = user;
    loss_of(k, d, b, ehm_fit2(ehm_head_dout(k->learn, 0, b), b, k->o.n_classes), share / (float)b);
    ehm_head_bwd(d, k->learn, dlevels, levels, w, g, b);
}

static void infer(void *user, ehm_dev *d, const ehm_weights *w, const ehm_view *levels, int64_t b) { ehm_head_fwd(d, ((ehm_classify *)user)->look, w, levels, b); }

static void describe(void *user, ehm_json_w *w) {
    const ehm_classify *k = user;
    ehm_json_key(w, "pool"), ehm_json_str(w, k->o.pool_cls ? "cls" : "mean");
    ehm_json_key(w, "classes");
    ehm_json_arr(w);
    for (int32_t i = 0; i < k->o.n_classes; i++) ehm_json_str(w, k->names[i]);
    ehm_json_end(w);
}

static void close_task(void *user) {
    ehm_classify *k = user;
    if (!k) return;
    ehm_arena_free(&k->arena);
    free(k);
}

const ehm_tune_task ehm_classify_task = {
    .name = "finetune",
    .add = add,
    .pass_open = pass_open,
    .n_levels = 1,
    .level = level,
    .plan = plan,
    .plan_bwd = plan_bwd,
    .placed = placed,
    .load = load,
    .fwd_loss = fwd_loss,
    .bwd = bwd,
    .infer = infer,
    .describe = describe,
    .close = close_task,
};
