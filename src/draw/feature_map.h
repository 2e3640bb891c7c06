/* Patch features as colour: the first three principal components of all patches of a set, one basis for all its pictures.
 *
 *     ehm_feature_basis b;
 *     EHM_TRY(ehm_feature_basis_learn(&b, 0, &src, 8, false, a, &err));      // src: a model and pictures
 *     EHM_TRY(ehm_feature_map_of(&map, &b, m, &s[0], a, &err));
 *     EHM_TRY(ehm_feature_sheet(&sheet, &map, 1, &b, m, NULL, a, &err));
 */
#ifndef EHM_DRAW_FEATURE_MAP_H
#define EHM_DRAW_FEATURE_MAP_H
#include "draw/pca.h"
#include "draw/study.h"

typedef struct {
    ehm_pca pca;
    double lo[EHM_PCA_AXES], hi[EHM_PCA_AXES]; /* 2nd and 98th percentile of each component over the set: black and full colour */
    int64_t n_pictures, n_patches;
    int32_t layer; /* 0: tokens after the final norm; k: after block k, each token brought to mean 0 and deviation 1 */
} ehm_feature_basis;
/* From up to n pictures of src (its model and pictures), spread evenly or the first ones. Tokens of all pictures are kept while that takes at most 256 MiB,
 * else the model runs twice. EHM_E_ARG: no such layer; EHM_E_NUMERIC: a feature is not finite; else as ehm_study_read. */
ehm_code ehm_feature_basis_learn(ehm_feature_basis *out, int32_t layer, const ehm_study_source *src, int64_t n, bool spread, ehm_arena *a, ehm_err *err);

typedef struct {
    const char *name;
    const ehm_image *picture; /* the study's */
    ehm_image colours;        /* u8 RGB, as large as the picture; each patch one colour */
    float *scores;            /* [grid_h,grid_w,3] components, not stretched */
} ehm_feature_map;
ehm_code ehm_feature_map_of(ehm_feature_map *out, const ehm_feature_basis *b, ehm_model *m, const ehm_study *s, ehm_arena *a, ehm_err *err);
/* Pictures beside their feature pictures. whose: what the basis was learned from, for the footnote ("256 pictures of train"); NULL: these pictures. foot: as
 * ehm_study_foot, or NULL. */
ehm_code ehm_feature_sheet(ehm_image *sheet, const ehm_feature_map *maps, int32_t n, const ehm_feature_basis *b, const ehm_model *m, const char *whose,
                           const char *foot, ehm_arena *a, ehm_err *err);
#endif
