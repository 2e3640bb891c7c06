/* Each rule's own facts, against numbers that were made elsewhere (tests/golden/masks/HOW) or can be counted
 * by hand. */
#include "base/npy.h"
#include "harness.h"
#include "mask/epm_int.h"
#include "mask/mask_file.h"
#include "mask/tree_mask.h"

enum { N_MAX = 400 };
typedef struct {
    ehm_arena scratch;
    int32_t visible[N_MAX], masked[N_MAX];
    ehm_mask m;
    uint8_t removed[N_MAX];
} drawn;

static void draw(drawn *d, const char *spec, ehm_mask_in in, uint64_t sample) {
    ehm_err err = {0};
    const ehm_mask_rule *r = ehm_mask_rule_find(spec, &in.arg, &err);
    REQUIRE(r && in.grid_h * in.grid_w <= N_MAX);
    in.rng = ehm_rng_of(11, EHM_RNG_mask, in.epoch, sample), in.seed = 11, in.sample = sample, in.n_views = 1;
    d->m = (ehm_mask){.visible = d->visible, .masked = d->masked};
    ehm_arena_reset(&d->scratch);
    REQUIRE_OK(ehm_mask_draw(r, &d->m, &in, &d->scratch, &err), &err);
    memset(d->removed, 0, sizeof d->removed);
    for (int32_t i = 0; i < d->m.n_masked; i++) d->removed[d->masked[i]] = 1;
}

/* ---- statistics of shapes ---- */

enum { FACTS = 5, DRAWS = 1000 };
/* Removed patches, regions of removed and of visible ones, edges, mean distance from removed to visible: as
 * the golden's script has them. */
static void facts_of(double f[FACTS], const drawn *d, int32_t gh, int32_t gw) {
    ehm_mask_shape s;
    int32_t work[2 * N_MAX], n = gh * gw;
    double sum = 0;
    ehm_mask_shape_of(&s, &d->m, gh, gw, work);
    for (int32_t i = 0; i < d->m.n_masked; i++) {
        int32_t least = n, p = d->masked[i];
        for (int32_t k = 0; k < d->m.n_visible; k++) {
            int32_t q = d->visible[k], far = abs(p / gw - q / gw) + abs(p % gw - q % gw);
            if (far < least) least = far;
        }
        sum += least;
    }
    f[0] = d->m.n_masked, f[1] = s.n_masked_regions, f[2] = s.n_visible_regions, f[3] = s.perimeter;
    f[4] = d->m.n_masked ? sum / d->m.n_masked : 0;
}

TEST(rules, shapes_as_the_papers_formulas_give_them) {
    static const char *const names[FACTS] = {"removed", "masked regions", "visible regions", "edges",
                                             "distance"};
    drawn d = {0};
    char line[512], rule[32];
    int32_t n_rows = 0;
    FILE *csv = fopen(ehm_test_path("tests/golden/masks/shapes.csv"), "r");
    REQUIRE(csv && fgets(line, sizeof line, csv));
    for (; fgets(line, sizeof line, csv); n_rows++) {
        int gh, gw, n_masked, n;
        double mean[FACTS], sd[FACTS], sum[FACTS] = {0}, square[FACTS] = {0};
        REQUIRE(sscanf(line, "%31[^,],%d,%d,%d,%d,%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf", rule, &gh, &gw,
                       &n_masked, &n, mean, mean + 1, mean + 2, mean + 3, mean + 4, sd, sd + 1, sd + 2,
                       sd + 3, sd + 4) == 15);
        for (int32_t k = 0; k < DRAWS; k++) {
            double f[FACTS];
            draw(&d, rule, (ehm_mask_in){.grid_h = gh, .grid_w = gw, .n_masked = n_masked}, (uint64_t)k);
            facts_of(f, &d, gh, gw);
            for (int32_t i = 0; i < FACTS; i++) sum[i] += f[i], square[i] += f[i] * f[i];
        }
        for (int32_t i = 0; i < FACTS; i++) {
            double m = sum[i] / DRAWS, v = square[i] / DRAWS - m * m,
                   se = sqrt(sd[i] * sd[i] / n + (v > 0 ? v : 0) / DRAWS);
            if (fabs(m - mean[i]) > 6 * se + 1e-4 * fabs(mean[i]))
                ehm_test_fail(__FILE__, __LINE__,
                              "%s %dx%d, %d of them: %s %g, expected %g (standard error %g)", rule, gh, gw,
                              n_masked, names[i], m, mean[i], se);
        }
    }
    CHECK(n_rows >= 15);
    fclose(csv);
    ehm_arena_free(&d.scratch);
}

