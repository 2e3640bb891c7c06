/* How coarse masks are at which progress. */
#include "mask/tree_mask_int.h"
#include <math.h>

static double clamp01(double u) { return u > 0 ? u < 1 ? u : 1 : 0; } /* NaN is 0 */
static int32_t clamp_nodes(int64_t k, int32_t n) { return k < 1 ? 1 : k > n ? n : (int32_t)k; }

/* A masked set of ten nodes' worth has 7 or 8 of them at ratio 0.75 and 2 or 3 visible: with fewer than
 * about 2.5 on the smaller side nearly all of a mask would be decided by one node. */
int32_t ehm_mask_k_end(const ehm_mask_settings *s, int32_t n) {
    s = ehm_mask_settings_or(s);
    if (!EHM_IS_AUTO(s->k_end)) return clamp_nodes(s->k_end, n);
    double smaller = fmin(s->mask_ratio, 1 - s->mask_ratio),
           by_ratio = smaller > 0 ? fmin(round(2.5 / smaller), n) : n;
    int64_t k = by_ratio > 4 ? (int64_t)by_ratio : 4, most = n / 4 > 2 ? n / 4 : 2;
    if (k > most) k = most;
    if (!EHM_IS_AUTO(s->k_start) && k > s->k_start) k = s->k_start;
    return clamp_nodes(k, n);
}

int32_t ehm_mask_k_start(const ehm_mask_settings *s, int32_t n) {
    s = ehm_mask_settings_or(s);
    if (!EHM_IS_AUTO(s->k_start)) return clamp_nodes(s->k_start, n);
    return s->k_start_share > 0 ? clamp_nodes(llround(s->k_start_share * n), n) : n;
}

double ehm_mask_level_of(const ehm_mask_settings *s, double u) {
    u = clamp01(u);
    switch (s->schedule) {
    case EHM_SCHEDULE_SQRT: return sqrt(u);
    case EHM_SCHEDULE_COSINE: return (1 - cos(3.14159265358979323846 * u)) / 2;
    case EHM_SCHEDULE_FIXED: return 1;
    case EHM_SCHEDULE_REVERSED: return 1 - u;
    default: return u;
    }
}

int32_t ehm_mask_nodes_at(const ehm_mask_settings *s, int32_t n, double u) {
    s = ehm_mask_settings_or(s);
    double a = ehm_mask_k_start(s, n), b = ehm_mask_k_end(s, n), w = ehm_mask_level_of(s, u);
    bool geometric = s->schedule == EHM_SCHEDULE_GEOMETRIC || s->schedule == EHM_SCHEDULE_REVERSED;
    if (b > a) b = a;
    /* As one exponential, not as a product of two powers: each step of it is monotone in w. */
    double k = geometric ? exp2(log2(a) + w * (log2(b) - log2(a))) : a + (b - a) * w;
    return clamp_nodes((int64_t)round(k), n);
}

bool ehm_mask_all_leaves(const ehm_mask_settings *s, int32_t n, double u) {
    double least = s->mix_levels ? 0 : (1 - s->k_jitter) * u;
    if (n == 1) return true;
    if (s->cut == EHM_CUT_DEPTH) return ehm_mask_level_of(s, least) <= 0 && ehm_mask_level_of(s, u) <= 0;
    return ehm_mask_nodes_at(s, n, least) == n && ehm_mask_nodes_at(s, n, u) == n; /* K(u) is monotone */
}

void ehm_mask_draw_level(double *u, double *rounding, const ehm_mask_in *in) {
    const ehm_mask_settings *s = ehm_mask_settings_or(in->settings);
    ehm_rng rng = ehm_rng_of(in->seed, EHM_RNG_mask_level, in->epoch, in->sample);
    double now = clamp01((double)in->progress_frac);
    *u = now - now * (s->mix_levels ? 1 : s->k_jitter) * ehm_rng_f64(&rng);
    *rounding = ehm_rng_f64(&rng);
}
