/* judge.c: run a model over labelled examples, form by form, and gather what its figures are made of.

   Every form has a function that takes a micro-batch's outputs; what it needs over all examples is in `judging`. Losses are summed in
   double. */
#include "frugal/operators.h"
#include "probes/figures.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

typedef struct judging {
    fr_model *model;
    fr_examples *examples;
    fr_batch_source *source;
    fr_tape *tape;
    fr_micro_batch micro;
    fr_batch batch;
    const fr_judge_options *options;
    fr_judgement *judgement;
    fr_error *error;
    /* gathered */
    int64_t classes;
    int64_t *table; /* (classes, classes) of figures_of_classes */
    double loss;
    int64_t targets, hits;
    span_counts spans;
    double *said, *right; /* numbers, of all examples */
    int64_t numbers;
    float *vectors; /* (2 N, C) of pairs, in the order of the source */
    int64_t vector_count, width;
    int32_t *tags; /* (2 * T) of a row's words: said, right */
} judging;

static fr_status no_memory(const judging *j)
{
    return fr_fail(j->error, FR_NO_MEMORY, "no memory to judge a model");
}

/* ---- what is said ---- */

static json_t *class_json(const judging *j, int64_t class)
{
    const fr_strings *names = &j->model->head.names;
    return (size_t) class < names->count ? json_string(names->items[class]) : json_integer(class);
}

/* Hand over a prediction of example i of the micro-batch; takes `prediction`. */
static fr_status say(judging *j, int64_t i, json_t *prediction)
{
    int64_t count;
    const int64_t *numbers = fr_examples_last(j->source, &count);
    fr_status status = prediction
                           ? j->options->each(j->options->context, numbers[i], prediction, j->error)
                           : no_memory(j);
    json_decref(prediction);
    return status;
}

static int64_t largest(const float *x, int64_t count)
{
    int64_t best = 0;
    for (int64_t k = 1; k < count; k++)
        if (x[k] > x[best])
            best = k;
    return best;
}

/* log of the sum of exponentials. */
static double log_sum(const float *x, int64_t count)
{
    double top = x[largest(x, count)], sum = 0;
    for (int64_t k = 0; k < count; k++)
        sum += exp(x[k] - top);
    return top + log(sum);
}

/* ---- one class of several: texts, pictures, choices ---- */

static fr_status take_class(judging *j, int64_t i, const float *logits, int64_t width,
                            int32_t right)
{
    int64_t said = largest(logits, width);
    double all = log_sum(logits, width);
    j->loss += all - logits[right];
    j->targets++;
    j->hits += said == right;
    if (j->table)
        j->table[right * width + said]++;
    if (!j->options->each)
        return FR_OK;
    return say(
        j, i,
        json_pack("{s:o, s:f}", "label", class_json(j, said), "score", exp(logits[said] - all)));
}

static fr_status take_classes(judging *j, const fr_outputs *outputs)
{
    const fr_tensor *logits = fr_outputs_find(outputs, "logits");
    const float *numbers = fr_tensor_host((fr_tensor *)logits);
    const int32_t *right = fr_micro_batch_get(&j->micro, FR_FIELD_LABELS);
    int64_t rows = j->micro.targets, width = fr_tensor_count(logits) / rows;
    for (int64_t i = 0; i < rows; i++)
        FR_TRY(take_class(j, i, numbers + i * width, width, right[i]));
    return FR_OK;
}

/* ---- numbers, several classes ---- */

static void keep_number(judging *j, double said, double right)
{
    j->said[j->numbers] = said;
    j->right[j->numbers++] = right;
}

