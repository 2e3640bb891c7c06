#include "mask/mask_int.h"
#include "base/str.h"
#include <string.h>

const ehm_mask_rule *const ehm_mask_rules[] = {
#define RULE(name) &ehm_mask_rule_##name,
#include "mask/rules.def"
#undef RULE
    NULL,
};

static bool is_one_of(const char *choices, const char *word) {
    size_t len = strlen(word);
    for (const char *p = choices; *p;) {
        size_t n = strcspn(p, "|");
        if (n == len && !memcmp(p, word, n)) return true;
        p += n + (p[n] == '|');
    }
    return false;
}

static const ehm_mask_rule *find_name(const char *name, ehm_err *err) {
    enum { N_RULES = sizeof ehm_mask_rules / sizeof *ehm_mask_rules - 1 };
    const char *names[N_RULES + 1];
    for (int32_t i = 0; i < N_RULES; i++) {
        names[i] = ehm_mask_rules[i]->name;
        if (!strcmp(names[i], name)) return ehm_mask_rules[i];
    }
    const char *near = ehm_nearest(name, names, N_RULES);
    EHM_FAIL(err, EHM_E_CONFIG, "mask rule \"%.100s\" is not known", name);
    if (near) EHM_HINT(err, "did you mean \"%s\"? ehm list masks shows all", near);
    else EHM_HINT(err, "ehm list masks shows all");
    return NULL;
}

const ehm_mask_rule *ehm_mask_rule_find(const char *spec, const char **arg, ehm_err *err) {
    char name[128];
    const char *colon = strchr(spec, ':');
    if (arg) *arg = colon ? colon + 1 : NULL;
    if (colon && (size_t)(colon - spec) < sizeof name) {
        memcpy(name, spec, (size_t)(colon - spec));
        name[colon - spec] = 0;
    }
    const ehm_mask_rule *rule = find_name(colon && (size_t)(colon - spec) < sizeof name ? name : spec, err);
    if (!rule || !colon) return rule;
    if (!rule->args) {
        EHM_FAIL(err, EHM_E_CONFIG, "mask rule \"%.100s\": %s takes nothing after its name", spec,
                 rule->name);
        EHM_HINT(err, "write \"%s\"", rule->name);
        return NULL;
    }
    if (is_one_of(rule->args, colon + 1)) return rule;
    EHM_FAIL(err, EHM_E_CONFIG, "mask rule \"%.100s\": %s takes one of %s after the colon", spec, rule->name,
             rule->args);
    return NULL;
}

/* ---- needs ---- */

static const struct { uint32_t bit; const char *name; } needs[] = {
    {EHM_MASK_NEEDS_ATTENTION, "the model's attention"},
    {EHM_MASK_NEEDS_SCORE, "a score for each patch"},
    {EHM_MASK_NEEDS_SIMILARITY, "the similarity of its patches"},
    {EHM_MASK_NEEDS_OTHER, "the similarity of another picture's patches"},
    {EHM_MASK_NEEDS_CLS, "the class token's attention"},
    {EHM_MASK_NEEDS_COLOUR, "the mean colour of each patch"},
    {EHM_MASK_NEEDS_LABELS, "labels of the patches"},
    {EHM_MASK_NEEDS_LOSS, "the last loss of each patch"},
};
enum { N_NEEDS = sizeof needs / sizeof *needs };

const char *ehm_mask_need_name(uint32_t one_bit) {
    for (int i = 0; i < N_NEEDS; i++)
        if (needs[i].bit == one_bit) return needs[i].name;
    return "nothing that is known";
}

/* Progress as draw sees it: asked with more digits, a rule could need at one end of a rounding what was not
 * asked for at the other. */
uint32_t ehm_mask_needs(const ehm_mask_rule *rule, const ehm_mask_settings *s, const char *arg, int32_t n,
                        double progress_frac) {
    return rule->needs ? rule->needs(ehm_mask_settings_or(s), arg, n, (double)(float)progress_frac) : 0;
}

uint32_t ehm_mask_needs_ever(const ehm_mask_rule *rule, const ehm_mask_settings *s, const char *arg,
                             int32_t n) {
    enum { STEPS = 64 };
    uint32_t all = 0;
    for (int i = 0; i <= STEPS; i++) all |= ehm_mask_needs(rule, s, arg, n, i / (double)STEPS);
    return all;
}

static bool is_given(const ehm_mask_in *in, uint32_t need) {
    switch (need) {
    case EHM_MASK_NEEDS_ATTENTION: return in->attention;
    case EHM_MASK_NEEDS_SCORE: return in->score;
    case EHM_MASK_NEEDS_SIMILARITY: return in->similarity;
    case EHM_MASK_NEEDS_OTHER: return in->similarity_other;
    case EHM_MASK_NEEDS_CLS: return in->cls_attention;
    case EHM_MASK_NEEDS_COLOUR: return in->colour && in->n_colour > 0;
    case EHM_MASK_NEEDS_LABELS: return in->labels && in->n_levels > 0;
    case EHM_MASK_NEEDS_LOSS: return in->loss;
    }
    return false;
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

/* What every rule owes: both lists ascending, together each patch once, exactly n_masked removed (but where a
 * rule says that it is not exact). */
static bool holds(const ehm_mask *m, int32_t n, int32_t n_masked, bool inexact) {
    if (m->n_masked < 0 || m->n_visible < 0 || m->n_masked + m->n_visible != n) return false;
    if (m->n_masked != n_masked && !inexact) return false;
    int32_t v = 0, k = 0;
    for (int32_t i = 0; i < n; i++) {
        if (v < m->n_visible && m->visible[v] == i) v++;
        else if (k < m->n_masked && m->masked[k] == i) k++;
        else return false;
    }
    return true;
}

static ehm_code check_needs(const ehm_mask_rule *rule, const ehm_mask_in *in, int32_t n, ehm_err *err) {
    uint32_t need = ehm_mask_needs(rule, in->settings, in->arg, n, (double)in->progress_frac);
    for (int i = 0; i < N_NEEDS; i++)
        if (need & needs[i].bit && !is_given(in, needs[i].bit))
            return EHM_FAIL(err, EHM_E_ARG, "mask rule %s needs %s, and none was given", rule->name,
                            needs[i].name);
    return EHM_OK;
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
    EHM_TRY(check_needs(rule, in, n, err));
    for (int32_t i = 0; i < in->n_views; i++) out[i].facts = (ehm_mask_facts){0};
    EHM_TRY(rule->draw(out, in, scratch, err));
    for (int32_t i = 0; i < in->n_views; i++)
        if (!holds(&out[i], n, in->n_masked, rule->inexact))
            return EHM_FAIL(err, EHM_E_ARG,
                            "mask rule %s broke its promise: %d visible and %d masked of %d patches, %d to "
                            "be masked, lists ascending",
                            rule->name, (int)out[i].n_visible, (int)out[i].n_masked, (int)n,
                            (int)in->n_masked);
    return EHM_OK;
}
