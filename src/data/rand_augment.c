/* RandAugment (Cubuk et al. 2020) with the operations, levels and defaults of timm 1.0's "rand-mM-nN-mstdS-inc1":
 * n operations drawn with replacement, each carried out with probability 0.5 at a magnitude drawn from
 * normal(M, S), held between 0 and 10.
 *
 * Pixels are those of Pillow, whose formulas these are, down to where it cuts and where it rounds. Fixed here: what
 * comes into the picture from outside is (128, 128, 128), timm's default, and turned, sheared and shifted pictures are
 * sampled bilinearly; timm takes bilinear or bicubic at random.
 */
#include "data/rand_augment_int.h"
#include <math.h>
#include <string.h>

enum { FILL = 128 };

static const char *const names[] = {
#define RA_OP(name) #name,
#include "data/rand_augment.def"
#undef RA_OP
};
const char *ehm_ra_name(int32_t op) { return op >= 0 && op < EHM_RA_N ? names[op] : NULL; }

static size_t n_pixels(const ehm_image *img) { return (size_t)img->w * (size_t)img->h; }

/* ---- tables of values ---- */
typedef struct {
    uint8_t v[3][256];
} lut;

static void histogram(int64_t n[3][256], const ehm_image *img) {
    memset(n, 0, 3 * sizeof n[0]);
    const uint8_t *p = img->px;
    for (size_t i = 0; i < n_pixels(img); i++)
        for (int32_t k = 0; k < 3; k++) n[k][*p++]++;
}

static void look_up(ehm_image *img, const lut *t) {
    uint8_t *p = img->px;
    for (size_t i = 0; i < n_pixels(img); i++)
        for (int32_t k = 0; k < 3; k++, p++) *p = t->v[k][*p];
}

static void look_up_same(ehm_image *img, const uint8_t *table) {
    uint8_t *p = img->px;
    for (size_t i = 0; i < 3 * n_pixels(img); i++) p[i] = table[p[i]];
}

static uint8_t clip8(double v) { return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v); } /* cuts the fraction */

static void auto_contrast(ehm_image *img) {
    int64_t n[3][256];
    lut t;
    histogram(n, img);
    for (int32_t k = 0; k < 3; k++) {
        int32_t lo = 0, hi = 255;
        while (lo < 255 && !n[k][lo]) lo++;
        while (hi > 0 && !n[k][hi]) hi--;
        double scale = hi > lo ? 255.0 / (hi - lo) : 1, offset = hi > lo ? -lo * scale : 0;
        for (int32_t i = 0; i < 256; i++) t.v[k][i] = clip8(i * scale + offset);
    }
    look_up(img, &t);
}

static void equalize(ehm_image *img) {
    int64_t n[3][256];
    lut t;
    histogram(n, img);
    for (int32_t k = 0; k < 3; k++) {
        int64_t sum = 0, last = 0, n_used = 0;
        for (int32_t i = 0; i < 256; i++)
            if (n[k][i]) sum += n[k][i], last = n[k][i], n_used++;
        int64_t step = n_used > 1 ? (sum - last) / 255 : 0, at = step / 2;
        for (int32_t i = 0; i < 256; i++) {
            t.v[k][i] = (uint8_t)(step ? (at / step > 255 ? 255 : at / step) : i);
            at += n[k][i];
        }
    }
    look_up(img, &t);
}

/* No bits at level 10: black, which timm asks for and Pillow gave until version 13 refused it. */
static void posterize(ehm_image *img, int32_t bits) {
    uint8_t mask = (uint8_t)~((1 << (8 - bits)) - 1), *p = img->px;
    for (size_t i = 0; i < 3 * n_pixels(img); i++) p[i] &= mask;
}

/* Inverts what is not below the threshold; 0 inverts all. */
static void solarize(ehm_image *img, int32_t threshold) {
    uint8_t t[256];
    for (int32_t i = 0; i < 256; i++) t[i] = (uint8_t)(i < threshold ? i : 255 - i);
    look_up_same(img, t);
}

static void solarize_add(ehm_image *img, int32_t add) {
    uint8_t t[256];
    for (int32_t i = 0; i < 256; i++) t[i] = (uint8_t)(i < 128 ? (i + add > 255 ? 255 : i + add) : i);
    look_up_same(img, t);
}

/* ---- enhancements ---- */

/* from + factor * (to - from) in float, the fraction cut; between 0 and 1 nothing can leave the range. */
static uint8_t blend(int32_t from, int32_t to, float factor) {
    float v = (float)from + factor * (float)(to - from);
    return (uint8_t)(v <= 0 ? 0 : v >= 255 ? 255 : v);
}

static ehm_code grey_of(ehm_image *out, const ehm_image *img, ehm_arena *scratch, ehm_err *err) {
    return ehm_image_channels(out, img, 1, NULL, scratch, err);
}

