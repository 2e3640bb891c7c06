/* Members of a folder or of tars become pictures with labels, label maps, boxes and captions.
 *
 * The order of questions: which part of the set was asked for (#NAME); do pictures and their maps or
 * annotations stand side by side (images/ labels/, JPEGImages/ Annotations/); is it a WebDataset; which
 * folder level holds the classes.
 */
#include "base/file.h"
#include "base/log.h"
#include "data/sources_int.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct {
    ehm_tree_source *t;
    ehm_files *f;
    const ehm_dataset_opt *opt;
    ehm_arena *a;
    ehm_err *err;
    ehm_names names;
    size_t n_prefix; const char *prefix;   /* of names after the shard's part; ends with '/' or is empty */
    const char **only; int32_t n_only; const char *only_file; /* stems of an image set, sorted */
    bool *pair_in; /* per tar (a folder counts as one): its pictures stand beside their partners */
    bool any_class;                        /* some picture may lie in a class folder */
    uint8_t *used;                         /* per member: serves some purpose */
    int32_t *at; /* per item: where the class folders begin in its name; -1: none for it */
    ehm_class_list list; bool has_list;
} builder;

static ehm_code no_memory(builder *b) {
    return EHM_FAIL(b->err, EHM_E_MEMORY, "%s: no memory for the list of pictures", b->t->path);
}

/* Name without the shard's part. */
static const char *rel(const builder *b, int64_t member) {
    const char *name = b->f->v[member].name, *slash = b->f->has_shard_prefix ? strchr(name, '/') : NULL;
    return slash ? slash + 1 : name;
}

static bool under(const builder *b, int64_t member) {
    return !strncmp(rel(b, member), b->prefix, b->n_prefix);
}

/* A helper file by its path after the shard's part; -1: none. */
static int64_t find_helper(builder *b, const char *path) {
    int64_t at = -1;
    if (!b->f->has_shard_prefix) {
        at = ehm_files_find(b->f, path);
    } else {
        for (int64_t i = 0; i < b->f->n && at < 0; i++) {
            if (!strcmp(rel(b, i), path)) at = i;
        }
    }
    if (at >= 0) b->used[at] = 1;
    return at;
}

/* The helper nearest to the pictures: in the prefix, then in each folder above it. dir gets the folder it was
 * found in. */
static int64_t find_upwards(builder *b, const char *name, char **dir) {
    char *p = ehm_arena_strdup(b->a, b->prefix);
    for (size_t n = p ? strlen(p) : 0; p;) {
        char *path = ehm_arena_printf(b->a, "%s%s", p, name);
        int64_t i = path ? find_helper(b, path) : -1;
        if (i >= 0) {
            if (dir) *dir = p;
            return i;
        }
        if (n == 0) break;
        n--; /* the closing slash */
        while (n > 0 && p[n - 1] != '/') n--;
        p[n] = 0;
    }
    return -1;
}

static bool has_folder(builder *b, const char *dir, const char *name) {
    char *path = ehm_arena_printf(b->a, "%s%s/", dir, name);
    if (!path) return false;
    int64_t i = ehm_files_lower(b->f, path);
    return i < b->f->n && ehm_starts(b->f->v[i].name, path);
}

/* ---- #NAME ---- */

/* The only folder that holds pictures below prefix, when none lies beside it; NULL otherwise. */
static char *only_folder(builder *b, const char *prefix) {
    const char *found = NULL;
    size_t n = 0, n_prefix = strlen(prefix);
    for (int64_t i = 0; i < b->f->n; i++) {
        const char *name = rel(b, i);
        if (b->f->v[i].what == EHM_MEMBER_OTHER || strncmp(name, prefix, n_prefix)) continue;
        const char *slash = strchr(name + n_prefix, '/');
        if (!slash) return NULL;
        if (!found) {
            found = name + n_prefix;
            n = (size_t)(slash - found);
        } else if (n != (size_t)(slash - name) - n_prefix || strncmp(found, name + n_prefix, n)) {
            return NULL;
        }
    }
    return found ? ehm_arena_printf(b->a, "%s%.*s/", prefix, (int)n, found) : NULL;
}

static ehm_code subset_error(builder *b, const char *subset) {
    const char *names[64];
    int32_t n = 0;
    for (int64_t i = 0; i < b->f->n && n < 64; i++) {
        const char *name = rel(b, i), *slash = strchr(name, '/');
        if (!slash) continue;
        bool known = false;
        char *top = NULL;
        if (!strncmp(name, "ImageSets/Main/", 15) && ehm_ends(name, ".txt"))
            top = ehm_arena_strndup(b->a, name + 15, strlen(name + 15) - 4);
        else if (b->f->v[i].what != EHM_MEMBER_OTHER)
            top = ehm_arena_strndup(b->a, name, (size_t)(slash - name));
        if (!top) continue;
        for (int32_t k = 0; k < n; k++) known |= !strcmp(names[k], top);
        if (!known) names[n++] = top;
    }
    ehm_hint_near(b->err, subset, names, n, "part");
    return EHM_FAIL(b->err, EHM_E_CONFIG,
                    "%s has no part \"%s\": neither a top-level folder nor ImageSets/Main/%s.txt", b->t->path,
                    subset, subset);
}

