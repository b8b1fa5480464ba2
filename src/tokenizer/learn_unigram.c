/* learn_unigram.c: the unigram kind: of all ways to cut a text the most probable one. */
#include "tokenizer/learn_kinds.h"
#include "tokenizer/unigram_train.h"
#include "tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>

static const char unknown[] = "<unk>";
/* What names of bytes are spelled with: always in the alphabet that has bytes to fall back on, so
   that a text with such a name in it is cut into characters and not into the byte. */
static const char name_characters[] = "<0x123456789ABCDEF>";

/* The unknown token, and the bytes when they are to fall back on. */
static size_t fixed_tokens(const fr_tokenizer_options *options)
{
    return options->byte_fallback ? 1 + 256 : 1;
}

static size_t name_count(const fr_tokenizer_options *options)
{
    return options->byte_fallback ? sizeof name_characters - 1 : 0;
}

/* ---- segments -------------------------------------------------------------------------------- */

typedef struct segments {
    segment *list;
    size_t count, capacity;
} segments;

static bool add_segment(segments *all, const char *text, size_t size, int64_t count)
{
    if (size == 0)
        return true;
    if (all->count == all->capacity) {
        size_t capacity = all->capacity ? 2 * all->capacity : 4096;
        segment *list = fr_realloc(all->list, capacity * sizeof *list, FR_MEMORY_DATA);
        if (!list)
            return false;
        all->list = list;
        all->capacity = capacity;
    }
    all->list[all->count++] = (segment){text, (uint32_t)size, count};
    return true;
}

/* A piece without the characters that are not in the alphabet. */
static bool cut_piece(segments *all, const lexicon *alphabet, const counted_piece *piece)
{
    size_t begin = 0;
    for (size_t at = 0, length; at < piece->size; at += length) {
        length = utf8_length((const unsigned char *)piece->text + at, piece->size - at);
        if (length && lexicon_find(alphabet, piece->text + at, length) >= 0)
            continue;
        length += length == 0;
        if (!add_segment(all, piece->text + begin, at - begin, piece->count))
            return false;
        begin = at + length;
    }
    return add_segment(all, piece->text + begin, piece->size - begin, piece->count);
}

static fr_status cut_pieces(segments *all, const lexicon *alphabet, const piece_counts *pieces,
                            fr_error *error)
{
    const counted_piece **sorted;
    FR_TRY(piece_counts_sort(pieces, &sorted, error));
    bool fine = true;
    for (size_t i = 0; fine && i < pieces->count; i++)
        fine = cut_piece(all, alphabet, sorted[i]);
    fr_free(sorted);
    return fine ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for pieces of text");
}

/* ---- rounds ---------------------------------------------------------------------------------- */

/* A tenth more than wanted is left for the last fit to choose from. */
static size_t enough(size_t room)
{
    return room + room / 10;
}

static fr_status run_rounds(unigram_tokens *tokens, const segments *text,
                            const fr_tokenizer_options *options, size_t room, fr_error *error)
{
    for (;;) {
        for (int64_t i = 0; i < options->passes; i++)
            FR_TRY(unigram_fit(tokens, text->list, text->count, error));
        size_t count = tokens->list.count;
        if (count <= enough(room))
            return FR_OK;
        size_t fewer = (size_t)((double)count * options->shrink);
        FR_TRY(unigram_prune(tokens, text->list, text->count,
                             fewer > enough(room) ? fewer : enough(room), error));
    }
}

typedef struct final_token {
    const char *text;
    size_t size;
    double score;
    bool stays;
} final_token;

static int compare_final(const void *a, const void *b)
{
    const final_token *x = a, *y = b;
    if (x->score < y->score || x->score > y->score)
        return x->score > y->score ? -1 : 1;
    size_t least = x->size < y->size ? x->size : y->size;
    int order = memcmp(x->text, y->text, least);
    return order ? order : x->size < y->size ? -1 : x->size > y->size;
}

/* The alphabet and the most probable others, `room` in all, the most probable first. */
static bool choose(blueprint *out, const unigram_tokens *tokens, size_t room, double **score)
{
    size_t count = tokens->list.count, fixed = out->tokens.count, left = room - tokens->alphabet;
    final_token *list = fr_alloc_array(count + 1, sizeof *list, FR_MEMORY_DATA);
    *score = fr_alloc_array(fixed + room + 1, sizeof **score, FR_MEMORY_DATA);
    bool fine = list && *score;
    for (size_t i = 0; fine && i < count; i++) {
        list[i].text = lexicon_get(&tokens->list, i, &list[i].size);
        list[i].score = tokens->score[i];
        list[i].stays = i < tokens->alphabet;
    }
    double least = 0;
    if (fine)
        qsort(list, count, sizeof *list, compare_final);
    for (size_t i = 0; fine && i < count; i++) {
        if (!list[i].stays && left == 0)
            continue;
        left -= !list[i].stays;
        (*score)[out->tokens.count] = least = list[i].score;
        fine = lexicon_add(&out->tokens, list[i].text, list[i].size);
    }
    /* Names of bytes and of the unknown token are never what a text is cut into: spelling them out,
       in six characters at most, is more probable. */
    for (size_t i = 0; fine && i < fixed; i++)
        (*score)[i] = 8 * least - 1;
    fr_free(list);
    return fine;
}

