/* What the tasks on labelled pictures share: how they look at their settings, and the files they write. Internal to eval/. */
#ifndef EHM_EVAL_TASK_INT_H
#define EHM_EVAL_TASK_INT_H
#include "eval/eval.h"
#include "eval/features_int.h"

enum { EHM_EVAL_LIST_MAX = 16, EHM_EVAL_CONFUSED = 3 };
/* Numbers above 0, separated by commas, into out [EHM_EVAL_LIST_MAX]; whole: whole numbers up to 100,000. Returns how many, -1 after an error. */
int32_t ehm_eval_parse_list(double *out, const char *text, const char *key, bool whole, ehm_err *err);
/* --img-size as height and width; 0 and 0 for auto, the model's own. EHM_E_CONFIG with both forms. */
ehm_code ehm_eval_parse_size(int32_t *h, int32_t *w, const ehm_config *c, ehm_err *err);
/* --pools is cls, mean or both, each once. */
ehm_code ehm_eval_check_pools(const char *text, ehm_err *err);
/* --depths, if it is given, fits the model: asked before pictures are read. */
ehm_code ehm_eval_check_depths(ehm_model *m, const ehm_config *c, ehm_err *err);
/* "cls", or "cls of depths 3,6,9,12" with --depths; NULL without memory. */
const char *ehm_eval_pool_name(const char *pool, const ehm_config *c, ehm_arena *a);
/* Both parts of a task's features (of the depths that --depths asks for): of train and test, or without a test set the two parts of train. Each has a picture. */
ehm_code ehm_eval_features(ehm_features *ftrain, ehm_features *ftest, ehm_model *m, ehm_dataset *train, ehm_dataset *test,
                           const ehm_config *c, bool want_raw, ehm_err *err);
/* The same where features of training pictures are made later, again and again: of those only labels, ids and (want_prints) prints. learn: their part. */
ehm_code ehm_eval_labels_and_test(ehm_features *labels, ehm_split *learn, ehm_features *ftest, ehm_model *m, ehm_dataset *train, ehm_dataset *test,
                                  const ehm_config *c, bool want_prints, ehm_err *err);
/* A note and a warning when test pictures have a near-duplicate in the training set; needs features with prints. */
ehm_code ehm_eval_note_twins(ehm_eval_out *out, const ehm_features *ftrain, const ehm_features *ftest, ehm_arena *a, ehm_err *err);
/* text and a tab; names come from outside, and a tab or line end in one would shift the columns. */
void ehm_eval_add_cell(ehm_str *s, const char *text);
/* A line a test picture: file, label, predicted, right. Classes are those of train; predicted [f->n]. */
ehm_code ehm_eval_write_predictions(const int32_t *predicted, const char *path, ehm_dataset *train, ehm_dataset *test,
                                    const ehm_features *f, ehm_err *err);
/* Rows of the k-NN task, and of the linear task's fast protocol, for features that are there already (eval_knn.c, eval_linear.c), with intervals and
 * i_best; c: their settings; classes: the set that was learned from. Features are changed in place. */
ehm_code ehm_eval_knn_rows(ehm_eval_out *out, const ehm_config *c, ehm_dev *d, const char *model, ehm_dataset *classes, ehm_features *ftrain,
                           ehm_features *ftest, ehm_arena *a, ehm_err *err);
ehm_code ehm_eval_linear_rows(ehm_eval_out *out, const ehm_config *c, ehm_dev *d, const char *model, ehm_dataset *classes, ehm_features *ftrain,
                              ehm_features *ftest, ehm_arena *a, ehm_err *err);
/* --confusion: a line a true class, a column a predicted one, with the names of classes, to path; and a note of the most confused pairs, at most
 * EHM_EVAL_CONFUSED. labels [n], predicted [n_draws,n], all 0 to the number of classes - 1. */
ehm_code ehm_eval_write_confusion(ehm_eval_out *out, const int32_t *labels, const int32_t *predicted, int64_t n, int32_t n_draws, const char *path,
                                  ehm_dataset *classes, ehm_arena *a, ehm_err *err);
/* Writes s, with the folders above it, and frees it. */
ehm_code ehm_eval_write(ehm_str *s, const char *path, ehm_err *err);
#endif
