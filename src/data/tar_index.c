/* The list of members of tar files, made by reading headers only: ustar with prefix, GNU long names (L, K),
 * pax path, size and linkpath, base-256 sizes, hard and symbolic links to members. POSIX.1-2017 pax, and the
 * GNU tar manual's "Basic Tar Format". */
#include "base/file.h"
#include "base/log.h"
#include "data/sources_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCK = 512,
    MAX_EXTENDED = 1 << 20,
    MAX_NAME = 1 << 16,
    MAX_SAMPLE = 64 /* members of a WebDataset sample */
};

typedef struct { int64_t member; const char *target; bool hard; } link_to;
typedef struct {
    ehm_files *f;
    const char *tar;      /* for messages */
    int fd, i_tar;
    int64_t size;         /* of the tar */
    ehm_names names;
    int64_t cap;
    link_to *links; int64_t n_links, cap_links;
    char *long_name, *long_link, *pax_name, *pax_link; int64_t pax_size;
    int64_t n_outside;    /* names that lead out of the set */
    int64_t run; char *run_key; size_t run_key_len; int64_t run_first; /* first member of the current run */
    bool run_picture, run_meta;
    const char *duplicate; /* first name that a run holds twice */
    ehm_err *err;
} indexer;

/* A number field: octal text, or base-256 when the top bit is set. -1: neither. */
static int64_t number(const uint8_t *p, size_t n) {
    if (p[0] & 0x80) {
        if (p[0] & 0x40) return -1; /* negative */
        uint64_t v = p[0] & 0x3f;
        for (size_t i = 1; i < n; i++) {
            if (v >> 55) return -1;
            v = v << 8 | p[i];
        }
        return (int64_t)v;
    }
    int64_t v = 0;
    size_t i = 0;
    while (i < n && p[i] == ' ') i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
        if (v >> 59) return -1;
        v = v * 8 + (p[i] - '0');
    }
    for (; i < n; i++) {
        if (p[i] != ' ' && p[i] != 0) return -1;
    }
    return v;
}

bool ehm_tar_block_ok(const uint8_t b[BLOCK]) {
    uint32_t sum = 0;
    int32_t signed_sum = 0; /* some old programs added signed bytes */
    for (int i = 0; i < BLOCK; i++) {
        uint8_t v = i >= 148 && i < 156 ? ' ' : b[i];
        sum += v;
        signed_sum += (int8_t)v;
    }
    int64_t want = number(b + 148, 8);
    bool named = b[0] != 0 || b[156] == 'x' || b[156] == 'g';
    return named && want > 0 && (want == (int64_t)sum || want == (int64_t)signed_sum);
}

static bool all_zero(const uint8_t *b) {
    for (int i = 0; i < BLOCK; i++) {
        if (b[i]) return false;
    }
    return true;
}

static ehm_code no_memory(indexer *x) {
    return EHM_FAIL(x->err, EHM_E_MEMORY, "%s: no memory for the list of members", x->tar);
}

/* The name as a path inside the set: no leading '/' or "./", single slashes. False when a part is "..". */
static bool clean_name(char *name) {
    char *out = name;
    for (const char *p = name; *p;) {
        while (*p == '/') p++;
        size_t n = strcspn(p, "/");
        if (n == 0) break;
        if (n == 2 && p[0] == '.' && p[1] == '.') return false;
        if (!(n == 1 && p[0] == '.')) {
            if (out != name) *out++ = '/';
            memmove(out, p, n);
            out += n;
        }
        p += n;
    }
    *out = 0;
    return true;
}

static ehm_code extended_text(indexer *x, int64_t at, int64_t n, char **text) {
    *text = NULL;
    if (n > MAX_EXTENDED)
        return EHM_FAIL(x->err, EHM_E_FORMAT, "%s: an extended header of %lld bytes at %lld", x->tar,
                        (long long)n, (long long)(at - BLOCK));
    char *t = malloc((size_t)n + 1);
    if (!t) return no_memory(x);
    ehm_code rc = ehm_pread_all(x->fd, t, (size_t)n, at, x->tar, x->err);
    if (rc) {
        free(t);
        return rc;
    }
    t[n] = 0;
    *text = t;
    return EHM_OK;
}

