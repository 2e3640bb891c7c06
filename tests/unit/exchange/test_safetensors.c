#include "base/file.h"
#include "base/json.h"
#include "exchange/safetensors.h"
#include "harness.h"

static char *tmp_path(const char *name) {
    static char path[4][600];
    static int turn;
    char *p = path[turn++ & 3];
    static char dir[512];
    if (strcmp(name, "again")) snprintf(dir, sizeof dir, "%s", ehm_test_tmp());
    snprintf(p, 600, "%s/%s", dir, name);
    return p;
}

/* A file of this header and so many bytes of data. */
static const char *file_of(const char *header, size_t n_data) {
    ehm_err err = {0};
    size_t n = strlen(header);
    uint8_t *b = calloc(1, 8 + n + n_data + 1);
    for (int i = 0; i < 8; i++) b[i] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(b + 8, header, n);
    for (size_t i = 0; i < n_data; i++) b[8 + n + i] = (uint8_t)i;
    char *path = tmp_path("f.safetensors");
    REQUIRE_OK(ehm_file_write(path, b, 8 + n + n_data, &err), &err);
    free(b);
    return path;
}

static void refused(const char *header, size_t n_data, ehm_code code, const char *part) {
    ehm_st *f = NULL;
    ehm_err err = {0};
    CHECK_FAILS(ehm_st_open(&f, file_of(header, n_data), &err), &err, code, part);
    CHECK(!f);
}

static double expected(const ehm_st_tensor *t, int i, int64_t k) {
    int64_t v = (k * 3 + i) % 50;
    return t->dtype == EHM_BOOL ? (double)(v % 2)
           : t->dtype == EHM_F32 || t->dtype == EHM_F64 || t->dtype == EHM_F16 || t->dtype == EHM_BF16
               ? (double)(v - 20) / 8
               : (double)v;
}

TEST(safetensors, file_of_the_reference_library) {
    const char *names[] = {"f32", "f64", "f16", "bf16", "i64", "i32", "i16", "u8", "i8", "bool"};
    const ehm_dtype types[] = {EHM_F32, EHM_F64, EHM_F16, EHM_BF16, EHM_I64,
                               EHM_I32, EHM_I16, EHM_U8,  EHM_I8,   EHM_BOOL};
    ehm_st *f;
    ehm_err err = {0};
    char name[32];
    REQUIRE_OK(ehm_st_open(&f, ehm_test_path("tests/golden/safetensors/mixed.safetensors"), &err), &err);
    CHECK_INT(ehm_st_count(f), 13);
    CHECK_STR(ehm_st_meta_get(f, "who"), "reference library");
    CHECK_STR(ehm_st_meta_get(f, "text"), "quote \" and \xc3\xa9");
    CHECK(!ehm_st_meta_get(f, "none"));
    CHECK_INT(ehm_st_n_meta(f), 2);
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "t.%s", names[i]);
        const ehm_st_tensor *t = ehm_st_find(f, name);
        REQUIRE(t && t->dtype == types[i] && t->rank == 1 && t->dim[0] == 7 + i);
        float v[32];
        if (i < 4) {
            REQUIRE_OK(ehm_st_to_f32(t, v, &err), &err);
            for (int64_t k = 0; k < t->count; k++) CHECK_NEAR(v[k], expected(t, i, k), 0);
        } else {
            CHECK_FAILS(ehm_st_to_f32(t, v, &err), &err, EHM_E_UNSUPPORTED, names[i]);
            for (int64_t k = 0; k < t->count; k++) {
                int64_t x = 0;
                memcpy(&x, (const uint8_t *)t->data + (size_t)k * ehm_dtype_size(t->dtype),
                       ehm_dtype_size(t->dtype));
                CHECK_NEAR((double)x, expected(t, i, k), 0);
            }
        }
    }
    const ehm_st_tensor *m = ehm_st_find(f, "matrix"), *s = ehm_st_find(f, "scalar"),
                        *e = ehm_st_find(f, "empty");
    REQUIRE(m && s && e);
    CHECK(m->rank == 2 && m->dim[0] == 2 && m->dim[1] == 3);
    CHECK(s->rank == 0 && s->count == 1);
    CHECK(e->rank == 2 && e->count == 0 && e->bytes == 0);
    CHECK(!ehm_st_find(f, "absent"));
    CHECK(!ehm_st_at(f, 13) && !ehm_st_at(f, -1));
    ehm_st_close(f);
    ehm_st_close(NULL);
}

