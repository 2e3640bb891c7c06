/* The tables as manual pages and Markdown. */
#include "cli/cli_int.h"
#include <stdio.h>
#include <string.h>

/* ---- troff ---- */

/* Quotes, dashes and the like as they are typed, so that a line of an example can be copied from the page. */
static void add_troff(ehm_str *s, const char *text) {
    static const struct { char c; const char *name; } names[] = {
        {'\\', "\\e"}, {'-', "\\-"}, {'\'', "\\(aq"}, {'`', "\\(ga"}, {'^', "\\(ha"}, {'~', "\\(ti"}, {'"', "\\(dq"}};
    for (const char *p = text; *p; p++) {
        const char *name = NULL;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (names[i].c == *p) name = names[i].name;
        if (*p == '.' && (p == text || p[-1] == '\n')) ehm_str_add(s, "\\&");
        if (name) ehm_str_add(s, name);
        else ehm_str_addc(s, *p);
    }
}

static bool same_text(const char *x, const char *y) { return x == y || (x && y && !strcmp(x, y)); }

static bool same_own(const ehm_own_setting *x, const ehm_own_setting *y) {
    return x && y && same_text(x->value, y->value) && same_text(x->help, y->help) && same_text(x->source, y->source);
}

/* help (facts) */
static void man_help(ehm_str *s, int32_t i, const ehm_own_setting *own) {
    ehm_str facts = {0};
    ehm_help_facts(&facts, i, own);
    add_troff(s, own && own->help ? own->help : ehm_settings[i].help);
    if (facts.len) ehm_str_add(s, " ("), add_troff(s, facts.s), ehm_str_addc(s, ')');
    ehm_str_addc(s, '\n');
    ehm_str_free(&facts);
}

/* Words from w on that take a setting in one same way are told of together: names gets "finetune, detect". NULL: w takes it as all do, or was told of. */
static const ehm_own_setting *own_of_words(ehm_str *names, const ehm_word *words, const ehm_word *w, int32_t i) {
    const ehm_own_setting *own = ehm_own_setting_find(w->own, i);
    for (const ehm_word *v = words; v < w; v++)
        if (same_own(ehm_own_setting_find(v->own, i), own)) return NULL;
    ehm_str_clear(names);
    for (const ehm_word *v = w; own && v->name; v++)
        if (same_own(ehm_own_setting_find(v->own, i), own)) ehm_str_addf(names, "%s%s", v > w ? ", " : "", v->name);
    return own;
}

static void man_own(ehm_str *s, const ehm_word *words, int32_t i) {
    ehm_str names = {0};
    for (const ehm_word *w = words; w && w->name; w++) {
        const ehm_own_setting *own = own_of_words(&names, words, w, i);
        if (!own) continue;
        ehm_str_addf(s, ".IP\n%s: ", ehm_str_c(&names));
        if (own->value) man_help(s, i, own);
        else ehm_str_add(s, "not taken\n");
    }
    ehm_str_free(&names);
}

/* only: the words of the command that take these groups; NULL where all do. cmd NULL: the program. */
static void man_group(ehm_str *s, const ehm_command *cmd, const ehm_word *words, const char *group, const char *only) {
    ehm_str_add(s, ".SS ");
    add_troff(s, ehm_help_group_title(group));
    ehm_str_addc(s, '\n');
    if (only) {
        ehm_str_add(s, "Only for ");
        add_troff(s, only);
        ehm_str_add(s, ".\n");
    }
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        ehm_str option = {0};
        if (strcmp(ehm_settings[i].group, group)) continue;
        ehm_help_option(&option, &ehm_settings[i]);
        ehm_str_add(s, ".TP\n.B ");
        add_troff(s, ehm_str_c(&option));
        ehm_str_addc(s, '\n');
        man_help(s, i, cmd ? ehm_command_own(cmd, NULL, i) : NULL);
        man_own(s, words, i);
        ehm_str_free(&option);
    }
}

