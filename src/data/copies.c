/* All work is done in floats of 0 to 1, so that one code serves 8 bit and float pictures of any channel count; 8 bit pictures are
 * rounded once, at the end of each change. */
#include "data/copies.h"
#include "base/rng.h"
#include "image/encode_jpeg.h"
#include <math.h>
#include <string.h>

typedef struct {
    int32_t severity;
    const ehm_image *host;
    ehm_rng *rng;
    bool is_u8;
    ehm_arena *a;
    ehm_err *err;
} job;
typedef ehm_code (*change_fn)(ehm_image *out, const ehm_image *in, const job *j); /* f32 in, f32 out */

static double of_severity(const job *j, double mild, double medium, double strong) {
    return j->severity == 1 ? mild : j->severity == 2 ? medium : strong;
}
static int32_t clamp_i32(double v, int32_t lo, int32_t hi) {
    return v < lo ? lo : v > hi ? hi : (int32_t)v;
}
static float *at(const ehm_image *im, int32_t x, int32_t y) {
    return (float *)im->px + ((int64_t)y * im->w + x) * im->c;
}
static ehm_code new_like(ehm_image *out, const ehm_image *in, int32_t w, int32_t h, const job *j) {
    return ehm_image_new(out, w, h, in->c, EHM_F32, j->a, j->err);
}

static ehm_code crop(ehm_image *out, const ehm_image *in, const job *j) {
    double share = of_severity(j, 0.65, 0.40, 0.15) * ehm_rng_uniform(j->rng, 0.9, 1.1);
    double stretch = sqrt(exp(ehm_rng_uniform(j->rng, -log(4.0 / 3), log(4.0 / 3))));
    int32_t w = clamp_i32(in->w * sqrt(share) * stretch + 0.5, in->w < 8 ? in->w : 8, in->w);
    int32_t h = clamp_i32(in->h * sqrt(share) / stretch + 0.5, in->h < 8 ? in->h : 8, in->h);
    int32_t x = (int32_t)ehm_rng_below(j->rng, (uint32_t)(in->w - w + 1)), y = (int32_t)ehm_rng_below(j->rng, (uint32_t)(in->h - h + 1));
    EHM_TRY(new_like(out, in, w, h, j));
    for (int32_t i = 0; i < h; i++) memcpy(at(out, 0, i), at(in, x, y + i), sizeof(float) * (size_t)w * (size_t)in->c);
    return EHM_OK;
}

static ehm_code resized(ehm_image *out, const ehm_image *in, int32_t w, int32_t h, const job *j) {
    EHM_TRY(new_like(out, in, w, h, j));
    return ehm_resize(out, in, NULL, EHM_RESIZE_BILINEAR, j->a, j->err);
}

static ehm_code paste(ehm_image *out, const ehm_image *in, const job *j) {
    /* The host takes the size that gives the picture its share of the area without being resampled itself, except where the
     * picture would not fit: both keep their aspects. */
    double share = of_severity(j, 0.50, 0.25, 0.12);
    double area = (double)in->w * in->h / share, aspect = (double)j->host->w / j->host->h;
    int32_t w = clamp_i32(sqrt(area * aspect) + 0.5, 1, 1 << 15), h = clamp_i32(sqrt(area / aspect) + 0.5, 1, 1 << 15);
    ehm_image small = *in;
    double fit = fmin(1, fmin((double)w / in->w, (double)h / in->h));
    if (fit < 1) EHM_TRY(resized(&small, in, clamp_i32(in->w * fit, 1, w), clamp_i32(in->h * fit, 1, h), j));
    EHM_TRY(resized(out, j->host, w, h, j));
    int32_t x = (int32_t)ehm_rng_below(j->rng, (uint32_t)(w - small.w + 1)), y = (int32_t)ehm_rng_below(j->rng, (uint32_t)(h - small.h + 1));
    for (int32_t i = 0; i < small.h; i++) memcpy(at(out, x, y + i), at(&small, 0, i), sizeof(float) * (size_t)small.w * (size_t)in->c);
    return EHM_OK;
}

