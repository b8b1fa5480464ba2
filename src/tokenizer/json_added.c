/* json_added.c: the added tokens of a tokenizer.json. */
#include "tokenizer/json_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fr_status read_added_token(reader *r, json_t *object, size_t number, added_token *token)
{
    static const char *const known[] = {"id",     "content",    "single_word", "lstrip",
                                        "rstrip", "normalized", "special",     NULL};
    char where[40];
    snprintf(where, sizeof where, "added_tokens[%zu]", number);
    FR_TRY(json_check_keys(r, where, object, known));
    const json_t *id = json_object_get(object, "id");
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
        return BAD(r, "%s.id: %s found, an id expected", where,
                   json_is_integer(id) ? "a number out of range" : json_kind_name(id));
    token->id = (int32_t)json_integer_value(id);
    const char *content;
    FR_TRY(json_read_string(r, where, object, "content", &content));
    if (!*content)
        return BAD(r, "%s.content is empty", where);
    FR_TRY(json_read_bool(r, where, object, "special", false, &token->special));
    FR_TRY(json_read_bool(r, where, object, "single_word", false, &token->single_word));
    FR_TRY(json_read_bool(r, where, object, "lstrip", false, &token->strip_left));
    FR_TRY(json_read_bool(r, where, object, "rstrip", false, &token->strip_right));
    FR_TRY(json_read_bool(r, where, object, "normalized", !token->special, &token->normalized));
    token->size = strlen(content);
    token->content = fr_string_copy(content);
    return token->content ? FR_OK : NO_MEMORY(r);
}

static int compare_content(const void *a, const void *b)
{
    const char *const *left = a, *const *right = b;
    return strcmp(*left, *right);
}

static fr_status refuse_twins(reader *r)
{
    const fr_tokenizer *t = r->tokenizer;
    const char **sorted = fr_alloc_array(t->added_count + 1, sizeof *sorted, FR_MEMORY_OTHER);
    if (!sorted)
        return NO_MEMORY(r);
    for (size_t i = 0; i < t->added_count; i++)
        sorted[i] = t->added[i].content;
    qsort(sorted, t->added_count, sizeof *sorted, compare_content);
    fr_status status = FR_OK;
    for (size_t i = 1; status == FR_OK && i < t->added_count; i++)
        if (!strcmp(sorted[i - 1], sorted[i]))
            status = BAD(r, "added_tokens: '%.60s' appears twice", sorted[i]);
    fr_free(sorted);
    return status;
}

fr_status json_read_added(reader *r, json_t *list)
{
    if (!list || json_is_null(list))
        return FR_OK;
    if (!json_is_array(list))
        return BAD(r, "added_tokens: %s found, a list expected", json_kind_name(list));
    fr_tokenizer *t = r->tokenizer;
    t->added = fr_alloc_array(json_array_size(list) + 1, sizeof *t->added, FR_MEMORY_OTHER);
    if (!t->added)
        return NO_MEMORY(r);
    for (size_t i = 0; i < json_array_size(list); i++) {
        t->added_count++;
        FR_TRY(read_added_token(r, json_array_get(list, i), i, &t->added[i]));
    }
    return refuse_twins(r);
}

/* The text that is looked for, and decoded: tokens with `normalized` in normal form. */
static fr_status set_pattern(reader *r, added_token *token)
{
    const fr_tokenizer *t = r->tokenizer;
    normalize_scratch scratch = {0};
    passage text = {.text = token->content, .size = token->size};
    fr_status status = FR_OK;
    if (token->normalized)
        status = normalize(t->normalizers, t->normalizer_count, &scratch, &text, r->error);
    if (status == FR_OK && text.size == 0) /* the peer would find it between all characters */
        status = UNSUPPORTED(r, "added_tokens: nothing is left of '%.60s' when it is normalised",
                             token->content);
    if (status == FR_OK) {
        token->pattern = fr_string_copy_n(text.text, text.size);
        token->pattern_size = text.size;
        if (!token->pattern)
            status = NO_MEMORY(r);
    }
    normalize_scratch_free(&scratch);
    return status;
}

fr_status json_build_added_sets(reader *r)
{
    fr_tokenizer *t = r->tokenizer;
    for (size_t i = 0; i < t->added_count; i++)
        FR_TRY(set_pattern(r, &t->added[i]));
    FR_TRY(added_set_build(&t->raw_added, t->added, t->added_count, false, r->error));
    return added_set_build(&t->normalized_added, t->added, t->added_count, true, r->error);
}
