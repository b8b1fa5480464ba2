/* plan.c: the dry run: a model without data on a tape that computes nothing. What it counts is what a run uses: weights, gradients
   with the buffers that add micro-batches, the optimizer's state, activations of the training and of the evaluation tape, and the
   step's batches. */
#include "train/trainer.h"

#include <math.h>

/* What a run of this recipe reads at once, at most. */
static void shape_batch(const fr_train_recipe *recipe, const fr_objective *objective, int64_t rows,
                        int64_t length, fr_micro_batch *micro)
{
    if (recipe->has_examples) {
        fr_examples_shape(recipe->data_shape, objective->model, rows, length, micro);
    } else {
        const int64_t shape[] = {rows, length};
        static const fr_field fields[] = {FR_FIELD_IDS, FR_FIELD_TARGETS, FR_FIELD_SEGMENTS,
                                          FR_FIELD_POSITIONS};
        for (int i = 0; i < (recipe->data.cross_documents ? 2 : 4); i++)
            fr_micro_batch_shape(micro, fields[i], FR_I32, 2, shape);
    }
    if (objective->kind->task == FR_TASK_MASKED_LM) /* made by its prepare */
        fr_micro_batch_shape(micro, FR_FIELD_TARGETS, FR_I32, 2, micro->fields[FR_FIELD_IDS].shape);
}

/* Walk through one micro-batch of (rows, length), and back when training: a shape-only tape that has counted it. */
static fr_status walk(const fr_train_recipe *recipe, fr_objective *objective, fr_tape_mode mode,
                      int64_t rows, int64_t length, fr_tape **out, fr_error *error)
{
    fr_tape_options options = {.mode = mode, .shape_only = true, .training = mode == FR_TAPE_TRAIN};
    fr_tape *tape = fr_tape_create(&options, error);
    *out = tape;
    if (!tape)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the plan");
    fr_tape_reset(tape, 0);
    fr_micro_batch micro = {.tokens = 0};
    shape_batch(recipe, objective, rows, length, &micro);
    fr_batch batch = fr_micro_batch_put(&micro, tape);
    fr_tensor *loss = objective->kind->loss(objective, tape, &batch, 1);
    fr_status status = fr_tape_check(tape, error);
    if (status == FR_OK && mode == FR_TAPE_TRAIN)
        status = fr_tape_backward(tape, loss, 1, error);
    if (status == FR_OK)
        return FR_OK;
    fr_tape_destroy(tape);
    *out = NULL;
    return status;
}

static fr_status walk_phase(const fr_train_recipe *recipe, size_t phase, fr_objective *objective,
                            fr_tape **tape, fr_error *error)
{
    const fr_phase_options *o = &recipe->phases[phase].options;
    return walk(recipe, objective, FR_TAPE_TRAIN, o->micro_batch, o->length, tape, error);
}

static bool has_held_out(const fr_train_recipe *recipe)
{
    return recipe->data.held_out.count || recipe->has_examples;
}

static fr_status walk_evaluation(const fr_train_recipe *recipe, fr_objective *objective,
                                 fr_tape **tape, fr_error *error)
{
    const fr_train_options *o = &recipe->train;
    bool before = objective->model->recompute;
    objective->model->recompute = true; /* as evaluate.c does */
    fr_status status =
        walk(recipe, objective, FR_TAPE_NO_GRAD, o->micro_batch, o->length, tape, error);
    objective->model->recompute = before;
    return status;
}

fr_status fr_plan_reserve(fr_trainer *trainer, fr_error *error)
{
    const fr_train_recipe *recipe = &trainer->own->recipe;
    fr_tape *planned;
    for (size_t i = 0; i < recipe->phase_count; i++) {
        FR_TRY(walk_phase(recipe, i, trainer->objective, &planned, error));
        fr_status status = fr_tape_reserve(trainer->own->tape, planned, error);
        fr_tape_destroy(planned);
        FR_TRY(status);
    }
    if (!has_held_out(recipe))
        return FR_OK;
    FR_TRY(walk_evaluation(recipe, trainer->objective, &planned, error));
    fr_status status = fr_tape_reserve(trainer->own->evaluation_tape, planned, error);
    fr_tape_destroy(planned);
    return status;
}

