/* What all functions of the flat interface share: versions, messages, settings. */
#include "api/api_int.h"
#include "base/log.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef EHM_VERSION
#define EHM_VERSION "unversioned"
#endif
#ifndef EHM_FEATURE_TEXT
#define EHM_FEATURE_TEXT ""
#endif

const char ehm_api_affinity_keys[] = "tree_layers,similarity,attention_rows,profile_per,head_weight";
/* Those of the table that say something about a mask drawn here; the others of their groups are of training. */
const char ehm_api_mask_keys[] =
    "mask_ratio,mask_file,tree_layers,similarity,attention_rows,profile_per,head_weight,tree_prior,tree_source,linkage,schedule,k_start,"
    "k_start_share,k_end,k_jitter,cut,mix_levels,mix_random,select,boundary,node_order,epm_exact";

int32_t ehm_api_version(void) { return EHM_API_VERSION; }
const char *ehm_api_library_version(void) { return EHM_VERSION; }
const char *ehm_api_features(void) { return EHM_FEATURE_TEXT; }
const char *ehm_api_code_name(int32_t code) {
    return code < EHM_OK || code > EHM_E_STOPPED ? "unknown" : ehm_code_name((ehm_code)code);
}

/* ---- the log ---- */

/* The level travels in the sink's user pointer: a variable of its own would be one more thing that threads share. */
static void put_line(void *user, ehm_log_level level, const char *text) {
    char line[4200];
    if ((intptr_t)level < (intptr_t)user) return;
    int n = snprintf(line, sizeof line, "ehm: %s\n", text);
    if (n >= (int)sizeof line) n = (int)sizeof line - 1;
    for (const char *p = line; n > 0;) { /* one line in one piece where the system takes it */
        ssize_t done = write(STDERR_FILENO, p, (size_t)n);
        if (done <= 0) return;
        p += done, n -= (int)done;
    }
}

void ehm_api_log_level(int32_t level) {
    bool on = level >= EHM_LOG_DEBUG && level <= EHM_LOG_WARN;
    ehm_log_sink(on ? put_line : NULL, (void *)(intptr_t)level);
}

/* ---- messages ---- */

int32_t ehm_api_say(ehm_code rc, const ehm_err *err, char *message, size_t cap) {
    char text[EHM_ERR_TEXT];
    if (!message || !cap) return rc;
    message[0] = 0;
    if (!rc) return rc;
    const char *t = ehm_err_text(err, text);
    if (!strncmp(t, "ehm: ", 5)) t += 5;
    size_t n = strlen(t);
    while (n && t[n - 1] == '\n') n--;
    if (n >= cap) /* never in half a UTF-8 character */
        for (n = cap - 1; n && ((unsigned char)t[n] & 0xc0) == 0x80;) n--;
    memcpy(message, t, n);
    message[n] = 0;
    return rc;
}

ehm_code ehm_api_given(const void *p, const char *what, ehm_err *err) {
    return p ? EHM_OK : EHM_FAIL(err, EHM_E_ARG, "%s is NULL", what);
}

ehm_code ehm_api_type_of(ehm_dtype *out, int32_t type, bool pixels, ehm_err *err) {
    if (pixels ? type != EHM_API_U8 && type != EHM_API_F32 : type != EHM_API_F32 && type != EHM_API_F64)
        return EHM_FAIL(err, EHM_E_ARG, "type %d: %s", (int)type,
                        pixels ? "pixels are 0 (8 bits) or 1 (f32 of 0 to 1)" : "numbers are 1 (f32) or 2 (f64)");
    *out = type == EHM_API_U8 ? EHM_U8 : type == EHM_API_F32 ? EHM_F32 : EHM_F64;
    return EHM_OK;
}

/* ---- settings ---- */

ehm_code ehm_api_settings(ehm_config *c, const char *allowed, const char *const *settings, int32_t n, ehm_arena *a, ehm_err *err) {
    if (n < 0) return EHM_FAIL(err, EHM_E_ARG, "%d settings", (int)n);
    if (n) EHM_TRY(ehm_api_given(settings, "settings", err));
    for (int32_t i = 0; i < n; i++) {
        if (!settings[i]) return EHM_FAIL(err, EHM_E_ARG, "setting %d is NULL", (int)i);
        const char *equals = strchr(settings[i], '=');
        if (!equals) return EHM_FAIL(err, EHM_E_CONFIG, "setting \"%.100s\": must be key=value", settings[i]);
        char *key = ehm_arena_strndup(a, settings[i], (size_t)(equals - settings[i]));
        if (!key) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for settings");
        int32_t at = ehm_setting_find(key);
        if (at >= 0 && !ehm_in_groups(allowed, ehm_settings[at].key)) {
            EHM_FAIL(err, EHM_E_CONFIG, "setting %s has no meaning here", ehm_settings[at].key);
            EHM_HINT(err, "there are %s", allowed);
            return EHM_E_CONFIG;
        }
        EHM_TRY(ehm_config_set(c, key, equals + 1, EHM_FROM_FLAG, a, err));
    }
    return EHM_OK;
}

int32_t ehm_api_threads(int32_t wanted, int64_t n) {
    int64_t t = wanted > 0 ? wanted : ehm_cpu_count();
    if (t > n) t = n;
    return t < 1 ? 1 : t > 1024 ? 1024 : (int32_t)t;
}
