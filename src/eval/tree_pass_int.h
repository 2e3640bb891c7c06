/* One walk over random crops of a set: trees of every kind asked for and what is measured of them. Internal to eval/.
 *
 *     ehm_tree_pass p = {.kinds = kinds, .n_kinds = 1, .controls = true, .level = "class"};
 *     ehm_tree_pass_run(&p, model, ds, &cfg, &err);   // then p.kinds[0].purity[i] for picture i < p.n
 *     ehm_tree_pass_free(&p);
 */
#ifndef EHM_EVAL_TREE_PASS_H
#define EHM_EVAL_TREE_PASS_H
#include "hierarchy/cut.h"
#include "infer/infer.h"
#include "mask/tree_mask.h"

enum { EHM_TREE_ENTROPY_PICTURES = 64 }; /* the entropy of each block is a pass of its own: over the first so many */

enum { EHM_TREE_LAST_HIDDEN = INT32_MAX };
enum { EHM_TREE_LEVELS = 3 };
extern const float ehm_tree_levels[EHM_TREE_LEVELS]; /* progress u at which trees are compared: 0.25, 0.5, 1 */
typedef struct { float *of[3]; } ehm_tree_fits; /* [n] best node, best cut and label cut IoU (tree_measures.h); labels only */

/* A way to make similarities, and a number a picture [n] of the trees that come of it; NAN where there is none. */
typedef struct ehm_tree_kind {
    const char *name;
    ehm_affinity_opt o;
    const struct ehm_tree_kind *partner; /* with agreement: whose trees its own are compared with; NULL: nobody's */
    int32_t hidden;   /* not 0: cosines of patch tokens after so many blocks instead, or EHM_TREE_LAST_HIDDEN: after the final norm */
    bool fell_back;   /* residual without a mean: profile was taken */
    int64_t n_flat;
    float *purity, *swapped, *moved;     /* labels only */
    ehm_tree_fits fit, swapped_fit;
    float *share;                        /* K_eff / K at k_end nodes */
    float *position, *popularity;        /* ARI with the next picture's frontier; R^2 of u_i + u_j */
    float *agree[EHM_TREE_LEVELS];       /* with agreement: ARI with the partner's frontier at the schedule's K of each level */
    ehm_tree *tree;
    int32_t *node;                       /* [n,L] frontier at k_end under the model's own cut */
} ehm_tree_kind;

typedef struct {
    /* given */
    ehm_tree_kind *kinds; int32_t n_kinds;
    bool quiet;                          /* no progress line */
    bool baselines;                      /* spatial, pixels, noise: trees that look at no model */
    /* Trees of some layers beside those of all: kinds differ by their layers alone, which are among those of kinds[0], and one look at the teacher serves all.
     * Only purity, swapped and agree are filled. */
    bool agreement;
    bool controls;                       /* of kinds[0]: the baselines, halves, mirror image, attention */
    const char *level;                   /* "class", "object", "part" */
    /* found */
    int64_t n, n_bad, *ids;
    bool has_labels;
    int32_t n_patches, k_end, depth, k_at[EHM_TREE_LEVELS];
    float *spatial, *pixels, *noise;
    ehm_tree_fits spatial_fit, pixels_fit, noise_fit;
    float *split, *flip, *sink;
    float *entropy;                      /* [depth,n], NAN from picture EHM_TREE_ENTROPY_PICTURES on */
    bool has_halves;
    ehm_arena arena;
} ehm_tree_pass;
/* The pictures are the same for every model with the same --seed and --pictures; crops as in training (crop_min, crop_max, flip of cfg). cfg has the
 * model's own settings already. EHM_E_CONFIG when fewer than two pictures can be used, or the level is not in the set. */
ehm_code ehm_tree_pass_run(ehm_tree_pass *p, ehm_model *m, ehm_dataset *ds, const ehm_config *cfg, ehm_err *err);
void ehm_tree_pass_free(ehm_tree_pass *p);
#endif
