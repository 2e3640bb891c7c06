/* A dataset: sources joined, labels and classes made one, pictures decoded and brought to the set's channels
 * and type. */
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/settings.h"
#include "data/sources_int.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SOURCE(name) extern const ehm_source_kind ehm_source_##name;
#include "data/sources.def"
#undef SOURCE

static const ehm_source_kind *const kinds[] = {
#define SOURCE(name) &ehm_source_##name,
#include "data/sources.def"
#undef SOURCE
};
enum { N_KINDS = sizeof kinds / sizeof *kinds, N_LOOK = 256, HEAD_BYTES = 1 << 16 };

typedef struct {
    int32_t w, h;
    const char *format;
    uint8_t c, type, has_alpha, has_icc, orientation;
    _Atomic uint8_t state, boxes_told;
} seen_info; /* state 0 empty, 1 being written, 2 there; boxes_told: those left out are counted */
typedef struct {
    ehm_source *s;
    const char *spec;
    int64_t first, n;
    int32_t *class_of, *box_class_of;
} joined;

struct ehm_dataset {
    ehm_arena arena;
    ehm_dataset_opt opt;
    joined *v; int32_t n_sources;
    int64_t n, n_ignored;
    const char **names;      /* only where two sources share a name */
    int32_t *labels;
    const char **classes; int32_t n_classes;
    const char **map_classes; int32_t n_map_classes, ignore_label;
    const char **box_classes; int32_t n_box_classes;
    int32_t *box_adopted, n_box_stored; /* ids as stored to those of the set adopted from; NULL: as they are */
    _Atomic int64_t n_boxes_skipped;
    const char *spec;
    char hash[65];
    int32_t channels; bool is_u8;
    seen_info *info;
};

/* ---- paths ---- */

static bool there(const char *path) { return ehm_file_exists(path) || ehm_dir_exists(path); }

static const ehm_source_kind *claimed_by(const char *path) {
    for (int32_t i = 0; i < N_KINDS; i++) {
        if (kinds[i]->claims(path)) return kinds[i];
    }
    return NULL;
}

static ehm_code not_there(const char *path, ehm_err *err) {
    static const char *const scenes = "scenes";
    char head[16];
    const char *colon = strchr(path, ':');
    snprintf(head, sizeof head, "%.*s", colon ? (int)(colon - path) : 0, path);
    if (colon && ehm_nearest(head, &scenes, 1)) EHM_HINT(err, "did you mean %s%s?", scenes, colon);
    ehm_path_hint_near(err, path);
    return EHM_FAIL(err, EHM_E_CONFIG, "%s: there is no such file or folder", path);
}

static ehm_code not_a_set(const char *path, ehm_err *err) {
    uint8_t head[64];
    ehm_pack pack;
    size_t n = ehm_peek(path, head, sizeof head, &pack);
    EHM_HINT(err, "a set is a folder of pictures, a picture, a tar, a list of paths (.txt), CIFAR binary "
                  "files, IDX, .npy, or scenes:SEED:COUNT");
    if (ehm_file_size(path) == 0) return EHM_FAIL(err, EHM_E_FORMAT, "%s: the file is empty", path);
    if (pack != EHM_PACK_NONE)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: %s data that holds no tar and no IDX pictures", path,
                        ehm_pack_name(pack));
    if (!n) return EHM_FAIL(err, EHM_E_IO, "%s: cannot be read", path);
    return EHM_FAIL(err, EHM_E_FORMAT,
                    "%s: is no picture and no set of pictures (it begins with %02x %02x %02x %02x)", path,
                    head[0], n > 1 ? head[1] : 0, n > 2 ? head[2] : 0, n > 3 ? head[3] : 0);
}

/* PATH#NAME: what exists as written wins. */
static ehm_code split_spec(const char *spec, const char **path, const char **subset, ehm_arena *a,
                           ehm_err *err) {
    *path = spec;
    *subset = NULL;
    if (!*spec) return EHM_FAIL(err, EHM_E_CONFIG, "the path of the pictures is empty");
    if (there(spec)) return EHM_OK;
    const char *mark = strrchr(spec, '#');
    if (mark && mark > spec) {
        *path = ehm_arena_strndup(a, spec, (size_t)(mark - spec));
        *subset = mark + 1;
        if (!*path) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", spec);
        if (!**subset) return EHM_FAIL(err, EHM_E_CONFIG, "%s: a part's name is missing after #", spec);
        if (there(*path)) return EHM_OK;
    }
    return claimed_by(*path) ? EHM_OK : not_there(*path, err);
}

/* A::B is one set of shards if all are tars, else so many sets. */
static ehm_code add_specs(ehm_strs *out, int32_t *cap, const char *spec, ehm_arena *a, ehm_err *err) {
    int32_t n_parts = 1;
    for (const char *p = spec; (p = strstr(p, "::")); p += 2) n_parts++;
    bool apart = false;
    const char **parts = EHM_NEW_N(a, const char *, n_parts);
    if (!parts) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", spec);
    n_parts = 0;
    for (const char *p = spec; p;) {
        const char *sep = strstr(p, "::");
        parts[n_parts] = sep ? ehm_arena_strndup(a, p, (size_t)(sep - p)) : ehm_arena_strdup(a, p);
        if (!parts[n_parts]) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", spec);
        bool braces = strchr(parts[n_parts], '{') && strchr(parts[n_parts], '}');
        if (!braces && !(ehm_file_exists(parts[n_parts]) && claimed_by(parts[n_parts]) == &ehm_source_tar))
            apart = sep || n_parts ? true : apart;
        n_parts++;
        p = sep ? sep + 2 : NULL;
    }
    if (!apart || there(spec) || ehm_starts(spec, "scenes:")) {
        parts[0] = spec;
        n_parts = 1;
    }
    if (out->n + n_parts > *cap) {
        int32_t more = *cap * 2 + n_parts + 8;
        const char **v = EHM_NEW_N(a, const char *, more);
        if (!v) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", spec);
        if (out->n) memcpy(v, out->v, (size_t)out->n * sizeof *v);
        out->v = v;
        *cap = more;
    }
    for (int32_t i = 0; i < n_parts; i++) out->v[out->n++] = parts[i];
    return EHM_OK;
}

