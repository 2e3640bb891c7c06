/* Connections on 127.0.0.1, answered in turn without waiting for any of them. */
#include "report/serve.h"
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "report/serve_int.h"
#include "runs/run.h"

enum { CONNECTIONS = 32, WATCHER_S = 15, FAREWELL_S = 6 };
static const double LOOK_EVERY_S = 1, REQUEST_S = 10, ANSWER_S = 120, DRAIN_S = 1, WORK_SHARE = 0.1;

/* One state of the runs; kept while an answer still needs it, though newer ones may be there. */
typedef struct { ehm_str text; char tag[EHM_SERVE_TAG]; int32_t n_users; } page;

typedef enum { FREE, READING, WRITING, DRAINING } conn_state;
typedef struct {
    conn_state state;
    int fd;
    double deadline_s, end_s; /* of this read or write; of the whole answer */
    char in[EHM_SERVE_REQUEST_MAX];
    size_t n_in;
    ehm_str head;             /* status line, fields, and the body where it is no page */
    page *body;               /* NULL: all is in head */
    size_t at;                /* bytes of head and body that are sent */
} conn;

struct ehm_server {
    char **runs;
    int32_t n_runs;
    ehm_serve_opt opt;
    int fd, port;
    char url[48];
    page *now;                /* newest; NULL: it could not be made */
    double look_s, accept_s;  /* no earlier look at the files; no earlier accept */
    double asked_s;           /* the last good request, 0: none yet */
    ehm_err why;              /* why there is no page */
    conn c[CONNECTIONS];
};

/* ---- the page ---- */

static void leave(page *p) {
    if (!p || --p->n_users) return;
    ehm_str_free(&p->text);
    free(p);
}

/* Of files that the page does not show, most are large or change all the time. */
static bool passed_over(const char *name) {
    static const char *const names[] = {"report.html", "lock", "checkpoints", "model.safetensors", "encoder.safetensors", "ema.safetensors", "ema_encoder.safetensors",
                                        "attention_mean.safetensors", ".model"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name)) return true;
    return ehm_starts(name, "events.out.tfevents.") || strstr(name, ".tmp.");
}

static void add_folder(ehm_sha256 *h, const char *dir, ehm_arena *a) {
    ehm_strs names = {0};
    ehm_err ignored = {0};
    if (ehm_dir_list(&names, dir, a, &ignored)) return;
    for (int32_t i = 0; i < names.n; i++) {
        struct stat st;
        const char *path = passed_over(names.v[i]) ? NULL : ehm_path_join(a, dir, names.v[i]);
        if (!path || stat(path, &st)) continue;
        int64_t facts[5] = {st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (int64_t)st.st_ino, S_ISDIR(st.st_mode)};
        if (facts[4]) memset(facts, 0, sizeof facts[0] * 4); /* what is in it tells */
        ehm_sha256_add(h, names.v[i], strlen(names.v[i]) + 1);
        ehm_sha256_add(h, facts, sizeof facts);
    }
}

/* Names, sizes and times of the files that the page is made of. */
static void look(const ehm_server *s, char tag[EHM_SERVE_TAG]) {
    ehm_arena a = {0};
    ehm_sha256 h;
    uint8_t digest[32];
    char hex[65];
    ehm_sha256_init(&h);
    for (int32_t i = 0; i < s->n_runs; i++) {
        char *pictures = ehm_path_join(&a, s->runs[i], "pictures");
        ehm_sha256_add(&h, s->runs[i], strlen(s->runs[i]) + 1);
        add_folder(&h, s->runs[i], &a);
        if (pictures) add_folder(&h, pictures, &a);
    }
    ehm_sha256_end(&h, digest);
    ehm_sha256_hex(digest, hex);
    memcpy(tag, hex, EHM_SERVE_TAG - 1);
    tag[EHM_SERVE_TAG - 1] = 0;
    ehm_arena_free(&a);
}

