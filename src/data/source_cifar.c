/* CIFAR-10 and CIFAR-100 binary files: records of one label byte (CIFAR-100: coarse and fine) and 3072 bytes,
 * a plane each of red, green and blue, 32x32, row by row. */
#include "base/file.h"
#include "data/sources_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const ehm_source_kind ehm_source_cifar;

enum { SIDE = 32, PLANE = SIDE * SIDE, PIXELS = 3 * PLANE, N_LOOK = 64 };

typedef struct { const char *path, *base; int fd; int64_t first, n; } batch;
typedef struct {
    ehm_source base;
    int32_t n_label_bytes;
    batch *v;
    int32_t n_batches;
    int64_t n;
    char *names;
    uint8_t *labels;
} cifar_source;

/* 1: CIFAR-10, 2: CIFAR-100, 0: neither. Size and the label bytes of records spread over the file decide. */
static int32_t label_bytes(const char *path) {
    int64_t size = ehm_file_size(path);
    int32_t n_label = size <= 0 ? 0 : size % (PIXELS + 1) == 0 ? 1 : size % (PIXELS + 2) == 0 ? 2 : 0;
    if (!n_label) return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return 0;
    int64_t record = PIXELS + n_label, n = size / record, step = n / N_LOOK > 0 ? n / N_LOOK : 1;
    for (int64_t i = 0; i < n && n_label; i += step) {
        uint8_t b[2] = {0};
        bool ok = pread(fd, b, (size_t)n_label, (off_t)(i * record)) == n_label;
        if (!ok || (n_label == 1 ? b[0] > 9 : b[0] > 19 || b[1] > 99)) n_label = 0;
    }
    close(fd);
    return n_label;
}

static bool claims(const char *path) {
    if (!ehm_dir_exists(path)) return ehm_ends_nocase(path, ".bin") && label_bytes(path) > 0;
    ehm_arena a = {0};
    ehm_strs names = {0};
    ehm_err ignore = {0};
    bool yes = false;
    if (!ehm_dir_list(&names, path, &a, &ignore)) {
        for (int32_t i = 0; i < names.n && !yes; i++) {
            char *full = ehm_ends_nocase(names.v[i], ".bin") ? ehm_path_join(&a, path, names.v[i]) : NULL;
            yes = full && label_bytes(full) > 0;
        }
    }
    ehm_arena_free(&a);
    return yes;
}

static void close_cifar(ehm_source *s) {
    cifar_source *c = (cifar_source *)s;
    if (!c) return;
    for (int32_t i = 0; i < c->n_batches; i++) {
        if (c->v[i].fd >= 0) close(c->v[i].fd);
        c->v[i].fd = -1;
    }
}

static bool in_part(const char *base, const char *subset) {
    if (!subset) return true;
    if (!strcmp(subset, "train") && ehm_starts(base, "data_batch")) return true;
    return ehm_starts(base, subset);
}

static ehm_code find_batches(cifar_source *c, const char *path, const char *subset, ehm_arena *a,
                             ehm_err *err) {
    ehm_strs names = {0};
    const char *one = ehm_path_base(path);
    bool dir = ehm_dir_exists(path);
    if (dir) EHM_TRY(ehm_dir_list(&names, path, a, err));
    else names = (ehm_strs){&one, 1};
    c->v = EHM_NEW_N(a, batch, names.n + 1);
    if (!c->v) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
    int32_t n_other = 0;
    for (int32_t i = 0; i < names.n; i++) {
        char *full = dir ? ehm_path_join(a, path, names.v[i]) : ehm_arena_strdup(a, path);
        if (!full) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
        int32_t n_label = ehm_ends_nocase(full, ".bin") ? label_bytes(full) : 0;
        if (!n_label) {
            c->base.n_ignored++;
            continue;
        }
        if (!in_part(names.v[i], subset)) {
            n_other++;
            continue;
        }
        if (c->n_label_bytes && c->n_label_bytes != n_label)
            return EHM_FAIL(err, EHM_E_MISMATCH, "%s: CIFAR-10 and CIFAR-100 files in one folder", path);
        c->n_label_bytes = n_label;
        batch *b = &c->v[c->n_batches++];
        *b = (batch){.path = full,
                     .base = ehm_path_base(full),
                     .fd = open(full, O_RDONLY | O_CLOEXEC),
                     .first = c->n,
                     .n = ehm_file_size(full) / (PIXELS + n_label)};
        if (b->fd < 0) return EHM_FAIL(err, EHM_E_IO, "%s: cannot be opened: %s", full, strerror(errno));
        c->n += b->n;
    }
    if (c->n) return EHM_OK;
    EHM_HINT(err, "the parts of a CIFAR folder are train and test");
    return EHM_FAIL(err, EHM_E_CONFIG, "%s#%s: none of its %d CIFAR files belongs to that part", path,
                    subset ? subset : "", n_other);
}

/* Names "data_batch_1.bin/00042", 40 bytes each at most: one block. */
enum { NAME_BYTES = 72 };

