/* The words of ehm draw, one function each, and what they share. */
#ifndef EHM_CLI_DRAW_INT_H
#define EHM_CLI_DRAW_INT_H
#include "cli/cli.h"
#include "draw/series.h"
#include "draw/study.h"

ehm_code ehm_draw_run_reconstruct(const ehm_config *c, ehm_out *out, ehm_err *err);
ehm_code ehm_draw_run_attention(const ehm_config *c, ehm_out *out, ehm_err *err);
ehm_code ehm_draw_run_features(const ehm_config *c, ehm_out *out, ehm_err *err);
ehm_code ehm_draw_run_tree(const ehm_config *c, ehm_out *out, ehm_err *err);
ehm_code ehm_draw_run_masks(const ehm_config *c, ehm_out *out, ehm_err *err);
ehm_code ehm_draw_run_neighbours(const ehm_config *c, ehm_out *out, ehm_err *err);

/* --model and --image, opened, NULL where they are not given; and --out. */
typedef struct {
    ehm_model *model;
    ehm_dataset *pictures;
    ehm_shown shown;   /* --show-channels */
    ehm_series series;
    int64_t n_wanted;  /* pictures: --count, or what stands for auto */
    bool spread;       /* these lie evenly over the set; else the first ones, as the user named each by itself */
    const char **names, **files; /* of those drawn so far, series.n or fewer; files with --each alone */
    int64_t n_names;
} ehm_draw_input;
/* --out is there, and a file that can be drawn (also .npy), or with --each a folder. Nothing is written. */
ehm_code ehm_draw_check_out(const ehm_config *c, bool npy_too, ehm_err *err);
/* need_both: an error names what is missing. batch: pictures a forward pass. Calls ehm_draw_check_out's half for --each. */
ehm_code ehm_draw_open(ehm_draw_input *in, const ehm_config *c, bool need_both, int32_t batch, ehm_arena *a, ehm_err *err);
void ehm_draw_close(ehm_draw_input *in);
/* How pictures of a set are read for a model of so many channels. */
ehm_dataset_opt ehm_draw_reading(const ehm_config *c, int32_t channels);
/* --layer as a block from 0; -1 where it is not given. */
ehm_code ehm_draw_layer(int32_t *out, const ehm_config *c, const ehm_model *m, ehm_err *err);

/* A drawing of one picture; name: that of the picture. Those of a series that is a sheet are copied. */
ehm_code ehm_draw_add(ehm_draw_input *in, const char *name, const ehm_image *drawing, ehm_err *err);
/* The sheet of all pictures. */
ehm_code ehm_draw_sheet(ehm_draw_input *in, const ehm_image *sheet, ehm_err *err);
/* A drawing that was refused for its size: what to do. Returns rc. */
ehm_code ehm_draw_refused(ehm_code rc, ehm_err *err);
/* Remembers it for the result. name is borrowed. */
void ehm_draw_named(ehm_draw_input *in, const char *name);
/* Rows: each picture of --image drawn by fn into row (in scratch), all under each other or one file each. */
typedef ehm_code (*ehm_draw_row_fn)(void *ctx, ehm_image *row, const ehm_study *s, ehm_arena *scratch, ehm_err *err);
ehm_code ehm_draw_rows(ehm_draw_input *in, const ehm_study_source *src, ehm_draw_row_fn fn, void *ctx, ehm_arena *a, ehm_err *err);
/* "out" and "n"; "pictures" and with --each "files"; the line of text, without its end. */
void ehm_draw_json_begin(ehm_json_w *w, const ehm_config *c, const ehm_draw_input *in);
void ehm_draw_json_names(ehm_json_w *w, const ehm_draw_input *in);
void ehm_draw_say(ehm_out *out, const ehm_config *c, const ehm_draw_input *in);

/* --mask and its options, and what has to be read for it. */
typedef struct {
    const ehm_mask_rule *rule;
    const char *arg;
    ehm_mask_settings settings;
    ehm_affinity_opt affinity;
    char whose[80];          /* "mask rule ehm" */
    ehm_study_source source; /* points into this struct; pictures are left out */
} ehm_draw_mask_rule;
/* m may be NULL: then the grid counts. progress [n_progress]: when masks will be drawn. */
ehm_code ehm_draw_rule(ehm_draw_mask_rule *out, const ehm_config *c, ehm_model *m, const double *progress,
                       int32_t n_progress, int32_t grid_h, int32_t grid_w, ehm_err *err);
#endif
