/* The similarity and the tree of every source: the model's attention, and the controls. */
#include "mask/tree_mask_int.h"
#include <math.h>

/* ---- sources that need no model ---- */

/* Less far is more similar. Only differences of distances count for the tree. */
static void from_points(float *S, const float *x, int32_t n, int32_t dim) {
    for (int32_t i = 0; i < n; i++) {
        S[(int64_t)i * n + i] = 0;
        for (int32_t j = 0; j < i; j++) {
            float sum = 0;
            for (int32_t c = 0; c < dim; c++) {
                float d = x[(int64_t)i * dim + c] - x[(int64_t)j * dim + c];
                sum += d * d;
            }
            S[(int64_t)i * n + j] = S[(int64_t)j * n + i] = -sqrtf(sum);
        }
    }
}

/* Where patches are, each moved by up to half a patch either way: a bare grid is one large tie, and its tree
 * would be the same for every picture. */
static void spatial(float *S, float *x, const ehm_mask_in *in) {
    int32_t n = in->grid_h * in->grid_w;
    ehm_rng rng = ehm_rng_of(in->seed, EHM_RNG_mask_source, in->epoch, in->sample);
    for (int32_t i = 0; i < n; i++) {
        x[2 * i] = (float)(i / in->grid_w) + ehm_rng_f32(&rng) - 0.5f;
        x[2 * i + 1] = (float)(i % in->grid_w) + ehm_rng_f32(&rng) - 0.5f;
    }
    from_points(S, x, n, 2);
}

/* Colour over its deviation in this picture; positions such that 8 of 14 patches weigh as much as
 * one deviation. */
static void pixels(float *S, float *x, const ehm_mask_in *in) {
    int32_t n = in->grid_h * in->grid_w, dim = in->n_colour + 2,
            side = in->grid_h > in->grid_w ? in->grid_h : in->grid_w;
    float per_patch = 14.0f / (8.0f * (float)side);
    for (int32_t c = 0; c < in->n_colour; c++) {
        double mean = 0, var = 0;
        for (int32_t i = 0; i < n; i++) mean += (double)in->colour[(int64_t)i * in->n_colour + c];
        mean /= n;
        for (int32_t i = 0; i < n; i++) {
            double d = (double)in->colour[(int64_t)i * in->n_colour + c] - mean;
            var += d * d;
        }
        double scale = var > 0 ? sqrt(n / var) : 0 * var; /* what is no number stays none, and is refused */
        for (int32_t i = 0; i < n; i++)
            x[(int64_t)i * dim + c] =
                (float)(((double)in->colour[(int64_t)i * in->n_colour + c] - mean) * scale);
    }
    for (int32_t i = 0; i < n; i++) {
        x[(int64_t)i * dim + in->n_colour] = (float)(i / in->grid_w) * per_patch;
        x[(int64_t)i * dim + in->n_colour + 1] = (float)(i % in->grid_w) * per_patch;
    }
    from_points(S, x, n, dim);
}

/* Levels that agree, counted from the coarsest until one differs: equal parts of different objects have
 * nothing in common. No label is a label here, or the ground would be single patches until all things have
 * become one. Nearness, at most a hundredth of a level, decides the rest. */
static void labels(float *S, const ehm_mask_in *in) {
    int32_t n = in->grid_h * in->grid_w, w = in->grid_w;
    double farthest = hypot(in->grid_h, w);
    for (int32_t i = 0; i < n; i++) {
        S[(int64_t)i * n + i] = 0;
        for (int32_t j = 0; j < i; j++) {
            int32_t same = 0;
            for (int32_t l = in->n_levels - 1; l >= 0; l--, same++) {
                int32_t a = in->labels[(int64_t)l * n + i], b = in->labels[(int64_t)l * n + j];
                if (a != b && (a >= 0 || b >= 0)) break;
            }
            double near = 1 - hypot(i / w - j / w, i % w - j % w) / farthest;
            S[(int64_t)i * n + j] = S[(int64_t)j * n + i] = (float)(same + 0.01 * near);
        }
    }
}

/* ---- the source's matrix ---- */

static bool is_moved(const ehm_mask_settings *s) {
    return s->tree_source == EHM_SOURCE_MOVED || s->tree_source == EHM_SOURCE_SHUFFLED;
}

static ehm_code missing(uint32_t need, ehm_err *err) {
    return EHM_FAIL(err, EHM_E_ARG, "mask: the tree needs %s, and none was given", ehm_mask_need_name(need));
}

/* *S is the source's similarity before anything is done to it: the caller's, or room (asked for when NULL)
 * filled. */
