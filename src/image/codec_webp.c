/* WebP by libwebp: lossy and lossless, with or without alpha; of an animation the first frame, laid on its
 * canvas. */
#include "image/image_int.h"
#include <string.h>

static bool claims(const uint8_t *d, size_t n) {
    return n >= 12 && !memcmp(d, "RIFF", 4) && !memcmp(d + 8, "WEBP", 4);
}

#if EHM_WITH_WEBP
#include <webp/decode.h>

enum { FLAG_ICC = 0x20, RIFF_HEAD = 12, CHUNK_HEAD = 8, ANMF_HEAD = 16, VP8X_SIZE = 10 };

static ehm_code fail(VP8StatusCode status, size_t n, ehm_err *err) {
    switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY: return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a WebP picture");
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return EHM_FAIL(err, EHM_E_FORMAT, "WebP data ends early (after %zu bytes)", n);
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "WebP with a feature that libwebp does not read");
    default: return EHM_FAIL(err, EHM_E_FORMAT, "WebP data is damaged (libwebp status %d)", (int)status);
    }
}

static bool has_icc(const uint8_t *d, size_t n) {
    return n > RIFF_HEAD + CHUNK_HEAD && !memcmp(d + RIFF_HEAD, "VP8X", 4) &&
           (d[RIFF_HEAD + CHUNK_HEAD] & FLAG_ICC);
}

static ehm_code features(WebPBitstreamFeatures *f, const uint8_t *data, size_t n, ehm_err *err) {
    VP8StatusCode status = WebPGetFeatures(data, n, f);
    if (status != VP8_STATUS_OK) return fail(status, n, err);
    return EHM_OK;
}

static ehm_code probe(ehm_image_info *out, const uint8_t *data, size_t n, ehm_err *err) {
    WebPBitstreamFeatures f = {0};
    EHM_TRY(features(&f, data, n, err));
    out->w = f.width;
    out->h = f.height;
    /* an animation's canvas is transparent where no frame lies */
    out->has_alpha = f.has_alpha || f.has_animation;
    out->c = out->has_alpha ? 4 : 3;
    out->has_icc = has_icc(data, n);
    return EHM_OK;
}

static ehm_code decode_into(uint8_t *px, size_t stride, size_t bytes, int32_t c, const uint8_t *data,
                            size_t n, ehm_err *err) {
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "libwebp is not the version this program was built for");
    config.output.colorspace = c == 4 ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = px;
    config.output.u.RGBA.stride = (int)stride;
    config.output.u.RGBA.size = bytes;
    VP8StatusCode status = WebPDecode(data, n, &config);
    WebPFreeDecBuffer(&config.output);
    if (status == VP8_STATUS_SUSPENDED) status = VP8_STATUS_NOT_ENOUGH_DATA;
    if (status != VP8_STATUS_OK) return fail(status, n, err);
    return EHM_OK;
}

static uint32_t le24(const uint8_t *p) { return ehm_le16(p) | (uint32_t)p[2] << 16; }

/* The first frame's chunks, wrapped as a still WebP of its own so that libwebp reads it: libwebpdemux is
 * not needed. */
static ehm_code first_frame(ehm_bytes *out, int32_t xy[2], const uint8_t *d, size_t n, ehm_arena *a,
                            ehm_err *err) {
    for (size_t at = RIFF_HEAD; at + CHUNK_HEAD <= n;) {
        size_t len = ehm_le32(d + at + 4);
        const uint8_t *body = d + at + CHUNK_HEAD;
        if (len > n - at - CHUNK_HEAD) break;
        if (memcmp(d + at, "ANMF", 4) || len < ANMF_HEAD + CHUNK_HEAD) {
            at += CHUNK_HEAD + len + (len & 1);
            continue;
        }
        size_t inner = len - ANMF_HEAD, total = RIFF_HEAD + CHUNK_HEAD + VP8X_SIZE + inner;
        uint8_t *p = ehm_arena_alloc(a, total, 1);
        if (!p) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a WebP picture");
        bool alpha = !memcmp(body + ANMF_HEAD, "ALPH", 4);
        size_t head = alpha ? RIFF_HEAD + CHUNK_HEAD + VP8X_SIZE : RIFF_HEAD; /* VP8 and VP8L need no VP8X */
        memcpy(p, "RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0", 24);
        memcpy(p + 24, body + 6, 6); /* width - 1 and height - 1, 24 bits each */
        memcpy(p + head, body + ANMF_HEAD, inner);
        uint32_t riff = (uint32_t)(head + inner - 8);
        for (int i = 0; i < 4; i++) p[4 + i] = (uint8_t)(riff >> (8 * i));
        xy[0] = (int32_t)le24(body) * 2;
        xy[1] = (int32_t)le24(body + 3) * 2;
        *out = (ehm_bytes){p, head + inner};
        return EHM_OK;
    }
    return EHM_FAIL(err, EHM_E_FORMAT, "animated WebP without a whole first frame (%zu bytes)", n);
}

static ehm_code decode_animation(ehm_image *out, const uint8_t *data, size_t n, ehm_arena *a, ehm_err *err) {
    ehm_bytes frame = {0};
    int32_t xy[2] = {0};
    WebPBitstreamFeatures f = {0};
    EHM_TRY(first_frame(&frame, xy, data, n, a, err));
    EHM_TRY(features(&f, frame.data, frame.len, err));
    if (f.has_animation || f.width > out->w - xy[0] || f.height > out->h - xy[1])
        return EHM_FAIL(err, EHM_E_FORMAT,
                        "animated WebP whose first frame (%d x %d at %d, %d) leaves the canvas of %d x %d",
                        f.width, f.height, xy[0], xy[1], out->w, out->h);
    size_t stride = (size_t)out->w * 4, start = stride * (size_t)xy[1] + (size_t)xy[0] * 4;
    return decode_into((uint8_t *)out->px + start, stride, ehm_image_bytes(out) - start, 4, frame.data,
                       frame.len, err);
}

static ehm_code decode(ehm_image *out, double box[4], const uint8_t *data, size_t n, ehm_want *want,
                       ehm_arena *a, ehm_err *err) {
    WebPBitstreamFeatures f = {0};
    (void)box;
    EHM_TRY(features(&f, data, n, err));
    int32_t c = f.has_alpha || f.has_animation ? 4 : 3;
    EHM_TRY(ehm_want_check(want, f.width, f.height, c, EHM_U8, err));
    EHM_TRY(ehm_image_new(out, f.width, f.height, c, EHM_U8, a, err));
    if (f.has_animation) return decode_animation(out, data, n, a, err);
    return decode_into(out->px, (size_t)out->w * (size_t)c, ehm_image_bytes(out), c, data, n, err);
}

const ehm_codec ehm_codec_webp = {"webp", "libwebp", claims, probe, decode, false};
#else
const ehm_codec ehm_codec_webp = {"webp", "libwebp", claims, NULL, NULL, false};
#endif