static ehm_code pax_record(indexer *x, const char *key, const char *value, size_t n, int64_t at) {
    if (!strncmp(key, "GNU.sparse.", 11)) {
        EHM_HINT(x->err, "make the tar again without --sparse");
        return EHM_FAIL(x->err, EHM_E_UNSUPPORTED, "%s: sparse member at %lld", x->tar, (long long)at);
    }
    char **to = !strcmp(key, "path") ? &x->pax_name : !strcmp(key, "linkpath") ? &x->pax_link : NULL;
    if (to) {
        if (memchr(value, 0, n) || n > MAX_NAME)
            return EHM_FAIL(x->err, EHM_E_FORMAT, "%s: broken %s in the pax header at %lld", x->tar, key,
                            (long long)at);
        free(*to);
        *to = strndup(value, n);
        return *to ? EHM_OK : no_memory(x);
    }
    if (!strcmp(key, "size")) {
        char digits[24];
        if (n >= sizeof digits)
            return EHM_FAIL(x->err, EHM_E_FORMAT, "%s: broken size in the pax header at %lld", x->tar,
                            (long long)at);
        memcpy(digits, value, n);
        digits[n] = 0;
        if (!ehm_parse_i64(digits, &x->pax_size) || x->pax_size < 0) {
            return EHM_FAIL(x->err, EHM_E_FORMAT, "%s: size \"%s\" in the pax header at %lld", x->tar, digits,
                            (long long)at);
        }
    }
    return EHM_OK;
}

/* Records "LENGTH key=value\n"; LENGTH counts itself. */
static ehm_code pax_header(indexer *x, char *text, size_t n, int64_t at) {
    for (size_t i = 0; i < n && text[i];) {
        size_t len = 0, k = i;
        while (k < n && text[k] >= '0' && text[k] <= '9' && len < n)
            len = len * 10 + (size_t)(text[k++] - '0');
        char *eq = k < n && text[k] == ' ' && len >= 5 && len <= n - i
                       ? memchr(text + k + 1, '=', i + len - k - 1)
                       : NULL;
        if (!eq || text[i + len - 1] != '\n')
            return EHM_FAIL(x->err, EHM_E_FORMAT, "%s: broken pax header at %lld", x->tar, (long long)at);
        *eq = 0;
        EHM_TRY(pax_record(x, text + k + 1, eq + 1, (size_t)(text + i + len - 1 - (eq + 1)), at));
        i += len;
    }
    return EHM_OK;
}

static void forget_extended(indexer *x) {
    free(x->long_name);
    free(x->long_link);
    free(x->pax_name);
    free(x->pax_link);
    x->long_name = x->long_link = x->pax_name = x->pax_link = NULL;
    x->pax_size = -1;
}

/* WebDataset: the key is the path up to the first dot of its base name; consecutive members with one key are
 * a sample. */
static void follow_run(indexer *x, const ehm_member *m) {
    const char *base = ehm_path_base(m->name), *dot = strchr(base, '.');
    size_t n = dot ? (size_t)(dot - m->name) : strlen(m->name);
    bool same = x->run_key && x->run_key_len == n && !strncmp(x->run_key, m->name, n);
    if (!same) {
        x->run++;
        x->run_key = (char *)(uintptr_t)m->name;
        x->run_key_len = n;
        x->run_first = x->f->n;
        x->run_picture = x->run_meta = false;
    } else if (dot && !x->duplicate && x->f->n - x->run_first < MAX_SAMPLE) {
        for (int64_t i = x->run_first; i < x->f->n; i++) {
            const char *other = x->f->v[i].name + n;
            if (x->f->v[i].run == x->run && !strcasecmp(other, m->name + n)) {
                x->duplicate = m->name;
                break;
            }
        }
    }
    if (!dot) return;
    if (m->what != EHM_MEMBER_OTHER) x->run_picture = true;
    if (!strcasecmp(dot, ".cls") || !strcasecmp(dot, ".json") || !strcasecmp(dot, ".txt")) x->run_meta = true;
    if (x->run_picture && x->run_meta) x->f->is_wds = true;
}

