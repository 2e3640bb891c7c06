/* Which leaves go: exact counts, exact marginals, few cut nodes. */
#include "base/clock.h"
#include "mask_data.h"

typedef struct {
    ehm_arena keep, scratch;
    ehm_tree tree;
    ehm_frontier f;
    ehm_mask_settings s;
    ehm_mask_in in;
    uint8_t removed[4096];
    int32_t n_cut;
} bench;

static void bench_init(bench *b) {
    *b = (bench){0};
    b->s = *ehm_mask_settings_or(NULL);
    b->in = (ehm_mask_in){.n_views = 1, .seed = ehm_test_seed(), .settings = &b->s};
}
static void bench_cut(bench *b, int32_t k) {
    ehm_err err = {0};
    if (b->f.n != b->tree.n) REQUIRE_OK(ehm_frontier_new(&b->f, b->tree.n, &b->keep, &err), &err);
    ehm_cut_count(&b->f, &b->tree, k);
    REQUIRE(b->f.n_nodes == k);
}
static void bench_select(bench *b, int32_t m, uint64_t sample) {
    ehm_err err = {0};
    ehm_arena_reset(&b->scratch);
    b->in.sample = sample;
    REQUIRE_OK(ehm_mask_select(b->removed, &b->n_cut, &b->f, &b->tree, m, &b->in, &b->scratch, &err), &err);
}
static void bench_free(bench *b) { ehm_arena_free(&b->keep), ehm_arena_free(&b->scratch); }

/* ---- pivot, all branches ---- */

/* The number just below which a decision is "up": probability share/total in 64 bits. */
static uint64_t limit_of(int64_t share, int64_t total) {
    return (uint64_t)((((unsigned __int128)share << 64) + (unsigned __int128)total - 1) /
                      (unsigned __int128)total);
}

/* Walks every branch of pivotal sampling as its definition says, with the product of the odds as exact
 * weight, and asks the code for each with numbers at both edges of each decision. */
static void walk_branches(double *expect, const int32_t *start, const int32_t *order, int32_t m_total) {
    enum { K = 3 };
    int64_t n = start[K];
    for (int path = 0; path < 4; path++) {
        int64_t m[K], c[K];
        uint64_t low[K] = {0}, high[K] = {0};
        double weight = 1;
        int32_t open = order[0], take[K];
        for (int k = 0; k < K; k++)
            m[k] = (start[k + 1] - start[k]) * (int64_t)m_total, c[k] = (start[k + 1] - start[k]) * n;
        for (int i = 1; i < K; i++) {
            int32_t j = order[i];
            if (m[open] == 0 ||
                m[open] == c[open]) { /* nothing to decide: the bit of this path must not count twice */
                if (path >> (i - 1) & 1) weight = 0;
                open = j;
                continue;
            }
            int64_t up = c[open] - m[open] < m[j] ? c[open] - m[open] : m[j],
                    down = m[open] < c[j] - m[j] ? m[open] : c[j] - m[j];
            uint64_t limit = limit_of(down, up + down);
            if (path >> (i - 1) & 1) {
                weight *= (double)down / (double)(up + down), m[open] += up, m[j] -= up;
                low[j] = 0, high[j] = limit - 1;
            } else {
                weight *= (double)up / (double)(up + down), m[open] -= down, m[j] += down;
                low[j] = limit, high[j] = UINT64_MAX;
            }
            if (m[open] == 0 || m[open] == c[open]) open = j;
        }
        if (weight == 0) continue;
        for (int edge = 0; edge < 2; edge++) {
            int32_t sum = 0, n_cut = 0;
            ehm_mask_pivot(take, start, order, K, m_total, edge ? high : low);
            for (int k = 0; k < K; k++) {
                CHECK_INT(take[k], m[k] / n);
                sum += take[k], n_cut += take[k] > 0 && take[k] < start[k + 1] - start[k];
                expect[k] += weight * take[k] / 2;
            }
            CHECK_INT(sum, m_total);
            CHECK(n_cut <= 1);
        }
    }
}

TEST(select, pivot_all_branches_exact) {
    const int32_t start[] = {0, 3, 5, 6};
    const int32_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int32_t m = 0; m <= 6; m++)
        for (int o = 0; o < 6; o++) {
            double expect[3] = {0};
            walk_branches(expect, start, orders[o], m);
            for (int k = 0; k < 3; k++) CHECK_NEAR(expect[k], (start[k + 1] - start[k]) * m / 6.0, 1e-14);
        }
}

