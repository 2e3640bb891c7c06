/* Semantic segmentation: a head on the encoder, trained on label maps, judged by intersection over union at
 * the maps' own resolution. */
#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"
#include "eval/segment_int.h"
#include "eval/task_int.h"
#include "infer/source.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIOU, PIXELS, CLASSES, IOU, N_METRICS };
static const ehm_metric metrics[N_METRICS] = {{"mean IoU", "%", true},
                                              {"pixel accuracy", "%", true},
                                              {"class accuracy", "%", true},
                                              {"IoU", "%", true}};
enum { MODELS_MAX = 4, GROUP_MAX = 64 };
static const int64_t group_bytes = 512 << 20; /* of logits at full size */

typedef struct {
    const char *name, *what;
    ehm_seg_scores scores;
    int32_t first_row, partner;
    bool by_class; /* a row for each class that a test picture shows, too */
} entrant;

typedef struct {
    const ehm_config *c;
    ehm_eval_out *out;
    ehm_arena *a;
    ehm_pool *pool;
    ehm_dataset *train, *test; /* the same where a part of it is held out */
    bool split;
    const char *const *classes;
    int32_t n_classes;
    int32_t *train_class, *test_class; /* of map values */
    bool *learn, *held;                /* [pictures of train], with split */
    ehm_seg_scan seen, tested;
    int64_t *ids, n; /* test pictures that count */
    ehm_head_kind head;
    bool frozen;
    int32_t img_h, img_w, channels; /* img 0: the model's own */
    float *class_weight;
    ehm_seg_look look;
    double size_factor;
    ehm_seg_files files;
    entrant entrants[MODELS_MAX];
    int32_t n_entrants;
} job;

static ehm_code no_memory(ehm_err *err) {
    return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the segmentation task");
}

/* ---- settings ---- */

static ehm_code check(job *j, ehm_err *err) {
    const ehm_config *c = j->c;
    if (!c->model)
        return EHM_FAIL(err, EHM_E_CONFIG,
                        "--model is missing: a run folder, a safetensors file or untrained:PRESET");
    if (!c->train.n) {
        EHM_FAIL(err, EHM_E_CONFIG, "--train is missing: the pictures with label maps to learn from");
        return EHM_HINT(err, "for example --train scenes:1:2000 --test scenes:2:500"), EHM_E_CONFIG;
    }
    EHM_TRY(ehm_eval_parse_size(&j->img_h, &j->img_w, c, err));
    j->head = strcmp(c->head, "linear") ? EHM_HEAD_SEG_MLP : EHM_HEAD_SEG_LINEAR;
    j->frozen = c->origin[EHM_SETI_frozen] == EHM_FROM_DEFAULT ? j->head == EHM_HEAD_SEG_LINEAR : c->frozen;
    if (c->head_width % 4)
        return EHM_FAIL(err, EHM_E_CONFIG, "--head-width %lld: must be a multiple of 4",
                        (long long)c->head_width);
    if (!(c->scale_min <= c->scale_max))
        return EHM_FAIL(err, EHM_E_CONFIG, "--scale-min %g is over --scale-max %g", c->scale_min,
                        c->scale_max);
    if (!c->overlays && c->origin[EHM_SETI_overlay_count] != EHM_FROM_DEFAULT)
        return EHM_FAIL(err, EHM_E_CONFIG, "--overlay-count %lld needs --overlays DIR to draw into",
                        (long long)c->overlay_count);
    if (!strcmp(c->window, "whole") && !EHM_IS_AUTO(c->stride))
        return EHM_FAIL(err, EHM_E_CONFIG,
                        "--stride %lld is the step of sliding windows, and --window whole asks for none",
                        (long long)c->stride);
    if (c->against && c->save && !c->out) ehm_log(EHM_LOG_NOTE, "--save writes the network of %s", c->model);
    return EHM_OK;
}

/* ---- sets ---- */

static ehm_code needs_maps(const ehm_dataset *ds, ehm_err *err) {
    if (ehm_dataset_n_map_classes(ds)) return EHM_OK;
    EHM_HINT(err, "label maps are labels/STEM.png beside images/STEM.*, 8 or 16 bit; names in classes.tsv");
    return EHM_FAIL(err, EHM_E_MISMATCH, "%s has no label maps, and segmentation learns from them",
                    ehm_dataset_spec(ds));
}

