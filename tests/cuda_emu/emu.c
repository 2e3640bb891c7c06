/* The threads of a block, in turn. */
#include "emu_kern.h"
#include "emu_stream.h"
#include <setjmp.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

enum { THREADS_MAX = 1024, STACK_BYTES = 64 * 1024, SHARED_MAX = 232448, SLOT_BYTES = 64, WARP_THREADS = 32, WARPS_MAX = THREADS_MAX / WARP_THREADS,
       JOB_MAX = 1024 };

dim3 emu_thread, emu_block, emu_threads, emu_blocks;

/* All n come, or nobody goes on. */
typedef struct { uint32_t came, round; } meeting;
typedef struct {
    ucontext_t start, at;
    jmp_buf jump;
    bool begun, ended;
    uint32_t warp_round; /* shuffles so far: which half of the warp's slots */
} fiber;

static struct {
    const char *name;
    void (*thread)(const void *);
    const void *job;
    ucontext_t host;
    jmp_buf back;
    fiber fiber[THREADS_MAX];
    uint32_t n, now, ended;
    bool flat, moved; /* did any thread get further in this round */
    meeting all, warp[WARPS_MAX];
    unsigned char slots[2][THREADS_MAX * SLOT_BYTES]; /* used in turn: nobody is two shuffles ahead of another */
} block;
static unsigned char *stacks, *shared;

static void fail(const char *what) {
    fprintf(stderr, "emulated kernel %s: %s\n", block.name, what);
    abort();
}

/* From one stack to another. swapcontext asks the system for the signal mask each time; a jump does not, but the address sanitizer follows only the
 * former. */
#if defined(__SANITIZE_ADDRESS__)
static void give_way(void) { swapcontext(&block.fiber[block.now].at, &block.host); }
static void go_on(fiber *f) { swapcontext(&block.host, f->begun ? &f->at : &f->start); }
#else
static void give_way(void) {
    if (!_setjmp(block.fiber[block.now].jump)) _longjmp(block.back, 1);
}
static void go_on(fiber *f) {
    if (_setjmp(block.back)) return;
    if (f->begun) _longjmp(f->jump, 1);
    setcontext(&f->start);
}
#endif

static void meet(meeting *m, uint32_t n) {
    uint32_t round = m->round;
    if (block.flat) fail("waits for other threads, but was launched as one that does not");
    block.moved = true;
    if (++m->came == n) {
        m->came = 0, m->round++;
        return;
    }
    while (m->round == round) give_way();
    block.moved = true;
}
void emu_barrier(void) { meet(&block.all, block.n); }

const void *emu_warp(const void *mine, size_t bytes) {
    uint32_t lane = block.now % WARP_THREADS, first = block.now - lane, half = block.fiber[block.now].warp_round++ % 2;
    unsigned char *all = block.slots[half] + first * SLOT_BYTES;
    if (bytes > SLOT_BYTES) fail("exchanges more than the emulation has room for");
    memcpy(all + lane * bytes, mine, bytes);
    meet(&block.warp[block.now / WARP_THREADS], WARP_THREADS);
    return all;
}
void *emu_shared(void) { return shared; }

static void run(void) {
    block.fiber[block.now].begun = true;
    block.thread(block.job);
    block.fiber[block.now].ended = true;
    block.ended++;
    block.moved = true;
    give_way();
}

static void set_thread(uint32_t i) { block.now = i, emu_thread = EHM_DIM3(i, 0, 0); }

static void run_block(size_t shared_bytes, bool down) {
    block.ended = 0;
    memset(&block.all, 0, sizeof block.all), memset(block.warp, 0, sizeof block.warp);
    memset(shared, 0xff, shared_bytes); /* NaN */
    if (block.flat) {
        for (uint32_t i = 0; i < block.n; i++) {
            set_thread(down ? block.n - 1 - i : i);
            block.thread(block.job);
        }
        return;
    }
    for (uint32_t i = 0; i < block.n; i++) {
        fiber *f = &block.fiber[i];
        f->begun = f->ended = false, f->warp_round = 0;
        if (f->start.uc_stack.ss_sp) continue; /* made for an earlier block: it begins in the same place */
        getcontext(&f->start);
        f->start.uc_stack.ss_sp = stacks + (size_t)i * STACK_BYTES, f->start.uc_stack.ss_size = STACK_BYTES, f->start.uc_link = NULL;
        makecontext(&f->start, run, 0);
    }
    /* A warp goes as far as it can before the next one moves: whoever forgot to wait for the others is far ahead of them then. */
    while (block.ended < block.n) {
        bool any = false;
        for (uint32_t w = 0; w < block.n / WARP_THREADS; w++) {
            do {
                block.moved = false;
                for (uint32_t i = 0; i < WARP_THREADS; i++) {
                    uint32_t k = w * WARP_THREADS + i;
                    set_thread(down ? block.n - 1 - k : k);
                    if (!block.fiber[block.now].ended) go_on(&block.fiber[block.now]);
                }
                any |= block.moved;
            } while (block.moved);
        }
        if (!any) fail("some threads wait for others that never come");
    }
}

typedef struct {
    const char *name;
    void (*thread)(const void *);
    dim3 grid;
    uint32_t threads;
    bool flat;
    size_t shared_bytes;
    alignas(16) unsigned char job[JOB_MAX];
} launch;

static void run_launch(const void *data) {
    const launch *l = data;
    const char *order = getenv("EHM_EMU_ORDER");
    bool down = order && !strcmp(order, "down");
    dim3 grid = l->grid;
    if (!stacks) stacks = malloc((size_t)THREADS_MAX * STACK_BYTES), shared = malloc(SHARED_MAX);
    if (!stacks || !shared) abort();
    block.name = l->name, block.thread = l->thread, block.job = l->job, block.n = l->threads, block.flat = l->flat;
    emu_threads = EHM_DIM3(l->threads, 1, 1), emu_blocks = grid;
    uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
    emu_memory_open();
    for (uint64_t k = 0; k < blocks; k++) {
        uint64_t i = down ? blocks - 1 - k : k;
        emu_block = EHM_DIM3((uint32_t)(i % grid.x), (uint32_t)(i / grid.x % grid.y), (uint32_t)(i / grid.x / grid.y));
        run_block(l->shared_bytes, down);
    }
    emu_memory_close();
}

void emu_launch(void *stream, const char *name, void (*thread)(const void *job), dim3 grid, uint32_t threads, size_t shared_bytes,
                const void *job, size_t job_bytes, bool flat) {
    launch l = {.name = name, .thread = thread, .grid = grid, .threads = threads, .flat = flat, .shared_bytes = shared_bytes};
    block.name = name;
    if (!threads || threads > THREADS_MAX || threads % WARP_THREADS) fail("has a number of threads that is no multiple of 32 up to 1024");
    if (shared_bytes > SHARED_MAX) fail("asks for more shared memory than a block may have");
    if (!grid.x || !grid.y || !grid.z || grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535) fail("has a grid that no device takes");
    if (job_bytes > JOB_MAX) fail("has more arguments than the emulation has room for");
    memcpy(l.job, job, job_bytes);
    emu_put(stream, run_launch, &l, offsetof(launch, job) + job_bytes);
}
