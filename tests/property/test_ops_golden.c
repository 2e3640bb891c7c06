/* The ops against PyTorch, and NumPy where torch has no such thing: values that we did not compute. */
#include "ops_golden.h"

static void linear(one *o) {
    begin(o, EHM_OP_matmul);
    out(o, "linear.out", NAN, 5, 7, 0);
    in(o, "linear.a", T_REAL, 5, 12, 0), in(o, "linear.w", T_REAL, 7, 12, 0), in(o, "linear.bias", T_REAL, 7, 0, 0), in(o, "linear.add", T_REAL, 5, 7, 0);
    o->c.b[1] = true;
    run(o, call_matmul);
    begin(o, EHM_OP_matmul);
    out(o, "linear.da", NAN, 5, 12, 0);
    in(o, "linear.dout", T_REAL, 5, 7, 0), in(o, "linear.w", T_REAL, 7, 12, 0), arg0(&o->c, "bias"), arg0(&o->c, "add");
    run(o, call_matmul);
    begin(o, EHM_OP_matmul);
    out(o, "linear.dw", 0.5, 7, 12, 0);
    in(o, "linear.dout", T_REAL, 5, 7, 0), in(o, "linear.a", T_REAL, 5, 12, 0), arg0(&o->c, "bias"), arg0(&o->c, "add");
    o->c.b[0] = o->c.b[2] = true;
    run(o, call_matmul);
    begin(o, EHM_OP_colsum);
    out(o, "linear.dbias", 0.5, 7, 0, 0);
    in(o, "linear.dout", T_REAL, 5, 7, 0);
    o->c.b[0] = true;
    run(o, call_colsum);
}

static void norm(one *o) {
    begin(o, EHM_OP_norm_fwd);
    out(o, "norm.out", NAN, 6, 20, 0), out(o, "norm.mean", NAN, 6, 0, 0), out(o, "norm.rstd", NAN, 6, 0, 0);
    in(o, "norm.x", T_REAL, 6, 20, 0), in(o, "norm.weight", T_REAL, 20, 0, 0), in(o, "norm.bias", T_REAL, 20, 0, 0);
    o->c.f[0] = (double)1e-6f;
    run(o, call_norm_fwd);
    for (int add = 0; add < 2; add++) {
        begin(o, EHM_OP_norm_bwd);
        out(o, "norm.dx", add ? 0.5 : NAN, 6, 20, 0), out(o, "norm.dweight", 0.5, 20, 0, 0), out(o, "norm.dbias", -2, 20, 0, 0);
        in(o, "norm.dout", T_REAL, 6, 20, 0), in(o, "norm.x", T_REAL, 6, 20, 0), in(o, "norm.mean", T_REAL, 6, 0, 0);
        in(o, "norm.rstd", T_REAL, 6, 0, 0), in(o, "norm.weight", T_REAL, 20, 0, 0);
        o->c.b[0] = add;
        run(o, call_norm_bwd);
    }
}

static void gelu(one *o) {
    begin(o, EHM_OP_gelu_fwd);
    out(o, "gelu.out", NAN, 45, 0, 0), in(o, "gelu.x", T_REAL, 45, 0, 0);
    run(o, call_gelu_fwd);
    begin(o, EHM_OP_gelu_bwd);
    out(o, "gelu.dx", NAN, 45, 0, 0), in(o, "gelu.dout", T_REAL, 45, 0, 0), in(o, "gelu.x", T_REAL, 45, 0, 0);
    run(o, call_gelu_bwd);
}

