/* json_model.c: the "model" of a tokenizer.json: vocabulary, and what each kind needs beside it.

   Nothing in the file is trusted: ids must be few, and of one token each; added tokens must have
   the ids that Hugging Face's library gives them, whatever the file says. */
#include "tokenizer/byte_level.h"
#include "tokenizer/json_reader.h"

#include <stdio.h>
#include <string.h>

/* ---- entries --------------------------------------------------------------------------------- */

/* What stands for an id before the ids are known to be right. */
typedef struct entry {
    const char *text; /* NULL: no token has this id */
    size_t size;
    bool in_model;
} entry;

typedef struct entries {
    entry *list;
    size_t count, capacity; /* largest id + 1 */
    size_t tokens;
} entries;

static fr_status claim(reader *r, entries *e, const char *where, entry one, int64_t id)
{
    /* An id without a token costs memory in every table: a few are fine, a lying file is not. */
    enum { FEW = 65536, TIMES = 4 };
    if (id < 0 || (uint64_t)id >= (uint64_t)e->tokens * TIMES + FEW || id >= INT32_MAX)
        return BAD(r, "%s: '%.60s' has id %lld, which does not suit %zu tokens", where, one.text,
                   (long long)id, e->tokens);
    size_t place = (size_t)id;
    if (place >= e->capacity) {
        size_t capacity = place + 1 + (place > e->tokens ? place / 2 : e->tokens);
        entry *list = fr_realloc(e->list, capacity * sizeof *list, FR_MEMORY_OTHER);
        if (!list)
            return NO_MEMORY(r);
        e->list = list;
        e->capacity = capacity;
    }
    if (place >= e->count)
        e->count = place + 1;
    if (e->list[place].text && e->list[place].in_model && !one.in_model)
        return FR_OK; /* where the vocabulary skips ids, what is added may hide a token in decoding */
    if (e->list[place].text)
        return BAD(r, "%s: '%.60s' has id %lld, which '%.60s' has too", where, one.text,
                   (long long)id, e->list[place].text);
    e->list[place] = one;
    return FR_OK;
}

static fr_status claim_vocabulary(reader *r, json_t *vocab, entries *e)
{
    const char *text;
    json_t *value;
    e->tokens = json_object_size(vocab);
    json_object_foreach(vocab, text, value)
    {
        if (!json_is_integer(value))
            return BAD(r, "model.vocab: '%.60s' has %s for an id", text, json_kind_name(value));
        FR_TRY(claim(r, e, "model.vocab", (entry){text, strlen(text), true},
                     json_integer_value(value)));
    }
    return FR_OK;
}

/* [[TEXT, SCORE], ...] */
static fr_status claim_scored(reader *r, const json_t *vocab, entries *e)
{
    e->tokens = json_array_size(vocab);
    for (size_t i = 0; i < e->tokens; i++) {
        const json_t *pair = json_array_get(vocab, i), *text = json_array_get(pair, 0);
        if (json_array_size(pair) != 2 || !json_is_string(text) ||
            !json_is_number(json_array_get(pair, 1)))
            return BAD(r, "model.vocab[%zu]: a text and its score expected", i);
        FR_TRY(claim(r, e, "model.vocab",
                     (entry){json_string_value(text), json_string_length(text), true}, (int64_t)i));
    }
    return FR_OK;
}

/* From texts to places in a list of texts and scores; of twins the last counts. Texts with zero
   bytes, which no added token has, are left out. */
static json_t *index_of(const entries *e)
{
    json_t *index = json_object();
    for (size_t i = 0; index && i < e->tokens; i++)
        if (strlen(e->list[i].text) == e->list[i].size &&
            json_object_set_new(index, e->list[i].text, json_integer((json_int_t)i)) != 0) {
            json_decref(index);
            index = NULL;
        }
    return index;
}

