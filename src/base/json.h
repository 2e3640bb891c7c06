/* JSON: a writer onto an ehm_str, and a strict reader into an arena (duplicate keys, depth over 64 and trailing text are errors).
 *
 *     ehm_json_w w = {.out = &s};
 *     ehm_json_obj(&w); ehm_json_key(&w, "loss"); ehm_json_f64(&w, 0.5); ehm_json_end(&w);
 */
#ifndef EHM_BASE_JSON_H
#define EHM_BASE_JSON_H
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

typedef struct { ehm_str *out; int32_t depth; uint64_t is_array, has_item; bool after_key; int32_t indent; } ehm_json_w; /* indent 0 = one line */
void ehm_json_obj(ehm_json_w *w);
void ehm_json_arr(ehm_json_w *w);
void ehm_json_end(ehm_json_w *w);
void ehm_json_key(ehm_json_w *w, const char *key);
void ehm_json_str(ehm_json_w *w, const char *s); /* invalid UTF-8 becomes U+FFFD; NULL becomes null */
void ehm_json_f64(ehm_json_w *w, double v);      /* shortest text that reads back equal; NaN and infinities become the strings "nan", "inf", "-inf" */
void ehm_json_f32(ehm_json_w *w, float v);       /* shortest text that reads back equal as float */
void ehm_json_i64(ehm_json_w *w, int64_t v);
void ehm_json_bool(ehm_json_w *w, bool v);
void ehm_json_null(ehm_json_w *w);
void ehm_json_raw(ehm_json_w *w, const char *json); /* text that is JSON already */

typedef enum { EHM_JSON_NULL, EHM_JSON_BOOL, EHM_JSON_NUM, EHM_JSON_STR, EHM_JSON_ARR, EHM_JSON_OBJ } ehm_json_kind;
typedef struct ehm_json ehm_json;
struct ehm_json {
    ehm_json_kind kind;
    const char *key;     /* in an object */
    const char *str;     /* STR: UTF-8, NUL-ended (a NUL inside is an error); NUM: its text */
    double num;          /* NUM; BOOL as 0 or 1 */
    int64_t i64;         /* NUM: exact when is_int */
    bool is_int;
    ehm_json *first, *next; /* children of ARR and OBJ in order; sibling */
    int32_t n;              /* number of children */
};
/* Reads text[0..len). name is for messages. The tree lives in a. */
ehm_code ehm_json_parse(ehm_json **out, const char *text, size_t len, const char *name, ehm_arena *a, ehm_err *err);
ehm_code ehm_json_read_file(ehm_json **out, const char *path, ehm_arena *a, ehm_err *err);
const ehm_json *ehm_json_get(const ehm_json *obj, const char *key); /* NULL when absent or obj is NULL or no object */
double ehm_json_num_or(const ehm_json *obj, const char *key, double otherwise);
int64_t ehm_json_i64_or(const ehm_json *obj, const char *key, int64_t otherwise);
const char *ehm_json_str_or(const ehm_json *obj, const char *key, const char *otherwise);
#endif
