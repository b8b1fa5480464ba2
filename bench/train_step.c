/* train_step.c: whole training steps (forward, backward, clipping, optimizer) of LLaMA-like models in f32, beside the rate of matrix
   products that this machine reaches in the same minute. A probe runs before and after every step; steps whose probes fall below
   PROBE_FLOOR of the best were disturbed and are dropped. Medians of the rest.

   usage: bench_train_step [NAME...] [--steps N]      NAME: 1M 5M 30M 124M */
#include "frugal/machine.h"
#include "frugal/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct shape {
    const char *name;
    int layers, hidden, ffn, head_width, vocabulary, batch, length;
} shape;

static const shape shapes[] = {
    {"1M", 4, 128, 352, 32, 4096, 16, 256},     {"5M", 6, 256, 704, 64, 4096, 8, 256},
    {"30M", 8, 512, 1376, 64, 8192, 8, 256},    {"30M-1024", 8, 512, 1376, 64, 8192, 2, 1024},
    {"124M", 12, 768, 2048, 64, 32768, 4, 256},
};

enum { MOST_STEPS = 200 };
static const double PROBE_FLOOR = 0.9;

typedef struct run {
    const shape *shape;
    fr_model *model;
    fr_objective objective;
    fr_optimizer *optimizer;
    fr_tape *tape;
    int32_t *ids;
    double flops; /* of a step, by the meter */
} run;

static void check(fr_status status, const fr_error *error)
{
    if (status != FR_OK) {
        fprintf(stderr, "bench_train_step: %s\n", error->message);
        exit(fr_exit_code(status));
    }
}

static void create(run *r, const shape *s, fr_error *error)
{
    *r = (run){.shape = s};
    fr_buffer text = {0};
    fr_buffer_printf(
        &text,
        "model: {kind: llama, hidden_size: %d, intermediate_size: %d, num_hidden_layers: %d, "
        "num_attention_heads: %d, num_key_value_heads: %d, vocab_size: %d, "
        "max_position_embeddings: %d, "
        "tie_word_embeddings: true}\noptimizer: {kind: adamw, lr: 0.001}\n",
        s->hidden, s->ffn, s->layers, s->hidden / s->head_width, s->hidden / s->head_width,
        s->vocabulary, s->length);
    fr_recipe *recipe;
    check(fr_recipe_parse(&recipe, text.data, text.size, "bench", error), error);
    check(fr_model_create_from_section(&r->model, fr_recipe_section(recipe, "model"), NULL, 0, -1,
                                       1, false, error),
          error);
    const fr_kind *kind = fr_registry_require(&fr_optimizers, "adamw", "bench", 0, error);
    void *options = fr_alloc(kind->options.size, FR_MEMORY_OTHER);
    check(fr_options_read(&kind->options, options, fr_recipe_section(recipe, "optimizer"), true,
                          NULL, error),
          error);
    check(fr_optimizer_create(&r->optimizer, (const fr_optimizer_kind *)kind, options, r->model,
                              NULL, 0, error),
          error);
    check(fr_model_create_gradients(r->model, error), error);
    r->objective = (fr_objective){.kind = (const fr_objective_kind *)fr_registry_require(
                                      &fr_objectives, "causal_lm", "bench", 0, error),
                                  .model = r->model};
    fr_tape_options how = {.mode = FR_TAPE_TRAIN, .training = true};
    check((r->tape = fr_tape_create(&how, error)) ? FR_OK : FR_NO_MEMORY, error);
    int64_t count = (int64_t)s->batch * (s->length + 1);
    r->ids = fr_alloc((size_t)count * sizeof *r->ids, FR_MEMORY_DATA);
    for (int64_t i = 0; i < count; i++)
        r->ids[i] = (int32_t)(fr_random_uniform(1, FR_RANDOM_TEST, 0, (uint64_t)i) * s->vocabulary);
    fr_recipe_free(recipe);
    fr_buffer_free(&text);
}

static void destroy(run *r)
{
    fr_tape_destroy(r->tape);
    fr_optimizer_destroy(r->optimizer);
    fr_model_destroy(r->model);
    fr_free(r->ids);
}

