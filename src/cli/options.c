/* From argv to settings. The table of settings says what a flag is; the command's groups say which it takes. */
#include "cli/cli_int.h"
#include <stdio.h>
#include <string.h>

/* Names of other tools for exactly the same thing, so that their recipes can be pasted. */
static const struct { const char *name, *key; } aliases[] = {
    {"data_path", "data"}, {"output_dir", "out"}, {"input_size", "img_size"}, {"num_workers", "workers"}};

enum { NAME_MAX_LEN = 64 };

/* Copies with '-' made '_', cut to what a name can be. */
static void key_of(char key[NAME_MAX_LEN + 1], const char *name, size_t n) {
    if (n > NAME_MAX_LEN) n = NAME_MAX_LEN;
    for (size_t i = 0; i < n; i++) key[i] = name[i] == '-' ? '_' : name[i];
    key[n] = 0;
}

static int32_t find_setting(const char *key) {
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (!strcmp(aliases[i].name, key)) return ehm_setting_find(aliases[i].key);
    return ehm_setting_find(key);
}

static void add_name(ehm_str *s, const char *key) {
    ehm_str_add(s, "--");
    for (; *key; key++) ehm_str_addc(s, *key == '_' ? '-' : *key);
}

static ehm_code unknown_option(const ehm_call *call, const char *arg, size_t n, ehm_err *err) {
    const char *keys[EHM_SETTINGS_N + 2], *near = NULL;
    char key[NAME_MAX_LEN + 1];
    key_of(key, arg + 2, n > 2 ? n - 2 : 0);
    EHM_FAIL(err, EHM_E_CONFIG, "%.*s: there is no such option", (int)(n < 200 ? n : 200), arg);
    /* First among those that the command takes, then among all. */
    for (int pass = 0; pass < 2 && !near && n > 2; pass++) {
        int32_t k = 0;
        for (int32_t i = 0; i < EHM_SETTINGS_N; i++)
            if (pass || ehm_in_groups(call->groups, ehm_settings[i].group)) keys[k++] = ehm_settings[i].key;
        keys[k++] = "help", keys[k++] = "version";
        near = ehm_nearest(key, keys, k);
    }
    if (near) {
        ehm_str s = {0};
        add_name(&s, near);
        EHM_HINT(err, "did you mean %s?", ehm_str_c(&s));
        ehm_str_free(&s);
    } else
        EHM_HINT(err, "ehm help%s%s lists the options", call->cmd ? " " : "",
                 call->cmd ? call->cmd->name : "");
    return EHM_E_CONFIG;
}

/* A setting of another command: say who takes it. */
static ehm_code not_of_this_command(const ehm_call *call, int32_t i, ehm_arena *a, ehm_err *err) {
    ehm_str name = {0}, who = {0};
    const char *word = call->args.n ? call->args.v[0] : NULL;
    add_name(&name, ehm_settings[i].key);
    for (const ehm_command *const *c = ehm_commands; *c; c++) {
        bool own = ehm_in_groups(ehm_command_groups(*c, NULL, a), ehm_settings[i].group), any = false;
        for (const ehm_word *w = !own && (*c)->words ? (*c)->words(a) : NULL; w && w->name; w++)
            if (w->groups && ehm_in_groups(w->groups, ehm_settings[i].group)) {
                ehm_str_addf(&who, "%sehm %s %s", who.len ? ", " : "", (*c)->name, w->name);
                any = true;
            }
        if (own && !any) ehm_str_addf(&who, "%sehm %s", who.len ? ", " : "", (*c)->name);
    }
    EHM_FAIL(err, EHM_E_CONFIG, "%s: ehm %s%s%s takes no such option", ehm_str_c(&name), call->cmd->name,
             word && call->cmd->words ? " " : "", word && call->cmd->words ? word : "");
    if (who.len) EHM_HINT(err, "taken by: %s", ehm_str_c(&who));
    ehm_str_free(&name);
    ehm_str_free(&who);
    return EHM_E_CONFIG;
}

static ehm_code missing_value(const ehm_setting *s, const char *arg, ehm_err *err) {
    EHM_FAIL(err, EHM_E_CONFIG, "%.200s: needs a value (%s)", arg, s->choices ? s->choices : s->unit);
    return EHM_E_CONFIG;
}

/* One flag as it was written, before the command is known. */
typedef struct { const char *arg; size_t name_len; int32_t i_setting; const char *value; bool no; } flag;

typedef struct {
    flag *flags;
    int32_t n_flags;
    const char **words; /* what is no flag */
    int32_t n_words;
    const char *after_list; /* a word that stood after a LIST flag's value: a shell's pattern, most likely */
} parsed;

static bool is_known_flag(const char *arg) {
    char key[NAME_MAX_LEN + 1];
    if (strncmp(arg, "--", 2)) return false;
    key_of(key, arg + 2, strcspn(arg + 2, "="));
    return !*key || find_setting(key) >= 0 || !strcmp(key, "help") || !strcmp(key, "version") ||
           (ehm_starts(key, "no_") && find_setting(key + 3) >= 0);
}

