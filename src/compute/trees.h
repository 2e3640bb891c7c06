/* Trees and masks made where the similarity is, on devices that can: the host need not wait for the matrix, nor the device for the masks. They are
 * the trees of hierarchy/tree.h and the masks of mask/tree_mask.h to the bit; tests hold them together.
 *
 *     if (ehm_dev_has_trees(d, n_leaves)) {
 *         ehm_trees(d, &(ehm_trees_args){...});            // similarity -> trees
 *         ehm_tree_masks(d, &(ehm_tree_masks_args){...});  // trees and keys -> lists of patches
 *         ehm_mask_routes(d, &(ehm_mask_routes_args){...}); // lists -> a step's indices
 *     }
 *
 * As with ops, the first failure stays on the device. Letters: B pictures, L leaves (patches), V masks a picture, S = V B. */
#ifndef EHM_COMPUTE_TREES_H
#define EHM_COMPUTE_TREES_H
#include "compute/compute.h"

enum { EHM_TREE_KEYS = 10 };
/* Can d do all of it for trees of so many leaves? A device need not, and with EHM_DEVICE_TREES=off in the environment none does. */
bool ehm_dev_has_trees(const ehm_dev *d, int64_t n_leaves);

enum {
    EHM_TREES_OK,
    EHM_TREES_FLAT, /* ehm_similarity_is_flat: it holds no information; the tree is grown all the same */
    EHM_TREES_BAD   /* what ehm_tree_build refuses: not finite, or differences that do not fit f32. Its tree joins leaf after leaf, height 0 */
};
/* As ehm_tree_build by average linkage with EHM_TREE_TRUSTED makes them of f32: left, right, size [B,L-1] i32, height [B,L-1] f32 (in f32 each height
 * is a float), offset [B] f32, state [B] i32. s [B,L,L] f32 symmetric to the bit, the diagonal ignored. */
typedef struct { ehm_view left, right, size, height, offset, state, s; } ehm_trees_args;
void ehm_trees(ehm_dev *d, const ehm_trees_args *a);

/* As ehm_mask_select_view by pivot and uniform node order makes them, with a cut by ehm_cut_effective or (effective off) ehm_cut_count. Sample v B + j is
 * mask v of picture j.
 *   visible  [S,L-n_masked] i32, masked [S,n_masked] i32: ascending      n_cut  [S] i32: nodes partly hidden, 0 or 1; may be absent
 *   left, right, size [B,L-1] i32, state [B] i32: of ehm_trees, as they were left there
 *   k        [S] i32: nodes wanted; L or more: single patches, as has a picture whose state is not OK; below 1 counts as 1
 *   keys     [S,EHM_TREE_KEYS] i32, the bits of u32: ctr[1] to ctr[3], key[0] and key[1] of the ehm_rng that node keys are drawn with, then of that of leaves
 *   along_tree: the boundary goes through a node along its subtree, else at random     by_nodes: so many of n_masked are hidden by nodes, 0 to n_masked;
 *   the others are random ones of those left */
typedef struct {
    ehm_view visible, masked, n_cut, left, right, size, state, k, keys;
    int32_t n_masked, by_nodes;
    bool effective, along_tree;
} ehm_tree_masks_args;
void ehm_tree_masks(ehm_dev *d, const ehm_tree_masks_args *a);

/* The indices of a masked autoencoder's step, from lists as ehm_tree_masks makes them (v = L - n_masked); all i32:
 *   embed_idx [S,v] visible      src [S,1+v] -1, 0, 1, ..      pos_idx [S,1+v] 0, 1 + visible      target_idx [S,n_masked] masked
 *   back [S,1+L] 0, then for each patch 1 + its place in visible, or -1      pred [S,n_masked] 1 + masked */
typedef struct { ehm_view embed_idx, src, pos_idx, target_idx, back, pred, visible, masked; } ehm_mask_routes_args;
void ehm_mask_routes(ehm_dev *d, const ehm_mask_routes_args *a);
#endif
