/* evaluate.c: the loss on held-out text, domain by domain, and the hook that asks for it.

   A domain is a shard. Each evaluation reads the same first micro-batches of it in a fixed order, so that two evaluations differ by
   the model alone. The loss of a domain is nats per target; the run's held-out loss is the mean over domains. */
#include "train/trainer.h"

#include <math.h>
#include <string.h>

enum {
    ORDER = 1
}; /* seed of the order in which rows are read: the same for every run, so that runs can be compared */

/* ---- domains ---- */

static fr_status open_domain(const fr_trainer *trainer, fr_domain *domain, const char *text,
                             fr_error *error)
{
    const char *path;
    const fr_train_options *o = &trainer->options;
    FR_TRY(fr_domain_name(text, &domain->name, &path, error));
    fr_loader_options options = {.batch = o->micro_batch,
                                 .length = o->length,
                                 .cross_documents = trainer->data.cross_documents,
                                 .seed = ORDER};
    return fr_packed_source_create(&domain->source, path, &options, true, error);
}

static fr_status open_example_domain(const fr_trainer *trainer, fr_domain *domain,
                                     const struct fr_held_out *held_out, fr_error *error)
{
    domain->name = fr_string_copy(held_out->name);
    domain->examples = held_out->examples;
    if (!domain->name)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the held-out domains");
    return fr_examples_source_create(&domain->source, held_out->examples,
                                     trainer->options.micro_batch, ORDER, true, error);
}

fr_status fr_domains_open(fr_trainer *trainer, fr_error *error)
{
    const fr_strings *held_out = &trainer->data.held_out;
    const fr_run_data *data = &trainer->own->data;
    size_t count = data->train ? data->held_out_count : held_out->count;
    trainer->domains = fr_alloc_array(count, sizeof *trainer->domains, FR_MEMORY_OTHER);
    if (!trainer->domains)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the held-out domains");
    for (size_t i = 0; i < count; i++) {
        fr_domain *domain = &trainer->domains[trainer->domain_count++];
        domain->loss = NAN;
        FR_TRY(data->train ? open_example_domain(trainer, domain, &data->held_out[i], error)
                           : open_domain(trainer, domain, held_out->items[i], error));
        for (size_t k = 0; k < i; k++)
            if (strcmp(trainer->domains[k].name, domain->name) == 0)
                return fr_fail(error, FR_BAD_INPUT,
                               "two held-out domains are called '%s'; write NAME=PATH",
                               domain->name);
    }
    return FR_OK;
}

void fr_domains_close(fr_trainer *trainer)
{
    for (size_t i = 0; i < trainer->domain_count; i++) {
        fr_free(trainer->domains[i].name);
        fr_batch_source_destroy(trainer->domains[i].source);
    }
    fr_free(trainer->domains);
    trainer->domains = NULL;
    trainer->domain_count = 0;
}

/* ---- one evaluation ---- */

static fr_status evaluate_batches(fr_trainer *trainer, fr_domain *domain, fr_error *error)
{
    fr_tape *tape = trainer->own->evaluation_tape;
    fr_micro_batch *micro = &trainer->own->evaluated;
    double nats = 0;
    int64_t targets = 0, tokens = 0;
    for (int64_t number = 0; number < domain->source->per_epoch; number++) {
        if (!domain->examples && number && tokens + micro->tokens > trainer->options.eval_tokens)
            break;
        FR_TRY(fr_trainer_read(trainer, domain->source, number, ORDER, micro, error));
        fr_tape_reset(tape, (uint64_t)number);
        fr_batch batch = fr_micro_batch_put(micro, tape);
        fr_tensor *loss = trainer->objective->kind->loss(trainer->objective, tape, &batch, 1);
        FR_TRY(fr_tape_check(tape, error));
        nats += *(const float *)fr_tensor_host(loss);
        targets += micro->targets;
        tokens += micro->tokens;
    }
    domain->loss = targets ? nats / (double)targets : NAN;
    return FR_OK;
}

/* Examples are read whole: they come by length, and the first of them alone would be the shortest. The figures tell the loss too,
   but for objectives that compare the examples of a micro-batch. */
