/* Pictures in tars: one, a brace range or list of shards, a folder of tars; plain, or compressed and then
 * unpacked once. */
#include "base/file.h"
#include "data/sources_int.h"
#include <stdlib.h>
#include <string.h>

extern const ehm_source_kind ehm_source_tar;

static bool is_tar(const char *path) {
    uint8_t head[512];
    ehm_pack pack;
    return ehm_peek(path, head, sizeof head, &pack) == sizeof head && ehm_tar_block_ok(head);
}

static bool tar_ending(const char *name) {
    static const char *const endings[] = {".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".txz"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (ehm_ends_nocase(name, endings[i])) return true;
    }
    return false;
}

/* A folder of tars: they are found by ending, the first by content, and nothing else there is a picture or a
 * folder. */
static bool folder_of_tars(const char *path, ehm_strs *tars, ehm_arena *a) {
    ehm_strs names = {0};
    ehm_err ignore = {0};
    if (ehm_dir_list(&names, path, a, &ignore)) return false;
    tars->v = EHM_NEW_N(a, const char *, names.n + 1);
    if (!tars->v) return false;
    int32_t n_tarish = 0;
    for (int32_t i = 0; i < names.n; i++) n_tarish += tar_ending(names.v[i]);
    if (!n_tarish)
        return false; /* before any file is looked into: folders of a million pictures come by here */
    for (int32_t i = 0; i < names.n; i++) {
        if (ehm_name_hidden(names.v[i])) continue;
        char *full = ehm_path_join(a, path, names.v[i]);
        if (!full || ehm_dir_exists(full)) return false;
        uint8_t head[EHM_SNIFF_BYTES];
        ehm_pack pack;
        if (tar_ending(names.v[i])) tars->v[tars->n++] = full;
        else if (ehm_image_format(head, ehm_peek(full, head, sizeof head, &pack))) return false;
    }
    return tars->n > 0 && is_tar(tars->v[0]);
}

/* ---- a{000..012}b, {x,y}, p::q ---- */
typedef struct { ehm_str *v; int32_t n, cap; bool failed; } list;
static void list_add(list *l, const char *s, size_t n) {
    if (l->n == l->cap) {
        int32_t cap = l->cap ? l->cap * 2 : 16;
        ehm_str *v = realloc(l->v, (size_t)cap * sizeof *v);
        if (!v) {
            l->failed = true;
            return;
        }
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n] = (ehm_str){0};
    ehm_str_addn(&l->v[l->n], s, n);
    l->failed |= l->v[l->n].failed;
    l->n++;
}

enum { MAX_EXPANDED = 1000000 };

static bool all_digits(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') return false;
    }
    return n > 0 && n < 16;
}

static ehm_code expand_one(list *out, const char *spec, ehm_err *err);

static ehm_code expand_with(list *out, const char *spec, const char *open, const char *mid, size_t n_mid,
                            const char *rest, ehm_err *err) {
    ehm_str s = {0};
    ehm_str_addn(&s, spec, (size_t)(open - spec));
    ehm_str_addn(&s, mid, n_mid);
    ehm_str_add(&s, rest);
    ehm_code rc = s.failed ? EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", spec)
                           : expand_one(out, ehm_str_c(&s), err);
    ehm_str_free(&s);
    return rc;
}

