#include "eval/linear_probe.h"
#include "eval/knn.h"
#include "exchange/weights_file.h"
#include "infer/save.h"
#include <stdio.h>
#include <string.h>

enum { WEIGHT, BIAS, MEAN, STD, N_TENSORS };
static const char *const tensor_name[N_TENSORS] = {"probe.weight", "probe.bias", "probe.mean", "probe.std"};

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a linear classifier"); }

static void describe(ehm_str *s, const ehm_linear_probe *p) {
    ehm_json_w w = {.out = s};
    ehm_json_obj(&w);
    ehm_json_key(&w, "name"), ehm_json_str(&w, EHM_LINEAR_PROBE_NAME);
    ehm_json_key(&w, "pool"), ehm_json_str(&w, p->of_cls ? "cls" : "mean");
    ehm_json_key(&w, "depths"), ehm_json_arr(&w);
    for (int32_t i = 0; i < p->n_depths; i++) ehm_json_i64(&w, p->depth[i]);
    ehm_json_end(&w);
    ehm_json_key(&w, "classes"), ehm_json_arr(&w);
    for (int32_t i = 0; i < p->n_classes; i++) ehm_json_str(&w, p->classes[i]);
    ehm_json_end(&w);
    ehm_json_end(&w);
}

ehm_code ehm_linear_probe_save(const char *path, const ehm_model *m, const ehm_linear_probe *p, ehm_err *err) {
    const double *data[N_TENSORS] = {p->weight, p->bias, p->mean, p->std};
    ehm_st_tensor t[N_TENSORS];
    ehm_str task = {0};
    for (int32_t i = 0; i < N_TENSORS; i++) {
        int64_t rows = i == WEIGHT || i == BIAS ? p->n_classes : p->dim, count = i == WEIGHT ? rows * p->dim : rows;
        t[i] = (ehm_st_tensor){.name = tensor_name[i], .dtype = EHM_F64, .rank = i == WEIGHT ? 2 : 1, .dim = {rows, p->dim}, .count = count, .data = data[i],
                               .bytes = (size_t)count * sizeof(double)};
    }
    describe(&task, p);
    ehm_code rc = task.failed ? no_memory(err) : ehm_model_save(m, path, t, N_TENSORS, &(ehm_st_meta){"task", ehm_str_c(&task)}, 1, err);
    ehm_str_free(&task);
    return rc;
}

static ehm_code read_tensor(const double **out, const ehm_st *f, int32_t i, int64_t rows, int64_t cols, const char *path, ehm_arena *a, ehm_err *err) {
    const ehm_st_tensor *t = ehm_st_find(f, tensor_name[i]);
    if (!t || t->dtype != EHM_F64 || t->rank != (cols ? 2 : 1) || t->dim[0] != rows || (cols && t->dim[1] != cols))
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: tensor \"%s\" is missing or not what its task says", path, tensor_name[i]);
    double *v = EHM_NEW_N(a, double, t->count);
    if (!v) return no_memory(err);
    memcpy(v, t->data, t->bytes);
    for (int64_t k = 0; k < t->count; k++)
        if (!isfinite(v[k])) return EHM_FAIL(err, EHM_E_FORMAT, "%s: tensor \"%s\" holds a number that is not finite", path, tensor_name[i]);
    *out = v;
    return EHM_OK;
}

static ehm_code read_meta(ehm_linear_probe *p, const char *path, const ehm_json *meta, ehm_arena *a, ehm_err *err) {
    const ehm_json *classes = ehm_json_get(meta, "classes"), *depths = ehm_json_get(meta, "depths");
    const char *pool = ehm_json_str_or(meta, "pool", "");
    bool ok = classes && classes->kind == EHM_JSON_ARR && classes->n > 1 && depths && depths->kind == EHM_JSON_ARR && depths->n <= EHM_DEPTHS_MAX &&
              (!strcmp(pool, "cls") || !strcmp(pool, "mean"));
    const char **names = ok ? EHM_NEW_N(a, const char *, classes->n) : NULL;
    if (ok && !names) return no_memory(err);
    p->of_cls = !strcmp(pool, "cls"), p->classes = names;
    for (const ehm_json *j = ok ? classes->first : NULL; j && ok; j = j->next) {
        ok = j->kind == EHM_JSON_STR;
        if (ok && !(names[p->n_classes++] = ehm_arena_strdup(a, j->str))) return no_memory(err);
    }
    for (const ehm_json *j = ok ? depths->first : NULL; j && ok; j = j->next) {
        ok = j->kind == EHM_JSON_NUM && j->is_int && j->i64 > (p->n_depths ? p->depth[p->n_depths - 1] : 0) && j->i64 <= INT32_MAX;
        if (ok) p->depth[p->n_depths++] = (int32_t)j->i64;
    }
    return ok ? EHM_OK : EHM_FAIL(err, EHM_E_FORMAT, "%s: the metadata \"task\" lacks classes, pooling or depths of a linear classifier", path);
}

ehm_code ehm_linear_probe_open(ehm_linear_probe *p, const char *path, const ehm_json *meta, ehm_arena *a, ehm_err *err) {
    ehm_st *f = NULL;
    ehm_weights_info info;
    bool guessed;
    *p = (ehm_linear_probe){.n_classes = 0};
    EHM_TRY(read_meta(p, path, meta, a, err));
    EHM_TRY(ehm_st_open(&f, path, err));
    ehm_code rc = ehm_weights_describe(&info, f, &guessed, err);
    if (!rc && p->n_depths && p->depth[p->n_depths - 1] > info.shape.depth)
        rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: the classifier reads block %d of %d", path, p->depth[p->n_depths - 1], info.shape.depth);
    if (!rc) p->dim = info.shape.embed_dim * (p->n_depths ? p->n_depths : 1);
    if (!rc) rc = read_tensor(&p->weight, f, WEIGHT, p->n_classes, p->dim, path, a, err);
    if (!rc) rc = read_tensor(&p->bias, f, BIAS, p->n_classes, 0, path, a, err);
    if (!rc) rc = read_tensor(&p->mean, f, MEAN, p->dim, 0, path, a, err);
    if (!rc) rc = read_tensor(&p->std, f, STD, p->dim, 0, path, a, err);
    ehm_st_close(f);
    return rc;
}

ehm_code ehm_linear_probe_logits(double *logits, const ehm_linear_probe *p, ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, float *features,
                                 ehm_err *err) {
    float *cls = p->of_cls ? features : NULL, *mean = p->of_cls ? NULL : features;
    if (p->n_depths) EHM_TRY(ehm_model_depths(m, pixels, type, n, p->depth, p->n_depths, cls, mean, err));
    else EHM_TRY(ehm_model_cls_mean(m, pixels, type, n, cls, mean, err));
    ehm_knn_standardise(features, n, p->dim, p->mean, p->std, ehm_dev_pool(ehm_model_device(m)));
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < p->n_classes; k++) {
            const float *x = features + (int64_t)i * p->dim;
            const double *w = p->weight + (int64_t)k * p->dim;
            double s = p->bias[k];
            for (int32_t c = 0; c < p->dim; c++) s += w[c] * (double)x[c];
            logits[(int64_t)i * p->n_classes + k] = s;
        }
    return EHM_OK;
}
