#include "base/npy.h"
#include "base/file.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEAD_MAX = 65536, HEAD_ROOM = 192, FIRST_DIM_DIGITS = 21 };
static const char magic[6] = "\x93NUMPY";

/* ---- bytes ---- */

ehm_code ehm_npy_bytes(ehm_bytes *out, const char *path, ehm_arena *a, ehm_err *err) {
    *out = (ehm_bytes){0};
    return strcmp(path, "-") ? ehm_file_read(out, path, a, err) : ehm_file_read_fd(out, STDIN_FILENO, "standard input", a, err);
}

bool ehm_is_npy(ehm_bytes file) { return file.len >= 6 && !memcmp(file.data, magic, 6); }

/* ---- the header: a Python dictionary of three known keys ---- */

typedef struct {
    const char *p, *name; /* the text ends with NUL; name is for messages */
    bool has_descr, has_order, has_shape;
    ehm_npy_head *out;
} header;

static void skip_space(header *h) { h->p += strspn(h->p, " \t\r\n"); }

static bool take(header *h, const char *word) {
    skip_space(h);
    size_t n = strlen(word);
    if (strncmp(h->p, word, n)) return false;
    h->p += n;
    return true;
}

static ehm_code broken(const header *h, const char *what, ehm_err *err) {
    return EHM_FAIL(err, EHM_E_FORMAT, "%s: %s in the header of the .npy file", h->name, what);
}

/* 'text' or "text" into buf, cut to its size; NumPy writes no escapes here. */
static bool take_quoted(header *h, char *buf, size_t size) {
    skip_space(h);
    char quote = *h->p;
    if (quote != '\'' && quote != '"') return false;
    const char *end = strchr(h->p + 1, quote);
    if (!end) return false;
    snprintf(buf, size, "%.*s", (int)(end - h->p - 1), h->p + 1);
    h->p = end + 1;
    return true;
}

static ehm_code read_descr(header *h, ehm_err *err) {
    static const char *const known[] = {"f2", "f4", "f8", "u1", "u2", "u4",
                                        "u8", "i1", "i2", "i4", "i8", "b1"};
    char kind[40]; /* as written */
    skip_space(h);
    if (*h->p == '[') {
        EHM_HINT(err, "save one field: a['name']");
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: an array of records is not read", h->name);
    }
    if (!take_quoted(h, kind, sizeof kind)) return broken(h, "no descr", err);
    const char *type = kind + (kind[0] && strchr("<>|=", kind[0]) ? 1 : 0);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(type, known[i])) continue;
        memcpy(h->out->type, known[i], 3);
        h->out->item_bytes = type[1] - '0';
        h->out->big_endian = kind[0] == '>';
        h->has_descr = true;
        return EHM_OK;
    }
    if (*type == 'O') EHM_HINT(err, "Python objects need Python: save it as numbers, a.astype('float32')");
    else EHM_HINT(err, "save it as whole or real numbers, a.astype('float32')");
    return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: elements of type '%s' are not read", h->name, kind);
}

static ehm_code read_shape(header *h, ehm_err *err) {
    if (!take(h, "(")) return broken(h, "no shape", err);
    while (!take(h, ")")) {
        char *end;
        skip_space(h);
        errno = 0;
        long long v = *h->p >= '0' && *h->p <= '9' ? strtoll(h->p, &end, 10) : -1;
        if (v < 0 || errno) return broken(h, "a broken shape", err);
        if (h->out->rank == EHM_NPY_RANK_MAX)
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: more than %d dimensions", h->name, EHM_NPY_RANK_MAX);
        h->out->dim[h->out->rank++] = v;
        h->p = *end == 'L' ? end + 1 : end; /* Python 2 wrote 3L */
        skip_space(h);
        if (!take(h, ",") && *h->p != ')') return broken(h, "a broken shape", err);
    }
    h->has_shape = true;
    return EHM_OK;
}

