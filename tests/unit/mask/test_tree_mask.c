/* Hierarchical masks: the curriculum, the sources of trees, and the rule as a whole. */
#include "base/pool.h"
#include "mask_data.h"
#include <malloc.h>

static const ehm_mask_rule *rule_ehm(void) {
    ehm_err err = {0};
    const ehm_mask_rule *r = ehm_mask_rule_find("ehm", NULL, &err);
    REQUIRE(r != NULL);
    return r;
}

typedef struct {
    ehm_arena keep, scratch;
    ehm_mask_settings s;
    ehm_mask_in in;
    int32_t visible[1024], masked[1024];
    ehm_mask mask;
    uint8_t removed[1024];
} bench;

static void bench_init(bench *b, int32_t gh, int32_t gw) {
    *b = (bench){0};
    b->s = *ehm_mask_settings_or(NULL);
    b->in = mask_data(gh, gw, ehm_test_seed(), &b->keep);
    b->in.settings = &b->s;
    b->mask = (ehm_mask){.visible = b->visible, .masked = b->masked};
}
static void bench_free(bench *b) { ehm_arena_free(&b->keep), ehm_arena_free(&b->scratch); }
static void draw(bench *b, uint64_t sample) {
    ehm_err err = {0};
    ehm_arena_reset(&b->scratch);
    mask_sample(&b->in, sample);
    REQUIRE_OK(ehm_mask_draw(rule_ehm(), &b->mask, &b->in, &b->scratch, &err), &err);
    memset(b->removed, 0, sizeof b->removed);
    for (int32_t i = 0; i < b->mask.n_masked; i++) b->removed[b->masked[i]] = 1;
}

/* ---- curriculum ---- */

TEST(tree_mask, nodes_fall_from_start_to_end) {
    const int32_t n_of[] = {1, 2, 7, 64, 196, 1024};
    for (int schedule = 0; schedule <= EHM_SCHEDULE_REVERSED; schedule++)
        for (int i = 0; i < 6; i++)
            for (int given = 0; given < 3; given++) {
                ehm_mask_settings s = *ehm_mask_settings_or(NULL);
                int32_t n = n_of[i], before = 0;
                s.schedule = (ehm_node_schedule)schedule;
                if (given) s.k_start = given == 1 ? 40 : 100000, s.k_end = given == 1 ? 7 : 40;
                int32_t start = ehm_mask_k_start(&s, n), end = ehm_mask_k_end(&s, n);
                CHECK(start >= end && end >= 1 && start <= n);
                for (int step = 0; step <= 2000; step++) {
                    int32_t k = ehm_mask_nodes_at(&s, n, step / 2000.0);
                    CHECK(k >= 1 && k <= n);
                    if (step) CHECK(schedule == EHM_SCHEDULE_REVERSED ? k >= before : k <= before);
                    before = k;
                }
                bool reversed = schedule == EHM_SCHEDULE_REVERSED, fixed = schedule == EHM_SCHEDULE_FIXED;
                CHECK_INT(ehm_mask_nodes_at(&s, n, 0), reversed || fixed ? end : start);
                CHECK_INT(ehm_mask_nodes_at(&s, n, 1), reversed ? start : end);
                CHECK_INT(ehm_mask_nodes_at(&s, n, 7), reversed ? start : end);
                CHECK_INT(ehm_mask_nodes_at(&s, n, -1), reversed || fixed ? end : start);
            }
}

/* Worked out by hand: 196 nodes to 10. */
TEST(tree_mask, schedules_by_hand) {
    ehm_mask_settings s = *ehm_mask_settings_or(NULL);
    const int32_t want[][3] = {{93, 44, 21},   {150, 103, 57}, {103, 64, 35},
                               {169, 103, 37}, {10, 10, 10},   {21, 44, 93}};
    for (int i = 0; i <= EHM_SCHEDULE_REVERSED; i++) {
        s.schedule = (ehm_node_schedule)i;
        for (int q = 0; q < 3; q++) CHECK_INT(ehm_mask_nodes_at(&s, 196, 0.25 * (q + 1)), want[i][q]);
    }
}

TEST(tree_mask, k_end_by_ratio) {
    const struct {
        double ratio;
        int32_t n, want;
    } c[] = {{0.75, 196, 10}, {0.75, 64, 10}, {0.75, 39, 9},   {0.75, 16, 4}, {0.75, 4, 2},
             {0.75, 1, 1},    {0.9, 196, 25}, {0.6, 196, 6},   {0.5, 196, 5}, {0.2, 196, 13},
             {0, 196, 49},    {1, 196, 49},   {0.99, 196, 49}, {0.5, 12, 3}};
    ehm_mask_settings s = *ehm_mask_settings_or(NULL);
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        s.mask_ratio = c[i].ratio;
        CHECK_INT(ehm_mask_k_end(&s, c[i].n), c[i].want);
    }
    s.mask_ratio = 0.75, s.k_start = 6; /* auto never lies above the start */
    CHECK_INT(ehm_mask_k_end(&s, 196), 6);
    s.k_end = 500;
    CHECK_INT(ehm_mask_k_end(&s, 196), 196);
}

