/* Classes of pictures: a table with the likely ones of each. */
#include "base/file.h"
#include "eval/classify.h"
#include "eval/linear_probe.h"
#include "eval/predict_int.h"
#include "eval/task_int.h"
#include <stdlib.h>
#include <string.h>

typedef struct labeller labeller;
struct labeller {
    ehm_predicting *p;
    ehm_tune *tune; ehm_classify *task;              /* a fine-tuned network */
    ehm_model *model; ehm_linear_probe probe; float *features; /* or a probe on one that was left as it was */
    int32_t n_classes, n_top;
    double *logits;                                  /* [batch,n_classes] */
    float *narrow;
    int32_t *order;
    ehm_file_out file;
    ehm_str line;
};

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for predictions"); }
static const char *class_name(const labeller *l, int32_t i) { return l->task ? ehm_classify_name(l->task, i) : l->probe.classes[i]; }
static const ehm_vit_shape *shape_of(const labeller *l) { return l->tune ? ehm_tune_shape(l->tune) : ehm_model_shape(l->model); }
static const char *fit_of(const labeller *l) { return l->tune ? ehm_tune_fit(l->tune) : ehm_model_fit(l->model); }
static int32_t batch_of(const labeller *l) { return l->tune ? ehm_tune_batch(l->tune) : ehm_model_batch(l->model); }

static ehm_code logits_of(labeller *l, const ehm_batch *b, ehm_err *err) {
    size_t n = (size_t)b->n * (size_t)l->n_classes;
    if (l->model) return ehm_linear_probe_logits(l->logits, &l->probe, l->model, b->pixels, b->type, b->n, l->features, err);
    EHM_TRY(ehm_tune_infer(l->tune, b->pixels, b->type, b->n, err));
    ehm_dev *d = ehm_tune_device(l->tune);
    ehm_view v = ehm_classify_logits(l->task, b->n);
    if (v.dtype == EHM_F64) ehm_download(d, l->logits, v, n * sizeof *l->logits);
    else {
        ehm_download(d, l->narrow, v, n * sizeof *l->narrow);
        for (size_t i = 0; i < n; i++) l->logits[i] = (double)l->narrow[i];
    }
    return ehm_dev_check(d, err);
}

/* The likely classes of one picture; ties to the lower one. */
static void add_line(labeller *l, int64_t id, const double *logit) {
    double sum = 0, top = -INFINITY;
    int32_t K = l->n_classes, n = 0;
    for (int32_t k = 0; k < K; k++) top = fmax(top, logit[k]);
    for (int32_t k = 0; k < K; k++) sum += exp(logit[k] - top);
    for (int32_t k = 0; k < K; k++) { /* the n_top largest, in order */
        int32_t at = n < l->n_top ? n++ : l->n_top;
        while (at && logit[l->order[at - 1]] < logit[k]) {
            if (at < l->n_top) l->order[at] = l->order[at - 1];
            at--;
        }
        if (at < l->n_top) l->order[at] = k;
    }
    ehm_eval_add_cell(&l->line, ehm_dataset_name(l->p->ds, id));
    for (int32_t i = 0; i < n; i++) {
        ehm_eval_add_cell(&l->line, class_name(l, l->order[i]));
        ehm_str_addf(&l->line, "%.6f%c", exp(logit[l->order[i]] - top) / sum, i + 1 < n ? '\t' : '\n');
    }
}

static ehm_code flush(labeller *l, ehm_err *err) {
    if (l->line.failed) return no_memory(err);
    if (l->line.len && fwrite(l->line.s, 1, l->line.len, l->file.f) != l->line.len)
        return EHM_FAIL(err, EHM_E_IO, "%s: cannot write (is the disk full?)", l->file.path);
    ehm_str_clear(&l->line);
    return EHM_OK;
}

