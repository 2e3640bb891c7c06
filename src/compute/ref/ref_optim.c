/* Gradient clipping, AdamW (Loshchilov and Hutter 2019) in torch's order, and the moving average of weights. */
#include <math.h>
#include "compute/ref/ref_int.h"

enum { PIECE = 512 };

void ehm_ref_clip_factor(void *self, const ehm_clip_factor_args *a) {
    double norm = sqrt(ehm_ref_get(a->sumsq, 0)) * (double)a->grad_scale, factor = (double)a->grad_scale;
    (void)self;
    if (!isfinite(norm)) factor = (double)NAN;
    else if (a->max_norm > 0) factor *= fmin(1, (double)a->max_norm / (norm + 1e-6));
    ehm_ref_put(a->norm, 0, norm);
    ehm_ref_put(a->factor, 0, factor);
}

typedef struct {
    const ehm_adamw_args *a;
    double factor, beta1, beta2, decay, step, root2; /* decay: 1 - lr wd; step: lr / (1 - beta1^t); root2: sqrt(1 - beta2^t) */
} adamw_job;

static void adamw_pieces(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const adamw_job *j = ctx;
    const ehm_adamw_args *a = j->a;
    double p[PIECE], g[PIECE], m[PIECE], v[PIECE], eps = (double)a->eps;
    (void)i_thread;
    for (int64_t i = begin; i < end; i += PIECE) {
        int64_t n = ehm_ref_min(PIECE, end - i);
        ehm_ref_load(p, a->p, i, n);
        ehm_ref_load(g, a->g, i, n);
        ehm_ref_load(m, a->m, i, n);
        ehm_ref_load(v, a->v, i, n);
        for (int64_t k = 0; k < n; k++) {
            double gk = g[k] * j->factor;
            m[k] = j->beta1 * m[k] + (1 - j->beta1) * gk;
            v[k] = j->beta2 * v[k] + (1 - j->beta2) * gk * gk;
            p[k] = p[k] * j->decay - j->step * m[k] / (sqrt(v[k]) / j->root2 + eps);
        }
        ehm_ref_store(a->p, i, p, n);
        ehm_ref_store(a->m, i, m, n);
        ehm_ref_store(a->v, i, v, n);
        if (!a->p_act.rank) continue;
        ehm_ref_load(p, a->p, i, n); /* the copy is of p as stored, so that a later cast of p gives the same */
        ehm_ref_store(a->p_act, i, p, n);
    }
}

void ehm_ref_adamw(void *self, const ehm_adamw_args *a) {
    adamw_job j = {.a = a, .factor = ehm_ref_get(a->factor, 0), .beta1 = (double)a->beta1, .beta2 = (double)a->beta2};
    if (isnan(j.factor)) return;
    j.decay = 1 - (double)a->lr * (double)a->weight_decay;
    j.step = (double)a->lr / (1 - pow(j.beta1, (double)a->t));
    j.root2 = sqrt(1 - pow(j.beta2, (double)a->t));
    ehm_pool_for(((ehm_ref *)self)->pool, a->p.dim[0], 16 * PIECE, adamw_pieces, &j);
}

static void ema_pieces(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const ehm_ema_args *a = ctx;
    double avg[PIECE], p[PIECE], decay = (double)a->decay;
    (void)i_thread;
    for (int64_t i = begin; i < end; i += PIECE) {
        int64_t n = ehm_ref_min(PIECE, end - i);
        ehm_ref_load(avg, a->avg, i, n);
        ehm_ref_load(p, a->p, i, n);
        for (int64_t k = 0; k < n; k++) avg[k] = decay * avg[k] + (1 - decay) * p[k];
        ehm_ref_store(a->avg, i, avg, n);
    }
}

void ehm_ref_ema(void *self, const ehm_ema_args *a) {
    ehm_ema_args args = *a;
    ehm_pool_for(((ehm_ref *)self)->pool, a->avg.dim[0], 16 * PIECE, ema_pieces, &args);
}
