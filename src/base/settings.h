/* Settings: one table (settings.def) gives the struct field, default, flag, range check, JSON key, help text, docs and report.
 * Order: defaults, recipe, preset, config file, flags. The value's origin is kept and stored with a run.
 *
 *     ehm_config c; ehm_config_init(&c);
 *     ehm_config_set(&c, "mask_ratio", "0.8", EHM_FROM_FLAG, &arena, &err);   // checks range, names the near key
 *     c.mask_ratio
 *
 * Dashes and underscores in names are the same. "auto" (EHM_AUTO_I64, EHM_AUTO_F64) means: resolved later from data or machine.
 */
#ifndef EHM_BASE_SETTINGS_H
#define EHM_BASE_SETTINGS_H
#include "base/json.h"
#include "base/str.h"
#include <math.h>

#define EHM_AUTO_I64 INT64_MIN
#define EHM_AUTO_F64 ((double)NAN)
static inline bool ehm_is_auto_f64(double v) { return v != v; }
#define EHM_IS_AUTO(v) ((v) == EHM_AUTO_I64)

typedef enum { EHM_SET_I64, EHM_SET_F64, EHM_SET_BOOL, EHM_SET_STR, EHM_SET_LIST } ehm_set_kind;
typedef enum { EHM_FROM_DEFAULT = 0, EHM_FROM_RECIPE, EHM_FROM_PRESET, EHM_FROM_DATA, EHM_FROM_MACHINE, EHM_FROM_FILE, EHM_FROM_FLAG, EHM_FROM_RESUME } ehm_origin;
const char *ehm_origin_name(ehm_origin o); /* "default", "recipe", "preset", "data", "machine", "config file", "flag", "resume" */

enum {
#define SET_I64(group, key, def, lo, hi, unit, help, source) EHM_SETI_##key,
#define SET_F64(group, key, def, lo, hi, unit, help, source) EHM_SETI_##key,
#define SET_BOOL(group, key, def, help, source) EHM_SETI_##key,
#define SET_STR(group, key, def, choices, placeholder, help, source) EHM_SETI_##key,
#define SET_LIST(group, key, placeholder, help, source) EHM_SETI_##key,
#include "base/settings.def"
#undef SET_I64
#undef SET_F64
#undef SET_BOOL
#undef SET_STR
#undef SET_LIST
    EHM_SETTINGS_N
};

#ifdef __cplusplus
#define export export_ /* words of the language there; the fields have these names in C++ */
#define class class_
#endif
typedef struct {
#define SET_I64(group, key, def, lo, hi, unit, help, source) int64_t key;
#define SET_F64(group, key, def, lo, hi, unit, help, source) double key;
#define SET_BOOL(group, key, def, help, source) bool key;
#define SET_STR(group, key, def, choices, placeholder, help, source) const char *key;
#define SET_LIST(group, key, placeholder, help, source) ehm_strs key;
#include "base/settings.def"
#undef SET_I64
#undef SET_F64
#undef SET_BOOL
#undef SET_STR
#undef SET_LIST
    uint8_t origin[EHM_SETTINGS_N]; /* ehm_origin of each */
} ehm_config;
#ifdef __cplusplus
#undef export
#undef class
#endif

typedef struct {
    const char *group, *key; /* key with underscores */
    ehm_set_kind kind;
    size_t offset; /* into ehm_config */
    double def_f64, lo, hi; int64_t def_i64, lo_i64, hi_i64; bool def_bool; const char *def_str;
    const char *choices;     /* STR: "a|b|c" or NULL */
    const char *unit;        /* numbers: "epochs", "px"; STR and LIST: placeholder such as "DIR" */
    const char *help, *source;
} ehm_setting;
extern const ehm_setting ehm_settings[EHM_SETTINGS_N];

/* How one task takes a setting that others take too. A list of these ends with i EHM_SETTINGS_N; of two for one setting the
 * first holds. */
typedef struct {
    int32_t i;
    const char *value;       /* its default as text; NULL: the task refuses it */
    const char *help;        /* instead of the setting's; NULL: that holds */
    const char *source;      /* of the value; NULL: ours */
} ehm_own_setting;
const ehm_own_setting *ehm_own_setting_find(const ehm_own_setting *own, int32_t i); /* NULL: as everywhere; own may be NULL */
/* Own defaults that are numbers, of F64 settings, go where nothing else was said; the origin stays "default". own may be NULL. */
void ehm_config_put_own(ehm_config *c, const ehm_own_setting *own);

void ehm_config_init(ehm_config *c);
int32_t ehm_setting_find(const char *name); /* index, either spelling; -1 */
/* Parse text for key and store it. Errors: EHM_E_CONFIG naming key, value and permitted range or choices, or the nearest key. Strings are copied into a. LIST appends. */
ehm_code ehm_config_set(ehm_config *c, const char *name, const char *text, ehm_origin from, ehm_arena *a, ehm_err *err);
/* The value as text ("auto" included), for help, logs and files. Lists are joined by ','. */
const char *ehm_config_text(const ehm_config *c, int32_t i, ehm_str *buf);
/* The same for people: numbers to six digits. */
const char *ehm_config_show(const ehm_config *c, int32_t i, ehm_str *buf);
/* A JSON object {"key": value,...}, each key once; groups as nested objects are accepted too. Or a run's config.json: of its settings those that were chosen
 * (by a flag or a settings file) are taken, and what followed from recipe, preset, data and machine follows anew; what belongs to that run alone (out, resume
 * and the like, how it talked) and its facts are passed over. Unknown keys are an error in both. */
ehm_code ehm_config_read(ehm_config *c, const char *path, ehm_origin from, ehm_arena *a, ehm_err *err);
ehm_code ehm_config_from_json(ehm_config *c, const ehm_json *obj, const char *name, ehm_origin from, ehm_arena *a, ehm_err *err);
/* Writes "key": value for the groups named (comma list, NULL for all), and with origins "key": {"value": v, "origin": "flag"}. */
void ehm_config_write(const ehm_config *c, const char *groups, bool with_origin, ehm_json_w *w);
/* Set by code with an origin; for resolving auto values. */
void ehm_config_put_i64(ehm_config *c, int32_t i, int64_t v, ehm_origin from);
void ehm_config_put_f64(ehm_config *c, int32_t i, double v, ehm_origin from);
void ehm_config_put_str(ehm_config *c, int32_t i, const char *v, ehm_origin from); /* borrows v */
bool ehm_in_groups(const char *groups, const char *group); /* is group in the comma list */
#endif
