/* Before hours of training: every picture and its boxes once. */
#include "base/log.h"
#include "eval/detect_int.h"
#include <stdlib.h>
#include <string.h>

enum { OBJECTS_MAX = 254, STRETCH = 256 };

static int32_t value_at(const ehm_image *m, int64_t i) { return m->type == EHM_U16 ? ((const uint16_t *)m->px)[i] : ((const uint8_t *)m->px)[i]; }

typedef struct { int32_t x0, y0, x1, y1; } extent;

void ehm_box_objects(int32_t *id_of, const ehm_box *boxes, int32_t n, const ehm_image *map) {
    int32_t n_ids = map->type == EHM_U16 ? 65536 : 256, k = 0;
    extent *e = calloc((size_t)n_ids, sizeof *e);
    for (int32_t i = 0; i < n; i++) id_of[i] = 0;
    if (!e) return;
    for (int32_t y = 0; y < map->h; y++)
        for (int32_t x = 0; x < map->w; x++) {
            extent *v = &e[value_at(map, (int64_t)y * map->w + x)];
            if (!v->x1) *v = (extent){x, y, x + 1, y + 1};
            if (x < v->x0) v->x0 = x;
            if (x >= v->x1) v->x1 = x + 1;
            if (y >= v->y1) v->y1 = y + 1;
        }
    for (int32_t id = 1; id < n_ids && k < n; id++) {
        const extent *v = &e[id];
        const ehm_box *b = &boxes[k];
        if (v->x1 && v->x0 == (int32_t)b->x0 && v->y0 == (int32_t)b->y0 && v->x1 == (int32_t)b->x1 && v->y1 == (int32_t)b->y1) id_of[k++] = id;
    }
    free(e);
}

/* ---- the walk ---- */

typedef struct {
    ehm_arena scratch, kept; /* kept: boxes and maps, handed over at the end */
    ehm_err err; int64_t err_at; /* the first picture that is wrong */
} lane;
typedef struct {
    ehm_dataset *ds;
    const bool *only;
    bool masks;
    int64_t first;
    ehm_box_truth *of;
    ehm_print *prints;
    bool *bad;
    lane *lanes;
} walk;

static ehm_code keep_objects(const walk *w, lane *l, int64_t i, const ehm_sample *s, ehm_err *err) {
    ehm_box_truth *t = &w->of[i];
    const ehm_image *map = &s->object_map;
    const char *name = ehm_dataset_name(w->ds, i);
    if (!map->px) {
        EHM_HINT(err, "scenes:SEED:COUNT[:SIZE] and its exports (labels/object) have them; ehm eval detect needs boxes alone");
        return EHM_FAIL(err, EHM_E_MISMATCH, "%s has boxes but no masks of objects (first: %s)", ehm_dataset_spec(w->ds), name);
    }
    if (map->w != t->w || map->h != t->h)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: the picture is %dx%d, but its map of objects is %dx%d", name, t->w, t->h, map->w, map->h);
    if (t->n_boxes > OBJECTS_MAX) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: masks of %d objects; at most %d are possible", name, t->n_boxes, (int)OBJECTS_MAX);
    int32_t *id_of = EHM_NEW_N(&l->scratch, int32_t, t->n_boxes + 1);
    int64_t n = (int64_t)t->w * t->h;
    t->objects = EHM_NEW_N(&l->kept, uint8_t, n);
    if (!id_of || !t->objects) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the objects of %s", name);
    ehm_box_objects(id_of, t->boxes, t->n_boxes, map);
    for (int64_t p = 0; p < n; p++)
        for (int32_t k = 0; k < t->n_boxes; k++)
            if (id_of[k] && value_at(map, p) == id_of[k]) t->objects[p] = (uint8_t)(k + 1);
    return EHM_OK;
}

static ehm_code look_at(const walk *w, lane *l, int64_t i, ehm_err *err) {
    ehm_sample s, alone;
    ehm_image_info info;
    ehm_err first = {0}, ignored = {0};
    ehm_box_truth *t = &w->of[i];
    /* All that is looked at in the pixels is what the picture resembles. */
    const ehm_decode_opt small = {.min_w = 64, .min_h = 64};
    ehm_arena_reset(&l->scratch);
    ehm_code rc = ehm_dataset_read(w->ds, i, &s, EHM_WANT_BOXES | (w->masks ? EHM_WANT_OBJECT_MAPS : 0u), &small, &l->scratch, &first);
    if (!rc) rc = ehm_dataset_size_of(w->ds, i, &info, &l->scratch, &first);
    if (rc) {
        if (rc == EHM_E_MEMORY || rc == EHM_E_STOPPED || !ehm_dataset_read(w->ds, i, &alone, 0, &small, &l->scratch, &ignored)) {
            *err = first; /* the picture can be read: what stands beside it is wrong */
            return rc;
        }
        w->bad[i] = true;
        return EHM_OK;
    }
    EHM_TRY(ehm_print_of(&w->prints[i], &s.image, &l->scratch, err));
    t->w = info.w, t->h = info.h, t->n_boxes = s.n_boxes;
    t->boxes = EHM_NEW_N(&l->kept, ehm_box, s.n_boxes + 1);
    if (!t->boxes) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the boxes of %s", ehm_dataset_name(w->ds, i));
    if (s.n_boxes) memcpy(t->boxes, s.boxes, (size_t)s.n_boxes * sizeof *t->boxes);
    if (w->masks && s.n_boxes) EHM_TRY(keep_objects(w, l, i, &s, err));
    t->use = true;
    return EHM_OK;
}

