/* conversation.c: `frugal generate --chat`: a conversation with a model.

   Every turn is encoded anew with all that was said before, as the template writes it. A context is finite: when question and
   earlier turns leave no room for an answer, the oldest question goes with its answer, until the rest fits; the system's text and the
   question stay. That this happened is said on standard error, because a model that forgets looks like one that errs. */
#include "cli/conversation.h"

#include "cli/input.h"
#include "frugal/chat.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct conversation {
    const cli_call *call;
    fr_model *model;
    const fr_tokenizer *tokenizer;
    const fr_sampling_options *sampling;
    fr_chat *chat;
    fr_chat_message *messages; /* texts are fr_alloc's */
    size_t count, room, first; /* first: the one behind the system's */
    fr_buffer answer;
    fr_status failed; /* of writing, inside the callback */
    fr_error *error;
} conversation;

/* ---- what was said --------------------------------------------------------------------------- */

static fr_status say(conversation *c, fr_chat_role role, const char *text, fr_error *error)
{
    if (c->count == c->room) {
        size_t room = c->room ? 2 * c->room : 16;
        fr_chat_message *larger = fr_realloc(c->messages, room * sizeof *larger, FR_MEMORY_OTHER);
        if (!larger)
            return fr_fail(error, FR_NO_MEMORY, "no memory for a conversation");
        c->messages = larger;
        c->room = room;
    }
    char *copy = fr_string_copy(text);
    if (!copy)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a conversation");
    c->messages[c->count++] = (fr_chat_message){role, copy};
    return FR_OK;
}

/* `count` messages from `at` on are forgotten. */
static void forget(conversation *c, size_t at, size_t count)
{
    for (size_t i = at; i < at + count; i++)
        fr_free((char *)(uintptr_t)c->messages[i].text);
    for (size_t i = at; i + count < c->count; i++)
        c->messages[i] = c->messages[i + count];
    c->count -= count;
}

/* Tokens that an answer should have room for. */
static int64_t room_for_answer(const conversation *c)
{
    int64_t context = c->model->max_positions, wanted = c->sampling->max_tokens;
    return wanted > 0 && wanted < context / 2 ? wanted : context / 4 + 1;
}

/* The conversation's ids, with as many of its last turns as leave room for an answer. */
static fr_status fit(conversation *c, fr_ids *ids, fr_error *error)
{
    enum { TURN = 2 };
    size_t turns = 0;
    for (;;) {
        fr_ids_clear(ids);
        FR_TRY(fr_chat_encode(c->chat, c->messages, c->count, ids, error));
        bool fits = (int64_t)ids->count + room_for_answer(c) <= c->model->max_positions;
        if (fits || c->count <= c->first + 1)
            break;
        forget(c, c->first, TURN);
        turns++;
    }
    if (turns > 0 && !c->call->quiet)
        fprintf(stderr,
                "[the conversation no longer fits the model's context of %lld tokens: the oldest "
                "%zu turn%s left out]\n",
                (long long)c->model->max_positions, turns, turns == 1 ? " is" : "s are");
    return FR_OK;
}

/* ---- an answer ------------------------------------------------------------------------------- */

/* fr_generate_callback: the answer is kept, and shown as it comes. */
static bool take_text(void *context, int64_t row, const char *text, size_t size)
{
    conversation *c = context;
    (void)row;
    fr_buffer_append(&c->answer, text, size);
    if (c->call->json)
        return true;
    c->failed = cli_write(text, size, c->error);
    return c->failed == FR_OK;
}

static fr_status print_json(const conversation *c, const fr_generate_row *row, fr_error *error)
{
    static const char *const roles[FR_CHAT_ROLES] = {"system", "user", "assistant"};
    json_t *messages = json_array();
    for (size_t i = 0; i < c->count; i++)
        json_array_append_new(messages, json_pack("{s:s, s:s}", "role", roles[c->messages[i].role],
                                                  "content", c->messages[i].text));
    return cli_print_json(
        json_pack("{s:s, s:s, s:o, s:s, s:I, s:I, s:s}", "model", c->call->operands[0], "template",
                  fr_chat_name(c->chat), "messages", messages, "answer",
                  c->answer.data ? c->answer.data : "", "prompt_tokens",
                  (json_int_t)row->prompt_tokens, "new_tokens", (json_int_t)row->new_tokens, "end",
                  fr_generate_end_name(row->end)),
        error);
}

