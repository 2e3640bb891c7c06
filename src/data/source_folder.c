/* A folder of pictures, at any depth, or one picture file. */
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/pool.h"
#include "data/sources_int.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const ehm_source_kind ehm_source_folder;

typedef struct { dev_t dev; ino_t ino; bool used; } node;
typedef struct {
    const char *root;
    ehm_arena *a;
    ehm_names names;
    ehm_member *v;
    int64_t n, cap, n_ignored;
    node *seen; int64_t n_seen, cap_seen;
    char **links; int64_t n_links, cap_links;
    ehm_err *err;
} walk;

static ehm_code no_memory(ehm_err *err, const char *what) {
    return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for the list of files", what);
}

static bool grow(void **v, int64_t *cap, int64_t n, size_t size) {
    if (n < *cap) return true;
    int64_t more = *cap ? *cap * 2 : 1024;
    size_t bytes;
    if (!ehm_mul_size(&bytes, (size_t)more, size)) return false;
    void *p = realloc(*v, bytes);
    if (!p) return false;
    *v = p;
    *cap = more;
    return true;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int64_t seen_slot(const node *v, int64_t cap, dev_t dev, ino_t ino) {
    uint64_t key[2] = {(uint64_t)dev, (uint64_t)ino};
    int64_t i = (int64_t)(ehm_hash64(key, sizeof key, 0) & (uint64_t)(cap - 1));
    while (v[i].used && (v[i].dev != dev || v[i].ino != ino)) i = (i + 1) & (cap - 1);
    return i;
}

/* True the first time a folder is met. Loops of links end here. */
static ehm_code first_time(walk *w, const struct stat *st, bool *first) {
    if (2 * w->n_seen >= w->cap_seen) {
        int64_t cap = w->cap_seen ? w->cap_seen * 2 : 256;
        node *v = calloc((size_t)cap, sizeof *v);
        if (!v) return no_memory(w->err, w->root);
        for (int64_t i = 0; i < w->cap_seen; i++) {
            if (w->seen[i].used) v[seen_slot(v, cap, w->seen[i].dev, w->seen[i].ino)] = w->seen[i];
        }
        free(w->seen);
        w->seen = v;
        w->cap_seen = cap;
    }
    node *at = &w->seen[seen_slot(w->seen, w->cap_seen, st->st_dev, st->st_ino)];
    *first = !at->used;
    if (!at->used) w->n_seen++;
    *at = (node){st->st_dev, st->st_ino, true};
    return EHM_OK;
}

static ehm_code add_file(walk *w, const char *name, const struct stat *st) {
    void *v = w->v;
    if (!grow(&v, &w->cap, w->n, sizeof *w->v)) return no_memory(w->err, w->root);
    w->v = v;
    char *copy = ehm_names_add(&w->names, name, strlen(name));
    if (!copy) return no_memory(w->err, w->root);
    w->v[w->n++] = (ehm_member){.name = copy, .n_bytes = st->st_size};
    return EHM_OK;
}

static ehm_code add_link(walk *w, const char *name) {
    void *v = w->links;
    if (!grow(&v, &w->cap_links, w->n_links, sizeof *w->links)) return no_memory(w->err, w->root);
    w->links = v;
    w->links[w->n_links] = strdup(name);
    if (!w->links[w->n_links]) return no_memory(w->err, w->root);
    w->n_links++;
    return EHM_OK;
}

static ehm_code walk_dir(walk *w, int fd, const char *prefix, int32_t depth);

static ehm_code enter_dir(walk *w, int at, const char *entry, const char *name, int32_t depth) {
    int fd = openat(at, entry, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        EHM_HINT(w->err, "change its rights, or give the folders that can be read one by one");
        return EHM_FAIL(w->err, EHM_E_IO, "%s/%s: the folder cannot be read: %s", w->root, name,
                        strerror(errno));
    }
    return walk_dir(w, fd, name, depth);
}

static ehm_code one_entry(walk *w, int fd, const char *entry, const char *prefix, int32_t depth) {
    if (*entry == '.' || ehm_name_hidden(entry)) {
        w->n_ignored++;
        return EHM_OK;
    }
    struct stat lst, st;
    if (fstatat(fd, entry, &lst, AT_SYMLINK_NOFOLLOW)) {
        w->n_ignored++; /* gone since it was listed */
        return EHM_OK;
    }
    st = lst;
    bool is_link = S_ISLNK(lst.st_mode);
    if (is_link && fstatat(fd, entry, &st, 0)) {
        w->n_ignored++; /* a link to nowhere or to itself */
        return EHM_OK;
    }
    char *name = NULL;
    if (asprintf(&name, "%s%s%s", prefix, *prefix ? "/" : "", entry) < 0) return no_memory(w->err, w->root);
    ehm_code rc = EHM_OK;
    if (S_ISREG(st.st_mode)) rc = add_file(w, name, &st);
    else if (S_ISDIR(st.st_mode) && is_link) rc = add_link(w, name);
    else if (S_ISDIR(st.st_mode)) rc = enter_dir(w, fd, entry, name, depth + 1);
    else w->n_ignored++;
    free(name);
    return rc;
}

/* Takes fd. Entries are visited in sorted order, so that which of two links to a folder counts is the same
 * everywhere. */
static ehm_code walk_dir(walk *w, int fd, const char *prefix, int32_t depth) {
    ehm_code rc = EHM_OK;
    char **names = NULL;
    int64_t n = 0, cap = 0;
    struct stat st;
    bool first = false;
    DIR *d = fdopendir(fd);
    if (!d) {
        rc = EHM_FAIL(w->err, EHM_E_IO, "%s/%s: the folder cannot be read: %s", w->root, prefix,
                      strerror(errno));
        close(fd);
        return rc;
    }
    if (fstat(fd, &st)) rc = EHM_FAIL(w->err, EHM_E_IO, "%s/%s: %s", w->root, prefix, strerror(errno));
    else rc = first_time(w, &st, &first);
    if (rc || !first) goto done;
    if (depth > 200) { /* each level holds an open descriptor */
        rc = EHM_FAIL(w->err, EHM_E_UNSUPPORTED, "%s/%s: folders nested more than 200 deep", w->root, prefix);
        goto done;
    }
    if (ehm_stop_asked()) {
        rc = EHM_FAIL(w->err, EHM_E_STOPPED, "stopped while listing %s", w->root);
        goto done;
    }
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e) {
            if (errno)
                rc = EHM_FAIL(w->err, EHM_E_IO, "%s/%s: the folder cannot be read: %s", w->root, prefix,
                              strerror(errno));
            break;
        }
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        void *v = names;
        if (!grow(&v, &cap, n, sizeof *names) || (names = v, !(names[n] = strdup(e->d_name)))) {
            names = v;
            rc = no_memory(w->err, w->root);
            break;
        }
        n++;
    }
    if (n > 1) qsort(names, (size_t)n, sizeof *names, by_text);
    for (int64_t i = 0; !rc && i < n; i++) rc = one_entry(w, fd, names[i], prefix, depth);
