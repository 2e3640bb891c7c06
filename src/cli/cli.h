/* The command line: a table of commands, each a struct in its own file; flags, help, completion and manual pages come from the
 * tables. A command reads its settings, calls the library, and prints a result.
 *
 *     static ehm_code run(const ehm_config *cfg, ehm_out *out, ehm_err *err) { ... ehm_out_addf(out, "%d\n", n); return EHM_OK; }
 *     const ehm_command ehm_cmd_count = {.name = "count", .summary = "counts pictures", .groups = "data", .run = run,
 *                                        .args = "PATH...", .n_args_max = -1, .args_key = "data", .example = "ehm count scenes:1:5"};
 *
 * To add a command: cmd_x.c with ehm_cmd_x, COMMAND(x) in commands.def; its example is its first test (tests/cli/examples.t).
 * Results go to stdout through ehm_out; everything else is ehm_log and ehm_progress of base/log.h, which console.c shows on stderr.
 */
#ifndef EHM_CLI_CLI_H
#define EHM_CLI_CLI_H
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/settings.h"

/* What a command is given besides its settings, and where its result goes. */
typedef struct {
    bool json;           /* --json: print one JSON object, by ehm_out_json */
    ehm_strs args;       /* the arguments that are no flags, without those that went to args_key */
    const char *groups;  /* groups of settings of this call: the command's and its word's */
    ehm_arena *arena;    /* lives until the program ends */
    bool written;        /* something was printed */
} ehm_out;
void ehm_out_add(ehm_out *out, const char *text);
void ehm_out_addf(ehm_out *out, const char *fmt, ...) EHM_PRINTF(2, 3);
void ehm_out_json(ehm_out *out, const ehm_str *json); /* adds the newline */
/* Columns that fit on stdout: the terminal's width, 100 where it is none. */
int32_t ehm_out_width(void);

/* A word that may stand first after the command: `ehm eval knn`. */
typedef struct {
    const char *name, *summary;
    const char *groups;         /* settings that it adds; may be NULL */
    const char *note;           /* a sentence for its help page; may be NULL */
    const ehm_own_setting *own; /* how it takes some of the settings; may be NULL */
} ehm_word;

typedef struct {
    const char *name, *summary; /* summary: "pre-trains a model on pictures", no full stop */
    const char *groups;         /* "data,model": settings that become flags; "common" always does */
    const char *example;        /* whole command lines, each ended by '\n' but for the last; run by tests in an empty folder */
    ehm_code (*run)(const ehm_config *cfg, ehm_out *out, ehm_err *err);
    const char *usage;          /* the flags that matter, for the usage line: "--data PATH --out DIR"; may be NULL */
    const char *details;        /* paragraphs for help, divided by "\n\n"; may be NULL */
    const char *args;           /* arguments as shown: "TASK", "[COMMAND]", "PATH..."; NULL: none are taken */
    int32_t n_args_min, n_args_max; /* how many; max -1: any number */
    const char *args_key;       /* arguments are appended to this LIST setting instead of ehm_out.args; NULL: not so */
    const ehm_word *(*words)(ehm_arena *a); /* permitted first arguments, ends with name NULL; NULL: any */
    const ehm_own_setting *own; /* how it takes some of the settings; may be NULL */
    bool resolves;              /* for --print-config run() is called: it resolves what is auto, calls ehm_cli_print_config and returns */
    bool dry_runs;              /* for --dry-run run() is called: it checks all and changes nothing. Else the program checks the settings and stops */
} ehm_command;

/* Every command in commands.def, ends with NULL. */
extern const ehm_command *const ehm_commands[];
const ehm_command *ehm_command_find(const char *name); /* NULL: none */
/* The groups of this command with this first argument (may be NULL), "common" first. */
const char *ehm_command_groups(const ehm_command *cmd, const char *word, ehm_arena *a);

/* Prints the settings of these groups with their origins as one JSON object, for --print-config. */
ehm_code ehm_cli_print_config(const ehm_config *cfg, ehm_out *out);
#endif
