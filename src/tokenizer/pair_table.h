/* pair_table.h: neighbours of two tokens, how often they occur, and where.

   Learning needs, over and over: the most frequent pair, all places of a pair, and a change of a
   pair's count. Counts and places stand in a hash table; the order stands in a heap with old
   entries left in it: a count that fell since is noticed when its entry comes up. */
#ifndef FRUGAL_TOKENIZER_PAIR_TABLE_H
#define FRUGAL_TOKENIZER_PAIR_TABLE_H

#include "frugal/base.h"

#define PAIR_NONE UINT64_MAX
#define PAIR_END  UINT32_MAX

typedef struct pair_record {
    uint64_t pair; /* left id << 32 | right id; PAIR_NONE: an empty place */
    int64_t count;
    uint32_t head, tail; /* of the list of places; PAIR_END: empty */
    uint32_t queued;     /* number of the round that has put it on the heap */
} pair_record;

typedef struct pair_place {
    uint32_t position, next;
} pair_place;

typedef struct pair_entry {
    int64_t count;
    uint64_t pair;
} pair_entry;

typedef struct pair_table {
    pair_record *records; /* open addressing, at most half full */
    size_t capacity, count;
    pair_place *places; /* nodes of all lists */
    uint32_t place_count, place_capacity, free_place;
    pair_entry *heap;
    size_t heap_count, heap_capacity;
    bool failed; /* no memory: sticky */
} pair_table;

void pair_table_free(pair_table *table);
/* The record of a pair, made when there is none; NULL when there is no memory. Valid until the
   next call. */
pair_record *pair_table_get(pair_table *table, uint64_t pair);
/* Note that the pair occurs at `position`. */
void pair_table_add_place(pair_table *table, pair_record *record, uint32_t position);
/* Move all places of the pair to `positions` (room for `room`); returns how many there are, or,
   when they do not fit, their number with nothing moved. Giving places back lets later pairs use
   them. */
size_t pair_table_take_places(pair_table *table, pair_record *record, uint32_t *positions,
                              size_t room);
/* Put a pair on the heap with its present count. */
void pair_table_queue(pair_table *table, uint64_t pair, int64_t count);
/* The most frequent pair (ties: the smaller), off the heap; PAIR_NONE when none is left. */
pair_entry pair_table_pop(pair_table *table);

#endif
