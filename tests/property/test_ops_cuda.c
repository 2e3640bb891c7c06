/* The kernels of the CUDA back end, run on the host by tests/cuda_emu: every op against ref, the same bits from one time to the next and
 * whichever way the threads of a block run, and what the plug-in and its device say when something is missing. */
#include "compute/cuda_plugin.h"
#include "compute/plan.h"
#include "ops_against.h"
#include <pthread.h>
#include <stdlib.h>

static void emulate(const char *order) {
    setenv("EHM_CUDA_PLUGIN", EHM_CUDA_EMU, 1);
    setenv("EHM_EMU_ORDER", order, 1);
    setenv("EHM_CUDA_GEMM", "own", 1);
}

TEST(cuda, f32) {
    emulate("up");
    against_ref("cuda", EHM_F32);
}
TEST(cuda, bf16) {
    emulate("up");
    against_ref("cuda", EHM_BF16);
}

/* Products by a library in place of our own kernel: one that takes a bias of out's type, as cuBLASLt says, and one that takes none. */
TEST(cuda, products_of_a_library) {
    emulate("up");
    unsetenv("EHM_CUDA_GEMM");
    products_against_ref("cuda");
    setenv("EHM_EMU_BLAS", "no-bias", 1);
    products_against_ref("cuda");
    unsetenv("EHM_EMU_BLAS");
}

/* Threads and blocks from the first to the last, and from the last to the first: what one writes while another reads it would show. */
static void either_way(ehm_dtype act) {
    emulate("up");
    ehm_dev *d = device("cuda", 1);
    for (int op = 0; op < EHM_OPS_N; op++) {
        op_case a, b;
        for (int i = 0; case_make(&a, (ehm_op)op, i, act); i++) {
            REQUIRE(case_make(&b, (ehm_op)op, i, act));
            emulate("up");
            REQUIRE(case_run(&a, d));
            emulate("down");
            REQUIRE(case_run(&b, d));
            for (int k = 0; k < a.n; k++)
                if (a.t[k].role != IN && memcmp(a.t[k].got, b.t[k].got, (size_t)a.t[k].n * sizeof(double)))
                    ehm_test_fail(__FILE__, __LINE__, "%s: %s depends on the order of threads", case_name(&a, d), a.t[k].name);
            case_free(&a);
            case_free(&b);
        }
    }
    ehm_dev_close(d);
}
TEST(cuda, order_of_threads) {
    either_way(EHM_F32);
    either_way(EHM_BF16);
}

/* ---- what is missing is said ---- */

static void refused(const char *name, ehm_code code, const char *part) {
    ehm_dev *d;
    ehm_err err = {0};
    CHECK_FAILS(ehm_dev_open(&d, name, 1, &err), &err, code, part);
    CHECK(d == NULL);
}

TEST(cuda, plugin_refused) {
    char path[512];
    setenv("EHM_CUDA_PLUGIN", "libehm_cuda.so", 1);
    refused("cuda", EHM_E_CONFIG, "must be an absolute path");
    setenv("EHM_CUDA_PLUGIN", "/nowhere/libehm_cuda.so", 1);
    refused("cuda", EHM_E_UNSUPPORTED, "/nowhere/libehm_cuda.so, is not there");
    snprintf(path, sizeof path, "%s/README.md", EHM_SOURCE_ROOT);
    setenv("EHM_CUDA_PLUGIN", path, 1);
    refused("cuda", EHM_E_UNSUPPORTED, "cannot be opened");
    setenv("EHM_CUDA_PLUGIN", EHM_CUDA_OTHER, 1);
    refused("cuda", EHM_E_MISMATCH, "belongs to another build: version 0.0.0");
    refused("auto", EHM_E_MISMATCH, "belongs to another build"); /* a mistake that is better told than passed over */
}

TEST(cuda, device_refused) {
    ehm_dev *d;
    ehm_err err = {0};
    emulate("up");
    refused("cuda:1", EHM_E_CONFIG, "there is 1 here, counted from 0");
    refused("cuda:", EHM_E_CONFIG, "\"cuda:\" is not known");
    refused("cuda:x", EHM_E_CONFIG, "is not known");
    refused("cude", EHM_E_CONFIG, "there are auto, cuda, cuda:N, cpu");
    setenv("EHM_EMU_DRIVER", "12040", 1);
    refused("cuda", EHM_E_UNSUPPORTED, "is for CUDA up to 12.4, and CUDA 13.0 is needed");
    setenv("EHM_EMU_DRIVER", "0", 1);
    refused("cuda", EHM_E_UNSUPPORTED, "no NVIDIA driver");
    unsetenv("EHM_EMU_DRIVER");
    setenv("EHM_EMU_DEVICES", "0", 1);
    refused("cuda", EHM_E_UNSUPPORTED, "no NVIDIA GPU is seen");
    REQUIRE_OK(ehm_dev_open(&d, "auto", 1, &err), &err); /* none: the processor then */
    CHECK_STR(ehm_dev_name(d), "cpu");
    ehm_dev_close(d);
    unsetenv("EHM_EMU_DEVICES");
    REQUIRE_OK(ehm_dev_open(&d, "auto", 1, &err), &err);
    CHECK_STR(ehm_dev_name(d), "cuda");
    CHECK(ehm_dev_pool(d) != NULL); /* threads of the host for trees and masks */
    ehm_dev_close(d);
}

