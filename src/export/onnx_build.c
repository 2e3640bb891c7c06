/* A graph and its file. Nodes and values are small and kept encoded; weights stay where they are until they are written, one at a time. */
#include "base/file.h"
#include "export/onnx_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifndef EHM_VERSION
#define EHM_VERSION "0"
#endif

enum { STRIP = 16 };                     /* rows of a transposed weight that are made at once */
static const char *const graph_name = "ehm";

ehm_code ehm_onnx_build_start(ehm_onnx_build *b, const ehm_onnx_opt *opt, int32_t max_init, ehm_err *err) {
    *b = (ehm_onnx_build){.opset = opt->opset ? opt->opset : EHM_ONNX_OPSET, .dynamic_batch = opt->dynamic_batch, .max_init = max_init};
    if (b->opset < EHM_ONNX_OPSET_MIN || b->opset > EHM_ONNX_OPSET_MAX)
        return EHM_FAIL(err, EHM_E_CONFIG, "--opset %lld: must be %d to %d (LayerNormalization is part of ONNX from %d on)", (long long)b->opset, EHM_ONNX_OPSET_MIN,
                        EHM_ONNX_OPSET_MAX, EHM_ONNX_OPSET_MIN);
    b->init = EHM_NEW_N(&b->a, ehm_onnx_init, max_init);
    return b->init ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for the graph");
}

void ehm_onnx_build_free(ehm_onnx_build *b) {
    ehm_str_free(&b->nodes), ehm_str_free(&b->values), ehm_str_free(&b->props);
    ehm_arena_free(&b->a);
}

/* ---- nodes ---- */

static void put_attr(ehm_str *node, const ehm_onnx_attr *a) {
    ehm_str s = {0};
    ehm_onnx_put_str(&s, ATTR_NAME, a->name);
    if (a->type == ATTR_TYPE_FLOAT) ehm_onnx_put_f32(&s, ATTR_F, a->f);
    if (a->type == ATTR_TYPE_INT) ehm_onnx_put_i64(&s, ATTR_I, a->i);
    for (int32_t i = 0; a->type == ATTR_TYPE_INTS && i < a->n; i++) ehm_onnx_put_i64(&s, ATTR_INTS, a->ints[i]);
    ehm_onnx_put_i64(&s, ATTR_TYPE, a->type);
    ehm_onnx_put_bytes(node, NODE_ATTRIBUTE, ehm_str_c(&s), s.len);
    node->failed |= s.failed;
    ehm_str_free(&s);
}

const char *ehm_onnx_node(ehm_onnx_build *b, const char *name, const char *op, const char *const *in, const char *const *out, const ehm_onnx_attr *attrs) {
    ehm_str s = {0};
    const char *own = ehm_arena_strdup(&b->a, name), *first = out ? ehm_arena_strdup(&b->a, out[0]) : own;
    if (!own || !first) return b->failed = true, "";
    for (; *in; in++) ehm_onnx_put_str(&s, NODE_INPUT, *in);
    if (!out) ehm_onnx_put_str(&s, NODE_OUTPUT, own);
    for (; out && *out; out++) ehm_onnx_put_str(&s, NODE_OUTPUT, *out);
    ehm_onnx_put_str(&s, NODE_NAME, own);
    ehm_onnx_put_str(&s, NODE_OP, op);
    for (; attrs && attrs->name; attrs++) put_attr(&s, attrs);
    ehm_onnx_put_bytes(&b->nodes, GRAPH_NODE, ehm_str_c(&s), s.len);
    b->failed |= s.failed || b->nodes.failed;
    ehm_str_free(&s);
    return first;
}

/* ---- initializers ---- */

static const char *add_init(ehm_onnx_build *b, const char *name, ehm_onnx_init t) {
    t.name = ehm_arena_strdup(&b->a, name);
    if (!t.name) return b->failed = true, "";
    EHM_ASSERT(b->n_init < b->max_init);
    b->init[b->n_init++] = t;
    return t.name;
}

const char *ehm_onnx_ints(ehm_onnx_build *b, const char *name, int32_t n, const int64_t *v) {
    ehm_onnx_init t = {.type = EHM_ONNX_INT64, .rank = 1, .dim = {n}};
    memcpy(t.ints, v, (size_t)n * sizeof *v);
    return add_init(b, name, t);
}

const char *ehm_onnx_int(ehm_onnx_build *b, const char *name, int64_t v) { return add_init(b, name, (ehm_onnx_init){.type = EHM_ONNX_INT64, .ints = {v}}); }
const char *ehm_onnx_number(ehm_onnx_build *b, const char *name, float v) { return add_init(b, name, (ehm_onnx_init){.type = EHM_ONNX_FLOAT, .number = v}); }

