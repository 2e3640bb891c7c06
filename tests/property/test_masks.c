/* What every row of rules.def owes, with every argument: all counts, awkward grids, every progress; the lists
 * are looked at here, not by the code under test. A new rule is tested by its row alone. */
#include "harness.h"
#include "mask/mask.h"
#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { N_MAX = 32 * 32, LEVELS = 3, COLOURS = 3, ARG_MAX_LEN = 32 };

/* Everything that a rule may ask for, made up for one picture. */
typedef struct {
    ehm_arena arena;
    float *similarity, *other, *attention, *cls, *score, *mask, *loss, *colour;
    int32_t *labels;
} world;

/* Attention of patch i: a bump around it and one around something of the picture, rows sum to 1. */
static void make_attention(float *a, int32_t gh, int32_t gw, ehm_rng *rng) {
    int32_t n = gh * gw;
    for (int32_t i = 0; i < n; i++) {
        double sum = 0;
        for (int32_t j = 0; j < n; j++) {
            double dy = i / gw - j / gw, dx = i % gw - j % gw;
            sum += a[i * n + j] = (float)(exp(-(dy * dy + dx * dx) / 8) + 0.5 * ehm_rng_f64(rng));
        }
        for (int32_t j = 0; j < n; j++) a[i * n + j] = (float)(a[i * n + j] / sum);
    }
}

static void make_similarity(float *s, const float *a, int32_t n) {
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++) s[i * n + j] = (a[i * n + j] + a[j * n + i]) / 2;
}

static float *some(world *w, int64_t count, ehm_rng *rng) {
    float *v = EHM_NEW_N(&w->arena, float, count);
    REQUIRE(v);
    for (int64_t i = 0; i < count; i++) v[i] = ehm_rng_f32(rng);
    return v;
}

static void make_world(world *w, int32_t gh, int32_t gw, uint64_t seed) {
    int32_t n = gh * gw;
    ehm_rng rng = ehm_rng_of(seed, EHM_RNG_test, 7, (uint64_t)n);
    *w = (world){0};
    w->attention = some(w, (int64_t)n * n, &rng), w->similarity = some(w, (int64_t)n * n, &rng);
    w->other = some(w, (int64_t)n * n, &rng);
    make_attention(w->attention, gh, gw, &rng), make_similarity(w->other, w->attention, n);
    make_attention(w->attention, gh, gw, &rng), make_similarity(w->similarity, w->attention, n);
    w->cls = some(w, n, &rng), w->score = some(w, n, &rng), w->loss = some(w, n, &rng);
    w->colour = some(w, (int64_t)n * COLOURS, &rng), w->mask = some(w, n, &rng);
    for (int32_t i = 0; i < n; i++) w->mask[i] = w->mask[i] < 0.6f;
    w->labels = EHM_NEW_N(&w->arena, int32_t, (int64_t)n * LEVELS);
    REQUIRE(w->labels);
    for (int32_t l = 0; l < LEVELS; l++)
        for (int32_t i = 0; i < n; i++)
            w->labels[l * n + i] = i % 11 ? (i / gw / (2 << l)) * 64 + i % gw / (2 << l) : -1;
}

static ehm_mask_in in_world(const world *w, const ehm_mask_rule *r, int32_t gh, int32_t gw, int32_t n_masked,
                            double u, uint64_t seed, uint64_t sample) {
    return (ehm_mask_in){.grid_h = gh,
                         .grid_w = gw,
                         .n_masked = n_masked,
                         .n_views = 1,
                         .progress_frac = (float)u,
                         .rng = ehm_rng_of(seed, EHM_RNG_mask, 3, sample),
                         .seed = seed,
                         .sample = sample,
                         .epoch = 3,
                         .similarity = w->similarity,
                         .similarity_other = w->other,
                         .attention = w->attention,
                         .cls_attention = w->cls,
                         .score = strcmp(r->name, "file") ? w->score : w->mask,
                         .loss = w->loss,
                         .colour = w->colour,
                         .n_colour = COLOURS,
                         .labels = w->labels,
                         .n_levels = LEVELS};
}

/* The i'th of rule's arguments, "" being none; NULL behind the last. */
static const char *arg_of(const ehm_mask_rule *r, int32_t i, char buf[ARG_MAX_LEN]) {
    if (!i) return "";
    const char *p = r->args;
    for (; p && *p && i > 1; i--) p += strcspn(p, "|"), p += *p == '|';
    if (!p || !*p) return NULL;
    size_t len = strcspn(p, "|");
    REQUIRE(len > 0 && len < ARG_MAX_LEN);
    memcpy(buf, p, len), buf[len] = 0;
    return buf;
}

