/* IDX files (the format of MNIST), plain or gzipped: two zeros, type, number of dimensions, sizes as
 * big-endian uint32, numbers big-endian. Pictures are N,H,W or N,H,W,C; labels lie in a file of the same name
 * with "labels" and "idx1". */
#include "base/file.h"
#include "data/sources_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const ehm_source_kind ehm_source_idx;

enum { MAX_DIMS = 4, NAME_BYTES = 72 };

typedef struct { int32_t type, n_dims; int64_t dim[MAX_DIMS]; int32_t size; size_t n_header; } idx_header;
typedef struct {
    const char *path;
    idx_header h;
    int fd;                        /* plain file */
    uint8_t *data; size_t n_data;  /* unpacked one */
    int64_t first, n, per;         /* pictures before, pictures, numbers a picture */
    int32_t w, hgt, c;
    bool has_labels;
} idx_file;
typedef struct {
    ehm_source base;
    idx_file *v;
    int32_t n_files;
    int64_t n;
    char *names;
    int32_t *labels;
} idx_source;

static bool parse_header(idx_header *h, const uint8_t *p, size_t n) {
    static const struct {
        int32_t type, size;
    } types[] = {{8, 1}, {9, 1}, {11, 2}, {12, 4}, {13, 4}, {14, 8}};
    *h = (idx_header){0};
    if (n < 8 || p[0] || p[1] || p[3] < 1 || p[3] > MAX_DIMS) return false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].type == p[2]) h->type = p[2], h->size = types[i].size;
    }
    h->n_dims = p[3];
    h->n_header = 4 + 4 * (size_t)h->n_dims;
    if (!h->size || n < h->n_header) return false;
    for (int32_t i = 0; i < h->n_dims; i++) {
        const uint8_t *q = p + 4 + 4 * i;
        h->dim[i] = (int64_t)q[0] << 24 | q[1] << 16 | q[2] << 8 | q[3];
        if (!h->dim[i]) return false;
    }
    return true;
}

/* Bytes of the numbers, 0 on overflow. */
static size_t data_bytes(const idx_header *h) {
    size_t n = (size_t)h->size;
    for (int32_t i = 0; i < h->n_dims; i++) {
        if (!ehm_mul_size(&n, n, (size_t)h->dim[i])) return 0;
    }
    return n > SIZE_MAX / 4 ? 0 : n;
}

static bool look(const char *path, idx_header *h, ehm_pack *pack) {
    uint8_t head[32];
    size_t n = ehm_peek(path, head, sizeof head, pack);
    if (!n || !parse_header(h, head, n)) return false;
    /* four bytes are a weak sign: a plain file must also be about as long as it says; a short one is told
     * apart by name */
    int64_t want = (int64_t)(data_bytes(h) + h->n_header);
    return *pack != EHM_PACK_NONE || ehm_file_size(path) == want || strstr(ehm_path_base(path), "idx");
}

static bool claims(const char *path) {
    idx_header h;
    ehm_pack pack;
    if (!ehm_dir_exists(path)) return look(path, &h, &pack);
    ehm_arena a = {0};
    ehm_strs names = {0};
    ehm_err ignore = {0};
    bool yes = false;
    if (!ehm_dir_list(&names, path, &a, &ignore)) {
        for (int32_t i = 0; i < names.n && !yes; i++) {
            if (!strstr(names.v[i], "idx") && !strstr(names.v[i], "ubyte")) continue;
            char *full = ehm_path_join(&a, path, names.v[i]);
            yes = full && look(full, &h, &pack);
        }
    }
    ehm_arena_free(&a);
    return yes;
}

typedef struct { uint8_t *data; size_t n, cap; const char *path; } sink;
static ehm_code take(void *ctx, const uint8_t *p, size_t n, ehm_err *err) {
    sink *k = ctx;
    if (n > k->cap - k->n)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: holds more numbers than its header says", k->path);
    memcpy(k->data + k->n, p, n);
    k->n += n;
    return EHM_OK;
}

