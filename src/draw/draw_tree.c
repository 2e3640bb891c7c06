/* A tree over a picture's patches, cut at several levels. Colours are given from the coarsest cut down: the
 * larger part of a node keeps its colour, the rest gets the colour that is farthest from its neighbours', so
 * that an eye can follow nodes from panel to panel. */
#include "draw/hierarchy.h"
#include "draw/panel_int.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- colours ---- */

typedef struct {
    float L, a, b;
} lab;

static double linear_of(uint8_t v) {
    double x = v / 255.0;
    return x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4);
}

/* Ottosson's OKLab: distances in it are near to those that people see. */
static lab lab_of(ehm_rgb c) {
    double r = linear_of(c.r), g = linear_of(c.g), b = linear_of(c.b);
    double l = cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
    double m = cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
    double s = cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
    return (lab){(float)(0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s),
                 (float)(1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s),
                 (float)(0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s)};
}

static float distance2(lab x, lab y) {
    return (x.L - y.L) * (x.L - y.L) + (x.a - y.a) * (x.a - y.a) + (x.b - y.b) * (x.b - y.b);
}

enum { N_FIRST = 12, N_COLOURS = N_FIRST + 36, N_LEVELS_MAX = 64 };

typedef struct {
    ehm_rgb rgb[N_COLOURS];
    lab at[N_COLOURS];
} palette;

/* The first are Okabe and Ito's and Tol's colours, made to be told apart by colour-blind eyes too; then hues
 * in three lightnesses. */
static void palette_fill(palette *p) {
    static const uint32_t first[N_FIRST] = {0xe69f00, 0x0072b2, 0x009e73, 0xcc79a7, 0xf0e442, 0x56b4e9,
                                            0xd55e00, 0x332288, 0x882255, 0x999933, 0x117733, 0xee99aa};
    for (int32_t i = 0; i < N_FIRST; i++) p->rgb[i] = EHM_RGB(first[i]);
    for (int32_t i = N_FIRST; i < N_COLOURS; i++) {
        int32_t k = i - N_FIRST, light = k % 3;
        double hue =
            (k / 3 + light / 3.0) * 0.52359877559829887; /* twelve hues, each lightness a third further */
        double base = light == 0   ? 0.62
                      : light == 1 ? 0.84
                                   : 0.40,
               chroma = light == 0   ? 0.38
                        : light == 1 ? 0.16
                                     : 0.36;
        double v[3];
        for (int32_t c = 0; c < 3; c++) v[c] = 255 * (base + chroma * cos(hue - c * 2.0943951023931953));
        p->rgb[i] = (ehm_rgb){(uint8_t)fmin(fmax(v[0], 0), 255), (uint8_t)fmin(fmax(v[1], 0), 255),
                              (uint8_t)fmin(fmax(v[2], 0), 255)};
    }
    for (int32_t i = 0; i < N_COLOURS; i++) p->at[i] = lab_of(p->rgb[i]);
}

typedef struct {
    const ehm_tree *tree;
    palette colours;
    ehm_frontier *cut; /* [n_k], finest first */
    uint8_t **colour;  /* [n_k][n_nodes of the cut] index into the palette */
    int32_t *of_node;  /* [2 n] a node's place in the cut looked at, -1 elsewhere */
    int32_t *touch;    /* [n] */
    int32_t grid_h, grid_w;
} painter;

static int32_t size_of(const ehm_tree *t, int32_t node) { return node < t->n ? 1 : t->size[node - t->n]; }

/* Of a coarser cut's node, the node of the finer cut that is its largest part's largest part. */
static int32_t heir_of(const painter *p, int32_t node) {
    const ehm_tree *t = p->tree;
    while (p->of_node[node] < 0 && node >= t->n) {
        int32_t l = t->left[node - t->n], r = t->right[node - t->n];
        node = size_of(t, r) > size_of(t, l) ? r : l;
    }
    return node;
}

/* Marks the cut's nodes that touch node i with stamp. */
static void mark_neighbours(painter *p, const ehm_frontier *f, int32_t i, int32_t stamp) {
    for (int32_t k = f->start[i]; k < f->start[i + 1]; k++) {
        int32_t leaf = f->member[k], row = leaf / p->grid_w, col = leaf % p->grid_w;
        if (row) p->touch[f->of_leaf[leaf - p->grid_w]] = stamp;
        if (row + 1 < p->grid_h) p->touch[f->of_leaf[leaf + p->grid_w]] = stamp;
        if (col) p->touch[f->of_leaf[leaf - 1]] = stamp;
        if (col + 1 < p->grid_w) p->touch[f->of_leaf[leaf + 1]] = stamp;
    }
}

