/* A pool of threads for our own passes. Work is cut by size, never by thread count, so results do not depend on how many ran.
 *
 *     static void rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) { ... }
 *     ehm_pool_for(pool, n_rows, 64, rows, &ctx);   // chunks [0,64) [64,128) ... ; returns when all are done
 */
#ifndef EHM_BASE_POOL_H
#define EHM_BASE_POOL_H
#include "base/err.h"
#include <stdint.h>
typedef struct ehm_pool ehm_pool;
typedef void (*ehm_pool_fn)(void *ctx, int64_t begin, int64_t end, int32_t i_thread);
ehm_code ehm_pool_open(ehm_pool **out, int32_t n_threads, ehm_err *err); /* n_threads >= 1, the caller counts as thread 0 */
void ehm_pool_close(ehm_pool *p);                                        /* NULL is fine */
int32_t ehm_pool_threads(const ehm_pool *p);                             /* NULL: 1 */
/* Runs fn over [0, n) in chunks of at most `grain`, handed out in order; a NULL pool runs in the caller. No allocation.
 * One call at a time a pool; fn must not call it again. */
void ehm_pool_for(ehm_pool *p, int64_t n, int64_t grain, ehm_pool_fn fn, void *ctx);
/* Processors this process may use: affinity mask and the control group's quota. At least 1. */
int32_t ehm_cpu_count(void);
/* Memory this process may use, bytes: the lesser of the control group's limit and the machine's. */
int64_t ehm_memory_limit(void);
int64_t ehm_memory_available(void); /* what is free now under those limits */
int64_t ehm_memory_peak(void);      /* peak resident bytes of this process */
#endif
