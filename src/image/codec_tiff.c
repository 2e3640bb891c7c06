/* TIFF by libtiff, from memory: the first page, strips or tiles, 1 to 64 bit samples. Samples are read as
 * stored and spread here; only colour spaces that need real work (CIE Lab, LogLuv, raw YCbCr) go through
 * libtiff's own RGBA conversion. */
#include "image/image_int.h"
#include <string.h>

static bool claims(const uint8_t *d, size_t n) {
    if (n < 8) return false;
    if (d[0] == 'I' && d[1] == 'I') return (d[2] == 42 || d[2] == 43) && d[3] == 0;
    return d[0] == 'M' && d[1] == 'M' && d[2] == 0 && (d[3] == 42 || d[3] == 43);
}

#if EHM_WITH_TIFF
#include <stdio.h>
#include <tiffio.h>

/* Handles with their own error handlers came with 4.5; before that the process-wide ones are turned off
 * once. */
#define HAVE_OPTIONS (TIFFLIB_VERSION >= 20221213)
#if !HAVE_OPTIONS
#include <pthread.h>
static void silence(void) {
    TIFFSetErrorHandler(NULL);
    TIFFSetWarningHandler(NULL);
}
static pthread_once_t silenced = PTHREAD_ONCE_INIT;
#endif

typedef struct {
    const uint8_t *data;
    size_t n, at;
    char text[256]; /* libtiff's first complaint */
} file;

typedef struct {
    TIFF *t;
    uint32_t w, h, tile_w, tile_h;       /* tile: a tile, or a strip over the whole width */
    uint16_t bits, n_samples, sample_format, planar, photometric, orientation, compression;
    bool tiled, alpha, premultiplied, by_libtiff, needs_swap_wh;
    /* samples of a picture we give; samples that are read (CMYK: 4 for 3) */
    int32_t c_out, c_in;
    ehm_dtype type;
    uint16_t *map_r, *map_g, *map_b;
    bool has_icc;
} page;

static tmsize_t on_read(thandle_t h, void *dst, tmsize_t n) {
    file *f = h;
    size_t left = f->at < f->n ? f->n - f->at : 0, take = (size_t)n < left ? (size_t)n : left;
    memcpy(dst, f->data + f->at, take);
    f->at += take;
    return (tmsize_t)take;
}
static tmsize_t on_write(thandle_t h, void *src, tmsize_t n) { return (void)h, (void)src, (void)n, 0; }
static toff_t on_seek(thandle_t h, toff_t to, int whence) {
    file *f = h;
    uint64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? f->at : f->n;
    f->at = base + to > f->n ? f->n : (size_t)(base + to);
    return f->at;
}
static int on_close(thandle_t h) { return (void)h, 0; }
static toff_t on_size(thandle_t h) { return ((file *)h)->n; }
static int on_map(thandle_t h, void **base, toff_t *size) {
    file *f = h;
    *base = (void *)(uintptr_t)f->data;
    *size = f->n;
    return 1;
}
static void on_unmap(thandle_t h, void *base, toff_t size) { (void)h, (void)base, (void)size; }

#if HAVE_OPTIONS
static int on_error(TIFF *t, void *user, const char *module, const char *fmt, va_list args) {
    file *f = user;
    (void)t, (void)module;
    if (!f->text[0]) vsnprintf(f->text, sizeof f->text, fmt, args);
    return 1;
}
static int on_warning(TIFF *t, void *user, const char *module, const char *fmt, va_list args) {
    (void)t, (void)user, (void)module, (void)fmt, (void)args;
    return 1;
}
#endif

static TIFF *open_file(file *f) {
#if HAVE_OPTIONS
    TIFFOpenOptions *o = TIFFOpenOptionsAlloc();
    if (!o) return NULL;
    TIFFOpenOptionsSetErrorHandlerExtR(o, on_error, f);
    TIFFOpenOptionsSetWarningHandlerExtR(o, on_warning, f);
    TIFF *t = TIFFClientOpenExt("picture", "r", f, on_read, on_write, on_seek, on_close, on_size, on_map,
                                on_unmap, o);
    TIFFOpenOptionsFree(o);
    return t;
#else
    pthread_once(&silenced, silence);
    return TIFFClientOpen("picture", "r", f, on_read, on_write, on_seek, on_close, on_size, on_map, on_unmap);
#endif
}

