#include "exchange/plan_state.h"
#include <string.h>

static int64_t padded(size_t bytes) { return ((int64_t)bytes + EHM_STATE_ALIGN - 1) / EHM_STATE_ALIGN * EHM_STATE_ALIGN; }

static ehm_view part_of(ehm_view v, size_t at_bytes, size_t bytes) {
    int64_t size = (int64_t)ehm_dtype_size(v.dtype);
    v.offset += (int64_t)at_bytes / size;
    v.rank = 1;
    v.dim[0] = (int64_t)bytes / size;
    return v;
}

void ehm_plan_state_list(const ehm_plan *p, ehm_json_w *w) {
    ehm_json_arr(w);
    for (int32_t i = 0; i < p->n_entries; i++) {
        const ehm_plan_entry *e = &p->entries[i];
        ehm_json_obj(w);
        ehm_json_key(w, "name"), ehm_json_str(w, e->name);
        ehm_json_key(w, "dtype"), ehm_json_str(w, ehm_dtype_name(e->view.dtype));
        ehm_json_key(w, "count"), ehm_json_i64(w, ehm_view_count(e->view));
        ehm_json_end(w);
    }
    ehm_json_end(w);
}

ehm_code ehm_plan_state_compare(const ehm_plan *p, const ehm_json *list, const char *run, ehm_err *err) {
    const ehm_json *e = list ? list->first : NULL;
    for (int32_t i = 0; i < p->n_entries; i++, e = e->next) {
        const ehm_plan_entry *own = &p->entries[i];
        if (!e) return EHM_FAIL(err, EHM_E_MISMATCH, "%s: the checkpoint has no \"%s\"", run, own->name);
        const char *name = ehm_json_str_or(e, "name", ""), *type = ehm_json_str_or(e, "dtype", "");
        int64_t n = ehm_json_i64_or(e, "count", -1);
        if (strcmp(name, own->name)) return EHM_FAIL(err, EHM_E_MISMATCH, "%s: the checkpoint has \"%s\" where the run needs \"%s\"", run, name, own->name);
        if (n != ehm_view_count(own->view) || strcmp(type, ehm_dtype_name(own->view.dtype)))
            return EHM_FAIL(err, EHM_E_MISMATCH, "%s: \"%s\" has %lld numbers of type %s in the checkpoint, the run needs %lld of %s", run, name, (long long)n, type,
                            (long long)ehm_view_count(own->view), ehm_dtype_name(own->view.dtype));
    }
    if (e) return EHM_FAIL(err, EHM_E_MISMATCH, "%s: the checkpoint has \"%s\", which the run does not need", run, ehm_json_str_or(e, "name", ""));
    return EHM_OK;
}

void ehm_plan_state_save(ehm_run *r, const ehm_plan *p, ehm_dev *d, void *chunk) {
    static const char zeros[EHM_STATE_ALIGN];
    ehm_ckpt_part_begin(r, "state.bin");
    for (int32_t i = 0; i < p->n_entries; i++) {
        ehm_view v = p->entries[i].view;
        size_t bytes = ehm_view_bytes(v);
        for (size_t at = 0; at < bytes; at += EHM_STATE_CHUNK) {
            size_t k = bytes - at < EHM_STATE_CHUNK ? bytes - at : EHM_STATE_CHUNK;
            ehm_download(d, chunk, part_of(v, at, k), k);
            ehm_ckpt_part_add(r, chunk, k);
        }
        ehm_ckpt_part_add(r, zeros, (size_t)padded(bytes) - bytes);
    }
}

typedef struct { const ehm_plan *p; ehm_dev *d; const char *run; int32_t i; size_t at; } loading; /* entry and byte in it where the next chunk goes */

static ehm_code load_chunk(void *ctx, const void *data, size_t n, ehm_err *err) {
    loading *l = ctx;
    const char *from = data;
    while (n) {
        if (l->i >= l->p->n_entries) return EHM_FAIL(err, EHM_E_FORMAT, "%s: state.bin is longer than the state", l->run);
        ehm_view v = l->p->entries[l->i].view;
        size_t bytes = ehm_view_bytes(v), all = (size_t)padded(bytes), k = all - l->at < n ? all - l->at : n;
        size_t real = l->at >= bytes ? 0 : bytes - l->at < k ? bytes - l->at : k;
        if (real) ehm_upload(l->d, part_of(v, l->at, real), from, real);
        from += k, n -= k, l->at += k;
        if (l->at == all) l->i++, l->at = 0;
    }
    return EHM_OK;
}

ehm_code ehm_plan_state_load(const char *run, int64_t step, const ehm_plan *p, ehm_dev *d, void *chunk, ehm_err *err) {
    loading l = {.p = p, .d = d, .run = run};
    EHM_TRY(ehm_ckpt_read_chunks(run, step, "state.bin", chunk, EHM_STATE_CHUNK, load_chunk, &l, err));
    return l.i == p->n_entries ? EHM_OK : EHM_FAIL(err, EHM_E_FORMAT, "%s: state.bin ends early", run);
}
