/* RandAugment's operations and the colour jitter against timm, Pillow and torchvision (tools/golden/randaug.py). */
#include "base/file.h"
#include "base/hash.h"
#include "data/augment_int.h"
#include "data/rand_augment_int.h"
#include "harness.h"

/* The formulas of the golden script. */
static void picture(uint8_t *px, int w, int h, int kind) {
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < 3; k++) {
                int v = x * 7 + y * 13 + k * 50 + (x * y) % 31 * 5 + (x / 9 + y / 7) % 2 * 90;
                if (kind == 0) v %= 256;
                else if (kind == 1) v = k == 1 ? 77 : 60 + v % (90 + k * 10);
                else v = (x + 2 * y) % 5 == 0 ? v % 256 : 200;
                *px++ = (uint8_t)v;
            }
}

static const char *golden(const char *name, ehm_arena *a) {
    ehm_bytes text;
    ehm_err err = {0};
    char path[200];
    snprintf(path, sizeof path, "tests/golden/randaug/%s", name);
    REQUIRE_OK(ehm_file_read(&text, ehm_test_path(path), a, &err), &err);
    return (const char *)text.data;
}
static const char *after_line(const char *at) {
    const char *end = strchr(at, '\n');
    return end ? end + 1 : at + strlen(at);
}
static int op_of(const char *name) {
    for (int i = 0; i < EHM_RA_N; i++)
        if (!strcmp(ehm_ra_name(i), name)) return i;
    ehm_test_fail(__FILE__, __LINE__, "no operation %s", name);
    ehm_test_leave();
}
static void hex_of(char *out, const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) sprintf(out + 2 * i, "%02x", p[i]);
}

TEST(rand_augment, levels) {
    ehm_arena a = {0};
    char name[40];
    double level, arg;
    int negate, n = 0;
    const char *at = after_line(golden("levels.csv", &a));
    for (; sscanf(at, "%39[^,],%lf,%d,%lf", name, &level, &negate, &arg) == 4; at = after_line(at), n++) {
        double got = ehm_ra_arg(op_of(name), level, negate);
        if (fabs(got - arg) > 1e-14)
            ehm_test_fail(__FILE__, __LINE__, "%s at %g, %d: %.17g, expected %.17g", name, level, negate, got, arg);
    }
    CHECK_INT(n, EHM_RA_N * 16);
    CHECK(!ehm_ra_name(-1) && !ehm_ra_name(EHM_RA_N));
    ehm_arena_free(&a);
}

TEST(rand_augment, operations_give_the_bytes_of_pillow) {
    static uint8_t px[64 * 64 * 3];
    static char want[8192], got[8192];
    ehm_arena a = {0}, scratch = {0};
    ehm_err err = {0};
    char name[40], how[16];
    double arg;
    int w, h, kind, n = 0, seen[EHM_RA_N] = {0};
    for (const char *at = golden("operations.txt", &a);
         sscanf(at, "%39s %lf %d %d %d %15s %8191s", name, &arg, &w, &h, &kind, how, want) == 7; at = after_line(at), n++) {
        int op = op_of(name);
        ehm_image img = {px, w, h, 3, EHM_U8};
        ehm_arena_reset(&scratch);
        picture(px, w, h, kind);
        REQUIRE_OK(ehm_ra_apply(&img, op, arg, &scratch, &err), &err);
        seen[op]++;
        if (!strcmp(how, "pixels")) {
            hex_of(got, px, (size_t)(w * h * 3));
        } else {
            ehm_sha256 s;
            uint8_t d[32];
            ehm_sha256_init(&s), ehm_sha256_add(&s, px, (size_t)(w * h * 3)), ehm_sha256_end(&s, d);
            ehm_sha256_hex(d, got);
        }
        if (!strcmp(got, want)) continue;
        size_t k = 0;
        while (got[k] == want[k]) k++;
        ehm_test_fail(__FILE__, __LINE__, "%s(%g) on %dx%d, picture %d: differs from byte %zu on", name, arg, w, h, kind,
                      k / 2);
    }
    for (int i = 0; i < EHM_RA_N; i++)
        if (seen[i] < 6) ehm_test_fail(__FILE__, __LINE__, "%s was not tried", ehm_ra_name(i));
    CHECK_INT(n, 276);
    ehm_arena_free(&a), ehm_arena_free(&scratch);
}

