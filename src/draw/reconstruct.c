#include "draw/reconstruct.h"
#include "base/log.h"
#include "draw/sheet.h"
#include "mask/mask.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

ehm_code ehm_unnorm_of(ehm_unnorm *out, const char *name, ehm_err *err) {
    static const char *const names[] = {"patch", "visible", "none"};
    for (int32_t i = 0; i < 3; i++)
        if (!strcmp(name, names[i])) return *out = (ehm_unnorm)i, EHM_OK;
    return EHM_FAIL(err, EHM_E_CONFIG, "--unnorm %s: there are patch, visible and none", name);
}

static float pixel_01(const void *px, ehm_dtype t, int64_t i) {
    return t == EHM_U8 ? (float)((const uint8_t *)px)[i] / 255.0f : ((const float *)px)[i];
}

/* One picture's patches in the model's normalised space, [L,P], channel fastest as the targets are. */
static void patches_of(float *out, const void *px, ehm_dtype t, const ehm_vit_shape *s, const double *mean,
                       const double *std) {
    int32_t p = s->patch_size, c = s->channels;
    for (int32_t l = 0; l < s->n_patches; l++)
        for (int32_t y = 0; y < p; y++)
            for (int32_t x = 0; x < p; x++)
                for (int32_t k = 0; k < c; k++) {
                    int64_t at =
                        (((int64_t)(l / s->grid_w) * p + y) * s->img_w + (l % s->grid_w) * p + x) * c + k;
                    *out++ = (float)(((double)pixel_01(px, t, at) - mean[k]) / std[k]);
                }
}

static void moments(const float *x, int32_t n, double *mean, double *var) {
    double m = 0, v = 0;
    for (int32_t i = 0; i < n; i++) m += (double)x[i];
    m /= n;
    for (int32_t i = 0; i < n; i++) v += ((double)x[i] - m) * ((double)x[i] - m);
    *mean = m, *var = n > 1 ? v / (n - 1) : 0;
}

/* Mean and variance for hidden patch l from its four nearest visible patches. */
static void visible_moments(const float *patches, const ehm_vit_shape *s, int32_t l, const int32_t *visible,
                            int32_t n_visible, double *mean, double *var) {
    int32_t best[4], n = 0;
    double dist[4], w = 0;
    for (int32_t i = 0; i < n_visible; i++) {
        double dy = visible[i] / s->grid_w - l / s->grid_w, dx = visible[i] % s->grid_w - l % s->grid_w,
               d = dy * dy + dx * dx;
        int32_t at = n < 4 ? n++ : (d < dist[3] ? 3 : -1);
        if (at < 0) continue;
        while (at > 0 && d < dist[at - 1]) dist[at] = dist[at - 1], best[at] = best[at - 1], at--;
        dist[at] = d, best[at] = visible[i];
    }
    *mean = *var = 0;
    for (int32_t i = 0; i < n; i++) {
        double m, v;
        moments(patches + (int64_t)best[i] * s->patch_pixels, s->patch_pixels, &m, &v);
        *mean += m / dist[i], *var += v / dist[i], w += 1 / dist[i];
    }
    if (w > 0) *mean /= w, *var /= w;
}

/* Patches [L,P] of the normalised space as a picture that can be shown, in the way of study s. */
static ehm_code show(ehm_image *out, const float *patches, const ehm_vit_shape *v, const ehm_study *s, const double *mean,
                     const double *std, ehm_arena *a, ehm_err *err) {
    int32_t p = v->patch_size, c = v->channels;
    float *px = EHM_NEW_N(a, float, (int64_t)v->img_h * v->img_w * c);
    if (!px) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a picture of %dx%d", v->img_w, v->img_h);
    for (int32_t y = 0; y < v->img_h; y++)
        for (int32_t x = 0; x < v->img_w; x++)
            for (int32_t k = 0; k < c; k++) {
                int64_t l = (int64_t)(y / p) * v->grid_w + x / p, in = ((int64_t)(y % p) * p + x % p) * c + k;
                px[((int64_t)y * v->img_w + x) * c + k] = (float)((double)patches[l * v->patch_pixels + in] * std[k] + mean[k]);
            }
    return ehm_shown_image(out, &s->shown, &s->range, px, EHM_F32, v->img_h, v->img_w, c, a, err);
}

