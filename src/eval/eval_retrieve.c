/* Retrieval of partial duplicates: is the original found again from a cropped, pasted, recoloured, ... copy of it? Frozen encoder, exact
 * search by inner product of unit descriptors. */
#include "base/log.h"
#include "eval/knn.h"
#include "eval/ranking.h"
#include "eval/retrieve_int.h"
#include "eval/task_int.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { M_MAP, M_OXFORD, M_AT1, M_AT10, M_MICRO, N_METRICS };
static const ehm_metric metrics[N_METRICS] = {
    {"mAP", "%", true}, {"mAP Oxford", "%", true}, {"recall at 1", "%", true}, {"recall at 10", "%", true}, {"micro AP", "%", true}};

enum { CANDIDATES = 10, SHOWN_RESULTS = 5, DESCRIPTORS_MAX = 3 };
typedef enum { D_CLS, D_MEAN, D_GEM, D_RAW, D_COLOUR } descriptor;
static const char *const descriptor_name[] = {"cls", "mean", "gem"};

/* A row of the table: a list of results, over all queries or those of one kind. */
typedef struct {
    const char *model, *what;
    const ehm_ranked *ranked;
    int32_t kind;  /* -1: all */
    bool own;      /* of --model, to be quoted */
} row;

typedef struct {
    const ehm_config *c;
    ehm_eval_out *out;
    ehm_arena *a;
    ehm_retrieval r;
    descriptor use[DESCRIPTORS_MAX];
    int32_t n_use, n_workers;
    row *rows;
    int32_t n_rows, cap_rows;
    const ehm_ranked *best;    /* of the first model, among its plain descriptors */
    descriptor best_use;
    bool best_white;
    const ehm_ranked *quoted;  /* re-ranked, where that was asked for; else best */
    bool said_kept;
} job;

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the table"); }

static ehm_code add_row(job *j, const char *model, const char *what, const ehm_ranked *k, int32_t kind, bool own, ehm_err *err) {
    if (j->n_rows == j->cap_rows) {
        int32_t cap = j->cap_rows ? 2 * j->cap_rows : 32;
        row *v = EHM_NEW_N(j->a, row, cap);
        if (!v) return no_memory(err);
        if (j->n_rows) memcpy(v, j->rows, sizeof *v * (size_t)j->n_rows);
        j->rows = v, j->cap_rows = cap;
    }
    j->rows[j->n_rows++] = (row){model, what, k, kind, own};
    return EHM_OK;
}

static ehm_code parse_descriptors(job *j, const char *text, ehm_err *err) {
    bool seen[DESCRIPTORS_MAX] = {false};
    for (const char *p = text;; p++) {
        size_t len = strcspn(p, ",");
        int32_t k = 0;
        while (k < DESCRIPTORS_MAX && (strlen(descriptor_name[k]) != len || strncmp(p, descriptor_name[k], len))) k++;
        if (k == DESCRIPTORS_MAX || seen[k]) return EHM_FAIL(err, EHM_E_CONFIG, "--descriptors %s: must be cls, mean and gem, each at most once", text);
        seen[k] = true;
        j->use[j->n_use++] = (descriptor)k;
        p += len;
        if (!*p) return EHM_OK;
    }
}

/* ---- what a list of results is worth ---- */

static bool is_positive(const ehm_retrieval *r, int64_t q, int64_t t) {
    for (int64_t p = r->start[q]; p < r->start[q + 1]; p++)
        if (r->positive[p] == t) return true;
    return false;
}

