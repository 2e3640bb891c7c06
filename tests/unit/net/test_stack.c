/* Blocks with branches that may be dropped, with gradients that join on the way and with blocks that are
 * frozen: against differences, in double; and the encoder's stream for heads. */
#include "harness.h"
#include "net/layer_grid.h"
#include "net/vit.h"

enum {
    BLOCKS = 3,
    WIDTH = 8,
    HEADS = 2,
    MLP = 16,
    BATCH = 4,
    B = 3,
    N = 5,
    COUNT = B * N * WIDTH,
    JOINED = 1
};

typedef struct {
    ehm_dev *d;
    ehm_arena a;
    ehm_plan plan;
    ehm_params ps;
    ehm_weights w;
    ehm_grads g;
    ehm_stack stack;
    ehm_stack_pass pass;
    ehm_view dx, djoin;
    double x[COUNT], c[COUNT],
        c_join[COUNT]; /* input; what the loss weighs the output with, and that of block JOINED */
} net;

static void plan_all(net *n, ehm_plan *plan) {
    ehm_dtype real = ehm_dev_real(plan->dev);
    ehm_weights_plan(&n->w, &n->ps, plan, EHM_MEM_PARAM, "", n->pass.act);
    ehm_grads_plan(&n->g, &n->ps, plan);
    n->dx = ehm_plan_3d(plan, EHM_MEM_SCRATCH, NULL, real, B, N, WIDTH);
    n->djoin = ehm_plan_3d(plan, EHM_MEM_SCRATCH, NULL, real, B, N, WIDTH);
    ehm_stack_pass_plan_fwd(&n->pass, plan);
    ehm_stack_pass_plan_blocks(&n->pass, plan);
    if (n->pass.train) ehm_stack_pass_plan_bwd(&n->pass, plan);
}

static void put(net *n, ehm_view v, const double *x, int64_t count) {
    REQUIRE(ehm_view_count(v) == count);
    if (v.dtype == EHM_F64) {
        ehm_upload(n->d, v, x, (size_t)count * sizeof *x);
        return;
    }
    float *f = malloc((size_t)count * sizeof *f);
    for (int64_t i = 0; i < count; i++) f[i] = (float)x[i];
    ehm_upload(n->d, v, f, (size_t)count * sizeof *f);
    free(f);
}

static double *down(net *n, ehm_view v) {
    int64_t count = ehm_view_count(v);
    double *x = malloc((size_t)count * sizeof *x);
    if (v.dtype == EHM_F64) {
        ehm_download(n->d, x, v, (size_t)count * sizeof *x);
        return x;
    }
    float *f = malloc((size_t)count * sizeof *f);
    ehm_download(n->d, f, v, (size_t)count * sizeof *f);
    for (int64_t i = 0; i < count; i++) x[i] = f[i];
    free(f);
    return x;
}

/* Parameters away from their start, so that no gradient is 0 by chance. */
static void shake(net *n) {
    for (int32_t i = 0; i < n->ps.n; i++) {
        ehm_rng rng = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 1, (uint64_t)i);
        ehm_view v = ehm_weight(&n->w, i);
        int64_t count = ehm_view_count(v);
        double *x = malloc((size_t)count * sizeof *x);
        for (int64_t k = 0; k < count; k++) x[k] = 0.4 * ehm_rng_normal(&rng);
        put(n, v, x, count);
        free(x);
    }
    ehm_weights_refresh(&n->w, n->d);
}

static void net_open(net *n, const char *device, ehm_dtype act, bool train, bool drop_path) {
    ehm_err err = {0};
    ehm_rng rng = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 2, 0);
    memset(n, 0, sizeof *n);
    REQUIRE_OK(ehm_dev_open(&n->d, device, 2, &err), &err);
    REQUIRE(ehm_stack_add(&n->stack, &n->ps, &n->a, "blocks", BLOCKS, WIDTH, HEADS, MLP));
    REQUIRE(ehm_stack_pass_open(&n->pass, &n->stack, BATCH, N, train, act, &n->a));
    n->pass.drop_path = drop_path;
    ehm_plan_begin(&n->plan, n->d);
    plan_all(n, &n->plan);
    REQUIRE_OK(ehm_plan_commit(&n->plan, &err), &err);
    plan_all(n, &n->plan);
    REQUIRE_OK(ehm_plan_end(&n->plan, &err), &err);
    shake(n);
    for (int32_t i = 0; i < COUNT; i++)
        n->x[i] = ehm_rng_normal(&rng), n->c[i] = ehm_rng_normal(&rng), n->c_join[i] = ehm_rng_normal(&rng);
}

