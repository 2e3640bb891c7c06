/* From pictures to label maps through inputs of one size. */
#include "eval/segment.h"
#include "tune/task_segment.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where a picture lies: resized to w x h, at x0, y0 of a canvas that windows of the input's size tile. */
typedef struct {
    ehm_image canvas;
    int32_t w, h, x0, y0, n_x, n_y;
    float *sum;      /* [h,w,C] of the working picture */
    uint16_t *times; /* [h,w] windows that covered it */
} place;

static int32_t stride_of(int32_t given, int32_t in) { return given > 0 ? given : in > 1 ? in / 2 : 1; }
static int32_t n_along(int32_t side, int32_t in, int32_t stride) {
    return side <= in ? 1 : (side - in + stride - 1) / stride + 1;
}
static int32_t start_of(int32_t i, int32_t side, int32_t in, int32_t stride) {
    int64_t at = (int64_t)i * stride;
    return at > side - in ? side - in : (int32_t)at;
}

static int32_t rounded(double v, int32_t most) {
    int32_t r = (int32_t)(v + 0.5);
    return r < 1 ? 1 : r > most ? most : r;
}

static void size_up(place *p, const ehm_seg_net *net, const ehm_seg_look *look, int32_t w, int32_t h) {
    p->w = w, p->h = h;
    if (!look->slide) {
        double f = fmin((double)net->in_w / w, (double)net->in_h / h);
        p->w = rounded(w * f, net->in_w), p->h = rounded(h * f, net->in_h);
    }
    p->canvas.w = p->w > net->in_w ? p->w : net->in_w, p->canvas.h = p->h > net->in_h ? p->h : net->in_h;
    p->x0 = (p->canvas.w - p->w) / 2, p->y0 = (p->canvas.h - p->h) / 2;
    p->n_x = n_along(p->canvas.w, net->in_w, stride_of(look->stride_w, net->in_w));
    p->n_y = n_along(p->canvas.h, net->in_h, stride_of(look->stride_h, net->in_h));
}

int64_t ehm_seg_n_windows(const ehm_seg_net *net, const ehm_seg_look *look, int32_t w, int32_t h) {
    place p = {0};
    size_up(&p, net, look, w, h);
    return (int64_t)p.n_x * p.n_y;
}

static ehm_code lay_out(place *p, const ehm_seg_net *net, const ehm_seg_look *look, const ehm_image *im,
                        ehm_arena *a, ehm_err *err) {
    size_t px = (size_t)im->c * ehm_dtype_size(im->type), n;
    ehm_image sized = *im;
    if (im->c != net->channels || (im->type != EHM_U8 && im->type != EHM_F32) || im->w < 1 || im->h < 1)
        return EHM_FAIL(err, EHM_E_ARG,
                        "a picture of %dx%d with %d channels of %s, where %d of u8 or f32 are needed", im->w,
                        im->h, im->c, ehm_dtype_name(im->type), net->channels);
    size_up(p, net, look, im->w, im->h);
    if (p->w != im->w || p->h != im->h) {
        EHM_TRY(ehm_image_new(&sized, p->w, p->h, im->c, im->type, a, err));
        EHM_TRY(ehm_resize(&sized, im, NULL, EHM_RESIZE_BICUBIC, a, err));
    }
    EHM_TRY(ehm_image_new(&p->canvas, p->canvas.w, p->canvas.h, im->c, im->type, a, err));
    n = (size_t)p->canvas.w * (size_t)p->canvas.h * (size_t)im->c;
    if (p->canvas.w > p->w || p->canvas.h > p->h) {
        if (im->type == EHM_U8)
            memset(p->canvas.px, 128, n);
        else
            for (size_t i = 0; i < n; i++) ((float *)p->canvas.px)[i] = 0.5f;
    }
    for (int32_t y = 0; y < p->h; y++)
        memcpy((uint8_t *)p->canvas.px + ((size_t)(y + p->y0) * (size_t)p->canvas.w + (size_t)p->x0) * px,
               (const uint8_t *)sized.px + (size_t)y * (size_t)p->w * px, (size_t)p->w * px);
    p->sum = ehm_mul_size(&n, (size_t)p->w * (size_t)p->h, (size_t)net->n_classes) ? EHM_NEW_N(a, float, n)
                                                                                   : NULL;
    p->times = EHM_NEW_N(a, uint16_t, (int64_t)p->w * p->h);
    if (p->sum && p->times) return EHM_OK;
    return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the logits of a picture of %dx%d and %d classes", p->w,
                    p->h, net->n_classes);
}