static ehm_code rotate(ehm_image *out, const ehm_image *in, const job *j) {
    double degrees = of_severity(j, 10, 25, 45) * ehm_rng_uniform(j->rng, 0.7, 1.0) * (ehm_rng_below(j->rng, 2) ? 1 : -1);
    double c = cos(degrees * 3.14159265358979323846 / 180), s = sin(degrees * 3.14159265358979323846 / 180);
    double mx = (in->w - 1) / 2.0, my = (in->h - 1) / 2.0;
    EHM_TRY(new_like(out, in, in->w, in->h, j));
    for (int32_t y = 0; y < in->h; y++)
        for (int32_t x = 0; x < in->w; x++) {
            double u = mx + c * (x - mx) + s * (y - my), v = my - s * (x - mx) + c * (y - my);
            double fu = floor(u), fv = floor(v);
            float du = (float)(u - fu), dv = (float)(v - fv), *o = at(out, x, y);
            for (int32_t k = 0; k < 4; k++) {
                double xx = fu + (k & 1), yy = fv + (k >> 1);
                float weight = (k & 1 ? du : 1 - du) * (k >> 1 ? dv : 1 - dv);
                if (xx < 0 || yy < 0 || xx >= in->w || yy >= in->h) continue; /* black outside */
                const float *p = at(in, (int32_t)xx, (int32_t)yy);
                for (int32_t ch = 0; ch < in->c; ch++) o[ch] += weight * p[ch];
            }
        }
    return EHM_OK;
}

static ehm_code scale(ehm_image *out, const ehm_image *in, const job *j) {
    double f = of_severity(j, 0.5, 0.25, 0.125), least = fmin(1, 8.0 / fmin(in->w, in->h));
    if (f < least) f = least;
    return resized(out, in, clamp_i32(in->w * f + 0.5, 1, in->w), clamp_i32(in->h * f + 0.5, 1, in->h), j);
}

static void to_u8(uint8_t *dst, const float *src, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float v = src[i] * 255.0f + 0.5f;
        dst[i] = !(v > 0) ? 0 : v >= 255.0f ? 255 : (uint8_t)v;
    }
}

static ehm_code jpeg(ehm_image *out, const ehm_image *in, const job *j) {
    ehm_image bytes, back;
    ehm_bytes file;
    EHM_TRY(ehm_image_new(&bytes, in->w, in->h, in->c, EHM_U8, j->a, j->err));
    to_u8(bytes.px, in->px, (int64_t)in->w * in->h * in->c);
    EHM_TRY(ehm_jpeg_encode(&file, &bytes, (int32_t)of_severity(j, 50, 20, 7), j->a, j->err));
    EHM_TRY(ehm_image_decode(&back, file.data, file.len, NULL, j->a, j->err));
    EHM_TRY(new_like(out, in, in->w, in->h, j));
    ehm_image_to_f32(out->px, &back);
    return EHM_OK;
}

/* One direction of a separable blur; the edge pixel goes on outside. */
static void blur_lines(float *dst, const float *src, int64_t n_lines, int64_t line_step, int64_t n, int64_t step, int32_t channels, const float *weight,
                       int32_t radius) {
    for (int64_t l = 0; l < n_lines; l++)
        for (int64_t i = 0; i < n; i++)
            for (int32_t ch = 0; ch < channels; ch++) {
                float sum = 0;
                for (int32_t k = -radius; k <= radius; k++) {
                    int64_t from = i + k < 0 ? 0 : i + k >= n ? n - 1 : i + k;
                    sum += weight[k + radius] * src[l * line_step + from * step + ch];
                }
                dst[l * line_step + i * step + ch] = sum;
            }
}

