/* Files of made-up runs, for the tests of reports. */
#ifndef EHM_TEST_RUN_FILES_H
#define EHM_TEST_RUN_FILES_H
#include "base/file.h"
#include "harness.h"
#include <stdio.h>
#include <string.h>

/* Writes text as dir/name; folders on the way are made. */
static inline void put(const char *dir, const char *name, const char *text) {
    char path[2048];
    ehm_err err = {0};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    REQUIRE_OK(ehm_dir_make_for(path, &err), &err);
    REQUIRE_OK(ehm_file_write(path, text, strlen(text), &err), &err);
}
#endif
