#include "harness.h"
#include "hierarchy/tree.h"
#include "hierarchy/tree_int.h"
#include <float.h>

/* One place for everything a build needs, in the type asked for. */
typedef struct {
    ehm_arena arena;
    ehm_tree t;
    ehm_err err;
    ehm_dtype type;
    int32_t n;
    void *S, *work;
} bench;

static bench bench_new(int32_t n, ehm_linkage l, ehm_dtype type) {
    bench b = {.type = type, .n = n};
    REQUIRE_OK(ehm_tree_new(&b.t, n, &b.arena, &b.err), &b.err);
    b.S = ehm_arena_alloc(&b.arena, (size_t)n * (size_t)n, ehm_dtype_size(type));
    b.work = ehm_arena_alloc(&b.arena, 1, ehm_tree_work_bytes(n, l, type));
    REQUIRE(b.S && b.work);
    return b;
}
static void put(bench *b, int i, int j, double v) {
    if (b->type == EHM_F64) ((double *)b->S)[i * b->n + j] = v;
    else ((float *)b->S)[i * b->n + j] = (float)v;
}
static double get(const bench *b, int i, int j) {
    return b->type == EHM_F64 ? ((double *)b->S)[i * b->n + j] : (double)((float *)b->S)[i * b->n + j];
}
static ehm_code build(bench *b, ehm_linkage l, uint32_t flags) {
    return ehm_tree_build(&b->t, b->S, b->type, b->n, l, flags, b->work, &b->err);
}

/* The hash of tools/golden/tree.py. */
static uint32_t hash3(uint32_t seed, uint32_t i, uint32_t j) {
    uint32_t h = seed * 0x9E3779B1u + i * 0x85EBCA77u + j * 0xC2B2AE3Du;
    h = (h ^ h >> 15) * 0x2C1B3C6Du;
    h = (h ^ h >> 12) * 0x297A2D39u;
    return h ^ h >> 15;
}
/* modulus 0: real; else integers; flat: 3. The diagonal is filled with what must not matter. */
enum { FLAT = -1 };
static void fill(bench *b, uint32_t seed, int modulus) {
    for (int i = 0; i < b->n; i++) {
        put(b, i, i, i % 2 ? (double)NAN : 1e30);
        for (int j = i + 1; j < b->n; j++) {
            uint32_t h = hash3(seed, (uint32_t)i, (uint32_t)j);
            double v = modulus == FLAT ? 3 : modulus ? h % (uint32_t)modulus : (h >> 9) / 16777216.0 + (i / 7 == j / 7 ? 0.5 : 0);
            put(b, i, j, v), put(b, j, i, v);
        }
    }
}
static uint32_t topology_hash(const ehm_tree *t) {
    uint32_t h = 0x811C9DC5u;
    for (int k = 0; k < t->n - 1; k++) {
        h = (h ^ (uint32_t)t->left[k]) * 0x01000193u;
        h = (h ^ (uint32_t)t->right[k]) * 0x01000193u;
        h = (h ^ (uint32_t)t->size[k]) * 0x01000193u;
    }
    return h;
}
static bool same_tree(const ehm_tree *a, const ehm_tree *b, bool heights) {
    size_t m = (size_t)(a->n - 1);
    return a->n == b->n && !memcmp(a->left, b->left, m * sizeof *a->left) && !memcmp(a->right, b->right, m * sizeof *a->right) &&
           !memcmp(a->size, b->size, m * sizeof *a->size) && (!heights || !memcmp(a->height, b->height, m * sizeof *a->height));
}

/* ---- SciPy ---- */
static void compare(FILE *f, bench *b, ehm_linkage l, const char *kind, bool topology) {
    char word[64];
    int n = b->n;
    double worst = 0, largest = 0;
    long at = ftell(f);
    for (int k = 0; k < n - 1; k++) largest = fmax(largest, b->t.height[k]);
    REQUIRE(fscanf(f, "%63s", word) == 1);
    if (!strcmp(word, "sum")) {
        unsigned hash;
        REQUIRE(fscanf(f, "%u", &hash) == 1);
        if (topology && hash != topology_hash(&b->t))
            ehm_test_fail(__FILE__, __LINE__, "%s, %d leaves, %s, %s: topology differs", kind, n, ehm_linkage_name(l), ehm_dtype_name(b->type));
        for (int k = 0; k < n - 1; k += 10) {
            REQUIRE(fscanf(f, "%63s", word) == 1);
            if (topology || l != EHM_LINK_CENTROID) worst = fmax(worst, fabs(strtod(word, NULL) - b->t.height[k]));
        }
        REQUIRE(fscanf(f, "%63s", word) == 1);
        worst = fmax(worst, fabs(strtod(word, NULL) - b->t.height[n - 2]));
    } else {
        REQUIRE(!fseek(f, at, SEEK_SET));
        for (int k = 0; k < n - 1; k++) {
            int a, c, size;
            REQUIRE(fscanf(f, "%d %d %63s %d", &a, &c, word, &size) == 4);
            worst = fmax(worst, fabs(strtod(word, NULL) - b->t.height[k]));
            if (topology && (a != b->t.left[k] || c != b->t.right[k] || size != b->t.size[k])) {
                ehm_test_fail(__FILE__, __LINE__, "%s, %d leaves, %s, %s: merge %d is (%d, %d, %d), expected (%d, %d, %d)", kind, n,
                              ehm_linkage_name(l), ehm_dtype_name(b->type), k, b->t.left[k], b->t.right[k], b->t.size[k], a, c, size);
                topology = false; /* once is enough */
            }
        }
    }
    if (worst > 1e-6 * largest)
        ehm_test_fail(__FILE__, __LINE__, "%s, %d leaves, %s, %s: a height is off by %g of %g", kind, n, ehm_linkage_name(l),
                      ehm_dtype_name(b->type), worst, largest);
}

