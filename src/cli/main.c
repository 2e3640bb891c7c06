/* The program: read the call, run the command, and say how it ended. Exit codes are made here alone. */
#include "cli/cli_int.h"
#include "base/clock.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NUMERIC = 3, EXIT_SIGNAL = 128 };

static volatile sig_atomic_t quiet;

/* The first signal asks; a second one ends the program where it is. What a run has on disk is whole at any
 * moment. Some senders mean one and send two (timeout signals the process and then its group): what follows within
 * half a second is the same wish. */
static void on_signal(int sig) {
    static const char text[] = "\nehm: stopping; again to end at once\n";
    static double asked_s;
    int e = errno;
    double now_s = ehm_clock_s(); /* may be called here: it only reads the clock */
    if (ehm_stop_asked()) {
        if (now_s - asked_s > 0.5) _exit(EXIT_SIGNAL + sig);
        errno = e;
        return;
    }
    asked_s = now_s;
    ehm_stop_request(sig);
    if (sig == SIGINT && !quiet && write(STDERR_FILENO, text, sizeof text - 1) < 0) { /* nobody reads */ }
    errno = e;
}

static void catch_signals(void) {
    static const int signals[] = {SIGINT, SIGTERM};
    for (int i = 0; i < 2; i++) {
        struct sigaction old, act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        sigemptyset(&act.sa_mask);
        /* What the parent has set to be ignored (nohup, a shell's background job) stays so. */
        if (!sigaction(signals[i], NULL, &old) && old.sa_handler != SIG_IGN)
            sigaction(signals[i], &act, NULL);
    }
    signal(SIGPIPE, SIG_IGN); /* a reader that goes away must not end a long run; writing says so */
}

static int exit_code(ehm_code rc) {
    switch (rc) {
    case EHM_OK: return EXIT_DONE;
    case EHM_E_CONFIG: return EXIT_USAGE;
    case EHM_E_NUMERIC: return EXIT_NUMERIC;
    case EHM_E_STOPPED: return EXIT_SIGNAL + (ehm_stop_asked() ? ehm_stop_asked() : SIGINT);
    default: return EXIT_FAILED;
    }
}

/* One object on stdout also when there is no result, for programs that read it. */
static void print_error_json(ehm_out *out, const ehm_err *err) {
    ehm_str s = {0};
    ehm_json_w w = {.out = &s};
    ehm_json_obj(&w);
    ehm_json_key(&w, "error"), ehm_json_obj(&w);
    ehm_json_key(&w, "code"), ehm_json_str(&w, ehm_code_name(err->code));
    ehm_json_key(&w, "what"), ehm_json_str(&w, err->what);
    if (err->context[0]) ehm_json_key(&w, "while"), ehm_json_str(&w, err->context);
    if (err->hint[0]) ehm_json_key(&w, "hint"), ehm_json_str(&w, err->hint);
    ehm_json_end(&w), ehm_json_end(&w);
    ehm_out_json(out, &s);
    ehm_str_free(&s);
}

/* --json asked for an object; parsing may have ended before it came to that flag. */
static bool wants_json(const ehm_call *call, int argc, char *const *argv) {
    bool json = call->cfg.json;
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) json |= !strcmp(argv[i], "--json");
    return json;
}

static int wrong_usage(const ehm_call *call, bool json, ehm_arena *a, const ehm_err *err) {
    ehm_str s = {0};
    ehm_out out = {.json = json, .arena = a};
    ehm_console_error(err);
    /* A file's fault is not cured by it. */
    if (err->code == EHM_E_CONFIG || err->code == EHM_E_ARG) ehm_help_usage(&s, call->cmd);
    fputs(ehm_str_c(&s), stderr);
    ehm_str_free(&s);
    if (json) print_error_json(&out, err);
    return err->code == EHM_E_MEMORY ? EXIT_FAILED : EXIT_USAGE;
}

/* Help, version, or nothing asked for at all. */
static int talk(const ehm_call *call, bool json, ehm_arena *a) {
    ehm_str s = {0};
    ehm_err err = {0};
    ehm_out out = {.json = json, .arena = a};
    ehm_help_style style = {ehm_out_width(), ehm_console_colour(STDOUT_FILENO, call->cfg.color)};
    bool lost = !call->help && !call->version;
    if (lost) EHM_FAIL(&err, EHM_E_CONFIG, "no command was named");
    if (call->version && json) ehm_version_json(&s), ehm_str_addc(&s, '\n');
    else if (call->version) ehm_version_add(&s);
    else if (lost) ehm_help_usage(&s, NULL);
    else if (json) ehm_help_json(&s, call->cmd, a), ehm_str_addc(&s, '\n');
    else if (call->cmd) ehm_help_command(&s, call->cmd, call->args.n ? call->args.v[0] : NULL, style, a);
    else ehm_help_tool(&s, style);
    if (lost) fputs(ehm_str_c(&s), stderr);
    else ehm_out_add(&out, ehm_str_c(&s));
    if (lost && json) print_error_json(&out, &err);
    ehm_str_free(&s);
    return lost ? EXIT_USAGE : EXIT_DONE;
}

static int run(const ehm_call *call, ehm_arena *a, ehm_err *err) {
    ehm_out out = {.json = call->cfg.json, .args = call->args, .groups = call->groups, .arena = a};
    ehm_code rc = EHM_OK;
    if (call->cfg.print_config && !call->cmd->resolves) ehm_cli_print_config(&call->cfg, &out);
    else if (call->cfg.dry_run && !call->cmd->dry_runs && !call->cfg.print_config)
        ehm_log(EHM_LOG_INFO, "the settings are fine; nothing was done");
    else rc = call->cmd->run(&call->cfg, &out, err);
    ehm_console_close();
    if (rc) {
        if (!err->code) EHM_FAIL(err, rc, "ehm %s failed", call->cmd->name);
        fflush(stdout); /* where both go to one place, the order is that of the events */
        ehm_console_error(err);
        if (out.json && !out.written) print_error_json(&out, err);
    } else if (out.json && !out.written) ehm_out_add(&out, "{\"dry_run\": true}\n");
    return exit_code(rc);
}

int main(int argc, char **argv) {
    static ehm_call call; /* some kilobytes */
    ehm_arena a = {0};
    ehm_err err = {0};
    int code;
    catch_signals();
    ehm_code rc = ehm_call_parse(&call, argc, argv, &a, &err);
    ehm_console_open(&call.cfg);
    quiet = call.cfg.quiet;
    if (rc) code = wrong_usage(&call, wants_json(&call, argc, argv), &a, &err);
    else if (call.help || call.version || !call.cmd) code = talk(&call, wants_json(&call, argc, argv), &a);
    else code = run(&call, &a, &err);
    ehm_console_close();
    if (fflush(stdout) || ferror(stdout)) {
        if (errno != EPIPE) /* `| head` is no fault */
            fprintf(stderr, "ehm: the result could not be written: %s\n", strerror(errno));
        if (code == EXIT_DONE) code = EXIT_FAILED;
    }
    ehm_arena_free(&a);
    return code;
}
