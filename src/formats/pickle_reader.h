/* pickle_reader.h: the stack machine that reads a pickle; its instructions are in pickle.c, the objects that it makes in
   pickle_objects.c. */
#ifndef FRUGAL_FORMATS_PICKLE_READER_H
#define FRUGAL_FORMATS_PICKLE_READER_H

#include "formats/pickle.h"

typedef struct pickle_reader {
    const unsigned char *begin, *at, *end;
    pickle_value **stack, **memo;
    size_t depth, stack_room, memo_count, memo_room;
    size_t values; /* made so far */
    bool done;
    fr_arena *arena;
    const char *path, *where;
    fr_error *error;
} pickle_reader;

/* FR_BAD_INPUT (or `status`) with file, part and byte in front. */
#define PICKLE_FAIL(r, status, ...)                                                                \
    (fr_fail((r)->error, status, __VA_ARGS__),                                                     \
     fr_error_prefix((r)->error, "%s: %s, byte %zu", (r)->path, (r)->where,                        \
                     (size_t)((r)->at - (r)->begin)),                                              \
     (status))

/* Count values that are made, or copied out of proportion to the bytes that ask for it. */
fr_status pickle_count(pickle_reader *r, size_t more);
fr_status pickle_new(pickle_reader *r, pickle_type type, pickle_value **value);
/* Memory of the arena, zeroed. */
fr_status pickle_take(pickle_reader *r, size_t bytes, void **block);

/* ---- pickle_objects.c ---- */

/* The class MODULE.NAME, if it is one of those that a state dict needs. */
fr_status pickle_class(pickle_reader *r, const char *module, const char *name,
                       pickle_value **value);
/* Call a class with a tuple. */
fr_status pickle_call(pickle_reader *r, const pickle_value *callee, const pickle_value *arguments,
                      pickle_value **value);
/* The storage that a persistent id names. */
fr_status pickle_persistent(pickle_reader *r, const pickle_value *id, pickle_value **value);
fr_status pickle_append(pickle_reader *r, pickle_value *list, pickle_value *item);

#endif
