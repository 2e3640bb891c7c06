#include "net/shape.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

const ehm_vit_preset ehm_vit_presets[] = {
    {"pico", 128, 4, 4, 64, 2, 2, 8, 64},
    {"tiny", 192, 12, 3, 96, 4, 3, 8, 64},
    {"small", 384, 12, 6, 512, 8, 16, 16, 224},
    {"base", 768, 12, 12, 512, 8, 16, 16, 224},
    {"large", 1024, 24, 16, 512, 8, 16, 16, 224},
    {"huge", 1280, 32, 16, 512, 8, 16, 14, 224},
    {0},
};

const ehm_vit_preset *ehm_vit_preset_find(const char *name) {
    for (const ehm_vit_preset *p = ehm_vit_presets; name && p->name; p++)
        if (!strcmp(p->name, name)) return p;
    return NULL;
}

const ehm_vit_preset *ehm_vit_preset_auto(int32_t img_h, int32_t img_w, int64_t n_pictures, char *why) {
    enum { SMALL_SIDE = 96, FEW = 5000, MANY = 1000000 };
    int32_t side = img_h < img_w ? img_h : img_w;
    char count[32];
    if (n_pictures > 0) ehm_format_count(n_pictures, count);
    else snprintf(count, sizeof count, "an unknown number of");
    if (side <= SMALL_SIDE) {
        bool few = n_pictures > 0 && n_pictures < FEW;
        snprintf(why, 160, "%s pictures of %d px: %s", count, (int)side,
                 few ? "few and small" : "small pictures");
        return ehm_vit_preset_find(few ? "pico" : "tiny");
    }
    const char *name = n_pictures > 0 && n_pictures < FEW ? "tiny" : n_pictures >= MANY ? "base" : "small";
    snprintf(why, 160, "%s pictures of %d px: %s", count, (int)side,
             !strcmp(name, "tiny")   ? "too few for a wider model"
             : !strcmp(name, "base") ? "enough for the published size"
                                     : "a wider model wants a million");
    return ehm_vit_preset_find(name);
}

/* The patch at which a picture of this side has as many patches as the preset has at its own size; never
 * coarser than published ones. */
static double patch_wanted(const ehm_vit_preset *p, int32_t side) {
    double cap = p->img_size >= 224 ? p->patch_size : 16, want = (double)p->patch_size * side / p->img_size;
    return want < 2 ? 2 : want > cap ? cap : want;
}

static int32_t gcd_of(int32_t a, int32_t b) {
    while (b) {
        int32_t t = a % b;
        a = b, b = t;
    }
    return a;
}

int32_t ehm_vit_patch_auto(const ehm_vit_preset *p, int32_t img_h, int32_t img_w) {
    int32_t common = gcd_of(img_h, img_w), best = 0;
    double want = log(patch_wanted(p, img_h < img_w ? img_h : img_w));
    for (int32_t k = 1; k <= common && k <= 256; k++)
        if (common % k == 0 && (!best || fabs(log(k) - want) < fabs(log(best) - want))) best = k;
    /* Farther than a factor of 2 from the wish the sequence would be four times as long: rather ask. */
    return best && fabs(log(best) - want) <= log(2.0) + 1e-9 ? best : 0;
}

int32_t ehm_vit_img_size_auto(const ehm_vit_preset *p, int64_t patch_size, int32_t short_side) {
    int32_t side = short_side < 32 ? 32 : short_side > 224 ? 224 : short_side;
    if (EHM_IS_AUTO(patch_size)) {
        double want = log(patch_wanted(p, side)), best = -1;
        for (int32_t k = 2; k <= 16; k++) {
            bool usual = k == 2 || k == 4 || k == 8 || k == 16 || k == p->patch_size;
            if (usual && (best < 0 || fabs(log(k) - want) < best)) best = fabs(log(k) - want), patch_size = k;
        }
    }
    int32_t size = side / (int32_t)patch_size * (int32_t)patch_size;
    return size ? size : (int32_t)patch_size;
}

/* A setting's own value, or the preset's where it is auto. */
static int32_t or_preset(int64_t v, int32_t preset) { return EHM_IS_AUTO(v) ? preset : (int32_t)v; }

