/* Segmentations: classes as colours over the picture's light and dark. */
#include "draw/overlay.h"
#include "draw/panel_int.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MARGIN = 14,
    GAP = 12,
    SMALL_TO = 320,
    LARGE_TO = 480,
    SWATCH = 10,
    COLUMN_MIN = 110,
    COLUMN_MAX = 220,
    PANELS = 3
};
static const double opacity = 0.62;

/* Each as far as possible in CIELAB from all before it, among colours that are neither grey, pale as paper
 * nor dark as ink: any first so many stay apart (distance 76 at 8, 54 at 12, 37 at 24;
 * tests/unit/draw/test_overlay.c). */
static const uint32_t palette[] = {0x0078e1, 0x00ff00, 0xff0000, 0x3c4b00, 0xff00ff, 0x00f0f0,
                                   0xffe100, 0xffa5b4, 0x870069, 0x0000ff, 0x96e178, 0x871e0f,
                                   0xff963c, 0xff0069, 0xf096ff, 0x692dc3, 0xf0d296, 0x007869,
                                   0x4bc3ff, 0xff1eb4, 0x969600, 0xb4f01e, 0x007800, 0x4b3c78};

ehm_rgb ehm_overlay_colour(int32_t i) {
    enum { N = sizeof palette / sizeof *palette };
    uint32_t k = i < 0 ? 0 : (uint32_t)i, round = k / N;
    ehm_rgb base = EHM_RGB(palette[k % N]);
    if (!round) return base;
    /* Later rounds mix two colours of the list, by another pairing and share each round. */
    ehm_rgb other = EHM_RGB(palette[(k % N + 5 * round + 2) % N]);
    return ehm_colour_mix(base, other, 0.3 + 0.15 * (round % 3));
}

/* ---- panels ---- */

static uint8_t *pixel(ehm_image *c, int32_t x, int32_t y) {
    return (uint8_t *)c->px + ((size_t)y * (size_t)c->w + (size_t)x) * 3;
}

/* The picture as grey where it is covered: its own colours would shift those of the classes. */
static void tint(uint8_t *p, ehm_rgb colour) {
    double luma = 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
    uint8_t grey = (uint8_t)(40 + luma * (200.0 / 255) + 0.5);
    ehm_rgb v = ehm_colour_mix((ehm_rgb){grey, grey, grey}, colour, opacity);
    p[0] = v.r, p[1] = v.g, p[2] = v.b;
}

static void draw_classes(ehm_image *c, int32_t x, int32_t y, int32_t w, int32_t h, const int32_t *map,
                         const ehm_image *picture) {
    for (int32_t j = 0; j < h; j++)
        for (int32_t i = 0; i < w; i++) {
            int64_t row = (int64_t)j * picture->h / h, col = (int64_t)i * picture->w / w;
            int32_t k = map[row * picture->w + col];
            if (k >= 0) tint(pixel(c, x + i, y + j), ehm_overlay_colour(k));
        }
}

/* ---- legend ---- */

typedef struct {
    int32_t k;
    int64_t n;
} entry;
static int by_size(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->n != y->n) return x->n > y->n ? -1 : 1;
    return (x->k > y->k) - (x->k < y->k);
}

static ehm_code count(entry *v, const ehm_overlay *o, const int32_t *map, ehm_err *err) {
    int64_t n = (int64_t)o->picture->w * o->picture->h;
    for (int64_t i = 0; map && i < n; i++) {
        if (map[i] >= o->n_classes)
            return EHM_FAIL(err, EHM_E_ARG, "a label map holds class %d of %d", map[i], o->n_classes);
        if (map[i] >= 0) v[map[i]].n++;
    }
    return EHM_OK;
}

static void words(char *text, size_t size, const ehm_overlay *o, int32_t k) {
    char number[16];
    snprintf(number, sizeof number, "%d", k);
    const char *name = o->classes && o->classes[k] ? o->classes[k] : number;
    if (o->score && !isnan(o->score[k]))
        snprintf(text, size, "%.100s %.2f", name, o->score[k]);
    else
        snprintf(text, size, "%.100s", name);
}

