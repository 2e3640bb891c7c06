/* Numbers for mask rules from a file, and the rule that takes whole masks from there. */
#include "mask/mask_file.h"
#include "base/npy.h"
#include "mask/pick_int.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct ehm_mask_file {
    ehm_arena arena;
    const float *value;
    int64_t n_each, n_pictures; /* n_pictures 1: one for all */
    int32_t n_patches;
};

/* The axes before the last ones count pictures; 0 axes: one for all. -1: no shape that would do. */
static int64_t pictures_in(const ehm_npy *a, ehm_mask_file_kind kind, int64_t gh, int64_t gw) {
    int64_t n = gh * gw, one[2][2] = {{n, 0}, {gh, gw}};
    int32_t n_one = kind == EHM_FILE_PATCHES ? 2 : 1;
    if (kind == EHM_FILE_PAIRS) one[0][1] = n;
    for (int32_t k = 0; k < n_one; k++) {
        int32_t rank = one[k][1] ? 2 : 1, lead = a->rank - rank;
        if (lead != 0 && lead != 1) continue;
        bool same = true;
        for (int32_t i = 0; i < rank; i++) same &= a->dim[lead + i] == one[k][i];
        if (same) return lead ? a->dim[0] : 1;
    }
    return -1;
}

static ehm_code wrong_shape(const char *path, const ehm_npy *a, ehm_mask_file_kind kind, int32_t gh,
                            int32_t gw, int64_t n_pictures, ehm_err *err) {
    char shape[128], p[24] = "PICTURES";
    int32_t n = gh * gw;
    ehm_npy_shape(a, shape);
    if (n_pictures > 0) snprintf(p, sizeof p, "%lld", (long long)n_pictures);
    if (kind == EHM_FILE_PAIRS)
        return EHM_FAIL(
            err, EHM_E_CONFIG,
            "%s: shape %s; a grid of %dx%d patches needs (%d, %d) for all pictures, or (%s, %d, %d)", path,
            shape, (int)gh, (int)gw, (int)n, (int)n, p, (int)n, (int)n);
    return EHM_FAIL(err, EHM_E_CONFIG,
                    "%s: shape %s; a grid of %dx%d patches needs (%d,) or (%d, %d) for all pictures, or (%s, "
                    "%d) or (%s, %d, %d)",
                    path, shape, (int)gh, (int)gw, (int)n, (int)gh, (int)gw, p, (int)n, p, (int)gh, (int)gw);
}

/* The first value that is no finite float, by its place in the file's own shape. */
static ehm_code check_values(const char *path, const ehm_npy *a, const float *v, ehm_err *err) {
    for (int64_t i = 0; i < a->count; i++) {
        if (isfinite(v[i])) continue;
        double as_stored;
        char place[128];
        size_t len = 0;
        int64_t rest = i, below = a->count;
        ehm_npy_f64(&as_stored, a, i, 1);
        for (int32_t d = 0; d < a->rank && len < sizeof place; d++) {
            below /= a->dim[d];
            len += (size_t)snprintf(place + len, sizeof place - len, d ? ", %lld" : "%lld",
                                    (long long)(rest / below));
            rest %= below;
        }
        return EHM_FAIL(err, EHM_E_CONFIG, "%s: entry (%s) is %g%s", path, place, as_stored,
                        isfinite(as_stored) ? ", too large for a 32-bit float" : "");
    }
    return EHM_OK;
}

static ehm_code fill(ehm_mask_file *f, const char *path, ehm_mask_file_kind kind, int32_t gh, int32_t gw,
                     int64_t n_pictures, ehm_err *err) {
    ehm_npy a;
    EHM_TRY(ehm_npy_read(&a, path, &f->arena, err));
    f->n_patches = gh * gw;
    f->n_pictures = pictures_in(&a, kind, gh, gw);
    if (f->n_pictures < 1 || (n_pictures > 0 && f->n_pictures != 1 && f->n_pictures != n_pictures))
        return wrong_shape(path, &a, kind, gh, gw, n_pictures, err);
    f->n_each = kind == EHM_FILE_PAIRS ? (int64_t)f->n_patches * f->n_patches : f->n_patches;
    float *v = EHM_NEW_N(&f->arena, float, a.count);
    if (!v) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for %lld values", path, (long long)a.count);
    ehm_npy_f32(v, &a, 0, a.count);
    f->value = v;
    return check_values(path, &a, v, err);
}

