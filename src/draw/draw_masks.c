/* Strips of masks: a row for each progress, what is removed covered, the nodes that it was taken from
 * outlined. */
#include "draw/hierarchy.h"
#include "draw/panel_int.h"
#include <string.h>

enum { PATTERN_PX = 112, HEAD_MAX = 220 };
#define COVER EHM_RGB(0x4c525a)   /* removed, over a picture */
#define REMOVED EHM_RGB(0x3a3f45) /* removed, in a pattern */
#define VISIBLE EHM_RGB(0xe9e6dd)

static int32_t target_px(bool pattern, int32_t n_each) {
    return pattern ? PATTERN_PX : n_each <= 4 ? EHM_PANEL_PX : n_each <= 6 ? 176 : 144;
}

static void draw_pattern(ehm_image *c, int32_t x, int32_t y, const ehm_panel *p, const uint8_t *mask) {
    int32_t line = p->cell >= 6 ? 1 : 0; /* patches stay countable */
    ehm_draw_rect(c, x, y, p->w, p->h, line ? EHM_RGB(0x8d9096) : VISIBLE);
    for (int32_t i = 0; i < p->grid_h * p->grid_w; i++)
        ehm_draw_rect(c, x + i % p->grid_w * p->cell, y + i / p->grid_w * p->cell, p->cell - line,
                      p->cell - line, mask[i] ? REMOVED : VISIBLE);
}

static ehm_code draw_mask(ehm_image *c, int32_t x, int32_t y, const ehm_panel *p, const ehm_image *picture,
                          const uint8_t *mask, const int32_t *node, ehm_arena *a, ehm_err *err) {
    int32_t n = p->grid_h * p->grid_w;
    if (!picture)
        draw_pattern(c, x, y, p, mask);
    else {
        EHM_TRY(ehm_panel_picture(c, x, y, p, picture, a, err));
        for (int32_t i = 0; i < n; i++)
            if (mask[i]) ehm_panel_tint(c, x, y, p, i, COVER, 0.9);
    }
    if (node) EHM_TRY(ehm_panel_outline(c, x, y, p, node, a, err));
    ehm_draw_frame(c, x - 1, y - 1, p->w + 2, p->h + 2, 1, EHM_LINE);
    return EHM_OK;
}

static int32_t head_width(const char *const *labels, int32_t n_values) {
    int32_t w = 0;
    for (int32_t i = 0; labels && i < n_values; i++) {
        int32_t v = labels[i] ? ehm_text_width(labels[i], 1) : 0;
        if (v > w) w = v;
    }
    return w > HEAD_MAX ? HEAD_MAX : w;
}

ehm_code ehm_draw_masks(ehm_image *sheet, const ehm_image *picture, const uint8_t *masks,
                        const int32_t *frontier, int32_t n_values, int32_t n_each, int32_t grid_h,
                        int32_t grid_w, const char *const *labels, const char *title, ehm_arena *a,
                        ehm_err *err) {
    enum { M = EHM_PANEL_MARGIN, ROW = EHM_TEXT_ROW };
    int32_t gap = picture ? 10 : 8, n = grid_h * grid_w;
    EHM_TRY(ehm_panel_check(picture, grid_h, grid_w, err));
    if (n_values < 1 || n_each < 1 || !masks)
        return EHM_FAIL(err, EHM_E_ARG, "a strip of %d rows of %d masks", n_values, n_each);
    ehm_panel p = ehm_panel_of(picture, grid_h, grid_w, target_px(!picture, n_each));
    /* The picture itself stands before the first row, over the row's label. */
    ehm_panel small = ehm_panel_of(NULL, grid_h, grid_w, p.h > p.w ? p.h / 2 : p.w / 2);
    int32_t head = head_width(labels, n_values);
    if (picture && head < small.w) head = small.w;
    int32_t x0 = M + (head ? head + gap : 0);
    int64_t w = (int64_t)x0 + (int64_t)n_each * (p.w + gap) - gap + M,
            least = 2 * M + (int64_t)(title ? 240 : 0);
    if (w < least) w = least;
    if (w > EHM_PANEL_SIDE_MAX) w = EHM_PANEL_SIDE_MAX + 1;
    int32_t lines =
        title ? ehm_draw_text_wrapped(NULL, 0, 0, (int32_t)w - 2 * M, 3, EHM_ALIGN_LEFT, 1, EHM_INK, title)
              : 0;
    int32_t y0 = M + (lines ? lines * ROW + 6 : 0);
    int32_t row_h = p.h;
    if (picture && row_h < small.h + 4 + ROW) row_h = small.h + 4 + ROW;
    if (row_h < ROW) row_h = ROW;
    EHM_TRY(ehm_panel_canvas(sheet, w, (int64_t)y0 + (int64_t)n_values * (row_h + gap) - gap + M,
                             "the strip of masks", a, err));
    if (title)
        for (int32_t i = 0; i < 2; i++)
            ehm_draw_text_wrapped(sheet, M + i, M - 2, sheet->w - 2 * M, 3, EHM_ALIGN_LEFT, 1, EHM_INK,
                                  title);
    for (int32_t v = 0; v < n_values; v++) {
        int32_t y = y0 + v * (row_h + gap), text_y = y + (row_h - ROW) / 2;
        if (picture && !v) {
            EHM_TRY(ehm_panel_picture(sheet, M, y, &small, picture, a, err));
            ehm_draw_frame(sheet, M - 1, y - 1, small.w + 2, small.h + 2, 1, EHM_LINE);
            if (text_y < y + small.h + 4) text_y = y + small.h + 4;
        }
        if (labels && labels[v])
            ehm_draw_text_in(sheet, M, text_y, head, EHM_ALIGN_LEFT, 1, EHM_INK, labels[v]);
        for (int32_t i = 0; i < n_each; i++) {
            size_t at = ((size_t)v * (size_t)n_each + (size_t)i) * (size_t)n;
            EHM_TRY(draw_mask(sheet, x0 + i * (p.w + gap), y + (row_h - p.h) / 2, &p, picture, masks + at,
                              frontier ? frontier + at : NULL, a, err));
        }
    }
    return EHM_OK;
}
