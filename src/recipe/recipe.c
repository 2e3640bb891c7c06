#include "recipe/method_int.h"
#include <string.h>

#define RECIPE(id, title, what, from, m, c, t, h, l, ...)                            \
    static const ehm_override overrides_##id[] = {__VA_ARGS__, {NULL, NULL}}; \
    static const ehm_recipe recipe_##id = {.name = title,                     \
                                           .summary = what,                   \
                                           .source = from,                    \
                                           .mask = m,                         \
                                           .corrupt = c,                      \
                                           .target = t,                       \
                                           .head = h,                         \
                                           .loss = l,                         \
                                           .defaults = overrides_##id};
#include "recipe/recipes.def"
#undef RECIPE
const ehm_recipe *const ehm_recipes[] = {
#define RECIPE(id, ...) &recipe_##id,
#include "recipe/recipes.def"
#undef RECIPE
    NULL,
};

const ehm_recipe *ehm_recipe_find(const char *name, ehm_err *err) {
    enum { N_RECIPES = sizeof ehm_recipes / sizeof *ehm_recipes - 1 };
    const char *names[N_RECIPES + 1];
    for (int32_t i = 0; i < N_RECIPES; i++) {
        names[i] = ehm_recipes[i]->name;
        if (!strcmp(names[i], name)) return ehm_recipes[i];
    }
    const char *near = ehm_nearest(name, names, N_RECIPES);
    EHM_FAIL(err, EHM_E_CONFIG, "recipe \"%s\" is not known", name);
    if (near) EHM_HINT(err, "did you mean \"%s\"? ehm list recipes shows all", near);
    else EHM_HINT(err, "ehm list recipes shows all");
    return NULL;
}

static ehm_code apply(ehm_config *c, const char *key, const char *value, ehm_arena *a, ehm_err *err) {
    int32_t i = ehm_setting_find(key);
    if (i < 0) return EHM_FAIL(err, EHM_E_CONFIG, "recipe: setting \"%s\" is not known", key);
    /* Flags and files were read before the recipe's name was known; they stand. */
    if (c->origin[i] > EHM_FROM_RECIPE) return EHM_OK;
    return ehm_config_set(c, key, value, EHM_FROM_RECIPE, a, err);
}

ehm_code ehm_recipe_apply(const ehm_recipe *r, ehm_config *c, ehm_arena *a, ehm_err *err) {
    EHM_TRY(apply(c, "mask", r->mask, a, err));
    for (const ehm_override *o = r->defaults; o->key; o++) EHM_TRY(apply(c, o->key, o->value, a, err));
    return EHM_OK;
}

#define CORRUPT(name) &ehm_corrupt_##name,
#define TARGET(name)
#define HEAD(name)
static const ehm_corrupt *const corrupts[] = {
#include "recipe/parts.def"
    NULL,
};
#undef CORRUPT
#undef TARGET
#define CORRUPT(name)
#define TARGET(name) &ehm_target_##name,
static const ehm_target *const targets[] = {
#include "recipe/parts.def"
    NULL,
};
#undef TARGET
#undef HEAD
#define TARGET(name)
#define HEAD(name) &ehm_head_##name,
static const ehm_head *const heads[] = {
#include "recipe/parts.def"
    NULL,
};
#undef CORRUPT
#undef TARGET
#undef HEAD

#define FIND(what, type, list)                                              \
    for (const type *const *p = list; *p; p++)                              \
        if (!strcmp((*p)->name, name)) return *p;                           \
    EHM_FAIL(err, EHM_E_CONFIG, what " \"%s\" is not known", name);         \
    return NULL
const ehm_corrupt *ehm_corrupt_find(const char *name, ehm_err *err) {
    FIND("corruption", ehm_corrupt, corrupts);
}
const ehm_target *ehm_target_find(const char *name, ehm_err *err) { FIND("target", ehm_target, targets); }
const ehm_head *ehm_head_find(const char *name, ehm_err *err) { FIND("head", ehm_head, heads); }
#undef FIND

ehm_code ehm_parts_fit(const char *recipe, const ehm_corrupt *c, const ehm_target *t, const ehm_head *h, const ehm_loss *l, ehm_err *err) {
    if (c->drops && !h->speaks_of_dropped)
        return EHM_FAIL(
            err, EHM_E_CONFIG,
            "recipe %s: corruption \"%s\" drops patches, and head \"%s\" cannot predict for patches that have no token",
            recipe, c->name, h->name);
    if (t->gives != h->gives)
        return EHM_FAIL(err, EHM_E_CONFIG, "recipe %s: target \"%s\" is %s, but head \"%s\" predicts %s",
                        recipe, t->name, ehm_target_kind_name(t->gives), h->name,
                        ehm_target_kind_name(h->gives));
    if (t->gives != l->wants)
        return EHM_FAIL(err, EHM_E_CONFIG, "recipe %s: target \"%s\" is %s, but loss \"%s\" compares %s",
                        recipe, t->name, ehm_target_kind_name(t->gives), l->name,
                        ehm_target_kind_name(l->wants));
    return EHM_OK;
}
