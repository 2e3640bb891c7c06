/* The pieces of hierarchical masking, from a similarity matrix to a mask: K(u), the tree of a source, its cut, the selection. The rule
 * `ehm` is these in a row; drawings, evaluations and other programs call them one by one.
 *
 *     ehm_mask_tree(&tree, &flat, &in, &scratch, &err);                          // of in->settings->tree_source
 *     ehm_mask_frontier(&f, &k, &tree, &in, &scratch);                           // cut at K(in.progress_frac)
 *     ehm_mask_select(removed, &n_cut, &f, &tree, in.n_masked, &in, &scratch, &err); // exactly n_masked flags set
 */
#ifndef EHM_MASK_TREE_MASK_H
#define EHM_MASK_TREE_MASK_H
#include "hierarchy/cut.h"
#include "mask/mask.h"

/* k_end where the setting is auto: min(max(4, round(2.5 / min(r, 1 - r))), max(2, n / 4)): 10 at r = 0.75 and n >= 40. */
int32_t ehm_mask_k_end(const ehm_mask_settings *s, int32_t n);
int32_t ehm_mask_k_start(const ehm_mask_settings *s, int32_t n); /* auto: n */
/* K(u) without noise, rounded, in 1..n. Never rises with u (but with the schedule reversed). */
int32_t ehm_mask_nodes_at(const ehm_mask_settings *s, int32_t n, double u);
/* The tree of in->settings' source. flat: the similarity spans less than 1e-6 of its largest magnitude. tree has room for n leaves. */
ehm_code ehm_mask_tree(ehm_tree *tree, bool *flat, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err);
/* The similarity of in->settings' source, prior and balancing applied: S [n,n]. */
ehm_code ehm_mask_similarity(float *S, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err);
/* The cut at u = in->progress_frac, jitter and mixed levels drawn from in's keys. *k_wanted (may be NULL): the K that was asked for; with
 * cut depth what so many levels would be in a balanced tree. */
void ehm_mask_frontier(ehm_frontier *f, int32_t *k_wanted, const ehm_tree *tree, const ehm_mask_in *in, ehm_arena *scratch);
/* Exactly n_masked of removed [n] are set to 1. *n_cut (may be NULL): nodes that are partly removed, before mix_random takes its share.
 * A node_order other than uniform takes nodes from the front, as EHM_SELECT_PREFIX does, whatever select says; where each leaf is its own
 * node every order is uniform. tree may be NULL but for EHM_BOUNDARY_TREE. */
ehm_code ehm_mask_select(uint8_t *removed, int32_t *n_cut, const ehm_frontier *f, const ehm_tree *tree, int32_t n_masked,
                         const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err);

/* ---- for devices that grow trees and choose masks themselves (compute/trees.h) ---- */
/* Are these settings of the rule ehm what they know: trees of the model's attention as it is by average linkage, cut by count or effective count; pivotal
 * selection in uniform order. */
bool ehm_mask_for_device(const ehm_mask_settings *s);
/* The numbers that a mask takes beside its tree: how many nodes are wanted (n: single patches, whatever the tree), and in keys [10] what is left of
 * the random streams of node and leaf keys once the counter's first word is taken for the node or leaf: ctr[1..3], key[0..1] of each. */
int32_t ehm_mask_numbers(uint32_t keys[10], const ehm_mask_in *in);
/* Of n_masked patches, how many nodes hide; the others are random ones. */
int32_t ehm_mask_by_nodes(const ehm_mask_settings *s, int32_t n_masked);
/* The facts of a mask that was made there: k as above, flat or not, n_cut as the device has it. */
ehm_code ehm_mask_facts_of(ehm_mask_facts *out, const ehm_tree *tree, bool flat, int32_t k, int32_t n_cut, const ehm_mask *m, const ehm_mask_settings *s,
                           ehm_arena *scratch, ehm_err *err);

/* Mean colour of each patch of a picture, for in->colour: pixels [h,w,c] u8 (255 counts 1) or f32, out [grid_h*grid_w,c]; the grid divides h and w. */
void ehm_mask_patch_colours(float *out, const void *pixels, ehm_dtype type, int32_t h, int32_t w, int32_t c, int32_t grid_h, int32_t grid_w);

/* ---- shape of any mask, for logs ---- */
typedef struct {
    int32_t n_masked_regions, n_visible_regions;         /* 4-connected */
    int32_t largest_masked_region, perimeter;            /* perimeter: edges between a masked and a visible patch */
} ehm_mask_shape;
/* work [2 n]. */
void ehm_mask_shape_of(ehm_mask_shape *out, const ehm_mask *m, int32_t grid_h, int32_t grid_w, int32_t *work);
#endif
