/* Inside scenes: primitives with distance functions, the builder that kinds draw with, the background.
 *
 * Every number that decides a pixel comes from +, -, *, / and sqrt on float (IEEE, no contraction), integer
 * hashes and our own sine, so that the same seed gives the same bytes on every machine. Two random draws
 * never stand in one expression: C leaves their order open.
 */
#ifndef EHM_DATA_SCENES_INT_H
#define EHM_DATA_SCENES_INT_H
#include "base/err.h"
#include "base/mem.h"
#include "base/rng.h"
#include <stdbool.h>
#include <stdint.h>

enum {
#define BACKGROUND(name) SCENE_BG_##name,
#include "data/scenes.def"
#undef BACKGROUND
    SCENE_N_BG
};
enum {
#define KIND(name) SCENE_KIND_##name,
#include "data/scenes.def"
#undef KIND
    SCENE_N_KINDS
};
/* Parts: one for each background, one for clutter, then those of the kinds. */
enum {
    SCENE_PART_clutter = SCENE_N_BG,
#define PART(kind, name) SCENE_PART_##kind##_##name,
#include "data/scenes.def"
#undef PART
    SCENE_N_PARTS
};
/* Pixel classes: backgrounds, kinds, clutter. */
enum { SCENE_MAP_kinds = SCENE_N_BG, SCENE_MAP_clutter = SCENE_N_BG + SCENE_N_KINDS, SCENE_N_MAP };

typedef struct {
    float r, g, b;
} scene_rgb; /* 0..1 */

/* What a surface looks like from near. Each kind has one family of its own, on every part large enough to
 * show it, so that a few pixels of an object tell its kind. Clutter has none of them; bricks and
 * wallpaper behind objects resemble some, two to three times as coarse. */
typedef enum {
    SCENE_PLAIN,
    SCENE_MOTTLED,  /* clutter */
    SCENE_FEATHERS, /* bird */
    SCENE_CLINKER,  /* boat */
    SCENE_BANDS,    /* car */
    SCENE_FUR,      /* cat */
    SCENE_SCALES,   /* fish */
    SCENE_VEINS,    /* flower */
    SCENE_COURSES,  /* house */
    SCENE_MESH,     /* lamp */
    SCENE_SPOTS,    /* mug */
    SCENE_TWILL,    /* person */
    SCENE_PLATES,   /* robot */
    SCENE_LEAVES,   /* tree */
    SCENE_N_TEXTURES
} scene_texture;
/* Texture is added to the base colour: swing times about -1..1. The swing's sign and size are each surface's
 * own, so a mean over pictures shows nothing of the texture. */
typedef struct {
    scene_rgb base, swing;
    float zoom, u, v; /* on the texture's usual period; where it starts */
    float light, rim; /* brightness gained from top to bottom and at the rim */
    uint32_t seed;
} scene_paint;

typedef enum { SCENE_ELLIPSE, SCENE_DOME, SCENE_BOX, SCENE_CAPSULE, SCENE_POLYGON, SCENE_RING } scene_shape;
enum { SCENE_MAX_EDGES = 6, SCENE_MAX_PRIMS = 48 };
/* One convex piece in object coordinates: about -1..1, y down. box is its extent. */
typedef struct {
    scene_shape shape;
    uint8_t part, n_edges, i_paint, texture;
    float p[8], edge[SCENE_MAX_EDGES][3], box[4];
    float outline; /* width of the darkened rim */
} scene_prim;

enum { SCENE_N_ROLES = 4 }; /* 0 main, 1 second, 2 third, 3 detail: differ from their neighbours */
typedef struct {
    ehm_rng *rng;
    int32_t n;
    scene_prim prim[SCENE_MAX_PRIMS];
    scene_paint paint[SCENE_N_ROLES];
} scene_object;

/* Where an object stands: object coordinates times scale_px, mirrored, turned, moved. */
typedef struct {
    float x, y, scale_px, cos_a, sin_a;
    bool mirrored;
} scene_place;

typedef struct {
    int32_t w, h;
    float *rgb;                     /* [h,w,3] 0..1 and beyond before lighting */
    uint8_t *label, *object, *part; /* [h,w]; all NULL where no map is wanted */
} scene_canvas;

typedef struct {
    int32_t kind; /* one of SCENE_BACKDROP_ */
    scene_rgb c[4];
    float f[8];
    uint32_t seed;
} scene_backdrop;
enum {
    SCENE_BACKDROP_field,
    SCENE_BACKDROP_water,
    SCENE_BACKDROP_hills,
    SCENE_BACKDROP_bricks,
    SCENE_BACKDROP_tiles,
    SCENE_BACKDROP_planks,
    SCENE_BACKDROP_wallpaper,
    SCENE_BACKDROP_sand,
    SCENE_N_BACKDROPS
};

/* ---- scenes_paint.c ---- */
float scene_uniform(ehm_rng *r, float lo, float hi);
void scene_sincos(float *s, float *c, float turns); /* of 2 pi turns; our own polynomial, error below 2e-6 */
uint32_t scene_hash(uint32_t x, uint32_t y, uint32_t seed);
float scene_noise(float x, float y, uint32_t seed); /* smooth lattice noise, 0..1 */
void scene_object_draw(scene_canvas *cv, const scene_object *o, const scene_place *at, uint8_t label,
                       uint8_t instance);

/* ---- scenes_backdrop.c ---- */
void scene_backdrop_pick(scene_backdrop *b, ehm_rng *r);
void scene_backdrop_draw(scene_canvas *cv, const scene_backdrop *b);
const char *scene_backdrop_phrase(const scene_backdrop *b); /* "in a field", for captions */

/* ---- scenes_kinds.c ---- */
void scene_object_build(scene_object *o, int32_t kind); /* rng and paint set before */
void scene_clutter_build(scene_object *o);
/* Pieces, for builders. */
void scene_ellipse(scene_object *o, int32_t part, int32_t role, float cx, float cy, float rx, float ry,
                   float turns);
void scene_dome(scene_object *o, int32_t part, int32_t role, float cx, float cy, float rx,
                float ry); /* upper half; ry < 0: lower */
void scene_box(scene_object *o, int32_t part, int32_t role, float cx, float cy, float hw, float hh,
               float round, float turns);
void scene_line(scene_object *o, int32_t part, int32_t role, float x0, float y0, float x1, float y1, float r0,
                float r1);
void scene_ring(scene_object *o, int32_t part, int32_t role, float cx, float cy, float r, float thick);
void scene_polygon(scene_object *o, int32_t part, int32_t role, const float (*xy)[2], int32_t n,
                   float round); /* convex, any direction */
#endif
