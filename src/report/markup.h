/* Text into HTML: nothing that comes from outside is added in another way. */
#ifndef EHM_REPORT_MARKUP_H
#define EHM_REPORT_MARKUP_H
#include "base/str.h"

/* For text and quoted attributes: & < > " ' escaped; what is no UTF-8, and control characters but newline and tab, become U+FFFD. NULL: nothing. */
void ehm_html_text(ehm_str *out, const char *text);
void ehm_html_textn(ehm_str *out, const char *text, size_t n);
/* printf, then the same. */
void ehm_html_textf(ehm_str *out, const char *fmt, ...) EHM_PRINTF(2, 3);
void ehm_html_base64(ehm_str *out, const void *data, size_t n);
/* Four significant digits with a point whatever the locale: "0.5839", "1.25e-7", "–" for NaN. buf has 32 bytes. */
char *ehm_html_number(double v, char *buf);
/* `digits` significant digits, point, shortest: for coordinates and data. */
void ehm_html_g(ehm_str *out, double v, int digits);
/* One decimal place, ".0" dropped. */
void ehm_html_coord(ehm_str *out, double v);
/* text as one word of a shell command. */
void ehm_shell_word(ehm_str *out, const char *text);
#endif
