/* pair_table.c: counts, places and order of pairs. */
#include "tokenizer/pair_table.h"

void pair_table_free(pair_table *table)
{
    fr_free(table->records);
    fr_free(table->places);
    fr_free(table->heap);
    *table = (pair_table){0};
}

/* ---- records --------------------------------------------------------------------------------- */

static pair_record *find(const pair_table *table, uint64_t pair)
{
    uint64_t hash = pair * 0x9E3779B97F4A7C15u;
    size_t mask = table->capacity - 1, at = (hash ^ hash >> 32) & mask;
    while (table->records[at].pair != pair && table->records[at].pair != PAIR_NONE)
        at = (at + 1) & mask;
    return &table->records[at];
}

static bool grow(pair_table *table)
{
    pair_table bigger = {.capacity = table->capacity ? table->capacity * 2 : 1 << 14};
    bigger.records = fr_alloc_array(bigger.capacity, sizeof *bigger.records, FR_MEMORY_DATA);
    if (!bigger.records) {
        table->failed = true;
        return false;
    }
    for (size_t i = 0; i < bigger.capacity; i++)
        bigger.records[i].pair = PAIR_NONE;
    for (size_t i = 0; i < table->capacity; i++)
        if (table->records[i].pair != PAIR_NONE)
            *find(&bigger, table->records[i].pair) = table->records[i];
    fr_free(table->records);
    table->records = bigger.records;
    table->capacity = bigger.capacity;
    return true;
}

pair_record *pair_table_get(pair_table *table, uint64_t pair)
{
    if (table->count * 2 >= table->capacity && !grow(table))
        return NULL;
    pair_record *record = find(table, pair);
    if (record->pair == PAIR_NONE) {
        *record = (pair_record){pair, 0, PAIR_END, PAIR_END, 0};
        table->count++;
    }
    return record;
}

/* ---- places ---------------------------------------------------------------------------------- */

static uint32_t new_place(pair_table *table)
{
    if (table->place_count && table->free_place != PAIR_END) {
        uint32_t number = table->free_place;
        table->free_place = table->places[number].next;
        return number;
    }
    if (table->place_count == table->place_capacity) {
        size_t capacity = table->place_capacity
                              ? (size_t)table->place_capacity + table->place_capacity / 2
                              : 1 << 16;
        pair_place *places =
            capacity < PAIR_END
                ? fr_realloc(table->places, capacity * sizeof *places, FR_MEMORY_DATA)
                : NULL;
        if (!places) {
            table->failed = true;
            return PAIR_END;
        }
        table->places = places;
        table->place_capacity = (uint32_t)capacity;
    }
    table->free_place = PAIR_END;
    return table->place_count++;
}

void pair_table_add_place(pair_table *table, pair_record *record, uint32_t position)
{
    uint32_t number = new_place(table);
    if (number == PAIR_END)
        return;
    table->places[number] = (pair_place){position, PAIR_END};
    if (record->head == PAIR_END)
        record->head = number;
    else
        table->places[record->tail].next = number;
    record->tail = number;
}

size_t pair_table_take_places(pair_table *table, pair_record *record, uint32_t *positions,
                              size_t room)
{
    size_t count = 0;
    for (uint32_t at = record->head; at != PAIR_END; at = table->places[at].next) {
        if (count < room)
            positions[count] = table->places[at].position;
        count++;
    }
    if (count > 0 && count <= room) {
        table->places[record->tail].next = table->free_place;
        table->free_place = record->head;
        record->head = record->tail = PAIR_END;
    }
    return count;
}

/* ---- the heap -------------------------------------------------------------------------------- */

static bool before(pair_entry a, pair_entry b)
{
    return a.count != b.count ? a.count > b.count : a.pair < b.pair;
}

void pair_table_queue(pair_table *table, uint64_t pair, int64_t count)
{
    if (table->heap_count == table->heap_capacity) {
        size_t capacity = table->heap_capacity ? table->heap_capacity * 2 : 1 << 14;
        pair_entry *heap = fr_realloc(table->heap, capacity * sizeof *heap, FR_MEMORY_DATA);
        if (!heap) {
            table->failed = true;
            return;
        }
        table->heap = heap;
        table->heap_capacity = capacity;
    }
    pair_entry entry = {count, pair};
    size_t at = table->heap_count++;
    for (; at > 0 && before(entry, table->heap[(at - 1) / 2]); at = (at - 1) / 2)
        table->heap[at] = table->heap[(at - 1) / 2];
    table->heap[at] = entry;
}

pair_entry pair_table_pop(pair_table *table)
{
    if (table->heap_count == 0)
        return (pair_entry){0, PAIR_NONE};
    pair_entry top = table->heap[0], entry = table->heap[--table->heap_count];
    size_t at = 0, count = table->heap_count;
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && before(table->heap[child + 1], table->heap[child]))
            child++;
        if (!before(table->heap[child], entry))
            break;
        table->heap[at] = table->heap[child];
    }
    table->heap[at] = entry;
    return top;
}
