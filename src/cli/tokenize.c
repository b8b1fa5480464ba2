/* tokenize.c: `frugal tokenize`: text on standard input -> ids, and back. */
#include "cli/cli.h"
#include "cli/token_text.h"

#include "frugal/tokenizer.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tokenize_options {
    bool decode, offsets, tokens, lines;
    bool add_special, special_as_text, skip_special;
} tokenize_options;

static const fr_option options[] = {
    {"decode", FR_OPTION_BOOL, offsetof(tokenize_options, decode), NULL, 0, 0, NULL,
     "ids on standard input, text on standard output"},
    {"offsets", FR_OPTION_BOOL, offsetof(tokenize_options, offsets), NULL, 0, 0, NULL,
     "a line for each token: its id, and the bytes where it begins and ends"},
    {"tokens", FR_OPTION_BOOL, offsetof(tokenize_options, tokens), NULL, 0, 0, NULL,
     "a line for each token: its id, and its text in quotes"},
    {"lines", FR_OPTION_BOOL, offsetof(tokenize_options, lines), NULL, 0, 0, NULL,
     "every line of input is a JSON string, or a list of two (a pair), and becomes a line of JSON; "
     "with --decode, a list of ids that becomes a string"},
    {"add_special", FR_OPTION_BOOL, offsetof(tokenize_options, add_special), NULL, 0, 0, NULL,
     "put the special tokens around the text that the tokenizer's file asks for"},
    {"special_as_text", FR_OPTION_BOOL, offsetof(tokenize_options, special_as_text), NULL, 0, 0,
     NULL, "take the names of special tokens in the text for ordinary text"},
    {"skip_special", FR_OPTION_BOOL, offsetof(tokenize_options, skip_special), NULL, 0, 0, NULL,
     "leave special tokens out when decoding"},
};

static const fr_option_table table = {"tokenize", options, sizeof options / sizeof *options,
                                      sizeof(tokenize_options), NULL};

static fr_status read_input(fr_buffer *text, fr_error *error)
{
    char block[1 << 16];
    size_t size;
    while ((size = fread(block, 1, sizeof block, stdin)) > 0)
        fr_buffer_append(text, block, size);
    if (ferror(stdin))
        return fr_fail_errno(error, "read", "standard input");
    return text->failed ? fr_fail(error, FR_NO_MEMORY, "no memory for standard input") : FR_OK;
}

/* ---- encoding -------------------------------------------------------------------------------- */

static fr_status print_ids(const tokenize_options *o, const fr_tokenizer *tokenizer,
                           const fr_ids *ids, fr_error *error)
{
    fr_buffer out = {0};
    for (size_t i = 0; i < ids->count; i++) {
        bool lines = o->offsets || o->tokens;
        fr_buffer_printf(&out, "%s%" PRId32, i && !lines ? " " : "", ids->ids[i]);
        if (o->offsets)
            fr_buffer_printf(&out, " %zu %zu", ids->begin[i], ids->end[i]);
        if (o->tokens) {
            fr_buffer_text(&out, " ");
            cli_token_text(&out, tokenizer, ids->ids[i]);
        }
        if (lines && i + 1 < ids->count)
            fr_buffer_text(&out, "\n");
    }
    fr_buffer_text(&out, "\n");
    fr_status status = out.failed
                           ? fr_fail(error, FR_NO_MEMORY, "no memory for %zu ids", ids->count)
                           : cli_write(out.data, out.size, error);
    fr_buffer_free(&out);
    return status;
}

static fr_status print_ids_json(const tokenize_options *o, const fr_ids *ids, size_t bytes,
                                fr_error *error)
{
    json_t *result = json_object(), *list = json_array(), *offsets = json_array();
    for (size_t i = 0; i < ids->count; i++) {
        json_array_append_new(list, json_integer(ids->ids[i]));
        if (o->offsets)
            json_array_append_new(
                offsets, json_pack("[I, I]", (json_int_t)ids->begin[i], (json_int_t)ids->end[i]));
    }
    json_object_set_new(result, "bytes", json_integer((json_int_t)bytes));
    json_object_set_new(result, "tokens", json_integer((json_int_t)ids->count));
    json_object_set_new(result, "ids", list);
    if (o->offsets)
        json_object_set(result, "offsets", offsets);
    json_decref(offsets);
    return cli_print_json(result, error);
}

static fr_status encode(const cli_call *call, const fr_tokenizer *tokenizer, const fr_buffer *text,
                        fr_error *error)
{
    const tokenize_options *o = call->options;
    int flags = (o->offsets ? FR_ENCODE_OFFSETS : 0) |
                (o->special_as_text ? FR_ENCODE_SPECIAL_AS_TEXT : 0) |
                (o->add_special ? FR_ENCODE_ADD_SPECIAL : 0);
    fr_ids ids = {0};
    fr_status status = fr_tokenizer_encode(tokenizer, text->data ? text->data : "", text->size,
                                           flags, &ids, error);
    if (status == FR_OK)
        status = call->json ? print_ids_json(o, &ids, text->size, error)
                            : print_ids(o, tokenizer, &ids, error);
    fr_ids_free(&ids);
    return status;
}

