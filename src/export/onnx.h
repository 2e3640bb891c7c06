/* ONNX (opset 17, IR 8) of an encoder or a classifier, by our own writer of the protocol buffer, and an evaluator of the few operators that it uses, for checking.
 *
 *     ehm_onnx_write("m.onnx", st, &info, &(ehm_onnx_opt){.opset = 17, .dynamic_batch = true}, &err);
 *
 * Input  pixel_values f32 [B,C,H,W], normalised by mean and std (in the model's metadata_props with fit, patch_size, ehm_version).
 * Output last_hidden_state f32 [B,1+L,D] after the final norm, pooled_cls [B,D], pooled_mean [B,D]; a classifier: logits [B,classes] besides. A classifier on a mean
 * that goes through fc_norm has no final norm: its tokens are as they leave the last block, and pooled_mean is what fc_norm makes of their mean.
 */
#ifndef EHM_EXPORT_ONNX_H
#define EHM_EXPORT_ONNX_H
#include "exchange/weights_file.h"

/* opset: 17 to 21, 0: 17; pool of the classifier: "cls" or "mean", NULL: mean where there is fc_norm */
typedef struct { int64_t opset; bool dynamic_batch; const char *pool; } ehm_onnx_opt;
/* w: tensors under MAE's names, with head.* (and fc_norm.*) for a classifier, whose class names stand in its metadata: "classes" (a list of JSON) or "task". Atomic; equal
 * weights give equal bytes. EHM_E_UNSUPPORTED beyond 2 GB, which a protocol buffer cannot hold; EHM_E_MISMATCH: a tensor is missing or has another shape than info says. */
ehm_code ehm_onnx_write(const char *path, const ehm_st *w, const ehm_weights_info *info, const ehm_onnx_opt *opt, ehm_err *err);
/* Reads the file back and runs its graph in plain C: pixels [n,C,H,W] normalised, n_pixels numbers in all -> the output of that name, count numbers. Independent of
 * the model's own code. EHM_E_FORMAT: not a model; EHM_E_MISMATCH: no such output, or other sizes than the file's; EHM_E_UNSUPPORTED names an operator that is not ours. */
ehm_code ehm_onnx_run(float *out, int64_t count, const char *path, const char *output, const float *pixels, int64_t n_pixels, int32_t n, ehm_err *err);
#endif
