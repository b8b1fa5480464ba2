/* gguf_read.c: a tokenizer from the values of a GGUF file.

   Where the file carries a tokenizer.json (tokenizer.huggingface.json, which the format foresees), that is the tokenizer. Else it is
   made from the lists that llama.cpp reads: tokens, types, merges or scores, and the name of the way in which text is cut. Both end
   as the text of a tokenizer.json for the one loader (blueprint.h). */
#include "tokenizer/gguf.h"

#include "tokenizer/blueprint.h"

#include <stdlib.h>
#include <string.h>

#define BLANK "\xE2\x96\x81" /* U+2581, a space in a token */

typedef struct reading {
    const fr_gguf *file;
    settings from; /* what the values say of a tokenizer_config.json */
    blueprint out;
    unsigned char *type; /* of each token */
    double *score;       /* "llama" alone */
    fr_error *error;
} reading;

static fr_status bad(const reading *r, const char *what)
{
    return fr_fail_at(r->error, FR_BAD_INPUT, fr_gguf_path(r->file), 0, "%s", what);
}

static fr_status no_memory(const reading *r)
{
    return fr_fail_at(r->error, FR_NO_MEMORY, fr_gguf_path(r->file), 0,
                      "no memory for the tokenizer");
}

static const fr_gguf_value *value_of(const reading *r, const char *key)
{
    return fr_gguf_value_find(r->file, key);
}

static bool text_is(const fr_gguf_value *value, const char *wanted)
{
    const char *text;
    size_t size;
    return fr_gguf_text(value, &text, &size) && size == strlen(wanted) &&
           memcmp(text, wanted, size) == 0;
}

/* ---- the configuration ---- */

/* Token `id` of the list, as a JSON string; NULL: there is none, or it is no text. */
static json_t *token_json(const reading *r, int64_t id)
{
    fr_gguf_items items = {.value = value_of(r, "tokenizer.ggml.tokens")};
    const char *text;
    size_t size;
    for (int64_t i = 0; fr_gguf_next_text(&items, &text, &size); i++)
        if (i == id)
            return json_stringn(text, size);
    return NULL;
}

static void name_token(reading *r, const char *key, const char *name)
{
    int64_t id;
    json_t *token = fr_gguf_int(value_of(r, key), &id) && id >= 0 ? token_json(r, id) : NULL;
    if (token)
        json_object_set_new(r->from.root, name, token);
}

static void put_flag(reading *r, const char *key, const char *name, bool absent)
{
    bool flag = absent;
    fr_gguf_bool(value_of(r, key), &flag);
    json_object_set_new(r->from.root, name, json_boolean(flag));
}

static fr_status read_configuration(reading *r)
{
    const char *template;
    size_t size;
    if (!(r->from.root = json_object()))
        return no_memory(r);
    r->from.found = true;
    name_token(r, "tokenizer.ggml.bos_token_id", "bos_token");
    name_token(r, "tokenizer.ggml.eos_token_id", "eos_token");
    name_token(r, "tokenizer.ggml.padding_token_id", "pad_token");
    if (fr_gguf_text(value_of(r, "tokenizer.chat_template"), &template, &size))
        json_object_set_new(r->from.root, "chat_template", json_stringn(template, size));
    return FR_OK;
}

/* ---- tokens ---- */

/* A type for each token; absent: all are normal. */
static fr_status read_types(reading *r, uint64_t count)
{
    const fr_gguf_value *value = value_of(r, "tokenizer.ggml.token_type");
    fr_gguf_items items = {.value = value};
    r->type = fr_alloc_array((size_t)count + 1, 1, FR_MEMORY_OTHER);
    if (!r->type)
        return no_memory(r);
    for (uint64_t i = 0; i < count; i++) {
        int64_t type = GGUF_NORMAL;
        if (value && (!fr_gguf_next_int(&items, &type) || type < GGUF_NORMAL || type > GGUF_BYTE))
            return bad(r, "tokenizer.ggml.token_type does not give each token a type from 1 to 6");
        r->type[i] = (unsigned char)type;
    }
    return FR_OK;
}

