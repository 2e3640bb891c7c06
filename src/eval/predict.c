#include "base/file.h"
#include "base/log.h"
#include "eval/predict_int.h"
#include "tune/tune.h"
#include <string.h>

enum { BAD_SAID = 20 };

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for predictions"); }

ehm_code ehm_predict_open_data(ehm_predicting *p, int32_t channels, ehm_err *err) {
    const ehm_config *c = p->c;
    ehm_dataset_opt opt = {.channels = channels, .alpha = c->alpha, .max_pixels = c->max_pixels, .cache_dir = c->cache, .ignore_label = -1,
                           .limit = EHM_IS_AUTO(c->limit) ? 0 : c->limit};
    if (!EHM_IS_AUTO(c->channels) && c->channels != channels) {
        EHM_HINT(err, "leave out --channels: pictures are brought to what the network takes");
        return EHM_FAIL(err, EHM_E_MISMATCH, "--channels %lld, but %s takes %d", (long long)c->channels, c->model, (int)channels);
    }
    EHM_TRY(ehm_dataset_open(&p->ds, &c->data, &opt, err));
    return ehm_dataset_count(p->ds) ? EHM_OK : EHM_FAIL(err, EHM_E_MISMATCH, "%s holds no picture", ehm_dataset_spec(p->ds));
}

ehm_code ehm_predict_bad(ehm_predicting *p, int64_t id, const char *why, ehm_err *err) {
    ehm_predicted *o = p->out;
    const char *name = ehm_dataset_name(p->ds, id);
    if (o->n_bad == p->cap_bad) {
        int64_t cap = p->cap_bad ? 2 * p->cap_bad : 16;
        const char **v = EHM_NEW_N(p->a, const char *, cap);
        if (!v) return no_memory(err);
        if (o->n_bad) memcpy(v, o->bad, sizeof *v * (size_t)o->n_bad);
        o->bad = v, p->cap_bad = cap;
    }
    /* A reader's words begin with the name most times. */
    const char *line = ehm_starts(why, name) ? ehm_arena_strdup(p->a, why) : ehm_arena_printf(p->a, "%s: %s", name, why);
    if (!(o->bad[o->n_bad++] = line)) return no_memory(err);
    if (o->n_bad <= BAD_SAID) ehm_log(EHM_LOG_WARN, "left out, cannot be read: %s", line);
    if (o->n_bad == BAD_SAID + 1) ehm_log(EHM_LOG_WARN, "more pictures cannot be read; --json names all of them");
    return EHM_OK;
}

ehm_code ehm_predict_wrote(ehm_predicting *p, const char *path, ehm_err *err) {
    const char *s = ehm_arena_strdup(p->a, path);
    p->out->files[p->out->n_files++] = s;
    return s ? EHM_OK : no_memory(err);
}

char *ehm_predict_beside(const char *path, const char *ending, ehm_arena *a) {
    const char *base = ehm_path_base(path), *dot = strrchr(base, '.');
    return ehm_arena_printf(a, "%.*s%s", (int)(dot && dot > base ? dot - path : (ptrdiff_t)strlen(path)), path, ending);
}

ehm_code ehm_predict_each(ehm_predicting *p, const ehm_vit_shape *s, int32_t batch, const char *fit, ehm_predict_fn fn, void *user, ehm_err *err) {
    ehm_loader_opt o = {.batch_size = batch, .h = s->img_h, .w = s->img_w, .fit = fit, .n_workers = p->n_workers, .max_bad = 1};
    ehm_loader *l = NULL;
    int64_t id;
    const char *why;
    ehm_code rc = ehm_loader_open(&l, p->ds, &o, 0, err);
    while (!rc) {
        ehm_batch b = {0};
        ehm_err said = {0};
        rc = ehm_loader_next(l, &b, &said);
        if (rc == EHM_E_STOPPED && !ehm_stop_asked()) {
            rc = EHM_OK;
            break;
        }
        if (rc && err && !err->code) *err = said;
        if (!rc && ehm_stop_asked()) rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped after %lld pictures", (long long)p->out->n);
        if (!rc) rc = fn(user, &b, err);
        for (int32_t i = 0; i < b.n && !rc; i++) p->out->n += b.ids[i] == b.slots[i];
        if (!rc) ehm_progress(false, "%lld of %lld pictures", (long long)p->out->n, (long long)ehm_dataset_count(p->ds));
    }
    if (!rc) ehm_progress(true, "%lld pictures", (long long)p->out->n);
    for (int64_t i = 0; !rc && ehm_loader_bad(l, i, &id, &why); i++) rc = ehm_predict_bad(p, id, why, err);
    ehm_loader_close(l);
    return rc;
}

static ehm_code check(const ehm_config *c, ehm_err *err) {
    if (!c->model) {
        EHM_HINT(err, "ehm eval TASK --save F.safetensors writes one");
        return EHM_FAIL(err, EHM_E_CONFIG, "--model is missing: a network that an evaluation saved, or the run folder of one");
    }
    if (ehm_starts(c->model, "untrained:")) return EHM_FAIL(err, EHM_E_CONFIG, "--model %s: has learned no task, so there is nothing to predict", c->model);
    if (!c->data.n) return EHM_FAIL(err, EHM_E_CONFIG, "--data is missing: the pictures to predict");
    return c->out ? EHM_OK : EHM_FAIL(err, EHM_E_CONFIG, "--out is missing: the file to write, or for label maps the folder");
}

static const struct { const char *task; ehm_code (*run)(ehm_predicting *, ehm_err *); bool folder; } kinds[] = {
    {"finetune", ehm_predict_labels, false}, {"linear", ehm_predict_labels, false}, {"segment", ehm_predict_maps, true},
    {"detect", ehm_predict_boxes, false}, {"instances", ehm_predict_boxes, false}};

ehm_code ehm_predict(ehm_predicted *out, const ehm_config *c, ehm_arena *a, ehm_err *err) {
    ehm_predicting p = {.c = c, .out = out, .a = a, .n_workers = EHM_IS_AUTO(c->workers) ? ehm_cpu_count() : (int32_t)c->workers};
    size_t k = 0;
    *out = (ehm_predicted){.n = 0};
    EHM_TRY(check(c, err));
    EHM_TRY(ehm_tuned_meta(&p.meta, c->model, a, err));
    out->task = ehm_json_str_or(p.meta, "name", "");
    while (k < sizeof kinds / sizeof *kinds && strcmp(kinds[k].task, out->task)) k++;
    if (k == sizeof kinds / sizeof *kinds)
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: was saved by the task \"%.60s\", which this program does not predict", c->model, out->task);
    if (!kinds[k].folder && ehm_dir_exists(c->out)) return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: is a folder, and a file is written for %s", c->out, out->task);
    if (kinds[k].folder && ehm_file_exists(c->out) && !ehm_dir_exists(c->out))
        return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: is a file, and label maps need a folder", c->out);
    p.file = ehm_dir_exists(c->model) ? ehm_path_join(a, c->model, "model.safetensors") : c->model;
    if (!p.file) return no_memory(err);
    ehm_code rc = kinds[k].run(&p, err);
    ehm_dataset_close(p.ds);
    return rc;
}