static ehm_code judge(ehm_ranked *k, const ehm_retrieval *r, ehm_arena *a, ehm_err *err) {
    int64_t n = r->n_q, most = n * CANDIDATES;
    k->ap = EHM_NEW_N(a, float, n), k->ap_oxford = EHM_NEW_N(a, float, n), k->at1 = EHM_NEW_N(a, float, n), k->at10 = EHM_NEW_N(a, float, n);
    k->n_positive = EHM_NEW_N(a, float, n);
    k->score = EHM_NEW_N(a, float, most), k->right = EHM_NEW_N(a, uint8_t, most), k->query = EHM_NEW_N(a, int32_t, most);
    if (!k->ap || !k->ap_oxford || !k->at1 || !k->at10 || !k->n_positive || !k->score || !k->right || !k->query) return no_memory(err);
    double sum = 0;
    for (int64_t q = 0; q < n; q++) {
        int64_t first = r->start[q], n_positive = r->start[q + 1] - first;
        const int64_t *rank = k->got.rank + first;
        k->n_positive[q] = (float)n_positive;
        k->ap[q] = n_positive ? (float)ehm_ap_plain(rank, n_positive, n_positive) : NAN;
        k->ap_oxford[q] = n_positive ? (float)ehm_ap_oxford(rank, n_positive, n_positive) : NAN;
        k->at1[q] = n_positive ? rank[0] < 1 : NAN;
        k->at10[q] = n_positive ? rank[0] < 10 : NAN;
        if (n_positive) sum += (double)k->ap[q];
        for (int32_t i = 0; i < CANDIDATES && i < k->got.n_top; i++) {
            int32_t t = k->got.top[q * k->got.n_top + i];
            if (t < 0) break;
            k->score[k->n_candidates] = k->got.top_score[q * k->got.n_top + i];
            k->right[k->n_candidates] = is_positive(r, q, t);
            k->query[k->n_candidates++] = (int32_t)q;
        }
    }
    k->map = sum / (double)(n - r->n_without);
    return EHM_OK;
}

static ehm_rank_ask ask_of(const job *j) {
    int32_t n = CANDIDATES > SHOWN_RESULTS ? CANDIDATES : SHOWN_RESULTS;
    if (j->c->rerank > n) n = (int32_t)j->c->rerank;
    return (ehm_rank_ask){j->r.n_q, j->r.self, j->r.positive, j->r.start, n};
}

static ehm_code search(ehm_ranked **out, job *j, ehm_dev *d, const char *what, const float *x, int32_t dim, ehm_err *err) {
    ehm_ranked *k = EHM_NEW(j->a, ehm_ranked);
    ehm_rank_ask ask = ask_of(j);
    if (!k) return no_memory(err);
    k->what = what;
    ehm_progress(false, "searching: %s", what);
    EHM_TRY(ehm_rank_search(&k->got, d, x, j->r.n_db, x + j->r.n_db * dim, dim, &ask, j->a, err));
    EHM_TRY(judge(k, &j->r, j->a, err));
    *out = k;
    return EHM_OK;
}

static float *rows_of(const ehm_descriptors *f, descriptor u) {
    return u == D_CLS ? f->cls : u == D_MEAN ? f->mean : u == D_GEM ? f->gem : u == D_RAW ? f->raw : f->colour;
}

/* Unit rows, whitened, unit rows again. */
static ehm_code whitened(float **out, int32_t *dim, job *j, ehm_dev *d, const ehm_descriptors *f, const ehm_descriptors *learn, descriptor u, ehm_err *err) {
    ehm_arena scratch = {0};
    ehm_whiten w;
    ehm_pool *pool = ehm_dev_pool(d);
    int64_t n_learn = learn == f ? j->r.n_db : learn->n; /* the queries' rows stand behind those of the searched pictures */
    ehm_code rc = ehm_whiten_learn(&w, rows_of(learn, u), n_learn, f->dim, 0, pool, &scratch, err);
    *out = rc ? NULL : malloc(sizeof **out * (size_t)(f->n * w.n_kept + 1));
    if (!rc && !*out) rc = no_memory(err);
    if (!rc) {
        *dim = w.n_kept;
        ehm_whiten_apply(*out, &w, rows_of(f, u), f->n, pool);
        ehm_knn_unit_rows(*out, f->n, w.n_kept, pool);
        if (w.n_kept < f->dim && !j->said_kept)
            ehm_eval_note(j->out, j->a, "whitening keeps %d of %d components: %s", w.n_kept, f->dim,
                          n_learn <= f->dim ? "it was learned from fewer pictures than there are features; more of them as --train help" : "the others do not vary");
        j->said_kept |= w.n_kept < f->dim;
    }
    ehm_arena_free(&scratch);
    return rc;
}

