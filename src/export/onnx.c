/* A vision transformer as a graph of ONNX: plain operators that every runtime has, under the names of the weights, so that a drawing of it reads like the model. */
#include "export/onnx.h"
#include "base/json.h"
#include "export/onnx_int.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#ifndef EHM_VERSION
#define EHM_VERSION "0"
#endif

enum { INIT_A_BLOCK = 12, INIT_BESIDES = 32 }; /* initializers, at most */
static const float eps = 1e-6f;

typedef struct {
    ehm_onnx_build b;
    const ehm_st *w;
    const ehm_vit_shape *s;
    int64_t n_classes;      /* 0: no head */
    bool head_mean, fc_norm, norm;
    const char *heads, *merged, *thirds, *sqrt2, *one, *half, *scale; /* numbers that all blocks share */
    ehm_err *err; ehm_code rc; /* the first failure; later calls then make nothing of use */
} net;

#define IN(...) (const char *const[]){__VA_ARGS__, NULL}
#define OUT(...) (const char *const[]){__VA_ARGS__, NULL}
#define ATTRS(...) (const ehm_onnx_attr[]){__VA_ARGS__, {0}}
#define ATTR_INTS_OF(key, count, ...) {.name = key, .type = ATTR_TYPE_INTS, .n = count, .ints = {__VA_ARGS__}}
#define ATTR_INT_OF(key, v) {.name = key, .type = ATTR_TYPE_INT, .i = v}
#define ATTR_FLOAT_OF(key, v) {.name = key, .type = ATTR_TYPE_FLOAT, .f = v}

static const char *text(net *n, const char *a, const char *c) {
    const char *s = ehm_arena_printf(&n->b.a, "%s%s", a, c);
    return s ? s : (n->b.failed = true, "");
}

/* ---- weights ---- */

static const ehm_st_tensor *tensor(net *n, const char *name, int32_t rank, const int64_t *dim) {
    const ehm_st_tensor *t = ehm_st_find(n->w, name);
    if (t && t->rank == rank && !memcmp(t->dim, dim, (size_t)rank * sizeof *dim)) return t;
    if (!n->rc) n->rc = EHM_FAIL(n->err, EHM_E_MISMATCH, "tensor \"%.80s\" %s", name, t ? "has another shape than the model's sizes ask for" : "is missing");
    return NULL;
}

static const char *weight(net *n, const char *name, int32_t rank, int64_t d0, int64_t d1, int64_t d2, int64_t d3) {
    const ehm_st_tensor *t = tensor(n, name, rank, (const int64_t[]){d0, d1, d2, d3});
    return t ? ehm_onnx_weight(&n->b, name, t, false) : "";
}

/* x [..,in] -> [..,out]. The weight is stored transposed, as MatMul takes it, and says so in its name. */
static const char *linear(net *n, const char *name, const char *x, int64_t in, int64_t out) {
    const char *w = text(n, name, ".weight"), *own = text(n, w, ".T");
    const ehm_st_tensor *t = tensor(n, w, 2, (const int64_t[]){out, in});
    if (!t) return "";
    const char *product = ehm_onnx_node(&n->b, text(n, name, "/MatMul"), "MatMul", IN(x, ehm_onnx_weight(&n->b, own, t, true)), NULL, NULL);
    return ehm_onnx_node(&n->b, text(n, name, "/Add"), "Add", IN(product, weight(n, text(n, name, ".bias"), 1, out, 0, 0, 0)), NULL, NULL);
}

static const char *norm(net *n, const char *name, const char *x, const char *output) {
    int64_t D = n->s->embed_dim;
    const char *w = weight(n, text(n, name, ".weight"), 1, D, 0, 0, 0), *bias = weight(n, text(n, name, ".bias"), 1, D, 0, 0, 0);
    return ehm_onnx_node(&n->b, text(n, name, "/LayerNormalization"), "LayerNormalization", IN(x, w, bias), output ? OUT(output) : NULL,
                         ATTRS(ATTR_INT_OF("axis", -1), ATTR_FLOAT_OF("epsilon", eps)));
}