static ehm_code open_sets(job *j, ehm_err *err) {
    const ehm_config *c = j->c;
    ehm_dataset_opt opt = {.channels = j->channels,
                           .alpha = c->alpha,
                           .max_pixels = c->max_pixels,
                           .cache_dir = c->cache,
                           .ignore_label = -1,
                           .limit = EHM_IS_AUTO(c->limit) ? 0 : c->limit};
    EHM_TRY(ehm_dataset_open(&j->train, &c->train, &opt, err));
    EHM_TRY(needs_maps(j->train, err));
    EHM_TRY(ehm_seg_classes(&j->classes, &j->n_classes, &j->train_class, j->train, j->a, err));
    if (j->n_classes < 2)
        return EHM_FAIL(
            err, EHM_E_MISMATCH,
            "%s: the label maps know %d %s besides the ignored label, and segmentation tells classes apart",
            ehm_dataset_spec(j->train), j->n_classes, j->n_classes == 1 ? "class" : "classes");
    j->split = !c->test.n;
    if (j->split) {
        int64_t n = ehm_dataset_count(j->train);
        j->test = j->train, j->test_class = j->train_class;
        j->learn = EHM_NEW_N(j->a, bool, n), j->held = EHM_NEW_N(j->a, bool, n);
        if (!j->learn || !j->held) return no_memory(err);
        for (int64_t i = 0; i < n; i++) {
            ehm_rng r = ehm_rng_of((uint64_t)c->seed, EHM_RNG_eval_split, 0, (uint64_t)i);
            j->held[i] = ehm_rng_f64(&r) < c->split, j->learn[i] = !j->held[i];
        }
        return EHM_OK;
    }
    EHM_TRY(ehm_dataset_open(&j->test, &c->test, &opt, err));
    EHM_TRY(needs_maps(j->test, err));
    return ehm_seg_match(&j->test_class, j->test, j->classes, j->n_classes, j->a, err);
}

static ehm_code none_counts(const ehm_seg_scan *s, const ehm_dataset *ds, const char *part, ehm_err *err) {
    if (s->n_pictures) return EHM_OK;
    EHM_HINT(err, "the label that is ignored is %d", ehm_dataset_ignore_label(ds));
    return EHM_FAIL(err, EHM_E_MISMATCH,
                    "%s: no picture%s has a labelled pixel: %lld have no label map, of %lld all pixels are "
                    "ignored, %lld cannot be read",
                    ehm_dataset_spec(ds), part, (long long)s->n_none, (long long)s->n_void,
                    (long long)s->n_bad);
}

static void note_left_out(job *j, const ehm_seg_scan *s, const char *which) {
    if (s->n_none + s->n_void + s->n_bad == 0) return;
    ehm_eval_note(j->out, j->a,
                  "%lld %s pictures count, besides: %lld without a label map, %lld with all pixels ignored, "
                  "%lld that cannot be read",
                  (long long)s->n_pictures, which, (long long)s->n_none, (long long)s->n_void,
                  (long long)s->n_bad);
}

static void note_classes(job *j) {
    ehm_str unseen = {0}, absent = {0};
    int64_t lost = 0;
    int32_t n_unseen = 0, n_absent = 0;
    for (int32_t k = 0; k < j->n_classes; k++) {
        if (j->tested.pixels[k] && !j->seen.pixels[k]) {
            ehm_str_addf(&unseen, "%s%.60s", n_unseen++ ? ", " : "", j->classes[k]);
            lost += j->tested.pixels[k];
        }
        if (!j->tested.pixels[k]) ehm_str_addf(&absent, "%s%.60s", n_absent++ ? ", " : "", j->classes[k]);
    }
    if (n_unseen)
        ehm_eval_note(j->out, j->a,
                      "%lld test pixels (%.2f %%) are of %d %s that no training picture shows and count as "
                      "wrong: %.600s",
                      (long long)lost, 100 * (double)lost / (double)j->tested.n_pixels, n_unseen,
                      n_unseen == 1 ? "class" : "classes", ehm_str_c(&unseen));
    if (n_absent)
        ehm_eval_note(j->out, j->a, "no test picture shows %.600s: no part of the means", ehm_str_c(&absent));
    ehm_str_free(&unseen), ehm_str_free(&absent);
}

