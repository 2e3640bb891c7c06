/* Masks by a score for each patch, from easy to hard: of the removed patches a share that grows with progress
 * to a half are those of the highest scores, the others are random (the ramp of HPM, Wang et al. 2023). */
#include "mask/pick_int.h"
#include <math.h>

enum { FROM_FILE, ATTENTION, CLS, CONTRAST, LOSS };
#define GUIDED_SHARE 0.5

static const uint32_t need_of[] = {[FROM_FILE] = EHM_MASK_NEEDS_SCORE,
                                   [ATTENTION] = EHM_MASK_NEEDS_ATTENTION,
                                   [CLS] = EHM_MASK_NEEDS_CLS,
                                   [CONTRAST] = EHM_MASK_NEEDS_COLOUR,
                                   [LOSS] = EHM_MASK_NEEDS_LOSS};

static int32_t
n_guided(int32_t n_masked,
         double u) { /* progress is a float: what falls short of a whole by its rounding is whole */
    return (int32_t)(n_masked * GUIDED_SHARE * (u < 0 ? 0 : u > 1 ? 1 : u) * (1 + 1e-7));
}

/* How much attention each patch receives from all. */
static void popularity(float *score, const float *attention, int32_t n) {
    for (int32_t j = 0; j < n; j++) score[j] = 0;
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++) score[j] += attention[(int64_t)i * n + j];
}

/* How far a patch's mean colour is from the mean over its four neighbours. */
static void contrast(float *score, const ehm_mask_in *in) {
    static const int32_t step[][2] = {{-1, 0}, {1, 0}, {0, -1}, {0, 1}};
    int32_t gh = in->grid_h, gw = in->grid_w, nc = in->n_colour;
    for (int32_t i = 0; i < gh * gw; i++) {
        double square = 0;
        for (int32_t c = 0; c < nc; c++) {
            double sum = 0;
            int32_t count = 0;
            for (int32_t k = 0; k < 4; k++) {
                int32_t y = i / gw + step[k][0], x = i % gw + step[k][1];
                if (y < 0 || y >= gh || x < 0 || x >= gw) continue;
                sum += (double)in->colour[(int64_t)(y * gw + x) * nc + c], count++;
            }
            double d = count ? (double)in->colour[(int64_t)i * nc + c] - sum / count : 0;
            square += d * d;
        }
        score[i] = (float)sqrt(square);
    }
}

static ehm_code missing(const char *what, ehm_err *err) {
    return EHM_FAIL(err, EHM_E_ARG, "mask rule scores needs %s, and none was given", what);
}

static ehm_code score_of(float *score, int32_t map, const ehm_mask_in *in, ehm_err *err) {
    int32_t n = in->grid_h * in->grid_w;
    const float *given = map == FROM_FILE ? in->score : map == CLS ? in->cls_attention : in->loss;
    switch (map) {
    case ATTENTION:
        if (!in->attention) return missing("the model's attention", err);
        EHM_TRY(ehm_mask_check_values(in->attention, n, n, false, "attention", err));
        popularity(score, in->attention, n);
        return EHM_OK;
    case CONTRAST:
        if (!in->colour || in->n_colour < 1) return missing("each patch's mean colour", err);
        EHM_TRY(
            ehm_mask_check_values(in->colour, n, in->n_colour, false, "mean colour (patch, channel)", err));
        contrast(score, in);
        return EHM_OK;
    default:
        if (!given)
            return missing(map == FROM_FILE ? "scores"
                           : map == CLS     ? "the class token's attention"
                                            : "the last known losses",
                           err);
        EHM_TRY(ehm_mask_check_values(given, 1, n, false,
                                      map == FROM_FILE ? "the score"
                                      : map == CLS     ? "the class token's attention"
                                                       : "the loss",
                                      err));
        for (int32_t i = 0; i < n; i++) score[i] = given[i];
        return EHM_OK;
    }
}

static ehm_code scores_draw(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    int32_t n = in->grid_h * in->grid_w, map, guided = n_guided(in->n_masked, (double)in->progress_frac);
    ehm_rng rng = in->rng;
    uint8_t *removed;
    float *score = EHM_NEW_N(scratch, float, n);
    EHM_TRY(ehm_mask_arg(&map, &ehm_mask_rule_scores, in->arg, err));
    EHM_TRY(ehm_mask_flags_new(&removed, n, scratch, err));
    if (!score) return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %d patches", (int)n);
    if (guided) EHM_TRY(score_of(score, map, in, err));
    bool flat = guided && n > 1 && ehm_mask_is_flat(score, n);
    for (int32_t v = 0; v < in->n_views; v++) {
        for (int32_t i = 0; i < n; i++) removed[i] = 0;
        EHM_TRY(ehm_mask_largest(removed, score, n, guided, &rng, scratch, err));
        EHM_TRY(ehm_mask_fit(removed, n, in->n_masked, &rng, scratch, err));
        ehm_mask_of_flags(&out[v], removed, n);
        out[v].facts.flat = flat;
    }
    return EHM_OK;
}

static uint32_t scores_needs(const ehm_mask_settings *s, const char *arg, int32_t n, double progress_frac) {
    int32_t map;
    (void)s, (void)n;
    if (progress_frac <= 0 || ehm_mask_arg(&map, &ehm_mask_rule_scores, arg, NULL)) return 0;
    return need_of[map];
}

const ehm_mask_rule ehm_mask_rule_scores = {
    .name = "scores",
    .summary = "from easy to hard: a growing share of the highest scores goes, the rest at random",
    .source = "the ramp of HPM, Wang et al. 2023; the maps are ours",
    .args = "file|attention|cls|contrast|loss",
    .details = "At progress u, (int)(0.5 u x removed) patches are those of the highest scores, none at u = "
               "0. file: --mask-file; attention: what a patch receives from all others, summed; cls: from "
               "the class token; contrast: the distance of its mean colour from its neighbours' mean, "
               "without a model; loss: its last known loss (HPM predicts it). Equal scores are taken in "
               "random order, and pictures whose scores are all equal are counted.",
    .needs = scores_needs,
    .draw = scores_draw,
};