static ehm_code damaged(const file *f, ehm_err *err) {
    if (f->text[0]) return EHM_FAIL(err, EHM_E_FORMAT, "TIFF data is damaged: %s", f->text);
    return EHM_FAIL(err, EHM_E_FORMAT, "TIFF data is damaged (%zu bytes)", f->n);
}

static ehm_code unsupported(const page *p, const char *what, ehm_err *err) {
    ehm_code rc =
        EHM_FAIL(err, EHM_E_UNSUPPORTED, "TIFF with %s (%u bits, %u samples, photometric %u, compression %u)",
                 what, p->bits, p->n_samples, p->photometric, p->compression);
    EHM_HINT(err, "convert it first: magick FILE FILE.png");
    return rc;
}

static void read_alpha(page *p) {
    uint16_t n_extra = 0, *extra = NULL;
    TIFFGetFieldDefaulted(p->t, TIFFTAG_EXTRASAMPLES, &n_extra, &extra);
    bool even = p->n_samples == 2 || p->n_samples == 4;
    /* as Pillow: tag forgotten */
    if (n_extra == 0 && p->n_samples == 4 && p->photometric == PHOTOMETRIC_RGB) p->alpha = true;
    if (n_extra == 1 && even && (extra[0] == EXTRASAMPLE_ASSOCALPHA || extra[0] == EXTRASAMPLE_UNASSALPHA)) {
        p->alpha = p->photometric != PHOTOMETRIC_SEPARATED;
        p->premultiplied = extra[0] == EXTRASAMPLE_ASSOCALPHA;
    }
}

static ehm_code choose_type(page *p, ehm_err *err) {
    bool is_float = p->sample_format == SAMPLEFORMAT_IEEEFP, is_signed = p->sample_format == SAMPLEFORMAT_INT;
    switch (p->bits) {
    case 1: case 2: case 4:
        if (is_float || is_signed) return unsupported(p, "unusual samples", err);
        p->type = EHM_U8;
        return EHM_OK;
    case 8:
        if (is_float) return unsupported(p, "8 bit floats", err);
        p->type = is_signed ? EHM_F32 : EHM_U8;
        return EHM_OK;
    case 16:
        if (is_float) return unsupported(p, "16 bit floats", err);
        p->type = is_signed ? EHM_F32 : EHM_U16;
        return EHM_OK;
    case 32: p->type = EHM_F32; return EHM_OK;
    case 64:
        if (!is_float) return unsupported(p, "64 bit integers", err);
        p->type = EHM_F32;
        return EHM_OK;
    default: return unsupported(p, "unusual samples", err);
    }
}

static ehm_code choose_layout(page *p, ehm_err *err) {
    p->c_in = p->c_out = p->n_samples;
    switch (p->photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK: break;
    case PHOTOMETRIC_RGB:
        if (p->n_samples < 3)
            return EHM_FAIL(err, EHM_E_FORMAT, "RGB TIFF with %u samples a pixel", p->n_samples);
        break;
    case PHOTOMETRIC_PALETTE:
        if (p->bits > 8 || p->type != EHM_U8 ||
            !TIFFGetField(p->t, TIFFTAG_COLORMAP, &p->map_r, &p->map_g, &p->map_b))
            return EHM_FAIL(err, EHM_E_FORMAT, "palette TIFF of %u bits without a fitting colour map",
                            p->bits);
        p->c_out = 3;
        p->alpha = false; /* a palette's extra sample is rare and never colour */
        break;
    case PHOTOMETRIC_SEPARATED:
        if (p->bits != 8 || p->type != EHM_U8 || p->n_samples < 4)
            return unsupported(p, "ink colours of unusual kind", err);
        p->c_out = 3;
        break;
    case PHOTOMETRIC_YCBCR:
        if (p->compression == COMPRESSION_JPEG && p->planar == PLANARCONFIG_CONTIG) {
            TIFFSetField(p->t, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB); /* libjpeg converts */
            break;
        }
        p->by_libtiff = true;
        break;
    default: p->by_libtiff = true;
    }
    if (p->by_libtiff) {
        char why[1024] = "";
        if (!TIFFRGBAImageOK(p->t, why)) return unsupported(p, "a colour space that is not read", err);
        p->c_out = 3;
        p->alpha = false;
        p->type = EHM_U8;
    }
    return EHM_OK;
}