/* ---- pictures left out ---- */

/* Unreadable pictures, and distractors that the gallery holds as well: they would count as wrong. */
static ehm_code leave_out(job *j, ehm_descriptors *f, ehm_err *err) {
    ehm_retrieval *r = &j->r;
    int64_t n = r->n_db + r->n_q, n_bad = 0, n_bad_db = 0, n_q = r->n_q;
    int64_t *kept = EHM_NEW_N(j->a, int64_t, n);
    ehm_twins twins = {0};
    if (!kept) return no_memory(err);
    for (int64_t i = 0; i < n; i++) n_bad += f->bad[i], n_bad_db += i < r->n_db && f->bad[i];
    if (r->distractors) {
        uint8_t *twin = EHM_NEW_N(j->a, uint8_t, r->n_db);
        if (!twin) return no_memory(err);
        EHM_TRY(ehm_prints_match(&twins, f->prints, r->n_gallery, f->prints + r->n_gallery, r->n_db - r->n_gallery, j->a, err));
        for (int64_t i = 0; i < twins.n_kept; i++) twin[r->n_gallery + twins.pairs[i].b] = 1;
        for (int64_t i = r->n_gallery; i < r->n_db; i++) r->n_twins += twin[i] && !f->bad[i], f->bad[i] |= twin[i];
    }
    r->n_bad = n_bad_db;
    if (!n_bad && !r->n_twins) {
        r->n_without = 0;
        for (int64_t q = 0; q < r->n_q; q++) r->n_without += r->start[q] == r->start[q + 1];
    } else {
        EHM_TRY(ehm_retrieval_drop(r, f->bad, kept, j->a, err));
        ehm_descriptors_keep(f, kept, r->n_db + r->n_q);
    }
    if (n_bad)
        ehm_eval_note(j->out, j->a, "%lld searched pictures and %lld of %lld queries are left out, being unreadable or without a readable positive; the first: %s", (long long)n_bad_db,
                      (long long)(n_q - r->n_q), (long long)n_q, f->first_bad ? f->first_bad : "?");
    if (r->n_twins) ehm_eval_note(j->out, j->a, "%lld distractors are near-duplicates of gallery pictures and are left out", (long long)r->n_twins);
    if (r->n_without)
        ehm_eval_note(j->out, j->a, "%lld queries have no positive: they count in micro AP alone, where what they find is wrong", (long long)r->n_without);
    return EHM_OK;
}

/* Gallery pictures that look the same: a query's original then has a rival that is as good. */
static ehm_code note_twins(job *j, const ehm_descriptors *f, ehm_err *err) {
    ehm_twins twins;
    if (j->r.ask != EHM_ASK_COPIES || f->n < 2) return EHM_OK;
    EHM_TRY(ehm_prints_match(&twins, f->prints, j->r.n_gallery, NULL, 0, j->a, err));
    if (twins.n_b)
        ehm_eval_note(j->out, j->a, "%lld of %lld gallery pictures have a near-duplicate there, which counts as wrong when it is found instead", (long long)twins.n_b,
                      (long long)j->r.n_gallery);
    return EHM_OK;
}

/* ---- a model ---- */

static ehm_code kind_rows(job *j, const char *model, const ehm_ranked *k, bool own, ehm_err *err) {
    for (int32_t kind = 0; kind < j->r.n_kinds; kind++) {
        bool any = false;
        for (int64_t q = 0; q < j->r.n_q && !any; q++) any = j->r.kind[q] == kind;
        const char *what = any ? ehm_arena_printf(j->a, "  %s", j->r.kind_name[kind]) : NULL;
        if (any && !what) return no_memory(err);
        if (any) EHM_TRY(add_row(j, model, what, k, kind, own, err));
    }
    return EHM_OK;
}

