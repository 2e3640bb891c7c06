/* Completion for bash, zsh and fish, from the tables of commands and settings. */
#include "cli/cli_int.h"
#include "eval/eval.h"
#include "mask/mask.h"
#include "recipe/method.h"
#include <string.h>

/* What may follow a flag. */
typedef enum { TAKES_NOTHING, TAKES_TEXT, TAKES_FILE, TAKES_DIR, TAKES_WORD, TAKES_WORDS } takes;

static void add_joined(ehm_str *s, const char *name) { ehm_str_addf(s, "%s%s", s->len ? " " : "", name); }

/* The words that a setting takes, divided by spaces: its choices, or names from the table that it chooses from. */
static void words_of(ehm_str *s, const ehm_setting *e) {
    if (!strcmp(e->key, "mask"))
        for (const ehm_mask_rule *const *r = ehm_mask_rules; *r; r++) add_joined(s, (*r)->name);
    else if (!strcmp(e->key, "recipe"))
        for (const ehm_recipe *const *r = ehm_recipes; *r; r++) add_joined(s, (*r)->name);
    else if (!strcmp(e->key, "tasks"))
        for (const ehm_eval_task *const *t = ehm_eval_tasks; *t; t++) add_joined(s, (*t)->name);
    else if (!strcmp(e->key, "device")) ehm_str_add(s, "auto cpu cuda ref");
    else if (e->kind == EHM_SET_STR) {
        /* A list whose default has several words has all of them. */
        bool list = e->unit && ehm_ends_nocase(e->unit, ",..") && e->def_str && strchr(e->def_str, ',');
        for (const char *p = e->choices ? e->choices : list ? e->def_str : ""; *p; p++)
            ehm_str_addc(s, *p == '|' || *p == ',' ? ' ' : *p);
    }
}

static takes takes_of(const ehm_setting *e, ehm_str *words) {
    if (words) words->len = 0;
    if (e->kind == EHM_SET_BOOL) return TAKES_NOTHING;
    if (e->kind == EHM_SET_I64 || e->kind == EHM_SET_F64) return TAKES_TEXT;
    ehm_str own = {0}, *w = words ? words : &own;
    words_of(w, e);
    bool any = w->len > 0;
    ehm_str_free(&own);
    if (any) return ehm_ends_nocase(e->unit, ",..") ? TAKES_WORDS : TAKES_WORD;
    if (!strcmp(e->unit, "DIR")) return TAKES_DIR;
    /* PATH, FILE, MODEL, or a name with its ending such as F.tsv */
    const char *dot = strchr(e->unit, '.');
    bool file = !strcmp(e->unit, "PATH") || !strcmp(e->unit, "FILE") || !strcmp(e->unit, "MODEL");
    return file || (dot && dot[1] && dot[1] != '.') ? TAKES_FILE : TAKES_TEXT;
}

static void add_key(ehm_str *s, const char *key) {
    for (; *key; key++) ehm_str_addc(s, *key == '_' ? '-' : *key);
}

/* Text inside of single quotes; zsh reads it once more, with its own use for colons and brackets. */
static void add_zsh(ehm_str *s, const char *text) {
    for (; *text; text++) {
        if (strchr("\\:[]", *text)) ehm_str_addc(s, '\\');
        if (*text == '\'') ehm_str_add(s, "'\\''");
        else ehm_str_addc(s, *text);
    }
}

static void add_fish(ehm_str *s, const char *text) {
    for (; *text; text++) {
        if (strchr("\\'", *text)) ehm_str_addc(s, '\\');
        ehm_str_addc(s, *text);
    }
}

/* The settings of a command, or those that one of its words adds. */
static bool is_own(const ehm_command *cmd, const ehm_word *word, const ehm_setting *e, ehm_arena *a) {
    bool common = ehm_in_groups(ehm_command_groups(cmd, NULL, a), e->group);
    const ehm_own_setting *own = word ? ehm_own_setting_find(word->own, (int32_t)(e - ehm_settings)) : NULL;
    if (own && !own->value) return false;
    return word ? !common && word->groups && ehm_in_groups(word->groups, e->group) : common;
}

