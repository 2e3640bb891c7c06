/* Drawing primitives: everything ends in put(), which knows the canvas's edges. */
#include "draw/canvas.h"
#include <math.h>
#include <string.h>

/* ---- colours ---- */

static uint8_t byte_of(double v) { return (uint8_t)(v <= 0 ? 0 : v >= 255 ? 255 : v + 0.5); }

ehm_rgb ehm_colour_mix(ehm_rgb a, ehm_rgb b, double t) {
    if (!(t > 0)) return a;
    if (t >= 1) return b;
    return (ehm_rgb){byte_of(a.r + (b.r - a.r) * t), byte_of(a.g + (b.g - a.g) * t),
                     byte_of(a.b + (b.b - a.b) * t)};
}

/* Ten hand-picked colours that stay apart in print and for most colour-blind eyes; further ones are mixed
 * from pairs. */
ehm_rgb ehm_colour_category(int32_t i) {
    static const uint32_t first[] = {0x2f6fb0, 0xe0812b, 0x3c9a5f, 0xc8433f, 0x8a63b8,
                                     0x8f6a4a, 0xd678b4, 0x7c8189, 0xb7b233, 0x2fb1c2};
    enum { N = sizeof first / sizeof *first };
    uint32_t k = i < 0 ? (uint32_t)-(int64_t)i : (uint32_t)i, round = k / N;
    ehm_rgb base = EHM_RGB(first[k % N]);
    if (round == 0) return base;
    ehm_rgb other = EHM_RGB(first[(k % N + round * 3) % N]);
    double light = (round & 1) ? 0.35 : 0.0; /* every other round is paler */
    return ehm_colour_mix(ehm_colour_mix(base, other, 0.25 + 0.1 * (round % 4)), EHM_RGB(0xffffff), light);
}

static ehm_rgb between(const uint32_t *stops, int32_t n, double v) {
    double at = v * (n - 1);
    int32_t i = (int32_t)at;
    if (i >= n - 1) return EHM_RGB(stops[n - 1]);
    return ehm_colour_mix(EHM_RGB(stops[i]), EHM_RGB(stops[i + 1]), at - i);
}

ehm_rgb ehm_colour_heat(double v) {
    static const uint32_t stops[] = {0x16123f, 0x283a7d, 0x1f6a93, 0x1f9488, 0x5bbb63, 0xb9d84d, 0xfdf3a7};
    if (v != v) return EHM_RGB(0x9a9a9a);
    return between(stops, 7, v < 0 ? 0 : v > 1 ? 1 : v);
}

ehm_rgb ehm_colour_signed(double v) {
    static const uint32_t stops[] = {0x1c4a8c, 0x7aa6d6, 0xf6f5f2, 0xe09077, 0x9c2426};
    if (v != v) return EHM_RGB(0x9a9a9a);
    return between(stops, 5, v < -1 ? 0 : v > 1 ? 1 : (v + 1) / 2);
}

/* ---- areas and lines ---- */

ehm_code ehm_canvas_new(ehm_image *out, int32_t w, int32_t h, ehm_rgb background, ehm_arena *a,
                        ehm_err *err) {
    EHM_TRY(ehm_image_new(out, w, h, 3, EHM_U8, a, err));
    ehm_draw_rect(out, 0, 0, w, h, background);
    return EHM_OK;
}

static uint8_t *at(ehm_image *c, int32_t x, int32_t y) {
    return (uint8_t *)c->px + ((size_t)y * (size_t)c->w + (size_t)x) * 3;
}

static void put(ehm_image *c, int32_t x, int32_t y, ehm_rgb colour) {
    if (x < 0 || y < 0 || x >= c->w || y >= c->h) return;
    uint8_t *p = at(c, x, y);
    p[0] = colour.r;
    p[1] = colour.g;
    p[2] = colour.b;
}

void ehm_draw_rect(ehm_image *c, int32_t x, int32_t y, int32_t w, int32_t h, ehm_rgb colour) {
    ehm_draw_veil(c, x, y, w, h, colour, 1);
}

void ehm_draw_veil(ehm_image *c, int32_t x, int32_t y, int32_t w, int32_t h, ehm_rgb colour, double opacity) {
    int64_t x1 = (int64_t)x + w, y1 = (int64_t)y + h;
    int32_t left = x < 0 ? 0 : x, top = y < 0 ? 0 : y;
    int32_t right = x1 > c->w ? c->w : (int32_t)x1, bottom = y1 > c->h ? c->h : (int32_t)y1;
    for (int32_t j = top; j < bottom; j++)
        for (int32_t i = left; i < right; i++) {
            uint8_t *p = at(c, i, j);
            put(c, i, j, ehm_colour_mix((ehm_rgb){p[0], p[1], p[2]}, colour, opacity));
        }
}