static ehm_code read_image_set(builder *b, int64_t member) {
    ehm_bytes text;
    EHM_TRY(ehm_files_read(b->f, member, 0, &text, b->a, b->err));
    int32_t cap = 0;
    for (size_t i = 0; i < text.len; i++) cap += text.data[i] == '\n';
    b->only = EHM_NEW_N(b->a, const char *, cap + 1);
    if (!b->only) return no_memory(b);
    b->only_file = b->f->v[member].name;
    ehm_lines l = {(char *)text.data, 0};
    for (char *line; (line = ehm_lines_next(&l));) {
        char *flag = line + strcspn(line, " \t");
        if (*flag) {
            *flag++ = 0;
            flag += strspn(flag, " \t");
            if (!strcmp(flag, "-1")) continue; /* VOC's lists per class: this picture has none of it */
        }
        if (*line) b->only[b->n_only++] = line;
    }
    qsort(b->only, (size_t)b->n_only, sizeof *b->only, ehm_strcmp_qsort);
    return EHM_OK;
}

static ehm_code choose_part(builder *b, const char *subset) {
    b->prefix = "";
    if (!subset) return EHM_OK;
    for (char *p = ehm_arena_strdup(b->a, ""); p; p = only_folder(b, p)) {
        char *prefix = ehm_arena_printf(b->a, "%s%s%s", p, subset, ehm_ends(subset, "/") ? "" : "/");
        char *set = ehm_arena_printf(b->a, "%sImageSets/Main/%s.txt", p, subset);
        if (!prefix || !set) return no_memory(b);
        for (int64_t i = 0; i < b->f->n; i++) {
            if (b->f->v[i].what != EHM_MEMBER_OTHER && ehm_starts(rel(b, i), prefix)) {
                b->prefix = prefix;
                b->n_prefix = strlen(prefix);
                return EHM_OK;
            }
        }
        int64_t list = find_helper(b, set);
        if (list >= 0) {
            b->prefix = p;
            b->n_prefix = strlen(p);
            return read_image_set(b, list);
        }
    }
    return subset_error(b, subset);
}

/* ---- images/ labels/ and JPEGImages/ Annotations/ ---- */

typedef struct {
    const char *name;
    size_t n_dir, n_images;
    bool pair, export, voc;
    size_t n_none;
} pairing; /* of the folder name[0..n_images); n_none: a folder known to have no partner */

/* Is this picture below images/ or JPEGImages/ with its partner beside? The last answer is kept: neighbours
 * share folders. */
static void pair_of(builder *b, const char *name, pairing *p) {
    if (p->name && p->n_images && !strncmp(p->name, name, p->n_images)) {
        p->name = name;
        return;
    }
    if (p->name && p->n_none && !strncmp(p->name, name, p->n_none)) return;
    *p = (pairing){.name = name};
    for (const char *c = name; c; c = strchr(c, '/') ? strchr(c, '/') + 1 : NULL) {
        bool images = !strncmp(c, "images/", 7), voc = !strncmp(c, "JPEGImages/", 11);
        if (!images && !voc) continue;
        char *dir = ehm_arena_strndup(b->a, name, (size_t)(c - name));
        if (!dir) return;
        bool with = images ? has_folder(b, dir, "labels")
                           : has_folder(b, dir, "Annotations") || has_folder(b, dir, "SegmentationClass");
        if (!with) {
            p->n_none = (size_t)(c - name) + (images ? 7 : 11);
            continue;
        }
        p->n_none = 0;
        p->pair = true;
        p->voc = voc;
        p->n_dir = strlen(dir);
        p->n_images = p->n_dir + (images ? 7 : 11);
        p->export = images && has_folder(b, dir, "labels/class");
        return;
    }
}

/* D/FOLDER/STEM.END for a picture D/images/STEM.*; -1: none. */
static int64_t partner(builder *b, const pairing *p, const char *name, const char *folder, const char *end,
                       bool base_only) {
    const char *stem = name + p->n_images;
    if (base_only) stem = ehm_path_base(stem);
    const char *dot = strrchr(ehm_path_base(stem), '.');
    int n = dot ? (int)(dot - stem) : (int)strlen(stem);
    char *path = NULL;
    if (asprintf(&path, "%.*s%s/%.*s%s", (int)p->n_dir, name, folder, n, stem, end) < 0) return -1;
    int64_t i = ehm_files_find(b->f, path);
    free(path);
    if (i >= 0) b->used[i] = 1;
    return i;
}

/* Files that belong to a layout although no picture of the asked part needs them. */
static bool known_helper(const char *name) {
    const char *p = strstr(name, "ImageSets/");
    return p && (p == name || p[-1] == '/') && ehm_ends(name, ".txt");
}

static bool in_image_set(const builder *b, const char *name, const pairing *p) {
    if (!b->only_file) return true;
    const char *stem = p->pair ? name + p->n_images : ehm_path_base(name), *dot = strrchr(stem, '.');
    char *key = strndup(stem, dot ? (size_t)(dot - stem) : strlen(stem));
    const char *k = key;
    bool yes = key && bsearch(&k, b->only, (size_t)b->n_only, sizeof *b->only, ehm_strcmp_qsort);
    free(key);
    return yes;
}

