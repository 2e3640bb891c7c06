/* ehm draw reconstruct: what a masked model makes of the hidden patches. */
#include "cli/draw_int.h"
#include "draw/reconstruct.h"

typedef struct {
    const ehm_config *c;
    ehm_draw_input *in;
    const ehm_draw_mask_rule *rule;
    ehm_unnorm how;
    ehm_reconstruction *r; /* of a sheet: [n_wanted] */
    double *loss;          /* [n_wanted] */
    int64_t n;
    ehm_arena *a;
} job;

static ehm_code sheet_of(ehm_image *out, const job *j, const ehm_reconstruction *r, int64_t n, ehm_arena *a, ehm_err *err) {
    return ehm_draw_refused(
        ehm_reconstruct_sheet(out, r, (int32_t)n, j->in->model, NULL, j->c->mask, j->c->mask_ratio, j->how, a, err), err);
}

static ehm_code draw_one(void *ctx, const ehm_study *s, ehm_arena *scratch, ehm_err *err) {
    job *j = ctx;
    ehm_reconstruction one, *r = j->c->each ? &one : &j->r[j->n];
    ehm_image sheet;
    ehm_arena *a = j->c->each ? scratch : j->a;
    const char *name = ehm_dataset_name(j->in->pictures, s->i_picture);
    EHM_TRY(ehm_reconstruct(r, j->in->model, s, 1, j->rule->rule, j->rule->arg, &j->rule->settings, j->how, (uint64_t)j->c->seed, a, err));
    r->name = name;
    j->loss[j->n++] = r->loss;
    if (!j->c->each) return ehm_draw_named(j->in, name), EHM_OK;
    EHM_TRY(sheet_of(&sheet, j, r, 1, scratch, err));
    return ehm_draw_add(j->in, name, &sheet, err);
}

static ehm_code draw(job *j, ehm_err *err) {
    ehm_study_source src = j->rule->source;
    ehm_image sheet;
    int64_t n;
    src.pictures = j->in->pictures, src.shown = &j->in->shown;
    j->loss = EHM_NEW_N(j->a, double, j->in->n_wanted);
    j->r = EHM_NEW_N(j->a, ehm_reconstruction, j->c->each ? 1 : j->in->n_wanted);
    if (!j->loss || !j->r) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld pictures", (long long)j->in->n_wanted);
    EHM_TRY(ehm_study_each(&n, &src, j->in->n_wanted, j->in->spread, draw_one, j, err));
    if (j->c->each) return EHM_OK;
    EHM_TRY(sheet_of(&sheet, j, j->r, j->n, j->a, err));
    return ehm_draw_sheet(j->in, &sheet, err);
}

static void result(ehm_out *out, const job *j) {
    double loss = 0;
    for (int64_t i = 0; i < j->n; i++) loss += j->loss[i] / (double)j->n;
    if (!out->json) {
        ehm_draw_say(out, j->c, j->in);
        ehm_out_addf(out, "; mean loss on hidden patches %.4f\n", loss);
        return;
    }
    ehm_str text = {0};
    ehm_json_w w = {.out = &text};
    ehm_draw_json_begin(&w, j->c, j->in);
    ehm_json_key(&w, "mean_loss"), ehm_json_f64(&w, loss);
    ehm_json_key(&w, "pictures"), ehm_json_arr(&w);
    for (int64_t i = 0; i < j->n; i++) {
        ehm_json_obj(&w);
        ehm_json_key(&w, "file"), ehm_json_str(&w, j->in->names[i]);
        ehm_json_key(&w, "loss"), ehm_json_f64(&w, j->loss[i]);
        if (j->c->each) ehm_json_key(&w, "drawing"), ehm_json_str(&w, j->in->files[i]);
        ehm_json_end(&w);
    }
    ehm_json_end(&w);
    ehm_json_end(&w);
    ehm_out_json(out, &text);
    ehm_str_free(&text);
}

ehm_code ehm_draw_run_reconstruct(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_draw_input in = {0};
    ehm_draw_mask_rule rule;
    ehm_config cfg = *c;
    job j = {.c = &cfg, .in = &in, .rule = &rule, .a = out->arena};
    EHM_TRY(ehm_draw_check_out(c, false, err));
    EHM_TRY(ehm_unnorm_of(&j.how, c->unnorm, err));
    ehm_code rc = ehm_draw_open(&in, c, true, 1, out->arena, err);
    if (!rc) rc = ehm_reconstruct_check(in.model, c->mask_ratio, err);
    if (!rc) rc = ehm_model_settings(in.model, &cfg, "tree,linkage", out->arena, err);
    if (!rc) rc = ehm_draw_rule(&rule, &cfg, in.model, &(double){1}, 1, 0, 0, err);
    if (!rc) rc = draw(&j, err);
    if (!rc) result(out, &j);
    ehm_draw_close(&in);
    return rc;
}
