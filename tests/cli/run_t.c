/* Runs what a text shows: tests/cli/NAME.t, and the ```console blocks of Markdown files.
 *
 *     $ ehm list maks            a command, given to /bin/sh; its stderr comes with its stdout
 *     > --json                   goes on with the line before
 *     ehm: ...: must be one of   what it prints, line by line; "..." stands for any text in a line,
 *     ...                        alone for any number of lines
 *     [2]                        its exit code; without this line 0
 *     # text                     for the reader
 *     ? test -d "$DATA/x"        go on only when this succeeds, else the rest is skipped, in words
 *     ^C                         in what it prints: Ctrl-C once the lines before are there; it ends with 130
 *
 * In Markdown a number stands for any number and spaces for any number of spaces: figures and columns differ
 * between machines, words do not. A ```python block is run in the same folder by $PEERS_PYTHON, and skipped
 * in words without it; what its lines `print(...)  # text` show behind the # is what it prints.
 *
 * usage: ehm_run_t FILE...
 * Environment: EHM_BIN (folder of the program), EHM_TEST_ROOT (sources), EHM_TEST_DATA (picture sets),
 * PEERS_PYTHON.
 * Each file has a fresh folder, which is also HOME. On the PATH: ehm, ehm_json_ok (json_ok.c).
 * Exit code 0, 1 when something differs, 77 when nothing ran.
 */
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_MAX = 1 << 20, LINES_MAX = 20000, CTRL_C_WAIT_S = 300 };

static int n_ran, n_failed;
static bool loose; /* numbers and spaces need not agree: the file is Markdown */

static char *read_all(const char *path) {
    FILE *f = fopen(path, "r");
    if (!f) return NULL;
    char *s = calloc(1, TEXT_MAX + 1);
    size_t n = s ? fread(s, 1, TEXT_MAX, f) : 0;
    fclose(f);
    if (s) s[n] = 0;
    return s;
}

/* Lines of text, cut in place; returns how many. */
static int split(char *text, char **line) {
    int n = 0;
    for (char *p = text; *p && n < LINES_MAX;) {
        line[n++] = p;
        p += strcspn(p, "\n");
        if (*p) *p++ = 0;
    }
    return n;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The line with # for each number and single spaces, in place: what is the same on any machine. */
static void loosen(char *s) {
    char *to = s;
    for (const char *p = s; *p;) {
        bool starts = to == s || to[-1] == ' ' || to[-1] == '(';
        if (is_digit(*p) || (starts && (*p == '+' || *p == '-') && is_digit(p[1]))) {
            for (p++; is_digit(*p) || ((*p == '.' || *p == ',') && is_digit(p[1]));) p++;
            if (*p == 'e' && (p[1] == '+' || p[1] == '-') && is_digit(p[2]))
                for (p += 2; is_digit(*p);) p++;
            *to++ = '#';
        } else if (*p == ' ' && starts && (to == s || to[-1] == ' ')) p++;
        else *to++ = *p++;
    }
    if (to > s && to[-1] == ' ') to--;
    *to = 0;
}

/* Does the line match, "..." standing for any text? */
static bool line_matches(const char *want, const char *got) {
    const char *dots = strstr(want, "...");
    if (!dots) return !strcmp(want, got);
    size_t n = (size_t)(dots - want);
    if (strncmp(want, got, n)) return false;
    for (const char *p = got + n;; p++) {
        if (line_matches(dots + 3, p)) return true;
        if (!*p) return false;
    }
}

static bool lines_match(char **want, int n_want, char **got, int n_got) {
    if (!n_want) return !n_got;
    if (!strcmp(want[0], "...")) {
        for (int skip = 0; skip <= n_got; skip++)
            if (lines_match(want + 1, n_want - 1, got + skip, n_got - skip)) return true;
        return false;
    }
    return n_got && line_matches(want[0], got[0]) && lines_match(want + 1, n_want - 1, got + 1, n_got - 1);
}

/* The lines that a command printed, without empty ones at the end; *text holds them, the caller frees it. */
static int output_lines(const char *out, char **text, char **got) {
    *text = read_all(out);
    int n = *text ? split(*text, got) : 0;
    while (n && !got[n - 1][0]) n--; /* as in the file, where an empty line ends the output */
    for (int i = 0; loose && i < n; i++) loosen(got[i]);
    return n;
}

/* Presses Ctrl-C in the command's process group once its output begins with these lines. */
static void interrupt_after(pid_t pid, const char *out, char **want, int n_want) {
    static char *got[LINES_MAX], *begin[LINES_MAX];
    char *text, any[] = "...";
    for (int i = 0; i < n_want; i++) begin[i] = want[i];
    begin[n_want] = any;
    for (int tenth = 0; tenth < 10 * CTRL_C_WAIT_S; tenth++) {
        siginfo_t ended = {0};
        int n_got = output_lines(out, &text, got);
        bool there = lines_match(begin, n_want + 1, got, n_got);
        free(text);
        if (there || waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT) || ended.si_pid) break;
        usleep(100000);
    }
    kill(-pid, SIGINT);
}

