/* Scenes: how each kind of object is put together. Coordinates run about -1..1, y down; pieces are laid over
 * each other in order. Proportions, counts and poses vary from picture to picture; which pieces touch which
 * does not. */
#include "data/scenes_int.h"
#include <math.h>

/* A part's texture; parts too small to show one are plain. */
static const uint8_t part_texture[SCENE_N_PARTS] = {
    [SCENE_PART_clutter] = SCENE_MOTTLED,
    [SCENE_PART_bird_body] = SCENE_FEATHERS,    [SCENE_PART_bird_head] = SCENE_FEATHERS,
    [SCENE_PART_bird_wing] = SCENE_FEATHERS,    [SCENE_PART_bird_tail] = SCENE_FEATHERS,
    [SCENE_PART_boat_hull] = SCENE_CLINKER,     [SCENE_PART_boat_sail] = SCENE_CLINKER,
    [SCENE_PART_car_body] = SCENE_BANDS,        [SCENE_PART_car_cabin] = SCENE_BANDS,
    [SCENE_PART_car_window] = SCENE_BANDS,      [SCENE_PART_cat_body] = SCENE_FUR,
    [SCENE_PART_cat_head] = SCENE_FUR,          [SCENE_PART_cat_tail] = SCENE_FUR,
    [SCENE_PART_cat_ear] = SCENE_FUR,           [SCENE_PART_fish_body] = SCENE_SCALES,
    [SCENE_PART_fish_tail] = SCENE_SCALES,      [SCENE_PART_fish_fin] = SCENE_SCALES,
    [SCENE_PART_flower_petal] = SCENE_VEINS,    [SCENE_PART_flower_leaf] = SCENE_VEINS,
    [SCENE_PART_flower_core] = SCENE_VEINS,     [SCENE_PART_house_wall] = SCENE_COURSES,
    [SCENE_PART_house_roof] = SCENE_COURSES,    [SCENE_PART_house_chimney] = SCENE_COURSES,
    [SCENE_PART_lamp_shade] = SCENE_MESH,       [SCENE_PART_lamp_base] = SCENE_MESH,
    [SCENE_PART_mug_cup] = SCENE_SPOTS,         [SCENE_PART_mug_handle] = SCENE_SPOTS,
    [SCENE_PART_mug_band] = SCENE_SPOTS,        [SCENE_PART_person_torso] = SCENE_TWILL,
    [SCENE_PART_person_arm] = SCENE_TWILL,      [SCENE_PART_person_leg] = SCENE_TWILL,
    [SCENE_PART_person_hair] = SCENE_TWILL,     [SCENE_PART_robot_torso] = SCENE_PLATES,
    [SCENE_PART_robot_head] = SCENE_PLATES,     [SCENE_PART_robot_arm] = SCENE_PLATES,
    [SCENE_PART_robot_leg] = SCENE_PLATES,      [SCENE_PART_robot_panel] = SCENE_PLATES,
    [SCENE_PART_tree_crown] = SCENE_LEAVES,     [SCENE_PART_tree_trunk] = SCENE_LEAVES,
};

static scene_prim *next(scene_object *o, scene_shape shape, int32_t part, int32_t role) {
    EHM_ASSERT(o->n < SCENE_MAX_PRIMS);
    scene_prim *m = &o->prim[o->n++];
    *m = (scene_prim){.shape = shape, .part = (uint8_t)part, .i_paint = (uint8_t)role,
                      .texture = part_texture[part]};
    return m;
}
static void extent(scene_prim *m, float cx, float cy, float rx, float ry) {
    m->box[0] = cx - rx, m->box[1] = cy - ry, m->box[2] = cx + rx, m->box[3] = cy + ry;
    float least = rx < ry ? rx : ry;
    m->outline = least < .09f ? 0 : least < .3f ? least * .2f : .06f; /* small pieces would be all rim */
}
static float magnitude(float x) { return x < 0 ? -x : x; }

