/* Boxes, and masks of objects, in the pixels of each picture: a table, and COCO's annotations. */
#include "base/file.h"
#include "data/patch_labels.h"
#include "eval/detection.h"
#include "eval/predict_int.h"
#include "eval/task_int.h"
#include "tune/task_detect.h"
#include <stdlib.h>
#include <string.h>

enum { MASK_CELLS = EHM_MASK_SIDE * EHM_MASK_SIDE };

typedef struct {
    ehm_predicting *p;
    ehm_tune *tune;
    ehm_detect *task;
    const ehm_detect_opt *opt;
    const char *json_path;
    ehm_file_out file;
    ehm_str lines, images, found; /* of the table; of the two lists of the JSON file */
    ehm_arena scratch;
} boxer;

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for boxes"); }

typedef struct { double x0, y0, x1, y1; } rect;

/* Where a box of the input is in the picture; false: nothing of it lies inside. */
static bool place_back(rect *out, rect *clipped, const ehm_found_box *b, const ehm_placement *at, int32_t w, int32_t h) {
    double x0 = (double)b->x0, y0 = (double)b->y0, x1 = (double)b->x1, y1 = (double)b->y1;
    ehm_place_back(at, &x0, &y0), ehm_place_back(at, &x1, &y1);
    *out = (rect){x0, y0, x1, y1};
    *clipped = (rect){fmax(x0, 0), fmax(y0, 0), fmin(x1, w), fmin(y1, h)};
    return clipped->x1 > clipped->x0 && clipped->y1 > clipped->y0;
}

static void add_mask(ehm_json_w *w, const uint8_t *px, int32_t width, int32_t height, bool *failed) {
    ehm_str rle = {0};
    ehm_coco_rle(&rle, &(ehm_coco_mask){height, width, px});
    ehm_json_key(w, "segmentation"), ehm_json_obj(w);
    ehm_json_key(w, "size"), ehm_json_arr(w), ehm_json_i64(w, height), ehm_json_i64(w, width), ehm_json_end(w);
    ehm_json_key(w, "counts"), ehm_json_str(w, ehm_str_c(&rle));
    ehm_json_end(w);
    *failed |= rle.failed;
    ehm_str_free(&rle);
}

static ehm_code add_box(boxer *x, int64_t image, const char *name, const ehm_found_box *b, const rect *whole, const rect *r, const float *mask, int32_t w, int32_t h,
                        ehm_err *err) {
    ehm_json_w j = {.out = &x->found};
    double area = (r->x1 - r->x0) * (r->y1 - r->y0);
    uint8_t *px = NULL;
    if (mask) {
        if (!(px = EHM_NEW_N(&x->scratch, uint8_t, (int64_t)w * h))) return no_memory(err);
        ehm_mask_paste(px, h, w, mask, whole->x0, whole->y0, whole->x1, whole->y1);
        area = 0;
        for (int64_t k = 0; k < (int64_t)w * h; k++) area += px[k];
    }
    ehm_eval_add_cell(&x->lines, name);
    ehm_eval_add_cell(&x->lines, x->opt->classes[b->class_id]);
    ehm_str_addf(&x->lines, "%.6f\t%.2f\t%.2f\t%.2f\t%.2f\n", (double)b->score, r->x0, r->y0, r->x1, r->y1);
    ehm_str_add(&x->found, x->p->out->n_boxes++ ? ",\n" : "\n");
    ehm_json_obj(&j);
    ehm_json_key(&j, "id"), ehm_json_i64(&j, x->p->out->n_boxes);
    ehm_json_key(&j, "image_id"), ehm_json_i64(&j, image);
    ehm_json_key(&j, "category_id"), ehm_json_i64(&j, b->class_id + 1);
    ehm_json_key(&j, "score"), ehm_json_f32(&j, b->score);
    ehm_json_key(&j, "bbox"), ehm_json_arr(&j);
    ehm_json_f32(&j, (float)r->x0), ehm_json_f32(&j, (float)r->y0), ehm_json_f32(&j, (float)(r->x1 - r->x0)), ehm_json_f32(&j, (float)(r->y1 - r->y0));
    ehm_json_end(&j);
    ehm_json_key(&j, "area"), ehm_json_f32(&j, (float)area);
    ehm_json_key(&j, "iscrowd"), ehm_json_i64(&j, 0);
    if (px) add_mask(&j, px, w, h, &x->found.failed);
    ehm_json_end(&j);
    return EHM_OK;
}

