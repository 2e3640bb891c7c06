/* Pictures: bytes to pixels and back, channel conversion, resampling. Every function is thread-safe;
 * results and scratch come from the caller's arena, so a worker that resets its arena per sample stops
 * allocating once it has seen its largest picture.
 *
 *     ehm_image img, rgb, small = {.px = dst, .w = 224, .h = 224, .c = 3, .type = EHM_U8};
 *     ehm_decode_opt opt = {.max_pixels = 1 << 28};
 *     EHM_TRY(ehm_image_decode(&img, bytes.data, bytes.len, &opt, a, err));
 *     EHM_TRY(ehm_image_channels(&rgb, &img, 3, "drop", a, err));
 *     EHM_TRY(ehm_resize(&small, &rgb, NULL, EHM_RESIZE_BICUBIC, a, err));
 *
 * Pixels equal what Pillow gives after convert("L") or convert("RGB"). What is ignored, as Pillow's open +
 * convert ignores it: colour profiles (ehm_image_info.has_icc tells), gamma, and the EXIF orientation of
 * JPEG (ehm_image_info.orientation tells), PNG and WebP; a TIFF's orientation tag is applied (Pillow does). Only the first page or frame of a
 * file is read.
 */
#ifndef EHM_IMAGE_IMAGE_H
#define EHM_IMAGE_IMAGE_H
#include "base/dtype.h"
#include "base/err.h"
#include "base/mem.h"
#include <stdbool.h>
#include <stdint.h>

/* Rows are packed, channels interleaved (HWC). c: 1 grey, 2 grey+alpha, 3 RGB, 4 RGBA; a TIFF may have
 * other counts. type EHM_U8, EHM_U16 or EHM_F32. px belongs to whoever gave the memory, in decoders the
 * arena. */
typedef struct { void *px; int32_t w, h, c; ehm_dtype type; } ehm_image;

/* c and type are those that ehm_image_decode gives; c counts alpha. format: see ehm_image_format. */
typedef struct {
    int32_t w, h, c;
    ehm_dtype type;
    const char *format;
    bool has_alpha, has_icc;
    uint8_t orientation; /* of a JPEG's EXIF block, which is not applied: 1 upright, 2 to 8 turned or mirrored; 0: it has none */
} ehm_image_info;

typedef struct {
    int64_t max_pixels; /* w*h of the file may not exceed it; 0: none */
    /* part wanted, in the file's pixels; crop_w 0: whole. Must lie inside. */
    int32_t crop_x, crop_y, crop_w, crop_h;
    /* both > 0: may come at a smaller scale (1/2, 1/4, 1/8; JPEG only), never smaller than this */
    int32_t min_w, min_h;
} ehm_decode_opt;

/* What the content is, whatever the name says: "jpeg" "png" "webp" "tiff" "pnm" "bmp" "gif"; known but
 * never readable here: "heic" "avif" "jxl" "jpeg2000" "psd" "exr" "ico" "dds" "qoi" "hdr". NULL: no
 * picture. 32 bytes are enough to tell. True of ehm_image_readable(format): this build has the decoder. */
const char *ehm_image_format(const uint8_t *data, size_t n);
bool ehm_image_readable(const char *format);
/* A way to convert one of those that no build reads ("heif-convert ..."); NULL for formats that some build reads. */
const char *ehm_image_conversion(const char *format);

/* Reads the header alone; works on the file's first bytes if they hold it. out->w,h,c,type as decode
 * (whole) would give. Errors: EHM_E_FORMAT (no picture, broken header), EHM_E_UNSUPPORTED (format, or
 * library not built in). */
ehm_code ehm_image_probe(ehm_image_info *out, const uint8_t *data, size_t n, ehm_err *err);

/* Decode into a. opt NULL: whole, no limit. Palettes become RGB(A), 1, 2 and 4 bit grey is spread over
 * 0..255, CMYK becomes RGB by Pillow's formula, 16 bit stays EHM_U16, float stays EHM_F32. A JPEG crop is
 * bit-equal to the same part of the whole. Errors: EHM_E_FORMAT for broken data, and nothing half-decoded
 * is ever returned (a JPEG crop does not look at damage below its last row, except that the file must
 * reach its end mark); over max_pixels; EHM_E_UNSUPPORTED names the format and a way to convert it;
 * EHM_E_ARG for a crop outside the picture; EHM_E_MEMORY. */
