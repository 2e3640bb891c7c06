/* Boxes from boxes.json (COCO) and from tables boxes/NAME.tsv (path, x0, y0, x1, y1: the corners are pixels
 * that belong to it). */
#include "base/log.h"
#include "data/sources_int.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ehm_code ehm_tree_add_box(ehm_tree_source *t, ehm_box b, ehm_err *err) {
    if (t->n_boxes == t->cap_boxes) {
        int64_t cap = t->cap_boxes ? t->cap_boxes * 2 : 1024;
        ehm_box *v = cap > INT32_MAX ? NULL : realloc(t->boxes, (size_t)cap * sizeof *v);
        if (!v) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for boxes", t->path);
        t->boxes = v;
        t->cap_boxes = cap;
    }
    t->boxes[t->n_boxes++] = b;
    return EHM_OK;
}

typedef struct { int64_t id, item; double w, h; } coco_image;
typedef struct { int64_t id; const char *name; } coco_category;
typedef struct { int64_t item, order; ehm_box box; } placed;

static int by_image_id(const void *a, const void *b) {
    const coco_image *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}
static int by_category_id(const void *a, const void *b) {
    const coco_category *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}
static int by_item(const void *a, const void *b) {
    const placed *x = a, *y = b;
    if (x->item != y->item) return x->item < y->item ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* Boxes in the order of pictures, each picture's in the order of the file. */
static ehm_code place(ehm_tree_source *t, placed *v, int64_t n, ehm_err *err) {
    qsort(v, (size_t)n, sizeof *v, by_item);
    for (int64_t i = 0; i < n; i++) {
        ehm_tree_item *it = &t->v[v[i].item];
        if (!it->n_boxes) it->box0 = (int32_t)t->n_boxes;
        EHM_TRY(ehm_tree_add_box(t, v[i].box, err));
        it->n_boxes++;
    }
    t->base.has_boxes = true;
    if (t->base.n_boxes_skipped)
        ehm_log(EHM_LOG_NOTE, "%s: %lld boxes without area or outside their picture are left out", t->path,
                (long long)t->base.n_boxes_skipped);
    return EHM_OK;
}

typedef struct {
    ehm_tree_source *t;
    const char *file;
    const ehm_json *root;
    coco_image *image; int32_t n_images;
    coco_category *category; int32_t n_categories;
    placed *v; int64_t n;
    ehm_err *err;
} coco;

static ehm_code bad(coco *c, const char *what, int32_t i) {
    return EHM_FAIL(c->err, EHM_E_FORMAT, "%s: %s (entry %d)", c->file, what, i);
}

static bool id_of(const ehm_json *o, const char *key, int64_t *id) {
    const ehm_json *v = ehm_json_get(o, key);
    if (!v || v->kind != EHM_JSON_NUM || !v->is_int) return false;
    *id = v->i64;
    return true;
}

static ehm_code read_categories(coco *c, const ehm_json *list, ehm_arena *a) {
    c->category = calloc((size_t)list->n + 1, sizeof *c->category);
    if (!c->category) return EHM_FAIL(c->err, EHM_E_MEMORY, "%s: no memory", c->file);
    for (const ehm_json *o = list->first; o; o = o->next) {
        coco_category *k = &c->category[c->n_categories];
        k->name = ehm_json_str_or(o, "name", NULL);
        if (!id_of(o, "id", &k->id) || !k->name)
            return bad(c, "a category lacks its id or name", c->n_categories);
        c->n_categories++;
    }
    qsort(c->category, (size_t)c->n_categories, sizeof *c->category, by_category_id);
    ehm_source *s = &c->t->base;
    s->box_classes = EHM_NEW_N(a, const char *, c->n_categories + 1);
    if (!s->box_classes) return EHM_FAIL(c->err, EHM_E_MEMORY, "%s: no memory", c->file);
    for (int32_t i = 0; i < c->n_categories; i++) {
        if (i && c->category[i].id == c->category[i - 1].id) return bad(c, "two categories with one id", i);
        s->box_classes[i] = ehm_arena_strdup(a, c->category[i].name);
        if (!s->box_classes[i]) return EHM_FAIL(c->err, EHM_E_MEMORY, "%s: no memory", c->file);
    }
    s->n_box_classes = c->n_categories;
    return EHM_OK;
}

static ehm_code read_images(coco *c, const ehm_json *list, const char *prefix) {
    c->image = calloc((size_t)list->n + 1, sizeof *c->image);
    if (!c->image) return EHM_FAIL(c->err, EHM_E_MEMORY, "%s: no memory", c->file);
    for (const ehm_json *o = list->first; o; o = o->next) {
        coco_image *m = &c->image[c->n_images];
        const char *name = ehm_json_str_or(o, "file_name", NULL);
        if (!id_of(o, "id", &m->id) || !name)
            return bad(c, "an image lacks its id or file_name", c->n_images);
        m->w = ehm_json_num_or(o, "width", 0);
        m->h = ehm_json_num_or(o, "height", 0);
        m->item = ehm_tree_find(c->t, prefix, name);
        if (m->item < 0) { /* COCO's own file names stand below images/ */
            char *path = NULL;
            if (asprintf(&path, "images/%s", name) < 0)
                return EHM_FAIL(c->err, EHM_E_MEMORY, "%s: no memory", c->file);
            m->item = ehm_tree_find(c->t, prefix, path);
            free(path);
        }
        c->n_images++;
    }
    qsort(c->image, (size_t)c->n_images, sizeof *c->image, by_image_id);
    return EHM_OK;
}

/* 0 or 1, or true as some tools write it. */
static bool is_crowd(const ehm_json *o) {
    const ehm_json *v = ehm_json_get(o, "iscrowd");
    return v && (v->kind == EHM_JSON_BOOL || v->kind == EHM_JSON_NUM) && v->num != 0;
}

/* Of the outline; 0 where it is not given, or is that of the box, as whoever has no outline writes it. */
static float area_of(const ehm_json *o, double of_box) {
    const ehm_json *v = ehm_json_get(o, "area");
    bool given = v && v->kind == EHM_JSON_NUM && v->num > 0 && v->num < 1e12;
    return given && fabs(v->num - of_box) > 1e-5 * of_box ? (float)v->num : 0;
}

static ehm_code read_annotations(coco *c, const ehm_json *list) {
    c->v = calloc((size_t)list->n + 1, sizeof *c->v);
    if (!c->v) return EHM_FAIL(c->err, EHM_E_MEMORY, "%s: no memory", c->file);
    int32_t i = 0;
    for (const ehm_json *o = list->first; o; o = o->next, i++) {
        const ehm_json *box = ehm_json_get(o, "bbox");
        coco_image im = {0};
        coco_category cat = {0};
        if (!id_of(o, "image_id", &im.id) || !id_of(o, "category_id", &cat.id))
            return bad(c, "an annotation lacks image_id or category_id", i);
        if (!box || box->kind != EHM_JSON_ARR || box->n != 4)
            return bad(c, "an annotation lacks its bbox of four numbers", i);
        double v[4], *p = v;
        for (const ehm_json *e = box->first; e; e = e->next) {
            if (e->kind != EHM_JSON_NUM) return bad(c, "a bbox holds something that is no number", i);
            *p++ = e->num;
        }
        const coco_image *m = bsearch(&im, c->image, (size_t)c->n_images, sizeof im, by_image_id);
        const coco_category *k = bsearch(&cat, c->category, (size_t)c->n_categories, sizeof cat,
                                         by_category_id);
        if (!m || !k)
            return bad(c, m ? "an annotation of an unknown category" : "an annotation of an unknown image",
                       i);
        if (m->item < 0) continue; /* of another part of the set */
        double x0 = v[0] > 0 ? v[0] : 0, y0 = v[1] > 0 ? v[1] : 0, x1 = v[0] + v[2], y1 = v[1] + v[3];
        if (m->w > 0 && x1 > m->w) x1 = m->w;
        if (m->h > 0 && y1 > m->h) y1 = m->h;
        if (!(x1 > x0) || !(y1 > y0) || !(x1 < 1e6) || !(y1 < 1e6)) {
            c->t->base.n_boxes_skipped++;
            continue;
        }
        c->v[c->n] = (placed){
            m->item, c->n, {(float)x0, (float)y0, (float)x1, (float)y1, (int32_t)(k - c->category), is_crowd(o), area_of(o, v[2] * v[3])}};
        c->n++;
    }
    return place(c->t, c->v, c->n, c->err);
}

ehm_code ehm_boxes_coco(ehm_tree_source *t, int64_t member, const char *prefix, ehm_arena *a, ehm_err *err) {
    ehm_arena scratch = {0};
    coco c = {.t = t, .file = t->files->v[member].name, .err = err};
    ehm_bytes text;
    ehm_json *root;
    ehm_code rc = ehm_files_read(t->files, member, 0, &text, &scratch, err);
    if (!rc) rc = ehm_json_parse(&root, (const char *)text.data, text.len, c.file, &scratch, err);
    if (!rc) {
        const ehm_json *images = ehm_json_get(root, "images"), *notes = ehm_json_get(root, "annotations"),
                       *cats = ehm_json_get(root, "categories");
        bool lists = images && notes && cats && images->kind == EHM_JSON_ARR && notes->kind == EHM_JSON_ARR &&
                     cats->kind == EHM_JSON_ARR;
        if (!lists)
            rc = EHM_FAIL(err, EHM_E_FORMAT,
                          "%s: no COCO file: it lacks the lists images, annotations or categories", c.file);
        if (!rc) rc = read_categories(&c, cats, a);
        if (!rc) rc = read_images(&c, images, prefix);
        if (!rc) rc = read_annotations(&c, notes);
    }
    free(c.image);
    free(c.category);
    free(c.v);
    ehm_arena_free(&scratch);
    return rc;
}

static ehm_code table(ehm_tree_source *t, int64_t member, const char *prefix, placed **v, int64_t *n,
                      int64_t *cap, ehm_arena *scratch, ehm_err *err) {
    const char *file = t->files->v[member].name;
    ehm_bytes text;
    EHM_TRY(ehm_files_read(t->files, member, 0, &text, scratch, err));
    ehm_lines l = {(char *)text.data, 0};
    for (char *line; (line = ehm_lines_next(&l));) {
        char *field[6];
        double c[4];
        int32_t n_fields = ehm_fields(line, field, 6);
        bool ok = n_fields == 5;
        for (int32_t k = 0; ok && k < 4; k++) ok = ehm_parse_f64(field[k + 1], &c[k]) && c[k] == c[k];
        if (!ok)
            return EHM_FAIL(err, EHM_E_FORMAT,
                            "%s:%lld: expected a path and the numbers x0 y0 x1 y1, with tabs between", file,
                            (long long)l.line);
        int64_t item = ehm_tree_find(t, prefix, field[0]);
        if (item < 0) continue; /* of another part of the set */
        double x0 = c[0] > 0 ? c[0] : 0, y0 = c[1] > 0 ? c[1] : 0;
        int32_t label = t->v[item].label;
        bool no_class = t->base.n_classes && label < 0; /* a box is of what its picture is of */
        if (no_class || !(c[2] >= x0) || !(c[3] >= y0) || c[2] > 1e6 || c[3] > 1e6) {
            t->base.n_boxes_skipped++;
            continue;
        }
        if (*n == *cap) {
            int64_t more = *cap ? *cap * 2 : 4096;
            placed *w = realloc(*v, (size_t)more * sizeof *w);
            if (!w) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for boxes", file);
            *v = w;
            *cap = more;
        }
        (*v)[*n] = (placed){
            item, *n, {(float)x0, (float)y0, (float)c[2] + 1, (float)c[3] + 1, label < 0 ? 0 : label, 0, 0}};
        (*n)++;
    }
    return EHM_OK;
}

ehm_code ehm_boxes_tsv(ehm_tree_source *t, const int64_t *members, int32_t n_members, const char *prefix,
                       ehm_arena *a, ehm_err *err) {
    placed *v = NULL;
    int64_t n = 0, cap = 0;
    ehm_arena scratch = {0};
    ehm_code rc = EHM_OK;
    for (int32_t i = 0; i < n_members && !rc; i++) {
        ehm_arena_reset(&scratch);
        rc = table(t, members[i], prefix, &v, &n, &cap, &scratch, err);
    }
    ehm_arena_free(&scratch);
    ehm_source *s = &t->base;
    if (!rc && n) {
        rc = place(t, v, n, err);
        if (s->n_classes) { /* the box is around what the picture is of */
            s->box_classes = s->classes;
            s->n_box_classes = s->n_classes;
        } else {
            s->box_classes = EHM_NEW(a, const char *);
            if (s->box_classes) s->box_classes[0] = "object";
            s->n_box_classes = s->box_classes ? 1 : 0;
        }
    }
    free(v);
    return rc;
}