/* The first brace group is replaced by each of its values; what follows is expanded in turn. */
static ehm_code expand_one(list *out, const char *spec, ehm_err *err) {
    const char *open = strchr(spec, '{'), *close = open ? strchr(open, '}') : NULL;
    if (!close) {
        if (out->n >= MAX_EXPANDED)
            return EHM_FAIL(err, EHM_E_CONFIG, "%s: names more than %d files", spec, MAX_EXPANDED);
        list_add(out, spec, strlen(spec));
        return out->failed ? EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", spec) : EHM_OK;
    }
    const char *body = open + 1, *dots = strstr(body, "..");
    size_t n = (size_t)(close - body);
    if (dots && dots < close && all_digits(body, (size_t)(dots - body)) &&
        all_digits(dots + 2, (size_t)(close - dots - 2))) {
        int64_t from = strtoll(body, NULL, 10), to = strtoll(dots + 2, NULL, 10);
        int width = body[0] == '0' ? (int)(dots - body) : 0; /* zero padding is kept */
        if (to < from)
            return EHM_FAIL(err, EHM_E_CONFIG, "%s: the range {%.*s} runs backwards", spec, (int)n, body);
        for (int64_t i = from; i <= to; i++) {
            char digits[32];
            int m = snprintf(digits, sizeof digits, "%0*lld", width, (long long)i);
            EHM_TRY(expand_with(out, spec, open, digits, (size_t)m, close + 1, err));
        }
        return EHM_OK;
    }
    if (!memchr(body, ',', n))
        return EHM_FAIL(err, EHM_E_CONFIG, "%s: {%.*s} is neither a range {000..012} nor a choice {a,b}",
                        spec, (int)n, body);
    for (const char *p = body; p <= close;) {
        const char *end = p;
        while (end < close && *end != ',') end++;
        EHM_TRY(expand_with(out, spec, open, p, (size_t)(end - p), close + 1, err));
        p = end + 1;
    }
    return EHM_OK;
}

static ehm_code expand(ehm_strs *out, const char *spec, ehm_arena *a, ehm_err *err) {
    list l = {0};
    ehm_code rc = EHM_OK;
    for (const char *p = spec; p && !rc;) {
        const char *sep = strstr(p, "::");
        char *part = sep ? strndup(p, (size_t)(sep - p)) : strdup(p);
        rc = part ? expand_one(&l, part, err) : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", spec);
        free(part);
        p = sep ? sep + 2 : NULL;
    }
    out->n = 0;
    out->v = EHM_NEW_N(a, const char *, l.n + 1);
    if (!rc && !out->v) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", spec);
    for (int32_t i = 0; i < l.n; i++) {
        if (!rc) {
            out->v[out->n] = ehm_arena_strdup(a, ehm_str_c(&l.v[i]));
            if (!out->v[out->n++]) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", spec);
        }
        ehm_str_free(&l.v[i]);
    }
    free(l.v);
    return rc;
}

static bool spelled(const char *path) {
    return strstr(path, "::") || (strchr(path, '{') && strchr(path, '}'));
}

static bool claims(const char *path) {
    if (ehm_file_exists(path) && !ehm_dir_exists(path)) {
        uint8_t head[512];
        ehm_pack pack;
        size_t n = ehm_peek(path, head, sizeof head, &pack);
        if (pack > EHM_PACK_XZ) return true; /* to say what to do with it */
        return n == sizeof head && ehm_tar_block_ok(head);
    }
    ehm_arena a = {0};
    ehm_strs tars = {0};
    bool yes;
    if (ehm_dir_exists(path)) yes = folder_of_tars(path, &tars, &a);
    else yes = spelled(path);
    ehm_arena_free(&a);
    return yes;
}

static ehm_code tar_open(ehm_source **out, const char *path, const char *subset, const ehm_dataset_opt *opt,
                         ehm_arena *a, ehm_err *err) {
    ehm_strs tars = {0};
    const char *one = path;
    if (ehm_dir_exists(path)) {
        if (!folder_of_tars(path, &tars, a))
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: no longer a folder of tars", path);
    } else if (ehm_file_exists(path)) {
        tars = (ehm_strs){&one, 1};
    } else {
        EHM_TRY(expand(&tars, path, a, err));
    }
    for (int32_t i = 0; i < tars.n; i++) {
        if (ehm_file_exists(tars.v[i])) continue;
        return EHM_FAIL(err, EHM_E_IO, "%s: there is no such file (%d of the %d that %s stands for)",
                        tars.v[i], i + 1, tars.n, path);
    }
    ehm_files *f;
    EHM_TRY(ehm_files_tars(&f, path, &tars, opt, a, err));
    return ehm_picture_tree_open(out, &ehm_source_tar, f, path, subset, opt, a, err);
}

const ehm_source_kind ehm_source_tar = {
    .name = "tar",
    .summary = "pictures in tars: a file, a brace range or list of shards, or a folder of tars",
    .claims = claims,
    .open = tar_open,
    .count = ehm_picture_tree_count,
    .item = ehm_picture_tree_item,
    .read = ehm_picture_tree_read,
    .extras = ehm_picture_tree_extras,
    .close = ehm_picture_tree_close,
    .head = ehm_picture_tree_head,
};
