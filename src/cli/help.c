/* Help text from the tables of commands and settings; nothing is written twice. */
#include "cli/cli_int.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { OPTION_COLUMN = 26, WORDS_SHOWN = 5 };

const ehm_help_fact ehm_help_exits[] = {
    {"0", "done"},
    {"1", "failed: a file, memory, the disk or the machine; what a run had on disk stays whole"},
    {"2", "wrong usage: an option, a value, a word or a name; nothing was begun"},
    {"3", "the loss or a gradient was not finite"},
    {"130", "stopped by SIGINT (Ctrl-C); a training has written a checkpoint"},
    {"143", "stopped by SIGTERM; a training has written a checkpoint"},
    {NULL, NULL}};

const ehm_help_fact ehm_help_environment[] = {
    {"NO_COLOR", "set and not empty: no colour, unless --color always asks for it"},
    {"TERM", "unset or dumb: no colour, and progress is a line now and then instead of one that is redrawn"},
    {"XDG_CACHE_HOME", "the cache folder is ehm in this folder, where it is an absolute path"},
    {"HOME", "without XDG_CACHE_HOME the cache folder is .cache/ehm in this folder"},
    {"EHM_ISA", "generic or avx2: use no wider instructions than these, to compare speed or to find a fault"},
    {NULL, NULL}};

const ehm_help_fact ehm_help_files[] = {
    {"~/.cache/ehm", "indexes of archives, and compressed archives unpacked; may be deleted when no ehm runs; --cache names another"},
    {"DIR/config.json", "in a run folder: every setting with its origin"},
    {"DIR/metrics.jsonl", "in a run folder: loss, rate and more, a line every --log-every steps"},
    {"DIR/checkpoints/", "in a run folder: what --resume goes on from"},
    {"DIR/model.safetensors", "in a run folder: the weights at the end"},
    {NULL, NULL}};

const char ehm_help_habits[] =
    "Dashes and underscores in options are the same, so lines of other MAE scripts can be pasted. An option's value "
    "follows after a space or after =. A switch that is on is turned off by --no-NAME.\n\n"
    "Results go to standard output, all else to standard error; with --json standard output is one JSON object, of "
    "the result or, where there is none, of the error. --quiet leaves errors and results, --verbose says more.\n\n"
    "The stronger origin of a setting wins: default, recipe, preset, data, machine, the file of --config, option. "
    "--print-config shows every setting with its origin.";

const char *ehm_help_group_title(const char *group) {
    static const char *const titles[][2] = {{"common", "Common options"},
                                            {"data", "Data"},
                                            {"channels", "Channels"},
                                            {"read", "Reading"},
                                            {"loading", "Loading"},
                                            {"size", "Input size"},
                                            {"fit", "Picture to model input"},
                                            {"crop", "Random crop"},
                                            {"transform", "Picture values"},
                                            {"model", "Model size"},
                                            {"patch", "Patch size"},
                                            {"heads", "Attention heads"},
                                            {"recipe", "Method"},
                                            {"mask", "Masking"},
                                            {"tree", "Masks along the model's hierarchy"},
                                            {"linkage", "Tree"},
                                            {"progress", "Progress"},
                                            {"grid", "Patches"},
                                            {"affinity", "Similarities"},
                                            {"treeval", "Evaluation of trees"},
                                            {"batch", "Batch"},
                                            {"train", "Training"},
                                            {"output", "Result"},
                                            {"run", "Where a run starts"},
                                            {"folder", "Run folder and checkpoints"},
                                            {"overwrite", "What stands there already"},
                                            {"export", "Format"},
                                            {"import", "Weights of other tools"},
                                            {"live", "While it runs"},
                                            {"report", "Report"},
                                            {"record", "Record of evaluations"},
                                            {"watch", "A page that follows its runs"},
                                            {"use", "Model"},
                                            {"embed", "Features"},
                                            {"eval", "Evaluation"},
                                            {"against", "A second model, and files"},
                                            {"pools", "Which features"},
                                            {"knn", "k nearest neighbours"},
                                            {"linear", "Linear probe"},
                                            {"tune", "Training with labels"},
                                            {"finetune", "Pictures and labels of fine-tuning"},
                                            {"depths", "Features of several blocks"},
                                            {"confusion", "Confusion matrix"},
                                            {"scale", "Random scale"},
                                            {"segment", "Segmentation"},
                                            {"segtest", "Label maps that are predicted"},
                                            {"detect", "Boxes"},
                                            {"boxes", "Pictures of boxes"},
                                            {"retrieve", "Retrieval"},
                                            {"save", "Network for ehm predict"},
                                            {"compare", "Comparison"},
                                            {"predict", "Prediction"},
                                            {"draw", "Drawing"},
                                            {"block", "Which block"},
                                            {"point", "Which patch"},
                                            {"basis", "Principal components"},
                                            {"nearest", "Neighbours"},
                                            {"reconstruct", "Reconstructions"},
                                            {"dataset", "What to do with the set"},
                                            {"info", "What to show"},
                                            {"plan", "Planning"},
                                            {"bench", "Benchmark"},
                                            {"list", "Lists"},
                                            {"help", "Instead of the help text"}};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        if (!strcmp(titles[i][0], group)) return titles[i][1];
    return group;
}

