#include "draw/study.h"
#include "base/log.h"
#include "mask/mask_file.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATCH_PX = 16,
    FROM_MODEL =
        EHM_MASK_NEEDS_ATTENTION | EHM_MASK_NEEDS_SIMILARITY | EHM_MASK_NEEDS_OTHER | EHM_MASK_NEEDS_CLS
};

static bool similarity_from_file(uint32_t needs, const ehm_mask_settings *s) {
    return needs & EHM_MASK_NEEDS_SIMILARITY && s && s->tree_source == EHM_SOURCE_FILE;
}

/* What is left for the model once the file has given its part. */
static uint32_t of_model(uint32_t needs, const ehm_mask_settings *s) {
    if (similarity_from_file(needs, s)) needs &= ~(uint32_t)EHM_MASK_NEEDS_SIMILARITY;
    return needs & FROM_MODEL;
}

bool ehm_study_needs_model(uint32_t needs, const ehm_mask_settings *s) { return of_model(needs, s) != 0; }

uint32_t ehm_study_needs_tree(const ehm_mask_settings *s) {
    switch (s->tree_source) {
    case EHM_SOURCE_SPATIAL: return 0;
    case EHM_SOURCE_PIXELS: return EHM_MASK_NEEDS_COLOUR;
    case EHM_SOURCE_LABELS: return EHM_MASK_NEEDS_LABELS;
    case EHM_SOURCE_SWAPPED: return EHM_MASK_NEEDS_OTHER;
    default: return EHM_MASK_NEEDS_SIMILARITY;
    }
}

/* ---- one picture's numbers ---- */

static ehm_code no_memory(ehm_err *err) {
    return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the pictures to draw");
}

/* Mean of each patch and channel, 0 to 1. */
static ehm_code mean_colours(ehm_study *s, int32_t h, int32_t w, int32_t channels, ehm_arena *a,
                             ehm_err *err) {
    float *out = EHM_NEW_N(a, float, (int64_t)s->grid_h * s->grid_w * channels);
    if (!out) return no_memory(err);
    ehm_mask_patch_colours(out, s->pixels, s->type, h, w, channels, s->grid_h, s->grid_w);
    s->colour = out, s->n_colour = channels;
    return EHM_OK;
}

static ehm_code of_the_model(ehm_study *s, const ehm_study_source *src, ehm_arena *a, ehm_err *err) {
    uint32_t want = of_model(src->needs, src->settings);
    bool sim = want & (EHM_MASK_NEEDS_SIMILARITY | EHM_MASK_NEEDS_OTHER);
    size_t n = (size_t)s->grid_h * (size_t)s->grid_w;
    float *S = sim ? EHM_NEW_N(a, float, n *n) : NULL,
          *A = want & EHM_MASK_NEEDS_ATTENTION ? EHM_NEW_N(a, float, n *n) : NULL,
          *cls = want & EHM_MASK_NEEDS_CLS ? EHM_NEW_N(a, float, n) : NULL;
    if ((sim && !S) || (want & EHM_MASK_NEEDS_ATTENTION && !A) || (want & EHM_MASK_NEEDS_CLS && !cls))
        return no_memory(err);
    EHM_TRY(
        ehm_model_affinity(src->model, src->affinity, s->pixels, s->type, 1, S, A, cls, &s->fell_back, err));
    s->similarity = S, s->attention = A, s->cls_attention = cls;
    return EHM_OK;
}

static ehm_code of_the_file(ehm_study *s, ehm_mask_file *f, bool pairs, const char *path, ehm_arena *a,
                            ehm_err *err) {
    size_t n = (size_t)s->grid_h * (size_t)s->grid_w;
    const float *from = ehm_mask_file_of(f, s->i_picture);
    if (!from)
        return EHM_FAIL(err, EHM_E_MISMATCH, "%s: holds nothing for picture %lld%s%s", path,
                        (long long)s->i_picture, s->name ? ", " : "", s->name ? s->name : "");
    float *v = EHM_NEW_N(a, float, pairs ? n *n : n);
    if (!v) return no_memory(err);
    memcpy(v, from, (pairs ? n * n : n) * sizeof *v); /* the file is closed before the drawing */
    *(pairs ? &s->similarity : &s->score) = v;
    return EHM_OK;
}

typedef struct {
    const ehm_study_source *src;
    ehm_mask_file *scores, *pairs;
    int32_t h, w;
} reading;