static void add_partners(builder *b, ehm_tree_item *it, const pairing *p, const char *name, int64_t *xml) {
    if (p->voc) {
        it->map = partner(b, p, name, "SegmentationClass", ".png", false);
        it->object = partner(b, p, name, "SegmentationObject", ".png", false);
        *xml = partner(b, p, name, "Annotations", ".xml", false);
        return;
    }
    it->map = partner(b, p, name, "labels", ".png", false);
    if (p->export) {
        if (it->map < 0) it->map = partner(b, p, name, "labels/class", ".png", true);
        it->object = partner(b, p, name, "labels/object", ".png", true);
        it->part = partner(b, p, name, "labels/part", ".png", true);
    }
}

/* ---- WebDataset ---- */

static size_t key_len(const char *name) {
    const char *dot = strchr(ehm_path_base(name), '.');
    return dot ? (size_t)(dot - name) : strlen(name);
}

static bool same_sample(const builder *b, int64_t i, int64_t k) {
    const ehm_member *x = &b->f->v[i], *y = &b->f->v[k];
    size_t n = key_len(x->name);
    return x->run == y->run && n == key_len(y->name) && !strncmp(x->name, y->name, n);
}

/* Members of i's sample lie together: names that begin with "key." are neighbours in order. */
static int64_t sample_begin(const builder *b, int64_t i) {
    size_t n = key_len(b->f->v[i].name);
    while (i > 0 && !strncmp(b->f->v[i - 1].name, b->f->v[i].name, n) && b->f->v[i - 1].name[n] == '.') i--;
    return i;
}

/* A sample's picture: the first whose ending is one word ("jpg"), else its first picture ("seg.png"). */
static bool is_sample_picture(const builder *b, int64_t i) {
    size_t n = key_len(b->f->v[i].name);
    int64_t best = -1;
    for (int64_t k = sample_begin(b, i); k < b->f->n && !strncmp(b->f->v[k].name, b->f->v[i].name, n); k++) {
        if (b->f->v[k].what == EHM_MEMBER_OTHER || !same_sample(b, i, k)) continue;
        bool plain = b->f->v[k].name[n] == '.' && !strchr(b->f->v[k].name + n + 1, '.');
        if (plain) return k == i;
        if (best < 0) best = k;
    }
    return best == i;
}

typedef struct { int64_t cls, json, txt; } sample_meta;
static sample_meta meta_of(builder *b, int64_t i) {
    sample_meta m = {-1, -1, -1};
    size_t n = key_len(b->f->v[i].name);
    for (int64_t k = sample_begin(b, i); k < b->f->n && !strncmp(b->f->v[k].name, b->f->v[i].name, n); k++) {
        const char *end = b->f->v[k].name + n;
        if (k == i || !same_sample(b, i, k)) continue;
        if (!strcasecmp(end, ".cls")) m.cls = k;
        else if (!strcasecmp(end, ".json")) m.json = k;
        else if (!strcasecmp(end, ".txt")) m.txt = k;
        else continue;
        b->used[k] = 1;
    }
    return m;
}

static ehm_code class_number(builder *b, const char *text, const char *where, int32_t *label) {
    int64_t v;
    char word[64];
    snprintf(word, sizeof word, "%s", text);
    char *w = word + strspn(word, " \t\r\n");
    w[strcspn(w, " \t\r\n")] = 0;
    if (!ehm_parse_i64(w, &v) || v < -1 || v >= EHM_MAX_CLASSES) {
        EHM_HINT(b->err, "a cls member holds one whole number from 0 to %d, or -1 for no label",
                 EHM_MAX_CLASSES - 1);
        return EHM_FAIL(b->err, EHM_E_FORMAT, "%s: \"%s\" is no class number", where, word);
    }
    *label = (int32_t)v;
    return EHM_OK;
}

/* {"label": 3} or 3; also "cls", "class", "class_id". A text value is a class name, which stands in *name. */
static ehm_code label_from_json(builder *b, int64_t member, int32_t *label, const char **name,
                                const char **caption, ehm_arena *scratch) {
    ehm_bytes text;
    EHM_TRY(ehm_files_read(b->f, member, 0, &text, scratch, b->err));
    ehm_json *j;
    EHM_TRY(ehm_json_parse(&j, (const char *)text.data, text.len, b->f->v[member].name, scratch, b->err));
    const ehm_json *v = j;
    if (j->kind == EHM_JSON_OBJ) {
        static const char *const keys[] = {"label", "cls", "class_id", "class", "class_name"};
        v = NULL;
        for (size_t i = 0; i < sizeof keys / sizeof *keys && !v; i++) v = ehm_json_get(j, keys[i]);
        const char *said = ehm_json_str_or(j, "caption", ehm_json_str_or(j, "text", NULL));
        if (said && !(*caption = ehm_names_add(&b->names, said, strlen(said)))) return no_memory(b);
    }
    if (!v) return EHM_OK;
    if (v->kind == EHM_JSON_NUM && v->is_int) return class_number(b, v->str, b->f->v[member].name, label);
    if (v->kind == EHM_JSON_STR && *v->str && !(*name = ehm_names_add(&b->names, v->str, strlen(v->str))))
        return no_memory(b);
    return EHM_OK;
}