static const ehm_word *words_for(const ehm_command *cmd, ehm_arena *a) {
    static const ehm_word none[1];
    const ehm_word *w = cmd->words ? cmd->words(a) : NULL;
    return w ? w : none;
}

/* `ehm help COMMAND WORD` has words of its own: those of the command. */
static bool is_help(const ehm_command *cmd) { return !strcmp(cmd->name, "help"); }

/* ---- bash ---- */

static void bash_flags(ehm_str *s, const ehm_command *cmd, const ehm_word *word, ehm_arena *a) {
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        const ehm_setting *e = &ehm_settings[i];
        if (!is_own(cmd, word, e, a)) continue;
        ehm_str_add(s, " --"), add_key(s, e->key);
        if (e->kind == EHM_SET_BOOL && e->def_bool) ehm_str_add(s, " --no-"), add_key(s, e->key);
    }
}

/* What each flag takes, flags of the same kind in one line. */
static void bash_kinds(ehm_str *s) {
    static const struct { takes t; const char *kind; } kinds[] = {
        {TAKES_TEXT, "text"}, {TAKES_FILE, "file"}, {TAKES_DIR, "dir"}};
    ehm_str words = {0};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        const char *between = "    ";
        for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
            if (takes_of(&ehm_settings[i], &words) != kinds[k].t) continue;
            ehm_str_addf(s, "%s--", between), add_key(s, ehm_settings[i].key);
            between = "|";
        }
        if (*between == '|') ehm_str_addf(s, ") kind=%s ;;\n", kinds[k].kind);
    }
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        takes t = takes_of(&ehm_settings[i], &words);
        if (t != TAKES_WORD && t != TAKES_WORDS) continue;
        ehm_str_add(s, "    --"), add_key(s, ehm_settings[i].key);
        ehm_str_addf(s, ") kind=%s words='%s' ;;\n", t == TAKES_WORD ? "word" : "words", ehm_str_c(&words));
    }
    ehm_str_free(&words);
}

static void bash_command(ehm_str *s, const ehm_command *cmd, ehm_arena *a) {
    const ehm_word *words = words_for(cmd, a);
    ehm_str_addf(s, "    %s)\n        flags='--help", cmd->name);
    bash_flags(s, cmd, NULL, a);
    ehm_str_add(s, "'\n");
    if (words->name) {
        ehm_str_add(s, "        words='");
        for (const ehm_word *w = words; w->name; w++) ehm_str_addf(s, "%s%s", w > words ? " " : "", w->name);
        ehm_str_add(s, "'\n        case $word in\n");
        for (const ehm_word *w = words; w->name; w++) {
            const ehm_command *other = is_help(cmd) ? ehm_command_find(w->name) : NULL;
            const ehm_word *more = other ? words_for(other, a) : NULL;
            if (more && more->name && !is_help(other)) {
                ehm_str_addf(s, "        %s) more='", w->name);
                for (const ehm_word *m = more; m->name; m++) ehm_str_addf(s, "%s%s", m > more ? " " : "", m->name);
                ehm_str_add(s, "' ;;\n");
            } else if (!other && w->groups) {
                ehm_str_addf(s, "        %s) flags+='", w->name);
                bash_flags(s, cmd, w, a);
                ehm_str_add(s, "' ;;\n");
            }
        }
        ehm_str_add(s, "        esac\n");
    } else if (cmd->args) ehm_str_add(s, "        files=1\n");
    ehm_str_add(s, "        ;;\n");
}