const char *ehm_onnx_weight(ehm_onnx_build *b, const char *name, const ehm_st_tensor *t, bool transposed) {
    ehm_onnx_init own = {.type = EHM_ONNX_FLOAT, .rank = t->rank, .t = t, .transposed = transposed};
    EHM_ASSERT(t->rank <= 4 && (!transposed || t->rank == 2));
    for (int32_t i = 0; i < t->rank; i++) own.dim[i] = t->dim[transposed ? 1 - i : i];
    return add_init(b, name, own);
}

static uint64_t raw_bytes(const ehm_onnx_init *t) {
    uint64_t n = t->type == EHM_ONNX_FLOAT ? sizeof(float) : sizeof(int64_t);
    for (int32_t i = 0; i < t->rank; i++) n *= (uint64_t)t->dim[i];
    return n;
}

/* All of a TensorProto but its numbers, which come last. */
static void put_init_head(ehm_str *out, const ehm_onnx_init *t) {
    ehm_str s = {0};
    for (int32_t i = 0; i < t->rank; i++) ehm_onnx_put_i64(&s, TENSOR_DIMS, t->dim[i]);
    ehm_onnx_put_i64(&s, TENSOR_TYPE, t->type);
    ehm_onnx_put_str(&s, TENSOR_NAME, t->name);
    ehm_onnx_put_head(&s, TENSOR_RAW, raw_bytes(t));
    ehm_onnx_put_head(out, GRAPH_INITIALIZER, s.len + raw_bytes(t));
    ehm_str_addn(out, ehm_str_c(&s), s.len);
    out->failed |= s.failed;
    ehm_str_free(&s);
}

/* ---- inputs, outputs, what else a reader must know ---- */

void ehm_onnx_value(ehm_onnx_build *b, bool input, const char *name, int32_t rank, const int64_t *dim) {
    ehm_str shape = {0}, one = {0}, tensor = {0}, type = {0}, value = {0};
    for (int32_t i = 0; i < rank; i++) {
        ehm_str_clear(&one);
        if (i == 0 && b->dynamic_batch) ehm_onnx_put_str(&one, DIM_PARAM, "batch");
        else ehm_onnx_put_i64(&one, DIM_VALUE, dim[i]);
        ehm_onnx_put_bytes(&shape, SHAPE_DIM, ehm_str_c(&one), one.len);
    }
    ehm_onnx_put_i64(&tensor, TENSOR_TYPE_ELEM, EHM_ONNX_FLOAT);
    ehm_onnx_put_bytes(&tensor, TENSOR_TYPE_SHAPE, ehm_str_c(&shape), shape.len);
    ehm_onnx_put_bytes(&type, TYPE_TENSOR, ehm_str_c(&tensor), tensor.len);
    ehm_onnx_put_str(&value, VALUE_NAME, name);
    ehm_onnx_put_bytes(&value, VALUE_TYPE, ehm_str_c(&type), type.len);
    ehm_onnx_put_bytes(&b->values, input ? GRAPH_INPUT : GRAPH_OUTPUT, ehm_str_c(&value), value.len);
    b->failed |= shape.failed || one.failed || tensor.failed || type.failed || value.failed || b->values.failed;
    ehm_str_free(&shape), ehm_str_free(&one), ehm_str_free(&tensor), ehm_str_free(&type), ehm_str_free(&value);
}

void ehm_onnx_prop(ehm_onnx_build *b, const char *key, const char *value) {
    ehm_str s = {0};
    ehm_onnx_put_str(&s, PROP_KEY, key);
    ehm_onnx_put_str(&s, PROP_VALUE, value);
    ehm_onnx_put_bytes(&b->props, MODEL_PROPS, ehm_str_c(&s), s.len);
    b->failed |= s.failed || b->props.failed;
    ehm_str_free(&s);
}

/* ---- the file ---- */

static ehm_code put(ehm_file_out *o, const void *data, size_t n, ehm_err *err) {
    if (!n || fwrite(data, 1, n, o->f) == n) return EHM_OK;
    return EHM_FAIL(err, EHM_E_IO, "%s: cannot be written: %s", o->path, strerror(errno));
}

/* Columns of v [rows,cols] as rows, a strip at a time. */
static ehm_code put_transposed(ehm_file_out *o, const float *v, int64_t rows, int64_t cols, float *strip, ehm_err *err) {
    for (int64_t c0 = 0; c0 < cols; c0 += STRIP) {
        int64_t n = cols - c0 < STRIP ? cols - c0 : STRIP;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < n; c++) strip[c * rows + r] = v[r * cols + c0 + c];
        EHM_TRY(put(o, strip, (size_t)(n * rows) * sizeof *strip, err));
    }
    return EHM_OK;
}

