/* How the arguments of a call are judged; ops.c and trees.c share it. A check function names every view (arg), has them judged together (judge),
 * then compares dims (same). A refusal quotes all views, so that the message alone shows which call was wrong. The args are a copy: judge brings
 * views to the documented rank in it. */
#ifndef EHM_COMPUTE_CHECK_INT_H
#define EHM_COMPUTE_CHECK_INT_H
#include <stdarg.h>
#include <stdio.h>
#include "compute/compute_int.h"

enum { REAL = 1, BF16 = 2, ACT = REAL | BF16, I32 = 4, U8 = 8, F32 = 16, ANY_FLOAT = 32 }; /* types; REAL is the device's */
/* Shapes, besides the exact ranks 1 to 4: [n]; [R,D]; [B,M], dim 0 kept; [X,L,L]; [B,C,L,L], C being 1 where it is not given;
 * [R,K] or [B,R,K], the first made [1,R,K]. */
enum { FLAT = 5, ROWS, PICTURES, SLICES, STACKS, SHARED };
enum { WRITTEN = 1, OPTIONAL = 2, ALIAS = 4, FIRST = 8 }; /* ALIAS: may be the first arg itself; FIRST: only element 0 counts */
enum { ARGS_MAX = 10 };

typedef struct {
    const char *name;
    ehm_view *view, given;
    int32_t shape, types, how;
} op_arg;

typedef struct {
    ehm_dev *d;
    const char *op;
    op_arg arg[ARGS_MAX];
    int32_t n;
    double flops;
} check;

static inline void arg(check *c, const char *name, ehm_view *v, int32_t shape, int32_t types, int32_t how) {
    EHM_ASSERT(c->n < ARGS_MAX);
    c->arg[c->n++] = (op_arg){name, v, *v, shape, types, how};
}

/* Record the failure with the op, its label, what is wrong and every view. Always false. */
static inline bool refuse_as(check *c, ehm_code code, const char *what) {
    char place[160], text[EHM_ERR_WHAT], one[96];
    size_t at = 0;
    text[0] = 0;
    for (int32_t i = 0; i < c->n && at < sizeof text; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s %s", i ? ", " : "", c->arg[i].name,
                               ehm_view_text(c->arg[i].given, one, sizeof one));
    EHM_FAIL(&c->d->err, code, "%s: %s; %s", ehm_dev_place(c->d, c->op, place, sizeof place), what, text);
    return false;
}

