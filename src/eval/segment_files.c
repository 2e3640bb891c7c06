/* What is written of each test picture: label maps, a table, drawings. Each file is whole or absent. */
#include "base/file.h"
#include "draw/overlay.h"
#include "eval/segment_int.h"
#include "eval/task_int.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static bool is_table(const char *path) { return ehm_ends_nocase(path, ".tsv"); }

ehm_code ehm_seg_files_check(const ehm_seg_files *f, ehm_err *err) {
    const char *dirs[2] = {f->overlays, f->predictions && !is_table(f->predictions) ? f->predictions : NULL};
    const char *flag[2] = {"overlays", "predictions"};
    for (int i = 0; i < 2; i++) {
        if (!dirs[i]) continue;
        if (ehm_file_exists(dirs[i]) && !ehm_dir_exists(dirs[i])) {
            if (i) EHM_HINT(err, "a table ends in .tsv; anything else is a folder for label maps");
            return EHM_FAIL(err, EHM_E_CONFIG, "--%s %s: is a file, and a folder is needed", flag[i],
                            dirs[i]);
        }
        EHM_TRY(ehm_dir_make(dirs[i], err));
    }
    return EHM_OK;
}

/* The picture's name in dir with another ending; the set's folders are kept, parents and roots become part of
 * the name. */
static char *path_of(const char *dir, const char *name, const char *ending, ehm_arena *a) {
    const char *base = strrchr(name, '/'), *dot = strrchr(base ? base : name, '.');
    size_t n = dot && dot > (base ? base + 1 : name) ? (size_t)(dot - name) : strlen(name);
    char *stem = ehm_arena_strndup(a, name, n);
    if (!stem) return NULL;
    for (char *p = stem; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == ':' || *p == '\\') *p = '_';
        if (*p == '.' && (p == stem || p[-1] == '/')) *p = '_'; /* no "..", nothing hidden */
        if (*p == '/' && p == stem) *p = '_';
    }
    return ehm_arena_printf(a, "%s/%s%s", dir, stem, ending);
}

static ehm_code write_map(const ehm_seg_files *f, int64_t id, const ehm_image *picture,
                          const int32_t *predicted, ehm_arena *a, ehm_err *err) {
    ehm_image out;
    int64_t n = (int64_t)picture->w * picture->h;
    char *path = path_of(f->predictions, ehm_dataset_name(f->test, id),
                         ehm_image_can_write_png() ? ".png" : ".pgm", a);
    if (!path) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %s", f->predictions);
    EHM_TRY(ehm_image_new(&out, picture->w, picture->h, 1, f->wide ? EHM_U16 : EHM_U8, a, err));
    for (int64_t k = 0; k < n; k++) {
        if (f->wide)
            ((uint16_t *)out.px)[k] = (uint16_t)predicted[k];
        else
            ((uint8_t *)out.px)[k] = (uint8_t)predicted[k];
    }
    EHM_TRY(ehm_dir_make_for(path, err));
    return ehm_image_write(path, &out, err);
}

static ehm_code write_overlay(const ehm_seg_files *f, int64_t i, int64_t id, const ehm_image *picture,
                              const int32_t *truth, const int32_t *predicted, const ehm_seg_scores *s,
                              ehm_arena *a, ehm_err *err) {
    const char *name = ehm_dataset_name(f->test, id);
    double *m = EHM_NEW_N(a, double, EHM_SEG_IOU + f->n_classes);
    char *path = path_of(f->overlays, name, ehm_image_can_write_png() ? ".png" : ".ppm", a);
    if (!m || !path) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a drawing of %s", name);
    ehm_seg_measures_of(m, s, i);
    ehm_overlay o = {.picture = picture,
                     .predicted = predicted,
                     .truth = truth,
                     .n_classes = f->n_classes,
                     .classes = f->classes,
                     .score = m + EHM_SEG_IOU,
                     .caption = ehm_arena_printf(a, "%s: mean IoU %.2f, %.0f %% of pixels right", name,
                                                 m[EHM_SEG_MIOU], 100 * m[EHM_SEG_PIXELS])};
    ehm_image sheet;
    EHM_TRY(ehm_draw_overlay(&sheet, &o, a, err));
    EHM_TRY(ehm_dir_make_for(path, err));
    return ehm_image_write(path, &sheet, err);
}

ehm_code ehm_seg_files_add(const ehm_seg_files *f, int64_t i, int64_t n, int64_t id, const ehm_image *picture,
                           const int32_t *truth, const int32_t *predicted, const ehm_seg_scores *s,
                           ehm_arena *scratch, ehm_err *err) {
    int64_t k = f->n_overlays < n ? f->n_overlays : n;
    if (f->predictions && !is_table(f->predictions))
        EHM_TRY(write_map(f, id, picture, predicted, scratch, err));
    /* k of n, evenly: where the running share passes a whole number. */
    if (f->overlays && i * k / n != (i - 1 + n) * k / n - k)
        EHM_TRY(write_overlay(f, i, id, picture, truth, predicted, s, scratch, err));
    return EHM_OK;
}

ehm_code ehm_seg_files_end(const ehm_seg_files *f, const int64_t *ids, const ehm_seg_scores *s,
                           ehm_err *err) {
    ehm_str t = {0};
    ehm_arena a = {0};
    if (!f->predictions) return EHM_OK;
    const char *path = is_table(f->predictions) ? f->predictions
                                                : ehm_arena_printf(&a, "%s/pictures.tsv", f->predictions);
    double *m = EHM_NEW_N(&a, double, EHM_SEG_IOU + f->n_classes);
    if (!path || !m) {
        ehm_arena_free(&a);
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %s", f->predictions);
    }
    ehm_str_add(&t, "file\tpixels\tmean IoU\tpixel accuracy\tclass accuracy");
    for (int32_t k = 0; k < f->n_classes; k++) {
        ehm_str_add(&t, "\tIoU ");
        ehm_eval_add_cell(&t, f->classes[k]);
        if (t.len) t.s[--t.len] = 0; /* the tab behind a cell */
    }
    for (int64_t i = 0; i < s->n; i++) {
        int64_t pixels = 0;
        for (int32_t k = 0; k < s->n_classes; k++) pixels += s->count[i * s->n_classes + k].truth;
        ehm_seg_measures_of(m, s, i);
        ehm_str_addc(&t, '\n');
        ehm_eval_add_cell(&t, ehm_dataset_name(f->test, ids[i]));
        ehm_str_addf(&t, "%lld", (long long)pixels);
        for (int32_t k = 0; k < EHM_SEG_IOU + s->n_classes; k++) {
            if (isfinite(m[k]))
                ehm_str_addf(&t, "\t%.6g", m[k]);
            else
                ehm_str_add(&t, "\tnan");
        }
    }
    ehm_str_addc(&t, '\n');
    ehm_code rc = ehm_eval_write(&t, path, err);
    ehm_arena_free(&a);
    return rc;
}
