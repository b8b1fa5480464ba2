/* json_decoder.c: the "decoder" of a tokenizer.json. */
#include "tokenizer/json_reader.h"
#include "tokenizer/utf8.h"

#include <string.h>

enum { MOST_STEPS = 64 };

static fr_status add(reader *r, const char *where, decoder_kind kind, decode_step **out)
{
    fr_tokenizer *t = r->tokenizer;
    if (t->decoder_count == MOST_STEPS)
        return UNSUPPORTED(r, "%s: more than %d steps are not supported", where, MOST_STEPS);
    decode_step *list =
        fr_realloc(t->decoders, (t->decoder_count + 1) * sizeof *list, FR_MEMORY_OTHER);
    if (!list)
        return NO_MEMORY(r);
    t->decoders = list;
    *out = &list[t->decoder_count++];
    **out = (decode_step){.kind = kind};
    return FR_OK;
}

/* A short text that must not be empty. */
static fr_status read_text(reader *r, const char *where, json_t *object, const char *key,
                           char **out)
{
    const char *text;
    FR_TRY(json_read_string(r, where, object, key, &text));
    if (!*text)
        return UNSUPPORTED(r, "%s.%s: an empty text is not supported", where, key);
    return json_read_short(r, where, object, key, out);
}

static fr_status read_mark(reader *r, const char *where, json_t *object, const char *key,
                           char **out)
{
    FR_TRY(read_text(r, where, object, key, out));
    size_t size = strlen(*out);
    if (utf8_length((const unsigned char *)*out, size) != size)
        return BAD(r, "%s.%s: '%.20s' found, one character expected", where, key, *out);
    return FR_OK;
}

static fr_status read_byte_level(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "add_prefix_space", "trim_offsets", "use_regex",
                                        NULL};
    decode_step *step;
    FR_TRY(json_check_keys(r, where, object, known));
    return add(r, where, DECODE_BYTE_LEVEL, &step);
}

static fr_status read_metaspace(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {
        "type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep", NULL};
    static const char *const schemes[] = {"always", "never", "first", NULL};
    enum { NEVER = 1 };
    int scheme;
    bool prefix;
    decode_step *step = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(json_read_choice(r, where, object, "prepend_scheme", schemes, &scheme));
    FR_TRY(json_read_bool(r, where, object, "add_prefix_space", true, &prefix));
    if (!prefix && scheme != NEVER)
        return BAD(r, "%s: add_prefix_space is false, but prepend_scheme is not \"never\"", where);
    FR_TRY(add(r, where, DECODE_METASPACE, &step));
    step->drop_first = scheme != NEVER;
    return read_mark(r, where, object, "replacement", &step->text);
}

static fr_status read_wordpiece(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "prefix", "cleanup", NULL};
    decode_step *step = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(add(r, where, DECODE_WORDPIECE, &step));
    FR_TRY(json_read_bool(r, where, object, "cleanup", true, &step->cleanup));
    FR_TRY(json_read_short(r, where, object, "prefix", &step->text));
    return step->text ? FR_OK : BAD(r, "%s.prefix: nothing found, a string expected", where);
}

static fr_status read_bpe(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "suffix", NULL};
    decode_step *step = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(add(r, where, DECODE_BPE, &step));
    return read_text(r, where, object, "suffix", &step->text);
}

static fr_status read_plain(reader *r, const char *where, json_t *object, decoder_kind kind)
{
    static const char *const known[] = {"type", NULL};
    decode_step *step;
    FR_TRY(json_check_keys(r, where, object, known));
    return add(r, where, kind, &step);
}

static fr_status read_byte_fallback(reader *r, const char *where, json_t *object)
{
    return read_plain(r, where, object, DECODE_BYTE_FALLBACK);
}

static fr_status read_fuse(reader *r, const char *where, json_t *object)
{
    return read_plain(r, where, object, DECODE_FUSE);
}

static fr_status read_strip(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "content", "start", "stop", NULL};
    decode_step *step = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(add(r, where, DECODE_STRIP, &step));
    FR_TRY(json_read_count(r, where, object, "start", 0, INT32_MAX, 0, &step->start));
    FR_TRY(json_read_count(r, where, object, "stop", 0, INT32_MAX, 0, &step->stop));
    return read_mark(r, where, object, "content", &step->text);
}

static fr_status read_replace(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "pattern", "content", NULL};
    const char *pattern, *content;
    bool literal;
    decode_step *step = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(json_read_pattern(r, where, object, &pattern, &literal));
    FR_TRY(json_read_string(r, where, object, "content", &content));
    FR_TRY(add(r, where, DECODE_REPLACE, &step));
    step->text = fr_string_copy(content);
    if (!step->text)
        return NO_MEMORY(r);
    fr_status status =
        split_regex_create(&step->regex, pattern, strlen(pattern), literal, r->error);
    if (status != FR_OK)
        fr_error_prefix(r->error, "%s: %s.pattern", r->name, where);
    return status;
}

static fr_status read_ctc(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "pad_token", "word_delimiter_token", "cleanup",
                                        NULL};
    decode_step *step = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(add(r, where, DECODE_CTC, &step));
    FR_TRY(json_read_bool(r, where, object, "cleanup", true, &step->cleanup));
    FR_TRY(read_text(r, where, object, "word_delimiter_token", &step->delimiter));
    return read_text(r, where, object, "pad_token", &step->text);
}

static const stage_reader kinds[] = {{"ByteLevel", read_byte_level},
                                     {"Metaspace", read_metaspace},
                                     {"WordPiece", read_wordpiece},
                                     {"BPEDecoder", read_bpe},
                                     {"ByteFallback", read_byte_fallback},
                                     {"Fuse", read_fuse},
                                     {"Strip", read_strip},
                                     {"Replace", read_replace},
                                     {"CTC", read_ctc},
                                     {NULL, NULL}};

fr_status json_read_decoder(reader *r, json_t *object)
{
    fr_tokenizer *t = r->tokenizer;
    FR_TRY(json_read_stages(r, "decoder", object, "decoders", kinds));
    t->decodes_bytes = t->model.kind == MODEL_BYTES && t->decoder_count == 1 &&
                       t->decoders[0].kind == DECODE_BYTE_LEVEL;
    for (size_t i = 0; i < t->added_count; i++) {
        const added_token *token = &t->added[i];
        if (t->model.is_member[token->id] &&
            (token->pattern_size != token->size ||
             memcmp(token->pattern, token->content, token->size) != 0))
            t->decodes_bytes = false; /* the model and the decoder spell it differently */
    }
    return FR_OK;
}
