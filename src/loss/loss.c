#include "loss/loss.h"
#include <string.h>

#define LOSS(name) extern const ehm_loss ehm_loss_##name;
#include "loss/losses.def"
#undef LOSS

const ehm_loss *const ehm_losses[] = {
#define LOSS(name) &ehm_loss_##name,
#include "loss/losses.def"
#undef LOSS
    NULL,
};

const ehm_loss *ehm_loss_find(const char *name, ehm_err *err) {
    for (const ehm_loss *const *l = ehm_losses; *l; l++)
        if (!strcmp((*l)->name, name)) return *l;
    EHM_FAIL(err, EHM_E_CONFIG, "loss \"%s\" is not known", name);
    return NULL;
}

const char *ehm_target_kind_name(ehm_target_kind k) { return k == EHM_TARGET_VALUES ? "values" : "classes"; }
