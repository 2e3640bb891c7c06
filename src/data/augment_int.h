/* Inside data: from a picture and a box of it to pixels of a model input. */
#ifndef EHM_DATA_AUGMENT_INT_H
#define EHM_DATA_AUGMENT_INT_H
#include "data/loader.h"
#include "data/patch_labels.h"

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
/* px [in_h,in_w,img->c] of img's type, u8 or f32: what the placement shows of img, not mirrored; mean colour around it
 * (128 of 255, or 0.5). */
ehm_code ehm_data_window(void *px, ehm_dtype type, const ehm_image *img, const ehm_placement *p, ehm_arena *scratch,
                         ehm_err *err);

/* ---- what is known about a picture, as stored: sample_targets.c ---- */
enum { EHM_MAP_PART = 0, EHM_MAP_OBJECT, EHM_MAP_CLASS, EHM_MAPS_MAX }; /* fine to coarse, as labels of patches */
typedef struct {
    ehm_image map[EHM_MAPS_MAX]; /* px NULL: none */
    const ehm_box *boxes;
    int32_t n_boxes;
} ehm_truth;
/* Boxes that the placement shows (out has room for all), and for each pixel [in_h,in_w] the number in out of the object
 * it belongs to, -1: none (objects NULL: not asked for). ds gives the names of classes. */
ehm_code ehm_truth_boxes(ehm_box *out, int32_t *n_out, int32_t *objects, const ehm_truth *t, const ehm_placement *p,
                         double keep, const ehm_dataset *ds, ehm_arena *scratch, ehm_err *err);

/* ---- changes of pixels ---- */
/* Brightness, contrast and saturation, each by a factor uniform in 1 - x .. 1 + x, in random order. u8: as torchvision
 * does them on Pillow images; f32: as it does them on tensors, but nothing is cut off at 0 and 1, which floating-point
 * pictures may exceed. c 1 (no saturation) or 3. */
ehm_code ehm_color_jitter(ehm_image *img, double x, ehm_rng *r, ehm_arena *scratch, ehm_err *err);
enum { EHM_JITTER_BRIGHTNESS = 0, EHM_JITTER_CONTRAST, EHM_JITTER_SATURATION, EHM_JITTER_N };
ehm_code ehm_jitter_apply(ehm_image *img, int32_t op, double factor, ehm_arena *scratch, ehm_err *err);

/* Random erasing (Zhong et al. 2020) of one picture [h,w,c] with probability prob, as timm's RandomErasing in mode
 * "pixel": up to ten tries of an area of 0.02..1/3 and a log-uniform aspect of 0.3..1/0.3; noise mean + std * normal. */
void ehm_erase(float *px, int32_t h, int32_t w, int32_t c, double prob, const double *mean, const double *std, ehm_rng *r);
/* Sides of an area (share of h*w) and aspect (height over width); false: not smaller than the picture. */
bool ehm_erase_size(int32_t *eh, int32_t *ew, int32_t h, int32_t w, double share, double aspect);
#endif
