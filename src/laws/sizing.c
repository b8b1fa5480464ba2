/* sizing.c: how large a model, how many tokens and which rates a budget pays for.

   The rule is simple and its numbers were measured (docs/sizing.md): of a ladder of shapes take the largest one that still sees
   TOKENS_PER_PARAMETER tokens for every parameter within the arithmetic that the budget buys. Chinchilla's law (arXiv 2203.15556)
   says the same with about 20. Text that is read again counts less each time (arXiv 2305.16264, eq. 5), so a small text
   bounds the size whatever the budget. */
#include "frugal/plan.h"

#include <math.h>
#include <stdio.h>

typedef struct shape {
    int64_t layers, hidden, head_width;
} shape;

/* Depth grows more slowly than width; head widths are those that the attention kernels like. */
static const shape ladder[] = {
    {2, 64, 32},    {3, 96, 32},     {3, 128, 32},    {4, 160, 32},    {4, 192, 64},
    {5, 256, 64},   {6, 320, 64},    {7, 384, 64},    {8, 448, 64},    {8, 512, 64},
    {10, 640, 64},  {12, 768, 64},   {14, 896, 64},   {16, 1024, 64},  {18, 1280, 64},
    {20, 1536, 64}, {22, 1792, 128}, {24, 2048, 128}, {28, 2560, 128}, {32, 3072, 128},
};
enum { SHAPES = sizeof ladder / sizeof *ladder };

static const double TOKENS_PER_PARAMETER = 2.3;
static const double REPEATS_THAT_COUNT = 15.4; /* R*_D of arXiv 2305.16264 */
static const double LEAST_STEPS = 20.0;
/* Tokens that an evaluation reads, for each one that is learned from: reading costs a third of learning, so that eight of them cost
   2 % of a run. */
static const double EVALUATED = 0.006;

static void describe_shape(const shape *s, int64_t vocabulary, fr_sizing *sizing)
{
    int64_t ffn = (8 * s->hidden / 3 + 16) / 32 * 32;
    sizing->layers = s->layers;
    sizing->hidden = s->hidden;
    sizing->head_width = s->head_width;
    sizing->heads = sizing->kv_heads = s->hidden / s->head_width;
    sizing->ffn = ffn;
    int64_t matrices = 4 * s->hidden * s->hidden + 3 * s->hidden * ffn;
    sizing->body_parameters =
        s->layers * (matrices + 2 * s->hidden + 2 * s->head_width) + s->hidden;
    sizing->parameters = sizing->body_parameters + vocabulary * s->hidden;
}

/* A multiply-add for every weight forward and two backward, the head included; attention reads half of `length` keys, and its scores
   are made once more on the way back; norms, activations and the softmax are the small rest. Within 5 % of the meter (a test). */
static double flops_per_token(const fr_sizing *sizing, int64_t vocabulary)
{
    double weights = (double)sizing->body_parameters + (double)(vocabulary * sizing->hidden);
    double attention = (double)(sizing->layers * sizing->hidden * sizing->length);
    double rest = 300 * (double)(sizing->layers * sizing->hidden) + 10 * (double)vocabulary;
    return 6 * weights + 7 * attention + rest;
}

/* Narrow models spend more of their time outside of matrix products: bench/train_step measured shares of the GEMM rate of 80, 89, 93
   and 94 % at widths 128, 256, 512 and 768, of which evaluation and checkpoints take about 5 %. */
double fr_sizing_rate(int64_t hidden, const fr_machine *machine)
{
    double width = (double)hidden;
    return 0.92 * width / (width + 27) * machine->gemm_flops;
}

/* Training keeps weights, gradients, two moments (16 bytes) and a micro-batch's activations. */
static bool fits(const fr_sizing *sizing, size_t memory)
{
    double rows = (double)(sizing->micro_batch * sizing->length);
    double activations =
        rows * (double)(sizing->layers * (16 * sizing->hidden + 4 * sizing->ffn)) * 4;
    return 16 * (double)sizing->parameters + activations < 0.8 * (double)memory;
}