static void attn(one *o) {
    begin(o, EHM_OP_attn_fwd);
    out(o, "attn.out", NAN, 2, 7, 12), out(o, "attn.lse", NAN, 2, 3, 7), in(o, "attn.qkv", T_REAL, 2, 7, 36);
    o->c.i[0] = 3, o->c.f[0] = 0.5;
    run(o, call_attn_fwd);
    begin(o, EHM_OP_attn_bwd);
    out(o, "attn.dqkv", NAN, 2, 7, 36), in(o, "attn.dout", T_REAL, 2, 7, 12), in(o, "attn.qkv", T_REAL, 2, 7, 36);
    in(o, "attn.out", T_REAL, 2, 7, 12), in(o, "attn.lse", T_REAL, 2, 3, 7);
    o->c.i[0] = 3, o->c.f[0] = 0.5;
    run(o, call_attn_bwd);
    begin(o, EHM_OP_attn_probs);
    add_arg(&o->c, "attn.probs", OUT, T_REAL, 0, 4, 2, 3, 7, 7), in(o, "attn.qkv", T_REAL, 2, 7, 36);
    o->c.i[0] = 3, o->c.f[0] = 0.5, o->c.b[0] = true;
    run(o, call_attn_probs);
    begin(o, EHM_OP_attn_probs);
    out(o, "attn.mean", NAN, 2, 7, 7), in(o, "attn.qkv", T_REAL, 2, 7, 36);
    o->c.i[0] = 3, o->c.f[0] = 0.5;
    run(o, call_attn_probs);
}

static void patches(one *o) {
    begin(o, EHM_OP_patchify);
    out(o, "patch.patches", NAN, 2, 4, 48);
    fill_from(o, add_arg(&o->c, "patch.pixels", IN, T_U8, 0, 4, 2, 8, 8, 3), "patch.pixels");
    in(o, "patch.shift", T_REAL, 3, 0, 0), in(o, "patch.scale", T_REAL, 3, 0, 0);
    o->c.i[0] = 4;
    run(o, call_patchify);
    begin(o, EHM_OP_gather_rows);
    out(o, "patch.picked", NAN, 2, 3, 48), in(o, "patch.patches", T_REAL, 2, 4, 48), in(o, "patch.idx", T_I32, 2, 3, 0);
    run(o, call_gather_rows);
    /* Picked in a convolution's order (c, y, x) and multiplied by its weights: what the convolution gives. */
    begin(o, EHM_OP_gather_rows);
    op_arg_case *turned = add_arg(&o->c, "turned", OUT, T_REAL, 0, 3, 2, 3, 48, 0);
    in(o, "patch.patches", T_REAL, 2, 4, 48), in(o, "patch.idx", T_I32, 2, 3, 0);
    o->c.i[0] = 4;
    o->c.call = call_gather_rows;
    double rows[288];
    if (!case_run(&o->c, o->d)) return;
    memcpy(rows, turned->got, sizeof rows);
    begin(o, EHM_OP_matmul);
    out(o, "patch.embedded", NAN, 6, 6, 0);
    memcpy(arg2(&o->c, "a", IN, T_REAL, 0, 6, 48)->v, rows, sizeof rows);
    in(o, "patch.weight", T_REAL, 6, 48, 0), arg0(&o->c, "bias"), arg0(&o->c, "add");
    o->c.b[1] = true;
    run(o, call_matmul);
}

static void target(one *o) {
    begin(o, EHM_OP_pixel_target);
    out(o, "target.target", NAN, 2, 3, 48), in(o, "patch.patches", T_REAL, 2, 4, 48), in(o, "patch.idx", T_I32, 2, 3, 0);
    o->c.b[0] = true;
    run(o, call_pixel_target);
    begin(o, EHM_OP_mse);
    out(o, "target.row_loss", NAN, 6, 0, 0), out(o, "target.dpred", NAN, 6, 48, 0);
    in(o, "target.pred", T_REAL, 6, 48, 0), in(o, "target.target", T_REAL, 6, 48, 0);
    for (int i = 0; i < 288; i++) o->c.t[3].v[i] = round_to(o->c.t[3].v[i], EHM_F32);
    o->c.f[0] = 1.0 / 6;
    run(o, call_mse);
    begin(o, EHM_OP_sum);
    out(o, "target.loss", NAN, 1, 0, 0), in(o, "target.row_loss", T_REAL, 6, 0, 0);
    o->c.f[0] = 1.0 / 6;
    run(o, call_sum);
}

static void route(one *o) {
    begin(o, EHM_OP_route_fwd);
    out(o, "route.out", NAN, 2, 7, 5), in(o, "route.x", T_REAL, 2, 3, 5), in(o, "route.token", T_REAL, 1, 5, 0);
    in(o, "route.pos", T_REAL, 7, 5, 0), in(o, "route.src", T_I32, 2, 7, 0), arg0(&o->c, "pos_idx");
    run(o, call_route_fwd);
    begin(o, EHM_OP_route_bwd);
    out(o, "route.dx", NAN, 2, 3, 5), out(o, "route.dtoken", 0.5, 1, 5, 0), out(o, "route.dpos", -2, 7, 5, 0);
    in(o, "route.dout", T_REAL, 2, 7, 5), in(o, "route.src", T_I32, 2, 7, 0), arg0(&o->c, "pos_idx");
    run(o, call_route_bwd);
}

