/* Detection metrics as COCO computes them (pycocotools COCOeval, bbox and segm): average precision over IoU 0.5 to 0.95, at 0.5 and at 0.75, by size, average recall.
 *
 *     ehm_coco *e; ehm_coco_open(&e, n_classes, n_images, &err);
 *     ehm_coco_truth(e, image, &(ehm_coco_box){...}, mask); ehm_coco_found(e, image, &(ehm_coco_box){...}, mask);
 *     ehm_coco_score(&s, e, NULL, &err);
 *
 * Box IoU is of x, y, width, height in pixels without + 1; mask IoU counts pixels; matches are greedy by score (stable), at most 100 a picture and class;
 * precision is interpolated at 101 recalls; a class without truth is left out of means. Areas: small up to 32^2, medium up to 96^2 pixels.
 * Detections of equal score keep the order of their pictures, and within a picture the order in which they were given. Golden: pycocotools 2.0.11.
 */
#ifndef EHM_EVAL_DETECTION_H
#define EHM_EVAL_DETECTION_H
#include "base/err.h"
#include "base/pool.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct ehm_coco ehm_coco;
/* area: of true ones, that by which they are small, medium or large (COCO's annotations bring one); 0: of the box or mask. */
typedef struct { double x, y, w, h, score; int32_t class_id; bool crowd; double area; } ehm_coco_box;
typedef struct { int32_t h, w; const uint8_t *px; } ehm_coco_mask; /* [h,w] 0 or 1, of the whole picture; copied in a compact form */
typedef struct {
    double ap, ap50, ap75, ap_small, ap_medium, ap_large, ar1, ar10, ar100; /* -1: nothing to measure */
} ehm_coco_scores;
/* masks: IoU and area are those of masks, and each entry brings one (then x, y, w and h of its box are not read). Errors: EHM_E_ARG, EHM_E_MEMORY. */
ehm_code ehm_coco_open(ehm_coco **out, int32_t n_classes, int64_t n_images, bool masks, ehm_err *err);
void ehm_coco_close(ehm_coco *e);
/* Errors: EHM_E_ARG for a picture or class that is not there, a box that is not finite or of negative size, a score that is not finite, a mask that is
 * missing, not asked for or of another size than the picture's others. Crowd: found boxes inside it are neither right nor wrong. */
ehm_code ehm_coco_truth(ehm_coco *e, int64_t image, const ehm_coco_box *b, const ehm_coco_mask *m, ehm_err *err);
ehm_code ehm_coco_found(ehm_coco *e, int64_t image, const ehm_coco_box *b, const ehm_coco_mask *m, ehm_err *err);
/* per_class [n_classes] AP (may be NULL; -1 none). weight [n_images] how often each picture counts (a bootstrap draw, as if it stood so often in the
 * list), NULL: once. Matching is done once. */
ehm_code ehm_coco_score(ehm_coco_scores *out, double *per_class, ehm_coco *e, const int32_t *weight, ehm_err *err);
/* The draws of a bootstrap over pictures (EHM_BOOT_DRAWS of eval.h): out [draws, 3 + n_classes] gets AP, AP50, AP75 and the AP of each class; -1 where a
 * draw holds no truth. Two sets of as many pictures see the same draws for the same seed, so that a difference is paired. pool may be NULL. */
ehm_code ehm_coco_bootstrap(double *out, ehm_coco *e, uint64_t seed, ehm_pool *pool, ehm_err *err);
/* A mask as COCO's compressed run-length code, added to s: "counts" of a results file, before what JSON escapes. */
void ehm_coco_rle(ehm_str *s, const ehm_coco_mask *m);
#endif
