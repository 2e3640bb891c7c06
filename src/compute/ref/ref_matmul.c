/* Matrix product and column sums. */
#include "compute/ref/ref_int.h"

/* Two rows by four steps of k at a time: enough reuse for plain C to be bound by arithmetic. The order of the sum over k depends on
 * k alone, so a tile gives the same bits wherever its edges are. */
void ehm_ref_gemm_add(double *restrict c, int64_t lc, const double *restrict a, int64_t la, const double *restrict b,
                      int64_t lb, int64_t m, int64_t n, int64_t k) {
    for (int64_t i = 0; i < m; i += 2) {
        bool two = i + 1 < m;
        double *restrict c0 = c + i * lc, *restrict c1 = c + (two ? i + 1 : i) * lc;
        const double *a0 = a + i * la, *a1 = a + (i + 1) * la;
        int64_t p = 0;
        for (; p + 4 <= k; p += 4) {
            const double *b0 = b + p * lb, *b1 = b0 + lb, *b2 = b1 + lb, *b3 = b2 + lb;
            double x0 = a0[p], x1 = a0[p + 1], x2 = a0[p + 2], x3 = a0[p + 3];
            if (two) {
                double y0 = a1[p], y1 = a1[p + 1], y2 = a1[p + 2], y3 = a1[p + 3];
                for (int64_t j = 0; j < n; j++) {
                    c0[j] += x0 * b0[j] + x1 * b1[j] + (x2 * b2[j] + x3 * b3[j]);
                    c1[j] += y0 * b0[j] + y1 * b1[j] + (y2 * b2[j] + y3 * b3[j]);
                }
            } else {
                for (int64_t j = 0; j < n; j++) c0[j] += x0 * b0[j] + x1 * b1[j] + (x2 * b2[j] + x3 * b3[j]);
            }
        }
        for (; p < k; p++) {
            const double *b0 = b + p * lb;
            double x0 = a0[p];
            for (int64_t j = 0; j < n; j++) c0[j] += x0 * b0[j];
            if (!two) continue;
            double y0 = a1[p];
            for (int64_t j = 0; j < n; j++) c1[j] += y0 * b0[j];
        }
    }
}

/* ---- matmul: tiles of the output, each summed over blocks of k in order ---- */

enum { TILE_M = 48, TILE_N = 64, TILE_K = 128 }; /* the three double tiles stay in a 256 KiB cache */

typedef struct {
    const ehm_matmul_args *a;
    int64_t m, n, k, tiles_n, stride;
    double *scratch;
} matmul_job;

/* dst[rows,cols] = the tile of v (rank 2) at (r, c), or of its transpose. tmp holds a row. */
static void load_tile(double *restrict dst, int64_t ld, ehm_view v, bool trans, int64_t r, int64_t c, int64_t rows,
                      int64_t cols, double *restrict tmp) {
    if (!trans) {
        for (int64_t i = 0; i < rows; i++) ehm_ref_load(dst + i * ld, v, (r + i) * v.dim[1] + c, cols);
        return;
    }
    for (int64_t j = 0; j < cols; j++) {
        ehm_ref_load(tmp, v, (c + j) * v.dim[1] + r, rows);
        for (int64_t i = 0; i < rows; i++) dst[i * ld + j] = tmp[i];
    }
}

static void matmul_tile(const matmul_job *j, int64_t i_tile, double *scratch) {
    const ehm_matmul_args *a = j->a;
    double *ta = scratch, *tb = ta + TILE_M * TILE_K, *tc = tb + TILE_K * TILE_N, *tmp = tc + TILE_M * TILE_N;
    int64_t r = i_tile / j->tiles_n * TILE_M, c = i_tile % j->tiles_n * TILE_N;
    int64_t m = ehm_ref_min(TILE_M, j->m - r), n = ehm_ref_min(TILE_N, j->n - c);
    memset(tc, 0, sizeof *tc * TILE_M * TILE_N);
    for (int64_t p = 0; p < j->k; p += TILE_K) {
        int64_t k = ehm_ref_min(TILE_K, j->k - p);
        load_tile(ta, TILE_K, a->a, a->trans_a, r, p, m, k, tmp);
        load_tile(tb, TILE_N, a->b, a->trans_b, p, c, k, n, tmp);
        ehm_ref_gemm_add(tc, TILE_N, ta, TILE_K, tb, TILE_N, m, n, k);
    }
    for (int64_t i = 0; i < m; i++) {
        double *row = tc + i * TILE_N;
        int64_t at = (r + i) * j->n + c;
        if (a->bias.rank) {
            ehm_ref_load(tmp, a->bias, c, n);
            for (int64_t q = 0; q < n; q++) row[q] += tmp[q];
        }
        if (a->add.rank) {
            ehm_ref_load(tmp, a->add, at, n);
            for (int64_t q = 0; q < n; q++) row[q] += tmp[q];
        }
        if (a->accumulate) {
            ehm_ref_load(tmp, a->out, at, n);
            for (int64_t q = 0; q < n; q++) row[q] += tmp[q];
        }
        ehm_ref_store(a->out, at, row, n);
    }
}

static void matmul_tiles(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const matmul_job *j = ctx;
    for (int64_t i = begin; i < end; i++) matmul_tile(j, i, j->scratch + i_thread * j->stride);
}

void ehm_ref_matmul(void *self, const ehm_matmul_args *a) {
    ehm_ref *r = self;
    matmul_job j = {.a = a, .m = a->out.dim[0], .n = a->out.dim[1], .k = a->a.dim[a->trans_a ? 0 : 1]};
    j.tiles_n = (j.n + TILE_N - 1) / TILE_N;
    j.scratch = ehm_ref_scratch(r, TILE_M * TILE_K + TILE_K * TILE_N + TILE_M * TILE_N + TILE_K, &j.stride);
    if (!j.scratch) return;
    ehm_pool_for(r->pool, (j.m + TILE_M - 1) / TILE_M * j.tiles_n, 1, matmul_tiles, &j);
}

/* ---- colsum: a strip of columns at a time, all rows in order ---- */

enum { STRIP = 64 };

static void colsum_strips(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const ehm_colsum_args *a = ctx;
    double sum[STRIP], row[STRIP];
    (void)i_thread;
    for (int64_t s = begin; s < end; s++) {
        int64_t c = s * STRIP, n = ehm_ref_min(STRIP, a->x.dim[1] - c);
        memset(sum, 0, sizeof sum);
        for (int64_t i = 0; i < a->x.dim[0]; i++) {
            ehm_ref_load(row, a->x, i * a->x.dim[1] + c, n);
            for (int64_t q = 0; q < n; q++) sum[q] += row[q];
        }
        if (a->accumulate) {
            ehm_ref_load(row, a->out, c, n);
            for (int64_t q = 0; q < n; q++) sum[q] += row[q];
        }
        ehm_ref_store(a->out, c, sum, n);
    }
}

void ehm_ref_colsum(void *self, const ehm_colsum_args *a) {
    ehm_colsum_args args = *a;
    ehm_pool_for(((ehm_ref *)self)->pool, (a->x.dim[1] + STRIP - 1) / STRIP, 1, colsum_strips, &args);
}
