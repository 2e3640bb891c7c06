#include "base/settings.h"
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const ehm_setting ehm_settings[EHM_SETTINGS_N] = {
#define ROW(g, k, K) .group = #g, .key = #k, .kind = K, .offset = offsetof(ehm_config, k)
#define SET_I64(g, k, def, least, most, u, text, from)                                                       \
    {ROW(g, k, EHM_SET_I64), .def_i64 = def, .lo_i64 = least, .hi_i64 = most, .unit = u,                     \
     .help = text,           .source = from},
#define SET_F64(g, k, def, least, most, u, text, from)                                                       \
    {ROW(g, k, EHM_SET_F64), .def_f64 = def, .lo = least, .hi = most, .unit = u,                             \
     .help = text,           .source = from},
#define SET_BOOL(g, k, def, text, from)                                                                      \
    {ROW(g, k, EHM_SET_BOOL), .def_bool = def, .help = text, .source = from},
#define SET_STR(g, k, def, words, holder, text, from) \
    {ROW(g, k, EHM_SET_STR), .def_str = def, .choices = words, .unit = holder, .help = text, .source = from},
#define SET_LIST(g, k, holder, text, from)                                                                   \
    {ROW(g, k, EHM_SET_LIST), .unit = holder, .help = text, .source = from},
#include "base/settings.def"
#undef SET_I64
#undef SET_F64
#undef SET_BOOL
#undef SET_STR
#undef SET_LIST
};

enum { KEY_MAX = 64 };

static void *field(ehm_config *c, int32_t i) { return (char *)c + ehm_settings[i].offset; }
static const void *field_of(const ehm_config *c, int32_t i) {
    return (const char *)c + ehm_settings[i].offset;
}

const char *ehm_origin_name(ehm_origin o) {
    static const char *const names[] = {"default", "recipe",      "preset", "data",
                                        "machine", "config file", "flag",   "resume"};
    return (unsigned)o < sizeof names / sizeof *names ? names[o] : "unknown";
}

void ehm_config_init(ehm_config *c) {
    memset(c, 0, sizeof *c);
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        const ehm_setting *s = &ehm_settings[i];
        switch (s->kind) {
        case EHM_SET_I64: *(int64_t *)field(c, i) = s->def_i64; break;
        case EHM_SET_F64: *(double *)field(c, i) = s->def_f64; break;
        case EHM_SET_BOOL: *(bool *)field(c, i) = s->def_bool; break;
        case EHM_SET_STR: *(const char **)field(c, i) = s->def_str; break;
        case EHM_SET_LIST: break;
        }
    }
}

static bool same_name(const char *key, const char *name) {
    for (; *key && *name; key++, name++)
        if (*key != (*name == '-' ? '_' : *name)) return false;
    return *key == *name;
}

int32_t ehm_setting_find(const char *name) {
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++)
        if (same_name(ehm_settings[i].key, name)) return i;
    return -1;
}

bool ehm_in_groups(const char *groups, const char *group) {
    size_t n = strlen(group);
    if (!groups) return true;
    for (const char *p = groups; *p;) {
        p += strspn(p, ", ");
        size_t m = strcspn(p, ", ");
        if (m == n && !memcmp(p, group, n)) return true;
        p += m;
    }
    return false;
}

/* "--mask-ratio" for a flag, "mask_ratio" elsewhere: as the user wrote it. */
static const char *spelled(char out[KEY_MAX + 3], const char *key, ehm_origin from) {
    snprintf(out, KEY_MAX + 3, "%s%.*s", from == EHM_FROM_FLAG ? "--" : "", KEY_MAX, key);
    if (from == EHM_FROM_FLAG)
        for (char *p = out; *p; p++)
            if (*p == '_') *p = '-';
    return out;
}

