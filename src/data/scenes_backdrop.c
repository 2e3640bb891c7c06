/* Scenes: what stands behind everything. Colours and layout say nothing about the picture's class. */
#include "data/scenes_int.h"

/* Sky and ground are equally bright on average: else the row of a patch, and so the height of an object's
 * bulk, could be read from its mean. */
static const scene_rgb sky_colours[] = {{.40f, .60f, .85f}, {.62f, .72f, .84f}, {.86f, .60f, .44f},
                                        {.52f, .52f, .58f}, {.20f, .23f, .40f}, {.72f, .62f, .72f}};
static const scene_rgb ground_colours[] = {{.40f, .66f, .34f}, {.62f, .70f, .42f}, {.80f, .70f, .46f},
                                           {.58f, .50f, .44f}, {.88f, .90f, .93f}, {.38f, .52f, .52f}};
static const scene_rgb water_colours[] = {
    {.25f, .48f, .66f}, {.30f, .62f, .66f}, {.45f, .54f, .58f}, {.18f, .30f, .48f}, {.55f, .72f, .80f}};
static const scene_rgb wall_colours[] = {
    {.65f, .33f, .25f}, {.80f, .72f, .62f}, {.55f, .55f, .58f}, {.40f, .30f, .28f}, {.90f, .85f, .75f},
    {.35f, .45f, .55f}, {.70f, .55f, .65f}, {.50f, .65f, .60f}, {.85f, .60f, .40f}, {.60f, .48f, .33f}};
#define PICK(r, list) ((list)[ehm_rng_below((r), (uint32_t)(sizeof(list) / sizeof(list)[0]))])

static scene_rgb jitter(scene_rgb c, ehm_rng *r) {
    float all = scene_uniform(r, -.08f, .08f), a = scene_uniform(r, -.06f, .06f),
          b = scene_uniform(r, -.06f, .06f), d = scene_uniform(r, -.06f, .06f);
    return (scene_rgb){c.r + all + a, c.g + all + b, c.b + all + d};
}
static scene_rgb mix(scene_rgb a, scene_rgb b, float k) {
    return (scene_rgb){a.r + (b.r - a.r) * k, a.g + (b.g - a.g) * k, a.b + (b.b - a.b) * k};
}
static scene_rgb scaled(scene_rgb a, float k) { return (scene_rgb){a.r * k, a.g * k, a.b * k}; }

void scene_backdrop_pick(scene_backdrop *b, ehm_rng *r) {
    *b = (scene_backdrop){.kind = (int32_t)ehm_rng_below(r, SCENE_N_BACKDROPS), .seed = ehm_rng_u32(r)};
    /* Every kind draws the same numbers, so that a new kind changes no other. */
    for (int32_t i = 0; i < 8; i++) b->f[i] = ehm_rng_f32(r);
    scene_rgb sky = PICK(r, sky_colours), ground = PICK(r, ground_colours), water = PICK(r, water_colours),
              wall = PICK(r, wall_colours);
    scene_rgb other = PICK(r, wall_colours);
    switch (b->kind) {
    case SCENE_BACKDROP_field:
        b->c[0] = sky, b->c[1] = mix(sky, (scene_rgb){1, 1, 1}, .25f), b->c[2] = ground,
        b->c[3] = scaled(ground, .72f);
        break;
    case SCENE_BACKDROP_water:
        b->c[0] = sky, b->c[1] = mix(sky, (scene_rgb){1, 1, 1}, .2f), b->c[2] = water,
        b->c[3] = mix(water, sky, .55f);
        break;
    case SCENE_BACKDROP_hills:
        b->c[0] = sky, b->c[1] = mix(sky, (scene_rgb){1, 1, .95f}, .3f), b->c[2] = mix(ground, sky, .45f),
        b->c[3] = ground;
        break;
    case SCENE_BACKDROP_sand:
        b->c[0] = ground, b->c[1] = mix(ground, wall, .5f), b->c[2] = ground, b->c[3] = wall;
        break;
    default: b->c[0] = wall, b->c[1] = scaled(wall, .70f), b->c[2] = other, b->c[3] = mix(wall, other, .35f);
    }
    for (int32_t i = 0; i < 4; i++) b->c[i] = jitter(b->c[i], r);
}

