/* PNM: P1..P6 (plain and raw bit, grey and colour maps), P7 (PAM), PF and Pf (float maps). Needs no
 * library. */
#include "base/file.h"
#include "image/image_int.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const uint8_t *d;
    size_t n, at;
    char kind; /* '1'..'7', 'F' or 'f' */
    int64_t w, h, c, maxval;
    bool has_alpha, little_endian;
    ehm_dtype type;
} file;

static bool is_space(uint8_t b) { return b == ' ' || (b >= '\t' && b <= '\r'); }

/* "P5" alone begins many texts: the next token must be a number, or WIDTH and the like for P7. */
static bool claims(const uint8_t *d, size_t n) {
    if (n < 4 || d[0] != 'P' || !((d[1] >= '1' && d[1] <= '7') || d[1] == 'F' || d[1] == 'f') ||
        !is_space(d[2]))
        return false;
    for (size_t i = 2; i < n; i++) {
        if (d[i] == '#')
            while (i < n && d[i] != '\n') i++;
        else if (!is_space(d[i]))
            return d[1] == '7' ? d[i] >= 'A' && d[i] <= 'Z' : d[i] >= '0' && d[i] <= '9';
    }
    return false;
}

static void skip_space(file *f) {
    while (f->at < f->n) {
        if (f->d[f->at] == '#') while (f->at < f->n && f->d[f->at] != '\n' && f->d[f->at] != '\r') f->at++;
        else if (is_space(f->d[f->at])) f->at++;
        else return;
    }
}

static ehm_code ends_early(const file *f, ehm_err *err) {
    return EHM_FAIL(err, EHM_E_FORMAT, "PNM data ends early (%zu bytes)", f->n);
}

static ehm_code read_word(file *f, char *word, size_t cap, ehm_err *err) {
    size_t len = 0;
    skip_space(f);
    while (f->at < f->n && !is_space(f->d[f->at]) && f->d[f->at] != '#' && len + 1 < cap)
        word[len++] = (char)f->d[f->at++];
    word[len] = 0;
    if (len == 0) return ends_early(f, err);
    return EHM_OK;
}

static ehm_code read_number(file *f, int64_t *out, int64_t hi, const char *what, ehm_err *err) {
    int64_t v = 0;
    skip_space(f);
    size_t start = f->at;
    for (; f->at < f->n && f->d[f->at] >= '0' && f->d[f->at] <= '9'; f->at++)
        if (v <= hi) v = v * 10 + (f->d[f->at] - '0');
    if (f->at >= f->n && f->at == start) return ends_early(f, err);
    if (f->at == start || v > hi)
        return EHM_FAIL(err, EHM_E_FORMAT, "PNM: %s at byte %zu is no number up to %lld", what, start,
                        (long long)hi);
    *out = v;
    return EHM_OK;
}

static ehm_code read_pam_header(file *f, ehm_err *err) {
    char key[16], word[32];
    f->maxval = 255;
    for (;;) {
        EHM_TRY(read_word(f, key, sizeof key, err));
        if (!strcmp(key, "ENDHDR")) break;
        if (!strcmp(key, "WIDTH")) EHM_TRY(read_number(f, &f->w, INT32_MAX, "WIDTH", err));
        else if (!strcmp(key, "HEIGHT")) EHM_TRY(read_number(f, &f->h, INT32_MAX, "HEIGHT", err));
        else if (!strcmp(key, "DEPTH")) EHM_TRY(read_number(f, &f->c, 65535, "DEPTH", err));
        else if (!strcmp(key, "MAXVAL")) EHM_TRY(read_number(f, &f->maxval, 65535, "MAXVAL", err));
        else if (!strcmp(key, "TUPLTYPE")) {
            EHM_TRY(read_word(f, word, sizeof word, err));
            f->has_alpha = strstr(word, "_ALPHA") != NULL;
        } else return EHM_FAIL(err, EHM_E_FORMAT, "PAM header with an unknown word \"%s\"", key);
    }
    if (f->has_alpha && f->c != 2 && f->c != 4) f->has_alpha = false;
    while (f->at < f->n && f->d[f->at] != '\n') f->at++;
    return EHM_OK;
}

