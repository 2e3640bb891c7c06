#include "net/params.h"
#include "base/hash.h"
#include <math.h>
#include <string.h>

/* Parts start at 64-byte places in their group (16 f32), so that a kernel over one part is aligned as one
 * over the group is. */
enum { PART_ALIGN = 16, CHUNK = 4096 };

static bool grow(ehm_params *ps) {
    int32_t cap = ps->cap ? ps->cap * 2 : 64;
    ehm_param *item = EHM_NEW_N(&ps->arena, ehm_param, cap);
    if (!item) return false;
    if (ps->n) memcpy(item, ps->item, (size_t)ps->n * sizeof *item);
    ps->item = item, ps->cap = cap;
    return true;
}

int32_t ehm_params_add(ehm_params *ps, const char *name, int32_t group, int32_t rank, const int64_t *dim,
                       ehm_init_kind init, double bound, int64_t fan_in, int64_t fan_out,
                       const float *table) {
    if (ps->n == ps->cap && !grow(ps)) return ps->failed = true, -1;
    ehm_param *p = &ps->item[ps->n];
    *p = (ehm_param){.name = ehm_arena_strdup(&ps->arena, name),
                     .rank = rank,
                     .group = group,
                     .init = init,
                     .bound = bound,
                     .fan_in = fan_in,
                     .fan_out = fan_out,
                     .table = table,
                     .count = 1};
    if (!p->name || (init == EHM_INIT_TABLE && !table)) return ps->failed = true, -1;
    for (int32_t i = 0; i < rank; i++) {
        p->dim[i] = dim[i];
        p->count *= dim[i];
    }
    /* Tokens are decayed as MAE does (they are 3-d), but only what products read needs a copy in act type. */
    p->matrix = group == EHM_DECAY && rank >= 2 && dim[0] > 1;
    p->offset = ps->group_count[group];
    ps->group_count[group] += (p->count + PART_ALIGN - 1) / PART_ALIGN * PART_ALIGN;
    return ps->n++;
}

int32_t ehm_params_find(const ehm_params *ps, const char *name) {
    for (int32_t i = 0; i < ps->n; i++)
        if (!strcmp(ps->item[i].name, name)) return i;
    return -1;
}

void ehm_params_free(ehm_params *ps) {
    ehm_arena_free(&ps->arena);
    memset(ps, 0, sizeof *ps);
}

void ehm_weights_plan(ehm_weights *w, const ehm_params *ps, ehm_plan *plan, ehm_mem_kind kind,
                      const char *prefix, ehm_dtype act_type) {
    static const char *const group_name[EHM_PARAM_GROUPS] = {"weights.decay", "weights.no_decay",
                                                             "weights.frozen"};
    ehm_dtype real = ehm_dev_real(plan->dev);
    char name[96];
    memset(w, 0, sizeof *w);
    w->params = ps;
    for (int32_t g = 0; g < EHM_PARAM_GROUPS; g++) {
        if (!ps->group_count[g]) continue;
        size_t n = strlen(prefix) < 64 ? strlen(prefix) : 64;
        memcpy(name, prefix, n);
        memcpy(name + n, group_name[g], strlen(group_name[g]) + 1);
        w->flat[g] = ehm_plan_1d(plan, kind, name, real, ps->group_count[g]);
    }
    /* A copy is made from the numbers at any time, so it is no state; it must outlive the step, so it is no
     * scratch. */
    if (act_type != real && ps->group_count[EHM_DECAY])
        w->act[EHM_DECAY] = ehm_plan_1d(plan, EHM_MEM_CACHE, NULL, act_type, ps->group_count[EHM_DECAY]);
}

static ehm_view part(ehm_view flat, int64_t offset, ehm_dtype t, int32_t rank, const int64_t *dim) {
    return ehm_view_of(flat.buf, flat.offset + offset, t, rank, dim);
}

ehm_view ehm_weight(const ehm_weights *w, int32_t i) {
    const ehm_param *p = &w->params->item[i];
    return part(w->flat[p->group], p->offset, w->flat[p->group].dtype, p->rank, p->dim);
}

ehm_view ehm_weight_act(const ehm_weights *w, int32_t i) {
    const ehm_param *p = &w->params->item[i];
    ehm_view flat = w->act[p->group].rank ? w->act[p->group] : w->flat[p->group];
    return part(flat, p->offset, flat.dtype, 2, (int64_t[]){p->dim[0], p->count / p->dim[0]});
}

