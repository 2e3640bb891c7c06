#include "draw/series.h"
#include "base/file.h"
#include "base/hash.h"
#include "draw/hierarchy.h"
#include "draw/panel_int.h"
#include <string.h>

enum { NAME_BYTES = 150 };

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the drawings"); }

static bool names_a_file(const char *out) {
    static const char *const ends[] = {".png", ".ppm", ".pgm", ".pnm", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".npy", ".svg", ".pdf"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ehm_ends_nocase(out, ends[i])) return !ehm_dir_exists(out);
    return false;
}

ehm_code ehm_series_open(ehm_series *s, const char *out, bool each, int64_t n_expected, const char *note, ehm_err *err) {
    *s = (ehm_series){.out = out, .each = each, .n_expected = n_expected, .note = note};
    if (!each) return EHM_OK;
    if (names_a_file(out) || ehm_file_exists(out)) {
        EHM_FAIL(err, EHM_E_CONFIG, "--out %s: with --each it is the folder for one file a picture, and this %s", out,
                 ehm_file_exists(out) ? "is a file" : "names a file");
        EHM_HINT(err, "leave --each out for one sheet of all pictures");
        return EHM_E_CONFIG;
    }
    return EHM_OK;
}

void ehm_series_close(ehm_series *s) {
    ehm_arena_free(&s->arena), ehm_arena_free(&s->scratch);
    *s = (ehm_series){0};
}

/* ---- names ---- */

static char harmless(char c) {
    unsigned char u = (unsigned char)c;
    return u < 0x20 || u == 0x7f || strchr("/\\:*?\"<>|", c) ? '_' : c;
}

static void plain_name(char out[NAME_BYTES + 1], const char *name) {
    const char *base = ehm_path_base(name), *dot = strrchr(base, '.');
    size_t n = dot && dot > base ? (size_t)(dot - name) : strlen(name), at = 0;
    if (n > NAME_BYTES) { /* the end of a path tells more than its beginning; not in the middle of a letter */
        at = n - NAME_BYTES;
        while (at < n && ((unsigned char)name[at] & 0xc0) == 0x80) at++;
    }
    n -= at;
    for (size_t i = 0; i < n; i++) out[i] = harmless(name[at + i]);
    out[n] = 0;
    if (*out == '.' || *out == '-') *out = '_';
    if (!n) memcpy(out, "picture", 8);
}

static void fold(char *out, const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; i <= n; i++) out[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
}

static size_t slot_of(const ehm_series *s, const char *folded) {
    size_t i = (size_t)ehm_hash64(folded, strlen(folded), 0) & (s->n_slots - 1);
    while (s->names[i] && strcmp(s->names[i], folded)) i = (i + 1) & (s->n_slots - 1);
    return i;
}

static ehm_code grow(ehm_series *s, ehm_err *err) {
    ehm_series old = *s;
    if ((uint64_t)s->n * 2 + 2 < s->n_slots) return EHM_OK;
    s->n_slots = old.n_slots ? old.n_slots * 2 : 256;
    if (!(s->names = EHM_NEW_N(&s->arena, char *, s->n_slots)) || !(s->slots = EHM_NEW_N(&s->arena, uint64_t, s->n_slots))) return no_memory(err);
    for (size_t i = 0; i < old.n_slots; i++)
        if (old.names[i]) {
            size_t at = slot_of(s, old.names[i]);
            s->names[at] = old.names[i], s->slots[at] = old.slots[i];
        }
    return EHM_OK;
}

ehm_code ehm_series_name(const char **out, ehm_series *s, const char *name, ehm_err *err) {
    char plain[NAME_BYTES + 1], with[NAME_BYTES + 32], folded[NAME_BYTES + 32];
    const char *end = ehm_image_can_write_png() ? ".png" : ".ppm";
    plain_name(plain, name);
    EHM_TRY(grow(s, err));
    snprintf(with, sizeof with, "%s", plain);
    fold(folded, with);
    size_t first = slot_of(s, folded), at = first;
    while (s->names[at]) { /* slots: how often a name came, so that many of one name do not search from 2 on each time */
        uint64_t k = s->slots[first] + 1;
        s->slots[first] = k;
        snprintf(with, sizeof with, "%s-%llu", plain, (unsigned long long)k);
        fold(folded, with);
        at = slot_of(s, folded);
    }
    if (!(s->names[at] = ehm_arena_strdup(&s->arena, folded))) return no_memory(err);
    s->slots[at] = 1;
    s->n++;
    char *file = ehm_arena_printf(&s->arena, "%s%s", with, end);
    if (!file) return no_memory(err);
    *out = file;
    return EHM_OK;
}

