/* TensorBoard's event file, written by hand: records of length, masked CRC-32C, protocol buffer (conventions 2.7). Whole records only. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "runs/run_int.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static uint32_t masked_crc(const void *data, size_t n) {
    uint32_t c = ehm_crc32c(data, n);
    return (c >> 15 | c << 17) + 0xa282ead8u;
}

static void put_le(ehm_str *s, uint64_t v, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) ehm_str_addc(s, (char)(v >> 8 * i & 0xff));
}
static uint64_t get_le(const uint8_t *p, int n_bytes) {
    uint64_t v = 0;
    for (int i = 0; i < n_bytes; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static void put_varint(ehm_str *s, uint64_t v) {
    for (; v >= 0x80; v >>= 7) ehm_str_addc(s, (char)(v & 0x7f) | (char)0x80);
    ehm_str_addc(s, (char)v);
}
static size_t varint_size(uint64_t v) {
    size_t n = 1;
    while (v >>= 7) n++;
    return n;
}
static void put_tag(ehm_str *s, uint32_t field, uint32_t wire) { put_varint(s, field << 3 | wire); }
static void put_bytes(ehm_str *s, uint32_t field, const void *data, size_t n) {
    put_tag(s, field, WIRE_BYTES);
    put_varint(s, n);
    ehm_str_addn(s, data, n);
}
static size_t bytes_size(size_t n) { return 1 + varint_size(n) + n; } /* all our field numbers need one byte */

static void put_f64(ehm_str *s, uint32_t field, double v) {
    uint64_t u;
    memcpy(&u, &v, 8);
    put_tag(s, field, WIRE_64);
    put_le(s, u, 8);
}

/* Room for the head of a record; finish fills it in. */
static void record_begin(ehm_run *r) {
    ehm_str_clear(&r->record);
    ehm_str_addn(&r->record, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
    put_f64(&r->record, 1, ehm_clock_unix_s());
}

static ehm_code record_end(ehm_run *r, ehm_err *err) {
    ehm_str *s = &r->record;
    if (s->failed) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for a record of the event file", r->dir);
    uint64_t n = s->len - 12;
    uint32_t crc = masked_crc(s->s + 12, n);
    for (int i = 0; i < 8; i++) s->s[i] = (char)(n >> 8 * i & 0xff);
    uint32_t head = masked_crc(s->s, 8);
    for (int i = 0; i < 4; i++) s->s[8 + i] = (char)(head >> 8 * i & 0xff);
    put_le(s, crc, 4);
    if (s->failed) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for a record of the event file", r->dir);
    return ehm_run_append(r, r->event_fd, "the event file", s->s, s->len, err);
}

/* A new file for each start of the program: a viewer that follows the old one goes on with the next. */
static ehm_code event_open(ehm_run *r, ehm_err *err) {
    char name[160], host[65] = "";
    if (r->event_fd >= 0) return EHM_OK;
    if (gethostname(host, sizeof host - 1) || !host[0]) snprintf(host, sizeof host, "localhost");
    for (char *p = host; *p; p++)
        if (*p == '/') *p = '_';
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "events.out.tfevents.%010lld.%s.%ld.%d", (long long)ehm_clock_unix_s(), host, (long)getpid(), i);
        r->event_fd = openat(r->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
        if (r->event_fd >= 0 || errno != EEXIST) break;
    }
    if (r->event_fd < 0) return ehm_run_io(err, r->dir, name, "cannot open");
    r->wrote = true;
    record_begin(r);
    put_bytes(&r->record, 3, "brain.Event:2", 13);
    return record_end(r, err);
}

/* Head of an event with one value: tag and n bytes of the value's own field follow inside two lengths. */
static void event_head(ehm_run *r, int64_t step, const char *tag, size_t n_field) {
    size_t n_value = bytes_size(strlen(tag)) + n_field;
    record_begin(r);
    if (step) { /* zero is not written, as protocol buffers have it */
        put_tag(&r->record, 2, WIRE_VARINT);
        put_varint(&r->record, (uint64_t)step);
    }
    put_tag(&r->record, 5, WIRE_BYTES);
    put_varint(&r->record, bytes_size(n_value));
    put_tag(&r->record, 1, WIRE_BYTES);
    put_varint(&r->record, n_value);
    put_bytes(&r->record, 1, tag, strlen(tag));
}

ehm_code ehm_run_scalar(ehm_run *r, int64_t step, const char *tag, double value, ehm_err *err) {
    float f = (float)value;
    uint32_t u;
    EHM_TRY(event_open(r, err));
    memcpy(&u, &f, 4);
    event_head(r, step, tag, 5);
    put_tag(&r->record, 2, WIRE_32);
    put_le(&r->record, u, 4);
    return record_end(r, err);
}