static ehm_code files_open(reading *r, const ehm_study *shape, ehm_err *err) {
    const ehm_study_source *src = r->src;
    bool pairs = similarity_from_file(src->needs, src->settings);
    if (!(src->needs & EHM_MASK_NEEDS_SCORE) && !pairs) return EHM_OK;
    if (!src->mask_file)
        return EHM_FAIL(err, EHM_E_CONFIG, "--mask-file is missing: %s takes %s from an .npy file",
                        src->whose ? src->whose : "this", pairs ? "similarities" : "its numbers");
    if (src->needs & EHM_MASK_NEEDS_SCORE && pairs)
        return EHM_FAIL(
            err, EHM_E_CONFIG,
            "--mask-file %s: it cannot be scores and, for --tree-source file, similarities at once",
            src->mask_file);
    return ehm_mask_file_open(pairs ? &r->pairs : &r->scores, src->mask_file,
                              pairs ? EHM_FILE_PAIRS : EHM_FILE_PATCHES, shape->grid_h, shape->grid_w, 0,
                              err);
}

static ehm_code numbers_of(reading *r, ehm_study *s, const ehm_batch *b, ehm_arena *a, ehm_err *err) {
    const ehm_study_source *src = r->src;
    if (r->scores) EHM_TRY(of_the_file(s, r->scores, false, src->mask_file, a, err));
    if (r->pairs) EHM_TRY(of_the_file(s, r->pairs, true, src->mask_file, a, err));
    if (!b) return EHM_OK;
    if (src->needs & EHM_MASK_NEEDS_COLOUR)
        EHM_TRY(mean_colours(s, r->h, r->w, ehm_dataset_channels(src->pictures), a, err));
    if (src->needs & EHM_MASK_NEEDS_LABELS && b->patch_labels) {
        size_t count = (size_t)b->n_levels * (size_t)s->grid_h * (size_t)s->grid_w;
        int32_t *labels = EHM_NEW_N(a, int32_t, count);
        if (!labels) return no_memory(err);
        memcpy(labels, b->patch_labels, count * sizeof *labels);
        s->labels = labels, s->n_levels = b->n_levels;
    }
    return of_model(src->needs, src->settings) ? of_the_model(s, src, a, err) : EHM_OK;
}

static ehm_code picture_of(reading *r, ehm_study *s, const ehm_batch *b, ehm_arena *a, ehm_err *err) {
    ehm_dataset *ds = r->src->pictures;
    int32_t channels = ehm_dataset_channels(ds);
    size_t bytes = (size_t)r->h * (size_t)r->w * (size_t)channels * ehm_dtype_size(b->type);
    uint8_t *px = EHM_NEW_N(a, uint8_t, bytes);
    if (!px) return no_memory(err);
    memcpy(px, b->pixels, bytes);
    s->pixels = px, s->type = b->type;
    s->i_picture = b->ids[0];
    s->name = ehm_arena_strdup(a, ehm_dataset_name(ds, b->ids[0]));
    s->shown = ehm_shown_resolve(r->src->shown, channels);
    s->range = ehm_shown_range_of(&s->shown, px, b->type, (int64_t)r->h * r->w, channels);
    EHM_TRY(ehm_shown_image(&s->picture, &s->shown, &s->range, px, b->type, r->h, r->w, channels, a, err));
    return s->name ? EHM_OK : no_memory(err);
}

static void say_left_out(ehm_loader *l, const ehm_dataset *ds, int64_t i_picture) {
    int64_t id;
    const char *why, *reason = "cannot be read";
    for (int64_t i = 0; ehm_loader_bad(l, i, &id, &why); i++)
        if (id == i_picture) reason = why;
    ehm_log(EHM_LOG_WARN, "left out: %s: %s", ehm_dataset_name(ds, i_picture), reason);
}