/* Everything about page 1 that can be known before its pixels. */
static ehm_code read_tags(page *p, const file *f, ehm_err *err) {
    TIFF *t = p->t;
    uint32_t icc_len = 0;
    void *icc = NULL;
    if (!TIFFGetField(t, TIFFTAG_IMAGEWIDTH, &p->w) || !TIFFGetField(t, TIFFTAG_IMAGELENGTH, &p->h))
        return damaged(f, err);
    TIFFGetFieldDefaulted(t, TIFFTAG_BITSPERSAMPLE, &p->bits);
    TIFFGetFieldDefaulted(t, TIFFTAG_SAMPLESPERPIXEL, &p->n_samples);
    TIFFGetFieldDefaulted(t, TIFFTAG_SAMPLEFORMAT, &p->sample_format);
    TIFFGetFieldDefaulted(t, TIFFTAG_PLANARCONFIG, &p->planar);
    TIFFGetFieldDefaulted(t, TIFFTAG_ORIENTATION, &p->orientation);
    TIFFGetFieldDefaulted(t, TIFFTAG_COMPRESSION, &p->compression);
    if (!TIFFGetField(t, TIFFTAG_PHOTOMETRIC, &p->photometric))
        p->photometric = p->n_samples >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
    p->has_icc = TIFFGetField(t, TIFFTAG_ICCPROFILE, &icc_len, &icc) && icc_len > 0;
    if (p->n_samples == 0 || p->w == 0 || p->h == 0 || p->w > INT32_MAX || p->h > INT32_MAX)
        return damaged(f, err);
    if (!TIFFIsCODECConfigured(p->compression))
        return unsupported(p, "a compression that this libtiff does not read", err);
    if (p->orientation < 1 || p->orientation > 8) p->orientation = 1;
    p->needs_swap_wh = p->orientation >= 5;
    read_alpha(p);
    EHM_TRY(choose_type(p, err));
    EHM_TRY(choose_layout(p, err));
    p->tiled = TIFFIsTiled(t) != 0;
    if (p->tiled) {
        TIFFGetField(t, TIFFTAG_TILEWIDTH, &p->tile_w);
        TIFFGetField(t, TIFFTAG_TILELENGTH, &p->tile_h);
    } else {
        p->tile_w = p->w;
        TIFFGetFieldDefaulted(t, TIFFTAG_ROWSPERSTRIP, &p->tile_h);
        if (p->tile_h > p->h) p->tile_h = p->h;
    }
    if (p->tile_w == 0 || p->tile_h == 0) return damaged(f, err);
    return EHM_OK;
}

static ehm_code probe(ehm_image_info *out, const uint8_t *data, size_t n, ehm_err *err) {
    file f = {.data = data, .n = n};
    page p = {.t = open_file(&f)};
    if (!p.t) return damaged(&f, err);
    ehm_code rc = read_tags(&p, &f, err);
    out->w = (int32_t)(p.needs_swap_wh ? p.h : p.w);
    out->h = (int32_t)(p.needs_swap_wh ? p.w : p.h);
    out->c = p.c_out;
    out->type = p.type;
    out->has_alpha = p.alpha;
    out->has_icc = p.has_icc;
    TIFFClose(p.t);
    return rc;
}