static inline bool refuse(check *c, const char *fmt, ...) EHM_PRINTF(2, 3);
static inline bool refuse(check *c, const char *fmt, ...) {
    char what[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return refuse_as(c, EHM_E_ARG, what);
}

static inline bool same(check *c, const char *what_a, int64_t a, const char *what_b, int64_t b) {
    return a == b || refuse(c, "%s is %lld but %s is %lld", what_a, (long long)a, what_b, (long long)b);
}

/* What a set of types stands for on this device: the double one knows no narrow activations. */
static inline bool type_ok(const check *c, ehm_dtype t, int32_t types) {
    ehm_dtype real = c->d->be->real;
    switch (t) {
    case EHM_I32: return (types & I32) != 0;
    case EHM_U8: return (types & U8) != 0;
    case EHM_BF16: return (types & ANY_FLOAT) || ((types & BF16) && real == EHM_F32);
    case EHM_F32: return (types & (ANY_FLOAT | F32)) || ((types & REAL) && real == EHM_F32);
    case EHM_F64: return real == EHM_F64 && (types & (ANY_FLOAT | REAL));
    default: return false;
    }
}

static inline const char *types_text(const check *c, int32_t types, char text[64]) {
    size_t at = 0;
    text[0] = 0;
    for (int32_t t = 0; t < EHM_DTYPE_N; t++)
        if (type_ok(c, (ehm_dtype)t, types))
            at += (size_t)snprintf(text + at, 64 - at, "%s%s", at ? " or " : "", ehm_dtype_name((ehm_dtype)t));
    if (!at) snprintf(text, 64, "none on %s", c->d->be->name);
    return text;
}

static inline bool same_type(check *c, const char *name_a, ehm_view a, const char *name_b, ehm_view b) {
    return a.dtype == b.dtype || refuse(c, "%s is %s but %s is %s", name_a, ehm_dtype_name(a.dtype), name_b,
                                        ehm_dtype_name(b.dtype));
}

/* Bring a view to the rank that the back ends are promised. */
static inline bool to_shape(check *c, op_arg *a) {
    ehm_view *v = a->view;
    int64_t n = ehm_view_count(*v);
    if (a->how & FIRST) n = 1;
    if (a->shape == FLAT) {
        v->rank = 1;
        v->dim[0] = n;
    } else if (a->shape == ROWS) {
        int64_t last = v->dim[v->rank - 1];
        v->rank = 2;
        v->dim[0] = n / last;
        v->dim[1] = last;
    } else if (a->shape == PICTURES) {
        v->rank = 2;
        v->dim[1] = n / v->dim[0];
    } else if (a->shape == SLICES) {
        if (v->rank < 2) return refuse(c, "%s has rank %d, expected 2 to 4", a->name, (int)v->rank);
        int64_t rows = v->dim[v->rank - 2], cols = v->dim[v->rank - 1];
        v->rank = 3;
        v->dim[0] = n / (rows * cols);
        v->dim[1] = rows;
        v->dim[2] = cols;
    } else if (a->shape == STACKS) {
        if (v->rank < 3) return refuse(c, "%s has rank %d, expected 3 or 4", a->name, (int)v->rank);
        if (v->rank == 3) {
            v->dim[3] = v->dim[2];
            v->dim[2] = v->dim[1];
            v->dim[1] = 1;
        }
        v->rank = 4;
    } else if (a->shape == SHARED) {
        if (v->rank != 2 && v->rank != 3) return refuse(c, "%s has rank %d, expected 2 or 3", a->name, (int)v->rank);
        if (v->rank == 2) {
            v->dim[2] = v->dim[1];
            v->dim[1] = v->dim[0];
            v->dim[0] = 1;
        }
        v->rank = 3;
    } else if (v->rank != a->shape) {
        return refuse(c, "%s has rank %d, expected %d", a->name, (int)v->rank, (int)a->shape);
    }
    for (int32_t i = v->rank; i < 4; i++) v->dim[i] = 0;
    return true;
}

static inline bool overlap_ok(check *c, const op_arg *w, const op_arg *o) {
    if (!o->view->rank || w->view->buf != o->view->buf) return true;
    const char *p = ehm_ptr(*w->view), *q = ehm_ptr(*o->view);
    size_t n = ehm_view_bytes(*w->view), m = ehm_view_bytes(*o->view);
    if (p + n <= q || q + m <= p) return true;
    if ((o->how & ALIAS) && w == c->arg && p == q && w->view->dtype == o->view->dtype && n == m) return true;
    return refuse(c, "%s overlaps %s", w->name, o->name);
}

static inline bool judge(check *c) {
    char why[128], types[64];
    for (int32_t i = 0; i < c->n; i++) {
        op_arg *a = &c->arg[i];
        if (!a->view->rank) {
            if (!(a->how & OPTIONAL)) return refuse(c, "%s is absent", a->name);
            continue;
        }
        if (!ehm_view_fits(c->d, *a->view, why, sizeof why)) return refuse(c, "%s %s", a->name, why);
        if (!type_ok(c, a->view->dtype, a->types))
            return refuse(c, "%s is %s, expected %s", a->name, ehm_dtype_name(a->view->dtype),
                          types_text(c, a->types, types));
        if (!to_shape(c, a)) return false;
    }
    for (int32_t i = 0; i < c->n; i++)
        for (int32_t k = 0; k < c->n; k++)
            if (i != k && (c->arg[i].how & WRITTEN) && c->arg[i].view->rank &&
                !(k < i && (c->arg[k].how & WRITTEN)) && !overlap_ok(c, &c->arg[i], &c->arg[k]))
                return false;
    return true;
}
#endif