/* The order of the spectra: visible regions of red < green < random < blue (ColorMAE's figure; recipes
 * measured 6, 8.5, 27, 32). */
TEST(rules, colours_are_ordered) {
    static const char *const rule[] = {"color:red", "color:green", "random", "color:blue"};
    drawn d = {0};
    double before = 0, far_before = 9;
    for (int32_t r = 0; r < 4; r++) {
        double regions = 0, far = 0, f[FACTS];
        for (int32_t k = 0; k < 300; k++) {
            draw(&d, rule[r], (ehm_mask_in){.grid_h = 14, .grid_w = 14, .n_masked = 147}, (uint64_t)k);
            facts_of(f, &d, 14, 14);
            regions += f[2] / 300, far += f[4] / 300;
        }
        CHECK(regions > before + 1 && far < far_before - 0.05);
        before = regions, far_before = far;
    }
    ehm_arena_free(&d.scratch);
}

/* ---- cells, grid ---- */

TEST(rules, cells_are_whole_but_one) {
    drawn d = {0};
    ehm_mask_settings s = {.mask_ratio = 0.6};
    for (uint64_t k = 0; k < 50; k++) {
        draw(&d, "cell", (ehm_mask_in){.grid_h = 14, .grid_w = 14, .n_masked = 147}, k);
        int32_t n_part = 0, n_whole = 0;
        for (int32_t c = 0; c < 49; c++) {
            int32_t at = c / 7 * 28 + c % 7 * 2,
                    in_cell = d.removed[at] + d.removed[at + 1] + d.removed[at + 14] + d.removed[at + 15];
            n_whole += in_cell == 4, n_part += in_cell > 0 && in_cell < 4;
        }
        CHECK(n_whole == 36 && n_part == 1);
        draw(&d, "cell-exact", (ehm_mask_in){.grid_h = 14, .grid_w = 14, .n_masked = 118, .settings = &s}, k);
        CHECK_INT(d.m.n_masked, 120); /* SimMIM at 224 px and ratio 0.6: 30 of 49 cells of 32 px */
        draw(&d, "cell-exact:1", (ehm_mask_in){.grid_h = 12, .grid_w = 12, .n_masked = 87, .settings = &s},
             k);
        CHECK_INT(d.m.n_masked, 87); /* ceil(86.4) */
    }
    ehm_arena_free(&d.scratch);
}

TEST(rules, grid_is_a_lattice) {
    drawn d = {0};
    uint32_t places = 0;
    for (uint64_t k = 0; k < 60; k++) {
        draw(&d, "grid", (ehm_mask_in){.grid_h = 14, .grid_w = 14, .n_masked = 147}, k);
        int32_t y = d.visible[0] / 14, x = d.visible[0] % 14;
        CHECK(y < 2 && x < 2);
        places |= 1u << (y * 2 + x);
        for (int32_t i = 0; i < 196; i++) CHECK_INT(d.removed[i], i / 14 % 2 != y || i % 14 % 2 != x);
        draw(&d, "grid", (ehm_mask_in){.grid_h = 14, .grid_w = 14, .n_masked = 98}, k); /* a checkerboard */
        for (int32_t i = 0; i < 196; i++) CHECK_INT(d.removed[i] ^ d.removed[0], (i / 14 + i % 14) % 2);
        draw(&d, "grid", (ehm_mask_in){.grid_h = 16, .grid_w = 16, .n_masked = 240},
             k); /* one of each 4 x 4 */
        int32_t in_tile[16] = {0};
        for (int32_t i = 0; i < 16; i++) in_tile[d.visible[i] / 64 * 4 + d.visible[i] % 16 / 4]++;
        for (int32_t i = 0; i < 16; i++) CHECK_INT(in_tile[i], 1);
    }
    CHECK_INT(places, 15);
    ehm_arena_free(&d.scratch);
}

