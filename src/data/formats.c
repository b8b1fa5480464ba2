/* formats.c: the kinds of text files that are read, and plain text itself, which needs no
   conversion. */
#include "data/format.h"

#include <string.h>

const format format_text = {
    .base = {.name = "text",
             .summary = "plain text and source code: every file that is none of the other kinds"},
};

static const fr_kind *const entries[] = {&format_text.base, &format_markdown.base,
                                         &format_html.base, &format_jsonl.base, NULL};

const fr_registry fr_sources = {
    "source", "kinds of text files, told by the end of the name; each also .gz, .zst, .xz",
    entries};

static bool ends_with(const char *name, size_t length, const char *ending)
{
    size_t n = strlen(ending);
    return length > n && strncasecmp(name + length - n, ending, n) == 0;
}

const format *format_of(const char *name, size_t length)
{
    for (size_t i = 0; entries[i]; i++) {
        const format *kind = (const format *)entries[i];
        for (size_t e = 0; kind->endings && kind->endings[e]; e++)
            if (ends_with(name, length, kind->endings[e]))
                return kind;
    }
    return &format_text;
}