static fr_status take_numbers(judging *j, const fr_outputs *outputs)
{
    const float *said = fr_tensor_host(fr_outputs_find(outputs, "logits")),
                *right = fr_micro_batch_get(&j->micro, FR_FIELD_LABELS);
    int64_t width = j->model->head.labels;
    for (int64_t i = 0; i < j->micro.targets; i++) {
        json_t *list = json_array();
        for (int64_t k = 0; k < width; k++) {
            keep_number(j, said[i * width + k], right[i * width + k]);
            json_array_append_new(list, json_real(said[i * width + k]));
        }
        if (j->options->each)
            FR_TRY(say(j, i, json_pack("{s:O}", "value", list)));
        json_decref(list);
    }
    return FR_OK;
}

/* A class is said when its probability is above one half. Counts go into the spans' counts: said, right, both. */
static fr_status take_several(judging *j, const fr_outputs *outputs)
{
    const float *logits = fr_tensor_host(fr_outputs_find(outputs, "logits")),
                *right = fr_micro_batch_get(&j->micro, FR_FIELD_LABELS);
    int64_t width = j->model->head.labels;
    for (int64_t i = 0; i < j->micro.targets; i++) {
        json_t *list = json_array();
        bool same = true;
        for (int64_t k = 0; k < width; k++) {
            double x = logits[i * width + k], y = right[i * width + k];
            bool said = x > 0, there = y > 0.5;
            j->loss += (fmax(x, 0) - x * y + log1p(exp(-fabs(x)))) / (double)width;
            j->spans.said += said;
            j->spans.right += there;
            j->spans.both += said && there;
            same = same && said == there;
            if (said)
                json_array_append_new(list, class_json(j, k));
        }
        j->targets++;
        j->hits += same;
        if (j->options->each)
            FR_TRY(say(j, i, json_pack("{s:O}", "labels", list)));
        json_decref(list);
    }
    return FR_OK;
}

/* ---- tags ---- */

static fr_status take_row(judging *j, int64_t i, const float *logits, const int32_t *targets,
                          int64_t columns)
{
    int64_t width = j->model->head.labels, words = 0;
    int32_t *said = j->tags, *right = j->tags + columns;
    json_t *list = json_array();
    for (int64_t t = 0; t < columns; t++) {
        if (targets[t] == FR_IGNORE)
            continue;
        const float *row = logits + t * width;
        said[words] = (int32_t)largest(row, width);
        right[words] = targets[t];
        j->loss += log_sum(row, width) - row[targets[t]];
        j->table[right[words] * width + said[words]]++;
        json_array_append_new(list, class_json(j, said[words]));
        words++;
    }
    j->targets += words;
    if (spans_are_there(&j->model->head.names))
        spans_count(&j->spans, &j->model->head.names, said, right, words);
    fr_status status = j->options->each ? say(j, i, json_pack("{s:O}", "tags", list)) : FR_OK;
    json_decref(list);
    return status;
}

static fr_status take_tags(judging *j, const fr_outputs *outputs)
{
    const fr_tensor *logits = fr_outputs_find(outputs, "logits");
    const float *numbers = fr_tensor_host((fr_tensor *)logits);
    const int32_t *targets = fr_micro_batch_get(&j->micro, FR_FIELD_TARGETS);
    int64_t rows = logits->shape[0], columns = logits->shape[1];
    int32_t *tags = fr_realloc(j->tags, 2 * (size_t)columns * sizeof *tags, FR_MEMORY_OTHER);
    if (!tags)
        return no_memory(j);
    j->tags = tags;
    for (int64_t i = 0; i < rows; i++)
        FR_TRY(take_row(j, i, numbers + i * columns * j->model->head.labels, targets + i * columns,
                        columns));
    return FR_OK;
}

/* ---- targets of a decoder ---- */

static fr_status take_targets(judging *j)
{
    fr_tensor *losses = NULL, *hidden = fr_model_hidden(j->model, j->tape, &j->batch, NULL);
    fr_model_cross_entropy(j->model, j->tape, hidden, j->batch.targets, NULL, 1, &losses);
    FR_TRY(fr_tape_check(j->tape, j->error));
    const float *loss = fr_tensor_host(losses);
    for (int64_t i = 0; i < fr_tensor_count(losses); i++)
        j->loss += loss[i];
    j->targets += j->micro.targets;
    return FR_OK;
}

