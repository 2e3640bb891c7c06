/* Loader: batches of pictures, decoded and augmented by worker threads ahead of the step.
 *
 *     ehm_loader *l; ehm_loader_open(&l, ds, &opt, first_batch, &err);
 *     while (!(rc = ehm_loader_next(l, &b, &err))) { ... use b until the next call ... }
 *     ehm_loader_close(l);
 *
 * What a batch holds depends only on (seed, epoch, position): never on threads, timing or where the run resumed.
 * A bad sample is replaced by the next good one of the epoch's order.
 */
#ifndef EHM_DATA_LOADER_H
#define EHM_DATA_LOADER_H
#include "base/pool.h"
#include "base/rng.h"
#include "data/data.h"

typedef struct {
    int32_t batch_size, h, w;
    bool augment;                 /* random resized crop and flip; else the evaluation transform */
    double crop_min, crop_max, flip;
    const char *fit;              /* "crop" (NULL), "stretch", "pad", "auto" = crop, for the evaluation transform */
    bool shuffle;                 /* by (seed, epoch); else in the set's order */
    bool drop_last;               /* whole batches only; else the last batch is short */
    bool repeat;                  /* go on with the next epoch; else EHM_E_STOPPED after the last batch of epoch 0 (n = 0, err untouched) */
    uint64_t seed;
    int32_t label_grid_h, label_grid_w; /* not 0: labels of patches come with each batch, for sets with label maps (EHM_E_CONFIG without) */
    /* For training with labels; all off when 0. Random changes of pictures need augment (EHM_E_ARG without), and come in this order: crop or scale, flip,
     * RandAugment, color_jitter, erase. Their draws are functions of (seed, epoch, slot). */
    double scale_min, scale_max;  /* with augment: instead of a crop by area, the whole picture is fitted to the input times a random scale (log-uniform) and
                                   * an input-sized window is cut (or the picture placed) at random: segmentation and detection. What lies outside is the mean
                                   * colour 0.5 (128 of 255) and has no label */
    int32_t rand_augment_n; double rand_augment_m, rand_augment_std; /* RandAugment after crop and flip (Cubuk et al. 2020; timm's "rand-mM-nN-mstdS-inc1"); not with maps, boxes or labels of patches, which it
                                                                        * would have to turn too; RGB of 8 bits alone: else EHM_E_CONFIG */
    double color_jitter;          /* brightness, contrast and saturation by 1 +- x each, in random order (torchvision's ColorJitter(x, x, x)); 1 or 3 channels */
    double erase;                 /* probability of random erasing with noise of each pixel (Zhong et al. 2020; timm's mode pixel): pixels then come as f32 */
    const double *noise_mean, *noise_std; /* [channels] for erase: the noise is mean + std * normal */
    bool as_f32;                  /* pixels come as f32 whatever the set holds */
    bool want_maps;               /* label maps come with each batch */
    bool want_boxes;              /* boxes come with each batch, in pixels of the input, clipped; those that keep less than box_keep of their area go */
    double box_keep;              /* 0: 0.25 */
    bool want_objects;            /* with want_boxes: which object each pixel belongs to */
    int32_t n_workers;            /* threads; at least 1 */
    int32_t n_ahead;              /* batches in flight; 0: n_workers + 2 */
    int64_t cache_bytes;          /* memory for decoded pictures, used where a look at the sizes says that the whole set fits; 0 none */
    double max_bad;               /* share of distinct files seen, judged after 100 files and at each epoch's end; over it: EHM_E_FORMAT with the first reasons */
} ehm_loader_opt;

typedef struct {
    int32_t n;                    /* pictures in it */
    const void *pixels;           /* [n,h,w,c], u8 or f32 as ehm_dataset_is_u8; f32: 8 and 16 bit values are scaled to 0..1 */
    ehm_dtype type;
    const int64_t *ids;           /* [n] index in the dataset of the picture used */
    const int64_t *slots;         /* [n] index asked for by the order (differs from ids where a bad one was replaced); random draws use this */
    const int32_t *labels;        /* [n] */
    const int32_t *patch_labels;  /* [n,n_levels,label_grid_h*label_grid_w] or NULL: the majority of a patch's labelled pixels under the same crop and
                                   * flip (nearest), -1 where there is none; ties to the lower id. Scenes: part, object, class; else the label map alone */
    int32_t n_levels;
    const int32_t *maps;          /* [n,h,w] class of each pixel (nearest), -1 ignored or outside; NULL unless asked for */
    const ehm_box *boxes;         /* of all pictures; those of picture i are boxes[box_start[i]] to boxes[box_start[i+1] - 1]; class ids are the set's */
    const int32_t *box_start;     /* [n + 1]; NULL unless asked for */
    const int32_t *objects;       /* [n,h,w]: number k of the picture's box list (k from 0) whose object the pixel shows, -1 none; NULL unless asked for */
    const struct ehm_placement *places; /* [n] where each picture came to lie (patch_labels.h); NULL unless maps or boxes are asked for */
    const int32_t *sizes;         /* [n,2] width and height of each picture as stored; with places */
    int64_t epoch, i_batch;       /* i_batch within the epoch */
    int64_t index;                /* batches since epoch 0, batch 0 */
} ehm_batch;

