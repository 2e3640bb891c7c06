#include "base/rng.h"
#include "harness.h"

static void check_philox(const uint32_t ctr[4], const uint32_t key[2], const uint32_t want[4]) {
    uint32_t out[4];
    ehm_philox4x32(out, ctr, key);
    for (int i = 0; i < 4; i++) CHECK_INT(out[i], want[i]);
}

/* Random123 1.14, examples/kat_vectors, the three lines "philox4x32 10". */
TEST(rng, philox_known_answers) {
    check_philox((uint32_t[4]){0, 0, 0, 0}, (uint32_t[2]){0, 0},
                 (uint32_t[4]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    check_philox((uint32_t[4]){~0u, ~0u, ~0u, ~0u}, (uint32_t[2]){~0u, ~0u},
                 (uint32_t[4]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    check_philox((uint32_t[4]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                 (uint32_t[2]){0xa4093822, 0x299f31d0},
                 (uint32_t[4]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST(rng, layout_is_as_documented) {
    ehm_rng r = ehm_rng_of(0x1122334455667788u, EHM_RNG_mask, 9, 0xaabbccdd00112233u);
    for (uint32_t block = 0; block < 3; block++) {
        uint32_t out[4];
        ehm_philox4x32(out, (uint32_t[4]){block, 0x00112233, 9, 0xaabbccdd},
                       (uint32_t[2]){0x55667788, 0x11223344u ^ 4u * 0x9E3779B9u});
        for (int i = 0; i < 4; i++) CHECK_INT(ehm_rng_u32(&r), out[i]);
    }
}

TEST(rng, a_copy_goes_on_alike_and_purposes_differ) {
    ehm_rng a = ehm_rng_of(1, EHM_RNG_test, 2, 3);
    ehm_rng_u32(&a);
    ehm_rng b = a, c = ehm_rng_of(1, EHM_RNG_mask, 2, 3), d = ehm_rng_of(1, EHM_RNG_test, 3, 3),
            e = ehm_rng_of(1, EHM_RNG_test, 2, 4);
    uint64_t v = ehm_rng_u64(&a);
    CHECK(v == ehm_rng_u64(&b));
    CHECK(v != ehm_rng_u64(&c) && v != ehm_rng_u64(&d) && v != ehm_rng_u64(&e));
}

TEST(rng, uniform_range_and_moments) {
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 0, 0);
    enum { N = 200000 };
    double s = 0, s2 = 0, n = 0, n2 = 0, n4 = 0;
    for (int i = 0; i < N; i++) {
        double u = ehm_rng_f64(&r), v = ehm_rng_uniform(&r, -2, 3), g = ehm_rng_normal(&r);
        float f = ehm_rng_f32(&r);
        REQUIRE(u >= 0 && u < 1 && v >= -2 && v < 3 && f >= 0 && f < 1);
        s += u, s2 += u * u, n += g, n2 += g * g, n4 += g * g * g * g;
    }
    /* five standard errors each */
    CHECK_NEAR(s / N, 0.5, 5 * sqrt(1.0 / 12 / N));
    CHECK_NEAR(s2 / N, 1.0 / 3, 5 * sqrt(4.0 / 45 / N));
    CHECK_NEAR(n / N, 0, 5 * sqrt(1.0 / N));
    CHECK_NEAR(n2 / N, 1, 5 * sqrt(2.0 / N));
    CHECK_NEAR(n4 / N, 3, 5 * sqrt(96.0 / N));
}

TEST(rng, below_has_no_bias) {
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 1, 0);
    /* With n = 3 * 2^30 the low third would come up half again as often if bits were only multiplied. */
    enum { N = 60000 };
    int low = 0, low64 = 0;
    for (int i = 0; i < N; i++) {
        uint32_t v = ehm_rng_below(&r, 3u << 30);
        uint64_t w = ehm_rng_below64(&r, (uint64_t)3 << 62);
        REQUIRE(v < 3u << 30 && w < (uint64_t)3 << 62);
        low += v % 3 == 0, low64 += w % 3 == 0;
        REQUIRE(ehm_rng_below(&r, 1) == 0 && ehm_rng_below64(&r, 1) == 0);
    }
    CHECK_NEAR((double)low / N, 1.0 / 3, 5 * sqrt(2.0 / 9 / N));
    CHECK_NEAR((double)low64 / N, 1.0 / 3, 5 * sqrt(2.0 / 9 / N));
}

TEST(rng, shuffle_is_fair) {
    enum { N = 60000 };
    int count[24] = {0};
    for (int i = 0; i < N; i++) {
        ehm_rng r = ehm_rng_of(5, EHM_RNG_test, 2, (uint64_t)i);
        int32_t v[4] = {0, 1, 2, 3};
        int64_t w[4] = {0, 1, 2, 3};
        ehm_rng_shuffle_i32(&r, v, 4);
        ehm_rng_shuffle_i64(&r, w, 4);
        int rank = 0;
        for (int a = 0; a < 4; a++) {
            int smaller = 0;
            for (int b = a + 1; b < 4; b++) smaller += v[b] < v[a];
            rank = rank * (4 - a) + smaller;
        }
        count[rank]++;
        REQUIRE(w[0] + w[1] + w[2] + w[3] == 6);
    }
    double chi2 = 0;
    for (int i = 0; i < 24; i++) chi2 += (count[i] - N / 24.0) * (count[i] - N / 24.0) / (N / 24.0);
    CHECK(chi2 < 49.7); /* 23 degrees of freedom, p = 0.001 */
}
