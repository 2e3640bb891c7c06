/* Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011). Same key and counter, same number, on every machine.
 *
 *     ehm_rng r = ehm_rng_of(seed, EHM_RNG_mask, epoch, sample);
 *     uint32_t k = ehm_rng_below(&r, 10);
 */
#ifndef EHM_BASE_RNG_H
#define EHM_BASE_RNG_H
#include <stdint.h>

enum {
#define PURPOSE(name, number) EHM_RNG_##name = number,
#include "base/rng.def"
#undef PURPOSE
};

/* key = (seed low, seed high xor purpose * 0x9E3779B9); counter = (block, sample low, epoch, sample high). Copy it freely. */
typedef struct { uint32_t key[2], ctr[4], out[4]; uint32_t n_left; } ehm_rng;

void ehm_philox4x32(uint32_t out[4], const uint32_t ctr[4], const uint32_t key[2]); /* ten rounds */
ehm_rng ehm_rng_of(uint64_t seed, uint32_t purpose, uint32_t epoch, uint64_t sample);
uint32_t ehm_rng_u32(ehm_rng *r);
uint64_t ehm_rng_u64(ehm_rng *r);
double ehm_rng_f64(ehm_rng *r);                          /* [0, 1), 53 bits */
float ehm_rng_f32(ehm_rng *r);                           /* [0, 1), 24 bits */
double ehm_rng_uniform(ehm_rng *r, double lo, double hi);
double ehm_rng_normal(ehm_rng *r);                       /* Box-Muller, one value a call */
uint32_t ehm_rng_below(ehm_rng *r, uint32_t n);          /* 0..n-1 without bias (Lemire); n > 0 */
uint64_t ehm_rng_below64(ehm_rng *r, uint64_t n);
void ehm_rng_shuffle_i32(ehm_rng *r, int32_t *v, int32_t n); /* Fisher-Yates from the end */
void ehm_rng_shuffle_i64(ehm_rng *r, int64_t *v, int64_t n);
#endif
