/* Channel counts and number types. The integer formulas are Pillow's, so that numbers equal what papers'
 * pipelines saw. */
#include "image/image_int.h"
#include <string.h>

/* ITU-R 601-2 luma in 16 bit fixed point: 0.299, 0.587, 0.114. */
static uint32_t luma(uint32_t r, uint32_t g, uint32_t b) {
    return (uint32_t)(((uint64_t)r * 19595 + (uint64_t)g * 38470 + (uint64_t)b * 7471 + 0x8000) >> 16);
}

/* Pillow: v = 255 - k - c * (255 - k) / 255, cut to 0..255. */
void ehm_cmyk_to_rgb(uint8_t *dst, const uint8_t *src, size_t n, bool inverted) {
    uint8_t flip = inverted ? 255 : 0;
    for (size_t i = 0; i < n; i++, dst += 3, src += 4) {
        uint32_t free_of_black = 255u - (src[3] ^ flip);
        for (int c = 0; c < 3; c++) {
            uint32_t ink = ehm_muldiv255(src[c] ^ flip, free_of_black);
            dst[c] = (uint8_t)(ink < free_of_black ? free_of_black - ink : 0);
        }
    }
}

/* How one pixel goes over: colours first (in 1 or 3, out 1 or 3), then alpha. */
typedef struct { int32_t in_c, out_c, in_colours, out_colours; bool in_alpha, out_alpha, white; } plan;

static void convert_u8(uint8_t *d, const uint8_t *s, size_t n, const plan *p) {
    for (size_t i = 0; i < n; i++, d += p->out_c, s += p->in_c) {
        uint32_t v[3], alpha = p->in_alpha ? s[p->in_c - 1] : 255;
        for (int32_t c = 0; c < 3; c++) v[c] = s[p->in_colours == 3 ? c : 0];
        for (int32_t c = 0; p->white && c < 3; c++) v[c] = ehm_muldiv255(v[c], alpha) + 255 - alpha;
        if (p->out_colours == 1) d[0] = (uint8_t)(p->in_colours == 1 ? v[0] : luma(v[0], v[1], v[2]));
        else for (int32_t c = 0; c < 3; c++) d[c] = (uint8_t)v[c];
        if (p->out_alpha) d[p->out_c - 1] = (uint8_t)alpha;
    }
}

static void convert_u16(uint16_t *d, const uint16_t *s, size_t n, const plan *p) {
    for (size_t i = 0; i < n; i++, d += p->out_c, s += p->in_c) {
        uint32_t v[3], alpha = p->in_alpha ? s[p->in_c - 1] : 65535;
        for (int32_t c = 0; c < 3; c++) v[c] = s[p->in_colours == 3 ? c : 0];
        for (int32_t c = 0; p->white && c < 3; c++)
            v[c] = (uint32_t)(((uint64_t)v[c] * alpha + 32767) / 65535) + 65535 - alpha;
        if (p->out_colours == 1) d[0] = (uint16_t)(p->in_colours == 1 ? v[0] : luma(v[0], v[1], v[2]));
        else for (int32_t c = 0; c < 3; c++) d[c] = (uint16_t)v[c];
        if (p->out_alpha) d[p->out_c - 1] = (uint16_t)alpha;
    }
}

static void convert_f32(float *d, const float *s, size_t n, const plan *p) {
    for (size_t i = 0; i < n; i++, d += p->out_c, s += p->in_c) {
        float v[3], alpha = p->in_alpha ? s[p->in_c - 1] : 1.0f;
        for (int32_t c = 0; c < 3; c++) v[c] = s[p->in_colours == 3 ? c : 0];
        for (int32_t c = 0; p->white && c < 3; c++) v[c] = v[c] * alpha + (1.0f - alpha);
        if (p->out_colours == 1)
            d[0] = p->in_colours == 1 ? v[0] : 0.299f * v[0] + 0.587f * v[1] + 0.114f * v[2];
        else
            for (int32_t c = 0; c < 3; c++) d[c] = v[c];
        if (p->out_alpha) d[p->out_c - 1] = alpha;
    }
}

static plan plan_of(int32_t in_c, int32_t out_c, const char *alpha) {
    plan p = {.in_c = in_c, .out_c = out_c};
    p.in_colours = in_c >= 3 ? 3 : 1;
    p.out_colours = out_c >= 3 ? 3 : 1;
    p.in_alpha = in_c == 2 || in_c == 4;
    p.out_alpha = out_c == 2 || out_c == 4;
    p.white = p.in_alpha && !p.out_alpha && !strcmp(alpha, "white");
    return p;
}

ehm_code ehm_image_channels(ehm_image *out, const ehm_image *in, int32_t channels, const char *alpha,
                            ehm_arena *a, ehm_err *err) {
    ehm_image im;
    if (!alpha) alpha = "drop";
    if (strcmp(alpha, "drop") && strcmp(alpha, "keep") && strcmp(alpha, "white"))
        return EHM_FAIL(err, EHM_E_ARG, "alpha \"%s\" is none of drop, keep, white", alpha);
    if (in->c == channels) {
        *out = *in;
        return EHM_OK;
    }
    bool meaningful = in->c >= 1 && in->c <= 4 && channels >= 1 && channels <= 4;
    bool invents_alpha =
        (channels == 2 || channels == 4) && in->c != 2 && in->c != 4 && strcmp(alpha, "keep") != 0;
    if (!meaningful || invents_alpha) {
        ehm_code rc =
            EHM_FAIL(err, EHM_E_ARG, "a picture of %d channels cannot become one of %d", in->c, channels);
        if (invents_alpha) EHM_HINT(err, "--alpha keep makes pictures without alpha opaque");
        return rc;
    }
    EHM_TRY(ehm_image_new(&im, in->w, in->h, channels, in->type, a, err));
    plan p = plan_of(in->c, channels, alpha);
    size_t n = (size_t)in->w * (size_t)in->h;
    if (in->type == EHM_U8) convert_u8(im.px, in->px, n, &p);
    else if (in->type == EHM_U16) convert_u16(im.px, in->px, n, &p);
    else convert_f32(im.px, in->px, n, &p);
    *out = im;
    return EHM_OK;
}

void ehm_image_to_f32(float *dst, const ehm_image *in) {
    size_t n = (size_t)in->w * (size_t)in->h * (size_t)in->c;
    const uint8_t *p8 = in->px;
    const uint16_t *p16 = in->px;
    if (in->type == EHM_U8) for (size_t i = 0; i < n; i++) dst[i] = (float)p8[i] / 255.0f;
    else if (in->type == EHM_U16) for (size_t i = 0; i < n; i++) dst[i] = (float)p16[i] / 65535.0f;
    else memcpy(dst, in->px, n * sizeof(float));
}
