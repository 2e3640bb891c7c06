/* What a masked model sees and makes of it: original, masked, reconstruction, and the reconstruction with the
 * visible patches pasted in. The head predicts normalised pixels; with norm-pix each patch's mean and
 * deviation must come from somewhere, in one of three stated ways: patch    the hidden patch's own (it leaks
 * each hidden patch's mean and contrast: labelled so) visible  from the four nearest visible patches,
 * weighted by 1 / distance^2 none     left in the normalised space: grey is the patch's mean
 */
#ifndef EHM_DRAW_RECONSTRUCT_H
#define EHM_DRAW_RECONSTRUCT_H
#include "image/image.h"
#include "draw/study.h"

typedef enum { EHM_UNNORM_PATCH, EHM_UNNORM_VISIBLE, EHM_UNNORM_NONE } ehm_unnorm;
ehm_code ehm_unnorm_of(ehm_unnorm *out, const char *name, ehm_err *err);

typedef struct {
    const char *name;
    ehm_image panel[4]; /* u8, 1 or 3 channels as shown: original, masked, reconstruction, pasted */
    const char *foot;   /* how the picture became the model's input and is shown */
    double loss;        /* mean squared error over the removed patches, in the target's space */
} ehm_reconstruction;

/* Pictures s [n] of ehm_study_read with what the rule needs (ehm_mask_needs at progress 1), masked as at the
 * end of a training. out [n] in a. */
ehm_code ehm_reconstruct(ehm_reconstruction *out, ehm_model *m, const ehm_study *s, int32_t n,
                         const ehm_mask_rule *rule, const char *arg, const ehm_mask_settings *set,
                         ehm_unnorm how, uint64_t seed, ehm_arena *a, ehm_err *err);
/* It has a decoder, and the ratio leaves patches on both sides: EHM_E_MISMATCH, EHM_E_CONFIG. */
ehm_code ehm_reconstruct_check(const ehm_model *m, double mask_ratio, ehm_err *err);
/* A contact sheet of them, with captions and how the pixels came back. title NULL: by which model. */
ehm_code ehm_reconstruct_sheet(ehm_image *sheet, const ehm_reconstruction *r, int32_t n, const ehm_model *m, const char *title,
                               const char *rule, double mask_ratio, ehm_unnorm how, ehm_arena *a,
                               ehm_err *err);
#endif