static ehm_code read_dict(header *h, ehm_err *err) {
    char key[20];
    if (!take(h, "{")) return broken(h, "no dictionary", err);
    while (!take(h, "}")) {
        if (!take_quoted(h, key, sizeof key) || !take(h, ":")) return broken(h, "a broken entry", err);
        if (!strcmp(key, "descr") && !h->has_descr) EHM_TRY(read_descr(h, err));
        else if (!strcmp(key, "shape") && !h->has_shape) EHM_TRY(read_shape(h, err));
        else if (!strcmp(key, "fortran_order") && !h->has_order) {
            h->out->fortran_order = take(h, "True");
            if (!h->out->fortran_order && !take(h, "False")) return broken(h, "a broken fortran_order", err);
            h->has_order = true;
        } else return broken(h, "an unknown or doubled entry", err);
        if (take(h, ",")) continue;
        skip_space(h);
        if (*h->p != '}') return broken(h, "a broken entry", err);
    }
    skip_space(h);
    if (*h->p) return broken(h, "text behind the dictionary", err);
    if (!h->has_descr) return broken(h, "no descr", err);
    if (!h->has_shape) return broken(h, "no shape", err);
    if (!h->has_order) return broken(h, "no fortran_order", err);
    return EHM_OK;
}

/* Elements and bytes of this shape; false when no memory could hold it. */
static bool count_shape(int64_t *count, size_t *bytes, int32_t rank, const int64_t *dim, int32_t item_bytes) {
    size_t n = 1;
    *count = 0, *bytes = 0;
    for (int32_t i = 0; i < rank; i++) /* a 0 makes it empty whatever the others are */
        if (!dim[i]) return true;
    for (int32_t i = 0; i < rank; i++)
        if (!ehm_mul_size(&n, n, (size_t)dim[i])) return false;
    if (!ehm_mul_size(bytes, n, (size_t)item_bytes) || *bytes > PTRDIFF_MAX) return false;
    *count = (int64_t)n;
    return true;
}

size_t ehm_npy_head_bytes(const uint8_t b[12]) {
    if (memcmp(b, magic, 6) || b[6] < 1 || b[6] > 3) return 0;
    size_t n = (size_t)b[8] | (size_t)b[9] << 8;
    if (b[6] == 1) return 10 + n;
    n |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
    return n > HEAD_MAX ? 0 : 12 + n;
}

ehm_code ehm_npy_head_parse(ehm_npy_head *out, const uint8_t *bytes, const char *name, ehm_err *err) {
    size_t at = bytes[6] == 1 ? 10 : 12;
    header h = {.name = name, .out = out};
    *out = (ehm_npy_head){.data_at = ehm_npy_head_bytes(bytes)};
    if (!out->data_at) return EHM_FAIL(err, EHM_E_FORMAT, "%s: is no .npy file of version 1 to 3", name);
    char *text = strndup((const char *)bytes + at, out->data_at - at);
    if (!text) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", name);
    h.p = text;
    ehm_code rc = read_dict(&h, err);
    free(text);
    if (rc) return rc;
    if (!count_shape(&out->count, &out->data_bytes, out->rank, out->dim, out->item_bytes))
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: a shape beyond all memory", name);
    return EHM_OK;
}

/* ---- the numbers ---- */

static void swap_bytes(uint8_t *p, int64_t n, int32_t size) {
    for (int64_t i = 0; i < n; i++, p += size)
        for (int32_t k = 0; k < size / 2; k++) {
            uint8_t x = p[k];
            p[k] = p[size - 1 - k], p[size - 1 - k] = x;
        }
}

/* First index fastest to last index fastest. */
static void to_c_order(uint8_t *dst, const uint8_t *src, const ehm_npy *x, int32_t size) {
    int64_t at[EHM_NPY_RANK_MAX] = {0}, stride[EHM_NPY_RANK_MAX], from = 0, step = 1;
    for (int32_t d = 0; d < x->rank; d++) stride[d] = step, step *= x->dim[d];
    for (int64_t i = 0; i < x->count; i++) {
        memcpy(dst + i * size, src + from * size, (size_t)size);
        for (int32_t d = x->rank - 1; d >= 0; d--) {
            from += stride[d];
            if (++at[d] < x->dim[d]) break;
            from -= stride[d] * x->dim[d], at[d] = 0;
        }
    }
}

