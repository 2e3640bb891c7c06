/* One vector type for all kernels of this folder: VW floats wide, made from AVX-512, AVX2, or the compiler's
 * own vectors.
 *
 *     #define EHM_VEC_AVX2 1        // or EHM_VEC_AVX512, or EHM_VEC_WIDE n for n lanes of plain C
 *     #include "compute/cpu/vec.h"
 *     vf y = v_fma(v_load(x), v_set1(2.f), y);
 *
 * A template (*.inc) is compiled once per instruction set by a small .c file that sets the macro and is built
 * with its flags. Semantics that callers rely on: v_max(a, b) returns b when either is NaN; v_fma rounds once
 * where the machine can; sums over lanes are a fixed tree. Nothing here depends on the address or on the
 * thread.
 */
#ifndef EHM_COMPUTE_CPU_VEC_H
#define EHM_COMPUTE_CPU_VEC_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#define V_INLINE static inline __attribute__((always_inline, unused))

#if defined(EHM_VEC_AVX512)
#include <immintrin.h>
#define VW 16
typedef __m512 vf;
V_INLINE vf v_load(const float *p) { return _mm512_loadu_ps(p); }
V_INLINE void v_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
V_INLINE vf v_set1(float a) { return _mm512_set1_ps(a); }
V_INLINE vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
V_INLINE vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
V_INLINE vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
V_INLINE vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
V_INLINE vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
V_INLINE vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
V_INLINE vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }   /* a*b + c */
V_INLINE vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a*b */
V_INLINE vf v_abs(vf a) { return _mm512_abs_ps(a); }
V_INLINE vf v_where_lt0(vf x, vf neg, vf pos) { /* x < 0 ? neg : pos */
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), pos, neg);
}
V_INLINE vf v_scale(vf p, vf t) { /* p * 2^n, n the low bits of t; both results normal numbers */
    return _mm512_castsi512_ps(
        _mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
}
V_INLINE vf v_drop_below(vf s, vf x, vf low) { /* x < low ? 0 : s; s where x is NaN */
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, low, _CMP_NLT_UQ), s);
}
V_INLINE float v_fold8(__m256 a, int top);
V_INLINE float v_sum(vf a) {
    return v_fold8(_mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1)), 0);
}
V_INLINE float v_top(vf a) {
    return v_fold8(_mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1)), 1);
}
V_INLINE vf v_load_bf16(const uint16_t *p) {
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p)), 16));
}
V_INLINE void v_store_bf16(uint16_t *p, vf a) { /* nearest even; NaN stays NaN; small numbers are kept, unlike
                                                   VCVTNEPS2BF16 */
    __m512i u = _mm512_castps_si512(a),
            odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i r = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd), 16);
    __m512i q = _mm512_or_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(0x40));
    r = _mm512_mask_mov_epi32(r, _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), q);
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(r));
}
#elif defined(EHM_VEC_AVX2)
#include <immintrin.h>
#define VW 8
typedef __m256 vf;
V_INLINE vf v_load(const float *p) { return _mm256_loadu_ps(p); }
V_INLINE void v_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
V_INLINE vf v_set1(float a) { return _mm256_set1_ps(a); }
V_INLINE vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
V_INLINE vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
V_INLINE vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
V_INLINE vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
V_INLINE vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
V_INLINE vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }
V_INLINE vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
V_INLINE vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
V_INLINE vf v_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.f), a); }
V_INLINE vf v_where_lt0(vf x, vf neg, vf pos) {
    return _mm256_blendv_ps(pos, neg, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
}
V_INLINE vf v_scale(vf p, vf t) {
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}
V_INLINE vf v_drop_below(vf s, vf x, vf low) { return _mm256_and_ps(s, _mm256_cmp_ps(x, low, _CMP_NLT_UQ)); }
V_INLINE float v_fold8(__m256 a, int top);
V_INLINE float v_sum(vf a) { return v_fold8(a, 0); }
V_INLINE float v_top(vf a) { return v_fold8(a, 1); }
V_INLINE vf v_load_bf16(const uint16_t *p) {
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)), 16));
}
V_INLINE void v_store_bf16(uint16_t *p, vf a) {
    __m256i u = _mm256_castps_si256(a), top = _mm256_srli_epi32(u, 16);
    __m256i r = _mm256_add_epi32(
        u, _mm256_add_epi32(_mm256_and_si256(top, _mm256_set1_epi32(1)), _mm256_set1_epi32(0x7fff)));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    r = _mm256_blendv_epi8(_mm256_srli_epi32(r, 16), _mm256_or_si256(top, _mm256_set1_epi32(0x40)), nan);
    r = _mm256_packus_epi32(r, r); /* within halves: 0..3 0..3 | 4..7 4..7 */
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_castsi256_si128(_mm256_permute4x64_epi64(r, 0x08)));
}
#else
#pragma GCC diagnostic ignored \
    "-Wpsabi" /* wide vectors as arguments: everything here is inlined, so no ABI is involved */