/* ---- decoding -------------------------------------------------------------------------------- */

/* Ids between blanks or commas. */
static fr_status parse_ids(const fr_buffer *text, int32_t **ids, size_t *count, fr_error *error)
{
    size_t room = text->size / 2 + 1;
    const char *at = text->data ? text->data : "", *end = at + text->size;
    *count = 0;
    *ids = fr_alloc_array(room, sizeof **ids, FR_MEMORY_OTHER);
    if (!*ids)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu ids", room);
    while (at += strspn(at, " \t\r\n,"), at < end) {
        char *behind;
        errno = 0;
        long long id = strtoll(at, &behind, 10);
        size_t length = strcspn(at, " \t\r\n,");
        if (behind != at + length || length == 0 || errno || id < 0 || id > INT32_MAX)
            return fr_fail_at(error, FR_BAD_INPUT, "standard input", 0,
                              "word %zu is '%.*s', an id expected", *count + 1,
                              (int)(length < 40 ? length : 40), at);
        (*ids)[(*count)++] = (int32_t)id;
        at = behind;
    }
    return FR_OK;
}

static fr_status print_text(const cli_call *call, const fr_buffer *text, fr_error *error)
{
    const char *bytes = text->data ? text->data : "";
    if (!call->json)
        return cli_write(bytes, text->size, error);
    json_t *string = json_stringn(bytes, text->size), *list = json_array();
    for (size_t i = 0; !string && i < text->size; i++)
        json_array_append_new(list, json_integer((unsigned char)bytes[i]));
    json_t *result = json_object();
    json_object_set(result, string ? "text" : "bytes", string ? string : list);
    json_decref(string);
    json_decref(list);
    return cli_print_json(result, error);
}

static fr_status decode(const cli_call *call, const fr_tokenizer *tokenizer, const fr_buffer *input,
                        fr_error *error)
{
    const tokenize_options *o = call->options;
    int32_t *ids = NULL;
    size_t count = 0;
    fr_buffer text = {0};
    fr_status status = parse_ids(input, &ids, &count, error);
    if (status == FR_OK)
        status = fr_tokenizer_decode(tokenizer, ids, count, o->skip_special, &text, error);
    if (status == FR_OK)
        status = print_text(call, &text, error);
    fr_free(ids);
    fr_buffer_free(&text);
    return status;
}

/* ---- many texts ------------------------------------------------------------------------------ */

static json_t *list_of(const fr_encoded *e, const void *values, bool wide)
{
    json_t *list = json_array();
    for (size_t i = 0; i < e->count; i++)
        json_array_append_new(list, json_integer(wide ? ((const int32_t *)values)[i]
                                                      : ((const unsigned char *)values)[i]));
    return list;
}

static json_t *describe(const fr_encoded *e, bool offsets_too)
{
    json_t *result = json_object();
    json_object_set_new(result, "ids", list_of(e, e->ids, true));
    if (offsets_too) {
        json_t *offsets = json_array();
        for (size_t i = 0; i < e->count; i++)
            json_array_append_new(
                offsets, json_pack("[I, I]", (json_int_t)e->begin[i], (json_int_t)e->end[i]));
        json_object_set_new(result, "offsets", offsets);
    }
    json_object_set_new(result, "types", list_of(e, e->types, true));
    json_object_set_new(result, "special", list_of(e, e->special, false));
    json_object_set_new(result, "attention", list_of(e, e->attention, false));
    return result;
}

static fr_status encode_line(const tokenize_options *o, const fr_tokenizer *tokenizer,
                             const json_t *line, fr_encoded *encoding, json_t **result,
                             fr_error *error)
{
    const json_t *first = json_is_array(line) ? json_array_get(line, 0) : line;
    const json_t *second = json_array_get(line, 1);
    if (!json_is_string(first) || (second && !json_is_string(second)))
        return fr_fail(error, FR_BAD_INPUT, "a JSON string, or a list of two, expected");
    fr_encode_options how = *fr_tokenizer_limits(tokenizer);
    how.flags = (o->special_as_text ? FR_ENCODE_SPECIAL_AS_TEXT : 0) |
                (o->add_special ? FR_ENCODE_ADD_SPECIAL : 0);
    FR_TRY(fr_tokenizer_encode_pair(tokenizer, json_string_value(first), json_string_length(first),
                                    json_string_value(second), json_string_length(second), &how,
                                    encoding, error));
    *result = describe(encoding, o->offsets);
    return FR_OK;
}

