/* Similarities from text and .npy files: values, and that no damage to a file is worse than an error. What each message says is in
 * tests/cli/tree.t. */
#include "base/file.h"
#include "base/npy.h"
#include "base/rng.h"
#include "harness.h"
#include "hierarchy/similarity_file.h"

static const char *put(const void *data, size_t n) {
    static char path[600];
    snprintf(path, sizeof path, "%s/x", ehm_test_tmp());
    FILE *f = fopen(path, "wb"); /* not ehm_file_write: a sync for each of a thousand files takes half a minute */
    REQUIRE(f && fwrite(data, 1, n, f) == n);
    fclose(f);
    return path;
}

TEST(similarity_file, text) {
    static const char *const same[] = {
        "1 2.5\n-3e-2 4\n", "1,2.5\n-3e-2,4", "\357\273\2771;2.5\r\n-3e-2;4\r\n",
        "# S\n\n1\t2.5\n# half\n   -.03 , 4   \n\n",
    };
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_similarities s;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        REQUIRE_OK(ehm_similarities_read(&s, put(same[i], strlen(same[i])), &a, &err), &err);
        CHECK(s.n == 2 && s.n_matrices == 1 && !s.stacked);
        CHECK(s.matrix[0] == 1 && s.matrix[1] == 2.5 && s.matrix[2] == -0.03 && s.matrix[3] == 4);
    }
    REQUIRE_OK(ehm_similarities_read(&s, put("nan inf\n-Infinity NA", 20), &a, &err), &err);
    CHECK(isnan(s.matrix[0]) && s.matrix[1] == HUGE_VAL && s.matrix[2] == -HUGE_VAL && isnan(s.matrix[3]));
    /* Longer than the room that is taken at first, and of the most rows that make sense. */
    int32_t n = 300;
    char *text = malloc((size_t)n * (size_t)n * 8), *p = text;
    for (int32_t i = 0; i < n * n; i++) p += sprintf(p, "%d%c", i, (i + 1) % n ? ',' : '\n');
    REQUIRE_OK(ehm_similarities_read(&s, put(text, (size_t)(p - text)), &a, &err), &err);
    CHECK_INT(s.n, n);
    for (int32_t i = 0; i < n * n; i++)
        if (s.matrix[i] != i) {
            ehm_test_fail(__FILE__, __LINE__, "value %d is %g", i, s.matrix[i]);
            break;
        }
    free(text);
    ehm_arena small = {.limit_bytes = 1000};
    CHECK_FAILS(ehm_similarities_read(&s, put("1 2\n2 1\n", 8), &small, &err), &err, EHM_E_MEMORY, "no memory");
    ehm_arena_free(&small);
    ehm_arena_free(&a);
}

TEST(similarity_file, npy) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_similarities s;
    char path[600];
    snprintf(path, sizeof path, "%s/a.npy", ehm_test_tmp());
    REQUIRE_OK(ehm_npy_write(path, "<f4", 3, (int64_t[]){2, 2, 2}, (float[]){1, 2, 3, 4, 5, 6, 7, 8}, &err), &err);
    REQUIRE_OK(ehm_similarities_read(&s, path, &a, &err), &err);
    CHECK(s.n == 2 && s.n_matrices == 2 && s.stacked && s.matrix[7] == 8);
    REQUIRE_OK(ehm_npy_write(path, "<f8", 3, (int64_t[]){1, 2, 2}, (double[]){1, 2, 3, 4}, &err), &err);
    REQUIRE_OK(ehm_similarities_read(&s, path, &a, &err), &err);
    CHECK(s.n == 2 && s.n_matrices == 1 && s.stacked && s.matrix[3] == 4);
    REQUIRE_OK(ehm_npy_write(path, "|u1", 2, (int64_t[]){1, 1}, "\7", &err), &err);
    REQUIRE_OK(ehm_similarities_read(&s, path, &a, &err), &err);
    CHECK(s.n == 1 && s.n_matrices == 1 && !s.stacked && s.matrix[0] == 7);
    CHECK_FAILS(ehm_similarities_read(&s, ehm_test_path("tests/golden/npy/f4.npy"), &a, &err), &err, EHM_E_FORMAT, "(2, 3) is not square");
    ehm_arena_free(&a);
}

/* Bytes changed, cut and grown at random: read or refused in words, nothing else. */
TEST(similarity_file, damaged) {
    static const char text[] = "# S\n1.5,2,-3e4\n2,1,nan\n-3;\t4 5\r\n";
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_bytes npy;
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 0, 77);
    int32_t n_read = 0, n_refused = 0;
    REQUIRE_OK(ehm_file_read(&npy, ehm_test_path("tests/golden/npy/version2.npy"), &a, &err), &err);
    for (int32_t i = 0; i < 1500; i++) {
        uint8_t b[400] = {0};
        ehm_arena mine = {0};
        ehm_similarities s;
        size_t n = i % 2 ? npy.len : sizeof text - 1;
        memcpy(b, i % 2 ? (const void *)npy.data : text, n);
        for (uint32_t k = ehm_rng_below(&r, 3); k > 0; k--) {
            size_t at = ehm_rng_below(&r, (uint32_t)(i % 2 ? 100 : n));
            static const uint8_t likely[] = "09 ,;\n#-e.()'L\0\xff";
            b[at] = ehm_rng_below(&r, 2) ? likely[ehm_rng_below(&r, sizeof likely)] : (uint8_t)ehm_rng_below(&r, 256);
        }
        if (!ehm_rng_below(&r, 3)) n -= ehm_rng_below(&r, (uint32_t)n);
        ehm_err_clear(&err);
        ehm_code rc = ehm_similarities_read(&s, put(b, n), &mine, &err);
        if (rc) {
            CHECK(err.what[0] && (rc == EHM_E_FORMAT || rc == EHM_E_UNSUPPORTED));
            n_refused++;
        } else {
            double sum = 0;
            for (int32_t k = 0; k < s.n * s.n * s.n_matrices; k++) sum += s.matrix[k] == 0; /* all of it can be read */
            CHECK(s.n >= 1 && s.n_matrices >= 1 && sum >= 0);
            n_read++;
        }
        ehm_arena_free(&mine);
    }
    CHECK(n_read > 100 && n_refused > 100);
    ehm_arena_free(&a);
}
