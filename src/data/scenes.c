/* Scenes: what a picture holds and where, its labels, boxes and caption. Pieces: scenes_kinds.c; pixels:
 * scenes_paint.c. */
#include "data/scenes.h"
#include "data/scenes_int.h"

static const char *const kind_names[] = {
#define KIND(name) #name,
#include "data/scenes.def"
#undef KIND
};
static const char *const map_names[] = {
#define BACKGROUND(name) #name,
#define KIND(name) #name,
#include "data/scenes.def"
#undef BACKGROUND
#undef KIND
    "clutter"};
static const char *const part_names[] = {
#define BACKGROUND(name) #name,
#include "data/scenes.def"
#undef BACKGROUND
    "clutter",
#define PART(kind, name) #kind " " #name,
#include "data/scenes.def"
#undef PART
};
_Static_assert(sizeof map_names / sizeof *map_names == SCENE_N_MAP, "a name a pixel class");
_Static_assert(sizeof part_names / sizeof *part_names == SCENE_N_PARTS && SCENE_N_PARTS <= 255,
               "a name a part, in a byte");

int32_t ehm_scenes_n_classes(void) { return SCENE_N_KINDS; }
const char *ehm_scenes_class(int32_t i) { return i >= 0 && i < SCENE_N_KINDS ? kind_names[i] : NULL; }
int32_t ehm_scenes_n_map_classes(void) { return SCENE_N_MAP; }
const char *ehm_scenes_map_class(int32_t i) { return i >= 0 && i < SCENE_N_MAP ? map_names[i] : NULL; }
int32_t ehm_scenes_n_parts(void) { return SCENE_N_PARTS; }
const char *ehm_scenes_part(int32_t i) { return i >= 0 && i < SCENE_N_PARTS ? part_names[i] : NULL; }

/* Streams of one seed, told apart by the counter's epoch. */
enum { STREAM_PICTURE = 0, STREAM_LABELS = 1 };

/* Each block of as many pictures as there are classes holds every class once, in random order: any prefix is
 * balanced. */
int32_t ehm_scenes_label(uint64_t seed, int64_t index) {
    int32_t v[SCENE_N_KINDS];
    for (int32_t i = 0; i < SCENE_N_KINDS; i++) v[i] = i;
    ehm_rng r = ehm_rng_of(seed, EHM_RNG_scenes, STREAM_LABELS, (uint64_t)(index / SCENE_N_KINDS));
    ehm_rng_shuffle_i32(&r, v, SCENE_N_KINDS);
    return v[index % SCENE_N_KINDS];
}

/* Colours that objects are painted with, whatever their kind. Their mean is near that of the backgrounds, or
 * a linear classifier on small raw pictures could read silhouettes from the average brightness alone. */
static const struct {
    const char *name;
    scene_rgb c;
} colours[] = {
    {"red", {.80f, .16f, .15f}},      {"orange", {.93f, .50f, .13f}}, {"yellow", {.95f, .83f, .25f}},
    {"green", {.22f, .58f, .26f}},    {"teal", {.12f, .55f, .55f}},   {"blue", {.16f, .34f, .75f}},
    {"purple", {.50f, .25f, .62f}},   {"pink", {.93f, .60f, .74f}},   {"brown", {.45f, .28f, .16f}},
    {"white", {.94f, .94f, .92f}},    {"grey", {.55f, .56f, .58f}},   {"black", {.13f, .13f, .15f}},
    {"beige", {.86f, .76f, .60f}},    {"navy", {.12f, .16f, .35f}},   {"lime", {.62f, .82f, .28f}},
    {"sky blue", {.50f, .74f, .92f}}, {"mint", {.58f, .88f, .76f}},   {"lavender", {.71f, .68f, .93f}},
    {"turquoise", {.20f, .76f, .78f}}};
enum { N_COLOURS = (int)(sizeof colours / sizeof *colours) };

static float difference(scene_rgb a, scene_rgb b) {
    float r = a.r - b.r, g = a.g - b.g, d = a.b - b.b;
    return (r < 0 ? -r : r) * .8f + (g < 0 ? -g : g) * 1.4f + (d < 0 ? -d : d) * .8f;
}

/* A colour that stands out from those given: the best of a few draws, at once when one is good. */
static int32_t colour_pick(ehm_rng *r, const scene_rgb *from, int32_t n_from, float enough) {
    int32_t best = 0;
    float best_d = -1;
    for (int32_t i = 0; i < 8 && best_d < enough; i++) {
        int32_t k = (int32_t)ehm_rng_below(r, N_COLOURS);
        float d = 9;
        for (int32_t j = 0; j < n_from; j++) {
            float e = difference(colours[k].c, from[j]);
            if (e < d) d = e;
        }
        if (d > best_d) best_d = d, best = k;
    }
    return best;
}

