/* GIF by giflib: the first frame, laid on the canvas as Pillow lays it: outside the frame is the
 * transparent entry, else 0. */
#include "image/image_int.h"
#include <string.h>

static bool claims(const uint8_t *d, size_t n) {
    return n >= 10 && (!memcmp(d, "GIF87a", 6) || !memcmp(d, "GIF89a", 6));
}

#if EHM_WITH_GIF
#include <gif_lib.h>

typedef struct { const uint8_t *data; size_t n, at; } file;

static int on_read(GifFileType *g, GifByteType *dst, int n) {
    file *f = g->UserData;
    size_t left = f->n - f->at, take = (size_t)n < left ? (size_t)n : left;
    memcpy(dst, f->data + f->at, take);
    f->at += take;
    return (int)take;
}

static ehm_code fail(int code, const file *f, ehm_err *err) {
    if (code == D_GIF_ERR_NOT_ENOUGH_MEM) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a GIF picture");
    if (f->at >= f->n) return EHM_FAIL(err, EHM_E_FORMAT, "GIF data ends early (after %zu bytes)", f->n);
    const char *text = GifErrorString(code);
    return EHM_FAIL(err, EHM_E_FORMAT, "GIF data is damaged near byte %zu of %zu: %s", f->at, f->n,
                    text ? text : "unknown code");
}

/* Goes to the first frame's description, noting its transparent palette entry (-1: none) on the way. */
static ehm_code find_frame(GifFileType *g, int *transparent, const file *f, ehm_err *err) {
    *transparent = -1;
    for (;;) {
        GifRecordType kind;
        if (DGifGetRecordType(g, &kind) == GIF_ERROR) return fail(g->Error, f, err);
        if (kind == IMAGE_DESC_RECORD_TYPE) break;
        if (kind == TERMINATE_RECORD_TYPE) return EHM_FAIL(err, EHM_E_FORMAT, "GIF without a picture in it");
        if (kind != EXTENSION_RECORD_TYPE) continue;
        int code;
        GifByteType *ext = NULL;
        if (DGifGetExtension(g, &code, &ext) == GIF_ERROR) return fail(g->Error, f, err);
        if (code == GRAPHICS_EXT_FUNC_CODE && ext && ext[0] >= 4 && (ext[1] & 1)) *transparent = ext[4];
        while (ext)
            if (DGifGetExtensionNext(g, &ext) == GIF_ERROR) return fail(g->Error, f, err);
    }
    if (DGifGetImageDesc(g) == GIF_ERROR) return fail(g->Error, f, err);
    if (g->Image.Width <= 0 || g->Image.Height <= 0 || g->Image.Left < 0 || g->Image.Top < 0)
        return EHM_FAIL(err, EHM_E_FORMAT, "GIF frame of %d x %d px", g->Image.Width, g->Image.Height);
    return EHM_OK;
}

/* A frame that sticks out widens the canvas, as in Pillow. */
static void canvas_size(const GifFileType *g, int32_t *w, int32_t *h) {
    *w = g->SWidth > g->Image.Left + g->Image.Width ? g->SWidth : g->Image.Left + g->Image.Width;
    *h = g->SHeight > g->Image.Top + g->Image.Height ? g->SHeight : g->Image.Top + g->Image.Height;
}

static ehm_code open_first(GifFileType **g, file *f, int *transparent, ehm_err *err) {
    int code = 0;
    *g = DGifOpen(f, on_read, &code);
    if (!*g) return fail(code, f, err);
    return find_frame(*g, transparent, f, err);
}

static ehm_code probe(ehm_image_info *out, const uint8_t *data, size_t n, ehm_err *err) {
    file f = {data, n, 0};
    GifFileType *g;
    int transparent, code;
    ehm_code rc = open_first(&g, &f, &transparent, err);
    if (!rc) {
        canvas_size(g, &out->w, &out->h);
        out->has_alpha = transparent >= 0;
        out->c = out->has_alpha ? 4 : 3;
    }
    if (g) DGifCloseFile(g, &code);
    return rc;
}

static void put_row(uint8_t *dst, const GifPixelType *line, size_t n, int32_t c, const ColorMapObject *map,
                    int transparent) {
    for (size_t x = 0; x < n; x++, dst += c) {
        int i = line[x];
        if (map && i < map->ColorCount) {
            dst[0] = map->Colors[i].Red;
            dst[1] = map->Colors[i].Green;
            dst[2] = map->Colors[i].Blue;
        } else if (!map) {
            dst[0] = dst[1] = dst[2] = (uint8_t)i; /* no palette at all: grey, as Pillow */
        }
        if (c == 4) dst[3] = i == transparent ? 0 : 255;
    }
}

static ehm_code read_frame(ehm_image *out, GifFileType *g, int transparent, const file *f, ehm_arena *a,
                           ehm_err *err) {
    static const int first[4] = {0, 4, 2, 1}, step[4] = {8, 8, 4, 2};
    const ColorMapObject *map = g->Image.ColorMap ? g->Image.ColorMap : g->SColorMap;
    int32_t fw = g->Image.Width, fh = g->Image.Height, n_passes = g->Image.Interlace ? 4 : 1;
    GifPixelType *line = ehm_arena_alloc(a, (size_t)(out->w > fw ? out->w : fw), 1);
    if (!line)
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a GIF picture of %d x %d px", out->w, out->h);
    size_t row = (size_t)out->w * (size_t)out->c;
    memset(line, transparent >= 0 ? transparent : 0, (size_t)out->w);
    for (int32_t y = 0; y < out->h && (fw < out->w || fh < out->h); y++)
        put_row((uint8_t *)out->px + row * (size_t)y, line, (size_t)out->w, out->c, map, transparent);
    for (int32_t pass = 0; pass < n_passes; pass++)
        for (int32_t y = n_passes > 1 ? first[pass] : 0; y < fh; y += n_passes > 1 ? step[pass] : 1) {
            if (DGifGetLine(g, line, fw) == GIF_ERROR) return fail(g->Error, f, err);
            size_t at = row * (size_t)(g->Image.Top + y) + (size_t)g->Image.Left * (size_t)out->c;
            put_row((uint8_t *)out->px + at, line, (size_t)fw, out->c, map, transparent);
        }
    return EHM_OK;
}

static ehm_code decode(ehm_image *out, double box[4], const uint8_t *data, size_t n, ehm_want *want,
                       ehm_arena *a, ehm_err *err) {
    file f = {data, n, 0};
    GifFileType *g;
    int transparent, code;
    int32_t w = 0, h = 0;
    (void)box;
    ehm_code rc = open_first(&g, &f, &transparent, err);
    if (rc) goto done;
    canvas_size(g, &w, &h);
    int32_t c = transparent >= 0 ? 4 : 3;
    rc = ehm_want_check(want, w, h, c, EHM_U8, err);
    if (!rc) rc = ehm_image_new(out, w, h, c, EHM_U8, a, err);
    if (!rc) rc = read_frame(out, g, transparent, &f, a, err);
done:
    if (g) DGifCloseFile(g, &code);
    return rc;
}

const ehm_codec ehm_codec_gif = {"gif", "giflib", claims, probe, decode, false};
#else
const ehm_codec ehm_codec_gif = {"gif", "giflib", claims, NULL, NULL, false};
#endif
