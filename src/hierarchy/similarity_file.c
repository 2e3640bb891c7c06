#include "hierarchy/similarity_file.h"
#include "base/npy.h"
#include "base/str.h"
#include "hierarchy/tree.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- text ---- */

typedef struct { const char *p, *name; int64_t line; double *v; size_t n, cap; } text;

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
static bool ends_number(char c) { return !c || is_blank(c) || strchr(",;\n", c); }

static ehm_code no_text(const text *t, ehm_err *err) {
    EHM_HINT(err, "numpy.save(\"A.npy\", a) writes what is read here");
    return EHM_FAIL(err, EHM_E_FORMAT, "%s: is neither a .npy file nor a matrix as text", t->name);
}

/* Infinite and missing values are read too: the tree names the entry. */
static bool parse_number(const char *s, double *out) {
    const char *word = s + (*s == '-' || *s == '+');
    if (!strcasecmp(word, "nan") || !strcasecmp(word, "na")) return *out = (double)NAN, true;
    if (!strcasecmp(word, "inf") || !strcasecmp(word, "infinity"))
        return *out = *s == '-' ? -(double)INFINITY : (double)INFINITY, true;
    return ehm_parse_f64(s, out);
}

static ehm_code add_number(text *t, int32_t column, ehm_err *err) {
    char word[64];
    size_t n = 0;
    while (!ends_number(t->p[n])) n++;
    if (!n)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: line %lld, column %d is empty", t->name, (long long)t->line,
                        column + 1);
    snprintf(word, sizeof word, "%.*s", n < sizeof word ? (int)n : (int)sizeof word - 1, t->p);
    double v;
    if (n >= sizeof word || !parse_number(word, &v)) {
        for (const char *c = word; *c; c++) /* somebody's picture or archive */
            if ((unsigned char)*c < 0x20 || *c == 0x7f) return no_text(t, err);
        EHM_HINT(err, "a matrix as text holds numbers alone, no names of rows or columns");
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: line %lld, column %d: '%s' is no number", t->name,
                        (long long)t->line, column + 1, word);
    }
    t->p += n;
    t->v[t->n++] = v;
    return EHM_OK;
}

/* One row; n_columns 0 for a line that holds none. The caller has made room for a row of the most leaves. */
static ehm_code add_row(text *t, int32_t *n_columns, ehm_err *err) {
    *n_columns = 0;
    while (is_blank(*t->p)) t->p++;
    if (*t->p == '#') t->p += strcspn(t->p, "\n");
    while (*t->p && *t->p != '\n') {
        if (*n_columns == EHM_TREE_LEAVES_MAX)
            return EHM_FAIL(err, EHM_E_FORMAT,
                            "%s: line %lld has more than %d numbers, the most a tree has leaves", t->name,
                            (long long)t->line, EHM_TREE_LEAVES_MAX);
        EHM_TRY(add_number(t, (*n_columns)++, err));
        while (is_blank(*t->p)) t->p++;
        if (*t->p != ',' && *t->p != ';') continue;
        for (t->p++; is_blank(*t->p); t->p++) { }
        if (!*t->p || *t->p == '\n') EHM_TRY(add_number(t, *n_columns, err)); /* says that it is empty */
    }
    if (*t->p) t->p++;
    return EHM_OK;
}

static ehm_code make_room(text *t, size_t n, ehm_arena *a, ehm_err *err) {
    if (t->cap - t->n >= n) return EHM_OK;
    size_t cap = 2 * t->cap > t->n + n ? 2 * t->cap : t->n + n;
    double *v = EHM_NEW_N(a, double, cap);
    if (!v) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", t->name);
    if (t->n) memcpy(v, t->v, t->n * sizeof *v);
    t->v = v, t->cap = cap;
    return EHM_OK;
}

static ehm_code read_text(ehm_similarities *out, ehm_bytes file, const char *name, ehm_arena *a,
                          ehm_err *err) {
    text t = {.p = (const char *)file.data, .name = name, .line = 1};
    const char *end = t.p + file.len;
    int32_t n_rows = 0, n_columns, first = 0;
    if (memchr(file.data, 0, file.len)) return no_text(&t, err);
    if (ehm_starts(t.p, "\xef\xbb\xbf")) t.p += 3; /* a byte order mark, as Windows programs write */
    for (; t.p < end; t.line++) {
        EHM_TRY(make_room(&t, EHM_TREE_LEAVES_MAX, a, err));
        EHM_TRY(add_row(&t, &n_columns, err));
        if (!n_columns) continue;
        if (!first) {
            first = n_columns; /* from here on it is known how much there will be */
            EHM_TRY(make_room(&t, (size_t)first * (size_t)first + EHM_TREE_LEAVES_MAX, a, err));
        }
        if (n_columns != first)
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: line %lld has %d numbers, the first row has %d", name,
                            (long long)t.line, n_columns, first);
        if (++n_rows > first) break;
    }
    if (!n_rows) return EHM_FAIL(err, EHM_E_FORMAT, "%s: holds no numbers", name);
    if (n_rows != first)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: %s%d rows of %d numbers are not square", name,
                        n_rows > first ? "more than " : "", n_rows > first ? first : n_rows, first);
    *out = (ehm_similarities){first, 1, false, t.v};
    return EHM_OK;
}

/* ---- .npy ---- */

static ehm_code read_npy(ehm_similarities *out, ehm_bytes file, const char *name, ehm_arena *a,
                         ehm_err *err) {
    ehm_npy x;
    char shape[128];
    EHM_TRY(ehm_npy_parse(&x, file, name, a, err));
    ehm_npy_shape(&x, shape);
    if (x.rank != 2 && x.rank != 3) {
        EHM_HINT(err, "similarities are N x N, or B x N x N for many matrices at once");
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: shape %s is no matrix of similarities", name, shape);
    }
    int64_t b = x.rank == 3 ? x.dim[0] : 1, n = x.dim[x.rank - 1];
    if (x.dim[x.rank - 2] != n)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: shape %s is not square", name, shape);
    if (!n || !b) return EHM_FAIL(err, EHM_E_FORMAT, "%s: shape %s holds no similarities", name, shape);
    if (n > EHM_TREE_LEAVES_MAX)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: %lld items, a tree has at most %d leaves", name, (long long)n,
                        EHM_TREE_LEAVES_MAX);
    if (b > INT32_MAX) return EHM_FAIL(err, EHM_E_FORMAT, "%s: %lld matrices", name, (long long)b);
    *out = (ehm_similarities){(int32_t)n, (int32_t)b, x.rank == 3, x.data};
    if (!strcmp(x.type, "f8")) return EHM_OK;
    double *v = EHM_NEW_N(a, double, x.count);
    if (!v) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for %s numbers", name, shape);
    ehm_npy_f64(v, &x, 0, x.count);
    out->matrix = v;
    return EHM_OK;
}

ehm_code ehm_similarities_read(ehm_similarities *out, const char *path, ehm_arena *a, ehm_err *err) {
    const char *name = strcmp(path, "-") ? path : "standard input";
    ehm_bytes file;
    *out = (ehm_similarities){0};
    EHM_TRY(ehm_npy_bytes(&file, path, a, err));
    if (!file.len) return EHM_FAIL(err, EHM_E_FORMAT, "%s: is empty", name);
    return ehm_is_npy(file) ? read_npy(out, file, name, a, err) : read_text(out, file, name, a, err);
}
