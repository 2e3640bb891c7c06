/* What lies in a file or folder of weights before any name is understood: its tensors, and the configuration beside them.
 *
 *     ehm_import_files f; ehm_import_files_open(&f, "vit-mae-base", &err);
 *     for (int32_t i = 0; i < ehm_import_files_count(&f); i++) ... ehm_import_files_at(&f, i)->name ...
 *     ehm_import_files_close(&f);
 */
#ifndef EHM_EXCHANGE_IMPORT_FILES_H
#define EHM_EXCHANGE_IMPORT_FILES_H
#include "base/json.h"
#include "exchange/safetensors.h"

typedef struct {
    ehm_arena arena;
    ehm_st **file; int32_t n_files; /* shards in the order of the index */
    const ehm_st_tensor **tensor; int32_t n_tensors;
    const char *path;               /* the file, or the folder */
    const char *container;          /* "safetensors", "pth (zip)", "pth (pickle)", and " folder" or " in N shards" after it */
    const ehm_json *config;         /* config.json of transformers or timm; NULL: none */
    const ehm_json *preprocessor;   /* preprocessor_config.json; NULL: none */
} ehm_import_files;
/* A safetensors file, a .pth by content, or a folder (run folders: their model.safetensors). config.json is read where it lies beside the file too, if it is one of
 * transformers or timm. Errors: those of the readers, EHM_E_MISMATCH for a folder without weights, EHM_E_CONFIG where nothing is. */
ehm_code ehm_import_files_open(ehm_import_files *out, const char *path, ehm_err *err);
void ehm_import_files_close(ehm_import_files *f);

/* What the configuration says of the network; 0, -1 or NULL where it is silent. */
typedef struct {
    int32_t img_h, img_w, num_heads, decoder_num_heads, depth;
    double eps;               /* of the layer norms; 0: silent */
    int32_t norm_pix;         /* 0, 1 or -1 */
    bool no_qkv_bias, has_stats;
    double mean[256], std[256]; int32_t n_stats;
    const char *tool;         /* "timm", "transformers 4.57.6" */
    const char *activation;   /* hidden_act of transformers */
} ehm_import_config;
/* Fields of the wrong kind or out of range: EHM_E_FORMAT. */
ehm_code ehm_import_config_read(ehm_import_config *out, ehm_import_files *f, ehm_err *err);
#endif
