/* What a file or run folder holds, in words and JSON: for `ehm info`. */
#ifndef EHM_INFER_DESCRIBE_H
#define EHM_INFER_DESCRIBE_H
#include "base/json.h"
#include "base/str.h"

/* path: a run folder or a safetensors file. text gets lines for people (tensors: every tensor too); w (may be
 * NULL) one JSON object. */
ehm_code ehm_describe(const char *path, bool tensors, ehm_str *text, ehm_json_w *w, ehm_err *err);
#endif