static ehm_code note_twins(job *j, ehm_err *err) {
    ehm_twins twins;
    EHM_TRY(ehm_prints_match(&twins, j->seen.prints, ehm_dataset_count(j->train), j->tested.prints,
                             ehm_dataset_count(j->test), j->a, err));
    if (!twins.n_b) return EHM_OK;
    ehm_eval_note(j->out, j->a, "%lld of %lld test pictures have a near-duplicate in the training set%s",
                  (long long)twins.n_b, (long long)j->n,
                  j->split ? "" : " (ehm data TRAIN TEST --check names them)");
    ehm_log(EHM_LOG_WARN, "%lld of %lld test pictures have a near-duplicate in the training set",
            (long long)twins.n_b, (long long)j->n);
    return EHM_OK;
}

static ehm_code look_at_sets(job *j, ehm_err *err) {
    int32_t n_train = ehm_dataset_n_map_classes(j->train), n_test = ehm_dataset_n_map_classes(j->test);
    EHM_TRY(ehm_seg_scan_set(&j->seen, j->train, j->learn, j->train_class, n_train, j->n_classes, j->pool,
                             j->a, err));
    EHM_TRY(ehm_seg_scan_set(&j->tested, j->test, j->held, j->test_class, n_test, j->n_classes, j->pool, j->a,
                             err));
    EHM_TRY(none_counts(&j->seen, j->train, j->split ? " to learn from" : "", err));
    EHM_TRY(none_counts(&j->tested, j->test, j->split ? " that was held out" : "", err));
    int64_t count = ehm_dataset_count(j->test);
    j->ids = EHM_NEW_N(j->a, int64_t, j->tested.n_pictures);
    if (!j->ids) return no_memory(err);
    for (int64_t i = 0; i < count; i++)
        if (j->tested.use[i]) j->ids[j->n++] = i;
    j->out->n_items = j->n, j->out->n_train = j->seen.n_pictures;
    if (!strcmp(j->c->class_weights, "median")) {
        if (!(j->class_weight = EHM_NEW_N(j->a, float, j->n_classes))) return no_memory(err);
        ehm_seg_median_weights(j->class_weight, &j->seen, j->n_classes);
    }
    note_left_out(j, &j->seen, "training"), note_left_out(j, &j->tested, "test");
    note_classes(j);
    return note_twins(j, err);
}

/* What an input shows: a window at the picture's own size, or all of it. Trained at the size at which it is
 * tested. */
static ehm_code choose_look(job *j, const ehm_vit_shape *s, ehm_err *err) {
    const ehm_config *c = j->c;
    double f = fmax(j->seen.wide / s->img_w, j->seen.high / s->img_h);
    j->look = (ehm_seg_look){.slide = !strcmp(c->window, "slide") || (!strcmp(c->window, "auto") && f > 1)};
    j->size_factor = j->look.slide ? f : 1;
    if (!EHM_IS_AUTO(c->stride)) {
        if (c->stride > s->img_h || c->stride > s->img_w)
            return EHM_FAIL(err, EHM_E_CONFIG, "--stride %lld leaves gaps between windows of %dx%d",
                            (long long)c->stride, s->img_h, s->img_w);
        j->look.stride_h = j->look.stride_w = (int32_t)c->stride;
    }
    if (j->size_factor * c->scale_max > 100)
        return EHM_FAIL(err, EHM_E_CONFIG,
                        "the pictures of %s are %.0f times as large as the input of %dx%d: --img-size with "
                        "more pixels, or --window whole",
                        ehm_dataset_spec(j->train), f, s->img_h, s->img_w);
    return EHM_OK;
}

/* ---- judging a network ---- */

typedef struct {
    ehm_arena arena;
    ehm_sample sample;
    int32_t *truth, *map;
    ehm_err err;
} slot;
typedef struct {
    job *j;
    slot *slots;
    int64_t first;
} reading;

