#include "recipe/method_int.h"

static int64_t pixels_width(const ehm_vit_shape *s) { return s->patch_pixels; }

static const char *pixels_refuse(const ehm_method *m) {
    return m->norm_pix && m->shape.patch_pixels < 2
               ? "norm_pix_loss needs at least 2 values a patch; a patch of one grey pixel has no deviation"
               : NULL;
}

static void pixels_fwd(ehm_method *m, ehm_dev *d) {
    ehm_pixel_target(d, &(ehm_pixel_target_args){
                            .target = ehm_method_target(m),
                            .patches = ehm_fit3(m->patches, m->n, m->shape.n_patches, m->shape.patch_pixels),
                            .idx = ehm_fit2(m->target_idx, m->n, m->n_masked),
                            .norm_pix = m->norm_pix});
}

static const char *pixels_baseline(const ehm_method *m) {
    return m->norm_pix ? "1.0 = predicting each patch's own mean" : "1.0 = predicting the set's mean colour";
}

const ehm_target ehm_target_pixels = {
    .name = "pixels",
    .summary =
        "the patch's pixels, normalised over the set or (norm_pix_loss) by the patch's own mean and deviation",
    .gives = EHM_TARGET_VALUES,
    .width = pixels_width,
    .refuse = pixels_refuse,
    .fwd = pixels_fwd,
    .baseline = pixels_baseline,
};
