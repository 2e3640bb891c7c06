#include "base/str.h"
#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(ehm_str *b, size_t extra) {
    size_t need, cap;
    if (b->failed || !ehm_add_size(&need, b->len, extra) || !ehm_add_size(&need, need, 1))
        return b->failed = true, false;
    if (need <= b->cap) return true;
    if (!ehm_mul_size(&cap, b->cap, 2)) cap = need;
    if (cap < need) cap = need;
    if (cap < 64) cap = 64;
    char *s = realloc(b->s, cap);
    if (!s) return b->failed = true, false;
    b->s = s, b->cap = cap;
    return true;
}

void ehm_str_addn(ehm_str *b, const char *text, size_t n) {
    if (!reserve(b, n)) return;
    if (n) memcpy(b->s + b->len, text, n);
    b->len += n;
    b->s[b->len] = 0;
}

void ehm_str_add(ehm_str *b, const char *text) { ehm_str_addn(b, text, strlen(text)); }
void ehm_str_addc(ehm_str *b, char c) { ehm_str_addn(b, &c, 1); }

void ehm_str_addf(ehm_str *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
        return;
    }
    if (!reserve(b, (size_t)n)) return;
    va_start(ap, fmt);
    vsnprintf(b->s + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void ehm_str_clear(ehm_str *b) {
    b->len = 0;
    b->failed = false;
    if (b->s) b->s[0] = 0;
}

void ehm_str_free(ehm_str *b) {
    free(b->s);
    *b = (ehm_str){0};
}

const char *ehm_str_c(const ehm_str *b) { return b && b->s ? b->s : ""; }

bool ehm_starts(const char *s, const char *prefix) { return !strncmp(s, prefix, strlen(prefix)); }

bool ehm_ends(const char *s, const char *suffix) {
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && !memcmp(s + n - m, suffix, m);
}

static int lower(int c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; } /* tolower() follows the locale */

bool ehm_ends_nocase(const char *s, const char *suffix) {
    size_t n = strlen(s), m = strlen(suffix);
    if (n < m) return false;
    for (size_t i = 0; i < m; i++)
        if (lower((unsigned char)s[n - m + i]) != lower((unsigned char)suffix[i])) return false;
    return true;
}

enum { NEAR_MAX = 64 }; /* longer words are no names of ours */

/* Edit distance where a swap of neighbours counts one (optimal string alignment). */
static int distance(const char *a, int n, const char *b, int m) {
    int rows[3][NEAR_MAX + 1], *two = rows[0], *one = rows[1], *cur = rows[2];
    for (int j = 0; j <= m; j++) one[j] = j;
    for (int i = 1; i <= n; i++) {
        cur[0] = i;
        for (int j = 1; j <= m; j++) {
            int d = one[j - 1] + (a[i - 1] != b[j - 1]);
            if (one[j] + 1 < d) d = one[j] + 1;
            if (cur[j - 1] + 1 < d) d = cur[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two[j - 2] + 1 < d)
                d = two[j - 2] + 1;
            cur[j] = d;
        }
        int *t = two;
        two = one, one = cur, cur = t;
    }
    return one[m];
}

const char *ehm_nearest(const char *word, const char *const *candidates, int32_t n) {
    size_t len = strlen(word);
    if (!len || len > NEAR_MAX) return NULL;
    int best = (int)len / 3 + 2; /* the first that is not near enough */
    const char *near = NULL;
    for (int32_t i = 0; i < n; i++) {
        size_t m = strlen(candidates[i]);
        if (m > NEAR_MAX) continue;
        int d = distance(word, (int)len, candidates[i], (int)m);
        /* A distance of the whole length says that nothing is alike. */
        if (d < best && d < (int)(len > m ? len : m)) best = d, near = candidates[i];
    }
    return near;
}

bool ehm_parse_i64(const char *s, int64_t *out) {
    const char *p = s + (*s == '-' || *s == '+');
    if (!isdigit((unsigned char)*p)) return false;
    for (const char *q = p; *q; q++)
        if (!isdigit((unsigned char)*q)) return false;
    errno = 0;
    long long v = strtoll(s, NULL, 10);
    if (errno) return false;
    *out = v;
    return true;
}

/* Numbers in files and flags have a point whatever the locale of the program around us says. */
static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;
static void c_locale_make(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

static double parse_prefix(const char *s, char **end) {
    pthread_once(&c_locale_once, c_locale_make);
    return c_locale ? strtod_l(s, end, c_locale) : strtod(s, end);
}

/* strtod also takes spaces, hexadecimal, inf and nan; a setting or a file that holds those is a mistake. */
static bool decimal_start(const char *s) {
    s += *s == '-' || *s == '+';
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) return false;
    return isdigit((unsigned char)s[0]) || (s[0] == '.' && isdigit((unsigned char)s[1]));
}

bool ehm_parse_f64(const char *s, double *out) {
    char *end;
    if (!decimal_start(s)) return false;
    double v = parse_prefix(s, &end);
    if (*end || !isfinite(v)) return false;
    *out = v;
    return true;
}

bool ehm_parse_bytes(const char *s, int64_t *out) {
    static const char units[] = "kmgtp";
    char *end;
    if (!decimal_start(s) || *s == '-') return false;
    double v = parse_prefix(s, &end);
    while (*end == ' ') end++;
    const char *u = *end ? strchr(units, lower((unsigned char)*end)) : NULL;
    if (u) {
        v *= ldexp(1.0, 10 * (int)(u - units + 1)); /* memory comes in powers of two: 4G, 4GB and 4GiB are the same */
        end++;
        if (*end == 'i') end++;
    }
    if (*end == 'B' || *end == 'b') end++;
    if (*end || !(v < 9.2e18)) return false;
    *out = (int64_t)v;
    return true;
}

char *ehm_format_bytes(double bytes, char *buf) {
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    int u = 0;
    double v = bytes;
    while (fabs(v) >= 1023.5 && u < 6) v /= 1024, u++;
    int digits = u == 0 || fabs(v) >= 99.95 ? 0 : fabs(v) >= 9.995 ? 1 : 2;
    snprintf(buf, 32, "%.*f %s", digits, v, unit[u]);
    return buf;
}

char *ehm_format_seconds(double s, char *buf) {
    if (!(s >= 0) || s > 1e12) snprintf(buf, 32, "%s", s > 0 ? "for ever" : "unknown");
    else if (s < 0.9995) snprintf(buf, 32, s < 0.00995 ? "%.1f ms" : "%.0f ms", s * 1e3);
    else if (s < 59.95) snprintf(buf, 32, "%.1f s", s);
    else if (s < 3599.5) {
        long long t = llround(s);
        snprintf(buf, 32, "%lld min %02lld s", t / 60, t % 60);
    } else {
        long long t = llround(s / 60);
        if (t < 48 * 60) snprintf(buf, 32, "%lld h %02lld min", t / 60, t % 60);
        else snprintf(buf, 32, "%lld d %02lld h", t / 1440, t % 1440 / 60);
    }
    return buf;
}

char *ehm_format_count(int64_t n, char *buf) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n), neg = n < 0;
    char *p = buf;
    for (int i = 0; i < len; i++) {
        *p++ = digits[i];
        if (i >= neg && i + 1 < len && (len - i - 1) % 3 == 0) *p++ = ',';
    }
    *p = 0;
    return buf;
}

int ehm_strcmp_qsort(const void *a, const void *b) {
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y); /* strcmp compares as unsigned char, which is code point order in UTF-8 */
}

bool ehm_parse_size(const char *text, int32_t *h, int32_t *w) {
    char first[32];
    size_t n = strcspn(text, "xX");
    int64_t v[2];
    snprintf(first, sizeof first, "%.*s", (int)(n < 31 ? n : 31), text);
    if (!ehm_parse_i64(first, &v[0]) || (text[n] && !ehm_parse_i64(text + n + 1, &v[1]))) return false;
    if (!text[n]) v[1] = v[0];
    if (v[0] < 1 || v[1] < 1 || v[0] > 65536 || v[1] > 65536) return false;
    *h = (int32_t)v[0], *w = (int32_t)v[1];
    return true;
}
