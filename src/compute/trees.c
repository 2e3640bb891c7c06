/* Checks and calls of trees.h. Nothing scans what comes out: it is indices, and heights of finite distances. */
#include "compute/trees.h"
#include <stdlib.h>
#include <string.h>
#include "compute/check_int.h"

bool ehm_dev_has_trees(const ehm_dev *d, int64_t n_leaves) {
    const char *how = getenv("EHM_DEVICE_TREES");
    return !(how && !strcmp(how, "off")) && d->be->trees && d->be->tree_masks && n_leaves >= 2 && n_leaves <= d->be->most_leaves;
}

static bool has_trees(check *c, int64_t n_leaves) {
    char what[96];
    if (ehm_dev_has_trees(c->d, n_leaves)) return true;
    snprintf(what, sizeof what, "device \"%s\" has no trees of %lld leaves", c->d->be->name, (long long)n_leaves);
    return refuse_as(c, EHM_E_UNSUPPORTED, what);
}

/* v [B,L-1] */
static bool merges_ok(check *c, const char *name, ehm_view v, int64_t b, int64_t l) {
    char what[48];
    snprintf(what, sizeof what, "B of %s", name);
    if (!same(c, what, v.dim[0], "the number of pictures", b)) return false;
    snprintf(what, sizeof what, "merges of %s", name);
    return same(c, what, v.dim[1], "L - 1", l - 1);
}

static bool check_trees(check *c, ehm_trees_args *a) {
    arg(c, "left", &a->left, 2, I32, WRITTEN);
    arg(c, "right", &a->right, 2, I32, WRITTEN);
    arg(c, "size", &a->size, 2, I32, WRITTEN);
    arg(c, "height", &a->height, 2, F32, WRITTEN);
    arg(c, "offset", &a->offset, FLAT, F32, WRITTEN);
    arg(c, "state", &a->state, FLAT, I32, WRITTEN);
    arg(c, "s", &a->s, 3, F32, 0);
    if (!judge(c)) return false;
    int64_t b = a->s.dim[0], l = a->s.dim[1];
    return has_trees(c, l) && same(c, "columns of s", a->s.dim[2], "rows of s", l) && merges_ok(c, "left", a->left, b, l) &&
           merges_ok(c, "right", a->right, b, l) && merges_ok(c, "size", a->size, b, l) && merges_ok(c, "height", a->height, b, l) &&
           same(c, "count of offset", a->offset.dim[0], "B of s", b) && same(c, "count of state", a->state.dim[0], "B of s", b);
}

/* v of as many rows as there are samples */
static bool samples_ok(check *c, const char *what, ehm_view v, int64_t samples) {
    return same(c, what, v.dim[0], "the number of samples", samples);
}

static bool check_tree_masks(check *c, ehm_tree_masks_args *a) {
    arg(c, "visible", &a->visible, 2, I32, WRITTEN);
    arg(c, "masked", &a->masked, 2, I32, WRITTEN);
    arg(c, "n_cut", &a->n_cut, FLAT, I32, WRITTEN | OPTIONAL);
    arg(c, "left", &a->left, 2, I32, 0);
    arg(c, "right", &a->right, 2, I32, 0);
    arg(c, "size", &a->size, 2, I32, 0);
    arg(c, "state", &a->state, FLAT, I32, 0);
    arg(c, "k", &a->k, FLAT, I32, 0);
    arg(c, "keys", &a->keys, 2, I32, 0);
    if (!judge(c)) return false;
    int64_t b = a->left.dim[0], l = a->left.dim[1] + 1, samples = a->k.dim[0];
    if (!has_trees(c, l) || !merges_ok(c, "right", a->right, b, l) || !merges_ok(c, "size", a->size, b, l)) return false;
    if (!same(c, "count of state", a->state.dim[0], "B of left", b)) return false;
    if (samples % b) return refuse(c, "%lld samples of %lld pictures: not the same number of masks for each", (long long)samples, (long long)b);
    if (!same(c, "columns of masked", a->masked.dim[1], "n_masked", a->n_masked) ||
        !same(c, "columns of visible", a->visible.dim[1], "L - n_masked", l - a->n_masked))
        return false;
    if (a->by_nodes < 0 || a->by_nodes > a->n_masked)
        return refuse(c, "by_nodes is %d, allowed are 0 to n_masked, %d", (int)a->by_nodes, (int)a->n_masked);
    if (a->n_cut.rank && !samples_ok(c, "count of n_cut", a->n_cut, samples)) return false;
    return samples_ok(c, "rows of visible", a->visible, samples) && samples_ok(c, "rows of masked", a->masked, samples) &&
           samples_ok(c, "rows of keys", a->keys, samples) && same(c, "columns of keys", a->keys.dim[1], "the words of two keys", EHM_TREE_KEYS);
}

static bool check_mask_routes(check *c, ehm_mask_routes_args *a) {
    arg(c, "embed_idx", &a->embed_idx, 2, I32, WRITTEN);
    arg(c, "src", &a->src, 2, I32, WRITTEN);
    arg(c, "pos_idx", &a->pos_idx, 2, I32, WRITTEN);
    arg(c, "target_idx", &a->target_idx, 2, I32, WRITTEN);
    arg(c, "back", &a->back, 2, I32, WRITTEN);
    arg(c, "pred", &a->pred, 2, I32, WRITTEN);
    arg(c, "visible", &a->visible, 2, I32, 0);
    arg(c, "masked", &a->masked, 2, I32, 0);
    if (!judge(c)) return false;
    int64_t samples = a->visible.dim[0], v = a->visible.dim[1], m = a->masked.dim[1];
    const struct { const char *rows, *columns; ehm_view is; int64_t columns_wanted; } need[] = {
        {"rows of masked", "columns of masked", a->masked, m}, {"rows of embed_idx", "columns of embed_idx", a->embed_idx, v},
        {"rows of src", "columns of src", a->src, 1 + v}, {"rows of pos_idx", "columns of pos_idx", a->pos_idx, 1 + v},
        {"rows of target_idx", "columns of target_idx", a->target_idx, m}, {"rows of back", "columns of back", a->back, 1 + v + m},
        {"rows of pred", "columns of pred", a->pred, m}};
    for (size_t i = 0; i < sizeof need / sizeof *need; i++)
        if (!samples_ok(c, need[i].rows, need[i].is, samples) || !same(c, need[i].columns, need[i].is.dim[1], "what the lists ask for", need[i].columns_wanted))
            return false;
    return c->d->be->mask_routes || refuse_as(c, EHM_E_UNSUPPORTED, "this device makes no masks");
}

void ehm_trees(ehm_dev *d, const ehm_trees_args *args) {
    if (d->err.code) return;
    ehm_trees_args a = *args;
    check c = {.d = d, .op = "trees"};
    if (check_trees(&c, &a)) d->be->trees(d->self, &a);
}

void ehm_tree_masks(ehm_dev *d, const ehm_tree_masks_args *args) {
    if (d->err.code) return;
    ehm_tree_masks_args a = *args;
    check c = {.d = d, .op = "tree_masks"};
    if (check_tree_masks(&c, &a)) d->be->tree_masks(d->self, &a);
}

void ehm_mask_routes(ehm_dev *d, const ehm_mask_routes_args *args) {
    if (d->err.code) return;
    ehm_mask_routes_args a = *args;
    check c = {.d = d, .op = "mask_routes"};
    if (check_mask_routes(&c, &a)) d->be->mask_routes(d->self, &a);
}