/* What the vocabulary lacks is numbered behind it, in the order of the file. */
static fr_status claim_added(reader *r, const json_t *vocab, entries *e)
{
    int64_t next = (int64_t)e->tokens;
    for (size_t i = 0; i < r->tokenizer->added_count; i++) {
        const added_token *token = &r->tokenizer->added[i];
        char where[40];
        snprintf(where, sizeof where, "added_tokens[%zu]", i);
        const json_t *place = json_object_get(vocab, token->content);
        int64_t id = place ? (int64_t)json_integer_value(place) : -1;
        if (id >= 0 && id != token->id)
            return BAD(r, "%s: '%.60s' has id %d, but %lld in model.vocab", where, token->content,
                       (int)token->id, (long long)id);
        if (id >= 0)
            continue;
        if (token->id != next)
            return BAD(r,
                       "%s: '%.60s' has id %d, but tokens that the vocabulary lacks are numbered "
                       "behind it, and %lld is next",
                       where, token->content, (int)token->id, (long long)next);
        FR_TRY(claim(r, e, where, (entry){token->content, token->size, false}, next));
        next++;
    }
    return FR_OK;
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* The texts as they are decoded: those of added tokens in normal form. */
static fr_status fill_tokens(reader *r, const entries *e)
{
    fr_tokenizer *t = r->tokenizer;
    vocabulary *tokens = &t->tokens;
    fr_buffer bytes = {0};
    size_t *added = fr_alloc_array(e->count + 1, sizeof *added, FR_MEMORY_OTHER);
    tokens->start = fr_alloc_array(e->count + 1, sizeof *tokens->start, FR_MEMORY_OTHER);
    t->traits = fr_alloc_array(e->count + 1, sizeof *t->traits, FR_MEMORY_OTHER);
    fr_status status = added && tokens->start && t->traits ? FR_OK : NO_MEMORY(r);
    for (size_t i = 0; status == FR_OK && i < t->added_count; i++) {
        added[t->added[i].id] = i + 1;
        t->traits[t->added[i].id] = TOKEN_ADDED;
    }
    for (size_t id = 0; status == FR_OK && id < e->count; id++) {
        if (added[id])
            fr_buffer_append(&bytes, t->added[added[id] - 1].pattern,
                             t->added[added[id] - 1].pattern_size);
        else if (e->list[id].text)
            fr_buffer_append(&bytes, e->list[id].text, e->list[id].size);
        tokens->start[id + 1] = bytes.size;
        if (e->list[id].text)
            t->traits[id] |= TOKEN_KNOWN;
    }
    if (status == FR_OK && !bytes.data)
        fr_buffer_text(&bytes, "");
    tokens->bytes = bytes.data;
    tokens->count = e->count;
    fr_free(added);
    return status == FR_OK && bytes.failed ? NO_MEMORY(r) : status;
}

/* Tokens that decoding leaves out: those whose text is a special token's. */
static void find_special(fr_tokenizer *t)
{
    for (size_t i = 0; i < t->added_count; i++) {
        const added_token *token = &t->added[i];
        bool same = token->pattern_size == token->size &&
                    !memcmp(token->pattern, token->content, token->size);
        bool special = same && token->special;
        for (size_t k = 0; !same && k < t->added_count; k++)
            special |= t->added[k].special && t->added[k].size == token->pattern_size &&
                       !memcmp(t->added[k].content, token->pattern, token->pattern_size);
        if (special)
            t->traits[token->id] |= TOKEN_SPECIAL;
    }
}

/* The texts as the model sees them. With `bytes`, those that are written in the byte-level
   alphabet as the bytes that they stand for; the others are none of the model's. Added tokens are
   decoded by the same rule. */
static fr_status fill_model_tokens(reader *r, const entries *e, bool bytes)
{
    const fr_tokenizer *t = r->tokenizer;
    text_model *m = &r->tokenizer->model;
    fr_buffer text = {0};
    m->tokens.start = fr_alloc_array(e->count + 1, sizeof *m->tokens.start, FR_MEMORY_OTHER);
    m->is_member = fr_alloc_array(e->count + 1, sizeof *m->is_member, FR_MEMORY_OTHER);
    if (!m->tokens.start || !m->is_member)
        return NO_MEMORY(r);
    for (size_t id = 0; id < e->count; id++) {
        const entry *one = &e->list[id];
        const char *shown = one->in_model ? one->text : t->tokens.bytes + t->tokens.start[id];
        size_t shown_size =
            one->in_model ? one->size : t->tokens.start[id + 1] - t->tokens.start[id];
        bool read = bytes && byte_level_read(shown, shown_size, &text);
        m->is_member[id] = one->in_model && one->size && (!bytes || read);
        if (!read && bytes)
            fr_buffer_append(&text, shown, shown_size);
        else if (!bytes && one->text)
            fr_buffer_append(&text, one->text, one->size);
        m->tokens.start[id + 1] = text.size;
    }
    if (!text.data)
        fr_buffer_text(&text, "");
    m->tokens.bytes = text.data;
    m->tokens.count = e->count;
    return text.failed ? NO_MEMORY(r)
                       : token_table_build(&m->table, &m->tokens, m->is_member, r->error);
}

static int32_t find_text(const text_model *m, const char *text)
{
    return token_table_find(&m->table, text, strlen(text));
}

static void find_byte_tokens(text_model *m)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", byte);
        m->byte_id[byte] = find_text(m, name);
    }
}