/* One stored sample as a number; i counts samples from the start of the row. libtiff has put the bytes in
 * our order. */
static uint32_t bits_at(const uint8_t *row, size_t i, uint32_t bits) {
    if (bits == 8) return row[i];
    size_t bit = i * bits;
    return row[bit / 8] >> (8 - bits - bit % 8) & ((1u << bits) - 1);
}

static float float_at(const uint8_t *row, size_t i, const page *p) {
    bool is_float = p->sample_format == SAMPLEFORMAT_IEEEFP, is_signed = p->sample_format == SAMPLEFORMAT_INT;
    if (p->bits == 8) return (float)(int8_t)row[i];
    if (p->bits == 16) {
        int16_t v;
        memcpy(&v, row + i * 2, 2);
        return (float)v;
    }
    if (p->bits == 64) {
        double v;
        memcpy(&v, row + i * 8, 8);
        return (float)v;
    }
    if (is_float) {
        float v;
        memcpy(&v, row + i * 4, 4);
        return v;
    }
    uint32_t v;
    memcpy(&v, row + i * 4, 4);
    return is_signed ? (float)(int32_t)v : (float)v;
}

/* n pixels of a stored row, n_in samples each, become channels [c0, c0 + n_in) of out's pixels from dst
 * on. */
static void spread(uint8_t *dst, const ehm_image *out, int32_t c0, const uint8_t *row, size_t n, int32_t n_in,
                   const page *p) {
    size_t c_out = (size_t)out->c;
    uint32_t full = p->bits < 8 ? 255 / ((1u << p->bits) - 1) : 1;
    bool invert = p->photometric == PHOTOMETRIC_MINISWHITE;
    for (size_t x = 0; x < n; x++) {
        for (int32_t c = 0; c < n_in; c++) {
            size_t to = x * c_out + (size_t)(c0 + c), from = x * (size_t)n_in + (size_t)c;
            bool flip = invert && c0 + c == 0;
            if (out->type == EHM_U8) {
                uint32_t v = bits_at(row, from, p->bits) * full;
                dst[to] = (uint8_t)(flip ? 255 - v : v);
            } else if (out->type == EHM_U16) {
                uint16_t v;
                memcpy(&v, row + from * 2, 2);
                ((uint16_t *)(void *)dst)[to] = flip ? (uint16_t)(65535 - v) : v;
            } else {
                ((float *)(void *)dst)[to] = float_at(row, from, p);
            }
        }
    }
}

static void spread_palette(uint8_t *dst, const uint8_t *row, size_t n, int32_t n_in, const page *p) {
    for (size_t x = 0; x < n; x++) {
        uint32_t i = bits_at(row, x * (size_t)n_in, p->bits);
        dst[x * 3] = (uint8_t)(p->map_r[i] >> 8);
        dst[x * 3 + 1] = (uint8_t)(p->map_g[i] >> 8);
        dst[x * 3 + 2] = (uint8_t)(p->map_b[i] >> 8);
    }
}

/* One strip or tile at x0, y0 of the picture; plane -1: all samples together. */
static void place(ehm_image *out, const uint8_t *buf, size_t row_bytes, uint32_t x0, uint32_t y0,
                  int32_t plane, const page *p) {
    uint32_t w = p->w - x0 < p->tile_w ? p->w - x0 : p->tile_w,
             h = p->h - y0 < p->tile_h ? p->h - y0 : p->tile_h;
    int32_t n_in = plane < 0 ? p->c_in : 1;
    for (uint32_t y = 0; y < h; y++) {
        size_t at = ((size_t)(y0 + y) * p->w + x0) * (size_t)out->c * ehm_dtype_size(out->type);
        uint8_t *dst = (uint8_t *)out->px + at;
        const uint8_t *row = buf + row_bytes * y;
        if (p->photometric == PHOTOMETRIC_PALETTE) {
            if (plane <= 0) spread_palette(dst, row, w, n_in, p);
        } else {
            spread(dst, out, plane < 0 ? 0 : plane, row, w, n_in, p);
        }
    }
}