void scene_ellipse(scene_object *o, int32_t part, int32_t role, float cx, float cy, float rx, float ry,
                   float turns) {
    scene_prim *m = next(o, SCENE_ELLIPSE, part, role);
    m->p[0] = cx, m->p[1] = cy, m->p[2] = 1 / rx, m->p[3] = 1 / ry;
    scene_sincos(&m->p[5], &m->p[4], turns);
    m->p[6] = rx < ry ? rx : ry;
    float c = magnitude(m->p[4]), s = magnitude(m->p[5]);
    extent(m, cx, cy, c * rx + s * ry, s * rx + c * ry);
}
void scene_dome(scene_object *o, int32_t part, int32_t role, float cx, float cy, float rx, float ry) {
    float up = ry > 0 ? 1.0f : -1.0f, h = ry * up;
    scene_prim *m = next(o, SCENE_DOME, part, role);
    m->p[0] = cx, m->p[1] = cy, m->p[2] = 1 / rx, m->p[3] = 1 / h, m->p[4] = 1, m->p[5] = 0,
    m->p[6] = rx < h ? rx : h, m->p[7] = up;
    extent(m, cx, cy - up * h * .5f, rx, h * .5f);
}
void scene_box(scene_object *o, int32_t part, int32_t role, float cx, float cy, float hw, float hh,
               float round, float turns) {
    scene_prim *m = next(o, SCENE_BOX, part, role);
    float least = hw < hh ? hw : hh;
    if (round > least) round = least;
    m->p[0] = cx, m->p[1] = cy, m->p[2] = hw - round, m->p[3] = hh - round, m->p[6] = round;
    scene_sincos(&m->p[5], &m->p[4], turns);
    float c = magnitude(m->p[4]), s = magnitude(m->p[5]);
    extent(m, cx, cy, c * hw + s * hh, s * hw + c * hh);
    m->outline = least < .09f ? 0 : least < .3f ? least * .2f : .06f;
}
void scene_line(scene_object *o, int32_t part, int32_t role, float x0, float y0, float x1, float y1, float r0,
                float r1) {
    scene_prim *m = next(o, SCENE_CAPSULE, part, role);
    float dx = x1 - x0, dy = y1 - y0, r = r0 > r1 ? r0 : r1, len2 = dx * dx + dy * dy;
    m->p[0] = x0, m->p[1] = y0, m->p[2] = dx, m->p[3] = dy, m->p[4] = len2 > 1e-8f ? 1 / len2 : 0,
    m->p[5] = r0, m->p[6] = r1 - r0;
    extent(m, (x0 + x1) * .5f, (y0 + y1) * .5f, magnitude(dx) * .5f + r, magnitude(dy) * .5f + r);
    m->outline = r < .09f ? 0 : r * .3f;
}
void scene_ring(scene_object *o, int32_t part, int32_t role, float cx, float cy, float r, float thick) {
    scene_prim *m = next(o, SCENE_RING, part, role);
    m->p[0] = cx, m->p[1] = cy, m->p[2] = r, m->p[3] = thick;
    extent(m, cx, cy, r + thick, r + thick);
    m->outline = thick < .07f ? 0 : thick * .3f;
}
void scene_polygon(scene_object *o, int32_t part, int32_t role, const float (*xy)[2], int32_t n,
                   float round) {
    scene_prim *m = next(o, SCENE_POLYGON, part, role);
    float x0 = xy[0][0], x1 = x0, y0 = xy[0][1], y1 = y0, area = 0;
    for (int32_t i = 0; i < n; i++) {
        const float *a = xy[i], *b = xy[(i + 1) % n];
        if (a[0] < x0) x0 = a[0];
        if (a[0] > x1) x1 = a[0];
        if (a[1] < y0) y0 = a[1];
        if (a[1] > y1) y1 = a[1];
        float cross = a[0] * b[1] - b[0] * a[1];
        area += cross;
    }
    float turn = area > 0 ? 1.0f : -1.0f;
    for (int32_t i = 0; i < n && i < SCENE_MAX_EDGES; i++) {
        const float *a = xy[i], *b = xy[(i + 1) % n];
        float dx = b[0] - a[0], dy = b[1] - a[1], len = sqrtf(dx * dx + dy * dy);
        if (len < 1e-6f) continue;
        float nx = turn * dy / len, ny = -turn * dx / len;
        float *e = m->edge[m->n_edges++];
        e[0] = nx, e[1] = ny, e[2] = nx * a[0] + ny * a[1];
    }
    m->p[0] = round;
    extent(m, (x0 + x1) * .5f, (y0 + y1) * .5f, (x1 - x0) * .5f + round, (y1 - y0) * .5f + round);
}