static fr_status make_alphabet(unigram_tokens *tokens, const fr_tokenizer_options *options,
                               const piece_counts *pieces, size_t room, fr_error *error)
{
    size_t names = name_count(options);
    FR_TRY(alphabet_of_pieces(&tokens->list, pieces, "", options->coverage, (room - names) / 2,
                              error));
    bool fine = true;
    for (size_t i = 0; fine && i < names; i++)
        if (lexicon_find(&tokens->list, &name_characters[i], 1) < 0)
            fine = lexicon_add(&tokens->list, &name_characters[i], 1);
    tokens->alphabet = tokens->list.count;
    tokens->score = fr_alloc_array(tokens->alphabet + 1, sizeof *tokens->score, FR_MEMORY_DATA);
    return fine && tokens->score ? FR_OK
                                 : fr_fail(error, FR_NO_MEMORY, "no memory for an alphabet");
}

static fr_status learn_tokens(unigram_tokens *tokens, const fr_tokenizer_options *options,
                              const piece_counts *pieces, size_t room, fr_error *error)
{
    segments text = {0};
    FR_TRY(make_alphabet(tokens, options, pieces, room, error));
    fr_status status = cut_pieces(&text, &tokens->list, pieces, error);
    if (status == FR_OK)
        status = unigram_candidates(tokens, text.list, text.count, options->longest,
                                    (size_t)options->candidates, options->min_count, error);
    if (status == FR_OK)
        status = run_rounds(tokens, &text, options, room, error);
    fr_free(text.list);
    return status;
}

static fr_status learn(blueprint *out, const fr_tokenizer_options *options,
                       const piece_counts *pieces, fr_error *error)
{
    size_t room = (size_t)options->vocabulary - options->special.count - fixed_tokens(options);
    unigram_tokens tokens = {0};
    double *score = NULL;
    bool fine = lexicon_add(&out->tokens, unknown, sizeof unknown - 1) &&
                (!options->byte_fallback || learn_add_bytes(&out->tokens));
    fr_status status = fine ? learn_tokens(&tokens, options, pieces, room, error)
                            : fr_fail(error, FR_NO_MEMORY, "no memory for a tokenizer");
    if (status == FR_OK && !choose(out, &tokens, room, &score))
        status = fr_fail(error, FR_NO_MEMORY, "no memory for a tokenizer");
    if (status == FR_OK)
        blueprint_write_unigram(out, score, 0, options->byte_fallback);
    unigram_tokens_free(&tokens);
    fr_free(score);
    return status;
}

/* ---- the kind -------------------------------------------------------------------------------- */

static fr_status train(fr_tokenizer **tokenizer, const void *given, fr_text_next *next,
                       void *context, fr_error *error)
{
    static const learn_method method = {learn_blank_stages, learn, learn_finish};
    const fr_tokenizer_options *options = given;
    *tokenizer = NULL;
    FR_TRY(learn_check(options, fixed_tokens(options) + name_count(options), error));
    return learn_with(tokenizer, &method, options, next, context, error);
}

static void defaults(void *options)
{
    fr_tokenizer_options *o = options;
    fr_tokenizer_options_defaults(o);
    o->kind = &unigram_kind;
    o->byte_fallback = true;
    o->longest = 16;
    o->candidates = 1000000;
    o->shrink = 0.75;
    o->passes = 2;
}

static const fr_option rows[] = {
    LEARN_OPTION_VOCABULARY,
    {"byte_fallback", FR_OPTION_BOOL, offsetof(fr_tokenizer_options, byte_fallback), NULL, 0, 0,
     NULL,
     "Characters without a token are written in bytes, which takes 256 entries; else they are "
     "unknown."},
    LEARN_OPTION_SAMPLE,
    {"min_count", FR_OPTION_INT, offsetof(fr_tokenizer_options, min_count), "times", 1, 1e15, NULL,
     "A string that is seen less often is no candidate."},
    LEARN_OPTION_COVERAGE,
    {"longest", FR_OPTION_INT, offsetof(fr_tokenizer_options, longest), "characters", 1, 64, NULL,
     "Characters of a token at most."},
    {"candidates", FR_OPTION_INT, offsetof(fr_tokenizer_options, candidates), "tokens", 1, 1 << 24,
     NULL, "Strings to begin with: those with the largest product of times seen and length."},
    {"shrink", FR_OPTION_FLOAT, offsetof(fr_tokenizer_options, shrink), NULL, 0.1, 0.95, NULL,
     "Share of its tokens that a round keeps."},
    {"passes", FR_OPTION_INT, offsetof(fr_tokenizer_options, passes), "passes", 1, 100, NULL,
     "Passes of expectation maximisation in a round."},
    LEARN_OPTION_SPECIAL,
};

const fr_tokenizer_kind unigram_kind = {
    .base = {.name = "unigram",
             .summary = "the most probable cut of a text by a unigram model, with bytes to fall "
                        "back on",
             .source = "Kudo, arXiv 1804.10959, section 3.2",
             .options = {.name = "tokenizer.unigram",
                         .options = rows,
                         .count = sizeof rows / sizeof *rows,
                         .size = sizeof(fr_tokenizer_options),
                         .defaults = defaults}},
    .train = train};