static ehm_code read_header(file *f, ehm_err *err) {
    char word[32];
    f->kind = (char)f->d[1];
    f->at = 2;
    if (f->kind == '7') {
        EHM_TRY(read_pam_header(f, err));
    } else {
        EHM_TRY(read_number(f, &f->w, INT32_MAX, "width", err));
        EHM_TRY(read_number(f, &f->h, INT32_MAX, "height", err));
        f->c = f->kind == '3' || f->kind == '6' || f->kind == 'F' ? 3 : 1;
        f->maxval = 1;
        if (f->kind == 'F' || f->kind == 'f') {
            EHM_TRY(read_word(f, word, sizeof word, err));
            double scale = strtod(word, NULL);
            if (!isfinite(scale) || scale == 0)
                return EHM_FAIL(err, EHM_E_FORMAT, "PFM with the scale \"%s\"", word);
            f->little_endian = scale < 0;
        } else if (f->kind != '1' && f->kind != '4') {
            EHM_TRY(read_number(f, &f->maxval, 65535, "maximum", err));
        }
    }
    if (f->maxval < 1) return EHM_FAIL(err, EHM_E_FORMAT, "PNM with the maximum %lld", (long long)f->maxval);
    if (f->kind != '1' && f->kind != '2' && f->kind != '3') { /* exactly one white space before raw data */
        if (f->at >= f->n || !is_space(f->d[f->at])) return ends_early(f, err);
        f->at++;
    }
    f->type = f->kind == 'F' || f->kind == 'f' ? EHM_F32 : f->maxval > 255 ? EHM_U16 : EHM_U8;
    return EHM_OK;
}

static ehm_code probe(ehm_image_info *out, const uint8_t *data, size_t n, ehm_err *err) {
    file f = {.d = data, .n = n};
    EHM_TRY(read_header(&f, err));
    out->w = (int32_t)f.w;
    out->h = (int32_t)f.h;
    out->c = (int32_t)f.c;
    out->type = f.type;
    out->has_alpha = f.has_alpha;
    return EHM_OK;
}

/* A sample on the full scale; Python's round as Pillow has it: halves go to even. */
static uint32_t scaled(int64_t v, const file *f) {
    double top = f->type == EHM_U16 ? 65535 : 255;
    if (v >= f->maxval) return (uint32_t)top;
    return (uint32_t)nearbyint((double)v / (double)f->maxval * top);
}

static void put(ehm_image *out, size_t i, uint32_t v) {
    if (out->type == EHM_U16) ((uint16_t *)out->px)[i] = (uint16_t)v;
    else ((uint8_t *)out->px)[i] = (uint8_t)v;
}

static ehm_code read_plain(ehm_image *out, file *f, ehm_err *err) {
    size_t n = (size_t)f->w * (size_t)f->h * (size_t)f->c;
    for (size_t i = 0; i < n; i++) {
        int64_t v = 0;
        if (f->kind == '1') { /* bits may stand without space between them */
            skip_space(f);
            if (f->at >= f->n) return ends_early(f, err);
            uint8_t b = f->d[f->at++];
            if (b != '0' && b != '1')
                return EHM_FAIL(err, EHM_E_FORMAT, "PNM: a bit at byte %zu is neither 0 nor 1", f->at - 1);
            put(out, i, b == '1' ? 0 : 255);
            continue;
        }
        EHM_TRY(read_number(f, &v, f->maxval, "a value", err));
        put(out, i, scaled(v, f));
    }
    return EHM_OK;
}

static void read_bits(ehm_image *out, const file *f) {
    size_t row = ((size_t)f->w + 7) / 8;
    for (size_t y = 0; y < (size_t)f->h; y++)
        for (size_t x = 0; x < (size_t)f->w; x++)
            ((uint8_t *)out->px)[y * (size_t)f->w + x] =
                f->d[f->at + y * row + x / 8] >> (7 - x % 8) & 1 ? 0 : 255;
}