TEST(cuda, memory) {
    ehm_dev *d;
    ehm_err err = {0};
    ehm_buf *buf;
    ehm_plan plan;
    bool own;
    emulate("up");
    setenv("EHM_EMU_BYTES", "1048576", 1);
    REQUIRE_OK(ehm_dev_open(&d, "cuda:0", 1, &err), &err);
    CHECK_INT(ehm_dev_available(d, &own), 1048576 - 1048576 / 64); /* a little is kept */
    CHECK(own);
    CHECK_FAILS(ehm_buf_new(&buf, d, 2 << 20, &err), &err, EHM_E_MEMORY, "buffer of 2.00 MiB; 1008 KiB are free");
    ehm_err_clear(&err);
    ehm_plan_begin(&plan, d);
    ehm_plan_1d(&plan, EHM_MEM_CACHE, NULL, EHM_F32, 1 << 20);
    CHECK_FAILS(ehm_plan_commit(&plan, &err), &err, EHM_E_MEMORY, "4.00 MiB of the device's memory");
    CHECK(strstr(err.hint, "--batch-size") != NULL);
    ehm_plan_free(&plan);
    ehm_err_clear(&err);
    /* What is new is zero, and what goes there comes back. */
    float x[100], y[100];
    for (int i = 0; i < 100; i++) x[i] = (float)i;
    REQUIRE_OK(ehm_buf_new(&buf, d, sizeof x, &err), &err);
    ehm_view v = ehm_view_1d(buf, EHM_F32, 100);
    ehm_download(d, y, v, sizeof y);
    for (int i = 0; i < 100; i++) CHECK(y[i] == 0);
    ehm_upload(d, v, x, sizeof x);
    memset(x, 0, sizeof x); /* an upload has taken what it needs */
    ehm_download(d, y, v, sizeof y);
    for (int i = 0; i < 100; i++) CHECK(y[i] == (float)i);
    CHECK_OK(ehm_dev_check(d, &err), &err);
    ehm_buf_free(buf);
    ehm_dev_close(d);
    unsetenv("EHM_EMU_BYTES");
}

TEST(cuda, complete) {
    const ehm_backend *be;
    ehm_err err = {0};
    emulate("up");
    REQUIRE_OK(ehm_cuda_backend(&be, &err), &err);
#define OP(name_, what, tol_f32, tol_bf16, bwd) \
    if (!be->name_) ehm_test_fail(__FILE__, __LINE__, "the CUDA back end has no %s", #name_);
#include "compute/ops.def"
#undef OP
}

/* ---- sections and what travels ahead ---- */

typedef struct { ehm_dev *d; ehm_buf *buf; ehm_view x, y, sum; int32_t bodies; } sums;

static void sums_open(sums *s, const char *name, const char *late) {
    ehm_err err = {0};
    emulate("up");
    setenv("EHM_EMU_LATE", late, 1);
    *s = (sums){.d = device(name, 1)};
    REQUIRE_OK(ehm_buf_new(&s->buf, s->d, 3 * 4096, &err), &err);
    s->x = ehm_view_1d(s->buf, EHM_F32, 1024), s->y = s->x, s->sum = s->x;
    s->y.offset = 1024, s->sum.offset = 2048;
}
static void sums_close(sums *s) {
    ehm_buf_free(s->buf);
    ehm_dev_close(s->d);
    unsetenv("EHM_EMU_LATE");
}
/* sum += a * x, as a section. */
static void add(sums *s, ehm_view x, float a) {
    uint64_t key = (uint64_t)x.offset * 8 + (uint64_t)a;
    while (ehm_dev_section(s->d, key)) {
        s->bodies++;
        ehm_axpby(s->d, &(ehm_axpby_args){.out = s->sum, .x = x, .a = a, .b = 1});
        ehm_dev_section_end(s->d);
    }
}
static float first_of(sums *s, ehm_view v) {
    float all[1024];
    ehm_err err = {0};
    ehm_download(s->d, all, v, sizeof all);
    CHECK_OK(ehm_dev_check(s->d, &err), &err);
    for (int i = 1; i < 1024; i++) REQUIRE(all[i] == all[0]);
    return all[0];
}
static void set(sums *s, ehm_view v, float value) { ehm_fill(s->d, &(ehm_fill_args){.x = v, .value = value}); }

TEST(cuda, section) {
    sums s;
    sums_open(&s, "cuda", "");
    set(&s, s.x, 1), set(&s, s.y, 100), set(&s, s.sum, 0);
    for (int i = 0; i < 5; i++) add(&s, s.x, 1), add(&s, s.x, 2), add(&s, s.y, 1);
    CHECK_INT(s.bodies, 6); /* each once as it is, once recorded */
    CHECK(first_of(&s, s.sum) == 515);
    set(&s, s.x, 2); /* numbers may change, and places may not */
    add(&s, s.x, 2);
    CHECK_INT(s.bodies, 6);
    CHECK(first_of(&s, s.sum) == 519);
    /* Memory that was given back could be what a recording uses: it is made anew. */
    ehm_buf *other;
    ehm_err err = {0};
    REQUIRE_OK(ehm_buf_new(&other, s.d, 64, &err), &err);
    add(&s, s.x, 1);
    CHECK_INT(s.bodies, 6);
    ehm_buf_free(other);
    add(&s, s.x, 1);
    CHECK_INT(s.bodies, 7);
    CHECK(first_of(&s, s.sum) == 523);
    /* Watched ops are looked at one by one. */
    ehm_dev_watch_finite(s.d, true);
    add(&s, s.x, 1);
    CHECK_INT(s.bodies, 8);
    ehm_dev_watch_finite(s.d, false);
    /* More keys than are kept run as they are. */
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 40; k++) add(&s, s.x, (float)(10 + k));
    CHECK(first_of(&s, s.sum) == 525 + 2 * 3 * (40 * 10 + 780));
    sums_close(&s);
}

