/* tap.c: the one door through which anybody sees or replaces what happens inside a model. A tape
   without taps pays one comparison for each named place. */
#include "tensor/tape.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>

static fr_status add(fr_tape *tape, fr_tap_entry entry, fr_error *error)
{
    if (tape->tap_count == tape->tap_capacity) {
        size_t capacity = tape->tap_capacity ? 2 * tape->tap_capacity : 4;
        fr_tap_entry *taps = fr_realloc(tape->taps, capacity * sizeof *taps, FR_MEMORY_OTHER);
        if (!taps)
            return fr_fail(error, FR_NO_MEMORY, "no memory for a tap on \"%s\"", entry.pattern);
        tape->taps = taps;
        tape->tap_capacity = capacity;
    }
    tape->taps[tape->tap_count++] = entry;
    return FR_OK;
}

fr_status fr_tape_observe(fr_tape *tape, const char *pattern, fr_tap_observer *observer,
                          void *context, fr_error *error)
{
    return add(tape, (fr_tap_entry){pattern, observer, NULL, context}, error);
}

fr_status fr_tape_intervene(fr_tape *tape, const char *pattern, fr_tap_intervener *intervener,
                            void *context, fr_error *error)
{
    return add(tape, (fr_tap_entry){pattern, NULL, intervener, context}, error);
}

void fr_tape_clear_taps(fr_tape *tape)
{
    tape->tap_count = 0;
}

/* In the order in which they were added: an observer sees what interveners before it left. */
fr_tensor *fr_tap(fr_tape *tape, fr_tensor *value, const char *name_format, ...)
{
    if (tape->tap_count == 0)
        return value;
    char name[256];
    va_list arguments;
    va_start(arguments, name_format);
    vsnprintf(name, sizeof name, name_format, arguments);
    va_end(arguments);
    bool watched = !tape->replaying && !tape->options.shape_only;
    for (size_t i = 0; i < tape->tap_count && value; i++) {
        const fr_tap_entry *tap = &tape->taps[i];
        if (fnmatch(tap->pattern, name, 0) != 0)
            continue;
        if (tap->intervener)
            value = tap->intervener(tap->context, tape, name, value);
        else if (watched)
            tap->observer(tap->context, name, value);
    }
    return value;
}
