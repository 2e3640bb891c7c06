/* Trees over the flat interface. */
#include "api/api_int.h"
#include "hierarchy/tree.h"
#include <string.h>

static ehm_code trees(double *z, const void *S, ehm_dtype type, int32_t n_trees, int32_t n, ehm_linkage linkage, uint32_t flags, int32_t threads,
                      ehm_arena *a, ehm_err *err) {
    int32_t n_threads = ehm_api_threads(threads, n_trees);
    size_t one = (ehm_tree_work_bytes(n, linkage, type) + 63) / 64 * 64;
    ehm_pool *pool = NULL;
    ehm_tree *t = EHM_NEW_N(a, ehm_tree, n_trees);
    void *work = ehm_arena_alloc(a, (size_t)n_threads, one ? one : 64);
    if (!t || !work) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d trees of %d leaves", (int)n_trees, (int)n);
    for (int32_t i = 0; i < n_trees; i++) EHM_TRY(ehm_tree_new(&t[i], n, a, err));
    if (n_threads > 1) EHM_TRY(ehm_pool_open(&pool, n_threads, err));
    ehm_code rc = n_trees == 1 ? ehm_tree_build(t, S, type, n, linkage, flags, work, err)
                               : ehm_tree_build_batch(t, S, type, n_trees, n, linkage, flags, work, pool, err);
    ehm_pool_close(pool);
    for (int32_t i = 0; !rc && i < n_trees; i++) ehm_tree_z(z + (size_t)i * 4 * (size_t)(n - 1), &t[i]);
    return rc;
}

static ehm_code tree(double *z, const void *S, int32_t type, int32_t n_trees, int32_t n, const char *linkage, bool symmetrise, int32_t threads,
                     ehm_err *err) {
    ehm_dtype of;
    ehm_linkage l;
    ehm_arena a = {0};
    EHM_TRY(ehm_api_given(z, "z", err));
    EHM_TRY(ehm_api_given(S, "similarity", err));
    EHM_TRY(ehm_api_type_of(&of, type, false, err));
    if (n_trees < 1) return EHM_FAIL(err, EHM_E_ARG, "%d matrices: at least one is needed", (int)n_trees);
    if (n < 1 || n > EHM_TREE_LEAVES_MAX)
        return EHM_FAIL(err, EHM_E_ARG, "a tree over %d items: 1 to %d are possible", (int)n, (int)EHM_TREE_LEAVES_MAX);
    EHM_TRY(ehm_linkage_find(&l, linkage ? linkage : "average", err));
    ehm_code rc = trees(z, S, of, n_trees, n, l, symmetrise ? EHM_TREE_SYMMETRISE : 0, threads, &a, err);
    ehm_arena_free(&a);
    return rc;
}

int32_t ehm_api_tree(double *z, const void *similarity, int32_t type, int32_t n_trees, int32_t n, const char *linkage, int32_t symmetrise,
                     int32_t threads, char *message, size_t message_cap) {
    ehm_err err = {0};
    ehm_code rc = tree(z, similarity, type, n_trees, n, linkage, symmetrise != 0, threads, &err);
    /* The command line's way of saying it would be looked for in vain here. */
    if (rc == EHM_E_ARG && strstr(err.hint, "--symmetrise")) memcpy(err.hint, "symmetrise takes the mean of the two", 37);
    return ehm_api_say(rc, &err, message, message_cap);
}
