/* A graph, node after node. A weight is read when it is first asked for, and every value goes when its last reader is done, so that memory holds little more than one layer. */
#include "base/log.h"
#include "export/onnx_int.h"
#include <stdlib.h>
#include <string.h>

typedef struct { const ehm_onnx_graph *g; ehm_onnx_tensor *t; int32_t *n_left; } runner; /* by symbol */

static ehm_code load(runner *r, int32_t i, ehm_err *err) {
    const ehm_onnx_symbol *s = &r->g->sym[i];
    ehm_onnx_tensor *t = &r->t[i];
    if (t->count || !s->is_init) return EHM_OK;
    EHM_TRY(ehm_onnx_tensor_new(t, s->type, s->rank, s->dim, err));
    if (t->f) memcpy(t->f, s->data, (size_t)t->count * sizeof *t->f);
    else memcpy(t->i, s->data, (size_t)t->count * sizeof *t->i);
    return EHM_OK;
}

static void release(runner *r, int32_t i) {
    if (!--r->n_left[i]) ehm_onnx_tensor_free(&r->t[i]);
}

static ehm_code run_node(runner *r, const ehm_onnx_op *op, ehm_err *err) {
    ehm_onnx_tensor out[EHM_ONNX_ARGS] = {{0}};
    ehm_onnx_call c = {.g = r->g, .op = op, .out = out};
    ehm_code rc = EHM_OK;
    for (int32_t k = 0; k < op->n_in && !rc; k++) {
        if (op->in[k] < 0) continue;
        rc = load(r, op->in[k], err);
        c.in[k] = &r->t[op->in[k]];
    }
    if (!rc) rc = ehm_onnx_call_op(&c, err);
    for (int32_t k = 0; k < op->n_out; k++) {
        if (rc || !r->n_left[op->out[k]]) ehm_onnx_tensor_free(&out[k]);
        else r->t[op->out[k]] = out[k];
    }
    for (int32_t k = 0; k < op->n_in; k++)
        if (op->in[k] >= 0) release(r, op->in[k]);
    return rc;
}

/* n pictures at once, as far as the file goes; done: how many there were before, total: in all. */
static ehm_code run_batch(runner *r, const ehm_onnx_want *want, const int32_t *symbol, int32_t n_want, const float *pixels, int32_t n, int32_t done, int32_t total, ehm_err *err) {
    const ehm_onnx_graph *g = r->g;
    const int64_t dim[4] = {n, g->in_dim[1], g->in_dim[2], g->in_dim[3]};
    for (int32_t i = 0; i < g->n_sym; i++) r->n_left[i] = g->sym[i].n_uses;
    if (r->n_left[g->input]) {
        EHM_TRY(ehm_onnx_tensor_new(&r->t[g->input], EHM_ONNX_FLOAT, 4, dim, err));
        memcpy(r->t[g->input].f, pixels, (size_t)r->t[g->input].count * sizeof *pixels);
    }
    for (int32_t i = 0; i < g->n_node; i++) {
        if (ehm_stop_asked()) return EHM_FAIL(err, EHM_E_STOPPED, "stopped before %s was checked", g->path);
        EHM_TRY(run_node(r, &g->node[i], err));
    }
    for (int32_t k = 0; k < n_want; k++) {
        const ehm_onnx_tensor *t = &r->t[symbol[k]];
        int64_t a_batch = want[k].count / total * n;
        if (t->type != EHM_ONNX_FLOAT || t->count != a_batch || want[k].count % total)
            return EHM_FAIL(err, EHM_E_MISMATCH, "%s: output \"%.80s\" has %lld numbers for %d pictures, %lld are expected", g->path, want[k].name, (long long)t->count, (int)n, (long long)a_batch);
        memcpy(want[k].out + want[k].count / total * done, t->f, (size_t)t->count * sizeof *t->f);
    }
    return EHM_OK;
}

static void forget(runner *r) {
    for (int32_t i = 0; r->t && i < r->g->n_sym; i++) ehm_onnx_tensor_free(&r->t[i]);
}

static ehm_code run_graph(const ehm_onnx_graph *g, const ehm_onnx_want *want, int32_t n_want, const float *pixels, int64_t n_pixels, int32_t n, ehm_err *err) {
    runner r = {.g = g};
    int32_t symbol[EHM_ONNX_ARGS], batch = g->in_dim[0] ? (int32_t)g->in_dim[0] : n;
    int64_t picture = 0;
    ehm_code rc = EHM_OK;
    for (int32_t k = 0; k < n_want; k++) {
        symbol[k] = -1;
        for (int32_t i = 0; i < g->n_output; i++)
            if (!strcmp(g->sym[g->output[i]].name, want[k].name)) symbol[k] = g->output[i];
        if (symbol[k] < 0) return EHM_FAIL(err, EHM_E_MISMATCH, "%s: has no output \"%.80s\"", g->path, want[k].name);
    }
    bool fits = !__builtin_mul_overflow(g->in_dim[1], g->in_dim[2], &picture) && !__builtin_mul_overflow(picture, g->in_dim[3], &picture) && n > 0 && n_pixels % n == 0 &&
                n_pixels / n == picture;
    if (!fits || n % batch)
        return EHM_FAIL(err, EHM_E_MISMATCH, "%s: takes pictures of %lldx%lldx%lld, %d at once; given are %lld numbers for %d pictures", g->path, (long long)g->in_dim[1],
                        (long long)g->in_dim[2], (long long)g->in_dim[3], (int)batch, (long long)n_pixels, (int)n);
    r.t = calloc((size_t)g->n_sym, sizeof *r.t), r.n_left = calloc((size_t)g->n_sym, sizeof *r.n_left);
    if (!r.t || !r.n_left) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to run it", g->path);
    for (int32_t at = 0; at < n && !rc; at += batch) {
        rc = run_batch(&r, want, symbol, n_want, pixels + at * picture, batch, at, n, err);
        forget(&r);
    }
    free(r.t), free(r.n_left);
    return rc;
}

ehm_code ehm_onnx_run_wants(const ehm_onnx_want *want, int32_t n_want, const char *path, const float *pixels, int64_t n_pixels, int32_t n, ehm_err *err) {
    ehm_onnx_graph g;
    if (n_want < 1 || n_want > EHM_ONNX_ARGS || n < 1) return EHM_FAIL(err, EHM_E_ARG, "%d outputs of %d pictures are asked for", (int)n_want, (int)n);
    ehm_code rc = ehm_onnx_open(&g, path, err);
    if (!rc) rc = run_graph(&g, want, n_want, pixels, n_pixels, n, err);
    ehm_onnx_close(&g);
    return rc;
}

ehm_code ehm_onnx_run(float *out, int64_t count, const char *path, const char *output, const float *pixels, int64_t n_pixels, int32_t n, ehm_err *err) {
    return ehm_onnx_run_wants(&(ehm_onnx_want){output, out, count}, 1, path, pixels, n_pixels, n, err);
}