static void complete_bash(ehm_str *s, ehm_arena *a) {
    ehm_str_add(s,
                "# bash completion for ehm; made by: ehm help --completion bash\n"
                "\n"
                "# What the flag $1 takes, in kind and words; fails where it takes nothing.\n"
                "_ehm_kind() {\n"
                "    kind= words=\n"
                "    case ${1//_/-} in\n");
    bash_kinds(s);
    ehm_str_add(s,
                "    *) return 1 ;;\n"
                "    esac\n"
                "}\n"
                "\n"
                "_ehm_names() { # -f or -d\n"
                "    local IFS=$'\\n'\n"
                "    compopt -o filenames 2>/dev/null\n"
                "    COMPREPLY=($(compgen \"$1\" -- \"$cur\"))\n"
                "}\n"
                "\n"
                "_ehm() {\n"
                "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                "    local cmd= word= flags= files= more= kind= words= head= i n=0\n"
                "    COMPREPLY=()\n"
                "    # --flag=value comes as three words\n"
                "    if [[ $cur == = ]]; then cur=\n"
                "    elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}\n"
                "    fi\n"
                "    if [[ $prev == --* ]] && _ehm_kind \"$prev\"; then\n"
                "        case $kind in\n"
                "        file) _ehm_names -f ;;\n"
                "        dir) _ehm_names -d ;;\n"
                "        word) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
                "        words) # divided by commas\n"
                "            [[ $cur == *,* ]] && head=${cur%,*},\n"
                "            COMPREPLY=($(compgen -P \"$head\" -W \"$words\" -- \"${cur##*,}\"))\n"
                "            compopt -o nospace 2>/dev/null ;;\n"
                "        esac\n"
                "        return\n"
                "    fi\n"
                "    # the command and its word are the first two that are neither flags nor what these take\n"
                "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                "        case ${COMP_WORDS[i]} in\n"
                "        --*) if _ehm_kind \"${COMP_WORDS[i]}\"; then\n"
                "                [[ ${COMP_WORDS[i+1]} == = ]] && i=$((i + 1))\n"
                "                i=$((i + 1))\n"
                "            fi ;;\n"
                "        -*|=) ;;\n"
                "        *) n=$((n + 1))\n"
                "            case $n in 1) cmd=${COMP_WORDS[i]} ;; 2) word=${COMP_WORDS[i]} ;; esac ;;\n"
                "        esac\n"
                "    done\n"
                "    words=\n"
                "    case $cmd in\n"
                "    '') words='");
    for (const ehm_command *const *c = ehm_commands; *c; c++)
        ehm_str_addf(s, "%s%s", c > ehm_commands ? " " : "", (*c)->name);
    ehm_str_add(s, "' flags='--help --version");
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++)
        if (!strcmp(ehm_settings[i].group, "common")) ehm_str_add(s, " --"), add_key(s, ehm_settings[i].key);
    ehm_str_add(s, "' ;;\n");
    for (const ehm_command *const *c = ehm_commands; *c; c++) bash_command(s, *c, a);
    ehm_str_add(s, "    esac\n"
                   "    if [[ $cur == -* ]]; then words=$flags\n"
                   "    elif ((n == 2)); then words=$more\n"
                   "    elif ((n > 2)); then words=\n"
                   "    fi\n"
                   "    if [[ $files && $cur != -* ]]; then _ehm_names -f\n"
                   "    else COMPREPLY=($(compgen -W \"${words:-$flags}\" -- \"$cur\"))\n"
                   "    fi\n"
                   "}\n"
                   "complete -F _ehm ehm\n");
}

/* ---- zsh ---- */

static void zsh_spec(ehm_str *s, const ehm_setting *e) {
    ehm_str words = {0};
    takes t = takes_of(e, &words);
    ehm_str_addf(s, " '%s--", e->kind == EHM_SET_LIST ? "*" : "");
    add_key(s, e->key);
    ehm_str_add(s, t == TAKES_NOTHING ? "[" : "=[");
    add_zsh(s, e->help);
    ehm_str_addc(s, ']');
    if (t != TAKES_NOTHING) {
        ehm_str_addc(s, ':');
        add_zsh(s, e->unit ? e->unit : "value");
        ehm_str_addc(s, ':');
    }
    if (t == TAKES_FILE) ehm_str_add(s, "_files");
    if (t == TAKES_DIR) ehm_str_add(s, "_files -/");
    if (t == TAKES_WORD) ehm_str_addf(s, "(%s)", ehm_str_c(&words));
    if (t == TAKES_WORDS) ehm_str_addf(s, "_sequence compadd - %s", ehm_str_c(&words));
    ehm_str_add(s, "'\n");
    if (e->kind == EHM_SET_BOOL && e->def_bool) {
        ehm_str_add(s, "            '--no-"), add_key(s, e->key);
        ehm_str_add(s, "[not this]'\n");
    }
    ehm_str_free(&words);
}