static fr_status read_unknown(reader *r, json_t *object)
{
    text_model *m = &r->tokenizer->model;
    FR_TRY(json_read_short(r, "model", object, "unk_token", &m->unknown_name));
    m->unknown = m->unknown_name ? find_text(m, m->unknown_name) : -1;
    return FR_OK;
}

/* ---- byte pairs ------------------------------------------------------------------------------ */

/* True when every byte of UTF-8 text has a token in the byte-level alphabet. 0xC0, 0xC1 and 0xF5
   on occur in none; vocabularies learned from text alone lack them. */
static bool has_all_bytes(json_t *vocab)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        fr_buffer text = {0};
        char one = (char)byte;
        byte_level_write(&one, 1, &text);
        bool there = !text.failed && json_object_get(vocab, text.data);
        fr_buffer_free(&text);
        if (!there && byte != 0xC0 && byte != 0xC1 && byte < 0xF5)
            return false;
    }
    return true;
}

/* The fast way: bytes are made characters last of all, and none lacks a token. Then characters
   need not be made at all. */
static bool is_byte_level(fr_tokenizer *t, json_t *vocab)
{
    if (t->model.prefix || t->model.suffix || t->split_count == 0 ||
        t->splits[t->split_count - 1].kind != SPLIT_BYTE_LEVEL || !has_all_bytes(vocab))
        return false;
    t->split_count--;
    for (size_t i = 0; i < t->split_count; i++)
        if (t->splits[i].kind == SPLIT_BYTE_LEVEL) {
            t->split_count++;
            return false;
        }
    return true;
}

static void find_bytes(text_model *m)
{
    for (int byte = 0; byte < 256; byte++) {
        char one = (char)byte;
        m->merges.byte_id[byte] = token_table_find(&m->table, &one, 1);
    }
}

/* An empty prefix or suffix is none. */
static fr_status read_affix(reader *r, json_t *object, const char *key, char **out)
{
    FR_TRY(json_read_short(r, "model", object, key, out));
    if (*out && !**out) {
        fr_free(*out);
        *out = NULL;
    }
    return FR_OK;
}

static fr_status read_bpe(reader *r, json_t *object, json_t *vocab, const entries *e)
{
    static const char *const known[] = {"type",
                                        "dropout",
                                        "unk_token",
                                        "continuing_subword_prefix",
                                        "end_of_word_suffix",
                                        "fuse_unk",
                                        "byte_fallback",
                                        "ignore_merges",
                                        "vocab",
                                        "merges",
                                        NULL};
    text_model *m = &r->tokenizer->model;
    bool whole_pieces;
    FR_TRY(json_check_keys(r, "model", object, known));
    const json_t *dropout = json_object_get(object, "dropout");
    if (dropout && !json_is_null(dropout) &&
        !(json_is_number(dropout) && json_number_value(dropout) == 0))
        return UNSUPPORTED(r, "model.dropout is not supported");
    FR_TRY(json_read_bool(r, "model", object, "ignore_merges", false, &whole_pieces));
    FR_TRY(json_read_bool(r, "model", object, "fuse_unk", false, &m->fuse_unknown));
    FR_TRY(json_read_bool(r, "model", object, "byte_fallback", false, &m->byte_fallback));
    FR_TRY(read_affix(r, object, "continuing_subword_prefix", &m->prefix));
    FR_TRY(read_affix(r, object, "end_of_word_suffix", &m->suffix));
    bool bytes = is_byte_level(r->tokenizer, vocab);
    m->kind = bytes ? MODEL_BYTES : MODEL_BPE;
    FR_TRY(fill_model_tokens(r, e, bytes));
    FR_TRY(read_unknown(r, object));
    find_byte_tokens(m);
    if (bytes)
        find_bytes(m);
    return json_read_merges(r, vocab, json_object_get(object, "merges"), whole_pieces);
}

/* ---- the others ------------------------------------------------------------------------------ */