/* ---- parts ---- */

/* [B,C,H,W] -> [B,1+L,D] */
static const char *embed(net *n, const char *x) {
    ehm_onnx_build *b = &n->b;
    const ehm_vit_shape *s = n->s;
    int64_t p = s->patch_size, D = s->embed_dim, N = 1 + (int64_t)s->n_patches;
    const char *w = weight(n, "patch_embed.proj.weight", 4, D, s->channels, p, p), *bias = weight(n, "patch_embed.proj.bias", 1, D, 0, 0, 0);
    x = ehm_onnx_node(b, "patch_embed.proj/Conv", "Conv", IN(x, w, bias), NULL, ATTRS(ATTR_INTS_OF("kernel_shape", 2, p, p), ATTR_INTS_OF("strides", 2, p, p)));
    const char *rows = ehm_onnx_ints(b, "patch_embed.shape", 3, (const int64_t[]){0, D, -1}); /* of patches, one after another */
    x = ehm_onnx_node(b, "patch_embed/Reshape", "Reshape", IN(x, rows), NULL, NULL);
    x = ehm_onnx_node(b, "patch_embed/Transpose", "Transpose", IN(x), NULL, ATTRS(ATTR_INTS_OF("perm", 3, 0, 2, 1)));
    const char *cls = weight(n, "cls_token", 3, 1, 1, D, 0);
    if (b->dynamic_batch) {
        const char *batch = ehm_onnx_node(b, "cls_token/Shape", "Shape", IN("pixel_values"), NULL, ATTRS(ATTR_INT_OF("start", 0), ATTR_INT_OF("end", 1)));
        const char *ones = ehm_onnx_ints(b, "cls_token.shape", 2, (const int64_t[]){1, D});
        const char *shape = ehm_onnx_node(b, "cls_token/Concat", "Concat", IN(batch, ones), NULL, ATTRS(ATTR_INT_OF("axis", 0)));
        cls = ehm_onnx_node(b, "cls_token/Expand", "Expand", IN(cls, shape), NULL, NULL);
    }
    x = ehm_onnx_node(b, "embed/Concat", "Concat", IN(cls, x), NULL, ATTRS(ATTR_INT_OF("axis", 1)));
    return ehm_onnx_node(b, "pos_embed/Add", "Add", IN(x, weight(n, "pos_embed", 3, 1, N, D, 0)), NULL, NULL);
}

static const char *one_head(net *n, const char *name, const char *which, const char *x, bool for_keys) {
    const char *own = text(n, name, which);
    x = ehm_onnx_node(&n->b, text(n, own, "/Reshape"), "Reshape", IN(x, n->heads), NULL, NULL);
    return ehm_onnx_node(&n->b, text(n, own, "/Transpose"), "Transpose", IN(x), NULL,
                         for_keys ? ATTRS(ATTR_INTS_OF("perm", 4, 0, 2, 3, 1)) : ATTRS(ATTR_INTS_OF("perm", 4, 0, 2, 1, 3)));
}

static const char *attention(net *n, const char *name, const char *x) {
    ehm_onnx_build *b = &n->b;
    int64_t D = n->s->embed_dim;
    const char *parts[] = {text(n, name, ".q"), text(n, name, ".k"), text(n, name, ".v")};
    const char *qkv = linear(n, text(n, name, ".qkv"), x, D, 3 * D);
    (void)ehm_onnx_node(b, text(n, name, ".qkv/Split"), "Split", IN(qkv, n->thirds), OUT(parts[0], parts[1], parts[2]), ATTRS(ATTR_INT_OF("axis", -1)));
    const char *q = one_head(n, name, ".q", parts[0], false), *k = one_head(n, name, ".k", parts[1], true), *v = one_head(n, name, ".v", parts[2], false);
    x = ehm_onnx_node(b, text(n, name, ".scores/MatMul"), "MatMul", IN(q, k), NULL, NULL);
    x = ehm_onnx_node(b, text(n, name, ".scores/Mul"), "Mul", IN(x, n->scale), NULL, NULL);
    x = ehm_onnx_node(b, text(n, name, "/Softmax"), "Softmax", IN(x), NULL, ATTRS(ATTR_INT_OF("axis", -1)));
    x = ehm_onnx_node(b, text(n, name, "/MatMul"), "MatMul", IN(x, v), NULL, NULL);
    x = ehm_onnx_node(b, text(n, name, "/Transpose"), "Transpose", IN(x), NULL, ATTRS(ATTR_INTS_OF("perm", 4, 0, 2, 1, 3)));
    x = ehm_onnx_node(b, text(n, name, "/Reshape"), "Reshape", IN(x, n->merged), NULL, NULL);
    return linear(n, text(n, name, ".proj"), x, D, D);
}

