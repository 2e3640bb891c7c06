/* What rules share: choosing patches by value with ties broken at random, and making a count exact. All draw
 * from the stream given. */
#ifndef EHM_MASK_PICK_INT_H
#define EHM_MASK_PICK_INT_H
#include "mask/mask_int.h"

/* Which of rule->args ("a|b|c") arg is, 0 for NULL. EHM_E_CONFIG lists them. */
ehm_code ehm_mask_arg(int32_t *out, const ehm_mask_rule *rule, const char *arg, ehm_err *err);
/* One flag a patch, zeroed, from the arena. */
ehm_code ehm_mask_flags_new(uint8_t **out, int32_t n, ehm_arena *scratch, ehm_err *err);
int32_t ehm_mask_count(const uint8_t *flag, int32_t n);
/* k of the patches whose flag is `from` (there are at least k) get the other flag, uniformly at random. */
ehm_code ehm_mask_flip(uint8_t *flag, int32_t n, uint8_t from, int32_t k, ehm_rng *rng, ehm_arena *scratch,
                       ehm_err *err);
/* Exactly n_masked flags set: as many as needed are given back, or added, uniformly at random. */
ehm_code ehm_mask_fit(uint8_t *removed, int32_t n, int32_t n_masked, ehm_rng *rng, ehm_arena *scratch,
                      ehm_err *err);
/* Sets the flags of the k largest values (not NaN; infinite is fine), those of equal value in random order.
 */
ehm_code ehm_mask_largest(uint8_t *flag, const float *value, int32_t n, int32_t k, ehm_rng *rng,
                          ehm_arena *scratch, ehm_err *err);
/* Are all values the same? What is chosen by such a map is chosen at random: rules say so in facts.flat. */
bool ehm_mask_is_flat(const float *value, int32_t n);
/* EHM_E_NUMERIC naming the first of rows x columns values that is not finite, or (at_least_0) negative. */
ehm_code ehm_mask_check_values(const float *value, int32_t rows, int32_t columns, bool at_least_0,
                               const char *what, ehm_err *err);
#endif
