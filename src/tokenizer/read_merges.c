/* read_merges.c: vocab.json with merges.txt: byte-level BPE as GPT-2 published it, and the
   pipelines that its relatives put around it. */
#include "tokenizer/blueprint.h"
#include "tokenizer/json_reader.h"
#include "tokenizer/read.h"

#include <string.h>

typedef enum family { GPT2, ROBERTA, CLIP, QWEN2 } family;

typedef struct kind {
    const char *class_name;
    family family;
    const char *absent[NAMED_TOKENS];
} kind;

#define END_OF_TEXT "<|endoftext|>"
#define GPT2_TOKENS                                                                                \
    {                                                                                              \
        [TOKEN_BOS] = END_OF_TEXT, [TOKEN_EOS] = END_OF_TEXT, [TOKEN_UNK] = END_OF_TEXT            \
    }
#define ROBERTA_TOKENS                                                                             \
    {                                                                                              \
        [TOKEN_BOS] = "<s>", [TOKEN_EOS] = "</s>", [TOKEN_UNK] = "<unk>", [TOKEN_SEP] = "</s>",    \
        [TOKEN_PAD] = "<pad>", [TOKEN_CLS] = "<s>", [TOKEN_MASK] = "<mask>"                        \
    }
static const kind kinds[] = {
    {"", GPT2, GPT2_TOKENS},
    {"PreTrainedTokenizer", GPT2, GPT2_TOKENS},
    {"TokenizersBackend", GPT2, GPT2_TOKENS},
    {"GPT2Tokenizer", GPT2, GPT2_TOKENS},
    {"RobertaTokenizer", ROBERTA, ROBERTA_TOKENS},
    {"BartTokenizer", ROBERTA, ROBERTA_TOKENS},
    {"LongformerTokenizer", ROBERTA, ROBERTA_TOKENS},
    {"CLIPTokenizer",
     CLIP,
     {[TOKEN_BOS] = "<|startoftext|>",
      [TOKEN_EOS] = END_OF_TEXT,
      [TOKEN_UNK] = END_OF_TEXT,
      [TOKEN_PAD] = END_OF_TEXT}},
    {"Qwen2Tokenizer",
     QWEN2,
     {[TOKEN_EOS] = END_OF_TEXT, [TOKEN_UNK] = END_OF_TEXT, [TOKEN_PAD] = END_OF_TEXT}}};

/* ---- the two files --------------------------------------------------------------------------- */

/* vocab.json: {"token": id, ...}; ids 0, 1, ... without holes. */
static fr_status place_tokens(blueprint *out, const read_input *input, json_t *root,
                              const char **texts, fr_error *error)
{
    size_t count = json_object_size(root);
    const char *text;
    json_t *value;
    json_object_foreach(root, text, value)
    {
        json_int_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || (size_t)id >= count || texts[id])
            return fr_fail_at(error, FR_BAD_INPUT, input->path, 0,
                              "'%.60s' has no id of its own from 0 to %zu", text, count - 1);
        texts[id] = text;
    }
    for (size_t i = 0; i < count; i++)
        if (!lexicon_add(&out->tokens, texts[i], strlen(texts[i])))
            return fr_fail_at(error, FR_NO_MEMORY, input->path, 0, "no memory to read it");
    return FR_OK;
}

static fr_status read_vocabulary(blueprint *out, const read_input *input, fr_error *error)
{
    json_error_t wrong;
    json_t *root = json_loadb(input->data, input->size, JSON_REJECT_DUPLICATES, &wrong);
    if (!root)
        return fr_fail_at(error, FR_BAD_INPUT, input->path, wrong.line, "not JSON: %s", wrong.text);
    fr_status status = FR_OK;
    const char **texts = NULL;
    if (json_object_size(root) == 0)
        status = fr_fail_at(error, FR_BAD_INPUT, input->path, 0,
                            "%s found, an object with tokens expected", json_kind_name(root));
    else if (!(texts = fr_alloc_array(json_object_size(root), sizeof(char *), FR_MEMORY_OTHER)))
        status = fr_fail_at(error, FR_NO_MEMORY, input->path, 0, "no memory to read it");
    if (status == FR_OK)
        status = place_tokens(out, input, root, texts, error);
    fr_free(texts);
    json_decref(root);
    return status;
}

/* merges.txt: two tokens on each line, a blank between them; a first line "#version" is none. */
static fr_status read_merges(fr_buffer *out, const read_input *input, fr_error *error)
{
    const char *line;
    size_t at = 0, size, count = 0;
    fr_buffer_text(out, "[");
    for (size_t number = 1; read_line(input, &at, &line, &size); number++) {
        if (size && line[size - 1] == '\r')
            size--;
        if (size >= 8 && memcmp(line, "#version", 8) == 0)
            continue;
        FR_TRY(read_check_text(input, line, size, number, error));
        const char *blank = size ? memchr(line, ' ', size) : NULL;
        size_t left = blank ? (size_t)(blank - line) : 0, right = blank ? size - left - 1 : 0;
        if (left == 0 || right == 0 || memchr(blank + 1, ' ', right))
            return fr_fail_at(error, FR_BAD_INPUT, input->path, (long)number,
                              "'%.*s' found, two tokens expected", (int)(size < 60 ? size : 60),
                              line);
        fr_buffer_text(out, count++ ? ",\n      [" : "\n      [");
        blueprint_quote(out, line, left);
        fr_buffer_text(out, ", ");
        blueprint_quote(out, blank + 1, right);
        fr_buffer_text(out, "]");
    }
    fr_buffer_text(out, "]");
    return FR_OK;
}