TEST(safetensors, round_trip) {
    float a[6] = {1, -2, 3.5f, 0, 1e-30f, -0.0f}, scalar = 7;
    double b[2] = {1.0 / 3, -5};
    uint8_t c[3] = {1, 2, 3};
    uint16_t h[2] = {0x3f80, 0xc000};
    ehm_st_tensor t[] = {
        {.name = "z", .dtype = EHM_U8, .rank = 1, .dim = {3}, .count = 3, .data = c, .bytes = 3},
        {.name = "y", .dtype = EHM_F32, .rank = 2, .dim = {2, 3}, .count = 6, .data = a, .bytes = 24},
        {.name = "x \"q\"", .dtype = EHM_F64, .rank = 1, .dim = {2}, .count = 2, .data = b, .bytes = 16},
        {.name = "e", .dtype = EHM_F32, .rank = 2, .dim = {0, 5}, .count = 0, .data = NULL, .bytes = 0},
        {.name = "s", .dtype = EHM_F32, .rank = 0, .count = 1, .data = &scalar, .bytes = 4},
        {.name = "h", .dtype = EHM_BF16, .rank = 1, .dim = {2}, .count = 2, .data = h, .bytes = 4},
    };
    ehm_st_meta meta[] = {{"k", "v"}};
    ehm_st *f;
    ehm_err err = {0};
    char *path = tmp_path("r.safetensors");
    REQUIRE_OK(ehm_st_write(path, t, 6, meta, 1, &err), &err);
    REQUIRE_OK(ehm_st_open(&f, path, &err), &err);
    CHECK_INT(ehm_st_count(f), 6);
    CHECK_STR(ehm_st_meta_get(f, "format"), "pt");
    CHECK_STR(ehm_st_meta_get(f, "k"), "v");
    CHECK_STR(ehm_st_meta_at(f, 0)->key, "format");
    for (int i = 0; i < 6; i++) {
        const ehm_st_tensor *r = ehm_st_find(f, t[i].name);
        REQUIRE(r && r->dtype == t[i].dtype && r->rank == t[i].rank && r->count == t[i].count &&
                r->bytes == t[i].bytes);
        CHECK(!r->bytes || !memcmp(r->data, t[i].data, r->bytes));
        CHECK((uintptr_t)r->data % ehm_dtype_size(r->dtype) == 0); /* sorted by alignment, header padded */
    }
    const char *order[] = {"x \"q\"", "e", "s", "y", "h", "z"};
    for (int i = 0; i < 6; i++) CHECK_STR(ehm_st_at(f, i)->name, order[i]);
    ehm_st_close(f);
}

TEST(safetensors, same_content_same_bytes) {
    float a[2] = {1, 2};
    ehm_st_tensor t[] = {{.name = "b", .dtype = EHM_F32, .rank = 1, .dim = {2}, .data = a, .bytes = 8},
                         {.name = "a", .dtype = EHM_F32, .rank = 1, .dim = {2}, .data = a, .bytes = 8}};
    ehm_st_tensor u[] = {t[1], t[0]};
    ehm_err err = {0};
    ehm_arena arena = {0};
    ehm_bytes x, y;
    char *p = tmp_path("1"), *q = tmp_path("again");
    REQUIRE_OK(ehm_st_write(p, t, 2, NULL, 0, &err), &err);
    REQUIRE_OK(ehm_st_write(q, u, 2, NULL, 0, &err), &err);
    REQUIRE_OK(ehm_file_read(&x, p, &arena, &err), &err);
    REQUIRE_OK(ehm_file_read(&y, q, &arena, &err), &err);
    CHECK(x.len == y.len && !memcmp(x.data, y.data, x.len));
    ehm_arena_free(&arena);
}

TEST(safetensors, write_refuses) {
    float a[2] = {1, 2};
    ehm_st_tensor t[] = {{.name = "a", .dtype = EHM_F32, .rank = 1, .dim = {2}, .data = a, .bytes = 8},
                         {.name = "a", .dtype = EHM_F32, .rank = 1, .dim = {2}, .data = a, .bytes = 8}};
    ehm_err err = {0};
    char *p = tmp_path("w");
    CHECK_FAILS(ehm_st_write(p, t, 2, NULL, 0, &err), &err, EHM_E_ARG, "two tensors are named \"a\"");
    t[0].bytes = 7;
    CHECK_FAILS(ehm_st_write(p, t, 1, NULL, 0, &err), &err, EHM_E_ARG, "do not agree");
    CHECK(!ehm_file_exists(p));
    t[0].bytes = 8;
    CHECK_FAILS(ehm_st_write("/nowhere/at/all", t, 1, NULL, 0, &err), &err, EHM_E_IO, "/nowhere/at/all");
}

