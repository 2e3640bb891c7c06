/* Time: the only place that asks for it. */
#ifndef EHM_BASE_CLOCK_H
#define EHM_BASE_CLOCK_H
#include <stdint.h>
double ehm_clock_s(void);                 /* monotonic seconds */
double ehm_clock_unix_s(void);            /* wall clock, seconds since 1970 */
void ehm_clock_iso(double unix_s, char buf[32]); /* 2026-01-31T12:00:00Z */
void ehm_sleep_s(double s);
#endif