static fr_status read_scores(reading *r, uint64_t count)
{
    fr_gguf_items items = {.value = value_of(r, "tokenizer.ggml.scores")};
    r->score = fr_alloc_array((size_t)count + 1, sizeof *r->score, FR_MEMORY_OTHER);
    if (!r->score)
        return no_memory(r);
    for (uint64_t i = 0; i < count; i++)
        if (!fr_gguf_next_real(&items, &r->score[i]))
            return bad(r, "tokenizer.ggml.scores does not give each token a score");
    return FR_OK;
}

static fr_status read_tokens(reading *r)
{
    const fr_gguf_value *tokens = value_of(r, "tokenizer.ggml.tokens");
    fr_gguf_items items = {.value = tokens};
    const char *text;
    size_t size;
    if (!tokens || tokens->kind != FR_GGUF_ARRAY || tokens->element != FR_GGUF_STRING ||
        tokens->count > INT32_MAX)
        return bad(r, "tokenizer.ggml.tokens is no list of strings");
    while (fr_gguf_next_text(&items, &text, &size)) {
        json_t *whole = memchr(text, 0, size) ? NULL : json_stringn(text, size);
        json_decref(whole);
        if (!whole || lexicon_find(&r->out.tokens, text, size) >= 0)
            return fr_fail_at(r->error, FR_BAD_INPUT, fr_gguf_path(r->file), 0,
                              "token %zu '%.*s' is no UTF-8 text or comes twice",
                              r->out.tokens.count, (int)(size < 60 ? size : 60), text);
        if (!lexicon_add(&r->out.tokens, text, size))
            return no_memory(r);
    }
    return read_types(r, tokens->count);
}

/* Control tokens and those that users defined are found in a text before it is cut. */
static fr_status declare_added(reading *r)
{
    for (size_t i = 0; i < r->out.tokens.count; i++) {
        size_t size;
        const char *text = lexicon_get(&r->out.tokens, i, &size);
        bool special = r->type[i] == GGUF_CONTROL || r->type[i] == GGUF_UNKNOWN;
        if (!special && r->type[i] != GGUF_USER_DEFINED)
            continue;
        char *copy = fr_string_copy_n(text, size);
        if (!copy)
            return no_memory(r);
        if (size > 0)
            blueprint_add(&r->out, &(blueprint_added){.content = copy, .special = special});
        fr_free(copy);
    }
    return FR_OK;
}

/* ---- byte-level BPE ---- */

static bool is_named(const gguf_cut *cut, const fr_gguf_value *name)
{
    if (text_is(name, cut->name))
        return true;
    for (const char *const *also = cut->also; also && *also; also++)
        if (text_is(name, *also))
            return true;
    return false;
}

static fr_status find_cut(const reading *r, const gguf_cut **found)
{
    const fr_gguf_value *name = value_of(r, "tokenizer.ggml.pre");
    const char *text = "(none)";
    size_t size = 6;
    for (*found = gguf_cuts; (*found)->name; (*found)++)
        if (is_named(*found, name))
            return FR_OK;
    fr_gguf_text(name, &text, &size);
    return fr_fail_at(r->error, FR_UNSUPPORTED, fr_gguf_path(r->file), 0,
                      "tokenizer.ggml.pre '%.*s' is not supported, and there is no "
                      "tokenizer.huggingface.json",
                      (int)(size < 60 ? size : 60), text);
}

static json_t *byte_level_stage(bool use_regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", use_regex);
}

static void set_byte_level_stages(reading *r, const gguf_cut *cut)
{
    json_t *stages = json_array();
    if (cut->digits)
        blueprint_append(&r->out, stages,
                         json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 1));
    if (cut->pattern)
        blueprint_append(&r->out, stages,
                         json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex",
                                   cut->pattern, "behavior", "Isolated", "invert", 0));
    blueprint_append(&r->out, stages, byte_level_stage(!cut->pattern));
    blueprint_set(&r->out, &r->out.pre_tokenizer,
                  json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", stages));
    blueprint_set(&r->out, &r->out.decoder, byte_level_stage(true));
    if (cut->composed)
        blueprint_set(&r->out, &r->out.normalizer, json_pack("{s:s}", "type", "NFC"));
}

