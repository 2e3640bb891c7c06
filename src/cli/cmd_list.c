/* ehm list: what there is to choose from, read from the library's tables. */
#include "cli/cli.h"
#include "compute/compute.h"
#include "eval/eval.h"
#include "mask/mask.h"
#include "net/shape.h"
#include "recipe/method.h"
#include <stdio.h>
#include <string.h>

enum { COLUMNS_MAX = 8, GRID_SHOWN = 196 };
/* Notes and choices ("a|b", an array in JSON) are too long for a column: for people they follow the table,
 * paragraph by paragraph. AS_JSON is for programs alone, as it stands. */
typedef enum { AS_TEXT, AS_NUMBER, AS_NOTE, AS_CHOICES, AS_JSON } cell_kind;
static bool in_table(cell_kind k) { return k == AS_TEXT || k == AS_NUMBER; }
static bool is_note(cell_kind k) { return k == AS_NOTE || k == AS_CHOICES; }

/* Rows are collected first: the table for people needs the widest cell of each column. */
typedef struct {
    int32_t n_columns, n_rows, cap;
    const char *head[COLUMNS_MAX];
    cell_kind kind[COLUMNS_MAX];
    const char **cell; /* [n_rows, n_columns] */
    ehm_arena *a;
    bool failed;
} table;

static void column(table *t, const char *head, cell_kind kind) {
    t->kind[t->n_columns] = kind;
    t->head[t->n_columns++] = head;
}

static const char **row(table *t) {
    static const char *nowhere[COLUMNS_MAX];
    if (t->n_rows == t->cap) {
        int32_t cap = t->cap ? 2 * t->cap : 32;
        const char **cell = EHM_NEW_N(t->a, const char *, (size_t)cap * (size_t)t->n_columns);
        if (!cell) return t->failed = true, nowhere;
        if (t->n_rows) memcpy(cell, t->cell, sizeof *cell * (size_t)t->n_rows * (size_t)t->n_columns);
        t->cell = cell, t->cap = cap;
    }
    return t->cell + (size_t)t->n_rows++ * (size_t)t->n_columns;
}

static const char *number(table *t, int64_t v) {
    const char *s = ehm_arena_printf(t->a, "%lld", (long long)v);
    if (!s) t->failed = true;
    return s ? s : "";
}

static void list_presets(table *t) {
    static const char *const heads[] = {"width",         "depth",         "heads",
                                        "decoder width", "decoder depth", "decoder heads"};
    column(t, "name", AS_TEXT);
    for (int i = 0; i < 6; i++) column(t, heads[i], AS_NUMBER);
    column(t, "patch", AS_NUMBER);
    for (const ehm_vit_preset *p = ehm_vit_presets; p->name; p++) {
        const char **c = row(t);
        c[0] = p->name, c[1] = number(t, p->embed_dim), c[2] = number(t, p->depth),
        c[3] = number(t, p->num_heads);
        c[4] = number(t, p->decoder_embed_dim), c[5] = number(t, p->decoder_depth),
        c[6] = number(t, p->decoder_num_heads), c[7] = number(t, p->patch_size);
    }
}

static void named(table *t, const char *third) {
    column(t, "name", AS_TEXT);
    column(t, "what it is", AS_TEXT);
    column(t, third, AS_TEXT);
}

static void add_needs(ehm_str *s, uint32_t needs) {
    const char *between = "";
    for (uint32_t bit = 1; bit && bit <= needs; bit <<= 1)
        if (needs & bit) ehm_str_addf(s, "%s%s", between, ehm_mask_need_name(bit)), between = ", ";
    if (!needs) ehm_str_add(s, "nothing");
}

/* What the rule may ask for by default; where its arguments differ in that, each of them. */
static const char *needs_of(table *t, const ehm_mask_rule *r) {
    ehm_str s = {0}, all = {0};
    uint32_t first = ehm_mask_needs_ever(r, NULL, NULL, GRID_SHOWN);
    bool differ = false;
    for (const char *p = r->args; p && *p; p += strcspn(p, "|"), p += *p == '|') {
        char *arg = ehm_arena_strndup(t->a, p, strcspn(p, "|"));
        if (!arg) return t->failed = true, "";
        uint32_t needs = ehm_mask_needs_ever(r, NULL, arg, GRID_SHOWN);
        differ |= needs != first;
        ehm_str_addf(&s, "%s%s: ", s.len ? "; " : "", arg);
        add_needs(&s, needs);
    }
    add_needs(&all, first);
    const char *text = ehm_arena_strdup(t->a, ehm_str_c(differ ? &s : &all));
    if (!text || s.failed || all.failed) t->failed = true;
    ehm_str_free(&s);
    ehm_str_free(&all);
    return text ? text : "";
}

