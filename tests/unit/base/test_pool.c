#include "base/clock.h"
#include "base/pool.h"
#include "base/machine_int.h"
#include "base/file.h"
#include "harness.h"
#include <sched.h>
#include <stdatomic.h>

enum { N = 10007 };
typedef struct { double out[N / 64 + 1]; atomic_int touched[N]; int32_t n_threads; atomic_int bad; } work;

static void add_up(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    work *w = ctx;
    double s = 0;
    if (i_thread < 0 || i_thread >= w->n_threads || end - begin > 64 || end <= begin || begin % 64)
        atomic_fetch_add(&w->bad, 1);
    for (int64_t i = begin; i < end; i++) s += 1.0 / (double)(i + 1), atomic_fetch_add(&w->touched[i], 1);
    w->out[begin / 64] = s;
}

TEST(pool, same_result_for_any_number_of_threads) {
    static const int32_t threads[] = {1, 2, 5};
    static work w[4];
    ehm_err err = {0};
    for (int k = 0; k < 3; k++) {
        ehm_pool *p;
        REQUIRE_OK(ehm_pool_open(&p, threads[k], &err), &err);
        CHECK_INT(ehm_pool_threads(p), threads[k]);
        w[k].n_threads = threads[k];
        ehm_pool_for(p, N, 64, add_up, &w[k]);
        ehm_pool_close(p);
    }
    w[3].n_threads = 1;
    ehm_pool_for(NULL, N, 64, add_up, &w[3]);
    for (int k = 0; k < 4; k++) {
        CHECK_INT(w[k].bad, 0);
        CHECK(!memcmp(w[k].out, w[0].out, sizeof w[0].out));
        for (int i = 0; i < N; i++) REQUIRE(w[k].touched[i] == 1);
    }
    CHECK_INT(ehm_pool_threads(NULL), 1);
}

static void count(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    (void)i_thread;
    atomic_fetch_add((atomic_llong *)ctx, end - begin);
}

/* Many short jobs, with pauses in which workers go to sleep: a lost wake-up would hang, a late worker would count twice. */
TEST(pool, many_jobs_in_a_row) {
    ehm_err err = {0};
    for (int32_t threads = 2; threads <= 5; threads += 3) {
        ehm_pool *p;
        atomic_llong sum = 0;
        long long want = 0;
        REQUIRE_OK(ehm_pool_open(&p, threads, &err), &err);
        for (int i = 0; i < 20000; i++) {
            int64_t n = i % 97;
            ehm_pool_for(p, n, 1 + i % 5, count, &sum);
            want += n;
            REQUIRE(atomic_load(&sum) == want); /* all done when it returns */
            if (i % 2000 == 0) ehm_sleep_s(0.002);
        }
        ehm_pool_close(p);
    }
}

static void wait_for_two(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    (void)begin, (void)end, (void)i_thread;
    atomic_int *inside = ctx;
    atomic_fetch_add(inside, 1);
    double until = ehm_clock_s() + 20;
    while (atomic_load(inside) < 2 && ehm_clock_s() < until) sched_yield();
}

TEST(pool, threads_do_run_at_the_same_time) {
    ehm_err err = {0};
    ehm_pool *p;
    atomic_int inside = 0;
    REQUIRE_OK(ehm_pool_open(&p, 2, &err), &err);
    ehm_sleep_s(0.02);
    ehm_pool_for(p, 2, 1, wait_for_two, &inside); /* each waits for the other */
    CHECK_INT(inside, 2);
    ehm_pool_close(p);
    ehm_pool_close(NULL);
}

TEST(pool, odd_sizes) {
    ehm_err err = {0};
    ehm_pool *p;
    atomic_llong sum = 0;
    REQUIRE_OK(ehm_pool_open(&p, 2, &err), &err);
    ehm_pool_for(p, 0, 4, count, &sum);
    ehm_pool_for(p, -5, 4, count, &sum);
    CHECK_INT(sum, 0);
    ehm_pool_for(p, 3, 0, count, &sum);
    CHECK_INT(sum, 3);
    atomic_store(&sum, 0);
    ehm_pool_for(p, INT64_MAX, INT64_MAX / 2, count, &sum); /* the last chunk's end must not overflow */
    CHECK_INT(sum, INT64_MAX);
    ehm_pool_close(p);
    CHECK_FAILS(ehm_pool_open(&p, 0, &err), &err, EHM_E_ARG, "0 threads");
    CHECK_FAILS(ehm_pool_open(&p, 1000000, &err), &err, EHM_E_ARG, "1000000 threads");
}