static void read_floats(ehm_image *out, const file *f) {
    size_t row = (size_t)f->w * (size_t)f->c;
    for (size_t y = 0; y < (size_t)f->h; y++) /* the bottom row is stored first */
        for (size_t x = 0; x < row; x++) {
            const uint8_t *p = f->d + f->at + (y * row + x) * 4;
            uint32_t u = f->little_endian
                             ? ehm_le32(p)
                             : (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
            memcpy((float *)out->px + ((size_t)f->h - 1 - y) * row + x, &u, 4);
        }
}

static void read_raw(ehm_image *out, const file *f) {
    size_t n = (size_t)f->w * (size_t)f->h * (size_t)f->c;
    const uint8_t *p = f->d + f->at;
    if (f->type == EHM_U8 && f->maxval == 255) {
        memcpy(out->px, p, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t v = f->type == EHM_U16 ? (uint32_t)p[i * 2] << 8 | p[i * 2 + 1] : p[i];
        put(out, i, f->maxval == 65535 ? v : scaled(v, f));
    }
}

/* Bytes that the pixels must at least have, so that a short file is refused before memory is asked for. */
static bool has_bytes(const file *f) {
    size_t per_pixel = (size_t)f->c * (f->type == EHM_F32   ? 4
                                       : f->type == EHM_U16 ? 2
                                                            : 1),
           left = f->n - f->at;
    if (f->kind == '1') return left / (size_t)f->w >= (size_t)f->h;
    if (f->kind == '2' || f->kind == '3') return (left + 1) / 2 / (size_t)f->c / (size_t)f->w >= (size_t)f->h;
    if (f->kind == '4') return left / (((size_t)f->w + 7) / 8) >= (size_t)f->h;
    return left / per_pixel / (size_t)f->w >= (size_t)f->h;
}

static ehm_code decode(ehm_image *out, double box[4], const uint8_t *data, size_t n, ehm_want *want,
                       ehm_arena *a, ehm_err *err) {
    file f = {.d = data, .n = n};
    (void)box;
    EHM_TRY(read_header(&f, err));
    EHM_TRY(ehm_want_check(want, f.w, f.h, f.c, f.type, err));
    if (!has_bytes(&f)) return ends_early(&f, err);
    EHM_TRY(ehm_image_new(out, (int32_t)f.w, (int32_t)f.h, (int32_t)f.c, f.type, a, err));
    switch (f.kind) {
    case '1': case '2': case '3': return read_plain(out, &f, err);
    case '4': read_bits(out, &f); break;
    case 'F': case 'f': read_floats(out, &f); break;
    default: read_raw(out, &f);
    }
    return EHM_OK;
}

ehm_code ehm_ppm_write(const char *path, const ehm_image *im, ehm_err *err) {
    ehm_file_out o;
    bool wide = im->type == EHM_U16;
    if (im->w <= 0 || im->h <= 0 || (im->c != 1 && im->c != 3) || (im->type != EHM_U8 && !wide))
        return EHM_FAIL(err, EHM_E_ARG, "%s: PPM holds grey or RGB of 8 or 16 bit, not %d channels of %s",
                        path, im->c, ehm_dtype_name(im->type));
    EHM_TRY(ehm_file_out_open(&o, path, err));
    fprintf(o.f, "P%c\n%d %d\n%d\n", im->c == 1 ? '5' : '6', im->w, im->h, wide ? 65535 : 255);
    size_t row = (size_t)im->w * (size_t)im->c;
    for (int32_t y = 0; y < im->h; y++) {
        if (!wide) fwrite((const uint8_t *)im->px + row * (size_t)y, 1, row, o.f);
        for (size_t x = 0; wide && x < row; x++) {
            uint16_t v = ((const uint16_t *)im->px)[row * (size_t)y + x];
            putc(v >> 8, o.f);
            putc(v & 255, o.f);
        }
    }
    ehm_code rc = ehm_file_out_commit(&o, err); /* notices a write that failed */
    ehm_file_out_abort(&o);
    return rc;
}

const ehm_codec ehm_codec_pnm = {"pnm", NULL, claims, probe, decode, false};
