/* Which models are compared, and which of them differ by their seed alone. */
#include "base/file.h"
#include "eval/compare.h"
#include "infer/source.h"
#include "runs/run.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char untrained[] = "untrained:";

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the list of models"); }

/* The run folder that a spec names, NULL for presets and files. */
static const char *run_of(const char *spec) {
    const char *dir = ehm_starts(spec, untrained) ? spec + strlen(untrained) : spec;
    return ehm_run_is_folder(dir) ? dir : NULL;
}

/* A run folder is its model.safetensors. */
static const char *same_as(const char *spec, ehm_arena *a) {
    char real[PATH_MAX];
    bool start = ehm_starts(spec, untrained);
    const char *path = start ? spec + strlen(untrained) : spec;
    if (!realpath(path, real)) return spec;
    if (start) return ehm_run_is_folder(path) ? ehm_arena_printf(a, "%s%s", untrained, real) : spec;
    return ehm_dir_exists(real) ? ehm_path_join(a, real, "model.safetensors") : ehm_arena_strdup(a, real);
}

/* ---- settings of a run ---- */

static const ehm_json *value_of(const ehm_json *s) {
    const ehm_json *v = s->kind == EHM_JSON_OBJ ? ehm_json_get(s, "value") : s;
    return v ? v : s;
}

/* What says nothing about the result, or follows from data, machine and seed. Data is told by its hash; a batch of another size is another training, whoever
 * chose it. */
static bool is_passed_over(const ehm_json *s, bool has_hash) {
    static const char *const keys[] = {"seed", "out", "workers", "cache", "tree_log", "tree_labels"};
    const char *from = ehm_json_str_or(s, "origin", "");
    int32_t i = ehm_setting_find(s->key);
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        if (!strcmp(s->key, keys[k])) return true;
    if (!strcmp(s->key, "data")) return has_hash;
    if (!strcmp(s->key, "batch_size")) return false;
    if (!strcmp(from, "machine") || !strcmp(from, "data")) return true;
    return i >= 0 && strcmp(s->key, "dtype") && ehm_in_groups("common,folder,overwrite,loading,live", ehm_settings[i].group);
}

static void add_value(ehm_str *t, const ehm_json *v) {
    switch (v->kind) {
    case EHM_JSON_NULL: ehm_str_add(t, "null"); break;
    case EHM_JSON_BOOL: ehm_str_add(t, v->num != 0 ? "true" : "false"); break;
    case EHM_JSON_NUM:
    case EHM_JSON_STR: ehm_str_add(t, v->str); break;
    default:
        for (const ehm_json *e = v->first; e; e = e->next) add_value(t, e), ehm_str_addc(t, ',');
    }
}

static ehm_code read_settings(ehm_compare_model *m, const char *dir, ehm_arena *a, ehm_err *err) {
    ehm_arena scratch = {0};
    ehm_str t = {0};
    ehm_json *root;
    char *path = ehm_path_join(&scratch, dir, "config.json");
    ehm_code rc = path ? ehm_json_read_file(&root, path, &scratch, err) : no_memory(err);
    const ehm_json *settings = rc ? NULL : ehm_json_get(root, "settings"), *seed = ehm_json_get(settings, "seed");
    const char *hash = rc ? NULL : ehm_json_str_or(ehm_json_get(root, "data"), "hash", NULL);
    if (!rc && seed && value_of(seed)->kind == EHM_JSON_NUM && value_of(seed)->is_int) { /* else it is not known what makes it a group */
        m->seed = value_of(seed)->i64;
        ehm_str_addf(&t, "%s%s\n", m->spec == dir ? "" : untrained, hash ? hash : "");
        for (const ehm_json *s = settings->first; s; s = s->next) {
            if (is_passed_over(s, hash != NULL)) continue;
            ehm_str_addf(&t, "%s=", s->key), add_value(&t, value_of(s)), ehm_str_addc(&t, '\n');
        }
        m->settings = t.failed ? NULL : ehm_arena_strdup(a, ehm_str_c(&t));
        if (!m->settings) rc = no_memory(err);
    }
    ehm_str_free(&t);
    ehm_arena_free(&scratch);
    return rc;
}

/* ---- groups ---- */

