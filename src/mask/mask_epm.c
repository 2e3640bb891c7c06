/* Evolved Part Masking (Feng and Zhang 2023): patches are clustered into parts by EM over columns of the
 * model's attention, and a lattice fades into whole parts. The published code does this for a batch at once
 * and with constants of a run of 300 epochs; epm_exact is that, without it each picture stands for itself and
 * the curriculum is progress. */
#include "mask/epm_int.h"
#include <math.h>
#include <string.h>

enum {
    ROUNDS = 15,
    LANES = 16,
    PARTS_FIRST = 40,
    PARTS_LAST = 10,
    EPOCHS = 300,
    MAPS = 144 /* ViT-B: 12 layers x 12 heads */
};
#define KAPPA 40.0f
#define EPSILON 1e-6f

/* Four numbers at once: at the optimisation level of this folder the compiler does not find it by itself. */
typedef float four __attribute__((vector_size(16), may_alias));

/* ---- EM; n points of n numbers, k parts padded to whole lanes for loops of fixed length ---- */
typedef struct {
    int32_t n, k, k_pad;
    float *x;   /* [n,n] a point (a patch as it is attended to) in a row */
    float *mu;  /* [n,k_pad] centres in columns */
    float *z;   /* [n,k_pad] posteriors */
    float *sum; /* [k_pad] */
} em;

static void unit_rows(float *x, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        float *row = x + (int64_t)i * n, sum = 0;
        for (int32_t j = 0; j < n; j++) sum += row[j] * row[j];
        float f = 1 / (EPSILON + sqrtf(sum));
        for (int32_t j = 0; j < n; j++) row[j] *= f;
    }
}

static void unit_centres(em *m) {
    memset(m->sum, 0, sizeof *m->sum * (size_t)m->k_pad);
    for (int32_t i = 0; i < m->n; i++) {
        const float *row = m->mu + (int64_t)i * m->k_pad;
        for (int32_t c = 0; c < m->k_pad; c++) m->sum[c] += row[c] * row[c];
    }
    for (int32_t c = 0; c < m->k_pad; c++) m->sum[c] = 1 / (EPSILON + sqrtf(m->sum[c]));
    for (int32_t i = 0; i < m->n; i++) {
        float *row = m->mu + (int64_t)i * m->k_pad;
        for (int32_t c = 0; c < m->k_pad; c++) row[c] *= m->sum[c];
    }
}

/* z = softmax over parts of kappa <x, mu>. Arguments reach the hundreds: the largest is taken off first. */
static void expect(em *m) {
    for (int32_t i = 0; i < m->n; i++) {
        const float *x = m->x + (int64_t)i * m->n;
        float *z = m->z + (int64_t)i * m->k_pad;
        for (int32_t c0 = 0; c0 < m->k_pad; c0 += LANES) {
            four acc[4] = {{0}, {0}, {0}, {0}};
            const float *mu = m->mu + c0;
            for (int32_t j = 0; j < m->n; j++, mu += m->k_pad) {
                const four *c = (const four *)mu, xj = {x[j], x[j], x[j], x[j]};
                acc[0] += xj * c[0], acc[1] += xj * c[1], acc[2] += xj * c[2], acc[3] += xj * c[3];
            }
            memcpy(z + c0, acc, sizeof acc);
        }
        float top = z[0], sum = 0;
        for (int32_t c = 1; c < m->k; c++) top = z[c] > top ? z[c] : top;
        for (int32_t c = 0; c < m->k; c++) sum += z[c] = expf(KAPPA * (z[c] - top));
        for (int32_t c = 0; c < m->k_pad; c++) z[c] = c < m->k ? z[c] / sum : 0;
    }
}

static void divide_by_sums(em *m) {
    memset(m->sum, 0, sizeof *m->sum * (size_t)m->k_pad);
    for (int32_t i = 0; i < m->n; i++)
        for (int32_t c = 0; c < m->k_pad; c++) m->sum[c] += m->z[(int64_t)i * m->k_pad + c];
    for (int32_t i = 0; i < m->n; i++)
        for (int32_t c = 0; c < m->k_pad; c++) m->z[(int64_t)i * m->k_pad + c] /= EPSILON + m->sum[c];
}

