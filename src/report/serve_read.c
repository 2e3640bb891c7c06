/* Requests as they arrive (RFC 9112), read strictly: what is not understood is refused, never guessed. */
#include <string.h>
#include <strings.h>
#include "report/serve_int.h"

const char *ehm_serve_reason(int32_t status) {
    switch (status) {
    case 200: return "OK";
    case 304: return "Not Modified";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 421: return "Misdirected Request";
    case 431: return "Request Header Fields Too Large";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Bad Request";
    }
}

static bool is_token(const char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') || (p[i] >= '0' && p[i] <= '9') || (p[i] && strchr("!#$%&'*+-.^_`|~", p[i])))) return false;
    return n > 0;
}

static bool same(const char *p, size_t n, const char *word) { return n == strlen(word) && !strncasecmp(p, word, n); }

/* A name that only means this machine, whatever the port: a tunnel (ssh -L) may well have another one. A page of another site whose name was
 * made to point here still comes with its own name. */
static bool is_here(const char *p, size_t n) {
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t k = strlen(names[i]);
        if (n < k || strncasecmp(p, names[i], k)) continue;
        if (n == k) return true;
        size_t digits = n - k - 1;
        if (p[k] != ':' || digits > 5) continue;
        for (size_t d = 0; d < digits; d++)
            if (p[k + 1 + d] < '0' || p[k + 1 + d] > '9') return false;
        return true;
    }
    return false;
}

/* Method, address and version; the line is whole. */
static int32_t request_line(ehm_serve_request *q, const char *p, size_t n, bool *needs_host) {
    const char *one = memchr(p, ' ', n);
    const char *two = one ? memchr(one + 1, ' ', n - (size_t)(one + 1 - p)) : NULL;
    if (!two || !is_token(p, (size_t)(one - p))) return 400;
    const char *at = one + 1, *version = two + 1;
    size_t n_at = (size_t)(two - at), n_version = n - (size_t)(version - p);
    if (n_version != 8 || memcmp(version, "HTTP/", 5) || version[6] != '.' || version[5] < '0' || version[5] > '9' || version[7] < '0' || version[7] > '9' || !n_at) return 400;
    if (version[5] != '1') return 505;
    *needs_host = version[7] != '0';
    q->head = same(p, (size_t)(one - p), "HEAD") && *p == 'H';
    if (!q->head && (one - p != 3 || memcmp(p, "GET", 3))) return 405;
    if (n_at > 7 && !strncasecmp(at, "http://", 7)) { /* the whole address may stand there */
        size_t host = 0;
        while (7 + host < n_at && at[7 + host] != '/') host++;
        if (!is_here(at + 7, host)) return 421;
        at += 7 + host, n_at -= 7 + host;
        if (!n_at) return 200;
    }
    return n_at == 1 && *at == '/' ? 200 : 404;
}

static int32_t field(ehm_serve_request *q, const char *p, size_t n, int32_t *n_hosts) {
    const char *colon = memchr(p, ':', n);
    if (!colon || !is_token(p, (size_t)(colon - p))) return 400; /* also a line that goes on from the one before, which is obsolete */
    const char *v = colon + 1, *end = p + n;
    while (v < end && (*v == ' ' || *v == '\t')) v++;
    while (end > v && (end[-1] == ' ' || end[-1] == '\t')) end--;
    size_t n_name = (size_t)(colon - p), n_v = (size_t)(end - v);
    if (same(p, n_name, "Host")) {
        if (++*n_hosts > 1) return 400;
        if (!is_here(v, n_v)) return 421;
    } else if (same(p, n_name, "If-None-Match")) q->none_match = v, q->n_none_match = n_v;
    return 200;
}

ehm_serve_request ehm_serve_read(const char *text, size_t n) {
    ehm_serve_request q = {0};
    int32_t status = 0, n_hosts = 0;
    bool needs_host = false;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) /* such as the first bytes of TLS: no need to wait for a line */
        if (((unsigned char)text[i] < 0x20 && text[i] != '\r' && text[i] != '\n' && text[i] != '\t') || text[i] == 0x7f) return (ehm_serve_request){.status = 400};
    while (at < n && at < 4 && (text[at] == '\r' || text[at] == '\n')) at++; /* empty lines in front are passed over */
    for (bool first = true;; first = false) {
        const char *nl = at < n ? memchr(text + at, '\n', n - at) : NULL;
        if (!nl) {
            q.status = n >= EHM_SERVE_REQUEST_MAX ? 431 : 0;
            return q;
        }
        size_t len = (size_t)(nl - text) - at;
        if (len && text[at + len - 1] == '\r') len--;
        if (memchr(text + at, '\r', len)) status = 400; /* a line's end alone may have one */
        int32_t found = first ? request_line(&q, text + at, len, &needs_host) : len ? field(&q, text + at, len, &n_hosts) : 200;
        /* Malformed before all else; and a foreign host does not learn what there is. */
        if (status == 400 || found == 400) status = 400;
        else if (status == 421 || found == 421) status = 421;
        else if (first) status = found;
        if (!first && !len) break;
        at = (size_t)(nl - text) + 1;
    }
    if (needs_host && !n_hosts && status != 400) status = 400;
    q.status = status;
    return q;
}

bool ehm_serve_matches(const ehm_serve_request *q, const char *tag) {
    char quoted[EHM_SERVE_TAG + 2];
    size_t n = strlen(tag);
    if (!q->none_match || n + 2 > sizeof quoted) return false;
    if (q->n_none_match == 1 && *q->none_match == '*') return true;
    quoted[0] = '"', memcpy(quoted + 1, tag, n), quoted[n + 1] = '"';
    return memmem(q->none_match, q->n_none_match, quoted, n + 2) != NULL;
}
