/* Label maps of pictures, at each picture's own size. */
#include "base/file.h"
#include "base/log.h"
#include "eval/predict_int.h"
#include "eval/segment.h"
#include "tune/task_segment.h"
#include <stdlib.h>
#include <string.h>

enum { GROUP_MAX = 32 };
static const int64_t group_bytes = 256 << 20; /* of logits at full size */

typedef struct { ehm_arena arena; ehm_sample sample; int64_t id; ehm_err err; } slot;
typedef struct {
    ehm_predicting *p;
    ehm_tune *tune;
    ehm_segment *task;
    ehm_seg_net net;
    ehm_seg_look look;
    ehm_pool *pool;
    const char *ending;
    const char **stems;   /* [count] sorted, to see which are not alone */
    slot *slots;
    ehm_arena scratch;
} mapper;

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for label maps"); }

/* ---- names ---- */

/* The picture's name without its ending, as a path below the folder: nothing hidden, nothing above it. */
static char *stem_of(const char *name, bool whole, ehm_arena *a) {
    const char *base = ehm_path_base(name), *dot = strrchr(base, '.');
    char *s = ehm_arena_strndup(a, name, !whole && dot && dot > base ? (size_t)(dot - name) : strlen(name));
    for (char *c = s; c && *c; c++) {
        bool first = c == s || c[-1] == '/';
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == ':' || *c == '\\' || (first && (*c == '.' || *c == '/'))) *c = '_';
    }
    return s;
}

static ehm_code gather_stems(mapper *m, ehm_err *err) {
    int64_t n = ehm_dataset_count(m->p->ds);
    if (!(m->stems = EHM_NEW_N(m->p->a, const char *, n))) return no_memory(err);
    for (int64_t i = 0; i < n; i++)
        if (!(m->stems[i] = stem_of(ehm_dataset_name(m->p->ds, i), false, m->p->a))) return no_memory(err);
    qsort(m->stems, (size_t)n, sizeof *m->stems, ehm_strcmp_qsort);
    return EHM_OK;
}

/* Two pictures of one stem (a.jpg, a.png) keep their endings. */
static char *path_of(const mapper *m, int64_t id, ehm_arena *a) {
    const char *name = ehm_dataset_name(m->p->ds, id);
    char *stem = stem_of(name, false, a);
    if (!stem) return NULL;
    const char **at = bsearch(&stem, m->stems, (size_t)ehm_dataset_count(m->p->ds), sizeof *m->stems, ehm_strcmp_qsort);
    const char **end = m->stems + ehm_dataset_count(m->p->ds);
    if (at && ((at > m->stems && !strcmp(at[-1], stem)) || (at + 1 < end && !strcmp(at[1], stem))) && !(stem = stem_of(name, true, a))) return NULL;
    return ehm_arena_printf(a, "%s/%s%s", m->p->c->out, stem, m->ending);
}

/* ---- the network ---- */

static ehm_code run_tuned(void *user, const void *pixels, ehm_dtype type, int32_t n, float *logits, ehm_err *err) {
    mapper *m = user;
    EHM_TRY(ehm_tune_infer(m->tune, pixels, type, n, err));
    ehm_segment_logits(m->task, ehm_tune_device(m->tune), logits, n);
    return ehm_dev_check(ehm_tune_device(m->tune), err);
}

static ehm_code open_network(mapper *m, ehm_err *err) {
    ehm_config c = *m->p->c;
    ehm_segment *task;
    c.eval_batch_size = c.batch_size;
    EHM_TRY(ehm_segment_from_json(&task, m->p->meta, err));
    EHM_TRY(ehm_tuned_open(&m->tune, m->p->file, ehm_segment_task(task), task, &c, err));
    m->task = task;
    const ehm_vit_shape *s = ehm_tune_shape(m->tune);
    m->look = (ehm_seg_look){.slide = ehm_segment_options(task)->slide};
    m->net = (ehm_seg_net){.in_h = s->img_h, .in_w = s->img_w, .channels = s->channels, .n_classes = ehm_segment_options(task)->n_classes,
                           .batch = ehm_tune_batch(m->tune), .run = run_tuned, .user = m};
    ehm_segment_grid(task, &m->net.grid_h, &m->net.grid_w);
    m->p->out->n_classes = m->net.n_classes;
    return ehm_pool_open(&m->pool, EHM_IS_AUTO(c.threads) ? ehm_cpu_count() : (int32_t)c.threads, err);
}

/* ---- pictures ---- */

static void read_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    mapper *m = ctx;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        slot *s = &m->slots[i];
        ehm_arena_reset(&s->arena), ehm_err_clear(&s->err);
        (void)ehm_dataset_read(m->p->ds, s->id, &s->sample, 0, NULL, &s->arena, &s->err);
    }
}

static bool is_bad(ehm_code rc) { return rc == EHM_E_IO || rc == EHM_E_FORMAT || rc == EHM_E_UNSUPPORTED; }