static void list_masks(table *t) {
    column(t, "name", AS_TEXT);
    column(t, "arguments", AS_CHOICES);
    column(t, "what it is", AS_TEXT);
    column(t, "source", AS_NOTE);
    column(t, "needs", AS_NOTE);
    column(t, "exact count", AS_JSON);
    column(t, "details", AS_NOTE);
    for (const ehm_mask_rule *const *r = ehm_mask_rules; *r; r++) {
        const char **c = row(t);
        c[0] = (*r)->name, c[1] = (*r)->args ? (*r)->args : "";
        c[2] = (*r)->summary, c[3] = (*r)->source;
        c[4] = needs_of(t, *r), c[5] = (*r)->inexact ? "false" : "true";
        c[6] = (*r)->details ? (*r)->details : "";
    }
}

static void list_recipes(table *t) {
    named(t, "source");
    for (const ehm_recipe *const *r = ehm_recipes; *r; r++) {
        const char **c = row(t);
        c[0] = (*r)->name, c[1] = (*r)->summary, c[2] = (*r)->source;
    }
}

static void list_tasks(table *t) {
    named(t, "metrics");
    for (const ehm_eval_task *const *e = ehm_eval_tasks; *e; e++) {
        const char **c = row(t);
        ehm_str s = {0};
        for (int32_t i = 0; i < (*e)->n_metrics; i++)
            ehm_str_addf(&s, "%s%s (%s, %s is better)", i ? ", " : "", (*e)->metrics[i].name,
                         (*e)->metrics[i].unit, (*e)->metrics[i].more_is_better ? "more" : "less");
        c[0] = (*e)->name, c[1] = (*e)->summary, c[2] = ehm_arena_strdup(t->a, ehm_str_c(&s));
        if (!c[2]) t->failed = true, c[2] = "";
        ehm_str_free(&s);
    }
}

static void list_ops(table *t) {
    static const struct { const char *name, *what, *bwd; } ops[] = {
#define OP(name, what, tol_f32, tol_bf16, bwd) {#name, what, bwd},
#include "compute/ops.def"
#undef OP
    };
    named(t, "gradient");
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        const char **c = row(t);
        c[0] = ops[i].name, c[1] = ops[i].what, c[2] = ops[i].bwd;
    }
}

static void list_settings(table *t) {
    ehm_config cfg;
    ehm_str s = {0};
    ehm_config_init(&cfg);
    column(t, "name", AS_TEXT);
    column(t, "group", AS_TEXT);
    column(t, "default", AS_TEXT);
    column(t, "what it is", AS_TEXT);
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        const char **c = row(t);
        c[0] = ehm_settings[i].key, c[1] = ehm_settings[i].group, c[3] = ehm_settings[i].help;
        c[2] = ehm_arena_strdup(t->a, ehm_config_text(&cfg, i, &s));
        if (!c[2]) t->failed = true, c[2] = "";
    }
    ehm_str_free(&s);
}

static const struct { ehm_word word; void (*list)(table *t); } lists[] = {
    {{"presets", "model sizes", NULL, NULL, NULL}, list_presets},
    {{"masks", "rules that choose which patches are hidden", NULL, NULL, NULL}, list_masks},
    {{"recipes", "pre-training methods", NULL, NULL, NULL}, list_recipes},
    {{"tasks", "evaluations", NULL, NULL, NULL}, list_tasks},
    {{"ops", "operations of a compute device", NULL, NULL, NULL}, list_ops},
    {{"settings", "every setting with its default", NULL, NULL, NULL}, list_settings},
};
enum { LISTS_N = sizeof lists / sizeof *lists };

static const ehm_word *words(ehm_arena *a) {
    ehm_word *w = EHM_NEW_N(a, ehm_word, LISTS_N + 1);
    for (int i = 0; w && i < LISTS_N; i++) w[i] = lists[i].word;
    return w;
}

/* "  head: text", broken between words. */
static void add_paragraph(ehm_str *s, const char *head, const char *text, bool is_choice) {
    size_t at = strlen(head) + 3, width = (size_t)ehm_out_width();
    ehm_str_addf(s, "  %s:", head);
    for (const char *p = text; *p; p += *p == ' ') {
        size_t word = strcspn(p, " ");
        if (at + 1 + word > width) ehm_str_add(s, "\n   "), at = 3;
        ehm_str_addc(s, ' ');
        ehm_str_addn(s, p, word);
        at += word + 1;
        p += word;
    }
    ehm_str_add(s, is_choice ? " (the first by default)\n" : "\n");
}

