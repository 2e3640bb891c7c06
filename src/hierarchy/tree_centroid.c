/* Centroid linkage by nearest-neighbour lists (Muellner 2011, generic algorithm). A union may lie nearer to a third cluster than its
 * parts did, so heights may fall and the chain would be wrong. Every slot keeps a candidate among the higher slots and a lower bound
 * of its distance; the least bound is taken from a heap and, when it is out of date, searched anew. The heap breaks ties as SciPy's
 * does: children are compared by <, the left one first; the root is replaced by the last. */
#include "hierarchy/tree_int.h"
#include <float.h>
#include <math.h>

typedef struct {
    int32_t n;
    int32_t *slot, *at; /* place -> slot, slot -> place */
    double *bound;      /* by slot */
} heap;

static double at_place(const heap *p, int32_t i) { return p->bound[p->slot[i]]; }

static void swap_places(heap *p, int32_t i, int32_t j) {
    int32_t a = p->slot[i], b = p->slot[j];
    p->slot[i] = b, p->slot[j] = a;
    p->at[a] = j, p->at[b] = i;
}

static void sink(heap *p, int32_t i) {
    for (int32_t child; (child = 2 * i + 1) < p->n; i = child) {
        if (child + 1 < p->n && at_place(p, child + 1) < at_place(p, child)) child++;
        if (!(at_place(p, i) > at_place(p, child))) return;
        swap_places(p, i, child);
    }
}

static void set_bound(heap *p, int32_t slot, double value) {
    double old = p->bound[slot];
    int32_t i = p->at[slot];
    p->bound[slot] = value;
    if (!(value < old)) {
        sink(p, i);
        return;
    }
    for (int32_t up; i > 0 && (up = (i - 1) / 2, at_place(p, up) > at_place(p, i)); i = up) swap_places(p, i, up);
}

/* Nearest live slot above x; at an equal distance the lowest. -1: there is none. */
static int32_t nearest_above(const ehm_tree_work *w, int32_t x, double *least) {
    const double *row = (const double *)w->rows + (size_t)x * w->stride;
    int32_t y = -1;
    *least = DBL_MAX;
    for (int32_t i = x + 1; i < w->n; i++)
        if (w->size[i] && row[i] < *least) *least = row[i], y = i;
    return y;
}

static double *entry(const ehm_tree_work *w, int32_t i, int32_t j) {
    return (double *)w->rows + (size_t)i * w->stride + (size_t)j;
}

/* Distances of the union of x and y, whose distance is d, into row and column y. */
static void unite(ehm_tree_work *w, int32_t x, int32_t y, double d) {
    double nx = w->size[x], ny = w->size[y], all = nx + ny;
    for (int32_t i = 0; i < w->n; i++) {
        if (!w->size[i] || i == x || i == y) continue;
        double dx = *entry(w, x, i), dy = *entry(w, y, i);
        double q = (nx * dx * dx + ny * dy * dy - nx * ny * d * d / all) / all;
        *entry(w, y, i) = *entry(w, i, y) = sqrt(q > 0 ? q : 0); /* below 0 by rounding only */
    }
}

void ehm_tree_centroid(ehm_tree_work *w) {
    int32_t n = w->n, *candidate = w->seen;
    heap p = {.n = n - 1, .slot = w->grown, .at = w->grown_at, .bound = w->weight};
    for (int32_t i = 0; i < n; i++) w->size[i] = 1, w->node[i] = i;
    for (int32_t i = 0; i < n - 1; i++) candidate[i] = nearest_above(w, i, &p.bound[i]), p.slot[i] = p.at[i] = i;
    for (int32_t i = (n - 1) / 2 - 1; i >= 0; i--) sink(&p, i);
    for (int32_t k = 0; k < n - 1; k++) {
        int32_t x, y;
        double d;
        for (;;) { /* a candidate is wrong at most once a merge, for it is searched anew */
            x = p.slot[0], y = candidate[x], d = p.bound[x];
            if (d == *entry(w, x, y)) break;
            candidate[x] = nearest_above(w, x, &d);
            set_bound(&p, x, d);
        }
        swap_places(&p, 0, --p.n);
        sink(&p, 0);
        w->a[k] = w->node[x] < w->node[y] ? w->node[x] : w->node[y];
        w->b[k] = w->node[x] < w->node[y] ? w->node[y] : w->node[x];
        w->merged[k] = w->size[x] + w->size[y], w->h[k] = d;
        unite(w, x, y, d);
        w->size[x] = 0, w->size[y] = w->merged[k], w->node[y] = n + k;
        for (int32_t i = 0; i < x; i++) /* a guess; the bound still holds */
            if (w->size[i] && candidate[i] == x) candidate[i] = y;
        for (int32_t i = 0; i < y; i++)
            if (w->size[i] && *entry(w, i, y) < p.bound[i]) {
                candidate[i] = y;
                set_bound(&p, i, *entry(w, i, y));
            }
        if (y < n - 1) {
            double least;
            int32_t z = nearest_above(w, y, &least);
            if (z >= 0) candidate[y] = z, set_bound(&p, y, least);
        }
    }
}