#define VW EHM_VEC_WIDE
typedef float vf __attribute__((vector_size(4 * VW)));
typedef int32_t v_i32 __attribute__((vector_size(4 * VW)));
typedef uint32_t v_u32 __attribute__((vector_size(4 * VW)));
V_INLINE vf v_load(const float *p) {
    vf a;
    memcpy(&a, p, sizeof a);
    return a;
}
V_INLINE void v_store(float *p, vf a) { memcpy(p, &a, sizeof a); }
V_INLINE vf v_set1(float a) {
    vf z = {0};
    return z + a;
}
V_INLINE vf v_add(vf a, vf b) { return a + b; }
V_INLINE vf v_sub(vf a, vf b) { return a - b; }
V_INLINE vf v_mul(vf a, vf b) { return a * b; }
V_INLINE vf v_div(vf a, vf b) { return a / b; }
V_INLINE vf v_pick(v_i32 m, vf a, vf b) { return (vf)(((v_i32)a & m) | ((v_i32)b & ~m)); }
V_INLINE vf v_max(vf a, vf b) { return v_pick((v_i32)(a > b), a, b); }
V_INLINE vf v_sqrt(vf a) {
    for (int i = 0; i < VW; i++) a[i] = sqrtf(a[i]);
    return a;
}
#if defined(__FP_FAST_FMAF) || defined(EHM_VEC_TRUE_FMA)
V_INLINE vf v_fma(vf a, vf b, vf c) {
    for (int i = 0; i < VW; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
}
V_INLINE vf v_fnma(vf a, vf b, vf c) {
    for (int i = 0; i < VW; i++) c[i] = __builtin_fmaf(-a[i], b[i], c[i]);
    return c;
}
#else
V_INLINE vf v_fma(vf a, vf b, vf c) { return a * b + c; }
V_INLINE vf v_fnma(vf a, vf b, vf c) { return c - a * b; }
#endif
V_INLINE vf v_abs(vf a) { return (vf)((v_u32)a & 0x7fffffffu); }
V_INLINE vf v_where_lt0(vf x, vf neg, vf pos) {
    vf z = {0};
    return v_pick((v_i32)(x < z), neg, pos);
}
V_INLINE vf v_scale(vf p, vf t) { return (vf)((v_u32)p + ((v_u32)t << 23)); }
V_INLINE vf v_drop_below(vf s, vf x, vf low) { return (vf)((v_u32)s & ~(v_u32)(x < low)); }
V_INLINE float v_sum(vf a) {
    float t[VW];
    v_store(t, a);
    for (int h = VW / 2; h; h /= 2)
        for (int i = 0; i < h; i++) t[i] += t[i + h];
    return t[0];
}
V_INLINE float v_top(vf a) {
    float t[VW];
    v_store(t, a);
    for (int h = VW / 2; h; h /= 2)
        for (int i = 0; i < h; i++) t[i] = t[i] > t[i + h] ? t[i] : t[i + h];
    return t[0];
}
V_INLINE vf v_load_bf16(const uint16_t *p) {
    v_u32 u;
    for (int i = 0; i < VW; i++) u[i] = (uint32_t)p[i] << 16;
    return (vf)u;
}
V_INLINE void v_store_bf16(uint16_t *p, vf a) {
    v_u32 u = (v_u32)a, r = (u + 0x7fffu + (u >> 16 & 1u)) >> 16, nan = (v_u32)(a != a);
    r = (nan & (u >> 16 | 0x40u)) | (~nan & r);
    for (int i = 0; i < VW; i++) p[i] = (uint16_t)r[i];
}
#endif

/* An 8 x 8 block turned: dst[j][i] = src[i][j]. */
#if defined(EHM_VEC_AVX512) || defined(EHM_VEC_AVX2)
V_INLINE void v_turn8(float *dst, int64_t ld_dst, const float *src, int64_t ld_src) {
    __m256 r[8], t[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(src + i * ld_src);
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(dst + i * ld_dst, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(dst + (i + 4) * ld_dst, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}
#else
V_INLINE void v_turn8(float *restrict dst, int64_t ld_dst, const float *restrict src, int64_t ld_src) {
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++) dst[j * ld_dst + i] = src[i * ld_src + j];
}
#endif

V_INLINE vf v_zero(void) { return v_set1(0.f); }
#if defined(EHM_VEC_AVX512) || defined(EHM_VEC_AVX2)
V_INLINE float v_fold8(__m256 a,
                       int top) { /* halves folded onto each other, down to one: sum, or the largest */
    __m128 lo = _mm256_castps256_ps128(a), hi = _mm256_extractf128_ps(a, 1);
    lo = top ? _mm_max_ps(lo, hi) : _mm_add_ps(lo, hi);
    hi = _mm_movehl_ps(lo, lo);
    lo = top ? _mm_max_ps(lo, hi) : _mm_add_ps(lo, hi);
    hi = _mm_shuffle_ps(lo, lo, 1);
    return _mm_cvtss_f32(top ? _mm_max_ss(lo, hi) : _mm_add_ss(lo, hi));
}
#endif
/* The first n < VW values, the others 0; and back. */
V_INLINE vf v_load_n(const float *p, int64_t n) {
    float t[VW] = {0};
    memcpy(t, p, (size_t)n * sizeof *p);
    return v_load(t);
}
V_INLINE void v_store_n(float *p, vf a, int64_t n) {
    float t[VW];
    v_store(t, a);
    memcpy(p, t, (size_t)n * sizeof *p);
}
V_INLINE vf v_load_bf16_n(const uint16_t *p, int64_t n) {
    uint16_t t[VW] = {0};
    memcpy(t, p, (size_t)n * sizeof *p);
    return v_load_bf16(t);
}
V_INLINE void v_store_bf16_n(uint16_t *p, vf a, int64_t n) {
    uint16_t t[VW];
    v_store_bf16(t, a);
    memcpy(p, t, (size_t)n * sizeof *p);
}
/* Element i on, of f32 or bf16 memory; n < VW reads that many. `bf16` is a constant at every call, so no
 * branch is left. */
V_INLINE vf v_get(const void *p, int bf16, int64_t i) {
    return bf16 ? v_load_bf16((const uint16_t *)p + i) : v_load((const float *)p + i);
}
V_INLINE void v_put(void *p, int bf16, int64_t i, vf a) {
    if (bf16) v_store_bf16((uint16_t *)p + i, a);
    else v_store((float *)p + i, a);
}
V_INLINE vf v_get_n(const void *p, int bf16, int64_t i, int64_t n) {
    return bf16 ? v_load_bf16_n((const uint16_t *)p + i, n) : v_load_n((const float *)p + i, n);
}
V_INLINE void v_put_n(void *p, int bf16, int64_t i, vf a, int64_t n) {
    if (bf16) v_store_bf16_n((uint16_t *)p + i, a, n);
    else v_store_n((float *)p + i, a, n);
}
#endif