static ehm_code open_source(ehm_dataset *ds, const char *spec, ehm_err *err) {
    const char *path, *subset;
    EHM_TRY(split_spec(spec, &path, &subset, &ds->arena, err));
    const ehm_source_kind *kind = claimed_by(path);
    if (!kind) return not_a_set(path, err);
    joined *j = &ds->v[ds->n_sources];
    *j = (joined){.spec = ehm_arena_strdup(&ds->arena, spec), .first = ds->n};
    if (!j->spec) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", spec);
    EHM_TRY(kind->open(&j->s, path, subset, &ds->opt, &ds->arena, err));
    ds->n_sources++;
    j->n = kind->count(j->s);
    if (j->n <= 0) return EHM_FAIL(err, EHM_E_FORMAT, "%s: holds no pictures", spec);
    if (ds->opt.limit > 0 && ds->n + j->n > ds->opt.limit) j->n = ds->opt.limit - ds->n;
    ds->n += j->n;
    ds->n_ignored += j->s->n_ignored;
    return EHM_OK;
}

static const joined *source_of(const ehm_dataset *ds, int64_t i) {
    int32_t lo = 0, hi = ds->n_sources - 1;
    while (lo < hi) {
        int32_t mid = (lo + hi + 1) / 2;
        if (ds->v[mid].first <= i) lo = mid;
        else hi = mid - 1;
    }
    return &ds->v[lo];
}

/* ---- joining ---- */

static bool same_names(const char *const *a, int32_t n_a, const char *const *b, int32_t n_b) {
    if (n_a != n_b) return false;
    for (int32_t i = 0; i < n_a; i++) {
        if (strcmp(a[i], b[i])) return false;
    }
    return true;
}

static int by_class(const void *a, const void *b) {
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    int64_t i, k;
    bool nx = ehm_parse_i64(x, &i), ny = ehm_parse_i64(y, &k);
    if (nx && ny && i != k) return i < k ? -1 : 1; /* "2" before "10" where ids stand for names */
    if (nx != ny) return nx ? -1 : 1;
    return strcmp(x, y);
}

typedef struct { const char **v; int32_t n; } name_list;

/* One list of names for all sources: theirs if they agree, else the union in order; map[k] takes source k's
 * ids to it. */
static ehm_code join_names(ehm_dataset *ds, const name_list *of, int32_t **map, name_list *out,
                           ehm_err *err) {
    *out = (name_list){0};
    int32_t total = 0, first = -1;
    bool agree = true;
    for (int32_t k = 0; k < ds->n_sources; k++) {
        map[k] = NULL;
        total += of[k].n;
        if (!of[k].n) continue;
        if (first < 0) first = k;
        else if (!same_names(of[k].v, of[k].n, of[first].v, of[first].n)) agree = false;
    }
    if (first < 0) return EHM_OK;
    if (agree) {
        *out = of[first];
        return EHM_OK;
    }
    out->v = EHM_NEW_N(&ds->arena, const char *, total);
    if (!out->v) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d classes", total);
    for (int32_t k = 0; k < ds->n_sources; k++) {
        if (of[k].n) memcpy(out->v + out->n, of[k].v, (size_t)of[k].n * sizeof *out->v);
        out->n += of[k].n;
    }
    qsort(out->v, (size_t)out->n, sizeof *out->v, by_class);
    int32_t n = 0;
    for (int32_t i = 0; i < out->n; i++) {
        if (!n || strcmp(out->v[n - 1], out->v[i])) out->v[n++] = out->v[i];
    }
    out->n = n;
    for (int32_t k = 0; k < ds->n_sources; k++) {
        map[k] = EHM_NEW_N(&ds->arena, int32_t, of[k].n + 1);
        if (!map[k]) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d classes", total);
        for (int32_t i = 0; i < of[k].n; i++) {
            const char **p = bsearch(&of[k].v[i], out->v, (size_t)n, sizeof *out->v, by_class);
            map[k][i] = (int32_t)(p - out->v);
        }
    }
    return EHM_OK;
}

static ehm_code join_all_names(ehm_dataset *ds, ehm_err *err) {
    name_list *of = EHM_NEW_N(&ds->arena, name_list, ds->n_sources), out;
    int32_t **map = EHM_NEW_N(&ds->arena, int32_t *, ds->n_sources);
    if (!of || !map) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d sets", ds->n_sources);
    for (int32_t k = 0; k < ds->n_sources; k++)
        of[k] = (name_list){ds->v[k].s->classes, ds->v[k].s->n_classes};
    EHM_TRY(join_names(ds, of, map, &out, err));
    for (int32_t k = 0; k < ds->n_sources; k++) ds->v[k].class_of = map[k];
    ds->classes = out.v;
    ds->n_classes = out.n;
    for (int32_t k = 0; k < ds->n_sources; k++)
        of[k] = (name_list){ds->v[k].s->box_classes, ds->v[k].s->n_box_classes};
    EHM_TRY(join_names(ds, of, map, &out, err));
    for (int32_t k = 0; k < ds->n_sources; k++) ds->v[k].box_class_of = map[k];
    ds->box_classes = out.v;
    ds->n_box_classes = out.n;
    ds->ignore_label = ds->opt.ignore_label >= 0 ? ds->opt.ignore_label : 255;
    const joined *with = NULL;
    for (int32_t k = 0; k < ds->n_sources;
         k++) { /* values of pixels cannot be renumbered by name: a map has no more than numbers */
        const joined *j = &ds->v[k];
        if (!j->s->n_map_classes) continue;
        if (with && (!same_names(with->s->map_classes, with->s->n_map_classes, j->s->map_classes,
                                 j->s->n_map_classes) ||
                     with->s->ignore_label != j->s->ignore_label)) {
            EHM_HINT(err, "give both the same classes.tsv");
            return EHM_FAIL(err, EHM_E_MISMATCH,
                            "%s has %d label-map classes and %s has %d, or they differ in name", with->spec,
                            with->s->n_map_classes, j->spec, j->s->n_map_classes);
        }
        with = j;
        ds->map_classes = j->s->map_classes;
        ds->n_map_classes = j->s->n_map_classes;
        ds->ignore_label = j->s->ignore_label;
    }
    return EHM_OK;
}

