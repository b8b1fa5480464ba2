/* read_tiktoken.c: files of tiktoken: on each line a token in base64, a blank, its rank.

   Such a file holds neither the pattern that cuts text nor the special tokens; they belong to the
   encoding's name. The rank is the id and the order of merges at once: two parts are joined when
   together they are a token, the smallest rank first. As merges between named pairs, which is what
   tokenizer.json holds, that is every way to cut every token in two. */
#include "tokenizer/base64.h"
#include "tokenizer/blueprint.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/read.h"
#include "tokenizer/split.h"

#include <stdlib.h>
#include <string.h>

/* ---- the known encodings --------------------------------------------------------------------- */

static const char o200k_pattern[] =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

typedef struct special {
    long long id;
    const char *text;
    int first, count; /* count > 0: text has a %d, for first, first + 1, ...: ids go on */
} special;

typedef struct encoding {
    const char *name; /* in "pattern", and in the names of files */
    const char *pattern;
    const char *bos, *eos;
    special specials[12]; /* text NULL ends it */
} encoding;

static const encoding encodings[] = {
    {"gpt2", split_gpt2_pattern, NULL, "<|endoftext|>", {{50256, "<|endoftext|>", 0, 0}}},
    {"r50k", split_gpt2_pattern, NULL, "<|endoftext|>", {{50256, "<|endoftext|>", 0, 0}}},
    {"p50k", split_gpt2_pattern, NULL, "<|endoftext|>", {{50256, "<|endoftext|>", 0, 0}}},
    {"cl100k",
     split_llama3_pattern,
     NULL,
     "<|endoftext|>",
     {{100257, "<|endoftext|>", 0, 0},
      {100258, "<|fim_prefix|>", 0, 0},
      {100259, "<|fim_middle|>", 0, 0},
      {100260, "<|fim_suffix|>", 0, 0},
      {100276, "<|endofprompt|>", 0, 0}}},
    {"o200k",
     o200k_pattern,
     NULL,
     "<|endoftext|>",
     {{199999, "<|endoftext|>", 0, 0}, {200018, "<|endofprompt|>", 0, 0}}},
    {"llama3",
     split_llama3_pattern,
     "<|begin_of_text|>",
     "<|end_of_text|>",
     {{128000, "<|begin_of_text|>", 0, 0},
      {128001, "<|end_of_text|>", 0, 0},
      {128002, "<|reserved_special_token_%d|>", 0, 4},
      {128006, "<|start_header_id|>", 0, 0},
      {128007, "<|end_header_id|>", 0, 0},
      {128008, "<|reserved_special_token_%d|>", 4, 1},
      {128009, "<|eot_id|>", 0, 0},
      {128010, "<|reserved_special_token_%d|>", 5, 246}}},
    {"qwen",
     split_qwen2_pattern,
     NULL,
     "<|endoftext|>",
     {{151643, "<|endoftext|>", 0, 0},
      {151644, "<|im_start|>", 0, 0},
      {151645, "<|im_end|>", 0, 0},
      {151646, "<|extra_%d|>", 0, 205}}},
};

static const encoding *find_encoding(const char *name, bool inside)
{
    for (size_t i = 0; name && i < sizeof encodings / sizeof *encodings; i++)
        if (inside ? strstr(name, encodings[i].name) != NULL : !strcmp(name, encodings[i].name))
            return &encodings[i];
    return NULL;
}

/* "pattern" in tokenizer_config.json: the name of an encoding, or a pattern; else the file's name;
   else Llama 3's, for the classes that its tokenizer.model comes with. */