enum { NO_COLOUR = 255 };

/* The colour whose nearest one in use is farthest; a neighbour's counts as nearer than it is. */
static uint8_t farthest(painter *p, const ehm_frontier *f, const uint8_t *colour, int32_t i) {
    enum { APART = 4 };
    int32_t best = 0, n = f->n_nodes <= N_FIRST ? N_FIRST : N_COLOURS;
    float best_score = -1, near[N_COLOURS], nearest_neighbour[N_COLOURS];
    bool used[N_COLOURS] = {false}, beside[N_COLOURS] = {false};
    mark_neighbours(p, f, i, i + 1);
    for (int32_t k = 0; k < f->n_nodes; k++) {
        if (colour[k] == NO_COLOUR) continue;
        used[colour[k]] = true;
        if (p->touch[k] == i + 1) beside[colour[k]] = true;
    }
    for (int32_t c = 0; c < n; c++) {
        near[c] = nearest_neighbour[c] = 9;
        for (int32_t k = 0; k < N_COLOURS; k++) {
            float d = distance2(p->colours.at[c], p->colours.at[k]);
            if (used[k] && d < near[c]) near[c] = d;
            if (beside[k] && d < nearest_neighbour[c]) nearest_neighbour[c] = d;
        }
        float far = near[c] * APART, score = nearest_neighbour[c] < far ? nearest_neighbour[c] : far;
        /* Once every colour is in use, what touches it decides. */
        score += 0.01f * nearest_neighbour[c];
        if (score > best_score) best_score = score, best = c;
    }
    return (uint8_t)best;
}

typedef struct {
    int32_t size, i;
} by_size;
static int larger_first(const void *a, const void *b) {
    const by_size *x = a, *y = b;
    return x->size != y->size ? (y->size > x->size) - (y->size < x->size) : x->i - y->i;
}

/* Colours of cut k; those of the coarser cut k + 1 are there. */
static ehm_code colour_cut(painter *p, int32_t k, bool coarsest, ehm_arena *a, ehm_err *err) {
    const ehm_frontier *f = &p->cut[k];
    uint8_t *colour = p->colour[k] = EHM_NEW_N(a, uint8_t, f->n_nodes);
    by_size *order = EHM_NEW_N(a, by_size, f->n_nodes);
    if (!colour || !order)
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory to draw a tree of %d leaves", p->tree->n);
    memset(colour, NO_COLOUR, (size_t)f->n_nodes);
    memset(p->touch, 0, sizeof *p->touch * (size_t)p->tree->n);
    for (int32_t i = 0; i < 2 * p->tree->n; i++) p->of_node[i] = -1;
    for (int32_t i = 0; i < f->n_nodes; i++) {
        p->of_node[f->node[i]] = i;
        order[i] = (by_size){ehm_frontier_size(f, i), i};
    }
    for (int32_t i = 0; !coarsest && i < p->cut[k + 1].n_nodes; i++) {
        int32_t at = p->of_node[heir_of(p, p->cut[k + 1].node[i])];
        if (at >= 0) colour[at] = p->colour[k + 1][i];
    }
    qsort(order, (size_t)f->n_nodes, sizeof *order, larger_first);
    for (int32_t i = 0; i < f->n_nodes; i++)
        if (colour[order[i].i] == NO_COLOUR) colour[order[i].i] = farthest(p, f, colour, order[i].i);
    return EHM_OK;
}

static ehm_code cut_all(painter *p, const ehm_tree *t, const double *k, int32_t n_k, ehm_arena *a,
                        ehm_err *err) {
    p->tree = t;
    p->cut = EHM_NEW_N(a, ehm_frontier, n_k);
    p->colour = EHM_NEW_N(a, uint8_t *, n_k);
    p->of_node = EHM_NEW_N(a, int32_t, 2 * t->n);
    p->touch = EHM_NEW_N(a, int32_t, t->n);
    if (!p->cut || !p->colour || !p->of_node || !p->touch)
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory to draw a tree of %d leaves", t->n);
    palette_fill(&p->colours);
    for (int32_t i = n_k - 1; i >= 0; i--) {
        EHM_TRY(ehm_frontier_new(&p->cut[i], t->n, a, err));
        ehm_cut_effective(&p->cut[i], t, k[i]);
        EHM_TRY(colour_cut(p, i, i == n_k - 1, a, err));
    }
    return EHM_OK;
}

/* ---- the sheet ---- */