/* A new page where files have changed. What cannot be read now is said, and the next look tries again. */
static ehm_code renew(ehm_server *s, ehm_err *err) {
    char tag[EHM_SERVE_TAG];
    ehm_str head = {0};
    double t0 = ehm_clock_s();
    look(s, tag);
    if (s->now && !strcmp(s->now->tag, tag)) {
        s->look_s = t0 + s->opt.look_every_s;
        return EHM_OK;
    }
    page *p = calloc(1, sizeof *p);
    ehm_code rc = p ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for the page");
    if (!rc) {
        ehm_report_opt opt = s->opt.report;
        p->n_users = 1;
        memcpy(p->tag, tag, sizeof tag); /* taken before reading: what changes meanwhile is news the next time */
        ehm_serve_script(&head, tag);
        opt.live = true, opt.extra_head = ehm_str_c(&head);
        rc = head.failed ? EHM_FAIL(err, EHM_E_MEMORY, "no memory for the page")
                         : ehm_report_html(&p->text, (const char *const *)s->runs, s->n_runs, &opt, err);
    }
    ehm_str_free(&head);
    if (rc) leave(p);
    leave(s->now);
    s->now = rc ? NULL : p;
    double took = ehm_clock_s() - t0;
    s->look_s = t0 + fmax(s->opt.look_every_s, took / s->opt.work_share);
    return rc;
}

static void look_again(ehm_server *s) {
    ehm_err why = {0};
    if (ehm_clock_s() < s->look_s) return;
    if (!renew(s, &why)) {
        if (s->why.code) ehm_log(EHM_LOG_INFO, "the page can be made again");
        s->why = (ehm_err){0};
    } else {
        if (strcmp(s->why.what, why.what)) ehm_log(EHM_LOG_WARN, "the page cannot be made: %s", why.what);
        s->why = why;
    }
}

/* ---- answers ---- */

/* What a browser may do with the page: show it, run what stands in it, and ask this address again; nothing else. */
static const char fields[] =
    "Content-Security-Policy: default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\nCache-Control: no-cache\r\nConnection: close\r\n";

static void answer(ehm_server *s, conn *c, const ehm_serve_request *q) {
    int32_t status = q->status;
    const page *p = NULL;
    char text[sizeof s->why.what + 64];
    if (status == 200) {
        s->asked_s = ehm_clock_s();
        look_again(s);
        p = s->now;
        if (!p) status = 503;
        else if (ehm_serve_matches(q, p->tag)) status = 304;
    }
    ehm_str *h = &c->head;
    ehm_str_addf(h, "HTTP/1.1 %d %s\r\nServer: ehm\r\n", (int)status, ehm_serve_reason(status));
    ehm_str_add(h, fields);
    if (p) ehm_str_addf(h, "ETag: \"%s\"\r\n", p->tag);
    if (status == 405) ehm_str_add(h, "Allow: GET, HEAD\r\n");
    if (status == 200) ehm_str_addf(h, "Content-Type: text/html; charset=utf-8\r\nContent-Length: %zu\r\n\r\n", p->text.len);
    else if (status == 304) ehm_str_add(h, "\r\n");
    else {
        switch (status) {
        case 404: snprintf(text, sizeof text, "There is one page here: %s\n", s->url); break;
        case 405: snprintf(text, sizeof text, "This page can only be read.\n"); break;
        case 421: snprintf(text, sizeof text, "This page is for 127.0.0.1 and localhost alone: %s\n", s->url); break;
        case 503: snprintf(text, sizeof text, "%s\n", s->why.what); break;
        default: snprintf(text, sizeof text, "%s\n", ehm_serve_reason(status));
        }
        ehm_str_addf(h, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n\r\n%s", strlen(text), q->head ? "" : text);
    }
    if (status == 200 && !q->head) c->body = s->now, c->body->n_users++;
    c->state = WRITING, c->at = 0;
    c->deadline_s = ehm_clock_s() + s->opt.request_s;
    c->end_s = ehm_clock_s() + ANSWER_S;
}

/* ---- connections ---- */

static void drop(conn *c) {
    if (c->state == FREE) return;
    close(c->fd);
    leave(c->body);
    ehm_str_free(&c->head);
    *c = (conn){.fd = -1};
}

static void on_readable(ehm_server *s, conn *c) {
    ssize_t n = recv(c->fd, c->in + c->n_in, sizeof c->in - c->n_in, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        drop(c);
        return;
    }
    c->n_in += (size_t)n;
    ehm_serve_request q = ehm_serve_read(c->in, c->n_in);
    if (q.status) answer(s, c, &q);
}

static void on_writable(ehm_server *s, conn *c) {
    size_t n_head = c->head.len, n_all = n_head + (c->body ? c->body->text.len : 0);
    if (c->head.failed) {
        drop(c);
        return;
    }
    while (c->at < n_all) {
        const char *from = c->at < n_head ? c->head.s + c->at : c->body->text.s + (c->at - n_head);
        ssize_t n = send(c->fd, from, c->at < n_head ? n_head - c->at : n_all - c->at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            drop(c);
            return;
        }
        c->at += (size_t)n;
        c->deadline_s = fmin(ehm_clock_s() + s->opt.request_s, c->end_s);
    }
    /* Closing while something of the request is still unread would reset the connection and could take the answer with it. */
    shutdown(c->fd, SHUT_WR);
    c->state = DRAINING;
    c->deadline_s = ehm_clock_s() + DRAIN_S;
}

static void on_drained(conn *c) {
    ssize_t n = recv(c->fd, c->in, sizeof c->in, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) drop(c);
}

/* Too slow. Who has sent half a request is told; browsers also open connections that they do not use. */
static void on_late(ehm_server *s, conn *c) {
    if (c->state == READING && c->n_in) {
        ehm_serve_request q = {.status = 408};
        answer(s, c, &q);
        c->end_s = c->deadline_s = ehm_clock_s() + DRAIN_S;
        on_writable(s, c);
    } else drop(c);
}

/* A place for one more: when all are taken, that of the one that has been silent longest. */
static conn *place(ehm_server *s) {
    conn *oldest = NULL;
    for (int i = 0; i < CONNECTIONS; i++) {
        conn *c = &s->c[i];
        if (c->state == FREE) return c;
        if (c->state != WRITING && (!oldest || c->deadline_s < oldest->deadline_s)) oldest = c;
    }
    if (oldest) drop(oldest);
    return oldest;
}

static void on_connection(ehm_server *s) {
    for (int i = 0; i < CONNECTIONS; i++) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) s->accept_s = ehm_clock_s() + 1; /* else poll would spin */
            return;
        }
        conn *c = place(s);
        if (!c) {
            close(fd);
            continue;
        }
        c->state = READING, c->fd = fd;
        c->deadline_s = ehm_clock_s() + s->opt.request_s;
    }
}