static fr_status choose(const read_input *input, encoding *out, fr_error *error)
{
    static const char *const llama[] = {"LlamaTokenizer", "PreTrainedTokenizer",
                                        "TokenizersBackend"};
    const char *given, *file = strrchr(input->path, '/');
    FR_TRY(settings_string(input->settings, "pattern", &given, error));
    const encoding *known = find_encoding(given, false);
    if (given && !known) {
        *out = (encoding){.name = "", .pattern = given};
        return FR_OK;
    }
    if (!known)
        known = find_encoding(file ? file + 1 : input->path, true);
    for (size_t i = 0; !known && i < sizeof llama / sizeof *llama; i++)
        if (strcmp(input->settings->class_name, llama[i]) == 0)
            known = find_encoding("llama3", false);
    if (!known)
        return fr_fail_at(
            error, FR_UNSUPPORTED, input->path, 0,
            "how this encoding cuts text is not known: say it in "
            "tokenizer_config.json, \"pattern\": \"cl100k\" (known: gpt2, r50k, p50k, "
            "cl100k, o200k, llama3, qwen; or a pattern)");
    *out = *known;
    return FR_OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

typedef struct ranked {
    size_t begin, size; /* in the bytes of all tokens */
    long long rank;
    long line;
} ranked;

typedef struct ranks {
    fr_buffer bytes;
    ranked *list;
    size_t count, capacity;
} ranks;

static fr_status read_rank(const read_input *input, const char *text, size_t size, long line,
                           long long *rank, fr_error *error)
{
    *rank = 0;
    bool fine = size > 0 && size <= 9;
    for (size_t i = 0; fine && i < size; i++) {
        fine = text[i] >= '0' && text[i] <= '9';
        *rank = 10 * *rank + (text[i] - '0');
    }
    return fine ? FR_OK
                : fr_fail_at(error, FR_BAD_INPUT, input->path, line,
                             "'%.*s' found, a rank expected", (int)(size < 40 ? size : 40), text);
}

static fr_status read_entry(ranks *all, const read_input *input, const char *line, size_t size,
                            long number, fr_error *error)
{
    const char *blank = memchr(line, ' ', size);
    size_t token = blank ? (size_t)(blank - line) : 0, begin = all->bytes.size;
    if (token == 0 || !base64_read(line, token, &all->bytes))
        return fr_fail_at(error, FR_BAD_INPUT, input->path, number,
                          "no token in base64 and a blank found");
    long long rank;
    FR_TRY(read_rank(input, blank + 1, size - token - 1, number, &rank, error));
    if (all->count == all->capacity) {
        size_t capacity = all->capacity ? 2 * all->capacity : 1024;
        ranked *list = fr_realloc(all->list, capacity * sizeof *list, FR_MEMORY_OTHER);
        if (!list)
            return fr_fail_at(error, FR_NO_MEMORY, input->path, 0, "no memory to read it");
        all->list = list;
        all->capacity = capacity;
    }
    all->list[all->count++] = (ranked){begin, all->bytes.size - begin, rank, number};
    return all->bytes.failed
               ? fr_fail_at(error, FR_NO_MEMORY, input->path, 0, "no memory to read it")
               : FR_OK;
}

static int compare_ranks(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->rank != y->rank ? (x->rank < y->rank ? -1 : 1) : x->line < y->line ? -1 : 1;
}

static fr_status read_ranks(ranks *all, const read_input *input, fr_error *error)
{
    const char *line;
    size_t at = 0, size;
    for (long number = 1; read_line(input, &at, &line, &size); number++) {
        if (size && line[size - 1] == '\r')
            size--;
        if (size)
            FR_TRY(read_entry(all, input, line, size, number, error));
    }
    if (all->count == 0)
        return fr_fail_at(error, FR_BAD_INPUT, input->path, 0, "no tokens found");
    qsort(all->list, all->count, sizeof *all->list, compare_ranks);
    return FR_OK;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

/* How the token of an id is called that the file does not have. */
static void name_missing(const encoding *which, const json_t *entries, long long id, char *text,
                         size_t room)
{
    char key[24];
    snprintf(key, sizeof key, "%lld", id);
    const char *content =
        json_string_value(json_object_get(json_object_get(entries, key), "content"));
    for (const special *s = which->specials; !content && !entries && s->text; s++) {
        if (s->count && id >= s->id && id < s->id + s->count) {
            const char *mark = strstr(s->text, "%d");
            snprintf(text, room, "%.*s%lld%s", (int)(mark - s->text), s->text,
                     s->first + id - s->id, mark + 2);
            return;
        }
        if (!s->count && id == s->id)
            content = s->text;
    }
    if (content)
        snprintf(text, room, "%s", content);
    else
        snprintf(text, room, "<|reserved_token_%lld|>", id);
}

/* One past the last id that the configuration or the encoding has a special token for. */
static long long special_end(const encoding *which, json_t *entries)
{
    long long end = 0;
    const char *key;
    json_t *value;
    json_object_foreach(entries, key, value)
    {
        long long id = strtoll(key, NULL, 10);
        end = id >= end ? id + 1 : end;
    }
    for (const special *s = which->specials; !entries && s->text; s++)
        end = s->id + (s->count ? s->count : 1);
    return end;
}

static fr_status add_missing(blueprint *out, const read_input *input, const encoding *which,
                             long long id, fr_error *error)
{
    char text[256];
    name_missing(which, json_object_get(input->settings->root, "added_tokens_decoder"), id, text,
                 sizeof text);
    if (lexicon_find(&out->tokens, text, strlen(text)) >= 0)
        return fr_fail_at(error, FR_BAD_INPUT, input->path, 0,
                          "the special token '%s' is in the vocabulary, too", text);
    return lexicon_add(&out->tokens, text, strlen(text))
               ? FR_OK
               : fr_fail_at(error, FR_NO_MEMORY, input->path, 0, "no memory to read it");
}

enum { MOST_HOLES = 4096 }; /* ids without a token in the file */

/* Tokens by rank; ids that are not in the file are special ones. */
static fr_status add_tokens(blueprint *out, const ranks *all, const read_input *input,
                            const encoding *which, fr_error *error)
{
    long long last = all->list[all->count - 1].rank;
    if (last >= (long long)all->count + MOST_HOLES)
        return fr_fail_at(error, FR_BAD_INPUT, input->path, all->list[all->count - 1].line,
                          "rank %lld found in a file of %zu tokens", last, all->count);
    for (size_t i = 0; i < all->count; i++) {
        const ranked *entry = &all->list[i];
        const char *bytes = all->bytes.data + entry->begin;
        while ((long long)out->tokens.count < entry->rank)
            FR_TRY(add_missing(out, input, which, (long long)out->tokens.count, error));
        if ((long long)out->tokens.count > entry->rank ||
            lexicon_find(&out->tokens, bytes, entry->size) >= 0)
            return fr_fail_at(error, FR_BAD_INPUT, input->path, entry->line,
                              "the token or its rank %lld is in the file twice", entry->rank);
        if (!lexicon_add(&out->tokens, bytes, entry->size))
            return fr_fail_at(error, FR_NO_MEMORY, input->path, 0, "no memory to read it");
    }
    return FR_OK;
}

/* Only tokens of the file are merged, not those that fill its holes. */
static fr_status write_model(blueprint *out, const ranks *all, const read_input *input,
                             fr_error *error)
{
    const blueprint_bpe form = {.ignore_merges = true};
    token_merge *merges = NULL;
    size_t count;
    bool *in_file = fr_alloc_array(out->tokens.count, sizeof *in_file, FR_MEMORY_OTHER);
    if (!in_file)
        return fr_fail_at(error, FR_NO_MEMORY, input->path, 0, "no memory to read it");
    for (size_t i = 0; i < all->count; i++)
        in_file[all->list[i].rank] = true;
    fr_status status =
        lexicon_merges(&out->tokens, MERGES_BY_PARTS, NULL, in_file, false, &merges, &count, error);
    fr_free(in_file);
    if (status != FR_OK)
        return fr_error_prefix(error, "%s", input->path);
    uint32_t *pairs = fr_alloc_array(2 * count + 1, sizeof *pairs, FR_MEMORY_OTHER);
    for (size_t i = 0; pairs && i < count; i++) {
        pairs[2 * i] = merges[i].left;
        pairs[2 * i + 1] = merges[i].right;
    }
    if (pairs)
        blueprint_write_bpe(out, &form, pairs, count);
    else
        out->failed = true;
    fr_free(pairs);
    fr_free(merges);
    return FR_OK;
}

/* The special tokens, behind the vocabulary and in its holes. */
static fr_status add_specials(blueprint *out, const ranks *all, const read_input *input,
                              const encoding *which, fr_error *error)
{
    json_t *entries = json_object_get(input->settings->root, "added_tokens_decoder");
    long long end = special_end(which, entries), last = all->list[all->count - 1].rank;
    size_t entry = 0;
    if (end > last + 1 + MOST_HOLES)
        return fr_fail_at(error, FR_BAD_INPUT, input->path, 0,
                          "a special token has id %lld; the last token has %lld", end - 1, last);
    for (long long id = 0; id <= last || id < end; id++) {
        while (entry < all->count && all->list[entry].rank < id)
            entry++;
        if (entry < all->count && all->list[entry].rank == id)
            continue;
        char text[256];
        name_missing(which, entries, id, text, sizeof text);
        blueprint_add(out, &(blueprint_added){.content = text, .special = true});
    }
    return FR_OK;
}

static json_t *pre_tokenizer(const char *pattern, bool prefix)
{
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, {s:s, s:b, s:b, s:b}]}", "type",
                     "Sequence", "pretokenizers", "type", "Split", "pattern", "Regex", pattern,
                     "behavior", "Isolated", "invert", 0, "type", "ByteLevel", "add_prefix_space",
                     prefix, "trim_offsets", 1, "use_regex", 0);
}