static int by_text_ptr(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names must be unique: where two sources share one, all get their source's spec in front. */
static ehm_code unique_names(ehm_dataset *ds, ehm_err *err) {
    if (ds->n_sources < 2) return EHM_OK;
    const char **v = malloc((size_t)ds->n * sizeof *v);
    if (!v) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld names", (long long)ds->n);
    for (int64_t i = 0; i < ds->n; i++) v[i] = ehm_dataset_name(ds, i);
    qsort(v, (size_t)ds->n, sizeof *v, by_text_ptr);
    bool shared = false;
    for (int64_t i = 1; i < ds->n && !shared; i++) shared = !strcmp(v[i - 1], v[i]);
    free(v);
    if (!shared) return EHM_OK;
    const char **names = EHM_NEW_N(&ds->arena, const char *, ds->n);
    ehm_names pool = {.a = &ds->arena};
    ehm_str text = {0};
    bool ok = names != NULL;
    for (int32_t k = 0; k < ds->n_sources && ok; k++) {
        int32_t n_same = 0; /* the same set given twice */
        for (int32_t j = 0; j < k; j++) n_same += !strcmp(ds->v[j].spec, ds->v[k].spec);
        for (int64_t i = ds->v[k].first; i < ds->v[k].first + ds->v[k].n && ok; i++) {
            ehm_str_clear(&text);
            if (n_same) ehm_str_addf(&text, "%s~%d/%s", ds->v[k].spec, n_same + 1, ehm_dataset_name(ds, i));
            else ehm_str_addf(&text, "%s/%s", ds->v[k].spec, ehm_dataset_name(ds, i));
            names[i] = text.failed ? NULL : ehm_names_add(&pool, text.s, text.len);
            ok = names[i] != NULL;
        }
    }
    ehm_str_free(&text);
    if (!ok) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld names", (long long)ds->n);
    ds->names = names;
    return EHM_OK;
}

static ehm_code read_items(ehm_dataset *ds, ehm_err *err) {
    ds->labels = EHM_NEW_N(&ds->arena, int32_t, ds->n);
    ds->info = calloc((size_t)ds->n, sizeof *ds->info);
    if (!ds->labels || !ds->info)
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the index of %lld pictures", (long long)ds->n);
    EHM_TRY(unique_names(ds, err));
    ehm_sha256 h;
    ehm_sha256_init(&h);
    char text[64];
    int n = snprintf(text, sizeof text, "%lld\n", (long long)ds->n);
    ehm_sha256_add(&h, text, (size_t)n);
    for (int32_t k = 0; k < ds->n_sources; k++) {
        const joined *j = &ds->v[k];
        for (int64_t i = 0; i < j->n; i++) {
            ehm_source_item it;
            if (j->s->kind->item(j->s, i, &it))
                return EHM_FAIL(err, EHM_E_FORMAT, "%s: entry %lld cannot be read", j->spec, (long long)i);
            int32_t label = it.label < 0 || it.label >= j->s->n_classes ? -1
                            : j->class_of                               ? j->class_of[it.label]
                                                                        : it.label;
            ds->labels[j->first + i] = label;
            const char *name = ds->names ? ds->names[j->first + i] : it.name;
            ehm_sha256_add(&h, name, strlen(name) + 1);
            n = snprintf(text, sizeof text, "%d %lld\n", label, (long long)it.n_bytes);
            ehm_sha256_add(&h, text, (size_t)n);
        }
    }
    uint8_t digest[32];
    ehm_sha256_end(&h, digest);
    ehm_sha256_hex(digest, ds->hash);
    return EHM_OK;
}

/* ---- channels and type: what most of a spread sample has ---- */

static int64_t spread(const ehm_dataset *ds, int64_t k, int64_t n_look) {
    return ds->n <= n_look ? k : (int64_t)((double)k * (double)ds->n / (double)n_look);
}

static int32_t counted_channels(const ehm_dataset *ds, const ehm_image_info *info) {
    bool keep = ds->opt.alpha && !strcmp(ds->opt.alpha, "keep");
    return info->has_alpha && !keep ? info->c - 1 : info->c;
}

static ehm_code choose_type(ehm_dataset *ds, ehm_err *err) {
    int64_t n_look = ds->n < N_LOOK ? ds->n : N_LOOK, n_good = 0, votes[257] = {0};
    ehm_arena scratch = {0};
    ehm_err first = {0};
    ds->is_u8 = true;
    for (int64_t k = 0; k < n_look; k++) {
        ehm_image_info info;
        ehm_err one = {0};
        ehm_arena_reset(&scratch);
        if (ehm_dataset_size_of(ds, spread(ds, k, n_look), &info, &scratch, &one)) {
            if (!first.code) first = one;
            continue;
        }
        n_good++;
        if (info.type != EHM_U8) ds->is_u8 = false;
        int32_t c = counted_channels(ds, &info);
        votes[c < 1 ? 1 : c > 256 ? 256 : c]++;
    }
    ehm_arena_free(&scratch);
    if (!n_good) {
        if (err && !err->code) *err = first;
        EHM_WHILE(err, "looking at %lld pictures of %s: none can be read", (long long)n_look, ds->spec);
        return first.code;
    }
    int32_t best = 256;
    for (int32_t c = 256; c >= 1; c--) { /* of equals the fuller one: nothing is lost */
        if (votes[c] > votes[best]) best = c;
    }
    ds->channels = ds->opt.channels > 0 ? ds->opt.channels : best;
    bool common = best <= 4 && ds->channels <= 4;
    if (ds->channels != best && !common) {
        EHM_HINT(err, "only 1 to 4 channels become one another; these pictures need --channels %d, and a model that "
                      "was trained with it", best);
        return EHM_FAIL(err, EHM_E_CONFIG, "%s: pictures of %d channels cannot become %d", ds->spec, best,
                        ds->channels);
    }
    return EHM_OK;
}

int64_t ehm_dataset_n_left_out(const ehm_dataset *ds) {
    int64_t n = 0;
    for (int32_t k = 0; k < ds->n_sources; k++) n += ds->v[k].s->n_left_out;
    return n;
}

ehm_left_out ehm_dataset_left_out(const ehm_dataset *ds, int64_t i) {
    for (int32_t k = 0; k < ds->n_sources && i >= 0; i -= ds->v[k++].s->n_left_out)
        if (i < ds->v[k].s->n_left_out) return ds->v[k].s->left_out[i];
    return (ehm_left_out){0};
}

/* "2 pictures are left out: heic cannot be read, such as a/x.heic; to convert: ..." */
static void left_out_text(const ehm_dataset *ds, ehm_str *b) {
    int64_t n = ehm_dataset_n_left_out(ds);
    char num[32];
    ehm_left_out first = ehm_dataset_left_out(ds, 0);
    bool mixed = false;
    for (int64_t i = 1; i < n; i++) mixed |= strcmp(ehm_dataset_left_out(ds, i).format, first.format) != 0;
    const char *how = ehm_image_conversion(first.format);
    ehm_str_addf(b, "%s more picture%s left out: %s%s cannot be read, such as %s", ehm_format_count(n, num), n == 1 ? " is" : "s are", first.format,
                 mixed ? " and others" : "", first.name);
    if (how) ehm_str_addf(b, "; to convert it: %s", how);
}

static void say_left_out(const ehm_dataset *ds) {
    ehm_str text = {0};
    if (!ehm_dataset_n_left_out(ds)) return;
    left_out_text(ds, &text);
    ehm_log(EHM_LOG_WARN, "%s: %s", ds->spec, ehm_str_c(&text));
    ehm_str_free(&text);
}

/* Class folders come one after the other, so the first pictures may be of few classes: --limit does not thin a set out. */
static ehm_code say_cut_classes(const ehm_dataset *ds, ehm_err *err) {
    if (ds->opt.limit <= 0 || ds->n < ds->opt.limit || ds->n < ds->n_classes || ds->n_classes < 2) return EHM_OK;
    bool *seen = calloc((size_t)ds->n_classes, sizeof *seen);
    int32_t n = 0;
    if (!seen) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for %d classes", ds->spec, ds->n_classes);
    for (int64_t i = 0; i < ds->n; i++)
        if (ds->labels[i] >= 0 && !seen[ds->labels[i]]) seen[ds->labels[i]] = true, n++;
    free(seen);
    if (n && n < ds->n_classes)
        ehm_log(EHM_LOG_WARN, "%s: the first %lld pictures are of %d of the %d classes; --limit takes them in order; a text file with lines of path, tab, class picks others",
                ds->spec, (long long)ds->n, (int)n, (int)ds->n_classes);
    return EHM_OK;
}

ehm_code ehm_dataset_open(ehm_dataset **out, const ehm_strs *paths, const ehm_dataset_opt *opt,
                          ehm_err *err) {
    *out = NULL;
    if (!paths || paths->n < 1) return EHM_FAIL(err, EHM_E_CONFIG, "no pictures were named; say --data PATH");
    ehm_dataset *ds = calloc(1, sizeof *ds);
    if (!ds) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to open the pictures");
    ds->opt = opt ? *opt : (ehm_dataset_opt){.ignore_label = -1};
    if (ds->opt.max_pixels <= 0) ds->opt.max_pixels = ehm_settings[EHM_SETI_max_pixels].def_i64;
    ehm_str spec = {0};
    ehm_strs specs = {0};
    int32_t cap = 0;
    ehm_code rc = EHM_OK;
    const char *alpha = ds->opt.alpha;
    if (alpha && strcmp(alpha, "drop") && strcmp(alpha, "keep") && strcmp(alpha, "white")) {
        rc = EHM_FAIL(err, EHM_E_CONFIG, "alpha is drop, keep or white, not \"%s\"", alpha);
    }
    if (ds->opt.channels < 0 || ds->opt.channels > 256)
        rc = EHM_FAIL(err, EHM_E_CONFIG, "channels is 1 to 256, not %d", ds->opt.channels);
    if (alpha) ds->opt.alpha = ehm_arena_strdup(&ds->arena, alpha);
    if (ds->opt.cache_dir) ds->opt.cache_dir = ehm_arena_strdup(&ds->arena, ds->opt.cache_dir);
    for (int32_t i = 0; i < paths->n && !rc; i++) {
        ehm_str_addf(&spec, "%s%s", i ? " " : "", paths->v[i]);
        rc = add_specs(&specs, &cap, paths->v[i], &ds->arena, err);
    }
    ds->spec = ehm_arena_strdup(&ds->arena, ehm_str_c(&spec));
    ds->v = EHM_NEW_N(&ds->arena, joined, specs.n + 1);
    if (!rc && (spec.failed || !ds->spec || !ds->v))
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory to open the pictures");
    for (int32_t i = 0; i < specs.n && !rc; i++) {
        if (ds->opt.limit > 0 && ds->n >= ds->opt.limit) break;
        rc = open_source(ds, specs.v[i], err);
    }
    ehm_str_free(&spec);
    if (!rc) rc = join_all_names(ds, err);
    if (!rc) rc = read_items(ds, err);
    if (!rc) rc = choose_type(ds, err);
    if (!rc) rc = say_cut_classes(ds, err);
    if (rc) {
        ehm_dataset_close(ds);
        return rc;
    }
    say_left_out(ds);
    *out = ds;
    return EHM_OK;
}

void ehm_dataset_close(ehm_dataset *ds) {
    if (!ds) return;
    for (int32_t k = 0; k < ds->n_sources; k++) ds->v[k].s->kind->close(ds->v[k].s);
    free(ds->info);
    ehm_arena_free(&ds->arena);
    free(ds);
}

/* ---- questions ---- */

int64_t ehm_dataset_count(const ehm_dataset *ds) { return ds->n; }
int32_t ehm_dataset_channels(const ehm_dataset *ds) { return ds->channels; }
bool ehm_dataset_is_u8(const ehm_dataset *ds) { return ds->is_u8; }
int32_t ehm_dataset_n_classes(const ehm_dataset *ds) { return ds->n_classes; }
const char *ehm_dataset_class(const ehm_dataset *ds, int32_t i) {
    return i >= 0 && i < ds->n_classes ? ds->classes[i] : NULL;
}
int32_t ehm_dataset_label(const ehm_dataset *ds, int64_t i) {
    return i >= 0 && i < ds->n ? ds->labels[i] : -1;
}
bool ehm_dataset_of_single(const ehm_dataset *ds) { return ds->n == ds->n_sources; }
const char *ehm_dataset_spec(const ehm_dataset *ds) { return ds->spec; }
const char *ehm_dataset_hash(const ehm_dataset *ds) { return ds->hash; }
int32_t ehm_dataset_n_map_classes(const ehm_dataset *ds) { return ds->n_map_classes; }
const char *ehm_dataset_map_class(const ehm_dataset *ds, int32_t i) {
    return i >= 0 && i < ds->n_map_classes ? ds->map_classes[i] : NULL;
}
int32_t ehm_dataset_ignore_label(const ehm_dataset *ds) { return ds->ignore_label; }
int32_t ehm_dataset_n_box_classes(const ehm_dataset *ds) { return ds->n_box_classes; }
const char *ehm_dataset_box_class(const ehm_dataset *ds, int32_t i) {
    return i >= 0 && i < ds->n_box_classes ? ds->box_classes[i] : NULL;
}

int64_t ehm_dataset_boxes_skipped(const ehm_dataset *ds) {
    int64_t n = atomic_load(&ds->n_boxes_skipped);
    for (int32_t k = 0; k < ds->n_sources; k++) n += ds->v[k].s->n_boxes_skipped;
    return n;
}

const char *ehm_dataset_name(const ehm_dataset *ds, int64_t i) {
    if (i < 0 || i >= ds->n) return NULL;
    if (ds->names) return ds->names[i];
    const joined *j = source_of(ds, i);
    ehm_source_item it = {0};
    return j->s->kind->item(j->s, i - j->first, &it) ? NULL : it.name;
}

/* False: picture i is no file of its own. */
static bool file_of(const joined *j, int64_t i, struct stat *st) {
    ehm_str path = {0};
    bool ok = j->s->kind->file && j->s->kind->file(j->s, i - j->first, &path) && !path.failed && !stat(ehm_str_c(&path), st);
    ehm_str_free(&path);
    return ok;
}

bool ehm_dataset_same_picture(const ehm_dataset *a, int64_t i, const ehm_dataset *b, int64_t k) {
    if (i < 0 || i >= a->n || k < 0 || k >= b->n) return false;
    if (a == b) return i == k;
    const joined *x = source_of(a, i), *y = source_of(b, k);
    struct stat s, t;
    bool s_ok = file_of(x, i, &s), t_ok = file_of(y, k, &t);
    if (s_ok || t_ok) return s_ok && t_ok && s.st_dev == t.st_dev && s.st_ino == t.st_ino;
    return !strcmp(x->spec, y->spec) && i - x->first == k - y->first;
}

typedef struct { const char *name; int32_t id; } class_key;
static int by_key(const void *a, const void *b) {
    return strcmp(((const class_key *)a)->name, ((const class_key *)b)->name);
}

ehm_code ehm_dataset_adopt_classes(ehm_dataset *ds, const ehm_dataset *model, ehm_err *err) {
    int32_t n = model->n_classes;
    ehm_arena scratch = {0};
    class_key *key = EHM_NEW_N(&scratch, class_key, n + 1);
    int32_t *map = EHM_NEW_N(&scratch, int32_t, ds->n_classes + 1);
    uint8_t *used = EHM_NEW_N(&scratch, uint8_t, ds->n_classes + 1);
    const char **classes = EHM_NEW_N(&ds->arena, const char *, n + 1);
    ehm_code rc = EHM_OK;
    if (!key || !map || !used || !classes) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d classes", n);
        goto done;
    }
    for (int32_t i = 0; i < n; i++) {
        key[i] = (class_key){model->classes[i], i};
        classes[i] = ehm_arena_strdup(&ds->arena, model->classes[i]);
        if (!classes[i]) {
            rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d classes", n);
            goto done;
        }
    }
    qsort(key, (size_t)n, sizeof *key, by_key);
    for (int64_t i = 0; i < ds->n; i++) {
        if (ds->labels[i] >= 0) used[ds->labels[i]] = 1;
    }
    for (int32_t i = 0; i < ds->n_classes; i++) {
        class_key want = {ds->classes[i], 0};
        const class_key *k = bsearch(&want, key, (size_t)n, sizeof *key, by_key);
        map[i] = k ? k->id : -1;
        if (k || !used[i]) continue;
        ehm_hint_near(err, ds->classes[i], model->classes, n, "class");
        rc = EHM_FAIL(err, EHM_E_MISMATCH, "%s: the class \"%s\" is not among the %d classes of %s", ds->spec,
                      ds->classes[i], n, model->spec);
        goto done;
    }
    for (int64_t i = 0; i < ds->n; i++) ds->labels[i] = ds->labels[i] >= 0 ? map[ds->labels[i]] : -1;
    ds->classes = classes;
    ds->n_classes = n;
done:
    ehm_arena_free(&scratch);
    return rc;
}