/* ---- marginals ---- */

static double worst_of(bench *b, int32_t k, int32_t m, int32_t n_draws, bool pairs) {
    counts c;
    ehm_arena a = {0};
    counts_new(&c, b->tree.n, m, &a);
    bench_cut(b, k);
    for (int32_t i = 0; i < n_draws; i++) bench_select(b, m, (uint64_t)i), counts_add(&c, b->removed, pairs);
    double worst = pairs ? counts_worst_pair(&c) : counts_worst(&c);
    ehm_arena_free(&a);
    return worst;
}

/* Balanced, chained, and very unequal trees; every way of choosing that promises the marginal. */
TEST(select, marginals_whatever_the_sizes) {
    static const int32_t runs[] = {40, 9, 6, 4, 2, 1, 1, 1};
    double worst = 0;
    for (int shape = 0; shape < 3; shape++)
        for (int way = 0; way < 6; way++) {
            bench b;
            bench_init(&b);
            if (shape == 0) tree_balanced(&b.tree, 64, &b.keep);
            else if (shape == 1) tree_chained(&b.tree, 64, &b.keep);
            else tree_of_runs(&b.tree, runs, 8, &b.keep);
            b.s.select = way % 2 ? EHM_SELECT_CIRCLE : EHM_SELECT_PIVOT;
            b.s.boundary = way / 2 == 1 ? EHM_BOUNDARY_TREE : EHM_BOUNDARY_RANDOM;
            b.s.mix_random = way / 2 == 2 ? 0.5 : 0;
            double z = worst_of(&b, 8, 48, 20000, false);
            if (z >= 6) printf("    shape %d, way %d: largest |z| %.2f\n", shape, way, z);
            CHECK(z < 6);
            worst = fmax(worst, z);
            bench_free(&b);
        }
    printf("    largest |z| %.2f\n", worst);
    CHECK(worst > 1.5); /* too even is no randomness either */
}

/* A prefix of whole nodes in random order does not keep it: sizes 5 and 1, 5 removed, the small one goes in
 * half of all draws instead of five sixths. It is there for comparison, and these tests do see such a thing.
 */
TEST(select, prefix_is_biased_and_the_tests_see_it) {
    static const int32_t runs[] = {5, 1};
    bench b;
    bench_init(&b);
    tree_of_runs(&b.tree, runs, 2, &b.keep);
    b.s.select = EHM_SELECT_PREFIX;
    CHECK(worst_of(&b, 2, 5, 4000, false) > 20);
    int32_t n_small = 0;
    for (uint64_t i = 0; i < 4000; i++) bench_select(&b, 5, i), n_small += b.removed[5];
    CHECK_NEAR(n_small / 4000.0, 0.5, 0.05);
    bench_free(&b);
}

/* For a fixed order, over all starts, each place on the circle lies in as many arcs as the arc is long. */
TEST(select, circle_over_all_starts) {
    uint8_t inside[49];
    for (int32_t n = 1; n <= 49; n += 8)
        for (int32_t m = 0; m <= n; m++) {
            int32_t count[49] = {0};
            for (int32_t first = 0; first < n; first++) {
                int32_t sum = 0, n_edges = 0;
                ehm_mask_arc(inside, n, first, m);
                for (int32_t i = 0; i < n; i++)
                    count[i] += inside[i], sum += inside[i], n_edges += inside[i] != inside[(i + 1) % n];
                CHECK_INT(sum, m);
                CHECK_INT(n_edges, m > 0 && m < n ? 2 : 0);
                CHECK(m == 0 || inside[first]);
            }
            for (int32_t i = 0; i < n; i++) CHECK_INT(count[i], m);
        }
}

/* ---- K = N ---- */

TEST(select, leaves_are_uniform_subsets) {
    for (int way = 0; way < 3; way++) {
        bench b;
        subsets s = {0};
        bench_init(&b);
        tree_chained(&b.tree, 6, &b.keep);
        b.s.select = (ehm_select_kind)way;
        bench_cut(&b, 6);
        for (uint64_t i = 0; i < 30000; i++) bench_select(&b, 4, i), subsets_add(&s, b.removed);
        CHECK_NEAR(subsets_chi(&s), 14, 43);
        bench_free(&b);
    }
}

