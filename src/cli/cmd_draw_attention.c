/* ehm draw attention: what the class token looks at, head by head, and what patches receive, block by block.
 */
#include "cli/draw_int.h"

ehm_code ehm_draw_run_attention(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_draw_input in = {0};
    ehm_image sheet;
    int32_t n = 0;
    EHM_TRY(ehm_draw_check_out(c, false, err));
    ehm_code rc = ehm_draw_open(&in, c, true, err);
    if (rc) goto done;
    ehm_study_source src = {.model = in.model, .pictures = in.pictures};
    ehm_study *s = EHM_NEW_N(out->arena, ehm_study, c->count);
    ehm_image *rows = EHM_NEW_N(out->arena, ehm_image, c->count);
    if (!s || !rows) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld pictures", (long long)c->count);
        goto done;
    }
    if ((rc = ehm_study_read(s, &n, &src, (int32_t)c->count, out->arena, err))) goto done;
    for (int32_t i = 0; i < n; i++)
        if ((rc = ehm_study_attention(&rows[i], &s[i], in.model, out->arena, err))) goto done;
    if ((rc = ehm_draw_stack(&sheet, rows, n, out->arena, err))) goto done;
    if ((rc = ehm_draw_write(c, &sheet, err))) goto done;
    const ehm_vit_shape *v = ehm_model_shape(in.model);
    if (out->json) {
        ehm_str text = {0};
        ehm_json_w w = {.out = &text};
        ehm_json_obj(&w);
        ehm_json_key(&w, "out"), ehm_json_str(&w, c->out);
        ehm_json_key(&w, "n"), ehm_json_i64(&w, n);
        ehm_json_key(&w, "blocks"), ehm_json_i64(&w, v->depth);
        ehm_json_key(&w, "heads"), ehm_json_i64(&w, v->num_heads);
        ehm_json_key(&w, "pictures"), ehm_json_arr(&w);
        for (int32_t i = 0; i < n; i++) ehm_json_str(&w, s[i].name);
        ehm_json_end(&w);
        ehm_json_end(&w);
        ehm_out_json(out, &text);
        ehm_str_free(&text);
    } else
        ehm_out_addf(out, "%s: %d picture%s, %d x %d px; %d blocks of %d heads\n", c->out, n,
                     n == 1 ? "" : "s", sheet.w, sheet.h, v->depth, v->num_heads);
done:
    ehm_draw_close(&in);
    return rc;
}
