/* A set written out as a folder: pictures by class, label maps, boxes as COCO, captions. */
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "data/inspect.h"
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct { char *path; int32_t w, h, n_boxes; ehm_box *boxes; char *caption; bool maps; } written;
typedef struct {
    ehm_dataset *ds;
    const char *dir, *end;
    char **folder;            /* per class: its name as a folder */
    written *v;               /* [n]; path NULL: could not be read */
    ehm_arena *arenas;
    bool maps, objects;
    _Atomic int64_t n_done, n_bad;
    _Atomic int failed;       /* the first thread to fail writes `err` */
    ehm_err err;
    double said_s;
} job;

/* A class name as a folder's name: no '/', no control characters, not hidden, not like another's. */
static ehm_code folder_names(job *j, ehm_arena *a, ehm_err *err) {
    int32_t n = ehm_dataset_n_classes(j->ds);
    j->folder = EHM_NEW_N(a, char *, n + 1);
    if (!j->folder) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d classes", n);
    for (int32_t i = 0; i < n; i++) {
        char *s = ehm_arena_strndup(a, ehm_dataset_class(j->ds, i), 200);
        for (char *p = s; p && *p; p++) {
            if (*p == '/' || (unsigned char)*p < 32) *p = '_';
        }
        bool hidden = s && (!*s || *s == '.' || *s == '#' || !strncmp(s, "__", 2));
        bool again = false;
        for (int32_t k = 0; k < i && s && !again; k++) again = !strcmp(j->folder[k], s);
        if (hidden) s = ehm_arena_printf(a, "class %s", s);
        if (again) s = ehm_arena_printf(a, "%s~%d", s, i);
        if (!s) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d classes", n);
        j->folder[i] = s;
    }
    return EHM_OK;
}

static ehm_code make_folders(job *j, ehm_arena *a, ehm_err *err) {
    ehm_strs there = {0};
    if (ehm_dir_exists(j->dir)) {
        EHM_TRY(ehm_dir_list(&there, j->dir, a, err));
        if (there.n) {
            EHM_HINT(err, "name a folder that is not there yet");
            return EHM_FAIL(err, EHM_E_CONFIG, "%s: the folder to export to is not empty (\"%s\")", j->dir,
                            there.v[0]);
        }
    }
    const char *sub[] = {"images", j->maps ? "labels/class" : NULL, j->objects ? "labels/object" : NULL,
                         j->objects ? "labels/part" : NULL};
    for (size_t i = 0; i < sizeof sub / sizeof *sub; i++) {
        char *path = sub[i] ? ehm_path_join(a, j->dir, sub[i]) : NULL;
        if (path) EHM_TRY(ehm_dir_make(path, err));
    }
    for (int32_t i = 0; i < ehm_dataset_n_classes(j->ds); i++) {
        char *path = ehm_arena_printf(a, "%s/images/%s", j->dir, j->folder[i]);
        if (!path) return EHM_FAIL(err, EHM_E_MEMORY, "no memory");
        EHM_TRY(ehm_dir_make(path, err));
    }
    return EHM_OK;
}

/* Without a sync for each file: a broken export is simply made again, and its tables are written last. */
static ehm_code put_file(const char *dir, const char *name, ehm_bytes bytes, ehm_arena *a, ehm_err *err) {
    char *path = ehm_path_join(a, dir, name);
    if (!path) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", name);
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(bytes.data, 1, bytes.len, f) == bytes.len;
    int why = errno;
    if (f && fclose(f) && ok) ok = false, why = errno;
    return ok ? EHM_OK : EHM_FAIL(err, EHM_E_IO, "%s: cannot be written: %s", path, strerror(why));
}

static ehm_code put_image(job *j, const char *name, const ehm_image *im, ehm_arena *a, ehm_err *err) {
    if (ehm_ends(name, ".png")) {
        ehm_bytes bytes;
        EHM_TRY(ehm_png_encode(&bytes, im, a, err));
        return put_file(j->dir, name, bytes, a, err);
    }
    char *path = ehm_path_join(a, j->dir, name);
    return path ? ehm_ppm_write(path, im, err) : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", name);
}

