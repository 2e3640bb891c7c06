/* ehm draw neighbours: pictures and those nearest to them. */
#include "cli/draw_int.h"
#include "draw/neighbours.h"
#include "infer/embed.h"
#include <string.h>

enum { BATCH = 32 };

typedef struct {
    const ehm_config *c;
    ehm_draw_input in;
    ehm_dataset *gallery; /* in.pictures where no other is given */
    ehm_vectors q, g;
    ehm_neighbours *near;
    int64_t n;
    ehm_arena *a;
} job;

static ehm_code look(job *j, ehm_err *err) {
    const ehm_config *c = j->c;
    ehm_pooling pool;
    int32_t workers = EHM_IS_AUTO(c->workers) ? ehm_cpu_count() : (int32_t)c->workers, channels = ehm_model_shape(j->in.model)->channels;
    EHM_TRY(ehm_pooling_of(&pool, c->pool, err));
    if (c->data.n) {
        ehm_dataset_opt reading = ehm_draw_reading(c, channels);
        EHM_TRY(ehm_dataset_open(&j->gallery, &c->data, &reading, err));
        EHM_TRY(ehm_vectors_of(&j->g, j->in.model, j->gallery, pool, workers, j->a, err));
        if (j->in.n_wanted < ehm_dataset_count(j->in.pictures)) /* of a large folder only the queries are looked at */
            EHM_TRY(ehm_vectors_of_some(&j->q, j->in.model, j->in.pictures, pool, j->in.n_wanted, j->in.spread, j->a, err));
        else
            EHM_TRY(ehm_vectors_of(&j->q, j->in.model, j->in.pictures, pool, workers, j->a, err));
    } else {
        EHM_TRY(ehm_vectors_of(&j->g, j->in.model, j->in.pictures, pool, workers, j->a, err));
        EHM_TRY(ehm_vectors_pick(&j->q, &j->g, j->in.n_wanted, j->in.spread, j->a, err));
    }
    j->n = j->q.n;
    if (!(j->near = EHM_NEW_N(j->a, ehm_neighbours, j->n))) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld queries", (long long)j->n);
    return ehm_neighbours_find(j->near, &j->q, j->n, &j->g, (int32_t)c->nearest, j->a, err);
}

static ehm_code draw(job *j, ehm_err *err) {
    ehm_neighbours_opt opt = {.shown = &j->in.shown};
    ehm_image sheet;
    ehm_arena scratch = {0};
    ehm_code rc = EHM_OK;
    for (int64_t i = 0; i < j->n && !rc; i++) {
        const char *name = ehm_dataset_name(j->q.set, j->near[i].id);
        if (!j->c->each) {
            ehm_draw_named(&j->in, name);
            continue;
        }
        ehm_arena_reset(&scratch);
        if (!(rc = ehm_draw_refused(ehm_neighbours_sheet(&sheet, &j->near[i], 1, &j->q, &j->g, j->in.model, &opt, &scratch, err), err)))
            rc = ehm_draw_add(&j->in, name, &sheet, err);
        if (j->n > 8) ehm_progress(i + 1 == j->n, "%lld of %lld queries drawn", (long long)i + 1, (long long)j->n);
    }
    if (!rc && !j->c->each) {
        rc = ehm_draw_refused(ehm_neighbours_sheet(&sheet, j->near, (int32_t)j->n, &j->q, &j->g, j->in.model, &opt, &scratch, err), err);
        if (!rc) rc = ehm_draw_sheet(&j->in, &sheet, err);
    }
    ehm_arena_free(&scratch);
    return rc;
}

static void print_json(ehm_out *out, const job *j) {
    ehm_str text = {0};
    ehm_json_w w = {.out = &text};
    ehm_draw_json_begin(&w, j->c, &j->in);
    ehm_json_key(&w, "searched"), ehm_json_i64(&w, j->g.n);
    ehm_json_key(&w, "pool"), ehm_json_str(&w, j->c->pool);
    ehm_draw_json_names(&w, &j->in);
    ehm_json_key(&w, "neighbours"), ehm_json_arr(&w);
    for (int64_t i = 0; i < j->n; i++) {
        ehm_json_arr(&w);
        for (int32_t k = 0; k < j->near[i].n; k++) {
            const ehm_neighbour *n = &j->near[i].near[k];
            int32_t label = ehm_dataset_label(j->g.set, n->id);
            ehm_json_obj(&w);
            ehm_json_key(&w, "file"), ehm_json_str(&w, ehm_dataset_name(j->g.set, n->id));
            ehm_json_key(&w, "similarity"), ehm_json_f64(&w, n->similarity);
            if (label >= 0) ehm_json_key(&w, "label"), ehm_json_str(&w, ehm_dataset_class(j->g.set, label));
            if (n->same_label >= 0) ehm_json_key(&w, "same_label"), ehm_json_bool(&w, n->same_label);
            ehm_json_key(&w, "exact_copy"), ehm_json_bool(&w, n->copy);
            ehm_json_end(&w);
        }
        ehm_json_end(&w);
    }
    ehm_json_end(&w);
    ehm_json_end(&w);
    ehm_out_json(out, &text);
    ehm_str_free(&text);
}

static void print_text(ehm_out *out, const job *j) {
    int64_t labelled = 0, same = 0, copies = 0, shown = 0;
    for (int64_t i = 0; i < j->n; i++)
        for (int32_t k = 0; k < j->near[i].n; k++) {
            shown++, copies += j->near[i].near[k].copy;
            labelled += j->near[i].near[k].same_label >= 0, same += j->near[i].near[k].same_label == 1;
        }
    ehm_draw_say(out, j->c, &j->in);
    ehm_out_addf(out, "; %lld neighbours among %lld pictures", (long long)shown, (long long)j->g.n);
    if (labelled) ehm_out_addf(out, ", %lld of %lld of the query's label", (long long)same, (long long)labelled);
    if (copies) ehm_out_addf(out, ", %lld exact cop%s", (long long)copies, copies == 1 ? "y" : "ies");
    ehm_out_addf(out, "\n");
}

ehm_code ehm_draw_run_neighbours(const ehm_config *c, ehm_out *out, ehm_err *err) {
    job j = {.c = c, .a = out->arena};
    EHM_TRY(ehm_draw_check_out(c, false, err));
    if (!strcmp(c->pool, "patches")) return EHM_FAIL(err, EHM_E_CONFIG, "--pool patches: pictures are compared by one vector each, cls or mean");
    ehm_code rc = ehm_draw_open(&j.in, c, true, BATCH, out->arena, err);
    if (!rc) rc = look(&j, err);
    if (!rc) rc = draw(&j, err);
    if (!rc && out->json) print_json(out, &j);
    else if (!rc) print_text(out, &j);
    ehm_dataset_close(j.gallery);
    ehm_draw_close(&j.in);
    return rc;
}
