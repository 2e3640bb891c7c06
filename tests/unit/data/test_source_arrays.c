/* CIFAR, IDX and .npy: pixels in one file. */
#include "make_sets.h"
#if EHM_WITH_ZLIB
#include <zlib.h>
#endif

/* ---- CIFAR ---- */
static void put_cifar(const char *path, int n, int n_label, int first) {
    static uint8_t b[8 * 3074];
    for (int i = 0; i < n; i++) {
        uint8_t *r = b + i * (3072 + n_label);
        r[0] = (uint8_t)(n_label == 1 ? (first + i) % 10 : (first + i) % 20);
        if (n_label == 2) r[1] = (uint8_t)((first + i) * 7 % 100);
        for (int k = 0; k < 3072; k++)
            r[n_label + k] = (uint8_t)(k / 1024 * 50 + (k % 1024 == 33 ? 7 : 0) + i);
    }
    put_file(path, b, (size_t)(n * (3072 + n_label)));
}

TEST(source_cifar, ten) {
    put_cifar(in_tmp("c/data_batch_1.bin"), 3, 1, 4);
    put_cifar(in_tmp("c/data_batch_2.bin"), 2, 1, 0);
    put_cifar(in_tmp("c/test_batch.bin"), 4, 1, 6);
    put_text(in_tmp("c/batches.meta.txt"),
             "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    REQUIRE_OK(open_set(&ds, in_tmp("c"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 9);
    CHECK_INT(ehm_dataset_n_classes(ds), 10);
    CHECK_STR(ehm_dataset_class(ds, 5), "dog");
    CHECK_STR(ehm_dataset_name(ds, 1), "data_batch_1.bin/00001");
    CHECK_INT(ehm_dataset_label(ds, 1), 5);
    CHECK(ehm_dataset_is_u8(ds));
    CHECK_INT(ehm_dataset_channels(ds), 3);
    ehm_arena a = {0};
    ehm_sample s;
    REQUIRE_OK(ehm_dataset_read(ds, 4, &s, 0, NULL, &a, &err), &err); /* record 1 of the second file */
    const uint8_t *px = s.image.px;
    CHECK_INT(px[0], 1);
    CHECK_INT(px[1], 51);
    CHECK_INT(px[2], 101);
    CHECK_INT(px[3 * 33], 8); /* row 1, column 1 */
    ehm_decode_opt crop = {.crop_x = 1, .crop_y = 1, .crop_w = 2, .crop_h = 3};
    REQUIRE_OK(ehm_dataset_read(ds, 4, &s, 0, &crop, &a, &err), &err);
    CHECK_INT(s.image.w, 2);
    CHECK_INT(s.image.h, 3);
    CHECK_INT(((uint8_t *)s.image.px)[0], 8);
    crop.crop_x = 31;
    CHECK_FAILS(ehm_dataset_read(ds, 4, &s, 0, &crop, &a, &err), &err, EHM_E_ARG, "outside");
    ehm_arena_free(&a);
    ehm_dataset_close(ds);
    REQUIRE_OK(open_set(&ds, in_tmp("c#train"), (ehm_err_clear(&err), &err)), &err);
    CHECK_INT(ehm_dataset_count(ds), 5);
    ehm_dataset_close(ds);
    REQUIRE_OK(open_set(&ds, in_tmp("c/test_batch.bin"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 4);
    CHECK_INT(ehm_dataset_label(ds, 0), 6);
    ehm_dataset_close(ds);
    CHECK_FAILS(open_set(&ds, in_tmp("c#val"), &err), &err, EHM_E_CONFIG, "train and test");
    put_text(in_tmp("c/batches.meta.txt"), "one\ntwo\n");
    CHECK_FAILS(open_set(&ds, in_tmp("c"), &err), &err, EHM_E_MISMATCH, "2 classes");
    put_cifar(in_tmp("c/extra.bin"), 2, 2, 0);
    CHECK_FAILS(open_set(&ds, in_tmp("c"), &err), &err, EHM_E_MISMATCH, "CIFAR-100");
}

TEST(source_cifar, hundred_and_hostile) {
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    put_cifar(in_tmp("h/train.bin"), 3, 2, 0);
    put_text(in_tmp("h/data_batch_9.bin"), "not of that size");
    REQUIRE_OK(open_set(&ds, in_tmp("h"), &err), &err);
    CHECK_INT(ehm_dataset_n_classes(ds), 100);
    CHECK_INT(ehm_dataset_label(ds, 2), 14); /* the fine label */
    ehm_dataset_close(ds);
    uint8_t b[3073] = {11};
    put_file(in_tmp("x/wrong.bin"), b, sizeof b); /* label 11: not CIFAR */
    CHECK_FAILS(open_set(&ds, in_tmp("x/wrong.bin"), &err), &err, EHM_E_FORMAT, "no picture");
}

/* ---- IDX ---- */
static size_t idx_head(uint8_t *b, int type, int n_dims, const uint32_t *dim) {
    b[0] = b[1] = 0;
    b[2] = (uint8_t)type;
    b[3] = (uint8_t)n_dims;
    for (int i = 0; i < n_dims; i++) {
        for (int k = 0; k < 4; k++) b[4 + 4 * i + k] = (uint8_t)(dim[i] >> (24 - 8 * k));
    }
    return 4 + 4 * (size_t)n_dims;
}

TEST(source_idx, pictures_and_labels) {
    uint8_t b[256];
    size_t n = idx_head(b, 8, 3, (uint32_t[]){3, 2, 4});
    for (int i = 0; i < 24; i++) b[n + (size_t)i] = (uint8_t)i;
    put_file(in_tmp("m/train-images-idx3-ubyte"), b, n + 24);
    n = idx_head(b, 8, 1, (uint32_t[]){3});
    memcpy(b + n, "\1\0\4", 3);
    put_file(in_tmp("m/train-labels-idx1-ubyte"), b, n + 3);
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    const char *specs[] = {"m", "m#train", "m/train-images-idx3-ubyte"};
    for (int i = 0; i < 3; i++) {
        REQUIRE_OK(open_set(&ds, in_tmp(specs[i]), &err), &err);
        CHECK_INT(ehm_dataset_count(ds), 3);
        CHECK_INT(ehm_dataset_n_classes(ds), 5);
        CHECK_INT(ehm_dataset_label(ds, 2), 4);
        CHECK_INT(ehm_dataset_channels(ds), 1);
        CHECK_INT(first_value(ds, 2), 16);
        ehm_data_summary sum;
        REQUIRE_OK(ehm_dataset_summary(ds, &sum, &err), &err);
        CHECK_INT(sum.max_w, 4);
        CHECK_INT(sum.max_h, 2);
        ehm_dataset_close(ds);
    }
    put_file(in_tmp("m/train-labels-idx1-ubyte"), b, n + 3);
    b[7] = 2; /* one label less */
    put_file(in_tmp("m/train-labels-idx1-ubyte"), b, n + 2);
    CHECK_FAILS(open_set(&ds, in_tmp("m"), &err), &err, EHM_E_MISMATCH, "2 labels");
    CHECK_FAILS(open_set(&ds, in_tmp("m#test"), &err), &err, EHM_E_FORMAT, "test-images");
    CHECK_FAILS(open_set(&ds, in_tmp("m/train-labels-idx1-ubyte"), &err), &err, EHM_E_FORMAT, "1 dimensions");
}

TEST(source_idx, floats_and_hostile) {
    uint8_t b[256];
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    size_t n = idx_head(b, 13, 3, (uint32_t[]){1, 1, 2});
    memcpy(b + n, "\x3f\xc0\0\0\xbf\0\0\0", 8); /* 1.5, -0.5 big-endian */
    put_file(in_tmp("f-images.idx"), b, n + 8);
    REQUIRE_OK(open_set(&ds, in_tmp("f-images.idx"), &err), &err);
    CHECK(!ehm_dataset_is_u8(ds));
    ehm_arena a = {0};
    ehm_sample s;
    REQUIRE_OK(ehm_dataset_read(ds, 0, &s, 0, NULL, &a, &err), &err);
    CHECK(((float *)s.image.px)[0] == 1.5f && ((float *)s.image.px)[1] == -0.5f);
    ehm_arena_free(&a);
    ehm_dataset_close(ds);
    n = idx_head(b, 8, 3, (uint32_t[]){UINT32_MAX, UINT32_MAX, UINT32_MAX});
    put_file(in_tmp("h/x-images-idx3-ubyte"), b, n + 8);
    CHECK_FAILS(open_set(&ds, in_tmp("h"), &err), &err, EHM_E_FORMAT, "its header");
    n = idx_head(b, 8, 3, (uint32_t[]){1000, 28, 28});
    put_file(in_tmp("h/x-images-idx3-ubyte"), b, n + 8);
    CHECK_FAILS(open_set(&ds, in_tmp("h"), &err), &err, EHM_E_FORMAT, "its header says 784016");
#if EHM_WITH_ZLIB
    n = idx_head(b, 8, 3, (uint32_t[]){1000000, 100, 100}); /* ten gigabytes from a few bytes */
    gzFile z = gzopen(in_tmp("h/x-images-idx3-ubyte"), "wb");
    gzwrite(z, b, (unsigned)n + 8);
    gzclose(z);
    CHECK_FAILS(open_set(&ds, in_tmp("h"), &err), &err, EHM_E_FORMAT, "cannot hold");
    n = idx_head(b, 8, 3, (uint32_t[]){4, 4, 4});
    z = gzopen(in_tmp("h/x-images-idx3-ubyte"), "wb");
    gzwrite(z, b, (unsigned)n + 8);
    gzclose(z);
    CHECK_FAILS(open_set(&ds, in_tmp("h"), &err), &err, EHM_E_FORMAT, "holds 24 bytes");
#endif
}

/* ---- npy ---- */
static void put_npy(const char *path, const char *descr, const char *order, const char *shape,
                    const void *data, size_t n_data) {
    static uint8_t b[8192];
    int n = sprintf((char *)b + 10, "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", descr, order,
                    shape);
    while ((n + 11) % 64) b[10 + n++] = ' ';
    b[10 + n++] = '\n';
    memcpy(b, "\x93NUMPY\1\0", 8);
    b[8] = (uint8_t)(n & 255);
    b[9] = (uint8_t)(n >> 8);
    memcpy(b + 10 + n, data, n_data);
    put_file(path, b, 10 + (size_t)n + n_data);
}

TEST(source_npy, types_and_labels) {
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_sample s;
    uint8_t u8[24];
    for (int i = 0; i < 24; i++) u8[i] = (uint8_t)(i * 3);
    put_npy(in_tmp("a.npy"), "|u1", "False", "(2, 2, 2, 3)", u8, 24);
    put_npy(in_tmp("a_labels.npy"), "<i8", "False", "(2,)", (int64_t[]){1, -1}, 16);
    REQUIRE_OK(open_set(&ds, in_tmp("a.npy"), &err), &err);
    CHECK_INT(ehm_dataset_count(ds), 2);
    CHECK_INT(ehm_dataset_channels(ds), 3);
    CHECK_INT(ehm_dataset_n_classes(ds), 2);
    CHECK_INT(ehm_dataset_label(ds, 0), 1);
    CHECK_INT(ehm_dataset_label(ds, 1), -1);
    CHECK_INT(first_value(ds, 1), 36);
    ehm_dataset_close(ds);
    put_npy(in_tmp("b.npy"), "<u2", "False", "(1, 1, 2)", (uint16_t[]){65535, 0}, 4);
    REQUIRE_OK(open_set(&ds, in_tmp("b.npy"), &err), &err);
    CHECK(!ehm_dataset_is_u8(ds));
    CHECK_INT(ehm_dataset_n_classes(ds), 0);
    REQUIRE_OK(ehm_dataset_read(ds, 0, &s, 0, NULL, &a, &err), &err);
    CHECK(((float *)s.image.px)[0] == 1.0f);
    ehm_dataset_close(ds);
    put_npy(in_tmp("c/c.npy"), "<f4", "False", "(2, 1, 1, 5)", (float[]){-3, 2, 1, 0, 9, 1, 1, 1, 1, 1}, 40);
    put_npy(in_tmp("c/labels.npy"), "|u1", "False", "(2,)", "\0\1", 2);
    REQUIRE_OK(open_set(&ds, in_tmp("c/c.npy"), &err), &err);
    CHECK_INT(ehm_dataset_channels(ds), 5);
    REQUIRE_OK(ehm_dataset_read(ds, 0, &s, 0, NULL, &a, &err), &err);
    CHECK(((float *)s.image.px)[0] == -3.0f);
    ehm_data_summary sum;
    REQUIRE_OK(ehm_dataset_summary(ds, &sum, &err), &err);
    CHECK(sum.value_min == -3.0f && sum.value_max == 9.0f);
    CHECK_HAS(sum.text, "from -3 to 9");
    ehm_dataset_close(ds);
    ehm_dataset_opt opt = {.channels = 3, .ignore_label = -1};
    CHECK_FAILS(open_with(&ds, in_tmp("c/c.npy"), &opt, &err), &err, EHM_E_CONFIG, "5 channels");
    ehm_arena_free(&a);
}

TEST(source_npy, hostile) {
    ehm_dataset *ds = NULL;
    ehm_err err = {0};
    uint8_t z[192] = {0};
    put_npy(in_tmp("1.npy"), "|u1", "True", "(2, 2, 2)", z, 8);
    CHECK_FAILS(open_set(&ds, in_tmp("1.npy"), &err), &err, EHM_E_UNSUPPORTED, "ascontiguousarray");
    put_npy(in_tmp("2.npy"), "|O", "False", "(2, 2, 2)", z, 8);
    CHECK_FAILS(open_set(&ds, in_tmp("2.npy"), &err), &err, EHM_E_UNSUPPORTED, "not read");
    put_npy(in_tmp("3.npy"), ">u2", "False", "(2, 2, 2)", z, 16);
    CHECK_FAILS(open_set(&ds, in_tmp("3.npy"), &err), &err, EHM_E_UNSUPPORTED, "little-endian");
    put_npy(in_tmp("4.npy"), "|u1", "False", "(2, 2, 3)", z, 8);
    CHECK_FAILS(open_set(&ds, in_tmp("4.npy"), &err), &err, EHM_E_FORMAT, "needs 12 bytes");
    put_npy(in_tmp("5.npy"), "|u1", "False", "(4294967296, 4294967296, 4294967296)", z, 8);
    CHECK_FAILS(open_set(&ds, in_tmp("5.npy"), &err), &err, EHM_E_FORMAT, "memory");
    put_npy(in_tmp("6.npy"), "|u1", "False", "(2, -1, 3)", z, 8);
    CHECK_FAILS(open_set(&ds, in_tmp("6.npy"), &err), &err, EHM_E_FORMAT, "shape");
    put_npy(in_tmp("7.npy"), "|u1", "False", "(8,)", z, 8);
    CHECK_FAILS(open_set(&ds, in_tmp("7.npy"), &err), &err, EHM_E_FORMAT, "1 dimensions");
    put_npy(in_tmp("8.npy"), "|u1", "False", "(1, 3, 8, 8)", z, 192);
    CHECK_FAILS(open_set(&ds, in_tmp("8.npy"), &err), &err, EHM_E_FORMAT, "transpose");
    put_npy(in_tmp("9.npy"), "<f8", "False", "(1, 2, 2)", z, 32);
    CHECK_FAILS(open_set(&ds, in_tmp("9.npy"), &err), &err, EHM_E_UNSUPPORTED, "float32");
    put_npy(in_tmp("a.npy"), "|u1", "False", "(0, 2, 2)", z, 0);
    CHECK_FAILS(open_set(&ds, in_tmp("a.npy"), &err), &err, EHM_E_FORMAT, "no pictures");
    put_file(in_tmp("b.npy"), "\x93NUMPY\1\0\xff\xff{'descr'", 18);
    CHECK_FAILS(open_set(&ds, in_tmp("b.npy"), &err), &err, EHM_E_IO, "ends early");
    put_npy(in_tmp("c.npy"), "|u1", "False", "(2, 2, 2)", z, 8);
    put_npy(in_tmp("c_labels.npy"), "<i4", "False", "(3,)", z, 12);
    CHECK_FAILS(open_set(&ds, in_tmp("c.npy"), &err), &err, EHM_E_MISMATCH, "3 labels");
    put_npy(in_tmp("c_labels.npy"), "<i4", "False", "(2,)", (int32_t[]){5, 2000000000}, 8);
    CHECK_FAILS(open_set(&ds, in_tmp("c.npy"), &err), &err, EHM_E_FORMAT, "2000000000");
    CHECK_FAILS(open_set(&ds, in_tmp("c.npy#x"), &err), &err, EHM_E_CONFIG, "no parts");
}
