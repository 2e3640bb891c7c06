#include "harness.h"
#include <sys/wait.h>
#include <unistd.h>
#include "base/file.h"
#include "runs/run.h"

static ehm_arena a;
static const char *dir_of(const char *name) { return ehm_path_join(&a, ehm_test_tmp(), name); }
static char *text_of(const char *dir, const char *file) {
    ehm_bytes b = {0};
    ehm_err err = {0};
    REQUIRE_OK(ehm_file_read(&b, ehm_path_join(&a, dir, file), &a, &err), &err);
    return (char *)b.data;
}
static void put_config(ehm_run *r) {
    static const char config[] = "{\"format\": 1, \"settings\": {}}\n";
    ehm_err err = {0};
    REQUIRE_OK(ehm_file_write(ehm_run_path(r, "config.json", &a), config, sizeof config - 1, &err), &err);
}

TEST(run_folder, modes) {
    ehm_err err = {0};
    ehm_run *r;
    const char *dir = dir_of("deep/er/r"), *other = dir_of("pictures");
    REQUIRE_OK(ehm_run_open(&r, dir, EHM_RUN_RESUME, &err), &err); /* absent: made */
    CHECK_STR(ehm_run_dir(r), dir);
    put_config(r);
    CHECK_OK(ehm_run_metric(r, "{\"step\": 1}", &err), &err);
    ehm_run_close(r);
    CHECK(ehm_run_is_folder(dir));
    CHECK_FAILS(ehm_run_open(&r, dir, EHM_RUN_CREATE, &err), &err, EHM_E_CONFIG, "--overwrite");
    CHECK(!r);
    CHECK_FAILS(ehm_run_check(dir, EHM_RUN_CREATE, &err), &err, EHM_E_CONFIG, "holds a run");
    ehm_err_clear(&err);
    CHECK_OK(ehm_file_write(ehm_path_join(&a, dir, "my notes.txt"), "x", 1, &err), &err);
    REQUIRE_OK(ehm_run_open(&r, dir, EHM_RUN_OVERWRITE, &err), &err);
    CHECK(!ehm_file_exists(ehm_path_join(&a, dir, "metrics.jsonl")));
    CHECK(!ehm_file_exists(ehm_path_join(&a, dir, "config.json")));
    CHECK(ehm_file_exists(ehm_path_join(&a, dir, "my notes.txt"))); /* not ours */
    ehm_run_close(r);
    REQUIRE_OK(ehm_dir_make(other, &err), &err);
    REQUIRE_OK(ehm_file_write(ehm_path_join(&a, other, "cat.jpg"), "x", 1, &err), &err);
    CHECK_FAILS(ehm_run_open(&r, other, EHM_RUN_OVERWRITE, &err), &err, EHM_E_CONFIG, "cat.jpg");
    CHECK(ehm_file_exists(ehm_path_join(&a, other, "cat.jpg")));
    CHECK_FAILS(ehm_run_open(&r, ehm_path_join(&a, other, "cat.jpg"), EHM_RUN_CREATE, &err), &err,
                EHM_E_CONFIG, "is a file");
    CHECK_FAILS(ehm_run_open(&r, "", EHM_RUN_CREATE, &err), &err, EHM_E_CONFIG, "--out");
    ehm_arena_free(&a);
}

TEST(run_folder, nothing_written_leaves_nothing) {
    ehm_err err = {0};
    ehm_run *r;
    const char *dir = dir_of("r");
    REQUIRE_OK(ehm_run_open(&r, dir, EHM_RUN_CREATE, &err), &err);
    ehm_run_close(r);
    CHECK(!ehm_dir_exists(dir));
    ehm_arena_free(&a);
}

