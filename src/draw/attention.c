#include "draw/attention.h"
#include <math.h>
#include <string.h>

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for maps of attention"); }

void ehm_rollout_step(double *row, const float *A, int32_t n, double *scratch) {
    memset(scratch, 0, sizeof *scratch * (size_t)n);
    for (int32_t i = 0; i < n; i++) {
        const float *from = A + (size_t)i * (size_t)n;
        double sum = 0.5;
        for (int32_t k = 0; k < n; k++) sum += 0.5 * (double)from[k];
        double w = row[i] / sum;
        if (w == 0) continue;
        for (int32_t k = 0; k < n; k++) scratch[k] += w * 0.5 * (double)from[k];
        scratch[i] += w * 0.5;
    }
    memcpy(row, scratch, sizeof *row * (size_t)n);
}

typedef struct {
    ehm_look *l;
    const ehm_study *s;
    ehm_model *m;
    ehm_arena *a;
    int32_t n; /* patches */
} looking;

/* Map 0 the mean of the others; [1 + H,n] from rows (or columns) of A [H,1+n,1+n]. */
static void heads_of(float *maps, const float *A, int32_t n, int32_t H, int32_t token, bool column) {
    size_t side = (size_t)n + 1;
    for (int32_t h = 0; h < H; h++)
        for (int32_t i = 0; i < n; i++) {
            size_t other = (size_t)i + 1, row = column ? other : (size_t)token, col = column ? (size_t)token : other;
            float p = A[((size_t)h * side + row) * side + col];
            maps[(size_t)(h + 1) * (size_t)n + (size_t)i] = p;
            maps[i] += p / (float)H;
        }
}

static ehm_code name_heads(const char **names, int32_t H, ehm_arena *a, ehm_err *err) {
    names[0] = "mean of heads";
    for (int32_t h = 0; h < H; h++)
        if (!(names[h + 1] = ehm_arena_printf(a, "head %d", h + 1))) return no_memory(err);
    return EHM_OK;
}

static ehm_code of_one_block(looking *j, ehm_err *err) {
    ehm_look *l = j->l;
    int32_t n = j->n, H = l->num_heads, token = 1 + l->opt.i_patch;
    size_t side = (size_t)n + 1;
    bool patch = l->opt.i_patch >= 0;
    ehm_arena big = {0};
    float *A = EHM_NEW_N(&big, float, (size_t)H *side *side);
    ehm_code rc = A ? ehm_model_attention(j->m, j->s->pixels, j->s->type, 1, l->opt.i_block, true, A, err) : no_memory(err);
    if (!rc) {
        heads_of(l->maps, A, n, H, token, false);
        if (patch) heads_of(l->other, A, n, H, token, true);
    }
    ehm_arena_free(&big);
    if (rc) return rc;
    EHM_TRY(name_heads(l->names, H, j->a, err));
    if (patch) l->n_other = H + 1;
    return patch ? name_heads(l->other_names, H, j->a, err) : EHM_OK;
}

/* What each patch receives from all patches; A [1+n,1+n], the class token left out. */
static void received(float *out, const float *A, int32_t n) {
    for (int32_t k = 0; k < n; k++) {
        double sum = 0;
        for (int32_t q = 0; q < n; q++) sum += (double)A[(size_t)(q + 1) * (size_t)(n + 1) + (size_t)k + 1];
        out[k] = (float)sum;
    }
}

/* The blocks from the last to the first, which is what a row of rollout needs. */
static ehm_code of_all_blocks(looking *j, ehm_err *err) {
    ehm_look *l = j->l;
    int32_t n = j->n, depth = l->depth, H = l->num_heads, token = 1 + l->opt.i_patch;
    bool class = l->opt.i_patch < 0;
    int32_t at[3] = {0, l->opt.i_block < depth - 1 && l->opt.i_block > 0 ? l->opt.i_block : depth / 2, depth - 1};
    float *A = EHM_NEW_N(j->a, float, ((size_t)n + 1) * ((size_t)n + 1)), *one = EHM_NEW_N(j->a, float, n), *all = EHM_NEW_N(j->a, float, n);
    double *row = EHM_NEW_N(j->a, double, n + 1), *scratch = EHM_NEW_N(j->a, double, n + 1);
    if (!A || !one || !all || !row || !scratch) return no_memory(err);
    int32_t n_looked = 0, slot[3];
    for (int32_t i = 0; i < 3; i++) {
        slot[i] = i && at[i] == at[i - 1] ? slot[i - 1] : n_looked++;
        if (class && !(l->other_names[slot[i]] = ehm_arena_printf(j->a, "block %d", at[i] + 1))) return no_memory(err);
    }
    row[token] = 1;
    for (int32_t b = (class ? depth - 1 : l->opt.i_block); b >= 0; b--) {
        EHM_TRY(ehm_model_attention(j->m, j->s->pixels, j->s->type, 1, b, false, A, err));
        if (b <= l->opt.i_block) ehm_rollout_step(row, A, n + 1, scratch);
        if (!class) continue;
        received(one, A, n);
        for (int32_t i = 0; i < n; i++) all[i] += one[i] / (float)depth;
        for (int32_t i = 0; i < 3; i++)
            if (at[i] == b) memcpy(l->other + (size_t)slot[i] * (size_t)n, one, (size_t)n * sizeof *one);
    }
    float *rolled = l->maps + (size_t)(H + 1) * (size_t)n;
    for (int32_t i = 0; i < n; i++) rolled[i] = (float)row[i + 1];
    l->names[H + 1] = l->opt.i_block ? ehm_arena_printf(j->a, "rollout, blocks 1 to %d", l->opt.i_block + 1) : "rollout, block 1";
    if (!l->names[H + 1]) return no_memory(err);
    if (!class) return EHM_OK;
    l->n_other = n_looked;
    if (n_looked > 1) {
        memcpy(l->other + (size_t)n_looked * (size_t)n, all, (size_t)n * sizeof *all);
        l->other_names[l->n_other++] = "mean of all blocks";
    }
    return EHM_OK;
}