/* Up to n more pictures in order, by a loader of its own: it knows the evaluation transform and the labels of patches. */
static ehm_code read_run(reading *r, ehm_study *out, int32_t *n_done, int32_t n, int64_t *at, ehm_study shape, ehm_arena *a, ehm_err *err) {
    const ehm_study_source *src = r->src;
    bool labels = src->needs & EHM_MASK_NEEDS_LABELS;
    ehm_loader_opt opt = {.batch_size = 1,
                          .h = r->h,
                          .w = r->w,
                          .fit = src->model ? ehm_model_fit(src->model) : "crop",
                          .n_workers = 1,
                          .n_ahead = n < 3 ? n : 3,
                          .label_grid_h = labels ? shape.grid_h : 0,
                          .label_grid_w = labels ? shape.grid_w : 0,
                          .max_bad = 1};
    ehm_loader *l = NULL;
    ehm_code rc = EHM_OK;
    EHM_TRY(ehm_loader_open(&l, src->pictures, &opt, *at, err));
    for (int32_t end = *n_done + n; *at < ehm_dataset_count(src->pictures) && *n_done < end; ++*at) {
        ehm_batch b = {0};
        ehm_study *s = &out[*n_done];
        if ((rc = ehm_loader_next(l, &b, err))) break;
        if (ehm_stop_asked()) {
            rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped after %d of %d pictures", *n_done, end);
            break;
        }
        if (b.ids[0] != b.slots[0]) {
            if (!src->quiet) say_left_out(l, src->pictures, b.slots[0]);
            continue;
        }
        *s = shape;
        if ((rc = picture_of(r, s, &b, a, err)) || (rc = numbers_of(r, s, &b, a, err))) {
            EHM_WHILE(err, "looking at %s", ehm_dataset_name(src->pictures, b.ids[0]));
            break;
        }
        ++*n_done;
    }
    ehm_loader_close(l);
    return rc;
}

static ehm_code read_pictures(reading *r, ehm_study *out, int32_t *n_done, int32_t n, ehm_study_cursor *at, ehm_study shape, ehm_arena *a, ehm_err *err) {
    const ehm_study_source *src = r->src;
    int64_t n_all = ehm_dataset_count(src->pictures);
    bool begun = at->place || at->picture;
    if (src->n_places > 0 && src->n_places < n_all) {
        for (; *n_done < n && at->place < src->n_places && at->picture < n_all; at->place++) {
            /* the next one, where an earlier place went on to this one because its own cannot be read */
            int64_t here = (int64_t)((double)at->place * (double)n_all / (double)src->n_places);
            at->picture = here > at->picture ? here : at->picture;
            EHM_TRY(read_run(r, out, n_done, 1, &at->picture, shape, a, err));
        }
    } else EHM_TRY(read_run(r, out, n_done, n, &at->picture, shape, a, err));
    if (*n_done || begun) return EHM_OK;
    return EHM_FAIL(err, EHM_E_FORMAT, "%s: no picture could be read", ehm_dataset_spec(src->pictures));
}

/* Each takes the similarity of the picture behind it, the last the first's. */
static ehm_code swap_similarities(ehm_study *s, int32_t n_read, const ehm_study_source *src, ehm_err *err) {
    if (n_read < 2) {
        EHM_FAIL(err, EHM_E_CONFIG,
                 "%s: --tree-source swapped takes another picture's tree, and only one can be read",
                 ehm_dataset_spec(src->pictures));
        EHM_HINT(err, "name a second picture with another --image");
        return EHM_E_CONFIG;
    }
    for (int32_t i = 0; i < n_read; i++) s[i].similarity_other = s[(i + 1) % n_read].similarity;
    return EHM_OK;
}

static ehm_code check_source(const ehm_study_source *src, ehm_err *err) {
    static const uint32_t bits[] = {EHM_MASK_NEEDS_SIMILARITY, EHM_MASK_NEEDS_OTHER,
                                    EHM_MASK_NEEDS_ATTENTION,  EHM_MASK_NEEDS_CLS,
                                    EHM_MASK_NEEDS_COLOUR,     EHM_MASK_NEEDS_LABELS};
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        if (!(src->needs & bits[i])) continue;
        bool model = of_model(bits[i], src->settings) && !src->model, picture = !src->pictures;
        if (similarity_from_file(bits[i], src->settings)) picture = false;
        if (!model && !picture) continue;
        return EHM_FAIL(err, EHM_E_CONFIG, "%s needs %s: %s missing", src->whose ? src->whose : "this",
                        of_model(bits[i], src->settings)   ? "the model's attention"
                        : bits[i] == EHM_MASK_NEEDS_COLOUR ? "the picture's colours"
                                                           : "the picture's labels",
                        model && picture ? "--model and --image are"
                        : model          ? "--model is"
                                         : "--image is");
    }
    if (src->needs & EHM_MASK_NEEDS_LOSS)
        return EHM_FAIL(err, EHM_E_CONFIG, "%s needs each patch's last loss, which only a training knows",
                        src->whose ? src->whose : "this");
    return EHM_OK;
}

