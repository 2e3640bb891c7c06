/* Mask rules: which patches are hidden. A rule sees one picture: grid, how many to remove, progress, its own
 * random stream, and on request the model's attention as plain numbers. It knows nothing of networks, batches
 * or threads.
 *
 *     const ehm_mask_rule *rule = ehm_mask_rule_find("random", NULL, &err);
 *     ehm_mask_draw(rule, &mask, &in, &scratch, &err);        // checks what must always hold
 *
 * To add a rule: mask_x.c with `const ehm_mask_rule ehm_mask_rule_x`, RULE(x) in rules.def; the property test
 * finds it; draw it and look.
 */
#ifndef EHM_MASK_MASK_H
#define EHM_MASK_MASK_H
#include "base/err.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/settings.h"
#include "hierarchy/tree.h"

/* Every option of every rule (ehm_mask_settings_of reads them from the settings table). Names as in settings.def. */
typedef enum { EHM_SCHEDULE_GEOMETRIC, EHM_SCHEDULE_LINEAR, EHM_SCHEDULE_SQRT, EHM_SCHEDULE_COSINE, EHM_SCHEDULE_FIXED, EHM_SCHEDULE_REVERSED } ehm_node_schedule;
typedef enum { EHM_CUT_EFFECTIVE, EHM_CUT_COUNT, EHM_CUT_DEPTH } ehm_cut_kind;
typedef enum { EHM_SELECT_PIVOT, EHM_SELECT_CIRCLE, EHM_SELECT_PREFIX } ehm_select_kind;
typedef enum { EHM_BOUNDARY_RANDOM, EHM_BOUNDARY_TREE } ehm_boundary;
typedef enum { EHM_NODE_ORDER_UNIFORM, EHM_NODE_ORDER_ATTENTION, EHM_NODE_ORDER_LOSS } ehm_node_order;
typedef enum { EHM_SOURCE_ATTENTION, EHM_SOURCE_MOVED, EHM_SOURCE_SWAPPED, EHM_SOURCE_SPATIAL, EHM_SOURCE_PIXELS, EHM_SOURCE_LABELS, EHM_SOURCE_FILE, EHM_SOURCE_SHUFFLED } ehm_tree_source;
typedef struct {
    ehm_node_schedule schedule; ehm_cut_kind cut; ehm_select_kind select; ehm_boundary boundary; ehm_node_order node_order;
    ehm_tree_source tree_source; ehm_linkage linkage;
    int64_t k_start, k_end;                 /* EHM_AUTO_I64: n, and the auto rule of ehm_mask_k_end */
    double k_start_share;                   /* where k_start is auto: as a share of n; 0 none */
    double k_jitter, mix_random, tree_prior, mask_ratio;
    bool mix_levels, epm_exact;
    bool balance;                           /* similarity balanced before the tree */
} ehm_mask_settings;
ehm_code ehm_mask_settings_of(ehm_mask_settings *out, const ehm_config *c, ehm_err *err);

typedef struct {
    int32_t grid_h, grid_w, n_masked, n_views;
    float progress_frac;                    /* u in [0,1] */
    ehm_rng rng;                            /* this picture's stream of purpose mask */
    uint64_t seed, sample; uint32_t epoch;  /* for keys that must not depend on what else was drawn */
    const ehm_mask_settings *settings;      /* NULL: the defaults */
    const char *arg;                        /* what follows the colon of "color:green"; NULL: the rule's default */
    /* Plain numbers on request (needs); n = grid_h * grid_w, else NULL. */
    const float *similarity;                /* [n,n] of this picture, symmetric */
    const float *similarity_other;          /* [n,n] of another picture */
    const float *attention;                 /* [n,n] post-softmax, mean over layers and heads, class token dropped, not renormalised */
    int32_t n_attention_maps;               /* layers x heads that attention is the mean of, for the rule epm; 0: not known */
    const float *cls_attention;             /* [n] of the last layer, mean over heads */
    const float *score;                     /* [n] from a file or a map: the higher the rather removed */
    const float *loss;                      /* [n] last known loss, for node_order loss */
    const float *colour; int32_t n_colour;  /* [n,n_colour] mean colour of each patch */
    const int32_t *labels; int32_t n_levels; /* [n_levels,n], fine to coarse (scenes: part, object, class); -1: none */
} ehm_mask_in;