/* The list of merges as JSON: "a b". */
static fr_status read_merges(const reading *r, fr_buffer *json)
{
    fr_gguf_items items = {.value = value_of(r, "tokenizer.ggml.merges")};
    const char *text;
    size_t size;
    if (!items.value || items.value->kind != FR_GGUF_ARRAY ||
        (items.value->count && items.value->element != FR_GGUF_STRING))
        return bad(r, "tokenizer.ggml.merges is no list of strings");
    fr_buffer_text(json, "[");
    while (fr_gguf_next_text(&items, &text, &size)) {
        json_t *whole = memchr(text, 0, size) ? NULL : json_stringn(text, size);
        json_decref(whole);
        if (!whole)
            return bad(r, "a merge of tokenizer.ggml.merges is no UTF-8 text");
        fr_buffer_text(json, items.index > 1 ? ",\n" : "");
        blueprint_quote(json, text, size);
    }
    fr_buffer_text(json, "]");
    return FR_OK;
}

static fr_status build_byte_level(reading *r)
{
    const gguf_cut *cut;
    FR_TRY(find_cut(r, &cut));
    FR_TRY(read_tokens(r));
    fr_buffer merges = {0};
    fr_status status = read_merges(r, &merges);
    const blueprint_bpe form = {.ignore_merges = cut->whole_words};
    if (status == FR_OK)
        blueprint_write_bpe_json(&r->out, &form, &merges);
    if (merges.failed)
        r->out.failed = true;
    fr_buffer_free(&merges);
    set_byte_level_stages(r, cut);
    put_flag(r, "tokenizer.ggml.add_bos_token", "add_bos_token", cut->whole_words);
    return status;
}

/* ---- SentencePiece's BPE ---- */

static fr_status write_scored(reading *r, const blueprint_bpe *form)
{
    size_t count = r->out.tokens.count, merge_count = 0;
    token_merge *merges = NULL;
    bool *usable = fr_alloc_array(count + 1, sizeof *usable, FR_MEMORY_OTHER);
    for (size_t i = 0; usable && i < count; i++)
        usable[i] = r->type[i] == GGUF_NORMAL;
    fr_status status = usable ? lexicon_merges(&r->out.tokens, MERGES_BY_SCORE, r->score, usable,
                                               true, &merges, &merge_count, r->error)
                              : no_memory(r);
    uint32_t *pairs = status == FR_OK
                          ? fr_alloc_array(2 * merge_count + 1, sizeof *pairs, FR_MEMORY_OTHER)
                          : NULL;
    for (size_t i = 0; pairs && i < merge_count; i++) {
        pairs[2 * i] = merges[i].left;
        pairs[2 * i + 1] = merges[i].right;
    }
    if (pairs)
        blueprint_write_bpe(&r->out, form, pairs, merge_count);
    else if (status == FR_OK)
        status = no_memory(r);
    fr_free(usable);
    fr_free(merges);
    fr_free(pairs);
    return status;
}

static void set_spaces(reading *r)
{
    bool prefix = true;
    fr_gguf_bool(value_of(r, "tokenizer.ggml.add_space_prefix"), &prefix);
    json_t *spaces = json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", " ",
                               "content", BLANK);
    if (prefix)
        spaces = json_pack("{s:s, s:[{s:s, s:s}, o]}", "type", "Sequence", "normalizers", "type",
                           "Prepend", "prepend", BLANK, spaces);
    blueprint_set(&r->out, &r->out.normalizer, spaces);
    json_t *stages = json_array();
    blueprint_append(&r->out, stages,
                     json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", BLANK,
                               "content", " "));
    blueprint_append(&r->out, stages, json_pack("{s:s}", "type", "ByteFallback"));
    blueprint_append(&r->out, stages, json_pack("{s:s}", "type", "Fuse"));
    if (prefix)
        blueprint_append(&r->out, stages,
                         json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start",
                                   1, "stop", 0));
    blueprint_set(&r->out, &r->out.decoder,
                  json_pack("{s:s, s:o}", "type", "Sequence", "decoders", stages));
}