/* ---- by values ---- */

/* Values 0..n-1 in some order; rank_at[v] is the patch of value v. */
static void ranks(float *value, int32_t *patch_of, int32_t n) {
    ehm_rng rng = ehm_rng_of(3, EHM_RNG_test, 0, 0);
    for (int32_t i = 0; i < n; i++) patch_of[i] = i;
    ehm_rng_shuffle_i32(&rng, patch_of, n);
    for (int32_t i = 0; i < n; i++) value[patch_of[i]] = (float)i;
}

TEST(rules, attention_high_low_hint) {
    drawn d = {0};
    float cls[196];
    int32_t at[196], shown[20] = {0};
    ranks(cls, at, 196);
    ehm_mask_in in = {.grid_h = 14, .grid_w = 14, .n_masked = 100, .cls_attention = cls};
    draw(&d, "attention:high", in, 0);
    for (int32_t v = 0; v < 196; v++) CHECK_INT(d.removed[at[v]], v >= 96);
    draw(&d, "attention", in, 0);
    CHECK(d.removed[at[195]] && !d.m.facts.flat);
    draw(&d, "attention:low", in, 0);
    for (int32_t v = 0; v < 196; v++) CHECK_INT(d.removed[at[v]], v < 100);
    for (uint64_t k = 0; k < 200; k++) { /* (int)(0.1 x 100) = 10 hints among the (int)(0.1 x 196) = 19
                                            highest; the next ten go instead */
        draw(&d, "attention:hint", in, k);
        int32_t n_hints = 0;
        for (int32_t v = 0; v < 196; v++) {
            if (v >= 177) n_hints += !d.removed[at[v]], shown[v - 177] += !d.removed[at[v]];
            else CHECK_INT(d.removed[at[v]], v >= 86);
        }
        CHECK_INT(n_hints, 10);
    }
    for (int32_t v = 0; v < 19; v++) CHECK_NEAR(shown[v], 200 * 10 / 19.0, 45);
    for (int32_t i = 0; i < 196; i++) cls[i] = 0.25f; /* no information: any patch, and said */
    int32_t first = 0;
    for (uint64_t k = 0; k < 200; k++)
        draw(&d, "attention:high", in, k), first += d.removed[0], CHECK(d.m.facts.flat);
    CHECK_NEAR(first, 200 * 100 / 196.0, 45);
    ehm_arena_free(&d.scratch);
}

/* P(patch i is among k drawn without replacement in proportion to w), by going through all orders. */
static void inclusion(double *p, const float *w, int32_t n, int32_t k, uint32_t taken, double chance) {
    double sum = 0;
    if (!k) {
        for (int32_t i = 0; i < n; i++) p[i] += taken >> i & 1 ? chance : 0;
        return;
    }
    for (int32_t i = 0; i < n; i++) sum += taken >> i & 1 ? 0 : (double)w[i];
    for (int32_t i = 0; i < n; i++)
        if (!(taken >> i & 1) && w[i] > 0)
            inclusion(p, w, n, k - 1, taken | 1u << i, chance * (double)w[i] / sum);
}

