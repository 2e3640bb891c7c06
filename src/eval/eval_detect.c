/* Detection of boxes, and of masks of objects: a head on the encoder, trained on true boxes, judged by COCO's average precision in the pictures' own
 * pixels. */
#include "base/log.h"
#include "base/rng.h"
#include "eval/detect_int.h"
#include "eval/task_int.h"
#include "infer/source.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AP, AP50, AP75, BOX_AP, N_METRICS };
static const ehm_metric box_metrics[N_METRICS - 1] = {{"AP", "%", true}, {"AP50", "%", true}, {"AP75", "%", true}};
const ehm_metric ehm_mask_metrics[EHM_MASK_METRICS] = {{"mask AP", "%", true}, {"mask AP50", "%", true}, {"mask AP75", "%", true}, {"box AP", "%", true}};
enum { MODELS_MAX = 3, N_DRAWN = 3, MASK_CELLS = EHM_MASK_SIDE * EHM_MASK_SIDE };

typedef struct {
    const char *name, *what;
    ehm_coco *judge, *boxes;  /* judge: of masks where they are asked for, boxes then beside it; else boxes NULL */
    ehm_coco_scores scores, box_scores;
    double *per_class;        /* [n_classes] */
    double *draws, *box_draws; /* [EHM_BOOT_DRAWS, N_DRAWN + n_classes] */
    int32_t first_row, partner;
    bool by_class;
} entrant;

typedef struct {
    const ehm_config *c;
    ehm_eval_out *out;
    ehm_arena *a;
    ehm_pool *pool;
    bool masks, split;
    const char *fit;
    ehm_dataset *train, *test; /* the same where a part of it is held out */
    const char **classes; int32_t n_classes;
    int32_t *category_of;
    bool *learn, *held;
    ehm_box_scan seen, tested;
    int64_t *item_of, n;       /* of test pictures: item, -1 none; items */
    int32_t img_h, img_w, channels;
    ehm_box_files files;
    entrant entrants[MODELS_MAX]; int32_t n_entrants;
} job;

static const char *task_name(const job *j) { return j->masks ? "instances" : "detect"; }
static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the detection task"); }

/* ---- settings ---- */

static ehm_code check(job *j, ehm_err *err) {
    const ehm_config *c = j->c;
    if (!c->model) return EHM_FAIL(err, EHM_E_CONFIG, "--model is missing: a run folder, a safetensors file or untrained:PRESET");
    if (!c->train.n) {
        EHM_FAIL(err, EHM_E_CONFIG, "--train is missing: the pictures with boxes to learn from");
        return EHM_HINT(err, "for example --train scenes:1:2000 --test scenes:2:500"), EHM_E_CONFIG;
    }
    EHM_TRY(ehm_eval_parse_size(&j->img_h, &j->img_w, c, err));
    if (c->detect_width % 4) return EHM_FAIL(err, EHM_E_CONFIG, "--detect-width %lld: must be a multiple of 4", (long long)c->detect_width);
    if (!(c->scale_min <= c->scale_max)) return EHM_FAIL(err, EHM_E_CONFIG, "--scale-min %g is over --scale-max %g", c->scale_min, c->scale_max);
    if (!c->box_sheet && c->origin[EHM_SETI_box_sheet_count] != EHM_FROM_DEFAULT)
        return EHM_FAIL(err, EHM_E_CONFIG, "--box-sheet-count %lld needs --box-sheet F.png to draw", (long long)c->box_sheet_count);
    if (c->against && c->save && !c->out) ehm_log(EHM_LOG_NOTE, "--save writes the network of %s", c->model);
    j->fit = strcmp(c->fit, "auto") ? c->fit : "stretch";
    return EHM_OK;
}

/* ---- sets ---- */

static ehm_code needs_boxes(const ehm_dataset *ds, ehm_err *err) {
    if (ehm_dataset_n_box_classes(ds)) return EHM_OK;
    EHM_HINT(err, "boxes are Annotations/STEM.xml (Pascal VOC), boxes.json (COCO) or boxes/NAME.tsv beside the pictures");
    return EHM_FAIL(err, EHM_E_MISMATCH, "%s has no boxes, and detection learns from them", ehm_dataset_spec(ds));
}

