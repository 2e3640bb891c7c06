/* Pictures of a run inside the page, thinned over time where they are many. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "report/markup.h"
#include "report/report_int.h"

enum { DEFAULT_BYTES = 6 << 20 };

/* What is known comes first, in the order in which it is wanted. */
static const char *const known[][2] = {{"reconstruct", "Reconstructions"}, {"tree", "Trees"}, {"masks", "Masks"}, {"attention", "Attention"}, {"features", "Features"},
                                       {"masks_over_training", "Masks over training"}};
enum { N_KNOWN = sizeof known / sizeof *known };

static int rank(const char *kind) {
    int i = 0;
    while (i < N_KNOWN && strcmp(known[i][0], kind)) i++;
    return i;
}

static int by_kind_and_step(const void *a, const void *b) {
    const ehm_report_picture *x = a, *y = b;
    int c = rank(x->kind) - rank(y->kind);
    if (!c) c = strcmp(x->kind, y->kind);
    return c ? c : x->step < y->step ? -1 : x->step > y->step;
}

/* In the page: base64, and PPM as BMP of the same size. */
static int64_t cost(const ehm_report_picture *p) { return (p->bytes + 2) / 3 * 4 + 200; }

static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Steps at which something was drawn, ascending, each once. */
static int32_t steps_of(int64_t *step, const ehm_report_run *run) {
    int32_t n = 0, m = 0;
    for (int32_t i = 0; i < run->n_pictures; i++)
        if (run->pictures[i].step >= 0) step[n++] = run->pictures[i].step;
    qsort(step, (size_t)n, sizeof *step, by_number);
    for (int32_t i = 0; i < n; i++)
        if (!m || step[m - 1] != step[i]) step[m++] = step[i];
    return m;
}

/* The most steps, evenly spaced with the first and the last, whose pictures fit; then those of the whole run, as long as they fit too.
 * Returns how many steps are left out. */
static int32_t thin(ehm_report_run *run, int64_t *step, int32_t n, int64_t budget, int32_t *n_kept_steps, int32_t *n_whole_out) {
    int32_t want = n;
    int64_t sum = 0;
    for (;; want = want > 16 ? want - want / 8 : want - 1) {
        sum = 0;
        for (int32_t i = 0; i < run->n_pictures; i++) {
            ehm_report_picture *p = &run->pictures[i];
            if (p->step < 0) continue;
            p->kept = false;
            for (int32_t k = 0; k < want && !p->kept; k++) p->kept = p->step == step[want > 1 ? (int64_t)k * (n - 1) / (want - 1) : n - 1];
            if (p->kept) sum += cost(p);
        }
        if (sum <= budget || want <= 1) break;
    }
    if (sum > budget)
        for (int32_t i = 0; i < run->n_pictures; i++)
            if (run->pictures[i].step >= 0) run->pictures[i].kept = false, sum = 0, want = 0;
    for (int32_t i = 0; i < run->n_pictures; i++) {
        ehm_report_picture *p = &run->pictures[i];
        if (p->step >= 0) continue;
        p->kept = sum + cost(p) <= budget;
        if (p->kept) sum += cost(p);
        else ++*n_whole_out;
    }
    *n_kept_steps = want;
    for (int32_t k = 0; k < want; k++) step[k] = step[want > 1 ? (int64_t)k * (n - 1) / (want - 1) : n - 1];
    return n - want;
}

/* ---- one picture ---- */

static bool ppm_number(const uint8_t **p, const uint8_t *end, int64_t *v) {
    for (; *p < end && (isspace(**p) || **p == '#'); ++*p)
        if (**p == '#')
            while (*p < end && **p != '\n') ++*p;
    if (*p >= end || !isdigit(**p)) return false;
    for (*v = 0; *p < end && isdigit(**p) && *v < 1 << 20; ++*p) *v = 10 * *v + (**p - '0');
    return true;
}

static void put32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}

