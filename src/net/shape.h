/* The sizes of a vision transformer with a decoder, in the field's words. */
#ifndef EHM_NET_SHAPE_H
#define EHM_NET_SHAPE_H
#include "base/settings.h"

typedef struct {
    int32_t img_h, img_w, channels, patch_size; /* px; img_h and img_w are multiples of patch_size */
    int32_t grid_h, grid_w, n_patches;          /* L = grid_h * grid_w */
    int32_t embed_dim, depth, num_heads, mlp_dim;
    int32_t decoder_embed_dim, decoder_depth, decoder_num_heads, decoder_mlp_dim; /* 0 all: no decoder */
    int32_t patch_pixels;                       /* P = patch_size^2 * channels */
} ehm_vit_shape;

typedef struct {
    const char *name;
    int32_t embed_dim, depth, num_heads, decoder_embed_dim, decoder_depth, decoder_num_heads, patch_size,
        img_size;
} ehm_vit_preset;
extern const ehm_vit_preset ehm_vit_presets[]; /* contract 2; ends with name NULL */
const ehm_vit_preset *ehm_vit_preset_find(const char *name);
/* "auto" preset from picture size and count, with the reason in words (why has 160 bytes). */
const ehm_vit_preset *ehm_vit_preset_auto(int32_t img_h, int32_t img_w, int64_t n_pictures, char *why);
/* Fill s from resolved settings (preset row, then given values); checks every range and divisibility.
 * EHM_E_CONFIG names setting, value and rule. */
ehm_code ehm_vit_shape_of(ehm_vit_shape *s, const ehm_config *c, int32_t img_h, int32_t img_w,
                          int32_t channels, ehm_err *err);
/* Without data to go by: the preset's own size (auto: tiny) unless --img-size says another, --channels or 3. c->preset becomes what was taken. */
ehm_code ehm_vit_shape_alone(ehm_vit_shape *s, ehm_config *c, ehm_err *err);
/* Derived fields from the given ones, after the same checks; for sizes that come from a file. */
ehm_code ehm_vit_shape_check(ehm_vit_shape *s, ehm_err *err);
/* The divisor of both sides that gives about as many patches as the preset has at its own size, at most its
 * patch (16 for the small-picture presets); 0 when none is within a factor of two. */
int32_t ehm_vit_patch_auto(const ehm_vit_preset *p, int32_t img_h, int32_t img_w);
/* Model input size for a set whose median short side is this: 32 to 224, rounded down to a multiple of the
 * patch (auto: the one that fits best). */
int32_t ehm_vit_img_size_auto(const ehm_vit_preset *p, int64_t patch_size, int32_t short_side);
bool ehm_vit_shape_equal(const ehm_vit_shape *a, const ehm_vit_shape *b);
/* Numbers, frozen position tables included. */
int64_t ehm_vit_param_count(const ehm_vit_shape *s, bool decoder);
/* Products of one picture's forward pass. */
double ehm_vit_flops_fwd(const ehm_vit_shape *s, int32_t n_visible, bool decoder);
#endif
