/* What is searched and what is asked for: copies made of a gallery, a ground truth of copies, or groups of pictures that show the same. */
#include "base/log.h"
#include "data/copies.h"
#include "data/truth.h"
#include "eval/retrieve_int.h"
#include <stdlib.h>
#include <string.h>

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the list of queries"); }

static ehm_code open_set(ehm_dataset **out, const ehm_strs *paths, const ehm_config *c, int32_t channels, ehm_err *err) {
    ehm_dataset_opt opt = {.channels = channels,
                           .alpha = c->alpha,
                           .max_pixels = c->max_pixels,
                           .cache_dir = c->cache,
                           .ignore_label = -1,
                           .limit = EHM_IS_AUTO(c->limit) ? 0 : c->limit};
    EHM_TRY(ehm_dataset_open(out, paths, &opt, err));
    if (ehm_dataset_count(*out)) return EHM_OK;
    return EHM_FAIL(err, EHM_E_MISMATCH, "%s holds no picture", ehm_dataset_spec(*out));
}

/* Room for the searched pictures, the queries and n_positive positives; distractors are put in their places. */
static ehm_code make_room(ehm_retrieval *r, int64_t n_gallery, int64_t n_q, int64_t n_positive, ehm_arena *a, ehm_err *err) {
    int64_t n_more = r->distractors ? ehm_dataset_count(r->distractors) : 0, n = n_gallery + n_more;
    if (n > INT32_MAX || n_q > INT32_MAX) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%lld pictures to search and %lld queries are too many", (long long)n, (long long)n_q);
    r->n_gallery = n_gallery, r->n_db = n, r->n_q = n_q;
    r->shown = EHM_NEW_N(a, ehm_shown, n + n_q + 1);
    r->self = EHM_NEW_N(a, int64_t, n_q + 1), r->start = EHM_NEW_N(a, int64_t, n_q + 1), r->positive = EHM_NEW_N(a, int64_t, n_positive + 1);
    r->group = EHM_NEW_N(a, int32_t, n_q + 1), r->kind = EHM_NEW_N(a, int32_t, n_q + 1);
    if (!r->shown || !r->self || !r->start || !r->positive || !r->group || !r->kind) return no_memory(err);
    for (int64_t q = 0; q < n_q; q++) r->self[q] = -1;
    for (int64_t i = 0; i < n_more; i++) r->shown[n_gallery + i] = (ehm_shown){r->distractors, i, -1, 0};
    return EHM_OK;
}

/* ---- copies ---- */

enum { KINDS_MAX = 64 };
typedef struct { int32_t kind, severity; } copy_kind;

static ehm_code parse_severities(bool wanted[EHM_COPY_SEVERITIES + 1], const char *text, ehm_err *err) {
    for (const char *p = text;; p++) {
        size_t len = strcspn(p, ",");
        int32_t s = len == 1 ? *p - '0' : 0;
        if (s < 1 || s > EHM_COPY_SEVERITIES || wanted[s])
            return EHM_FAIL(err, EHM_E_CONFIG, "--severity %s: must be numbers from 1 to %d, each once", text, EHM_COPY_SEVERITIES);
        wanted[s] = true;
        p += len;
        if (!*p) return EHM_OK;
    }
}