/* Steps of a phase by its stop rule; the estimated number where time decides, 0 when it cannot be known. */
static double phase_steps(const fr_phase_options *phase, double epoch_steps, double flops_per_step,
                          double flops_per_second)
{
    double tokens = (double)(phase->micro_batch * phase->accumulation * phase->length),
           steps = INFINITY;
    if (phase->steps > 0)
        steps = (double)phase->steps;
    if (phase->tokens > 0)
        steps = fmin(steps, ceil((double)phase->tokens / tokens));
    if (phase->flops > 0)
        steps = fmin(steps, ceil(phase->flops / flops_per_step));
    if (epoch_steps > 0)
        steps = fmin(steps, epoch_steps);
    if (phase->seconds > 0 && flops_per_second > 0)
        steps = fmin(steps, ceil(phase->seconds * flops_per_second / flops_per_step));
    return isfinite(steps) ? steps : 0;
}

/* Steps of train.epochs, where the number of examples is known; 0: not known, or not asked for. */
static double epoch_steps(const fr_train_recipe *recipe, const fr_phase_options *phase)
{
    double examples = recipe->data_shape ? (double)fr_examples_count(recipe->data_shape) : 0;
    double batches = ceil(examples / (double)phase->micro_batch);
    return ceil(recipe->train.epochs * batches / (double)phase->accumulation);
}

static void add_phase(fr_train_plan *plan, const fr_train_recipe *recipe,
                      const fr_phase_options *phase, double flops_per_step, double flops_per_second,
                      bool *unknown)
{
    double steps = phase_steps(phase, epoch_steps(recipe, phase), flops_per_step, flops_per_second);
    *unknown |= steps == 0;
    plan->steps += (int64_t)steps;
    plan->tokens += (int64_t)steps * phase->micro_batch * phase->accumulation * phase->length;
    plan->flops += steps * flops_per_step;
}