TEST(rules, attention_keep_samples_without_replacement) {
    enum { TRIES = 20000 };
    const float cls[6] = {0.05f, 0.4f, 0.1f, 0.25f, 0.2f, 0};
    drawn d = {0};
    for (int32_t keep = 1; keep <= 3; keep++) {
        double p[6] = {0}, kept[6] = {0};
        inclusion(p, cls, 6, keep, 0, 1);
        for (uint64_t k = 0; k < TRIES; k++) {
            draw(&d, "attention:keep",
                 (ehm_mask_in){.grid_h = 2, .grid_w = 3, .n_masked = 6 - keep, .cls_attention = cls}, k);
            for (int32_t i = 0; i < 6; i++) kept[i] += !d.removed[i];
        }
        CHECK_INT(kept[5], 0); /* not attended at all: last */
        for (int32_t i = 0; i < 5; i++)
            CHECK_NEAR(kept[i] / TRIES, p[i], 6 * sqrt(p[i] * (1 - p[i]) / TRIES));
    }
    ehm_arena_free(&d.scratch);
}

/* HPM's ramp with 147 removed: epoch 0 of 200 none guided, the last 73; the others uniform. */
TEST(rules, scores_ramp) {
    drawn d = {0};
    float score[196];
    int32_t at[196], low = 0;
    static const struct {
        double u;
        int32_t guided;
    } cases[] = {{0, 0}, {1 / 200.0, 0}, {0.5, 36}, {146 / 147.0, 73}, {1, 73}, {2 / 147.0, 1}};
    ranks(score, at, 196);
    for (int32_t c = 0; c < 6; c++) {
        ehm_mask_in in = {
            .grid_h = 14, .grid_w = 14, .n_masked = 147, .score = score, .progress_frac = (float)cases[c].u};
        int32_t next = 0;
        for (uint64_t k = 0; k < 100; k++) {
            draw(&d, "scores:file", in, k);
            for (int32_t v = 196 - cases[c].guided; v < 196; v++) CHECK(d.removed[at[v]]);
            next += d.removed[at[195 - cases[c].guided]], low += c == 4 && d.removed[at[0]];
        }
        double p = (147.0 - cases[c].guided) / (196.0 - cases[c].guided);
        CHECK_NEAR(next, 100 * p, 6 * 10 * sqrt(p * (1 - p)));
    }
    CHECK_NEAR(low, 100 * 74 / 123.0, 30);
    ehm_arena_free(&d.scratch);
}

TEST(rules, scores_maps) {
    drawn d = {0};
    float attention[16 * 16], colour[16 * 2], cls[16] = {0}, loss[16] = {0};
    for (int32_t i = 0; i < 256; i++)
        attention[i] = i % 16 == 9   ? 0.4f
                       : i / 16 == 3 ? 0.9f
                                     : 0.1f; /* column 9 receives most, row 3 gives most */
    for (int32_t i = 0; i < 16; i++)
        colour[2 * i] = 0.5f + 0.1f * (float)(i / 4), colour[2 * i + 1] = i == 6 ? 0.9f : 0.1f;
    cls[2] = 1, loss[13] = 2;
    ehm_mask_in in = {.grid_h = 4,
                      .grid_w = 4,
                      .n_masked = 2,
                      .progress_frac = 1,
                      .attention = attention,
                      .cls_attention = cls,
                      .colour = colour,
                      .n_colour = 2,
                      .loss = loss};
    static const struct {
        const char *spec;
        int32_t patch;
    } cases[] = {{"scores:attention", 9}, {"scores:cls", 2}, {"scores:contrast", 6}, {"scores:loss", 13}};
    for (int32_t c = 0; c < 4; c++)
        for (uint64_t k = 0; k < 20; k++) {
            draw(&d, cases[c].spec, in, k);
            CHECK(d.removed[cases[c].patch]);
        }
    memset(loss, 0, sizeof loss);
    draw(&d, "scores:loss", in, 0);
    CHECK(d.m.facts.flat); /* never silently noise */
    in.progress_frac = 0;
    draw(&d, "scores:loss", in, 0);
    CHECK(!d.m.facts.flat); /* random by design */
    ehm_arena_free(&d.scratch);
}