/* The exact one. It is an operator from 20 on; before, runtimes know it by this pattern. */
static const char *gelu(net *n, const char *name, const char *x) {
    ehm_onnx_build *b = &n->b;
    if (b->opset >= 20) return ehm_onnx_node(b, text(n, name, "/Gelu"), "Gelu", IN(x), NULL, NULL);
    const char *y = ehm_onnx_node(b, text(n, name, "/Div"), "Div", IN(x, n->sqrt2), NULL, NULL);
    y = ehm_onnx_node(b, text(n, name, "/Erf"), "Erf", IN(y), NULL, NULL);
    y = ehm_onnx_node(b, text(n, name, "/Add"), "Add", IN(y, n->one), NULL, NULL);
    y = ehm_onnx_node(b, text(n, name, "/Mul"), "Mul", IN(x, y), NULL, NULL);
    return ehm_onnx_node(b, text(n, name, "/Mul_1"), "Mul", IN(y, n->half), NULL, NULL);
}

static const char *block(net *n, int32_t i, const char *x) {
    char name[32];
    int64_t D = n->s->embed_dim, M = n->s->mlp_dim;
    snprintf(name, sizeof name, "blocks.%d", (int)i);
    const char *y = norm(n, text(n, name, ".norm1"), x, NULL);
    y = attention(n, text(n, name, ".attn"), y);
    x = ehm_onnx_node(&n->b, text(n, name, "/Add"), "Add", IN(x, y), NULL, NULL);
    y = norm(n, text(n, name, ".norm2"), x, NULL);
    y = linear(n, text(n, name, ".mlp.fc1"), y, D, M);
    y = gelu(n, text(n, name, ".mlp.act"), y);
    y = linear(n, text(n, name, ".mlp.fc2"), y, M, D);
    return ehm_onnx_node(&n->b, text(n, name, "/Add_1"), "Add", IN(x, y), NULL, NULL);
}

static const char *mean_of_patches(net *n, const char *tokens, const char *output) {
    ehm_onnx_build *b = &n->b;
    const char *first = ehm_onnx_ints(b, "pool.first", 1, (const int64_t[]){1}), *end = ehm_onnx_ints(b, "pool.end", 1, (const int64_t[]){INT64_MAX});
    const char *axis = ehm_onnx_ints(b, "pool.axis", 1, (const int64_t[]){1});
    const char *x = ehm_onnx_node(b, "pool/Slice", "Slice", IN(tokens, first, end, axis), NULL, NULL);
    if (b->opset >= 18) return ehm_onnx_node(b, "pool/ReduceMean", "ReduceMean", IN(x, axis), output ? OUT(output) : NULL, ATTRS(ATTR_INT_OF("keepdims", 0)));
    return ehm_onnx_node(b, "pool/ReduceMean", "ReduceMean", IN(x), output ? OUT(output) : NULL, ATTRS(ATTR_INTS_OF("axes", 1, 1), ATTR_INT_OF("keepdims", 0)));
}

