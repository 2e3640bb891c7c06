#include "exchange/safetensors.h"
#include "base/file.h"
#include "base/json.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PREFIX = 8, MAX_RANK = 8, PAD = 8 };
#define HEADER_MAX ((uint64_t)100000000) /* the reference reader's limit */

/* In the reference writer's order of alignment: a file is sorted by it, descending, then by name. */
static const struct { const char *name; ehm_dtype type;
} types[] = {
    {"BOOL", EHM_BOOL}, {"U8", EHM_U8},     {"I8", EHM_I8},   {"I16", EHM_I16}, {"U16", EHM_U16},
    {"F16", EHM_F16},   {"BF16", EHM_BF16}, {"I32", EHM_I32}, {"U32", EHM_U32}, {"F32", EHM_F32},
    {"F64", EHM_F64},   {"I64", EHM_I64},   {"U64", EHM_U64},
};
enum { N_TYPES = sizeof types / sizeof *types };

struct ehm_st {
    ehm_arena arena;
    uint8_t *map; size_t map_bytes;
    ehm_st_tensor *tensor; int32_t n_tensors;
    int32_t *by_name; /* indices sorted by name */
    ehm_st_meta *meta; int32_t n_meta;
    void *owned; void (*free_owned)(void *); /* of ehm_st_from */
};

static ehm_code map_file(ehm_st *f, const char *path, ehm_err *err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return EHM_FAIL(err, EHM_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    ehm_code rc = EHM_OK;
    if (fstat(fd, &st)) rc = EHM_FAIL(err, EHM_E_IO, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: not a regular file, so not a safetensors file", path);
    else if (st.st_size < PREFIX + 2)
        rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: not a safetensors file (%lld bytes)", path,
                      (long long)st.st_size);
    if (!rc) {
        f->map_bytes = (size_t)st.st_size;
        f->map = mmap(NULL, f->map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (f->map == MAP_FAILED)
            f->map = NULL, rc = EHM_FAIL(err, EHM_E_IO, "%s: cannot be mapped: %s", path, strerror(errno));
    }
    close(fd);
    return rc;
}

static ehm_code read_meta(ehm_st *f, const ehm_json *obj, const char *path, ehm_err *err) {
    if (obj->kind != EHM_JSON_OBJ)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: __metadata__ is not an object", path);
    f->meta = EHM_NEW_N(&f->arena, ehm_st_meta, obj->n ? obj->n : 1);
    if (!f->meta) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for the metadata", path);
    for (const ehm_json *j = obj->first; j; j = j->next) {
        if (j->kind != EHM_JSON_STR)
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: metadata \"%.80s\" is not a string", path, j->key);
        f->meta[f->n_meta++] = (ehm_st_meta){j->key, j->str};
    }
    return EHM_OK;
}

static ehm_code read_dtype(ehm_dtype *out, const ehm_json *j, const char *path, const char *name,
                           ehm_err *err) {
    if (!j || j->kind != EHM_JSON_STR)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: tensor \"%.80s\" has no dtype", path, name);
    for (int32_t i = 0; i < N_TYPES; i++)
        if (!strcmp(types[i].name, j->str)) return *out = types[i].type, EHM_OK;
    if (ehm_starts(j->str, "F8_") || ehm_starts(j->str, "F6_") || ehm_starts(j->str, "F4") ||
        !strcmp(j->str, "C64"))
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: tensor \"%.80s\" has dtype %s, which is not read", path,
                        name, j->str);
    return EHM_FAIL(err, EHM_E_FORMAT, "%s: tensor \"%.80s\" has the unknown dtype \"%.40s\"", path, name,
                    j->str);
}

static bool is_size(const ehm_json *j) { return j && j->kind == EHM_JSON_NUM && j->is_int && j->i64 >= 0; }