TEST(rules, values_that_are_none_are_refused) {
    static const char *const spec[] = {
        "attention:keep", "scores:cls", "scores:attention", "scores:contrast", "epm", "file", "scores:file"};
    ehm_err err = {0};
    ehm_arena scratch = {0};
    int32_t v[4], k[4];
    float bad[16];
    for (int32_t i = 0; i < 16; i++) bad[i] = i == 3 ? NAN : 0.5f;
    for (int32_t i = 0; i < 7; i++) {
        ehm_mask m = {.visible = v, .masked = k};
        ehm_mask_in in = {.grid_h = 2,
                          .grid_w = 2,
                          .n_masked = 2,
                          .n_views = 1,
                          .progress_frac = 1,
                          .cls_attention = bad,
                          .attention = bad,
                          .score = bad,
                          .colour = bad,
                          .n_colour = 3};
        const ehm_mask_rule *r = ehm_mask_rule_find(spec[i], &in.arg, &err);
        REQUIRE(r);
        CHECK_FAILS(ehm_mask_draw(r, &m, &in, &scratch, &err), &err, EHM_E_NUMERIC, "nan");
        in.arg = "sideways";
        CHECK_FAILS(r->draw(&m, &in, &scratch, &err), &err,
                    strcmp(spec[i], "epm") && strcmp(spec[i], "file") ? EHM_E_CONFIG : EHM_E_NUMERIC, "");
    }
    ehm_arena_free(&scratch);
}

/* ---- EPM ---- */

static ehm_npy golden(const char *path, ehm_arena *a) {
    ehm_err err = {0};
    ehm_npy v = {0};
    REQUIRE_OK(ehm_npy_read(&v, ehm_test_path(path), a, &err), &err);
    return v;
}

TEST(rules, epm_parts_as_numpy_finds_them) {
    enum { N = 64, K_MAX = 12 };
    ehm_arena a = {0}, scratch = {0};
    ehm_err err = {0};
    ehm_npy att = golden("tests/golden/masks/epm_attention.npy", &a),
            mu = golden("tests/golden/masks/epm_centres.npy", &a),
            want = golden("tests/golden/masks/epm_parts.npy", &a);
    REQUIRE(att.rank == 3 && att.dim[1] == N && mu.dim[2] == K_MAX && want.count == att.dim[0] * 3 * N &&
            !strcmp(want.type, "i4"));
    const int32_t *parts = want.data;
    for (int64_t c = 0; c < att.dim[0]; c++)
        for (int32_t unit = 0; unit < 2; unit++) {
            float x[N * N], centre[N * K_MAX], first[N * K_MAX];
            int32_t part[N], k = parts[c * 3 * N];
            ehm_npy_f32(x, &att, c * N * N, N * N);
            ehm_npy_f32(centre, &mu, c * N * K_MAX, N * K_MAX);
            for (int32_t i = 0; i < N; i++)
                for (int32_t j = 0; j < k; j++) first[i * k + j] = centre[i * K_MAX + j];
            ehm_epm_opt o = {.n = N, .n_parts = k, .scale = unit ? 1 : 144, .unit = unit};
            ehm_arena_reset(&scratch);
            REQUIRE_OK(ehm_epm_parts(part, x, first, &o, &scratch, &err), &err);
            for (int32_t i = 0; i < N; i++)
                if (part[i] != parts[(c * 3 + 1 + unit) * N + i])
                    ehm_test_fail(__FILE__, __LINE__, "case %d, unit %d: patch %d is in part %d, expected %d",
                                  (int)c, (int)unit, (int)i, (int)part[i],
                                  (int)parts[(c * 3 + 1 + unit) * N + i]);
        }
    ehm_arena_free(&a);
    ehm_arena_free(&scratch);
}

/* By hand: ten columns along one axis, two along another, and one that is nearly nothing, a hair nearer to the ten. Its
 * posterior is for them; divided by the sums over patches, as published, it is for the two. */