TEST(select, pairs_of_leaves) {
    bench b;
    bench_init(&b);
    tree_chained(&b.tree, 196, &b.keep);
    double z = worst_of(&b, 196, 147, 20000, true);
    printf("    largest |z| of 19,110 pairs %.2f\n", z);
    CHECK(z < 7);
    CHECK(z > 2.5);
    bench_free(&b);
}

/* ---- cut nodes ---- */

static int32_t cut_nodes(const bench *b) {
    int32_t n_cut = 0;
    for (int32_t k = 0; k < b->f.n_nodes; k++) {
        int32_t sum = 0, size = ehm_frontier_size(&b->f, k);
        for (int32_t i = b->f.start[k]; i < b->f.start[k + 1]; i++) sum += b->removed[b->f.member[i]];
        n_cut += sum > 0 && sum < size;
    }
    return n_cut;
}

/* A node larger than M, one larger than N - M, one node, all leaves. */
TEST(select, few_cut_nodes) {
    static const int32_t runs[] = {40, 9, 6, 4, 2, 1, 1, 1};
    const int32_t m[] = {0, 1, 10, 39, 40, 48, 60, 63, 64};
    const int32_t at[] = {1, 2, 8, 64};
    int32_t most[3] = {0};
    for (int way = 0; way < 3; way++)
        for (int boundary = 0; boundary < 2; boundary++) {
            bench b;
            bench_init(&b);
            tree_of_runs(&b.tree, runs, 8, &b.keep);
            b.s.select = (ehm_select_kind)way, b.s.boundary = (ehm_boundary)boundary;
            for (int k = 0; k < 4; k++) {
                bench_cut(&b, at[k]);
                for (int i = 0; i < 9; i++)
                    for (uint64_t sample = 0; sample < 60; sample++) {
                        int32_t sum = 0;
                        bench_select(&b, m[i], sample);
                        for (int32_t j = 0; j < 64; j++) sum += b.removed[j];
                        CHECK_INT(sum, m[i]);
                        CHECK_INT(b.n_cut, cut_nodes(&b));
                        if (b.n_cut > most[way]) most[way] = b.n_cut;
                    }
            }
            bench_free(&b);
        }
    CHECK_INT(most[EHM_SELECT_PIVOT], 1);
    CHECK_INT(most[EHM_SELECT_CIRCLE], 2);
    CHECK_INT(most[EHM_SELECT_PREFIX], 1);
}

/* Along its subtree: at every merge of the cut node at most one half is itself cut. */
TEST(select, boundary_tree_takes_whole_subtrees) {
    bench b;
    bench_init(&b);
    tree_balanced(&b.tree, 64, &b.keep);
    b.s.boundary = EHM_BOUNDARY_TREE;
    bench_cut(&b, 2);
    int32_t n_entered = 0;
    for (uint64_t sample = 0; sample < 300; sample++) {
        int32_t sum[127], half_cut = 0;
        bench_select(&b, 21, sample);
        for (int32_t i = 0; i < 64; i++) sum[i] = b.removed[i];
        for (int32_t k = 0; k < 63; k++) {
            int32_t l = b.tree.left[k], r = b.tree.right[k], size = b.tree.size[k] / 2;
            sum[64 + k] = sum[l] + sum[r];
            half_cut += sum[l] > 0 && sum[l] < size && sum[r] > 0 && sum[r] < size;
            n_entered += sum[l] > 0 && sum[l] < size;
        }
        CHECK_INT(sum[126], 21);
        CHECK_INT(half_cut, 0);
    }
    CHECK(n_entered > 300);
    bench_free(&b);
}

/* ---- order ---- */

/* Prefixes nest: the count at which a leaf is first removed is its place in the order. */
static void places(bench *b, int32_t *place, uint64_t sample) {
    for (int32_t i = 0; i < b->tree.n; i++) place[i] = 0;
    for (int32_t m = b->tree.n; m > 0; m--) {
        bench_select(b, m, sample);
        for (int32_t i = 0; i < b->tree.n; i++)
            if (b->removed[i]) place[i] = m;
    }
}

