/* blueprint.c: writing a tokenizer.json: vocabularies and merges as text, because there are
   hundreds of thousands of them, stages through the JSON library. */
#include "tokenizer/blueprint.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/json_reader.h"

#include <stdlib.h>
#include <string.h>

void blueprint_free(blueprint *self)
{
    lexicon_free(&self->tokens);
    lexicon_free(&self->declared);
    fr_buffer_free(&self->model);
    json_decref(self->added);
    json_decref(self->normalizer);
    json_decref(self->pre_tokenizer);
    json_decref(self->post_processor);
    json_decref(self->decoder);
    *self = (blueprint){0};
}

void blueprint_set(blueprint *self, json_t **part, json_t *value)
{
    if (!value)
        self->failed = true;
    json_decref(*part);
    *part = value;
}

void blueprint_append(blueprint *self, json_t *list, json_t *value)
{
    if (json_array_append_new(list, value))
        self->failed = true;
}

/* ---- text ------------------------------------------------------------------------------------ */

void blueprint_quote(fr_buffer *out, const char *text, size_t size)
{
    fr_buffer_text(out, "\"");
    for (size_t i = 0, plain; i < size; i += plain) {
        for (plain = 0; i + plain < size; plain++) {
            unsigned char byte = (unsigned char)text[i + plain];
            if (byte < 0x20 || byte == '"' || byte == '\\')
                break;
        }
        fr_buffer_append(out, text + i, plain);
        i += plain;
        if (i == size)
            break;
        unsigned char byte = (unsigned char)text[i];
        fr_buffer_printf(out, byte < 0x20 ? "\\u%04x" : "\\%c", byte);
        plain = 1;
    }
    fr_buffer_text(out, "\"");
}

static void write_token(blueprint *self, fr_buffer *work, size_t id)
{
    size_t size;
    const char *text = lexicon_get(&self->tokens, id, &size);
    if (self->byte_level) {
        fr_buffer_clear(work);
        byte_level_write(text, size, work);
        text = work->data;
        size = work->size;
    }
    blueprint_quote(&self->model, text ? text : "", size);
}

static void write_text_or_null(fr_buffer *out, const char *key, const char *text)
{
    fr_buffer_printf(out, "\"%s\": ", key);
    if (text)
        blueprint_quote(out, text, strlen(text));
    else
        fr_buffer_text(out, "null");
    fr_buffer_text(out, ", ");
}

static const char *truth(bool value)
{
    return value ? "true" : "false";
}

static void write_vocabulary(blueprint *self)
{
    fr_buffer work = {0};
    fr_buffer_text(&self->model, "\"vocab\": {");
    for (size_t id = 0; id < self->tokens.count; id++) {
        fr_buffer_text(&self->model, id ? ",\n      " : "\n      ");
        write_token(self, &work, id);
        fr_buffer_printf(&self->model, ": %zu", id);
    }
    fr_buffer_text(&self->model, "\n    }");
    self->failed = self->failed || work.failed;
    fr_buffer_free(&work);
}

/* ---- models ---------------------------------------------------------------------------------- */

static void begin_bpe(blueprint *self, const blueprint_bpe *form)
{
    fr_buffer_text(&self->model, "{\n    \"type\": \"BPE\", \"dropout\": null, ");
    write_text_or_null(&self->model, "unk_token", form->unk_token);
    fr_buffer_text(&self->model, "\"continuing_subword_prefix\": null, ");
    write_text_or_null(&self->model, "end_of_word_suffix", form->end_of_word_suffix);
    fr_buffer_printf(&self->model,
                     "\"fuse_unk\": %s, \"byte_fallback\": %s, \"ignore_merges\": %s,\n    ",
                     truth(form->fuse_unk), truth(form->byte_fallback), truth(form->ignore_merges));
    write_vocabulary(self);
    fr_buffer_text(&self->model, ",\n    \"merges\": ");
}