ehm_code ehm_enhance_color(ehm_image *img, double factor, ehm_arena *scratch, ehm_err *err) {
    ehm_image grey;
    if (img->c == 1) return EHM_OK;
    EHM_TRY(grey_of(&grey, img, scratch, err));
    const uint8_t *g = grey.px;
    uint8_t *p = img->px;
    for (size_t i = 0; i < n_pixels(img); i++)
        for (int32_t k = 0; k < 3; k++, p++) *p = blend(g[i], *p, (float)factor);
    return EHM_OK;
}

ehm_code ehm_enhance_contrast(ehm_image *img, double factor, ehm_arena *scratch, ehm_err *err) {
    ehm_image grey;
    EHM_TRY(grey_of(&grey, img, scratch, err));
    int64_t sum = 0;
    const uint8_t *g = grey.px;
    for (size_t i = 0; i < n_pixels(img); i++) sum += g[i];
    int32_t mean = (int32_t)((double)sum / (double)n_pixels(img) + 0.5);
    uint8_t *p = img->px;
    for (size_t i = 0; i < ehm_image_bytes(img); i++) p[i] = blend(mean, p[i], (float)factor);
    return EHM_OK;
}

void ehm_enhance_brightness(ehm_image *img, double factor) {
    uint8_t *p = img->px;
    for (size_t i = 0; i < ehm_image_bytes(img); i++) p[i] = blend(0, p[i], (float)factor);
}

/* From the picture smoothed by (1 1 1; 1 5 1; 1 1 1) / 13, which leaves the outermost pixels as they are. */
static ehm_code sharpness(ehm_image *img, double factor, ehm_arena *scratch, ehm_err *err) {
    ehm_image from;
    if (img->w < 3 || img->h < 3) return EHM_OK;
    EHM_TRY(ehm_image_new(&from, img->w, img->h, 3, EHM_U8, scratch, err));
    memcpy(from.px, img->px, ehm_image_bytes(img));
    size_t row = (size_t)img->w * 3;
    const uint8_t *in = from.px;
    uint8_t *out = img->px;
    for (size_t y = 1; y + 1 < (size_t)img->h; y++)
        for (size_t i = y * row + 3; i < (y + 1) * row - 3; i++) {
            int32_t sum = 4 * in[i];
            for (size_t j = i - row; j <= i + row; j += row) sum += in[j - 3] + in[j] + in[j + 3];
            out[i] = blend((2 * sum + 13) / 26, in[i], (float)factor); /* sum / 13 rounded: 13 is odd, no ties */
        }
    return EHM_OK;
}

/* ---- turned, sheared, shifted ---- */

static int32_t clamp(int32_t v, int32_t n) { return v < 0 ? 0 : v >= n ? n - 1 : v; }

/* The pixel at x,y of the result is the one at m (x+.5, y+.5, 1) of the picture; the fraction is cut. */
static ehm_code affine(ehm_image *img, const double m[6], ehm_arena *scratch, ehm_err *err) {
    ehm_image from;
    EHM_TRY(ehm_image_new(&from, img->w, img->h, 3, EHM_U8, scratch, err));
    memcpy(from.px, img->px, ehm_image_bytes(img));
    memset(img->px, FILL, ehm_image_bytes(img));
    const uint8_t *in = from.px;
    uint8_t *out = img->px;
    int32_t w = img->w, h = img->h;
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++, out += 3) {
            double u = m[0] * (x + 0.5) + m[1] * (y + 0.5) + m[2], v = m[3] * (x + 0.5) + m[4] * (y + 0.5) + m[5];
            if (!(u >= 0 && u < w && v >= 0 && v < h)) continue;
            u -= 0.5, v -= 0.5;
            int32_t ix = (int32_t)floor(u), iy = (int32_t)floor(v);
            double dx = u - ix, dy = v - iy;
            const uint8_t *a = in + (size_t)clamp(iy, h) * (size_t)w * 3,
                          *b = in + (size_t)clamp(iy + 1, h) * (size_t)w * 3;
            int32_t x0 = clamp(ix, w) * 3, x1 = clamp(ix + 1, w) * 3;
            for (int32_t k = 0; k < 3; k++) {
                double p = a[x0 + k] + ((double)a[x1 + k] - a[x0 + k]) * dx,
                       q = b[x0 + k] + ((double)b[x1 + k] - b[x0 + k]) * dx;
                out[k] = (uint8_t)(p + (q - p) * dy);
            }
        }
    return EHM_OK;
}

/* Fifteen decimals, as Pillow has them: a turn by nothing moves nothing. */
static double decimals15(double v) { return rint(v * 1e15) / 1e15; }

