#include "tune/task_detect.h"
#include "net/layer_grid.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES_MAX = 65536, WIDTH = 128, MAX_BOXES = 100, MASK_CELLS = EHM_MASK_SIDE * EHM_MASK_SIDE, ROIS_READ = 32 };
static const float focal_alpha = 0.25f, focal_gamma = 2;
enum { CLASSES, LOGS, CENTRES, FEATURES };

struct ehm_detect {
    ehm_arena arena;
    ehm_detect_opt o;
    ehm_head *head;
    ehm_head_pass *pass[2]; /* training, inference */
    ehm_mask_branch *branch;
    ehm_mask_pass *mask_pass[2]; /* of training batches; of ROIS_READ boxes at a time */
    ehm_weights weights;    /* of the last inference, for masks that are asked of it */
    ehm_dtype real;
    int32_t batch[2];
    ehm_points points;
    ehm_view target, box, box_weight, centre, centre_weight; /* [B*G,C], [B*G,4], [B*G], [B*G,1], [B*G] */
    ehm_view row_loss;                                       /* [B*G] */
    ehm_view mask_at, mask_target, mask_logit, dmask_logit, mask_loss; /* [rois,MASK_CELLS,1]; of the true class */
    float *h_target, *h_box, *h_box_weight, *h_centre, *h_centre_weight, *h_rois, *h_mask_target;
    int32_t *h_mask_at, *roi_picture, *box_of, n_rois; /* of the batch in load, packed: pictures have few boxes */
    double n_points, sum_centre; /* of the batch in load */
    int64_t n_boxes, n_without_point;
    /* what was read */
    float *classes, *logs, *centres, *mask_read; /* of one picture; [ROIS_READ,MASK_CELLS,C] */
    ehm_found_box *candidate, *found;            /* [EHM_DETECT_CANDIDATES]; [batch,max_boxes] */
    int32_t *n_found;                            /* [batch] */
    float *masks;                                /* [batch,max_boxes,MASK_CELLS] */
};

static int64_t points_of(const ehm_detect *s) { return (int64_t)s->points.grid_h * s->points.grid_w; }

/* ---- making one ---- */

