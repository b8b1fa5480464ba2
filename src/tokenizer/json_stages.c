/* json_stages.c: normaliser, splits, post-processor and decoder of a tokenizer.json.

   The rule for what is not done here: what would change the ids is refused by its name, never
   skipped. */
#include "tokenizer/json_reader.h"

#include <stdio.h>
#include <string.h>

/* ---- normaliser, splits ---------------------------------------------------------------------- */

typedef fr_status read_stage(reader *r, const char *where, const char *type, json_t *object);

/* A stage, or a Sequence of stages whose list is called `list`. */
static fr_status read_stages(reader *r, const char *where, json_t *object, const char *list,
                             read_stage *read)
{
    if (!object || json_is_null(object))
        return FR_OK;
    const char *type;
    if (!json_is_object(object))
        return BAD(r, "%s: %s found, an object expected", where, json_kind_name(object));
    FR_TRY(json_read_string(r, where, object, "type", &type));
    if (strcmp(type, "Sequence") != 0)
        return read(r, where, type, object);
    const char *const known[] = {"type", list, NULL};
    FR_TRY(json_check_keys(r, where, object, known));
    json_t *stages = json_object_get(object, list);
    if (!json_is_array(stages))
        return BAD(r, "%s.%s: %s found, a list expected", where, list, json_kind_name(stages));
    for (size_t i = 0; i < json_array_size(stages); i++) {
        json_t *stage = json_array_get(stages, i);
        char place[100];
        snprintf(place, sizeof place, "%s.%s[%zu]", where, list, i);
        if (!json_is_object(stage))
            return BAD(r, "%s: %s found, an object expected", place, json_kind_name(stage));
        FR_TRY(json_read_string(r, place, stage, "type", &type));
        FR_TRY(read(r, place, type, stage));
    }
    return FR_OK;
}

static fr_status read_normalizer(reader *r, const char *where, const char *type, json_t *object)
{
    static const char *const known[] = {"type", NULL};
    if (strcmp(type, "NFC") != 0)
        return UNSUPPORTED(r, "%s of type '%.60s' is not supported (supported: NFC)", where, type);
    r->tokenizer->nfc = true;
    return json_check_keys(r, where, object, known);
}

static fr_status new_split(reader *r, const char *where, split **out)
{
    fr_tokenizer *t = r->tokenizer;
    if (t->split_count == MOST_SPLITS)
        return UNSUPPORTED(r, "%s: more than %d stages are not supported", where, MOST_SPLITS);
    *out = &t->splits[t->split_count++];
    **out = (split){.keep_matches = true, .keep_gaps = true};
    return FR_OK;
}

static fr_status read_byte_level(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "add_prefix_space", "trim_offsets", "use_regex",
                                        NULL};
    bool prefix_space, use_regex;
    split *stage = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(json_read_bool(r, where, object, "add_prefix_space", true, &prefix_space));
    FR_TRY(json_read_bool(r, where, object, "use_regex", true, &use_regex));
    if (r->byte_level)
        return UNSUPPORTED(r, "%s: a second ByteLevel is not supported", where);
    r->byte_level = true;
    if (prefix_space) {
        FR_TRY(new_split(r, where, &stage));
        stage->kind = SPLIT_PREFIX_SPACE;
    }
    if (use_regex) {
        FR_TRY(new_split(r, where, &stage));
        stage->kind = SPLIT_GPT2;
    }
    return FR_OK;
}

static fr_status read_split(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "pattern", "behavior", "invert", NULL};
    static const char *const kinds[] = {"Regex", "String", NULL};
    const char *behavior, *text;
    bool invert;
    split *stage = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(json_read_string(r, where, object, "behavior", &behavior));
    FR_TRY(json_read_bool(r, where, object, "invert", false, &invert));
    bool isolated = !strcmp(behavior, "Isolated");
    if (!isolated && strcmp(behavior, "Removed") != 0)
        return UNSUPPORTED(r, "%s.behavior '%.60s' is not supported (supported: Isolated, Removed)",
                           where, behavior);
    json_t *pattern = json_object_get(object, "pattern");
    char place[120];
    snprintf(place, sizeof place, "%s.pattern", where);
    FR_TRY(json_check_keys(r, place, pattern, kinds));
    bool literal = json_object_get(pattern, "String");
    FR_TRY(json_read_string(r, place, pattern, literal ? "String" : "Regex", &text));
    FR_TRY(new_split(r, where, &stage));
    fr_status status = split_from_pattern(stage, text, strlen(text), literal, r->error);
    if (status != FR_OK) {
        r->tokenizer->split_count--;
        fr_error_prefix(r->error, "%s: %s", r->name, place);
        return status;
    }
    stage->keep_matches = isolated || invert;
    stage->keep_gaps = isolated || !invert;
    return FR_OK;
}