TEST(safetensors, hostile_headers) {
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, EHM_E_FORMAT, "cut short");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9, EHM_E_FORMAT,
            "9 bytes of data, but the tensors hold 8");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,7]}}", 7, EHM_E_FORMAT, "need 8");
    refused(
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
        6, EHM_E_FORMAT, "inside the one before it");
    refused(
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
        4, EHM_E_FORMAT, "inside the one before it");
    refused(
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[5,9]}}",
        9, EHM_E_FORMAT, "after a gap");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[1,5]}}", 5, EHM_E_FORMAT,
            "after a gap");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,0]}}", 4, EHM_E_FORMAT, "not within");
    refused("{\"a\":{\"dtype\":\"Q7\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, EHM_E_FORMAT,
            "unknown dtype \"Q7\"");
    refused("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, EHM_E_UNSUPPORTED,
            "F8_E4M3");
    refused("{\"a\":{\"shape\":[4],\"data_offsets\":[0,4]}}", 4, EHM_E_FORMAT, "no dtype");
    refused("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,4]}}", 4, EHM_E_FORMAT, "no shape");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4, EHM_E_FORMAT, "no data_offsets");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4,4]}}", 4, EHM_E_FORMAT,
            "no data_offsets");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[-4],\"data_offsets\":[0,4]}}", 4, EHM_E_FORMAT,
            "not a size");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4.5],\"data_offsets\":[0,4]}}", 4, EHM_E_FORMAT,
            "not a size");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[\"4\"],\"data_offsets\":[0,4]}}", 4, EHM_E_FORMAT,
            "not a size");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,4],\"data_offsets\":[0,4]}}", 4,
            EHM_E_UNSUPPORTED, "9 dims");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
            EHM_E_FORMAT, "overflows");
    refused("{\"a\":{\"dtype\":\"F64\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0,
            EHM_E_FORMAT, "overflows");
    refused(
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
        8, EHM_E_FORMAT, "a");
    refused("{\"__metadata__\":{\"n\":1}}", 0, EHM_E_FORMAT, "is not a string");
    refused("{\"__metadata__\":[]}", 0, EHM_E_FORMAT, "not an object");
    refused("{\"a\":3}", 0, EHM_E_FORMAT, "not an object");
    refused("[]", 0, EHM_E_FORMAT, "no JSON object");
    refused(" {}", 0, EHM_E_FORMAT, "no JSON object");
    refused("{\"a\":", 0, EHM_E_FORMAT, "f.safetensors");
    refused("{} x", 0, EHM_E_FORMAT, "f.safetensors");
    refused("{\"\xff\":{}}", 0, EHM_E_FORMAT, "f.safetensors");
}

TEST(safetensors, hostile_lengths) {
    ehm_st *f;
    ehm_err err = {0};
    uint8_t b[16] = {0};
    char *path = tmp_path("l");
    REQUIRE_OK(ehm_file_write(path, b, 0, &err), &err);
    CHECK_FAILS(ehm_st_open(&f, path, &err), &err, EHM_E_FORMAT, "0 bytes");
    REQUIRE_OK(ehm_file_write(path, b, 16, &err), &err);
    CHECK_FAILS(ehm_st_open(&f, path, &err), &err, EHM_E_FORMAT, "no JSON object");
    memset(b, 0xff, 8);
    REQUIRE_OK(ehm_file_write(path, b, 16, &err), &err);
    CHECK_FAILS(ehm_st_open(&f, path, &err), &err, EHM_E_FORMAT, "header of 18446744073709551615 bytes");
    memset(b, 0, 8), b[0] = 9;
    REQUIRE_OK(ehm_file_write(path, b, 16, &err), &err);
    CHECK_FAILS(ehm_st_open(&f, path, &err), &err, EHM_E_FORMAT, "cut short");
    CHECK_FAILS(ehm_st_open(&f, "/no/such/file", &err), &err, EHM_E_IO, "/no/such/file");
    CHECK_FAILS(ehm_st_open(&f, "/", &err), &err, EHM_E_FORMAT, "not a regular file");
}

/* Every length of a good file that is cut short, and every byte of its header changed: an error or a file
 * that still holds together. */
TEST(safetensors, cut_and_changed) {
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_bytes whole;
    REQUIRE_OK(ehm_file_read(&whole, ehm_test_path("tests/golden/safetensors/mixed.safetensors"), &a, &err),
               &err);
    char *path = tmp_path("c");
    ehm_st *f;
    for (size_t n = 0; n < whole.len; n += n < 16 ? 1 : 37) {
        REQUIRE_OK(ehm_file_write(path, whole.data, n, &err), &err);
        ehm_err why = {0};
        CHECK(ehm_st_open(&f, path, &why) == EHM_E_FORMAT);
    }
    for (size_t i = 0; i < 600; i += 3) {
        uint8_t old = whole.data[i];
        whole.data[i] ^= (uint8_t)(1 + i % 255);
        REQUIRE_OK(ehm_file_write(path, whole.data, whole.len, &err), &err);
        ehm_err why = {0};
        if (!ehm_st_open(&f, path, &why)) {
            uint64_t sum = 0;
            for (int32_t k = 0; k < ehm_st_count(f); k++)
                for (size_t j = 0; j < ehm_st_at(f, k)->bytes; j++)
                    sum += ((const uint8_t *)ehm_st_at(f, k)->data)[j];
            CHECK(sum > 0);
            ehm_st_close(f);
        } else {
            CHECK(why.what[0]);
        }
        whole.data[i] = old;
    }
    ehm_arena_free(&a);
}