/* u' lies in [(1 - j) u, u], with --mix-levels in [0, u]: seen in K, which never falls below k_end. */
TEST(tree_mask, each_picture_has_its_own_level) {
    bench b;
    ehm_frontier f;
    ehm_tree tree;
    ehm_err err = {0};
    bench_init(&b, 14, 14);
    tree_chained(&tree, 196, &b.keep);
    REQUIRE_OK(ehm_frontier_new(&f, 196, &b.keep, &err), &err);
    for (int mixed = 0; mixed < 2; mixed++)
        for (int q = 0; q <= 4; q++) {
            int32_t least = 1000, most = 0, k;
            double u = q / 4.0, sum = 0;
            b.s.mix_levels = mixed, b.in.progress_frac = (float)u;
            for (uint64_t i = 0; i < 2000; i++) {
                mask_sample(&b.in, i);
                ehm_mask_frontier(&f, &k, &tree, &b.in, &b.scratch);
                double level, rounding;
                ehm_mask_draw_level(&level, &rounding, &b.in);
                CHECK(level <= u && level >= (mixed ? 0 : 0.9 * u) - 1e-12);
                CHECK_INT(k, ehm_mask_nodes_at(&b.s, 196, level));
                if (k < least) least = k;
                if (k > most) most = k;
                sum += level;
            }
            CHECK_INT(least, ehm_mask_nodes_at(&b.s, 196, u));
            CHECK(most <= ehm_mask_nodes_at(&b.s, 196, mixed ? 0 : 0.9 * u));
            CHECK(most >= ehm_mask_nodes_at(&b.s, 196, (mixed ? 0.01 : 0.91) * u));
            CHECK_NEAR(sum / 2000, u * (mixed ? 0.5 : 0.95), 0.02 * u);
        }
    bench_free(&b);
}

/* Balanced over 64 leaves: depth 6, at the end ceil(log2 10) = 4; half way between two levels each as often.
 */
TEST(tree_mask, depth_is_rounded_at_random) {
    bench b;
    ehm_frontier f;
    ehm_tree tree;
    ehm_err err = {0};
    bench_init(&b, 8, 8);
    tree_balanced(&tree, 64, &b.keep);
    REQUIRE_OK(ehm_frontier_new(&f, 64, &b.keep, &err), &err);
    b.s.cut = EHM_CUT_DEPTH, b.s.k_jitter = 0;
    const struct {
        double u;
        int32_t fine;
        double share;
    } c[] = {{0, 64, 1}, {0.25, 64, 0.5}, {0.375, 64, 0.25}, {0.5, 32, 1}, {1, 16, 1}};
    for (int q = 0; q < 5; q++) {
        int32_t n_fine = 0, k;
        b.in.progress_frac = (float)c[q].u;
        for (uint64_t i = 0; i < 1000; i++) {
            mask_sample(&b.in, i);
            ehm_mask_frontier(&f, &k, &tree, &b.in, &b.scratch);
            CHECK_INT(f.n_nodes, k);
            CHECK(k == c[q].fine || k == c[q].fine / 2);
            n_fine += k == c[q].fine;
        }
        CHECK_NEAR(n_fine / 1000.0, c[q].share, c[q].share == 1 ? 0 : 0.07);
    }
    bench_free(&b);
}

/* ---- settings ---- */

TEST(tree_mask, settings_of_the_table) {
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_config c;
    ehm_mask_settings s;
    const ehm_mask_settings *d = ehm_mask_settings_or(NULL);
    ehm_config_init(&c);
    REQUIRE_OK(ehm_mask_settings_of(&s, &c, &err), &err);
    CHECK(s.schedule == d->schedule && s.cut == d->cut && s.select == d->select && s.boundary == d->boundary);
    CHECK(s.node_order == d->node_order && s.tree_source == d->tree_source && s.linkage == d->linkage);
    CHECK(s.k_start == d->k_start && s.k_end == d->k_end && s.k_jitter == d->k_jitter &&
          s.mix_random == d->mix_random);
    CHECK(s.tree_prior == d->tree_prior && s.mask_ratio == d->mask_ratio && s.mix_levels == d->mix_levels);
    CHECK(s.epm_exact == d->epm_exact && s.balance == d->balance);
    const struct { const char *key, *value; size_t offset; int want;
    } e[] = {
#define E(key, value, field, want) {key, value, offsetof(ehm_mask_settings, field), (int)want}
        E("schedule", "geometric", schedule, EHM_SCHEDULE_GEOMETRIC),
        E("schedule", "linear", schedule, EHM_SCHEDULE_LINEAR),
        E("schedule", "sqrt", schedule, EHM_SCHEDULE_SQRT),
        E("schedule", "cosine", schedule, EHM_SCHEDULE_COSINE),
        E("schedule", "fixed", schedule, EHM_SCHEDULE_FIXED),
        E("schedule", "reversed", schedule, EHM_SCHEDULE_REVERSED),
        E("cut", "effective", cut, EHM_CUT_EFFECTIVE),
        E("cut", "count", cut, EHM_CUT_COUNT),
        E("cut", "depth", cut, EHM_CUT_DEPTH),
        E("select", "pivot", select, EHM_SELECT_PIVOT),
        E("select", "circle", select, EHM_SELECT_CIRCLE),
        E("select", "prefix", select, EHM_SELECT_PREFIX),
        E("boundary", "random", boundary, EHM_BOUNDARY_RANDOM),
        E("boundary", "tree", boundary, EHM_BOUNDARY_TREE),
        E("node_order", "attention", node_order, EHM_NODE_ORDER_ATTENTION),
        E("node_order", "loss", node_order, EHM_NODE_ORDER_LOSS),
        E("node_order", "uniform", node_order, EHM_NODE_ORDER_UNIFORM),
        E("tree_source", "attention", tree_source, EHM_SOURCE_ATTENTION),
        E("tree_source", "moved", tree_source, EHM_SOURCE_MOVED),
        E("tree_source", "swapped", tree_source, EHM_SOURCE_SWAPPED),
        E("tree_source", "spatial", tree_source, EHM_SOURCE_SPATIAL),
        E("tree_source", "pixels", tree_source, EHM_SOURCE_PIXELS),
        E("tree_source", "labels", tree_source, EHM_SOURCE_LABELS),
        E("tree_source", "file", tree_source, EHM_SOURCE_FILE),
        E("tree_source", "shuffled", tree_source, EHM_SOURCE_SHUFFLED),
        E("linkage", "ward", linkage, EHM_LINK_WARD),
#undef E
    };
    for (size_t i = 0; i < sizeof e / sizeof *e; i++) {
        int got;
        ehm_config_init(&c);
        REQUIRE_OK(ehm_config_set(&c, e[i].key, e[i].value, EHM_FROM_FLAG, &a, &err), &err);
        if (strcmp(e[i].value, "prefix") && !strcmp(e[i].key, "node_order"))
            REQUIRE_OK(ehm_config_set(&c, "select", "prefix", EHM_FROM_FLAG, &a, &err), &err);
        REQUIRE_OK(ehm_mask_settings_of(&s, &c, &err), &err);
        memcpy(&got, (const char *)&s + e[i].offset, sizeof got);
        CHECK_INT(got, e[i].want);
    }
    ehm_config_init(&c);
    REQUIRE_OK(ehm_config_set(&c, "similarity", "balanced", EHM_FROM_FLAG, &a, &err), &err);
    REQUIRE_OK(ehm_config_set(&c, "k_jitter", "0.25", EHM_FROM_FLAG, &a, &err), &err);
    REQUIRE_OK(ehm_config_set(&c, "mask_ratio", "0.6", EHM_FROM_FLAG, &a, &err), &err);
    REQUIRE_OK(ehm_mask_settings_of(&s, &c, &err), &err);
    CHECK(s.balance && s.k_jitter == 0.25 && s.mask_ratio == 0.6);
    ehm_arena_free(&a);
}