static void add_notes(ehm_str *s, const table *t) {
    bool any = false;
    for (int32_t k = 0; k < t->n_columns; k++) any |= is_note(t->kind[k]);
    for (int32_t i = 0; any && i < t->n_rows; i++) {
        const char **c = t->cell + (size_t)i * (size_t)t->n_columns;
        ehm_str_addf(s, "\n%s\n", c[0]);
        for (int32_t k = 0; k < t->n_columns; k++)
            if (is_note(t->kind[k]) && *c[k]) add_paragraph(s, t->head[k], c[k], t->kind[k] == AS_CHOICES);
    }
}

static void print_text(const table *t, ehm_out *out) {
    int32_t width[COLUMNS_MAX];
    ehm_str s = {0};
    for (int32_t k = 0; k < t->n_columns; k++) {
        width[k] = (int32_t)strlen(t->head[k]);
        for (int32_t i = 0; i < t->n_rows; i++) {
            int32_t n = (int32_t)strlen(t->cell[(size_t)i * (size_t)t->n_columns + (size_t)k]);
            if (n > width[k]) width[k] = n;
        }
    }
    for (int32_t i = -1; i < t->n_rows; i++) {
        for (int32_t k = 0; k < t->n_columns; k++) {
            if (!in_table(t->kind[k])) continue;
            const char *c = i < 0 ? t->head[k] : t->cell[(size_t)i * (size_t)t->n_columns + (size_t)k];
            ehm_str_addf(&s, t->kind[k] == AS_NUMBER ? "%s%*s" : "%s%-*s", k ? "  " : "", width[k], c);
        }
        while (s.len && s.s[s.len - 1] == ' ') s.s[--s.len] = 0;
        ehm_str_addc(&s, '\n');
    }
    add_notes(&s, t);
    ehm_out_add(out, ehm_str_c(&s));
    ehm_str_free(&s);
}

static void json_choices(ehm_json_w *w, const char *choices) {
    char one[64];
    ehm_json_arr(w);
    for (const char *p = choices; *p; p += strcspn(p, "|"), p += *p == '|') {
        snprintf(one, sizeof one, "%.*s", (int)strcspn(p, "|"), p);
        ehm_json_str(w, one);
    }
    ehm_json_end(w);
}

static void print_json(const table *t, const char *what, ehm_out *out) {
    ehm_str s = {0};
    ehm_json_w w = {.out = &s};
    ehm_json_obj(&w);
    ehm_json_key(&w, what);
    ehm_json_arr(&w);
    for (int32_t i = 0; i < t->n_rows; i++) {
        ehm_json_obj(&w);
        for (int32_t k = 0; k < t->n_columns; k++) {
            char key[32];
            const char *c = t->cell[(size_t)i * (size_t)t->n_columns + (size_t)k];
            snprintf(key, sizeof key, "%s", !strcmp(t->head[k], "what it is") ? "summary" : t->head[k]);
            for (char *p = key; *p; p++)
                if (*p == ' ') *p = '_';
            ehm_json_key(&w, key);
            if (t->kind[k] == AS_NUMBER || t->kind[k] == AS_JSON) ehm_json_raw(&w, c);
            else if (t->kind[k] == AS_CHOICES) json_choices(&w, c);
            else ehm_json_str(&w, c);
        }
        ehm_json_end(&w);
    }
    ehm_json_end(&w);
    ehm_json_end(&w);
    ehm_out_json(out, &s);
    ehm_str_free(&s);
}

static ehm_code run(const ehm_config *cfg, ehm_out *out, ehm_err *err) {
    table t = {.a = out->arena};
    const char *what = out->args.v[0];
    (void)cfg;
    for (int i = 0; i < LISTS_N; i++)
        if (!strcmp(lists[i].word.name, what)) lists[i].list(&t);
    if (t.failed) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to list %s", what);
    if (out->json) print_json(&t, what, out);
    else print_text(&t, out);
    return EHM_OK;
}

const ehm_command ehm_cmd_list = {.name = "list",
                                  .summary = "lists what there is to choose from",
                                  .args = "WHAT",
                                  .n_args_min = 1,
                                  .n_args_max = 1,
                                  .words = words,
                                  .example = "ehm list masks",
                                  .run = run};
