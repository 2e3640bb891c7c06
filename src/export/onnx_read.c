/* A file of ONNX as a graph. Nothing in it is trusted: lengths, ranks, names, types and the order of nodes are looked at before anything runs; weights stay in the mapping. */
#include "export/onnx_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_NODES = 65536, MAX_SYMBOLS = 262144, MAX_NAME = 512 };

static ehm_code no_memory(const ehm_onnx_graph *g, ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to read it", g->path); }
static ehm_code bad(const ehm_onnx_graph *g, const char *what, ehm_err *err) { return EHM_FAIL(err, EHM_E_FORMAT, "%s: not a good ONNX file: %s", g->path, what); }

/* The next field of w; fails with the name of the message it belongs to. */
static ehm_code next(bool *more, ehm_onnx_field *f, ehm_onnx_wire *w, const ehm_onnx_graph *g, const char *message, ehm_err *err) {
    bool broken = false;
    *more = ehm_onnx_next(f, w, &broken);
    return broken ? EHM_FAIL(err, EHM_E_FORMAT, "%s: not a good ONNX file: its %s breaks off or holds a field that cannot be", g->path, message) : EHM_OK;
}

static ehm_code is_type(const ehm_onnx_field *f, ehm_onnx_wire_type type, const ehm_onnx_graph *g, const char *what, ehm_err *err) {
    return f->type == type ? EHM_OK : EHM_FAIL(err, EHM_E_FORMAT, "%s: not a good ONNX file: %s has wire type %d", g->path, what, (int)f->type);
}

static ehm_code read_text(const char **out, const ehm_onnx_field *f, ehm_onnx_graph *g, const char *what, ehm_err *err) {
    size_t n = ehm_onnx_left(&f->bytes);
    EHM_TRY(is_type(f, EHM_WIRE_BYTES, g, what, err));
    if (n > MAX_NAME || memchr(f->bytes.p, 0, n)) return EHM_FAIL(err, EHM_E_FORMAT, "%s: not a good ONNX file: %s is no name", g->path, what);
    *out = n ? ehm_arena_strndup(&g->a, (const char *)f->bytes.p, n) : "";
    return *out ? EHM_OK : no_memory(g, err);
}

static ehm_code read_i64(int64_t *out, const ehm_onnx_field *f, const ehm_onnx_graph *g, const char *what, ehm_err *err) {
    *out = (int64_t)f->num;
    return is_type(f, EHM_WIRE_VARINT, g, what, err);
}

/* One number, or a packed list of them. */
static ehm_code read_ints(int64_t *v, int32_t *n, int32_t most, const ehm_onnx_field *f, const ehm_onnx_graph *g, const char *what, ehm_err *err) {
    ehm_onnx_wire w = f->bytes;
    uint64_t u = f->num;
    bool one = f->type == EHM_WIRE_VARINT;
    if (!one) EHM_TRY(is_type(f, EHM_WIRE_BYTES, g, what, err));
    while (one || w.p < w.end) {
        if (*n == most) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: %s has more than %d numbers", g->path, what, (int)most);
        if (!one && !ehm_onnx_varint(&u, &w)) return EHM_FAIL(err, EHM_E_FORMAT, "%s: not a good ONNX file: %s breaks off", g->path, what);
        v[(*n)++] = (int64_t)u;
        if (one) break;
    }
    return EHM_OK;
}

/* ---- names ---- */

static uint32_t hash_of(const char *s) {
    uint32_t h = 2166136261u;
    for (; *s; s++) h = (h ^ (uint8_t)*s) * 16777619u;
    return h;
}

static int32_t find(const ehm_onnx_graph *g, const char *name) {
    if (!g->n_slot) return -1;
    for (uint32_t k = hash_of(name);; k++) {
        int32_t i = g->slot[k & (uint32_t)(g->n_slot - 1)];
        if (i < 0 || !strcmp(g->sym[i].name, name)) return i;
    }
}

static ehm_code grow(ehm_onnx_graph *g, ehm_err *err) {
    int32_t most = g->max_sym ? 2 * g->max_sym : 256, n_slot = 2 * most;
    ehm_onnx_symbol *sym = realloc(g->sym, (size_t)most * sizeof *sym);
    if (!sym) return no_memory(g, err);
    g->sym = sym, g->max_sym = most;
    int32_t *slot = realloc(g->slot, (size_t)n_slot * sizeof *slot);
    if (!slot) return no_memory(g, err);
    g->slot = slot, g->n_slot = n_slot;
    for (int32_t i = 0; i < n_slot; i++) slot[i] = -1;
    for (int32_t i = 0; i < g->n_sym; i++) {
        uint32_t k = hash_of(sym[i].name);
        while (slot[k & (uint32_t)(n_slot - 1)] >= 0) k++;
        slot[k & (uint32_t)(n_slot - 1)] = i;
    }
    return EHM_OK;
}

/* A name that is new: each is given once. */
static ehm_code define(ehm_onnx_symbol **out, ehm_onnx_graph *g, const char *name, ehm_err *err) {
    if (!*name) return bad(g, "a value has no name", err);
    if (find(g, name) >= 0) return EHM_FAIL(err, EHM_E_FORMAT, "%s: not a good ONNX file: two values are named \"%.80s\"", g->path, name);
    if (g->n_sym >= MAX_SYMBOLS) return bad(g, "too many values", err);
    if (g->n_sym >= g->max_sym) EHM_TRY(grow(g, err));
    uint32_t k = hash_of(name);
    while (g->slot[k & (uint32_t)(g->n_slot - 1)] >= 0) k++;
    g->slot[k & (uint32_t)(g->n_slot - 1)] = g->n_sym;
    *out = &g->sym[g->n_sym++];
    **out = (ehm_onnx_symbol){.name = name};
    return EHM_OK;
}

/* ---- messages ---- */

static ehm_code read_tensor(ehm_onnx_graph *g, ehm_onnx_wire w, ehm_err *err) {
    ehm_onnx_symbol t = {.name = "", .is_init = true}, *s;
    ehm_onnx_field f;
    int64_t n = 1, type = 0;
    bool more, raw = false;
    for (;;) {
        EHM_TRY(next(&more, &f, &w, g, "tensor", err));
        if (!more) break;
        if (f.field == TENSOR_DIMS) EHM_TRY(read_ints(t.dim, &t.rank, EHM_ONNX_RANK, &f, g, "a tensor's shape", err));
        else if (f.field == TENSOR_TYPE) EHM_TRY(read_i64(&type, &f, g, "a tensor's type", err));
        else if (f.field == TENSOR_NAME) EHM_TRY(read_text(&t.name, &f, g, "a tensor's name", err));
        else if (f.field == TENSOR_RAW) {
            EHM_TRY(is_type(&f, EHM_WIRE_BYTES, g, "a tensor's data", err));
            t.data = f.bytes.p, t.count = (int64_t)ehm_onnx_left(&f.bytes), raw = true;
        } else if (f.field == TENSOR_EXTERNAL || (f.field == TENSOR_LOCATION && f.num))
            return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: weights in a file of their own are not read", g->path);
    }
    if (type != EHM_ONNX_FLOAT && type != EHM_ONNX_INT64)
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: tensor \"%.80s\" has type %lld; float (1) and int64 (7) are read", g->path, t.name, (long long)type);
    if (!raw) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: tensor \"%.80s\" does not hold its numbers as raw_data", g->path, t.name);
    for (int32_t i = 0; i < t.rank; i++)
        if (t.dim[i] < 1 || __builtin_mul_overflow(n, t.dim[i], &n)) return EHM_FAIL(err, EHM_E_FORMAT, "%s: not a good ONNX file: tensor \"%.80s\" has a dimension of %lld", g->path, t.name, (long long)t.dim[i]);
    int64_t size = type == EHM_ONNX_FLOAT ? 4 : 8;
    if (n > t.count || t.count % size || n != t.count / size)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: not a good ONNX file: tensor \"%.80s\" has %lld bytes for %lld numbers", g->path, t.name, (long long)t.count, (long long)n);
    t.count = n, t.type = (int32_t)type;
    EHM_TRY(define(&s, g, t.name, err));
    *s = t;
    return EHM_OK;
}

