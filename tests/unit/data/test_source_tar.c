/* Tars: headers of every kind, shards, WebDataset, compressed ones, broken ones. */
#include "make_sets.h"
#if EHM_WITH_ZLIB
#include <zlib.h>
#endif
#if EHM_WITH_ZSTD
#include <zstd.h>
#endif
#if EHM_WITH_LZMA
#include <lzma.h>
#endif

static bytes t; /* the tar under work */

static const char *done(const char *name) {
    put_file(in_tmp(name), t.v, t.n);
    t.n = 0;
    return in_tmp(name);
}
static void start(void) { t.n = 0; }

static void pax(const char *key, const char *value) {
    char record[1024];
    int n = (int)strlen(key) + (int)strlen(value) + 3, len = n + 2; /* LEN SP key=value\n with two digits */
    if (len > 99) len = n + 3;
    snprintf(record, sizeof record, "%d %s=%s\n", len, key, value);
    tar_head(&t, "PaxHeaders/x", 'x', len, NULL);
    tar_data(&t, record, (size_t)len);
}

TEST(source_tar, tree) {
    start();
    tar_ppm(&t, "./b/1.ppm", 20);
    tar_ppm(&t, "/a//1.ppm", 10);
    tar_head(&t, "a", '5', 0, NULL);
    tar_text(&t, "notes.txt", "x");
    tar_ppm(&t, "._junk.ppm", 99);
    tar_ppm(&t, "../../etc/evil.ppm", 99);
    tar_ppm(&t, "a/../evil.ppm", 99);
    tar_end(&t);
    tar_ppm(&t, "after/end.ppm", 99); /* beyond the closing blocks */
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, done("s.tar"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 2);
    CHECK_INT(ehm_dataset_n_classes(ds), 2);
    CHECK_STR(ehm_dataset_name(ds, 0), "a/1.ppm");
    CHECK_INT(first_value(ds, 0), 10);
    CHECK_INT(first_value(ds, 1), 20);
    ehm_data_summary sum;
    REQUIRE_OK(ehm_dataset_summary(ds, &sum, &err), &err);
    CHECK_INT(sum.n_ignored, 4);
    ehm_dataset_close(ds);
}

TEST(source_tar, long_names) {
    char name[300];
    memset(name, 'n', 250);
    memcpy(name, "gnu/", 4);
    strcpy(name + 250, ".ppm");
    start();
    tar_head(&t, "././@LongLink", 'L', 255, NULL);
    tar_data(&t, name, 255);
    tar_ppm(&t, "cut", 1);
    pax("path", "pax/\xc3\xa4.ppm");
    tar_ppm(&t, "cut2", 2);
    uint8_t *b = tar_head(&t, "name.ppm", '0', 12 + 36, NULL); /* ustar prefix */
    memcpy(b + 345, "pre/fix", 7);
    tar_sum(b);
    uint8_t p[256];
    tar_data(&t, p, ppm(p, 4, 3, 3, 3)); /* 11 bytes of header and 36 of pixels; one more byte is padding */
    tar_end(&t);
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, done("s.tar"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 3);
    CHECK_STR(ehm_dataset_name(ds, 0), name);
    CHECK_STR(ehm_dataset_name(ds, 1), "pax/\xc3\xa4.ppm");
    CHECK_STR(ehm_dataset_name(ds, 2), "pre/fix/name.ppm");
    CHECK_INT(first_value(ds, 0), 1);
    CHECK_INT(first_value(ds, 1), 2);
    CHECK_INT(first_value(ds, 2), 3);
    ehm_dataset_close(ds);
}

