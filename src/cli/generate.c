/* generate.c: `frugal generate`: text that continues a prompt, shown while it is made. */
#include "cli/cli.h"

#include "cli/conversation.h"
#include "cli/input.h"

#include "decode/sampling_options.h"
#include "decode/stream.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct generate_options {
    fr_sampling_options sampling;
    int64_t samples;
    bool only_new;
    int weights; /* fr_weights */
    cli_conversation_options chat;
} generate_options;

static void defaults(void *o)
{
    sampling_defaults(&((generate_options *)o)->sampling);
    ((generate_options *)o)->samples = 1;
    ((generate_options *)o)->weights = FR_WEIGHTS_STORED;
}

static const fr_option options[] = {
    SAMPLING_OPTIONS(generate_options, sampling.),
    {"samples", FR_OPTION_INT, offsetof(generate_options, samples), NULL, 1, 10000, NULL,
     "how many texts to make from each prompt"},
    {"only_new", FR_OPTION_BOOL, offsetof(generate_options, only_new), NULL, 0, 0, NULL,
     "print what the model adds, without the prompt"},
    CLI_WEIGHTS_OPTION(generate_options, weights),
    {"chat", FR_OPTION_BOOL, offsetof(generate_options, chat.chat), NULL, 0, 0, NULL,
     "hold a conversation, written down as the model's chat template says"},
    {"system", FR_OPTION_STRING, offsetof(generate_options, chat.system), NULL, 0, 0, NULL,
     "of a conversation: what the model is told before it begins"},
    {"template", FR_OPTION_STRING, offsetof(generate_options, chat.template_name), NULL, 0, 0, NULL,
     "of a conversation: an entry of `frugal list chat_template` instead of the model's own"},
};
static const fr_option_table table = {"generate", options, sizeof options / sizeof *options,
                                      sizeof(generate_options), defaults};

/* One prompt being answered. */
typedef struct answer {
    const cli_call *call;
    const generate_options *options;
    const char *folder, *prompt;
    fr_model *model;
    const fr_tokenizer *tokenizer;
    fr_buffer *texts; /* (samples): all of the text; the first is printed as it comes */
    fr_generate_row *rows;
    fr_generate_result result;
    bool begun;       /* the prompt was printed: not before it is known to be a good one */
    fr_status failed; /* of writing, inside the callback */
    fr_error *error;
} answer;

/* ---- results --------------------------------------------------------------------------------- */

/* Prompts are bytes; JSON wants characters. */
static json_t *json_text(const char *text, size_t size)
{
    fr_strings none = {0};
    text_stream stream = {.stop = &none};
    fr_buffer all = {0};
    text_stream_push(&stream, text, size);
    fr_buffer_append(&all, stream.ready.data, stream.ready.size);
    text_stream_end(&stream);
    fr_buffer_append(&all, stream.ready.data, stream.ready.size);
    json_t *string = all.failed ? NULL : json_stringn(all.data ? all.data : "", all.size);
    text_stream_free(&stream);
    fr_buffer_free(&all);
    return string;
}

static double rate(const fr_generate_result *result)
{
    return result->decode_seconds > 0 ? (double)result->new_tokens / result->decode_seconds : 0;
}

static fr_status print_json(const answer *a, fr_error *error)
{
    json_t *samples = json_array();
    for (int64_t i = 0; i < a->options->samples; i++) {
        const fr_buffer *text = &a->texts[i];
        json_array_append_new(samples,
                              json_pack("{s:o, s:I, s:I, s:s}", "text",
                                        json_text(text->data ? text->data : "", text->size),
                                        "prompt_tokens", (json_int_t)a->rows[i].prompt_tokens,
                                        "new_tokens", (json_int_t)a->rows[i].new_tokens, "end",
                                        fr_generate_end_name(a->rows[i].end)));
    }
    return cli_print_json(json_pack("{s:s, s:o, s:o, s:f, s:f, s:f}", "model", a->folder, "prompt",
                                    json_text(a->prompt, strlen(a->prompt)), "samples", samples,
                                    "prompt_seconds", a->result.prompt_seconds, "decode_seconds",
                                    a->result.decode_seconds, "tokens_per_second",
                                    rate(&a->result)),
                          error);
}

