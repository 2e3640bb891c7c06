/* Label maps over their picture: what was predicted beside the truth, with a legend.
 *
 *     ehm_overlay o = {.picture = &img, .predicted = map, .truth = truth, .n_classes = 11};
 *     o.classes = names, o.caption = "0001TP_008550: mean IoU 0.61";
 *     EHM_TRY(ehm_draw_overlay(&sheet, &o, &arena, &err));
 *     EHM_TRY(ehm_image_write("o.png", &sheet, &err));
 */
#ifndef EHM_DRAW_OVERLAY_H
#define EHM_DRAW_OVERLAY_H
#include "draw/canvas.h"

/* Colour of class i, the same everywhere: 24 that were picked to lie far apart, then further ones without
 * end. */
ehm_rgb ehm_overlay_colour(int32_t i);

typedef struct {
    const ehm_image *picture;         /* any channels and type, as ehm_draw_image takes them */
    const int32_t *predicted, *truth; /* [h*w] classes of the picture's pixels, below 0: none, left as the
                                         picture is; truth may be NULL */
    int32_t n_classes;
    const char *const *classes; /* names; NULL: numbers */
    const double *score;        /* [n_classes] shown behind a name as a share (its IoU); NULL, or NaN for a
                                   class: nothing */
    const char *caption;        /* NULL: none */
} ehm_overlay;
/* Picture, prediction over it, truth over it, in a row; the classes that occur in either map beneath, the
 * most pixels first. Small pictures are enlarged by a whole factor, large ones reduced to 480 px. Errors:
 * EHM_E_ARG (no picture, a class beyond n_classes), EHM_E_MEMORY. */
ehm_code ehm_draw_overlay(ehm_image *sheet, const ehm_overlay *o, ehm_arena *a, ehm_err *err);
#endif