/* "runs/a_s{0,1,2}": what the names share, and the rest in braces. */
static char *label_of(const ehm_compare_models *ms, const ehm_compare_group *g, ehm_arena *a) {
    const char *first = ms->model[g->model[0]].spec;
    size_t head = strlen(first), tail = head;
    ehm_str t = {0};
    if (g->n == 1) return ehm_arena_strdup(a, first);
    for (int32_t i = 1; i < g->n; i++) {
        const char *s = ms->model[g->model[i]].spec;
        size_t n = 0, len = strlen(s);
        while (n < head && s[n] == first[n]) n++;
        head = n;
        for (n = 0; n < tail && n < len - head && first[strlen(first) - 1 - n] == s[len - 1 - n];) n++;
        tail = n;
    }
    for (int32_t i = 0; i < g->n; i++) { /* a tail may not reach into the head */
        size_t len = strlen(ms->model[g->model[i]].spec);
        if (tail > len - head) tail = len - head;
    }
    ehm_str_addn(&t, first, head), ehm_str_addc(&t, '{');
    for (int32_t i = 0; i < g->n; i++) {
        const char *s = ms->model[g->model[i]].spec;
        if (i) ehm_str_addc(&t, ',');
        ehm_str_addn(&t, s + head, strlen(s) - head - tail);
    }
    ehm_str_addf(&t, "}%s", first + strlen(first) - tail);
    char *text = t.failed ? NULL : ehm_arena_strdup(a, ehm_str_c(&t));
    ehm_str_free(&t);
    return text;
}

static bool has_seed(const ehm_compare_models *ms, const ehm_compare_group *g, int64_t seed) {
    for (int32_t i = 0; i < g->n; i++)
        if (ms->model[g->model[i]].seed == seed) return true;
    return false;
}

static ehm_code make_groups(ehm_compare_models *ms, ehm_arena *a, ehm_err *err) {
    if (!(ms->group = EHM_NEW_N(a, ehm_compare_group, ms->n_models))) return no_memory(err);
    for (int32_t i = 0; i < ms->n_models; i++) {
        ehm_compare_model *m = &ms->model[i];
        int32_t k = 0;
        for (; k < ms->n_groups; k++) {
            const ehm_compare_model *first = &ms->model[ms->group[k].model[0]];
            /* The same seed again is no further seed. */
            if (m->settings && first->settings && !strcmp(m->settings, first->settings) && !has_seed(ms, &ms->group[k], m->seed)) break;
        }
        ehm_compare_group *g = &ms->group[k];
        if (k == ms->n_groups) {
            ms->n_groups++;
            if (!(g->model = EHM_NEW_N(a, int32_t, ms->n_models))) return no_memory(err);
        }
        int32_t at = g->n++;
        while (at && ms->model[g->model[at - 1]].seed > m->seed) g->model[at] = g->model[at - 1], at--;
        g->model[at] = i, m->group = k;
    }
    for (int32_t k = 0; k < ms->n_groups; k++)
        if (!(ms->group[k].label = label_of(ms, &ms->group[k], a))) return no_memory(err);
    return EHM_OK;
}

ehm_code ehm_compare_models_of(ehm_compare_models *out, const ehm_strs *specs, ehm_arena *a, ehm_err *err) {
    *out = (ehm_compare_models){.model = EHM_NEW_N(a, ehm_compare_model, specs->n + 1)};
    if (!out->model) return no_memory(err);
    if (specs->n < 2) {
        EHM_HINT(err, "ehm eval TASK --model %s measures one", specs->n ? specs->v[0] : "M");
        return EHM_FAIL(err, EHM_E_CONFIG, "two or more models are compared, and %s given", specs->n ? "one was" : "none was");
    }
    for (int32_t i = 0; i < specs->n; i++) {
        ehm_compare_model *m = &out->model[out->n_models++];
        ehm_model_source s;
        const char *dir = run_of(specs->v[i]);
        m->spec = specs->v[i];
        if (!(m->same_as = same_as(m->spec, a))) return no_memory(err);
        for (int32_t k = 0; k < i; k++)
            if (!strcmp(out->model[k].same_as, m->same_as))
                return EHM_FAIL(err, EHM_E_CONFIG, "%s: is given twice%s%s", m->spec, strcmp(out->model[k].spec, m->spec) ? ", the other time as " : "",
                                strcmp(out->model[k].spec, m->spec) ? out->model[k].spec : "");
        EHM_TRY(ehm_model_source_open(&s, m->spec, err));
        m->channels = s.info.shape.channels;
        ehm_model_source_close(&s);
        if (m->channels != out->model[0].channels)
            return EHM_FAIL(err, EHM_E_MISMATCH, "%s takes %d channels and %s takes %d: they cannot look at the same pictures", out->model[0].spec,
                            (int)out->model[0].channels, m->spec, (int)m->channels);
        if (dir) EHM_TRY(read_settings(m, dir, a, err));
    }
    return make_groups(out, a, err);
}
