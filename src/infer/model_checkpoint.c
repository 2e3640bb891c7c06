/* A checkpoint as a model: state.bin holds weights, moments and running means one behind the other, train.json says which. */
#include "infer/model_int.h"
#include "runs/run.h"
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 4 << 20, STATE_ALIGN = 64 }; /* entries are padded to the second in state.bin */

typedef struct { const char *name; size_t at, bytes; ehm_dtype type; } part; /* of state.bin */
typedef struct {
    const part *want; /* the entry being cut out */
    char *out;
    size_t at;        /* bytes of state.bin that went by */
} cutting;

static ehm_code cut(void *ctx, const void *data, size_t n, ehm_err *err) {
    cutting *c = ctx;
    (void)err;
    size_t begin = c->want->at > c->at ? c->want->at : c->at, end = c->want->at + c->want->bytes < c->at + n ? c->want->at + c->want->bytes : c->at + n;
    if (begin < end) memcpy(c->out + (begin - c->want->at), (const char *)data + (begin - c->at), end - begin);
    c->at += n;
    return EHM_OK;
}

static ehm_code find_part(part *out, const ehm_model *m, const char *name, ehm_arena *a, ehm_err *err) {
    ehm_bytes text;
    ehm_json *root;
    size_t at = 0;
    *out = (part){.name = name};
    EHM_TRY(ehm_ckpt_read(&text, m->ckpt_run, m->ckpt_step, "train.json", a, err));
    EHM_TRY(ehm_json_parse(&root, (const char *)text.data, text.len, "train.json", a, err));
    const ehm_json *list = ehm_json_get(root, "state");
    for (const ehm_json *e = list ? list->first : NULL; e; e = e->next) {
        int64_t n = ehm_json_i64_or(e, "count", -1);
        bool wide = !strcmp(ehm_json_str_or(e, "dtype", ""), "f64");
        if (n < 0 || (!wide && strcmp(ehm_json_str_or(e, "dtype", ""), "f32")))
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: the checkpoint of step %lld has an entry that is no f32 or f64", m->ckpt_run, (long long)m->ckpt_step);
        size_t bytes = (size_t)n * (wide ? 8 : 4);
        if (!strcmp(ehm_json_str_or(e, "name", ""), name)) {
            *out = (part){name, at, bytes, wide ? EHM_F64 : EHM_F32};
            return EHM_OK;
        }
        at += (bytes + STATE_ALIGN - 1) / STATE_ALIGN * STATE_ALIGN;
    }
    return EHM_OK;
}

/* Bytes of the part in a; *out NULL when there is none. */
static ehm_code read_part(void **out, part *p, const ehm_model *m, const char *name, ehm_arena *a, ehm_err *err) {
    *out = NULL;
    EHM_TRY(find_part(p, m, name, a, err));
    if (!p->bytes) return EHM_OK;
    void *chunk = malloc(CHUNK);
    cutting c = {.want = p, .out = ehm_arena_alloc(a, p->bytes, 1)};
    ehm_code rc = chunk && c.out ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for the checkpoint of %s", m->ckpt_run);
    if (!rc) rc = ehm_ckpt_read_chunks(m->ckpt_run, m->ckpt_step, "state.bin", chunk, CHUNK, cut, &c, err);
    if (!rc && c.at < p->at + p->bytes) rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: state.bin of step %lld ends early", m->ckpt_run, (long long)m->ckpt_step);
    free(chunk);
    *out = rc ? NULL : c.out;
    return rc;
}

ehm_code ehm_model_checkpoint_load(ehm_model *m, ehm_err *err) {
    static const char *const name[EHM_PARAM_GROUPS] = {"weights.decay", "weights.no_decay", "weights.frozen"};
    ehm_arena a = {0};
    ehm_code rc = EHM_OK;
    for (int32_t g = 0; g < EHM_PARAM_GROUPS && !rc; g++) {
        ehm_view v = m->weights->flat[g];
        part p;
        void *data;
        if ((rc = read_part(&data, &p, m, name[g], &a, err))) break;
        if (p.bytes != (v.rank ? ehm_view_bytes(v) : 0) || (p.bytes && p.type != v.dtype))
            rc = EHM_FAIL(err, EHM_E_MISMATCH, "%s: \"%s\" of step %lld has %zu bytes of %s, this device and network need %zu of %s", m->ckpt_run, name[g],
                          (long long)m->ckpt_step, p.bytes, ehm_dtype_name(p.type), v.rank ? ehm_view_bytes(v) : (size_t)0, ehm_dtype_name(v.dtype));
        else if (p.bytes) ehm_upload(m->d, v, data, p.bytes);
        ehm_arena_reset(&a);
    }
    ehm_arena_free(&a);
    if (!rc) ehm_weights_refresh(m->weights, m->d);
    return rc;
}

ehm_code ehm_model_checkpoint_mean(float **out, const ehm_model *m, int64_t count, ehm_arena *a, ehm_err *err) {
    part p;
    void *data;
    *out = NULL;
    EHM_TRY(read_part(&data, &p, m, "teacher.attention_mean", a, err));
    if (data && p.type == EHM_F32 && p.bytes == (size_t)count * sizeof(float)) *out = data;
    return EHM_OK;
}