TEST(tree_mask, settings_that_do_not_fit) {
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_config c;
    ehm_mask_settings s;
    ehm_config_init(&c);
    c.k_start = 10, c.k_end = 40;
    CHECK_FAILS(ehm_mask_settings_of(&s, &c, &err), &err, EHM_E_CONFIG, "k_end 40 is more than k_start 10");
    ehm_config_init(&c);
    c.k_start = 10, c.cut = "depth";
    CHECK_FAILS(ehm_mask_settings_of(&s, &c, &err), &err, EHM_E_CONFIG, "k_start 10 with cut depth");
    ehm_config_init(&c);
    c.node_order = "attention";
    CHECK_OK(ehm_mask_settings_of(&s, &c, &err), &err);
    CHECK_INT(s.select, EHM_SELECT_PREFIX);
    REQUIRE_OK(ehm_config_set(&c, "select", "pivot", EHM_FROM_FLAG, &a, &err), &err);
    CHECK_FAILS(ehm_mask_settings_of(&s, &c, &err), &err, EHM_E_CONFIG,
                "select pivot with node_order attention");
    CHECK_HAS(err.hint, "prefix");
    ehm_config_init(&c);
    c.schedule = "quadratic";
    CHECK_FAILS(ehm_mask_settings_of(&s, &c, &err), &err, EHM_E_CONFIG, "quadratic");
    ehm_arena_free(&a);
}

/* ---- what it asks for ---- */

TEST(tree_mask, needs) {
    const ehm_mask_rule *r = rule_ehm();
    const uint32_t want[] = {EHM_MASK_NEEDS_SIMILARITY, EHM_MASK_NEEDS_SIMILARITY,
                             EHM_MASK_NEEDS_OTHER,      0,
                             EHM_MASK_NEEDS_COLOUR,     EHM_MASK_NEEDS_LABELS,
                             EHM_MASK_NEEDS_SIMILARITY, EHM_MASK_NEEDS_SIMILARITY};
    for (int i = 0; i <= EHM_SOURCE_SHUFFLED; i++) {
        ehm_mask_settings s = *ehm_mask_settings_or(NULL);
        s.tree_source = (ehm_tree_source)i;
        CHECK_INT(ehm_mask_needs(r, &s, NULL, 196, 0), 0);
        CHECK_INT(ehm_mask_needs(r, &s, NULL, 196, 1e-4), 0); /* still 196 nodes */
        CHECK_INT(ehm_mask_needs(r, &s, NULL, 196, 0.5), want[i]);
        CHECK_INT(ehm_mask_needs(r, &s, NULL, 1, 0.5), 0);
        CHECK_INT(ehm_mask_needs_ever(r, &s, NULL, 196), want[i]);
        s.schedule = EHM_SCHEDULE_REVERSED;
        CHECK_INT(ehm_mask_needs(r, &s, NULL, 196, 0), want[i]);
        CHECK_INT(ehm_mask_needs(r, &s, NULL, 196, 1), want[i]); /* another picture's level may lie lower */
        s.k_jitter = 0;
        CHECK_INT(ehm_mask_needs(r, &s, NULL, 196, 1), 0);
        s.schedule = EHM_SCHEDULE_GEOMETRIC, s.k_start = 50;
        CHECK_INT(ehm_mask_needs(r, &s, NULL, 196, 0), want[i]);
        s.k_start = EHM_AUTO_I64, s.cut = EHM_CUT_DEPTH;
        CHECK_INT(ehm_mask_needs(r, &s, NULL, 196, 0), 0);
        CHECK_INT(ehm_mask_needs(r, &s, NULL, 196, 1e-4), want[i]);
        s.node_order = EHM_NODE_ORDER_LOSS;
        CHECK_INT(ehm_mask_needs(r, &s, NULL, 196, 0.5), want[i] | EHM_MASK_NEEDS_LOSS);
        s.node_order = EHM_NODE_ORDER_ATTENTION;
        CHECK_INT(ehm_mask_needs(r, &s, NULL, 196, 0.5), want[i] | EHM_MASK_NEEDS_CLS);
        CHECK_INT(ehm_mask_needs(r, &s, NULL, 196, 0), 0);
    }
    CHECK_INT(ehm_mask_needs_ever(r, NULL, NULL, 196), EHM_MASK_NEEDS_SIMILARITY);
}

