/* Compressed tars: random access needs a plain one, so it is unpacked once into the cache folder, or into
 * memory when there is no cache folder. An entry's name holds the archive's path, size and time, so a changed
 * archive is unpacked anew. */
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/pool.h"
#include "data/sources_int.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    const char *path;
    FILE *f; int fd;              /* one of them */
    int64_t in_bytes, in_total, out_bytes, limit;
    uint8_t first[512]; size_t n_first;
    double said_s;
} sink;

static ehm_code put(sink *k, const uint8_t *data, size_t n, ehm_err *err) {
    if (k->f) {
        if (fwrite(data, 1, n, k->f) != n) {
            EHM_HINT(err, "make room there, or name another folder with --cache DIR");
            return EHM_FAIL(err, EHM_E_IO, "%s: unpacking into the cache folder failed after %lld bytes: %s",
                            k->path, (long long)k->out_bytes, strerror(errno));
        }
        return EHM_OK;
    }
    for (size_t at = 0; at < n;) {
        ssize_t w = write(k->fd, data + at, n - at);
        if (w < 0 && errno == EINTR) continue;
        if (w <= 0)
            return EHM_FAIL(err, EHM_E_MEMORY, "%s: unpacking into memory failed after %lld bytes: %s",
                            k->path, (long long)k->out_bytes, strerror(errno));
        at += (size_t)w;
    }
    return EHM_OK;
}

static ehm_code take(void *ctx, const uint8_t *data, size_t n, ehm_err *err) {
    sink *k = ctx;
    if (k->n_first < sizeof k->first) {
        size_t m = sizeof k->first - k->n_first < n ? sizeof k->first - k->n_first : n;
        memcpy(k->first + k->n_first, data, m);
        k->n_first += m;
        if (k->n_first == sizeof k->first && !ehm_tar_block_ok(k->first)) {
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: holds no tar", k->path);
        }
    }
    if (k->limit && k->out_bytes + (int64_t)n > k->limit) {
        char text[32];
        EHM_HINT(err, "name a folder with room for the unpacked archive: --cache DIR");
        return EHM_FAIL(err, EHM_E_MEMORY, "%s: unpacked it needs more than %s, and there is no cache folder",
                        k->path, ehm_format_bytes((double)k->limit, text));
    }
    EHM_TRY(put(k, data, n, err));
    k->out_bytes += (int64_t)n;
    double now = ehm_clock_s();
    if (now - k->said_s > 0.5) {
        k->said_s = now;
        ehm_progress(false, "unpacking %s: %.0f %%", k->path,
                     k->in_total ? 100.0 * (double)k->in_bytes / (double)k->in_total : 0.0);
    }
    if (ehm_stop_asked()) return EHM_FAIL(err, EHM_E_STOPPED, "stopped while unpacking %s", k->path);
    return EHM_OK;
}

static ehm_code unpack_to(sink *k, ehm_pack pack, ehm_err *err) {
    struct stat st;
    if (!stat(k->path, &st)) k->in_total = st.st_size;
    k->said_s = ehm_clock_s();
    EHM_TRY(ehm_unpack(k->path, pack, take, k, &k->in_bytes, err));
    if (k->n_first < sizeof k->first)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: holds no tar (%zu bytes unpacked)", k->path, k->n_first);
    return EHM_OK;
}