static ehm_code read_attr(ehm_onnx_attr *a, ehm_onnx_graph *g, ehm_onnx_wire w, ehm_err *err) {
    ehm_onnx_field f;
    int64_t type = 0;
    bool more;
    *a = (ehm_onnx_attr){.name = ""};
    for (;;) {
        EHM_TRY(next(&more, &f, &w, g, "attribute", err));
        if (!more) break;
        if (f.field == ATTR_NAME) EHM_TRY(read_text(&a->name, &f, g, "an attribute's name", err));
        else if (f.field == ATTR_I) EHM_TRY(read_i64(&a->i, &f, g, "an attribute", err));
        else if (f.field == ATTR_INTS) EHM_TRY(read_ints(a->ints, &a->n, EHM_ONNX_RANK, &f, g, "an attribute", err));
        else if (f.field == ATTR_TYPE) EHM_TRY(read_i64(&type, &f, g, "an attribute's type", err));
        else if (f.field == ATTR_F) {
            uint32_t u = (uint32_t)f.num;
            EHM_TRY(is_type(&f, EHM_WIRE_32, g, "an attribute", err));
            memcpy(&a->f, &u, sizeof u);
        }
    }
    a->type = type == ATTR_TYPE_FLOAT || type == ATTR_TYPE_INT || type == ATTR_TYPE_INTS ? (int32_t)type : 0;
    return EHM_OK;
}