ehm_code ehm_run_image(ehm_run *r, int64_t step, const char *tag, const void *png, size_t n, int32_t w, int32_t h, ehm_err *err) {
    EHM_TRY(event_open(r, err));
    /* PNG's own colour type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA; TensorBoard counts channels. */
    static const uint8_t channels_of[7] = {1, 3, 3, 3, 2, 3, 4};
    uint8_t type = n > 25 ? ((const uint8_t *)png)[25] : 2;
    uint32_t colour = type < 7 ? channels_of[type] : 3;
    size_t n_image = 1 + varint_size((uint64_t)h) + 1 + varint_size((uint64_t)w) + 2 + bytes_size(n);
    event_head(r, step, tag, bytes_size(n_image));
    put_tag(&r->record, 4, WIRE_BYTES);
    put_varint(&r->record, n_image);
    put_tag(&r->record, 1, WIRE_VARINT), put_varint(&r->record, (uint64_t)h);
    put_tag(&r->record, 2, WIRE_VARINT), put_varint(&r->record, (uint64_t)w);
    put_tag(&r->record, 3, WIRE_VARINT), put_varint(&r->record, colour);
    put_bytes(&r->record, 4, png, n);
    return record_end(r, err);
}

/* Protocol buffers leave out what is zero. */
static size_t f64_size(double v) { return v != 0 || signbit(v) ? 9 : 0; }
static void put_f64_of(ehm_str *s, uint32_t field, double v) {
    if (f64_size(v)) put_f64(s, field, v);
}
static void put_f64_list(ehm_str *s, uint32_t field, const double *v, int32_t n) {
    put_tag(s, field, WIRE_BYTES);
    put_varint(s, (uint64_t)n * 8);
    for (int32_t i = 0; i < n; i++) {
        uint64_t u;
        memcpy(&u, &v[i], 8);
        put_le(s, u, 8);
    }
}

ehm_code ehm_run_histogram(ehm_run *r, int64_t step, const char *tag, const ehm_histogram *h, ehm_err *err) {
    if (!h->n) return EHM_OK;
    EHM_TRY(event_open(r, err));
    const double facts[5] = {h->min, h->max, h->num, h->sum, h->sum_squares};
    size_t n = 2 * bytes_size((size_t)h->n * 8);
    for (int i = 0; i < 5; i++) n += f64_size(facts[i]);
    event_head(r, step, tag, bytes_size(n));
    put_tag(&r->record, 5, WIRE_BYTES);
    put_varint(&r->record, n);
    for (int i = 0; i < 5; i++) put_f64_of(&r->record, (uint32_t)i + 1, facts[i]);
    put_f64_list(&r->record, 6, h->limit, h->n);
    put_f64_list(&r->record, 7, h->count, h->n);
    return record_end(r, err);
}

/* ---- cutting ---- */

static bool get_varint(const uint8_t **p, const uint8_t *end, uint64_t *v) {
    *v = 0;
    for (int shift = 0; *p < end && shift < 64; shift += 7) {
        uint8_t b = *(*p)++;
        *v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) return true;
    }
    return false;
}

/* Step of an event; 0 when it has none; false when the bytes are no event. */
static bool event_step(const uint8_t *p, size_t n, int64_t *step) {
    const uint8_t *end = p + n;
    *step = 0;
    while (p < end) {
        uint64_t tag, v;
        if (!get_varint(&p, end, &tag)) return false;
        switch (tag & 7) {
        case WIRE_VARINT:
            if (!get_varint(&p, end, &v)) return false;
            if (tag >> 3 == 2) *step = (int64_t)v;
            break;
        case WIRE_64: v = 8; goto skip;
        case WIRE_32: v = 4; goto skip;
        case WIRE_BYTES:
            if (!get_varint(&p, end, &v)) return false;
        skip:
            if (v > (uint64_t)(end - p)) return false;
            p += v;
            break;
        default: return false;
        }
    }
    return true;
}

static ehm_code cut_file(ehm_run *r, const char *name, int64_t step, ehm_err *err) {
    ehm_arena a = {0};
    ehm_bytes f;
    char *path = ehm_path_join(&a, r->dir, name);
    ehm_code rc = path ? ehm_file_read(&f, path, &a, err) : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", r->dir);
    size_t at = 0;
    int64_t n_kept = 0;
    while (!rc && f.len - at >= 16) {
        uint64_t n = get_le(f.data + at, 8);
        int64_t s;
        if (get_le(f.data + at + 8, 4) != masked_crc(f.data + at, 8) || n > f.len - at - 16) break;
        if (get_le(f.data + at + 12 + n, 4) != masked_crc(f.data + at + 12, n)) break;
        if (!event_step(f.data + at + 12, n, &s) || s > step) break;
        at += 16 + n;
        n_kept++;
    }
    if (!rc && n_kept <= 1) rc = ehm_file_remove(path, err); /* nothing but the version */
    else if (!rc && at < f.len && truncate(path, (off_t)at)) rc = ehm_run_io(err, r->dir, name, "cannot cut it");
    ehm_arena_free(&a);
    return rc;
}

ehm_code ehm_event_cut(ehm_run *r, int64_t step, ehm_err *err) {
    ehm_arena a = {0};
    ehm_strs names;
    ehm_code rc = ehm_dir_list(&names, r->dir, &a, err);
    for (int32_t i = 0; !rc && i < names.n; i++)
        if (ehm_starts(names.v[i], "events.out.tfevents.")) rc = cut_file(r, names.v[i], step, err);
    ehm_arena_free(&a);
    return rc;
}