static void net_close(net *n) {
    ehm_plan_free(&n->plan);
    ehm_params_free(&n->ps);
    ehm_dev_close(n->d);
    ehm_arena_free(&n->a);
}

static void put_keep(net *n, const float *keep) {
    ehm_put_reals(n->d, n->pass.keep, keep, (int64_t)BLOCKS * 2 * B);
}

static void forward(net *n) {
    ehm_err err = {0};
    put(n, ehm_stack_in(&n->pass, B, N), n->x, COUNT);
    ehm_stack_fwd(n->d, &n->pass, &n->w, B, N, NULL);
    REQUIRE_OK(ehm_dev_check(n->d, &err), &err);
}

static double loss(net *n) {
    forward(n);
    double *y = down(n, ehm_stack_out(&n->pass, B, N)),
           *z = down(n, ehm_fit3(n->pass.x[JOINED + 1], B, N, WIDTH)), s = 0;
    for (int32_t i = 0; i < COUNT; i++) s += n->c[i] * y[i] + n->c_join[i] * z[i];
    free(y), free(z);
    return s;
}

static void join(void *ctx, ehm_dev *d, int32_t i_block, ehm_view dx) {
    net *n = ctx;
    if (i_block == JOINED) ehm_axpby(d, &(ehm_axpby_args){.out = dx, .x = n->djoin, .a = 1, .b = 1});
}

static void backward(net *n, int32_t first_block) {
    ehm_err err = {0};
    put(n, n->dx, n->c, COUNT), put(n, n->djoin, n->c_join, COUNT);
    ehm_stack_bwd_with(n->d, &n->pass, n->dx, &n->w, &n->g, B, N,
                       &(ehm_stack_bwd_opt){.first_block = first_block, .join = join, .ctx = n});
    REQUIRE_OK(ehm_dev_check(n->d, &err), &err);
}

static void near(const char *what, int64_t i, double analytic, double numeric) {
    if (!(fabs(analytic - numeric) <= 2e-6 * fabs(analytic) + 2e-7))
        ehm_test_fail(__FILE__, __LINE__, "%s[%lld]: gradient %.12g, by differences %.12g (SEED=%llu)", what,
                      (long long)i, analytic, numeric, (unsigned long long)ehm_test_seed());
}

static double moved_weight(net *n, int32_t i_param, int64_t i, double v) {
    ehm_view at = ehm_weight(&n->w, i_param);
    at.offset += i, at.rank = 1, at.dim[0] = 1;
    put(n, at, &v, 1);
    ehm_dev_weights_changed(n->d);
    return loss(n);
}

static void check_gradients(bool drop_path) {
    /* Block, half: pictures that keep, double or lose it. */
    static const float keep[BLOCKS * 2 * B] = {1,     1, 0,     1, 0, 1.5f, 0, 2, 2,
                                               1.25f, 0, 1.25f, 4, 4, 0,    0, 3, 3};
    const double h = 1e-5;
    net n;
    net_open(&n, "ref64", EHM_F64, true, drop_path);
    if (drop_path) put_keep(&n, keep);
    loss(&n);
    backward(&n, 0);
    for (int32_t k = 0; k < n.ps.n; k++) {
        double *w = down(&n, ehm_weight(&n.w, k)), *g = down(&n, ehm_grad(&n.g, k));
        ehm_rng rng = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 3, (uint64_t)k);
        for (int32_t probe = 0; probe < 3; probe++) {
            int64_t i = (int64_t)ehm_rng_below64(&rng, (uint64_t)n.ps.item[k].count);
            double up = moved_weight(&n, k, i, w[i] + h), low = moved_weight(&n, k, i, w[i] - h);
            moved_weight(&n, k, i, w[i]);
            near(n.ps.item[k].name, i, g[i], (up - low) / (2 * h));
        }
        free(w), free(g);
    }
    double *dx = down(&n, n.dx);
    for (int32_t i = 0; i < COUNT; i += 7) {
        double v = n.x[i], up, low;
        n.x[i] = v + h, up = loss(&n);
        n.x[i] = v - h, low = loss(&n);
        n.x[i] = v;
        near("x", i, dx[i], (up - low) / (2 * h));
    }
    free(dx);
    net_close(&n);
}

TEST(stack, gradients_with_drop_path) { check_gradients(true); }
TEST(stack, gradients_with_join) { check_gradients(false); }