static ehm_code read_tensor(ehm_st_tensor *t, const ehm_json *j, const uint8_t *data, size_t n_data,
                            size_t *begin_out, const char *path, ehm_err *err) {
    const ehm_json *shape = ehm_json_get(j, "shape"), *offsets = ehm_json_get(j, "data_offsets");
    t->name = j->key;
    if (j->kind != EHM_JSON_OBJ)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: header entry \"%.80s\" is not an object", path, j->key);
    EHM_TRY(read_dtype(&t->dtype, ehm_json_get(j, "dtype"), path, t->name, err));
    if (!shape || shape->kind != EHM_JSON_ARR)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: tensor \"%.80s\" has no shape", path, t->name);
    if (shape->n > MAX_RANK)
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: tensor \"%.80s\" has %d dims, more than %d", path,
                        t->name, (int)shape->n, (int)MAX_RANK);
    size_t count = 1, bytes;
    t->rank = 0;
    for (const ehm_json *d = shape->first; d; d = d->next) {
        if (!is_size(d))
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: tensor \"%.80s\": dim %d is not a size", path, t->name,
                            (int)t->rank);
        t->dim[t->rank++] = d->i64;
        if (!ehm_mul_size(&count, count, (size_t)d->i64))
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: tensor \"%.80s\": its shape overflows", path, t->name);
    }
    if (count > INT64_MAX || !ehm_mul_size(&bytes, count, ehm_dtype_size(t->dtype)))
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: tensor \"%.80s\": its shape overflows", path, t->name);
    if (!offsets || offsets->kind != EHM_JSON_ARR || offsets->n != 2 || !is_size(offsets->first) ||
        !is_size(offsets->first->next))
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: tensor \"%.80s\" has no data_offsets of two sizes", path,
                        t->name);
    size_t begin = (size_t)offsets->first->i64, end = (size_t)offsets->first->next->i64;
    if (begin > end || end > n_data)
        return EHM_FAIL(
            err, EHM_E_FORMAT,
            "%s: tensor \"%.80s\": bytes %zu to %zu are not within the %zu of the file's data; is the file cut short?",
            path, t->name, begin, end, n_data);
    if (end - begin != bytes)
        return EHM_FAIL(err, EHM_E_FORMAT,
                        "%s: tensor \"%.80s\": %zu bytes, but its dtype and shape need %zu", path, t->name,
                        end - begin, bytes);
    t->count = (int64_t)count, t->bytes = bytes, t->data = data + begin;
    *begin_out = begin;
    return EHM_OK;
}

static int by_data(const void *a, const void *b) {
    const ehm_st_tensor *x = a, *y = b;
    if (x->data != y->data) return (const uint8_t *)x->data < (const uint8_t *)y->data ? -1 : 1;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1; /* empty ones first */
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b, void *ctx) {
    const ehm_st_tensor *t = ctx;
    return strcmp(t[*(const int32_t *)a].name, t[*(const int32_t *)b].name);
}

static int32_t type_rank(ehm_dtype t) {
    for (int32_t i = 0; i < N_TYPES; i++)
        if (types[i].type == t) return i;
    return -1;
}

/* type, shape, bytes agree; path NULL: not of a file */
static ehm_code check_tensor(const char *path, const ehm_st_tensor *t, ehm_err *err) {
    size_t count = 1, bytes = 0;
    bool ok = type_rank(t->dtype) >= 0 && t->rank >= 0 && t->rank <= MAX_RANK;
    for (int32_t i = 0; ok && i < t->rank; i++)
        ok = t->dim[i] >= 0 && ehm_mul_size(&count, count, (size_t)t->dim[i]);
    ok = ok && ehm_mul_size(&bytes, count, ehm_dtype_size(t->dtype)) && bytes == t->bytes;
    return ok ? EHM_OK
              : EHM_FAIL(err, EHM_E_ARG, "%s%stensor \"%.80s\": type, shape and %zu bytes do not agree",
                         path ? path : "", path ? ": " : "", t->name, t->bytes);
}

static void sort_names(ehm_st *f) {
    for (int32_t i = 0; i < f->n_tensors; i++) f->by_name[i] = i;
    qsort_r(f->by_name, (size_t)f->n_tensors, sizeof *f->by_name, by_name, f->tensor);
}

/* The format wants every byte of data in one tensor: no gap, no overlap, nothing behind the last. */
static ehm_code check_cover(const ehm_st *f, const uint8_t *data, size_t n_data, const char *path,
                            ehm_err *err) {
    size_t at = 0;
    for (int32_t i = 0; i < f->n_tensors; i++) {
        const ehm_st_tensor *t = &f->tensor[i];
        size_t begin = (size_t)((const uint8_t *)t->data - data);
        if (begin != at)
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: tensor \"%.80s\" begins at byte %zu, %s (expected %zu)",
                            path, t->name, begin, begin < at ? "inside the one before it" : "after a gap",
                            at);
        at += t->bytes;
    }
    if (at != n_data)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: %zu bytes of data, but the tensors hold %zu", path, n_data,
                        at);
    return EHM_OK;
}