TEST(source_tar, sizes_links_and_repeats) {
    uint8_t p[256];
    size_t n = ppm(p, 4, 3, 3, 5);
    start();
    pax("size", "47"); /* the header's own size is wrong, pax wins */
    tar_head(&t, "pax.ppm", '0', 1, NULL);
    CHECK_INT(n, 47);
    tar_data(&t, p, n);
    uint8_t *b = tar_head(&t, "binary.ppm", '0', 0, NULL); /* base-256 size */
    memset(b + 124, 0, 12);
    b[124] = 0x80;
    b[135] = (uint8_t)n;
    tar_sum(b);
    tar_data(&t, p, n);
    tar_ppm(&t, "twice.ppm", 6);
    tar_ppm(&t, "twice.ppm", 7); /* appended later: counts */
    tar_head(&t, "sub/hard.ppm", '1', 0, "pax.ppm");
    tar_head(&t, "sub/soft.ppm", '2', 0, "../twice.ppm");
    tar_head(&t, "sub/soft2.ppm", '2', 0, "soft.ppm");
    tar_head(&t, "sub/loop.ppm", '2', 0, "loop.ppm");
    tar_head(&t, "sub/out.ppm", '2', 0, "../../../etc/passwd");
    tar_head(&t, "fifo", '6', 0, NULL);
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, done("s.tar"), &err), &err); /* no closing blocks: accepted */
    CHECK_INT(ehm_dataset_count(ds), 6);
    CHECK_STR(ehm_dataset_name(ds, 1), "pax.ppm");
    CHECK_STR(ehm_dataset_name(ds, 2), "sub/hard.ppm");
    CHECK_INT(first_value(ds, 0), 5);
    CHECK_INT(first_value(ds, 2), 5);
    CHECK_INT(first_value(ds, 3), 7);
    CHECK_INT(first_value(ds, 4), 7);
    CHECK_INT(first_value(ds, 5), 7);
    ehm_dataset_close(ds);
}

TEST(source_tar, broken) {
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    start();
    tar_ppm(&t, "a.ppm", 1);
    tar_ppm(&t, "b.ppm", 1);
    t.n -= 500;
    tar_head(&t, "big.ppm", '0', 1 << 20, NULL);
    t.n = 1024 + 512 + 20; /* cut inside b's data */
    CHECK_FAILS(open_set(&ds, done("cut.tar"), &err), &err, EHM_E_FORMAT, "ends early");
    start();
    tar_ppm(&t, "a.ppm", 1);
    tar_head(&t, "huge.ppm", '0', 0, NULL);
    memset(t.v + t.n - 512 + 124, 0xff, 12); /* base-256, negative */
    tar_sum(t.v + t.n - 512);
    CHECK_FAILS(open_set(&ds, done("neg.tar"), &err), &err, EHM_E_FORMAT, "broken size");
    start();
    tar_ppm(&t, "a.ppm", 1);
    tar_head(&t, "huge.ppm", '0', 077777777777, NULL);
    CHECK_FAILS(open_set(&ds, done("huge.tar"), &err), &err, EHM_E_FORMAT, "ends early");
    start();
    tar_ppm(&t, "a.ppm", 1);
    tar_ppm(&t, "b.ppm", 1);
    t.v[1024] ^= 1;
    CHECK_FAILS(open_set(&ds, done("sum.tar"), &err), &err, EHM_E_FORMAT, "check sum");
    start();
    tar_ppm(&t, "a.ppm", 1);
    tar_head(&t, "s.ppm", 'S', 0, NULL);
    tar_end(&t);
    CHECK_FAILS(open_set(&ds, done("sparse.tar"), &err), &err, EHM_E_UNSUPPORTED, "sparse");
    start();
    pax("GNU.sparse.major", "1");
    tar_ppm(&t, "a.ppm", 1);
    CHECK_FAILS(open_set(&ds, done("sparse1.tar"), &err), &err, EHM_E_UNSUPPORTED, "sparse");
    start();
    tar_head(&t, "x", 'x', 10, NULL);
    tar_data(&t, "99999 path", 10); /* a length beyond the record */
    tar_ppm(&t, "a.ppm", 1);
    CHECK_FAILS(open_set(&ds, done("pax.tar"), &err), &err, EHM_E_FORMAT, "pax header");
    start();
    tar_head(&t, "x", 'L', 2 << 20, NULL);
    t.n = 1 << 19;
    memset(t.v + 512, 'a', t.n - 512);
    CHECK_FAILS(open_set(&ds, done("name.tar"), &err), &err, EHM_E_FORMAT, "ends early");
    start();
    tar_text(&t, "a.txt", "no picture");
    tar_end(&t);
    CHECK_FAILS(open_set(&ds, done("none.tar"), &err), &err, EHM_E_FORMAT, "no pictures");
    put_file(in_tmp("a.zip"), "PK\3\4 and so on, an archive of another kind", 40);
    CHECK_FAILS(open_set(&ds, in_tmp("a.zip"), &err), &err, EHM_E_UNSUPPORTED, "unzip");
}

/* Any flipped byte of a tar's headers is refused or leaves a set that can be read without a fault of memory.
 */
