/* Trees of some layers against those of all: which sets, what the walk makes of them, and what a verdict asks for. */
#include "eval/tree_agreement_int.h"
#include "harness.h"

static void check_kind(const ehm_tree_kind *k, const char *name, int32_t first, int32_t last, int32_t n_layers) {
    CHECK_STR(k->name, name);
    CHECK_INT(k->o.n_layers, n_layers);
    CHECK_INT(k->o.layer[0], first);
    CHECK_INT(k->o.layer[k->o.n_layers - 1], last);
}

TEST(tree_agreement, which_layers) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_config c;
    ehm_tree_kind v[9];
    ehm_vit_shape s = {.depth = 12};
    int32_t n;
    ehm_config_init(&c);
    REQUIRE_OK(ehm_agreement_kinds(v, &n, &c, &s, &a, &err), &err);
    REQUIRE(n == 7);
    check_kind(&v[0], "all layers", 0, 11, 12);
    check_kind(&v[1], "first 1/6 (2)", 0, 1, 2);
    check_kind(&v[2], "first 1/3 (4)", 0, 3, 4);
    check_kind(&v[3], "first 1/2 (6)", 0, 5, 6);
    check_kind(&v[4], "last", 11, 11, 1);
    check_kind(&v[5], "odd and even layers", 0, 10, 6);
    check_kind(&v[6], "even layers", 1, 11, 6);
    for (int i = 0; i < 5; i++) CHECK(v[i].partner == v);
    CHECK(v[5].partner == &v[6] && !v[6].partner);
    c.tree_layers = "3,5", c.similarity = "direct";
    REQUIRE_OK(ehm_agreement_kinds(v, &n, &c, &s, &a, &err), &err);
    REQUIRE(n == 8);
    check_kind(&v[5], "3,5 (own)", 3, 5, 2);
    CHECK(v[5].partner == v && v[0].o.kind == EHM_SIM_DIRECT);
    c.tree_layers = "first:1/3", s.depth = 4; /* a sixth, a third and half are the same two */
    REQUIRE_OK(ehm_agreement_kinds(v, &n, &c, &s, &a, &err), &err);
    REQUIRE(n == 5);
    check_kind(&v[1], "first 1/3 (2)", 0, 1, 2);
    check_kind(&v[2], "last", 3, 3, 1);
    s.depth = 1;
    REQUIRE_OK(ehm_agreement_kinds(v, &n, &c, &s, &a, &err), &err);
    CHECK_INT(n, 1);
    c.tree_layers = "1";
    CHECK_FAILS(ehm_agreement_kinds(v, &n, &c, &s, &a, &err), &err, EHM_E_CONFIG, "--tree-layers 1: the encoder has 1 blocks");
    ehm_arena_free(&a);
}

typedef struct {
    ehm_model *m;
    ehm_dataset *ds;
    ehm_config c;
    ehm_arena a;
    ehm_err err;
} setup;

static void open_setup(setup *t, const char *spec) {
    *t = (setup){0};
    ehm_config_init(&t->c);
    t->c.workers = 1, t->c.pictures = 12;
    REQUIRE_OK(ehm_model_open(&t->m, "untrained:pico", &(ehm_model_opt){.device = "cpu", .threads = 1, .dtype = "f32", .batch = 5}, &t->err), &t->err);
    REQUIRE_OK(ehm_dataset_open(&t->ds, &(ehm_strs){&spec, 1}, &(ehm_dataset_opt){.channels = 3, .ignore_label = -1}, &t->err), &t->err);
}

static void close_setup(setup *t) {
    ehm_dataset_close(t->ds);
    ehm_model_close(t->m);
    ehm_arena_free(&t->a);
}