/* ---- pairs: who finds its own? ---- */

static double product(const float *a, const float *b, int64_t width)
{
    double sum = 0;
    for (int64_t k = 0; k < width; k++)
        sum += (double)a[k] * b[k];
    return sum;
}

/* Memory for both vectors of every pair. */
static fr_status need_vectors(judging *j, int64_t width)
{
    size_t count = 2 * (size_t)(fr_examples_count(j->examples) * width);
    j->width = width;
    if (!j->vectors)
        j->vectors = fr_alloc_array(count, sizeof(float), FR_MEMORY_OTHER);
    return j->vectors ? FR_OK : no_memory(j);
}

static fr_status take_pairs(judging *j)
{
    fr_outputs outputs;
    fr_model_outputs(j->model, j->tape, &j->batch, &outputs);
    fr_tensor *vectors = fr_outputs_find(&outputs, "sentence_embedding");
    if (!vectors)
        vectors = fr_pool(j->tape, fr_outputs_find(&outputs, "last_hidden_state"), j->batch.lengths,
                          FR_POOLING_MEAN);
    vectors = fr_normalize(j->tape, vectors);
    FR_TRY(fr_tape_check(j->tape, j->error));
    int64_t rows = vectors->shape[0];
    const float *scores = fr_micro_batch_get(&j->micro, FR_FIELD_LABELS),
                *x = fr_tensor_host(vectors);
    FR_TRY(need_vectors(j, vectors->shape[1]));
    memcpy(j->vectors + j->vector_count * j->width, x, fr_tensor_bytes(vectors));
    j->vector_count += rows;
    for (int64_t i = 0; i < rows / 2; i++) {
        double cosine = product(x + 2 * i * j->width, x + (2 * i + 1) * j->width, j->width);
        if (scores)
            keep_number(j, cosine, scores[i]);
        if (j->options->each)
            FR_TRY(say(j, i, json_pack("{s:f}", "similarity", cosine)));
    }
    return FR_OK;
}

/* A picture and its text side by side, as a text and its positive are. */
static fr_status take_pictures(judging *j)
{
    fr_outputs outputs;
    fr_model_outputs(j->model, j->tape, &j->batch, &outputs);
    FR_TRY(fr_tape_check(j->tape, j->error));
    fr_tensor *sides[] = {fr_outputs_find(&outputs, "image_embeds"),
                          fr_outputs_find(&outputs, "text_embeds")};
    int64_t rows = sides[0]->shape[0];
    FR_TRY(need_vectors(j, sides[0]->shape[1]));
    size_t width = (size_t)j->width;
    for (int64_t i = 0; i < rows; i++)
        for (int side = 0; side < 2; side++)
            memcpy(j->vectors + j->width * j->vector_count++,
                   (const float *)fr_tensor_host(sides[side]) + j->width * i,
                   width * sizeof(float));
    for (int64_t i = 0; i < rows && j->options->each; i++) {
        const float *a = j->vectors + (j->vector_count + 2 * (i - rows)) * j->width;
        FR_TRY(say(j, i, json_pack("{s:f}", "similarity", product(a, a + j->width, j->width))));
    }
    return FR_OK;
}

/* How many of the others' vectors are nearer to vector `side` of a pair than its own other one. */
static int64_t nearer(const judging *j, int64_t pair, int64_t pairs, int side)
{
    const float *a = j->vectors + (2 * pair + side) * j->width,
                *others = j->vectors + (1 - side) * j->width;
    double own = product(a, others + 2 * pair * j->width, j->width);
    int64_t count = 0;
    for (int64_t other = 0; other < pairs; other++)
        count += other != pair && product(a, others + 2 * other * j->width, j->width) > own;
    return count;
}

