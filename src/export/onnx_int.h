/* Between the files of ONNX: the protocol buffer's wire format, the graph on its way out, and the graph as it is read back and run.
 * Message and field numbers are onnx.proto's (IR version 8 to 10); repeated numbers are written unpacked, as its proto2 syntax has them, and read either way. */
#ifndef EHM_EXPORT_ONNX_INT_H
#define EHM_EXPORT_ONNX_INT_H
#include "export/onnx.h"

enum { EHM_ONNX_OPSET_MIN = 17, EHM_ONNX_OPSET_MAX = 21, EHM_ONNX_OPSET = 17 }; /* LayerNormalization is there from 17 on; 21 is the newest that was tried */
enum { EHM_ONNX_FLOAT = 1, EHM_ONNX_INT64 = 7 };                                /* TensorProto.DataType */
enum { EHM_ONNX_RANK = 6, EHM_ONNX_ATTRS = 8, EHM_ONNX_ARGS = 8 };

/* fields of the messages that we meet */
enum { MODEL_IR_VERSION = 1, MODEL_PRODUCER = 2, MODEL_PRODUCER_VERSION = 3, MODEL_GRAPH = 7, MODEL_OPSET = 8, MODEL_PROPS = 14 };
enum { OPSET_DOMAIN = 1, OPSET_VERSION = 2, PROP_KEY = 1, PROP_VALUE = 2 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12, GRAPH_SPARSE = 15 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5, NODE_DOMAIN = 7 };
enum { ATTR_NAME = 1, ATTR_F = 2, ATTR_I = 3, ATTR_INTS = 8, ATTR_TYPE = 20 };
enum { ATTR_TYPE_FLOAT = 1, ATTR_TYPE_INT = 2, ATTR_TYPE_INTS = 7 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9, TENSOR_EXTERNAL = 13, TENSOR_LOCATION = 14 };
enum { VALUE_NAME = 1, VALUE_TYPE = 2, TYPE_TENSOR = 1, TENSOR_TYPE_ELEM = 1, TENSOR_TYPE_SHAPE = 2, SHAPE_DIM = 1, DIM_VALUE = 1, DIM_PARAM = 2 };

/* ---- onnx_wire.c ---- */
void ehm_onnx_put_i64(ehm_str *s, uint32_t field, int64_t v);
void ehm_onnx_put_f32(ehm_str *s, uint32_t field, float v);
void ehm_onnx_put_bytes(ehm_str *s, uint32_t field, const void *data, size_t n);
void ehm_onnx_put_str(ehm_str *s, uint32_t field, const char *text);
/* Tag and length alone: n bytes follow. */
void ehm_onnx_put_head(ehm_str *s, uint32_t field, uint64_t n);

typedef struct { const uint8_t *p, *end; } ehm_onnx_wire;
typedef enum { EHM_WIRE_VARINT = 0, EHM_WIRE_64 = 1, EHM_WIRE_BYTES = 2, EHM_WIRE_32 = 5 } ehm_onnx_wire_type;
typedef struct { uint32_t field; ehm_onnx_wire_type type; uint64_t num; ehm_onnx_wire bytes; } ehm_onnx_field; /* num: VARINT, 64, 32 */
/* The next field; false at the end and, with *bad set, where the bytes are no fields. */
bool ehm_onnx_next(ehm_onnx_field *out, ehm_onnx_wire *w, bool *bad);
/* A varint of a packed list. */
bool ehm_onnx_varint(uint64_t *out, ehm_onnx_wire *w);
static inline size_t ehm_onnx_left(const ehm_onnx_wire *w) { return (size_t)(w->end - w->p); }

/* ---- an attribute, on both ways ---- */
typedef struct { const char *name; int32_t type; int64_t i; float f; int64_t ints[EHM_ONNX_RANK]; int32_t n; } ehm_onnx_attr; /* type: ATTR_TYPE_*; others are kept as 0 */

