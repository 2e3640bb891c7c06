/* ehm draw attention: what the class token or a patch looks at, head by head and through the blocks; as pictures or as numbers. */
#include "base/file.h"
#include "base/npy.h"
#include "cli/draw_int.h"
#include "draw/attention.h"
#include <string.h>

typedef struct {
    ehm_model *m;
    ehm_look_opt opt;
    float *numbers; /* [n_wanted,maps,rows,columns]; NULL: pictures */
    int64_t n;
    ehm_draw_input *in;
} job;

/* --point ROW,COL on the model's grid; -1 where it is not given. */
static ehm_code point_of(int32_t *out, const ehm_config *c, const ehm_vit_shape *v, ehm_err *err) {
    char one[2][16] = {"", ""};
    int64_t at[2] = {0, 0};
    *out = -1;
    if (!c->point) return EHM_OK;
    const char *comma = strchr(c->point, ',');
    bool ok = comma && (size_t)(comma - c->point) < sizeof one[0] && strlen(comma + 1) < sizeof one[1];
    if (ok) {
        memcpy(one[0], c->point, (size_t)(comma - c->point));
        memcpy(one[1], comma + 1, strlen(comma + 1));
        ok = ehm_parse_i64(one[0], &at[0]) && ehm_parse_i64(one[1], &at[1]);
    }
    if (!ok) return EHM_FAIL(err, EHM_E_CONFIG, "--point %s: must be ROW,COL in patches counted from 1, such as %d,%d", c->point, (v->grid_h + 1) / 2, (v->grid_w + 1) / 2);
    if (at[0] < 1 || at[0] > v->grid_h || at[1] < 1 || at[1] > v->grid_w)
        return EHM_FAIL(err, EHM_E_CONFIG, "--point %s: the model has %d rows and %d columns of patches, counted from 1", c->point, v->grid_h, v->grid_w);
    *out = (int32_t)((at[0] - 1) * v->grid_w + at[1] - 1);
    return EHM_OK;
}

static ehm_code draw_one(void *ctx, ehm_image *row, const ehm_study *s, ehm_arena *scratch, ehm_err *err) {
    job *j = ctx;
    ehm_look l;
    EHM_TRY(ehm_look_at(&l, s, j->m, &j->opt, scratch, err));
    return ehm_look_sheet(row, &l, s, scratch, err);
}

static ehm_code keep_one(void *ctx, const ehm_study *s, ehm_arena *scratch, ehm_err *err) {
    job *j = ctx;
    ehm_look l;
    EHM_TRY(ehm_look_at(&l, s, j->m, &j->opt, scratch, err));
    size_t each = (size_t)l.n_maps * (size_t)s->grid_h * (size_t)s->grid_w;
    memcpy(j->numbers + (size_t)j->n++ * each, l.maps, each * sizeof *l.maps);
    ehm_draw_named(j->in, ehm_dataset_name(j->in->pictures, s->i_picture));
    return EHM_OK;
}

static ehm_code numbers(job *j, const ehm_study_source *src, const ehm_config *c, ehm_arena *a, ehm_err *err) {
    const ehm_vit_shape *v = ehm_model_shape(j->m);
    int64_t n, maps = v->num_heads + 2;
    j->numbers = EHM_NEW_N(a, float, j->in->n_wanted * maps * v->n_patches);
    if (!j->numbers) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the attention of %lld pictures", (long long)j->in->n_wanted);
    EHM_TRY(ehm_study_each(&n, src, j->in->n_wanted, j->in->spread, keep_one, j, err));
    EHM_TRY(ehm_dir_make_for(c->out, err));
    return ehm_npy_write(c->out, "<f4", 4, (int64_t[]){n, maps, v->grid_h, v->grid_w}, j->numbers, err);
}

static void result(ehm_out *out, const ehm_config *c, const ehm_draw_input *in, const job *j) {
    const ehm_vit_shape *v = ehm_model_shape(in->model);
    int32_t block = j->opt.i_block < 0 ? v->depth : j->opt.i_block + 1;
    if (out->json) {
        ehm_str text = {0};
        ehm_json_w w = {.out = &text};
        ehm_draw_json_begin(&w, c, in);
        ehm_json_key(&w, "blocks"), ehm_json_i64(&w, v->depth);
        ehm_json_key(&w, "block"), ehm_json_i64(&w, block);
        ehm_json_key(&w, "heads"), ehm_json_i64(&w, v->num_heads);
        ehm_draw_json_names(&w, in);
        ehm_json_end(&w);
        ehm_out_json(out, &text);
        ehm_str_free(&text);
        return;
    }
    if (j->numbers)
        ehm_out_addf(out, "%s: [%lld, %d, %d, %d] f32, mean of heads, %d heads, rollout", c->out, (long long)j->n, v->num_heads + 2, v->grid_h, v->grid_w,
                     v->num_heads);
    else
        ehm_draw_say(out, c, in);
    ehm_out_addf(out, "; block %d of %d, %d heads\n", block, v->depth, v->num_heads);
}

ehm_code ehm_draw_run_attention(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_draw_input in = {0};
    job j = {.in = &in};
    EHM_TRY(ehm_draw_check_out(c, true, err));
    ehm_code rc = ehm_draw_open(&in, c, true, 1, out->arena, err);
    if (rc) goto done;
    if ((rc = ehm_draw_layer(&j.opt.i_block, c, in.model, err))) goto done;
    if ((rc = point_of(&j.opt.i_patch, c, ehm_model_shape(in.model), err))) goto done;
    j.m = in.model;
    ehm_study_source src = {.model = in.model, .pictures = in.pictures, .shown = &in.shown};
    rc = ehm_ends_nocase(c->out, ".npy") && !c->each ? numbers(&j, &src, c, out->arena, err)
                                                      : ehm_draw_rows(&in, &src, draw_one, &j, out->arena, err);
    if (!rc) result(out, c, &in, &j);
done:
    ehm_draw_close(&in);
    return rc;
}
