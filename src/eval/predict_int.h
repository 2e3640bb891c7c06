/* The kinds of prediction. Internal to eval/. */
#ifndef EHM_EVAL_PREDICT_INT_H
#define EHM_EVAL_PREDICT_INT_H
#include "data/loader.h"
#include "eval/predict.h"
#include "net/shape.h"

typedef struct {
    const ehm_config *c;
    ehm_predicted *out;
    ehm_arena *a;
    const ehm_json *meta;          /* the saved "task" */
    const char *file;              /* the safetensors file */
    ehm_dataset *ds;
    int32_t n_workers;
    int64_t cap_bad;
} ehm_predicting;

/* The set, with as many channels as the network takes. */
ehm_code ehm_predict_open_data(ehm_predicting *p, int32_t channels, ehm_err *err);
/* A picture that is left out. Only one thread at a time. */
ehm_code ehm_predict_bad(ehm_predicting *p, int64_t id, const char *why, ehm_err *err);
ehm_code ehm_predict_wrote(ehm_predicting *p, const char *path, ehm_err *err);
/* path with another ending: "F.tsv" and ".json" is "F.json". NULL without memory. */
char *ehm_predict_beside(const char *path, const char *ending, ehm_arena *a);
/* Every readable picture, fitted to an input, in order; pictures that stand in for bad ones are among those of a batch: i is a picture of its own where
 * b->ids[i] == b->slots[i]. */
typedef ehm_code (*ehm_predict_fn)(void *user, const ehm_batch *b, ehm_err *err);
ehm_code ehm_predict_each(ehm_predicting *p, const ehm_vit_shape *s, int32_t batch, const char *fit, ehm_predict_fn fn, void *user, ehm_err *err);

ehm_code ehm_predict_labels(ehm_predicting *p, ehm_err *err); /* finetune, linear */
ehm_code ehm_predict_maps(ehm_predicting *p, ehm_err *err);   /* segment */
ehm_code ehm_predict_boxes(ehm_predicting *p, ehm_err *err);  /* detect, instances */
#endif