static ehm_code raw_similarity(const float **S, float *room, const ehm_mask_in *in, ehm_arena *scratch,
                               ehm_err *err) {
    const ehm_mask_settings *s = ehm_mask_settings_or(in->settings);
    size_t n = (size_t)(in->grid_h * in->grid_w);
    bool made = s->tree_source == EHM_SOURCE_SPATIAL || s->tree_source == EHM_SOURCE_PIXELS ||
                s->tree_source == EHM_SOURCE_LABELS;
    if (!made) {
        bool other = s->tree_source == EHM_SOURCE_SWAPPED;
        *S = other ? in->similarity_other : in->similarity;
        return *S ? EHM_OK : missing(other ? EHM_MASK_NEEDS_OTHER : EHM_MASK_NEEDS_SIMILARITY, err);
    }
    if (s->tree_source == EHM_SOURCE_PIXELS && (!in->colour || in->n_colour < 1))
        return missing(EHM_MASK_NEEDS_COLOUR, err);
    if (s->tree_source == EHM_SOURCE_LABELS && (!in->labels || in->n_levels < 1))
        return missing(EHM_MASK_NEEDS_LABELS, err);
    if (!room) room = EHM_NEW_N(scratch, float, n * n);
    float *x = EHM_NEW_N(scratch, float, n * ((size_t)(in->n_colour > 0 ? in->n_colour : 0) + 2));
    if (!room || !x)
        return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for the similarity of %zu patches", n);
    if (s->tree_source == EHM_SOURCE_SPATIAL) spatial(room, x, in);
    else if (s->tree_source == EHM_SOURCE_PIXELS) pixels(room, x, in);
    else labels(room, in);
    *S = room;
    return EHM_OK;
}

/* Balancing and prior are for what came from a model or a file; the sources made here are what they are. */
static bool has_prior(const ehm_mask_settings *s) {
    return s->tree_prior > 0 && s->tree_source != EHM_SOURCE_SPATIAL && s->tree_source != EHM_SOURCE_PIXELS &&
           s->tree_source != EHM_SOURCE_LABELS;
}
static bool is_balanced(const ehm_mask_settings *s) {
    return s->balance && s->tree_source != EHM_SOURCE_SPATIAL && s->tree_source != EHM_SOURCE_PIXELS &&
           s->tree_source != EHM_SOURCE_LABELS && s->tree_source != EHM_SOURCE_FILE;
}

/* The similarity that the tree is built of, before leaves are moved; copied to room (asked for when NULL)
 * only where it has to be changed. */
static ehm_code unmoved_similarity(const float **S, bool *flat, float *room, const ehm_mask_in *in,
                                   ehm_arena *scratch, ehm_err *err) {
    const ehm_mask_settings *s = ehm_mask_settings_or(in->settings);
    int32_t n = in->grid_h * in->grid_w;
    size_t count = (size_t)n * (size_t)n;
    ehm_similarity_range range;
    if (n > EHM_TREE_LEAVES_MAX)
        return EHM_FAIL(err, EHM_E_ARG, "mask: a tree over %d patches; at most %d", (int)n,
                        (int)EHM_TREE_LEAVES_MAX);
    EHM_TRY(raw_similarity(S, room, in, scratch, err));
    EHM_TRY(ehm_similarity_check(&range, *S, EHM_F32, n, 0, err));
    *flat = ehm_similarity_is_flat(&range);
    if (*flat || (!has_prior(s) && !is_balanced(s))) return EHM_OK;
    if (!room) room = EHM_NEW_N(scratch, float, count);
    float *row = EHM_NEW_N(scratch, float, 2 * n);
    if (!room || !row)
        return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for the similarity of %d patches", (int)n);
    for (size_t i = 0; i < count; i++) room[i] = (*S)[i];
    if (is_balanced(s)) {
        if (range.min < 0)
            return EHM_FAIL(
                err, EHM_E_ARG,
                "mask: similarity is to be balanced, and its least value is %g: it must not be negative",
                range.min);
        ehm_similarity_balance(room, n, row);
    }
    if (has_prior(s)) ehm_similarity_prior(room, in->grid_h, in->grid_w, s->tree_prior);
    *S = room;
    return EHM_OK;
}

/* ---- the controls that move the tree ---- */

/* A symmetry of the grid (8 of a square, else the four that keep its shape), then a shift on the torus. */
static void shift_and_turn(int32_t *perm, int32_t h, int32_t w, ehm_rng *rng) {
    uint32_t turn = ehm_rng_below(rng, h == w ? 8 : 4);
    int32_t dy = (int32_t)ehm_rng_below(rng, (uint32_t)h), dx = (int32_t)ehm_rng_below(rng, (uint32_t)w);
    for (int32_t i = 0; i < h * w; i++) {
        int32_t y = i / w, x = i % w;
        if (turn & 1) y = h - 1 - y;
        if (turn & 2) x = w - 1 - x;
        if (turn & 4) {
            int32_t t = y;
            y = x, x = t;
        }
        perm[i] = (y + dy) % h * w + (x + dx) % w;
    }
}

