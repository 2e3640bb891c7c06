/* Mask rules: which patches are hidden. A rule sees one picture: grid, how many to remove, progress, its own
 * random stream, and on request the model's attention as plain numbers. It knows nothing of networks, batches
 * or threads.
 *
 *     const ehm_mask_rule *rule = ehm_mask_rule_find("random");
 *     ehm_mask_draw(rule, &mask, &in, &scratch, &err);        // checks what must always hold
 *
 * To add a rule: mask_x.c with `const ehm_mask_rule ehm_mask_rule_x`, RULE(x) in rules.def; the property test
 * finds it; draw it and look.
 */
#ifndef EHM_MASK_MASK_H
#define EHM_MASK_MASK_H
#include "base/err.h"
#include "base/mem.h"
#include "base/rng.h"

typedef struct {
    int32_t grid_h, grid_w, n_masked, n_views;
    float progress_frac;                    /* u in [0,1] */
    ehm_rng rng;                            /* this picture's stream */
    const void *settings;
    const float *attention; /* [n,n] rows sum to 1, class token dropped; NULL unless the rule needs it */
    const float *score;                     /* [n]; NULL unless the rule needs it */
} ehm_mask_in;
typedef struct {
    int32_t *visible, *masked;
    int32_t n_visible, n_masked;
} ehm_mask; /* both ascending; arrays of n patches given by the caller */
enum { EHM_MASK_NEEDS_ATTENTION = 1, EHM_MASK_NEEDS_SCORE = 2 };
typedef struct {
    const char *name, *summary, *source;    /* source: a paper, its code, or our reconstruction */
    uint32_t needs;
    ehm_code (*draw)(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err);
} ehm_mask_rule;

extern const ehm_mask_rule *const ehm_mask_rules[]; /* ends with NULL */
/* NULL and an EHM_E_CONFIG naming the nearest rule. */
const ehm_mask_rule *ehm_mask_rule_find(const char *name, ehm_err *err);
/* (int)(n * (1 - ratio)) in double, as MAE truncates. */
int32_t ehm_mask_n_visible(int32_t n, double mask_ratio);
ehm_code ehm_mask_draw(const ehm_mask_rule *rule, ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch,
                       ehm_err *err);
/* The mask that MAE's code makes of this noise [n]: the n - n_masked smallest are kept, ties to the lower
 * patch. Not NaN. For comparing with others. */
ehm_code ehm_mask_from_noise(ehm_mask *out, const float *noise, int32_t n, int32_t n_masked,
                             ehm_arena *scratch, ehm_err *err);
#endif
