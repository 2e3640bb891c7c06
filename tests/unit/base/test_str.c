#include "base/dtype.h"
#include "base/str.h"
#include "harness.h"

TEST(str, grows) {
    ehm_str s = {0};
    CHECK_STR(ehm_str_c(&s), "");
    for (int i = 0; i < 1000; i++) ehm_str_addf(&s, "%d,", i);
    ehm_str_addc(&s, 'x');
    ehm_str_addn(&s, "yz!", 2);
    CHECK_INT(s.len, strlen(s.s));
    CHECK(ehm_starts(s.s, "0,1,2,") && ehm_ends(s.s, "998,999,xyz"));
    ehm_str_clear(&s);
    CHECK_STR(ehm_str_c(&s), "");
    ehm_str_free(&s);
    CHECK_STR(ehm_str_c(&s), "");
}

TEST(str, ends) {
    CHECK(ehm_ends_nocase("A.JPeG", ".jpeg") && !ehm_ends("A.JPeG", ".jpeg"));
    CHECK(!ehm_ends("g", ".jpg") && ehm_ends("g", "") && !ehm_starts("a", "ab"));
}

TEST(str, nearest) {
    static const char *const keys[] = {"mask_ratio", "batch_size", "blr", "lr", "epochs", "k"};
    CHECK_STR(ehm_nearest("mask_raito", keys, 6), "mask_ratio");
    CHECK_STR(ehm_nearest("batchsize", keys, 6), "batch_size");
    CHECK_STR(ehm_nearest("epoch", keys, 6), "epochs");
    CHECK_STR(ehm_nearest("br", keys, 6), "blr");
    CHECK(ehm_nearest("quantise", keys, 6) == NULL);
    CHECK(ehm_nearest("x", keys, 6) == NULL);
    CHECK(ehm_nearest("", keys, 6) == NULL);
    char many[500];
    memset(many, 'm', 499), many[499] = 0;
    CHECK(ehm_nearest(many, keys, 6) == NULL);
}

TEST(str, whole_numbers) {
    int64_t v = 0;
    CHECK(ehm_parse_i64("-9223372036854775808", &v) && v == INT64_MIN);
    CHECK(ehm_parse_i64("+7", &v) && v == 7);
    static const char *const bad[] = {"",    "-",  " 1", "1 ", "1.0", "0x10", "9223372036854775808",
                                      "1e3", "--1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (ehm_parse_i64(bad[i], &v)) ehm_test_fail(__FILE__, __LINE__, "\"%s\" was taken", bad[i]);
}

TEST(str, decimal_numbers) {
    double d = 0;
    CHECK(ehm_parse_f64("1.5e-4", &d) && d == 1.5e-4);
    CHECK(ehm_parse_f64("-.5", &d) && d == -0.5);
    CHECK(ehm_parse_f64("5.", &d) && d == 5);
    static const char *const bad[] = {"",   "nan",   "inf", "-inf", "0x1p3", " 1",
                                      "1 ", "1e400", "1,5", ".",    "1e",    "--1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (ehm_parse_f64(bad[i], &d)) ehm_test_fail(__FILE__, __LINE__, "\"%s\" was taken", bad[i]);
}

TEST(str, sizes) {
    int64_t v = 0;
    CHECK(ehm_parse_bytes("512M", &v) && v == (int64_t)512 << 20);
    CHECK(ehm_parse_bytes("4G", &v) && v == (int64_t)4 << 30);
    CHECK(ehm_parse_bytes("1e9", &v) && v == 1000000000);
    CHECK(ehm_parse_bytes("3.5GiB", &v) && v == (int64_t)(3.5 * 1073741824.0));
    CHECK(ehm_parse_bytes("0", &v) && v == 0);
    CHECK(ehm_parse_bytes("12 kb", &v) && v == 12288);
    CHECK(ehm_parse_bytes("100B", &v) && v == 100);
    CHECK(!ehm_parse_bytes("-1", &v) && !ehm_parse_bytes("M", &v) && !ehm_parse_bytes("1Q", &v) &&
          !ehm_parse_bytes("1e30", &v));
    CHECK(!ehm_parse_bytes("4Gx", &v) && !ehm_parse_bytes("", &v) && !ehm_parse_bytes("99999999P", &v));
}