static ehm_code check(const ehm_image *picture, const ehm_tree *t, int32_t grid_h, int32_t grid_w,
                      const double *k, int32_t n_k, ehm_err *err) {
    EHM_TRY(ehm_panel_check(picture, grid_h, grid_w, err));
    if (t->n != grid_h * grid_w)
        return EHM_FAIL(err, EHM_E_ARG, "a tree of %d leaves on a grid of %d x %d patches", t->n, grid_h,
                        grid_w);
    if (n_k < 1 || n_k > N_LEVELS_MAX)
        return EHM_FAIL(err, EHM_E_ARG, "a drawing of %d cuts (1 to %d)", n_k, N_LEVELS_MAX);
    for (int32_t i = 0; i < n_k; i++)
        if (!(k[i] >= 1) || (i && k[i] > k[i - 1]))
            return EHM_FAIL(err, EHM_E_ARG,
                            "cut %d at %g nodes: cuts fall from fine to coarse and none is below 1", i, k[i]);
    return EHM_OK;
}

/* Single patches are paler: there can be many, and the eye is for the nodes. */
#define OPACITY 0.64
#define OPACITY_SINGLE 0.36

static ehm_code draw_cut(ehm_image *c, int32_t x, int32_t y, const ehm_panel *panel, const painter *p,
                         int32_t i, int32_t n_k, ehm_arena *a, ehm_err *err) {
    const ehm_frontier *f = &p->cut[i];
    ehm_panel_pale(c, x, y, panel);
    for (int32_t leaf = 0; leaf < p->tree->n; leaf++) {
        int32_t node = f->of_leaf[leaf];
        ehm_panel_tint(c, x, y, panel, leaf, p->colours.rgb[p->colour[i][node]],
                       ehm_frontier_size(f, node) > 1 ? OPACITY : OPACITY_SINGLE);
    }
    ehm_panel_borders(c, x, y, panel, f->of_leaf, 1, EHM_RGB(0x101418), panel->cell < 6 ? 0.35 : 0.6);
    if (i + 1 < n_k) return ehm_panel_outline(c, x, y, panel, p->cut[i + 1].of_leaf, a, err);
    return EHM_OK;
}

ehm_code ehm_draw_tree(ehm_image *sheet, const ehm_image *picture, const ehm_tree *tree, int32_t grid_h,
                       int32_t grid_w, const double *k, int32_t n_k, const char *caption, ehm_arena *a,
                       ehm_err *err) {
    enum { M = EHM_PANEL_MARGIN, GAP = EHM_PANEL_GAP, ROW = EHM_TEXT_ROW };
    painter p = {.grid_h = grid_h, .grid_w = grid_w};
    EHM_TRY(check(picture, tree, grid_h, grid_w, k, n_k, err));
    EHM_TRY(cut_all(&p, tree, k, n_k, a, err));
    ehm_panel panel = ehm_panel_of(picture, grid_h, grid_w, EHM_PANEL_PX);
    int32_t column = panel.w > 150 ? panel.w : 150, top = M + (caption ? ROW + 6 : 0),
            off = (column - panel.w) / 2;
    EHM_TRY(ehm_panel_canvas(sheet, 2 * M + (int64_t)(n_k + 1) * (column + GAP) - GAP,
                             (int64_t)top + panel.h + 2 * ROW + 6 + M, "the drawing of a tree", a, err));
    if (caption) ehm_panel_bold(sheet, M, M - 2, sheet->w - 2 * M, EHM_ALIGN_LEFT, caption);
    for (int32_t i = -1; i < n_k; i++) {
        int32_t x = M + (i + 1) * (column + GAP), px = x + off, under = top + panel.h + 4;
        char first[96], second[96];
        EHM_TRY(ehm_panel_picture(sheet, px, top, &panel, picture, a, err));
        ehm_draw_frame(sheet, px - 1, top - 1, panel.w + 2, panel.h + 2, 1, EHM_LINE);
        if (i < 0) {
            snprintf(first, sizeof first, "picture");
            snprintf(second, sizeof second, "%d \xc3\x97 %d = %d patches", grid_h, grid_w, tree->n);
        } else {
            EHM_TRY(draw_cut(sheet, px, top, &panel, &p, i, n_k, a, err));
            snprintf(first, sizeof first, "K = %.4g", k[i]);
            snprintf(second, sizeof second, "%d node%s, effective %.1f", p.cut[i].n_nodes,
                     p.cut[i].n_nodes == 1 ? "" : "s", ehm_frontier_effective(&p.cut[i]));
        }
        ehm_panel_bold(sheet, x, under, column, EHM_ALIGN_CENTRE, first);
        ehm_draw_text_in(sheet, x, under + ROW, column, EHM_ALIGN_CENTRE, 1, EHM_FAINT, second);
    }
    return EHM_OK;
}