/* One whole step; phases in seconds. */
static void step(run *r, int number, double *forward, double *backward, double *update,
                 fr_error *error)
{
    int64_t rows[2] = {r->shape->batch, r->shape->length};
    int64_t count = rows[0] * rows[1];
    double start = fr_seconds();
    fr_tape_reset(r->tape, (uint64_t)number);
    fr_model_zero_gradients(r->model);
    fr_batch batch = {.ids = fr_tape_input(r->tape, FR_I32, 2, rows, r->ids),
                      .targets = fr_tape_input(r->tape, FR_I32, 2, rows, r->ids + 1)};
    fr_tensor *loss = r->objective.kind->loss(&r->objective, r->tape, &batch, 1.0F / (float)count);
    check(fr_tape_check(r->tape, error), error);
    double middle = fr_seconds();
    check(fr_tape_backward(r->tape, loss, 1, error), error);
    double end = fr_seconds();
    double norm = fr_gradient_norm(r->model);
    check(fr_optimizer_step(r->optimizer, 1, norm > 1 ? 1 / norm : 1, number + 1, error), error);
    *forward = middle - start;
    *backward = end - middle;
    *update = fr_seconds() - end;
    r->flops = fr_tape_forward_cost(r->tape).flops + fr_tape_backward_cost(r->tape).flops;
}

static double probe(fr_error *error)
{
    fr_machine machine;
    check(fr_machine_measure(0.05, &machine, error), error);
    return machine.gemm_flops;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_size);
    return count ? values[count / 2] : 0;
}

static void measure(const shape *s, int steps, fr_error *error)
{
    run r;
    double forward[MOST_STEPS], backward[MOST_STEPS], update[MOST_STEPS], rate[MOST_STEPS],
        best = 0;
    create(&r, s, error);
    step(&r, 0, forward, backward, update, error);
    double before = probe(error);
    for (int i = 0; i < steps; i++) {
        step(&r, i + 1, &forward[i], &backward[i], &update[i], error);
        double after = probe(error);
        rate[i] = before < after ? before : after;
        best = rate[i] > best ? rate[i] : best;
        before = after;
    }
    int kept = 0;
    double whole[MOST_STEPS];
    for (int i = 0; i < steps; i++)
        if (rate[i] >= PROBE_FLOOR * best) {
            forward[kept] = forward[i], backward[kept] = backward[i], update[kept] = update[i],
            rate[kept] = rate[i];
            whole[kept] = forward[i] + backward[i] + update[i];
            kept++;
        }
    double seconds = median(whole, kept), gemm = median(rate, kept), flops = r.flops / seconds;
    printf("%-9s %7.2fM %5dx%-5d %9.0f %8.1f %8.1f %6.1f %% %8.1f %8.1f %8.1f   %d/%d\n", s->name,
           (double)fr_model_parameter_total(r.model) * 1e-6, s->batch, s->length,
           (double)(s->batch * s->length) / seconds, flops * 1e-9, gemm * 1e-9, 100 * flops / gemm,
           1e3 * median(forward, kept), 1e3 * median(backward, kept), 1e3 * median(update, kept),
           kept, steps);
    fflush(stdout);
    destroy(&r);
}

int main(int count, char **words)
{
    fr_error error = {0};
    int steps = 30, named = 0;
    for (int i = 1; i < count; i++)
        if (strcmp(words[i], "--steps") == 0 && i + 1 < count)
            steps = atoi(words[++i]);
        else
            named++;
    steps = steps < 1 ? 1 : steps > MOST_STEPS ? MOST_STEPS : steps;
    printf("threads %d; GEMM is the machine's own rate, probed between the steps; times in ms are "
           "medians\n",
           fr_threads());
    printf("%-9s %8s %11s %9s %8s %8s %8s %8s %8s %8s   %s\n", "model", "weights", "batch",
           "tokens/s", "GFLOP/s", "GEMM", "share", "forward", "backward", "update", "kept");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        bool wanted = named == 0;
        for (int w = 1; w < count; w++)
            wanted = wanted || strcmp(words[w], shapes[i].name) == 0;
        if (wanted)
            measure(&shapes[i], steps, &error);
    }
    return 0;
}