static fr_status decode_line(const tokenize_options *o, const fr_tokenizer *tokenizer,
                             const json_t *line, json_t **result, fr_error *error)
{
    size_t count = json_array_size(line);
    int32_t *ids = fr_alloc_array(count + 1, sizeof *ids, FR_MEMORY_OTHER);
    fr_buffer text = {0};
    fr_status status = ids ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for %zu ids", count);
    for (size_t i = 0; i < count && status == FR_OK; i++) {
        json_int_t id = json_integer_value(json_array_get(line, i));
        ids[i] = id < 0 || id > INT32_MAX ? -1 : (int32_t)id;
    }
    if (status == FR_OK)
        status = fr_tokenizer_decode(tokenizer, ids, count, o->skip_special, &text, error);
    if (status == FR_OK) {
        *result = json_stringn(text.data ? text.data : "", text.size);
        if (!*result) { /* not UTF-8: as bytes */
            *result = json_array();
            for (size_t i = 0; text.data && i < text.size; i++)
                json_array_append_new(*result, json_integer((unsigned char)text.data[i]));
        }
    }
    fr_free(ids);
    fr_buffer_free(&text);
    return status;
}

static fr_status answer_line(const tokenize_options *o, const fr_tokenizer *tokenizer,
                             const char *text, size_t size, fr_encoded *encoding, fr_error *error)
{
    json_error_t wrong;
    json_t *result = NULL;
    json_t *line = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &wrong);
    if (!line)
        return fr_fail(error, FR_BAD_INPUT, "not JSON: %s", wrong.text);
    fr_status status = o->decode ? decode_line(o, tokenizer, line, &result, error)
                                 : encode_line(o, tokenizer, line, encoding, &result, error);
    json_decref(line);
    if (status != FR_OK)
        return status;
    char *dump = json_dumps(result, JSON_ENCODE_ANY | JSON_COMPACT);
    json_decref(result);
    if (!dump)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a line");
    status = cli_write(dump, strlen(dump), error);
    free(dump);
    return status == FR_OK ? cli_write("\n", 1, error) : status;
}

static fr_status answer_lines(const tokenize_options *o, const fr_tokenizer *tokenizer,
                              const fr_buffer *input, fr_error *error)
{
    fr_encoded encoding = {0};
    fr_status status = FR_OK;
    long number = 1;
    for (size_t at = 0, end; status == FR_OK && at < input->size; at = end + 1, number++) {
        const char *newline = memchr(input->data + at, '\n', input->size - at);
        end = newline ? (size_t)(newline - input->data) : input->size;
        status = answer_line(o, tokenizer, input->data + at, end - at, &encoding, error);
        if (status != FR_OK)
            fr_error_prefix(error, "standard input:%ld", number);
    }
    fr_encoded_free(&encoding);
    return status;
}

static fr_status run(const cli_call *call, fr_error *error)
{
    const tokenize_options *o = call->options;
    fr_tokenizer *tokenizer = NULL;
    fr_buffer input = {0};
    if (o->decode && (o->offsets || o->tokens || o->add_special || o->special_as_text))
        return fr_fail(error, FR_BAD_INPUT, "--decode goes with --skip-special and --json only");
    if (!o->decode && o->skip_special)
        return fr_fail(error, FR_BAD_INPUT, "--skip-special needs --decode");
    if (call->json && o->tokens)
        return fr_fail(error, FR_BAD_INPUT, "--tokens does not go with --json");
    if (o->lines && (call->json || o->tokens))
        return fr_fail(error, FR_BAD_INPUT, "--lines does not go with --json or --tokens");
    FR_TRY(fr_tokenizer_load(&tokenizer, call->operands[0], error));
    fr_status status = read_input(&input, error);
    if (status == FR_OK)
        status = o->lines    ? answer_lines(o, tokenizer, &input, error)
                 : o->decode ? decode(call, tokenizer, &input, error)
                             : encode(call, tokenizer, &input, error);
    fr_buffer_free(&input);
    fr_tokenizer_free(tokenizer);
    return status;
}

const cli_verb cli_tokenize = {
    .name = "tokenize",
    .usage = "MODEL < TEXT",
    .summary = "text to token ids, and back",
    .help =
        "MODEL is a model folder or a tokenizer's file: tokenizer.json, SentencePiece's .model,\n"
        "vocab.txt, vocab.json with merges.txt, or .tiktoken. Text on standard input becomes ids\n"
        "on one line; with --decode ids become text. Every byte counts, also the newline at the "
        "end.\n"
        "\n"
        "    printf 'Hello world' | frugal tokenize model\n"
        "    printf 'Hello world' | frugal tokenize model --offsets --tokens\n"
        "    echo 15496 995 | frugal tokenize model --decode\n"
        "    echo '[\"A question?\", \"Its answer.\"]' | frugal tokenize model --lines "
        "--add-special\n",
    .options = &table,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
};