static ehm_code unknown_key(const char *name, ehm_origin from, ehm_err *err) {
    const char *keys[EHM_SETTINGS_N];
    char word[KEY_MAX + 1], shown[KEY_MAX + 3];
    snprintf(word, sizeof word, "%s", name);
    for (char *p = word; *p; p++)
        if (*p == '-') *p = '_';
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) keys[i] = ehm_settings[i].key;
    const char *near = ehm_nearest(word, keys, EHM_SETTINGS_N);
    EHM_FAIL(err, EHM_E_CONFIG, "%s: there is no such setting", spelled(shown, name, from));
    if (near) EHM_HINT(err, "did you mean %s?", spelled(shown, near, from));
    return EHM_E_CONFIG;
}

/* "wrong value" with all that is needed to write a right one. */
static ehm_code wrong(const ehm_setting *s, const char *text, ehm_origin from, ehm_err *err) {
    char name[KEY_MAX + 3], range[96] = "";
    spelled(name, s->key, from);
    const char *or_auto = "";
    switch (s->kind) {
    case EHM_SET_I64:
        if (s->def_i64 == EHM_AUTO_I64) or_auto = " or auto";
        if (s->hi_i64 == INT64_MAX) snprintf(range, sizeof range, "a whole number from %" PRId64, s->lo_i64);
        else
            snprintf(range, sizeof range, "a whole number from %" PRId64 " to %" PRId64, s->lo_i64,
                     s->hi_i64);
        break;
    case EHM_SET_F64:
        if (ehm_is_auto_f64(s->def_f64)) or_auto = " or auto";
        snprintf(range, sizeof range, "a number from %.9g to %.9g", s->lo, s->hi);
        break;
    case EHM_SET_BOOL: snprintf(range, sizeof range, "true or false"); break;
    case EHM_SET_STR:
    case EHM_SET_LIST: snprintf(range, sizeof range, "a %s", s->unit); break;
    }
    if (s->kind == EHM_SET_STR && s->choices)
        EHM_FAIL(err, EHM_E_CONFIG, "%s %.200s: must be one of %s", name, text, s->choices);
    else if ((s->kind == EHM_SET_I64 || s->kind == EHM_SET_F64) && s->unit)
        EHM_FAIL(err, EHM_E_CONFIG, "%s %.200s: must be %s%s (%s)", name, text, range, or_auto, s->unit);
    else
        EHM_FAIL(err, EHM_E_CONFIG, "%s %.200s: must be %s%s", name, *text ? text : "(empty)", range,
                 or_auto);
    return EHM_E_CONFIG;
}

static bool choice_ok(const char *choices, const char *text) {
    size_t n = strlen(text);
    for (const char *p = choices; *p;) {
        size_t m = strcspn(p, "|");
        if (m == n && !memcmp(p, text, n)) return true;
        p += m + (p[m] == '|');
    }
    return false;
}

static void hint_choice(const ehm_setting *s, const char *text, ehm_err *err) {
    char copy[256];
    const char *v[32];
    int32_t n = 0;
    snprintf(copy, sizeof copy, "%s", s->choices);
    for (char *save, *p = strtok_r(copy, "|", &save); p && n < 32; p = strtok_r(NULL, "|", &save)) v[n++] = p;
    const char *near = ehm_nearest(text, v, n);
    if (near) EHM_HINT(err, "did you mean %s?", near);
}

static bool parse_bool(const char *t, bool *out) {
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
    for (int i = 0; i < 4; i++) {
        if (!strcmp(t, yes[i])) return *out = true, true;
        if (!strcmp(t, no[i])) return *out = false, true;
    }
    return false;
}

/* Whole numbers may be written 1e6; what is not whole or not exact in a double is refused. */
static bool parse_whole(const char *t, int64_t *out) {
    double d;
    if (ehm_parse_i64(t, out)) return true;
    if (!ehm_parse_f64(t, &d) || d != floor(d) || fabs(d) > 9007199254740992.0) return false;
    *out = (int64_t)d;
    return true;
}

static ehm_code no_memory(const ehm_setting *s, ehm_err *err) {
    return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to keep its value", s->key);
}

