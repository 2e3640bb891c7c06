/* The stable interface for other languages: plain C types, opaque handles, no structs by value, no callbacks into the caller. The Python
 * package is written against it alone. It includes nothing else of ehm.
 *
 *     char why[EHM_API_MESSAGE]; ehm_api_model *m;
 *     if (ehm_api_open(&m, "runs/r", "auto", 0, why, sizeof why)) ...
 *     ehm_api_embed(m, pixels, n, h, w, c, EHM_API_U8, "mean", out, why, sizeof why);
 *     ehm_api_close(m);
 *
 * Errors   A function that can fail returns 0 or a code of ehm_code (base/err.h) as int32_t; ehm_api_code_name has its word. The words of the
 *          failure go to message [message_cap], cut where they are longer, always ended by 0, "" on success; message NULL: nowhere. A pointer
 *          that may not be NULL and is gives code 1 and a message that names it. After a failure, what was to be written is undefined, but
 *          handles are NULL.
 * Threads  A handle may be used by one thread at a time, different handles by different threads at once. A model has threads of its own and
 *          belongs to the process that opened it: in a forked child its calls fail with code 7 instead of hanging, and closing it there does
 *          nothing. Maskers and trees keep no threads between calls and go on working in a forked child.
 * Settings Texts "key=value" with the keys, ranges and messages of the command line's options (docs/settings.md).
 * Masks    One byte a patch, row by row from the top left, 1 hidden, 0 visible. n below is grid_h * grid_w.
 * Stable   Functions keep their meaning as long as EHM_API_VERSION stays.
 */
#ifndef EHM_API_API_H
#define EHM_API_API_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#define EHM_API_VERSION 1     /* raised when a function changes or goes; additions do not raise it */
#define EHM_API_MESSAGE 2048  /* bytes that hold any message */
enum { EHM_API_U8 = 0, EHM_API_F32 = 1, EHM_API_F64 = 2 }; /* type of numbers handed over; pixels are u8, or f32 of 0 to 1 */

int32_t ehm_api_version(void);             /* EHM_API_VERSION of the library that is loaded */
const char *ehm_api_library_version(void); /* "0.1.0" */
const char *ehm_api_features(void);        /* libraries that it was built with: "JPEG PNG ..." */
const char *ehm_api_code_name(int32_t code); /* "ok", "argument", "config", "io", "format", ... */
/* Messages of the library (a picture left out, a choice made) go to standard error from this level on: 0 debug, 1 info, 2 note, 3 warning;
 * any other: nowhere, as at the start. For the whole process; it replaces a sink that was set with ehm_log_sink. */
void ehm_api_log_level(int32_t level);

/* ---- models ---- */
typedef struct ehm_api_model ehm_api_model;
/* spec: a run folder, a checkpoint, a .safetensors file, untrained:PRESET. device "auto" (NULL), "cpu", "ref"; threads 0: all processors. */
int32_t ehm_api_open(ehm_api_model **out, const char *spec, const char *device, int32_t threads, char *message, size_t message_cap);
/* The same with settings: device, threads, dtype, batch_size. */
int32_t ehm_api_open_with(ehm_api_model **out, const char *spec, const char *const *settings, int32_t n_settings, char *message,
                          size_t message_cap);
void ehm_api_close(ehm_api_model *m); /* NULL is fine */
/* Numbers of it: img_h img_w channels patch_size grid_h grid_w n_patches embed_dim depth num_heads mlp_dim decoder_embed_dim decoder_depth
 * decoder_num_heads patch_pixels has_decoder norm_pix batch_size n_parameters. */
int32_t ehm_api_number(const ehm_api_model *m, const char *name, int64_t *out, char *message, size_t message_cap);
/* spec, dtype ("f32", "bf16"), fit (evaluation transform: "crop", ...); borrowed until the model is closed; NULL for another name. */
const char *ehm_api_text(const ehm_api_model *m, const char *name);
/* Per channel, of pixels of 0 to 1; [channels] each. */
int32_t ehm_api_stats(const ehm_api_model *m, double *mean, double *std, char *message, size_t message_cap);

/* Pictures: pixels [n,h,w,c] of any size and 1 to 4 channels (2 and 4: alpha last, dropped), n >= 1 of any count. Pictures of just the
 * model's size are taken as they are; others are fitted as by ehm_api_fit with fit NULL. Pixels have to be finite. */

/* What the model sees: out [n,img_h,img_w,channels] of pixels' type. fit: "crop" (short side to size, or to size / 0.875 above 96 pixels, and
 * the centre), "stretch", "pad"; NULL: that of the model's run. Bicubic with antialias. */
int32_t ehm_api_fit(ehm_api_model *m, const char *fit, const void *pixels, int64_t n, int32_t h, int32_t w, int32_t c, int32_t type, void *out,
                    char *message, size_t message_cap);