static ehm_code open_sets(job *j, ehm_err *err) {
    const ehm_config *c = j->c;
    ehm_dataset_opt opt = {.channels = j->channels, .alpha = c->alpha, .max_pixels = c->max_pixels, .cache_dir = c->cache, .ignore_label = -1,
                           .limit = EHM_IS_AUTO(c->limit) ? 0 : c->limit};
    EHM_TRY(ehm_dataset_open(&j->train, &c->train, &opt, err));
    EHM_TRY(needs_boxes(j->train, err));
    j->n_classes = ehm_dataset_n_box_classes(j->train);
    j->classes = EHM_NEW_N(j->a, const char *, j->n_classes), j->category_of = EHM_NEW_N(j->a, int32_t, j->n_classes);
    if (!j->classes || !j->category_of) return no_memory(err);
    for (int32_t k = 0; k < j->n_classes; k++) j->classes[k] = ehm_dataset_box_class(j->train, k), j->category_of[k] = k + 1;
    j->split = !c->test.n;
    if (j->split) {
        int64_t n = ehm_dataset_count(j->train);
        ehm_split part = {EHM_PART_HELD_OUT, c->split, (uint64_t)c->seed};
        j->test = j->train;
        j->learn = EHM_NEW_N(j->a, bool, n), j->held = EHM_NEW_N(j->a, bool, n);
        if (!j->learn || !j->held) return no_memory(err);
        for (int64_t i = 0; i < n; i++) j->held[i] = ehm_in_part(&part, i), j->learn[i] = !j->held[i];
        return EHM_OK;
    }
    EHM_TRY(ehm_dataset_open(&j->test, &c->test, &opt, err));
    EHM_TRY(needs_boxes(j->test, err));
    /* Numbers of classes as ehm data --export writes them for the test set; classes that it lacks come after. */
    int32_t n_test = ehm_dataset_n_box_classes(j->test), n_more = 0;
    for (int32_t k = 0; k < j->n_classes; k++) {
        j->category_of[k] = 0;
        for (int32_t i = 0; i < n_test; i++)
            if (!strcmp(ehm_dataset_box_class(j->test, i), j->classes[k])) j->category_of[k] = i + 1;
        if (!j->category_of[k]) j->category_of[k] = n_test + ++n_more;
    }
    return ehm_dataset_adopt_box_classes(j->test, j->train, err);
}

static ehm_code none_counts(const ehm_box_scan *s, const ehm_dataset *ds, const char *part, ehm_err *err) {
    if (s->n_boxes) return EHM_OK;
    return EHM_FAIL(err, EHM_E_MISMATCH, "%s: none of %lld readable pictures%s has a box (%lld cannot be read)", ehm_dataset_spec(ds), (long long)s->n_pictures,
                    part, (long long)s->n_bad);
}

static void note_set(job *j, const ehm_box_scan *s, const ehm_dataset *ds, const char *which) {
    int64_t n_skipped = ehm_dataset_boxes_skipped(ds);
    ehm_str t = {0};
    ehm_str_addf(&t, "%s: %lld boxes in %lld pictures", which, (long long)s->n_boxes, (long long)s->n_pictures);
    if (s->n_empty) ehm_str_addf(&t, ", %lld of them without a box", (long long)s->n_empty);
    if (s->n_crowds)
        ehm_str_addf(&t, "; %lld more are crowds or difficult: %s", (long long)s->n_crowds, s == &j->seen ? "not learned from" : "what is found there is neither right nor wrong");
    if (s->n_bad) ehm_str_addf(&t, "; %lld pictures cannot be read", (long long)s->n_bad);
    if (n_skipped && !(j->split && s == &j->tested))
        ehm_str_addf(&t, "; %lld boxes without size or outside their picture are left out", (long long)n_skipped);
    ehm_eval_note(j->out, j->a, "%s", ehm_str_c(&t));
    ehm_str_free(&t);
}

static void note_classes(job *j) {
    ehm_str unseen = {0}, absent = {0};
    int64_t lost = 0;
    for (int32_t k = 0; k < j->n_classes; k++) {
        if (j->tested.boxes_of[k] && !j->seen.boxes_of[k]) {
            ehm_str_addf(&unseen, "%s%.60s", unseen.len ? ", " : "", j->classes[k]);
            lost += j->tested.boxes_of[k];
        }
        if (!j->tested.boxes_of[k]) ehm_str_addf(&absent, "%s%.60s", absent.len ? ", " : "", j->classes[k]);
    }
    if (unseen.len)
        ehm_eval_note(j->out, j->a, "%lld test boxes are of classes without a training box and cannot be found: %.600s", (long long)lost, ehm_str_c(&unseen));
    if (absent.len) ehm_eval_note(j->out, j->a, "no test picture shows %.600s: no part of the means", ehm_str_c(&absent));
    ehm_str_free(&unseen), ehm_str_free(&absent);
}

