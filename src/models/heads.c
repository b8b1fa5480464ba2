/* heads.c: what a model ends in: the class that config.json's "architectures" names, and the labels
   of a classifier (num_labels, id2label, problem_type). */
#include "models/models.h"

#include <stdio.h>
#include <string.h>

const char *const fr_task_names[] = {"none",
                                     "causal_lm",
                                     "masked_lm",
                                     "seq2seq_lm",
                                     "sequence_classification",
                                     "token_classification",
                                     "multiple_choice",
                                     "question_answering",
                                     "replaced_token",
                                     "image_classification",
                                     "contrastive",
                                     "next_sentence",
                                     "pretraining",
                                     "encoder",
                                     "distilled_classification",
                                     NULL};
const char *const fr_problem_names[] = {"single_label_classification", "regression",
                                        "multi_label_classification", NULL};

enum { MOST_LABELS = 1 << 20, DEFAULT_LABELS = 2 };

/* ---- classes ---- */

const fr_model_class *fr_model_class_find(const fr_model_kind *kind, const char *model_type,
                                          fr_task task)
{
    for (const fr_model_class *entry = kind->classes; entry->name; entry++)
        if (entry->task == task && (!model_type || strcmp(entry->model_type, model_type) == 0))
            return entry;
    return NULL;
}

static const fr_model_class *first_class(const fr_model_kind *kind, const char *model_type)
{
    const fr_model_class *entry = kind->classes;
    while (entry[1].name && strcmp(entry->model_type, model_type) != 0)
        entry++;
    return entry;
}

char *fr_model_tasks_text(const fr_model_kind *kind, const char *model_type)
{
    fr_buffer text = {0};
    for (const fr_model_class *entry = kind->classes; entry->name; entry++)
        if (!model_type || strcmp(entry->model_type, model_type) == 0)
            fr_buffer_printf(&text, "%s%s", text.size ? ", " : "", fr_task_names[entry->task]);
    char *result = text.failed ? NULL : fr_string_copy(text.data);
    fr_buffer_free(&text);
    return result;
}

const char *fr_config_model_type(const fr_model_kind *kind, const void *config)
{
    const fr_option_table *table = &kind->base.options;
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->options[i].name, "model_type") == 0) {
            const void *field = (const char *)config + table->options[i].offset;
            return table->options[i].choices[*(const int *)field];
        }
    return kind->model_types[0];
}

/* ---- heads ---- */

static bool has_labels(fr_task task)
{
    return task == FR_TASK_SEQUENCE_CLASSIFICATION || task == FR_TASK_TOKEN_CLASSIFICATION ||
           task == FR_TASK_IMAGE_CLASSIFICATION || task == FR_TASK_DISTILLED_CLASSIFICATION;
}

/* What transformers takes where nothing tells the number. */
static int64_t default_labels(const fr_model_kind *kind, const char *model_type)
{
    for (const fr_model_labels *entry = kind->labels; entry && entry->model_type; entry++)
        if (strcmp(entry->model_type, model_type) == 0)
            return entry->count;
    return DEFAULT_LABELS;
}

void fr_model_head_free(fr_model_head *head)
{
    fr_strings_free(&head->names);
}

fr_status fr_model_head_settle(fr_model_head *out, const fr_model_kind *kind, const void *config,
                               const fr_model_head *wanted, fr_error *error)
{
    const char *type = fr_config_model_type(kind, config);
    *out = wanted ? *wanted : (fr_model_head){.task = first_class(kind, type)->task};
    out->names = (fr_strings){0};
    if (!fr_model_class_find(kind, type, out->task)) {
        char *tasks = fr_model_tasks_text(kind, type);
        fr_fail(error, FR_UNSUPPORTED, "model %s has no head for task %s (there are: %s)", type,
                fr_task_names[out->task], tasks ? tasks : "...");
        fr_free(tasks);
        return FR_UNSUPPORTED;
    }
    if (!has_labels(out->task)) {
        out->labels = 0;
        return FR_OK;
    }
    if (out->labels == 0)
        out->labels = wanted && wanted->names.count ? (int64_t)wanted->names.count
                                                    : default_labels(kind, type);
    if (out->labels < 0 || out->labels > MOST_LABELS ||
        (wanted && wanted->names.count && wanted->names.count != (size_t)out->labels))
        return fr_fail(error, FR_BAD_INPUT, "%lld labels with %zu names", (long long)out->labels,
                       wanted ? wanted->names.count : 0);
    if (wanted && !fr_strings_copy(&out->names, &wanted->names))
        return fr_fail(error, FR_NO_MEMORY, "no memory for the names of labels");
    return FR_OK;
}

/* ---- config.json ---- */

/* id2label: {"0": "negative", "1": "positive"}: the names in the order of their numbers, or none where there are just
   transformers' own LABEL_0, LABEL_1. */