/* What a rule can tell of what it did; all 0 where it builds no tree. */
enum { EHM_NODE_SIZES = 13 };               /* bucket i: nodes of 2^i .. 2^(i+1) - 1 leaves */
typedef struct {
    bool has_tree, flat;                    /* flat: similarity held no information, the mask is random */
    int32_t k_wanted, n_nodes, largest, n_single, n_over_masked, n_over_visible, n_cut; /* n_cut: nodes partly removed */
    float k_effective;
    int32_t leaves_of_size[EHM_NODE_SIZES], removed_of_size[EHM_NODE_SIZES];
    double tree_s, select_s;                /* seconds */
} ehm_mask_facts;
typedef struct {
    int32_t *visible, *masked;
    int32_t n_visible, n_masked;
    ehm_mask_facts facts;
} ehm_mask; /* both ascending; arrays of n patches given by the caller */
enum {
    EHM_MASK_NEEDS_ATTENTION = 1, EHM_MASK_NEEDS_SCORE = 2, EHM_MASK_NEEDS_SIMILARITY = 4, EHM_MASK_NEEDS_OTHER = 8,
    EHM_MASK_NEEDS_CLS = 16, EHM_MASK_NEEDS_COLOUR = 32, EHM_MASK_NEEDS_LABELS = 64, EHM_MASK_NEEDS_LOSS = 128
};
typedef struct {
    const char *name, *summary, *source;    /* source: a paper, its code, or our reconstruction */
    const char *args;                       /* "red|green|blue|purple": what may follow the colon, the first is the default; NULL: nothing */
    const char *details;                    /* for ehm list masks: options it reads, quirks; may be NULL */
    bool inexact;                           /* paper-exact variant: may remove another number than n_masked */
    /* What it needs at this progress (a tree rule at K = n needs nothing); NULL: nothing ever. */
    uint32_t (*needs)(const ehm_mask_settings *s, const char *arg, int32_t n, double progress_frac);
    ehm_code (*draw)(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err);
} ehm_mask_rule;

extern const ehm_mask_rule *const ehm_mask_rules[]; /* ends with NULL */
/* spec: NAME or NAME:ARG; *arg (may be NULL) is the part behind the colon or NULL, borrowed from spec. NULL and an EHM_E_CONFIG naming the
 * nearest rule, or the arguments that the rule takes. */
const ehm_mask_rule *ehm_mask_rule_find(const char *spec, const char **arg, ehm_err *err);
/* Everything that it may ask for in the course of a run. */
uint32_t ehm_mask_needs_ever(const ehm_mask_rule *rule, const ehm_mask_settings *s, const char *arg, int32_t n);
uint32_t ehm_mask_needs(const ehm_mask_rule *rule, const ehm_mask_settings *s, const char *arg, int32_t n, double progress_frac);
const char *ehm_mask_need_name(uint32_t one_bit); /* "the model's attention", ... */
/* (int)(n * (1 - ratio)) in double, as MAE truncates. */
int32_t ehm_mask_n_visible(int32_t n, double mask_ratio);
ehm_code ehm_mask_draw(const ehm_mask_rule *rule, ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch,
                       ehm_err *err);
/* The mask that MAE's code makes of this noise [n]: the n - n_masked smallest are kept, ties to the lower
 * patch. Not NaN. For comparing with others. */
ehm_code ehm_mask_from_noise(ehm_mask *out, const float *noise, int32_t n, int32_t n_masked,
                             ehm_arena *scratch, ehm_err *err);
#endif
