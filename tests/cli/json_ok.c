/* Is standard input exactly one JSON object, as RFC 8259 has it, and nothing after it but a newline? Prints
 * its keys in one line and exits with 0, or says where it is none and exits with 1. Written apart from
 * base/json.c, which wrote what is judged here.
 *
 *     ehm list masks --json | ehm_json_ok          prints: masks
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char text[1 << 24];
static const char *p = text;
static int n_shown;

static void wrong(const char *want) {
    printf("no JSON at byte %ld: expected %s, there is \"%.30s\"\n", (long)(p - text), want, p);
    exit(1);
}

static void blank(void) { p += strspn(p, " \t\r\n"); }

static void string(bool show) {
    if (*p != '"') wrong("a string");
    const char *from = ++p;
    for (; *p != '"'; p++) {
        if ((unsigned char)*p < 0x20) wrong("no bare control character in a string");
        if (*p != '\\') continue;
        p++;
        if (*p == 'u') {
            for (int i = 0; i < 4; i++)
                if (!isxdigit((unsigned char)*++p)) wrong("four hex digits");
        } else if (!*p || !strchr("\"\\/bfnrt", *p)) wrong("an escape");
    }
    if (show) printf("%s%.*s", n_shown++ ? " " : "", (int)(p - from), from);
    p++;
}

static void number(void) {
    if (*p == '-') p++;
    if (*p == '0') p++;
    else if (isdigit((unsigned char)*p)) p += strspn(p, "0123456789");
    else wrong("a value");
    if (*p == '.') {
        if (!isdigit((unsigned char)*++p)) wrong("a digit");
        p += strspn(p, "0123456789");
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        if (*p == '+' || *p == '-') p++;
        if (!isdigit((unsigned char)*p)) wrong("a digit");
        p += strspn(p, "0123456789");
    }
}

static void value(int depth);

static void members(int depth, char end) {
    p++, blank();
    if (*p == end) { p++; return; }
    for (;;) {
        blank();
        if (end == '}') {
            string(depth == 0), blank();
            if (*p++ != ':') p--, wrong("a colon");
        }
        value(depth + 1), blank();
        if (*p == ',') { p++; continue; }
        if (*p++ != end) p--, wrong("a comma or the end");
        return;
    }
}

static void value(int depth) {
    blank();
    if (depth > 100) wrong("less depth");
    if (*p == '{') members(depth, '}');
    else if (*p == '[') members(depth, ']');
    else if (*p == '"') string(false);
    else if (!strncmp(p, "true", 4) || !strncmp(p, "null", 4)) p += 4;
    else if (!strncmp(p, "false", 5)) p += 5;
    else number();
}

int main(void) {
    size_t n = fread(text, 1, sizeof text - 1, stdin);
    if (strlen(text) != n) wrong("no NUL");
    if (*p != '{') wrong("an object");
    value(0);
    if (strcmp(p, "\n")) wrong("a newline and the end");
    printf("\n");
    return 0;
}
