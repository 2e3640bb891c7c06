/* The directory of a zip file whose entries are stored, as torch.save writes it (PKWARE's APPNOTE 6.3, with
 * its zip64 records). The central directory decides; each local header has to agree with it. */
#include "exchange/pth_int.h"
#include <stdlib.h>
#include <string.h>

enum {
    LOCAL_SIG = 0x04034b50,
    CENTRAL_SIG = 0x02014b50,
    END_SIG = 0x06054b50,
    END64_SIG = 0x06064b50,
    LOCATOR_SIG = 0x07064b50,
    LOCAL_BYTES = 30,
    CENTRAL_BYTES = 46,
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    COMMENT_MAX = 65535,
    EXTRA_ZIP64 = 1,
    FLAG_ENCRYPTED = 1,
    FLAG_SIZES_FOLLOW = 8,
    FLAG_STRONG = 64,
    FLAG_HIDDEN = 8192
};
#define SAT16 0xffffu
#define SAT32 0xffffffffu

static uint32_t u16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static uint32_t u32(const uint8_t *p) { return u16(p) | u16(p + 2) << 16; }
static uint64_t u64(const uint8_t *p) { return u32(p) | (uint64_t)u32(p + 4) << 32; }

typedef struct {
    const uint8_t *file; size_t n;
    const char *path;
    ehm_err *err;
    uint64_t n_entries, dir_at, dir_bytes;
} reader;

uint32_t ehm_zip_crc32(const uint8_t *p, size_t n) {
    uint32_t table[256], c = SAT32;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i;
        for (int k = 0; k < 8; k++) v = v >> 1 ^ (v & 1 ? 0xedb88320u : 0);
        table[i] = v;
    }
    for (size_t i = 0; i < n; i++) c = c >> 8 ^ table[(c ^ p[i]) & 255];
    return ~c;
}

/* The end record: the last thing in the file but for its own comment, which has to reach the file's end
 * exactly. */
static ehm_code find_end(reader *r, size_t *at_out) {
    if (r->n < END_BYTES)
        return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: a zip file of %zu bytes is cut short", r->path, r->n);
    size_t lowest = r->n - END_BYTES > COMMENT_MAX ? r->n - END_BYTES - COMMENT_MAX : 0;
    for (size_t at = r->n - END_BYTES;; at--) {
        if (u32(r->file + at) == END_SIG && u16(r->file + at + 20) == r->n - END_BYTES - at)
            return *at_out = at, EHM_OK;
        if (at == lowest) break;
    }
    EHM_FAIL(r->err, EHM_E_FORMAT,
             "%s: a zip file without its directory at the end (%zu bytes); is the file cut short?", r->path,
             r->n);
    EHM_HINT(r->err, "copy or download it again");
    return EHM_E_FORMAT;
}

/* The record of large files, which torch writes for small ones too. */
static ehm_code read_end64(reader *r, size_t end_at, size_t *dir_limit) {
    const uint8_t *l = r->file + end_at - LOCATOR_BYTES;
    uint64_t at = u64(l + 8);
    if (u32(l + 4) || u32(l + 16) > 1)
        return EHM_FAIL(r->err, EHM_E_UNSUPPORTED, "%s: a zip file in several volumes", r->path);
    if (at > end_at - LOCATOR_BYTES || end_at - LOCATOR_BYTES - at < END64_BYTES)
        return EHM_FAIL(r->err, EHM_E_FORMAT,
                        "%s: its zip64 record is said to lie at byte %llu, outside its place", r->path,
                        (unsigned long long)at);
    const uint8_t *e = r->file + at;
    uint64_t size = u64(e + 4);
    if (u32(e) != END64_SIG || size < END64_BYTES - 12 || size > end_at - LOCATOR_BYTES - at - 12)
        return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: no whole zip64 record at byte %llu", r->path,
                        (unsigned long long)at);
    if (u32(e + 16) || u32(e + 20) || u64(e + 24) != u64(e + 32))
        return EHM_FAIL(r->err, EHM_E_UNSUPPORTED, "%s: a zip file in several volumes", r->path);
    uint64_t n = u64(e + 32), bytes = u64(e + 40), dir = u64(e + 48);
    if ((r->n_entries != SAT16 && r->n_entries != n) || (r->dir_bytes != SAT32 && r->dir_bytes != bytes) ||
        (r->dir_at != SAT32 && r->dir_at != dir))
        return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: its two end records do not agree", r->path);
    r->n_entries = n, r->dir_bytes = bytes, r->dir_at = dir;
    *dir_limit = (size_t)at;
    return EHM_OK;
}

