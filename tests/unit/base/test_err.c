#include "harness.h"

TEST(err, first_wins_and_text) {
    ehm_err e = {0};
    char t[EHM_ERR_TEXT];
    CHECK_INT(EHM_FAIL(&e, EHM_E_FORMAT, "x.jpg: ends early (%d of %d)", 3, 9), EHM_E_FORMAT);
    CHECK_INT(EHM_FAIL(&e, EHM_E_IO, "second"), EHM_E_IO);
    EHM_WHILE(&e, "step %d", 7);
    EHM_WHILE(&e, "run r");
    EHM_HINT(&e, "try this");
    EHM_HINT(&e, "not this");
    CHECK_INT(e.code, EHM_E_FORMAT);
    CHECK_STR(ehm_err_text(&e, t),
              "ehm: x.jpg: ends early (3 of 9)\n  while: step 7; run r\n  hint:  try this\n");
    ehm_err_clear(&e);
    CHECK_INT(e.code, EHM_OK);
    EHM_FAIL(&e, EHM_E_MEMORY, "m");
    CHECK_STR(ehm_err_text(&e, t), "ehm: m\n");
    CHECK_INT(EHM_FAIL(NULL, EHM_E_ARG, "nobody listens"), EHM_E_ARG);
    EHM_WHILE(NULL, "x");
    EHM_HINT(NULL, "x");
}

TEST(err, long_text_is_cut_and_controls_are_masked) {
    ehm_err e = {0};
    char big[4000], t[EHM_ERR_TEXT];
    for (size_t i = 0; i + 2 < sizeof big; i += 2) memcpy(big + i, "\xc3\xa9", 2);
    big[sizeof big - 2] = 0;
    EHM_FAIL(&e, EHM_E_IO, "a%s", big);
    for (int i = 0; i < 40; i++) EHM_WHILE(&e, "place %d of a very long journey", i);
    EHM_HINT(&e, "%s", big);
    ehm_err_text(&e, t);
    CHECK(strlen(t) < EHM_ERR_TEXT);
    CHECK(strlen(e.what) < sizeof e.what && strlen(e.context) < sizeof e.context);
    CHECK_STR(e.what + strlen(e.what) - 3, "...");
    CHECK((unsigned char)e.what[strlen(e.what) - 4] == 0xa9); /* whole characters only */
    ehm_err_clear(&e);
    EHM_FAIL(&e, EHM_E_IO, "bad\x1b[31mname\r");
    CHECK_STR(ehm_err_text(&e, t), "ehm: bad?[31mname?\n");
}

TEST(err, every_code_has_a_word) {
    for (int c = EHM_OK; c <= EHM_E_STOPPED; c++) CHECK(strcmp(ehm_code_name((ehm_code)c), "unknown"));
    CHECK_STR(ehm_code_name((ehm_code)99), "unknown");
}
