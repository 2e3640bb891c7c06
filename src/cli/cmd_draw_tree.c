/* ehm draw tree: the tree of each picture's patches, cut at several levels. */
#include "cli/draw_int.h"
#include <string.h>

/* What the tree is made of, in words for the caption. */
static const char *note_of(const ehm_config *c, bool fell_back, ehm_arena *a) {
    if (!strcmp(c->tree_source, "attention"))
        return ehm_arena_printf(a, "tree from attention (similarity %s, layers %s), %s linkage",
                                fell_back ? "profile" : c->similarity, c->tree_layers, c->linkage);
    return ehm_arena_printf(a, "tree from %s, %s linkage", c->tree_source, c->linkage);
}

static void print_json(ehm_out *out, const ehm_config *c, const ehm_study *s, const ehm_study_tree_facts *f,
                       int32_t n) {
    ehm_str text = {0};
    ehm_json_w w = {.out = &text};
    ehm_json_obj(&w);
    ehm_json_key(&w, "out"), ehm_json_str(&w, c->out);
    ehm_json_key(&w, "n"), ehm_json_i64(&w, n);
    ehm_json_key(&w, "pictures"), ehm_json_arr(&w);
    for (int32_t i = 0; i < n; i++) {
        ehm_json_obj(&w);
        ehm_json_key(&w, "file"), ehm_json_str(&w, s[i].name);
        ehm_json_key(&w, "flat"), ehm_json_bool(&w, f[i].flat);
        ehm_json_key(&w, "cuts"), ehm_json_arr(&w);
        for (int32_t k = 0; k < f[i].n_levels; k++) {
            ehm_json_obj(&w);
            ehm_json_key(&w, "k"), ehm_json_f64(&w, f[i].k[k]);
            ehm_json_key(&w, "n_nodes"), ehm_json_i64(&w, f[i].n_nodes[k]);
            ehm_json_key(&w, "k_effective"), ehm_json_f64(&w, f[i].k_effective[k]);
            ehm_json_end(&w);
        }
        ehm_json_end(&w);
        ehm_json_end(&w);
    }
    ehm_json_end(&w);
    ehm_json_end(&w);
    ehm_out_json(out, &text);
    ehm_str_free(&text);
}

ehm_code ehm_draw_run_tree(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_draw_input in = {0};
    ehm_config cfg = *c;
    ehm_mask_settings set;
    ehm_affinity_opt affinity;
    ehm_image sheet;
    int32_t n = 0, n_flat = 0;
    EHM_TRY(ehm_draw_check_out(c, false, err));
    ehm_code rc = ehm_draw_open(&in, c, true, err);
    if (rc) goto done;
    if ((rc = ehm_model_settings(in.model, &cfg, "tree,linkage,mask", out->arena, err))) goto done;
    if ((rc = ehm_mask_settings_of(&set, &cfg, err))) goto done;
    if ((rc = ehm_affinity_opt_of(&affinity, &cfg, ehm_model_shape(in.model), err))) goto done;
    ehm_study_source src = {.model = in.model,
                            .pictures = in.pictures,
                            .settings = &set,
                            .affinity = &affinity,
                            .mask_file = cfg.mask_file,
                            .needs = ehm_study_needs_tree(&set),
                            .whose = "--tree-source file"};
    ehm_study *s = EHM_NEW_N(out->arena, ehm_study, c->count);
    ehm_study_tree_facts *f = EHM_NEW_N(out->arena, ehm_study_tree_facts, c->count);
    ehm_image *rows = EHM_NEW_N(out->arena, ehm_image, c->count);
    if (!s || !f || !rows) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld pictures", (long long)c->count);
        goto done;
    }
    if ((rc = ehm_study_read(s, &n, &src, (int32_t)c->count, out->arena, err))) goto done;
    const char *note = note_of(&cfg, s[0].fell_back, out->arena);
    if (!note) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for a caption");
        goto done;
    }
    for (int32_t i = 0; i < n; i++) {
        rc = ehm_study_tree(&rows[i], &f[i], &s[i], &set, (uint64_t)c->seed, note, out->arena, err);
        if (rc) goto done;
        n_flat += f[i].flat;
    }
    if ((rc = ehm_draw_stack(&sheet, rows, n, out->arena, err))) goto done;
    if ((rc = ehm_draw_write(c, &sheet, err))) goto done;
    if (n_flat)
        ehm_log(EHM_LOG_WARN,
                "%d of %d pictures: the similarity holds no information, their trees mean nothing", n_flat,
                n);
    if (out->json)
        print_json(out, c, s, f, n);
    else
        ehm_out_addf(out, "%s: %d picture%s, %d x %d px; %s\n", c->out, n, n == 1 ? "" : "s", sheet.w,
                     sheet.h, note);
done:
    ehm_draw_close(&in);
    return rc;
}