static ehm_code read_input(ehm_onnx_graph *g, ehm_onnx_op *op, const char *name, ehm_err *err) {
    if (op->n_in == EHM_ONNX_ARGS) return bad(g, "a node has too many inputs", err);
    int32_t i = *name ? find(g, name) : -1;
    if (*name && i < 0) return EHM_FAIL(err, EHM_E_FORMAT, "%s: not a good ONNX file: a node takes \"%.80s\", which nothing before it makes", g->path, name);
    if (i >= 0) g->sym[i].n_uses++;
    op->in[op->n_in++] = i;
    return EHM_OK;
}

static ehm_code read_output(ehm_onnx_graph *g, ehm_onnx_op *op, const char *name, ehm_err *err) {
    ehm_onnx_symbol *s;
    if (op->n_out == EHM_ONNX_ARGS) return bad(g, "a node has too many outputs", err);
    EHM_TRY(define(&s, g, name, err));
    s->is_made = true;
    op->out[op->n_out++] = (int32_t)(s - g->sym);
    return EHM_OK;
}

/* Inputs before outputs, whatever their order in the bytes, so that no node takes what it makes. */
static ehm_code read_args(ehm_onnx_graph *g, ehm_onnx_op *op, ehm_onnx_wire w, bool outputs, ehm_err *err) {
    ehm_onnx_field f;
    const char *name;
    bool more;
    for (;;) {
        EHM_TRY(next(&more, &f, &w, g, "node", err));
        if (!more) return EHM_OK;
        if (f.field != (uint32_t)(outputs ? NODE_OUTPUT : NODE_INPUT)) continue;
        EHM_TRY(read_text(&name, &f, g, "a value's name", err));
        EHM_TRY(outputs ? read_output(g, op, name, err) : read_input(g, op, name, err));
    }
}

