/* encode_pair.c: one or two texts as an encoder takes them: truncated, in the template's order, with
   types and masks, padded. */
#include "tokenizer/pipeline.h"

#include <string.h>

void fr_encoded_free(fr_encoded *encoded)
{
    fr_free(encoded->ids);
    fr_free(encoded->types);
    fr_free(encoded->begin);
    fr_free(encoded->end);
    fr_free(encoded->texts);
    fr_free(encoded->special);
    fr_free(encoded->attention);
    *encoded = (fr_encoded){0};
}

const fr_encode_options *fr_tokenizer_limits(const fr_tokenizer *tokenizer)
{
    return &tokenizer->limits;
}

/* ---- truncation ------------------------------------------------------------------------------ */

/* The ids of one text, [begin, end) of which are left. */
typedef struct one_text {
    fr_ids ids;
    fr_buffer blanks;
    size_t begin, end;
} one_text;

static size_t left_of(const one_text *t)
{
    return t->end - t->begin;
}

static void cut(one_text *t, size_t length, bool left)
{
    if (left_of(t) <= length)
        return;
    if (left)
        t->begin = t->end - length;
    else
        t->end = t->begin + length;
}

/* Both texts, until they fit together: first the longer one, then both to a half. */
static void cut_longest(one_text *first, one_text *second, size_t most, bool left)
{
    size_t shorter = left_of(first), longer = left_of(second);
    bool swapped = shorter > longer;
    if (swapped)
        shorter = longer;
    longer = shorter > most || shorter > most - shorter ? shorter : most - shorter;
    if (shorter + longer > most) {
        shorter = most / 2;
        longer = shorter + most % 2;
    }
    cut(first, swapped ? longer : shorter, left);
    cut(second, swapped ? shorter : longer, left);
}

static fr_status truncate(one_text texts[2], bool two, size_t added,
                          const fr_encode_options *options, fr_error *error)
{
    size_t most = (size_t)options->max_length;
    if (added > most)
        return fr_fail(error, FR_BAD_INPUT,
                       "%zu tokens at most are asked for, but the template alone adds %zu", most,
                       added);
    most -= added;
    size_t total = left_of(&texts[0]) + left_of(&texts[1]);
    if (total <= most)
        return FR_OK;
    if (most == 0 || (!two && options->truncation == FR_TRUNCATE_LONGEST_FIRST)) {
        cut(&texts[0], most, options->truncate_left);
        cut(&texts[1], most, options->truncate_left);
        return FR_OK;
    }
    if (options->truncation == FR_TRUNCATE_LONGEST_FIRST) {
        cut_longest(&texts[0], &texts[1], most, options->truncate_left);
        return FR_OK;
    }
    int which = options->truncation == FR_TRUNCATE_ONLY_SECOND;
    if (which == 1 && !two)
        return fr_fail(error, FR_BAD_INPUT,
                       "only the second text may be truncated, but there is none");
    if (left_of(&texts[which]) <= total - most)
        return fr_fail(error, FR_BAD_INPUT,
                       "%zu tokens must go, but the %s text, which alone may be truncated, has %zu",
                       total - most, which ? "second" : "first", left_of(&texts[which]));
    cut(&texts[which], left_of(&texts[which]) - (total - most), options->truncate_left);
    return FR_OK;
}

/* ---- putting together ------------------------------------------------------------------------ */

static bool grow(void **list, size_t item, size_t capacity)
{
    void *grown = fr_realloc(*list, capacity * item, FR_MEMORY_DATA);
    if (grown)
        *list = grown;
    return grown != NULL;
}

static fr_status reserve(fr_encoded *e, size_t more, fr_error *error)
{
    size_t count = e->count + more;
    if (count <= e->capacity)
        return FR_OK;
    size_t capacity = count + count / 2 + 16;
    if (!grow((void **)&e->ids, sizeof *e->ids, capacity) ||
        !grow((void **)&e->types, sizeof *e->types, capacity) ||
        !grow((void **)&e->begin, sizeof *e->begin, capacity) ||
        !grow((void **)&e->end, sizeof *e->end, capacity) ||
        !grow((void **)&e->texts, sizeof *e->texts, capacity) ||
        !grow((void **)&e->special, sizeof *e->special, capacity) ||
        !grow((void **)&e->attention, sizeof *e->attention, capacity))
        return fr_fail(error, FR_NO_MEMORY, "no memory for the ids of a text");
    e->capacity = capacity;
    return FR_OK;
}

