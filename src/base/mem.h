/* Memory: arenas by lifetime (run, step, scratch), and size arithmetic that notices overflow.
 * A function that takes an ehm_arena puts its result there; a function without one allocates nothing that outlives it.
 *
 *     ehm_arena a = {0};
 *     float *x = EHM_NEW_N(&a, float, n);   // zeroed; NULL when there is no memory
 *     ehm_arena_reset(&a);                  // all gone, blocks kept for reuse
 *     ehm_arena_free(&a);
 *
 * Built with EHM_ARENA_DEBUG (the sanitizer builds do) each request is its own malloc, so that edges are seen.
 */
#ifndef EHM_BASE_MEM_H
#define EHM_BASE_MEM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ehm_arena_block ehm_arena_block;
typedef struct {
    ehm_arena_block *first, *cur; /* private */
    size_t used_bytes;            /* handed out since init or reset */
    size_t limit_bytes;           /* 0: none; else a request beyond it returns NULL */
} ehm_arena;                      /* a zeroed struct is an empty arena; not thread-safe */

void *ehm_arena_alloc(ehm_arena *a, size_t count, size_t size); /* zeroed, aligned to 64 bytes; NULL on overflow or no memory */
char *ehm_arena_strdup(ehm_arena *a, const char *s);
char *ehm_arena_strndup(ehm_arena *a, const char *s, size_t n);
char *ehm_arena_printf(ehm_arena *a, const char *fmt, ...);
void ehm_arena_reset(ehm_arena *a);
void ehm_arena_free(ehm_arena *a);
#define EHM_NEW(a, T) ((T *)ehm_arena_alloc((a), 1, sizeof(T)))
#define EHM_NEW_N(a, T, n) ((T *)ehm_arena_alloc((a), (size_t)(n), sizeof(T)))

/* *out = a*b or a+b; false when it does not fit. */
static inline bool ehm_mul_size(size_t *out, size_t a, size_t b) { return !__builtin_mul_overflow(a, b, out); }
static inline bool ehm_add_size(size_t *out, size_t a, size_t b) { return !__builtin_add_overflow(a, b, out); }

/* Aligned blocks for large buffers: alignment 64 (2 MiB and huge pages advised from 4 MiB up). Zeroed. NULL when refused. */
void *ehm_block_alloc(size_t bytes);
void ehm_block_free(void *p, size_t bytes);

/* A byte string borrowed from or owned by whoever made it. */
typedef struct { uint8_t *data; size_t len; } ehm_bytes;
#endif
