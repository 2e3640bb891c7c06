/* Writing JPEG, for making copies of pictures as they are passed around.
 *
 *     if (ehm_jpeg_can_encode()) EHM_TRY(ehm_jpeg_encode(&bytes, &im, 75, a, err));
 */
#ifndef EHM_IMAGE_ENCODE_JPEG_H
#define EHM_IMAGE_ENCODE_JPEG_H
#include "image/image.h"

bool ehm_jpeg_can_encode(void); /* this build has libjpeg */
/* Baseline JPEG of a u8 picture of 1 or 3 channels (4:2:0 colour, as cameras and web pages do), the same bytes for the
 * same pixels and library; out lives in a.
 *   quality  1 to 100, libjpeg's scale
 * Errors: EHM_E_ARG (type, channels, quality, a side above 65,500), EHM_E_UNSUPPORTED (no libjpeg), EHM_E_MEMORY. */
ehm_code ehm_jpeg_encode(ehm_bytes *out, const ehm_image *im, int32_t quality, ehm_arena *a, ehm_err *err);
#endif