/* The text of an encoder-decoder does not continue its prompt. */
static bool shows_prompt(const answer *a)
{
    return !a->options->only_new && !a->model->kind->encode;
}

/* What the first sample's stream has not printed: the other samples. */
static fr_status print_rest(const answer *a, fr_error *error)
{
    FR_TRY(cli_print(error, "\n"));
    for (int64_t i = 1; i < a->options->samples && a->rows[i].new_tokens > 0; i++) {
        FR_TRY(cli_print(error, "\n--- sample %lld of %lld ---\n%s", (long long)i + 1,
                         (long long)a->options->samples, shows_prompt(a) ? a->prompt : ""));
        FR_TRY(cli_write(a->texts[i].data ? a->texts[i].data : "", a->texts[i].size, error));
        FR_TRY(cli_print(error, "\n"));
    }
    return FR_OK;
}

static void tell_speed(const answer *a)
{
    if (a->call->quiet)
        return;
    fflush(stdout);
    fprintf(stderr, "[%lld prompt tokens in %.2f s; %lld tokens in %.2f s, %.1f tokens/s",
            (long long)a->result.prompt_tokens, a->result.prompt_seconds,
            (long long)a->result.new_tokens, a->result.decode_seconds, rate(&a->result));
    if (a->options->samples == 1)
        fprintf(stderr, "; ended by %s", fr_generate_end_name(a->rows[0].end));
    fputs("]\n", stderr);
}

/* ---- one prompt ------------------------------------------------------------------------------ */

static fr_status print_prompt(answer *a, fr_error *error)
{
    bool wanted = !a->begun && !a->call->json && shows_prompt(a);
    a->begun = true;
    return wanted ? cli_print(error, "%s", a->prompt) : FR_OK;
}

/* fr_generate_callback: keep every row's text, print the first row's at once. */
static bool take_text(void *context, int64_t row, const char *text, size_t size)
{
    answer *a = context;
    fr_buffer_append(&a->texts[row], text, size);
    if (row != 0 || a->call->json)
        return true;
    a->failed = print_prompt(a, a->error);
    if (a->failed == FR_OK)
        a->failed = cli_write(text, size, a->error);
    if (a->failed == FR_OK && fflush(stdout) != 0)
        a->failed = fr_fail_errno(a->error, "write", "standard output");
    return a->failed == FR_OK;
}

static fr_status run_answer(answer *a, fr_error *error)
{
    size_t count = (size_t)a->options->samples;
    const char **prompts = fr_alloc_array(count, sizeof *prompts, FR_MEMORY_OTHER);
    if (!prompts)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu prompts", count);
    for (size_t i = 0; i < count; i++)
        prompts[i] = a->prompt;
    fr_status status = fr_generate(a->model, a->tokenizer, prompts, count, &a->options->sampling,
                                   take_text, a, a->rows, &a->result, error);
    fr_free(prompts);
    if (a->failed != FR_OK)
        return a->failed;
    if (status != FR_OK && status != FR_INTERRUPTED)
        return status;
    /* What was made before an interruption is shown whole. */
    fr_error own;
    fr_status printed = print_prompt(a, &own);
    if (printed == FR_OK)
        printed = a->call->json ? print_json(a, &own) : print_rest(a, &own);
    tell_speed(a);
    if (printed != FR_OK && status == FR_OK)
        return fr_fail(error, own.status, "%s", own.message);
    return status;
}

static fr_status answer_prompt(const cli_call *call, fr_model *model, const fr_tokenizer *tokenizer,
                               const char *prompt, fr_error *error)
{
    const generate_options *o = call->options;
    size_t count = (size_t)o->samples;
    answer a = {.call = call,
                .options = o,
                .folder = call->operands[0],
                .prompt = prompt,
                .model = model,
                .tokenizer = tokenizer,
                .error = error,
                .texts = fr_alloc_array(count, sizeof *a.texts, FR_MEMORY_OTHER),
                .rows = fr_alloc_array(count, sizeof *a.rows, FR_MEMORY_OTHER)};
    fr_status status = a.texts && a.rows
                           ? run_answer(&a, error)
                           : fr_fail(error, FR_NO_MEMORY, "no memory for %zu samples", count);
    for (size_t i = 0; a.texts && i < count; i++)
        fr_buffer_free(&a.texts[i]);
    fr_free(a.texts);
    fr_free(a.rows);
    return status;
}

