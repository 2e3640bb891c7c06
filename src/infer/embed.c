#include "infer/embed.h"
#include "base/file.h"
#include "base/log.h"
#include "base/npy.h"
#include <stdio.h>
#include <string.h>

enum { NPY_ROOM = 192 };

ehm_code ehm_pooling_of(ehm_pooling *out, const char *name, ehm_err *err) {
    static const char *const names[] = {"cls", "mean", "patches"};
    for (int32_t i = 0; i < 3; i++)
        if (!strcmp(name, names[i])) return *out = (ehm_pooling)i, EHM_OK;
    return EHM_FAIL(err, EHM_E_CONFIG, "--pool %s: there are cls, mean and patches", name);
}

/* As long for any n, so that the count can be filled in at the end. */
static size_t npy_head(char head[NPY_ROOM], int64_t n, int32_t tokens, int32_t dim) {
    return tokens ? ehm_npy_header(head, "<f4", 3, (int64_t[]){n, tokens, dim})
                  : ehm_npy_header(head, "<f4", 2, (int64_t[]){n, dim});
}

typedef struct {
    ehm_file_out npy, tsv;
    ehm_dataset *ds;
    ehm_pooling pool;
    ehm_embed_result *out;
    size_t row_floats;
} embed_ctx;

static ehm_code put(embed_ctx *c, ehm_file_out *o, const void *data, size_t n, ehm_err *err) {
    (void)c;
    if (fwrite(data, 1, n, o->f) != n)
        return EHM_FAIL(err, EHM_E_IO, "%s: cannot write (is the disk full?)", o->path);
    return EHM_OK;
}

/* A cell and what ends it. Names come from outside: a tab or line end in one would shift the columns. */
static bool put_cell(FILE *f, const char *text, char end) {
    for (; *text; text++) fputc((unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text, f);
    fputc(end, f);
    return !ferror(f);
}

static ehm_code on_batch(void *ctx, const ehm_batch *b, const float *cls, const float *mean,
                         const float *patches, ehm_err *err) {
    embed_ctx *c = ctx;
    const float *from = c->pool == EHM_POOL_CLS ? cls : c->pool == EHM_POOL_MEAN ? mean : patches;
    for (int32_t i = 0; i < b->n; i++) {
        if (b->ids[i] != b->slots[i]) {
            ehm_log(EHM_LOG_WARN, "left out, cannot be read: %s", ehm_dataset_name(c->ds, b->slots[i]));
            c->out->n_bad++;
            continue;
        }
        EHM_TRY(put(c, &c->npy, from + (size_t)i * c->row_floats, c->row_floats * sizeof(float), err));
        put_cell(c->tsv.f, ehm_dataset_name(c->ds, b->ids[i]), '\t');
        if (!put_cell(c->tsv.f, b->labels[i] >= 0 ? ehm_dataset_class(c->ds, b->labels[i]) : "", '\n'))
            return EHM_FAIL(err, EHM_E_IO, "%s: cannot write (is the disk full?)", c->tsv.path);
        c->out->n++;
    }
    return EHM_OK;
}

ehm_code ehm_embed(ehm_embed_result *out, ehm_model *m, ehm_dataset *ds, ehm_pooling pool, const char *path,
                   int32_t n_workers, ehm_err *err) {
    const ehm_vit_shape *s = ehm_model_shape(m);
    embed_ctx c = {.ds = ds, .pool = pool, .out = out};
    char head[NPY_ROOM];
    ehm_code rc;
    memset(out, 0, sizeof *out);
    if (!ehm_ends_nocase(path, ".npy"))
        return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: the name of a feature file ends in .npy", path);
    if (strlen(path) > sizeof out->tsv - 8)
        return EHM_FAIL(err, EHM_E_CONFIG, "--out: the path is longer than %zu characters",
                        sizeof out->tsv - 8);
    snprintf(out->tsv, sizeof out->tsv, "%.*s.tsv", (int)(strlen(path) - 4), path);
    out->dim = s->embed_dim;
    out->n_tokens = pool == EHM_POOL_PATCHES ? s->n_patches : 0;
    c.row_floats = (size_t)out->dim * (size_t)(out->n_tokens ? out->n_tokens : 1);
    EHM_TRY(ehm_dir_make_for(path, err));
    EHM_TRY(ehm_file_out_open(&c.npy, path, err));
    if ((rc = ehm_file_out_open(&c.tsv, out->tsv, err))) goto done;
    if ((rc = put(&c, &c.npy, head, npy_head(head, 0, out->n_tokens, out->dim), err))) goto done;
    fputs("file\tlabel\n", c.tsv.f);
    if ((rc = ehm_model_run_dataset(m, ds, n_workers, pool == EHM_POOL_PATCHES, on_batch, &c, err)))
        goto done;
    if (fseek(c.npy.f, 0, SEEK_SET)) {
        rc = EHM_FAIL(err, EHM_E_IO, "%s: cannot write its header", path);
        goto done;
    }
    if ((rc = put(&c, &c.npy, head, npy_head(head, out->n, out->n_tokens, out->dim), err))) goto done;
    if ((rc = ehm_file_out_commit(&c.npy, err))) goto done;
    rc = ehm_file_out_commit(&c.tsv, err);
done:
    ehm_file_out_abort(&c.npy);
    if (c.tsv.f || c.tsv.path) ehm_file_out_abort(&c.tsv);
    return rc;
}
