/* Label maps and class lists.
 *
 * classes.txt   one class a line, in the order of their ids; a second column is words for people
 * classes.tsv   name, words; or, where the first column is numbers, id, name (label maps: values of pixels)
 */
#include "base/file.h"
#include "base/log.h"
#include "data/sources_int.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_MAP_CLASSES = 65536, N_LOOK = 512 };

ehm_code ehm_class_list_read(ehm_class_list *out, const char *file, ehm_bytes text, ehm_arena *a,
                             ehm_err *err) {
    int32_t cap = 1;
    for (size_t i = 0; i < text.len; i++) cap += text.data[i] == '\n';
    *out = (ehm_class_list){.file = file,
                            .name = EHM_NEW_N(a, const char *, cap),
                            .words = EHM_NEW_N(a, const char *, cap),
                            .id = EHM_NEW_N(a, int32_t, cap)};
    if (!out->name || !out->words || !out->id) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", file);
    if (memchr(text.data, 0, text.len)) return EHM_FAIL(err, EHM_E_FORMAT, "%s: is no text", file);
    out->numbered = true;
    ehm_lines l = {(char *)text.data, 0};
    for (char *line; (line = ehm_lines_next(&l));) {
        if (*line == '#') continue;
        char *field[3];
        int32_t n = ehm_fields(line, field, 3), i = out->n++;
        int64_t id = -1;
        out->name[i] = field[0];
        out->words[i] = n > 1 ? field[1] : NULL;
        if (n < 2 || !ehm_parse_i64(field[0], &id) || id < 0 || id >= MAX_MAP_CLASSES) out->numbered = false;
        out->id[i] = (int32_t)id;
    }
    if (!out->n) return EHM_FAIL(err, EHM_E_FORMAT, "%s: names no classes", file);
    ehm_arena scratch = {0};
    ehm_code rc = EHM_OK;
    const char **sorted = EHM_NEW_N(&scratch, const char *, out->n);
    if (!sorted) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", file);
    else {
        memcpy(sorted, out->name, (size_t)out->n * sizeof *sorted);
        qsort(sorted, (size_t)out->n, sizeof *sorted, ehm_strcmp_qsort);
        for (int32_t i = 1; i < out->n && !rc; i++) {
            if (!strcmp(sorted[i - 1], sorted[i]))
                rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: names \"%s\" twice", file, sorted[i]);
        }
    }
    ehm_arena_free(&scratch);
    return rc;
}

ehm_code ehm_class_list_beside(ehm_class_list *out, const char *path, ehm_arena *a, ehm_err *err) {
    static const char *const names[] = {"classes.txt", "classes.tsv"};
    *out = (ehm_class_list){0};
    for (size_t i = 0; i < 2; i++) {
        char *file = ehm_arena_printf(a, "%.*s%s", (int)(ehm_path_base(path) - path), path, names[i]);
        if (!file) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
        if (!ehm_file_exists(file)) continue;
        ehm_bytes text;
        EHM_TRY(ehm_file_read(&text, file, a, err));
        return ehm_class_list_read(out, file, text, a, err);
    }
    return EHM_OK;
}

ehm_code ehm_classes_numbered(ehm_source *s, int32_t n, const ehm_class_list *list, ehm_arena *a,
                              ehm_err *err) {
    int32_t n_list = list ? list->n : 0;
    if (n_list > n) n = n_list;
    s->classes = EHM_NEW_N(a, const char *, n ? n : 1);
    if (!s->classes) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d classes", n);
    for (int32_t i = 0; i < n_list; i++) {
        int32_t id = list->numbered ? list->id[i] : i;
        if (id < n) s->classes[id] = list->numbered ? list->words[i] : list->name[i];
    }
    ehm_names names = {.a = a};
    for (int32_t i = 0; i < n; i++) {
        if (s->classes[i]) continue;
        char text[16];
        s->classes[i] = ehm_names_add(&names, text, (size_t)snprintf(text, sizeof text, "%d", i));
        if (!s->classes[i]) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d classes", n);
    }
    s->n_classes = n;
    return EHM_OK;
}

static bool is_void(const char *name) {
    return name && (!strcasecmp(name, "unlabelled") || !strcasecmp(name, "unlabeled") ||
                    !strcasecmp(name, "void") || !strcasecmp(name, "ignore"));
}

