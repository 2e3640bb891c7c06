/* Batches without the pictures that are left out. The loader's own arrays are borrowed and const, so what stays is copied; a batch of which all stays is
 * passed on as it is. */
#include <stdlib.h>
#include <string.h>
#include "data/patch_labels.h"
#include "tune/tune_int.h"

struct ehm_tune_kept {
    size_t area; int32_t channels;
    void *pixels;                       /* room for f32 */
    int64_t *ids, *slots;
    int32_t *labels, *maps, *objects, *box_start, *sizes;
    struct ehm_placement *places;
    ehm_box *boxes; size_t cap_boxes;
};

ehm_code ehm_tune_kept_open(struct ehm_tune_kept **out, const ehm_loader_opt *o, int32_t channels, ehm_arena *a, ehm_err *err) {
    struct ehm_tune_kept *k = EHM_NEW(a, struct ehm_tune_kept);
    size_t n = (size_t)o->batch_size, area = (size_t)o->h * (size_t)o->w;
    bool truth = o->want_maps || o->want_boxes, ok = k != NULL;
    if (ok) {
        *k = (struct ehm_tune_kept){.area = area, .channels = channels};
        k->pixels = ehm_arena_alloc(a, n * area * (size_t)channels, sizeof(float));
        k->ids = EHM_NEW_N(a, int64_t, n), k->slots = EHM_NEW_N(a, int64_t, n), k->labels = EHM_NEW_N(a, int32_t, n);
        k->maps = o->want_maps ? EHM_NEW_N(a, int32_t, n * area) : NULL;
        k->objects = o->want_objects ? EHM_NEW_N(a, int32_t, n * area) : NULL;
        k->box_start = o->want_boxes ? EHM_NEW_N(a, int32_t, n + 1) : NULL;
        k->places = truth ? EHM_NEW_N(a, struct ehm_placement, n) : NULL;
        k->sizes = truth ? EHM_NEW_N(a, int32_t, 2 * n) : NULL;
        ok = k->pixels && k->ids && k->slots && k->labels && (k->maps || !o->want_maps) && (k->objects || !o->want_objects) &&
             (k->box_start || !o->want_boxes) && ((k->places && k->sizes) || !truth);
    }
    *out = ok ? k : NULL;
    return ok ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for batches of %d pictures", (int)o->batch_size);
}

void ehm_tune_kept_close(struct ehm_tune_kept *k) {
    if (k) free(k->boxes); /* the rest lives in the arena */
}

static ehm_code room_for_boxes(struct ehm_tune_kept *k, size_t n, ehm_err *err) {
    if (n <= k->cap_boxes) return EHM_OK;
    ehm_box *more = realloc(k->boxes, 2 * n * sizeof *more);
    if (!more) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a batch's %zu boxes", n);
    k->boxes = more, k->cap_boxes = 2 * n;
    return EHM_OK;
}

ehm_code ehm_tune_kept_filter(struct ehm_tune_kept *k, ehm_batch *b, const bool *keep, ehm_err *err) {
    size_t px = k->area * (size_t)k->channels * ehm_dtype_size(b->type);
    int32_t n = 0, n_boxes = 0;
    for (int32_t i = 0; i < b->n; i++) n += keep[b->ids[i]];
    if (n == b->n) return EHM_OK;
    if (b->box_start) EHM_TRY(room_for_boxes(k, (size_t)b->box_start[b->n] + 1, err));
    n = 0;
    for (size_t i = 0; i < (size_t)b->n; i++) {
        size_t to = (size_t)n;
        if (!keep[b->ids[i]]) continue;
        memcpy((char *)k->pixels + to * px, (const char *)b->pixels + i * px, px);
        k->ids[to] = b->ids[i], k->slots[to] = b->slots[i], k->labels[to] = b->labels[i];
        if (b->maps) memcpy(k->maps + to * k->area, b->maps + i * k->area, k->area * sizeof *k->maps);
        if (b->objects) memcpy(k->objects + to * k->area, b->objects + i * k->area, k->area * sizeof *k->objects);
        if (b->places) k->places[to] = b->places[i];
        if (b->sizes) memcpy(k->sizes + 2 * to, b->sizes + 2 * i, 2 * sizeof *k->sizes);
        if (b->box_start) {
            int32_t count = b->box_start[i + 1] - b->box_start[i];
            k->box_start[to] = n_boxes;
            if (count) memcpy(k->boxes + n_boxes, b->boxes + b->box_start[i], (size_t)count * sizeof *k->boxes);
            k->box_start[to + 1] = n_boxes += count;
        }
        n++;
    }
    b->n = n, b->pixels = k->pixels, b->ids = k->ids, b->slots = k->slots, b->labels = k->labels;
    if (b->maps) b->maps = k->maps;
    if (b->objects) b->objects = k->objects;
    if (b->places) b->places = k->places;
    if (b->sizes) b->sizes = k->sizes;
    if (b->box_start) b->box_start = k->box_start, b->boxes = k->boxes;
    return EHM_OK;
}