static void zsh_flags(ehm_str *s, const ehm_command *cmd, const ehm_word *word, ehm_arena *a) {
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++)
        if (is_own(cmd, word, &ehm_settings[i], a)) ehm_str_add(s, "           "), zsh_spec(s, &ehm_settings[i]);
}

/* 'name:summary' lines for _describe. */
static void zsh_words(ehm_str *s, const char *array, const ehm_word *words, const char *indent) {
    ehm_str_addf(s, "%s%s=(\n", indent, array);
    for (const ehm_word *w = words; w->name; w++) {
        ehm_str_addf(s, "%s    '%s:", indent, w->name);
        add_zsh(s, w->summary);
        ehm_str_add(s, "'\n");
    }
    ehm_str_addf(s, "%s)\n", indent);
}

static void zsh_command(ehm_str *s, const ehm_command *cmd, ehm_arena *a) {
    const ehm_word *words = words_for(cmd, a);
    ehm_str_addf(s, "    %s)\n        specs=(\n            '(- *)'{-h,--help}'[help for this command]'\n", cmd->name);
    zsh_flags(s, cmd, NULL, a);
    ehm_str_add(s, "        )\n");
    if (words->name) {
        zsh_words(s, "names", words, "        ");
        ehm_str_add(s, "        specs+=('2:: :->word')\n        case $words[3] in\n");
        for (const ehm_word *w = words; w->name; w++) {
            const ehm_command *other = is_help(cmd) ? ehm_command_find(w->name) : NULL;
            const ehm_word *more = other ? words_for(other, a) : NULL;
            if (more && more->name && !is_help(other)) {
                ehm_str_addf(s, "        %s)\n            specs+=('3:: :(", w->name);
                for (const ehm_word *m = more; m->name; m++) ehm_str_addf(s, "%s%s", m > more ? " " : "", m->name);
                ehm_str_add(s, ")') ;;\n");
            } else if (!other && w->groups) {
                ehm_str_addf(s, "        %s)\n            specs+=(\n", w->name);
                zsh_flags(s, cmd, w, a);
                ehm_str_add(s, "            ) ;;\n");
            }
        }
        ehm_str_add(s, "        esac\n");
    } else if (cmd->args) ehm_str_add(s, "        specs+=('*:file:_files')\n");
    ehm_str_add(s, "        ;;\n");
}

static void complete_zsh(ehm_str *s, ehm_arena *a) {
    ehm_str_add(s, "#compdef ehm\n# made by: ehm help --completion zsh\n\n_ehm() {\n    local state line ret=1\n"
                   "    local -a names specs\n    if (( CURRENT == 2 )); then\n        names=(\n");
    for (const ehm_command *const *c = ehm_commands; *c; c++) {
        ehm_str_addf(s, "            '%s:", (*c)->name);
        add_zsh(s, (*c)->summary);
        ehm_str_add(s, "'\n");
    }
    ehm_str_add(s, "        )\n        if [[ $PREFIX == -* ]]; then _arguments '--help[help]' '--version[version]'\n"
                   "        else _describe -t commands command names\n        fi\n        return\n    fi\n"
                   "    case $words[2] in\n");
    for (const ehm_command *const *c = ehm_commands; *c; c++) zsh_command(s, *c, a);
    ehm_str_add(s, "    *) _files; return ;;\n    esac\n"
                   "    specs+=('1: :')\n"
                   "    _arguments -S $specs && ret=0\n"
                   "    if [[ $state == word ]]; then _describe -t words word names && ret=0; fi\n"
                   "    return ret\n}\n\n_ehm \"$@\"\n");
}

/* ---- fish ---- */

