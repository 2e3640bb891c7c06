/* The encoder by itself: a second weight set, taps on the way, passes smaller than planned. */
#include "../recipe/mae_golden.h"
#include "net/pixels.h"
#include "net/vit.h"

typedef struct {
    ehm_arena a;
    ehm_params ps;
    ehm_vit_encoder enc;
    ehm_weights online, average;
    ehm_vit_encoder_pass pass;
    ehm_pixels px;
    ehm_plan plan;
    ehm_vit_route route; ehm_view patches, probs, probs_per_head, hidden;
    golden g;
} fixture;

enum { BATCH = 4 };

static void plan_all(fixture *f, ehm_plan *plan) {
    const ehm_vit_shape *s = &f->g.shape;
    int64_t L = s->n_patches, N = 1 + L, n = f->g.n;
    ehm_weights_plan(&f->online, &f->ps, plan, EHM_MEM_PARAM, "", EHM_F32);
    ehm_weights_plan(&f->average, &f->ps, plan, EHM_MEM_STATE, "ema.", EHM_F32);
    ehm_pixels_plan(&f->px, plan, s, BATCH);
    f->route.embed_idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, BATCH, L);
    f->route.src = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, BATCH, N);
    f->route.pos_idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, BATCH, N);
    f->probs = ehm_plan_3d(plan, EHM_MEM_CACHE, NULL, EHM_F32, n, N, N);
    f->probs_per_head =
        ehm_plan_view(plan, EHM_MEM_CACHE, NULL, EHM_F32, 4, (int64_t[]){n, s->num_heads, N, N});
    f->hidden = ehm_plan_3d(plan, EHM_MEM_CACHE, NULL, EHM_F32, n, N, s->embed_dim);
    f->patches = ehm_plan_3d(plan, EHM_MEM_SCRATCH, NULL, EHM_F32, BATCH, L, s->patch_pixels);
    ehm_vit_encoder_pass_plan(&f->pass, plan, EHM_F32);
}

static void fixture_open(fixture *f, int32_t i_case) {
    ehm_err err = {0};
    ehm_weights_report rep;
    memset(f, 0, sizeof *f);
    golden_open(&f->g, i_case, "ref", EHM_F32, false); /* for its data and device */
    const ehm_vit_shape *s = &f->g.shape;
    ehm_dev *d = f->g.d;
    int32_t L = s->n_patches, N = 1 + L;
    ehm_vit_encoder_roots(&f->enc, &f->ps, s);
    ehm_vit_encoder_modules(&f->enc, &f->ps, &f->a);
    REQUIRE(ehm_vit_encoder_pass_open(&f->pass, &f->enc, BATCH, L, N, false, EHM_F32, &f->a));
    ehm_plan_begin(&f->plan, d);
    plan_all(f, &f->plan);
    REQUIRE_OK(ehm_plan_commit(&f->plan, &err), &err);
    plan_all(f, &f->plan);
    REQUIRE_OK(ehm_plan_end(&f->plan, &err), &err);
    ehm_weights_init(&f->online, d, 5);
    REQUIRE_OK(ehm_weights_load(&f->average, d, f->g.weights, false, &rep, &err), &err);
    CHECK(rep.n_unexpected > 0); /* the decoder's */
    REQUIRE_OK(ehm_pixels_stats(&f->px, d, golden_get(&f->g, "mean")->data, golden_get(&f->g, "std")->data,
                                s->channels, &err),
               &err);
    int32_t *idx = malloc((size_t)(BATCH * N) * sizeof *idx);
    for (int32_t i = 0; i < BATCH * L; i++) idx[i] = i % L;
    ehm_upload(d, f->route.embed_idx, idx, (size_t)(BATCH * L) * sizeof *idx);
    for (int32_t i = 0; i < BATCH * N; i++) idx[i] = i % N - 1;
    ehm_upload(d, f->route.src, idx, (size_t)(BATCH * N) * sizeof *idx);
    for (int32_t i = 0; i < BATCH * N; i++) idx[i] = i % N;
    ehm_upload(d, f->route.pos_idx, idx, (size_t)(BATCH * N) * sizeof *idx);
    free(idx);
    ehm_pixels_load(&f->px, d, f->g.batch.pixels, EHM_U8, f->g.n);
}

