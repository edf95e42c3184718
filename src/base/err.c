#include "base/err.h"

#include "base/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void tidy(struct err *e, int n)
{
    if (n >= (int)sizeof(e->msg))
        memcpy(e->msg + sizeof(e->msg) - 4, "...", 4);
    for (char *p = e->msg; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
    if (!e)
        return -code;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
    va_end(ap);
    e->code = code;
    tidy(e, n);
    return -code;
}

int err_errno(struct err *e, const char *fmt, ...)
{
    int code = errno ? errno : EIO;
    if (!e)
        return -code;
    char msg[sizeof(e->msg)], text[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    return err_set(e, code, "%s: %s", msg, strerror_r(code, text, sizeof(text)));
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    if (!e)
        return -EIO;
    char old[sizeof(e->msg)], prefix[sizeof(e->msg)];
    memcpy(old, e->msg, sizeof(old));
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(prefix, sizeof(prefix), fmt, ap);
    va_end(ap);
    return err_set(e, e->code ? e->code : EIO, "%s: %s", prefix, old);
}

#define ERR_CODE(code, exit, http) {code, exit, http},
static const struct {
    int code, exit, http;
} table[] = {
#include "base/err.tbl.h"
};
#undef ERR_CODE

int err_exit_code(int code)
{
    code = code < 0 ? -code : code;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].code == code)
            return table[i].exit;
    return 3;
}

int err_http_status(int code)
{
    code = code < 0 ? -code : code;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].code == code)
            return table[i].http;
    return 500;
}