/* Reads --name, --name value, --name=value, --no-name at argv[*k]. */
static ehm_code read_flag(parsed *p, ehm_call *call, int argc, char *const *argv, int *k, ehm_err *err) {
    const char *arg = argv[*k], *equals = strchr(arg, '=');
    size_t n = equals ? (size_t)(equals - arg) : strlen(arg);
    char key[NAME_MAX_LEN + 1];
    key_of(key, arg + 2, n > 2 ? n - 2 : 0);
    if (!equals && (!strcmp(arg, "-h") || !strcmp(arg, "--help"))) return call->help = true, EHM_OK;
    if (!equals && !strcmp(arg, "--version")) return call->version = true, EHM_OK;
    flag f = {.arg = arg,
              .name_len = n,
              .i_setting = n > 2 && n <= NAME_MAX_LEN && arg[1] == '-' ? find_setting(key) : -1,
              .value = equals ? equals + 1 : NULL};
    if (f.i_setting < 0 && arg[1] == '-' && ehm_starts(key, "no_") && find_setting(key + 3) >= 0) {
        const ehm_setting *s = &ehm_settings[f.i_setting = find_setting(key + 3)];
        if (s->kind != EHM_SET_BOOL) {
            EHM_FAIL(err, EHM_E_CONFIG, "%.*s: %s is no switch that could be turned off", (int)n, arg,
                     s->key);
            return missing_value(s, arg, err);
        }
        if (equals)
            return EHM_FAIL(err, EHM_E_CONFIG, "%.200s: a switch that is turned off takes no value", arg);
        f.no = true, f.value = "false";
    }
    if (f.i_setting >= 0 && !f.value) {
        const ehm_setting *s = &ehm_settings[f.i_setting];
        if (s->kind == EHM_SET_BOOL) f.value = "true";
        else if (*k + 1 >= argc || is_known_flag(argv[*k + 1])) return missing_value(s, arg, err);
        else f.value = argv[++*k];
    }
    p->flags[p->n_flags++] = f; /* unknown ones are kept: the near name depends on the command, which may stand behind */
    return EHM_OK;
}

static ehm_code split(parsed *p, ehm_call *call, int argc, char *const *argv, ehm_arena *a, ehm_err *err) {
    bool flags_over = false;
    p->flags = EHM_NEW_N(a, flag, argc + 1);
    p->words = EHM_NEW_N(a, const char *, argc + 1);
    if (!p->flags || !p->words) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d arguments", argc);
    for (int k = 1; k < argc; k++) {
        const char *arg = argv[k];
        if (!flags_over && !strcmp(arg, "--")) flags_over = true;
        else if (!flags_over && arg[0] == '-' && arg[1]) EHM_TRY(read_flag(p, call, argc, argv, &k, err));
        else {
            const flag *last = p->n_flags ? &p->flags[p->n_flags - 1] : NULL;
            if (p->n_words && last && last->i_setting >= 0 &&
                ehm_settings[last->i_setting].kind == EHM_SET_LIST && !p->after_list)
                p->after_list = last->arg;
            p->words[p->n_words++] = arg;
        }
    }
    return EHM_OK;
}

static ehm_code find_command(ehm_call *call, const char *name, ehm_err *err) {
    const char *names[64], *near;
    int32_t n = 0;
    if ((call->cmd = ehm_command_find(name))) return EHM_OK;
    for (const ehm_command *const *c = ehm_commands; *c && n < 64; c++) names[n++] = (*c)->name;
    EHM_FAIL(err, EHM_E_CONFIG, "%.200s: there is no such command", *name ? name : "\"\"");
    near = ehm_nearest(name, names, n);
    if (near) EHM_HINT(err, "did you mean %s?", near);
    else EHM_HINT(err, "ehm help lists the commands");
    return EHM_E_CONFIG;
}

static ehm_code check_word(const ehm_command *cmd, const char *word, ehm_arena *a, ehm_err *err) {
    const char *names[64], *near;
    int32_t n = 0;
    ehm_str all = {0};
    for (const ehm_word *w = cmd->words(a); w && w->name && n < 64; w++) {
        if (!strcmp(w->name, word)) return ehm_str_free(&all), EHM_OK;
        ehm_str_addf(&all, "%s%s", n ? ", " : "", w->name);
        names[n++] = w->name;
    }
    EHM_FAIL(err, EHM_E_CONFIG, "ehm %s %.200s: must be one of %s", cmd->name, word, ehm_str_c(&all));
    near = ehm_nearest(word, names, n);
    if (near) EHM_HINT(err, "did you mean %s?", near);
    ehm_str_free(&all);
    return EHM_E_CONFIG;
}

