/* Masks along trees on the CUDA back end, run on the host by tests/cuda_emu, against mask/: the same patches for all ways to cut and choose. */
#include "trees_desk.h"

static void same_lists(const char *what, const choice *c, const desk *k, int32_t i, const int32_t *visible, const int32_t *masked, const uint8_t *removed) {
    int32_t v = 0, m = 0;
    for (int32_t leaf = 0; leaf < k->n; leaf++)
        if (removed[leaf] ? masked[m++] != leaf : visible[v++] != leaf) {
            ehm_test_fail(__FILE__, __LINE__, "%s, %d leaves, sample %d (kind %d, k %d): %d masked (%d by nodes), effective %d, along %d: leaf %d",
                          what, k->n, i, i % k->pictures, c->k[i], c->m.n_masked, c->m.by_nodes, c->m.effective, c->m.along_tree, leaf);
            return;
        }
}
/* Each sample as ehm_mask_select_view gives it on the host's tree. */
static void same_choice(desk *k, choice *c, const ehm_tree *trees, const int32_t *states) {
    int32_t n = k->n, m = c->m.n_masked;
    ehm_arena scratch = {0};
    ehm_err err = {0};
    ehm_tree_masks(k->d, &c->m);
    int32_t *visible = fetch(k, c->m.visible), *masked = fetch(k, c->m.masked), *n_cut = fetch(k, c->m.n_cut);
    for (int32_t i = 0; i < c->views * k->pictures; i++) {
        int32_t j = i % k->pictures, want_cut;
        uint8_t removed[1024];
        ehm_frontier f;
        ehm_arena_reset(&scratch);
        ehm_mask_in in = {.n_views = c->views, .n_masked = m, .seed = c->seed, .epoch = c->epoch, .settings = &c->s};
        in.sample = c->first + (uint64_t)j;
        REQUIRE_OK(ehm_frontier_new(&f, n, &scratch, &err), &err);
        if (states[j] != EHM_TREES_OK || c->k[i] >= n) ehm_mask_frontier_of_leaves(&f, n);
        else if (c->m.effective) ehm_cut_effective(&f, &trees[j], c->k[i]);
        else ehm_cut_count(&f, &trees[j], c->k[i]);
        REQUIRE_OK(ehm_mask_select_view(removed, &want_cut, &f, &trees[j], m, &in, i / k->pictures, &scratch, &err), &err);
        same_lists("select", c, k, i, visible + i * (n - m), masked + i * m, removed);
        CHECK_INT(n_cut[i], want_cut);
    }
    ehm_arena_free(&scratch);
}
/* Of 48 ways every one in so many. */
static void some_masks_of(int32_t n, uint32_t step) {
    static const double ratios[] = {0.25, 0.5, 0.75, 0.9}, mixes[] = {0, 0.3, 1};
    desk k;
    ehm_tree trees[KINDS];
    int32_t states[KINDS], nodes[] = {1, 2, 3, 10, n / 4, n / 2, n - 1, n, n + 7, 0, -5};
    float *s = desk_open(&k, "cuda", n, KINDS, 3);
    ehm_trees(k.d, &k.t);
    for (int32_t j = 0; j < KINDS; j++) states[j] = host_tree(&trees[j], s + (int64_t)j * n * n, n, &k.a);
    for (uint32_t way = 0; way < 4 * 4 * 3; way += step) {
        choice c = {.views = 3, .seed = 11 + way + ((uint64_t)way << 40), .first = 0xfffffff0u, .epoch = way % 5, .s = *ehm_mask_settings_or(NULL)};
        int32_t m = n - ehm_mask_n_visible(n, ratios[way / 4 % 4]);
        c.s.cut = way % 2 ? EHM_CUT_COUNT : EHM_CUT_EFFECTIVE, c.s.boundary = way / 2 % 2 ? EHM_BOUNDARY_TREE : EHM_BOUNDARY_RANDOM;
        c.s.mix_random = mixes[way / 16];
        choice_make(&c, &k, m < 1 ? 1 : m > n - 1 ? n - 1 : m, nodes, (int32_t)(sizeof nodes / sizeof *nodes));
        same_choice(&k, &c, trees, states);
        choice_free(&k);
    }
    desk_close(&k);
}
static void masks_of(int32_t n) { some_masks_of(n, 1); }
TEST(cuda_trees, masks_as_select) {
    static const int32_t leaves[] = {2, 3, 5, 16, 17, 49};
    emulate("up");
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) masks_of(leaves[i]);
}
TEST(cuda_trees, masks_as_select_large) {
    emulate("up");
    masks_of(196);
    masks_of(400);
    if (!getenv("EHM_TEST_GPU")) return; /* what the host has no limits for */
    some_masks_of(768, 23);              /* as much shared memory as need not be asked for, were there not the kernel's own */
    some_masks_of(1024, 23);
}
TEST(cuda_trees, masks_for_every_k) {
    enum { N = 64 };
    int32_t nodes[N], states[KINDS];
    ehm_tree trees[KINDS];
    desk k;
    emulate("up");
    float *s = desk_open(&k, "cuda", N, KINDS_GOOD, 5);
    ehm_trees(k.d, &k.t);
    for (int32_t j = 0; j < KINDS_GOOD; j++) states[j] = host_tree(&trees[j], s + j * N * N, N, &k.a);
    for (int32_t i = 0; i < N; i++) nodes[i] = i + 1;
    for (int way = 0; way < 4; way++) {
        choice c = {.views = N / 2 + 1, .seed = (uint64_t)way, .first = 77, .s = *ehm_mask_settings_or(NULL)};
        c.s.cut = way % 2 ? EHM_CUT_COUNT : EHM_CUT_EFFECTIVE, c.s.boundary = way / 2 ? EHM_BOUNDARY_TREE : EHM_BOUNDARY_RANDOM;
        choice_make(&c, &k, N * 3 / 4, nodes, N - 1); /* of 14 kinds: 63 is no multiple, so all meet */
        same_choice(&k, &c, trees, states);
        choice_free(&k);
    }
    desk_close(&k);
}

