#include "base/json.h"
#include "base/file.h"
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- writer ---- */

static uint64_t level_bit(int32_t depth) { return (uint64_t)1 << (depth & 63); }

static void new_line(ehm_json_w *w, int32_t depth) {
    ehm_str_addc(w->out, '\n');
    for (int32_t i = 0; i < depth * w->indent; i++) ehm_str_addc(w->out, ' ');
}

/* Comma and line break before an item; nothing after a key. */
static void before_item(ehm_json_w *w) {
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (!w->depth) return;
    if (w->has_item & level_bit(w->depth)) ehm_str_add(w->out, w->indent ? "," : ", ");
    w->has_item |= level_bit(w->depth);
    if (w->indent) new_line(w, w->depth);
}

static void open_level(ehm_json_w *w, char c, bool is_array) {
    before_item(w);
    ehm_str_addc(w->out, c);
    w->depth++;
    EHM_ASSERT(w->depth < 64);
    w->has_item &= ~level_bit(w->depth);
    w->is_array = is_array ? w->is_array | level_bit(w->depth) : w->is_array & ~level_bit(w->depth);
}

void ehm_json_obj(ehm_json_w *w) { open_level(w, '{', false); }
void ehm_json_arr(ehm_json_w *w) { open_level(w, '[', true); }

void ehm_json_end(ehm_json_w *w) {
    EHM_ASSERT(w->depth > 0);
    if (w->indent && (w->has_item & level_bit(w->depth))) new_line(w, w->depth - 1);
    ehm_str_addc(w->out, w->is_array & level_bit(w->depth) ? ']' : '}');
    w->depth--;
}

