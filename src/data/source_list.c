/* A text file that names pictures: a path a line, relative to the list's folder or to the working folder, and
 * after a tab the label if there is one: all whole numbers, or class names. Empty lines and lines that begin
 * with # are passed over. */
#include "base/file.h"
#include "base/log.h"
#include "data/sources_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const ehm_source_kind ehm_source_list;

typedef struct { const char *name, *path, *word, *foreign; int64_t n_bytes; int32_t label; } entry; /* foreign: a format that no build reads */
typedef struct { ehm_source base; entry *v; int64_t n; } list_source;

enum { LOOK_BYTES = 4096 };

/* A path as it stands, or below the list's folder. */
static char *resolve(const char *list, const char *name, ehm_arena *a) {
    char *path = NULL;
    if (*name != '/') {
        path = ehm_arena_printf(a, "%.*s%s", (int)(ehm_path_base(list) - list), list, name);
        if (path && ehm_file_exists(path)) return path;
    }
    return ehm_file_exists(name) ? ehm_arena_strdup(a, name) : NULL;
}

static bool claims(const char *path) {
    uint8_t buf[LOOK_BYTES + 1];
    ehm_pack pack;
    size_t n = ehm_peek(path, buf, LOOK_BYTES, &pack);
    if (!n || pack != EHM_PACK_NONE) return false;
    for (size_t i = 0; i < n; i++) {
        if (buf[i] < 9 || (buf[i] > 13 && buf[i] < 32 && buf[i] != 27)) return false; /* not text */
    }
    buf[n] = 0;
    static const char *const endings[] = {".txt", ".tsv", ".lst", ".list"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (ehm_ends_nocase(path, endings[i])) return true;
    }
    ehm_lines l = {(char *)buf, 0};
    for (char *line; (line = ehm_lines_next(&l));) {
        if (*line == '#') continue;
        char *field[2];
        ehm_fields(line, field, 2);
        ehm_arena a = {0};
        bool found = resolve(path, field[0], &a) != NULL;
        ehm_arena_free(&a);
        return found;
    }
    return false;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

/* False: the file is no picture by content, or no plain file. One that cannot be read stays: it is a bad
 * file, named in time. */
static bool look(entry *e) {
    uint8_t head[EHM_SNIFF_BYTES];
    struct stat st;
    int fd = open(e->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return true;
    bool ok = !fstat(fd, &st) && S_ISREG(st.st_mode);
    ssize_t n = ok ? pread(fd, head, sizeof head, 0) : -1;
    close(fd);
    e->n_bytes = ok ? st.st_size : 0;
    const char *format = ok && n >= 0 ? ehm_image_format(head, (size_t)n) : NULL;
    e->foreign = ehm_image_conversion(format) ? format : NULL;
    return ok && (n < 0 || format);
}

static ehm_code read_lines(list_source *s, const char *path, ehm_arena *a, ehm_err *err) {
    ehm_bytes text;
    EHM_TRY(ehm_file_read(&text, path, a, err));
    if (memchr(text.data, 0, text.len)) return EHM_FAIL(err, EHM_E_FORMAT, "%s: is no text", path);
    int64_t cap = 1, n_missing = 0, missing_line = 0;
    for (size_t i = 0; i < text.len; i++) cap += text.data[i] == '\n';
    s->v = EHM_NEW_N(a, entry, cap);
    if (!s->v) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for %lld lines", path, (long long)cap);
    const char *missing = NULL;
    ehm_lines l = {(char *)text.data, 0};
    for (char *line; (line = ehm_lines_next(&l));) {
        if (*line == '#') continue;
        char *field[2];
        int32_t n = ehm_fields(line, field, 2);
        entry e = {.name = field[0], .word = n > 1 && *field[1] ? field[1] : NULL, .label = -1};
        if (e.word) field[1][strcspn(field[1], "\t")] = 0;
        e.path = resolve(path, e.name, a);
        if (!e.path) {
            if (!n_missing++) missing = e.name, missing_line = l.line;
        } else if (look(&e)) {
            s->v[s->n++] = e;
        } else {
            s->base.n_ignored++;
        }
        if ((l.line & 0x3fff) == 0x3fff)
            ehm_progress(false, "looking at the files of %s: %lld", path, (long long)l.line);
    }
    if (n_missing) {
        EHM_HINT(err, "paths in a list are relative to the list's folder or to the working folder; remove "
                      "the lines of files that are gone");
        return EHM_FAIL(err, EHM_E_IO, "%s:%lld: there is no file \"%s\" (%lld such lines)", path,
                        (long long)missing_line, missing, (long long)n_missing);
    }
    if (!s->n)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: names no pictures (%lld files that are none by content)",
                        path, (long long)s->base.n_ignored);
    return EHM_OK;
}

/* As in a folder: among pictures that can be read they are left out. */
static ehm_code leave_out_foreign(list_source *s, const char *path, ehm_arena *a, ehm_err *err) {
    int64_t n_foreign = 0, n = 0;
    for (int64_t i = 0; i < s->n; i++) n_foreign += s->v[i].foreign != NULL;
    if (!n_foreign || n_foreign == s->n) return EHM_OK;
    ehm_left_out *out = EHM_NEW_N(a, ehm_left_out, n_foreign);
    if (!out) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
    for (int64_t i = 0; i < s->n; i++) {
        if (s->v[i].foreign) out[s->base.n_left_out++] = (ehm_left_out){s->v[i].name, s->v[i].foreign};
        else s->v[n++] = s->v[i];
    }
    s->n = n, s->base.left_out = out;
    return EHM_OK;
}

static ehm_code number_labels(list_source *s, const char *path, ehm_arena *a, ehm_err *err) {
    int64_t most = -1;
    for (int64_t i = 0; i < s->n; i++) {
        int64_t v;
        if (!s->v[i].word) continue;
        ehm_parse_i64(s->v[i].word, &v);
        if (v < -1 || v >= EHM_MAX_CLASSES)
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: the label %lld of %s is not in 0..%d", path, (long long)v,
                            s->v[i].name, EHM_MAX_CLASSES - 1);
        s->v[i].label = (int32_t)v;
        if (v > most) most = v;
    }
    ehm_class_list list;
    EHM_TRY(ehm_class_list_beside(&list, path, a, err));
    return most < 0 ? EHM_OK : ehm_classes_numbered(&s->base, (int32_t)most + 1, &list, a, err);
}