TEST(select, surviving_nodes_keep_their_order) {
    static const int32_t runs[] = {4, 3, 3, 2, 1, 1, 2};
    bench b;
    int32_t fine[16], coarse[16], n_changed = 0, n_differ = 0;
    bench_init(&b);
    b.s.select = EHM_SELECT_PREFIX;
    tree_of_runs(&b.tree, runs, 7, &b.keep);
    for (uint64_t sample = 0; sample < 40; sample++) {
        bench_cut(&b, 7), places(&b, fine, sample);
        bench_cut(&b, 6), places(&b, coarse, sample); /* the first two runs have become one, leaves 0 to 6 */
        for (int32_t i = 7; i < 16; i++)
            for (int32_t j = 7; j < 16; j++) CHECK((fine[i] < fine[j]) == (coarse[i] < coarse[j]));
        for (int32_t i = 0; i < 7; i++) n_changed += fine[i] != coarse[i];
        bench_cut(&b, 7), places(&b, coarse, sample + 1000);
        n_differ += memcmp(fine, coarse, sizeof fine) != 0;
    }
    CHECK(n_changed > 0);
    CHECK(n_differ > 30);
    bench_free(&b);
}

/* The first node is drawn with its share of the weight (Efraimidis and Spirakis), summed over the node. */
TEST(select, weighted_order) {
    static const int32_t runs[] = {2, 1, 3, 2};
    const float weight[8] = {0.5f, 0.5f, 3, 0.5f, 1, 0.5f, 0, 0};
    const double share[4] = {1 / 6.0, 0.5, 2 / 6.0, 0};
    enum { DRAWS = 6000 };
    for (int which = 0; which < 2; which++) {
        int32_t first[4] = {0};
        bench b;
        bench_init(&b);
        tree_of_runs(&b.tree, runs, 4, &b.keep);
        bench_cut(&b, 4);
        b.s.node_order = which ? EHM_NODE_ORDER_LOSS : EHM_NODE_ORDER_ATTENTION;
        *(which ? &b.in.loss : &b.in.cls_attention) = weight;
        for (uint64_t i = 0; i < DRAWS; i++) {
            bench_select(&b, 1, i);
            for (int32_t j = 0; j < 8; j++) first[b.f.of_leaf[j]] += b.removed[j];
        }
        for (int32_t k = 0; k < 4; k++)
            CHECK_NEAR(first[k], DRAWS * share[k], 5 * sqrt(DRAWS * share[k] * (1 - share[k])) + 1e-9);
        bench_select(&b, 6, 0); /* the node without weight is the last to go */
        CHECK(!b.removed[6] && !b.removed[7]);
        bench_free(&b);
    }
}

/* ---- random share ---- */

TEST(select, random_share) {
    for (int way = 0; way < 2; way++) { /* all of it: a uniform subset */
        bench b;
        subsets s = {0};
        bench_init(&b);
        tree_chained(&b.tree, 6, &b.keep);
        b.s.mix_random = 1, b.s.select = (ehm_select_kind)way;
        bench_cut(&b, 2);
        for (uint64_t i = 0; i < 30000; i++) bench_select(&b, 4, i), subsets_add(&s, b.removed);
        CHECK_NEAR(subsets_chi(&s), 14, 43);
        bench_free(&b);
    }
    /* Half of it: one of two nodes goes whole, round(0.5 * 33) more of the other. */
    static const int32_t runs[] = {16, 48};
    bench b;
    bench_init(&b);
    tree_of_runs(&b.tree, runs, 2, &b.keep);
    bench_cut(&b, 2);
    b.s.mix_random = 0.5, b.s.select = EHM_SELECT_PREFIX;
    int32_t n_whole = 0;
    for (uint64_t i = 0; i < 200; i++) {
        int32_t in_first = 0, sum = 0;
        bench_select(&b, 33, i); /* 17 by nodes, 16 at random (round half away from 0) */
        for (int32_t j = 0; j < 64; j++) sum += b.removed[j], in_first += j < 16 && b.removed[j];
        CHECK_INT(sum, 33);
        n_whole += in_first == 16;
        CHECK(in_first == 16 || in_first <= 15);
    }
    CHECK(n_whole > 60 && n_whole < 140); /* whole whenever it is the first */
    bench_free(&b);
}

