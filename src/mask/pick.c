#include "mask/pick_int.h"
#include <math.h>
#include <string.h>

ehm_code ehm_mask_arg(int32_t *out, const ehm_mask_rule *rule, const char *arg, ehm_err *err) {
    *out = 0;
    if (!arg) return EHM_OK;
    int32_t i = 0;
    for (const char *p = rule->args; p && *p; i++) {
        size_t len = strcspn(p, "|");
        if (strlen(arg) == len && !strncmp(p, arg, len)) return *out = i, EHM_OK;
        p += len + (p[len] == '|');
    }
    if (!rule->args)
        return EHM_FAIL(err, EHM_E_CONFIG, "mask rule %s takes nothing behind a colon, not \"%s\"",
                        rule->name, arg);
    return EHM_FAIL(err, EHM_E_CONFIG, "mask rule %s:%s: must be one of %s", rule->name, arg, rule->args);
}

static ehm_code no_memory(int32_t n, ehm_err *err) {
    return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %d patches", (int)n);
}

ehm_code ehm_mask_flags_new(uint8_t **out, int32_t n, ehm_arena *scratch, ehm_err *err) {
    *out = EHM_NEW_N(scratch, uint8_t, n);
    return *out ? EHM_OK : no_memory(n, err);
}

int32_t ehm_mask_count(const uint8_t *flag, int32_t n) {
    int32_t count = 0;
    for (int32_t i = 0; i < n; i++) count += flag[i] != 0;
    return count;
}

ehm_code ehm_mask_flip(uint8_t *flag, int32_t n, uint8_t from, int32_t k, ehm_rng *rng, ehm_arena *scratch,
                       ehm_err *err) {
    if (k <= 0) return EHM_OK;
    int32_t *list = EHM_NEW_N(scratch, int32_t, n), m = 0;
    if (!list) return no_memory(n, err);
    for (int32_t i = 0; i < n; i++)
        if (flag[i] == from) list[m++] = i;
    EHM_ASSERT(k <= m);
    for (int32_t i = 0; i < k; i++) { /* the first k places of a shuffle */
        int32_t j = i + (int32_t)ehm_rng_below(rng, (uint32_t)(m - i)), t = list[i];
        list[i] = list[j], list[j] = t;
        flag[list[i]] = !from;
    }
    return EHM_OK;
}

ehm_code ehm_mask_fit(uint8_t *removed, int32_t n, int32_t n_masked, ehm_rng *rng, ehm_arena *scratch,
                      ehm_err *err) {
    int32_t over = ehm_mask_count(removed, n) - n_masked;
    return over > 0 ? ehm_mask_flip(removed, n, 1, over, rng, scratch, err)
                    : ehm_mask_flip(removed, n, 0, -over, rng, scratch, err);
}

ehm_code ehm_mask_largest(uint8_t *flag, const float *value, int32_t n, int32_t k, ehm_rng *rng,
                          ehm_arena *scratch, ehm_err *err) {
    if (k <= 0) return EHM_OK;
    /* Selection breaks ties by place; with the places shuffled that is at random. */
    int32_t *at = EHM_NEW_N(scratch, int32_t, n), *list = EHM_NEW_N(scratch, int32_t, n),
            *rest = EHM_NEW_N(scratch, int32_t, n);
    float *moved = EHM_NEW_N(scratch, float, n);
    if (!at || !list || !rest || !moved) return no_memory(n, err);
    for (int32_t i = 0; i < n; i++) at[i] = i;
    ehm_rng_shuffle_i32(rng, at, n);
    for (int32_t i = 0; i < n; i++) moved[i] = value[at[i]];
    ehm_mask m = {.visible = rest, .masked = list};
    EHM_TRY(ehm_mask_from_noise(&m, moved, n, k, scratch, err));
    for (int32_t i = 0; i < k; i++) flag[at[list[i]]] = 1;
    return EHM_OK;
}

bool ehm_mask_is_flat(const float *value, int32_t n) {
    for (int32_t i = 1; i < n; i++)
        if (value[i] != value[0]) return false;
    return true;
}

ehm_code ehm_mask_check_values(const float *value, int32_t rows, int32_t columns, bool at_least_0,
                               const char *what, ehm_err *err) {
    for (int64_t i = 0, n = (int64_t)rows * columns; i < n; i++) {
        if (isfinite(value[i]) && !(at_least_0 && value[i] < 0)) continue;
        if (rows == 1)
            return EHM_FAIL(err, EHM_E_NUMERIC, "%s of patch %lld is %g", what, (long long)i,
                            (double)value[i]);
        return EHM_FAIL(err, EHM_E_NUMERIC, "%s (%lld, %lld) is %g", what, (long long)(i / columns),
                        (long long)(i % columns), (double)value[i]);
    }
    return EHM_OK;
}
