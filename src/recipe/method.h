/* A method: one recipe (mask rule, corruption, target, head, loss: a row of recipes.def) bound to one network
 * and one plan.
 *
 *     ehm_method *m; ehm_method_open(&m, &cfg, &shape, batch, EHM_F32, true, &err);
 *     ehm_plan_begin(&plan, dev); ehm_method_plan(m, &plan); ...commit...; ehm_method_plan(m, &plan);
 * ehm_plan_end(...) ehm_method_init(m, dev, seed); ehm_method_load(m, dev, &batch, epoch, progress, seed,
 * &err);  // masks drawn, pixels and indices uploaded ehm_method_fwd(m, dev);  ehm_method_bwd(m, dev); //
 * gradients are added to
 *
 * train/ walks this and knows nothing of the recipe.
 */
#ifndef EHM_RECIPE_METHOD_H
#define EHM_RECIPE_METHOD_H
#include "base/settings.h"
#include "compute/plan.h"
#include "data/loader.h"
#include "mask/mask.h"
#include "net/params.h"
#include "net/shape.h"

typedef struct {
    const char *key, *value;
} ehm_override; /* a setting's default of the recipe; ends with key NULL */
typedef struct {
    const char *name, *summary, *source, *mask, *corrupt, *target, *head, *loss;
    const ehm_override *defaults;
} ehm_recipe;
extern const ehm_recipe *const ehm_recipes[]; /* ends with NULL */
const ehm_recipe *ehm_recipe_find(const char *name, ehm_err *err);
/* Apply the recipe's defaults (origin recipe) to c. */
ehm_code ehm_recipe_apply(const ehm_recipe *r, ehm_config *c, ehm_arena *a, ehm_err *err);

/* What can be told from the settings alone, before any picture is looked at: mask rule and its options. */
ehm_code ehm_recipe_check(const ehm_config *c, ehm_err *err);

typedef struct ehm_method ehm_method;
/* train: gradients and activation caches are planned; else forward only. batch: pictures a micro-batch. act:
 * EHM_F32 or EHM_BF16 (EHM_F64 on ref64). Copies what it needs of cfg. */
ehm_code ehm_method_open(ehm_method **out, const ehm_config *cfg, const ehm_vit_shape *shape, int32_t batch,
                         ehm_dtype act, bool train, ehm_err *err);
void ehm_method_close(ehm_method *m);
void ehm_method_plan(ehm_method *m, ehm_plan *plan);       /* call in both passes */
void ehm_method_init(ehm_method *m, ehm_dev *d, uint64_t seed);
const ehm_params *ehm_method_params(const ehm_method *m);
ehm_weights *ehm_method_weights(ehm_method *m);            /* online */
/* Flat f32 gradient of group 0 or 1, laid out as the weights. */
ehm_view ehm_method_grad(const ehm_method *m, int32_t group);
const struct ehm_vit_encoder *ehm_method_encoder(
    const ehm_method *m); /* its network (net/vit.h), for further passes over the same weights */
/* The normalisation of pixels, per channel on the 0..1 scale; after the plan. Mean 0 and std 1 until then. */
ehm_code ehm_method_set_stats(ehm_method *m, ehm_dev *d, const double *mean, const double *std, int32_t n,
                              ehm_err *err);
/* Draw masks for the batch (on the device's threads), upload pixels and indices. progress: u of the curriculum. Rules that follow the model's
 * attention first run it over all patches, without gradient. b->n may be below batch only when not training.
 */
ehm_code ehm_method_load(ehm_method *m, ehm_dev *d, const ehm_batch *b, float progress, uint64_t seed,
                         ehm_err *err);
/* Between the ops of one step and the wait for them, on devices that run ahead: the pixels of the batch that is loaded next travel already. */
void ehm_method_ahead(ehm_method *m, ehm_dev *d, const ehm_batch *b);
/* After the step's wait: what the masks were, where the device made them; ehm_method_visible and _masked tell the truth from then on. EHM_E_NUMERIC: they
 * follow weights that blew up. Nothing to do where the host made them. */