/* P6 with 8 bits as a BMP: browsers read no PPM, and a build without libpng draws nothing else. */
static bool bmp_of_ppm(ehm_bytes *out, ehm_bytes in, int64_t *w, int64_t *h, ehm_arena *a) {
    const uint8_t *p = in.data + 2, *end = in.data + in.len;
    int64_t most;
    if (in.len < 8 || memcmp(in.data, "P6", 2) || !ppm_number(&p, end, w) || !ppm_number(&p, end, h) || !ppm_number(&p, end, &most) || most != 255) return false;
    p++;
    if (*w < 1 || *h < 1 || *w > 1 << 15 || *h > 1 << 15 || end - p < 3 * *w * *h) return false;
    size_t row = ((size_t)*w * 3 + 3) / 4 * 4, n = 54 + row * (size_t)*h;
    uint8_t *b = ehm_arena_alloc(a, n, 1);
    if (!b) return false;
    memcpy(b, "BM", 2), put32(b + 2, (uint32_t)n), put32(b + 10, 54), put32(b + 14, 40), put32(b + 18, (uint32_t)*w), put32(b + 22, (uint32_t)*h);
    b[26] = 1, b[28] = 24, put32(b + 34, (uint32_t)(n - 54));
    for (int64_t y = 0; y < *h; y++)
        for (int64_t x = 0; x < *w; x++)
            for (int c = 0; c < 3; c++) b[54 + row * (size_t)(*h - 1 - y) + (size_t)(3 * x + c)] = p[3 * (y * *w + x) + 2 - c];
    *out = (ehm_bytes){b, n};
    return true;
}

/* What the bytes are, and where their header says so, their size. NULL: nothing that a browser shows. */
static const char *type_of(ehm_bytes *bytes, int64_t *w, int64_t *h, ehm_arena *a) {
    const uint8_t *b = bytes->data;
    *w = *h = 0;
    if (bytes->len > 24 && !memcmp(b, "\x89PNG\r\n\x1a\n", 8)) {
        *w = (int64_t)b[16] << 24 | b[17] << 16 | b[18] << 8 | b[19], *h = (int64_t)b[20] << 24 | b[21] << 16 | b[22] << 8 | b[23];
        return "image/png";
    }
    if (bytes->len > 3 && !memcmp(b, "\xff\xd8\xff", 3)) return "image/jpeg";
    if (bytes->len > 12 && !memcmp(b, "RIFF", 4) && !memcmp(b + 8, "WEBP", 4)) return "image/webp";
    if (bytes->len > 6 && !memcmp(b, "GIF8", 4)) return "image/gif";
    return bmp_of_ppm(bytes, *bytes, w, h, a) ? "image/bmp" : NULL;
}

static const char *title_of(const char *kind, ehm_arena *a) {
    if (rank(kind) < N_KNOWN) return known[rank(kind)][1];
    char *s = ehm_arena_strdup(a, kind);
    for (char *p = s; p && *p; p++)
        if (*p == '_') *p = ' ';
    if (s && *s >= 'a' && *s <= 'z') *s = (char)(*s - 'a' + 'A');
    return s ? s : kind;
}

static void when(ehm_str *out, const ehm_report_run *run, int64_t step) {
    char t[32], c[32];
    if (run->x_per_step > 0) {
        snprintf(t, sizeof t, "%.1f", (double)step * run->x_per_step);
        for (char *p = t; *p; p++)
            if (*p == ',') *p = '.';
        ehm_str_addf(out, "epoch %s, step %s", t, ehm_format_count(step, c));
    } else ehm_str_addf(out, "step %s", ehm_format_count(step, c));
}

/* Cannot be read or is none: a sentence in its place. */
static ehm_code picture(ehm_str *out, const ehm_report_run *run, const ehm_report_picture *p, const char *title, ehm_err *err) {
    ehm_arena a = {0};
    ehm_bytes bytes = {0};
    ehm_err why = {0};
    int64_t w = 0, h = 0;
    ehm_code rc = ehm_file_read(&bytes, p->path, &a, &why);
    const char *type = rc ? NULL : type_of(&bytes, &w, &h, &a);
    if (rc == EHM_E_MEMORY) EHM_FAIL(err, rc, "%s", why.what);
    else rc = EHM_OK;
    if (p->step >= 0) ehm_str_addf(out, "<figure data-step=\"%lld\">", (long long)p->step);
    else ehm_str_add(out, "<figure class=\"single\">");
    if (type) {
        ehm_str_addf(out, "<img alt=\"");
        ehm_html_text(out, title);
        if (p->step >= 0) ehm_str_add(out, ", "), when(out, run, p->step);
        ehm_str_add(out, "\"");
        if (w > 0 && h > 0 && w < 1 << 20 && h < 1 << 20) ehm_str_addf(out, " width=\"%lld\" height=\"%lld\"", (long long)w, (long long)h);
        ehm_str_addf(out, " src=\"data:%s;base64,", type);
        ehm_html_base64(out, bytes.data, bytes.len);
        ehm_str_add(out, "\">");
    } else {
        ehm_str_add(out, "<p>");
        ehm_html_textf(out, "%s is damaged or of no kind that browsers show.", p->name);
        ehm_str_add(out, "</p>");
    }
    if (p->step >= 0) ehm_str_add(out, "<figcaption>"), when(out, run, p->step), ehm_str_add(out, "</figcaption>");
    ehm_str_add(out, "</figure>\n");
    ehm_arena_free(&a);
    return rc;
}