static ehm_code name_labels(list_source *s, const char *path, ehm_arena *a, ehm_err *err) {
    const char **names = EHM_NEW_N(a, const char *, s->n);
    ehm_class_list list;
    if (!names) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
    EHM_TRY(ehm_class_list_beside(&list, path, a, err));
    int32_t n = 0, k = 0;
    for (int64_t i = 0; i < s->n; i++) {
        if (s->v[i].word) names[n++] = s->v[i].word;
    }
    qsort(names, (size_t)n, sizeof *names, ehm_strcmp_qsort);
    for (int32_t i = 0; i < n; i++) {
        if (!k || strcmp(names[k - 1], names[i])) names[k++] = names[i];
    }
    for (int64_t i = 0; i < s->n; i++) {
        if (!s->v[i].word) continue;
        const char **p = bsearch(&s->v[i].word, names, (size_t)k, sizeof *names, ehm_strcmp_qsort);
        s->v[i].label = (int32_t)(p - names);
    }
    s->base.classes = names;
    s->base.n_classes = k;
    if (!list.n) return EHM_OK;
    int32_t *id = EHM_NEW_N(a, int32_t, k);
    if (!id) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
    for (int32_t i = 0; i < k; i++) {
        id[i] = -1;
        for (int32_t j = 0; j < list.n; j++) {
            if (!strcmp(list.name[j], names[i])) id[i] = j;
        }
        if (id[i] < 0)
            return EHM_FAIL(err, EHM_E_MISMATCH, "%s: the class \"%s\" is not in %s", path, names[i],
                            list.file);
    }
    for (int64_t i = 0; i < s->n; i++) {
        if (s->v[i].label >= 0) s->v[i].label = id[s->v[i].label];
    }
    s->base.classes = list.name;
    s->base.n_classes = list.n;
    return EHM_OK;
}

