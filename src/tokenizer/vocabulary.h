/* vocabulary.h: the texts of all tokens, and finding a token by its text. */
#ifndef FRUGAL_TOKENIZER_VOCABULARY_H
#define FRUGAL_TOKENIZER_VOCABULARY_H

#include "frugal/base.h"

/* The bytes of every token, one behind the other: token i is bytes[start[i]] .. bytes[start[i +
   1]]. An id without a token has none. */
typedef struct vocabulary {
    char *bytes;
    size_t *start; /* (count + 1) */
    size_t count;
} vocabulary;

/* A table from texts to ids. */
typedef struct token_table {
    const vocabulary *tokens; /* not owned */
    uint32_t *places;         /* id + 1, 0: empty; open addressing, at most half full */
    size_t mask;
} token_table;
/* Of those tokens for which `is_member` is true; of twins the last wins. */
fr_status token_table_build(token_table *table, const vocabulary *tokens, const bool *is_member,
                            fr_error *error);
void token_table_free(token_table *table);
/* The id, -1: none. */
int32_t token_table_find(const token_table *table, const char *text, size_t size);

/* A trie over the same texts, for all tokens that begin at a place. Steps are found by hash:
   (node, byte) -> node; node 0 is the root. */
typedef struct token_trie {
    uint64_t *edges; /* node << 8 | byte, UINT64_MAX: empty */
    uint32_t *targets;
    size_t mask;
    int32_t *ids; /* by node: the token that ends there, -1: none */
    uint32_t count, capacity;
} token_trie;
fr_status token_trie_build(token_trie *trie, const vocabulary *tokens, const bool *is_member,
                           fr_error *error);
void token_trie_free(token_trie *trie);

static inline uint64_t token_mix(uint64_t x)
{
    x *= 0x9E3779B97F4A7C15u;
    return x ^ x >> 32;
}

/* The node behind `byte`, 0: none. */
static inline uint32_t token_trie_step(const token_trie *trie, uint32_t node, unsigned char byte)
{
    uint64_t edge = (uint64_t)node << 8 | byte;
    size_t at = token_mix(edge) & trie->mask;
    while (trie->edges[at] != edge) {
        if (trie->edges[at] == UINT64_MAX)
            return 0;
        at = (at + 1) & trie->mask;
    }
    return trie->targets[at];
}

#endif
