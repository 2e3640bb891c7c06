#include "exchange/import_files.h"
#include "base/file.h"
#include "exchange/import.h"
#include "exchange/pth.h"
#include "runs/run.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { HEAD = 64, SHARDS_MAX = 1000 };

/* The first bytes of a file; 0 where it cannot be read. */
static size_t first_bytes(uint8_t head[HEAD], const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, head, HEAD);
    if (fd >= 0) close(fd);
    return n > 0 ? (size_t)n : 0;
}

static ehm_code add_file(ehm_import_files *f, const char *path, ehm_err *err) {
    uint8_t head[HEAD];
    size_t n = first_bytes(head, path);
    ehm_st **to = &f->file[f->n_files];
    if (n && ehm_pth_claims(head, n)) {
        f->container = head[0] == 'P' && n > 1 && head[1] == 'K' ? "pth (zip)" : "pth (pickle)";
        EHM_TRY(ehm_pth_open(to, path, err));
    } else {
        f->container = "safetensors";
        EHM_TRY(ehm_st_open(to, path, err));
    }
    f->n_files++;
    return EHM_OK;
}

static ehm_code room_for(ehm_import_files *f, int32_t n, ehm_err *err) {
    f->file = EHM_NEW_N(&f->arena, ehm_st *, n);
    return f->file ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to open it", f->path);
}

/* ---- shards ---- */

static int32_t shard_of(const ehm_strs *names, const char *name) {
    for (int32_t i = 0; i < names->n; i++)
        if (!strcmp(names->v[i], name)) return i;
    return -1;
}

/* The shards that an index names, each once. */
static ehm_code shard_names(ehm_strs *out, ehm_import_files *f, const ehm_json *map, const char *path, ehm_err *err) {
    out->v = EHM_NEW_N(&f->arena, const char *, SHARDS_MAX);
    out->n = 0;
    if (!out->v) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to open it", path);
    for (const ehm_json *j = map->first; j; j = j->next) {
        if (j->kind != EHM_JSON_STR || !*j->str) return EHM_FAIL(err, EHM_E_FORMAT, "%s: the tensor \"%.80s\" has no file", path, j->key);
        if (strchr(j->str, '/') || strchr(j->str, '\\') || !strcmp(j->str, "..") || !strcmp(j->str, "."))
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: the shard \"%.80s\" does not lie in this folder", path, j->str);
        if (shard_of(out, j->str) >= 0) continue;
        if (out->n == SHARDS_MAX) return EHM_FAIL(err, EHM_E_FORMAT, "%s: more than %d shards", path, (int)SHARDS_MAX);
        out->v[out->n++] = j->str;
    }
    return out->n ? EHM_OK : EHM_FAIL(err, EHM_E_FORMAT, "%s: the index names no tensor", path);
}

static ehm_code open_shards(ehm_import_files *f, const char *dir, const char *index, ehm_err *err) {
    ehm_json *root;
    ehm_strs names;
    EHM_TRY(ehm_json_read_file(&root, index, &f->arena, err));
    const ehm_json *map = ehm_json_get(root, "weight_map");
    if (!map || map->kind != EHM_JSON_OBJ) return EHM_FAIL(err, EHM_E_FORMAT, "%s: the index has no weight_map", index);
    EHM_TRY(shard_names(&names, f, map, index, err));
    EHM_TRY(room_for(f, names.n, err));
    for (int32_t i = 0; i < names.n; i++) {
        char *path = ehm_path_join(&f->arena, dir, names.v[i]);
        if (!path) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to open it", index);
        if (!ehm_file_exists(path)) {
            EHM_FAIL(err, EHM_E_MISMATCH, "%s: the shard %s is not there", index, names.v[i]);
            EHM_HINT(err, "all %d shards are needed", (int)names.n);
            return EHM_E_MISMATCH;
        }
        EHM_TRY(add_file(f, path, err));
    }
    for (const ehm_json *j = map->first; j; j = j->next)
        if (!ehm_st_find(f->file[shard_of(&names, j->str)], j->key))
            return EHM_FAIL(err, EHM_E_MISMATCH, "%s: the tensor \"%.80s\" is not in %s, as the index says", index, j->key, j->str);
    f->container = ehm_arena_printf(&f->arena, "%s in %d shards", f->container, (int)names.n);
    return f->container ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to open it", index);
}