/* The numbers a file can hold: 8 and 16 bit as they were before they became floats. */
static ehm_code storable(job *j, int64_t i, ehm_image *im, ehm_arena *a, ehm_err *err) {
    if (im->c > 4)
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: %d channels cannot be written as a picture",
                        ehm_dataset_name(j->ds, i), im->c);
    if (im->type != EHM_F32) return EHM_OK;
    ehm_image_info info;
    EHM_TRY(ehm_dataset_size_of(j->ds, i, &info, a, err));
    if (info.type == EHM_F32)
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: floating-point pictures cannot be written as PNG",
                        ehm_dataset_name(j->ds, i));
    ehm_image out;
    EHM_TRY(ehm_image_new(&out, im->w, im->h, im->c, info.type, a, err));
    size_t n = (size_t)im->w * (size_t)im->h * (size_t)im->c;
    const float *from = im->px;
    for (size_t k = 0; k < n; k++) {
        if (info.type == EHM_U16) ((uint16_t *)out.px)[k] = (uint16_t)lrintf(from[k] * 65535.0f);
        else ((uint8_t *)out.px)[k] = (uint8_t)lrintf(from[k] * 255.0f);
    }
    *im = out;
    return EHM_OK;
}

static ehm_code remember(written *w, const char *name, const ehm_sample *s, ehm_err *err) {
    w->path = strdup(name);
    w->w = s->image.w;
    w->h = s->image.h;
    w->maps = s->label_map.px != NULL;
    if (s->n_boxes) {
        w->boxes = malloc((size_t)s->n_boxes * sizeof *w->boxes);
        if (w->boxes) {
            memcpy(w->boxes, s->boxes, (size_t)s->n_boxes * sizeof *w->boxes);
            w->n_boxes = s->n_boxes;
        }
    }
    if (s->caption) w->caption = strdup(s->caption);
    bool ok = w->path && (w->boxes || !s->n_boxes) && (w->caption || !s->caption);
    return ok ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", name);
}

/* bad: the picture cannot be read. Other errors end the export. */
static ehm_code one(job *j, int64_t i, bool *bad, ehm_arena *a, ehm_err *err) {
    ehm_sample s;
    *bad = true;
    EHM_TRY(ehm_dataset_read(j->ds, i, &s,
                             EHM_WANT_LABEL_MAPS | EHM_WANT_OBJECT_MAPS | EHM_WANT_BOXES | EHM_WANT_CAPTION,
                             NULL, a, err));
    *bad = false;
    EHM_TRY(storable(j, i, &s.image, a, err));
    const char *end = ehm_ends(j->end, ".ppm") && s.image.c == 1 ? ".pgm" : j->end;
    char *name = s.label >= 0
                     ? ehm_arena_printf(a, "images/%s/%06lld%s", j->folder[s.label], (long long)i, end)
                     : ehm_arena_printf(a, "images/%06lld%s", (long long)i, end);
    if (!name) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a name");
    EHM_TRY(put_image(j, name, &s.image, a, err));
    static const char *const folder[] = {"class", "object", "part"};
    const ehm_image *maps[] = {&s.label_map, &s.object_map, &s.part_map};
    for (int32_t k = 0; k < 3; k++) {
        if (!maps[k]->px || !j->maps || (k && !j->objects)) continue;
        char *map = ehm_arena_printf(a, "labels/%s/%06lld.png", folder[k], (long long)i);
        if (!map) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a name");
        EHM_TRY(put_image(j, map, maps[k], a, err));
    }
    return remember(&j->v[i], name, &s, err);
}

static void some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    job *j = ctx;
    for (int64_t i = begin; i < end && !ehm_stop_asked() && !atomic_load(&j->failed); i++) {
        ehm_err err = {0};
        bool bad = false;
        ehm_arena_reset(&j->arenas[i_thread]);
        ehm_code rc = one(j, i, &bad, &j->arenas[i_thread], &err);
        if (rc && bad) {
            atomic_fetch_add(&j->n_bad, 1);
            ehm_log(EHM_LOG_WARN, "%s is left out: %s", ehm_dataset_name(j->ds, i), err.what);
        } else if (rc && !atomic_exchange(&j->failed, 1)) {
            j->err = err;
        }
        atomic_fetch_add(&j->n_done, 1);
    }
    double now = ehm_clock_s();
    if (i_thread == 0 && now - j->said_s > 0.25) {
        j->said_s = now;
        ehm_progress(false, "exporting: %lld of %lld", (long long)j->n_done,
                     (long long)ehm_dataset_count(j->ds));
    }
}

