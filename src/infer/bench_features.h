/* Speed of feature extraction alone: an untrained encoder over all patches of random pixels that are in memory already, u8 in, class token and mean of patch
 * tokens out. For `ehm bench features`.
 */
#ifndef EHM_INFER_BENCH_FEATURES_H
#define EHM_INFER_BENCH_FEATURES_H
#include "base/settings.h"

typedef struct {
    char model[96], device[160], dtype[8];
    int32_t batch, threads, n_stretches;
    double images_per_s, lo, hi;        /* median, least and most over the stretches */
    double gflop_per_image, gflops;     /* products by count; rate at the median */
    int64_t peak_bytes;                 /* resident memory of the process */
} ehm_bench_features_result;
/* Sizes from the model and transform settings; --batch-size or 64. EHM_E_STOPPED on a signal. */
ehm_code ehm_bench_features(ehm_bench_features_result *out, const ehm_config *cfg, ehm_err *err);
#endif
