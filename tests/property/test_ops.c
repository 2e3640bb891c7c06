/* Every op of the table: there in every back end, the same as ref within the bound of ops.def, the same bits for any number of
 * threads where that is promised, and refusing what it does not take. */
#include "compute/backend.h"
#include "ops_against.h"
#ifdef __GLIBC__
#include <malloc.h>
#endif

static const char *const backends[] = {"ref", "cpu"};

TEST(ops, cpu_f32) { against_ref("cpu", EHM_F32); }
TEST(ops, cpu_bf16) { against_ref("cpu", EHM_BF16); }

/* ref in f32 against itself in double: what rounding at the end of each op costs, far below the bounds. */
TEST(ops, ref_against_double) {
    ehm_dev *d = device("ref", 1), *d64 = device("ref64", 1);
    for (int op = 0; op < EHM_OPS_N; op++) {
        op_case want, got;
        for (int i = 0; case_make(&want, (ehm_op)op, i, EHM_F64); i++) {
            REQUIRE(case_make(&got, (ehm_op)op, i, EHM_F32));
            for (int k = 0; k < want.n; k++) /* the same numbers for both */
                for (int64_t q = 0; q < want.t[k].n; q++)
                    want.t[k].v[q] = round_to(want.t[k].v[q], EHM_F32), got.t[k].v[q] = want.t[k].v[q];
            if (case_run(&want, d64) && case_run(&got, d))
                for (int k = 0; k < got.n; k++)
                    if (got.t[k].rank && got.t[k].role != IN) compare(&got, d, &got.t[k], &want.t[k], 3e-6);
            case_free(&want);
            case_free(&got);
        }
    }
    ehm_dev_close(d);
    ehm_dev_close(d64);
}

TEST(ops, ref_same_bits_any_threads) {
    same_bits("ref", 1, 2, EHM_F32);
    same_bits("ref", 1, 5, EHM_BF16);
    same_bits("ref64", 3, 4, EHM_F64);
}
TEST(ops, cpu_same_bits_again) {
    same_bits("cpu", 2, 2, EHM_F32);
    same_bits("cpu", 2, 2, EHM_BF16);
    same_bits("cpu", 1, 1, EHM_F32);
}

