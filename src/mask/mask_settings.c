/* The options of the mask rules, from the settings table. */
#include "mask/mask_int.h"
#include <string.h>

/* As in the table; a test compares. */
static const ehm_mask_settings defaults = {
    .linkage = EHM_LINK_AVERAGE,
    .k_start = EHM_AUTO_I64,
    .k_end = EHM_AUTO_I64,
    .k_jitter = 0.1,
    .mask_ratio = 0.75,
};
const ehm_mask_settings *ehm_mask_settings_or(const ehm_mask_settings *s) { return s ? s : &defaults; }

/* The enums list their values in the order of the table's choices, so that the words stand in one place. */
static ehm_code choice(int32_t *out, const ehm_config *c, int32_t setting, ehm_err *err) {
    const ehm_setting *s = &ehm_settings[setting];
    const char *const *field = (const char *const *)(const void *)((const char *)c + s->offset);
    const char *value = *field ? *field : s->def_str;
    size_t len = strlen(value);
    *out = 0;
    for (const char *p = s->choices;; (*out)++) {
        const char *end = strchr(p, '|');
        size_t word = end ? (size_t)(end - p) : strlen(p);
        if (word == len && !memcmp(p, value, len)) return EHM_OK;
        if (!end) break;
        p = end + 1;
    }
    return EHM_FAIL(err, EHM_E_CONFIG, "%s %.200s: must be one of %s", s->key, value, s->choices);
}

static ehm_code fits_together(ehm_mask_settings *s, const ehm_config *c, ehm_err *err) {
    if (!EHM_IS_AUTO(s->k_start) && !EHM_IS_AUTO(s->k_end) && s->k_end > s->k_start) {
        EHM_FAIL(err, EHM_E_CONFIG, "k_end %lld is more than k_start %lld: nodes only become fewer",
                 (long long)s->k_end, (long long)s->k_start);
        EHM_HINT(err, "--schedule reversed goes from k_end up to k_start");
        return EHM_E_CONFIG;
    }
    if (s->cut == EHM_CUT_DEPTH && !EHM_IS_AUTO(s->k_start)) {
        EHM_FAIL(err, EHM_E_CONFIG,
                 "k_start %lld with cut depth: that cut begins at the full depth of each tree",
                 (long long)s->k_start);
        EHM_HINT(err, "leave out --k-start, or take --cut effective");
        return EHM_E_CONFIG;
    }
    if (s->node_order != EHM_NODE_ORDER_UNIFORM && s->select != EHM_SELECT_PREFIX) {
        if (c->origin[EHM_SETI_select] != EHM_FROM_DEFAULT && c->origin[EHM_SETI_select] != EHM_FROM_RESUME) {
            EHM_FAIL(err, EHM_E_CONFIG,
                     "select %s with node_order %s: it hides all patches equally often, whatever the order",
                     c->select, c->node_order);
            EHM_HINT(err, "--select prefix takes nodes from the front");
            return EHM_E_CONFIG;
        }
        s->select = EHM_SELECT_PREFIX;
    }
    return EHM_OK;
}

ehm_code ehm_mask_settings_of(ehm_mask_settings *out, const ehm_config *c, ehm_err *err) {
    int32_t schedule, cut, select, boundary, node_order, source, similarity;
    EHM_TRY(choice(&schedule, c, EHM_SETI_schedule, err));
    EHM_TRY(choice(&cut, c, EHM_SETI_cut, err));
    EHM_TRY(choice(&select, c, EHM_SETI_select, err));
    EHM_TRY(choice(&boundary, c, EHM_SETI_boundary, err));
    EHM_TRY(choice(&node_order, c, EHM_SETI_node_order, err));
    EHM_TRY(choice(&source, c, EHM_SETI_tree_source, err));
    EHM_TRY(choice(&similarity, c, EHM_SETI_similarity, err));
    *out = (ehm_mask_settings){
        .schedule = (ehm_node_schedule)schedule,
        .cut = (ehm_cut_kind)cut,
        .select = (ehm_select_kind)select,
        .boundary = (ehm_boundary)boundary,
        .node_order = (ehm_node_order)node_order,
        .tree_source = (ehm_tree_source)source,
        .k_start = c->k_start,
        .k_end = c->k_end,
        .k_start_share = ehm_is_auto_f64(c->k_start_share) ? 0 : c->k_start_share,
        .k_jitter = c->k_jitter,
        .mix_random = c->mix_random,
        .tree_prior = c->tree_prior,
        .mask_ratio = c->mask_ratio,
        .mix_levels = c->mix_levels,
        .epm_exact = c->epm_exact,
        .balance = c->similarity && !strcmp(c->similarity, "balanced"),
    };
    EHM_TRY(ehm_linkage_find(&out->linkage, c->linkage ? c->linkage : "average", err));
    return fits_together(out, c, err);
}
