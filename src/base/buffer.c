/* buffer.c: a growing byte string with a sticky failure. */
#include "frugal/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool fr_buffer_reserve(fr_buffer *buffer, size_t more)
{
    if (buffer->failed)
        return false;
    if (buffer->data && more < buffer->capacity - buffer->size)
        return true;
    size_t capacity = buffer->capacity ? buffer->capacity : 64;
    if (more > SIZE_MAX / 4 || buffer->size > SIZE_MAX / 4) {
        buffer->failed = true;
        return false;
    }
    while (capacity <= buffer->size + more)
        capacity *= 2;
    char *data = fr_realloc(buffer->data, capacity, FR_MEMORY_OTHER);
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void fr_buffer_append(fr_buffer *buffer, const void *data, size_t size)
{
    if (!fr_buffer_reserve(buffer, size))
        return;
    if (size)
        memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    buffer->data[buffer->size] = 0;
}

void fr_buffer_text(fr_buffer *buffer, const char *text)
{
    fr_buffer_append(buffer, text, strlen(text));
}

void fr_buffer_printf(fr_buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        buffer->failed = true;
    else if (fr_buffer_reserve(buffer, (size_t)length + 1)) {
        vsnprintf(buffer->data + buffer->size, (size_t)length + 1, format, again);
        buffer->size += (size_t)length;
    }
    va_end(again);
}

void fr_buffer_clear(fr_buffer *buffer)
{
    buffer->size = 0;
    if (buffer->data)
        buffer->data[0] = 0;
}

void fr_buffer_free(fr_buffer *buffer)
{
    fr_free(buffer->data);
    *buffer = (fr_buffer){0};
}