/* Length of the UTF-8 character at s, 0 when it is none: overlong forms, surrogates and beyond U+10FFFF are refused. */
static int utf8_length(const unsigned char *s, size_t left) {
    if (s[0] < 0x80) return 1;
    int n = s[0] >= 0xf0 && s[0] <= 0xf4  ? 4
            : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
            : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                                          : 0;
    if (!n || left < (size_t)n) return 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

static void add_quoted(ehm_str *b, const char *text) {
    const unsigned char *s = (const unsigned char *)text;
    size_t left = strlen(text);
    ehm_str_addc(b, '"');
    while (left) {
        int n = utf8_length(s, left);
        if (!n) {
            ehm_str_add(b, "\xef\xbf\xbd");
            s++, left--;
            continue;
        }
        switch (*s) {
        case '"': ehm_str_add(b, "\\\""); break;
        case '\\': ehm_str_add(b, "\\\\"); break;
        case '\n': ehm_str_add(b, "\\n"); break;
        case '\r': ehm_str_add(b, "\\r"); break;
        case '\t': ehm_str_add(b, "\\t"); break;
        default:
            if (*s < 0x20 || *s == 0x7f) ehm_str_addf(b, "\\u%04x", *s);
            else ehm_str_addn(b, (const char *)s, (size_t)n);
        }
        s += n, left -= (size_t)n;
    }
    ehm_str_addc(b, '"');
}

void ehm_json_key(ehm_json_w *w, const char *key) {
    before_item(w);
    add_quoted(w->out, key);
    ehm_str_add(w->out, ": ");
    w->after_key = true;
}

void ehm_json_str(ehm_json_w *w, const char *s) {
    before_item(w);
    if (s) add_quoted(w->out, s);
    else ehm_str_add(w->out, "null");
}

static void add_text(ehm_json_w *w, const char *text) {
    before_item(w);
    ehm_str_add(w->out, text);
}

/* printf follows the locale of the program around us; JSON has a point. */
static void use_point(char *s) {
    const struct lconv *l = localeconv();
    const char *point = l && l->decimal_point && *l->decimal_point ? l->decimal_point : ".";
    size_t n = strlen(point);
    char *p = strcmp(point, ".") ? strstr(s, point) : NULL;
    if (!p) return;
    *p = '.';
    memmove(p + 1, p + n, strlen(p + n) + 1);
}

static const char *not_finite(double v) { return isnan(v) ? "\"nan\"" : v > 0 ? "\"inf\"" : "\"-inf\""; }

void ehm_json_f64(ehm_json_w *w, double v) {
    char t[64];
    if (!isfinite(v)) {
        add_text(w, not_finite(v));
        return;
    }
    /* 15 digits always survive the way back, so nothing shorter is missed by starting there, subnormal numbers apart. */
    for (int digits = fpclassify(v) == FP_SUBNORMAL ? 1 : 15; digits <= 17; digits++) {
        snprintf(t, sizeof t, "%.*g", digits, v);
        if (strtod(t, NULL) == v) break;
    }
    use_point(t);
    add_text(w, t);
}

void ehm_json_f32(ehm_json_w *w, float v) {
    char t[64];
    if (!isfinite(v)) {
        add_text(w, not_finite((double)v));
        return;
    }
    for (int digits = fpclassify(v) == FP_SUBNORMAL ? 1 : 6; digits <= 9; digits++) {
        snprintf(t, sizeof t, "%.*g", digits, (double)v);
        if (strtof(t, NULL) == v) break;
    }
    use_point(t);
    add_text(w, t);
}

void ehm_json_i64(ehm_json_w *w, int64_t v) {
    char t[32];
    snprintf(t, sizeof t, "%" PRId64, v);
    add_text(w, t);
}

void ehm_json_bool(ehm_json_w *w, bool v) { add_text(w, v ? "true" : "false"); }
void ehm_json_null(ehm_json_w *w) { add_text(w, "null"); }
void ehm_json_raw(ehm_json_w *w, const char *json) { add_text(w, json); }

/* ---- reader ---- */

enum { DEPTH_MAX = 64, NODES_FIRST = 8, NODES_MOST = 1024 };

typedef struct {
    const char *start, *p, *end, *name;
    char *text;      /* all strings, one after the other: decoded, with their NUL, they are never longer than the source */
    ehm_json *slab;  /* nodes come in slabs; one arena request each would cost 128 bytes a number */
    int32_t slab_left, slab_next;
    ehm_arena *a;
    ehm_err *err;
} reader;

static ehm_code bad(const reader *r, const char *at, const char *fmt, const char *arg) {
    char what[256];
    int64_t line = 1, column = 1;
    for (const char *p = r->start; p < at; p++) {
        column++;
        if (*p == '\n') line++, column = 1;
    }
    snprintf(what, sizeof what, fmt, arg);
    return EHM_FAIL(r->err, EHM_E_FORMAT, "%s:%" PRId64 ":%" PRId64 ": %s", r->name, line, column, what);
}

static ehm_code no_memory(const reader *r) {
    return EHM_FAIL(r->err, EHM_E_MEMORY, "%s: no memory to read this JSON", r->name);
}

static ehm_json *node_new(reader *r) {
    if (!r->slab_left) {
        r->slab = EHM_NEW_N(r->a, ehm_json, r->slab_next);
        if (!r->slab) return NULL;
        r->slab_left = r->slab_next;
        if (r->slab_next < NODES_MOST) r->slab_next *= 2;
    }
    r->slab_left--;
    return r->slab++;
}

static void skip_space(reader *r) {
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t')) r->p++;
}

static bool read_hex4(reader *r, uint32_t *out) {
    if (r->end - r->p < 4) return false;
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = *r->p++;
        uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 16;
        if (d > 15) return false;
        v = v << 4 | d;
    }
    *out = v;
    return true;
}

static void put_utf8(reader *r, uint32_t c) {
    if (c < 0x80) *r->text++ = (char)c;
    else if (c < 0x800) *r->text++ = (char)(0xc0 | c >> 6), *r->text++ = (char)(0x80 | (c & 63));
    else {
        if (c < 0x10000) *r->text++ = (char)(0xe0 | c >> 12);
        else *r->text++ = (char)(0xf0 | c >> 18), *r->text++ = (char)(0x80 | (c >> 12 & 63));
        *r->text++ = (char)(0x80 | (c >> 6 & 63)), *r->text++ = (char)(0x80 | (c & 63));
    }
}

