/* JPEG by libjpeg's classic interface (libjpeg-turbo 2 or later for crops). libjpeg reports errors by a
 * callback that must not return; it jumps back into the function below that armed it. Warnings which mean
 * damaged pixels count as errors, because libjpeg would fill the rest with grey and a training run would
 * never notice. */
#include "image/image_int.h"
#include <string.h>

static bool claims(const uint8_t *d, size_t n) {
    return n >= 3 && d[0] == 0xff && d[1] == 0xd8 && d[2] == 0xff;
}

#if EHM_WITH_JPEG
#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include <jerror.h>

enum {
    MAX_SCANS = 500,     /* a small progressive file can ask for thousands of passes over a huge picture */
    HARMLESS_EXTRA = 16, /* padding bytes that some cameras and ImageNet files have before a marker */
    /* what upsampling may look at around a crop, rounded up generously: two blocks of 4:2:0 */
    MARGIN_PX = 32,
    ROWS_AT_ONCE = 16,
    EXIF_BYTES = 0xffff /* the tag stands at the front, but nothing says that it must */
};

typedef struct {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr em;
    struct jpeg_progress_mgr pm;
    jmp_buf jump;
    ehm_err *err;
    size_t n;
    uint8_t *cmyk;
} reader;

static void give_up(j_common_ptr c, ehm_code code) {
    reader *r = c->client_data;
    char text[JMSG_LENGTH_MAX];
    c->err->format_message(c, text);
    size_t used = r->c.src ? r->n - r->c.src->bytes_in_buffer : 0;
    if (c->err->msg_code == JWRN_JPEG_EOF)
        EHM_FAIL(r->err, code, "JPEG data ends early (after %zu bytes)", r->n);
    else EHM_FAIL(r->err, code, "JPEG data is damaged near byte %zu of %zu: %s", used, r->n, text);
    longjmp(r->jump, (int)code);
}

static void on_error(j_common_ptr c) {
    switch (c->err->msg_code) {
    case JERR_OUT_OF_MEMORY: give_up(c, EHM_E_MEMORY); break;
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_ARITH_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL: give_up(c, EHM_E_UNSUPPORTED); break;
    default: give_up(c, EHM_E_FORMAT);
    }
}

static void on_message(j_common_ptr c, int level) {
    if (level >= 0) return; /* a trace message */
    struct jpeg_error_mgr *e = c->err;
    switch (e->msg_code) {
    case JWRN_ADOBE_XFORM: /* header curiosities that leave the pixels whole */
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_TOO_MUCH_DATA: return;
    case JWRN_EXTRANEOUS_DATA: /* i[0] bytes before marker i[1]; before a restart they mean damage */
        if (e->msg_parm.i[0] <= HARMLESS_EXTRA && (e->msg_parm.i[1] < 0xd0 || e->msg_parm.i[1] > 0xd7))
            return;
        break;
    default: break;
    }
    give_up(c, EHM_E_FORMAT);
}

static void on_progress(j_common_ptr c) {
    reader *r = c->client_data;
    if (r->c.input_scan_number <= MAX_SCANS) return;
    EHM_FAIL(r->err, EHM_E_FORMAT, "JPEG of more than %d scans", MAX_SCANS);
    longjmp(r->jump, (int)EHM_E_FORMAT);
}

/* After setjmp, because create itself may fail. */
static void start(reader *r, const uint8_t *data, size_t n, ehm_err *err) {
    r->err = err;
    r->n = n;
    r->c.err = jpeg_std_error(&r->em);
    r->em.error_exit = on_error;
    r->em.emit_message = on_message;
    r->c.client_data = r;
    jpeg_create_decompress(&r->c);
    r->pm.progress_monitor = on_progress;
    r->c.progress = &r->pm;
    jpeg_mem_src(&r->c, (unsigned char *)(uintptr_t)data, (unsigned long)n);
}

static bool is_cmyk(const reader *r) { return r->c.num_components == 4; }

static ehm_code check_components(reader *r, ehm_err *err) {
    int n = r->c.num_components;
    if (n == 1 || n == 3 || n == 4) return EHM_OK;
    return EHM_FAIL(err, EHM_E_UNSUPPORTED, "JPEG of %d components (1, 3 and 4 are read)", n);
}