static fr_status finish(conversation *c, const fr_generate_row *row, fr_error *error)
{
    fr_buffer_text(&c->answer, "");
    if (c->answer.failed)
        return fr_fail(error, FR_NO_MEMORY, "no memory for an answer");
    if (c->call->json)
        FR_TRY(print_json(c, row, error));
    else
        FR_TRY(cli_print(error, "\n"));
    return say(c, FR_CHAT_ASSISTANT, c->answer.data, error);
}

/* The user said `text`; what the model answers becomes part of the conversation. A text that cannot be answered does not. */
static fr_status answer(conversation *c, const char *text, fr_error *error)
{
    fr_ids ids = {0};
    fr_generate_row row = {0};
    size_t end_count;
    const int32_t *ends = fr_chat_ends(c->chat, &end_count);
    FR_TRY(say(c, FR_CHAT_USER, text, error));
    fr_buffer_clear(&c->answer);
    fr_status status = fit(c, &ids, error);
    if (status == FR_OK)
        status = fr_generate_ids(c->model, c->tokenizer, &ids, 1, ends, end_count, c->sampling,
                                 take_text, c, &row, NULL, error);
    fr_ids_free(&ids);
    if (c->failed != FR_OK)
        return c->failed;
    if (status == FR_OK || status == FR_INTERRUPTED) {
        fr_error own;
        fr_status finished = finish(c, &row, &own);
        return finished == FR_OK ? status : fr_fail(error, finished, "%s", own.message);
    }
    forget(c, c->count - 1, 1);
    return status;
}

/* ---- the conversation ------------------------------------------------------------------------ */

/* Ctrl-C ends an answer, or the conversation when none is being made. */
static fr_status talk(conversation *c, fr_error *error)
{
    if (!c->call->quiet)
        fprintf(stderr, "A conversation (template %s); Ctrl-C stops an answer, Ctrl-D ends.\n",
                fr_chat_name(c->chat));
    char *line = NULL;
    size_t room = 0;
    fr_status status = FR_OK;
    while (status == FR_OK && cli_input_line(&line, &room)) {
        status = answer(c, line, error);
        if (status == FR_INTERRUPTED) {
            fr_interrupt_clear();
            status = FR_OK;
        } else if (status == FR_BAD_INPUT) { /* too long: say so and go on */
            fprintf(stderr, "%s\n", error->message);
            status = FR_OK;
        }
    }
    free(line);
    fputc('\n', stderr);
    return status;
}

static fr_status choose(conversation *c, fr_error *error)
{
    if (c->call->operand_count == 2)
        return answer(c, c->call->operands[1], error);
    if (isatty(STDIN_FILENO))
        return talk(c, error);
    fr_buffer input = {0};
    fr_status status = cli_input_all(&input, error);
    if (status == FR_OK)
        status = answer(c, input.data, error);
    fr_buffer_free(&input);
    return status;
}

fr_status cli_converse(const cli_call *call, fr_model *model, const fr_tokenizer *tokenizer,
                       const fr_sampling_options *sampling, const cli_conversation_options *options,
                       fr_error *error)
{
    conversation c = {.call = call,
                      .model = model,
                      .tokenizer = tokenizer,
                      .sampling = sampling,
                      .first = options->system != NULL,
                      .error = error};
    fr_status status =
        fr_chat_create(&c.chat, tokenizer, options->template_name, call->operands[0], error);
    if (status == FR_OK && options->system)
        status = say(&c, FR_CHAT_SYSTEM, options->system, error);
    if (status == FR_OK)
        status = choose(&c, error);
    while (c.count > 0)
        forget(&c, 0, 1);
    fr_free(c.messages);
    fr_buffer_free(&c.answer);
    fr_chat_destroy(c.chat);
    return status;
}
