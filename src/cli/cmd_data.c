/* ehm data D: what a set of pictures is; --check reads every file, --export writes it out. */
#include "base/file.h"
#include "base/pool.h"
#include "cli/cli.h"
#include "data/data.h"
#include "data/inspect.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    const ehm_config *cfg;
    ehm_dataset *ds;
    ehm_pool *pool;
    ehm_arena *a;
    ehm_data_summary summary;
    bool checked, exported;
    ehm_data_checked check;
    ehm_twins twins;
    ehm_data_exported out;
} inspection;

static ehm_dataset_opt options(const ehm_config *c) {
    return (ehm_dataset_opt){.channels = EHM_IS_AUTO(c->channels) ? 0 : (int32_t)c->channels,
                             .alpha = c->alpha,
                             .limit = EHM_IS_AUTO(c->limit) ? 0 : c->limit,
                             .max_pixels = c->max_pixels,
                             .cache_dir = c->cache,
                             .ignore_label = -1};
}

static ehm_code check(inspection *k, ehm_err *err) {
    int64_t n = ehm_dataset_count(k->ds);
    ehm_print *prints = malloc((size_t)n * sizeof *prints);
    if (!prints) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to check %lld pictures", (long long)n);
    ehm_code rc = ehm_data_check(&k->check, k->ds, prints, k->pool, k->a, err);
    if (!rc) rc = ehm_prints_match(&k->twins, prints, n, NULL, 0, k->a, err);
    free(prints);
    k->checked = !rc;
    return rc;
}

/* Bad ones that were kept, then those that were left out of the set for their format. */
static int64_t n_bad(const inspection *k) { return k->check.n_bad + k->summary.n_left_out; }
static int64_t n_listed(const inspection *k) { return k->check.n_kept + k->summary.n_left_out; }

static const char *bad_name(const inspection *k, int64_t i) {
    return i < k->check.n_kept ? ehm_dataset_name(k->ds, k->check.bad[i].id) : ehm_dataset_left_out(k->ds, i - k->check.n_kept).name;
}

static const char *bad_reason(const inspection *k, int64_t i, ehm_str *buf) {
    if (i < k->check.n_kept) return k->check.bad[i].reason;
    const char *format = ehm_dataset_left_out(k->ds, i - k->check.n_kept).format, *how = ehm_image_conversion(format);
    ehm_str_clear(buf);
    ehm_str_addf(buf, "%s pictures cannot be read%s%s", format, how ? "; convert it first: " : "", how ? how : "");
    return ehm_str_c(buf);
}