/* Frozen blocks: their gradients stay as they are, those above are the same. */
TEST(stack, first_block) {
    net whole, part;
    net_open(&whole, "ref64", EHM_F64, true, false), net_open(&part, "ref64", EHM_F64, true, false);
    forward(&whole), forward(&part);
    backward(&whole, 0), backward(&part, 2);
    for (int32_t k = 0; k < whole.ps.n; k++) {
        double *a = down(&whole, ehm_grad(&whole.g, k)), *b = down(&part, ehm_grad(&part.g, k));
        bool frozen = strncmp(whole.ps.item[k].name, "blocks.2.", 9) != 0;
        for (int64_t i = 0; i < whole.ps.item[k].count; i++)
            if (b[i] != (frozen ? 0 : a[i])) {
                ehm_test_fail(__FILE__, __LINE__, "%s[%lld] is %g", whole.ps.item[k].name, (long long)i,
                              b[i]);
                break;
            }
        free(a), free(b);
    }
    backward(&part, BLOCKS); /* all frozen: nothing joins, nothing changes */
    double *same = down(&part, part.dx);
    CHECK(!memcmp(same, part.c, sizeof part.c));
    free(same);
    net_close(&whole), net_close(&part);
}

/* Nothing dropped is the plain stack but for the place where sums are rounded; all dropped leaves the stream
 * as it is. */
static void check_kept(const char *device, ehm_dtype act, bool train, double tol) {
    float keep[BLOCKS * 2 * B];
    const int64_t slot[B] = {5, 6, 7};
    net plain, kept;
    net_open(&plain, device, act, train, false), net_open(&kept, device, act, train, true);
    ehm_stack_draw_keep(keep, BLOCKS, B, slot, 0, 1, 0);
    put_keep(&kept, keep);
    forward(&plain), forward(&kept);
    double *a = down(&plain, ehm_stack_out(&plain.pass, B, N)),
           *b = down(&kept, ehm_stack_out(&kept.pass, B, N)), worst = 0, top = 0;
    for (int32_t i = 0; i < COUNT; i++) worst = fmax(worst, fabs(a[i] - b[i])), top = fmax(top, fabs(a[i]));
    CHECK(worst <= tol * top);
    free(a), free(b);
    if (train) {
        backward(&plain, 0), backward(&kept, 0);
        for (int32_t k = 0; k < plain.ps.n; k++) {
            a = down(&plain, ehm_grad(&plain.g, k)), b = down(&kept, ehm_grad(&kept.g, k)), worst = top = 0;
            for (int64_t i = 0; i < plain.ps.item[k].count; i++)
                worst = fmax(worst, fabs(a[i] - b[i])), top = fmax(top, fabs(a[i]));
            if (!(worst <= 20 * tol * top + 1e-12))
                ehm_test_fail(__FILE__, __LINE__, "%s on %s: %g of %g", plain.ps.item[k].name, device, worst,
                              top);
            free(a), free(b);
        }
    }
    memset(keep, 0, sizeof keep);
    put_keep(&kept, keep);
    forward(&kept);
    a = down(&kept, ehm_stack_out(&kept.pass, B, N));
    for (int32_t i = 0; i < COUNT; i++)
        CHECK_NEAR(a[i], act == EHM_F64 ? kept.x[i] : (double)(float)kept.x[i], 0);
    free(a);
    net_close(&plain), net_close(&kept);
}

TEST(stack, rate_zero_is_the_plain_stack) {
    check_kept("ref64", EHM_F64, true, 1e-13);
    check_kept("cpu", EHM_F32, true, 1e-6);
    check_kept("cpu", EHM_F32, false, 1e-6);
    check_kept("cpu", EHM_BF16, true, 1e-3);
}

TEST(stack, draws_of_drop_path) {
    enum { DEEP = 5, MANY = 20000 };
    static float keep[DEEP * 2 * MANY], one[DEEP * 2], other[DEEP * 2 * MANY];
    static int64_t slot[MANY];
    for (int64_t k = 0; k < MANY; k++) slot[k] = MANY - k;
    ehm_stack_draw_keep(keep, DEEP, MANY, slot, 0.4, 9, 3);
    int64_t differ = 0;
    for (int32_t i = 0; i < DEEP; i++) {
        double rate = 0.1 * i; /* linspace(0, 0.4, 5) */
        for (int32_t half = 0; half < 2; half++) {
            int64_t dropped = 0;
            for (int64_t k = 0; k < MANY; k++) {
                float v = keep[(2 * i + half) * MANY + k];
                if (v == 0) dropped++;
                else CHECK_NEAR(v, 1 / (1 - rate), 1e-6);
                differ += half && v != keep[2 * i * MANY + k];
            }
            CHECK_NEAR((double)dropped / MANY, rate, 4 * sqrt(rate * (1 - rate) / MANY) + 1e-12);
        }
    }
    CHECK(differ > MANY / 10); /* halves are drawn apart */
    /* A picture's own: whatever else is in the batch, and however many. */
    for (int64_t k = 0; k < 50; k++) {
        ehm_stack_draw_keep(one, DEEP, 1, slot + k, 0.4, 9, 3);
        for (int32_t i = 0; i < 2 * DEEP; i++) CHECK(one[i] == keep[i * MANY + k]);
    }
    ehm_stack_draw_keep(other, DEEP, MANY, slot, 0.4, 9, 4);
    CHECK(memcmp(other, keep, sizeof keep));
    ehm_stack_draw_keep(other, DEEP, MANY, slot, 0.4, 10, 3);
    CHECK(memcmp(other, keep, sizeof keep));
    ehm_stack_draw_keep(one, 1, 1, slot, 0.9, 9, 3); /* a single block is the first: never dropped */
    CHECK(one[0] == 1 && one[1] == 1);
}

