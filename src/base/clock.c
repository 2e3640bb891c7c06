#include "base/clock.h"
#include "base/log.h"
#include <stdio.h>
#include <time.h>

static double now(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double ehm_clock_s(void) { return now(CLOCK_MONOTONIC); }
double ehm_clock_unix_s(void) { return now(CLOCK_REALTIME); }

void ehm_clock_iso(double unix_s, char buf[32]) {
    time_t t = (time_t)unix_s;
    struct tm tm;
    if (!(unix_s > -6e10 && unix_s < 2.5e11) || !gmtime_r(&t, &tm)) { /* years 0 to 9999: the format has four digits */
        snprintf(buf, 32, "unknown time");
        return;
    }
    strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void ehm_sleep_s(double s) {
    double end = ehm_clock_s() + s;
    while (s > 0 && !ehm_stop_asked()) { /* a signal that asks to stop ends the sleep, others do not */
        struct timespec t = {.tv_sec = (time_t)s, .tv_nsec = (long)((s - (double)(time_t)s) * 1e9)};
        nanosleep(&t, NULL);
        s = end - ehm_clock_s();
    }
}
