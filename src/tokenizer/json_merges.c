/* json_merges.c: the merges of a byte-pair model in a tokenizer.json, each of which must name
   tokens. */
#include "tokenizer/json_reader.h"

#include <string.h>

static fr_status token_id(reader *r, json_t *vocab, const char *text, size_t number, uint32_t *id)
{
    const json_t *value = json_object_get(vocab, text);
    if (!value)
        return BAD(r, "model.merges[%zu]: '%.60s' is not in model.vocab", number, text);
    *id = (uint32_t)json_integer_value(value);
    return FR_OK;
}

/* "left right" or ["left", "right"] into `left` (a buffer to work in) and *right. */
static fr_status read_pair(reader *r, const json_t *value, size_t number, fr_buffer *left,
                           const char **right)
{
    fr_buffer_clear(left);
    const char *first = json_string_value(json_array_get(value, 0));
    *right = json_string_value(json_array_get(value, 1));
    if (json_array_size(value) == 2 && first && *right) {
        fr_buffer_text(left, first);
    } else {
        const char *text = json_string_value(value), *space = text ? strchr(text, ' ') : NULL;
        if (!space || strchr(space + 1, ' '))
            return BAD(r, "model.merges[%zu]: %s%.60s%s found, two tokens expected", number,
                       text ? "'" : "", text ? text : json_kind_name(value), text ? "'" : "");
        fr_buffer_append(left, text, (size_t)(space - text));
        *right = space + 1;
    }
    if (!left->failed && !left->data)
        fr_buffer_text(left, "");
    return left->failed ? NO_MEMORY(r) : FR_OK;
}

/* `text` is a buffer to work in. */
static fr_status read_merge(reader *r, json_t *vocab, const json_t *value, size_t number,
                            fr_buffer *text, bpe_merge *out)
{
    const char *right, *prefix = r->tokenizer->model.prefix;
    uint32_t left_id = 0, right_id = 0;
    FR_TRY(read_pair(r, value, number, text, &right));
    FR_TRY(token_id(r, vocab, text->data, number, &left_id));
    FR_TRY(token_id(r, vocab, right, number, &right_id));
    size_t skipped = prefix ? strlen(prefix) : 0; /* the joined token is written without it */
    if (skipped > strlen(right))
        return BAD(r, "model.merges[%zu]: '%.60s' is shorter than the prefix", number, right);
    fr_buffer_text(text, right + skipped);
    if (text->failed)
        return NO_MEMORY(r);
    FR_TRY(token_id(r, vocab, text->data, number, &out->id));
    out->pair = (uint64_t)left_id << 32 | right_id;
    return FR_OK;
}

static bool is_version_line(const json_t *value)
{
    static const char mark[] = "#version";
    const char *text = json_string_value(value);
    return text && !strncmp(text, mark, sizeof mark - 1);
}

fr_status json_read_merges(reader *r, json_t *vocab, const json_t *list, bool whole_pieces)
{
    if (!json_is_array(list))
        return BAD(r, "model.merges: %s found, a list expected", json_kind_name(list));
    text_model *m = &r->tokenizer->model;
    size_t count = json_array_size(list), used = 0;
    if (count >= UINT32_MAX)
        return BAD(r, "model.merges: %zu entries found", count);
    bpe_merge *merges = fr_alloc_array(count + 1, sizeof *merges, FR_MEMORY_OTHER);
    fr_buffer text = {0};
    fr_status status = merges ? FR_OK : NO_MEMORY(r);
    for (size_t i = 0; status == FR_OK && i < count; i++) {
        if (is_version_line(json_array_get(list, i)))
            continue;
        status = read_merge(r, vocab, json_array_get(list, i), i, &text, &merges[used]);
        merges[used].rank = (uint32_t)used;
        used++;
    }
    fr_buffer_free(&text);
    if (status == FR_OK)
        status = bpe_build(&m->merges, &m->tokens, merges, used, whole_pieces ? &m->table : NULL,
                           r->error);
    if (status == FR_OK && m->kind == MODEL_BPE)
        status = bpe_text_prepare(m, merges, used, r->error);
    fr_free(merges);
    return status;
}