ehm_code ehm_dataset_adopt_box_classes(ehm_dataset *ds, const ehm_dataset *model, ehm_err *err) {
    int32_t n = model->n_box_classes, *map = EHM_NEW_N(&ds->arena, int32_t, ds->n_box_classes + 1);
    const char **classes = EHM_NEW_N(&ds->arena, const char *, n + 1);
    if (!map || !classes) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d classes of boxes", n);
    for (int32_t k = 0; k < n; k++) {
        classes[k] = ehm_arena_strdup(&ds->arena, model->box_classes[k]);
        if (!classes[k]) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d classes of boxes", n);
    }
    for (int32_t i = 0; i < ds->n_box_classes; i++) {
        map[i] = -1;
        for (int32_t k = 0; k < n && map[i] < 0; k++)
            if (!strcmp(ds->box_classes[i], classes[k])) map[i] = k;
        if (map[i] >= 0) continue;
        ehm_hint_near(err, ds->box_classes[i], classes, n, "class");
        return EHM_FAIL(err, EHM_E_MISMATCH, "%s: the class \"%s\" of boxes is not among the %d of %s", ds->spec,
                        ds->box_classes[i], n, model->spec);
    }
    if (ds->box_adopted) { /* for the second time: boxes as stored have the ids of the first */
        for (int32_t i = 0; i < ds->n_box_stored; i++) ds->box_adopted[i] = map[ds->box_adopted[i]];
    } else {
        ds->box_adopted = map;
        ds->n_box_stored = ds->n_box_classes;
    }
    ds->box_classes = classes;
    ds->n_box_classes = n;
    return EHM_OK;
}

