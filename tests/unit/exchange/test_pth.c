#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "exchange/pth_int.h"
#include "harness.h"

typedef struct { uint8_t *p; size_t n; } bytes;

static bytes slurp(const char *rel) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_bytes b = {0};
    REQUIRE_OK(ehm_file_read(&b, ehm_test_path(rel), &a, &err), &err);
    bytes out = {malloc(b.len), b.len}; /* of the exact size, so that a sanitizer sees its end */
    memcpy(out.p, b.data, b.len);
    ehm_arena_free(&a);
    return out;
}

static ehm_code read_bytes(ehm_st **f, bytes b, ehm_err *err) {
    return ehm_pth_read(f, b.p, b.n, "x.pth", NULL, NULL, err);
}

static ehm_st *opened(const char *rel) {
    ehm_st *f = NULL;
    ehm_err err = {0};
    REQUIRE_OK(ehm_pth_open(&f, ehm_test_path(rel), &err), &err);
    return f;
}

/* ---- files of the real library ---- */

static void same_as_reference(const char *rel) {
    ehm_st *f = opened(rel), *want = NULL;
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_bytes text;
    ehm_json *meta;
    REQUIRE_OK(ehm_st_open(&want, ehm_test_path("tests/golden/pth/nested.safetensors"), &err), &err);
    CHECK_INT(ehm_st_count(f), ehm_st_count(want));
    for (int32_t i = 0; i < ehm_st_count(want); i++) {
        const ehm_st_tensor *w = ehm_st_at(want, i), *g = ehm_st_find(f, w->name);
        if (!g) {
            ehm_test_fail(__FILE__, __LINE__, "%s: no tensor %s", rel, w->name);
            continue;
        }
        bool ok = g->dtype == w->dtype && g->rank == w->rank && g->bytes == w->bytes &&
                  g->count == w->count && !memcmp(g->dim, w->dim, (size_t)w->rank * sizeof *w->dim) &&
                  !memcmp(g->data, w->data, w->bytes);
        if (!ok) ehm_test_fail(__FILE__, __LINE__, "%s: %s differs", rel, w->name);
    }
    REQUIRE_OK(ehm_file_read(&text, ehm_test_path("tests/golden/pth/nested.json"), &a, &err), &err);
    REQUIRE_OK(ehm_json_parse(&meta, (const char *)text.data, text.len, "nested.json", &a, &err), &err);
    for (const ehm_json *j = meta->first; j; j = j->next) {
        const char *got = ehm_st_meta_get(f, j->key), *w = j->kind == EHM_JSON_STR ? j->str : NULL;
        if (!got != !w || (w && strcmp(got, w)))
            ehm_test_fail(__FILE__, __LINE__, "%s: %s is %s, expected %s", rel, j->key, got ? got : "absent",
                          w ? w : "absent");
    }
    ehm_arena_free(&a);
    ehm_st_close(want);
    ehm_st_close(f);
}

TEST(pth, zip_of_torch) { same_as_reference("tests/golden/pth/nested_zip.pth"); }
TEST(pth, zip_with_pickle_protocol_4) { same_as_reference("tests/golden/pth/nested_zip4.pth"); }
TEST(pth, zip_without_checksums) { same_as_reference("tests/golden/pth/nested_no_crc.pth"); }
TEST(pth, stream_of_old_torch) { same_as_reference("tests/golden/pth/nested_old.pth"); }
TEST(pth, stream_with_pickle_protocol_5) { same_as_reference("tests/golden/pth/nested_old5.pth"); }

TEST(pth, other_writers_of_zip) {
    const char *files[] = {"small.pth", "small_old.pth", "repacked.pth", "zip64.pth"};
    for (int i = 0; i < 4; i++) {
        char rel[80];
        snprintf(rel, sizeof rel, "tests/golden/pth/%s", files[i]);
        ehm_st *f = opened(rel);
        ehm_err err = {0};
        float w[6], want[6] = {0, 1, 2, 3, 4, 5};
        REQUIRE(ehm_st_count(f) == 2);
        CHECK_STR(ehm_st_at(f, 0)->name, "w"); /* the file's order */
        REQUIRE(ehm_st_at(f, 0)->count == 6);
        CHECK_OK(ehm_st_to_f32(ehm_st_at(f, 0), w, &err), &err);
        CHECK(!memcmp(w, want, sizeof w));
        ehm_st_close(f);
    }
}

TEST(pth, names_of_what_is_no_dict) {
    ehm_st *f = opened("tests/golden/pth/bare.pth");
    CHECK(ehm_st_find(f, "tensor"));
    ehm_st_close(f);
    f = opened("tests/golden/pth/list.pth");
    CHECK(ehm_st_find(f, "0") && ehm_st_find(f, "1.k"));
    ehm_st_close(f);
    f = opened("tests/golden/pth/unsigned.pth");
    const ehm_st_tensor *t = ehm_st_find(f, "u16"), *u = ehm_st_find(f, "u64");
    REQUIRE(t && u);
    CHECK(t->dtype == EHM_U16 && !memcmp(t->data, "\1\0\377\377", 4));
    CHECK(u->dtype == EHM_U64 && !memcmp(u->data, "\377\377\377\377\377\377\377\377", 8));
    ehm_st_close(f);
}

