/* Contact sheets: a title, a grid of pictures with captions, column and row headings, a footnote, on a
 * light ground.
 *
 *     ehm_sheet_cell cells[6] = {{.image = &original, .caption = "n01/0001.png"}, ...};
 *     ehm_sheet s = {.title = "Masks", .n_rows = 2, .n_cols = 3, .cells = cells, .footnote = "seed 0"};
 *     s.columns = (const char *[]){"original", "random", "ehm"};
 *     EHM_TRY(ehm_sheet_draw(&out, &s, a, err));
 *     EHM_TRY(ehm_image_write("x.png", &out, err));
 */
#ifndef EHM_DRAW_SHEET_H
#define EHM_DRAW_SHEET_H
#include "draw/canvas.h"

typedef struct {
    const ehm_image *image; /* any size, channels and type, as ehm_draw_image takes them; NULL: left empty */
    const char *caption;    /* below the picture, wrapped; NULL: none */
    bool marked;            /* a coloured frame, in mark */
    ehm_rgb mark;
} ehm_sheet_cell;

typedef struct {
    const char *title, *footnote;         /* NULL: none */
    const char *const *columns, *const *rows; /* n_cols and n_rows headings, or NULL; an entry may be NULL */
    const ehm_sheet_cell *cells;          /* n_rows * n_cols, row by row */
    int32_t n_rows, n_cols;
    /* longer side of pictures as shown; 0: small ones enlarged by a whole factor to about 192, large ones
     * reduced to 256 */
    int32_t cell_px;
    int32_t max_caption_lines; /* 0: 3 */
    int32_t gap_px;            /* between cells; 0: 12 */
    ehm_align caption_align;
} ehm_sheet;

/* out in a, u8 RGB. Small pictures are enlarged by whole factors with square pixels, others resampled
 * (bicubic); all by the same factor, so that sizes compare. Errors: EHM_E_ARG (no cells, a sheet beyond
 * 32,768 px), EHM_E_MEMORY. */
ehm_code ehm_sheet_draw(ehm_image *out, const ehm_sheet *s, ehm_arena *a, ehm_err *err);
#endif
