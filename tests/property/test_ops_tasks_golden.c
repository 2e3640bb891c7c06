/* The ops of downstream tasks against PyTorch and torchvision: resizing, RoIAlign and pooling as sums of rows, stochastic depth,
 * cross-entropy, focal loss, generalised IoU. */
#include "ops_golden.h"

static const char *of(char text[32], const char *group, const char *name) {
    snprintf(text, 32, "%s.%s", group, name);
    return text;
}
/* idx and weight (where there is one), for rows of k; per picture where b is given. */
static void sums(one *o, const char *group, int64_t b, int64_t r, int64_t k, bool weight) {
    char text[32];
    if (b) in(o, of(text, group, "idx"), T_I32, b, r, k);
    else in(o, of(text, group, "idx"), T_I32, r, k, 0);
    if (!weight) arg0(&o->c, "weight");
    else if (b) in(o, of(text, group, "weight"), T_REAL, b, r, k);
    else in(o, of(text, group, "weight"), T_REAL, r, k, 0);
}
static void mixed(one *o, const char *group, int64_t n, int64_t r, int64_t c, int64_t k, bool per_picture, bool weight) {
    char text[5][32];
    begin(o, EHM_OP_mix_rows_fwd);
    out(o, of(text[0], group, "out"), NAN, 2, r, c), in(o, of(text[1], group, "x"), T_REAL, 2, n, c);
    sums(o, group, per_picture ? 2 : 0, r, k, weight);
    run(o, call_mix_rows_fwd);
    for (int add = 0; add < 2; add++) {
        begin(o, EHM_OP_mix_rows_bwd);
        out(o, of(text[2], group, "dx"), add ? 0.5 : NAN, 2, n, c), in(o, of(text[3], group, "dout"), T_REAL, 2, r, c);
        sums(o, group, per_picture ? 2 : 0, r, k, weight);
        o->c.b[0] = add;
        run(o, call_mix_rows_bwd);
    }
}
static void bilinear(one *o) {
    mixed(o, "up", 12, 42, 5, 4, false, true);
    mixed(o, "down", 30, 8, 5, 4, false, true);
}
static void roi_align(one *o) { mixed(o, "roi", 30, 8, 3, 16, true, true); }
static void pool(one *o) { mixed(o, "pool", 12, 12, 4, 9, false, false); }

static void depth(one *o) {
    begin(o, EHM_OP_add_scaled);
    out(o, "depth.out", NAN, 3, 2, 5), in(o, "depth.x", T_REAL, 3, 2, 5), in(o, "depth.y", T_REAL, 3, 2, 5), in(o, "depth.s", T_REAL, 3, 0, 0);
    run(o, call_add_scaled);
    begin(o, EHM_OP_scale_samples);
    out(o, "depth.dy", NAN, 3, 2, 5), in(o, "depth.dout", T_REAL, 3, 2, 5), in(o, "depth.s", T_REAL, 3, 0, 0);
    run(o, call_scale_samples);
}

static void cross_entropy(one *o) {
    static const char *const groups[] = {"soft", "hard", "weighted"};
    char text[2][32];
    for (int k = 0; k < 3; k++) {
        begin(o, EHM_OP_xent);
        out(o, of(text[0], groups[k], "dlogits"), NAN, 6, 9, 0), out(o, of(text[1], groups[k], "row_loss"), NAN, 6, 0, 0);
        in(o, "soft.logits", T_REAL, 6, 9, 0);
        if (k) arg0(&o->c, "target"), in(o, "hard.labels", T_I32, 6, 0, 0);
        else in(o, "soft.target", T_REAL, 6, 9, 0), arg0(&o->c, "labels");
        if (k == 2) in(o, "weighted.class_weight", T_REAL, 9, 0, 0);
        else arg0(&o->c, "class_weight");
        o->c.f[0] = (double)0.3f;
        run(o, call_xent);
    }
}

static void focal(one *o) {
    static const struct { const char *name, *target; double gamma, alpha; } how[] = {
        {"usual", "focal.hard", 2, 0.25}, {"soft", "focal.soft", 1.5, 0.75}, {"bce", "focal.soft", 0, -1}, {"half", "focal.hard", 1, -1}};
    char text[2][32];
    for (int k = 0; k < 4; k++) {
        begin(o, EHM_OP_focal);
        snprintf(text[0], 32, "focal.%s_loss", how[k].name), snprintf(text[1], 32, "focal.%s_dx", how[k].name);
        out(o, text[0], NAN, 5, 0, 0), out(o, text[1], NAN, 5, 7, 0), in(o, "focal.x", T_REAL, 5, 7, 0);
        in(o, how[k].target, T_REAL, 5, 7, 0), in(o, "focal.weight", T_REAL, 5, 0, 0);
        o->c.f[0] = (double)0.3f, o->c.f[1] = how[k].gamma, o->c.f[2] = how[k].alpha;
        run(o, call_focal);
    }
}

static void giou(one *o) {
    begin(o, EHM_OP_giou);
    out(o, "giou.row_loss", NAN, 8, 0, 0), out(o, "giou.dx", NAN, 8, 4, 0), in(o, "giou.x", T_REAL, 8, 4, 0);
    in(o, "giou.target", T_REAL, 8, 4, 0), in(o, "giou.weight", T_REAL, 8, 0, 0);
    o->c.f[0] = (double)0.3f;
    run(o, call_giou);
}

#define FILE_NAME "tests/golden/ops2/ops2.txt"
TEST(ops, torch_bilinear) { golden_everywhere(FILE_NAME, bilinear); }
TEST(ops, torchvision_roi_align) { golden_everywhere(FILE_NAME, roi_align); }
TEST(ops, torch_pool) { golden_everywhere(FILE_NAME, pool); }
TEST(ops, torch_stochastic_depth) { golden_everywhere(FILE_NAME, depth); }
TEST(ops, torch_cross_entropy) { golden_everywhere(FILE_NAME, cross_entropy); }
TEST(ops, torchvision_focal) { golden_everywhere(FILE_NAME, focal); }
TEST(ops, torchvision_giou) { golden_everywhere(FILE_NAME, giou); }