ehm_code ehm_study_read(ehm_study *out, int32_t *n_done, const ehm_study_source *src, int32_t n, ehm_arena *a,
                        ehm_err *err) {
    const ehm_vit_shape *vit = src->model ? ehm_model_shape(src->model) : NULL;
    ehm_study shape = {.grid_h = vit ? vit->grid_h : src->grid_h, .grid_w = vit ? vit->grid_w : src->grid_w};
    reading r = {.src = src,
                 .h = vit ? vit->img_h : src->grid_h * PATCH_PX,
                 .w = vit ? vit->img_w : src->grid_w * PATCH_PX};
    bool swapped = src->needs & EHM_MASK_NEEDS_OTHER;
    int32_t n_read = 0, n_wanted = swapped ? n + 1 : n;
    ehm_study_cursor own = {0}, *at = src->at ? src->at : &own;
    bool begun = at->place || at->picture;
    ehm_study *s = out;
    *n_done = 0;
    EHM_TRY(check_source(src, err));
    ehm_code rc = files_open(&r, &shape, err);
    if (rc) goto done;
    if (swapped && !(s = EHM_NEW_N(a, ehm_study, n_wanted))) {
        rc = no_memory(err);
        goto done;
    }
    if (src->pictures)
        rc = read_pictures(&r, s, &n_read, n_wanted, at, shape, a, err);
    else {
        s[0] = shape;
        rc = numbers_of(&r, &s[0], NULL, a, err);
        n_read = 1;
    }
    if (!rc && swapped) rc = swap_similarities(s, n_read, src, err);
    if (rc) goto done;
    *n_done = n_read < n ? n_read : n;
    if (swapped) memcpy(out, s, sizeof *s * (size_t)*n_done);
    if (*n_done && out[0].fell_back && !begun && !src->quiet)
        ehm_log(EHM_LOG_NOTE,
                "%s has no mean of attention stored for these layers: similarity profile instead of residual",
                ehm_model_spec(src->model));
done:
    ehm_mask_file_close(r.scores);
    ehm_mask_file_close(r.pairs);
    return rc;
}

enum { PIECE = 8 }; /* so few are done at once and need no progress */
typedef struct {
    ehm_study_source src;
    ehm_study_cursor at;
    int64_t n, n_all;
    ehm_arena piece, scratch;
} walking;

static ehm_code one_piece(walking *w, int64_t *n_done, ehm_study_fn fn, void *ctx, ehm_err *err) {
    int64_t left = w->n - *n_done;
    int32_t n_read = 0, n = (int32_t)(left < PIECE ? left : PIECE);
    if (w->src.needs & EHM_MASK_NEEDS_OTHER) n = (int32_t)left; /* the last takes another's tree */
    ehm_arena_reset(&w->piece);
    ehm_study *s = EHM_NEW_N(&w->piece, ehm_study, n);
    if (!s) return no_memory(err);
    EHM_TRY(ehm_study_read(s, &n_read, &w->src, n, &w->piece, err));
    for (int32_t i = 0; i < n_read; i++, ++*n_done) {
        ehm_arena_reset(&w->scratch);
        EHM_TRY(fn(ctx, &s[i], &w->scratch, err));
        if (w->n > PIECE) ehm_progress(false, "%lld of %lld pictures", (long long)*n_done + 1, (long long)w->n);
    }
    return EHM_OK;
}

ehm_code ehm_study_each(int64_t *n_done, const ehm_study_source *src, int64_t n, bool spread, ehm_study_fn fn, void *ctx, ehm_err *err) {
    walking w = {.src = *src, .n_all = src->pictures ? ehm_dataset_count(src->pictures) : 1};
    ehm_code rc = EHM_OK;
    w.n = n < w.n_all ? n : w.n_all;
    w.src.at = &w.at, w.src.n_places = spread ? w.n + (src->needs & EHM_MASK_NEEDS_OTHER ? 1 : 0) : 0; /* one more, whose tree the last one takes */
    *n_done = 0;
    while (!rc && *n_done < w.n && w.at.picture < w.n_all && (!spread || w.at.place < w.src.n_places)) rc = one_piece(&w, n_done, fn, ctx, err);
    if (w.n > PIECE && !rc) ehm_progress(true, "%lld pictures", (long long)*n_done);
    ehm_arena_free(&w.piece), ehm_arena_free(&w.scratch);
    if (!rc && !*n_done) rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: no picture could be read", ehm_dataset_spec(src->pictures));
    return rc;
}

