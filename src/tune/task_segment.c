/* Segmentation: logits on the head's grid are enlarged for a few pictures at a time, since at full size they
 * are the largest thing of the step (a picture of 512 x 512 with 150 classes takes 157 MB). Loss and gradient
 * are therefore made in one go, while the enlarged logits stand. */
#include "tune/task_segment.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 48 << 20, CLASSES_MAX = 65536, WIDTH = 128 };

struct ehm_segment {
    ehm_arena arena;
    ehm_tune_task task;
    ehm_segment_opt o;
    ehm_head *head;
    ehm_head_pass *pass[2]; /* training, inference */
    ehm_dtype real;
    int32_t batch[2], img_h, img_w, gh, gw, n_chunk;
    ehm_view idx, weight;          /* enlargement, [H*W,4] */
    ehm_view labels, class_weight; /* [batch,H*W] i32, [C] */
    ehm_view wide, row_loss;       /* of n_chunk pictures: [n_chunk,H*W,C], [n_chunk*H*W] */
    ehm_view dgrid;                /* [batch,G,C]: gradient of the loss */
    int32_t *mapped;     /* [batch,H*W] host: classes of the set's values; NULL where they are the same */
    double label_weight; /* of the labelled pixels of the batch in load */
};

static int64_t pixels_of(const ehm_segment *s) { return (int64_t)s->img_h * s->img_w; }
static int64_t cells_of(const ehm_segment *s) { return (int64_t)s->gh * s->gw; }

/* ---- enlargement ---- */

/* The centre of pixel i lies at (i + 0.5) * in / out - 0.5, not before the first cell's own. */
ehm_bilinear_tap ehm_bilinear_at(int32_t i, int32_t n_out, int32_t n_in) {
    double at = (i + 0.5) * n_in / n_out - 0.5;
    if (at < 0) at = 0;
    int32_t i0 = (int32_t)at;
    if (i0 > n_in - 1) i0 = n_in - 1;
    return (ehm_bilinear_tap){i0, i0 + 1 < n_in ? i0 + 1 : i0, (float)(at - i0)};
}

void ehm_segment_enlarge_table(int32_t *idx, float *weight, int32_t out_h, int32_t out_w, int32_t in_h,
                               int32_t in_w) {
    for (int32_t y = 0; y < out_h; y++) {
        ehm_bilinear_tap v = ehm_bilinear_at(y, out_h, in_h);
        for (int32_t x = 0; x < out_w; x++, idx += 4, weight += 4) {
            ehm_bilinear_tap u = ehm_bilinear_at(x, out_w, in_w);
            idx[0] = v.i0 * in_w + u.i0, idx[1] = v.i0 * in_w + u.i1, idx[2] = v.i1 * in_w + u.i0,
            idx[3] = v.i1 * in_w + u.i1;
            weight[0] = (1 - v.w1) * (1 - u.w1), weight[1] = (1 - v.w1) * u.w1, weight[2] = v.w1 * (1 - u.w1),
            weight[3] = v.w1 * u.w1;
        }
    }
}

/* ---- the task ---- */

static ehm_code add(void *user, const ehm_tune_place *p, ehm_err *err) {
    ehm_segment *s = user;
    ehm_head_opt o = {.kind = s->o.head, .n_out = s->o.n_classes, .width = s->o.width};
    s->head = ehm_head_add(p->params, p->arena, p->shape, p->encoder_norm, &o);
    if (!s->head) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a head of %d classes", s->o.n_classes);
    if (ehm_head_n_levels(s->head) != s->task.n_levels)
        return EHM_FAIL(err, EHM_E_ARG,
                        "the head reads %d levels of an encoder that was said to have %d blocks",
                        ehm_head_n_levels(s->head), s->o.depth);
    ehm_head_grid(s->head, &s->gh, &s->gw);
    s->img_h = p->shape->img_h, s->img_w = p->shape->img_w;
    return EHM_OK;
}