static ehm_code append(ehm_strs *list, bool fresh, const char *text, ehm_arena *a) {
    int32_t n = fresh ? 0 : list->n;
    const char *copy = ehm_arena_strdup(a, text), **v = list->v;
    if (!copy || n == INT32_MAX / 2) return EHM_E_MEMORY;
    if (n < 4 ? n == 0 : (n & (n - 1)) == 0) { /* places: 4, then doubled at each power of two */
        v = EHM_NEW_N(a, const char *, n < 4 ? 4 : n * 2);
        if (!v) return EHM_E_MEMORY;
        if (n) memcpy(v, list->v, (size_t)n * sizeof *v);
    }
    v[n] = copy;
    *list = (ehm_strs){v, n + 1};
    return EHM_OK;
}

ehm_code ehm_config_set(ehm_config *c, const char *name, const char *text, ehm_origin from, ehm_arena *a,
                        ehm_err *err) {
    int32_t i = ehm_setting_find(name);
    if (i < 0) return unknown_key(name, from, err);
    const ehm_setting *s = &ehm_settings[i];
    void *p = field(c, i);
    bool keep = from < c->origin[i], is_auto = !strcmp(text, "auto"), b = false;
    int64_t v = 0;
    double d = 0;
    /* Judged even where a stronger origin keeps its own: a mistake in a file stays a mistake. */
    switch (s->kind) {
    case EHM_SET_I64:
        if (is_auto && s->def_i64 == EHM_AUTO_I64) v = EHM_AUTO_I64;
        else if (!parse_whole(text, &v) || v < s->lo_i64 || v > s->hi_i64) return wrong(s, text, from, err);
        if (!keep) *(int64_t *)p = v;
        break;
    case EHM_SET_F64:
        if (is_auto && ehm_is_auto_f64(s->def_f64)) d = EHM_AUTO_F64;
        else if (!ehm_parse_f64(text, &d) || d < s->lo || d > s->hi) return wrong(s, text, from, err);
        if (!keep) *(double *)p = d;
        break;
    case EHM_SET_BOOL:
        if (!parse_bool(text, &b)) return wrong(s, text, from, err);
        if (!keep) *(bool *)p = b;
        break;
    case EHM_SET_STR:
        if (!*text || (s->choices && !choice_ok(s->choices, text))) {
            wrong(s, text, from, err);
            if (s->choices) hint_choice(s, text, err);
            return EHM_E_CONFIG;
        }
        if (!keep && !(*(const char **)p = ehm_arena_strdup(a, text))) return no_memory(s, err);
        break;
    case EHM_SET_LIST:
        if (!*text) return wrong(s, text, from, err);
        if (!keep && append(p, from > c->origin[i], text, a)) return no_memory(s, err);
        break;
    }
    if (!keep) c->origin[i] = (uint8_t)from;
    return EHM_OK;
}

const char *ehm_config_text(const ehm_config *c, int32_t i, ehm_str *buf) {
    const void *p = field_of(c, i);
    ehm_json_w w = {.out = buf};
    ehm_str_clear(buf);
    switch (ehm_settings[i].kind) {
    case EHM_SET_I64:
        if (EHM_IS_AUTO(*(const int64_t *)p)) ehm_str_add(buf, "auto");
        else ehm_json_i64(&w, *(const int64_t *)p);
        break;
    case EHM_SET_F64:
        if (ehm_is_auto_f64(*(const double *)p)) ehm_str_add(buf, "auto");
        else ehm_json_f64(&w, *(const double *)p);
        break;
    case EHM_SET_BOOL: ehm_str_add(buf, *(const bool *)p ? "true" : "false"); break;
    case EHM_SET_STR:
        if (*(const char *const *)p) ehm_str_add(buf, *(const char *const *)p);
        break;
    case EHM_SET_LIST: {
        const ehm_strs *l = p;
        for (int32_t k = 0; k < l->n; k++) {
            if (k) ehm_str_addc(buf, ',');
            ehm_str_add(buf, l->v[k]);
        }
    }
    }
    return ehm_str_c(buf);
}