/* ---- folders ---- */

static const char *const usual[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json", NULL};

static bool is_weights_name(const char *name) {
    static const char *const end[] = {".safetensors", ".pth", ".pt", ".ckpt"};
    for (size_t i = 0; i < sizeof end / sizeof *end; i++)
        if (ehm_ends(name, end[i])) return true;
    return false;
}

/* The usual name, else the only file that is named as weights are; *n: how many there are of these. */
static ehm_code weights_in(const char **out, int32_t *n, const char *dir, ehm_arena *a, ehm_err *err) {
    ehm_strs names;
    *out = NULL, *n = 0;
    for (int32_t i = 0; usual[i]; i++) {
        char *path = ehm_path_join(a, dir, usual[i]);
        if (path && ehm_file_exists(path)) return *out = path, *n = 1, EHM_OK;
    }
    EHM_TRY(ehm_dir_list(&names, dir, a, err));
    for (int32_t i = 0; i < names.n; i++) {
        char *path = is_weights_name(names.v[i]) ? ehm_path_join(a, dir, names.v[i]) : NULL;
        if (path && ehm_file_exists(path)) *out = path, ++*n;
    }
    return EHM_OK;
}

static ehm_code open_folder(ehm_import_files *f, const char *dir, ehm_err *err) {
    const char *path;
    int32_t n;
    EHM_TRY(weights_in(&path, &n, dir, &f->arena, err));
    if (!n) {
        EHM_FAIL(err, EHM_E_MISMATCH, "%s: there is no model.safetensors, pytorch_model.bin or .pth in this folder", dir);
        EHM_HINT(err, "name the file of weights itself");
        return EHM_E_MISMATCH;
    }
    if (n > 1) {
        EHM_FAIL(err, EHM_E_MISMATCH, "%s: %d files of weights in this folder, and none is named model.safetensors or pytorch_model.bin", dir, (int)n);
        EHM_HINT(err, "name the file itself, such as %s", path);
        return EHM_E_MISMATCH;
    }
    if (ehm_ends(path, ".index.json")) return open_shards(f, dir, path, err);
    EHM_TRY(room_for(f, 1, err));
    return add_file(f, path, err);
}

/* ---- configuration beside the weights ---- */

static bool is_config(const ehm_json *j) {
    return ehm_json_get(j, "model_type") || ehm_json_get(j, "architectures") || ehm_json_get(j, "architecture") || ehm_json_get(j, "pretrained_cfg");
}

/* A file of ours that bears the name, or a stranger's, is passed over; one that is named as theirs and cannot be read is an error for a folder. */
static ehm_code read_beside(const ehm_json **out, ehm_import_files *f, const char *dir, const char *name, bool strict, ehm_err *err) {
    ehm_json *root;
    ehm_err why = {0};
    char *path = ehm_path_join(&f->arena, dir, name);
    *out = NULL;
    if (!path) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to open it", f->path);
    if (!ehm_file_exists(path)) return EHM_OK;
    ehm_code rc = ehm_json_read_file(&root, path, &f->arena, strict ? err : &why);
    if (rc) return strict ? rc : EHM_OK;
    *out = root;
    return EHM_OK;
}

static const char *folder_of(const char *path, ehm_arena *a) {
    const char *base = ehm_path_base(path);
    if (base == path) return ".";
    return base == path + 1 ? "/" : ehm_arena_strndup(a, path, (size_t)(base - path) - 1);
}

static ehm_code read_config(ehm_import_files *f, const char *path, bool folder, ehm_err *err) {
    const char *dir = folder ? path : folder_of(path, &f->arena);
    if (!dir) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to open it", path);
    /* Beside a single file only where it bears a name that goes with one: strangers share download folders. */
    if (!folder) {
        bool goes = false;
        for (int32_t i = 0; usual[i]; i++) goes |= !strcmp(ehm_path_base(path), usual[i]);
        if (!goes) return EHM_OK;
    }
    EHM_TRY(read_beside(&f->config, f, dir, "config.json", folder, err));
    if (f->config && !is_config(f->config)) f->config = NULL;
    return f->config ? read_beside(&f->preprocessor, f, dir, "preprocessor_config.json", folder, err) : EHM_OK;
}

/* ---- all of it ---- */

static ehm_code gather(ehm_import_files *f, ehm_err *err) {
    int64_t n = 0;
    for (int32_t i = 0; i < f->n_files; i++) n += ehm_st_count(f->file[i]);
    f->tensor = n <= INT32_MAX ? EHM_NEW_N(&f->arena, const ehm_st_tensor *, n ? n : 1) : NULL;
    if (!f->tensor) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for %lld tensors", f->path, (long long)n);
    for (int32_t i = 0; i < f->n_files; i++)
        for (int32_t k = 0; k < ehm_st_count(f->file[i]); k++) {
            const ehm_st_tensor *t = ehm_st_at(f->file[i], k);
            for (int32_t before = 0; before < i; before++)
                if (ehm_st_find(f->file[before], t->name)) return EHM_FAIL(err, EHM_E_FORMAT, "%s: two shards hold a tensor \"%.80s\"", f->path, t->name);
            f->tensor[f->n_tensors++] = t;
        }
    return EHM_OK;
}

ehm_code ehm_import_files_open(ehm_import_files *out, const char *path, ehm_err *err) {
    ehm_code rc;
    memset(out, 0, sizeof *out);
    bool folder = ehm_dir_exists(path), run = folder && ehm_run_is_folder(path);
    if (!(out->path = ehm_arena_strdup(&out->arena, path))) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory to open %s", path);
    } else if (folder) {
        rc = open_folder(out, path, err);
        if (!rc && !run) rc = read_config(out, path, true, err);
        if (!rc && !(out->container = ehm_arena_printf(&out->arena, "%s, %s", run ? "run folder" : ehm_json_get(out->config, "architecture") ? "timm folder" : out->config ? "transformers folder" : "folder", out->container)))
            rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to open it", path);
    } else if (ehm_file_exists(path)) {
        rc = room_for(out, 1, err);
        if (!rc) rc = add_file(out, path, err);
        if (!rc) rc = read_config(out, path, false, err);
    } else {
        rc = EHM_FAIL(err, EHM_E_CONFIG, "%s: no such file or folder", path);
        ehm_path_hint_near(err, path);
    }
    if (!rc) rc = gather(out, err);
    if (rc) ehm_import_files_close(out);
    return rc;
}

void ehm_import_files_close(ehm_import_files *f) {
    for (int32_t i = 0; i < f->n_files; i++) ehm_st_close(f->file[i]);
    ehm_arena_free(&f->arena);
    memset(f, 0, sizeof *f);
}

bool ehm_import_claims(const char *path) {
    if (ehm_dir_exists(path)) {
        ehm_arena a = {0};
        const char *file;
        int32_t n = 0;
        bool is = !ehm_run_is_folder(path) && !weights_in(&file, &n, path, &a, NULL) && n > 0;
        ehm_arena_free(&a);
        return is;
    }
    uint8_t head[HEAD];
    size_t n = first_bytes(head, path);
    uint64_t header = 0;
    if (n && ehm_pth_claims(head, n)) return true;
    for (int i = 7; i >= 0 && n > 8; i--) header = header << 8 | head[i];
    return n > 8 && head[8] == '{' && header <= (uint64_t)ehm_file_size(path);
}
