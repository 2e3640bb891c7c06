#include "draw/panel_int.h"
#include <math.h>

static int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

ehm_panel ehm_panel_of(const ehm_image *picture, int32_t grid_h, int32_t grid_w, int32_t target_px) {
    ehm_panel p = {.grid_h = grid_h, .grid_w = grid_w};
    int32_t side = larger(grid_h, grid_w), patch = 0;
    if (picture && picture->w % grid_w == 0 && picture->h % grid_h == 0 &&
        picture->w / grid_w == picture->h / grid_h)
        patch = picture->w / grid_w;
    if (patch && (int64_t)patch * side <= target_px * 5 / 4) {
        int32_t factor = (int32_t)((double)target_px / ((double)patch * side) + 0.5);
        p.cell = patch * larger(factor, 1);
    } else
        p.cell = larger((int32_t)((double)target_px / side + 0.5), 1);
    p.w = p.cell * grid_w, p.h = p.cell * grid_h;
    return p;
}

ehm_code ehm_panel_canvas(ehm_image *out, int64_t w, int64_t h, const char *what, ehm_arena *a,
                          ehm_err *err) {
    if (w > EHM_PANEL_SIDE_MAX || h > EHM_PANEL_SIDE_MAX)
        return EHM_FAIL(err, EHM_E_ARG, "%s would be %lld x %lld px (at most %d): draw fewer at once", what,
                        (long long)w, (long long)h, EHM_PANEL_SIDE_MAX);
    return ehm_canvas_new(out, (int32_t)w, (int32_t)h, EHM_PAPER, a, err);
}

ehm_code ehm_panel_check(const ehm_image *picture, int32_t grid_h, int32_t grid_w, ehm_err *err) {
    if (grid_h < 1 || grid_w < 1 || grid_h > EHM_PANEL_SIDE_MAX || grid_w > EHM_PANEL_SIDE_MAX)
        return EHM_FAIL(err, EHM_E_ARG, "a drawing on a grid of %d x %d patches", grid_h, grid_w);
    if (picture && (!picture->px || picture->w < 1 || picture->h < 1))
        return EHM_FAIL(err, EHM_E_ARG, "a drawing over a picture of %d x %d px", picture->w, picture->h);
    return EHM_OK;
}

ehm_code ehm_panel_picture(ehm_image *c, int32_t x, int32_t y, const ehm_panel *p, const ehm_image *picture,
                           ehm_arena *a, ehm_err *err) {
    bool whole = p->w % picture->w == 0 && p->h % picture->h == 0;
    return ehm_draw_image(c, x, y, p->w, p->h, picture, whole ? EHM_RESIZE_NEAREST : EHM_RESIZE_BICUBIC, a,
                          err);
}

static uint8_t *pixel(ehm_image *c, int32_t x, int32_t y) {
    return (uint8_t *)c->px + ((size_t)y * (size_t)c->w + (size_t)x) * 3;
}

void ehm_panel_pale(ehm_image *c, int32_t x, int32_t y, const ehm_panel *p) {
    for (int32_t j = y; j < y + p->h && j < c->h; j++)
        for (int32_t i = x; i < x + p->w && i < c->w; i++) {
            uint8_t *v = pixel(c, i, j);
            double luma = 0.299 * v[0] + 0.587 * v[1] + 0.114 * v[2];
            v[0] = v[1] = v[2] = (uint8_t)(70 + luma * (185.0 / 255) + 0.5);
        }
}

void ehm_panel_tint(ehm_image *c, int32_t x, int32_t y, const ehm_panel *p, int32_t i, ehm_rgb colour,
                    double opacity_frac) {
    ehm_draw_veil(c, x + i % p->grid_w * p->cell, y + i / p->grid_w * p->cell, p->cell, p->cell, colour,
                  opacity_frac);
}

/* Part of a panel: lines end at its edge. */
static void veil_inside(ehm_image *c, int32_t x, int32_t y, const ehm_panel *p, int32_t left, int32_t top,
                        int32_t w, int32_t h, ehm_rgb colour, double opacity_frac) {
    int32_t right = left + w > p->w ? p->w : left + w, bottom = top + h > p->h ? p->h : top + h;
    left = larger(left, 0), top = larger(top, 0);
    ehm_draw_veil(c, x + left, y + top, right - left, bottom - top, colour, opacity_frac);
}

void ehm_panel_borders(ehm_image *c, int32_t x, int32_t y, const ehm_panel *p, const int32_t *id, int32_t t,
                       ehm_rgb colour, double opacity_frac) {
    int32_t back = t / 2;
    for (int32_t r = 0; r < p->grid_h; r++)
        for (int32_t k = 0; k < p->grid_w; k++) {
            const int32_t *me = id + (size_t)r * (size_t)p->grid_w + k;
            int32_t left = k * p->cell - back, top = r * p->cell - back;
            /* longer by the line's width, so that corners close */
            if (k && me[0] != me[-1])
                veil_inside(c, x, y, p, left, top, t, p->cell + t, colour, opacity_frac);
            if (r && me[0] != me[-p->grid_w])
                veil_inside(c, x, y, p, left, top, p->cell + t, t, colour, opacity_frac);
        }
}

/* ids [n] in 0..n-1; out: -1 for those that occur once. */
static void without_singles(int32_t *out, int32_t *times, const int32_t *id, int32_t n) {
    for (int32_t i = 0; i < n; i++) times[id[i]]++;
    for (int32_t i = 0; i < n; i++) out[i] = times[id[i]] > 1 ? id[i] : -1;
}

ehm_code ehm_panel_outline(ehm_image *c, int32_t x, int32_t y, const ehm_panel *p, const int32_t *id,
                           ehm_arena *a, ehm_err *err) {
    int32_t n = p->grid_h * p->grid_w;
    bool fine = p->cell < 6;
    int32_t *nodes = EHM_NEW_N(a, int32_t, n), *times = EHM_NEW_N(a, int32_t, n);
    if (!nodes || !times) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to outline %d patches", n);
    without_singles(nodes, times, id, n);
    if (!fine) ehm_panel_borders(c, x, y, p, nodes, p->cell < 22 ? 3 : 4, EHM_RGB(0x101418), 1);
    ehm_panel_borders(c, x, y, p, nodes, fine || p->cell < 22 ? 1 : 2, EHM_RGB(0xffffff), 1);
    return EHM_OK;
}

void ehm_panel_bold(ehm_image *c, int32_t x, int32_t y, int32_t w, ehm_align align, const char *text) {
    for (int32_t i = 0; i < 2; i++) ehm_draw_text_in(c, x + i, y, w, align, 1, EHM_INK, text);
}