static ehm_code read_labels(cifar_source *c, const char *path, ehm_arena *a, ehm_err *err) {
    size_t bytes;
    if (!ehm_mul_size(&bytes, (size_t)c->n, NAME_BYTES))
        return EHM_FAIL(err, EHM_E_MEMORY, "%s: too many records", path);
    c->names = ehm_arena_alloc(a, bytes, 1);
    c->labels = EHM_NEW_N(a, uint8_t, c->n);
    if (!c->names || !c->labels)
        return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for %lld records", path, (long long)c->n);
    int32_t limit = c->n_label_bytes == 1 ? 10 : 100;
    for (int32_t k = 0; k < c->n_batches; k++) {
        const batch *b = &c->v[k];
        for (int64_t i = 0; i < b->n; i++) {
            uint8_t l[2];
            EHM_TRY(ehm_pread_all(b->fd, l, (size_t)c->n_label_bytes, i * (PIXELS + c->n_label_bytes),
                                  b->path, err));
            uint8_t label = l[c->n_label_bytes - 1];
            if (label >= limit)
                return EHM_FAIL(err, EHM_E_FORMAT, "%s: record %lld has the label %d of %d", b->path,
                                (long long)i, label, limit);
            c->labels[b->first + i] = label;
            snprintf(c->names + (b->first + i) * NAME_BYTES, NAME_BYTES, "%.50s/%05lld", b->base,
                     (long long)i);
        }
    }
    return EHM_OK;
}

/* batches.meta.txt or fine_label_names.txt: a name a line; classes.txt otherwise. */
static ehm_code class_names(cifar_source *c, const char *dir_path, ehm_arena *a, ehm_err *err) {
    ehm_class_list list = {0};
    char *file = ehm_arena_printf(a, "%.*s%s", (int)(ehm_path_base(dir_path) - dir_path), dir_path,
                                  c->n_label_bytes == 1 ? "batches.meta.txt" : "fine_label_names.txt");
    if (!file) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", dir_path);
    if (ehm_file_exists(file)) {
        ehm_bytes text;
        EHM_TRY(ehm_file_read(&text, file, a, err));
        EHM_TRY(ehm_class_list_read(&list, file, text, a, err));
    } else {
        EHM_TRY(ehm_class_list_beside(&list, dir_path, a, err));
    }
    int32_t n = c->n_label_bytes == 1 ? 10 : 100;
    if (list.n && list.n != n)
        return EHM_FAIL(err, EHM_E_MISMATCH, "%s: names %d classes, the pictures have %d", list.file, list.n,
                        n);
    return ehm_classes_numbered(&c->base, n, &list, a, err);
}

static ehm_code cifar_open(ehm_source **out, const char *path, const char *subset, const ehm_dataset_opt *opt,
                           ehm_arena *a, ehm_err *err) {
    (void)opt;
    cifar_source *c = EHM_NEW(a, cifar_source);
    if (!c) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
    c->base = (ehm_source){.kind = &ehm_source_cifar, .ignore_label = -1};
    ehm_code rc = find_batches(c, path, subset, a, err);
    if (!rc) rc = read_labels(c, path, a, err);
    if (!rc) rc = class_names(c, c->v[0].path, a, err);
    if (rc) {
        close_cifar(&c->base);
        return rc;
    }
    *out = &c->base;
    return EHM_OK;
}

static int64_t count(const ehm_source *s) { return ((const cifar_source *)s)->n; }

static ehm_code item(const ehm_source *s, int64_t i, ehm_source_item *out) {
    const cifar_source *c = (const cifar_source *)s;
    if (i < 0 || i >= c->n) return EHM_E_ARG;
    *out = (ehm_source_item){c->names + i * NAME_BYTES, c->labels[i], s->classes[c->labels[i]], PIXELS};
    return EHM_OK;
}

static ehm_code read_one(ehm_source *s, int64_t i, ehm_source_data *out, ehm_arena *a, ehm_err *err) {
    const cifar_source *c = (const cifar_source *)s;
    int32_t k = 0;
    while (k + 1 < c->n_batches && i >= c->v[k + 1].first) k++;
    uint8_t plane[PIXELS];
    *out = (ehm_source_data){.has_image = true};
    EHM_TRY(ehm_pread_all(c->v[k].fd, plane, PIXELS,
                          (i - c->v[k].first) * (PIXELS + c->n_label_bytes) + c->n_label_bytes, c->v[k].path,
                          err));
    EHM_TRY(ehm_image_new(&out->image, SIDE, SIDE, 3, EHM_U8, a, err));
    uint8_t *px = out->image.px;
    for (int32_t p = 0; p < PLANE; p++) {
        for (int32_t ch = 0; ch < 3; ch++) px[3 * p + ch] = plane[ch * PLANE + p];
    }
    return EHM_OK;
}

const ehm_source_kind ehm_source_cifar = {
    .name = "cifar",
    .summary = "CIFAR-10 or CIFAR-100 binary files, or their folder",
    .claims = claims,
    .open = cifar_open,
    .count = count,
    .item = item,
    .read = read_one,
    .close = close_cifar,
};