static void count_weights(fr_train_plan *plan, const fr_model *model)
{
    plan->parameters = fr_model_parameter_total(model);
    for (size_t p = 0; p < model->parameter_count; p++) {
        const fr_tensor *value = model->parameters[p]->value;
        plan->bytes[FR_MEMORY_WEIGHTS] += fr_tensor_bytes(value);
        if (value->requires_grad)
            plan->trained += fr_tensor_count(value);
    }
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static fr_status plan_phases(fr_train_plan *plan, const fr_train_recipe *recipe,
                             fr_objective *objective, double flops_per_second, fr_error *error)
{
    bool unknown = false;
    int64_t activations = 0, tokens = 0, buffers = 0;
    fr_tape *tape;
    for (size_t i = 0; i < recipe->phase_count; i++) {
        const fr_phase_options *phase = &recipe->phases[i].options;
        FR_TRY(walk_phase(recipe, i, objective, &tape, error));
        double flops = (fr_tape_forward_cost(tape).flops + fr_tape_backward_cost(tape).flops) *
                       (double)phase->accumulation;
        activations = larger(activations, (int64_t)fr_tape_peak_bytes(tape));
        fr_tape_destroy(tape);
        if (i == 0) {
            plan->flops_per_step = flops;
            plan->tokens_per_step = phase->micro_batch * phase->accumulation * phase->length;
        }
        add_phase(plan, recipe, phase, flops, flops_per_second, &unknown);
        tokens = larger(tokens, phase->micro_batch * phase->accumulation * phase->length);
        buffers = larger(buffers, fr_gradient_tree_levels(phase->accumulation));
    }
    if (has_held_out(recipe)) {
        FR_TRY(walk_evaluation(recipe, objective, &tape, error));
        activations += (int64_t)fr_tape_peak_bytes(tape);
        fr_tape_destroy(tape);
    }
    if (unknown)
        plan->steps = plan->tokens = 0, plan->flops = 0;
    plan->bytes[FR_MEMORY_ACTIVATIONS] = (size_t)activations;
    plan->bytes[FR_MEMORY_DATA] =
        (size_t)tokens * (recipe->data.cross_documents ? 2 : 4) * sizeof(int32_t);
    plan->bytes[FR_MEMORY_GRADIENTS] =
        (size_t)plan->trained * sizeof(float) * (size_t)(1 + buffers);
    return FR_OK;
}

fr_status fr_plan_from_recipe(const fr_train_recipe *recipe, const fr_run_data *data,
                              double flops_per_second, fr_train_plan *plan, fr_error *error)
{
    *plan = (fr_train_plan){0};
    fr_model *model = NULL;
    FR_TRY(fr_train_recipe_model(recipe, data->tokenizer, true, &model, error));
    fr_objective objective = {.kind = (const fr_objective_kind *)recipe->objective.kind,
                              .options = recipe->objective.options,
                              .model = model,
                              .tokenizer = data->tokenizer};
    plan->width = model->width;
    count_weights(plan, model);
    fr_status status = objective.kind->init ? objective.kind->init(&objective, error) : FR_OK;
    if (status == FR_OK)
        status = plan_phases(plan, recipe, &objective, flops_per_second, error);
    if (objective.kind->destroy)
        objective.kind->destroy(&objective);
    const fr_optimizer_kind *optimizer = (const fr_optimizer_kind *)recipe->optimizer.kind;
    size_t state = fr_optimizer_state_bytes(optimizer, recipe->optimizer.options, model);
    plan->bytes[FR_MEMORY_OPTIMIZER] =
        state + fr_optimizer_scratch_bytes(optimizer, recipe->optimizer.options, model);
    plan->checkpoint_bytes = plan->bytes[FR_MEMORY_WEIGHTS] + state;
    for (int kind = 0; kind < FR_MEMORY_KINDS; kind++)
        plan->total_bytes += plan->bytes[kind];
    if (flops_per_second > 0)
        plan->seconds = plan->flops / flops_per_second;
    fr_model_destroy(model);
    return status;
}

fr_status fr_plan_check_memory(const fr_train_plan *plan, fr_error *error)
{
    size_t there = fr_physical_memory();
    if (plan->total_bytes <= there)
        return FR_OK;
    const double mb = 1.0 / (1 << 20);
    return fr_fail(error, FR_BAD_INPUT,
                   "this run needs %.0f MB and the machine has %.0f MB: weights %.0f, gradients "
                   "%.0f, optimizer %.0f, "
                   "activations %.0f; try a smaller model, a smaller train.micro_batch, or "
                   "train.recompute=true",
                   (double)plan->total_bytes * mb, (double)there * mb,
                   (double)plan->bytes[FR_MEMORY_WEIGHTS] * mb,
                   (double)plan->bytes[FR_MEMORY_GRADIENTS] * mb,
                   (double)plan->bytes[FR_MEMORY_OPTIMIZER] * mb,
                   (double)plan->bytes[FR_MEMORY_ACTIVATIONS] * mb);
}

fr_status fr_train_plan_make(const fr_recipe *recipe, double flops_per_second, fr_train_plan *plan,
                             fr_error *error)
{
    fr_train_recipe read;
    fr_run_data data = {.train = NULL};
    FR_TRY(fr_train_recipe_read(&read, recipe, error));
    fr_status status = fr_run_data_open(&data, &read, error);
    if (status == FR_OK)
        status = fr_plan_from_recipe(&read, &data, flops_per_second, plan, error);
    fr_run_data_close(&data);
    fr_train_recipe_free(&read);
    return status;
}
