#include "net/pixels.h"
#include <math.h>

enum { CHANNELS_MAX = 256 };

void ehm_pixels_plan(ehm_pixels *p, ehm_plan *plan, const ehm_vit_shape *s, int32_t batch) {
    p->patch_size = s->patch_size, p->channels = s->channels;
    p->px = ehm_plan_view(plan, EHM_MEM_INPUT, NULL, EHM_F32, 4,
                          (int64_t[]){batch, s->img_h, s->img_w, s->channels});
    p->stats = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, ehm_dev_real(plan->dev), 4, s->channels);
}

void ehm_pixels_plan_ahead(ehm_pixels *p, ehm_plan *plan) {
    p->other = ehm_view_none(), p->n_ahead = 0;
    if (ehm_dev_runs_ahead(plan->dev)) p->other = ehm_plan_view(plan, EHM_MEM_INPUT, NULL, EHM_F32, 4, p->px.dim);
}

static void put_row(ehm_pixels *p, ehm_dev *d, int32_t i, const double *v) {
    ehm_view row = ehm_view_rows(p->stats, i, 1);
    float narrow[CHANNELS_MAX];
    for (int32_t c = 0; c < p->channels; c++) narrow[c] = (float)v[c];
    ehm_upload(d, row, row.dtype == EHM_F64 ? (const void *)v : narrow, ehm_view_bytes(row));
}

ehm_code ehm_pixels_stats(ehm_pixels *p, ehm_dev *d, const double *mean, const double *std, int32_t n,
                          ehm_err *err) {
    double v[4][CHANNELS_MAX];
    if (n != p->channels || n > CHANNELS_MAX)
        return EHM_FAIL(err, EHM_E_MISMATCH, "mean and std of %d channels, but the model has %d", (int)n,
                        (int)p->channels);
    for (int32_t c = 0; c < n; c++) {
        if (!isfinite(mean[c]) || !isfinite(std[c]) || std[c] <= 0)
            return EHM_FAIL(err, EHM_E_CONFIG,
                            "channel %d: mean %g, std %g; the deviation must be over 0 and both finite",
                            (int)c, mean[c], std[c]);
        v[0][c] = mean[c] * 255, v[1][c] = 1 / (std[c] * 255);
        v[2][c] = mean[c], v[3][c] = 1 / std[c];
    }
    for (int32_t i = 0; i < 4; i++) put_row(p, d, i, v[i]);
    return EHM_OK;
}

/* A place as what lies there: offsets count elements, so they grow where these shrink. */
static ehm_view as_loaded(ehm_view place, ehm_dtype type, int32_t n) {
    if (type == EHM_U8) place.dtype = EHM_U8, place.offset *= (int64_t)sizeof(float);
    place.dim[0] = n;
    return place;
}
static ehm_view loaded(const ehm_pixels *p) { return as_loaded(p->px, p->type, p->n); }

void ehm_pixels_load(ehm_pixels *p, ehm_dev *d, const void *px, ehm_dtype type, int32_t n) {
    EHM_ASSERT(n <= p->px.dim[0]);
    p->n = n, p->type = type;
    ehm_view v = loaded(p);
    ehm_upload(d, v, px, ehm_view_bytes(v));
}

void ehm_pixels_ahead(ehm_pixels *p, ehm_dev *d, const void *px, ehm_dtype type, int32_t n) {
    if (!p->other.rank) return;
    EHM_ASSERT(n <= p->other.dim[0]);
    ehm_view v = as_loaded(p->other, type, n);
    ehm_upload_ahead(d, v, px, ehm_view_bytes(v));
    p->n_ahead = n, p->type_ahead = type;
}

bool ehm_pixels_arrived(ehm_pixels *p) {
    ehm_view v = p->px;
    if (!p->n_ahead) return false;
    p->px = p->other, p->other = v;
    p->n = p->n_ahead, p->type = p->type_ahead, p->n_ahead = 0;
    return true;
}

void ehm_pixels_patchify(const ehm_pixels *p, ehm_dev *d, ehm_view patches) {
    int32_t first = p->type == EHM_U8 ? 0 : 2;
    ehm_patchify(d, &(ehm_patchify_args){.patches = patches,
                                         .pixels = loaded(p),
                                         .shift = ehm_view_rows(p->stats, first, 1),
                                         .scale = ehm_view_rows(p->stats, first + 1, 1),
                                         .patch = p->patch_size});
}