TEST(ops, complete) {
    static const ehm_backend *const all[] = {&ehm_backend_ref, &ehm_backend_ref64, &ehm_backend_cpu};
    for (int k = 0; k < 3; k++) {
#define OP(name_, what, tol_f32, tol_bf16, bwd) \
    if (!all[k]->name_) ehm_test_fail(__FILE__, __LINE__, "back end %s has no %s", all[k]->name, #name_);
#include "compute/ops.def"
#undef OP
    }
    for (int op = 0; op < EHM_OPS_N; op++) {
        int n = 0;
        op_case c;
        for (; case_make(&c, (ehm_op)op, n, EHM_F32); n++) case_free(&c);
        if (n < 3) ehm_test_fail(__FILE__, __LINE__, "op %s has %d shapes in ops_cases.h, wanted are 3", ehm_op_table[op].name, n);
        CHECK(ehm_op_table[op].what[0]);
    }
}

/* ---- refusals ---- */

typedef struct { ehm_dev *d; ehm_buf *buf; ehm_view v; } witness; /* an op after a failure must leave it alone */

static witness witness_make(ehm_dev *d) {
    ehm_err err = {0};
    witness w = {.d = d};
    REQUIRE_OK(ehm_buf_new(&w.buf, d, 64, &err), &err);
    w.v = ehm_view_1d(w.buf, EHM_F32, 8);
    return w;
}

/* The call must have failed with this code and the parts in its words; then nothing runs until the error is reset. */
static void refused(witness *w, const op_case *c, const char *how, const op_arg_case *t, ehm_code code, const char *part) {
    ehm_err err = {0};
    char text[EHM_ERR_TEXT];
    float got[8] = {3, 3, 3, 3, 3, 3, 3, 3};
    const char *op = ehm_op_table[c->op].name;
    ehm_fill(w->d, &(ehm_fill_args){w->v, 5});
    ehm_code rc = ehm_dev_check(w->d, &err);
    ehm_err_text(&err, text);
    if (rc != code || !strstr(text, op) || !strstr(text, "a.label") || !strstr(text, part) || (!strchr(text, '[') && !strstr(text, "absent")))
        ehm_test_fail(__FILE__, __LINE__, "%s with %s of %s: %s \"%s\" (must name op, label, \"%s\" and shapes)", op, how, t->name,
                      ehm_code_name(rc), text, part);
    ehm_dev_reset_error(w->d);
    ehm_download(w->d, got, w->v, sizeof got[0] * 8);
    for (int i = 0; i < 8; i++)
        if (got[i] != 0) {
            ehm_test_fail(__FILE__, __LINE__, "%s with %s of %s: a later op still ran", op, how, t->name);
            ehm_fill(w->d, &(ehm_fill_args){w->v, 0});
            break;
        }
    CHECK(ehm_dev_check(w->d, NULL) == EHM_OK);
}

static void refuse_all(ehm_dev *d, ehm_dev *other, op_case *c) {
    witness w = witness_make(d);
    ehm_err err = {0};
    op_places p;
    ehm_buf *foreign;
    REQUIRE_OK(ehm_buf_new(&foreign, other, 1 << 20, &err), &err);
    places_make(&p, c, d);
    for (int k = 0; k < c->n; k++) {
        op_arg_case *t = &c->t[k];
        if (!t->rank || t->is_first) continue;
        ehm_view good = p.v[k], v[10];
        memcpy(v, p.v, sizeof v);
#define TRY(how, code, part) c->call(d, c, v), refused(&w, c, how, t, code, part), v[k] = good
        v[k].dtype = EHM_I64;
        v[k].offset = 0;
        v[k].buf = w.buf, v[k].rank = 1, v[k].dim[0] = 1; /* fits, so that the type is what is wrong */
        TRY("type i64", EHM_E_ARG, "i64");
        v[k].dim[0] = 0;
        TRY("a dim of 0", EHM_E_ARG, t->name);
        v[k].dim[v[k].rank - 1] = -2;
        TRY("a negative dim", EHM_E_ARG, t->name);
        v[k].dim[0] = INT64_MAX, v[k].rank = 1;
        TRY("a huge dim", EHM_E_ARG, t->name);
        v[k].rank = 5;
        TRY("rank 5", EHM_E_ARG, "rank 5");
        v[k].offset += EDGE + 4;
        TRY("a place beyond the buffer", EHM_E_ARG, "beyond its buffer");
        v[k].offset = -1;
        TRY("a negative offset", EHM_E_ARG, "beyond its buffer");
        v[k].buf = NULL;
        TRY("no buffer", EHM_E_ARG, "no buffer");
        v[k].buf = foreign;
        TRY("another device's buffer", EHM_E_ARG, "another device");
        if (!(t->how & MAY_MISS)) {
            v[k] = ehm_view_none();
            TRY("absence", EHM_E_ARG, "is absent");
        }
        if (!(t->how & ANY_COUNT)) { /* the edges give room for one more */
            v[k].dim[v[k].rank - 1] += 1;
            if (ehm_view_count(v[k]) <= t->n + EDGE) TRY("one column more", EHM_E_ARG, t->name);
            else v[k] = good;
            if (good.dim[0] > 1 && !(t->how & ANY_ROWS)) {
                v[k].dim[0] -= 1;
                TRY("one row less", EHM_E_ARG, t->name);
            }
        }
        for (int q = 0; q < c->n; q++) { /* t written over q, both in full sight */
            const op_arg_case *u = &c->t[q];
            if (t->role == IN || q == k || !u->rank || u->is_first || (k == 0 && (u->how & MAY_BE_FIRST)) || p.type[q] == EHM_U8) continue;
            if (ehm_dtype_size(p.type[q]) != ehm_dtype_size(p.type[k])) continue;
            v[k].buf = p.v[q].buf, v[k].offset = p.v[q].offset;
            if (ehm_view_bytes(v[k]) + (size_t)v[k].offset * ehm_dtype_size(v[k].dtype) > ehm_buf_bytes(v[k].buf)) {
                v[k] = good;
                continue;
            }
            TRY("overlap", EHM_E_ARG, "overlaps");
        }
    }
#undef TRY
    places_free(&p);
    ehm_buf_free(foreign);
    ehm_buf_free(w.buf);
}

TEST(ops, refusals) {
    ehm_dev *d = device("ref", 1), *other = device("ref", 1);
    ehm_dev_label(d, "a.label");
    for (int op = 0; op < EHM_OPS_N; op++) {
        op_case c;
        for (int i = 0; case_make(&c, (ehm_op)op, i, EHM_F32); i++) {
            refuse_all(d, other, &c);
            case_free(&c);
        }
    }
    ehm_dev_close(d);
    ehm_dev_close(other);
}

/* Indices that name no row, or a row twice where once is allowed. */
static void bad_index(ehm_dev *d, ehm_op op, const char *name, int64_t at, double value, const char *part) {
    op_case c;
    ehm_err err = {0};
    op_places p;
    REQUIRE(case_make(&c, op, 2, EHM_F32));
    for (int k = 0; k < c.n; k++)
        if (!strcmp(c.t[k].name, name)) c.t[k].v[at] = value;
    places_make(&p, &c, d);
    c.call(d, &c, p.v);
    CHECK_FAILS(ehm_dev_check(d, &err), &err, EHM_E_ARG, part);
    ehm_dev_reset_error(d);
    places_free(&p);
    case_free(&c);
}
TEST(ops, bad_indices) {
    ehm_dev *d = device("ref", 1);
    bad_index(d, EHM_OP_gather_rows, "idx", 17, 16, "idx[1,1] is 16, allowed are 0 to 15");
    bad_index(d, EHM_OP_gather_rows, "idx", 0, -1, "idx[0,0] is -1");
    bad_index(d, EHM_OP_scatter_rows, "idx", 3, 99, "idx[0,3] is 99");
    bad_index(d, EHM_OP_pixel_target, "idx", 12, 16, "idx[1,0] is 16");
    bad_index(d, EHM_OP_route_fwd, "src", 5, 5, "src[0,5] is 5, allowed are -2 to 4");
    bad_index(d, EHM_OP_route_fwd, "src", 5, -3, "src[0,5] is -3");
    bad_index(d, EHM_OP_route_fwd, "pos_idx", 18, 20, "pos_idx[1,1] is 20");
    bad_index(d, EHM_OP_route_bwd, "pos_idx", 18, -1, "pos_idx[1,1] is -1");
    bad_index(d, EHM_OP_mix_rows_fwd, "idx", 20 * 4 + 9, 16, "idx[1,2,1] is 16, the last there is is 15");
    bad_index(d, EHM_OP_mix_rows_bwd, "idx", 3, INT32_MAX, "idx[0,0,3] is 2147483647");
    bad_index(d, EHM_OP_xent, "labels", 7, 100, "labels[7] is 100, the last there is is 99");
    op_case c;
    REQUIRE(case_make(&c, EHM_OP_scatter_rows, 2, EHM_F32));
    double twice = c.t[2].v[16 + 2];
    case_free(&c);
    bad_index(d, EHM_OP_scatter_rows, "idx", 16 + 7, twice, "a second time");
    ehm_dev_close(d);
}

TEST(ops, scalars_refused) {
    ehm_err err = {0};
    ehm_dev *d = device("ref", 1);
    ehm_buf *buf;
    REQUIRE_OK(ehm_buf_new(&buf, d, 4096, &err), &err);
#define AT(i, n) ehm_view_of(buf, (i) * 64, EHM_F32, 1, (int64_t[]){n})
#define REFUSED(part, call)                                                \
    do {                                                                   \
        call;                                                              \
        CHECK_FAILS(ehm_dev_check(d, &err), &err, EHM_E_ARG, part);        \
        ehm_dev_reset_error(d);                                            \
        ehm_err_clear(&err);                                               \
    } while (0)
    ehm_view qkv = ehm_view_of(buf, 0, EHM_F32, 3, (int64_t[]){1, 2, 24}), out = ehm_view_of(buf, 64, EHM_F32, 3, (int64_t[]){1, 2, 8});
    ehm_view lse = ehm_view_of(buf, 128, EHM_F32, 3, (int64_t[]){1, 3, 2});
    REFUSED("3 heads", ehm_attn_fwd(d, &(ehm_attn_fwd_args){out, lse, qkv, 3, 1.f}));
    REFUSED("0 heads", ehm_attn_fwd(d, &(ehm_attn_fwd_args){out, lse, qkv, 0, 1.f}));
    REFUSED("H of lse is 3", ehm_attn_fwd(d, &(ehm_attn_fwd_args){out, lse, qkv, 2, 1.f}));
    REFUSED("t is 0", ehm_adamw(d, &(ehm_adamw_args){.p = AT(0, 8), .g = AT(1, 8), .m = AT(2, 8), .v = AT(3, 8), .factor = AT(4, 1)}));
    REFUSED("beta1 is 1", ehm_adamw(d, &(ehm_adamw_args){.p = AT(0, 8), .g = AT(1, 8), .m = AT(2, 8), .v = AT(3, 8), .factor = AT(4, 1),
                                                         .beta1 = 1, .t = 1}));
    REFUSED("max_norm is -1", ehm_clip_factor(d, &(ehm_clip_factor_args){AT(0, 1), AT(1, 1), AT(2, 1), -1, 1}));
    REFUSED("patch 3", ehm_patchify(d, &(ehm_patchify_args){ehm_view_of(buf, 0, EHM_F32, 3, (int64_t[]){1, 4, 4}),
                                                            ehm_view_of(buf, 64, EHM_F32, 4, (int64_t[]){1, 4, 4, 1}), AT(2, 1), AT(3, 1), 3}));
    ehm_view m = ehm_view_of(buf, 0, EHM_F32, 2, (int64_t[]){2, 2}), a = ehm_view_of(buf, 64, EHM_F32, 2, (int64_t[]){2, 2});
    REFUSED("second time", ehm_matmul(d, &(ehm_matmul_args){.out = m, .a = a, .b = a, .add = m, .accumulate = true}));
    REFUSED("K of a is 2 but K of b is 3",
            ehm_matmul(d, &(ehm_matmul_args){.out = m, .a = a, .b = ehm_view_of(buf, 128, EHM_F32, 2, (int64_t[]){3, 2})}));
    REFUSED("out [2,2] f32, a [2,2] f32, b [3,2] f32, bias absent",
            ehm_matmul(d, &(ehm_matmul_args){.out = m, .a = a, .b = ehm_view_of(buf, 128, EHM_F32, 2, (int64_t[]){3, 2})}));
    REFUSED("a is f32 but b is bf16",
            ehm_matmul(d, &(ehm_matmul_args){.out = m, .a = a, .b = ehm_view_of(buf, 256, EHM_BF16, 2, (int64_t[]){2, 2})}));
    REFUSED("upload: 8 bytes for a view of 16", ehm_upload(d, m, buf, 8));
    REFUSED("norm_pix", ehm_pixel_target(d, &(ehm_pixel_target_args){ehm_view_of(buf, 0, EHM_F32, 3, (int64_t[]){1, 1, 1}),
                                                                     ehm_view_of(buf, 64, EHM_F32, 3, (int64_t[]){1, 1, 1}),
                                                                     ehm_view_of(buf, 128, EHM_I32, 2, (int64_t[]){1, 1}), true}));
    ehm_view labels = ehm_view_of(buf, 128, EHM_I32, 1, (int64_t[]){2});
    REFUSED("neither of target and labels", ehm_xent(d, &(ehm_xent_args){.row_loss = AT(3, 2), .logits = m, .scale = 1}));
    REFUSED("each of target and labels",
            ehm_xent(d, &(ehm_xent_args){.row_loss = AT(3, 2), .logits = m, .target = a, .labels = labels, .scale = 1}));
    REFUSED("class_weight goes with labels",
            ehm_xent(d, &(ehm_xent_args){.row_loss = AT(3, 2), .logits = m, .target = a, .class_weight = AT(4, 2), .scale = 1}));
    REFUSED("scale is inf", ehm_xent(d, &(ehm_xent_args){.row_loss = AT(3, 2), .logits = m, .target = a, .scale = INFINITY}));
    REFUSED("gamma is -1", ehm_focal(d, &(ehm_focal_args){.row_loss = AT(3, 2), .x = m, .target = a, .gamma = -1, .scale = 1}));
    REFUSED("alpha is 25", ehm_focal(d, &(ehm_focal_args){.row_loss = AT(3, 2), .x = m, .target = a, .alpha = 25, .scale = 1}));
    REFUSED("columns of x is 2 but the sides of a box is 4",
            ehm_giou(d, &(ehm_giou_args){.row_loss = AT(3, 2), .x = m, .target = a, .weight = AT(4, 2), .scale = 1}));
    ehm_view rows = ehm_view_of(buf, 0, EHM_F32, 3, (int64_t[]){2, 2, 1}), from = ehm_view_of(buf, 64, EHM_F32, 3, (int64_t[]){2, 2, 1});
    REFUSED("B of idx is 1 but B of out is 2", /* shared by the pictures is [R,K] */
            ehm_mix_rows_fwd(d, &(ehm_mix_rows_fwd_args){rows, from, ehm_view_of(buf, 128, EHM_I32, 3, (int64_t[]){1, 2, 1}), {0}}));
    REFUSED("idx has rank 1, expected 2 or 3", ehm_mix_rows_fwd(d, &(ehm_mix_rows_fwd_args){rows, from, labels, {0}}));
    float back[4] = {9, 9, 9, 9};
    ehm_upload(d, m, back, 8);
    ehm_download(d, back, m, sizeof back); /* failed: zeros, not what happened to be there */
    CHECK(back[0] == 0 && back[3] == 0);
    ehm_buf_free(buf);
    ehm_dev_close(d);
}

/* ---- the device ---- */

TEST(ops, watch_finite) {
    ehm_err err = {0};
    char text[EHM_ERR_TEXT];
    ehm_dev *d = device("ref", 1);
    ehm_buf *buf;
    float host[24];
    REQUIRE_OK(ehm_buf_new(&buf, d, 4096, &err), &err);
    ehm_view x = ehm_view_of(buf, 0, EHM_F32, 3, (int64_t[]){2, 3, 4}), y = ehm_view_of(buf, 64, EHM_F32, 3, (int64_t[]){2, 3, 4});
    for (int i = 0; i < 24; i++) host[i] = 1;
    host[18] = INFINITY;
    ehm_upload(d, x, host, sizeof host);
    ehm_gelu_fwd(d, &(ehm_gelu_fwd_args){y, x});
    CHECK_OK(ehm_dev_check(d, &err), &err); /* nobody watches yet */
    ehm_dev_watch_finite(d, true);
    ehm_dev_label(d, "blocks.3.mlp");
    ehm_gelu_fwd(d, &(ehm_gelu_fwd_args){y, x});
    ehm_dev_label(d, "later");
    ehm_fill(d, &(ehm_fill_args){x, (float)NAN});
    CHECK_FAILS(ehm_dev_check(d, &err), &err, EHM_E_NUMERIC, "gelu_fwd (blocks.3.mlp): out[1,1,2] is inf");
    CHECK_HAS(ehm_err_text(&err, text), "x [2,3,4] f32");
    CHECK(ehm_dev_check(d, NULL) == EHM_E_NUMERIC); /* sticks */
    ehm_dev_reset_error(d);
    ehm_err_clear(&err);
    ehm_fill(d, &(ehm_fill_args){x, 1});
    ehm_gelu_fwd(d, &(ehm_gelu_fwd_args){y, x});
    CHECK_OK(ehm_dev_check(d, &err), &err);
    ehm_view h = ehm_view_of(buf, 256, EHM_BF16, 1, (int64_t[]){700});
    ehm_fill(d, &(ehm_fill_args){h, (float)NAN});
    CHECK_FAILS(ehm_dev_check(d, &err), &err, EHM_E_NUMERIC, "fill (later): x[0] is nan");
    ehm_buf_free(buf);
    ehm_dev_close(d);
}

#ifdef __GLIBC__
/* Nothing is allocated once a shape has been seen: bytes in use stay the same over many steps. */
TEST(ops, no_memory_after_first_call) {
    static const char *const names[] = {"ref", "cpu"};
    for (int k = 0; k < 2; k++) {
        ehm_err err = {0};
        ehm_dev *d;
        if (ehm_dev_open(&d, names[k], 2, &err) == EHM_E_UNSUPPORTED) continue;
        op_case c[EHM_OPS_N];
        op_places p[EHM_OPS_N];
        for (int op = 0; op < EHM_OPS_N; op++) {
            REQUIRE(case_make(&c[op], (ehm_op)op, 2, EHM_F32));
            places_make(&p[op], &c[op], d);
        }
        size_t before = 0;
        for (int round = 0; round < 20; round++) {
            for (int op = 0; op < EHM_OPS_N; op++) c[op].call(d, &c[op], p[op].v);
            if (round == 1) before = mallinfo2().uordblks + mallinfo2().hblkhd;
        }
        CHECK_INT(mallinfo2().uordblks + mallinfo2().hblkhd, before);
        CHECK_OK(ehm_dev_check(d, &err), &err);
        for (int op = 0; op < EHM_OPS_N; op++) places_free(&p[op]), case_free(&c[op]);
        ehm_dev_close(d);
    }
}
#endif

TEST(ops, flops_are_counted_by_shape) {
    ehm_dev *d = device("ref", 1);
    op_case c;
    REQUIRE(case_make(&c, EHM_OP_matmul, 3, EHM_F32));
    case_run(&c, d);
    CHECK_NEAR(ehm_dev_flops(d), 2.0 * 17 * 13 * 11, 0);
    case_free(&c);
    ehm_dev_flops_reset(d);
    REQUIRE(case_make(&c, EHM_OP_attn_fwd, 2, EHM_F32)); /* 1 x 17 tokens, 3 heads of 20 */
    case_run(&c, d);
    CHECK_NEAR(ehm_dev_flops(d), 4.0 * 3 * 17 * 17 * 20, 0);
    case_free(&c);
    REQUIRE(case_make(&c, EHM_OP_attn_bwd, 2, EHM_F32));
    case_run(&c, d);
    CHECK_NEAR(ehm_dev_flops(d), 12.0 * 3 * 17 * 17 * 20, 0);
    case_free(&c);
    ehm_dev_close(d);
}

TEST(ops, devices_by_name) {
    ehm_err err = {0};
    ehm_dev *d;
    char text[EHM_ERR_TEXT];
    CHECK_FAILS(ehm_dev_open(&d, "cpuu", 1, &err), &err, EHM_E_CONFIG, "auto, cuda, cuda:N, cpu, ref");
    CHECK(!d);
    CHECK_HAS(ehm_err_text(&err, text), "--device cpu");
    CHECK_FAILS(ehm_dev_open(&d, "ref", -3, &err), &err, EHM_E_ARG, "-3 threads");
    CHECK_FAILS(ehm_dev_open(&d, NULL, 1, &err), &err, EHM_E_ARG, "no device name");
    ehm_dev_close(NULL);
    ehm_err_clear(&err);
    for (int k = 0; k < 2; k++) {
        ehm_code rc = ehm_dev_open(&d, backends[k], 2, &err);
        if (rc == EHM_E_UNSUPPORTED) continue;
        REQUIRE_OK(rc, &err);
        CHECK_STR(ehm_dev_name(d), backends[k]);
        CHECK(ehm_dev_describe(d)[0] && !strchr(ehm_dev_describe(d), '\n'));
        CHECK(ehm_dev_real(d) == EHM_F32);
        CHECK(!ehm_dev_pool(d) || ehm_pool_threads(ehm_dev_pool(d)) == 2);
        CHECK(ehm_dev_same_bits_any_threads(d) == !strcmp(backends[k], "ref") || k == 1);
        ehm_dev_close(d);
    }
    REQUIRE_OK(ehm_dev_open(&d, "auto", 0, &err), &err);
    CHECK(!strcmp(ehm_dev_name(d), "cpu") || !strcmp(ehm_dev_name(d), "ref"));
    ehm_dev_close(d);
    REQUIRE_OK(ehm_dev_open(&d, "ref64", 1, &err), &err);
    CHECK(ehm_dev_real(d) == EHM_F64);
    ehm_dev_close(d);
}

TEST(ops, views) {
    ehm_view v = ehm_view_of(NULL, 10, EHM_F32, 3, (int64_t[]){4, 3, 2});
    CHECK_INT(ehm_view_count(v), 24);
    CHECK_INT(ehm_view_bytes(v), 96);
    ehm_view r = ehm_view_rows(v, 1, 2);
    CHECK_INT(r.offset, 16);
    CHECK_INT(r.dim[0], 2);
    CHECK_INT(ehm_view_rows(v, 3, 2).dim[0], -1);
    CHECK_INT(ehm_view_rows(v, -1, 2).dim[0], -1);
    CHECK_INT(ehm_view_rows(v, INT64_MAX, 2).dim[0], -1);
    ehm_view s = ehm_view_reshape(v, 2, (int64_t[]){8, 3});
    CHECK(s.rank == 2 && s.dim[0] == 8 && s.offset == 10);
    CHECK_INT(ehm_view_reshape(v, 2, (int64_t[]){8, 4}).dim[0], -1);
    CHECK_INT(ehm_view_count(ehm_view_none()), 0);
}

/* [B,N,D] where [R,D] stands: the same as the flat view. */
TEST(ops, leading_dims_are_rows) {
    ehm_err err = {0};
    ehm_dev *d = device("ref", 1);
    ehm_buf *buf;
    float host[24], a[4], b[4];
    REQUIRE_OK(ehm_buf_new(&buf, d, 4096, &err), &err);
    for (int i = 0; i < 24; i++) host[i] = (float)(i * i % 7);
    ehm_view x = ehm_view_of(buf, 0, EHM_F32, 3, (int64_t[]){2, 3, 4}), out = ehm_view_of(buf, 64, EHM_F32, 1, (int64_t[]){4});
    ehm_upload(d, x, host, sizeof host);
    ehm_colsum(d, &(ehm_colsum_args){out, x, false});
    ehm_download(d, a, out, sizeof a);
    ehm_colsum(d, &(ehm_colsum_args){out, ehm_view_reshape(x, 2, (int64_t[]){6, 4}), false});
    ehm_download(d, b, out, sizeof b);
    CHECK_OK(ehm_dev_check(d, &err), &err);
    CHECK(!memcmp(a, b, sizeof a));
    CHECK(a[0] == host[0] + host[4] + host[8] + host[12] + host[16] + host[20]);
    ehm_buf_free(buf);
    ehm_dev_close(d);
}