ehm_code ehm_look_at(ehm_look *out, const ehm_study *s, ehm_model *m, const ehm_look_opt *opt, ehm_arena *a, ehm_err *err) {
    const ehm_vit_shape *v = ehm_model_shape(m);
    int32_t n = v->n_patches, H = v->num_heads, others = H + 1 > 4 ? H + 1 : 4;
    *out = (ehm_look){.opt = *opt, .depth = v->depth, .num_heads = H, .n_maps = H + 2};
    if (out->opt.i_block == -1) out->opt.i_block = v->depth - 1;
    if (out->opt.i_block < 0 || out->opt.i_block >= v->depth || out->opt.i_patch < -1 || out->opt.i_patch >= n)
        return EHM_FAIL(err, EHM_E_ARG, "attention of block %d, patch %d, but there are %d blocks and %d patches", out->opt.i_block, out->opt.i_patch,
                        v->depth, n);
    out->maps = EHM_NEW_N(a, float, (size_t)out->n_maps *(size_t)n), out->names = EHM_NEW_N(a, const char *, out->n_maps);
    out->other = EHM_NEW_N(a, float, (size_t)others *(size_t)n), out->other_names = EHM_NEW_N(a, const char *, others);
    if (!out->maps || !out->names || !out->other || !out->other_names) return no_memory(err);
    looking j = {out, s, m, a, n};
    EHM_TRY(of_one_block(&j, err));
    return of_all_blocks(&j, err);
}

ehm_code ehm_look_sheet(ehm_image *sheet, const ehm_look *l, const ehm_study *s, ehm_arena *a, ehm_err *err) {
    ehm_image rows[2];
    int32_t n = s->grid_h * s->grid_w, p = l->opt.i_patch, block = l->opt.i_block + 1;
    const char *name = s->name ? s->name : "", *gap = s->name ? "    " : "", *first, *second;
    if (p < 0) {
        first = ehm_arena_printf(a, "%s%sclass token's attention to patches, block %d of %d; even would be %.3g", name, gap, block, l->depth, 1.0 / (n + 1));
        second = "attention that patches receive from all patches, mean of heads; even would be about 1";
    } else {
        first = ehm_arena_printf(a, "%s%sattention of patch %d,%d to patches, block %d of %d; even would be %.3g", name, gap, p / s->grid_w + 1,
                                 p % s->grid_w + 1, block, l->depth, 1.0 / (n + 1));
        second = ehm_arena_printf(a, "attention of all patches to patch %d,%d, block %d", p / s->grid_w + 1, p % s->grid_w + 1, block);
    }
    if (!first || !second) return no_memory(err);
    float *shown = EHM_NEW_N(a, float, (size_t)l->n_maps *(size_t)n);
    const char **names = EHM_NEW_N(a, const char *, l->n_maps);
    if (!shown || !names) return no_memory(err);
    memcpy(shown, l->maps, sizeof *shown * (size_t)l->n_maps * (size_t)n), memcpy(names, l->names, sizeof *names * (size_t)l->n_maps);
    if (p >= 0) { /* half of a patch's row of each block is the patch itself: nothing else would be seen */
        shown[(size_t)(l->n_maps - 1) * (size_t)n + (size_t)p] = NAN;
        names[l->n_maps - 1] = ehm_arena_printf(a, "%s, without itself", l->names[l->n_maps - 1]);
        if (!names[l->n_maps - 1]) return no_memory(err);
    }
    EHM_TRY(ehm_draw_maps_marked(&rows[0], &s->picture, shown, l->n_maps, s->grid_h, s->grid_w, names, first, p, a, err));
    EHM_TRY(ehm_draw_maps_marked(&rows[1], &s->picture, l->other, l->n_other, s->grid_h, s->grid_w, l->other_names, second, p, a, err));
    return ehm_draw_stack(sheet, rows, 2, a, err);
}
