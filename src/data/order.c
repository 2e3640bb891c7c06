/* The order of an epoch: a permutation that depends on (seed, epoch) alone, so that resuming needs no state.
 */
#include "base/rng.h"
#include "data/loader.h"

void ehm_order_fill(int64_t *perm, int64_t n, uint64_t seed, int64_t epoch) {
    for (int64_t i = 0; i < n; i++) perm[i] = i;
    ehm_rng r = ehm_rng_of(seed, EHM_RNG_order, (uint32_t)epoch, 0);
    ehm_rng_shuffle_i64(&r, perm, n);
}