/* ---- the encoder's stream ---- */

enum { PX = 6, ROWS = 1 + 4 };
typedef struct {
    net n;
    ehm_vit_encoder enc;
    ehm_vit_encoder_pass pass;
    ehm_vit_route route;
    ehm_view patches, hidden, dx;
    double c[2 * ROWS * WIDTH];
} stream;

static void plan_stream(stream *s, ehm_plan *plan, bool train) {
    ehm_dtype real = ehm_dev_real(plan->dev);
    ehm_weights_plan(&s->n.w, &s->n.ps, plan, EHM_MEM_PARAM, "", real);
    ehm_grads_plan(&s->n.g, &s->n.ps, plan);
    s->route.embed_idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, 2, ROWS - 1);
    s->route.src = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, 2, ROWS);
    s->route.pos_idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, 2, ROWS);
    s->patches = ehm_plan_3d(plan, EHM_MEM_INPUT, NULL, real, 2, ROWS - 1, PX);
    s->hidden = ehm_plan_3d(plan, EHM_MEM_CACHE, NULL, real, 2, ROWS, WIDTH);
    s->dx = ehm_plan_3d(plan, EHM_MEM_SCRATCH, NULL, real, 2, ROWS, WIDTH);
    ehm_vit_encoder_pass_plan(&s->pass, plan, real);
    if (train) ehm_vit_encoder_pass_plan_bwd(&s->pass, plan);
}

static void stream_open(stream *s, bool train, bool stream_only) {
    ehm_err err = {0};
    ehm_vit_shape shape = {.img_h = 2,
                           .img_w = 2,
                           .channels = PX,
                           .patch_size = 1,
                           .grid_h = 2,
                           .grid_w = 2,
                           .n_patches = 4,
                           .embed_dim = WIDTH,
                           .depth = BLOCKS,
                           .num_heads = HEADS,
                           .mlp_dim = MLP,
                           .patch_pixels = PX};
    ehm_rng rng = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 4, 0);
    int32_t idx[2 * ROWS];
    double x[2 * (ROWS - 1) * PX];
    memset(s, 0, sizeof *s);
    REQUIRE_OK(ehm_dev_open(&s->n.d, "ref64", 1, &err), &err);
    ehm_vit_encoder_roots(&s->enc, &s->n.ps, &shape);
    ehm_vit_encoder_modules(&s->enc, &s->n.ps, &s->n.a);
    REQUIRE(ehm_vit_encoder_pass_open(&s->pass, &s->enc, 2, ROWS - 1, ROWS, train, EHM_F64, &s->n.a));
    s->pass.stream_only = stream_only;
    ehm_plan_begin(&s->n.plan, s->n.d);
    plan_stream(s, &s->n.plan, train);
    REQUIRE_OK(ehm_plan_commit(&s->n.plan, &err), &err);
    plan_stream(s, &s->n.plan, train);
    REQUIRE_OK(ehm_plan_end(&s->n.plan, &err), &err);
    shake(&s->n);
    for (int32_t i = 0; i < 2 * (ROWS - 1); i++) idx[i] = i % (ROWS - 1);
    ehm_upload(s->n.d, s->route.embed_idx, idx, 2 * (ROWS - 1) * sizeof *idx);
    for (int32_t i = 0; i < 2 * ROWS; i++) idx[i] = i % ROWS - 1;
    ehm_upload(s->n.d, s->route.src, idx, sizeof idx);
    for (int32_t i = 0; i < 2 * ROWS; i++) idx[i] = i % ROWS;
    ehm_upload(s->n.d, s->route.pos_idx, idx, sizeof idx);
    for (int32_t i = 0; i < 2 * (ROWS - 1) * PX; i++) x[i] = ehm_rng_normal(&rng);
    put(&s->n, s->patches, x, 2 * (ROWS - 1) * PX);
    for (int32_t i = 0; i < 2 * ROWS * WIDTH; i++) s->c[i] = ehm_rng_normal(&rng);
}

