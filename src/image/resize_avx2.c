/* The two 8 bit loops of resize.c for processors with AVX2, equal to the bit. A weight of 22 binary places
 * does not fit the 16 bit multiply-add, so it is split: q = hi * 2^15 + lo, and the two sums are put
 * together at the end. All of it is integer arithmetic modulo 2^32, where order and splitting change
 * nothing. */
#include "image/resize_int.h"

#if defined(__AVX2__)
#include <immintrin.h>
#include <string.h>

int ehm_resize_has_avx2(void) { return __builtin_cpu_supports("avx2"); }

static __m128i finish(__m128i lo, __m128i hi) {
    __m128i sum = _mm_add_epi32(_mm_add_epi32(lo, _mm_slli_epi32(hi, EHM_RESIZE_SPLIT)),
                                _mm_set1_epi32(1 << (EHM_RESIZE_BITS - 1)));
    sum = _mm_srai_epi32(sum, EHM_RESIZE_BITS);
    return _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum); /* cuts to 0..255 */
}

static int32_t load_i32(const void *p) {
    int32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* Three or four channels: four pixels at a time, as words r0 r1 g0 g1 b0 b1 a0 a1 | r2 r3 ..; reads 16
 * bytes per step. */
static void row_34(uint8_t *dst, const uint8_t *src, const ehm_resize_axis *axis, int32_t c,
                   size_t readable) {
    const __m256i three = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9,
                                           -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    const __m256i four = _mm256_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1, 8, -1, 12,
                                          -1, 9, -1, 13, -1, 10, -1, 14, -1, 11, -1, 15, -1);
    const __m256i order = c == 3 ? three : four;
    size_t step = 4 * (size_t)c;
    for (int32_t i = 0; i < axis->n_out; i++) {
        size_t w = (size_t)axis->stride * (size_t)i, at = (size_t)axis->first[i] * (size_t)c;
        const int16_t *klo = axis->lo + w, *khi = axis->hi + w;
        int32_t j = 0, n = axis->n[i];
        __m256i lo = _mm256_setzero_si256(), hi = lo;
        for (; j < n && at + 16 <= readable; j += 4, at += step) { /* pixels past the window meet weight 0 */
            __m256i px = _mm256_shuffle_epi8(
                _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(src + at))),
                order);
            __m256i l = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_set1_epi32(load_i32(klo + j))),
                                                _mm_set1_epi32(load_i32(klo + j + 2)), 1);
            __m256i h = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_set1_epi32(load_i32(khi + j))),
                                                _mm_set1_epi32(load_i32(khi + j + 2)), 1);
            lo = _mm256_add_epi32(lo, _mm256_madd_epi16(px, l));
            hi = _mm256_add_epi32(hi, _mm256_madd_epi16(px, h));
        }
        __m128i lo4 = _mm_add_epi32(_mm256_castsi256_si128(lo), _mm256_extracti128_si256(lo, 1));
        __m128i hi4 = _mm_add_epi32(_mm256_castsi256_si128(hi), _mm256_extracti128_si256(hi, 1));
        for (; j < n; j += 2, at += 2 * (size_t)c) { /* at the picture's very end: pairs, copied */
            uint8_t pair[16] = {0};
            memcpy(pair, src + at, (size_t)(n - j < 2 ? 1 : 2) * (size_t)c);
            __m128i px = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)pair),
                                          _mm256_castsi256_si128(order));
            lo4 = _mm_add_epi32(lo4, _mm_madd_epi16(px, _mm_set1_epi32(load_i32(klo + j))));
            hi4 = _mm_add_epi32(hi4, _mm_madd_epi16(px, _mm_set1_epi32(load_i32(khi + j))));
        }
        int32_t v = _mm_cvtsi128_si32(finish(lo4, hi4));
        memcpy(dst, &v, (size_t)c);
        dst += c;
    }
}

/* One channel: eight pixels at a time. */
static void row_1(uint8_t *dst, const uint8_t *src, const ehm_resize_axis *axis, size_t readable) {
    for (int32_t i = 0; i < axis->n_out; i++) {
        size_t w = (size_t)axis->stride * (size_t)i, at = (size_t)axis->first[i];
        int32_t j = 0, n = axis->n[i], sum = 0;
        __m128i lo = _mm_setzero_si128(), hi = lo;
        for (; j < n && at + 8 <= readable; j += 8, at += 8) {
            __m128i px = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(src + at)));
            lo = _mm_add_epi32(
                lo, _mm_madd_epi16(px, _mm_loadu_si128((const __m128i *)(const void *)(axis->lo + w + j))));
            hi = _mm_add_epi32(
                hi, _mm_madd_epi16(px, _mm_loadu_si128((const __m128i *)(const void *)(axis->hi + w + j))));
        }
        __m128i all = _mm_add_epi32(lo, _mm_slli_epi32(hi, EHM_RESIZE_SPLIT));
        all = _mm_add_epi32(all, _mm_shuffle_epi32(all, 0x4e));
        all = _mm_add_epi32(all, _mm_shuffle_epi32(all, 0xb1));
        for (; j < n; j++, at++) sum += src[at] * axis->q[w + (size_t)j];
        uint32_t whole = (uint32_t)_mm_cvtsi128_si32(all) + (uint32_t)sum + (1u << (EHM_RESIZE_BITS - 1));
        *dst++ = ehm_resize_clip((int32_t)whole);
    }
}

