#include "compute/plan.h"
#include <stdio.h>
#include "base/hash.h"
#include "base/pool.h"
#include "base/str.h"

enum { ALIGN = 64 };

const char *ehm_mem_kind_name(ehm_mem_kind k) {
    static const char *const names[EHM_MEM_KINDS] = {"parameters", "state", "gradients", "activations", "scratch", "input"};
    return (unsigned)k < EHM_MEM_KINDS ? names[k] : "?";
}

void ehm_plan_begin(ehm_plan *p, ehm_dev *d) {
    memset(p, 0, sizeof *p);
    p->dev = d;
    p->pass = 1;
}

static void fail(ehm_plan *p, ehm_code code, const char *what) {
    EHM_FAIL(&p->err, code, "%s", what);
    p->failed = true;
}

static void hand_over(const ehm_plan *p, ehm_err *err) {
    if (err && !err->code) *err = p->err;
}

/* ---- places ---- */

static bool entry_add(ehm_plan *p, const char *name, ehm_view v, ehm_mem_kind kind) {
    if (p->n_entries == p->cap_entries) {
        /* The arena keeps the old list until the plan is freed; doubling bounds that by one more list. */
        int32_t cap = p->cap_entries ? 2 * p->cap_entries : 64;
        ehm_plan_entry *more = EHM_NEW_N(&p->arena, ehm_plan_entry, cap);
        if (!more) return false;
        if (p->n_entries) memcpy(more, p->entries, (size_t)p->n_entries * sizeof *more);
        p->entries = more;
        p->cap_entries = cap;
    }
    char *copy = ehm_arena_strdup(&p->arena, name);
    if (!copy) return false;
    p->entries[p->n_entries++] = (ehm_plan_entry){copy, v, kind};
    return true;
}

static bool shape_same(ehm_view a, ehm_view b) {
    if (a.rank != b.rank || a.dtype != b.dtype) return false;
    for (int32_t i = 0; i < a.rank; i++)
        if (a.dim[i] != b.dim[i]) return false;
    return true;
}

/* The second pass must name the same entries in the same order; here is where a difference can still be named. */
static void entry_meet(ehm_plan *p, const char *name, ehm_view v, ehm_mem_kind kind) {
    char text[EHM_ERR_WHAT];
    if (p->i_entry >= p->n_entries) {
        snprintf(text, sizeof text, "plan: the second pass asks for \"%.200s\", which the first did not", name);
        fail(p, EHM_E_MISMATCH, text);
        return;
    }
    ehm_plan_entry *e = &p->entries[p->i_entry++];
    if (strcmp(e->name, name) || e->kind != kind || !shape_same(e->view, v)) {
        snprintf(text, sizeof text, "plan: the second pass asks for \"%.200s\" (%s, %lld values) where the first had "
                 "\"%.200s\" (%s, %lld values)", name, ehm_mem_kind_name(kind), (long long)ehm_view_count(v), e->name, ehm_mem_kind_name(e->kind),
                 (long long)ehm_view_count(e->view));
        fail(p, EHM_E_MISMATCH, text);
        return;
    }
    e->view = v;
}

/* Bytes of the view rounded up to whole places; false when a dim is wrong or the product does not fit. */
static bool place_bytes(size_t *out, ehm_dtype t, int32_t rank, const int64_t *dim) {
    size_t n = 1;
    if (rank < 1 || rank > 4 || (unsigned)t >= EHM_DTYPE_N) return false;
    for (int32_t i = 0; i < rank; i++)
        if (dim[i] < 1 || !ehm_mul_size(&n, n, (size_t)dim[i])) return false;
    if (!ehm_mul_size(&n, n, ehm_dtype_size(t)) || !ehm_add_size(&n, n, ALIGN - 1) || n > PTRDIFF_MAX) return false;
    *out = n / ALIGN * ALIGN;
    return true;
}

static void note_call(ehm_plan *p, ehm_mem_kind kind, ehm_view v) {
    uint64_t key[8] = {(uint64_t)kind, (uint64_t)v.dtype, (uint64_t)v.rank};
    for (int32_t i = 0; i < v.rank; i++) key[3 + i] = (uint64_t)v.dim[i];
    key[7] = p->at[kind];
    p->calls[p->pass] = ehm_hash64(key, sizeof key, p->calls[p->pass]);
}