/* ---- trees ---- */

int32_t ehm_study_levels(double k[EHM_STUDY_LEVELS], int32_t n, int32_t k_end) {
    double last = k_end < 1 ? 1 : k_end > n ? n : k_end, first = floor(n / 2.0);
    int32_t levels = EHM_STUDY_LEVELS, made = 0;
    if (first <= last) return k[0] = last, 1;
    while (levels > 2 && pow(last / first, 1.0 / (levels - 1)) > 0.8) levels--;
    for (int32_t i = 0; i < levels; i++) {
        double v = i + 1 == levels ? last : floor(first * pow(last / first, (double)i / (levels - 1)) + 0.5);
        if (!made || v < k[made - 1]) k[made++] = v;
    }
    return made;
}

ehm_mask_in ehm_study_mask_in(const ehm_study *s, const ehm_mask_settings *set, uint64_t seed,
                              uint64_t sample, double progress) {
    int32_t n = s->grid_h * s->grid_w;
    return (ehm_mask_in){.grid_h = s->grid_h,
                         .grid_w = s->grid_w,
                         .n_masked = n - ehm_mask_n_visible(n, set->mask_ratio),
                         .n_views = 1,
                         .progress_frac = (float)progress,
                         .rng = ehm_rng_of(seed, EHM_RNG_mask, 0, sample),
                         .seed = seed,
                         .sample = sample,
                         .settings = set,
                         .similarity = s->similarity,
                         .similarity_other = s->similarity_other,
                         .attention = s->attention,
                         .cls_attention = s->cls_attention,
                         .score = s->score,
                         .colour = s->colour,
                         .n_colour = s->n_colour,
                         .labels = s->labels,
                         .n_levels = s->n_levels};
}

ehm_code ehm_study_tree(ehm_image *sheet, ehm_study_tree_facts *facts, const ehm_study *s,
                        const ehm_mask_settings *set, uint64_t seed, const char *note, ehm_arena *a,
                        ehm_err *err) {
    int32_t n = s->grid_h * s->grid_w;
    ehm_mask_in in = ehm_study_mask_in(s, set, seed, (uint64_t)s->i_picture, 1);
    ehm_study_tree_facts f = {0};
    ehm_tree tree;
    ehm_frontier cut;
    ehm_arena scratch = {0};
    EHM_TRY(ehm_tree_new(&tree, n, a, err));
    ehm_code rc = ehm_mask_tree(&tree, &f.flat, &in, &scratch, err);
    ehm_arena_free(&scratch);
    if (rc) return rc;
    f.n_levels = ehm_study_levels(f.k, n, ehm_mask_k_end(set, n));
    EHM_TRY(ehm_frontier_new(&cut, n, a, err));
    for (int32_t i = 0; i < f.n_levels; i++) {
        ehm_cut_effective(&cut, &tree, f.k[i]);
        f.n_nodes[i] = cut.n_nodes, f.k_effective[i] = ehm_frontier_effective(&cut);
    }
    const char *caption = ehm_arena_printf(
        a, "%s%s%s%s", s->name ? s->name : "", s->name && note ? "    " : "", note ? note : "",
        f.flat ? "    (the similarity holds no information: this tree means nothing)" : "");
    if (!caption) return no_memory(err);
    if (facts) *facts = f;
    return ehm_draw_tree(sheet, &s->picture, &tree, s->grid_h, s->grid_w, f.k, f.n_levels,
                         *caption ? caption : NULL, a, err);
}

/* ---- masks ---- */

/* The nodes that the rule ehm took whole: the same cut from the same keys. Of other rules only the mask is
 * known. */
static ehm_code node_of_leaves(int32_t *node, ehm_tree *tree, ehm_frontier *f, const ehm_mask_in *in,
                               ehm_arena *scratch, ehm_err *err) {
    bool flat;
    EHM_TRY(ehm_mask_tree(tree, &flat, in, scratch, err));
    ehm_mask_frontier(f, NULL, tree, in, scratch);
    memcpy(node, f->of_leaf, (size_t)tree->n * sizeof *node);
    return EHM_OK;
}