static ehm_code read_slot(const job *j, slot *s, int64_t id, ehm_err *err) {
    EHM_TRY(ehm_dataset_read(j->test, id, &s->sample, EHM_WANT_LABEL_MAPS, NULL, &s->arena, err));
    const ehm_image *im = &s->sample.image, *map = &s->sample.label_map;
    if (!map->px || map->w != im->w || map->h != im->h)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: the label map changed while it was used",
                        ehm_dataset_name(j->test, id));
    s->truth = EHM_NEW_N(&s->arena, int32_t, (int64_t)im->w * im->h),
    s->map = EHM_NEW_N(&s->arena, int32_t, (int64_t)im->w * im->h);
    if (!s->truth || !s->map)
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a label map of %dx%d", im->w, im->h);
    ehm_seg_truth(s->truth, map, j->test_class, ehm_dataset_n_map_classes(j->test));
    return EHM_OK;
}
static void read_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    reading *r = ctx;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        slot *s = &r->slots[i];
        ehm_arena_reset(&s->arena);
        ehm_err_clear(&s->err);
        (void)read_slot(r->j, s, r->j->ids[r->first + i], &s->err);
    }
}

/* So many pictures from item `first` on as fill a batch, at least one. */
static ehm_code group_of(int32_t *count, job *j, const ehm_seg_net *net, int64_t first, ehm_arena *scratch,
                         ehm_err *err) {
    int64_t windows = 0, bytes = 0;
    int32_t n = 0;
    while (n < GROUP_MAX && first + n < j->n && windows < (net ? net->batch : GROUP_MAX)) {
        ehm_image_info info;
        EHM_TRY(ehm_dataset_size_of(j->test, j->ids[first + n], &info, scratch, err));
        bytes += (int64_t)info.w * info.h * (net ? net->n_classes : 1) * (int64_t)sizeof(float);
        if (n && bytes > group_bytes) break;
        windows += net ? ehm_seg_n_windows(net, &j->look, info.w, info.h) : 1;
        n++;
    }
    *count = n;
    return EHM_OK;
}

static ehm_code one_group(job *j, entrant *e, const ehm_seg_net *net, reading *r, int32_t n, int32_t always,
                          bool files, ehm_arena *scratch, ehm_err *err) {
    ehm_image images[GROUP_MAX];
    int32_t *maps[GROUP_MAX];
    ehm_pool_for(j->pool, n, 1, read_some, r);
    for (int32_t i = 0; i < n; i++) {
        slot *s = &r->slots[i];
        if (s->err.code) {
            if (err && !err->code) *err = s->err;
            return s->err.code;
        }
        images[i] = s->sample.image, maps[i] = s->map;
        for (int64_t k = 0; !net && k < (int64_t)images[i].w * images[i].h; k++) s->map[k] = always;
    }
    if (net) EHM_TRY(ehm_seg_maps(maps, net, &j->look, images, n, j->pool, scratch, err));
    for (int32_t i = 0; i < n; i++) {
        int64_t item = r->first + i;
        ehm_seg_scores_add(&e->scores, item, r->slots[i].truth, maps[i], (int64_t)images[i].w * images[i].h);
        if (!files) continue;
        ehm_arena_reset(scratch);
        EHM_TRY(ehm_seg_files_add(&j->files, item, j->n, j->ids[item], &images[i], r->slots[i].truth, maps[i],
                                  &e->scores, scratch, err));
    }
    return EHM_OK;
}

/* net NULL: class `always` everywhere. */
static ehm_code judge(job *j, entrant *e, const ehm_seg_net *net, int32_t always, bool files, ehm_err *err) {
    slot *slots = calloc(GROUP_MAX, sizeof *slots);
    ehm_arena scratch = {0};
    char done[32], all[32];
    reading r = {.j = j, .slots = slots};
    ehm_code rc = slots ? ehm_seg_scores_new(&e->scores, j->n, j->n_classes, j->a, err) : no_memory(err);
    for (int32_t n = 0; r.first < j->n && !rc; r.first += n) {
        ehm_arena_reset(&scratch);
        if (ehm_stop_asked())
            rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped after %lld of %lld test pictures", (long long)r.first,
                          (long long)j->n);
        if (!rc) rc = group_of(&n, j, net, r.first, &scratch, err);
        if (!rc) rc = one_group(j, e, net, &r, n, always, files, &scratch, err);
        ehm_progress(false, "%s: %s of %s test pictures", e->name, ehm_format_count(r.first + n, done),
                     ehm_format_count(j->n, all));
    }
    if (!rc) ehm_progress(true, "%s: %s test pictures", e->name, ehm_format_count(j->n, all));
    if (!rc && files) rc = ehm_seg_files_end(&j->files, j->ids, &e->scores, err);
    for (int32_t i = 0; i < GROUP_MAX && slots; i++) ehm_arena_free(&slots[i].arena);
    free(slots);
    ehm_arena_free(&scratch);
    return rc;
}

