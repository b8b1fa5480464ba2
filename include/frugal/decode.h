/* decode.h: generation (sampling, batches of prompts, streaming) and evaluation. docs/generation.md
   and docs/evaluation.md say the same for users. */
#ifndef FRUGAL_DECODE_H
#define FRUGAL_DECODE_H

#include "frugal/data.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- sampling -------------------------------------------------------------------------------- */

typedef struct fr_sampling_options {
    double temperature;        /* logits are divided by it; 0: greedy, the filters do not matter */
    int64_t top_k;             /* keep the k likeliest; 0: off */
    double top_p;              /* keep the fewest tokens whose probabilities reach p; 1: off */
    double min_p;              /* keep tokens with this fraction of the top probability; 0: off */
    double repetition_penalty; /* divide positive, multiply negative logits of seen ids by it
                                  (CTRL, arXiv 1909.05858); 1: off */
    int64_t max_tokens;        /* new tokens at most; 0: as many as the context holds */
    fr_strings stop;           /* strings that end the text (not printed) */
    int64_t seed;
} fr_sampling_options;
extern const fr_option_table fr_sampling_option_table;

/* Picks ids from logits. The order is that of transformers: repetition penalty, temperature, top-k,
   top-p over what top-k left, min-p, then a draw. Among equal logits the smaller id comes first, so
   top-k keeps exactly k. `options` is kept by reference. A sampler holds scratch memory and belongs
   to one thread; picking allocates nothing. */
typedef struct fr_sampler fr_sampler;
fr_status fr_sampler_create(fr_sampler **sampler, int64_t vocabulary,
                            const fr_sampling_options *options, fr_error *error);
void fr_sampler_destroy(fr_sampler *sampler);
/* From logits (V); `history` are the ids so far, prompt included. The random number is keyed by
   (seed, row, position). -1 when the logits hold a NaN, a plus infinity, or nothing finite. */
int32_t fr_sampler_pick(fr_sampler *sampler, const float *logits, const int32_t *history,
                        size_t count, int64_t row, int64_t position);

/* ---- generation ------------------------------------------------------------------------------ */

/* Called with each finished piece of a row's new text: whole UTF-8 characters, never a part of a
   stop string; bytes that form no character come as U+FFFD, one for each broken sequence. Special
   tokens give no text. False stops that row. */
typedef bool fr_generate_callback(void *context, int64_t row, const char *text, size_t size);

typedef enum fr_generate_end {
    FR_END_OF_TEXT, /* the model ended it */
    FR_END_STOP,    /* a stop string came */
    FR_END_TOKENS,  /* max_tokens are made */
    FR_END_CONTEXT, /* the model's context is full */
    FR_END_CALLER   /* the callback said so, or an interruption */
} fr_generate_end;
/* "end_of_text", "stop", "max_tokens", "context", "caller" */
const char *fr_generate_end_name(fr_generate_end end);
typedef struct fr_generate_row {
    int64_t prompt_tokens, new_tokens;
    fr_generate_end end;
} fr_generate_row;
typedef struct fr_generate_result {
    int64_t prompt_tokens, new_tokens; /* of all rows */
    double prompt_seconds, decode_seconds;
} fr_generate_result;
/* Continue `count` prompts. A row's text depends on its prompt, its number and the options, not on
   the other rows nor on the number of threads. An empty prompt starts from the model's
   beginning-of-text token; one that leaves no room in the context is an error, found before any
   text comes out. rows (`count` of them), result and callback may be NULL. Stops with
   FR_INTERRUPTED when fr_interrupted(), after giving out the text so far. */
fr_status fr_generate(fr_model *model, const fr_tokenizer *tokenizer, const char *const *prompts,
                      size_t count, const fr_sampling_options *options,
                      fr_generate_callback *callback, void *context, fr_generate_row *rows,
                      fr_generate_result *result, fr_error *error);

/* The same from ids as they are (nothing is added to them); `ends` are ids that end a text besides the model's own. */
fr_status fr_generate_ids(fr_model *model, const fr_tokenizer *tokenizer, const fr_ids *prompts,
                          size_t count, const int32_t *ends, size_t end_count,
                          const fr_sampling_options *options, fr_generate_callback *callback,
                          void *context, fr_generate_row *rows, fr_generate_result *result,
                          fr_error *error);

/* ---- sentence embeddings --------------------------------------------------------------------- */

/* A vector for each of `count` texts, in their order: out (count, poolings * C). Long texts are cut to
   what the sentence encoder and the model take. What a text gives does not depend on the others
   beyond rounding. FR_INTERRUPTED when fr_interrupted(). */
fr_status fr_embed(fr_model *model, const fr_tokenizer *tokenizer, const fr_sentence *sentence,
                   const char *const *texts, size_t count, float *out, fr_error *error);

/* ---- evaluation ------------------------------------------------------------------------------ */

typedef struct fr_evaluation {
    double loss; /* nats per predicted token */
    double perplexity;
    double bits_per_byte; /* summed nats / ln 2 / bytes */
    double nats;          /* summed */
    int64_t tokens, bytes, documents;
    double seconds; /* of computing, all groups together */
} fr_evaluation;

/* Scores documents, each beginning after the model's beginning-of-text token, which is not scored;
   nor is the document's end. A document longer than `length` tokens is read in windows of `length`
   that advance by half of it, and a token counts where it is first predicted, so each exactly once.
   Documents are packed into rows and rows batched. `length` 0: the model's context. */
typedef struct fr_evaluator fr_evaluator;
fr_status fr_evaluator_create(fr_evaluator **evaluator, fr_model *model,
                              const fr_tokenizer *tokenizer, int64_t length, fr_error *error);
void fr_evaluator_destroy(fr_evaluator *evaluator);
/* One document, counted in group 0, 1, ... (a file, a domain). It may be scored later.
   FR_INTERRUPTED when fr_interrupted(). */
fr_status fr_evaluator_add(fr_evaluator *evaluator, int64_t group, const char *text, size_t size,
                           fr_error *error);
/* The same from ids (without beginning or end) that stand for `bytes` bytes of text. */
fr_status fr_evaluator_add_ids(fr_evaluator *evaluator, int64_t group, const int32_t *ids,
                               size_t count, int64_t bytes, fr_error *error);
/* Score what waits and sum up a group, or all of them (-1). More may be added afterwards. A group
   without a scored token has loss 0 and tokens 0. A loss that is not finite is FR_NUMERIC. */
fr_status fr_evaluator_result(fr_evaluator *evaluator, int64_t group, fr_evaluation *result,
                              fr_error *error);
/* All of that for one stream of documents. */
fr_status fr_evaluate(fr_model *model, const fr_tokenizer *tokenizer, fr_text_next *next,
                      void *text_context, int64_t length, fr_evaluation *result, fr_error *error);

/* ---- for other programs ---- */

/* Model and tokenizer (NULL: none) as one GGUF file for llama.cpp, its matrices in `dtype`: f32, f16, bf16, q8_0, q4_0, q4_k, q6_k
   (fr_model_gguf). Whole or not at all; what llama.cpp would compute otherwise is refused by name. docs/gguf.md. */
fr_status fr_gguf_save(const fr_model *model, const fr_tokenizer *tokenizer, const char *path,
                       fr_dtype dtype, fr_error *error);

#ifdef __cplusplus
}
#endif
#endif
