/* Pictures of trees, masks and attention: arrays in, one sheet out. Nothing here runs a model.
 *
 *     ehm_draw_tree(&sheet, &picture, &tree, 14, 14, (double[]){40, 10, 4}, 3, "n01/x.jpg", &arena, &err);
 */
#ifndef EHM_DRAW_HIERARCHY_H
#define EHM_DRAW_HIERARCHY_H
#include "hierarchy/cut.h"
#include "image/image.h"
#include "mask/mask.h"

/* One row: the picture, then the tree cut (ehm_cut_effective) at each of k [n_k], finest first: each node a
 * colour blended over the picture, nodes of the next coarser cut outlined; K wanted, nodes and effective
 * count under each. The same node keeps its colour from cut to cut (a merged node takes its larger child's).
 * Single patches
 * are paler. caption may be NULL. picture: u8, 1 or 3 channels, the model's input, any size. */
ehm_code ehm_draw_tree(ehm_image *sheet, const ehm_image *picture, const ehm_tree *tree, int32_t grid_h,
                       int32_t grid_w, const double *k, int32_t n_k, const char *caption, ehm_arena *a,
                       ehm_err *err);
/* A strip: a row for each value of progress, masks [n_values,n_each,grid_h,grid_w] (1 removed) drawn over the
 * picture (removed patches covered in grey), or as a plain pattern when picture is NULL. frontier (may be
 * NULL): [n_values,n_each,n] node index (0 to n - 1) of each leaf; nodes of two patches or more are outlined.
 * labels[n_values]: text before each row ("u 0.50  K 31"). */
ehm_code ehm_draw_masks(ehm_image *sheet, const ehm_image *picture, const uint8_t *masks,
                        const int32_t *frontier, int32_t n_values, int32_t n_each, int32_t grid_h,
                        int32_t grid_w, const char *const *labels, const char *title, ehm_arena *a,
                        ehm_err *err);
/* A row: the picture, then each of n_maps maps [n_maps,grid_h,grid_w] (any scale; each stretched to its own
 * range) as a heat over it, with names[n_maps] beneath and a scale bar (least and largest value).
 * From the eighth map on further lines, under the maps. */
ehm_code ehm_draw_maps(ehm_image *sheet, const ehm_image *picture, const float *maps, int32_t n_maps,
                       int32_t grid_h, int32_t grid_w, const char *const *names, const char *caption,
                       ehm_arena *a, ehm_err *err);
/* The same with a frame around patch i_patch of the picture and of each map; -1: none. */
ehm_code ehm_draw_maps_marked(ehm_image *sheet, const ehm_image *picture, const float *maps, int32_t n_maps,
                              int32_t grid_h, int32_t grid_w, const char *const *names, const char *caption,
                              int32_t i_patch, ehm_arena *a, ehm_err *err);
/* Sheets one under the other, left edges aligned. */
ehm_code ehm_draw_stack(ehm_image *out, const ehm_image *sheets, int32_t n, ehm_arena *a, ehm_err *err);
#endif
