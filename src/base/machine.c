#include "base/machine_int.h"
#include "base/pool.h"
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PATH_CAP = 4096 };

/* Files of /proc and of control groups are short, and "not there" is an ordinary answer: no errors, no arena. */
static bool read_small(char *buf, size_t cap, const char *root, const char *path) {
    char full[PATH_CAP + 256];
    snprintf(full, sizeof full, "%s%s", root, path);
    FILE *f = fopen(full, "re");
    if (!f) return false;
    size_t n = fread(buf, 1, cap - 1, f);
    fclose(f);
    buf[n] = 0;
    return n > 0;
}

/* The number after a line's first word, such as "MemTotal:" or "inactive_file"; -1 when the word is not there. */
static int64_t number_after(const char *text, const char *word) {
    size_t n = strlen(word);
    for (const char *p = text; p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
        if (!strncmp(p, word, n) && (p[n] == ' ' || p[n] == '\t')) return strtoll(p + n, NULL, 10);
    return -1;
}

static int64_t read_number(const char *root, const char *dir, const char *name, int64_t otherwise) {
    char path[PATH_CAP], buf[64], *end;
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path ||
        !read_small(buf, sizeof buf, root, path))
        return otherwise;
    long long v = strtoll(buf, &end, 10); /* "max" has no digits; above int64 it saturates */
    return end == buf || v < 0 ? otherwise : v;
}

/* Is word one of the comma list's? */
static bool lists(const char *list, size_t len, const char *word) {
    size_t n = strlen(word);
    for (const char *p = list, *end = list + len; p < end;) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        size_t m = (size_t)((comma ? comma : end) - p);
        if (m == n && !memcmp(p, word, n)) return true;
        p += m + 1;
    }
    return false;
}

/* This process's group under version 2 (controller NULL) or under a version 1 controller, from /proc/self/cgroup. */
static bool group_path(char *out, size_t cap, const char *root, const char *controller) {
    char text[8192];
    if (!read_small(text, sizeof text, root, "/proc/self/cgroup")) return false;
    for (char *line = text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
        if (!path) continue;
        size_t len = (size_t)(path - names - 1);
        if (controller ? !lists(names + 1, len, controller) : len != 0) continue;
        return snprintf(out, cap, "%s", path + 1) < (int)cap;
    }
    return false;
}

typedef void (*group_fn)(void *ctx, const char *root, const char *dir);

/* Calls fn for the group's folder and each of its parents under the mount: every level's limit holds. In a container the path
 * may name a place outside of what is mounted; then the mount's own root is what applies, and the walk ends there anyway. */
static void walk_up(const char *root, const char *mount, const char *path, group_fn fn, void *ctx) {
    char dir[PATH_CAP];
    int n = snprintf(dir, sizeof dir, "%s%s", mount, !strcmp(path, "/") ? "" : path);
    if (n < 0 || n >= (int)sizeof dir) return;
    for (;;) {
        fn(ctx, root, dir);
        char *slash = strrchr(dir, '/');
        if (strlen(dir) <= strlen(mount) || !slash) return;
        *slash = 0;
    }
}

static void for_groups(const char *root, const char *controller, const char *const *v1_mounts, group_fn v2,
                       group_fn v1, void *ctx) {
    char path[2048];
    if (group_path(path, sizeof path, root, NULL)) {
        walk_up(root, "/sys/fs/cgroup", path, v2, ctx);
        walk_up(root, "/sys/fs/cgroup/unified", path, v2, ctx);
    }
    if (group_path(path, sizeof path, root, controller))
        for (; *v1_mounts; v1_mounts++) walk_up(root, *v1_mounts, path, v1, ctx);
}

static void least_quota(double *least, double quota, double period) {
    if (quota > 0 && period > 0 && (*least <= 0 || quota / period < *least)) *least = quota / period;
}

static void quota_v2(void *ctx, const char *root, const char *dir) {
    char path[PATH_CAP + 32], buf[128];
    double quota, period;
    snprintf(path, sizeof path, "%s/cpu.max", dir);
    if (read_small(buf, sizeof buf, root, path) && sscanf(buf, "%lf %lf", &quota, &period) == 2)
        least_quota(ctx, quota, period);
}

static void quota_v1(void *ctx, const char *root, const char *dir) {
    least_quota(ctx, (double)read_number(root, dir, "cpu.cfs_quota_us", -1),
                (double)read_number(root, dir, "cpu.cfs_period_us", -1));
}

