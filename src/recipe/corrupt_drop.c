#include "recipe/method_int.h"

static int32_t drop_n_embed(int32_t n_patches, int32_t n_visible) {
    (void)n_patches;
    return n_visible;
}

static int32_t drop_n_tokens(int32_t n_patches, int32_t n_visible) {
    (void)n_patches;
    return 1 + n_visible;
}

/* The class token first, then the visible patches in the order of their list, each with the position of its
 * place in the picture. */
static void drop_route(int32_t *embed_idx, int32_t *src, int32_t *pos_idx, const int32_t *visible,
                       int32_t n_visible, const int32_t *masked, int32_t n_masked) {
    (void)masked, (void)n_masked;
    src[0] = -1, pos_idx[0] = 0;
    for (int32_t i = 0; i < n_visible; i++) {
        embed_idx[i] = visible[i];
        src[1 + i] = i;
        pos_idx[1 + i] = 1 + visible[i];
    }
}

const ehm_corrupt ehm_corrupt_drop = {
    .name = "drop",
    .summary = "hidden patches are left out of the encoder",
    .drops = true,
    .plain_routes = true,
    .n_embed = drop_n_embed,
    .n_tokens = drop_n_tokens,
    .route = drop_route,
};
