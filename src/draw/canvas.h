/* Drawing on an 8 bit RGB picture: areas, lines, pictures and text in a bitmap font of our own. What lies
 * outside the canvas is cut off, so nothing here can fail for where it draws.
 *
 *     ehm_image c;
 *     EHM_TRY(ehm_canvas_new(&c, 640, 480, EHM_PAPER, a, err));
 *     ehm_draw_frame(&c, 10, 10, 100, 80, 1, EHM_LINE);
 *     ehm_draw_text(&c, 14, 14, 1, EHM_INK, "mask ratio 0.75");
 *     EHM_TRY(ehm_image_write("x.png", &c, err));
 *
 * Positions are pixels from the top left corner; scale is a whole number of pixels a dot.
 */
#ifndef EHM_DRAW_CANVAS_H
#define EHM_DRAW_CANVAS_H
#include "image/image.h"

typedef struct { uint8_t r, g, b; } ehm_rgb;
#define EHM_RGB(hex) ((ehm_rgb){(uint8_t)((hex) >> 16), (uint8_t)((hex) >> 8), (uint8_t)(hex)})
#define EHM_PAPER EHM_RGB(0xfafaf8) /* background of sheets */
#define EHM_INK EHM_RGB(0x22262b)   /* text */
#define EHM_FAINT EHM_RGB(0x6b727a) /* footnotes, secondary text */
#define EHM_LINE EHM_RGB(0xc9ccd1)  /* rules and frames */
#define EHM_ACCENT EHM_RGB(0x1f6feb)

/* Colour i of a list in which near numbers look different; the same everywhere, without end. */
ehm_rgb ehm_colour_category(int32_t i);
/* Dark blue (0) over green to pale yellow (1), ever lighter, for values; cut to 0..1, NaN is grey. */
ehm_rgb ehm_colour_heat(double v);
/* Blue (-1) over paper white (0) to red (1). */
ehm_rgb ehm_colour_signed(double v);
ehm_rgb ehm_colour_mix(ehm_rgb a, ehm_rgb b, double share_of_b);

ehm_code ehm_canvas_new(ehm_image *out, int32_t w, int32_t h, ehm_rgb background, ehm_arena *a, ehm_err *err);
/* Rectangles: filled, mixed in, and hollow (the frame lies inside w x h). A width or height below 1
 * draws nothing. */
void ehm_draw_rect(ehm_image *c, int32_t x, int32_t y, int32_t w, int32_t h, ehm_rgb colour);
void ehm_draw_veil(ehm_image *c, int32_t x, int32_t y, int32_t w, int32_t h, ehm_rgb colour,
                   double opacity_frac);
void ehm_draw_frame(ehm_image *c, int32_t x, int32_t y, int32_t w, int32_t h, int32_t thickness_px,
                    ehm_rgb colour);
/* Both ends included. */
void ehm_draw_line(ehm_image *c, int32_t x0, int32_t y0, int32_t x1, int32_t y1, int32_t thickness_px,
                   ehm_rgb colour);
void ehm_draw_disc(ehm_image *c, double cx, double cy, double radius_px, ehm_rgb colour); /* smooth edge */
/* im scaled to w x h. Any channel count (alpha is laid on white, more than four: the first as grey) and
 * type (u16 by its high byte, f32 as 0..1). Nearest keeps pixels square, the other kinds resample. Errors:
 * EHM_E_ARG for an empty picture, EHM_E_MEMORY. */
ehm_code ehm_draw_image(ehm_image *c, int32_t x, int32_t y, int32_t w, int32_t h, const ehm_image *im,
                        ehm_resize_kind kind, ehm_arena *a, ehm_err *err);

/* at scale 1: line to line, top of the line to the base line */
enum { EHM_TEXT_ROW = 14, EHM_TEXT_BASE = 10 };
typedef enum { EHM_ALIGN_LEFT, EHM_ALIGN_CENTRE, EHM_ALIGN_RIGHT } ehm_align;
/* Text is UTF-8, one line (a newline is a space here). Letters with accents lose them; what the font lacks
 * is a small box. */
int32_t ehm_text_width(const char *text, int32_t scale);
void ehm_draw_text(ehm_image *c, int32_t x, int32_t y, int32_t scale, ehm_rgb colour, const char *text);
/* The same in a box of w pixels, cut with "..." where it is too long. */
void ehm_draw_text_in(ehm_image *c, int32_t x, int32_t y, int32_t w, ehm_align align, int32_t scale,
                      ehm_rgb colour, const char *text);
/* Wrapped at spaces, / and _ (and anywhere if a word alone is too wide), at newlines always. At most
 * max_lines lines, the last cut with "..."; 0: no limit. c NULL only measures. Returns the number of
 * lines. */
int32_t ehm_draw_text_wrapped(ehm_image *c, int32_t x, int32_t y, int32_t w, int32_t max_lines,
                              ehm_align align, int32_t scale, ehm_rgb colour, const char *text);
#endif
