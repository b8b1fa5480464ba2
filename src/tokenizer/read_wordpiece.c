/* read_wordpiece.c: vocab.txt, a WordPiece token on each line, as BERT's relatives have it. */
#include "tokenizer/blueprint.h"
#include "tokenizer/read.h"

#include <string.h>

typedef struct kind {
    const char *class_name;
    const char *absent[NAMED_TOKENS];
    bool mask_takes_blanks;
    bool roberta_ends; /* two separators between two texts */
} kind;

#define BERT                                                                                       \
    {                                                                                              \
        [TOKEN_UNK] = "[UNK]", [TOKEN_SEP] = "[SEP]", [TOKEN_PAD] = "[PAD]",                       \
        [TOKEN_CLS] = "[CLS]", [TOKEN_MASK] = "[MASK]"                                             \
    }
static const kind kinds[] = {{"", BERT, false, false},
                             {"PreTrainedTokenizer", BERT, false, false},
                             {"TokenizersBackend", BERT, false, false},
                             {"BertTokenizer", BERT, false, false},
                             {"DistilBertTokenizer", BERT, false, false},
                             {"ElectraTokenizer", BERT, false, false},
                             {"MPNetTokenizer",
                              {[TOKEN_BOS] = "<s>",
                               [TOKEN_EOS] = "</s>",
                               [TOKEN_UNK] = "[UNK]",
                               [TOKEN_SEP] = "</s>",
                               [TOKEN_PAD] = "<pad>",
                               [TOKEN_CLS] = "<s>",
                               [TOKEN_MASK] = "<mask>"},
                              true,
                              true}};

/* How long a word may be before it is unknown as a whole: WordPiece's own default. */
enum { LONGEST_WORD = 100 };

static fr_status read_tokens(blueprint *out, const read_input *input, fr_error *error)
{
    const char *line;
    size_t at = 0, size;
    for (size_t number = 1; read_line(input, &at, &line, &size); number++) {
        if (size && line[size - 1] == '\r')
            size--;
        FR_TRY(read_check_text(input, line, size, number, error));
        int64_t twin = lexicon_find(&out->tokens, line, size);
        if (twin >= 0)
            return fr_fail_at(error, FR_BAD_INPUT, input->path, (long)number,
                              "'%.*s' stands in line %lld, too", (int)(size < 60 ? size : 60), line,
                              (long long)twin + 1);
        if (!lexicon_add(&out->tokens, line, size))
            return fr_fail_at(error, FR_NO_MEMORY, input->path, 0, "no memory to read it");
    }
    return out->tokens.count ? FR_OK
                             : fr_fail_at(error, FR_BAD_INPUT, input->path, 0, "no tokens found");
}

static fr_status set_normalizer(blueprint *out, const settings *from, fr_error *error)
{
    bool lower, chinese, strip;
    FR_TRY(settings_bool(from, "do_lower_case", true, &lower, error));
    FR_TRY(settings_bool(from, "tokenize_chinese_chars", true, &chinese, error));
    FR_TRY(settings_bool(from, "strip_accents", false, &strip, error));
    /* Where nothing is said about accents they go with the capitals. */
    bool said = json_is_boolean(json_object_get(from->root, "strip_accents"));
    blueprint_set(out, &out->normalizer,
                  json_pack("{s:s, s:b, s:b, s:o, s:b}", "type", "BertNormalizer", "clean_text", 1,
                            "handle_chinese_chars", chinese, "strip_accents",
                            said ? json_boolean(strip) : json_null(), "lowercase", lower));
    return FR_OK;
}

static fr_status set_ends(blueprint *out, const kind *which, const settings *from, fr_error *error)
{
    const char *cls = settings_token(from, TOKEN_CLS, which->absent[TOKEN_CLS]);
    const char *sep = settings_token(from, TOKEN_SEP, which->absent[TOKEN_SEP]);
    if (!which->roberta_ends)
        return blueprint_template(out, (const char *[]){cls, "$A", sep, NULL},
                                  (const char *[]){cls, "$A", sep, "$B", sep, NULL}, error);
    blueprint_set(out, &out->post_processor,
                  json_pack("{s:s, s:o, s:o, s:b, s:b}", "type", "RobertaProcessing", "sep",
                            blueprint_token_pair(out, sep), "cls", blueprint_token_pair(out, cls),
                            "trim_offsets", 1, "add_prefix_space", 0));
    return FR_OK;
}

static fr_status build(blueprint *out, const kind *which, const read_input *input, fr_error *error)
{
    const settings *from = input->settings;
    const char *unk = settings_token(from, TOKEN_UNK, which->absent[TOKEN_UNK]);
    FR_TRY(read_tokens(out, input, error));
    if (lexicon_find(&out->tokens, unk, strlen(unk)) < 0)
        return fr_fail_at(error, FR_BAD_INPUT, input->path, 0,
                          "no line is '%.60s', the unknown token", unk);
    blueprint_write_wordpiece(out, unk, "##", LONGEST_WORD);
    FR_TRY(set_normalizer(out, from, error));
    blueprint_set(out, &out->pre_tokenizer, json_pack("{s:s}", "type", "BertPreTokenizer"));
    blueprint_set(out, &out->decoder,
                  json_pack("{s:s, s:s, s:b}", "type", "WordPiece", "prefix", "##", "cleanup", 1));
    if (which->mask_takes_blanks && !json_object_get(from->root, "added_tokens_decoder") &&
        !json_is_object(json_object_get(from->root, named_token_keys[TOKEN_MASK])))
        blueprint_add(out, &(blueprint_added){.content = settings_token(from, TOKEN_MASK, "<mask>"),
                                              .special = true,
                                              .lstrip = true});
    FR_TRY(blueprint_add_configured(out, from, which->absent, error));
    return set_ends(out, which, from, error);
}

fr_status read_wordpiece(fr_tokenizer **tokenizer, const read_input *input, fr_error *error)
{
    const char *name = input->settings->class_name;
    const kind *which = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].class_name, name) == 0)
            which = &kinds[i];
    *tokenizer = NULL;
    if (!which)
        return fr_fail_at(
            error, FR_UNSUPPORTED, input->path, 0,
            "a vocab.txt for the tokenizer_class '%s' is not supported (supported: "
            "BertTokenizer, DistilBertTokenizer, ElectraTokenizer, MPNetTokenizer, or "
            "none)",
            name);
    blueprint out = {0};
    fr_status status = build(&out, which, input, error);
    if (status == FR_OK)
        status = blueprint_finish(&out, tokenizer, input->settings, *name ? name : "BertTokenizer",
                                  which->absent, input->path, error);
    blueprint_free(&out);
    return status;
}
