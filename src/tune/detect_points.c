#include "tune/detect_points.h"
#include <math.h>
#include <stdbool.h>

static double x_of(const ehm_points *p, int32_t i) { return (i % p->grid_w + 0.5) * p->cell_px; }
static double y_of(const ehm_points *p, int32_t i) { return (i / p->grid_w + 0.5) * p->cell_px; }

/* The points of one axis that lie inside lo..hi and near its middle: from *first up to, not with, *end. */
static void span(int32_t *first, int32_t *end, double lo, double hi, double cell, int32_t n) {
    double middle = (lo + hi) / 2, from = fmax(lo, middle - EHM_POINT_RADIUS * cell), to = fmin(hi, middle + EHM_POINT_RADIUS * cell);
    *first = *end = 0;
    for (int32_t i = 0; i < n; i++) {
        double at = (i + 0.5) * cell;
        if (!(at > from && at < to)) continue;
        if (*end == 0) *first = i;
        *end = i + 1;
    }
}

int32_t ehm_points_assign(int32_t *box_of, const ehm_points *p, const ehm_box *boxes, int32_t n) {
    int32_t n_points = p->grid_h * p->grid_w, n_without = 0;
    for (int32_t i = 0; i < n_points; i++) box_of[i] = -1;
    for (int32_t k = 0; k < n; k++) {
        const ehm_box *b = &boxes[k];
        if (b->crowd) continue;
        int32_t x0, x1, y0, y1;
        double area = ((double)b->x1 - (double)b->x0) * ((double)b->y1 - (double)b->y0);
        span(&x0, &x1, (double)b->x0, (double)b->x1, p->cell_px, p->grid_w);
        span(&y0, &y1, (double)b->y0, (double)b->y1, p->cell_px, p->grid_h);
        for (int32_t y = y0; y < y1; y++)
            for (int32_t x = x0; x < x1; x++) {
                int32_t *of = &box_of[y * p->grid_w + x];
                const ehm_box *o = *of < 0 ? NULL : &boxes[*of];
                if (!o || area < ((double)o->x1 - (double)o->x0) * ((double)o->y1 - (double)o->y0)) *of = k;
            }
    }
    for (int32_t k = 0; k < n; k++) {
        bool any = false;
        for (int32_t i = 0; i < n_points && !any; i++) any = box_of[i] == k;
        n_without += !any && !boxes[k].crowd;
    }
    return n_without;
}

void ehm_points_target(float t[4], const ehm_points *p, int32_t i_point, const ehm_box *b) {
    double x = x_of(p, i_point), y = y_of(p, i_point);
    t[0] = (float)((x - (double)b->x0) / p->cell_px), t[1] = (float)((y - (double)b->y0) / p->cell_px);
    t[2] = (float)(((double)b->x1 - x) / p->cell_px), t[3] = (float)(((double)b->y1 - y) / p->cell_px);
}

float ehm_points_centreness(const float t[4]) {
    float across = fminf(t[0], t[2]) / fmaxf(t[0], t[2]), down = fminf(t[1], t[3]) / fmaxf(t[1], t[3]);
    return sqrtf(across * down);
}

static float sigmoid(float x) { return 1 / (1 + expf(-x)); }

/* Lower score, then what comes later on the grid: an order without ties. */
static bool worse(const ehm_found_box *a, const ehm_found_box *b) { return a->score < b->score || (!(a->score > b->score) && a->said_by > b->said_by); }

/* Into place in a heap of n whose root is the worst. */
static void sink(ehm_found_box *v, int32_t i, int32_t n) {
    ehm_found_box b = v[i];
    for (int32_t k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && worse(&v[k + 1], &v[k])) k++;
        if (!worse(&v[k], &b)) break;
        v[i] = v[k];
    }
    v[i] = b;
}

/* The cap best so far are kept. */
static int32_t keep_best(ehm_found_box *v, int32_t n, int32_t cap, const ehm_found_box *b) {
    if (n == cap) {
        if (worse(&v[0], b)) v[0] = *b, sink(v, 0, n);
        return n;
    }
    v[n] = *b;
    if (n + 1 == cap)
        for (int32_t i = cap / 2 - 1; i >= 0; i--) sink(v, i, cap);
    return n + 1;
}
/* Heap sort: the worst goes last. */
static void best_first(ehm_found_box *v, int32_t n) {
    for (int32_t i = n / 2 - 1; i >= 0; i--) sink(v, i, n);
    for (int32_t left = n - 1; left > 0; left--) {
        ehm_found_box worst = v[0];
        v[0] = v[left], v[left] = worst;
        sink(v, 0, left);
    }
}

int32_t ehm_points_decode(ehm_found_box *out, int32_t cap, const ehm_points *p, const float *classes, const float *logs, const float *centres,
                          int32_t n_classes, float score_min) {
    int32_t n_points = p->grid_h * p->grid_w, n = 0;
    float cell = (float)p->cell_px, w = (float)(p->grid_w * p->cell_px), h = (float)(p->grid_h * p->cell_px);
    for (int32_t i = 0; i < n_points && cap > 0; i++) {
        float centre = sigmoid(centres[i]), x = (float)x_of(p, i), y = (float)y_of(p, i), side[4];
        if (!(sqrtf(centre) > score_min)) continue;
        bool finite = true;
        for (int32_t k = 0; k < 4; k++) finite &= isfinite(logs[4 * i + k]) != 0, side[k] = expf(fminf(logs[4 * i + k], 8)) * cell;
        ehm_found_box b = {.x0 = fmaxf(x - side[0], 0), .y0 = fmaxf(y - side[1], 0), .x1 = fminf(x + side[2], w), .y1 = fminf(y + side[3], h)};
        if (!finite || !(b.x1 > b.x0 && b.y1 > b.y0)) continue;
        for (int32_t k = 0; k < n_classes; k++) {
            b.score = sqrtf(sigmoid(classes[i * n_classes + k]) * centre);
            if (!(b.score > score_min)) continue;
            b.class_id = k, b.said_by = i * n_classes + k;
            n = keep_best(out, n, cap, &b);
        }
    }
    best_first(out, n);
    return n;
}

static bool overlap(const ehm_found_box *a, const ehm_found_box *b, float bound) {
    float w = fminf(a->x1, b->x1) - fmaxf(a->x0, b->x0), h = fminf(a->y1, b->y1) - fmaxf(a->y0, b->y0);
    if (!(w > 0 && h > 0)) return false;
    float both = w * h;
    return both / ((a->x1 - a->x0) * (a->y1 - a->y0) + (b->x1 - b->x0) * (b->y1 - b->y0) - both) > bound;
}

int32_t ehm_nms(ehm_found_box *v, int32_t n, float bound, int32_t most) {
    int32_t n_kept = 0;
    for (int32_t i = 0; i < n && n_kept < most; i++) {
        bool stays = true;
        for (int32_t k = 0; k < n_kept && stays; k++) stays = v[k].class_id != v[i].class_id || !overlap(&v[k], &v[i], bound);
        if (stays) v[n_kept++] = v[i];
    }
    return n_kept;
}
