/* Contact sheets: pictures stand where they should and whole; odd sheets are refused in words. */
#include "draw/sheet.h"
#include "harness.h"

static uint8_t px[64 * 64 * 3];

static int64_t count(const ehm_image *c, ehm_rgb v) {
    int64_t n = 0;
    const uint8_t *p = c->px;
    for (size_t i = 0; i < (size_t)c->w * (size_t)c->h; i++, p += 3)
        n += p[0] == v.r && p[1] == v.g && p[2] == v.b;
    return n;
}

static void fill(uint8_t r, uint8_t g, uint8_t b) {
    for (size_t i = 0; i < sizeof px; i += 3) px[i] = r, px[i + 1] = g, px[i + 2] = b;
}

TEST(sheet, small_pictures_grow_by_whole_factors) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image out, big = {px, 64, 64, 3, EHM_U8}, small = {px, 32, 20, 3, EHM_U8};
    ehm_sheet_cell cells[4] = {{.image = &big, .caption = "one"},
                               {.image = &small},
                               {.caption = "nothing here"},
                               {.image = &big, .marked = true, .mark = EHM_RGB(0x00ff00)}};
    ehm_sheet s = {.title = "T",
                   .footnote = "f",
                   .columns = (const char *[]){"a", NULL},
                   .rows = (const char *[]){NULL, "row"},
                   .cells = cells,
                   .n_rows = 2,
                   .n_cols = 2};
    fill(255, 0, 255);
    REQUIRE_OK(ehm_sheet_draw(&out, &s, &a, &err), &err);
    CHECK_INT(count(&out, EHM_RGB(0xff00ff)), 192 * 192 * 2 + 96 * 60);
    CHECK_INT(count(&out, EHM_RGB(0x00ff00)), 198 * 198 - 192 * 192);
    CHECK(count(&out, EHM_INK) > 40 && count(&out, EHM_FAINT) > 10);
    CHECK(out.w == 20 + ehm_text_width("row", 1) + 12 + 192 + 12 + 192 + 20);
    s.cell_px = 32; /* half */
    REQUIRE_OK(ehm_sheet_draw(&out, &s, &a, &err), &err);
    CHECK_INT(count(&out, EHM_RGB(0xff00ff)), 32 * 32 * 2 + 16 * 10);
    ehm_arena_free(&a);
}

TEST(sheet, captions_make_room) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image one, four, im = {px, 64, 64, 3, EHM_U8};
    ehm_sheet_cell cell = {.image = &im, .caption = "short"};
    ehm_sheet s = {.cells = &cell, .n_rows = 1, .n_cols = 1, .max_caption_lines = 4};
    REQUIRE_OK(ehm_sheet_draw(&one, &s, &a, &err), &err);
    cell.caption = "a caption that goes on for very much longer than one line of a sheet can hold, on and "
                   "on, and is cut in the end, whatever it says by then";
    REQUIRE_OK(ehm_sheet_draw(&four, &s, &a, &err), &err);
    CHECK_INT(four.h - one.h, 3 * EHM_TEXT_ROW);
    ehm_arena_free(&a);
}

TEST(sheet, refuses) {
    ehm_arena a = {0}, tight = {.limit_bytes = 10000};
    ehm_err err = {0};
    ehm_image out, im = {px, 64, 64, 3, EHM_U8};
    ehm_sheet_cell cells[3] = {{.image = &im}, {.image = &im}, {.image = &im}};
    ehm_sheet s = {.cells = cells, .n_rows = 0, .n_cols = 3};
    CHECK_FAILS(ehm_sheet_draw(&out, &s, &a, &err), &err, EHM_E_ARG, "0 x 3 cells");
    s = (ehm_sheet){.cells = cells, .n_rows = 1, .n_cols = 3, .cell_px = 20000};
    CHECK_FAILS(ehm_sheet_draw(&out, &s, &a, &err), &err, EHM_E_ARG, "px wide (at most 32768)");
    s = (ehm_sheet){.cells = cells, .n_rows = 3, .n_cols = 1, .cell_px = 20000};
    CHECK_FAILS(ehm_sheet_draw(&out, &s, &a, &err), &err, EHM_E_ARG, "px high (at most 32768)");
    s.cell_px = 0;
    CHECK_FAILS(ehm_sheet_draw(&out, &s, &tight, &err), &err, EHM_E_MEMORY, "no memory");
    ehm_arena_free(&a);
    ehm_arena_free(&tight);
}