TEST(source_tar, any_byte_may_be_wrong) {
    start();
    pax("path", "a/long.ppm");
    tar_ppm(&t, "cut", 2);
    tar_ppm(&t, "b/1.ppm", 20);
    tar_end(&t);
    static bytes good;
    memcpy(good.v, t.v, t.n);
    good.n = t.n;
    for (size_t i = 0; i < good.n; i += 7) {
        memcpy(t.v, good.v, good.n);
        t.n = good.n;
        t.v[i] ^= (uint8_t)(1 + i % 255);
        if (i % 2) tar_sum(t.v + i / 512 * 512); /* let some through the check sum */
        ehm_dataset *ds = NULL;
        ehm_err err = {0};
        if (open_set(&ds, done("f.tar"), &err)) {
            CHECK(err.what[0] != 0);
            continue;
        }
        for (int64_t k = 0; k < ehm_dataset_count(ds); k++) first_value(ds, k);
        ehm_dataset_close(ds);
    }
}

TEST(source_tar, webdataset) {
    start();
    tar_ppm(&t, "d/001.JPG", 11); /* content decides: a PPM */
    tar_text(&t, "d/001.cls", "2\n");
    tar_text(&t, "d/001.txt", "a red ball\n");
    tar_ppm(&t, "d/000.jpg", 10);
    tar_ppm(&t, "d/000.seg.png", 90);
    tar_text(&t, "d/000.cls", "0");
    tar_ppm(&t, "d/002.x.jpg", 12); /* suffix x.jpg */
    tar_text(&t, "d/002.json", "{\"label\": 1, \"caption\": \"two\"}");
    tar_text(&t, "__meta__", "skip");
    tar_end(&t);
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, done("w.tar"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 3);
    CHECK_INT(ehm_dataset_n_classes(ds), 3);
    CHECK_STR(ehm_dataset_name(ds, 0), "d/000.jpg");
    CHECK_INT(ehm_dataset_label(ds, 0), 0);
    CHECK_INT(ehm_dataset_label(ds, 1), 2);
    CHECK_INT(ehm_dataset_label(ds, 2), 1);
    ehm_arena a = {0};
    ehm_sample s;
    REQUIRE_OK(ehm_dataset_read(ds, 1, &s, EHM_WANT_CAPTION, NULL, &a, &err), &err);
    CHECK_STR(s.caption, "a red ball");
    REQUIRE_OK(ehm_dataset_read(ds, 2, &s, EHM_WANT_CAPTION, NULL, &a, &err), &err);
    CHECK_STR(s.caption, "two");
    CHECK_INT(((uint8_t *)s.image.px)[0], 12);
    ehm_arena_free(&a);
    ehm_dataset_close(ds);

    start(); /* a suffix twice, in either case */
    tar_ppm(&t, "1.jpg", 1);
    tar_text(&t, "1.cls", "0");
    tar_ppm(&t, "1.JPG", 2);
    CHECK_FAILS(open_set(&ds, done("twice.tar"), &err), &err, EHM_E_FORMAT, "twice");
    start();
    tar_ppm(&t, "1.jpg", 1);
    tar_text(&t, "1.cls", "one");
    CHECK_FAILS(open_set(&ds, done("word.tar"), &err), &err, EHM_E_FORMAT, "\"one\"");
    start();
    tar_ppm(&t, "1.jpg", 1);
    tar_text(&t, "1.cls", "99999999999");
    CHECK_FAILS(open_set(&ds, done("large.tar"), &err), &err, EHM_E_FORMAT, "1.cls");
    start(); /* a sample is consecutive members: this cls belongs to nobody */
    tar_ppm(&t, "1.jpg", 1);
    tar_text(&t, "1.txt", "one");
    tar_ppm(&t, "2.jpg", 2);
    tar_text(&t, "1.cls", "0");
    REQUIRE_OK(open_set(&ds, done("apart.tar"), (ehm_err_clear(&err), &err)), &err);
    CHECK_INT(ehm_dataset_n_classes(ds), 0);
    ehm_dataset_close(ds);
}