static void against_scipy(const char *which, ehm_dtype type) {
    FILE *f = fopen(ehm_test_path("tests/golden/tree/trees.txt"), "r");
    char kind[16], name[16], line[64];
    unsigned seed;
    int n, n_trees = 0;
    double gap;
    REQUIRE(f);
    while (fscanf(f, " %63s", line) == 1) {
        if (strcmp(line, "tree")) {
            REQUIRE(fscanf(f, "%*[^\n]") >= 0);
            continue;
        }
        REQUIRE(fscanf(f, "%15s %u %d %15s %lf", kind, &seed, &n, name, &gap) == 5);
        if (strncmp(kind, which, strlen(which))) continue;
        ehm_linkage l = EHM_LINKAGES;
        ehm_err err = {0};
        REQUIRE_OK(ehm_linkage_find(&l, name, &err), &err);
        /* Ties are between sums in double; rounded to float they may break otherwise, but where no arithmetic is done. */
        if (!strcmp(which, "tied") && type == EHM_F32 && (l == EHM_LINK_AVERAGE || l == EHM_LINK_WEIGHTED)) continue;
        bench b = bench_new(n, l, type);
        fill(&b, seed, !strcmp(kind, "real") ? 0 : !strcmp(kind, "flat") ? FLAT : atoi(kind + 4));
        CHECK_OK(build(&b, l, 0), &b.err);
        compare(f, &b, l, kind, strcmp(kind, "real") || gap > 1e-6);
        ehm_arena_free(&b.arena);
        n_trees++;
    }
    fclose(f);
    CHECK(n_trees >= 18);
}
TEST(tree, scipys_trees_in_double) { against_scipy("real", EHM_F64); }
TEST(tree, scipys_trees_in_float) { against_scipy("real", EHM_F32); }
TEST(tree, scipys_trees_of_tied_integers) {
    against_scipy("tied", EHM_F64);
    against_scipy("tied", EHM_F32);
}
TEST(tree, scipys_trees_of_a_constant) {
    against_scipy("flat", EHM_F64);
    against_scipy("flat", EHM_F32);
}

/* ---- the definition: always join the two nearest, distances from the leaves ---- */
typedef struct { int size; int leaf[64]; } set;

static double naive_distance(const bench *b, ehm_linkage l, double c, const set *p, const set *q, const double *v) {
    double sum = 0, least = DBL_MAX, most = 0, gap = 0;
    for (int i = 0; i < p->size; i++)
        for (int j = 0; j < q->size; j++) {
            double d = c - get(b, p->leaf[i], q->leaf[j]);
            sum += d, least = fmin(least, d), most = fmax(most, d);
        }
    if (l == EHM_LINK_SINGLE) return least;
    if (l == EHM_LINK_COMPLETE) return most;
    if (l == EHM_LINK_AVERAGE) return sum / (p->size * q->size);
    for (int x = 0; x < b->n; x++) { /* centres of the sets */
        double mp = 0, mq = 0;
        for (int i = 0; i < p->size; i++) mp += v[p->leaf[i] * b->n + x] / p->size;
        for (int j = 0; j < q->size; j++) mq += v[q->leaf[j] * b->n + x] / q->size;
        gap += (mp - mq) * (mp - mq);
    }
    return l == EHM_LINK_CENTROID ? sqrt(gap) : sqrt(2.0 * p->size * q->size / (p->size + q->size) * gap);
}

