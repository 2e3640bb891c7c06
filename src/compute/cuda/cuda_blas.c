/* Matrix products by cuBLASLt: row-major products as column-major ones of the other order. What was chosen for a shape is kept. */
#include "compute/cuda/cuda_int.h"
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLANS = 2048, WORKSPACE_BYTES = 64 << 20, ALIGN_MOST = 32 }; /* no kernel asks for more than 16 bytes: what is said beyond only makes more plans */

/* What a choice depends on. Compared as bytes: there are none between the members. */
enum { TRANS_A = 1, TRANS_B = 2, IN_BF16 = 4, OUT_BF16 = 8, BIAS = 16, BIAS_BF16 = 32, ADD = 64 };
typedef struct {
    int64_t m, n, k;
    int32_t align_a, align_b, align_out, align_add, align_bias;
    int32_t flags;
} plan_key;
_Static_assert(sizeof(plan_key) == 3 * sizeof(int64_t) + 6 * sizeof(int32_t), "a gap in plan_key");
typedef struct {
    plan_key key;
    bool used, works; /* without works only the key counts */
    cublasLtMatmulDesc_t what;
    cublasLtMatrixLayout_t a, b, out;
    cublasLtMatmulAlgo_t algo;
} plan;
struct ehm_cuda_blas {
    cublasLtHandle_t lt;
    void *workspace;
    bool own; /* EHM_CUDA_GEMM=own: nothing goes to cuBLASLt */
    plan plans[PLANS];
    char about[64];
};

ehm_code ehm_cuda_blas_open(ehm_cuda_blas **out, ehm_cuda *c, ehm_err *err) {
    const char *how = getenv("EHM_CUDA_GEMM");
    ehm_cuda_blas *b = calloc(1, sizeof *b);
    (void)c;
    *out = b;
    if (!b) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the choices of cuBLASLt");
    b->own = how && !strcmp(how, "own");
    cublasStatus_t rc = cublasLtCreate(&b->lt);
    if (rc) return EHM_FAIL(err, EHM_E_DEVICE, "cuBLASLt does not start: %s", cublasLtGetStatusString(rc));
    if (cudaMalloc(&b->workspace, WORKSPACE_BYTES)) return EHM_FAIL(err, EHM_E_MEMORY, "no memory on the device for the workspace of cuBLASLt");
    snprintf(b->about, sizeof b->about, "cuBLASLt %zu%s", cublasLtGetVersion(), b->own ? " (not used)" : "");
    return EHM_OK;
}
static void forget(plan *p) {
    if (p->a) cublasLtMatrixLayoutDestroy(p->a);
    if (p->b) cublasLtMatrixLayoutDestroy(p->b);
    if (p->out) cublasLtMatrixLayoutDestroy(p->out);
    if (p->what) cublasLtMatmulDescDestroy(p->what);
    memset(p, 0, sizeof *p);
}
void ehm_cuda_blas_close(ehm_cuda_blas *b) {
    if (!b) return;
    for (int32_t i = 0; i < PLANS; i++) forget(&b->plans[i]);
    cudaFree(b->workspace);
    if (b->lt) cublasLtDestroy(b->lt);
    free(b);
}
const char *ehm_cuda_blas_about(const ehm_cuda_blas *b) { return b->about; }

static int32_t align_of(const void *p) {
    int32_t n = 1;
    while (n < ALIGN_MOST && (uintptr_t)p % (2 * (uintptr_t)n) == 0) n *= 2;
    return n;
}
static plan_key key_of(const ehm_cuda_product *p) {
    plan_key k = {.m = p->m, .n = p->n, .k = p->k, .align_a = align_of(p->a), .align_b = align_of(p->b), .align_out = align_of(p->out)};
    k.align_add = p->add ? align_of(p->add) : k.align_out; /* cuBLASLt is given out for what it does not add */
    k.align_bias = p->bias ? align_of(p->bias) : ALIGN_MOST;
    k.flags = (p->trans_a ? TRANS_A : 0) | (p->trans_b ? TRANS_B : 0) | (p->in_bf16 ? IN_BF16 : 0) | (p->out_bf16 ? OUT_BF16 : 0) |
              (p->bias ? BIAS : 0) | (p->bias && p->bias_bf16 ? BIAS_BF16 : 0) | (p->add ? ADD : 0);
    return k;
}

