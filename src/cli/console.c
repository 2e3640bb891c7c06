/* What people see while a command works: log lines and one progress line, on stderr. */
#include "base/clock.h"
#include "cli/cli_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_S 0.1 /* on a terminal */
#define PLAIN_S 10.0 /* elsewhere: a line in somebody's log file */

static struct {
    bool quiet, verbose, colour, terminal;
    bool unfinished; /* the last progress line written was not its end */
    bool line_open; /* a progress line stands on the terminal without its newline */
    char line[1024];
    double last_s;  /* when progress was last written; 0: never */
} console = {0};

bool ehm_console_colour(int fd, const char *when) {
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    if (when && !strcmp(when, "always")) return true;
    if ((when && !strcmp(when, "never")) || (no && *no)) return false;
    return isatty(fd) && term && strcmp(term, "dumb");
}

int32_t ehm_console_width(int fd) {
    struct winsize w;
    return isatty(fd) && !ioctl(fd, TIOCGWINSZ, &w) && w.ws_col > 0 ? w.ws_col : 0;
}

/* The line's first characters that fit; bytes 10xxxxxx continue a character. */
static int fitting(const char *text, int32_t width) {
    int n = 0;
    for (int32_t columns = 0; text[n]; n++)
        if (((unsigned char)text[n] & 0xc0) != 0x80 && ++columns > width) break;
    return n;
}

static void draw_line(void) {
    int32_t width = ehm_console_width(STDERR_FILENO);
    if (width < 2) width = 80;
    fprintf(stderr, "\r%.*s\033[K", fitting(console.line, width - 1), console.line);
    console.line_open = true;
}

static void progress(void *user, const char *text, bool done) {
    (void)user;
    double now = ehm_clock_s();
    if (console.quiet) return;
    if (!done && console.last_s > 0 && now - console.last_s < (console.terminal ? REDRAW_S : PLAIN_S)) return;
    if (!console.terminal && !done && console.last_s <= 0) { /* quick work says only how it ended */
        console.last_s = now;
        return;
    }
    console.last_s = now;
    bool said = done && console.unfinished && !strcmp(console.line, text); /* in plain lines: the last one was the end already */
    snprintf(console.line, sizeof console.line, "%s", text);
    console.line[strcspn(console.line, "\n")] = 0;
    if (console.terminal) {
        draw_line();
        if (done) fputc('\n', stderr), console.line_open = false;
    } else if (!said) fprintf(stderr, "%s\n", console.line);
    if (done) console.last_s = 0;
    console.unfinished = !done;
    fflush(stderr);
}

static void log_line(void *user, ehm_log_level level, const char *text) {
    static const struct { const char *colour, *word;
    } style[] = {[EHM_LOG_DEBUG] = {"\033[2m", ""},
                 [EHM_LOG_INFO] = {"", ""},
                 [EHM_LOG_NOTE] = {"\033[36m", "note: "},
                 [EHM_LOG_WARN] = {"\033[33m", "warning: "}};
    (void)user;
    if (console.quiet || (level == EHM_LOG_DEBUG && !console.verbose)) return;
    if (console.line_open) fputs("\r\033[K", stderr);
    bool paint = console.colour && style[level].colour[0];
    /* A message's word is coloured, its text is not; a line that is all aside is dim as a whole. */
    fprintf(stderr, "%s%s%s%s%s\n", paint ? style[level].colour : "", style[level].word,
            paint && style[level].word[0] ? "\033[0m" : "", text,
            paint && !style[level].word[0] ? "\033[0m" : "");
    if (console.line_open) draw_line();
    fflush(stderr);
}

void ehm_console_open(const ehm_config *cfg) {
    const char *term = getenv("TERM");
    console.quiet = cfg->quiet, console.verbose = cfg->verbose;
    console.colour = ehm_console_colour(STDERR_FILENO, cfg->color);
    console.terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb");
    ehm_log_sink(log_line, NULL);
    ehm_progress_sink(progress, NULL);
}

void ehm_console_close(void) {
    ehm_log_sink(NULL, NULL);
    ehm_progress_sink(NULL, NULL);
    if (console.line_open) fputc('\n', stderr);
    console.line_open = false;
}

void ehm_console_error(const ehm_err *err) {
    char text[EHM_ERR_TEXT];
    if (console.line_open) fputc('\n', stderr), console.line_open = false;
    ehm_err_text(err, text);
    if (console.colour && ehm_starts(text, "ehm:")) fprintf(stderr, "\033[1;31mehm:\033[0m%s", text + 4);
    else fputs(text, stderr);
    fflush(stderr);
}