static void check_greedy(ehm_linkage l, uint32_t seed, int n) {
    bench b = bench_new(n, l, EHM_F64);
    set *s = calloc((size_t)(2 * n), sizeof *s);
    double *d = calloc((size_t)(4 * n * n), sizeof *d), *v = calloc((size_t)(n * n), sizeof *v), c = -DBL_MAX;
    bool *live = calloc((size_t)(2 * n), sizeof *live);
    fill(&b, seed, 0);
    CHECK_OK(build(&b, l, 0), &b.err);
    for (int i = 0; i < n; i++) {
        s[i] = (set){1, {i}}, live[i] = true;
        for (int j = 0; j < n; j++)
            if (j != i) c = fmax(c, get(&b, i, j)), v[i * n + j] = get(&b, i, j), v[i * n + i] += get(&b, i, j) / (n - 1);
    }
    CHECK(b.t.offset == (l == EHM_LINK_WARD || l == EHM_LINK_CENTROID ? 0 : c));
    for (int k = 0; k < n - 1; k++) {
        int bi = -1, bj = -1, w = n + k;
        double best = DBL_MAX;
        for (int i = 0; i < w; i++)
            for (int j = i + 1; j < w; j++) {
                if (!live[i] || !live[j]) continue;
                /* Weighted linkage is defined by its update alone. */
                double x = l == EHM_LINK_WEIGHTED && j >= n ? d[i * 2 * n + j] : naive_distance(&b, l == EHM_LINK_WEIGHTED ? EHM_LINK_SINGLE : l, c, &s[i], &s[j], v);
                d[i * 2 * n + j] = d[j * 2 * n + i] = x;
                if (x < best) best = x, bi = i, bj = j;
            }
        if (bi != b.t.left[k] || bj != b.t.right[k] || fabs(best - b.t.height[k]) > 1e-9)
            ehm_test_fail(__FILE__, __LINE__, "%s, seed %u, %d leaves: merge %d is (%d, %d) at %.12g, greedily (%d, %d) at %.12g", ehm_linkage_name(l),
                          seed, n, k, b.t.left[k], b.t.right[k], b.t.height[k], bi, bj, best);
        for (int i = 0; i < w; i++) d[i * 2 * n + w] = d[w * 2 * n + i] = (d[i * 2 * n + bi] + d[i * 2 * n + bj]) / 2;
        s[w].size = s[bi].size + s[bj].size;
        memcpy(s[w].leaf, s[bi].leaf, sizeof(int) * (size_t)s[bi].size);
        memcpy(s[w].leaf + s[bi].size, s[bj].leaf, sizeof(int) * (size_t)s[bj].size);
        live[bi] = live[bj] = false, live[w] = true;
        CHECK_INT(b.t.size[k], s[w].size);
    }
    free(s), free(d), free(v), free(live);
    ehm_arena_free(&b.arena);
}
TEST(tree, joins_the_nearest_by_the_definition) {
    for (int l = 0; l < EHM_LINKAGES; l++)
        for (uint32_t seed = 1; seed <= 12; seed++) check_greedy((ehm_linkage)l, (uint32_t)ehm_test_seed() * 100 + seed, 2 + (int)seed * 3 / 2);
}

/* ---- shape ---- */
static void check_shape(const ehm_tree *t, bool monotone) {
    int n = t->n;
    bool *used = calloc((size_t)(2 * n), sizeof *used);
    for (int k = 0; k < n - 1; k++) {
        int a = t->left[k], c = t->right[k], size = 0;
        REQUIRE(a >= 0 && a < c && c < n + k);
        CHECK(!used[a] && !used[c]);
        used[a] = used[c] = true;
        size += a < n ? 1 : t->size[a - n];
        size += c < n ? 1 : t->size[c - n];
        CHECK_INT(t->size[k], size);
        if (monotone && k) CHECK(t->height[k] >= t->height[k - 1]);
    }
    if (n > 1) CHECK_INT(t->size[n - 2], n);
    free(used);
}
TEST(tree, sizes_add_up_and_heights_never_fall) {
    const int n_of[] = {2, 3, 7, 8, 9, 31, 32, 33, 64, 127, 128, 196, 257};
    for (int l = 0; l < EHM_LINKAGES; l++)
        for (size_t i = 0; i < sizeof n_of / sizeof *n_of; i++)
            for (int type = 0; type < 2; type++) {
                bench b = bench_new(n_of[i], (ehm_linkage)l, type ? EHM_F64 : EHM_F32);
                for (int modulus = 0; modulus < 4; modulus += 3) {
                    fill(&b, 7 + (uint32_t)i, modulus);
                    CHECK_OK(build(&b, (ehm_linkage)l, 0), &b.err);
                    check_shape(&b.t, l != EHM_LINK_CENTROID);
                }
                ehm_arena_free(&b.arena);
            }
}
TEST(tree, one_item_has_no_merge) {
    for (int l = 0; l < EHM_LINKAGES; l++) {
        bench b = bench_new(1, (ehm_linkage)l, EHM_F32);
        put(&b, 0, 0, (double)NAN);
        CHECK_OK(build(&b, (ehm_linkage)l, 0), &b.err);
        CHECK_INT(b.t.n, 1);
        CHECK(b.t.offset == 0);
        ehm_tree_z(NULL, &b.t);
        ehm_arena_free(&b.arena);
    }
}
TEST(tree, as_large_as_it_goes) {
    bench b = bench_new(EHM_TREE_LEAVES_MAX, EHM_LINK_AVERAGE, EHM_F32);
    fill(&b, 5, 0);
    REQUIRE_OK(build(&b, EHM_LINK_AVERAGE, 0), &b.err);
    check_shape(&b.t, true);
    ehm_arena_free(&b.arena);
}
TEST(tree, float_and_double_agree) {
    for (int l = 0; l < EHM_LINKAGES; l++) {
        bench a = bench_new(196, (ehm_linkage)l, EHM_F32), b = bench_new(196, (ehm_linkage)l, EHM_F64);
        fill(&a, 21, 0), fill(&b, 21, 0);
        CHECK_OK(build(&a, (ehm_linkage)l, 0), &a.err);
        CHECK_OK(build(&b, (ehm_linkage)l, 0), &b.err);
        for (int k = 0; k < 195; k++) CHECK_NEAR(a.t.height[k], b.t.height[k], 1e-6 * b.t.height[194]);
        ehm_arena_free(&a.arena), ehm_arena_free(&b.arena);
    }
}

