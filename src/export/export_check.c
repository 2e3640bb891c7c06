/* What was written is opened again and looks at the same pictures as the model: numbers are the only proof that names, rows and settings are right. */
#include "base/file.h"
#include "exchange/import.h"
#include "export/export_int.h"
#include "export/onnx_int.h"
#include "infer/infer.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double tolerance = 1e-4; /* of the largest feature, where that is more than 1 */
static const double eps = 1e-6;
static const double plain_products = 4e10; /* so many are a matter of seconds without a library */

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the check of the export"); }

/* ---- pictures ---- */

/* 0 to 255, the same everywhere: waves of another frequency and direction in each, a channel shifted against the next, and a hash as noise. */
static uint8_t pixel(int32_t i, int32_t y, int32_t x, int32_t c, const ehm_vit_shape *s) {
    double u = (double)x / s->img_w, v = (double)y / s->img_h, angle = 0.4 * i, k = 2 + 1.5 * i;
    double wave = sin(6.283185307179586 * k * (u * cos(angle) + v * sin(angle)) + 1.3 * c);
    uint32_t h = (uint32_t)(((i * s->img_h + y) * s->img_w + x) * s->channels + c) * 2654435761u;
    double noise = (double)(h >> 20) / 4096 - 0.5;
    return (uint8_t)(127.5 + 95 * wave + 60 * noise);
}

static uint8_t *make_pictures(const ehm_vit_shape *s, ehm_arena *a) {
    size_t at = 0, n = (size_t)EHM_EXPORT_PICTURES * (size_t)s->img_h * (size_t)s->img_w * (size_t)s->channels;
    uint8_t *px = EHM_NEW_N(a, uint8_t, n);
    for (int32_t i = 0; px && i < EHM_EXPORT_PICTURES; i++)
        for (int32_t y = 0; y < s->img_h; y++)
            for (int32_t x = 0; x < s->img_w; x++)
                for (int32_t c = 0; c < s->channels; c++) px[at++] = pixel(i, y, x, c, s);
    return px;
}

/* ---- features of weights ---- */

/* Tensors under MAE's names as a model. A final norm that the network does not have is put in as one that is not read. */
static ehm_code open_model(ehm_model **out, const ehm_exporting *x, const ehm_st_tensor *t, int32_t n, ehm_err *err) {
    ehm_st_meta meta[EHM_EXPORT_META_MAX];
    ehm_exporting plain = *x;
    ehm_model_opt o = {.device = x->opt->device, .threads = x->opt->threads, .dtype = "f32", .batch = EHM_EXPORT_PICTURES};
    ehm_st_tensor *all = EHM_NEW_N(x->a, ehm_st_tensor, n + 2);
    float *one = EHM_NEW_N(x->a, float, x->info.shape.embed_dim), *zero = EHM_NEW_N(x->a, float, x->info.shape.embed_dim);
    const char *path = ehm_arena_printf(x->a, "%s.check", x->temp);
    int32_t k = 0;
    if (!all || !one || !zero || !path) return no_memory(err);
    for (int32_t i = 0; i < n; i++)
        if (!ehm_export_is_decoder(t[i].name) && !ehm_export_is_head(t[i].name)) all[k++] = t[i];
    for (int32_t i = 0; i < x->info.shape.embed_dim; i++) one[i] = 1;
    if (!x->has_norm) {
        int64_t D = x->info.shape.embed_dim;
        all[k++] = (ehm_st_tensor){.name = "norm.weight", .dtype = EHM_F32, .rank = 1, .dim = {D}, .count = D, .data = one, .bytes = (size_t)D * sizeof *one};
        all[k++] = (ehm_st_tensor){.name = "norm.bias", .dtype = EHM_F32, .rank = 1, .dim = {D}, .count = D, .data = zero, .bytes = (size_t)D * sizeof *zero};
    }
    plain.classes = NULL, plain.info.has_decoder = false, plain.kind = EHM_EXPORT_MAE;
    int32_t n_meta = ehm_export_meta(meta, &plain, false);
    for (int32_t i = 0; i < n_meta; i++)
        if (!meta[i].value) return no_memory(err);
    ehm_code rc = ehm_st_write(path, all, k, meta, n_meta, err);
    if (!rc) rc = ehm_model_open(out, path, &o, err);
    (void)ehm_file_remove(path, NULL);
    return rc;
}

