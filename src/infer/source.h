/* From what a user names as a model to sizes, weights and seed: for those that build the network themselves.
 *
 *     ehm_model_source s; ehm_model_source_open(&s, "runs/r", &err);
 *     ... s.info.shape, s.file ...
 *     ehm_model_source_close(&s);
 */
#ifndef EHM_INFER_SOURCE_H
#define EHM_INFER_SOURCE_H
#include "exchange/import.h"
#include "exchange/weights_file.h"

typedef struct {
    ehm_weights_info info;
    ehm_st *file;        /* weights to load over the start, under MAE's names; NULL: none */
    ehm_import *import;  /* owns file; NULL: file stands for itself */
    bool untrained;
    uint64_t seed;       /* of the start */
    char *ckpt_run;      /* the run folder whose checkpoint holds the weights; NULL: none. Owned */
    int64_t ckpt_step;
} ehm_model_source;
/* spec as ehm_model_open's. */
ehm_code ehm_model_source_open(ehm_model_source *out, const char *spec, ehm_err *err);
void ehm_model_source_close(ehm_model_source *s);
#endif
