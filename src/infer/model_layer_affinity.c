#include "infer/layer_affinity.h"
#include "infer/model_int.h"
#include <string.h>

enum { AT_ONCE = 16 }; /* pictures: attention of every head is the largest thing here */

typedef struct {
    ehm_model *m;
    const ehm_affinity_opt *o;
    ehm_sim_kind kind;               /* what o's has become where no mean is known */
    bool per_head;                   /* slices of single heads enter */
    ehm_view probs, a, s, mean;      /* of up to AT_ONCE pictures; mean [n_layers,C,L,L], rank 0: none */
    int32_t n, i_chosen;
    float *out;
    ehm_code rc;
    ehm_err *err;
} looking;

static bool profiled(const looking *t) { return t->kind == EHM_SIM_RESIDUAL || t->kind == EHM_SIM_PROFILE; }

static void plan_views(looking *t, ehm_plan *plan) {
    ehm_dtype real = ehm_dev_real(plan->dev);
    int64_t B = t->n < AT_ONCE ? t->n : AT_ONCE, L = t->m->info.shape.n_patches, N = 1 + L, C = t->per_head ? t->m->info.shape.num_heads : 1;
    t->probs = ehm_plan_view(plan, EHM_MEM_SCRATCH, NULL, real, 4, (int64_t[]){B, C, N, N});
    t->a = ehm_plan_view(plan, EHM_MEM_SCRATCH, NULL, real, 4, (int64_t[]){B, C, L, L});
    t->s = ehm_plan_3d(plan, EHM_MEM_SCRATCH, NULL, real, B, L, L);
}

static ehm_view slices(ehm_view v) { return ehm_view_reshape(v, 3, (int64_t[]){v.dim[0] * v.dim[1], v.dim[2], v.dim[3]}); }

/* Of the chosen layer k, for the pictures whose queries, keys and values these are. */
static ehm_code take(looking *t, ehm_dev *d, int32_t k, ehm_view qkv, float *out) {
    int64_t b = qkv.dim[0];
    ehm_view probs = ehm_view_rows(t->probs, 0, b), a = ehm_view_rows(t->a, 0, b), s = ehm_view_rows(t->s, 0, b), mean = ehm_view_none();
    ehm_attn_probs(d, &(ehm_attn_probs_args){.probs = t->per_head ? probs : slices(probs), .qkv = qkv, .n_heads = t->m->info.shape.num_heads,
                                             .scale = ehm_stack_scale(&t->m->enc->blocks), .per_head = t->per_head});
    ehm_attn_patches(d, &(ehm_attn_patches_args){.out = slices(a), .probs = slices(probs), .weight = 1, .renormalise = !t->o->raw_rows});
    if (t->mean.rank) mean = slices(ehm_view_rows(t->mean, k, 1));
    if (profiled(t)) ehm_attn_profile(d, &(ehm_attn_profile_args){.s = s, .a = a, .mean = mean, .weight = 1});
    else ehm_attn_direct(d, &(ehm_attn_direct_args){.s = s, .a = a, .weight = 1, .standardise = t->o->standardise});
    return ehm_model_fetch(t->m, out, s, t->err);
}

static void look(void *ctx, ehm_dev *d, int32_t i_block, ehm_view qkv) {
    looking *t = ctx;
    int64_t L = t->m->info.shape.n_patches;
    int32_t k = t->i_chosen;
    if (t->rc || k == t->o->n_layers || t->o->layer[k] != i_block) return;
    for (int32_t at = 0; at < t->n && !t->rc; at += AT_ONCE) {
        int32_t b = t->n - at < AT_ONCE ? t->n - at : AT_ONCE;
        t->rc = take(t, d, k, ehm_view_rows(qkv, at, b), t->out + ((int64_t)k * t->n + at) * L * L);
    }
    t->i_chosen++;
}

static ehm_code forward(looking *t, const void *pixels, ehm_dtype type) {
    ehm_model *m = t->m;
    int64_t n = t->n, L = m->info.shape.n_patches;
    ehm_view patches = ehm_fit3(m->patches, n, L, m->info.shape.patch_pixels);
    ehm_vit_route route = {ehm_fit2(m->route.embed_idx, n, L), ehm_fit2(m->route.src, n, 1 + L), ehm_fit2(m->route.pos_idx, n, 1 + L)};
    ehm_taps taps = {.n_blocks = t->o->layer[t->o->n_layers - 1] + 1, .look = look, .ctx = t, .only_qkv = true};
    ehm_pixels_load(&m->pixels, m->d, pixels, type, n);
    ehm_pixels_patchify(&m->pixels, m->d, patches);
    ehm_vit_encoder_fwd(m->d, &m->pass, m->weights, patches, &route, n, L, 1 + L, &taps);
    ehm_dev_label(m->d, "");
    return t->rc ? t->rc : ehm_dev_check(m->d, t->err);
}

ehm_code ehm_model_layer_affinity(ehm_model *m, const ehm_affinity_opt *o, const void *pixels, ehm_dtype type, int32_t n, float *similarity,
                                  bool *fell_back, ehm_err *err) {
    if (n < 1 || n > m->batch || (type != EHM_U8 && type != EHM_F32))
        return EHM_FAIL(err, EHM_E_ARG, "similarity of %d pictures of type %s, but the model was opened for 1 to %d of u8 or f32", (int)n, ehm_dtype_name(type),
                        (int)m->batch);
    /* The mean of these layers is where ehm_model_affinity keeps it: the first call of a walk asks for one picture's similarity only to bring it there. */
    if (!m->affinity || m->affinity_learns || memcmp(&m->affinity_opt, o, sizeof *o))
        EHM_TRY(ehm_model_affinity(m, o, pixels, type, 1, similarity, NULL, NULL, NULL, err));
    if (fell_back) *fell_back = m->affinity_fell_back;
    looking t = {.m = m, .o = o, .n = n, .out = similarity, .err = err, .kind = ehm_affinity_options(m->affinity)->kind, .mean = ehm_affinity_mean(m->affinity)};
    t.per_head = profiled(&t) ? o->per_head : o->standardise;
    ehm_plan plan;
    ehm_plan_begin(&plan, m->d);
    plan_views(&t, &plan);
    ehm_code rc = ehm_plan_commit(&plan, err);
    if (rc) goto done;
    plan_views(&t, &plan);
    rc = ehm_plan_end(&plan, err);
    if (!rc) rc = forward(&t, pixels, type);
done:
    ehm_plan_free(&plan);
    return rc;
}