static bool has_icc(const reader *r) {
    for (jpeg_saved_marker_ptr m = r->c.marker_list; m; m = m->next)
        if (m->marker == JPEG_APP0 + 2 && m->data_length >= 12 && !memcmp(m->data, "ICC_PROFILE", 12)) return true;
    return false;
}

static uint8_t orientation(const reader *r) {
    for (jpeg_saved_marker_ptr m = r->c.marker_list; m; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length >= 6 && !memcmp(m->data, "Exif\0\0", 6)) return ehm_exif_orientation(m->data, m->data_length);
    return 0;
}

static ehm_code probe(ehm_image_info *out, const uint8_t *data, size_t n, ehm_err *err) {
    reader r;
    memset(&r, 0, sizeof r);
    int jumped = setjmp(r.jump);
    if (jumped) {
        jpeg_destroy_decompress(&r.c);
        return (ehm_code)jumped;
    }
    start(&r, data, n, err);
    jpeg_save_markers(&r.c, JPEG_APP0 + 2, 16);
    jpeg_save_markers(&r.c, JPEG_APP0 + 1, EXIF_BYTES);
    jpeg_read_header(&r.c, TRUE);
    ehm_code rc = check_components(&r, err);
    out->w = (int32_t)r.c.image_width;
    out->h = (int32_t)r.c.image_height;
    out->c = r.c.num_components == 1 ? 1 : 3;
    out->has_icc = has_icc(&r);
    out->orientation = orientation(&r);
    jpeg_destroy_decompress(&r.c);
    return rc;
}

/* The strongest of 1/8, 1/4, 1/2 that keeps the crop at least min_w x min_h. */
static unsigned denominator_of(const ehm_want *want) {
    if (want->min_w <= 0 || want->min_h <= 0) return 1;
    unsigned d = 8;
    while (d > 1 && (want->w / (int32_t)d < want->min_w || want->h / (int32_t)d < want->min_h)) d /= 2;
    return d;
}

/* Where a crop of the file lies in the scaled picture, rounded outwards. */
typedef struct { JDIMENSION x0, y0, x1, y1; } area;

static area scaled_area(const reader *r, const ehm_want *want, unsigned d, double box[4]) {
    area s = {(JDIMENSION)want->x / d, (JDIMENSION)want->y / d, ((JDIMENSION)(want->x + want->w) + d - 1) / d,
              ((JDIMENSION)(want->y + want->h) + d - 1) / d};
    if (s.x1 > r->c.output_width) s.x1 = r->c.output_width;
    if (s.y1 > r->c.output_height) s.y1 = r->c.output_height;
    double k = 1.0 / d, w = s.x1 - s.x0, h = s.y1 - s.y0;
    box[0] = want->x * k - s.x0;
    box[1] = want->y * k - s.y0;
    box[2] = (want->x + want->w) * k - s.x0;
    box[3] = (want->y + want->h) * k - s.y0;
    if (box[2] > w) box[2] = w;
    if (box[3] > h) box[3] = h;
    return s;
}

/* Rows [y0, y1) of columns [x0, x1) into out, through strip (rows of what libjpeg gives, when that is not
 * out's own row). */
static void read_rows(reader *r, ehm_image *out, area s, JDIMENSION left, uint8_t *strip, size_t strip_row) {
    size_t row = (size_t)out->w * (size_t)out->c, in_c = (size_t)r->c.output_components;
    JSAMPROW rows[ROWS_AT_ONCE];
    JDIMENSION lead = s.y0 > MARGIN_PX ? s.y0 - MARGIN_PX : 0;
    if (lead) lead = jpeg_skip_scanlines(&r->c, lead);
    while (r->c.output_scanline < s.y1) {
        JDIMENSION y = r->c.output_scanline, n_rows = s.y1 - y;
        if (n_rows > ROWS_AT_ONCE) n_rows = ROWS_AT_ONCE;
        for (JDIMENSION i = 0; i < n_rows; i++)
            rows[i] = strip ? strip + strip_row * i : (uint8_t *)out->px + row * (y - s.y0 + i);
        JDIMENSION got = jpeg_read_scanlines(&r->c, rows, n_rows);
        for (JDIMENSION i = 0; strip && i < got; i++) {
            if (y + i < s.y0) continue;
            uint8_t *dst = (uint8_t *)out->px + row * (y + i - s.y0);
            const uint8_t *src = rows[i] + (s.x0 - left) * in_c;
            if (is_cmyk(r)) ehm_cmyk_to_rgb(dst, src, (size_t)out->w, true);
            else memcpy(dst, src, row);
        }
    }
}

