#include "data/loader.h"
#include "harness.h"

TEST(order, permutation) {
    static int64_t perm[1000], again[1000], other[1000];
    char seen[1000] = {0};
    ehm_order_fill(perm, 1000, 7, 3);
    for (int i = 0; i < 1000; i++) {
        REQUIRE(perm[i] >= 0 && perm[i] < 1000);
        CHECK(!seen[perm[i]]);
        seen[perm[i]] = 1;
    }
    ehm_order_fill(again, 1000, 7, 3);
    CHECK(!memcmp(perm, again, sizeof perm));
    int same_epoch = 0, same_seed = 0;
    ehm_order_fill(other, 1000, 7, 4);
    for (int i = 0; i < 1000; i++) same_epoch += perm[i] == other[i];
    ehm_order_fill(other, 1000, 8, 3);
    for (int i = 0; i < 1000; i++) same_seed += perm[i] == other[i];
    CHECK(same_epoch < 10 && same_seed < 10); /* one fixed point is expected */
    int64_t one = 5;
    ehm_order_fill(&one, 1, 1, 1);
    CHECK_INT(one, 0);
    ehm_order_fill(NULL, 0, 1, 1);
}

/* Every order of four equally often: chi-square over the 24, 23 degrees of freedom; 70 is beyond 1e-6. */
TEST(order, uniform) {
    int count[256] = {0};
    double chi = 0;
    int orders = 0;
    for (int e = 0; e < 24000; e++) {
        int64_t p[4];
        ehm_order_fill(p, 4, 1, e);
        count[p[0] * 64 + p[1] * 16 + p[2] * 4 + p[3]]++;
    }
    for (int i = 0; i < 256; i++)
        if (count[i]) orders++, chi += (count[i] - 1000.0) * (count[i] - 1000.0) / 1000;
    CHECK_INT(orders, 24);
    if (chi > 70) ehm_test_fail(__FILE__, __LINE__, "chi-square %.1f over 24 orders, expected below 70", chi);
}
