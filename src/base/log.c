#include "base/log.h"
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* The only mutable globals of the library: a run's messages go where the program says. */
static ehm_log_fn log_fn;
static void *log_user;
static ehm_progress_fn progress_fn;
static void *progress_user;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* one message at a time; a sink must not log */
static atomic_int stop_signal;

void ehm_log_sink(ehm_log_fn fn, void *user) {
    pthread_mutex_lock(&lock);
    log_fn = fn, log_user = user;
    pthread_mutex_unlock(&lock);
}

void ehm_progress_sink(ehm_progress_fn fn, void *user) {
    pthread_mutex_lock(&lock);
    progress_fn = fn, progress_user = user;
    pthread_mutex_unlock(&lock);
}

static void format_line(char *buf, size_t cap, const char *fmt, va_list ap) {
    int n = vsnprintf(buf, cap, fmt, ap);
    if (n < 0) buf[0] = 0;
    else if ((size_t)n >= cap) memcpy(buf + cap - 4, "...", 4);
    size_t len = strlen(buf);
    while (len && buf[len - 1] == '\n') buf[--len] = 0;
    /* Names of files and classes come from outside; no control sequence of theirs reaches a terminal. */
    for (char *p = buf; *p; p++)
        if (((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f) *p = '?';
}

void ehm_log(ehm_log_level level, const char *fmt, ...) {
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    format_line(text, sizeof text, fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&lock);
    if (log_fn) log_fn(log_user, level, text);
    pthread_mutex_unlock(&lock);
}

void ehm_progress(bool done, const char *fmt, ...) {
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    format_line(text, sizeof text, fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&lock);
    if (progress_fn) progress_fn(progress_user, text, done);
    pthread_mutex_unlock(&lock);
}

void ehm_stop_request(int signal_number) { atomic_store(&stop_signal, signal_number); }
int ehm_stop_asked(void) { return atomic_load_explicit(&stop_signal, memory_order_relaxed); }
