/* Tiny sets of pictures for tests of data: files, folders and tars made byte by byte, so that they hold what
 * a test says. */
#ifndef EHM_TESTS_MAKE_SETS_H
#define EHM_TESTS_MAKE_SETS_H
#include "base/file.h"
#include "data/data.h"
#include "harness.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct { uint8_t v[1 << 20]; size_t n; } bytes;

static inline const char *in_tmp(const char *name) {
    static char path[8][1024];
    static int i;
    snprintf(path[i = (i + 1) % 8], sizeof path[0], "%s/%s", ehm_test_tmp(), name);
    return path[i];
}

static inline void put_file(const char *path, const void *data, size_t n) {
    char dir[1024];
    snprintf(dir, sizeof dir, "%s", path);
    ehm_err err = {0};
    char *slash = strrchr(dir, '/');
    if (slash) {
        *slash = 0;
        REQUIRE_OK(ehm_dir_make(dir, &err), &err);
    }
    FILE *f = fopen(path, "wb");
    REQUIRE(f && fwrite(data, 1, n, f) == n);
    fclose(f);
}
static inline void put_text(const char *path, const char *text) { put_file(path, text, strlen(text)); }

/* A PPM (c 3) or PGM (c 1) of w x h, every value v. */
static inline size_t ppm(uint8_t *out, int w, int h, int c, int v) {
    int n = sprintf((char *)out, "P%d\n%d %d\n255\n", c == 3 ? 6 : 5, w, h);
    memset(out + n, v, (size_t)(w * h * c));
    return (size_t)n + (size_t)(w * h * c);
}
static inline void put_ppm(const char *path, int w, int h, int c, int v) {
    static uint8_t b[1 << 16];
    put_file(path, b, ppm(b, w, h, c, v));
}

/* ---- tar ---- */
static inline void tar_sum(uint8_t *b) {
    memset(b + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; i++) sum += b[i];
    sprintf((char *)b + 148, "%06o", sum);
    b[155] = ' ';
}
static inline uint8_t *tar_head(bytes *t, const char *name, char type, long long size, const char *link) {
    uint8_t *b = t->v + t->n;
    memset(b, 0, 512);
    memcpy(b, name, strlen(name) < 100 ? strlen(name) : 100);
    memcpy(b + 100, "0000644", 7);
    sprintf((char *)b + 124, "%011llo", size);
    b[156] = (uint8_t)type;
    if (link) memcpy(b + 157, link, strlen(link) < 100 ? strlen(link) : 100);
    memcpy(b + 257, "ustar\00000", 8);
    tar_sum(b);
    t->n += 512;
    return b;
}
static inline void tar_data(bytes *t, const void *data, size_t n) {
    memcpy(t->v + t->n, data, n);
    size_t padded = (n + 511) / 512 * 512;
    memset(t->v + t->n + n, 0, padded - n);
    t->n += padded;
}
static inline void tar_add(bytes *t, const char *name, const void *data, size_t n) {
    tar_head(t, name, '0', (long long)n, NULL);
    tar_data(t, data, n);
}
static inline void tar_text(bytes *t, const char *name, const char *text) {
    tar_add(t, name, text, strlen(text));
}
static inline void tar_ppm(bytes *t, const char *name, int v) {
    uint8_t b[256];
    tar_add(t, name, b, ppm(b, 4, 3, 3, v));
}
static inline void tar_end(bytes *t) {
    memset(t->v + t->n, 0, 1024);
    t->n += 1024;
}

/* ---- sets ---- */
static inline ehm_code open_with(ehm_dataset **ds, const char *spec, const ehm_dataset_opt *opt,
                                 ehm_err *err) {
    ehm_strs paths = {&spec, 1};
    return ehm_dataset_open(ds, &paths, opt, err);
}
static inline ehm_code open_set(ehm_dataset **ds, const char *spec, ehm_err *err) {
    const ehm_dataset_opt opt = {.ignore_label = -1};
    return open_with(ds, spec, &opt, err);
}
/* The first value of picture i; -1 when it cannot be read. */
static inline int first_value(ehm_dataset *ds, int64_t i) {
    ehm_arena a = {0};
    ehm_sample s;
    ehm_err err = {0};
    int v = ehm_dataset_read(ds, i, &s, 0, NULL, &a, &err) ? -1 : ((uint8_t *)s.image.px)[0];
    ehm_arena_free(&a);
    return v;
}
#endif
