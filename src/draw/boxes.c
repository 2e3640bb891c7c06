#include "draw/boxes.h"
#include <math.h>

static ehm_rgb readable_on(ehm_rgb c) { return 299 * c.r + 587 * c.g + 114 * c.b > 140000 ? EHM_INK : EHM_RGB(0xffffff); }

static void veil(ehm_image *out, const ehm_drawn_box *b, const ehm_image *picture) {
    for (int32_t y = 0; y < out->h; y++)
        for (int32_t x = 0; x < out->w; x++) {
            int64_t at = (int64_t)((int64_t)y * picture->h / out->h) * picture->w + (int64_t)x * picture->w / out->w;
            if (b->mask[at]) ehm_draw_veil(out, x, y, 1, 1, b->colour, 0.45);
        }
}

static void frame(ehm_image *out, const ehm_drawn_box *b, double f) {
    int32_t x0 = (int32_t)lround(fmax(b->x0 * f, 0)), y0 = (int32_t)lround(fmax(b->y0 * f, 0));
    int32_t x1 = (int32_t)lround(fmin(b->x1 * f, out->w)), y1 = (int32_t)lround(fmin(b->y1 * f, out->h));
    ehm_draw_frame(out, x0, y0, x1 - x0 > 1 ? x1 - x0 : 1, y1 - y0 > 1 ? y1 - y0 : 1, 2, b->colour);
}

static void name(ehm_image *out, const ehm_drawn_box *b, double f) {
    if (!b->label) return;
    int32_t w = ehm_text_width(b->label, 1) + 4, x = (int32_t)lround(fmax(b->x0 * f, 0)), y = (int32_t)lround(b->y0 * f) - EHM_TEXT_ROW;
    if (x + w > out->w) x = out->w > w ? out->w - w : 0;
    if (y < 0) y = 0;
    if (y > out->h - EHM_TEXT_ROW) y = out->h - EHM_TEXT_ROW;
    ehm_draw_rect(out, x, y, w, EHM_TEXT_ROW, b->colour);
    ehm_draw_text(out, x + 2, y + 1, 1, readable_on(b->colour), b->label);
}

ehm_code ehm_draw_boxes(ehm_image *out, const ehm_image *picture, const ehm_drawn_box *boxes, int32_t n, int32_t side_px, ehm_arena *a, ehm_err *err) {
    int32_t side = picture->w > picture->h ? picture->w : picture->h;
    if (picture->w < 1 || picture->h < 1 || side_px < 16) return EHM_FAIL(err, EHM_E_ARG, "a picture of %dx%d to be drawn in %d pixels", picture->w, picture->h, side_px);
    double f = side <= side_px ? side_px / side : (double)side_px / side;
    int32_t w = (int32_t)lround(picture->w * f), h = (int32_t)lround(picture->h * f);
    EHM_TRY(ehm_canvas_new(out, w > 0 ? w : 1, h > 0 ? h : 1, EHM_PAPER, a, err));
    EHM_TRY(ehm_draw_image(out, 0, 0, out->w, out->h, picture, f >= 1 ? EHM_RESIZE_NEAREST : EHM_RESIZE_BICUBIC, a, err));
    for (int32_t i = 0; i < n; i++)
        if (boxes[i].mask) veil(out, &boxes[i], picture);
    for (int32_t i = 0; i < n; i++) frame(out, &boxes[i], f);
    for (int32_t i = 0; i < n; i++) name(out, &boxes[i], f);
    return EHM_OK;
}