static ehm_code add_member(indexer *x, char *name, int64_t at, int64_t n_bytes, uint8_t what, bool with_run,
                           int64_t *index) {
    ehm_files *f = x->f;
    if (f->n == x->cap) {
        int64_t cap = x->cap ? x->cap * 2 : 4096;
        ehm_member *v = realloc(f->v, (size_t)cap * sizeof *v);
        if (!v) return no_memory(x);
        f->v = v;
        x->cap = cap;
    }
    ehm_member m = {.offset = at, .n_bytes = n_bytes, .i_tar = x->i_tar, .what = what};
    m.name = ehm_names_add(&x->names, name, strlen(name));
    if (!m.name) return no_memory(x);
    if (with_run) follow_run(x, &m);
    m.run = x->run;
    if (index) *index = f->n;
    f->v[f->n++] = m;
    return EHM_OK;
}

static ehm_code add_link(indexer *x, char *name, const char *target, bool hard) {
    if (x->n_links == x->cap_links) {
        int64_t cap = x->cap_links ? x->cap_links * 2 : 64;
        link_to *v = realloc(x->links, (size_t)cap * sizeof *v);
        if (!v) return no_memory(x);
        x->links = v;
        x->cap_links = cap;
    }
    /* A symbolic link is relative to its own folder, a hard link to the tar's root. */
    char *path = NULL;
    const char *base = ehm_path_base(name);
    if (hard || *target == '/') path = strdup(target);
    else if (asprintf(&path, "%.*s%s", (int)(base - name), name, target) < 0) path = NULL;
    if (!path) return no_memory(x);
    for (char *up; (up = strstr(path, "/../"));) { /* "a/b/../c" -> "a/c" */
        char *from = up;
        while (from > path && from[-1] != '/') from--;
        memmove(from, up + 4, strlen(up + 4) + 1);
    }
    bool inside = clean_name(path);
    const char *kept = inside ? ehm_names_add(&x->names, path, strlen(path)) : NULL;
    free(path);
    if (!inside) {
        x->f->n_ignored++;
        return EHM_OK;
    }
    if (!kept) return no_memory(x);
    int64_t i = 0;
    EHM_TRY(add_member(x, name, 0, 0, EHM_MEMBER_OTHER, false, &i));
    x->links[x->n_links++] = (link_to){i, kept, hard};
    return EHM_OK;
}

/* Name and link target of a header block, from it or from the extended headers before it. */
static void names_of(indexer *x, const uint8_t *b, char *name, size_t room, char link[101],
                     const char **target) {
    bool ustar = !memcmp(b + 257, "ustar\0", 6); /* GNU's "ustar  " has no prefix field */
    const char *given = x->pax_name ? x->pax_name : x->long_name;
    if (given) snprintf(name, room, "%s", given);
    else if (ustar && b[345]) snprintf(name, room, "%.155s/%.100s", (const char *)b + 345, (const char *)b);
    else snprintf(name, room, "%.100s", (const char *)b);
    snprintf(link, 101, "%.100s", (const char *)b + 157);
    *target = x->pax_link ? x->pax_link : x->long_link ? x->long_link : link;
}

static ehm_code one_member(indexer *x, const uint8_t *b, size_t n_b, int64_t at, int64_t size) {
    char link[101];
    const char *target;
    char *name = malloc(MAX_NAME + 2);
    if (!name) return no_memory(x);
    names_of(x, b, name, MAX_NAME + 2, link, &target);
    ehm_code rc = EHM_OK;
    char type = (char)b[156];
    size_t n_name = strlen(name);
    bool is_dir = type == '5' || (n_name && name[n_name - 1] == '/'); /* old tars mark folders by the slash */
    if (is_dir) goto done;
    if (!clean_name(name)) {
        if (x->n_outside++ == 0)
            ehm_log(EHM_LOG_WARN, "%s: member \"%s\" leads out of the set and is left out", x->tar, name);
        x->f->n_ignored++;
        goto done;
    }
    if (type == '1' || type == '2') {
        if (ehm_name_hidden(name)) x->f->n_ignored++;
        else rc = add_link(x, name, target, type == '1');
    } else if (type == '0' || type == 0 || type == '7') {
        if (!*name || ehm_name_hidden(name)) x->f->n_ignored++;
        else
            rc = add_member(
                x, name, at + BLOCK, size,
                ehm_member_what(b + BLOCK, n_b - BLOCK < (size_t)size ? n_b - BLOCK : (size_t)size), true,
                NULL);
    } else {
        x->f->n_ignored++; /* devices, pipes, vendor types */
    }
done:
    free(name);
    return rc;
}

