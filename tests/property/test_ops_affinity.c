/* From attention to similarity: what holds beyond agreement with ref (test_ops.c) and with NumPy (test_ops_golden.c). */
#include "ops_cases.h"
#include "real_gpu.h"

/* One op_case made here instead of in ops_cases.h; profile or direct of given slices. */
static void make_stack(op_case *c, ehm_op op, int64_t b, int64_t n_slices, int64_t l, double weight) {
    memset(c, 0, sizeof *c);
    c->op = op, c->act = EHM_F32;
    c->rng = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, (uint32_t)op, (uint64_t)l);
    c->call = op == EHM_OP_attn_profile ? call_attn_profile : call_attn_direct;
    c->f[0] = weight;
    arg3(c, "s", OUT, T_REAL, 0, b, l, l);
    op_arg_case *a = add_arg(c, "a", op == EHM_OP_attn_profile ? INOUT : IN, T_REAL, 0, 4, b, n_slices, l, l);
    rows_sum_to_1(a);
    for (int64_t i = 0; i < a->n; i++) a->v[i] = round_to(a->v[i], EHM_F32); /* the same on ref64 */
    if (op == EHM_OP_attn_profile) arg0(c, "mean");
}
static double largest_difference(const op_arg_case *x, const op_arg_case *y) {
    double worst = 0;
    for (int64_t i = 0; i < x->n; i++) {
        double e = fabs(x->got[i] - y->got[i]);
        worst = e > worst || isnan(e) ? (isnan(e) ? INFINITY : e) : worst;
    }
    return worst;
}

/* 400 is more than one block of k; 65 is one more than whole tiles. */
TEST(affinity_ops, symmetric_to_the_bit_and_like_ref) {
    if (getenv("EHM_TEST_GPU")) real_plugin();
    else setenv("EHM_CUDA_PLUGIN", EHM_CUDA_EMU, 1);
    static const char *const names[] = {"ref64", "ref", "cpu", "cuda"};
    static const int64_t sizes[] = {2, 7, 65, 400};
    for (int q = 0; q < 4; q++)
        for (int op = 0; op < 2; op++) {
            op_case want;
            int64_t l = sizes[q];
            ehm_op which = op ? EHM_OP_attn_direct : EHM_OP_attn_profile;
            for (int k = 0; k < (l < 100 || getenv("EHM_TEST_GPU") ? 4 : 3); k++) { /* an emulated GPU takes its time */
                ehm_dev *d = device(names[k], 2);
                op_case c, *at = k ? &c : &want;
                make_stack(at, which, 2, l < 100 ? 3 : 1, l, 0.375);
                at->b[0] = op;
                if (case_run(at, d)) {
                    const double *s = at->t[0].got;
                    for (int64_t b = 0; b < 2; b++, s += l * l)
                        for (int64_t i = 0; i < l; i++) {
                            for (int64_t j = 0; j < i; j++)
                                if (s[i * l + j] != s[j * l + i]) REQUIRE(!"s is symmetric");
                            if (!op && l > 2) CHECK_NEAR(s[i * l + i], 0.75, !strcmp(names[k], "cpu") ? 0 : 1e-6);
                        }
                    double e = k ? largest_difference(&c.t[0], &want.t[0]) : 0;
                    if (!(e < 2e-5)) ehm_test_fail(__FILE__, __LINE__, "%s, %lld patches: error %g", case_name(at, d), (long long)l, e);
                }
                if (k) case_free(&c);
                ehm_dev_close(d);
            }
            case_free(&want);
        }
}

/* Rounding must not look like variation: equal attention for all, and pictures that are their own mean, are alike in nothing. */
TEST(affinity_ops, constant_slices_correlate_with_nothing) {
    static const char *const names[] = {"ref64", "ref", "cpu"};
    for (int k = 0; k < 3; k++)
        for (int how = 0; how < 3; how++) {
            ehm_dev *d = device(names[k], 1);
            op_case c;
            make_stack(&c, EHM_OP_attn_profile, 1, 1, 196, 1);
            if (how < 2)
                for (int64_t i = 0; i < c.t[1].n; i++) c.t[1].v[i] = how ? 0.1 : 1.0 / 196;
            else {
                c.n--;
                memcpy(arg3(&c, "mean", IN, T_REAL, 0, 1, 196, 196)->v, c.t[1].v, sizeof(double) * 196 * 196);
            }
            if (case_run(&c, d))
                for (int64_t i = 0; i < c.t[0].n; i++)
                    if (c.t[0].got[i] != 0) {
                        ehm_test_fail(__FILE__, __LINE__, "%s: s[%lld] is %g", case_name(&c, d), (long long)i, c.t[0].got[i]);
                        break;
                    }
            case_free(&c);
            ehm_dev_close(d);
        }
}

