/* The served page: what is answered and what is refused, over real connections of this machine; client and server take turns in one thread. */
#include "report/serve.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "harness.h"
#include "report/serve_int.h"
#include "unit/report/run_files.h"

static const char *a_run(void) {
    static char dir[512];
    snprintf(dir, sizeof dir, "%s/r", ehm_test_tmp());
    put(dir, "config.json", "{\"format\": 1, \"version\": \"0.1.0\", \"settings\": {\"seed\": {\"value\": 0, \"origin\": \"default\"}}}\n");
    put(dir, "metrics.jsonl", "{\"step\": 10, \"epoch\": 0.5, \"loss\": 0.875}\n");
    return dir;
}

static ehm_server *serve(const char *run, double request_s) {
    ehm_server *s = NULL;
    ehm_err err = {0};
    REQUIRE_OK(ehm_serve_open(&s, &run, 1, &(ehm_serve_opt){.look_every_s = 1e-9, .work_share = 1e9, .request_s = request_s, .report.picture_bytes = INT64_C(1) << 30}, &err), &err);
    return s;
}

static int join(const ehm_server *s) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)ehm_serve_port(s)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    REQUIRE(!connect(fd, (struct sockaddr *)&to, sizeof to));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void say(int fd, const char *text) { CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text)); }

static void turn(ehm_server *s) {
    ehm_err err = {0};
    CHECK_OK(ehm_serve_turn(s, 0.005, &err), &err);
}

/* All that comes until the server closes, at most 5 s. */
static const char *hear(ehm_server *s, int fd) {
    static ehm_str got;
    char chunk[65536];
    double t0 = ehm_clock_s();
    ehm_str_clear(&got);
    while (ehm_clock_s() - t0 < 5) {
        ssize_t n;
        turn(s);
        while ((n = recv(fd, chunk, sizeof chunk, 0)) > 0) ehm_str_addn(&got, chunk, (size_t)n);
        if (n == 0 || (n < 0 && errno != EAGAIN)) break;
    }
    close(fd);
    turn(s);
    return ehm_str_c(&got);
}

static const char *ask(ehm_server *s, const char *request) {
    int fd = join(s);
    say(fd, request);
    return hear(s, fd);
}

#define HOST "Host: 127.0.0.1\r\n"
static const char *body(const char *answer) {
    const char *p = strstr(answer, "\r\n\r\n");
    return p ? p + 4 : "";
}
static int64_t length_of(const char *answer) {
    const char *p = strstr(answer, "Content-Length: ");
    return p ? strtoll(p + 16, NULL, 10) : -1;
}
static const char *tag_of(const char *answer) {
    static char tag[64];
    const char *p = strstr(answer, "ETag: ");
    snprintf(tag, sizeof tag, "%.*s", p ? (int)strcspn(p + 6, "\r") : 0, p ? p + 6 : "");
    return tag;
}