ehm_view ehm_plan_view(ehm_plan *p, ehm_mem_kind kind, const char *name, ehm_dtype t, int32_t rank, const int64_t *dim) {
    char text[EHM_ERR_WHAT];
    size_t bytes, end;
    ehm_view v = ehm_view_of(NULL, 0, t, rank, dim);
    const char *shown = name ? name : "a nameless place";
    EHM_ASSERT((unsigned)kind < EHM_MEM_KINDS);
    if (p->failed) return v;
    if (!place_bytes(&bytes, t, rank, dim) || !ehm_add_size(&end, p->at[kind], bytes) || end > PTRDIFF_MAX) {
        snprintf(text, sizeof text, "plan: %.200s (%s) has no size that fits: rank %d, dims %lld %lld %lld %lld", shown,
                 ehm_mem_kind_name(kind), (int)rank, (long long)v.dim[0], (long long)v.dim[1], (long long)v.dim[2],
                 (long long)v.dim[3]);
        fail(p, EHM_E_MEMORY, text);
        return v;
    }
    if (!name && (kind == EHM_MEM_PARAM || kind == EHM_MEM_STATE)) {
        fail(p, EHM_E_ARG, "plan: parameters and state need a name");
        return v;
    }
    note_call(p, kind, v);
    if (p->pass == 2) {
        if (end > p->total[kind]) {
            snprintf(text, sizeof text, "plan: the second pass asks for more %s than the first, at %.200s",
                     ehm_mem_kind_name(kind), shown);
            fail(p, EHM_E_MISMATCH, text);
            return v;
        }
        v.buf = p->buf[kind];
        v.offset = (int64_t)(p->at[kind] / ehm_dtype_size(t));
    }
    p->at[kind] = end;
    if (end > p->peak[kind]) p->peak[kind] = end;
    if (kind != EHM_MEM_PARAM && kind != EHM_MEM_STATE) return v;
    if (p->pass == 2) entry_meet(p, name, v, kind);
    else if (!entry_add(p, name, v, kind)) fail(p, EHM_E_MEMORY, "plan: no memory for the list of parameters");
    return v;
}

ehm_view ehm_plan_1d(ehm_plan *p, ehm_mem_kind kind, const char *name, ehm_dtype t, int64_t n) {
    return ehm_plan_view(p, kind, name, t, 1, (int64_t[]){n});
}

ehm_view ehm_plan_2d(ehm_plan *p, ehm_mem_kind kind, const char *name, ehm_dtype t, int64_t a, int64_t b) {
    return ehm_plan_view(p, kind, name, t, 2, (int64_t[]){a, b});
}

ehm_view ehm_plan_3d(ehm_plan *p, ehm_mem_kind kind, const char *name, ehm_dtype t, int64_t a, int64_t b, int64_t c) {
    return ehm_plan_view(p, kind, name, t, 3, (int64_t[]){a, b, c});
}

size_t ehm_plan_mark(const ehm_plan *p) { return p->at[EHM_MEM_SCRATCH]; }

void ehm_plan_release(ehm_plan *p, size_t mark) {
    if (p->failed) return; /* marks of a failed plan mean nothing */
    EHM_ASSERT(mark <= p->at[EHM_MEM_SCRATCH]);
    p->at[EHM_MEM_SCRATCH] = mark;
}

/* ---- passes ---- */

size_t ehm_plan_bytes(const ehm_plan *p, ehm_mem_kind k) { return p->pass == 1 ? p->peak[k] : p->total[k]; }

/* SIZE_MAX when the sum does not fit. */
size_t ehm_plan_bytes_all(const ehm_plan *p) {
    size_t n = 0;
    for (int32_t k = 0; k < EHM_MEM_KINDS; k++)
        if (!ehm_add_size(&n, n, ehm_plan_bytes(p, (ehm_mem_kind)k))) return SIZE_MAX;
    return n;
}