/* Columns as wide as the widest entry. c NULL: only measures. Returns the height. */
static int32_t draw_legend(ehm_image *c, int32_t x, int32_t y, int32_t w, const ehm_overlay *o,
                           const entry *v, int32_t n) {
    char text[128];
    int32_t column = COLUMN_MIN, n_columns;
    for (int32_t i = 0; i < n; i++) {
        words(text, sizeof text, o, v[i].k);
        int32_t need = SWATCH + 6 + ehm_text_width(text, 1) + GAP;
        if (need > column) column = need;
    }
    if (column > COLUMN_MAX) column = COLUMN_MAX;
    n_columns = w / column > 0 ? w / column : 1;
    for (int32_t i = 0; c && i < n; i++) {
        int32_t left = x + i % n_columns * column, top = y + i / n_columns * (EHM_TEXT_ROW + 2);
        words(text, sizeof text, o, v[i].k);
        ehm_draw_rect(c, left, top + 2, SWATCH, SWATCH, ehm_overlay_colour(v[i].k));
        ehm_draw_frame(c, left, top + 2, SWATCH, SWATCH, 1,
                       ehm_colour_mix(ehm_overlay_colour(v[i].k), EHM_INK, 0.35));
        ehm_draw_text_in(c, left + SWATCH + 6, top, column - SWATCH - 6 - 4, EHM_ALIGN_LEFT, 1, EHM_INK,
                         text);
    }
    return (n + n_columns - 1) / n_columns * (EHM_TEXT_ROW + 2);
}

ehm_code ehm_draw_overlay(ehm_image *sheet, const ehm_overlay *o, ehm_arena *a, ehm_err *err) {
    static const char *const title[PANELS] = {"picture", "prediction", "truth"};
    const int32_t *map[PANELS] = {NULL, o->predicted, o->truth};
    const ehm_image *im = o->picture;
    int32_t n_panels = o->truth ? 3 : 2, n = 0;
    if (!im || !im->px || im->w < 1 || im->h < 1 || !o->predicted || o->n_classes < 1)
        return EHM_FAIL(err, EHM_E_ARG, "label maps over no picture");
    entry *v = EHM_NEW_N(a, entry, o->n_classes);
    if (!v) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a legend of %d classes", o->n_classes);
    for (int32_t k = 0; k < o->n_classes; k++) v[k].k = k;
    EHM_TRY(count(v, o, o->predicted, err));
    EHM_TRY(count(v, o, o->truth, err));
    qsort(v, (size_t)o->n_classes, sizeof *v, by_size);
    while (n < o->n_classes && v[n].n) n++;
    int32_t side = im->w > im->h ? im->w : im->h;
    double f = side <= SMALL_TO ? SMALL_TO / side : side > LARGE_TO ? (double)LARGE_TO / side : 1;
    int32_t w = (int32_t)fmax(im->w * f + 0.5, 1), h = (int32_t)fmax(im->h * f + 0.5, 1),
            column = w > COLUMN_MIN ? w : COLUMN_MIN;
    int32_t wide = n_panels * (column + GAP) - GAP,
            top = MARGIN + (o->caption ? EHM_TEXT_ROW + 6 : 0) + EHM_TEXT_ROW + 2;
    int32_t legend = draw_legend(NULL, 0, 0, wide, o, v, n);
    EHM_TRY(ehm_panel_canvas(sheet, wide + 2 * MARGIN, (int64_t)top + h + GAP + legend + MARGIN,
                             "the drawing of label maps", a, err));
    if (o->caption) ehm_panel_bold(sheet, MARGIN, MARGIN - 2, wide, EHM_ALIGN_LEFT, o->caption);
    for (int32_t i = 0; i < n_panels; i++) {
        int32_t left = MARGIN + i * (column + GAP), x = left + (column - w) / 2;
        ehm_draw_text_in(sheet, left, top - EHM_TEXT_ROW - 2, column, EHM_ALIGN_CENTRE, 1, EHM_FAINT,
                         title[i]);
        EHM_TRY(ehm_draw_image(sheet, x, top, w, h, im, f >= 1 ? EHM_RESIZE_NEAREST : EHM_RESIZE_BICUBIC, a,
                               err));
        if (map[i]) draw_classes(sheet, x, top, w, h, map[i], im);
        ehm_draw_frame(sheet, x - 1, top - 1, w + 2, h + 2, 1, EHM_LINE);
    }
    draw_legend(sheet, MARGIN, top + h + GAP, wide, o, v, n);
    return EHM_OK;
}