/* The kinds asked for, in the order asked for; those that cannot be made are said. */
static ehm_code parse_kinds(copy_kind *v, int32_t *n, const ehm_config *c, int32_t channels, ehm_eval_out *out, ehm_arena *a, ehm_err *err) {
    bool severity[EHM_COPY_SEVERITIES + 1] = {false}, seen[KINDS_MAX] = {false};
    const char *names[KINDS_MAX];
    char one[32];
    int32_t n_names = ehm_copy_n_kinds() < KINDS_MAX ? ehm_copy_n_kinds() : KINDS_MAX;
    EHM_TRY(parse_severities(severity, c->severity, err));
    for (int32_t k = 0; k < n_names; k++) names[k] = ehm_copy_name(k);
    *n = 0;
    for (const char *p = c->copies;; p++) {
        size_t len = strcspn(p, ",");
        memcpy(one, p, len < sizeof one ? len : sizeof one - 1);
        one[len < sizeof one ? len : sizeof one - 1] = 0;
        int32_t k = ehm_copy_find(one);
        if (k < 0) {
            ehm_str all = {0};
            const char *near = ehm_nearest(one, names, n_names);
            for (int32_t i = 0; i < n_names; i++) ehm_str_addf(&all, "%s%s", i ? ", " : "", names[i]);
            EHM_FAIL(err, EHM_E_CONFIG, "--copies %s: there is no kind '%s'; there are: %s", c->copies, one, ehm_str_c(&all));
            if (near) EHM_HINT(err, "did you mean '%s'?", near);
            ehm_str_free(&all);
            return EHM_E_CONFIG;
        }
        if (seen[k]) return EHM_FAIL(err, EHM_E_CONFIG, "--copies %s: %s stands there twice", c->copies, one);
        seen[k] = true;
        const char *why = ehm_copy_impossible(k, channels);
        if (why) ehm_eval_note(out, a, "copies of kind %s are left out: %s", one, why);
        bool any = false;
        for (int32_t s = 1; s <= ehm_copy_n_severities(k); s++)
            if (!why && severity[s]) v[(*n)++] = (copy_kind){k, s}, any = true;
        if (!why && !any) ehm_eval_note(out, a, "copies of kind %s have severity 1 alone and are left out", one);
        p += len;
        if (!*p) break;
    }
    return *n ? EHM_OK : EHM_FAIL(err, EHM_E_CONFIG, "--copies %s --severity %s: no copies are left to be made", c->copies, c->severity);
}

/* Where paste finds its hosts. Kinds that need one go when there is none. */
static ehm_code open_hosts(ehm_retrieval *r, copy_kind *v, int32_t *n, const ehm_config *c, int32_t channels, ehm_eval_out *out, ehm_arena *a, ehm_err *err) {
    static const char *const scenes[] = {"scenes:20240229:256:128"};
    bool needed = false;
    for (int32_t i = 0; i < *n; i++) needed |= ehm_copy_needs_host(v[i].kind);
    if (!needed) return EHM_OK;
    if (r->train) return r->hosts = r->train, r->hosts_are = ehm_dataset_spec(r->train), EHM_OK;
    ehm_err why = {0};
    const char *paths[1] = {scenes[0]};
    ehm_config all = *c;
    all.limit = EHM_AUTO_I64;
    if (!open_set(&r->hosts, &(ehm_strs){paths, 1}, &all, channels, &why)) return r->hosts_are = "built-in scenes", EHM_OK;
    if (why.code == EHM_E_MEMORY || why.code == EHM_E_STOPPED) return *err = why, why.code;
    int32_t m = 0;
    for (int32_t i = 0; i < *n; i++)
        if (!ehm_copy_needs_host(v[i].kind)) v[m++] = v[i];
    *n = m;
    ehm_eval_note(out, a, "paste and mixed are left out: there are no pictures of %d channels to paste into; --train gives some", channels);
    return m ? EHM_OK : EHM_FAIL(err, EHM_E_CONFIG, "--copies %s: none of them can be made of pictures of %d channels without --train", c->copies, channels);
}