ehm_code ehm_image_decode(ehm_image *out, const uint8_t *data, size_t n, const ehm_decode_opt *opt,
                          ehm_arena *a, ehm_err *err);
/* The same, and box gives where the crop lies in out (x0 y0 x1 y1, in out's pixels, for ehm_resize): at a
 * reduced scale the edges may fall between pixels and out is rounded outwards. At full scale: 0 0 w h. */
ehm_code ehm_image_decode_box(ehm_image *out, double box[4], const uint8_t *data, size_t n,
                              const ehm_decode_opt *opt, ehm_arena *a, ehm_err *err);
/* A label map: PNG of palette index or grey value as stored, never spread or coloured. c 1, EHM_U8 or
 * EHM_U16. */
ehm_code ehm_png_decode_index(ehm_image *out, const uint8_t *data, size_t n, int64_t max_pixels, ehm_arena *a,
                              ehm_err *err);

/* out gets its size checked and zeroed pixels from a. */
ehm_code ehm_image_new(ehm_image *out, int32_t w, int32_t h, int32_t c, ehm_dtype type, ehm_arena *a,
                       ehm_err *err);
size_t ehm_image_bytes(const ehm_image *im); /* w*h*c*size */

/* Bring to a channel count. Grey to RGB repeats; RGB to grey is Rec. 601 as Pillow's L; channels 2 and 4
 * have alpha last.
 *   alpha  "drop" forgets it (Pillow's convert), "white" lays the picture on white, "keep" carries it over
 *          where channels has room for it (opaque where in has none), else forgets it; NULL: "drop"
 * Where nothing changes, out shares in's pixels. Errors: EHM_E_ARG for pairs that have no meaning (5
 * channels to 3). */
ehm_code ehm_image_channels(ehm_image *out, const ehm_image *in, int32_t channels, const char *alpha,
                            ehm_arena *a, ehm_err *err);
/* Numbers as float: u8/255, u16/65535, f32 as it is. dst has w*h*c floats, HWC like in. */
void ehm_image_to_f32(float *dst, const ehm_image *in);

typedef enum {
    EHM_RESIZE_NEAREST,
    EHM_RESIZE_BILINEAR,
    EHM_RESIZE_BICUBIC,
    EHM_RESIZE_LANCZOS
} ehm_resize_kind;
/* Resample box of in to fill out, with antialias (the filter's support grows with the reduction).
 * Bit-equal to Image.resize(size, kind, box) of Pillow 13 for u8, u16 and f32 (up to version 12 Pillow
 * resampled across first in every case, which can differ by 1 of 255 where the height shrinks far more
 * than the width).
 *   out  px, w, h given; c and type as in; must not overlap in
 *   box  x0 y0 x1 y1 inside in; NULL: all of it
 * As in Pillow, pixels outside the box but inside in take part at its edges; crop first where they must not.
 * Channels are independent: alpha is not multiplied in. Errors: EHM_E_ARG, EHM_E_MEMORY. */
ehm_code ehm_resize(ehm_image *out, const ehm_image *in, const double box[4], ehm_resize_kind kind,
                    ehm_arena *scratch, ehm_err *err);

/* Writing: u8 or u16 (f32 is refused), c 1..4 for PNG, 1 or 3 for PPM/PGM. Files are written aside and
 * renamed. */
ehm_code ehm_png_encode(ehm_bytes *out, const ehm_image *im, ehm_arena *a, ehm_err *err);
ehm_code ehm_png_write(const char *path, const ehm_image *im, ehm_err *err);
ehm_code ehm_ppm_write(const char *path, const ehm_image *im, ehm_err *err);
/* By the path's ending: .png .ppm .pgm .pnm. A build without libpng refuses .png with a hint. */
ehm_code ehm_image_write(const char *path, const ehm_image *im, ehm_err *err);
bool ehm_image_can_write_png(void); /* for choosing a default ending */
#endif
