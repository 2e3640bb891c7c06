/* Source kind scenes:SEED:COUNT[:SIZE]: procedural pictures, drawn when read. SIZE is a side or HxW, 64
 * unless given. */
#include "data/data.h"
#include "data/scenes.h"
#include <stdio.h>
#include <string.h>

enum { SCENES_SIZE = 64, SCENES_SIDE_MIN = 8, SCENES_SIDE_MAX = 4096, SCENES_PART_N = 64 };
static const int64_t count_max = 100000000;

typedef struct {
    ehm_source base;
    uint64_t seed;
    int64_t n;
    int32_t w, h;
    char *names; /* n_name bytes each */
    size_t n_name;
    const char *classes[SCENES_PART_N];
    const char *map_classes[SCENES_PART_N];
} scenes_source;
extern const ehm_source_kind ehm_source_scenes;

static bool scenes_claims(const char *path) { return ehm_starts(path, "scenes:"); }

static ehm_code bad_spec(const char *path, const char *what, ehm_err *err) {
    EHM_FAIL(err, EHM_E_CONFIG, "%s: %s", path, what);
    EHM_HINT(err, "scenes:SEED:COUNT or scenes:SEED:COUNT:SIZE, for example scenes:1:10000:64");
    return EHM_E_CONFIG;
}

static ehm_code spec_parse(scenes_source *s, const char *path, ehm_err *err) {
    char text[128], *field[4] = {0};
    if (strlen(path) >= sizeof text) return bad_spec("scenes", "the text is too long", err);
    snprintf(text, sizeof text, "%s", path + strlen("scenes:"));
    int32_t n = 0;
    for (char *p = text; p; n++) {
        if (n == 3) return bad_spec(path, "more than three fields", err);
        field[n] = p;
        if ((p = strchr(p, ':'))) *p++ = 0;
    }
    int64_t seed, count, h = SCENES_SIZE, w = SCENES_SIZE;
    if (n < 2) return bad_spec(path, "seed and count are needed", err);
    if (!ehm_parse_i64(field[0], &seed) || seed < 0)
        return bad_spec(path, "the seed is not a whole number from 0", err);
    if (!ehm_parse_i64(field[1], &count) || count < 1 || count > count_max)
        return bad_spec(path, "the count is not a whole number from 1 to 100000000", err);
    if (n == 3) {
        char *x = strchr(field[2], 'x');
        if (x) *x++ = 0;
        if (!ehm_parse_i64(field[2], &h) || (x && !ehm_parse_i64(x, &w)))
            return bad_spec(path, "the size is not N or HxW", err);
        if (!x) w = h;
        if (h < SCENES_SIDE_MIN || w < SCENES_SIDE_MIN || h > SCENES_SIDE_MAX || w > SCENES_SIDE_MAX)
            return bad_spec(path, "the size is not between 8 and 4096 pixels", err);
    }
    s->seed = (uint64_t)seed, s->n = count, s->h = (int32_t)h, s->w = (int32_t)w;
    return EHM_OK;
}

static ehm_code scenes_open(ehm_source **out, const char *path, const char *subset,
                            const ehm_dataset_opt *opt, ehm_arena *a, ehm_err *err) {
    scenes_source *s = EHM_NEW(a, scenes_source);
    if (!s) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to open %s", path);
    EHM_TRY(spec_parse(s, path, err));
    if (subset && *subset)
        return EHM_FAIL(err, EHM_E_CONFIG, "%s#%s: scenes have no parts to choose from", path, subset);
    if (opt && opt->limit > 0 && opt->limit < s->n) s->n = opt->limit;
    s->base.kind = &ehm_source_scenes;
    s->base.ignore_label = 255;
    s->base.has_label_maps = s->base.has_boxes = true;
    s->base.n_classes = s->base.n_box_classes = ehm_scenes_n_classes();
    s->base.n_map_classes = ehm_scenes_n_map_classes();
    EHM_ASSERT(s->base.n_classes <= SCENES_PART_N && s->base.n_map_classes <= SCENES_PART_N);
    for (int32_t i = 0; i < s->base.n_classes; i++) s->classes[i] = ehm_scenes_class(i);
    for (int32_t i = 0; i < s->base.n_map_classes; i++) s->map_classes[i] = ehm_scenes_map_class(i);
    s->base.classes = s->base.box_classes = s->classes;
    s->base.map_classes = s->map_classes;
    /* "NNNNNN", as many digits as the largest needs, six at least: order by name is order by number. */
    char widest[32];
    int digits = snprintf(widest, sizeof widest, "%06lld", (long long)(s->n - 1));
    s->n_name = (size_t)digits + 1;
    s->names = ehm_arena_alloc(a, (size_t)s->n, s->n_name);
    if (!s->names) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for %lld names", path, (long long)s->n);
    for (int64_t i = 0; i < s->n; i++) {
        char *at = s->names + (size_t)i * s->n_name;
        int64_t v = i;
        for (int d = digits - 1; d >= 0; d--, v /= 10) at[d] = (char)('0' + v % 10);
    }
    *out = &s->base;
    return EHM_OK;
}

static int64_t scenes_count(const ehm_source *src) { return ((const scenes_source *)src)->n; }

static ehm_code scenes_item(const ehm_source *src, int64_t i, ehm_source_item *out) {
    const scenes_source *s = (const scenes_source *)src;
    int32_t label = ehm_scenes_label(s->seed, i);
    *out = (ehm_source_item){.name = s->names + (size_t)i * s->n_name,
                             .label = label,
                             .class_name = ehm_scenes_class(label),
                             .n_bytes = (int64_t)s->w * s->h * 3};
    return EHM_OK;
}

static ehm_code scenes_read(ehm_source *src, int64_t i, ehm_source_data *out, ehm_arena *a, ehm_err *err) {
    scenes_source *s = (scenes_source *)src;
    ehm_sample p;
    EHM_TRY(ehm_scene_draw(&p, s->seed, i, s->w, s->h, 0, a, err));
    *out = (ehm_source_data){.has_image = true, .image = p.image};
    return EHM_OK;
}

/* Only what was asked for is touched: the label is the set's business. */
static ehm_code scenes_extras(ehm_source *src, int64_t i, ehm_sample *out, uint32_t want, ehm_arena *a,
                              ehm_err *err) {
    scenes_source *s = (scenes_source *)src;
    ehm_sample p;
    EHM_TRY(ehm_scene_draw(&p, s->seed, i, s->w, s->h, want, a, err));
    if (want & EHM_WANT_LABEL_MAPS) out->label_map = p.label_map;
    if (want & EHM_WANT_OBJECT_MAPS) out->object_map = p.object_map, out->part_map = p.part_map;
    if (want & EHM_WANT_BOXES) out->boxes = p.boxes, out->n_boxes = p.n_boxes;
    if (want & EHM_WANT_CAPTION) out->caption = p.caption;
    return EHM_OK;
}

static void scenes_close(ehm_source *src) { (void)src; /* all of it lives in the arena */ }

const ehm_source_kind ehm_source_scenes = {
    .name = "scenes",
    .summary = "scenes:SEED:COUNT[:SIZE], procedural pictures with a known hierarchy",
    .claims = scenes_claims,
    .open = scenes_open,
    .count = scenes_count,
    .item = scenes_item,
    .read = scenes_read,
    .extras = scenes_extras,
    .close = scenes_close};