const char *const *ehm_help_groups(ehm_arena *a) {
    const char **v = EHM_NEW_N(a, const char *, EHM_SETTINGS_N + 1);
    int32_t n = 0;
    for (int32_t i = 0; v && i < EHM_SETTINGS_N; i++) {
        bool known = false;
        for (int32_t k = 0; k < n && !known; k++) known = !strcmp(v[k], ehm_settings[i].group);
        if (!known) v[n++] = ehm_settings[i].group;
    }
    return v;
}

static const char *placeholder(const ehm_setting *e) {
    return e->kind == EHM_SET_I64 ? "N" : e->kind == EHM_SET_F64 ? "X" : e->unit;
}

static void add_dashes(ehm_str *s, const char *key) {
    for (; *key; key++) ehm_str_addc(s, *key == '_' ? '-' : *key);
}

void ehm_help_option(ehm_str *s, const ehm_setting *e) {
    ehm_str_add(s, e->kind == EHM_SET_BOOL && e->def_bool ? "--[no-]" : "--");
    add_dashes(s, e->key);
    if (e->kind != EHM_SET_BOOL) ehm_str_addf(s, " %s", placeholder(e));
}

static void add_fact(ehm_str *s, size_t from, const char *text) {
    ehm_str_addf(s, "%s%s", s->len > from ? "; " : "", text);
}

/* The value of this setting where nothing is said; buf keeps it. */
static const char *default_text(int32_t i_setting, ehm_str *buf) {
    ehm_config c;
    ehm_config_init(&c);
    const char *text = ehm_config_text(&c, i_setting, buf);
    return ehm_settings[i_setting].kind == EHM_SET_BOOL ? "on" : text;
}

void ehm_help_facts(ehm_str *s, int32_t i_setting, const ehm_own_setting *own) {
    const ehm_setting *e = &ehm_settings[i_setting];
    size_t from = s->len;
    char t[128];
    if (e->kind == EHM_SET_I64 || e->kind == EHM_SET_F64) {
        if (e->kind == EHM_SET_I64 && e->hi_i64 == INT64_MAX)
            snprintf(t, sizeof t, "%s, %" PRId64 " or more", e->unit, e->lo_i64);
        else if (e->kind == EHM_SET_I64)
            snprintf(t, sizeof t, "%s, %" PRId64 " to %" PRId64, e->unit, e->lo_i64, e->hi_i64);
        else snprintf(t, sizeof t, "%s, %.9g to %.9g", e->unit, e->lo, e->hi);
        add_fact(s, from, t);
    }
    if (e->choices) {
        add_fact(s, from, "one of ");
        ehm_str_add(s, e->choices);
    }
    if (e->kind == EHM_SET_LIST) { /* its help says that it may be repeated */
    } else if (e->kind != EHM_SET_BOOL || e->def_bool) {
        ehm_str v = {0};
        const char *text = own ? own->value : default_text(i_setting, &v);
        if (*text) add_fact(s, from, "default "), ehm_str_add(s, text);
        ehm_str_free(&v);
    }
    /* What is only our choice needs no source; the others say whose it is. */
    const char *source = !own ? e->source : own->source ? own->source : "ours";
    if (!strcmp(source, "preset")) add_fact(s, from, "as the preset");
    else if (strcmp(source, "ours")) add_fact(s, from, source);
}

/* Words of text, broken at width, each line after `indent` spaces; the cursor stands at column `at` already. */
static void add_wrapped(ehm_str *s, const char *text, int32_t at, int32_t indent, int32_t width) {
    bool first = true;
    while (*text) {
        size_t n = strcspn(text, " \n");
        int32_t columns = 0;
        for (size_t i = 0; i < n; i++) columns += ((unsigned char)text[i] & 0xc0) != 0x80;
        if (!first && at + 1 + columns > width) ehm_str_addf(s, "\n%*s", indent, ""), at = indent;
        else if (!first) ehm_str_addc(s, ' '), at++;
        ehm_str_addn(s, text, n);
        at += columns, first = false;
        text += n;
        text += strspn(text, " \n");
    }
    ehm_str_addc(s, '\n');
}