/* pool "cls" or "mean": out [n,embed_dim]; "patches": out [n,n_patches,embed_dim]. After the final norm; never masked. */
int32_t ehm_api_embed(ehm_api_model *m, const void *pixels, int64_t n, int32_t h, int32_t w, int32_t c, int32_t type, const char *pool,
                      float *out, char *message, size_t message_cap);
/* Post-softmax attention of a block (0 to depth - 1; -1: the last), class token first: out [n,1+n_patches,1+n_patches], the mean over heads,
 * or with per_head [n,num_heads,1+n_patches,1+n_patches]. */
int32_t ehm_api_attention(ehm_api_model *m, const void *pixels, int64_t n, int32_t h, int32_t w, int32_t c, int32_t type, int32_t block,
                          int32_t per_head, float *out, char *message, size_t message_cap);
/* What trees are made from: similarity [n,n_patches,n_patches], symmetric; attention [n,n_patches,n_patches], the mean over layers and heads;
 * cls [n,n_patches]; each may be NULL. settings: tree_layers, similarity, attention_rows, profile_per, head_weight; others are those of the
 * model's run. *fell_back (may be NULL): 1 where the model stores no mean for similarity residual and it is profile. */
int32_t ehm_api_affinity(ehm_api_model *m, const char *const *settings, int32_t n_settings, const void *pixels, int64_t n, int32_t h, int32_t w,
                         int32_t c, int32_t type, float *similarity, float *attention, float *cls, int32_t *fell_back, char *message,
                         size_t message_cap);
/* What the decoder makes of the visible patches: masks [n,grid_h,grid_w], with the same count of hidden ones in each picture. pred
 * [n,n_patches,patch_pixels], a patch row by row with its channels together, in the space that the model was trained in (number norm_pix 1:
 * each patch less its mean over its deviation; else (pixel - mean) / std); loss [n]: each picture's mean over its hidden patches. Either may
 * be NULL. Code 8 without a decoder. */
int32_t ehm_api_reconstruct(ehm_api_model *m, const void *pixels, int64_t n, int32_t h, int32_t w, int32_t c, int32_t type,
                            const uint8_t *masks, float *pred, float *loss, char *message, size_t message_cap);

/* ---- pictures from files ---- */
typedef struct ehm_api_data ehm_api_data;
/* paths: what --data takes: files, folders, archives, scenes:SEED:COUNT, ... in this order. channels 0: the majority's. */
int32_t ehm_api_data_open(ehm_api_data **out, const char *const *paths, int32_t n_paths, int32_t channels, char *message, size_t message_cap);
void ehm_api_data_close(ehm_api_data *d); /* NULL is fine */
int64_t ehm_api_data_count(const ehm_api_data *d);
int32_t ehm_api_data_channels(const ehm_api_data *d);
int32_t ehm_api_data_type(const ehm_api_data *d);                 /* of what data_read gives: EHM_API_U8 or EHM_API_F32 */
const char *ehm_api_data_name(const ehm_api_data *d, int64_t i);  /* borrowed until close; NULL outside 0 to count - 1 */
const char *ehm_api_data_label(const ehm_api_data *d, int64_t i); /* its class; NULL where it has none */
/* Pictures first to first + n - 1 as the model sees them, out [n,img_h,img_w,channels]. The set's channels must be the model's. A picture that
 * cannot be read is an error that names it. */
int32_t ehm_api_data_read(ehm_api_data *d, const ehm_api_model *m, int64_t first, int64_t n, void *out, char *message, size_t message_cap);
/* All of them, as ehm_api_embed, to the bits of `ehm embed`. */
int32_t ehm_api_embed_data(ehm_api_model *m, ehm_api_data *d, const char *pool, float *out, char *message, size_t message_cap);

/* ---- trees ---- */
/* Trees over n items from n_trees matrices of similarity [n_trees,n,n] of f32 or f64, the higher the nearer; the diagonal does not matter.
 * linkage: "single" "complete" "average" "weighted" "ward" "centroid". symmetrise not 0: takes the mean of both halves instead of refusing
 * halves that differ. z [n_trees,n-1,4] is SciPy's: two ids, height, size; height = largest similarity off the diagonal - similarity (ward,
 * centroid: the rows are vectors). 1 <= n <= 4096. threads 0: all processors. */
int32_t ehm_api_tree(double *z, const void *similarity, int32_t type, int32_t n_trees, int32_t n, const char *linkage, int32_t symmetrise,
                     int32_t threads, char *message, size_t message_cap);

