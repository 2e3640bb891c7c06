/* No allocation on the stepping thread or in compute workers after the first step (contract 6). malloc and its kin are replaced by counters in
 * front of the C library's own; codecs in loader threads are counted apart by being other threads. */
#include "train_fixture.h"
#include <stdatomic.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(EHM_ARENA_DEBUG)
#define COUNTED 1
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#undef COUNTED
#endif
#endif
#endif

#ifdef COUNTED
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

/* A thread counts when it is marked: the stepping thread marks itself, compute workers are marked by running through the device's pool. */
static _Thread_local bool marked __attribute__((tls_model("initial-exec")));
static atomic_llong n_alloc;
static atomic_bool counting;

static inline void note(void) {
    if (marked && atomic_load_explicit(&counting, memory_order_relaxed)) atomic_fetch_add(&n_alloc, 1);
}
void *malloc(size_t n) { return note(), __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return note(), __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return note(), __libc_realloc(p, n); }
void *memalign(size_t align, size_t n) { return note(), __libc_memalign(align, n); }
void *aligned_alloc(size_t align, size_t n) { return note(), __libc_memalign(align, n); }
int posix_memalign(void **out, size_t align, size_t n) {
    note();
    void *p = __libc_memalign(align, n);
    if (!p) return 12;
    *out = p;
    return 0;
}
void free(void *p) { __libc_free(p); }

static void mark_worker(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    (void)ctx, (void)begin, (void)end, (void)i_thread;
    marked = true;
    ehm_sleep_s(0.002); /* long enough that every worker takes a chunk */
}

typedef struct { long long at_first, at_last; int64_t first, last; } span;
static ehm_code begun(void *user, const ehm_train_at *at, ehm_err *err) {
    ehm_pool *pool = ehm_dev_pool(ehm_train_device(at->train));
    (void)user, (void)err;
    if (pool) ehm_pool_for(pool, 8 * ehm_pool_threads(pool), 1, mark_worker, NULL);
    marked = true;
    atomic_store(&n_alloc, 0);
    atomic_store(&counting, true);
    return EHM_OK;
}
static ehm_code stepped(void *user, const ehm_train_at *at, ehm_err *err) {
    span *s = user;
    (void)err;
    if (at->step == 1) s->first = at->step, s->at_first = atomic_load(&n_alloc);
    if (!at->last) s->last = at->step, s->at_last = atomic_load(&n_alloc);
    return EHM_OK;
}

static void count_on_grid(const char *device, const char *dtype, const char *mask, const char *patch_size, const char *steps) {
    fixture f;
    ehm_train *t;
    ehm_train_result res;
    span s = {0};
    ehm_train_hook hook = {.user = &s, .begun = begun, .stepped = stepped};
    ehm_dev *d = NULL;
    fx_begin(&f, mask);
    if (ehm_dev_open(&d, device, 2, &f.err)) SKIP("this device does not run here");
    ehm_dev_close(d);
    fx_set(&f, "device", device), fx_set(&f, "dtype", dtype), fx_set(&f, "threads", "2"), fx_set(&f, "steps", steps), fx_set(&f, "patch_size", patch_size), fx_set(&f, "save_every", "60"), fx_set(&f, "ema", "0.9"), fx_set(&f, "mask", mask);
    fx_set(&f, "accum_iter", "2"), fx_set(&f, "log_every", "1"); /* lines are part of stepping */
    REQUIRE_OK(ehm_train_open(&t, &f.c, EHM_TRAIN_RUN, &f.err), &f.err);
    ehm_code rc = ehm_train_run(t, &hook, 1, &res, &f.err);
    atomic_store(&counting, false);
    marked = false;
    ehm_train_close(t);
    CHECK_OK(rc, &f.err);
    CHECK_INT(s.last, atoi(steps) - 1);
    CHECK_INT(s.at_last - s.at_first, 0);
    /* the counter does count */
    marked = true, atomic_store(&counting, true), atomic_store(&n_alloc, 0);
    void *volatile p = malloc(10);
    free(p);
    atomic_store(&counting, false), marked = false;
    CHECK_INT(atomic_load(&n_alloc), 1);
    fx_end(&f);
}

static void count_on(const char *device, const char *dtype, const char *mask) { count_on_grid(device, dtype, mask, "8", "40"); }

TEST(zero_alloc, ref) { count_on("ref", "f32", "random"); }
TEST(zero_alloc, cpu_f32) { count_on("cpu", "f32", "random"); }
TEST(zero_alloc, cpu_bf16) {
    setenv("EHM_GEMM", "own", 1); /* what a processor with AMX would hand to oneDNN, which allocates at every call */
    count_on("cpu", "bf16", "random");
    unsetenv("EHM_GEMM");
}
/* Every rule that may be trained with, as K falls from all patches to a few. */
TEST(zero_alloc, every_rule) {
    for (const ehm_mask_rule *const *r = ehm_mask_rules; *r; r++)
        if (!(*r)->inexact && strcmp((*r)->name, "file") && strcmp((*r)->name, "scores")) count_on("cpu", "f32", (*r)->name);
}
/* 256 patches: what a tree takes is more than the first block of an arena. */
TEST(zero_alloc, large_trees) { count_on_grid("cpu", "f32", "ehm", "2", "10"); }
#else
TEST(zero_alloc, ref) { SKIP("arenas pass each request to malloc in sanitizer builds, or the C library is not glibc"); }
#endif
