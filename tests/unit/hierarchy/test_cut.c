/* Cuts, purity and the adjusted Rand index: against tests/golden/agree (SciPy, scikit-learn, counting by pairs), and what must always
 * hold, on trees of random shape. */
#include "base/rng.h"
#include "harness.h"
#include "hierarchy/cut.h"

static ehm_tree new_tree(int32_t n, ehm_arena *a) {
    ehm_tree t = {.n = n};
    t.left = EHM_NEW_N(a, int32_t, n);
    t.right = EHM_NEW_N(a, int32_t, n);
    t.size = EHM_NEW_N(a, int32_t, n);
    t.height = EHM_NEW_N(a, double, n);
    REQUIRE(t.left && t.right && t.size && t.height);
    return t;
}

static void fill_sizes(ehm_tree *t) {
    for (int32_t k = 0; k < t->n - 1; k++) {
        int32_t l = t->left[k], r = t->right[k];
        t->size[k] = (l < t->n ? 1 : t->size[l - t->n]) + (r < t->n ? 1 : t->size[r - t->n]);
        t->height[k] = k;
    }
}

/* shape 0: any two, 1: one leaf after the other, 2: the two oldest (balanced). */
static ehm_tree random_tree(int32_t n, int32_t shape, uint64_t seed, ehm_arena *a) {
    ehm_tree t = new_tree(n, a);
    int32_t *alive = EHM_NEW_N(a, int32_t, 2 * n), n_alive = n, first = 0;
    ehm_rng r = ehm_rng_of(seed, EHM_RNG_test, (uint32_t)n, (uint64_t)shape);
    for (int32_t i = 0; i < n; i++) alive[i] = i;
    ehm_rng_shuffle_i32(&r, alive, n);
    for (int32_t k = 0; k < n - 1; k++) {
        int32_t i = shape == 0 ? first + (int32_t)ehm_rng_below(&r, (uint32_t)(n_alive - first)) : first;
        int32_t x = alive[i];
        alive[i] = alive[first], first++;
        int32_t j = shape == 0 ? first + (int32_t)ehm_rng_below(&r, (uint32_t)(n_alive - first)) : first;
        int32_t y = alive[j];
        alive[j] = alive[first], first++;
        t.left[k] = x < y ? x : y, t.right[k] = x < y ? y : x;
        if (shape == 1) alive[--first] = n + k;
        else alive[n_alive++] = n + k;
    }
    fill_sizes(&t);
    return t;
}

/* ---- golden ---- */

static int32_t read_int(FILE *f) {
    int x = 0;
    REQUIRE(fscanf(f, "%d", &x) == 1);
    return x;
}

static void check_partition(const char *what, const ehm_frontier *f, const int32_t *want) {
    for (int32_t i = 0; i < f->n; i++)
        if (f->of_leaf[i] != want[i]) {
            ehm_test_fail(__FILE__, __LINE__, "%s of %d leaves: leaf %d is in node %d, expected %d", what, f->n, i,
                          f->of_leaf[i], want[i]);
            return;
        }
}

TEST(cut, golden) {
    FILE *in = fopen(ehm_test_path("tests/golden/agree/agree.txt"), "r");
    REQUIRE(in);
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_tree t = {0};
    ehm_frontier f;
    char word[32], what[100], number[64];
    int32_t x[400], y[400], n_cuts = 0, n_purities = 0, n_indices = 0;
    while (fscanf(in, "%31s %63s", word, number) == 2) {
        double v = strtod(number, NULL);
        snprintf(what, sizeof what, "%s %s", word, number);
        if (!strcmp(word, "tree")) {
            int32_t n = (int32_t)v;
            ehm_arena_reset(&a);
            t = new_tree(n, &a);
            for (int32_t k = 0; k < n - 1; k++) t.left[k] = read_int(in);
            for (int32_t k = 0; k < n - 1; k++) t.right[k] = read_int(in);
            fill_sizes(&t);
            REQUIRE_OK(ehm_frontier_new(&f, n, &a, &err), &err);
        } else if (!strcmp(word, "depth")) CHECK_INT(ehm_tree_depth(&t, f.work), (int32_t)v);
        else if (!strcmp(word, "rand")) {
            int32_t n = (int32_t)v;
            REQUIRE(n <= 400);
            double want;
            REQUIRE(fscanf(in, "%lf", &want) == 1);
            for (int32_t i = 0; i < n; i++) x[i] = read_int(in);
            for (int32_t i = 0; i < n; i++) y[i] = read_int(in);
            CHECK_NEAR(ehm_adjusted_rand(x, y, n, &a), want, 1e-12);
            CHECK_NEAR(ehm_adjusted_rand(y, x, n, &a), want, 1e-12);
            n_indices++;
        } else {
            REQUIRE(t.n && t.n <= 400);
            for (int32_t i = 0; i < t.n; i++) x[i] = read_int(in);
            if (!strcmp(word, "purity")) {
                double got = ehm_tree_purity(&t, x, &a);
                if (isnan(v)) CHECK(isnan(got));
                else CHECK_NEAR(got, v, 1e-12);
                n_purities++;
                continue;
            }
            if (!strcmp(word, "count")) ehm_cut_count(&f, &t, (int32_t)v);
            else if (!strcmp(word, "level")) ehm_cut_depth(&f, &t, (int32_t)v);
            else if (!strcmp(word, "effective")) ehm_cut_effective(&f, &t, v);
            else REQUIRE(!"a known line");
            check_partition(what, &f, x);
            n_cuts++;
        }
    }
    CHECK_INT(n_cuts, 177);
    CHECK_INT(n_purities, 70);
    CHECK_INT(n_indices, 18);
    fclose(in);
    ehm_arena_free(&a);
}