ehm_code ehm_method_settled(ehm_method *m, ehm_dev *d, ehm_err *err);
/* What the ops of fwd and bwd depend on after a load, as a key for ehm_dev_section. */
uint64_t ehm_method_section(const ehm_method *m);
/* After an optimiser step, the step-th (from 1) of total: what follows the weights (a teacher's average) moves on. */
void ehm_method_stepped(ehm_method *m, ehm_dev *d, int64_t step, int64_t total);
/* EHM_MASK_NEEDS_ bits that the run may ask of its data: labels of patches. */
uint32_t ehm_method_needs(const ehm_method *m);
/* Weights stand as they will before step 1 (drawn, or read from a file): averages start from them. */
void ehm_method_started(ehm_method *m, ehm_dev *d);
/* After a checkpoint was put back: copies are made anew. */
void ehm_method_restored(ehm_method *m, ehm_dev *d);
/* What the loads since the last call had to say ("u", "tree_k", ...), averages over pictures; timings in milliseconds a load. Returns how many;
 * names are static. The sums lie in ehm_method_meters until then, for checkpoints. */
typedef struct { const char *name; double value; } ehm_method_metric;
enum { EHM_METHOD_METRICS_MAX = 64 };
int32_t ehm_method_metrics(ehm_method *m, ehm_method_metric out[EHM_METHOD_METRICS_MAX]);
int32_t ehm_method_timings(ehm_method *m, ehm_method_metric out[EHM_METHOD_METRICS_MAX]);
double *ehm_method_meters(ehm_method *m, int32_t *n);
/* Host memory that its masks take, for n_threads threads: similarities of a batch, scratch of trees. */
size_t ehm_method_host_bytes(const ehm_method *m, int32_t n_threads);
/* What a user should be told once about these masks; "" when there is nothing to say. */
const char *ehm_method_note(const ehm_method *m);
/* The running mean of attention and where it is from; false: the recipe has none. */
struct ehm_affinity;
const struct ehm_affinity *ehm_method_affinity(const ehm_method *m); /* NULL without a teacher */
/* The same with given masks: visible [n, n_visible], masked [n, L - n_visible] (any order; visible in the
 * order the encoder sees). */
ehm_code ehm_method_load_masks(ehm_method *m, ehm_dev *d, const ehm_batch *b, const int32_t *visible,
                               const int32_t *masked, int32_t n_visible, ehm_err *err);
void ehm_method_fwd(ehm_method *m, ehm_dev *d);            /* reads the online weights */
void ehm_method_bwd(
    ehm_method *m, ehm_dev *d,
    float loss_scale); /* adds the gradient of loss_scale * loss; loss_scale: 1 / accum_iter */
ehm_view ehm_method_loss(const ehm_method *m); /* [1] f32: the batch's mean loss; 0 when nothing is masked */
/* After fwd: the head's output for every patch (for pictures) as pixels of the normalised space [n, L, P]
 * f32, only when opened with train false. */
ehm_view ehm_method_prediction(const ehm_method *m);
const int32_t *ehm_method_visible(const ehm_method *m);    /* host, [n, n_visible] of the last load */
const int32_t *ehm_method_masked(const ehm_method *m);
int32_t ehm_method_n_visible(const ehm_method *m);
/* What the loss of a trivial predictor is, in words for the user ("1.0 = predicting each patch's mean"); ""
 * when unknown. */
const char *ehm_method_loss_baseline(const ehm_method *m);
double ehm_method_flops(
    const ehm_method *m); /* products of one picture's training step (forward and backward), by count; a teacher's pass included */
/* Seconds that a batch will take more once its masks follow the model, as measured at the first load; 0 where they do at this progress, or never will. */
double ehm_method_teacher_s(const ehm_method *m, double progress);
#endif
