/* For resize.c and its faster twin: one output pixel is sum(k * pixel) over a window of the input. */
#ifndef EHM_IMAGE_RESIZE_INT_H
#define EHM_IMAGE_RESIZE_INT_H
#include <stddef.h>
#include <stdint.h>

enum { EHM_RESIZE_BITS = 22, EHM_RESIZE_SPLIT = 15 };

/* Windows of one axis. Output i takes n[i] inputs from first[i] on, with weights i * stride ..
 * For u8 the weights are integers of 22 binary places, q = hi * 2^15 + lo, so that 16 bit multiplications
 * can be used. */
typedef struct {
    int32_t n_out, stride;
    int32_t *first, *n;
    double *k;
    int32_t *q;
    int16_t *lo, *hi; /* stride is a multiple of 8 and unused weights are 0 */
} ehm_resize_axis;

/* Rows of n_in pixels (c channels) to axis->n_out pixels. readable: bytes from src on that may be read
 * (not all are used). */
void ehm_resize_row_u8(uint8_t *dst, const uint8_t *src, const ehm_resize_axis *axis, int32_t c,
                       size_t readable);
void ehm_resize_row_u8_avx2(uint8_t *dst, const uint8_t *src, const ehm_resize_axis *axis, int32_t c,
                            size_t readable);
/* Output row i from the rows of src that its window names (row_first: number of src's first row); n bytes
 * a row. */
void ehm_resize_col_u8(uint8_t *dst, const uint8_t *src, size_t n, const ehm_resize_axis *axis, int32_t i,
                       int32_t row_first);
void ehm_resize_col_u8_avx2(uint8_t *dst, const uint8_t *src, size_t n, const ehm_resize_axis *axis,
                            int32_t i, int32_t row_first);
int ehm_resize_has_avx2(void); /* built in and the processor has it */

/* Pillow's rounding: half added, shifted, cut to 0..255. */
static inline uint8_t ehm_resize_clip(int32_t sum) {
    int32_t v = sum >> EHM_RESIZE_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}
#endif