static const float *floats(const ehm_st_tensor *t, int32_t n, const char *name) {
    for (int32_t i = 0; i < n; i++)
        if (!strcmp(t[i].name, name)) return t[i].data;
    return NULL;
}

/* Weights in the file may begin at any byte. */
static float at(const float *v, int64_t i) {
    float x;
    memcpy(&x, (const char *)v + (size_t)i * sizeof x, sizeof x);
    return x;
}

static void head_on(float *out, const double *feature, const ehm_exporting *x, const float *weight, const float *bias) {
    int64_t D = x->info.shape.embed_dim;
    for (int64_t k = 0; k < x->n_classes; k++) {
        double sum = (double)at(bias, k);
        for (int64_t c = 0; c < D; c++) sum += (double)at(weight, k * D + c) * feature[c];
        out[k] = (float)sum;
    }
}

/* The mean of patch tokens as they leave the last block, through fc_norm. */
static void mean_through_norm(double *out, const float *tokens, const ehm_exporting *x, const float *weight, const float *bias) {
    int64_t D = x->info.shape.embed_dim, L = x->info.shape.n_patches;
    double mean = 0, var = 0;
    for (int64_t c = 0; c < D; c++) {
        double sum = 0;
        for (int64_t i = 1; i <= L; i++) sum += (double)tokens[i * D + c];
        out[c] = sum / (double)L, mean += out[c] / (double)D;
    }
    for (int64_t c = 0; c < D; c++) var += (out[c] - mean) * (out[c] - mean) / (double)D;
    for (int64_t c = 0; c < D; c++) out[c] = (out[c] - mean) / sqrt(var + eps) * (double)at(weight, c) + (double)at(bias, c);
}

static ehm_code make_logits(ehm_export_features *f, const ehm_exporting *x, ehm_model *m, const uint8_t *px, const ehm_st_tensor *t, int32_t n, ehm_err *err) {
    const ehm_vit_shape *s = &x->info.shape;
    int64_t D = s->embed_dim, N = 1 + (int64_t)s->n_patches;
    const float *weight = floats(t, n, "head.weight"), *bias = floats(t, n, "head.bias");
    const float *norm = floats(t, n, "fc_norm.weight"), *shift = floats(t, n, "fc_norm.bias");
    double *feature = EHM_NEW_N(x->a, double, D);
    float *tokens = x->head == EHM_EXPORT_MEAN ? EHM_NEW_N(x->a, float, EHM_EXPORT_PICTURES * N * D) : NULL;
    f->logits = EHM_NEW_N(x->a, float, EHM_EXPORT_PICTURES * (int64_t)x->n_classes);
    if (!f->logits || !feature || (!tokens && x->head == EHM_EXPORT_MEAN)) return no_memory(err);
    if (!weight || !bias || (x->head == EHM_EXPORT_MEAN && (!norm || !shift))) return EHM_FAIL(err, EHM_E_MISMATCH, "the head is missing");
    if (tokens) EHM_TRY(ehm_model_hidden(m, px, EHM_U8, EHM_EXPORT_PICTURES, -1, tokens, err));
    for (int64_t i = 0; i < EHM_EXPORT_PICTURES; i++) {
        const float *row = x->head == EHM_EXPORT_CLS ? f->cls : f->mean;
        if (tokens) mean_through_norm(feature, tokens + i * N * D, x, norm, shift);
        else
            for (int64_t c = 0; c < D; c++) feature[c] = (double)row[i * D + c];
        head_on(f->logits + i * x->n_classes, feature, x, weight, bias);
    }
    return EHM_OK;
}