static ehm_code no_memory(const ehm_detect_opt *o, ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory to detect %d classes", o->n_classes); }

ehm_code ehm_detect_new(ehm_detect **out, const ehm_detect_opt *o, ehm_err *err) {
    *out = NULL;
    if (o->n_classes < 1 || o->n_classes > CLASSES_MAX)
        return EHM_FAIL(err, EHM_E_ARG, "detection of %d classes; 1 to %d are possible", o->n_classes, (int)CLASSES_MAX);
    if (o->width < 0 || o->width % 4 || o->width > 8192)
        return EHM_FAIL(err, EHM_E_ARG, "a head %d features wide; it must be a multiple of 4 up to 8192", o->width);
    if (!(o->nms >= 0 && o->nms <= 1) || !(o->score_min >= 0 && o->score_min < 1))
        return EHM_FAIL(err, EHM_E_ARG, "suppression at %g and scores above %g; both lie between 0 and 1", (double)o->nms, (double)o->score_min);
    if (o->max_boxes < 0 || o->max_boxes > EHM_DETECT_CANDIDATES)
        return EHM_FAIL(err, EHM_E_ARG, "%d boxes a picture; at most %d are possible", o->max_boxes, (int)EHM_DETECT_CANDIDATES);
    ehm_detect *s = calloc(1, sizeof *s);
    if (!s) return no_memory(o, err);
    s->o = *o;
    if (!s->o.width) s->o.width = WIDTH;
    if (!(s->o.nms > 0)) s->o.nms = 0.6f;
    if (!(s->o.score_min > 0)) s->o.score_min = 0.05f;
    if (!s->o.max_boxes) s->o.max_boxes = MAX_BOXES;
    s->o.fit = o->fit && !strcmp(o->fit, "pad") ? "pad" : o->fit && !strcmp(o->fit, "crop") ? "crop" : "stretch";
    const char **names = EHM_NEW_N(&s->arena, const char *, o->n_classes);
    bool ok = names != NULL;
    for (int32_t i = 0; i < o->n_classes && ok; i++)
        ok = (names[i] = o->classes && o->classes[i] ? ehm_arena_strdup(&s->arena, o->classes[i]) : ehm_arena_printf(&s->arena, "%d", i)) != NULL;
    s->o.classes = names;
    if (!ok) {
        ehm_detect_free(s);
        return no_memory(o, err);
    }
    *out = s;
    return EHM_OK;
}

ehm_code ehm_detect_from_json(ehm_detect **out, const ehm_json *meta, ehm_err *err) {
    const ehm_json *classes = ehm_json_get(meta, "classes"), *c;
    const char *name = ehm_json_str_or(meta, "name", "detect");
    int64_t width = ehm_json_i64_or(meta, "width", WIDTH), most = ehm_json_i64_or(meta, "max_boxes", MAX_BOXES);
    double nms = ehm_json_num_or(meta, "nms", 0.6), score_min = ehm_json_num_or(meta, "score_min", 0.05);
    *out = NULL;
    if (strcmp(name, "detect") && strcmp(name, "instances"))
        return EHM_FAIL(err, EHM_E_FORMAT, "the saved model was made for the task \"%s\", not for detect or instances", name);
    if (!classes || classes->kind != EHM_JSON_ARR || classes->n < 1 || classes->n > CLASSES_MAX)
        return EHM_FAIL(err, EHM_E_FORMAT, "the saved model names no \"classes\"");
    if (width < 4 || width > 8192 || width % 4) return EHM_FAIL(err, EHM_E_FORMAT, "the saved model's \"width\" is %lld", (long long)width);
    if (most < 1 || most > EHM_DETECT_CANDIDATES) return EHM_FAIL(err, EHM_E_FORMAT, "the saved model's \"max_boxes\" is %lld", (long long)most);
    if (!(nms > 0 && nms <= 1)) return EHM_FAIL(err, EHM_E_FORMAT, "the saved model's \"nms\" is %g", nms);
    if (!(score_min > 0 && score_min < 1)) return EHM_FAIL(err, EHM_E_FORMAT, "the saved model's \"score_min\" is %g", score_min);
    const char **names = calloc((size_t)classes->n, sizeof *names);
    if (!names) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d classes", classes->n);
    int32_t n = 0;
    ehm_code rc = EHM_OK;
    for (c = classes->first; c && !rc; c = c->next) {
        if (c->kind != EHM_JSON_STR) rc = EHM_FAIL(err, EHM_E_FORMAT, "the saved model's class %d has no name", n);
        else names[n++] = c->str;
    }
    ehm_detect_opt o = {.n_classes = n, .classes = names, .masks = !strcmp(name, "instances"), .width = (int32_t)width, .nms = (float)nms,
                        .score_min = (float)score_min, .max_boxes = (int32_t)most, .fit = ehm_json_str_or(meta, "fit", "stretch")};
    if (!rc) rc = ehm_detect_new(out, &o, err);
    free(names);
    return rc;
}

void ehm_detect_free(ehm_detect *s) {
    if (!s) return;
    ehm_arena_free(&s->arena);
    free(s);
}
const ehm_detect_opt *ehm_detect_options(const ehm_detect *s) { return &s->o; }
void ehm_detect_counts(const ehm_detect *s, int64_t *n_boxes, int64_t *n_without_point) { *n_boxes = s->n_boxes, *n_without_point = s->n_without_point; }

/* ---- the task: memory ---- */

static ehm_code add(void *user, const ehm_tune_place *p, ehm_err *err) {
    ehm_detect *s = user;
    ehm_head_opt o = {.kind = EHM_HEAD_DETECT, .n_out = s->o.n_classes, .width = s->o.width, .with_features = s->o.masks};
    s->head = ehm_head_add(p->params, p->arena, p->shape, p->encoder_norm, &o);
    if (s->head && s->o.masks) s->branch = ehm_mask_branch_add(p->params, p->arena, s->o.width, s->o.n_classes);
    if (!s->head || (s->o.masks && !s->branch)) return no_memory(&s->o, err);
    ehm_head_grid(s->head, &s->points.grid_h, &s->points.grid_w);
    s->points.cell_px = (double)p->shape->img_w / s->points.grid_w;
    return EHM_OK;
}

static ehm_code open_training(ehm_detect *s, int64_t batch, ehm_err *err) {
    int64_t n = batch * points_of(s), rois = batch * EHM_DETECT_ROIS;
    ehm_arena *a = &s->arena;
    s->h_target = EHM_NEW_N(a, float, n * s->o.n_classes), s->h_box = EHM_NEW_N(a, float, n * 4), s->h_box_weight = EHM_NEW_N(a, float, n);
    s->h_centre = EHM_NEW_N(a, float, n), s->h_centre_weight = EHM_NEW_N(a, float, n), s->box_of = EHM_NEW_N(a, int32_t, points_of(s));
    bool ok = s->h_target && s->h_box && s->h_box_weight && s->h_centre && s->h_centre_weight && s->box_of;
    if (ok && s->o.masks) {
        s->h_rois = EHM_NEW_N(a, float, rois * 4), s->h_mask_target = EHM_NEW_N(a, float, rois * MASK_CELLS);
        s->h_mask_at = EHM_NEW_N(a, int32_t, rois * MASK_CELLS), s->roi_picture = EHM_NEW_N(a, int32_t, rois);
        ok = s->h_rois && s->h_mask_target && s->h_mask_at && s->roi_picture;
    }
    return ok ? EHM_OK : no_memory(&s->o, err);
}
static ehm_code open_reading(ehm_detect *s, int64_t batch, ehm_err *err) {
    ehm_arena *a = &s->arena;
    int64_t n = points_of(s);
    s->classes = EHM_NEW_N(a, float, n * s->o.n_classes), s->logs = EHM_NEW_N(a, float, n * 4), s->centres = EHM_NEW_N(a, float, n);
    s->candidate = EHM_NEW_N(a, ehm_found_box, EHM_DETECT_CANDIDATES), s->found = EHM_NEW_N(a, ehm_found_box, batch * s->o.max_boxes);
    s->n_found = EHM_NEW_N(a, int32_t, batch);
    bool ok = s->classes && s->logs && s->centres && s->candidate && s->found && s->n_found;
    if (ok && s->o.masks) {
        s->mask_read = EHM_NEW_N(a, float, (int64_t)ROIS_READ * MASK_CELLS * s->o.n_classes);
        s->masks = EHM_NEW_N(a, float, batch * s->o.max_boxes * MASK_CELLS);
        ok = s->mask_read && s->masks;
    }
    return ok ? EHM_OK : no_memory(&s->o, err);
}

static ehm_code pass_open(void *user, const ehm_tune_place *p, ehm_err *err) {
    ehm_detect *s = user;
    int32_t i = p->train ? 0 : 1;
    s->batch[i] = p->batch;
    s->pass[i] = ehm_head_pass_open(s->head, p->batch, p->train, p->act, p->arena);
    if (!s->pass[i]) return no_memory(&s->o, err);
    if (s->o.masks) {
        s->mask_pass[i] = ehm_mask_pass_open(s->branch, p->train ? p->batch * EHM_DETECT_ROIS : ROIS_READ, s->points.grid_h, s->points.grid_w, p->train,
                                             p->act, p->arena);
        if (!s->mask_pass[i]) return no_memory(&s->o, err);
    }
    return p->train ? open_training(s, p->batch, err) : open_reading(s, p->batch, err);
}

static int32_t level(void *user, int32_t i) {
    const ehm_detect *s = user;
    return ehm_head_level(s->head, i);
}

static void plan_of(void *user, ehm_plan *plan, bool train) {
    ehm_detect *s = user;
    s->real = ehm_dev_real(plan->dev);
    ehm_head_pass_plan(s->pass[train ? 0 : 1], plan);
    if (s->o.masks) ehm_mask_pass_plan(s->mask_pass[train ? 0 : 1], plan);
    if (!train) return;
    int64_t n = s->batch[0] * points_of(s), rois = (int64_t)s->batch[0] * EHM_DETECT_ROIS;
    s->target = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, s->real, n, s->o.n_classes);
    s->box = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, s->real, n, 4);
    s->box_weight = ehm_plan_1d(plan, EHM_MEM_INPUT, NULL, s->real, n);
    s->centre = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, s->real, n, 1);
    s->centre_weight = ehm_plan_1d(plan, EHM_MEM_INPUT, NULL, s->real, n);
    s->row_loss = ehm_plan_1d(plan, EHM_MEM_CACHE, NULL, s->real, n);
    if (!s->o.masks) return;
    s->mask_at = ehm_plan_3d(plan, EHM_MEM_INPUT, NULL, EHM_I32, rois, MASK_CELLS, 1);
    s->mask_target = ehm_plan_3d(plan, EHM_MEM_INPUT, NULL, s->real, rois, MASK_CELLS, 1);
    s->mask_logit = ehm_plan_3d(plan, EHM_MEM_CACHE, NULL, s->real, rois, MASK_CELLS, 1);
    s->dmask_logit = ehm_plan_3d(plan, EHM_MEM_CACHE, NULL, s->real, rois, MASK_CELLS, 1);
    s->mask_loss = ehm_plan_2d(plan, EHM_MEM_CACHE, NULL, s->real, rois, MASK_CELLS);
}
static void plan_bwd(void *user, ehm_plan *plan) {
    ehm_detect *s = user;
    ehm_head_pass_plan_bwd(s->pass[0], plan);
    if (s->o.masks) ehm_mask_pass_plan_bwd(s->mask_pass[0], plan);
}
static ehm_code placed(void *user, ehm_dev *d, ehm_err *err) {
    ehm_detect *s = user;
    for (int32_t i = 0; i < 2; i++)
        if (s->pass[i]) EHM_TRY(ehm_head_pass_load(s->pass[i], d, err));
    return EHM_OK;
}