/* Brings the mean of each role, over pictures, to that of the backgrounds: picking colours that stand out
 * from those before pulls it away. */
static const float role_lift[SCENE_N_ROLES][3] = {
    {0.224f, 0.217f, 0.197f}, {0.133f, 0.017f, 0.032f}, {0.165f, 0.056f, 0.097f}, {0.169f, 0.063f, 0.121f}};

/* The texture's swing about the base colour, light or dark first; the base keeps clear of the ends of the
 * scale, where a swing would be cut on one side and so change the mean. */
static void surface_pick(scene_paint *p, const float lift[3], ehm_rng *r) {
    float *base = &p->base.r, *swing = &p->swing.r;
    float depth = scene_uniform(r, .24f, .33f);
    if (ehm_rng_below(r, 2)) depth = -depth;
    for (int32_t k = 0; k < 3; k++) {
        swing[k] = depth * scene_uniform(r, .8f, 1.15f);
        float room = swing[k] < 0 ? -swing[k] : swing[k];
        base[k] += lift[k];
        base[k] = base[k] < room ? room : base[k] > 1 - room ? 1 - room : base[k];
    }
    p->zoom = scene_uniform(r, .9f, 1.15f);
    p->u = scene_uniform(r, 0, 8), p->v = scene_uniform(r, 0, 8);
    p->seed = ehm_rng_u32(r);
}

/* Paints of one object. Returns the name of its main colour. */
static const char *object_paint(scene_object *o, const scene_backdrop *bd) {
    scene_rgb used[2 + SCENE_N_ROLES] = {bd->c[0], bd->c[2]};
    const char *name = NULL;
    float light = scene_uniform(o->rng, -.15f, .15f), rim = scene_uniform(o->rng, .3f, .45f);
    if (ehm_rng_below(o->rng, 2)) rim = -rim;
    for (int32_t i = 0; i < SCENE_N_ROLES; i++) {
        int32_t k = i == 0 ? colour_pick(o->rng, used, 2, .8f) : colour_pick(o->rng, used + 2, i, .7f);
        scene_paint *p = &o->paint[i];
        float a = scene_uniform(o->rng, -.06f, .06f), b = scene_uniform(o->rng, -.06f, .06f),
              c = scene_uniform(o->rng, -.06f, .06f);
        p->base = (scene_rgb){colours[k].c.r + a, colours[k].c.g + b, colours[k].c.b + c};
        used[2 + i] = p->base;
        if (i == 0) name = colours[k].name;
        surface_pick(p, role_lift[i], o->rng);
        p->light = light, p->rim = rim;
    }
    return name;
}

static void turn_place(scene_place *at, ehm_rng *r, float most_turns) {
    float t = scene_uniform(r, -most_turns, most_turns);
    scene_sincos(&at->sin_a, &at->cos_a, t);
    at->mirrored = ehm_rng_below(r, 2);
}

/* Evens out how much of a picture each kind covers, or the amount of background colours would tell them
 * apart. */
static const float kind_size[] = {
    [SCENE_KIND_bird] = 1.097f,   [SCENE_KIND_boat] = 0.983f,  [SCENE_KIND_car] = 0.949f,
    [SCENE_KIND_cat] = 0.959f,     [SCENE_KIND_fish] = 1.181f, [SCENE_KIND_flower] = 1.089f,
    [SCENE_KIND_house] = 0.795f,   [SCENE_KIND_lamp] = 1.261f, [SCENE_KIND_mug] = 0.856f,
    [SCENE_KIND_person] = 1.137f, [SCENE_KIND_robot] = 0.986f, [SCENE_KIND_tree] = 0.965f};
_Static_assert(sizeof kind_size / sizeof *kind_size == SCENE_N_KINDS, "a size a kind");

enum { MAX_INSTANCES = 16 };
typedef struct {
    int32_t label;
} instance; /* pixel class of instance i + 1 */
typedef struct {
    scene_canvas cv;
    scene_object o;
    ehm_rng rng;
    scene_backdrop bd;
    instance inst[MAX_INSTANCES];
    int32_t n_inst;
} scene_work;

