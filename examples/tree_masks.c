/* A tree over similarities of one's own, its cuts, masks from it: with base, hierarchy and mask alone.
 *   cc -D_GNU_SOURCE -O2 -Isrc examples/tree_masks.c src/{base,hierarchy,mask}/?*.c -lpthread -lm */
#include "mask/tree_mask.h"
#include <math.h>
#include <stdio.h>

enum { SIDE = 8, N = SIDE * SIDE }; /* sky, tree, house, ground, water */
static const char picture[N + 1] = "sssssssssssssssssstttssssttttttshhttttthhhhttghhggggggggggggggww";

static void print(const int32_t *value, const char *symbols) {
    for (int i = 0; i < N; i++) printf("%c%s", symbols[value[i]], i % SIDE == SIDE - 1 ? "\n" : "");
}

static float alike(int i, int j) { /* the same thing, and near */
    return (float)((picture[i] == picture[j]) - 0.05 * hypot(i / SIDE - j / SIDE, i % SIDE - j % SIDE));
}

static ehm_code run(ehm_arena *a, ehm_err *err) {
    float S[N * N];
    for (int i = 0; i < N * N; i++) S[i] = alike(i / N, i % N);
    ehm_tree tree;
    EHM_TRY(ehm_tree_new(&tree, N, a, err));
    void *work = ehm_arena_alloc(a, 1, ehm_tree_work_bytes(N, EHM_LINK_AVERAGE, EHM_F32));
    if (!work) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a tree of %d leaves", N);
    EHM_TRY(ehm_tree_build(&tree, S, EHM_F32, N, EHM_LINK_AVERAGE, 0, work, err));
    for (int k = N - 5; k < N - 1; k++)
        printf("%d leaves joined at similarity %.2f\n", tree.size[k], tree.offset - tree.height[k]);

    ehm_frontier f;
    EHM_TRY(ehm_frontier_new(&f, N, a, err));
    for (int k = 5; k <= 20; k *= 2) {
        ehm_cut_count(&f, &tree, k);
        printf("\n%d nodes, as if %.1f equal ones:\n", k, ehm_frontier_effective(&f));
        print(f.of_leaf, "abcdefghijklmnopqrstuvwxyz");
    }
    const ehm_mask_rule *rule = ehm_mask_rule_find("ehm", NULL, err);
    if (!rule) return EHM_E_CONFIG;
    for (int step = 0; step <= 2; step++) {
        int32_t visible[N], masked[N], hidden[N] = {0};
        ehm_mask mask = {.visible = visible, .masked = masked};
        ehm_mask_in in = {.grid_h = SIDE, .grid_w = SIDE, .n_masked = 48, .n_views = 1, .similarity = S};
        in.seed = 1, in.progress_frac = (float)step / 2;
        EHM_TRY(ehm_mask_draw(rule, &mask, &in, a, err));
        for (int i = 0; i < mask.n_masked; i++) hidden[masked[i]] = 1;
        printf("\nmask at progress %.1f, %d of %d hidden:\n", step / 2.0, mask.n_masked, N);
        print(hidden, ".#");
    }
    return EHM_OK;
}

int main(void) {
    ehm_arena a = {0};
    ehm_err err = {0};
    char text[EHM_ERR_TEXT];
    if (run(&a, &err)) fputs(ehm_err_text(&err, text), stderr);
    ehm_arena_free(&a);
    return err.code != EHM_OK;
}