static void add_outputs(net *n, const char *x) {
    ehm_onnx_build *b = &n->b;
    int64_t D = n->s->embed_dim, N = 1 + (int64_t)n->s->n_patches, K = n->n_classes;
    if (n->norm) (void)norm(n, "norm", x, "last_hidden_state");
    else (void)ehm_onnx_node(b, "tokens/Identity", "Identity", IN(x), OUT("last_hidden_state"), NULL);
    (void)ehm_onnx_node(b, "cls/Gather", "Gather", IN("last_hidden_state", ehm_onnx_int(b, "cls.index", 0)), OUT("pooled_cls"), ATTRS(ATTR_INT_OF("axis", 1)));
    if (n->fc_norm) (void)norm(n, "fc_norm", mean_of_patches(n, x, NULL), "pooled_mean");
    else (void)mean_of_patches(n, "last_hidden_state", "pooled_mean");
    ehm_onnx_value(b, false, "last_hidden_state", 3, (const int64_t[]){1, N, D});
    ehm_onnx_value(b, false, "pooled_cls", 2, (const int64_t[]){1, D});
    ehm_onnx_value(b, false, "pooled_mean", 2, (const int64_t[]){1, D});
    if (!K) return;
    const char *w = weight(n, "head.weight", 2, K, D, 0, 0), *bias = weight(n, "head.bias", 1, K, 0, 0, 0);
    (void)ehm_onnx_node(b, "head/Gemm", "Gemm", IN(n->head_mean ? "pooled_mean" : "pooled_cls", w, bias), OUT("logits"), ATTRS(ATTR_INT_OF("transB", 1)));
    ehm_onnx_value(b, false, "logits", 2, (const int64_t[]){1, K});
}

/* ---- what a reader must know ---- */

static void add_numbers(net *n, const char *key, const double *v, int32_t count) {
    ehm_str s = {0};
    ehm_json_w w = {.out = &s};
    ehm_json_arr(&w);
    for (int32_t i = 0; i < count; i++) ehm_json_f64(&w, v[i]);
    ehm_json_end(&w);
    ehm_onnx_prop(&n->b, key, ehm_str_c(&s));
    n->b.failed |= s.failed;
    ehm_str_free(&s);
}

/* The list of names, of "classes" itself or of what fine-tuning leaves in "task". */
static ehm_code add_classes(net *n, ehm_err *err) {
    const char *list = ehm_st_meta_get(n->w, "classes"), *task = ehm_st_meta_get(n->w, "task"), *from = list ? list : task;
    ehm_json *root;
    ehm_str s = {0};
    ehm_json_w w = {.out = &s};
    if (!n->n_classes || !from) return EHM_OK;
    EHM_TRY(ehm_json_parse(&root, from, strlen(from), list ? "the metadata \"classes\"" : "the metadata \"task\"", &n->b.a, err));
    const ehm_json *names = list ? root : ehm_json_get(root, "classes");
    if (!names || names->kind != EHM_JSON_ARR || names->n != n->n_classes)
        return EHM_FAIL(err, EHM_E_FORMAT, "the metadata names %d classes, the head has %lld", names && names->kind == EHM_JSON_ARR ? (int)names->n : 0, (long long)n->n_classes);
    ehm_json_arr(&w);
    for (const ehm_json *c = names->first; c; c = c->next) ehm_json_str(&w, c->kind == EHM_JSON_STR || c->kind == EHM_JSON_NUM ? c->str : "");
    ehm_json_end(&w);
    ehm_onnx_prop(&n->b, "classes", ehm_str_c(&s));
    n->b.failed |= s.failed;
    ehm_str_free(&s);
    return EHM_OK;
}

