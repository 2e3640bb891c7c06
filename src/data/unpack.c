/* Streams of gzip, Zstandard and xz, unpacked piece by piece. The only file of this folder that knows their
 * libraries. */
#include "data/sources_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#if EHM_WITH_ZLIB
#include <zlib.h>
#endif
#if EHM_WITH_ZSTD
#include <zstd.h>
#endif
#if EHM_WITH_LZMA
#include <lzma.h>
#endif

enum { CHUNK = 1 << 17 };

ehm_pack ehm_pack_of(const uint8_t *p, size_t n) {
    if (n >= 3 && p[0] == 0x1f && p[1] == 0x8b && p[2] == 8) return EHM_PACK_GZIP;
    if (n >= 4 && !memcmp(p, "\x28\xb5\x2f\xfd", 4)) return EHM_PACK_ZSTD;
    if (n >= 6 && !memcmp(p, "\xfd" "7zXZ\0", 6)) return EHM_PACK_XZ;
    if (n >= 10 && !memcmp(p, "BZh", 3) && p[3] >= '1' && p[3] <= '9' &&
        !memcmp(p + 4, "\x31\x41\x59\x26\x53\x59", 6))
        return EHM_PACK_BZIP2;
    if (n >= 4 && (!memcmp(p, "PK\3\4", 4) || !memcmp(p, "PK\5\6", 4))) return EHM_PACK_ZIP;
    if (n >= 6 && !memcmp(p, "7z\xbc\xaf\x27\x1c", 6)) return EHM_PACK_7Z;
    if (n >= 6 && !memcmp(p, "Rar!\x1a\x07", 6)) return EHM_PACK_RAR;
    return EHM_PACK_NONE;
}

const char *ehm_pack_name(ehm_pack p) {
    static const char *const names[] = {"plain", "gzip", "Zstandard", "xz", "bzip2", "zip", "7z", "rar"};
    return names[p];
}

typedef struct {
    int fd;
    const char *path;
    uint8_t *in, *out;
    int64_t *in_bytes;
    ehm_unpack_fn fn;
    void *ctx;
    ehm_err *err;
} stream;

/* Unused where no library is built in. */
__attribute__((unused)) static ehm_code fill(stream *s, size_t *n) {
    for (;;) {
        ssize_t got = read(s->fd, s->in, CHUNK);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return EHM_FAIL(s->err, EHM_E_IO, "%s: cannot be read: %s", s->path, strerror(errno));
        *n = (size_t)got;
        if (s->in_bytes) *s->in_bytes += got;
        return EHM_OK;
    }
}

__attribute__((unused)) static ehm_code ends_early(stream *s, const char *what) {
    EHM_HINT(s->err, "the file may not have been copied or downloaded to its end");
    return EHM_FAIL(s->err, EHM_E_FORMAT, "%s: the %s data ends early", s->path, what);
}
__attribute__((unused)) static ehm_code broken(stream *s, const char *what, const char *why) {
    return EHM_FAIL(s->err, EHM_E_FORMAT, "%s: broken %s data: %s", s->path, what,
                    why ? why : "unknown reason");
}

#if EHM_WITH_ZLIB
/* Members may follow one another, as gzip allows; zeros or garbage after the last are ignored, as gzip does.
 */
static ehm_code gzip_members(stream *s, z_stream *z) {
    bool ended = false;
    for (;;) {
        size_t n;
        EHM_TRY(fill(s, &n));
        if (n == 0) return ended ? EHM_OK : ends_early(s, "gzip");
        z->next_in = s->in;
        z->avail_in = (uInt)n;
        while (z->avail_in) {
            if (ended) {
                if (z->next_in[0] != 0x1f) return EHM_OK;
                inflateReset(z);
                ended = false;
            }
            z->next_out = s->out;
            z->avail_out = CHUNK;
            int r = inflate(z, Z_NO_FLUSH);
            if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR) return broken(s, "gzip", z->msg);
            size_t made = CHUNK - z->avail_out;
            if (made) EHM_TRY(s->fn(s->ctx, s->out, made, s->err));
            if (r == Z_STREAM_END) ended = true;
            if (r == Z_BUF_ERROR && !made) break;
        }
    }
}

static ehm_code unpack_gzip(stream *s) {
    z_stream z = {0};
    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return EHM_FAIL(s->err, EHM_E_MEMORY, "%s: no memory to unpack", s->path);
    ehm_code rc = gzip_members(s, &z);
    inflateEnd(&z);
    return rc;
}
#endif

#if EHM_WITH_ZSTD
static ehm_code unpack_zstd(stream *s) {
    ZSTD_DStream *d = ZSTD_createDStream();
    if (!d) return EHM_FAIL(s->err, EHM_E_MEMORY, "%s: no memory to unpack", s->path);
    ehm_code rc = EHM_OK;
    size_t left = 1; /* 0: a frame ended */
    for (;;) {
        size_t n;
        rc = fill(s, &n);
        if (rc) break;
        if (n == 0) {
            if (left) rc = ends_early(s, "Zstandard");
            break;
        }
        ZSTD_inBuffer in = {s->in, n, 0};
        for (bool more = true; more && !rc;) {
            ZSTD_outBuffer o = {s->out, CHUNK, 0};
            left = ZSTD_decompressStream(d, &o, &in);
            if (ZSTD_isError(left)) rc = broken(s, "Zstandard", ZSTD_getErrorName(left));
            else if (o.pos) rc = s->fn(s->ctx, s->out, o.pos, s->err);
            more = in.pos < in.size || o.pos == CHUNK;
        }
        if (rc) break;
    }
    ZSTD_freeDStream(d);
    return rc;
}
#endif