/* A crop does not decode what lies below it, so look at least for the end mark; entropy-coded data cannot
 * contain it. */
static ehm_code check_end(const reader *r, ehm_err *err) {
    if (r->c.output_scanline >= r->c.output_height) return EHM_OK;
    if (r->c.unread_marker == JPEG_EOI) return EHM_OK; /* libjpeg has looked ahead as far as that */
    /* all scans were read by start */
    if (jpeg_has_multiple_scans((j_decompress_ptr)(uintptr_t)&r->c)) return EHM_OK;
    if (memmem(r->c.src->next_input_byte, r->c.src->bytes_in_buffer, "\xff\xd9", 2)) return EHM_OK;
    return EHM_FAIL(err, EHM_E_FORMAT, "JPEG data ends early (after %zu bytes)", r->n);
}

static ehm_code decode(ehm_image *out, double box[4], const uint8_t *data, size_t n, ehm_want *want,
                       ehm_arena *a, ehm_err *err) {
    reader r;
    ehm_code rc;
    memset(&r, 0, sizeof r);
    int jumped = setjmp(r.jump);
    if (jumped) {
        jpeg_destroy_decompress(&r.c);
        return (ehm_code)jumped;
    }
    start(&r, data, n, err);
    jpeg_read_header(&r.c, TRUE);
    rc = check_components(&r, err);
    if (rc) goto done;
    int32_t c = r.c.num_components == 1 ? 1 : 3;
    rc = ehm_want_check(want, r.c.image_width, r.c.image_height, c, EHM_U8, err);
    if (rc) goto done;
    r.c.out_color_space = c == 1 ? JCS_GRAYSCALE : is_cmyk(&r) ? JCS_CMYK : JCS_RGB;
    unsigned d = denominator_of(want);
    r.c.scale_num = 1;
    r.c.scale_denom = d;
    /* Coefficients of a progressive picture are 2 bytes a sample, at most doubled by padding. */
    r.c.mem->max_memory_to_use = (long)(64 << 20) + (long)r.c.image_width * (long)r.c.image_height * 16;
    jpeg_start_decompress(&r.c);

    area s = scaled_area(&r, want, d, box);
    rc = ehm_image_new(out, (int32_t)(s.x1 - s.x0), (int32_t)(s.y1 - s.y0), c, EHM_U8, a, err);
    if (rc) goto done;
    JDIMENSION left = 0, width = r.c.output_width;
    if (s.x1 - s.x0 + 4 * MARGIN_PX < width) { /* else little is saved */
        left = s.x0 > MARGIN_PX ? s.x0 - MARGIN_PX : 0;
        width = (s.x1 + MARGIN_PX < width ? s.x1 + MARGIN_PX : width) - left;
        jpeg_crop_scanline(&r.c, &left, &width);
    }
    bool direct = !is_cmyk(&r) && s.y0 == 0 && left == s.x0 && width == (JDIMENSION)out->w;
    size_t strip_row = (size_t)width * (size_t)r.c.output_components;
    uint8_t *strip = direct ? NULL : ehm_arena_alloc(a, ROWS_AT_ONCE, strip_row);
    if (!direct && !strip) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for rows of %u px", (unsigned)width);
        goto done;
    }
    read_rows(&r, out, s, left, strip, strip_row);
    rc = check_end(&r, err);
    if (!rc && r.c.output_scanline >= r.c.output_height) jpeg_finish_decompress(&r.c);
done:
    jpeg_destroy_decompress(&r.c);
    return rc;
}

const ehm_codec ehm_codec_jpeg = {"jpeg", "libjpeg", claims, probe, decode, true};
#else
const ehm_codec ehm_codec_jpeg = {"jpeg", "libjpeg", claims, NULL, NULL, true};
#endif