static ehm_code note_twins(job *j, ehm_err *err) {
    ehm_twins twins;
    EHM_TRY(ehm_prints_match(&twins, j->seen.prints, ehm_dataset_count(j->train), j->tested.prints, ehm_dataset_count(j->test), j->a, err));
    if (!twins.n_b) return EHM_OK;
    ehm_eval_note(j->out, j->a, "%lld of %lld test pictures have a near-duplicate in the training set%s", (long long)twins.n_b, (long long)j->n,
                  j->split ? "" : " (ehm data TRAIN TEST --check names them)");
    ehm_log(EHM_LOG_WARN, "%lld of %lld test pictures have a near-duplicate in the training set", (long long)twins.n_b, (long long)j->n);
    return EHM_OK;
}

static ehm_code look_at_sets(job *j, ehm_err *err) {
    EHM_TRY(ehm_box_scan_set(&j->seen, j->train, j->learn, j->n_classes, j->masks, j->pool, j->a, err));
    EHM_TRY(ehm_box_scan_set(&j->tested, j->test, j->held, j->n_classes, j->masks, j->pool, j->a, err));
    EHM_TRY(none_counts(&j->seen, j->train, j->split ? " to learn from" : "", err));
    EHM_TRY(none_counts(&j->tested, j->test, j->split ? " that was held out" : "", err));
    int64_t count = ehm_dataset_count(j->test);
    j->item_of = EHM_NEW_N(j->a, int64_t, count);
    if (!j->item_of) return no_memory(err);
    for (int64_t i = 0; i < count; i++) j->item_of[i] = j->tested.of[i].use ? j->n++ : -1;
    j->out->n_items = j->n, j->out->n_train = j->seen.n_pictures;
    note_set(j, &j->seen, j->train, "to learn from"), note_set(j, &j->tested, j->test, "tested");
    note_classes(j);
    return note_twins(j, err);
}

/* ---- judging ---- */

static ehm_coco_mask mask_of(const ehm_box_truth *t, const uint8_t *px) { return (ehm_coco_mask){t->h, t->w, px}; }

static ehm_code enter_truth(const job *j, entrant *e, ehm_err *err) {
    ehm_arena scratch = {0};
    ehm_code rc = EHM_OK;
    for (int64_t i = 0; i < ehm_dataset_count(j->test) && !rc; i++) {
        const ehm_box_truth *t = &j->tested.of[i];
        int64_t n_px = (int64_t)t->w * t->h;
        if (!t->use) continue;
        ehm_arena_reset(&scratch);
        uint8_t *px = t->objects ? EHM_NEW_N(&scratch, uint8_t, n_px) : NULL;
        if (t->objects && !px) rc = no_memory(err);
        for (int32_t k = 0; k < t->n_boxes && !rc; k++) {
            const ehm_box *b = &t->boxes[k];
            ehm_coco_box box = {.x = (double)b->x0, .y = (double)b->y0, .w = (double)b->x1 - (double)b->x0, .h = (double)b->y1 - (double)b->y0, .class_id = b->class_id,
                                .crowd = b->crowd != 0, .area = (double)b->area};
            ehm_coco_mask m = mask_of(t, px);
            for (int64_t p = 0; px && p < n_px; p++) px[p] = t->objects[p] == k + 1;
            rc = ehm_coco_truth(e->judge, j->item_of[i], &box, j->masks ? &m : NULL, err);
            if (!rc && e->boxes) rc = ehm_coco_truth(e->boxes, j->item_of[i], &box, NULL, err);
        }
    }
    ehm_arena_free(&scratch);
    return rc;
}

static ehm_code enter(entrant **out, job *j, const char *name, const char *what, bool by_class, ehm_err *err) {
    entrant *e = &j->entrants[j->n_entrants++];
    *e = (entrant){.name = name, .what = what, .partner = -1, .by_class = by_class, .per_class = EHM_NEW_N(j->a, double, j->n_classes)};
    *out = e;
    if (!e->per_class || !what) return no_memory(err);
    EHM_TRY(ehm_coco_open(&e->judge, j->n_classes, j->n, j->masks, err));
    if (j->masks) EHM_TRY(ehm_coco_open(&e->boxes, j->n_classes, j->n, false, err));
    return enter_truth(j, e, err);
}

