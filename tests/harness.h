/* A small test harness: TEST(suite, case) registers itself; failures go on to the end of the case unless REQUIRE.
 *
 *     TEST(resize, identity) { CHECK(x == 3); CHECK_STR(a, "b"); CHECK_NEAR(y, 1.0, 1e-6); CHECK_OK(ehm_f(&err), &err); }
 *
 * Run: the program alone for all, `suite`, or `suite::case`; `--list`. SEED=n in the environment replays a property failure.
 * SKIP("why") leaves a case in words. Environment: EHM_TEST_DATA (real picture sets, default ../shared/data), EHM_TEST_ROOT (source root).
 */
#ifndef EHM_TESTS_HARNESS_H
#define EHM_TESTS_HARNESS_H
#include "base/err.h"
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*ehm_test_fn)(void);
void ehm_test_register(const char *suite, const char *name, ehm_test_fn fn);
void ehm_test_fail(const char *file, int line, const char *fmt, ...) EHM_PRINTF(3, 4);
bool ehm_test_check_ok(const char *file, int line, const char *what, ehm_code rc, const ehm_err *err);
bool ehm_test_near(const char *file, int line, const char *what, double got, double want, double tol);
/* Largest |got - want| over largest |want| must stay under tol; prints the worst element, its index and both values. */
bool ehm_test_close_f32(const char *file, int line, const char *what, const float *got, const float *want, int64_t n, double tol);
_Noreturn void ehm_test_leave(void);              /* ends the case */
_Noreturn void ehm_test_skip(const char *why);
uint64_t ehm_test_seed(void);                     /* SEED or 1 */
const char *ehm_test_root(void);                  /* source root: tests/golden/... lie below */
const char *ehm_test_path(const char *rel);       /* root/rel, in a rotating static buffer */
const char *ehm_test_data(const char *rel);       /* path in the real picture sets; SKIPs the case in words when absent */
const char *ehm_test_tmp(void);                   /* a fresh empty folder of this case, removed at its end */

#define TEST(suite, name)                                                                                     \
    static void suite##_##name##_body(void);                                                                  \
    __attribute__((constructor)) static void suite##_##name##_register(void) {                                \
        ehm_test_register(#suite, #name, suite##_##name##_body);                                              \
    }                                                                                                         \
    static void suite##_##name##_body(void)

#define CHECK(e) ((e) ? (void)0 : ehm_test_fail(__FILE__, __LINE__, "%s", #e))
#define REQUIRE(e) ((e) ? (void)0 : (ehm_test_fail(__FILE__, __LINE__, "%s", #e), ehm_test_leave()))
#define CHECK_INT(got, want)                                                                                  \
    do {                                                                                                      \
        long long g_ = (long long)(got), w_ = (long long)(want);                                              \
        if (g_ != w_) ehm_test_fail(__FILE__, __LINE__, "%s is %lld, expected %lld", #got, g_, w_);           \
    } while (0)
#define CHECK_STR(got, want)                                                                                  \
    do {                                                                                                      \
        const char *g_ = (got), *w_ = (want);                                                                 \
        if (!g_ || strcmp(g_, w_)) ehm_test_fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #got, g_ ? g_ : "(null)", w_); \
    } while (0)
#define CHECK_HAS(text, part)                                                                                 \
    do {                                                                                                      \
        const char *g_ = (text), *w_ = (part);                                                                \
        if (!g_ || !strstr(g_, w_)) ehm_test_fail(__FILE__, __LINE__, "\"%s\" does not contain \"%s\"", g_ ? g_ : "(null)", w_); \
    } while (0)
#define CHECK_NEAR(got, want, tol) ehm_test_near(__FILE__, __LINE__, #got, (got), (want), (tol))
#define CHECK_CLOSE_F32(got, want, n, tol) ehm_test_close_f32(__FILE__, __LINE__, #got, (got), (want), (n), (tol))
#define CHECK_OK(call, err) ehm_test_check_ok(__FILE__, __LINE__, #call, (call), (err))
#define REQUIRE_OK(call, err)                                                                                 \
    do {                                                                                                      \
        if (!ehm_test_check_ok(__FILE__, __LINE__, #call, (call), (err))) ehm_test_leave();                   \
    } while (0)
/* The call must fail with this code, and the message must contain the part. */
#define CHECK_FAILS(call, err, want_code, part)                                                               \
    do {                                                                                                      \
        ehm_err_clear(err);                                                                                   \
        ehm_code rc_ = (call);                                                                                \
        char t_[EHM_ERR_TEXT];                                                                                \
        if (rc_ != (want_code)) ehm_test_fail(__FILE__, __LINE__, "%s gave %s, expected %s", #call, ehm_code_name(rc_), ehm_code_name(want_code)); \
        else if (!strstr(ehm_err_text((err), t_), (part))) ehm_test_fail(__FILE__, __LINE__, "message lacks \"%s\": %s", (part), t_); \
    } while (0)
#define SKIP(why) ehm_test_skip(why)
#endif