static ehm_code put_text(job *j, const char *name, ehm_str *text, ehm_err *err) {
    char *path = NULL;
    if (text->failed || asprintf(&path, "%s/%s", j->dir, name) < 0)
        return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", name);
    ehm_code rc = ehm_file_write(path, ehm_str_c(text), text->len, err);
    free(path);
    return rc;
}

static ehm_code put_classes(job *j, ehm_err *err) {
    ehm_str b = {0};
    ehm_code rc = EHM_OK;
    int32_t n = ehm_dataset_n_classes(j->ds), n_maps = ehm_dataset_n_map_classes(j->ds),
            ignore = ehm_dataset_ignore_label(j->ds);
    for (int32_t i = 0; i < n; i++) ehm_str_addf(&b, "%s\n", j->folder[i]);
    if (n) rc = put_text(j, "classes.txt", &b, err);
    ehm_str_clear(&b);
    for (int32_t i = 0; i < n_maps; i++) ehm_str_addf(&b, "%d\t%s\n", i, ehm_dataset_map_class(j->ds, i));
    if (n_maps && ignore >= n_maps && ignore != 255) ehm_str_addf(&b, "%d\tvoid\n", ignore);
    if (!rc && n_maps && j->maps) rc = put_text(j, "classes.tsv", &b, err);
    ehm_str_free(&b);
    return rc;
}

static void put_box(ehm_json_w *w, int64_t id, int64_t image, const ehm_box *b) {
    double x0 = (double)b->x0, y0 = (double)b->y0, width = (double)b->x1 - x0, height = (double)b->y1 - y0;
    const double v[4] = {x0, y0, width, height};
    ehm_json_obj(w);
    ehm_json_key(w, "id");
    ehm_json_i64(w, id);
    ehm_json_key(w, "image_id");
    ehm_json_i64(w, image);
    ehm_json_key(w, "category_id");
    ehm_json_i64(w, b->class_id + 1);
    ehm_json_key(w, "bbox");
    ehm_json_arr(w);
    for (int32_t k = 0; k < 4; k++) ehm_json_f64(w, v[k]);
    ehm_json_end(w);
    ehm_json_key(w, "area");
    ehm_json_f64(w, b->area > 0 ? (double)b->area : width * height);
    ehm_json_key(w, "iscrowd");
    ehm_json_i64(w, b->crowd);
    ehm_json_end(w);
}

static ehm_code put_boxes(job *j, ehm_data_exported *out, ehm_err *err) {
    ehm_str b = {0};
    ehm_json_w w = {.out = &b};
    ehm_json_obj(&w);
    ehm_json_key(&w, "images");
    ehm_json_arr(&w);
    for (int64_t i = 0; i < out->n; i++) {
        if (!j->v[i].path) continue;
        ehm_json_obj(&w);
        ehm_json_key(&w, "id");
        ehm_json_i64(&w, i);
        ehm_json_key(&w, "file_name");
        ehm_json_str(&w, j->v[i].path);
        ehm_json_key(&w, "width");
        ehm_json_i64(&w, j->v[i].w);
        ehm_json_key(&w, "height");
        ehm_json_i64(&w, j->v[i].h);
        ehm_json_end(&w);
    }
    ehm_json_end(&w);
    ehm_json_key(&w, "categories");
    ehm_json_arr(&w);
    for (int32_t i = 0; i < ehm_dataset_n_box_classes(j->ds); i++) {
        ehm_json_obj(&w);
        ehm_json_key(&w, "id");
        ehm_json_i64(&w, i + 1);
        ehm_json_key(&w, "name");
        ehm_json_str(&w, ehm_dataset_box_class(j->ds, i));
        ehm_json_end(&w);
    }
    ehm_json_end(&w);
    ehm_json_key(&w, "annotations");
    ehm_json_arr(&w);
    for (int64_t i = 0; i < out->n; i++) {
        for (int32_t k = 0; k < j->v[i].n_boxes; k++) put_box(&w, ++out->n_boxes, i, &j->v[i].boxes[k]);
    }
    ehm_json_end(&w);
    ehm_json_end(&w);
    ehm_str_addc(&b, '\n');
    ehm_code rc = out->n_boxes ? put_text(j, "boxes.json", &b, err) : EHM_OK;
    ehm_str_free(&b);
    return rc;
}

