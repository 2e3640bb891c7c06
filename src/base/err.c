#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Cut text that did not fit ends in "..." and never in half a UTF-8 character. */
static void mark_cut(char *buf, size_t cap) {
    size_t end = cap - 4;
    while (end > 0 && ((unsigned char)buf[end] & 0xc0) == 0x80) end--;
    memcpy(buf + end, "...", 4);
}

static void format_into(char *buf, size_t cap, const char *fmt, va_list ap) {
    int n = vsnprintf(buf, cap, fmt, ap);
    if (n < 0) buf[0] = 0;
    else if ((size_t)n >= cap) mark_cut(buf, cap);
}

ehm_code ehm_err_set(ehm_err *err, ehm_code code, const char *fmt, ...) {
    if (err && !err->code) {
        va_list ap;
        va_start(ap, fmt);
        format_into(err->what, sizeof err->what, fmt, ap);
        va_end(ap);
        err->code = code;
    }
    return code;
}

void ehm_err_while(ehm_err *err, const char *fmt, ...) {
    if (!err) return;
    size_t used = strlen(err->context);
    if (used && used + 8 < sizeof err->context) memcpy(err->context + used, "; ", 3), used += 2;
    if (used + 8 >= sizeof err->context) return; /* full: the innermost places are the ones that matter */
    va_list ap;
    va_start(ap, fmt);
    format_into(err->context + used, sizeof err->context - used, fmt, ap);
    va_end(ap);
}

void ehm_err_hint(ehm_err *err, const char *fmt, ...) {
    if (!err || err->hint[0]) return;
    va_list ap;
    va_start(ap, fmt);
    format_into(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
}

void ehm_err_clear(ehm_err *err) {
    if (!err) return;
    err->code = EHM_OK;
    err->what[0] = err->context[0] = err->hint[0] = 0;
}

char *ehm_err_text(const ehm_err *err, char *text) {
    const char *what = err && err->what[0] ? err->what : err ? ehm_code_name(err->code) : "unknown error";
    int n = snprintf(text, EHM_ERR_TEXT, "ehm: %s\n", what);
    if (err && err->context[0])
        n += snprintf(text + n, (size_t)(EHM_ERR_TEXT - n), "  while: %s\n", err->context);
    if (err && err->hint[0]) snprintf(text + n, (size_t)(EHM_ERR_TEXT - n), "  hint:  %s\n", err->hint);
    /* File names come from outside: an escape sequence in one must not reach the terminal. */
    for (char *p = text; *p; p++)
        if (((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f) *p = '?';
    return text;
}

const char *ehm_code_name(ehm_code code) {
    switch (code) {
    case EHM_OK: return "ok";
    case EHM_E_ARG: return "argument";
    case EHM_E_CONFIG: return "config";
    case EHM_E_IO: return "io";
    case EHM_E_FORMAT: return "format";
    case EHM_E_MEMORY: return "memory";
    case EHM_E_DEVICE: return "device";
    case EHM_E_UNSUPPORTED: return "unsupported";
    case EHM_E_MISMATCH: return "mismatch";
    case EHM_E_NUMERIC: return "numeric";
    case EHM_E_STOPPED: return "stopped";
    }
    return "unknown";
}

void ehm_assert_failed(const char *expr, const char *file, int line) {
    fprintf(stderr, "ehm: internal error: %s at %s:%d; please report this\n", expr, file, line);
    abort();
}
