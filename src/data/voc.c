/* Pascal VOC annotations: a small reader of XML elements. No entities beyond the five of XML and numbers, no
 * DTD, nothing that could reach outside the text; depth and size are bounded. */
#include "base/log.h"
#include "data/sources_int.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 32, MAX_OBJECTS = 100000 };

typedef struct {
    const char *text; size_t n, at;
    const char *file;
    ehm_err *err;
    const char *open[MAX_DEPTH]; size_t n_open[MAX_DEPTH]; int32_t depth;
} xml;

/* A start tag, an end tag, or the text between them. */
typedef enum { XML_END, XML_OPEN, XML_CLOSE, XML_TEXT } xml_kind;
typedef struct { xml_kind kind; const char *s; size_t n; bool empty; } xml_event;

static ehm_code bad(xml *x, const char *why) {
    int64_t line = 1;
    for (size_t i = 0; i < x->at && i < x->n; i++) line += x->text[i] == '\n';
    return EHM_FAIL(x->err, EHM_E_FORMAT, "%s:%lld: %s", x->file, (long long)line, why);
}

static const char *find(const xml *x, size_t from, const char *what) {
    return from <= x->n ? memmem(x->text + from, x->n - from, what, strlen(what)) : NULL;
}

static ehm_code skip_to(xml *x, const char *end) {
    const char *p = find(x, x->at, end);
    if (!p) return bad(x, "the XML ends inside a comment or declaration");
    x->at = (size_t)(p - x->text) + strlen(end);
    return EHM_OK;
}

static ehm_code next(xml *x, xml_event *e) {
    for (;;) {
        *e = (xml_event){.kind = XML_END};
        if (x->at >= x->n)
            return x->depth ? bad(x, "the XML ends before its last element is closed") : EHM_OK;
        const char *p = x->text + x->at;
        size_t left = x->n - x->at;
        if (*p != '<') {
            const char *end = memchr(p, '<', left);
            *e = (xml_event){XML_TEXT, p, end ? (size_t)(end - p) : left, false};
            x->at += e->n;
            return EHM_OK;
        }
        if (left >= 4 && !memcmp(p, "<!--", 4)) {
            EHM_TRY(skip_to(x, "-->"));
        } else if (left >= 9 && !memcmp(p, "<![CDATA[", 9)) {
            const char *end = find(x, x->at, "]]>");
            if (!end) return bad(x, "the XML ends inside CDATA");
            *e = (xml_event){XML_TEXT, p + 9, (size_t)(end - p) - 9, false};
            x->at = (size_t)(end - x->text) + 3;
            return EHM_OK;
        } else if (left >= 2 && p[1] == '?') {
            EHM_TRY(skip_to(x, "?>"));
        } else if (left >= 2 && p[1] == '!') {
            const char *end = memchr(p, '>', left), *sub = memchr(p, '[', left);
            if (sub && end && sub < end) return bad(x, "a document type with definitions is not read");
            EHM_TRY(skip_to(x, ">"));
        } else {
            break;
        }
    }
    const char *p = x->text + x->at + 1, *end = memchr(p, '>', x->n - x->at - 1);
    if (!end) return bad(x, "the XML ends inside a tag");
    bool close = *p == '/';
    if (close) p++;
    size_t n = 0;
    while (p + n < end && !strchr(" \t\r\n/", p[n])) n++;
    if (!n) return bad(x, "a tag without a name");
    *e = (xml_event){close ? XML_CLOSE : XML_OPEN, p, n, !close && end[-1] == '/'};
    x->at = (size_t)(end - x->text) + 1;
    if (close) {
        if (!x->depth || x->n_open[x->depth - 1] != n || strncmp(x->open[x->depth - 1], p, n))
            return bad(x, "an end tag that closes nothing");
        x->depth--;
    } else if (!e->empty) {
        if (x->depth == MAX_DEPTH) return bad(x, "elements nested more than 32 deep");
        x->open[x->depth] = p;
        x->n_open[x->depth++] = n;
    }
    return EHM_OK;
}

static bool inside(const xml *x, int32_t level, const char *name) {
    return x->depth > level && x->n_open[level] == strlen(name) &&
           !strncmp(x->open[level], name, x->n_open[level]);
}

