/* Between the files of the command line itself. */
#ifndef EHM_CLI_CLI_INT_H
#define EHM_CLI_CLI_INT_H
#include "cli/cli.h"

/* ---- options.c: what one call of the program asks for ---- */
typedef struct {
    const ehm_command *cmd; /* NULL: none was named */
    ehm_config cfg;
    ehm_strs args;
    const char *groups;
    bool help, version;
} ehm_call;
/* Errors: EHM_E_CONFIG or EHM_E_ARG with the near word as hint; call->cmd is set as far as it was understood. */
ehm_code ehm_call_parse(ehm_call *call, int argc, char *const *argv, ehm_arena *a, ehm_err *err);

/* ---- help.c: text from the tables ---- */
typedef struct { int32_t width; bool bold; } ehm_help_style;
void ehm_help_tool(ehm_str *s, ehm_help_style style);
/* word: the first argument, whose own settings are shown too; may be NULL */
void ehm_help_command(ehm_str *s, const ehm_command *cmd, const char *word, ehm_help_style style, ehm_arena *a);
void ehm_help_usage(ehm_str *s, const ehm_command *cmd); /* one line; cmd may be NULL */
void ehm_help_json(ehm_str *s, const ehm_command *cmd, ehm_arena *a); /* the tables as one object; cmd NULL: all commands */
/* What holds for every command; the tables end with name NULL. */
typedef struct { const char *name, *text; } ehm_help_fact;
extern const ehm_help_fact ehm_help_exits[], ehm_help_environment[], ehm_help_files[];
extern const char ehm_help_habits[]; /* paragraphs, divided by "\n\n" */
/* ---- manual.c, completion.c: the same for other readers ---- */
void ehm_help_man(ehm_str *s, const ehm_command *cmd, ehm_arena *a); /* cmd NULL: the program */
void ehm_help_completion(ehm_str *s, const char *shell, ehm_arena *a);
void ehm_help_markdown(ehm_str *s, ehm_arena *a);
/* "--mask-ratio X", "--[no-]norm-pix-loss" */
void ehm_help_option(ehm_str *s, const ehm_setting *e);
/* "share, 0 to 1; default 0.75; He et al. 2022, 3"; may be empty. own: how a word takes it; NULL: as everywhere */
void ehm_help_facts(ehm_str *s, int32_t i_setting, const ehm_own_setting *own);
/* How this command, or where it says nothing this word of it, takes a setting; NULL: as everywhere. word may be NULL. */
const ehm_own_setting *ehm_command_own(const ehm_command *cmd, const ehm_word *word, int32_t i_setting);
const char *ehm_help_group_title(const char *group);
/* Settings groups in the order of the table, each once; ends with NULL. */
const char *const *ehm_help_groups(ehm_arena *a);
const char *ehm_version_text(void);
void ehm_version_add(ehm_str *s);
void ehm_version_json(ehm_str *s);

/* ---- console.c: stderr ---- */
void ehm_console_open(const ehm_config *cfg); /* log and progress go to stderr from here on */
void ehm_console_close(void);                 /* ends an open progress line */
void ehm_console_error(const ehm_err *err);
bool ehm_console_colour(int fd, const char *when); /* when: auto, always, never */
int32_t ehm_console_width(int fd);                 /* 0: no terminal */
#endif