static ehm_code blur(ehm_image *out, const ehm_image *in, const job *j) {
    double sigma = fmax(0.4, of_severity(j, 0.01, 0.02, 0.04) * fmin(in->w, in->h)), sum = 0;
    int32_t radius = (int32_t)ceil(3 * sigma);
    float *weight = EHM_NEW_N(j->a, float, 2 * radius + 1);
    ehm_image across;
    if (!weight) return EHM_FAIL(j->err, EHM_E_MEMORY, "no memory for a blur");
    for (int32_t k = -radius; k <= radius; k++) sum += exp(-0.5 * k * k / (sigma * sigma));
    for (int32_t k = -radius; k <= radius; k++) weight[k + radius] = (float)(exp(-0.5 * k * k / (sigma * sigma)) / sum);
    EHM_TRY(new_like(&across, in, in->w, in->h, j));
    EHM_TRY(new_like(out, in, in->w, in->h, j));
    int64_t row = (int64_t)in->w * in->c;
    blur_lines(across.px, in->px, in->h, row, in->w, in->c, in->c, weight, radius);
    blur_lines(out->px, across.px, in->w, in->c, in->h, row, in->c, weight, radius);
    return EHM_OK;
}

/* Letters of 3x5 dots, a row an octal digit, top row first: what is written matters less than that it looks like writing. */
static const uint16_t letters[26] = {025755, 065656, 034443, 065556, 074647, 074644, 034553, 055755, 072227, 011152, 055655, 044447, 057755,
                                     065555, 025552, 065644, 025563, 065655, 034216, 072222, 055557, 055552, 055775, 055255, 055222, 071247};

static void fill(ehm_image *im, int32_t x, int32_t y, int32_t w, int32_t h, const float *colour) {
    for (int32_t yy = y < 0 ? 0 : y; yy < y + h && yy < im->h; yy++)
        for (int32_t xx = x < 0 ? 0 : x; xx < x + w && xx < im->w; xx++) memcpy(at(im, xx, yy), colour, sizeof(float) * (size_t)im->c);
}

static ehm_code text(ehm_image *out, const ehm_image *in, const job *j) {
    enum { CHANNELS_MAX = 256 };
    float ink[CHANNELS_MAX], plate[CHANNELS_MAX];
    EHM_TRY(new_like(out, in, in->w, in->h, j));
    memcpy(out->px, in->px, ehm_image_bytes(in));
    for (int32_t k = 0; k < in->c && k < CHANNELS_MAX; k++) {
        plate[k] = ehm_rng_f32(j->rng);
        ink[k] = plate[k] < 0.5f ? 1 : 0;
    }
    /* Lines on plates from edge to edge until the share is covered, then a badge in a corner. */
    double share = of_severity(j, 0.07, 0.15, 0.28), covered = 0;
    int32_t dot = clamp_i32(in->h * (j->severity == 1 ? 0.008 : 0.012) + 0.5, 1, 64), line_h = 7 * dot;
    for (int32_t n = 0; covered < share && n < 16; n++) {
        int32_t y = (int32_t)ehm_rng_below(j->rng, (uint32_t)(in->h > line_h ? in->h - line_h : 1));
        fill(out, 0, y, in->w, line_h, plate);
        covered += (double)line_h / in->h;
        for (int32_t x = 2 * dot; x + 3 * dot < in->w; x += 4 * dot) {
            uint32_t k = ehm_rng_below(j->rng, 30); /* from 26 on: a space between words */
            for (int32_t b = 0; k < 26 && b < 15; b++)
                if (letters[k] >> (14 - b) & 1) fill(out, x + b % 3 * dot, y + (1 + b / 3) * dot, dot, dot, ink);
        }
    }
    int32_t side = clamp_i32(sqrt(0.25 * share * in->w * in->h), 1, in->h), corner = (int32_t)ehm_rng_below(j->rng, 4);
    int32_t x0 = corner & 1 ? in->w - side : 0, y0 = corner & 2 ? in->h - side : 0;
    fill(out, x0, y0, side, side, ink);
    fill(out, x0 + side / 4, y0 + side / 4, side - 2 * (side / 4), side - 2 * (side / 4), plate);
    return EHM_OK;
}

