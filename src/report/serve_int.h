/* Between the files of the server. */
#ifndef EHM_REPORT_SERVE_INT_H
#define EHM_REPORT_SERVE_INT_H
#include "report/serve.h"

enum { EHM_SERVE_REQUEST_MAX = 8192, EHM_SERVE_TAG = 33 };

typedef struct {
    int32_t status;          /* 0: more of it is needed; 200: to be answered; else the refusal */
    bool head;               /* HEAD: the answer has no body */
    const char *none_match;  /* value of If-None-Match inside the text, NULL: none */
    size_t n_none_match;
} ehm_serve_request;
/* What the first n bytes of a connection ask for. A text of EHM_SERVE_REQUEST_MAX bytes without an end is too long. */
ehm_serve_request ehm_serve_read(const char *text, size_t n);
const char *ehm_serve_reason(int32_t status); /* "Not Found" */
/* Does If-None-Match hold "tag", or *? */
bool ehm_serve_matches(const ehm_serve_request *q, const char *tag);

/* For the head of the page: asks for news and puts them in place; tag is the page's own. */
void ehm_serve_script(ehm_str *out, const char *tag);
#endif
