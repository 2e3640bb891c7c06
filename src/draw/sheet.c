/* Contact sheets in two steps: a plan of where everything lies, then the drawing. */
#include "draw/sheet.h"
#include <string.h>

enum {
    MARGIN = 20,
    TITLE_SCALE = 2,
    SMALL_TO = 192,
    LARGE_TO = 256,
    MAX_SIDE = 32768,
    CAPTION_GAP = 4,
    MIN_CELL_W = 64,
    MAX_ROW_HEAD = 160
};

/* Where everything lies; made once, then drawn. */
typedef struct {
    double factor;                    /* shown / stored, for all pictures */
    int32_t cell_w, cell_h, gap;      /* the picture's box */
    int32_t x0, y0, row_head_w;       /* of the first cell */
    int32_t *caption_lines;           /* per row of the grid */
    int32_t max_lines, w, h, title_lines, foot_lines, columns_h;
} layout;

static int32_t shown(int32_t px, double factor) {
    int32_t v = (int32_t)(px * factor + 0.5);
    return v > 0 ? v : 1;
}

static const ehm_sheet_cell *cell_at(const ehm_sheet *s, int32_t row, int32_t col) {
    return &s->cells[(size_t)row * (size_t)s->n_cols + (size_t)col];
}

static void largest(const ehm_sheet *s, int32_t *w, int32_t *h) {
    *w = *h = 1;
    for (int32_t i = 0; i < s->n_rows * s->n_cols; i++) {
        const ehm_image *im = s->cells[i].image;
        if (im && im->w > *w) *w = im->w;
        if (im && im->h > *h) *h = im->h;
    }
}

/* A whole factor up, so that pixels stay square and equal; down by any factor. */
static double factor_for(int32_t side, int32_t cell_px) {
    int32_t to = cell_px > 0 ? cell_px : side <= LARGE_TO ? SMALL_TO : LARGE_TO;
    if (side <= to) return to / side;
    return cell_px > 0 || side > LARGE_TO ? (double)to / side : 1;
}

static int32_t widest_row_head(const ehm_sheet *s) {
    int32_t w = 0;
    for (int32_t i = 0; s->rows && i < s->n_rows; i++) {
        int32_t v = s->rows[i] ? ehm_text_width(s->rows[i], 1) : 0;
        if (v > w) w = v;
    }
    return w > MAX_ROW_HEAD ? MAX_ROW_HEAD : w;
}

static int32_t lines_of(const char *text, int32_t w, int32_t max_lines, int32_t scale) {
    return text ? ehm_draw_text_wrapped(NULL, 0, 0, w, max_lines, EHM_ALIGN_LEFT, scale, EHM_INK, text) : 0;
}

static bool any(const char *const *v, int32_t n) {
    for (int32_t i = 0; v && i < n; i++)
        if (v[i]) return true;
    return false;
}

static ehm_code plan(layout *l, const ehm_sheet *s, ehm_arena *a, ehm_err *err) {
    int32_t w, h;
    if (s->n_rows <= 0 || s->n_cols <= 0 || s->n_rows > MAX_SIDE || s->n_cols > MAX_SIDE || !s->cells)
        return EHM_FAIL(err, EHM_E_ARG, "a sheet of %d x %d cells", s->n_rows, s->n_cols);
    *l = (layout){.gap = s->gap_px > 0 ? s->gap_px : 12,
                  .max_lines = s->max_caption_lines > 0 ? s->max_caption_lines : 3};
    l->caption_lines = EHM_NEW_N(a, int32_t, s->n_rows);
    if (!l->caption_lines) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a sheet of %d rows", s->n_rows);
    largest(s, &w, &h);
    l->factor = factor_for(w > h ? w : h, s->cell_px);
    l->cell_w = shown(w, l->factor);
    if (l->cell_w < MIN_CELL_W) l->cell_w = MIN_CELL_W; /* room for a caption */
    l->cell_h = shown(h, l->factor);
    l->row_head_w = widest_row_head(s);
    l->x0 = MARGIN + (l->row_head_w ? l->row_head_w + l->gap : 0);
    int64_t total_w = (int64_t)l->x0 + (int64_t)s->n_cols * (l->cell_w + l->gap) - l->gap + MARGIN;
    if (s->title && total_w < 2 * MARGIN + 240) total_w = 2 * MARGIN + 240; /* room for words */
    if (total_w > MAX_SIDE)
        return EHM_FAIL(err, EHM_E_ARG, "a sheet %lld px wide (at most %d): fewer columns or a smaller cell",
                        (long long)total_w, MAX_SIDE);
    l->w = (int32_t)total_w;
    l->title_lines = lines_of(s->title, l->w - 2 * MARGIN, 2, TITLE_SCALE);
    l->foot_lines = lines_of(s->footnote, l->w - 2 * MARGIN, 0, 1);
    l->columns_h = any(s->columns, s->n_cols) ? EHM_TEXT_ROW + 4 : 0;
    int64_t y =
        MARGIN + l->title_lines * EHM_TEXT_ROW * TITLE_SCALE + (l->title_lines ? l->gap : 0) + l->columns_h;
    l->y0 = (int32_t)y;
    for (int32_t r = 0; r < s->n_rows; r++) {
        for (int32_t c = 0; c < s->n_cols; c++) {
            int32_t n = lines_of(cell_at(s, r, c)->caption, l->cell_w, l->max_lines, 1);
            if (n > l->caption_lines[r]) l->caption_lines[r] = n;
        }
        y += l->cell_h + (l->caption_lines[r] ? CAPTION_GAP + l->caption_lines[r] * EHM_TEXT_ROW : 0) +
             (r + 1 < s->n_rows ? l->gap : 0);
    }
    y += l->foot_lines ? l->gap + l->foot_lines * EHM_TEXT_ROW : 0;
    y += MARGIN;
    if (y > MAX_SIDE)
        return EHM_FAIL(err, EHM_E_ARG, "a sheet %lld px high (at most %d): fewer rows or a smaller cell",
                        (long long)y, MAX_SIDE);
    l->h = (int32_t)y;
    return EHM_OK;
}

