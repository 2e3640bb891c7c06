/* ehm: everything a program may use, for C11 and C++. Link with -lehm (pkg-config ehm).
 * "api/api.h" alone is the part that stays as it is from version to version, for bindings of other languages.
 * The modules can be included alone too: "hierarchy/...", "mask/mask.h", "infer/infer.h"; each header is its own manual.
 */
#ifndef EHM_H
#define EHM_H
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#ifdef __cplusplus
extern "C" {
#endif
#include "api/api.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/settings.h"
#include "compute/compute.h"
#include "data/data.h"
#include "data/loader.h"
#include "exchange/safetensors.h"
#include "exchange/weights_file.h"
#include "image/image.h"
#include "infer/infer.h"
#include "mask/mask.h"
#include "recipe/method.h"
#ifdef __cplusplus
}
#endif
#endif