static ehm_code read_escape(reader *r) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = r->p - 1;
    if (r->p == r->end) return bad(r, at, "text ends inside a string", NULL);
    char c = *r->p++;
    const char *simple = c ? strchr(from, c) : NULL;
    if (simple) {
        *r->text++ = to[simple - from];
        return EHM_OK;
    }
    uint32_t u, low;
    if (c != 'u') return bad(r, at, "unknown escape in a string", NULL);
    if (!read_hex4(r, &u)) return bad(r, at, "\\u needs four hexadecimal digits", NULL);
    if (u == 0) return bad(r, at, "\\u0000 in a string is not accepted", NULL);
    if (u >= 0xdc00 && u < 0xe000) return bad(r, at, "half of a surrogate pair in a string", NULL);
    if (u >= 0xd800 && u < 0xdc00) {
        if (r->end - r->p < 6 || r->p[0] != '\\' || r->p[1] != 'u')
            return bad(r, at, "half of a surrogate pair in a string", NULL);
        r->p += 2;
        if (!read_hex4(r, &low) || low < 0xdc00 || low >= 0xe000)
            return bad(r, at, "half of a surrogate pair in a string", NULL);
        u = 0x10000 + ((u - 0xd800) << 10 | (low - 0xdc00));
    }
    put_utf8(r, u);
    return EHM_OK;
}

static ehm_code read_string(reader *r, const char **out) {
    const char *at = r->p++;
    *out = r->text;
    for (;;) {
        if (r->p == r->end) return bad(r, at, "this string has no end", NULL);
        unsigned char c = (unsigned char)*r->p;
        if (c == '"') break;
        if (c == '\\') {
            r->p++;
            EHM_TRY(read_escape(r));
            continue;
        }
        if (c < 0x20) return bad(r, r->p, "control character in a string", NULL);
        int n = utf8_length((const unsigned char *)r->p, (size_t)(r->end - r->p));
        if (!n) return bad(r, r->p, "a string is not UTF-8", NULL);
        while (n--) *r->text++ = *r->p++;
    }
    r->p++;
    *r->text++ = 0;
    return EHM_OK;
}

static bool digits(reader *r) {
    const char *at = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9') r->p++;
    return r->p > at;
}

static ehm_code read_number(reader *r, ehm_json *v) {
    const char *at = r->p;
    bool whole = true;
    if (*r->p == '-') r->p++;
    const char *first = r->p;
    if (!digits(r) || (*first == '0' && r->p > first + 1)) return bad(r, at, "this is no JSON number", NULL);
    if (r->p < r->end && *r->p == '.') {
        r->p++, whole = false;
        if (!digits(r)) return bad(r, at, "this is no JSON number", NULL);
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        r->p++, whole = false;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-')) r->p++;
        if (!digits(r)) return bad(r, at, "this is no JSON number", NULL);
    }
    size_t n = (size_t)(r->p - at);
    v->kind = EHM_JSON_NUM;
    v->str = r->text;
    memcpy(r->text, at, n);
    r->text += n;
    *r->text++ = 0;
    v->is_int = whole && ehm_parse_i64(v->str, &v->i64);
    if (!ehm_parse_f64(v->str, &v->num)) return bad(r, at, "number out of range: %s", v->str);
    return EHM_OK;
}

static ehm_code read_word(reader *r, ehm_json *v) {
    static const struct { const char *word; ehm_json_kind kind; double num; } words[] = {
        {"true", EHM_JSON_BOOL, 1}, {"false", EHM_JSON_BOOL, 0}, {"null", EHM_JSON_NULL, 0}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i].word);
        if ((size_t)(r->end - r->p) < n || memcmp(r->p, words[i].word, n)) continue;
        r->p += n;
        v->kind = words[i].kind, v->num = words[i].num;
        return EHM_OK;
    }
    return bad(r, r->p, "a value is expected here", NULL);
}

