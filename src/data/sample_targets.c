/* Boxes and objects of a picture under the placement that its pixels have.
 *
 * A map of objects numbers them in its own way, and not all have a box (clutter, slivers). Which box is whose is found
 * by extent: boxes of such sets are drawn around the visible pixels, so the right pair overlaps wholly. */
#include "data/augment_int.h"
#include <string.h>

typedef struct {
    int32_t x0, y0, x1, y1, id, label; /* label: of its first pixel in the map of classes, -1 */
} extent;

static int32_t value(const ehm_image *m, int64_t i) {
    return m->type == EHM_U16 ? ((const uint16_t *)m->px)[i] : ((const uint8_t *)m->px)[i];
}

/* Extents of all numbers but 0 in the map, in ascending order of the numbers. */
static ehm_code extents(extent **out, int32_t *n_out, const ehm_image *m, const ehm_image *classes, ehm_arena *a,
                        ehm_err *err) {
    int32_t n_ids = m->type == EHM_U16 ? 65536 : 256, n = 0;
    extent *e = EHM_NEW_N(a, extent, n_ids);
    if (!e) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the objects of a picture");
    for (int32_t y = 0; y < m->h; y++)
        for (int32_t x = 0; x < m->w; x++) {
            int64_t i = (int64_t)y * m->w + x;
            int32_t id = value(m, i);
            extent *v = &e[id];
            if (!id) continue;
            if (!v->id) *v = (extent){x, y, x + 1, y + 1, id, classes->px ? value(classes, i) : -1};
            if (x < v->x0) v->x0 = x;
            if (x >= v->x1) v->x1 = x + 1;
            if (y >= v->y1) v->y1 = y + 1;
        }
    for (int32_t i = 1; i < n_ids; i++)
        if (e[i].id) e[n++] = e[i];
    *out = e, *n_out = n;
    return EHM_OK;
}

static double overlap(const ehm_box *b, const extent *e) {
    double x0 = b->x0 > (float)e->x0 ? b->x0 : e->x0, x1 = b->x1 < (float)e->x1 ? b->x1 : e->x1;
    double y0 = b->y0 > (float)e->y0 ? b->y0 : e->y0, y1 = b->y1 < (float)e->y1 ? b->y1 : e->y1;
    if (!(x1 > x0) || !(y1 > y0)) return 0;
    double both = (x1 - x0) * (y1 - y0);
    double all = ((double)b->x1 - b->x0) * ((double)b->y1 - b->y0) + (double)(e->x1 - e->x0) * (e->y1 - e->y0);
    return both / (all - both);
}

/* The object of each box: best pairs first, of equals the one of the same class name, then the lower numbers. A pair
 * must share more than half of what it covers. id_of[k]: the map's number, 0: none. */
static ehm_code match(int32_t *id_of, const ehm_truth *t, const ehm_dataset *ds, ehm_arena *a, ehm_err *err) {
    extent *e = NULL;
    int32_t n = 0;
    EHM_TRY(extents(&e, &n, &t->map[EHM_MAP_OBJECT], &t->map[EHM_MAP_CLASS], a, err));
    for (;;) {
        double best = 0.5;
        int32_t best_box = -1, best_object = -1;
        for (int32_t k = 0; k < t->n_boxes; k++) {
            if (id_of[k]) continue;
            for (int32_t i = 0; i < n; i++) {
                double v = e[i].id ? overlap(&t->boxes[k], &e[i]) : 0;
                if (v <= 0.5) continue;
                const char *is = ehm_dataset_map_class(ds, e[i].label),
                           *named = ehm_dataset_box_class(ds, t->boxes[k].class_id);
                if (is && named && !strcmp(is, named)) v += 1e-3;
                if (v > best) best = v, best_box = k, best_object = i;
            }
        }
        if (best_box < 0) return EHM_OK;
        id_of[best_box] = e[best_object].id;
        e[best_object].id = 0;
    }
}

ehm_code ehm_truth_boxes(ehm_box *out, int32_t *n_out, int32_t *objects, const ehm_truth *t, const ehm_placement *p,
                         double keep, const ehm_dataset *ds, ehm_arena *scratch, ehm_err *err) {
    const ehm_image *m = &t->map[EHM_MAP_OBJECT];
    bool numbered = objects && m->px;
    int32_t n = 0, n_ids = m->type == EHM_U16 ? 65536 : 256, *id_of = NULL, *box_of = NULL;
    if (numbered) {
        id_of = EHM_NEW_N(scratch, int32_t, t->n_boxes + 1);
        box_of = EHM_NEW_N(scratch, int32_t, n_ids);
        if (!id_of || !box_of) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the objects of a picture");
        EHM_TRY(match(id_of, t, ds, scratch, err));
        for (int32_t i = 0; i < n_ids; i++) box_of[i] = -1;
    }
    for (int32_t k = 0; k < t->n_boxes; k++) {
        if (!ehm_place_box(&out[n], &t->boxes[k], p, keep)) continue;
        if (numbered && id_of[k]) box_of[id_of[k]] = n;
        n++;
    }
    *n_out = n;
    if (!objects) return EHM_OK;
    EHM_TRY(ehm_place_map(objects, m, p, 0, scratch, err)); /* 0 is the background; no px: all -1 */
    int64_t n_px = (int64_t)p->in_h * p->in_w;
    for (int64_t i = 0; numbered && i < n_px; i++)
        if (objects[i] >= 0) objects[i] = box_of[objects[i]];
    return EHM_OK;
}