static void add_heading(ehm_str *s, const char *text, ehm_help_style style) {
    ehm_str_addf(s, "\n%s%s%s\n", style.bold ? "\033[1m" : "", text, style.bold ? "\033[0m" : "");
}

static void add_row(ehm_str *s, const char *left, const char *text, int32_t column, int32_t width) {
    int32_t at = 2 + (int32_t)strlen(left);
    ehm_str_addf(s, "  %s", left);
    if (at + 2 > column) ehm_str_addf(s, "\n%*s", column, "");
    else ehm_str_addf(s, "%*s", column - at, "");
    add_wrapped(s, text, column, column, width);
}

static void add_settings(ehm_str *s, const ehm_command *cmd, const ehm_word *word, const char *groups,
                         const char *but_not, ehm_help_style style, ehm_arena *a) {
    int32_t column = style.width < 72 ? 8 : OPTION_COLUMN;
    for (const char *const *g = ehm_help_groups(a); g && *g; g++) {
        if (!ehm_in_groups(groups, *g) || (but_not && ehm_in_groups(but_not, *g)) || !strcmp(*g, "common"))
            continue;
        add_heading(s, ehm_help_group_title(*g), style);
        for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
            ehm_str option = {0}, text = {0};
            const ehm_own_setting *own = ehm_command_own(cmd, word, i);
            if (strcmp(ehm_settings[i].group, *g) || (own && !own->value)) continue;
            ehm_help_option(&option, &ehm_settings[i]);
            ehm_str_add(&text, own && own->help ? own->help : ehm_settings[i].help);
            size_t from = text.len;
            ehm_str_add(&text, " (");
            ehm_help_facts(&text, i, own);
            if (text.len == from + 2) text.s[text.len = from] = 0;
            else ehm_str_addc(&text, ')');
            add_row(s, ehm_str_c(&option), ehm_str_c(&text), column, style.width);
            ehm_str_free(&option);
            ehm_str_free(&text);
        }
    }
}

static void add_common(ehm_str *s, ehm_help_style style) {
    add_heading(s, ehm_help_group_title("common"), style);
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        ehm_str option = {0};
        if (strcmp(ehm_settings[i].group, "common")) continue;
        ehm_help_option(&option, &ehm_settings[i]);
        add_row(s, ehm_str_c(&option), ehm_settings[i].help, OPTION_COLUMN, style.width);
        ehm_str_free(&option);
    }
    add_row(s, "-h, --help", "this text", OPTION_COLUMN, style.width);
}

/* Each line of a text after two spaces. */
/* Lines of text; with start only those that begin so. */
static void add_indented(ehm_str *s, const char *text, const char *start) {
    while (*text) {
        size_t n = strcspn(text, "\n");
        if (!start || ehm_starts(text, start)) ehm_str_addf(s, "  %.*s\n", (int)n, text);
        text += n + (text[n] == '\n');
    }
}

void ehm_help_usage(ehm_str *s, const ehm_command *cmd) {
    if (!cmd) {
        ehm_str_add(s, "usage: ehm COMMAND [options]     (ehm help lists the commands)\n");
        return;
    }
    ehm_str_addf(s, "usage: ehm %s", cmd->name);
    if (cmd->args) ehm_str_addf(s, " %s", cmd->args);
    if (cmd->usage) ehm_str_addf(s, " %s", cmd->usage);
    ehm_str_addf(s, " [options]     (ehm help %s)\n", cmd->name);
}

