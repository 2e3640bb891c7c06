/* BMP: core, info, V2 to V5 and OS/2 headers; 1, 2, 4, 8, 16, 24, 32 bit, bit fields, RLE4, RLE8, either
 * row order. Needs no library. Where the format leaves room (alpha of plain 32 bit, 5 bit to 8) Pillow's
 * reading is followed. */
#include "image/image_int.h"
#include <string.h>

enum { RGB = 0, RLE8 = 1, RLE4 = 2, FIELDS = 3, ALPHA_FIELDS = 6, FILE_HEAD = 14 };

typedef struct {
    const uint8_t *d;
    size_t n, pixels; /* where the pixels start */
    int64_t w, h;
    uint32_t bits, compression, n_colours, mask[4]; /* r g b a */
    bool top_down, grey;
    int32_t c;
    uint8_t palette[256][3];
} file;

static bool known_header(uint32_t size) {
    return size == 12 || size == 40 || size == 52 || size == 56 || size == 64 || size == 108 || size == 124;
}

/* "BM" begins many texts: the header's size and the number of planes must fit too. */
static bool claims(const uint8_t *d, size_t n) {
    if (n < 26 || d[0] != 'B' || d[1] != 'M') return false;
    uint32_t size = ehm_le32(d + FILE_HEAD);
    if (size == 12) return ehm_le16(d + 22) == 1;
    return known_header(size) && n >= 28 && ehm_le16(d + 26) == 1;
}

static ehm_code ends_early(const file *f, ehm_err *err) {
    return EHM_FAIL(err, EHM_E_FORMAT, "BMP data ends early (%zu bytes)", f->n);
}

static ehm_code read_palette(file *f, size_t at, size_t entry, ehm_err *err) {
    if (f->n_colours == 0 || f->n_colours > 1u << f->bits) f->n_colours = 1u << f->bits;
    if (at > f->n || (f->n - at) / entry < f->n_colours) return ends_early(f, err);
    f->grey = true;
    for (uint32_t i = 0; i < f->n_colours; i++) {
        const uint8_t *p = f->d + at + i * entry;
        f->palette[i][0] = p[2];
        f->palette[i][1] = p[1];
        f->palette[i][2] = p[0];
        if (p[0] != p[1] || p[1] != p[2]) f->grey = false;
    }
    f->c = f->grey ? 1 : 3;
    return EHM_OK;
}

static ehm_code read_masks(file *f, uint32_t size, ehm_err *err) {
    static const uint32_t plain[3][4] = {
        {0x7c00, 0x3e0, 0x1f, 0}, {0xff0000, 0xff00, 0xff, 0}, {0xff0000, 0xff00, 0xff, 0}};
    bool fields = f->compression == FIELDS || f->compression == ALPHA_FIELDS;
    if (!fields) {
        memcpy(f->mask, plain[f->bits == 16 ? 0 : f->bits == 24 ? 1 : 2], sizeof f->mask);
        return EHM_OK;
    }
    uint32_t n_masks = size >= 56 || f->compression == ALPHA_FIELDS ? 4 : 3;
    if (f->n < FILE_HEAD + 40 + n_masks * 4) return ends_early(f, err);
    for (uint32_t i = 0; i < n_masks; i++) f->mask[i] = ehm_le32(f->d + FILE_HEAD + 40 + i * 4);
    if (!(f->mask[0] | f->mask[1] | f->mask[2] | f->mask[3]) && f->bits == 32) {
        static const uint32_t bgra[4] = {0xff0000, 0xff00, 0xff, 0xff000000};
        memcpy(f->mask, bgra, sizeof bgra);
    }
    for (int i = 0; i < 4; i++) { /* each mask one run of bits */
        uint32_t m = f->mask[i], low = m & (~m + 1);
        if (m && ((m / low) & (m / low + 1)))
            return EHM_FAIL(err, EHM_E_FORMAT, "BMP with the bit mask %08x", m);
    }
    if (!f->mask[0] || !f->mask[1] || !f->mask[2])
        return EHM_FAIL(err, EHM_E_FORMAT, "BMP without a mask for each colour");
    return EHM_OK;
}

