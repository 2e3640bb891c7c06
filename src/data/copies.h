/* Copies of pictures as people make them: cropped, pasted into another picture, turned, made smaller, saved as JPEG, blurred,
 * written over, recoloured, mirrored, and several of these in a row. For measuring whether a model finds the original again.
 *
 *     ehm_image copy;
 *     EHM_TRY(ehm_copy_make(&copy, &picture, ehm_copy_find("crop"), 2, NULL, seed, i_picture, a, err));
 *
 * A copy is a function of (seed, picture, kind, severity) and the pixels. Severity goes from 1 (mild) to 3 (strong):
 *
 *     crop    a part with 65, 40, 15 % of the area (+- a tenth), its aspect changed by up to 4/3, anywhere
 *     paste   the whole picture with 50, 25, 12 % of the area of another picture, anywhere on it
 *     rotate  by 7 to 10, 18 to 25, 35 to 45 degrees to either side, about the middle; black comes in at the corners
 *     scale   sides reduced to 50, 25, 12.5 %, not below 8 pixels
 *     jpeg    quality 50, 20, 7
 *     blur    Gaussian, deviation 1, 2, 4 % of the shorter side
 *     text    lines of letters and a badge over about 10, 20, 35 % of the area, in two colours
 *     colour  brightness, contrast, saturation, gamma and the channels' gains, each changed by up to 15, 30, 60 %
 *     mirror  left and right exchanged; severity 1 alone
 *     mixed   2, 3, 4 different ones of the others in a row, at severity 1, 2, 2
 */
#ifndef EHM_DATA_COPIES_H
#define EHM_DATA_COPIES_H
#include "base/err.h"
#include "base/mem.h"
#include "image/image.h"

enum { EHM_COPY_SEVERITIES = 3 };
int32_t ehm_copy_n_kinds(void);
const char *ehm_copy_name(int32_t kind);
int32_t ehm_copy_find(const char *name);        /* -1: none */
int32_t ehm_copy_n_severities(int32_t kind);    /* 3, or 1 */
bool ehm_copy_needs_host(int32_t kind);         /* paste and mixed want another picture */
/* NULL when this build can make the kind for pictures of so many channels, else why not: "this build has no libjpeg". */
const char *ehm_copy_impossible(int32_t kind, int32_t channels);
/* out in a, with in's channels and type; in is u8 or f32 and stays as it is.
 *   host   a picture of in's channels, any size, u8 or f32, for the kinds that need one; else ignored
 * Errors: EHM_E_ARG (kind, severity, type, no host, its channels), EHM_E_UNSUPPORTED (ehm_copy_impossible), EHM_E_MEMORY. */
ehm_code ehm_copy_make(ehm_image *out, const ehm_image *in, int32_t kind, int32_t severity, const ehm_image *host, uint64_t seed,
                       int64_t picture, ehm_arena *a, ehm_err *err);
#endif