/* A view of the device's real type as f32. */
static ehm_code fetch(ehm_dev *d, float *x, ehm_view v, ehm_err *err) {
    int64_t n = ehm_view_count(v);
    if (v.dtype != EHM_F64) {
        ehm_download(d, x, v, ehm_view_bytes(v));
        return EHM_OK;
    }
    double *wide = malloc((size_t)n * sizeof *wide);
    if (!wide) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld numbers", (long long)n);
    ehm_download(d, wide, v, ehm_view_bytes(v));
    for (int64_t i = 0; i < n; i++) x[i] = (float)wide[i];
    free(wide);
    return EHM_OK;
}

/* ---- the task: training ---- */

/* The first rows of an input. */
static void put(ehm_dev *d, ehm_view v, const float *x, int64_t rows) { ehm_put_reals(d, v, x, rows * (ehm_view_count(v) / v.dim[0])); }

static void load_points(ehm_detect *s, const ehm_box *boxes, int32_t n, int64_t i_picture) {
    int64_t at = i_picture * points_of(s);
    for (int32_t k = 0; k < n; k++) s->n_boxes += !boxes[k].crowd;
    s->n_without_point += ehm_points_assign(s->box_of, &s->points, boxes, n);
    for (int32_t i = 0; i < points_of(s); i++) {
        if (s->box_of[i] < 0) continue;
        const ehm_box *b = &boxes[s->box_of[i]];
        float *t = s->h_box + (at + i) * 4;
        ehm_points_target(t, &s->points, i, b);
        s->h_target[(at + i) * s->o.n_classes + b->class_id] = 1;
        s->h_centre[at + i] = s->h_box_weight[at + i] = ehm_points_centreness(t);
        s->h_centre_weight[at + i] = 1;
        s->n_points++, s->sum_centre += (double)s->h_centre[at + i];
    }
}