static void fish_flag(ehm_str *s, const ehm_command *cmd, const ehm_word *word) {
    ehm_str_addf(s, "complete -c ehm -n '__ehm_at %s", cmd->name);
    if (word) ehm_str_addf(s, " %s", word->name);
    ehm_str_add(s, "' -l ");
}

static void fish_flags(ehm_str *s, const ehm_command *cmd, const ehm_word *word, ehm_arena *a) {
    ehm_str words = {0};
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        const ehm_setting *e = &ehm_settings[i];
        if (!is_own(cmd, word, e, a)) continue;
        takes t = takes_of(e, &words);
        fish_flag(s, cmd, word);
        add_key(s, e->key);
        if (t == TAKES_WORD) ehm_str_addf(s, " -x -a '%s'", ehm_str_c(&words));
        if (t == TAKES_WORDS) ehm_str_addf(s, " -x -a '(__fish_append , %s)'", ehm_str_c(&words));
        if (t == TAKES_DIR) ehm_str_add(s, " -x -a '(__fish_complete_directories)'");
        if (t == TAKES_FILE) ehm_str_add(s, " -r -F");
        if (t == TAKES_TEXT) ehm_str_add(s, " -x");
        ehm_str_add(s, " -d '");
        add_fish(s, e->help);
        ehm_str_add(s, "'\n");
        if (e->kind != EHM_SET_BOOL || !e->def_bool) continue;
        fish_flag(s, cmd, word);
        ehm_str_add(s, "no-"), add_key(s, e->key);
        ehm_str_add(s, " -d 'not this'\n");
    }
    ehm_str_free(&words);
}

static void fish_word(ehm_str *s, const char *where, const ehm_word *w) {
    ehm_str_addf(s, "complete -c ehm -n '%s' -a %s -d '", where, w->name);
    add_fish(s, w->summary);
    ehm_str_add(s, "'\n");
}

static void complete_fish(ehm_str *s, ehm_arena *a) {
    ehm_str_add(s, "# made by: ehm help --completion fish\n"
                   "# Is this the command, and where one is given, the word of it?\n"
                   "function __ehm_at\n"
                   "    set -l t (commandline -opc)\n"
                   "    test (count $t) -ge 2; and test $t[2] = $argv[1]\n"
                   "    and begin\n"
                   "        test (count $argv) -lt 2; or contains -- $argv[2] $t[3..-1]\n"
                   "    end\n"
                   "end\n"
                   "function __ehm_words\n"
                   "    test (count (commandline -opc)) -eq $argv[1]\n"
                   "end\n"
                   "complete -c ehm -f\n"
                   "complete -c ehm -n '__ehm_words 1' -l version -d 'version, libraries built in, compiler'\n"
                   "complete -c ehm -s h -l help -d 'help'\n");
    for (const ehm_command *const *c = ehm_commands; *c; c++) {
        const ehm_word *words = words_for(*c, a);
        fish_word(s, "__ehm_words 1", &(ehm_word){(*c)->name, (*c)->summary, NULL, NULL, NULL});
        for (const ehm_word *w = words; w->name; w++) {
            const char *where = ehm_arena_printf(a, "__ehm_at %s; and __ehm_words 2", (*c)->name);
            if (where) fish_word(s, where, w);
            const ehm_command *other = is_help(*c) ? ehm_command_find(w->name) : NULL;
            if (other && is_help(other)) continue;
            for (const ehm_word *m = other ? words_for(other, a) : NULL; m && m->name; m++) {
                where = ehm_arena_printf(a, "__ehm_at help %s; and __ehm_words 3", other->name);
                if (where) fish_word(s, where, m);
            }
            if (!other && w->groups) fish_flags(s, *c, w, a);
        }
        if (!words->name && (*c)->args) ehm_str_addf(s, "complete -c ehm -n '__ehm_at %s' -F\n", (*c)->name);
        fish_flags(s, *c, NULL, a);
    }
}

void ehm_help_completion(ehm_str *s, const char *shell, ehm_arena *a) {
    if (!strcmp(shell, "bash")) complete_bash(s, a);
    else if (!strcmp(shell, "zsh")) complete_zsh(s, a);
    else complete_fish(s, a);
}