static void check_lists(const ehm_mask_rule *r, const ehm_mask_in *in, const ehm_mask *m) {
    uint8_t seen[N_MAX] = {0};
    int32_t n = in->grid_h * in->grid_w, bad = 0;
    if (m->n_visible + m->n_masked != n) bad = 1;
    else if (!r->inexact && m->n_masked != in->n_masked) bad = 2;
    for (int32_t i = 0; !bad && i < m->n_visible; i++) {
        int32_t p = m->visible[i];
        if (p < 0 || p >= n || seen[p]++ || (i && p <= m->visible[i - 1])) bad = 3;
    }
    for (int32_t i = 0; !bad && i < m->n_masked; i++) {
        int32_t p = m->masked[i];
        if (p < 0 || p >= n || seen[p]++ || (i && p <= m->masked[i - 1])) bad = 4;
    }
    if (bad)
        ehm_test_fail(
            __FILE__, __LINE__, "%s:%s grid %dx%d masked %d u %g seed %llu: %s (%d visible, %d masked)",
            r->name, in->arg ? in->arg : "", (int)in->grid_h, (int)in->grid_w, (int)in->n_masked,
            (double)in->progress_frac, (unsigned long long)in->seed,
            (const char *[]){"", "not all patches", "another count", "visible list", "masked list"}[bad],
            (int)m->n_visible, (int)m->n_masked);
}

typedef struct {
    int32_t visible[2][N_MAX], masked[2][N_MAX];
    ehm_mask m[2];
} masks;

static void draw(masks *to, const ehm_mask_rule *r, const ehm_mask_in *in, ehm_arena *scratch) {
    ehm_err err = {0};
    for (int32_t v = 0; v < 2; v++) to->m[v] = (ehm_mask){.visible = to->visible[v], .masked = to->masked[v]};
    ehm_arena_reset(scratch);
    REQUIRE_OK(ehm_mask_draw(r, to->m, in, scratch, &err), &err);
    for (int32_t v = 0; v < in->n_views; v++) check_lists(r, in, &to->m[v]);
}

static const ehm_mask_settings exact_epm = {.linkage = EHM_LINK_AVERAGE,
                                            .k_start = EHM_AUTO_I64,
                                            .k_end = EHM_AUTO_I64,
                                            .k_jitter = 0.1,
                                            .mask_ratio = 0.75,
                                            .epm_exact = true};

/* step: every count on the small grids, every so many'th on the large ones, the ends always. */
static void counts_of_every_rule(int32_t gh, int32_t gw, int32_t step, int32_t n_seeds) {
    static masks to;
    static const double us[] = {0, 0.3, 1};
    int32_t n = gh * gw, n_rules = 0;
    ehm_arena scratch = {0};
    char buf[ARG_MAX_LEN];
    for (int32_t s = 0; s < n_seeds; s++) {
        uint64_t seed = ehm_test_seed() + (uint64_t)s;
        world w;
        make_world(&w, gh, gw, seed);
        for (const ehm_mask_rule *const *r = ehm_mask_rules; *r; r++, n_rules++)
            for (int32_t a = 0; arg_of(*r, a, buf); a++)
                for (int32_t u = 0; u < 3; u++)
                    for (int32_t k = 0; k <= n; k = k < n && k + step > n ? n : k + step) {
                        ehm_mask_in in = in_world(&w, *r, gh, gw, k, us[u], seed, (uint64_t)k);
                        in.arg = a ? arg_of(*r, a, buf) : NULL;
                        for (int32_t exact = 0; exact <= (n <= 196 && !strcmp((*r)->name, "epm")); exact++) {
                            in.settings = exact ? &exact_epm : NULL, in.epoch = exact ? 250 : 3;
                            draw(&to, *r, &in, &scratch);
                        }
                    }
        ehm_arena_free(&w.arena);
    }
    CHECK(n_rules >= 2 * n_seeds);
    ehm_arena_free(&scratch);
}