/* ---- what always holds ---- */

/* Every leaf once, nodes by their lowest leaf, members ascending and those of the node, indices that agree. */
static void check_frontier(const ehm_frontier *f, const ehm_tree *t, int32_t *leaf, int32_t *stack) {
    int32_t lowest = -1;
    REQUIRE(f->n_nodes >= 1 && f->n_nodes <= f->n);
    CHECK_INT(f->start[0], 0);
    REQUIRE(f->start[f->n_nodes] == f->n);
    int32_t largest = 0;
    for (int32_t i = 0; i < f->n_nodes; i++) {
        int32_t size = ehm_frontier_size(f, i), node = f->node[i];
        REQUIRE(size >= 1 && node >= 0 && node < 2 * t->n - 1);
        CHECK_INT(size, node < t->n ? 1 : t->size[node - t->n]);
        CHECK_INT(ehm_tree_members(leaf, t, node, stack), size);
        for (int32_t k = 0; k < size; k++) {
            int32_t m = f->member[f->start[i] + k];
            CHECK(!k || m > f->member[f->start[i] + k - 1]);
            CHECK_INT(f->of_leaf[m], i);
            CHECK_INT(f->of_leaf[leaf[k]], i);
        }
        CHECK(f->member[f->start[i]] > lowest);
        lowest = f->member[f->start[i]];
        if (size > largest) largest = size;
    }
    CHECK_INT(ehm_frontier_largest(f), largest);
}

/* Every node of fine lies within one of coarse. */
static bool refines(const ehm_frontier *fine, const ehm_frontier *coarse) {
    for (int32_t i = 0; i < fine->n_nodes; i++)
        for (int32_t k = fine->start[i]; k < fine->start[i + 1]; k++)
            if (coarse->of_leaf[fine->member[k]] != coarse->of_leaf[fine->member[fine->start[i]]]) return false;
    return true;
}

TEST(cut, every_kind_on_every_shape) {
    static const int32_t sizes[] = {1, 2, 3, 5, 16, 49, 100};
    ehm_arena a = {0};
    ehm_err err = {0};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int32_t shape = 0; shape < 3; shape++) {
            int32_t n = sizes[s];
            ehm_arena_reset(&a);
            ehm_tree t = random_tree(n, shape, ehm_test_seed(), &a);
            int32_t *leaf = EHM_NEW_N(&a, int32_t, n), *stack = EHM_NEW_N(&a, int32_t, n);
            ehm_frontier f, before;
            REQUIRE_OK(ehm_frontier_new(&f, n, &a, &err), &err);
            REQUIRE_OK(ehm_frontier_new(&before, n, &a, &err), &err);
            for (int32_t k = 1; k <= n; k++) {
                ehm_cut_count(&f, &t, k);
                CHECK_INT(f.n_nodes, k);
                check_frontier(&f, &t, leaf, stack);
                ehm_cut_count(&before, &t, k - 1);
                CHECK(refines(&f, &before));

                ehm_cut_effective(&f, &t, k);
                check_frontier(&f, &t, leaf, stack);
                CHECK(ehm_frontier_effective(&f) >= k);
                ehm_cut_effective(&before, &t, k - 1);
                CHECK(refines(&f, &before));
                if (f.n_nodes > 1) { /* one merge undone less is too coarse */
                    ehm_cut_count(&before, &t, f.n_nodes - 1);
                    CHECK(ehm_frontier_effective(&before) < k);
                }
            }
            CHECK_INT(f.n_nodes, n);
            int32_t depth = ehm_tree_depth(&t, f.work);
            for (int32_t d = 0; d <= depth; d++) {
                ehm_cut_depth(&f, &t, d);
                check_frontier(&f, &t, leaf, stack);
                if (d) CHECK(refines(&f, &before) && f.n_nodes > before.n_nodes);
                ehm_cut_depth(&before, &t, d);
            }
            CHECK_INT(f.n_nodes, n);
            if (shape == 1 && n > 1) CHECK_INT(depth, n - 1);
            if (shape == 2 && n == 16) CHECK_INT(depth, 4);
        }
    ehm_arena_free(&a);
}