static ehm_code ask_copies(ehm_retrieval *r, const ehm_config *c, int32_t channels, ehm_eval_out *out, ehm_arena *a, ehm_err *err) {
    copy_kind v[KINDS_MAX * EHM_COPY_SEVERITIES];
    int32_t n_kinds;
    int64_t n = ehm_dataset_count(r->gallery), n_originals = EHM_IS_AUTO(c->originals) ? 100 : c->originals, q = 0;
    EHM_TRY(parse_kinds(v, &n_kinds, c, channels, out, a, err));
    EHM_TRY(open_hosts(r, v, &n_kinds, c, channels, out, a, err));
    if (n_originals > n) n_originals = n;
    EHM_TRY(make_room(r, n, n_originals * n_kinds, n_originals * n_kinds, a, err));
    r->kind_name = EHM_NEW_N(a, const char *, n_kinds), r->n_kinds = n_kinds;
    if (!r->kind_name) return no_memory(err);
    for (int32_t k = 0; k < n_kinds; k++) {
        bool several = ehm_copy_n_severities(v[k].kind) > 1;
        r->kind_name[k] = several ? ehm_arena_printf(a, "%s %d", ehm_copy_name(v[k].kind), v[k].severity) : ehm_copy_name(v[k].kind);
        if (!r->kind_name[k]) return no_memory(err);
    }
    for (int64_t i = 0; i < n; i++) r->shown[i] = (ehm_shown){r->gallery, i, -1, 0};
    for (int64_t o = 0; o < n_originals; o++) {
        int64_t id = (int64_t)((double)o * (double)n / (double)n_originals);
        for (int32_t k = 0; k < n_kinds; k++, q++) {
            r->shown[r->n_db + q] = (ehm_shown){r->gallery, id, v[k].kind, v[k].severity};
            r->start[q] = q, r->positive[q] = id, r->group[q] = (int32_t)o, r->kind[q] = k;
        }
    }
    r->start[q] = q, r->n_groups = n_originals;
    return EHM_OK;
}

/* ---- names of a set ---- */

typedef struct { const char *name; int64_t id; } named;
static int by_name(const void *a, const void *b) { return strcmp(((const named *)a)->name, ((const named *)b)->name); }
typedef struct { named *v; int64_t n; const char *spec, *file; } names;

static ehm_code names_of(names *out, const ehm_dataset *ds, const char *file, ehm_arena *a, ehm_err *err) {
    *out = (names){.n = ehm_dataset_count(ds), .spec = ehm_dataset_spec(ds), .file = file};
    out->v = EHM_NEW_N(a, named, out->n);
    if (!out->v) return no_memory(err);
    for (int64_t i = 0; i < out->n; i++) out->v[i] = (named){ehm_dataset_name(ds, i), i};
    qsort(out->v, (size_t)out->n, sizeof *out->v, by_name);
    return EHM_OK;
}
static ehm_code find_name(int64_t *id, const names *s, const char *name, int64_t line, ehm_err *err) {
    named key = {name, 0}, *got = bsearch(&key, s->v, (size_t)s->n, sizeof *s->v, by_name);
    if (got) return *id = got->id, EHM_OK;
    EHM_HINT(err, "names are paths inside the set, such as %s", s->v[0].name);
    return EHM_FAIL(err, EHM_E_MISMATCH, "%s line %lld: %s is not among the %lld pictures of %s", s->file, (long long)line, name, (long long)s->n, s->spec);
}

static int32_t kind_number(ehm_retrieval *r, int32_t cap, const char *name, ehm_arena *a) {
    for (int32_t k = 0; k < r->n_kinds; k++)
        if (!strcmp(r->kind_name[k], name)) return k;
    if (r->n_kinds == cap || !(r->kind_name[r->n_kinds] = ehm_arena_strdup(a, name))) return -1;
    return r->n_kinds++;
}

/* ---- a ground truth: query, positive, kind ---- */

typedef struct { int64_t query, positive, line; int32_t kind; } pair;
static int by_pair(const void *a, const void *b) {
    const pair *x = a, *y = b;
    if (x->query != y->query) return x->query < y->query ? -1 : 1;
    if (x->positive != y->positive) return x->positive < y->positive ? -1 : 1;
    return (x->line > y->line) - (x->line < y->line);
}
static int64_t count_lines(const ehm_bytes *text) {
    int64_t n = 1;
    for (size_t i = 0; i < text->len; i++) n += text->data[i] == '\n';
    return n;
}
static size_t folder_len(const char *name) {
    const char *slash = strrchr(name, '/');
    return slash ? (size_t)(slash - name) : 0;
}

