/* For the parts of a recipe: what a corruption, a target and a head are, and the method that they work on.
 *
 * A step goes: masks drawn; corrupt routes tokens; target from the clean crop; encoder; head on the cells
 * that the loss asks for; loss; and back. Device views are planned for the largest case; the sizes of the
 * last load (n, n_embed, n_tokens, n_pred) say how much of them is in use. Encoder tokens stand in the order
 * of the list of visible patches, decoder tokens in raster order; both routes are stored, never rebuilt.
 */
#ifndef EHM_RECIPE_METHOD_INT_H
#define EHM_RECIPE_METHOD_INT_H
#include "compute/trees.h"
#include "loss/loss.h"
#include "mask/mask_file.h"
#include "mask/tree_mask.h"
#include "net/pixels.h"
#include "net/vit.h"
#include "recipe/affinity.h"
#include "recipe/method.h"

/* What the encoder gets to see. */
typedef struct {
    const char *name, *summary;
    bool drops;                              /* hidden patches have no token in the encoder */
    bool plain_routes;                       /* its routes are those of ehm_mask_routes (compute/trees.h) */
    int32_t (*n_embed)(int32_t n_patches, int32_t n_visible);
    int32_t (*n_tokens)(int32_t n_patches, int32_t n_visible);
    /* One picture's route (vit.h): embed_idx [n_embed], src and pos_idx [n_tokens]. */
    void (*route)(int32_t *embed_idx, int32_t *src, int32_t *pos_idx, const int32_t *visible,
                  int32_t n_visible, const int32_t *masked, int32_t n_masked);
} ehm_corrupt;

/* What is to be predicted of each hidden patch; from the clean crop. */
typedef struct {
    const char *name, *summary;
    ehm_target_kind gives;
    int64_t (*width)(const ehm_vit_shape *s); /* values a patch */
    const char *(*refuse)(const ehm_method *m); /* why it is impossible with these settings; NULL: fine */
    void (*fwd)(ehm_method *m, ehm_dev *d);  /* m->target at m->target_idx */
    const char *(*baseline)(const ehm_method *m);
} ehm_target;

/* From the encoder's tokens to predictions. */
typedef struct {
    const char *name, *summary;
    ehm_target_kind gives;
    bool speaks_of_dropped;                  /* predicts for patches without a token in the encoder */
    bool needs_decoder;                      /* decoder_depth > 0 */
    bool (*open)(ehm_method *m);             /* state in m->arena, m->head_state; false: no memory */
    void (*roots)(ehm_method *m); /* parameters that stand in front of all modules in published files */
    void (*modules)(ehm_method *m, int64_t width);
    bool (*open_pass)(ehm_method *m);
    void (*plan)(ehm_method *m, ehm_plan *plan); /* forward only: the prediction stays taken in scratch */
    void (*plan_bwd)(ehm_method *m, ehm_plan *plan);
    void (*load)(ehm_method *m, ehm_dev *d); /* its indices, from the masks of this load */
    /* Where its indices lie of a whole batch in training, if they are back and pred of ehm_mask_routes; NULL: they are not. */
    void (*lists)(const ehm_method *m, ehm_view *back, ehm_view *pred);
    void (*fwd)(ehm_method *m, ehm_dev *d, ehm_view z);
    ehm_view (*pred)(const ehm_method *m); /* [n, n_pred, width] f32: masked patches in training, else all in
                                              raster order */
    ehm_view (*dpred)(const ehm_method *m);
    void (*bwd)(ehm_method *m, ehm_dev *d, ehm_view dz, ehm_view z);
} ehm_head;

#define CORRUPT(name) extern const ehm_corrupt ehm_corrupt_##name;
#define TARGET(name) extern const ehm_target ehm_target_##name;
#define HEAD(name) extern const ehm_head ehm_head_##name;
#include "recipe/parts.def"
#undef CORRUPT
#undef TARGET
#undef HEAD
const ehm_corrupt *ehm_corrupt_find(const char *name, ehm_err *err); /* NULL and EHM_E_CONFIG */
const ehm_target *ehm_target_find(const char *name, ehm_err *err);
const ehm_head *ehm_head_find(const char *name, ehm_err *err);
/* Do the pieces of a recipe fit? EHM_E_CONFIG names the two that do not. */
ehm_code ehm_parts_fit(const char *recipe, const ehm_corrupt *c, const ehm_target *t, const ehm_head *h, const ehm_loss *l, ehm_err *err);

