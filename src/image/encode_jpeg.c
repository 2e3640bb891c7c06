/* JPEG by libjpeg's classic interface. Its errors come by a callback that must not return: it jumps back into the function
 * that armed it. */
#include "image/encode_jpeg.h"
#include <string.h>

#if EHM_WITH_JPEG
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include <jerror.h>

typedef struct {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr em;
    jmp_buf jump;
    ehm_err *err;
    unsigned char *bytes; /* libjpeg's, from malloc */
    unsigned long n;
} writer;

static void on_error(j_common_ptr c) {
    writer *w = c->client_data;
    char text[JMSG_LENGTH_MAX];
    ehm_code code = c->err->msg_code == JERR_OUT_OF_MEMORY ? EHM_E_MEMORY : EHM_E_ARG;
    c->err->format_message(c, text);
    EHM_FAIL(w->err, code, "a picture cannot be written as JPEG: %s", text);
    longjmp(w->jump, (int)code);
}
static void on_message(j_common_ptr c, int level) { (void)c, (void)level; }

bool ehm_jpeg_can_encode(void) { return true; }

static ehm_code encode(writer *w, const ehm_image *im, int32_t quality) {
    int jumped = setjmp(w->jump);
    if (jumped) return (ehm_code)jumped;
    w->c.err = jpeg_std_error(&w->em);
    w->em.error_exit = on_error;
    w->em.emit_message = on_message;
    w->c.client_data = w;
    jpeg_create_compress(&w->c);
    jpeg_mem_dest(&w->c, &w->bytes, &w->n);
    w->c.image_width = (JDIMENSION)im->w;
    w->c.image_height = (JDIMENSION)im->h;
    w->c.input_components = im->c;
    w->c.in_color_space = im->c == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&w->c);
    jpeg_set_quality(&w->c, quality, TRUE);
    jpeg_start_compress(&w->c, TRUE);
    while (w->c.next_scanline < w->c.image_height) {
        JSAMPROW row = (uint8_t *)im->px + (size_t)w->c.next_scanline * (size_t)im->w * (size_t)im->c;
        jpeg_write_scanlines(&w->c, &row, 1);
    }
    jpeg_finish_compress(&w->c);
    return EHM_OK;
}
#else
bool ehm_jpeg_can_encode(void) { return false; }
#endif

ehm_code ehm_jpeg_encode(ehm_bytes *out, const ehm_image *im, int32_t quality, ehm_arena *a, ehm_err *err) {
    *out = (ehm_bytes){0};
    if (im->type != EHM_U8 || (im->c != 1 && im->c != 3))
        return EHM_FAIL(err, EHM_E_ARG, "JPEG holds 8 bit pictures of 1 or 3 channels, this one has %d of %s", im->c, ehm_dtype_name(im->type));
    if (quality < 1 || quality > 100) return EHM_FAIL(err, EHM_E_ARG, "JPEG quality %d: must be 1 to 100", quality);
    if (im->w < 1 || im->h < 1 || im->w > 65500 || im->h > 65500)
        return EHM_FAIL(err, EHM_E_ARG, "a picture of %dx%d: a JPEG has sides of 1 to 65500", im->w, im->h);
#if EHM_WITH_JPEG
    writer w;
    memset(&w, 0, sizeof w);
    w.err = err;
    ehm_code rc = encode(&w, im, quality);
    jpeg_destroy_compress(&w.c);
    if (!rc) {
        out->data = ehm_arena_alloc(a, w.n + 1, 1);
        out->len = w.n;
        if (out->data) memcpy(out->data, w.bytes, w.n);
        else rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lu bytes of JPEG", w.n);
    }
    free(w.bytes);
    return rc;
#else
    (void)a;
    EHM_HINT(err, "build with libjpeg");
    return EHM_FAIL(err, EHM_E_UNSUPPORTED, "this build has no libjpeg, so it cannot write JPEG");
#endif
}
