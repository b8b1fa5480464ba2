/* learn_sentencepiece.c: byte-pair encoding on characters as SentencePiece has it: blanks are
   letters like others (U+2581), and what has no token is written in bytes.

   The pipeline is Gemma's: no blank is put in front of a text, so that decoding gives the bytes
   back. Merges stay inside of words (with the blanks before them) and inside of runs of line
   ends; the file says so, too, because a model cuts short pieces faster. */
#include "tokenizer/learn_kinds.h"

#define BLANK "\xE2\x96\x81" /* U+2581 */

static json_t *replace(const char *pattern, const char *content)
{
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", pattern,
                     "content", content);
}

void learn_blank_stages(blueprint *out, const fr_tokenizer_options *options)
{
    (void)options; /* all that learn with these stages have the same */
    blueprint_set(out, &out->normalizer, replace(" ", BLANK));
    blueprint_set(out, &out->pre_tokenizer,
                  json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex",
                            "\\n+|" BLANK "*[^" BLANK "\\n]+|" BLANK "+", "behavior", "Isolated",
                            "invert", 0));
    blueprint_set(out, &out->decoder,
                  json_pack("{s:s, s:[o, {s:s}, {s:s}]}", "type", "Sequence", "decoders",
                            replace(BLANK, " "), "type", "ByteFallback", "type", "Fuse"));
}

static const char unknown[] = "<unk>";
enum { FIXED = 1 + 256 }; /* the unknown token and the bytes */

static fr_status learn(blueprint *out, const fr_tokenizer_options *options,
                       const piece_counts *pieces, fr_error *error)
{
    const blueprint_bpe form = {.unk_token = unknown, .fuse_unk = true, .byte_fallback = true};
    size_t room = (size_t)options->vocabulary - options->special.count - FIXED;
    learned result = {0};
    fr_status status = FR_OK;
    if (!lexicon_add(&result.tokens, unknown, sizeof unknown - 1) ||
        !learn_add_bytes(&result.tokens))
        status = fr_fail(error, FR_NO_MEMORY, "no memory for a tokenizer");
    if (status == FR_OK)
        status = alphabet_of_pieces(&result.tokens, pieces, "", options->coverage, room / 2, error);
    if (status == FR_OK)
        status = learn_merges(&result, pieces, &(spelling){false, ""}, room + FIXED,
                              options->min_count, error);
    out->tokens = result.tokens;
    result.tokens = (lexicon){0};
    if (status == FR_OK)
        blueprint_write_bpe(out, &form, result.merges, result.merge_count);
    learned_free(&result);
    return status;
}

static fr_status train(fr_tokenizer **tokenizer, const void *given, fr_text_next *next,
                       void *context, fr_error *error)
{
    static const learn_method method = {learn_blank_stages, learn, learn_finish};
    const fr_tokenizer_options *options = given;
    *tokenizer = NULL;
    FR_TRY(learn_check(options, FIXED, error));
    return learn_with(tokenizer, &method, options, next, context, error);
}

static void defaults(void *options)
{
    fr_tokenizer_options_defaults(options);
    ((fr_tokenizer_options *)options)->kind = &sentencepiece_bpe_kind;
}

static const fr_option rows[] = {LEARN_OPTION_VOCABULARY, LEARN_OPTION_SAMPLE,
                                 LEARN_OPTION_MIN_COUNT, LEARN_OPTION_COVERAGE,
                                 LEARN_OPTION_SPECIAL};

const fr_tokenizer_kind sentencepiece_bpe_kind = {
    .base = {.name = "sentencepiece_bpe",
             .summary = "byte-pair encoding on characters, blanks among them, with bytes to fall "
                        "back on",
             .source = "Kudo and Richardson, arXiv 1808.06226",
             .options = {.name = "tokenizer.sentencepiece_bpe",
                         .options = rows,
                         .count = sizeof rows / sizeof *rows,
                         .size = sizeof(fr_tokenizer_options),
                         .defaults = defaults}},
    .train = train};