/* ---- masks ---- */
int32_t ehm_api_rule_count(void);
/* Of rule i: name, summary, source, args ("red|green": what may follow a colon), details, needs (names that masker_give takes, divided by
 * ','; what it may need with its default settings); NULL where there is none. Borrowed, static. */
const char *ehm_api_rule_text(int32_t i, const char *name);

/* A rule with its settings, and the numbers of the pictures at hand. */
typedef struct ehm_api_masker ehm_api_masker;
/* rule: "random", "block", "color:green", ... settings: those of masks and trees (mask_ratio, k_end, linkage, ...). */
int32_t ehm_api_masker_open(ehm_api_masker **out, const char *rule, int32_t grid_h, int32_t grid_w, const char *const *settings,
                            int32_t n_settings, char *message, size_t message_cap);
/* For a model's grid; rule NULL and settings that are not given: those of the model's run. m is used during the call alone. */
int32_t ehm_api_masker_open_for(ehm_api_masker **out, const ehm_api_model *m, const char *rule, const char *const *settings,
                                int32_t n_settings, char *message, size_t message_cap);
void ehm_api_masker_close(ehm_api_masker *k); /* NULL is fine */
/* Settings again, one: "mask_ratio=0.5". */
int32_t ehm_api_masker_set(ehm_api_masker *k, const char *setting, char *message, size_t message_cap);
int32_t ehm_api_masker_n_masked(const ehm_api_masker *k); /* patches that each mask hides (a rule named _exact: about so many) */
/* Names that the rule needs at this progress, as masker_give takes them, divided by ','; "" for none. Borrowed until the next call. */
const char *ehm_api_masker_needs(ehm_api_masker *k, double progress);
/* The numbers of n_pictures pictures, copied; they stay until given again, forgotten (values NULL) or looked at anew.
 *   similarity, similarity_other  [n_pictures,n,n]   symmetric but for rounding; width 0
 *   attention                     [n_pictures,n,n]   width: layers x heads that it is the mean of, for the rule epm; 0: not known
 *   cls_attention, score, loss    [n_pictures,n]     width 0
 *   colour                        [n_pictures,n,width]
 * f32, finite. */
int32_t ehm_api_masker_give(ehm_api_masker *k, const char *what, const float *values, int64_t n_pictures, int32_t width, char *message,
                            size_t message_cap);
/* labels [n_pictures,n_levels,n], fine to coarse, -1 none. */
int32_t ehm_api_masker_give_labels(ehm_api_masker *k, const int32_t *labels, int64_t n_pictures, int32_t n_levels, char *message,
                                   size_t message_cap);
/* All that the rule may need at this progress, from a model of this grid and pictures. With trees not 0 also what its tree is made of,
 * whatever the progress. similarity_other is that of the next picture, of the last the first's. */
int32_t ehm_api_masker_look(ehm_api_masker *k, ehm_api_model *m, const void *pixels, int64_t n_pictures, int32_t h, int32_t w, int32_t c,
                            int32_t type, double progress, int32_t trees, char *message, size_t message_cap);
/* n_masks masks at progress 0 to 1: mask i is that of picture i, or of the only picture given. Random keys are (seed, epoch, sample[i]);
 * sample NULL: 0 to n_masks - 1. With epoch 0 and sample NULL these are the masks of `ehm draw masks`. out [n_masks,grid_h,grid_w]. threads
 * as above; they change nothing but the time. */
int32_t ehm_api_masker_draw(ehm_api_masker *k, double progress, int64_t n_masks, uint64_t seed, uint32_t epoch, const int64_t *sample,
                            int32_t threads, uint8_t *out, char *message, size_t message_cap);
/* The trees that the rule ehm cuts, of the numbers given: z [n_trees,n-1,4] as ehm_api_tree; tree_source, linkage, tree_prior and the like
 * are honoured. */
int32_t ehm_api_masker_trees(ehm_api_masker *k, int64_t n_trees, uint64_t seed, int32_t threads, double *z, char *message, size_t message_cap);

/* Masks in one call: of a rule that looks at no picture, or with similarity [n_pictures,n,n] (NULL: none). */
int32_t ehm_api_masks(const char *rule, int32_t grid_h, int32_t grid_w, const char *const *settings, int32_t n_settings, double progress,
                      int64_t n_masks, uint64_t seed, const float *similarity, int64_t n_pictures, uint8_t *out, char *message,
                      size_t message_cap);
/* One mask for each picture, along its own tree where the rule has one. rule NULL: that of the model's run. */
int32_t ehm_api_masks_model(ehm_api_model *m, const char *rule, const char *const *settings, int32_t n_settings, double progress, uint64_t seed,
                            const void *pixels, int64_t n, int32_t h, int32_t w, int32_t c, int32_t type, uint8_t *out, char *message,
                            size_t message_cap);
#ifdef __cplusplus
}
#endif
#endif