void ehm_help_command(ehm_str *s, const ehm_command *cmd, const char *word, ehm_help_style style,
                      ehm_arena *a) {
    const ehm_word *words = cmd->words ? cmd->words(a) : NULL, *only = NULL;
    int32_t n_own = 0;
    for (const ehm_word *w = words; w && w->name; w++) {
        if (word && !strcmp(w->name, word)) only = w;
        n_own += w->groups != NULL;
    }
    const char *name = only ? ehm_arena_printf(a, "%s %s", cmd->name, only->name) : cmd->name;
    if (!name) name = cmd->name;
    ehm_str_addf(s, "%sehm %s%s: ", style.bold ? "\033[1m" : "", name, style.bold ? "\033[0m" : "");
    add_wrapped(s, only ? only->summary : cmd->summary, 6 + (int32_t)strlen(name), 2, style.width);
    ehm_str_addf(s, "\nusage: ehm %s%s%s%s%s [options]\n", name, cmd->args && !only ? " " : "",
                 cmd->args && !only ? cmd->args : "", cmd->usage ? " " : "", cmd->usage ? cmd->usage : "");
    if (only && only->note) {
        ehm_str_addc(s, '\n');
        add_wrapped(s, only->note, 0, 0, style.width);
    }
    for (const char *p = cmd->details; p && *p;) {
        const char *end = strstr(p, "\n\n");
        char *one = ehm_arena_strndup(a, p, end ? (size_t)(end - p) : strlen(p));
        ehm_str_addc(s, '\n');
        if (one) add_wrapped(s, one, 0, 0, style.width);
        p = end ? end + 2 : NULL;
    }
    if (words && words->name && !only) {
        char *title = ehm_arena_strdup(a, cmd->args);
        if (title) title[strcspn(title, " ")] = 0;
        add_heading(s, title ? title : "", style);
        for (const ehm_word *w = words; w->name; w++) add_row(s, w->name, w->summary, 16, style.width);
    }
    const char *own_example = only ? ehm_arena_printf(a, "ehm %s ", name) : NULL;
    if (!own_example || strstr(cmd->example, own_example)) {
        add_heading(s, "Example", style);
        add_indented(s, cmd->example, own_example);
    }
    add_settings(s, cmd, NULL, cmd->groups ? cmd->groups : "", NULL, style, a);
    bool each = only || n_own <= WORDS_SHOWN; /* the options of many words would bury those of all */
    if (!each) ehm_str_addf(s, "\nMore options belong to single ones of these: ehm help %s NAME\n", cmd->name);
    for (const ehm_word *w = words; each && w && w->name; w++) {
        if (!w->groups || (only && w != only)) continue;
        /* Groups of a word that the command has anyway were shown above. */
        ehm_str own = {0};
        add_settings(&own, cmd, w, w->groups, cmd->groups ? cmd->groups : "", style, a);
        if (own.len && only) ehm_str_add(s, own.s);
        else if (own.len) ehm_str_addf(s, "\nOnly for ehm %s %s:\n%s", cmd->name, w->name, own.s);
        ehm_str_free(&own);
    }
    add_common(s, style);
}

void ehm_help_tool(ehm_str *s, ehm_help_style style) {
    ehm_str_addf(s, "%sehm%s %s: ", style.bold ? "\033[1m" : "", style.bold ? "\033[0m" : "",
                 ehm_version_text());
    add_wrapped(s, "pre-trains vision transformers on pictures by masked image modelling", 12, 2,
                style.width);
    ehm_str_add(s, "\nusage: ehm COMMAND [options]\n       ehm help COMMAND\n");
    add_heading(s, "Commands", style);
    for (const ehm_command *const *c = ehm_commands; *c; c++)
        add_row(s, (*c)->name, (*c)->summary, 14, style.width);
    add_common(s, style);
    add_row(s, "--version", "version, libraries built in, compiler", OPTION_COLUMN, style.width);
    ehm_str_addc(s, '\n');
    add_wrapped(s,
                "Dashes and underscores in options are the same, so lines of other MAE scripts can be pasted. "
                "Results go to stdout, all else to stderr.",
                0, 0, style.width);
    add_heading(s, "Exit codes", style);
    for (const ehm_help_fact *f = ehm_help_exits; f->name; f++) add_row(s, f->name, f->text, 14, style.width);
    add_heading(s, "Environment", style);
    for (const ehm_help_fact *f = ehm_help_environment; f->name; f++) {
        int32_t column = (int32_t)strlen("XDG_CACHE_HOME") + 4;
        add_row(s, f->name, f->text, column, style.width);
    }
}

static void json_options(ehm_json_w *w, const ehm_word *word, const char *groups, const char *but_not) {
    ehm_json_arr(w);
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        const ehm_own_setting *own = word ? ehm_own_setting_find(word->own, i) : NULL;
        if (ehm_in_groups(groups, ehm_settings[i].group) && !(but_not && ehm_in_groups(but_not, ehm_settings[i].group)) && !(own && !own->value))
            ehm_json_str(w, ehm_settings[i].key);
    }
    ehm_json_end(w);
}

