/* Labels of patches: what most of a patch's pixels are called, under the same crop and flip as the picture.
 *
 *     ehm_placement p; ehm_place_fit(&p, img.w, img.h, 64, 64, "crop");
 *     ehm_patch_labels(labels, &map, 1, 8, 8, &p, 255, &scratch, &err);       // labels [8 * 8]
 *
 * The label map is sampled (nearest) at the pixel centres of the model input, then each patch counts.
 */
#ifndef EHM_DATA_PATCH_LABELS_H
#define EHM_DATA_PATCH_LABELS_H
#include "base/err.h"
#include "base/mem.h"
#include "data/data.h"

/* Where a picture came to lie in a model input: its box fills a rectangle of the input, what is left has no label. */
typedef struct ehm_placement {
    int32_t in_h, in_w;
    double box[4];     /* x0 y0 x1 y1 in pixels of the picture, inside it */
    int32_t x, y, w, h; /* of the input */
    bool cropped, flip; /* box is in whole pixels; mirrored from left to right afterwards */
} ehm_placement;
/* As a random crop is placed (box from ehm_augment_box), and as ehm_data_fit places a picture of w x h. */
void ehm_place_crop(ehm_placement *p, const double box[4], bool flip, int32_t in_w, int32_t in_h);
void ehm_place_fit(ehm_placement *p, int32_t w, int32_t h, int32_t in_w, int32_t in_h, const char *fit);

/* Fitted to the input (no side longer than it) times a log-uniform scale, and a window cut or the picture placed at random; mirrored with probability
 * flip_p. A function of (seed, epoch, sample). */
void ehm_place_scaled(ehm_placement *p, int32_t w, int32_t h, int32_t in_w, int32_t in_h, double scale_min, double scale_max, double flip_p, uint64_t seed,
                      int64_t epoch, int64_t sample);
/* A point of the input to the picture as stored and the other way round, in pixels (corners, not centres: 0,0 is the upper left corner of the upper left
 * pixel). Not clipped. */
void ehm_place_back(const ehm_placement *p, double *x, double *y);
void ehm_place_point(const ehm_placement *p, double *x, double *y);
/* A box of the picture in the input, clipped at what is shown; false: it keeps less than this share of its area, or nothing. The class is kept. */
bool ehm_place_box(ehm_box *out, const ehm_box *box, const ehm_placement *p, double keep);
/* out [in_h,in_w]: value of each pixel (nearest; u8 or u16, one channel, as large as the picture), -1 outside the picture, where it is ignore, or where
 * map has no px. Errors: EHM_E_ARG, EHM_E_MEMORY. */
ehm_code ehm_place_map(int32_t *out, const ehm_image *map, const ehm_placement *p, int32_t ignore, ehm_arena *scratch, ehm_err *err);

/* labels [n_maps,grid_h*grid_w]: for each map (u8 or u16, one channel, as large as the picture; px NULL: none, all -1) the value that most of a
 * patch's labelled pixels have, ties to the lower value, -1 where no pixel is labelled. A pixel is not labelled where the last map, that of classes,
 * says ignore (-1: nothing is ignored), or outside the picture. The grid divides the input. Errors: EHM_E_ARG, EHM_E_MEMORY. */
ehm_code ehm_patch_labels(int32_t *labels, const ehm_image *maps, int32_t n_maps, int32_t grid_h, int32_t grid_w, const ehm_placement *p,
                          int32_t ignore, ehm_arena *scratch, ehm_err *err);
#endif
