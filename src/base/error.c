/* error.c: one message per failure, with its place in front. */
#define FRUGAL_DEFINES_FAILURES
#include "frugal/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Formatted aside first, because a caller may pass error->message itself as an argument. */
static fr_status fill(fr_error *error, fr_status status, size_t used,
                      char message[sizeof error->message], const char *format, va_list arguments)
{
    if (used < sizeof error->message)
        vsnprintf(message + used, sizeof error->message - used, format, arguments);
    memcpy(error->message, message, sizeof error->message);
    error->status = status;
    return status;
}

fr_status fr_fail(fr_error *error, fr_status status, const char *format, ...)
{
    if (!error)
        return status;
    char message[sizeof error->message];
    va_list arguments;
    va_start(arguments, format);
    fill(error, status, 0, message, format, arguments);
    va_end(arguments);
    return status;
}

fr_status fr_fail_at(fr_error *error, fr_status status, const char *file, long line,
                     const char *format, ...)
{
    if (!error)
        return status;
    char message[sizeof error->message];
    int used = line > 0 ? snprintf(message, sizeof message, "%s:%ld: ", file, line)
                        : snprintf(message, sizeof message, "%s: ", file);
    va_list arguments;
    va_start(arguments, format);
    fill(error, status, used < 0 ? 0 : (size_t)used, message, format, arguments);
    va_end(arguments);
    return status;
}

fr_status fr_fail_errno(fr_error *error, const char *action, const char *path)
{
    int number = errno;
    bool wrong_path = number == ENOENT || number == EISDIR || number == ENOTDIR ||
                      number == ENAMETOOLONG || number == ELOOP;
    fr_status status = number == ENOMEM  ? FR_NO_MEMORY
                       : number == EINTR ? FR_INTERRUPTED
                       : wrong_path      ? FR_BAD_INPUT
                                         : FR_IO;
    return fr_fail(error, status, "cannot %s %s: %s", action, path, strerror(number));
}

fr_status fr_error_prefix(fr_error *error, const char *format, ...)
{
    if (!error)
        return FR_IO;
    char message[sizeof error->message];
    va_list arguments;
    va_start(arguments, format);
    int used = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (used >= 0 && (size_t)used + 2 < sizeof message) {
        size_t room = sizeof message - (size_t)used - 3;
        size_t length = strnlen(error->message, room);
        memcpy(message + used, ": ", 2);
        memcpy(message + used + 2, error->message, length);
        message[(size_t)used + 2 + length] = 0;
    }
    memcpy(error->message, message, sizeof message);
    return error->status;
}

int fr_exit_code(fr_status status)
{
    switch (status) {
    case FR_OK:
        return 0;
    case FR_BAD_INPUT:
    case FR_UNSUPPORTED:
    case FR_BUSY:
        return 2;
    case FR_INTERRUPTED:
        return 130;
    default:
        return 1;
    }
}