static ehm_code on_batch(void *user, const ehm_batch *b, ehm_err *err) {
    labeller *l = user;
    EHM_TRY(logits_of(l, b, err));
    for (int32_t i = 0; i < b->n; i++) {
        const double *logit = l->logits + (int64_t)i * l->n_classes;
        if (b->ids[i] != b->slots[i]) continue;
        for (int32_t k = 0; k < l->n_classes; k++)
            if (!isfinite(logit[k]))
                return EHM_FAIL(err, EHM_E_NUMERIC, "%s: the network gives a number that is not finite for %s", l->p->c->model, ehm_dataset_name(l->p->ds, b->ids[i]));
        add_line(l, b->ids[i], logit);
    }
    return flush(l, err);
}

static ehm_code open_network(labeller *l, ehm_err *err) {
    const ehm_predicting *p = l->p;
    ehm_config c = *p->c;
    if (!strcmp(p->out->task, EHM_LINEAR_PROBE_NAME)) {
        ehm_model_opt opt = {c.device, EHM_IS_AUTO(c.threads) ? 0 : (int32_t)c.threads, c.dtype, EHM_IS_AUTO(c.batch_size) ? 0 : (int32_t)c.batch_size};
        EHM_TRY(ehm_linear_probe_open(&l->probe, p->file, p->meta, p->a, err));
        EHM_TRY(ehm_model_open(&l->model, p->file, &opt, err));
        l->n_classes = l->probe.n_classes;
        return EHM_OK;
    }
    c.eval_batch_size = c.batch_size;
    ehm_classify *task;
    EHM_TRY(ehm_classify_from_meta(&task, p->meta, err));
    EHM_TRY(ehm_tuned_open(&l->tune, p->file, &ehm_classify_task, task, &c, err)); /* the task is the network's from here on */
    l->task = task, l->n_classes = ehm_classify_n(task);
    return EHM_OK;
}

static ehm_code make_room(labeller *l, ehm_err *err) {
    size_t n = (size_t)batch_of(l) * (size_t)l->n_classes;
    l->n_top = l->p->c->top < l->n_classes ? (int32_t)l->p->c->top : l->n_classes;
    l->logits = EHM_NEW_N(l->p->a, double, n), l->narrow = EHM_NEW_N(l->p->a, float, n), l->order = EHM_NEW_N(l->p->a, int32_t, l->n_top);
    if (l->model) l->features = EHM_NEW_N(l->p->a, float, (size_t)batch_of(l) * (size_t)l->probe.dim);
    l->p->out->n_classes = l->n_classes;
    return l->logits && l->narrow && l->order && (l->features || !l->model) ? EHM_OK : no_memory(err);
}

static ehm_code predict(labeller *l, ehm_err *err) {
    const ehm_predicting *p = l->p;
    EHM_TRY(open_network(l, err));
    EHM_TRY(ehm_predict_open_data(l->p, shape_of(l)->channels, err));
    EHM_TRY(make_room(l, err));
    EHM_TRY(ehm_dir_make_for(p->c->out, err));
    EHM_TRY(ehm_file_out_open(&l->file, p->c->out, err));
    ehm_str_add(&l->line, "file\tclass\tprobability");
    for (int32_t i = 1; i < l->n_top; i++) ehm_str_addf(&l->line, "\tclass %d\tprobability %d", (int)i + 1, (int)i + 1);
    ehm_str_addc(&l->line, '\n');
    EHM_TRY(flush(l, err));
    EHM_TRY(ehm_predict_each(l->p, shape_of(l), batch_of(l), fit_of(l), on_batch, l, err));
    EHM_TRY(ehm_file_out_commit(&l->file, err));
    return ehm_predict_wrote(l->p, p->c->out, err);
}

ehm_code ehm_predict_labels(ehm_predicting *p, ehm_err *err) {
    labeller l = {.p = p};
    ehm_code rc = predict(&l, err);
    ehm_file_out_abort(&l.file); /* what was not committed */
    ehm_str_free(&l.line);
    ehm_tune_close(l.tune);
    ehm_model_close(l.model);
    return rc;
}