void blueprint_write_bpe(blueprint *self, const blueprint_bpe *form, const uint32_t *merges,
                         size_t count)
{
    fr_buffer work = {0};
    begin_bpe(self, form);
    for (size_t i = 0; i < count; i++) {
        fr_buffer_text(&self->model, i ? ",\n      [" : "[\n      [");
        write_token(self, &work, merges[2 * i]);
        fr_buffer_text(&self->model, ", ");
        write_token(self, &work, merges[2 * i + 1]);
        fr_buffer_text(&self->model, "]");
    }
    fr_buffer_text(&self->model, count ? "\n    ]\n  }" : "[]\n  }");
    self->failed = self->failed || work.failed;
    fr_buffer_free(&work);
}

void blueprint_write_bpe_json(blueprint *self, const blueprint_bpe *form, const fr_buffer *merges)
{
    begin_bpe(self, form);
    fr_buffer_append(&self->model, merges->data, merges->size);
    fr_buffer_text(&self->model, "\n  }");
    self->failed = self->failed || merges->failed;
}

/* The fewest digits that stand for this number and no other: see json_score.c. */
static void write_number(fr_buffer *out, double value)
{
    enum { SURE = 15, ALWAYS_ENOUGH = 17 };
    char text[40];
    for (int digits = SURE; digits <= ALWAYS_ENOUGH; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    fr_buffer_text(out, text);
}

void blueprint_write_unigram(blueprint *self, const double *score, size_t unk_id,
                             bool byte_fallback)
{
    fr_buffer work = {0};
    fr_buffer_printf(
        &self->model,
        "{\n    \"type\": \"Unigram\", \"unk_id\": %zu, \"byte_fallback\": %s,\n    \"vocab\": [",
        unk_id, truth(byte_fallback));
    for (size_t id = 0; id < self->tokens.count; id++) {
        fr_buffer_text(&self->model, id ? ",\n      [" : "\n      [");
        write_token(self, &work, id);
        fr_buffer_text(&self->model, ", ");
        write_number(&self->model, score[id]);
        fr_buffer_text(&self->model, "]");
    }
    fr_buffer_text(&self->model, "\n    ]\n  }");
    self->failed = self->failed || work.failed;
    fr_buffer_free(&work);
}

void blueprint_write_wordpiece(blueprint *self, const char *unk_token, const char *prefix,
                               int64_t longest_word)
{
    fr_buffer_text(&self->model, "{\n    \"type\": \"WordPiece\", ");
    write_text_or_null(&self->model, "unk_token", unk_token);
    write_text_or_null(&self->model, "continuing_subword_prefix", prefix);
    fr_buffer_printf(&self->model, "\"max_input_chars_per_word\": %lld,\n    ",
                     (long long)longest_word);
    write_vocabulary(self);
    fr_buffer_text(&self->model, "\n  }");
}

/* ---- added tokens ---------------------------------------------------------------------------- */

void blueprint_add(blueprint *self, const blueprint_added *token)
{
    size_t size = strlen(token->content);
    int64_t id = lexicon_find(&self->tokens, token->content, size);
    if (id < 0) {
        id = (int64_t)self->tokens.count;
        if (!lexicon_add(&self->tokens, token->content, size))
            self->failed = true;
    }
    if (!self->added)
        blueprint_set(self, &self->added, json_array());
    if (self->failed || lexicon_find(&self->declared, token->content, size) >= 0)
        return;
    json_t *entry = json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)id,
                              "content", token->content, "single_word", token->single_word,
                              "lstrip", token->lstrip, "rstrip", token->rstrip, "normalized",
                              token->normalized, "special", token->special);
    if (json_array_append_new(self->added, entry) ||
        !lexicon_add(&self->declared, token->content, size))
        self->failed = true;
}

/* An entry of "added_tokens_decoder", or a named token as an object: flags that are not there are
   as AddedToken's constructor has them. */
