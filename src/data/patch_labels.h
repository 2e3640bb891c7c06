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
#include "image/image.h"

/* Where a picture came to lie in a model input: its box fills a rectangle of the input, what is left has no label. */
typedef struct {
    int32_t in_h, in_w;
    double box[4];     /* x0 y0 x1 y1 in pixels of the picture, inside it */
    int32_t x, y, w, h; /* of the input */
    bool cropped, flip; /* box is in whole pixels; mirrored from left to right afterwards */
} ehm_placement;
/* As a random crop is placed (box from ehm_augment_box), and as ehm_data_fit places a picture of w x h. */
void ehm_place_crop(ehm_placement *p, const double box[4], bool flip, int32_t in_w, int32_t in_h);
void ehm_place_fit(ehm_placement *p, int32_t w, int32_t h, int32_t in_w, int32_t in_h, const char *fit);

/* labels [n_maps,grid_h*grid_w]: for each map (u8 or u16, one channel, as large as the picture; px NULL: none, all -1) the value that most of a
 * patch's labelled pixels have, ties to the lower value, -1 where no pixel is labelled. A pixel is not labelled where the last map, that of classes,
 * says ignore (-1: nothing is ignored), or outside the picture. The grid divides the input. Errors: EHM_E_ARG, EHM_E_MEMORY. */
ehm_code ehm_patch_labels(int32_t *labels, const ehm_image *maps, int32_t n_maps, int32_t grid_h, int32_t grid_w, const ehm_placement *p,
                          int32_t ignore, ehm_arena *scratch, ehm_err *err);
#endif
