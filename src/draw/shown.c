#include "draw/shown.h"
#include "base/str.h"
#include <math.h>
#include <string.h>

static ehm_code not_channels(const char *text, int32_t channels, const char *why, ehm_err *err) {
    EHM_FAIL(err, EHM_E_CONFIG, "--show-channels %s: %s", text, why);
    if (channels == 1)
        EHM_HINT(err, "the pictures have one channel, which is grey");
    else
        EHM_HINT(err, "one number (grey), two (red and cyan) or three (red, green, blue), each from 1 to %d", channels);
    return EHM_E_CONFIG;
}

ehm_code ehm_shown_of(ehm_shown *out, const char *text, int32_t channels, ehm_err *err) {
    *out = (ehm_shown){0};
    if (!strcmp(text, "auto")) return *out = ehm_shown_resolve(out, channels), EHM_OK;
    for (const char *p = text;; p++) {
        char one[16] = "";
        size_t len = strcspn(p, ",");
        int64_t v;
        if (len < sizeof one) memcpy(one, p, len);
        if (!ehm_parse_i64(one, &v)) return not_channels(text, channels, len ? "not a list of numbers" : "a number is missing", err);
        if (v < 1 || v > channels) return not_channels(text, channels, "there is no such channel", err);
        if (out->n == 3) return not_channels(text, channels, "more than three channels", err);
        out->channel[out->n++] = (int32_t)v - 1;
        p += len;
        if (!*p) return EHM_OK;
    }
}

ehm_shown ehm_shown_resolve(const ehm_shown *how, int32_t channels) {
    if (how && how->n) return *how;
    return (ehm_shown){.n = channels < 3 ? channels : 3, .channel = {0, 1, 2}};
}

static double value(const void *px, ehm_dtype type, size_t at) {
    return type == EHM_U8 ? ((const uint8_t *)px)[at] / 255.0 : (double)((const float *)px)[at];
}

ehm_shown_range ehm_shown_range_of(const ehm_shown *how, const void *px, ehm_dtype type, int64_t n_px, int32_t channels) {
    /* Resampling overshoots a little beyond 0 and 1; such pictures are no others. */
    enum { PERCENT_BEYOND = 25 };
    ehm_shown s = ehm_shown_resolve(how, channels);
    double lo = INFINITY, hi = -INFINITY;
    if (type == EHM_U8) return (ehm_shown_range){0, 1, false};
    for (int64_t i = 0; i < n_px; i++)
        for (int32_t k = 0; k < s.n; k++) {
            double v = value(px, type, (size_t)i * (size_t)channels + (size_t)s.channel[k]);
            if (!isfinite(v)) continue;
            lo = fmin(lo, v), hi = fmax(hi, v);
        }
    if (!(lo < -PERCENT_BEYOND / 100.0 || hi > 1 + PERCENT_BEYOND / 100.0) || !(hi > lo)) return (ehm_shown_range){0, 1, false};
    return (ehm_shown_range){lo, hi, true};
}

static uint8_t byte_of(double v, const ehm_shown_range *r) {
    v = (v - r->lo) / (r->hi - r->lo) * 255;
    return (uint8_t)(v >= 255 ? 255 : v > 0 ? v + 0.5 : 0);
}

ehm_code ehm_shown_image(ehm_image *out, const ehm_shown *how, const ehm_shown_range *r, const void *px, ehm_dtype type, int32_t h, int32_t w,
                         int32_t channels, ehm_arena *a, ehm_err *err) {
    ehm_shown s = ehm_shown_resolve(how, channels);
    int32_t c = s.n == 1 ? 1 : 3;
    EHM_TRY(ehm_image_new(out, w, h, c, EHM_U8, a, err));
    uint8_t *dst = out->px;
    for (size_t i = 0; i < (size_t)w * (size_t)h; i++)
        for (int32_t k = 0; k < c; k++)
            *dst++ = byte_of(value(px, type, i * (size_t)channels + (size_t)s.channel[k < s.n ? k : s.n - 1]), r);
    return EHM_OK;
}

const char *ehm_shown_channels_text(const ehm_shown *how, int32_t channels, ehm_arena *a) {
    ehm_shown s = ehm_shown_resolve(how, channels);
    bool first = s.channel[0] == 0 && (s.n < 3 || (s.channel[1] == 1 && s.channel[2] == 2));
    if (s.n == 1) return channels == 1 ? "" : ehm_arena_printf(a, " Shown: channel %d of %d as grey.", s.channel[0] + 1, channels);
    if (s.n == 2)
        return ehm_arena_printf(a, " Shown: channel %d as red, channel %d as cyan%s.", s.channel[0] + 1, s.channel[1] + 1,
                                channels > 2 ? ehm_arena_printf(a, ", of %d channels", channels) : "");
    if (first && channels == 3) return "";
    return ehm_arena_printf(a, " Shown: channels %d, %d, %d of %d as red, green, blue.", s.channel[0] + 1, s.channel[1] + 1, s.channel[2] + 1, channels);
}

const char *ehm_shown_fit_text(const char *fit, int32_t h, int32_t w, ehm_arena *a) {
    const char *how = "";
    int32_t least = h < w ? h : w;
    bool all = least <= 96; /* as the evaluation transform has it */
    if (fit && !strcmp(fit, "stretch")) how = "stretched to that size, whatever their shape";
    else if (fit && !strcmp(fit, "pad")) how = "the whole picture in the middle, black around it";
    else if (h == w) how = ehm_arena_printf(a, "short side to %d, middle cut out", all ? least : (int32_t)(least / 0.875 + 0.5));
    else how = all ? "the largest part of that shape, from the middle" : "the largest part of that shape, seven eighths of it, from the middle";
    return how ? ehm_arena_printf(a, "Pictures as the model sees them, %d x %d px: %s.", w, h, how) : NULL;
}
