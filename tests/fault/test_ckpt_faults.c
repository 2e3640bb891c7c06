/* Faults while a run is being written: no space (a limit on file size), and SIGKILL at any moment. The old checkpoint stands, the run goes on
 * with --resume, and its end is the same, bit for bit. */
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../unit/train/train_fixture.h"

static void configure(fixture *f, const char *run, const char *steps) {
    fx_begin(f, run);
    fx_set(f, "steps", steps), fx_set(f, "save_steps", "2"), fx_set(f, "log_every", "1");
}

static void same_end(fixture *f, const char *a, const char *b, const char *step) {
    fx_same(f, a, b, "model.safetensors");
    fx_same(f, a, b, "metrics.jsonl");
    fx_same(f, a, b, ehm_arena_printf(&f->a, "checkpoints/%s/state.bin", step));
    fx_same(f, a, b, ehm_arena_printf(&f->a, "checkpoints/%s/train.json", step));
}

/* ---- no space ---- */

static struct rlimit before;
typedef struct { int64_t at_step; rlim_t bytes; } shortage;
static ehm_code run_short(void *user, const ehm_train_at *at, ehm_err *err) {
    shortage *s = user;
    (void)err;
    if (at->step == s->at_step) {
        struct rlimit l = before;
        l.rlim_cur = s->bytes;
        setrlimit(RLIMIT_FSIZE, &l);
    }
    return EHM_OK;
}

/* The limit is met at another file and place each time: train.json, state.bin in its first and last bytes, the metrics, the models. */
TEST(ckpt_faults, no_space) {
    static const rlim_t limits[] = {1, 150, 1000, 2000, 4096, 30000, 100000, 150000, 180000, 198000};
    fixture f;
    configure(&f, "whole", "8");
    REQUIRE_OK(fx_run(&f, 0, NULL), &f.err);
    fx_end(&f);
    signal(SIGXFSZ, SIG_IGN); /* then write says EFBIG, as it says ENOSPC on a full disk */
    getrlimit(RLIMIT_FSIZE, &before);
    int n_refused = 0;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        ehm_train *t;
        ehm_train_result res;
        shortage s = {5, limits[i]};
        ehm_train_hook hook = {.user = &s, .stepped = run_short};
        char name[16];
        ehm_err ignored = {0};
        snprintf(name, sizeof name, "r%d", (int)i);
        configure(&f, name, "8");
        REQUIRE_OK(ehm_train_open(&t, &f.c, EHM_TRAIN_RUN, &f.err), &f.err);
        ehm_code rc = ehm_train_run(t, &hook, 1, &res, &f.err);
        ehm_train_close(t);
        setrlimit(RLIMIT_FSIZE, &before);
        CHECK(rc == EHM_E_IO || rc == EHM_OK);
        n_refused += rc == EHM_E_IO;
        if (rc) {
            char text[EHM_ERR_TEXT];
            CHECK_HAS(ehm_err_text(&f.err, text), name); /* names the file */
            CHECK_HAS(text, "File too large");
            int64_t newest = ehm_ckpt_newest(fx_dir(&f, name), &ignored);
            if (newest < 4) ehm_test_fail(__FILE__, __LINE__, "limit %lld: newest checkpoint is %lld", (long long)limits[i], (long long)newest);
            ehm_strs names;
            REQUIRE_OK(ehm_dir_list(&names, fx_dir(&f, ehm_arena_printf(&f.a, "%s/checkpoints", name)), &f.a, &ignored), &ignored);
            for (int32_t k = 0; k < names.n; k++) CHECK(!ehm_ends(names.v[k], ".tmp"));
        }
        ehm_err_clear(&f.err);
        fx_set(&f, "resume", "true");
        CHECK_OK(fx_run(&f, 0, &res), &f.err);
        same_end(&f, "whole", name, "00000008");
        fx_end(&f);
    }
    signal(SIGXFSZ, SIG_DFL);
    CHECK(n_refused >= 6);
}

/* ---- killed ---- */

/* A child that trains with --resume; never returns. */
static _Noreturn void child(const char *run, const char *steps) {
    fixture f;
    configure(&f, run, steps);
    fx_set(&f, "resume", "true");
    ehm_code rc = fx_run(&f, 0, NULL);
    char text[EHM_ERR_TEXT];
    if (rc) fprintf(stderr, "%s", ehm_err_text(&f.err, text));
    _exit(rc ? 1 : 0);
}

static bool aside_there(const char *root) {
    bool there = false;
    DIR *d = opendir(root);
    for (struct dirent *e; d && (e = readdir(d));) there |= strstr(e->d_name, ".tmp") != NULL;
    if (d) closedir(d);
    return there;
}

/* Kills n children: every second one at a random moment, the others while a checkpoint lies aside; then lets one end. Moments are shares of the
 * time that a whole run takes here: a fast machine must not be faster than the killer. */
static void kill_and_resume(int n, const char *steps, const char *end) {
    fixture f;
    ehm_rng rng = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 0, 77);
    configure(&f, "whole", steps);
    double begin = ehm_clock_s();
    REQUIRE_OK(fx_run(&f, 0, NULL), &f.err);
    double whole_s = ehm_clock_s() - begin;
    char *dir = fx_dir(&f, "killed"), *root = fx_dir(&f, "killed/checkpoints");
    int killed = 0, aside = 0, status = 0;
    for (int i = 0; i < n; i++) {
        fflush(NULL);
        pid_t pid = fork();
        REQUIRE(pid >= 0);
        if (!pid) child("killed", steps);
        if (i % 2) ehm_sleep_s(whole_s * ehm_rng_uniform(&rng, 0.02, 0.5));
        else {
            double until = ehm_clock_s() + 5;
            ehm_sleep_s(whole_s * ehm_rng_uniform(&rng, 0.05, 0.3));
            while (!aside_there(root) && ehm_clock_s() < until && !waitpid(pid, &status, WNOHANG)) {}
            aside += aside_there(root);
        }
        if (!kill(pid, SIGKILL)) waitpid(pid, &status, 0), killed += WIFSIGNALED(status);
        ehm_err err = {0};
        int64_t newest = ehm_ckpt_newest(dir, &err);
        CHECK_OK(err.code, &err); /* none, or a whole one */
        if (newest >= atoi(steps)) break; /* it was faster than the killer */
    }
    fflush(NULL);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (!pid) child("killed", steps);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    same_end(&f, "whole", "killed", end);
    CHECK(fx_has(&f, "killed", "DONE"));
    CHECK(!aside_there(root));
    printf("  killed %d times, %d of them while a checkpoint lay aside\n", killed, aside);
    CHECK(killed >= 1);
    fx_end(&f);
}

TEST(ckpt_faults, killed_three_times) { kill_and_resume(3, "60", "00000060"); }

TEST(ckpt_faults, killed_ten_times) {
    if (!getenv("EHM_TEST_SLOW")) SKIP("slow: EHM_TEST_SLOW=1 runs it");
    kill_and_resume(12, "600", "00000600");
}