/* ---- networks ---- */

static ehm_code new_task(ehm_segment **out, const job *j, int32_t depth, ehm_err *err) {
    return ehm_segment_new(out,
                           &(ehm_segment_opt){.head = j->head,
                                              .n_classes = j->n_classes,
                                              .width = (int32_t)j->c->head_width,
                                              .depth = depth,
                                              .classes = j->classes,
                                              .class_of = j->train_class,
                                              .n_values = ehm_dataset_n_map_classes(j->train),
                                              .class_weight = j->class_weight,
                                              .slide = j->look.slide,
                                              .size_factor = j->size_factor},
                           err);
}

static ehm_loader_opt loader_opt(const job *j) {
    const ehm_config *c = j->c;
    return (ehm_loader_opt){.augment = true,
                            .flip = c->flip,
                            .shuffle = true,
                            .drop_last = true,
                            .repeat = true,
                            .seed = (uint64_t)c->seed,
                            .scale_min = j->size_factor * c->scale_min,
                            .scale_max = j->size_factor * c->scale_max,
                            .want_maps = true,
                            .max_bad = c->max_bad,
                            .n_workers = EHM_IS_AUTO(c->workers) ? ehm_cpu_count() : (int32_t)c->workers};
}

/* Measure k has a row. */
static bool shown(const job *j, const entrant *e, int32_t k) {
    return k < EHM_SEG_IOU || (e->by_class && j->tested.pixels[k - EHM_SEG_IOU] > 0);
}

static ehm_code add_rows(job *j, entrant *e, ehm_err *err) {
    int32_t width = EHM_SEG_IOU + j->n_classes;
    double *m = EHM_NEW_N(j->a, double, width), *of_picture = EHM_NEW_N(j->a, double, width);
    if (!m || !of_picture) return no_memory(err);
    ehm_seg_measures_of(m, &e->scores, -1);
    e->first_row = j->out->n_rows;
    for (int32_t k = 0; k < width; k++) {
        bool of_class = k >= EHM_SEG_IOU;
        if (!shown(j, e, k)) continue;
        ehm_eval_row *row = ehm_eval_add_row(j->out, j->a);
        float *items = EHM_NEW_N(j->a, float, j->n);
        const char *what = of_class ? ehm_arena_printf(j->a, "class %s", j->classes[k - EHM_SEG_IOU])
                                    : e->what;
        if (!row || !items || !what) return no_memory(err);
        for (int64_t i = 0; i < j->n; i++)
            ehm_seg_measures_of(of_picture, &e->scores, i), items[i] = (float)of_picture[k];
        *row = (ehm_eval_row){
            .model = e->name, .what = what, .i_metric = of_class ? IOU : k, .value = m[k], .items = items};
    }
    return EHM_OK;
}

static entrant *enter(job *j, const char *name, const char *what, bool by_class) {
    entrant *e = &j->entrants[j->n_entrants++];
    *e = (entrant){.name = name, .what = what, .partner = -1, .by_class = by_class};
    return e;
}

