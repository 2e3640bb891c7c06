/* ehm draw reconstruct: what a masked model makes of the hidden patches. */
#include "cli/draw_int.h"
#include "draw/reconstruct.h"

ehm_code ehm_draw_run_reconstruct(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_draw_input in = {0};
    ehm_draw_mask_rule rule;
    ehm_config cfg = *c;
    ehm_unnorm how;
    ehm_image sheet;
    int32_t n = 0;
    EHM_TRY(ehm_draw_check_out(c, false, err));
    EHM_TRY(ehm_unnorm_of(&how, c->unnorm, err));
    ehm_code rc = ehm_draw_open(&in, c, true, err);
    if (rc || (rc = ehm_reconstruct_check(in.model, c->mask_ratio, err))) goto done;
    if ((rc = ehm_model_settings(in.model, &cfg, "tree,linkage", out->arena, err))) goto done;
    if ((rc = ehm_draw_rule(&rule, &cfg, in.model, &(double){1}, 1, 0, 0, err))) goto done;
    ehm_study *s = EHM_NEW_N(out->arena, ehm_study, c->count);
    ehm_reconstruction *r = EHM_NEW_N(out->arena, ehm_reconstruction, c->count);
    if (!s || !r) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld pictures", (long long)c->count);
        goto done;
    }
    rule.source.pictures = in.pictures;
    if ((rc = ehm_study_read(s, &n, &rule.source, (int32_t)c->count, out->arena, err))) goto done;
    if ((rc = ehm_reconstruct(r, in.model, s, n, rule.rule, rule.arg, &rule.settings, how, (uint64_t)c->seed,
                              out->arena, err)))
        goto done;
    if ((rc = ehm_reconstruct_sheet(&sheet, r, n, in.model, NULL, c->mask, c->mask_ratio, how, out->arena, err)))
        goto done;
    if ((rc = ehm_draw_write(c, &sheet, err))) goto done;
    double loss = 0;
    for (int32_t i = 0; i < n; i++) loss += r[i].loss / n;
    if (out->json) {
        ehm_str text = {0};
        ehm_json_w w = {.out = &text};
        ehm_json_obj(&w);
        ehm_json_key(&w, "out"), ehm_json_str(&w, c->out);
        ehm_json_key(&w, "n"), ehm_json_i64(&w, n);
        ehm_json_key(&w, "mean_loss"), ehm_json_f64(&w, loss);
        ehm_json_key(&w, "pictures"), ehm_json_arr(&w);
        for (int32_t i = 0; i < n; i++) {
            ehm_json_obj(&w);
            ehm_json_key(&w, "file"), ehm_json_str(&w, r[i].name);
            ehm_json_key(&w, "loss"), ehm_json_f64(&w, r[i].loss);
            ehm_json_end(&w);
        }
        ehm_json_end(&w);
        ehm_json_end(&w);
        ehm_out_json(out, &text);
        ehm_str_free(&text);
    } else
        ehm_out_addf(out, "%s: %d pictures, %d x %d px; mean loss on hidden patches %.4f\n", c->out, n,
                     sheet.w, sheet.h, loss);
done:
    ehm_draw_close(&in);
    return rc;
}