static ehm_code panels(ehm_reconstruction *r, const ehm_study *study, const float *pred,
                       const int32_t *visible, const int32_t *masked, int32_t n_visible, const ehm_model *m,
                       ehm_unnorm how, ehm_arena *a, ehm_err *err) {
    const ehm_vit_shape *s = ehm_model_shape(m);
    int32_t n = s->n_patches, pp = s->patch_pixels;
    double mean[256], std[256];
    float *orig = EHM_NEW_N(a, float, (int64_t)n *pp), *work = EHM_NEW_N(a, float, (int64_t)n *pp);
    if (!orig || !work) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for reconstructions");
    ehm_model_stats(m, mean, std);
    patches_of(orig, study->pixels, study->type, s, mean, std);
    EHM_TRY(show(&r->panel[0], orig, s, study, mean, std, a, err));
    memcpy(work, orig, sizeof(float) * (size_t)n * (size_t)pp);
    for (int32_t i = 0; i < n - n_visible; i++)
        memset(work + (int64_t)masked[i] * pp, 0, sizeof(float) * (size_t)pp);
    EHM_TRY(show(&r->panel[1], work, s, study, mean, std, a, err));
    for (int32_t l = 0; l < n; l++) {
        double pm = 0, pv = 1;
        if (ehm_model_norm_pix(m)) {
            if (how == EHM_UNNORM_PATCH)
                moments(orig + (int64_t)l * pp, pp, &pm, &pv);
            else if (how == EHM_UNNORM_VISIBLE) {
                bool seen = false;
                for (int32_t i = 0; i < n_visible; i++) seen |= visible[i] == l;
                if (seen)
                    moments(orig + (int64_t)l * pp, pp, &pm, &pv);
                else
                    visible_moments(orig, s, l, visible, n_visible, &pm, &pv);
            }
            pv = sqrt(pv + 1e-6);
        }
        for (int32_t k = 0; k < pp; k++)
            work[(int64_t)l * pp + k] = (float)((double)pred[(int64_t)l * pp + k] * pv + pm);
    }
    EHM_TRY(show(&r->panel[2], work, s, study, mean, std, a, err));
    for (int32_t i = 0; i < n_visible; i++)
        memcpy(work + (int64_t)visible[i] * pp, orig + (int64_t)visible[i] * pp, sizeof(float) * (size_t)pp);
    return show(&r->panel[3], work, s, study, mean, std, a, err);
}

ehm_code ehm_reconstruct_check(const ehm_model *m, double mask_ratio, ehm_err *err) {
    int32_t n = ehm_model_shape(m)->n_patches, n_visible = ehm_mask_n_visible(n, mask_ratio);
    if (!ehm_model_has_decoder(m)) {
        EHM_FAIL(err, EHM_E_MISMATCH, "%s holds no decoder, so it cannot reconstruct", ehm_model_spec(m));
        EHM_HINT(err,
                 "use the run folder or its model.safetensors; encoder.safetensors is the encoder alone");
        return EHM_E_MISMATCH;
    }
    if (n_visible < 1 || n_visible == n)
        return EHM_FAIL(err, EHM_E_CONFIG,
                        "mask ratio %g leaves %d of %d patches visible; both sides need at least one",
                        mask_ratio, n_visible, n);
    return EHM_OK;
}