static void json_result(const inspection *k, ehm_out *out) {
    ehm_str text = {0};
    ehm_json_w w = {.out = &text};
    const ehm_data_summary *s = &k->summary;
    ehm_json_obj(&w);
#define INT(name, value) ehm_json_key(&w, name), ehm_json_i64(&w, value)
    ehm_json_key(&w, "data");
    ehm_json_str(&w, ehm_dataset_spec(k->ds));
    ehm_json_key(&w, "hash");
    ehm_json_str(&w, ehm_dataset_hash(k->ds));
    INT("count", s->n);
    INT("ignored", s->n_ignored);
    INT("left_out", s->n_left_out);
    INT("channels", s->channels);
    ehm_json_key(&w, "type");
    ehm_json_str(&w, ehm_dtype_name(s->type));
    INT("looked_at", s->n_sampled);
    INT("min_width", s->min_w);
    INT("min_height", s->min_h);
    INT("max_width", s->max_w);
    INT("max_height", s->max_h);
    INT("median_short_side", s->median_short_side);
    INT("turned", s->n_turned);
    ehm_json_key(&w, "classes");
    ehm_json_arr(&w);
    int64_t *n = calloc((size_t)s->n_classes + 1, sizeof *n);
    for (int64_t i = 0; n && i < s->n; i++) {
        int32_t label = ehm_dataset_label(k->ds, i);
        if (label >= 0) n[label]++;
    }
    for (int32_t i = 0; n && i < s->n_classes; i++) {
        ehm_json_obj(&w);
        ehm_json_key(&w, "name");
        ehm_json_str(&w, ehm_dataset_class(k->ds, i));
        INT("count", n[i]);
        ehm_json_end(&w);
    }
    free(n);
    ehm_json_end(&w);
    INT("map_classes", ehm_dataset_n_map_classes(k->ds));
    INT("box_classes", ehm_dataset_n_box_classes(k->ds));
    if (k->checked) {
        INT("bad", n_bad(k));
        ehm_json_key(&w, "bad_files");
        ehm_json_arr(&w);
        ehm_str reason = {0};
        for (int64_t i = 0; i < n_listed(k); i++) {
            ehm_json_obj(&w);
            ehm_json_key(&w, "name");
            ehm_json_str(&w, bad_name(k, i));
            ehm_json_key(&w, "reason");
            ehm_json_str(&w, bad_reason(k, i, &reason));
            ehm_json_end(&w);
        }
        ehm_str_free(&reason);
        ehm_json_end(&w);
        INT("near_duplicates", k->twins.n_b);
        INT("near_duplicate_pairs", k->twins.n_pairs);
    }
    if (k->exported) {
        INT("exported", k->out.n - k->out.n_bad);
        INT("exported_maps", k->out.n_maps);
        INT("exported_boxes", k->out.n_boxes);
        INT("exported_captions", k->out.n_captions);
    }
#undef INT
    ehm_json_end(&w);
    ehm_out_json(out, &text);
    ehm_str_free(&text);
}

static void text_result(const inspection *k, ehm_out *out) {
    char num[32], secs[32];
    if (!k->cfg->quiet || !k->exported) ehm_out_addf(out, "%s\n", k->summary.text);
    if (k->checked) {
        ehm_out_addf(out, "checked: every file read in %s, %lld bad\n",
                     ehm_format_seconds(k->check.seconds, secs), (long long)n_bad(k));
        ehm_str reason = {0};
        for (int64_t i = 0; i < n_listed(k) && i < 20; i++) ehm_out_addf(out, "  %s: %s\n", bad_name(k, i), bad_reason(k, i, &reason));
        ehm_str_free(&reason);
        if (n_bad(k) > 20)
            ehm_out_addf(out, "  and %lld more; --json lists them\n", (long long)(n_bad(k) - 20));
        if (k->twins.n_b) {
            ehm_out_addf(out, "near-duplicates: %s pictures look like another one of the set\n",
                         ehm_format_count(k->twins.n_b, num));
            for (int64_t i = 0; i < k->twins.n_kept && i < 5; i++) {
                ehm_out_addf(out, "  %s and %s\n", ehm_dataset_name(k->ds, k->twins.pairs[i].a),
                             ehm_dataset_name(k->ds, k->twins.pairs[i].b));
            }
        } else {
            ehm_out_add(out, "near-duplicates: none found\n");
        }
    }
    if (!k->exported) return;
    ehm_out_addf(out, "exported: %lld pictures, %lld label maps, %lld boxes, %lld captions to %s\n",
                 (long long)(k->out.n - k->out.n_bad), (long long)k->out.n_maps, (long long)k->out.n_boxes,
                 (long long)k->out.n_captions, k->cfg->export);
}

/* Where several sets were given, a picture of one that looks like one of another is a leak between training
 * and test. */