static ehm_code check_width(const char *prefix, int32_t dim, int32_t heads, ehm_err *err) {
    if (dim % 4)
        return EHM_FAIL(err, EHM_E_CONFIG,
                        "%sembed_dim %d is not a multiple of 4, which the position table needs", prefix,
                        (int)dim);
    if (dim % heads) {
        EHM_HINT(err, "give --%snum-heads a divisor of %d", *prefix ? "decoder-" : "", (int)dim);
        return EHM_FAIL(err, EHM_E_CONFIG, "%sembed_dim %d is not a multiple of %snum_heads %d", prefix,
                        (int)dim, prefix, (int)heads);
    }
    return EHM_OK;
}

static ehm_code check_range(const char *name, int64_t v, int64_t lo, int64_t hi, ehm_err *err) {
    if (v >= lo && v <= hi) return EHM_OK;
    return EHM_FAIL(err, EHM_E_CONFIG, "%s %lld is not within %lld to %lld", name, (long long)v,
                    (long long)lo, (long long)hi);
}

static void finish(ehm_vit_shape *s) {
    s->grid_h = s->img_h / s->patch_size, s->grid_w = s->img_w / s->patch_size;
    s->n_patches = s->grid_h * s->grid_w;
    s->patch_pixels = s->patch_size * s->patch_size * s->channels;
}

ehm_code ehm_vit_shape_check(ehm_vit_shape *s, ehm_err *err) {
    bool decoder = s->decoder_depth > 0;
    EHM_TRY(check_range("img_h", s->img_h, 1, 16384, err));
    EHM_TRY(check_range("img_w", s->img_w, 1, 16384, err));
    EHM_TRY(check_range("channels", s->channels, 1, 256, err));
    EHM_TRY(check_range("patch_size", s->patch_size, 1, 256, err));
    EHM_TRY(check_range("embed_dim", s->embed_dim, 4, 8192, err));
    EHM_TRY(check_range("depth", s->depth, 1, 128, err));
    EHM_TRY(check_range("num_heads", s->num_heads, 1, 128, err));
    EHM_TRY(check_range("mlp_dim", s->mlp_dim, 1, 131072, err));
    EHM_TRY(check_width("", s->embed_dim, s->num_heads, err));
    if (decoder) {
        EHM_TRY(check_range("decoder_depth", s->decoder_depth, 1, 64, err));
        EHM_TRY(check_range("decoder_embed_dim", s->decoder_embed_dim, 4, 8192, err));
        EHM_TRY(check_range("decoder_num_heads", s->decoder_num_heads, 1, 128, err));
        EHM_TRY(check_range("decoder_mlp_dim", s->decoder_mlp_dim, 1, 131072, err));
        EHM_TRY(check_width("decoder_", s->decoder_embed_dim, s->decoder_num_heads, err));
    }
    if (s->img_h % s->patch_size || s->img_w % s->patch_size) {
        int32_t h = s->img_h / s->patch_size, w = s->img_w / s->patch_size;
        EHM_HINT(err, "--img-size %dx%d fits this patch", (int)((h ? h : 1) * s->patch_size),
                 (int)((w ? w : 1) * s->patch_size));
        return EHM_FAIL(err, EHM_E_CONFIG, "img_size %dx%d is not a multiple of patch_size %d", (int)s->img_h,
                        (int)s->img_w, (int)s->patch_size);
    }
    /* Attention grows with the square: beyond this a step is hopeless on any processor, and sizes stay far
     * from 32 bits. */
    int64_t L = (int64_t)(s->img_h / s->patch_size) * (s->img_w / s->patch_size);
    if (L > 65536) {
        EHM_HINT(err, "raise --patch-size or lower --img-size");
        return EHM_FAIL(err, EHM_E_CONFIG,
                        "img_size %dx%d in patches of %d px gives %lld patches, more than 65536",
                        (int)s->img_h, (int)s->img_w, (int)s->patch_size, (long long)L);
    }
    finish(s);
    return EHM_OK;
}

