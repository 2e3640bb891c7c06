/* What is exported: weights under MAE's names, whatever kind of model they come from, and the head on top of them. */
#include "base/file.h"
#include "base/log.h"
#include "export/export_int.h"
#include "infer/save.h"
#include "runs/run.h"
#include <math.h>
#include <string.h>

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the export"); }

bool ehm_export_is_decoder(const char *name) { return !strcmp(name, "mask_token") || ehm_starts(name, "decoder_"); }
bool ehm_export_is_head(const char *name) { return ehm_starts(name, "head.") || ehm_starts(name, "fc_norm."); }

const ehm_st_tensor *ehm_exporting_tensor(const ehm_exporting *x, const char *name) {
    for (int32_t i = 0; i < x->n; i++)
        if (!strcmp(x->t[i].name, name)) return &x->t[i];
    return NULL;
}

static const ehm_st *weights_of(const ehm_exporting *x) { return x->file ? x->file : x->src.file; }

/* ---- weights ---- */

/* A checkpoint and a model before its first step are no weights file: they are opened and saved as one, beside the result. */
static ehm_code save_aside(ehm_exporting *x, ehm_err *err) {
    ehm_model_opt o = {.device = x->opt->device, .threads = x->opt->threads, .dtype = "f32", .batch = 1};
    ehm_model *m;
    EHM_TRY(ehm_model_open(&m, x->spec, &o, err));
    ehm_code rc = ehm_dir_make_for(x->temp, err);
    if (!rc) rc = ehm_model_save_full(m, x->temp, err);
    ehm_model_close(m);
    if (!rc) rc = ehm_st_open(&x->file, x->temp, err);
    (void)ehm_file_remove(x->temp, NULL); /* its bytes stay as long as it is open */
    return rc;
}

/* In f32; borrowed from the file where it has that already. */
static ehm_code add_tensor(ehm_exporting *x, const ehm_st_tensor *t, ehm_err *err) {
    ehm_st_tensor *out = &x->t[x->n];
    *out = *t;
    if (t->dtype != EHM_F32) {
        float *v = EHM_NEW_N(x->a, float, t->count);
        if (!v) return no_memory(err);
        EHM_TRY(ehm_st_to_f32(t, v, err));
        out->dtype = EHM_F32, out->data = v, out->bytes = (size_t)t->count * sizeof *v;
    }
    x->n++;
    return EHM_OK;
}

static ehm_code add_floats(ehm_exporting *x, const char *name, const float *v, int64_t rows, int64_t cols, ehm_err *err) {
    int64_t count = rows * (cols ? cols : 1);
    (void)err;
    x->t[x->n++] = (ehm_st_tensor){.name = name, .dtype = EHM_F32, .rank = cols ? 2 : 1, .dim = {rows, cols}, .count = count, .data = v, .bytes = (size_t)count * sizeof *v};
    return EHM_OK;
}

/* Names that are no part of the network (a probe's, a segmentation head's) stay behind. */
static ehm_code take_tensors(ehm_exporting *x, bool with_head, ehm_err *err) {
    const ehm_st *f = weights_of(x);
    char names[3][EHM_DIALECT_NAME_CAP];
    x->t = EHM_NEW_N(x->a, ehm_st_tensor, ehm_st_count(f) + 4);
    if (!x->t) return no_memory(err);
    for (int32_t i = 0; i < ehm_st_count(f); i++) {
        const ehm_st_tensor *t = ehm_st_at(f, i);
        if (!ehm_dialect_from_mae(names, EHM_DIALECT_MAE, t->name) || (ehm_export_is_head(t->name) && !with_head)) continue;
        if (ehm_export_is_decoder(t->name) && !x->info.has_decoder) continue;
        EHM_TRY(add_tensor(x, t, err));
    }
    x->has_norm = ehm_exporting_tensor(x, "norm.weight") != NULL;
    return EHM_OK;
}

/* ---- heads ---- */

