/* A golden file that is numbers alone, read one after another. */
#ifndef EHM_TESTS_GOLDEN_NUMBERS_H
#define EHM_TESTS_GOLDEN_NUMBERS_H
#include "base/file.h"
#include "harness.h"

typedef struct { ehm_arena a; char *at; } numbers;

static inline numbers numbers_open(const char *rel) {
    numbers g = {0};
    ehm_bytes b;
    ehm_err err = {0};
    REQUIRE_OK(ehm_file_read(&b, ehm_test_path(rel), &g.a, &err), &err);
    g.at = (char *)b.data;
    return g;
}
static inline double numbers_next(numbers *g) {
    char *end;
    double v = strtod(g->at, &end);
    REQUIRE(end != g->at);
    g->at = end;
    return v;
}
static inline void numbers_close(numbers *g) { ehm_arena_free(&g->a); }
#endif