static ehm_code refuse(indexer *x, const uint8_t *b, int64_t at) {
    if (b[156] == 'S') {
        EHM_HINT(x->err, "make the tar again without --sparse");
        return EHM_FAIL(x->err, EHM_E_UNSUPPORTED, "%s: sparse member \"%.100s\" at %lld", x->tar,
                        (const char *)b, (long long)at);
    }
    if (b[156] == 'M') {
        EHM_HINT(x->err, "make one tar of the parts");
        return EHM_FAIL(x->err, EHM_E_UNSUPPORTED, "%s: \"%.100s\" at %lld goes on from another volume",
                        x->tar, (const char *)b, (long long)at);
    }
    return EHM_OK;
}

static ehm_code cut_short(indexer *x, int64_t at, int64_t size) {
    EHM_HINT(x->err, "the file may not have been copied or downloaded to its end");
    return EHM_FAIL(x->err, EHM_E_FORMAT,
                    "%s: the tar ends early: the member at %lld needs %lld bytes, the file has %lld", x->tar,
                    (long long)at, (long long)size, (long long)(x->size - at - BLOCK));
}

/* Reads one header at *at and moves on. done: the end of the archive was found. */
static ehm_code step(indexer *x, int64_t *at, bool *done) {
    uint8_t b[BLOCK + EHM_SNIFF_BYTES];
    if (*at == x->size) { /* no closing blocks: accepted as every tar program does */
        *done = true;
        return EHM_OK;
    }
    if (x->size - *at < BLOCK) return cut_short(x, *at, BLOCK);
    size_t n_b = x->size - *at < (int64_t)sizeof b ? (size_t)(x->size - *at) : sizeof b;
    EHM_TRY(ehm_pread_all(x->fd, b, n_b, *at, x->tar, x->err));
    if (all_zero(b)) {
        *done = true;
        return EHM_OK;
    }
    if (!ehm_tar_block_ok(b))
        return EHM_FAIL(x->err, EHM_E_FORMAT, "%s: no tar header at byte %lld (its check sum is wrong)",
                        x->tar, (long long)*at);
    EHM_TRY(refuse(x, b, *at));
    int64_t size = number(b + 124, 12);
    char type = (char)b[156];
    bool extended = type == 'x' || type == 'g' || type == 'L' || type == 'K' || type == 'X';
    if (!extended && x->pax_size >= 0) size = x->pax_size;
    bool no_data = type == '1' || type == '2' || type == '3' || type == '4' || type == '5' || type == '6';
    if (no_data) size = 0; /* POSIX: whatever the field says, no data follows these */
    if (size < 0)
        return EHM_FAIL(x->err, EHM_E_FORMAT, "%s: broken size of the member at byte %lld", x->tar,
                        (long long)*at);
    if (size > x->size - *at - BLOCK) return cut_short(x, *at, size);
    if (extended) {
        char *text;
        EHM_TRY(extended_text(x, *at + BLOCK, size, &text));
        ehm_code rc = EHM_OK;
        if (type == 'L' || type == 'K') {
            char **to = type == 'L' ? &x->long_name : &x->long_link;
            free(*to);
            *to = text;
            text = NULL;
            if (strlen(*to) > MAX_NAME)
                rc = EHM_FAIL(x->err, EHM_E_FORMAT, "%s: a name of %lld bytes at %lld", x->tar,
                              (long long)size, (long long)*at);
        } else if (type == 'g') {
            char *key = strstr(text, "GNU.sparse."); /* a global header may not set names or sizes of all
                                                        members; only this matters */
            if (key) rc = pax_record(x, "GNU.sparse.", "", 0, *at);
        } else {
            rc = pax_header(x, text, (size_t)size, *at);
        }
        free(text);
        EHM_TRY(rc);
    } else {
        ehm_code rc = one_member(x, b, n_b, *at, size);
        forget_extended(x);
        EHM_TRY(rc);
    }
    int64_t padded = (size + BLOCK - 1) / BLOCK * BLOCK;
    *at += BLOCK + padded;
    if (*at > x->size) *at = x->size; /* the last member's padding may be missing */
    return EHM_OK;
}