/* ---- reading ---- */

static ehm_code in_range(const ehm_dataset *ds, int64_t i, ehm_err *err) {
    return i >= 0 && i < ds->n
               ? EHM_OK
               : EHM_FAIL(err, EHM_E_ARG, "picture %lld of %lld", (long long)i, (long long)ds->n);
}

static ehm_code told(ehm_code rc, const ehm_dataset *ds, int64_t i, ehm_err *err) {
    if (rc) EHM_WHILE(err, "reading %s", ehm_dataset_name(ds, i));
    return rc;
}

static void info_out(ehm_image_info *out, const seen_info *s) {
    *out = (ehm_image_info){.w = s->w,
                            .h = s->h,
                            .c = s->c,
                            .type = (ehm_dtype)s->type,
                            .format = s->format,
                            .has_alpha = s->has_alpha,
                            .has_icc = s->has_icc,
                            .orientation = s->orientation};
}

static ehm_code probe(const joined *j, int64_t i, ehm_image_info *out, ehm_arena *scratch, ehm_err *err) {
    if (j->s->kind->head) {
        ehm_bytes head;
        ehm_err ignore = {0}; /* a header beyond the first bytes: the whole file tells */
        EHM_TRY(j->s->kind->head(j->s, i, HEAD_BYTES, &head, scratch, err));
        if (!ehm_image_probe(out, head.data, head.len, &ignore)) return EHM_OK;
        if (head.len < HEAD_BYTES) {
            if (err && !err->code) *err = ignore;
            return ignore.code;
        }
    }
    ehm_source_data d;
    EHM_TRY(j->s->kind->read(j->s, i, &d, scratch, err));
    if (!d.has_image) return ehm_image_probe(out, d.bytes.data, d.bytes.len, err);
    *out = (ehm_image_info){
        .w = d.image.w, .h = d.image.h, .c = d.image.c, .type = d.image.type, .format = j->s->kind->name};
    return EHM_OK;
}

