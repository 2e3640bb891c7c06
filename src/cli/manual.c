/* The tables as manual pages, completion scripts and Markdown. */
#include "cli/cli_int.h"
#include <stdio.h>
#include <string.h>

/* ---- troff ---- */

static void add_troff(ehm_str *s, const char *text) {
    for (const char *p = text; *p; p++) {
        if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n')) ehm_str_add(s, "\\&");
        if (*p == '\\') ehm_str_add(s, "\\e");
        else if (*p == '-') ehm_str_add(s, "\\-");
        else ehm_str_addc(s, *p);
    }
}

static void man_settings(ehm_str *s, const char *groups, ehm_arena *a) {
    for (const char *const *g = ehm_help_groups(a); g && *g; g++) {
        if (!ehm_in_groups(groups, *g)) continue;
        ehm_str_add(s, ".SS ");
        add_troff(s, ehm_help_group_title(*g));
        ehm_str_addc(s, '\n');
        for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
            ehm_str option = {0}, facts = {0};
            if (strcmp(ehm_settings[i].group, *g)) continue;
            ehm_help_option(&option, &ehm_settings[i]);
            ehm_help_facts(&facts, i);
            ehm_str_add(s, ".TP\n.B ");
            add_troff(s, ehm_str_c(&option));
            ehm_str_addc(s, '\n');
            add_troff(s, ehm_settings[i].help);
            if (facts.len) ehm_str_add(s, " ("), add_troff(s, facts.s), ehm_str_addc(s, ')');
            ehm_str_addc(s, '\n');
            ehm_str_free(&option);
            ehm_str_free(&facts);
        }
    }
}

static void man_title(ehm_str *s, const char *page, const char *name, const char *summary) {
    ehm_str_addf(s, ".TH %s 1 \"\" \"ehm %s\" \"User commands\"\n.SH NAME\n", page, ehm_version_text());
    add_troff(s, name);
    ehm_str_add(s, " \\- ");
    add_troff(s, summary);
    ehm_str_addc(s, '\n');
}

static void man_example(ehm_str *s, const char *text) {
    ehm_str_add(s, ".SH EXAMPLE\n.nf\n");
    add_troff(s, text);
    ehm_str_add(s, "\n.fi\n");
}

static void man_tool(ehm_str *s, ehm_arena *a) {
    man_title(s, "EHM", "ehm", "pre-trains vision transformers on pictures by masked image modelling");
    ehm_str_add(s, ".SH SYNOPSIS\n.B ehm\nCOMMAND [options]\n.SH COMMANDS\n");
    for (const ehm_command *const *c = ehm_commands; *c; c++) {
        ehm_str_addf(s, ".TP\n.BR ehm\\-%s (1)\n", (*c)->name);
        add_troff(s, (*c)->summary);
        ehm_str_addc(s, '\n');
    }
    ehm_str_add(s, ".SH OPTIONS\n");
    man_settings(s, "common", a);
    ehm_str_add(s, ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage, 3 loss not finite, 130 or 143 stopped "
                   "by a signal.\n");
}

void ehm_help_man(ehm_str *s, const ehm_command *cmd, ehm_arena *a) {
    if (!cmd) {
        man_tool(s, a);
        return;
    }
    const ehm_word *words = cmd->words ? cmd->words(a) : NULL;
    char *page = ehm_arena_printf(a, "EHM-%s", cmd->name), *name = ehm_arena_printf(a, "ehm-%s", cmd->name);
    for (char *p = page; p && *p; p++)
        if (*p >= 'a' && *p <= 'z') *p = (char)(*p - 32);
    man_title(s, page ? page : "EHM", name ? name : "ehm", cmd->summary);
    ehm_str_addf(s, ".SH SYNOPSIS\n.B ehm %s\n", cmd->name);
    if (cmd->args) add_troff(s, cmd->args), ehm_str_addc(s, '\n');
    if (cmd->usage) add_troff(s, cmd->usage), ehm_str_addc(s, '\n');
    ehm_str_add(s, "[options]\n.SH DESCRIPTION\n");
    for (const char *p = cmd->details ? cmd->details : cmd->summary; p && *p;) {
        const char *end = strstr(p, "\n\n");
        char *one = ehm_arena_strndup(a, p, end ? (size_t)(end - p) : strlen(p));
        if (one) add_troff(s, one);
        ehm_str_add(s, end ? "\n.PP\n" : "\n");
        p = end ? end + 2 : NULL;
    }
    for (const ehm_word *w = words; w && w->name; w++) {
        ehm_str_addf(s, ".TP\n.B %s\n", w->name);
        add_troff(s, w->summary);
        ehm_str_addc(s, '\n');
    }
    man_example(s, cmd->example);
    ehm_str_add(s, ".SH OPTIONS\n");
    ehm_str groups = {0};
    ehm_str_addf(&groups, "%s", ehm_command_groups(cmd, NULL, a));
    for (const ehm_word *w = words; w && w->name; w++)
        if (w->groups) ehm_str_addf(&groups, ",%s", w->groups);
    man_settings(s, ehm_str_c(&groups), a);
    ehm_str_free(&groups);
    ehm_str_add(s, ".SH SEE ALSO\n.BR ehm (1)\n");
}

