#include "base/file.h"
#include "infer/model_int.h"
#include "infer/save.h"
#include <string.h>
#include <unistd.h>

enum { META_MAX = 64 };

/* The encoder's file and what is added, together. "format" is the writer's own. */
static ehm_code write_both(const char *path, const ehm_st *encoder, const ehm_st_tensor *more, int32_t n_more, const ehm_st_meta *meta, int32_t n_meta,
                           ehm_arena *a, ehm_err *err) {
    ehm_st_meta all[META_MAX];
    int32_t n = 0, n_all = 0;
    ehm_st_tensor *t = EHM_NEW_N(a, ehm_st_tensor, ehm_st_count(encoder) + n_more);
    if (!t) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to write it", path);
    EHM_ASSERT(ehm_st_n_meta(encoder) + n_meta <= META_MAX);
    for (int32_t i = 0; i < ehm_st_count(encoder); i++) t[n++] = *ehm_st_at(encoder, i);
    for (int32_t i = 0; i < n_more; i++) t[n++] = more[i];
    for (int32_t i = 0; i < ehm_st_n_meta(encoder); i++)
        if (strcmp(ehm_st_meta_at(encoder, i)->key, "format")) all[n_all++] = *ehm_st_meta_at(encoder, i);
    for (int32_t i = 0; i < n_meta; i++) all[n_all++] = meta[i];
    return ehm_st_write(path, t, n, all, n_all, err);
}

ehm_code ehm_model_save(const ehm_model *m, const char *path, const ehm_st_tensor *more, int32_t n_more, const ehm_st_meta *meta, int32_t n_meta, ehm_err *err) {
    ehm_arena a = {0};
    ehm_st *f = NULL;
    char *aside = ehm_arena_printf(&a, "%s.encoder.%ld", path, (long)getpid());
    ehm_code rc = aside ? ehm_dir_make_for(path, err) : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to write it", path);
    if (!rc) rc = ehm_weights_save(aside, m->weights, m->d, &m->info, true, err);
    if (!rc && !(rc = ehm_st_open(&f, aside, err))) rc = write_both(path, f, more, n_more, meta, n_meta, &a, err);
    ehm_st_close(f);
    if (aside) (void)ehm_file_remove(aside, NULL);
    ehm_arena_free(&a);
    return rc;
}

ehm_code ehm_model_save_full(const ehm_model *m, const char *path, ehm_err *err) {
    return ehm_weights_save(path, m->weights, m->d, &m->info, false, err);
}