static int32_t index_of(const char *const *sorted, int32_t n, const char *name) {
    const char *const *p = n ? bsearch(&name, sorted, (size_t)n, sizeof *sorted, ehm_strcmp_qsort) : NULL;
    return p ? (int32_t)(p - sorted) : -1;
}

static int32_t unique(const char **v, int32_t n) {
    if (n > 1) qsort(v, (size_t)n, sizeof *v, ehm_strcmp_qsort);
    int32_t k = 0;
    for (int32_t i = 0; i < n; i++) {
        if (!k || strcmp(v[k - 1], v[i])) v[k++] = v[i];
    }
    return k;
}

static ehm_code sample_label(builder *b, ehm_tree_item *it, const char **name, ehm_arena *scratch) {
    sample_meta m = meta_of(b, it->member);
    const char *caption = NULL;
    it->caption = m.txt;
    if (m.cls >= 0) {
        ehm_bytes text;
        EHM_TRY(ehm_files_read(b->f, m.cls, 64, &text, scratch, b->err));
        EHM_TRY(class_number(b, (const char *)text.data, b->f->v[m.cls].name, &it->label));
    } else if (m.json >= 0) {
        EHM_TRY(label_from_json(b, m.json, &it->label, name, &caption, scratch));
    }
    if (caption && m.txt < 0) {
        it->i_caption = (int32_t)b->t->n_captions;
        b->t->captions[b->t->n_captions++] = caption;
    }
    return EHM_OK;
}

/* Labels from cls and json members. Found: whether any sample has one. */
static ehm_code wds_labels(builder *b, bool *found) {
    ehm_tree_source *t = b->t;
    const char **name = EHM_NEW_N(b->a, const char *, t->n ? t->n : 1);
    if (!name) return no_memory(b);
    int32_t most = -1, n_named = 0;
    ehm_arena scratch = {0};
    ehm_code rc = EHM_OK;
    for (int64_t i = 0; i < t->n && !rc; i++) {
        ehm_arena_reset(&scratch);
        rc = sample_label(b, &t->v[i], &name[i], &scratch);
        if (t->v[i].label > most) most = t->v[i].label;
        n_named += name[i] != NULL;
        if ((i & 0x3fff) == 0x3fff) ehm_progress(false, "reading labels of %s: %lld", t->path, (long long)i);
    }
    ehm_arena_free(&scratch);
    EHM_TRY(rc);
    *found = most >= 0 || n_named;
    if (n_named && most >= 0)
        return EHM_FAIL(b->err, EHM_E_FORMAT, "%s: some samples have class numbers and some class names",
                        t->path);
    if (!n_named)
        return most >= 0
                   ? ehm_classes_numbered(&t->base, most + 1, b->has_list ? &b->list : NULL, b->a, b->err)
                   : EHM_OK;
    const char **sorted = EHM_NEW_N(b->a, const char *, n_named);
    if (!sorted) return no_memory(b);
    int32_t n = 0;
    for (int64_t i = 0; i < t->n; i++) {
        if (name[i]) sorted[n++] = name[i];
    }
    n = unique(sorted, n);
    for (int64_t i = 0; i < t->n; i++) {
        if (name[i]) t->v[i].label = index_of(sorted, n, name[i]);
    }
    t->base.classes = sorted;
    t->base.n_classes = n;
    return EHM_OK;
}

/* ---- class folders ---- */

/* Parts of a set, not classes: looked through. */
static bool split_name(const char *s, size_t n) {
    static const char *const names[] = {"train", "training",  "val",       "valid", "validation",
                                        "test",  "testing",   "dev",       "eval",  "trainval",
                                        "extra", "unlabeled", "unlabelled"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i]) == n && !strncmp(names[i], s, n)) return true;
    }
    return false;
}

typedef struct { const char *s; int32_t n; } part;
static part part_at(const builder *b, int64_t i) { /* n 0: the picture lies directly here */
    if (b->at[i] < 0) return (part){0};
    const char *p = b->f->v[b->t->v[i].member].name + b->at[i], *slash = strchr(p, '/');
    return slash ? (part){p, (int32_t)(slash - p)} : (part){p, 0};
}

/* Distinct folder names at the items' present level, sorted. */
static ehm_code level_names(builder *b, const char ***names, int32_t *n, int64_t *n_direct) {
    const char **v = NULL;
    int32_t cap = 0;
    part last = {0};
    *n = 0;
    *n_direct = 0;
    ehm_code rc = EHM_OK;
    for (int64_t i = 0; i < b->t->n && !rc; i++) {
        if (b->at[i] < 0) continue;
        part p = part_at(b, i);
        if (!p.n) (*n_direct)++;
        if (!p.n || (p.n == last.n && !strncmp(p.s, last.s, (size_t)p.n))) continue;
        last = p;
        if (*n == cap) {
            int32_t more = cap ? cap * 2 : 256;
            const char **w = realloc(v, (size_t)more * sizeof *w);
            if (!w) {
                rc = no_memory(b);
                break;
            }
            v = w;
            cap = more;
        }
        v[*n] = ehm_names_add(&b->names, p.s, (size_t)p.n);
        if (!v[(*n)++]) rc = no_memory(b);
    }
    if (!rc) {
        *n = unique(v, *n);
        *names = EHM_NEW_N(b->a, const char *, *n ? *n : 1);
        if (!*names) rc = no_memory(b);
        else if (*n) memcpy(*names, v, (size_t)*n * sizeof *v);
    }
    free(v);
    return rc;
}