/* Room for it is there. */
static void put(fr_encoded *e, int32_t id, size_t begin, size_t end, post_part part)
{
    size_t at = e->count++;
    e->ids[at] = id;
    e->types[at] = part.type;
    e->begin[at] = begin;
    e->end[at] = end;
    e->texts[at] = (int8_t)part.text;
    e->special[at] = part.text < 0;
    e->attention[at] = 1;
}

static fr_status assemble(const post_template *around, const one_text texts[2], bool special,
                          fr_encoded *out, fr_error *error)
{
    for (size_t i = 0; i < around->count; i++) {
        post_part part = around->parts[i];
        if (part.text < 0 && !special)
            continue;
        const one_text *t = part.text < 0 ? NULL : &texts[part.text];
        FR_TRY(reserve(out, t ? left_of(t) : 1, error));
        for (size_t k = t ? t->begin : 0; t && k < t->end; k++)
            put(out, t->ids.ids[k], t->ids.begin[k], t->ids.end[k], part);
        if (!t)
            put(out, part.id, 0, 0, part);
    }
    return FR_OK;
}

static fr_status encode_text(const fr_tokenizer *tokenizer, const char *text, size_t size,
                             int flags, one_text *out, fr_error *error)
{
    FR_TRY(ids_prepare(&out->ids, true, error));
    FR_TRY(encode_one(tokenizer, text, size, flags, &out->blanks, &out->ids, error));
    out->end = out->ids.count;
    return FR_OK;
}

fr_status fr_tokenizer_encode_pair(const fr_tokenizer *tokenizer, const char *text, size_t size,
                                   const char *pair, size_t pair_size,
                                   const fr_encode_options *options, fr_encoded *encoded,
                                   fr_error *error)
{
    one_text texts[2] = {{.begin = 0}, {.begin = 0}};
    const char *sources[2] = {text, pair};
    const size_t sizes[2] = {size, pair_size};
    const post_template *around = pair ? &tokenizer->post.pair : &tokenizer->post.single;
    bool special = options->flags & FR_ENCODE_ADD_SPECIAL;
    int count = pair ? 2 : 1;
    fr_status status = FR_OK;
    encoded->count = 0;
    for (int i = 0; i < count && status == FR_OK; i++) {
        status = encode_text(tokenizer, sources[i], sizes[i], options->flags, &texts[i], error);
    }
    if (status == FR_OK && options->max_length)
        status = truncate(texts, pair, special ? post_template_added(around) : 0, options, error);
    for (int i = 0; i < count && status == FR_OK; i++) {
        texts[i].ids.count = texts[i].end;
        post_trim(tokenizer, sources[i], &texts[i].blanks, &texts[i].ids, texts[i].begin);
    }
    if (status == FR_OK)
        status = assemble(around, texts, special, encoded, error);
    for (int i = 0; i < 2; i++) {
        fr_ids_free(&texts[i].ids);
        fr_buffer_free(&texts[i].blanks);
    }
    if (status == FR_OK && options->pads)
        status = fr_encoded_pad(encoded, (size_t)options->pad_length, options, error);
    return status;
}

/* ---- padding --------------------------------------------------------------------------------- */

static void shift(void *list, size_t count, size_t size, size_t by)
{
    memmove((char *)list + by * size, list, count * size);
}

fr_status fr_encoded_pad(fr_encoded *encoded, size_t length, const fr_encode_options *options,
                         fr_error *error)
{
    size_t multiple = (size_t)options->pad_multiple, count = encoded->count;
    if (length == 0)
        length = count;
    if (multiple && length % multiple)
        length += multiple - length % multiple;
    if (length <= count)
        return FR_OK;
    size_t more = length - count;
    FR_TRY(reserve(encoded, more, error));
    if (options->pad_left) {
        shift(encoded->ids, count, sizeof *encoded->ids, more);
        shift(encoded->types, count, sizeof *encoded->types, more);
        shift(encoded->begin, count, sizeof *encoded->begin, more);
        shift(encoded->end, count, sizeof *encoded->end, more);
        shift(encoded->texts, count, sizeof *encoded->texts, more);
        shift(encoded->special, count, sizeof *encoded->special, more);
        shift(encoded->attention, count, sizeof *encoded->attention, more);
        encoded->count = 0;
    }
    post_part padding = {.text = -1, .type = options->pad_type};
    for (size_t i = 0; i < more; i++) {
        put(encoded, options->pad_id, 0, 0, padding);
        encoded->attention[encoded->count - 1] = 0;
    }
    encoded->count = length;
    return FR_OK;
}
