#include "mask/mask_int.h"
#include "base/str.h"
#include <string.h>

const ehm_mask_rule *const ehm_mask_rules[] = {
#define RULE(name) &ehm_mask_rule_##name,
#include "mask/rules.def"
#undef RULE
    NULL,
};

const ehm_mask_rule *ehm_mask_rule_find(const char *name, ehm_err *err) {
    enum { N_RULES = sizeof ehm_mask_rules / sizeof *ehm_mask_rules - 1 };
    const char *names[N_RULES + 1];
    for (int32_t i = 0; i < N_RULES; i++) {
        names[i] = ehm_mask_rules[i]->name;
        if (!strcmp(names[i], name)) return ehm_mask_rules[i];
    }
    const char *near = ehm_nearest(name, names, N_RULES);
    EHM_FAIL(err, EHM_E_CONFIG, "mask rule \"%s\" is not known", name);
    if (near) EHM_HINT(err, "did you mean \"%s\"? ehm list masks shows all", near);
    else EHM_HINT(err, "ehm list masks shows all");
    return NULL;
}

/* The published code truncates the double product: 100 patches at ratio 0.9 keep 9, not 10. */
int32_t ehm_mask_n_visible(int32_t n, double mask_ratio) { return (int32_t)((double)n * (1.0 - mask_ratio)); }

void ehm_mask_of_flags(ehm_mask *out, const uint8_t *removed, int32_t n) {
    out->n_visible = out->n_masked = 0;
    for (int32_t i = 0; i < n; i++) {
        if (removed[i]) out->masked[out->n_masked++] = i;
        else out->visible[out->n_visible++] = i;
    }
}

/* What every rule owes: both lists ascending, together each patch once, exactly n_masked removed. */
static bool holds(const ehm_mask *m, int32_t n, int32_t n_masked) {
    if (m->n_masked != n_masked || m->n_visible != n - n_masked) return false;
    int32_t v = 0, k = 0;
    for (int32_t i = 0; i < n; i++) {
        if (v < m->n_visible && m->visible[v] == i) v++;
        else if (k < m->n_masked && m->masked[k] == i) k++;
        else return false;
    }
    return true;
}

ehm_code ehm_mask_draw(const ehm_mask_rule *rule, ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch,
                       ehm_err *err) {
    if (in->grid_h < 1 || in->grid_w < 1 || in->n_views < 1 || (int64_t)in->grid_h * in->grid_w > INT32_MAX)
        return EHM_FAIL(err, EHM_E_ARG, "mask: grid %dx%d with %d views", (int)in->grid_h, (int)in->grid_w,
                        (int)in->n_views);
    int32_t n = in->grid_h * in->grid_w;
    if (in->n_masked < 0 || in->n_masked > n)
        return EHM_FAIL(err, EHM_E_ARG, "mask: %d of %d patches cannot be removed", (int)in->n_masked,
                        (int)n);
    if (rule->needs & EHM_MASK_NEEDS_ATTENTION && !in->attention)
        return EHM_FAIL(err, EHM_E_ARG, "mask rule %s needs the model's attention, and none was given",
                        rule->name);
    if (rule->needs & EHM_MASK_NEEDS_SCORE && !in->score)
        return EHM_FAIL(err, EHM_E_ARG, "mask rule %s needs a score a patch, and none was given", rule->name);
    EHM_TRY(rule->draw(out, in, scratch, err));
    for (int32_t i = 0; i < in->n_views; i++)
        if (!holds(&out[i], n, in->n_masked))
            return EHM_FAIL(
                err, EHM_E_ARG,
                "mask rule %s broke its promise: %d visible and %d masked of %d patches, %d to be masked, lists ascending",
                rule->name, (int)out[i].n_visible, (int)out[i].n_masked, (int)n, (int)in->n_masked);
    return EHM_OK;
}