static ehm_code draw_cell(ehm_image *out, const layout *l, const ehm_sheet *s, const ehm_sheet_cell *cell,
                          int32_t x, int32_t y, ehm_arena *a, ehm_err *err) {
    if (cell->image) {
        int32_t w = shown(cell->image->w, l->factor), h = shown(cell->image->h, l->factor);
        int32_t px = x + (l->cell_w - w) / 2, py = y + (l->cell_h - h) / 2;
        ehm_resize_kind kind = l->factor >= 1 ? EHM_RESIZE_NEAREST : EHM_RESIZE_BICUBIC;
        EHM_TRY(ehm_draw_image(out, px, py, w, h, cell->image, kind, a, err));
        if (cell->marked) ehm_draw_frame(out, px - 3, py - 3, w + 6, h + 6, 3, cell->mark);
        else ehm_draw_frame(out, px - 1, py - 1, w + 2, h + 2, 1, EHM_LINE);
    }
    if (cell->caption)
        ehm_draw_text_wrapped(out, x, y + l->cell_h + CAPTION_GAP, l->cell_w, l->max_lines, s->caption_align,
                              1, EHM_INK, cell->caption);
    return EHM_OK;
}

static void draw_words(ehm_image *out, const layout *l, const ehm_sheet *s) {
    int32_t wide = l->w - 2 * MARGIN;
    for (int32_t x = 0; s->title && x < 2; x++) /* twice, a pixel apart: bold */
        ehm_draw_text_wrapped(out, MARGIN + x, MARGIN - 4, wide, 2, EHM_ALIGN_LEFT, TITLE_SCALE, EHM_INK,
                              s->title);
    for (int32_t c = 0; s->columns && c < s->n_cols; c++)
        if (s->columns[c])
            ehm_draw_text_in(out, l->x0 + c * (l->cell_w + l->gap), l->y0 - l->columns_h, l->cell_w,
                             EHM_ALIGN_CENTRE, 1, EHM_FAINT, s->columns[c]);
    if (s->footnote)
        ehm_draw_text_wrapped(out, MARGIN, l->h - MARGIN - l->foot_lines * EHM_TEXT_ROW, wide, 0,
                              EHM_ALIGN_LEFT, 1, EHM_FAINT, s->footnote);
}

ehm_code ehm_sheet_draw(ehm_image *out, const ehm_sheet *s, ehm_arena *a, ehm_err *err) {
    layout l = {0};
    EHM_TRY(plan(&l, s, a, err));
    EHM_TRY(ehm_canvas_new(out, l.w, l.h, EHM_PAPER, a, err));
    draw_words(out, &l, s);
    int32_t y = l.y0;
    for (int32_t r = 0; r < s->n_rows; r++) {
        if (s->rows && s->rows[r]) {
            int32_t max_lines = l.cell_h / EHM_TEXT_ROW > 0 ? l.cell_h / EHM_TEXT_ROW : 1;
            int32_t h = lines_of(s->rows[r], l.row_head_w, max_lines, 1) * EHM_TEXT_ROW;
            ehm_draw_text_wrapped(out, MARGIN, y + (l.cell_h - h) / 2, l.row_head_w, max_lines,
                                  EHM_ALIGN_RIGHT, 1, EHM_FAINT, s->rows[r]);
        }
        for (int32_t c = 0; c < s->n_cols; c++)
            EHM_TRY(draw_cell(out, &l, s, cell_at(s, r, c), l.x0 + c * (l.cell_w + l.gap), y, a, err));
        y += l.cell_h + l.gap + (l.caption_lines[r] ? CAPTION_GAP + l.caption_lines[r] * EHM_TEXT_ROW : 0);
    }
    return EHM_OK;
}