#if EHM_WITH_LZMA
static ehm_code unpack_xz(stream *s) {
    lzma_stream z = LZMA_STREAM_INIT;
    if (lzma_stream_decoder(&z, (uint64_t)1 << 30, LZMA_CONCATENATED) != LZMA_OK)
        return EHM_FAIL(s->err, EHM_E_MEMORY, "%s: no memory to unpack", s->path);
    ehm_code rc = EHM_OK;
    for (bool last = false; !rc;) {
        if (!z.avail_in && !last) {
            size_t n;
            rc = fill(s, &n);
            if (rc) break;
            z.next_in = s->in;
            z.avail_in = n;
            last = n == 0;
        }
        z.next_out = s->out;
        z.avail_out = CHUNK;
        lzma_ret r = lzma_code(&z, last ? LZMA_FINISH : LZMA_RUN);
        size_t made = CHUNK - z.avail_out;
        if (made) rc = s->fn(s->ctx, s->out, made, s->err);
        if (rc || r == LZMA_STREAM_END) break;
        if (r == LZMA_BUF_ERROR) rc = ends_early(s, "xz");
        else if (r == LZMA_MEMLIMIT_ERROR)
            rc = broken(s, "xz", "it needs more than 1 GiB of memory to unpack");
        else if (r != LZMA_OK) rc = broken(s, "xz", "its check failed or its structure is wrong");
    }
    lzma_end(&z);
    return rc;
}
#endif

static ehm_code unpack_as(stream *s, ehm_pack pack) {
    static const char *const command[] = {"",        "gunzip", "unzstd", "unxz",
                                          "bunzip2", "unzip",  "7z x",   "unrar x"};
    switch (pack) {
#if EHM_WITH_ZLIB
    case EHM_PACK_GZIP: return unpack_gzip(s);
#endif
#if EHM_WITH_ZSTD
    case EHM_PACK_ZSTD: return unpack_zstd(s);
#endif
#if EHM_WITH_LZMA
    case EHM_PACK_XZ: return unpack_xz(s);
#endif
    default: break;
    }
    static const char *const library[] = {"", "zlib", "libzstd", "liblzma"};
    EHM_HINT(s->err, "unpack it first: %s %s", command[pack], s->path);
    if (pack >= EHM_PACK_GZIP && pack <= EHM_PACK_XZ) {
        return EHM_FAIL(s->err, EHM_E_UNSUPPORTED, "%s: %s data, and this build is without %s", s->path,
                        ehm_pack_name(pack), library[pack]);
    }
    return EHM_FAIL(s->err, EHM_E_UNSUPPORTED, "%s: %s archives are not read", s->path, ehm_pack_name(pack));
}

ehm_code ehm_unpack(const char *path, ehm_pack pack, ehm_unpack_fn fn, void *ctx, int64_t *in_bytes,
                    ehm_err *err) {
    stream s = {.fd = open(path, O_RDONLY | O_CLOEXEC),
                .path = path,
                .in_bytes = in_bytes,
                .fn = fn,
                .ctx = ctx,
                .err = err};
    if (s.fd < 0) return EHM_FAIL(err, EHM_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    s.in = malloc(CHUNK);
    s.out = malloc(CHUNK);
    ehm_code rc = s.in && s.out ? unpack_as(&s, pack)
                                : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to unpack", path);
    free(s.in);
    free(s.out);
    close(s.fd);
    return rc;
}

typedef struct { uint8_t *buf; size_t n, cap; } peek;
static ehm_code peek_fn(void *ctx, const uint8_t *data, size_t n, ehm_err *err) {
    (void)err;
    peek *p = ctx;
    size_t k = p->cap - p->n < n ? p->cap - p->n : n;
    memcpy(p->buf + p->n, data, k);
    p->n += k;
    return p->n == p->cap ? EHM_E_STOPPED : EHM_OK;
}

size_t ehm_peek(const char *path, uint8_t *buf, size_t n, ehm_pack *pack) {
    *pack = EHM_PACK_NONE;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return 0;
    struct stat st;
    ssize_t got = !fstat(fd, &st) && S_ISREG(st.st_mode) ? pread(fd, buf, n, 0) : -1;
    close(fd);
    if (got <= 0) return 0;
    *pack = ehm_pack_of(buf, (size_t)got);
    if (*pack == EHM_PACK_NONE) return (size_t)got;
    peek p = {buf, 0, n};
    ehm_err err = {0};
    ehm_unpack(path, *pack, peek_fn, &p, NULL, &err); /* what came before an error still tells what it is */
    return p.n;
}