TEST(str, formats) {
    char b[32];
    CHECK_STR(ehm_format_bytes(1.25 * 1073741824.0, b), "1.25 GiB");
    CHECK_STR(ehm_format_bytes(768.0 * 1048576, b), "768 MiB");
    CHECK_STR(ehm_format_bytes(512, b), "512 B");
    CHECK_STR(ehm_format_bytes(1023.9 * 1024, b), "1.00 MiB");
    CHECK_STR(ehm_format_seconds(7380, b), "2 h 03 min");
    CHECK_STR(ehm_format_seconds(250, b), "4 min 10 s");
    CHECK_STR(ehm_format_seconds(9.5, b), "9.5 s");
    CHECK_STR(ehm_format_seconds(59.97, b), "1 min 00 s");
    CHECK_STR(ehm_format_seconds(3599.7, b), "1 h 00 min");
    CHECK_STR(ehm_format_seconds(0.25, b), "250 ms");
    CHECK_STR(ehm_format_seconds(86400 * 3 + 3600 * 4, b), "3 d 04 h");
    CHECK_STR(ehm_format_seconds(NAN, b), "unknown");
    CHECK_STR(ehm_format_count(1234567, b), "1,234,567");
    CHECK_STR(ehm_format_count(-1234, b), "-1,234");
    CHECK_STR(ehm_format_count(-123, b), "-123");
    CHECK_STR(ehm_format_count(0, b), "0");
    CHECK_STR(ehm_format_count(INT64_MIN, b), "-9,223,372,036,854,775,808");
}

TEST(str, sorts_by_code_point) {
    const char *v[] = {"\xc3\xa9", "b", "B", "\xf0\x9f\x98\x80", "a10", "a9", "\xef\xbf\xbd"};
    static const char *const want[] = {"B", "a10", "a9", "b", "\xc3\xa9", "\xef\xbf\xbd", "\xf0\x9f\x98\x80"};
    qsort(v, 7, sizeof *v, ehm_strcmp_qsort);
    for (int i = 0; i < 7; i++) CHECK_STR(v[i], want[i]);
}

TEST(dtype, sizes_and_names) {
    static const size_t size[EHM_DTYPE_N] = {4, 2, 8, 4, 8, 1, 2, 2, 1, 2, 4, 8, 1};
    for (int t = 0; t < EHM_DTYPE_N; t++) CHECK_INT(ehm_dtype_size((ehm_dtype)t), size[t]);
    CHECK_STR(ehm_dtype_name(EHM_BF16), "bf16");
    CHECK_STR(ehm_dtype_name(EHM_U64), "u64");
    CHECK_INT(ehm_dtype_size(EHM_DTYPE_N), 0);
}

TEST(dtype, bf16_rounds_to_even) {
    CHECK_INT(ehm_bf16_of(1.0f), 0x3f80);
    CHECK_INT(ehm_bf16_of(1.00390625f), 0x3f80);          /* half a step above even: down */
    CHECK_INT(ehm_bf16_of(1.01171875f), 0x3f82);          /* half a step above odd: up */
    CHECK_INT(ehm_bf16_of(1.0039064f), 0x3f81);
    CHECK_INT(ehm_bf16_of(-3.4e38f), 0xff80);             /* beyond the largest bf16 */
    CHECK_INT(ehm_bf16_of(INFINITY), 0x7f80);
    CHECK(isnan(ehm_f32_of(ehm_bf16_of(NAN))));
    for (uint32_t b = 0; b < 65536; b++)
        if (!isnan(ehm_f32_of((uint16_t)b))) REQUIRE(ehm_bf16_of(ehm_f32_of((uint16_t)b)) == b);
}

TEST(str, parses_sizes) {
    static const char *const bad[] = {"", "x", "64x", "x64", "0", "64x0", "-1x4", "65537", "64x96x3", "64 x 96", "auto", "1111111111111111111111111111111111111164"};
    int32_t h = 5, w = 6;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (ehm_parse_size(bad[i], &h, &w)) ehm_test_fail(__FILE__, __LINE__, "\"%s\" was taken", bad[i]);
        CHECK(h == 5 && w == 6);
    }
    CHECK(ehm_parse_size("64", &h, &w) && h == 64 && w == 64);
    CHECK(ehm_parse_size("64x96", &h, &w) && h == 64 && w == 96);
    CHECK(ehm_parse_size("1X65536", &h, &w) && h == 1 && w == 65536);
}
