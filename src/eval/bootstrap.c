#include "base/rng.h"
#include "eval/eval.h"
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(const double *sorted, int32_t n, double q) {
    double at = q * (n - 1);
    int32_t i = (int32_t)at;
    return i + 1 < n ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

ehm_code ehm_bootstrap(double *mean, double *lo, double *hi, const float *const *items, int32_t n_rows, int64_t n, uint64_t seed, ehm_err *err) {
    return ehm_bootstrap_draws(mean, lo, hi, items, n_rows, 1, n, seed, err);
}

ehm_code ehm_bootstrap_values(double *const *out, const float *const *items, int32_t n_rows, int32_t n_draws, int64_t n, uint64_t seed, ehm_err *err) {
    if (n < 1) return EHM_FAIL(err, EHM_E_ARG, "an interval needs at least one test item");
    uint32_t *times = malloc((size_t)n * sizeof *times), *draw_times = calloc((size_t)n_draws, sizeof *draw_times);
    double all = (double)n_draws * (double)n;
    ehm_code rc = EHM_OK;
    if (!times || !draw_times) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d bootstrap draws of %lld items", EHM_BOOT_DRAWS, (long long)n);
        goto done;
    }
    for (int32_t d = 0; d < EHM_BOOT_DRAWS; d++) {
        ehm_rng r = ehm_rng_of(seed, EHM_RNG_bootstrap, 0, (uint64_t)d);
        memset(times, 0, (size_t)n * sizeof *times);
        for (int64_t i = 0; i < n; i++) times[ehm_rng_below64(&r, (uint64_t)n)]++;
        memset(draw_times, 0, (size_t)n_draws * sizeof *draw_times);
        for (int32_t i = 0; i < n_draws; i++) draw_times[n_draws > 1 ? ehm_rng_below(&r, (uint32_t)n_draws) : 0]++;
        for (int32_t row = 0; row < n_rows; row++) {
            double s = 0;
            for (int32_t k = 0; k < n_draws; k++) {
                const float *v = items[row] + k * n;
                double of_draw = 0;
                if (!draw_times[k]) continue;
                for (int64_t i = 0; i < n; i++) of_draw += (double)times[i] * (double)v[i];
                s += draw_times[k] * of_draw;
            }
            out[row][d] = s / all;
        }
    }
done:
    free(times);
    free(draw_times);
    return rc;
}

ehm_code ehm_bootstrap_draws(double *mean, double *lo, double *hi, const float *const *items, int32_t n_rows, int32_t n_draws, int64_t n, uint64_t seed,
                             ehm_err *err) {
    double *draws = calloc((size_t)n_rows * EHM_BOOT_DRAWS, sizeof *draws), **rows = calloc((size_t)n_rows, sizeof *rows);
    ehm_code rc = draws && rows ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d bootstrap draws of %lld items", EHM_BOOT_DRAWS, (long long)n);
    for (int32_t row = 0; row < n_rows && !rc; row++) rows[row] = draws + (size_t)row * EHM_BOOT_DRAWS;
    if (!rc) rc = ehm_bootstrap_values(rows, items, n_rows, n_draws, n, seed, err);
    for (int32_t row = 0; row < n_rows && !rc; row++) {
        double s = 0, *v = rows[row];
        for (int64_t i = 0; i < n_draws * n; i++) s += (double)items[row][i];
        mean[row] = s / ((double)n_draws * (double)n);
        qsort(v, EHM_BOOT_DRAWS, sizeof *v, by_value);
        lo[row] = percentile(v, EHM_BOOT_DRAWS, 0.025);
        hi[row] = percentile(v, EHM_BOOT_DRAWS, 0.975);
    }
    free(draws);
    free(rows);
    return rc;
}
