#include "harness.h"
#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_TESTS = 4096 };
static struct { const char *suite, *name; ehm_test_fn fn; } tests[MAX_TESTS];
static int n_tests, n_failed_here;
static char skip_why[512];
static char tmp_dir[512];
static jmp_buf leave;

void ehm_test_register(const char *suite, const char *name, ehm_test_fn fn) {
    if (n_tests == MAX_TESTS) fprintf(stderr, "too many tests\n"), exit(2);
    tests[n_tests].suite = suite, tests[n_tests].name = name, tests[n_tests++].fn = fn;
}
void ehm_test_fail(const char *file, int line, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    printf("  FAIL %s:%d: ", file, line);
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
    n_failed_here++;
}
bool ehm_test_check_ok(const char *file, int line, const char *what, ehm_code rc, const ehm_err *err) {
    char text[EHM_ERR_TEXT];
    if (!rc) return true;
    ehm_test_fail(file, line, "%s gave %s: %s", what, ehm_code_name(rc), err ? ehm_err_text(err, text) : "");
    return false;
}
bool ehm_test_near(const char *file, int line, const char *what, double got, double want, double tol) {
    if (fabs(got - want) <= tol) return true;
    ehm_test_fail(file, line, "%s is %.17g, expected %.17g within %g (off by %g)", what, got, want, tol, fabs(got - want));
    return false;
}
bool ehm_test_close_f32(const char *file, int line, const char *what, const float *got, const float *want, int64_t n, double tol) {
    double top = 0, worst = -1;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        double w = fabs((double)want[i]), e = fabs((double)got[i] - (double)want[i]);
        if (w > top) top = w;
        if (!(e <= worst)) worst = e, at = i;
        if (!isfinite(got[i]) && isfinite(want[i])) { worst = INFINITY, at = i; break; }
    }
    if (worst <= tol * (top > 0 ? top : 1)) return true;
    ehm_test_fail(file, line, "%s: element %lld of %lld is %.9g, expected %.9g (error %g of largest %g, bound %g)", what, (long long)at,
                  (long long)n, (double)got[at], (double)want[at], worst, top, tol);
    return false;
}
void ehm_test_leave(void) { longjmp(leave, 1); }
void ehm_test_skip(const char *why) {
    snprintf(skip_why, sizeof skip_why, "%s", why);
    longjmp(leave, 2);
}
uint64_t ehm_test_seed(void) {
    const char *s = getenv("SEED");
    return s ? strtoull(s, NULL, 10) : 1;
}
const char *ehm_test_root(void) {
    const char *r = getenv("EHM_TEST_ROOT");
#ifdef EHM_SOURCE_ROOT
    if (!r) r = EHM_SOURCE_ROOT;
#endif
    return r ? r : ".";
}
static char *slot(void) {
    static char s[8][1024];
    static int i;
    return s[i++ & 7];
}
const char *ehm_test_path(const char *rel) {
    char *s = slot();
    snprintf(s, 1024, "%s/%s", ehm_test_root(), rel);
    return s;
}
const char *ehm_test_data(const char *rel) {
    const char *d = getenv("EHM_TEST_DATA");
    char *s = slot();
    if (d) snprintf(s, 1024, "%s/%s", d, rel);
    else snprintf(s, 1024, "%s/../shared/data/%s", ehm_test_root(), rel);
    if (access(s, R_OK)) {
        char why[600];
        snprintf(why, sizeof why, "real picture set %.400s is not here (set EHM_TEST_DATA to the folder that holds it)", rel);
        ehm_test_skip(why);
    }
    return s;
}
static int unlink_one(const char *p, const struct stat *st, int flag, struct FTW *f) {
    (void)st, (void)flag, (void)f;
    chmod(p, 0700);
    return remove(p);
}
static void tmp_remove(void) {
    if (tmp_dir[0]) nftw(tmp_dir, unlink_one, 32, FTW_DEPTH | FTW_PHYS);
    tmp_dir[0] = 0;
}
const char *ehm_test_tmp(void) {
    if (!tmp_dir[0]) {
        const char *t = getenv("TMPDIR");
        snprintf(tmp_dir, sizeof tmp_dir, "%s/ehm-test-XXXXXX", t ? t : "/tmp");
        if (!mkdtemp(tmp_dir)) perror(tmp_dir), exit(2);
    }
    return tmp_dir;
}
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static bool wanted(int i, const char *what) {
    const char *sep = strstr(what, "::");
    size_t n = sep ? (size_t)(sep - what) : strlen(what);
    if (strncmp(tests[i].suite, what, n) || tests[i].suite[n]) return false;
    return !sep || !strcmp(tests[i].name, sep + 2);
}
static int by_name(const void *a, const void *b) {
    const char *const *x = a, *const *y = b;
    int c = strcmp(x[0], y[0]);
    return c ? c : strcmp(x[1], y[1]);
}
int main(int argc, char **argv) {
    volatile int ran = 0, failed = 0, skipped = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    qsort(tests, (size_t)n_tests, sizeof tests[0], by_name);
    for (volatile int at = 0; at < n_tests; at++) {
        int i = at;
        bool use = argc < 2;
        if (argc > 1 && !strcmp(argv[1], "--list")) {
            printf("%s::%s\n", tests[i].suite, tests[i].name);
            continue;
        }
        for (int k = 1; k < argc; k++) use |= wanted(i, argv[k]);
        if (!use) continue;
        n_failed_here = 0, skip_why[0] = 0;
        double t = now();
        int how = setjmp(leave);
        if (!how) tests[i].fn();
        tmp_remove();
        if (how == 2 && !n_failed_here) skipped++, printf("skip %s::%s: %s\n", tests[i].suite, tests[i].name, skip_why);
        else {
            ran++, failed += n_failed_here > 0;
            printf("%s %s::%s (%.2f s)\n", n_failed_here ? "FAIL" : "ok  ", tests[i].suite, tests[i].name, now() - t);
            if (n_failed_here) printf("  again: make test T=%s::%s\n", tests[i].suite, tests[i].name);
        }
    }
    if (argc > 1 && !strcmp(argv[1], "--list")) return 0;
    if (!ran && !skipped) {
        fprintf(stderr, "no test matches\n");
        return 2;
    }
    printf("%d passed, %d failed, %d skipped\n", ran - failed, failed, skipped);
    return failed ? 1 : ran ? 0 : 77;
}