TEST(masks, counts_1x1) { counts_of_every_rule(1, 1, 1, 3); }
TEST(masks, counts_1x7) { counts_of_every_rule(1, 7, 1, 3); }
TEST(masks, counts_7x3) { counts_of_every_rule(7, 3, 1, 3); }
TEST(masks, counts_14x14) { counts_of_every_rule(14, 14, 49, 2); }
TEST(masks, counts_32x32) { counts_of_every_rule(32, 32, 768, 1); }

static bool same(const ehm_mask *a, const ehm_mask *b) {
    return a->n_masked == b->n_masked &&
           !memcmp(a->masked, b->masked, sizeof *a->masked * (size_t)a->n_masked);
}

/* Rules that follow what they are given to the letter; the same for every sample. */
static bool draws_nothing(const char *name, const char *arg) {
    return !strcmp(name, "attention") && (!arg || !strcmp(arg, "high") || !strcmp(arg, "low"));
}

TEST(masks, same_key_same_mask_other_sample_other_mask) {
    static masks a, b;
    ehm_arena scratch = {0};
    char buf[ARG_MAX_LEN];
    world w;
    make_world(&w, 14, 14, 1);
    for (const ehm_mask_rule *const *r = ehm_mask_rules; *r; r++)
        for (int32_t i = 0; arg_of(*r, i, buf); i++) {
            int32_t n_differ = 0, n_seed = 0;
            for (uint64_t sample = 0; sample < 8; sample++) {
                ehm_mask_in in = in_world(&w, *r, 14, 14, 147, 0.5, ehm_test_seed(), sample);
                in.arg = i ? buf : NULL;
                draw(&a, *r, &in, &scratch), draw(&b, *r, &in, &scratch);
                CHECK(same(&a.m[0], &b.m[0]));
                in = in_world(&w, *r, 14, 14, 147, 0.5, ehm_test_seed(), sample + 1), in.arg = i ? buf : NULL;
                draw(&b, *r, &in, &scratch);
                n_differ += !same(&a.m[0], &b.m[0]);
                in = in_world(&w, *r, 14, 14, 147, 0.5, ehm_test_seed() + 1, sample), in.arg = i ? buf : NULL;
                draw(&b, *r, &in, &scratch);
                n_seed += !same(&a.m[0], &b.m[0]);
            }
            bool fixed = draws_nothing((*r)->name, i ? buf : NULL);
            if ((n_differ > 0) == fixed || (n_seed > 0) == fixed)
                ehm_test_fail(__FILE__, __LINE__,
                              "%s:%s: of 8 samples %d differ from the next, %d from another seed's",
                              (*r)->name, i ? buf : "", (int)n_differ, (int)n_seed);
        }
    ehm_arena_free(&w.arena);
    ehm_arena_free(&scratch);
}

TEST(masks, views) {
    static masks a;
    ehm_arena scratch = {0};
    char buf[ARG_MAX_LEN];
    world w;
    make_world(&w, 14, 14, 2);
    for (const ehm_mask_rule *const *r = ehm_mask_rules; *r; r++)
        for (int32_t i = 0; arg_of(*r, i, buf); i++) {
            int32_t n_differ = 0;
            for (uint64_t sample = 0; sample < 8; sample++) {
                ehm_mask_in in = in_world(&w, *r, 14, 14, 98, 0.5, 5, sample);
                in.arg = i ? buf : NULL, in.n_views = 2;
                draw(&a, *r, &in, &scratch);
                n_differ += !same(&a.m[0], &a.m[1]);
            }
            if ((n_differ > 0) == draws_nothing((*r)->name, i ? buf : NULL))
                ehm_test_fail(__FILE__, __LINE__, "%s:%s: %d of 8 samples have two different views",
                              (*r)->name, i ? buf : "", (int)n_differ);
        }
    ehm_arena_free(&w.arena);
    ehm_arena_free(&scratch);
}