static void some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    walk *w = ctx;
    lane *l = &w->lanes[i_thread];
    for (int64_t i = w->first + begin; i < w->first + end; i++) {
        if ((w->only && !w->only[i]) || l->err.code) continue;
        if (look_at(w, l, i, &l->err)) l->err_at = i;
    }
}

static void count(ehm_box_scan *out, const walk *w, int64_t n, int32_t n_classes, bool *here) {
    for (int64_t i = 0; i < n; i++) {
        const ehm_box_truth *t = &out->of[i];
        out->n_bad += w->bad[i];
        if (!t->use) continue;
        int32_t n_crowds = 0;
        for (int32_t k = 0; k < t->n_boxes; k++) n_crowds += t->boxes[k].crowd;
        out->n_pictures++, out->n_boxes += t->n_boxes - n_crowds, out->n_empty += t->n_boxes == n_crowds, out->n_crowds += n_crowds;
        memset(here, 0, (size_t)n_classes * sizeof *here);
        for (int32_t k = 0; k < t->n_boxes; k++) {
            const ehm_box *b = &t->boxes[k];
            if (b->crowd) continue;
            out->boxes_of[b->class_id]++, out->pictures_of[b->class_id] += !here[b->class_id];
            here[b->class_id] = true;
            double *m = out->mean[b->class_id];
            m[0] += (double)b->x0 / t->w, m[1] += (double)b->y0 / t->h, m[2] += (double)b->x1 / t->w, m[3] += (double)b->y1 / t->h;
        }
    }
    for (int32_t c = 0; c < n_classes; c++)
        for (int32_t q = 0; q < 4 && out->boxes_of[c]; q++) out->mean[c][q] /= (double)out->boxes_of[c];
}

/* What the lanes kept goes into the caller's arena. */
static ehm_code hand_over(ehm_box_scan *out, int64_t n, ehm_arena *a, ehm_err *err) {
    for (int64_t i = 0; i < n; i++) {
        ehm_box_truth *t = &out->of[i];
        if (!t->boxes) continue;
        ehm_box *boxes = EHM_NEW_N(a, ehm_box, t->n_boxes + 1);
        uint8_t *objects = t->objects ? EHM_NEW_N(a, uint8_t, (int64_t)t->w * t->h) : NULL;
        if (!boxes || (t->objects && !objects)) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the boxes of %lld pictures", (long long)n);
        memcpy(boxes, t->boxes, (size_t)t->n_boxes * sizeof *boxes);
        if (objects) memcpy(objects, t->objects, (size_t)t->w * (size_t)t->h);
        t->boxes = boxes, t->objects = objects;
    }
    return EHM_OK;
}

ehm_code ehm_box_scan_set(ehm_box_scan *out, ehm_dataset *ds, const bool *only, int32_t n_classes, bool masks, ehm_pool *pool, ehm_arena *a, ehm_err *err) {
    int64_t n = ehm_dataset_count(ds);
    int32_t n_lanes = ehm_pool_threads(pool);
    ehm_arena scratch = {0};
    char done[32], all[32];
    ehm_code rc = EHM_OK;
    *out = (ehm_box_scan){.of = EHM_NEW_N(a, ehm_box_truth, n), .boxes_of = EHM_NEW_N(a, int64_t, n_classes), .pictures_of = EHM_NEW_N(a, int64_t, n_classes),
                          .prints = EHM_NEW_N(a, ehm_print, n), .mean = ehm_arena_alloc(a, (size_t)n_classes, sizeof *out->mean)};
    walk w = {.ds = ds, .only = only, .masks = masks, .of = out->of, .prints = out->prints, .bad = EHM_NEW_N(&scratch, bool, n),
              .lanes = EHM_NEW_N(&scratch, lane, n_lanes)};
    bool *here = EHM_NEW_N(&scratch, bool, n_classes);
    if (!out->of || !out->boxes_of || !out->pictures_of || !out->prints || !out->mean || !w.bad || !w.lanes || !here)
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for the boxes of %lld pictures", (long long)n);
    for (; w.first < n && !rc; w.first += STRETCH) {
        int64_t m = n - w.first < STRETCH ? n - w.first : STRETCH;
        const lane *wrong = NULL;
        ehm_pool_for(pool, m, 1, some, &w);
        if (ehm_stop_asked()) rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped while looking at the boxes of %s", ehm_dataset_spec(ds));
        for (int32_t t = 0; t < n_lanes; t++)
            if (w.lanes[t].err.code && (!wrong || w.lanes[t].err_at < wrong->err_at)) wrong = &w.lanes[t];
        if (!rc && wrong) {
            rc = wrong->err.code;
            if (err && !err->code) *err = wrong->err;
        }
        ehm_progress(false, "looked at %s of %s pictures", ehm_format_count(w.first + m, done), ehm_format_count(n, all));
    }
    if (!rc) ehm_progress(true, "looked at %s pictures of %s", ehm_format_count(n, all), ehm_dataset_spec(ds));
    if (!rc) rc = hand_over(out, n, a, err);
    if (!rc) count(out, &w, n, n_classes, here);
    for (int32_t t = 0; t < n_lanes && w.lanes; t++) ehm_arena_free(&w.lanes[t].scratch), ehm_arena_free(&w.lanes[t].kept);
    ehm_arena_free(&scratch);
    return rc;
}