static fr_status read_added(const json_t *from, const char *where, bool special,
                            blueprint_added *out, fr_error *error)
{
    *out = (blueprint_added){.content = json_string_value(json_object_get(from, "content"))};
    if (!out->content || !*out->content)
        return fr_fail_at(error, FR_BAD_INPUT, "tokenizer_config.json", 0,
                          "%s: no content found, the text of a token expected", where);
    const json_t *flag = json_object_get(from, "special");
    out->special = flag ? json_is_true(flag) : special;
    flag = json_object_get(from, "normalized");
    out->normalized = flag ? json_is_true(flag) : !out->special;
    out->lstrip = json_is_true(json_object_get(from, "lstrip"));
    out->rstrip = json_is_true(json_object_get(from, "rstrip"));
    out->single_word = json_is_true(json_object_get(from, "single_word"));
    return FR_OK;
}

static int compare_numbers(const void *a, const void *b)
{
    long long x = *(const long long *)a, y = *(const long long *)b;
    return x < y ? -1 : x > y;
}

/* The keys of "added_tokens_decoder" as numbers, in order. */
static fr_status sorted_ids(json_t *entries, long long **ids, size_t *count, fr_error *error)
{
    const char *key;
    json_t *value;
    *count = 0;
    *ids = fr_alloc_array(json_object_size(entries) + 1, sizeof **ids, FR_MEMORY_OTHER);
    if (!*ids)
        return fr_fail(error, FR_NO_MEMORY, "no memory for added tokens");
    json_object_foreach(entries, key, value)
    {
        char *end, again[24];
        long long id = strtoll(key, &end, 10);
        snprintf(again, sizeof again, "%lld", id);
        if (strcmp(again, key) != 0 || id < 0)
            return fr_fail_at(error, FR_BAD_INPUT, "tokenizer_config.json", 0,
                              "added_tokens_decoder: '%.40s' found, an id expected", key);
        (*ids)[(*count)++] = id;
    }
    qsort(*ids, *count, sizeof **ids, compare_numbers);
    return FR_OK;
}

static fr_status add_decoder_entry(blueprint *self, const json_t *entries, long long id,
                                   fr_error *error)
{
    char key[24], where[60];
    blueprint_added token;
    snprintf(key, sizeof key, "%lld", id);
    snprintf(where, sizeof where, "added_tokens_decoder.%s", key);
    FR_TRY(read_added(json_object_get(entries, key), where, false, &token, error));
    int64_t old = lexicon_find(&self->tokens, token.content, strlen(token.content));
    long long becomes = old < 0 ? (long long)self->tokens.count : (long long)old;
    if (becomes != id)
        return fr_fail_at(error, FR_BAD_INPUT, "tokenizer_config.json", 0,
                          "%s: '%.60s' would have the id %lld after the vocabulary", where,
                          token.content, becomes);
    blueprint_add(self, &token);
    return FR_OK;
}

static fr_status add_decoder(blueprint *self, json_t *entries, fr_error *error)
{
    if (!entries)
        return FR_OK;
    if (!json_is_object(entries))
        return fr_fail_at(error, FR_BAD_INPUT, "tokenizer_config.json", 0,
                          "added_tokens_decoder: %s found, an object expected",
                          json_kind_name(entries));
    long long *ids = NULL;
    size_t count;
    fr_status status = sorted_ids(entries, &ids, &count, error);
    for (size_t i = 0; status == FR_OK && i < count; i++)
        status = add_decoder_entry(self, entries, ids[i], error);
    fr_free(ids);
    return status;
}

/* A token that is a string or an object. */
static fr_status add_special(blueprint *self, const json_t *value, const char *where,
                             fr_error *error)
{
    blueprint_added token = {.special = true};
    if (json_is_string(value) && json_string_length(value) > 0)
        token.content = json_string_value(value);
    else
        FR_TRY(read_added(value, where, true, &token, error));
    blueprint_add(self, &token);
    return FR_OK;
}

