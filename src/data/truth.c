#include "data/truth.h"
#include "base/file.h"
#include "data/sources_int.h"
#include <string.h>

ehm_code ehm_data_split_spec(const char **path, const char **part, const char *spec, ehm_arena *a, ehm_err *err) {
    const char *mark = strrchr(spec, '#');
    *path = spec, *part = NULL;
    if (!mark || ehm_file_exists(spec) || ehm_dir_exists(spec)) return EHM_OK;
    *path = ehm_arena_strndup(a, spec, (size_t)(mark - spec));
    *part = mark + 1;
    if (!*path) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", spec);
    return EHM_OK;
}

static ehm_code of_tar(ehm_bytes *text, bool *there, const char *path, const char *name, const char *cache_dir, ehm_arena *a, ehm_err *err) {
    ehm_files *f = NULL;
    ehm_dataset_opt opt = {.cache_dir = cache_dir};
    const char *tar[1] = {path};
    ehm_code rc = ehm_files_tars(&f, path, &(ehm_strs){tar, 1}, &opt, a, err);
    int64_t i = rc ? -1 : ehm_files_find(f, name);
    *there = i >= 0;
    if (i >= 0) rc = ehm_files_read(f, i, 0, text, a, err);
    ehm_files_close(f);
    return rc;
}

/* A tar by its first block, packed or not. */
static bool is_tar(const char *path) {
    uint8_t head[512];
    ehm_pack pack;
    return ehm_peek(path, head, sizeof head, &pack) == sizeof head && ehm_tar_block_ok(head);
}

ehm_code ehm_data_helper(ehm_bytes *text, bool *there, const char *spec, const char *name, const char *cache_dir, ehm_arena *a, ehm_err *err) {
    const char *path, *part;
    *text = (ehm_bytes){0};
    *there = false;
    EHM_TRY(ehm_data_split_spec(&path, &part, spec, a, err));
    if (ehm_dir_exists(path)) {
        char *file = ehm_path_join(a, path, name);
        if (!file) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
        if (!ehm_file_exists(file)) return EHM_OK;
        *there = true;
        return ehm_file_read(text, file, a, err);
    }
    if (!ehm_file_exists(path) || !is_tar(path)) return EHM_OK;
    return of_tar(text, there, path, name, cache_dir, a, err);
}

int32_t ehm_table_next(ehm_table_lines *l, char **field, int32_t n_max) {
    ehm_lines lines = {l->at, l->line};
    char *line = ehm_lines_next(&lines);
    l->at = lines.at, l->line = lines.line;
    return line ? ehm_fields(line, field, n_max) : 0;
}