static ehm_code open_file(idx_file *f, const char *path, ehm_err *err) {
    ehm_pack pack;
    *f = (idx_file){.path = path, .fd = -1};
    if (!look(path, &f->h, &pack)) return EHM_FAIL(err, EHM_E_FORMAT, "%s: no IDX file", path);
    size_t n = data_bytes(&f->h);
    if (!n)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: its header asks for more numbers than there can be", path);
    size_t want = n + f->h.n_header;
    if (pack == EHM_PACK_NONE) {
        if (ehm_file_size(path) != (int64_t)want) {
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: has %lld bytes, its header says %zu", path,
                            (long long)ehm_file_size(path), want);
        }
        f->fd = open(path, O_RDONLY | O_CLOEXEC);
        return f->fd >= 0 ? EHM_OK
                          : EHM_FAIL(err, EHM_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    }
    /* A header that promises far more than deflate can give (1032:1) is a lie: no memory is asked for it. */
    int64_t packed = ehm_file_size(path);
    if (packed < 0 || want / 1100 > (size_t)packed)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: %lld bytes cannot hold the %zu its header says", path,
                        (long long)packed, want);
    f->n_data = want;
    f->data = ehm_block_alloc(want);
    if (!f->data) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for %zu bytes", path, want);
    sink k = {f->data, 0, want, path};
    EHM_TRY(ehm_unpack(path, pack, take, &k, NULL, err));
    if (k.n != want)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: holds %zu bytes, its header says %zu", path, k.n, want);
    return EHM_OK;
}

static void close_file(idx_file *f) {
    if (f->fd >= 0) close(f->fd);
    ehm_block_free(f->data, f->n_data);
    f->fd = -1;
    f->data = NULL;
}

static ehm_code read_bytes(const idx_file *f, int64_t at, void *buf, size_t n, ehm_err *err) {
    if (f->data) {
        memcpy(buf, f->data + f->h.n_header + at, n);
        return EHM_OK;
    }
    return ehm_pread_all(f->fd, buf, n, (int64_t)f->h.n_header + at, f->path, err);
}

static double value(const uint8_t *p, int32_t type) {
    uint64_t u = 0;
    static const int32_t size[] = {1, 1, 0, 2, 4, 4, 8};
    for (int32_t i = 0; i < size[type - 8]; i++) u = u << 8 | p[i];
    switch (type) {
    case 9: return (int8_t)u;
    case 11: return (int16_t)u;
    case 12: return (int32_t)u;
    case 13: {
        float f;
        uint32_t v = (uint32_t)u;
        memcpy(&f, &v, 4);
        return f;
    }
    case 14: {
        double d;
        memcpy(&d, &u, 8);
        return d;
    }
    default: return (double)u;
    }
}

/* "train-images-idx3-ubyte.gz" -> "train-labels-idx1-ubyte[.gz]"; NULL: there is none. */
static char *labels_path(const char *path, ehm_arena *a) {
    const char *base = ehm_path_base(path), *images = strstr(base, "images");
    if (!images) return NULL;
    char *name = ehm_arena_printf(a, "%.*slabels%s", (int)(images - path), path, images + 6);
    if (!name) return NULL;
    char *dims = strstr(name + (base - path), "idx");
    if (dims && (dims[3] == '3' || dims[3] == '4')) dims[3] = '1';
    if (ehm_file_exists(name)) return name;
    if (ehm_ends_nocase(name, ".gz")) name[strlen(name) - 3] = 0;
    else name = ehm_arena_printf(a, "%s.gz", name);
    return name && ehm_file_exists(name) ? name : NULL;
}