void ehm_draw_frame(ehm_image *c, int32_t x, int32_t y, int32_t w, int32_t h, int32_t t, ehm_rgb colour) {
    if (t > w / 2 || t > h / 2) {
        ehm_draw_rect(c, x, y, w, h, colour);
        return;
    }
    ehm_draw_rect(c, x, y, w, t, colour);
    ehm_draw_rect(c, x, y + h - t, w, t, colour);
    ehm_draw_rect(c, x, y + t, t, h - 2 * t, colour);
    ehm_draw_rect(c, x + w - t, y + t, t, h - 2 * t, colour);
}

/* Steps along the longer axis; far outside points are left out before any work is done. */
void ehm_draw_line(ehm_image *c, int32_t x0, int32_t y0, int32_t x1, int32_t y1, int32_t t, ehm_rgb colour) {
    double dx = (double)x1 - x0, dy = (double)y1 - y0, n = fmax(fabs(dx), fabs(dy));
    int32_t back = (t - 1) / 2;
    double first = 0, last = n; /* steps that can lie on the canvas, per axis */
    const double from[2] = {x0, y0}, d[2] = {dx, dy}, size[2] = {c->w, c->h};
    for (int k = 0; k < 2; k++) {
        double lo = -t - 1.0, hi = size[k] + t;
        if (d[k] == 0) {
            if (from[k] < lo || from[k] > hi) return;
            continue;
        }
        double a = (lo - from[k]) / d[k] * n, b = (hi - from[k]) / d[k] * n;
        first = fmax(first, floor(fmin(a, b)));
        last = fmin(last, ceil(fmax(a, b)));
    }
    for (double i = first; i <= last; i++) {
        double s = n > 0 ? i / n : 0;
        ehm_draw_rect(c, (int32_t)floor(x0 + dx * s + 0.5) - back, (int32_t)floor(y0 + dy * s + 0.5) - back,
                      t, t, colour);
    }
}

void ehm_draw_disc(ehm_image *c, double cx, double cy, double radius, ehm_rgb colour) {
    double left = fmax(0, floor(cx - radius)), right = fmin(c->w - 1.0, ceil(cx + radius));
    double top = fmax(0, floor(cy - radius)), bottom = fmin(c->h - 1.0, ceil(cy + radius));
    for (double y = top; y <= bottom; y++)
        /* a pixel's share is about how deep its middle lies inside the edge */
        for (double x = left; x <= right; x++)
            ehm_draw_veil(c, (int32_t)x, (int32_t)y, 1, 1, colour,
                          radius + 0.5 - hypot(x + 0.5 - cx, y + 0.5 - cy));
}

/* ---- pictures ---- */

/* To 8 bit, any channels. */
static ehm_code to_u8(ehm_image *out, const ehm_image *im, ehm_arena *a, ehm_err *err) {
    if (im->type == EHM_U8) {
        *out = *im;
        return EHM_OK;
    }
    EHM_TRY(ehm_image_new(out, im->w, im->h, im->c, EHM_U8, a, err));
    size_t n = ehm_image_bytes(out);
    uint8_t *dst = out->px;
    for (size_t i = 0; i < n; i++)
        dst[i] = im->type == EHM_U16 ? (uint8_t)(((const uint16_t *)im->px)[i] >> 8)
                                     : byte_of(((const float *)im->px)[i] * 255.0);
    return EHM_OK;
}

static ehm_code to_rgb(ehm_image *out, const ehm_image *im, ehm_arena *a, ehm_err *err) {
    ehm_image u8, first;
    EHM_TRY(to_u8(&u8, im, a, err));
    if (u8.c <= 4) return ehm_image_channels(out, &u8, 3, "white", a, err);
    EHM_TRY(ehm_image_new(&first, u8.w, u8.h, 1, EHM_U8, a, err));
    size_t n = ehm_image_bytes(&first);
    for (size_t i = 0; i < n; i++) ((uint8_t *)first.px)[i] = ((const uint8_t *)u8.px)[i * (size_t)u8.c];
    return ehm_image_channels(out, &first, 3, "drop", a, err);
}