TEST(source_tar, shards) {
    for (int i = 8; i <= 11; i++) {
        char name[64];
        start();
        snprintf(name, sizeof name, "%06d.ppm", i);
        tar_ppm(&t, name, i);
        snprintf(name, sizeof name, "%06d.cls", i);
        tar_text(&t, name, i % 2 ? "1" : "0");
        tar_end(&t);
        snprintf(name, sizeof name, "sh/set-%03d.tar", i);
        done(name);
    }
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, in_tmp("sh/set-{008..011}.tar"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 4);
    CHECK_INT(ehm_dataset_n_classes(ds), 2);
    CHECK_STR(ehm_dataset_name(ds, 3), "000011.ppm");
    CHECK_INT(ehm_dataset_label(ds, 3), 1);
    CHECK_INT(first_value(ds, 3), 11);
    char hash[65];
    strcpy(hash, ehm_dataset_hash(ds));
    ehm_dataset_close(ds);
    REQUIRE_OK(open_set(&ds, in_tmp("sh"), &err), &err); /* a folder of tars is the same set */
    CHECK_STR(ehm_dataset_hash(ds), hash);
    ehm_dataset_close(ds);
    char both[4096];
    snprintf(both, sizeof both, "%s::%s", in_tmp("sh/set-0{08,10}.tar"), in_tmp("sh/set-009.tar"));
    REQUIRE_OK(open_set(&ds, both, &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 3);
    CHECK_STR(ehm_dataset_name(ds, 1), "000009.ppm"); /* by name, whatever the order of the tars */
    ehm_dataset_close(ds);
    CHECK_FAILS(open_set(&ds, in_tmp("sh/set-{008..013}.tar"), &err), &err, EHM_E_IO, "set-012.tar");
    CHECK_FAILS(open_set(&ds, in_tmp("sh/set-{011..008}.tar"), &err), &err, EHM_E_CONFIG, "backwards");
    CHECK_FAILS(open_set(&ds, in_tmp("sh/set-{0..99999999}.tar"), &err), &err, EHM_E_CONFIG, "1000000");
    CHECK_FAILS(open_set(&ds, in_tmp("sh/set-{x}.tar"), &err), &err, EHM_E_CONFIG, "{x}");
}

TEST(source_tar, shards_that_share_names) {
    start();
    tar_ppm(&t, "cat/1.ppm", 1);
    tar_ppm(&t, "dog/1.ppm", 2);
    done("m/a.tar");
    tar_ppm(&t, "dog/1.ppm", 3);
    done("m/b.tar");
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, in_tmp("m/{a,b}.tar"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 3);
    CHECK_INT(ehm_dataset_n_classes(ds), 2); /* the tars are no classes */
    CHECK_STR(ehm_dataset_name(ds, 2), "b.tar/dog/1.ppm");
    CHECK_INT(ehm_dataset_label(ds, 2), 1);
    CHECK_INT(first_value(ds, 2), 3);
    ehm_dataset_close(ds);
    REQUIRE_OK(open_set(&ds, in_tmp("m/{a,b}.tar#dog"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 2);
    ehm_dataset_close(ds);
}

#if EHM_WITH_ZLIB
static void put_gz(const char *path, const void *data, size_t n) {
    static uint8_t out[1 << 20];
    z_stream z = {0};
    deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = sizeof out;
    CHECK_INT(deflate(&z, Z_FINISH), Z_STREAM_END);
    put_file(path, out, sizeof out - z.avail_out);
    deflateEnd(&z);
}

TEST(source_tar, compressed) {
    char cache[1024], tar[1024];
    snprintf(cache, sizeof cache, "%s", in_tmp("cache/deep"));
    snprintf(tar, sizeof tar, "%s", in_tmp("set.tar.gz"));
    ehm_dataset_opt opt = {.ignore_label = -1, .cache_dir = cache};
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_strs names = {0};
    start();
    tar_ppm(&t, "a/1.ppm", 1);
    tar_ppm(&t, "b/1.ppm", 2);
    tar_end(&t);
    put_gz(tar, t.v, t.n);
    for (int i = 0; i < 2; i++) { /* unpacked once, then found */
        REQUIRE_OK(open_with(&ds, tar, &opt, &err), &err);
        CHECK_INT(ehm_dataset_count(ds), 2);
        CHECK_INT(first_value(ds, 1), 2);
        ehm_dataset_close(ds);
    }
    REQUIRE_OK(ehm_dir_list(&names, cache, &a, &err), &err);
    int n_tar = 0;
    for (int32_t i = 0; i < names.n; i++) n_tar += ehm_ends(names.v[i], ".tar");
    CHECK_INT(n_tar, 1);
    t.v[600] = 77; /* the archive changes: it is unpacked anew, and the old entry goes */
    tar_ppm(&t, "ignored/after/end.ppm", 3);
    put_gz(tar, t.v, t.n);
    REQUIRE_OK(open_with(&ds, tar, &opt, &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 2);
    ehm_dataset_close(ds);
    REQUIRE_OK(ehm_dir_list(&names, cache, &a, &err), &err);
    n_tar = 0;
    for (int32_t i = 0; i < names.n; i++) n_tar += ehm_ends(names.v[i], ".tar");
    CHECK_INT(n_tar, 1);

    ehm_bytes gz; /* cut short: an error, and nothing left behind */
    REQUIRE_OK(ehm_file_read(&gz, tar, &a, &err), &err);
    put_file(in_tmp("cut.tar.gz"), gz.data, gz.len - 20);
    CHECK_FAILS(open_with(&ds, in_tmp("cut.tar.gz"), &opt, &err), &err, EHM_E_FORMAT, "ends early");
    gz.data[gz.len / 2] ^= 0x55;
    put_file(in_tmp("bad.tar.gz"), gz.data, gz.len);
    CHECK_FAILS(open_with(&ds, in_tmp("bad.tar.gz"), &opt, &err), &err, EHM_E_FORMAT, "bad.tar.gz");
    ehm_err_clear(&err);
    REQUIRE_OK(ehm_dir_list(&names, cache, &a, &err), &err);
    for (int32_t i = 0; i < names.n; i++) CHECK(!strstr(names.v[i], "cut") || ehm_ends(names.v[i], ".lock"));
    put_gz(in_tmp("text.gz"), "only a text, no tar at all", 26);
    CHECK_FAILS(open_with(&ds, in_tmp("text.gz"), &opt, &err), &err, EHM_E_FORMAT, "no tar");

    put_text(in_tmp("file"), "not a folder"); /* a cache that cannot be */
    opt.cache_dir = in_tmp("file/cache");
    CHECK_FAILS(open_with(&ds, tar, &opt, &err), &err, EHM_E_IO, "--cache");
    ehm_arena_free(&a);
}

TEST(source_tar, no_cache_folder) {
    char *xdg = getenv("XDG_CACHE_HOME") ? strdup(getenv("XDG_CACHE_HOME")) : NULL,
         *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    start();
    tar_ppm(&t, "a/1.ppm", 1);
    tar_end(&t);
    put_gz(in_tmp("m.tar.gz"), t.v, t.n);
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    bool ok = CHECK_OK(open_set(&ds, in_tmp("m.tar.gz"), &err), &err); /* memory serves */
    if (ok) CHECK_INT(first_value(ds, 0), 1);
    ehm_dataset_close(ds);
    if (xdg) setenv("XDG_CACHE_HOME", xdg, 1);
    if (home) setenv("HOME", home, 1);
    free(xdg);
    free(home);
}
#endif

#if EHM_WITH_ZSTD || EHM_WITH_LZMA
static void other_packing(const char *name, const uint8_t *packed, size_t n) {
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    const ehm_dataset_opt opt = {.ignore_label = -1, .cache_dir = in_tmp("cache")};
    put_file(in_tmp(name), packed, n);
    REQUIRE_OK(open_with(&ds, in_tmp(name), &opt, &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 2);
    CHECK_INT(first_value(ds, 1), 2);
    ehm_dataset_close(ds);
    for (size_t cut = n / 2; cut < n; cut += n / 8 + 1) {
        put_file(in_tmp("cut.tar.x"), packed, cut);
        ehm_err_clear(&err);
        CHECK(open_with(&ds, in_tmp("cut.tar.x"), &opt, &err) != EHM_OK);
        CHECK(ds == NULL && err.what[0] != 0);
    }
}
static void two_pictures(void) {
    start();
    tar_ppm(&t, "a/1.ppm", 1);
    tar_ppm(&t, "b/1.ppm", 2);
    tar_end(&t);
}
#endif

#if EHM_WITH_ZSTD
TEST(source_tar, zstandard) {
    static uint8_t out[1 << 16];
    two_pictures();
    size_t n = ZSTD_compress(out, sizeof out, t.v, t.n, 3);
    REQUIRE(!ZSTD_isError(n));
    other_packing("s.tar.zst", out, n);
}
#endif

#if EHM_WITH_LZMA
TEST(source_tar, xz) {
    static uint8_t out[1 << 16];
    size_t n = 0;
    two_pictures();
    REQUIRE(lzma_easy_buffer_encode(3, LZMA_CHECK_CRC64, NULL, t.v, t.n, out, &n, sizeof out) == LZMA_OK);
    other_packing("s.tar.xz", out, n);
}
#endif