static ehm_code masks_new(ehm_study_masks *m, int32_t n, bool tree, ehm_arena *a, ehm_err *err) {
    int64_t count = (int64_t)m->n_values * m->n_each;
    m->masks = EHM_NEW_N(a, uint8_t, count * n);
    m->frontier = tree ? EHM_NEW_N(a, int32_t, count * n) : NULL;
    m->facts = EHM_NEW_N(a, ehm_mask_facts, count);
    m->n_removed = EHM_NEW_N(a, int32_t, count);
    m->labels = EHM_NEW_N(a, const char *, m->n_values);
    if (!m->masks || (tree && !m->frontier) || !m->facts || !m->n_removed || !m->labels)
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld masks of %d patches", (long long)count, n);
    return EHM_OK;
}

ehm_code ehm_study_draw_masks(ehm_study_masks *out, const ehm_study *s, const ehm_mask_rule *rule,
                              const char *arg, const ehm_mask_settings *set, const double *progress,
                              int32_t n_values, int32_t n_each, uint64_t seed, ehm_arena *a, ehm_err *err) {
    int32_t n = s->grid_h * s->grid_w;
    bool by_tree = !strcmp(rule->name, "ehm");
    ehm_arena scratch = {0};
    ehm_tree tree;
    ehm_frontier f;
    ehm_code rc = EHM_OK;
    *out = (ehm_study_masks){.n_values = n_values, .n_each = n_each};
    EHM_TRY(masks_new(out, n, by_tree, a, err));
    ehm_mask mask = {.visible = EHM_NEW_N(a, int32_t, n), .masked = EHM_NEW_N(a, int32_t, n)};
    if (!mask.visible || !mask.masked) return no_memory(err);
    if (by_tree) {
        EHM_TRY(ehm_tree_new(&tree, n, a, err));
        EHM_TRY(ehm_frontier_new(&f, n, a, err));
    }
    for (int32_t v = 0; v < n_values && !rc; v++) {
        out->labels[v] =
            by_tree ? ehm_arena_printf(a, "u %.2f  K %d", progress[v], ehm_mask_nodes_at(set, n, progress[v]))
                    : ehm_arena_printf(a, "u %.2f", progress[v]);
        for (int32_t i = 0; i < n_each && !rc; i++) {
            size_t at = (size_t)v * (size_t)n_each + (size_t)i;
            ehm_mask_in in = ehm_study_mask_in(s, set, seed, (uint64_t)i, progress[v]);
            in.arg = arg;
            ehm_arena_reset(&scratch);
            mask.facts = (ehm_mask_facts){0};
            if ((rc = ehm_mask_draw(rule, &mask, &in, &scratch, err))) break;
            for (int32_t k = 0; k < mask.n_masked; k++)
                out->masks[at * (size_t)n + (size_t)mask.masked[k]] = 1;
            out->facts[at] = mask.facts, out->n_removed[at] = mask.n_masked;
            /* each leaf its own node where no tree was made */
            for (int32_t k = 0; by_tree && k < n; k++) out->frontier[at * (size_t)n + (size_t)k] = k;
            if (by_tree && mask.facts.has_tree && !mask.facts.flat)
                rc = node_of_leaves(out->frontier + at * (size_t)n, &tree, &f, &in, &scratch, err);
        }
    }
    ehm_arena_free(&scratch);
    return rc;
}

const char *ehm_study_foot(const ehm_model *m, const ehm_study *s, int32_t n, ehm_arena *a) {
    const ehm_vit_shape *v = ehm_model_shape(m);
    const char *fit = ehm_shown_fit_text(ehm_model_fit(m), v->img_h, v->img_w, a);
    const char *channels = ehm_shown_channels_text(n > 0 ? &s[0].shown : NULL, v->channels, a);
    bool stretched = false;
    for (int32_t i = 0; i < n; i++) stretched |= s[i].range.stretched;
    return fit && channels ? ehm_arena_printf(a, "%s%s%s", fit, channels, stretched ? EHM_SHOWN_STRETCHED : "") : NULL;
}

ehm_code ehm_study_masks_sheet(ehm_image *sheet, const ehm_study *s, const ehm_study_masks *m,
                               const char *title, ehm_arena *a, ehm_err *err) {
    return ehm_draw_masks(sheet, s->picture.px ? &s->picture : NULL, m->masks, m->frontier, m->n_values,
                          m->n_each, s->grid_h, s->grid_w, m->labels, title, a, err);
}