/* Leaves under other names: the same clusters at the same heights. */
TEST(tree, other_names_change_names_only) {
    enum { N = 60 };
    for (int l = 0; l < EHM_LINKAGES; l++) {
        bench a = bench_new(N, (ehm_linkage)l, EHM_F64), b = bench_new(N, (ehm_linkage)l, EHM_F64);
        uint64_t set_a[2 * N], set_b[2 * N];
        fill(&a, 33, 0);
        for (int i = 0; i < N; i++) {
            set_a[i] = (uint64_t)1 << (i * 7 + 3) % N, set_b[i] = (uint64_t)1 << i;
            for (int j = 0; j < N; j++) put(&b, (i * 7 + 3) % N, (j * 7 + 3) % N, get(&a, i, j));
        }
        CHECK_OK(build(&a, (ehm_linkage)l, 0), &a.err);
        CHECK_OK(build(&b, (ehm_linkage)l, 0), &b.err);
        for (int k = 0; k < N - 1; k++) {
            set_a[N + k] = set_a[a.t.left[k]] | set_a[a.t.right[k]], set_b[N + k] = set_b[b.t.left[k]] | set_b[b.t.right[k]];
            if (set_a[N + k] != set_b[N + k]) ehm_test_fail(__FILE__, __LINE__, "%s: merge %d holds other leaves", ehm_linkage_name((ehm_linkage)l), k);
            CHECK_NEAR(a.t.height[k], b.t.height[k], 1e-12);
        }
        ehm_arena_free(&a.arena), ehm_arena_free(&b.arena);
    }
}