static ehm_code plain_rows(job *j, ehm_model *m, const char *name, const ehm_descriptors *f, const ehm_descriptors *learn, bool own, ehm_err *err) {
    ehm_dev *d = ehm_model_device(m);
    for (int32_t i = 0; i < j->n_use; i++)
        for (int32_t white = 0; white <= (j->c->whiten ? 1 : 0); white++) {
            float *x = rows_of(f, j->use[i]);
            int32_t dim = f->dim;
            ehm_ranked *k = NULL;
            const char *what = white ? ehm_arena_printf(j->a, "%s whitened", descriptor_name[j->use[i]]) : descriptor_name[j->use[i]];
            if (!what) return no_memory(err);
            if (white) EHM_TRY(whitened(&x, &dim, j, d, f, learn, j->use[i], err));
            ehm_code rc = search(&k, j, d, what, x, dim, err);
            if (white) free(x);
            if (rc) return rc;
            EHM_TRY(add_row(j, name, what, k, -1, own, err));
            if (own && (!j->best || k->map > j->best->map)) j->best = k, j->best_use = j->use[i], j->best_white = white;
        }
    return EHM_OK;
}

/* The quoted descriptor's row of this model. */
static const ehm_ranked *partner_of(const job *j, const char *name, bool own) {
    for (int32_t i = 0; i < j->n_rows; i++)
        if (j->rows[i].own == own && !strcmp(j->rows[i].model, name) && !strcmp(j->rows[i].what, j->best->what)) return j->rows[i].ranked;
    return NULL;
}

static ehm_code rerank(const ehm_ranked **out, job *j, ehm_model *m, const char *name, const ehm_ranked *from, bool own, ehm_err *err) {
    ehm_ranked *k = EHM_NEW(j->a, ehm_ranked);
    ehm_rank_ask ask = ask_of(j);
    size_t n = (size_t)j->r.n_q * (size_t)from->got.n_top, n_positive = (size_t)j->r.start[j->r.n_q];
    if (!k) return no_memory(err);
    k->got.n_top = from->got.n_top;
    k->got.top = EHM_NEW_N(j->a, int32_t, n + 1), k->got.top_score = EHM_NEW_N(j->a, float, n + 1), k->got.rank = EHM_NEW_N(j->a, int64_t, n_positive + 1);
    k->what = ehm_arena_printf(j->a, "%s, re-ranked %d", from->what, (int)j->c->rerank);
    if (!k->got.top || !k->got.top_score || !k->got.rank || !k->what) return no_memory(err);
    memcpy(k->got.top, from->got.top, sizeof *k->got.top * n);
    memcpy(k->got.top_score, from->got.top_score, sizeof *k->got.top_score * n);
    memcpy(k->got.rank, from->got.rank, sizeof *k->got.rank * n_positive);
    EHM_TRY(ehm_rerank(&k->got, &ask, (int32_t)j->c->rerank, m, &j->r, j->n_workers, j->a, err));
    EHM_TRY(judge(k, &j->r, j->a, err));
    *out = k;
    return add_row(j, name, k->what, k, -1, own, err);
}