TEST(cut, out_of_range_is_clamped) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_tree t = random_tree(9, 0, 1, &a);
    ehm_frontier f;
    REQUIRE_OK(ehm_frontier_new(&f, 9, &a, &err), &err);
    ehm_cut_count(&f, &t, -3);
    CHECK_INT(f.n_nodes, 1);
    CHECK_INT(f.node[0], 16);
    ehm_cut_count(&f, &t, 1000);
    CHECK_INT(f.n_nodes, 9);
    ehm_cut_effective(&f, &t, -1);
    CHECK_INT(f.n_nodes, 1);
    CHECK_NEAR(ehm_frontier_effective(&f), 1, 0);
    ehm_cut_effective(&f, &t, 1e300);
    CHECK_INT(f.n_nodes, 9);
    CHECK_NEAR(ehm_frontier_effective(&f), 9, 0);
    ehm_cut_depth(&f, &t, -1);
    CHECK_INT(f.n_nodes, 1);
    ehm_cut_depth(&f, &t, INT32_MAX);
    CHECK_INT(f.n_nodes, 9);
    CHECK_FAILS(ehm_frontier_new(&f, 0, &a, &err), &err, EHM_E_ARG, "1 to 4096");
    CHECK_FAILS(ehm_frontier_new(&f, EHM_TREE_LEAVES_MAX + 1, &a, &err), &err, EHM_E_ARG, "4097 leaves");
    ehm_arena small = {.limit_bytes = 100};
    CHECK_FAILS(ehm_frontier_new(&f, 9, &small, &err), &err, EHM_E_MEMORY, "9 leaves");
    ehm_arena_free(&small);
    ehm_arena_free(&a);
}

TEST(cut, members_in_the_trees_order) {
    ehm_arena a = {0};
    ehm_tree t = new_tree(5, &a);
    int32_t leaf[5], stack[5];
    memcpy(t.left, (int32_t[]){1, 0, 2, 6}, 16);
    memcpy(t.right, (int32_t[]){4, 5, 3, 7}, 16); /* ((0 (1 4)) (2 3)) */
    fill_sizes(&t);
    REQUIRE(ehm_tree_members(leaf, &t, 8, stack) == 5);
    CHECK(!memcmp(leaf, (int32_t[]){0, 1, 4, 2, 3}, sizeof leaf));
    CHECK_INT(ehm_tree_members(leaf, &t, 3, stack), 1);
    CHECK_INT(leaf[0], 3);
    for (int32_t shape = 0; shape < 3; shape++) { /* within n places, seen by the sanitizer */
        ehm_tree big = random_tree(500, shape, 3, &a);
        int32_t *all = malloc(500 * sizeof *all), *places = malloc(500 * sizeof *places);
        REQUIRE(all && places);
        CHECK_INT(ehm_tree_members(all, &big, 998, places), 500);
        free(all), free(places);
    }
    ehm_arena_free(&a);
}

/* Purity does not know leaves or labels by their names, and a leaf without label might as well not be there. */
TEST(cut, purity_of_the_largest_tree) {
    ehm_arena a = {0};
    int32_t n = EHM_TREE_LEAVES_MAX;
    for (int32_t shape = 0; shape < 3; shape++) {
        ehm_arena_reset(&a);
        ehm_tree t = random_tree(n, shape, 5, &a);
        int32_t *label = EHM_NEW_N(&a, int32_t, n), *other = EHM_NEW_N(&a, int32_t, n);
        ehm_frontier f;
        REQUIRE(!ehm_frontier_new(&f, n, &a, NULL));
        ehm_cut_count(&f, &t, 30);
        CHECK_NEAR(ehm_tree_purity(&t, f.of_leaf, &a), 1, 1e-12);
        for (int32_t i = 0; i < n; i++) label[i] = i % 7 ? f.of_leaf[i] % 5 : -1, other[i] = label[i] < 0 ? -9 : 4000 - label[i];
        double x = ehm_tree_purity(&t, label, &a);
        CHECK(x > 0.2 && x < 1);
        CHECK_NEAR(ehm_tree_purity(&t, other, &a), x, 1e-12);
        for (int32_t i = 0; i < n; i++) label[i] = i;
        CHECK(isnan(ehm_tree_purity(&t, label, &a)));
    }
    ehm_arena small = {.limit_bytes = 64};
    ehm_tree t = random_tree(64, 0, 5, &a);
    int32_t same[64] = {0};
    CHECK(isnan(ehm_tree_purity(&t, same, &small)));
    ehm_arena_free(&small);
    ehm_arena_free(&a);
}

TEST(cut, rand_of_nothing) {
    ehm_arena a = {0}, small = {.limit_bytes = 1};
    int32_t x[2] = {0, 1};
    CHECK(isnan(ehm_adjusted_rand(x, x, 0, &a)));
    CHECK(isnan(ehm_adjusted_rand(x, x, 2, &small)));
    CHECK_NEAR(ehm_adjusted_rand(x, x, 1, &a), 1, 0);
    ehm_arena_free(&small);
    ehm_arena_free(&a);
}