static ehm_code check_args(const ehm_call *call, const parsed *p, ehm_arena *a, ehm_err *err) {
    const ehm_command *cmd = call->cmd;
    int32_t n = call->args.n;
    if (cmd->words && n) EHM_TRY(check_word(cmd, call->args.v[0], a, err));
    if (n < cmd->n_args_min) {
        EHM_FAIL(err, EHM_E_CONFIG, "ehm %s: %s is missing", cmd->name, cmd->args);
        if (!cmd->words) return EHM_E_CONFIG;
        ehm_str all = {0};
        for (const ehm_word *w = cmd->words(a); w && w->name; w++)
            ehm_str_addf(&all, "%s%s", all.len ? ", " : "", w->name);
        EHM_HINT(err, "one of %s", ehm_str_c(&all));
        ehm_str_free(&all);
        return EHM_E_CONFIG;
    }
    if (cmd->n_args_max >= 0 && n > cmd->n_args_max) {
        const char *extra = call->args.v[cmd->n_args_max];
        EHM_FAIL(err, EHM_E_CONFIG, "ehm %s: what is \"%.200s\" for?", cmd->name, extra);
        if (p->after_list)
            EHM_HINT(
                err,
                "each value has its own flag: %s A %s B; and a pattern in quotes is not spread by the shell",
                p->after_list, p->after_list);
        else if (strchr(extra, '=')) EHM_HINT(err, "settings start with two dashes: --%.200s", extra);
        else if (!cmd->n_args_max) EHM_HINT(err, "this command takes options only");
        return EHM_E_CONFIG;
    }
    return EHM_OK;
}

static ehm_code set_flags(ehm_call *call, const parsed *p, ehm_arena *a, ehm_err *err) {
    for (int32_t k = 0; k < p->n_flags; k++) {
        const flag *f = &p->flags[k];
        if (f->i_setting < 0) return unknown_option(call, f->arg, f->name_len, err);
        if (call->cmd && !ehm_in_groups(call->groups, ehm_settings[f->i_setting].group))
            return not_of_this_command(call, f->i_setting, a, err);
        EHM_TRY(ehm_config_set(&call->cfg, ehm_settings[f->i_setting].key, f->value, EHM_FROM_FLAG, a, err));
    }
    return EHM_OK;
}

/* Two settings that say one thing: where the call gives the one, what a file says of the other does not hold. */
static void drop_rivals(ehm_config *c) {
    if (c->origin[EHM_SETI_epochs] == EHM_FROM_FLAG && c->origin[EHM_SETI_steps] == EHM_FROM_FILE)
        c->steps = EHM_AUTO_I64, c->origin[EHM_SETI_steps] = EHM_FROM_DEFAULT;
    if (c->origin[EHM_SETI_blr] == EHM_FROM_FLAG && c->origin[EHM_SETI_lr] == EHM_FROM_FILE)
        c->lr = EHM_AUTO_F64, c->origin[EHM_SETI_lr] = EHM_FROM_DEFAULT;
}

ehm_code ehm_call_parse(ehm_call *call, int argc, char *const *argv, ehm_arena *a, ehm_err *err) {
    parsed p = {0};
    memset(call, 0, sizeof *call);
    ehm_config_init(&call->cfg);
    call->groups = "common";
    ehm_code rc = split(&p, call, argc, argv, a, err);
    /* Look for the command even after a fault, so that the usage line shown is the right one. */
    if (p.n_words) {
        ehm_code found = find_command(call, p.words[0], err);
        if (!rc) rc = found;
        call->args = (ehm_strs){p.words + 1, p.n_words - 1};
    }
    if (rc || call->version) return rc;
    if (call->cmd) call->groups = ehm_command_groups(call->cmd, call->args.n ? call->args.v[0] : NULL, a);
    for (int32_t k = 0; k < p.n_flags; k++) /* holds for help and for the words about another flag, too */
        if (p.flags[k].i_setting == EHM_SETI_color)
            (void)ehm_config_set(&call->cfg, "color", p.flags[k].value, EHM_FROM_FLAG, a, NULL);
    if (call->help) return EHM_OK; /* help is not refused for what else is wrong */
    EHM_TRY(set_flags(call, &p, a, err));
    if (!call->cmd) return EHM_OK;
    EHM_TRY(check_args(call, &p, a, err));
    if (call->cmd->args_key) {
        for (int32_t i = 0; i < call->args.n; i++)
            EHM_TRY(ehm_config_set(&call->cfg, call->cmd->args_key, call->args.v[i], EHM_FROM_FLAG, a, err));
        call->args.n = 0;
    }
    if (call->cfg.config) EHM_TRY(ehm_config_read(&call->cfg, call->cfg.config, EHM_FROM_FILE, a, err));
    drop_rivals(&call->cfg);
    if (call->args.n && call->cmd->words)
        for (const ehm_word *w = call->cmd->words(a); w && w->name; w++)
            if (!strcmp(w->name, call->args.v[0])) ehm_config_put_own(&call->cfg, w->own);
    if (call->cfg.quiet && call->cfg.verbose)
        return EHM_FAIL(err, EHM_E_CONFIG, "--quiet and --verbose: which of the two?");
    return EHM_OK;
}