static ehm_code one_model(job *j, ehm_model *m, const char *name, bool own, ehm_err *err) {
    ehm_retrieval *r = &j->r;
    ehm_descriptors f = {0}, learned = {0};
    const ehm_ranked *quoted = NULL;
    ehm_code rc = ehm_descriptors_of(&f, m, r, r->shown, r->n_db + r->n_q, own ? r->n_db : 0, own, j->n_workers, own ? "pictures" : "the second model's pictures", j->a, err);
    if (rc) goto done;
    if (own && ((rc = note_twins(j, &f, err)) || (rc = leave_out(j, &f, err)))) goto done;
    for (int64_t i = 0; i < f.n; i++)
        if (f.bad[i]) {
            rc = EHM_FAIL(err, EHM_E_IO, "%s (it could be read for %s)", f.first_bad ? f.first_bad : "a picture cannot be read", j->c->model);
            goto done;
        }
    if (r->train && j->c->whiten) {
        int64_t n = ehm_dataset_count(r->train), n_kept = 0;
        ehm_shown *v = EHM_NEW_N(j->a, ehm_shown, n);
        int64_t *kept = EHM_NEW_N(j->a, int64_t, n);
        if (!v || !kept) {
            rc = no_memory(err);
            goto done;
        }
        for (int64_t i = 0; i < n; i++) v[i] = (ehm_shown){r->train, i, -1, 0};
        if ((rc = ehm_descriptors_of(&learned, m, r, v, n, 0, false, j->n_workers, "pictures to learn whitening from", j->a, err))) goto done;
        for (int64_t i = 0; i < n; i++)
            if (!learned.bad[i]) kept[n_kept++] = i;
        ehm_descriptors_keep(&learned, kept, n_kept);
        j->out->n_train = n_kept;
    }
    if ((rc = plain_rows(j, m, name, &f, learned.n ? &learned : &f, own, err))) goto done;
    if (own) {
        ehm_ranked *k;
        const char *side = ehm_arena_printf(j->a, "raw pixels %dx%dx%d", EHM_RAW_SIDE, EHM_RAW_SIDE, (int)ehm_model_shape(m)->channels);
        if (!side) rc = no_memory(err);
        if (!rc && !(rc = search(&k, j, ehm_model_device(m), side, f.raw, f.raw_dim, err))) rc = add_row(j, "(pixels)", side, k, -1, false, err);
        if (!rc && !(rc = search(&k, j, ehm_model_device(m), "colour histogram", f.colour, f.colour_dim, err)))
            rc = add_row(j, "(pixels)", "colour histogram", k, -1, false, err);
        if (rc) goto done;
    }
    quoted = partner_of(j, name, own);
    if (j->c->rerank) {
        ehm_descriptors_free(&f), ehm_descriptors_free(&learned); /* patches need the room */
        if ((rc = rerank(&quoted, j, m, name, quoted, own, err))) goto done;
    }
    if (own) j->quoted = quoted;
    rc = kind_rows(j, name, quoted, own, err);
done:
    ehm_descriptors_free(&f), ehm_descriptors_free(&learned);
    return rc;
}

/* ---- the table ---- */

static bool has_metric(const job *j, int32_t metric) { return metric != M_OXFORD || j->r.ask == EHM_ASK_GROUPS; }

/* Values of the row's queries; the others are NaN. */
static const float *masked(job *j, const row *w, const float *v) {
    if (w->kind < 0) return v;
    float *x = EHM_NEW_N(j->a, float, j->r.n_q);
    for (int64_t q = 0; x && q < j->r.n_q; q++) x[q] = j->r.kind[q] == w->kind ? v[q] : NAN;
    return x;
}

static ehm_code table(job *j, ehm_err *err) {
    int32_t n_lines = 0, most = j->n_rows * N_METRICS;
    ehm_group_line *lines = EHM_NEW_N(j->a, ehm_group_line, most);
    int32_t *minus = EHM_NEW_N(j->a, int32_t, most), *line_of = EHM_NEW_N(j->a, int32_t, most);
    double *value = EHM_NEW_N(j->a, double, 2 * most), *lo = EHM_NEW_N(j->a, double, 2 * most), *hi = EHM_NEW_N(j->a, double, 2 * most);
    if (!lines || !minus || !line_of || !value || !lo || !hi) return no_memory(err);
    for (int32_t i = 0; i < j->n_rows; i++)
        for (int32_t k = 0; k < N_METRICS; k++) {
            const row *w = &j->rows[i];
            const ehm_ranked *g = w->ranked;
            if (!has_metric(j, k)) continue;
            ehm_group_line *l = &lines[n_lines];
            if (k == M_MICRO) {
                *l = (ehm_group_line){.score = g->score, .right = g->right, .query = g->query, .n = g->n_candidates, .n_positive = masked(j, w, g->n_positive)};
                if (!l->n_positive) return no_memory(err);
            } else {
                *l = (ehm_group_line){.value = masked(j, w, k == M_MAP ? g->ap : k == M_OXFORD ? g->ap_oxford : k == M_AT1 ? g->at1 : g->at10)};
                if (!l->value) return no_memory(err);
            }
            if (!(l->draws = EHM_NEW_N(j->a, double, EHM_BOOT_DRAWS))) return no_memory(err);
            line_of[i * N_METRICS + k] = n_lines;
            minus[n_lines++] = -1;
        }
    /* A row of the model against the same row of the second one. */
    for (int32_t i = 0; i < j->n_rows; i++)
        for (int32_t o = 0; o < j->n_rows && j->rows[i].own; o++) {
            const row *w = &j->rows[i], *v = &j->rows[o];
            if (v->own || w->kind != v->kind || strcmp(w->what, v->what)) continue;
            for (int32_t k = 0; k < N_METRICS; k++)
                if (has_metric(j, k)) minus[line_of[i * N_METRICS + k]] = line_of[o * N_METRICS + k];
        }
    ehm_progress(false, "intervals: %d lines", n_lines);
    EHM_TRY(ehm_group_bootstrap(value, lo, hi, lines, n_lines, minus, j->r.group, j->r.n_q, j->r.n_groups, 0, err));
    for (int32_t i = 0; i < j->n_rows; i++)
        for (int32_t k = 0; k < N_METRICS; k++) {
            if (!has_metric(j, k)) continue;
            int32_t at = line_of[i * N_METRICS + k], d = n_lines + at;
            const row *w = &j->rows[i];
            if (isnan(value[at])) continue; /* a kind whose queries have no positive */
            ehm_eval_row *r = ehm_eval_add_row(j->out, j->a);
            if (!r) return no_memory(err);
            *r = (ehm_eval_row){.model = w->model, .what = w->what, .i_metric = k, .value = value[at], .lo = lo[at], .hi = hi[at], .draws = lines[at].draws};
            if (minus[at] >= 0) r->has_diff = true, r->diff = value[d], r->diff_lo = lo[d], r->diff_hi = hi[d];
            if (w->own && w->kind < 0 && w->ranked == j->quoted && k == M_MAP) j->out->i_best = j->out->n_rows - 1;
        }
    return EHM_OK;
}

