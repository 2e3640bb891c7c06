/* oneDNN as a provider of matrix products: the only file that knows dnnl.h. C API of version 2 and 3.
 *
 * One primitive a shape, made on its first use and kept; weights are reordered once into the form the
 * primitive likes best and again after they change. Scratch is ours. OpenMP runs only inside
 * dnnl_primitive_execute, with our number of threads, while our pool sleeps. Whatever oneDNN refuses is
 * simply not done here (false): our own kernels take it.
 */
#include "compute/cpu/cpu_int.h"
#if EHM_WITH_DNNL
#include <dlfcn.h>
#include <dnnl.h>
#include <stdio.h>
#include <string.h>
#if DNNL_VERSION_MAJOR >= 3 /* descriptors became handles */
typedef dnnl_memory_desc_t desc;
typedef const_dnnl_memory_desc_t desc_ref;
#define REF(d) (d)
#else
typedef dnnl_memory_desc_t desc;
typedef const dnnl_memory_desc_t *desc_ref;
#define REF(d) (&(d))
#endif

typedef struct {
    int64_t m, n, k, lda, ldb;
    bool bf16, out_bf16, trans_a, trans_b, weight_b, bias, sum, add, add_bf16;
} shape;
typedef struct {
    shape key;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t run,
        reorder; /* run NULL: oneDNN refused this shape; reorder: plain weights to packed ones */
    dnnl_memory_t src, weights, plain, bias, add, dst, scratch;
    size_t packed_bytes, scratch_bytes;
} product;
typedef struct {
    const void *b;
    const product *p;
    void *packed;
    uint64_t epoch;
} packed_weight; /* b NULL: a free place */

struct ehm_cpu_dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int32_t n_threads;
    void (*set_threads)(int);
    product **products; /* pointers, for weights refer to them */
    packed_weight *weights;
    int32_t n_products, cap_products, n_weights, cap_weights;
    void *scratch;
    size_t scratch_bytes, packed_total, packed_max;
    uint64_t epoch;
};

/* ---- memory descriptors ---- */
static bool strided(desc *d, int64_t rows, int64_t cols, dnnl_data_type_t t, int64_t row_step,
                    int64_t col_step) {
    dnnl_dims_t dims = {rows, cols}, steps = {row_step, col_step};
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_strides(d, 2, dims, t, steps) == dnnl_success;
#else
    return dnnl_memory_desc_init_by_strides(d, 2, dims, t, steps) == dnnl_success;
#endif
}
static bool anyhow(desc *d, int64_t rows, int64_t cols, dnnl_data_type_t t) {
    dnnl_dims_t dims = {rows, cols};
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_tag(d, 2, dims, t, dnnl_format_tag_any) == dnnl_success;
#else
    return dnnl_memory_desc_init_by_tag(d, 2, dims, t, dnnl_format_tag_any) == dnnl_success;
#endif
}
static void drop(desc *d, bool made) {
#if DNNL_VERSION_MAJOR >= 3
    if (made) dnnl_memory_desc_destroy(*d);
#else
    (void)d, (void)made;
#endif
}
static bool memory_of(dnnl_memory_t *m, desc_ref d, dnnl_engine_t e) {
    return dnnl_memory_create(m, d, e, DNNL_MEMORY_NONE) == dnnl_success;
}
static dnnl_data_type_t type_of(bool bf16) { return bf16 ? dnnl_bf16 : dnnl_f32; }

/* ---- making a primitive ---- */
typedef struct {
    desc src, weights, plain, bias, add, dst;
    bool n_src, n_weights, n_plain, n_bias, n_add, n_dst;
} descs; /* n_: was made */
static bool describe(descs *d, const shape *s) {
    const dnnl_data_type_t t = type_of(s->bf16);
    d->n_src = strided(&d->src, s->m, s->k, t, s->trans_a ? 1 : s->lda, s->trans_a ? s->lda : 1);
    d->n_plain = strided(&d->plain, s->k, s->n, t, s->trans_b ? 1 : s->ldb, s->trans_b ? s->ldb : 1);
    d->n_weights = s->weight_b && anyhow(&d->weights, s->k, s->n, t);
    d->n_bias = s->bias && strided(&d->bias, 1, s->n, dnnl_f32, s->n, 1);
    d->n_add = s->add && strided(&d->add, s->m, s->n, type_of(s->add_bf16), s->n, 1);
    d->n_dst = strided(&d->dst, s->m, s->n, type_of(s->out_bf16), s->n, 1);
    return d->n_src && d->n_plain && d->n_dst && d->n_weights == s->weight_b && d->n_bias == s->bias &&
           d->n_add == s->add;
}
static void undescribe(descs *d) {
    drop(&d->src, d->n_src), drop(&d->weights, d->n_weights), drop(&d->plain, d->n_plain);
    drop(&d->bias, d->n_bias), drop(&d->add, d->n_add), drop(&d->dst, d->n_dst);
}
static bool attributes(dnnl_primitive_attr_t *attr, const shape *s, descs *d) {
    dnnl_post_ops_t ops = NULL;
    if (dnnl_primitive_attr_create(attr)) return false;
    bool ok = !dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user) &&
              !dnnl_post_ops_create(&ops);
    if (ok && s->add) ok = !dnnl_post_ops_append_binary(ops, dnnl_binary_add, REF(d->add));
