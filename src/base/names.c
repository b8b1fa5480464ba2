/* names.c: the nearest of some names, and the registries that hold names.

   Distance is Damerau's in its optimal-string-alignment form (Damerau, CACM 7(3), 1964): insertions, deletions, replacements and
   swaps of neighbours cost one each, since these four are what fingers do. */
#include "frugal/options.h"

#include <ctype.h>
#include <string.h>

enum { LONGEST = 63 };

/* Case and the choice of dash are not what a typo is about. */
static int folded(char c)
{
    return c == '-' ? '_' : tolower((unsigned char)c);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t distance(const char *a, size_t m, const char *b, size_t n)
{
    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= n; j++)
        above[j] = j;
    for (size_t i = 1; i <= m; i++) {
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            int x = folded(a[i - 1]), y = folded(b[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == folded(b[j - 2]) && folded(a[i - 2]) == y)
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *last = before;
        before = above;
        above = row;
        row = last;
    }
    return above[n];
}

const char *fr_nearest_name(const char *name, const char *const *names, size_t count)
{
    size_t length = strlen(name);
    if (length == 0 || length > LONGEST)
        return NULL;
    const char *nearest = NULL;
    size_t best = 0;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(names[i]);
        if (other == 0 || other > LONGEST)
            continue;
        size_t steps = distance(name, length, names[i], other);
        /* A third of the longer name may be wrong, and one letter always. */
        size_t longer = length > other ? length : other;
        if (steps <= (longer < 6 ? 1 : longer / 3) && steps < longer &&
            (!nearest || steps < best)) {
            nearest = names[i];
            best = steps;
        }
    }
    /* Else a name that begins with what was typed: "learn" for "learning_rate". */
    for (size_t i = 0; !nearest && length >= 3 && i < count; i++)
        if (strncmp(names[i], name, length) == 0)
            nearest = names[i];
    return nearest;
}

const fr_kind *fr_registry_find(const fr_registry *registry, const char *name)
{
    for (const fr_kind *const *entry = registry->entries; *entry; entry++)
        if (strcmp((*entry)->name, name) == 0)
            return *entry;
    return NULL;
}

static fr_status unknown_entry(const fr_registry *registry, const char *name, fr_error *error)
{
    enum { MOST = 256 };
    const char *names[MOST] = {0};
    size_t count = 0;
    fr_buffer known = {0};
    for (const fr_kind *const *entry = registry->entries; *entry && count < MOST; entry++) {
        names[count++] = (*entry)->name;
        fr_buffer_printf(&known, "%s%s", count > 1 ? ", " : "", (*entry)->name);
    }
    const char *nearest = fr_nearest_name(name, names, count);
    fr_fail(error, FR_BAD_INPUT, "unknown %s '%s'%s%s%s (known: %s)", registry->point, name,
            nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "",
            known.data ? known.data : "none");
    fr_buffer_free(&known);
    return FR_BAD_INPUT;
}

const fr_kind *fr_registry_require(const fr_registry *registry, const char *name, const char *file,
                                   long line, fr_error *error)
{
    const fr_kind *kind = fr_registry_find(registry, name);
    fr_error local;
    if (!kind) {
        unknown_entry(registry, name, &local);
        if (file)
            fr_fail_at(error, FR_BAD_INPUT, file, line, "%s", local.message);
        else
            fr_fail(error, FR_BAD_INPUT, "%s", local.message);
    }
    return kind;
}