static ehm_code pass_open(void *user, const ehm_tune_place *p, ehm_err *err) {
    ehm_segment *s = user;
    int32_t i = p->train ? 0 : 1;
    s->pass[i] = ehm_head_pass_open(s->head, p->batch, p->train, p->act, p->arena);
    if (!s->pass[i]) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a head of %d classes", s->o.n_classes);
    s->batch[i] = p->batch;
    if (p->train) {
        if (s->o.class_of && !(s->mapped = EHM_NEW_N(p->arena, int32_t, p->batch * pixels_of(s))))
            return EHM_FAIL(err, EHM_E_MEMORY, "no memory for label maps of %d pictures", p->batch);
        int64_t bytes = pixels_of(s) * s->o.n_classes * (int64_t)sizeof(float),
                n = bytes ? CHUNK_BYTES / bytes : 1;
        s->n_chunk = n < 1 ? 1 : n > p->batch ? p->batch : (int32_t)n;
    }
    return EHM_OK;
}

static int32_t level(void *user, int32_t i) {
    const ehm_segment *s = user;
    return ehm_head_level(s->head, i);
}

static void plan_of(void *user, ehm_plan *plan, bool train) {
    ehm_segment *s = user;
    int64_t hw = pixels_of(s), c = s->o.n_classes;
    s->real = ehm_dev_real(plan->dev);
    ehm_head_pass_plan(s->pass[train ? 0 : 1], plan);
    if (!train) return;
    s->idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, hw, 4);
    s->weight = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, s->real, hw, 4);
    s->labels = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, s->batch[0], hw);
    s->class_weight = s->o.class_weight ? ehm_plan_1d(plan, EHM_MEM_INPUT, NULL, s->real, c)
                                        : ehm_view_none();
    s->dgrid = ehm_plan_3d(plan, EHM_MEM_CACHE, NULL, s->real, s->batch[0], cells_of(s), c);
    size_t mark = ehm_plan_mark(plan); /* nothing of these outlives fwd_loss */
    s->wide = ehm_plan_3d(plan, EHM_MEM_SCRATCH, NULL, s->real, s->n_chunk, hw, c);
    s->row_loss = ehm_plan_1d(plan, EHM_MEM_SCRATCH, NULL, s->real, s->n_chunk * hw);
    ehm_plan_release(plan, mark);
}
static void plan_bwd(void *user, ehm_plan *plan) {
    ehm_segment *s = user;
    ehm_head_pass_plan_bwd(s->pass[0], plan);
}

/* f32 numbers to a view of the device's real type. */
static ehm_code put(ehm_dev *d, ehm_view v, const float *x, ehm_err *err) {
    int64_t n = ehm_view_count(v);
    if (v.dtype != EHM_F64) {
        ehm_upload(d, v, x, ehm_view_bytes(v));
        return EHM_OK;
    }
    double *wide = malloc((size_t)n * sizeof *wide);
    if (!wide) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld numbers", (long long)n);
    for (int64_t i = 0; i < n; i++) wide[i] = (double)x[i];
    ehm_upload(d, v, wide, ehm_view_bytes(v));
    free(wide);
    return EHM_OK;
}

static ehm_code placed(void *user, ehm_dev *d, ehm_err *err) {
    ehm_segment *s = user;
    for (int32_t i = 0; i < 2; i++)
        if (s->pass[i]) EHM_TRY(ehm_head_pass_load(s->pass[i], d, err));
    if (!s->pass[0]) return EHM_OK;
    size_t n = (size_t)pixels_of(s) * 4;
    int32_t *idx = malloc(n * sizeof *idx);
    float *weight = malloc(n * sizeof *weight);
    ehm_code rc = idx && weight ? EHM_OK
                                : EHM_FAIL(err, EHM_E_MEMORY, "no memory to enlarge logits to %dx%d",
                                           s->img_h, s->img_w);
    if (!rc) {
        ehm_segment_enlarge_table(idx, weight, s->img_h, s->img_w, s->gh, s->gw);
        ehm_upload(d, s->idx, idx, ehm_view_bytes(s->idx));
        rc = put(d, s->weight, weight, err);
    }
    if (!rc && s->o.class_weight) rc = put(d, s->class_weight, s->o.class_weight, err);
    free(idx), free(weight);
    return rc;
}