ehm_code ehm_vit_shape_of(ehm_vit_shape *s, const ehm_config *c, int32_t img_h, int32_t img_w,
                          int32_t channels, ehm_err *err) {
    char why[160];
    bool any = !c->preset || !strcmp(c->preset, "auto");
    const ehm_vit_preset *p =
        any ? ehm_vit_preset_auto(img_h, img_w, -1, why) : ehm_vit_preset_find(c->preset);
    if (!p) return EHM_FAIL(err, EHM_E_CONFIG, "preset \"%s\" is not known", c->preset);
    memset(s, 0, sizeof *s);
    EHM_TRY(check_range("img_h", img_h, 1, 16384, err));
    EHM_TRY(check_range("img_w", img_w, 1, 16384, err));
    s->img_h = img_h, s->img_w = img_w, s->channels = channels;
    s->patch_size = EHM_IS_AUTO(c->patch_size) ? ehm_vit_patch_auto(p, img_h, img_w) : (int32_t)c->patch_size;
    if (!s->patch_size) {
        EHM_HINT(err, "give --patch-size, or an --img-size that is a multiple of 4, 8 or 16");
        return EHM_FAIL(err, EHM_E_CONFIG, "patch_size: no patch near %.0f px divides img_size %dx%d",
                        patch_wanted(p, img_h < img_w ? img_h : img_w), (int)img_h, (int)img_w);
    }
    s->embed_dim = or_preset(c->embed_dim, p->embed_dim), s->depth = or_preset(c->depth, p->depth),
    s->num_heads = or_preset(c->num_heads, p->num_heads);
    s->decoder_embed_dim = or_preset(c->decoder_embed_dim, p->decoder_embed_dim),
    s->decoder_depth = or_preset(c->decoder_depth, p->decoder_depth);
    s->decoder_num_heads = or_preset(c->decoder_num_heads, p->decoder_num_heads);
    s->mlp_dim = (int32_t)((double)s->embed_dim * c->mlp_ratio),
    s->decoder_mlp_dim = (int32_t)((double)s->decoder_embed_dim * c->mlp_ratio);
    return ehm_vit_shape_check(s, err);
}

ehm_code ehm_vit_shape_alone(ehm_vit_shape *s, ehm_config *c, ehm_err *err) {
    if (!strcmp(c->preset, "auto")) c->preset = "tiny";
    const ehm_vit_preset *p = ehm_vit_preset_find(c->preset);
    if (!p) return EHM_FAIL(err, EHM_E_CONFIG, "there is no preset '%s'; see: ehm list presets", c->preset);
    int32_t h = p->img_size, w = h;
    if (strcmp(c->img_size, "auto") && !ehm_parse_size(c->img_size, &h, &w))
        return EHM_FAIL(err, EHM_E_CONFIG, "--img-size %s: N or HxW in pixels", c->img_size);
    return ehm_vit_shape_of(s, c, h, w, EHM_IS_AUTO(c->channels) ? 3 : (int32_t)c->channels, err);
}

bool ehm_vit_shape_equal(const ehm_vit_shape *a, const ehm_vit_shape *b) {
    return !memcmp(a, b, sizeof *a);
} /* int32_t throughout: no padding */

static int64_t block_count(int64_t D, int64_t M) {
    return 4 * D + (3 * D * D + 3 * D) + (D * D + D) + (D * M + M) + (M * D + D);
}

int64_t ehm_vit_param_count(const ehm_vit_shape *s, bool decoder) {
    int64_t D = s->embed_dim, E = s->decoder_embed_dim, P = s->patch_pixels, N = 1 + (int64_t)s->n_patches;
    int64_t n = D + N * D + P * D + D + s->depth * block_count(D, s->mlp_dim) + 2 * D;
    if (decoder && s->decoder_depth)
        n +=
            E + N * E + D * E + E + s->decoder_depth * block_count(E, s->decoder_mlp_dim) + 2 * E + E * P + P;
    return n;
}

/* Multiply-adds of a block's products over n tokens: qkv, proj and the two of the MLP, then scores and
 * weighted values. */
static double block_macs(double n, double D, double M) { return n * (4 * D * D + 2 * D * M) + 2 * n * n * D; }

double ehm_vit_flops_fwd(const ehm_vit_shape *s, int32_t n_visible, bool decoder) {
    double D = s->embed_dim, E = s->decoder_embed_dim, P = s->patch_pixels, V = n_visible, L = s->n_patches;
    double macs = V * P * D + s->depth * block_macs(1 + V, D, s->mlp_dim);
    if (decoder && s->decoder_depth)
        macs += (1 + V) * D * E + s->decoder_depth * block_macs(1 + L, E, s->decoder_mlp_dim) +
                (V < L ? L - V : L) * E * P;
    return 2 * macs;
}
