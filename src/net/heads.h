/* Heads: what is put on an encoder to learn a task. A head reads the residual stream [B,1+L,D] f32 (class token first) after one or several
 * blocks and gives raw predictions; backward adds to its parameters' gradients and writes the gradient of each level it read.
 *
 *     ehm_head_opt o = {.kind = EHM_HEAD_CLASS_MEAN, .n_out = 10};
 *     ehm_head_add(&h, &params, &arena, &shape, &o);                        // parameters, before the plan
 *     ehm_head_pass_open(&p, &h, batch, train, act, &arena);
 *     ehm_head_pass_plan(&p, plan);
 *     ehm_head_fwd(d, &p, &weights, levels, b);                              // levels[i]: after block ehm_head_level(&h, i)
 *     ehm_view y = ehm_head_out(&p, 0, b);
 *     ... dout is written into ehm_head_dout(&p, 0, b) ...
 *     ehm_head_bwd(d, &p, dlevels, levels, &weights, &grads, b);
 *
 * Kinds:
 * - CLASS_CLS: layer norm of the class token ("norm"), linear ("head"). CLASS_MEAN: mean of the patch tokens, layer norm ("fc_norm"), linear ("head"),
 *   as MAE's fine-tuning (He et al. 2022). Output 0: [B,n_out].
 * - SEG_LINEAR: layer norm of each patch token ("norm"), linear ("head"). Output 0: [B,L,n_out] on the patch grid.
 * - SEG_MLP: levels after a quarter, half, three quarters and all of the blocks (rounded up; fewer than 4 blocks: each of them); each layer norm and linear to `width`, concatenated, linear, GELU, twice
 *   bilinearly enlarged, then linear classes: the all-MLP decoder of SegFormer (Xie et al. 2021) on the single scale of a plain ViT. Output 0:
 *   [B,4L,n_out] on a grid of twice the side.
 * - DETECT: patch tokens, layer norm, linear to 4 * width and unfolded 2x2 (a transposed convolution: the x2 step of the simple feature pyramid, Li et al.
 *   2022), layer norm, GELU; then two 3x3 convolutions of `width` with layer norm and GELU for classes and two for boxes; 3x3 predictors: FCOS (Tian et al.
 *   2019) on one scale. The grid is 2*grid_h x 2*grid_w, G = 4L points. Outputs: 0 classes [B,G,n_out] (bias starts at -log(99)), 1 box logarithms [B,G,4],
 *   2 centreness [B,G,1], 3 (with masks) the features [B,G,width] that the mask branch reads; its gradient is ehm_head_dout(&p, 3, b):
 *   written before bwd as the others are (zeros, then what ehm_mask_bwd adds), used up by it. Centreness is read from the boxes' tower.
 */
#ifndef EHM_NET_HEADS_H
#define EHM_NET_HEADS_H
#include "net/layer.h"
#include "net/shape.h"

typedef enum { EHM_HEAD_CLASS_CLS, EHM_HEAD_CLASS_MEAN, EHM_HEAD_SEG_LINEAR, EHM_HEAD_SEG_MLP, EHM_HEAD_DETECT } ehm_head_kind;
enum { EHM_HEAD_LEVELS = 4, EHM_HEAD_OUTS = 4 };
typedef struct {
    ehm_head_kind kind;
    int32_t n_out;       /* classes */
    int32_t width;       /* of SEG_MLP and DETECT, a multiple of 4; 0: 128 */
    bool with_features;  /* DETECT: output 3 */
    double head_std;     /* deviation of the last linear's normal start; 0: 0.01 */
} ehm_head_opt;
/* EHM_E_CONFIG names what a head cannot be made with (classes, width, deviation). */
ehm_code ehm_head_check(const ehm_head_opt *o, ehm_err *err);
typedef struct ehm_head ehm_head;
typedef struct ehm_head_pass ehm_head_pass;
/* Both live in a. NULL when there is no memory. The options are those that ehm_head_check takes. Parameter names start with "head." but for the norm and head of the classifiers, which bear the published
 * names (norm.weight belongs to the encoder where CLASS_CLS or SEG_LINEAR is asked for: then pass its index table: norm). */
