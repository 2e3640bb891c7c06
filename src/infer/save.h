/* An open model's encoder as a file, with what was learned on top of it beside it.
 *
 *     ehm_model_save(m, "probe.safetensors", tensors, 2, &(ehm_st_meta){"task", json}, 1, &err);
 *     ehm_model_open(&m, "probe.safetensors", &opt, &err);                  // the encoder again; further tensors are the reader's
 */
#ifndef EHM_INFER_SAVE_H
#define EHM_INFER_SAVE_H
#include "exchange/safetensors.h"
#include "infer/infer.h"

/* Encoder weights and metadata as in encoder.safetensors, more tensors and metadata added. The folders above are made. Equal weights give equal bytes. */
ehm_code ehm_model_save(const ehm_model *m, const char *path, const ehm_st_tensor *more, int32_t n_more, const ehm_st_meta *meta, int32_t n_meta, ehm_err *err);
/* Encoder and, where there is one, decoder, as in model.safetensors: for models that are no file yet (a checkpoint, untrained ones). */
ehm_code ehm_model_save_full(const ehm_model *m, const char *path, ehm_err *err);
#endif
