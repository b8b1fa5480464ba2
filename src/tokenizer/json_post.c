/* json_post.c: the "post_processor" of a tokenizer.json, and its "truncation" and "padding". */
#include "tokenizer/json_reader.h"

#include <stdio.h>
#include <string.h>

static fr_status add_part(const reader *r, post_template *out, int32_t text, int32_t id,
                          int64_t type)
{
    fr_status status = post_template_add(out, (post_part){text, id, (int32_t)type}, r->error);
    return status == FR_OK ? FR_OK : NO_MEMORY(r);
}

static fr_status add_trim(const reader *r, const char *where, bool keeps_first)
{
    post *p = &r->tokenizer->post;
    if (p->trim_count == MOST_TRIMS)
        return UNSUPPORTED(r, "%s: trimming offsets more than %d times is not supported", where,
                           MOST_TRIMS);
    p->trims[p->trim_count++] = keeps_first;
    return FR_OK;
}

/* Only one stage may say what stands around a text. */
static fr_status check_first(const reader *r, const char *where)
{
    return r->tokenizer->post.single.count
               ? UNSUPPORTED(r, "%s: a second stage that adds tokens is not supported", where)
               : FR_OK;
}

/* ---- stages ---------------------------------------------------------------------------------- */

static fr_status read_byte_level(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "add_prefix_space", "trim_offsets", "use_regex",
                                        NULL};
    bool prefix_space, trims;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(json_read_bool(r, where, object, "add_prefix_space", true, &prefix_space));
    FR_TRY(json_read_bool(r, where, object, "trim_offsets", true, &trims));
    return trims ? add_trim(r, where, prefix_space) : FR_OK;
}

static fr_status check_id(const reader *r, const char *where, const char *token, const json_t *id,
                          int32_t *out)
{
    json_int_t value = json_integer_value(id);
    if (!json_is_integer(id) || value < 0 || (size_t)value >= r->tokenizer->tokens.count ||
        !(r->tokenizer->traits[value] & TOKEN_KNOWN))
        return BAD(r, "%s: '%.60s' stands for %s outside the vocabulary", where, token,
                   json_is_integer(id) ? "an id" : json_kind_name(id));
    *out = (int32_t)value;
    return FR_OK;
}

/* {"SpecialToken": {"id": NAME, "type_id": 0}}: NAME stands for the ids that `special_tokens`
   lists. */
static fr_status read_template_token(const reader *r, const char *where, const json_t *special,
                                     const json_t *part, int64_t type, post_template *out)
{
    const char *token;
    FR_TRY(json_read_string(r, where, part, "id", &token));
    const json_t *ids = json_object_get(json_object_get(special, token), "ids");
    if (!json_is_array(ids))
        return BAD(r, "%s: '%.60s' is not in special_tokens", where, token);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        int32_t id = 0;
        FR_TRY(check_id(r, where, token, json_array_get(ids, i), &id));
        FR_TRY(add_part(r, out, -1, id, type));
    }
    return FR_OK;
}

static fr_status read_template_part(const reader *r, const char *where, const json_t *special,
                                    json_t *object, int texts, post_template *out)
{
    static const char *const known[] = {"SpecialToken", "Sequence", NULL};
    static const char *const names[] = {"A", "B", NULL};
    static const char *const inner[] = {"id", "type_id", NULL};
    int64_t type;
    int text;
    FR_TRY(json_check_keys(r, where, object, known));
    json_t *token = json_object_get(object, "SpecialToken");
    json_t *part = token ? token : json_object_get(object, "Sequence");
    FR_TRY(json_check_keys(r, where, part, inner));
    FR_TRY(json_read_count(r, where, part, "type_id", 0, INT32_MAX, 0, &type));
    if (token)
        return read_template_token(r, where, special, token, type, out);
    FR_TRY(json_read_choice(r, where, part, "id", names, &text));
    if (text < 0 || text >= texts)
        return BAD(r, "%s: a sequence that is not there", where);
    return add_part(r, out, text, 0, type);
}

static fr_status read_parts(const reader *r, const char *where, const json_t *object,
                            const char *key, int texts, post_template *out)
{
    const json_t *list = json_object_get(object, key);
    if (!json_is_array(list))
        return BAD(r, "%s.%s: %s found, a list expected", where, key, json_kind_name(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        char place[200];
        snprintf(place, sizeof place, "%s.%s[%zu]", where, key, i);
        FR_TRY(read_template_part(r, place, json_object_get(object, "special_tokens"),
                                  json_array_get(list, i), texts, out));
    }
    if (out->count == 0)
        return UNSUPPORTED(r, "%s.%s: an empty template is not supported", where, key);
    return FR_OK;
}

static fr_status read_template(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "single", "pair", "special_tokens", NULL};
    post *p = &r->tokenizer->post;
    FR_TRY(check_first(r, where));
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(read_parts(r, where, object, "single", 1, &p->single));
    return read_parts(r, where, object, "pair", 2, &p->pair);
}

/* ["[SEP]", 102] */
static fr_status read_named_id(const reader *r, const char *where, const json_t *object,
                               const char *key, int32_t *id)
{
    const json_t *pair = json_object_get(object, key);
    const char *name = json_string_value(json_array_get(pair, 0));
    if (json_array_size(pair) != 2 || !name)
        return BAD(r, "%s.%s: %s found, a token and its id expected", where, key,
                   json_kind_name(pair));
    return check_id(r, where, name, json_array_get(pair, 1), id);
}