/* cifar10-<path>-<size and time>.tar */
static ehm_code entry_names(const char *path, const char *dir, char **entry, char **family, ehm_arena *a,
                            ehm_err *err) {
    struct stat st;
    char *real = realpath(path, NULL);
    if (!real || stat(path, &st)) {
        free(real);
        return EHM_FAIL(err, EHM_E_IO, "%s: %s", path, strerror(errno));
    }
    char hex_path[65], hex_stamp[65];
    ehm_sha256_text(real, strlen(real), hex_path);
    free(real);
    char stamp[96];
    int n = snprintf(stamp, sizeof stamp, "%" PRId64 " %" PRId64 ".%09ld", (int64_t)st.st_size,
                     (int64_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    ehm_sha256_text(stamp, (size_t)n, hex_stamp);
    const char *base = ehm_path_base(path), *dot = strchr(base, '.');
    int stem = dot && dot > base ? (int)(dot - base) : (int)strlen(base);
    if (stem > 60) stem = 60;
    *family = ehm_arena_printf(a, "%.*s-%.12s-", stem, base, hex_path);
    *entry = *family ? ehm_arena_printf(a, "%s/%s%.12s.tar", dir, *family, hex_stamp) : NULL;
    return *entry ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
}

/* Entries of the same archive as it was before it changed. A process that reads one keeps its data until it
 * closes it. */
static void drop_old(const char *dir, const char *family, const char *entry, ehm_arena *a) {
    ehm_strs names = {0};
    ehm_err ignore = {0};
    if (ehm_dir_list(&names, dir, a, &ignore)) return;
    for (int32_t i = 0; i < names.n; i++) {
        if (!ehm_starts(names.v[i], family) || !ehm_ends(names.v[i], ".tar") ||
            !strcmp(names.v[i], ehm_path_base(entry)))
            continue;
        char *path = ehm_path_join(a, dir, names.v[i]);
        if (path) ehm_file_remove(path, &ignore);
    }
}

/* Only one process unpacks; the others wait and then find the entry. */
static ehm_code lock_entry(int *lock, const char *path, const char *lock_path, ehm_err *err) {
    for (bool said = false;; said = true) {
        ehm_err mine = {0};
        ehm_code rc = ehm_lock_open(lock, lock_path, &mine);
        if (rc != EHM_E_MISMATCH) {
            if (rc && err) *err = mine;
            return rc;
        }
        if (!said) ehm_log(EHM_LOG_INFO, "%s is being unpacked by another process; waiting", path);
        ehm_sleep_s(0.1);
        if (ehm_stop_asked())
            return EHM_FAIL(err, EHM_E_STOPPED, "stopped while waiting for %s to be unpacked", path);
    }
}

static ehm_code unpack_entry(const char *path, ehm_pack pack, const char *entry, ehm_err *err) {
    ehm_file_out o = {0};
    ehm_log(EHM_LOG_INFO, "unpacking %s once into the cache: %s", path, entry);
    EHM_TRY(ehm_file_out_open(&o, entry, err));
    sink k = {.path = path, .f = o.f, .fd = -1};
    ehm_code rc = unpack_to(&k, pack, err);
    if (!rc) rc = ehm_file_out_commit(&o, err);
    if (rc) ehm_file_out_abort(&o);
    else ehm_progress(true, "unpacked %s", path);
    return rc;
}

static ehm_code open_plain(int *fd, const char *entry, ehm_err *err) {
    *fd = open(entry, O_RDONLY | O_CLOEXEC);
    return *fd >= 0 ? EHM_OK : EHM_FAIL(err, EHM_E_IO, "%s: cannot be opened: %s", entry, strerror(errno));
}

static ehm_code from_cache(int *fd, const char *path, ehm_pack pack, const char *dir, ehm_arena *a,
                           ehm_err *err) {
    char *entry = NULL, *family = NULL;
    EHM_TRY(entry_names(path, dir, &entry, &family, a, err));
    if (ehm_file_exists(entry)) return open_plain(fd, entry, err);
    char *lock_path = ehm_arena_printf(a, "%s.lock", entry);
    if (!lock_path) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
    int lock = -1;
    EHM_TRY(lock_entry(&lock, path, lock_path, err));
    ehm_code rc = EHM_OK;
    if (!ehm_file_exists(entry)) {
        drop_old(dir, family, entry, a);
        rc = unpack_entry(path, pack, entry, err);
    }
    if (!rc) rc = open_plain(fd, entry, err);
    ehm_lock_close(lock);
    return rc;
}

static ehm_code in_memory(int *fd, const char *path, ehm_pack pack, ehm_err *err) {
    *fd = memfd_create("ehm-archive", MFD_CLOEXEC);
    if (*fd < 0) {
        EHM_HINT(err, "name a folder for unpacked archives: --cache DIR");
        return EHM_FAIL(err, EHM_E_IO, "%s: is compressed, and there is no cache folder to unpack it into",
                        path);
    }
    ehm_log(EHM_LOG_NOTE,
            "there is no cache folder: %s is unpacked into memory; --cache DIR keeps it for the next time",
            path);
    int64_t limit = ehm_memory_available() / 2;
    sink k = {.path = path, .fd = *fd, .limit = limit > 0 ? limit : (int64_t)1 << 30};
    ehm_code rc = unpack_to(&k, pack, err);
    if (rc) {
        close(*fd);
        *fd = -1;
        return rc;
    }
    ehm_progress(true, "unpacked %s", path);
    return EHM_OK;
}

static bool writable(const char *dir, ehm_err *err) {
    if (ehm_dir_make(dir, err)) return false;
    if (access(dir, W_OK | X_OK)) {
        EHM_FAIL(err, EHM_E_IO, "%s: may not be written: %s", dir, strerror(errno));
        return false;
    }
    return true;
}

ehm_code ehm_archive_open(int *fd, const char *path, ehm_pack pack, const ehm_dataset_opt *opt,
                          ehm_err *err) {
    *fd = -1;
    ehm_arena a = {0};
    ehm_err why = {0};
    ehm_code rc;
    bool given = opt && opt->cache_dir && *opt->cache_dir;
    const char *dir = given ? opt->cache_dir : ehm_cache_dir(&a);
    if (pack > EHM_PACK_XZ) {
        rc = ehm_unpack(path, pack, NULL, NULL, NULL, err); /* says what to do */
    } else if (dir && writable(dir, &why)) {
        rc = from_cache(fd, path, pack, dir, &a, err);
    } else if (given) {
        EHM_HINT(err, "--cache DIR names a folder that may be written; the unpacked archive is kept there");
        rc = EHM_FAIL(err, EHM_E_IO, "%s: is compressed, and the cache folder cannot be used: %s", path,
                      why.what);
    } else {
        rc = in_memory(fd, path, pack, err);
    }
    ehm_arena_free(&a);
    return rc;
}
