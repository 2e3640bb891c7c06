/* All device memory of a run: counted to choose the batch, then obtained once. */
#include <stdio.h>
#include <stdlib.h>
#include "train/train_int.h"

void ehm_train_plan_all(ehm_train *t, ehm_plan *p, ehm_method *m) {
    const ehm_params *ps = ehm_method_params(m);
    ehm_method_plan(m, p);
    ehm_adamw_plan(&t->adamw, p, ps->group_count, EHM_ADAMW_GROUPS);
    if (t->cfg.ema > 0) ehm_weights_plan(&t->average, ps, p, EHM_MEM_STATE, "ema.", EHM_F32);
    ehm_clip_plan(&t->clip, p);
    t->loss_mean = ehm_plan_1d(p, EHM_MEM_CACHE, "loss_mean", ehm_dev_real(p->dev), 1);
}

static size_t loader_bytes(const ehm_train *t, int64_t batch) {
    const ehm_vit_shape *s = &t->facts.shape;
    size_t value = t->ds && !ehm_dataset_is_u8(t->ds) ? 4 : 1;
    return (size_t)(batch / t->cfg.masks_per_crop) * (size_t)s->img_h * (size_t)s->img_w * (size_t)s->channels * value * ((size_t)t->facts.n_workers + 2);
}

/* Counts what a micro-batch of this size needs; facts hold the last count. */
static ehm_code count(ehm_train *t, int64_t batch, ehm_err *err) {
    ehm_method *m = NULL;
    ehm_plan p;
    EHM_TRY(ehm_method_open(&m, &t->cfg, &t->facts.shape, (int32_t)batch, t->facts.dtype, true, err));
    ehm_plan_begin(&p, t->dev);
    ehm_train_plan_all(t, &p, m);
    ehm_code rc = p.failed ? EHM_FAIL(err, EHM_E_MEMORY, "a batch of %lld pictures needs more memory than can be counted", (long long)batch) : EHM_OK;
    for (int i = 0; i < EHM_MEM_KINDS; i++) t->facts.plan_bytes[i] = ehm_plan_bytes(&p, i);
    t->facts.flops_per_picture = ehm_method_flops(m);
    t->facts.n_visible = ehm_method_n_visible(m);
    t->facts.mask_needs = ehm_method_needs(m);
    t->facts.mask_bytes = ehm_method_host_bytes(m, t->facts.n_threads);
    t->facts.loader_bytes = loader_bytes(t, batch);
    ehm_plan_free(&p);
    ehm_method_close(m);
    return rc;
}

static size_t needed(const ehm_train *t) {
    size_t n = t->facts.loader_bytes + t->facts.mask_bytes;
    for (int i = 0; i < EHM_MEM_KINDS; i++) n += t->facts.plan_bytes[i];
    return n + n / 10; /* packed copies of weights, the pictures being decoded, the program */
}

static bool fits(const ehm_train *t) { return t->facts.memory_available <= 0 || needed(t) <= (size_t)t->facts.memory_available; }

/* The largest batch of at most `most` that fits; count() of it was the last. 0: not even one picture. */
static ehm_code largest_batch(ehm_train *t, int64_t most, int64_t *batch, ehm_err *err) {
    int64_t b = 1, views = t->cfg.masks_per_crop;
    while (b * 2 <= most) b *= 2;
    for (; b >= 1; b /= 2) {
        if (b - b % views < 1) continue;
        EHM_TRY(count(t, b - b % views, err));
        if (fits(t)) break;
    }
    *batch = b - b % views;
    return EHM_OK;
}

static ehm_code too_large(ehm_train *t, ehm_err *err) {
    char need[32], have[32], kinds[256] = "", one[64];
    size_t at = 0;
    ehm_format_bytes((double)needed(t), need);
    ehm_format_bytes((double)t->facts.memory_available, have);
    for (int i = 0; i < EHM_MEM_KINDS; i++) {
        char b[32];
        snprintf(one, sizeof one, "%s%s %s", at ? ", " : "", ehm_mem_kind_name(i), ehm_format_bytes((double)t->facts.plan_bytes[i], b));
        at += (size_t)snprintf(kinds + at, sizeof kinds - at, "%s", one);
        if (at >= sizeof kinds) break;
    }
    return EHM_FAIL(err, EHM_E_MEMORY, "a batch of %lld pictures needs %s (%s), %s are free", (long long)t->cfg.batch_size, need, kinds, have);
}