ehm_code ehm_serve_turn(ehm_server *s, double wait_s, ehm_err *err) {
    struct pollfd p[CONNECTIONS + 1];
    conn *of[CONNECTIONS + 1];
    nfds_t n = 0;
    double now = ehm_clock_s(), until = now + fmax(wait_s, 0);
    if (now >= s->accept_s) of[n] = NULL, p[n++] = (struct pollfd){.fd = s->fd, .events = POLLIN};
    else until = fmin(until, s->accept_s);
    for (int i = 0; i < CONNECTIONS; i++) {
        conn *c = &s->c[i];
        if (c->state == FREE) continue;
        of[n] = c, p[n++] = (struct pollfd){.fd = c->fd, .events = c->state == WRITING ? POLLOUT : POLLIN};
        until = fmin(until, c->deadline_s);
    }
    int ready = poll(p, n, (int)ceil(1000 * fmin(fmax(until - now, 0), 60)));
    if (ready < 0 && errno != EINTR) return EHM_FAIL(err, EHM_E_IO, "%s: cannot wait for connections: %s", s->url, strerror(errno));
    bool knock = false;
    for (nfds_t i = 0; i < n && ready > 0; i++) {
        if (!p[i].revents) continue;
        if (!of[i]) knock = true;
        else if (of[i]->state == READING) on_readable(s, of[i]);
        else if (of[i]->state == WRITING) on_writable(s, of[i]);
        else on_drained(of[i]);
    }
    if (knock) on_connection(s); /* last: a place that was given up above may be taken */
    now = ehm_clock_s();
    for (int i = 0; i < CONNECTIONS; i++)
        if (s->c[i].state != FREE && now >= s->c[i].deadline_s) on_late(s, &s->c[i]);
    return EHM_OK;
}

static bool busy(const ehm_server *s) {
    for (int i = 0; i < CONNECTIONS; i++)
        if (s->c[i].state == WRITING || s->c[i].state == DRAINING) return true;
    return false;
}