TEST(pth, objects_without_weights_are_passed_over) {
    ehm_st *f = opened("tests/golden/pth/hydra.pth");
    CHECK_INT(ehm_st_count(f), 2);
    CHECK(ehm_st_find(f, "state_dict.w"));
    ehm_st_close(f);
}

TEST(pth, contiguous_tensors_stay_in_the_file) {
    bytes b = slurp("tests/golden/pth/nested_zip.pth");
    ehm_st *f = NULL;
    ehm_err err = {0};
    REQUIRE_OK(read_bytes(&f, b, &err), &err);
    const char *inside[] = {"model.f32", "model.row", "model.parameter", "model.odd_strides", "model.i32"},
               *built[] = {"model.transposed", "model.expanded"};
    for (int i = 0; i < 5; i++) {
        const ehm_st_tensor *t = ehm_st_find(f, inside[i]);
        REQUIRE(t);
        CHECK((const uint8_t *)t->data >= b.p && (const uint8_t *)t->data + t->bytes <= b.p + b.n);
    }
    for (int i = 0; i < 2; i++) {
        const uint8_t *p = ehm_st_find(f, built[i])->data;
        CHECK(p < b.p || p >= b.p + b.n);
    }
    CHECK(ehm_st_find(f, "model.f32")->data == ehm_st_find(f, "model.same")->data);
    ehm_st_close(f);
    free(b.p);
}

TEST(pth, files_of_other_tools) {
    static const struct { const char *rel, *name; int n;
    } files[] = {
        {"mae_full/mae_full.pth", "model.decoder_blocks.0.mlp.fc2.bias", 51},
        {"mae_encoder/mae_encoder.pth", "model.blocks.1.attn.qkv.weight", 30},
        {"mmpretrain/epoch_2.pth", "state_dict.backbone.layers.1.ffn.layers.0.0.weight", 52},
        {"solo_learn/mae-cifar10-ep=1.ckpt", "state_dict.classifier.bias", 53},
        {"torchvision/vit.pth", "encoder.ln.weight", 32},
        {"lightly/model.pt", "backbone.vit.cls_token", 51},
        {"timm_pth/model.pth", "head.bias", 32},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char rel[120];
        snprintf(rel, sizeof rel, "tests/golden/exchange/%s", files[i].rel);
        ehm_st *f = opened(rel);
        CHECK_INT(ehm_st_count(f), files[i].n);
        if (!ehm_st_find(f, files[i].name))
            ehm_test_fail(__FILE__, __LINE__, "%s has no %s", rel, files[i].name);
        if (!i) CHECK_STR(ehm_st_meta_get(f, "args.norm_pix_loss"), "true");
        if (!i) CHECK_STR(ehm_st_meta_get(f, "epoch"), "3");
        ehm_st_close(f);
    }
}