/* ---- completion ---- */

static const char *all_groups(const ehm_command *cmd, ehm_arena *a) {
    const char *g = ehm_command_groups(cmd, NULL, a);
    for (const ehm_word *w = cmd->words ? cmd->words(a) : NULL; w && w->name; w++)
        if (w->groups) {
            const char *more = ehm_arena_printf(a, "%s,%s", g, w->groups);
            g = more ? more : g;
        }
    return g;
}

static void add_flag(ehm_str *s, const char *key) {
    ehm_str_add(s, "--");
    for (; *key; key++) ehm_str_addc(s, *key == '_' ? '-' : *key);
}

static void add_choices(ehm_str *s, const char *choices) {
    for (; *choices; choices++) ehm_str_addc(s, *choices == '|' ? ' ' : *choices);
}

/* In single quotes for any of the three shells; what they would misread is left out of a description. */
static void add_plain(ehm_str *s, const char *text) {
    for (; *text; text++)
        if (!strchr("'\"\\`$[]:", *text)) ehm_str_addc(s, *text);
}

static void complete_bash(ehm_str *s, ehm_arena *a) {
    ehm_str_add(s,
                "# bash completion for ehm; made by: ehm help --completion bash\n_ehm() {\n"
                "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} "
                "cmd=${COMP_WORDS[1]} flags= words=\n"
                "    COMPREPLY=()\n    if [ \"$COMP_CWORD\" = 1 ]; then\n        COMPREPLY=($(compgen -W '");
    for (const ehm_command *const *c = ehm_commands; *c; c++) ehm_str_addf(s, "%s ", (*c)->name);
    ehm_str_add(s, "--help --version' -- \"$cur\"))\n        return\n    fi\n    case $prev in\n");
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        const ehm_setting *e = &ehm_settings[i];
        if (e->kind == EHM_SET_BOOL) continue;
        ehm_str_add(s, "    ");
        add_flag(s, e->key);
        if (e->choices) {
            ehm_str_add(s, ") COMPREPLY=($(compgen -W '");
            add_choices(s, e->choices);
            ehm_str_add(s, "' -- \"$cur\")); return;;\n");
        } else if (e->kind == EHM_SET_I64 || e->kind == EHM_SET_F64) ehm_str_add(s, ") return;;\n");
        else ehm_str_add(s, ") COMPREPLY=($(compgen -f -- \"$cur\")); return;;\n");
    }
    ehm_str_add(s, "    esac\n    case $cmd in\n");
    for (const ehm_command *const *c = ehm_commands; *c; c++) {
        ehm_str_addf(s, "    %s)\n        flags='", (*c)->name);
        for (int32_t i = 0; i < EHM_SETTINGS_N; i++)
            if (ehm_in_groups(all_groups(*c, a), ehm_settings[i].group)) {
                add_flag(s, ehm_settings[i].key), ehm_str_addc(s, ' ');
                if (ehm_settings[i].def_bool)
                    ehm_str_add(s, "--no-"), add_flag(s, ehm_settings[i].key), ehm_str_addc(s, ' ');
            }
        ehm_str_add(s, "--help'\n        words='");
        for (const ehm_word *w = (*c)->words ? (*c)->words(a) : NULL; w && w->name; w++)
            ehm_str_addf(s, "%s ", w->name);
        ehm_str_add(s, "';;\n");
    }
    ehm_str_add(s, "    esac\n    case $cur in\n    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$cur\"));;\n"
                   "    *) if [ \"$COMP_CWORD\" = 2 ] && [ -n \"$words\" ]; then COMPREPLY=($(compgen -W "
                   "\"$words\" -- \"$cur\"))\n"
                   "       else COMPREPLY=($(compgen -f -- \"$cur\")); fi;;\n    esac\n}\ncomplete -o "
                   "filenames -F _ehm ehm\n");
}

static void complete_zsh(ehm_str *s, ehm_arena *a) {
    ehm_str_add(s, "#compdef ehm\n# made by: ehm help --completion zsh\n_ehm() {\n    local -a commands\n    "
                   "commands=(\n");
    for (const ehm_command *const *c = ehm_commands; *c; c++) {
        ehm_str_addf(s, "        '%s:", (*c)->name);
        add_plain(s, (*c)->summary);
        ehm_str_add(s, "'\n");
    }
    ehm_str_add(s, "    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        "
                   "return\n    fi\n    case $words[2] in\n");
    for (const ehm_command *const *c = ehm_commands; *c; c++) {
        ehm_str_addf(s, "    %s)\n        _arguments \\\n", (*c)->name);
        for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
            const ehm_setting *e = &ehm_settings[i];
            if (!ehm_in_groups(all_groups(*c, a), e->group)) continue;
            ehm_str_addf(s, "            '%s", e->kind == EHM_SET_LIST ? "*" : "");
            add_flag(s, e->key);
            ehm_str_addc(s, '[');
            add_plain(s, e->help);
            ehm_str_addc(s, ']');
            if (e->choices) ehm_str_add(s, ":value:("), add_choices(s, e->choices), ehm_str_addc(s, ')');
            else if (e->kind == EHM_SET_I64 || e->kind == EHM_SET_F64) ehm_str_add(s, ":number:");
            else if (e->kind != EHM_SET_BOOL) ehm_str_add(s, ":value:_files");
            ehm_str_add(s, "' \\\n");
        }
        const ehm_word *w = (*c)->words ? (*c)->words(a) : NULL;
        if (w && w->name) {
            ehm_str_add(s, "            '2:word:(");
            for (; w->name; w++) ehm_str_addf(s, "%s ", w->name);
            ehm_str_add(s, ")' \\\n");
        }
        ehm_str_add(s, "            '*:file:_files';;\n");
    }
    ehm_str_add(s, "    esac\n}\n_ehm \"$@\"\n");
}

