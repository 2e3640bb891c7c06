/* For src/image alone: what a codec is. One file per codec owns its library's header; a build without the
 * library gets the same row with NULL functions, so that the message can name what is missing.
 *
 * To add a codec: copy codec_pnm.c to codec_x.c; fill the struct; add its row to `codecs` in image.c; add
 * a golden file. */
#ifndef EHM_IMAGE_IMAGE_INT_H
#define EHM_IMAGE_IMAGE_INT_H
#include "image/image.h"

/* The part of ehm_decode_opt that is always filled. x y w h: the crop, inside the picture once
 * ehm_want_check has seen the size. */
typedef struct { int64_t max_pixels; int32_t x, y, w, h, min_w, min_h; } ehm_want;

typedef struct {
    const char *format, *library;                             /* "png", "libpng"; library NULL: none needed */
    bool (*claims)(const uint8_t *data, size_t n);            /* by content; may be asked about any bytes */
    ehm_code (*probe)(ehm_image_info *out, const uint8_t *data, size_t n, ehm_err *err);
    /* Whole picture; crop handled by image.c unless crops. Size limits are checked by the codec before it
     * allocates. */
    ehm_code (*decode)(ehm_image *out, double box[4], const uint8_t *data, size_t n, ehm_want *want,
                       ehm_arena *a, ehm_err *err);
    bool crops;
} ehm_codec;

extern const ehm_codec ehm_codec_jpeg, ehm_codec_png, ehm_codec_webp, ehm_codec_tiff, ehm_codec_gif,
    ehm_codec_pnm, ehm_codec_bmp;

/* Size as the header tells it: positive, below 2^31 bytes a row, not over max_pixels. Fills the crop where
 * it was "whole" and refuses one outside. Call before allocating. */
ehm_code ehm_want_check(ehm_want *want, int64_t w, int64_t h, int64_t c, ehm_dtype type, ehm_err *err);

/* Pillow's CMYK to RGB for n pixels; src has 4 bytes a pixel. inverted: 255 means no ink (Adobe JPEG). */
void ehm_cmyk_to_rgb(uint8_t *dst, const uint8_t *src, size_t n, bool inverted);

/* Orientation 1 to 8 (IFD0, tag 0x0112) of an EXIF block, which begins "Exif\0\0"; 0: it has none that could be read. Any bytes may be asked about. */
uint8_t ehm_exif_orientation(const uint8_t *data, size_t n);

/* a * b / 255 rounded, Pillow's MULDIV255; exact for a, b in 0..255. */
static inline uint32_t ehm_muldiv255(uint32_t a, uint32_t b) {
    uint32_t t = a * b + 128;
    return ((t >> 8) + t) >> 8;
}
static inline uint32_t ehm_le16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static inline uint32_t ehm_le32(const uint8_t *p) { return ehm_le16(p) | ehm_le16(p + 2) << 16; }
#endif