ehm_code ehm_label_map_read(const ehm_tree_source *t, int64_t member, bool check, ehm_image *out,
                            ehm_arena *a, ehm_err *err) {
    ehm_bytes bytes;
    const char *name = t->files->v[member].name;
    EHM_TRY(ehm_files_read(t->files, member, 0, &bytes, a, err));
    ehm_code rc = ehm_png_decode_index(out, bytes.data, bytes.len, t->max_pixels, a, err);
    if (rc) {
        EHM_WHILE(err, "reading the label map %s", name);
        return rc;
    }
    if (!check || !t->base.n_map_classes) return EHM_OK;
    int64_t n = (int64_t)out->w * out->h;
    for (int64_t i = 0; i < n; i++) {
        int32_t v = out->type == EHM_U16 ? ((const uint16_t *)out->px)[i] : ((const uint8_t *)out->px)[i];
        if (v < t->base.n_map_classes || v == t->base.ignore_label) continue;
        EHM_HINT(err, "name every value in classes.tsv (value, tab, name), or say --ignore-label %d", v);
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: value %d at x %lld, y %lld, but the set has %d map classes",
                        name, v, (long long)(i % out->w), (long long)(i / out->w), t->base.n_map_classes);
    }
    return EHM_OK;
}

/* Without a list: the largest value of a spread sample of maps, 255 left out. */
static ehm_code largest_value(const ehm_tree_source *t, int32_t ignore, int32_t *most, ehm_err *err) {
    int64_t n_maps = 0, seen = 0;
    for (int64_t i = 0; i < t->n; i++) n_maps += t->v[i].map >= 0;
    int64_t every = (n_maps + N_LOOK - 1) / N_LOOK;
    ehm_arena scratch = {0};
    ehm_code rc = EHM_OK;
    *most = -1;
    for (int64_t i = 0; i < t->n && !rc; i++) {
        if (t->v[i].map < 0 || seen++ % every) continue;
        ehm_image m;
        ehm_err ignored = {0};
        ehm_arena_reset(&scratch);
        if (ehm_label_map_read(t, t->v[i].map, false, &m, &scratch, &ignored))
            continue; /* a bad file: told when it is read */
        int64_t n = (int64_t)m.w * m.h;
        for (int64_t k = 0; k < n; k++) {
            int32_t v = m.type == EHM_U16 ? ((const uint16_t *)m.px)[k] : ((const uint8_t *)m.px)[k];
            if (v != ignore && v > *most) *most = v;
        }
        if (ehm_stop_asked())
            rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped while reading label maps of %s", t->path);
    }
    ehm_arena_free(&scratch);
    return rc;
}

ehm_code ehm_label_maps_classes(ehm_tree_source *t, const ehm_class_list *list, const ehm_dataset_opt *opt,
                                ehm_arena *a, ehm_err *err) {
    ehm_source *s = &t->base;
    int32_t ignore = opt ? opt->ignore_label : -1, n = 0;
    if (ignore < 0 && list) {
        for (int32_t i = 0; i < list->n; i++) {
            if (is_void(list->numbered ? list->words[i] : list->name[i]))
                ignore = list->numbered ? list->id[i] : i;
        }
    }
    s->ignore_label = ignore < 0 ? 255 : ignore;
    s->has_label_maps = true;
    if (!list) {
        int32_t most;
        EHM_TRY(largest_value(t, s->ignore_label, &most, err));
        n = most + 1;
    } else {
        for (int32_t i = 0; i < list->n; i++) {
            int32_t id = list->numbered ? list->id[i] : i;
            bool beyond = id == s->ignore_label && id >= list->n; /* 255 void does not make 256 classes */
            if (!beyond && id >= n) n = id + 1;
        }
    }
    s->map_classes = EHM_NEW_N(a, const char *, n ? n : 1);
    if (!s->map_classes) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", t->path);
    for (int32_t i = 0; list && i < list->n; i++) {
        int32_t id = list->numbered ? list->id[i] : i;
        if (id < n) s->map_classes[id] = list->numbered ? list->words[i] : list->name[i];
    }
    for (int32_t i = 0; i < n; i++) {
        if (!s->map_classes[i]) s->map_classes[i] = ehm_arena_printf(a, "%d", i);
        if (!s->map_classes[i]) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", t->path);
    }
    s->n_map_classes = n;
    return EHM_OK;
}