static ehm_code write_map(const mapper *m, const slot *s, const int32_t *map, ehm_arena *a, ehm_err *err) {
    ehm_image out;
    int64_t n = (int64_t)s->sample.image.w * s->sample.image.h;
    char *path = path_of(m, s->id, a);
    if (!path) return no_memory(err);
    EHM_TRY(ehm_image_new(&out, s->sample.image.w, s->sample.image.h, 1, m->net.n_classes > 256 ? EHM_U16 : EHM_U8, a, err));
    for (int64_t k = 0; k < n; k++) {
        if (out.type == EHM_U16) ((uint16_t *)out.px)[k] = (uint16_t)map[k];
        else ((uint8_t *)out.px)[k] = (uint8_t)map[k];
    }
    EHM_TRY(ehm_dir_make_for(path, err));
    return ehm_image_write(path, &out, err);
}

/* Those of the n slots that could be read, at most group_bytes at a time. */
static ehm_code map_some(mapper *m, int32_t n, ehm_err *err) {
    ehm_image images[GROUP_MAX];
    int32_t *maps[GROUP_MAX], of[GROUP_MAX], n_images = 0;
    int64_t bytes = 0;
    for (int32_t i = 0; i <= n; i++) {
        const slot *s = i < n ? &m->slots[i] : NULL;
        if (s && s->err.code) continue;
        int64_t px = s ? (int64_t)s->sample.image.w * s->sample.image.h : 0, more = px * m->net.n_classes * (int64_t)sizeof(float);
        if (n_images && (!s || bytes + more > group_bytes)) {
            EHM_TRY(ehm_seg_maps(maps, &m->net, &m->look, images, n_images, m->pool, &m->scratch, err));
            for (int32_t k = 0; k < n_images; k++) EHM_TRY(write_map(m, &m->slots[of[k]], maps[k], &m->scratch, err));
            m->p->out->n += n_images;
            n_images = 0, bytes = 0;
            ehm_arena_reset(&m->scratch);
        }
        if (!s) break;
        if (!(maps[n_images] = EHM_NEW_N(&m->slots[i].arena, int32_t, px))) return no_memory(err);
        images[n_images] = s->sample.image, of[n_images++] = i, bytes += more;
    }
    return EHM_OK;
}

static ehm_code all_pictures(mapper *m, ehm_err *err) {
    int64_t count = ehm_dataset_count(m->p->ds);
    for (int64_t first = 0; first < count; first += GROUP_MAX) {
        int32_t n = count - first < GROUP_MAX ? (int32_t)(count - first) : GROUP_MAX;
        if (ehm_stop_asked()) return EHM_FAIL(err, EHM_E_STOPPED, "stopped after %lld label maps", (long long)m->p->out->n);
        for (int32_t i = 0; i < n; i++) m->slots[i].id = first + i;
        ehm_pool_for(m->pool, n, 1, read_some, m);
        for (int32_t i = 0; i < n; i++) {
            slot *s = &m->slots[i];
            if (!s->err.code) continue;
            if (is_bad(s->err.code)) EHM_TRY(ehm_predict_bad(m->p, s->id, s->err.what, err));
            else {
                if (err && !err->code) *err = s->err;
                return s->err.code;
            }
        }
        EHM_TRY(map_some(m, n, err));
        ehm_progress(false, "%lld of %lld pictures", (long long)m->p->out->n, (long long)count);
    }
    ehm_progress(true, "%lld pictures", (long long)m->p->out->n);
    if (m->p->out->n) return EHM_OK;
    return EHM_FAIL(err, EHM_E_MISMATCH, "%s: none of %lld pictures can be read, the first: %s", ehm_dataset_spec(m->p->ds), (long long)count, m->p->out->bad[0]);
}

static ehm_code write_classes(const mapper *m, ehm_err *err) {
    const ehm_segment_opt *o = ehm_segment_options(m->task);
    char *path = ehm_path_join(m->p->a, m->p->c->out, "classes.tsv");
    ehm_str s = {0};
    for (int32_t k = 0; k < o->n_classes; k++) {
        ehm_str_addf(&s, "%d\t", (int)k);
        for (const char *t = o->classes[k]; *t; t++) ehm_str_addc(&s, (unsigned char)*t < 0x20 || *t == 0x7f ? ' ' : *t);
        ehm_str_addc(&s, '\n');
    }
    ehm_code rc = !path || s.failed ? no_memory(err) : ehm_file_write(path, ehm_str_c(&s), s.len, err);
    ehm_str_free(&s);
    return rc;
}

static ehm_code predict(mapper *m, ehm_err *err) {
    EHM_TRY(open_network(m, err));
    EHM_TRY(ehm_predict_open_data(m->p, m->net.channels, err));
    EHM_TRY(gather_stems(m, err));
    if (!(m->slots = calloc(GROUP_MAX, sizeof *m->slots))) return no_memory(err);
    m->ending = ehm_image_can_write_png() ? ".png" : ".pgm";
    EHM_TRY(ehm_dir_make(m->p->c->out, err));
    EHM_TRY(all_pictures(m, err));
    EHM_TRY(write_classes(m, err));
    return ehm_predict_wrote(m->p, m->p->c->out, err);
}

ehm_code ehm_predict_maps(ehm_predicting *p, ehm_err *err) {
    mapper m = {.p = p};
    ehm_code rc = predict(&m, err);
    for (int32_t i = 0; i < GROUP_MAX && m.slots; i++) ehm_arena_free(&m.slots[i].arena);
    free(m.slots);
    ehm_arena_free(&m.scratch);
    ehm_pool_close(m.pool);
    ehm_tune_close(m.tune);
    return rc;
}