static fr_status read_pre_tokenizer(reader *r, const char *where, const char *type, json_t *object)
{
    static const char *const digits[] = {"type", "individual_digits", NULL};
    if (!strcmp(type, "ByteLevel"))
        return read_byte_level(r, where, object);
    if (r->byte_level)
        return UNSUPPORTED(r, "%s of type '%.60s' behind ByteLevel is not supported", where, type);
    if (!strcmp(type, "Split"))
        return read_split(r, where, object);
    if (!strcmp(type, "Digits")) {
        split *stage = NULL;
        bool single;
        FR_TRY(json_check_keys(r, where, object, digits));
        FR_TRY(json_read_bool(r, where, object, "individual_digits", false, &single));
        FR_TRY(new_split(r, where, &stage));
        stage->kind = SPLIT_DIGITS;
        stage->digits = single;
        return FR_OK;
    }
    return UNSUPPORTED(
        r, "%s of type '%.60s' is not supported (supported: ByteLevel, Split, Digits, Sequence)",
        where, type);
}

/* ---- post-processor, decoder ----------------------------------------------------------------- */

static fr_status append_id(const reader *r, int32_t **ids, size_t *count, int32_t id)
{
    int32_t *more = fr_realloc(*ids, (*count + 1) * sizeof **ids, FR_MEMORY_OTHER);
    if (!more)
        return NO_MEMORY(r);
    more[(*count)++] = id;
    *ids = more;
    return FR_OK;
}

/* {"SpecialToken": {"id": NAME, "type_id": 0}}: NAME stands for the ids that `special_tokens`
   lists. */
static fr_status read_template_token(const reader *r, const char *where, const json_t *special,
                                     const json_t *piece, bool behind)
{
    fr_tokenizer *t = r->tokenizer;
    const char *token;
    FR_TRY(json_read_string(r, where, piece, "id", &token));
    const json_t *ids = json_object_get(json_object_get(special, token), "ids");
    if (!json_is_array(ids))
        return BAD(r, "%s: '%.60s' is not in special_tokens", where, token);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || (size_t)value >= t->tokens.count)
            return BAD(r, "%s: '%.60s' stands for %s outside the vocabulary", where, token,
                       json_is_integer(id) ? "an id" : json_kind_name(id));
        FR_TRY(behind ? append_id(r, &t->suffix, &t->suffix_count, (int32_t)value)
                      : append_id(r, &t->prefix, &t->prefix_count, (int32_t)value));
    }
    return FR_OK;
}

static fr_status read_template(const reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "single", "pair", "special_tokens", NULL};
    FR_TRY(json_check_keys(r, where, object, known));
    const json_t *single = json_object_get(object, "single");
    if (!json_is_array(single))
        return BAD(r, "%s.single: %s found, a list expected", where, json_kind_name(single));
    if (r->tokenizer->prefix_count + r->tokenizer->suffix_count)
        return UNSUPPORTED(r, "%s: a second TemplateProcessing is not supported", where);
    bool behind = false;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *part = json_array_get(single, i);
        const json_t *token = json_object_get(part, "SpecialToken");
        const json_t *sequence = json_object_get(part, "Sequence");
        char place[120];
        snprintf(place, sizeof place, "%s.single[%zu]", where, i);
        if (token) {
            FR_TRY(read_template_token(r, place, json_object_get(object, "special_tokens"), token,
                                       behind));
            continue;
        }
        const char *id;
        FR_TRY(json_read_string(r, place, sequence, "id", &id));
        if (strcmp(id, "A") != 0 || behind)
            return UNSUPPORTED(r, "%s: a template of anything but one sequence A is not supported",
                               place);
        behind = true;
    }
    return behind ? FR_OK
                  : UNSUPPORTED(r, "%s.single without the sequence A is not supported", where);
}

static fr_status read_post_processor(reader *r, const char *where, const char *type, json_t *object)
{
    /* ByteLevel trims the blanks off offsets when told to; ours always are of the whole token. */
    static const char *const known[] = {"type", "add_prefix_space", "trim_offsets", "use_regex",
                                        NULL};
    if (!strcmp(type, "ByteLevel"))
        return json_check_keys(r, where, object, known);
    if (!strcmp(type, "TemplateProcessing"))
        return read_template(r, where, object);
    return UNSUPPORTED(
        r,
        "%s of type '%.60s' is not supported (supported: ByteLevel, TemplateProcessing, Sequence)",
        where, type);
}

static fr_status read_decoder(reader *r, const char *where, const char *type, json_t *object)
{
    static const char *const known[] = {"type", "add_prefix_space", "trim_offsets", "use_regex",
                                        NULL};
    if (strcmp(type, "ByteLevel") != 0)
        return UNSUPPORTED(r, "%s of type '%.60s' is not supported (supported: ByteLevel)", where,
                           type);
    return json_check_keys(r, where, object, known);
}

fr_status json_read_stages(reader *r, json_t *root)
{
    const json_t *decoder = json_object_get(root, "decoder");
    FR_TRY(read_stages(r, "normalizer", json_object_get(root, "normalizer"), "normalizers",
                       read_normalizer));
    FR_TRY(read_stages(r, "pre_tokenizer", json_object_get(root, "pre_tokenizer"), "pretokenizers",
                       read_pre_tokenizer));
    if (!r->byte_level)
        return UNSUPPORTED(r, "pre_tokenizer without ByteLevel is not supported");
    FR_TRY(read_stages(r, "post_processor", json_object_get(root, "post_processor"), "processors",
                       read_post_processor));
    if (!decoder || json_is_null(decoder))
        return UNSUPPORTED(r, "decoder: nothing found, ByteLevel expected");
    return read_stages(r, "decoder", json_object_get(root, "decoder"), "decoders", read_decoder);
}
