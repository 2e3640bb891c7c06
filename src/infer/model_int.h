/* An open model, for infer's own files. */
#ifndef EHM_INFER_MODEL_INT_H
#define EHM_INFER_MODEL_INT_H
#include "exchange/weights_file.h"
#include "infer/infer.h"
#include "infer/source.h"
#include "net/pixels.h"
#include "net/vit.h"
#include "recipe/method.h"

/* Weights of a checkpoint into m, whose tables are those of its run. EHM_E_MISMATCH, EHM_E_FORMAT where the state is another's. */
ehm_code ehm_model_checkpoint_load(ehm_model *m, ehm_err *err);
/* The running mean of attention in it, count numbers; *out NULL where it has none of that size. */
ehm_code ehm_model_checkpoint_mean(float **out, const ehm_model *m, int64_t count, ehm_arena *a, ehm_err *err);

/* With a decoder the weights live in a method (opened forward only), which also reconstructs; without one
 * they are planned here. Features run the encoder over all patches in a pass of their own; its scratch and
 * the method's are the same memory, used one after the other. */
struct ehm_model {
    ehm_arena arena;
    char *spec;
    char *ckpt_run; int64_t ckpt_step; /* weights come from this checkpoint of that run; NULL: not from one */
    ehm_weights_info info;
    ehm_dev *d; ehm_dtype act; int32_t batch;
    ehm_plan plan; bool planned;
    ehm_method *method;               /* NULL: encoder only */
    ehm_params params; ehm_vit_encoder own_enc; ehm_weights own_weights;
    const ehm_vit_encoder *enc; const ehm_weights *weights;
    ehm_vit_encoder_pass pass;
    ehm_pixels pixels;
    ehm_vit_route route;              /* every patch, in raster order */
    ehm_view patches;
    float *host_tokens;               /* [batch,1+L,D] */
    void *host_wide;                  /* doubles of the same count, on devices that have them */
    ehm_buf *probs; bool probs_per_head; /* made by the first look at attention: one picture's */
    ehm_affinity *affinity; ehm_affinity_opt affinity_opt; ehm_plan affinity_plan; /* made by the first look at similarity, again for other options */
    int32_t affinity_batch; bool affinity_planned, affinity_fell_back, affinity_learns;
    struct ehm_learned_mean *learned; /* means of attention that were learned from pictures; in arena */
};
void ehm_model_affinity_close(ehm_model *m);
/* f32 from a view of the device's real type; n values. */
ehm_code ehm_model_fetch(ehm_model *m, float *out, ehm_view v, ehm_err *err);
#endif
