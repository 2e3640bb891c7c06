/* The page of runs, served while they go on: one address, read-only, this machine alone. No threads: the caller turns a loop.
 *
 *     ehm_server *s;
 *     ehm_serve_open(&s, runs, n, &(ehm_serve_opt){.port = 0}, &err);
 *     ... ehm_serve_url(s) ...                        // http://127.0.0.1:41234/
 *     ehm_serve_run(s, false, &err);                  // until ehm_stop_asked
 *     ehm_serve_close(s);
 *
 * GET and HEAD of / answer with report.h's page, made anew when files of the runs have changed; the page asks for news by itself and keeps what
 * its reader has scrolled, opened and set. Everything else is refused: other addresses, methods and names of the host (so that no page of
 * another site can read it through a name that points here), requests that are malformed, too long or too slow.
 */
#ifndef EHM_REPORT_SERVE_H
#define EHM_REPORT_SERVE_H
#include "report/report.h"

typedef struct ehm_server ehm_server;
typedef struct {
    int32_t port;          /* 0: one that is free */
    ehm_report_opt report; /* live and extra_head are the server's own; strings are borrowed until close */
    double look_every_s;   /* files are looked at no more often; 0: 1 s */
    double work_share;     /* of the time that making pages may take, training has the rest; 0: 0.1 */
    double request_s;      /* a request must be there whole after so long, and an answer must go on within it; 0: 10 s */
} ehm_serve_opt;
/* opt may be NULL. Errors: those of ehm_report_html; EHM_E_IO: the port is taken or not permitted. Nothing of a run is written. */
ehm_code ehm_serve_open(ehm_server **out, const char *const *runs, int32_t n, const ehm_serve_opt *opt, ehm_err *err);
void ehm_serve_close(ehm_server *s); /* NULL is fine */
const char *ehm_serve_url(const ehm_server *s);
int32_t ehm_serve_port(const ehm_server *s);
/* Waits for at most so long, then does what there is to do; a signal ends the wait. A fault of a client or of a run is answered, not returned. */
ehm_code ehm_serve_turn(ehm_server *s, double wait_s, ehm_err *err);
/* Turns until asked to stop (EHM_E_STOPPED), or, with until_done, until every run is finished and open pages have had a chance to learn it. */
ehm_code ehm_serve_run(ehm_server *s, bool until_done, ehm_err *err);
#endif
