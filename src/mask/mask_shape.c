/* What a mask looks like, in numbers. */
#include "mask/tree_mask.h"

/* Counts regions of patches with the same mark, 4-connected. mark [n] 0 or 1; visited patches get 2 added. */
static int32_t fill(int32_t *mark, int32_t *stack, int32_t first, int32_t h, int32_t w) {
    int32_t n_stack = 0, size = 0, kind = mark[first];
    mark[first] += 2, stack[n_stack++] = first;
    while (n_stack) {
        int32_t at = stack[--n_stack], y = at / w, x = at % w;
        const int32_t next[4] = {y > 0 ? at - w : -1, y + 1 < h ? at + w : -1, x > 0 ? at - 1 : -1,
                                 x + 1 < w ? at + 1 : -1};
        size++;
        for (int i = 0; i < 4; i++)
            if (next[i] >= 0 && mark[next[i]] == kind) mark[next[i]] += 2, stack[n_stack++] = next[i];
    }
    return size;
}

void ehm_mask_shape_of(ehm_mask_shape *out, const ehm_mask *m, int32_t grid_h, int32_t grid_w,
                       int32_t *work) {
    int32_t n = grid_h * grid_w, *mark = work, *stack = work + n;
    *out = (ehm_mask_shape){0};
    for (int32_t i = 0; i < n; i++) mark[i] = 0;
    for (int32_t i = 0; i < m->n_masked; i++) mark[m->masked[i]] = 1;
    for (int32_t i = 0; i < n; i++) {
        out->perimeter += (i % grid_w + 1 < grid_w && mark[i] != mark[i + 1]) +
                          (i + grid_w < n && mark[i] != mark[i + grid_w]);
    }
    for (int32_t i = 0; i < n; i++) {
        if (mark[i] > 1) continue;
        bool masked = mark[i];
        int32_t size = fill(mark, stack, i, grid_h, grid_w);
        if (!masked) out->n_visible_regions++;
        else {
            out->n_masked_regions++;
            if (size > out->largest_masked_region) out->largest_masked_region = size;
        }
    }
}