static void man_settings(ehm_str *s, const ehm_command *cmd, ehm_arena *a) {
    const char *all = cmd ? ehm_command_groups(cmd, NULL, a) : "common";
    const ehm_word *words = cmd && cmd->words ? cmd->words(a) : NULL;
    ehm_str_add(s, ".SH OPTIONS\n");
    /* What belongs to the command comes first, what every command has last. */
    for (const char *const *g = ehm_help_groups(a); g && *g; g++)
        if (strcmp(*g, "common") && ehm_in_groups(all, *g)) man_group(s, cmd, words, *g, NULL);
    for (const char *const *g = ehm_help_groups(a); g && *g; g++) {
        ehm_str who = {0};
        for (const ehm_word *w = words; w && w->name; w++)
            if (w->groups && ehm_in_groups(w->groups, *g)) ehm_str_addf(&who, "%s%s", who.len ? ", " : "", w->name);
        if (who.len && !ehm_in_groups(all, *g)) man_group(s, cmd, words, *g, who.s);
        ehm_str_free(&who);
    }
    man_group(s, cmd, words, "common", NULL);
    ehm_str_add(s, ".TP\n.BR \\-h \", \" \\-\\-help\nshow the options and stop\n");
    if (!cmd) ehm_str_add(s, ".TP\n.B \\-\\-version\nshow the version, the libraries built in and the compiler, and stop\n");
}

static void man_title(ehm_str *s, const char *page, const char *name, const char *summary) {
    ehm_str_addf(s, ".TH %s 1 \"\" \"ehm %s\" \"User commands\"\n.SH NAME\n", page, ehm_version_text());
    add_troff(s, name);
    ehm_str_add(s, " \\- ");
    add_troff(s, summary);
    ehm_str_addc(s, '\n');
}

static void man_facts(ehm_str *s, const char *heading, const ehm_help_fact *f) {
    ehm_str_addf(s, ".SH %s\n", heading);
    for (; f->name; f++) {
        ehm_str_add(s, ".TP\n.B ");
        add_troff(s, f->name);
        ehm_str_addc(s, '\n');
        add_troff(s, f->text);
        ehm_str_addc(s, '\n');
    }
}

static void man_paragraphs(ehm_str *s, const char *text, ehm_arena *a) {
    for (const char *p = text; p && *p;) {
        const char *end = strstr(p, "\n\n");
        char *one = ehm_arena_strndup(a, p, end ? (size_t)(end - p) : strlen(p));
        if (one) add_troff(s, one);
        ehm_str_add(s, end ? "\n.PP\n" : "\n");
        p = end ? end + 2 : NULL;
    }
}

static void man_see_also(ehm_str *s, const ehm_command *but_not) {
    ehm_str_add(s, ".SH SEE ALSO\n");
    if (but_not) ehm_str_add(s, ".BR ehm (1),\n");
    for (const ehm_command *const *c = ehm_commands; *c; c++) {
        if (*c == but_not) continue;
        bool last = !c[1] || (c[1] == but_not && !c[2]);
        ehm_str_addf(s, ".BR ehm\\-%s (1)%s\n", (*c)->name, last ? "" : ",");
    }
}

static void man_tool(ehm_str *s, ehm_arena *a) {
    man_title(s, "EHM", "ehm", "pre-trains vision transformers on pictures by masked image modelling");
    ehm_str_add(s, ".SH SYNOPSIS\n.B ehm\n.I COMMAND\n[options]\n.br\n.B ehm help\n[\\fICOMMAND\\fR [\\fIWORD\\fR]]\n.SH DESCRIPTION\n");
    man_paragraphs(s, ehm_help_habits, a);
    ehm_str_add(s, ".SH COMMANDS\n");
    for (const ehm_command *const *c = ehm_commands; *c; c++) {
        ehm_str_addf(s, ".TP\n.BR ehm\\-%s (1)\n", (*c)->name);
        add_troff(s, (*c)->summary);
        ehm_str_addc(s, '\n');
    }
    man_settings(s, NULL, a);
    man_facts(s, "EXIT STATUS", ehm_help_exits);
    man_facts(s, "ENVIRONMENT", ehm_help_environment);
    man_facts(s, "FILES", ehm_help_files);
    man_see_also(s, NULL);
}

