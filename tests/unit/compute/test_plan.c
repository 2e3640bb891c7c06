#include "compute/plan.h"
#include "harness.h"

static ehm_dev *dev_open(void) {
    ehm_err err = {0};
    ehm_dev *d = NULL;
    REQUIRE_OK(ehm_dev_open(&d, "ref", 1, &err), &err);
    return d;
}

typedef struct { ehm_view w, b, m, act, s1, s2, s3; } places;

static void plan_all(ehm_plan *p, places *v) {
    v->w = ehm_plan_2d(p, EHM_MEM_PARAM, "fc.weight", EHM_F32, 5, 7);
    v->b = ehm_plan_1d(p, EHM_MEM_PARAM, "fc.bias", EHM_F32, 5);
    v->m = ehm_plan_2d(p, EHM_MEM_STATE, "fc.weight.m", EHM_F32, 5, 7);
    v->act = ehm_plan_3d(p, EHM_MEM_CACHE, NULL, EHM_BF16, 3, 5, 7);
    size_t mark = ehm_plan_mark(p);
    v->s1 = ehm_plan_1d(p, EHM_MEM_SCRATCH, NULL, EHM_F32, 100);
    v->s2 = ehm_plan_1d(p, EHM_MEM_SCRATCH, NULL, EHM_F32, 10);
    ehm_plan_release(p, mark);
    v->s3 = ehm_plan_1d(p, EHM_MEM_SCRATCH, NULL, EHM_F64, 20);
}

TEST(plan, two_passes) {
    ehm_err err = {0};
    ehm_dev *d = dev_open();
    ehm_plan p;
    places v;
    ehm_plan_begin(&p, d);
    plan_all(&p, &v);
    CHECK(!v.w.buf);
    /* 5*7*4 = 140 -> 192, 5*4 = 20 -> 64 */
    CHECK_INT(ehm_plan_bytes(&p, EHM_MEM_PARAM), 256);
    CHECK_INT(ehm_plan_bytes(&p, EHM_MEM_STATE), 192);
    CHECK_INT(ehm_plan_bytes(&p, EHM_MEM_CACHE), 256);
    CHECK_INT(ehm_plan_bytes(&p, EHM_MEM_SCRATCH), 448 + 64);
    CHECK_INT(ehm_plan_bytes(&p, EHM_MEM_GRAD), 0);
    CHECK_INT(ehm_plan_bytes_all(&p), 256 + 192 + 256 + 512);
    REQUIRE_OK(ehm_plan_commit(&p, &err), &err);
    CHECK_INT(ehm_plan_bytes(&p, EHM_MEM_SCRATCH), 512);
    plan_all(&p, &v);
    REQUIRE_OK(ehm_plan_end(&p, &err), &err);
    CHECK(v.w.buf && v.w.buf == v.b.buf && v.w.buf != v.m.buf);
    CHECK_INT(v.w.offset, 0);
    CHECK_INT(v.b.offset, 48);
    CHECK_INT(v.s1.offset, 0);
    CHECK_INT(v.s2.offset, 112);
    CHECK_INT(v.s3.offset, 0); /* the place of s1 again */
    CHECK_INT(ehm_buf_bytes(v.s1.buf), 512);
    REQUIRE(p.n_entries == 3);
    CHECK_STR(p.entries[0].name, "fc.weight");
    CHECK_STR(p.entries[2].name, "fc.weight.m");
    CHECK(p.entries[2].kind == EHM_MEM_STATE && p.entries[2].view.buf == v.m.buf);
    float got[5] = {1, 2, 3, 4, 5};
    ehm_download(d, got, v.b, sizeof got);
    for (int i = 0; i < 5; i++) CHECK(got[i] == 0);
    CHECK_OK(ehm_dev_check(d, &err), &err);
    ehm_plan_free(&p);
    ehm_plan_free(&p);
    ehm_dev_close(d);
}