ehm_head *ehm_head_add(ehm_params *ps, ehm_arena *a, const ehm_vit_shape *shape, const ehm_norm *encoder_norm, const ehm_head_opt *o);
ehm_head_pass *ehm_head_pass_open(ehm_head *h, int32_t batch, bool train, ehm_dtype act, ehm_arena *a);
int32_t ehm_head_n_levels(const ehm_head *h);
int32_t ehm_head_level(const ehm_head *h, int32_t i);       /* block whose output level i is; the last level is depth - 1 */
int32_t ehm_head_n_outs(const ehm_head *h);
void ehm_head_grid(const ehm_head *h, int32_t *gh, int32_t *gw); /* of the dense outputs; 1 x 1 for classifiers */
void ehm_head_pass_plan(ehm_head_pass *p, ehm_plan *plan);  /* caches (train) or scratch; outputs stay taken */
void ehm_head_pass_plan_bwd(ehm_head_pass *p, ehm_plan *plan);
ehm_code ehm_head_pass_load(ehm_head_pass *p, ehm_dev *d, ehm_err *err); /* uploads index tables; once, after the plan is placed */
void ehm_head_fwd(ehm_dev *d, ehm_head_pass *p, const ehm_weights *w, const ehm_view *levels, int64_t b);
ehm_view ehm_head_out(const ehm_head_pass *p, int32_t i, int64_t b);   /* f32 */
ehm_view ehm_head_dout(const ehm_head_pass *p, int32_t i, int64_t b);  /* f32, filled by the losses before bwd */
/* dlevels[i] [b,1+L,D] f32 are written; absent (rank 0, or dlevels NULL) where the encoder is frozen. They must be taken when the pass is planned. */
void ehm_head_bwd(ehm_dev *d, ehm_head_pass *p, const ehm_view *dlevels, const ehm_view *levels, const ehm_weights *w, const ehm_grads *g, int64_t b);

/* The mask branch of Mask R-CNN (He et al. 2017), light: RoIAlign of 14x14 from the features of DETECT (each cell the mean of 2x2 bilinear samples), two 3x3
 * convolutions of width with layer norm and GELU, unfolded x2 (28x28), GELU, one logit per cell and class. Boxes are aligned as Detectron2 does it: cell
 * (0,0) has its centre at (0.5,0.5); samples farther out than one cell count 0. */
typedef struct ehm_mask_branch ehm_mask_branch;
typedef struct ehm_mask_pass ehm_mask_pass;
enum { EHM_ROI_SIDE = 14, EHM_MASK_SIDE = 28 };
ehm_mask_branch *ehm_mask_branch_add(ehm_params *ps, ehm_arena *a, int32_t width, int32_t n_classes);
/* most_rois: of a batch of pictures, all together. */
ehm_mask_pass *ehm_mask_pass_open(ehm_mask_branch *m, int32_t most_rois, int32_t grid_h, int32_t grid_w, bool train, ehm_dtype act, ehm_arena *a);
void ehm_mask_pass_plan(ehm_mask_pass *p, ehm_plan *plan);
void ehm_mask_pass_plan_bwd(ehm_mask_pass *p, ehm_plan *plan);
/* boxes [n,4] x0 y0 x1 y1 in units of grid cells (0..grid_w, 0..grid_h), picture [n] the picture of the batch in which each lies: uploaded as sample
 * tables. n at most most_rois; a batch with none has nothing to run. Before fwd. EHM_E_ARG names a box that is not finite or ends before it starts; a box
 * without area is fine. */
ehm_code ehm_mask_pass_load(ehm_mask_pass *p, ehm_dev *d, const float *boxes, const int32_t *picture, int32_t n, ehm_err *err);
void ehm_mask_fwd(ehm_dev *d, ehm_mask_pass *p, const ehm_weights *w, ehm_view features); /* features [b,G,width] f32 */
ehm_view ehm_mask_out(const ehm_mask_pass *p);  /* [n,28*28,n_classes] f32 */
ehm_view ehm_mask_dout(const ehm_mask_pass *p);
void ehm_mask_bwd(ehm_dev *d, ehm_mask_pass *p, ehm_view dfeatures, const ehm_weights *w, const ehm_grads *g); /* dfeatures [b,G,width] f32 is added to */
#endif
