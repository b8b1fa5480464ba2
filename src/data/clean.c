/* clean.c: what cleaning does, and nothing else, so that source code, poetry and tables survive it:
   - line ends CR LF and CR become LF;
   - control characters are dropped, except tab (a backspace also takes the character before it, as
     in printed manuals);
   - spaces and tabs at the ends of lines go;
   - more than two blank lines in a row become two; blank lines at the beginning and all line ends
     at the end go.
   Bytes over 127 are never touched, valid UTF-8 or not. */
#include "data/clean.h"

#include <string.h>

enum { BLANK_LINES = 2 };

static bool is_control(unsigned char c)
{
    return (c < 32 && c != '\t') || c == 127;
}

/* Drop the character before `at`, all its bytes. */
static size_t back(const char *text, size_t at, size_t begin)
{
    while (at > begin && ((unsigned char)text[at - 1] & 0xC0) == 0x80)
        at--;
    return at > begin ? at - 1 : at;
}

/* Move one line to `out` (which is not behind it) without controls and trailing space; returns its
   end. */
static size_t move_line(char *text, size_t out, size_t from, size_t to, size_t *controls)
{
    size_t at = out;
    for (size_t i = from; i < to; i++) {
        unsigned char c = (unsigned char)text[i];
        if (!is_control(c)) {
            text[at++] = (char)c;
            continue;
        }
        ++*controls;
        if (c == '\b')
            at = back(text, at, out);
    }
    while (at > out && (text[at - 1] == ' ' || text[at - 1] == '\t'))
        at--;
    return at;
}

/* The end of the line that begins at `from`; *next is behind its line end. */
static size_t line_end(const char *text, size_t size, size_t from, size_t *next)
{
    const char *feed = memchr(text + from, '\n', size - from);
    size_t end = feed ? (size_t)(feed - text) : size;
    const char *carriage = memchr(text + from, '\r', end - from);
    if (carriage) {
        size_t at = (size_t)(carriage - text);
        *next = at + 1 + (at + 1 < size && text[at + 1] == '\n');
        return at;
    }
    *next = feed ? end + 1 : size;
    return end;
}

size_t clean_text(char *text, size_t size, size_t *controls)
{
    size_t out = 0, blanks = 0;
    *controls = 0;
    for (size_t from = 0, next; from < size; from = next) {
        size_t to = line_end(text, size, from, &next);
        /* The line ends that go in front are written once it is known that text follows. There is
           always room: they stand for at least as many that were read. */
        size_t ends = out == 0 ? 0 : 1 + (blanks < BLANK_LINES ? blanks : BLANK_LINES);
        size_t end = move_line(text, out + ends, from, to, controls);
        if (end == out + ends) {
            blanks++;
            continue;
        }
        memset(text + out, '\n', ends);
        out = end;
        blanks = 0;
    }
    return out;
}