/* The same trees by the walk that runs the teacher once for each kind; halves at u = 1 are what it calls split. */
TEST(tree_agreement, one_pass_is_as_good_as_many) {
    setup t;
    ehm_tree_kind one[9], many[9];
    ehm_tree_pass p = {.kinds = one, .quiet = true, .agreement = true, .level = "class"}, q = {.kinds = many, .quiet = true, .controls = true, .level = "class"};
    open_setup(&t, "scenes:5:12:64");
    t.c.tree_layers = "0,1,3", t.c.tree_mean = "set";
    REQUIRE_OK(ehm_agreement_kinds(one, &p.n_kinds, &t.c, ehm_model_shape(t.m), &t.a, &t.err), &t.err);
    q.n_kinds = p.n_kinds;
    for (int32_t k = 0; k < q.n_kinds; k++) many[k] = (ehm_tree_kind){.name = one[k].name, .o = one[k].o};
    REQUIRE_OK(ehm_tree_pass_run(&p, t.m, t.ds, &t.c, &t.err), &t.err);
    REQUIRE_OK(ehm_tree_pass_run(&q, t.m, t.ds, &t.c, &t.err), &t.err);
    REQUIRE(p.n == 12 && q.n == 12 && p.n_kinds == 6);
    CHECK(!p.has_halves && !one[0].fell_back); /* controls are not run; the mean of all layers was learned */
    CHECK(p.k_at[0] == 40 && p.k_at[1] == 25 && p.k_at[2] == 10); /* 64 to 10, geometrically */
    for (int32_t k = 0; k < p.n_kinds; k++)
        for (int64_t i = 0; i < p.n; i++) {
            CHECK_NEAR(one[k].purity[i], many[k].purity[i], 1e-5);
            CHECK_NEAR(one[k].swapped[i], many[k].swapped[i], 1e-5);
        }
    const ehm_tree_kind *halves = &one[p.n_kinds - 2];
    for (int64_t i = 0; i < p.n; i++) {
        CHECK_NEAR(halves->agree[2][i], q.split[i], 1e-6);
        CHECK(halves->agree[0][i] != halves->agree[2][i]); /* 40 nodes are not 10 */
        for (int32_t l = 0; l < EHM_TREE_LEVELS; l++) {
            CHECK_NEAR(one[0].agree[l][i], 1, 0); /* identical layers */
            CHECK(one[1].agree[l][i] < 1 && one[1].agree[l][i] > -0.5f);
        }
    }
    ehm_tree_pass_free(&p), ehm_tree_pass_free(&q);
    close_setup(&t);
}

/* At every level the K of the model's own schedule. */
TEST(tree_agreement, follows_the_schedule) {
    setup t;
    ehm_tree_kind v[9];
    ehm_tree_pass p = {.kinds = v, .quiet = true, .agreement = true, .level = "class"};
    open_setup(&t, "scenes:5:4:64");
    t.c.schedule = "fixed", t.c.k_end = 6, t.c.similarity = "profile";
    REQUIRE_OK(ehm_agreement_kinds(v, &p.n_kinds, &t.c, ehm_model_shape(t.m), &t.a, &t.err), &t.err);
    REQUIRE_OK(ehm_tree_pass_run(&p, t.m, t.ds, &t.c, &t.err), &t.err);
    for (int32_t l = 0; l < EHM_TREE_LEVELS; l++) {
        CHECK_INT(p.k_at[l], 6);
        for (int64_t i = 0; i < p.n; i++) CHECK_NEAR(v[1].agree[l][i], v[1].agree[2][i], 0);
    }
    ehm_tree_pass_free(&p);
    close_setup(&t);
}

TEST(tree_agreement, what_a_verdict_asks_for) {
    const double halves[3] = {0.5, 0.6, 0.8}, at_least[3] = {0.45, 0.54, 0.72}, below[3] = {0.9, 0.53, 0.9};
    ehm_agreement_need need = ehm_agreement_need_of(halves, 0.2);
    for (int l = 0; l < 3; l++) CHECK_NEAR(need.agree[l], at_least[l], 1e-12);
    CHECK_NEAR(need.own, 0.19, 1e-12);
    CHECK(ehm_agreement_keeps((double[]){0.451, 0.541, 0.721}, 0.191, &need));
    CHECK(!ehm_agreement_keeps(below, 0.5, &need));                         /* one level is enough */
    CHECK(!ehm_agreement_keeps((double[]){0.9, 0.9, 0.9}, 0.189, &need));   /* and so is purity */
    CHECK(!ehm_agreement_keeps((double[]){0.9, 0.9, NAN}, 0.5, &need));
    need = ehm_agreement_need_of(halves, NAN); /* no labels */
    CHECK(ehm_agreement_keeps((double[]){0.9, 0.9, 0.9}, NAN, &need));
    CHECK(!ehm_agreement_keeps(below, NAN, &need));
}

/* A table by hand: numbers of all, of three cheaper sets, of halves. */
enum { OWN, FIRST, COLUMNS = 4 };
static void fill(ehm_eval_row *row, const ehm_tree_kind *k, const double v[COLUMNS], int n) {
    for (int i = 0; i < n; i++) row[i] = (ehm_eval_row){.model = "m", .what = k->name, .i_metric = COLUMNS - n + i, .value = v[COLUMNS - n + i], .lo = v[COLUMNS - n + i] - 0.1};
}