static ehm_code colour(ehm_image *out, const ehm_image *in, const job *j) {
    enum { CHANNELS_MAX = 256 };
    double reach = of_severity(j, 0.15, 0.30, 0.60), gain[CHANNELS_MAX];
    double brightness = 1 + ehm_rng_uniform(j->rng, -reach, reach) / 2, contrast = 1 + ehm_rng_uniform(j->rng, -reach, reach),
           saturation = 1 + ehm_rng_uniform(j->rng, -reach, reach), gamma = exp(ehm_rng_uniform(j->rng, -reach, reach));
    for (int32_t k = 0; k < CHANNELS_MAX; k++) gain[k] = k < in->c ? 1 + ehm_rng_uniform(j->rng, -reach, reach) / 2 : 1;
    int64_t n = (int64_t)in->w * in->h;
    double grey_mean = 0;
    EHM_TRY(new_like(out, in, in->w, in->h, j));
    const float *p = in->px;
    float *o = out->px;
    for (int64_t i = 0; i < n * in->c; i++) grey_mean += (double)p[i];
    grey_mean /= (double)(n * in->c);
    for (int64_t i = 0; i < n; i++) {
        double grey = 0;
        for (int32_t k = 0; k < in->c; k++) grey += (double)p[i * in->c + k] / in->c;
        for (int32_t k = 0; k < in->c; k++) {
            double v = grey + saturation * ((double)p[i * in->c + k] - grey);
            v = (grey_mean + contrast * (v - grey_mean)) * brightness * (k < CHANNELS_MAX ? gain[k] : 1);
            v = v < 0 ? 0 : v > 1 ? 1 : v;
            o[i * in->c + k] = (float)pow(v, gamma);
        }
    }
    return EHM_OK;
}

static ehm_code mirror(ehm_image *out, const ehm_image *in, const job *j) {
    EHM_TRY(new_like(out, in, in->w, in->h, j));
    for (int32_t y = 0; y < in->h; y++)
        for (int32_t x = 0; x < in->w; x++) memcpy(at(out, x, y), at(in, in->w - 1 - x, y), sizeof(float) * (size_t)in->c);
    return EHM_OK;
}

static ehm_code mixed(ehm_image *out, const ehm_image *in, const job *j);

static const struct {
    const char *name;
    change_fn change;
    int32_t n_severities;
    bool needs_host;
} kinds[] = {{"crop", crop, 3, false}, {"paste", paste, 3, true}, {"rotate", rotate, 3, false}, {"scale", scale, 3, false},   {"jpeg", jpeg, 3, false},
             {"blur", blur, 3, false}, {"text", text, 3, false},  {"colour", colour, 3, false}, {"mirror", mirror, 1, false}, {"mixed", mixed, 3, true}};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* To 8 bits and back, so that each change starts from what a file would have held. */
static void settle(ehm_image *im, const job *j) {
    float *p = im->px;
    for (int64_t i = 0; j->is_u8 && i < (int64_t)im->w * im->h * im->c; i++) {
        uint8_t b;
        to_u8(&b, &p[i], 1);
        p[i] = (float)b / 255.0f;
    }
}

static ehm_code mixed(ehm_image *out, const ehm_image *in, const job *j) {
    int32_t order[N_KINDS], n = 0, wanted = j->severity + 1;
    for (int32_t k = 0; k < N_KINDS; k++)
        if (kinds[k].change != mixed && !ehm_copy_impossible(k, in->c)) order[n++] = k;
    ehm_rng_shuffle_i32(j->rng, order, n);
    *out = *in;
    for (int32_t i = 0; i < wanted; i++) {
        ehm_image before = *out;
        job one = *j;
        one.severity = j->severity > 1 ? 2 : 1;
        EHM_TRY(kinds[order[i]].change(out, &before, &one));
        settle(out, j);
    }
    return EHM_OK;
}

