/* .npy files: what NumPy wrote is read as NumPy reads it, what we write is NumPy's byte for byte, and broken files are told apart. */
#include "base/file.h"
#include "base/npy.h"
#include "harness.h"
#include <fcntl.h>
#include <unistd.h>

static const char *in_tmp(const char *name) {
    static char path[4][600];
    static int k;
    k = (k + 1) % 4;
    snprintf(path[k], sizeof path[k], "%s/%s", ehm_test_tmp(), name);
    return path[k];
}

static const char *golden(const char *name) {
    static char rel[200];
    snprintf(rel, sizeof rel, "tests/golden/npy/%s.npy", name);
    return ehm_test_path(rel);
}

static bool same(double a, double b) { return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b)); }

TEST(npy, golden) {
    FILE *in = fopen(ehm_test_path("tests/golden/npy/values.txt"), "r");
    REQUIRE(in);
    char name[40], type[8], word[64], shape[128];
    int rank, n_files = 0;
    ehm_arena a = {0};
    ehm_err err = {0};
    while (fscanf(in, "%39s %7s %d", name, type, &rank) == 3) {
        ehm_npy x;
        ehm_arena_reset(&a);
        REQUIRE_OK(ehm_npy_read(&x, golden(name), &a, &err), &err);
        CHECK_STR(x.type, type);
        REQUIRE(x.rank == rank);
        int64_t count = 1;
        for (int i = 0; i < rank; i++) {
            long long d;
            REQUIRE(fscanf(in, "%lld", &d) == 1);
            CHECK_INT(x.dim[i], d);
            count *= d;
        }
        REQUIRE(x.count == count && count < 100);
        double v[100];
        float f[100];
        ehm_npy_f64(v, &x, 0, count);
        ehm_npy_f32(f, &x, 0, count);
        for (int64_t i = 0; i < count; i++) {
            REQUIRE(fscanf(in, "%63s", word) == 1);
            double want = strtod(word, NULL), one;
            ehm_npy_f64(&one, &x, i, 1);
            if (!same(v[i], want) || !same(one, want) || !same((double)f[i], (double)(float)want))
                ehm_test_fail(__FILE__, __LINE__, "%s [%d]: %.17g, alone %.17g, as f32 %.9g; expected %s", name, (int)i,
                              v[i], one, (double)f[i], word);
        }
        n_files++;
        /* And back, where NumPy would write the same: its own bytes. */
        ehm_bytes want, got;
        REQUIRE_OK(ehm_file_read(&want, golden(name), &a, &err), &err);
        if (want.data[6] != 1 || strstr(name, "big") || strstr(name, "fortran")) continue;
        char spelled[8];
        snprintf(spelled, sizeof spelled, "%s%.5s", type[1] == '1' ? "|" : "<", type);
        REQUIRE_OK(ehm_npy_write(in_tmp("out.npy"), spelled, x.rank, x.dim, x.data, &err), &err);
        REQUIRE_OK(ehm_file_read(&got, in_tmp("out.npy"), &a, &err), &err);
        if (got.len != want.len || memcmp(got.data, want.data, got.len))
            ehm_test_fail(__FILE__, __LINE__, "%s: %zu bytes written that are not NumPy's %zu", name, got.len, want.len);
    }
    CHECK_INT(n_files, 31);
    fclose(in);
    ehm_npy x;
    REQUIRE_OK(ehm_npy_read(&x, golden("c_order"), &a, &err), &err);
    CHECK_STR(ehm_npy_shape(&x, shape), "(2, 3, 4)");
    REQUIRE_OK(ehm_npy_read(&x, golden("scalar"), &a, &err), &err);
    CHECK_STR(ehm_npy_shape(&x, shape), "()");
    REQUIRE_OK(ehm_npy_read(&x, golden("one"), &a, &err), &err);
    CHECK_STR(ehm_npy_shape(&x, shape), "(3,)");
    ehm_arena_free(&a);
}

/* A file of version 1 with this dictionary and n bytes of numbers behind it. */
static const char *put(const char *dict, size_t n) {
    static char b[1024];
    size_t len = strlen(dict);
    memcpy(b, "\x93NUMPY\1\0", 8);
    b[8] = (char)(len & 255), b[9] = (char)(len >> 8);
    memcpy(b + 10, dict, len);
    memset(b + 10 + len, 1, n);
    const char *path = in_tmp("x.npy");
    ehm_err err = {0};
    REQUIRE_OK(ehm_file_write(path, b, 10 + len + n, &err), &err);
    return path;
}