const char *ehm_config_show(const ehm_config *c, int32_t i, ehm_str *buf) {
    double v;
    if (ehm_settings[i].kind != EHM_SET_F64) return ehm_config_text(c, i, buf);
    memcpy(&v, field_of(c, i), sizeof v);
    if (ehm_is_auto_f64(v)) return ehm_config_text(c, i, buf);
    ehm_str_clear(buf);
    ehm_str_addf(buf, "%.6g", v);
    return ehm_str_c(buf);
}

/* ---- JSON ---- */

/* These say what one call of the program does; stored, they would make a stored file print itself. */
static bool is_of_the_call(int32_t i) {
    return i == EHM_SETI_config || i == EHM_SETI_print_config || i == EHM_SETI_dry_run ||
           !strcmp(ehm_settings[i].group, "help");
}

static ehm_code wrong_type(const char *name, const ehm_setting *s, ehm_err *err) {
    static const char *const want[] = {"a whole number", "a number", "true or false", "a string",
                                       "a string or a list of strings"};
    return EHM_FAIL(err, EHM_E_CONFIG, "%s: \"%s\" must be %s", name, s->key, want[s->kind]);
}

/* A scalar as text, NULL when it is none. */
static const char *scalar_text(const ehm_json *v) {
    if (v->kind == EHM_JSON_STR || v->kind == EHM_JSON_NUM) return v->str;
    return v->kind == EHM_JSON_BOOL ? (v->num != 0 ? "true" : "false") : NULL;
}

static ehm_code set_list(ehm_config *c, int32_t i, const ehm_json *v, const char *name, ehm_origin from,
                         ehm_arena *a, ehm_err *err) {
    const ehm_setting *s = &ehm_settings[i];
    if (s->kind == EHM_SET_LIST) {
        for (const ehm_json *e = v->first; e; e = e->next) {
            if (e->kind != EHM_JSON_STR) return wrong_type(name, s, err);
            EHM_TRY(ehm_config_set(c, s->key, e->str, from, a, err));
        }
        return EHM_OK;
    }
    /* Strings such as mean are lists of numbers in their own spelling. */
    if (s->kind != EHM_SET_STR || s->choices) return wrong_type(name, s, err);
    ehm_str text = {0};
    for (const ehm_json *e = v->first; e; e = e->next) {
        const char *t = scalar_text(e);
        if (!t) {
            ehm_str_free(&text);
            return wrong_type(name, s, err);
        }
        if (e != v->first) ehm_str_addc(&text, ',');
        ehm_str_add(&text, t);
    }
    ehm_code rc = text.failed ? no_memory(s, err) : ehm_config_set(c, s->key, ehm_str_c(&text), from, a, err);
    ehm_str_free(&text);
    return rc;
}

static ehm_code set_from(ehm_config *c, const ehm_json *v, const char *name, ehm_origin from, bool *seen,
                         ehm_arena *a, ehm_err *err) {
    int32_t i = ehm_setting_find(v->key);
    if (i < 0) return unknown_key(v->key, from, err);
    const ehm_setting *s = &ehm_settings[i];
    if (seen[i]) return EHM_FAIL(err, EHM_E_CONFIG, "%s: \"%s\" is given twice", name, s->key);
    seen[i] = true;
    if (is_of_the_call(i))
        return EHM_FAIL(err, EHM_E_CONFIG, "%s: \"%s\" belongs on the command line, not in a file", name,
                        s->key);
    if (v->kind == EHM_JSON_OBJ && ehm_json_get(v, "value")) v = ehm_json_get(v, "value"); /* as printed with origins */
    if (v->kind == EHM_JSON_NULL) return EHM_OK; /* "none", as printed for a string without value */
    if (v->kind == EHM_JSON_ARR) return set_list(c, i, v, name, from, a, err);
    bool fits = v->kind == EHM_JSON_STR || (v->kind == EHM_JSON_BOOL && s->kind == EHM_SET_BOOL) ||
                (v->kind == EHM_JSON_NUM && (s->kind == EHM_SET_I64 || s->kind == EHM_SET_F64 ||
                                             (s->kind == EHM_SET_STR && !s->choices)));
    return fits ? ehm_config_set(c, s->key, scalar_text(v), from, a, err) : wrong_type(name, s, err);
}