/* Whatever progress a loop asks about in double, a draw at its float never lacks what was not asked for. */
TEST(tree_mask, never_lacks_what_was_not_asked_for) {
    bench b;
    bench_init(&b, 14, 14);
    const float *S = b.in.similarity;
    int32_t n_bare = 0;
    for (uint64_t i = 0; i < 3000; i++) {
        double u = (double)i * 1e-6;
        bool needed = ehm_mask_needs(rule_ehm(), &b.s, NULL, 196, u) != 0;
        b.in.progress_frac = (float)u, b.in.similarity = needed ? S : NULL;
        n_bare += !needed;
        draw(&b, i);
        CHECK(needed || !b.mask.facts.has_tree);
    }
    CHECK(n_bare > 100 && n_bare < 2900);
    bench_free(&b);
}

/* ---- sources ---- */

static void tree_of(bench *b, ehm_tree *t, ehm_frontier *f, ehm_tree_source source, bool *flat) {
    ehm_err err = {0};
    int32_t n = b->in.grid_h * b->in.grid_w;
    bool is_flat;
    b->s.tree_source = source;
    ehm_arena_reset(&b->scratch);
    REQUIRE_OK(ehm_tree_new(t, n, &b->keep, &err), &err);
    if (f) REQUIRE_OK(ehm_frontier_new(f, n, &b->keep, &err), &err);
    REQUIRE_OK(ehm_mask_tree(t, flat ? flat : &is_flat, &b->in, &b->scratch, &err), &err);
}

static int by_size(const void *a, const void *b) { return *(const int32_t *)a - *(const int32_t *)b; }
static void sizes_of(int32_t *size, const ehm_frontier *f) {
    for (int32_t i = 0; i < f->n_nodes; i++) size[i] = ehm_frontier_size(f, i);
    qsort(size, (size_t)f->n_nodes, sizeof *size, by_size);
}

/* A neighbour on the torus stays one, in the same or (on a square) the other direction; rows keep their
 * length. */
static bool moves_like_a_grid(const int32_t *perm, int32_t h, int32_t w) {
    for (int32_t i = 0; i < h * w; i++) {
        int32_t right = perm[i / w * w + (i % w + 1) % w], below = perm[(i / w + 1) % h * w + i % w];
        int32_t dy = abs(right / w - perm[i] / w), dx = abs(right % w - perm[i] % w);
        int32_t ey = abs(below / w - perm[i] / w), ex = abs(below % w - perm[i] % w);
        bool across = dy == 0 && (dx == 1 || dx == w - 1) && ex == 0 && (ey == 1 || ey == h - 1);
        bool down = h == w && dx == 0 && (dy == 1 || dy == h - 1) && ey == 0 && (ex == 1 || ex == w - 1);
        if (!across && !down) return false;
    }
    return true;
}

TEST(tree_mask, moved_is_a_shift_and_a_symmetry) {
    const int32_t grid[][2] = {{5, 5}, {4, 7}};
    for (int g = 0; g < 2; g++) {
        bench b;
        int32_t h = grid[g][0], w = grid[g][1], n = h * w, perm[35], n_kinds = 0;
        bool seen[8 * 35] = {0};
        bench_init(&b, h, w);
        b.s.tree_source = EHM_SOURCE_MOVED;
        for (uint64_t i = 0; i < 4000; i++) {
            uint8_t hit[35] = {0};
            mask_sample(&b.in, i);
            ehm_mask_moves(perm, &b.in);
            for (int32_t k = 0; k < n; k++) hit[perm[k]]++;
            for (int32_t k = 0; k < n; k++) CHECK_INT(hit[k], 1);
            CHECK(moves_like_a_grid(perm, h, w));
            /* Where leaf 0 goes, and on which sides its neighbours lie, tell which of the moves it is. */
            int32_t right = perm[1], under = perm[w], way = 0;
            way = right / w == perm[0] / w ? ((right % w + w - perm[0] % w) % w == 1 ? 0 : 1) +
                                                 2 * ((under / w + h - perm[0] / w) % h == 1 ? 0 : 1)
                                           : 4 + ((right / w + h - perm[0] / w) % h == 1 ? 0 : 1) +
                                                 2 * ((under % w + w - perm[0] % w) % w == 1 ? 0 : 1);
            n_kinds += !seen[way * n + perm[0]], seen[way * n + perm[0]] = true;
        }
        CHECK_INT(n_kinds, (h == w ? 8 : 4) * n);
        bench_free(&b);
    }
}

TEST(tree_mask, moved_has_the_sizes_of_attention) {
    bench b;
    ehm_tree own, moved;
    ehm_frontier f, g;
    int32_t size[2][49], perm[49], n_moved = 0;
    bench_init(&b, 7, 7);
    float *tied = (float *)(uintptr_t)b.in.similarity;
    for (int round = 0; round < 2; round++) {
        if (round) /* ties all over: the tree must still be the own one */
            for (int32_t i = 0; i < 49 * 49; i++) tied[i] = floorf(tied[i] * 3);
        for (uint64_t sample = 0; sample < 20; sample++) {
            mask_sample(&b.in, sample);
            tree_of(&b, &own, &f, EHM_SOURCE_ATTENTION, NULL);
            tree_of(&b, &moved, &g, EHM_SOURCE_MOVED, NULL);
            ehm_mask_moves(perm, &b.in);
            for (int32_t k = 1; k <= 49; k++) {
                ehm_cut_count(&f, &own, k), ehm_cut_count(&g, &moved, k);
                sizes_of(size[0], &f), sizes_of(size[1], &g);
                CHECK(!memcmp(size[0], size[1], (size_t)k * sizeof(int32_t)));
                for (int32_t i = 0; i < 49; i++)
                    CHECK_INT(g.node[g.of_leaf[perm[i]]] < 49, f.node[f.of_leaf[i]] < 49);
                for (int32_t i = 1; i < 49; i++)
                    CHECK_INT(g.of_leaf[perm[i]] == g.of_leaf[perm[0]], f.of_leaf[i] == f.of_leaf[0]);
            }
            for (int32_t k = 0; k < 48; k++) CHECK(moved.left[k] < moved.right[k]);
            n_moved += perm[0] != 0;
        }
    }
    CHECK(n_moved > 20);
    bench_free(&b);
}

