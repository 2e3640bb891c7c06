#include "base/hash.h"
#include "harness.h"

/* FIPS 180-4 examples (csrc.nist.gov, "Cryptographic Standards and Guidelines: Example Values"). */
TEST(hash, sha256_known_answers) {
    char hex[65];
    ehm_sha256_text("abc", 3, hex);
    CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ehm_sha256_text("", 0, hex);
    CHECK_STR(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ehm_sha256_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    CHECK_STR(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *a = malloc(1000000);
    memset(a, 'a', 1000000);
    ehm_sha256_text(a, 1000000, hex);
    free(a);
    CHECK_STR(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(hash, sha256_any_cut) {
    uint8_t data[300];
    char whole[65], parts[65];
    for (int i = 0; i < 300; i++) data[i] = (uint8_t)(i * 7);
    ehm_sha256_text(data, 300, whole);
    for (size_t step = 1; step < 140; step++) {
        ehm_sha256 s;
        uint8_t d[32];
        ehm_sha256_init(&s);
        for (size_t at = 0; at < 300; at += step)
            ehm_sha256_add(&s, data + at, at + step > 300 ? 300 - at : step);
        ehm_sha256_end(&s, d);
        ehm_sha256_hex(d, parts);
        REQUIRE(!strcmp(whole, parts));
    }
}

/* RFC 3720, B.4, and the check value of the CRC catalogue. */
TEST(hash, crc32c_known_answers) {
    uint8_t b[32];
    CHECK_INT(ehm_crc32c("123456789", 9), 0xe3069283u);
    memset(b, 0, 32);
    CHECK_INT(ehm_crc32c(b, 32), 0x8a9136aau);
    memset(b, 0xff, 32);
    CHECK_INT(ehm_crc32c(b, 32), 0x62a8ab43u);
    for (int i = 0; i < 32; i++) b[i] = (uint8_t)i;
    CHECK_INT(ehm_crc32c(b, 32), 0x46dd794eu);
    CHECK_INT(ehm_crc32c(b, 0), 0);
}

TEST(hash, hash64_spreads) {
    enum { N = 1 << 16 };
    unsigned char *seen = calloc(1, N);
    int used = 0;
    for (uint32_t i = 0; i < N; i++) {
        uint64_t h = ehm_hash64(&i, 4, 0);
        used += !seen[h & (N - 1)];
        seen[h & (N - 1)] = 1;
    }
    free(seen);
    CHECK_NEAR((double)used / N, 1 - exp(-1.0), 0.01); /* as balls thrown into bins */
    CHECK(ehm_hash64("abcdefgh1", 9, 0) != ehm_hash64("abcdefgh2", 9, 0));
    CHECK(ehm_hash64("a", 1, 0) != ehm_hash64("a", 1, 1));
    CHECK(ehm_hash64("\0", 1, 0) != ehm_hash64("\0\0", 2, 0));
}
