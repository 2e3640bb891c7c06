/* Scenes: primitives to pixels. Edges are smoothed by the distance to the boundary, maps take the pixel's
 * centre. */
#include "data/scenes_int.h"
#include <math.h>

float scene_uniform(ehm_rng *r, float lo, float hi) { return lo + (hi - lo) * ehm_rng_f32(r); }

void scene_sincos(float *s, float *c, float turns) {
    /* Fold to a quarter turn on either side of zero, where nine terms' worth of Taylor series is exact to
     * float. */
    for (int32_t i = 0; i < 2; i++) {
        float t = turns + (i ? 0.25f : 0.0f);
        t -= (float)(int32_t)t;
        if (t > 0.5f) t -= 1;
        if (t < -0.5f) t += 1;
        if (t > 0.25f) t = 0.5f - t;
        if (t < -0.25f) t = -0.5f - t;
        float x = t * 6.2831853f, x2 = x * x;
        float y = x * (1 + x2 * (-1.0f / 6 +
                                 x2 * (1.0f / 120 +
                                       x2 * (-1.0f / 5040 + x2 * (1.0f / 362880 - x2 * (1.0f / 39916800))))));
        if (i) *c = y;
        else *s = y;
    }
}

uint32_t scene_hash(uint32_t x, uint32_t y, uint32_t seed) {
    uint32_t h = x * 0x8da6b343u ^ y * 0xd8163841u ^ seed * 0xcb1ab31fu;
    h ^= h >> 15, h *= 0x2c1b3c6du;
    h ^= h >> 12, h *= 0x297a2d39u;
    return h ^ h >> 15;
}

static int32_t floor_int(float x) {
    int32_t i = (int32_t)x;
    return i - ((float)i > x);
}
static float clamp01(float x) { return x < 0 ? 0 : x > 1 ? 1 : x; }
static float lattice(int32_t x, int32_t y, uint32_t seed) {
    return (float)(scene_hash((uint32_t)x, (uint32_t)y, seed) >> 8) * 0x1p-24f;
}

float scene_noise(float x, float y, uint32_t seed) {
    int32_t xi = floor_int(x), yi = floor_int(y);
    float fx = x - (float)xi, fy = y - (float)yi;
    fx = fx * fx * (3 - 2 * fx), fy = fy * fy * (3 - 2 * fy);
    float a = lattice(xi, yi, seed), b = lattice(xi + 1, yi, seed), c = lattice(xi, yi + 1, seed),
          d = lattice(xi + 1, yi + 1, seed);
    float top = a + (b - a) * fx, low = c + (d - c) * fx;
    return top + (low - top) * fy;
}

/* Signed distance to the piece's boundary in object units, negative inside; exact near the boundary, where it
 * matters. */
static float distance_of(const scene_prim *m, float x, float y) {
    const float *p = m->p;
    switch (m->shape) {
    case SCENE_ELLIPSE:
    case SCENE_DOME: {
        float dx = x - p[0], dy = y - p[1], qx = p[4] * dx + p[5] * dy, qy = p[4] * dy - p[5] * dx;
        float ux = qx * p[2], uy = qy * p[3]; /* p[2], p[3] are one over the radii */
        float f = ux * ux + uy * uy - 1, gx = ux * p[2], gy = uy * p[3], g = sqrtf(gx * gx + gy * gy);
        float d = g > 1e-3f ? f / (2 * g) : -p[6];
        if (d < -p[6]) d = -p[6];
        if (m->shape == SCENE_DOME) {
            float e = qy * p[7]; /* cut along the diameter; p[7] says which half stays */
            if (e > d) d = e;
        }
        return d;
    }
    case SCENE_BOX: {
        float dx = x - p[0], dy = y - p[1], qx = p[4] * dx + p[5] * dy, qy = p[4] * dy - p[5] * dx;
        qx = (qx < 0 ? -qx : qx) - p[2], qy = (qy < 0 ? -qy : qy) - p[3];
        float in = qx > qy ? qx : qy;
        if (in <= 0) return in - p[6];
        if (qx < 0) qx = 0;
        if (qy < 0) qy = 0;
        return sqrtf(qx * qx + qy * qy) - p[6];
    }
    case SCENE_CAPSULE: {
        float ax = x - p[0], ay = y - p[1], t = clamp01((ax * p[2] + ay * p[3]) * p[4]);
        float dx = ax - p[2] * t, dy = ay - p[3] * t;
        return sqrtf(dx * dx + dy * dy) - (p[5] + p[6] * t);
    }
    case SCENE_POLYGON: {
        float d = -1e9f;
        for (int32_t i = 0; i < m->n_edges; i++) {
            float e = m->edge[i][0] * x + m->edge[i][1] * y - m->edge[i][2];
            if (e > d) d = e;
        }
        return d - p[0];
    }
    case SCENE_RING: {
        float dx = x - p[0], dy = y - p[1], d = sqrtf(dx * dx + dy * dy) - p[2];
        return (d < 0 ? -d : d) - p[3];
    }
    }
    return 1;
}