/* out' [N,M] = op(b)' op(a)' in column-major words: the first matrix is our b. */
static bool describe(plan *p, const plan_key *k, const void *bias) {
    const cudaDataType_t in = k->flags & IN_BF16 ? CUDA_R_16BF : CUDA_R_32F, out = k->flags & OUT_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    const cudaDataType_t bias_type = k->flags & BIAS_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    const bool trans_a = k->flags & TRANS_A, trans_b = k->flags & TRANS_B;
    const cublasOperation_t first = trans_b ? CUBLAS_OP_T : CUBLAS_OP_N, second = trans_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    bool ok = !cublasLtMatmulDescCreate(&p->what, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    ok = ok && !cublasLtMatmulDescSetAttribute(p->what, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first);
    ok = ok && !cublasLtMatmulDescSetAttribute(p->what, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second);
    if (ok && k->flags & BIAS) {
        ok = !cublasLtMatmulDescSetAttribute(p->what, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
        ok = ok && !cublasLtMatmulDescSetAttribute(p->what, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
        ok = ok && !cublasLtMatmulDescSetAttribute(p->what, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias_type, sizeof bias_type);
    }
    const uint64_t m = (uint64_t)k->m, n = (uint64_t)k->n, deep = (uint64_t)k->k;
    ok = ok && !cublasLtMatrixLayoutCreate(&p->a, in, trans_b ? deep : n, trans_b ? n : deep, (int64_t)(trans_b ? deep : n));
    ok = ok && !cublasLtMatrixLayoutCreate(&p->b, in, trans_a ? m : deep, trans_a ? deep : m, (int64_t)(trans_a ? m : deep));
    return ok && !cublasLtMatrixLayoutCreate(&p->out, out, n, m, (int64_t)n);
}

/* Ways that add partial results in no fixed order are left out (the same bits each time), and those that keep them in bf16. */
static bool choose(ehm_cuda_blas *b, plan *p, const plan_key *k) {
    cublasLtMatmulPreference_t wish = NULL;
    cublasLtMatmulHeuristicResult_t found;
    const size_t workspace = WORKSPACE_BYTES;
    const uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    const uint32_t align[4] = {(uint32_t)k->align_b, (uint32_t)k->align_a, (uint32_t)k->align_add, (uint32_t)k->align_out};
    static const cublasLtMatmulPreferenceAttributes_t names[4] = {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                                                                  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    int n = 0;
    bool ok = !cublasLtMatmulPreferenceCreate(&wish);
    ok = ok && !cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace);
    ok = ok && !cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction, sizeof reduction);
    for (int32_t i = 0; i < 4; i++) ok = ok && !cublasLtMatmulPreferenceSetAttribute(wish, names[i], &align[i], sizeof align[i]);
    ok = ok && !cublasLtMatmulAlgoGetHeuristic(b->lt, p->what, p->a, p->b, p->out, p->out, wish, 1, &found, &n) && n == 1;
    if (ok) p->algo = found.algo;
    if (wish) cublasLtMatmulPreferenceDestroy(wish);
    return ok;
}
static uint64_t hash_of(const plan_key *k) {
    const unsigned char *p = (const unsigned char *)k;
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < sizeof *k; i++) h = (h ^ p[i]) * 1099511628211u;
    return h;
}
/* The plan of a shape, made the first time; when there is no room for more, in the place of another. One that does not work is kept too. */
static plan *plan_for(ehm_cuda_blas *b, const ehm_cuda_product *p) {
    const plan_key key = key_of(p);
    const uint64_t at = hash_of(&key);
    plan *q = NULL;
    for (uint64_t i = 0; i < PLANS; i++) {
        q = &b->plans[(at + i) % PLANS];
        if (!q->used) break;
        if (!memcmp(&q->key, &key, sizeof key)) return q;
    }
    if (q->used) forget(q);
    q->works = describe(q, &key, p->bias) && choose(b, q, &key);
    if (!q->works) forget(q);
    q->used = true, q->key = key;
    return q;
}

bool ehm_cuda_blas_multiply(ehm_cuda *c, const ehm_cuda_product *p) {
    ehm_cuda_blas *b = c->blas;
    const float one = 1, beta = p->add ? 1 : 0;
    ehm_cuda_enter(c);
    if (c->err.code) return true; /* nothing runs any more */
    plan *q = b->own ? NULL : plan_for(b, p);
    if (!q || !q->works) return false;
    if (p->bias && cublasLtMatmulDescSetAttribute(q->what, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias)) return false;
    cublasStatus_t rc = cublasLtMatmul(b->lt, q->what, &one, p->b, q->a, p->a, q->b, &beta, p->add ? p->add : p->out, q->out, p->out, q->out, &q->algo,
                                       b->workspace, WORKSPACE_BYTES, (cudaStream_t)c->stream);
    if (!rc) return true;
    if (rc == CUBLAS_STATUS_NOT_SUPPORTED || rc == CUBLAS_STATUS_INVALID_VALUE) { /* it named a way that it then refuses: nothing was begun */
        q->works = false;
        return false;
    }
    EHM_FAIL(&c->err, EHM_E_DEVICE, "cuBLASLt: %s", cublasLtGetStatusString(rc));
    return true;
}
