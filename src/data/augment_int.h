/* Inside data: from a picture and a box of it to pixels of a model input. */
#ifndef EHM_DATA_AUGMENT_INT_H
#define EHM_DATA_AUGMENT_INT_H
#include "data/loader.h"

/* Box x0 y0 x1 y1 of img, resampled (bicubic, antialias) into px [h,w,img->c] of type u8 or f32; pixels
 * outside the box but inside img take part at its edges. */
ehm_code ehm_data_resample(void *px, ehm_dtype type, int32_t h, int32_t w, const ehm_image *img,
                           const double box[4], ehm_arena *scratch, ehm_err *err);
/* A copy of the integer box of img; shares img's pixels where the box is all of it. */
ehm_code ehm_data_crop(ehm_image *out, const ehm_image *img, const double box[4], ehm_arena *a, ehm_err *err);
/* Mirror px [h,w,n_bytes a pixel] from left to right, in place. n_bytes at most 1024. */
void ehm_data_mirror(void *px, int32_t h, int32_t w, size_t n_bytes);
/* Where fit "pad" puts a picture of w x h in the input: x y w h. */
void ehm_data_pad_rect(int32_t rect[4], int32_t w, int32_t h, int32_t in_w, int32_t in_h);
#endif
