#include "net/layer.h"
#include <stdio.h>

void ehm_norm_add(ehm_norm *n, ehm_params *ps, const char *name, int64_t dim) {
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    n->weight = ehm_params_add(ps, full, EHM_NO_DECAY, 1, &dim, EHM_INIT_ONE, 0, 0, 0, NULL);
    snprintf(full, sizeof full, "%s.bias", name);
    n->bias = ehm_params_add(ps, full, EHM_NO_DECAY, 1, &dim, EHM_INIT_ZERO, 0, 0, 0, NULL);
}

/* Statistics of the rows that are there: the cache is planned for the largest batch. */
static ehm_view stat(ehm_view v, ehm_view x) {
    v.rank = 1, v.dim[0] = ehm_view_count(x) / x.dim[x.rank - 1];
    return v;
}

void ehm_norm_layer_fwd(ehm_dev *d, ehm_view out, const ehm_norm_cache *c, ehm_view x, const ehm_norm *n,
                        const ehm_weights *w) {
    ehm_norm_fwd(d, &(ehm_norm_fwd_args){.out = out,
                                         .mean = stat(c->mean, x),
                                         .rstd = stat(c->rstd, x),
                                         .x = x,
                                         .weight = ehm_weight(w, n->weight),
                                         .bias = ehm_weight(w, n->bias),
                                         .eps = EHM_LAYER_NORM_EPS});
}

void ehm_norm_layer_bwd(ehm_dev *d, ehm_view dx, bool accumulate, ehm_view dout, ehm_view x,
                        const ehm_norm_cache *c, const ehm_norm *n, const ehm_weights *w,
                        const ehm_grads *g) {
    ehm_norm_bwd(d, &(ehm_norm_bwd_args){.dx = dx,
                                         .dweight = ehm_grad(g, n->weight),
                                         .dbias = ehm_grad(g, n->bias),
                                         .dout = dout,
                                         .x = x,
                                         .mean = stat(c->mean, x),
                                         .rstd = stat(c->rstd, x),
                                         .weight = ehm_weight(w, n->weight),
                                         .accumulate_dx = accumulate});
}