static fr_status build_sentencepiece(reading *r)
{
    FR_TRY(read_tokens(r));
    FR_TRY(read_scores(r, r->out.tokens.count));
    char *unknown = NULL;
    for (size_t i = 0; i < r->out.tokens.count && !unknown; i++) {
        size_t size;
        const char *text = lexicon_get(&r->out.tokens, i, &size);
        if (r->type[i] == GGUF_UNKNOWN && size && !(unknown = fr_string_copy_n(text, size)))
            return no_memory(r);
    }
    const blueprint_bpe form = {.unk_token = unknown, .fuse_unk = true, .byte_fallback = true};
    fr_status status = write_scored(r, &form);
    fr_free(unknown);
    set_spaces(r);
    put_flag(r, "tokenizer.ggml.add_bos_token", "add_bos_token", true);
    return status;
}

/* ---- the whole ---- */

static fr_status build(reading *r, fr_tokenizer **tokenizer)
{
    const fr_gguf_value *model = value_of(r, "tokenizer.ggml.model");
    const char *name = "";
    size_t size = 0;
    fr_gguf_text(model, &name, &size);
    fr_status status;
    if (text_is(model, "gpt2"))
        status = build_byte_level(r);
    else if (text_is(model, "llama"))
        status = build_sentencepiece(r);
    else if (!size || text_is(model, "none") || text_is(model, "no_vocab"))
        return bad(r, "the file has no tokenizer");
    else
        return fr_fail_at(r->error, FR_UNSUPPORTED, fr_gguf_path(r->file), 0,
                          "tokenizer.ggml.model '%.*s' is not supported (known: gpt2, llama), and "
                          "there is no tokenizer.huggingface.json",
                          (int)(size < 60 ? size : 60), name);
    FR_TRY(status);
    FR_TRY(declare_added(r));
    static const char *const absent[NAMED_TOKENS];
    put_flag(r, "tokenizer.ggml.add_eos_token", "add_eos_token", false);
    FR_TRY(blueprint_add_ends(&r->out, &r->from, absent, r->error));
    return blueprint_finish(&r->out, tokenizer, &r->from, "PreTrainedTokenizerFast", absent,
                            fr_gguf_path(r->file), r->error);
}

/* The tokenizer.json that the file carries. */
static fr_status take_whole(reading *r, fr_tokenizer **tokenizer, const char *text, size_t size)
{
    json_object_set_new(r->from.root, "tokenizer_class", json_string("PreTrainedTokenizerFast"));
    char *json = fr_string_copy_n(text, size), *config = json_dumps(r->from.root, JSON_INDENT(2));
    char *copy = config ? fr_string_copy(config) : NULL;
    free(config);
    if (!json || !copy) {
        fr_free(json);
        fr_free(copy);
        return no_memory(r);
    }
    return tokenizer_from_json(tokenizer, json, size, copy, fr_gguf_path(r->file), r->error);
}

fr_status tokenizer_from_gguf(fr_tokenizer **tokenizer, const fr_gguf *file, fr_error *error)
{
    reading r = {.file = file, .error = error};
    const char *text;
    size_t size;
    *tokenizer = NULL;
    fr_status status = read_configuration(&r);
    if (status == FR_OK && fr_gguf_text(value_of(&r, "tokenizer.huggingface.json"), &text, &size))
        status = take_whole(&r, tokenizer, text, size);
    else if (status == FR_OK)
        status = build(&r, tokenizer);
    blueprint_free(&r.out);
    settings_free(&r.from);
    fr_free(r.type);
    fr_free(r.score);
    return status;
}