/* Which cells of a true box show its object: the map's pixel at each cell's centre. */
static void load_masks(ehm_detect *s, const ehm_batch *b, const ehm_box *boxes, int32_t n, int32_t i_picture) {
    int32_t h = (int32_t)(s->points.grid_h * s->points.cell_px), w = (int32_t)(s->points.grid_w * s->points.cell_px);
    int32_t n_single = 0;
    for (int32_t k = 0; k < n; k++) n_single += !boxes[k].crowd;
    int32_t n_rois = n_single < EHM_DETECT_ROIS ? n_single : EHM_DETECT_ROIS;
    for (int32_t r = 0, k = -1, i_single = -1; r < n_rois; r++) {
        while (i_single < (int32_t)((int64_t)r * n_single / n_rois)) i_single += !boxes[++k].crowd;
        int32_t i_roi = s->n_rois++;
        const ehm_box *v = &boxes[k];
        float cell = (float)s->points.cell_px, *to = s->h_rois + 4 * (int64_t)i_roi, *target = s->h_mask_target + (int64_t)i_roi * MASK_CELLS;
        int32_t *at = s->h_mask_at + (int64_t)i_roi * MASK_CELLS;
        to[0] = v->x0 / cell, to[1] = v->y0 / cell, to[2] = v->x1 / cell, to[3] = v->y1 / cell;
        s->roi_picture[i_roi] = i_picture;
        for (int32_t i = 0; i < MASK_CELLS; i++) {
            float u = ((float)(i % EHM_MASK_SIDE) + 0.5f) / EHM_MASK_SIDE, q = ((float)(i / EHM_MASK_SIDE) + 0.5f) / EHM_MASK_SIDE;
            int32_t x = (int32_t)(v->x0 + u * (v->x1 - v->x0)), y = (int32_t)(v->y0 + q * (v->y1 - v->y0));
            x = x < 0 ? 0 : x > w - 1 ? w - 1 : x, y = y < 0 ? 0 : y > h - 1 ? h - 1 : y;
            at[i] = i * s->o.n_classes + v->class_id;
            target[i] = b->objects[((int64_t)i_picture * h + y) * w + x] == k ? 1 : 0;
        }
    }
}

