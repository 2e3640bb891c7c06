/* The first results of each query put in order by how many of their patches match in one place. */
#include "base/pool.h"
#include "base/str.h"
#include "eval/knn.h"
#include "eval/retrieve_int.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    ehm_rank_got *got;
    const ehm_rank_ask *ask;
    int32_t n_first, L, D;
    ehm_grid grid;
    ehm_dev *d;
    float *tokens;           /* of the pictures that some list needs, [n,L,D] unit rows */
    const int32_t *slot;     /* [n_db] where a picture's tokens are */
    ehm_buf *bq, *br, *bs;
    float *q, *results, *sim; /* [L,D], [n_first,L,D], [L,n_first*L] */
    ehm_match_pair *pairs;   /* [n_first,L] */
    int32_t *best_q;         /* [n_first,L] */
    ehm_match *match;        /* [n_first] */
    int32_t n_here;
    const char *doing;
} rerank_job;

static ehm_code keep_tokens(void *ctx, const ehm_shown_one *one, ehm_err *err) {
    rerank_job *j = ctx;
    float *to = j->tokens + one->i * j->L * j->D;
    if (!one->pixels) return EHM_FAIL(err, EHM_E_IO, "%s (it could be read before)", one->why);
    memcpy(to, one->patches, sizeof *to * (size_t)j->L * (size_t)j->D);
    ehm_knn_unit_rows(to, j->L, j->D, NULL);
    return EHM_OK;
}

static void match_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    rerank_job *j = ctx;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++)
        j->match[i] = ehm_match_patches(j->sim + i * j->L, (int64_t)j->n_here * j->L, j->grid, j->grid, j->pairs + i * j->L, j->best_q + i * j->L);
}

typedef struct { int32_t inliers, was, picture; float score; } placed;
static int by_inliers(const void *a, const void *b) {
    const placed *x = a, *y = b;
    return x->inliers != y->inliers ? y->inliers - x->inliers : x->was - y->was;
}

