/* An averaged copy of weights: avg = decay * avg + (1 - decay) * p after each step, started as a copy.
 *
 *     ehm_ema_start(dev, avg, p, 3);              // once, after the weights are set
 *     ehm_ema_step(dev, avg, p, 3, 0.999);        // after each update
 *
 * avg and p are the flat groups of two weight sets; absent views are skipped. Errors are recorded on the device.
 */
#ifndef EHM_OPTIM_EMA_H
#define EHM_OPTIM_EMA_H
#include "compute/compute.h"

void ehm_ema_start(ehm_dev *d, const ehm_view *avg, const ehm_view *p, int32_t n);
void ehm_ema_step(ehm_dev *d, const ehm_view *avg, const ehm_view *p, int32_t n, double decay);
#endif