static ehm_code load(void *user, ehm_dev *d, const ehm_batch *b, const float **mixed, ehm_err *err) {
    ehm_detect *s = user;
    int64_t n = b->n * points_of(s);
    (void)mixed;
    if (!b->box_start || (s->o.masks && !b->objects)) return EHM_FAIL(err, EHM_E_ARG, "a batch without %s", b->box_start ? "maps of objects" : "boxes");
    for (int32_t i = b->box_start[0]; i < b->box_start[b->n]; i++)
        if (b->boxes[i].class_id < 0 || b->boxes[i].class_id >= s->o.n_classes)
            return EHM_FAIL(err, EHM_E_MISMATCH, "a box of class %d, but there are %d classes", b->boxes[i].class_id, s->o.n_classes);
    memset(s->h_target, 0, (size_t)(n * s->o.n_classes) * sizeof(float)), memset(s->h_box, 0, (size_t)n * 4 * sizeof(float));
    memset(s->h_box_weight, 0, (size_t)n * sizeof(float)), memset(s->h_centre, 0, (size_t)n * sizeof(float));
    memset(s->h_centre_weight, 0, (size_t)n * sizeof(float));
    s->n_points = s->sum_centre = s->n_rois = 0;
    for (int32_t i = 0; i < b->n; i++) {
        const ehm_box *boxes = b->boxes + b->box_start[i];
        int32_t n_boxes = b->box_start[i + 1] - b->box_start[i];
        load_points(s, boxes, n_boxes, i);
        if (s->o.masks) load_masks(s, b, boxes, n_boxes, i);
    }
    put(d, s->target, s->h_target, n);
    put(d, s->box, s->h_box, n);
    put(d, s->box_weight, s->h_box_weight, n);
    put(d, s->centre, s->h_centre, n);
    put(d, s->centre_weight, s->h_centre_weight, n);
    if (!s->o.masks) return EHM_OK;
    if (s->n_rois) {
        ehm_view at = ehm_view_rows(s->mask_at, 0, s->n_rois);
        ehm_upload(d, at, s->h_mask_at, ehm_view_bytes(at));
        put(d, s->mask_target, s->h_mask_target, s->n_rois);
    }
    return ehm_mask_pass_load(s->mask_pass[0], d, s->h_rois, s->roi_picture, s->n_rois, err);
}