/* How often vector `side` of a pair finds its other one among all. */
static void figures_of_side(judging *j, int side, const char *const names[3])
{
    int64_t pairs = j->vector_count / 2, first = 0, ten = 0;
    double reciprocal = 0;
#pragma omp parallel for schedule(static) num_threads(fr_threads()) reduction(+ : first, ten)
    for (int64_t i = 0; i < pairs; i++) {
        int64_t rank = nearer(j, i, pairs, side);
        first += rank < 1;
        ten += rank < 10;
        j->said[i] = 1 / (double)(rank + 1);
    }
    for (int64_t i = 0; i < pairs; i++)
        reciprocal += j->said[i];
    figures_add(j->judgement, names[0], (double)first / (double)pairs);
    figures_add(j->judgement, names[1], (double)ten / (double)pairs);
    figures_add(j->judgement, names[2], reciprocal / (double)pairs);
}

static void figures_of_pairs(judging *j)
{
    static const char *const names[] = {"recall_at_1", "recall_at_10", "mean_reciprocal_rank"},
                             *const text[] = {"text_recall_at_1", "text_recall_at_10",
                                              "text_mean_reciprocal_rank"},
                             *const image[] = {"image_recall_at_1", "image_recall_at_10",
                                               "image_mean_reciprocal_rank"};
    bool pictures = j->model->head.task == FR_TASK_CONTRASTIVE;
    figures_of_side(j, 0, pictures ? text : names);
    if (pictures)
        figures_of_side(j, 1, image);
}

/* ---- all ---- */

static bool one_class(const judging *j)
{
    fr_task task = j->model->head.task;
    bool labelled = task == FR_TASK_SEQUENCE_CLASSIFICATION || task == FR_TASK_IMAGE_CLASSIFICATION;
    return task == FR_TASK_MULTIPLE_CHOICE ||
           (labelled && j->model->head.problem == FR_PROBLEM_SINGLE_LABEL);
}

static fr_status take(judging *j)
{
    fr_outputs outputs;
    if (j->model->head.task == FR_TASK_SEQ2SEQ_LM)
        return take_targets(j);
    if (j->model->head.task == FR_TASK_NONE)
        return take_pairs(j);
    if (j->model->head.task == FR_TASK_CONTRASTIVE)
        return take_pictures(j);
    fr_model_outputs(j->model, j->tape, &j->batch, &outputs);
    FR_TRY(fr_tape_check(j->tape, j->error));
    if (j->model->head.task == FR_TASK_TOKEN_CLASSIFICATION)
        return take_tags(j, &outputs);
    if (one_class(j))
        return take_classes(j, &outputs);
    return j->model->head.problem == FR_PROBLEM_REGRESSION ? take_numbers(j, &outputs)
                                                           : take_several(j, &outputs);
}

static fr_status take_all(judging *j)
{
    for (int64_t number = 0; number < j->source->per_epoch; number++) {
        fr_micro_batch_clear(&j->micro);
        FR_TRY(j->source->kind->get(j->source, number, &j->micro, j->error));
        fr_tape_reset(j->tape, (uint64_t)number);
        j->batch = fr_micro_batch_put(&j->micro, j->tape);
        FR_TRY(take(j));
        if (!j->options->whole && fr_interrupted())
            return fr_fail(j->error, FR_INTERRUPTED, "interrupted");
    }
    return FR_OK;
}