static ehm_code load(void *user, ehm_dev *d, const ehm_batch *b, const float **mixed, ehm_err *err) {
    ehm_segment *s = user;
    int64_t n = b->n * pixels_of(s);
    (void)mixed;
    if (!b->maps) return EHM_FAIL(err, EHM_E_ARG, "a batch without label maps");
    int32_t n_values = s->o.class_of ? s->o.n_values : s->o.n_classes;
    s->label_weight = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t v = b->maps[i];
        if (v >= n_values)
            return EHM_FAIL(
                err, EHM_E_MISMATCH,
                "picture %lld of the set has a pixel of value %d, but the label maps have %d values",
                (long long)b->ids[i / pixels_of(s)], v, n_values);
        if (s->o.class_of) s->mapped[i] = v = v >= 0 ? s->o.class_of[v] : -1;
        if (v >= 0) s->label_weight += s->o.class_weight ? (double)s->o.class_weight[v] : 1;
    }
    ehm_view to = ehm_view_rows(s->labels, 0, b->n);
    ehm_upload(d, to, s->mapped ? s->mapped : b->maps, ehm_view_bytes(to));
    return EHM_OK;
}

static void fwd_loss(void *user, ehm_dev *d, const ehm_weights *w, const ehm_view *levels, int64_t b,
                     ehm_view loss) {
    ehm_segment *s = user;
    int64_t hw = pixels_of(s), c = s->o.n_classes;
    float scale = s->label_weight > 0 ? (float)(1 / s->label_weight) : 0;
    ehm_head_fwd(d, s->pass[0], w, levels, b);
    ehm_view grid = ehm_fit3(ehm_head_out(s->pass[0], 0, b), b, cells_of(s), c);
    for (int64_t i = 0; i < b; i += s->n_chunk) {
        int64_t n = b - i < s->n_chunk ? b - i : s->n_chunk;
        ehm_view wide = ehm_fit3(s->wide, n, hw, c), rows = ehm_fit2(wide, n * hw, c),
                 row_loss = ehm_view_rows(s->row_loss, 0, n * hw);
        ehm_view labels = ehm_view_reshape(ehm_view_rows(s->labels, i, n), 1, (int64_t[]){n * hw});
        ehm_dev_label(d, "segment");
        ehm_mix_rows_fwd(
            d, &(ehm_mix_rows_fwd_args){
                   .out = wide, .x = ehm_view_rows(grid, i, n), .idx = s->idx, .weight = s->weight});
        ehm_xent(d, &(ehm_xent_args){.row_loss = row_loss,
                                     .dlogits = rows,
                                     .logits = rows,
                                     .labels = labels,
                                     .class_weight = s->class_weight,
                                     .scale = scale});
        ehm_mix_rows_bwd(
            d, &(ehm_mix_rows_bwd_args){
                   .dx = ehm_view_rows(s->dgrid, i, n), .dout = wide, .idx = s->idx, .weight = s->weight});
        ehm_sum(d, &(ehm_sum_args){.out = loss, .x = row_loss, .scale = scale, .accumulate = i > 0});
    }
}

static void bwd(void *user, ehm_dev *d, const ehm_weights *w, const ehm_grads *g, const ehm_view *levels,
                const ehm_view *dlevels, int64_t b, float share) {
    ehm_segment *s = user;
    int64_t n = b * cells_of(s), c = s->o.n_classes;
    ehm_view dout = ehm_head_dout(s->pass[0], 0, b);
    ehm_dev_label(d, "segment");
    ehm_axpby(
        d, &(ehm_axpby_args){.out = ehm_fit2(dout, n, c), .x = ehm_fit2(s->dgrid, n, c), .a = share, .b = 0});
    ehm_head_bwd(d, s->pass[0], dlevels, levels, w, g, b);
}