static void optimiser(one *o) {
    double p[30], m[30] = {0}, v[30] = {0};
    memcpy(p, find(o->g, "adamw.p0")->v, sizeof p);
    for (int t = 1; t <= 3; t++) {
        char g[16], p_name[16], norm_name[16], factor_name[16], sumsq_name[16];
        snprintf(g, 16, "adamw.g%d", t), snprintf(p_name, 16, "adamw.p%d", t), snprintf(norm_name, 16, "adamw.norm%d", t);
        snprintf(factor_name, 16, "adamw.factor%d", t), snprintf(sumsq_name, 16, "adamw.sumsq%d", t);
        begin(o, EHM_OP_sumsq);
        out(o, sumsq_name, 0.5, 1, 0, 0), in(o, g, T_REAL, 30, 0, 0);
        o->c.b[0] = true;
        run(o, call_sumsq);
        begin(o, EHM_OP_clip_factor);
        out(o, factor_name, NAN, 1, 0, 0), out(o, norm_name, NAN, 1, 0, 0), in(o, sumsq_name, T_REAL, 1, 0, 0);
        o->c.f[0] = 3, o->c.f[1] = 1;
        run(o, call_clip_factor);
        begin(o, EHM_OP_adamw);
        static const double f[6] = {1e-2, 0.9, 0.95, 1e-8, 0.05};
        memcpy(o->c.f, f, sizeof f);
        o->c.i[0] = t;
        op_arg_case *ap = arg1(&o->c, "p", INOUT, T_REAL, 0, 30);
        in(o, g, T_REAL, 30, 0, 0);
        op_arg_case *am = arg1(&o->c, "m", INOUT, T_REAL, 0, 30), *av = arg1(&o->c, "v", INOUT, T_REAL, 0, 30);
        memcpy(ap->v, p, sizeof p), memcpy(am->v, m, sizeof m), memcpy(av->v, v, sizeof v);
        in(o, factor_name, T_REAL, 1, 0, 0), arg0(&o->c, "p_act");
        o->c.call = call_adamw;
        if (!case_run(&o->c, o->d)) return;
        memcpy(p, ap->got, sizeof p), memcpy(m, am->got, sizeof m), memcpy(v, av->got, sizeof v);
        double bound = ehm_dev_real(o->d) == EHM_F64 ? 1e-8 : ehm_op_table[EHM_OP_adamw].tol_f32;
        for (int i = 0; i < 30; i++) CHECK_NEAR(p[i], find(o->g, p_name)->v[i], 3 * bound);
    }
    for (int i = 0; i < 30; i++) CHECK_NEAR(m[i], find(o->g, "adamw.m3")->v[i], 1e-7);
    for (int i = 0; i < 30; i++) CHECK_NEAR(v[i], find(o->g, "adamw.v3")->v[i], 1e-7);
}

static void affinity_patches(one *o) {
    begin(o, EHM_OP_attn_patches);
    out(o, "patches.rows", NAN, 2, 5, 5), out(o, "patches.cls", NAN, 2, 5, 0), in(o, "patches.probs", T_REAL, 2, 6, 6);
    o->c.f[0] = (double)0.6f, o->c.b[0] = true;
    run(o, call_attn_patches);
    begin(o, EHM_OP_attn_patches);
    out(o, "patches.raw", -2, 2, 5, 5), arg0(&o->c, "cls"), in(o, "patches.probs", T_REAL, 2, 6, 6);
    o->c.f[0] = (double)0.6f, o->c.b[1] = true;
    run(o, call_attn_patches);
}