ehm_code ehm_npy_parse(ehm_npy *out, ehm_bytes file, const char *name, ehm_arena *a, ehm_err *err) {
    ehm_npy_head h;
    *out = (ehm_npy){0};
    if (!file.len) return EHM_FAIL(err, EHM_E_FORMAT, "%s: is empty", name);
    if (!ehm_is_npy(file)) return EHM_FAIL(err, EHM_E_FORMAT, "%s: is no .npy file", name);
    if (file.len < 12 || ehm_npy_head_bytes(file.data) > file.len)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: ends within the header of a .npy file", name);
    EHM_TRY(ehm_npy_head_parse(&h, file.data, name, err));
    memcpy(out->type, h.type, sizeof out->type);
    memcpy(out->dim, h.dim, sizeof out->dim);
    out->rank = h.rank, out->count = h.count;
    uint8_t *data = file.data + h.data_at;
    size_t have = file.len - h.data_at;
    if (h.data_bytes != have) {
        char shape[128];
        return EHM_FAIL(err, EHM_E_FORMAT,
                        "%s: %s; shape %s of type %s takes %zu bytes, the file has %zu after its header", name,
                        have < h.data_bytes ? "is cut short" : "has trailing bytes",
                        ehm_npy_shape(out, shape), out->type, h.data_bytes, have);
    }
    /* NumPy aligns to 64 bytes, others and its old versions to less; the header's room is free by now. */
    if ((uintptr_t)data % (uintptr_t)h.item_bytes) data = memmove(file.data, data, have);
    if (h.big_endian) swap_bytes(data, out->count, h.item_bytes);
    if (h.fortran_order && out->rank > 1 && out->count) {
        uint8_t *turned = ehm_arena_alloc(a, have, 1);
        if (!turned) {
            char t[32];
            return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for its %s", name,
                            ehm_format_bytes((double)have, t));
        }
        to_c_order(turned, data, out, h.item_bytes);
        data = turned;
    }
    out->data = data;
    return EHM_OK;
}

ehm_code ehm_npy_read(ehm_npy *out, const char *path, ehm_arena *a, ehm_err *err) {
    ehm_bytes file;
    *out = (ehm_npy){0};
    EHM_TRY(ehm_npy_bytes(&file, path, a, err));
    return ehm_npy_parse(out, file, strcmp(path, "-") ? path : "standard input", a, err);
}

static float half(uint16_t x) {
    uint32_t sign = (uint32_t)(x >> 15) << 31, exponent = x >> 10 & 31u, digits = x & 1023u, u;
    float f;
    if (exponent == 0) { /* zero and what is below 2^-14: exact in f32 */
        f = (float)digits * 0x1p-24f;
        return sign ? -f : f;
    }
    u = sign | (exponent == 31 ? 255u : exponent + 112u) << 23 | digits << 13;
    memcpy(&f, &u, 4);
    return f;
}

#define CONVERT(T, value)                                             \
    do {                                                              \
        const T *p = (const T *)a->data + first;                      \
        for (int64_t i = 0; i < n; i++) dst[i] = (value);             \
    } while (0)
#define CONVERT_ANY(D)                                                \
    switch (a->type[0] << 8 | a->type[1]) {                           \
    case 'f' << 8 | '2': CONVERT(uint16_t, (D)half(p[i])); break;     \
    case 'f' << 8 | '4': CONVERT(float, (D)p[i]); break;              \
    case 'f' << 8 | '8': CONVERT(double, (D)p[i]); break;             \
    case 'u' << 8 | '1': CONVERT(uint8_t, (D)p[i]); break;            \
    case 'u' << 8 | '2': CONVERT(uint16_t, (D)p[i]); break;           \
    case 'u' << 8 | '4': CONVERT(uint32_t, (D)p[i]); break;           \
    case 'u' << 8 | '8': CONVERT(uint64_t, (D)p[i]); break;           \
    case 'i' << 8 | '1': CONVERT(int8_t, (D)p[i]); break;             \
    case 'i' << 8 | '2': CONVERT(int16_t, (D)p[i]); break;            \
    case 'i' << 8 | '4': CONVERT(int32_t, (D)p[i]); break;            \
    case 'i' << 8 | '8': CONVERT(int64_t, (D)p[i]); break;            \
    case 'b' << 8 | '1': CONVERT(uint8_t, (D)(p[i] != 0)); break;     \
    default: EHM_ASSERT(!"a type that ehm_npy_read gives");           \
    }