/* The boxes of one picture, in its own pixels. px: a mask of the picture for each, or NULL. */
static ehm_code enter_found(const job *j, entrant *e, int64_t id, const ehm_placed_box *b, int32_t n, uint8_t *const *px, ehm_err *err) {
    for (int32_t k = 0; k < n; k++) {
        ehm_coco_box box = {.x = (double)b[k].x0, .y = (double)b[k].y0, .w = (double)b[k].x1 - (double)b[k].x0, .h = (double)b[k].y1 - (double)b[k].y0,
                            .score = (double)b[k].score, .class_id = b[k].class_id};
        ehm_coco_mask m = px ? mask_of(&j->tested.of[id], px[k]) : (ehm_coco_mask){0};
        EHM_TRY(ehm_coco_found(e->judge, j->item_of[id], &box, px ? &m : NULL, err));
        if (e->boxes) EHM_TRY(ehm_coco_found(e->boxes, j->item_of[id], &box, NULL, err));
    }
    return EHM_OK;
}

/* Boxes of the input where the picture has them; those that leave nothing inside it go. kept: the numbers of the others. */
static int32_t place_back(ehm_placed_box *out, int32_t *kept, const ehm_found_box *b, int32_t n, const ehm_placement *p, int32_t w, int32_t h) {
    int32_t m = 0;
    for (int32_t k = 0; k < n; k++) {
        double x0 = (double)b[k].x0, y0 = (double)b[k].y0, x1 = (double)b[k].x1, y1 = (double)b[k].y1;
        ehm_place_back(p, &x0, &y0), ehm_place_back(p, &x1, &y1);
        out[m] = (ehm_placed_box){(float)fmax(fmin(x0, x1), 0), (float)fmax(y0, 0), (float)fmin(fmax(x0, x1), w), (float)fmin(y1, h), b[k].score, b[k].class_id};
        if (out[m].x1 > out[m].x0 && out[m].y1 > out[m].y0) kept[m++] = k;
    }
    return m;
}

typedef struct {
    ehm_arena arena;
    ehm_placed_box *boxes; /* [max_boxes] */
    int32_t *kept;
} room;

static ehm_code judge_picture(job *j, entrant *e, const ehm_detect *task, const ehm_batch *b, int32_t i, bool files, room *r, ehm_err *err) {
    int64_t id = b->ids[i];
    const ehm_box_truth *t = &j->tested.of[id];
    const float *masks = ehm_detect_masks(task, i);
    int32_t n;
    ehm_arena_reset(&r->arena);
    const ehm_found_box *found = ehm_detect_boxes(task, i, &n);
    n = place_back(r->boxes, r->kept, found, n, &b->places[i], t->w, t->h);
    uint8_t **px = NULL;
    float *kept_masks = NULL;
    if (masks) {
        px = EHM_NEW_N(&r->arena, uint8_t *, n + 1), kept_masks = EHM_NEW_N(&r->arena, float, (int64_t)(n + 1) * MASK_CELLS);
        if (!px || !kept_masks) return no_memory(err);
        for (int32_t k = 0; k < n; k++) {
            double x0 = (double)found[r->kept[k]].x0, y0 = (double)found[r->kept[k]].y0, x1 = (double)found[r->kept[k]].x1, y1 = (double)found[r->kept[k]].y1;
            ehm_place_back(&b->places[i], &x0, &y0), ehm_place_back(&b->places[i], &x1, &y1);
            if (!(px[k] = EHM_NEW_N(&r->arena, uint8_t, (int64_t)t->w * t->h))) return no_memory(err);
            ehm_mask_paste(px[k], t->h, t->w, masks + (int64_t)r->kept[k] * MASK_CELLS, x0, y0, x1, y1);
            memcpy(kept_masks + (int64_t)k * MASK_CELLS, masks + (int64_t)r->kept[k] * MASK_CELLS, MASK_CELLS * sizeof(float));
        }
    }
    EHM_TRY(enter_found(j, e, id, r->boxes, n, px, err));
    return files ? ehm_box_files_add(&j->files, j->item_of[id], j->n, id, t, r->boxes, n, px, kept_masks, err) : EHM_OK;
}

static int32_t workers_of(const ehm_config *c) { return EHM_IS_AUTO(c->workers) ? ehm_cpu_count() : (int32_t)c->workers; }

