#include "cli/cli_int.h"
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void ehm_out_add(ehm_out *out, const char *text) {
    out->written = true;
    fputs(text, stdout); /* main asks at the end whether all of it went out */
}

void ehm_out_addf(ehm_out *out, const char *fmt, ...) {
    va_list ap;
    out->written = true;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
}

void ehm_out_json(ehm_out *out, const ehm_str *json) {
    ehm_out_add(out, ehm_str_c(json));
    ehm_out_add(out, "\n");
}

int32_t ehm_out_width(void) {
    int32_t w = ehm_console_width(STDOUT_FILENO);
    return !w ? 100 : w < 40 ? 40 : w > 120 ? 120 : w; /* longer lines are hard to read, shorter ones cannot hold a flag */
}