TEST(npy, dictionaries) {
    static const char *const fine[] = {
        "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }",
        "{\"shape\":(2,3,),\"descr\":\"<i2\",\"fortran_order\":False}",
        "  { 'fortran_order' :False , 'shape' : ( 2L , 3L ) ,'descr': '=i2' } \t\n",
        "{'descr': 'i2', 'fortran_order': False, 'shape': (2, 3)}   \n",
    };
    static const struct { const char *dict, *part; ehm_code code; } bad[] = {
        {"", "no dictionary", EHM_E_FORMAT},
        {"[1]", "no dictionary", EHM_E_FORMAT},
        {"{", "a broken entry", EHM_E_FORMAT},
        {"{}", "no descr", EHM_E_FORMAT},
        {"{'descr': '<i2', 'fortran_order': False, }", "no shape", EHM_E_FORMAT},
        {"{'descr': '<i2', 'shape': (2, 3), }", "no fortran_order", EHM_E_FORMAT},
        {"{'shape': (2, 3), 'fortran_order': False, }", "no descr", EHM_E_FORMAT},
        {"{'descr': '<i2', 'fortran_order': Maybe, 'shape': (2, 3), }", "fortran_order", EHM_E_FORMAT},
        {"{'descr': '<i2', 'fortran_order': False, 'shape': (2, -3), }", "a broken shape", EHM_E_FORMAT},
        {"{'descr': '<i2', 'fortran_order': False, 'shape': (2 3), }", "a broken shape", EHM_E_FORMAT},
        {"{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3.5), }", "a broken shape", EHM_E_FORMAT},
        {"{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3", "a broken shape", EHM_E_FORMAT},
        {"{'descr': '<i2', 'fortran_order': False, 'shape': 6, }", "no shape", EHM_E_FORMAT},
        {"{'descr': '<i2', 'fortran_order': False, 'shape': (99999999999999999999,), }", "a broken shape", EHM_E_FORMAT},
        {"{'descr': '<i2', 'fortran_order': False, 'shape': (9223372036854775807, 3), }", "beyond all memory", EHM_E_FORMAT},
        {"{'descr': '<i8', 'fortran_order': False, 'shape': (9223372036854775807,), }", "beyond all memory", EHM_E_FORMAT},
        {"{'descr': '<i2', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", "more than 8 dimensions", EHM_E_FORMAT},
        {"{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), } x", "behind the dictionary", EHM_E_FORMAT},
        {"{'descr': '<i2', 'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }", "unknown or doubled", EHM_E_FORMAT},
        {"{'descr': '<i2', 'order': 1, 'fortran_order': False, 'shape': (2, 3), }", "unknown or doubled", EHM_E_FORMAT},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }", "type '|O' are not read", EHM_E_UNSUPPORTED},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (2, 3), }", "type '<c8' are not read", EHM_E_UNSUPPORTED},
        {"{'descr': '<U3', 'fortran_order': False, 'shape': (2, 3), }", "type '<U3' are not read", EHM_E_UNSUPPORTED},
        {"{'descr': '<i3', 'fortran_order': False, 'shape': (2, 3), }", "type '<i3' are not read", EHM_E_UNSUPPORTED},
        {"{'descr': '', 'fortran_order': False, 'shape': (2, 3), }", "type '' are not read", EHM_E_UNSUPPORTED},
        {"{'descr': [('a', '<i2')], 'fortran_order': False, 'shape': (2, 3), }", "records", EHM_E_UNSUPPORTED},
        {"{'descr': '<i2, 'fortran_order': False, 'shape': (2, 3), }", "are not read", EHM_E_UNSUPPORTED},
        {"{'descr': <i2, 'fortran_order': False, 'shape': (2, 3), }", "no descr", EHM_E_FORMAT},
    };
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_npy x;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        REQUIRE_OK(ehm_npy_read(&x, put(fine[i], 12), &a, &err), &err);
        CHECK(x.rank == 2 && x.dim[0] == 2 && x.dim[1] == 3 && ((const int16_t *)x.data)[5] == 257);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_FAILS(ehm_npy_read(&x, put(bad[i].dict, 12), &a, &err), &err, bad[i].code, bad[i].part);
    ehm_arena_free(&a);
}