static const char *put_object(scene_work *s, int32_t kind, const scene_place *at) {
    const char *colour = object_paint(&s->o, &s->bd);
    scene_object_build(&s->o, kind);
    s->inst[s->n_inst].label = SCENE_MAP_kinds + kind;
    scene_object_draw(&s->cv, &s->o, at, (uint8_t)(SCENE_MAP_kinds + kind), (uint8_t)++s->n_inst);
    return colour;
}
static void put_clutter(scene_work *s, scene_place *at) {
    object_paint(&s->o, &s->bd);
    scene_clutter_build(&s->o);
    turn_place(at, &s->rng, .5f);
    s->inst[s->n_inst].label = SCENE_MAP_clutter;
    scene_object_draw(&s->cv, &s->o, at, SCENE_MAP_clutter, (uint8_t)++s->n_inst);
}

/* Light falls off across the picture, then the sensor's grain. Grain is by pixel, from a hash. */
static void expose(const scene_work *s, uint8_t *px, float gain, float gx, float gy, float grain,
                   uint32_t seed) {
    const scene_canvas *cv = &s->cv;
    float iw = 1 / (float)cv->w, ih = 1 / (float)cv->h;
    for (int32_t y = 0; y < cv->h; y++) {
        for (int32_t x = 0; x < cv->w; x++) {
            int64_t i = ((int64_t)y * cv->w + x) * 3;
            uint32_t h = scene_hash((uint32_t)x, (uint32_t)y, seed);
            float light = (gain + gx * ((float)x * iw - .5f) + gy * ((float)y * ih - .5f)) * 255;
            for (int32_t k = 0; k < 3; k++) {
                float noise = (float)((int32_t)(h >> (10 * k) & 1023) - 512) * grain;
                float v = cv->rgb[i + k] * light + noise + .5f;
                px[i + k] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : (int32_t)v);
            }
        }
    }
}

static const char *article(const char *word) {
    return word[0] == 'a' || word[0] == 'e' || word[0] == 'i' || word[0] == 'o' || word[0] == 'u' ? "an"
                                                                                                  : "a";
}

/* Visible extents of the kinds' instances; a sliver is no box. */
static ehm_code boxes_of(ehm_sample *out, const scene_work *s, ehm_arena *a, ehm_err *err) {
    int32_t x0[MAX_INSTANCES + 1], y0[MAX_INSTANCES + 1], x1[MAX_INSTANCES + 1] = {0},
                                                                             y1[MAX_INSTANCES + 1] = {0};
    int64_t area[MAX_INSTANCES + 1] = {0}, all = (int64_t)s->cv.w * s->cv.h;
    for (int32_t i = 0; i <= MAX_INSTANCES; i++) x0[i] = s->cv.w, y0[i] = s->cv.h;
    for (int32_t y = 0; y < s->cv.h; y++) {
        for (int32_t x = 0; x < s->cv.w; x++) {
            int32_t i = s->cv.object[(int64_t)y * s->cv.w + x];
            area[i]++;
            if (x < x0[i]) x0[i] = x;
            if (y < y0[i]) y0[i] = y;
            if (x >= x1[i]) x1[i] = x + 1;
            if (y >= y1[i]) y1[i] = y + 1;
        }
    }
    ehm_box *box = EHM_NEW_N(a, ehm_box, MAX_INSTANCES);
    if (!box) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the boxes of a scene");
    out->boxes = box, out->n_boxes = 0;
    for (int32_t i = 1; i <= s->n_inst; i++) {
        int32_t label = s->inst[i - 1].label;
        if (label == SCENE_MAP_clutter || area[i] * 500 < all) continue;
        box[out->n_boxes++] =
            (ehm_box){(float)x0[i], (float)y0[i], (float)x1[i], (float)y1[i], label - SCENE_MAP_kinds, 0, 0};
    }
    return EHM_OK;
}

static ehm_code work_open(scene_work **out, ehm_sample *sample, int32_t w, int32_t h, uint32_t want,
                          ehm_arena *a, ehm_err *err) {
    size_t n = (size_t)w * (size_t)h;
    scene_work *s = EHM_NEW(a, scene_work);
    if (!s) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to draw a scene of %dx%d", w, h);
    s->cv.w = w, s->cv.h = h;
    s->cv.rgb = EHM_NEW_N(a, float, n * 3);
    sample->image = (ehm_image){EHM_NEW_N(a, uint8_t, n * 3), w, h, 3, EHM_U8};
    bool maps = want & (EHM_WANT_LABEL_MAPS | EHM_WANT_OBJECT_MAPS | EHM_WANT_BOXES);
    if (maps) {
        s->cv.label = EHM_NEW_N(a, uint8_t, n), s->cv.object = EHM_NEW_N(a, uint8_t, n),
        s->cv.part = EHM_NEW_N(a, uint8_t, n);
        if (!s->cv.label || !s->cv.object || !s->cv.part) maps = false, s->cv.rgb = NULL;
    }
    if (!s->cv.rgb || !sample->image.px)
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory to draw a scene of %dx%d", w, h);
    if (want & EHM_WANT_LABEL_MAPS) sample->label_map = (ehm_image){s->cv.label, w, h, 1, EHM_U8};
    if (want & EHM_WANT_OBJECT_MAPS) {
        sample->object_map = (ehm_image){s->cv.object, w, h, 1, EHM_U8};
        sample->part_map = (ehm_image){s->cv.part, w, h, 1, EHM_U8};
    }
    *out = s;
    return EHM_OK;
}