/* Text of an element, trimmed, with the five entities and numbers below 128 put in. */
static char *plain(const char *s, size_t n, ehm_arena *a) {
    while (n && strchr(" \t\r\n", s[0])) s++, n--;
    while (n && strchr(" \t\r\n", s[n - 1])) n--;
    char *out = ehm_arena_strndup(a, s, n);
    if (!out || !strchr(out, '&')) return out;
    static const struct {
        const char *name;
        char c;
    } entity[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    char *to = out;
    for (const char *p = out; *p;) {
        size_t k = 0, n_entities = sizeof entity / sizeof *entity;
        while (k < n_entities && !ehm_starts(p, entity[k].name)) k++;
        if (k < n_entities) {
            *to++ = entity[k].c;
            p += strlen(entity[k].name);
        } else {
            *to++ = *p++;
        }
    }
    *to = 0;
    return out;
}

typedef struct { const char *name; double v[4]; int32_t n_seen; bool difficult; } object;

/* VOC counts pixels from 1 and includes the last one: [xmin-1, xmax). */
static ehm_code close_object(xml *x, ehm_voc *out, const object *o, int32_t *cap, ehm_arena *a) {
    if (!o->name || !*o->name) return bad(x, "an object without a name");
    if (o->n_seen != 15) {
        out->n_skipped++;
        return EHM_OK;
    }
    double x0 = o->v[0] - 1, y0 = o->v[1] - 1, x1 = o->v[2], y1 = o->v[3];
    bool no_size = !(o->v[2] > o->v[0]) || !(o->v[3] > o->v[1]);
    if (x0 < 0) x0 = 0;
    if (y0 < 0) y0 = 0;
    if (out->w > 0 && x1 > out->w) x1 = out->w;
    if (out->h > 0 && y1 > out->h) y1 = out->h;
    if (no_size || !(x1 > x0) || !(y1 > y0) || x1 > 1e6 || y1 > 1e6) {
        out->n_skipped++;
        return EHM_OK;
    }
    if (out->n == *cap) {
        int32_t more = *cap ? *cap * 2 : 16;
        if (more > MAX_OBJECTS) return bad(x, "too many objects");
        ehm_named_box *v = EHM_NEW_N(a, ehm_named_box, more);
        if (!v) return EHM_FAIL(x->err, EHM_E_MEMORY, "%s: no memory", x->file);
        if (out->n) memcpy(v, out->v, (size_t)out->n * sizeof *v);
        out->v = v;
        *cap = more;
    }
    out->v[out->n++] = (ehm_named_box){(float)x0, (float)y0, (float)x1, (float)y1, o->name, o->difficult};
    return EHM_OK;
}

static ehm_code on_text(xml *x, const xml_event *e, ehm_voc *out, object *o, ehm_arena *a) {
    static const char *const corner[] = {"xmin", "ymin", "xmax", "ymax"};
    bool of_object = x->depth >= 3 && inside(x, 1, "object");
    bool size = x->depth == 3 && inside(x, 1, "size"), name = x->depth == 3 && of_object && inside(x, 2, "name");
    bool difficult = x->depth == 3 && of_object && inside(x, 2, "difficult"), box = x->depth == 4 && of_object && inside(x, 2, "bndbox");
    if (!size && !name && !difficult && !box) return EHM_OK;
    char *text = plain(e->s, e->n, a);
    if (!text) return EHM_FAIL(x->err, EHM_E_MEMORY, "%s: no memory", x->file);
    if (!*text) return EHM_OK;
    if (name) {
        o->name = text;
        return EHM_OK;
    }
    if (difficult) {
        o->difficult = strcmp(text, "0") != 0;
        return EHM_OK;
    }
    double v;
    bool number = ehm_parse_f64(text, &v) && v == v;
    if (size) {
        bool w = inside(x, 2, "width"), h = inside(x, 2, "height");
        if (!w && !h) return EHM_OK;
        if (!number || v < 0 || v > 1e6) return bad(x, "the size is no number of pixels");
        if (w) out->w = (int32_t)v;
        else out->h = (int32_t)v;
        return EHM_OK;
    }
    for (int32_t i = 0; i < 4; i++) {
        if (!inside(x, 3, corner[i])) continue;
        if (!number) return bad(x, "a corner of a box is no number");
        o->v[i] = v;
        o->n_seen |= 1 << i;
    }
    return EHM_OK;
}

ehm_code ehm_voc_parse(ehm_voc *out, const char *text, size_t n, const char *name, ehm_arena *a,
                       ehm_err *err) {
    xml x = {.text = text, .n = n, .file = name, .err = err};
    *out = (ehm_voc){0};
    object o = {0};
    int32_t cap = 0;
    bool root = false;
    for (;;) {
        xml_event e;
        EHM_TRY(next(&x, &e));
        if (e.kind == XML_END) break;
        if (e.kind == XML_OPEN && x.depth == 1) {
            if (!inside(&x, 0, "annotation"))
                return bad(&x, "no Pascal VOC annotation: the outer element is another one");
            root = true;
        }
        if (e.kind == XML_OPEN && x.depth == 2 && inside(&x, 1, "object")) o = (object){0};
        if (e.kind == XML_TEXT) EHM_TRY(on_text(&x, &e, out, &o, a));
        if (e.kind == XML_CLOSE && x.depth == 1 && e.n == 6 && !strncmp(e.s, "object", 6))
            EHM_TRY(close_object(&x, out, &o, &cap, a));
    }
    return root ? EHM_OK : bad(&x, "no Pascal VOC annotation");
}

static int32_t intern(const char ***names, int32_t *n, int32_t *cap, const char *name, ehm_err *err) {
    for (int32_t i = 0; i < *n; i++) {
        if (!strcmp((*names)[i], name)) return i;
    }
    if (*n == *cap) {
        int32_t more = *cap ? *cap * 2 : 64;
        const char **v = realloc(*names, (size_t)more * sizeof *v);
        if (!v) return -1;
        *names = v;
        *cap = more;
    }
    (void)err;
    (*names)[*n] = strdup(name);
    return (*names)[*n] ? (*n)++ : -1;
}

static ehm_code read_all(ehm_tree_source *t, const int64_t *xml_of, const char ***names, int32_t *n_names,
                         ehm_err *err) {
    ehm_arena scratch = {0};
    ehm_code rc = EHM_OK;
    int32_t cap = 0;
    for (int64_t i = 0; i < t->n && !rc; i++) {
        if (xml_of[i] < 0) continue;
        ehm_bytes text;
        ehm_voc voc;
        ehm_arena_reset(&scratch);
        rc = ehm_files_read(t->files, xml_of[i], 0, &text, &scratch, err);
        if (!rc)
            rc = ehm_voc_parse(&voc, (const char *)text.data, text.len, t->files->v[xml_of[i]].name, &scratch,
                               err);
        if (rc) break;
        t->v[i].box0 = (int32_t)t->n_boxes;
        t->base.n_boxes_skipped += voc.n_skipped;
        for (int32_t k = 0; k < voc.n && !rc; k++) {
            int32_t id = intern(names, n_names, &cap, voc.v[k].name, err);
            if (id < 0) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for boxes", t->path);
            else
                rc = ehm_tree_add_box(t, (ehm_box){voc.v[k].x0, voc.v[k].y0, voc.v[k].x1, voc.v[k].y1, id, voc.v[k].difficult, 0},
                                      err);
        }
        t->v[i].n_boxes = (int32_t)t->n_boxes - t->v[i].box0;
        if ((i & 0xfff) == 0xfff) ehm_progress(false, "reading boxes of %s: %lld", t->path, (long long)i);
    }
    ehm_arena_free(&scratch);
    return rc;
}

ehm_code ehm_boxes_voc(ehm_tree_source *t, const int64_t *xml_of, ehm_arena *a, ehm_err *err) {
    const char **names = NULL;
    int32_t n = 0;
    ehm_code rc = read_all(t, xml_of, &names, &n, err);
    ehm_source *s = &t->base;
    if (!rc) {
        s->box_classes = EHM_NEW_N(a, const char *, n ? n : 1);
        if (!s->box_classes) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for boxes", t->path);
    }
    for (int32_t i = 0; i < n && !rc; i++) {
        s->box_classes[i] = ehm_arena_strdup(a, names[i]);
        if (!s->box_classes[i]) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for boxes", t->path);
    }
    if (!rc && n) { /* ids by sorted name */
        qsort(s->box_classes, (size_t)n, sizeof *s->box_classes, ehm_strcmp_qsort);
        for (int64_t i = 0; i < t->n_boxes; i++) {
            const char *key = names[t->boxes[i].class_id];
            const char **p = bsearch(&key, s->box_classes, (size_t)n, sizeof *s->box_classes,
                                     ehm_strcmp_qsort);
            t->boxes[i].class_id = (int32_t)(p - s->box_classes);
        }
    }
    for (int32_t i = 0; i < n; i++) free((char *)(uintptr_t)names[i]);
    free(names);
    if (rc) return rc;
    s->n_box_classes = n;
    s->has_boxes = true;
    if (t->base.n_boxes_skipped)
        ehm_log(EHM_LOG_NOTE, "%s: %lld boxes without area or outside their picture are left out", t->path,
                (long long)t->base.n_boxes_skipped);
    return EHM_OK;
}
