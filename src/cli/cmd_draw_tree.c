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

typedef struct {
    const ehm_config *c;
    ehm_mask_settings set;
    ehm_study_tree_facts *facts;
    const char *note;
    int64_t n, n_flat;
    ehm_arena *a;
} job;

static void print_json(ehm_out *out, const job *j, const ehm_draw_input *in) {
    ehm_str text = {0};
    ehm_json_w w = {.out = &text};
    ehm_draw_json_begin(&w, j->c, in);
    ehm_json_key(&w, "pictures"), ehm_json_arr(&w);
    for (int64_t i = 0; i < j->n; i++) {
        const ehm_study_tree_facts *f = &j->facts[i];
        ehm_json_obj(&w);
        ehm_json_key(&w, "file"), ehm_json_str(&w, in->names[i]);
        if (in->series.each) ehm_json_key(&w, "drawing"), ehm_json_str(&w, in->files[i]);
        ehm_json_key(&w, "flat"), ehm_json_bool(&w, f->flat);
        ehm_json_key(&w, "cuts"), ehm_json_arr(&w);
        for (int32_t k = 0; k < f->n_levels; k++) {
            ehm_json_obj(&w);
            ehm_json_key(&w, "k"), ehm_json_f64(&w, f->k[k]);
            ehm_json_key(&w, "n_nodes"), ehm_json_i64(&w, f->n_nodes[k]);
            ehm_json_key(&w, "k_effective"), ehm_json_f64(&w, f->k_effective[k]);
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

static ehm_code draw_one(void *ctx, ehm_image *row, const ehm_study *s, ehm_arena *scratch, ehm_err *err) {
    job *j = ctx;
    ehm_study_tree_facts *f = &j->facts[j->n];
    if (!j->note && !(j->note = note_of(j->c, s->fell_back, j->a))) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a caption");
    EHM_TRY(ehm_study_tree(row, f, s, &j->set, (uint64_t)j->c->seed, j->note, scratch, err));
    j->n++, j->n_flat += f->flat;
    return EHM_OK;
}

ehm_code ehm_draw_run_tree(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_draw_input in = {0};
    ehm_config cfg = *c;
    job j = {.c = &cfg, .a = out->arena};
    ehm_affinity_opt affinity;
    EHM_TRY(ehm_draw_check_out(c, false, err));
    ehm_code rc = ehm_draw_open(&in, c, true, 1, out->arena, err);
    if (rc) goto done;
    if ((rc = ehm_model_settings(in.model, &cfg, "tree,linkage,mask", out->arena, err))) goto done;
    if ((rc = ehm_mask_settings_of(&j.set, &cfg, err))) goto done;
    if ((rc = ehm_affinity_opt_of(&affinity, &cfg, ehm_model_shape(in.model), err))) goto done;
    ehm_study_source src = {.model = in.model,
                            .pictures = in.pictures,
                            .settings = &j.set,
                            .affinity = &affinity,
                            .mask_file = cfg.mask_file,
                            .needs = ehm_study_needs_tree(&j.set),
                            .whose = "--tree-source file",
                            .shown = &in.shown};
    if (!(j.facts = EHM_NEW_N(out->arena, ehm_study_tree_facts, in.n_wanted))) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld pictures", (long long)in.n_wanted);
        goto done;
    }
    if ((rc = ehm_draw_rows(&in, &src, draw_one, &j, out->arena, err))) goto done;
    if (j.n_flat)
        ehm_log(EHM_LOG_WARN, "%lld of %lld pictures: the similarity holds no information, their trees mean nothing", (long long)j.n_flat, (long long)j.n);
    if (out->json)
        print_json(out, &j, &in);
    else {
        ehm_draw_say(out, c, &in);
        ehm_out_addf(out, "; %s\n", j.note);
    }
done:
    ehm_draw_close(&in);
    return rc;
}