static int by_rank(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* A list in its new order; the places of positives among the first n follow it, the others stay. */
static ehm_code reorder(rerank_job *j, int64_t q, int32_t n, ehm_err *err) {
    ehm_rank_got *g = j->got;
    int32_t *top = g->top + q * g->n_top;
    float *score = g->top_score + q * g->n_top;
    int64_t first = j->ask->start[q], end = j->ask->start[q + 1], p = first;
    placed *v = malloc(sizeof *v * (size_t)(n + 1));
    if (!v) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d results", n);
    for (int32_t i = 0; i < n; i++) v[i] = (placed){j->match[i].n_inliers, i, top[i], score[i]};
    qsort(v, (size_t)n, sizeof *v, by_inliers);
    for (int32_t i = 0; i < n; i++) {
        top[i] = v[i].picture, score[i] = (float)v[i].inliers + (1 + v[i].score) / 4;
        for (int64_t k = first; k < end; k++)
            if (j->ask->positive[k] == v[i].picture && p < end) g->rank[p++] = i; /* ranks below n are the first ones: overwritten in turn */
    }
    for (int32_t i = n; i < g->n_top; i++) score[i] = (1 + score[i]) / 4 - 1;
    free(v);
    if (end - first > 1) qsort(g->rank + first, (size_t)(end - first), sizeof *g->rank, by_rank);
    return EHM_OK;
}

static ehm_code one_query(void *ctx, const ehm_shown_one *one, ehm_err *err) {
    rerank_job *j = ctx;
    int64_t q = one->i, L = j->L, D = j->D;
    const int32_t *top = j->got->top + q * j->got->n_top;
    int32_t n = 0;
    if (!one->pixels) return EHM_FAIL(err, EHM_E_IO, "%s (it could be read before)", one->why);
    memcpy(j->q, one->patches, sizeof *j->q * (size_t)(L * D));
    ehm_knn_unit_rows(j->q, L, j->D, NULL);
    for (; n < j->n_first && top[n] >= 0; n++) memcpy(j->results + n * L * D, j->tokens + j->slot[top[n]] * L * D, sizeof *j->results * (size_t)(L * D));
    if (!n) return EHM_OK;
    ehm_view vq = ehm_view_2d(j->bq, EHM_F32, L, D), vr = ehm_view_2d(j->br, EHM_F32, n * L, D), vs = ehm_view_2d(j->bs, EHM_F32, L, n * L);
    ehm_upload(j->d, vq, j->q, ehm_view_bytes(vq));
    ehm_upload(j->d, vr, j->results, ehm_view_bytes(vr));
    ehm_matmul(j->d, &(ehm_matmul_args){.out = vs, .a = vq, .b = vr, .trans_b = true});
    ehm_download(j->d, j->sim, vs, ehm_view_bytes(vs));
    EHM_TRY(ehm_dev_check(j->d, err));
    j->n_here = n;
    ehm_pool_for(ehm_dev_pool(j->d), n, 1, match_some, j);
    return reorder(j, q, n, err);
}

ehm_code ehm_rerank(ehm_rank_got *got, const ehm_rank_ask *ask, int32_t n_first, ehm_model *m, const ehm_retrieval *r, int32_t n_workers, ehm_arena *a,
                    ehm_err *err) {
    const ehm_vit_shape *s = ehm_model_shape(m);
    if (n_first > got->n_top) n_first = got->n_top;
    int64_t L = s->n_patches, D = s->embed_dim, n_need = 0;
    size_t each = sizeof(float) * (size_t)L * (size_t)D;
    rerank_job j = {.got = got, .ask = ask, .n_first = n_first, .L = (int32_t)L, .D = (int32_t)D, .grid = {s->grid_h, s->grid_w}, .d = ehm_model_device(m)};
    int32_t *slot = EHM_NEW_N(a, int32_t, r->n_db);
    ehm_shown *need = EHM_NEW_N(a, ehm_shown, r->n_db);
    ehm_code rc = EHM_OK;
    char size[32];
    if (!slot || !need) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for --rerank");
    for (int64_t i = 0; i < r->n_db; i++) slot[i] = -1;
    for (int64_t q = 0; q < r->n_q; q++)
        for (int32_t i = 0; i < n_first && got->top[q * got->n_top + i] >= 0; i++) slot[got->top[q * got->n_top + i]] = 0;
    for (int64_t i = 0; i < r->n_db; i++)
        if (!slot[i]) slot[i] = (int32_t)n_need, need[n_need++] = r->shown[i];
    j.slot = slot;
    size_t n = (size_t)n_first, l = (size_t)L;
    int64_t free_bytes = ehm_memory_available();
    if (free_bytes > 0 && (double)each * (double)n_need > 0.8 * (double)free_bytes) {
        EHM_HINT(err, "a smaller --rerank, fewer --originals or --copies, or fewer pictures to search");
        return EHM_FAIL(err, EHM_E_MEMORY, "--rerank %d needs the patches of %lld pictures, %s", n_first, (long long)n_need,
                        ehm_format_bytes((double)each * (double)n_need, size));
    }
    j.tokens = malloc(each * (size_t)n_need + 1);
    j.q = malloc(each), j.results = malloc(each * n), j.sim = malloc(sizeof *j.sim * l * l * n);
    j.pairs = malloc(sizeof *j.pairs * l * n), j.best_q = malloc(sizeof *j.best_q * l * n), j.match = malloc(sizeof *j.match * n);
    if (!j.tokens || !j.q || !j.results || !j.sim || !j.pairs || !j.best_q || !j.match) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "--rerank %d needs the patches of %lld pictures, %s", n_first, (long long)n_need,
                      ehm_format_bytes((double)each * (double)n_need, size));
        goto done;
    }
    if ((rc = ehm_buf_new(&j.bq, j.d, each, err)) || (rc = ehm_buf_new(&j.br, j.d, each * n, err)) || (rc = ehm_buf_new(&j.bs, j.d, sizeof(float) * l * l * n, err))) goto done;
    if ((rc = ehm_shown_run(m, r, need, n_need, n_workers, "patches of results", keep_tokens, &j, err))) goto done;
    rc = ehm_shown_run(m, r, r->shown + r->n_db, r->n_q, n_workers, "patches matched", one_query, &j, err);
done:
    ehm_buf_free(j.bq), ehm_buf_free(j.br), ehm_buf_free(j.bs);
    free(j.tokens), free(j.q), free(j.results), free(j.sim), free(j.pairs), free(j.best_q), free(j.match);
    return rc;
}