TEST(tree_agreement, verdicts_in_the_table) {
    ehm_arena a = {0};
    ehm_tree_kind v[6] = {{.name = "all", .o = {.n_layers = 4, .layer = {0, 1, 2, 3}}, .partner = v}, {.name = "two", .o = {.n_layers = 2, .layer = {0, 1}}, .partner = v},
                          {.name = "three", .o = {.n_layers = 3, .layer = {0, 1, 2}}, .partner = v},
                          {.name = "third", .o = {.n_layers = 1, .layer = {2}}, .partner = v},
                          {.name = "odd", .partner = &v[5]},
                          {.name = "even"}};
    ehm_tree_pass p = {.kinds = v, .n_kinds = 6};
    ehm_eval_row rows[19];
    fill(rows, &v[0], (double[]){0.3, 1, 1, 1}, 4);
    fill(rows + 4, &v[1], (double[]){0.3, 0.9, 0.44, 0.9}, 4);
    fill(rows + 8, &v[2], (double[]){0.2, 0.5, 0.5, 0.5}, 4);
    fill(rows + 12, &v[3], (double[]){0.2, 0.5, 0.5, 0.5}, 4);
    fill(rows + 16, &v[4], (double[]){NAN, 0.5, 0.5, 0.5}, 3);
    ehm_eval_out out = {.rows = rows, .n_rows = 19};
    const ehm_agreement_columns c = {OWN, FIRST};
    CHECK_INT(ehm_agreement_verdicts(&out, 0, 19, &c, &p, &a), 12); /* as many blocks as three, fewer layers */
    CHECK_STR(rows[0].what, "all");
    CHECK_STR(rows[4].what, "two: trade");
    CHECK_STR(rows[7].what, "two: trade");
    CHECK_STR(rows[8].what, "three: keeps");
    CHECK_STR(rows[18].what, "odd");
    REQUIRE(out.n_notes == 1);
    CHECK_STR(out.notes[0], "m, two: ARI at u 0.5 is 0.440 of 0.450 needed");
    /* Purity alone, and nothing that keeps. */
    for (int i = 4; i < 16; i++) rows[i].what = v[i / 4].name;
    rows[4].value = rows[8].value = rows[12].value = 0.18, rows[5].value = rows[6].value = rows[7].value = 1, out.n_notes = 0;
    CHECK_INT(ehm_agreement_verdicts(&out, 0, 19, &c, &p, &a), 0);
    REQUIRE(out.n_notes == 3);
    CHECK_STR(out.notes[0], "m, two: own - swapped is 0.180 of 0.190 needed");
    CHECK_STR(rows[12].what, "third: trade");
    p.n_kinds = 1, out.n_notes = 0; /* no halves, no verdict */
    CHECK_INT(ehm_agreement_verdicts(&out, 0, 4, &c, &p, &a), 0);
    CHECK_STR(rows[0].what, "all");
    CHECK_INT(out.n_notes, 0);
    ehm_arena_free(&a);
}

TEST(tree_agreement, table_of_the_task) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_eval_out out = {0};
    ehm_config c;
    const char *spec = "scenes:5:8:64";
    ehm_config_init(&c);
    c.model = "untrained:pico", c.test = (ehm_strs){&spec, 1}, c.by = "agreement", c.threads = c.workers = 1, c.quiet = true;
    REQUIRE_OK(ehm_eval_find("tree", &err)->run(&out, &(ehm_eval_in){.config = &c}, &a, &err), &err);
    REQUIRE(out.n_rows == 15 && out.n_items == 8); /* three sets of layers with four numbers, halves with three */
    CHECK_STR(out.rows[0].what, "all layers");
    CHECK_STR(out.metrics[out.rows[0].i_metric].name, "own - swapped");
    CHECK_STR(out.metrics[out.rows[1].i_metric].name, "ARI at u 0.25");
    CHECK_STR(out.metrics[out.rows[3].i_metric].name, "ARI at u 1");
    CHECK_NEAR(out.rows[2].value, 1, 0);
    CHECK(out.rows[4].value < 1 && out.rows[4].lo <= out.rows[4].value && out.rows[4].hi >= out.rows[4].value);
    CHECK(strstr(out.rows[4].what, "first 1/3 (2): ") && strstr(out.rows[8].what, "last: "));
    CHECK_STR(out.rows[12].what, "odd and even layers");
    CHECK(out.i_best >= 0 && !strstr(out.rows[out.i_best].what, "trade"));
    ehm_arena_free(&a);
}