/* ---- stages ---------------------------------------------------------------------------------- */

static json_t *byte_level(bool prefix, bool trim, bool regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefix,
                     "trim_offsets", trim, "use_regex", regex);
}

static json_t *split_stage(const char *pattern, const char *behavior, bool invert)
{
    return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", pattern,
                     "behavior", behavior, "invert", invert);
}

static void set_roberta_ends(blueprint *out, const char *sep, const char *cls, bool trim,
                             bool prefix)
{
    blueprint_set(out, &out->post_processor,
                  json_pack("{s:s, s:o, s:o, s:b, s:b}", "type", "RobertaProcessing", "sep",
                            blueprint_token_pair(out, sep), "cls", blueprint_token_pair(out, cls),
                            "trim_offsets", trim, "add_prefix_space", prefix));
}

static void set_clip_stages(blueprint *out)
{
    blueprint_set(out, &out->normalizer,
                  json_pack("{s:s, s:[{s:s}, {s:s, s:{s:s}, s:s}, {s:s}]}", "type", "Sequence",
                            "normalizers", "type", "NFC", "type", "Replace", "pattern", "Regex",
                            "\\s+", "content", " ", "type", "Lowercase"));
    blueprint_set(
        out, &out->pre_tokenizer,
        json_pack("{s:s, s:[o, o]}", "type", "Sequence", "pretokenizers",
                  split_stage("<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|"
                              "[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+",
                              "Removed", true),
                  byte_level(false, true, true)));
}

static void set_qwen2_stages(blueprint *out, bool prefix)
{
    blueprint_set(out, &out->normalizer, json_pack("{s:s}", "type", "NFC"));
    blueprint_set(out, &out->pre_tokenizer,
                  json_pack("{s:s, s:[o, o]}", "type", "Sequence", "pretokenizers",
                            split_stage(split_qwen2_pattern, "Isolated", false),
                            byte_level(prefix, true, false)));
}

static fr_status build(blueprint *out, const kind *which, const read_input *vocab,
                       const fr_buffer *merges, fr_error *error)
{
    const settings *from = vocab->settings;
    bool prefix, trim;
    FR_TRY(settings_bool(from, "add_prefix_space", false, &prefix, error));
    FR_TRY(settings_bool(from, "trim_offsets", true, &trim, error));
    blueprint_bpe form = {0};
    if (which->family == CLIP) {
        form.unk_token = settings_token(from, TOKEN_UNK, which->absent[TOKEN_UNK]);
        form.end_of_word_suffix = "</w>";
    }
    blueprint_write_bpe_json(out, &form, merges);
    blueprint_set(out, &out->decoder, byte_level(true, true, true));
    FR_TRY(blueprint_add_configured(out, from, which->absent, error));
    const char *eos = settings_token(from, TOKEN_EOS, which->absent[TOKEN_EOS]);
    switch (which->family) {
    case CLIP:
        set_clip_stages(out);
        set_roberta_ends(out, eos, settings_token(from, TOKEN_BOS, which->absent[TOKEN_BOS]), false,
                         false);
        return FR_OK;
    case ROBERTA:
        blueprint_set(out, &out->pre_tokenizer, byte_level(prefix, true, true));
        set_roberta_ends(out, settings_token(from, TOKEN_SEP, which->absent[TOKEN_SEP]),
                         settings_token(from, TOKEN_CLS, which->absent[TOKEN_CLS]), trim, prefix);
        return FR_OK;
    case QWEN2:
        set_qwen2_stages(out, prefix);
        return blueprint_add_ends(out, from, which->absent, error);
    default:
        blueprint_set(out, &out->pre_tokenizer, byte_level(prefix, true, true));
        return blueprint_add_ends(out, from, which->absent, error);
    }
}

fr_status read_bpe_files(fr_tokenizer **tokenizer, const read_input *vocab,
                         const read_input *merges, fr_error *error)
{
    const char *name = vocab->settings->class_name;
    const kind *which = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].class_name, name) == 0)
            which = &kinds[i];
    *tokenizer = NULL;
    if (!which)
        return fr_fail_at(
            error, FR_UNSUPPORTED, vocab->path, 0,
            "vocab.json and merges.txt for the tokenizer_class '%s' are not supported "
            "(supported: GPT2Tokenizer, RobertaTokenizer, BartTokenizer, "
            "LongformerTokenizer, CLIPTokenizer, Qwen2Tokenizer, or none)",
            name);
    blueprint out = {0};
    fr_buffer list = {0};
    fr_status status = read_vocabulary(&out, vocab, error);
    if (status == FR_OK)
        status = read_merges(&list, merges, error);
    if (status == FR_OK)
        status = build(&out, which, vocab, &list, error);
    if (status == FR_OK)
        status = blueprint_finish(&out, tokenizer, vocab->settings, *name ? name : "GPT2Tokenizer",
                                  which->absent, vocab->path, error);
    blueprint_free(&out);
    fr_buffer_free(&list);
    return status;
}