/* ---- drawings ---- */

static ehm_code foot_of(ehm_image *out, const char *note, int32_t w, ehm_arena *a, ehm_err *err) {
    enum { M = EHM_PANEL_MARGIN };
    int32_t room = w - 2 * M > 120 ? w - 2 * M : 120;
    int32_t lines = ehm_draw_text_wrapped(NULL, 0, 0, room, 0, EHM_ALIGN_LEFT, 1, EHM_FAINT, note);
    EHM_TRY(ehm_canvas_new(out, room + 2 * M, lines * EHM_TEXT_ROW + M, EHM_PAPER, a, err));
    ehm_draw_text_wrapped(out, M, 0, room, 0, EHM_ALIGN_LEFT, 1, EHM_FAINT, note);
    return EHM_OK;
}

/* The drawings under each other and the note under them all. */
static ehm_code joined(ehm_image *out, const ehm_series *s, const ehm_image *drawings, int64_t n, ehm_arena *a, ehm_err *err) {
    ehm_image *all = EHM_NEW_N(a, ehm_image, n + 1);
    int32_t w = 0, extra = s->note && *s->note ? 1 : 0;
    if (!all) return no_memory(err);
    memcpy(all, drawings, (size_t)n * sizeof *all);
    for (int64_t i = 0; i < n; i++) w = drawings[i].w > w ? drawings[i].w : w;
    if (extra) EHM_TRY(foot_of(&all[n], s->note, w, a, err));
    return ehm_draw_stack(out, all, (int32_t)n + extra, a, err);
}

static ehm_code write_each(ehm_series *s, const char *name, const ehm_image *drawing, ehm_err *err) {
    ehm_image out;
    ehm_arena_reset(&s->scratch);
    if (!s->n) EHM_TRY(ehm_dir_make(s->out, err));
    EHM_TRY(ehm_series_name(&s->file, s, name, err));
    char *path = ehm_path_join(&s->scratch, s->out, s->file);
    if (!path) return no_memory(err);
    EHM_TRY(joined(&out, s, drawing, 1, &s->scratch, err));
    s->w = out.w, s->h = out.h;
    return ehm_image_write(path, &out, err);
}

static ehm_code too_large(const ehm_series *s, int64_t n, int64_t h, int32_t w, ehm_err *err) {
    EHM_FAIL(err, EHM_E_CONFIG, "%s: a sheet of %lld drawings would be %d x %lld px (at most %d)", s->out, (long long)n, w, (long long)h,
             EHM_PANEL_SIDE_MAX);
    EHM_HINT(err, "a smaller --count, or --each for one file a picture");
    return EHM_E_CONFIG;
}

ehm_code ehm_series_add(ehm_series *s, const char *name, const ehm_image *drawing, ehm_err *err) {
    if (drawing->c != 3 || drawing->type != EHM_U8) return EHM_FAIL(err, EHM_E_ARG, "a series takes 8 bit RGB, not %d channels", drawing->c);
    if (s->each) return write_each(s, name, drawing, err);
    int64_t left = s->n_expected > s->n + 1 ? s->n_expected - s->n - 1 : 0;
    if (s->height + (left + 1) * drawing->h > EHM_PANEL_SIDE_MAX || drawing->w > EHM_PANEL_SIDE_MAX)
        return too_large(s, s->n + 1 + left, s->height + (left + 1) * drawing->h, drawing->w, err);
    if (s->n == s->cap) {
        int64_t cap = s->cap ? s->cap * 2 : 16;
        ehm_image *more = EHM_NEW_N(&s->arena, ehm_image, cap);
        if (!more) return no_memory(err);
        if (s->n) memcpy(more, s->drawings, (size_t)s->n * sizeof *more);
        s->drawings = more, s->cap = cap;
    }
    ehm_image copy = *drawing;
    if (!(copy.px = EHM_NEW_N(&s->arena, uint8_t, ehm_image_bytes(drawing)))) return no_memory(err);
    memcpy(copy.px, drawing->px, ehm_image_bytes(drawing));
    s->drawings[s->n++] = copy;
    s->height += copy.h;
    return EHM_OK;
}

ehm_code ehm_series_end(ehm_series *s, ehm_err *err) {
    ehm_image out;
    if (s->each || !s->n) return EHM_OK;
    EHM_TRY(joined(&out, s, s->drawings, s->n, &s->scratch, err));
    s->w = out.w, s->h = out.h;
    EHM_TRY(ehm_dir_make_for(s->out, err));
    return ehm_image_write(s->out, &out, err);
}