/* ---- bilinear enlargement of rows of numbers, as in training ---- */

/* The c numbers of field [n_y,n_x,c] at a place between four cells. */
static inline void between(float *out, const float *field, int32_t n_x, int32_t c, ehm_bilinear_tap v,
                           ehm_bilinear_tap u) {
    const float *p00 = field + ((int64_t)v.i0 * n_x + u.i0) * c,
                *p01 = field + ((int64_t)v.i0 * n_x + u.i1) * c;
    const float *p10 = field + ((int64_t)v.i1 * n_x + u.i0) * c,
                *p11 = field + ((int64_t)v.i1 * n_x + u.i1) * c;
    float w00 = (1 - v.w1) * (1 - u.w1), w01 = (1 - v.w1) * u.w1, w10 = v.w1 * (1 - u.w1), w11 = v.w1 * u.w1;
    for (int32_t k = 0; k < c; k++) out[k] = w00 * p00[k] + w01 * p01[k] + w10 * p10[k] + w11 * p11[k];
}

typedef struct {
    const ehm_seg_net *net;
    place *p;
    int32_t x, y;        /* of the window on the canvas */
    const float *logits; /* [grid_h,grid_w,C] */
    float *room;         /* [threads,C] */
    int32_t *map, w, h;  /* of the stored picture */
} work;

/* Rows of a window into the working picture's sums. */
static void add_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const work *k = ctx;
    const ehm_seg_net *net = k->net;
    int32_t c = net->n_classes;
    float *one = k->room + (int64_t)i_thread * c;
    for (int32_t row = (int32_t)begin; row < (int32_t)end; row++) {
        int32_t y = k->y + row - k->p->y0;
        ehm_bilinear_tap v = ehm_bilinear_at(row, net->in_h, net->grid_h);
        if (y < 0 || y >= k->p->h) continue;
        for (int32_t col = 0; col < net->in_w; col++) {
            int32_t x = k->x + col - k->p->x0;
            if (x < 0 || x >= k->p->w) continue;
            int64_t at = (int64_t)y * k->p->w + x;
            between(one, k->logits, net->grid_w, c, v, ehm_bilinear_at(col, net->in_w, net->grid_w));
            for (int32_t i = 0; i < c; i++) k->p->sum[at * c + i] += one[i];
            k->p->times[at]++;
        }
    }
}

/* Means of the windows. */
static void mean_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const work *k = ctx;
    int32_t c = k->net->n_classes;
    (void)i_thread;
    for (int64_t at = begin * k->p->w; at < end * k->p->w; at++)
        for (int32_t i = 0; i < c; i++) k->p->sum[at * c + i] /= (float)k->p->times[at];
}

static int32_t largest(const float *v, int32_t n) {
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (v[i] > v[best]) best = i;
    return best;
}

/* Rows of the stored picture's map. */
static void class_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const work *k = ctx;
    const place *p = k->p;
    int32_t c = k->net->n_classes;
    float *one = k->room + (int64_t)i_thread * c;
    bool same = p->w == k->w && p->h == k->h;
    for (int32_t y = (int32_t)begin; y < (int32_t)end; y++) {
        ehm_bilinear_tap v = ehm_bilinear_at(y, k->h, p->h);
        for (int32_t x = 0; x < k->w; x++) {
            int64_t at = (int64_t)y * k->w + x;
            if (!same) between(one, p->sum, p->w, c, v, ehm_bilinear_at(x, k->w, p->w));
            k->map[at] = largest(same ? p->sum + at * c : one, c);
        }
    }
}

/* ---- all windows of some pictures, a batch at a time ---- */

typedef struct {
    place *p;
    int32_t x, y;
} window;

static void cut(uint8_t *to, const ehm_seg_net *net, const window *w) {
    const ehm_image *im = &w->p->canvas;
    size_t px = (size_t)im->c * ehm_dtype_size(im->type), row = (size_t)net->in_w * px;
    for (int32_t y = 0; y < net->in_h; y++)
        memcpy(to + (size_t)y * row,
               (const uint8_t *)im->px + ((size_t)(w->y + y) * (size_t)im->w + (size_t)w->x) * px, row);
}

