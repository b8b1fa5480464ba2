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

/* Tokens with `normalized` are looked for as their normal form. */
fr_status json_build_added_sets(reader *r)
{
    fr_tokenizer *t = r->tokenizer;
    for (size_t i = 0; t->nfc && i < t->added_count; i++) {
        added_token *token = &t->added[i];
        if (token->normalized && !nfc_is_plain(token->content, token->size)) {
            normalized form = {0};
            fr_status status = nfc_append(&form, token->content, token->size, 0, r->error);
            bool same = status == FR_OK && form.text.size == token->size &&
                        !memcmp(form.text.data, token->content, token->size);
            normalized_free(&form);
            FR_TRY(status);
            if (!same)
                return UNSUPPORTED(r, "added_tokens[%zu]: '%.60s' is not in normal form", i,
                                   token->content);
        }
    }
    FR_TRY(added_set_build(&t->raw_added, t->added, t->added_count, false, r->error));
    return added_set_build(&t->normalized_added, t->added, t->added_count, true, r->error);
}