TEST(rules, epm_exact_divides_by_the_parts_size) {
    enum { N = 13 };
    float a[N * N] = {0}, mu[N * 2] = {0};
    int32_t part[N];
    ehm_arena scratch = {0};
    ehm_err err = {0};
    for (int32_t j = 0; j < 10; j++) a[j] = 1;
    a[N + 10] = a[N + 11] = 1, a[12] = 0.0005f;
    mu[0] = 1, mu[3] = 1;
    for (int32_t unit = 0; unit < 2; unit++) {
        ehm_epm_opt o = {.n = N, .n_parts = 2, .scale = 1, .unit = unit};
        REQUIRE_OK(ehm_epm_parts(part, a, mu, &o, &scratch, &err), &err);
        for (int32_t j = 0; j < 12; j++) CHECK_INT(part[j], j >= 10);
        CHECK_INT(part[12], !unit);
    }
    ehm_arena_free(&scratch);
}

/* Nine squares of 4 x 4 that attend to themselves. */
static void squares(float *a) {
    ehm_rng rng = ehm_rng_of(4, EHM_RNG_test, 0, 0);
    for (int32_t i = 0; i < 144; i++)
        for (int32_t j = 0; j < 144; j++) {
            bool same = i / 48 == j / 48 && i % 12 / 4 == j % 12 / 4;
            a[i * 144 + j] = (float)((same ? 1 : 0.02) * (0.8 + 0.4 * ehm_rng_f64(&rng)) / 18.7);
        }
}

static int32_t n_cut_squares(const uint8_t *removed) {
    int32_t count[9] = {0}, n = 0;
    for (int32_t i = 0; i < 144; i++) count[i / 48 * 3 + i % 12 / 4] += removed[i];
    for (int32_t k = 0; k < 9; k++) n += count[k] > 0 && count[k] < 16;
    return n;
}

static int32_t lattice_place(const uint8_t *removed,
                             int32_t *of_36) { /* where most 2 x 2 tiles keep a patch */
    int32_t kept[4] = {0}, best = 0;
    for (int32_t i = 0; i < 144; i++) kept[i / 12 % 2 * 2 + i % 12 % 2] += !removed[i];
    for (int32_t k = 1; k < 4; k++) best = kept[k] > kept[best] ? k : best;
    return *of_36 = kept[best], best;
}

TEST(rules, epm_from_lattice_to_parts) {
    static float a[144 * 144];
    drawn d = {0};
    ehm_mask_settings exact = {.epm_exact = true, .mask_ratio = 0.75};
    int32_t cut = 0, cut_exact = 0, kept, first = -1, n_other = 0;
    squares(a);
    for (uint64_t k = 0; k < 20; k++) {
        ehm_mask_in in = {.grid_h = 12, .grid_w = 12, .n_masked = 108, .attention = a};
        draw(&d, "epm", in, k); /* u = 0: the lattice alone, each picture its own */
        int32_t place = lattice_place(d.removed, &kept);
        CHECK_INT(kept, 36);
        n_other += first >= 0 && place != first, first = place;
        in.progress_frac = 1, in.n_masked = 64; /* parts alone: four squares */
        draw(&d, "epm", in, k);
        cut += n_cut_squares(d.removed);
        in.settings = &exact, in.progress_frac = 0.5f, in.epoch = 299;
        draw(&d, "epm", in, k);
        cut_exact += n_cut_squares(d.removed);
    }
    CHECK(n_other > 3);
    CHECK(cut <= 60 && cut_exact <= 60); /* random masks cut all nine: 180 */
    /* Published, epoch 0: nearly the lattice, and the same one for all pictures of a step, another in the
     * next step. */
    int32_t place_of_step[12], n_steps_differ = 0;
    for (int32_t step = 0; step < 12; step++) {
        for (uint64_t k = 0; k < 4; k++) {
            ehm_mask_in in = {.grid_h = 12,
                              .grid_w = 12,
                              .n_masked = 108,
                              .attention = a,
                              .settings = &exact,
                              .progress_frac = (float)step / 100};
            draw(&d, "epm", in, k);
            int32_t place = lattice_place(d.removed, &kept);
            CHECK(kept >= 20);
            if (!k) place_of_step[step] = place;
            else if (kept > 30) CHECK_INT(place, place_of_step[step]);
        }
        n_steps_differ += step && place_of_step[step] != place_of_step[0];
    }
    CHECK(n_steps_differ > 2);
    ehm_arena_free(&d.scratch);
}