static bool same_tree(const ehm_tree *a, const ehm_tree *b) {
    size_t n = (size_t)(a->n - 1) * sizeof(int32_t);
    return !memcmp(a->left, b->left, n) && !memcmp(a->right, b->right, n) &&
           !memcmp(a->height, b->height, 2 * n);
}

TEST(tree_mask, swapped_and_file) {
    bench b;
    ehm_tree t, want;
    bench_init(&b, 6, 6);
    const float *own = b.in.similarity, *other = b.in.similarity_other;
    b.in.similarity = other;
    tree_of(&b, &want, NULL, EHM_SOURCE_ATTENTION, NULL);
    b.in.similarity = own;
    tree_of(&b, &t, NULL, EHM_SOURCE_SWAPPED, NULL);
    CHECK(same_tree(&t, &want));
    tree_of(&b, &t, NULL, EHM_SOURCE_ATTENTION, NULL);
    CHECK(!same_tree(&t, &want));
    tree_of(&b, &want, NULL, EHM_SOURCE_FILE, NULL);
    CHECK(same_tree(&t, &want));
    b.s.balance = true; /* is for attention; a file's numbers are what they are */
    tree_of(&b, &t, NULL, EHM_SOURCE_FILE, NULL);
    CHECK(same_tree(&t, &want));
    tree_of(&b, &t, NULL, EHM_SOURCE_ATTENTION, NULL);
    CHECK(!same_tree(&t, &want));
    bench_free(&b);
}

TEST(tree_mask, spatial_is_where_patches_are) {
    bench b;
    ehm_err err = {0};
    ehm_tree t[2];
    float S[48 * 48], T[48 * 48];
    double off = 0;
    bench_init(&b, 6, 8);
    b.s.tree_source = EHM_SOURCE_SPATIAL;
    REQUIRE_OK(ehm_mask_similarity(S, &b.in, &b.scratch, &err), &err);
    for (int32_t i = 0; i < 48; i++)
        for (int32_t j = 0; j < 48; j++) {
            if (i == j) continue;
            double d = hypot(i / 8 - j / 8, i % 8 - j % 8) + (double)S[i * 48 + j];
            CHECK(fabs(d) <= sqrt(2) + 1e-5);
            off = fmax(off, fabs(d));
        }
    CHECK(off > 0.7); /* half a patch either way at both ends */
    mask_sample(&b.in, 1);
    REQUIRE_OK(ehm_mask_similarity(T, &b.in, &b.scratch, &err), &err);
    CHECK(memcmp(S, T, sizeof S));
    tree_of(&b, &t[0], NULL, EHM_SOURCE_SPATIAL, NULL);
    mask_sample(&b.in, 2);
    tree_of(&b, &t[1], NULL, EHM_SOURCE_SPATIAL, NULL);
    CHECK(!same_tree(&t[0], &t[1]));
    bench_free(&b);
}

/* 1 x 4 patches, one grey channel 1, 1, 3, 3: deviation 1, so two apart; a step of a position is 14 / (8 *
 * 4). */
TEST(tree_mask, pixels_by_hand) {
    bench b;
    ehm_err err = {0};
    float S[16];
    bench_init(&b, 1, 4);
    b.s.tree_source = EHM_SOURCE_PIXELS, b.in.n_colour = 2;
    b.in.colour = (const float[]){1, 7, 1, 7, 3, 7, 3, 7}; /* the second channel is the same everywhere */
    REQUIRE_OK(ehm_mask_similarity(S, &b.in, &b.scratch, &err), &err);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            CHECK_NEAR((double)S[i * 4 + j], -hypot(2 * (i / 2 - j / 2), 0.4375 * (i - j)), 1e-6);
    bench_free(&b);
}

/* Two cats (class 0) with two parts each, a dog (class 1) with one, ground without labels; part numbers
 * recur. */
TEST(tree_mask, labels_nest) {
    const int32_t labels[3][16] = {{0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, -1, -1, -1, -1},
                                   {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, -1, -1, -1, -1},
                                   {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, -1, -1, -1, -1}};
    const int32_t part[16] = {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5},
                  object[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
    bench b;
    ehm_tree t;
    ehm_frontier f;
    ehm_err err = {0};
    float S[256];
    bench_init(&b, 4, 4);
    b.in.labels = labels[0];
    tree_of(&b, &t, &f, EHM_SOURCE_LABELS, NULL);
    ehm_cut_count(&f, &t, 6);
    CHECK(!memcmp(f.of_leaf, part, sizeof part));
    ehm_cut_count(&f, &t, 4);
    CHECK(!memcmp(f.of_leaf, object, sizeof object));
    REQUIRE_OK(ehm_mask_similarity(S, &b.in, &b.scratch, &err), &err);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < i; j++) {
            int same = i >= 12                        ? j >= 12 ? 3 : 0
                       : labels[2][i] != labels[2][j] ? 0
                       : object[i] != object[j]       ? 1
                       : part[i] != part[j]           ? 2
                                                      : 3;
            CHECK_INT(floorf(S[i * 16 + j]), same);
        }
    CHECK(S[1] > S[16 * 0 + 8] && S[13 * 16 + 12] > S[15 * 16 + 12]); /* the nearer the more similar */
    bench_free(&b);
}