enum { TRUTH_KINDS_MAX = 1000 };

static ehm_code read_pairs(ehm_retrieval *r, pair *v, int64_t *n, const names *s, ehm_bytes text, ehm_arena *a, ehm_err *err) {
    ehm_table_lines l = {.at = (char *)text.data};
    char *f[8];
    int32_t n_f;
    while ((n_f = ehm_table_next(&l, f, 8))) {
        if (l.line == 1 && !strcmp(f[0], "query")) continue;
        if (n_f < 2) {
            EHM_HINT(err, "each line is: query, positive (or - for none), kind, with tabs between");
            return EHM_FAIL(err, EHM_E_FORMAT, "%s line %lld: a query and its positive are expected, '%s' is there", s->file, (long long)l.line, f[0]);
        }
        pair p = {.positive = -1, .line = l.line};
        EHM_TRY(find_name(&p.query, s, f[0], l.line, err));
        if (*f[1] && strcmp(f[1], "-")) EHM_TRY(find_name(&p.positive, s, f[1], l.line, err));
        if (p.positive == p.query) return EHM_FAIL(err, EHM_E_FORMAT, "%s line %lld: %s is its own positive", s->file, (long long)l.line, f[0]);
        p.kind = kind_number(r, TRUTH_KINDS_MAX, n_f > 2 && *f[2] ? f[2] : "copy", a);
        if (p.kind < 0) return EHM_FAIL(err, EHM_E_FORMAT, "%s line %lld: more than %d kinds", s->file, (long long)l.line, TRUTH_KINDS_MAX);
        v[(*n)++] = p;
    }
    if (*n) return EHM_OK;
    return EHM_FAIL(err, EHM_E_FORMAT, "%s names no query", s->file);
}

/* Searched: pictures named as positives, and all others of the folders in which they lie that are no query. */
static ehm_code searched_of(uint8_t *in_db, const pair *v, int64_t n_pairs, const ehm_dataset *ds, ehm_arena *a, ehm_err *err) {
    int64_t n = ehm_dataset_count(ds);
    uint8_t *is_query = EHM_NEW_N(a, uint8_t, n);
    const char **folder = EHM_NEW_N(a, const char *, n_pairs);
    int64_t n_folders = 0;
    if (!is_query || !folder) return no_memory(err);
    for (int64_t i = 0; i < n_pairs; i++) {
        is_query[v[i].query] = 1;
        if (v[i].positive < 0) continue;
        in_db[v[i].positive] = 1;
        const char *name = ehm_dataset_name(ds, v[i].positive);
        bool known = false;
        for (int64_t k = 0; k < n_folders && !known; k++) known = folder_len(folder[k]) == folder_len(name) && !strncmp(folder[k], name, folder_len(name));
        if (!known) folder[n_folders++] = name;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < n_folders && !in_db[i] && !is_query[i]; k++) {
            const char *name = ehm_dataset_name(ds, i);
            if (folder_len(name) == folder_len(folder[k]) && !strncmp(name, folder[k], folder_len(name))) in_db[i] = 1;
        }
    return EHM_OK;
}

