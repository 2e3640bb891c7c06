/* The nearest pictures of a set to each of some queries, by cosine similarity of features, and a sheet of them.
 *
 *     ehm_vectors q, g;
 *     EHM_TRY(ehm_vectors_of_some(&q, m, queries, EHM_POOL_MEAN, 8, true, a, &err));
 *     EHM_TRY(ehm_vectors_of(&g, m, gallery, EHM_POOL_MEAN, 4, a, &err));
 *     EHM_TRY(ehm_neighbours_find(near, &q, 8, &g, 8, a, &err));     
 *     EHM_TRY(ehm_neighbours_sheet(&sheet, near, 8, &q, &g, m, &opt, a, &err));
 */
#ifndef EHM_DRAW_NEIGHBOURS_H
#define EHM_DRAW_NEIGHBOURS_H
#include "draw/shown.h"
#include "infer/infer.h"

/* Features of the pictures of a set that can be read, in order, each of length 1. */
typedef struct {
    ehm_dataset *set;
    ehm_pooling pool;
    int32_t dim;
    int64_t n, n_bad;
    int64_t *id; /* [n] in the set */
    float *x;    /* [n,dim] */
} ehm_vectors;
/* pool: cls or mean (EHM_E_ARG else). Pictures that cannot be read are left out with a warning. EHM_E_NUMERIC: features that are not finite; EHM_E_FORMAT: none
 * can be read. */
ehm_code ehm_vectors_of(ehm_vectors *out, ehm_model *m, ehm_dataset *ds, ehm_pooling pool, int32_t n_workers, ehm_arena *a, ehm_err *err);

/* Of some pictures alone: n that lie evenly over the set (spread), or the first n that can be read. */
ehm_code ehm_vectors_of_some(ehm_vectors *out, ehm_model *m, ehm_dataset *ds, ehm_pooling pool, int64_t n, bool spread, ehm_arena *a, ehm_err *err);
/* The same choice among vectors at hand. */
ehm_code ehm_vectors_pick(ehm_vectors *out, const ehm_vectors *from, int64_t n, bool spread, ehm_arena *a, ehm_err *err);

typedef struct {
    int64_t id; /* in the gallery's set */
    double similarity;
    int32_t same_label; /* 1, 0; -1: one of the two has none */
    bool copy;          /* pixel for pixel the query */
} ehm_neighbour;
typedef struct {
    int64_t id; /* in the queries' set */
    ehm_neighbour *near;
    int32_t n;
    bool left_out; /* the gallery is another set and holds the query's own file, which is none of them */
} ehm_neighbours;
/* out [n_queries] for the first queries. A picture is not its own neighbour, also where the gallery is another set
 * that holds the same file (ehm_dataset_same_picture). Of equal similarity the earlier picture comes first.
 * EHM_E_CONFIG: the gallery holds no other picture. */
ehm_code ehm_neighbours_find(ehm_neighbours *out, const ehm_vectors *q, int64_t n_queries, const ehm_vectors *gallery, int32_t k, ehm_arena *a, ehm_err *err);

typedef struct {
    const ehm_shown *shown; /* NULL: auto */
    const char *whose;      /* the gallery in words for the footnote; NULL: its spec */
} ehm_neighbours_opt;
/* A row for each query: the picture, then its neighbours with similarity, label and name; those of the query's label framed green, of another red. */
ehm_code ehm_neighbours_sheet(ehm_image *sheet, const ehm_neighbours *near, int32_t n, const ehm_vectors *q, const ehm_vectors *gallery, const ehm_model *m,
                              const ehm_neighbours_opt *opt, ehm_arena *a, ehm_err *err);
#endif
