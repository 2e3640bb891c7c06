#include "runs/run_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

static const char LOCK[] = "lock";
/* What a run writes at the top of its folder; --overwrite removes these and the event files, and leaves what others put there. */
static const char *const own_names[] = {"config.json", "DONE", "metrics.jsonl", "timing.jsonl", "train.log", "bad_files.tsv", "checkpoints",
                                        "model.safetensors", "encoder.safetensors", "ema.safetensors", "ema_encoder.safetensors",
                                        "attention_mean.safetensors", "pictures", "report.html", "nonfinite.json", "evaluations.jsonl"};
static const char EVENTS[] = "events.out.tfevents.";

ehm_code ehm_run_io(ehm_err *err, const char *dir, const char *name, const char *what) {
    int e = errno;
    EHM_FAIL(err, EHM_E_IO, "%s/%s: %s: %s", dir, name, what, strerror(e));
    if (e == ENOSPC || e == EDQUOT) EHM_HINT(err, "free some space, then go on with --resume");
    return EHM_E_IO;
}

/* ---- opening ---- */

bool ehm_run_is_folder(const char *path) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_json *root = NULL;
    char *config = ehm_path_join(&a, path, "config.json");
    bool is = config && ehm_file_exists(config) && !ehm_json_read_file(&root, config, &a, &err) && ehm_json_i64_or(root, "format", 0) >= 1 &&
              ehm_json_get(root, "settings");
    ehm_arena_free(&a);
    return is;
}

bool ehm_run_is_done(const char *dir) {
    ehm_arena a = {0};
    char *done = ehm_path_join(&a, dir, "DONE");
    bool is = done && ehm_file_exists(done);
    ehm_arena_free(&a);
    return is;
}

static ehm_code mode_allows(const char *dir, ehm_run_mode mode, ehm_err *err) {
    ehm_arena a = {0};
    ehm_code rc = EHM_OK;
    bool is_run = ehm_run_is_folder(dir);
    if (ehm_file_exists(dir)) rc = EHM_FAIL(err, EHM_E_CONFIG, "%s: is a file, a run needs a folder", dir);
    else if (mode == EHM_RUN_CREATE && is_run) {
        rc = EHM_FAIL(err, EHM_E_CONFIG, "%s: holds a run%s", dir, ehm_run_is_done(dir) ? " that is finished" : "");
        EHM_HINT(err, "--resume goes on with it, --overwrite deletes it, --out names another folder");
    } else if (mode == EHM_RUN_OVERWRITE && !is_run && ehm_dir_exists(dir)) {
        /* Somebody's pictures, or a home folder: never ours to delete. A folder where no run got as far as its config.json is empty
         * but for the lock. */
        ehm_strs names;
        rc = ehm_dir_list(&names, dir, &a, err);
        for (int32_t i = 0; !rc && i < names.n; i++) {
            bool ours = !strcmp(names.v[i], LOCK) || ehm_starts(names.v[i], EVENTS) || ehm_starts(names.v[i], "config.json.tmp.");
            for (size_t k = 0; k < sizeof own_names / sizeof own_names[0]; k++) ours |= !strcmp(names.v[i], own_names[k]);
            if (ours) continue;
            rc = EHM_FAIL(err, EHM_E_CONFIG, "%s: holds \"%s\" and no run, so --overwrite does not touch it", dir, names.v[i]);
            EHM_HINT(err, "--out names another folder");
        }
    }
    ehm_arena_free(&a);
    return rc;
}

static ehm_code explain_lock(ehm_code rc, ehm_err *err) {
    if (rc == EHM_E_MISMATCH) EHM_HINT(err, "wait for that process or end it; --out names another folder");
    return rc;
}

ehm_code ehm_run_check(const char *dir, ehm_run_mode mode, ehm_err *err) {
    ehm_arena a = {0};
    ehm_code rc = EHM_OK;
    if (!dir || !*dir) return EHM_FAIL(err, EHM_E_CONFIG, "no run folder is given (--out DIR)");
    char *lock = ehm_path_join(&a, dir, LOCK);
    if (!lock) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", dir);
    else if (ehm_file_exists(lock)) {
        int fd;
        rc = explain_lock(ehm_lock_open(&fd, lock, err), err);
        if (!rc) ehm_lock_close(fd);
    }
    if (!rc) rc = mode_allows(dir, mode, err);
    ehm_arena_free(&a);
    return rc;
}