static ehm_code rotate(ehm_image *img, double degrees, ehm_arena *scratch, ehm_err *err) {
    if (degrees == 0) return EHM_OK;
    double angle = fmod(degrees, 360.0);
    if (angle < 0) angle += 360.0; /* Python's sign, and its roundings */
    angle = -(angle * (3.141592653589793238463 / 180.0));
    double c = decimals15(cos(angle)), s = decimals15(sin(angle)), cx = img->w / 2.0, cy = img->h / 2.0;
    double m[6] = {c, s, 0, decimals15(-sin(angle)), c, 0};
    m[2] = m[0] * -cx + m[1] * -cy + cx;
    m[5] = m[3] * -cx + m[4] * -cy + cy;
    return affine(img, m, scratch, err);
}

/* ---- operations ---- */

double ehm_ra_arg(int32_t op, double level, bool negate) {
    double t = level / 10, sign = negate ? -1 : 1, factor;
    switch (op) {
    case EHM_RA_Rotate: return sign * (t * 30);
    case EHM_RA_PosterizeIncreasing: return 4 - (int32_t)(t * 4);
    case EHM_RA_SolarizeIncreasing: return 256 - ((int32_t)(t * 256) > 256 ? 256 : (int32_t)(t * 256));
    case EHM_RA_SolarizeAdd: return (int32_t)(t * 110) > 128 ? 128 : (int32_t)(t * 110);
    case EHM_RA_ColorIncreasing:
    case EHM_RA_ContrastIncreasing:
    case EHM_RA_BrightnessIncreasing:
    case EHM_RA_SharpnessIncreasing: factor = 1 + sign * (t * .9); return factor < 0.1 ? 0.1 : factor;
    case EHM_RA_ShearX:
    case EHM_RA_ShearY: return sign * (t * 0.3);
    case EHM_RA_TranslateXRel:
    case EHM_RA_TranslateYRel: return sign * (t * 0.45);
    default: return 0;
    }
}

ehm_code ehm_ra_apply(ehm_image *img, int32_t op, double arg, ehm_arena *scratch, ehm_err *err) {
    switch (op) {
    case EHM_RA_AutoContrast: auto_contrast(img); return EHM_OK;
    case EHM_RA_Equalize: equalize(img); return EHM_OK;
    case EHM_RA_Invert: solarize(img, 0); return EHM_OK;
    case EHM_RA_Rotate: return rotate(img, arg, scratch, err);
    case EHM_RA_PosterizeIncreasing: posterize(img, (int32_t)arg); return EHM_OK;
    case EHM_RA_SolarizeIncreasing: solarize(img, (int32_t)arg); return EHM_OK;
    case EHM_RA_SolarizeAdd: solarize_add(img, (int32_t)arg); return EHM_OK;
    case EHM_RA_ColorIncreasing: return ehm_enhance_color(img, arg, scratch, err);
    case EHM_RA_ContrastIncreasing: return ehm_enhance_contrast(img, arg, scratch, err);
    case EHM_RA_BrightnessIncreasing: ehm_enhance_brightness(img, arg); return EHM_OK;
    case EHM_RA_SharpnessIncreasing: return sharpness(img, arg, scratch, err);
    case EHM_RA_ShearX: return affine(img, (double[6]){1, arg, 0, 0, 1, 0}, scratch, err);
    case EHM_RA_ShearY: return affine(img, (double[6]){1, 0, 0, arg, 1, 0}, scratch, err);
    case EHM_RA_TranslateXRel: return affine(img, (double[6]){1, 0, arg * img->w, 0, 1, 0}, scratch, err);
    case EHM_RA_TranslateYRel: return affine(img, (double[6]){1, 0, 0, 0, 1, arg * img->h}, scratch, err);
    default: return EHM_FAIL(err, EHM_E_ARG, "RandAugment has %d operations, not number %d", EHM_RA_N, op);
    }
}

ehm_code ehm_rand_augment(ehm_image *img, int32_t n_ops, double magnitude, double magnitude_std, ehm_rng *rng,
                          ehm_arena *scratch, ehm_err *err) {
    if (img->type != EHM_U8 || img->c != 3)
        return EHM_FAIL(err, EHM_E_ARG, "RandAugment is for RGB pictures of 8 bits, not for %d channels of %s",
                        img->c, ehm_dtype_name(img->type));
    for (int32_t i = 0; i < n_ops; i++) {
        /* Each operation takes the same draws whether it is carried out or not. */
        int32_t op = (int32_t)ehm_rng_below(rng, EHM_RA_N);
        bool done = ehm_rng_f64(rng) < 0.5, negate = ehm_rng_f64(rng) < 0.5;
        double level = magnitude + magnitude_std * ehm_rng_normal(rng);
        level = level < 0 ? 0 : level > 10 ? 10 : level;
        if (done) EHM_TRY(ehm_ra_apply(img, op, ehm_ra_arg(op, level, negate), scratch, err));
    }
    return EHM_OK;
}
