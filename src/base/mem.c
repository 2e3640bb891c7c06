#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALIGN = 64 };
#define BLOCK_MIN ((size_t)64 << 10)
#define BLOCK_GROW_MAX ((size_t)8 << 20) /* blocks double up to here, so that a large arena has few of them */
#define HUGE_PAGE ((size_t)2 << 20)
#define HUGE_FROM ((size_t)4 << 20)

struct ehm_arena_block {
    ehm_arena_block *next;
    size_t cap, used; /* of the bytes after this header */
    size_t dirty;     /* bytes from here on are still zero */
};
/* The header fills one alignment unit, so that what follows is aligned as the block is. */
enum { HEADER = ALIGN };
_Static_assert(sizeof(ehm_arena_block) <= HEADER, "arena block header");

static char *block_data(ehm_arena_block *b) { return (char *)b + HEADER; }

static ehm_arena_block *block_new(size_t cap) {
    size_t total;
    if (!ehm_add_size(&total, cap, HEADER)) return NULL;
    ehm_arena_block *b = ehm_block_alloc(total);
    if (b) b->cap = cap;
    return b;
}

static void block_list_free(ehm_arena_block *b) {
    while (b) {
        ehm_arena_block *next = b->next;
        ehm_block_free(b, b->cap + HEADER);
        b = next;
    }
}

#ifdef EHM_ARENA_DEBUG
/* One block a request, exactly as long as asked for: the sanitizer then sees the byte after the end. */
static void *take(ehm_arena *a, size_t bytes) {
    ehm_arena_block *b = block_new(bytes);
    if (!b) return NULL;
    b->next = a->first, a->first = a->cur = b;
    return block_data(b);
}

void ehm_arena_reset(ehm_arena *a) { ehm_arena_free(a); }
#else
static void *take(ehm_arena *a, size_t bytes) {
    bytes += !bytes; /* two empty requests are two places */
    /* Round up inside the block only: the header's alignment makes every offset a multiple of 64. */
    size_t need = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (need < bytes) return NULL;
    ehm_arena_block *b = a->cur, *last = b;
    for (; b && b->cap - b->used < need; b = b->next) last = b;
    if (!b) {
        size_t cap = last ? last->cap * 2 : BLOCK_MIN - HEADER;
        if (cap > BLOCK_GROW_MAX - HEADER) cap = BLOCK_GROW_MAX - HEADER;
        b = block_new(cap > need ? cap & ~(size_t)(ALIGN - 1) : need);
        if (!b) return NULL;
        if (last) last->next = b;
        else a->first = b;
    }
    a->cur = b;
    char *p = block_data(b) + b->used;
    if (b->used < b->dirty) memset(p, 0, need < b->dirty - b->used ? need : b->dirty - b->used);
    b->used += need;
    if (b->dirty < b->used) b->dirty = b->used;
    return p;
}

void ehm_arena_reset(ehm_arena *a) {
    for (ehm_arena_block *b = a->first; b; b = b->next) b->used = 0;
    a->cur = a->first;
    a->used_bytes = 0;
}
#endif

void *ehm_arena_alloc(ehm_arena *a, size_t count, size_t size) {
    size_t bytes, total;
    if (!ehm_mul_size(&bytes, count, size) || !ehm_add_size(&total, a->used_bytes, bytes)) return NULL;
    if (a->limit_bytes && total > a->limit_bytes) return NULL;
    void *p = take(a, bytes);
    if (p) a->used_bytes = total;
    return p;
}

void ehm_arena_free(ehm_arena *a) {
    block_list_free(a->first);
    a->first = a->cur = NULL;
    a->used_bytes = 0;
}

char *ehm_arena_strndup(ehm_arena *a, const char *s, size_t n) {
    size_t len = strnlen(s, n);
    char *p = ehm_arena_alloc(a, len + 1, 1);
    if (p) memcpy(p, s, len);
    return p;
}

char *ehm_arena_strdup(ehm_arena *a, const char *s) { return ehm_arena_strndup(a, s, strlen(s)); }

char *ehm_arena_printf(ehm_arena *a, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : ehm_arena_alloc(a, (size_t)n + 1, 1);
    if (!p) return NULL;
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

#ifndef EHM_ARENA_DEBUG
/* Maps more than asked for and gives back both ends, so that huge pages can start at the first byte. */
static void *map_huge(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), want, len;
    if (!ehm_add_size(&want, bytes, page - 1)) return NULL;
    want &= ~(page - 1);
    if (!ehm_add_size(&len, want, HUGE_PAGE)) return NULL;
    char *raw = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) return NULL;
    char *p = (char *)(((uintptr_t)raw + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
    if (p > raw) munmap(raw, (size_t)(p - raw));
    if (raw + len > p + want) munmap(p + want, (size_t)(raw + len - (p + want)));
    (void)madvise(p, want, MADV_HUGEPAGE); /* advice only: without huge pages it is merely slower */
    return p;
}
#endif

void *ehm_block_alloc(size_t bytes) {
#ifdef EHM_ARENA_DEBUG
    if (bytes > (size_t)1 << 34) return NULL; /* a sanitizer ends the program at sizes that a system only refuses */
#else
    if (bytes >= HUGE_FROM) return map_huge(bytes);
#endif
    void *p;
    if (posix_memalign(&p, ALIGN, bytes ? bytes : 1)) return NULL;
    return memset(p, 0, bytes);
}

void ehm_block_free(void *p, size_t bytes) {
    if (!p) return;
#ifndef EHM_ARENA_DEBUG
    if (bytes >= HUGE_FROM) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        munmap(p, (bytes + page - 1) & ~(page - 1));
        return;
    }
#endif
    (void)bytes;
    free(p);
}