static fr_status conclude(judging *j)
{
    static const char *const span_names[] = {"span_precision", "span_recall", "span_f1"},
                             *const several_names[] = {"precision", "recall", "f1_micro"};
    fr_judgement *result = j->judgement;
    double targets = (double)j->targets;
    fr_task task = j->model->head.task;
    if (j->targets)
        figures_add(result, "loss", j->loss / targets);
    if (task == FR_TASK_SEQ2SEQ_LM)
        figures_add(result, "perplexity", exp(j->loss / targets));
    else if (task == FR_TASK_MULTIPLE_CHOICE)
        figures_add(result, "accuracy", (double)j->hits / targets);
    else if (j->table)
        figures_of_classes(result, j->table, j->classes);
    else if (task != FR_TASK_NONE && task != FR_TASK_CONTRASTIVE &&
             j->model->head.problem == FR_PROBLEM_MULTI_LABEL) {
        figures_add(result, "accuracy", (double)j->hits / targets);
        figures_of_counts(result, &j->spans, several_names);
    }
    if (task == FR_TASK_TOKEN_CLASSIFICATION && spans_are_there(&j->model->head.names))
        figures_of_counts(result, &j->spans, span_names);
    if (j->numbers)
        return figures_of_numbers(result, j->said, j->right, j->numbers, j->error);
    if (task == FR_TASK_NONE || task == FR_TASK_CONTRASTIVE)
        figures_of_pairs(j);
    return FR_OK;
}

static fr_status prepare(judging *j)
{
    int64_t labels = j->model->head.labels;
    size_t numbers = (size_t)(fr_examples_count(j->examples) * (labels ? labels : 1));
    bool table = j->model->head.task == FR_TASK_TOKEN_CLASSIFICATION ||
                 (one_class(j) && j->model->head.task != FR_TASK_MULTIPLE_CHOICE);
    j->classes = labels;
    if (table)
        j->table = fr_alloc_array((size_t)(labels * labels), sizeof *j->table, FR_MEMORY_OTHER);
    j->said = fr_alloc_array(numbers, sizeof *j->said, FR_MEMORY_OTHER);
    j->right = fr_alloc_array(numbers, sizeof *j->right, FR_MEMORY_OTHER);
    if ((table && !j->table) || !j->said || !j->right)
        return no_memory(j);
    j->tape = j->options->tape
                  ? j->options->tape
                  : fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_NO_GRAD}, j->error);
    if (!j->tape)
        return FR_NO_MEMORY;
    return fr_examples_source_create(&j->source, j->examples, j->options->rows, 0, true, j->error);
}

fr_example_form fr_task_examples(fr_task task)
{
    switch (task) {
    case FR_TASK_SEQUENCE_CLASSIFICATION:
        return FR_EXAMPLES_CLASSES;
    case FR_TASK_TOKEN_CLASSIFICATION:
        return FR_EXAMPLES_TAGS;
    case FR_TASK_MULTIPLE_CHOICE:
        return FR_EXAMPLES_CHOICES;
    case FR_TASK_SEQ2SEQ_LM:
        return FR_EXAMPLES_TARGETS;
    case FR_TASK_IMAGE_CLASSIFICATION:
        return FR_EXAMPLES_IMAGES;
    case FR_TASK_NONE:
        return FR_EXAMPLES_PAIRS;
    case FR_TASK_CONTRASTIVE:
        return FR_EXAMPLES_IMAGE_TEXTS;
    default:
        return FR_EXAMPLES_NONE;
    }
}

fr_status fr_judge(fr_model *model, fr_examples *examples, const fr_judge_options *options,
                   fr_judgement *judgement, fr_error *error)
{
    judging j = {.model = model,
                 .examples = examples,
                 .options = options,
                 .judgement = judgement,
                 .error = error};
    *judgement = (fr_judgement){.examples = fr_examples_count(examples)};
    fr_status status = prepare(&j);
    if (status == FR_OK)
        status = take_all(&j);
    if (status == FR_OK)
        status = conclude(&j);
    fr_batch_source_destroy(j.source);
    fr_micro_batch_free(&j.micro);
    if (j.tape != options->tape)
        fr_tape_destroy(j.tape);
    fr_free(j.table);
    fr_free(j.said);
    fr_free(j.right);
    fr_free(j.vectors);
    fr_free(j.tags);
    return status;
}
