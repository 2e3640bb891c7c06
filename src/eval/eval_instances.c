/* Masks of objects. Detection with one more branch and another measure: eval_detect.c does the work. */
#include "eval/detect_int.h"

static ehm_code run_instances(ehm_eval_out *out, const ehm_eval_in *in, ehm_arena *a, ehm_err *err) { return ehm_detect_run(out, in, true, a, err); }

const ehm_eval_task ehm_eval_task_instances = {
    .name = "instances",
    .summary = "a mask for each object: boxes as in detect and a mask branch, COCO's average precision of masks",
    .source = "head: Tian et al. 2019; masks: He et al. 2017; scores: COCO (pycocotools)",
    .metrics = ehm_mask_metrics,
    .n_metrics = EHM_MASK_METRICS,
    .groups = EHM_DETECT_GROUPS,
    .own = (const ehm_own_setting[]){EHM_TUNE_OWN, {.i = EHM_SETTINGS_N}},
    .run = run_instances,
};
