/* learn_wordpiece.c: BERT's vocabularies: words without capitals and accents, cut at blanks and
   signs; parts of words that do not begin them are marked "##".

   Learned as Hugging Face's WordPieceTrainer learns them, by merging the most frequent pair; the
   likelihood criterion of the original was never published. */
#include "tokenizer/learn_kinds.h"

/* Their ids are 0 to 4, as everywhere; [SEP] ends a text. */
static const char *const own[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
enum { OWN = sizeof own / sizeof *own, LONGEST_WORD = 100 };

static void stages(blueprint *out, const fr_tokenizer_options *options)
{
    blueprint_set(out, &out->normalizer,
                  json_pack("{s:s, s:b, s:b, s:n, s:b}", "type", "BertNormalizer", "clean_text", 1,
                            "handle_chinese_chars", 1, "strip_accents", "lowercase",
                            options->lower_case));
    blueprint_set(out, &out->pre_tokenizer, json_pack("{s:s}", "type", "BertPreTokenizer"));
    blueprint_set(out, &out->decoder,
                  json_pack("{s:s, s:s, s:b}", "type", "WordPiece", "prefix", "##", "cleanup", 1));
}

static fr_status learn(blueprint *out, const fr_tokenizer_options *options,
                       const piece_counts *pieces, fr_error *error)
{
    size_t size = (size_t)options->vocabulary - options->special.count;
    learned result = {0};
    bool fine = true;
    for (int i = 0; fine && i < OWN; i++)
        fine = lexicon_add(&result.tokens, own[i], 5 + (own[i][1] == 'M'));
    fr_status status = fine ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a tokenizer");
    if (status == FR_OK)
        status = alphabet_of_pieces(&result.tokens, pieces, "##", options->coverage,
                                    (size - OWN) / 2, error);
    if (status == FR_OK)
        status = learn_merges(&result, pieces, &(spelling){false, "##"}, size, options->min_count,
                              error);
    out->tokens = result.tokens;
    result.tokens = (lexicon){0};
    learned_free(&result);
    blueprint_write_wordpiece(out, "[UNK]", "##", LONGEST_WORD);
    return status;
}

static fr_status finish(fr_tokenizer **tokenizer, blueprint *out,
                        const fr_tokenizer_options *options, fr_error *error)
{
    static const char *const names[NAMED_TOKENS] = {
        [TOKEN_EOS] = "[SEP]", [TOKEN_UNK] = "[UNK]", [TOKEN_SEP] = "[SEP]",
        [TOKEN_PAD] = "[PAD]", [TOKEN_CLS] = "[CLS]", [TOKEN_MASK] = "[MASK]"};
    static const char *const single[] = {"[CLS]", "$A", "[SEP]", NULL};
    static const char *const pair[] = {"[CLS]", "$A", "[SEP]", "$B", "[SEP]", NULL};
    for (int i = 0; i < OWN; i++)
        blueprint_add(out, &(blueprint_added){.content = own[i], .special = true});
    learn_add_special(out, &options->special);
    FR_TRY(blueprint_template(out, single, pair, error));
    settings from = {.root =
                         json_pack("{s:s, s:b, s:b, s:n, s:b}", "tokenizer_class", "BertTokenizer",
                                   "do_lower_case", options->lower_case, "tokenize_chinese_chars",
                                   1, "strip_accents", "clean_up_tokenization_spaces", 0)};
    fr_status status = from.root ? blueprint_finish(out, tokenizer, &from, "BertTokenizer", names,
                                                    "the new tokenizer", error)
                                 : fr_fail(error, FR_NO_MEMORY, "no memory for a tokenizer");
    json_decref(from.root);
    return status;
}

static fr_status train(fr_tokenizer **tokenizer, const void *given, fr_text_next *next,
                       void *context, fr_error *error)
{
    static const learn_method method = {stages, learn, finish};
    const fr_tokenizer_options *options = given;
    *tokenizer = NULL;
    FR_TRY(learn_check(options, OWN, error));
    return learn_with(tokenizer, &method, options, next, context, error);
}

static void defaults(void *options)
{
    fr_tokenizer_options *o = options;
    fr_tokenizer_options_defaults(o);
    fr_strings_free(&o->special);
    o->kind = &wordpiece_kind;
    o->lower_case = true;
}

static const fr_option rows[] = {
    LEARN_OPTION_VOCABULARY,
    {"lower_case", FR_OPTION_BOOL, offsetof(fr_tokenizer_options, lower_case), NULL, 0, 0, NULL,
     "Text loses its capitals and accents."},
    LEARN_OPTION_SAMPLE,
    LEARN_OPTION_MIN_COUNT,
    LEARN_OPTION_COVERAGE,
    {"special", FR_OPTION_STRINGS, offsetof(fr_tokenizer_options, special), NULL, 0, 0, NULL,
     "Special tokens besides [PAD], [UNK], [CLS], [SEP] and [MASK], whose ids follow all others."},
};

const fr_tokenizer_kind wordpiece_kind = {
    .base = {.name = "wordpiece",
             .summary = "words and parts of words without capitals, as BERT has them",
             .source = "Devlin et al., arXiv 1810.04805, section 3.1; learned by merging pairs",
             .options = {.name = "tokenizer.wordpiece",
                         .options = rows,
                         .count = sizeof rows / sizeof *rows,
                         .size = sizeof(fr_tokenizer_options),
                         .defaults = defaults}},
    .train = train};