static ehm_code put_weight(ehm_file_out *o, const ehm_onnx_init *t, ehm_err *err) {
    const ehm_st_tensor *w = t->t;
    size_t strip = t->transposed ? (size_t)w->dim[0] * STRIP : 0;
    float *v = malloc(((size_t)w->count + strip) * sizeof *v);
    if (!v) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for \"%s\"", o->path, w->name);
    ehm_code rc = ehm_st_to_f32(w, v, err);
    if (!rc) rc = t->transposed ? put_transposed(o, v, w->dim[0], w->dim[1], v + w->count, err) : put(o, v, (size_t)w->count * sizeof *v, err);
    free(v);
    return rc;
}

static ehm_code put_init(ehm_file_out *o, const ehm_onnx_init *t, ehm_err *err) {
    ehm_str s = {0};
    put_init_head(&s, t);
    ehm_code rc = s.failed ? EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to write it", o->path) : put(o, s.s, s.len, err);
    ehm_str_free(&s);
    if (rc) return rc;
    if (t->t) return put_weight(o, t, err);
    return t->type == EHM_ONNX_FLOAT ? put(o, &t->number, sizeof t->number, err) : put(o, t->ints, (size_t)raw_bytes(t), err);
}

/* IR versions go with operator sets: 17 and 18 came with 8, 19 and 20 with 9, 21 with 10. */
static int64_t ir_version(int64_t opset) { return opset <= 18 ? 8 : opset <= 20 ? 9 : 10; }

static ehm_code put_all(ehm_file_out *o, const ehm_onnx_build *b, const ehm_str *head, const ehm_str *name, const ehm_str *tail, ehm_err *err) {
    EHM_TRY(put(o, head->s, head->len, err));
    EHM_TRY(put(o, b->nodes.s, b->nodes.len, err));
    EHM_TRY(put(o, name->s, name->len, err));
    for (int32_t i = 0; i < b->n_init; i++) EHM_TRY(put_init(o, &b->init[i], err));
    EHM_TRY(put(o, b->values.s, b->values.len, err));
    EHM_TRY(put(o, tail->s, tail->len, err));
    return put(o, b->props.s, b->props.len, err);
}

/* Lengths stand before what they measure: the graph's is added up first. */
ehm_code ehm_onnx_build_write(const char *path, const ehm_onnx_build *b, ehm_err *err) {
    ehm_str head = {0}, name = {0}, tail = {0}, one = {0};
    ehm_file_out o;
    ehm_onnx_put_str(&name, GRAPH_NAME, graph_name);
    uint64_t graph = b->nodes.len + name.len + b->values.len;
    for (int32_t i = 0; i < b->n_init; i++) {
        ehm_str_clear(&one);
        put_init_head(&one, &b->init[i]);
        graph += one.len + raw_bytes(&b->init[i]);
    }
    ehm_onnx_put_i64(&head, MODEL_IR_VERSION, ir_version(b->opset));
    ehm_onnx_put_str(&head, MODEL_PRODUCER, "ehm");
    ehm_onnx_put_str(&head, MODEL_PRODUCER_VERSION, EHM_VERSION);
    ehm_onnx_put_head(&head, MODEL_GRAPH, graph);
    ehm_str_clear(&one);
    ehm_onnx_put_i64(&one, OPSET_VERSION, b->opset);
    ehm_onnx_put_bytes(&tail, MODEL_OPSET, ehm_str_c(&one), one.len);
    uint64_t bytes = head.len + graph + tail.len + b->props.len;
    ehm_code rc = EHM_OK;
    if (b->failed || head.failed || name.failed || tail.failed || one.failed) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to write it", path);
    else if (bytes > INT32_MAX) {
        char size[32];
        EHM_HINT(err, "--format timm or hf holds it");
        rc = EHM_FAIL(err, EHM_E_UNSUPPORTED, "the model would take %s in ONNX, and such a file ends at 2 GiB", ehm_format_bytes((double)bytes, size));
    }
    if (!rc) rc = ehm_file_out_open(&o, path, err);
    if (!rc) {
        rc = put_all(&o, b, &head, &name, &tail, err);
        if (rc) ehm_file_out_abort(&o);
        else rc = ehm_file_out_commit(&o, err);
    }
    ehm_str_free(&head), ehm_str_free(&name), ehm_str_free(&tail), ehm_str_free(&one);
    return rc;
}
