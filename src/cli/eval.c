/* eval.c: `frugal eval`: how well a model predicts text, per file and in all. docs/evaluation.md
   says what is counted. */
#include "cli/eval.h"

#include "frugal/decode.h"
#include "frugal/probes.h"

#include <jansson.h>
#include <string.h>

enum { LARGEST_DOCUMENT = 16 << 20 }; /* bytes; a plain file up to this size is one document */

typedef struct eval_options {
    int64_t length, batch;
    char *text_key, *predictions;
    int weights; /* fr_weights */
} eval_options;

static void defaults(void *o)
{
    *(eval_options *)o = (eval_options){
        .batch = 16, .text_key = fr_string_copy("text"), .weights = FR_WEIGHTS_STORED};
}

static const fr_option options[] = {
    {"length", FR_OPTION_INT, offsetof(eval_options, length), "tokens", 0, 1e9, NULL,
     "windows in which long documents are read; 0: the model's context"},
    {"text_key", FR_OPTION_STRING, offsetof(eval_options, text_key), NULL, 0, 0, NULL,
     "the key of the text in JSON lines"},
    {"predictions", FR_OPTION_STRING, offsetof(eval_options, predictions), NULL, 0, 0, NULL,
     "labelled examples: file for what the model says of each, a line of JSON in the examples' "
     "order"},
    {"batch", FR_OPTION_INT, offsetof(eval_options, batch), "examples", 1, 1 << 16, NULL,
     "labelled examples that are read at once"},
    CLI_WEIGHTS_OPTION(eval_options, weights),
};
static const fr_option_table table = {"eval", options, sizeof options / sizeof *options,
                                      sizeof(eval_options), defaults};

typedef struct evaluation {
    const cli_call *call;
    fr_model *model;
    fr_tokenizer *tokenizer;
    fr_source *source;
    fr_evaluator *evaluator; /* of a causal language model */
    fr_guesser *guesser;     /* of a masked one */
    char **files;            /* names of the groups */
    size_t file_count, file_room;
    int64_t documents, bytes;
} evaluation;

/* ---- reading --------------------------------------------------------------------------------- */

/* The group of a document's file: sources give all of a file's documents together. */
static fr_status group_of(evaluation *e, const char *path, int64_t *group, fr_error *error)
{
    if (e->file_count == 0 || strcmp(e->files[e->file_count - 1], path) != 0) {
        if (e->file_count == e->file_room) {
            size_t room = e->file_room ? 2 * e->file_room : 16;
            char **files = fr_realloc(e->files, room * sizeof *files, FR_MEMORY_OTHER);
            if (!files)
                return fr_fail(error, FR_NO_MEMORY, "no memory for the names of %zu files", room);
            e->files = files;
            e->file_room = room;
        }
        if (!(e->files[e->file_count] = fr_string_copy(path)))
            return fr_fail(error, FR_NO_MEMORY, "no memory for the name of %s", path);
        e->file_count++;
    }
    *group = (int64_t)e->file_count - 1;
    return FR_OK;
}

static fr_status score_documents(evaluation *e, fr_error *error)
{
    for (;;) {
        fr_document document;
        int64_t group = 0;
        FR_TRY(fr_source_next(e->source, &document, error));
        if (!document.text)
            break;
        FR_TRY(group_of(e, document.path, &group, error));
        FR_TRY(e->guesser
                   ? fr_guesser_add(e->guesser, group, document.text, document.size, error)
                   : fr_evaluator_add(e->evaluator, group, document.text, document.size, error));
        e->documents++;
        e->bytes += (int64_t)document.size;
        char bytes[24];
        cli_progress("evaluating: %lld documents, %s", (long long)e->documents,
                     cli_bytes_text((double)e->bytes, bytes));
    }
    if (e->bytes == 0)
        return fr_fail(error, FR_BAD_INPUT, "%s%s: no text to evaluate", e->call->operands[1],
                       e->call->operand_count > 2 ? " ..." : "");
    return FR_OK;
}

/* ---- results --------------------------------------------------------------------------------- */