static ehm_code remove_own(ehm_run *r, ehm_err *err) {
    ehm_arena a = {0};
    ehm_strs names;
    ehm_code rc = ehm_dir_list(&names, r->dir, &a, err);
    for (int32_t i = 0; !rc && i < names.n; i++) {
        bool ours = ehm_starts(names.v[i], EVENTS) || strstr(names.v[i], ".tmp.");
        for (size_t k = 0; k < sizeof own_names / sizeof own_names[0]; k++) ours |= !strcmp(names.v[i], own_names[k]);
        char *path = ours ? ehm_path_join(&a, r->dir, names.v[i]) : NULL;
        if (ours) rc = path ? ehm_dir_remove(path, err) : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", r->dir);
    }
    ehm_arena_free(&a);
    return rc;
}

/* Growing text once, so that lines of usual length need no memory later. */
static void reserve(ehm_str *s, size_t n) {
    char blank[512];
    memset(blank, ' ', sizeof blank);
    while (s->len < n && !s->failed) ehm_str_addn(s, blank, sizeof blank);
    ehm_str_clear(s);
}

/* Indexes that bad_files.tsv names already, so that a resumed run does not list a file twice. */
static ehm_code read_bad(ehm_run *r, ehm_err *err) {
    ehm_arena a = {0};
    ehm_bytes text = {0};
    ehm_code rc = EHM_OK;
    char *path = ehm_path_join(&a, r->dir, "bad_files.tsv");
    if (!path) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", r->dir);
    else if (ehm_file_exists(path)) rc = ehm_file_read(&text, path, &a, err);
    int64_t top = 4095;
    for (int32_t pass = 0; !rc && pass < 2; pass++) {
        if (pass) {
            r->bad_seen = calloc((size_t)(top / 8 + 1), 1);
            if (!r->bad_seen) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", r->dir);
            else r->n_bad_seen = (top / 8 + 1) * 8;
        }
        for (char *p = (char *)text.data; !rc && p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
            char *end;
            long long id = strtoll(p, &end, 10);
            if (end == p || *end != '\t' || id < 0 || id > INT64_C(1) << 40) continue;
            if (!pass && id > top) top = id;
            else if (pass) r->bad_seen[id >> 3] |= (uint8_t)(1u << (id & 7));
        }
    }
    ehm_arena_free(&a);
    return rc;
}

ehm_code ehm_run_open(ehm_run **out, const char *dir, ehm_run_mode mode, ehm_err *err) {
    ehm_arena a = {0};
    ehm_code rc = EHM_OK;
    *out = NULL;
    if (!dir || !*dir) return EHM_FAIL(err, EHM_E_CONFIG, "no run folder is given (--out DIR)");
    ehm_run *r = calloc(1, sizeof *r);
    if (!r) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", dir);
    r->dir_fd = r->lock_fd = r->metrics_fd = r->timing_fd = r->log_fd = r->bad_fd = r->event_fd = r->ckpt.fd = -1;
    r->dir = strdup(dir);
    char *lock = ehm_path_join(&a, dir, LOCK);
    if (!r->dir || !lock) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", dir);
        goto done;
    }
    for (size_t n = strlen(r->dir); n > 1 && r->dir[n - 1] == '/'; n--) r->dir[n - 1] = 0;
    rc = mode_allows(dir, mode == EHM_RUN_CREATE ? EHM_RUN_RESUME : mode, err); /* a file in the way, before the lock is tried */
    if (rc) goto done;
    r->made_dir = !ehm_dir_exists(dir);
    rc = ehm_dir_make(dir, err);
    if (rc) goto done;
    rc = explain_lock(ehm_lock_open(&r->lock_fd, lock, err), err);
    if (rc) goto done;
    rc = mode_allows(dir, mode, err); /* what was there while the lock was ours */
    if (rc) goto done;
    r->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->dir_fd < 0) {
        rc = ehm_run_io(err, dir, "", "cannot open this folder");
        goto done;
    }
    if (mode == EHM_RUN_OVERWRITE) rc = remove_own(r, err);
    if (!rc) rc = read_bad(r, err);
    reserve(&r->record, 4096);
    reserve(&r->line, 4096);
    reserve(&r->ckpt.text, 8192);
    if (!rc && (r->record.failed || r->line.failed || r->ckpt.text.failed)) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", dir);