static ehm_code read_node(ehm_onnx_graph *g, ehm_onnx_op *op, ehm_onnx_wire w, ehm_err *err) {
    ehm_onnx_wire all = w;
    ehm_onnx_field f;
    ehm_onnx_attr attr[EHM_ONNX_ATTRS];
    const char *domain = "";
    bool more;
    op->op = op->name = "";
    for (;;) {
        EHM_TRY(next(&more, &f, &w, g, "node", err));
        if (!more) break;
        if (f.field == NODE_NAME) EHM_TRY(read_text(&op->name, &f, g, "a node's name", err));
        else if (f.field == NODE_OP) EHM_TRY(read_text(&op->op, &f, g, "an operator's name", err));
        else if (f.field == NODE_DOMAIN) EHM_TRY(read_text(&domain, &f, g, "an operator's domain", err));
        else if (f.field == NODE_ATTRIBUTE) {
            EHM_TRY(is_type(&f, EHM_WIRE_BYTES, g, "an attribute", err));
            if (op->n_attr == EHM_ONNX_ATTRS) return bad(g, "a node has too many attributes", err);
            EHM_TRY(read_attr(&attr[op->n_attr++], g, f.bytes, err));
        }
    }
    if (*domain && strcmp(domain, "ai.onnx")) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: operator %.60s is of the domain \"%.60s\", not of ONNX itself", g->path, op->op, domain);
    if (op->n_attr) {
        op->attr = EHM_NEW_N(&g->a, ehm_onnx_attr, op->n_attr);
        if (!op->attr) return no_memory(g, err);
        memcpy(op->attr, attr, (size_t)op->n_attr * sizeof *attr);
    }
    EHM_TRY(read_args(g, op, all, false, err));
    return read_args(g, op, all, true, err);
}

/* Of messages in messages the last of one field, as the wire format has it; false: there is none. */
static ehm_code inner(bool *there, ehm_onnx_wire *out, ehm_onnx_wire w, uint32_t field, const ehm_onnx_graph *g, ehm_err *err) {
    ehm_onnx_field f;
    bool more;
    *there = false;
    for (;;) {
        EHM_TRY(next(&more, &f, &w, g, "description of a value", err));
        if (!more) return EHM_OK;
        if (f.field != field) continue;
        EHM_TRY(is_type(&f, EHM_WIRE_BYTES, g, "the description of a value", err));
        *out = f.bytes, *there = true;
    }
}

static ehm_code read_dim(int64_t *out, const ehm_onnx_graph *g, ehm_onnx_wire w, ehm_err *err) {
    ehm_onnx_field f;
    bool more;
    *out = 0; /* a name, or nothing: any */
    for (;;) {
        EHM_TRY(next(&more, &f, &w, g, "shape", err));
        if (!more) return EHM_OK;
        if (f.field != DIM_VALUE) continue;
        EHM_TRY(is_type(&f, EHM_WIRE_VARINT, g, "a dimension", err));
        if (f.num < 1 || f.num > INT32_MAX) return bad(g, "an input has a dimension that cannot be", err);
        *out = (int64_t)f.num;
    }
}