void ehm_resize_row_u8_avx2(uint8_t *dst, const uint8_t *src, const ehm_resize_axis *axis, int32_t c,
                            size_t readable) {
    if (c == 3 || c == 4) row_34(dst, src, axis, c, readable);
    else if (c == 1) row_1(dst, src, axis, readable);
    else ehm_resize_row_u8(dst, src, axis, c, readable);
}

/* 32 columns at a time, two rows per multiply-add. */
static void col_32(uint8_t *dst, const uint8_t *p, size_t n, const int16_t *klo, const int16_t *khi,
                   int32_t n_rows) {
    __m256i lo[4], hi[4];
    const __m256i zero = _mm256_setzero_si256();
    for (int b = 0; b < 4; b++) lo[b] = hi[b] = zero;
    for (int32_t j = 0; j < n_rows; j += 2) {
        __m256i l = _mm256_set1_epi32(load_i32(klo + j)), h = _mm256_set1_epi32(load_i32(khi + j));
        __m256i r0 = _mm256_loadu_si256((const __m256i *)(const void *)(p + (size_t)j * n));
        __m256i r1 = j + 1 < n_rows
                         ? _mm256_loadu_si256((const __m256i *)(const void *)(p + (size_t)(j + 1) * n))
                         : zero;
        __m256i a = _mm256_unpacklo_epi8(r0, r1), c = _mm256_unpackhi_epi8(r0, r1), px[4];
        px[0] = _mm256_unpacklo_epi8(a, zero); /* word pairs of columns 0..3 and 16..19, and so on */
        px[1] = _mm256_unpackhi_epi8(a, zero);
        px[2] = _mm256_unpacklo_epi8(c, zero);
        px[3] = _mm256_unpackhi_epi8(c, zero);
        for (int b = 0; b < 4; b++) {
            lo[b] = _mm256_add_epi32(lo[b], _mm256_madd_epi16(px[b], l));
            hi[b] = _mm256_add_epi32(hi[b], _mm256_madd_epi16(px[b], h));
        }
    }
    const __m256i half = _mm256_set1_epi32(1 << (EHM_RESIZE_BITS - 1));
    for (int b = 0; b < 4; b++)
        lo[b] = _mm256_srai_epi32(
            _mm256_add_epi32(_mm256_add_epi32(lo[b], _mm256_slli_epi32(hi[b], EHM_RESIZE_SPLIT)), half),
            EHM_RESIZE_BITS);
    /* packing undoes unpacking, lane by lane */
    __m256i w0 = _mm256_packs_epi32(lo[0], lo[1]), w1 = _mm256_packs_epi32(lo[2], lo[3]);
    _mm256_storeu_si256((__m256i *)(void *)dst, _mm256_packus_epi16(w0, w1));
}

void ehm_resize_col_u8_avx2(uint8_t *dst, const uint8_t *src, size_t n, const ehm_resize_axis *axis,
                            int32_t i, int32_t row_first) {
    size_t w = (size_t)axis->stride * (size_t)i, x = 0;
    const uint8_t *p = src + (size_t)(axis->first[i] - row_first) * n;
    int32_t n_rows = axis->n[i];
    for (; x + 32 <= n; x += 32) col_32(dst + x, p + x, n, axis->lo + w, axis->hi + w, n_rows);
    if (x < n && n >= 32) { /* the last columns once more, shifted left: cheaper than a scalar rest */
        x = n - 32;
        col_32(dst + x, p + x, n, axis->lo + w, axis->hi + w, n_rows);
        return;
    }
    for (; x < n; x++) {
        int32_t sum = 1 << (EHM_RESIZE_BITS - 1);
        for (int32_t j = 0; j < n_rows; j++) sum += p[(size_t)j * n + x] * axis->q[w + (size_t)j];
        dst[x] = ehm_resize_clip(sum);
    }
}
#else
int ehm_resize_has_avx2(void) { return 0; }
void ehm_resize_row_u8_avx2(uint8_t *dst, const uint8_t *src, const ehm_resize_axis *axis, int32_t c,
                            size_t readable) {
    ehm_resize_row_u8(dst, src, axis, c, readable);
}
void ehm_resize_col_u8_avx2(uint8_t *dst, const uint8_t *src, size_t n, const ehm_resize_axis *axis,
                            int32_t i, int32_t row_first) {
    ehm_resize_col_u8(dst, src, n, axis, i, row_first);
}
#endif