TEST(rand_augment, corners) {
    uint8_t px[4 * 3 * 3], was[sizeof px];
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image img = {px, 4, 3, 3, EHM_U8};
    picture(px, 4, 3, 0);
    memcpy(was, px, sizeof px);
    /* No bits are left: black, as Pillow had it before it refused to. */
    REQUIRE_OK(ehm_ra_apply(&img, EHM_RA_PosterizeIncreasing, 0, &a, &err), &err);
    for (size_t i = 0; i < sizeof px; i++) CHECK_INT(px[i], 0);
    /* Pictures of one pixel and of one row go through every operation. */
    for (int op = 0; op < EHM_RA_N; op++)
        for (int h = 1; h < 4; h++) {
            img.w = h == 3 ? 1 : 4, img.h = h == 3 ? 1 : h;
            memcpy(px, was, sizeof px);
            REQUIRE_OK(ehm_ra_apply(&img, op, ehm_ra_arg(op, 9, true), &a, &err), &err);
        }
    CHECK_FAILS(ehm_ra_apply(&img, EHM_RA_N, 0, &a, &err), &err, EHM_E_ARG, "15 operations");
    img.type = EHM_F32;
    ehm_rng r = ehm_rng_of(1, EHM_RNG_rand_augment, 0, 0);
    CHECK_FAILS(ehm_rand_augment(&img, 2, 9, .5, &r, &a, &err), &err, EHM_E_ARG, "8 bits");
    ehm_arena_free(&a);
}

/* Each of two operations is carried out half the time: a quarter of the pictures stay as they are (and those whose
 * operations changed nothing); every draw is its own picture; the same draws give the same picture. */
TEST(rand_augment, draws) {
    enum { N = 2000, BYTES = 16 * 16 * 3 };
    static uint8_t was[BYTES], px[BYTES], again[BYTES];
    ehm_arena a = {0};
    ehm_err err = {0};
    int n_same = 0, n_one = 0;
    picture(was, 16, 16, 1);
    for (int i = 0; i < N; i++) {
        ehm_image img = {px, 16, 16, 3, EHM_U8}, twin = {again, 16, 16, 3, EHM_U8};
        ehm_rng r = ehm_rng_of(7, EHM_RNG_rand_augment, 3, (uint64_t)i), q = r, one = r;
        ehm_arena_reset(&a);
        memcpy(px, was, BYTES), memcpy(again, was, BYTES);
        REQUIRE_OK(ehm_rand_augment(&img, 2, 9, .5, &r, &a, &err), &err);
        REQUIRE_OK(ehm_rand_augment(&twin, 2, 9, .5, &q, &a, &err), &err);
        CHECK(!memcmp(px, again, BYTES));
        n_same += !memcmp(px, was, BYTES);
        memcpy(again, was, BYTES);
        REQUIRE_OK(ehm_rand_augment(&twin, 1, 9, .5, &one, &a, &err), &err);
        n_one += !memcmp(again, was, BYTES);
    }
    CHECK_NEAR(n_same / (double)N, .25, .04);
    CHECK_NEAR(n_one / (double)N, .5, .05);
    ehm_arena_free(&a);
}

TEST(color_jitter, one_change_as_torchvision) {
    static char want[2000], got[2000];
    ehm_arena a = {0};
    ehm_err err = {0};
    char type[8];
    int op, c, w, h, used, n = 0;
    double factor;
    for (const char *at = golden("jitter.txt", &a);
         sscanf(at, "%7s %d %lf %d %d %d %n", type, &op, &factor, &c, &w, &h, &used) == 6; at = after_line(at), n++) {
        uint8_t px[11 * 8 * 3];
        ehm_image img = {px, w, h, 3, EHM_U8}, of;
        picture(px, w, h, 0);
        at += used;
        if (!strcmp(type, "u8")) {
            REQUIRE_OK(ehm_image_channels(&of, &img, c, NULL, &a, &err), &err);
            REQUIRE_OK(ehm_jitter_apply(&of, op, factor, &a, &err), &err);
            sscanf(at, "%1999s", want);
            hex_of(got, of.px, ehm_image_bytes(&of));
            CHECK_STR(got, want);
        } else {
            float v[5 * 4 * 3], t[5 * 4 * 3];
            for (int i = 0; i < w * h * c; i++) v[i] = (float)px[i] / 1024 + .3f, t[i] = strtof(at, (char **)&at);
            of = (ehm_image){v, w, h, c, EHM_F32};
            REQUIRE_OK(ehm_jitter_apply(&of, op, factor, &a, &err), &err);
            CHECK_CLOSE_F32(v, t, w * h * c, 1e-6);
        }
    }
    CHECK_INT(n, 30);
    ehm_arena_free(&a);
}

/* Factors are uniform and every order comes. */
TEST(color_jitter, draws) {
    enum { N = 3000 };
    ehm_arena a = {0};
    ehm_err err = {0};
    double sum = 0, least = 9, most = 0;
    for (int i = 0; i < N; i++) {
        float v = .5f; /* of one grey pixel contrast changes nothing, so what is seen is brightness */
        ehm_image img = {&v, 1, 1, 1, EHM_F32};
        ehm_rng r = ehm_rng_of(2, EHM_RNG_rand_augment, 0, (uint64_t)i);
        REQUIRE_OK(ehm_color_jitter(&img, .4, &r, &a, &err), &err);
        double f = (double)v / .5;
        sum += f, least = f < least ? f : least, most = f > most ? f : most;
    }
    CHECK_NEAR(sum / N, 1, .02);
    CHECK(least > .6 - 1e-6 && least < .601 && most < 1.4 + 1e-6 && most > 1.399);
    ehm_arena_free(&a);
}
