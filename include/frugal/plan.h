/* plan.h: what to train for a budget: the rule that `frugal make` and `frugal plan` follow. docs/sizing.md says where its
   numbers come from. */
#ifndef FRUGAL_PLAN_H
#define FRUGAL_PLAN_H

#include "frugal/machine.h"
#include "frugal/options.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- budgets ------------------------------------------------------------------------------------------------------- */

typedef enum fr_budget_kind { FR_BUDGET_SECONDS, FR_BUDGET_FLOPS, FR_BUDGET_TOKENS } fr_budget_kind;
typedef struct fr_budget {
    fr_budget_kind kind;
    double amount; /* seconds, floating-point operations, or tokens */
    char text[64]; /* as the user wrote it */
} fr_budget;
/* "90s", "5m", "2h", "1d"; "2e15flops", "3 PFLOP"; "10M tokens"; and money, "0.50 EUR" or "$2", which becomes time at
   `price_per_hour` (in the same currency; 0: not given, an error for money). */
fr_status fr_budget_parse(const char *text, double price_per_hour, fr_budget *budget,
                          fr_error *error);

/* ---- sizes ----------------------------------------------------------------------------------------------------------- */

typedef struct fr_sizing_request {
    fr_budget budget; /* seconds: what is left for training alone */
    const fr_machine *machine;
    int64_t text_tokens; /* distinct training tokens there are */
    int64_t vocabulary;
    size_t memory; /* bytes that may be used */
} fr_sizing_request;

typedef struct fr_sizing {
    /* the model: a LLaMA-like decoder with query-key norms (Qwen3) */
    int64_t layers, hidden, ffn, heads, kv_heads, head_width;
    /* the batch */
    int64_t length, micro_batch, accumulation;
    /* the optimizer: Muon for hidden matrices, AdamW for the rest */
    double muon_rate, adamw_rate, weight_decay;
    /* what that comes to */
    int64_t body_parameters, parameters; /* without and with the embedding */
    double flops_per_token;              /* forward and backward */
    double flops_per_second;             /* that a step is expected to reach */
    double flops, tokens, epochs, steps;
    char reason[512]; /* why these sizes, in a sentence or two */
} fr_sizing;
/* FR_BAD_INPUT when the budget is too small for even the smallest model to see anything. */
fr_status fr_sizing_choose(const fr_sizing_request *request, fr_sizing *sizing, fr_error *error);
/* FLOP/s that a training step of a model of this width is expected to reach on the machine. */
double fr_sizing_rate(int64_t hidden, const fr_machine *machine);
/* A recipe for `frugal train` with these sizes on the data in `data_folder` (written by `frugal data`). */
void fr_sizing_write_recipe(const fr_sizing *sizing, const fr_budget *training,
                            const char *data_folder, int64_t seed, fr_buffer *recipe);
/* The vocabulary that pays for this many bytes of text and this much arithmetic (0: not known). */
int64_t fr_sizing_vocabulary(int64_t bytes, double flops);

#ifdef __cplusplus
}
#endif
#endif