static ehm_code judge_network(job *j, entrant *e, ehm_tune *tune, ehm_detect *task, bool files, ehm_err *err) {
    const ehm_vit_shape *s = ehm_tune_shape(tune);
    ehm_loader_opt o = {.batch_size = ehm_tune_batch(tune), .h = s->img_h, .w = s->img_w, .fit = j->fit, .seed = (uint64_t)j->c->seed, .want_boxes = true,
                        .n_workers = workers_of(j->c), .max_bad = 1};
    ehm_loader *l = NULL;
    room r = {.boxes = calloc((size_t)ehm_detect_options(task)->max_boxes, sizeof *r.boxes), .kept = calloc((size_t)ehm_detect_options(task)->max_boxes, sizeof *r.kept)};
    ehm_batch b;
    int64_t n_done = 0;
    char done[32], all[32];
    bool *seen = calloc((size_t)j->n, sizeof *seen);
    ehm_code rc = r.boxes && r.kept && seen ? ehm_loader_open(&l, j->test, &o, 0, err) : no_memory(err);
    while (!rc) {
        rc = ehm_loader_next(l, &b, err);
        if (rc == EHM_E_STOPPED && !ehm_stop_asked()) {
            rc = EHM_OK;
            break;
        }
        if ((!rc || rc == EHM_E_STOPPED) && ehm_stop_asked())
            rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped after %lld of %lld test pictures", (long long)n_done, (long long)j->n);
        if (!rc) rc = ehm_tune_infer(tune, b.pixels, b.type, b.n, err);
        if (!rc) rc = ehm_detect_read(task, ehm_tune_device(tune), b.n, err);
        for (int32_t i = 0; i < b.n && !rc; i++) {
            int64_t item = j->item_of[b.ids[i]];
            if (b.ids[i] != b.slots[i] || item < 0 || seen[item]) continue; /* a stand-in for a bad file, or not of the tested part */
            rc = judge_picture(j, e, task, &b, i, files, &r, err);
            seen[item] = true, n_done++;
        }
        if (!rc) ehm_progress(false, "%s: %s of %s test pictures", e->name, ehm_format_count(n_done, done), ehm_format_count(j->n, all));
    }
    if (!rc && n_done < j->n)
        rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: %lld of %lld test pictures could not be read a second time", ehm_dataset_spec(j->test), (long long)(j->n - n_done), (long long)j->n);
    if (!rc) ehm_progress(true, "%s: %s test pictures", e->name, ehm_format_count(j->n, all));
    ehm_loader_close(l);
    ehm_arena_free(&r.arena);
    free(r.boxes), free(r.kept), free(seen);
    return rc;
}

/* The mean box of each class in every picture, scored by the share of training pictures that show the class. */
static ehm_code judge_constant(job *j, entrant *e, ehm_err *err) {
    ehm_arena scratch = {0};
    ehm_placed_box *b = EHM_NEW_N(j->a, ehm_placed_box, j->n_classes);
    uint8_t **px = EHM_NEW_N(j->a, uint8_t *, j->n_classes);
    ehm_code rc = b && px ? EHM_OK : no_memory(err);
    for (int64_t id = 0; id < ehm_dataset_count(j->test) && !rc; id++) {
        const ehm_box_truth *t = &j->tested.of[id];
        int32_t n = 0;
        if (!t->use) continue;
        ehm_arena_reset(&scratch);
        for (int32_t k = 0; k < j->n_classes && !rc; k++) {
            const double *m = j->seen.mean[k];
            if (!j->seen.boxes_of[k]) continue;
            b[n] = (ehm_placed_box){(float)(m[0] * t->w), (float)(m[1] * t->h), (float)(m[2] * t->w), (float)(m[3] * t->h),
                                    (float)((double)j->seen.pictures_of[k] / (double)j->seen.n_pictures), k};
            if (j->masks && !(px[n] = EHM_NEW_N(&scratch, uint8_t, (int64_t)t->w * t->h))) rc = no_memory(err);
            for (int64_t p = 0; j->masks && !rc && p < (int64_t)t->w * t->h; p++) {
                float x = (float)(p % t->w) + 0.5f, y = (float)(p / t->w) + 0.5f;
                px[n][p] = x >= b[n].x0 && x < b[n].x1 && y >= b[n].y0 && y < b[n].y1;
            }
            n++;
        }
        if (!rc) rc = enter_found(j, e, id, b, n, j->masks ? px : NULL, err);
    }
    ehm_arena_free(&scratch);
    return rc;
}

/* ---- scores and intervals ---- */

static ehm_code add_row(job *j, const char *model, const char *what, int32_t metric, double value, ehm_err *err) {
    ehm_eval_row *row = ehm_eval_add_row(j->out, j->a);
    if (!row || !what) return no_memory(err);
    *row = (ehm_eval_row){.model = model, .what = what, .i_metric = metric, .value = value};
    return EHM_OK;
}

