/* Growable text, and small string tools. */
#ifndef EHM_BASE_STR_H
#define EHM_BASE_STR_H
#include "base/err.h"
#include "base/mem.h"
#include <stdarg.h>

typedef struct { char *s; size_t len, cap; bool failed; } ehm_str; /* zeroed = empty; s is NULL or NUL-ended; failed once memory ran out */
void ehm_str_add(ehm_str *b, const char *text);
void ehm_str_addn(ehm_str *b, const char *text, size_t n);
void ehm_str_addf(ehm_str *b, const char *fmt, ...) EHM_PRINTF(2, 3);
void ehm_str_addc(ehm_str *b, char c);
void ehm_str_clear(ehm_str *b); /* empty, memory kept */
void ehm_str_free(ehm_str *b);
const char *ehm_str_c(const ehm_str *b); /* never NULL */

typedef struct { const char **v; int32_t n; } ehm_strs;

bool ehm_starts(const char *s, const char *prefix);
bool ehm_ends(const char *s, const char *suffix);        /* exact case */
bool ehm_ends_nocase(const char *s, const char *suffix); /* ASCII case folded */
/* The candidate nearest to word by edit distance (transpositions count 1), NULL when none is within a third of its length + 1. */
const char *ehm_nearest(const char *word, const char *const *candidates, int32_t n);
/* Whole-string parses; false on trailing characters, overflow, empty. */
bool ehm_parse_i64(const char *s, int64_t *out);
bool ehm_parse_size(const char *text, int32_t *h, int32_t *w); /* "64" or "64x96" (height first), 1 to 65536 each; h and w stay as they are when false */
bool ehm_parse_f64(const char *s, double *out);
/* Sizes like 512M, 4G, 1e9, 3.5GiB -> bytes. */
bool ehm_parse_bytes(const char *s, int64_t *out);
/* "1.25 GiB", "768 MiB", "512 B": three significant digits; buf has 32 bytes. */
char *ehm_format_bytes(double bytes, char *buf);
/* "2 h 03 min", "4 min 10 s", "9.5 s"; buf has 32 bytes. */
char *ehm_format_seconds(double s, char *buf);
/* "1,234,567"; buf has 32 bytes. */
char *ehm_format_count(int64_t n, char *buf);
/* Compare by bytes = Unicode code point order for UTF-8. For qsort of const char*. */
int ehm_strcmp_qsort(const void *a, const void *b);
#endif
