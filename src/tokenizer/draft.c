/* draft.c: the tokenizer.json of a byte-level tokenizer made here. */
#include "tokenizer/byte_level.h"
#include "tokenizer/pipeline.h"

#include <string.h>

const char *const fr_tokenizer_patterns[] = {"gpt2", "llama3", "none", NULL};

bool tokenizer_pattern_split(int pattern, split *out)
{
    *out = (split){.kind = pattern == PATTERN_GPT2 ? SPLIT_GPT2 : SPLIT_LLAMA3,
                   .keep_matches = true,
                   .keep_gaps = true,
                   .digits = 3};
    return pattern != PATTERN_NONE;
}

/* Text inside JSON's quotes. */
static void write_escaped(fr_buffer *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '"' || byte == '\\')
            fr_buffer_printf(out, "\\%c", byte);
        else if (byte < 0x20)
            fr_buffer_printf(out, "\\u%04x", byte);
        else
            fr_buffer_append(out, &text[i], 1);
    }
}

/* A token in the byte-level alphabet. `work` is a buffer to work in. */
static void write_token(fr_buffer *out, fr_buffer *work, const vocabulary *tokens, size_t id)
{
    fr_buffer_clear(work);
    byte_level_write(tokens->bytes + tokens->start[id], tokens->start[id + 1] - tokens->start[id],
                     work);
    if (work->failed)
        out->failed = true;
    else
        write_escaped(out, work->data, work->size);
}

static void write_added(fr_buffer *out, const tokenizer_draft *draft)
{
    fr_buffer_text(out, "  \"added_tokens\": [");
    for (size_t i = 0; i < draft->special->count; i++) {
        fr_buffer_printf(out, "%s\n    {\"id\": %zu, \"content\": \"", i ? "," : "",
                         draft->tokens->count + i);
        write_escaped(out, draft->special->items[i], strlen(draft->special->items[i]));
        fr_buffer_text(out, "\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                            "\"normalized\": false, \"special\": true}");
    }
    fr_buffer_printf(out, "%s],\n", draft->special->count ? "\n  " : "");
}

static void write_pre_tokenizer(fr_buffer *out, int pattern)
{
    const char *byte_level = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                             "\"trim_offsets\": false, \"use_regex\": ";
    if (pattern != PATTERN_LLAMA3) {
        fr_buffer_printf(out, "  \"pre_tokenizer\": %s%s},\n", byte_level,
                         pattern == PATTERN_GPT2 ? "true" : "false");
        return;
    }
    fr_buffer_text(out, "  \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [\n"
                        "    {\"type\": \"Split\", \"pattern\": {\"Regex\": \"");
    write_escaped(out, split_llama3_pattern, strlen(split_llama3_pattern));
    fr_buffer_printf(out,
                     "\"}, \"behavior\": \"Isolated\", \"invert\": false},\n    %sfalse}\n  ]},\n",
                     byte_level);
}

static void write_model(fr_buffer *out, const tokenizer_draft *draft)
{
    fr_buffer work = {0};
    fr_buffer_text(out,
                   "  \"model\": {\n    \"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
                   "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null,\n"
                   "    \"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": false,\n "
                   "   \"vocab\": {");
    for (size_t id = 0; id < draft->tokens->count; id++) {
        fr_buffer_text(out, id ? ",\n      \"" : "\n      \"");
        write_token(out, &work, draft->tokens, id);
        fr_buffer_printf(out, "\": %zu", id);
    }
    fr_buffer_text(out, "\n    },\n    \"merges\": [");
    for (size_t i = 0; i < draft->merge_count; i++) {
        fr_buffer_text(out, i ? ",\n      \"" : "\n      \"");
        write_token(out, &work, draft->tokens, draft->merges[2 * i]);
        fr_buffer_text(out, " ");
        write_token(out, &work, draft->tokens, draft->merges[2 * i + 1]);
        fr_buffer_text(out, "\"");
    }
    fr_buffer_printf(out, "%s]\n  }\n", draft->merge_count ? "\n    " : "");
    fr_buffer_free(&work);
}

fr_status tokenizer_from_draft(fr_tokenizer **tokenizer, const tokenizer_draft *draft,
                               fr_error *error)
{
    fr_buffer out = {0};
    fr_buffer_text(&out,
                   "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
    write_added(&out, draft);
    fr_buffer_text(&out, "  \"normalizer\": null,\n");
    write_pre_tokenizer(&out, draft->pattern);
    fr_buffer_text(&out,
                   "  \"post_processor\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                   "\"trim_offsets\": false, \"use_regex\": true},\n"
                   "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                   "\"trim_offsets\": false, \"use_regex\": true},\n");
    write_model(&out, draft);
    fr_buffer_text(&out, "}\n");
    *tokenizer = NULL;
    if (out.failed) {
        fr_buffer_free(&out);
        return fr_fail(error, FR_NO_MEMORY, "no memory for a tokenizer");
    }
    FR_TRY(tokenizer_from_json(tokenizer, out.data, out.size, NULL, "the new tokenizer", error));
    (*tokenizer)->end_of_text = draft->special->count ? (int32_t)draft->tokens->count : -1;
    return FR_OK;
}