ehm_code ehm_reconstruct(ehm_reconstruction *out, ehm_model *m, const ehm_study *s, int32_t n,
                         const ehm_mask_rule *rule, const char *arg, const ehm_mask_settings *set,
                         ehm_unnorm how, uint64_t seed, ehm_arena *a, ehm_err *err) {
    const ehm_vit_shape *v = ehm_model_shape(m);
    ehm_arena scratch = {0};
    ehm_code rc = EHM_OK;
    EHM_TRY(ehm_reconstruct_check(m, set->mask_ratio, err));
    ehm_mask mask = {.visible = EHM_NEW_N(a, int32_t, v->n_patches),
                     .masked = EHM_NEW_N(a, int32_t, v->n_patches)};
    float *pred = EHM_NEW_N(a, float, (int64_t)v->n_patches * v->patch_pixels), loss = 0;
    if (!mask.visible || !mask.masked || !pred)
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for reconstructions");
    for (int32_t i = 0; i < n && !rc; i++) {
        ehm_mask_in in = ehm_study_mask_in(&s[i], set, seed, (uint64_t)s[i].i_picture, 1);
        in.arg = arg;
        ehm_arena_reset(&scratch);
        if (ehm_stop_asked()) {
            rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped after %d of %d pictures", i, n);
            break;
        }
        if ((rc = ehm_mask_draw(rule, &mask, &in, &scratch, err))) break;
        if ((rc = ehm_model_reconstruct(m, s[i].pixels, s[i].type, 1, mask.visible, mask.masked,
                                        mask.n_visible, pred, &loss, err)))
            break;
        out[i].name = s[i].name;
        out[i].loss = (double)loss;
        out[i].foot = ehm_study_foot(m, &s[i], 1, a);
        rc = panels(&out[i], &s[i], pred, mask.visible, mask.masked, mask.n_visible, m, how,
                    a, err);
    }
    ehm_arena_free(&scratch);
    return rc;
}

ehm_code ehm_reconstruct_sheet(ehm_image *sheet, const ehm_reconstruction *r, int32_t n, const ehm_model *m, const char *title,
                               const char *rule, double mask_ratio, ehm_unnorm how, ehm_arena *a,
                               ehm_err *err) {
    static const char *const heads[4] = {"original", "masked", "reconstruction", "with visible pasted"};
    static const char *const ways[3] = {
        ("Each patch's mean and contrast are put back from the hidden patch itself: the model predicts "
         "neither, so colour and contrast here are the original's."),
        "Each hidden patch's mean and contrast come from its nearest visible patches.",
        "Left in the normalised space: grey is each patch's own mean."};
    const ehm_vit_shape *s = ehm_model_shape(m);
    int32_t groups = n > 4 ? 2 : 1, n_cols = 4 * groups, n_rows = (n + groups - 1) / groups;
    ehm_sheet_cell *cells = EHM_NEW_N(a, ehm_sheet_cell, (int64_t)n_rows * n_cols);
    const char **columns = EHM_NEW_N(a, const char *, n_cols);
    if (!cells || !columns) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a sheet of %d pictures", n);
    for (int32_t i = 0; i < n_cols; i++) columns[i] = heads[i % 4];
    for (int32_t i = 0; i < n; i++) {
        ehm_sheet_cell *c = cells + (int64_t)(i / groups) * n_cols + i % groups * 4;
        for (int32_t k = 0; k < 4; k++) c[k].image = &r[i].panel[k];
        c[0].caption = r[i].name;
        c[2].caption = ehm_arena_printf(a, "loss %.3f", r[i].loss);
    }
    if (!title) title = ehm_arena_printf(a, "Reconstructions by %s", ehm_model_spec(m));
    char *foot = ehm_arena_printf(
        a, "Mask %s, %d of %d patches hidden (ratio %g). Loss: mean squared error on hidden patches%s. %s%s%s",
        rule, s->n_patches - ehm_mask_n_visible(s->n_patches, mask_ratio), s->n_patches, mask_ratio,
        ehm_model_norm_pix(m) ? ", 1 is what predicting each patch's mean gives" : "",
        ehm_model_norm_pix(m) ? ways[how] : "", ehm_model_norm_pix(m) ? " " : "", r[0].foot ? r[0].foot : "");
    if (!title || !foot) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a sheet of %d pictures", n);
    return ehm_sheet_draw(sheet,
                          &(ehm_sheet){.title = title,
                                       .footnote = foot,
                                       .columns = columns,
                                       .cells = cells,
                                       .n_rows = n_rows,
                                       .n_cols = n_cols,
                                       .cell_px = s->img_w > 128 ? 224 : 128,
                                       .max_caption_lines = 2,
                                       .gap_px = 10},
                          a, err);
}
