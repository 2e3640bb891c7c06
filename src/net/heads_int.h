/* Inside heads: what every kind brings, and what a head and its passes hold. */
#ifndef EHM_NET_HEADS_INT_H
#define EHM_NET_HEADS_INT_H
#include "net/heads.h"
#include "net/layer_grid.h"

/* open makes tables; plan declares what lives in a pass, after the outputs; plan_bwd scratch of the backward pass; load uploads tables. */
typedef struct {
    void (*add)(ehm_head *h, ehm_params *ps, const ehm_norm *encoder_norm);
    bool (*open)(ehm_head_pass *p, ehm_arena *a);
    void (*plan)(ehm_head_pass *p, ehm_plan *plan, ehm_mem_kind kind);
    void (*plan_bwd)(ehm_head_pass *p, ehm_plan *plan);
    void (*load)(ehm_head_pass *p, ehm_dev *d);
    void (*fwd)(ehm_dev *d, ehm_head_pass *p, const ehm_weights *w, const ehm_view *levels, int64_t b);
    void (*bwd)(ehm_dev *d, ehm_head_pass *p, const ehm_view *dlevels, const ehm_view *levels, const ehm_weights *w, const ehm_grads *g, int64_t b);
} ehm_head_ops;
extern const ehm_head_ops ehm_head_rows_ops, ehm_head_mlp_ops, ehm_head_detect_ops;

enum { EHM_TOWER_LAYERS = 2 };
struct ehm_head {
    const ehm_head_ops *ops;
    ehm_head_opt opt;      /* defaults filled in */
    int64_t dim, L;
    int32_t grid_h, grid_w, n_levels, level[EHM_HEAD_LEVELS];
    int32_t n_outs; int64_t out_rows, out_width[EHM_HEAD_OUTS];
    ehm_norm norm[EHM_HEAD_LEVELS];  /* of each level */
    ehm_linear last;                 /* classes */
    ehm_linear proj[EHM_HEAD_LEVELS], fuse[EHM_HEAD_LEVELS];          /* SEG_MLP */
    ehm_linear up, box, centre; ehm_norm up_norm;                     /* DETECT */
    ehm_tower_layer tower[2][EHM_TOWER_LAYERS];                       /* of classes, of boxes */
};

struct ehm_head_pass {
    const ehm_head *head;
    int32_t batch; bool train; ehm_dtype act;
    ehm_view out[EHM_HEAD_OUTS], dout[EHM_HEAD_OUTS];
    ehm_mix pick;                         /* rows of a level that the head reads */
    ehm_view picked[EHM_HEAD_LEVELS], h[EHM_HEAD_LEVELS]; ehm_norm_cache norm[EHM_HEAD_LEVELS]; /* f32, their norm act */
    ehm_view dpicked, dh, dout_act;       /* backward scratch */
    ehm_mix enlarge; ehm_view y[EHM_HEAD_LEVELS], sum, u, g, logits, dlogits, du, dy; /* SEG_MLP */
    ehm_mix unfold; ehm_conv3 conv; ehm_tower_cache up, tower[2][EHM_TOWER_LAYERS]; ehm_tower_scratch tower_scratch; /* DETECT */
    ehm_view feat, dtower, dfeat;
};

/* Steps that all kinds share. A level's rows are picked and normed into p->h[i]; and back: dh act is the gradient of p->h[i]. */
void ehm_head_plan_read(ehm_head_pass *p, ehm_plan *plan, ehm_mem_kind kind, int32_t i);
void ehm_head_plan_read_bwd(ehm_head_pass *p, ehm_plan *plan);
ehm_view ehm_head_read(ehm_dev *d, ehm_head_pass *p, int32_t i, ehm_view level, const ehm_weights *w, int64_t b); /* [b*rows,D] act */
void ehm_head_read_bwd(ehm_dev *d, ehm_head_pass *p, int32_t i, const ehm_view *dlevels, ehm_view dh, const ehm_weights *w, const ehm_grads *g, int64_t b);
#endif