done:
    for (int64_t i = 0; i < n; i++) free(names[i]);
    free(names);
    closedir(d);
    return rc;
}

/* What each file is: its first bytes decide. Threads share the waiting for the disk. */
typedef struct { const char *root; ehm_member *v; int64_t n; } sniff_job;
static void sniff(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const sniff_job *j = ctx;
    int root = open(j->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int64_t i = begin; i < end && !ehm_stop_asked(); i++) {
        uint8_t head[EHM_SNIFF_BYTES];
        int fd = openat(root, j->v[i].name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        ssize_t n = fd >= 0 ? pread(fd, head, sizeof head, 0) : -1;
        if (n >= 0) {
            j->v[i].what = ehm_member_what(head, (size_t)n);
        } else { /* cannot be looked at: the ending decides whether it is a bad picture or nothing to us */
            static const char *const endings[] = {".jpg",  ".jpeg", ".png", ".webp", ".tif",
                                                  ".tiff", ".bmp",  ".ppm", ".pgm",  ".gif"};
            for (size_t k = 0; k < sizeof endings / sizeof *endings; k++) {
                if (ehm_ends_nocase(j->v[i].name, endings[k])) j->v[i].what = EHM_MEMBER_PICTURE;
            }
        }
        if (fd >= 0) close(fd);
    }
    if (root >= 0) close(root);
    if (i_thread == 0 && j->n > 20000)
        ehm_progress(false, "looking at files of %s: %lld of %lld", j->root, (long long)end, (long long)j->n);
}

static ehm_code sniff_all(ehm_files *f, ehm_err *err) {
    ehm_pool *pool = NULL;
    if (f->n > 512) EHM_TRY(ehm_pool_open(&pool, ehm_cpu_count() < 16 ? ehm_cpu_count() : 16, err));
    sniff_job j = {f->root, f->v, f->n};
    ehm_pool_for(pool, f->n, 512, sniff, &j);
    ehm_pool_close(pool);
    if (f->n > 20000) ehm_progress(true, "looked at %lld files of %s", (long long)f->n, f->root);
    if (ehm_stop_asked())
        return EHM_FAIL(err, EHM_E_STOPPED, "stopped while looking at the files of %s", f->root);
    return EHM_OK;
}

ehm_code ehm_files_walk(ehm_files **out, const char *root, ehm_arena *a, ehm_err *err) {
    *out = NULL;
    walk w = {.root = root, .a = a, .names = {.a = a}, .err = err};
    ehm_code rc = EHM_OK;
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        EHM_HINT(err, "change its rights, or run as a user who may read it");
        return EHM_FAIL(err, EHM_E_IO, "%s: the folder cannot be read: %s", root, strerror(errno));
    }
    rc = walk_dir(&w, fd, "", 0);
    for (int64_t i = 0; !rc && i < w.n_links; i++) { /* n_links grows while links are walked */
        char *name = w.links[i];
        char *path = NULL;
        if (asprintf(&path, "%s/%s", root, name) < 0) rc = no_memory(err, root);
        else rc = enter_dir(&w, AT_FDCWD, path, name, 1);
        free(path);
    }
    ehm_files *f = NULL;
    if (!rc) {
        f = EHM_NEW(a, ehm_files);
        ehm_member *v = EHM_NEW_N(a, ehm_member, w.n ? w.n : 1);
        if (!f || !v) {
            rc = no_memory(err, root);
        } else {
            if (w.n) memcpy(v, w.v, (size_t)w.n * sizeof *v);
            *f = (ehm_files){.root = ehm_arena_strdup(a, root), .v = v, .n = w.n, .n_ignored = w.n_ignored};
            if (!f->root) rc = no_memory(err, root);
        }
    }
    if (!rc) {
        ehm_files_sort(f);
        rc = sniff_all(f, err);
    }
    for (int64_t i = 0; i < w.n_links; i++) free(w.links[i]);
    free(w.links);
    free(w.seen);
    free(w.v);
    if (!rc) *out = f;
    return rc;
}

