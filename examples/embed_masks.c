/* A model's features of a picture, and masks along the tree of its patches, in a program of one's own:
 *   cc examples/embed_masks.c $(pkg-config --cflags --libs ehm) -o embed_masks
 *   ./embed_masks runs/r photo.jpg */
#include <api/api.h>
#include <stdio.h>
#include <stdlib.h>

static char why[EHM_API_MESSAGE];

static int failed(void) {
    fprintf(stderr, "%s\n", why);
    return 1;
}

static int64_t number(const ehm_api_model *m, const char *name) {
    int64_t v = 0;
    ehm_api_number(m, name, &v, why, sizeof why);
    return v;
}

/* Features of the first picture of a file, folder or archive. */
static int embed(ehm_api_model *m, const void *pixels, int32_t type, int64_t h, int64_t w, int64_t c) {
    int64_t dim = number(m, "embed_dim");
    float *out = malloc((size_t)dim * sizeof *out);
    int bad = !out || ehm_api_embed(m, pixels, 1, (int32_t)h, (int32_t)w, (int32_t)c, type, "mean", out, why, sizeof why);
    if (!bad) printf("%lld features: %.3f %.3f %.3f ...\n", (long long)dim, out[0], out[1], out[2]);
    free(out);
    return bad;
}

/* What is hidden at the start, in the middle and at the end of a training: single patches, then whole parts of the picture. */
static int masks(ehm_api_model *m, const void *pixels, int32_t type, int64_t h, int64_t w, int64_t c) {
    int64_t gh = number(m, "grid_h"), gw = number(m, "grid_w");
    unsigned char *mask = malloc((size_t)(gh * gw));
    int bad = !mask;
    for (int step = 0; step <= 2 && !bad; step++) {
        const char *settings[] = {"mask_ratio=0.75", "linkage=average"};
        bad = ehm_api_masks_model(m, "ehm", settings, 2, step / 2.0, 1, pixels, 1, (int32_t)h, (int32_t)w, (int32_t)c, type, mask, why, sizeof why);
        if (bad) break;
        printf("\nmask at progress %.1f:\n", step / 2.0);
        for (int64_t i = 0; i < gh * gw; i++) printf("%c%s", mask[i] ? '#' : '.', i % gw == gw - 1 ? "\n" : "");
    }
    free(mask);
    return bad;
}

int main(int argc, char **argv) {
    ehm_api_model *m = NULL;
    ehm_api_data *d = NULL;
    if (argc != 3) return fprintf(stderr, "usage: %s MODEL PICTURE\n", argv[0]), 2;
    if (ehm_api_open(&m, argv[1], "auto", 0, why, sizeof why)) return failed();
    int64_t h = number(m, "img_h"), w = number(m, "img_w"), c = number(m, "channels");
    void *pixels = malloc((size_t)(h * w * c) * sizeof(float));
    const char *const paths[] = {argv[2]};
    int bad = !pixels || ehm_api_data_open(&d, paths, 1, (int32_t)c, why, sizeof why) ||
              ehm_api_data_read(d, m, 0, 1, pixels, why, sizeof why);
    if (!bad) printf("%s, as %lld x %lld pixels\n", ehm_api_data_name(d, 0), (long long)w, (long long)h);
    bad = bad || embed(m, pixels, ehm_api_data_type(d), h, w, c) || masks(m, pixels, ehm_api_data_type(d), h, w, c);
    if (bad) failed();
    free(pixels);
    ehm_api_data_close(d);
    ehm_api_close(m);
    return bad;
}