static ehm_code index_one(indexer *x) {
    int64_t at = 0;
    bool done = false;
    x->run++;
    x->run_key = NULL; /* a sample never spans two tars */
    for (int64_t n = 0; !done; n++) {
        EHM_TRY(step(x, &at, &done));
        if ((n & 0xffff) == 0xffff) {
            ehm_progress(false, "reading the list of %s: %lld members", x->tar, (long long)x->f->n);
            if (ehm_stop_asked())
                return EHM_FAIL(x->err, EHM_E_STOPPED, "stopped while reading the list of %s", x->tar);
        }
    }
    if (x->long_name || x->pax_name)
        return EHM_FAIL(x->err, EHM_E_FORMAT, "%s: ends after a long name that has no member", x->tar);
    return EHM_OK;
}

/* Two tars hold the same name: every name gets its tar's, without ending, as first part. */
static ehm_code prefix_by_tar(indexer *x) {
    ehm_files *f = x->f;
    char **prefix = EHM_NEW_N(x->names.a, char *, f->n_tars);
    if (!prefix) return no_memory(x);
    for (int32_t i = 0; i < f->n_tars; i++) {
        int32_t n_same =
            0; /* tars of different folders may share their own name too; then a number tells them apart */
        for (int32_t k = 0; k < i; k++) n_same += !strcmp(ehm_path_base(f->tar[k]), ehm_path_base(f->tar[i]));
        prefix[i] = n_same ? ehm_arena_printf(x->names.a, "%s~%d", ehm_path_base(f->tar[i]), n_same + 1)
                           : ehm_arena_strdup(x->names.a, ehm_path_base(f->tar[i]));
        if (!prefix[i]) return no_memory(x);
    }
    for (int64_t i = 0; i < f->n; i++) {
        char *name = NULL;
        if (asprintf(&name, "%s/%s", prefix[f->v[i].i_tar], f->v[i].name) < 0) return no_memory(x);
        f->v[i].name = ehm_names_add(&x->names, name, strlen(name));
        free(name);
        if (!f->v[i].name) return no_memory(x);
    }
    f->has_shard_prefix = true;
    return EHM_OK;
}

static int by_name_only(const void *a, const void *b) {
    return strcmp(**(const char *const *const *)a, **(const char *const *const *)b);
}

static ehm_code shared_names(indexer *x, bool *shared) {
    *shared = false;
    ehm_files *f = x->f;
    if (f->n_tars < 2 || f->n < 2) return EHM_OK;
    const char ***v = malloc((size_t)f->n * sizeof *v);
    if (!v) return no_memory(x);
    for (int64_t i = 0; i < f->n; i++) v[i] = &f->v[i].name;
    qsort(v, (size_t)f->n, sizeof *v, by_name_only);
    for (int64_t i = 1; i < f->n && !*shared; i++) {
        const ehm_member *p = (const ehm_member *)(const void *)((const char *)v[i - 1] -
                                                                 offsetof(ehm_member, name));
        const ehm_member *q = (const ehm_member *)(const void *)((const char *)v[i] -
                                                                 offsetof(ehm_member, name));
        *shared = p->i_tar != q->i_tar && !strcmp(p->name, q->name);
    }
    free(v);
    return EHM_OK;
}

/* Links become aliases of the member they name; links to links are followed, loops and dangling ones left
 * out. Members are not yet sorted, so the names are looked up in a sorted copy. */