/* Masks made by the device (method_device_masks.c). pending: those of the last load have not been looked at. */
typedef struct {
    bool on, pending;
    float progress;
    ehm_trees_args trees;
    ehm_tree_masks_args masks;
    int32_t *k, *n_cut, *state;              /* host: [batch], [batch], [crops] */
    uint32_t *keys;                          /* [batch,EHM_TREE_KEYS] */
    ehm_tree *tree;                          /* [crops]; left, right and size of all lie one after the other; no heights */
} ehm_device_masks;

/* Drawing masks: what the rule asks for, and what it said. See method_masks.c. */
typedef struct {
    ehm_mask_settings settings;
    const char *arg;                         /* of the rule's spec; in the method's arena */
    uint32_t ever;                           /* EHM_MASK_NEEDS_ of the whole run, --tree-log included */
    bool log_trees, ema, warmup_random;
    double half_life;
    ehm_affinity *affinity;                  /* NULL: no teacher */
    ehm_vit_encoder_pass pass;               /* all patches, forward only */
    ehm_vit_encoder enc;
    ehm_weights average;                     /* --tree-teacher ema */
    ehm_view embed_idx, src, pos_idx, patches; bool routed;
    ehm_mask_file *file; char *note;         /* what a user should be told once; NULL: nothing */
    float *similarity, *attention, *cls, *colour; /* host, [crops, ..]; colour [batch, ..] */
    ehm_mask_facts *facts; ehm_mask_shape *shapes; /* [batch] */
    ehm_view loss_state; float *loss;        /* [2,L]: running mean of the loss of each place in the grid, and how often it was seen */
    float *row_loss;                         /* host [batch * n_masked] */
    ehm_arena *scratch; int32_t n_scratch;   /* one a thread */
    double *meters;
    double pass_s;                           /* seconds of one teacher's pass over a batch */
    double load_s[4]; int64_t n_loads;       /* teacher, similarity, tree, selection */
    ehm_device_masks device;
} ehm_method_masks;

struct ehm_method {
    ehm_arena arena, scratch;                /* run; one load */
    const ehm_recipe *recipe;
    const ehm_mask_rule *rule;
    const ehm_corrupt *corrupt;
    const ehm_target *target_kind;
    const ehm_head *head;
    const ehm_loss *loss_kind;
    ehm_vit_shape shape;
    int32_t batch, views; /* masked samples; masks a crop: sample v * (batch / views) + j is crop j under its mask v */
    ehm_dtype act; bool train, norm_pix; double mask_ratio;

    ehm_params params; ehm_weights weights; ehm_grads grads;
    ehm_vit_encoder enc; ehm_vit_encoder_pass enc_pass;
    void *head_state;
    ehm_loss_cache loss_cache;
    int64_t width;                           /* of the target */
    int32_t cap_embed, cap_tokens, cap_masked; /* what is planned for */

    ehm_pixels pixels; bool has_stats;       /* told by set_stats */
    bool pixels_loaded;                      /* this batch's are on the device already */
    int64_t ahead;                           /* number of the batch that was sent ahead; -1: none */
    ehm_view embed_idx, src, pos_idx, target_idx; /* INPUT, i32 */
    ehm_view patches, target, pred_masked, loss, dz;

    int32_t *visible, *masked, *host_embed, *host_src, *host_pos; /* [batch, ..] of the last load */
    int32_t n, n_visible, n_masked, n_embed, n_tokens;
    ehm_method_masks masks;
};
static inline int32_t ehm_method_crops(const ehm_method *m) { return m->batch / m->views; } /* pictures a micro-batch */
ehm_code ehm_method_masks_open(ehm_method *m, const ehm_config *cfg, ehm_err *err);
void ehm_method_masks_close(ehm_method *m);
void ehm_method_masks_plan(ehm_method *m, ehm_plan *plan);
ehm_code ehm_method_masks_draw(ehm_method *m, ehm_dev *d, const ehm_batch *b, float progress, uint64_t seed, ehm_err *err);
void ehm_method_masks_add(ehm_method *m, double progress, int64_t n); /* facts and shapes of the n samples of a load, to the meters */
void ehm_device_masks_plan(ehm_method *m, ehm_plan *plan);
bool ehm_device_masks_open(ehm_method *m); /* host memory, at the first load */
void ehm_device_masks_numbers(ehm_method *m, const ehm_mask_in *in, int64_t i); /* of sample i */
void ehm_device_masks_upload(ehm_method *m, ehm_dev *d);
void ehm_device_masks_make(ehm_method *m, ehm_dev *d, ehm_view similarity); /* ops alone, from [crops,L,L] to routes */
int32_t ehm_method_n_pred(const ehm_method *m); /* masked patches in training, else all */
ehm_view ehm_method_target(const ehm_method *m); /* [n, n_masked, width] */
#endif