static ehm_code list_open(ehm_source **out, const char *path, const char *subset, const ehm_dataset_opt *opt,
                          ehm_arena *a, ehm_err *err) {
    (void)opt;
    if (subset)
        return EHM_FAIL(err, EHM_E_CONFIG, "%s#%s: a list file has no parts to choose from", path, subset);
    list_source *s = EHM_NEW(a, list_source);
    if (!s) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
    s->base = (ehm_source){.kind = &ehm_source_list, .ignore_label = -1};
    EHM_TRY(read_lines(s, path, a, err));
    qsort(s->v, (size_t)s->n, sizeof *s->v, by_name);
    int64_t n = 0, n_words = 0, n_numbers = 0;
    for (int64_t i = 0; i < s->n; i++) {
        bool again = n && !strcmp(s->v[n - 1].name, s->v[i].name);
        const char *x = again ? s->v[n - 1].word : NULL, *y = s->v[i].word;
        if (again && (x || y) && (!x || !y || strcmp(x, y)))
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: names %s twice, with different labels", path,
                            s->v[i].name);
        if (again) s->base.n_ignored++;
        else s->v[n++] = s->v[i];
    }
    s->n = n;
    EHM_TRY(leave_out_foreign(s, path, a, err));
    n = s->n;
    for (int64_t i = 0; i < n; i++) {
        int64_t v;
        n_words += s->v[i].word != NULL;
        n_numbers += s->v[i].word && ehm_parse_i64(s->v[i].word, &v);
    }
    if (n_words)
        EHM_TRY(n_numbers == n_words ? number_labels(s, path, a, err) : name_labels(s, path, a, err));
    *out = &s->base;
    return EHM_OK;
}

static int64_t count(const ehm_source *s) { return ((const list_source *)s)->n; }

static ehm_code item(const ehm_source *s, int64_t i, ehm_source_item *out) {
    const list_source *l = (const list_source *)s;
    if (i < 0 || i >= l->n) return EHM_E_ARG;
    int32_t label = l->v[i].label;
    *out = (ehm_source_item){l->v[i].name, label, label >= 0 ? s->classes[label] : NULL, l->v[i].n_bytes};
    return EHM_OK;
}

static ehm_code head(ehm_source *s, int64_t i, size_t n_max, ehm_bytes *out, ehm_arena *a, ehm_err *err) {
    const list_source *l = (const list_source *)s;
    ehm_member m = {.name = l->v[i].path};
    ehm_files one = {.root = "", .v = &m, .n = 1};
    return ehm_files_read(&one, 0, n_max, out, a, err);
}

static ehm_code read_one(ehm_source *s, int64_t i, ehm_source_data *out, ehm_arena *a, ehm_err *err) {
    *out = (ehm_source_data){0};
    return head(s, i, 0, &out->bytes, a, err);
}

static bool file(const ehm_source *s, int64_t i, ehm_str *path) {
    ehm_str_add(path, ((const list_source *)s)->v[i].path);
    return true;
}

static void close_list(ehm_source *s) { (void)s; }

const ehm_source_kind ehm_source_list = {
    .name = "list",
    .summary = "a text file of picture paths, with labels after a tab if there are any",
    .claims = claims,
    .open = list_open,
    .count = count,
    .item = item,
    .read = read_one,
    .close = close_list,
    .head = head,
    .file = file,
};