/* ---- what does not matter, and what is refused ---- */

TEST(select, only_the_keys_count) {
    bench b;
    uint8_t kept[64];
    bench_init(&b);
    tree_balanced(&b.tree, 64, &b.keep);
    bench_cut(&b, 10);
    bench_select(&b, 48, 3), memcpy(kept, b.removed, 64);
    b.in.rng = ehm_rng_of(99, 1, 2, 3);
    bench_select(&b, 48, 3);
    CHECK(!memcmp(kept, b.removed, 64));
    bench_select(&b, 48, 4);
    CHECK(memcmp(kept, b.removed, 64));
    b.in.epoch = 1, bench_select(&b, 48, 3);
    CHECK(memcmp(kept, b.removed, 64));
    b.in.epoch = 0, b.in.seed++, bench_select(&b, 48, 3);
    CHECK(memcmp(kept, b.removed, 64));
    bench_free(&b);
}

TEST(select, refusals) {
    ehm_err err = {0};
    bench b;
    bench_init(&b);
    tree_balanced(&b.tree, 8, &b.keep);
    bench_cut(&b, 3);
    CHECK_FAILS(ehm_mask_select(b.removed, NULL, &b.f, &b.tree, 9, &b.in, &b.scratch, &err), &err, EHM_E_ARG,
                "9 of 8");
    CHECK_FAILS(ehm_mask_select(b.removed, NULL, &b.f, &b.tree, -1, &b.in, &b.scratch, &err), &err, EHM_E_ARG,
                "-1 of 8");
    b.s.node_order = EHM_NODE_ORDER_ATTENTION;
    CHECK_FAILS(ehm_mask_select(b.removed, NULL, &b.f, &b.tree, 4, &b.in, &b.scratch, &err), &err, EHM_E_ARG,
                "the class token's attention");
    b.in.loss = (const float[8]){1, 1, NAN, 1, 1, 1, 1, 1}, b.s.node_order = EHM_NODE_ORDER_LOSS;
    CHECK_FAILS(ehm_mask_select(b.removed, NULL, &b.f, &b.tree, 4, &b.in, &b.scratch, &err), &err,
                EHM_E_NUMERIC, "the last loss");
    b.s.node_order = EHM_NODE_ORDER_UNIFORM, b.s.boundary = EHM_BOUNDARY_TREE;
    CHECK_FAILS(ehm_mask_select(b.removed, NULL, &b.f, NULL, 4, &b.in, &b.scratch, &err), &err, EHM_E_ARG,
                "without a tree");
    ehm_arena small = {.limit_bytes = 16};
    b.s.boundary = EHM_BOUNDARY_RANDOM;
    CHECK_FAILS(ehm_mask_select(b.removed, NULL, &b.f, &b.tree, 4, &b.in, &small, &err), &err, EHM_E_MEMORY,
                "8 patches");
    ehm_arena_free(&small);
    bench_free(&b);
}

/* Not a judgement of the machine: an order of magnitude above what it takes (see the line printed), which a
 * quadratic sort or a tree walked once a leaf would not keep at 4096 leaves. */
TEST(select, cost) {
    const int32_t size[] = {64, 196, 1024, 4096};
    double us[4][2];
    for (int i = 0; i < 4; i++)
        for (int way = 0; way < 2; way++) {
            bench b;
            double best = 1e9;
            bench_init(&b);
            tree_chained(&b.tree, size[i], &b.keep);
            bench_cut(&b, way ? size[i] : 10);
            for (uint64_t round = 0; round < 40; round++) {
                double begin = ehm_clock_s();
                bench_select(&b, size[i] * 3 / 4, round);
                best = fmin(best, (ehm_clock_s() - begin) * 1e6);
            }
            us[i][way] = best;
            bench_free(&b);
        }
    printf("    us at K = 10 and K = N: %.1f %.1f (64 leaves), %.1f %.1f (196), %.1f %.1f (1024), %.1f %.1f "
           "(4096)\n",
           us[0][0], us[0][1], us[1][0], us[1][1], us[2][0], us[2][1], us[3][0], us[3][1]);
    for (int way = 0; way < 2; way++) CHECK(us[3][way] < 40 * (us[1][way] + 5));
}