/* Attention at the start of a training: what varies is a few millionths, so the mean must come off to the last digit. */
TEST(affinity_ops, profile_of_small_differences) {
    ehm_dev *d = device("cpu", 1), *d64 = device("ref64", 1);
    op_case a, b;
    make_stack(&a, EHM_OP_attn_profile, 1, 1, 301, 1);
    make_stack(&b, EHM_OP_attn_profile, 1, 1, 301, 1);
    for (int64_t i = 0; i < a.t[1].n; i++)
        a.t[1].v[i] = b.t[1].v[i] = round_to((1 + 3e-6 * ehm_rng_normal(&a.rng)) / 301, EHM_F32);
    if (case_run(&a, d) && case_run(&b, d64)) {
        double e = largest_difference(&a.t[0], &b.t[0]);
        if (!(e < 4e-4)) ehm_test_fail(__FILE__, __LINE__, "error %g", e);
    }
    case_free(&a);
    case_free(&b);
    ehm_dev_close(d);
    ehm_dev_close(d64);
}

/* Correlation knows no scale: attention that sits almost wholly on the diagonal leaves rows of 1e-20. */
TEST(affinity_ops, profile_of_tiny_values) {
    ehm_dev *d = device("cpu", 1);
    op_case a, b;
    make_stack(&a, EHM_OP_attn_profile, 1, 1, 50, 1);
    make_stack(&b, EHM_OP_attn_profile, 1, 1, 50, 1);
    for (int64_t i = 0; i < a.t[1].n; i++) {
        b.t[1].v[i] = ldexp((double)(float)a.t[1].v[i], -70);
        if (i % 51 == 0) b.t[1].v[i] = 1;
    }
    if (case_run(&a, d) && case_run(&b, d)) CHECK(largest_difference(&a.t[0], &b.t[0]) < 1e-5);
    case_free(&a);
    case_free(&b);
    ehm_dev_close(d);
}

TEST(affinity_ops, not_a_number_shows) {
    static const char *const names[] = {"ref", "cpu"};
    for (int k = 0; k < 2; k++)
        for (int op = 0; op < 2; op++) {
            ehm_dev *d = device(names[k], 1);
            op_case c;
            make_stack(&c, op ? EHM_OP_attn_direct : EHM_OP_attn_profile, 1, 1, 40, 1);
            c.b[0] = true;
            c.t[1].v[3 * 40 + 9] = NAN;
            if (case_run(&c, d)) {
                CHECK(isnan(c.t[0].got[3 * 40 + 9]));
                CHECK(isnan(c.t[0].got[9 * 40 + 3]));
            }
            case_free(&c);
            ehm_dev_close(d);
        }
}

/* With decay 1 the mean after any batches is the mean of all their pictures; just below 1, nearly. */
TEST(affinity_ops, running_mean_of_all) {
    static const char *const names[] = {"ref64", "ref", "cpu"};
    for (int k = 0; k < 3; k++)
        for (int how = 0; how < 2; how++) {
            ehm_dev *d = device(names[k], 2);
            double mean[600] = {0}, all[600] = {0}, count = 0;
            for (int t = 0; t < 10; t++) {
                op_case c = {.op = EHM_OP_running_mean, .act = EHM_F32, .call = call_running_mean};
                c.rng = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 0, (uint64_t)t);
                op_arg_case *m = arg1(&c, "mean", INOUT, T_REAL, 0, 600), *n = arg1(&c, "count", INOUT, T_REAL, 0, 1),
                            *x = arg2(&c, "x", IN, T_REAL, 0, 4, 600);
                c.f[0] = how ? 1 : (double)(1 - 0x1p-20f);
                memcpy(m->v, mean, sizeof mean), n->v[0] = count;
                for (int64_t i = 0; i < x->n; i++) all[i % 600] += x->v[i] / 40;
                if (case_run(&c, d)) memcpy(mean, m->got, sizeof mean), count = n->got[0];
                case_free(&c);
            }
            CHECK_NEAR(count, 10, 0);
            for (int i = 0; i < 600; i++) CHECK_NEAR(mean[i], all[i], how ? 1e-6 : 3e-5);
            ehm_dev_close(d);
        }
}

/* More pictures than a task takes, and more tokens than a block of rows: the same bits for any number of threads, and ref's values. */
TEST(affinity_ops, same_bits_in_many_tasks) {
    static const int64_t probs_shape[][4] = {{17, 9, 3, 8}, {2, 400, 1, 8}, {1, 337, 13, 4}};
    ehm_dev *ref = device("ref", 2), *d[3] = {device("cpu", 1), device("cpu", 2), device("cpu", 5)};
    for (int i = 0; i < 6; i++) {
        op_case c[4];
        for (int k = 0; k < 4; k++) {
            if (i < 3) {
                const int64_t *s = probs_shape[i];
                memset(&c[k], 0, sizeof c[k]);
                c[k].op = EHM_OP_attn_probs, c[k].act = EHM_F32, c[k].call = call_attn_probs;
                c[k].rng = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 0, (uint64_t)i);
                c[k].i[0] = (int32_t)s[2], c[k].f[0] = 0.5;
                arg3(&c[k], "probs", OUT, T_REAL, 0, s[0], s[1], s[1]);
                arg3(&c[k], "qkv", IN, T_ACT, 0, s[0], s[1], 3 * s[2] * s[3]);
            } else {
                make_stack(&c[k], i == 3 ? EHM_OP_attn_direct : EHM_OP_attn_profile, i == 5 ? 1 : 19, 2, 34, 1);
                c[k].b[0] = true;
            }
            if (!case_run(&c[k], k < 3 ? d[k] : ref)) continue;
            if (k == 1 || k == 2)
                for (int q = 0; q < c[k].n; q++) CHECK(!memcmp(c[k].t[q].got, c[0].t[q].got, (size_t)c[k].t[q].n * sizeof(double)));
            if (k == 3) CHECK(largest_difference(&c[0].t[0], &c[3].t[0]) < 1e-5);
        }
        for (int k = 0; k < 4; k++) case_free(&c[k]);
    }
    ehm_dev_close(ref);
    for (int k = 0; k < 3; k++) ehm_dev_close(d[k]);
}