/* ---- all of a run ---- */

static void slider(ehm_str *out, const ehm_report_run *run, const int64_t *step, int32_t n) {
    ehm_str_add(out, "<div class=\"over-time\" data-steps=\"");
    for (int32_t k = 0; k < n; k++) ehm_str_addf(out, "%s%lld", k ? " " : "", (long long)step[k]);
    ehm_str_add(out, "\" data-names=\"");
    for (int32_t k = 0; k < n; k++) ehm_str_add(out, k ? "|" : ""), when(out, run, step[k]);
    ehm_str_add(out, "\">\n");
    if (n < 2) return;
    ehm_str_addf(out, "<div class=\"slider\"><button type=\"button\" data-by=\"-1\" aria-label=\"earlier\">&#9664;</button><input type=\"range\" min=\"0\" max=\"%d\" value=\"%d\" step=\"1\" "
                      "aria-label=\"when in training\"><button type=\"button\" data-by=\"1\" aria-label=\"later\">&#9654;</button><output>", (int)(n - 1), (int)(n - 1));
    when(out, run, step[n - 1]);
    ehm_str_add(out, "</output></div>\n");
}

static ehm_code of_run(ehm_str *out, ehm_report *r, ehm_report_run *run, int64_t budget, ehm_err *err) {
    int64_t *step = EHM_NEW_N(&r->arena, int64_t, run->n_pictures + 1);
    int32_t n_kept = 0, n_whole_out = 0;
    if (!step) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for pictures");
    qsort(run->pictures, (size_t)run->n_pictures, sizeof *run->pictures, by_kind_and_step);
    int32_t n = steps_of(step, run), left_out = thin(run, step, n, budget, &n_kept, &n_whole_out);
    if (r->n > 1) ehm_str_add(out, "<h3>"), ehm_html_text(out, run->name), ehm_str_add(out, "</h3>\n");
    if (left_out)
        ehm_str_addf(out, "<p class=\"soft\">Of %d points in time %d are shown here, evenly spaced, to keep this page small; all are in the run folder under pictures/.</p>\n", (int)n, (int)n_kept);
    if (n_kept) {
        slider(out, run, step, n_kept);
        for (int32_t i = 0, end; i < run->n_pictures; i = end) {
            bool any = false;
            for (end = i; end < run->n_pictures && !strcmp(run->pictures[end].kind, run->pictures[i].kind); end++) any |= run->pictures[end].step >= 0 && run->pictures[end].kept;
            if (!any) continue;
            const char *title = title_of(run->pictures[i].kind, &r->arena);
            ehm_str_add(out, "<h4>"), ehm_html_text(out, title), ehm_str_add(out, "</h4>\n<div class=\"reel\" tabindex=\"0\">\n");
            for (int32_t k = i; k < end; k++)
                if (run->pictures[k].step >= 0 && run->pictures[k].kept) EHM_TRY(picture(out, run, &run->pictures[k], title, err));
            ehm_str_add(out, "</div>\n");
        }
        ehm_str_add(out, "</div>\n");
    }
    for (int32_t i = 0; i < run->n_pictures; i++) {
        const ehm_report_picture *p = &run->pictures[i];
        const char *title = title_of(p->kind, &r->arena);
        if (p->step >= 0 || !p->kept) continue;
        ehm_str_add(out, "<details><summary>"), ehm_html_text(out, title), ehm_str_add(out, "</summary>\n");
        EHM_TRY(picture(out, run, p, title, err));
        ehm_str_add(out, "</details>\n");
    }
    if (n_whole_out) ehm_str_addf(out, "<p class=\"soft\">Sheets left out for their size: %d; they are in the run folder under pictures/.</p>\n", (int)n_whole_out);
    return EHM_OK;
}

ehm_code ehm_report_pictures(ehm_str *out, ehm_report *r, ehm_err *err) {
    int64_t budget = r->opt->picture_bytes > 0 ? r->opt->picture_bytes : DEFAULT_BYTES;
    int32_t n = 0;
    for (int32_t i = 0; i < r->n; i++) n += r->runs[i].n_pictures > 0;
    for (int32_t i = 0; i < r->n; i++)
        if (r->runs[i].n_pictures) EHM_TRY(of_run(out, r, &r->runs[i], budget / n, err));
    return EHM_OK;
}
