/* Masks from filtered noise (ColorMAE, Hinojosa et al. 2024): white noise through Gaussians, the largest
 * values stay visible. The published masks come from a stored bank of patterns and share a crop and a flip
 * within a batch; these are drawn for each picture. */
#include "mask/pick_int.h"
#include <math.h>

enum { GREEN, RED, BLUE, PURPLE }; /* as in args */
/* The widths are not published: in patches, chosen so that visible regions are a few patches (green) or large
 * (red). */
#define RED_SIGMA 1.0
#define BLUE_SIGMA 1.0
static const double band[][2] = {[GREEN] = {1.0, 2.0}, [PURPLE] = {0.5, 2.0}};
enum { RADIUS_MAX = 8 }; /* four deviations of the widest */

typedef struct {
    int64_t h, w;
    double *v;
} field;

/* weight [2r+1], sums to 1; r = round(4 sigma). */
static int32_t gaussian(double weight[2 * RADIUS_MAX + 1], double sigma) {
    int32_t r = (int32_t)(4 * sigma + 0.5);
    double sum = 0;
    for (int32_t i = -r; i <= r; i++) sum += weight[i + r] = exp(-0.5 * i * i / (sigma * sigma));
    for (int32_t i = 0; i <= 2 * r; i++) weight[i] /= sum;
    return r;
}

/* to [gh,gw] += sign * (noise blurred); the noise is RADIUS_MAX wider on each side, so there are no edges.
 * rows [noise.h, gw]. */
static void add_blurred(field to, double sign, double sigma, field noise, double *rows) {
    double weight[2 * RADIUS_MAX + 1];
    int32_t r = gaussian(weight, sigma);
    for (int64_t y = 0; y < noise.h; y++)
        for (int64_t x = 0; x < to.w; x++) {
            const double *from = noise.v + y * noise.w + x + RADIUS_MAX - r;
            double sum = 0;
            for (int32_t i = 0; i <= 2 * r; i++) sum += weight[i] * from[i];
            rows[y * to.w + x] = sum;
        }
    for (int64_t y = 0; y < to.h; y++)
        for (int64_t x = 0; x < to.w; x++) {
            double sum = 0;
            for (int32_t i = 0; i <= 2 * r; i++) sum += weight[i] * rows[(y + RADIUS_MAX - r + i) * to.w + x];
            to.v[y * to.w + x] += sign * sum;
        }
}

static void add_white(field to, field noise) {
    for (int64_t y = 0; y < to.h; y++)
        for (int64_t x = 0; x < to.w; x++)
            to.v[y * to.w + x] += noise.v[(y + RADIUS_MAX) * noise.w + x + RADIUS_MAX];
}

static void filter(field to, int32_t colour, field noise, double *rows) {
    switch (colour) {
    case RED: add_blurred(to, 1, RED_SIGMA, noise, rows); break;
    case GREEN:
        add_blurred(to, 1, band[GREEN][0], noise, rows);
        add_blurred(to, -1, band[GREEN][1], noise, rows);
        break;
    case BLUE:
        add_white(to, noise);
        add_blurred(to, -1, BLUE_SIGMA, noise, rows);
        break;
    default: /* purple: all but a green band */
        add_white(to, noise);
        add_blurred(to, -1, band[PURPLE][0], noise, rows);
        add_blurred(to, 1, band[PURPLE][1], noise, rows);
    }
}

static ehm_code color_draw(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    int32_t n = in->grid_h * in->grid_w, colour;
    ehm_rng rng = in->rng;
    EHM_TRY(ehm_mask_arg(&colour, &ehm_mask_rule_color, in->arg, err));
    field noise = {.h = (int64_t)in->grid_h + 2 * RADIUS_MAX, .w = (int64_t)in->grid_w + 2 * RADIUS_MAX},
          to = {.h = in->grid_h, .w = in->grid_w};
    noise.v = EHM_NEW_N(scratch, double, noise.h *noise.w);
    to.v = EHM_NEW_N(scratch, double, n);
    double *rows = EHM_NEW_N(scratch, double, noise.h *to.w);
    float *hidden_first = EHM_NEW_N(scratch, float, n);
    if (!noise.v || !to.v || !rows || !hidden_first)
        return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for noise of %d patches", (int)n);
    for (int32_t v = 0; v < in->n_views; v++) {
        for (int64_t i = 0; i < noise.h * noise.w; i++) noise.v[i] = ehm_rng_normal(&rng);
        for (int32_t i = 0; i < n; i++) to.v[i] = 0;
        filter(to, colour, noise, rows);
        for (int32_t i = 0; i < n; i++) hidden_first[i] = (float)-to.v[i]; /* the largest stay visible */
        EHM_TRY(ehm_mask_from_noise(&out[v], hidden_first, n, in->n_masked, scratch, err));
    }
    return EHM_OK;
}

const ehm_mask_rule ehm_mask_rule_color = {
    .name = "color",
    .summary = "blobs from filtered noise, without a look at the picture",
    .source = "ColorMAE, Hinojosa et al. 2024; the filters' widths are ours",
    .args = "green|red|blue|purple",
    .details = "green: noise in the band between Gaussians of 1 and 2 patches, regions of a few patches; "
               "red: blurred (1), large regions; blue: noise less its blur (1), finer than random; purple: "
               "all but the band between 0.5 and 2. The largest values stay visible. Drawn for each "
               "picture, not taken from a stored bank.",
    .draw = color_draw,
};
