#include "base/file.h"
#include "harness.h"
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static ehm_arena a;
static ehm_err err;
static char *in_tmp(const char *name) { return ehm_path_join(&a, ehm_test_tmp(), name); }

TEST(file, write_read_replace) {
    ehm_bytes b;
    char *p = in_tmp("x");
    CHECK(!ehm_file_exists(p) && ehm_file_size(p) == -1 && ehm_file_mtime(p) == -1);
    REQUIRE_OK(ehm_file_write(p, "one\0two", 7, &err), &err);
    REQUIRE_OK(ehm_file_read(&b, p, &a, &err), &err);
    CHECK(b.len == 7 && !memcmp(b.data, "one\0two", 8)); /* NUL appended */
    REQUIRE_OK(ehm_file_write(p, NULL, 0, &err), &err);
    REQUIRE_OK(ehm_file_read(&b, p, &a, &err), &err);
    CHECK(b.len == 0 && b.data && b.data[0] == 0);
    CHECK(ehm_file_exists(p) && !ehm_dir_exists(p) && ehm_file_size(p) == 0 && ehm_file_mtime(p) > 1.6e9);
    ehm_strs names;
    REQUIRE_OK(ehm_dir_list(&names, ehm_test_tmp(), &a, &err), &err);
    CHECK_INT(names.n, 1); /* nothing aside is left */
    CHECK_OK(ehm_file_remove(p, &err), &err);
    CHECK_OK(ehm_file_remove(p, &err), &err);
    ehm_arena_free(&a);
}

TEST(file, files_without_a_size_are_read) {
    ehm_bytes b;
    REQUIRE_OK(ehm_file_read(&b, "/proc/self/status", &a, &err), &err);
    CHECK(b.len > 100 && strstr((char *)b.data, "VmPeak"));
    ehm_arena_free(&a);
}

TEST(file, errors_name_the_file) {
    ehm_bytes b;
    char *dir = in_tmp("d"), *file = in_tmp("f");
    CHECK_FAILS(ehm_file_read(&b, in_tmp("none"), &a, &err), &err, EHM_E_IO,
                "none: cannot open: No such file");
    REQUIRE_OK((ehm_err_clear(&err), ehm_dir_make(dir, &err)), &err);
    CHECK_FAILS(ehm_file_read(&b, dir, &a, &err), &err, EHM_E_IO, "is a folder");
    CHECK_FAILS(ehm_file_write(dir, "x", 1, &err), &err, EHM_E_IO, "is a folder");
    CHECK_FAILS(ehm_file_write(in_tmp("no/such/f"), "x", 1, &err), &err, EHM_E_IO, "no/such/f: cannot write");
    REQUIRE_OK((ehm_err_clear(&err), ehm_file_write(file, "x", 1, &err)), &err);
    CHECK_FAILS(ehm_dir_make(in_tmp("f/g"), &err), &err, EHM_E_IO, "Not a directory");
    CHECK_FAILS(ehm_dir_make(file, &err), &err, EHM_E_IO, "Not a directory");
    CHECK_FAILS(ehm_dir_make("", &err), &err, EHM_E_ARG, "empty");
    ehm_strs names;
    CHECK_FAILS(ehm_dir_list(&names, in_tmp("none"), &a, &err), &err, EHM_E_IO, "none");
    CHECK_FAILS(ehm_file_write("/dev/full", "x", 1, &err), &err, EHM_E_IO, "No space left");
    CHECK_HAS(err.hint, "free some space");
    ehm_arena lim = {.limit_bytes = 10};
    REQUIRE_OK((ehm_err_clear(&err), ehm_file_write(file, "0123456789abcdef", 16, &err)), &err);
    CHECK_FAILS(ehm_file_read(&b, file, &lim, &err), &err, EHM_E_MEMORY, "no memory for its 16 B");
    ehm_arena_free(&lim);
    ehm_arena_free(&a);
}