static float triangle_wave(float x) { /* period 1, -1..1 */
    float t = x - (float)floor_int(x);
    return t < 0.5f ? 4 * t - 1 : 3 - 4 * t;
}
static float frac(float x) { return x - (float)floor_int(x); }
/* A triangle wave with its tops cut: between a sine and a square wave, and as quick as the first. */
static float wave(float x) {
    float t = 1.5f * triangle_wave(x);
    return t < -1 ? -1 : t > 1 ? 1 : t;
}
static float groove(float x, float half) { /* 1 at whole numbers, falling to 0 at half on either side */
    float t = frac(x), d = t < 0.5f ? t : 1 - t;
    return d < half ? 1 - d / half : 0;
}
static float greater(float a, float b) { return a > b ? a : b; }

/* Usual period, in pixels of an object of usual size in a picture of 64, and its part across. */
static const float period[SCENE_N_TEXTURES][2] = {
    [SCENE_PLAIN] = {1, 1},         [SCENE_MOTTLED] = {9, 9},        [SCENE_FEATHERS] = {8, 4.4f},
    [SCENE_CLINKER] = {16, 6.6f},   [SCENE_BANDS] = {4.2f, 4.2f},    [SCENE_FUR] = {4.4f, 12},
    [SCENE_SCALES] = {7, 5.6f},     [SCENE_VEINS] = {9, 3.6f},       [SCENE_COURSES] = {9, 5},
    [SCENE_MESH] = {4.4f, 4.4f},    [SCENE_SPOTS] = {6.4f, 6.4f},    [SCENE_TWILL] = {4.6f, 4.6f},
    [SCENE_PLATES] = {6, 6},        [SCENE_LEAVES] = {3.4f, 3.4f}};

/* -1..1, about 0 in the mean, at (u, v) in periods. */
static float texture_at(scene_texture t, float u, float v, uint32_t seed) {
    switch (t) {
    case SCENE_MOTTLED: return scene_noise(u, v, seed) * 2 - 1;
    case SCENE_FEATHERS: return wave(v + 0.45f * triangle_wave(u)); /* rows of chevrons */
    case SCENE_CLINKER: {                                           /* lapped planks with butt joints */
        float row = (float)floor_int(v), lap = frac(v);
        float joint = groove(u + 0.37f * row, 0.07f);
        return lap < 0.16f || joint > 0.3f ? -1 : 0.2f + 0.8f * (1 - lap);
    }
    case SCENE_BANDS: return wave(v);
    case SCENE_FUR: { /* upright strokes, each ending where it likes */
        float sway = 0.35f * triangle_wave(v * 0.7f), w = wave(u + sway);
        float end = lattice(floor_int(u + sway + 0.25f), 0, seed);
        return frac(v + end) < 0.22f ? -0.9f : w;
    }
    case SCENE_SCALES: { /* arcs, every other row moved by half */
        int32_t row = floor_int(v);
        float a = frac(u + (row & 1 ? 0.5f : 0.0f)) - 0.5f, b = v - (float)row, d = a * a * 2.6f + b * b;
        return d > 0.72f ? -1 : 0.9f - 0.9f * d;
    }
    case SCENE_VEINS: return wave(v); /* along the petal */
    case SCENE_COURSES: {
        float half = floor_int(v) & 1 ? 0.5f : 0.0f;
        float d = greater(groove(v, 0.24f), groove(u + half, 0.14f));
        return d > 0.1f ? 0.5f - 1.5f * d : 0.5f;
    }
    case SCENE_MESH: return 1 - 2 * greater(groove(u + v, 0.3f), groove(u - v, 0.3f));
    case SCENE_SPOTS: {
        float a = frac(u + (floor_int(v) & 1 ? 0.5f : 0.0f)) - 0.5f, b = frac(v) - 0.5f;
        float d = 3.4f * (0.36f - sqrtf(a * a + b * b)) / 0.36f;
        return d < -1 ? -1 : d > 1 ? 1 : d;
    }
    case SCENE_TWILL: return wave((u + v) * 0.7071f);
    case SCENE_PLATES: { /* a grid of seams, a rivet in each plate */
        float seam = greater(groove(u, 0.22f), groove(v, 0.22f));
        float a = frac(u) - 0.5f, b = frac(v) - 0.5f;
        return a * a + b * b < 0.025f || seam > 0.3f ? -1 : 0.6f;
    }
    case SCENE_LEAVES: {
        float n = 4.5f * (scene_noise(u, v, seed) - 0.5f);
        return n < -1 ? -1 : n > 1 ? 1 : n;
    }
    default: return 0;
    }
}

/* Mean and gain of each texture: taken out and put in, so that all of them spread brightness alike (deviation
 * 0.75) and a histogram cannot tell them by it. */
