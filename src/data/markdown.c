/* markdown.c: Markdown stays as it is (a model that reads it should write it), without the front
   matter that site generators put on top: a block of settings between two "---" lines (YAML) or
   "+++" lines (TOML).

   A "---" line can also be a rule between paragraphs, so a block only counts as front matter when
   it is the very beginning, its second line looks like a setting (it has a ":" or "=", or is a "#"
   comment), and it ends within 64 KiB. */
#include "data/format.h"

#include <string.h>

enum { FRONT_LIMIT = 1 << 16 };

typedef struct markdown {
    fr_buffer head; /* the beginning, until it is known what it is */
    bool decided;
} markdown;

/* The bytes of the line at `at` without its end, and where the next one begins (0: the line is not
   complete). */
static size_t line_at(const fr_buffer *b, size_t at, size_t *next)
{
    const char *end = memchr(b->data + at, '\n', b->size - at);
    *next = end ? (size_t)(end - b->data) + 1 : 0;
    size_t length = end ? (size_t)(end - b->data) - at : b->size - at;
    while (length && strchr(" \t\r", b->data[at + length - 1]))
        length--;
    return length;
}

static bool is_fence(const fr_buffer *b, size_t at, size_t length, char mark)
{
    return length == 3 && b->data[at] == mark && b->data[at + 1] == mark && b->data[at + 2] == mark;
}

/* Bytes of front matter; 0: there is none; *more: it cannot be told yet. */
static size_t front_matter(const fr_buffer *b, bool *more)
{
    size_t next, at;
    size_t length = line_at(b, 0, &at);
    *more = at == 0 && b->size < 16;
    char mark = b->size ? b->data[0] : 0;
    if (at == 0 || (mark != '-' && mark != '+') || !is_fence(b, 0, length, mark))
        return 0;
    for (bool first = true;; first = false, at = next) {
        length = line_at(b, at, &next);
        bool closes =
            is_fence(b, at, length, mark) || (mark == '-' && is_fence(b, at, length, '.'));
        if (closes && !first)
            return next ? next : b->size;
        *more = next == 0;
        if (next == 0)
            return 0;
        bool setting =
            length && (b->data[at] == '#' || memchr(b->data + at, mark == '-' ? ':' : '=', length));
        if (first && !setting)
            return 0;
    }
}

static fr_status convert(void **state, const char *path, const char *bytes, size_t size, bool last,
                         fr_buffer *text, fr_error *error)
{
    markdown *m = *state;
    if (!m && !(m = *state = fr_alloc(sizeof *m, FR_MEMORY_DATA)))
        return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", path);
    if (m->decided) {
        fr_buffer_append(text, bytes, size);
        return FR_OK;
    }
    fr_buffer_append(&m->head, bytes, size);
    if (m->head.failed)
        return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", path);
    bool more;
    size_t drop = front_matter(&m->head, &more);
    if (more && !last && m->head.size < FRONT_LIMIT)
        return FR_OK;
    m->decided = true;
    fr_buffer_append(text, m->head.data + drop, m->head.size - drop);
    fr_buffer_free(&m->head);
    return FR_OK;
}

static void close_markdown(void *state)
{
    markdown *m = state;
    if (m)
        fr_buffer_free(&m->head);
    fr_free(m);
}

static const char *const endings[] = {".md", ".markdown", ".mdown", ".mkd", NULL};

const format format_markdown = {
    .base = {.name = "markdown",
             .summary = "kept as it is, without front matter (.md, .markdown, .mdown, .mkd)"},
    .endings = endings,
    .convert = convert,
    .close = close_markdown,
};