/* ---- prompts --------------------------------------------------------------------------------- */

/* Each line is a prompt of its own. Ctrl-C ends a text, or the conversation when none is being
   made. */
static fr_status converse(const cli_call *call, fr_model *model, const fr_tokenizer *tokenizer,
                          fr_error *error)
{
    if (!call->quiet)
        fputs("Each line is a prompt; Ctrl-C stops a text, Ctrl-D ends.\n", stderr);
    char *line = NULL;
    size_t room = 0;
    fr_status status = FR_OK;
    while (status == FR_OK && cli_input_line(&line, &room)) {
        status = answer_prompt(call, model, tokenizer, line, error);
        if (status == FR_INTERRUPTED) {
            fr_interrupt_clear();
            status = FR_OK;
        } else if (status == FR_BAD_INPUT) { /* a prompt that is too long: say so and go on */
            fprintf(stderr, "%s\n", error->message);
            status = FR_OK;
        }
    }
    free(line);
    fputc('\n', stderr);
    return status;
}

static fr_status choose_prompt(const cli_call *call, fr_model *model, const fr_tokenizer *tokenizer,
                               fr_error *error)
{
    const generate_options *o = call->options;
    if (o->chat.chat)
        return cli_converse(call, model, tokenizer, &o->sampling, &o->chat, error);
    if (call->operand_count == 2)
        return answer_prompt(call, model, tokenizer, call->operands[1], error);
    if (isatty(STDIN_FILENO))
        return converse(call, model, tokenizer, error);
    fr_buffer input = {0};
    fr_status status = cli_input_all(&input, error);
    if (status == FR_OK)
        status = answer_prompt(call, model, tokenizer, input.data, error);
    fr_buffer_free(&input);
    return status;
}

static const generate_options *options_of(const cli_call *call)
{
    return call->options;
}

static fr_status run(const cli_call *call, fr_error *error)
{
    fr_model *model = NULL;
    fr_tokenizer *tokenizer = NULL;
    const generate_options *o = call->options;
    if (!o->chat.chat && (o->chat.system || o->chat.template_name))
        return fr_fail(error, FR_BAD_INPUT, "--system and --template need --chat");
    if (o->chat.chat && o->samples != 1)
        return fr_fail(error, FR_BAD_INPUT, "--chat and --samples exclude each other");
    fr_status status = fr_tokenizer_load(&tokenizer, call->operands[0], error);
    if (status == FR_OK)
        status =
            fr_model_open(&model, call->operands[0], (fr_weights)options_of(call)->weights, error);
    if (status == FR_OK)
        status = choose_prompt(call, model, tokenizer, error);
    fr_model_destroy(model);
    fr_tokenizer_free(tokenizer);
    return status;
}

static const char help[] =
    "Continues a prompt with a model (a folder with config.json, model.safetensors and "
    "tokenizer.json, or a GGUF file), printing the text as it is made.\n"
    "Without PROMPT: on a terminal each line you type is a prompt; else the prompt is standard "
    "input.\n"
    "An empty prompt lets the model begin a text of its own.\n"
    "An encoder-decoder (T5, BART, mBART) reads the prompt and writes another text: its "
    "translation or summary, say.\n"
    "With --chat PROMPT, or each line, is what you say in a conversation; only the answers are "
    "printed. What was said before is\n"
    "kept; when it no longer fits the model's context, the oldest turns are left out, and that is "
    "said.\n"
    "\n"
    "  frugal generate out \"Once upon a time\"\n"
    "  frugal generate out \"Q: Why?\" --temperature 0 --stop \"Q:\" --max-tokens 50\n"
    "  frugal generate out \"\" --samples 5 --top-p 0.9 --seed 7 --json\n"
    "  frugal generate out --chat --system \"Answer in one sentence.\"";

const cli_verb cli_generate = {
    .name = "generate",
    .usage = "MODEL [PROMPT]",
    .summary = "continue a prompt",
    .help = help,
    .options = &table,
    .least_operands = 1,
    .most_operands = 2,
    .run = run,
};