/* Something spoils the recording, here a body that asks for memory: everything still runs, once. */
TEST(cuda, section_spoilt) {
    sums s;
    ehm_err err = {0};
    ehm_buf *b[4] = {NULL};
    sums_open(&s, "cuda", "");
    set(&s, s.x, 1), set(&s, s.sum, 0);
    for (int i = 0; i < 3; i++)
        while (ehm_dev_section(s.d, 7)) {
            ehm_axpby(s.d, &(ehm_axpby_args){.out = s.sum, .x = s.x, .a = 1, .b = 1});
            (void)ehm_buf_new(&b[s.bodies++], s.d, 64, &err);
            ehm_err_clear(&err);
            ehm_dev_section_end(s.d);
        }
    CHECK_INT(s.bodies, 4); /* as it is; spoilt; in its place; as it is */
    CHECK(first_of(&s, s.sum) == 3);
    for (int i = 0; i < 4; i++) ehm_buf_free(b[i]);
    sums_close(&s);
    setenv("EHM_CUDA_GRAPH", "off", 1);
    sums_open(&s, "cuda", "");
    set(&s, s.x, 1), set(&s, s.sum, 0);
    for (int i = 0; i < 3; i++) add(&s, s.x, 1);
    CHECK_INT(s.bodies, 3);
    CHECK(first_of(&s, s.sum) == 3);
    sums_close(&s);
    unsetenv("EHM_CUDA_GRAPH");
}

TEST(cuda, flops_of_sections) {
    sums s;
    ehm_err err = {0};
    sums_open(&s, "cuda", "");
    ehm_view a = ehm_view_2d(s.buf, EHM_F32, 16, 16), b = a, c = a;
    b.offset = 1024, c.offset = 2048;
    for (int i = 0; i < 4; i++)
        while (ehm_dev_section(s.d, 1)) {
            ehm_matmul(s.d, &(ehm_matmul_args){.out = c, .a = a, .b = b});
            ehm_dev_section_end(s.d);
        }
    CHECK_OK(ehm_dev_check(s.d, &err), &err);
    CHECK(ehm_dev_flops(s.d) == 4 * 2.0 * 16 * 16 * 16);
    sums_close(&s);
}

/* What is sent ahead comes before the ops that follow, and after those before: whichever of the two streams is late. */
static void ahead(const char *late) {
    sums s;
    float values[1024];
    sums_open(&s, "cuda", late);
    set(&s, s.sum, 0), set(&s, s.x, 1);
    (void)first_of(&s, s.x);
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 1024; k++) values[k] = (float)(10 + i);
        add(&s, i % 2 ? s.y : s.x, 1);
        ehm_upload_ahead(s.d, i % 2 ? s.x : s.y, values, sizeof values);
        memset(values, 0, sizeof values);
        if (i % 2) CHECK(first_of(&s, s.x) == (float)(10 + i)); /* or the next one would be written while the last is read */
        else (void)first_of(&s, s.sum);
    }
    CHECK(first_of(&s, s.sum) == 1 + 10 + 11 + 12);
    sums_close(&s);
}
TEST(cuda, ahead) {
    ahead("");
    ahead("ops");
    ahead("copies");
}

/* ---- the second GPU, from another thread than the one that opened it ---- */

static void *in_a_thread(void *ctx) {
    sums *s = ctx;
    set(s, s->x, 2);
    for (int i = 0; i < 3; i++) add(s, s->x, 1);
    return NULL;
}
TEST(cuda, second_device) {
    pthread_t thread;
    sums s, first;
    emulate("up");
    setenv("EHM_EMU_DEVICES", "2", 1);
    sums_open(&s, "cuda:1", ""), sums_open(&first, "cuda:0", ""); /* which is the current one now */
    set(&s, s.sum, 0), set(&first, first.sum, 5);
    REQUIRE(!pthread_create(&thread, NULL, in_a_thread, &s) && !pthread_join(thread, NULL));
    CHECK(first_of(&s, s.sum) == 6 && first_of(&first, first.sum) == 5);
    sums_close(&first), sums_close(&s);
    unsetenv("EHM_EMU_DEVICES");
}
