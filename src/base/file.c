#include "base/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static ehm_code io_fail(ehm_err *err, const char *path, const char *what) {
    int e = errno;
    EHM_FAIL(err, EHM_E_IO, "%s: %s: %s", path, what, strerror(e));
    if (e == ENOSPC || e == EDQUOT) EHM_HINT(err, "free some space or write to another disk");
    return EHM_E_IO;
}

static ehm_code no_memory(ehm_err *err, const char *path) {
    return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
}

/* Pipes and /proc files have no size to ask for; grown in the arena the old copies would stay, hence the
 * plain buffer. */
ehm_code ehm_file_read_fd(ehm_bytes *out, int fd, const char *path, ehm_arena *a, ehm_err *err) {
    ehm_str s = {0};
    char buf[65536];
    ssize_t n;
    ehm_code rc = EHM_OK;
    while ((n = read(fd, buf, sizeof buf)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            rc = io_fail(err, path, "cannot read");
            goto done;
        }
        ehm_str_addn(&s, buf, (size_t)n);
        if (s.failed || (a->limit_bytes && s.len > a->limit_bytes)) break;
    }
    uint8_t *data = s.failed ? NULL : ehm_arena_alloc(a, s.len + 1, 1);
    if (!data) {
        rc = no_memory(err, path);
        goto done;
    }
    if (s.len) memcpy(data, s.s, s.len);
    *out = (ehm_bytes){data, s.len};
done:
    ehm_str_free(&s);
    return rc;
}

ehm_code ehm_file_read(ehm_bytes *out, const char *path, ehm_arena *a, ehm_err *err) {
    struct stat st;
    ehm_code rc = EHM_OK;
    *out = (ehm_bytes){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return io_fail(err, path, "cannot open");
    if (fstat(fd, &st)) {
        rc = io_fail(err, path, "cannot ask for its size");
        goto done;
    }
    if (S_ISDIR(st.st_mode)) {
        rc = EHM_FAIL(err, EHM_E_IO, "%s: is a folder, a file is needed", path);
        goto done;
    }
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        rc = ehm_file_read_fd(out, fd, path, a, err);
        goto done;
    }
    size_t size = (size_t)st.st_size, got = 0;
    uint8_t *data = size == SIZE_MAX ? NULL : ehm_arena_alloc(a, size + 1, 1);
    if (!data) {
        char t[32];
        rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for its %s", path, ehm_format_bytes((double)size, t));
        goto done;
    }
    while (got < size) {
        ssize_t n = read(fd, data + got, size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            rc = io_fail(err, path, "cannot read");
            goto done;
        }
        if (n == 0) break; /* it became shorter meanwhile: what is there is what it is */
        got += (size_t)n;
    }
    data[got] = 0;
    *out = (ehm_bytes){data, got};
done:
    close(fd);
    return rc;
}

ehm_code ehm_file_write(const char *path, const void *data, size_t n, ehm_err *err) {
    ehm_file_out o;
    EHM_TRY(ehm_file_out_open(&o, path, err));
    if (n && fwrite(data, 1, n, o.f) != n) {
        ehm_code rc = io_fail(err, path, "cannot write");
        ehm_file_out_abort(&o);
        return rc;
    }
    return ehm_file_out_commit(&o, err);
}

bool ehm_file_exists(const char *path) {
    struct stat st;
    return !stat(path, &st) && !S_ISDIR(st.st_mode);
}

