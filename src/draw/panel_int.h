/* One picture's panel on a drawing: how large a patch is on it, the picture under a veil, and the borders of
 * what covers patches. */
#ifndef EHM_DRAW_PANEL_INT_H
#define EHM_DRAW_PANEL_INT_H
#include "draw/canvas.h"

enum { EHM_PANEL_MARGIN = 14, EHM_PANEL_GAP = 12, EHM_PANEL_PX = 224, EHM_PANEL_SIDE_MAX = 32768 };

typedef struct {
    int32_t grid_h, grid_w, cell, w, h;
} ehm_panel; /* cell: pixels of a patch; w, h: of the panel */
/* A panel whose longer side is near target_px. A small picture is enlarged by a whole factor, so that its
 * pixels and patches stay square and equal. picture NULL: of patches alone. */
ehm_panel ehm_panel_of(const ehm_image *picture, int32_t grid_h, int32_t grid_w, int32_t target_px);
/* EHM_E_ARG: a canvas larger than any viewer opens. what: "a drawing of 12 masks". */
ehm_code ehm_panel_canvas(ehm_image *out, int64_t w, int64_t h, const char *what, ehm_arena *a, ehm_err *err);
ehm_code ehm_panel_check(const ehm_image *picture, int32_t grid_h, int32_t grid_w, ehm_err *err);
ehm_code ehm_panel_picture(ehm_image *c, int32_t x, int32_t y, const ehm_panel *p, const ehm_image *picture,
                           ehm_arena *a, ehm_err *err);
/* Colours go, contrast is lowered and the dark lifted, so that colours laid over it can be told apart
 * everywhere. */
void ehm_panel_pale(ehm_image *c, int32_t x, int32_t y, const ehm_panel *p);
/* Patch i in colour, the picture's light and dark showing through. */
void ehm_panel_tint(ehm_image *c, int32_t x, int32_t y, const ehm_panel *p, int32_t i, ehm_rgb colour,
                    double opacity_frac);
/* Lines wherever two neighbouring patches differ in id [grid_h,grid_w]. */
void ehm_panel_borders(ehm_image *c, int32_t x, int32_t y, const ehm_panel *p, const int32_t *id,
                       int32_t thickness_px, ehm_rgb colour, double opacity_frac);
/* The same, light with a dark edge: seen on any ground. Only around nodes of two patches or more, since lines
 * around every single patch would hide where those are. */
ehm_code ehm_panel_outline(ehm_image *c, int32_t x, int32_t y, const ehm_panel *p, const int32_t *id,
                           ehm_arena *a, ehm_err *err);
/* Bold: drawn twice, a pixel apart. */
void ehm_panel_bold(ehm_image *c, int32_t x, int32_t y, int32_t w, ehm_align align, const char *text);
#endif