static ehm_code ask_truth(ehm_retrieval *r, ehm_bytes text, const char *file, ehm_arena *a, ehm_err *err) {
    ehm_dataset *ds = r->gallery;
    names s;
    int64_t n = ehm_dataset_count(ds), n_pairs = 0, n_q = 0, n_positive = 0, n_gallery = 0;
    pair *v = EHM_NEW_N(a, pair, count_lines(&text));
    uint8_t *in_db = EHM_NEW_N(a, uint8_t, n);
    int64_t *db_of = EHM_NEW_N(a, int64_t, n);
    int32_t *group_of = EHM_NEW_N(a, int32_t, n); /* by first positive; queries without one are groups of their own */
    r->kind_name = EHM_NEW_N(a, const char *, TRUTH_KINDS_MAX);
    if (!v || !in_db || !db_of || !group_of || !r->kind_name) return no_memory(err);
    EHM_TRY(names_of(&s, ds, file, a, err));
    EHM_TRY(read_pairs(r, v, &n_pairs, &s, text, a, err));
    qsort(v, (size_t)n_pairs, sizeof *v, by_pair);
    for (int64_t i = 0; i < n_pairs; i++) {
        bool same = i && v[i].query == v[i - 1].query;
        if (same && v[i].positive == v[i - 1].positive)
            return EHM_FAIL(err, EHM_E_FORMAT, "%s line %lld: %s and its positive stand there for the second time (line %lld)", file, (long long)v[i].line,
                            ehm_dataset_name(ds, v[i].query), (long long)v[i - 1].line);
        n_q += !same;
        n_positive += v[i].positive >= 0;
    }
    EHM_TRY(searched_of(in_db, v, n_pairs, ds, a, err));
    for (int64_t i = 0; i < n; i++) db_of[i] = in_db[i] ? n_gallery++ : -1, group_of[i] = -1;
    if (!n_gallery) return EHM_FAIL(err, EHM_E_MISMATCH, "%s: no query has a positive, so nothing can be found", file);
    EHM_TRY(make_room(r, n_gallery, n_q, n_positive, a, err));
    for (int64_t i = 0; i < n; i++)
        if (in_db[i]) r->shown[db_of[i]] = (ehm_shown){ds, i, -1, 0};
    int64_t q = -1, at = 0;
    for (int64_t i = 0; i < n_pairs; i++) {
        if (!i || v[i].query != v[i - 1].query) {
            q++;
            r->shown[r->n_db + q] = (ehm_shown){ds, v[i].query, -1, 0};
            r->start[q] = at, r->self[q] = db_of[v[i].query], r->kind[q] = v[i].kind;
            int64_t original = v[i].positive;
            if (original < 0 && i + 1 < n_pairs && v[i + 1].query == v[i].query) original = v[i + 1].positive;
            if (original < 0) r->group[q] = (int32_t)r->n_groups++;
            else r->group[q] = group_of[original] >= 0 ? group_of[original] : (group_of[original] = (int32_t)r->n_groups++);
        }
        if (v[i].positive >= 0) r->positive[at++] = db_of[v[i].positive]; /* ascending, as the pairs are */
    }
    r->start[n_q] = at;
    return EHM_OK;
}

/* ---- groups: each picture asks for the others of its group ---- */