/* What a rule needs is refused when it is absent, whatever else is there; and it does with what it said. */
TEST(masks, needs_are_enough_and_are_asked_for) {
    static masks a, b;
    static const double us[] = {0, 0.3, 1};
    ehm_arena scratch = {0};
    char buf[ARG_MAX_LEN];
    world w;
    make_world(&w, 8, 8, 3);
    for (const ehm_mask_rule *const *r = ehm_mask_rules; *r; r++)
        for (int32_t i = 0; arg_of(*r, i, buf); i++)
            for (int32_t u = 0; u < 3; u++) {
                const char *arg = i ? buf : NULL;
                uint32_t need = ehm_mask_needs(*r, NULL, arg, 64, us[u]);
                CHECK(!(need & ~ehm_mask_needs_ever(*r, NULL, arg, 64)));
                ehm_mask_in full = in_world(&w, *r, 8, 8, 48, us[u], 1, 1), in = full;
                full.arg = in.arg = arg;
                if (!(need & EHM_MASK_NEEDS_ATTENTION)) in.attention = NULL;
                if (!(need & EHM_MASK_NEEDS_SCORE)) in.score = NULL;
                if (!(need & EHM_MASK_NEEDS_SIMILARITY)) in.similarity = NULL;
                if (!(need & EHM_MASK_NEEDS_OTHER)) in.similarity_other = NULL;
                if (!(need & EHM_MASK_NEEDS_CLS)) in.cls_attention = NULL;
                if (!(need & EHM_MASK_NEEDS_COLOUR)) in.colour = NULL;
                if (!(need & EHM_MASK_NEEDS_LABELS)) in.labels = NULL;
                if (!(need & EHM_MASK_NEEDS_LOSS)) in.loss = NULL;
                draw(&a, *r, &in, &scratch), draw(&b, *r, &full, &scratch);
                CHECK(same(&a.m[0], &b.m[0]));
                if (!need) continue;
                ehm_err err = {0};
                in = full;
                in.attention = in.score = in.similarity = in.similarity_other = in.cls_attention = in.colour =
                    in.loss = NULL,
                in.labels = NULL;
                CHECK_FAILS(ehm_mask_draw(*r, a.m, &in, &scratch, &err), &err, EHM_E_ARG, (*r)->name);
                ehm_err_clear(&err);
                CHECK((*r)->draw(a.m, &in, &scratch,
                                 &err)); /* and by itself it neither crashes nor makes something up */
            }
    ehm_arena_free(&w.arena);
    ehm_arena_free(&scratch);
}

TEST(masks, every_row_is_described_and_found) {
    char buf[ARG_MAX_LEN], spec[80];
    for (const ehm_mask_rule *const *r = ehm_mask_rules; *r; r++) {
        CHECK((*r)->name && (*r)->summary && (*r)->source && (*r)->draw && strlen((*r)->summary) <= 100);
        for (int32_t i = 0; arg_of(*r, i, buf); i++) {
            ehm_err err = {0};
            const char *arg = NULL;
            snprintf(spec, sizeof spec, i ? "%s:%s" : "%s", (*r)->name, buf);
            CHECK(ehm_mask_rule_find(spec, &arg, &err) == *r);
            if (i) CHECK_STR(arg, buf);
            else CHECK(!arg);
        }
        ehm_err err = {0};
        snprintf(spec, sizeof spec, "%s:nonsense", (*r)->name);
        CHECK(!ehm_mask_rule_find(spec, NULL, &err) && err.code == EHM_E_CONFIG);
    }
}

#if defined(__GLIBC__) && !defined(EHM_ARENA_DEBUG) && !defined(__SANITIZE_ADDRESS__) &&                     \
    !defined(__SANITIZE_THREAD__)
/* Masks are drawn in every step: once the scratch has grown, nothing is allocated any more. */
TEST(masks, no_allocation_once_the_scratch_has_grown) {
    static masks a;
    char buf[ARG_MAX_LEN];
    world w;
    make_world(&w, 14, 14, 4);
    for (const ehm_mask_rule *const *r = ehm_mask_rules; *r; r++)
        for (int32_t i = 0; arg_of(*r, i, buf); i++) {
            ehm_arena scratch = {0};
            ehm_err err = {0};
            size_t before = 0;
            for (int32_t round = 0; round < 6; round++) {
                ehm_mask_in in = in_world(&w, *r, 14, 14, 147, 1, 1, 9);
                in.arg = i ? buf : NULL, in.rng = ehm_rng_of(1, EHM_RNG_mask, 0, 9);
                a.m[0] = (ehm_mask){.visible = a.visible[0], .masked = a.masked[0]};
                ehm_arena_reset(&scratch);
                if (round == 1) before = mallinfo2().uordblks + mallinfo2().hblkhd;
                REQUIRE_OK(ehm_mask_draw(*r, a.m, &in, &scratch, &err), &err);
            }
            CHECK_INT(mallinfo2().uordblks + mallinfo2().hblkhd, before);
            ehm_arena_free(&scratch);
        }
    ehm_arena_free(&w.arena);
}
#endif
