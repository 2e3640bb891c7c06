/* Detection by points, the arithmetic of FCOS (Tian et al. 2019) on one scale: which point of a grid answers for which true box, what it should say, and
 * how what points say becomes boxes. Plain numbers on the host; the network is task_detect.h.
 *
 *     ehm_points p = {.grid_h = 16, .grid_w = 16, .cell_px = 4};
 *     ehm_points_assign(box_of, &p, boxes, n_boxes);               // [16 * 16], -1 background
 *     ehm_points_target(t, &p, i_point, &boxes[box_of[i_point]]);  // distances in cells
 *     n = ehm_points_decode(found, cap, &p, classes, logs, centres, n_classes, 0.05f);
 *     n = ehm_nms(found, n, 0.6f, 100);
 *
 * Point i of a grid stands at the centre of its cell: ((i % grid_w) + 0.5) * cell_px, ((i / grid_w) + 0.5) * cell_px.
 */
#ifndef EHM_TUNE_DETECT_POINTS_H
#define EHM_TUNE_DETECT_POINTS_H
#include "data/data.h"

typedef struct { int32_t grid_h, grid_w; double cell_px; } ehm_points;
typedef struct { float x0, y0, x1, y1, score; int32_t class_id, said_by; } ehm_found_box; /* said_by: point * n_classes + class */

/* A point may answer for a box when it lies inside the box and within so many cells of the box's centre, across and down. */
#define EHM_POINT_RADIUS 1.5
/* box_of [G]: the smallest box (the first of equal ones) that a point may answer for, -1 none. Returns how many boxes have no point: smaller than a
 * cell and between points, or hidden behind smaller ones. */
int32_t ehm_points_assign(int32_t *box_of, const ehm_points *p, const ehm_box *boxes, int32_t n);
/* Distances from the point to the left, top, right and bottom of the box, in cells. */
void ehm_points_target(float t[4], const ehm_points *p, int32_t i_point, const ehm_box *b);
/* sqrt(min(l,r) / max(l,r) * min(t,b) / max(t,b)): 1 at the centre of a box, 0 on its edge. */
float ehm_points_centreness(const float t[4]);

/* What points say: classes [G,n_classes] and centres [G] logits, logs [G,4] logarithms of distances in cells. Each class of a point whose score sqrt(class *
 * centreness) is above score_min gives a box, clipped to the grid's extent; those left without area are dropped. Best first (ties by point, then
 * class), at most cap, the best of all. Numbers that are not finite give no box. Returns how many. */
int32_t ehm_points_decode(ehm_found_box *out, int32_t cap, const ehm_points *p, const float *classes, const float *logs, const float *centres,
                          int32_t n_classes, float score_min);
/* Non-maximum suppression in place, classes apart: of boxes sorted best first, those that overlap a better one of their class with IoU above the bound go.
 * At most `most` are kept. Returns how many; they stay sorted. As torchvision.ops.batched_nms; golden/detection. */
int32_t ehm_nms(ehm_found_box *v, int32_t n, float bound, int32_t most);
#endif
