/* Errors: a function that can fail returns an ehm_code; the words go to an ehm_err that the caller owns.
 * The struct is fixed-size, so that "out of memory" can be reported without memory.
 *
 *     ehm_err err = {0};
 *     ehm_code rc = ehm_file_read(&bytes, path, &arena, &err);
 *     if (rc) { char text[EHM_ERR_TEXT]; fputs(ehm_err_text(&err, text), stderr); }
 */
#ifndef EHM_BASE_ERR_H
#define EHM_BASE_ERR_H
#include <stddef.h>

typedef enum {
    EHM_OK = 0,
    EHM_E_ARG,         /* a caller's argument is out of its documented range */
    EHM_E_CONFIG,      /* a setting, flag or combination of settings: exit code 2 */
    EHM_E_IO,          /* the system refused: open, read, write, no space */
    EHM_E_FORMAT,      /* bytes are not what the format says */
    EHM_E_MEMORY,      /* no memory, or a plan that does not fit */
    EHM_E_DEVICE,      /* a compute device failed */
    EHM_E_UNSUPPORTED, /* known, but not built in or not possible here */
    EHM_E_MISMATCH,    /* two things that must agree do not (model and data, checkpoint and settings) */
    EHM_E_NUMERIC,     /* a number is not finite where it must be: exit code 3 in training */
    EHM_E_STOPPED      /* a signal asked to stop: exit code 130 or 143 */
} ehm_code;

enum { EHM_ERR_WHAT = 768, EHM_ERR_WHILE = 384, EHM_ERR_HINT = 512, EHM_ERR_TEXT = 2048 };

typedef struct {
    ehm_code code;                 /* of the first error; EHM_OK when none */
    char what[EHM_ERR_WHAT];       /* what is wrong, with the values */
    char context[EHM_ERR_WHILE];   /* while doing what; may be empty */
    char hint[EHM_ERR_HINT];       /* the one thing to try; may be empty */
} ehm_err;

#if defined(__GNUC__)
#define EHM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define EHM_PRINTF(f, a)
#endif

/* Record an error (the first one wins) and return code. err may be NULL. */
ehm_code ehm_err_set(ehm_err *err, ehm_code code, const char *fmt, ...) EHM_PRINTF(3, 4);
/* Add the place that the user would recognise; the innermost stays first, others are appended after "; ". */
void ehm_err_while(ehm_err *err, const char *fmt, ...) EHM_PRINTF(2, 3);
/* Set the one thing to try; an earlier hint stays. */
void ehm_err_hint(ehm_err *err, const char *fmt, ...) EHM_PRINTF(2, 3);
/* Forget the error, so that err can be used again. */
void ehm_err_clear(ehm_err *err);
/* The three parts as text, lines "ehm: what", "  while: ...", "  hint:  ...", newline last. text has EHM_ERR_TEXT bytes. */
char *ehm_err_text(const ehm_err *err, char *text);
/* "argument", "io", ...: a word for logs and JSON. */
const char *ehm_code_name(ehm_code code);

#define EHM_FAIL(err, code, ...) ehm_err_set((err), (code), __VA_ARGS__)
#define EHM_WHILE(err, ...) ehm_err_while((err), __VA_ARGS__)
#define EHM_HINT(err, ...) ehm_err_hint((err), __VA_ARGS__)
/* Return early; for functions that hold nothing. Where there is something to free, use `rc = f(); if (rc) goto done;`. */
#define EHM_TRY(expr)                        \
    do {                                     \
        ehm_code ehm_try_rc_ = (expr);       \
        if (ehm_try_rc_) return ehm_try_rc_; \
    } while (0)

/* For what only we can break; never judges a file, a flag or a shape from outside. */
void ehm_assert_failed(const char *expr, const char *file, int line);
#define EHM_ASSERT(e) ((e) ? (void)0 : ehm_assert_failed(#e, __FILE__, __LINE__))
#endif