static void go_down(builder *b) {
    for (int64_t i = 0; i < b->t->n; i++) {
        part p = part_at(b, i);
        if (p.n) b->at[i] += p.n + 1;
        else b->at[i] = -1;
    }
}

/* Column of the list that names some folder of this level; NULL: none. */
static const char *const *list_column(const builder *b, const char *const *names, int32_t n) {
    for (int32_t k = 0; k < b->list.n; k++) {
        if (index_of(names, n, b->list.name[k]) >= 0) return b->list.name;
    }
    for (int32_t k = 0; k < b->list.n; k++) {
        if (b->list.words[k] && index_of(names, n, b->list.words[k]) >= 0) return b->list.words;
    }
    return NULL;
}

static ehm_code labels_by_list(builder *b, const char *const *names, int32_t n, const char *const *column) {
    ehm_tree_source *t = b->t;
    int32_t *id = EHM_NEW_N(b->a, int32_t, n ? n : 1);
    const char **classes = EHM_NEW_N(b->a, const char *, b->list.n);
    if (!id || !classes) return no_memory(b);
    for (int32_t i = 0; i < n; i++) id[i] = -1;
    for (int32_t k = 0; k < b->list.n; k++) {
        classes[k] = column[k] ? column[k] : b->list.name[k];
        int32_t i = index_of(names, n, classes[k]);
        if (i >= 0) id[i] = k;
    }
    for (int32_t i = 0; i < n; i++) {
        if (id[i] >= 0) continue;
        EHM_HINT(b->err, "add a line for it, or remove %s so that ids follow the sorted folder names",
                 b->list.file);
        return EHM_FAIL(b->err, EHM_E_MISMATCH, "%s: the class folder \"%s\" is not in %s", t->path, names[i],
                        b->list.file);
    }
    for (int64_t i = 0; i < t->n; i++) {
        part p = part_at(b, i);
        if (!p.n) continue;
        char key[1024];
        snprintf(key, sizeof key, "%.*s", p.n, p.s);
        int32_t at = index_of(names, n, key);
        if (at >= 0) t->v[i].label = id[at];
    }
    t->base.classes = classes;
    t->base.n_classes = b->list.n;
    return EHM_OK;
}

static void labels_by_name(builder *b, const char **names, int32_t n) {
    ehm_tree_source *t = b->t;
    part last = {0};
    int32_t id = -1;
    for (int64_t i = 0; i < t->n; i++) {
        part p = part_at(b, i);
        if (!p.n) continue;
        if (p.n != last.n || strncmp(p.s, last.s, (size_t)p.n)) {
            char key[1024];
            snprintf(key, sizeof key, "%.*s", p.n, p.s);
            id = index_of((const char *const *)names, n, key);
            last = p;
        }
        t->v[i].label = id;
    }
    t->base.classes = names;
    t->base.n_classes = n;
}

/* The first level with class folders; with a class list, the first level that it names. */
static ehm_code class_labels(builder *b, bool by_list) {
    int32_t *start = EHM_NEW_N(b->a, int32_t, b->t->n ? b->t->n : 1);
    if (!start) return no_memory(b);
    memcpy(start, b->at, (size_t)b->t->n * sizeof *start);
    for (;;) {
        const char **names;
        int32_t n;
        int64_t n_direct;
        EHM_TRY(level_names(b, &names, &n, &n_direct));
        if (n == 0) break;
        if (by_list) {
            const char *const *column = list_column(b, (const char *const *)names, n);
            if (column) return labels_by_list(b, (const char *const *)names, n, column);
            go_down(b);
            continue;
        }
        bool splits = true;
        for (int32_t i = 0; i < n; i++) splits = splits && split_name(names[i], strlen(names[i]));
        if (n >= 2 && !splits) {
            labels_by_name(b, names, n);
            return EHM_OK;
        }
        if (n == 1 && n_direct && !splits) break; /* pictures beside one folder: a collection, no classes */
        go_down(b);
    }
    if (!by_list) return EHM_OK;
    ehm_log(EHM_LOG_WARN, "%s: no folder is named as a class in %s; ids follow the sorted folder names",
            b->t->path, b->list.file);
    memcpy(b->at, start, (size_t)b->t->n * sizeof *start);
    return class_labels(b, false);
}

/* ---- putting together ---- */

static int64_t count_candidates(const builder *b) {
    int64_t n = 0;
    for (int64_t i = 0; i < b->f->n; i++) n += b->f->v[i].what != EHM_MEMBER_OTHER && under(b, i);
    return n;
}

