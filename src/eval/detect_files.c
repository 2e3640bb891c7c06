/* What is written of each test picture: a table, COCO's results, a sheet. Each file is whole or absent. */
#include "base/file.h"
#include "draw/boxes.h"
#include "draw/sheet.h"
#include "eval/detect_int.h"
#include "eval/task_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_MAX = 20, SIDE_PX = 256, MASK_CELLS = EHM_MASK_SIDE * EHM_MASK_SIDE };
static const float shown_from = 0.4f;

static bool as_json(const ehm_box_files *f) { return f->predictions && ehm_ends_nocase(f->predictions, ".json"); }

ehm_code ehm_box_files_open(ehm_box_files *f, ehm_err *err) {
    const char *path[2] = {f->predictions, f->sheet}, *flag[2] = {"predictions", "box-sheet"};
    for (int i = 0; i < 2; i++) {
        if (!path[i]) continue;
        if (ehm_dir_exists(path[i])) return EHM_FAIL(err, EHM_E_CONFIG, "--%s %s: is a folder, and a file is written", flag[i], path[i]);
        EHM_TRY(ehm_dir_make_for(path[i], err));
    }
    if (f->sheet && !(f->shown = EHM_NEW_N(&f->arena, struct ehm_box_shown, f->n_sheet)))
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a sheet of %lld pictures", (long long)f->n_sheet);
    ehm_str_add(&f->lines, as_json(f) ? "[" : "file\ttrue\tfound\tboxes\n");
    return EHM_OK;
}
void ehm_box_files_close(ehm_box_files *f) {
    ehm_str_free(&f->lines);
    ehm_arena_free(&f->arena);
}

static void add_result(ehm_box_files *f, int64_t id, const ehm_box_truth *truth, const ehm_placed_box *b, const uint8_t *mask) {
    ehm_json_w w = {.out = &f->lines};
    ehm_str_add(&f->lines, f->n_results++ ? ",\n" : "\n");
    ehm_json_obj(&w);
    ehm_json_key(&w, "image_id"), ehm_json_i64(&w, id);
    ehm_json_key(&w, "category_id"), ehm_json_i64(&w, f->category_of[b->class_id]);
    ehm_json_key(&w, "score"), ehm_json_f32(&w, b->score);
    if (mask) { /* pycocotools takes an entry with a box for one of boxes alone */
        ehm_str rle = {0};
        ehm_coco_rle(&rle, &(ehm_coco_mask){truth->h, truth->w, mask});
        f->lines.failed |= rle.failed;
        ehm_json_key(&w, "segmentation"), ehm_json_obj(&w);
        ehm_json_key(&w, "size"), ehm_json_arr(&w), ehm_json_i64(&w, truth->h), ehm_json_i64(&w, truth->w), ehm_json_end(&w);
        ehm_json_key(&w, "counts"), ehm_json_str(&w, ehm_str_c(&rle));
        ehm_json_end(&w);
        ehm_str_free(&rle);
    } else {
        ehm_json_key(&w, "bbox"), ehm_json_arr(&w);
        ehm_json_f32(&w, b->x0), ehm_json_f32(&w, b->y0), ehm_json_f32(&w, b->x1 - b->x0), ehm_json_f32(&w, b->y1 - b->y0);
        ehm_json_end(&w);
    }
    ehm_json_key(&w, "file_name"), ehm_json_str(&w, ehm_dataset_name(f->test, id));
    ehm_json_end(&w);
}

static void add_line(ehm_box_files *f, int64_t id, const ehm_box_truth *truth, const ehm_placed_box *boxes, int32_t n) {
    ehm_eval_add_cell(&f->lines, ehm_dataset_name(f->test, id));
    ehm_str_addf(&f->lines, "%d\t%d\t", truth->n_boxes, n);
    for (int32_t k = 0; k < n; k++) {
        const ehm_placed_box *b = &boxes[k];
        ehm_str_addf(&f->lines, "%s%.4f %.2f %.2f %.2f %.2f ", k ? "; " : "", (double)b->score, (double)b->x0, (double)b->y0, (double)b->x1, (double)b->y1);
        ehm_eval_add_cell(&f->lines, f->classes[b->class_id]);
        if (!f->lines.failed) f->lines.s[--f->lines.len] = 0; /* the tab after the name */
    }
    ehm_str_addc(&f->lines, '\n');
}

static ehm_code keep_shown(ehm_box_files *f, struct ehm_box_shown *s, int64_t id, const ehm_placed_box *boxes, int32_t n_boxes, const float *masks, ehm_err *err) {
    int32_t n = 0;
    while (n < n_boxes && n < SHOWN_MAX && (!n || boxes[n].score >= shown_from)) n++;
    s->boxes = EHM_NEW_N(&f->arena, ehm_placed_box, n + 1), s->masks = masks ? EHM_NEW_N(&f->arena, float, (int64_t)(n + 1) * MASK_CELLS) : NULL;
    if (!s->boxes || (masks && !s->masks)) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the sheet");
    if (n) memcpy(s->boxes, boxes, (size_t)n * sizeof *boxes);
    if (n && masks) memcpy(s->masks, masks, (size_t)n * MASK_CELLS * sizeof *masks);
    s->id = id, s->n = n, s->there = true;
    return EHM_OK;
}

ehm_code ehm_box_files_add(ehm_box_files *f, int64_t i, int64_t n, int64_t id, const ehm_box_truth *truth, const ehm_placed_box *boxes, int32_t n_boxes,
                           uint8_t *const *mask_px, const float *masks, ehm_err *err) {
    if (as_json(f))
        for (int32_t k = 0; k < n_boxes; k++) add_result(f, id, truth, &boxes[k], mask_px ? mask_px[k] : NULL);
    else if (f->predictions) add_line(f, id, truth, boxes, n_boxes);
    if (!f->sheet) return EHM_OK;
    for (int64_t s = 0; s < f->n_sheet; s++)
        if (!f->shown[s].there && i == (f->n_sheet < n ? s * n / f->n_sheet : s)) return keep_shown(f, &f->shown[s], id, boxes, n_boxes, masks, err);
    return EHM_OK;
}

