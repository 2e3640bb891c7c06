/* Reports: what run folders say of their runs, as one HTML page that needs nothing else (no network, no other file), or as numbers.
 *
 *     ehm_str page = {0};
 *     const char *runs[] = {"runs/a", "runs/b"};                     // several runs lie over each other in the curves
 *     ehm_report_html(&page, runs, 2, &(ehm_report_opt){0}, &err);
 *     ehm_report_write("report.html", runs, 2, NULL, &err);          // the same, to a file, atomically
 *
 * Only the run folder is read (contract 5), never the model or the data. A run that goes on, broke off or is damaged gives a page that
 * says so; only a folder that holds no run at all is an error.
 */
#ifndef EHM_REPORT_REPORT_H
#define EHM_REPORT_REPORT_H
#include "base/str.h"

typedef struct {
    const char *title;       /* NULL: made from the runs' names */
    const char *version;     /* of the program, for the foot of the page; NULL: left out */
    int64_t picture_bytes;   /* of all pictures as they stand in the page; 0: 6 MiB. Steps in between are left out until they fit, which is said */
    bool live;               /* the page may ask the server it came from for news: its policy permits that one connection */
    const char *extra_head;  /* markup put before </head>, for a page that reloads itself; NULL: none */
} ehm_report_opt;

/* Page added to out. opt may be NULL. EHM_E_IO: no such folder; EHM_E_FORMAT: no run in it; EHM_E_ARG: no run given. */
ehm_code ehm_report_html(ehm_str *out, const char *const *runs, int32_t n, const ehm_report_opt *opt, ehm_err *err);
/* Atomic; folders of path are made. */
ehm_code ehm_report_write(const char *path, const char *const *runs, int32_t n, const ehm_report_opt *opt, ehm_err *err);
/* The page's numbers as one JSON object added to out. */
ehm_code ehm_report_json(ehm_str *out, const char *const *runs, int32_t n, ehm_err *err);
#endif
