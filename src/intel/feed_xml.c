#include "intel/feed_xml.h"

#include "base/cleanup.h"

#include <expat.h>

enum { BLOCK = 64 << 10 };

struct reader {
    struct feed_xml *x;
    XML_Parser parser;
    struct buf text;
    unsigned depth;
    int code;
    struct err *e;
};

static struct str local_name(const char *name)
{
    struct str s = str_c(name);
    ptrdiff_t colon = str_rchr(s, ':');
    return colon < 0 ? s : str_sub(s, (size_t)colon + 1, s.n);
}

static void stop(struct reader *r, int code)
{
    if (code < 0 && !r->code) {
        r->code = code;
        XML_StopParser(r->parser, XML_FALSE);
    }
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attrs)
{
    struct reader *r = arg;
    buf_reset(&r->text);
    if (++r->depth > FEED_XML_DEPTH)
        stop(r, err_set(r->e, EBADMSG, "XML: nested too deep"));
    else
        stop(r, r->x->start(r->x->arg, local_name(name), (const char *const *)attrs, r->e));
}

static void on_end(void *arg, const XML_Char *name)
{
    struct reader *r = arg;
    r->depth--;
    stop(r, r->x->end(r->x->arg, local_name(name), str_trim(buf_str(&r->text)), r->e));
    buf_reset(&r->text);
}

static void on_text(void *arg, const XML_Char *p, int n)
{
    struct reader *r = arg;
    buf_put(&r->text, p, (size_t)n); /* what is too long is cut */
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid, int internal)
{
    struct reader *r = arg;
    stop(r, err_set(r->e, EBADMSG, "XML: a document type is not taken"));
}

struct str feed_xml_attr(const char *const *attrs, const char *name)
{
    for (; *attrs; attrs += 2)
        if (str_eqc(local_name(attrs[0]), name))
            return str_c(attrs[1]);
    return STR_NONE;
}

static int pump(struct reader *r, struct err *e)
{
    for (;;) {
        void *block = XML_GetBuffer(r->parser, BLOCK);
        if (!block)
            abort();
        ssize_t n = feed_read(r->x->f, block, BLOCK, e);
        if (n < 0)
            return (int)n;
        if (XML_ParseBuffer(r->parser, (int)n, n == 0) != XML_STATUS_OK)
            return r->code ? r->code
                           : err_set(e, EBADMSG, "XML: %s at line %lu", XML_ErrorString(XML_GetErrorCode(r->parser)),
                                     (unsigned long)XML_GetCurrentLineNumber(r->parser));
        if (n == 0)
            return 0;
    }
}

int feed_xml_read(struct feed_xml *x, struct err *e)
{
    struct reader r = {.x = x, .parser = XML_ParserCreate(NULL), .text = BUF_INIT(FEED_XML_TEXT), .e = e};
    if (!r.parser)
        abort();
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    int code = pump(&r, e);
    XML_ParserFree(r.parser);
    buf_fini(&r.text);
    return code;
}