/* ---- the same bits ---- */
TEST(tree, portable_and_vector_loops_agree_to_the_bit) {
    const ehm_tree_kern *fast = ehm_tree_avx2();
    if (!fast) SKIP("no AVX2 here");
    for (int l = 0; l < EHM_LINKAGES; l++)
        for (int n = 2; n < 240; n = n < 40 ? n + 1 : n + 37)
            for (int type = 0; type < 2; type++) {
                bench b = bench_new(n, (ehm_linkage)l, type ? EHM_F64 : EHM_F32), c = bench_new(n, (ehm_linkage)l, b.type);
                for (int modulus = 0; modulus < 12; modulus += 5) {
                    fill(&b, (uint32_t)n, modulus);
                    CHECK_OK(ehm_tree_build_with(fast, &b.t, b.S, b.type, n, (ehm_linkage)l, 0, b.work, &b.err), &b.err);
                    CHECK_OK(ehm_tree_build_with(&ehm_tree_generic, &c.t, b.S, b.type, n, (ehm_linkage)l, 0, c.work, &c.err), &c.err);
                    if (!same_tree(&b.t, &c.t, true))
                        ehm_test_fail(__FILE__, __LINE__, "%s, %d leaves, %s: portable and vector loops differ", ehm_linkage_name((ehm_linkage)l), n,
                                      ehm_dtype_name(b.type));
                    ehm_similarity_range p, q;
                    bool exact;
                    memset(&p, 0, sizeof p), memset(&q, 0, sizeof q);
                    CHECK_OK(ehm_similarity_check_with(fast, &p, &exact, b.S, b.type, n, 0, &b.err), &b.err);
                    CHECK(exact);
                    CHECK_OK(ehm_similarity_check_with(&ehm_tree_generic, &q, &exact, b.S, b.type, n, 0, &b.err), &b.err);
                    CHECK(!memcmp(&p, &q, sizeof p));
                }
                ehm_arena_free(&b.arena), ehm_arena_free(&c.arena);
            }
}
/* Zeros of either sign, the largest values there are: a distance of -0 would be sorted behind all others, and its merge behind those made of it. */
TEST(tree, zeros_of_either_sign) {
    const ehm_tree_kern *kern[] = {&ehm_tree_generic, ehm_tree_avx2()};
    for (int k = 0; k < 2 && kern[k]; k++)
        for (int l = 0; l < EHM_LINKAGES; l++)
            for (uint32_t seed = 0; seed < 40; seed++) {
                int n = 20;
                bench b = bench_new(n, (ehm_linkage)l, seed % 2 ? EHM_F64 : EHM_F32), plain = bench_new(n, (ehm_linkage)l, b.type);
                for (int i = 0; i < n; i++)
                    for (int j = 0; j < n; j++) {
                        uint32_t h = hash3(seed, (uint32_t)(i < j ? i : j), (uint32_t)(i < j ? j : i)) % 4;
                        put(&b, i, j, h == 0 ? -0.0 : h == 1 ? 0 : -(double)h), put(&plain, i, j, h < 2 ? 0 : -(double)h);
                    }
                CHECK_OK(ehm_tree_build_with(kern[k], &b.t, b.S, b.type, n, (ehm_linkage)l, 0, b.work, &b.err), &b.err);
                CHECK_OK(ehm_tree_build_with(kern[k], &plain.t, plain.S, b.type, n, (ehm_linkage)l, 0, plain.work, &plain.err), &plain.err);
                CHECK(same_tree(&b.t, &plain.t, true) && !signbit(b.t.offset));
                for (int m = 0; m < n - 1; m++) REQUIRE(b.t.left[m] < b.t.right[m] && b.t.right[m] < n + m);
                ehm_arena_free(&b.arena), ehm_arena_free(&plain.arena);
            }
}
TEST(tree, many_at_once_are_the_same_as_one_by_one) {
    enum { N = 49, TREES = 23 };
    for (int l = 0; l < EHM_LINKAGES; l += 2) {
        ehm_pool *pool = NULL;
        bench b = bench_new(N, (ehm_linkage)l, EHM_F32);
        ehm_tree t[TREES];
        float *S = EHM_NEW_N(&b.arena, float, TREES * N * N);
        size_t bytes = (ehm_tree_work_bytes(N, (ehm_linkage)l, EHM_F32) + 63) & ~(size_t)63;
        REQUIRE_OK(ehm_pool_open(&pool, 3, &b.err), &b.err);
        void *work = ehm_arena_alloc(&b.arena, 3, bytes);
        for (int i = 0; i < TREES; i++) {
            REQUIRE_OK(ehm_tree_new(&t[i], N, &b.arena, &b.err), &b.err);
            fill(&b, 100 + (uint32_t)i, i % 3 ? 0 : 5);
            memcpy(S + i * N * N, b.S, sizeof(float) * N * N);
        }
        REQUIRE_OK(ehm_tree_build_batch(t, S, EHM_F32, TREES, N, (ehm_linkage)l, 0, work, pool, &b.err), &b.err);
        for (int i = 0; i < TREES; i++) {
            memcpy(b.S, S + i * N * N, sizeof(float) * N * N);
            CHECK_OK(build(&b, (ehm_linkage)l, 0), &b.err);
            CHECK(same_tree(&b.t, &t[i], true));
            CHECK(b.t.offset == t[i].offset);
        }
        S[9 * N * N + 5 * N + 2] = INFINITY, S[17 * N * N + 1] = (float)NAN;
        CHECK_FAILS(ehm_tree_build_batch(t, S, EHM_F32, TREES, N, (ehm_linkage)l, 0, work, pool, &b.err), &b.err, EHM_E_ARG, "building tree 9 of 23");
        CHECK_FAILS(ehm_tree_build_batch(t, S, EHM_F32, TREES, N, (ehm_linkage)l, 0, work, NULL, &b.err), &b.err, EHM_E_ARG, "similarity (5, 2) is inf");
        CHECK_FAILS(ehm_tree_build_batch(t, S, EHM_F32, -1, N, (ehm_linkage)l, 0, work, pool, &b.err), &b.err, EHM_E_ARG, "-1 trees");
        ehm_err_clear(&b.err);
        CHECK_OK(ehm_tree_build_batch(t, S, EHM_F32, 0, N, (ehm_linkage)l, 0, work, pool, &b.err), &b.err);
        ehm_pool_close(pool);
        ehm_arena_free(&b.arena);
    }
}