static ehm_code read_header(ehm_st *f, const char *path, ehm_err *err) {
    uint64_t n = 0;
    ehm_json *root;
    for (int i = PREFIX - 1; i >= 0; i--) n = n << 8 | f->map[i];
    if (n > HEADER_MAX)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: not a safetensors file (header of %" PRIu64 " bytes)", path,
                        n);
    if (n > f->map_bytes - PREFIX)
        return EHM_FAIL(err, EHM_E_FORMAT,
                        "%s: header of %" PRIu64 " bytes in a file of %zu; is the file cut short?", path, n,
                        f->map_bytes);
    const char *text = (const char *)f->map + PREFIX;
    if (n < 2 || text[0] != '{')
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: not a safetensors file (the header is no JSON object)", path);
    EHM_TRY(ehm_json_parse(&root, text, (size_t)n, path, &f->arena, err));
    if (root->kind != EHM_JSON_OBJ)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: not a safetensors file (the header is no JSON object)", path);
    const uint8_t *data = f->map + PREFIX + n;
    size_t n_data = f->map_bytes - PREFIX - (size_t)n, begin;
    f->tensor = EHM_NEW_N(&f->arena, ehm_st_tensor, root->n ? root->n : 1);
    f->by_name = EHM_NEW_N(&f->arena, int32_t, root->n ? root->n : 1);
    if (!f->tensor || !f->by_name)
        return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for %d tensors", path, (int)root->n);
    for (const ehm_json *j = root->first; j; j = j->next) {
        if (!strcmp(j->key, "__metadata__")) EHM_TRY(read_meta(f, j, path, err));
        else EHM_TRY(read_tensor(&f->tensor[f->n_tensors++], j, data, n_data, &begin, path, err));
    }
    qsort(f->tensor, (size_t)f->n_tensors, sizeof *f->tensor, by_data);
    EHM_TRY(check_cover(f, data, n_data, path, err));
    sort_names(f);
    return EHM_OK;
}

ehm_code ehm_st_open(ehm_st **out, const char *path, ehm_err *err) {
    *out = NULL;
    ehm_st *f = calloc(1, sizeof *f);
    if (!f) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to open it", path);
    ehm_code rc = map_file(f, path, err);
    if (!rc) rc = read_header(f, path, err);
    if (rc) ehm_st_close(f);
    else *out = f;
    return rc;
}

void ehm_st_close(ehm_st *f) {
    if (!f) return;
    if (f->map) munmap(f->map, f->map_bytes);
    if (f->free_owned) f->free_owned(f->owned);
    ehm_arena_free(&f->arena);
    free(f);
}

int32_t ehm_st_count(const ehm_st *f) { return f->n_tensors; }
const ehm_st_tensor *ehm_st_at(const ehm_st *f, int32_t i) {
    return i >= 0 && i < f->n_tensors ? &f->tensor[i] : NULL;
}

const ehm_st_tensor *ehm_st_find(const ehm_st *f, const char *name) {
    int32_t lo = 0, hi = f->n_tensors;
    while (lo < hi) {
        int32_t mid = lo + (hi - lo) / 2, c = strcmp(name, f->tensor[f->by_name[mid]].name);
        if (!c) return &f->tensor[f->by_name[mid]];
        if (c < 0) hi = mid;
        else lo = mid + 1;
    }
    return NULL;
}

int32_t ehm_st_n_meta(const ehm_st *f) { return f->n_meta; }
const ehm_st_meta *ehm_st_meta_at(const ehm_st *f, int32_t i) {
    return i >= 0 && i < f->n_meta ? &f->meta[i] : NULL;
}

const char *ehm_st_meta_get(const ehm_st *f, const char *key) {
    for (int32_t i = 0; i < f->n_meta; i++)
        if (!strcmp(f->meta[i].key, key)) return f->meta[i].value;
    return NULL;
}

/* ---- from memory ---- */