static fr_status read_unigram(reader *r, json_t *object, json_t *vocab, const entries *e)
{
    static const char *const known[] = {"type", "unk_id", "vocab", "byte_fallback", NULL};
    enum { UNKNOWN_PENALTY = 10 };
    text_model *m = &r->tokenizer->model;
    int64_t unknown;
    FR_TRY(json_check_keys(r, "model", object, known));
    FR_TRY(json_read_bool(r, "model", object, "byte_fallback", false, &m->byte_fallback));
    FR_TRY(json_read_count(r, "model", object, "unk_id", 0, (int64_t)e->tokens - 1, -1, &unknown));
    m->kind = MODEL_UNIGRAM;
    m->unknown = (int32_t)unknown;
    FR_TRY(fill_model_tokens(r, e, false));
    find_byte_tokens(m);
    m->scores = fr_alloc_array(e->count + 1, sizeof *m->scores, FR_MEMORY_OTHER);
    if (!m->scores)
        return NO_MEMORY(r);
    for (size_t i = 0; i < e->tokens; i++) {
        m->scores[i] = json_score(json_number_value(json_array_get(json_array_get(vocab, i), 1)));
        if (i == 0 || m->scores[i] < m->unknown_score)
            m->unknown_score = m->scores[i];
    }
    m->unknown_score -= UNKNOWN_PENALTY;
    return token_trie_build(&m->trie, &m->tokens, m->is_member, r->error);
}

static fr_status read_wordpiece(reader *r, json_t *object, json_t *vocab, const entries *e)
{
    static const char *const known[] = {
        "type",  "unk_token", "continuing_subword_prefix", "max_input_chars_per_word",
        "vocab", NULL};
    enum { USUAL_MOST = 100 };
    text_model *m = &r->tokenizer->model;
    (void)vocab;
    FR_TRY(json_check_keys(r, "model", object, known));
    m->kind = MODEL_WORDPIECE;
    FR_TRY(json_read_short(r, "model", object, "continuing_subword_prefix", &m->prefix));
    if (!m->prefix && !(m->prefix = fr_string_copy("##")))
        return NO_MEMORY(r);
    FR_TRY(json_read_count(r, "model", object, "max_input_chars_per_word", 0, INT64_MAX, USUAL_MOST,
                           &m->most_characters));
    FR_TRY(fill_model_tokens(r, e, false));
    FR_TRY(read_unknown(r, object));
    return token_trie_build(&m->trie, &m->tokens, m->is_member, r->error);
}

static fr_status read_wordlevel(reader *r, json_t *object, json_t *vocab, const entries *e)
{
    static const char *const known[] = {"type", "unk_token", "vocab", NULL};
    (void)vocab;
    FR_TRY(json_check_keys(r, "model", object, known));
    r->tokenizer->model.kind = MODEL_WORDLEVEL;
    FR_TRY(fill_model_tokens(r, e, false));
    return read_unknown(r, object);
}

static const struct model_reader {
    const char *type;
    bool scored; /* the vocabulary is a list of texts and scores */
    fr_status (*read)(reader *r, json_t *object, json_t *vocab, const entries *e);
} kinds[] = {{"BPE", false, read_bpe},
             {"Unigram", true, read_unigram},
             {"WordPiece", false, read_wordpiece},
             {"WordLevel", false, read_wordlevel}};

/* The type; old files leave it out, and are told by their keys. */
static const char *type_of(const json_t *object)
{
    const json_t *type = json_object_get(object, "type");
    if (json_is_string(type))
        return json_string_value(type);
    return type                                                   ? ""
           : json_object_get(object, "merges")                    ? "BPE"
           : json_is_array(json_object_get(object, "vocab"))      ? "Unigram"
           : json_object_get(object, "continuing_subword_prefix") ? "WordPiece"
                                                                  : "WordLevel";
}

fr_status json_read_model(reader *r, json_t *object)
{
    if (!json_is_object(object))
        return BAD(r, "model: %s found, an object expected", json_kind_name(object));
    const struct model_reader *kind = NULL;
    const char *type = type_of(object);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].type, type))
            kind = &kinds[i];
    if (!kind)
        return UNSUPPORTED(
            r,
            "model.type '%.60s' is not supported (supported: BPE, Unigram, WordPiece, WordLevel)",
            type);
    json_t *vocab = json_object_get(object, "vocab");
    if (kind->scored ? !json_is_array(vocab) : !json_is_object(vocab))
        return BAD(r, "model.vocab: %s found, %s expected", json_kind_name(vocab),
                   kind->scored ? "a list" : "an object");
    entries e = {0};
    fr_status status = kind->scored ? claim_scored(r, vocab, &e) : claim_vocabulary(r, vocab, &e);
    json_t *ids = status != FR_OK ? NULL : kind->scored ? index_of(&e) : json_incref(vocab);
    if (status == FR_OK)
        status = ids ? claim_added(r, ids, &e) : NO_MEMORY(r);
    json_decref(ids);
    if (status == FR_OK && e.count == 0)
        status = BAD(r, "model.vocab: no tokens found");
    if (status == FR_OK)
        status = fill_tokens(r, &e);
    if (status == FR_OK) {
        find_special(r->tokenizer);
        status = kind->read(r, object, vocab, &e);
    }
    fr_free(e.list);
    return status;
}