static void complete_fish(ehm_str *s, ehm_arena *a) {
    ehm_str_add(s, "# made by: ehm help --completion fish\n");
    for (const ehm_command *const *c = ehm_commands; *c; c++) {
        ehm_str_addf(s, "complete -c ehm -n __fish_use_subcommand -f -a %s -d '", (*c)->name);
        add_plain(s, (*c)->summary);
        ehm_str_add(s, "'\n");
        for (const ehm_word *w = (*c)->words ? (*c)->words(a) : NULL; w && w->name; w++) {
            ehm_str_addf(s, "complete -c ehm -n '__fish_seen_subcommand_from %s' -f -a %s -d '", (*c)->name,
                         w->name);
            add_plain(s, w->summary);
            ehm_str_add(s, "'\n");
        }
        for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
            const ehm_setting *e = &ehm_settings[i];
            if (!ehm_in_groups(all_groups(*c, a), e->group)) continue;
            ehm_str_addf(s, "complete -c ehm -n '__fish_seen_subcommand_from %s' -l ", (*c)->name);
            for (const char *k = e->key; *k; k++) ehm_str_addc(s, *k == '_' ? '-' : *k);
            if (e->choices) ehm_str_add(s, " -x -a '"), add_choices(s, e->choices), ehm_str_addc(s, '\'');
            else if (e->kind == EHM_SET_I64 || e->kind == EHM_SET_F64) ehm_str_add(s, " -x");
            else if (e->kind != EHM_SET_BOOL) ehm_str_add(s, " -r");
            ehm_str_add(s, " -d '");
            add_plain(s, e->help);
            ehm_str_add(s, "'\n");
        }
    }
}

void ehm_help_completion(ehm_str *s, const char *shell, ehm_arena *a) {
    if (!strcmp(shell, "bash")) complete_bash(s, a);
    else if (!strcmp(shell, "zsh")) complete_zsh(s, a);
    else complete_fish(s, a);
}

/* ---- Markdown ---- */

static void add_cell(ehm_str *s, const char *text) {
    for (; *text; text++) {
        if (strchr("|<>*`", *text)) ehm_str_addc(s, '\\');
        ehm_str_addc(s, *text);
    }
}

void ehm_help_markdown(ehm_str *s, ehm_arena *a) {
    ehm_str_add(s, "# Settings\n\nMade by `ehm help --settings`. A key is a flag (`--mask-ratio`, dashes and "
                   "underscores are the same) and a key of a "
                   "`--config` file (`{\"mask_ratio\": 0.8}`).\nThe stronger origin wins: default, recipe, "
                   "preset, data, machine, config file, flag. "
                   "`--print-config` prints every setting with its origin.\n");
    for (const char *const *g = ehm_help_groups(a); g && *g; g++) {
        bool first = true;
        if (!strcmp(*g, "help")) continue;
        ehm_str_addf(s, "\n## %s (`%s`)\n\nTaken by:", ehm_help_group_title(*g), *g);
        for (const ehm_command *const *c = ehm_commands; *c; c++)
            if (ehm_in_groups(all_groups(*c, a), *g))
                ehm_str_addf(s, "%s `ehm %s`", first ? "" : ",", (*c)->name), first = false;
        ehm_str_addf(s, "%s\n\n| flag | meaning | values and source |\n|---|---|---|\n",
                     first ? " no command yet" : "");
        for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
            ehm_str option = {0}, facts = {0};
            if (strcmp(ehm_settings[i].group, *g)) continue;
            ehm_help_option(&option, &ehm_settings[i]);
            ehm_help_facts(&facts, i);
            ehm_str_add(s, "| `");
            for (const char *p = ehm_str_c(&option); *p; p++) ehm_str_addf(s, *p == '|' ? "\\%c" : "%c", *p);
            ehm_str_add(s, "` | ");
            add_cell(s, ehm_settings[i].help);
            ehm_str_add(s, " | ");
            add_cell(s, ehm_str_c(&facts));
            ehm_str_add(s, " |\n");
            ehm_str_free(&option);
            ehm_str_free(&facts);
        }
    }
}