static ehm_code read_pieces(ehm_image *out, const page *p, const file *f, ehm_arena *a, ehm_err *err) {
    tmsize_t piece = p->tiled ? TIFFTileSize(p->t) : TIFFStripSize(p->t);
    tmsize_t row = p->tiled ? TIFFTileRowSize(p->t) : TIFFScanlineSize(p->t);
    int32_t n_planes = p->planar == PLANARCONFIG_SEPARATE ? p->c_in : 1;
    int32_t in_a_row = n_planes > 1 ? 1 : p->c_in;
    size_t need = ((size_t)p->tile_w * (size_t)in_a_row * p->bits + 7) / 8; /* what place() reads of a row */
    /* A tile may be larger than the picture, but not absurdly so. */
    if (piece <= 0 || row <= 0 || (size_t)row < need || (size_t)piece / (size_t)row < p->tile_h ||
        (size_t)piece > ehm_image_bytes(out) * 8 + (64u << 20))
        return damaged(f, err);
    uint8_t *buf = ehm_arena_alloc(a, (size_t)piece, 1);
    if (!buf)
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a TIFF strip of %lld bytes", (long long)piece);
    for (int32_t plane = 0; plane < n_planes; plane++)
        for (uint32_t y = 0; y < p->h; y += p->tile_h < p->h - y ? p->tile_h : p->h - y)
            for (uint32_t x = 0; x < p->w; x += p->tile_w < p->w - x ? p->tile_w : p->w - x) {
                tmsize_t got =
                    p->tiled
                        ? TIFFReadEncodedTile(p->t, TIFFComputeTile(p->t, x, y, 0, (uint16_t)plane), buf,
                                              piece)
                        : TIFFReadEncodedStrip(p->t, TIFFComputeStrip(p->t, y, (uint16_t)plane), buf, piece);
                uint32_t rows = p->h - y < p->tile_h ? p->h - y : p->tile_h;
                if (got < 0 || (size_t)got < (size_t)row * (p->tiled ? p->tile_h : rows))
                    return damaged(f, err);
                place(out, buf, (size_t)row, x, y, n_planes > 1 ? plane : -1, p);
            }
    return EHM_OK;
}

/* CMYK was read as c_in samples a pixel; the first four are inks. */
static ehm_code read_inks(ehm_image *out, page *p, const file *f, ehm_arena *a, ehm_err *err) {
    ehm_image inks;
    EHM_TRY(ehm_image_new(&inks, out->w, out->h, p->c_in, EHM_U8, a, err));
    EHM_TRY(read_pieces(&inks, p, f, a, err));
    size_t n = (size_t)out->w * (size_t)out->h;
    uint8_t *px = inks.px;
    for (size_t i = 0; p->c_in > 4 && i < n; i++) memmove(px + i * 4, px + i * (size_t)p->c_in, 4);
    ehm_cmyk_to_rgb(out->px, px, n, false);
    return EHM_OK;
}

static ehm_code read_by_libtiff(ehm_image *out, const page *p, const file *f, ehm_arena *a, ehm_err *err) {
    size_t n = (size_t)p->w * p->h;
    uint32_t *raster = ehm_arena_alloc(a, n, 4);
    if (!raster) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a TIFF picture of %u x %u px", p->w, p->h);
    /* With the page's own orientation libtiff leaves the pixels as stored; they are turned below like the
     * others. */
    if (!TIFFReadRGBAImageOriented(p->t, p->w, p->h, raster, p->orientation, 1)) return damaged(f, err);
    uint8_t *dst = out->px;
    for (size_t i = 0; i < n; i++) {
        dst[i * 3] = (uint8_t)TIFFGetR(raster[i]);
        dst[i * 3 + 1] = (uint8_t)TIFFGetG(raster[i]);
        dst[i * 3 + 2] = (uint8_t)TIFFGetB(raster[i]);
    }
    return EHM_OK;
}

