/* Which codec reads these bytes, and what all codecs share: limits, crops, allocation. */
#include "image/image_int.h"
#include "base/str.h"
#include <string.h>

static const ehm_codec *const codecs[] = {&ehm_codec_jpeg, &ehm_codec_png, &ehm_codec_webp, &ehm_codec_tiff,
                                          &ehm_codec_gif,  &ehm_codec_bmp, &ehm_codec_pnm};
enum { N_CODECS = sizeof codecs / sizeof *codecs, MAX_CHANNELS = 256 };

/* Formats that are told apart only to say how to convert them. ISO media brands stand at byte 8 after
 * "ftyp". */
static const struct { const char *format; size_t at, len; const char *magic; } known[] = {
    {"avif", 4, 8, "ftypavif"},       {"avif", 4, 8, "ftypavis"},
    {"heic", 4, 8, "ftypheic"},       {"heic", 4, 8, "ftypheix"},
    {"heic", 4, 8, "ftyphevc"},       {"heic", 4, 8, "ftyphevx"},
    {"heic", 4, 8, "ftypheim"},       {"heic", 4, 8, "ftypheis"},
    {"heic", 4, 8, "ftypmif1"},       {"heic", 4, 8, "ftypmsf1"},
    {"jxl", 0, 2, "\xff\x0a"},        {"jxl", 0, 12, "\0\0\0\x0cJXL \r\n\x87\n"},
    {"jpeg2000", 0, 4, "\xff\x4f\xff\x51"}, {"jpeg2000", 0, 12, "\0\0\0\x0cjP  \r\n\x87\n"},
    {"psd", 0, 4, "8BPS"},            {"exr", 0, 4, "v/1\x01"},
    {"ico", 0, 4, "\0\0\x01\0"},      {"dds", 0, 4, "DDS "},
    {"qoi", 0, 4, "qoif"},            {"hdr", 0, 10, "#?RADIANCE"},
};

static const ehm_codec *codec_of(const uint8_t *data, size_t n) {
    for (int32_t i = 0; i < N_CODECS; i++)
        if (codecs[i]->claims(data, n)) return codecs[i];
    return NULL;
}

static const char *known_of(const uint8_t *data, size_t n) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (n < known[i].at + known[i].len || memcmp(data + known[i].at, known[i].magic, known[i].len))
            continue;
        /* Four bytes 0 0 1 0 begin many binary files: an icon also lists 1 to 255 pictures and a zero byte
         * in each entry. */
        if (!strcmp(known[i].format, "ico") && (n < 10 || data[5] || !data[4] || data[9])) continue;
        return known[i].format;
    }
    return NULL;
}

const char *ehm_image_format(const uint8_t *data, size_t n) {
    if (!data) return NULL;
    const ehm_codec *codec = codec_of(data, n);
    return codec ? codec->format : known_of(data, n);
}

bool ehm_image_readable(const char *format) {
    for (int32_t i = 0; format && i < N_CODECS; i++)
        if (!strcmp(codecs[i]->format, format)) return codecs[i]->decode != NULL;
    return false;
}

const char *ehm_image_conversion(const char *format) {
    for (int32_t i = 0; format && i < N_CODECS; i++)
        if (!strcmp(codecs[i]->format, format)) return NULL;
    if (!format) return NULL;
    return !strcmp(format, "heic")   ? "heif-convert -q 95 FILE.heic FILE.jpg"
           : !strcmp(format, "avif") ? "avifdec FILE.avif FILE.png"
           : !strcmp(format, "jxl")  ? "djxl FILE.jxl FILE.png"
                                     : "magick FILE FILE.png";
}

static ehm_code refuse(const uint8_t *data, size_t n, ehm_err *err) {
    const char *format = data ? known_of(data, n) : NULL;
    if (!format) {
        if (n == 0) return EHM_FAIL(err, EHM_E_FORMAT, "no picture: the file is empty");
        return EHM_FAIL(err, EHM_E_FORMAT, "no picture: the first bytes fit no known format (%zu bytes)", n);
    }
    ehm_code rc = EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s pictures cannot be read", format);
    EHM_HINT(err, "convert it first: %s", ehm_image_conversion(format));
    return rc;
}

static ehm_code codec_for(const ehm_codec **out, const uint8_t *data, size_t n, ehm_err *err) {
    *out = data ? codec_of(data, n) : NULL;
    if (!*out) return refuse(data, n, err);
    if ((*out)->decode) return EHM_OK;
    ehm_code rc =
        EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s pictures cannot be read: this program was built without %s",
                 (*out)->format, (*out)->library);
    EHM_HINT(err, "build with %s, or convert the pictures: magick FILE FILE.ppm", (*out)->library);
    return rc;
}

ehm_code ehm_image_probe(ehm_image_info *out, const uint8_t *data, size_t n, ehm_err *err) {
    const ehm_codec *codec;
    *out = (ehm_image_info){0};
    EHM_TRY(codec_for(&codec, data, n, err));
    ehm_image_info info = {.format = codec->format, .type = EHM_U8};
    EHM_TRY(codec->probe(&info, data, n, err));
    if (info.w <= 0 || info.h <= 0 || info.c <= 0)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s picture of %d x %d px", codec->format, info.w, info.h);
    *out = info;
    return EHM_OK;
}