/* What was counted of a group, or of all (-1): a kind of model fills one of the two. */
typedef struct result {
    fr_evaluation said;
    fr_guesses guessed;
    int64_t tokens, documents;
    double seconds;
} result;

static fr_status result_of(evaluation *e, int64_t group, result *r, fr_error *error)
{
    *r = (result){0};
    if (e->guesser) {
        FR_TRY(fr_guesser_result(e->guesser, group, &r->guessed, error));
        r->tokens = r->guessed.tokens;
        r->documents = r->guessed.documents;
        r->seconds = r->guessed.seconds;
        return FR_OK;
    }
    FR_TRY(fr_evaluator_result(e->evaluator, group, &r->said, error));
    r->tokens = r->said.tokens;
    r->documents = r->said.documents;
    r->seconds = r->said.seconds;
    return FR_OK;
}

static json_t *figures(const evaluation *e, const result *r)
{
    const fr_guesses *g = &r->guessed;
    const fr_evaluation *s = &r->said;
    if (e->guesser)
        return json_pack("{s:f, s:f, s:I, s:I, s:I, s:I}", "loss", g->loss, "accuracy", g->accuracy,
                         "guesses", (json_int_t)g->guesses, "tokens", (json_int_t)g->tokens,
                         "bytes", (json_int_t)g->bytes, "documents", (json_int_t)g->documents);
    return json_pack("{s:f, s:f, s:f, s:I, s:I, s:I}", "loss", s->loss, "perplexity", s->perplexity,
                     "bits_per_byte", s->bits_per_byte, "tokens", (json_int_t)s->tokens, "bytes",
                     (json_int_t)s->bytes, "documents", (json_int_t)s->documents);
}

static fr_status print_json(evaluation *e, const result *total, fr_error *error)
{
    json_t *all = figures(e, total), *files = json_array();
    for (size_t i = 0; i < e->file_count; i++) {
        result file;
        FR_TRY(result_of(e, (int64_t)i, &file, error));
        json_t *entry = figures(e, &file), *path = json_string(e->files[i]);
        json_object_set_new(entry, "path", path ? path : json_string("(not UTF-8)"));
        json_array_append_new(files, entry);
    }
    json_object_set_new(all, "model", json_string(e->call->operands[0]));
    json_object_set_new(all, "seconds", json_real(total->seconds));
    json_object_set_new(all, "files", files);
    return cli_print_json(all, error);
}

static fr_status print_line(const evaluation *e, const result *r, const char *name, fr_error *error)
{
    const fr_guesses *g = &r->guessed;
    const fr_evaluation *s = &r->said;
    if (e->guesser)
        return cli_print(error, "%8.4f %10.4f %11lld %11lld %12lld  %s\n", g->loss, g->accuracy,
                         (long long)g->guesses, (long long)g->tokens, (long long)g->bytes, name);
    return cli_print(error, "%8.4f %12.3f %10.4f %11lld %12lld  %s\n", s->loss, s->perplexity,
                     s->bits_per_byte, (long long)s->tokens, (long long)s->bytes, name);
}

static fr_status print_table(evaluation *e, const result *total, fr_error *error)
{
    FR_TRY(e->guesser ? cli_print(error, "%8s %10s %11s %11s %12s\n", "loss", "accuracy", "guesses",
                                  "tokens", "bytes")
                      : cli_print(error, "%8s %12s %10s %11s %12s\n", "loss", "perplexity",
                                  "bits/byte", "tokens", "bytes"));
    for (size_t i = 0; i < e->file_count && e->file_count > 1; i++) {
        result file;
        FR_TRY(result_of(e, (int64_t)i, &file, error));
        FR_TRY(print_line(e, &file, e->files[i], error));
    }
    return print_line(e, total, e->file_count == 1 ? e->files[0] : "total", error);
}

/* The seed of the tokens that are hidden: one for all, so that figures may be compared. */
enum { SEED = 0 };

