/* Checkpoints: checkpoints/NNNNNNNN/ with one file a part, manifest.json (sizes and SHA-256) and DONE, which holds the manifest's SHA-256.
 * Everything is written and synced in NNNNNNNN.tmp, DONE last, and then the folder gets its name. So a crash at any moment leaves either
 * the whole checkpoint or a .tmp folder that nobody reads. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/log.h"
#include "runs/run_int.h"

enum { PATH_N = 256, CHUNK = 1 << 20 };
static const char ROOT[] = "checkpoints";

/* ---- writing ---- */

static void tmp_name(const ehm_run *r, const char *file, char path[PATH_N]) {
    snprintf(path, PATH_N, "%s/%08lld.tmp%s%s", ROOT, (long long)r->ckpt.step, *file ? "/" : "", file);
}

static ehm_code remove_rel(ehm_run *r, const char *rel, ehm_err *err) {
    ehm_arena a = {0};
    char *path = ehm_run_path(r, rel, &a);
    ehm_code rc = path ? ehm_dir_remove(path, err) : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", r->dir);
    ehm_arena_free(&a);
    return rc;
}

static ehm_code sync_rel(ehm_run *r, const char *rel, ehm_err *err) {
    int fd = openat(r->dir_fd, rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return ehm_run_io(err, r->dir, rel, "cannot open this folder");
    ehm_code rc = fsync(fd) && errno != EINVAL && errno != ENOTSUP ? ehm_run_io(err, r->dir, rel, "cannot sync this folder") : EHM_OK;
    close(fd);
    return rc;
}

void ehm_ckpt_begin(ehm_run *r, int64_t step) {
    ehm_ckpt_writer *c = &r->ckpt;
    char path[PATH_N];
    EHM_ASSERT(!c->active && step >= 0);
    c->active = true, c->step = step, c->n = 0, c->fd = -1;
    ehm_err_clear(&c->err);
    r->wrote = true;
    if (mkdirat(r->dir_fd, ROOT, 0777) && errno != EEXIST) {
        ehm_run_io(&c->err, r->dir, ROOT, "cannot make this folder");
        return;
    }
    tmp_name(r, "", path);
    if (mkdirat(r->dir_fd, path, 0777)) {
        /* What a crash left under this name. */
        if (errno == EEXIST && !remove_rel(r, path, &c->err) && !mkdirat(r->dir_fd, path, 0777)) return;
        if (!c->err.code) ehm_run_io(&c->err, r->dir, path, "cannot make this folder");
    }
}

static void file_begin(ehm_run *r, const char *name) {
    ehm_ckpt_writer *c = &r->ckpt;
    char path[PATH_N];
    tmp_name(r, name, path);
    ehm_sha256_init(&c->sha);
    c->fd = openat(r->dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (c->fd < 0) ehm_run_io(&c->err, r->dir, path, "cannot open");
}

static void file_add(ehm_run *r, const char *name, const void *data, size_t n) {
    ehm_ckpt_writer *c = &r->ckpt;
    const char *p = data;
    if (c->err.code) return;
    ehm_sha256_add(&c->sha, data, n);
    for (size_t at = 0; at < n;) {
        ssize_t k = write(c->fd, p + at, n - at < (64 << 20) ? n - at : (64 << 20));
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) {
            char path[PATH_N];
            tmp_name(r, name, path);
            ehm_run_io(&c->err, r->dir, path, "cannot write");
            return;
        }
        at += (size_t)k;
    }
}

static void file_end(ehm_run *r, const char *name, char hex[65]) {
    ehm_ckpt_writer *c = &r->ckpt;
    uint8_t digest[32];
    char path[PATH_N];
    if (c->fd < 0) return;
    tmp_name(r, name, path);
    if (!c->err.code && fsync(c->fd) && errno != EINVAL) ehm_run_io(&c->err, r->dir, path, "cannot write");
    if (close(c->fd) && !c->err.code) ehm_run_io(&c->err, r->dir, path, "cannot write");
    c->fd = -1;
    ehm_sha256_end(&c->sha, digest);
    ehm_sha256_hex(digest, hex);
}

static void part_end(ehm_run *r) {
    ehm_ckpt_writer *c = &r->ckpt;
    if (c->fd >= 0) file_end(r, c->part[c->n - 1].name, c->part[c->n - 1].hex);
}

void ehm_ckpt_part_begin(ehm_run *r, const char *name) {
    ehm_ckpt_writer *c = &r->ckpt;
    EHM_ASSERT(c->active && strlen(name) < EHM_CKPT_PART_NAME && c->n < EHM_CKPT_PARTS && !strchr(name, '/'));
    part_end(r);
    if (c->err.code) return;
    snprintf(c->part[c->n].name, EHM_CKPT_PART_NAME, "%s", name);
    c->part[c->n++].bytes = 0;
    file_begin(r, name);
}

void ehm_ckpt_part_add(ehm_run *r, const void *data, size_t n) {
    ehm_ckpt_writer *c = &r->ckpt;
    EHM_ASSERT(c->active && c->n > 0);
    c->part[c->n - 1].bytes += n;
    file_add(r, c->part[c->n - 1].name, data, n);
}

static void write_manifest(ehm_run *r) {
    ehm_ckpt_writer *c = &r->ckpt;
    char hex[65], unused[65];
    ehm_str_clear(&c->text);
    ehm_json_w w = {.out = &c->text};
    ehm_json_obj(&w);
    ehm_json_key(&w, "format"), ehm_json_i64(&w, EHM_RUN_FORMAT);
    ehm_json_key(&w, "step"), ehm_json_i64(&w, c->step);
    ehm_json_key(&w, "parts");
    ehm_json_arr(&w);
    for (int32_t i = 0; i < c->n; i++) {
        ehm_json_obj(&w);
        ehm_json_key(&w, "name"), ehm_json_str(&w, c->part[i].name);
        ehm_json_key(&w, "bytes"), ehm_json_i64(&w, (int64_t)c->part[i].bytes);
        ehm_json_key(&w, "sha256"), ehm_json_str(&w, c->part[i].hex);
        ehm_json_end(&w);
    }
    ehm_json_end(&w);
    ehm_json_end(&w);
    ehm_str_addc(&c->text, '\n');
    if (c->text.failed) {
        EHM_FAIL(&c->err, EHM_E_MEMORY, "%s: no memory for a checkpoint's manifest", r->dir);
        return;
    }
    file_begin(r, "manifest.json");
    file_add(r, "manifest.json", c->text.s, c->text.len);
    file_end(r, "manifest.json", hex);
    char path[PATH_N];
    tmp_name(r, "", path);
    if (!c->err.code) sync_rel(r, path, &c->err); /* the parts' names are safe before the mark says so */
    if (c->err.code) return;
    file_begin(r, "DONE");
    file_add(r, "DONE", hex, 64);
    file_add(r, "DONE", "\n", 1);
    file_end(r, "DONE", unused);
    if (!c->err.code) sync_rel(r, path, &c->err);
}

/* The folder gets its name. One of the same step that is there already (a run stopped where it had just saved) changes places with
 * the new one in a single act where the system can, so that there is no moment without either. */
static ehm_code put_in_place(ehm_run *r, ehm_err *err) {
    char tmp[PATH_N], name[PATH_N], old[PATH_N];
    tmp_name(r, "", tmp);
    snprintf(name, sizeof name, "%s/%08lld", ROOT, (long long)r->ckpt.step);
    snprintf(old, sizeof old, "%s/%08lld.old.tmp", ROOT, (long long)r->ckpt.step);
    if (!renameat2(r->dir_fd, tmp, r->dir_fd, name, RENAME_NOREPLACE)) return sync_rel(r, ROOT, err);
    if (errno == EEXIST || errno == ENOTEMPTY) {
        if (!renameat2(r->dir_fd, tmp, r->dir_fd, name, RENAME_EXCHANGE)) {
            EHM_TRY(sync_rel(r, ROOT, err));
            return remove_rel(r, tmp, err);
        }
    }
    /* A file system without these flags (errno EINVAL): two renames. */
    if (!faccessat(r->dir_fd, name, F_OK, 0)) {
        EHM_TRY(remove_rel(r, old, err));
        if (renameat(r->dir_fd, name, r->dir_fd, old)) return ehm_run_io(err, r->dir, name, "cannot rename");
    }
    if (renameat(r->dir_fd, tmp, r->dir_fd, name)) return ehm_run_io(err, r->dir, name, "cannot put the finished checkpoint in its place");
    EHM_TRY(sync_rel(r, ROOT, err));
    return remove_rel(r, old, err);
}

/* Step of a folder's name, -1 for others. */
static int64_t step_of(const char *name) {
    int64_t step;
    if (strlen(name) < 8 || strspn(name, "0123456789") != strlen(name) || !ehm_parse_i64(name, &step)) return -1;
    return step;
}

static int by_step_down(const void *a, const void *b) {
    int64_t x = step_of(*(const char *const *)a), y = step_of(*(const char *const *)b);
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Names of checkpoint folders, newest first; what else lies there comes last. */
static ehm_code list_down(ehm_strs *out, const char *run_dir, ehm_arena *a, ehm_err *err) {
    *out = (ehm_strs){0};
    char *root = ehm_path_join(a, run_dir, ROOT);
    if (!root) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", run_dir);
    if (!ehm_dir_exists(root)) return EHM_OK;
    EHM_TRY(ehm_dir_list(out, root, a, err));
    if (out->n) qsort((void *)out->v, (size_t)out->n, sizeof out->v[0], by_step_down);
    return EHM_OK;
}

/* A folder leaves under another name first: half removed, it must not look whole. */
static ehm_code remove_checkpoint(ehm_run *r, const char *name, ehm_err *err) {
    char from[PATH_N], to[PATH_N];
    snprintf(from, sizeof from, "%s/%.100s", ROOT, name);
    snprintf(to, sizeof to, "%s/%.100s.gone.tmp", ROOT, name);
    if (ehm_ends(name, ".tmp")) return remove_rel(r, from, err);
    EHM_TRY(remove_rel(r, to, err));
    if (renameat(r->dir_fd, from, r->dir_fd, to)) return ehm_run_io(err, r->dir, from, "cannot rename");
    return remove_rel(r, to, err);
}

ehm_code ehm_ckpt_cut(ehm_run *r, int64_t step, ehm_err *err) {
    ehm_arena a = {0};
    ehm_strs names;
    ehm_code rc = list_down(&names, r->dir, &a, err);
    for (int32_t i = 0; !rc && i < names.n; i++)
        if (step_of(names.v[i]) > step || ehm_ends(names.v[i], ".tmp")) rc = remove_checkpoint(r, names.v[i], err);
    ehm_arena_free(&a);
    return rc;
}

static ehm_code remove_older(ehm_run *r, int64_t keep, ehm_err *err) {
    ehm_arena a = {0};
    ehm_strs names;
    ehm_code rc = list_down(&names, r->dir, &a, err);
    int64_t seen = 0;
    for (int32_t i = 0; !rc && i < names.n; i++) {
        char done[PATH_N];
        snprintf(done, sizeof done, "%s/%.100s/DONE", ROOT, names.v[i]);
        bool finished = step_of(names.v[i]) >= 0 && !faccessat(r->dir_fd, done, F_OK, 0);
        if ((finished && ++seen > keep) || ehm_ends(names.v[i], ".tmp")) rc = remove_checkpoint(r, names.v[i], err);
    }
    ehm_arena_free(&a);
    return rc;
}

void ehm_ckpt_abort(ehm_run *r) {
    ehm_ckpt_writer *c = &r->ckpt;
    char path[PATH_N];
    ehm_err ignored = {0};
    if (!c->active) return;
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    c->active = false;
    tmp_name(r, "", path);
    (void)remove_rel(r, path, &ignored); /* the failure that led here is the one to tell */
}

ehm_code ehm_ckpt_commit(ehm_run *r, int64_t keep, ehm_err *err) {
    ehm_ckpt_writer *c = &r->ckpt;
    EHM_ASSERT(c->active && keep >= 1);
    part_end(r);
    if (!c->err.code) write_manifest(r);
    if (!c->err.code) put_in_place(r, &c->err);
    if (c->err.code) {
        EHM_WHILE(&c->err, "writing the checkpoint of step %lld", (long long)c->step);
        EHM_HINT(&c->err, "earlier checkpoints stand; --resume goes on from the newest");
        ehm_ckpt_abort(r);
        if (err && !err->code) *err = c->err;
        return c->err.code;
    }
    c->active = false;
    return remove_older(r, keep, err);
}

ehm_code ehm_ckpt_write(ehm_run *r, int64_t step, const ehm_ckpt_part *parts, int32_t n, int64_t keep, ehm_err *err) {
    ehm_ckpt_begin(r, step);
    for (int32_t i = 0; i < n; i++) {
        ehm_ckpt_part_begin(r, parts[i].name);
        ehm_ckpt_part_add(r, parts[i].data, parts[i].bytes);
    }
    return ehm_ckpt_commit(r, keep, err);
}

/* ---- reading ---- */

static char *part_path(const char *run_dir, int64_t step, const char *name, ehm_arena *a) {
    return ehm_arena_printf(a, "%s/%s/%08lld/%s", run_dir, ROOT, (long long)step, name);
}

static ehm_code each_chunk(const char *path, void *chunk, size_t cap, ehm_ckpt_sink sink, void *ctx, ehm_err *err) {
    ehm_code rc = EHM_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return EHM_FAIL(err, EHM_E_IO, "%s: cannot open: %s", path, strerror(errno));
    while (!rc) {
        size_t have = 0;
        ssize_t k = 0;
        while (have < cap && (k = read(fd, (char *)chunk + have, cap - have)) != 0) {
            if (k < 0 && errno == EINTR) continue;
            if (k < 0) break;
            have += (size_t)k;
        }
        if (k < 0) rc = EHM_FAIL(err, EHM_E_IO, "%s: cannot read: %s", path, strerror(errno));
        else if (!have) break;
        else rc = sink(ctx, chunk, have, err);
    }
    close(fd);
    return rc;
}

ehm_code ehm_ckpt_read_chunks(const char *run_dir, int64_t step, const char *name, void *chunk, size_t cap, ehm_ckpt_sink sink, void *ctx, ehm_err *err) {
    ehm_arena a = {0};
    char *path = part_path(run_dir, step, name, &a);
    ehm_code rc = path ? each_chunk(path, chunk, cap, sink, ctx, err) : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", run_dir);
    ehm_arena_free(&a);
    return rc;
}

ehm_code ehm_ckpt_read(ehm_bytes *out, const char *run_dir, int64_t step, const char *name, ehm_arena *a, ehm_err *err) {
    char *path = part_path(run_dir, step, name, a);
    if (!path) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", run_dir);
    return ehm_file_read(out, path, a, err);
}

typedef struct { ehm_sha256 sha; uint64_t n; } hashed;
static ehm_code hash_chunk(void *ctx, const void *data, size_t n, ehm_err *err) {
    hashed *h = ctx;
    (void)err;
    ehm_sha256_add(&h->sha, data, n);
    h->n += n;
    return EHM_OK;
}

/* Is the checkpoint whole: DONE fits the manifest, each part its size and hash. err says what is not. */
static ehm_code verify(const char *run_dir, int64_t step, void *chunk, ehm_arena *a, ehm_err *err) {
    ehm_bytes done, text;
    ehm_json *root;
    char hex[65];
    char *path = part_path(run_dir, step, "DONE", a);
    if (!path) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", run_dir);
    if (!ehm_file_exists(path)) return EHM_FAIL(err, EHM_E_FORMAT, "%s is missing", path);
    EHM_TRY(ehm_file_read(&done, path, a, err));
    EHM_TRY(ehm_ckpt_read(&text, run_dir, step, "manifest.json", a, err));
    ehm_sha256_text(text.data, text.len, hex);
    if (done.len < 64 || memcmp(done.data, hex, 64))
        return EHM_FAIL(err, EHM_E_FORMAT, "%s/%s/%08lld/manifest.json: is not what was written", run_dir, ROOT, (long long)step);
    EHM_TRY(ehm_json_parse(&root, (const char *)text.data, text.len, "manifest.json", a, err));
    int64_t format = ehm_json_i64_or(root, "format", 0);
    if (format != EHM_RUN_FORMAT)
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s/%s/%08lld: format %lld, this program reads %d", run_dir, ROOT, (long long)step, (long long)format, EHM_RUN_FORMAT);
    const ehm_json *parts = ehm_json_get(root, "parts");
    for (const ehm_json *p = parts ? parts->first : NULL; p; p = p->next) {
        const char *name = ehm_json_str_or(p, "name", "");
        hashed h = {0};
        uint8_t digest[32];
        if (!*name || strchr(name, '/')) return EHM_FAIL(err, EHM_E_FORMAT, "%s/%s/%08lld/manifest.json: a part without a name", run_dir, ROOT, (long long)step);
        ehm_sha256_init(&h.sha);
        EHM_TRY(ehm_ckpt_read_chunks(run_dir, step, name, chunk, CHUNK, hash_chunk, &h, err));
        ehm_sha256_end(&h.sha, digest);
        ehm_sha256_hex(digest, hex);
        int64_t want = ehm_json_i64_or(p, "bytes", -1);
        if ((int64_t)h.n != want)
            return EHM_FAIL(err, EHM_E_FORMAT, "%s/%s/%08lld/%s: %lld bytes, %lld were written", run_dir, ROOT, (long long)step, name, (long long)h.n, (long long)want);
        if (strcmp(hex, ehm_json_str_or(p, "sha256", ""))) return EHM_FAIL(err, EHM_E_FORMAT, "%s/%s/%08lld/%s: its SHA-256 differs", run_dir, ROOT, (long long)step, name);
    }
    return EHM_OK;
}

int64_t ehm_ckpt_newest(const char *run_dir, ehm_err *err) {
    ehm_arena a = {0};
    ehm_strs names = {0};
    int64_t found = -1;
    int32_t n_damaged = 0;
    void *chunk = malloc(CHUNK);
    if (!chunk) EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", run_dir);
    else (void)list_down(&names, run_dir, &a, err);
    for (int32_t i = 0; chunk && i < names.n && found < 0; i++) {
        ehm_err why = {0};
        int64_t step = step_of(names.v[i]);
        if (step < 0) continue;
        if (!verify(run_dir, step, chunk, &a, &why)) found = step;
        else {
            ehm_log(EHM_LOG_WARN, "checkpoint %s is passed over: %s", names.v[i], why.what);
            n_damaged++;
        }
    }
    if (found < 0 && n_damaged) { /* starting afresh without a word would throw the run away */
        EHM_FAIL(err, EHM_E_FORMAT, "%s: %s damaged", run_dir, n_damaged > 1 ? "all checkpoints are" : "the only checkpoint is");
        EHM_HINT(err, "--overwrite deletes the run and starts afresh");
    }
    free(chunk);
    ehm_arena_free(&a);
    return found;
}