TEST(pth, refused_by_name) {
    static const struct { const char *file, *part; ehm_code code;
    } files[] = {
        {"command.pth", "\"posix.system\"", EHM_E_FORMAT},
        {"command_old.pth", "nothing was executed", EHM_E_FORMAT},
        {"command.pth", "do not load this file in Python", EHM_E_FORMAT},
        {"module.pth", "torch.nn.modules.linear.Linear", EHM_E_FORMAT},
        {"module.pth", "state_dict", EHM_E_FORMAT},
        {"sparse.pth", "sparse", EHM_E_UNSUPPORTED},
        {"complex.pth", "complex", EHM_E_UNSUPPORTED},
        {"float8.pth", "float8_e4m3fn", EHM_E_UNSUPPORTED},
        {"negative.pth", "negative", EHM_E_UNSUPPORTED},
        {"script.pt", "TorchScript", EHM_E_UNSUPPORTED},
        {"deflated.pth", "compressed (deflate, 8)", EHM_E_UNSUPPORTED},
        {"big_endian.pth", "big endian", EHM_E_UNSUPPORTED},
        {"plain.pkl", "none of torch.save", EHM_E_FORMAT},
        {"nested.safetensors", "neither a zip nor a pickle", EHM_E_FORMAT},
        {"absent.pth", "cannot be opened", EHM_E_IO},
        {"", "not a regular file", EHM_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char rel[80];
        ehm_st *f = NULL;
        ehm_err err = {0};
        snprintf(rel, sizeof rel, "tests/golden/pth/%s", files[i].file);
        CHECK_FAILS(ehm_pth_open(&f, ehm_test_path(rel), &err), &err, files[i].code, files[i].part);
        CHECK(!f);
    }
}

TEST(pth, claims_by_content) {
    bytes a = slurp("tests/golden/pth/small.pth"), b = slurp("tests/golden/pth/small_old.pth"),
          c = slurp("tests/golden/pth/nested.safetensors");
    CHECK(ehm_pth_claims(a.p, 64) && ehm_pth_claims(b.p, 64) && !ehm_pth_claims(c.p, 64));
    CHECK(!ehm_pth_claims(a.p, 3) && !ehm_pth_claims("\x89PNG", 4) && !ehm_pth_claims("", 0));
    free(a.p), free(b.p), free(c.p);
}

/* ---- pickles by hand, in the stream of old torch ---- */

#define P(s) s, sizeof(s) - 1
#define MAGIC "\x80\2\x8a\xal\xfc\x9c" "F\xf9 j\xa8P\x19." "\x80\2M\xe9\3." "\x80\2}."
/* a storage of numel float32 under the name "k", and a tensor of it */
#define STORAGE(numel) "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0kX\3\0\0\0cpu" numel "tQ"
#define TENSOR(numel, rest) "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE(numel) rest "\x89}tR"

static ehm_code read_object(const char *object, size_t n, const char *tail, size_t n_tail, ehm_st **f,
                            ehm_err *err) {
    bytes b = {NULL, sizeof MAGIC - 1 + 2 + n + 1 + n_tail};
    b.p = malloc(b.n);
    uint8_t *p = b.p;
    memcpy(p, MAGIC, sizeof MAGIC - 1), p += sizeof MAGIC - 1;
    memcpy(p, "\x80\2", 2), p += 2;
    memcpy(p, object, n), p += n;
    *p++ = '.';
    memcpy(p, tail, n_tail);
    return ehm_pth_read(f, b.p, b.n, "x.pth", b.p, free, err);
}
#define NO_KEYS "\x80\2]."
#define KEYS "\x80\2]X\1\0\0\0ka."

static void object_refused(const char *object, size_t n, const char *tail, size_t n_tail, ehm_code code,
                           const char *part, int line) {
    ehm_st *f = NULL;
    ehm_err err = {0};
    char text[EHM_ERR_TEXT];
    ehm_code rc = read_object(object, n, tail, n_tail, &f, &err);
    ehm_err_text(&err, text);
    if (rc != code || !strstr(text, part))
        ehm_test_fail(__FILE__, line, "gave %s, expected %s with \"%s\": %s", ehm_code_name(rc),
                      ehm_code_name(code), part, text);
    if (rc) CHECK(!f);
    ehm_st_close(f);
}
#define REFUSED(object, part) object_refused(P(object), P(NO_KEYS), EHM_E_FORMAT, part, __LINE__)
#define REFUSED_AS(object, code, part) object_refused(P(object), P(NO_KEYS), code, part, __LINE__)
#define REFUSED_TENSOR(object, code, part)                                                                   \
    object_refused(P(object),                                                                                \
                   P(KEYS "\4\0\0\0\0\0\0\0"                                                                 \
                          "0123456789abcdef"),                                                               \
                   code, part, __LINE__)

TEST(pth, hostile_instructions) {
    ehm_st *f = NULL;
    ehm_err err = {0};
    CHECK_OK(read_object(P("}"), P(NO_KEYS), &f, &err), &err); /* the frame around the rest is sound */
    ehm_st_close(f);
    REFUSED("\xff", "0xff is no pickle instruction");
    REFUSED("I1\n", "the pickle instruction INT");
    REFUSED("(cos\nsystem\no", "os.system");
    REFUSED("(ios\nsystem\n", "INST");
    REFUSED("\x97", "NEXT_BUFFER");
    REFUSED("0", "empty stack");
    REFUSED("a", "empty stack");
    REFUSED("R", "empty stack");
    REFUSED("]u", "there is no mark");
    REFUSED("t", "there is no mark");
    REFUSED("(", "ends with 0 objects");
    REFUSED("NN", "ends with 2 objects");
    REFUSED("}K\1K\2K\3", "ends with 4 objects");
    REFUSED("}(K\1u", "no value");
    REFUSED("NK\1a", "no list");
    REFUSED("}q\0h\1", "memo slot 1 is empty");
    REFUSED("}r\xff\xff\xff\xff", "memo slot 4294967295");
    REFUSED("j\xff\xff\xff\x7f", "is empty");
    REFUSED("X\xff\xff\xff\xff", "needs 4294967295 bytes");
    REFUSED("\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "needs 18446744073709551615 bytes");
    REFUSED("\x8b\xff\xff\xff\xff", "needs 4294967295 bytes");
    REFUSED("\x95\xff\xff\xff\xff\xff\xff\xff\xff", "a frame of");
    REFUSED("X\2\0\0\0\xc3(", "no UTF-8");
    REFUSED("X\3\0\0\0\xed\xa0\x80", "no UTF-8");
    REFUSED("X\2\0\0\0\xc0\x80", "no UTF-8");
    REFUSED("cposix", "does not end");
    REFUSED("}K\1R", "arguments that are no tuple");
    REFUSED("})R", "calls what is no name");
    REFUSED("K\1K\2\x93", "a name that is no string");
    REFUSED("\x8c\5posix\x8c\6system\x93", "posix.system");
    REFUSED("cevil\nOrderedDict\n", "evil.OrderedDict"); /* a name is allowed in its module alone */
    REFUSED("ctorch._utils\nsystem\n", "torch._utils.system");
    REFUSED("c__builtin__\neval\n", "do not load this file");
    REFUSED("ctorch\nfloat32\n)R", "only names a type");
    REFUSED("ctorch\nFloatStorage\n)R", "only names a type");
    REFUSED("K\1}b", "a state to what has none");
    REFUSED("K\1Q", "no storage");
    REFUSED(")Q", "no storage");
    REFUSED("(X\7\0\0\0storageNNNNtQ", "no storage");
    REFUSED_AS("(X\6\0\0\0modulectorch\nfloat32\nNNtQ", EHM_E_UNSUPPORTED, "a whole module");
    REFUSED("ccollections\nOrderedDict\n(](K\1K\2etR", "no pairs");
    REFUSED("cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\nX\2\0\0\0f8\x85RC\2abtR", "a number of 2 bytes");
    REFUSED_AS("\x80\1", EHM_E_UNSUPPORTED, "protocol 1");
    REFUSED("cx\x1b[31m\ny\n", "\"x?[31m.y\""); /* nothing of it reaches a terminal */
}

TEST(pth, what_holds_itself) {
    REFUSED("]q\0h\0a", "holds itself");
    REFUSED("}q\0X\1\0\0\0ah\0s", "holds itself");
    REFUSED("cargparse\nNamespace\n)\x81q\0}X\1\0\0\0ah\0sb", "\"a\" holds itself");
    REFUSED("]q\0h\0\x85q\1a", "holds itself");
}

TEST(pth, bombs) {
    static char deep[4000], laugh[4000], marks[40000];
    size_t n = 0;
    for (int i = 0; i < 70; i++) deep[n++] = ']';
    for (int i = 1; i < 70; i++) deep[n++] = 'a';
    object_refused(deep, n, P(NO_KEYS), EHM_E_FORMAT, "deeper than 64", __LINE__);
    n = 0;
    laugh[n++] = ']', laugh[n++] = 'q', laugh[n++] = 0;
    for (int i = 1; i < 50; i++) { /* each holds the one before twice: 2^49 at the end */
        memcpy(laugh + n, "](", 2), n += 2;
        for (int k = 0; k < 2; k++) laugh[n++] = 'h', laugh[n++] = (char)(i - 1);
        memcpy(laugh + n, "eq", 2), n += 2;
        laugh[n++] = (char)i;
    }
    memcpy(laugh + n, "(", 1), n++; /* the others are still on the stack: into a mark and away */
    memcpy(laugh + n, "1", 1), n++;
    for (int i = 0; i < 49; i++) laugh[n++] = '0';
    memcpy(laugh + n, "0h1", 3), n += 3; /* slot 49 */
    object_refused(laugh, n, P(NO_KEYS), EHM_E_FORMAT, "too many values, by lists", __LINE__);
    memset(marks, '(', sizeof marks);
    object_refused(marks, sizeof marks, P(NO_KEYS), EHM_E_FORMAT, "open marks", __LINE__);
    /* a dict of 1,000 copied over and over */
    size_t cap = 5000 + 40 * 3000;
    char *copy = malloc(cap);
    n = 0;
    memcpy(copy, "ccollections\nCounter\nq\0" "0}(", 26), n = 26;
    for (int i = 0; i < 1000; i++)
        copy[n++] = 'M', copy[n++] = (char)(i & 255), copy[n++] = (char)(i >> 8), copy[n++] = 'N';
    copy[n++] = 'u', copy[n++] = 'q', copy[n++] = 1;
    for (int i = 0; i < 3000; i++) memcpy(copy + n, "h\0h\1\x85R0", 7), n += 7;
    copy[n++] = '0';
    object_refused(copy, n, P(NO_KEYS), EHM_E_FORMAT, "more than 2000000 objects", __LINE__);
    free(copy);
    /* a million numbers are none */
    char *many = malloc(5000000);
    n = 0;
    for (int i = 0; i < 2000001; i++) many[n++] = 'K', many[n++] = 1;
    object_refused(many, n, P(NO_KEYS), EHM_E_FORMAT, "more than 2000000 objects", __LINE__);
    free(many);
}

TEST(pth, hostile_tensors) {
    ehm_st *f = NULL;
    ehm_err err = {0};
    CHECK_OK(read_object(P(TENSOR("K\4", "K\0K\2K\2\x86K\2K\1\x86")),
                         P(KEYS "\4\0\0\0\0\0\0\0"
                                "0123456789abcdef"),
                         &f, &err),
             &err);
    ehm_st_close(f);
    REFUSED_TENSOR(TENSOR("K\4", "K\1K\2K\2\x86K\2K\1\x86"), EHM_E_FORMAT, "reads outside its storage");
    REFUSED_TENSOR(TENSOR("K\4", "K\0K\2\x85K\4\x85"), EHM_E_FORMAT, "reads outside its storage");
    REFUSED_TENSOR(TENSOR("K\4", "J\xff\xff\xff\xffK\2\x85K\1\x85"), EHM_E_FORMAT, "an offset");
    REFUSED_TENSOR(TENSOR("K\4", "K\0J\xff\xff\xff\xff\x85K\1\x85"), EHM_E_FORMAT, "a dim");
    REFUSED_TENSOR(TENSOR("K\4", "K\3K\2\x85J\xff\xff\xff\xff\x85"), EHM_E_FORMAT, "a stride");
    REFUSED_TENSOR(TENSOR("K\4", "K\0K\2\x85K\1K\1\x86"), EHM_E_FORMAT, "do not fit together");
    REFUSED_TENSOR(TENSOR("K\4", "K\0\x8a\x8\0\0\0\0\0\0\0\x40K\4\x86K\0K\0\x86"), EHM_E_FORMAT,
                   "shape overflows");
    REFUSED_TENSOR(TENSOR("K\4", "K\0K\2\x85\x8a\x8\xff\xff\xff\xff\xff\xff\xff\x7f\x85"), EHM_E_FORMAT,
                   "reads outside its storage");
    REFUSED_TENSOR(TENSOR("K\4", "\x8a\x8\xff\xff\xff\xff\xff\xff\xff\x7fK\1\x85K\1\x85"), EHM_E_FORMAT,
                   "reads outside its storage");
    REFUSED_TENSOR(TENSOR("K\4", "\x8a\x9\xff\xff\xff\xff\xff\xff\xff\xff\0K\1\x85K\1\x85"), EHM_E_FORMAT,
                   "an offset");
    REFUSED_TENSOR(TENSOR("K\4", "K\0(K\1K\1K\1K\1K\1K\1K\1K\1K\1t(K\1K\1K\1K\1K\1K\1K\1K\1K\1t"),
                   EHM_E_UNSUPPORTED, "9 dims");
    REFUSED_TENSOR(TENSOR("K\4", "K\0J\0\0\0\x40\x85K\0\x85"), EHM_E_FORMAT, "repeats its numbers");
    REFUSED_TENSOR("ctorch._utils\n_rebuild_tensor_v2\n(}K\0))\x89}tR", EHM_E_FORMAT, "without its storage");
    REFUSED_TENSOR(TENSOR("J\xff\xff\xff\xff", "K\0K\2\x85K\1\x85"), EHM_E_FORMAT, "of -1 values");
    REFUSED_TENSOR(TENSOR("\x8a\x8\xff\xff\xff\xff\xff\xff\xff\x7f", "K\0K\2\x85K\1\x85"), EHM_E_FORMAT,
                   "storage \"k\" of");
    REFUSED_TENSOR(TENSOR("K\5", "K\0K\2\x85K\1\x85"), EHM_E_FORMAT, "has 4 values, but 5");
    object_refused(P(TENSOR("K\4", "K\0K\2\x85K\1\x85")), P(NO_KEYS), EHM_E_FORMAT, "is not in the file",
                   __LINE__);
    object_refused(P("}"), P(KEYS), EHM_E_FORMAT, "no tensor speaks of it", __LINE__);
    object_refused(P(TENSOR("K\4", "K\0K\2\x85K\1\x85")),
                   P("\x80\2](X\1\0\0\0kX\1\0\0\0ke.\4\0\0\0\0\0\0\0"
                     "0123456789abcdef\4\0\0\0\0\0\0\0"
                     "0123456789abcdef"),
                   EHM_E_FORMAT, "listed twice", __LINE__);
    object_refused(P(TENSOR("K\4", "K\0K\2\x85K\1\x85")),
                   P(KEYS "\4\0\0\0\0\0\0\0"
                          "0123456789abcde"),
                   EHM_E_FORMAT, "cut short", __LINE__);
    object_refused(P(TENSOR("K\4", "K\0K\2\x85K\1\x85")), P(KEYS "\4\0\0\0\0\0\0"), EHM_E_FORMAT, "cut short",
                   __LINE__);
    /* {"a.b": t, "a": {"b": t}} */
    REFUSED_TENSOR("}(X\3\0\0\0a.b" TENSOR("K\4", "K\0K\2\x85K\1\x85") "q\0X\1\0\0\0a}X\1\0\0\0bh\0su",
                   EHM_E_FORMAT, "two tensors are named \"a.b\"");
    REFUSED_TENSOR("}X\3\0\0\0a\0b" TENSOR("K\4", "K\0K\2\x85K\1\x85") "s", EHM_E_FORMAT, "which is no name");
}

TEST(pth, older_ways_to_write_the_same) {
    static const float want[2] = {2, 3};
    static const char keys[] = KEYS "\4\0\0\0\0\0\0\0"
                                    "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40"; /* 1 2 3 4 */
    ehm_st *f = NULL;
    ehm_err err = {0};
    /* Python 2: pairs in lists, and strings that are bytes */
    REQUIRE_OK(read_object(P("ccollections\nOrderedDict\n(](](U\1aK\7e](T\2\0\0\0bbU\2hieetR"), P(NO_KEYS),
                           &f, &err),
               &err);
    CHECK_STR(ehm_st_meta_get(f, "a"), "7");
    CHECK_STR(ehm_st_meta_get(f, "bb"), "hi");
    ehm_st_close(f);
    /* a storage that is a view of another: from its value 1 on, 2 values; and a tensor without hooks */
    REQUIRE_OK(read_object(P("ctorch._utils\n_rebuild_tensor\n(" STORAGE(
                               "K\4(X\1\0\0\0vK\1K\2t") "K\0K\2\x85K\1\x85tR"),
                           keys, sizeof keys - 1, &f, &err),
               &err);
    CHECK(ehm_st_at(f, 0)->bytes == 8 && !memcmp(ehm_st_at(f, 0)->data, want, 8));
    ehm_st_close(f);
    CHECK_FAILS(
        read_object(P(TENSOR("K\4(X\1\0\0\0vK\1K\2t", "K\1K\2\x85K\1\x85")), keys, sizeof keys - 1, &f, &err),
        &err, EHM_E_FORMAT, "reads outside its storage");
    CHECK_FAILS(
        read_object(P(TENSOR("K\4(X\1\0\0\0vK\3K\2t", "K\0K\2\x85K\1\x85")), keys, sizeof keys - 1, &f, &err),
        &err, EHM_E_FORMAT, "outside the storage");
    /* a tensor with attributes */
    REQUIRE_OK(read_object(P("ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_"
                             "v2\nctorch\nTensor\n(" STORAGE("K\4") "K\1K\2\x85K\1\x85\x89}t}tR"),
                           keys, sizeof keys - 1, &f, &err),
               &err);
    CHECK(!memcmp(ehm_st_at(f, 0)->data, want, 8));
    ehm_st_close(f);
}

/* {"a": {0: 0, 1: 1, ... 299: 299}, "z": 7}: what is nearer to the outside is kept first. */
TEST(pth, metadata_is_bounded) {
    char object[3000] = "}X\1\0\0\0a}(";
    size_t n = 9;
    ehm_st *f = NULL;
    ehm_err err = {0};
    for (int i = 0; i < 300; i++)
        for (int k = 0; k < 2; k++)
            object[n++] = 'M', object[n++] = (char)(i & 255), object[n++] = (char)(i >> 8);
    memcpy(object + n, "usX\1\0\0\0zK\7s", 11), n += 11;
    REQUIRE_OK(read_object(object, n, P(NO_KEYS), &f, &err), &err);
    CHECK_INT(ehm_st_n_meta(f), 256);
    CHECK_STR(ehm_st_meta_at(f, 0)->key, "z");
    CHECK_STR(ehm_st_meta_get(f, "a.254"), "254");
    CHECK(!ehm_st_meta_get(f, "a.255"));
    ehm_st_close(f);
}

/* ---- zip directories ---- */

/* Offset of the i-th entry of the directory. */
static size_t central(bytes b, int i) {
    const uint8_t *end = b.p + b.n - 22;
    size_t at = (size_t)end[16] | (size_t)end[17] << 8 | (size_t)end[18] << 16;
    for (; i > 0; i--) at += 46 + (size_t)b.p[at + 28] + (size_t)b.p[at + 30] + (size_t)b.p[at + 32];
    return at;
}

static uint32_t word(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static void set_word(uint8_t *p, uint32_t v) { for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i)); }

static void zip_refused(bytes b, ehm_code code, const char *part, int line) {
    ehm_st *f = NULL;
    ehm_err err = {0};
    char text[EHM_ERR_TEXT];
    ehm_code rc = read_bytes(&f, b, &err);
    if (rc != code || !strstr(ehm_err_text(&err, text), part))
        ehm_test_fail(__FILE__, line, "gave %s, expected %s with \"%s\": %s", ehm_code_name(rc),
                      ehm_code_name(code), part, ehm_err_text(&err, text));
    ehm_st_close(f);
    free(b.p);
}
#define ZIP(change, code, part)                                                      \
    do {                                                                             \
        bytes b = slurp("tests/golden/pth/small.pth");                               \
        size_t c0 = central(b, 0), end = b.n - 22, end64 = end - 20 - 56;            \
        (void)c0, (void)end, (void)end64;                                            \
        change;                                                                      \
        zip_refused(b, code, part, __LINE__);                                        \
    } while (0)

TEST(pth, hostile_directories) {
    ZIP((void)0, EHM_OK, "");
    ZIP(b.p[c0 + 8] |= 1, EHM_E_UNSUPPORTED, "is encrypted");
    ZIP(b.p[c0 + 10] = 12, EHM_E_FORMAT, "does not agree");
    ZIP((b.p[c0 + 10] = 93, b.p[word(b.p + c0 + 42) + 8] = 93), EHM_E_UNSUPPORTED, "Zstandard");
    ZIP((b.p[c0 + 10] = 99, b.p[word(b.p + c0 + 42) + 8] = 99), EHM_E_UNSUPPORTED, "an unknown method, 99");
    ZIP(b.p[c0 + 24]++, EHM_E_FORMAT, "has two sizes");
    ZIP((set_word(b.p + c0 + 20, 1u << 30), set_word(b.p + c0 + 24, 1u << 30)), EHM_E_FORMAT,
        "is outside the file");
    ZIP((set_word(b.p + c0 + 20, 1700), set_word(b.p + c0 + 24, 1700)), EHM_E_FORMAT,
        "runs out of the zip file's data");
    ZIP((set_word(b.p + c0 + 20, word(b.p + c0 + 20) + 40),
         set_word(b.p + c0 + 24, word(b.p + c0 + 24) + 40)),
        EHM_E_FORMAT, "overlap");
    ZIP(set_word(b.p + c0 + 42, 0xfffffff0u), EHM_E_FORMAT, "is outside the file");
    ZIP(set_word(b.p + c0 + 42, (uint32_t)c0 - 8), EHM_E_FORMAT, "outside the zip file's data");
    ZIP(set_word(b.p + c0 + 42, 4), EHM_E_FORMAT, "no header of");
    ZIP(set_word(b.p + c0 + 42, 0xffffffffu), EHM_E_FORMAT, "no zip64 field");
    ZIP(set_word(b.p + central(b, 1) + 42, word(b.p + c0 + 42)), EHM_E_FORMAT, "does not agree");
    ZIP(memcpy(b.p + c0 + 46, "../", 3), EHM_E_FORMAT, "\"../ll/data.pkl\"");
    ZIP(b.p[c0 + 46] = '/', EHM_E_FORMAT, "never writes");
    ZIP(b.p[c0 + 47] = 0, EHM_E_FORMAT, "never writes");
    ZIP(b.p[c0 + 47] = '\\', EHM_E_FORMAT, "never writes");
    ZIP(b.p[c0 + 47] = '\n', EHM_E_FORMAT, "s?all/data.pkl");
    ZIP(b.p[c0 + 46] = 'X', EHM_E_FORMAT, "does not agree");
    ZIP((b.p[c0 + 46] = b.p[30] = 'X'), EHM_E_FORMAT,
        "no entry for the storage"); /* another folder: its storages are not there */
    ZIP((memcpy(b.p + c0 + 52, "data_pkl", 8), memcpy(b.p + 36, "data_pkl", 8)), EHM_E_FORMAT,
        "it has no NAME/data.pkl");
    ZIP(b.p[c0 + 28] = 200, EHM_E_FORMAT, "");
    ZIP(b.p[c0] = 'Q', EHM_E_FORMAT, "no entry of the zip directory");
    ZIP(b.p[c0 + 16] ^= 1, EHM_E_FORMAT, "checksum");
    ZIP(b.p[end] = 0, EHM_E_FORMAT, "without its directory");
    ZIP(b.p[end + 20] = 1, EHM_E_FORMAT, "without its directory");
    ZIP(b.p[end + 4] = 1, EHM_E_UNSUPPORTED, "several volumes");
    ZIP(b.p[end + 10]--, EHM_E_UNSUPPORTED, "several volumes");
    ZIP((b.p[end + 8]--, b.p[end + 10]--), EHM_E_FORMAT, "do not agree");
    ZIP((b.p[end + 8]--, b.p[end + 10]--, b.p[end64 + 24]--, b.p[end64 + 32]--), EHM_E_FORMAT,
        "behind its last entry");
    ZIP((b.p[end + 8]++, b.p[end + 10]++, b.p[end64 + 24]++, b.p[end64 + 32]++), EHM_E_FORMAT,
        "no entry of the zip directory");
    ZIP(b.p[end - 20] = 0, EHM_OK, ""); /* without the locator the plain record holds */
    ZIP((b.p[end - 20] = 0, set_word(b.p + end + 16, 0xffffffffu)), EHM_E_FORMAT, "zip64 record is missing");
    ZIP(memset(b.p + end - 20 + 8, 0xff, 8), EHM_E_FORMAT, "outside its place");
    ZIP(b.p[end64] = 0, EHM_E_FORMAT, "no whole zip64 record");
    ZIP(memset(b.p + end64 + 4, 0xff, 8), EHM_E_FORMAT, "no whole zip64 record");
    ZIP((set_word(b.p + end + 16, 0xffffffffu), memset(b.p + end64 + 48, 0xff, 8)), EHM_E_FORMAT,
        "not within the file");
    ZIP((set_word(b.p + end + 12, 0xffffffffu), memset(b.p + end64 + 40, 0x7f, 8)), EHM_E_FORMAT,
        "not within the file");
    ZIP((b.p[end + 8] = b.p[end + 9] = b.p[end + 10] = b.p[end + 11] = 0xff,
         memset(b.p + end64 + 24, 0xff, 16)),
        EHM_E_FORMAT, "do not fit");
}

TEST(pth, two_entries_of_one_name) {
    bytes b = slurp("tests/golden/pth/small.pth");
    /* data/0 and data/1 differ in one letter, in both places */
    for (int i = 0; i < 20; i++) {
        size_t c = central(b, i);
        size_t n = b.p[c + 28];
        if (n != 12 || memcmp(b.p + c + 46, "small/data/1", 12)) continue;
        b.p[c + 46 + 11] = '0';
        b.p[word(b.p + c + 42) + 30 + 11] = '0';
        break;
    }
    zip_refused(b, EHM_E_FORMAT, "two entries are named \"small/data/0\"", __LINE__);
}

TEST(pth, storage_of_another_size) {
    bytes b = slurp("tests/golden/pth/small.pth");
    size_t c0 = central(b, 0), n = word(b.p + c0 + 24), from = 30 + 14;
    for (size_t i = from; i + 1 < from + n + 40; i++) /* the six values of "w" are said to be five */
        if (b.p[i] == 'K' && b.p[i + 1] == 6 && b.p[i + 2] == 't') {
            b.p[i + 1] = 5;
            break;
        }
    set_word(b.p + c0 + 16, 0); /* no checksum */
    zip_refused(b, EHM_E_FORMAT, "reads outside its storage", __LINE__);
}

/* ---- cut and changed ---- */

TEST(pth, cut_at_every_length) {
    const char *files[] = {"tests/golden/pth/small.pth", "tests/golden/pth/small_old.pth"};
    for (int k = 0; k < 2; k++) {
        bytes b = slurp(files[k]);
        for (size_t n = 0; n < b.n; n++) {
            bytes cut = {malloc(n ? n : 1), n};
            ehm_st *f = NULL;
            ehm_err err = {0};
            memcpy(cut.p, b.p, n);
            if (!read_bytes(&f, cut, &err))
                ehm_test_fail(__FILE__, __LINE__, "%s cut to %zu of %zu bytes was read", files[k], n, b.n);
            CHECK(!f);
            free(cut.p);
        }
        free(b.p);
    }
}

/* What is read without an error must also be readable to its last byte: the sanitizer builds watch. */
static uint64_t touch(const ehm_st *f) {
    uint64_t sum = 0;
    for (int32_t i = 0; i < ehm_st_count(f); i++) {
        const ehm_st_tensor *t = ehm_st_at(f, i);
        for (size_t k = 0; k < t->bytes; k++) sum += ((const uint8_t *)t->data)[k];
        sum += strlen(t->name);
    }
    for (int32_t i = 0; i < ehm_st_n_meta(f); i++) sum += strlen(ehm_st_meta_at(f, i)->value);
    return sum;
}

TEST(pth, changed_bytes) {
    const char *files[] = {"nested_no_crc.pth", "nested_old.pth", "nested_old5.pth", "hydra.pth",
                           "zip64.pth"};
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_init, 0, 0);
    int n_read = 0, n_refused = 0;
    uint64_t sum = 0;
    for (int k = 0; k < 5; k++) {
        char rel[80];
        snprintf(rel, sizeof rel, "tests/golden/pth/%s", files[k]);
        bytes b = slurp(rel), x = {malloc(b.n), b.n};
        if (k == 3) set_word(b.p + central(b, 0) + 16, 0); /* else most changes stop at the checksum */
        for (int i = 0; i < 1200; i++) {
            memcpy(x.p, b.p, b.n);
            for (uint32_t c = 1 + ehm_rng_below(&r, 3); c > 0; c--) {
                size_t at = ehm_rng_below(&r, (uint32_t)b.n);
                x.p[at] = ehm_rng_below(&r, 2) ? (uint8_t)(x.p[at] ^ 1u << ehm_rng_below(&r, 8))
                                               : (uint8_t)ehm_rng_u32(&r);
            }
            ehm_st *f = NULL;
            ehm_err err = {0};
            ehm_code rc = read_bytes(&f, x, &err);
            if (rc) n_refused++;
            else n_read++, sum += touch(f);
            if (rc) CHECK(!f && err.what[0]);
            ehm_st_close(f);
        }
        free(b.p), free(x.p);
    }
    CHECK(n_read > 300 &&
          n_refused > 1500); /* both ways are taken: numbers change without notice, structure does not */
    CHECK(sum > 0);
}