/* ---- bad input ---- */
TEST(tree, bad_matrices_are_refused_by_entry) {
    const int n_of[] = {2, 6, 8, 21, 32, 51};
    for (int l = 0; l < EHM_LINKAGES; l += 2)
        for (size_t q = 0; q < sizeof n_of / sizeof *n_of; q++)
            for (int type = 0; type < 2; type++) {
                int n = n_of[q];
                bench b = bench_new(n, (ehm_linkage)l, type ? EHM_F64 : EHM_F32);
                fill(&b, 3, 0);
                for (int i = 0; i < n; i++)
                    for (int j = 0; j < n; j++) {
                        char text[64];
                        double was = get(&b, i, j);
                        if (i == j) continue;
                        put(&b, i, j, (double)NAN);
                        snprintf(text, sizeof text, "similarity (%d, %d) is ", i, j);
                        CHECK_FAILS(build(&b, (ehm_linkage)l, 0), &b.err, EHM_E_ARG, text);
                        CHECK_FAILS(build(&b, (ehm_linkage)l, EHM_TREE_SYMMETRISE), &b.err, EHM_E_ARG, "nan");
                        put(&b, i, j, -(double)INFINITY);
                        CHECK_FAILS(build(&b, (ehm_linkage)l, 0), &b.err, EHM_E_ARG, "is -inf");
                        put(&b, j, i, -(double)INFINITY);
                        CHECK_FAILS(build(&b, (ehm_linkage)l, 0), &b.err, EHM_E_ARG, "is -inf");
                        put(&b, j, i, was), put(&b, i, j, was + 0.01);
                        snprintf(text, sizeof text, "similarity (%d, %d) is ", i < j ? i : j, i < j ? j : i);
                        CHECK_FAILS(build(&b, (ehm_linkage)l, 0), &b.err, EHM_E_ARG, text);
                        CHECK_HAS(b.err.hint, "--symmetrise");
                        put(&b, i, j, was);
                    }
                ehm_err_clear(&b.err);
                CHECK_OK(build(&b, (ehm_linkage)l, 0), &b.err);
                ehm_arena_free(&b.arena);
            }
}
TEST(tree, bad_arguments_are_refused) {
    bench b = bench_new(4, EHM_LINK_WARD, EHM_F64);
    ehm_linkage l;
    fill(&b, 1, 0);
    CHECK_FAILS(ehm_tree_new(&b.t, 0, &b.arena, &b.err), &b.err, EHM_E_ARG, "a tree over 0 items: 1 to 4096");
    CHECK_FAILS(ehm_tree_new(&b.t, 4097, &b.arena, &b.err), &b.err, EHM_E_ARG, "4097");
    CHECK_FAILS(ehm_tree_build(&b.t, b.S, EHM_F64, -3, EHM_LINK_WARD, 0, b.work, &b.err), &b.err, EHM_E_ARG, "-3 items");
    CHECK_FAILS(ehm_tree_build(&b.t, b.S, EHM_I32, 4, EHM_LINK_WARD, 0, b.work, &b.err), &b.err, EHM_E_ARG, "type i32");
    CHECK_FAILS(ehm_tree_build(&b.t, b.S, EHM_F64, 4, EHM_LINKAGES, 0, b.work, &b.err), &b.err, EHM_E_ARG, "linkage number 6");
    CHECK_FAILS(ehm_linkage_find(&l, "avrage", &b.err), &b.err, EHM_E_CONFIG, "did you mean average?");
    CHECK_FAILS(ehm_linkage_find(&l, "", &b.err), &b.err, EHM_E_CONFIG, "none of single, complete");
    for (int i = 0; i < EHM_LINKAGES; i++) {
        ehm_err_clear(&b.err);
        CHECK_OK(ehm_linkage_find(&l, ehm_linkage_name((ehm_linkage)i), &b.err), &b.err);
        CHECK_INT(l, i);
    }
    b.arena.limit_bytes = b.arena.used_bytes + 1;
    CHECK_FAILS(ehm_tree_new(&b.t, 4, &b.arena, &b.err), &b.err, EHM_E_MEMORY, "no memory");
    put(&b, 0, 1, 1e200), put(&b, 1, 0, 1e200);
    CHECK_FAILS(build(&b, EHM_LINK_WARD, 0), &b.err, EHM_E_ARG, "1e150");
    ehm_err_clear(&b.err);
    CHECK_OK(build(&b, EHM_LINK_AVERAGE, 0), &b.err);
    put(&b, 0, 1, 1.7e308), put(&b, 1, 0, 1.7e308), put(&b, 2, 3, -1.7e308), put(&b, 3, 2, -1.7e308);
    CHECK_FAILS(build(&b, EHM_LINK_AVERAGE, 0), &b.err, EHM_E_ARG, "do not fit f64");
    ehm_arena_free(&b.arena);
}
/* Rounding noise is allowed and averaged, and the flag averages anything. */
TEST(tree, asymmetry_is_averaged) {
    enum { N = 40 };
    for (int l = 0; l < EHM_LINKAGES; l++) {
        bench a = bench_new(N, (ehm_linkage)l, EHM_F64), b = bench_new(N, (ehm_linkage)l, EHM_F64);
        for (int big = 0; big < 2; big++) {
            fill(&a, 9, 0);
            for (int i = 0; i < N; i++)
                for (int j = i + 1; j < N; j++) {
                    double e = (big ? 0.25 : 1e-5) * (hash3(1, (uint32_t)i, (uint32_t)j) % 1024 / 1024.0);
                    put(&b, i, j, get(&a, i, j) + e), put(&b, j, i, get(&a, i, j) - e);
                    put(&a, i, j, get(&b, i, j) / 2 + get(&b, j, i) / 2), put(&a, j, i, get(&a, i, j));
                }
            CHECK_OK(build(&a, (ehm_linkage)l, 0), &a.err);
            CHECK_OK(build(&b, (ehm_linkage)l, big ? EHM_TREE_SYMMETRISE : 0), &b.err);
            CHECK(same_tree(&a.t, &b.t, true));
        }
        ehm_arena_free(&a.arena), ehm_arena_free(&b.arena);
    }
}

