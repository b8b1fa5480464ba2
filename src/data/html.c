/* html.c: HTML -> the text that a reader sees, with paragraph breaks.

   libxml2's HTML parser is fed as the bytes come and calls back for elements and text (SAX), so no
   tree is built and memory does not grow with the file. It loads nothing from elsewhere, and HTML
   knows no entities that expand into others.

   Elements that show no prose (scripts, styles, navigation, ...) are dropped whole. Block elements
   end a paragraph, list items and table rows a line, table cells are parted by tabs; white space
   otherwise collapses, except in <pre>.

   Encoding: what a `charset` within the first 4 KiB says, as the HTML standard has it, else UTF-8; converted before
   the parser sees it (charset.h). */
#include "data/charset.h"
#include "data/format.h"

#include <libxml/HTMLparser.h>
#include <string.h>

enum { HEAD = 4096 };

/* The strongest break since the last text. */
typedef enum gap { GAP_NONE, GAP_SPACE, GAP_TAB, GAP_LINE, GAP_PARAGRAPH } gap;

typedef struct html {
    fr_buffer head; /* the first bytes, until there are enough to tell the encoding */
    charset charset;
    fr_buffer unicode; /* what the parser gets next */
    htmlParserCtxtPtr parser;
    fr_buffer *text;
    size_t dropped;      /* depth inside a dropped element */
    size_t preformatted; /* depth of <pre> */
    gap pending;
    bool begun;
} html;

static const char *const drops[] = {"script", "style",  "noscript", "template", "nav",    "head",
                                    "iframe", "object", "svg",      "math",     "canvas", "audio",
                                    "video",  "select", "button",   "textarea", NULL};
static const char *const paragraphs[] = {
    "p",          "div",     "h1",       "h2",      "h3",      "h4",     "h5",
    "h6",         "ul",      "ol",       "dl",      "table",   "pre",    "figure",
    "blockquote", "section", "main",     "article", "address", "header", "footer",
    "form",       "hr",      "fieldset", "details", "aside",   "body",   NULL};
static const char *const lines[] = {"li",      "tr",         "dt",      "dd", "br",
                                    "caption", "figcaption", "summary", NULL};
static const char *const cells[] = {"td", "th", NULL};

static bool one_of(const xmlChar *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp((const char *)name, *names) == 0)
            return true;
    return false;
}

static void part(html *h, gap wanted)
{
    if (wanted > h->pending)
        h->pending = wanted;
}

static void part_at(html *h, const xmlChar *name)
{
    if (one_of(name, paragraphs))
        part(h, GAP_PARAGRAPH);
    else if (one_of(name, lines))
        part(h, GAP_LINE);
    else if (one_of(name, cells))
        part(h, GAP_TAB);
}

static void start_element(void *context, const xmlChar *name, const xmlChar **attributes)
{
    html *h = context;
    (void)attributes;
    if (h->dropped || one_of(name, drops)) {
        h->dropped++;
        return;
    }
    part_at(h, name);
    h->preformatted += strcmp((const char *)name, "pre") == 0;
}

static void end_element(void *context, const xmlChar *name)
{
    html *h = context;
    if (h->dropped) {
        h->dropped--;
        return;
    }
    part_at(h, name);
    if (h->preformatted && strcmp((const char *)name, "pre") == 0)
        h->preformatted--;
}

static void put_gap(html *h)
{
    static const char *const gaps[] = {"", " ", "\t", "\n", "\n\n"};
    if (h->begun)
        fr_buffer_text(h->text, gaps[h->pending]);
    h->pending = GAP_NONE;
    h->begun = true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f';
}

static void characters(void *context, const xmlChar *bytes, int length)
{
    html *h = context;
    const char *s = (const char *)bytes;
    if (h->dropped)
        return;
    if (h->preformatted) {
        put_gap(h);
        fr_buffer_append(h->text, s, (size_t)length);
        return;
    }
    for (int i = 0; i < length;) {
        int begin = i;
        while (i < length && !is_space(s[i]))
            i++;
        if (i > begin) {
            put_gap(h);
            fr_buffer_append(h->text, s + begin, (size_t)(i - begin));
        }
        for (; i < length && is_space(s[i]); i++)
            part(h, GAP_SPACE);
    }
}

static xmlSAXHandler handler = {
    .startElement = start_element,
    .endElement = end_element,
    .characters = characters,
    .ignorableWhitespace = characters,
    /* cdataBlock stays NULL: the contents of scripts and styles. */
};

static fr_status no_memory(const char *path, fr_error *error)
{
    return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", path);
}

static fr_status begin(html *h, const char *path, fr_error *error)
{
    char name[64];
    size_t looked = h->head.size < HEAD ? h->head.size : HEAD;
    bool declared = charset_declared(h->head.data, looked, name, sizeof name);
    charset_open(&h->charset, declared ? name : NULL);
    h->parser = htmlCreatePushParserCtxt(&handler, h, NULL, 0, NULL, XML_CHAR_ENCODING_UTF8);
    if (!h->parser)
        return no_memory(path, error);
    htmlCtxtUseOptions(h->parser, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                      HTML_PARSE_NONET | HTML_PARSE_IGNORE_ENC);
    return FR_OK;
}

static fr_status parse(html *h, const char *path, const char *bytes, size_t size, bool last,
                       fr_error *error)
{
    fr_buffer_clear(&h->unicode);
    fr_buffer_text(&h->unicode, ""); /* there is a block, if an empty one */
    charset_append(&h->charset, bytes, size, last, &h->unicode);
    if (h->unicode.failed)
        return no_memory(path, error);
    char *text = h->unicode.data, *end = text + h->unicode.size;
    for (char *zero = text; (zero = memchr(zero, 0, (size_t)(end - zero)));)
        *zero = ' '; /* the parser would take it for the end */
    /* Parse errors are what real pages are made of; only a lack of memory stops. */
    int result = htmlParseChunk(h->parser, text, (int)h->unicode.size, last);
    return result == XML_ERR_NO_MEMORY || h->text->failed ? no_memory(path, error) : FR_OK;
}

static fr_status convert(void **state, const char *path, const char *bytes, size_t size, bool last,
                         fr_buffer *text, fr_error *error)
{
    html *h = *state;
    if (!h && !(h = *state = fr_alloc(sizeof *h, FR_MEMORY_DATA)))
        return no_memory(path, error);
    h->text = text;
    if (h->parser)
        return parse(h, path, bytes, size, last, error);
    fr_buffer_append(&h->head, bytes, size);
    if (h->head.failed)
        return no_memory(path, error);
    if (h->head.size < HEAD && !last)
        return FR_OK;
    FR_TRY(begin(h, path, error));
    fr_status status = parse(h, path, h->head.data, h->head.size, last, error);
    fr_buffer_free(&h->head);
    return status;
}

static void close_html(void *state)
{
    html *h = state;
    if (!h)
        return;
    if (h->parser)
        htmlFreeParserCtxt(h->parser);
    charset_close(&h->charset);
    fr_buffer_free(&h->head);
    fr_buffer_free(&h->unicode);
    fr_free(h);
}

static const char *const endings[] = {".html", ".htm", ".xhtml", NULL};

const format format_html = {
    .base = {.name = "html",
             .summary = "the text that a reader sees, in paragraphs (.html, .htm, .xhtml)"},
    .endings = endings,
    .convert = convert,
    .close = close_html,
};