static ehm_code score(job *j, entrant *e, ehm_err *err) {
    int64_t width = N_DRAWN + j->n_classes;
    e->draws = EHM_NEW_N(j->a, double, EHM_BOOT_DRAWS * width), e->box_draws = j->masks ? EHM_NEW_N(j->a, double, EHM_BOOT_DRAWS * width) : NULL;
    if (!e->draws || (j->masks && !e->box_draws)) return no_memory(err);
    ehm_progress(false, "%s: intervals", e->name);
    EHM_TRY(ehm_coco_score(&e->scores, e->per_class, e->judge, NULL, err));
    EHM_TRY(ehm_coco_bootstrap(e->draws, e->judge, 0, j->pool, err));
    if (j->masks) {
        EHM_TRY(ehm_coco_score(&e->box_scores, NULL, e->boxes, NULL, err));
        EHM_TRY(ehm_coco_bootstrap(e->box_draws, e->boxes, 0, j->pool, err));
    }
    e->first_row = j->out->n_rows;
    EHM_TRY(add_row(j, e->name, e->what, AP, e->scores.ap, err));
    EHM_TRY(add_row(j, e->name, e->what, AP50, e->scores.ap50, err));
    EHM_TRY(add_row(j, e->name, e->what, AP75, e->scores.ap75, err));
    if (j->masks) EHM_TRY(add_row(j, e->name, e->what, BOX_AP, e->box_scores.ap, err));
    for (int32_t k = 0; k < j->n_classes && e->by_class; k++)
        if (e->per_class[k] >= 0) EHM_TRY(add_row(j, e->name, ehm_arena_printf(j->a, "class %s", j->classes[k]), AP, e->per_class[k], err));
    return EHM_OK;
}