static ehm_code resolve_links(indexer *x) {
    ehm_files *f = x->f;
    if (!x->n_links) return EHM_OK;
    ehm_files sorted = {.n = f->n, .v = malloc((size_t)f->n * sizeof *f->v)};
    if (!sorted.v) return no_memory(x);
    bool changed = true;
    for (int round = 0; round < 8 && changed; round++) {
        changed = false;
        sorted.n = f->n;
        memcpy(sorted.v, f->v, (size_t)f->n * sizeof *f->v);
        ehm_files_sort(&sorted);
        for (int64_t i = 0; i < x->n_links; i++) {
            ehm_member *m = &f->v[x->links[i].member];
            if (m->offset) continue; /* resolved: data never starts at 0 */
            int64_t k = ehm_files_find(&sorted, x->links[i].target);
            if (k < 0 || !sorted.v[k].offset || sorted.v[k].i_tar != m->i_tar) continue;
            m->offset = sorted.v[k].offset;
            m->n_bytes = sorted.v[k].n_bytes;
            m->what = sorted.v[k].what;
            changed = true;
        }
    }
    free(sorted.v);
    int64_t n = 0;
    for (int64_t i = 0; i < f->n; i++) {
        if (f->v[i].offset) f->v[n++] = f->v[i];
        else f->n_ignored++;
    }
    f->n = n;
    return EHM_OK;
}

static ehm_code open_one(int *fd, const char *path, const ehm_dataset_opt *opt, ehm_err *err) {
    uint8_t head[EHM_SNIFF_BYTES];
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return EHM_FAIL(err, EHM_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    ssize_t n = pread(*fd, head, sizeof head, 0);
    if (n < 0 || fstat(*fd, &st) || !S_ISREG(st.st_mode))
        return EHM_FAIL(err, EHM_E_IO, "%s: is no file that can be read", path);
    ehm_pack pack = ehm_pack_of(head, (size_t)n);
    if (pack == EHM_PACK_NONE) return EHM_OK;
    close(*fd);
    *fd = -1;
    return ehm_archive_open(fd, path, pack, opt, err);
}

static ehm_code index_all(indexer *x, const ehm_strs *tars, const ehm_dataset_opt *opt, ehm_arena *a,
                          ehm_err *err) {
    ehm_files *f = x->f;
    for (int32_t i = 0; i < tars->n; i++) {
        struct stat st;
        f->tar[i] = x->tar = ehm_arena_strdup(a, tars->v[i]);
        if (!x->tar) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", tars->v[i]);
        EHM_TRY(open_one(&f->fd[i], x->tar, opt, err));
        if (fstat(f->fd[i], &st)) return EHM_FAIL(err, EHM_E_IO, "%s: %s", x->tar, strerror(errno));
        x->fd = f->fd[i];
        x->i_tar = i;
        x->size = st.st_size;
        EHM_TRY(index_one(x));
        forget_extended(x);
    }
    if (f->is_wds && x->duplicate) {
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: the WebDataset sample of \"%s\" holds that ending twice",
                        f->root, x->duplicate);
    }
    EHM_TRY(resolve_links(x));
    bool shared;
    EHM_TRY(shared_names(x, &shared));
    return shared ? prefix_by_tar(x) : EHM_OK;
}

ehm_code ehm_files_tars(ehm_files **out, const char *spec, const ehm_strs *tars, const ehm_dataset_opt *opt,
                        ehm_arena *a, ehm_err *err) {
    *out = NULL;
    ehm_files *f = EHM_NEW(a, ehm_files);
    if (f)
        *f = (ehm_files){.root = ehm_arena_strdup(a, spec),
                         .is_tar = true,
                         .fd = EHM_NEW_N(a, int, tars->n + 1),
                         .tar = EHM_NEW_N(a, const char *, tars->n + 1)};
    if (!f || !f->root || !f->fd || !f->tar) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", spec);
    f->n_tars = tars->n;
    for (int32_t i = 0; i < tars->n; i++) f->fd[i] = -1;
    indexer x = {.f = f, .tar = spec, .names = {.a = a}, .pax_size = -1, .err = err};
    ehm_code rc = index_all(&x, tars, opt, a, err);
    forget_extended(&x);
    free(x.links);
    ehm_member *heap = f->v;
    f->v = NULL;
    if (!rc) {
        f->v = EHM_NEW_N(a, ehm_member, f->n ? f->n : 1);
        if (!f->v) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for the list of members", spec);
        else if (f->n) memcpy(f->v, heap, (size_t)f->n * sizeof *f->v);
    }
    free(heap);
    if (!rc) {
        ehm_files_sort(f);
        *out = f;
    } else {
        f->n = 0;
        ehm_files_close(f);
    }
    return rc;
}