typedef struct ehm_loader ehm_loader;
ehm_code ehm_loader_open(ehm_loader **out, ehm_dataset *ds, const ehm_loader_opt *opt, int64_t first_batch, ehm_err *err);
ehm_code ehm_loader_next(ehm_loader *l, ehm_batch *out, ehm_err *err); /* borrowed until the next call */
int64_t ehm_loader_batches_per_epoch(const ehm_loader *l);
double ehm_loader_wait_s(const ehm_loader *l);  /* seconds that next waited, in all */
int64_t ehm_loader_bad_count(const ehm_loader *l); /* distinct bad files so far */
/* The i-th bad file so far: its index and reason (one line, without the name). For the thread that calls next; reason is the loader's until close. */
bool ehm_loader_bad(ehm_loader *l, int64_t i, int64_t *id, const char **reason);
void ehm_loader_close(ehm_loader *l);

/* ---- the pieces, for tests and other callers ---- */
/* RandAugment's operations on one picture, as timm 1.0 does them on Pillow images ("rand-m9-mstd0.5-inc1"): img u8 [h,w,3] is changed in place. Each of
 * n_ops operations, drawn with replacement, is done with probability 0.5 at a magnitude of normal(magnitude, magnitude_std) held in 0..10. Outside is
 * (128,128,128); sampling is bilinear (timm: bilinear or bicubic at random). */
ehm_code ehm_rand_augment(ehm_image *img, int32_t n_ops, double magnitude, double magnitude_std, ehm_rng *rng, ehm_arena *scratch, ehm_err *err);
/* Mixes picture i with picture n-1-i of a batch (timm's Mixup in batch mode), pixels [n,h,w,c] f32 in place: mixup (Zhang et al. 2018) with lambda from
 * Beta(a, a), or cutmix (Yun et al. 2019); where both are on, cutmix with probability switch_prob. The middle picture of an odd batch stays. prob: of mixing at all. lambda: the share of the own
 * picture after the box was clipped, 1 when nothing was mixed. A function of (seed, epoch, i_batch). */
typedef struct { double mixup, cutmix, prob, switch_prob; } ehm_mix_opt;
void ehm_mix_batch(double *lambda, float *pixels, int32_t n, int32_t h, int32_t w, int32_t c, const ehm_mix_opt *o, uint64_t seed, int64_t epoch, int64_t i_batch);
/* target [n,n_classes] f32: smoothed one-hot (off value smoothing / n_classes, on value 1 - smoothing + off) of labels and of their partners n-1-i, lambda to
 * 1 - lambda. A label outside 0..n_classes-1 is none: its share goes to no class. */
void ehm_mix_targets(float *target, const int32_t *labels, int32_t n, int32_t n_classes, double lambda, double smoothing);
/* Position -> picture: a permutation of 0..n-1 that depends on (seed, epoch). perm has n entries. */
void ehm_order_fill(int64_t *perm, int64_t n, uint64_t seed, int64_t epoch);
/* torchvision's RandomResizedCrop: ten tries of area and log-uniform aspect 3/4..4/3, then the centre. box x0,y0,x1,y1 in pixels (integers). */
void ehm_augment_box(double box[4], bool *flip, int32_t w, int32_t h, double crop_min, double crop_max, double flip_p, uint64_t seed, int64_t epoch, int64_t sample);
/* Evaluation transform of a picture w x h for an input in_w x in_h: crop: short side to size (size / 0.875 above 96 px) and centre crop, as one box of the source.
 * pad: the box reaches beyond the picture; ehm_data_fit fills with zeros what lies outside. */
void ehm_eval_box(double box[4], int32_t w, int32_t h, int32_t in_w, int32_t in_h, const char *fit);

/* Per-channel mean and deviation over a sample of pictures (n_max spread over the set), of values scaled to 0..1 (float as it is). Each
 * picture counts the same, bad ones are left out; std is 1 for a channel that never varies. The same for any pool. mean, std: [channels]. */
ehm_code ehm_data_stats(ehm_dataset *ds, int64_t n_max, uint64_t seed, double *mean, double *std, ehm_pool *pool, ehm_err *err);
/* Where a picture is read whole and transformed for a model input: used by draw and embed for single pictures too. px [in_h,in_w,c] u8 or f32. */
ehm_code ehm_data_fit(void *px, ehm_dtype type, int32_t in_h, int32_t in_w, const ehm_image *img, const char *fit, ehm_arena *scratch, ehm_err *err);
#endif