/* ---- files ---- */

TEST(rules, file_is_followed_trimmed_or_filled) {
    drawn d = {0};
    float mask[196];
    int32_t n_first = 0;
    for (int32_t i = 0; i < 196; i++) mask[i] = i < 100 ? 1 : 0.5f;
    for (uint64_t k = 0; k < 100; k++) {
        ehm_mask_in in = {.grid_h = 14, .grid_w = 14, .n_masked = 100, .score = mask};
        draw(&d, "file", in, k);
        for (int32_t i = 0; i < 196; i++) CHECK_INT(d.removed[i], i < 100);
        in.n_masked = 40;
        draw(&d, "file", in, k);
        for (int32_t i = 100; i < 196; i++) CHECK(!d.removed[i]);
        n_first += d.removed[0];
        in.n_masked = 150;
        draw(&d, "file", in, k);
        for (int32_t i = 0; i < 100; i++) CHECK(d.removed[i]);
        CHECK(!d.m.facts.flat);
    }
    CHECK_NEAR(n_first, 40, 29);
    memset(mask, 0, sizeof mask);
    draw(&d, "file", (ehm_mask_in){.grid_h = 14, .grid_w = 14, .n_masked = 100, .score = mask}, 0);
    CHECK(d.m.facts.flat);
    ehm_arena_free(&d.scratch);
}

static const char *npy_of(const char *name, int32_t rank, const int64_t *dim, const double *v) {
    static char path[512];
    ehm_err err = {0};
    snprintf(path, sizeof path, "%s/%s", ehm_test_tmp(), name);
    REQUIRE_OK(ehm_npy_write(path, "<f8", rank, dim, v, &err), &err);
    return path;
}

