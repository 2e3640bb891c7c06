/* ehm compare A B: several models on several tasks, in one table. */
#include "cli/cli.h"
#include "eval/compare.h"

static ehm_code run(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_compare_out r;
    ehm_str s = {0};
    EHM_TRY(ehm_compare(&r, c, &out->args, out->arena, err));
    if (out->json) {
        ehm_json_w w = {.out = &s};
        ehm_compare_json(&r, &w);
        ehm_out_json(out, &s);
    } else {
        ehm_compare_print(&r, &s);
        ehm_out_add(out, ehm_str_c(&s));
    }
    ehm_code rc = s.failed ? EHM_FAIL(err, EHM_E_MEMORY, "no memory for the table") : EHM_OK;
    ehm_str_free(&s);
    return rc;
}

/* What some task takes in its own way. */
#define TASKS_OWN(key, help) {EHM_SETI_##key, "the task's own", help, "ehm help eval TASK"}
static const ehm_own_setting own[] = {TASKS_OWN(epochs, NULL),
                                      TASKS_OWN(batch_size, "pictures a micro-batch"),
                                      TASKS_OWN(blr, "base learning rate"),
                                      TASKS_OWN(lr, NULL),
                                      TASKS_OWN(min_lr, NULL),
                                      TASKS_OWN(warmup_epochs, "linear warm-up"),
                                      TASKS_OWN(weight_decay, NULL),
                                      TASKS_OWN(beta2, NULL),
                                      {.i = EHM_SETTINGS_N}};

const ehm_command ehm_cmd_compare = {
    .name = "compare",
    .summary = "compares models on downstream tasks, in one table",
    .groups = "compare,eval,channels,read,knn,pools,depths,linear,embed,finetune,segment,segtest,scale,retrieve,detect,treeval,tree,linkage,mask,size,fit,crop,"
              "batch,train,tune,loading",
    .usage = "--tasks knn,linear --train D --test D",
    .args = "MODEL...",
    .n_args_min = 0,
    .n_args_max = -1,
    .own = own,
    .details = "Models are run folders, safetensors files, untrained:RUN or untrained:PRESET. Runs whose settings are equal but for the seed are one group, shown by "
               "its mean, its spread and the number of seeds; every figure comes with a 95 % interval, and the difference to the first model (or --baseline) with a "
               "paired one: a difference whose interval holds 0 is marked as noise. From three seeds on intervals draw seeds as well as test items; with one "
               "seed they cover test items alone.\n\n"
               "Options of the tasks (ehm help eval TASK) are taken here too; those that write files of one model are not.",
    .example = "ehm compare untrained:pico untrained:tiny --tasks knn --train scenes:1:200 --test scenes:2:100",
    .run = run,
};