#define J(lo, hi) scene_uniform(o->rng, (lo), (hi))
#define MAYBE(p) (ehm_rng_f32(o->rng) < (p))
#define POLY(part, role, round, ...)                                                                         \
    scene_polygon(o, (part), (role), (const float[][2]){__VA_ARGS__},                                        \
                  (int32_t)(sizeof((const float[][2]){__VA_ARGS__}) / sizeof(float[2])), (round))
#define P(kind, part) SCENE_PART_##kind##_##part

static void build_bird(scene_object *o) {
    float tilt = J(-.06f, .04f), rx = J(.48f, .60f), ry = J(.32f, .40f), hx = J(.46f, .58f),
          hy = J(-.52f, -.36f), hr = J(.23f, .29f);
    float beak = J(.25f, .38f), tail = J(.34f, .50f), lift = J(-.25f, .05f), legs = J(.24f, .36f);
    POLY(P(bird, tail), 1, .03f, {-.35f, -.08f}, {-.45f - tail, lift - .14f}, {-.45f - tail, lift + .16f},
         {-.35f, .18f});
    scene_line(o, P(bird, leg), 3, -.08f, .25f, -.14f, .35f + legs, .045f, .045f);
    scene_line(o, P(bird, leg), 3, .14f, .25f, .14f, .35f + legs, .045f, .045f);
    scene_line(o, P(bird, leg), 3, -.14f, .35f + legs, .04f, .38f + legs, .04f, .04f);
    scene_line(o, P(bird, leg), 3, .14f, .35f + legs, .32f, .38f + legs, .04f, .04f);
    scene_ellipse(o, P(bird, body), 0, 0, .05f, rx, ry, tilt);
    POLY(P(bird, beak), 2, .01f, {hx + hr * .6f, hy - .12f}, {hx + hr + beak, hy + .03f},
         {hx + hr * .6f, hy + .13f});
    scene_ellipse(o, P(bird, head), 0, hx, hy, hr, hr, 0);
    scene_ellipse(o, P(bird, wing), 1, -.12f, .02f + lift * .2f, rx * .58f, ry * .50f, tilt - .05f);
    scene_ellipse(o, P(bird, eye), 3, hx + .08f, hy - .05f, .06f, .06f, 0);
}
static void build_boat(scene_object *o) {
    float top = J(.30f, .42f), low = J(.72f, .86f), bow = J(.80f, .95f), stern = J(.62f, .85f),
          mx = J(-.12f, .12f), mast = J(-.95f, -.80f), jib = J(.40f, .62f), main = J(.50f, .70f),
          boom = J(.14f, .22f);
    scene_line(o, P(boat, mast), 3, mx, top + .05f, mx, mast, .05f, .04f);
    POLY(P(boat, sail), 1, .01f, {mx + .07f, mast + .1f}, {mx + .07f, boom}, {mx + .07f + main, boom});
    if (MAYBE(.75f))
        POLY(P(boat, sail), 2, .01f, {mx - .07f, mast + .22f}, {mx - .07f, boom}, {mx - .07f - jib, boom});
    if (MAYBE(.6f)) POLY(P(boat, flag), 2, 0, {mx, mast}, {mx, mast + .16f}, {mx - .28f, mast + .08f});
    POLY(P(boat, hull), 0, .02f, {-stern, top}, {bow, top}, {bow - .34f, low}, {-stern + .2f, low});
    if (MAYBE(.5f)) scene_box(o, P(boat, hull), 2, .02f, top + .1f, .62f, .04f, 0, 0);
}
static void build_car(scene_object *o) {
    float len = J(.82f, .95f), top = J(-.12f, .02f), low = J(.36f, .46f), roof = J(-.58f, -.44f),
          c0 = J(-.62f, -.45f), c1 = J(.30f, .48f), rake = J(.16f, .30f), r = J(.21f, .27f),
          w0 = J(-.58f, -.48f), w1 = J(.46f, .58f);
    POLY(P(car, cabin), 1, .03f, {c0 + rake * .6f, roof}, {c1 - rake, roof}, {c1 + .08f, top + .08f},
         {c0 - .06f, top + .08f});
    float split = (c0 + c1) * .5f - .05f;
    POLY(P(car, window), 2, .01f, {c0 + rake * .6f + .05f, roof + .09f}, {split - .04f, roof + .09f},
         {split - .04f, top}, {c0 + .07f, top});
    POLY(P(car, window), 2, .01f, {split + .05f, roof + .09f}, {c1 - rake - .02f, roof + .09f},
         {c1 - .06f, top}, {split + .05f, top});
    scene_box(o, P(car, body), 0, 0, (top + low) * .5f, len, (low - top) * .5f, .13f, 0);
    scene_ellipse(o, P(car, headlight), 2, len - .1f, top + .14f, .07f, .07f, 0);
    scene_ellipse(o, P(car, wheel), 3, w0, low, r, r, 0);
    scene_ellipse(o, P(car, wheel), 3, w1, low, r, r, 0);
    scene_ellipse(o, P(car, wheel), 1, w0, low, r * .45f, r * .45f, 0);
    scene_ellipse(o, P(car, wheel), 1, w1, low, r * .45f, r * .45f, 0);
}
static void build_cat(scene_object *o) {
    float bw = J(.36f, .46f), bh = J(.46f, .54f), hw = J(.36f, .44f), hh = J(.30f, .36f),
          hy = J(-.42f, -.32f), ear = J(.30f, .42f), tx = J(.62f, .80f), ty = J(-.20f, .15f);
    float lean = J(-.08f, .08f);
    scene_line(o, P(cat, tail), 1, bw * .6f, .78f, tx, .60f, .09f, .09f);
    scene_line(o, P(cat, tail), 1, tx, .60f, tx + .06f, ty, .09f, .06f);
    scene_ellipse(o, P(cat, body), 0, 0, .42f, bw, bh, 0);
    scene_ellipse(o, P(cat, paw), 1, -.20f, .86f, .15f, .09f, 0);
    scene_ellipse(o, P(cat, paw), 1, .20f, .86f, .15f, .09f, 0);
    POLY(P(cat, ear), 1, .02f, {lean - hw * .95f, hy - .02f}, {lean - hw * .80f, hy - ear - .14f},
         {lean - hw * .15f, hy - hh * .8f});
    POLY(P(cat, ear), 1, .02f, {lean + hw * .95f, hy - .02f}, {lean + hw * .80f, hy - ear - .14f},
         {lean + hw * .15f, hy - hh * .8f});
    scene_ellipse(o, P(cat, head), 0, lean, hy, hw, hh, 0);
    scene_ellipse(o, P(cat, face), 3, lean - .16f, hy - .03f, .07f, .09f, 0);
    scene_ellipse(o, P(cat, face), 3, lean + .16f, hy - .03f, .07f, .09f, 0);
    POLY(P(cat, face), 2, .01f, {lean - .08f, hy + .09f}, {lean + .08f, hy + .09f}, {lean, hy + .18f});
}
static void build_fish(scene_object *o) {
    float rx = J(.58f, .68f), ry = J(.30f, .42f), tail = J(.30f, .42f), fan = J(.26f, .40f),
          fin = J(.22f, .36f), ex = J(.34f, .42f);
    POLY(P(fish, tail), 1, .02f, {-rx * .72f, 0}, {-rx - tail * .75f, -fan}, {-rx - tail * .40f, 0});
    POLY(P(fish, tail), 1, .02f, {-rx * .72f, 0}, {-rx - tail * .75f, fan}, {-rx - tail * .40f, 0});
    POLY(P(fish, fin), 1, .02f, {-.28f, -ry * .7f}, {-.18f, -ry - fin}, {.24f, -ry * .8f});
    if (MAYBE(.7f)) POLY(P(fish, fin), 1, .02f, {-.18f, ry * .7f}, {-.22f, ry + fin * .6f}, {.10f, ry * .8f});
    scene_ellipse(o, P(fish, body), 0, 0, 0, rx, ry, 0);
    POLY(P(fish, fin), 2, .01f, {.12f, .02f}, {-.16f, -.06f}, {-.16f, .20f});
    scene_ellipse(o, P(fish, eye), 2, ex, -.08f, .10f, .10f, 0);
    scene_ellipse(o, P(fish, eye), 3, ex + .02f, -.08f, .055f, .055f, 0);
}
static void build_flower(scene_object *o) {
    int32_t n = 5 + (int32_t)ehm_rng_below(o->rng, 4);
    float cy = J(-.42f, -.30f), bend = J(-.14f, .14f), reach = J(.34f, .42f), turn = J(0, 1),
          core = J(.15f, .20f);
    float wide = n <= 5 ? J(.17f, .21f) : J(.13f, .17f);
    float l0 = J(.24f, .40f), l1 = J(.40f, .60f);
    scene_line(o, P(flower, stem), 3, bend, .95f, 0, cy, .06f, .05f);
    scene_ellipse(o, P(flower, leaf), 2, -.24f, l0, .26f, .10f, .08f);
    scene_ellipse(o, P(flower, leaf), 2, .25f, l1, .26f, .10f, -.08f);
    for (int32_t i = 0; i < n; i++) {
        float s, c, t = turn + (float)i / (float)n;
        scene_sincos(&s, &c, t);
        scene_ellipse(o, P(flower, petal), 0, c * reach, cy + s * reach, .24f, wide, t);
    }
    scene_ellipse(o, P(flower, core), 1, 0, cy, core, core, 0);
}
static void build_house(scene_object *o) {
    float w = J(.58f, .72f), top = J(-.20f, -.02f), apex = J(-.90f, -.70f), ax = J(-.12f, .12f),
          flat = J(0, .26f), over = J(.08f, .2f), dx = J(-.30f, .30f), side = MAYBE(.5f) ? 1.0f : -1.0f;
    float door = J(.11f, .16f), tall = J(.21f, .27f), win = J(.12f, .16f);
    if (MAYBE(.75f))
        scene_box(o, P(house, chimney), 2, side * w * .62f, (apex + top) * .5f - .08f, .10f, .30f, 0, 0);
    scene_box(o, P(house, wall), 0, 0, (top + .85f) * .5f, w, (.85f - top) * .5f, 0, 0);
    POLY(P(house, roof), 1, .01f, {-w - over, top + .05f}, {ax - flat, apex}, {ax + flat, apex},
         {w + over, top + .05f});
    scene_box(o, P(house, door), 2, dx, .85f - tall, door, tall, 0, 0);
    for (int32_t i = 0; i < 2; i++) {
        float x = i ? w * .60f : -w * .60f, y = top + .32f;
        if (magnitude(x - dx) < door + win) continue;
        scene_box(o, P(house, window), 3, x, y, win, win, 0, 0);
        scene_box(o, P(house, window), 0, x, y, win, .025f, 0, 0);
        scene_box(o, P(house, window), 0, x, y, .025f, win, 0, 0);
    }
}
static void build_lamp(scene_object *o) {
    float top = J(-.92f, -.78f), low = J(-.30f, -.14f), w0 = J(.20f, .34f), w1 = J(.56f, .74f),
          base = J(.34f, .48f), sway = J(-.10f, .10f), bulb = J(.14f, .20f);
    scene_line(o, P(lamp, pole), 3, sway, .80f, 0, low - .1f, .055f, .055f);
    scene_dome(o, P(lamp, base), 2, sway, .90f, base, .20f);
    scene_ellipse(o, P(lamp, bulb), 1, 0, low + .04f, bulb, bulb, 0);
    POLY(P(lamp, shade), 0, .01f, {-w0, top}, {w0, top}, {w1, low}, {-w1, low});
    if (MAYBE(.5f)) scene_box(o, P(lamp, shade), 1, 0, low - .05f, w1 * .96f, .05f, 0, 0);
}
static void build_mug(scene_object *o) {
    float w = J(.48f, .58f), top = J(-.68f, -.50f), low = J(.58f, .74f), r = J(.27f, .36f),
          thick = J(.065f, .09f), rim = J(.12f, .17f), taper = J(.80f, 1.0f), hy = J(-.08f, .10f);
    scene_ring(o, P(mug, handle), 1, w + r * .45f, hy, r, thick);
    POLY(P(mug, cup), 0, 0, {-w, top}, {w, top}, {w * taper, low}, {-w * taper, low});
    scene_dome(o, P(mug, cup), 0, 0, low - .01f, w * taper, -rim);
    if (MAYBE(.55f))
        scene_box(o, P(mug, band), 1, 0, (top + low) * .5f + .08f, w * (taper * .5f + .48f), .11f, 0, 0);
    scene_ellipse(o, P(mug, cup), 0, 0, top, w, rim, 0);
    scene_ellipse(o, P(mug, inside), 2, 0, top, w * .85f, rim * .72f, 0);
}
static void build_person(scene_object *o) {
    float hr = J(.17f, .22f), hy = J(-.76f, -.68f), sh = J(.24f, .32f), hip = J(.16f, .22f),
          waist = J(.10f, .20f), spread = J(.10f, .34f), a0 = J(-.12f, .22f), a1 = J(-.12f, .22f);
    float arm = J(.52f, .62f), s, c;
    scene_line(o, P(person, leg), 1, -.11f, waist, -.11f - spread * .6f, .92f, .12f, .085f);
    scene_line(o, P(person, leg), 1, .11f, waist, .11f + spread * .6f, .92f, .12f, .085f);
    scene_sincos(&s, &c, .125f - a0); /* from hanging to raised */
    scene_line(o, P(person, arm), 2, -sh, -.38f, -sh - arm * c, -.38f + arm * s, .085f, .065f);
    scene_sincos(&s, &c, .125f - a1);
    scene_line(o, P(person, arm), 2, sh, -.38f, sh + arm * c, -.38f + arm * s, .085f, .065f);
    POLY(P(person, torso), 0, .05f, {-sh, -.44f}, {sh, -.44f}, {hip, waist + .06f}, {-hip, waist + .06f});
    scene_ellipse(o, P(person, head), 2, 0, hy, hr, hr * 1.12f, 0);
    scene_dome(o, P(person, hair), 3, 0, hy - .02f, hr * 1.08f, hr * 1.2f);
}
static void build_robot(scene_object *o) {
    float hw = J(.26f, .36f), hh = J(.19f, .25f), hy = J(-.52f, -.44f), tw = J(.34f, .46f),
          arm = J(.30f, .44f), leg = J(.34f, .42f), eye = J(.07f, .09f), ant = J(.16f, .26f);
    float swing = J(-.06f, .06f), ty = hy + hh + .40f;
    scene_line(o, P(robot, antenna), 3, 0, hy - hh, 0, hy - hh - ant, .035f, .035f);
    scene_ellipse(o, P(robot, antenna), 2, 0, hy - hh - ant, .08f, .08f, 0);
    scene_box(o, P(robot, leg), 1, -tw * .5f, ty + .34f + leg * .5f, .11f, leg * .5f, 0, 0);
    scene_box(o, P(robot, leg), 1, tw * .5f, ty + .34f + leg * .5f, .11f, leg * .5f, 0, 0);
    scene_box(o, P(robot, arm), 1, -tw - .13f, ty - .28f + arm * .8f, .10f, arm * .85f, .03f, swing);
    scene_box(o, P(robot, arm), 1, tw + .13f, ty - .28f + arm * .8f, .10f, arm * .85f, .03f, -swing);
    scene_box(o, P(robot, torso), 0, 0, ty, tw, .37f, .05f, 0);
    scene_box(o, P(robot, panel), 2, 0, ty + .02f, tw * .55f, .18f, 0, 0);
    scene_box(o, P(robot, head), 0, 0, hy, hw, hh, .04f, 0);
    scene_box(o, P(robot, eye), 3, -hw * .45f, hy - .03f, eye, eye, 0, 0);
    scene_box(o, P(robot, eye), 3, hw * .45f, hy - .03f, eye, eye, 0, 0);
}
static void build_tree(scene_object *o) {
    bool conifer = MAYBE(.4f);
    float trunk = J(.09f, .14f), flare = J(.02f, .06f), mid = J(.15f, .30f);
    POLY(P(tree, trunk), 1, .01f, {-trunk, mid}, {trunk, mid}, {trunk + flare, .95f}, {-trunk - flare, .95f});
    if (conifer) {
        float w = J(.52f, .68f), top = J(-.98f, -.88f);
        POLY(P(tree, crown), 0, .01f, {0, mid - .55f}, {w, mid + .18f}, {-w, mid + .18f});
        POLY(P(tree, crown), 0, .01f, {0, mid - .85f}, {w * .80f, mid - .22f}, {-w * .80f, mid - .22f});
        POLY(P(tree, crown), 0, .01f, {0, top}, {w * .58f, mid - .58f}, {-w * .58f, mid - .58f});
        return;
    }
    float r = J(.36f, .44f), cy = J(-.44f, -.34f), turn = J(0, 1);
    for (int32_t i = 0; i < 5; i++) {
        float s, c, rr = r * J(.85f, 1.1f);
        scene_sincos(&s, &c, turn + (float)i * .2f);
        scene_ellipse(o, P(tree, crown), 0, c * .34f, cy + s * .26f, rr, rr * .92f, 0);
    }
    scene_ellipse(o, P(tree, crown), 0, 0, cy, r, r * .92f, 0);
    o->prim[o->n - 1].outline = 0; /* the middle has no edge of its own */
    int32_t n_fruit = MAYBE(.5f) ? 3 + (int32_t)ehm_rng_below(o->rng, 4) : 0;
    for (int32_t i = 0; i < n_fruit; i++) {
        float x = J(-.45f, .45f), y = J(-.32f, .32f);
        scene_ellipse(o, P(tree, fruit), 2, x, cy + y, .075f, .075f, 0);
    }
}