double ehm_machine_cpu_quota(const char *root) {
    static const char *const mounts[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct",
                                         "/sys/fs/cgroup/cpuacct,cpu", NULL};
    double least = 0;
    for_groups(root, "cpu", mounts, quota_v2, quota_v1, &least);
    return least;
}

typedef struct { int64_t limit, available; } memory_seen;

static void note_memory(memory_seen *m, int64_t limit, int64_t used, int64_t reclaimable) {
    if (limit == INT64_MAX) return;
    int64_t busy = used - reclaimable > 0 ? used - reclaimable : 0, left = limit > busy ? limit - busy : 0;
    if (limit < m->limit) m->limit = limit;
    if (left < m->available) m->available = left;
}

static int64_t at_least_0(int64_t v) { return v > 0 ? v : 0; }

static void memory_v2(void *ctx, const char *root, const char *dir) {
    char path[PATH_CAP + 32], stat[16384];
    int64_t limit = read_number(root, dir, "memory.max", INT64_MAX),
            high = read_number(root, dir, "memory.high", INT64_MAX);
    int64_t cache = 0;
    if (high < limit) limit = high; /* beyond it the kernel slows the process until nothing moves */
    if (limit == INT64_MAX) return;
    snprintf(path, sizeof path, "%s/memory.stat", dir);
    if (read_small(stat, sizeof stat, root, path)) /* file pages and such slabs are given back when memory is short */
        cache = at_least_0(number_after(stat, "inactive_file")) +
                at_least_0(number_after(stat, "active_file")) +
                at_least_0(number_after(stat, "slab_reclaimable"));
    note_memory(ctx, limit, read_number(root, dir, "memory.current", 0), cache);
}

static void memory_v1(void *ctx, const char *root, const char *dir) {
    char path[PATH_CAP + 32], stat[16384];
    int64_t limit = read_number(root, dir, "memory.limit_in_bytes", INT64_MAX), cache = 0;
    if (limit > INT64_MAX / 2) return; /* version 1 writes "none" as a number near 2^63 */
    snprintf(path, sizeof path, "%s/memory.stat", dir);
    if (read_small(stat, sizeof stat, root, path))
        cache = at_least_0(number_after(stat, "total_inactive_file")) +
                at_least_0(number_after(stat, "total_active_file"));
    note_memory(ctx, limit, read_number(root, dir, "memory.usage_in_bytes", 0), cache);
}

static memory_seen look_at_memory(const char *root) {
    static const char *const mounts[] = {"/sys/fs/cgroup/memory", NULL};
    memory_seen m = {INT64_MAX, INT64_MAX};
    char info[8192];
    if (read_small(info, sizeof info, root, "/proc/meminfo")) {
        int64_t total = number_after(info, "MemTotal:"), free_kb = number_after(info, "MemAvailable:");
        if (total > 0) m.limit = total * 1024;
        if (free_kb < 0)
            free_kb = at_least_0(number_after(info, "MemFree:")) + at_least_0(number_after(info, "Cached:"));
        if (total > 0) m.available = free_kb * 1024;
    }
    for_groups(root, "memory", mounts, memory_v2, memory_v1, &m);
    return m;
}

int64_t ehm_machine_memory_limit(const char *root) { return look_at_memory(root).limit; }
int64_t ehm_machine_memory_available(const char *root) { return look_at_memory(root).available; }
int64_t ehm_memory_limit(void) { return ehm_machine_memory_limit(""); }
int64_t ehm_memory_available(void) { return ehm_machine_memory_available(""); }

int64_t ehm_memory_peak(void) {
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) ? 0 : (int64_t)u.ru_maxrss * 1024;
}

static int32_t affinity_count(void) {
    for (int n = 1024; n <= 1 << 18; n *= 2) { /* the kernel refuses a set smaller than its own */
        cpu_set_t *set = CPU_ALLOC((size_t)n);
        if (!set) break;
        size_t size = CPU_ALLOC_SIZE((size_t)n);
        int count = sched_getaffinity(0, size, set) ? 0 : CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (count > 0) return count;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int32_t)online : 1;
}

int32_t ehm_cpu_count(void) {
    int32_t n = affinity_count();
    double quota = ehm_machine_cpu_quota("");
    /* Upwards: with 1.5 processors two threads at three quarters each finish before one. */
    if (quota > 0 && ceil(quota) < n) n = (int32_t)ceil(quota);
    return n > 0 ? n : 1;
}