ehm_code ehm_seg_maps(int32_t *const *maps, const ehm_seg_net *net, const ehm_seg_look *look,
                      const ehm_image *images, int32_t n, ehm_pool *pool, ehm_arena *a, ehm_err *err) {
    int64_t n_all = 0, n_cells = (int64_t)net->grid_h * net->grid_w * net->n_classes;
    if (n < 1) return EHM_OK;
    size_t in_bytes = (size_t)net->in_h * (size_t)net->in_w * (size_t)net->channels *
                      ehm_dtype_size(images[0].type);
    place *places = EHM_NEW_N(a, place, n);
    if (!places) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d pictures", n);
    for (int32_t i = 0; i < n; i++) {
        if (images[i].type != images[0].type)
            return EHM_FAIL(err, EHM_E_ARG, "pictures of %s and %s at once", ehm_dtype_name(images[0].type),
                            ehm_dtype_name(images[i].type));
        EHM_TRY(lay_out(&places[i], net, look, &images[i], a, err));
        n_all += (int64_t)places[i].n_x * places[i].n_y;
    }
    window *list = EHM_NEW_N(a, window, n_all);
    uint8_t *inputs = EHM_NEW_N(a, uint8_t, in_bytes * (size_t)net->batch);
    float *logits = EHM_NEW_N(a, float, n_cells * net->batch);
    work k = {.net = net, .room = EHM_NEW_N(a, float, (int64_t)ehm_pool_threads(pool) * net->n_classes)};
    if (!list || !inputs || !logits || !k.room)
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for windows of %d pictures", n);
    n_all = 0;
    for (int32_t i = 0; i < n; i++) {
        place *p = &places[i];
        for (int32_t y = 0; y < p->n_y; y++)
            for (int32_t x = 0; x < p->n_x; x++)
                list[n_all++] = (window){
                    p, start_of(x, p->canvas.w, net->in_w, stride_of(look->stride_w, net->in_w)),
                    start_of(y, p->canvas.h, net->in_h, stride_of(look->stride_h, net->in_h))};
    }
    for (int64_t at = 0; at < n_all; at += net->batch) {
        int32_t m = n_all - at < net->batch ? (int32_t)(n_all - at) : net->batch;
        for (int32_t i = 0; i < m; i++) cut(inputs + (size_t)i * in_bytes, net, &list[at + i]);
        EHM_TRY(net->run(net->user, inputs, images[0].type, m, logits, err));
        for (int32_t i = 0; i < m; i++) { /* in order: sums do not depend on threads */
            k.p = list[at + i].p, k.x = list[at + i].x, k.y = list[at + i].y, k.logits = logits + i * n_cells;
            ehm_pool_for(pool, net->in_h, 16, add_rows, &k);
        }
    }
    for (int32_t i = 0; i < n; i++) {
        k.p = &places[i], k.map = maps[i], k.w = images[i].w, k.h = images[i].h;
        ehm_pool_for(pool, k.p->h, 16, mean_rows, &k);
        ehm_pool_for(pool, k.h, 16, class_rows, &k);
    }
    return EHM_OK;
}

/* ---- a network of tune ---- */

static ehm_code run_tuned(void *user, const void *pixels, ehm_dtype type, int32_t n, float *logits,
                          ehm_err *err) {
    const ehm_seg_tuned *t = user;
    EHM_TRY(ehm_tune_infer(t->tune, pixels, type, n, err));
    ehm_segment_logits(t->task, ehm_tune_device(t->tune), logits, n);
    return ehm_dev_check(ehm_tune_device(t->tune), err);
}

ehm_seg_net ehm_seg_net_of(ehm_seg_tuned *t) {
    const ehm_vit_shape *s = ehm_tune_shape(t->tune);
    ehm_seg_net net = {.in_h = s->img_h,
                       .in_w = s->img_w,
                       .channels = s->channels,
                       .batch = ehm_tune_batch(t->tune),
                       .run = run_tuned,
                       .user = t};
    net.n_classes = ehm_segment_options(t->task)->n_classes;
    ehm_segment_grid(t->task, &net.grid_h, &net.grid_w);
    return net;
}
