/* What a file or run folder holds, in words and JSON: for `ehm info`. */
#ifndef EHM_INFER_DESCRIBE_H
#define EHM_INFER_DESCRIBE_H
#include "base/json.h"
#include "base/str.h"
#include "exchange/import.h"

/* path: a run folder, or a file or folder of weights as exchange/import.h reads them. text gets lines for people (tensors: every tensor too, under
 * the file's own names); w (may be NULL) one JSON object. */
ehm_code ehm_describe(const char *path, bool tensors, ehm_str *text, ehm_json_w *w, ehm_err *err);
/* The lines on a network: what it holds, whose it is, sizes, head, mean and std, notes; the same as keys of the open object w (may be NULL). */
void ehm_describe_import(const ehm_import *im, ehm_str *text, ehm_json_w *w);
#endif