static ehm_code ask_groups(ehm_retrieval *r, ehm_bytes text, const char *file, ehm_arena *a, ehm_err *err) {
    ehm_dataset *ds = r->gallery;
    names s;
    ehm_table_lines l = {.at = (char *)text.data};
    char *f[8];
    int64_t n = ehm_dataset_count(ds), n_q = 0, n_positive = 0, q = 0, at = 0;
    int32_t *kind = EHM_NEW_N(a, int32_t, n), n_f;
    int64_t *size = EHM_NEW_N(a, int64_t, TRUTH_KINDS_MAX);
    r->kind_name = EHM_NEW_N(a, const char *, TRUTH_KINDS_MAX);
    if (!kind || !size || !r->kind_name) return no_memory(err);
    EHM_TRY(names_of(&s, ds, file, a, err));
    for (int64_t i = 0; i < n; i++) kind[i] = -1;
    while ((n_f = ehm_table_next(&l, f, 8))) {
        int64_t id;
        if (l.line == 1 && !strcmp(f[0], "file")) continue;
        if (n_f < 2 || !*f[1]) return EHM_FAIL(err, EHM_E_FORMAT, "%s line %lld: a file and its group are expected, '%s' is there", file, (long long)l.line, f[0]);
        EHM_TRY(find_name(&id, &s, f[0], l.line, err));
        if (kind[id] >= 0) return EHM_FAIL(err, EHM_E_FORMAT, "%s line %lld: %s stands there for the second time", file, (long long)l.line, f[0]);
        kind[id] = kind_number(r, TRUTH_KINDS_MAX, f[1], a);
        if (kind[id] < 0) return EHM_FAIL(err, EHM_E_FORMAT, "%s line %lld: more than %d groups", file, (long long)l.line, TRUTH_KINDS_MAX);
        size[kind[id]]++;
    }
    for (int64_t i = 0; i < n; i++)
        if (kind[i] >= 0 && size[kind[i]] > 1 && !strstr(r->kind_name[kind[i]], "distractor")) n_q++, n_positive += size[kind[i]] - 1;
    if (!n_q) return EHM_FAIL(err, EHM_E_MISMATCH, "%s: no group has two pictures, so nothing can be found", file);
    EHM_TRY(make_room(r, n, n_q, n_positive, a, err));
    for (int64_t i = 0; i < n; i++) {
        r->shown[i] = (ehm_shown){ds, i, -1, 0};
        if (kind[i] < 0 || size[kind[i]] < 2 || strstr(r->kind_name[kind[i]], "distractor")) continue;
        r->shown[r->n_db + q] = r->shown[i];
        r->start[q] = at, r->self[q] = i, r->kind[q] = kind[i], r->group[q] = (int32_t)q;
        for (int64_t k = 0; k < n; k++)
            if (k != i && kind[k] == kind[i]) r->positive[at++] = k;
        q++;
    }
    r->start[q] = at, r->n_groups = n_q;
    return EHM_OK;
}

/* ---- opening ---- */

/* The table that says what is right: groundtruth.tsv, or NAME.tsv for PATH#NAME; none: copies are made. */
static ehm_code find_truth(ehm_bytes *text, bool *there, ehm_ask *ask, const char **file, const ehm_config *c, ehm_arena *a, ehm_err *err) {
    const char *path, *part;
    *there = false;
    if (c->gallery.n || c->test.n != 1) return EHM_OK;
    EHM_TRY(ehm_data_split_spec(&path, &part, c->test.v[0], a, err));
    *file = part ? ehm_arena_printf(a, "%s.tsv", part) : "groundtruth.tsv";
    if (!*file) return no_memory(err);
    *ask = part ? EHM_ASK_GROUPS : EHM_ASK_TRUTH;
    return ehm_data_helper(text, there, path, *file, c->cache, a, err);
}

ehm_code ehm_retrieval_open(ehm_retrieval *r, const ehm_config *c, int32_t channels, ehm_eval_out *out, ehm_arena *a, ehm_err *err) {
    const ehm_strs *searched = c->gallery.n ? &c->gallery : &c->test;
    ehm_bytes text;
    const char *file = NULL;
    bool there;
    memset(r, 0, sizeof *r);
    r->seed = (uint64_t)c->seed;
    if (c->gallery.n && c->test.n) return EHM_FAIL(err, EHM_E_CONFIG, "--gallery %s and --test %s: both say what is searched, give one", c->gallery.v[0], c->test.v[0]);
    if (!searched->n) {
        EHM_HINT(err, "for example --test scenes:2:200; or a set with a groundtruth.tsv");
        return EHM_FAIL(err, EHM_E_CONFIG, "--gallery is missing: the pictures that are to be found again");
    }
    EHM_TRY(find_truth(&text, &there, &r->ask, &file, c, a, err));
    if (!there) r->ask = EHM_ASK_COPIES;
    if (there && !EHM_IS_AUTO(c->limit))
        return EHM_FAIL(err, EHM_E_CONFIG, "--limit %lld would cut off pictures that %s of %s speaks of", (long long)c->limit, file, c->test.v[0]);
    EHM_TRY(open_set(&r->gallery, searched, c, channels, err));
    if (c->distractors.n) EHM_TRY(open_set(&r->distractors, &c->distractors, c, channels, err));
    if (c->train.n) EHM_TRY(open_set(&r->train, &c->train, c, channels, err));
    r->is_u8 = ehm_dataset_is_u8(r->gallery) && (!r->distractors || ehm_dataset_is_u8(r->distractors)) && (!r->train || ehm_dataset_is_u8(r->train));
    if (r->ask == EHM_ASK_TRUTH) EHM_TRY(ask_truth(r, text, file, a, err));
    else if (r->ask == EHM_ASK_GROUPS) EHM_TRY(ask_groups(r, text, file, a, err));
    else EHM_TRY(ask_copies(r, c, channels, out, a, err));
    if (r->n_db > 1) return EHM_OK;
    EHM_HINT(err, "add pictures, or --distractors D");
    return EHM_FAIL(err, EHM_E_MISMATCH, "%s: one picture alone is always found; retrieval needs more to choose from", ehm_dataset_spec(r->gallery));
}

