/* Sections as CUDA graphs: what is put on the stream between record and recorded is captured, and then started as one. */
#include "compute/cuda/cuda_int.h"
#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

static void forget(ehm_cuda_graph *g) {
    if (g->exec) cudaGraphExecDestroy((cudaGraphExec_t)g->exec);
    g->exec = NULL;
}

void ehm_cuda_graphs_close(ehm_cuda *c) {
    for (int32_t i = 0; i < EHM_SECTIONS; i++) forget(&c->graph[i]);
}

bool ehm_cuda_record(void *self, int32_t section) {
    ehm_cuda *c = self;
    const char *how = getenv("EHM_CUDA_GRAPH");
    if (c->err.code || (how && !strcmp(how, "off"))) return false;
    ehm_cuda_enter(c);
    forget(&c->graph[section]);
    if (!cudaStreamBeginCapture((cudaStream_t)c->stream, cudaStreamCaptureModeThreadLocal)) return true;
    cudaGetLastError();
    return false;
}

/* A capture that something spoilt is no failure: the ops are then started one by one. */
bool ehm_cuda_recorded(void *self, int32_t section) {
    ehm_cuda *c = self;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    ehm_cuda_enter(c);
    cudaError_t bad = cudaStreamEndCapture((cudaStream_t)c->stream, &graph);
    if (!bad && !c->err.code) bad = cudaGraphInstantiate(&exec, graph, 0);
    if (graph) cudaGraphDestroy(graph);
    if (bad) cudaGetLastError();
    if (!exec) {
        ehm_err_clear(&c->err); /* what happened inside happens again where it can be told */
        return false;
    }
    c->graph[section].exec = exec, c->graph[section].moved = c->moved;
    return ehm_cuda_replay(self, section);
}

bool ehm_cuda_replay(void *self, int32_t section) {
    ehm_cuda *c = self;
    ehm_cuda_graph *g = &c->graph[section];
    if (!g->exec || g->moved != c->moved) return false;
    ehm_cuda_enter(c);
    if (!c->err.code) ehm_cuda_note(c, (int)cudaGraphLaunch((cudaGraphExec_t)g->exec, (cudaStream_t)c->stream), "a recorded section");
    return true;
}