/* What the second pass does differently, and what the message must name. */
static void other_pass(int how, const char *part) {
    ehm_err err = {0};
    ehm_dev *d = dev_open();
    ehm_plan p;
    ehm_plan_begin(&p, d);
    for (int pass = 1; pass <= 2; pass++) {
        bool second = pass == 2;
        ehm_plan_1d(&p, EHM_MEM_PARAM, second && how == 0 ? "b" : "a", EHM_F32, 8);
        if (!(second && how == 1)) ehm_plan_1d(&p, EHM_MEM_STATE, "m", EHM_F32, second && how == 2 ? 9 : 8);
        if (second && how == 3) ehm_plan_1d(&p, EHM_MEM_STATE, "extra", EHM_F32, 8);
        ehm_plan_1d(&p, EHM_MEM_CACHE, "act", EHM_F32, second && how == 4 ? 100 : 8);
        ehm_plan_1d(&p, EHM_MEM_SCRATCH, NULL, EHM_F32, second && how == 5 ? 1 : 80);
        ehm_plan_1d(&p, EHM_MEM_GRAD, NULL, second && how == 6 ? EHM_BF16 : EHM_F32, 8);
        if (!second) REQUIRE_OK(ehm_plan_commit(&p, &err), &err);
    }
    CHECK_FAILS(ehm_plan_end(&p, &err), &err, EHM_E_MISMATCH, part);
    ehm_plan_free(&p);
    ehm_dev_close(d);
}

TEST(plan, passes_that_differ) {
    other_pass(0, "\"b\"");
    other_pass(1, "\"m\"");
    other_pass(2, "9 values");
    other_pass(3, "state");
    other_pass(4, "activations");
    other_pass(5, "scratch");
    other_pass(6, "other places");
}

TEST(plan, sizes_that_do_not_fit) {
    const int64_t huge[4] = {INT64_C(1) << 40, INT64_C(1) << 40, 4, 4}, none[2] = {3, 0}, negative[2] = {3, -1};
    ehm_err err = {0};
    ehm_dev *d = dev_open();
    ehm_plan p;
    ehm_plan_begin(&p, d);
    ehm_plan_view(&p, EHM_MEM_CACHE, "big", EHM_F32, 4, huge);
    CHECK_FAILS(ehm_plan_commit(&p, &err), &err, EHM_E_MEMORY, "big");
    ehm_plan_free(&p);
    ehm_plan_begin(&p, d);
    ehm_plan_view(&p, EHM_MEM_CACHE, "empty", EHM_F32, 2, none);
    CHECK_FAILS(ehm_plan_commit(&p, &err), &err, EHM_E_MEMORY, "dims 3 0");
    ehm_plan_free(&p);
    ehm_plan_begin(&p, d);
    ehm_plan_view(&p, EHM_MEM_PARAM, "odd", EHM_F32, 2, negative);
    CHECK_FAILS(ehm_plan_commit(&p, &err), &err, EHM_E_MEMORY, "odd");
    ehm_plan_free(&p);
    ehm_plan_begin(&p, d);
    ehm_plan_1d(&p, EHM_MEM_PARAM, NULL, EHM_F32, 8);
    CHECK_FAILS(ehm_plan_commit(&p, &err), &err, EHM_E_ARG, "name");
    ehm_plan_free(&p);
    ehm_plan_begin(&p, d);
    CHECK_FAILS(ehm_plan_end(&p, &err), &err, EHM_E_ARG, "committed");
    ehm_plan_free(&p);
    ehm_dev_close(d);
}

TEST(plan, more_than_there_is) {
    ehm_err err = {0};
    char text[EHM_ERR_TEXT];
    ehm_dev *d = dev_open();
    ehm_plan p;
    ehm_plan_begin(&p, d);
    ehm_plan_1d(&p, EHM_MEM_PARAM, "w", EHM_F32, 1 << 20);
    ehm_plan_1d(&p, EHM_MEM_CACHE, NULL, EHM_F32, INT64_C(1) << 42); /* 16 TiB */
    CHECK_FAILS(ehm_plan_commit(&p, &err), &err, EHM_E_MEMORY, "activations 16.0 TiB");
    CHECK_HAS(ehm_err_text(&err, text), "--batch-size");
    CHECK_HAS(text, "parameters 4.00 MiB");
    CHECK_HAS(text, "free");
    CHECK_INT(ehm_plan_bytes(&p, EHM_MEM_PARAM), 4 << 20); /* `ehm plan` can still print it */
    ehm_plan_free(&p);
    ehm_plan_begin(&p, d);
    ehm_plan_1d(&p, EHM_MEM_PARAM, "w", EHM_F32, INT64_C(1) << 42);
    CHECK_FAILS(ehm_plan_commit(&p, &err), &err, EHM_E_MEMORY, "--preset");
    ehm_plan_free(&p);
    ehm_dev_close(d);
}