ehm_code ehm_dataset_size_of(ehm_dataset *ds, int64_t i, ehm_image_info *out, ehm_arena *scratch,
                             ehm_err *err) {
    EHM_TRY(in_range(ds, i, err));
    seen_info *s = &ds->info[i];
    if (atomic_load_explicit(&s->state, memory_order_acquire) == 2) {
        info_out(out, s);
        return EHM_OK;
    }
    const joined *j = source_of(ds, i);
    EHM_TRY(told(probe(j, i - j->first, out, scratch, err), ds, i, err));
    uint8_t empty = 0;
    if (out->c <= 255 && atomic_compare_exchange_strong(&s->state, &empty, 1)) {
        s->w = out->w;
        s->h = out->h;
        s->c = (uint8_t)out->c;
        s->type = (uint8_t)out->type;
        s->format = out->format;
        s->has_alpha = out->has_alpha;
        s->has_icc = out->has_icc;
        s->orientation = out->orientation;
        atomic_store_explicit(&s->state, 2, memory_order_release);
    }
    return EHM_OK;
}

static ehm_code crop_image(ehm_image *im, const ehm_decode_opt *opt, ehm_arena *a, ehm_err *err) {
    if (!opt || opt->crop_w <= 0) return EHM_OK;
    bool inside = opt->crop_x >= 0 && opt->crop_y >= 0 && opt->crop_h > 0 &&
                  opt->crop_x <= im->w - opt->crop_w && opt->crop_y <= im->h - opt->crop_h;
    if (!inside)
        return EHM_FAIL(err, EHM_E_ARG, "crop %d,%d %dx%d outside a picture of %dx%d", opt->crop_x,
                        opt->crop_y, opt->crop_w, opt->crop_h, im->w, im->h);
    ehm_image out;
    EHM_TRY(ehm_image_new(&out, opt->crop_w, opt->crop_h, im->c, im->type, a, err));
    size_t px = (size_t)im->c * ehm_dtype_size(im->type), row = (size_t)out.w * px;
    for (int32_t y = 0; y < out.h; y++) {
        memcpy((char *)out.px + (size_t)y * row,
               (const char *)im->px + ((size_t)(y + opt->crop_y) * (size_t)im->w + (size_t)opt->crop_x) * px,
               row);
    }
    *im = out;
    return EHM_OK;
}

/* To the set's channels, then to its type. 16 bit / 257 rounded where a set of 8-bit pictures holds such a
 * one. */
static ehm_code conform(const ehm_dataset *ds, ehm_image *im, ehm_arena *a, ehm_err *err) {
    ehm_image c;
    EHM_TRY(ehm_image_channels(&c, im, ds->channels, ds->opt.alpha, a, err));
    *im = c;
    if (ds->is_u8 && c.type == EHM_U8) return EHM_OK;
    ehm_image t;
    size_t n = (size_t)c.w * (size_t)c.h * (size_t)c.c;
    if (ds->is_u8 && c.type != EHM_U16) {
        EHM_HINT(err, "give pictures of floating-point numbers as a set of their own");
        return EHM_FAIL(err, EHM_E_FORMAT, "floating-point numbers in a set of 8-bit pictures");
    }
    if (!ds->is_u8 && c.type == EHM_F32) return EHM_OK;
    EHM_TRY(ehm_image_new(&t, c.w, c.h, c.c, ds->is_u8 ? EHM_U8 : EHM_F32, a, err));
    if (ds->is_u8) {
        const uint16_t *from = c.px;
        uint8_t *to = t.px;
        for (size_t i = 0; i < n; i++) to[i] = (uint8_t)((from[i] + 128u) / 257u);
    } else {
        ehm_image_to_f32(t.px, &c);
    }
    *im = t;
    return EHM_OK;
}

static ehm_code boxes_of(ehm_dataset *ds, const joined *j, int64_t i, ehm_sample *out, ehm_arena *a,
                         ehm_err *err) {
    if (!out->n_boxes) return EHM_OK;
    ehm_image_info info;
    EHM_TRY(ehm_dataset_size_of(ds, i, &info, a, err));
    ehm_box *v = EHM_NEW_N(a, ehm_box, out->n_boxes);
    if (!v) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d boxes", out->n_boxes);
    int32_t n = 0, n_lost = 0;
    for (int32_t k = 0; k < out->n_boxes; k++) { /* tables without sizes may reach over the edge */
        ehm_box b = out->boxes[k];
        if (b.x1 > (float)info.w) b.x1 = (float)info.w;
        if (b.y1 > (float)info.h) b.y1 = (float)info.h;
        if (j->box_class_of) b.class_id = j->box_class_of[b.class_id];
        if (ds->box_adopted) b.class_id = ds->box_adopted[b.class_id];
        if (b.x1 > b.x0 && b.y1 > b.y0) v[n++] = b;
        else n_lost++;
    }
    out->boxes = v;
    out->n_boxes = n;
    if (n_lost && !atomic_exchange(&ds->info[i].boxes_told, 1) && !atomic_fetch_add(&ds->n_boxes_skipped, n_lost))
        ehm_log(EHM_LOG_NOTE, "%s: boxes outside their picture, as in %s, are left out", j->spec, ehm_dataset_name(ds, i));
    return EHM_OK;
}

