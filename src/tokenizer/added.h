/* added.h: tokens that are found in the text before everything else: <|endoftext|> and its like.

   Where several tokens begin at one place the longest wins; scanning goes on behind it. Tokens
   with `normalized` are looked for in normalised text, after the others; that is why there are
   two sets. Flags as in Hugging Face's AddedToken. */
#ifndef FRUGAL_TOKENIZER_ADDED_H
#define FRUGAL_TOKENIZER_ADDED_H

#include "frugal/base.h"

typedef struct added_token {
    char *content;
    size_t size;
    char *pattern; /* what is looked for: the content, perhaps in normal form */
    size_t pattern_size;
    int32_t id;
    bool special; /* left out by decoding on request; plain text under FR_ENCODE_SPECIAL_AS_TEXT */
    bool single_word; /* not between two word characters */
    bool strip_left;  /* takes the blanks before it */
    bool strip_right; /* takes the blanks behind it */
    bool normalized;
} added_token;

/* A trie: edges of a node are a list of siblings. Node 0 is the root. */
typedef struct added_node {
    uint32_t child, sibling; /* 0: none */
    uint32_t token;          /* number of the token that ends here + 1, 0: none */
    unsigned char byte;      /* on the edge that leads here */
} added_node;

typedef struct added_set {
    const added_token *tokens; /* of the tokenizer, not owned */
    added_node *nodes;
    uint32_t count, capacity;
    bool first[256]; /* bytes that tokens begin with */
} added_set;

typedef struct added_match {
    size_t begin, end;        /* with the blanks that its flags take */
    const added_token *token; /* NULL: no further match */
} added_match;

/* The set of those of `count` tokens whose `normalized` is as given. */
fr_status added_set_build(added_set *set, const added_token *tokens, size_t count, bool normalized,
                          fr_error *error);
void added_set_free(added_set *set);
/* The first match at or after *from, which moves behind it. `taken`: text before it belongs to
   an earlier match. */
added_match added_set_next(const added_set *set, const char *text, size_t size, size_t *from,
                           size_t taken, bool special_as_text);

#endif
