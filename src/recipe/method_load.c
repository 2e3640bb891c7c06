/* From a batch of pictures to what stands on the device before a forward pass: masks, routes, pixels. */
#include "base/hash.h"
#include "recipe/method_int.h"
#include <string.h>

static ehm_code check_batch(const ehm_method *m, const ehm_batch *b, ehm_err *err) {
    int32_t crops = ehm_method_crops(m);
    if (b->n < 1 || b->n > crops || (m->train && b->n != crops))
        return EHM_FAIL(err, EHM_E_ARG, "a batch of %d pictures, but the method was opened for %d%s",
                        (int)b->n, (int)crops, m->train ? ", and training takes no others" : "");
    if (b->type != EHM_U8 && b->type != EHM_F32)
        return EHM_FAIL(err, EHM_E_ARG, "pixels of type %s", ehm_dtype_name(b->type));
    return EHM_OK;
}

static void put_i32(ehm_dev *d, ehm_view v, const int32_t *host, int64_t n, int64_t each) {
    ehm_upload(d, ehm_fit2(v, n, each), host, (size_t)(n * each) * sizeof *host);
}

static void put_routes(ehm_method *m, ehm_dev *d) {
    for (int64_t i = 0; i < m->n; i++)
        m->corrupt->route(m->host_embed + i * m->n_embed, m->host_src + i * m->n_tokens,
                          m->host_pos + i * m->n_tokens, m->visible + i * m->n_visible, m->n_visible,
                          m->masked + i * m->n_masked, m->n_masked);
    put_i32(d, m->embed_idx, m->host_embed, m->n, m->n_embed);
    put_i32(d, m->src, m->host_src, m->n, m->n_tokens);
    put_i32(d, m->pos_idx, m->host_pos, m->n, m->n_tokens);
    if (m->n_masked) put_i32(d, m->target_idx, m->masked, m->n, m->n_masked);
    m->head->load(m, d);
}

static ehm_code finish(ehm_method *m, ehm_dev *d, const ehm_batch *b) {
    const ehm_vit_shape *s = &m->shape;
    m->n = b->n * m->views;
    m->n_embed = m->corrupt->n_embed(s->n_patches, m->n_visible),
    m->n_tokens = m->corrupt->n_tokens(s->n_patches, m->n_visible);
    if (!m->masks.device.pending) put_routes(m, d); /* else they are there */
    if (!m->pixels_loaded) ehm_pixels_load(&m->pixels, d, b->pixels, b->type, b->n);
    return EHM_OK;
}

ehm_code ehm_method_load(ehm_method *m, ehm_dev *d, const ehm_batch *b, float progress, uint64_t seed,
                         ehm_err *err) {
    EHM_TRY(check_batch(m, b, err));
    m->n_visible = ehm_mask_n_visible(m->shape.n_patches, m->mask_ratio),
    m->n_masked = m->shape.n_patches - m->n_visible;
    if (m->n_visible < 1)
        return EHM_FAIL(err, EHM_E_ARG, "mask_ratio %g leaves no patch of %d visible", m->mask_ratio,
                        (int)m->shape.n_patches);
    EHM_TRY(ehm_method_settled(m, d, err)); /* of a load before, in the same step */
    m->pixels_loaded = m->ahead == b->index && ehm_pixels_arrived(&m->pixels);
    m->ahead = -1;
    EHM_TRY(ehm_method_masks_draw(m, d, b, progress, seed, err));
    return finish(m, d, b);
}

void ehm_method_ahead(ehm_method *m, ehm_dev *d, const ehm_batch *b) {
    ehm_pixels_ahead(&m->pixels, d, b->pixels, b->type, b->n);
    m->ahead = b->index;
}

uint64_t ehm_method_section(const ehm_method *m) {
    const int64_t key[] = {m->n, m->n_visible, m->n_masked, m->pixels.px.offset, m->pixels.type};
    return ehm_hash64(key, sizeof key, 0);
}

/* Each patch once, in one of the two lists. */
static ehm_code check_lists(const ehm_method *m, int64_t i, const int32_t *visible, const int32_t *masked,
                            int32_t n_visible, uint8_t *seen, ehm_err *err) {
    int32_t L = m->shape.n_patches;
    memset(seen, 0, (size_t)L);
    for (int32_t k = 0; k < L; k++) {
        int32_t p = k < n_visible ? visible[i * n_visible + k] : masked[i * (L - n_visible) + k - n_visible];
        if (p < 0 || p >= L || seen[p])
            return EHM_FAIL(err, EHM_E_ARG, "mask of picture %lld: patch %d is %s", (long long)i, (int)p,
                            p < 0 || p >= L ? "outside the picture" : "named twice");
        seen[p] = 1;
    }
    return EHM_OK;
}

ehm_code ehm_method_load_masks(ehm_method *m, ehm_dev *d, const ehm_batch *b, const int32_t *visible,
                               const int32_t *masked, int32_t n_visible, ehm_err *err) {
    int32_t L = m->shape.n_patches, n_masked = L - n_visible;
    m->pixels_loaded = m->masks.device.pending = false;
    EHM_TRY(check_batch(m, b, err));
    if (n_visible < 1 || n_visible > L)
        return EHM_FAIL(err, EHM_E_ARG, "%d of %d patches visible", (int)n_visible, (int)L);
    if (m->train && n_masked != m->cap_masked)
        return EHM_FAIL(err, EHM_E_ARG, "masks that hide %d patches, but training was planned for %d",
                        (int)n_masked, (int)m->cap_masked);
    ehm_arena_reset(&m->scratch);
    uint8_t *seen = EHM_NEW_N(&m->scratch, uint8_t, L);
    if (!seen) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to check masks of %d patches", (int)L);
    int64_t n = (int64_t)b->n * m->views;
    for (int64_t i = 0; i < n; i++) EHM_TRY(check_lists(m, i, visible, masked, n_visible, seen, err));
    m->n_visible = n_visible, m->n_masked = n_masked;
    memcpy(m->visible, visible, (size_t)n * (size_t)n_visible * sizeof *visible);
    if (n_masked) memcpy(m->masked, masked, (size_t)n * (size_t)n_masked * sizeof *masked);
    return finish(m, d, b);
}
