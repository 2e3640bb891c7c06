#include "base/clock.h"
#include "base/log.h"
#include "harness.h"
#include <signal.h>

static char got[8192];
static int n_got, level_got;
static void sink(void *user, ehm_log_level level, const char *text) {
    CHECK(user == got);
    snprintf(got, sizeof got, "%s", text);
    level_got = level, n_got++;
}
static bool done_got;
static void progress(void *user, const char *text, bool done) {
    (void)user;
    snprintf(got, sizeof got, "%s", text);
    done_got = done;
}

TEST(log, goes_to_the_sink_only) {
    n_got = 0;
    ehm_log(EHM_LOG_INFO, "nobody");
    ehm_log_sink(sink, got);
    ehm_log(EHM_LOG_WARN, "n %d \x1b[1m\n\n", 4);
    CHECK_STR(got, "n 4 ?[1m");
    CHECK_INT(level_got, EHM_LOG_WARN);
    char big[6000];
    memset(big, 'x', sizeof big - 1), big[sizeof big - 1] = 0;
    ehm_log(EHM_LOG_INFO, "%s", big);
    CHECK_INT(strlen(got), 4095);
    CHECK_STR(got + 4092, "...");
    ehm_log_sink(NULL, NULL);
    ehm_log(EHM_LOG_INFO, "nobody");
    CHECK_INT(n_got, 2);
    ehm_progress_sink(progress, NULL);
    ehm_progress(true, "%d of %d", 1, 2);
    CHECK_STR(got, "1 of 2");
    CHECK(done_got);
    ehm_progress_sink(NULL, NULL);
    ehm_progress(false, "x");
}

TEST(log, stop_ends_a_sleep) {
    double t = ehm_clock_s();
    ehm_stop_request(SIGINT);
    CHECK_INT(ehm_stop_asked(), SIGINT);
    ehm_sleep_s(5);
    ehm_stop_request(0);
    CHECK(ehm_clock_s() - t < 1);
    t = ehm_clock_s();
    ehm_sleep_s(0.02);
    CHECK(ehm_clock_s() - t >= 0.02);
}

TEST(clock, iso) {
    char b[32];
    ehm_clock_iso(0, b);
    CHECK_STR(b, "1970-01-01T00:00:00Z");
    ehm_clock_iso(1769860800.9, b);
    CHECK_STR(b, "2026-01-31T12:00:00Z");
    ehm_clock_iso(1e30, b);
    CHECK_STR(b, "unknown time");
    ehm_clock_iso(NAN, b);
    CHECK_STR(b, "unknown time");
    CHECK(ehm_clock_unix_s() > 1.7e9);
}
