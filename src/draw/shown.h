/* How pictures of any channel count are shown: one stated way for every drawing.
 *
 *     ehm_shown how;
 *     EHM_TRY(ehm_shown_of(&how, "auto", 4, &err));
 *     ehm_shown_range r = ehm_shown_range_of(&how, px, EHM_F32, (int64_t)h * w, 4);
 *     EHM_TRY(ehm_shown_image(&img, &how, &r, px, EHM_F32, h, w, 4, a, err));
 */
#ifndef EHM_DRAW_SHOWN_H
#define EHM_DRAW_SHOWN_H
#include "image/image.h"

/* One channel is grey; of two the first is red, the second green and blue, so that equal values are grey; three are red, green, blue. Zeroed: auto. */
typedef struct {
    int32_t n, channel[3]; /* n 1 to 3; channels from 0. n 0: auto */
} ehm_shown;
/* text: "auto" (1 of one channel, 2 of two, the first three of more), or one to three numbers from 1 to channels. EHM_E_CONFIG names what is wrong. */
ehm_code ehm_shown_of(ehm_shown *out, const char *text, int32_t channels, ehm_err *err);
/* auto made the channels of such a picture; others as they are. */
ehm_shown ehm_shown_resolve(const ehm_shown *how, int32_t channels);

/* What is black and what is white: 0 and 1 (u8: 0 and 255), but for float pictures with values far beyond that their least and largest shown value. */
typedef struct {
    double lo, hi;
    bool stretched;
} ehm_shown_range;
/* px: n_px pixels of so many channels, u8 or f32. What is no finite number does not count. */
ehm_shown_range ehm_shown_range_of(const ehm_shown *how, const void *px, ehm_dtype type, int64_t n_px, int32_t channels);
/* out in a: u8 of 1 or 3 channels. px [h,w,channels] u8 or f32; no number is black. */
ehm_code ehm_shown_image(ehm_image *out, const ehm_shown *how, const ehm_shown_range *r, const void *px, ehm_dtype type, int32_t h, int32_t w,
                         int32_t channels, ehm_arena *a, ehm_err *err);

/* Sentences for footnotes, in a; NULL when there is no memory. channels: "" where nothing needs to be said (grey, or red, green, blue of three). */
const char *ehm_shown_channels_text(const ehm_shown *how, int32_t channels, ehm_arena *a);
/* "Pictures as the model sees them, 64 x 64 px: short side to 64, middle cut out." */
const char *ehm_shown_fit_text(const char *fit, int32_t h, int32_t w, ehm_arena *a);
#define EHM_SHOWN_STRETCHED " Values go beyond 0 to 1: each picture is shown from its least (black) to its largest (white)."
#endif
