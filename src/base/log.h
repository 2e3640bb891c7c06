/* Messages for people: a sink that the program sets. The library never prints by itself; without a sink messages are dropped. */
#ifndef EHM_BASE_LOG_H
#define EHM_BASE_LOG_H
#include "base/err.h"
#include <stdbool.h>
typedef enum { EHM_LOG_DEBUG = 0, EHM_LOG_INFO, EHM_LOG_NOTE, EHM_LOG_WARN } ehm_log_level; /* INFO: normal talk; NOTE: a choice made for the user */
typedef void (*ehm_log_fn)(void *user, ehm_log_level level, const char *text); /* text has no newline at its end */
void ehm_log_sink(ehm_log_fn fn, void *user); /* process-wide; set before threads start */
void ehm_log(ehm_log_level level, const char *fmt, ...) EHM_PRINTF(2, 3); /* any thread */
/* A progress line: replaces the one before on a terminal; printed every few seconds elsewhere. The sink decides. */
typedef void (*ehm_progress_fn)(void *user, const char *text, bool done);
void ehm_progress_sink(ehm_progress_fn fn, void *user);
void ehm_progress(bool done, const char *fmt, ...) EHM_PRINTF(2, 3);
/* A cooperative stop: the program's signal handler stores the signal number, long library loops ask. 0 = go on. */
void ehm_stop_request(int signal_number); /* async-signal-safe */
int ehm_stop_asked(void);
#endif
