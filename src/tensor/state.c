/* state.c: the tree of everything that a run needs to go on; a list of named pointers, in the order
   of registration. */
#include "frugal/tensor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct fr_state {
    fr_state_entry *entries;
    size_t count, capacity;
};

enum { NAME_SIZE = 512 };

fr_state *fr_state_create(void)
{
    return fr_alloc(sizeof(fr_state), FR_MEMORY_OTHER);
}

void fr_state_destroy(fr_state *state)
{
    if (!state)
        return;
    for (size_t i = 0; i < state->count; i++)
        fr_free(state->entries[i].name);
    fr_free(state->entries);
    fr_free(state);
}

static bool make_room(fr_state *state)
{
    if (state->count < state->capacity)
        return true;
    size_t capacity = state->capacity ? 2 * state->capacity : 64;
    fr_state_entry *entries =
        fr_realloc(state->entries, capacity * sizeof *entries, FR_MEMORY_OTHER);
    if (!entries)
        return false;
    state->entries = entries;
    state->capacity = capacity;
    return true;
}

static fr_status add(fr_state *state, fr_state_entry entry, fr_error *error, const char *format,
                     va_list arguments)
{
    char name[NAME_SIZE];
    int length = vsnprintf(name, sizeof name, format, arguments);
    if (length <= 0 || length >= NAME_SIZE)
        return fr_fail(error, FR_WRONG_CALL, "state: a name of %d characters, 1 to %d expected",
                       length, NAME_SIZE - 1);
    for (size_t i = 0; i < state->count; i++)
        if (strcmp(state->entries[i].name, name) == 0)
            return fr_fail(error, FR_WRONG_CALL, "state: \"%s\" is registered twice", name);
    if (!make_room(state) || !(entry.name = fr_string_copy(name)))
        return fr_fail(error, FR_NO_MEMORY, "no memory to register \"%s\"", name);
    state->entries[state->count++] = entry;
    return FR_OK;
}

fr_status fr_state_tensor(fr_state *state, fr_tensor *tensor, fr_error *error,
                          const char *name_format, ...)
{
    va_list arguments;
    va_start(arguments, name_format);
    fr_state_entry entry = {
        .type = FR_STATE_TENSOR, .tensor = tensor, .count = (size_t)fr_tensor_count(tensor)};
    fr_status status = add(state, entry, error, name_format, arguments);
    va_end(arguments);
    return status;
}

fr_status fr_state_i64(fr_state *state, int64_t *values, size_t count, fr_error *error,
                       const char *name_format, ...)
{
    va_list arguments;
    va_start(arguments, name_format);
    fr_state_entry entry = {.type = FR_STATE_I64, .i64 = values, .count = count};
    fr_status status = add(state, entry, error, name_format, arguments);
    va_end(arguments);
    return status;
}

fr_status fr_state_f64(fr_state *state, double *values, size_t count, fr_error *error,
                       const char *name_format, ...)
{
    va_list arguments;
    va_start(arguments, name_format);
    fr_state_entry entry = {.type = FR_STATE_F64, .f64 = values, .count = count};
    fr_status status = add(state, entry, error, name_format, arguments);
    va_end(arguments);
    return status;
}

size_t fr_state_count(const fr_state *state)
{
    return state->count;
}

const fr_state_entry *fr_state_at(const fr_state *state, size_t index)
{
    return index < state->count ? &state->entries[index] : NULL;
}