static ehm_code read_sample(ehm_dataset *ds, int64_t i, ehm_sample *out, uint32_t want,
                            const ehm_decode_opt *opt, ehm_arena *a, ehm_err *err) {
    const joined *j = source_of(ds, i);
    ehm_source_data d;
    EHM_TRY(j->s->kind->read(j->s, i - j->first, &d, a, err));
    if (d.has_image) {
        out->image = d.image;
        EHM_TRY(crop_image(&out->image, opt, a, err));
    } else {
        ehm_decode_opt o = opt ? *opt : (ehm_decode_opt){0};
        if (o.max_pixels <= 0) o.max_pixels = ds->opt.max_pixels;
        EHM_TRY(ehm_image_decode(&out->image, d.bytes.data, d.bytes.len, &o, a, err));
    }
    EHM_TRY(conform(ds, &out->image, a, err));
    if (want && j->s->kind->extras) EHM_TRY(j->s->kind->extras(j->s, i - j->first, out, want, a, err));
    return boxes_of(ds, j, i, out, a, err);
}

ehm_code ehm_dataset_read(ehm_dataset *ds, int64_t i, ehm_sample *out, uint32_t want,
                          const ehm_decode_opt *opt, ehm_arena *a, ehm_err *err) {
    EHM_TRY(in_range(ds, i, err));
    *out = (ehm_sample){.label = ds->labels[i]};
    return told(read_sample(ds, i, out, want, opt, a, err), ds, i, err);
}

static ehm_code ppm_bytes(ehm_bytes *out, const ehm_image *im, ehm_arena *a, ehm_err *err) {
    if ((im->c != 1 && im->c != 3) || (im->type != EHM_U8 && im->type != EHM_U16)) {
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%d channels of %s have no picture format in this build",
                        im->c, ehm_dtype_name(im->type));
    }
    size_t n = (size_t)im->w * (size_t)im->h * (size_t)im->c, size = ehm_dtype_size(im->type);
    uint8_t *p = ehm_arena_alloc(a, n * size + 64, 1);
    if (!p) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a picture of %zu bytes", n * size);
    int head = snprintf((char *)p, 64, "P%d\n%d %d\n%d\n", im->c == 1 ? 5 : 6, im->w, im->h,
                        size == 1 ? 255 : 65535);
    uint8_t *to = p + head;
    if (size == 1) {
        memcpy(to, im->px, n);
    } else {
        const uint16_t *from = im->px;
        for (size_t i = 0; i < n; i++) to[2 * i] = (uint8_t)(from[i] >> 8), to[2 * i + 1] = (uint8_t)from[i];
    }
    *out = (ehm_bytes){p, (size_t)head + n * size};
    return EHM_OK;
}

ehm_code ehm_dataset_bytes(ehm_dataset *ds, int64_t i, ehm_bytes *out, ehm_arena *a, ehm_err *err) {
    EHM_TRY(in_range(ds, i, err));
    const joined *j = source_of(ds, i);
    ehm_source_data d;
    ehm_code rc = j->s->kind->read(j->s, i - j->first, &d, a, err);
    if (!rc && !d.has_image) *out = d.bytes;
    else if (!rc && ehm_image_can_write_png()) rc = ehm_png_encode(out, &d.image, a, err);
    else if (!rc) rc = ppm_bytes(out, &d.image, a, err);
    return told(rc, ds, i, err);
}

/* ---- summary ---- */

