/* ehm eval TASK: what a downstream task says of a model. */
#include "cli/cli.h"
#include "eval/eval.h"

static const ehm_word *words(ehm_arena *a) {
    int32_t n = 0;
    while (ehm_eval_tasks[n]) n++;
    ehm_word *w = EHM_NEW_N(a, ehm_word, n + 1);
    for (int32_t i = 0; w && i < n; i++) w[i] = (ehm_word){ehm_eval_tasks[i]->name, ehm_eval_tasks[i]->summary, ehm_eval_tasks[i]->groups,
                          ehm_in_groups(ehm_eval_tasks[i]->groups, "tune") ? "It trains. Rate, length, batch and the like have defaults of their own, not those of pre-training that stand below: "
                                                                              "they are printed with their reasons before the first step." : NULL};
    return w;
}

static ehm_code run(const ehm_config *c, ehm_out *out, ehm_err *err) {
    const ehm_eval_task *t = ehm_eval_find(out->args.v[0], err);
    ehm_eval_out r = {0};
    ehm_str s = {0};
    if (!t) return EHM_E_CONFIG;
    if (c->expect_better && !c->against) return EHM_FAIL(err, EHM_E_CONFIG, "--expect-better needs --against MODEL to be better than");
    EHM_TRY(t->run(&r, &(ehm_eval_in){.config = c}, out->arena, err));
    if (out->json) {
        ehm_json_w w = {.out = &s};
        ehm_eval_json(&r, &w);
        ehm_out_json(out, &s);
    } else {
        ehm_eval_print(&r, &s);
        ehm_out_add(out, ehm_str_c(&s));
    }
    ehm_str_free(&s);
    if (c->expect_better && r.i_best >= 0) {
        const ehm_eval_row *b = &r.rows[r.i_best];
        if (!b->has_diff || !(b->diff_lo > 0))
            return EHM_FAIL(err, EHM_E_MISMATCH, "%s is not better than %s: the interval of the difference is %+.4f .. %+.4f", c->model, c->against, b->diff_lo, b->diff_hi);
    }
    return EHM_OK;
}

const ehm_command ehm_cmd_eval = {
    .name = "eval",
    .summary = "measures a model on a downstream task",
    .groups = "use,eval,against,read",
    .usage = "--model M --train D --test D",
    .args = "TASK",
    .n_args_min = 1,
    .n_args_max = 1,
    .words = words,
    .details = "Every figure comes with a 95 % interval: a percentile bootstrap over test pictures. With --against, a second model sees the same pictures and "
               "the paired interval of the difference is printed: when it holds 0, the models cannot be told apart on this test set.",
    .example = "ehm eval knn --model untrained:pico --train scenes:1:200 --test scenes:2:100",
    .run = run,
};