static void choose_batch(fr_sizing *sizing, int64_t text_tokens)
{
    sizing->length = sizing->hidden < 384 ? 256 : sizing->hidden < 768 ? 512 : 1024;
    while (sizing->length > 64 && sizing->length * 64 > text_tokens)
        sizing->length /= 2;
    int64_t tokens_per_step = sizing->hidden <= 128  ? 2048
                              : sizing->hidden < 384 ? 4096
                              : sizing->hidden < 768 ? 8192
                                                     : 16384;
    int64_t rows = tokens_per_step / sizing->length;
    sizing->micro_batch = rows < 16 ? rows : 16;
    sizing->accumulation = rows / sizing->micro_batch;
}

static void work_out(fr_sizing *sizing, const fr_sizing_request *request)
{
    sizing->flops_per_token = flops_per_token(sizing, request->vocabulary);
    sizing->flops_per_second = fr_sizing_rate(sizing->hidden, request->machine);
    switch (request->budget.kind) {
    case FR_BUDGET_SECONDS:
        sizing->flops = request->budget.amount * sizing->flops_per_second;
        break;
    case FR_BUDGET_FLOPS:
        sizing->flops = request->budget.amount;
        break;
    case FR_BUDGET_TOKENS:
        sizing->flops = request->budget.amount * sizing->flops_per_token;
        break;
    }
    sizing->tokens = sizing->flops / sizing->flops_per_token;
    sizing->epochs = request->text_tokens > 0 ? sizing->tokens / (double)request->text_tokens : 0;
    sizing->steps =
        sizing->tokens / (double)(sizing->length * sizing->micro_batch * sizing->accumulation);
}

/* What `tokens` read from a text of `distinct` tokens are worth in distinct ones. */
static double effective_tokens(double tokens, double distinct)
{
    if (tokens <= distinct || distinct <= 0)
        return tokens;
    double repeats = tokens / distinct - 1;
    return distinct * (1 + REPEATS_THAT_COUNT * (1 - exp(-repeats / REPEATS_THAT_COUNT)));
}

static void choose_rates(fr_sizing *sizing)
{
    double width = (double)sizing->hidden;
    sizing->muon_rate = 0.006 * sqrt(96 / width);
    sizing->adamw_rate = 0.025 * sqrt(96 / width);
    sizing->weight_decay = 0.1;
}

static void explain(fr_sizing *sizing, bool larger_possible, bool memory_bound)
{
    double ratio = sizing->tokens / (double)sizing->parameters;
    const char *why = memory_bound ? "the next larger shape would not fit in memory"
                      : larger_possible
                          ? "the next larger shape would see too few tokens for its size"
                          : "it is the largest shape on the ladder";
    snprintf(sizing->reason, sizeof sizing->reason,
             "The budget buys about %.2g FLOPs at %.0f GFLOP/s. %lld layers of width %lld see %.3g "
             "tokens, %.1f for each of "
             "the %.2fM parameters and %.1f passes over the text; %s.",
             sizing->flops, sizing->flops_per_second * 1e-9, (long long)sizing->layers,
             (long long)sizing->hidden, sizing->tokens, ratio, (double)sizing->parameters * 1e-6,
             sizing->epochs, why);
}

static fr_sizing size_up(const shape *s, const fr_sizing_request *request)
{
    fr_sizing sizing = {0};
    describe_shape(s, request->vocabulary, &sizing);
    choose_batch(&sizing, request->text_tokens);
    work_out(&sizing, request);
    choose_rates(&sizing);
    return sizing;
}

