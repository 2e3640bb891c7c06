/* What a token attends to: rollout as NumPy multiplies it, and maps that are the model's attention. */
#include "base/file.h"
#include "draw/attention.h"
#include "harness.h"

TEST(attention_maps, rollout_agrees_with_numpy) {
    enum { BLOCKS = 5, N = 10 };
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_bytes file;
    static float A[BLOCKS * N * N];
    double row[N], scratch[N];
    char *end;
    REQUIRE_OK(ehm_file_read(&file, ehm_test_path("tests/golden/draw/rollout.txt"), &a, &err), &err);
    char *p = (char *)file.data;
    REQUIRE(strtol(p, &end, 10) == BLOCKS && strtol(end, &end, 10) == N);
    for (int32_t i = 0; i < BLOCKS * N * N; i++) A[i] = strtof(end, &end);
    for (int32_t which = 0; which < 2; which++) {
        memset(row, 0, sizeof row);
        row[which ? 5 : 0] = 1;
        for (int32_t b = BLOCKS - 1; b >= 0; b--) ehm_rollout_step(row, A + b * N * N, N, scratch);
        double sum = 0;
        for (int32_t i = 0; i < N; i++) {
            CHECK_NEAR(row[i], strtod(end, &end), 1e-8);
            sum += row[i];
        }
        CHECK_NEAR(sum, 1, 1e-12);
    }
    ehm_arena_free(&a);
}

typedef struct {
    ehm_arena a;
    ehm_model *m;
    ehm_dataset *ds;
    ehm_study s;
} scene;

static void open(scene *t) {
    ehm_err err = {0};
    int32_t n;
    const char *spec = "scenes:5:1";
    REQUIRE_OK(ehm_model_open(&t->m, "untrained:pico", &(ehm_model_opt){.device = "cpu", .threads = 1, .batch = 1}, &err), &err);
    REQUIRE_OK(ehm_dataset_open(&t->ds, &(ehm_strs){&spec, 1}, &(ehm_dataset_opt){.channels = 3, .ignore_label = -1}, &err), &err);
    REQUIRE_OK(ehm_study_read(&t->s, &n, &(ehm_study_source){.model = t->m, .pictures = t->ds}, 1, &t->a, &err), &err);
}
static void closed(scene *t) {
    ehm_dataset_close(t->ds);
    ehm_model_close(t->m);
    ehm_arena_free(&t->a);
}

enum { L = 64, N1 = L + 1, H = 4, DEPTH = 4 };

TEST(attention_maps, are_rows_and_columns) {
    scene t = {0};
    ehm_err err = {0};
    ehm_look l;
    ehm_image sheet;
    static float A[H * N1 * N1], M[N1 * N1];
    static double product[N1 * N1], next[N1 * N1];
    open(&t);
    const ehm_look_opt opts[] = {{-1, -1}, {1, -1}, {1, 19}};
    for (size_t o = 0; o < 3; o++) {
        int32_t token = 1 + opts[o].i_patch, block = opts[o].i_block < 0 ? DEPTH - 1 : opts[o].i_block;
        REQUIRE_OK(ehm_look_at(&l, &t.s, t.m, &opts[o], &t.a, &err), &err);
        CHECK_INT(l.n_maps, H + 2);
        CHECK_INT(l.opt.i_block, block);
        REQUIRE_OK(ehm_model_attention(t.m, t.s.pixels, t.s.type, 1, block, true, A, &err), &err);
        for (int32_t i = 0; i < L; i++) {
            double mean = 0, column = 0;
            for (int32_t h = 0; h < H; h++) {
                mean += (double)A[(h * N1 + token) * N1 + 1 + i] / H, column += (double)A[(h * N1 + 1 + i) * N1 + token] / H;
                CHECK(l.maps[(h + 1) * L + i] == A[(h * N1 + token) * N1 + 1 + i]);
                if (o == 2) CHECK(l.other[(h + 1) * L + i] == A[(h * N1 + 1 + i) * N1 + token]);
            }
            CHECK_NEAR(l.maps[i], mean, 1e-7);
            if (o == 2) CHECK_NEAR(l.other[i], column, 1e-7);
        }
        /* rollout as a product of matrices, first block rightmost */
        for (int32_t i = 0; i < N1 * N1; i++) product[i] = i % (N1 + 1) == 0;
        for (int32_t b = 0; b <= block; b++) {
            REQUIRE_OK(ehm_model_attention(t.m, t.s.pixels, t.s.type, 1, b, false, M, &err), &err);
            memset(next, 0, sizeof next);
            for (int32_t i = 0; i < N1; i++)
                for (int32_t k = 0; k < N1; k++)
                    for (int32_t j = 0; j < N1; j++) next[i * N1 + j] += (0.5 * (double)M[i * N1 + k] + 0.5 * (i == k)) * product[k * N1 + j];
            memcpy(product, next, sizeof product);
        }
        for (int32_t i = 0; i < L; i++) CHECK_NEAR(l.maps[(H + 1) * L + i], product[token * N1 + 1 + i], 1e-6);
        CHECK_STR(l.names[0], "mean of heads");
        CHECK_STR(l.names[H + 1], o ? "rollout, blocks 1 to 2" : "rollout, blocks 1 to 4");
        REQUIRE_OK(ehm_look_sheet(&sheet, &l, &t.s, &t.a, &err), &err);
        CHECK_INT(sheet.w, 2 * 14 + 7 * (256 + 12) - 12); /* picture, mean, four heads, rollout */
    }
    CHECK_INT(l.n_other, H + 1);
    closed(&t);
}

/* What patches receive: columns summed over patches, in the order of blocks. */
TEST(attention_maps, received) {
    scene t = {0};
    ehm_err err = {0};
    ehm_look l;
    static float M[N1 * N1];
    open(&t);
    REQUIRE_OK(ehm_look_at(&l, &t.s, t.m, &(ehm_look_opt){-1, -1}, &t.a, &err), &err);
    REQUIRE(l.n_other == 4);
    const int32_t blocks[3] = {0, 2, 3};
    for (int32_t m = 0; m < 3; m++) {
        char name[32];
        snprintf(name, sizeof name, "block %d", blocks[m] + 1);
        CHECK_STR(l.other_names[m], name);
        REQUIRE_OK(ehm_model_attention(t.m, t.s.pixels, t.s.type, 1, blocks[m], false, M, &err), &err);
        for (int32_t i = 0; i < L; i++) {
            double sum = 0;
            for (int32_t q = 1; q < N1; q++) sum += (double)M[q * N1 + 1 + i];
            CHECK_NEAR(l.other[m * L + i], sum, 1e-5);
        }
    }
    CHECK_FAILS(ehm_look_at(&l, &t.s, t.m, &(ehm_look_opt){4, -1}, &t.a, &err), &err, EHM_E_ARG, "block 4");
    CHECK_FAILS(ehm_look_at(&l, &t.s, t.m, &(ehm_look_opt){0, 64}, &t.a, &err), &err, EHM_E_ARG, "patch 64");
    closed(&t);
}