static ehm_code warn_across(inspection *k, ehm_err *err) {
    if (!k->checked || k->cfg->data.n < 2 || !k->twins.n_pairs) return EHM_OK;
    ehm_dataset_opt opt = options(k->cfg);
    int64_t *first = EHM_NEW_N(k->a, int64_t, k->cfg->data.n + 1), n_across = 0;
    if (!first) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d sets", k->cfg->data.n);
    for (int32_t i = 0; i < k->cfg->data.n; i++) {
        ehm_dataset *one;
        ehm_strs path = {&k->cfg->data.v[i], 1};
        EHM_TRY(ehm_dataset_open(&one, &path, &opt, err));
        first[i + 1] = first[i] + ehm_dataset_count(one);
        ehm_dataset_close(one);
    }
    for (int64_t i = 0; i < k->twins.n_kept; i++) {
        int32_t of_a = 0, of_b = 0;
        while (of_a + 1 < k->cfg->data.n && k->twins.pairs[i].a >= first[of_a + 1]) of_a++;
        while (of_b + 1 < k->cfg->data.n && k->twins.pairs[i].b >= first[of_b + 1]) of_b++;
        n_across += of_a != of_b;
    }
    if (n_across)
        ehm_log(EHM_LOG_WARN,
                "%lld pairs of near-duplicates lie in different sets: measured on one after training on the "
                "other, results flatter",
                (long long)n_across);
    return EHM_OK;
}

static ehm_code inspect(inspection *k, ehm_out *out, ehm_err *err) {
    const ehm_config *c = k->cfg;
    ehm_dataset_opt opt = options(c);
    EHM_TRY(ehm_dataset_open(&k->ds, &c->data, &opt, err));
    EHM_TRY(ehm_dataset_summary(k->ds, &k->summary, err));
    int64_t n_threads = !EHM_IS_AUTO(c->workers)  ? c->workers
                        : EHM_IS_AUTO(c->threads) ? ehm_cpu_count()
                                                  : c->threads;
    if (c->check || c->export) EHM_TRY(ehm_pool_open(&k->pool, (int32_t)n_threads, err));
    if (c->check) EHM_TRY(check(k, err));
    EHM_TRY(warn_across(k, err));
    if (c->export && !c->dry_run) {
        EHM_TRY(ehm_data_export(&k->out, k->ds, c->export, k->pool, err));
        k->exported = true;
    }
    if (out->json) json_result(k, out);
    else text_result(k, out);
    if (!k->checked || !n_bad(k)) return EHM_OK;
    char bad[32], all[32];
    EHM_FAIL(err, EHM_E_FORMAT, "%s: %s of %s pictures cannot be read", ehm_dataset_spec(k->ds), ehm_format_count(n_bad(k), bad),
             ehm_format_count(k->check.n + k->summary.n_left_out, all));
    EHM_HINT(err, "training goes on without bad files up to a share of --max-bad");
    return EHM_E_FORMAT;
}

static ehm_code run(const ehm_config *cfg, ehm_out *out, ehm_err *err) {
    if (!cfg->data.n) {
        EHM_HINT(err, "ehm data PATH");
        return EHM_FAIL(err, EHM_E_CONFIG, "no pictures were named");
    }
    inspection k = {.cfg = cfg, .a = out->arena};
    ehm_code rc = inspect(&k, out, err);
    ehm_pool_close(k.pool);
    ehm_dataset_close(k.ds);
    return rc;
}

const ehm_command ehm_cmd_data = {
    .name = "data",
    .summary = "tells what a set of pictures holds; checks and exports it",
    .groups = "data,channels,read,dataset",
    .args = "PATH...",
    .n_args_max = -1,
    .args_key = "data",
    .usage = "[--check] [--export DIR]",
    .details = "Count, classes, sizes, channels and formats, from the file headers of up to 256 pictures "
               "spread over the set. With --check every file is "
               "decoded, bad ones are named with the reason, and near-duplicates are looked for; the exit code is 1 "
               "where a file is bad.\n\n"
               "--export writes images/CLASS/NNNNNN.png, label maps, boxes as COCO and captions as far as "
               "the set has them; the folder it makes is a set "
               "of pictures again.",
    .example = "ehm data scenes:1:64 --check\nehm data scenes:1:32 --export pictures\nehm data pictures",
    .run = run,
    .dry_runs = true,
};