static ehm_code read_end(reader *r) {
    size_t at = 0;
    EHM_TRY(find_end(r, &at));
    const uint8_t *e = r->file + at;
    if ((u16(e + 4) && u16(e + 4) != SAT16) || (u16(e + 6) && u16(e + 6) != SAT16) ||
        u16(e + 8) != u16(e + 10))
        return EHM_FAIL(r->err, EHM_E_UNSUPPORTED, "%s: a zip file in several volumes", r->path);
    r->n_entries = u16(e + 10), r->dir_bytes = u32(e + 12), r->dir_at = u32(e + 16);
    size_t limit = at;
    bool saturated = r->n_entries == SAT16 || r->dir_bytes == SAT32 || r->dir_at == SAT32;
    if (at >= LOCATOR_BYTES && u32(e - LOCATOR_BYTES) == LOCATOR_SIG) EHM_TRY(read_end64(r, at, &limit));
    else if (saturated && (r->dir_bytes == SAT32 || r->dir_at == SAT32))
        return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: its zip64 record is missing", r->path);
    if (r->dir_at > limit || r->dir_bytes > limit - r->dir_at)
        return EHM_FAIL(r->err, EHM_E_FORMAT,
                        "%s: the zip directory of %llu bytes at byte %llu is not within the file's %zu; is "
                        "the file cut short?",
                        r->path, (unsigned long long)r->dir_bytes, (unsigned long long)r->dir_at, r->n);
    if (r->n_entries > r->dir_bytes / CENTRAL_BYTES)
        return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: %llu entries do not fit a zip directory of %llu bytes",
                        r->path, (unsigned long long)r->n_entries, (unsigned long long)r->dir_bytes);
    if (r->n_entries > EHM_PKL_VALUES)
        return EHM_FAIL(r->err, EHM_E_UNSUPPORTED, "%s: %llu entries, more than %d", r->path,
                        (unsigned long long)r->n_entries, (int)EHM_PKL_VALUES);
    return EHM_OK;
}

const char *ehm_pth_shown(char buf[84], const char *s, size_t n) {
    size_t len = n < 80 ? n : 80;
    for (size_t i = 0; i < len; i++) buf[i] = (unsigned char)s[i] < 32 || s[i] == 127 ? '?' : s[i];
    memcpy(buf + len, "...", 4);
    if (n <= 80) buf[len] = 0;
    return buf;
}

static const char *method_name(uint32_t m) {
    switch (m) {
    case 8: return "deflate";
    case 9: return "deflate64";
    case 12: return "bzip2";
    case 14: return "LZMA";
    case 93: return "Zstandard";
    case 95: return "XZ";
    default: return "an unknown method";
    }
}

/* Relative, plain, and without steps upwards: nothing is ever unpacked, but a name like this is no work of
 * torch.save. */
static bool plain_name(const char *s, size_t n) {
    size_t part = 0;
    if (!n || s[0] == '/') return false;
    for (size_t i = 0; i <= n; i++) {
        if (i < n && s[i] != '/') {
            if ((unsigned char)s[i] < 32 || s[i] == 127 || s[i] == '\\') return false;
            continue;
        }
        size_t len = i - part;
        if (!len && i < n) return false;
        if ((len == 1 && s[part] == '.') || (len == 2 && s[part] == '.' && s[part + 1] == '.')) return false;
        part = i + 1;
    }
    return true;
}