/* ---- tensors from memory ---- */

static void count_free(void *p) { ++*(int *)p; }

TEST(pth, tensors_from_memory) {
    float v[6] = {1, 2, 3, 4, 5, 6};
    char name[] = "b";
    ehm_st_tensor t[2] = {
        {.name = name, .dtype = EHM_F32, .rank = 2, .dim = {2, 3}, .count = 6, .data = v, .bytes = 24},
        {.name = "a", .dtype = EHM_F32, .rank = 1, .dim = {0}, .count = 0, .data = NULL, .bytes = 0}};
    ehm_st_meta m[2] = {{"k", "1"}, {"j", "2"}};
    ehm_st *f = NULL;
    ehm_err err = {0};
    int freed = 0;
    REQUIRE_OK(ehm_st_from(&f, t, 2, m, 2, &freed, count_free, &err), &err);
    name[0] = 'x';
    CHECK_STR(ehm_st_at(f, 0)->name, "b");
    CHECK(ehm_st_find(f, "b") && ehm_st_find(f, "b")->data == v && ehm_st_find(f, "a"));
    CHECK_STR(ehm_st_meta_get(f, "j"), "2");
    CHECK_INT(freed, 0);
    ehm_st_close(f);
    CHECK_INT(freed, 1);
    t[0].name = "a";
    CHECK_FAILS(ehm_st_from(&f, t, 2, NULL, 0, &freed, count_free, &err), &err, EHM_E_FORMAT,
                "two tensors are named \"a\"");
    CHECK_INT(freed, 2);
    t[0].name = "b", t[0].count = 5;
    CHECK_FAILS(ehm_st_from(&f, t, 2, NULL, 0, NULL, NULL, &err), &err, EHM_E_ARG, "count");
    t[0].count = 6, t[0].bytes = 20;
    CHECK_FAILS(ehm_st_from(&f, t, 2, NULL, 0, NULL, NULL, &err), &err, EHM_E_ARG, "do not agree");
    t[0].bytes = 24, t[0].data = NULL;
    CHECK_FAILS(ehm_st_from(&f, t, 2, NULL, 0, NULL, NULL, &err), &err, EHM_E_ARG, "no data");
    t[0].data = v, m[1].key = "k";
    CHECK_FAILS(ehm_st_from(&f, t, 2, m, 2, NULL, NULL, &err), &err, EHM_E_FORMAT,
                "two metadata entries are named \"k\"");
    CHECK(!f);
    CHECK_OK(ehm_st_from(&f, NULL, 0, NULL, 0, NULL, NULL, &err), &err);
    CHECK_INT(ehm_st_count(f), 0);
    ehm_st_close(f);
}