static ehm_code write_predictions(const job *j, const char *path, ehm_err *err) {
    const ehm_retrieval *r = &j->r;
    const ehm_ranked *k = j->quoted;
    ehm_str s = {0};
    ehm_str_addf(&s, "query\tkind\tpositives\tplace of the first\tap\tfirst result\tscore\tright\n");
    for (int64_t q = 0; q < r->n_q; q++) {
        const ehm_shown *v = &r->shown[r->n_db + q];
        int64_t first = r->start[q], n = r->start[q + 1] - first;
        int32_t t = k->got.top[q * k->got.n_top];
        ehm_eval_add_cell(&s, ehm_dataset_name(v->ds, v->id));
        ehm_eval_add_cell(&s, ehm_retrieval_kind(r, q));
        ehm_str_addf(&s, "%lld\t", (long long)n);
        if (n) ehm_str_addf(&s, "%lld\t%.6f\t", (long long)k->got.rank[first] + 1, (double)k->ap[q]);
        else ehm_str_add(&s, "\t\t");
        if (t < 0) ehm_str_add(&s, "\t\t0\n");
        else {
            ehm_eval_add_cell(&s, ehm_dataset_name(r->shown[t].ds, r->shown[t].id));
            ehm_str_addf(&s, "%.6f\t%d\n", (double)k->got.top_score[q * k->got.n_top], is_positive(r, q, t));
        }
    }
    return ehm_eval_write(&s, path, err);
}

static const char *protocol_of(const job *j) {
    const ehm_retrieval *r = &j->r;
    const char *asked = r->ask == EHM_ASK_COPIES  ? "queries are copies made of gallery pictures, whose original alone is right"
                        : r->ask == EHM_ASK_TRUTH ? "queries and what is right by groundtruth.tsv"
                                                  : "each picture of a group asks for the others of it, itself left out";
    return ehm_arena_printf(j->a,
                            "protocol: frozen encoder, evaluation transform, inner product of unit descriptors, exact search, equal scores ranked against the model; %s; "
                            "%s%s%srecall at k: a right one is among the first k; micro AP: over the first %d of all queries together; intervals: bootstrap over "
                            "%s, 2,000 draws (training seeds are not covered); by kind: the row marked <",
                            asked, j->c->whiten ? "whitened: PCA of the " : "", !j->c->whiten ? "" : r->train ? "--train" : "searched", j->c->whiten ? " pictures; " : "", CANDIDATES, r->ask == EHM_ASK_GROUPS ? "query pictures" : "original pictures");
}

