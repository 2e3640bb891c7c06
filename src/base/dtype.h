/* Number types that a tensor may have, in memory and in files, and bf16 conversion (round to nearest even). */
#ifndef EHM_BASE_DTYPE_H
#define EHM_BASE_DTYPE_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum { EHM_F32 = 0, EHM_BF16, EHM_F64, EHM_I32, EHM_I64, EHM_U8, EHM_U16, EHM_F16, EHM_I8, EHM_I16, EHM_U32, EHM_U64, EHM_BOOL, EHM_DTYPE_N } ehm_dtype;

size_t ehm_dtype_size(ehm_dtype t);       /* bytes of one element */
const char *ehm_dtype_name(ehm_dtype t);  /* "f32", "bf16", ... */

static inline uint16_t ehm_bf16_of(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u); /* NaN stays NaN */
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
static inline float ehm_f32_of(uint16_t b) {
    uint32_t u = (uint32_t)b << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
#endif