static bool is_group(const char *name) {
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++)
        if (!strcmp(ehm_settings[i].group, name)) return true;
    return false;
}

ehm_code ehm_config_from_json(ehm_config *c, const ehm_json *obj, const char *name, ehm_origin from,
                              ehm_arena *a, ehm_err *err) {
    bool seen[EHM_SETTINGS_N] = {0};
    ehm_code rc = EHM_OK;
    bool fits = obj && obj->kind == EHM_JSON_OBJ;
    if (!fits) rc = EHM_FAIL(err, EHM_E_CONFIG, "%s: must hold one JSON object of settings", name);
    for (const ehm_json *v = fits ? obj->first : NULL; v && !rc; v = v->next) {
        /* "data", "model" and others are both a group and a key of their own: an object without "value" is the group. */
        if (v->kind == EHM_JSON_OBJ && !ehm_json_get(v, "value") && is_group(v->key)) {
            for (const ehm_json *e = v->first; e && !rc; e = e->next) {
                int32_t i = ehm_setting_find(e->key);
                if (i >= 0 && strcmp(ehm_settings[i].group, v->key))
                    rc = EHM_FAIL(err, EHM_E_CONFIG,
                                  "%s: \"%s\" stands in the group \"%s\" but belongs to \"%s\"", name, e->key,
                                  v->key, ehm_settings[i].group);
                else rc = set_from(c, e, name, from, seen, a, err);
            }
        } else rc = set_from(c, v, name, from, seen, a, err);
    }
    if (rc) EHM_WHILE(err, "reading settings from %s", name);
    return rc;
}

/* ---- a run's config.json ---- */

static bool is_of_a_run(const ehm_json *root) {
    const ehm_json *settings = ehm_json_get(root, "settings");
    return settings && settings->kind == EHM_JSON_OBJ && ehm_json_get(root, "format") && ehm_json_get(root, "version");
}

static bool is_fact(const char *key) {
    static const char *const facts[] = {"format", "version", "settings", "shape", "parameters", "data", "schedule", "machine"};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (!strcmp(facts[i], key)) return true;
    return false;
}

/* Where a run is written and whether it goes on: another run that is made like it has its own. */
static bool is_of_one_run(int32_t i) {
    static const int32_t own[] = {EHM_SETI_out,  EHM_SETI_resume, EHM_SETI_overwrite, EHM_SETI_extend,
                                  EHM_SETI_json, EHM_SETI_quiet,  EHM_SETI_verbose,   EHM_SETI_color};
    for (size_t k = 0; k < sizeof own / sizeof *own; k++)
        if (own[k] == i) return true;
    return false;
}

/* Not chosen by anyone: it would hide what another recipe, set or machine asks for. */
static bool followed(const ehm_json *setting) {
    const char *origin = ehm_json_str_or(setting, "origin", "");
    for (int o = EHM_FROM_DEFAULT; o <= EHM_FROM_MACHINE; o++)
        if (!strcmp(origin, ehm_origin_name((ehm_origin)o))) return true;
    return false;
}

static ehm_code config_of_run(ehm_config *c, const ehm_json *root, const char *path, ehm_origin from, ehm_arena *a, ehm_err *err) {
    bool seen[EHM_SETTINGS_N] = {0};
    ehm_code rc = EHM_OK;
    for (const ehm_json *v = root->first; v && !rc; v = v->next)
        if (!is_fact(v->key)) rc = unknown_key(v->key, from, err);
    for (const ehm_json *v = ehm_json_get(root, "settings")->first; v && !rc; v = v->next) {
        int32_t i = ehm_setting_find(v->key);
        if (i < 0 || !(is_of_one_run(i) || followed(v))) rc = set_from(c, v, path, from, seen, a, err);
    }
    if (rc) EHM_WHILE(err, "reading settings from %s", path);
    return rc;
}

ehm_code ehm_config_read(ehm_config *c, const char *path, ehm_origin from, ehm_arena *a, ehm_err *err) {
    ehm_json *root;
    EHM_TRY(ehm_json_read_file(&root, path, a, err));
    if (is_of_a_run(root)) return config_of_run(c, root, path, from, a, err);
    return ehm_config_from_json(c, root, path, from, a, err);
}

