/* learn_kinds.c: from documents to a tokenizer: what all kinds that learn on characters do alike.

   The stages around the model are written first and loaded with a model that knows nothing; that
   tokenizer cuts the sample. So the pieces that are counted are those that the finished tokenizer
   will hand to its model, whatever the stages are. */
#include "tokenizer/learn_kinds.h"

#include <string.h>

fr_status learn_check(const fr_tokenizer_options *options, size_t fixed, fr_error *error)
{
    int64_t least = (int64_t)(fixed + options->special.count);
    if (options->vocabulary < least || options->vocabulary > INT32_MAX)
        return fr_fail(error, FR_BAD_INPUT,
                       "tokenizer: vocabulary %lld found, at least %lld expected: %zu that every "
                       "such vocabulary has, and %zu special tokens",
                       (long long)options->vocabulary, (long long)least, fixed,
                       options->special.count);
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
    const fr_tokenizer_kind *kind = options->kind ? options->kind : &bpe_kind;
    return kind->train(tokenizer, options, next, context, error);
}

/* A tokenizer with the stages whose model knows one token. */
static fr_status make_cutter(fr_tokenizer **cutter, const learn_method *method,
                             const fr_tokenizer_options *options, fr_error *error)
{
    blueprint plan = {0};
    if (!lexicon_add(&plan.tokens, "[UNK]", 5))
        plan.failed = true;
    blueprint_write_wordpiece(&plan, "[UNK]", "##", 100);
    method->stages(&plan, options);
    return blueprint_finish(&plan, cutter, NULL, NULL, NULL, "the new tokenizer", error);
}

static fr_status count_pieces(piece_counts *pieces, const learn_method *method,
                              const fr_tokenizer_options *options, const sample *text,
                              fr_error *error)
{
    fr_tokenizer *cutter;
    FR_TRY(make_cutter(&cutter, method, options, error));
    fr_status status = piece_counts_cut(pieces, text, cutter, error);
    fr_tokenizer_free(cutter);
    return status;
}

void learn_add_special(blueprint *out, const fr_strings *special)
{
    for (size_t i = 0; i < special->count; i++)
        blueprint_add(out, &(blueprint_added){.content = special->items[i], .special = true});
}

fr_status learn_with(fr_tokenizer **tokenizer, const learn_method *method,
                     const fr_tokenizer_options *options, fr_text_next *next, void *context,
                     fr_error *error)
{
    sample text = {0};
    piece_counts pieces = {0};
    blueprint out = {0};
    *tokenizer = NULL;
    fr_status status = sample_draw(&text, options->sample, next, context, error);
    if (status == FR_OK)
        status = count_pieces(&pieces, method, options, &text, error);
    sample_free(&text);
    if (status == FR_OK)
        status = method->learn(&out, options, &pieces, error);
    piece_counts_free(&pieces);
    if (status == FR_OK) {
        method->stages(&out, options);
        status = method->finish(tokenizer, &out, options, error);
    }
    blueprint_free(&out);
    return status;
}

fr_status learn_finish(fr_tokenizer **tokenizer, blueprint *out,
                       const fr_tokenizer_options *options, fr_error *error)
{
    int32_t end = options->special.count ? (int32_t)out->tokens.count : -1;
    learn_add_special(out, &options->special);
    FR_TRY(blueprint_finish(out, tokenizer, NULL, NULL, NULL, "the new tokenizer", error));
    (*tokenizer)->end_of_text = end;
    return FR_OK;
}

bool learn_add_bytes(lexicon *tokens)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", byte);
        if (!lexicon_add(tokens, name, strlen(name)))
            return false;
    }
    return true;
}