ehm_code ehm_want_check(ehm_want *want, int64_t w, int64_t h, int64_t c, ehm_dtype type, ehm_err *err) {
    if (w <= 0 || h <= 0 || w > INT32_MAX || h > INT32_MAX)
        return EHM_FAIL(err, EHM_E_FORMAT, "a picture of %lld x %lld px", (long long)w, (long long)h);
    if (c <= 0 || c > MAX_CHANNELS)
        return EHM_FAIL(err, EHM_E_FORMAT, "a picture of %lld channels (at most %d)", (long long)c,
                        MAX_CHANNELS);
    if (want->max_pixels > 0 && w > want->max_pixels / h) {
        ehm_code rc =
            EHM_FAIL(err, EHM_E_FORMAT, "picture of %lld x %lld px is over the limit of %lld pixels",
                     (long long)w, (long long)h, (long long)want->max_pixels);
        EHM_HINT(err, "--max-pixels raises the limit");
        return rc;
    }
    size_t bytes;
    if (!ehm_mul_size(&bytes, (size_t)w * (size_t)h, (size_t)c * ehm_dtype_size(type)) ||
        bytes > SIZE_MAX / 4 || (size_t)w * (size_t)c * ehm_dtype_size(type) > INT32_MAX)
        return EHM_FAIL(err, EHM_E_FORMAT, "a picture of %lld x %lld px with %lld channels", (long long)w,
                        (long long)h, (long long)c);
    if (want->w == 0) {
        want->x = want->y = 0;
        want->w = (int32_t)w;
        want->h = (int32_t)h;
    }
    if (want->x < 0 || want->y < 0 || want->w < 0 || want->h <= 0 || want->w > w - want->x ||
        want->h > h - want->y)
        return EHM_FAIL(err, EHM_E_ARG,
                        "crop of %d x %d at %d, %d lies outside the picture of %lld x %lld px", want->w,
                        want->h, want->x, want->y, (long long)w, (long long)h);
    return EHM_OK;
}

ehm_code ehm_image_new(ehm_image *out, int32_t w, int32_t h, int32_t c, ehm_dtype type, ehm_arena *a,
                       ehm_err *err) {
    size_t bytes;
    *out = (ehm_image){0};
    if (w <= 0 || h <= 0 || c <= 0 || (type != EHM_U8 && type != EHM_U16 && type != EHM_F32))
        return EHM_FAIL(err, EHM_E_ARG, "no picture can have %d x %d px, %d channels of %s", w, h, c,
                        ehm_dtype_name(type));
    void *px = ehm_mul_size(&bytes, (size_t)w * (size_t)h, (size_t)c * ehm_dtype_size(type))
                   ? ehm_arena_alloc(a, bytes, 1)
                   : NULL;
    if (!px)
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a picture of %d x %d px with %d channels of %s", w,
                        h, c, ehm_dtype_name(type));
    *out = (ehm_image){.px = px, .w = w, .h = h, .c = c, .type = type};
    return EHM_OK;
}

size_t ehm_image_bytes(const ehm_image *im) {
    return (size_t)im->w * (size_t)im->h * (size_t)im->c * ehm_dtype_size(im->type);
}

/* The crop moves to the front of the picture's own memory: rows only move towards lower addresses, top to
 * bottom. */
static void crop_in_place(ehm_image *im, const ehm_want *want) {
    size_t pixel = (size_t)im->c * ehm_dtype_size(im->type), row = pixel * (size_t)want->w;
    uint8_t *px = im->px;
    for (int32_t y = 0; y < want->h; y++)
        memmove(px + row * (size_t)y, px + ((size_t)(want->y + y) * (size_t)im->w + (size_t)want->x) * pixel,
                row);
    im->w = want->w;
    im->h = want->h;
}

ehm_code ehm_image_decode_box(ehm_image *out, double box[4], const uint8_t *data, size_t n,
                              const ehm_decode_opt *opt, ehm_arena *a, ehm_err *err) {
    const ehm_codec *codec;
    ehm_want want = {0};
    ehm_image im = {0};
    *out = im;
    EHM_TRY(codec_for(&codec, data, n, err));
    if (opt)
        want = (ehm_want){opt->max_pixels, opt->crop_x, opt->crop_y, opt->crop_w,
                          opt->crop_h,     opt->min_w,  opt->min_h};
    box[0] = box[1] = box[2] = box[3] = -1;
    EHM_TRY(codec->decode(&im, box, data, n, &want, a, err));
    if (!codec->crops && (want.w != im.w || want.h != im.h)) crop_in_place(&im, &want);
    if (box[2] < 0) { box[0] = box[1] = 0; box[2] = im.w; box[3] = im.h; }
    *out = im;
    return EHM_OK;
}

ehm_code ehm_image_decode(ehm_image *out, const uint8_t *data, size_t n, const ehm_decode_opt *opt,
                          ehm_arena *a, ehm_err *err) {
    double box[4];
    return ehm_image_decode_box(out, box, data, n, opt, a, err);
}

ehm_code ehm_image_write(const char *path, const ehm_image *im, ehm_err *err) {
    if (ehm_ends_nocase(path, ".png")) return ehm_png_write(path, im, err);
    if (ehm_ends_nocase(path, ".ppm") || ehm_ends_nocase(path, ".pgm") || ehm_ends_nocase(path, ".pnm"))
        return ehm_ppm_write(path, im, err);
    ehm_code rc = EHM_FAIL(err, EHM_E_ARG, "%s: no known picture ending", path);
    EHM_HINT(err, "name the file %s", ehm_image_can_write_png() ? ".png, .ppm or .pgm" : ".ppm or .pgm");
    return rc;
}