static void maximise(em *m) {
    divide_by_sums(m);
    memset(m->mu, 0, sizeof *m->mu * (size_t)m->n * (size_t)m->k_pad);
    for (int32_t i = 0; i < m->n; i++) {
        const float *x = m->x + (int64_t)i * m->n;
        const four *w = (const four *)(m->z + (int64_t)i * m->k_pad);
        for (int32_t j = 0; j < m->n; j++) {
            four *mu = (four *)(m->mu + (int64_t)j * m->k_pad), xj = {x[j], x[j], x[j], x[j]};
            for (int32_t c = 0; c < m->k_pad / 4; c++) mu[c] += xj * w[c];
        }
    }
    unit_centres(m);
}

ehm_code ehm_epm_parts(int32_t *part, const float *attention, const float *mu, const ehm_epm_opt *o,
                       ehm_arena *scratch, ehm_err *err) {
    int32_t n = o->n, k = o->n_parts;
    em m = {.n = n, .k = k, .k_pad = (k + LANES - 1) / LANES * LANES};
    m.x = EHM_NEW_N(scratch, float, (int64_t)n * n);
    m.mu = EHM_NEW_N(scratch, float, (int64_t)n * m.k_pad);
    m.z = EHM_NEW_N(scratch, float, (int64_t)n * m.k_pad);
    m.sum = EHM_NEW_N(scratch, float, m.k_pad);
    if (!m.x || !m.mu || !m.z || !m.sum)
        return EHM_FAIL(err, EHM_E_MEMORY, "mask rule epm: no memory for %d parts of %d patches", (int)k,
                        (int)n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) m.x[j * n + i] = o->scale * attention[i * n + j];
    if (o->unit) unit_rows(m.x, n);
    for (int32_t j = 0; j < n; j++)
        memcpy(m.mu + (int64_t)j * m.k_pad, mu + (int64_t)j * k, sizeof *mu * (size_t)k);
    unit_centres(&m);
    for (int32_t r = 0; r < ROUNDS; r++) expect(&m), maximise(&m);
    expect(&m);
    if (!o->unit) divide_by_sums(&m);
    for (int32_t i = 0; i < n; i++) {
        const float *z = m.z + (int64_t)i * m.k_pad;
        part[i] = 0;
        for (int32_t c = 1; c < k; c++)
            if (z[c] > z[part[i]]) part[i] = c;
    }
    return EHM_OK;
}

/* ---- the rule ---- */
static ehm_code parts_of(int32_t *part, int32_t n_parts, const ehm_mask_in *in, bool exact, ehm_rng *rng,
                         ehm_arena *scratch, ehm_err *err) {
    int32_t n = in->grid_h * in->grid_w;
    ehm_epm_opt o = {.n = n, .n_parts = n_parts, .unit = !exact, .scale = 1};
    if (exact) o.scale = (float)(in->n_attention_maps > 0 ? in->n_attention_maps : MAPS);
    float *mu = EHM_NEW_N(scratch, float, (int64_t)n * n_parts);
    if (!mu)
        return EHM_FAIL(err, EHM_E_MEMORY, "mask rule epm: no memory for %d parts of %d patches",
                        (int)n_parts, (int)n);
    for (int64_t i = 0; i < (int64_t)n * n_parts; i++) mu[i] = (float)ehm_rng_normal(rng);
    return ehm_epm_parts(part, in->attention, mu, &o, scratch, err);
}

/* The lattice: four numbers for the places of a 2 x 2. The published index of the column is the patch's own
 * number modulo 2, and its width the root of the count: the same on square grids of even side. */
static float tile_at(const float tile[2][2], const ehm_mask_in *in, int32_t i, bool exact) {
    int32_t w = exact ? (int32_t)sqrt((double)in->grid_h * in->grid_w) : in->grid_w;
    return tile[i / w % 2][(exact ? i : i % w) % 2];
}

