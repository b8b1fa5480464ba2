/* added.c: leftmost-longest search for added tokens with a byte trie. */
#include "tokenizer/added.h"
#include "tokenizer/characters.h"
#include "tokenizer/utf8.h"

static fr_status new_node(added_set *set, unsigned char byte, uint32_t *number, fr_error *error)
{
    if (set->count == set->capacity) {
        uint32_t capacity = set->capacity ? set->capacity * 2 : 64;
        added_node *nodes =
            fr_realloc(set->nodes, (size_t)capacity * sizeof *nodes, FR_MEMORY_OTHER);
        if (!nodes)
            return fr_fail(error, FR_NO_MEMORY, "no memory for added tokens");
        set->nodes = nodes;
        set->capacity = capacity;
    }
    *number = set->count++;
    set->nodes[*number] = (added_node){.byte = byte};
    return FR_OK;
}

static uint32_t child_of(const added_set *set, uint32_t node, unsigned char byte)
{
    uint32_t child = set->nodes[node].child;
    while (child && set->nodes[child].byte != byte)
        child = set->nodes[child].sibling;
    return child;
}

static fr_status insert(added_set *set, uint32_t number, fr_error *error)
{
    const added_token *token = &set->tokens[number];
    uint32_t node = 0;
    for (size_t i = 0; i < token->pattern_size; i++) {
        unsigned char byte = (unsigned char)token->pattern[i];
        uint32_t child = child_of(set, node, byte);
        if (!child) {
            FR_TRY(new_node(set, byte, &child, error));
            set->nodes[child].sibling = set->nodes[node].child;
            set->nodes[node].child = child;
        }
        node = child;
    }
    set->nodes[node].token = number + 1;
    set->first[(unsigned char)token->pattern[0]] = true;
    return FR_OK;
}

fr_status added_set_build(added_set *set, const added_token *tokens, size_t count, bool normalized,
                          fr_error *error)
{
    *set = (added_set){.tokens = tokens};
    uint32_t root;
    FR_TRY(new_node(set, 0, &root, error));
    for (size_t i = 0; i < count; i++)
        if (tokens[i].normalized == normalized)
            FR_TRY(insert(set, (uint32_t)i, error));
    if (set->count == 1) { /* nothing to look for */
        fr_free(set->nodes);
        set->nodes = NULL;
    }
    return FR_OK;
}

void added_set_free(added_set *set)
{
    fr_free(set->nodes);
    *set = (added_set){0};
}

/* The longest token that begins at `at`. */
static const added_token *longest_at(const added_set *set, const char *text, size_t size, size_t at)
{
    const added_token *found = NULL;
    for (uint32_t node = 0; at < size; at++) {
        node = child_of(set, node, (unsigned char)text[at]);
        if (!node)
            break;
        if (set->nodes[node].token)
            found = &set->tokens[set->nodes[node].token - 1];
    }
    return found;
}

/* The character that begins at, or ends at, `at`; U+0000 outside the text and where bytes are
   not well-formed. */
static uint32_t point_behind(const char *text, size_t size, size_t at, size_t *length)
{
    const unsigned char *bytes = (const unsigned char *)text + at;
    *length = at < size ? utf8_length(bytes, size - at) : 0;
    return *length ? utf8_decode(bytes, length) : 0;
}

static uint32_t point_before(const char *text, size_t at, size_t *length)
{
    *length = 0;
    if (at == 0)
        return 0;
    size_t back = utf8_length_before((const unsigned char *)text, at), found;
    uint32_t point = point_behind(text, at, at - back, &found);
    if (found != back)
        return 0;
    *length = back;
    return point;
}

added_match added_set_next(const added_set *set, const char *text, size_t size, size_t *from,
                           size_t taken, bool special_as_text)
{
    if (!set->nodes)
        *from = size;
    for (size_t at = *from; at < size; at++) {
        if (!set->first[(unsigned char)text[at]])
            continue;
        const added_token *token = longest_at(set, text, size, at);
        if (!token)
            continue;
        added_match match = {at, at + token->pattern_size, token};
        *from = match.end;
        at = match.end - 1;
        size_t length;
        if (special_as_text && token->special)
            continue;
        if (token->single_word && (is_word(point_before(text, match.begin, &length)) ||
                                   is_word(point_behind(text, size, match.end, &length))))
            continue;
        if (token->strip_left) {
            while (match.begin > taken && is_space(point_before(text, match.begin, &length)))
                match.begin -= length;
            if (match.begin < taken) /* the match before took blanks of this one */
                match.begin = taken;
        }
        if (token->strip_right) {
            while (is_space(point_behind(text, size, match.end, &length)))
                match.end += length;
        }
        if (match.begin >= match.end)
            continue;
        return match;
    }
    *from = size;
    return (added_match){size, size, NULL};
}