void ehm_npy_f64(double *dst, const ehm_npy *a, int64_t first, int64_t n) {
    EHM_ASSERT(first >= 0 && n >= 0 && first <= a->count && n <= a->count - first);
    CONVERT_ANY(double)
}

void ehm_npy_f32(float *dst, const ehm_npy *a, int64_t first, int64_t n) {
    EHM_ASSERT(first >= 0 && n >= 0 && first <= a->count && n <= a->count - first);
    CONVERT_ANY(float)
}

/* ---- writing ---- */

/* As Python prints a tuple; false when it does not fit. */
static bool print_shape(char *buf, size_t size, int32_t rank, const int64_t *dim) {
    size_t n = (size_t)snprintf(buf, size, "(");
    for (int32_t i = 0; i < rank && n < size; i++)
        n += (size_t)snprintf(buf + n, size - n, "%s%lld", i ? ", " : "", (long long)dim[i]);
    if (n < size) n += (size_t)snprintf(buf + n, size - n, rank == 1 ? ",)" : ")");
    return n < size;
}

const char *ehm_npy_shape(const ehm_npy *a, char buf[128]) {
    if (!print_shape(buf, 128, a->rank, a->dim)) memcpy(buf + 124, "...", 4);
    return buf;
}

size_t ehm_npy_header(char *out, const char *type, int32_t rank, const int64_t *dim) {
    char shape[HEAD_ROOM], text[2 * HEAD_ROOM];
    if (!print_shape(shape, sizeof shape, rank, dim)) return 0;
    int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", type,
                     shape);
    /* NumPy leaves as much, so that an array may grow along its first axis in place; its own bytes, then. */
    int32_t digits = rank ? snprintf(NULL, 0, "%lld", (long long)dim[0]) : FIRST_DIM_DIGITS;
    size_t len = 10 + (size_t)n + (size_t)(FIRST_DIM_DIGITS - digits) + 1;
    len += 64 - len % 64;
    if (n < 0 || len > HEAD_ROOM) return 0;
    memset(out, ' ', len);
    memcpy(out, magic, 6);
    out[6] = 1, out[7] = 0;
    out[8] = (char)((len - 10) & 255), out[9] = (char)((len - 10) >> 8);
    memcpy(out + 10, text, (size_t)n);
    out[len - 1] = '\n';
    return len;
}

/* To descriptor 1: the array is all that is written there. */
static ehm_code write_to_one(const void *data, size_t n, ehm_err *err) {
    const char *p = data;
    while (n) {
        ssize_t k = write(STDOUT_FILENO, p, n > 1 << 30 ? 1 << 30 : n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return EHM_FAIL(err, EHM_E_IO, "standard output: cannot write: %s", strerror(errno));
        p += k, n -= (size_t)k;
    }
    return EHM_OK;
}

static ehm_code write_file(const char *path, const char *head, size_t n_head, const void *data, size_t n,
                           ehm_err *err) {
    ehm_file_out o;
    EHM_TRY(ehm_file_out_open(&o, path, err));
    if (fwrite(head, 1, n_head, o.f) == n_head && (!n || fwrite(data, 1, n, o.f) == n))
        return ehm_file_out_commit(&o, err);
    ehm_code rc = EHM_FAIL(err, EHM_E_IO, "%s: cannot write: %s", path, strerror(errno));
    ehm_file_out_abort(&o);
    return rc;
}

ehm_code ehm_npy_write(const char *path, const char *type, int32_t rank, const int64_t *dim, const void *data,
                       ehm_err *err) {
    char head[HEAD_ROOM];
    int64_t count;
    size_t bytes, n_head = 0;
    bool fits = strlen(type) == 3 && type[2] >= '1' && type[2] <= '8';
    fits = fits && rank >= 0 && rank <= EHM_NPY_RANK_MAX;
    for (int32_t i = 0; fits && i < rank; i++) fits = dim[i] >= 0;
    if (fits && count_shape(&count, &bytes, rank, dim, type[2] - '0'))
        n_head = ehm_npy_header(head, type, rank, dim);
    if (!n_head)
        return EHM_FAIL(err, EHM_E_ARG, "%s: a type or shape that no .npy file is written with", path);
    if (strcmp(path, "-")) return write_file(path, head, n_head, data, bytes, err);
    EHM_TRY(write_to_one(head, n_head, err));
    return write_to_one(data, bytes, err);
}