static int by_i32(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

typedef struct { const char *name; int64_t n; } tally;
static void count_in(tally *t, int32_t n_max, const char *name) {
    for (int32_t i = 0; i < n_max; i++) {
        if (!t[i].name) t[i].name = name;
        if (!strcmp(t[i].name, name)) {
            t[i].n++;
            return;
        }
    }
}

static void float_range(ehm_dataset *ds, int64_t i, ehm_data_summary *out, bool *any, ehm_arena *a) {
    ehm_sample s;
    ehm_err ignore = {0};
    if (ehm_dataset_read(ds, i, &s, 0, NULL, a, &ignore) || s.image.type != EHM_F32) return;
    const float *px = s.image.px;
    size_t n = (size_t)s.image.w * (size_t)s.image.h * (size_t)s.image.c;
    for (size_t k = 0; k < n; k++) {
        if (!isfinite(px[k])) continue;
        if (!*any || px[k] < out->value_min) out->value_min = px[k];
        if (!*any || px[k] > out->value_max) out->value_max = px[k];
        *any = true;
    }
}

typedef struct {
    tally format[16];
    tally channels[8];
    int64_t n_bad, n_alpha, n_icc;
    int64_t n_wide, n_tall;
    int32_t n_sides, sides[N_LOOK], least_w, least_h, most_w, most_h; /* of the pictures with the fewest and the most pixels */
    bool any_float;
} looked;

static int64_t area(int32_t w, int32_t h) { return (int64_t)w * h; }

static ehm_code look_at_sample(ehm_dataset *ds, ehm_data_summary *out, looked *k, ehm_err *err) {
    static const char *const channel_words[] = {"", "grey", "grey+alpha", "RGB", "RGBA"};
    ehm_arena a = {0};
    out->n_sampled = ds->n < N_LOOK ? ds->n : N_LOOK;
    ehm_code rc = EHM_OK;
    for (int64_t i = 0; i < out->n_sampled && !rc; i++) {
        ehm_image_info info;
        ehm_err one = {0};
        int64_t at = spread(ds, i, out->n_sampled);
        ehm_arena_reset(&a);
        if (ehm_stop_asked()) rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped while looking at pictures");
        if (ehm_dataset_size_of(ds, at, &info, &a, &one)) {
            k->n_bad++;
            continue;
        }
        bool first = k->n_sides == 0;
        if (first || area(info.w, info.h) < area(k->least_w, k->least_h)) k->least_w = info.w, k->least_h = info.h;
        if (area(info.w, info.h) > area(k->most_w, k->most_h)) k->most_w = info.w, k->most_h = info.h;
        k->n_wide += info.w > info.h, k->n_tall += info.w < info.h;
        if (first || info.w < out->min_w) out->min_w = info.w;
        if (first || info.h < out->min_h) out->min_h = info.h;
        if (info.w > out->max_w) out->max_w = info.w;
        if (info.h > out->max_h) out->max_h = info.h;
        k->sides[k->n_sides++] = info.w < info.h ? info.w : info.h;
        count_in(k->format, 16, info.format);
        count_in(k->channels, 8, info.c <= 4 ? channel_words[info.c] : "many channels");
        k->n_alpha += info.has_alpha;
        k->n_icc += info.has_icc;
        out->n_turned += info.orientation > 1;
        if (info.type == EHM_F32) float_range(ds, at, out, &k->any_float, &a);
    }
    ehm_arena_free(&a);
    return rc;
}

static void tally_text(ehm_str *b, const tally *t, int32_t n_max) {
    for (int32_t i = 0; i < n_max && t[i].name; i++)
        ehm_str_addf(b, "%s%s %lld", i ? ", " : "", t[i].name, (long long)t[i].n);
}

static const char *plural(int64_t n) { return n == 1 ? "" : "s"; }

/* "folder photos"; scenes say what they are themselves. */
static void source_text(ehm_str *b, const joined *j) {
    const char *kind = j->s->kind->name;
    size_t n = strlen(kind);
    bool said = !strncmp(j->spec, kind, n) && j->spec[n] == ':';
    ehm_str_addf(b, "%s%s%s", said ? "" : kind, said ? "" : " ", j->spec);
}

static void sizes_text(ehm_str *b, const ehm_data_summary *o, const looked *k) {
    ehm_str_addf(b, "\nsizes of %lld looked at: %dx%d to %dx%d", (long long)o->n_sampled, k->least_w, k->least_h, k->most_w, k->most_h);
    if (k->n_wide && k->n_tall) ehm_str_addf(b, " (%lld wide, %lld tall)", (long long)k->n_wide, (long long)k->n_tall);
    ehm_str_addf(b, ", median short side %d", o->median_short_side);
}

static void summary_text(const ehm_dataset *ds, ehm_data_summary *o, const looked *k) {
    ehm_str b = {0};
    char num[32];
    ehm_str_addf(&b, "%s picture%s", ehm_format_count(o->n, num), plural(o->n));
    for (int32_t i = 0; i < ds->n_sources && i < 4; i++) {
        ehm_str_add(&b, i ? ", " : " from ");
        source_text(&b, &ds->v[i]);
    }
    if (ds->n_sources > 4) ehm_str_addf(&b, ", and %d more", ds->n_sources - 4);
    if (o->n_ignored) ehm_str_addf(&b, "\n%s other file%s ignored", ehm_format_count(o->n_ignored, num), o->n_ignored == 1 ? " is" : "s are");
    if (o->n_left_out) {
        ehm_str_addc(&b, '\n');
        left_out_text(ds, &b);
    }
    int64_t n_none = 0;
    for (int64_t i = 0; i < ds->n; i++) n_none += ds->labels[i] < 0;
    if (o->n_classes) {
        ehm_str_addf(&b, "\n%d class%s, ", o->n_classes, o->n_classes == 1 ? "" : "es");
        if (o->n_per_class_min < o->n_per_class_max) ehm_str_addf(&b, "%lld to ", (long long)o->n_per_class_min);
        ehm_str_addf(&b, "%lld picture%s each", (long long)o->n_per_class_max, plural(o->n_per_class_max));
        if (n_none) ehm_str_addf(&b, "; %lld picture%s none", (long long)n_none, n_none == 1 ? " has" : "s have");
        ehm_str_addf(&b, ": ");
        for (int32_t i = 0; i < o->n_classes && i < 10; i++)
            ehm_str_addf(&b, "%s%.40s", i ? ", " : "", ds->classes[i]);
        if (o->n_classes > 10) ehm_str_add(&b, ", ...");
    } else {
        ehm_str_add(&b, "\nno labels");
    }
    sizes_text(&b, o, k);
    ehm_str_add(&b, "\nformats: ");
    tally_text(&b, k->format, 16);
    ehm_str_add(&b, "\nchannels: ");
    tally_text(&b, k->channels, 8);
    ehm_str_addf(&b, "; read as %d, %s", o->channels, ds->is_u8 ? "8 bit" : "float");
    if (k->any_float)
        ehm_str_addf(&b, "\nfloating-point values from %g to %g, taken as they are", (double)o->value_min,
                     (double)o->value_max);
    if (k->n_alpha)
        ehm_str_addf(&b, "\n%lld %s an alpha channel: %s", (long long)k->n_alpha, k->n_alpha == 1 ? "has" : "have",
                     ds->opt.alpha ? ds->opt.alpha : "drop");
    if (k->n_icc) ehm_str_addf(&b, "\n%lld %s a colour profile, which is ignored", (long long)k->n_icc, k->n_icc == 1 ? "has" : "have");
    if (o->n_turned)
        ehm_str_addf(&b, "\n%lld of those looked at %s turned by EXIF orientation, which is ignored; exiftran -ai or mogrify -auto-orient turns the files upright",
                     (long long)o->n_turned, o->n_turned == 1 ? "is" : "are");
    if (o->has_label_maps)
        ehm_str_addf(&b, "\nlabel maps of %d classes, value %d ignored", ds->n_map_classes, ds->ignore_label);
    if (o->has_boxes) ehm_str_addf(&b, "\nboxes of %d classes", ds->n_box_classes);
    if (k->n_bad)
        ehm_str_addf(&b, "\n%lld of those looked at cannot be read; ehm data --check names them",
                     (long long)k->n_bad);
    snprintf(o->text, sizeof o->text, "%s", ehm_str_c(&b));
    ehm_str_free(&b);
}

ehm_code ehm_dataset_summary(ehm_dataset *ds, ehm_data_summary *out, ehm_err *err) {
    *out = (ehm_data_summary){.n = ds->n,
                              .n_ignored = ds->n_ignored,
                              .n_left_out = ehm_dataset_n_left_out(ds),
                              .n_classes = ds->n_classes,
                              .channels = ds->channels,
                              .type = ds->is_u8 ? EHM_U8 : EHM_F32};
    for (int32_t k = 0; k < ds->n_sources; k++) {
        out->has_label_maps |= ds->v[k].s->has_label_maps;
        out->has_boxes |= ds->v[k].s->has_boxes;
    }
    if (ds->n_classes) {
        int64_t *n = calloc((size_t)ds->n_classes, sizeof *n);
        if (!n) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d classes", ds->n_classes);
        for (int64_t i = 0; i < ds->n; i++) {
            if (ds->labels[i] >= 0) n[ds->labels[i]]++;
        }
        out->n_per_class_min = n[0];
        for (int32_t c = 0; c < ds->n_classes; c++) {
            if (n[c] < out->n_per_class_min) out->n_per_class_min = n[c];
            if (n[c] > out->n_per_class_max) out->n_per_class_max = n[c];
        }
        free(n);
    }
    looked *k = calloc(1, sizeof *k);
    if (!k) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a summary");
    ehm_code rc = look_at_sample(ds, out, k, err);
    if (!rc) {
        qsort(k->sides, (size_t)k->n_sides, sizeof *k->sides, by_i32);
        out->median_short_side = k->n_sides ? k->sides[k->n_sides / 2] : 0;
        out->has_icc = k->n_icc > 0;
        summary_text(ds, out, k);
    }
    free(k);
    return rc;
}