TEST(tree_mask, prior_and_balance_are_applied) {
    bench b;
    ehm_err err = {0};
    ehm_arena a = {0};
    float S[36 * 36], want[36 * 36], row[72];
    int32_t perm[36];
    bench_init(&b, 6, 6);
    memcpy(want, b.in.similarity, sizeof want);
    ehm_similarity_balance(want, 36, row);
    ehm_similarity_prior(want, 6, 6, 0.7);
    b.s.balance = true, b.s.tree_prior = 0.7;
    REQUIRE_OK(ehm_mask_similarity(S, &b.in, &a, &err), &err);
    CHECK(!memcmp(S, want, sizeof S));
    CHECK(memcmp(S, b.in.similarity, sizeof S));
    b.s.tree_source = EHM_SOURCE_SHUFFLED;
    REQUIRE_OK(ehm_mask_similarity(S, &b.in, &a, &err), &err);
    ehm_mask_moves(perm, &b.in);
    for (int i = 0; i < 36; i++)
        for (int j = 0; j < 36; j++) CHECK(S[perm[i] * 36 + perm[j]] == want[i * 36 + j]);
    b.s.tree_source = EHM_SOURCE_ATTENTION;
    ((float *)(uintptr_t)b.in.similarity)[1] = ((float *)(uintptr_t)b.in.similarity)[36] = -0.5f;
    CHECK_FAILS(ehm_mask_similarity(S, &b.in, &a, &err), &err, EHM_E_ARG, "-0.5");
    ehm_arena_free(&a);
    bench_free(&b);
}

TEST(tree_mask, bad_similarity_is_named) {
    bench b;
    ehm_err err = {0};
    bench_init(&b, 4, 4);
    float *S = (float *)(uintptr_t)b.in.similarity;
    S[3 * 16 + 5] = NAN;
    CHECK_FAILS(ehm_mask_draw(rule_ehm(), &b.mask, &b.in, &b.scratch, &err), &err, EHM_E_ARG, "3");
    S[3 * 16 + 5] = S[5 * 16 + 3] + 1;
    CHECK_FAILS(ehm_mask_draw(rule_ehm(), &b.mask, &b.in, &b.scratch, &err), &err, EHM_E_ARG, "5");
    const struct {
        ehm_tree_source source;
        const char *words;
    } missing[] = {{EHM_SOURCE_ATTENTION, "the similarity of its patches"},
                   {EHM_SOURCE_SWAPPED, "another picture's"},
                   {EHM_SOURCE_PIXELS, "colour"},
                   {EHM_SOURCE_LABELS, "labels"}};
    b.in.similarity = b.in.similarity_other = b.in.colour = NULL, b.in.labels = NULL;
    for (int i = 0; i < 4; i++) {
        ehm_tree t;
        bool flat;
        b.s.tree_source = missing[i].source;
        CHECK_FAILS(ehm_mask_draw(rule_ehm(), &b.mask, &b.in, &b.scratch, &err), &err, EHM_E_ARG,
                    missing[i].words);
        ehm_err_clear(&err);
        REQUIRE_OK(ehm_tree_new(&t, 16, &b.keep, &err), &err);
        CHECK_FAILS(ehm_mask_tree(&t, &flat, &b.in, &b.scratch, &err), &err, EHM_E_ARG, missing[i].words);
    }
    b.s.tree_source = EHM_SOURCE_ATTENTION, b.in.similarity = S, b.in.grid_h = 100, b.in.grid_w = 41;
    CHECK_FAILS(ehm_mask_draw(rule_ehm(), &b.mask, &b.in, &b.scratch, &err), &err, EHM_E_ARG, "4096");
    bench_free(&b);
}

/* ---- the rule ---- */

/* Every option with every other, on awkward grids: the lists are looked at here. */
TEST(tree_mask, promises_with_every_option) {
    const int32_t grid[][2] = {{1, 1}, {1, 2}, {1, 7}, {7, 3}};
    uint64_t n_draws = 0;
    for (int g = 0; g < 4; g++) {
        bench b;
        bench_init(&b, grid[g][0], grid[g][1]);
        int32_t n = grid[g][0] * grid[g][1];
        for (int option = 0; option < 8 * 3 * 3 * 2 * 3 * 2; option++) {
            int o = option;
            b.s.tree_source = (ehm_tree_source)(o % 8), o /= 8;
            b.s.cut = (ehm_cut_kind)(o % 3), o /= 3;
            b.s.select = (ehm_select_kind)(o % 3), o /= 3;
            b.s.boundary = (ehm_boundary)(o % 2), o /= 2;
            b.s.node_order = (ehm_node_order)(o % 3), o /= 3;
            b.s.mix_random = o % 2 * 0.4;
            b.s.schedule = (ehm_node_schedule)(option % 6), b.s.mix_levels = option % 5 == 0;
            for (int q = 0; q < 3; q++) {
                uint8_t seen[21] = {0};
                b.in.progress_frac = (float)q / 2, b.in.n_masked = (int32_t)(n_draws % (uint64_t)(n + 1));
                draw(&b, n_draws++);
                CHECK_INT(b.mask.n_masked, b.in.n_masked);
                CHECK_INT(b.mask.n_visible, n - b.in.n_masked);
                for (int32_t i = 0; i < b.mask.n_visible; i++)
                    seen[b.visible[i]]++, CHECK(!i || b.visible[i] > b.visible[i - 1]);
                for (int32_t i = 0; i < b.mask.n_masked; i++)
                    seen[b.masked[i]]++, CHECK(!i || b.masked[i] > b.masked[i - 1]);
                for (int32_t i = 0; i < n; i++) CHECK_INT(seen[i], 1);
            }
        }
        bench_free(&b);
    }
}

TEST(tree_mask, uniform_at_the_start_with_the_defaults) {
    bench b;
    subsets s = {0};
    counts c;
    bench_init(&b, 2, 3);
    b.in = (ehm_mask_in){.grid_h = 2,
                         .grid_w = 3,
                         .n_masked = 4,
                         .n_views = 1,
                         .seed = ehm_test_seed()}; /* no settings, no data */
    for (uint64_t i = 0; i < 30000; i++) draw(&b, i), subsets_add(&s, b.removed);
    CHECK_NEAR(subsets_chi(&s), 14, 43);
    b.in.grid_h = b.in.grid_w = 14, b.in.n_masked = 147;
    counts_new(&c, 196, 147, &b.keep);
    for (uint64_t i = 0; i < 8000; i++) draw(&b, i), counts_add(&c, b.removed, true);
    printf("    largest |z| %.2f, of pairs %.2f\n", counts_worst(&c), counts_worst_pair(&c));
    CHECK(counts_worst(&c) < 6 && counts_worst_pair(&c) < 7);
    bench_free(&b);
}