static ehm_code put_captions(job *j, ehm_data_exported *out, ehm_err *err) {
    ehm_str b = {0};
    for (int64_t i = 0; i < out->n; i++) {
        if (!j->v[i].caption) continue;
        for (char *p = j->v[i].caption; *p; p++) {
            if (*p == '\t' || *p == '\n' || *p == '\r') *p = ' ';
        }
        ehm_str_addf(&b, "%s\t%s\n", j->v[i].path, j->v[i].caption);
        out->n_captions++;
    }
    ehm_code rc = out->n_captions ? put_text(j, "captions.tsv", &b, err) : EHM_OK;
    ehm_str_free(&b);
    return rc;
}

static ehm_code run(job *j, ehm_data_exported *out, ehm_pool *pool, ehm_arena *a, ehm_err *err) {
    EHM_TRY(folder_names(j, a, err));
    EHM_TRY(make_folders(j, a, err));
    j->said_s = ehm_clock_s();
    ehm_pool_for(pool, out->n, 16, some, j);
    if (atomic_load(&j->failed)) {
        if (err && !err->code) *err = j->err;
        return j->err.code;
    }
    if (ehm_stop_asked()) return EHM_FAIL(err, EHM_E_STOPPED, "stopped while exporting to %s", j->dir);
    EHM_TRY(put_classes(j, err));
    EHM_TRY(put_boxes(j, out, err));
    EHM_TRY(put_captions(j, out, err));
    for (int64_t i = 0; i < out->n; i++) out->n_maps += j->v[i].maps && j->maps;
    out->n_bad = j->n_bad;
    ehm_progress(true, "exported %lld pictures to %s", (long long)(out->n - out->n_bad), j->dir);
    return EHM_OK;
}

ehm_code ehm_data_export(ehm_data_exported *out, ehm_dataset *ds, const char *dir, ehm_pool *pool,
                         ehm_err *err) {
    *out = (ehm_data_exported){.n = ehm_dataset_count(ds)};
    ehm_arena a = {0};
    ehm_sample s;
    ehm_err ignore = {0};
    job j = {.ds = ds, .dir = dir, .end = ehm_image_can_write_png() ? ".png" : ".ppm"};
    j.maps = ehm_dataset_n_map_classes(ds) > 0;
    if (j.maps && !ehm_image_can_write_png()) {
        ehm_log(EHM_LOG_WARN, "this build is without libpng: label maps are not written");
        j.maps = false;
    }
    /* Whether there are maps of objects is asked of a few pictures: not every picture of a set needs one. */
    for (int64_t i = 0; i < out->n && i < 16 && j.maps && !j.objects; i++) {
        ehm_arena_reset(&a);
        j.objects = !ehm_dataset_read(ds, i, &s, EHM_WANT_OBJECT_MAPS, NULL, &a, &ignore) && s.object_map.px;
    }
    int32_t n_threads = ehm_pool_threads(pool);
    j.arenas = calloc((size_t)n_threads, sizeof *j.arenas);
    j.v = calloc((size_t)out->n, sizeof *j.v);
    ehm_code rc = j.arenas && j.v
                      ? run(&j, out, pool, &a, err)
                      : EHM_FAIL(err, EHM_E_MEMORY, "no memory to export %lld pictures", (long long)out->n);
    for (int64_t i = 0; j.v && i < out->n; i++) {
        free(j.v[i].path);
        free(j.v[i].boxes);
        free(j.v[i].caption);
    }
    for (int32_t i = 0; j.arenas && i < n_threads; i++) ehm_arena_free(&j.arenas[i]);
    free(j.arenas);
    free(j.v);
    ehm_arena_free(&a);
    return rc;
}