void ehm_mask_moves(int32_t *perm, const ehm_mask_in *in) {
    int32_t n = in->grid_h * in->grid_w;
    ehm_rng rng = ehm_rng_of(in->seed, EHM_RNG_mask_source, in->epoch, in->sample);
    if (ehm_mask_settings_or(in->settings)->tree_source == EHM_SOURCE_MOVED) {
        shift_and_turn(perm, in->grid_h, in->grid_w, &rng);
        return;
    }
    for (int32_t i = 0; i < n; i++) perm[i] = i;
    ehm_rng_shuffle_i32(&rng, perm, n);
}

static ehm_code moves(int32_t **perm, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    *perm = EHM_NEW_N(scratch, int32_t, (size_t)(in->grid_h * in->grid_w));
    if (!*perm)
        return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %dx%d patches", (int)in->grid_h,
                        (int)in->grid_w);
    ehm_mask_moves(*perm, in);
    return EHM_OK;
}

/* The tree itself is moved, not the matrix: ties would fall otherwise, and sizes and shapes must be the own
 * tree's. */
static void move_leaves(ehm_tree *t, const int32_t *perm) {
    for (int32_t k = 0; k < t->n - 1; k++) {
        int32_t a = t->left[k] < t->n ? perm[t->left[k]] : t->left[k];
        int32_t b = t->right[k] < t->n ? perm[t->right[k]] : t->right[k];
        t->left[k] = a < b ? a : b, t->right[k] = a < b ? b : a;
    }
}

/* ---- what others call ---- */

ehm_code ehm_mask_similarity(float *S, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    const ehm_mask_settings *s = ehm_mask_settings_or(in->settings);
    int32_t n = in->grid_h * in->grid_w, *perm = NULL;
    const float *from;
    bool flat;
    EHM_TRY(unmoved_similarity(&from, &flat, is_moved(s) ? NULL : S, in, scratch, err));
    if (is_moved(s)) EHM_TRY(moves(&perm, in, scratch, err));
    if (from == S) return EHM_OK;
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++)
            S[(int64_t)(perm ? perm[i] : i) * n + (perm ? perm[j] : j)] = from[(int64_t)i * n + j];
    return EHM_OK;
}

ehm_code ehm_mask_tree(ehm_tree *tree, bool *flat, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    const ehm_mask_settings *s = ehm_mask_settings_or(in->settings);
    int32_t n = in->grid_h * in->grid_w, *perm;
    const float *S;
    bool is_flat;
    EHM_TRY(unmoved_similarity(&S, &is_flat, NULL, in, scratch, err));
    void *work = ehm_arena_alloc(scratch, 1, ehm_tree_work_bytes(n, s->linkage, EHM_F32));
    if (!work) return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for the tree of %d patches", (int)n);
    /* What our own ops or the sources here made is symmetric to the bit; a file may differ by rounding. */
    uint32_t flags = s->tree_source == EHM_SOURCE_FILE ? 0 : EHM_TREE_TRUSTED;
    EHM_TRY(ehm_tree_build(tree, S, EHM_F32, n, s->linkage, flags, work, err));
    if (flat) *flat = is_flat;
    if (!is_moved(s)) return EHM_OK;
    EHM_TRY(moves(&perm, in, scratch, err));
    move_leaves(tree, perm);
    return EHM_OK;
}

void ehm_mask_patch_colours(float *out, const void *pixels, ehm_dtype type, int32_t h, int32_t w, int32_t c, int32_t grid_h, int32_t grid_w) {
    int64_t W = w, C = c, ph = h / grid_h, pw = w / grid_w, n = (int64_t)grid_h * grid_w;
    for (int64_t g = 0; g < n; g++)
        for (int64_t k = 0; k < C; k++) {
            double sum = 0;
            for (int64_t y = g / grid_w * ph; y < (g / grid_w + 1) * ph; y++)
                for (int64_t x = g % grid_w * pw; x < (g % grid_w + 1) * pw; x++) {
                    int64_t at = (y * W + x) * C + k;
                    sum += type == EHM_U8 ? ((const uint8_t *)pixels)[at] / 255.0 : (double)((const float *)pixels)[at];
                }
            out[g * C + k] = (float)(sum / (double)(ph * pw));
        }
}