ehm_code ehm_mask_file_open(ehm_mask_file **out, const char *path, ehm_mask_file_kind kind, int32_t grid_h,
                            int32_t grid_w, int64_t n_pictures, ehm_err *err) {
    *out = NULL;
    if (grid_h < 1 || grid_w < 1 || (int64_t)grid_h * grid_w > INT32_MAX)
        return EHM_FAIL(err, EHM_E_ARG, "%s: for a grid of %dx%d patches", path, (int)grid_h, (int)grid_w);
    ehm_mask_file *f = calloc(1, sizeof *f);
    if (!f) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
    ehm_code rc = fill(f, path, kind, grid_h, grid_w, n_pictures, err);
    if (rc) ehm_mask_file_close(f);
    else *out = f;
    return rc;
}

const float *ehm_mask_file_of(const ehm_mask_file *f, int64_t i_picture) {
    if (i_picture < 0 || (f->n_pictures > 1 && i_picture >= f->n_pictures)) return NULL;
    return f->value + (f->n_pictures > 1 ? i_picture * f->n_each : 0);
}

void ehm_mask_file_close(ehm_mask_file *f) {
    if (!f) return;
    ehm_arena_free(&f->arena);
    free(f);
}

static bool is_removed(float v) { return v > 0.5f; }

ehm_mask_file_counts ehm_mask_file_count(const ehm_mask_file *f, int32_t n_masked) {
    ehm_mask_file_counts c = {.n = f->n_pictures, .least = INT32_MAX};
    for (int64_t p = 0; p < f->n_pictures; p++) {
        const float *v = f->value + p * f->n_each;
        int32_t count = 0;
        for (int32_t i = 0; i < f->n_patches; i++) count += is_removed(v[i]);
        c.n_fewer += count<n_masked, c.n_more += count> n_masked;
        c.n_blank += (count == 0 && n_masked > 0) || (count == f->n_patches && n_masked < f->n_patches);
        if (count < c.least) c.least = count;
        if (count > c.most) c.most = count;
    }
    return c;
}

/* ---- the rule ---- */
static ehm_code file_draw(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    int32_t n = in->grid_h * in->grid_w;
    ehm_rng rng = in->rng;
    uint8_t *removed;
    if (!in->score) return EHM_FAIL(err, EHM_E_ARG, "mask rule file needs a mask, and none was given");
    EHM_TRY(ehm_mask_check_values(in->score, 1, n, false, "the mask's value", err));
    EHM_TRY(ehm_mask_flags_new(&removed, n, scratch, err));
    for (int32_t v = 0; v < in->n_views; v++) {
        for (int32_t i = 0; i < n; i++) removed[i] = is_removed(in->score[i]);
        int32_t count = ehm_mask_count(removed, n);
        EHM_TRY(ehm_mask_fit(removed, n, in->n_masked, &rng, scratch, err));
        ehm_mask_of_flags(&out[v], removed, n);
        out[v].facts.flat = (count == 0 || count == n) &&
                            count != in->n_masked; /* it says nothing: what was drawn is random */
    }
    return EHM_OK;
}

static uint32_t file_needs(const ehm_mask_settings *s, const char *arg, int32_t n, double progress_frac) {
    (void)s, (void)arg, (void)n, (void)progress_frac;
    return EHM_MASK_NEEDS_SCORE;
}

const ehm_mask_rule ehm_mask_rule_file = {
    .name = "file",
    .summary = "masks from a file",
    .source = "ours",
    .details = "--mask-file F.npy holds a mask for all pictures or one each: what exceeds 0.5 is removed. "
               "Exactly as many patches go as --mask-ratio says: where a mask has more, some chosen at "
               "random come back, where it has fewer, random ones are added. How many masks that concerns "
               "is said at the start. Crops and flips do not move the masks.",
    .needs = file_needs,
    .draw = file_draw,
};
