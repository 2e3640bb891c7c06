/* ehm tree: trees from matrices of similarities, without a model. */
#include "base/file.h"
#include "base/npy.h"
#include "cli/cli.h"
#include "hierarchy/similarity_file.h"
#include "hierarchy/tree.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    ehm_similarities s;
    ehm_linkage linkage;
    uint32_t flags;
    ehm_tree *trees;         /* [n_matrices] */
    double lowest, highest;  /* of all merges */
    int32_t n_flat, first_flat;
} forest;

static const double *matrix_of(const forest *f, int32_t i) {
    return f->s.matrix + (size_t)i * (size_t)f->s.n * (size_t)f->s.n;
}

/* No more threads than trees: a workspace is as large as a matrix. */
static ehm_code build(forest *f, int64_t threads, ehm_arena *a, ehm_err *err) {
    int32_t n_trees = f->s.n_matrices, n = f->s.n;
    int64_t wanted = EHM_IS_AUTO(threads) ? ehm_cpu_count() : threads;
    int32_t n_threads = wanted < n_trees ? (int32_t)wanted : n_trees;
    size_t one = (ehm_tree_work_bytes(n, f->linkage, EHM_F64) + 63) / 64 * 64;
    ehm_pool *pool = NULL;
    ehm_code rc = EHM_OK;
    f->trees = EHM_NEW_N(a, ehm_tree, n_trees);
    void *work = ehm_arena_alloc(a, (size_t)n_threads, one ? one : 64);
    if (!f->trees || !work)
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d trees of %d leaves", n_trees, n);
    for (int32_t i = 0; i < n_trees; i++) EHM_TRY(ehm_tree_new(&f->trees[i], n, a, err));
    if (n_threads > 1) EHM_TRY(ehm_pool_open(&pool, n_threads, err));
    if (f->s.stacked)
        rc = ehm_tree_build_batch(f->trees, f->s.matrix, EHM_F64, n_trees, n, f->linkage, f->flags, work, pool,
                                  err);
    else rc = ehm_tree_build(f->trees, f->s.matrix, EHM_F64, n, f->linkage, f->flags, work, err);
    ehm_pool_close(pool);
    return rc;
}

static ehm_code look(forest *f, ehm_err *err) {
    f->lowest = INFINITY, f->highest = -INFINITY;
    for (int32_t i = 0; i < f->s.n_matrices; i++) {
        for (int32_t k = 0; k < f->s.n - 1; k++) {
            f->lowest = fmin(f->lowest, f->trees[i].height[k]);
            f->highest = fmax(f->highest, f->trees[i].height[k]);
        }
        ehm_similarity_range range;
        EHM_TRY(ehm_similarity_check(&range, matrix_of(f, i), EHM_F64, f->s.n, f->flags, err));
        if (f->s.n > 2 && ehm_similarity_is_flat(&range) && !f->n_flat++) f->first_flat = i;
    }
    if (f->n_flat && !f->s.stacked)
        ehm_log(EHM_LOG_WARN, "all similarities are equal: the tree holds no information");
    else if (f->n_flat)
        ehm_log(EHM_LOG_WARN,
                "%d of %d matrices (the first is [%d]) have equal similarities: their trees hold no information",
                f->n_flat, f->s.n_matrices, f->first_flat);
    return EHM_OK;
}

static ehm_code write_trees(const forest *f, const char *path, ehm_arena *a, ehm_err *err) {
    int64_t dim[3] = {f->s.n_matrices, f->s.n - 1, 4};
    size_t one = (size_t)(f->s.n - 1) * 4, n_numbers;
    bool fits = ehm_mul_size(&n_numbers, one, (size_t)f->s.n_matrices);
    double *z = fits ? EHM_NEW_N(a, double, n_numbers + 1) : NULL;
    if (!z) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for %d trees", path, f->s.n_matrices);
    for (int32_t i = 0; i < f->s.n_matrices; i++) ehm_tree_z(z + (size_t)i * one, &f->trees[i]);
    EHM_TRY(ehm_dir_make_for(path, err));
    return ehm_npy_write(path, "<f8", f->s.stacked ? 3 : 2, f->s.stacked ? dim : dim + 1, z, err);
}