int32_t ehm_copy_n_kinds(void) { return N_KINDS; }
const char *ehm_copy_name(int32_t kind) { return kinds[kind].name; }
int32_t ehm_copy_find(const char *name) {
    for (int32_t k = 0; k < N_KINDS; k++)
        if (!strcmp(kinds[k].name, name)) return k;
    return -1;
}
int32_t ehm_copy_n_severities(int32_t kind) { return kinds[kind].n_severities; }
bool ehm_copy_needs_host(int32_t kind) { return kinds[kind].needs_host; }
const char *ehm_copy_impossible(int32_t kind, int32_t channels) {
    if (kinds[kind].change != jpeg) return NULL;
    if (!ehm_jpeg_can_encode()) return "this build has no libjpeg";
    return channels == 1 || channels == 3 ? NULL : "JPEG holds 1 or 3 channels";
}

static ehm_code as_f32(ehm_image *out, const ehm_image *in, ehm_arena *a, ehm_err *err) {
    if (in->type == EHM_F32) return *out = *in, EHM_OK;
    EHM_TRY(ehm_image_new(out, in->w, in->h, in->c, EHM_F32, a, err));
    ehm_image_to_f32(out->px, in);
    return EHM_OK;
}

ehm_code ehm_copy_make(ehm_image *out, const ehm_image *in, int32_t kind, int32_t severity, const ehm_image *host, uint64_t seed,
                       int64_t picture, ehm_arena *a, ehm_err *err) {
    ehm_image from, made, other = {0};
    if (kind < 0 || kind >= N_KINDS) return EHM_FAIL(err, EHM_E_ARG, "copy of kind %d, but there are %d", kind, N_KINDS);
    if (severity < 1 || severity > kinds[kind].n_severities)
        return EHM_FAIL(err, EHM_E_ARG, "%s has severities 1 to %d, not %d", kinds[kind].name, kinds[kind].n_severities, severity);
    if ((in->type != EHM_U8 && in->type != EHM_F32) || in->w < 1 || in->h < 1 || in->c < 1 || in->c > 256)
        return EHM_FAIL(err, EHM_E_ARG, "a picture of %dx%dx%d %s cannot be copied", in->w, in->h, in->c, ehm_dtype_name(in->type));
    if (kinds[kind].needs_host && (!host || host->c != in->c || (host->type != EHM_U8 && host->type != EHM_F32) || host->w < 1 || host->h < 1))
        return EHM_FAIL(err, EHM_E_ARG, "%s needs another picture of %d channels", kinds[kind].name, in->c);
    const char *why = ehm_copy_impossible(kind, in->c);
    if (why) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "copies of kind %s cannot be made: %s", kinds[kind].name, why);
    /* Kind and severity stand where other purposes have the epoch: each copy has draws of its own. */
    ehm_rng rng = ehm_rng_of(seed, EHM_RNG_copies, (uint32_t)(kind * 16 + severity), (uint64_t)picture);
    job j = {.severity = severity, .rng = &rng, .is_u8 = in->type == EHM_U8, .a = a, .err = err};
    EHM_TRY(as_f32(&from, in, a, err));
    if (kinds[kind].needs_host) {
        EHM_TRY(as_f32(&other, host, a, err));
        j.host = &other;
    }
    EHM_TRY(kinds[kind].change(&made, &from, &j));
    if (!j.is_u8) return *out = made, EHM_OK;
    EHM_TRY(ehm_image_new(out, made.w, made.h, made.c, EHM_U8, a, err));
    to_u8(out->px, made.px, (int64_t)made.w * made.h * made.c);
    return EHM_OK;
}