/* What a run tells the device of a mask, and what it says of it afterwards, are the rule's own. */
static void as_the_rule_says(desk *k, const choice *c, const ehm_mask_in *in, const ehm_mask *want, const int32_t *keys) {
    ehm_mask_in alone = *in;
    ehm_mask_facts facts;
    ehm_err err = {0};
    uint32_t own[EHM_TREE_KEYS];
    ehm_tree tree;
    alone.n_views = 1;
    int32_t nodes = ehm_mask_numbers(own, &alone), state = host_tree(&tree, in->similarity, k->n, &k->a);
    CHECK_INT(nodes, want->facts.has_tree ? want->facts.k_wanted : k->n);
    CHECK(!memcmp(own, keys, sizeof own));
    REQUIRE_OK(ehm_mask_facts_of(&facts, &tree, state == EHM_TREES_FLAT, nodes, want->facts.n_cut, want, &c->s, &k->a, &err), &err);
    facts.tree_s = want->facts.tree_s, facts.select_s = want->facts.select_s;
    CHECK(facts.has_tree == want->facts.has_tree && facts.flat == want->facts.flat && facts.k_effective == want->facts.k_effective);
    CHECK(facts.n_nodes == want->facts.n_nodes && facts.largest == want->facts.largest && facts.n_single == want->facts.n_single);
    CHECK(facts.k_wanted == want->facts.k_wanted && facts.n_cut == want->facts.n_cut && facts.n_over_masked == want->facts.n_over_masked);
    CHECK(facts.n_over_visible == want->facts.n_over_visible && !memcmp(facts.leaves_of_size, want->facts.leaves_of_size, sizeof facts.leaves_of_size));
    CHECK(!memcmp(facts.removed_of_size, want->facts.removed_of_size, sizeof facts.removed_of_size));
}

