/* For the rules themselves. */
#ifndef EHM_MASK_MASK_INT_H
#define EHM_MASK_MASK_INT_H
#include "mask/mask.h"

#define RULE(name) extern const ehm_mask_rule ehm_mask_rule_##name;
#include "mask/rules.def"
#undef RULE
/* Both lists, ascending, from one flag a patch (1 removed). */
void ehm_mask_of_flags(ehm_mask *out, const uint8_t *removed, int32_t n);
/* s, or the defaults where it is NULL. */
const ehm_mask_settings *ehm_mask_settings_or(const ehm_mask_settings *s);
#endif
