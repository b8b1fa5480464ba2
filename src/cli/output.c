/* output.c: results, written to standard output at once: a reader at the other end of a pipe sees each as it comes, and a full
   disk or a closed pipe is an error where it happens. */
#include "cli/cli.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

fr_status cli_write(const void *data, size_t size, fr_error *error)
{
    const char *next = data;
    while (size > 0) {
        ssize_t done = write(STDOUT_FILENO, next, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fr_fail(error, FR_IO, "cannot write to standard output: %s", strerror(errno));
        next += done;
        size -= (size_t)done;
    }
    return FR_OK;
}

fr_status cli_print(fr_error *error, const char *format, ...)
{
    char text[4096];
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fr_status status = FR_OK;
    if (length < 0)
        status = fr_fail(error, FR_WRONG_CALL, "cannot format '%s'", format);
    else if ((size_t)length < sizeof text)
        status = cli_write(text, (size_t)length, error);
    else {
        char *longer = fr_alloc((size_t)length + 1, FR_MEMORY_OTHER);
        if (longer) {
            vsnprintf(longer, (size_t)length + 1, format, again);
            status = cli_write(longer, (size_t)length, error);
        } else
            status = fr_fail(error, FR_NO_MEMORY, "no memory to print %d bytes", length);
        fr_free(longer);
    }
    va_end(again);
    return status;
}

fr_status cli_print_json(json_t *value, fr_error *error)
{
    char *text = value ? json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY) : NULL;
    json_decref(value);
    if (!text)
        return fr_fail(
            error, FR_NO_MEMORY,
            "cannot write the result as JSON: no memory, or a number that is not finite");
    fr_status status = cli_write(text, strlen(text), error);
    free(text);
    return status == FR_OK ? cli_write("\n", 1, error) : status;
}

void cli_shell_word(const char *text, fr_buffer *out)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "_-./,:=+@%";
    if (*text && text[strspn(text, plain)] == 0) {
        fr_buffer_text(out, text);
        return;
    }
    fr_buffer_text(out, "'");
    for (; *text; text++)
        fr_buffer_append(out, *text == '\'' ? "'\\''" : text, *text == '\'' ? 4 : 1);
    fr_buffer_text(out, "'");
}
