/* ehm draw features: principal components of patch features as colour, or as numbers. */
#include "base/file.h"
#include "base/npy.h"
#include "cli/draw_int.h"
#include "draw/feature_map.h"
#include <string.h>

typedef struct {
    const ehm_config *c;
    ehm_draw_input *in;
    ehm_feature_basis basis;
    const char *whose; /* NULL: the pictures drawn */
    ehm_feature_map *maps;
    ehm_study last;
    float *numbers;
    int64_t n;
    ehm_arena *a;
} job;

/* ---- the basis, of these pictures or of another set ---- */

static ehm_code learn(job *j, int32_t layer, ehm_err *err) {
    ehm_study_source src = {.model = j->in->model, .pictures = j->in->pictures, .shown = &j->in->shown};
    ehm_dataset *other = NULL;
    if (!j->c->basis_from.n) return ehm_feature_basis_learn(&j->basis, layer, &src, j->in->n_wanted, j->in->spread, j->a, err);
    ehm_dataset_opt reading = ehm_draw_reading(j->c, ehm_model_shape(src.model)->channels);
    reading.limit = 0; /* that is for the pictures drawn */
    EHM_TRY(ehm_dataset_open(&other, &j->c->basis_from, &reading, err));
    src.pictures = other;
    ehm_code rc = ehm_feature_basis_learn(&j->basis, layer, &src, j->c->basis_count, true, j->a, err);
    if (!rc)
        j->whose = ehm_arena_printf(j->a, "%lld of the %lld pictures of %s", (long long)j->basis.n_pictures, (long long)ehm_dataset_count(other),
                                    ehm_dataset_spec(other));
    if (!rc && !j->whose) rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for a footnote");
    if (rc) EHM_WHILE(err, "taking the principal components from %s (--basis-from)", ehm_dataset_spec(other));
    ehm_dataset_close(other);
    return rc;
}

/* ---- pictures ---- */

static ehm_code sheet_of(ehm_image *out, const job *j, const ehm_feature_map *maps, int64_t n, const ehm_study *s, ehm_arena *a, ehm_err *err) {
    return ehm_draw_refused(
        ehm_feature_sheet(out, maps, (int32_t)n, &j->basis, j->in->model, j->whose, ehm_study_foot(j->in->model, s, 1, a), a, err), err);
}

static ehm_code draw_one(void *ctx, const ehm_study *s, ehm_arena *scratch, ehm_err *err) {
    job *j = ctx;
    ehm_image sheet;
    bool sheet_of_all = !j->in->series.each;
    ehm_arena *a = sheet_of_all ? j->a : scratch;
    const char *name = ehm_dataset_name(j->in->pictures, s->i_picture);
    ehm_feature_map *map = sheet_of_all ? &j->maps[j->n] : &(ehm_feature_map){0};
    bool stretched = j->last.range.stretched || s->range.stretched;
    j->last = *s, j->last.range.stretched = stretched;
    EHM_TRY(ehm_feature_map_of(map, &j->basis, j->in->model, s, a, err));
    map->name = name;
    j->n++;
    if (!sheet_of_all) {
        EHM_TRY(sheet_of(&sheet, j, map, 1, s, scratch, err));
        return ehm_draw_add(j->in, name, &sheet, err);
    }
    ehm_image *kept = EHM_NEW(a, ehm_image);
    if (!kept) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %s", name);
    *kept = s->picture;
    if (!(kept->px = EHM_NEW_N(a, uint8_t, ehm_image_bytes(kept)))) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %s", name);
    memcpy(kept->px, s->picture.px, ehm_image_bytes(kept));
    map->picture = kept;
    ehm_draw_named(j->in, name);
    return EHM_OK;
}

static ehm_code write_numbers(job *j, ehm_err *err) {
    const ehm_vit_shape *v = ehm_model_shape(j->in->model);
    size_t each = (size_t)v->n_patches * EHM_PCA_AXES;
    j->numbers = EHM_NEW_N(j->a, float, (size_t)j->n *each);
    if (!j->numbers) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the components of %lld pictures", (long long)j->n);
    for (int64_t i = 0; i < j->n; i++) memcpy(j->numbers + (size_t)i * each, j->maps[i].scores, each * sizeof *j->numbers);
    EHM_TRY(ehm_dir_make_for(j->c->out, err));
    return ehm_npy_write(j->c->out, "<f4", 4, (int64_t[]){j->n, v->grid_h, v->grid_w, EHM_PCA_AXES}, j->numbers, err);
}

static ehm_code draw(job *j, ehm_err *err) {
    ehm_study_source src = {.model = j->in->model, .pictures = j->in->pictures, .shown = &j->in->shown, .quiet = !j->c->basis_from.n};
    ehm_image sheet;
    int64_t n;
    if (!j->c->each && !(j->maps = EHM_NEW_N(j->a, ehm_feature_map, j->in->n_wanted)))
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld pictures", (long long)j->in->n_wanted);
    EHM_TRY(ehm_study_each(&n, &src, j->in->n_wanted, j->in->spread, draw_one, j, err));
    if (j->c->each) return EHM_OK;
    if (ehm_ends_nocase(j->c->out, ".npy")) return write_numbers(j, err);
    EHM_TRY(sheet_of(&sheet, j, j->maps, j->n, &j->last, j->a, err));
    return ehm_draw_sheet(j->in, &sheet, err);
}

static void result(ehm_out *out, const job *j) {
    const ehm_vit_shape *v = ehm_model_shape(j->in->model);
    const ehm_pca *p = &j->basis.pca;
    if (out->json) {
        ehm_str text = {0};
        ehm_json_w w = {.out = &text};
        ehm_draw_json_begin(&w, j->c, j->in);
        ehm_json_key(&w, "basis_pictures"), ehm_json_i64(&w, j->basis.n_pictures);
        ehm_json_key(&w, "basis_patches"), ehm_json_i64(&w, j->basis.n_patches);
        ehm_json_key(&w, "explained"), ehm_json_arr(&w);
        for (int32_t k = 0; k < EHM_PCA_AXES; k++) ehm_json_f64(&w, p->share[k]);
        ehm_json_end(&w);
        ehm_draw_json_names(&w, j->in);
        ehm_json_end(&w);
        ehm_out_json(out, &text);
        ehm_str_free(&text);
        return;
    }
    if (j->numbers)
        ehm_out_addf(out, "%s: [%lld, %d, %d, 3] f32", j->c->out, (long long)j->n, v->grid_h, v->grid_w);
    else
        ehm_draw_say(out, j->c, j->in);
    ehm_out_addf(out, "; components hold %.1f, %.1f, %.1f %% of the variance of %lld patches\n", 100 * p->share[0], 100 * p->share[1], 100 * p->share[2],
                 (long long)j->basis.n_patches);
}

ehm_code ehm_draw_run_features(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_draw_input in = {0};
    job j = {.c = c, .in = &in, .a = out->arena};
    int32_t layer;
    EHM_TRY(ehm_draw_check_out(c, true, err));
    ehm_code rc = ehm_draw_open(&in, c, true, 1, out->arena, err);
    if (!rc) rc = ehm_draw_layer(&layer, c, in.model, err);
    /* the last block's tokens are those after the final norm, whether it is named or not */
    if (!rc) rc = learn(&j, layer + 1 == ehm_model_shape(in.model)->depth ? 0 : layer + 1, err);
    if (!rc) rc = draw(&j, err);
    if (!rc) result(out, &j);
    ehm_draw_close(&in);
    return rc;
}