TEST(tree_mask, flat_is_random_and_counted) {
    bench b;
    subsets s = {0};
    bench_init(&b, 2, 3);
    float *S = (float *)(uintptr_t)b.in.similarity;
    for (int i = 0; i < 36; i++) S[i] = 0.25f + (float)(i % 2) * 1e-8f;
    b.in.n_masked = 4, b.in.progress_frac = 1;
    for (uint64_t i = 0; i < 30000; i++) {
        draw(&b, i), subsets_add(&s, b.removed);
        CHECK(b.mask.facts.has_tree && b.mask.facts.flat && b.mask.facts.n_nodes == 0);
    }
    CHECK_NEAR(subsets_chi(&s), 14, 43);
    S[1] = S[6] = 0.3f;
    draw(&b, 0);
    CHECK(b.mask.facts.has_tree && !b.mask.facts.flat);
    bench_free(&b);
}

/* Provably random, whatever the tree: at every K. */
TEST(tree_mask, shuffled_is_uniform_at_every_count) {
    bench b;
    bench_init(&b, 2, 3);
    b.s.tree_source = EHM_SOURCE_SHUFFLED, b.s.schedule = EHM_SCHEDULE_FIXED, b.s.cut = EHM_CUT_COUNT;
    b.in.n_masked = 4;
    float *S = (float *)(uintptr_t)b.in.similarity; /* two things of three patches */
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++) S[i * 6 + j] = (i / 3 == j / 3) + 0.01f * (float)abs(i - j);
    for (int32_t k = 1; k <= 6; k++) {
        subsets s = {0};
        b.s.k_end = k;
        for (uint64_t i = 0; i < 20000; i++) draw(&b, i), subsets_add(&s, b.removed);
        CHECK_NEAR(subsets_chi(&s), 14, 43);
        if (k < 6) CHECK_INT(b.mask.facts.n_nodes, k);
    }
    b.s.tree_source = EHM_SOURCE_ATTENTION, b.s.k_end = 2; /* and these tests do see the own tree */
    subsets s = {0};
    for (uint64_t i = 0; i < 20000; i++) draw(&b, i), subsets_add(&s, b.removed);
    CHECK(subsets_chi(&s) > 200);
    bench_free(&b);
}

TEST(tree_mask, shuffled_pairs) {
    const int32_t k_of[] = {1, 2, 10, 60, 195};
    for (int q = 0; q < 5; q++) {
        bench b;
        counts c;
        bench_init(&b, 14, 14);
        b.s.tree_source = EHM_SOURCE_SHUFFLED, b.s.schedule = EHM_SCHEDULE_FIXED, b.s.k_end = k_of[q];
        counts_new(&c, 196, 147, &b.keep);
        for (uint64_t i = 0; i < 1500; i++) draw(&b, i), counts_add(&c, b.removed, true);
        CHECK(counts_worst(&c) < 6);
        CHECK(counts_worst_pair(&c) < 7);
        bench_free(&b);
    }
}

/* Every patch equally often over the whole of a run, with jitter and everything at its default. */
TEST(tree_mask, marginals_of_the_rule) {
    bench b;
    counts c;
    bench_init(&b, 8, 8);
    counts_new(&c, 64, 48, &b.keep);
    for (uint64_t i = 0; i < 20000; i++) {
        b.in.progress_frac = (float)(i % 101) / 100;
        draw(&b, i), counts_add(&c, b.removed, false);
    }
    printf("    largest |z| %.2f\n", counts_worst(&c));
    CHECK(counts_worst(&c) < 6);
    bench_free(&b);
}

TEST(tree_mask, same_input_same_mask) {
    bench a, b;
    ehm_err err = {0};
    int32_t v[2][64], k[2][64];
    bench_init(&a, 8, 8), bench_init(&b, 8, 8);
    b.in.rng = ehm_rng_of(5, 6, 7, 8); /* nothing hangs on a stream */
    for (uint64_t i = 0; i < 50; i++) {
        draw(&a, i);
        mask_sample(&b.in, i), ehm_arena_reset(&b.scratch);
        b.in.rng.n_left = (uint32_t)(i % 4);
        REQUIRE_OK(ehm_mask_draw(rule_ehm(), &b.mask, &b.in, &b.scratch, &err), &err);
        CHECK(!memcmp(a.masked, b.masked, 48 * sizeof(int32_t)));
    }
    b.in.epoch = 1;
    draw(&b, 49);
    CHECK(memcmp(a.masked, b.masked, 48 * sizeof(int32_t)));
    /* Several masks of one picture differ, and the first is the one that is drawn alone. */
    ehm_mask two[2] = {{.visible = v[0], .masked = k[0]}, {.visible = v[1], .masked = k[1]}};
    b.in.epoch = 0, b.in.n_views = 2, mask_sample(&b.in, 49);
    REQUIRE_OK(ehm_mask_draw(rule_ehm(), two, &b.in, &b.scratch, &err), &err);
    CHECK(!memcmp(a.masked, k[0], 48 * sizeof(int32_t)));
    CHECK(memcmp(k[0], k[1], 48 * sizeof(int32_t)));
    CHECK(two[0].facts.has_tree && two[1].facts.has_tree && two[1].facts.tree_s == 0);
    bench_free(&a), bench_free(&b);
}