static ehm_code look(ehm_export_features *out, const ehm_exporting *x, const ehm_st_tensor *t, int32_t n, bool head, ehm_err *err) {
    int64_t D = x->info.shape.embed_dim;
    ehm_model *m = NULL;
    uint8_t *px = make_pictures(&x->info.shape, x->a);
    *out = (ehm_export_features){.dim = D, .cls = EHM_NEW_N(x->a, float, EHM_EXPORT_PICTURES * D), .mean = EHM_NEW_N(x->a, float, EHM_EXPORT_PICTURES * D)};
    if (!px || !out->cls || !out->mean) return no_memory(err);
    EHM_TRY(open_model(&m, x, t, n, err));
    ehm_code rc = ehm_model_cls_mean(m, px, EHM_U8, EHM_EXPORT_PICTURES, out->cls, out->mean, err);
    if (!rc && head) rc = make_logits(out, x, m, px, t, n, err);
    ehm_model_close(m);
    if (!x->has_norm) out->cls = out->mean = NULL; /* the norm was made up */
    return rc;
}

ehm_code ehm_export_look(ehm_export_features *out, const ehm_exporting *x, ehm_err *err) {
    ehm_code rc = look(out, x, x->t, x->n, x->head != EHM_EXPORT_NO_HEAD && ehm_export_keeps(x, "head.weight"), err);
    if (rc) EHM_WHILE(err, "looking at pictures with %s", x->spec);
    return rc;
}

/* ---- what was written ---- */

static bool same_tensor(const ehm_st_tensor *a, const ehm_st_tensor *b) {
    return a->dtype == b->dtype && a->rank == b->rank && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) && a->bytes == b->bytes && !memcmp(a->data, b->data, a->bytes);
}

/* Every tensor comes back under its name, bit by bit, and no other. */
static ehm_code compare_tensors(const ehm_exporting *x, const ehm_st_tensor *t, int32_t n, ehm_err *err) {
    int32_t n_want = 0;
    for (int32_t i = 0; i < x->n; i++) {
        const ehm_st_tensor *got = NULL;
        if (!ehm_export_keeps(x, x->t[i].name)) continue;
        n_want++;
        for (int32_t k = 0; k < n && !got; k++)
            if (!strcmp(t[k].name, x->t[i].name)) got = &t[k];
        if (!got) return EHM_FAIL(err, EHM_E_MISMATCH, "\"%s\" is not in what was written", x->t[i].name);
        if (!same_tensor(got, &x->t[i])) return EHM_FAIL(err, EHM_E_MISMATCH, "\"%s\" has other numbers in what was written", x->t[i].name);
    }
    return n == n_want ? EHM_OK : EHM_FAIL(err, EHM_E_MISMATCH, "what was written has %d tensors, the model %d", (int)n, (int)n_want);
}

static ehm_code largest(double *worst, const char *what, const float *got, const float *want, int64_t n, ehm_err *err) {
    double scale = 1, most = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want[i]);
        if (!isfinite(want[i])) return EHM_FAIL(err, EHM_E_NUMERIC, "the model's own %s hold a number that is not finite", what);
        scale = fmax(scale, fabs((double)want[i]));
        if (!(d <= most)) most = d; /* a NaN is kept */
    }
    if (!(most <= tolerance * scale)) {
        EHM_HINT(err, "this is a fault of ehm, not of the model: please report it");
        return EHM_FAIL(err, EHM_E_MISMATCH, "%s of what was written differ from the model's by %.2g, more than %.2g", what, most, tolerance * scale);
    }
    *worst = fmax(*worst, most);
    return EHM_OK;
}

static ehm_code compare_features(double *worst, const ehm_exporting *x, const ehm_export_features *got, const ehm_export_features *want, int64_t n, ehm_err *err) {
    if (want->cls && got->cls) EHM_TRY(largest(worst, "class tokens", got->cls, want->cls, n * want->dim, err));
    if (want->mean && got->mean) EHM_TRY(largest(worst, "means of patch tokens", got->mean, want->mean, n * want->dim, err));
    if (want->logits) EHM_TRY(largest(worst, "logits", got->logits, want->logits, n * x->n_classes, err));
    return EHM_OK;
}