TEST(npy, broken_files) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_npy x;
    const char *path = in_tmp("x.npy"), *dict = "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }";
    CHECK_FAILS(ehm_npy_read(&x, put(dict, 11), &a, &err), &err, EHM_E_FORMAT, "is cut short; shape (2, 3) of type i2 takes 12 bytes, the file has 11");
    CHECK_FAILS(ehm_npy_read(&x, put(dict, 13), &a, &err), &err, EHM_E_FORMAT, "has trailing bytes");
    CHECK_FAILS(ehm_npy_read(&x, in_tmp("none.npy"), &a, &err), &err, EHM_E_IO, "none.npy");
    CHECK_FAILS(ehm_npy_read(&x, ehm_test_tmp(), &a, &err), &err, EHM_E_IO, "folder");
    REQUIRE_OK(ehm_file_write(path, "", 0, &err), &err);
    CHECK_FAILS(ehm_npy_read(&x, path, &a, &err), &err, EHM_E_FORMAT, "is empty");
    REQUIRE_OK(ehm_file_write(path, "PK\3\4 an .npz", 12, &err), &err);
    CHECK_FAILS(ehm_npy_read(&x, path, &a, &err), &err, EHM_E_FORMAT, "no .npy file");
    REQUIRE_OK(ehm_file_write(path, "\x93NUMPY\4\0\0\0\0\0\0\0", 14, &err), &err);
    CHECK_FAILS(ehm_npy_read(&x, path, &a, &err), &err, EHM_E_FORMAT, "version 1 to 3");
    REQUIRE_OK(ehm_file_write(path, "\x93NUMPY\2\0\0\0\0\x7f{}", 14, &err), &err);
    CHECK_FAILS(ehm_npy_read(&x, path, &a, &err), &err, EHM_E_FORMAT, "version 1 to 3");
    /* Cut anywhere: an error each time, and nothing read behind the end. */
    ehm_bytes all;
    REQUIRE_OK(ehm_file_read(&all, golden("version2"), &a, &err), &err);
    for (size_t n = 0; n < all.len; n++) {
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, all.data, n);
        ehm_err_clear(&err);
        ehm_code rc = ehm_npy_parse(&x, (ehm_bytes){cut, n}, "cut.npy", &a, &err);
        if (rc != EHM_E_FORMAT) ehm_test_fail(__FILE__, __LINE__, "%zu of %zu bytes gave %s", n, all.len, ehm_code_name(rc));
        free(cut);
    }
    ehm_arena small = {.limit_bytes = 64};
    CHECK_FAILS(ehm_npy_read(&x, golden("fortran"), &small, &err), &err, EHM_E_MEMORY, "fortran.npy");
    ehm_arena_free(&small);
    ehm_arena_free(&a);
}

TEST(npy, header_of_one_length) {
    char head[192];
    for (int64_t n = 0; n >= 0 && n < INT64_MAX / 20; n = n * 9 + 1)
        CHECK_INT(ehm_npy_header(head, "<f4", 3, (int64_t[]){n, 196, 768}), 128);
    CHECK_INT(ehm_npy_header(head, "<f4", 0, NULL), 128);
    int64_t big[8];
    for (int i = 0; i < 8; i++) big[i] = INT64_MAX;
    CHECK_INT(ehm_npy_header(head, "<f4", 8, big), 0);
    ehm_err err = {0};
    CHECK_FAILS(ehm_npy_write(in_tmp("a.npy"), "<f4", 1, (int64_t[]){-1}, NULL, &err), &err, EHM_E_ARG, "a.npy");
    CHECK_FAILS(ehm_npy_write(in_tmp("a.npy"), "float", 1, (int64_t[]){1}, NULL, &err), &err, EHM_E_ARG, "a.npy");
    CHECK_FAILS(ehm_npy_write(in_tmp("no/a.npy"), "|u1", 1, (int64_t[]){1}, "x", &err), &err, EHM_E_IO, "no/a.npy");
    CHECK(!ehm_file_exists(in_tmp("a.npy")));
}

/* "-": the file arrives by descriptor 0 and leaves by 1, both pipes here. */
TEST(npy, standard_streams) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_npy x;
    int in[2], out[2], old_in = dup(0), old_out = dup(1);
    fflush(stdout);
    REQUIRE(old_in >= 0 && old_out >= 0 && !pipe(in) && !pipe(out));
    dup2(out[1], 1);
    ehm_code rc = ehm_npy_write("-", "<f8", 2, (int64_t[]){1, 2}, (double[]){0.5, -2}, &err);
    dup2(old_out, 1);
    close(out[1]), close(old_out);
    CHECK_OK(rc, &err);
    char b[512];
    ssize_t n = read(out[0], b, sizeof b);
    CHECK_INT(n, 128 + 16);
    CHECK_INT(write(in[1], b, (size_t)n), n);
    close(in[1]);
    dup2(in[0], 0);
    rc = ehm_npy_read(&x, "-", &a, &err);
    CHECK_OK(rc, &err);
    if (!rc) CHECK(x.rank == 2 && x.count == 2 && ((const double *)x.data)[1] == -2);
    CHECK_FAILS(ehm_npy_read(&x, "-", &a, &err), &err, EHM_E_FORMAT, "standard input: is empty");
    dup2(old_in, 0);
    close(in[0]), close(out[0]), close(old_in);
    ehm_arena_free(&a);
}