fr_status fr_sizing_choose(const fr_sizing_request *request, fr_sizing *sizing, fr_error *error)
{
    bool memory_bound = false;
    int next = 1;
    *sizing = size_up(&ladder[0], request);
    for (; next < SHAPES; next++) {
        fr_sizing tried = size_up(&ladder[next], request);
        double tokens = effective_tokens(tried.tokens, (double)request->text_tokens);
        bool enough = tokens >= TOKENS_PER_PARAMETER * (double)tried.parameters;
        memory_bound = enough && !fits(&tried, request->memory);
        if (!enough || memory_bound)
            break;
        *sizing = tried;
    }
    if (sizing->steps < LEAST_STEPS)
        return fr_fail(error, FR_BAD_INPUT,
                       "budget %s is too small: it pays for %.0f steps of the smallest model, at "
                       "least %.0f are needed",
                       request->budget.text, fmax(0, floor(sizing->steps)), LEAST_STEPS);
    explain(sizing, next < SHAPES, memory_bound);
    return FR_OK;
}

int64_t fr_sizing_vocabulary(int64_t bytes, double flops)
{
    int64_t vocabulary = 1024;
    while (vocabulary < 32768 && bytes > vocabulary * 1500 &&
           (flops <= 0 || flops > 3e9 * (double)vocabulary))
        vocabulary *= 2;
    return vocabulary;
}

static void write_folder(const char *folder, fr_buffer *recipe)
{
    fr_buffer_text(recipe, "data:\n  folder: \"");
    for (const char *at = folder; *at; at++) {
        if (*at == '"' || *at == '\\')
            fr_buffer_text(recipe, "\\");
        fr_buffer_append(recipe, at, 1);
    }
    fr_buffer_text(recipe, "\"\n");
}

void fr_sizing_write_recipe(const fr_sizing *s, const fr_budget *training, const char *data_folder,
                            int64_t seed, fr_buffer *recipe)
{
    fr_buffer_printf(recipe, "model:\n  kind: llama\n  model_type: qwen3\n");
    fr_buffer_printf(recipe,
                     "  hidden_size: %lld\n  intermediate_size: %lld\n  num_hidden_layers: %lld\n",
                     (long long)s->hidden, (long long)s->ffn, (long long)s->layers);
    fr_buffer_printf(recipe,
                     "  num_attention_heads: %lld\n  num_key_value_heads: %lld\n  head_dim: %lld\n",
                     (long long)s->heads, (long long)s->kv_heads, (long long)s->head_width);
    fr_buffer_printf(recipe, "  max_position_embeddings: %lld\n  tie_word_embeddings: true\n",
                     (long long)s->length);
    if (data_folder)
        write_folder(data_folder, recipe);
    fr_buffer_printf(recipe, "objective:\n  kind: causal_lm\n");
    fr_buffer_printf(recipe,
                     "optimizer:\n  kind: muon\n  lr: %g\n  adamw_lr: %g\n  weight_decay: %g\n",
                     s->muon_rate, s->adamw_rate, s->weight_decay);
    fr_buffer_printf(recipe, "schedule:\n  kind: linear\n  final: 0\n");
    fr_buffer_printf(
        recipe, "train:\n  length: %lld\n  micro_batch: %lld\n  accumulation: %lld\n  seed: %lld\n",
        (long long)s->length, (long long)s->micro_batch, (long long)s->accumulation,
        (long long)seed);
    fr_buffer_printf(recipe, "  evals: 8\n  eval_tokens: %.0f\n",
                     fmin(65536, fmax(2048, EVALUATED * s->tokens)));
    fr_buffer_printf(recipe, "  checkpoint_seconds: 60\n  final_weights: best\n");
    if (training->kind == FR_BUDGET_SECONDS)
        fr_buffer_printf(recipe, "  seconds: %.2f\n", training->amount);
    else if (training->kind == FR_BUDGET_FLOPS)
        fr_buffer_printf(recipe, "  flops: %.6g\n", training->amount);
    else
        fr_buffer_printf(recipe, "  tokens: %.0f\n", training->amount);
    fr_buffer_printf(recipe, "hooks:\n  - kind: samples\n");
}
