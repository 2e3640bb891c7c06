/* NumPy's .npy files (format 1.0 to 3.0, NumPy's documentation of numpy.lib.format): read whole, written in C order, little endian.
 *
 *     ehm_npy a; ehm_npy_read(&a, "A.npy", &arena, &err);        // "-" is standard input
 *     ehm_npy_f64(values, &a, 0, a.count);                        // converts
 *     ehm_npy_write("Z.npy", "<f8", 2, (int64_t[]){n, 4}, z, &err); // written aside and renamed; "-" is standard output
 */
#ifndef EHM_BASE_NPY_H
#define EHM_BASE_NPY_H
#include "base/err.h"
#include "base/mem.h"

enum { EHM_NPY_RANK_MAX = 8 };
typedef struct {
    char type[8];      /* as NumPy spells it, without byte order: "f4" "f8" "f2" "u1" "u2" "u4" "u8" "i1" "i2" "i4" "i8" "b1" */
    int32_t rank;
    int64_t dim[EHM_NPY_RANK_MAX], count;
    const void *data;  /* C order, native byte order, in the arena */
} ehm_npy;
/* Big-endian and Fortran order are converted. EHM_E_FORMAT names what is wrong (not .npy, cut short,
 * trailing bytes); EHM_E_UNSUPPORTED elements that are no numbers; EHM_E_IO. */
ehm_code ehm_npy_read(ehm_npy *out, const char *path, ehm_arena *a, ehm_err *err);
/* The two halves of it, for a caller that looks at the bytes first. All of a file, or of standard input for "-"; NUL appended. */
ehm_code ehm_npy_bytes(ehm_bytes *out, const char *path, ehm_arena *a, ehm_err *err);
/* Works in the bytes, which stay out's data unless the order was Fortran's; they begin at 64 bytes, as an arena's do. name is for
 * messages. */
ehm_code ehm_npy_parse(ehm_npy *out, ehm_bytes file, const char *name, ehm_arena *a, ehm_err *err);
bool ehm_is_npy(ehm_bytes file); /* begins as one */
/* n values from the first'th on. */
void ehm_npy_f64(double *dst, const ehm_npy *a, int64_t first, int64_t n);
void ehm_npy_f32(float *dst, const ehm_npy *a, int64_t first, int64_t n);

/* ---- the header alone, for files that are read piece by piece ---- */
typedef struct {
    char type[8]; /* as in ehm_npy */
    bool big_endian, fortran_order;
    int32_t item_bytes, rank;
    int64_t dim[EHM_NPY_RANK_MAX], count;
    size_t data_at, data_bytes; /* where the numbers begin, and how much they take */
} ehm_npy_head;
/* Bytes of the header, 10 or 12 first ones included; 0 when the file is none of version 1 to 3, or one of more than 64 KiB. */
size_t ehm_npy_head_bytes(const uint8_t first[12]);
/* bytes [ehm_npy_head_bytes]. EHM_E_FORMAT; EHM_E_UNSUPPORTED for elements that are no numbers. */
ehm_code ehm_npy_head_parse(ehm_npy_head *out, const uint8_t *bytes, const char *name, ehm_err *err);

/* "(3, 4)" into buf, for messages. */
const char *ehm_npy_shape(const ehm_npy *a, char buf[128]);
/* The header's bytes for a stream that the caller goes on to write. type is spelled with its byte order, "<f4", "|u1". Returns its
 * length, a multiple of 64, which is the same whatever the first dimension (so that a count can be filled in at the end; NumPy leaves
 * room for it too); 0 when it would take more than 192 bytes. head has room for 192. */
size_t ehm_npy_header(char *head, const char *type, int32_t rank, const int64_t *dim);
ehm_code ehm_npy_write(const char *path, const char *type, int32_t rank, const int64_t *dim, const void *data, ehm_err *err);
#endif