static ehm_code add_props(net *n, const ehm_weights_info *info, ehm_err *err) {
    const ehm_vit_shape *s = n->s;
    const struct { const char *key; int32_t v; } size[] = {{"img_h", s->img_h}, {"img_w", s->img_w}, {"channels", s->channels}, {"patch_size", s->patch_size}};
    char number[16];
    ehm_onnx_prop(&n->b, "ehm_version", EHM_VERSION);
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        snprintf(number, sizeof number, "%d", (int)size[i].v);
        ehm_onnx_prop(&n->b, size[i].key, number);
    }
    ehm_onnx_prop(&n->b, "layer_norm_eps", "1e-06");
    if (info->has_stats) add_numbers(n, "mean", info->mean, s->channels), add_numbers(n, "std", info->std, s->channels);
    if (*info->fit) ehm_onnx_prop(&n->b, "fit", info->fit);
    if (*info->recipe) ehm_onnx_prop(&n->b, "recipe", info->recipe);
    if (*info->mask) ehm_onnx_prop(&n->b, "mask", info->mask);
    if (ehm_st_meta_get(n->w, "data")) ehm_onnx_prop(&n->b, "data", ehm_st_meta_get(n->w, "data"));
    if (n->n_classes) ehm_onnx_prop(&n->b, "pool", n->head_mean ? "mean" : "cls");
    return add_classes(n, err);
}

/* ---- */

static ehm_code look_at_head(net *n, const char *pool, ehm_err *err) {
    const ehm_st_tensor *head = ehm_st_find(n->w, "head.weight");
    bool has_fc_norm = ehm_st_find(n->w, "fc_norm.weight") != NULL;
    if (pool && strcmp(pool, "cls") && strcmp(pool, "mean")) return EHM_FAIL(err, EHM_E_CONFIG, "pool %.40s: must be cls or mean", pool);
    n->norm = ehm_st_find(n->w, "norm.weight") != NULL;
    n->n_classes = head && head->rank == 2 ? head->dim[0] : 0;
    n->head_mean = head && (pool ? !strcmp(pool, "mean") : has_fc_norm);
    n->fc_norm = n->head_mean && has_fc_norm;
    if (head && !n->n_classes) return EHM_FAIL(err, EHM_E_MISMATCH, "\"head.weight\" is not that of a linear classifier");
    if (!n->norm && !n->fc_norm) return EHM_FAIL(err, EHM_E_MISMATCH, "tensor \"norm.weight\" is missing");
    return EHM_OK;
}

static void add_shared(net *n) {
    ehm_onnx_build *b = &n->b;
    int64_t D = n->s->embed_dim, H = n->s->num_heads;
    n->thirds = ehm_onnx_ints(b, "attn.thirds", 3, (const int64_t[]){D, D, D});
    n->heads = ehm_onnx_ints(b, "attn.heads", 4, (const int64_t[]){0, 0, H, D / H});
    n->merged = ehm_onnx_ints(b, "attn.merged", 3, (const int64_t[]){0, 0, D});
    n->scale = ehm_onnx_number(b, "attn.scale", (float)(1 / sqrt((double)(D / H))));
    if (b->opset >= 20) return;
    n->sqrt2 = ehm_onnx_number(b, "gelu.sqrt2", (float)sqrt(2));
    n->one = ehm_onnx_number(b, "gelu.one", 1), n->half = ehm_onnx_number(b, "gelu.half", 0.5f);
}

static ehm_code build(net *n, const char *path, const ehm_weights_info *info, const ehm_onnx_opt *opt, ehm_err *err) {
    const ehm_vit_shape *s = n->s;
    EHM_TRY(look_at_head(n, opt->pool, err));
    EHM_TRY(ehm_onnx_build_start(&n->b, opt, INIT_A_BLOCK * s->depth + INIT_BESIDES, err));
    ehm_onnx_value(&n->b, true, "pixel_values", 4, (const int64_t[]){1, s->channels, s->img_h, s->img_w});
    add_shared(n);
    const char *x = embed(n, "pixel_values");
    for (int32_t i = 0; i < s->depth && !n->rc; i++) x = block(n, i, x);
    if (!n->rc) add_outputs(n, x);
    EHM_TRY(n->rc);
    EHM_TRY(add_props(n, info, err));
    return ehm_onnx_build_write(path, &n->b, err);
}

ehm_code ehm_onnx_write(const char *path, const ehm_st *w, const ehm_weights_info *info, const ehm_onnx_opt *opt, ehm_err *err) {
    net n = {.w = w, .s = &info->shape, .err = err};
    ehm_code rc = build(&n, path, info, opt, err);
    ehm_onnx_build_free(&n.b);
    return rc;
}