/* By the import, as any other tool's: what ehm itself reads of it must be the model too. */
static ehm_code check_weights(double *worst, const ehm_exporting *x, const char *path, const ehm_export_features *want, ehm_err *err) {
    ehm_import *im = NULL;
    ehm_export_features got;
    EHM_TRY(ehm_import_open(&im, path, &(ehm_import_opt){0}, err));
    int32_t n = ehm_st_count(im->weights), heads = im->info.shape.num_heads, own = x->info.shape.num_heads;
    ehm_st_tensor *t = EHM_NEW_N(x->a, ehm_st_tensor, n);
    ehm_code rc = t ? EHM_OK : no_memory(err);
    for (int32_t i = 0; i < n && !rc; i++) t[i] = *ehm_st_at(im->weights, i);
    if (!rc && heads != own) rc = EHM_FAIL(err, EHM_E_MISMATCH, "what was written is read with %d attention heads, the model has %d", (int)heads, (int)own);
    if (!rc) rc = compare_tensors(x, t, n, err);
    if (!rc) rc = look(&got, x, t, n, want->logits != NULL, err);
    if (!rc) rc = compare_features(worst, x, &got, want, EHM_EXPORT_PICTURES, err);
    ehm_import_close(im);
    return rc;
}

/* [8,C,H,W], normalised as the file's reader has to. */
static float *normalised(const ehm_exporting *x) {
    const ehm_vit_shape *s = &x->info.shape;
    int64_t area = (int64_t)s->img_h * s->img_w, C = s->channels;
    uint8_t *px = make_pictures(s, x->a);
    float *out = EHM_NEW_N(x->a, float, EHM_EXPORT_PICTURES * area * C);
    for (int64_t i = 0; out && px && i < EHM_EXPORT_PICTURES; i++)
        for (int64_t k = 0; k < area; k++)
            for (int64_t c = 0; c < C; c++)
                out[(i * C + c) * area + k] = (float)((px[(i * area + k) * C + c] / 255.0 - x->info.mean[c]) / x->info.std[c]);
    return px ? out : NULL;
}

/* Our evaluator of graphs is plain: of large models it sees two pictures, of which it makes a few seconds each. */
int32_t ehm_export_n_checked(const ehm_exporting *x) {
    double n = x->kind == EHM_EXPORT_ONNX ? plain_products / ehm_vit_flops_fwd(&x->info.shape, x->info.shape.n_patches, false) : EHM_EXPORT_PICTURES;
    return n < 2 ? 2 : n < EHM_EXPORT_PICTURES ? (int32_t)n : EHM_EXPORT_PICTURES;
}

static ehm_code check_onnx(double *worst, const ehm_exporting *x, const char *path, const ehm_export_features *want, ehm_err *err) {
    const ehm_vit_shape *s = &x->info.shape;
    int64_t n = ehm_export_n_checked(x), D = want->dim, K = x->n_classes;
    float *px = normalised(x);
    ehm_export_features got = {.dim = D, .cls = EHM_NEW_N(x->a, float, n * D), .mean = EHM_NEW_N(x->a, float, n * D), .logits = EHM_NEW_N(x->a, float, n * (K ? K : 1))};
    if (!px || !got.cls || !got.mean || !got.logits) return no_memory(err);
    const ehm_onnx_want wants[] = {{"pooled_cls", got.cls, n * D}, {"pooled_mean", got.mean, n * D}, {"logits", got.logits, n * K}};
    EHM_TRY(ehm_onnx_run_wants(wants, want->logits ? 3 : 2, path, px, n * s->channels * s->img_h * s->img_w, (int32_t)n, err));
    return compare_features(worst, x, &got, want, n, err);
}

ehm_code ehm_export_check(double *max_difference, const ehm_exporting *x, const char *path, const ehm_export_features *want, ehm_err *err) {
    *max_difference = 0;
    ehm_code rc = x->kind == EHM_EXPORT_ONNX ? check_onnx(max_difference, x, path, want, err) : check_weights(max_difference, x, path, want, err);
    if (rc) EHM_WHILE(err, "checking what was written; nothing was kept");
    return rc;
}
