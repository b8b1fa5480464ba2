/* post.h: what is put around texts (the "post_processor" of a tokenizer.json).

   Every post-processor becomes a template for one text and one for two: special tokens and texts
   in order, each with its type id. Some also trim blanks off the offsets of tokens. */
#ifndef FRUGAL_TOKENIZER_POST_H
#define FRUGAL_TOKENIZER_POST_H

#include "frugal/tokenizer.h"

typedef struct post_part {
    int32_t text; /* 0 or 1: the first or second text; -1: the token `id` */
    int32_t id, type;
} post_part;

typedef struct post_template {
    post_part *parts;
    size_t count;
} post_template;

enum { MOST_TRIMS = 4 };
typedef struct post {
    post_template single, pair;
    bool trims[MOST_TRIMS]; /* each: may the first token keep one blank (that was put there)? */
    size_t trim_count;
} post;
void post_free(post *self);
fr_status post_template_add(post_template *self, post_part part, fr_error *error);
/* Tokens that the template adds. */
size_t post_template_added(const post_template *self);

/* Blanks at the ends of a text, in characters. */
void post_count_blanks(const char *text, size_t size, uint32_t *leading, uint32_t *trailing);
/* Trim the offsets of ids[first .. count) of one text, whose notes `blanks` holds. */
void post_trim(const fr_tokenizer *tokenizer, const char *text, const fr_buffer *blanks,
               fr_ids *ids, size_t first);

#endif
