/* The table of evaluations: what it says of settings must be so. */
#include "base/str.h"
#include "eval/eval.h"
#include "harness.h"

TEST(tasks, own_settings_are_settings_of_the_task) {
    for (const ehm_eval_task *const *t = ehm_eval_tasks; *t; t++)
        for (const ehm_own_setting *own = (*t)->own; own && own->i < EHM_SETTINGS_N; own++) {
            const ehm_setting *s = &ehm_settings[own->i];
            double v;
            if (!ehm_in_groups((*t)->groups, s->group)) ehm_test_fail(__FILE__, __LINE__, "%s does not take %s", (*t)->name, s->key);
            if (own->value && ehm_parse_f64(own->value, &v) && !(s->kind == EHM_SET_F64 && v >= s->lo && v <= s->hi))
                ehm_test_fail(__FILE__, __LINE__, "%s: %s %s is not in the range", (*t)->name, s->key, own->value);
            if (!own->value) CHECK(!own->help && !own->source);
            /* What pre-training says of "auto" is not what holds here. */
            if (own->value && !strcmp(own->value, "auto")) CHECK(own->help);
        }
}

TEST(tasks, who_trains_says_how) {
    int32_t n = 0;
    for (const ehm_eval_task *const *t = ehm_eval_tasks; *t; t++) {
        if (!ehm_in_groups((*t)->groups, "train")) continue;
        n++;
        CHECK(ehm_own_setting_find((*t)->own, EHM_SETI_blr) && ehm_own_setting_find((*t)->own, EHM_SETI_warmup_epochs) &&
              ehm_own_setting_find((*t)->own, EHM_SETI_batch_size));
    }
    CHECK_INT(n, 5);
}