static void man_synopsis(ehm_str *s, const ehm_command *cmd) {
    ehm_str_addf(s, ".SH SYNOPSIS\n.B ehm %s\n", cmd->name);
    if (cmd->args) add_troff(s, cmd->args), ehm_str_addc(s, '\n');
    if (cmd->usage) add_troff(s, cmd->usage), ehm_str_addc(s, '\n');
    ehm_str_add(s, "[options]\n");
}

void ehm_help_man(ehm_str *s, const ehm_command *cmd, ehm_arena *a) {
    if (!cmd) {
        man_tool(s, a);
        return;
    }
    char *page = ehm_arena_printf(a, "EHM-%s", cmd->name), *name = ehm_arena_printf(a, "ehm-%s", cmd->name);
    for (char *p = page; p && *p; p++)
        if (*p >= 'a' && *p <= 'z') *p = (char)(*p - 32);
    man_title(s, page ? page : "EHM", name ? name : "ehm", cmd->summary);
    man_synopsis(s, cmd);
    ehm_str_add(s, ".SH DESCRIPTION\n");
    man_paragraphs(s, cmd->details ? cmd->details : cmd->summary, a);
    for (const ehm_word *w = cmd->words ? cmd->words(a) : NULL; w && w->name; w++) {
        ehm_str_addf(s, ".TP\n.B %s\n", w->name);
        add_troff(s, w->summary);
        ehm_str_addc(s, '\n');
        if (w->note) ehm_str_add(s, ".br\n"), add_troff(s, w->note), ehm_str_addc(s, '\n');
    }
    ehm_str_add(s, ".SH EXAMPLE\n.nf\n");
    add_troff(s, cmd->example);
    ehm_str_add(s, "\n.fi\n");
    man_settings(s, cmd, a);
    man_facts(s, "EXIT STATUS", ehm_help_exits);
    ehm_str_add(s, ".SH ENVIRONMENT\nSee\n.BR ehm (1).\n");
    man_see_also(s, cmd);
}

/* ---- Markdown ---- */

static const char *all_groups(const ehm_command *cmd, ehm_arena *a) {
    const char *g = ehm_command_groups(cmd, NULL, a);
    for (const ehm_word *w = cmd->words ? cmd->words(a) : NULL; w && w->name; w++)
        if (w->groups) {
            const char *more = ehm_arena_printf(a, "%s,%s", g, w->groups);
            g = more ? more : g;
        }
    return g;
}

static void add_cell(ehm_str *s, const char *text) {
    for (; *text; text++) {
        if (strchr("|<>*`", *text)) ehm_str_addc(s, '\\');
        ehm_str_addc(s, *text);
    }
}

/* "<br>eval finetune, detect: default 0.001; ..." */
static void add_own(ehm_str *s, int32_t i, ehm_arena *a) {
    ehm_str names = {0}, facts = {0};
    for (const ehm_command *const *c = ehm_commands; *c; c++) {
        const ehm_word *words = (*c)->words ? (*c)->words(a) : NULL;
        for (const ehm_word *w = words; w && w->name; w++) {
            const ehm_own_setting *own = own_of_words(&names, words, w, i);
            if (!own) continue;
            ehm_str_addf(s, "<br>%s %s: ", (*c)->name, ehm_str_c(&names));
            ehm_str_clear(&facts);
            if (own->value && own->help) ehm_str_addf(&facts, "%s; ", own->help);
            if (own->value) ehm_str_addf(&facts, "default %s", own->value);
            else ehm_str_add(&facts, "not taken");
            if (own->source) ehm_str_addf(&facts, "; %s", own->source);
            add_cell(s, ehm_str_c(&facts));
        }
    }
    ehm_str_free(&names), ehm_str_free(&facts);
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
            ehm_help_facts(&facts, i, NULL);
            ehm_str_add(s, "| `");
            for (const char *p = ehm_str_c(&option); *p; p++) ehm_str_addf(s, *p == '|' ? "\\%c" : "%c", *p);
            ehm_str_add(s, "` | ");
            add_cell(s, ehm_settings[i].help);
            ehm_str_add(s, " | ");
            add_cell(s, ehm_str_c(&facts));
            add_own(s, i, a);
            ehm_str_add(s, " |\n");
            ehm_str_free(&option);
            ehm_str_free(&facts);
        }
    }
}
