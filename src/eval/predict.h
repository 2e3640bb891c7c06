/* What a saved network says of new pictures: labels, maps or boxes, by the task that it was trained for (--save of an evaluation).
 *
 *     ehm_predicted r; ehm_predict(&r, &config, &arena, &err);          // --model, --data, --out
 *
 *   finetune, linear   F.tsv: file, class, probability, then the next likely classes (--top)
 *   segment            a folder: STEM.png for each picture, as large as it, a pixel's value its class; classes.tsv
 *   detect, instances  F.tsv: file, class, score, x0, y0, x1, y1, a line a box; F.json: images, annotations and categories as COCO has them, with masks
 *                      of instances as its run-length code
 *
 * Pictures that cannot be read are left out, counted and named. A file is whole or absent.
 */
#ifndef EHM_EVAL_PREDICT_H
#define EHM_EVAL_PREDICT_H
#include "base/settings.h"

typedef struct {
    const char *task;              /* "finetune", ... */
    const char *files[2]; int32_t n_files; /* written: files, or one folder */
    int32_t n_classes;
    int64_t n, n_bad, n_boxes;     /* pictures with a prediction, pictures that cannot be read; boxes found */
    const char **bad;              /* [n_bad] "name: why" */
} ehm_predicted;
/* Errors: a file that holds no saved task, a set without a picture that can be read, --out of the wrong kind, EHM_E_STOPPED. */
ehm_code ehm_predict(ehm_predicted *out, const ehm_config *c, ehm_arena *a, ehm_err *err);
#endif
