/* decode.h: generation: sampling, batches of prompts, streaming. */
#ifndef FRUGAL_DECODE_H
#define FRUGAL_DECODE_H

#include "frugal/data.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fr_sampling_options {
    double temperature;        /* 0: greedy */
    int64_t top_k;             /* 0: off */
    double top_p, min_p;       /* 1 and 0: off */
    double repetition_penalty; /* 1: off (CTRL, arXiv 1909.05858: divide positive, multiply negative logits of seen ids) */
    int64_t max_tokens;
    fr_strings stop;           /* strings that end the text (not printed) */
    int64_t seed;
} fr_sampling_options;
extern const fr_option_table fr_sampling_option_table;

/* Pick an id from logits (V) by the options; `history` are the ids so far; the random number is keyed by (seed, row, position). */
int32_t fr_sample(const float *logits, int64_t vocabulary, const fr_sampling_options *options, const int32_t *history, size_t count,
                  int64_t row, int64_t position);

/* Called with each finished piece of text (whole UTF-8 characters) of a row; false stops that row. */
typedef bool fr_generate_callback(void *context, int64_t row, const char *text, size_t size);
typedef struct fr_generate_result {
    int64_t prompt_tokens, new_tokens;
    double prompt_seconds, decode_seconds;
} fr_generate_result;
/* Continue `count` prompts together. Ends a row at end-of-text, a stop string, max_tokens or the model's context. An empty
   prompt starts from end-of-text. */
fr_status fr_generate(fr_model *model, const fr_tokenizer *tokenizer, const char *const *prompts, size_t count,
                      const fr_sampling_options *options, fr_generate_callback *callback, void *context, fr_generate_result *result,
                      fr_error *error);

/* ---- evaluation --------------------------------------------------------------------------------------------------------------- */

typedef struct fr_evaluation {
    double loss;          /* nats per predicted token */
    double perplexity;
    double bits_per_byte; /* summed nats / ln 2 / bytes */
    int64_t tokens, bytes, documents;
    double seconds;
} fr_evaluation;
/* Documents one by one (each begins after end-of-text, which is not scored but whose successor is); windows of the model's context, every
   token scored exactly once with at least `stride` tokens... see docs/evaluation.md. */
fr_status fr_evaluate(fr_model *model, const fr_tokenizer *tokenizer, fr_text_next *next, void *text_context, int64_t length,
                      fr_evaluation *result, fr_error *error);

#ifdef __cplusplus
}
#endif
#endif
