#include "base/log.h"

#include "base/time.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static struct {
    char program[32];
    enum log_level max;
    bool json;
} setup = {.program = "bulkhead", .max = LOG_WARN_};

void log_setup(const char *program, enum log_level max, bool json)
{
    snprintf(setup.program, sizeof(setup.program), "%s", program);
    setup.max = max;
    setup.json = json;
}

static size_t put(char *out, size_t at, size_t room, const char *s, size_t n)
{
    if (n > room - at)
        n = room - at;
    memcpy(out + at, s, n);
    return at + n;
}

/* JSON string content. The logger has no writer below it, and must not allocate when memory is short. */
static size_t put_escaped(char *out, size_t at, size_t room, const char *s)
{
    bool utf8 = str_utf8(str_c(s));
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        char esc[8];
        if (c == '"' || c == '\\') {
            snprintf(esc, sizeof(esc), "\\%c", c);
            at = put(out, at, room, esc, 2);
        } else if (c < 0x20) {
            snprintf(esc, sizeof(esc), "\\u%04x", c);
            at = put(out, at, room, esc, 6);
        } else {
            at = put(out, at, room, c >= 0x80 && !utf8 ? "?" : s, 1);
        }
    }
    return at;
}

void log_at(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if (level > setup.max)
        return;
    char msg[2048], line[8192], now[TIME_TEXT];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    size_t n = 0, room = sizeof(line) - 4;
    if (setup.json) {
        char head[160];
        snprintf(head, sizeof(head), "{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"message\":\"",
                 time_format(time_now(), now), names[level], setup.program);
        n = put(line, n, room, head, strlen(head));
        /* a message of 2047 bytes escapes to at most 12 KiB: cut before, so that no escape is cut in half */
        msg[sizeof(line) / 6 - 40] = '\0';
        n = put_escaped(line, n, room, msg);
        line[n++] = '"';
        line[n++] = '}';
    } else {
        for (char *p = msg; *p; p++)
            if ((unsigned char)*p < 0x20 && *p != '\t')
                *p = '?';
        n = put(line, n, room, setup.program, strlen(setup.program));
        n = put(line, n, room, ": ", 2);
        if (level != LOG_ERROR_) {
            n = put(line, n, room, names[level], strlen(names[level]));
            n = put(line, n, room, ": ", 2);
        }
        n = put(line, n, room, msg, strlen(msg));
    }
    line[n++] = '\n';
    /* one write per line, so that lines of several threads never mix */
    if (write(STDERR_FILENO, line, n) < 0)
        return;
}
