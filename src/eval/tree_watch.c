#include "eval/tree_watch.h"
#include "draw/study.h"
#include "eval/tree_pass_int.h"
#include <math.h>
#include <string.h>

static void put(ehm_watch_number *out, int32_t *n, const char *name, double v) {
    if (*n < EHM_WATCH_MAX && isfinite(v)) out[(*n)++] = (ehm_watch_number){name, v};
}

/* Mean of the finite ones; NAN without any. */
static double mean(const float *x, int64_t n) {
    double sum = 0;
    int64_t k = 0;
    for (int64_t i = 0; x && i < n; i++)
        if (isfinite(x[i])) sum += x[i], k++;
    return k ? sum / (double)k : NAN;
}

/* ---- how hard the masks are ---- */

typedef struct {
    const ehm_mask_rule *rule;
    const ehm_mask_settings *settings;
} way;

static ehm_code loss_of(double *out, ehm_model *m, const ehm_study *s, int32_t n, way w, const ehm_config *cfg, double u, ehm_arena *scratch, ehm_err *err) {
    const ehm_vit_shape *v = ehm_model_shape(m);
    int32_t L = v->n_patches, n_visible = ehm_mask_n_visible(L, cfg->mask_ratio);
    double sum = 0;
    for (int32_t i = 0; i < n; i++) {
        float loss;
        ehm_arena_reset(scratch);
        ehm_mask_in in = ehm_study_mask_in(&s[i], w.settings, (uint64_t)cfg->seed, (uint64_t)s[i].i_picture, u);
        ehm_mask mask = {.visible = EHM_NEW_N(scratch, int32_t, L), .masked = EHM_NEW_N(scratch, int32_t, L)};
        if (!mask.visible || !mask.masked) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a mask");
        in.n_views = 1;
        EHM_TRY(ehm_mask_draw(w.rule, &mask, &in, scratch, err));
        EHM_TRY(ehm_model_reconstruct(m, s[i].pixels, s[i].type, 1, mask.visible, mask.masked, n_visible, NULL, &loss, err));
        sum += loss;
    }
    *out = sum / n;
    return EHM_OK;
}

static ehm_code losses(ehm_watch_number *out, int32_t *n_out, ehm_model *m, ehm_dataset *ds, const ehm_config *cfg, double u, ehm_arena *a, ehm_err *err) {
    ehm_mask_settings own, moved;
    ehm_affinity_opt o;
    ehm_arena scratch = {0};
    double v[3];
    int32_t n = 0, want = cfg->watch_pictures < 32 ? (int32_t)cfg->watch_pictures : 32;
    const ehm_mask_rule *tree = ehm_mask_rule_find("ehm", NULL, err), *random = ehm_mask_rule_find("random", NULL, err);
    EHM_TRY(ehm_mask_settings_of(&own, cfg, err));
    EHM_TRY(ehm_affinity_opt_of(&o, cfg, ehm_model_shape(m), err));
    own.tree_source = EHM_SOURCE_ATTENTION;
    moved = own, moved.tree_source = EHM_SOURCE_MOVED;
    ehm_study *s = EHM_NEW_N(a, ehm_study, want);
    if (!s) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d pictures", (int)want);
    ehm_study_source src = {.model = m, .pictures = ds, .settings = &own, .affinity = &o, .whose = "the watch", .needs = ehm_study_needs_tree(&own),
                            .n_places = want, .quiet = true}; /* the first ones are of one class; training tells of bad files itself, and at the first steps no mean is learned yet */
    EHM_TRY(ehm_study_read(s, &n, &src, want, a, err));
    ehm_code rc = EHM_OK;
    const way ways[3] = {{tree, &own}, {tree, &moved}, {random, &own}};
    for (int i = 0; i < 3 && !rc && n; i++) rc = loss_of(&v[i], m, s, n, ways[i], cfg, u, &scratch, err);
    ehm_arena_free(&scratch);
    if (rc || !n) return rc;
    put(out, n_out, "loss_ehm", v[0]), put(out, n_out, "loss_moved", v[1]), put(out, n_out, "loss_random", v[2]);
    return EHM_OK;
}

/* ---- all of it ---- */

ehm_code ehm_tree_watch(ehm_watch_number out[EHM_WATCH_MAX], int32_t *n_out, ehm_model *m, ehm_dataset *ds, const ehm_config *cfg, double u,
                        ehm_arena *a, ehm_err *err) {
    ehm_config c = *cfg;
    ehm_tree_kind own = {.name = "own"};
    ehm_tree_pass p = {.kinds = &own, .n_kinds = 1, .quiet = true, .controls = true, .level = "class"};
    *n_out = 0;
    if (ehm_model_shape(m)->n_patches < 2 || ehm_dataset_count(ds) < 2) return EHM_OK;
    EHM_TRY(losses(out, n_out, m, ds, cfg, u, a, err));
    c.pictures = cfg->watch_pictures, c.tree_source = "attention";
    EHM_TRY(ehm_affinity_opt_of(&own.o, &c, ehm_model_shape(m), err));
    ehm_code rc = ehm_tree_pass_run(&p, m, ds, &c, err);
    if (rc) goto done;
    double flip = mean(p.flip, p.n), next = mean(own.position, p.n);
    put(out, n_out, "tree_split_half", p.has_halves ? mean(p.split, p.n) : NAN);
    put(out, n_out, "tree_flip", flip), put(out, n_out, "tree_flip_minus_next", flip - next), put(out, n_out, "tree_position", next);
    put(out, n_out, "tree_k_end_share", mean(own.share, p.n));
    put(out, n_out, "tree_popularity", mean(own.popularity, p.n)), put(out, n_out, "attention_sink", mean(p.sink, p.n));
    put(out, n_out, "attention_entropy_first", mean(p.entropy, p.n));
    put(out, n_out, "attention_entropy_middle", mean(p.entropy + p.depth / 2 * p.n, p.n));
    put(out, n_out, "attention_entropy_last", mean(p.entropy + (p.depth - 1) * p.n, p.n));
    if (cfg->tree_labels && p.has_labels) {
        put(out, n_out, "purity_own", mean(own.purity, p.n)), put(out, n_out, "purity_swapped", mean(own.swapped, p.n));
        put(out, n_out, "purity_moved", mean(own.moved, p.n)), put(out, n_out, "purity_spatial", mean(p.spatial, p.n));
        put(out, n_out, "purity_pixels", mean(p.pixels, p.n)), put(out, n_out, "purity_noise", mean(p.noise, p.n));
    }
done:
    ehm_tree_pass_free(&p);
    return rc;
}