static ehm_code copy_tensors(ehm_st *f, const ehm_st_tensor *t, int32_t n, ehm_err *err) {
    f->tensor = EHM_NEW_N(&f->arena, ehm_st_tensor, n ? n : 1);
    f->by_name = EHM_NEW_N(&f->arena, int32_t, n ? n : 1);
    if (!f->tensor || !f->by_name) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d tensors", (int)n);
    for (int32_t i = 0; i < n; i++) {
        ehm_st_tensor *x = &f->tensor[i];
        if (!t[i].name) return EHM_FAIL(err, EHM_E_ARG, "tensor %d has no name", (int)i);
        EHM_TRY(check_tensor(NULL, &t[i], err));
        size_t count = 1;
        for (int32_t k = 0; k < t[i].rank; k++) count *= (size_t)t[i].dim[k]; /* fits: check_tensor */
        if (t[i].count < 0 || count != (size_t)t[i].count || (!t[i].data && t[i].bytes))
            return EHM_FAIL(err, EHM_E_ARG, "tensor \"%.80s\": %s", t[i].name,
                            t[i].data || !t[i].bytes ? "its count is not the product of its dims" : "it has no data");
        *x = t[i];
        x->name = ehm_arena_strdup(&f->arena, t[i].name);
        if (!x->name) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the name of a tensor");
        f->n_tensors++;
    }
    sort_names(f);
    for (int32_t i = 1; i < n; i++) {
        const char *name = f->tensor[f->by_name[i]].name;
        if (!strcmp(name, f->tensor[f->by_name[i - 1]].name))
            return EHM_FAIL(err, EHM_E_FORMAT, "two tensors are named \"%.80s\"", name);
    }
    return EHM_OK;
}

static ehm_code copy_meta(ehm_st *f, const ehm_st_meta *meta, int32_t n, ehm_err *err) {
    f->meta = EHM_NEW_N(&f->arena, ehm_st_meta, n ? n : 1);
    if (!f->meta) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d metadata entries", (int)n);
    for (int32_t i = 0; i < n; i++) {
        if (ehm_st_meta_get(f, meta[i].key))
            return EHM_FAIL(err, EHM_E_FORMAT, "two metadata entries are named \"%.80s\"", meta[i].key);
        ehm_st_meta *m = &f->meta[i];
        m->key = ehm_arena_strdup(&f->arena, meta[i].key), m->value = ehm_arena_strdup(&f->arena, meta[i].value);
        if (!m->key || !m->value) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the metadata");
        f->n_meta++;
    }
    return EHM_OK;
}

ehm_code ehm_st_from(ehm_st **out, const ehm_st_tensor *t, int32_t n, const ehm_st_meta *meta, int32_t n_meta,
                     void *owned, void (*free_owned)(void *), ehm_err *err) {
    *out = NULL;
    ehm_st *f = calloc(1, sizeof *f);
    if (!f) {
        if (free_owned) free_owned(owned);
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d tensors", (int)n);
    }
    f->owned = owned, f->free_owned = free_owned;
    ehm_code rc = n < 0 || n_meta < 0
                      ? EHM_FAIL(err, EHM_E_ARG, "%d tensors with %d metadata entries", (int)n, (int)n_meta)
                      : copy_tensors(f, t, n, err);
    if (!rc) rc = copy_meta(f, meta, n_meta, err);
    if (rc) ehm_st_close(f);
    else *out = f;
    return rc;
}

/* IEEE half to float; subnormals by scaling. */
static float half_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, e = h >> 10 & 31, m = h & 1023;
    uint32_t u = e == 31 ? sign | 0x7f800000u | m << 13 : sign | (e + 112) << 23 | m << 13;
    float f;
    if (!e) {
        f = (float)m * 0x1p-24f;
        return sign ? -f : f;
    }
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Data may begin at any byte: values are copied out, never pointed at. */
static void convert(const ehm_st_tensor *t, int64_t first, float *out, int64_t n) {
    size_t size = ehm_dtype_size(t->dtype);
    const uint8_t *p = (const uint8_t *)t->data + (size_t)first * size;
    uint16_t h;
    double w;
    if (t->dtype == EHM_F32) {
        memcpy(out, p, (size_t)n * sizeof *out);
        return;
    }
    for (int64_t i = 0; i < n; i++, p += size) switch (t->dtype) {
        case EHM_BF16: memcpy(&h, p, 2), out[i] = ehm_f32_of(h); break;
        case EHM_F16: memcpy(&h, p, 2), out[i] = half_to_f32(h); break;
        default: memcpy(&w, p, 8), out[i] = (float)w; break;
        }
}

ehm_code ehm_st_to_f32_part(const ehm_st_tensor *t, int64_t first, int64_t n, float *out, ehm_err *err) {
    if (t->dtype != EHM_F32 && t->dtype != EHM_F16 && t->dtype != EHM_BF16 && t->dtype != EHM_F64)
        return EHM_FAIL(err, EHM_E_UNSUPPORTED,
                        "tensor \"%.80s\" is of type %s, expected f32, f16, bf16 or f64", t->name,
                        ehm_dtype_name(t->dtype));
    if (first < 0 || n < 0 || first > t->count - n)
        return EHM_FAIL(err, EHM_E_ARG, "tensor \"%.80s\" has no values %lld to %lld", t->name,
                        (long long)first, (long long)(first + n));
    if (n) convert(t, first, out, n);
    return EHM_OK;
}

