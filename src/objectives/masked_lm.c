/* masked_lm.c: guess tokens that were hidden (BERT, arXiv 1810.04805, section 3.1): of the chosen ones most become the mask token, some a
   random token, some stay. Only the chosen positions go through the output matrix. The loss of a step is the mean over them.

   Which tokens are chosen depends on (seed, number of the micro-batch, place) alone. */
#include "frugal/operators.h"
#include "objectives/objectives.h"

typedef struct masked_options {
    double share, masked, random;
} masked_options;

static void defaults(void *options)
{
    *(masked_options *)options = (masked_options){.share = 0.15, .masked = 0.8, .random = 0.1};
}

#define FIELD(name) offsetof(masked_options, name)
static const fr_option options[] = {
    {"share", FR_OPTION_FLOAT, FIELD(share), NULL, 1e-3, 1, NULL, "Of the tokens that are chosen."},
    {"masked", FR_OPTION_FLOAT, FIELD(masked), NULL, 0, 1, NULL,
     "Of the chosen ones that become the mask token."},
    {"random", FR_OPTION_FLOAT, FIELD(random), NULL, 0, 1, NULL,
     "Of the chosen ones that become a random token; the others stay."},
};
#undef FIELD

enum { CHOOSE, REPLACE, TOKEN }; /* of the four numbers that a place draws */

/* The special tokens' own words; the mask has one of two names in all known files. */
static int32_t mask_of(const fr_tokenizer *tokenizer)
{
    int32_t id = fr_tokenizer_id(tokenizer, "[MASK]");
    return id >= 0 ? id : fr_tokenizer_id(tokenizer, "<mask>");
}

static fr_status init(fr_objective *objective, fr_error *error)
{
    const masked_options *o = objective->options;
    if (o->masked + o->random > 1)
        return fr_fail(error, FR_BAD_INPUT,
                       "objective.masked_lm: masked %g and random %g are more than all", o->masked,
                       o->random);
    if (!objective->tokenizer || mask_of(objective->tokenizer) < 0)
        return fr_fail(error, FR_BAD_INPUT,
                       "masked_lm needs a tokenizer with a token [MASK] or <mask>");
    return FR_OK;
}

/* A number of [0, 1) of 24 bits. */
static double uniform(uint32_t bits)
{
    return (double)(bits >> 8) / (1 << 24);
}

static int32_t hide(const fr_objective *objective, int32_t id, const uint32_t bits[4])
{
    const masked_options *o = objective->options;
    const fr_tokenizer *tokenizer = objective->tokenizer;
    double what = uniform(bits[REPLACE]);
    if (what < o->masked)
        return mask_of(tokenizer);
    if (what < o->masked + o->random)
        return (int32_t)(uniform(bits[TOKEN]) * (double)fr_tokenizer_size(tokenizer));
    return id;
}

static fr_status prepare(fr_objective *objective, fr_micro_batch *micro, uint64_t seed,
                         uint64_t number, fr_error *error)
{
    const masked_options *o = objective->options;
    const int64_t *shape = micro->fields[FR_FIELD_IDS].shape;
    int32_t *ids = fr_micro_batch_get(micro, FR_FIELD_IDS);
    int32_t *targets = fr_micro_batch_set(micro, FR_FIELD_TARGETS, FR_I32, 2, shape);
    const int32_t *lengths = fr_micro_batch_get(micro, FR_FIELD_LENGTHS);
    if (!targets)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a micro-batch");
    micro->targets = 0;
    for (int64_t i = 0; i < shape[0] * shape[1]; i++) {
        bool padding = lengths && i % shape[1] >= lengths[i / shape[1]];
        uint32_t bits[4];
        fr_random_bits(seed, FR_RANDOM_MASK, number, (uint64_t)i, bits);
        targets[i] = FR_IGNORE;
        if (padding || uniform(bits[CHOOSE]) >= o->share ||
            fr_tokenizer_is_special(objective->tokenizer, ids[i]))
            continue;
        targets[i] = ids[i];
        ids[i] = hide(objective, ids[i], bits);
        micro->targets++;
    }
    return FR_OK;
}

/* Places of the targets in the batch, and what they are: (M) each. On a shape-only tape as many as are expected. */
static bool chosen(fr_tape *tape, const fr_tensor *targets, double share, fr_tensor **places,
                   fr_tensor **wanted)
{
    const int32_t *host = fr_tensor_host((fr_tensor *)targets);
    int64_t count = 0, all = fr_tensor_count(targets);
    for (int64_t i = 0; host && i < all; i++)
        count += host[i] != FR_IGNORE;
    if (!host)
        count = (int64_t)(share * (double)all) + 1;
    if (count == 0)
        count = 1; /* a batch without any: one row that does not count */
    *places = fr_tape_tensor(tape, FR_I32, 1, &count);
    *wanted = fr_tape_tensor(tape, FR_I32, 1, &count);
    int32_t *place = *places ? fr_tensor_host(*places) : NULL,
            *word = *wanted ? fr_tensor_host(*wanted) : NULL;
    if (!place || !word)
        return *places && *wanted;
    place[0] = 0;
    word[0] = FR_IGNORE;
    for (int64_t i = 0, at = 0; host && i < all; i++)
        if (host[i] != FR_IGNORE) {
            place[at] = (int32_t)i;
            word[at++] = host[i];
        }
    return true;
}

static fr_tensor *loss(fr_objective *objective, fr_tape *tape, const fr_batch *batch, float scale)
{
    const masked_options *o = objective->options;
    fr_tensor *places, *wanted, *hidden = fr_model_hidden(objective->model, tape, batch, NULL);
    if (!hidden || !chosen(tape, batch->targets, o->share, &places, &wanted))
        return NULL;
    fr_tensor *rows = fr_reshape(tape, hidden, 2, (const int64_t[]){-1, hidden->shape[2]});
    return fr_model_cross_entropy(objective->model, tape, fr_gather(tape, rows, places), wanted,
                                  NULL, scale, NULL);
}

const fr_objective_kind fr_masked_lm = {
    .base = {"masked_lm",
             "Guess tokens that were hidden (BERT).",
             "arXiv 1810.04805",
             {"objective.masked_lm", options, sizeof options / sizeof *options,
              sizeof(masked_options), defaults}},
    .loss = loss,
    .init = init,
    .prepare = prepare,
    .task = FR_TASK_MASKED_LM,
    .packed = true,
    .examples = FR_EXAMPLES_TEXT,
};
