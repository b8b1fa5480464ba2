/* tokenizer_help.h: documents to learn from, and files to be bent. */
#ifndef FRUGAL_TESTS_TOKENIZER_HELP_H
#define FRUGAL_TESTS_TOKENIZER_HELP_H

#include "frugal/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Documents for training. */
typedef struct list {
    const char *const *texts;
    size_t count, at;
} list;

static inline fr_status next_of_list(void *context, const char **text, size_t *size,
                                     fr_error *error)
{
    (void)error;
    list *l = context;
    *text = l->at < l->count ? l->texts[l->at++] : NULL;
    *size = *text ? strlen(*text) : 0;
    return FR_OK;
}

/* `text` with the first `from` replaced by `to`. Released with fr_free. */
static inline char *replaced(const char *text, const char *from, const char *to)
{
    fr_buffer out = {0};
    const char *place = strstr(text, from);
    if (!place)
        fail_msg("'%s' is not in the fixture", from);
    fr_buffer_append(&out, text, (size_t)(place - text));
    fr_buffer_text(&out, to);
    fr_buffer_text(&out, place + strlen(from));
    return out.data;
}

#endif
