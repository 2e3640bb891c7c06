/* The whole model's gradient against central differences, in double. */
#include "mae_golden.h"

static void put_f64(golden *g, const ehm_param *p, int64_t i, double v) {
    ehm_view flat = ehm_method_weights(g->m)->flat[p->group];
    ehm_upload(g->d, ehm_view_of(flat.buf, flat.offset + p->offset + i, EHM_F64, 1, (int64_t[]){1}), &v,
               sizeof v);
    ehm_dev_weights_changed(g->d);
}

static double loss_at(golden *g, const ehm_param *p, int64_t i, double v) {
    put_f64(g, p, i, v);
    ehm_method_fwd(g->m, g->d);
    return golden_loss(g);
}

static void check_case(int32_t i_case) {
    golden g;
    ehm_err err = {0};
    golden_open(&g, i_case, "ref64", EHM_F64, true);
    golden_masks(&g, 0);
    REQUIRE_OK(ehm_method_load_masks(g.m, g.d, &g.batch, g.visible, g.masked, g.n_visible, &err), &err);
    ehm_method_fwd(g.m, g.d);
    ehm_method_bwd(g.m, g.d, 1);
    REQUIRE_OK(ehm_dev_check(g.d, &err), &err);
    double want = *(const double *)golden_get(&g, "loss")->data;
    CHECK_NEAR(golden_loss(&g), want, 1e-6 * want); /* scalars of the ops are floats, so not nearer */
    const ehm_params *ps = ehm_method_params(g.m);
    for (int32_t k = 0; k < ps->n; k++) {
        const ehm_param *p = &ps->item[k];
        if (p->group == EHM_FROZEN) continue;
        ehm_view wf = ehm_method_weights(g.m)->flat[p->group], gf = ehm_method_grad(g.m, p->group);
        double *w = malloc((size_t)p->count * sizeof *w), *dw = malloc((size_t)p->count * sizeof *dw),
               norm = 0;
        golden_down(g.d, w, ehm_view_of(wf.buf, wf.offset + p->offset, wf.dtype, 1, &p->count));
        golden_down(g.d, dw, ehm_view_of(gf.buf, gf.offset + p->offset, gf.dtype, 1, &p->count));
        for (int64_t i = 0; i < p->count; i++) norm += dw[i] * dw[i];
        norm = sqrt(norm / (double)p->count);
        ehm_rng rng = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 0, (uint64_t)k);
        for (int32_t probe = 0; probe < 3; probe++) {
            int64_t i = (int64_t)ehm_rng_below64(&rng, (uint64_t)p->count);
            double h = 1e-5, up = loss_at(&g, p, i, w[i] + h), down = loss_at(&g, p, i, w[i] - h),
                   numeric = (up - down) / (2 * h);
            put_f64(&g, p, i, w[i]);
            if (!(fabs(numeric - dw[i]) <= 1e-6 * fabs(dw[i]) + 1e-6 * norm + 1e-10))
                ehm_test_fail(__FILE__, __LINE__,
                              "%s[%lld]: gradient %.12g, by differences %.12g (SEED=%llu)", p->name,
                              (long long)i, dw[i], numeric, (unsigned long long)ehm_test_seed());
        }
        free(w), free(dw);
    }
    golden_close(&g);
}

TEST(gradient_check, rect_norm_pix) { check_case(0); }
TEST(gradient_check, grey_raw_pixels) { check_case(1); }

/* Backward adds, and scales: twice with half the scale is once. */
TEST(gradient_check, accumulates) {
    golden g;
    ehm_err err = {0};
    golden_open(&g, 0, "ref64", EHM_F64, true);
    golden_masks(&g, 0);
    REQUIRE_OK(ehm_method_load_masks(g.m, g.d, &g.batch, g.visible, g.masked, g.n_visible, &err), &err);
    int64_t n = ehm_view_count(ehm_method_grad(g.m, 0));
    double *once = malloc((size_t)n * sizeof *once), *twice = malloc((size_t)n * sizeof *twice), worst = 0;
    ehm_method_fwd(g.m, g.d);
    ehm_method_bwd(g.m, g.d, 1);
    golden_down(g.d, once, ehm_method_grad(g.m, 0));
    ehm_fill(g.d, &(ehm_fill_args){.x = ehm_method_grad(g.m, 0), .value = 0});
    for (int32_t i = 0; i < 2; i++) {
        ehm_method_fwd(g.m, g.d);
        ehm_method_bwd(g.m, g.d, 0.5f);
    }
    golden_down(g.d, twice, ehm_method_grad(g.m, 0));
    for (int64_t i = 0; i < n; i++) worst = fmax(worst, fabs(once[i] - twice[i]));
    CHECK(worst < 1e-7);
    CHECK(once[0] != 0);
    REQUIRE_OK(ehm_dev_check(g.d, &err), &err);
    free(once), free(twice);
    golden_close(&g);
}
