/* Pixels on their way in: uploaded as they are (u8 or f32), normalised per channel and cut into patches on
 * the device.
 *
 *     ehm_pixels_plan(&in, plan, &shape, batch);
 *     ehm_pixels_stats(&in, d, mean, std, channels, &err);
 *     ehm_pixels_load(&in, d, px, EHM_U8, n);
 *     ehm_pixels_patchify(&in, d, patches);            // [n,L,P] f32
 *
 * On devices that run ahead there may be a second place, for pixels that travel while the first one's are worked on:
 *
 *     ehm_pixels_plan_ahead(&in, plan);
 *     ehm_pixels_ahead(&in, d, px, EHM_U8, n);         // after the last wait, nothing has used the second place
 *     ehm_pixels_arrived(&in);                         // in place of ehm_pixels_load: the places are exchanged
 */
#ifndef EHM_NET_PIXELS_H
#define EHM_NET_PIXELS_H
#include "compute/plan.h"
#include "net/shape.h"

typedef struct {
    int32_t patch_size, channels, n; /* n: pictures of the last load */
    ehm_dtype type;                  /* of the last load */
    ehm_view px;                     /* [batch,H,W,C], room for f32 */
    ehm_view stats;                  /* [4,C]: shift and scale of u8, shift and scale of f32 */
    ehm_view other;                  /* as px; rank 0: there is none */
    int32_t n_ahead; ehm_dtype type_ahead; /* what is on its way there; 0: nothing */
} ehm_pixels;
void ehm_pixels_plan(ehm_pixels *p, ehm_plan *plan, const ehm_vit_shape *s, int32_t batch); /* kind input */
/* mean and std per channel on the 0..1 scale; EHM_E_MISMATCH for another count, EHM_E_CONFIG for a std that
 * is not over 0. */
ehm_code ehm_pixels_stats(ehm_pixels *p, ehm_dev *d, const double *mean, const double *std, int32_t n,
                          ehm_err *err);
/* Type EHM_U8 or EHM_F32, n <= batch. */
void ehm_pixels_load(ehm_pixels *p, ehm_dev *d, const void *px, ehm_dtype type, int32_t n);
void ehm_pixels_plan_ahead(ehm_pixels *p, ehm_plan *plan); /* nothing where the device does not run ahead */
void ehm_pixels_ahead(ehm_pixels *p, ehm_dev *d, const void *px, ehm_dtype type, int32_t n); /* nothing without a second place */
bool ehm_pixels_arrived(ehm_pixels *p);                    /* false: nothing was sent ahead */
void ehm_pixels_patchify(const ehm_pixels *p, ehm_dev *d, ehm_view patches);
#endif