/* Those of a format that no build reads, among others: known now, they are no bad files later. */
static ehm_code leave_out_foreign(builder *b, int64_t *xml_of) {
    ehm_tree_source *t = b->t;
    int64_t n_foreign = 0, n = 0;
    for (int64_t i = 0; i < t->n; i++) n_foreign += b->f->v[t->v[i].member].what == EHM_MEMBER_FOREIGN;
    if (!n_foreign || n_foreign == t->n) return EHM_OK;
    ehm_left_out *out = EHM_NEW_N(b->a, ehm_left_out, n_foreign);
    if (!out) return no_memory(b);
    for (int64_t i = 0; i < t->n; i++) {
        int64_t member = t->v[i].member;
        if (b->f->v[member].what == EHM_MEMBER_FOREIGN) {
            ehm_bytes head;
            EHM_TRY(ehm_files_read(b->f, member, EHM_SNIFF_BYTES, &head, b->a, b->err));
            const char *format = ehm_image_format(head.data, head.len);
            out[t->base.n_left_out++] = (ehm_left_out){b->f->v[member].name, format ? format : "?"};
        } else {
            t->v[n] = t->v[i], xml_of[n] = xml_of[i], b->at[n] = b->at[i];
            n++;
        }
    }
    t->n = n, t->base.left_out = out;
    return EHM_OK;
}

static ehm_code pick_pictures(builder *b, int64_t **xml_of) {
    ehm_tree_source *t = b->t;
    int64_t cap = count_candidates(b);
    t->v = EHM_NEW_N(b->a, ehm_tree_item, cap ? cap : 1);
    t->captions = EHM_NEW_N(b->a, const char *, cap ? cap : 1);
    b->at = EHM_NEW_N(b->a, int32_t, cap ? cap : 1);
    *xml_of = EHM_NEW_N(b->a, int64_t, cap ? cap : 1);
    if (!t->v || !t->captions || !b->at || !*xml_of) return no_memory(b);
    pairing p = {0};
    b->pair_in = EHM_NEW_N(b->a, bool, b->f->n_tars + 1);
    if (!b->pair_in) return no_memory(b);
    for (int64_t i = 0; i < b->f->n; i++) {
        if (b->f->v[i].what == EHM_MEMBER_OTHER || !under(b, i)) continue;
        pair_of(b, b->f->v[i].name, &p);
        if (p.pair) b->pair_in[b->f->v[i].i_tar] = true;
    }
    p = (pairing){0};
    for (int64_t i = 0; i < b->f->n; i++) {
        if (b->f->v[i].what == EHM_MEMBER_OTHER || !under(b, i)) continue;
        const char *name = b->f->v[i].name;
        bool pairs = b->pair_in[b->f->v[i].i_tar];
        if (pairs) pair_of(b, name, &p);
        else p = (pairing){0};
        if ((pairs && !p.pair) || (b->f->is_wds && !is_sample_picture(b, i))) continue;
        b->used[i] = 1;
        ehm_tree_item *it = &t->v[t->n];
        *it = (ehm_tree_item){
            .member = i, .map = -1, .object = -1, .part = -1, .caption = -1, .label = -1, .i_caption = -1};
        int64_t xml = -1;
        if (p.pair) add_partners(b, it, &p, name, &xml);
        if (!in_image_set(b, name, &p)) continue; /* its partners are known by now, and no strangers */
        bool classes =
            !p.pair ||
            p.export; /* beside label maps or annotations folders are no classes, but for what ehm exports */
        b->at[t->n] = !classes ? -1
                      : p.pair ? (int32_t)p.n_images
                               : (int32_t)(rel(b, i) - name) + (int32_t)b->n_prefix;
        b->any_class |= classes;
        (*xml_of)[t->n++] = xml;
    }
    return leave_out_foreign(b, *xml_of);
}

static ehm_code nothing_there(builder *b) {
    int64_t n_tar = 0, n_bin = 0, n_other = 0;
    const char *tar = NULL;
    for (int64_t i = 0; i < b->f->n; i++) {
        const char *name = b->f->v[i].name;
        bool is_tar = ehm_ends_nocase(name, ".tar") || ehm_ends_nocase(name, ".tar.gz") ||
                      ehm_ends_nocase(name, ".tgz");
        n_tar += is_tar;
        if (is_tar && !tar) tar = name;
        n_bin += ehm_ends_nocase(name, ".bin") || ehm_ends_nocase(name, ".npy") || strstr(name, "idx3-ubyte");
        n_other += b->f->v[i].what == EHM_MEMBER_OTHER;
    }
    if (n_tar && b->f->is_tar)
        EHM_HINT(b->err, "there are %lld tars in it: unpack it and give those", (long long)n_tar);
    else if (n_tar)
        EHM_HINT(b->err,
                 "there are %lld tars in it: give one, as %s/%s, or a folder that holds nothing but tars",
                 (long long)n_tar, b->t->path, tar);
    else if (n_bin && b->f->is_tar)
        EHM_HINT(b->err, "CIFAR, IDX and .npy files are read from a folder: unpack the tar and give that");
    else EHM_HINT(b->err, "what is a picture is decided by content: JPEG, PNG, WebP, TIFF, PNM, BMP, GIF");
    return EHM_FAIL(b->err, EHM_E_FORMAT, "%s%s%s: no pictures (%lld other files, %lld hidden or special)",
                    b->t->path, b->t->subset ? "#" : "", b->t->subset ? b->t->subset : "", (long long)n_other,
                    (long long)b->f->n_ignored);
}

