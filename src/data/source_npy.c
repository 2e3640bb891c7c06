/* An array of pictures: .npy of N,H,W,C or N,H,W with type u8, u16 or f32; labels in NAME_labels.npy or
 * labels.npy beside it. */
#include "base/file.h"
#include "base/npy.h"
#include "data/sources_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const ehm_source_kind ehm_source_npy;

enum { NAME_BYTES = 24 };

typedef struct {
    ehm_source base;
    const char *path;
    int fd;
    ehm_npy_head h;
    int32_t w, hgt, c;
    int64_t n;
    ehm_dtype dtype;
    char *names;
    int32_t *labels;
} npy_source;

static bool claims(const char *path) {
    uint8_t head[8];
    ehm_pack pack;
    return ehm_peek(path, head, sizeof head, &pack) == 8 && pack == EHM_PACK_NONE &&
           !memcmp(head, "\x93NUMPY", 6);
}

static ehm_code check_header(const ehm_npy_head *h, int64_t file_bytes, const char *path, ehm_err *err) {
    if (h->big_endian && h->item_bytes > 1) {
        EHM_HINT(err, "save it as little-endian: a.astype(a.dtype.newbyteorder('<'))");
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: big-endian numbers", path);
    }
    if (h->fortran_order) {
        EHM_HINT(err, "save np.ascontiguousarray(a)");
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: column-major (Fortran) order is not read", path);
    }
    int64_t have = file_bytes - (int64_t)h->data_at;
    if (h->data_bytes > INT64_MAX / 2 || (int64_t)h->data_bytes > have)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: the shape needs %zu bytes, the file has %lld after its header",
                        path, h->data_bytes, (long long)have);
    return EHM_OK;
}

static ehm_code read_header(ehm_npy_head *h, int fd, const char *path, ehm_err *err) {
    uint8_t first[12];
    struct stat st;
    ehm_err why = {0};
    *h = (ehm_npy_head){0};
    if (fstat(fd, &st)) return EHM_FAIL(err, EHM_E_IO, "%s: %s", path, strerror(errno));
    EHM_TRY(ehm_pread_all(fd, first, sizeof first, 0, path, err));
    size_t n = ehm_npy_head_bytes(first);
    if (!n) return EHM_FAIL(err, EHM_E_FORMAT, "%s: no .npy file of version 1 to 3", path);
    uint8_t *all = malloc(n);
    if (!all) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
    ehm_code rc = ehm_pread_all(fd, all, n, 0, path, err);
    if (!rc && (rc = ehm_npy_head_parse(h, all, path, &why))) {
        if (rc == EHM_E_UNSUPPORTED) EHM_HINT(err, "save it as uint8, uint16 or float32");
        EHM_FAIL(err, rc, "%s", why.what);
    }
    free(all);
    return rc ? rc : check_header(h, (int64_t)st.st_size, path, err);
}

static ehm_code check_shape(npy_source *s, ehm_err *err) {
    const ehm_npy_head *h = &s->h;
    if (h->rank != 3 && h->rank != 4) {
        EHM_HINT(err, "an array of pictures has the shape N,H,W,C or N,H,W");
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: %d dimensions are no array of pictures", s->path, h->rank);
    }
    if (h->rank == 4 && (h->dim[3] > 256 || (h->dim[1] <= 4 && h->dim[2] > 4 && h->dim[3] > 4))) {
        EHM_HINT(err, "if it is N,C,H,W, save a.transpose(0, 2, 3, 1)");
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: shape %lld,%lld,%lld,%lld is not N,H,W,C", s->path,
                        (long long)h->dim[0], (long long)h->dim[1], (long long)h->dim[2],
                        (long long)h->dim[3]);
    }
    if (!strcmp(h->type, "u1")) s->dtype = EHM_U8;
    else if (!strcmp(h->type, "u2")) s->dtype = EHM_U16;
    else if (!strcmp(h->type, "f4")) s->dtype = EHM_F32;
    else {
        EHM_HINT(err, "save it as uint8, uint16 or float32");
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: pictures of %s numbers are not read", s->path, h->type);
    }
    int64_t c = h->rank == 4 ? h->dim[3] : 1;
    if (!h->dim[0] || !h->dim[1] || !h->dim[2] || !c)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: holds no pictures (a size in its shape is 0)", s->path);
    if (h->dim[1] > 1 << 20 || h->dim[2] > 1 << 20)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: pictures of %lld x %lld", s->path, (long long)h->dim[2],
                        (long long)h->dim[1]);
    s->n = h->dim[0];
    s->hgt = (int32_t)h->dim[1];
    s->w = (int32_t)h->dim[2];
    s->c = (int32_t)c;
    return EHM_OK;
}

static int64_t whole(const uint8_t *p, const ehm_npy_head *h) {
    uint64_t u = 0;
    for (int32_t i = h->item_bytes; i-- > 0;) u = u << 8 | p[i];
    if (h->type[0] != 'i') return u > INT64_MAX ? INT64_MAX : (int64_t)u;
    int32_t shift = 64 - 8 * h->item_bytes;
    return (int64_t)(u << shift) >> shift;
}