static ehm_code too_large(const ehm_plan *p, int64_t available, bool own, ehm_err *err) {
    char all[32], free_now[32], limit[32], one[32];
    ehm_str kinds = {0};
    for (int32_t k = 0; k < EHM_MEM_KINDS; k++)
        ehm_str_addf(&kinds, "%s%s %s", k ? ", " : "", ehm_mem_kind_name((ehm_mem_kind)k),
                     ehm_format_bytes((double)ehm_plan_bytes(p, (ehm_mem_kind)k), one));
    ehm_format_bytes((double)ehm_plan_bytes_all(p), all);
    ehm_format_bytes((double)available, free_now);
    if (own)
        EHM_FAIL(err, EHM_E_MEMORY, "the plan needs %s of the device's memory (%s); %s are free", all, ehm_str_c(&kinds), free_now);
    else
        EHM_FAIL(err, EHM_E_MEMORY, "the plan needs %s (%s); %s are free of the %s that this process may use", all, ehm_str_c(&kinds), free_now,
                 ehm_format_bytes((double)ehm_memory_limit(), limit));
    ehm_str_free(&kinds);
    /* What grows with the batch can be lowered by it; what does not needs a smaller model. */
    double batch = (double)p->peak[EHM_MEM_CACHE] + (double)p->peak[EHM_MEM_SCRATCH] + (double)p->peak[EHM_MEM_INPUT];
    double fixed = (double)ehm_plan_bytes_all(p) - batch;
    if (fixed < 0.9 * (double)available) EHM_HINT(err, "a smaller --batch-size (activations, scratch and input shrink with it)");
    else EHM_HINT(err, "a smaller --preset: parameters, state and gradients alone do not fit, whatever the batch size");
    return EHM_E_MEMORY;
}

ehm_code ehm_plan_commit(ehm_plan *p, ehm_err *err) {
    EHM_ASSERT(p->pass == 1);
    if (p->failed) {
        hand_over(p, err);
        return p->err.code;
    }
    bool own;
    int64_t available = ehm_dev_available(p->dev, &own);
    size_t all = ehm_plan_bytes_all(p);
    if (available >= 0 && all > (size_t)available) {
        p->failed = true;
        too_large(p, available, own, &p->err);
        hand_over(p, err);
        return EHM_E_MEMORY;
    }
    for (int32_t k = 0; k < EHM_MEM_KINDS; k++) {
        if (!p->peak[k]) continue;
        ehm_code rc = ehm_buf_new(&p->buf[k], p->dev, p->peak[k], &p->err);
        if (rc) {
            EHM_WHILE(&p->err, "allocating %s", ehm_mem_kind_name((ehm_mem_kind)k));
            EHM_HINT(&p->err, "a smaller --batch-size");
            for (int32_t i = 0; i < k; i++) {
                ehm_buf_free(p->buf[i]);
                p->buf[i] = NULL;
            }
            p->failed = true;
            hand_over(p, err);
            return rc;
        }
    }
    memcpy(p->total, p->peak, sizeof p->total);
    memset(p->at, 0, sizeof p->at);
    memset(p->peak, 0, sizeof p->peak);
    p->pass = 2;
    p->i_entry = 0;
    return EHM_OK;
}

ehm_code ehm_plan_end(ehm_plan *p, ehm_err *err) {
    char text[EHM_ERR_WHAT];
    if (!p->failed && p->pass != 2) fail(p, EHM_E_ARG, "plan: ended before it was committed");
    if (!p->failed && p->i_entry < p->n_entries) {
        snprintf(text, sizeof text, "plan: the second pass left out \"%.200s\"", p->entries[p->i_entry].name);
        fail(p, EHM_E_MISMATCH, text);
    }
    for (int32_t k = 0; k < EHM_MEM_KINDS && !p->failed; k++) {
        if (p->peak[k] == p->total[k]) continue;
        snprintf(text, sizeof text, "plan: the second pass asks for %zu bytes of %s, the first for %zu", p->peak[k],
                 ehm_mem_kind_name((ehm_mem_kind)k), p->total[k]);
        fail(p, EHM_E_MISMATCH, text);
    }
    if (!p->failed && p->calls[1] != p->calls[2])
        fail(p, EHM_E_MISMATCH, "plan: the second pass asks for other places than the first, though of the same total");
    hand_over(p, err);
    return p->err.code;
}

void ehm_plan_free(ehm_plan *p) {
    for (int32_t k = 0; k < EHM_MEM_KINDS; k++) {
        ehm_buf_free(p->buf[k]);
        p->buf[k] = NULL;
    }
    ehm_arena_free(&p->arena);
    p->entries = NULL;
    p->n_entries = p->cap_entries = 0;
}