ehm_code ehm_st_to_f32(const ehm_st_tensor *t, float *out, ehm_err *err) {
    return ehm_st_to_f32_part(t, 0, t->count, out, err);
}

/* ---- writing ---- */

static int by_alignment(const void *a, const void *b, void *ctx) {
    const ehm_st_tensor *t = ctx, *x = &t[*(const int32_t *)a], *y = &t[*(const int32_t *)b];
    int32_t rx = type_rank(x->dtype), ry = type_rank(y->dtype);
    return rx != ry ? (rx < ry) - (rx > ry) : strcmp(x->name, y->name);
}

static void write_header(ehm_str *s, const ehm_st_tensor *t, const int32_t *order, int32_t n,
                         const ehm_st_meta *meta, int32_t n_meta) {
    ehm_json_w w = {.out = s};
    size_t at = 0;
    ehm_json_obj(&w);
    ehm_json_key(&w, "__metadata__");
    ehm_json_obj(&w);
    ehm_json_key(&w, "format"), ehm_json_str(&w, "pt");
    for (int32_t i = 0; i < n_meta; i++) ehm_json_key(&w, meta[i].key), ehm_json_str(&w, meta[i].value);
    ehm_json_end(&w);
    for (int32_t i = 0; i < n; i++) {
        const ehm_st_tensor *x = &t[order[i]];
        ehm_json_key(&w, x->name);
        ehm_json_obj(&w);
        ehm_json_key(&w, "dtype"), ehm_json_str(&w, types[type_rank(x->dtype)].name);
        ehm_json_key(&w, "shape"), ehm_json_arr(&w);
        for (int32_t k = 0; k < x->rank; k++) ehm_json_i64(&w, x->dim[k]);
        ehm_json_end(&w);
        ehm_json_key(&w, "data_offsets"), ehm_json_arr(&w);
        ehm_json_i64(&w, (int64_t)at), ehm_json_i64(&w, (int64_t)(at + x->bytes));
        ehm_json_end(&w);
        ehm_json_end(&w);
        at += x->bytes;
    }
    ehm_json_end(&w);
    while (s->len % PAD && !s->failed) ehm_str_addc(s, ' '); /* data then begins aligned */
}

static bool put(FILE *f, const void *p, size_t n) { return !n || fwrite(p, 1, n, f) == n; }

ehm_code ehm_st_write(const char *path, const ehm_st_tensor *t, int32_t n, const ehm_st_meta *meta,
                      int32_t n_meta, ehm_err *err) {
    ehm_arena a = {0};
    ehm_str header = {0};
    ehm_file_out out = {0};
    ehm_code rc = EHM_OK;
    uint8_t prefix[PREFIX];
    int32_t *order = EHM_NEW_N(&a, int32_t, n ? n : 1);
    if (!order) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to write it", path);
    for (int32_t i = 0; !rc && i < n; i++) order[i] = i, rc = check_tensor(path, &t[i], err);
    if (rc) goto done;
    qsort_r(order, (size_t)n, sizeof *order, by_alignment, (void *)t);
    for (int32_t i = 1; i < n; i++)
        if (!strcmp(t[order[i]].name, t[order[i - 1]].name)) {
            rc = EHM_FAIL(err, EHM_E_ARG, "%s: two tensors are named \"%.80s\"", path, t[order[i]].name);
            goto done;
        }
    write_header(&header, t, order, n, meta, n_meta);
    if (header.failed) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for its header", path);
    else if (header.len > HEADER_MAX)
        rc = EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: a header of %zu bytes, which readers refuse", path,
                      header.len);
    if (!rc) rc = ehm_file_out_open(&out, path, err);
    if (rc) goto done;
    for (int i = 0; i < PREFIX; i++) prefix[i] = (uint8_t)((uint64_t)header.len >> (8 * i));
    bool ok = put(out.f, prefix, PREFIX) && put(out.f, header.s, header.len);
    for (int32_t i = 0; ok && i < n; i++) ok = put(out.f, t[order[i]].data, t[order[i]].bytes);
    if (ok) rc = ehm_file_out_commit(&out, err);
    else rc = EHM_FAIL(err, EHM_E_IO, "%s: cannot be written: %s", path, strerror(errno));
done:
    ehm_file_out_abort(&out);
    ehm_str_free(&header);
    ehm_arena_free(&a);
    return rc;
}