/* The same head, steps, rates, pictures and crops without an encoder. */
static ehm_code run_bare(job *j, ehm_tune *t, const ehm_model_source *source, int64_t steps, const bool *keep,
                         ehm_err *err) {
    const ehm_config *c = ehm_tune_config(t);
    const ehm_vit_shape *s = ehm_tune_shape(t);
    ehm_seg_bare *bare = NULL;
    ehm_seg_bare_opt o = {.train = j->train,
                          .loader = loader_opt(j),
                          .shape = s,
                          .mean = source->info.mean,
                          .std = source->info.std,
                          .keep = keep,
                          .dev = ehm_tune_device(t),
                          .steps = steps,
                          .accum_iter = c->accum_iter,
                          .lr = c->lr,
                          .min_lr = c->min_lr,
                          .weight_decay = c->weight_decay,
                          .clip_grad = c->clip_grad};
    int64_t per_step, per_epoch;
    o.loader.batch_size = (int32_t)c->batch_size, o.loader.h = s->img_h, o.loader.w = s->img_w;
    per_step = c->batch_size * c->accum_iter, per_epoch = ehm_dataset_count(j->train) / per_step;
    o.warmup_steps = fmin(c->warmup_epochs * (double)(per_epoch > 0 ? per_epoch : 1), 0.5 * (double)steps);
    EHM_TRY(new_task(&o.task, j, EHM_HEAD_LEVELS, err));
    ehm_segment *task = o.task; /* bare's from here on */
    EHM_TRY(ehm_seg_bare_train(&bare, &o, err));
    entrant *e = enter(j, "(pixels)", ehm_arena_printf(j->a, "%s on bare patches", j->c->head), false);
    ehm_seg_net net = {.in_h = s->img_h,
                       .in_w = s->img_w,
                       .channels = s->channels,
                       .n_classes = j->n_classes,
                       .batch = o.loader.batch_size,
                       .run = ehm_seg_bare_run,
                       .user = bare};
    ehm_segment_grid(task, &net.grid_h, &net.grid_w);
    ehm_code rc = e->what ? judge(j, e, &net, 0, false, err) : no_memory(err);
    if (!rc) rc = add_rows(j, e, err);
    ehm_seg_bare_close(bare);
    return rc;
}

static ehm_code run_constant(job *j, ehm_err *err) {
    int32_t best = 0;
    for (int32_t k = 1; k < j->n_classes; k++)
        if (j->seen.pixels[k] > j->seen.pixels[best]) best = k;
    entrant *e = enter(j, "(most frequent)", ehm_arena_printf(j->a, "always %s", j->classes[best]), false);
    if (!e->what) return no_memory(err);
    EHM_TRY(judge(j, e, NULL, best, false, err));
    return add_rows(j, e, err);
}

/* Trains and judges one model; own: --model, with files and, after it, the rows to compare with. */
static ehm_code run_model(job *j, const char *spec, bool own, ehm_err *err) {
    const ehm_config *c = j->c;
    ehm_config cfg = *c;
    ehm_model_source source = {0};
    ehm_seg_tuned t = {0};
    ehm_tune_result done = {0};
    const bool *keep = j->seen.n_pictures < ehm_dataset_count(j->train) ? j->seen.use : NULL;
    ehm_tune_setup setup = {.train = j->train,
                            .loader = loader_opt(j),
                            .img_h = j->img_h,
                            .img_w = j->img_w,
                            .frozen = j->frozen,
                            .keep = keep,
                            .groups = "segment,scale"};
    cfg.model = spec;
    /* Small batches of many labelled pixels: the rate does not follow the number of pictures, as it does in
     * classification. */
    if (c->origin[EHM_SETI_lr] == EHM_FROM_DEFAULT && c->origin[EHM_SETI_blr] == EHM_FROM_DEFAULT)
        ehm_config_put_f64(&cfg, EHM_SETI_lr, j->frozen ? 1e-3 : 5e-4, EHM_FROM_RECIPE);
    if (!own) {
        cfg.save = NULL;
        if (c->out && !(cfg.out = ehm_path_join(j->a, c->out, "against"))) return no_memory(err);
    }
    EHM_TRY(ehm_model_source_open(&source, spec, err));
    ehm_code rc = new_task(&t.task, j, source.info.shape.depth, err);
    setup.task = t.task ? ehm_segment_task(t.task) : NULL, setup.user = t.task;
    if (!rc) rc = ehm_tune_open(&t.tune, &setup, &cfg, err);
    if (!rc) rc = ehm_tune_run(t.tune, &done, err);
    if (!rc && own && c->save) rc = ehm_tune_save(t.tune, c->save, err);
    if (!rc) {
        entrant *e = enter(j, spec,
                           j->frozen ? ehm_arena_printf(j->a, "%s, encoder frozen", c->head)
                                     : ehm_arena_printf(j->a, "%s, fine-tuned", c->head),
                           true);
        ehm_seg_net net = ehm_seg_net_of(&t);
        rc = e->what ? judge(j, e, &net, 0, own, err) : no_memory(err);
        if (!rc) rc = add_rows(j, e, err);
    }
    if (!rc && own && c->reference) rc = run_bare(j, t.tune, &source, done.steps, keep, err);
    ehm_tune_close(t.tune);
    ehm_model_source_close(&source);
    return rc;
}