static ehm_code read_labels(idx_source *s, idx_file *f, int32_t *most, ehm_arena *a, ehm_err *err) {
    char *path = labels_path(f->path, a);
    if (!path) return EHM_OK;
    idx_file l;
    ehm_code rc = open_file(&l, path, err);
    if (!rc && (l.h.n_dims != 1 || l.h.type > 12))
        rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: no list of whole numbers", path);
    if (!rc && l.h.dim[0] != f->n) {
        rc = EHM_FAIL(err, EHM_E_MISMATCH, "%s has %lld labels, %s has %lld pictures", path,
                      (long long)l.h.dim[0], f->path, (long long)f->n);
    }
    for (int64_t i = 0; i < f->n && !rc; i++) {
        uint8_t b[8];
        rc = read_bytes(&l, i * l.h.size, b, (size_t)l.h.size, err);
        if (rc) break;
        double v = value(b, l.h.type);
        if (v < -1 || v >= EHM_MAX_CLASSES)
            rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: label %lld is %.0f", path, (long long)i, v);
        s->labels[f->first + i] = (int32_t)v;
        if ((int32_t)v > *most) *most = (int32_t)v;
    }
    close_file(&l);
    f->has_labels = true;
    return rc;
}

static ehm_code shape(idx_file *f, ehm_err *err) {
    const idx_header *h = &f->h;
    f->n = h->dim[0];
    f->hgt = (int32_t)h->dim[1];
    f->w = (int32_t)h->dim[2];
    f->c = h->n_dims == 4 ? (int32_t)h->dim[3] : 1;
    if (h->dim[1] > 1 << 20 || h->dim[2] > 1 << 20 || f->c > 256 || f->c < 1) {
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: pictures of %lld x %lld with %lld channels", f->path,
                        (long long)h->dim[2], (long long)h->dim[1],
                        (long long)(h->n_dims == 4 ? h->dim[3] : 1));
    }
    f->per = (int64_t)f->w * f->hgt * f->c;
    return EHM_OK;
}

static bool in_part(const char *base, const char *subset) {
    return !subset || ehm_starts(base, subset) || (!strcmp(subset, "test") && ehm_starts(base, "t10k"));
}

static ehm_code find_files(idx_source *s, const char *path, const char *subset, ehm_arena *a, ehm_err *err) {
    ehm_strs names = {0};
    const char *one = ehm_path_base(path);
    bool dir = ehm_dir_exists(path);
    if (dir) EHM_TRY(ehm_dir_list(&names, path, a, err));
    else names = (ehm_strs){&one, 1};
    s->v = EHM_NEW_N(a, idx_file, names.n + 1);
    if (!s->v) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
    for (int32_t i = 0; i < names.n; i++) {
        char *full = dir ? ehm_path_join(a, path, names.v[i]) : ehm_arena_strdup(a, path);
        if (!full) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
        idx_header h;
        ehm_pack pack;
        if ((dir && ehm_dir_exists(full)) || !look(full, &h, &pack) || (h.n_dims < 3 && dir)) {
            s->base.n_ignored += !look(full, &h, &pack); /* label files are no strangers */
            continue;
        }
        if (!in_part(names.v[i], subset)) continue;
        if (h.n_dims < 3)
            return EHM_FAIL(err, EHM_E_FORMAT,
                            "%s: an IDX file of %d dimensions holds no pictures; give the file of images",
                            full, h.n_dims);
        idx_file *f = &s->v[s->n_files++];
        EHM_TRY(open_file(f, full, err));
        EHM_TRY(shape(f, err));
        f->first = s->n;
        s->n += f->n;
    }
    if (s->n) return EHM_OK;
    EHM_HINT(err, "its pictures are looked for in files like %s-images-idx3-ubyte, plain or .gz",
             subset ? subset : "train");
    return EHM_FAIL(err, EHM_E_FORMAT, "%s%s%s: no IDX file of pictures", path, subset ? "#" : "",
                    subset ? subset : "");
}

static void close_idx(ehm_source *base) {
    idx_source *s = (idx_source *)base;
    if (!s) return;
    for (int32_t i = 0; i < s->n_files; i++) close_file(&s->v[i]);
    s->n_files = 0;
}