TEST(serve, requests) {
    static const struct { int32_t status; const char *text; } cases[] = {
        {200, "GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"},
        {200, "GET / HTTP/1.1\r\nHost: LocalHost\r\nAccept: */*\r\n\r\n"},
        {200, "GET / HTTP/1.1\r\nHost: [::1]:9\r\n\r\n"},
        {200, "\r\nHEAD / HTTP/1.1\nhost:  localhost \n\n"}, /* bare ends of lines are taken */
        {200, "GET / HTTP/1.0\r\n\r\n"},
        {200, "GET http://localhost:1/ HTTP/1.1\r\n" HOST "\r\n"},
        {200, "GET http://127.0.0.1 HTTP/1.1\r\n" HOST "\r\n"},
        {0, ""}, {0, "GET"}, {0, "GET / HTTP/1.1\r\n" HOST}, {0, "GET / HTTP/1.1\r\n" HOST "\r"},
        {404, "GET /index.html HTTP/1.1\r\n" HOST "\r\n"}, {404, "GET /../../etc/passwd HTTP/1.1\r\n" HOST "\r\n"}, {404, "GET // HTTP/1.1\r\n" HOST "\r\n"},
        {404, "GET /? HTTP/1.1\r\n" HOST "\r\n"}, {404, "GET * HTTP/1.1\r\n" HOST "\r\n"}, {404, "GET /favicon.ico HTTP/1.1\r\n" HOST "\r\n"},
        {405, "POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi"}, {405, "get / HTTP/1.1\r\n" HOST "\r\n"}, {405, "DELETE / HTTP/1.1\r\n" HOST "\r\n"},
        {405, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"}, {405, "head / HTTP/1.1\r\n" HOST "\r\n"},
        {421, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"}, {421, "GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n"}, {421, "POST / HTTP/1.1\r\nHost: evil.example\r\n\r\n"},
        {421, "GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n"}, {421, "GET / HTTP/1.1\r\nHost: localhost:80x\r\n\r\n"}, {421, "GET / HTTP/1.1\r\nHost: localhost:123456\r\n\r\n"},
        {421, "GET / HTTP/1.1\r\nHost:\r\n\r\n"}, {421, "GET / HTTP/1.1\r\nHost: 127.0.0.2\r\n\r\n"}, {421, "GET http://evil.example/ HTTP/1.1\r\n" HOST "\r\n"},
        {421, "GET / HTTP/1.0\r\nHost: evil.example\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n\r\n"}, {400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n"}, {400, "GET /\r\n\r\n"}, {400, "hello\n\n"}, {400, "GET / HTTP/1.1 \r\n" HOST "\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "no colon\r\n\r\n"}, {400, "GET / HTTP/1.1\r\n" HOST " folded: x\r\n\r\n"}, {400, "GET / HTTP/1.1\r\n" HOST "a b: x\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "x: a\rb\r\n\r\n"}, {400, "\x16\x03\x01"}, {400, "G\x7fT / HTTP/1.1\r\n" HOST "\r\n"}, {400, " / HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET / HTP/1.1\r\n" HOST "\r\n"}, {505, "GET / HTTP/2.0\r\n" HOST "\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ehm_serve_request q = ehm_serve_read(cases[i].text, strlen(cases[i].text));
        if (q.status != cases[i].status) ehm_test_fail(__FILE__, __LINE__, "%s gives %d, expected %d", cases[i].text, (int)q.status, (int)cases[i].status);
        /* No prefix of it is taken for the whole. */
        for (size_t n = 0; cases[i].status == 200 && n < strlen(cases[i].text); n++) CHECK_INT(ehm_serve_read(cases[i].text, n).status, 0);
    }
    CHECK_INT(ehm_serve_read("GET / HTTP/1.1\r\n" HOST "a: \0\r\n\r\n", 39).status, 400);
    static const char head[] = "HEAD / HTTP/1.1\r\n" HOST "\r\n";
    CHECK(ehm_serve_read(head, sizeof head - 1).head);
    static char much[EHM_SERVE_REQUEST_MAX];
    memset(much, 'a', sizeof much);
    CHECK_INT(ehm_serve_read(much, sizeof much).status, 431);
    CHECK_INT(ehm_serve_read(much, sizeof much - 1).status, 0);
}

TEST(serve, tags) {
    static const struct { bool matches; const char *value; } cases[] = {{true, "\"abc\""}, {true, "W/\"abc\""}, {true, "\"x\", \"abc\""}, {true, "*"}, {false, "\"ab\""}, {false, "abc"}, {false, "\"abcd\""}, {false, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "If-None-Match: %s\r\n\r\n", cases[i].value);
        ehm_serve_request q = ehm_serve_read(text, strlen(text));
        CHECK_INT(ehm_serve_matches(&q, "abc"), cases[i].matches);
    }
    ehm_serve_request none = {0};
    CHECK(!ehm_serve_matches(&none, "abc"));
}

TEST(serve, page_and_what_it_says_of_itself) {
    ehm_server *s = serve(a_run(), 0);
    char url[64], tag[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", (int)ehm_serve_port(s));
    CHECK_STR(ehm_serve_url(s), url);
    const char *a = ask(s, "GET / HTTP/1.1\r\n" HOST "\r\n");
    CHECK(ehm_starts(a, "HTTP/1.1 200 OK\r\n"));
    CHECK_HAS(a, "Content-Type: text/html; charset=utf-8\r\n");
    CHECK_HAS(a, "Content-Security-Policy: default-src 'none'; img-src data:; ");
    CHECK_HAS(a, "frame-ancestors 'none'");
    CHECK_HAS(a, "X-Content-Type-Options: nosniff\r\n");
    CHECK_HAS(a, "Cross-Origin-Resource-Policy: same-origin\r\n");
    CHECK_INT(length_of(a), strlen(body(a)));
    CHECK(ehm_starts(body(a), "<!DOCTYPE html>"));
    CHECK(ehm_ends(a, "</html>\n"));
    CHECK_HAS(a, "0.875");
    CHECK_HAS(a, "connect-src 'self'\">"); /* of the page's own policy */
    CHECK_HAS(a, "<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>");
    snprintf(tag, sizeof tag, "%s", tag_of(a));
    CHECK_INT(strlen(tag), EHM_SERVE_TAG + 1);
    char in_page[100];
    snprintf(in_page, sizeof in_page, "data-tag=\"%.*s\"", (int)strlen(tag) - 2, tag + 1);
    CHECK_HAS(a, in_page); /* it asks for what is newer than itself */
    int64_t n = length_of(a);
    a = ask(s, "HEAD / HTTP/1.1\r\n" HOST "\r\n");
    CHECK(ehm_starts(a, "HTTP/1.1 200 OK\r\n"));
    CHECK_INT(length_of(a), n);
    CHECK_STR(body(a), "");
    a = ask(s, "HEAD /no HTTP/1.1\r\n" HOST "\r\n");
    CHECK(ehm_starts(a, "HTTP/1.1 404 Not Found\r\n"));
    CHECK_STR(body(a), "");
    a = ask(s, "PUT / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
    CHECK(ehm_starts(a, "HTTP/1.1 405 Method Not Allowed\r\n"));
    CHECK_HAS(a, "Allow: GET, HEAD\r\n");
    a = ask(s, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    CHECK(ehm_starts(a, "HTTP/1.1 421 Misdirected Request\r\n"));
    CHECK(!strstr(a, "0.875"));
    ehm_serve_close(s);
}

TEST(serve, only_what_changed_is_sent_again) {
    const char *run = a_run();
    ehm_server *s = serve(run, 0);
    char request[300];
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\n" HOST "If-None-Match: %s\r\n\r\n", tag_of(ask(s, "GET / HTTP/1.1\r\n" HOST "\r\n")));
    const char *a = ask(s, request);
    CHECK(ehm_starts(a, "HTTP/1.1 304 Not Modified\r\n"));
    CHECK_STR(body(a), "");
    put(run, "lock", "1\n"); /* what the page does not show is no news */
    put(run, "events.out.tfevents.1", "x");
    put(run, "checkpoints/00000010/state", "x");
    CHECK(ehm_starts(ask(s, request), "HTTP/1.1 304 "));
    put(run, "metrics.jsonl", "{\"step\": 10, \"epoch\": 0.5, \"loss\": 0.875}\n{\"step\": 20, \"epoch\": 1, \"loss\": 0.4375}\n");
    a = ask(s, request);
    CHECK(ehm_starts(a, "HTTP/1.1 200 OK\r\n"));
    CHECK_HAS(a, "0.4375");
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\n" HOST "If-None-Match: %s\r\n\r\n", tag_of(a));
    put(run, "pictures/00000020_masks.ppm", "P6 1 1 255\nabc");
    CHECK(ehm_starts(ask(s, request), "HTTP/1.1 200 "));
    put(run, "DONE", "done\n");
    a = ask(s, request);
    CHECK(ehm_starts(a, "HTTP/1.1 200 "));
    CHECK_HAS(a, ">finished</span>");
    ehm_serve_close(s);
}

TEST(serve, a_run_that_goes_away_and_comes_back) {
    const char *run = a_run();
    ehm_err err = {0};
    ehm_server *s = serve(run, 0);
    REQUIRE_OK(ehm_dir_remove(run, &err), &err);
    const char *a = ask(s, "GET / HTTP/1.1\r\n" HOST "\r\n");
    CHECK(ehm_starts(a, "HTTP/1.1 503 Service Unavailable\r\n"));
    CHECK_HAS(body(a), "there is no such folder");
    CHECK_INT(length_of(a), strlen(body(a)));
    CHECK(a_run() != NULL);
    CHECK(ehm_starts(ask(s, "GET / HTTP/1.1\r\n" HOST "\r\n"), "HTTP/1.1 200 OK\r\n"));
    ehm_serve_close(s);
}

TEST(serve, slow_clients_hold_up_nobody) {
    ehm_server *s = serve(a_run(), 0.3);
    int half = join(s), silent = join(s), gone = join(s), greedy = join(s);
    say(half, "GET / HTT");
    say(greedy, "GET / HTTP/1.1\r\n" HOST "\r\n"); /* and never reads */
    say(gone, "GET / HTTP/1.1\r\n" HOST "\r\n");
    struct linger now = {1, 0};
    setsockopt(gone, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(gone); /* with a reset, in the middle of things */
    double t0 = ehm_clock_s();
    CHECK(ehm_starts(ask(s, "GET / HTTP/1.1\r\n" HOST "\r\n"), "HTTP/1.1 200 OK\r\n"));
    int crowd[100];
    for (int i = 0; i < 100; i++) crowd[i] = join(s), turn(s); /* more than there are places */
    CHECK(ehm_starts(ask(s, "GET / HTTP/1.1\r\n" HOST "\r\n"), "HTTP/1.1 200 OK\r\n"));
    for (int i = 0; i < 100; i++) close(crowd[i]);
    for (int i = 0; i < 5; i++) turn(s);
    CHECK(ehm_clock_s() - t0 < 5);
    CHECK_STR(hear(s, silent), ""); /* closed without a word */
    close(half);
    half = join(s);
    say(half, "GET / HTT");
    CHECK(ehm_starts(hear(s, half), "HTTP/1.1 408 Request Timeout\r\n"));
    /* In pieces, but in time. */
    int pieces = join(s);
    static const char text[] = "GET / HTTP/1.1\r\n" HOST "\r\n";
    for (size_t i = 0; i + 1 < sizeof text; i++) say(pieces, (char[2]){text[i], 0}), turn(s);
    CHECK(ehm_starts(hear(s, pieces), "HTTP/1.1 200 OK\r\n"));
    close(greedy);
    static char much[EHM_SERVE_REQUEST_MAX + 3000];
    memset(much, 'a', sizeof much - 1);
    CHECK(ehm_starts(ask(s, much), "HTTP/1.1 431 "));
    ehm_serve_close(s);
}

/* More than the system buffers; the page changes while it is being read. */
TEST(serve, an_answer_outlives_its_page) {
    const char *run = a_run();
    enum { SIDE = 1400 };
    ehm_str picture = {0};
    ehm_str_addf(&picture, "P6\n%d %d\n255\n", SIDE, SIDE);
    for (int i = 0; i < SIDE * SIDE; i++) ehm_str_add(&picture, "abc");
    put(run, "pictures/00000010_masks.ppm", ehm_str_c(&picture));
    ehm_str_free(&picture);
    ehm_server *s = serve(run, 1.5);
    int slow = join(s), never = join(s);
    say(slow, "GET / HTTP/1.1\r\n" HOST "\r\n"), say(never, "GET / HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 4; i++) turn(s);
    put(run, "metrics.jsonl", "{\"step\": 10, \"epoch\": 0.5, \"loss\": 0.4375}\n");
    CHECK_HAS(ask(s, "GET / HTTP/1.1\r\n" HOST "\r\n"), "0.4375");
    const char *a = hear(s, slow);
    CHECK(length_of(a) > 3 * SIDE * SIDE);
    CHECK_INT(strlen(body(a)), length_of(a));
    CHECK_HAS(a, "0.875");
    CHECK(ehm_ends(a, "</html>\n"));
    double t0 = ehm_clock_s();
    while (ehm_clock_s() - t0 < 1.8) turn(s);
    a = hear(s, never); /* given up */
    CHECK((int64_t)strlen(body(a)) < length_of(a));
    ehm_serve_close(s);
}

/* Where no more files may be opened, waiting goes on instead of turning in place. */
TEST(serve, no_descriptors_left) {
    ehm_server *s = serve(a_run(), 0);
    struct rlimit was, none;
    REQUIRE(!getrlimit(RLIMIT_NOFILE, &was));
    int fd = join(s);
    say(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = was.rlim_max};
    REQUIRE(!setrlimit(RLIMIT_NOFILE, &none));
    ehm_err err = {0};
    double t0 = ehm_clock_s();
    ehm_code rc = EHM_OK;
    for (int i = 0; i < 3 && !rc; i++) rc = ehm_serve_turn(s, 0.1, &err);
    double took = ehm_clock_s() - t0;
    setrlimit(RLIMIT_NOFILE, &was);
    CHECK_OK(rc, &err);
    CHECK(took > 0.15);
    CHECK(ehm_starts(hear(s, fd), "HTTP/1.1 200 OK\r\n"));
    ehm_serve_close(s);
}

TEST(serve, errors) {
    const char *run = a_run(), *nowhere = "/nowhere/at/all";
    ehm_server *s = serve(run, 0), *t = NULL;
    ehm_err err = {0};
    CHECK_FAILS(ehm_serve_open(&t, &run, 1, &(ehm_serve_opt){.port = ehm_serve_port(s)}, &err), &err, EHM_E_IO, "Address already in use");
    CHECK_HAS(err.hint, "another --port");
    CHECK_FAILS(ehm_serve_open(&t, &run, 1, &(ehm_serve_opt){.port = 70000}, &err), &err, EHM_E_ARG, "port 70000");
    CHECK_FAILS(ehm_serve_open(&t, &nowhere, 1, NULL, &err), &err, EHM_E_IO, "there is no such folder");
    CHECK_FAILS(ehm_serve_open(&t, NULL, 0, NULL, &err), &err, EHM_E_ARG, "");
    CHECK(!t);
    int32_t port = ehm_serve_port(s);
    /* No other address of this machine, were it one of its own. */
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) && errno == ECONNREFUSED);
    close(fd);
    CHECK(ehm_starts(ask(s, "GET / HTTP/1.1\r\n" HOST "\r\n"), "HTTP/1.1 200 OK\r\n"));
    ehm_serve_close(s);
    ehm_err_clear(&err);
    REQUIRE_OK(ehm_serve_open(&t, &run, 1, &(ehm_serve_opt){.port = port}, &err), &err); /* the port is free again at once */
    CHECK_INT(ehm_serve_port(t), port);
    ehm_serve_close(t);
    ehm_serve_close(NULL);
}

TEST(serve, ends_when_the_run_does) {
    const char *run = a_run();
    ehm_err err = {0};
    ehm_server *s = serve(run, 0);
    put(run, "DONE", "done\n");
    double t0 = ehm_clock_s();
    CHECK_OK(ehm_serve_run(s, true, &err), &err);
    CHECK(ehm_clock_s() - t0 < 4);
    ehm_stop_request(15);
    CHECK_FAILS(ehm_serve_run(s, false, &err), &err, EHM_E_STOPPED, "served no longer");
    ehm_stop_request(0);
    ehm_serve_close(s);
}
