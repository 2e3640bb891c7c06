/* Label maps to labels of patches. Nearest sampling is ehm_resize's, which is Pillow's to the bit. */
#include "data/patch_labels.h"
#include "data/augment_int.h"
#include <string.h>

void ehm_place_crop(ehm_placement *p, const double box[4], bool flip, int32_t in_w, int32_t in_h) {
    *p = (ehm_placement){.in_h = in_h, .in_w = in_w, .w = in_w, .h = in_h, .cropped = true, .flip = flip};
    memcpy(p->box, box, sizeof p->box);
}

void ehm_place_fit(ehm_placement *p, int32_t w, int32_t h, int32_t in_w, int32_t in_h, const char *fit) {
    *p = (ehm_placement){.in_h = in_h, .in_w = in_w, .w = in_w, .h = in_h};
    if (fit && !strcmp(fit, "pad")) {
        int32_t rect[4];
        ehm_data_pad_rect(rect, w, h, in_w, in_h);
        p->x = rect[0], p->y = rect[1], p->w = rect[2], p->h = rect[3];
        p->box[2] = w, p->box[3] = h;
    } else {
        ehm_eval_box(p->box, w, h, in_w, in_h, fit);
    }
}

void ehm_place_point(const ehm_placement *p, double *x, double *y) {
    *x = p->x + (*x - p->box[0]) * (p->w / (p->box[2] - p->box[0]));
    *y = p->y + (*y - p->box[1]) * (p->h / (p->box[3] - p->box[1]));
    if (p->flip) *x = p->in_w - *x;
}

void ehm_place_back(const ehm_placement *p, double *x, double *y) {
    if (p->flip) *x = p->in_w - *x;
    *x = p->box[0] + (*x - p->x) * ((p->box[2] - p->box[0]) / p->w);
    *y = p->box[1] + (*y - p->y) * ((p->box[3] - p->box[1]) / p->h);
}

static double within(double v, double lo, double hi) { return v < lo ? lo : v > hi ? hi : v; }

bool ehm_place_box(ehm_box *out, const ehm_box *box, const ehm_placement *p, double keep) {
    double x0 = box->x0, y0 = box->y0, x1 = box->x1, y1 = box->y1;
    ehm_place_point(p, &x0, &y0);
    ehm_place_point(p, &x1, &y1);
    if (p->flip) {
        double t = x0;
        x0 = x1, x1 = t;
    }
    double area = (x1 - x0) * (y1 - y0), left = p->flip ? p->in_w - p->x - p->w : p->x;
    x0 = within(x0, left, left + p->w), x1 = within(x1, left, left + p->w);
    y0 = within(y0, p->y, p->y + p->h), y1 = within(y1, p->y, p->y + p->h);
    *out = (ehm_box){(float)x0, (float)y0, (float)x1, (float)y1, box->class_id, box->crowd, 0};
    /* A hair of tolerance: a box that is shown whole must not fall to rounding where keep is 1. */
    return out->x1 > out->x0 && out->y1 > out->y0 && (x1 - x0) * (y1 - y0) >= (keep - 1e-9) * area;
}

static int32_t value_at(const ehm_image *m, int64_t i) {
    return m->type == EHM_U16 ? ((const uint16_t *)m->px)[i] : ((const uint8_t *)m->px)[i];
}

/* The map's part that the placement shows, at the size of the input's rectangle. */
static ehm_code sample_map(ehm_image *out, const ehm_image *map, const ehm_placement *p, ehm_arena *a,
                           ehm_err *err) {
    if (map->c != 1 || (map->type != EHM_U8 && map->type != EHM_U16))
        return EHM_FAIL(err, EHM_E_ARG, "a label map of %d channels of %s; one of u8 or u16 is possible",
                        map->c, ehm_dtype_name(map->type));
    EHM_TRY(ehm_image_new(out, p->w, p->h, 1, map->type, a, err));
    if (!p->cropped) return ehm_resize(out, map, p->box, EHM_RESIZE_NEAREST, a, err);
    /* Cut first, as the picture was: sampling inside a larger map would round its positions otherwise. */
    ehm_image cut;
    if (p->box[0] < 0 || p->box[1] < 0 || p->box[2] > map->w || p->box[3] > map->h)
        return EHM_FAIL(err, EHM_E_ARG, "a box to %g,%g of a label map of %dx%d", p->box[2], p->box[3],
                        map->w, map->h);
    EHM_TRY(ehm_data_crop(&cut, map, p->box, a, err));
    return ehm_resize(out, &cut, NULL, EHM_RESIZE_NEAREST, a, err);
}