static int64_t item_of_member(const ehm_tree_source *t, int64_t member) {
    int64_t lo = 0, hi = t->n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (t->v[mid].member < member) lo = mid + 1;
        else hi = mid;
    }
    return lo < t->n && t->v[lo].member == member ? lo : -1;
}

int64_t ehm_tree_find(const ehm_tree_source *t, const char *dir, const char *name) {
    char *path = NULL;
    if (asprintf(&path, "%s%s", dir, name) < 0) return -1;
    int64_t m = ehm_files_find(t->files, path);
    free(path);
    return m < 0 ? -1 : item_of_member(t, m);
}

static ehm_code read_captions(builder *b) {
    char *dir;
    int64_t m = find_upwards(b, "captions.tsv", &dir);
    if (m < 0) return EHM_OK;
    ehm_bytes text;
    EHM_TRY(ehm_files_read(b->f, m, 0, &text, b->a, b->err));
    ehm_lines l = {(char *)text.data, 0};
    for (char *line; (line = ehm_lines_next(&l));) {
        char *field[2];
        if (ehm_fields(line, field, 2) < 2)
            return EHM_FAIL(b->err, EHM_E_FORMAT, "%s:%lld: expected a path, a tab and the caption",
                            b->f->v[m].name, (long long)l.line);
        int64_t i = ehm_tree_find(b->t, dir, field[0]);
        if (i < 0 || b->t->v[i].i_caption >= 0) continue;
        b->t->v[i].i_caption = (int32_t)b->t->n_captions;
        b->t->captions[b->t->n_captions++] = field[1];
    }
    return EHM_OK;
}

static ehm_code read_boxes(builder *b, const int64_t *xml_of) {
    ehm_tree_source *t = b->t;
    char *dir;
    int64_t m = find_upwards(b, "boxes.json", &dir);
    if (m >= 0) return ehm_boxes_coco(t, m, dir, b->a, b->err);
    for (int64_t i = 0; i < t->n; i++) {
        if (xml_of[i] >= 0) return ehm_boxes_voc(t, xml_of, b->a, b->err);
    }
    /* boxes/NAME.tsv at the set's root; paths in it are from there */
    int64_t members[64];
    int32_t n = 0;
    if (b->f->has_shard_prefix) return EHM_OK;
    for (int64_t i = ehm_files_lower(b->f, "boxes/");
         i < b->f->n && n < 64 && ehm_starts(b->f->v[i].name, "boxes/"); i++) {
        if (!ehm_ends_nocase(b->f->v[i].name, ".tsv")) continue;
        b->used[i] = 1;
        members[n++] = i;
    }
    return n ? ehm_boxes_tsv(t, members, n, "", b->a, b->err) : EHM_OK;
}

static ehm_code read_class_list(builder *b, const char *name, ehm_class_list *list, bool *has) {
    int64_t m = find_upwards(b, name, NULL);
    *has = m >= 0;
    if (m < 0) return EHM_OK;
    ehm_bytes text;
    EHM_TRY(ehm_files_read(b->f, m, 0, &text, b->a, b->err));
    return ehm_class_list_read(list, b->f->v[m].name, text, b->a, b->err);
}

static ehm_code build(builder *b) {
    ehm_tree_source *t = b->t;
    int64_t *xml_of;
    EHM_TRY(choose_part(b, t->subset));
    EHM_TRY(pick_pictures(b, &xml_of));
    if (t->n == 0) return nothing_there(b);
    if (b->only_file && t->n + t->base.n_left_out < b->n_only) {
        ehm_log(EHM_LOG_WARN, "%s: %s names %d pictures, %lld of them are there", t->path, b->only_file,
                b->n_only, (long long)t->n);
    }
    bool has_maps = false;
    for (int64_t i = 0; i < t->n && !has_maps; i++) has_maps = t->v[i].map >= 0;
    ehm_class_list tsv = {0};
    bool has_tsv, has_txt;
    EHM_TRY(read_class_list(b, "classes.tsv", &tsv, &has_tsv));
    EHM_TRY(read_class_list(b, "classes.txt", &b->list, &has_txt));
    bool classes = b->any_class;
    b->has_list = has_txt;
    if (!has_txt && has_tsv && !has_maps) {
        b->list = tsv;
        b->has_list = true;
    }
    if (has_maps) {
        const ehm_class_list *for_maps = has_tsv ? &tsv : has_txt && !classes ? &b->list : NULL;
        EHM_TRY(ehm_label_maps_classes(t, for_maps, b->opt, b->a, b->err));
    }
    bool found = false;
    if (b->f->is_wds) EHM_TRY(wds_labels(b, &found));
    if (!found && classes) EHM_TRY(class_labels(b, b->has_list));
    EHM_TRY(read_captions(b));
    EHM_TRY(read_boxes(b, xml_of));
    t->base.n_ignored = b->f->n_ignored;
    for (int64_t i = 0; i < b->f->n; i++)
        t->base.n_ignored += !b->used[i] && under(b, i) && !known_helper(rel(b, i));
    return EHM_OK;
}

