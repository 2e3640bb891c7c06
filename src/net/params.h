/* Parameters: one flat f32 buffer per decay group, a table of named parts with the names and shapes of
 * published state dicts (MAE's, timm's). Group 0 is decayed, group 1 is not (1-d tensors and biases), group 2
 * is frozen (position tables; not in the optimiser).
 *
 * Layers add their parameters in the order of the state dict, before the plan; after the plan each has its
 * views. A weight set (ehm_weights) is what a forward pass reads: the online one, or an averaged copy.
 */
#ifndef EHM_NET_PARAMS_H
#define EHM_NET_PARAMS_H
#include "base/rng.h"
#include "compute/plan.h"

enum { EHM_DECAY = 0, EHM_NO_DECAY = 1, EHM_FROZEN = 2, EHM_PARAM_GROUPS = 3 };
typedef enum {
    EHM_INIT_ZERO,
    EHM_INIT_ONE,
    EHM_INIT_XAVIER,
    EHM_INIT_NORMAL02,
    EHM_INIT_UNIFORM,
    EHM_INIT_TABLE,
    EHM_INIT_NORMAL,
    EHM_INIT_CONST
} ehm_init_kind;
typedef struct {
    const char *name;          /* "blocks.3.attn.qkv.weight" */
    int32_t rank; int64_t dim[4], count;
    int32_t group; int64_t offset; /* elements into its group, a multiple of 16 */
    ehm_init_kind init;
    double bound;
    int64_t fan_in, fan_out;   /* how it starts; XAVIER: +-sqrt(6/(fan_in+fan_out)); UNIFORM: +-bound; NORMAL: deviation bound;
                                  CONST: bound everywhere */
    const float *table;        /* EHM_INIT_TABLE: count values, owned by the params' arena */
    bool matrix;               /* read by products: has a copy in act type when that is bf16 */
} ehm_param;

typedef struct {
    ehm_param *item; int32_t n, cap;
    int64_t group_count[EHM_PARAM_GROUPS]; /* padded elements */
    ehm_arena arena;
    bool failed;                           /* no memory while adding; checked once at the end */
} ehm_params; /* the table; no memory of the numbers */

typedef struct {
    const ehm_params *params;
    ehm_view flat[EHM_PARAM_GROUPS];     /* f32 [group_count] */
    ehm_view act[EHM_PARAM_GROUPS]; /* bf16 copies of whole groups 0 (matrices live there); empty when act is
                                       f32 */
} ehm_weights;

/* The index of the new part; -1 and ps->failed when there is no memory. name is copied, table is borrowed for
 * the life of ps. */
int32_t ehm_params_add(ehm_params *ps, const char *name, int32_t group, int32_t rank, const int64_t *dim,
                       ehm_init_kind init, double bound, int64_t fan_in, int64_t fan_out, const float *table);
int32_t ehm_params_find(const ehm_params *ps, const char *name); /* -1 */
void ehm_params_free(ehm_params *ps);
/* Places for a weight set; kind PARAM for the online one, STATE for an averaged one. prefix names the plan
 * entries ("", "ema."). act_type EHM_F32 or EHM_BF16. */
void ehm_weights_plan(ehm_weights *w, const ehm_params *ps, ehm_plan *plan, ehm_mem_kind kind,
                      const char *prefix, ehm_dtype act_type);
ehm_view ehm_weight(const ehm_weights *w, int32_t i);      /* f32, its own shape */
/* For products, as a matrix [dim0, rest]: act type. */
ehm_view ehm_weight_act(const ehm_weights *w, int32_t i);
/* Draws depend on seed and the parameter's name only. */
void ehm_weights_init(const ehm_weights *w, ehm_dev *d, uint64_t seed);
/* The same numbers of one parameter, into out [p->count]. */
void ehm_param_start(const ehm_param *p, uint64_t seed, float *out);
/* Bf16 copies from f32; tells the device that weights changed. */
void ehm_weights_refresh(const ehm_weights *w, ehm_dev *d);
/* Sin-cos table of MAE (conventions 2.1): [1 + grid_h*grid_w, dim] f32 into out, row 0 zeros. dim divisible
 * by 4. */
void ehm_sincos_table(float *out, int32_t dim, int32_t grid_h, int32_t grid_w);
/* NULL when there is no memory. */
float *ehm_sincos_new(ehm_arena *a, int32_t dim, int32_t grid_h, int32_t grid_w);
#endif
