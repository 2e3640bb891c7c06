#include "base/log.h"
#include "eval/retrieve.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A block of queries has its whole rows of scores at once: the rank of a positive is a count over a row. */
enum { QUERY_ROWS = 1024, DB_ROWS = 8192, SCORES_MAX = 1 << 25 };

typedef struct {
    const ehm_rank_ask *ask;
    ehm_rank_got *got;
    const float *scores;
    int64_t n_db, first_query;
} rank_ctx;

static bool is_positive(const ehm_rank_ask *k, int64_t q, int64_t t) {
    int64_t lo = k->start[q], hi = k->start[q + 1];
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (k->positive[mid] < t) lo = mid + 1;
        else hi = mid;
    }
    return lo < k->start[q + 1] && k->positive[lo] == t;
}

/* Stands a before b? Wrong ones first at equal scores, then the lower number. */
static bool before(float sa, bool right_a, int64_t a, float sb, bool right_b, int64_t b) {
    if (sa != sb) return sa > sb;
    if (right_a != right_b) return right_b;
    return a < b;
}

static void keep_top(const rank_ctx *c, int64_t q, const float *s) {
    int32_t have = 0, k = c->got->n_top, *top = c->got->top + q * k;
    float *score = c->got->top_score + q * k;
    int64_t self = c->ask->self ? c->ask->self[q] : -1;
    for (int64_t t = 0; t < c->n_db; t++) {
        if (t == self || (have == k && s[t] < score[k - 1])) continue;
        bool right = is_positive(c->ask, q, t);
        if (have == k && !before(s[t], right, t, score[k - 1], is_positive(c->ask, q, top[k - 1]), top[k - 1])) continue;
        int32_t at = have < k ? have++ : k - 1;
        for (; at > 0 && before(s[t], right, t, score[at - 1], is_positive(c->ask, q, top[at - 1]), top[at - 1]); at--)
            top[at] = top[at - 1], score[at] = score[at - 1];
        top[at] = (int32_t)t, score[at] = s[t];
    }
    for (int32_t i = have; i < k; i++) top[i] = -1, score[i] = -INFINITY;
}

static int by_rank(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void rank_positives(const rank_ctx *c, int64_t q, const float *s) {
    int64_t first = c->ask->start[q], end = c->ask->start[q + 1], self = c->ask->self ? c->ask->self[q] : -1;
    for (int64_t p = first; p < end; p++) {
        int64_t t = c->ask->positive[p], ahead = 0;
        float mine = s[t];
        for (int64_t i = 0; i < c->n_db; i++) ahead += s[i] >= mine;
        /* Taken back: the positives that were counted and stand behind, itself, and the picture that is left out. */
        for (int64_t o = first; o < end; o++) {
            float other = s[c->ask->positive[o]];
            ahead -= other >= mine && !(o != p && before(other, true, c->ask->positive[o], mine, true, t));
        }
        ahead -= self >= 0 && s[self] >= mine;
        c->got->rank[p] = ahead;
    }
    if (end - first > 1) qsort(c->got->rank + first, (size_t)(end - first), sizeof *c->got->rank, by_rank);
}

static void rank_queries(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const rank_ctx *c = ctx;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        keep_top(c, c->first_query + i, c->scores + i * c->n_db);
        rank_positives(c, c->first_query + i, c->scores + i * c->n_db);
    }
}

ehm_code ehm_rank_search(ehm_rank_got *out, ehm_dev *d, const float *database, int64_t n_db, const float *query, int32_t dim,
                         const ehm_rank_ask *ask, ehm_arena *a, ehm_err *err) {
    ehm_buf *b_db = NULL, *b_q = NULL, *b_s = NULL;
    float *scores = NULL, *block = NULL;
    int64_t nq = ask->n_queries, rows = n_db > 0 ? SCORES_MAX / n_db : 1, db_rows = n_db < DB_ROWS ? n_db : DB_ROWS;
    ehm_code rc = EHM_OK;
    if (n_db < 1 || n_db > INT32_MAX) return EHM_FAIL(err, EHM_E_ARG, "a database of %lld pictures cannot be searched", (long long)n_db);
    rows = rows < 1 ? 1 : rows > QUERY_ROWS ? QUERY_ROWS : rows;
    rows = rows > nq ? nq > 0 ? nq : 1 : rows;
    *out = (ehm_rank_got){.n_top = ask->n_top < n_db ? ask->n_top : (int32_t)n_db};
    out->top = EHM_NEW_N(a, int32_t, nq * out->n_top + 1);
    out->top_score = EHM_NEW_N(a, float, nq * out->n_top + 1);
    out->rank = EHM_NEW_N(a, int64_t, ask->start[nq] + 1);
    scores = malloc(sizeof *scores * (size_t)rows * (size_t)n_db), block = malloc(sizeof *block * (size_t)rows * (size_t)db_rows);
    if (!out->top || !out->top_score || !out->rank || !scores || !block) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for the similarities of %lld queries and %lld pictures", (long long)nq, (long long)n_db);
        goto done;
    }
    if ((rc = ehm_buf_new(&b_db, d, sizeof(float) * (size_t)db_rows * (size_t)dim, err))) goto done;
    if ((rc = ehm_buf_new(&b_q, d, sizeof(float) * (size_t)rows * (size_t)dim, err))) goto done;
    if ((rc = ehm_buf_new(&b_s, d, sizeof(float) * (size_t)rows * (size_t)db_rows, err))) goto done;
    for (int64_t q = 0; q < nq; q += rows) {
        int64_t n = nq - q < rows ? nq - q : rows;
        ehm_view vq = ehm_view_2d(b_q, EHM_F32, n, dim);
        ehm_upload(d, vq, query + q * dim, ehm_view_bytes(vq));
        for (int64_t t = 0; t < n_db; t += db_rows) {
            int64_t m = n_db - t < db_rows ? n_db - t : db_rows;
            ehm_view vt = ehm_view_2d(b_db, EHM_F32, m, dim), vs = ehm_view_2d(b_s, EHM_F32, n, m);
            ehm_upload(d, vt, database + t * dim, ehm_view_bytes(vt));
            ehm_matmul(d, &(ehm_matmul_args){.out = vs, .a = vq, .b = vt, .trans_b = true});
            ehm_download(d, block, vs, ehm_view_bytes(vs));
            if ((rc = ehm_dev_check(d, err))) goto done;
            for (int64_t i = 0; i < n; i++) memcpy(scores + i * n_db + t, block + i * m, sizeof(float) * (size_t)m);
        }
        if (ehm_stop_asked()) {
            rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped while searching (%lld of %lld queries done)", (long long)q, (long long)nq);
            goto done;
        }
        ehm_pool_for(ehm_dev_pool(d), n, 8, rank_queries, &(rank_ctx){ask, out, scores, n_db, q});
    }
done:
    ehm_buf_free(b_db), ehm_buf_free(b_q), ehm_buf_free(b_s);
    free(scores), free(block);
    return rc;
}
