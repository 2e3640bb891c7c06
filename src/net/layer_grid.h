/* Grids of tokens: fixed tables for the op mix_rows, and the 3x3 convolution, the 2x2 unfolding and the bilinear enlargement that are made of them.
 *
 *     ehm_mix t; if (!ehm_mix_conv3(&t, &arena, 14, 14)) ...              // when the layer is made
 *     ehm_mix_plan(&t, plan); ... ehm_mix_load(&t, d);                     // once the plan is placed
 *     ehm_conv3_fwd(d, &c, y, x, &linear, &weights, b);
 *
 * Rows run over the grid in raster order. A table's numbers live in the arena it was made in and are uploaded once. Types: x and out act or f32, gradients
 * of inputs f32 ("real"). Nothing here allocates on a device.
 */
#ifndef EHM_NET_LAYER_GRID_H
#define EHM_NET_LAYER_GRID_H
#include "net/layer.h"

/* out row r = sum over k of weight[r,k] * x row idx[r,k]; idx below 0 adds nothing; weight NULL: all 1. */
typedef struct {
    int64_t rows, k;
    int32_t *host_idx; float *host_weight;
    ehm_view idx, weight;
} ehm_mix;
/* Makers; false when there is no memory. */
bool ehm_mix_new(ehm_mix *t, ehm_arena *a, int64_t rows, int64_t k, bool weighted); /* host arrays zeroed, to be filled */
bool ehm_mix_span(ehm_mix *t, ehm_arena *a, int64_t first, int64_t n);     /* rows first .. first + n - 1 */
bool ehm_mix_mean(ehm_mix *t, ehm_arena *a, int64_t first, int64_t n);     /* their mean, one row */
bool ehm_mix_conv3(ehm_mix *t, ehm_arena *a, int32_t gh, int32_t gw);      /* gh*gw*9 rows: the neighbours of each cell, (ky, kx) raster; outside: zeros */
bool ehm_mix_unfold2(ehm_mix *t, ehm_arena *a, int32_t gh, int32_t gw);    /* from rows (cell, dy, dx) to the raster of 2gh x 2gw */
bool ehm_mix_enlarge2(ehm_mix *t, ehm_arena *a, int32_t gh, int32_t gw);   /* bilinear to 2gh x 2gw, pixel centres aligned (align_corners false) */
void ehm_mix_plan(ehm_mix *t, ehm_plan *plan);                             /* kind INPUT */
void ehm_mix_load(const ehm_mix *t, ehm_dev *d);
/* out [b,rows,C] from x [b,N,C]; dx [b,N,C] f32 written, or added to. */
void ehm_mix_fwd(ehm_dev *d, ehm_view out, ehm_view x, const ehm_mix *t);
void ehm_mix_bwd(ehm_dev *d, ehm_view dx, ehm_view dout, const ehm_mix *t, bool accumulate);
/* n numbers of the host into the first n elements of a view of the device's real type; on a double device they are widened. */
void ehm_put_reals(ehm_dev *d, ehm_view v, const float *x, int64_t n);

/* dout in the type that products read: itself where that is the device's real type, else copied into scratch. [R,C] both. */
ehm_view ehm_feed(ehm_dev *d, ehm_view scratch, ehm_view dout);

/* 3x3 convolutions of one grid and width, zero padding, as a product over the nine neighbours: weight [out, 9*width], columns (ky, kx, channel). */
typedef struct {
    ehm_mix table; int32_t gh, gw; int64_t width;
    ehm_view col, col_bwd, dcol; /* scratch [batch*G,9*width] act: neighbours in either direction, their gradient */
} ehm_conv3;
bool ehm_conv3_open(ehm_conv3 *c, ehm_arena *a, int32_t gh, int32_t gw, int64_t width);
void ehm_conv3_plan(ehm_conv3 *c, ehm_plan *plan, ehm_dtype act, int64_t batch);     /* table, and scratch that the caller releases */
void ehm_conv3_plan_bwd(ehm_conv3 *c, ehm_plan *plan, ehm_dtype act, int64_t batch); /* scratch that the caller releases */
/* out [b,G,n] act or f32; x [b,G,width] act, or none: the input of the call before. */
void ehm_conv3_fwd(ehm_dev *d, const ehm_conv3 *c, ehm_view out, ehm_view x, const ehm_linear *l, const ehm_weights *w, int64_t b);
/* dx [b,G,width] f32 written or added to; dout [b*G,n] act, dout_bias as in ehm_linear_bwd; x as for _fwd. */
void ehm_conv3_bwd(ehm_dev *d, const ehm_conv3 *c, ehm_view dx, bool accumulate, ehm_view dout, ehm_view dout_bias, ehm_view x, const ehm_linear *l,
                   const ehm_weights *w, const ehm_grads *g, int64_t b);

/* Convolution, layer norm of each cell, GELU: what towers are built of. The norm's input is kept in f32, the rest in act. */
typedef struct { ehm_linear conv; ehm_norm norm; } ehm_tower_layer;
typedef struct { ehm_view y, n, a; ehm_norm_cache norm; } ehm_tower_cache; /* [R,width]: product f32, its norm act, GELU act */
void ehm_tower_layer_add(ehm_tower_layer *t, ehm_params *ps, const char *name, int64_t width); /* NAME.conv, NAME.norm */
void ehm_tower_plan(ehm_tower_cache *c, ehm_plan *plan, ehm_mem_kind kind, ehm_dtype act, int64_t rows, int64_t width);
/* Scratch of the backward pass: dy f32 [R,width]; dn act [R,width], none where act is the device's real type. */
typedef struct { ehm_view dy, dn; } ehm_tower_scratch;
void ehm_tower_plan_bwd(ehm_tower_scratch *s, ehm_plan *plan, ehm_dtype act, int64_t rows, int64_t width);
/* Norm and GELU: c->y stands; c->n and c->a are written. */
void ehm_norm_gelu_fwd(ehm_dev *d, const ehm_tower_cache *c, const ehm_norm *norm, const ehm_weights *w, int64_t rows, int64_t width);
/* da [R,width] f32, overwritten: gradient of c->a. That of c->y in f32 (s->dy); the same numbers for products in *dy_act. */
ehm_view ehm_norm_gelu_bwd(ehm_dev *d, ehm_view *dy_act, ehm_view da, const ehm_tower_scratch *s, const ehm_tower_cache *c, const ehm_norm *norm,
                           const ehm_weights *w, const ehm_grads *g);
void ehm_tower_layer_fwd(ehm_dev *d, const ehm_conv3 *g, const ehm_tower_cache *c, ehm_view x, const ehm_tower_layer *t, const ehm_weights *w, int64_t b);
/* dx [b,G,width] f32 written or added to, may be da; da [b,G,width] f32, overwritten; x as in fwd. */
void ehm_tower_layer_bwd(ehm_dev *d, const ehm_conv3 *g, ehm_view dx, bool accumulate, ehm_view da, const ehm_tower_scratch *s, const ehm_tower_cache *c,
                         ehm_view x, const ehm_tower_layer *t, const ehm_weights *w, const ehm_grads *gr, int64_t b);
#endif