static ehm_code add_picture(boxer *x, const ehm_batch *b, int32_t i, ehm_err *err) {
    const ehm_vit_shape *s = ehm_tune_shape(x->tune);
    const char *name = ehm_dataset_name(x->p->ds, b->ids[i]);
    const float *masks = ehm_detect_masks(x->task, i);
    ehm_json_w j = {.out = &x->images};
    ehm_image_info info;
    ehm_placement at;
    int32_t n;
    ehm_arena_reset(&x->scratch);
    EHM_TRY(ehm_dataset_size_of(x->p->ds, b->ids[i], &info, &x->scratch, err));
    ehm_place_fit(&at, info.w, info.h, s->img_w, s->img_h, x->opt->fit);
    ehm_str_add(&x->images, x->images.len ? ",\n" : "\n");
    ehm_json_obj(&j);
    ehm_json_key(&j, "id"), ehm_json_i64(&j, b->ids[i]); /* as ehm data --export numbers them, so that truth and predictions meet */
    ehm_json_key(&j, "file_name"), ehm_json_str(&j, name);
    ehm_json_key(&j, "width"), ehm_json_i64(&j, info.w);
    ehm_json_key(&j, "height"), ehm_json_i64(&j, info.h);
    ehm_json_end(&j);
    const ehm_found_box *found = ehm_detect_boxes(x->task, i, &n);
    for (int32_t k = 0; k < n; k++) {
        rect whole, clipped;
        if (!place_back(&whole, &clipped, &found[k], &at, info.w, info.h)) continue;
        EHM_TRY(add_box(x, b->ids[i], name, &found[k], &whole, &clipped, masks ? masks + (int64_t)k * MASK_CELLS : NULL, info.w, info.h, err));
    }
    return EHM_OK;
}

static ehm_code on_batch(void *user, const ehm_batch *b, ehm_err *err) {
    boxer *x = user;
    EHM_TRY(ehm_tune_infer(x->tune, b->pixels, b->type, b->n, err));
    EHM_TRY(ehm_detect_read(x->task, ehm_tune_device(x->tune), b->n, err));
    for (int32_t i = 0; i < b->n; i++)
        if (b->ids[i] == b->slots[i]) EHM_TRY(add_picture(x, b, i, err));
    if (x->lines.failed || x->images.failed || x->found.failed) return no_memory(err);
    if (x->lines.len && fwrite(x->lines.s, 1, x->lines.len, x->file.f) != x->lines.len)
        return EHM_FAIL(err, EHM_E_IO, "%s: cannot write (is the disk full?)", x->file.path);
    ehm_str_clear(&x->lines);
    return EHM_OK;
}

static ehm_code write_json(boxer *x, ehm_err *err) {
    ehm_str *s = &x->lines;
    ehm_str_addf(s, "{\"images\": [%s\n],\n\"annotations\": [%s\n],\n\"categories\": [", ehm_str_c(&x->images), ehm_str_c(&x->found));
    for (int32_t k = 0; k < x->opt->n_classes; k++) {
        ehm_json_w j = {.out = s};
        ehm_str_add(s, k ? ",\n" : "\n");
        ehm_json_obj(&j);
        ehm_json_key(&j, "id"), ehm_json_i64(&j, k + 1);
        ehm_json_key(&j, "name"), ehm_json_str(&j, x->opt->classes[k]);
        ehm_json_end(&j);
    }
    ehm_str_add(s, "\n]}\n");
    return s->failed ? no_memory(err) : ehm_file_write(x->json_path, ehm_str_c(s), s->len, err);
}

static ehm_code predict(boxer *x, ehm_err *err) {
    ehm_predicting *p = x->p;
    ehm_config c = *p->c;
    ehm_detect *task;
    const char *table = ehm_ends_nocase(c.out, ".json") ? ehm_predict_beside(c.out, ".tsv", p->a) : c.out;
    x->json_path = ehm_ends_nocase(c.out, ".json") ? c.out : ehm_predict_beside(c.out, ".json", p->a);
    if (!table || !x->json_path) return no_memory(err);
    c.eval_batch_size = c.batch_size;
    EHM_TRY(ehm_detect_from_json(&task, p->meta, err));
    EHM_TRY(ehm_tuned_open(&x->tune, p->file, ehm_detect_task(task), task, &c, err));
    x->task = task, x->opt = ehm_detect_options(task);
    p->out->n_classes = x->opt->n_classes;
    EHM_TRY(ehm_predict_open_data(p, ehm_tune_shape(x->tune)->channels, err));
    EHM_TRY(ehm_dir_make_for(c.out, err));
    EHM_TRY(ehm_file_out_open(&x->file, table, err));
    ehm_str_add(&x->lines, "file\tclass\tscore\tx0\ty0\tx1\ty1\n");
    EHM_TRY(ehm_predict_each(p, ehm_tune_shape(x->tune), ehm_tune_batch(x->tune), x->opt->fit, on_batch, x, err));
    EHM_TRY(write_json(x, err));
    EHM_TRY(ehm_file_out_commit(&x->file, err));
    EHM_TRY(ehm_predict_wrote(p, table, err));
    return ehm_predict_wrote(p, x->json_path, err);
}

ehm_code ehm_predict_boxes(ehm_predicting *p, ehm_err *err) {
    boxer x = {.p = p};
    ehm_code rc = predict(&x, err);
    ehm_file_out_abort(&x.file);
    ehm_str_free(&x.lines), ehm_str_free(&x.images), ehm_str_free(&x.found);
    ehm_arena_free(&x.scratch);
    ehm_tune_close(x.tune);
    return rc;
}