#if DNNL_VERSION_MAJOR >= 3
    if (ok && s->sum) ok = !dnnl_post_ops_append_sum(ops, 1.f, 0, dnnl_data_type_undef);
#else
    if (ok && s->sum) ok = !dnnl_post_ops_append_sum(ops, 1.f);
#endif
    if (ok) ok = !dnnl_primitive_attr_set_post_ops(*attr, ops);
    if (ops) dnnl_post_ops_destroy(ops);
    return ok;
}
static bool product_desc(product *p, descs *d, dnnl_primitive_attr_t attr, dnnl_engine_t e) {
    desc *w = p->key.weight_b ? &d->weights : &d->plain;
#if DNNL_VERSION_MAJOR >= 3
    return !dnnl_matmul_primitive_desc_create(&p->pd, e, d->src, *w, p->key.bias ? d->bias : NULL, d->dst,
                                              attr);
#else
    dnnl_matmul_desc_t m;
    return !dnnl_matmul_desc_init(&m, &d->src, w, p->key.bias ? &d->bias : NULL, &d->dst) &&
           !dnnl_primitive_desc_create(&p->pd, &m, attr, e, NULL);
#endif
}
static bool make_reorder(product *p, descs *d, dnnl_engine_t e) {
    dnnl_primitive_desc_t pd;
    if (dnnl_reorder_primitive_desc_create(
            &pd, REF(d->plain), e, dnnl_primitive_desc_query_md(p->pd, dnnl_query_weights_md, 0), e, NULL))
        return false;
    bool ok = !dnnl_primitive_create(&p->reorder, pd);
    dnnl_primitive_desc_destroy(pd);
    return ok && memory_of(&p->plain, REF(d->plain), e);
}
static bool make_product(product *p, dnnl_engine_t e) {
    descs d;
    dnnl_primitive_attr_t attr = NULL;
    memset(&d, 0, sizeof d);
    bool ok = describe(&d, &p->key) && attributes(&attr, &p->key, &d) && product_desc(p, &d, attr, e);
    if (ok) {
        desc_ref w = dnnl_primitive_desc_query_md(p->pd, dnnl_query_weights_md, 0),
                 s = dnnl_primitive_desc_query_md(p->pd, dnnl_query_scratchpad_md, 0);
        p->packed_bytes = dnnl_memory_desc_get_size(w), p->scratch_bytes = dnnl_memory_desc_get_size(s);
        ok = memory_of(&p->src, REF(d.src), e) && memory_of(&p->weights, w, e) &&
             memory_of(&p->dst, REF(d.dst), e) && memory_of(&p->scratch, s, e);
        ok = ok && (!p->key.bias || memory_of(&p->bias, REF(d.bias), e)) &&
             (!p->key.add || memory_of(&p->add, REF(d.add), e));
        ok = ok && (!p->key.weight_b || make_reorder(p, &d, e)) && !dnnl_primitive_create(&p->run, p->pd);
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    undescribe(&d);
    return ok;
}
static void free_product(product *p) {
    dnnl_memory_t m[] = {p->src, p->weights, p->plain, p->bias, p->add, p->dst, p->scratch};
    for (size_t i = 0; i < sizeof m / sizeof *m; i++)
        if (m[i]) dnnl_memory_destroy(m[i]);
    if (p->run) dnnl_primitive_destroy(p->run);
    if (p->reorder) dnnl_primitive_destroy(p->reorder);
    if (p->pd) dnnl_primitive_desc_destroy(p->pd);
    shape key = p->key;
    *p = (product){.key = key};
}

/* ---- tables ---- */
static bool same_shape(const shape *a, const shape *b) {
    return a->m == b->m && a->n == b->n && a->k == b->k && a->lda == b->lda && a->ldb == b->ldb &&
           a->bf16 == b->bf16 && a->out_bf16 == b->out_bf16 && a->trans_a == b->trans_a &&
           a->trans_b == b->trans_b && a->weight_b == b->weight_b && a->bias == b->bias && a->sum == b->sum &&
           a->add == b->add && a->add_bf16 == b->add_bf16;
}
/* Twice the room in *at, of n items of `size`. */
static bool more_room(void **at, int32_t *cap, int32_t n, size_t size) {
    if (n < *cap) return true;
    int32_t want = *cap ? 2 * *cap : 64;
    void *p = ehm_block_alloc((size_t)want * size);
    if (!p) return false;
    if (n) memcpy(p, *at, (size_t)n * size);
    ehm_block_free(*at, (size_t)*cap * size);
    *at = p, *cap = want;
    return true;
}
static product *product_of(ehm_cpu_dnnl *d, const shape *s) {
    for (int32_t i = 0; i < d->n_products; i++)
        if (same_shape(&d->products[i]->key, s)) return d->products[i];
    void *at = d->products;
    if (!more_room(&at, &d->cap_products, d->n_products, sizeof *d->products)) return NULL;
    d->products = at;
    product *p = ehm_block_alloc(sizeof *p);
    if (!p) return NULL;
    p->key = *s;
    if (!make_product(p, d->engine)) free_product(p); /* remembered as refused */
    d->products[d->n_products++] = p;
    return p;
}
static bool execute(ehm_cpu_dnnl *d, dnnl_primitive_t p, int n, const dnnl_exec_arg_t *arg) {
    if (d->set_threads) d->set_threads(d->n_threads); /* a setting of the calling thread */
    return !dnnl_primitive_execute(p, d->stream, n, arg) && !dnnl_stream_wait(d->stream);
}
static const void *packed_of(ehm_cpu_dnnl *d, product *p, const void *b) {
    packed_weight *w = NULL, *gap = NULL;
    for (int32_t i = 0; i < d->n_weights && !w; i++) {
        if (d->weights[i].b == b && d->weights[i].p == p) w = &d->weights[i];
        if (!d->weights[i].b) gap = &d->weights[i];
    }
    if (w && w->epoch == d->epoch) return w->packed;
    if (!w) {
        void *at = d->weights, *room;
        if (d->packed_total + p->packed_bytes > d->packed_max) return NULL;
        if (!gap && !more_room(&at, &d->cap_weights, d->n_weights, sizeof *d->weights)) return NULL;
        d->weights = at;
        if (!(room = ehm_block_alloc(p->packed_bytes))) return NULL;
        d->packed_total += p->packed_bytes;
        w = gap ? gap : &d->weights[d->n_weights++];
        *w = (packed_weight){b, p, room, 0};
    }
    dnnl_memory_set_data_handle(p->plain, (void *)(uintptr_t)b);
    dnnl_memory_set_data_handle(p->weights, w->packed);
    const dnnl_exec_arg_t arg[] = {{DNNL_ARG_FROM, p->plain}, {DNNL_ARG_TO, p->weights}};
    if (!execute(d, p->reorder, 2, arg)) return NULL;
    w->epoch = d->epoch;
    return w->packed;
}

/* ---- the interface ---- */
bool ehm_cpu_dnnl_matmul(ehm_cpu_dnnl *d, const ehm_gemm *g) {
    const bool add_is_out = g->add && g->add == g->out && g->add_bf16 == g->out_bf16;
    if (g->m < 1 || g->n < 1 || g->k < 1 || (add_is_out && g->accumulate)) return false;
    shape s = {g->m,
               g->n,
               g->k,
               g->lda,
               g->ldb,
               g->a_bf16,
               g->out_bf16,
               g->trans_a,
               g->trans_b,
               g->weight_b,
               g->bias != NULL,
               g->accumulate || add_is_out,
               g->add && !add_is_out,
               g->add_bf16 && !add_is_out};
    product *p = product_of(d, &s);
    if (!p || !p->run) return false;
    const void *b = g->b;
    if (g->weight_b && !(b = packed_of(d, p, g->b))) return false;
    if (p->scratch_bytes > d->scratch_bytes) {
        void *room = ehm_block_alloc(p->scratch_bytes);
        if (!room) return false;
        ehm_block_free(d->scratch, d->scratch_bytes);
        d->scratch = room, d->scratch_bytes = p->scratch_bytes;
    }
    dnnl_memory_set_data_handle(p->src, (void *)(uintptr_t)g->a);
    dnnl_memory_set_data_handle(p->weights, (void *)(uintptr_t)b);
    dnnl_memory_set_data_handle(p->dst, g->out);
    dnnl_memory_set_data_handle(p->scratch, d->scratch);
    dnnl_exec_arg_t arg[6] = {{DNNL_ARG_SRC, p->src},
                              {DNNL_ARG_WEIGHTS, p->weights},
                              {DNNL_ARG_DST, p->dst},
                              {DNNL_ARG_SCRATCHPAD, p->scratch}};
    int n = 4;
    if (s.bias) {
        dnnl_memory_set_data_handle(p->bias, (void *)(uintptr_t)g->bias);
        arg[n++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, p->bias};
    }
    if (s.add) {
        dnnl_memory_set_data_handle(p->add, (void *)(uintptr_t)g->add);
        arg[n++] = (dnnl_exec_arg_t){DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, p->add};
    }
    return execute(d, p->run, n, arg);
}
bool ehm_cpu_dnnl_open(ehm_cpu_dnnl **out, int32_t n_threads, char *about, size_t about_size) {
    ehm_cpu_dnnl *d = ehm_block_alloc(sizeof *d);
    *out = NULL;
    if (!d) return false;
    d->n_threads = n_threads, d->epoch = 1, d->packed_max = (size_t)(ehm_memory_limit() / 8);
    /* The OpenMP library comes along with oneDNN; asking the loader finds the one it uses, whatever its kind.
     */
    void *f = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    memcpy(&d->set_threads, &f, sizeof f);
    if (dnnl_engine_create(&d->engine, dnnl_cpu, 0) ||
        dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags)) {
        ehm_cpu_dnnl_close(d);
        return false;
    }
    const dnnl_version_t *v = dnnl_version();
    snprintf(about, about_size, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    *out = d;
    return true;
}
void ehm_cpu_dnnl_close(ehm_cpu_dnnl *d) {
    if (!d) return;
    ehm_cpu_dnnl_forget(d, NULL, SIZE_MAX);
    for (int32_t i = 0; i < d->n_products; i++) {
        free_product(d->products[i]);
        ehm_block_free(d->products[i], sizeof(product));
    }
    ehm_block_free(d->products, (size_t)d->cap_products * sizeof *d->products);
    ehm_block_free(d->weights, (size_t)d->cap_weights * sizeof *d->weights);
    ehm_block_free(d->scratch, d->scratch_bytes);
    if (d->stream) dnnl_stream_destroy(d->stream);
    if (d->engine) dnnl_engine_destroy(d->engine);
    ehm_block_free(d, sizeof *d);
}
void ehm_cpu_dnnl_weights_changed(ehm_cpu_dnnl *d) {
    if (d) d->epoch++;
}
void ehm_cpu_dnnl_forget(ehm_cpu_dnnl *d, const void *p, size_t bytes) {
    for (int32_t i = 0; d && i < d->n_weights; i++) {
        packed_weight *w = &d->weights[i];
        if (!w->b || (bytes != SIZE_MAX && ((const char *)w->b < (const char *)p ||
                                            (const char *)w->b >= (const char *)p + bytes)))
            continue;
        ehm_block_free(w->packed, w->p->packed_bytes);
        d->packed_total -= w->p->packed_bytes;
        *w = (packed_weight){0};
    }
}
#else
bool ehm_cpu_dnnl_open(ehm_cpu_dnnl **out, int32_t n_threads, char *about, size_t about_size) {
    (void)n_threads, (void)about, (void)about_size;
    *out = NULL;
    return false;
}
void ehm_cpu_dnnl_close(ehm_cpu_dnnl *d) { (void)d; }
bool ehm_cpu_dnnl_matmul(ehm_cpu_dnnl *d, const ehm_gemm *g) { return (void)d, (void)g, false; }
void ehm_cpu_dnnl_weights_changed(ehm_cpu_dnnl *d) { (void)d; }
void ehm_cpu_dnnl_forget(ehm_cpu_dnnl *d, const void *p, size_t bytes) { (void)d, (void)p, (void)bytes; }
#endif
