/* gguf_names.c: which tensor of a GGUF file a parameter is, and in which order its rows stand there. */
#include "models/gguf.h"

#include <stdio.h>
#include <string.h>

/* Does the pattern cover `size` bytes of a name? Its numbers go to layer and expert. */
static bool covers(const char *pattern, const char *name, size_t size, int64_t *layer,
                   int64_t *expert)
{
    const char *end = name + size;
    *layer = *expert = -1;
    for (; *pattern; pattern++) {
        if (*pattern != '%' && *pattern != '#') {
            if (name == end || *name++ != *pattern)
                return false;
            continue;
        }
        int64_t number = 0;
        const char *first = name;
        for (; name < end && *name >= '0' && *name <= '9' && number < 1 << 20; name++)
            number = 10 * number + (*name - '0');
        if (name == first)
            return false;
        *(*pattern == '%' ? layer : expert) = number;
    }
    return name == end;
}

/* The file's pattern with the layer's number, and `suffix` behind. */
static void fill(fr_gguf_place *place, const char *pattern, int64_t layer, const char *suffix)
{
    const char *number = strchr(pattern, '%');
    if (number)
        snprintf(place->name, sizeof place->name, "%.*s%lld%s%s", (int)(number - pattern), pattern,
                 (long long)layer, number + 1, suffix);
    else
        snprintf(place->name, sizeof place->name, "%s%s", pattern, suffix);
}

static bool find(const fr_gguf_name *names, const char *name, fr_gguf_place *place)
{
    static const char *const suffixes[] = {".weight", ".bias", ""};
    for (int s = 0; s < 3; s++) {
        size_t length = strlen(name), tail = strlen(suffixes[s]);
        if (length < tail || strcmp(name + length - tail, suffixes[s]) != 0)
            continue;
        for (const fr_gguf_name *rule = names; rule->file; rule++) {
            int64_t layer;
            if (!covers(rule->own, name, length - tail, &layer, &place->expert))
                continue;
            fill(place, rule->file, layer, *suffixes[s] ? suffixes[s] : ".weight");
            place->rule = rule;
            return true;
        }
    }
    return false;
}

bool fr_gguf_place_of(const fr_gguf_arch *arch, const fr_parameter *parameter, fr_gguf_place *place)
{
    return find(arch->names, parameter->name, place) ||
           (arch->more_names && find(arch->more_names, parameter->name, place));
}

int64_t fr_gguf_own_row(const fr_model *model, fr_gguf_order order, int64_t row)
{
    int64_t width = model->head_dim, head = row / width, at = row % width;
    switch (order) {
    case FR_GGUF_ALTERNATE:
        return head * width + at / 2 + (at % 2) * (width / 2);
    case FR_GGUF_APART: { /* head counts through queries, then keys, then values */
        int64_t part = head / model->heads, of = head % model->heads;
        return (3 * of + part) * width + at;
    }
    case FR_GGUF_SAME:
        break;
    }
    return row;
}

const fr_gguf_arch *fr_gguf_arch_of(const fr_model_kind *kind, const char *model_type)
{
    for (const fr_gguf_arch *const *arch = kind->gguf; arch && *arch; arch++)
        if (strcmp((*arch)->model_type, model_type) == 0)
            return *arch;
    return NULL;
}