/* ---- onnx_build.c: a graph and its file ---- */
typedef struct {
    const char *name;
    int32_t type, rank;      /* FLOAT or INT64 */
    int64_t dim[4];
    const ehm_st_tensor *t;  /* numbers, written as f32; NULL: those below */
    bool transposed;         /* t is [cols,rows] of dim */
    int64_t ints[8];
    float number;
} ehm_onnx_init;
typedef struct {
    ehm_arena a;
    int64_t opset;
    bool dynamic_batch;
    ehm_str nodes, values, props; /* encoded; values: inputs, then outputs */
    ehm_onnx_init *init; int32_t n_init, max_init;
    bool failed;                  /* no memory */
} ehm_onnx_build;
ehm_code ehm_onnx_build_start(ehm_onnx_build *b, const ehm_onnx_opt *opt, int32_t max_init, ehm_err *err);
void ehm_onnx_build_free(ehm_onnx_build *b);
/* Names are copied. in and out end with NULL; out NULL: one value of the node's name. Returns the first output's name. attrs end with name NULL; NULL: none. */
const char *ehm_onnx_node(ehm_onnx_build *b, const char *name, const char *op, const char *const *in, const char *const *out, const ehm_onnx_attr *attrs);
const char *ehm_onnx_ints(ehm_onnx_build *b, const char *name, int32_t n, const int64_t *v);
const char *ehm_onnx_int(ehm_onnx_build *b, const char *name, int64_t v);     /* rank 0 */
const char *ehm_onnx_number(ehm_onnx_build *b, const char *name, float v);    /* rank 0 */
const char *ehm_onnx_weight(ehm_onnx_build *b, const char *name, const ehm_st_tensor *t, bool transposed);
/* dim[0] is the batch: 1 or "batch". */
void ehm_onnx_value(ehm_onnx_build *b, bool input, const char *name, int32_t rank, const int64_t *dim);
void ehm_onnx_prop(ehm_onnx_build *b, const char *key, const char *value);
/* Atomic. EHM_E_UNSUPPORTED beyond 2 GB. */
ehm_code ehm_onnx_build_write(const char *path, const ehm_onnx_build *b, ehm_err *err);

/* ---- onnx_read.c: a file as a graph ---- */
typedef struct { const char *op, *name; int32_t n_in, n_out, in[EHM_ONNX_ARGS], out[EHM_ONNX_ARGS]; ehm_onnx_attr *attr; int32_t n_attr; } ehm_onnx_op; /* in: -1 is left out */
/* A value: of the file (data, in the mapping, at any byte), or what a node makes. */
typedef struct { const char *name; bool is_init, is_made; int32_t type, rank; int64_t dim[EHM_ONNX_RANK], count; const uint8_t *data; int32_t n_uses; } ehm_onnx_symbol;
typedef struct {
    const char *path;
    ehm_arena a;
    uint8_t *map; size_t map_bytes;
    int64_t ir_version, opset;
    ehm_onnx_symbol *sym; int32_t n_sym, max_sym;
    int32_t *slot, n_slot;          /* symbols by hash of the name, -1: free */
    ehm_onnx_op *node; int32_t n_node;
    int32_t input; int64_t in_dim[4];  /* dim[0] 0: any */
    int32_t output[EHM_ONNX_ARGS]; int32_t n_output;
} ehm_onnx_graph;
/* EHM_E_FORMAT names what is wrong. Closed by the caller, also when it fails. */
ehm_code ehm_onnx_open(ehm_onnx_graph *g, const char *path, ehm_err *err);
void ehm_onnx_close(ehm_onnx_graph *g);

/* ---- onnx_ops.c ---- */
#define EHM_ONNX_COUNT_MAX ((int64_t)1 << 28) /* numbers of one value: 1 GiB */
typedef struct { int32_t type, rank; int64_t dim[EHM_ONNX_RANK], count; float *f; int64_t *i; } ehm_onnx_tensor; /* f or i, by type; owned */
typedef struct { const ehm_onnx_graph *g; const ehm_onnx_op *op; const ehm_onnx_tensor *in[EHM_ONNX_ARGS]; ehm_onnx_tensor *out; } ehm_onnx_call; /* in: NULL is left out */
ehm_code ehm_onnx_call_op(const ehm_onnx_call *c, ehm_err *err);
/* Numbers are not set. Errors: EHM_E_UNSUPPORTED beyond EHM_ONNX_COUNT_MAX. */
ehm_code ehm_onnx_tensor_new(ehm_onnx_tensor *t, int32_t type, int32_t rank, const int64_t *dim, ehm_err *err);
void ehm_onnx_tensor_free(ehm_onnx_tensor *t);

/* ---- onnx_run.c ---- */
typedef struct { const char *name; float *out; int64_t count; } ehm_onnx_want;
/* Several outputs of one pass. */
ehm_code ehm_onnx_run_wants(const ehm_onnx_want *want, int32_t n_want, const char *path, const float *pixels, int64_t n_pixels, int32_t n, ehm_err *err);
#endif
