/* Trees of the CUDA back end, run on the host by tests/cuda_emu, against hierarchy/: the same bits for all kinds of matrices, whichever way the threads
 * run; and what is refused. */
#include "trees_desk.h"

/* ---- trees ---- */

static void same_tree(const desk *k, int32_t kind, const ehm_tree *want, int32_t state, const int32_t *left, const int32_t *right,
                      const int32_t *size, const float *height) {
    int32_t n = k->n;
    for (int32_t m = 0; m < n - 1; m++) {
        bool bad = state == EHM_TREES_BAD;
        int32_t l = bad ? m ? m + 1 : 0 : want->left[m], r = bad ? m ? n + m - 1 : 1 : want->right[m], all = bad ? m + 2 : want->size[m];
        double h = bad ? 0 : want->height[m];
        if (left[m] == l && right[m] == r && size[m] == all && (double)height[m] == h && !signbit(height[m])) continue;
        ehm_test_fail(__FILE__, __LINE__, "%d leaves, kind %d: merge %d is %d, %d, %d at %.9g, expected %d, %d, %d at %.17g", n, kind, m, left[m],
                      right[m], size[m], (double)height[m], l, r, all, h);
        return;
    }
}
static void trees_of(int32_t n, int32_t pictures, uint64_t seed) {
    desk k;
    float *s = desk_open(&k, "cuda", n, pictures, seed);
    REQUIRE(ehm_dev_has_trees(k.d, n));
    ehm_trees(k.d, &k.t);
    int32_t *left = fetch(&k, k.t.left), *right = fetch(&k, k.t.right), *size = fetch(&k, k.t.size), *state = fetch(&k, k.t.state);
    float *height = fetch(&k, k.t.height), *offset = fetch(&k, k.t.offset);
    for (int32_t j = 0; j < pictures; j++) {
        ehm_tree t;
        int32_t want = host_tree(&t, s + (int64_t)j * n * n, n, &k.a);
        if (j >= KINDS_GOOD && (j != TOO_FAR || n > 2)) CHECK_INT(want, EHM_TREES_BAD);
        if (j == FLAT || j == ALMOST_FLAT) CHECK_INT(want, EHM_TREES_FLAT);
        if (state[j] != want) ehm_test_fail(__FILE__, __LINE__, "%d leaves, kind %d: state %d, expected %d", n, j, state[j], want);
        if ((double)offset[j] != (want == EHM_TREES_BAD ? 0 : t.offset) || (offset[j] == 0 && signbit(offset[j])))
            ehm_test_fail(__FILE__, __LINE__, "%d leaves, kind %d: offset %.9g, expected %.17g", n, j, (double)offset[j], t.offset);
        same_tree(&k, j, &t, want, left + j * (n - 1), right + j * (n - 1), size + j * (n - 1), height + j * (n - 1));
    }
    desk_close(&k);
}
TEST(cuda_trees, as_hierarchy) {
    static const int32_t leaves[] = {2, 3, 4, 5, 16, 17, 31, 49, 64};
    emulate("up");
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++)
        for (uint64_t seed = 1; seed <= 2; seed++) trees_of(leaves[i], KINDS, seed + ehm_test_seed());
}
TEST(cuda_trees, as_hierarchy_large) { /* 400: more than a block's own memory holds */
    static const int32_t leaves[] = {196, 197, 256, 400};
    emulate("up");
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) trees_of(leaves[i], KINDS, ehm_test_seed());
    trees_of(1024, 1, ehm_test_seed());
}

/* ---- threads in either order ---- */

static void both_ways(int32_t n, int32_t pictures) {
    int32_t nodes[] = {10, 3, n / 2, n, 1};
    const void *out[2][9];
    desk k;
    emulate("up");
    desk_open(&k, "cuda", n, pictures, 2);
    choice c = {.views = 2, .seed = 4, .s = *ehm_mask_settings_or(NULL)};
    c.s.mix_random = 0.3;
    choice_make(&c, &k, n * 3 / 4, nodes, 5);
    const ehm_view views[9] = {k.t.left, k.t.right, k.t.size, k.t.height, k.t.offset, k.t.state, c.m.visible, c.m.masked, c.m.n_cut};
    for (int along = 0; along < 2; along++) {
        c.m.along_tree = along;
        for (int way = 0; way < 2; way++) {
            emulate(way ? "down" : "up");
            if (!along) ehm_trees(k.d, &k.t);
            ehm_tree_masks(k.d, &c.m);
            for (int i = 0; i < 9; i++) out[way][i] = fetch(&k, views[i]);
        }
        for (int i = 0; i < 9; i++)
            if (memcmp(out[0][i], out[1][i], ehm_view_bytes(views[i])))
                ehm_test_fail(__FILE__, __LINE__, "%d leaves, along the tree %d: result %d depends on the order of threads", n, along, i);
    }
    desk_close(&k);
}
TEST(cuda_trees, order_of_threads) {
    both_ways(5, KINDS);
    both_ways(49, KINDS);
    both_ways(130, KINDS);
    both_ways(340, 3); /* the distances in device memory */
}

