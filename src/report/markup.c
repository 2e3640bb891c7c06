#include "report/markup.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Length of the UTF-8 character at s, 0 when there is none (overlong, surrogate, beyond U+10FFFF, cut off). */
static size_t utf8_length(const unsigned char *s, size_t left) {
    unsigned char c = s[0];
    size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (!n || n > left) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) || (c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f)) return 0;
    return n;
}

void ehm_html_textn(ehm_str *out, const char *text, size_t n_text) {
    const unsigned char *s = (const unsigned char *)text;
    for (size_t left = n_text; left;) {
        size_t n = utf8_length(s, left);
        if (!n || (*s < 0x20 && *s != '\n' && *s != '\t') || *s == 0x7f || (n == 2 && s[0] == 0xc2 && s[1] < 0xa0)) {
            ehm_str_add(out, "\xef\xbf\xbd");
            n = n ? n : 1;
        } else if (*s == '&') ehm_str_add(out, "&amp;");
        else if (*s == '<') ehm_str_add(out, "&lt;");
        else if (*s == '>') ehm_str_add(out, "&gt;");
        else if (*s == '"') ehm_str_add(out, "&quot;");
        else if (*s == '\'') ehm_str_add(out, "&#39;");
        else ehm_str_addn(out, (const char *)s, n);
        s += n, left -= n;
    }
}

void ehm_html_text(ehm_str *out, const char *text) {
    if (text) ehm_html_textn(out, text, strlen(text));
}

void ehm_html_textf(ehm_str *out, const char *fmt, ...) {
    char small[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof small) {
        ehm_html_text(out, small);
        return;
    }
    char *large = n > 0 ? malloc((size_t)n + 1) : NULL;
    if (!large) {
        out->failed = true;
        return;
    }
    va_start(ap, fmt);
    vsnprintf(large, (size_t)n + 1, fmt, ap);
    va_end(ap);
    ehm_html_text(out, large);
    free(large);
}

void ehm_html_base64(ehm_str *out, const void *data, size_t n) {
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = data;
    char block[4 * 256];
    size_t used = 0;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0u);
        block[used++] = digit[v >> 18];
        block[used++] = digit[v >> 12 & 63];
        block[used++] = i + 1 < n ? digit[v >> 6 & 63] : '=';
        block[used++] = i + 2 < n ? digit[v & 63] : '=';
        if (used == sizeof block) ehm_str_addn(out, block, used), used = 0;
    }
    ehm_str_addn(out, block, used);
}

/* printf follows the locale of the program around us; HTML and SVG have a point. */
static void use_point(char *s) {
    for (; *s; s++)
        if (*s == ',') *s = '.';
}

char *ehm_html_number(double v, char *buf) {
    if (isnan(v)) snprintf(buf, 32, "\xe2\x80\x93");
    else if (isinf(v)) snprintf(buf, 32, "%s\xe2\x88\x9e", v > 0 ? "" : "-");
    else snprintf(buf, 32, fabs(v) >= 1e4 && fabs(v) < 1e9 ? "%.0f" : "%.4g", v), use_point(buf);
    return buf;
}

void ehm_html_g(ehm_str *out, double v, int digits) {
    char t[64];
    snprintf(t, sizeof t, "%.*g", digits, v);
    use_point(t);
    ehm_str_add(out, t);
}

void ehm_html_coord(ehm_str *out, double v) {
    char t[64];
    snprintf(t, sizeof t, "%.1f", v);
    use_point(t);
    size_t n = strlen(t);
    if (n > 2 && !strcmp(t + n - 2, ".0")) t[n - 2] = 0;
    ehm_str_add(out, !strcmp(t, "-0") ? "0" : t);
}

void ehm_shell_word(ehm_str *out, const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%#";
    /* '#' begins a comment only where a word begins */
    if (*text && *text != '#' && strspn(text, plain) == strlen(text)) {
        ehm_str_add(out, text);
        return;
    }
    ehm_str_addc(out, '\'');
    for (; *text; text++) {
        if (*text == '\'') ehm_str_add(out, "'\\''");
        else ehm_str_addc(out, *text);
    }
    ehm_str_addc(out, '\'');
}
