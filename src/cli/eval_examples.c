/* eval_examples.c: `frugal eval MODEL FILE.jsonl` of a model that is no causal language model: the figures of its task on labelled
   examples, and what it says of each. */
#include "cli/eval.h"

#include "frugal/probes.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct judged {
    const cli_call *call;
    const char *predictions; /* path, or NULL */
    fr_example_options options;
    fr_model *model;
    fr_tokenizer *tokenizer;
    fr_image_processor *images;
    fr_examples *examples;
    fr_buffer *said; /* a line of JSON for each example */
} judged;

/* Field names as key=value words: "label=section". */
static fr_status read_words(judged *j, fr_error *error)
{
    for (size_t i = 0; i < j->call->word_count; i++) {
        const char *word = j->call->words[i], *equal = strchr(word, '=');
        char *key = fr_string_copy_n(word, (size_t)(equal - word));
        fr_status status =
            key ? fr_options_set(&fr_example_option_table, &j->options, key, equal + 1, error)
                : fr_fail(error, FR_NO_MEMORY, "no memory");
        fr_free(key);
        FR_TRY(status);
    }
    return FR_OK;
}

static fr_status load(judged *j, fr_example_form form, fr_error *error)
{
    const char *folder = j->call->operands[0];
    bool pictures = form == FR_EXAMPLES_IMAGES || form == FR_EXAMPLES_IMAGE_TEXTS;
    FR_TRY(fr_model_load(&j->model, folder, error));
    if (form != FR_EXAMPLES_IMAGES)
        FR_TRY(fr_tokenizer_load(&j->tokenizer, folder, error));
    if (pictures)
        FR_TRY(fr_image_processor_exists(folder)
                   ? fr_image_processor_load(&j->images, folder, error)
                   : fr_image_processor_create(&j->images, j->model, error));
    return FR_OK;
}

static fr_status keep(void *context, int64_t number, json_t *prediction, fr_error *error)
{
    judged *j = context;
    char *text = json_dumps(prediction, JSON_COMPACT);
    if (text)
        fr_buffer_printf(&j->said[number], "%s\n", text);
    free(text);
    return text && !j->said[number].failed
               ? FR_OK
               : fr_fail(error, FR_NO_MEMORY, "no memory for the predictions");
}

static fr_status write_predictions(const judged *j, fr_error *error)
{
    fr_buffer all = {0};
    for (int64_t i = 0; i < fr_examples_count(j->examples); i++)
        fr_buffer_append(&all, j->said[i].data, j->said[i].size);
    fr_status status = all.failed ? fr_fail(error, FR_NO_MEMORY, "no memory for the predictions")
                                  : fr_file_write(j->predictions, all.data, all.size, error);
    fr_buffer_free(&all);
    return status;
}

static fr_status print(const judged *j, const fr_judgement *judgement, fr_error *error)
{
    if (j->call->json) {
        json_t *result = json_pack("{s:s, s:s, s:I}", "model", j->call->operands[0], "task",
                                   fr_task_names[j->model->head.task], "examples",
                                   (json_int_t)judgement->examples);
        for (int i = 0; i < judgement->count; i++)
            json_object_set_new(result, judgement->figures[i].name,
                                isfinite(judgement->figures[i].value)
                                    ? json_real(judgement->figures[i].value)
                                    : json_null());
        return cli_print_json(result, error);
    }
    FR_TRY(cli_print(error, "%-20s %lld (%s)\n", "examples", (long long)judgement->examples,
                     fr_task_names[j->model->head.task]));
    for (int i = 0; i < judgement->count; i++)
        FR_TRY(cli_print(error, "%-20s %.4f\n", judgement->figures[i].name,
                         judgement->figures[i].value));
    return FR_OK;
}

static fr_status judge(judged *j, fr_example_form form, int64_t length, int64_t rows,
                       fr_error *error)
{
    fr_judgement judgement;
    if (j->call->operand_count != 2)
        return fr_fail(error, FR_BAD_INPUT, "examples are read from one file");
    FR_TRY(fr_options_read(&fr_example_option_table, &j->options, NULL, false, NULL, error));
    FR_TRY(read_words(j, error));
    FR_TRY(load(j, form, error));
    FR_TRY(fr_examples_open(&j->examples, j->call->operands[1], form, &j->options, error));
    int64_t most = length ? length : j->model->max_positions;
    const fr_encoding encoding = {.tokenizer = j->tokenizer,
                                  .model = j->model,
                                  .images = j->images,
                                  .length = most,
                                  .target_length =
                                      j->options.target_length ? j->options.target_length : most};
    FR_TRY(fr_examples_encode(j->examples, &encoding, error));
    size_t count = (size_t)fr_examples_count(j->examples);
    if (j->predictions && !(j->said = fr_alloc_array(count, sizeof *j->said, FR_MEMORY_OTHER)))
        return fr_fail(error, FR_NO_MEMORY, "no memory for the predictions");
    const fr_judge_options how = {.rows = rows, .each = j->said ? keep : NULL, .context = j};
    FR_TRY(fr_judge(j->model, j->examples, &how, &judgement, error));
    if (j->predictions)
        FR_TRY(write_predictions(j, error));
    return print(j, &judgement, error);
}

fr_status cli_eval_examples(const cli_call *call, fr_example_form form, int64_t length,
                            int64_t rows, const char *predictions, fr_error *error)
{
    judged j = {.call = call, .predictions = predictions};
    fr_status status = judge(&j, form, length, rows, error);
    for (int64_t i = 0; j.said && i < fr_examples_count(j.examples); i++)
        fr_buffer_free(&j.said[i]);
    fr_free(j.said);
    fr_examples_close(j.examples);
    fr_image_processor_free(j.images);
    fr_tokenizer_free(j.tokenizer);
    fr_model_destroy(j.model);
    fr_options_free(&fr_example_option_table, &j.options);
    return status;
}
