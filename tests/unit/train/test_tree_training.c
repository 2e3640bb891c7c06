/* Training with masks that follow the model: the same bits however it was cut, and logs that change nothing. */
#include "infer/infer.h"
#include "train_fixture.h"

/* "key=value,key=value" */
static void fx_sets(fixture *f, const char *list) {
    for (const char *p = list; *p;) {
        size_t len = strcspn(p, ";");
        const char *eq = memchr(p, '=', len);
        REQUIRE(eq);
        fx_set(f, ehm_arena_strndup(&f->a, p, (size_t)(eq - p)), ehm_arena_strndup(&f->a, eq + 1, len - (size_t)(eq - p) - 1));
        p += len + (p[len] == ';');
    }
}

static void whole(const char *run, const char *list) {
    fixture f;
    fx_begin(&f, run);
    fx_set(&f, "steps", "20"), fx_sets(&f, list);
    CHECK_OK(fx_run(&f, 0, NULL), &f.err);
    fx_end(&f);
}

static void in_two(const char *run, const char *list, const char *threads, int64_t cut) {
    fixture f;
    ehm_train_result res;
    fx_begin(&f, run);
    fx_set(&f, "steps", "20"), fx_sets(&f, list);
    CHECK_INT(fx_run(&f, cut, &res), EHM_E_STOPPED);
    fx_end(&f);
    fx_begin(&f, run);
    fx_set(&f, "device", "ref"), fx_set(&f, "threads", threads), fx_set(&f, "resume", "true");
    CHECK_OK(fx_run(&f, 0, &res), &f.err);
    CHECK_INT(res.steps_here, 20 - cut);
    fx_end(&f);
}

TEST(tree_training, resumes_bit_for_bit) {
    static const char *const ways[] = {
        "recipe=ehm", "recipe=ehm;tree_teacher=ema", "recipe=ehm;profile_per=head;linkage=ward", "recipe=ehm;similarity=balanced;accum_iter=2",
        "recipe=ehm-low;tree_layers=first:1", "recipe=ehm-epm;tree_source=moved", "recipe=ehm;tree_source=swapped;progress=step",
        "recipe=ehm;tree_source=pixels;select=circle", "recipe=ehm;tree_source=labels", "recipe=ehm;mix_random=0.5;cut=depth;progress=epoch",
        "recipe=mae;tree_log=true", "mask=epm", "mask=attention:hint", "mask=color:green", "mask=scores:loss", "mask=scores:cls", "recipe=ehm;node_order=loss;select=prefix", "recipe=ehm;node_order=attention;boundary=tree;mix_levels=true"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        fixture f;
        char a[16], b[16];
        snprintf(a, sizeof a, "a%zu", i), snprintf(b, sizeof b, "b%zu", i);
        fx_begin(&f, NULL);
        whole(a, ways[i]);
        in_two(b, ways[i], i % 2 ? "3" : "1", 7 + (int64_t)i % 7);
        fx_same(&f, a, b, "model.safetensors");
        fx_same(&f, a, b, "metrics.jsonl");
        fx_same(&f, a, b, "checkpoints/00000020/state.bin");
        fx_same(&f, a, b, "checkpoints/00000020/train.json");
        fx_end(&f);
    }
}

TEST(tree_training, a_log_of_trees_changes_no_weight) {
    fixture f;
    fx_begin(&f, NULL);
    whole("a", "recipe=mae");
    whole("b", "recipe=mae;tree_log=true");
    fx_same(&f, "a", "b", "model.safetensors");
    ehm_bytes with = fx_read(&f, "b", "metrics.jsonl"), without = fx_read(&f, "a", "metrics.jsonl");
    CHECK_HAS((const char *)with.data, "\"tree_k\": ");
    CHECK(!strstr((const char *)without.data, "\"tree_k\": "));
    fx_end(&f);
}

TEST(tree_training, masks_differ_from_random_ones_once_progress_begins) {
    fixture f;
    fx_begin(&f, NULL);
    whole("a", "recipe=ehm");
    whole("b", "recipe=mae");
    ehm_bytes a = fx_read(&f, "a", "model.safetensors"), b = fx_read(&f, "b", "model.safetensors");
    CHECK(a.len != b.len || memcmp(a.data, b.data, a.len));
    ehm_bytes m = fx_read(&f, "a", "metrics.jsonl");
    CHECK_HAS((const char *)m.data, "\"u\": 0,");
    CHECK_HAS((const char *)m.data, "\"u\": 1,");
    CHECK_HAS((const char *)m.data, "\"tree_k_effective_share\": ");
    CHECK_HAS((const char *)m.data, "\"mask_perimeter\": ");
    fx_end(&f);
}

TEST(tree_training, the_mean_of_attention_goes_with_the_model) {
    fixture f;
    ehm_model *m = NULL;
    bool fell_back = true;
    ehm_affinity_opt o;
    float S[2 * 16 * 16];
    uint8_t px[2 * 32 * 32 * 3];
    fx_begin(&f, NULL);
    whole("a", "recipe=ehm");
    whole("b", "recipe=mae");
    CHECK(fx_has(&f, "a", "attention_mean.safetensors"));
    CHECK(!fx_has(&f, "b", "attention_mean.safetensors"));
    for (size_t i = 0; i < sizeof px; i++) px[i] = (uint8_t)(i * 2654435761u >> 24);
    ehm_model_opt opt = {"ref", 1, "f32", 2};
    REQUIRE_OK(ehm_model_open(&m, fx_dir(&f, "a"), &opt, &f.err), &f.err);
    REQUIRE_OK(ehm_affinity_opt_of(&o, &f.c, ehm_model_shape(m), &f.err), &f.err);
    REQUIRE_OK(ehm_model_affinity(m, &o, px, EHM_U8, 2, S, NULL, NULL, &fell_back, &f.err), &f.err);
    CHECK(!fell_back);
    o.per_head = true; /* another way to look than the run's: its mean does not fit */
    REQUIRE_OK(ehm_model_affinity(m, &o, px, EHM_U8, 2, S, NULL, NULL, &fell_back, &f.err), &f.err);
    CHECK(fell_back);
    ehm_config c;
    ehm_config_init(&c);
    REQUIRE_OK(ehm_model_settings(m, &c, "mask,tree", &f.a, &f.err), &f.err);
    CHECK_STR(c.mask, "ehm");
    ehm_model_close(m);
    fx_end(&f);
}

static void refused(const char *list, const char *text) {
    fixture f;
    ehm_train *t = NULL;
    fx_begin(&f, "r");
    fx_sets(&f, list);
    CHECK(ehm_train_open(&t, &f.c, EHM_TRAIN_DRY, &f.err) != EHM_OK);
    if (!strstr(f.err.what, text)) ehm_test_fail(__FILE__, __LINE__, "%s: \"%s\" does not contain \"%s\"", list, f.err.what, text);
    ehm_train_close(t);
    fx_end(&f);
}

TEST(tree_training, what_cannot_work_is_refused_before_step_1) {
    refused("recipe=ehm;tree_layers=5", "the encoder has 2 blocks");
    refused("recipe=ehm;progress=later", "must be lr, step or epoch");
    refused("recipe=ehm;tree_source=swapped;batch_size=1", "a batch of 1 has none");
    refused("mask=file", "--mask-file is not given");
    refused("recipe=mae;mask_file=x.npy", "reads no file");
    refused("recipe=ehm;k_start=4;k_end=9", "k_end");
    refused("mask=color:pink", "pink");
    refused("mask=ehn", "\"ehn\" is not known");
}