static ehm_code fill(idx_source *s, const char *path, ehm_arena *a, ehm_err *err) {
    size_t bytes;
    if (!ehm_mul_size(&bytes, (size_t)s->n, NAME_BYTES))
        return EHM_FAIL(err, EHM_E_MEMORY, "%s: too many pictures", path);
    s->names = ehm_arena_alloc(a, bytes, 1);
    s->labels = EHM_NEW_N(a, int32_t, s->n);
    if (!s->names || !s->labels)
        return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for %lld pictures", path, (long long)s->n);
    int32_t most = -1, n_labelled = 0;
    for (int32_t k = 0; k < s->n_files; k++) {
        idx_file *f = &s->v[k];
        for (int64_t i = 0; i < f->n; i++) {
            s->labels[f->first + i] = -1;
            snprintf(s->names + (f->first + i) * NAME_BYTES, NAME_BYTES, "%.50s/%05lld",
                     ehm_path_base(f->path), (long long)i);
        }
        EHM_TRY(read_labels(s, f, &most, a, err));
        n_labelled += f->has_labels;
    }
    ehm_class_list list;
    if (!n_labelled) return EHM_OK;
    EHM_TRY(ehm_class_list_beside(&list, s->v[0].path, a, err));
    return ehm_classes_numbered(&s->base, most + 1, &list, a, err);
}

static ehm_code idx_open(ehm_source **out, const char *path, const char *subset, const ehm_dataset_opt *opt,
                         ehm_arena *a, ehm_err *err) {
    (void)opt;
    idx_source *s = EHM_NEW(a, idx_source);
    if (!s) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
    s->base = (ehm_source){.kind = &ehm_source_idx, .ignore_label = -1};
    ehm_code rc = find_files(s, path, subset, a, err);
    if (!rc) rc = fill(s, path, a, err);
    if (rc) {
        close_idx(&s->base);
        return rc;
    }
    *out = &s->base;
    return EHM_OK;
}

static int64_t count(const ehm_source *s) { return ((const idx_source *)s)->n; }

static ehm_code item(const ehm_source *base, int64_t i, ehm_source_item *out) {
    const idx_source *s = (const idx_source *)base;
    if (i < 0 || i >= s->n) return EHM_E_ARG;
    int32_t k = 0, label = s->labels[i];
    while (k + 1 < s->n_files && i >= s->v[k + 1].first) k++;
    *out = (ehm_source_item){s->names + i * NAME_BYTES, label, label >= 0 ? base->classes[label] : NULL,
                             s->v[k].per * s->v[k].h.size};
    return EHM_OK;
}

static ehm_code read_one(ehm_source *base, int64_t i, ehm_source_data *out, ehm_arena *a, ehm_err *err) {
    const idx_source *s = (const idx_source *)base;
    int32_t k = 0;
    while (k + 1 < s->n_files && i >= s->v[k + 1].first) k++;
    const idx_file *f = &s->v[k];
    *out = (ehm_source_data){.has_image = true};
    EHM_TRY(ehm_image_new(&out->image, f->w, f->hgt, f->c, f->h.type == 8 ? EHM_U8 : EHM_F32, a, err));
    int64_t n_bytes = f->per * f->h.size, at = (i - f->first) * n_bytes;
    if (f->h.type == 8) return read_bytes(f, at, out->image.px, (size_t)n_bytes, err);
    uint8_t *raw = ehm_arena_alloc(a, (size_t)n_bytes, 1);
    if (!raw) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", f->path);
    EHM_TRY(read_bytes(f, at, raw, (size_t)n_bytes, err));
    float *px = out->image.px;
    for (int64_t p = 0; p < f->per; p++) px[p] = (float)value(raw + p * f->h.size, f->h.type);
    return EHM_OK;
}

const ehm_source_kind ehm_source_idx = {
    .name = "idx",
    .summary = "IDX files as of MNIST, plain or gzipped, or their folder",
    .claims = claims,
    .open = idx_open,
    .count = count,
    .item = item,
    .read = read_one,
    .close = close_idx,
};