void scene_object_build(scene_object *o, int32_t kind) {
    o->n = 0;
    switch (kind) {
#define KIND(name)                                                                                           \
    case SCENE_KIND_##name:                                                                                  \
        build_##name(o);                                                                                     \
        break;
#include "data/scenes.def"
#undef KIND
    default: EHM_ASSERT(0);
    }
}

/* Shapes that no kind is: one to three pieces of any form in any order. */
void scene_clutter_build(scene_object *o) {
    o->n = 0;
    int32_t n = 1 + (int32_t)ehm_rng_below(o->rng, 3);
    for (int32_t i = 0; i < n; i++) {
        uint32_t shape = ehm_rng_below(o->rng, 5);
        int32_t role = (int32_t)ehm_rng_below(o->rng, 3);
        float x = i ? J(-.5f, .5f) : 0, y = i ? J(-.5f, .5f) : 0, a = J(.35f, .85f), b = J(.30f, .70f),
              t = J(0, 1);
        if (i) a *= .55f, b *= .55f;
        switch (shape) {
        case 0: scene_ellipse(o, SCENE_PART_clutter, role, x, y, a, b, t); break;
        case 1: scene_box(o, SCENE_PART_clutter, role, x, y, a, b, .1f * b, t); break;
        case 2:
            POLY(SCENE_PART_clutter, role, .02f, {x - a, y + b * .6f}, {x + a * .8f, y + b},
                 {x + (t - .5f), y - b});
            break;
        case 3: {
            float s, c;
            scene_sincos(&s, &c, t);
            scene_line(o, SCENE_PART_clutter, role, x - a * c, y - a * s, x + a * c, y + a * s, .16f,
                       .10f + .1f * b);
            break;
        }
        default: scene_ring(o, SCENE_PART_clutter, role, x, y, a * .7f, .12f);
        }
    }
}
