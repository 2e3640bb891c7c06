/* Numbers of patches as heat over the picture, and sheets under each other. */
#include "draw/hierarchy.h"
#include "draw/panel_int.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BAR_H = 8, IN_LINE = 7 };

static void range_of(const float *v, int32_t n, double *lo, double *hi) {
    *lo = INFINITY, *hi = -INFINITY;
    for (int32_t i = 0; i < n; i++) {
        if (!isfinite(v[i])) continue;
        if ((double)v[i] < *lo) *lo = (double)v[i];
        if ((double)v[i] > *hi) *hi = (double)v[i];
    }
}

static void draw_map(ehm_image *c, int32_t x, int32_t y, const ehm_panel *p, const float *v) {
    double lo, hi;
    int32_t n = p->grid_h * p->grid_w;
    range_of(v, n, &lo, &hi);
    ehm_panel_pale(c, x, y, p);
    for (int32_t i = 0; i < n; i++) /* what is no number is grey */
        ehm_panel_tint(c, x, y, p, i,
                       ehm_colour_heat(!isfinite(v[i]) ? NAN
                                       : hi > lo       ? ((double)v[i] - lo) / (hi - lo)
                                                       : 0.5),
                       0.78);
}

/* The bar and its two ends. */
static void draw_scale(ehm_image *c, int32_t x, int32_t y, int32_t w, const float *v, int32_t n) {
    double lo, hi;
    char text[2][32];
    range_of(v, n, &lo, &hi);
    if (!(hi >= lo)) {
        ehm_draw_text_in(c, x, y - 2, w, EHM_ALIGN_LEFT, 1, EHM_FAINT, "no numbers");
        return;
    }
    snprintf(text[0], sizeof text[0], "%.3g", lo), snprintf(text[1], sizeof text[1], "%.3g", hi);
    int32_t left = ehm_text_width(text[0], 1) + 6, right = ehm_text_width(text[1], 1) + 6,
            bar = w - left - right;
    ehm_draw_text(c, x, y - 2, 1, EHM_FAINT, text[0]);
    ehm_draw_text(c, x + w - right + 6, y - 2, 1, EHM_FAINT, text[1]);
    for (int32_t i = 0; i < bar; i++)
        ehm_draw_rect(c, x + left + i, y + 1, 1, BAR_H, ehm_colour_heat(hi > lo ? (i + 0.5) / bar : 0.5));
}

/* White on black, so that it is seen on every colour; beside the patch rather than on it. */
static void mark_patch(ehm_image *c, int32_t x, int32_t y, const ehm_panel *p, int32_t i) {
    int32_t left = x + i % p->grid_w * p->cell, top = y + i / p->grid_w * p->cell, out = p->cell < 8 ? 3 : 2;
    ehm_draw_frame(c, left - out - 1, top - out - 1, p->cell + 2 * out + 2, p->cell + 2 * out + 2, 1, EHM_RGB(0x101418));
    ehm_draw_frame(c, left - out, top - out, p->cell + 2 * out, p->cell + 2 * out, 2, EHM_RGB(0xffffff));
    ehm_draw_frame(c, left - out + 2, top - out + 2, p->cell + 2 * out - 4, p->cell + 2 * out - 4, 1, EHM_RGB(0xcf222e));
}

ehm_code ehm_draw_maps(ehm_image *sheet, const ehm_image *picture, const float *maps, int32_t n_maps,
                       int32_t grid_h, int32_t grid_w, const char *const *names, const char *caption,
                       ehm_arena *a, ehm_err *err) {
    return ehm_draw_maps_marked(sheet, picture, maps, n_maps, grid_h, grid_w, names, caption, -1, a, err);
}

ehm_code ehm_draw_maps_marked(ehm_image *sheet, const ehm_image *picture, const float *maps, int32_t n_maps,
                              int32_t grid_h, int32_t grid_w, const char *const *names, const char *caption,
                              int32_t i_patch, ehm_arena *a, ehm_err *err) {
    enum { M = EHM_PANEL_MARGIN, GAP = EHM_PANEL_GAP, ROW = EHM_TEXT_ROW };
    EHM_TRY(ehm_panel_check(picture, grid_h, grid_w, err));
    if (n_maps < 1) return EHM_FAIL(err, EHM_E_ARG, "a drawing of %d maps", n_maps);
    ehm_panel p = ehm_panel_of(picture, grid_h, grid_w, EHM_PANEL_PX);
    int32_t n = grid_h * grid_w, column = p.w > 120 ? p.w : 120, off = (column - p.w) / 2;
    int32_t lines = (n_maps + IN_LINE - 1) / IN_LINE,
            each = n_maps < IN_LINE ? n_maps : IN_LINE; /* maps beside the picture */
    int32_t top = M + (caption ? ROW + 6 : 0), line_h = p.h + 2 * ROW + 8;
    EHM_TRY(ehm_panel_canvas(sheet, 2 * M + (int64_t)(each + 1) * (column + GAP) - GAP,
                             (int64_t)top + (int64_t)lines * (line_h + GAP) - GAP + M, "the drawing of maps",
                             a, err));
    if (caption) ehm_panel_bold(sheet, M, M - 2, sheet->w - 2 * M, EHM_ALIGN_LEFT, caption);
    for (int32_t i = -1; i < n_maps; i++) {
        int32_t line = i < 0 ? 0 : i / IN_LINE, x = M + (i < 0 ? 0 : 1 + i % IN_LINE) * (column + GAP);
        int32_t y = top + line * (line_h + GAP), under = y + p.h + 4;
        EHM_TRY(ehm_panel_picture(sheet, x + off, y, &p, picture, a, err));
        if (i >= 0) draw_map(sheet, x + off, y, &p, maps + (size_t)i * (size_t)n);
        ehm_draw_frame(sheet, x + off - 1, y - 1, p.w + 2, p.h + 2, 1, EHM_LINE);
        if (i_patch >= 0) mark_patch(sheet, x + off, y, &p, i_patch);
        const char *name = i < 0 ? "picture" : names ? names[i] : NULL;
        if (name) ehm_draw_text_in(sheet, x, under, column, EHM_ALIGN_CENTRE, 1, EHM_INK, name);
        if (i >= 0) draw_scale(sheet, x, under + ROW + 4, column, maps + (size_t)i * (size_t)n, n);
    }
    return EHM_OK;
}

ehm_code ehm_draw_stack(ehm_image *out, const ehm_image *sheets, int32_t n, ehm_arena *a, ehm_err *err) {
    int64_t w = 0, h = 0;
    if (n < 1) return EHM_FAIL(err, EHM_E_ARG, "a stack of %d drawings", n);
    for (int32_t i = 0; i < n; i++) {
        if (sheets[i].c != 3 || sheets[i].type != EHM_U8)
            return EHM_FAIL(err, EHM_E_ARG, "a stack takes 8 bit RGB; drawing %d has %d channels", i,
                            sheets[i].c);
        if (sheets[i].w > w) w = sheets[i].w;
        h += sheets[i].h;
    }
    EHM_TRY(ehm_panel_canvas(out, w, h, "the drawings under each other", a, err));
    uint8_t *row = out->px;
    for (int32_t i = 0; i < n; i++)
        for (int32_t y = 0; y < sheets[i].h; y++, row += (size_t)out->w * 3)
            memcpy(row, (const uint8_t *)sheets[i].px + (size_t)y * (size_t)sheets[i].w * 3,
                   (size_t)sheets[i].w * 3);
    return EHM_OK;
}