static double *stream_run(stream *s, int32_t i_block) {
    ehm_err err = {0};
    const ehm_tap tap = {.i_block = i_block, .hidden = s->hidden};
    ehm_vit_encoder_fwd(s->n.d, &s->pass, &s->n.w, s->patches, &s->route, 2, ROWS - 1, ROWS,
                        &(ehm_taps){.tap = &tap, .n_taps = 1, .n_blocks = -1});
    REQUIRE_OK(ehm_dev_check(s->n.d, &err), &err);
    return down(&s->n, ehm_vit_encoder_level(&s->pass, i_block, 2, ROWS));
}

static double stream_loss(stream *s) {
    double *y = stream_run(s, BLOCKS - 1), sum = 0;
    for (int32_t i = 0; i < 2 * ROWS * WIDTH; i++) sum += s->c[i] * y[i];
    free(y);
    return sum;
}

static void stream_bwd(stream *s, int32_t first_block) {
    ehm_err err = {0};
    put(&s->n, s->dx, s->c, 2 * ROWS * WIDTH);
    ehm_vit_encoder_bwd_stream(s->n.d, &s->pass, s->dx, &s->n.w, &s->n.g, &s->route, 2, ROWS - 1, ROWS,
                               &(ehm_stack_bwd_opt){.first_block = first_block});
    REQUIRE_OK(ehm_dev_check(s->n.d, &err), &err);
}

TEST(stack, levels_of_the_encoder) {
    stream s, alone;
    stream_open(&s, true, true), stream_open(&alone, false, true);
    for (int32_t i = 0; i < BLOCKS; i++) {
        double *level = stream_run(&s, i), *hidden = down(&s.n, s.hidden);
        CHECK(!memcmp(level, hidden, 2 * ROWS * WIDTH * sizeof *level));
        if (i == BLOCKS - 1) {
            double *last = stream_run(&alone, i);
            CHECK(!memcmp(level, last, 2 * ROWS * WIDTH * sizeof *level));
            free(last);
        }
        free(level), free(hidden);
    }
    net_close(&s.n), net_close(&alone.n);
}

TEST(stack, stream_of_the_encoder) {
    const double h = 1e-5;
    for (int32_t only = 0; only < 2; only++) {
        stream s;
        stream_open(&s, true, only);
        stream_loss(&s);
        stream_bwd(&s, 0);
        for (int32_t k = 0; k < s.n.ps.n; k++) {
            if (s.n.ps.item[k].group == EHM_FROZEN) continue;
            double *w = down(&s.n, ehm_weight(&s.n.w, k)), *g = down(&s.n, ehm_grad(&s.n.g, k)), up, low;
            int64_t i = s.n.ps.item[k].count / 2;
            ehm_view at = ehm_weight(&s.n.w, k);
            at.offset += i, at.rank = 1, at.dim[0] = 1;
            double v = w[i] + h;
            put(&s.n, at, &v, 1), ehm_dev_weights_changed(s.n.d), up = stream_loss(&s);
            v = w[i] - h;
            put(&s.n, at, &v, 1), ehm_dev_weights_changed(s.n.d), low = stream_loss(&s);
            put(&s.n, at, &w[i], 1), ehm_dev_weights_changed(s.n.d);
            near(s.n.ps.item[k].name, i, g[i], (up - low) / (2 * h)); /* the final norm's are 0 */
            free(w), free(g);
        }
        net_close(&s.n);
    }
    /* Frozen below: the embedding and the first blocks get nothing. */
    stream s;
    stream_open(&s, true, true);
    stream_loss(&s);
    stream_bwd(&s, 1);
    for (int32_t k = 0; k < s.n.ps.n; k++) {
        const char *name = s.n.ps.item[k].name;
        if (s.n.ps.item[k].group == EHM_FROZEN) continue;
        double *g = down(&s.n, ehm_grad(&s.n.g, k)), top = 0;
        for (int64_t i = 0; i < s.n.ps.item[k].count; i++) top = fmax(top, fabs(g[i]));
        bool learns = !strncmp(name, "blocks.1.", 9) || !strncmp(name, "blocks.2.", 9);
        if (learns != (top > 0)) ehm_test_fail(__FILE__, __LINE__, "%s has gradient %g", name, top);
        free(g);
    }
    net_close(&s.n);
}