/* Vouched for, a symmetric matrix gives the same bits; what is not finite is still refused; what is not symmetric gives a tree. */
TEST(tree, a_vouched_for_matrix) {
    const ehm_tree_kern *kern[] = {&ehm_tree_generic, ehm_tree_avx2()};
    for (int which = 0; which < 2; which++)
        for (int l = 0; l < EHM_LINKAGES; l++)
            for (int n = 1; n < 120; n = n < 20 ? n + 1 : n + 23) {
                if (!kern[which]) continue;
                bench a = bench_new(n, (ehm_linkage)l, n % 2 ? EHM_F32 : EHM_F64), b = bench_new(n, (ehm_linkage)l, a.type);
                fill(&a, 12, n % 3 ? 0 : 5);
                CHECK_OK(ehm_tree_build_with(kern[which], &a.t, a.S, a.type, n, (ehm_linkage)l, 0, a.work, &a.err), &a.err);
                CHECK_OK(ehm_tree_build_with(kern[which], &b.t, a.S, a.type, n, (ehm_linkage)l, EHM_TREE_TRUSTED, b.work, &b.err), &b.err);
                CHECK(same_tree(&a.t, &b.t, true));
                CHECK(a.t.offset == b.t.offset);
                for (int i = 0; i < n; i++)
                    for (int j = 0; j < n; j++)
                        if (i != j) put(&a, i, j, hash3((uint32_t)n, (uint32_t)i, (uint32_t)j) % 977);
                CHECK_OK(ehm_tree_build_with(kern[which], &a.t, a.S, a.type, n, (ehm_linkage)l, EHM_TREE_TRUSTED, a.work, &a.err), &a.err);
                for (int at = 0; at < 4 && n > 1; at++) {
                    int i = at < 2 ? 0 : n - 1, j = at % 2 ? n / 2 : i ? 0 : n - 1;
                    if (i == j) continue;
                    double was = get(&a, i, j);
                    put(&a, i, j, at % 2 ? (double)NAN : (double)INFINITY);
                    char text[64];
                    snprintf(text, sizeof text, "similarity (%d, %d) is ", i, j);
                    CHECK_FAILS(ehm_tree_build_with(kern[which], &a.t, a.S, a.type, n, (ehm_linkage)l, EHM_TREE_TRUSTED, a.work, &a.err), &a.err,
                                EHM_E_ARG, text);
                    put(&a, i, j, was);
                }
                ehm_arena_free(&a.arena), ehm_arena_free(&b.arena);
            }
}