TEST(affinity_ops, refusals_by_name) {
    ehm_err err = {0};
    ehm_dev *d = device("ref", 1);
    ehm_buf *buf;
    REQUIRE_OK(ehm_buf_new(&buf, d, 8192, &err), &err);
#define VIEW(at, rank, ...) ehm_view_of(buf, (at) * 256, EHM_F32, rank, (int64_t[]){__VA_ARGS__})
#define REFUSED(part, call)                                         \
    do {                                                            \
        call;                                                       \
        CHECK_FAILS(ehm_dev_check(d, &err), &err, EHM_E_ARG, part); \
        ehm_dev_reset_error(d);                                     \
        ehm_err_clear(&err);                                        \
    } while (0)
    ehm_view s = VIEW(0, 3, 2, 4, 4), a = VIEW(1, 4, 2, 3, 4, 4), mean = VIEW(2, 3, 3, 4, 4), none = ehm_view_none();
    ehm_view probs = VIEW(3, 3, 2, 5, 5), cls = VIEW(4, 2, 2, 4), count = VIEW(5, 1, 1);
    REFUSED("weight is nan", ehm_attn_profile(d, &(ehm_attn_profile_args){s, a, mean, (float)NAN, false}));
    REFUSED("weight is inf", ehm_attn_direct(d, &(ehm_attn_direct_args){s, a, (float)INFINITY, false, false}));
    REFUSED("weight is -inf", ehm_attn_patches(d, &(ehm_attn_patches_args){s, cls, probs, -(float)INFINITY, false, false}));
    REFUSED("a has rank 2, expected 3 or 4", ehm_attn_profile(d, &(ehm_attn_profile_args){s, VIEW(1, 2, 8, 4), none, 1, false}));
    REFUSED("columns of a is 3", ehm_attn_direct(d, &(ehm_attn_direct_args){s, VIEW(1, 3, 2, 4, 3), 1, false, false}));
    REFUSED("columns of s is 5", ehm_attn_direct(d, &(ehm_attn_direct_args){VIEW(0, 3, 2, 4, 5), a, 1, false, false}));
    REFUSED("C of mean is 1 but C of a is 3", ehm_attn_profile(d, &(ehm_attn_profile_args){s, a, VIEW(2, 2, 4, 4), 1, false}));
    REFUSED("rows of probs is 4 but 1 + L of out is 5",
            ehm_attn_patches(d, &(ehm_attn_patches_args){s, cls, VIEW(3, 3, 2, 4, 5), 1, false, false}));
    REFUSED("out has rank 1", ehm_attn_patches(d, &(ehm_attn_patches_args){VIEW(0, 1, 32), cls, probs, 1, false, false}));
    REFUSED("X of cls is 1", ehm_attn_patches(d, &(ehm_attn_patches_args){s, VIEW(4, 1, 4), probs, 1, false, false}));
    REFUSED("decay is 1.5", ehm_running_mean(d, &(ehm_running_mean_args){VIEW(0, 2, 4, 4), count, VIEW(1, 3, 2, 4, 4), 1.5f}));
    REFUSED("decay is nan", ehm_running_mean(d, &(ehm_running_mean_args){VIEW(0, 2, 4, 4), count, VIEW(1, 3, 2, 4, 4), (float)NAN}));
    REFUSED("count of mean is 16 but M of x is 8",
            ehm_running_mean(d, &(ehm_running_mean_args){VIEW(0, 2, 4, 4), count, VIEW(1, 3, 4, 2, 4), 0.5f}));
    REFUSED("values of count is 2", ehm_running_mean(d, &(ehm_running_mean_args){VIEW(0, 1, 4), VIEW(5, 1, 2), VIEW(1, 2, 2, 4), 0.5f}));
    ehm_attn_profile(d, &(ehm_attn_profile_args){s, a, mean, 1, false});
    ehm_attn_profile(d, &(ehm_attn_profile_args){s, VIEW(1, 3, 2, 4, 4), VIEW(2, 2, 4, 4), 1, true});
    ehm_attn_patches(d, &(ehm_attn_patches_args){VIEW(0, 4, 2, 1, 4, 4), none, probs, 1, true, true});
    CHECK_OK(ehm_dev_check(d, &err), &err);
    ehm_buf_free(buf);
    ehm_dev_close(d);
}