/* ---- what is said ---- */

static ehm_code intervals(job *j, ehm_err *err) {
    int32_t width = EHM_SEG_IOU + j->n_classes, m = j->n_entrants, length, n_runs;
    double *v = EHM_NEW_N(j->a, double, 4 * (int64_t)m * width), *lo = v, *hi = v + m * width,
           *dlo = v + 2 * m * width, *dhi = v + 3 * m * width;
    const ehm_seg_scores *scores[MODELS_MAX];
    int32_t partner[MODELS_MAX];
    const char **names = EHM_NEW_N(j->a, const char *, j->n);
    int32_t *run_of = EHM_NEW_N(j->a, int32_t, j->n);
    double *kept = EHM_NEW_N(j->a, double, (int64_t)m *width *EHM_BOOT_DRAWS);
    if (!v || !names || !run_of || !kept) return no_memory(err);
    for (int64_t i = 0; i < j->n; i++) names[i] = ehm_dataset_name(j->test, j->ids[i]);
    n_runs = ehm_seg_runs(run_of, names, j->n, EHM_IS_AUTO(j->c->frames) ? 0 : (int32_t)j->c->frames,
                          &length);
    for (int32_t i = 0; i < m; i++) scores[i] = &j->entrants[i].scores, partner[i] = j->entrants[i].partner;
    EHM_TRY(ehm_seg_bootstrap(lo, hi, dlo, dhi, kept, scores, partner, m, run_of, n_runs, 0, err));
    for (int32_t i = 0; i < m; i++) {
        const entrant *e = &j->entrants[i], *p = e->partner < 0 ? NULL : &j->entrants[e->partner];
        ehm_eval_row *row = &j->out->rows[e->first_row],
                     *other = p ? &j->out->rows[p->first_row] : NULL; /* both have the same rows */
        for (int32_t k = 0; k < width; k++) {
            if (!shown(j, e, k)) continue;
            row->lo = lo[i * width + k], row->hi = hi[i * width + k];
            row->draws = kept + ((int64_t)i * width + k) * EHM_BOOT_DRAWS;
            if (other)
                row->has_diff = true, row->diff = row->value - other++->value,
                row->diff_lo = dlo[i * width + k], row->diff_hi = dhi[i * width + k];
            row++;
        }
    }
    if (length > 1)
        ehm_eval_note(j->out, j->a, "intervals draw %d runs of up to %d pictures in a row%s", n_runs, length,
                      EHM_IS_AUTO(j->c->frames)
                          ? ": the names are those of video frames (--frames 1 draws single pictures)"
                          : "");
    return EHM_OK;
}

static ehm_code say_protocol(job *j, const ehm_vit_shape *s, ehm_err *err) {
    char how[160];
    if (j->look.slide)
        snprintf(how, sizeof how,
                 "windows of %dx%d with stride %d over the picture at its own size, logits averaged",
                 s->img_h, s->img_w,
                 j->look.stride_h ? j->look.stride_h
                 : s->img_h > 1   ? s->img_h / 2
                                  : 1);
    else
        snprintf(how, sizeof how, "the whole picture fitted into %dx%d", s->img_h, s->img_w);
    j->out->protocol = ehm_arena_printf(
        j->a,
        "protocol: %s head, encoder %s; pictures %g to %g times their size when tested, cut or placed at "
        "random, mirrored; cross-entropy of each labelled pixel%s; "
        "tested: %s, enlarged bilinearly to the label map's own resolution, ignored pixels left out; mean "
        "IoU and class accuracy over classes that are in the "
        "truth; intervals: bootstrap of summed counts over test pictures, 2,000 draws (training seeds are "
        "not covered)",
        j->c->head, j->frozen ? "frozen" : "fine-tuned", j->c->scale_min, j->c->scale_max,
        j->class_weight ? ", weighted by median frequency" : "", how);
    return j->out->protocol ? EHM_OK : no_memory(err);
}