done:
    ehm_arena_free(&a);
    if (rc) ehm_run_close(r);
    else *out = r;
    return rc;
}

void ehm_run_close(ehm_run *r) {
    if (!r) return;
    int *const fds[] = {&r->metrics_fd, &r->timing_fd, &r->log_fd, &r->bad_fd, &r->event_fd, &r->ckpt.fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (*fds[i] >= 0) close(*fds[i]);
    /* A start that failed before anything was written leaves no folder behind. */
    if (r->made_dir && !r->wrote && r->dir_fd >= 0 && faccessat(r->dir_fd, "config.json", F_OK, 0)) {
        unlinkat(r->dir_fd, LOCK, 0);
        rmdir(r->dir);
    }
    if (r->dir_fd >= 0) close(r->dir_fd);
    ehm_lock_close(r->lock_fd);
    ehm_str_free(&r->record);
    ehm_str_free(&r->line);
    ehm_str_free(&r->ckpt.text);
    free(r->bad_seen);
    free(r->dir);
    free(r);
}

const char *ehm_run_dir(const ehm_run *r) { return r->dir; }
char *ehm_run_path(const ehm_run *r, const char *name, ehm_arena *a) { return ehm_path_join(a, r->dir, name); }

/* ---- lines ---- */

ehm_code ehm_run_file(ehm_run *r, int *fd, const char *name, ehm_err *err) {
    if (*fd >= 0) return EHM_OK;
    *fd = openat(r->dir_fd, name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (*fd < 0) return ehm_run_io(err, r->dir, name, "cannot open");
    r->wrote = true;
    return EHM_OK;
}

ehm_code ehm_run_append(ehm_run *r, int fd, const char *name, const void *data, size_t n, ehm_err *err) {
    struct stat st;
    const char *p = data;
    size_t at = 0;
    if (fstat(fd, &st)) return ehm_run_io(err, r->dir, name, "cannot ask for its size");
    while (at < n) {
        ssize_t k = write(fd, p + at, n - at);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) {
            ehm_code rc = ehm_run_io(err, r->dir, name, "cannot write");
            if (at && ftruncate(fd, st.st_size)) EHM_WHILE(err, "taking back half a line");
            return rc;
        }
        at += (size_t)k;
    }
    return EHM_OK;
}

static ehm_code add_line(ehm_run *r, int *fd, const char *name, const char *text, ehm_err *err) {
    EHM_TRY(ehm_run_file(r, fd, name, err));
    ehm_str_clear(&r->line);
    ehm_str_add(&r->line, text);
    ehm_str_addc(&r->line, '\n');
    if (r->line.failed) return EHM_FAIL(err, EHM_E_MEMORY, "%s/%s: no memory for a line", r->dir, name);
    return ehm_run_append(r, *fd, name, r->line.s, r->line.len, err);
}

ehm_code ehm_run_metric(ehm_run *r, const char *json_line, ehm_err *err) { return add_line(r, &r->metrics_fd, "metrics.jsonl", json_line, err); }
ehm_code ehm_run_timing(ehm_run *r, const char *json_line, ehm_err *err) { return add_line(r, &r->timing_fd, "timing.jsonl", json_line, err); }

void ehm_run_note(ehm_run *r, const char *text) {
    ehm_err err = {0};
    char iso[32];
    if (ehm_run_file(r, &r->log_fd, "train.log", &err)) return;
    ehm_clock_iso(ehm_clock_unix_s(), iso);
    ehm_str_clear(&r->line);
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\n");
        ehm_str_addf(&r->line, "%s  ", iso);
        ehm_str_addn(&r->line, p, n);
        ehm_str_addc(&r->line, '\n');
        p += n + (p[n] == '\n');
    }
    if (!r->line.failed && r->line.len) (void)ehm_run_append(r, r->log_fd, "train.log", r->line.s, r->line.len, &err);
}