static ehm_code auto_batch(ehm_train *t, ehm_err *err) {
    int64_t most = 256, batch, wanted = 1, views = t->cfg.masks_per_crop;
    char need[32], have[32];
    if (most < views) most = views;
    if (t->facts.n_pictures > 0 && t->facts.n_pictures * views < most) most = t->facts.n_pictures * views;
    while (wanted * 2 <= most) wanted *= 2;
    wanted -= wanted % views;
    EHM_TRY(largest_batch(t, most, &batch, err));
    if (!batch && t->purpose != EHM_TRAIN_PLAN) {
        t->cfg.batch_size = 1;
        too_large(t, err);
        EHM_HINT(err, "a smaller --preset or --img-size, or a machine with more memory");
        return EHM_E_MEMORY;
    }
    bool lower = batch < wanted;
    ehm_config_put_i64(&t->cfg, EHM_SETI_batch_size, batch ? batch : 1, lower ? EHM_FROM_MACHINE : wanted < 256 ? EHM_FROM_DATA : EHM_FROM_DEFAULT);
    const char *why = !batch ? "not even one picture fits memory" : lower ? "the largest power of two that fits memory" : batch % 2 ? "as near below a power of two as --masks-per-crop allows" : wanted < 256 ? "the largest power of two in the set" : "256 fits";
    t->why[EHM_SETI_batch_size] = ehm_arena_printf(&t->arena, "%s; needs %s of %s free", why, ehm_format_bytes((double)needed(t), need),
                                                   ehm_format_bytes((double)t->facts.memory_available, have));
    return EHM_OK;
}

static ehm_code given_batch(ehm_train *t, ehm_err *err) {
    ehm_err ignored = {0}, asked = {0};
    int64_t batch = 0;
    EHM_TRY(count(t, t->cfg.batch_size, err));
    if (fits(t)) return EHM_OK;
    (void)too_large(t, &asked);
    if (t->purpose == EHM_TRAIN_PLAN) { /* to be told is why one asks for a plan */
        ehm_train_say(t, EHM_LOG_WARN, "%s", asked.what);
        return EHM_OK;
    }
    if (!largest_batch(t, t->cfg.batch_size / 2, &batch, &ignored) && batch > 0)
        EHM_HINT(&asked, "--batch-size %lld fits; --accum-iter %lld then keeps the step as large", (long long)batch,
                 (long long)(t->cfg.accum_iter * ((t->cfg.batch_size + batch - 1) / batch)));
    else EHM_HINT(&asked, "a smaller --preset or --img-size");
    if (err && !err->code) *err = asked;
    return EHM_E_MEMORY;
}

static ehm_code enough_pictures(const ehm_train *t, ehm_err *err) {
    int64_t crops = t->cfg.batch_size / t->cfg.masks_per_crop;
    if (t->facts.n_pictures < 0 || t->facts.n_pictures >= crops) return EHM_OK;
    EHM_FAIL(err, EHM_E_CONFIG, "--batch-size %lld is more than the %lld pictures there are", (long long)crops, (long long)t->facts.n_pictures);
    EHM_HINT(err, "a batch of at most %lld, or more pictures", (long long)t->facts.n_pictures);
    return EHM_E_CONFIG;
}

ehm_code ehm_train_choose_batch(ehm_train *t, ehm_err *err) {
    bool given = !EHM_IS_AUTO(t->cfg.batch_size);
    bool own; /* a GPU's memory holds no decoded pictures */
    t->facts.memory_available = ehm_dev_available(t->dev, &own);
    if (!own) t->facts.memory_available -= (int64_t)t->facts.cache_bytes;
    if (given) EHM_TRY(enough_pictures(t, err)); /* before memory, whose way out is a batch that the pictures may not fill either */
    EHM_TRY(given ? given_batch(t, err) : auto_batch(t, err));
    t->facts.batch_size = t->cfg.batch_size;
    t->facts.accum_iter = t->cfg.accum_iter;
    return enough_pictures(t, err);
}

ehm_code ehm_train_place(ehm_train *t, ehm_err *err) {
    EHM_TRY(ehm_method_open(&t->method, &t->cfg, &t->facts.shape, (int32_t)t->cfg.batch_size, t->facts.dtype, true, err));
    ehm_plan_begin(&t->plan, t->dev);
    t->planned = true;
    ehm_train_plan_all(t, &t->plan, t->method);
    EHM_TRY(ehm_plan_commit(&t->plan, err));
    ehm_train_plan_all(t, &t->plan, t->method);
    EHM_TRY(ehm_plan_end(&t->plan, err));
    t->adamw.beta1 = (float)t->cfg.beta1;
    t->adamw.beta2 = (float)t->cfg.beta2;
    t->chunk = malloc(EHM_STATE_CHUNK);
    if (!t->chunk) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the checkpoint's buffer of %d bytes", EHM_STATE_CHUNK);
    return EHM_OK;
}
