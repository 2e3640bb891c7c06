/* Element by element: fill, cast, axpby, and GELU (Hendrycks and Gimpel 2016) in its erf form. */
#include <math.h>
#include "compute/ref/ref_int.h"

enum { PIECE = 512 }; /* elements that are in double at once */

typedef struct {
    ehm_view out, x, y;         /* y may be absent */
    double a, b;
    void (*op)(double *out, const double *x, const double *y, int64_t n, double a, double b);
} each_job;

static void each_piece(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const each_job *j = ctx;
    double out[PIECE], x[PIECE], y[PIECE];
    (void)i_thread;
    for (int64_t i = begin; i < end; i += PIECE) {
        int64_t n = ehm_ref_min(PIECE, end - i);
        if (j->x.rank) ehm_ref_load(x, j->x, i, n);
        if (j->y.rank) ehm_ref_load(y, j->y, i, n);
        j->op(out, x, y, n, j->a, j->b);
        ehm_ref_store(j->out, i, out, n);
    }
}

static void each(void *self, each_job j) {
    ehm_pool_for(((ehm_ref *)self)->pool, j.out.dim[0], 16 * PIECE, each_piece, &j);
}

static void op_fill(double *out, const double *x, const double *y, int64_t n, double a, double b) {
    (void)x, (void)y, (void)b;
    for (int64_t i = 0; i < n; i++) out[i] = a;
}

static void op_copy(double *out, const double *x, const double *y, int64_t n, double a, double b) {
    (void)y, (void)a, (void)b;
    memcpy(out, x, (size_t)n * sizeof *out);
}

static void op_scale(double *out, const double *x, const double *y, int64_t n, double a, double b) {
    (void)y, (void)b;
    for (int64_t i = 0; i < n; i++) out[i] = a * x[i];
}

static void op_axpby(double *out, const double *x, const double *y, int64_t n, double a, double b) {
    for (int64_t i = 0; i < n; i++) out[i] = a * x[i] + b * y[i];
}

static double phi(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); } /* erfc: exact in the far left tail too */

static void op_gelu(double *out, const double *x, const double *y, int64_t n, double a, double b) {
    (void)y, (void)a, (void)b;
    for (int64_t i = 0; i < n; i++) out[i] = x[i] * phi(x[i]);
}

/* d/dx x Phi(x) = Phi(x) + x times the normal density. */
static void op_gelu_bwd(double *out, const double *x, const double *y, int64_t n, double a, double b) {
    (void)a, (void)b;
    for (int64_t i = 0; i < n; i++)
        out[i] = y[i] * (phi(x[i]) + x[i] * 0.39894228040143267794 * exp(-0.5 * x[i] * x[i]));
}

void ehm_ref_fill(void *self, const ehm_fill_args *a) {
    each(self, (each_job){.out = a->x, .a = (double)a->value, .op = op_fill});
}

void ehm_ref_cast(void *self, const ehm_cast_args *a) {
    each(self, (each_job){.out = a->out, .x = a->x, .op = op_copy});
}

void ehm_ref_axpby(void *self, const ehm_axpby_args *a) {
    each_job j = {.out = a->out, .x = a->x, .a = (double)a->a, .b = (double)a->b, .op = op_scale};
    if (a->b != 0) {
        j.y = a->out;
        j.op = op_axpby;
    }
    each(self, j);
}

void ehm_ref_gelu_fwd(void *self, const ehm_gelu_fwd_args *a) {
    each(self, (each_job){.out = a->out, .x = a->x, .op = op_gelu});
}

void ehm_ref_gelu_bwd(void *self, const ehm_gelu_bwd_args *a) {
    each(self, (each_job){.out = a->dx, .x = a->x, .y = a->dout, .op = op_gelu_bwd});
}
