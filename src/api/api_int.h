/* For src/api alone: handles, messages, settings, pictures on their way to a model. */
#ifndef EHM_API_API_INT_H
#define EHM_API_API_INT_H
#include "api/api.h"
#include "base/pool.h"
#include "infer/infer.h"
#include <sys/types.h>

struct ehm_api_model {
    ehm_model *m;
    pid_t process; /* its threads live there and nowhere else */
};

/* rc, and its words to message. */
int32_t ehm_api_say(ehm_code rc, const ehm_err *err, char *message, size_t cap);
/* EHM_E_ARG naming what is NULL. */
ehm_code ehm_api_given(const void *p, const char *what, ehm_err *err);
ehm_code ehm_api_usable(const ehm_api_model *m, ehm_err *err);
ehm_code ehm_api_type_of(ehm_dtype *out, int32_t type, bool pixels, ehm_err *err);
ehm_code ehm_api_pool_of(ehm_pooling *out, const char *name, ehm_err *err);
/* "key=value" texts of the keys in allowed (divided by ','). */
ehm_code ehm_api_settings(ehm_config *c, const char *allowed, const char *const *settings, int32_t n, ehm_arena *a, ehm_err *err);
/* threads as a caller gives them, for n pieces of work. */
int32_t ehm_api_threads(int32_t wanted, int64_t n);

extern const char ehm_api_affinity_keys[], ehm_api_mask_keys[];

/* Pictures as a caller has them, handed on piece by piece as a model takes them: as they are, or fitted. */
typedef struct {
    const uint8_t *pixels;
    int64_t n;
    int32_t h, w, c;
    ehm_dtype type;
    const ehm_vit_shape *shape;
    const char *fit;
    bool as_is;
    size_t each, each_out; /* bytes of a picture, before and after */
    uint8_t *room;         /* for a batch */
    int32_t batch;
    ehm_arena arena, scratch;
} ehm_api_feed;
/* fit NULL: taken as they are where they have the model's size, else fitted as the model's run did. Close it after any result. */
ehm_code ehm_api_feed_open(ehm_api_feed *f, const ehm_api_model *m, const char *fit, const void *pixels, int64_t n, int32_t h, int32_t w,
                           int32_t c, int32_t type, ehm_err *err);
/* count <= batch of them, [count,img_h,img_w,channels]; valid until the next call. */
ehm_code ehm_api_feed_get(ehm_api_feed *f, const void **out, int64_t at, int32_t count, ehm_err *err);
void ehm_api_feed_close(ehm_api_feed *f);
static inline int32_t ehm_api_feed_part(const ehm_api_feed *f, int64_t at) { return f->n - at < f->batch ? (int32_t)(f->n - at) : f->batch; }
#endif