ehm_code ehm_picture_tree_open(ehm_source **out, const ehm_source_kind *kind, ehm_files *f, const char *path,
                               const char *subset, const ehm_dataset_opt *opt, ehm_arena *a, ehm_err *err) {
    *out = NULL;
    ehm_tree_source *t = EHM_NEW(a, ehm_tree_source);
    builder b = {.t = t,
                 .f = f,
                 .opt = opt,
                 .a = a,
                 .err = err,
                 .names = {.a = a},
                 .used = EHM_NEW_N(a, uint8_t, f->n + 1)};
    ehm_code rc = EHM_OK;
    if (t) {
        t->base = (ehm_source){.kind = kind, .ignore_label = -1};
        t->files = f;
        t->path = ehm_arena_strdup(a, path);
        t->subset = subset ? ehm_arena_strdup(a, subset) : NULL;
        t->max_pixels = opt ? opt->max_pixels : 0;
    }
    if (!t || !t->path || (subset && !t->subset) || !b.used)
        rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for the list of pictures", path);
    if (!rc) rc = build(&b);
    if (rc) {
        if (t) free(t->boxes);
        ehm_files_close(f);
        return rc;
    }
    *out = &t->base;
    return EHM_OK;
}

int64_t ehm_picture_tree_count(const ehm_source *s) { return ((const ehm_tree_source *)s)->n; }

ehm_code ehm_picture_tree_item(const ehm_source *s, int64_t i, ehm_source_item *out) {
    const ehm_tree_source *t = (const ehm_tree_source *)s;
    if (i < 0 || i >= t->n) return EHM_E_ARG;
    const ehm_member *m = &t->files->v[t->v[i].member];
    int32_t label = t->v[i].label;
    *out = (ehm_source_item){m->name, label, label >= 0 && s->classes ? s->classes[label] : NULL, m->n_bytes};
    return EHM_OK;
}

ehm_code ehm_picture_tree_read(ehm_source *s, int64_t i, ehm_source_data *out, ehm_arena *a, ehm_err *err) {
    const ehm_tree_source *t = (const ehm_tree_source *)s;
    *out = (ehm_source_data){0};
    return ehm_files_read(t->files, t->v[i].member, 0, &out->bytes, a, err);
}

ehm_code ehm_picture_tree_head(ehm_source *s, int64_t i, size_t n_max, ehm_bytes *out, ehm_arena *a,
                               ehm_err *err) {
    const ehm_tree_source *t = (const ehm_tree_source *)s;
    return ehm_files_read(t->files, t->v[i].member, n_max, out, a, err);
}

bool ehm_picture_tree_file(const ehm_source *s, int64_t i, ehm_str *path) {
    const ehm_tree_source *t = (const ehm_tree_source *)s;
    const ehm_files *f = t->files;
    if (f->is_tar) return false;
    size_t n = strlen(f->root);
    ehm_str_addf(path, "%s%s%s", f->root, n && f->root[n - 1] != '/' ? "/" : "", f->v[t->v[i].member].name);
    return true;
}

ehm_code ehm_picture_tree_extras(ehm_source *s, int64_t i, ehm_sample *out, uint32_t want, ehm_arena *a,
                                 ehm_err *err) {
    const ehm_tree_source *t = (const ehm_tree_source *)s;
    const ehm_tree_item *it = &t->v[i];
    if ((want & EHM_WANT_LABEL_MAPS) && it->map >= 0)
        EHM_TRY(ehm_label_map_read(t, it->map, true, &out->label_map, a, err));
    if ((want & EHM_WANT_OBJECT_MAPS) && it->object >= 0)
        EHM_TRY(ehm_label_map_read(t, it->object, false, &out->object_map, a, err));
    if ((want & EHM_WANT_OBJECT_MAPS) && it->part >= 0)
        EHM_TRY(ehm_label_map_read(t, it->part, false, &out->part_map, a, err));
    if ((want & EHM_WANT_BOXES) && it->n_boxes) {
        out->boxes = t->boxes + it->box0;
        out->n_boxes = it->n_boxes;
    }
    if (!(want & EHM_WANT_CAPTION)) return EHM_OK;
    if (it->i_caption >= 0) {
        out->caption = t->captions[it->i_caption];
    } else if (it->caption >= 0) {
        ehm_bytes text;
        EHM_TRY(ehm_files_read(t->files, it->caption, 0, &text, a, err));
        while (text.len && strchr(" \t\r\n", text.data[text.len - 1])) text.data[--text.len] = 0;
        out->caption = (const char *)text.data;
    }
    return EHM_OK;
}

void ehm_picture_tree_close(ehm_source *s) {
    ehm_tree_source *t = (ehm_tree_source *)s;
    if (!t) return;
    ehm_files_close(t->files);
    free(t->boxes);
    t->boxes = NULL;
}