static fr_status judge_domain(fr_trainer *trainer, fr_domain *domain, fr_error *error)
{
    const fr_judge_options how = {
        .rows = trainer->options.micro_batch, .tape = trainer->own->evaluation_tape, .whole = true};
    fr_judgement *judgement = &domain->judgement;
    FR_TRY(fr_judge(trainer->model, domain->examples, &how, judgement, error));
    double loss = fr_judgement_figure(judgement, "loss");
    if (isnan(loss) && trainer->model->head.task != FR_TASK_NONE)
        loss = fr_judgement_figure(judgement, "mse");
    domain->loss = loss;
    return isnan(loss) ? evaluate_batches(trainer, domain, error) : FR_OK;
}

static bool is_judged(const fr_trainer *trainer, const fr_domain *domain)
{
    fr_example_form form = trainer->objective->kind->examples;
    return domain->examples && form == fr_task_examples(trainer->model->head.task);
}

/* Without gradients a recomputed layer is computed once and gives all but its result back: less memory for nothing. */
static fr_status evaluate_domain(fr_trainer *trainer, fr_domain *domain, fr_error *error)
{
    bool before = trainer->model->recompute;
    trainer->model->recompute = true;
    fr_status status = is_judged(trainer, domain) ? judge_domain(trainer, domain, error)
                                                  : evaluate_batches(trainer, domain, error);
    trainer->model->recompute = before;
    return status == FR_OK ? status : fr_error_prefix(error, "evaluating on %s", domain->name);
}

/* Keep the best and count how long it has been. */
static void note(fr_trainer *trainer, double loss)
{
    fr_position *at = &trainer->position;
    at->held_out_loss = loss;
    at->evaluated_step = at->step;
    at->evaluations++;
    if (isnan(at->best_loss) || loss < at->best_loss - trainer->options.min_improvement) {
        at->best_loss = loss;
        at->best_step = at->step;
        at->evaluations_since_best = 0;
    } else {
        at->evaluations_since_best++;
    }
}

fr_status fr_trainer_evaluate(fr_trainer *trainer, fr_error *error)
{
    if (!trainer->domain_count)
        return FR_OK;
    fr_trainer_report(trainer, "evaluating");
    double begin = fr_seconds(), sum = 0;
    for (size_t i = 0; i < trainer->domain_count; i++) {
        FR_TRY(evaluate_domain(trainer, &trainer->domains[i], error));
        sum += trainer->domains[i].loss;
    }
    note(trainer, sum / (double)trainer->domain_count);
    fr_trainer_tick(trainer);
    FR_TRY(fr_hooks_fire(trainer, FR_EVALUATED, error));
    /* What the next one may take: the longest lately. */
    trainer->own->evaluation_seconds =
        fmax(fr_seconds() - begin, 0.8 * trainer->own->evaluation_seconds);
    fr_trainer_tick(trainer);
    return FR_OK;
}

const char *fr_domains_figure(const fr_trainer *trainer, double *value)
{
    const char *name = NULL;
    *value = 0;
    for (size_t i = 0; i < trainer->domain_count; i++) {
        const fr_judgement *judgement = &trainer->domains[i].judgement;
        int which = fr_judgement_main(judgement);
        if (which < 0)
            return NULL;
        name = judgement->figures[which].name;
        *value += judgement->figures[which].value / (double)trainer->domain_count;
    }
    return name;
}

/* ---- the hook ---- */

/* Due every eval_every steps, or each time another of `evals` equal parts of the run is done; and at its end. */
static bool due(const fr_trainer *trainer)
{
    const fr_train_options *o = &trainer->options;
    if (fr_run_over(trainer))
        return true;
    if (o->eval_every > 0)
        return trainer->position.step % o->eval_every == 0;
    int64_t part = (int64_t)(fr_trainer_fraction(trainer) * (double)o->evals);
    return part > trainer->position.evaluations && part < o->evals;
}

static fr_status step_end(fr_hook *hook, fr_error *error)
{
    return due(hook->trainer) ? fr_trainer_evaluate(hook->trainer, error) : FR_OK;
}

/* A run that a hook or the clock ended has not been evaluated where it stopped. */
static fr_status end(fr_hook *hook, fr_error *error)
{
    const fr_position *at = &hook->trainer->position;
    return at->evaluated_step == at->step ? FR_OK : fr_trainer_evaluate(hook->trainer, error);
}

const fr_hook_kind fr_hook_evaluation = {
    .base = {.name = "evaluation",
             .summary = "Held-out loss by domain, every so often.",
             .options = {.name = "hooks.evaluation"}},
    .standard = true,
    .step_end = step_end,
    .end = end,
};