static void write_value(const ehm_config *c, int32_t i, ehm_json_w *w) {
    const void *p = field_of(c, i);
    switch (ehm_settings[i].kind) {
    case EHM_SET_I64:
        if (EHM_IS_AUTO(*(const int64_t *)p)) ehm_json_str(w, "auto");
        else ehm_json_i64(w, *(const int64_t *)p);
        break;
    case EHM_SET_F64:
        if (ehm_is_auto_f64(*(const double *)p)) ehm_json_str(w, "auto");
        else ehm_json_f64(w, *(const double *)p);
        break;
    case EHM_SET_BOOL: ehm_json_bool(w, *(const bool *)p); break;
    case EHM_SET_STR: ehm_json_str(w, *(const char *const *)p); break;
    case EHM_SET_LIST: {
        const ehm_strs *l = p;
        ehm_json_arr(w);
        for (int32_t k = 0; k < l->n; k++) ehm_json_str(w, l->v[k]);
        ehm_json_end(w);
    }
    }
}

void ehm_config_write(const ehm_config *c, const char *groups, bool with_origin, ehm_json_w *w) {
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        if (is_of_the_call(i) || !ehm_in_groups(groups, ehm_settings[i].group)) continue;
        ehm_json_key(w, ehm_settings[i].key);
        int32_t indent = w->indent;
        w->indent = 0; /* a setting is a line, also in an indented file */
        if (with_origin) {
            ehm_json_obj(w);
            ehm_json_key(w, "value");
        }
        write_value(c, i, w);
        if (with_origin) {
            ehm_json_key(w, "origin");
            ehm_json_str(w, ehm_origin_name((ehm_origin)c->origin[i]));
            ehm_json_end(w);
        }
        w->indent = indent;
    }
}

/* ---- set by code ---- */

/* A stronger origin keeps its value, unless that value is "auto": then it asked for exactly this. */
void ehm_config_put_i64(ehm_config *c, int32_t i, int64_t v, ehm_origin from) {
    EHM_ASSERT(ehm_settings[i].kind == EHM_SET_I64 || ehm_settings[i].kind == EHM_SET_BOOL);
    if (ehm_settings[i].kind == EHM_SET_BOOL) {
        if (from < c->origin[i]) return;
        *(bool *)field(c, i) = v != 0;
    } else {
        int64_t *p = field(c, i);
        if (from < c->origin[i] && !EHM_IS_AUTO(*p)) return;
        *p = v;
    }
    c->origin[i] = (uint8_t)from;
}

void ehm_config_put_f64(ehm_config *c, int32_t i, double v, ehm_origin from) {
    EHM_ASSERT(ehm_settings[i].kind == EHM_SET_F64);
    double *p = field(c, i);
    if (from < c->origin[i] && !ehm_is_auto_f64(*p)) return;
    *p = v;
    c->origin[i] = (uint8_t)from;
}

const ehm_own_setting *ehm_own_setting_find(const ehm_own_setting *own, int32_t i) {
    for (; own && own->i < EHM_SETTINGS_N; own++)
        if (own->i == i) return own;
    return NULL;
}

void ehm_config_put_own(ehm_config *c, const ehm_own_setting *own) {
    for (const ehm_own_setting *o = own; o && o->i < EHM_SETTINGS_N; o++) {
        double v;
        if (c->origin[o->i] == EHM_FROM_DEFAULT && ehm_own_setting_find(own, o->i) == o && o->value && ehm_parse_f64(o->value, &v))
            ehm_config_put_f64(c, o->i, v, EHM_FROM_DEFAULT);
    }
}

void ehm_config_put_str(ehm_config *c, int32_t i, const char *v, ehm_origin from) {
    EHM_ASSERT(ehm_settings[i].kind == EHM_SET_STR);
    const char **p = field(c, i);
    if (from < c->origin[i] && *p && strcmp(*p, "auto")) return;
    *p = v;
    c->origin[i] = (uint8_t)from;
}
