/* Runs what a text shows: tests/cli/NAME.t, and the ```console blocks of Markdown files.
 *
 *     $ ehm list maks            a command, given to /bin/sh; its stderr comes with its stdout
 *     > --json                   goes on with the line before
 *     ehm: ...: must be one of   what it prints, line by line; "..." stands for any text in a line,
 *     ...                        alone for any number of lines
 *     [2]                        its exit code; without this line 0
 *     # text                     for the reader
 *     ? test -d "$DATA/x"        go on only when this succeeds, else the rest is skipped, in words
 *
 * usage: ehm_run_t FILE...
 * Environment: EHM_BIN (folder of the program), EHM_TEST_ROOT (sources), EHM_TEST_DATA (picture sets).
 * Each file has a fresh folder, which is also HOME. On the PATH: ehm, ehm_json_ok (json_ok.c).
 * Exit code 0, 1 when something differs, 77 when nothing ran.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_MAX = 1 << 20, LINES_MAX = 20000 };

static int n_ran, n_failed;

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

/* Runs the command in dir; its output goes to the file out. Returns the exit code as a shell counts it. */
static int run(const char *command, const char *dir, const char *out) {
    pid_t pid = fork();
    if (!pid) {
        int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600), in = open("/dev/null", O_RDONLY);
        if (fd < 0 || in < 0 || chdir(dir)) _exit(126);
        dup2(in, 0), dup2(fd, 1), dup2(fd, 2);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    int status = 0;
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
    char out[4200];
    snprintf(out, sizeof out, "%s.out", dir);
    int code = run(command, dir, out);
    char *text = read_all(out);
    int n_got = text ? split(text, got) : 0;
    while (n_got && !got[n_got - 1][0]) n_got--; /* as in the file, where an empty line ends the output */
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
    for (int i = 0; i < n;) {
        if (markdown && !strncmp(line[i], "```", 3)) inside = !inside && !strcmp(line[i], "```console");
        if (inside && !strncmp(line[i], "? ", 2)) {
            char out[4200];
            snprintf(out, sizeof out, "%s.out", dir);
            bool yes = run(line[i] + 2, dir, out) == 0;
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

static const char *absolute(const char *path) {
    char *p = path && *path ? realpath(path, NULL) : NULL;
    return p ? p : path;
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
