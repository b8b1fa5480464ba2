/* kinds.c: the tokenizers that can be made, and their options. */
#include "tokenizer/byte_level.h"
#include "tokenizer/train.h"

#include <string.h>

/* ---- byte ------------------------------------------------------------------------------------ */

fr_status fr_tokenizer_create_bytes(fr_tokenizer **tokenizer, fr_error *error)
{
    char bytes[256], end[] = "<|endoftext|>";
    size_t start[257];
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        start[i] = (size_t)i;
    }
    start[256] = 256;
    char *special[] = {end};
    vocabulary tokens = {bytes, start, 256};
    fr_strings names = {special, 1};
    tokenizer_draft draft = {.tokens = &tokens, .pattern = PATTERN_NONE, .special = &names};
    return tokenizer_from_draft(tokenizer, &draft, error);
}

static fr_status train_bytes(fr_tokenizer **tokenizer, const void *options, fr_text_next *next,
                             void *context, fr_error *error)
{
    (void)options;
    (void)next; /* nothing to learn from the text */
    (void)context;
    return fr_tokenizer_create_bytes(tokenizer, error);
}

static const fr_tokenizer_kind byte_kind = {
    .base = {.name = "byte",
             .summary = "the 256 bytes and an end-of-text token; nothing to learn",
             .options = {.name = "tokenizer.byte"}},
    .train = train_bytes};

/* ---- bpe ------------------------------------------------------------------------------------- */

static fr_status check_options(const fr_tokenizer_options *options, fr_error *error)
{
    int64_t least = 256 + (int64_t)options->special.count;
    if (options->vocabulary < least || options->vocabulary > INT32_MAX)
        return fr_fail(error, FR_BAD_INPUT,
                       "tokenizer: vocabulary %lld found, at least %lld (256 bytes and %zu special "
                       "tokens) expected",
                       (long long)options->vocabulary, (long long)least, options->special.count);
    for (size_t i = 0; i < options->special.count; i++) {
        const char *token = options->special.items[i];
        if (strlen(token) < 2)
            return fr_fail(error, FR_BAD_INPUT,
                           "tokenizer: special token '%s' found, at least 2 bytes expected", token);
        for (size_t k = 0; k < i; k++)
            if (!strcmp(options->special.items[k], token))
                return fr_fail(error, FR_BAD_INPUT, "tokenizer: special token '%s' is named twice",
                               token);
    }
    return FR_OK;
}

fr_status fr_tokenizer_train(fr_tokenizer **tokenizer, const fr_tokenizer_options *options,
                             fr_text_next *next, void *context, fr_error *error)
{
    *tokenizer = NULL;
    FR_TRY(check_options(options, error));
    sample text = {0};
    piece_counts pieces = {0};
    learned result = {0};
    fr_status status = sample_draw(&text, options->sample, next, context, error);
    if (status == FR_OK)
        status = piece_counts_make(&pieces, &text, options->pattern, error);
    if (status == FR_OK)
        status =
            learn_merges(&result, &pieces, (size_t)options->vocabulary - options->special.count,
                         options->min_count, error);
    piece_counts_free(&pieces);
    sample_free(&text);
    if (status == FR_OK) {
        tokenizer_draft draft = {.tokens = &result.tokens,
                                 .merges = result.merges,
                                 .merge_count = result.merge_count,
                                 .pattern = options->pattern,
                                 .special = &options->special};
        status = tokenizer_from_draft(tokenizer, &draft, error);
    }
    learned_free(&result);
    return status;
}

void fr_tokenizer_options_defaults(void *options)
{
    fr_tokenizer_options *o = options;
    o->vocabulary = 0;
    o->pattern = PATTERN_GPT2;
    o->sample = (int64_t)64 << 20;
    o->min_count = 2;
    o->special.items = fr_alloc_array(1, sizeof *o->special.items, FR_MEMORY_OTHER);
    if (o->special.items && (o->special.items[0] = fr_string_copy("<|endoftext|>")))
        o->special.count = 1;
}

static const fr_option bpe_options[] = {
    {"vocabulary", FR_OPTION_INT, offsetof(fr_tokenizer_options, vocabulary), "tokens", 0, 1 << 24,
     NULL,
     "Entries including the 256 bytes and the special tokens; 0 chooses by the amount of text."},
    {"pattern", FR_OPTION_CHOICE, offsetof(fr_tokenizer_options, pattern), NULL, 0, 0,
     fr_tokenizer_patterns,
     "How text is cut into the pieces that merges stay inside of; none lets them cross words, and "
     "learning then takes some 40 bytes of memory for each byte of the sample."},
    {"sample", FR_OPTION_BYTES, offsetof(fr_tokenizer_options, sample), "bytes", 1, 1 << 30, NULL,
     "Bytes of text to learn from at most, drawn evenly from all documents."},
    {"min_count", FR_OPTION_INT, offsetof(fr_tokenizer_options, min_count), "times", 1, 1e15, NULL,
     "A pair that is seen less often is not merged."},
    {"special", FR_OPTION_STRINGS, offsetof(fr_tokenizer_options, special), NULL, 0, 0, NULL,
     "Special tokens, whose ids follow all others; the first ends a text."},
};

static fr_status train_bpe(fr_tokenizer **tokenizer, const void *options, fr_text_next *next,
                           void *context, fr_error *error)
{
    return fr_tokenizer_train(tokenizer, options, next, context, error);
}

static const fr_tokenizer_kind bpe_kind = {
    .base = {.name = "bpe",
             .summary = "byte-level byte-pair encoding",
             .source =
                 "Sennrich et al., arXiv 1508.07909; on bytes: Radford et al. 2019, section 2.2",
             .options = {.name = "tokenizer.bpe",
                         .options = bpe_options,
                         .count = sizeof bpe_options / sizeof *bpe_options,
                         .size = sizeof(fr_tokenizer_options),
                         .defaults = fr_tokenizer_options_defaults}},
    .train = train_bpe};

static const fr_kind *const entries[] = {&bpe_kind.base, &byte_kind.base, NULL};
const fr_registry fr_tokenizers = {"tokenizer", "bytes <-> ids", entries};
