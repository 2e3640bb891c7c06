/* A picture with boxes, their names and the masks of their objects.
 *
 *     ehm_drawn_box b[2] = {{.x0 = 3, .y0 = 4, .x1 = 40, .y1 = 50, .colour = ehm_colour_category(0), .label = "RBC 0.93"}, ...};
 *     EHM_TRY(ehm_draw_boxes(&out, &img, b, 2, 256, &arena, &err));
 */
#ifndef EHM_DRAW_BOXES_H
#define EHM_DRAW_BOXES_H
#include "draw/canvas.h"

typedef struct {
    double x0, y0, x1, y1;  /* in pixels of the picture; what lies outside is cut off */
    ehm_rgb colour;
    const char *label;      /* above the box's upper left corner; NULL: none */
    const uint8_t *mask;    /* [h,w] of the picture: 1 where the object is, veiled in colour; NULL: none */
} ehm_drawn_box;
/* out in a, u8 RGB: the picture (any channels and type, as ehm_draw_image takes them) enlarged by a whole factor while its longer side stays within
 * side_px, or reduced to side_px; the last box lies on top. Errors: EHM_E_ARG for an empty picture or side_px below 16, EHM_E_MEMORY. */
ehm_code ehm_draw_boxes(ehm_image *out, const ehm_image *picture, const ehm_drawn_box *boxes, int32_t n, int32_t side_px, ehm_arena *a, ehm_err *err);
#endif
