#include "report/record.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "report/run_lines.h"
#include "runs/run.h"

/* RUN/checkpoints/00000120: the run, and the step. */
static char *run_of_checkpoint(const char *dir, int64_t *step, ehm_arena *a) {
    char *s = ehm_arena_strdup(a, dir);
    for (int level = 0; s && level < 2; level++) {
        size_t n = strlen(s);
        while (n > 1 && s[n - 1] == '/') s[--n] = 0;
        const char *name = ehm_path_base(s);
        if (level ? strcmp(name, "checkpoints") != 0 : !ehm_parse_i64(name, step) || *step < 0) return NULL;
        if (name == s) return level ? ehm_arena_strdup(a, ".") : NULL;
        s[name - s] = 0;
    }
    size_t n = s ? strlen(s) : 0;
    while (n > 1 && s[n - 1] == '/') s[--n] = 0;
    return s;
}

static int64_t last_step(const char *run) {
    ehm_arena a = {0};
    ehm_err ignored = {0};
    ehm_report_run r = {0};
    char *path = ehm_path_join(&a, run, "metrics.jsonl");
    bool ok = path && !ehm_report_read_lines(&r, path, false, &a, &ignored) && r.n_lines;
    ehm_arena_free(&a);
    return ok ? r.step : -1;
}

bool ehm_record_run_of(char **run, int64_t *steps, const char *model, ehm_arena *a) {
    ehm_err ignored = {0};
    *run = NULL, *steps = -1;
    if (!model || !ehm_dir_exists(model)) return false;
    if (ehm_run_is_folder(model)) {
        char *weights = ehm_path_join(a, model, "model.safetensors");
        *run = ehm_arena_strdup(a, model);
        if (ehm_run_is_done(model)) *steps = last_step(model);
        else if (weights && !ehm_file_exists(weights)) *steps = ehm_ckpt_newest(model, &ignored);
        return *run != NULL;
    }
    *run = run_of_checkpoint(model, steps, a);
    if (*run && ehm_run_is_folder(*run)) return true;
    *run = NULL, *steps = -1;
    return false;
}

ehm_code ehm_record_add(const char *run, const char *line, ehm_err *err) {
    static const char name[] = "evaluations.jsonl";
    ehm_arena a = {0};
    ehm_str text = {0};
    ehm_code rc = EHM_OK;
    char *path = ehm_path_join(&a, run, name);
    ehm_str_add(&text, line), ehm_str_addc(&text, '\n');
    if (!path || text.failed) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s/%s: no memory", run, name);
    int fd = rc ? -1 : open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (!rc && fd < 0) rc = EHM_FAIL(err, EHM_E_IO, "%s: %s", path, strerror(errno));
    if (!rc) {
        off_t before = lseek(fd, 0, SEEK_END);
        char last = '\n';
        if (before > 0 && pread(fd, &last, 1, before - 1) == 1 && last != '\n') ehm_str_clear(&text), ehm_str_addf(&text, "\n%s\n", line); /* a torn line stays its own */
        ssize_t n = text.failed ? -1 : write(fd, text.s, text.len);
        if (n != (ssize_t)text.len) {
            rc = EHM_FAIL(err, EHM_E_IO, "%s: %s", path, n < 0 ? strerror(errno) : "the disk is full");
            if (n > 0 && lseek(fd, 0, SEEK_END) == before + n && ftruncate(fd, before)) { /* the reader passes a torn line over */ }
        }
    }
    if (fd >= 0) close(fd);
    ehm_str_free(&text);
    ehm_arena_free(&a);
    return rc;
}
