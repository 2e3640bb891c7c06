/* The program as other programs meet it: what is on stdout and stderr, exit codes, colour on a terminal, completion.
 * What every command keeps is in tests/cli/habits.t. */
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "harness.h"
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef EHM_BINARY
#define EHM_BINARY ""
#endif

enum { SAID_MAX = 1 << 18 };
static char said[SAID_MAX];

static void read_all(int fd) {
    size_t n = 0;
    /* A terminal whose other side is gone reads as an error, not as the end. */
    for (ssize_t k; n < sizeof said - 1 && (k = read(fd, said + n, sizeof said - 1 - n)) > 0;) n += (size_t)k;
    said[n] = 0;
}

static int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

/* Runs `ehm ARGS` through the shell; what it wrote on stdout is in said. Returns the exit code. */
static int ehm(const char *args) {
    char command[1024];
    if (access(EHM_BINARY, X_OK)) SKIP("the program is not built");
    snprintf(command, sizeof command, "'%s' %s", EHM_BINARY, args);
    FILE *f = popen(command, "r");
    REQUIRE(f);
    read_all(fileno(f));
    return code_of(pclose(f));
}

/* The same on a terminal, with one more variable in the environment. */
static int ehm_on_terminal(const char *variable, const char *args) {
    char command[1024];
    int fd = -1, status = 0;
    if (access(EHM_BINARY, X_OK)) SKIP("the program is not built");
    pid_t pid = forkpty(&fd, NULL, NULL, NULL);
    if (pid < 0) SKIP("there are no terminals here");
    if (!pid) {
        snprintf(command, sizeof command, "unset NO_COLOR; export TERM=xterm %s; exec '%s' %s", variable, EHM_BINARY, args);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    read_all(fd);
    close(fd);
    waitpid(pid, &status, 0);
    return code_of(status);
}

/* "error.code" of the one object in said. */
static const char *error_code(ehm_arena *a) {
    ehm_json *v = NULL;
    ehm_err err = {0};
    REQUIRE_OK(ehm_json_parse(&v, said, strlen(said), "stdout", a, &err), &err);
    return ehm_json_str_or(ehm_json_get(v, "error"), "code", "none");
}

TEST(habits, an_error_is_one_object_too) {
    ehm_arena a = {0};
    CHECK_INT(ehm("list maks --json 2>/dev/null"), 2);
    CHECK_STR(error_code(&a), "config");
    CHECK_INT(ehm("list masks --jsno --json 2>/dev/null"), 2);
    CHECK_STR(error_code(&a), "config");
    ehm_arena_free(&a);
}

TEST(habits, exit_codes) {
    char args[600];
    ehm_arena a = {0};
    const char *dir = ehm_test_tmp();
    snprintf(args, sizeof args, "info '%s/f.safetensors' --json 2>/dev/null", dir);
    CHECK_INT(ehm(args), 2); /* there is none */
    snprintf(args, sizeof args, "%s/f.safetensors", dir);
    FILE *f = fopen(args, "w");
    REQUIRE(f);
    fputs("no weights", f);
    fclose(f);
    snprintf(args, sizeof args, "info '%s/f.safetensors' --json 2>/dev/null", dir);
    CHECK_INT(ehm(args), 1); /* there is one, and it is broken */
    CHECK_STR(error_code(&a), "format");
    CHECK_INT(ehm("list masks"), 0);
    ehm_arena_free(&a);
}

TEST(habits, quiet_is_quiet) {
    CHECK_INT(ehm("data scenes:1:8:32 --check 2>&1 >/dev/null"), 0);
    CHECK(strlen(said) > 0);
    CHECK_INT(ehm("data scenes:1:8:32 --check --quiet 2>&1 >/dev/null"), 0);
    CHECK_STR(said, "");
}

TEST(habits, colour_on_a_terminal) {
    static const struct { const char *variable, *args; bool colour; } cases[] = {
        {"", "help list", true},
        {"", "lst", true},
        {"NO_COLOR=", "help list", true},
        {"NO_COLOR=1", "help list", false},
        {"NO_COLOR=1", "lst", false},
        {"NO_COLOR=1", "help list --color always", true},
        {"TERM=dumb", "help list", false},
        {"", "help list --color never", false},
        {"", "list ops --colr x --color never", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ehm_on_terminal(cases[i].variable, cases[i].args);
        CHECK_HAS(said, "list");
        if ((strstr(said, "\033[") != NULL) != cases[i].colour)
            ehm_test_fail(__FILE__, __LINE__, "%s ehm %s: %s", cases[i].variable, cases[i].args,
                          cases[i].colour ? "no colour" : "colour");
    }
}

/* What bash offers for the last of these words. */
static void offered(const char *words) {
    char args[900];
    snprintf(args, sizeof args,
             "help --completion bash >/dev/null; bash -c '. <(\"$0\" help --completion bash); compopt() { :; }; COMP_WORDS=(%s); "
             "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _ehm; printf %%s \"${COMPREPLY[*]}\"' '%s'",
             words, EHM_BINARY);
    ehm(args);
}

TEST(habits, completion_in_bash) {
    static const char *const cases[][2] = {
        {"ehm pret", "pretrain"},          {"ehm list \"\"", "presets masks recipes tasks ops settings"},
        {"ehm eval knn --tempe", "--temperature"}, {"ehm eval segment --tempe", ""},
        {"ehm pretrain --color = n", "never"},     {"ehm pretrain --mask rand", "random"},
        {"ehm --threads 2 eval retr", "retrieve"}, {"ehm compare --tasks knn,lin", "knn,linear"},
        {"ehm embed --batch-size \"\"", ""},       {"ehm help bench st", "step"},
    };
    if (system("bash -c true 2>/dev/null")) SKIP("bash is not installed");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        offered(cases[i][0]);
        if (strcmp(said, cases[i][1]))
            ehm_test_fail(__FILE__, __LINE__, "%s: offered \"%s\", expected \"%s\"", cases[i][0], said, cases[i][1]);
    }
}