static ehm_code check_kind(const file *f, ehm_err *err) {
    bool ok = false;
    switch (f->compression) {
    case RGB:
        ok = f->bits == 1 || f->bits == 2 || f->bits == 4 || f->bits == 8 || f->bits == 16 || f->bits == 24 ||
             f->bits == 32;
        break;
    case RLE8: ok = f->bits == 8 && !f->top_down; break;
    case RLE4: ok = f->bits == 4 && !f->top_down; break;
    case FIELDS: case ALPHA_FIELDS: ok = f->bits == 16 || f->bits == 24 || f->bits == 32; break;
    default:
        return EHM_FAIL(err, EHM_E_UNSUPPORTED,
                        "BMP with compression %u (plain, RLE and bit fields are read)", f->compression);
    }
    if (!ok)
        return EHM_FAIL(err, EHM_E_FORMAT, "BMP of %u bits a pixel with compression %u", f->bits,
                        f->compression);
    return EHM_OK;
}

static ehm_code read_header(file *f, ehm_err *err) {
    const uint8_t *d = f->d;
    uint32_t size = ehm_le32(d + FILE_HEAD);
    if (f->n < FILE_HEAD + (size_t)size) return ends_early(f, err);
    f->pixels = ehm_le32(d + 10);
    if (size == 12) {
        f->w = ehm_le16(d + 18);
        f->h = ehm_le16(d + 20);
        f->bits = ehm_le16(d + 24);
    } else {
        f->w = (int32_t)ehm_le32(d + 18);
        f->h = (int32_t)ehm_le32(d + 22);
        f->bits = ehm_le16(d + 28);
        f->compression = ehm_le32(d + 30);
        f->n_colours = ehm_le32(d + 46);
    }
    f->top_down = f->h < 0;
    if (f->h < 0) f->h = -f->h;
    EHM_TRY(check_kind(f, err));
    size_t after = FILE_HEAD + (size_t)size;
    if (f->bits <= 8) {
        EHM_TRY(read_palette(f, after, size == 12 ? 3 : 4, err));
        /* Some writers forget the palette in the offset of the pixels. */
        if (f->pixels <= after) f->pixels = after + f->n_colours * (size == 12 ? 3u : 4u);
    } else {
        EHM_TRY(read_masks(f, size, err));
        f->c = f->mask[3] ? 4 : 3;
        if (f->pixels < after) f->pixels = after;
    }
    return EHM_OK;
}

static ehm_code probe(ehm_image_info *out, const uint8_t *data, size_t n, ehm_err *err) {
    file f = {.d = data, .n = n};
    EHM_TRY(read_header(&f, err));
    if (f.w > INT32_MAX || f.h > INT32_MAX)
        return EHM_FAIL(err, EHM_E_FORMAT, "a BMP of %lld x %lld px", (long long)f.w, (long long)f.h);
    out->w = (int32_t)f.w;
    out->h = (int32_t)f.h;
    out->c = f.c;
    out->has_alpha = f.c == 4;
    return EHM_OK;
}

static void put_index(uint8_t *dst, uint32_t i, const file *f) {
    const uint8_t *p = f->palette[i & 255];
    dst[0] = p[0];
    if (f->c == 3) {
        dst[1] = p[1];
        dst[2] = p[2];
    }
}

static uint8_t field(uint32_t v, uint32_t mask) {
    uint32_t low = mask & (~mask + 1), top = mask / low;
    return (uint8_t)((uint64_t)((v & mask) / low) * 255 / top);
}

static void put_masked_row(uint8_t *dst, const uint8_t *src, const file *f) {
    uint32_t bytes = f->bits / 8;
    bool bgr =
        bytes >= 3 && f->mask[0] == 0xff0000 && f->mask[1] == 0xff00 && f->mask[2] == 0xff && f->c == 3;
    for (int64_t x = 0; x < f->w; x++, dst += f->c, src += bytes) {
        if (bgr) {
            dst[0] = src[2];
            dst[1] = src[1];
            dst[2] = src[0];
            continue;
        }
        uint32_t v = bytes == 2   ? ehm_le16(src)
                     : bytes == 3 ? ehm_le16(src) | (uint32_t)src[2] << 16
                                  : ehm_le32(src);
        for (int32_t c = 0; c < f->c; c++) dst[c] = field(v, f->mask[c]);
    }
}