static bool claims(const char *path) {
    if (ehm_dir_exists(path)) return true;
    uint8_t head[EHM_SNIFF_BYTES];
    ehm_pack pack;
    size_t n = ehm_peek(path, head, sizeof head, &pack);
    return n && pack == EHM_PACK_NONE && ehm_image_format(head, n);
}

/* One picture: a set of one. */
static ehm_code single(ehm_files **out, const char *path, ehm_arena *a, ehm_err *err) {
    ehm_files *f = EHM_NEW(a, ehm_files);
    ehm_member *m = EHM_NEW(a, ehm_member);
    if (!f || !m) return no_memory(err, path);
    const char *base = ehm_path_base(path);
    char *dir = ehm_arena_strndup(a, path, (size_t)(base - path));
    char *name = ehm_arena_strdup(a, base);
    if (!dir || !name) return no_memory(err, path);
    *m = (ehm_member){.name = name, .n_bytes = ehm_file_size(path), .what = EHM_MEMBER_PICTURE};
    *f = (ehm_files){.root = dir, .v = m, .n = 1};
    *out = f;
    return EHM_OK;
}

static ehm_code folder_open(ehm_source **out, const char *path, const char *subset,
                            const ehm_dataset_opt *opt, ehm_arena *a, ehm_err *err) {
    ehm_files *f = NULL;
    if (!ehm_dir_exists(path)) {
        if (subset)
            return EHM_FAIL(err, EHM_E_CONFIG, "%s#%s: one picture has no parts to choose from", path,
                            subset);
        EHM_TRY(single(&f, path, a, err));
    } else {
        EHM_TRY(ehm_files_walk(&f, path, a, err));
    }
    return ehm_picture_tree_open(out, &ehm_source_folder, f, path, subset, opt, a, err);
}

const ehm_source_kind ehm_source_folder = {
    .name = "folder",
    .summary = "a folder of pictures at any depth, or one picture",
    .claims = claims,
    .open = folder_open,
    .count = ehm_picture_tree_count,
    .item = ehm_picture_tree_item,
    .read = ehm_picture_tree_read,
    .extras = ehm_picture_tree_extras,
    .close = ehm_picture_tree_close,
    .head = ehm_picture_tree_head,
    .file = ehm_picture_tree_file,
};
