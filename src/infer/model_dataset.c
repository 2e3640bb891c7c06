#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "infer/model_int.h"
#include <stdlib.h>

/* Pictures that cannot be read were replaced by the loader (ids and slots differ there); what to do with them
 * is the caller's matter. */
static ehm_code walk(ehm_model *m, ehm_loader *l, int64_t n_all, float *cls, float *mean, float *patches,
                     ehm_feature_fn fn, void *ctx, ehm_err *err) {
    double begin = ehm_clock_s();
    int64_t n_done = 0;
    char done[32], all[32];
    for (;;) {
        ehm_batch b = {0};
        ehm_err why = {0};
        ehm_code rc = ehm_loader_next(l, &b, &why);
        if (rc == EHM_E_STOPPED && !b.n && !ehm_stop_asked()) break;
        if (rc) {
            if (err && !err->code) *err = why;
            return rc;
        }
        if (ehm_stop_asked())
            return EHM_FAIL(err, EHM_E_STOPPED, "stopped after %lld of %lld pictures", (long long)n_done,
                            (long long)n_all);
        EHM_TRY(ehm_model_tokens(m, b.pixels, b.type, b.n, cls, mean, patches, err));
        EHM_TRY(fn(ctx, &b, cls, mean, patches, err));
        n_done += b.n;
        ehm_progress(false, "%s of %s pictures, %.0f a second", ehm_format_count(n_done, done),
                     ehm_format_count(n_all, all), (double)n_done / (ehm_clock_s() - begin + 1e-9));
    }
    ehm_progress(true, "%s pictures", ehm_format_count(n_done, done));
    return EHM_OK;
}

ehm_code ehm_model_run_dataset(ehm_model *m, ehm_dataset *ds, int32_t n_workers, bool want_patches,
                               ehm_feature_fn fn, void *ctx, ehm_err *err) {
    const ehm_vit_shape *s = &m->info.shape;
    size_t B = (size_t)m->batch, D = (size_t)s->embed_dim, L = (size_t)s->n_patches;
    if (ehm_dataset_channels(ds) != s->channels) {
        EHM_HINT(err, "--channels %d converts the pictures", (int)s->channels);
        return EHM_FAIL(err, EHM_E_MISMATCH, "%s: pictures of %d channels, but the model takes %d",
                        ehm_dataset_spec(ds), (int)ehm_dataset_channels(ds), (int)s->channels);
    }
    ehm_loader_opt opt = {.batch_size = m->batch,
                          .h = s->img_h,
                          .w = s->img_w,
                          .fit = ehm_model_fit(m),
                          .n_workers = n_workers < 1 ? 1 : n_workers,
                          .max_bad = 1};
    ehm_loader *l = NULL;
    float *cls = malloc(B * D * sizeof *cls), *mean = malloc(B * D * sizeof *mean),
          *patches = want_patches ? malloc(B * L * D * sizeof *patches) : NULL;
    ehm_code rc =
        cls && mean && (patches || !want_patches)
            ? EHM_OK
            : EHM_FAIL(err, EHM_E_MEMORY, "no memory for the features of %d pictures", (int)m->batch);
    if (!rc) rc = ehm_loader_open(&l, ds, &opt, 0, err);
    if (!rc) rc = walk(m, l, ehm_dataset_count(ds), cls, mean, patches, fn, ctx, err);
    ehm_loader_close(l);
    free(cls), free(mean), free(patches);
    return rc;
}
