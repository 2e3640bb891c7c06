#include "base/pool.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* One word says all about the job on offer: its number, whether it is open, how many workers are inside.
 * A worker enters by raising the count of an open job, so the caller never waits for one that slept through. */
#define INSIDE_MASK ((uint64_t)0xffff)
#define OPEN_BIT ((uint64_t)1 << 16)
#define JOB_ONE ((uint64_t)1 << 17)
#define CLOSE_NUMBER (~(uint64_t)0 >> 17) /* job number that tells the workers to end */
enum { THREADS_MAX = 4096, SPINS = 2000 };

typedef struct { ehm_pool *pool; int32_t i_thread; } worker_arg;

struct ehm_pool {
    int32_t n_threads, n_spins;
    ehm_pool_fn fn; /* the job; written while nobody is inside */
    void *ctx;
    int64_t n, grain;
    _Alignas(64) atomic_llong next_chunk;
    _Alignas(64) atomic_ullong state;
    _Alignas(64) atomic_int n_sleeping;
    atomic_int caller_sleeps;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    pthread_t *thread;
    worker_arg *arg;
};

static void cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void run_chunks(ehm_pool *p, int32_t i_thread) {
    int64_t n_chunks = (p->n - 1) / p->grain + 1;
    for (;;) {
        int64_t i = atomic_fetch_add_explicit(&p->next_chunk, 1, memory_order_relaxed);
        if (i >= n_chunks) return;
        int64_t begin = i * p->grain;
        p->fn(p->ctx, begin, p->n - begin > p->grain ? begin + p->grain : p->n, i_thread);
    }
}

static bool job_is_new(uint64_t state, uint64_t seen) {
    return (state & OPEN_BIT) && state / JOB_ONE != seen;
}

/* Spin a little, for passes follow each other closely; then sleep. */
static uint64_t wait_for_job(ehm_pool *p, uint64_t seen) {
    uint64_t s;
    for (int32_t i = 0; i < p->n_spins; i++) {
        s = atomic_load_explicit(&p->state, memory_order_acquire);
        if (job_is_new(s, seen)) return s;
        cpu_relax();
    }
    pthread_mutex_lock(&p->lock);
    /* Said before looking again: the caller publishes a job before it asks whether anybody sleeps. */
    atomic_fetch_add(&p->n_sleeping, 1);
    while (!job_is_new(s = atomic_load(&p->state), seen)) pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->n_sleeping, 1);
    pthread_mutex_unlock(&p->lock);
    return s;
}

static void leave_job(ehm_pool *p) {
    uint64_t s = atomic_fetch_sub(&p->state, 1) - 1;
    if ((s & (INSIDE_MASK | OPEN_BIT)) == 0 && atomic_load(&p->caller_sleeps)) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_signal(&p->done);
        pthread_mutex_unlock(&p->lock);
    }
}

static void *worker(void *arg) {
    worker_arg *w = arg;
    ehm_pool *p = w->pool;
    uint64_t seen = 0;
    for (;;) {
        unsigned long long s = wait_for_job(p, seen);
        while (job_is_new(s, seen) && !atomic_compare_exchange_weak(&p->state, &s, s + 1)) continue;
        if (!job_is_new(s, seen)) continue; /* closed in between */
        seen = s / JOB_ONE;
        if (seen == CLOSE_NUMBER) return NULL;
        run_chunks(p, w->i_thread);
        leave_job(p);
    }
}

static void wake_workers(ehm_pool *p) {
    if (!atomic_load(&p->n_sleeping)) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static void wait_until_left(ehm_pool *p) {
    for (int32_t i = 0; i < p->n_spins; i++) {
        if (!(atomic_load_explicit(&p->state, memory_order_acquire) & INSIDE_MASK)) return;
        cpu_relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, 1);
    while (atomic_load(&p->state) & INSIDE_MASK) pthread_cond_wait(&p->done, &p->lock);
    atomic_store(&p->caller_sleeps, 0);
    pthread_mutex_unlock(&p->lock);
}

void ehm_pool_for(ehm_pool *p, int64_t n, int64_t grain, ehm_pool_fn fn, void *ctx) {
    if (n <= 0) return;
    if (grain < 1) grain = 1;
    if (!p || p->n_threads == 1 || n <= grain) {
        for (int64_t begin = 0; begin < n; begin += grain) {
            fn(ctx, begin, n - begin > grain ? begin + grain : n, 0);
            if (n - begin <= grain) break; /* begin + grain might not fit */
        }
        return;
    }
    p->fn = fn, p->ctx = ctx, p->n = n, p->grain = grain;
    atomic_store_explicit(&p->next_chunk, 0, memory_order_relaxed);
    uint64_t number = (atomic_load_explicit(&p->state, memory_order_relaxed) / JOB_ONE + 1) % CLOSE_NUMBER;
    atomic_store(&p->state, number * JOB_ONE | OPEN_BIT);
    wake_workers(p);
    run_chunks(p, 0);
    atomic_fetch_and(&p->state, ~OPEN_BIT);
    wait_until_left(p);
}

static int start_worker(ehm_pool *p, int32_t i) {
    sigset_t all, old;
    p->arg[i] = (worker_arg){p, i};
    /* Signals that ask to stop belong to the program's own thread; those of a broken instruction cannot be put off. */
    sigfillset(&all);
    sigdelset(&all, SIGSEGV), sigdelset(&all, SIGBUS), sigdelset(&all, SIGFPE), sigdelset(&all, SIGILL),
        sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    int rc = pthread_create(&p->thread[i], NULL, worker, &p->arg[i]);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

ehm_code ehm_pool_open(ehm_pool **out, int32_t n_threads, ehm_err *err) {
    *out = NULL;
    if (n_threads < 1 || n_threads > THREADS_MAX)
        return EHM_FAIL(err, EHM_E_ARG, "%d threads asked for, 1 to %d are possible", n_threads, THREADS_MAX);
    ehm_pool *p = aligned_alloc(64, (sizeof *p + 63) & ~(size_t)63);
    if (!p) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a pool of %d threads", n_threads);
    memset(p, 0, sizeof *p);
    p->thread = calloc((size_t)n_threads, sizeof *p->thread);
    p->arg = calloc((size_t)n_threads, sizeof *p->arg);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    p->n_threads = 1;
    p->n_spins = n_threads <= ehm_cpu_count() ? SPINS : 0; /* a spinning thread would only keep others from running */
    if (!p->thread || !p->arg) {
        ehm_pool_close(p);
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a pool of %d threads", n_threads);
    }
    for (int32_t i = 1; i < n_threads; i++) {
        int rc = start_worker(p, i);
        if (rc) {
            ehm_pool_close(p);
            EHM_FAIL(err, EHM_E_MEMORY, "thread %d of %d could not be started: %s", i + 1, n_threads,
                     strerror(rc));
            EHM_HINT(err, "--threads N asks for fewer");
            return EHM_E_MEMORY;
        }
        p->n_threads = i + 1;
    }
    *out = p;
    return EHM_OK;
}

void ehm_pool_close(ehm_pool *p) {
    if (!p) return;
    atomic_store(&p->state, CLOSE_NUMBER * JOB_ONE | OPEN_BIT);
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int32_t i = 1; i < p->n_threads; i++) pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->lock);
    free(p->thread);
    free(p->arg);
    free(p);
}

int32_t ehm_pool_threads(const ehm_pool *p) { return p ? p->n_threads : 1; }