static fr_status build(blueprint *out, const read_input *input, const encoding *which,
                       const char *const absent[NAMED_TOKENS], fr_error *error)
{
    ranks all = {0};
    bool prefix;
    out->byte_level = true;
    fr_status status = read_ranks(&all, input, error);
    if (status == FR_OK)
        status = settings_bool(input->settings, "add_prefix_space", false, &prefix, error);
    if (status == FR_OK)
        status = add_tokens(out, &all, input, which, error);
    if (status == FR_OK)
        status = write_model(out, &all, input, error);
    if (status == FR_OK)
        status = add_specials(out, &all, input, which, error);
    fr_buffer_free(&all.bytes);
    fr_free(all.list);
    FR_TRY(status);
    blueprint_set(out, &out->pre_tokenizer, pre_tokenizer(which->pattern, prefix));
    blueprint_set(out, &out->decoder,
                  json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 1,
                            "trim_offsets", 1, "use_regex", 1));
    FR_TRY(blueprint_add_configured(out, input->settings, absent, error));
    return blueprint_add_ends(out, input->settings, absent, error);
}

fr_status read_tiktoken(fr_tokenizer **tokenizer, const read_input *input, fr_error *error)
{
    encoding which = {0};
    *tokenizer = NULL;
    FR_TRY(choose(input, &which, error));
    const char *absent[NAMED_TOKENS] = {[TOKEN_BOS] = which.bos, [TOKEN_EOS] = which.eos};
    blueprint out = {0};
    fr_status status = build(&out, input, &which, absent, error);
    if (status == FR_OK)
        status = blueprint_finish(&out, tokenizer, input->settings, "PreTrainedTokenizerFast",
                                  absent, input->path, error);
    blueprint_free(&out);
    return status;
}
