/* Pictures from files, folders and archives over the flat interface. */
#include "api/api_int.h"
#include <stdlib.h>
#include <string.h>

struct ehm_api_data {
    ehm_dataset *ds;
};

static ehm_code data_open(ehm_api_data **out, const char *const *paths, int32_t n, int32_t channels, ehm_err *err) {
    EHM_TRY(ehm_api_given(out, "out", err));
    *out = NULL;
    EHM_TRY(ehm_api_given(paths, "paths", err));
    if (n < 1) return EHM_FAIL(err, EHM_E_ARG, "%d paths: at least one is needed", (int)n);
    if (channels < 0) return EHM_FAIL(err, EHM_E_ARG, "%d channels: 1 to 4, or 0 for the majority's count", (int)channels);
    for (int32_t i = 0; i < n; i++)
        if (!paths[i]) return EHM_FAIL(err, EHM_E_ARG, "path %d is NULL", (int)i);
    ehm_api_data *d = calloc(1, sizeof *d);
    ehm_strs list = {malloc((size_t)n * sizeof(char *)), n};
    ehm_code rc = d && list.v ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d paths", (int)n);
    if (!rc) {
        memcpy(list.v, paths, (size_t)n * sizeof *list.v);
        rc = ehm_dataset_open(&d->ds, &list, &(ehm_dataset_opt){.channels = channels, .ignore_label = -1}, err);
    }
    free(list.v);
    if (rc) free(d);
    else *out = d;
    return rc;
}

int32_t ehm_api_data_open(ehm_api_data **out, const char *const *paths, int32_t n_paths, int32_t channels, char *message, size_t message_cap) {
    ehm_err err = {0};
    return ehm_api_say(data_open(out, paths, n_paths, channels, &err), &err, message, message_cap);
}

void ehm_api_data_close(ehm_api_data *d) {
    if (!d) return;
    ehm_dataset_close(d->ds);
    free(d);
}

int64_t ehm_api_data_count(const ehm_api_data *d) { return d ? ehm_dataset_count(d->ds) : 0; }
int32_t ehm_api_data_channels(const ehm_api_data *d) { return d ? ehm_dataset_channels(d->ds) : 0; }
int32_t ehm_api_data_type(const ehm_api_data *d) { return d && !ehm_dataset_is_u8(d->ds) ? EHM_API_F32 : EHM_API_U8; }
static bool has(const ehm_api_data *d, int64_t i) { return d && i >= 0 && i < ehm_dataset_count(d->ds); }
const char *ehm_api_data_name(const ehm_api_data *d, int64_t i) { return has(d, i) ? ehm_dataset_name(d->ds, i) : NULL; }
const char *ehm_api_data_label(const ehm_api_data *d, int64_t i) {
    int32_t label = has(d, i) ? ehm_dataset_label(d->ds, i) : -1;
    return label >= 0 ? ehm_dataset_class(d->ds, label) : NULL;
}

/* A loader replaces what it cannot read; here each row has its own picture, so the reason is looked up and told. */
static ehm_code unreadable(ehm_dataset *ds, int64_t i, ehm_err *err) {
    ehm_arena a = {0};
    ehm_sample s;
    ehm_code rc = ehm_dataset_read(ds, i, &s, 0, NULL, &a, err);
    ehm_arena_free(&a);
    return rc ? rc : EHM_FAIL(err, EHM_E_FORMAT, "%s: cannot be read", ehm_dataset_name(ds, i));
}

static ehm_code same_channels(const ehm_api_data *d, const ehm_api_model *m, ehm_err *err) {
    int32_t has_c = ehm_dataset_channels(d->ds), wants = ehm_model_shape(m->m)->channels;
    if (has_c == wants) return EHM_OK;
    EHM_FAIL(err, EHM_E_MISMATCH, "%s: pictures of %d channels, but the model takes %d", ehm_dataset_spec(d->ds), (int)has_c, (int)wants);
    EHM_HINT(err, "open the pictures with %d channels: they are converted", (int)wants);
    return EHM_E_MISMATCH;
}