ehm_code ehm_place_map(int32_t *out, const ehm_image *map, const ehm_placement *p, int32_t ignore,
                       ehm_arena *scratch, ehm_err *err) {
    int64_t n = (int64_t)p->in_h * p->in_w;
    for (int64_t i = 0; i < n; i++) out[i] = -1;
    if (!map->px) return EHM_OK;
    ehm_image m;
    EHM_TRY(sample_map(&m, map, p, scratch, err));
    for (int32_t y = 0; y < p->h; y++) {
        int32_t *row = out + (int64_t)(p->y + y) * p->in_w;
        for (int32_t x = 0; x < p->w; x++) {
            int32_t v = value_at(&m, (int64_t)y * p->w + x);
            if (v != ignore) row[p->flip ? p->in_w - 1 - p->x - x : p->x + x] = v;
        }
    }
    return EHM_OK;
}

/* The majority of the pixels from x0,y0 to x1,y1 of the rectangle; count [values] is 0 before and after. */
static int32_t majority(const ehm_image *m, const ehm_image *classes, int32_t ignore, int32_t x0, int32_t y0,
                        int32_t x1, int32_t y1, int32_t *count) {
    int32_t best = -1;
    for (int32_t y = y0; y < y1; y++)
        for (int32_t x = x0; x < x1; x++) {
            int64_t i = (int64_t)y * m->w + x;
            if (classes && value_at(classes, i) == ignore) continue;
            count[value_at(m, i)]++;
        }
    for (int32_t y = y0; y < y1; y++)
        for (int32_t x = x0; x < x1; x++) {
            int32_t v = value_at(m, (int64_t)y * m->w + x);
            if (count[v] && (best < 0 || count[v] > count[best] || (count[v] == count[best] && v < best)))
                best = v;
        }
    for (int32_t y = y0; y < y1; y++)
        for (int32_t x = x0; x < x1; x++) count[value_at(m, (int64_t)y * m->w + x)] = 0;
    return best;
}

static int32_t clamp(int32_t v, int32_t hi) { return v < 0 ? 0 : v > hi ? hi : v; }

ehm_code ehm_patch_labels(int32_t *labels, const ehm_image *maps, int32_t n_maps, int32_t grid_h,
                          int32_t grid_w, const ehm_placement *p, int32_t ignore, ehm_arena *scratch,
                          ehm_err *err) {
    if (grid_h < 1 || grid_w < 1 || p->in_h % grid_h || p->in_w % grid_w)
        return EHM_FAIL(err, EHM_E_ARG, "a grid of %dx%d patches does not divide an input of %dx%d", grid_h,
                        grid_w, p->in_h, p->in_w);
    int32_t ph = p->in_h / grid_h, pw = p->in_w / grid_w, n = grid_h * grid_w;
    bool wide = false;
    for (int32_t k = 0; k < n_maps; k++) wide |= maps[k].px && maps[k].type != EHM_U8;
    int32_t *count = EHM_NEW_N(scratch, int32_t, wide ? 65536 : 256);
    if (!count) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for labels of patches");
    ehm_image classes = {0}, m;
    if (n_maps > 0 && maps[n_maps - 1].px) EHM_TRY(sample_map(&classes, &maps[n_maps - 1], p, scratch, err));
    for (int32_t k = 0; k < n_maps; k++) {
        int32_t *out = labels + (int64_t)k * n;
        for (int32_t i = 0; i < n; i++) out[i] = -1;
        if (!maps[k].px) continue;
        if (k == n_maps - 1) m = classes;
        else EHM_TRY(sample_map(&m, &maps[k], p, scratch, err));
        for (int32_t gy = 0; gy < grid_h; gy++)
            for (int32_t gx = 0; gx < grid_w; gx++) {
                int32_t x0 = gx * pw - p->x, y0 = gy * ph - p->y;
                out[gy * grid_w + (p->flip ? grid_w - 1 - gx : gx)] =
                    majority(&m, classes.px ? &classes : NULL, ignore, clamp(x0, p->w), clamp(y0, p->h),
                             clamp(x0 + pw, p->w), clamp(y0 + ph, p->h), count);
            }
    }
    return EHM_OK;
}
