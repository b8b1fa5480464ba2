/* input.c: standard input: a whole text, or line after line from a terminal. */
#include "cli/input.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST_PROMPT = 64 << 20 }; /* bytes of standard input */

fr_status cli_input_all(fr_buffer *input, fr_error *error)
{
    char block[1 << 16];
    size_t got;
    while ((got = fread(block, 1, sizeof block, stdin)) > 0) {
        fr_buffer_append(input, block, got);
        if (input->size > MOST_PROMPT)
            return fr_fail(error, FR_BAD_INPUT, "standard input: the prompt is larger than %d MB",
                           MOST_PROMPT >> 20);
    }
    if (ferror(stdin))
        return fr_fail_errno(error, "read", "standard input");
    fr_buffer_text(input, "");
    if (input->failed)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the prompt");
    if (input->size && input->data[input->size - 1] == '\n')
        input->data[--input->size] = 0;
    if (memchr(input->data, 0, input->size))
        return fr_fail(error, FR_BAD_INPUT, "standard input: the prompt holds a zero byte");
    return FR_OK;
}

bool cli_input_line(char **line, size_t *room)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    setvbuf(stdin, NULL, _IONBF, 0); /* so that poll sees what getline has not taken */
    fputs("> ", stderr);
    fflush(stderr);
    while (poll(&input, 1, -1) < 0) /* unlike reading, never begun again after a signal */
        if (errno != EINTR || fr_interrupted())
            return false;
    ssize_t length = fr_interrupted() ? -1 : getline(line, room, stdin);
    if (length > 0 && (*line)[length - 1] == '\n')
        (*line)[length - 1] = 0;
    return length >= 0;
}