/* The one input: [B,C,H,W] of floats. Initializers may be listed as inputs too. */
static ehm_code read_graph_input(ehm_onnx_graph *g, ehm_onnx_wire w, ehm_err *err) {
    ehm_onnx_wire type, tensor, shape, dims;
    ehm_onnx_field f;
    ehm_onnx_symbol *s;
    const char *name = "";
    bool more, there, any;
    int32_t rank = 0;
    for (type = w;;) {
        EHM_TRY(next(&more, &f, &type, g, "input", err));
        if (!more) break;
        if (f.field == VALUE_NAME) EHM_TRY(read_text(&name, &f, g, "an input's name", err));
    }
    if (find(g, name) >= 0) return EHM_OK;
    if (g->input >= 0) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: has more than one input, the second is \"%.80s\"", g->path, name);
    EHM_TRY(inner(&there, &type, w, VALUE_TYPE, g, err));
    if (there) EHM_TRY(inner(&there, &tensor, type, TYPE_TENSOR, g, err));
    if (there) EHM_TRY(inner(&there, &shape, tensor, TENSOR_TYPE_SHAPE, g, err));
    if (!there) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: the input \"%.80s\" has no shape", g->path, name);
    for (dims = shape;;) {
        EHM_TRY(next(&more, &f, &dims, g, "shape", err));
        if (!more) break;
        if (f.field != SHAPE_DIM) continue;
        EHM_TRY(is_type(&f, EHM_WIRE_BYTES, g, "a dimension", err));
        if (rank == 4) return bad(g, "the input has more than four dimensions", err);
        EHM_TRY(read_dim(&g->in_dim[rank++], g, f.bytes, err));
    }
    any = rank != 4;
    for (int32_t i = 1; i < 4; i++) any |= !g->in_dim[i];
    if (any) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: the input \"%.80s\" is not [batch, channels, height, width] with known sizes", g->path, name);
    EHM_TRY(define(&s, g, name, err));
    s->is_made = true;
    g->input = (int32_t)(s - g->sym);
    return EHM_OK;
}

static ehm_code read_graph_output(ehm_onnx_graph *g, ehm_onnx_wire w, ehm_err *err) {
    ehm_onnx_field f;
    const char *name = "";
    bool more;
    for (;;) {
        EHM_TRY(next(&more, &f, &w, g, "output", err));
        if (!more) break;
        if (f.field == VALUE_NAME) EHM_TRY(read_text(&name, &f, g, "an output's name", err));
    }
    int32_t i = find(g, name);
    if (i < 0 || !g->sym[i].is_made) return EHM_FAIL(err, EHM_E_FORMAT, "%s: not a good ONNX file: no node makes the output \"%.80s\"", g->path, name);
    if (g->n_output == EHM_ONNX_ARGS) return bad(g, "it has too many outputs", err);
    g->output[g->n_output++] = i;
    g->sym[i].n_uses++; /* it is kept to the end */
    return EHM_OK;
}

static ehm_code count_nodes(int32_t *n, ehm_onnx_graph *g, ehm_onnx_wire w, ehm_err *err) {
    ehm_onnx_field f;
    bool more;
    for (*n = 0;;) {
        EHM_TRY(next(&more, &f, &w, g, "graph", err));
        if (!more) return EHM_OK;
        if (f.field == GRAPH_SPARSE) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: has sparse tensors", g->path);
        bool known = f.field == GRAPH_NODE || f.field == GRAPH_INITIALIZER || f.field == GRAPH_INPUT || f.field == GRAPH_OUTPUT;
        if (known) EHM_TRY(is_type(&f, EHM_WIRE_BYTES, g, "a part of the graph", err));
        if (f.field == GRAPH_NODE && ++*n > MAX_NODES) return bad(g, "too many nodes", err);
    }
}

/* Fields may come in any order: weights first, then the input, nodes as they are listed, outputs. */
static ehm_code read_graph(ehm_onnx_graph *g, ehm_onnx_wire graph, ehm_err *err) {
    static const uint32_t order[] = {GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_NODE, GRAPH_OUTPUT};
    int32_t n;
    EHM_TRY(count_nodes(&n, g, graph, err));
    g->node = EHM_NEW_N(&g->a, ehm_onnx_op, n ? n : 1);
    if (!g->node) return no_memory(g, err);
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
        ehm_onnx_wire w = graph;
        ehm_onnx_field f;
        bool more;
        for (;;) {
            EHM_TRY(next(&more, &f, &w, g, "graph", err));
            if (!more) break;
            if (f.field != order[k]) continue;
            if (k == 0) EHM_TRY(read_tensor(g, f.bytes, err));
            else if (k == 1) EHM_TRY(read_graph_input(g, f.bytes, err));
            else if (k == 2) EHM_TRY(read_node(g, &g->node[g->n_node++], f.bytes, err));
            else EHM_TRY(read_graph_output(g, f.bytes, err));
        }
    }
    if (g->input < 0) return bad(g, "it has no input", err);
    return g->n_output ? EHM_OK : bad(g, "it has no output", err);
}