/* The values that did not fit 32 bits, in this order, each only if its field is all ones. */
static ehm_code read_zip64(reader *r, const uint8_t *extra, size_t n, uint64_t *size, uint64_t *packed,
                           uint64_t *at, const char *name) {
    uint64_t *field[3] = {size, packed, at};
    bool wanted = *size == SAT32 || *packed == SAT32 || *at == SAT32;
    while (wanted && n >= 4) {
        size_t id = u16(extra), len = u16(extra + 2);
        if (len > n - 4) break;
        if (id == EXTRA_ZIP64) {
            const uint8_t *p = extra + 4;
            for (int k = 0; k < 3; k++) {
                if (*field[k] != SAT32) continue;
                if (len < 8)
                    return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: the zip64 field of \"%.80s\" is cut short",
                                    r->path, name);
                *field[k] = u64(p), p += 8, len -= 8;
            }
            return EHM_OK;
        }
        extra += 4 + len, n -= 4 + len;
    }
    return wanted ? EHM_FAIL(r->err, EHM_E_FORMAT, "%s: \"%.80s\" has no zip64 field with its size", r->path,
                             name)
                  : EHM_OK;
}

/* The header before the data: where the data begins, and whether it speaks of the same entry. */
static ehm_code check_local(const reader *r, ehm_zip_entry *e, uint32_t flags) {
    if (e->header_at > r->dir_at || r->dir_at - e->header_at < LOCAL_BYTES)
        return EHM_FAIL(r->err, EHM_E_FORMAT,
                        "%s: \"%.80s\" is said to begin at byte %zu, outside the zip file's data", r->path,
                        e->name, e->header_at);
    const uint8_t *l = r->file + e->header_at;
    size_t room = (size_t)r->dir_at - e->header_at - LOCAL_BYTES, n_name = u16(l + 26), n_extra = u16(l + 28);
    if (u32(l) != LOCAL_SIG)
        return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: no header of \"%.80s\" at byte %zu", r->path, e->name,
                        e->header_at);
    if (n_name + n_extra > room || e->size > room - n_name - n_extra)
        return EHM_FAIL(
            r->err, EHM_E_FORMAT,
            "%s: \"%.80s\" of %zu bytes at byte %zu runs out of the zip file's data; is the file cut short?",
            r->path, e->name, e->size, e->header_at);
    uint32_t packed = u32(l + 18), size = u32(l + 22);
    bool sizes_here = !(u16(l + 6) & FLAG_SIZES_FOLLOW);
    if (u16(l + 8) != e->method || n_name != strlen(e->name) || memcmp(l + LOCAL_BYTES, e->name, n_name) ||
        (u16(l + 6) & FLAG_ENCRYPTED) != (flags & FLAG_ENCRYPTED) ||
        (sizes_here &&
         ((packed != SAT32 && packed != e->size) || (!e->method && size != SAT32 && size != e->size))))
        return EHM_FAIL(r->err, EHM_E_FORMAT,
                        "%s: the header of \"%.80s\" does not agree with the zip directory", r->path,
                        e->name);
    e->data = l + LOCAL_BYTES + n_name + n_extra;
    return EHM_OK;
}