ehm_code ehm_draw_image(ehm_image *c, int32_t x, int32_t y, int32_t w, int32_t h, const ehm_image *im,
                        ehm_resize_kind kind, ehm_arena *a, ehm_err *err) {
    ehm_image rgb, sized;
    if (!im->px || im->w <= 0 || im->h <= 0 || w <= 0 || h <= 0)
        return EHM_FAIL(err, EHM_E_ARG, "cannot draw a picture of %d x %d px as %d x %d px", im->w, im->h, w,
                        h);
    EHM_TRY(to_rgb(&rgb, im, a, err));
    EHM_TRY(ehm_image_new(&sized, w, h, 3, EHM_U8, a, err));
    EHM_TRY(ehm_resize(&sized, &rgb, NULL, kind, a, err));
    for (int32_t j = 0; j < h; j++)
        for (int32_t i = 0; i < w; i++) {
            const uint8_t *p = at(&sized, i, j);
            put(c, x + i, y + j, (ehm_rgb){p[0], p[1], p[2]});
        }
    return EHM_OK;
}

/* ---- text ---- */

enum { GLYPH_W = 7, GLYPH_H = 12, CELL_W = 8, IN_BLOCK = 8, GAP = 1, SPACE_W = 3, N_ASCII = 95, ABOVE = 1 };

static const char *const dots[] = {
#include "draw/font.def"
};

/* Glyphs after ASCII, in the order of font.def; the first stands for all that is missing. */
static const uint32_t others[] = {0xfffd, 0xb0,   0xb1,   0xb2,   0xb3,   0xb5,   0xb7,   0xd7,  0xf7,
                                  0xdf,   0x2013, 0x2014, 0x2026, 0x2192, 0x2248, 0x2264, 0x2265};

/* Latin-1 letters from U+00C0 on, without their accents; '?' where there is no such letter. */
static const char plain[] = "AAAAAAACEEEEIIIIDNOOOOO?OUUUUY??aaaaaaaceeeeiiiidnooooo?ouuuuy?y";

/* The next character; *s moves on. A broken sequence is one unknown character per byte. */
static uint32_t next_char(const char **s) {
    const uint8_t *p = (const uint8_t *)*s;
    int n = p[0] < 0x80                   ? 0
            : p[0] >= 0xf0 && p[0] < 0xf8 ? 3
            : p[0] >= 0xe0 && p[0] < 0xf0 ? 2
            : p[0] >= 0xc2 && p[0] < 0xe0 ? 1
                                          : -1;
    uint32_t v = n == 0 ? p[0] : n == 1 ? p[0] & 0x1f : n == 2 ? p[0] & 0x0f : p[0] & 0x07;
    for (int i = 1; i <= n; i++) {
        if ((p[i] & 0xc0) != 0x80) { n = -1; break; }
        v = v << 6 | (p[i] & 0x3f);
    }
    *s += n < 0 ? 1 : n + 1;
    return n < 0 ? 0xfffd : v;
}

/* Accents of decomposed letters: nothing is drawn. */
static bool is_mark(uint32_t ch) { return ch >= 0x300 && ch < 0x370; }

static int32_t glyph_of(uint32_t ch) {
    if (ch == '\n' || ch == '\t' || ch == '\r' || ch == 0xa0) ch = ' ';
    if (ch >= 32 && ch < 127) return (int32_t)ch - 32;
    for (int32_t i = 0; i < (int32_t)(sizeof others / sizeof *others); i++)
        if (others[i] == ch) return N_ASCII + i;
    if (ch >= 0xc0 && ch <= 0xff && plain[ch - 0xc0] != '?') return plain[ch - 0xc0] - 32;
    if (ch == 0x2018 || ch == 0x2019) return '\'' - 32;
    if (ch == 0x201c || ch == 0x201d || ch == 0x201e) return '"' - 32;
    if (ch == 0x2010 || ch == 0x2011 || ch == 0x2212) return '-' - 32;
    return N_ASCII;
}

static bool dot(int32_t glyph, int32_t x, int32_t y) {
    return dots[glyph / IN_BLOCK * GLYPH_H + y][glyph % IN_BLOCK * CELL_W + x] == '#';
}

static int32_t glyph_width(int32_t glyph) {
    if (glyph == 0) return SPACE_W;
    for (int32_t x = GLYPH_W - 1; x > 0; x--)
        for (int32_t y = 0; y < GLYPH_H; y++)
            if (dot(glyph, x, y)) return x + 1;
    return 1;
}

/* Width of text[0..n), dots. */
static int32_t dots_wide(const char *text, size_t n) {
    const char *s = text;
    int32_t w = 0;
    while (s < text + n && *s) {
        uint32_t ch = next_char(&s);
        if (!is_mark(ch)) w += glyph_width(glyph_of(ch)) + GAP;
        if (w > 1 << 24) break;
    }
    return w > 0 ? w - GAP : 0;
}