static ehm_code take_classes(ehm_exporting *x, const ehm_json *task, ehm_err *err) {
    const ehm_json *list = ehm_json_get(task, "classes");
    if (!list || list->kind != EHM_JSON_ARR || list->n != x->n_classes)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: the metadata names %d classes, the head has %d", x->spec, list ? (int)list->n : 0, (int)x->n_classes);
    int32_t n = 0;
    x->classes = EHM_NEW_N(x->a, const char *, x->n_classes);
    if (!x->classes) return no_memory(err);
    for (const ehm_json *c = list->first; c; c = c->next)
        if (!(x->classes[n++] = ehm_arena_strdup(x->a, c->kind == EHM_JSON_STR ? c->str : c->kind == EHM_JSON_NUM ? c->str : "")))
            return no_memory(err);
    return EHM_OK;
}

/* head.weight [K,D] with its bias and, for a mean, fc_norm: what fine-tuning leaves, here and in MAE and timm. */
static ehm_code take_head(ehm_exporting *x, const ehm_json *task, ehm_err *err) {
    const ehm_st_tensor *w = ehm_st_find(weights_of(x), "head.weight"), *b = ehm_st_find(weights_of(x), "head.bias"), *norm = ehm_st_find(weights_of(x), "fc_norm.weight");
    int32_t D = x->info.shape.embed_dim;
    if (!w || !b || w->rank != 2 || w->dim[1] != D || w->dim[0] < 1 || w->dim[0] > 1000000 || b->rank != 1 || b->dim[0] != w->dim[0])
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: \"head.weight\" and \"head.bias\" are missing or not those of a linear classifier on %d features", x->spec, (int)D);
    const char *pool = ehm_json_str_or(task, "pool", norm ? "mean" : "cls");
    x->n_classes = (int32_t)w->dim[0];
    x->head = strcmp(pool, "mean") ? EHM_EXPORT_CLS : EHM_EXPORT_MEAN;
    if (x->head == EHM_EXPORT_MEAN && !norm) return EHM_FAIL(err, EHM_E_FORMAT, "%s: the classifier reads a mean, and \"fc_norm.weight\" is missing", x->spec);
    EHM_TRY(take_tensors(x, true, err));
    return task ? take_classes(x, task, err) : EHM_OK;
}

static const double *doubles(const ehm_st *f, const char *name, int64_t count, ehm_arena *a) {
    const ehm_st_tensor *t = ehm_st_find(f, name);
    double *v = t && t->dtype == EHM_F64 && t->count == count ? EHM_NEW_N(a, double, count) : NULL;
    if (v) memcpy(v, t->data, t->bytes);
    return v;
}

/* A linear probe's classifier reads features made (x - mean) / std: both go into weight and bias, so that it reads features as they are. */
static ehm_code fold_probe(ehm_exporting *x, const ehm_json *task, ehm_err *err) {
    const ehm_json *classes = ehm_json_get(task, "classes");
    int64_t K = classes && classes->kind == EHM_JSON_ARR ? classes->n : 0, D = x->info.shape.embed_dim;
    const ehm_st *f = weights_of(x);
    const double *w = doubles(f, "probe.weight", K * D, x->a), *b = doubles(f, "probe.bias", K, x->a), *mean = doubles(f, "probe.mean", D, x->a), *std = doubles(f, "probe.std", D, x->a);
    float *weight = K ? EHM_NEW_N(x->a, float, K * D) : NULL, *bias = K ? EHM_NEW_N(x->a, float, K) : NULL;
    if (!K || !w || !b || !mean || !std) return EHM_FAIL(err, EHM_E_FORMAT, "%s: tensors of the linear classifier are missing or not what its task says", x->spec);
    if (!weight || !bias) return no_memory(err);
    for (int64_t k = 0; k < K; k++) {
        double sum = b[k];
        for (int64_t c = 0; c < D; c++) {
            double v = w[k * D + c] / std[c];
            weight[k * D + c] = (float)v, sum -= v * mean[c];
        }
        bias[k] = (float)sum;
    }
    x->n_classes = (int32_t)K;
    x->head = strcmp(ehm_json_str_or(task, "pool", ""), "cls") ? EHM_EXPORT_MEAN_OF_NORM : EHM_EXPORT_CLS;
    EHM_TRY(add_floats(x, "head.weight", weight, K, D, err));
    EHM_TRY(add_floats(x, "head.bias", bias, K, 0, err));
    return take_classes(x, task, err);
}

