/* What the tasks on labelled pictures share: how they look at their settings, and the files they write. Internal to eval/. */
#ifndef EHM_EVAL_TASK_INT_H
#define EHM_EVAL_TASK_INT_H
#include "eval/eval.h"
#include "eval/features_int.h"

enum { EHM_EVAL_LIST_MAX = 16 };
/* Numbers above 0, separated by commas, into out [EHM_EVAL_LIST_MAX]; whole: whole numbers up to 100,000. Returns how many, -1 after an error. */
int32_t ehm_eval_parse_list(double *out, const char *text, const char *key, bool whole, ehm_err *err);
/* --pools is cls, mean or both, each once. */
ehm_code ehm_eval_check_pools(const char *text, ehm_err *err);
/* Both parts of a task's features: of train and test, or without a test set the two parts of train. Each has a picture. */
ehm_code ehm_eval_features(ehm_features *ftrain, ehm_features *ftest, ehm_model *m, ehm_dataset *train, ehm_dataset *test,
                           const ehm_config *c, bool want_raw, ehm_err *err);
/* A note and a warning when test pictures have a near-duplicate in the training set; needs features with prints. */
ehm_code ehm_eval_note_twins(ehm_eval_out *out, const ehm_features *ftrain, const ehm_features *ftest, ehm_arena *a, ehm_err *err);
/* text and a tab; names come from outside, and a tab or line end in one would shift the columns. */
void ehm_eval_add_cell(ehm_str *s, const char *text);
/* A line a test picture: file, label, predicted, right. Classes are those of train; predicted [f->n]. */
ehm_code ehm_eval_write_predictions(const int32_t *predicted, const char *path, ehm_dataset *train, ehm_dataset *test,
                                    const ehm_features *f, ehm_err *err);
/* Writes s, with the folders above it, and frees it. */
ehm_code ehm_eval_write(ehm_str *s, const char *path, ehm_err *err);
#endif