TEST(run_folder, lock_names_the_process) {
    ehm_err err = {0};
    ehm_run *r;
    const char *dir = dir_of("r");
    char want[64], byte;
    int up[2], down[2], status;
    REQUIRE(!pipe(up) && !pipe(down));
    pid_t child = fork();
    if (!child) {
        ehm_err e = {0};
        ehm_run *mine;
        ehm_code rc = ehm_run_open(&mine, dir, EHM_RUN_CREATE, &e);
        if (!rc) ehm_run_note(mine, "here");
        if (write(up[1], "x", 1) != 1 || read(down[0], &byte, 1) < 0) _exit(9);
        ehm_run_close(mine);
        _exit(rc);
    }
    REQUIRE(read(up[0], &byte, 1) == 1);
    snprintf(want, sizeof want, "in use by process %ld", (long)child);
    CHECK_FAILS(ehm_run_open(&r, dir, EHM_RUN_RESUME, &err), &err, EHM_E_MISMATCH, want);
    CHECK_FAILS(ehm_run_open(&r, dir, EHM_RUN_OVERWRITE, &err), &err, EHM_E_MISMATCH, want);
    CHECK_FAILS(ehm_run_check(dir, EHM_RUN_RESUME, &err), &err, EHM_E_MISMATCH, want);
    CHECK(write(down[1], "x", 1) == 1);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status));
    for (int i = 0; i < 2; i++) close(up[i]), close(down[i]);
    ehm_err_clear(&err);
    CHECK_OK(ehm_run_open(&r, dir, EHM_RUN_RESUME, &err), &err); /* free again */
    ehm_run_close(r);
    ehm_arena_free(&a);
}

TEST(run_folder, lines_are_cut_after_a_step) {
    ehm_err err = {0};
    ehm_run *r;
    const char *dir = dir_of("r");
    REQUIRE_OK(ehm_run_open(&r, dir, EHM_RUN_CREATE, &err), &err);
    for (int i = 1; i <= 5; i++) {
        char line[64];
        snprintf(line, sizeof line, "{\"step\": %d, \"loss\": 0.5}", 10 * i);
        CHECK_OK(ehm_run_metric(r, line, &err), &err);
        CHECK_OK(ehm_run_timing(r, line, &err), &err);
    }
    ehm_run_close(r);
    FILE *f = fopen(ehm_path_join(&a, dir, "metrics.jsonl"), "a"); /* half a line of a crash */
    fputs("{\"step\": 20, \"lo", f);
    fclose(f);
    REQUIRE_OK(ehm_run_open(&r, dir, EHM_RUN_RESUME, &err), &err);
    CHECK_OK(ehm_run_cut_after(r, 60, &err), &err);
    CHECK_HAS(text_of(dir, "metrics.jsonl"), "\"step\": 50, \"loss\": 0.5}\n");
    CHECK(!strstr(text_of(dir, "metrics.jsonl"), "\"lo\n"));
    CHECK_OK(ehm_run_cut_after(r, 25, &err), &err);
    CHECK_STR(text_of(dir, "metrics.jsonl"),
              "{\"step\": 10, \"loss\": 0.5}\n{\"step\": 20, \"loss\": 0.5}\n");
    CHECK_STR(text_of(dir, "timing.jsonl"), text_of(dir, "metrics.jsonl"));
    CHECK_OK(ehm_run_metric(r, "{\"step\": 21}", &err), &err);
    CHECK_HAS(text_of(dir, "metrics.jsonl"), "0.5}\n{\"step\": 21}\n");
    CHECK_OK(ehm_run_cut_after(r, 20, &err), &err); /* the very next step goes, the step itself stays */
    CHECK_STR(text_of(dir, "metrics.jsonl"),
              "{\"step\": 10, \"loss\": 0.5}\n{\"step\": 20, \"loss\": 0.5}\n");
    ehm_run_close(r);
    ehm_arena_free(&a);
}

TEST(run_folder, bad_files_once) {
    ehm_err err = {0};
    ehm_run *r;
    const char *dir = dir_of("r");
    for (int i = 0; i < 2; i++) {
        REQUIRE_OK(ehm_run_open(&r, dir, EHM_RUN_RESUME, &err), &err);
        CHECK_OK(ehm_run_bad_file(r, 3, "a\tb.jpg", "ends\nearly", &err), &err);
        CHECK_OK(ehm_run_bad_file(r, 70000, "c.jpg", "no picture", &err), &err);
        CHECK_OK(ehm_run_bad_file(r, 3, "a\tb.jpg", "again", &err), &err);
        ehm_run_close(r);
    }
    CHECK_STR(text_of(dir, "bad_files.tsv"),
              "index\tfile\treason\n3\ta b.jpg\tends early\n70000\tc.jpg\tno picture\n");
    ehm_arena_free(&a);
}