static fr_status add_list(blueprint *self, const settings *from, const char *key, fr_error *error)
{
    const json_t *list = json_object_get(from->root, key);
    if (list && !json_is_null(list) && !json_is_array(list))
        return fr_fail_at(error, FR_UNSUPPORTED, "tokenizer_config.json", 0,
                          "%s: %s found, only a list is supported", key, json_kind_name(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        char where[60];
        snprintf(where, sizeof where, "%s[%zu]", key, i);
        FR_TRY(add_special(self, json_array_get(list, i), where, error));
    }
    return FR_OK;
}

fr_status blueprint_add_configured(blueprint *self, const settings *from,
                                   const char *const absent[NAMED_TOKENS], fr_error *error)
{
    FR_TRY(add_decoder(self, json_object_get(from->root, "added_tokens_decoder"), error));
    for (int i = 0; i < NAMED_TOKENS; i++) {
        const json_t *value = json_object_get(from->root, named_token_keys[i]);
        if (value && !json_is_null(value))
            FR_TRY(add_special(self, value, named_token_keys[i], error));
        else if (!value && absent[i])
            blueprint_add(self, &(blueprint_added){.content = absent[i], .special = true});
    }
    FR_TRY(add_list(self, from, "additional_special_tokens", error));
    return add_list(self, from, "extra_special_tokens", error);
}

/* ---- stages ---------------------------------------------------------------------------------- */

static json_t *template_list(blueprint *self, const char *const *words, json_t *special)
{
    json_t *list = json_array();
    int text = 0;
    for (; *words; words++) {
        json_t *part;
        if (**words == '$') {
            part = json_pack("{s:{s:s, s:i}}", "Sequence", "id", *words + 1, "type_id", text);
        } else {
            part = json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", *words, "type_id", text);
            json_int_t id = lexicon_find(&self->tokens, *words, strlen(*words));
            json_t *token =
                json_pack("{s:s, s:[I], s:[s]}", "id", *words, "ids", id, "tokens", *words);
            if (json_object_set_new(special, *words, token))
                self->failed = true;
        }
        blueprint_append(self, list, part);
    }
    return list;
}

fr_status blueprint_template(blueprint *self, const char *const *single, const char *const *pair,
                             fr_error *error)
{
    for (const char *const *word = single; *word; word++)
        if (**word != '$' && lexicon_find(&self->tokens, *word, strlen(*word)) < 0)
            return fr_fail(error, FR_BAD_INPUT,
                           "the vocabulary has no token '%.60s', which goes around a text", *word);
    json_t *special = json_object();
    json_t *first = template_list(self, single, special),
           *second = template_list(self, pair, special);
    blueprint_set(self, &self->post_processor,
                  json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", first,
                            "pair", second, "special_tokens", special));
    return FR_OK;
}

fr_status blueprint_add_ends(blueprint *self, const settings *from,
                             const char *const absent[NAMED_TOKENS], fr_error *error)
{
    bool begins, ends;
    FR_TRY(settings_bool(from, "add_bos_token", false, &begins, error));
    FR_TRY(settings_bool(from, "add_eos_token", false, &ends, error));
    const char *bos = begins ? settings_token(from, TOKEN_BOS, absent[TOKEN_BOS]) : NULL;
    const char *eos = ends ? settings_token(from, TOKEN_EOS, absent[TOKEN_EOS]) : NULL;
    const char *single[4] = {0}, *pair[7] = {0};
    size_t i = 0, k = 0;
    static const char *const texts[] = {"$A", "$B"};
    for (int text = 0; text < 2; text++) {
        const char *const words[] = {bos, texts[text], eos};
        for (int w = 0; w < 3; w++) {
            if (!words[w])
                continue;
            pair[k++] = words[w];
            if (text == 0)
                single[i++] = words[w];
        }
    }
    return bos || eos ? blueprint_template(self, single, pair, error) : FR_OK;
}