bool ehm_dir_exists(const char *path) {
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

int64_t ehm_file_size(const char *path) {
    struct stat st;
    return stat(path, &st) ? -1 : (int64_t)st.st_size;
}

double ehm_file_mtime(const char *path) {
    struct stat st;
    return stat(path, &st) ? -1 : (double)st.st_mtim.tv_sec + 1e-9 * (double)st.st_mtim.tv_nsec;
}

ehm_code ehm_dir_make(const char *path, ehm_err *err) {
    if (!*path) return EHM_FAIL(err, EHM_E_ARG, "the name of a folder is empty");
    char *p = strdup(path);
    if (!p) return no_memory(err, path);
    ehm_code rc = EHM_OK;
    for (char *s = p + 1; !rc; s++) {
        char c = *s;
        if (c && c != '/') continue;
        *s = 0;
        if (mkdir(p, 0777)) {
            int e = errno; /* looking whether it is there may say something else */
            bool there = ehm_dir_exists(p);
            errno = e == EEXIST ? ENOTDIR : e; /* "exists" would hide that it is a file */
            if (!there) rc = io_fail(err, p, "cannot make this folder");
        }
        *s = c;
        if (!c) break;
    }
    free(p);
    return rc;
}

ehm_code ehm_dir_make_for(const char *path, ehm_err *err) {
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return EHM_OK;
    char *dir = strndup(path, (size_t)(slash - path));
    ehm_code rc = dir ? ehm_dir_make(dir, err) : no_memory(err, path);
    free(dir);
    return rc;
}

void ehm_path_hint_near(ehm_err *err, const char *path) {
    ehm_arena a = {0};
    ehm_strs names = {0};
    ehm_err ignored = {0};
    const char *base = ehm_path_base(path);
    char *dir = ehm_arena_strndup(&a, path, (size_t)(base - path));
    if (dir && !ehm_dir_list(&names, *dir ? dir : ".", &a, &ignored)) {
        const char *near = ehm_nearest(base, names.v, names.n);
        if (near) EHM_HINT(err, "did you mean %s%s?", dir, near);
    } else if (dir) {
        EHM_HINT(err, "the folder %s is not there either", dir);
    }
    ehm_arena_free(&a);
}

/* By descriptors, so that a link put in place meanwhile is removed and never followed. */
static int remove_in(int dir_fd, const char *name) {
    if (!unlinkat(dir_fd, name, 0)) return 0;
    if (errno == ENOENT) return 0;
    if (errno != EISDIR && errno != EPERM) return -1;
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int e = errno;
        if (fd >= 0) close(fd);
        errno = e;
        return -1;
    }
    int rc = 0;
    for (struct dirent *e; !rc && (e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) rc = remove_in(fd, e->d_name);
    int e = errno;
    closedir(d);
    errno = e;
    return rc ? rc : unlinkat(dir_fd, name, AT_REMOVEDIR);
}

ehm_code ehm_dir_remove(const char *path, ehm_err *err) {
    size_t n = strlen(path);
    char *p = strdup(path);
    if (!p) return no_memory(err, path);
    while (n > 1 && p[n - 1] == '/') p[--n] = 0; /* "link/" would name what the link points to */
    int rc = remove_in(AT_FDCWD, p);
    free(p);
    return rc && errno != ENOENT ? io_fail(err, path, "cannot remove") : EHM_OK;
}

ehm_code ehm_file_remove(const char *path, ehm_err *err) {
    return unlink(path) && errno != ENOENT ? io_fail(err, path, "cannot remove") : EHM_OK;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *e) { return strcmp(e->d_name, ".") && strcmp(e->d_name, ".."); }

ehm_code ehm_dir_list(ehm_strs *out, const char *path, ehm_arena *a, ehm_err *err) {
    struct dirent **list = NULL;
    *out = (ehm_strs){0};
    int n = scandir(path, &list, no_dots, by_name);
    if (n < 0) return io_fail(err, path, "cannot list this folder");
    const char **v = n ? EHM_NEW_N(a, const char *, n) : NULL;
    bool ok = v || !n;
    for (int i = 0; i < n; i++) {
        if (ok) ok = (v[i] = ehm_arena_strdup(a, list[i]->d_name)) != NULL;
        free(list[i]);
    }
    free(list);
    if (!ok) return no_memory(err, path);
    *out = (ehm_strs){v, n};
    return EHM_OK;
}

char *ehm_path_join(ehm_arena *a, const char *dir, const char *name) {
    if (!*dir || *name == '/') return ehm_arena_strdup(a, name);
    return ehm_arena_printf(a, ehm_ends(dir, "/") ? "%s%s" : "%s/%s", dir, name);
}

const char *ehm_path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

ehm_code ehm_dir_sync(const char *path, ehm_err *err) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return io_fail(err, path, "cannot open this folder");
    /* Some network file systems cannot sync a folder and say EINVAL; they keep names safe in their own way.
     */
    ehm_code rc = fsync(fd) && errno != EINVAL && errno != ENOTSUP
                      ? io_fail(err, path, "cannot sync this folder")
                      : EHM_OK;
    close(fd);
    return rc;
}

int64_t ehm_disk_free(const char *path) {
    struct statvfs v;
    char *p = strdup(*path ? path : ".");
    if (!p) return -1;
    while (statvfs(p, &v)) {
        char *slash = strrchr(p, '/');
        if ((errno != ENOENT && errno != ENOTDIR) || !strcmp(p, ".") || !strcmp(p, "/")) {
            free(p);
            return -1;
        }
        if (!slash) p[0] = '.', p[1] = 0;
        else if (slash == p) p[1] = 0;
        else *slash = 0;
    }
    free(p);
    if (!v.f_blocks) return -1; /* /proc and its like have no room to count */
    return (int64_t)v.f_bavail * (int64_t)v.f_frsize;
}