static fr_status evaluate(evaluation *e, fr_error *error)
{
    const eval_options *o = e->call->options;
    const char *folder = e->call->operands[0];
    fr_source_options source = {.text_key = o->text_key, .max_document = LARGEST_DOCUMENT};
    cli_progress_start(e->call->quiet);
    FR_TRY(fr_tokenizer_load(&e->tokenizer, folder, error));
    FR_TRY(fr_model_open(&e->model, folder, (fr_weights)o->weights, error));
    FR_TRY(fr_source_open(&e->source, e->call->operands + 1, e->call->operand_count - 1, &source,
                          error));
    FR_TRY(e->model->head.task == FR_TASK_MASKED_LM
               ? fr_guesser_create(&e->guesser, e->model, e->tokenizer, o->length, SEED, error)
               : fr_evaluator_create(&e->evaluator, e->model, e->tokenizer, o->length, error));
    FR_TRY(score_documents(e, error));
    result total;
    FR_TRY(result_of(e, -1, &total, error));
    cli_progress_done("evaluated %lld documents in %.1f s (%.0f tokens/s)",
                      (long long)total.documents, total.seconds,
                      total.seconds > 0 ? (double)total.tokens / total.seconds : 0);
    return e->call->json ? print_json(e, &total, error) : print_table(e, &total, error);
}

/* What the model's head is judged on; FR_EXAMPLES_NONE: plain text. A GGUF file is a causal language model. */
static fr_status form_of(const char *model, fr_example_form *form, fr_error *error)
{
    fr_model_head head;
    char *config = fr_path_join(model, "config.json");
    bool there = config && fr_path_exists(config);
    *form = FR_EXAMPLES_NONE;
    fr_free(config);
    if (!there)
        return FR_OK;
    FR_TRY(fr_model_folder_head(&head, model, error));
    *form = fr_task_examples(head.task);
    bool text = head.task == FR_TASK_CAUSAL_LM || head.task == FR_TASK_MASKED_LM;
    fr_task task = head.task;
    fr_model_head_free(&head);
    if (text || *form)
        return FR_OK;
    return fr_fail_at(error, FR_UNSUPPORTED, model, 0, "models for task %s are not judged",
                      fr_task_names[task]);
}

static fr_status run(const cli_call *call, fr_error *error)
{
    const eval_options *o = call->options;
    fr_example_form form;
    FR_TRY(form_of(call->operands[0], &form, error));
    if (form)
        return cli_eval_examples(call, form, o->length, o->batch, o->predictions, error);
    if (o->predictions || call->word_count)
        return fr_fail(error, FR_BAD_INPUT,
                       "this is a language model: it is judged on plain text, without "
                       "--predictions or names of fields");
    evaluation e = {.call = call};
    fr_status status = evaluate(&e, error);
    for (size_t i = 0; i < e.file_count; i++)
        fr_free(e.files[i]);
    fr_free(e.files);
    fr_evaluator_destroy(e.evaluator);
    fr_guesser_destroy(e.guesser);
    fr_source_close(e.source);
    fr_model_destroy(e.model);
    fr_tokenizer_free(e.tokenizer);
    return status;
}

static const char help[] =
    "Measures how well a model predicts text: loss (nats per token), perplexity, and bits per byte "
    "of text, which may be\n"
    "compared between models with different tokenizers. The text is taken as it is, without "
    "cleaning. Every token is\n"
    "scored once; documents longer than the context are read in overlapping windows. A masked "
    "language "
    "model guesses\n"
    "hidden tokens instead: loss (nats per guess) and accuracy.\n"
    "\n"
    "A model for another task (its class says which) is judged on a file of labelled examples, "
    ".jsonl or .tsv: accuracy, F1,\n"
    "correlations, whatever fits (docs/evaluation.md). key=value words name the fields of a record "
    "(docs/fine-tuning.md).\n"
    "\n"
    "  frugal eval out held_out.txt\n"
    "  frugal eval out books/ notes.jsonl --json\n"
    "  frugal eval classifier test.jsonl text=sentence label=class --predictions said.jsonl";

const cli_verb cli_eval = {
    .name = "eval",
    .usage = "MODEL TEXT... | MODEL EXAMPLES.jsonl [key=value ...]",
    .summary = "how well a model does: bits per byte of text, accuracy on labelled examples",
    .help = help,
    .options = &table,
    .least_operands = 2,
    .most_operands = SIZE_MAX,
    .takes_words = true,
    .run = run,
};