void ehm_retrieval_close(ehm_retrieval *r) {
    if (r->hosts != r->train) ehm_dataset_close(r->hosts);
    ehm_dataset_close(r->train), ehm_dataset_close(r->distractors), ehm_dataset_close(r->gallery);
    memset(r, 0, sizeof *r);
}

const char *ehm_retrieval_kind(const ehm_retrieval *r, int64_t q) { return r->kind_name[r->kind[q]]; }

ehm_code ehm_retrieval_drop(ehm_retrieval *r, const uint8_t *drop, int64_t *kept, ehm_arena *a, ehm_err *err) {
    int64_t n = 0, n_gallery = 0, n_q = 0, at = 0, n_groups = 0;
    int64_t *now = EHM_NEW_N(a, int64_t, r->n_db);
    int32_t *group = EHM_NEW_N(a, int32_t, r->n_groups + 1);
    if (!now || !group) return no_memory(err);
    for (int64_t i = 0; i < r->n_db; i++) {
        now[i] = -1;
        if (drop[i]) continue;
        n_gallery += i < r->n_gallery;
        now[i] = n, kept[n] = i;
        r->shown[n++] = r->shown[i];
    }
    int64_t n_db = n;
    for (int64_t g = 0; g < r->n_groups; g++) group[g] = -1;
    r->n_without = 0;
    for (int64_t q = 0; q < r->n_q; q++) {
        int64_t first = r->start[q], end = r->start[q + 1], from = at, self = r->self[q];
        bool gone = drop[r->n_db + q] || (self >= 0 && drop[self]);
        for (int64_t p = first; p < end && !gone; p++)
            if (now[r->positive[p]] >= 0) r->positive[at++] = now[r->positive[p]];
        if (gone || (end > first && at == from)) {
            at = from;
            continue;
        }
        int32_t *g = &group[r->group[q]];
        if (*g < 0) *g = (int32_t)n_groups++;
        r->n_without += at == from;
        kept[n] = r->n_db + q;
        r->shown[n++] = r->shown[r->n_db + q];
        r->start[n_q] = from, r->self[n_q] = self < 0 ? -1 : now[self], r->group[n_q] = *g, r->kind[n_q] = r->kind[q];
        n_q++;
    }
    r->start[n_q] = at;
    r->n_db = n_db, r->n_gallery = n_gallery, r->n_q = n_q, r->n_groups = n_groups;
    if (at && n_db > 1) return EHM_OK;
    return EHM_FAIL(err, EHM_E_MISMATCH, "%s: after what cannot be read was left out, %lld pictures and %lld queries with a positive remain", ehm_dataset_spec(r->gallery),
                    (long long)n_db, (long long)(n_q - r->n_without));
}