static int by_value(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}
/* Linear interpolation between draws, as numpy.percentile. */
static double percentile(const double *sorted, int32_t n, double q) {
    double at = q * (n - 1);
    int32_t i = (int32_t)at;
    return i + 1 < n ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

/* Of column k of the draws, or of the difference of two entrants' columns; draws without truth say nothing. */
static void interval(double *lo, double *hi, double *v, const double *x, const double *minus, int64_t width, int64_t k) {
    int32_t n = 0;
    for (int64_t d = 0; d < EHM_BOOT_DRAWS; d++)
        if (x[d * width + k] >= 0 && (!minus || minus[d * width + k] >= 0)) v[n++] = x[d * width + k] - (minus ? minus[d * width + k] : 0);
    *lo = *hi = 0;
    if (!n) return;
    qsort(v, (size_t)n, sizeof *v, by_value);
    *lo = percentile(v, n, 0.025), *hi = percentile(v, n, 0.975);
}

static ehm_code intervals(job *j, ehm_err *err) {
    int64_t width = N_DRAWN + j->n_classes;
    double *v = EHM_NEW_N(j->a, double, EHM_BOOT_DRAWS);
    if (!v) return no_memory(err);
    for (int32_t i = 0; i < j->n_entrants; i++) {
        const entrant *e = &j->entrants[i], *p = e->partner < 0 ? NULL : &j->entrants[e->partner];
        int32_t at = e->first_row;
        for (int64_t k = 0; k <= width; k++) { /* in the order of the rows: boxes beside masks come fourth */
            int64_t col = k < N_DRAWN ? k : k == N_DRAWN ? -1 : k - 1;
            if ((col < 0 && !j->masks) || (col >= N_DRAWN && (!e->by_class || e->per_class[col - N_DRAWN] < 0))) continue;
            const double *x = col < 0 ? e->box_draws : e->draws, *minus = !p ? NULL : col < 0 ? p->box_draws : p->draws;
            ehm_eval_row *row = &j->out->rows[at++];
            double *kept = EHM_NEW_N(j->a, double, EHM_BOOT_DRAWS);
            if (!kept) return no_memory(err);
            for (int64_t d = 0; d < EHM_BOOT_DRAWS; d++) kept[d] = x[d * width + (col < 0 ? 0 : col)] >= 0 ? x[d * width + (col < 0 ? 0 : col)] : (double)NAN;
            row->draws = kept;
            interval(&row->lo, &row->hi, v, x, NULL, width, col < 0 ? 0 : col);
            if (!p) continue;
            double other = col < 0 ? p->box_scores.ap : col == 0 ? p->scores.ap : col == 1 ? p->scores.ap50 : col == 2 ? p->scores.ap75 : p->per_class[col - N_DRAWN];
            row->has_diff = true, row->diff = row->value - other;
            interval(&row->diff_lo, &row->diff_hi, v, x, minus, width, col < 0 ? 0 : col);
        }
    }
    return EHM_OK;
}

static void note_scores(job *j, const entrant *e) {
    const ehm_coco_scores *s = &e->scores;
    const double v[] = {s->ap_small, s->ap_medium, s->ap_large, s->ar1, s->ar10, s->ar100};
    static const char *const name[] = {"AP of small (up to 32x32 px)", "medium (up to 96x96)", "large objects", "AR with 1", "10", "100 boxes of a class"};
    ehm_str t = {0};
    for (int i = 0; i < 6; i++) {
        ehm_str_addf(&t, "%s%s ", i == 3 ? "; " : i ? ", " : "", name[i]);
        if (v[i] < 0) ehm_str_add(&t, "none there");
        else ehm_str_addf(&t, "%.2f", 100 * v[i]);
    }
    ehm_eval_note(j->out, j->a, "%s: %s", e->name, ehm_str_c(&t));
    ehm_str_free(&t);
}

/* ---- networks ---- */

static ehm_code new_task(ehm_detect **out, const job *j, ehm_err *err) {
    const ehm_config *c = j->c;
    return ehm_detect_new(out,
                          &(ehm_detect_opt){.n_classes = j->n_classes,
                                            .classes = j->classes,
                                            .masks = j->masks,
                                            .width = (int32_t)c->detect_width,
                                            .nms = (float)c->nms,
                                            .score_min = (float)c->score_min,
                                            .max_boxes = (int32_t)c->max_boxes,
                                            .fit = j->fit},
                          err);
}

/* Trains and judges one model; own: --model, with files. */
static ehm_code run_model(job *j, const char *spec, bool own, ehm_err *err) {
    const ehm_config *c = j->c;
    ehm_config cfg = *c;
    ehm_tune *tune = NULL;
    ehm_detect *task = NULL;
    entrant *e = NULL;
    ehm_tune_result done = {0};
    int64_t n_boxes = 0, n_without = 0;
    ehm_tune_setup setup = {.train = j->train, .img_h = j->img_h, .img_w = j->img_w, .frozen = c->frozen, .keep = j->learn, .groups = "detect,scale,fit",
                            .loader = {.augment = true, .flip = c->flip, .shuffle = true, .drop_last = true, .repeat = true, .seed = (uint64_t)c->seed,
                                       .scale_min = c->scale_min, .scale_max = c->scale_max, .want_boxes = true, .want_objects = j->masks,
                                       .max_bad = c->max_bad, .n_workers = workers_of(c)}};
    cfg.model = spec;
    if (!own) {
        cfg.save = NULL;
        if (c->out && !(cfg.out = ehm_arena_printf(j->a, "%s.against", c->out))) return no_memory(err);
    }
    ehm_code rc = new_task(&task, j, err);
    setup.task = task ? ehm_detect_task(task) : NULL, setup.user = task;
    if (!rc) rc = ehm_tune_open(&tune, &setup, &cfg, err);
    if (!rc) rc = ehm_tune_run(tune, &done, err);
    if (!rc && own && c->save) rc = ehm_tune_save(tune, c->save, err);
    if (!rc) rc = enter(&e, j, spec, c->frozen ? "encoder frozen" : "fine-tuned", true, err);
    if (!rc) rc = judge_network(j, e, tune, task, own, err);
    if (!rc && own) rc = ehm_box_files_end(&j->files, &j->tested, err);
    if (!rc) rc = score(j, e, err);
    if (!rc) {
        note_scores(j, e);
        ehm_detect_counts(task, &n_boxes, &n_without);
        if (own && n_without)
            ehm_eval_note(j->out, j->a, "%.1f %% of the boxes shown in training had no point of the grid to answer for them (cells of %g px: --img-size with more pixels helps)",
                          100 * (double)n_without / (double)n_boxes, ehm_tune_shape(tune)->patch_size / 2.0);
    }
    ehm_tune_close(tune);
    return rc;
}

static ehm_code say_protocol(job *j, const ehm_vit_shape *s, ehm_err *err) {
    j->out->protocol = ehm_arena_printf(j->a,
        "protocol: FCOS head (Tian et al. 2019) on the last block, one scale, cells of %g px%s; encoder %s; pictures %g to %g times their size when tested, "
        "cut or placed at random, mirrored; tested: the whole picture in %dx%d (%s), score = sqrt(class * centreness), suppression of each class at IoU %g, at most "
        "%lld boxes, in the picture's own pixels; %s as COCO computes it (pycocotools), IoU 0.5 to 0.95; intervals: bootstrap over test pictures, 2,000 draws "
        "(training seeds are not covered)",
        s->patch_size / 2.0, j->masks ? ", and a mask branch (He et al. 2017) trained on true boxes" : "", j->c->frozen ? "frozen" : "fine-tuned", j->c->scale_min,
        j->c->scale_max, s->img_w, s->img_h, j->fit, j->c->nms, (long long)j->c->max_boxes, j->masks ? "AP of masks" : "AP");
    return j->out->protocol ? EHM_OK : no_memory(err);
}

/* ---- the tasks ---- */

/* The size that is trained, before anything is opened for training. */
static ehm_code shape_of(ehm_vit_shape *s, job *j, ehm_err *err) {
    ehm_model_source source;
    EHM_TRY(ehm_model_source_open(&source, j->c->model, err));
    *s = source.info.shape;
    ehm_model_source_close(&source);
    if (j->img_h) s->img_h = j->img_h, s->img_w = j->img_w;
    if (!EHM_IS_AUTO(j->c->channels) && j->c->channels != s->channels)
        return EHM_FAIL(err, EHM_E_MISMATCH, "--channels %lld, but %s takes %d", (long long)j->c->channels, j->c->model, s->channels);
    j->channels = s->channels;
    return ehm_vit_shape_check(s, err);
}

static ehm_code run_all(job *j, ehm_err *err) {
    const ehm_config *c = j->c;
    entrant *e;
    EHM_TRY(run_model(j, c->model, true, err));
    if (c->against) {
        int32_t other = j->n_entrants;
        EHM_TRY(run_model(j, c->against, false, err));
        j->entrants[0].partner = other;
    }
    EHM_TRY(enter(&e, j, "(mean boxes)", "of each class", false, err));
    EHM_TRY(judge_constant(j, e, err));
    EHM_TRY(score(j, e, err));
    EHM_TRY(intervals(j, err));
    ehm_progress(true, "%s: scored", task_name(j));
    j->out->i_best = j->entrants[0].first_row;
    return EHM_OK;
}

ehm_code ehm_detect_run(ehm_eval_out *out, const ehm_eval_in *in, bool masks, ehm_arena *a, ehm_err *err) {
    const ehm_config *c = in->config;
    job j = {.c = c, .out = out, .a = a, .masks = masks};
    ehm_vit_shape shape;
    ehm_code rc;
    out->task = task_name(&j), out->metrics = masks ? ehm_mask_metrics : box_metrics, out->n_metrics = N_METRICS - !masks, out->i_best = -1, out->wide = true;
    out->what_title = "what", out->protocol = "";
    EHM_TRY(check(&j, err));
    EHM_TRY(shape_of(&shape, &j, err));
    if ((rc = ehm_pool_open(&j.pool, EHM_IS_AUTO(c->threads) ? ehm_cpu_count() : (int32_t)c->threads, err))) return rc;
    if ((rc = open_sets(&j, err)) || (rc = look_at_sets(&j, err)) || (rc = say_protocol(&j, &shape, err))) goto done;
    j.files = (ehm_box_files){.predictions = c->predictions, .sheet = c->box_sheet, .n_sheet = c->box_sheet_count < j.n ? c->box_sheet_count : j.n,
                              .classes = j.classes, .n_classes = j.n_classes, .test = j.test, .category_of = j.category_of, .masks = masks};
    if ((rc = ehm_box_files_open(&j.files, err)) || (rc = run_all(&j, err))) goto done;
    if (j.split) ehm_eval_note(out, a, "no --test given: a share of %g of %s was held out and tested on", c->split, ehm_dataset_spec(j.train));
    if (!strcmp(j.fit, "crop")) ehm_eval_note(out, a, "--fit crop: boxes outside the centre crop are not looked for and count as missed");
done:
    for (int32_t i = 0; i < j.n_entrants; i++) ehm_coco_close(j.entrants[i].judge), ehm_coco_close(j.entrants[i].boxes);
    ehm_box_files_close(&j.files);
    if (j.test != j.train) ehm_dataset_close(j.test);
    ehm_dataset_close(j.train);
    ehm_pool_close(j.pool);
    return rc;
}

static ehm_code run_detect(ehm_eval_out *out, const ehm_eval_in *in, ehm_arena *a, ehm_err *err) { return ehm_detect_run(out, in, false, a, err); }

const ehm_eval_task ehm_eval_task_detect = {
    .name = "detect",
    .summary = "boxes of objects: an FCOS head on the encoder, COCO's average precision, the mean box of each class as a reference",
    .source = "head: Tian et al. 2019; scores: COCO (pycocotools)",
    .metrics = box_metrics,
    .n_metrics = N_METRICS - 1,
    .groups = EHM_DETECT_GROUPS,
    .own = (const ehm_own_setting[]){EHM_TUNE_OWN, {.i = EHM_SETTINGS_N}},
    .run = run_detect,
};