/* ---- refusals ---- */

static void refused(desk *k, ehm_code code, const char *part) {
    ehm_err err = {0};
    CHECK_FAILS(ehm_dev_check(k->d, &err), &err, code, part);
    ehm_dev_reset_error(k->d);
}
TEST(cuda_trees, refuses) {
    enum { N = 9 };
    static const int32_t nodes[] = {3};
    desk k;
    emulate("up");
    desk_open(&k, "cuda", N, 4, 1);
    choice c = {.views = 2, .s = *ehm_mask_settings_or(NULL)};
    choice_make(&c, &k, 6, nodes, 1);
    CHECK(!ehm_dev_has_trees(k.d, 1));
    CHECK(ehm_dev_has_trees(k.d, 2) && ehm_dev_has_trees(k.d, 1024));
    CHECK(!ehm_dev_has_trees(k.d, 1 << 20));
#define REFUSES(type, name, from, call, change, code, part) \
    do {                                                    \
        type name = from;                                   \
        change;                                             \
        call(k.d, &name);                                   \
        refused(&k, code, part);                            \
    } while (0)
#define TREES(change, code, part) REFUSES(ehm_trees_args, t, k.t, ehm_trees, change, code, part)
#define MASKS(change, code, part) REFUSES(ehm_tree_masks_args, m, c.m, ehm_tree_masks, change, code, part)
    TREES(t.left = ehm_view_none(), EHM_E_ARG, "trees: left is absent");
    TREES(t.height.dtype = EHM_I32, EHM_E_ARG, "trees: height is i32, expected f32");
    TREES(t.s.dim[2]--, EHM_E_ARG, "columns of s is 8 but rows of s is 9");
    TREES(t.right.dim[1]--, EHM_E_ARG, "merges of right is 7 but L - 1 is 8");
    TREES(t.size.dim[0]--, EHM_E_ARG, "B of size is 3 but the number of pictures is 4");
    TREES(t.state.dim[0]--, EHM_E_ARG, "count of state is 3 but B of s is 4");
    TREES(t.right = t.left, EHM_E_ARG, "left overlaps right");
    TREES(t.s.dim[0]++, EHM_E_ARG, "reaches beyond its buffer");
    MASKS(m.keys.dtype = EHM_F32, EHM_E_ARG, "tree_masks: keys is f32, expected i32");
    MASKS((m.keys.dim[0] *= 2, m.keys.dim[1] /= 2), EHM_E_ARG, "rows of keys is 16 but the number of samples is 8");
    MASKS(m.k.dim[0]--, EHM_E_ARG, "7 samples of 4 pictures");
    MASKS(m.n_masked--, EHM_E_ARG, "columns of masked is 6 but n_masked is 5");
    MASKS(m.visible.dim[1]--, EHM_E_ARG, "columns of visible is 2 but L - n_masked is 3");
    MASKS(m.by_nodes = 7, EHM_E_ARG, "by_nodes is 7, allowed are 0 to n_masked, 6");
    MASKS(m.n_cut.dim[0]--, EHM_E_ARG, "count of n_cut is 7 but the number of samples is 8");
    MASKS(m.masked = m.k, EHM_E_ARG, "masked has rank 1, expected 2");
    c.m.n_cut = ehm_view_none(); /* which may be absent */
    ehm_trees(k.d, &k.t);
    ehm_tree_masks(k.d, &c.m);
    desk_close(&k);
    desk_open(&k, "ref", N, 1, 1);
    CHECK(!ehm_dev_has_trees(k.d, N));
    ehm_trees(k.d, &k.t);
    refused(&k, EHM_E_UNSUPPORTED, "trees: device \"ref\" has no trees of 9 leaves");
    desk_close(&k);
}
