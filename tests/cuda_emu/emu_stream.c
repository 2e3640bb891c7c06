/* Streams, events and graphs of the emulated device. A stream does what is put on it at once, or as late as it may: EHM_EMU_LATE=ops makes the
 * first stream that is created wait until somebody waits for it, EHM_EMU_LATE=copies the second one. What relies on an order that nobody
 * asked for gives other numbers then. */
#include "emu_stream.h"
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct work {
    struct work *next;
    void (*run)(const void *data);
    alignas(16) unsigned char data[];
} work;
typedef struct { work *first, **end; } row; /* of work; end NULL: empty */
struct emu_graph { row row; int owners; };
struct emu_stream {
    row waiting;
    int64_t put, done; /* works so far, where they wait */
    bool late, spoilt;
    int device;
    cudaGraph_t capture;
};
struct emu_event { cudaStream_t stream; int64_t at; };

enum { STREAMS_MAX = 8 };
static cudaStream_t streams[STREAMS_MAX];
static cudaStream_t capturing; /* at most one at a time here */

static void add(row *r, void (*run)(const void *), const void *data, size_t bytes) {
    work *w = malloc(sizeof *w + bytes);
    if (!w) abort();
    w->next = NULL, w->run = run;
    memcpy(w->data, data, bytes);
    *(r->end ? r->end : &r->first) = w;
    r->end = &w->next;
}
static void run_until(cudaStream_t s, int64_t at) {
    while (s->done < at && s->waiting.first) {
        work *w = s->waiting.first;
        s->waiting.first = w->next;
        if (!w->next) s->waiting.end = NULL;
        s->done++;
        w->run(w->data);
        free(w);
    }
}

void emu_put(void *stream, void (*run)(const void *data), const void *data, size_t bytes) {
    cudaStream_t s = stream;
    if (s->device != emu_device()) {
        fprintf(stderr, "emulated GPU: work for device %d while device %d is current\n", s->device, emu_device());
        abort();
    }
    if (s->capture) add(&s->capture->row, run, data, bytes);
    else if (s->late) add(&s->waiting, run, data, bytes), s->put++;
    else run(data);
}
bool emu_refused(void) {
    if (capturing) capturing->spoilt = true;
    return capturing != NULL;
}
void emu_wait_all(void) {
    for (int i = 0; i < STREAMS_MAX; i++)
        if (streams[i]) run_until(streams[i], streams[i]->put);
}

/* ---- streams and events ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags) {
    const char *late = getenv("EHM_EMU_LATE");
    int i = 0;
    (void)flags;
    while (i < STREAMS_MAX && streams[i]) i++;
    if (i == STREAMS_MAX || !(*s = calloc(1, sizeof **s))) return cudaErrorMemoryAllocation;
    streams[i] = *s;
    (*s)->device = emu_device();
    (*s)->late = late && !strcmp(late, i ? "copies" : "ops");
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t s) {
    run_until(s, s->put);
    for (int i = 0; i < STREAMS_MAX; i++)
        if (streams[i] == s) streams[i] = NULL;
    return free(s), cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s) {
    if (emu_refused()) return cudaErrorStreamCaptureUnsupported;
    return run_until(s, s->put), cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags) {
    (void)flags;
    *e = calloc(1, sizeof **e);
    return *e ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaEventDestroy(cudaEvent_t e) { return free(e), cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
    e->stream = s, e->at = s->put;
    return cudaSuccess;
}
static void wait_event(const void *data) {
    const struct emu_event *e = data;
    if (e->stream) run_until(e->stream, e->at);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags) {
    (void)flags;
    if (emu_refused()) return cudaErrorStreamCaptureUnsupported;
    emu_put(s, wait_event, e, sizeof *e);
    return cudaSuccess;
}

/* ---- copies ---- */

typedef struct { void *to; const void *from; size_t n; int value; } copy;
static void run_copy(const void *data) {
    const copy *c = data;
    emu_memory_open();
    if (c->from) memcpy(c->to, c->from, c->n);
    else memset(c->to, c->value, c->n);
    emu_memory_close();
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind kind, cudaStream_t s) {
    copy c = {to, from, n, 0};
    (void)kind;
    if (emu_refused()) return cudaErrorStreamCaptureUnsupported;
    emu_put(s, run_copy, &c, sizeof c);
    return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *p, int value, size_t n, cudaStream_t s) {
    copy c = {p, NULL, n, value};
    emu_put(s, run_copy, &c, sizeof c);
    return cudaSuccess;
}

/* ---- graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode mode) {
    (void)mode;
    if (capturing) return cudaErrorStreamCaptureUnsupported;
    s->capture = calloc(1, sizeof *s->capture);
    if (!s->capture) return cudaErrorMemoryAllocation;
    s->capture->owners = 1, s->spoilt = false, capturing = s;
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *graph) {
    *graph = s->capture;
    s->capture = NULL, capturing = NULL;
    if (!s->spoilt) return *graph ? cudaSuccess : cudaErrorInvalidValue;
    if (*graph) cudaGraphDestroy(*graph);
    *graph = NULL;
    return cudaErrorStreamCaptureInvalidated;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags) {
    (void)flags;
    graph->owners++;
    *exec = graph;
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    if (--graph->owners) return cudaSuccess;
    for (work *w = graph->row.first, *next; w; w = next) next = w->next, free(w);
    return free(graph), cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) { return emu_wait_all(), cudaGraphDestroy(exec); }
static void run_graph(const void *data) {
    cudaGraphExec_t exec;
    memcpy(&exec, data, sizeof exec);
    for (const work *w = exec->row.first; w; w = w->next) w->run(w->data);
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s) {
    if (emu_refused()) return cudaErrorStreamCaptureUnsupported;
    emu_put(s, run_graph, &exec, sizeof exec);
    return cudaSuccess;
}