ehm_code ehm_serve_run(ehm_server *s, bool until_done, ehm_err *err) {
    double done_s = 0, asked_s = 0; /* when all were found finished, and the last request before that */
    while (!ehm_stop_asked()) {
        EHM_TRY(ehm_serve_turn(s, 0.5, err));
        if (!until_done) continue;
        bool done = true;
        for (int32_t i = 0; done && i < s->n_runs; i++) done = ehm_run_is_done(s->runs[i]);
        double now = ehm_clock_s();
        if (!done) done_s = 0;
        else if (done_s <= 0) done_s = now, asked_s = s->asked_s;
        if (!done || busy(s)) continue;
        /* A page that is open somewhere asks once more and then shows how the run ended. */
        bool watched = asked_s > 0 && done_s - asked_s < WATCHER_S;
        if (!watched || now - done_s > FAREWELL_S) {
            ehm_log(EHM_LOG_INFO, "%s: finished; the page is served no longer", s->n_runs == 1 ? s->runs[0] : "all runs");
            return EHM_OK;
        }
    }
    return EHM_FAIL(err, EHM_E_STOPPED, "%s is served no longer", s->url);
}

/* ---- opening ---- */

static ehm_code listen_at(ehm_server *s, ehm_err *err) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->opt.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int on = 1; /* a server that ended a moment ago does not keep its port from the next */
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0) return EHM_FAIL(err, EHM_E_IO, "cannot make a socket: %s", strerror(errno));
    setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s->fd, (struct sockaddr *)&at, n) || listen(s->fd, CONNECTIONS)) {
        int e = errno;
        EHM_FAIL(err, EHM_E_IO, "127.0.0.1:%d: cannot be served: %s", (int)s->opt.port, strerror(e));
        if (e == EADDRINUSE) EHM_HINT(err, "another program has this port: give another --port, or none for one that is free");
        if (e == EACCES) EHM_HINT(err, "ports below 1024 are for the system: give a higher --port, or none for one that is free");
        return EHM_E_IO;
    }
    if (getsockname(s->fd, (struct sockaddr *)&at, &n)) return EHM_FAIL(err, EHM_E_IO, "cannot learn the port: %s", strerror(errno));
    s->port = ntohs(at.sin_port);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d/", s->port);
    return EHM_OK;
}

ehm_code ehm_serve_open(ehm_server **out, const char *const *runs, int32_t n, const ehm_serve_opt *opt, ehm_err *err) {
    ehm_server *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a server");
    s->fd = -1;
    if (opt) s->opt = *opt;
    if (s->opt.look_every_s <= 0) s->opt.look_every_s = LOOK_EVERY_S;
    if (s->opt.work_share <= 0) s->opt.work_share = WORK_SHARE;
    if (s->opt.request_s <= 0) s->opt.request_s = REQUEST_S;
    for (int i = 0; i < CONNECTIONS; i++) s->c[i].fd = -1;
    ehm_code rc = s->opt.port < 0 || s->opt.port > 65535 ? EHM_FAIL(err, EHM_E_ARG, "port %d: ports go from 0 to 65535", (int)s->opt.port) : EHM_OK;
    if (!rc && n > 0) {
        s->runs = calloc((size_t)n, sizeof *s->runs);
        for (; s->runs && s->n_runs < n && (s->runs[s->n_runs] = strdup(runs[s->n_runs])); s->n_runs++) {}
        if (s->n_runs < n) rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for a server");
    }
    if (!rc) rc = renew(s, err); /* what is wrong with the runs is said before anything is served */
    if (!rc) rc = listen_at(s, err);
    if (rc) ehm_serve_close(s);
    else *out = s;
    return rc;
}

void ehm_serve_close(ehm_server *s) {
    if (!s) return;
    for (int i = 0; i < CONNECTIONS; i++) drop(&s->c[i]);
    if (s->fd >= 0) close(s->fd);
    leave(s->now);
    for (int32_t i = 0; i < s->n_runs; i++) free(s->runs[i]);
    free(s->runs);
    free(s);
}

const char *ehm_serve_url(const ehm_server *s) { return s->url; }
int32_t ehm_serve_port(const ehm_server *s) { return s->port; }
