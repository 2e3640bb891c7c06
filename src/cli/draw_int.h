/* The words of ehm draw, one function each, and what they share. */
#ifndef EHM_CLI_DRAW_INT_H
#define EHM_CLI_DRAW_INT_H
#include "cli/cli.h"
#include "draw/study.h"

ehm_code ehm_draw_run_reconstruct(const ehm_config *c, ehm_out *out, ehm_err *err);
ehm_code ehm_draw_run_tree(const ehm_config *c, ehm_out *out, ehm_err *err);
ehm_code ehm_draw_run_masks(const ehm_config *c, ehm_out *out, ehm_err *err);
ehm_code ehm_draw_run_attention(const ehm_config *c, ehm_out *out, ehm_err *err);

/* --model and --image, opened; NULL where they are not given. */
typedef struct {
    ehm_model *model;
    ehm_dataset *pictures;
} ehm_draw_input;
/* --out is there and has an ending that can be drawn (also .npy). */
ehm_code ehm_draw_check_out(const ehm_config *c, bool npy_too, ehm_err *err);
/* need_both: an error names what is missing. */
ehm_code ehm_draw_open(ehm_draw_input *in, const ehm_config *c, bool need_both, ehm_err *err);
void ehm_draw_close(ehm_draw_input *in);
/* --mask and its options, and what has to be read for it. */
typedef struct {
    const ehm_mask_rule *rule;
    const char *arg;
    ehm_mask_settings settings;
    ehm_affinity_opt affinity;
    char whose[80];          /* "mask rule ehm" */
    ehm_study_source source; /* points into this struct; pictures are left out */
} ehm_draw_mask_rule;
/* m may be NULL: then the grid counts. progress [n_progress]: when masks will be drawn. */
ehm_code ehm_draw_rule(ehm_draw_mask_rule *out, const ehm_config *c, ehm_model *m, const double *progress,
                       int32_t n_progress, int32_t grid_h, int32_t grid_w, ehm_err *err);
ehm_code ehm_draw_write(const ehm_config *c, const ehm_image *sheet, ehm_err *err);
#endif
