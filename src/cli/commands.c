#include "cli/cli_int.h"
#include <string.h>

#define COMMAND(name) extern const ehm_command ehm_cmd_##name;
#include "cli/commands.def"
#undef COMMAND

const ehm_command *const ehm_commands[] = {
#define COMMAND(name) &ehm_cmd_##name,
#include "cli/commands.def"
#undef COMMAND
    NULL};

const ehm_command *ehm_command_find(const char *name) {
    for (const ehm_command *const *c = ehm_commands; *c; c++)
        if (!strcmp((*c)->name, name)) return *c;
    return NULL;
}

const char *ehm_command_groups(const ehm_command *cmd, const char *word, ehm_arena *a) {
    const char *more = NULL;
    for (const ehm_word *w = cmd->words && word ? cmd->words(a) : NULL; w && w->name; w++)
        if (!strcmp(w->name, word)) more = w->groups;
    const char *all = ehm_arena_printf(a, "common,%s%s%s", cmd->groups ? cmd->groups : "", more ? "," : "",
                                       more ? more : "");
    return all ? all : "common";
}

const ehm_own_setting *ehm_command_own(const ehm_command *cmd, const ehm_word *word, int32_t i_setting) {
    const ehm_own_setting *own = ehm_own_setting_find(cmd->own, i_setting);
    return own || !word ? own : ehm_own_setting_find(word->own, i_setting);
}

ehm_code ehm_cli_print_config(const ehm_config *cfg, ehm_out *out) {
    ehm_str s = {0};
    ehm_json_w w = {.out = &s, .indent = 2};
    ehm_json_obj(&w);
    ehm_config_write(cfg, out->groups, true, &w);
    ehm_json_end(&w);
    ehm_out_json(out, &s);
    ehm_str_free(&s);
    return EHM_OK;
}