static int by_key(const void *a, const void *b) {
    const ehm_json *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

/* Sorted, for a hostile file may have a million keys. */
static ehm_code check_keys(reader *r, const ehm_json *obj, const char *at) {
    if (obj->n < 2) return EHM_OK;
    const ehm_json **v = malloc((size_t)obj->n * sizeof *v);
    if (!v) return no_memory(r);
    int32_t n = 0;
    for (const ehm_json *c = obj->first; c; c = c->next) v[n++] = c;
    qsort(v, (size_t)n, sizeof *v, by_key);
    ehm_code rc = EHM_OK;
    for (int32_t i = 1; i < n && !rc; i++)
        if (!strcmp(v[i - 1]->key, v[i]->key))
            rc = bad(r, at, "this object has the key \"%s\" twice", v[i]->key);
    free(v);
    return rc;
}

static ehm_code read_value(reader *r, ehm_json *v, int depth);

static ehm_code read_children(reader *r, ehm_json *v, int depth) {
    const char *at = r->p++;
    bool obj = *at == '{';
    ehm_json **link = &v->first;
    v->kind = obj ? EHM_JSON_OBJ : EHM_JSON_ARR;
    if (depth > DEPTH_MAX) return bad(r, at, "nested deeper than 64 levels", NULL);
    skip_space(r);
    if (r->p < r->end && *r->p == (obj ? '}' : ']')) return r->p++, EHM_OK;
    for (;;) {
        ehm_json *c = v->n < INT32_MAX ? node_new(r) : NULL;
        if (!c) return no_memory(r);
        skip_space(r);
        if (obj) {
            if (r->p == r->end || *r->p != '"') return bad(r, r->p, "a key in quotes is expected here", NULL);
            EHM_TRY(read_string(r, &c->key));
            skip_space(r);
            if (r->p == r->end || *r->p != ':')
                return bad(r, r->p, "':' is expected after the key \"%s\"", c->key);
            r->p++;
        }
        EHM_TRY(read_value(r, c, depth));
        *link = c, link = &c->next, v->n++;
        skip_space(r);
        if (r->p < r->end && *r->p == (obj ? '}' : ']')) break;
        if (r->p == r->end) return bad(r, at, obj ? "this object has no end" : "this list has no end", NULL);
        if (*r->p != ',')
            return bad(r, r->p, obj ? "',' or '}' is expected here" : "',' or ']' is expected here", NULL);
        r->p++;
    }
    r->p++;
    return obj ? check_keys(r, v, at) : EHM_OK;
}

static ehm_code read_value(reader *r, ehm_json *v, int depth) {
    skip_space(r);
    if (r->p == r->end) return bad(r, r->p, "text ends where a value is expected", NULL);
    switch (*r->p) {
    case '{':
    case '[': return read_children(r, v, depth + 1);
    case '"': v->kind = EHM_JSON_STR; return read_string(r, &v->str);
    case '-':
    case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9': return read_number(r, v);
    default: return read_word(r, v);
    }
}

ehm_code ehm_json_parse(ehm_json **out, const char *text, size_t len, const char *name, ehm_arena *a,
                        ehm_err *err) {
    reader r = {.start = text,
                .p = text,
                .end = text + len,
                .name = name,
                .slab_next = NODES_FIRST,
                .a = a,
                .err = err};
    size_t cap;
    *out = NULL;
    if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) r.p += 3; /* some editors put this mark before UTF-8 */
    /* A number takes its digits and a NUL where the source has its digits and, but for the last one, a delimiter. */
    r.text = ehm_add_size(&cap, len, 1) ? ehm_arena_alloc(a, cap, 1) : NULL;
    ehm_json *root = r.text ? node_new(&r) : NULL;
    if (!root) return no_memory(&r);
    EHM_TRY(read_value(&r, root, 0));
    skip_space(&r);
    if (r.p < r.end) return bad(&r, r.p, "text after the end of the JSON value", NULL);
    *out = root;
    return EHM_OK;
}

ehm_code ehm_json_read_file(ehm_json **out, const char *path, ehm_arena *a, ehm_err *err) {
    ehm_bytes b;
    *out = NULL;
    EHM_TRY(ehm_file_read(&b, path, a, err));
    return ehm_json_parse(out, (const char *)b.data, b.len, path, a, err);
}

const ehm_json *ehm_json_get(const ehm_json *obj, const char *key) {
    if (!obj || obj->kind != EHM_JSON_OBJ) return NULL;
    for (const ehm_json *c = obj->first; c; c = c->next)
        if (!strcmp(c->key, key)) return c;
    return NULL;
}

double ehm_json_num_or(const ehm_json *obj, const char *key, double otherwise) {
    const ehm_json *v = ehm_json_get(obj, key);
    return v && v->kind == EHM_JSON_NUM ? v->num : otherwise;
}

int64_t ehm_json_i64_or(const ehm_json *obj, const char *key, int64_t otherwise) {
    const ehm_json *v = ehm_json_get(obj, key);
    return v && v->kind == EHM_JSON_NUM && v->is_int ? v->i64 : otherwise;
}

const char *ehm_json_str_or(const ehm_json *obj, const char *key, const char *otherwise) {
    const ehm_json *v = ehm_json_get(obj, key);
    return v && v->kind == EHM_JSON_STR ? v->str : otherwise;
}