ehm_code ehm_scene_draw(ehm_sample *out, uint64_t seed, int64_t index, int32_t w, int32_t h, uint32_t want,
                        ehm_arena *a, ehm_err *err) {
    if (w < 8 || h < 8 || w > 4096 || h > 4096 || index < 0)
        return EHM_FAIL(err, EHM_E_ARG, "a scene of %dx%d, number %lld: sides are 8 to 4096, numbers from 0",
                        w, h, (long long)index);
    *out = (ehm_sample){.label = ehm_scenes_label(seed, index)};
    scene_work *s = NULL;
    EHM_TRY(work_open(&s, out, w, h, want, a, err));
    s->rng = ehm_rng_of(seed, EHM_RNG_scenes, STREAM_PICTURE, (uint64_t)index);
    s->o.rng = &s->rng;
    ehm_rng *r = &s->rng;
    float side = (float)(w < h ? w : h), fw = (float)w, fh = (float)h;
    scene_backdrop_pick(&s->bd, r);
    scene_backdrop_draw(&s->cv, &s->bd);

    scene_place main = {.scale_px = side * scene_uniform(r, .48f, .57f) * kind_size[out->label]};
    float room = main.scale_px * .85f;
    if (room > side * .32f) room = side * .32f; /* a large one may reach out of the picture */
    main.x = scene_uniform(r, room, fw - room), main.y = scene_uniform(r, room, fh - room);
    turn_place(&main, r, .05f);

    int32_t n_behind = (int32_t)ehm_rng_below(r, 4), n_front = (int32_t)ehm_rng_below(r, 3);
    for (int32_t i = 0; i < n_behind; i++) {
        scene_place at = {.scale_px = side * scene_uniform(r, .06f, .15f)};
        at.x = scene_uniform(r, 0, fw), at.y = scene_uniform(r, 0, fh);
        put_clutter(s, &at);
    }
    /* Now and then a smaller object of another kind, where the main one leaves most room; it is drawn first,
     * so never on top. */
    const char *other = NULL;
    if (ehm_rng_below(r, 5) == 0) {
        int32_t kind = (int32_t)ehm_rng_below(r, SCENE_N_KINDS - 1);
        if (kind >= out->label) kind++;
        scene_place at = {.scale_px = main.scale_px * scene_uniform(r, .32f, .46f)};
        at.x = main.x < fw * .5f ? fw - at.scale_px * .95f : at.scale_px * .95f;
        at.y = scene_uniform(r, at.scale_px * .95f, fh - at.scale_px * .95f);
        turn_place(&at, r, .055f);
        put_object(s, kind, &at);
        other = kind_names[kind];
    }
    const char *colour = put_object(s, out->label, &main);
    /* Pieces in front cover the main object's outer parts, so that no one part gives the class away. */
    for (int32_t i = 0; i < n_front; i++) {
        float reach = scene_uniform(r, .55f, 1.05f) * main.scale_px, turns = scene_uniform(r, 0, 1), sn, cs;
        scene_sincos(&sn, &cs, turns);
        scene_place at = {.x = main.x + cs * reach,
                          .y = main.y + sn * reach,
                          .scale_px = main.scale_px * scene_uniform(r, .18f, .36f)};
        put_clutter(s, &at);
    }
    float gain = scene_uniform(r, .78f, 1.12f), gx = scene_uniform(r, -.35f, .35f),
          gy = scene_uniform(r, -.35f, .35f);
    float grain = scene_uniform(r, 0, .020f);
    expose(s, out->image.px, gain, gx, gy, grain, ehm_rng_u32(r));

    if (want & EHM_WANT_BOXES) EHM_TRY(boxes_of(out, s, a, err));
    if (want & EHM_WANT_CAPTION) {
        const char *name = kind_names[out->label];
        out->caption = ehm_arena_printf(a, "%s %s %s %s%s%s%s%s", article(colour), colour, name,
                                        scene_backdrop_phrase(&s->bd), other ? ", with " : "",
                                        other ? "a" : "", other ? " small " : "", other ? other : "");
        if (!out->caption) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the caption of a scene");
    }
    return EHM_OK;
}