/* CLS A SEP, and CLS A SEP (SEP) B SEP. */
static fr_status add_around(const reader *r, const json_t *object, const char *where, bool doubled,
                            int64_t second_type)
{
    int32_t cls = 0, sep = 0;
    post *p = &r->tokenizer->post;
    FR_TRY(read_named_id(r, where, object, "cls", &cls));
    FR_TRY(read_named_id(r, where, object, "sep", &sep));
    post_template *both[] = {&p->single, &p->pair};
    for (int i = 0; i < 2; i++) {
        FR_TRY(add_part(r, both[i], -1, cls, 0));
        FR_TRY(add_part(r, both[i], 0, 0, 0));
        FR_TRY(add_part(r, both[i], -1, sep, 0));
    }
    if (doubled)
        FR_TRY(add_part(r, &p->pair, -1, sep, 0));
    FR_TRY(add_part(r, &p->pair, 1, 0, second_type));
    return add_part(r, &p->pair, -1, sep, second_type);
}

static fr_status read_bert(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "sep", "cls", NULL};
    FR_TRY(check_first(r, where));
    FR_TRY(json_check_keys(r, where, object, known));
    return add_around(r, object, where, false, 1);
}

static fr_status read_roberta(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "sep", "cls", "trim_offsets", "add_prefix_space",
                                        NULL};
    bool trims, prefix_space;
    FR_TRY(check_first(r, where));
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(json_read_bool(r, where, object, "trim_offsets", true, &trims));
    FR_TRY(json_read_bool(r, where, object, "add_prefix_space", true, &prefix_space));
    if (trims)
        FR_TRY(add_trim(r, where, prefix_space));
    return add_around(r, object, where, true, 0);
}

static const stage_reader kinds[] = {{"TemplateProcessing", read_template},
                                     {"ByteLevel", read_byte_level},
                                     {"BertProcessing", read_bert},
                                     {"RobertaProcessing", read_roberta},
                                     {NULL, NULL}};

fr_status json_read_post(reader *r, json_t *object)
{
    post *p = &r->tokenizer->post;
    FR_TRY(json_read_stages(r, "post_processor", object, "processors", kinds));
    if (p->single.count)
        return FR_OK;
    FR_TRY(add_part(r, &p->single, 0, 0, 0));
    FR_TRY(add_part(r, &p->pair, 0, 0, 0));
    return add_part(r, &p->pair, 1, 0, 1);
}

/* ---- truncation, padding --------------------------------------------------------------------- */

static fr_status read_truncation(reader *r, json_t *object)
{
    static const char *const known[] = {"direction", "max_length", "strategy", "stride", NULL};
    static const char *const directions[] = {"Right", "Left", NULL};
    static const char *const strategies[] = {"LongestFirst", "OnlyFirst", "OnlySecond", NULL};
    fr_encode_options *l = &r->tokenizer->limits;
    int direction, strategy;
    FR_TRY(json_check_keys(r, "truncation", object, known));
    FR_TRY(json_read_choice(r, "truncation", object, "direction", directions, &direction));
    FR_TRY(json_read_choice(r, "truncation", object, "strategy", strategies, &strategy));
    FR_TRY(json_read_count(r, "truncation", object, "max_length", 1, INT32_MAX, 0, &l->max_length));
    FR_TRY(json_read_count(r, "truncation", object, "stride", 0, INT32_MAX, 0, &l->stride));
    l->truncate_left = direction == 1;
    l->truncation = strategy < 0 ? FR_TRUNCATE_LONGEST_FIRST : (fr_truncation)strategy;
    return FR_OK;
}

static fr_status read_padding(reader *r, json_t *object)
{
    static const char *const known[] = {
        "strategy", "direction", "pad_to_multiple_of", "pad_id", "pad_type_id", "pad_token", NULL};
    static const char *const fixed[] = {"Fixed", NULL};
    static const char *const directions[] = {"Right", "Left", NULL};
    fr_encode_options *l = &r->tokenizer->limits;
    int direction;
    int64_t id, type;
    FR_TRY(json_check_keys(r, "padding", object, known));
    json_t *strategy = json_object_get(object, "strategy");
    if (json_is_object(strategy)) {
        FR_TRY(json_check_keys(r, "padding.strategy", strategy, fixed));
        FR_TRY(json_read_count(r, "padding.strategy", strategy, "Fixed", 0, INT32_MAX, 0,
                               &l->pad_length));
    } else if (!json_is_string(strategy) ||
               strcmp(json_string_value(strategy), "BatchLongest") != 0) {
        return BAD(r, "padding.strategy: \"BatchLongest\" or {\"Fixed\": LENGTH} expected");
    }
    FR_TRY(json_read_choice(r, "padding", object, "direction", directions, &direction));
    FR_TRY(json_read_count(r, "padding", object, "pad_to_multiple_of", 0, INT32_MAX, 0,
                           &l->pad_multiple));
    FR_TRY(json_read_count(r, "padding", object, "pad_id", 0, INT32_MAX, 0, &id));
    FR_TRY(json_read_count(r, "padding", object, "pad_type_id", 0, INT32_MAX, 0, &type));
    l->pads = true;
    l->pad_left = direction == 1;
    l->pad_id = (int32_t)id;
    l->pad_type = (int32_t)type;
    return FR_OK;
}

fr_status json_read_limits(reader *r, json_t *truncation, json_t *padding)
{
    if (truncation && !json_is_null(truncation))
        FR_TRY(read_truncation(r, truncation));
    return padding && !json_is_null(padding) ? read_padding(r, padding) : FR_OK;
}