static ehm_code read_entry(reader *r, ehm_zip_entry *e, const uint8_t *c, size_t room, size_t *taken,
                           ehm_arena *a) {
    if (room < CENTRAL_BYTES || u32(c) != CENTRAL_SIG)
        return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: no entry of the zip directory at byte %zu", r->path,
                        (size_t)(c - r->file));
    size_t n_name = u16(c + 28), n_extra = u16(c + 30), n_comment = u16(c + 32);
    uint32_t flags = u16(c + 8), method = u16(c + 10);
    *taken = CENTRAL_BYTES + n_name + n_extra + n_comment;
    if (*taken > room) return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: the zip directory is cut short", r->path);
    char shown[84];
    if (!plain_name((const char *)c + CENTRAL_BYTES, n_name)) /* also: no NUL in it */
        return EHM_FAIL(
            r->err, EHM_E_FORMAT,
            "%s: the zip directory has an entry of the name \"%s\", which torch.save never writes", r->path,
            ehm_pth_shown(shown, (const char *)c + CENTRAL_BYTES, n_name));
    char *name = ehm_arena_strndup(a, (const char *)c + CENTRAL_BYTES, n_name);
    if (!name) return EHM_FAIL(r->err, EHM_E_MEMORY, "%s: no memory for its directory", r->path);
    uint64_t packed = u32(c + 20), size = u32(c + 24), at = u32(c + 42);
    if (flags & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_HIDDEN))
        return EHM_FAIL(r->err, EHM_E_UNSUPPORTED, "%s: \"%.80s\" is encrypted", r->path, name);
    EHM_TRY(read_zip64(r, c + CENTRAL_BYTES + n_name, n_extra, &size, &packed, &at, name));
    if (size != packed && !method)
        return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: \"%.80s\" is stored, but has two sizes, %llu and %llu",
                        r->path, name, (unsigned long long)size, (unsigned long long)packed);
    if (packed > r->n || at > r->n)
        return EHM_FAIL(r->err, EHM_E_FORMAT,
                        "%s: \"%.80s\" of %llu bytes at byte %llu is outside the file of %zu", r->path, name,
                        (unsigned long long)packed, (unsigned long long)at, r->n);
    *e = (ehm_zip_entry){
        .name = name, .size = (size_t)packed, .header_at = (size_t)at, .method = method, .crc = u32(c + 16)};
    return check_local(r, e, flags);
}

static int by_place(const void *a, const void *b) {
    const ehm_zip_entry *x = a, *y = b;
    return (x->header_at > y->header_at) - (x->header_at < y->header_at);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const ehm_zip_entry *)a)->name, ((const ehm_zip_entry *)b)->name);
}

ehm_code ehm_zip_read(ehm_zip *out, const uint8_t *file, size_t n, const char *path, ehm_arena *a,
                      ehm_err *err) {
    reader r = {.file = file, .n = n, .path = path, .err = err};
    *out = (ehm_zip){0};
    EHM_TRY(read_end(&r));
    ehm_zip_entry *e = EHM_NEW_N(a, ehm_zip_entry, r.n_entries ? r.n_entries : 1);
    if (!e)
        return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for %llu entries", path,
                        (unsigned long long)r.n_entries);
    const uint8_t *c = file + r.dir_at;
    size_t room = (size_t)r.dir_bytes, taken = 0;
    for (uint64_t i = 0; i < r.n_entries; i++, c += taken, room -= taken)
        EHM_TRY(read_entry(&r, &e[i], c, room, &taken, a));
    if (room)
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: the zip directory has %zu bytes behind its last entry", path,
                        room);
    int32_t count = (int32_t)r.n_entries;
    qsort(e, (size_t)count, sizeof *e, by_place);
    for (int32_t i = 1; i < count; i++)
        if (e[i - 1].data + e[i - 1].size > file + e[i].header_at)
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: the entries \"%.80s\" and \"%.80s\" overlap", path,
                            e[i - 1].name, e[i].name);
    qsort(e, (size_t)count, sizeof *e, by_name);
    for (int32_t i = 1; i < count; i++)
        if (!strcmp(e[i - 1].name, e[i].name))
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: two entries are named \"%.80s\"", path, e[i].name);
    out->entry = e;
    for (int32_t i = 0; i < count; i++) {
        size_t len = strlen(e[i].name);
        if (e[i].name[len - 1] != '/') e[out->n++] = e[i]; /* a folder holds nothing */
    }
    return EHM_OK;
}

const ehm_zip_entry *ehm_zip_find(const ehm_zip *z, const char *name) {
    ehm_zip_entry key = {.name = name};
    return z->n ? bsearch(&key, z->entry, (size_t)z->n, sizeof key, by_name) : NULL;
}

ehm_code ehm_zip_stored(const ehm_zip_entry *e, const char *path, ehm_err *err) {
    if (!e->method) return EHM_OK;
    EHM_FAIL(err, EHM_E_UNSUPPORTED,
             "%s: \"%.80s\" is compressed (%s, %u); torch.save stores its entries as they are", path, e->name,
             method_name(e->method), e->method);
    EHM_HINT(err, "unpack it and pack it again without compression: zip -0 -r new.pth FOLDER");
    return EHM_E_UNSUPPORTED;
}