/* ---- Z ---- */
TEST(tree, z_there_and_back) {
    enum { N = 30 };
    bench b = bench_new(N, EHM_LINK_CENTROID, EHM_F64);
    ehm_tree t;
    double z[4 * (N - 1)], was[4 * (N - 1)];
    fill(&b, 2, 0);
    REQUIRE_OK(ehm_tree_new(&t, N, &b.arena, &b.err), &b.err);
    REQUIRE_OK(build(&b, EHM_LINK_CENTROID, 0), &b.err);
    ehm_tree_z(z, &b.t);
    memcpy(was, z, sizeof z);
    CHECK_OK(ehm_tree_from_z(&t, z, N, &b.err), &b.err);
    CHECK(same_tree(&t, &b.t, true));
    z[40] = was[41], z[41] = was[40]; /* columns the other way round are put right */
    CHECK_OK(ehm_tree_from_z(&t, z, N, &b.err), &b.err);
    CHECK(same_tree(&t, &b.t, true));
    const struct { int at; double v; const char *words; } bad[] = {
        {0, -1, "row 0 is no merge: id -1"},          {1, 0.5, "row 0 is no merge: id 0.5"}, {1, N, "row 0 is no merge: id 30 is not one of the nodes 0 to 29"},
        {0, (double)NAN, "row 0 is no merge: id nan"}, {2, -1, "row 0 is no merge: its height is -1"}, {42, (double)INFINITY, "row 10 is no merge: its height is inf"},
        {3, 3, "row 0 is no merge: its size is 3, but the two nodes hold 2"}, {4 * (N - 2), was[0], "was merged before"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memcpy(z, was, sizeof z);
        z[bad[i].at] = bad[i].v;
        CHECK_FAILS(ehm_tree_from_z(&t, z, N, &b.err), &b.err, EHM_E_FORMAT, bad[i].words);
    }
    CHECK_FAILS(ehm_tree_from_z(&t, z, 0, &b.err), &b.err, EHM_E_ARG, "0 items");
    ehm_arena_free(&b.arena);
}

/* ---- the matrix ---- */
TEST(similarity, range_and_flatness) {
    bench b = bench_new(13, EHM_LINK_AVERAGE, EHM_F32);
    ehm_similarity_range r;
    for (int i = 0; i < 13; i++)
        for (int j = 0; j < 13; j++) put(&b, i, j, i == j ? 100 : i + j == 3 ? -8 : i + j == 9 ? 4 : 1);
    CHECK_OK(ehm_similarity_check(&r, b.S, EHM_F32, 13, 0, &b.err), &b.err);
    CHECK(r.min == -8 && r.max == 4 && r.max_abs == 8 && !ehm_similarity_is_flat(&r));
    CHECK(ehm_similarity_is_flat(&(ehm_similarity_range){0, 0, 0}));
    CHECK(ehm_similarity_is_flat(&(ehm_similarity_range){1e3, 1e3 + 0.9e-3, 1e3 + 0.9e-3}));
    CHECK(!ehm_similarity_is_flat(&(ehm_similarity_range){1e3, 1e3 + 1.1e-3, 1e3 + 1.1e-3}));
    CHECK_FAILS(ehm_similarity_check(&r, b.S, EHM_U8, 13, 0, &b.err), &b.err, EHM_E_ARG, "type u8");
    ehm_err_clear(&b.err);
    CHECK_OK(ehm_similarity_check(&r, b.S, EHM_F32, 1, 0, &b.err), &b.err);
    CHECK(r.max_abs == 0 && ehm_similarity_is_flat(&r));
    ehm_arena_free(&b.arena);
}
TEST(similarity, balanced_rows_agree) {
    enum { N = 50 };
    bench b = bench_new(N, EHM_LINK_AVERAGE, EHM_F32);
    float work[N], *S = b.S;
    fill(&b, 4, 0);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) S[i * N + j] *= (float)((i + 1) * (j + 1)), S[i * N + j] = i == 6 || j == 6 ? 0 : S[i * N + j];
    int rounds = ehm_similarity_balance(S, N, work);
    CHECK(rounds > 1 && rounds < 100);
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int j = 0; j < N; j++)
            if (j != i) sum += (double)S[i * N + j], CHECK(S[i * N + j] == S[j * N + i]);
        CHECK_NEAR(sum, i == 6 ? 0 : 1, 1e-5);
    }
    for (int i = 0; i < N; i++) /* a star has no balance: it ends, and with numbers */
        for (int j = 0; j < N; j++) S[i * N + j] = (i == 0) != (j == 0);
    CHECK_INT(ehm_similarity_balance(S, N, work), 100);
    for (int i = 0; i < N * N; i++) CHECK(isfinite(S[i]));
    ehm_arena_free(&b.arena);
}
TEST(similarity, prior_by_the_formula) {
    enum { H = 3, W = 7, N = H * W };
    bench b = bench_new(N, EHM_LINK_AVERAGE, EHM_F32);
    float *S = b.S, was[N * N];
    double least = 1e9, mean = 0, prior[N * N], prior_mean = 0;
    fill(&b, 8, 0);
    memcpy(was, S, sizeof was);
    ehm_similarity_prior(S, H, W, 0);
    CHECK(!memcmp(was, S, sizeof was));
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            if (i == j) continue;
            prior[i * N + j] = exp(-(pow(i / W - j / W, 2) + pow(i % W - j % W, 2)) / 2); /* sigma 1 */
            prior_mean += prior[i * N + j] / (N * (N - 1)), mean += (double)was[i * N + j] / (N * (N - 1)), least = fmin(least, (double)was[i * N + j]);
        }
    ehm_similarity_prior(S, H, W, 0.75);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            if (i != j)
                CHECK_NEAR((double)S[i * N + j], ((double)was[i * N + j] - least) / (mean - least) + 0.75 * prior[i * N + j] / prior_mean, 1e-5);
    fill(&b, 0, FLAT); /* nothing to scale: the prior alone */
    ehm_similarity_prior(S, H, W, 2);
    CHECK_NEAR((double)S[1], 2 * prior[1] / prior_mean, 1e-5);
    CHECK(S[1] == S[N]);
    ehm_arena_free(&b.arena);
}