static void add_cell(ehm_str *s, const char *text) {
    for (; *text; text++) ehm_str_addc(s, (unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text);
}

ehm_code ehm_run_bad_file(ehm_run *r, int64_t id, const char *name, const char *reason, ehm_err *err) {
    EHM_ASSERT(id >= 0);
    if (id >= r->n_bad_seen) {
        int64_t n = (id / 8 + 1) * 8 * 2;
        uint8_t *more = realloc(r->bad_seen, (size_t)(n / 8));
        if (!more) return EHM_FAIL(err, EHM_E_MEMORY, "%s/bad_files.tsv: no memory", r->dir);
        memset(more + r->n_bad_seen / 8, 0, (size_t)((n - r->n_bad_seen) / 8));
        r->bad_seen = more, r->n_bad_seen = n;
    }
    if (r->bad_seen[id >> 3] >> (id & 7) & 1) return EHM_OK;
    EHM_TRY(ehm_run_file(r, &r->bad_fd, "bad_files.tsv", err));
    ehm_str_clear(&r->line);
    if (lseek(r->bad_fd, 0, SEEK_END) == 0) ehm_str_add(&r->line, "index\tfile\treason\n");
    ehm_str_addf(&r->line, "%lld\t", (long long)id);
    add_cell(&r->line, name ? name : "");
    ehm_str_addc(&r->line, '\t');
    add_cell(&r->line, reason ? reason : "");
    ehm_str_addc(&r->line, '\n');
    if (r->line.failed) return EHM_FAIL(err, EHM_E_MEMORY, "%s/bad_files.tsv: no memory", r->dir);
    EHM_TRY(ehm_run_append(r, r->bad_fd, "bad_files.tsv", r->line.s, r->line.len, err));
    r->bad_seen[id >> 3] |= (uint8_t)(1u << (id & 7));
    return EHM_OK;
}

ehm_code ehm_run_flush(ehm_run *r, ehm_err *err) {
    const struct { int fd; const char *name; } f[] = {{r->metrics_fd, "metrics.jsonl"}, {r->timing_fd, "timing.jsonl"}, {r->event_fd, "the event file"}};
    for (size_t i = 0; i < sizeof f / sizeof f[0]; i++)
        if (f[i].fd >= 0 && fdatasync(f[i].fd) && errno != EINVAL) return ehm_run_io(err, r->dir, f[i].name, "cannot write");
    return EHM_OK;
}

/* ---- cutting ---- */

/* The file ends before its first line that is broken or belongs to a later step. */
static ehm_code cut_lines(ehm_run *r, const char *name, int64_t step, ehm_err *err) {
    ehm_arena a = {0}, scratch = {0};
    ehm_bytes text = {0};
    ehm_code rc = EHM_OK;
    char *path = ehm_path_join(&a, r->dir, name);
    if (!path) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", r->dir);
    else if (ehm_file_exists(path)) rc = ehm_file_read(&text, path, &a, err);
    size_t at = 0;
    while (!rc && at < text.len) {
        ehm_err ignored = {0};
        ehm_json *line;
        const char *nl = memchr(text.data + at, '\n', text.len - at);
        if (!nl) break;
        size_t n = (size_t)(nl - (const char *)text.data) - at;
        ehm_arena_reset(&scratch);
        if (ehm_json_parse(&line, (const char *)text.data + at, n, name, &scratch, &ignored)) break;
        if (ehm_json_i64_or(line, "step", INT64_MAX) > step) break;
        at += n + 1;
    }
    if (!rc && at < text.len && truncate(path, (off_t)at)) rc = ehm_run_io(err, r->dir, name, "cannot cut it");
    ehm_arena_free(&a);
    ehm_arena_free(&scratch);
    return rc;
}

ehm_code ehm_run_cut_after(ehm_run *r, int64_t step, ehm_err *err) {
    EHM_TRY(cut_lines(r, "metrics.jsonl", step, err));
    EHM_TRY(cut_lines(r, "timing.jsonl", step, err));
    EHM_TRY(ehm_event_cut(r, step, err));
    return ehm_ckpt_cut(r, step, err);
}

ehm_code ehm_run_set_done(ehm_run *r, bool done, ehm_err *err) {
    ehm_arena a = {0};
    char *path = ehm_run_path(r, "DONE", &a);
    ehm_code rc = !path ? EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", r->dir) : done ? ehm_file_write(path, "done\n", 5, err) : ehm_file_remove(path, err);
    if (!rc && !done) rc = ehm_dir_sync(r->dir, err);
    ehm_arena_free(&a);
    return rc;
}
