#include "base/mem.h"
#include "harness.h"

TEST(mem, zeroed_and_aligned_also_after_reset) {
    ehm_arena a = {0};
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 300; i++) {
            size_t n = (size_t)(i * 37 % 5000);
            unsigned char *p = ehm_arena_alloc(&a, n, 1);
            REQUIRE(p != NULL);
            CHECK((uintptr_t)p % 64 == 0);
            for (size_t k = 0; k < n; k++) REQUIRE(p[k] == 0);
            memset(p, 0xab, n);
        }
        unsigned char *big = ehm_arena_alloc(&a, 9u << 20, 1);
        REQUIRE(big != NULL);
        CHECK(big[0] == 0 && big[(9u << 20) - 1] == 0);
        memset(big, 0xcd, 9u << 20);
        ehm_arena_reset(&a);
        CHECK_INT(a.used_bytes, 0);
    }
    ehm_arena_free(&a);
    ehm_arena_free(&a);
}

TEST(mem, overflow_and_limit_give_null) {
    ehm_arena a = {.limit_bytes = 1000};
    CHECK(ehm_arena_alloc(&a, SIZE_MAX / 2, 3) == NULL);
    CHECK(ehm_arena_alloc(&a, SIZE_MAX, 1) == NULL);
    CHECK(ehm_arena_alloc(&a, 600, 1) != NULL);
    CHECK(ehm_arena_alloc(&a, 600, 1) == NULL);
    CHECK(ehm_arena_alloc(&a, 400, 1) != NULL);
    CHECK_INT(a.used_bytes, 1000);
    ehm_arena_free(&a);
    ehm_arena b = {0};
    CHECK(ehm_arena_alloc(&b, SIZE_MAX - 10, 1) == NULL);
    CHECK(ehm_block_alloc(SIZE_MAX - 10) == NULL);
    CHECK(ehm_arena_alloc(&b, 0, 8) != NULL);
    ehm_arena_free(&b);
}

TEST(mem, reset_keeps_blocks) {
#ifdef EHM_ARENA_DEBUG
    SKIP("each request is its own malloc in this build");
#else
    ehm_arena a = {0};
    void *first[64];
    for (int i = 0; i < 64; i++) first[i] = ehm_arena_alloc(&a, (size_t)i * 4001, 1);
    ehm_arena_reset(&a);
    for (int i = 0; i < 64; i++) CHECK(ehm_arena_alloc(&a, (size_t)i * 4001, 1) == first[i]);
    ehm_arena_free(&a);
#endif
}

TEST(mem, blocks) {
    static const size_t sizes[] = {0, 1, 4095, 1 << 20, (4u << 20) - 1, 4u << 20, (6u << 20) + 123};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *p = ehm_block_alloc(sizes[i]);
        REQUIRE(p != NULL);
        CHECK((uintptr_t)p % 64 == 0);
        if (sizes[i]) CHECK(p[0] == 0 && p[sizes[i] - 1] == 0), p[sizes[i] - 1] = 1;
        ehm_block_free(p, sizes[i]);
    }
    ehm_block_free(NULL, 5);
}

TEST(mem, text) {
    ehm_arena a = {0};
    CHECK_STR(ehm_arena_strdup(&a, "abc"), "abc");
    CHECK_STR(ehm_arena_strndup(&a, "abcdef", 4), "abcd");
    CHECK_STR(ehm_arena_strndup(&a, "ab", 4), "ab");
    CHECK_STR(ehm_arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    ehm_arena_free(&a);
}