static float inverse(double n) { return n > 0 ? (float)(1 / n) : 1; }

/* The three losses of points; dx: gradients of share * loss are written beside. */
static void point_losses(ehm_detect *s, ehm_dev *d, int64_t b, ehm_view loss, bool bwd, float share) {
    int64_t n = b * points_of(s), c = s->o.n_classes;
    float by_point = inverse(s->n_points), by_centre = inverse(s->sum_centre);
    ehm_view rows = ehm_view_rows(s->row_loss, 0, n), none = ehm_view_none();
    ehm_head_pass *p = s->pass[0];
    ehm_dev_label(d, "detect");
    ehm_focal(d, &(ehm_focal_args){.row_loss = rows, .dx = bwd ? ehm_fit2(ehm_head_dout(p, CLASSES, b), n, c) : none,
                                   .x = ehm_fit2(ehm_head_out(p, CLASSES, b), n, c), .target = ehm_view_rows(s->target, 0, n), .gamma = focal_gamma,
                                   .alpha = focal_alpha, .scale = share * by_point});
    if (!bwd) ehm_sum(d, &(ehm_sum_args){.out = loss, .x = rows, .scale = by_point});
    ehm_giou(d, &(ehm_giou_args){.row_loss = rows, .dx = bwd ? ehm_fit2(ehm_head_dout(p, LOGS, b), n, 4) : none,
                                 .x = ehm_fit2(ehm_head_out(p, LOGS, b), n, 4), .target = ehm_view_rows(s->box, 0, n),
                                 .weight = ehm_view_rows(s->box_weight, 0, n), .scale = share * by_centre});
    if (!bwd) ehm_sum(d, &(ehm_sum_args){.out = loss, .x = rows, .scale = by_centre, .accumulate = true});
    ehm_focal(d, &(ehm_focal_args){.row_loss = rows, .dx = bwd ? ehm_fit2(ehm_head_dout(p, CENTRES, b), n, 1) : none,
                                   .x = ehm_fit2(ehm_head_out(p, CENTRES, b), n, 1), .target = ehm_view_rows(s->centre, 0, n),
                                   .weight = ehm_view_rows(s->centre_weight, 0, n), .gamma = 0, .alpha = -1, .scale = share * by_point});
    if (!bwd) ehm_sum(d, &(ehm_sum_args){.out = loss, .x = rows, .scale = by_point, .accumulate = true});
}

/* Of a mask's logits, [cells,classes], those of the true class alone have a loss: they are picked out, and their gradient is put back. */
static void mask_losses(ehm_detect *s, ehm_dev *d, ehm_view loss, bool bwd, float share) {
    int64_t rois = s->n_rois, cells = rois * MASK_CELLS, wide = (int64_t)MASK_CELLS * s->o.n_classes;
    float by_cell = inverse((double)cells);
    ehm_view at = ehm_view_rows(s->mask_at, 0, rois), logit = ehm_view_rows(s->mask_logit, 0, rois), dlogit = ehm_view_rows(s->dmask_logit, 0, rois);
    ehm_dev_label(d, "instances");
    if (!bwd) ehm_mix_rows_fwd(d, &(ehm_mix_rows_fwd_args){.out = logit, .x = ehm_fit3(ehm_mask_out(s->mask_pass[0]), rois, wide, 1), .idx = at});
    ehm_focal(d, &(ehm_focal_args){.row_loss = ehm_fit2(s->mask_loss, rois, MASK_CELLS), .dx = bwd ? ehm_fit2(dlogit, cells, 1) : ehm_view_none(),
                                   .x = ehm_fit2(logit, cells, 1), .target = ehm_fit2(s->mask_target, cells, 1),
                                   .gamma = 0, .alpha = -1, .scale = share * by_cell});
    if (bwd) ehm_mix_rows_bwd(d, &(ehm_mix_rows_bwd_args){.dx = ehm_fit3(ehm_mask_dout(s->mask_pass[0]), rois, wide, 1), .dout = dlogit, .idx = at});
    else ehm_sum(d, &(ehm_sum_args){.out = loss, .x = ehm_fit2(s->mask_loss, rois, MASK_CELLS), .scale = by_cell, .accumulate = true});
}

