/* vocabulary.c: a hash table and a trie over the texts of tokens. */
#include "tokenizer/vocabulary.h"

#include <string.h>

static uint64_t hash_bytes(const char *bytes, size_t size)
{
    uint64_t hash = size;
    for (; size >= 8; bytes += 8, size -= 8) {
        uint64_t eight;
        memcpy(&eight, bytes, 8);
        hash = token_mix(hash ^ eight);
    }
    uint64_t rest = 0;
    memcpy(&rest, bytes, size);
    return token_mix(hash ^ rest);
}

static size_t table_places(size_t entries)
{
    size_t places = 16;
    while (places < entries * 2)
        places *= 2;
    return places;
}

static bool is_text(const vocabulary *tokens, size_t id, const char *text, size_t size)
{
    return tokens->start[id + 1] - tokens->start[id] == size &&
           !memcmp(tokens->bytes + tokens->start[id], text, size);
}

/* Where the text stands, or would stand. */
static size_t place_of(const token_table *table, const char *text, size_t size)
{
    size_t at = hash_bytes(text, size) & table->mask;
    while (table->places[at] && !is_text(table->tokens, table->places[at] - 1, text, size))
        at = (at + 1) & table->mask;
    return at;
}

fr_status token_table_build(token_table *table, const vocabulary *tokens, const bool *is_member,
                            fr_error *error)
{
    size_t places = table_places(tokens->count);
    table->tokens = tokens;
    table->mask = places - 1;
    table->places = fr_alloc_array(places, sizeof *table->places, FR_MEMORY_OTHER);
    if (!table->places)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu tokens", tokens->count);
    for (size_t id = 0; id < tokens->count; id++)
        if (is_member[id])
            table->places[place_of(table, tokens->bytes + tokens->start[id],
                                   tokens->start[id + 1] - tokens->start[id])] = (uint32_t)id + 1;
    return FR_OK;
}

void token_table_free(token_table *table)
{
    fr_free(table->places);
    *table = (token_table){0};
}

int32_t token_table_find(const token_table *table, const char *text, size_t size)
{
    return (int32_t)table->places[place_of(table, text, size)] - 1;
}

/* ---- trie ------------------------------------------------------------------------------------ */

static bool new_node(token_trie *trie, uint32_t *node)
{
    if (trie->count == trie->capacity) {
        uint32_t capacity = trie->capacity ? trie->capacity * 2 : 1024;
        int32_t *ids = capacity > trie->capacity
                           ? fr_realloc(trie->ids, (size_t)capacity * sizeof *ids, FR_MEMORY_OTHER)
                           : NULL;
        if (!ids)
            return false;
        trie->ids = ids;
        trie->capacity = capacity;
    }
    *node = trie->count++;
    trie->ids[*node] = -1;
    return true;
}

static bool insert(token_trie *trie, const char *text, size_t size, int32_t id)
{
    uint32_t node = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        uint32_t next = token_trie_step(trie, node, byte);
        if (!next) {
            if (!new_node(trie, &next))
                return false;
            uint64_t edge = (uint64_t)node << 8 | byte;
            size_t at = token_mix(edge) & trie->mask;
            while (trie->edges[at] != UINT64_MAX)
                at = (at + 1) & trie->mask;
            trie->edges[at] = edge;
            trie->targets[at] = next;
        }
        node = next;
    }
    trie->ids[node] = id;
    return true;
}

fr_status token_trie_build(token_trie *trie, const vocabulary *tokens, const bool *is_member,
                           fr_error *error)
{
    size_t bytes = 0;
    for (size_t id = 0; id < tokens->count; id++)
        bytes += is_member[id] ? tokens->start[id + 1] - tokens->start[id] : 0;
    size_t places = table_places(bytes);
    uint32_t root;
    trie->mask = places - 1;
    trie->edges = fr_alloc_array(places, sizeof *trie->edges, FR_MEMORY_OTHER);
    trie->targets = fr_alloc_array(places, sizeof *trie->targets, FR_MEMORY_OTHER);
    bool done = trie->edges && trie->targets && new_node(trie, &root);
    for (size_t i = 0; done && i < places; i++)
        trie->edges[i] = UINT64_MAX;
    for (size_t id = 0; done && id < tokens->count; id++)
        if (is_member[id])
            done = insert(trie, tokens->bytes + tokens->start[id],
                          tokens->start[id + 1] - tokens->start[id], (int32_t)id);
    return done ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for %zu tokens", tokens->count);
}

void token_trie_free(token_trie *trie)
{
    fr_free(trie->edges);
    fr_free(trie->targets);
    fr_free(trie->ids);
    *trie = (token_trie){0};
}