/* Runs the command in dir; its output goes to the file out. With n_before >= 0 Ctrl-C is pressed after the
 * lines before[]. Returns the exit code as a shell counts it. */
static int run(const char *command, const char *dir, const char *out, char **before, int n_before) {
    pid_t pid = fork();
    if (!pid) {
        int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600), in = open("/dev/null", O_RDONLY);
        if (fd < 0 || in < 0 || chdir(dir)) _exit(126);
        dup2(in, 0), dup2(fd, 1), dup2(fd, 2);
        if (n_before >= 0) signal(SIGINT, SIG_DFL), setpgid(0, 0); /* in the background it is ignored */
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    if (pid > 0 && n_before >= 0) setpgid(pid, pid), interrupt_after(pid, out, before, n_before);
    if (pid < 0 || waitpid(pid, &status, 0) < 0) return 126;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void show(const char *what, char **line, int n) {
    printf("    %s:\n", what);
    for (int i = 0; i < n; i++) printf("      | %s\n", line[i]);
}

static void check(const char *file, int no, const char *command, const char *dir, char **want, int n_want,
                  int want_code) {
    static char *got[LINES_MAX];
    char out[4200], *text, any[] = "...";
    int n_before = -1;
    for (int i = 0; i < n_want; i++) {
        if (!strcmp(want[i], "^C")) n_before = i, want[i] = any, want_code = 130; /* more may follow */
        if (loose) loosen(want[i]);
    }
    snprintf(out, sizeof out, "%s.out", dir);
    int code = run(command, dir, out, want, n_before), n_got = output_lines(out, &text, got);
    bool same = lines_match(want, n_want, got, n_got);
    n_ran++;
    if (!same || code != want_code) {
        n_failed++;
        printf("FAIL %s:%d: $ %s\n", file, no, command);
        if (code != want_code) printf("    exit code %d, expected %d\n", code, want_code);
        if (!same) show("expected", want, n_want);
        show("got", got, n_got);
    }
    free(text);
    unlink(out);
}

/* A ```python block from line[at] to its end, run as a file: what print(...)  # text names must come out. */
static void check_python(const char *file, int no, const char *dir, char **line, int n) {
    static char *want[LINES_MAX];
    char path[4200], command[4300];
    int n_want = 0;
    const char *python = getenv("PEERS_PYTHON");
    if (!python || !*python) {
        printf("skip %s:%d: Python; PEERS_PYTHON names one that has NumPy and timm\n", file, no);
        return;
    }
    snprintf(path, sizeof path, "%s.py", dir);
    FILE *f = fopen(path, "w");
    for (int i = 0; f && i < n; i++) {
        char *shown = strncmp(line[i], "print(", 6) ? NULL : strstr(line[i], ")  # ");
        fprintf(f, "%s\n", line[i]);
        if (shown) want[n_want++] = shown + 5;
    }
    if (f) fclose(f);
    snprintf(command, sizeof command, "\"$PEERS_PYTHON\" \"%s\"", path);
    check(file, no, command, dir, want, n_want, 0);
    unlink(path);
}

static bool is_code(const char *line, int *code) {
    int end = 0;
    return sscanf(line, "[%d]%n", code, &end) == 1 && end && !line[end];
}

static int remove_one(const char *p, const struct stat *st, int flag, struct FTW *f) {
    (void)st, (void)flag, (void)f;
    return remove(p);
}

static void run_file(const char *file, const char *dir) {
    static char *line[LINES_MAX];
    size_t len = strlen(file);
    bool markdown = len > 3 && !strcmp(file + len - 3, ".md"), inside = !markdown;
    char *text = read_all(file);
    if (!text) {
        printf("FAIL %s: cannot be read\n", file);
        n_failed++;
        return;
    }
    int n = split(text, line);
    loose = markdown;
    for (int i = 0; i < n;) {
        if (markdown && !inside && !strcmp(line[i], "```python")) {
            int from = ++i;
            while (i < n && strcmp(line[i], "```")) i++;
            check_python(file, from, dir, line + from, i - from);
            i++;
            continue;
        }
        if (markdown && !strncmp(line[i], "```", 3)) inside = !inside && !strcmp(line[i], "```console");
        if (inside && !strncmp(line[i], "? ", 2)) {
            char out[4200];
            snprintf(out, sizeof out, "%s.out", dir);
            bool yes = run(line[i] + 2, dir, out, NULL, -1) == 0;
            unlink(out);
            if (!yes) {
                printf("skip %s:%d and what follows: %s\n", file, i + 1, line[i] + 2);
                break;
            }
        }
        if (!inside || strncmp(line[i], "$ ", 2)) {
            /* Output that belongs to no command would never be compared. */
            if (!markdown && line[i][0] && !strchr("#?", line[i][0])) {
                printf("FAIL %s:%d: neither a command nor its output: %s\n", file, i + 1, line[i]);
                n_failed++;
            }
            i++;
            continue;
        }
        char command[8192];
        int no = i + 1, at = snprintf(command, sizeof command, "%s", line[i++] + 2), code = 0, first;
        for (; i < n && !strncmp(line[i], "> ", 2) && at < (int)sizeof command; i++)
            at += snprintf(command + at, sizeof command - (size_t)at, "\n%s", line[i] + 2);
        first = i;
        /* The output ends at the exit code, an empty line before a new command or remark, or the block's end.
         */
        while (i < n && strncmp(line[i], "$ ", 2) && strncmp(line[i], "# ", 2) && strncmp(line[i], "? ", 2) &&
               !(markdown && !strncmp(line[i], "```", 3)) && !is_code(line[i], &code))
            i++;
        int n_want = i - first;
        bool coded = i < n && is_code(line[i], &code);
        if (coded) i++;
        else code = 0;
        while (n_want && !line[first + n_want - 1][0]) n_want--;
        check(file, no, command, dir, line + first, n_want, code);
    }
    free(text);
}

/* Valid until the next call. */
static const char *absolute(const char *path) {
    static char place[PATH_MAX];
    return path && *path && realpath(path, place) ? place : path;
}

static void environment(const char *dir) {
    const char *bin = getenv("EHM_BIN"), *root = getenv("EHM_TEST_ROOT"), *data = getenv("EHM_TEST_DATA"),
               *path = getenv("PATH");
    char full[3 * 4096 + 8], sets[4200], self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    if (n > 0) *strrchr(self, '/') = 0; /* this program's folder, which ehm_json_ok shares */
    snprintf(full, sizeof full, "%s:%s:%s", absolute(bin ? bin : "."), self, path ? path : "/usr/bin:/bin");
    setenv("PATH", full, 1);
    setenv("ROOT", absolute(root ? root : "."), 1);
    snprintf(sets, sizeof sets, "%s/../shared/data", root ? root : ".");
    setenv("DATA", absolute(data ? data : sets), 1);
    const char *python = getenv("PEERS_PYTHON");
    if (python && *python != '/' && strchr(python, '/') && getcwd(self, sizeof self)) {
        /* Not realpath: a virtual environment is found by the name of its link. */
        snprintf(full, sizeof full, "%s/%s", self, python);
        setenv("PEERS_PYTHON", full, 1);
    }
    setenv("HOME", dir, 1);
    setenv("LC_ALL", "C", 1);
    setenv("TERM", "dumb", 1);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("NO_COLOR");
}

int main(int argc, char **argv) {
    const char *tmp = getenv("TMPDIR");
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        char dir[4096];
        int before = n_failed;
        snprintf(dir, sizeof dir, "%s/ehm-t-XXXXXX", tmp ? tmp : "/tmp");
        if (!mkdtemp(dir)) return perror(dir), 2;
        if (i == 1) environment(dir);
        setenv("HOME", dir, 1);
        run_file(argv[i], dir);
        nftw(dir, remove_one, 32, FTW_DEPTH | FTW_PHYS);
        printf("%s %s\n", n_failed > before ? "FAIL" : "ok  ", argv[i]);
    }
    printf("%d commands, %d failed\n", n_ran, n_failed);
    return n_failed ? 1 : n_ran ? 0 : 77;
}
