/* learn_bpe.c: byte-level byte-pair encoding, and the tokenizer that is bytes alone. */
#include "tokenizer/learn_kinds.h"

#include <string.h>

const char *const fr_tokenizer_patterns[] = {"gpt2", "llama3", "none", NULL};

bool tokenizer_pattern_split(int pattern, split *out)
{
    *out = (split){.kind = pattern == PATTERN_GPT2 ? SPLIT_GPT2 : SPLIT_LLAMA3,
                   .keep_matches = true,
                   .keep_gaps = true,
                   .digits = 3};
    return pattern != PATTERN_NONE;
}

/* ---- writing --------------------------------------------------------------------------------- */

static json_t *byte_level(bool regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 0, "use_regex", regex);
}

static void set_stages(blueprint *out, int pattern)
{
    json_t *cut = byte_level(pattern == PATTERN_GPT2);
    if (pattern == PATTERN_LLAMA3)
        cut = json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence",
                        "pretokenizers", "type", "Split", "pattern", "Regex", split_llama3_pattern,
                        "behavior", "Isolated", "invert", 0, cut);
    blueprint_set(out, &out->pre_tokenizer, cut);
    blueprint_set(out, &out->post_processor, byte_level(true));
    blueprint_set(out, &out->decoder, byte_level(true));
}

/* The tokenizer of tokens and merges; the special ones follow, the first ends a text. */
static fr_status finish(fr_tokenizer **tokenizer, learned *from, int pattern,
                        const fr_strings *special, fr_error *error)
{
    blueprint out = {.tokens = from->tokens, .byte_level = true};
    int32_t end = special->count ? (int32_t)from->tokens.count : -1;
    from->tokens = (lexicon){0};
    blueprint_write_bpe(&out, &(blueprint_bpe){0}, from->merges, from->merge_count);
    set_stages(&out, pattern);
    learn_add_special(&out, special);
    FR_TRY(blueprint_finish(&out, tokenizer, NULL, NULL, NULL, "the new tokenizer", error));
    (*tokenizer)->end_of_text = end;
    return FR_OK;
}

/* ---- byte ------------------------------------------------------------------------------------ */

fr_status fr_tokenizer_create_bytes(fr_tokenizer **tokenizer, fr_error *error)
{
    char end[] = "<|endoftext|>", *special[] = {end};
    learned bytes = {0};
    bool fine = true;
    *tokenizer = NULL;
    for (int i = 0; fine && i < 256; i++)
        fine = lexicon_add(&bytes.tokens, &(char){(char)i}, 1);
    fr_status status =
        fine ? finish(tokenizer, &bytes, PATTERN_NONE, &(fr_strings){special, 1}, error)
             : fr_fail(error, FR_NO_MEMORY, "no memory for a tokenizer");
    learned_free(&bytes);
    return status;
}

static fr_status train_bytes(fr_tokenizer **tokenizer, const void *options, fr_text_next *next,
                             void *context, fr_error *error)
{
    (void)options;
    (void)next; /* nothing to learn from the text */
    (void)context;
    return fr_tokenizer_create_bytes(tokenizer, error);
}

const fr_tokenizer_kind byte_kind = {
    .base = {.name = "byte",
             .summary = "the 256 bytes and an end-of-text token; nothing to learn",
             .options = {.name = "tokenizer.byte"}},
    .train = train_bytes};

/* ---- bpe ------------------------------------------------------------------------------------- */

static fr_status train_bpe(fr_tokenizer **tokenizer, const void *given, fr_text_next *next,
                           void *context, fr_error *error)
{
    const fr_tokenizer_options *options = given;
    *tokenizer = NULL;
    FR_TRY(learn_check(options, 256, error));
    sample text = {0};
    piece_counts pieces = {0};
    learned result = {0};
    fr_status status = sample_draw(&text, options->sample, next, context, error);
    if (status == FR_OK)
        status = piece_counts_make(&pieces, &text, options->pattern, error);
    if (status == FR_OK && !alphabet_of_bytes(&result.tokens))
        status = fr_fail(error, FR_NO_MEMORY, "no memory for a tokenizer");
    if (status == FR_OK)
        status = learn_merges(&result, &pieces, &(spelling){true, ""},
                              (size_t)options->vocabulary - options->special.count,
                              options->min_count, error);
    piece_counts_free(&pieces);
    sample_free(&text);
    if (status == FR_OK)
        status = finish(tokenizer, &result, options->pattern, &options->special, error);
    learned_free(&result);
    return status;
}

void fr_tokenizer_options_defaults(void *options)
{
    fr_tokenizer_options *o = options;
    o->kind = &bpe_kind;
    o->vocabulary = 0;
    o->pattern = PATTERN_GPT2;
    o->sample = (int64_t)64 << 20;
    o->min_count = 2;
    o->coverage = 0.9995;
    o->special.items = fr_alloc_array(1, sizeof *o->special.items, FR_MEMORY_OTHER);
    if (o->special.items && (o->special.items[0] = fr_string_copy("<|endoftext|>")))
        o->special.count = 1;
}

static const fr_option bpe_options[] = {
    LEARN_OPTION_VOCABULARY,
    {"pattern", FR_OPTION_CHOICE, offsetof(fr_tokenizer_options, pattern), NULL, 0, 0,
     fr_tokenizer_patterns,
     "How text is cut into the pieces that merges stay inside of; none lets them cross words, and "
     "learning then takes some 40 bytes of memory for each byte of the sample."},
    LEARN_OPTION_SAMPLE,
    LEARN_OPTION_MIN_COUNT,
    LEARN_OPTION_SPECIAL,
};

const fr_tokenizer_kind bpe_kind = {
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
