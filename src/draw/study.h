/* A picture together with the plain numbers that masks are made of, and what can be drawn of it: its tree cut
 * at several levels, and masks over the course of a training. `ehm draw` and live pictures
 * of a training call the same.
 *
 *     ehm_study_source src = {.model = m, .pictures = ds, .settings = &set, .affinity = &o};
 *     src.needs = ehm_study_needs_tree(&set);
 *     ehm_study_read(s, &n, &src, 4, &arena, &err);    // s[0..n-1]; or fill an ehm_study by hand
 *     ehm_study_tree(&sheet, &facts, &s[0], &set, seed, NULL, &arena, &err);
 */
#ifndef EHM_DRAW_STUDY_H
#define EHM_DRAW_STUDY_H
#include "draw/hierarchy.h"
#include "draw/shown.h"
#include "infer/infer.h"
#include "mask/tree_mask.h"

/* n = grid_h * grid_w. Numbers that were not asked for are NULL; as in ehm_mask_in. */
typedef struct {
    const char *name;   /* NULL without a picture */
    int64_t i_picture;  /* in its set */
    ehm_image picture;  /* what the model sees, u8, 1 or 3 channels as shown; px NULL: none */
    ehm_shown shown;    /* which of its channels */
    ehm_shown_range range;
    const void *pixels; /* the same as the model takes it: [h,w,channels] of type */
    ehm_dtype type;
    int32_t grid_h, grid_w;
    const float *similarity, *similarity_other, *attention, *cls_attention, *score, *colour;
    int32_t n_colour;
    const int32_t *labels;
    int32_t n_levels;
    bool fell_back; /* residual similarity was asked for, but no mean is stored: it is profile */
} ehm_study;

/* ---- from a model ---- */
typedef struct {
    int64_t place, picture; /* of a spread: the next place; and the first picture that was not looked at yet */
} ehm_study_cursor;
typedef struct {
    ehm_model *model; /* NULL: pictures are fitted to the grid, and nothing of a model can be asked for */
    ehm_dataset *pictures;  /* NULL: no picture, one study of grid_h x grid_w */
    int32_t grid_h, grid_w; /* without a model */
    const ehm_mask_settings *settings;
    const ehm_affinity_opt *affinity; /* with a model, where needs ask for it */
    const char *mask_file;            /* settings.def: mask_file; NULL: none */
    uint32_t needs;                   /* EHM_MASK_NEEDS_* */
    const char *whose;                /* "mask rule ehm": who needs it, for messages */
    const ehm_shown *shown;  /* NULL: auto */
    int64_t n_places;        /* not 0: of pictures spread evenly over the set, in its order (place i: picture i * count / n_places, or the next one that can
                              * be read and was not yet); 0: of all, from the first */
    ehm_study_cursor *at;    /* where to begin, then where to go on; beyond the beginning, no picture left to read is no error. NULL: at the beginning */
    bool quiet;              /* nothing in the log of what is left out: it was said before */
} ehm_study_source;
/* Up to n studies, of the pictures that can be read, in order; a bad one is left out with a warning. The
 * evaluation transform. Arrays in a. EHM_E_CONFIG: a need that nothing given here can meet, in words; a set
 * of one picture where another's similarity is needed. */
ehm_code ehm_study_read(ehm_study *out, int32_t *n_done, const ehm_study_source *src, int32_t n, ehm_arena *a,
                        ehm_err *err);
/* Of up to n pictures one after the other, in pieces that are forgotten again, with progress: the first n that can be read, or (spread) n that lie evenly
 * over the set, as n_places. fn's scratch is reset after a piece, and so are the studies. src's n_places and at are this function's own. n_done: for how many fn was
 * called. Errors as ehm_study_read. */
typedef ehm_code (*ehm_study_fn)(void *ctx, const ehm_study *s, ehm_arena *scratch, ehm_err *err);
ehm_code ehm_study_each(int64_t *n_done, const ehm_study_source *src, int64_t n, bool spread, ehm_study_fn fn, void *ctx, ehm_err *err);
/* What a tree of these settings' source is made of. */
uint32_t ehm_study_needs_tree(const ehm_mask_settings *s);
/* Does anything of needs come from a model (attention in any form)? */
bool ehm_study_needs_model(uint32_t needs, const ehm_mask_settings *s);

/* What a mask rule sees of it: progress 0 to 1, the keys of picture `sample` of epoch 0. arg and views are
 * the caller's to set. */
ehm_mask_in ehm_study_mask_in(const ehm_study *s, const ehm_mask_settings *set, uint64_t seed,
                              uint64_t sample, double progress);

/* How pictures became model inputs and how they are shown, for a footnote; NULL when there is no memory. */
const char *ehm_study_foot(const ehm_model *m, const ehm_study *s, int32_t n, ehm_arena *a);

/* ---- what is drawn ---- */
enum { EHM_STUDY_LEVELS = 5 };
/* Levels to cut n leaves at, fine to coarse: geometric from n / 2 to k_end, at most five, each at most 0.8 of
 * the one before. Returns how many. */
int32_t ehm_study_levels(double k[EHM_STUDY_LEVELS], int32_t n, int32_t k_end);
typedef struct {
    bool flat; /* the similarity held no information: the tree means nothing */
    int32_t n_levels;
    double k[EHM_STUDY_LEVELS], k_effective[EHM_STUDY_LEVELS];
    int32_t n_nodes[EHM_STUDY_LEVELS];
} ehm_study_tree_facts;
/* note: what the tree is made of, for the caption behind the name; NULL: none. facts may be NULL. */
ehm_code ehm_study_tree(ehm_image *sheet, ehm_study_tree_facts *facts, const ehm_study *s,
                        const ehm_mask_settings *set, uint64_t seed, const char *note, ehm_arena *a,
                        ehm_err *err);

typedef struct {
    uint8_t *masks;        /* [n_values,n_each,grid_h,grid_w], 1 removed */
    int32_t *frontier;     /* [n_values,n_each,n] node of each leaf; NULL: the rule has no tree */
    ehm_mask_facts *facts; /* [n_values,n_each] */
    int32_t *n_removed;    /* [n_values,n_each] */
    const char **labels;   /* [n_values] "u 0.50  K 31" */
    int32_t n_values, n_each;
} ehm_study_masks;
/* n_each masks at each progress, as training would draw them for pictures 0 to n_each - 1 of epoch 0: mask i
 * of one row and of the next share their random keys. */
ehm_code ehm_study_draw_masks(ehm_study_masks *out, const ehm_study *s, const ehm_mask_rule *rule,
                              const char *arg, const ehm_mask_settings *set, const double *progress,
                              int32_t n_values, int32_t n_each, uint64_t seed, ehm_arena *a, ehm_err *err);
ehm_code ehm_study_masks_sheet(ehm_image *sheet, const ehm_study *s, const ehm_study_masks *m,
                               const char *title, ehm_arena *a, ehm_err *err);
#endif