static void infer(void *user, ehm_dev *d, const ehm_weights *w, const ehm_view *levels, int64_t b) {
    ehm_segment *s = user;
    ehm_head_fwd(d, s->pass[1], w, levels, b);
}

void ehm_segment_logits(ehm_segment *s, ehm_dev *d, float *out, int32_t n) {
    ehm_view v = ehm_head_out(s->pass[1], 0, n);
    int64_t count = ehm_view_count(v);
    if (v.dtype != EHM_F64) {
        ehm_download(d, out, v, ehm_view_bytes(v));
        return;
    }
    double *wide = malloc((size_t)count * sizeof *wide);
    if (wide) ehm_download(d, wide, v, ehm_view_bytes(v));
    for (int64_t i = 0; i < count; i++) out[i] = wide ? (float)wide[i] : NAN;
    free(wide);
}

static void describe(void *user, ehm_json_w *w) {
    const ehm_segment *s = user;
    ehm_json_key(w, "head"), ehm_json_str(w, s->o.head == EHM_HEAD_SEG_MLP ? "mlp" : "linear");
    ehm_json_key(w, "width"), ehm_json_i64(w, s->o.width);
    ehm_json_key(w, "depth"), ehm_json_i64(w, s->o.depth);
    ehm_json_key(w, "window"), ehm_json_str(w, s->o.slide ? "slide" : "whole");
    ehm_json_key(w, "size_factor"), ehm_json_f64(w, s->o.size_factor);
    ehm_json_key(w, "classes"), ehm_json_arr(w);
    for (int32_t i = 0; i < s->o.n_classes; i++) ehm_json_str(w, s->o.classes[i]);
    ehm_json_end(w);
}

void ehm_segment_free(ehm_segment *s) {
    if (!s) return;
    ehm_arena_free(&s->arena);
    free(s);
}
static void close_task(void *user) { ehm_segment_free(user); }

static void make_task(ehm_tune_task *t, const ehm_segment_opt *o) {
    int32_t most = o->head == EHM_HEAD_SEG_MLP ? EHM_HEAD_LEVELS : 1;
    *t = (ehm_tune_task){.name = "segment",
                         .add = add,
                         .pass_open = pass_open,
                         .n_levels = o->depth > 0 && o->depth < most ? o->depth : most,
                         .level = level,
                         .plan = plan_of,
                         .plan_bwd = plan_bwd,
                         .placed = placed,
                         .load = load,
                         .fwd_loss = fwd_loss,
                         .bwd = bwd,
                         .infer = infer,
                         .describe = describe,
                         .close = close_task};
}

/* ---- making one ---- */

ehm_code ehm_segment_new(ehm_segment **out, const ehm_segment_opt *o, ehm_err *err) {
    *out = NULL;
    if (o->head != EHM_HEAD_SEG_LINEAR && o->head != EHM_HEAD_SEG_MLP)
        return EHM_FAIL(err, EHM_E_ARG, "a head of kind %d does not segment", (int)o->head);
    if (o->n_classes < 1 || o->n_classes > CLASSES_MAX)
        return EHM_FAIL(err, EHM_E_ARG, "segmentation into %d classes; 1 to %d are possible", o->n_classes,
                        (int)CLASSES_MAX);
    if (o->width < 0 || o->width % 4 || o->width > 8192)
        return EHM_FAIL(err, EHM_E_ARG, "a head %d features wide; it must be a multiple of 4 up to 8192",
                        o->width);
    ehm_segment *s = calloc(1, sizeof *s);
    if (!s) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the segmentation task");
    s->o = *o;
    s->o.width = o->width ? o->width : WIDTH;
    if (!(s->o.size_factor > 0)) s->o.size_factor = 1;
    const char **names = EHM_NEW_N(&s->arena, const char *, o->n_classes);
    float *w = o->class_weight ? EHM_NEW_N(&s->arena, float, o->n_classes) : NULL;
    int32_t *class_of = o->class_of ? EHM_NEW_N(&s->arena, int32_t, o->n_values) : NULL;
    bool ok = names && (w || !o->class_weight) && (class_of || !o->class_of);
    if (class_of) memcpy(class_of, o->class_of, sizeof *class_of * (size_t)o->n_values);
    for (int32_t i = 0; i < o->n_classes && ok; i++) {
        names[i] = o->classes && o->classes[i] ? ehm_arena_strdup(&s->arena, o->classes[i])
                                               : ehm_arena_printf(&s->arena, "%d", i);
        ok = names[i] != NULL;
        if (w) w[i] = o->class_weight[i];
        if (w && !(w[i] >= 0 && isfinite(w[i]))) {
            double bad = (double)w[i];
            ehm_segment_free(s);
            return EHM_FAIL(err, EHM_E_ARG, "the weight of class %d is %g; it must be 0 or more", i, bad);
        }
    }
    if (!ok) {
        ehm_segment_free(s);
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d classes", o->n_classes);
    }
    make_task(&s->task, &s->o);
    s->o.classes = names, s->o.class_weight = w, s->o.class_of = class_of;
    *out = s;
    return EHM_OK;
}

