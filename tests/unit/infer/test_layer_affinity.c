/* Similarities of single layers from one pass are those of a pass for each, and their mean is that of all. */
#include "harness.h"
#include "infer/layer_affinity.h"

enum { L = 64, PX = 64 * 64 * 3, N = 18, DEPTH = 4 }; /* more pictures than are looked at at once */

typedef struct {
    ehm_model *m;
    uint8_t *px;
    float *layers, *want;
    ehm_err err;
} setup;

static void open_setup(setup *t) {
    *t = (setup){.px = malloc(N * PX), .layers = malloc(sizeof(float) * DEPTH * N * L * L), .want = malloc(sizeof(float) * N * L * L)};
    for (int32_t i = 0; i < N * PX; i++) t->px[i] = (uint8_t)((uint32_t)i * 2654435761u >> 24);
    REQUIRE_OK(ehm_model_open(&t->m, "untrained:pico", &(ehm_model_opt){.device = "cpu", .threads = 2, .dtype = "f32", .batch = N}, &t->err), &t->err);
}

static void close_setup(setup *t) {
    ehm_model_close(t->m);
    free(t->px), free(t->layers), free(t->want);
}

static void check_each(setup *t, const ehm_affinity_opt *o, bool fallen) {
    bool fell_back = !fallen;
    REQUIRE_OK(ehm_model_layer_affinity(t->m, o, t->px, EHM_U8, N, t->layers, &fell_back, &t->err), &t->err);
    CHECK_INT(fell_back, fallen);
    for (int32_t k = 0; k < o->n_layers; k++) {
        ehm_affinity_opt one = *o;
        one.n_layers = 1, one.layer[0] = o->layer[k];
        REQUIRE_OK(ehm_model_affinity(t->m, &one, t->px, EHM_U8, N, t->want, NULL, NULL, NULL, &t->err), &t->err);
        CHECK_CLOSE_F32(t->layers + k * N * L * L, t->want, N * L * L, 1e-6);
    }
    REQUIRE_OK(ehm_model_affinity(t->m, o, t->px, EHM_U8, N, t->want, NULL, NULL, NULL, &t->err), &t->err);
    for (int32_t i = 0; i < N * L * L; i++) {
        for (int32_t k = 1; k < o->n_layers; k++) t->layers[i] += t->layers[k * N * L * L + i];
        t->layers[i] /= (float)o->n_layers;
    }
    CHECK_CLOSE_F32(t->layers, t->want, N * L * L, 1e-5);
}

TEST(layer_affinity, is_that_of_each_layer) {
    setup t;
    open_setup(&t);
    ehm_affinity_opt o = {.kind = EHM_SIM_PROFILE, .n_layers = 4, .layer = {0, 1, 2, 3}};
    check_each(&t, &o, false);
    o.per_head = true;
    check_each(&t, &o, false);
    o = (ehm_affinity_opt){.kind = EHM_SIM_DIRECT, .raw_rows = true, .n_layers = 2, .layer = {1, 2}};
    check_each(&t, &o, false);
    o.standardise = true;
    check_each(&t, &o, false);
    close_setup(&t);
}

TEST(layer_affinity, residual_with_and_without_a_mean) {
    setup t;
    open_setup(&t);
    ehm_affinity_opt o = {.kind = EHM_SIM_RESIDUAL, .n_layers = 3, .layer = {0, 2, 3}};
    check_each(&t, &o, true);
    REQUIRE_OK(ehm_model_learn_mean(t.m, &o, t.px, EHM_U8, N, &t.err), &t.err);
    REQUIRE_OK(ehm_model_learn_mean(t.m, &o, NULL, EHM_U8, 0, &t.err), &t.err);
    check_each(&t, &o, false);
    CHECK_FAILS(ehm_model_layer_affinity(t.m, &o, t.px, EHM_U8, N + 1, t.layers, NULL, &t.err), &t.err, EHM_E_ARG, "similarity of 19 pictures");
    close_setup(&t);
}
