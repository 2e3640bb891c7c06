/* ehm help: text from the tables, for people, man, shells and programs. */
#include "cli/cli_int.h"
#include <string.h>
#include <unistd.h>

static const ehm_word *words(ehm_arena *a) {
    int32_t n = 0, k = 0;
    while (ehm_commands[n]) n++;
    ehm_word *w = EHM_NEW_N(a, ehm_word, n + 1);
    for (; w && k < n; k++) w[k] = (ehm_word){ehm_commands[k]->name, ehm_commands[k]->summary, NULL, NULL, NULL};
    return w;
}

/* Lines of --names or --examples. */
static void lines(ehm_str *s, const ehm_config *cfg, const ehm_command *only) {
    ehm_json_w w = {.out = s};
    if (cfg->json) ehm_json_obj(&w), ehm_json_key(&w, cfg->names ? "names" : "examples");
    if (cfg->json && cfg->names) ehm_json_arr(&w);
    else if (cfg->json) ehm_json_obj(&w);
    for (const ehm_command *const *c = ehm_commands; *c; c++) {
        if (only && only != *c) continue;
        if (!cfg->json) ehm_str_addf(s, "%s\n", cfg->names ? (*c)->name : (*c)->example);
        else if (cfg->names) ehm_json_str(&w, (*c)->name);
        else ehm_json_key(&w, (*c)->name), ehm_json_str(&w, (*c)->example);
    }
    if (cfg->json) ehm_json_end(&w), ehm_json_end(&w), ehm_str_addc(s, '\n');
}

static ehm_code is_word(const ehm_command *cmd, const char *word, ehm_arena *a, ehm_err *err) {
    ehm_str all = {0};
    for (const ehm_word *w = cmd->words ? cmd->words(a) : NULL; w && w->name; w++) {
        if (!strcmp(w->name, word)) {
            ehm_str_free(&all);
            return EHM_OK;
        }
        ehm_str_addf(&all, "%s%s", all.len ? ", " : "", w->name);
    }
    EHM_FAIL(err, EHM_E_CONFIG, "ehm %s has no \"%s\"", cmd->name, word);
    if (all.len) EHM_HINT(err, "there are %s", ehm_str_c(&all));
    ehm_str_free(&all);
    return EHM_E_CONFIG;
}

static ehm_code run(const ehm_config *cfg, ehm_out *out, ehm_err *err) {
    const ehm_command *cmd = out->args.n ? ehm_command_find(out->args.v[0]) : NULL;
    ehm_help_style style = {ehm_out_width(), ehm_console_colour(STDOUT_FILENO, cfg->color)};
    const char *word = out->args.n > 1 ? out->args.v[1] : NULL;
    ehm_str s = {0};
    if (word) EHM_TRY(is_word(cmd, word, out->arena, err));
    if ((cfg->man != 0) + (cfg->completion != NULL) + (cfg->settings != 0) + (cfg->names != 0) +
            (cfg->examples != 0) >
        1)
        return EHM_FAIL(err, EHM_E_CONFIG,
                        "--man, --completion, --settings, --names and --examples cannot be had together");
    if (cfg->json && (cfg->man || cfg->completion || cfg->settings)) {
        EHM_HINT(err, "ehm help --json and ehm list settings --json hold what these are made of");
        return EHM_FAIL(err, EHM_E_CONFIG, "--%s is a text for another reader: --json cannot be had with it",
                        cfg->man ? "man" : cfg->completion ? "completion" : "settings");
    }
    if (cfg->man) ehm_help_man(&s, cmd, out->arena);
    else if (cfg->completion) ehm_help_completion(&s, cfg->completion, out->arena);
    else if (cfg->settings) ehm_help_markdown(&s, out->arena);
    else if (cfg->names || cfg->examples) lines(&s, cfg, cmd);
    else if (cfg->json) ehm_help_json(&s, cmd, out->arena), ehm_str_addc(&s, '\n');
    else if (cmd) ehm_help_command(&s, cmd, word, style, out->arena);
    else ehm_help_tool(&s, style);
    ehm_code rc = s.failed ? EHM_FAIL(err, EHM_E_MEMORY, "no memory for the help text") : EHM_OK;
    if (!rc) ehm_out_add(out, s.s);
    ehm_str_free(&s);
    return rc;
}

const ehm_command ehm_cmd_help = {.name = "help",
                                  .summary = "explains commands and options",
                                  .groups = "help",
                                  .args = "[COMMAND [WORD]]",
                                  .n_args_max = 2,
                                  .words = words,
                                  .example = "ehm help list",
                                  .run = run};
