#include "net/layer.h"
#include <stdio.h>

void ehm_grads_plan(ehm_grads *g, const ehm_params *ps, ehm_plan *plan) {
    *g = (ehm_grads){.params = ps};
    for (int32_t i = 0; i < 2; i++)
        if (ps->group_count[i])
            g->flat[i] = ehm_plan_1d(plan, EHM_MEM_GRAD, NULL, ehm_dev_real(plan->dev), ps->group_count[i]);
}

ehm_view ehm_grad(const ehm_grads *g, int32_t i) {
    const ehm_param *p = &g->params->item[i];
    ehm_view flat = g->flat[p->group];
    return ehm_view_of(flat.buf, flat.offset + p->offset, flat.dtype, p->rank, p->dim);
}

ehm_view ehm_grad_matrix(const ehm_grads *g, int32_t i) {
    const ehm_param *p = &g->params->item[i];
    return ehm_view_reshape(ehm_grad(g, i), 2, (int64_t[]){p->dim[0], p->count / p->dim[0]});
}

ehm_view ehm_fit2(ehm_view v, int64_t r, int64_t c) {
    EHM_ASSERT(r * c <= ehm_view_count(v));
    v.rank = 2, v.dim[0] = r, v.dim[1] = c;
    return v;
}

ehm_view ehm_fit3(ehm_view v, int64_t b, int64_t n, int64_t c) {
    EHM_ASSERT(b * n * c <= ehm_view_count(v));
    v.rank = 3, v.dim[0] = b, v.dim[1] = n, v.dim[2] = c;
    return v;
}

ehm_view ehm_rows(ehm_view v, int64_t c) {
    return ehm_view_reshape(v, 2, (int64_t[]){ehm_view_count(v) / c, c});
}

void ehm_linear_add(ehm_linear *l, ehm_params *ps, const char *name, int64_t n_out, int64_t n_in) {
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    l->weight = ehm_params_add(ps, full, EHM_DECAY, 2, (int64_t[]){n_out, n_in}, EHM_INIT_XAVIER, 0, n_in,
                               n_out, NULL);
    snprintf(full, sizeof full, "%s.bias", name);
    l->bias = ehm_params_add(ps, full, EHM_NO_DECAY, 1, &n_out, EHM_INIT_ZERO, 0, 0, 0, NULL);
}

void ehm_linear_add_normal(ehm_linear *l, ehm_params *ps, const char *name, int64_t n_out, int64_t n_in,
                           double std, double bias) {
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    l->weight = ehm_params_add(ps, full, EHM_DECAY, 2, (int64_t[]){n_out, n_in}, EHM_INIT_NORMAL, std, 0,
                               0, NULL);
    snprintf(full, sizeof full, "%s.bias", name);
    l->bias = ehm_params_add(ps, full, EHM_NO_DECAY, 1, &n_out, EHM_INIT_CONST, bias, 0, 0, NULL);
}

void ehm_linear_fwd(ehm_dev *d, ehm_view out, ehm_view x, const ehm_linear *l, const ehm_weights *w,
                    ehm_view add) {
    ehm_matmul(d, &(ehm_matmul_args){.out = out,
                                     .a = x,
                                     .b = ehm_weight_act(w, l->weight),
                                     .bias = ehm_weight(w, l->bias),
                                     .add = add,
                                     .trans_b = true,
                                     .weight_b = true});
}

void ehm_linear_bwd(ehm_dev *d, ehm_view dx, ehm_view dout, ehm_view dout_bias, ehm_view x,
                    const ehm_linear *l, const ehm_weights *w, const ehm_grads *g) {
    ehm_matmul(
        d, &(ehm_matmul_args){
               .out = ehm_grad_matrix(g, l->weight), .a = dout, .b = x, .trans_a = true, .accumulate = true});
    ehm_colsum(d, &(ehm_colsum_args){.out = ehm_grad(g, l->bias), .x = dout_bias, .accumulate = true});
    if (dx.rank)
        ehm_matmul(
            d, &(ehm_matmul_args){.out = dx, .a = dout, .b = ehm_weight_act(w, l->weight), .weight_b = true});
}