static ehm_code read_labels(npy_source *s, int fd, const char *path, int32_t *most, ehm_err *err) {
    ehm_npy_head h;
    EHM_TRY(read_header(&h, fd, path, err));
    if (h.rank != 1 || h.type[0] == 'f')
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: labels are a list of whole numbers", path);
    if (h.dim[0] != s->n)
        return EHM_FAIL(err, EHM_E_MISMATCH, "%s has %lld labels, %s has %lld pictures", path,
                        (long long)h.dim[0], s->path, (long long)s->n);
    for (int64_t i = 0; i < s->n; i++) {
        uint8_t b[8];
        EHM_TRY(ehm_pread_all(fd, b, (size_t)h.item_bytes, (int64_t)h.data_at + i * h.item_bytes, path, err));
        int64_t v = whole(b, &h);
        if (v < -1 || v >= EHM_MAX_CLASSES)
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: label %lld is %lld", path, (long long)i, (long long)v);
        s->labels[i] = (int32_t)v;
        if ((int32_t)v > *most) *most = (int32_t)v;
    }
    return EHM_OK;
}

static ehm_code find_labels(npy_source *s, ehm_arena *a, ehm_err *err) {
    const char *base = ehm_path_base(s->path);
    size_t n = strlen(s->path) - (ehm_ends_nocase(s->path, ".npy") ? 4 : 0);
    char *own = ehm_arena_printf(a, "%.*s_labels.npy", (int)n, s->path);
    char *shared = ehm_arena_printf(a, "%.*slabels.npy", (int)(base - s->path), s->path);
    if (!own || !shared) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", s->path);
    const char *path = ehm_file_exists(own) ? own : ehm_file_exists(shared) ? shared : NULL;
    if (!path || !strcmp(path, s->path)) return EHM_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return EHM_FAIL(err, EHM_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    int32_t most = -1;
    ehm_code rc = read_labels(s, fd, path, &most, err);
    close(fd);
    EHM_TRY(rc);
    ehm_class_list list;
    EHM_TRY(ehm_class_list_beside(&list, s->path, a, err));
    return most < 0 ? EHM_OK : ehm_classes_numbered(&s->base, most + 1, &list, a, err);
}

static void close_npy(ehm_source *base) {
    npy_source *s = (npy_source *)base;
    if (!s) return;
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
}

static ehm_code fill(npy_source *s, ehm_arena *a, ehm_err *err) {
    EHM_TRY(read_header(&s->h, s->fd, s->path, err));
    EHM_TRY(check_shape(s, err));
    s->names = ehm_arena_alloc(a, (size_t)s->n, NAME_BYTES);
    s->labels = EHM_NEW_N(a, int32_t, s->n);
    if (!s->names || !s->labels)
        return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for %lld pictures", s->path, (long long)s->n);
    for (int64_t i = 0; i < s->n; i++) {
        s->labels[i] = -1;
        snprintf(s->names + i * NAME_BYTES, NAME_BYTES, "%06lld", (long long)i);
    }
    return find_labels(s, a, err);
}

static ehm_code npy_open(ehm_source **out, const char *path, const char *subset, const ehm_dataset_opt *opt,
                         ehm_arena *a, ehm_err *err) {
    (void)opt;
    if (subset)
        return EHM_FAIL(err, EHM_E_CONFIG, "%s#%s: an array has no parts to choose from", path, subset);
    npy_source *s = EHM_NEW(a, npy_source);
    if (!s) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
    s->base = (ehm_source){.kind = &ehm_source_npy, .ignore_label = -1};
    s->path = ehm_arena_strdup(a, path);
    s->fd = open(path, O_RDONLY | O_CLOEXEC);
    ehm_code rc = !s->path    ? EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path)
                  : s->fd < 0 ? EHM_FAIL(err, EHM_E_IO, "%s: cannot be opened: %s", path, strerror(errno))
                              : fill(s, a, err);
    if (rc) {
        close_npy(&s->base);
        return rc;
    }
    *out = &s->base;
    return EHM_OK;
}

static int64_t count(const ehm_source *s) { return ((const npy_source *)s)->n; }

static ehm_code item(const ehm_source *base, int64_t i, ehm_source_item *out) {
    const npy_source *s = (const npy_source *)base;
    if (i < 0 || i >= s->n) return EHM_E_ARG;
    int32_t label = s->labels[i];
    *out = (ehm_source_item){s->names + i * NAME_BYTES, label, label >= 0 ? base->classes[label] : NULL,
                             (int64_t)s->w * s->hgt * s->c * s->h.item_bytes};
    return EHM_OK;
}

static ehm_code read_one(ehm_source *base, int64_t i, ehm_source_data *out, ehm_arena *a, ehm_err *err) {
    const npy_source *s = (const npy_source *)base;
    *out = (ehm_source_data){.has_image = true};
    EHM_TRY(ehm_image_new(&out->image, s->w, s->hgt, s->c, s->dtype, a, err));
    size_t n = ehm_image_bytes(&out->image);
    return ehm_pread_all(s->fd, out->image.px, n, (int64_t)s->h.data_at + i * (int64_t)n, s->path, err);
}

const ehm_source_kind ehm_source_npy = {
    .name = "npy", .summary = "an array of pictures, N,H,W,C or N,H,W", .claims = claims, .open = npy_open,
    .count = count, .item = item, .read = read_one, .close = close_npy,
};