static const float level[SCENE_N_TEXTURES][2] = {
    [SCENE_PLAIN] = {0.000f, 1.000f}, [SCENE_MOTTLED] = {0.000f, 1.000f},
    [SCENE_FEATHERS] = {0.001f, 1.007f}, [SCENE_CLINKER] = {0.160f, 1.098f},
    [SCENE_BANDS] = {0.007f, 1.007f}, [SCENE_FUR] = {-0.201f, 0.992f},
    [SCENE_SCALES] = {0.103f, 1.011f}, [SCENE_VEINS] = {0.007f, 1.007f},
    [SCENE_COURSES] = {0.004f, 1.442f}, [SCENE_MESH] = {0.040f, 1.133f},
    [SCENE_SPOTS] = {-0.158f, 0.926f}, [SCENE_TWILL] = {0.000f, 1.007f},
    [SCENE_PLATES] = {-0.360f, 0.957f}, [SCENE_LEAVES] = {0.021f, 1.018f}};

/* A texture laid on one piece: periods by object unit, and the frame it follows. */
typedef struct {
    const scene_paint *paint;
    scene_texture texture;
    float fu, fv, cos_a, sin_a;
} surface;
static surface surface_of(const scene_prim *m, const scene_paint *c, float scale_px) {
    surface f = {c, (scene_texture)m->texture, 0, 0, 1, 0};
    /* Seen on small objects too: below three quarters of the usual size the texture stays as it is. */
    float size = scale_px / 27.0f;
    if (size < 0.75f) size = 0.75f;
    f.fu = scale_px / (period[f.texture][0] * size * c->zoom);
    f.fv = scale_px / (period[f.texture][1] * size * c->zoom);
    if (m->shape == SCENE_ELLIPSE) f.cos_a = m->p[4], f.sin_a = m->p[5];
    return f;
}
static scene_rgb paint_at(const surface *f, float x, float y) {
    const scene_paint *c = f->paint;
    if (f->texture == SCENE_PLAIN) return c->base;
    float u = (f->cos_a * x + f->sin_a * y) * f->fu + c->u, v = (f->cos_a * y - f->sin_a * x) * f->fv + c->v;
    float k = (texture_at(f->texture, u, v, c->seed) - level[f->texture][0]) * level[f->texture][1];
    return (scene_rgb){c->base.r + c->swing.r * k, c->base.g + c->swing.g * k, c->base.b + c->swing.b * k};
}

static void prim_draw(scene_canvas *cv, const scene_prim *m, const scene_paint *c, const scene_place *at,
                      uint8_t label, uint8_t instance) {
    float x0 = 1e9f, y0 = 1e9f, x1 = -1e9f, y1 = -1e9f, mir = at->mirrored ? -1.0f : 1.0f;
    for (int32_t i = 0; i < 4; i++) {
        float lx = m->box[i & 1 ? 2 : 0] * mir, ly = m->box[i & 2 ? 3 : 1];
        float x = at->x + at->scale_px * (at->cos_a * lx - at->sin_a * ly),
              y = at->y + at->scale_px * (at->sin_a * lx + at->cos_a * ly);
        if (x < x0) x0 = x;
        if (x > x1) x1 = x;
        if (y < y0) y0 = y;
        if (y > y1) y1 = y;
    }
    int32_t ix0 = floor_int(x0) - 1, iy0 = floor_int(y0) - 1, ix1 = floor_int(x1) + 2,
            iy1 = floor_int(y1) + 2;
    if (ix0 < 0) ix0 = 0;
    if (iy0 < 0) iy0 = 0;
    if (ix1 > cv->w) ix1 = cv->w;
    if (iy1 > cv->h) iy1 = cv->h;
    float inv = 1 / at->scale_px;
    surface f = surface_of(m, c, at->scale_px);
    for (int32_t y = iy0; y < iy1; y++) {
        float dy = ((float)y + 0.5f - at->y) * inv;
        for (int32_t x = ix0; x < ix1; x++) {
            float dx = ((float)x + 0.5f - at->x) * inv;
            float lx = (at->cos_a * dx + at->sin_a * dy) * mir, ly = at->cos_a * dy - at->sin_a * dx;
            float d = distance_of(m, lx, ly), d_px = d * at->scale_px;
            if (d_px >= 0.5f) continue;
            float cover = d_px <= -0.5f ? 1 : 0.5f - d_px;
            scene_rgb k = paint_at(&f, lx, ly);
            /* Lit from above or below, darker or lighter towards the rim: gives the pieces of one colour an
             * edge against each other. Either way round, so that no silhouette shows in a mean. */
            float shade = 1 + c->light * ly;
            if (m->outline > 0 && d > -m->outline)
                shade *= 1 + c->rim * clamp01((d + m->outline) / m->outline * 1.4f);
            float *px = cv->rgb + ((int64_t)y * cv->w + x) * 3;
            px[0] += (k.r * shade - px[0]) * cover;
            px[1] += (k.g * shade - px[1]) * cover;
            px[2] += (k.b * shade - px[2]) * cover;
            if (cv->label && d_px < 0) {
                int64_t i = (int64_t)y * cv->w + x;
                cv->label[i] = label, cv->object[i] = instance, cv->part[i] = m->part;
            }
        }
    }
}

void scene_object_draw(scene_canvas *cv, const scene_object *o, const scene_place *at, uint8_t label,
                       uint8_t instance) {
    for (int32_t i = 0; i < o->n; i++)
        prim_draw(cv, &o->prim[i], &o->paint[o->prim[i].i_paint], at, label, instance);
}