static ehm_code read_opset(ehm_onnx_graph *g, ehm_onnx_wire w, ehm_err *err) {
    ehm_onnx_field f;
    const char *domain = "";
    int64_t version = 0;
    bool more;
    for (;;) {
        EHM_TRY(next(&more, &f, &w, g, "list of operator sets", err));
        if (!more) break;
        if (f.field == OPSET_DOMAIN) EHM_TRY(read_text(&domain, &f, g, "an operator set's domain", err));
        if (f.field == OPSET_VERSION) EHM_TRY(read_i64(&version, &f, g, "an operator set's version", err));
    }
    if (!*domain || !strcmp(domain, "ai.onnx")) g->opset = version;
    return EHM_OK;
}

static ehm_code read_model(ehm_onnx_graph *g, ehm_err *err) {
    ehm_onnx_wire w = {g->map, g->map + g->map_bytes}, graph = {NULL, NULL};
    ehm_onnx_field f;
    bool more;
    for (;;) {
        EHM_TRY(next(&more, &f, &w, g, "model", err));
        if (!more) break;
        if (f.field == MODEL_IR_VERSION) EHM_TRY(read_i64(&g->ir_version, &f, g, "the IR version", err));
        else if (f.field == MODEL_OPSET) {
            EHM_TRY(is_type(&f, EHM_WIRE_BYTES, g, "the operator set", err));
            EHM_TRY(read_opset(g, f.bytes, err));
        } else if (f.field == MODEL_GRAPH) {
            EHM_TRY(is_type(&f, EHM_WIRE_BYTES, g, "the graph", err));
            if (graph.p) return bad(g, "it has two graphs", err);
            graph = f.bytes;
        }
    }
    if (!graph.p) return bad(g, "it has no graph", err);
    if (g->ir_version < 4 || g->ir_version > 10) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: IR version %lld is not read, 4 to 10 are", g->path, (long long)g->ir_version);
    if (g->opset < EHM_ONNX_OPSET_MIN || g->opset > EHM_ONNX_OPSET_MAX)
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: operator set %lld is not read, %d to %d are", g->path, (long long)g->opset, EHM_ONNX_OPSET_MIN, EHM_ONNX_OPSET_MAX);
    return read_graph(g, graph, err);
}

static ehm_code map_file(ehm_onnx_graph *g, ehm_err *err) {
    struct stat st;
    int fd = open(g->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return EHM_FAIL(err, EHM_E_IO, "%s: cannot be opened: %s", g->path, strerror(errno));
    ehm_code rc = EHM_OK;
    if (fstat(fd, &st)) rc = EHM_FAIL(err, EHM_E_IO, "%s: %s", g->path, strerror(errno));
    else if (!S_ISREG(st.st_mode) || !st.st_size) rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: not an ONNX file: %s", g->path, S_ISREG(st.st_mode) ? "it is empty" : "no regular file");
    if (!rc) {
        g->map_bytes = (size_t)st.st_size;
        g->map = mmap(NULL, g->map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (g->map == MAP_FAILED) g->map = NULL, rc = EHM_FAIL(err, EHM_E_IO, "%s: cannot be mapped: %s", g->path, strerror(errno));
    }
    close(fd);
    return rc;
}

ehm_code ehm_onnx_open(ehm_onnx_graph *g, const char *path, ehm_err *err) {
    *g = (ehm_onnx_graph){.path = path, .input = -1};
    EHM_TRY(map_file(g, err));
    return read_model(g, err);
}

void ehm_onnx_close(ehm_onnx_graph *g) {
    if (g->map) munmap(g->map, g->map_bytes);
    free(g->sym), free(g->slot);
    ehm_arena_free(&g->a);
}