static ehm_code data_read(ehm_api_data *d, const ehm_api_model *m, int64_t first, int64_t n, uint8_t *out, ehm_err *err) {
    EHM_TRY(ehm_api_given(d, "the data", err));
    EHM_TRY(ehm_api_given(m, "the model", err));
    EHM_TRY(ehm_api_given(out, "out", err));
    int64_t all = ehm_dataset_count(d->ds);
    if (first < 0 || n < 1 || first >= all || n > all - first)
        return EHM_FAIL(err, EHM_E_ARG, "%lld pictures from %lld on: there are %lld", (long long)n, (long long)first, (long long)all);
    EHM_TRY(same_channels(d, m, err));
    const ehm_vit_shape *s = ehm_model_shape(m->m);
    size_t each = (size_t)s->img_h * (size_t)s->img_w * (size_t)s->channels * (ehm_dataset_is_u8(d->ds) ? 1 : 4);
    ehm_loader_opt opt = {.batch_size = 1, .h = s->img_h, .w = s->img_w, .fit = ehm_model_fit(m->m), .n_workers = ehm_api_threads(0, n),
                          .max_bad = 1};
    ehm_loader *l = NULL;
    EHM_TRY(ehm_loader_open(&l, d->ds, &opt, first, err));
    ehm_code rc = EHM_OK;
    for (int64_t i = 0; i < n && !rc; i++) {
        ehm_batch b = {0};
        if ((rc = ehm_loader_next(l, &b, err))) break;
        if (b.ids[0] != first + i) rc = unreadable(d->ds, first + i, err);
        else memcpy(out + (size_t)i * each, b.pixels, each);
    }
    ehm_loader_close(l);
    return rc;
}

int32_t ehm_api_data_read(ehm_api_data *d, const ehm_api_model *m, int64_t first, int64_t n, void *out, char *message, size_t message_cap) {
    ehm_err err = {0};
    return ehm_api_say(data_read(d, m, first, n, out, &err), &err, message, message_cap);
}

typedef struct {
    ehm_dataset *ds;
    ehm_pooling pool;
    float *out;
    size_t each; /* numbers of a row */
} embedding;

static ehm_code on_batch(void *ctx, const ehm_batch *b, const float *cls, const float *mean, const float *patches, ehm_err *err) {
    embedding *e = ctx;
    const float *from = e->pool == EHM_POOL_CLS ? cls : e->pool == EHM_POOL_MEAN ? mean : patches;
    for (int32_t i = 0; i < b->n; i++)
        if (b->ids[i] != b->slots[i]) return unreadable(e->ds, b->slots[i], err);
    memcpy(e->out, from, (size_t)b->n * e->each * sizeof *from);
    e->out += (size_t)b->n * e->each;
    return EHM_OK;
}

static ehm_code embed_data(ehm_api_model *m, ehm_api_data *d, const char *pool, float *out, ehm_err *err) {
    embedding e = {.out = out};
    EHM_TRY(ehm_api_usable(m, err));
    EHM_TRY(ehm_api_given(d, "the data", err));
    EHM_TRY(ehm_api_given(out, "out", err));
    EHM_TRY(ehm_api_pool_of(&e.pool, pool, err));
    EHM_TRY(same_channels(d, m, err));
    const ehm_vit_shape *s = ehm_model_shape(m->m);
    e.ds = d->ds;
    e.each = (size_t)s->embed_dim * (e.pool == EHM_POOL_PATCHES ? (size_t)s->n_patches : 1);
    return ehm_model_run_dataset(m->m, d->ds, ehm_cpu_count(), e.pool == EHM_POOL_PATCHES, on_batch, &e, err);
}

int32_t ehm_api_embed_data(ehm_api_model *m, ehm_api_data *d, const char *pool, float *out, char *message, size_t message_cap) {
    ehm_err err = {0};
    return ehm_api_say(embed_data(m, d, pool, out, &err), &err, message, message_cap);
}
