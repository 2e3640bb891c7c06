/* PNG by libpng. All of libpng's and zlib's memory comes from the caller's arena; errors jump back here. */
#include "base/file.h"
#include "image/image_int.h"
#include <string.h>

static bool claims(const uint8_t *d, size_t n) { return n >= 8 && !memcmp(d, "\x89PNG\r\n\x1a\n", 8); }

#if EHM_WITH_PNG
#include <png.h>

typedef struct {
    png_structp png;
    png_infop info;
    const uint8_t *data;
    size_t n, at;
    ehm_arena *a;
    ehm_err *err;
    bool no_memory;
    uint8_t *out; /* writing: grown by doubling */
    size_t out_len, out_cap;
} codec;

static PNG_FUNCTION(void, on_error, (png_structp png, png_const_charp text), PNG_NORETURN) {
    codec *k = png_get_error_ptr(png);
    if (k->no_memory) EHM_FAIL(k->err, EHM_E_MEMORY, "no memory for a PNG picture");
    else EHM_FAIL(k->err, EHM_E_FORMAT, "PNG data is damaged near byte %zu of %zu: %s", k->at, k->n, text);
    png_longjmp(png, k->no_memory ? (int)EHM_E_MEMORY : (int)EHM_E_FORMAT);
}

/* Warnings are about ancillary chunks (profiles, text): the pixels are whole. */
static void on_warning(png_structp png, png_const_charp text) { (void)png, (void)text; }

static png_voidp on_alloc(png_structp png, png_alloc_size_t bytes) {
    codec *k = png_get_mem_ptr(png);
    void *p = ehm_arena_alloc(k->a, bytes, 1);
    if (!p) k->no_memory = true;
    return p;
}

static void on_free(png_structp png, png_voidp p) { (void)png, (void)p; } /* the arena's owner frees */

static void on_read(png_structp png, png_bytep dst, size_t bytes) {
    codec *k = png_get_io_ptr(png);
    if (bytes > k->n - k->at) {
        EHM_FAIL(k->err, EHM_E_FORMAT, "PNG data ends early (after %zu bytes)", k->n);
        png_longjmp(png, (int)EHM_E_FORMAT);
    }
    memcpy(dst, k->data + k->at, bytes);
    k->at += bytes;
}

static ehm_code open_reader(codec *k, ehm_err *err) {
    k->err = err;
    k->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, k, on_error, on_warning, k, on_alloc, on_free);
    if (k->png) k->info = png_create_info_struct(k->png);
    if (!k->info) {
        png_destroy_read_struct(&k->png, NULL, NULL);
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a PNG picture");
    }
    png_set_read_fn(k->png, k, on_read);
    /* our own limits are checked before rows are read */
    png_set_user_limits(k->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    return EHM_OK;
}

/* What ehm_image_decode makes of the header. */
static void describe(const codec *k, ehm_image_info *out) {
    int type = png_get_color_type(k->png, k->info), bits = png_get_bit_depth(k->png, k->info);
    bool see_through = png_get_valid(k->png, k->info, PNG_INFO_tRNS) != 0;
    out->w = (int32_t)png_get_image_width(k->png, k->info);
    out->h = (int32_t)png_get_image_height(k->png, k->info);
    out->has_alpha = (type & PNG_COLOR_MASK_ALPHA) != 0 || see_through;
    out->c = ((type & PNG_COLOR_MASK_COLOR) ? 3 : 1) + (out->has_alpha ? 1 : 0);
    out->type = bits == 16 ? EHM_U16 : EHM_U8;
    out->has_icc = png_get_valid(k->png, k->info, PNG_INFO_iCCP) != 0;
}

static ehm_code probe(ehm_image_info *out, const uint8_t *data, size_t n, ehm_err *err) {
    ehm_arena a = {0}; /* short-lived: libpng's own structs */
    codec k = {.data = data, .n = n, .a = &a};
    ehm_code rc = open_reader(&k, err);
    if (rc) goto done;
    int jumped = setjmp(png_jmpbuf(k.png));
    if (jumped) {
        rc = (ehm_code)jumped;
    } else {
        png_read_info(k.png, k.info);
        describe(&k, out);
    }
    png_destroy_read_struct(&k.png, &k.info, NULL);
done:
    ehm_arena_free(&a);
    return rc;
}