int32_t ehm_text_width(const char *text, int32_t scale) { return dots_wide(text, strlen(text)) * scale; }

static int32_t draw_chars(ehm_image *c, int32_t x, int32_t y, int32_t scale, ehm_rgb colour, const char *text,
                          size_t n) {
    const char *s = text;
    while (s < text + n && *s && x < c->w) {
        uint32_t ch = next_char(&s);
        if (is_mark(ch)) continue;
        int32_t glyph = glyph_of(ch), w = glyph_width(glyph);
        for (int32_t j = 0; j < GLYPH_H; j++)
            for (int32_t i = 0; i < w; i++)
                if (dot(glyph, i, j))
                    ehm_draw_rect(c, x + i * scale, y + (j + ABOVE) * scale, scale, scale, colour);
        x += (w + GAP) * scale;
    }
    return x;
}

void ehm_draw_text(ehm_image *c, int32_t x, int32_t y, int32_t scale, ehm_rgb colour, const char *text) {
    draw_chars(c, x, y, scale, colour, text, strlen(text));
}

/* Bytes of text[0..n) that fit into w dots, whole characters. */
static size_t fitting(const char *text, size_t n, int32_t w) {
    const char *s = text;
    int32_t x = 0;
    while (s < text + n && *s) {
        const char *before = s;
        uint32_t ch = next_char(&s);
        if (is_mark(ch)) continue;
        x += glyph_width(glyph_of(ch));
        if (x > w) return (size_t)(before - text);
        x += GAP;
    }
    return (size_t)(s - text);
}

static void draw_line(ehm_image *c, int32_t x, int32_t y, int32_t w, ehm_align align, int32_t scale,
                      ehm_rgb colour, const char *text, size_t n, bool cut) {
    static const char ellipsis[] = "\xe2\x80\xa6";
    int32_t room = w / scale, tail = cut ? dots_wide(ellipsis, 3) + GAP : 0;
    if (cut) n = fitting(text, n, room - tail);
    while (cut && n > 0 && text[n - 1] == ' ') n--;
    int32_t free_px = w - (dots_wide(text, n) + tail) * scale;
    if (free_px < 0) free_px = 0;
    x += align == EHM_ALIGN_LEFT ? 0 : align == EHM_ALIGN_RIGHT ? free_px : free_px / 2;
    x = draw_chars(c, x, y, scale, colour, text, n);
    if (cut) draw_chars(c, x, y, scale, colour, ellipsis, 3);
}

void ehm_draw_text_in(ehm_image *c, int32_t x, int32_t y, int32_t w, ehm_align align, int32_t scale,
                      ehm_rgb colour, const char *text) {
    size_t n = strlen(text);
    draw_line(c, x, y, w, align, scale, colour, text, n, dots_wide(text, n) * scale > w);
}

/* How many bytes of text the next line takes (*taken, with the space that ends it) and shows (*shown). */
static void next_line(const char *text, int32_t room, size_t *taken, size_t *shown) {
    size_t n = strcspn(text, "\n"), fits = fitting(text, n, room);
    if (fits == n) {
        *shown = n;
        *taken = text[n] ? n + 1 : n;
        return;
    }
    size_t cut = fits;
    while (cut > 0 && text[cut] != ' ' && !strchr(" /_,-", text[cut - 1])) cut--;
    if (cut == 0) cut = fits; /* one long word */
    if (cut == 0) { /* narrower than a letter: go on anyway */
        const char *s = text;
        next_char(&s);
        cut = (size_t)(s - text);
    }
    *shown = *taken = cut;
    while (*shown > 0 && text[*shown - 1] == ' ') --*shown;
    while (text[*taken] == ' ') ++*taken;
}

int32_t ehm_draw_text_wrapped(ehm_image *c, int32_t x, int32_t y, int32_t w, int32_t max_lines,
                              ehm_align align, int32_t scale, ehm_rgb colour, const char *text) {
    int32_t lines = 0;
    while (*text) {
        size_t taken, shown;
        next_line(text, w / scale, &taken, &shown);
        lines++;
        bool last = max_lines > 0 && lines == max_lines, cut = last && text[taken];
        if (c) draw_line(c, x, y, w, align, scale, colour, text, cut ? strcspn(text, "\n") : shown, cut);
        if (last) break;
        y += EHM_TEXT_ROW * scale;
        text += taken;
    }
    return lines;
}