TEST(mask_file, shapes) {
    double v[64];
    ehm_err err = {0};
    ehm_mask_file *f;
    for (int32_t i = 0; i < 64; i++) v[i] = i;
    static const struct {
        int32_t rank;
        int64_t dim[3];
        ehm_mask_file_kind kind;
        int32_t gh, gw;
        int64_t asked, n;
        int32_t each;
    } good[] = {
        {1, {6}, EHM_FILE_PATCHES, 2, 3, 9, 1, 6},       {2, {2, 3}, EHM_FILE_PATCHES, 2, 3, 9, 1, 6},
        {2, {4, 6}, EHM_FILE_PATCHES, 2, 3, 4, 4, 6},    {2, {4, 6}, EHM_FILE_PATCHES, 2, 3, 0, 4, 6},
        {3, {4, 2, 3}, EHM_FILE_PATCHES, 2, 3, 4, 4, 6}, {3, {1, 2, 3}, EHM_FILE_PATCHES, 2, 3, 4, 1, 6},
        {2, {5, 3}, EHM_FILE_PATCHES, 1, 3, 5, 5, 3},    {2, {4, 4}, EHM_FILE_PAIRS, 2, 2, 7, 1, 16},
        {3, {3, 4, 4}, EHM_FILE_PAIRS, 2, 2, 3, 3, 16},  {2, {4, 4}, EHM_FILE_PATCHES, 2, 2, 4, 4, 4},
    };
    for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
        const char *path = npy_of("a.npy", good[k].rank, good[k].dim, v);
        REQUIRE_OK(ehm_mask_file_open(&f, path, good[k].kind, good[k].gh, good[k].gw, good[k].asked, &err),
                   &err);
        for (int64_t p = 0; p < good[k].n; p++) {
            const float *at = ehm_mask_file_of(f, p);
            REQUIRE(at);
            for (int32_t i = 0; i < good[k].each; i++)
                CHECK_NEAR((double)at[i], (double)(p * good[k].each + i), 0);
        }
        if (good[k].n == 1) CHECK(ehm_mask_file_of(f, 1000) == ehm_mask_file_of(f, 0));
        else CHECK(!ehm_mask_file_of(f, good[k].n) && !ehm_mask_file_of(f, -1));
        ehm_mask_file_close(f);
    }
    ehm_mask_file_close(NULL);
    CHECK_FAILS(
        ehm_mask_file_open(&f, npy_of("a.npy", 2, (int64_t[]){5, 7}, v), EHM_FILE_PATCHES, 2, 3, 4, &err),
        &err, EHM_E_CONFIG, "(5, 7)");
    CHECK_HAS(err.what, "(4, 2, 3)");
    CHECK(!f);
    CHECK_FAILS(
        ehm_mask_file_open(&f, npy_of("a.npy", 2, (int64_t[]){5, 6}, v), EHM_FILE_PATCHES, 2, 3, 4, &err),
        &err, EHM_E_CONFIG, "(5, 6)");
    CHECK_FAILS(ehm_mask_file_open(&f, npy_of("a.npy", 1, (int64_t[]){6}, v), EHM_FILE_PAIRS, 2, 3, 0, &err),
                &err, EHM_E_CONFIG, "(PICTURES, 6, 6)");
    CHECK_FAILS(
        ehm_mask_file_open(&f, npy_of("a.npy", 2, (int64_t[]){0, 6}, v), EHM_FILE_PATCHES, 2, 3, 0, &err),
        &err, EHM_E_CONFIG, "(0, 6)");
    CHECK_FAILS(ehm_mask_file_open(&f, "/nowhere/a.npy", EHM_FILE_PAIRS, 2, 3, 0, &err), &err, EHM_E_IO,
                "/nowhere/a.npy");
}

TEST(mask_file, values_are_checked_by_place) {
    double v[12] = {0};
    ehm_err err = {0};
    ehm_mask_file *f;
    v[10] = NAN;
    CHECK_FAILS(
        ehm_mask_file_open(&f, npy_of("b.npy", 2, (int64_t[]){2, 6}, v), EHM_FILE_PATCHES, 2, 3, 2, &err),
        &err, EHM_E_CONFIG, "entry (1, 4) is nan");
    v[10] = -INFINITY;
    CHECK_FAILS(
        ehm_mask_file_open(&f, npy_of("b.npy", 3, (int64_t[]){2, 2, 3}, v), EHM_FILE_PATCHES, 2, 3, 2, &err),
        &err, EHM_E_CONFIG, "entry (1, 1, 1) is -inf");
    v[10] = 1e300;
    CHECK_FAILS(
        ehm_mask_file_open(&f, npy_of("b.npy", 1, (int64_t[]){12}, v), EHM_FILE_PATCHES, 3, 4, 2, &err), &err,
        EHM_E_CONFIG, "too large");
}

TEST(mask_file, counts) {
    const double v[] = {1,      1, 0, 0, 0, 0, /**/ 1, 1, 1,   0, 0, 0,
                        /**/ 1, 1, 1, 1, 0, 0, /**/ 0, 0, 0.5, 0, 0, 0};
    ehm_err err = {0};
    ehm_mask_file *f;
    REQUIRE_OK(
        ehm_mask_file_open(&f, npy_of("c.npy", 2, (int64_t[]){4, 6}, v), EHM_FILE_PATCHES, 2, 3, 4, &err),
        &err);
    ehm_mask_file_counts c = ehm_mask_file_count(f, 3);
    CHECK(c.n == 4 && c.n_fewer == 2 && c.n_more == 1 && c.n_blank == 1 && c.least == 0 && c.most == 4);
    ehm_mask_file_close(f);
}