static ehm_code run_retrieve(ehm_eval_out *out, const ehm_eval_in *in, ehm_arena *a, ehm_err *err) {
    const ehm_config *c = in->config;
    job j = {.c = c, .out = out, .a = a, .n_workers = EHM_IS_AUTO(c->workers) ? ehm_cpu_count() : (int32_t)c->workers};
    ehm_model_opt opt = {.device = c->device,
                         .threads = EHM_IS_AUTO(c->threads) ? 0 : (int32_t)c->threads,
                         .dtype = c->dtype,
                         .batch = EHM_IS_AUTO(c->eval_batch_size) ? 0 : (int32_t)c->eval_batch_size};
    ehm_model *m = NULL;
    ehm_code rc;
    out->task = "retrieve", out->metrics = metrics, out->n_metrics = N_METRICS, out->i_best = -1;
    out->wide = true, out->what_title = "descriptor";
    EHM_TRY(parse_descriptors(&j, c->descriptors, err));
    if (!c->model) return EHM_FAIL(err, EHM_E_CONFIG, "--model is missing: a run folder, a safetensors file or untrained:PRESET");
    if ((rc = ehm_model_open(&m, c->model, &opt, err))) goto done;
    if ((rc = ehm_model_takes_channels(m, c->channels, err))) goto done;
    if ((rc = ehm_retrieval_open(&j.r, c, ehm_model_shape(m)->channels, out, a, err))) goto done;
    if ((rc = one_model(&j, m, c->model, true, err))) goto done;
    if (c->against) {
        int32_t channels = ehm_model_shape(m)->channels;
        ehm_model_close(m);
        m = NULL;
        if ((rc = ehm_model_open(&m, c->against, &opt, err))) goto done;
        if (ehm_model_shape(m)->channels != channels) {
            rc = EHM_FAIL(err, EHM_E_MISMATCH, "%s takes %d channels and %s takes %d: they cannot look at the same pictures", c->model, channels, c->against,
                          (int)ehm_model_shape(m)->channels);
            goto done;
        }
        if ((rc = one_model(&j, m, c->against, false, err))) goto done;
    }
    out->n_items = j.r.n_q;
    out->protocol = protocol_of(&j);
    if (!out->protocol) {
        rc = no_memory(err);
        goto done;
    }
    if ((rc = table(&j, err))) goto done;
    ehm_eval_note(out, a, "%lld queries of %lld %s, %lld pictures searched%s", (long long)j.r.n_q, (long long)j.r.n_groups,
                  j.r.ask == EHM_ASK_GROUPS ? "pictures" : "originals", (long long)j.r.n_db, j.r.distractors ? ", distractors among them" : "");
    if (c->whiten && !j.r.train) ehm_eval_note(out, a, "whitening was learned on the searched pictures themselves (their places, not their answers); --train D learns it elsewhere");
    if (j.r.hosts) ehm_eval_note(out, a, "copies are pasted into pictures of %s", j.r.hosts_are);
    if (c->rerank)
        ehm_eval_note(out, a, "re-ranked: the first %d by patches that match both ways and agree on one turn, scale and shift (within one patch)", (int)c->rerank);
    ehm_progress(true, "retrieval measured");
    if (c->predictions && (rc = write_predictions(&j, c->predictions, err))) goto done;
    if (c->sheet) rc = ehm_retrieve_sheet(c->sheet, j.quoted, &j.r, c->model, a, err);
done:
    ehm_retrieval_close(&j.r);
    ehm_model_close(m);
    return rc;
}

const ehm_eval_task ehm_eval_task_retrieve = {
    .name = "retrieve",
    .summary = "finds originals from changed copies of them, or pictures of the same place; descriptors side by side",
    .source = "after Copydays, the image similarity challenge (Douze et al. 2021) and Oxford buildings (Philbin et al. 2007)",
    .metrics = metrics,
    .n_metrics = N_METRICS,
    .groups = "retrieve",
    .run = run_retrieve,
};
