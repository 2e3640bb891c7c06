#include "eval/retrieve.h"
#include <math.h>
#include <stdlib.h>

static int by_similarity(const void *a, const void *b) {
    const ehm_match_pair *x = a, *y = b;
    if (x->sim != y->sim) return x->sim < y->sim ? 1 : -1;
    return (x->q > y->q) - (x->q < y->q);
}

/* Positions of patches as complex numbers; a mirror is the conjugate of the query's (x to -x, up to a shift). */
typedef struct { float x, y; } point;
static point of(int32_t patch, ehm_grid g) {
    return (point){(float)(patch % g.w), (float)(patch / g.w)};
}

ehm_match ehm_match_patches(const float *sim, int64_t row_step, ehm_grid gq, ehm_grid gr, ehm_match_pair *pairs, int32_t *best_q) {
    int32_t nq = gq.h * gq.w, nr = gr.h * gr.w, n = 0;
    ehm_match out = {.scale = 1};
    for (int32_t j = 0; j < nr; j++) best_q[j] = 0;
    for (int32_t i = 1; i < nq; i++) {
        const float *s = sim + i * row_step;
        for (int32_t j = 0; j < nr; j++)
            if (s[j] > sim[best_q[j] * row_step + j]) best_q[j] = i;
    }
    for (int32_t i = 0; i < nq; i++) {
        const float *s = sim + i * row_step;
        int32_t best = 0;
        for (int32_t j = 1; j < nr; j++)
            if (s[j] > s[best]) best = j;
        if (best_q[best] == i) pairs[n++] = (ehm_match_pair){i, best, s[best]};
    }
    out.n_matches = n;
    out.n_inliers = n < 2 ? n : 0;
    qsort(pairs, (size_t)n, sizeof *pairs, by_similarity);
    int32_t seeds = n < EHM_MATCH_SEEDS ? n : EHM_MATCH_SEEDS;
    for (int32_t a = 0; a < seeds; a++)
        for (int32_t b = a + 1; b < seeds; b++)
            for (int32_t mirror = 0; mirror < 2; mirror++) {
                float side = mirror ? -1 : 1;
                point pa = of(pairs[a].q, gq), pb = of(pairs[b].q, gq), ra = of(pairs[a].r, gr), rb = of(pairs[b].r, gr);
                float qx = side * (pb.x - pa.x), qy = pb.y - pa.y, rx = rb.x - ra.x, ry = rb.y - ra.y;
                float size = qx * qx + qy * qy;
                /* (cos, sin) times scale, as the quotient of the two steps */
                float c = (rx * qx + ry * qy) / size, s = (ry * qx - rx * qy) / size, scale2 = c * c + s * s;
                if (!(size > 0) || !(scale2 >= 1.0f / 64) || !(scale2 <= 64.0f)) continue;
                int32_t inliers = 0;
                for (int32_t k = 0; k < n; k++) {
                    point p = of(pairs[k].q, gq), r = of(pairs[k].r, gr);
                    float x = side * (p.x - pa.x), y = p.y - pa.y;
                    inliers += fabsf(ra.x + c * x - s * y - r.x) <= 1.0f && fabsf(ra.y + s * x + c * y - r.y) <= 1.0f;
                }
                if (inliers > out.n_inliers) {
                    out.n_inliers = inliers;
                    out.mirrored = mirror;
                    out.scale = sqrt((double)scale2);
                    out.degrees = atan2((double)s, (double)c) * 180 / 3.14159265358979323846;
                }
            }
    return out;
}