void ehm_help_json(ehm_str *s, const ehm_command *cmd, ehm_arena *a) {
    ehm_json_w w = {.out = s};
    ehm_json_obj(&w);
    ehm_json_key(&w, "version"), ehm_json_str(&w, ehm_version_text());
    ehm_json_key(&w, "commands"), ehm_json_arr(&w);
    for (const ehm_command *const *c = ehm_commands; *c; c++) {
        if (cmd && *c != cmd) continue;
        const char *groups = ehm_command_groups(*c, NULL, a);
        ehm_json_obj(&w);
        ehm_json_key(&w, "name"), ehm_json_str(&w, (*c)->name);
        ehm_json_key(&w, "summary"), ehm_json_str(&w, (*c)->summary);
        ehm_json_key(&w, "arguments"), ehm_json_str(&w, (*c)->args);
        ehm_json_key(&w, "example"), ehm_json_str(&w, (*c)->example);
        ehm_json_key(&w, "words"), ehm_json_arr(&w);
        for (const ehm_word *v = (*c)->words ? (*c)->words(a) : NULL; v && v->name; v++) ehm_json_str(&w, v->name);
        ehm_json_end(&w);
        ehm_json_key(&w, "options"), json_options(&w, NULL, groups, NULL);
        ehm_json_key(&w, "options_of_words"), ehm_json_obj(&w); /* what a word adds */
        for (const ehm_word *v = (*c)->words ? (*c)->words(a) : NULL; v && v->name; v++)
            if (v->groups) ehm_json_key(&w, v->name), json_options(&w, v, v->groups, groups);
        ehm_json_end(&w);
        ehm_json_end(&w);
    }
    ehm_json_end(&w);
    ehm_json_end(&w);
}

/* ---- version ---- */

#ifndef EHM_VERSION
#define EHM_VERSION "0.0.0"
#endif
const char *ehm_version_text(void) { return EHM_VERSION; }

#ifndef EHM_WITH_JPEG
#define EHM_WITH_JPEG 0
#endif
#ifndef EHM_WITH_PNG
#define EHM_WITH_PNG 0
#endif
#ifndef EHM_WITH_WEBP
#define EHM_WITH_WEBP 0
#endif
#ifndef EHM_WITH_TIFF
#define EHM_WITH_TIFF 0
#endif
#ifndef EHM_WITH_GIF
#define EHM_WITH_GIF 0
#endif
#ifndef EHM_WITH_ZLIB
#define EHM_WITH_ZLIB 0
#endif
#ifndef EHM_WITH_ZSTD
#define EHM_WITH_ZSTD 0
#endif
#ifndef EHM_WITH_LZMA
#define EHM_WITH_LZMA 0
#endif
#ifndef EHM_WITH_DNNL
#define EHM_WITH_DNNL 0
#endif
static const struct { const char *name; bool in; } libraries[] = {
    {"jpeg", EHM_WITH_JPEG}, {"png", EHM_WITH_PNG},   {"webp", EHM_WITH_WEBP},
    {"tiff", EHM_WITH_TIFF}, {"gif", EHM_WITH_GIF},   {"zlib", EHM_WITH_ZLIB},
    {"zstd", EHM_WITH_ZSTD}, {"lzma", EHM_WITH_LZMA}, {"onednn", EHM_WITH_DNNL}};
enum { LIBRARIES_N = sizeof libraries / sizeof *libraries };

static void compiler_add(ehm_str *s) {
#if defined(__clang__)
    ehm_str_addf(s, "clang %d.%d.%d", __clang_major__, __clang_minor__, __clang_patchlevel__);
#elif defined(__GNUC__)
    ehm_str_addf(s, "gcc %d.%d.%d", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#else
    ehm_str_add(s, "unknown");
#endif
}

void ehm_version_add(ehm_str *s) {
    ehm_str_addf(s, "ehm %s\n", EHM_VERSION);
    for (int in = 1; in >= 0; in--) {
        bool any = false;
        for (int i = 0; i < LIBRARIES_N; i++) {
            if (libraries[i].in != (in == 1)) continue;
            ehm_str_addf(s, "%s%s", any ? " " : in ? "with:     " : "without:  ", libraries[i].name);
            any = true;
        }
        if (any) ehm_str_addc(s, '\n');
    }
    ehm_str_add(s, "compiler: ");
    compiler_add(s);
    ehm_str_addc(s, '\n');
}

void ehm_version_json(ehm_str *s) {
    ehm_json_w w = {.out = s};
    ehm_str compiler = {0};
    compiler_add(&compiler);
    ehm_json_obj(&w);
    ehm_json_key(&w, "version"), ehm_json_str(&w, EHM_VERSION);
    ehm_json_key(&w, "libraries"), ehm_json_obj(&w);
    for (int i = 0; i < LIBRARIES_N; i++) ehm_json_key(&w, libraries[i].name), ehm_json_bool(&w, libraries[i].in);
    ehm_json_end(&w);
    ehm_json_key(&w, "compiler"), ehm_json_str(&w, ehm_str_c(&compiler));
    ehm_json_end(&w);
    ehm_str_free(&compiler);
}