static ehm_code epm_draw(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    int32_t n = in->grid_h * in->grid_w;
    bool exact = in->settings && in->settings->epm_exact;
    double u = (double)in->progress_frac, epoch = (double)in->epoch;
    double alpha = exact ? sqrt((epoch + 1) / EPOCHS) : sqrt(u);
    double parts = PARTS_LAST + (PARTS_FIRST - PARTS_LAST) * (exact ? (EPOCHS - epoch) / EPOCHS : 1 - u);
    if (alpha > 0 && !in->attention)
        return EHM_FAIL(err, EHM_E_ARG, "mask rule epm needs the model's attention, and none was given");
    if (alpha > 0) EHM_TRY(ehm_mask_check_values(in->attention, n, n, true, "attention", err));
    /* The published code draws the number of parts, the first centres and the tile once for a batch. A rule
     * knows no batch; all pictures of a step share epoch and progress. */
    uint32_t step;
    memcpy(&step, &in->progress_frac, sizeof step);
    ehm_rng rng = in->rng, of_step = ehm_rng_of(in->seed, EHM_RNG_mask_source, in->epoch, step),
            *shared = exact ? &of_step : &rng;
    int32_t *part = EHM_NEW_N(scratch, int32_t, n);
    float *score = EHM_NEW_N(scratch, float, n), *of_part;
    uint8_t *removed;
    if (!part || !score) return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %d patches", (int)n);
    EHM_TRY(ehm_mask_flags_new(&removed, n, scratch, err));
    for (int32_t v = 0; v < in->n_views; v++) {
        int32_t n_parts = (int32_t)parts + (int32_t)ehm_rng_below(shared, 3);
        if (!exact && n_parts > n) n_parts = n;
        if (n_parts < 1) n_parts = 1; /* epochs beyond 400, where the published code breaks */
        if (alpha > 0) EHM_TRY(parts_of(part, n_parts, in, exact, shared, scratch, err));
        float tile[2][2];
        for (int32_t i = 0; i < 4; i++) tile[i / 2][i % 2] = ehm_rng_f32(shared);
        of_part = EHM_NEW_N(scratch, float, n_parts);
        if (!of_part) return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %d parts", (int)n_parts);
        for (int32_t c = 0; c < n_parts; c++) of_part[c] = ehm_rng_f32(&rng);
        for (int32_t i = 0; i < n; i++)
            score[i] = (float)(1 - alpha) * tile_at(tile, in, i, exact) + (float)alpha * of_part[part[i]];
        if (exact) { /* the lowest stay; which of equal ones the published sort leaves open, here the first */
            EHM_TRY(ehm_mask_from_noise(&out[v], score, n, in->n_masked, scratch, err));
            continue;
        }
        for (int32_t i = 0; i < n; i++) removed[i] = 0;
        EHM_TRY(ehm_mask_largest(removed, score, n, in->n_masked, &rng, scratch, err));
        ehm_mask_of_flags(&out[v], removed, n);
    }
    return EHM_OK;
}

static uint32_t epm_needs(const ehm_mask_settings *s, const char *arg, int32_t n, double progress_frac) {
    (void)arg, (void)n;
    return progress_frac > 0 || (s && s->epm_exact) ? EHM_MASK_NEEDS_ATTENTION : 0;
}

const ehm_mask_rule ehm_mask_rule_epm = {
    .name = "epm",
    .summary = "a lattice that fades into whole parts, found by EM over the model's attention",
    .source = "Evolved Part Masking, Feng and Zhang 2023, published code (--epm-exact); without it a "
              "variant of ours",
    .details = "From 40 parts to 10, 15 rounds of EM over columns of attention; a lattice of 2 x 2 counts "
               "for 1 - sqrt(u), parts for sqrt(u), the lowest stay visible. Columns are brought to length "
               "1, every picture has its own lattice, number of parts and first centres, and equal patches "
               "are taken at random. --epm-exact: epochs counted of 300 whatever the run's length; columns "
               "summed over layers and heads and not normalised; posteriors divided by their sum over "
               "patches; lattice, number of parts and first centres shared by all pictures of a step (the "
               "same epoch and progress); of equal patches the first stay. Its averaged teacher is "
               "--tree-teacher ema.",
    .needs = epm_needs,
    .draw = epm_draw,
};