static fr_status read_names(fr_model_head *head, const json_t *map, const char *path,
                            fr_error *error)
{
    size_t count = json_object_size(map);
    bool named = false;
    if (count > MOST_LABELS)
        return fr_fail_at(error, FR_BAD_INPUT, path, 0, "id2label has %zu labels", count);
    head->names.items = fr_alloc_array(count ? count : 1, sizeof(char *), FR_MEMORY_OTHER);
    if (!head->names.items)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu labels", count);
    for (size_t i = 0; i < count; i++) {
        char key[32], automatic[48];
        snprintf(key, sizeof key, "%zu", i);
        snprintf(automatic, sizeof automatic, "LABEL_%zu", i);
        const char *name = json_string_value(json_object_get(map, key));
        if (!name)
            return fr_fail_at(error, FR_BAD_INPUT, path, 0,
                              "id2label has %zu entries, but none of number %zu that is a string",
                              count, i);
        named |= strcmp(name, automatic) != 0;
        if (!(head->names.items[i] = fr_string_copy(name)))
            return fr_fail(error, FR_NO_MEMORY, "no memory for %zu labels", count);
        head->names.count++;
    }
    head->labels = (int64_t)count;
    if (!named)
        fr_strings_free(&head->names);
    return FR_OK;
}

static fr_status read_labels(fr_model_head *head, int64_t labels, const json_t *json,
                             const char *path, fr_error *error)
{
    const json_t *map = json_object_get(json, "id2label"),
                 *count = json_object_get(json, "num_labels");
    head->labels = labels;
    if (json_is_object(map))
        FR_TRY(read_names(head, map, path, error));
    else if (json_is_integer(count))
        head->labels = json_integer_value(count);
    if (head->labels < 1 || head->labels > MOST_LABELS)
        return fr_fail_at(error, FR_BAD_INPUT, path, 0, "num_labels is %lld, expected 1 to %d",
                          (long long)head->labels, MOST_LABELS);
    const char *problem = json_string_value(json_object_get(json, "problem_type"));
    head->problem = head->labels == 1 ? FR_PROBLEM_REGRESSION : FR_PROBLEM_SINGLE_LABEL;
    if (!problem)
        return FR_OK;
    for (int i = 0; fr_problem_names[i]; i++)
        if (strcmp(problem, fr_problem_names[i]) == 0) {
            head->problem = (fr_problem)i;
            return FR_OK;
        }
    return fr_fail_at(error, FR_UNSUPPORTED, path, 0, "problem_type '%.64s' is not supported",
                      problem);
}

/* The class that "architectures" names. A kind's class of another model_type is refused: config.json contradicts itself. */
static fr_status read_class(fr_model_head *head, const fr_model_kind *kind, const char *type,
                            const json_t *json, const char *path, fr_error *error)
{
    const json_t *list = json_object_get(json, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));
    if (!list || json_is_null(list) || (json_is_array(list) && !json_array_size(list))) {
        head->task = first_class(kind, type)->task;
        return FR_OK;
    }
    if (!name)
        return fr_fail_at(error, FR_BAD_INPUT, path, 0, "architectures is not a list of names");
    for (const fr_model_class *entry = kind->classes; entry->name; entry++)
        if (strcmp(entry->model_type, type) == 0 && strcmp(entry->name, name) == 0) {
            head->task = entry->task;
            return FR_OK;
        }
    char *tasks = fr_model_tasks_text(kind, type);
    fr_fail_at(error, FR_UNSUPPORTED, path, 0,
               "class '%.64s' of model_type %s is not supported (there are heads for: %s)", name,
               type, tasks ? tasks : "...");
    fr_free(tasks);
    return FR_UNSUPPORTED;
}

fr_status fr_model_head_read(fr_model_head *head, const fr_model_kind *kind, const void *config,
                             const json_t *json, const char *path, fr_error *error)
{
    *head = (fr_model_head){0};
    const char *type = fr_config_model_type(kind, config);
    FR_TRY(read_class(head, kind, type, json, path, error));
    return has_labels(head->task) ? read_labels(head, default_labels(kind, type), json, path, error)
                                  : FR_OK;
}

static bool write_labels(const fr_model_head *head, json_t *json)
{
    json_t *names = json_object(), *ids = json_object();
    bool whole = names && ids;
    for (int64_t i = 0; i < head->labels && whole; i++) {
        char key[32], automatic[48];
        snprintf(key, sizeof key, "%lld", (long long)i);
        snprintf(automatic, sizeof automatic, "LABEL_%lld", (long long)i);
        const char *name = head->names.count ? head->names.items[i] : automatic;
        whole = !json_object_set_new(names, key, json_string(name)) &&
                !json_object_set_new(ids, name, json_integer(i));
    }
    whole &= !json_object_set_new(json, "id2label", names);
    whole &= !json_object_set_new(json, "label2id", ids);
    return whole &&
           !json_object_set_new(json, "problem_type", json_string(fr_problem_names[head->problem]));
}

fr_status fr_model_head_write(const fr_model *model, json_t *json, fr_error *error)
{
    const fr_model_class *class_ = fr_model_class_find(
        model->kind, fr_config_model_type(model->kind, model->config), model->head.task);
    bool whole = !json_object_set_new(json, "architectures", json_pack("[s]", class_->name));
    if (whole && has_labels(model->head.task))
        whole = write_labels(&model->head, json);
    return whole ? FR_OK : fr_fail(error, FR_NO_MEMORY, "cannot write the labels of a model");
}

/* ---- outputs ---- */

void fr_outputs_add(fr_outputs *outputs, const char *name, fr_tensor *tensor)
{
    if (outputs->count < FR_MOST_OUTPUTS) {
        outputs->items[outputs->count].name = name;
        outputs->items[outputs->count++].tensor = tensor;
    }
}

fr_tensor *fr_outputs_find(const fr_outputs *outputs, const char *name)
{
    for (int i = 0; i < outputs->count; i++)
        if (strcmp(outputs->items[i].name, name) == 0)
            return outputs->items[i].tensor;
    return NULL;
}
