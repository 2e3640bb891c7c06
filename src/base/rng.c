#include "base/rng.h"
#include <math.h>
#include <string.h>

void ehm_philox4x32(uint32_t out[4], const uint32_t ctr[4], const uint32_t key[2]) {
    uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3], k0 = key[0], k1 = key[1];
    for (int i = 0; i < 10; i++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1, c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

ehm_rng ehm_rng_of(uint64_t seed, uint32_t purpose, uint32_t epoch, uint64_t sample) {
    return (ehm_rng){.key = {(uint32_t)seed, (uint32_t)(seed >> 32) ^ purpose * 0x9E3779B9u},
                     .ctr = {0, (uint32_t)sample, epoch, (uint32_t)(sample >> 32)}};
}

uint32_t ehm_rng_u32(ehm_rng *r) {
    if (!r->n_left) {
        ehm_philox4x32(r->out, r->ctr, r->key);
        r->ctr[0]++;
        r->n_left = 4;
    }
    return r->out[4 - r->n_left--];
}

uint64_t ehm_rng_u64(ehm_rng *r) { /* the first word is the low half */
    uint64_t lo = ehm_rng_u32(r);
    return lo | (uint64_t)ehm_rng_u32(r) << 32;
}

double ehm_rng_f64(ehm_rng *r) { return (double)(ehm_rng_u64(r) >> 11) * 0x1p-53; }
float ehm_rng_f32(ehm_rng *r) { return (float)(ehm_rng_u32(r) >> 8) * 0x1p-24f; }
double ehm_rng_uniform(ehm_rng *r, double lo, double hi) { return lo + (hi - lo) * ehm_rng_f64(r); }

double ehm_rng_normal(ehm_rng *r) {
    double u = 1.0 - ehm_rng_f64(r); /* (0, 1]: the logarithm stays finite */
    double v = ehm_rng_f64(r);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925 * v);
}

uint32_t ehm_rng_below(ehm_rng *r, uint32_t n) {
    uint64_t m = (uint64_t)ehm_rng_u32(r) * n;
    if ((uint32_t)m < n) {
        uint32_t bad = (0u - n) % n; /* 2^32 mod n products would come up once too often */
        while ((uint32_t)m < bad) m = (uint64_t)ehm_rng_u32(r) * n;
    }
    return (uint32_t)(m >> 32);
}

uint64_t ehm_rng_below64(ehm_rng *r, uint64_t n) {
    unsigned __int128 m = (unsigned __int128)ehm_rng_u64(r) * n;
    if ((uint64_t)m < n) {
        uint64_t bad = (0u - n) % n;
        while ((uint64_t)m < bad) m = (unsigned __int128)ehm_rng_u64(r) * n;
    }
    return (uint64_t)(m >> 64);
}

void ehm_rng_shuffle_i32(ehm_rng *r, int32_t *v, int32_t n) {
    for (int32_t i = n - 1; i > 0; i--) {
        int32_t j = (int32_t)ehm_rng_below(r, (uint32_t)i + 1), t = v[i];
        v[i] = v[j], v[j] = t;
    }
}

void ehm_rng_shuffle_i64(ehm_rng *r, int64_t *v, int64_t n) {
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)ehm_rng_below64(r, (uint64_t)i + 1), t = v[i];
        v[i] = v[j], v[j] = t;
    }
}