static bool probe_of_the_end(const ehm_exporting *x, const ehm_json *task) {
    const ehm_json *d = ehm_json_get(task, "depths");
    return !d || !d->n || (d->n == 1 && d->first->i64 == x->info.shape.depth);
}

static ehm_code take_task(ehm_exporting *x, ehm_err *err) {
    const char *text = ehm_st_meta_get(weights_of(x), "task");
    ehm_json *task = NULL;
    if (text) EHM_TRY(ehm_json_parse(&task, text, strlen(text), "the metadata \"task\"", x->a, err));
    const char *name = ehm_json_str_or(task, "name", "");
    if (!strcmp(name, "finetune") || (!text && ehm_st_find(weights_of(x), "head.weight"))) return take_head(x, task, err);
    EHM_TRY(take_tensors(x, false, err));
    if (!strcmp(name, "linear") && probe_of_the_end(x, task)) return fold_probe(x, task, err);
    if (text) ehm_log(EHM_LOG_NOTE, "%s: %s has no place in the formats of other tools; its encoder is exported", x->spec,
                      strcmp(name, "linear") ? ehm_arena_printf(x->a, "the head that was trained to %.40s", *name ? name : "do something else") : "a linear classifier on several blocks");
    return EHM_OK;
}

/* ---- where it comes from ---- */

static void add_set(ehm_str *s, const char *spec) {
    const char *dot = strchr(spec, '#'), *base = spec; /* the last folder before a part: "sets/cats.tar#train" is cats.tar#train */
    for (const char *p = spec; *p && p != dot; p++)
        if (*p == '/' && p[1] && p[1] != '#') base = p + 1;
    ehm_str_addf(s, "%s%s", s->len ? ", " : "", base);
}

/* The sets by name alone: folders of this machine are nobody else's business. */
static void read_run(ehm_exporting *x) {
    static const char *const keys[] = {"data", "train"};
    const char *dir = x->src.ckpt_run ? x->src.ckpt_run : x->spec;
    ehm_json *root;
    ehm_err why = {0};
    ehm_str s = {0};
    if (!ehm_dir_exists(dir) || !ehm_run_is_folder(dir) || ehm_json_read_file(&root, ehm_path_join(x->a, dir, "config.json"), x->a, &why)) return;
    const ehm_json *settings = ehm_json_get(root, "settings");
    for (size_t k = 0; k < sizeof keys / sizeof *keys && !s.len; k++) {
        const ehm_json *v = ehm_json_get(ehm_json_get(settings, keys[k]), "value");
        for (const ehm_json *j = v && v->kind == EHM_JSON_ARR ? v->first : NULL; j; j = j->next)
            if (j->kind == EHM_JSON_STR) add_set(&s, j->str);
        if (v && v->kind == EHM_JSON_STR) add_set(&s, v->str);
    }
    double ratio = ehm_json_num_or(ehm_json_get(settings, "mask_ratio"), "value", x->mask_ratio);
    if (ratio > 0 && ratio < 1) x->mask_ratio = ratio;
    if (s.len && !s.failed) x->data = ehm_arena_strdup(x->a, s.s);
    ehm_str_free(&s);
}

/* ---- */

ehm_code ehm_exporting_open(ehm_exporting *x, ehm_err *err) {
    x->mask_ratio = 0.75;
    EHM_TRY(ehm_model_source_open(&x->src, x->spec, err));
    x->info = x->src.info;
    if (!x->src.file || x->src.untrained || x->src.ckpt_run) EHM_TRY(save_aside(x, err));
    EHM_TRY(take_task(x, err));
    read_run(x);
    return EHM_OK;
}

void ehm_exporting_close(ehm_exporting *x) {
    ehm_st_close(x->file);
    ehm_model_source_close(&x->src);
}