static void fixture_run(fixture *f, const ehm_weights *w, const ehm_taps *taps) {
    const ehm_vit_shape *s = &f->g.shape;
    ehm_err err = {0};
    int64_t n = f->g.n, L = s->n_patches;
    ehm_view patches = ehm_fit3(f->patches, n, L, s->patch_pixels);
    ehm_vit_route route = {ehm_fit2(f->route.embed_idx, n, L), ehm_fit2(f->route.src, n, 1 + L),
                           ehm_fit2(f->route.pos_idx, n, 1 + L)};
    ehm_pixels_patchify(&f->px, f->g.d, patches);
    ehm_vit_encoder_fwd(f->g.d, &f->pass, w, patches, &route, n, L, 1 + L, taps);
    REQUIRE_OK(ehm_dev_check(f->g.d, &err), &err);
}

static void fixture_close(fixture *f) {
    ehm_plan_free(&f->plan);
    golden_close(&f->g);
    ehm_params_free(&f->ps);
    ehm_arena_free(&f->a);
}

static float *down(fixture *f, ehm_view v) {
    float *x = malloc(ehm_view_bytes(v));
    ehm_download(f->g.d, x, v, ehm_view_bytes(v));
    return x;
}

static void check_view(fixture *f, ehm_view v, const char *name) {
    const ehm_st_tensor *t = golden_get(&f->g, name);
    REQUIRE(ehm_view_count(v) == t->count);
    float *x = down(f, v);
    CHECK_CLOSE_F32(x, (const float *)t->data, t->count, 1e-5);
    free(x);
}

TEST(vit, averaged_weights_and_taps) {
    for (int32_t i_case = 0; i_case < 2; i_case++) {
        fixture f;
        fixture_open(&f, i_case);
        ehm_view z = ehm_vit_encoder_out(&f.pass, f.g.n, 1 + f.g.shape.n_patches);
        fixture_run(&f, &f.online, NULL);
        float *other = down(&f, z);
        const ehm_tap taps[] = {{.i_block = 0, .hidden = f.hidden},
                                {.i_block = 1, .probs = f.probs_per_head},
                                {.i_block = 1, .probs = f.probs}};
        fixture_run(&f, &f.average, &(ehm_taps){.tap = taps, .n_taps = 3, .n_blocks = -1});
        check_view(&f, f.hidden, "hidden1");
        check_view(&f, f.probs_per_head, "attention1");
        float *mine = down(&f, z), *probs = down(&f, f.probs);
        const ehm_st_tensor *cls = golden_get(&f.g, "cls");
        int64_t N = 1 + f.g.shape.n_patches, D = f.g.shape.embed_dim;
        for (int32_t i = 0; i < f.g.n; i++)
            CHECK_CLOSE_F32(mine + i * N * D, (const float *)cls->data + i * D, D, 1e-5);
        CHECK(memcmp(mine, other, (size_t)(N * D) * sizeof *mine));
        double sum = 0; /* a row of attention, heads averaged */
        for (int64_t k = 0; k < N; k++) sum += probs[k];
        CHECK_NEAR(sum, 1, 1e-5);
        free(mine), free(other), free(probs);
        fixture_close(&f);
    }
}

TEST(vit, stops_after_blocks) {
    fixture f;
    fixture_open(&f, 0);
    fixture_run(&f, &f.average, &(ehm_taps){.n_blocks = 1});
    check_view(&f, ehm_vit_encoder_tokens(&f.pass, f.g.n, 1 + f.g.shape.n_patches), "hidden1");
    /* Stopped at the queries of the second block: attention from them. */
    fixture_run(&f, &f.average, &(ehm_taps){.n_blocks = 2, .only_qkv = true});
    ehm_attn_probs(
        f.g.d, &(ehm_attn_probs_args){.probs = f.probs_per_head,
                                      .qkv = ehm_stack_qkv(&f.pass.blocks, f.g.n, 1 + f.g.shape.n_patches, 1),
                                      .n_heads = f.g.shape.num_heads,
                                      .scale = ehm_stack_scale(&f.enc.blocks),
                                      .per_head = true});
    check_view(&f, f.probs_per_head, "attention1");
    fixture_close(&f);
}