static ehm_code read_rows(ehm_image *out, const file *f, ehm_err *err) {
    size_t stride = ((size_t)f->w * f->bits + 31) / 32 * 4, row = (size_t)f->w * (size_t)f->c;
    size_t last = ((size_t)f->w * f->bits + 7) / 8; /* the last row's padding is often missing */
    if (f->pixels > f->n || f->n - f->pixels < last || (f->n - f->pixels - last) / stride < (size_t)f->h - 1)
        return ends_early(f, err);
    for (size_t y = 0; y < (size_t)f->h; y++) {
        const uint8_t *src = f->d + f->pixels + stride * y;
        uint8_t *dst = (uint8_t *)out->px + row * (f->top_down ? y : (size_t)f->h - 1 - y);
        if (f->bits > 8) {
            put_masked_row(dst, src, f);
            continue;
        }
        for (size_t x = 0; x < (size_t)f->w; x++) {
            size_t bit = x * f->bits;
            put_index(dst + x * (size_t)f->c, src[bit / 8] >> (8 - f->bits - bit % 8) & ((1u << f->bits) - 1),
                      f);
        }
    }
    return EHM_OK;
}

/* Where the run-length reader writes; outside the picture nothing happens. */
typedef struct { ehm_image *out; const file *f; int64_t x, y; } cursor;

static void put_at(cursor *k, uint32_t i) {
    if (k->x < k->f->w && k->y < k->f->h) {
        size_t row = (size_t)(k->f->h - 1 - k->y);
        put_index((uint8_t *)k->out->px + (row * (size_t)k->f->w + (size_t)k->x) * (size_t)k->f->c, i, k->f);
        k->x++;
    }
}

static ehm_code read_runs(ehm_image *out, const file *f, ehm_err *err) {
    cursor k = {out, f, 0, 0};
    bool four = f->compression == RLE4;
    size_t at = f->pixels, n_pixels = (size_t)f->w * (size_t)f->h;
    for (size_t i = 0; i < n_pixels; i++) put_index((uint8_t *)out->px + i * (size_t)f->c, 0, f);
    while (k.y < f->h) {
        if (k.y == f->h - 1 && k.x >= f->w) break; /* all pixels are there; the end mark may be missing */
        if (at > f->n || f->n - at < 2) return ends_early(f, err);
        uint32_t count = f->d[at], code = f->d[at + 1];
        at += 2;
        if (count) {
            for (uint32_t i = 0; i < count; i++) put_at(&k, four ? (i & 1 ? code & 15 : code >> 4) : code);
        } else if (code == 0) {
            k.x = 0;
            k.y++;
        } else if (code == 1) {
            break;
        } else if (code == 2) {
            if (f->n - at < 2) return ends_early(f, err);
            k.x += f->d[at];
            k.y += f->d[at + 1];
            at += 2;
        } else {
            size_t bytes = four ? (code + 1) / 2 : code;
            if (f->n - at < bytes) return ends_early(f, err);
            for (uint32_t i = 0; i < code; i++) {
                uint32_t v = four ? f->d[at + i / 2] : f->d[at + i];
                put_at(&k, four ? (i & 1 ? v & 15 : v >> 4) : v);
            }
            at += bytes + (bytes & 1);
        }
    }
    return EHM_OK;
}

static ehm_code decode(ehm_image *out, double box[4], const uint8_t *data, size_t n, ehm_want *want,
                       ehm_arena *a, ehm_err *err) {
    file f = {.d = data, .n = n};
    (void)box;
    EHM_TRY(read_header(&f, err));
    EHM_TRY(ehm_want_check(want, f.w, f.h, f.c, EHM_U8, err));
    EHM_TRY(ehm_image_new(out, (int32_t)f.w, (int32_t)f.h, f.c, EHM_U8, a, err));
    if (f.compression == RLE8 || f.compression == RLE4) return read_runs(out, &f, err);
    return read_rows(out, &f, err);
}

const ehm_codec ehm_codec_bmp = {"bmp", NULL, claims, probe, decode, false};