static ehm_code sync_parent(const char *path, ehm_err *err) {
    const char *slash = strrchr(path, '/');
    char *dir = !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
    if (!dir) return no_memory(err, path);
    ehm_code rc = ehm_dir_sync(dir, err);
    free(dir);
    return rc;
}

ehm_code ehm_file_out_open(ehm_file_out *o, const char *path, ehm_err *err) {
    struct stat st;
    *o = (ehm_file_out){0};
    if (!*path) return EHM_FAIL(err, EHM_E_ARG, "the name of a file to write is empty");
    bool there = !stat(path, &st);
    if ((there && S_ISDIR(st.st_mode)) || ehm_ends(path, "/"))
        return EHM_FAIL(err, EHM_E_IO, "%s: is a folder, a file is to be written", path);
    bool aside = !there || S_ISREG(st.st_mode); /* a pipe or /dev/stdout is written to, not replaced */
    o->path = strdup(path);
    if (aside && asprintf(&o->tmp, "%s.tmp.%ld", path, (long)getpid()) < 0) o->tmp = NULL;
    if (!o->path || (aside && !o->tmp)) {
        ehm_file_out_abort(o);
        return no_memory(err, path);
    }
    o->f = fopen(aside ? o->tmp : path, "we");
    if (!o->f) {
        ehm_code rc = io_fail(err, path, "cannot write");
        free(o->tmp), o->tmp = NULL; /* it was not made by us */
        ehm_file_out_abort(o);
        return rc;
    }
    return EHM_OK;
}

ehm_code ehm_file_out_commit(ehm_file_out *o, ehm_err *err) {
    bool bad = ferror(o->f) != 0;
    errno = bad ? EIO : 0;
    bad = fflush(o->f) || bad;
    if (!bad && o->tmp) bad = fsync(fileno(o->f)) && errno != EINVAL;
    int e = errno;
    if (fclose(o->f) && !bad) bad = true, e = errno;
    o->f = NULL;
    errno = e;
    ehm_code rc = bad ? io_fail(err, o->path, "cannot write") : EHM_OK;
    if (!rc && o->tmp) {
        if (rename(o->tmp, o->path)) rc = io_fail(err, o->path, "cannot put the finished file in its place");
        else {
            free(o->tmp), o->tmp = NULL;
            rc = sync_parent(o->path, err);
        }
    }
    ehm_file_out_abort(o);
    return rc;
}

void ehm_file_out_abort(ehm_file_out *o) {
    if (o->f) fclose(o->f);
    if (o->tmp) unlink(o->tmp);
    free(o->tmp);
    free(o->path);
    *o = (ehm_file_out){0};
}

ehm_code ehm_lock_open(int *fd, const char *path, ehm_err *err) {
    char pid[32] = "";
    *fd = -1;
    int f = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (f < 0) return io_fail(err, path, "cannot open the lock file");
    if (flock(f, LOCK_EX | LOCK_NB)) {
        ehm_code rc;
        if (errno == EWOULDBLOCK) {
            ssize_t n = pread(f, pid, sizeof pid - 1, 0);
            pid[n > 0 ? n : 0] = 0;
            pid[strcspn(pid, "\n")] = 0;
            rc = EHM_FAIL(err, EHM_E_MISMATCH, "%s: in use by process %s", path, pid[0] ? pid : "(unknown)");
        } else rc = io_fail(err, path, "cannot lock");
        close(f);
        return rc;
    }
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(f, 0) || pwrite(f, pid, (size_t)n, 0) != n) {
        ehm_code rc = io_fail(err, path, "cannot write the lock file");
        close(f);
        return rc;
    }
    *fd = f;
    return EHM_OK;
}

void ehm_lock_close(int fd) {
    if (fd < 0) return;
    /* The file stays: removing it would let two others lock two files of the same name. An empty one says
     * "nobody". */
    if (ftruncate(fd, 0)) { /* the lock itself counts, the number is for messages only */ }
    close(fd);
}

char *ehm_cache_dir(ehm_arena *a) {
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && *xdg == '/')
        return ehm_path_join(a, xdg, "ehm"); /* the specification says that relative ones are void */
    if (home && *home) return ehm_path_join(a, home, ".cache/ehm");
    return NULL;
}