static void read_pixels(codec *k, ehm_image *out) {
    size_t row = (size_t)out->w * (size_t)out->c * ehm_dtype_size(out->type);
    int n_passes = png_set_interlace_handling(k->png);
    png_read_update_info(k->png, k->info);
    if (png_get_rowbytes(k->png, k->info) != row) png_error(k->png, "row size does not fit the header");
    for (int pass = 0; pass < n_passes; pass++)
        for (int32_t y = 0; y < out->h; y++) png_read_row(k->png, (uint8_t *)out->px + row * (size_t)y, NULL);
    png_read_end(k->png, NULL);
}

static bool is_little_endian(void) {
    uint16_t one = 1;
    return *(uint8_t *)&one == 1;
}

static ehm_code check_index(const codec *k, ehm_err *err) {
    int type = png_get_color_type(k->png, k->info);
    if (!(type & PNG_COLOR_MASK_COLOR) || type == PNG_COLOR_TYPE_PALETTE) return EHM_OK;
    ehm_code rc = EHM_FAIL(err, EHM_E_FORMAT, "a label map must be a grey or palette PNG, this one is RGB");
    EHM_HINT(err, "store class numbers as 8 or 16 bit grey, or as palette indices");
    return rc;
}

static void set_transforms(codec *k, ehm_image_info *info, bool index) {
    int type = png_get_color_type(k->png, k->info);
    if (index) {
        png_set_packing(k->png);
        if (type == PNG_COLOR_TYPE_GRAY_ALPHA) png_set_strip_alpha(k->png);
        info->c = 1;
    } else {
        if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(k->png);
        if (type == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(k->png, k->info) < 8)
            png_set_expand_gray_1_2_4_to_8(k->png);
        if (png_get_valid(k->png, k->info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(k->png);
    }
    if (info->type == EHM_U16 && is_little_endian()) png_set_swap(k->png);
}

static ehm_code read_png(ehm_image *out, const uint8_t *data, size_t n, ehm_want *want, bool index,
                         ehm_arena *a, ehm_err *err) {
    codec k = {.data = data, .n = n, .a = a};
    ehm_image_info info = {0};
    EHM_TRY(open_reader(&k, err));
    ehm_code rc;
    int jumped = setjmp(png_jmpbuf(k.png));
    if (jumped) {
        png_destroy_read_struct(&k.png, &k.info, NULL);
        return (ehm_code)jumped;
    }
    png_read_info(k.png, k.info);
    describe(&k, &info);
    rc = index ? check_index(&k, err) : EHM_OK;
    if (rc) goto done;
    set_transforms(&k, &info, index);
    rc = ehm_want_check(want, info.w, info.h, info.c, info.type, err);
    if (!rc) rc = ehm_image_new(out, info.w, info.h, info.c, info.type, a, err);
    if (!rc) read_pixels(&k, out);
done:
    png_destroy_read_struct(&k.png, &k.info, NULL);
    return rc;
}

static ehm_code decode(ehm_image *out, double box[4], const uint8_t *data, size_t n, ehm_want *want,
                       ehm_arena *a, ehm_err *err) {
    (void)box;
    return read_png(out, data, n, want, false, a, err);
}

ehm_code ehm_png_decode_index(ehm_image *out, const uint8_t *data, size_t n, int64_t max_pixels, ehm_arena *a,
                              ehm_err *err) {
    ehm_want want = {.max_pixels = max_pixels};
    ehm_image im = {0};
    *out = im;
    if (!data || !claims(data, n))
        return EHM_FAIL(err, EHM_E_FORMAT, "a label map must be a PNG, these %zu bytes are none", n);
    EHM_TRY(read_png(&im, data, n, &want, true, a, err));
    *out = im;
    return EHM_OK;
}

static void on_write(png_structp png, png_bytep src, size_t bytes) {
    codec *k = png_get_io_ptr(png);
    if (bytes > k->out_cap - k->out_len) {
        size_t cap = k->out_cap * 2 + bytes + 4096;
        uint8_t *grown = ehm_arena_alloc(k->a, cap, 1);
        if (!grown) {
            k->no_memory = true;
            png_error(png, "out of memory");
        }
        if (k->out_len) memcpy(grown, k->out, k->out_len);
        k->out = grown;
        k->out_cap = cap;
    }
    memcpy(k->out + k->out_len, src, bytes);
    k->out_len += bytes;
}

static void on_flush(png_structp png) { (void)png; }

ehm_code ehm_png_encode(ehm_bytes *out, const ehm_image *im, ehm_arena *a, ehm_err *err) {
    static const int colour[5] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                                  PNG_COLOR_TYPE_RGB_ALPHA};
    codec k = {.a = a, .err = err};
    *out = (ehm_bytes){0};
    if (im->w <= 0 || im->h <= 0 || im->c < 1 || im->c > 4 || (im->type != EHM_U8 && im->type != EHM_U16))
        return EHM_FAIL(err, EHM_E_ARG, "PNG cannot hold %d x %d px, %d channels of %s", im->w, im->h, im->c,
                        ehm_dtype_name(im->type));
    k.png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &k, on_error, on_warning, &k, on_alloc, on_free);
    if (k.png) k.info = png_create_info_struct(k.png);
    if (!k.info) {
        png_destroy_write_struct(&k.png, NULL);
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for writing a PNG picture");
    }
    int jumped = setjmp(png_jmpbuf(k.png));
    if (jumped) {
        png_destroy_write_struct(&k.png, &k.info);
        return (ehm_code)jumped;
    }
    png_set_user_limits(k.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_write_fn(k.png, &k, on_write, on_flush);
    png_set_IHDR(k.png, k.info, (png_uint_32)im->w, (png_uint_32)im->h, im->type == EHM_U16 ? 16 : 8,
                 colour[im->c], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(k.png, k.info);
    if (im->type == EHM_U16 && is_little_endian()) png_set_swap(k.png);
    size_t row = ehm_image_bytes(im) / (size_t)im->h;
    for (int32_t y = 0; y < im->h; y++) png_write_row(k.png, (const uint8_t *)im->px + row * (size_t)y);
    png_write_end(k.png, NULL);
    png_destroy_write_struct(&k.png, &k.info);
    *out = (ehm_bytes){k.out, k.out_len};
    return EHM_OK;
}

ehm_code ehm_png_write(const char *path, const ehm_image *im, ehm_err *err) {
    ehm_arena a = {0};
    ehm_bytes bytes;
    ehm_code rc = ehm_png_encode(&bytes, im, &a, err);
    if (rc) EHM_WHILE(err, "writing %s", path);
    else rc = ehm_file_write(path, bytes.data, bytes.len, err);
    ehm_arena_free(&a);
    return rc;
}

bool ehm_image_can_write_png(void) { return true; }
const ehm_codec ehm_codec_png = {"png", "libpng", claims, probe, decode, false};
#else
static ehm_code no_png(const char *path, ehm_err *err) {
    ehm_code rc =
        EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: PNG needs libpng, which this program was built without", path);
    EHM_HINT(err, "name the file .ppm, or build with libpng");
    return rc;
}

ehm_code ehm_png_decode_index(ehm_image *out, const uint8_t *data, size_t n, int64_t max_pixels, ehm_arena *a,
                              ehm_err *err) {
    (void)data, (void)n, (void)max_pixels, (void)a;
    *out = (ehm_image){0};
    return no_png("label map", err);
}

ehm_code ehm_png_encode(ehm_bytes *out, const ehm_image *im, ehm_arena *a, ehm_err *err) {
    (void)im, (void)a;
    *out = (ehm_bytes){0};
    return no_png("picture", err);
}

ehm_code ehm_png_write(const char *path, const ehm_image *im, ehm_err *err) {
    (void)im;
    return no_png(path, err);
}

bool ehm_image_can_write_png(void) { return false; }
const ehm_codec ehm_codec_png = {"png", "libpng", claims, NULL, NULL, false};
#endif