static void unpremultiply(ehm_image *im) {
    size_t n = (size_t)im->w * (size_t)im->h;
    int32_t c = im->c;
    uint32_t top = im->type == EHM_U16 ? 65535 : 255;
    if (im->type == EHM_F32) return; /* float pictures are given as they are */
    for (size_t i = 0; i < n; i++)
        for (int32_t k = 0; k < c - 1; k++) {
            uint8_t *p8 = (uint8_t *)im->px + i * (size_t)c;
            uint16_t *p16 = (uint16_t *)im->px + i * (size_t)c;
            uint64_t v = im->type == EHM_U16 ? p16[k] : p8[k],
                     alpha = im->type == EHM_U16 ? p16[c - 1] : p8[c - 1];
            v = alpha == 0 ? 0 : v * top / alpha;
            if (v > top) v = top;
            if (im->type == EHM_U16) p16[k] = (uint16_t)v;
            else p8[k] = (uint8_t)v;
        }
}

/* Orientation o (2..8): where pixel x, y of the shown picture stands in the stored one. */
static ehm_code turn(ehm_image *im, uint16_t o, ehm_arena *a, ehm_err *err) {
    ehm_image shown;
    bool swap = o >= 5;
    EHM_TRY(ehm_image_new(&shown, swap ? im->h : im->w, swap ? im->w : im->h, im->c, im->type, a, err));
    size_t pixel = (size_t)im->c * ehm_dtype_size(im->type);
    bool flip_x = o == 2 || o == 3 || o == 7 || o == 8, flip_y = o == 3 || o == 4 || o == 6 || o == 7;
    for (int32_t y = 0; y < shown.h; y++)
        for (int32_t x = 0; x < shown.w; x++) {
            int32_t sx = swap ? y : x, sy = swap ? x : y;
            if (flip_x) sx = im->w - 1 - sx;
            if (flip_y) sy = im->h - 1 - sy;
            memcpy((uint8_t *)shown.px + ((size_t)y * (size_t)shown.w + (size_t)x) * pixel,
                   (const uint8_t *)im->px + ((size_t)sy * (size_t)im->w + (size_t)sx) * pixel, pixel);
        }
    *im = shown;
    return EHM_OK;
}

static ehm_code read_page(ehm_image *out, page *p, const file *f, ehm_want *want, ehm_arena *a,
                          ehm_err *err) {
    EHM_TRY(read_tags(p, f, err));
    EHM_TRY(ehm_want_check(want, p->needs_swap_wh ? p->h : p->w, p->needs_swap_wh ? p->w : p->h, p->c_out,
                           p->type, err));
    EHM_TRY(ehm_image_new(out, (int32_t)p->w, (int32_t)p->h, p->c_out, p->type, a, err));
    if (p->by_libtiff) EHM_TRY(read_by_libtiff(out, p, f, a, err));
    else if (p->photometric == PHOTOMETRIC_SEPARATED) EHM_TRY(read_inks(out, p, f, a, err));
    else EHM_TRY(read_pieces(out, p, f, a, err));
    if (p->alpha && p->premultiplied) unpremultiply(out);
    if (p->orientation > 1) EHM_TRY(turn(out, p->orientation, a, err));
    return EHM_OK;
}

static ehm_code decode(ehm_image *out, double box[4], const uint8_t *data, size_t n, ehm_want *want,
                       ehm_arena *a, ehm_err *err) {
    file f = {.data = data, .n = n};
    page p = {.t = open_file(&f)};
    (void)box;
    if (!p.t) return damaged(&f, err);
    ehm_code rc = read_page(out, &p, &f, want, a, err);
    TIFFClose(p.t);
    return rc;
}

const ehm_codec ehm_codec_tiff = {"tiff", "libtiff", claims, probe, decode, false};
#else
const ehm_codec ehm_codec_tiff = {"tiff", "libtiff", claims, NULL, NULL, false};
#endif