/* ---- the sheet ---- */

static ehm_code draw_truth(const ehm_box_files *f, ehm_image *out, const ehm_image *picture, const ehm_box_truth *t, ehm_arena *a, ehm_err *err) {
    ehm_drawn_box *b = EHM_NEW_N(a, ehm_drawn_box, t->n_boxes + 1);
    int64_t n = (int64_t)t->w * t->h;
    if (!b) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the sheet");
    for (int32_t k = 0; k < t->n_boxes; k++) {
        const ehm_box *v = &t->boxes[k];
        uint8_t *mask = t->objects ? EHM_NEW_N(a, uint8_t, n) : NULL;
        for (int64_t p = 0; mask && p < n; p++) mask[p] = t->objects[p] == k + 1;
        b[k] = (ehm_drawn_box){(double)v->x0, (double)v->y0, (double)v->x1, (double)v->y1, ehm_colour_category(v->class_id),
                               v->crowd ? ehm_arena_printf(a, "(%s)", f->classes[v->class_id]) : f->classes[v->class_id], mask};
        if (!b[k].label) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the sheet");
    }
    return ehm_draw_boxes(out, picture, b, t->n_boxes, SIDE_PX, a, err);
}
static ehm_code draw_found(const ehm_box_files *f, ehm_image *out, const ehm_image *picture, const struct ehm_box_shown *s, ehm_arena *a, ehm_err *err) {
    ehm_drawn_box *b = EHM_NEW_N(a, ehm_drawn_box, s->n + 1);
    if (!b) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the sheet");
    for (int32_t k = 0; k < s->n; k++) { /* the best one on top */
        const ehm_placed_box *v = &s->boxes[s->n - 1 - k];
        uint8_t *mask = s->masks ? EHM_NEW_N(a, uint8_t, (int64_t)picture->w * picture->h) : NULL;
        if (mask)
            ehm_mask_paste(mask, picture->h, picture->w, s->masks + (int64_t)(s->n - 1 - k) * MASK_CELLS, (double)v->x0, (double)v->y0, (double)v->x1, (double)v->y1);
        b[k] = (ehm_drawn_box){(double)v->x0, (double)v->y0, (double)v->x1, (double)v->y1, ehm_colour_category(v->class_id),
                               ehm_arena_printf(a, "%s %.2f", f->classes[v->class_id], (double)v->score), mask};
    }
    return ehm_draw_boxes(out, picture, b, s->n, SIDE_PX, a, err);
}

static ehm_code draw_sheet(ehm_box_files *f, const ehm_box_scan *truth, ehm_err *err) {
    enum { PAIRS = 3 };
    static const char *const heads[2 * PAIRS] = {"true", "found", "true", "found", "true", "found"};
    ehm_arena *a = &f->arena, scratch = {0};
    int32_t n = 0;
    while (n < f->n_sheet && f->shown[n].there) n++;
    int32_t cols = n < PAIRS ? n : PAIRS, rows = (n + cols - 1) / cols;
    ehm_sheet_cell *cells = EHM_NEW_N(a, ehm_sheet_cell, (int64_t)rows * cols * 2);
    ehm_image *images = EHM_NEW_N(a, ehm_image, 2 * (int64_t)n), out;
    ehm_code rc = cells && images ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for a sheet of %d pictures", n);
    for (int32_t i = 0; i < n && !rc; i++) {
        const struct ehm_box_shown *s = &f->shown[i];
        ehm_sample sample;
        ehm_arena_reset(&scratch);
        rc = ehm_dataset_read(f->test, s->id, &sample, 0, NULL, &scratch, err);
        ehm_image drawn[2];
        if (!rc) rc = draw_truth(f, &drawn[0], &sample.image, &truth->of[s->id], &scratch, err);
        if (!rc) rc = draw_found(f, &drawn[1], &sample.image, s, &scratch, err);
        for (int32_t k = 0; k < 2 && !rc; k++) {
            ehm_image *to = &images[2 * i + k];
            if (!(rc = ehm_image_new(to, drawn[k].w, drawn[k].h, 3, EHM_U8, a, err))) memcpy(to->px, drawn[k].px, ehm_image_bytes(to));
            cells[2 * i + k] = (ehm_sheet_cell){.image = to, .caption = k ? NULL : ehm_dataset_name(f->test, s->id)};
        }
    }
    ehm_sheet sheet = {.title = f->masks ? "Masks of objects" : "Boxes", .footnote = "found: boxes with a score of 0.4 and more, and the best one of each picture",
                       .columns = heads, .cells = cells, .n_rows = rows, .n_cols = 2 * cols, .cell_px = SIDE_PX, .max_caption_lines = 1};
    if (!rc) rc = ehm_sheet_draw(&out, &sheet, a, err);
    if (!rc) rc = ehm_image_write(f->sheet, &out, err);
    ehm_arena_free(&scratch);
    return rc;
}

ehm_code ehm_box_files_end(ehm_box_files *f, const ehm_box_scan *truth, ehm_err *err) {
    if (f->predictions) {
        if (as_json(f)) ehm_str_add(&f->lines, "\n]\n");
        EHM_TRY(ehm_eval_write(&f->lines, f->predictions, err));
    }
    return f->sheet ? draw_sheet(f, truth, err) : EHM_OK;
}