ehm_code ehm_segment_from_json(ehm_segment **out, const ehm_json *meta, ehm_err *err) {
    const ehm_json *classes = ehm_json_get(meta, "classes"), *c;
    const char *head = ehm_json_str_or(meta, "head", NULL), *name = ehm_json_str_or(meta, "name", "segment");
    int64_t width = ehm_json_i64_or(meta, "width", WIDTH);
    double factor = ehm_json_num_or(meta, "size_factor", 1);
    *out = NULL;
    if (strcmp(name, "segment"))
        return EHM_FAIL(err, EHM_E_FORMAT, "the saved model was made for the task \"%s\", not for segment",
                        name);
    if (!head || (strcmp(head, "linear") && strcmp(head, "mlp")))
        return EHM_FAIL(err, EHM_E_FORMAT, "the saved model's \"head\" is %s; linear or mlp is possible",
                        head ? head : "missing");
    if (!classes || classes->kind != EHM_JSON_ARR || classes->n < 1 || classes->n > CLASSES_MAX)
        return EHM_FAIL(err, EHM_E_FORMAT, "the saved model names no \"classes\"");
    if (width < 4 || width > 8192 || width % 4)
        return EHM_FAIL(err, EHM_E_FORMAT, "the saved model's \"width\" is %lld", (long long)width);
    if (!(factor > 0 && isfinite(factor)))
        return EHM_FAIL(err, EHM_E_FORMAT, "the saved model's \"size_factor\" is %g", factor);
    const char **names = calloc((size_t)classes->n, sizeof *names);
    if (!names) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d classes", classes->n);
    int32_t n = 0;
    ehm_code rc = EHM_OK;
    for (c = classes->first; c && !rc; c = c->next) {
        if (c->kind != EHM_JSON_STR)
            rc = EHM_FAIL(err, EHM_E_FORMAT, "the saved model's class %d has no name", n);
        else
            names[n++] = c->str;
    }
    ehm_segment_opt o = {.head = strcmp(head, "mlp") ? EHM_HEAD_SEG_LINEAR : EHM_HEAD_SEG_MLP,
                         .n_classes = n,
                         .width = (int32_t)width,
                         .depth = (int32_t)ehm_json_i64_or(meta, "depth", 0),
                         .classes = names,
                         .slide = !strcmp(ehm_json_str_or(meta, "window", "whole"), "slide"),
                         .size_factor = factor};
    if (!rc) rc = ehm_segment_new(out, &o, err);
    free(names);
    return rc;
}

const ehm_tune_task *ehm_segment_task(const ehm_segment *s) { return &s->task; }
const ehm_segment_opt *ehm_segment_options(const ehm_segment *s) { return &s->o; }
void ehm_segment_grid(const ehm_segment *s, int32_t *gh, int32_t *gw) { *gh = s->gh, *gw = s->gw; }