json_t *blueprint_token_pair(blueprint *self, const char *token)
{
    return json_pack("[s, I]", token,
                     (json_int_t)lexicon_find(&self->tokens, token, strlen(token)));
}

/* ---- the end --------------------------------------------------------------------------------- */

static int compare_added(const void *a, const void *b)
{
    json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "id"));
    json_int_t y = json_integer_value(json_object_get(*(json_t *const *)b, "id"));
    return x < y ? -1 : x > y;
}

/* The added tokens in the order of their ids. */
static json_t *sorted_added(const json_t *added)
{
    size_t count = json_array_size(added);
    json_t **entries = fr_alloc_array(count + 1, sizeof *entries, FR_MEMORY_OTHER);
    json_t *sorted = entries ? json_array() : NULL;
    for (size_t i = 0; entries && i < count; i++)
        entries[i] = json_array_get(added, i);
    if (sorted) {
        qsort(entries, count, sizeof(json_t *), compare_added);
        for (size_t i = 0; i < count; i++)
            json_array_append(sorted, entries[i]);
    }
    fr_free(entries);
    return sorted;
}

static void write_part(blueprint *self, fr_buffer *out, const char *key, const json_t *part)
{
    char *text = part ? json_dumps(part, JSON_COMPACT) : NULL;
    if (part && !text)
        self->failed = true;
    fr_buffer_printf(out, "  \"%s\": ", key);
    fr_buffer_text(out, text ? text : "null");
    fr_buffer_text(out, ",\n");
    free(text);
}

static void write_all(blueprint *self, fr_buffer *out)
{
    json_t *added = sorted_added(self->added);
    if (!added)
        self->failed = true;
    fr_buffer_text(out,
                   "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
    write_part(self, out, "added_tokens", added);
    write_part(self, out, "normalizer", self->normalizer);
    write_part(self, out, "pre_tokenizer", self->pre_tokenizer);
    write_part(self, out, "post_processor", self->post_processor);
    write_part(self, out, "decoder", self->decoder);
    fr_buffer_text(out, "  \"model\": ");
    fr_buffer_append(out, self->model.data, self->model.size);
    fr_buffer_text(out, "\n}\n");
    self->failed = self->failed || self->model.failed || out->failed;
    json_decref(added);
}

/* The configuration as text: what the files said, the class, and the tokens it takes. */
static char *configuration(const settings *from, const char *class_name,
                           const char *const absent[NAMED_TOKENS])
{
    json_t *root = json_deep_copy(from->root);
    if (!json_object_get(root, "tokenizer_class"))
        json_object_set_new(root, "tokenizer_class", json_string(class_name));
    for (int i = 0; i < NAMED_TOKENS; i++)
        if (absent[i] && !json_object_get(root, named_token_keys[i]))
            json_object_set_new(root, named_token_keys[i], json_string(absent[i]));
    char *text = json_dumps(root, JSON_INDENT(2)), *copy = text ? fr_string_copy(text) : NULL;
    json_decref(root);
    free(text);
    return copy;
}

fr_status blueprint_finish(blueprint *self, fr_tokenizer **tokenizer, const settings *from,
                           const char *class_name, const char *const absent[NAMED_TOKENS],
                           const char *file, fr_error *error)
{
    fr_buffer json = {0};
    *tokenizer = NULL;
    write_all(self, &json);
    char *config = from ? configuration(from, class_name, absent) : NULL;
    bool failed = self->failed || (from && !config);
    blueprint_free(self);
    if (failed) {
        fr_buffer_free(&json);
        fr_free(config);
        return fr_fail(error, FR_NO_MEMORY, "no memory for the tokenizer of %s", file);
    }
    return tokenizer_from_json(tokenizer, json.data, json.size, config, file, error);
}
