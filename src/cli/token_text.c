/* token_text.c: a token as a person may read it. */
#include "cli/token_text.h"

#include <jansson.h>

/* Bytes as they would stand between quotes in C: what is not printable ASCII or UTF-8 is
   escaped. */
static void quote(fr_buffer *out, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte == '"' || byte == '\\')
            fr_buffer_printf(out, "\\%c", byte);
        else if (byte == '\n')
            fr_buffer_text(out, "\\n");
        else if (byte < 0x20 || byte == 0x7F)
            fr_buffer_printf(out, "\\x%02X", byte);
        else
            fr_buffer_append(out, &bytes[i], 1);
    }
}

void cli_token_text(fr_buffer *out, const fr_tokenizer *tokenizer, int32_t id)
{
    size_t size;
    const char *bytes = fr_tokenizer_bytes(tokenizer, id, &size);
    if (!bytes)
        return;
    json_t *text = json_stringn(bytes, size); /* NULL for what is not UTF-8 */
    fr_buffer_text(out, "\"");
    if (text)
        quote(out, bytes, size);
    for (size_t i = 0; !text && i < size; i++)
        fr_buffer_printf(out, "\\x%02X", (unsigned char)bytes[i]);
    fr_buffer_text(out, "\"");
    json_decref(text);
}