TEST(machine, this_one_says_something_sensible) {
    int64_t limit = ehm_memory_limit(), available = ehm_memory_available(), peak = ehm_memory_peak();
    CHECK(ehm_cpu_count() >= 1);
    CHECK(limit > 64 << 20 && available > 0 && available <= limit);
    CHECK(peak > 100 << 10 && peak <= limit);
}

static ehm_arena made;
static const char *root;
static void put(const char *path, const char *text) {
    ehm_err err = {0};
    char *full = ehm_arena_printf(&made, "%s%s", root, path), *dir = ehm_arena_strdup(&made, full);
    *strrchr(dir, '/') = 0;
    REQUIRE_OK(ehm_dir_make(dir, &err), &err);
    REQUIRE_OK(ehm_file_write(full, text, strlen(text), &err), &err);
}

TEST(machine, control_groups_version_2) {
    root = ehm_test_tmp();
    CHECK(ehm_machine_memory_limit(root) == INT64_MAX && ehm_machine_cpu_quota(root) <= 0);
    put("/proc/meminfo", "MemTotal:       16000000 kB\nMemFree: 1 kB\nMemAvailable:    8000000 kB\n");
    CHECK_INT(ehm_machine_memory_limit(root), 16000000ll * 1024);
    CHECK_INT(ehm_machine_memory_available(root), 8000000ll * 1024);
    put("/proc/self/cgroup", "0::/user/job\n");
    put("/sys/fs/cgroup/user/job/memory.max", "max\n");
    put("/sys/fs/cgroup/user/job/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/user/memory.max", "4000000000\n"); /* the parent's limit holds for the child */
    put("/sys/fs/cgroup/user/memory.current", "3000000000\n");
    put("/sys/fs/cgroup/user/memory.stat",
        "anon 5\ninactive_file 400000000\nactive_file 100000000\nslab_reclaimable 0\n");
    put("/sys/fs/cgroup/user/cpu.max", "150000 100000\n");
    CHECK_INT(ehm_machine_memory_limit(root), 4000000000ll);
    CHECK_INT(ehm_machine_memory_available(root), 1500000000ll);
    CHECK_NEAR(ehm_machine_cpu_quota(root), 1.5, 1e-12);
    put("/sys/fs/cgroup/user/job/cpu.max", "50000 100000\n");
    put("/sys/fs/cgroup/user/job/memory.max", "1000000\n");
    put("/sys/fs/cgroup/user/job/memory.current", "2000000\n");
    CHECK_NEAR(ehm_machine_cpu_quota(root), 0.5, 1e-12);
    CHECK_INT(ehm_machine_memory_limit(root), 1000000);
    CHECK_INT(ehm_machine_memory_available(root), 0);
    ehm_arena_free(&made);
}

TEST(machine, control_groups_version_1) {
    root = ehm_test_tmp();
    put("/proc/self/cgroup", "9:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x\n");
    put("/proc/meminfo", "MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\n");
    /* In a container the path is not below the mount: the mount's root applies. */
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000000\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1500000000\n");
    put("/sys/fs/cgroup/memory/memory.stat", "cache 7\ntotal_inactive_file 500000000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "300000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    CHECK_INT(ehm_machine_memory_limit(root), 2000000000ll);
    CHECK_INT(ehm_machine_memory_available(root), 1000000000ll);
    CHECK_NEAR(ehm_machine_cpu_quota(root), 3, 1e-12);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    CHECK_INT(ehm_machine_memory_limit(root), 16000000ll * 1024);
    CHECK(ehm_machine_cpu_quota(root) <= 0);
    ehm_arena_free(&made);
}