/* The rule as a run calls it: two views of one picture, k by its schedule. */
TEST(cuda_trees, masks_as_the_rule) {
    enum { SIDE = 7, N = SIDE * SIDE, M = 37, VIEWS = 2 };
    ehm_err err = {0};
    const ehm_mask_rule *rule = ehm_mask_rule_find("ehm", NULL, &err);
    desk k;
    emulate("up");
    float *s = desk_open(&k, "cuda", N, KINDS_GOOD, 9);
    ehm_trees(k.d, &k.t);
    for (int32_t step = 0; step <= 8; step++) {
        choice c = {.views = VIEWS, .seed = 5, .first = 1000 * (uint64_t)step, .epoch = (uint32_t)step, .s = *ehm_mask_settings_or(NULL)};
        int32_t list[VIEWS][2][N], nodes[VIEWS * KINDS_GOOD];
        ehm_mask want[VIEWS * KINDS_GOOD];
        ehm_mask_in asked[KINDS_GOOD];
        uint8_t removed[VIEWS * KINDS_GOOD][N] = {{0}};
        c.s.boundary = step % 2 ? EHM_BOUNDARY_TREE : EHM_BOUNDARY_RANDOM, c.s.mix_random = step % 3 ? 0 : 0.25;
        for (int32_t j = 0; j < KINDS_GOOD; j++) {
            ehm_mask out[VIEWS] = {{.visible = list[0][0], .masked = list[0][1]}, {.visible = list[1][0], .masked = list[1][1]}};
            ehm_mask_in in = {.grid_h = SIDE, .grid_w = SIDE, .n_masked = M, .n_views = VIEWS, .progress_frac = (float)step / 8, .seed = c.seed,
                              .sample = c.first + (uint64_t)j, .epoch = c.epoch, .settings = &c.s, .similarity = s + j * N * N};
            REQUIRE_OK(ehm_mask_draw(rule, out, &in, &k.a, &err), &err);
            asked[j] = in;
            for (int32_t v = 0; v < VIEWS; v++) {
                int32_t i = v * KINDS_GOOD + j;
                want[i] = out[v], nodes[i] = out[v].facts.has_tree ? out[v].facts.k_wanted : N;
                for (int32_t at = 0; at < M; at++) removed[i][out[v].masked[at]] = 1;
            }
        }
        choice_make(&c, &k, M, nodes, VIEWS * KINDS_GOOD);
        ehm_tree_masks(k.d, &c.m);
        int32_t *visible = fetch(&k, c.m.visible), *masked = fetch(&k, c.m.masked), *n_cut = fetch(&k, c.m.n_cut);
        for (int32_t i = 0; i < VIEWS * KINDS_GOOD; i++) {
            same_lists("rule", &c, &k, i, visible + i * (N - M), masked + i * M, removed[i]);
            CHECK_INT(n_cut[i], want[i].facts.n_cut);
        }
        int32_t *keys = fetch(&k, c.m.keys), list_of[N];
        for (int32_t j = 0; j < KINDS_GOOD; j++) {
            ehm_mask mask = want[j]; /* its lists are gone by now: made again from the flags */
            mask.masked = list_of, mask.n_masked = 0;
            for (int32_t at = 0; at < N; at++)
                if (removed[j][at]) list_of[mask.n_masked++] = at;
            as_the_rule_says(&k, &c, &asked[j], &mask, keys + j * EHM_TREE_KEYS);
        }
        choice_free(&k);
    }
    desk_close(&k);
}

TEST(cuda_trees, routes) {
    enum { S = 2, V = 3, M = 2, L = V + M };
    static const int32_t visible[S][V] = {{0, 2, 4}, {1, 2, 3}}, masked[S][M] = {{1, 3}, {0, 4}};
    static const int32_t src[1 + V] = {-1, 0, 1, 2}, pos[S][1 + V] = {{0, 1, 3, 5}, {0, 2, 3, 4}}, pred[S][M] = {{2, 4}, {1, 5}};
    static const int32_t back[S][1 + L] = {{0, 1, -1, 2, -1, 3}, {0, -1, 1, 2, 3, -1}};
    ehm_err err = {0};
    desk k;
    emulate("up");
    desk_open(&k, "cuda", 5, 1, 1);
    ehm_mask_routes_args a = {.embed_idx = place(&k, EHM_I32, 2, S, V, 1, NULL), .src = place(&k, EHM_I32, 2, S, 1 + V, 1, NULL),
                              .pos_idx = place(&k, EHM_I32, 2, S, 1 + V, 1, NULL), .target_idx = place(&k, EHM_I32, 2, S, M, 1, NULL),
                              .back = place(&k, EHM_I32, 2, S, 1 + L, 1, NULL), .pred = place(&k, EHM_I32, 2, S, M, 1, NULL),
                              .visible = place(&k, EHM_I32, 2, S, V, 1, visible), .masked = place(&k, EHM_I32, 2, S, M, 1, masked)};
    ehm_mask_routes(k.d, &a);
    CHECK(!memcmp(fetch(&k, a.embed_idx), visible, sizeof visible) && !memcmp(fetch(&k, a.target_idx), masked, sizeof masked));
    const int32_t *got = fetch(&k, a.src);
    CHECK(!memcmp(got, src, sizeof src) && !memcmp(got + 1 + V, src, sizeof src));
    CHECK(!memcmp(fetch(&k, a.pos_idx), pos, sizeof pos) && !memcmp(fetch(&k, a.pred), pred, sizeof pred));
    CHECK(!memcmp(fetch(&k, a.back), back, sizeof back));
    CHECK_OK(ehm_dev_check(k.d, &err), &err);
    ehm_view right = a.back;
    a.back = a.pred;
    ehm_mask_routes(k.d, &a);
    CHECK_FAILS(ehm_dev_check(k.d, &err), &err, EHM_E_ARG, "mask_routes: ");
    ehm_dev_reset_error(k.d), ehm_err_clear(&err);
    a.back = right, a.src.dim[1] = V;
    ehm_mask_routes(k.d, &a);
    CHECK_FAILS(ehm_dev_check(k.d, &err), &err, EHM_E_ARG, "columns of src is 3 but what the lists ask for is 4");
    ehm_dev_reset_error(k.d);
    desk_close(&k);
}