TEST(checkpoint, kept_verified_and_read) {
    ehm_err err = {0};
    ehm_run *r;
    const char *dir = dir_of("r");
    static uint8_t big[3 << 20];
    for (size_t i = 0; i < sizeof big; i++) big[i] = (uint8_t)(i * 7 + i / 999);
    REQUIRE_OK(ehm_run_open(&r, dir, EHM_RUN_CREATE, &err), &err);
    put_config(r);
    CHECK_INT(ehm_ckpt_newest(dir, &err), -1);
    for (int64_t step = 5; step <= 20; step += 5) {
        ehm_ckpt_part parts[2] = {{"train.json", "{}", 2}, {"state.bin", big, sizeof big - (size_t)step}};
        REQUIRE_OK(ehm_ckpt_write(r, step, parts, 2, 2, &err), &err);
    }
    CHECK_INT(ehm_ckpt_newest(dir, &err), 20);
    CHECK(!ehm_dir_exists(ehm_path_join(&a, dir, "checkpoints/00000010")));
    CHECK(ehm_dir_exists(ehm_path_join(&a, dir, "checkpoints/00000015")));
    ehm_bytes b;
    REQUIRE_OK(ehm_ckpt_read(&b, dir, 20, "state.bin", &a, &err), &err);
    CHECK(b.len == sizeof big - 20 && !memcmp(b.data, big, b.len));
    /* an aside folder and one without DONE do not exist for anybody */
    REQUIRE_OK(ehm_dir_make(ehm_path_join(&a, dir, "checkpoints/00000030.tmp"), &err), &err);
    REQUIRE_OK(ehm_dir_make(ehm_path_join(&a, dir, "checkpoints/00000040"), &err), &err);
    CHECK_INT(ehm_ckpt_newest(dir, &err), 20);
    /* the same step again: replaced whole */
    REQUIRE_OK(ehm_ckpt_write(r, 20, &(ehm_ckpt_part){"state.bin", "new", 3}, 1, 2, &err), &err);
    CHECK_INT(ehm_ckpt_newest(dir, &err), 20);
    REQUIRE_OK(ehm_ckpt_read(&b, dir, 20, "state.bin", &a, &err), &err);
    CHECK(b.len == 3);
    CHECK(!ehm_dir_exists(ehm_path_join(&a, dir, "checkpoints/00000030.tmp")));
    REQUIRE_OK(ehm_run_cut_after(r, 15, &err), &err);
    CHECK_INT(ehm_ckpt_newest(dir, &err), 15); /* the nameless 40 took nobody's place */
    ehm_run_close(r);
    ehm_arena_free(&a);
}

/* Every byte of every file matters: turn one, and the checkpoint is passed over. */
TEST(checkpoint, any_damage_is_seen) {
    ehm_err err = {0};
    ehm_run *r;
    const char *dir = dir_of("r");
    static const char *const files[] = {"state.bin", "manifest.json", "DONE"};
    REQUIRE_OK(ehm_run_open(&r, dir, EHM_RUN_CREATE, &err), &err);
    REQUIRE_OK(ehm_ckpt_write(r, 1, &(ehm_ckpt_part){"state.bin", "old state", 9}, 1, 9, &err), &err);
    REQUIRE_OK(ehm_ckpt_write(r, 2, &(ehm_ckpt_part){"state.bin", "some state", 10}, 1, 9, &err), &err);
    ehm_run_close(r);
    for (int i = 0; i < 3; i++) {
        char *path = ehm_arena_printf(&a, "%s/checkpoints/00000002/%s", dir, files[i]);
        ehm_bytes b;
        REQUIRE_OK(ehm_file_read(&b, path, &a, &err), &err);
        for (size_t k = 0; k + 1 < b.len; k += i == 1 ? 7 : 3) {
            b.data[k] ^= 4;
            REQUIRE_OK(ehm_file_write(path, b.data, b.len, &err), &err);
            CHECK_INT(ehm_ckpt_newest(dir, &err), 1);
            b.data[k] ^= 4;
        }
        REQUIRE_OK(ehm_file_write(path, b.data, b.len - (i == 2 ? 2 : 1), &err), &err);
        CHECK_INT(ehm_ckpt_newest(dir, &err), 1);
        REQUIRE_OK(ehm_file_remove(path, &err), &err);
        CHECK_INT(ehm_ckpt_newest(dir, &err), 1);
        REQUIRE_OK(ehm_file_write(path, b.data, b.len, &err), &err);
        CHECK_INT(ehm_ckpt_newest(dir, &err), 2);
    }
    CHECK_OK(err.code, &err);
    ehm_arena_free(&a);
}