static void put(const ehm_weights *w, ehm_dev *d, const ehm_param *p, int64_t first, int64_t n,
                const float *v) {
    ehm_view flat = w->flat[p->group];
    ehm_view dst = part(flat, p->offset + first, flat.dtype, 1, &n);
    if (flat.dtype == EHM_F64) {
        double wide[CHUNK];
        for (int64_t i = 0; i < n; i++) wide[i] = v[i];
        ehm_upload(d, dst, wide, (size_t)n * sizeof *wide);
    } else {
        ehm_upload(d, dst, v, (size_t)n * sizeof *v);
    }
}

/* The stream of a parameter: its name decides, so that adding a layer elsewhere changes no other's start. */
static ehm_rng stream_of(uint64_t seed, const char *name) {
    ehm_sha256 s;
    uint8_t digest[32];
    uint64_t id = 0;
    ehm_sha256_init(&s);
    ehm_sha256_add(&s, name, strlen(name));
    ehm_sha256_end(&s, digest);
    for (int i = 7; i >= 0; i--) id = id << 8 | digest[i];
    return ehm_rng_of(seed, EHM_RNG_init, 0, id);
}

/* Values at .. at + n of p's start; rng is at the first of them. */
static void draw(const ehm_param *p, ehm_rng *rng, int64_t at, int64_t n, float *v) {
    double bound = p->init == EHM_INIT_XAVIER ? sqrt(6.0 / (double)(p->fan_in + p->fan_out)) : p->bound;
    for (int64_t k = 0; k < n; k++) switch (p->init) {
        case EHM_INIT_ZERO: v[k] = 0; break;
        case EHM_INIT_ONE: v[k] = 1; break;
        case EHM_INIT_XAVIER:
        case EHM_INIT_UNIFORM: v[k] = (float)((2.0 * ehm_rng_f32(rng) - 1.0) * bound); break;
        case EHM_INIT_NORMAL02: v[k] = (float)(0.02 * ehm_rng_normal(rng)); break;
        case EHM_INIT_NORMAL: v[k] = (float)(bound * ehm_rng_normal(rng)); break;
        case EHM_INIT_CONST: v[k] = (float)bound; break;
        case EHM_INIT_TABLE: v[k] = p->table[at + k]; break;
        }
}

void ehm_param_start(const ehm_param *p, uint64_t seed, float *out) {
    ehm_rng rng = stream_of(seed, p->name);
    draw(p, &rng, 0, p->count, out);
}

void ehm_weights_init(const ehm_weights *w, ehm_dev *d, uint64_t seed) {
    const ehm_params *ps = w->params;
    float v[CHUNK];
    for (int32_t i = 0; i < ps->n; i++) {
        const ehm_param *p = &ps->item[i];
        ehm_rng rng = stream_of(seed, p->name);
        for (int64_t at = 0; at < p->count; at += CHUNK) {
            int64_t n = p->count - at < CHUNK ? p->count - at : CHUNK;
            draw(p, &rng, at, n, v);
            put(w, d, p, at, n, v);
        }
    }
    ehm_weights_refresh(w, d);
}

void ehm_weights_refresh(const ehm_weights *w, ehm_dev *d) {
    if (w->act[EHM_DECAY].rank)
        ehm_cast(d, &(ehm_cast_args){.out = w->act[EHM_DECAY], .x = w->flat[EHM_DECAY]});
    ehm_dev_weights_changed(d);
}

void ehm_sincos_table(float *out, int32_t dim, int32_t grid_h, int32_t grid_w) {
    int32_t q = dim / 4;
    memset(out, 0, (size_t)dim * sizeof *out);
    for (int32_t k = 0; k < q; k++) {
        double omega = 1.0 / pow(10000.0, (double)k / q);
        for (int32_t r = 0; r < grid_h; r++)
            for (int32_t c = 0; c < grid_w; c++) {
                float *row = out + ((int64_t)1 + (int64_t)r * grid_w + c) * dim;
                /* Column first, though the published source's variable names say the reverse: swapping breaks
                 * released weights. */
                row[k] = (float)sin(c * omega), row[q + k] = (float)cos(c * omega);
                row[2 * q + k] = (float)sin(r * omega), row[3 * q + k] = (float)cos(r * omega);
            }
    }
}

float *ehm_sincos_new(ehm_arena *a, int32_t dim, int32_t grid_h, int32_t grid_w) {
    float *t = EHM_NEW_N(a, float, ((size_t)grid_h * (size_t)grid_w + 1) * (size_t)dim);
    if (t) ehm_sincos_table(t, dim, grid_h, grid_w);
    return t;
}
