/* The orientation in an EXIF block: both byte orders, every length, and bytes that mean no good. */
#include "base/rng.h"
#include "harness.h"
#include "image/image_int.h"

typedef struct { uint8_t v[128]; size_t n; bool big; } block;

static void put(block *b, uint32_t x, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) b->v[b->n++] = (uint8_t)(x >> 8 * (b->big ? n_bytes - 1 - i : i));
}

/* "Exif", a TIFF header, one directory at `at` of two entries, the second of which is the orientation. */
static block made(bool big, uint32_t at, uint32_t type, uint32_t count, uint32_t value) {
    block b = {.big = big};
    memcpy(b.v, "Exif\0\0", 6);
    memcpy(b.v + 6, big ? "MM" : "II", 2);
    b.n = 8;
    put(&b, 42, 2), put(&b, at, 4);
    while (b.n < 6 + at) b.v[b.n++] = 0xee;
    put(&b, 2, 2);
    put(&b, 0x010f, 2), put(&b, 2, 2), put(&b, 9, 4), put(&b, 999, 4);
    put(&b, 0x0112, 2), put(&b, type, 2), put(&b, count, 4);
    if (type == 3) put(&b, value, 2), put(&b, 0, 2);
    else put(&b, value, 4);
    return b;
}

/* On the heap and not a byte longer: the sanitizers see a look beyond the end. */
static int32_t asked(const uint8_t *v, size_t n) {
    uint8_t *copy = malloc(n ? n : 1);
    REQUIRE(copy);
    memcpy(copy, v, n);
    int32_t o = ehm_exif_orientation(copy, n);
    free(copy);
    return o;
}

TEST(exif, orientation) {
    for (int big = 0; big < 2; big++)
        for (uint32_t o = 1; o <= 8; o++) {
            block near = made(big, 8, 3, 1, o), far = made(big, 50, 4, 1, o);
            CHECK_INT(asked(near.v, near.n), (int32_t)o);
            CHECK_INT(asked(far.v, far.n), (int32_t)o);
            CHECK_INT(asked(near.v, near.n - 1), 0); /* its entry is cut off */
        }
    const struct { uint32_t at, type, count, value; } wrong[] = {{8, 3, 1, 0}, {8, 3, 1, 9}, {8, 3, 2, 6}, {8, 3, 0, 6}, {8, 2, 1, 6}, {8, 4, 1, 0x10006}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        block b = made(i % 2, wrong[i].at, wrong[i].type, wrong[i].count, wrong[i].value);
        CHECK_INT(asked(b.v, b.n), 0);
    }
}

TEST(exif, hostile) {
    block b = made(true, 8, 3, 1, 6);
    for (size_t n = 0; n < b.n; n++) CHECK_INT(asked(b.v, n), 0);
    static const uint32_t offsets[] = {0, 7, 37, 38, 39, 0x7fffffff, 0xfffffffe, 0xffffffff};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        block c = b;
        c.n = 10, put(&c, offsets[i], 4);
        CHECK_INT(asked(c.v, b.n), 0);
    }
    block many = b; /* more entries promised than there are */
    many.n = 14, put(&many, 0xffff, 2);
    CHECK_INT(asked(many.v, b.n), 6);
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 0, 0);
    for (int k = 0; k < 20000; k++) {
        block c = b;
        for (uint32_t i = 0, n = 1 + ehm_rng_below(&r, 4); i < n; i++) c.v[6 + ehm_rng_below(&r, (uint32_t)b.n - 6)] = (uint8_t)ehm_rng_u32(&r);
        int32_t o = asked(c.v, ehm_rng_below(&r, (uint32_t)b.n + 1));
        CHECK(o >= 0 && o <= 8);
    }
}