static void fwd_loss(void *user, ehm_dev *d, const ehm_weights *w, const ehm_view *levels, int64_t b, ehm_view loss) {
    ehm_detect *s = user;
    ehm_head_fwd(d, s->pass[0], w, levels, b);
    point_losses(s, d, b, loss, false, 1);
    if (!s->o.masks || !s->n_rois) return;
    ehm_mask_fwd(d, s->mask_pass[0], w, ehm_head_out(s->pass[0], FEATURES, b));
    mask_losses(s, d, loss, false, 1);
}

static void bwd(void *user, ehm_dev *d, const ehm_weights *w, const ehm_grads *g, const ehm_view *levels, const ehm_view *dlevels, int64_t b, float share) {
    ehm_detect *s = user;
    point_losses(s, d, b, ehm_view_none(), true, share);
    if (s->o.masks) {
        ehm_view dfeatures = ehm_head_dout(s->pass[0], FEATURES, b);
        ehm_fill(d, &(ehm_fill_args){.x = dfeatures, .value = 0});
        if (s->n_rois) {
            mask_losses(s, d, ehm_view_none(), true, share);
            ehm_mask_bwd(d, s->mask_pass[0], dfeatures, w, g);
        }
    }
    ehm_head_bwd(d, s->pass[0], dlevels, levels, w, g, b);
}

/* ---- the task: finding ---- */

static void infer(void *user, ehm_dev *d, const ehm_weights *w, const ehm_view *levels, int64_t b) {
    ehm_detect *s = user;
    s->weights = *w;
    ehm_head_fwd(d, s->pass[1], w, levels, b);
}

/* The masks of ROIS_READ boxes at a time, whichever of the n pictures they lie in. */
static ehm_code read_masks(ehm_detect *s, ehm_dev *d, int32_t n, ehm_err *err) {
    ehm_view features = ehm_head_out(s->pass[1], FEATURES, n);
    float cell = (float)s->points.cell_px, rois[ROIS_READ * 4], *out[ROIS_READ];
    int32_t picture[ROIS_READ], class_id[ROIS_READ], some = 0;
    for (int32_t i = 0, k = 0; i < n;) {
        if (k < s->n_found[i]) {
            int64_t at = (int64_t)i * s->o.max_boxes + k++;
            const ehm_found_box *v = &s->found[at];
            float *roi = rois + 4 * (ptrdiff_t)some;
            roi[0] = v->x0 / cell, roi[1] = v->y0 / cell, roi[2] = v->x1 / cell, roi[3] = v->y1 / cell;
            picture[some] = i, class_id[some] = v->class_id, out[some++] = s->masks + at * MASK_CELLS;
        } else {
            i++, k = 0;
        }
        if (!some || (some < ROIS_READ && i < n)) continue;
        EHM_TRY(ehm_mask_pass_load(s->mask_pass[1], d, rois, picture, some, err));
        ehm_mask_fwd(d, s->mask_pass[1], &s->weights, features);
        EHM_TRY(fetch(d, s->mask_read, ehm_mask_out(s->mask_pass[1]), err));
        for (int32_t r = 0; r < some; r++)
            for (int32_t c = 0; c < MASK_CELLS; c++)
                out[r][c] = 1 / (1 + expf(-s->mask_read[((int64_t)r * MASK_CELLS + c) * s->o.n_classes + class_id[r]]));
        some = 0;
    }
    return EHM_OK;
}