static void print(const forest *f, const char *path, ehm_out *out) {
    const char *linkage = ehm_linkage_name(f->linkage);
    bool merged = f->s.n > 1;
    if (out->json) {
        ehm_str s = {0};
        ehm_json_w w = {.out = &s};
        ehm_json_obj(&w);
        ehm_json_key(&w, "out"), ehm_json_str(&w, path);
        ehm_json_key(&w, "n"), ehm_json_i64(&w, f->s.n);
        ehm_json_key(&w, "n_trees"), ehm_json_i64(&w, f->s.n_matrices);
        ehm_json_key(&w, "n_flat"), ehm_json_i64(&w, f->n_flat);
        ehm_json_key(&w, "linkage"), ehm_json_str(&w, linkage);
        ehm_json_key(&w, "height_min");
        if (merged) ehm_json_f64(&w, f->lowest);
        else ehm_json_null(&w);
        ehm_json_key(&w, "height_max");
        if (merged) ehm_json_f64(&w, f->highest);
        else ehm_json_null(&w);
        ehm_json_end(&w);
        ehm_out_json(out, &s);
        ehm_str_free(&s);
        return;
    }
    ehm_out_addf(out, "%s: ", path);
    if (f->s.stacked)
        ehm_out_addf(out, "[%d, %d, 4] f64, %d trees", f->s.n_matrices, f->s.n - 1, f->s.n_matrices);
    else ehm_out_addf(out, "[%d, 4] f64, a tree", f->s.n - 1);
    ehm_out_addf(out, " of %d %s by %s linkage", f->s.n, f->s.n == 1 ? "leaf" : "leaves", linkage);
    if (merged) ehm_out_addf(out, ", heights %.6g to %.6g", f->lowest, f->highest);
    ehm_out_add(out, "\n");
}

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static ehm_code check_names(const ehm_config *c, const ehm_out *out, ehm_err *err) {
    if (!c->affinity)
        return EHM_FAIL(err, EHM_E_CONFIG,
                        "--affinity is missing: the similarities, N x N or B x N x N, - for standard input");
    if (!c->out)
        return EHM_FAIL(err, EHM_E_CONFIG, "--out is missing: the .npy file to write, - for standard output");
    if (strcmp(c->out, "-")) {
        if (!ehm_ends_nocase(c->out, ".npy"))
            return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: the name of an array ends in .npy", c->out);
        if (same_file(c->affinity, c->out))
            return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: is the file that --affinity reads", c->out);
        return EHM_OK;
    }
    if (out->json)
        return EHM_FAIL(err, EHM_E_CONFIG, "--json and --out - would both write to standard output");
    if (isatty(STDOUT_FILENO)) {
        EHM_HINT(err, "name a file, or pass it on: ehm tree ... --out - > Z.npy");
        return EHM_FAIL(err, EHM_E_CONFIG, "--out -: standard output is a terminal, and an array is no text");
    }
    return EHM_OK;
}

static ehm_code run(const ehm_config *c, ehm_out *out, ehm_err *err) {
    forest f = {.flags = c->symmetrise ? EHM_TREE_SYMMETRISE : 0};
    EHM_TRY(check_names(c, out, err));
    EHM_TRY(ehm_linkage_find(&f.linkage, c->linkage, err));
    ehm_code rc = ehm_similarities_read(&f.s, c->affinity, out->arena, err);
    if (rc == EHM_E_IO && strcmp(c->affinity, "-") && !ehm_file_exists(c->affinity))
        ehm_path_hint_near(err, c->affinity);
    if (rc) return rc;
    rc = build(&f, c->threads, out->arena, err);
    if (rc == EHM_E_ARG)
        EHM_WHILE(err, "reading %s as similarities",
                  strcmp(c->affinity, "-") ? c->affinity : "standard input");
    if (rc) return rc;
    EHM_TRY(look(&f, err));
    EHM_TRY(write_trees(&f, c->out, out->arena, err));
    if (strcmp(c->out, "-")) print(&f, c->out, out);
    return EHM_OK;
}

const ehm_command ehm_cmd_tree = {
    .name = "tree",
    .summary = "builds trees from matrices of similarities, without a model",
    .groups = "affinity,linkage,output",
    .usage = "--affinity A.npy --out Z.npy",
    .details =
        "A is .npy, N x N or B x N x N, of any real or whole type, or one matrix as text: a row a line, numbers "
        "divided by spaces, tabs or commas. Larger means more alike; the diagonal is ignored.\n\n"
        "Z is N-1 x 4 or B x N-1 x 4 in float64, as SciPy's linkage() gives it: the two nodes that a merge joins, its "
        "height, and its leaves. Heights are distances c - S, with c the largest similarity off the diagonal; ward and "
        "centroid take the rows as vectors, the diagonal set to the row's mean, and their heights are Euclidean "
        "distances. Ties are broken as SciPy breaks them.",
    .example = "printf '1 .9 .1\\n.9 1 .2\\n.1 .2 1\\n' | ehm tree --affinity - --out Z.npy\n"
               "printf '1,0.9,0.1\\n0.8,1,0.2\\n0,0.2,1\\n' >S.csv\n"
               "ehm tree --affinity S.csv --symmetrise --linkage ward --out Z.npy",
    .run = run,
};