const char *scene_backdrop_phrase(const scene_backdrop *b) {
    static const char *const phrase[SCENE_N_BACKDROPS] = {
        "in a field", "by the water",       "in front of hills",     "in front of bricks",
        "on tiles",   "in front of planks", "in front of wallpaper", "on sand"};
    return phrase[b->kind];
}

static float wave(float x) { /* a sine's shape from a parabola, period 1 */
    float t = x - (float)(int32_t)x;
    if (t < 0) t += 1;
    return t < 0.5f ? 16 * t * (0.5f - t) : -16 * (t - 0.5f) * (1 - t);
}
static float frac(float x) {
    float t = x - (float)(int32_t)x;
    return t < 0 ? t + 1 : t;
}
static float cell_shade(int32_t x, int32_t y, uint32_t seed) {
    return (float)(scene_hash((uint32_t)x, (uint32_t)y, seed) >> 8) * 0x1p-24f;
}
static int32_t cell(float x) {
    int32_t i = (int32_t)x;
    return i - ((float)i > x);
}
static float soft_step(float d_px) { return d_px < -.5f ? 0 : d_px > .5f ? 1 : d_px + .5f; }

/* One pixel; u, v in short sides, px the length of a short side in pixels. Returns the pixel class. */
static uint8_t backdrop_at(const scene_backdrop *b, float u, float v, float px, scene_rgb *out) {
    const float *f = b->f;
    const scene_rgb *c = b->c;
    switch (b->kind) {
    case SCENE_BACKDROP_field: {
        float horizon = .35f + .4f * f[0] + (f[1] - .5f) * .15f * (u - .5f);
        float k = soft_step((v - horizon) * px), n = scene_noise(u * 6, v * 10, b->seed),
              cloud = scene_noise(u * 2.5f, v * 6, b->seed + 1);
        scene_rgb top =
            mix(mix(c[0], c[1], v / horizon), (scene_rgb){1, 1, 1}, cloud > .55f ? (cloud - .55f) * 1.4f : 0);
        *out = mix(top, mix(c[2], c[3], n), k);
        return k > .5f ? SCENE_BG_field : SCENE_BG_sky;
    }
    case SCENE_BACKDROP_water: {
        float horizon = .2f + .4f * f[0], k = soft_step((v - horizon) * px), depth = v - horizon + .15f;
        float sway = scene_noise(u * 4, v * 9, b->seed) * .9f,
              w = wave((v * (5 + 3 * f[2]) / (depth + .35f)) + sway + f[1]);
        *out = mix(mix(c[0], c[1], v / horizon), mix(c[2], c[3], w > .1f ? (w - .1f) * .9f : 0), k);
        return k > .5f ? SCENE_BG_water : SCENE_BG_sky;
    }
    case SCENE_BACKDROP_hills: {
        float far = .25f + .25f * f[0] + .30f * (scene_noise(u * 2.6f + 7, 0, b->seed) - .5f);
        float near = .55f + .25f * f[1] + .25f * (scene_noise(u * 1.8f, 3, b->seed + 1) - .5f);
        float kf = soft_step((v - far) * px), kn = soft_step((v - near) * px),
              n = scene_noise(u * 7, v * 7, b->seed + 2);
        *out = mix(mix(mix(c[0], c[1], v * 1.6f), scaled(c[2], .92f + .16f * n), kf),
                   scaled(c[3], .85f + .3f * n), kn);
        return kf > .5f || kn > .5f ? SCENE_BG_hill : SCENE_BG_sky;
    }
    case SCENE_BACKDROP_bricks: {
        float rows = 3 + 2 * f[0], y = v * rows + f[1],
              x = u * rows * (.4f + .2f * f[2]) + f[3] + (cell(y) & 1 ? .5f : 0);
        float ex = frac(x), ey = frac(y), ax = (ex < .5f ? ex : 1 - ex) / (.4f + .2f * f[2]),
              ay = ey < .5f ? ey : 1 - ey;
        float joint = soft_step(((ax < ay ? ax : ay) - .09f) / rows * px),
              s = cell_shade(cell(x), cell(y), b->seed);
        *out = mix(c[3], scaled(mix(c[0], c[1], s), .95f + .1f * scene_noise(u * 8, v * 8, b->seed)), joint);
        return SCENE_BG_bricks;
    }
    case SCENE_BACKDROP_tiles: {
        float n = 2.5f + 2 * f[0], ca = 1 - .5f * f[1] * f[1], sa = f[1] * .9f,
              x = (ca * u + sa * v) * n + f[2], y = (ca * v - sa * u) * n + f[3];
        float ex = frac(x), ey = frac(y), ax = ex < .5f ? ex : 1 - ex, ay = ey < .5f ? ey : 1 - ey;
        float joint = soft_step(((ax < ay ? ax : ay) - .05f) / n * px);
        bool odd = (cell(x) + cell(y)) & 1;
        scene_rgb t = odd ? c[0] : mix(c[0], c[2], .2f + .8f * f[4]);
        *out = mix(c[1], scaled(t, .94f + .12f * cell_shade(cell(x), cell(y), b->seed)), joint);
        return SCENE_BG_tiles;
    }
    case SCENE_BACKDROP_planks: {
        bool upright = f[0] < .5f;
        float along = upright ? v : u, across = (upright ? u : v) * (3 + 2 * f[1]) + f[2];
        int32_t plank = cell(across);
        float e = frac(across), a = e < .5f ? e : 1 - e, gap = soft_step((a - .05f) / (3 + 2 * f[1]) * px);
        float grain = scene_noise(along * 2 + (float)plank * 5.3f, e * 3, b->seed),
              s = cell_shade(plank, 0, b->seed);
        *out = mix(scaled(c[1], .6f), scaled(mix(c[0], c[1], .25f * s + .75f * grain), .9f + .2f * s), gap);
        return SCENE_BG_planks;
    }
    case SCENE_BACKDROP_wallpaper: {
        float n = 2.5f + 2.5f * f[0], ca = 1 - .5f * f[1] * f[1], sa = f[1] * .9f, x = (ca * u + sa * v) * n,
              y = (ca * v - sa * u) * n, k;
        if (f[2] < .5f) {
            k = soft_step(wave(x) * px / n * .25f);
        } else {
            float ex = frac(x + (cell(y) & 1 ? .5f : 0)) - .5f, ey = frac(y) - .5f;
            k = soft_step((.07f - ex * ex - ey * ey) * 1.6f * px / n);
        }
        *out = mix(c[0], c[2], k * (.35f + .5f * f[3]));
        return SCENE_BG_wallpaper;
    }
    default: {
        float n = scene_noise(u * 5, v * 5, b->seed) * .6f + scene_noise(u * 9, v * 9, b->seed + 1) * .4f;
        float ripple = wave(v * 7 + scene_noise(u * 3, v * 3, b->seed + 2) * 2 + f[0]);
        *out = scaled(mix(c[0], c[1], n), 1 + .10f * ripple * f[1]);
        return SCENE_BG_sand;
    }
    }
}

void scene_backdrop_draw(scene_canvas *cv, const scene_backdrop *b) {
    float px = (float)(cv->w < cv->h ? cv->w : cv->h), inv = 1 / px;
    for (int32_t y = 0; y < cv->h; y++) {
        for (int32_t x = 0; x < cv->w; x++) {
            int64_t i = (int64_t)y * cv->w + x;
            scene_rgb c;
            uint8_t label = backdrop_at(b, ((float)x + .5f) * inv, ((float)y + .5f) * inv, px, &c);
            cv->rgb[i * 3] = c.r, cv->rgb[i * 3 + 1] = c.g, cv->rgb[i * 3 + 2] = c.b;
            if (cv->label) cv->label[i] = label, cv->object[i] = 0, cv->part[i] = label;
        }
    }
}