ehm_code ehm_detect_read(ehm_detect *s, ehm_dev *d, int32_t n, ehm_err *err) {
    EHM_TRY(ehm_dev_check(d, err));
    for (int32_t i = 0; i < n; i++) {
        EHM_TRY(fetch(d, s->classes, ehm_view_rows(ehm_head_out(s->pass[1], CLASSES, n), i, 1), err));
        EHM_TRY(fetch(d, s->logs, ehm_view_rows(ehm_head_out(s->pass[1], LOGS, n), i, 1), err));
        EHM_TRY(fetch(d, s->centres, ehm_view_rows(ehm_head_out(s->pass[1], CENTRES, n), i, 1), err));
        int32_t k = ehm_points_decode(s->candidate, EHM_DETECT_CANDIDATES, &s->points, s->classes, s->logs, s->centres, s->o.n_classes, s->o.score_min);
        s->n_found[i] = ehm_nms(s->candidate, k, s->o.nms, s->o.max_boxes);
        memcpy(s->found + (int64_t)i * s->o.max_boxes, s->candidate, (size_t)s->n_found[i] * sizeof *s->found);
    }
    if (s->o.masks) EHM_TRY(read_masks(s, d, n, err));
    return ehm_dev_check(d, err);
}

const ehm_found_box *ehm_detect_boxes(const ehm_detect *s, int32_t i, int32_t *n_boxes) {
    *n_boxes = s->n_found[i];
    return s->found + (int64_t)i * s->o.max_boxes;
}
const float *ehm_detect_masks(const ehm_detect *s, int32_t i) { return s->masks ? s->masks + (int64_t)i * s->o.max_boxes * MASK_CELLS : NULL; }

void ehm_mask_paste(uint8_t *px, int32_t h, int32_t w, const float *mask, double x0, double y0, double x1, double y1) {
    enum { N = EHM_MASK_SIDE };
    memset(px, 0, (size_t)h * (size_t)w);
    for (int32_t y = (int32_t)fmax(0, floor(y0)); y < h && y + 0.5 < y1; y++) {
        double v = fmin(fmax((y + 0.5 - y0) / (y1 - y0) * N - 0.5, 0), N - 1);
        int32_t i = v < N - 1 ? (int32_t)v : N - 2;
        if (y + 0.5 < y0) continue;
        for (int32_t x = (int32_t)fmax(0, floor(x0)); x < w && x + 0.5 < x1; x++) {
            double u = fmin(fmax((x + 0.5 - x0) / (x1 - x0) * N - 0.5, 0), N - 1), du, dv = v - i;
            int32_t k = u < N - 1 ? (int32_t)u : N - 2;
            const float *m = mask + i * N + k;
            if (x + 0.5 < x0) continue;
            du = u - k;
            px[(int64_t)y * w + x] = (1 - dv) * ((1 - du) * (double)m[0] + du * (double)m[1]) + dv * ((1 - du) * (double)m[N] + du * (double)m[N + 1]) >= 0.5;
        }
    }
}

static void describe(void *user, ehm_json_w *w) {
    const ehm_detect *s = user;
    ehm_json_key(w, "width"), ehm_json_i64(w, s->o.width);
    ehm_json_key(w, "nms"), ehm_json_f32(w, s->o.nms);
    ehm_json_key(w, "score_min"), ehm_json_f32(w, s->o.score_min);
    ehm_json_key(w, "max_boxes"), ehm_json_i64(w, s->o.max_boxes);
    ehm_json_key(w, "fit"), ehm_json_str(w, s->o.fit);
    ehm_json_key(w, "classes"), ehm_json_arr(w);
    for (int32_t i = 0; i < s->o.n_classes; i++) ehm_json_str(w, s->o.classes[i]);
    ehm_json_end(w);
}

static void close_task(void *user) { ehm_detect_free(user); }

#define DETECT_TASK(title)                                                                                                        \
    {                                                                                                                             \
        .name = title, .add = add, .pass_open = pass_open, .n_levels = 1, .level = level, .plan = plan_of, .plan_bwd = plan_bwd,  \
        .placed = placed, .load = load, .fwd_loss = fwd_loss, .bwd = bwd, .infer = infer, .describe = describe,                   \
        .close = close_task                                                                                                       \
    }
static const ehm_tune_task of_boxes = DETECT_TASK("detect"), of_masks = DETECT_TASK("instances");

const ehm_tune_task *ehm_detect_task(const ehm_detect *s) { return s->o.masks ? &of_masks : &of_boxes; }