/* ---- the task ---- */

/* The size that is trained, before anything is opened for training. */
static ehm_code shape_of(ehm_vit_shape *s, job *j, ehm_err *err) {
    ehm_model_source source;
    EHM_TRY(ehm_model_source_open(&source, j->c->model, err));
    *s = source.info.shape;
    ehm_model_source_close(&source);
    if (j->img_h) s->img_h = j->img_h, s->img_w = j->img_w;
    if (!EHM_IS_AUTO(j->c->channels) && j->c->channels != s->channels)
        return EHM_FAIL(err, EHM_E_MISMATCH, "--channels %lld, but %s takes %d", (long long)j->c->channels,
                        j->c->model, s->channels);
    j->channels = s->channels;
    return ehm_vit_shape_check(s, err);
}

static ehm_code run_segment(ehm_eval_out *out, const ehm_eval_in *in, ehm_arena *a, ehm_err *err) {
    const ehm_config *c = in->config;
    job j = {.c = c, .out = out, .a = a};
    ehm_vit_shape shape;
    ehm_code rc;
    out->task = "segment", out->metrics = metrics, out->n_metrics = N_METRICS, out->i_best = -1,
    out->wide = true, out->what_title = "head";
    out->protocol = "";
    EHM_TRY(check(&j, err));
    EHM_TRY(shape_of(&shape, &j, err));
    if ((rc = ehm_pool_open(&j.pool, EHM_IS_AUTO(c->threads) ? ehm_cpu_count() : (int32_t)c->threads, err)))
        return rc;
    if ((rc = open_sets(&j, err)) || (rc = look_at_sets(&j, err)) || (rc = choose_look(&j, &shape, err)) ||
        (rc = say_protocol(&j, &shape, err)))
        goto done;
    j.files = (ehm_seg_files){.predictions = c->predictions,
                              .overlays = c->overlays,
                              .n_overlays = c->overlay_count,
                              .classes = j.classes,
                              .n_classes = j.n_classes,
                              .test = j.test,
                              .wide = j.n_classes > 256};
    if ((rc = ehm_seg_files_check(&j.files, err)) || (c->save && (rc = ehm_dir_make_for(c->save, err))))
        goto done; /* before hours are spent */
    if ((rc = run_model(&j, c->model, true, err))) goto done;
    if (c->against) {
        int32_t other = j.n_entrants;
        if ((rc = run_model(&j, c->against, false, err))) goto done;
        j.entrants[0].partner = other;
    }
    if (c->reference && (rc = run_constant(&j, err))) goto done;
    if ((rc = intervals(&j, err))) goto done;
    out->i_best = j.entrants[0].first_row;
    if (j.split)
        ehm_eval_note(out, a, "no --test given: a share of %g of %s was held out and tested on", c->split,
                      ehm_dataset_spec(j.train));
done:
    if (j.test != j.train) ehm_dataset_close(j.test);
    ehm_dataset_close(j.train);
    ehm_pool_close(j.pool);
    return rc;
}

const ehm_eval_task ehm_eval_task_segment = {
    .name = "segment",
    .summary = "semantic segmentation: a linear or MLP head on patches, mean IoU at the label maps' own "
               "resolution, bare patches as a reference",
    .source = "head: Xie et al. 2021; median frequency: Eigen and Fergus 2015",
    .metrics = metrics,
    .n_metrics = N_METRICS,
    .groups = "size,scale,segment,segtest," EHM_TUNE_GROUPS,
    .own = (const ehm_own_setting[]){{EHM_SETI_blr, "none", "base learning rate, instead of lr; lr = blr * effective batch / 256", NULL},
                                     {EHM_SETI_lr, "auto", "learning rate itself; auto: 0.0005, with --frozen 0.001", NULL},
                                     EHM_TUNE_OWN,
                                     {.i = EHM_SETTINGS_N}},
    .run = run_segment,
};