typedef struct {
    const ehm_mask_in *in;
    ehm_arena scratch[3];
    uint8_t removed[40][64];
} crowd;
static void draw_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    crowd *c = ctx;
    for (int64_t i = begin; i < end; i++) {
        int32_t visible[64], masked[64];
        ehm_err err = {0};
        ehm_mask m = {.visible = visible, .masked = masked};
        ehm_mask_in in = *c->in;
        mask_sample(&in, (uint64_t)i);
        ehm_arena_reset(&c->scratch[i_thread]);
        if (ehm_mask_draw(rule_ehm(), &m, &in, &c->scratch[i_thread], &err)) continue; /* then it differs */
        for (int32_t k = 0; k < m.n_masked; k++) c->removed[i][masked[k]] = 1;
    }
}

/* Of any number of threads, in any order, in batches of any size. */
TEST(tree_mask, any_thread_and_batch) {
    bench b;
    ehm_err err = {0};
    bench_init(&b, 8, 8);
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++)
        for (int64_t grain = 1; grain <= 9; grain += 4) {
            crowd c = {.in = &b.in};
            ehm_pool *pool;
            REQUIRE_OK(ehm_pool_open(&pool, n_threads, &err), &err);
            ehm_pool_for(pool, 40, grain, draw_some, &c);
            ehm_pool_close(pool);
            for (uint64_t i = 0; i < 40; i++) draw(&b, i), CHECK(!memcmp(b.removed, c.removed[i], 64));
            for (int32_t i = 0; i < 3; i++) ehm_arena_free(&c.scratch[i]);
        }
    bench_free(&b);
}

TEST(tree_mask, facts) {
    bench b;
    bench_init(&b, 14, 14);
    for (int q = 0; q <= 4; q++) {
        b.in.progress_frac = (float)q / 4;
        draw(&b, (uint64_t)q);
        const ehm_mask_facts *f = &b.mask.facts;
        int32_t leaves = 0, removed = 0;
        for (int i = 0; i < EHM_NODE_SIZES; i++) {
            leaves += f->leaves_of_size[i], removed += f->removed_of_size[i];
            CHECK(f->removed_of_size[i] <= f->leaves_of_size[i]);
        }
        CHECK_INT(f->has_tree, q > 0);
        CHECK_INT(leaves, q ? 196 : 0);
        CHECK_INT(removed, q ? 147 : 0);
        if (!q) continue;
        CHECK(f->k_wanted >= ehm_mask_nodes_at(&b.s, 196, q / 4.0) &&
              f->k_wanted <= ehm_mask_nodes_at(&b.s, 196, q * 0.225));
        CHECK(f->n_nodes >= f->k_wanted && (double)f->k_effective >= f->k_wanted - 1e-3 &&
              (double)f->k_effective <= f->n_nodes + 1e-3);
        CHECK(f->n_single == f->leaves_of_size[0] && f->largest >= 196 / f->n_nodes && f->n_cut <= 1);
        CHECK(f->tree_s > 0 && f->select_s > 0);
    }
    int32_t over = 0, over_visible = 0; /* against what the frontier says */
    ehm_err err = {0};
    ehm_tree t;
    ehm_frontier f;
    bool flat;
    REQUIRE_OK(ehm_tree_new(&t, 196, &b.keep, &err), &err);
    REQUIRE_OK(ehm_frontier_new(&f, 196, &b.keep, &err), &err);
    b.in.n_masked = 4;
    draw(&b, 7);
    REQUIRE_OK(ehm_mask_tree(&t, &flat, &b.in, &b.scratch, &err), &err);
    ehm_mask_frontier(&f, NULL, &t, &b.in, &b.scratch);
    for (int32_t k = 0; k < f.n_nodes; k++)
        over += ehm_frontier_size(&f, k) > 4, over_visible += ehm_frontier_size(&f, k) > 192;
    CHECK_INT(b.mask.facts.n_nodes, f.n_nodes);
    CHECK_INT(b.mask.facts.n_over_masked, over);
    CHECK_INT(b.mask.facts.n_over_visible, over_visible);
    bench_free(&b);
}

/* Once the arena has grown, drawing asks for no memory. */
TEST(tree_mask, no_memory_once_grown) {
#ifdef EHM_ARENA_DEBUG
    SKIP("arenas are malloc by design in this build");
#endif
    bench b;
    bench_init(&b, 14, 14);
    for (uint64_t i = 0; i < 3; i++) draw(&b, i);
    size_t before = mallinfo2().uordblks, used = b.scratch.used_bytes;
    for (uint64_t i = 3; i < 20; i++) {
        draw(&b, i);
        CHECK_INT(b.scratch.used_bytes, used);
    }
    CHECK_INT(mallinfo2().uordblks, before);
    bench_free(&b);
}

TEST(tree_mask, shape) {
    /* ##..#    regions: of # 2 by 4-connection (the corner one apart), of . 1, perimeter by hand
     * #....
     * ....#  */
    int32_t masked[] = {0, 1, 4, 5, 14}, visible[] = {2, 3, 6, 7, 8, 9, 10, 11, 12, 13}, work[30];
    ehm_mask m = {.masked = masked, .n_masked = 5, .visible = visible, .n_visible = 10};
    ehm_mask_shape s;
    ehm_mask_shape_of(&s, &m, 3, 5, work);
    CHECK_INT(s.n_masked_regions, 3);
    CHECK_INT(s.n_visible_regions, 1);
    CHECK_INT(s.largest_masked_region, 3);
    CHECK_INT(s.perimeter,
              1 + 1 + 1 + 1 + 2 + 2); /* right of 1, right of 5, below 1, below 5, around 4, around 14 */
    m.n_masked = 0, m.n_visible = 15;
    ehm_mask_shape_of(&s, &m, 3, 5, work);
    CHECK(s.n_masked_regions == 0 && s.n_visible_regions == 1 && s.largest_masked_region == 0 &&
          s.perimeter == 0);
}
