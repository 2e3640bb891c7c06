/* The wire format of protocol buffers: tags, varints, lengths. */
#include "export/onnx_int.h"
#include <string.h>

static void put_varint(ehm_str *s, uint64_t v) {
    for (; v >= 0x80; v >>= 7) ehm_str_addc(s, (char)(uint8_t)(v | 0x80));
    ehm_str_addc(s, (char)(uint8_t)v);
}

static void put_tag(ehm_str *s, uint32_t field, ehm_onnx_wire_type type) { put_varint(s, (uint64_t)field << 3 | (uint64_t)type); }

void ehm_onnx_put_i64(ehm_str *s, uint32_t field, int64_t v) {
    put_tag(s, field, EHM_WIRE_VARINT);
    put_varint(s, (uint64_t)v); /* negative: ten bytes */
}

void ehm_onnx_put_f32(ehm_str *s, uint32_t field, float v) {
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    put_tag(s, field, EHM_WIRE_32);
    for (int32_t i = 0; i < 4; i++) ehm_str_addc(s, (char)(uint8_t)(u >> 8 * i));
}

void ehm_onnx_put_head(ehm_str *s, uint32_t field, uint64_t n) {
    put_tag(s, field, EHM_WIRE_BYTES);
    put_varint(s, n);
}

void ehm_onnx_put_bytes(ehm_str *s, uint32_t field, const void *data, size_t n) {
    ehm_onnx_put_head(s, field, n);
    if (n) ehm_str_addn(s, data, n);
}

void ehm_onnx_put_str(ehm_str *s, uint32_t field, const char *text) { ehm_onnx_put_bytes(s, field, text, strlen(text)); }

/* ---- reading ---- */

bool ehm_onnx_varint(uint64_t *out, ehm_onnx_wire *w) {
    uint64_t v = 0;
    for (int32_t shift = 0; shift < 64 && w->p < w->end; shift += 7) {
        uint8_t b = *w->p++;
        if (shift == 63 && b > 1) return false; /* more than 64 bits */
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) return *out = v, true;
    }
    return false;
}

static bool take(ehm_onnx_field *out, ehm_onnx_wire *w, size_t n) {
    if (n > ehm_onnx_left(w)) return false;
    out->bytes = (ehm_onnx_wire){w->p, w->p + n};
    w->p += n;
    return true;
}

static uint64_t little_endian(const uint8_t *p, int32_t n) {
    uint64_t v = 0;
    for (int32_t i = 0; i < n; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

bool ehm_onnx_next(ehm_onnx_field *out, ehm_onnx_wire *w, bool *bad) {
    uint64_t tag, n = 0;
    bool ok = false;
    if (w->p == w->end) return false;
    *out = (ehm_onnx_field){0};
    if (ehm_onnx_varint(&tag, w) && tag >> 3 && tag >> 3 < (uint64_t)1 << 29) {
        out->field = (uint32_t)(tag >> 3), out->type = (ehm_onnx_wire_type)(tag & 7);
        switch (out->type) {
        case EHM_WIRE_VARINT: ok = ehm_onnx_varint(&out->num, w); break;
        case EHM_WIRE_BYTES: ok = ehm_onnx_varint(&n, w) && n <= ehm_onnx_left(w) && take(out, w, (size_t)n); break;
        case EHM_WIRE_32:
        case EHM_WIRE_64:
            n = out->type == EHM_WIRE_32 ? 4 : 8;
            if ((ok = take(out, w, (size_t)n))) out->num = little_endian(out->bytes.p, (int32_t)n);
            break;
        default: break; /* groups went out of use before ONNX began */
        }
    }
    if (!ok) *bad = true;
    return ok;
}
