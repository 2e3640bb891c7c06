/* How weights and gradients are spread, block by block, for TensorBoard. */
#include <stdio.h>
#include <string.h>
#include "train/train_int.h"

enum { CHUNK = 1 << 16 };

/* "blocks.3.attn" of "blocks.3.attn.qkv.weight", "patch_embed" of "patch_embed.proj.weight": parts that belong together stand together. */
static size_t part_of(const char *name) {
    size_t n = strcspn(name, ".");
    if (!ehm_starts(name, "blocks.") && !ehm_starts(name, "decoder_blocks.")) return n;
    for (int i = 0; i < 2 && name[n]; i++) n += 1 + strcspn(name + n + 1, ".");
    return n;
}

static bool same_part(const ehm_param *a, const ehm_param *b) {
    size_t n = part_of(a->name);
    return n == part_of(b->name) && !memcmp(a->name, b->name, n);
}

/* Numbers of flat[from ...] in pieces, which a device may have to hand over. */
static void each_piece(ehm_dev *d, ehm_view flat, const ehm_param *p, float *chunk, ehm_histogram *h, void (*fn)(ehm_histogram *, const float *, int64_t)) {
    for (int64_t at = 0; at < p->count; at += CHUNK) {
        int64_t n = p->count - at < CHUNK ? p->count - at : CHUNK;
        ehm_download(d, chunk, ehm_view_rows(flat, p->offset + at, n), (size_t)n * sizeof *chunk);
        fn(h, chunk, n);
    }
}

/* One histogram of each part's matrices; vectors are few numbers of other meanings. */
static ehm_code of_buffer(ehm_train *t, const char *what, const ehm_view flat[EHM_PARAM_GROUPS], float *chunk, ehm_err *err) {
    const ehm_params *ps = ehm_method_params(t->method);
    for (int32_t i = 0; i < ps->n; i++) {
        char tag[160];
        ehm_histogram h = {0};
        const ehm_param *first = NULL;
        int32_t end = i;
        for (int pass = 0; pass < 2; pass++)
            for (end = i; end < ps->n && same_part(&ps->item[i], &ps->item[end]); end++) {
                const ehm_param *p = &ps->item[end];
                if (!p->matrix || !flat[p->group].rank || flat[p->group].dtype != EHM_F32) continue;
                first = p;
                each_piece(t->dev, flat[p->group], p, chunk, &h, pass ? ehm_histogram_count : ehm_histogram_range);
            }
        if (first) {
            snprintf(tag, sizeof tag, "%s/%.*s", what, (int)part_of(first->name), first->name);
            EHM_TRY(ehm_run_histogram(t->run, t->step, tag, &h, err));
        }
        i = end - 1;
    }
    return EHM_OK;
}

ehm_code ehm_train_histograms(ehm_train *t, ehm_err *err) {
    ehm_arena a = {0};
    ehm_view gradient[EHM_PARAM_GROUPS] = {{0}};
    float *chunk = EHM_NEW_N(&a, float, CHUNK);
    for (int32_t g = 0; g < EHM_ADAMW_GROUPS; g++) gradient[g] = ehm_method_grad(t->method, g);
    ehm_code rc = chunk ? of_buffer(t, "weights", ehm_method_weights(t->method)->flat, chunk, err) : EHM_FAIL(err, EHM_E_MEMORY, "no memory for histograms");
    if (!rc) rc = of_buffer(t, "gradients", gradient, chunk, err);
    ehm_arena_free(&a);
    return rc ? rc : ehm_dev_check(t->dev, err);
}