static void affinity_mean(one *o) {
    double mean[10] = {0}, count = 0;
    for (int t = 1; t <= 3; t++) {
        char x[16], name[16];
        snprintf(x, 16, "mean.x%d", t), snprintf(name, 16, "mean.mean%d", t);
        begin(o, EHM_OP_running_mean);
        op_arg_case *m = arg2(&o->c, "mean", INOUT, T_REAL, 0, 2, 5), *n = arg1(&o->c, "count", INOUT, T_REAL, 0, 1);
        memcpy(m->v, mean, sizeof mean), n->v[0] = count;
        in(o, x, T_REAL, 3, 2, 5);
        o->c.f[0] = (double)0.9f, o->c.call = call_running_mean;
        if (!case_run(&o->c, o->d)) return;
        memcpy(mean, m->got, sizeof mean), count = n->got[0];
        CHECK_NEAR(count, t, 0);
        for (int i = 0; i < 10; i++) CHECK_NEAR(mean[i], find(o->g, name)->v[i], ehm_dev_real(o->d) == EHM_F64 ? 1e-9 : 2e-7);
    }
}

static void affinity_similarity(one *o) {
    for (int add = 0; add < 2; add++) {
        begin(o, EHM_OP_attn_profile);
        out(o, "profile.s", add ? 0.5 : NAN, 2, 5, 5);
        fill_from(o, add_arg(&o->c, "profile.x", OUT, T_REAL, 0, 4, 2, 3, 5, 5), "profile.a"); /* in place */
        in(o, "profile.mean", T_REAL, 3, 5, 5);
        o->c.f[0] = (double)0.6f, o->c.b[1] = add;
        run(o, call_attn_profile);
        for (int even = 0; even < 2; even++) {
            begin(o, EHM_OP_attn_direct);
            out(o, even ? "direct.even" : "direct.s", add ? 0.5 : NAN, 2, 5, 5);
            fill_from(o, add_arg(&o->c, "profile.a", IN, T_REAL, 0, 4, 2, 3, 5, 5), "profile.a");
            o->c.f[0] = (double)0.6f, o->c.b[0] = even, o->c.b[1] = add;
            run(o, call_attn_direct);
        }
    }
}

#define FILE_NAME "tests/golden/ops/ops.txt"
static void everywhere(void (*body)(one *o)) { golden_everywhere(FILE_NAME, body); }
TEST(ops, torch_linear) { everywhere(linear); }
TEST(ops, torch_layer_norm) { everywhere(norm); }
TEST(ops, torch_gelu) { everywhere(gelu); }
TEST(ops, torch_attention) { everywhere(attn); }
TEST(ops, torch_patches) { everywhere(patches); }
TEST(ops, torch_norm_pix_and_mse) { everywhere(target); }
TEST(ops, torch_mae_routing) { everywhere(route); }
TEST(ops, torch_clip_and_adamw) { everywhere(optimiser); }
TEST(ops, numpy_patches) { everywhere(affinity_patches); }
TEST(ops, numpy_running_mean) { everywhere(affinity_mean); }
TEST(ops, numpy_similarity) { everywhere(affinity_similarity); }

/* bf16: ties to even, subnormals kept, too large becomes infinity; and back without loss. */
TEST(ops, torch_bf16) {
    static const char *const names[] = {"ref", "cpu"};
    golden g;
    ehm_err err = {0};
    golden_read(&g, FILE_NAME);
    const tensor *x = find(&g, "bf16.x"), *want = find(&g, "bf16.out");
    for (int k = 0; k < 2; k++) {
        ehm_dev *d;
        if (ehm_dev_open(&d, names[k], 1, &err) == EHM_E_UNSUPPORTED) {
            ehm_err_clear(&err);
            continue;
        }
        op_case c = {.op = EHM_OP_cast, .act = EHM_BF16, .call = call_cast};
        op_arg_case *y = arg1(&c, "out", OUT, T_ACT, 0, x->n);
        memcpy(arg1(&c, "x", IN, T_REAL, 0, x->n)->v, x->v, (size_t)x->n * sizeof(double));
        if (case_run(&c, d))
            for (int64_t i = 0; i < x->n; i++)
                if (y->got[i] != (double)(float)want->v[i])
                    ehm_test_fail(__FILE__, __LINE__, "%s: bf16 of %.10g is %.10g, torch has %.10g", names[k], x->v[i], y->got[i], want->v[i]);
        case_free(&c);
        ehm_dev_close(d);
    }
    ehm_arena_free(&g.a);
}
