/* A file of tensors and the ops against it, on every device: what the golden tests of ops share.
 *
 *     static void norm(one *o) {
 *         begin(o, EHM_OP_norm_fwd);
 *         out(o, "norm.out", NAN, 6, 20, 0), in(o, "norm.x", T_REAL, 6, 20, 0), ...   // arguments by their names in the file
 *         run(o, call_norm_fwd);                                                      // outputs must be what the file has
 *     }
 *     TEST(ops, torch_norm) { golden_everywhere("tests/golden/ops/ops.txt", norm); }
 */
#ifndef EHM_TESTS_OPS_GOLDEN_H
#define EHM_TESTS_OPS_GOLDEN_H
#include "base/file.h"
#include "ops_cases.h"

typedef struct { char name[32]; int64_t n; double *v; } tensor;
typedef struct { tensor t[128]; int n; ehm_arena a; } golden;

static inline void golden_read(golden *g, const char *file) {
    ehm_err err = {0};
    ehm_bytes text;
    memset(g, 0, sizeof *g);
    REQUIRE_OK(ehm_file_read(&text, ehm_test_path(file), &g->a, &err), &err);
    char *p = (char *)text.data;
    while (*p) {
        tensor *t = &g->t[g->n++];
        int used = 0;
        REQUIRE(g->n <= 128 && sscanf(p, "%31s %lld%n", t->name, (long long *)&t->n, &used) == 2);
        p += used;
        t->v = EHM_NEW_N(&g->a, double, t->n);
        for (int64_t i = 0; i < t->n; i++) t->v[i] = strtod(p, &p);
        while (*p == '\n') p++;
    }
}
static inline const tensor *find(const golden *g, const char *name) {
    for (int i = 0; i < g->n; i++)
        if (!strcmp(g->t[i].name, name)) return &g->t[i];
    printf("no tensor %s in the file\n", name);
    REQUIRE(!"golden tensor is there");
    return NULL;
}

/* One op with arguments from the file; afterwards its outputs against the file. */
typedef struct { const golden *g; ehm_dev *d; op_case c; } one;

static inline void begin(one *o, ehm_op op) {
    case_free(&o->c);
    memset(&o->c, 0, sizeof o->c);
    o->c.op = op;
    o->c.act = ehm_dev_real(o->d);
    o->c.rng = ehm_rng_of(1, EHM_RNG_test, 0, 0);
}
static inline void fill_from(one *o, op_arg_case *t, const char *name) {
    const tensor *s = find(o->g, name);
    CHECK_INT(s->n, t->n);
    memcpy(t->v, s->v, (size_t)t->n * sizeof *t->v);
}
static inline void in(one *o, const char *name, int type, int64_t a, int64_t b, int64_t c) {
    int32_t rank = c ? 3 : b ? 2 : 1;
    fill_from(o, add_arg(&o->c, name, IN, type, 0, rank, a, b, c, 0), name);
}
/* Starts as `value` everywhere: an op that adds must come out that much larger. */
static inline void out(one *o, const char *name, double value, int64_t a, int64_t b, int64_t c) {
    int32_t rank = c ? 3 : b ? 2 : 1;
    op_arg_case *t = add_arg(&o->c, name, isnan(value) ? OUT : INOUT, T_REAL, 0, rank, a, b, c, 0);
    for (int64_t i = 0; i < t->n; i++) t->v[i] = isnan(value) ? 77 : value;
}
static inline void run(one *o, void (*call)(ehm_dev *, const op_case *, const ehm_view *)) {
    double bound = ehm_dev_real(o->d) == EHM_F64 ? 2e-9 : ehm_op_table[o->c.op].tol_f32;
    o->c.call = call;
    if (!bound) bound = 6e-8; /* copies: the f32 nearest to the digits written */
    if (!case_run(&o->c, o->d)) return;
    for (int k = 0; k < o->c.n; k++) {
        op_arg_case *t = &o->c.t[k];
        if (t->role == IN || !t->rank) continue;
        const tensor *s = find(o->g, t->name);
        double top = 0, worst = 0, start = t->role == INOUT ? t->v[0] : 0;
        int64_t at = 0;
        REQUIRE(s->n == t->n);
        for (int64_t i = 0; i < s->n; i++) {
            double e = fabs(t->got[i] - start - s->v[i]);
            top = fmax(top, fabs(s->v[i]) + fabs(start));
            if (!(e <= worst)) worst = e, at = i;
        }
        if (!(worst <= bound * top))
            ehm_test_fail(__FILE__, __LINE__, "%s: %s[%lld] is %.10g, the file has %.10g (error %g of largest %g, bound %g)",
                          case_name(&o->c, o->d), t->name, (long long)at, t->got[at] - start, s->v[at], worst, top, bound);
    }
}

static inline void golden_everywhere(const char *file, void (*body)(one *o)) {
    static const char *const names[] = {"ref64", "ref", "cpu"};
    golden g;
    golden_read(&g, file);
    for (int k = 0; k < 3; k++) {
        ehm_err err = {0};
        one o = {.g = &g};
        ehm_code rc = ehm_dev_open(&o.d, names[k], 2, &err);
        if (rc == EHM_E_UNSUPPORTED) {
            printf("  without %s: %s\n", names[k], err.what);
            continue;
        }
        REQUIRE_OK(rc, &err);
        body(&o);
        case_free(&o.c);
        ehm_dev_close(o.d);
    }
    ehm_arena_free(&g.a);
}
#endif
