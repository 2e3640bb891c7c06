/* Lists of members: what a folder or a set of tars holds, sorted by name, with random access from any thread.
 */
#include "base/file.h"
#include "data/sources_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BLOCK = 1 << 16 };

char *ehm_names_add(ehm_names *p, const char *s, size_t n) {
    if (n >= NAME_BLOCK / 4) return ehm_arena_strndup(p->a, s, n);
    if (p->left < n + 1) {
        p->at = ehm_arena_alloc(p->a, NAME_BLOCK, 1);
        p->left = p->at ? NAME_BLOCK : 0;
        if (!p->at) return NULL;
    }
    char *out = p->at;
    memcpy(out, s, n);
    out[n] = 0;
    p->at += n + 1;
    p->left -= n + 1;
    return out;
}

uint8_t ehm_member_what(const uint8_t *head, size_t n) {
    const char *format = ehm_image_format(head, n);
    return !format ? EHM_MEMBER_OTHER : ehm_image_conversion(format) ? EHM_MEMBER_FOREIGN : EHM_MEMBER_PICTURE;
}

bool ehm_name_hidden(const char *path) {
    for (const char *p = path; p;) {
        const char *slash = strchr(p, '/');
        size_t n = slash ? (size_t)(slash - p) : strlen(p);
        if (*p == '.') return true;
        if (n == 8 && !memcmp(p, "__MACOSX", 8)) return true;
        if (!slash && n > 4 && !memcmp(p, "__", 2) && !memcmp(p + n - 2, "__", 2)) return true;
        p = slash ? slash + 1 : NULL;
    }
    return false;
}

/* By name; equal names (a tar that was appended to) by place, so that the last one can win. */
static int by_name(const void *a, const void *b) {
    const ehm_member *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    if (c) return c;
    if (x->i_tar != y->i_tar) return x->i_tar < y->i_tar ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

void ehm_files_sort(ehm_files *f) {
    if (f->n > 1) qsort(f->v, (size_t)f->n, sizeof *f->v, by_name);
    int64_t n = 0;
    for (int64_t i = 0; i < f->n; i++) {
        if (i + 1 < f->n && !strcmp(f->v[i].name, f->v[i + 1].name)) f->n_ignored++;
        else f->v[n++] = f->v[i];
    }
    f->n = n;
}

int64_t ehm_files_lower(const ehm_files *f, const char *prefix) {
    int64_t lo = 0, hi = f->n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (strcmp(f->v[mid].name, prefix) < 0) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

int64_t ehm_files_find(const ehm_files *f, const char *name) {
    int64_t i = ehm_files_lower(f, name);
    return i < f->n && !strcmp(f->v[i].name, name) ? i : -1;
}

ehm_code ehm_pread_all(int fd, void *buf, size_t n, int64_t at, const char *name, ehm_err *err) {
    size_t done = 0;
    while (done < n) {
        ssize_t got = pread(fd, (char *)buf + done, n - done, (off_t)(at + (int64_t)done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return EHM_FAIL(err, EHM_E_IO, "%s: cannot be read: %s", name, strerror(errno));
        if (got == 0) {
            EHM_HINT(err, "the file became shorter since it was opened; is something still writing it?");
            return EHM_FAIL(err, EHM_E_IO, "%s: ends early (%zu of %zu bytes)", name, done, n);
        }
        done += (size_t)got;
    }
    return EHM_OK;
}

static ehm_code read_at(int fd, int64_t at, int64_t n_bytes, size_t n_max, const char *name, ehm_bytes *out,
                        ehm_arena *a, ehm_err *err) {
    size_t n = (size_t)n_bytes;
    if (n_max && n > n_max) n = n_max;
    out->data = ehm_arena_alloc(a, n + 1, 1);
    if (!out->data) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for %zu bytes", name, n);
    out->len = n;
    return ehm_pread_all(fd, out->data, n, at, name, err);
}

static ehm_code read_file(const ehm_files *f, const ehm_member *m, size_t n_max, ehm_bytes *out, ehm_arena *a,
                          ehm_err *err) {
    char *path = *f->root ? ehm_path_join(a, f->root, m->name) : ehm_arena_strdup(a, m->name);
    if (!path) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", m->name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return EHM_FAIL(err, EHM_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    struct stat st;
    ehm_code rc = EHM_OK;
    if (fstat(fd, &st)) rc = EHM_FAIL(err, EHM_E_IO, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode)) rc = EHM_FAIL(err, EHM_E_IO, "%s: no longer a file", path);
    else rc = read_at(fd, 0, st.st_size, n_max, path, out, a, err);
    close(fd);
    return rc;
}

ehm_code ehm_files_read(const ehm_files *f, int64_t i, size_t n_max, ehm_bytes *out, ehm_arena *a,
                        ehm_err *err) {
    *out = (ehm_bytes){0};
    if (i < 0 || i >= f->n)
        return EHM_FAIL(err, EHM_E_ARG, "member %lld of %lld", (long long)i, (long long)f->n);
    const ehm_member *m = &f->v[i];
    if (!f->is_tar) return read_file(f, m, n_max, out, a, err);
    return read_at(f->fd[m->i_tar], m->offset, m->n_bytes, n_max, m->name, out, a, err);
}

void ehm_files_close(ehm_files *f) {
    if (!f) return;
    for (int32_t i = 0; i < f->n_tars; i++) {
        if (f->fd[i] >= 0) close(f->fd[i]);
        f->fd[i] = -1;
    }
    f->n_tars = 0;
}

void ehm_hint_near(ehm_err *err, const char *word, const char *const *names, int32_t n, const char *what) {
    const char *near = ehm_nearest(word, names, n);
    if (near) {
        EHM_HINT(err, "the nearest %s there is \"%s\"", what, near);
        return;
    }
    ehm_str list = {0};
    for (int32_t i = 0; i < n && i < 8; i++) ehm_str_addf(&list, "%s%s", i ? ", " : "", names[i]);
    if (n > 8) ehm_str_addf(&list, ", and %d more", n - 8);
    if (n) EHM_HINT(err, "there is: %s", ehm_str_c(&list));
    ehm_str_free(&list);
}

char *ehm_lines_next(ehm_lines *l) {
    while (l->at && *l->at) {
        char *line = l->at, *end = strchr(line, '\n');
        l->line++;
        if (end) {
            *end = 0;
            l->at = end + 1;
        } else {
            end = line + strlen(line);
            l->at = end;
        }
        while (end > line && (end[-1] == '\r' || end[-1] == ' ')) *--end = 0;
        if (l->line == 1 && !strncmp(line, "\xef\xbb\xbf", 3)) line += 3; /* a byte order mark */
        if (*line) return line;
    }
    return NULL;
}

int32_t ehm_fields(char *line, char **field, int32_t n_max) {
    int32_t n = 0;
    for (char *p = line; p && n < n_max;) {
        field[n++] = p;
        p = strchr(p, '\t');
        if (p) *p++ = 0;
    }
    return n;
}
