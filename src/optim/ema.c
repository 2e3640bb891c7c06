#include "optim/ema.h"

void ehm_ema_start(ehm_dev *d, const ehm_view *avg, const ehm_view *p, int32_t n) {
    for (int32_t i = 0; i < n; i++)
        if (avg[i].rank) ehm_axpby(d, &(ehm_axpby_args){.out = avg[i], .x = p[i], .a = 1, .b = 0});
}

void ehm_ema_step(ehm_dev *d, const ehm_view *avg, const ehm_view *p, int32_t n, double decay) {
    for (int32_t i = 0; i < n; i++)
        if (avg[i].rank) ehm_ema(d, &(ehm_ema_args){.avg = avg[i], .p = p[i], .decay = (float)decay});
}