TEST(file, stream_goes_to_its_name_only_at_commit) {
    ehm_file_out o;
    ehm_bytes b;
    char *p = in_tmp("s");
    REQUIRE_OK(ehm_file_write(p, "old", 3, &err), &err);
    REQUIRE_OK(ehm_file_out_open(&o, p, &err), &err);
    fputs("new", o.f);
    fflush(o.f);
    REQUIRE_OK(ehm_file_read(&b, p, &a, &err), &err);
    CHECK_STR((char *)b.data, "old");
    ehm_file_out_abort(&o);
    ehm_file_out_abort(&o);
    REQUIRE_OK(ehm_file_read(&b, p, &a, &err), &err);
    CHECK_STR((char *)b.data, "old");
    REQUIRE_OK(ehm_file_out_open(&o, p, &err), &err);
    fputs("new", o.f);
    REQUIRE_OK(ehm_file_out_commit(&o, &err), &err);
    ehm_file_out_abort(&o); /* fine after commit */
    REQUIRE_OK(ehm_file_read(&b, p, &a, &err), &err);
    CHECK_STR((char *)b.data, "new");
    ehm_strs names;
    REQUIRE_OK(ehm_dir_list(&names, ehm_test_tmp(), &a, &err), &err);
    CHECK_INT(names.n, 1);
    ehm_arena_free(&a);
}

TEST(file, folders) {
    ehm_strs names;
    char *deep = in_tmp("a/b/c/"), *top = in_tmp("a"), *outside = in_tmp("outside");
    REQUIRE_OK(ehm_dir_make(deep, &err), &err);
    REQUIRE_OK(ehm_dir_make(deep, &err), &err);
    CHECK(ehm_dir_exists(deep) && !ehm_file_exists(deep));
    REQUIRE_OK(ehm_file_write(in_tmp("a/z"), "", 0, &err), &err);
    REQUIRE_OK(ehm_file_write(in_tmp("a/B"), "", 0, &err), &err);
    REQUIRE_OK(ehm_dir_list(&names, top, &a, &err), &err);
    CHECK_INT(names.n, 3);
    CHECK_STR(names.v[0], "B");
    CHECK_STR(names.v[1], "b");
    CHECK_STR(names.v[2], "z");
    /* A link is removed, never what it points to. */
    REQUIRE_OK(ehm_dir_make(outside, &err), &err);
    REQUIRE_OK(ehm_file_write(in_tmp("outside/keep"), "k", 1, &err), &err);
    REQUIRE(!symlink(outside, in_tmp("a/link")));
    REQUIRE_OK(ehm_dir_remove(top, &err), &err);
    CHECK(!ehm_dir_exists(top) && ehm_file_exists(in_tmp("outside/keep")));
    REQUIRE_OK(ehm_dir_remove(top, &err), &err);
    CHECK_OK(ehm_dir_sync(outside, &err), &err);
    CHECK(ehm_disk_free(in_tmp("not/yet/there")) > 0 && ehm_disk_free("relative/none") > 0);
    ehm_arena_free(&a);
}

TEST(file, paths) {
    CHECK_STR(ehm_path_join(&a, "a", "b"), "a/b");
    CHECK_STR(ehm_path_join(&a, "a/", "b"), "a/b");
    CHECK_STR(ehm_path_join(&a, "", "b"), "b");
    CHECK_STR(ehm_path_join(&a, "a", "/b"), "/b");
    CHECK_STR(ehm_path_base("a/b.c"), "b.c");
    CHECK_STR(ehm_path_base("b.c"), "b.c");
    setenv("XDG_CACHE_HOME", "/c", 1);
    CHECK_STR(ehm_cache_dir(&a), "/c/ehm");
    setenv("XDG_CACHE_HOME", "relative", 1);
    setenv("HOME", "/h", 1);
    CHECK_STR(ehm_cache_dir(&a), "/h/.cache/ehm");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    CHECK(ehm_cache_dir(&a) == NULL);
    ehm_arena_free(&a);
}

TEST(file, lock_names_its_holder) {
    int fd = -1, fd2 = -1;
    char *p = in_tmp("lock"), want[64];
    REQUIRE_OK(ehm_lock_open(&fd, p, &err), &err);
    snprintf(want, sizeof want, "in use by process %ld", (long)getpid());
    pid_t child = fork();
    if (!child) {
        ehm_err e = {0};
        bool ok = ehm_lock_open(&fd2, p, &e) == EHM_E_MISMATCH && strstr(e.what, want);
        _exit(ok ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_INT(status, 0);
    CHECK_FAILS(ehm_lock_open(&fd2, p, &err), &err, EHM_E_MISMATCH, want); /* also from the same process */
    CHECK_INT(fd2, -1);
    ehm_lock_close(fd);
    ehm_lock_close(-1);
    ehm_err_clear(&err);
    REQUIRE_OK(ehm_lock_open(&fd, p, &err), &err);
    ehm_lock_close(fd);
    ehm_err_clear(&err);
    ehm_arena_free(&a);
}
