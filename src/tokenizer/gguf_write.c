/* gguf_write.c: a tokenizer as the values of a GGUF file: tokens by id, what kind each is, merges or scores, and the name of the way
   in which text is cut, for llama.cpp; and the whole tokenizer.json, from which frugal and others read it back exactly.

   Two of llama.cpp's tokenizers are written: "gpt2", byte-level BPE, whose merges are listed; and "llama", SentencePiece's BPE with
   bytes for what it does not know, where each token has a score and the pair that gives the best token is joined first. A
   tokenizer.json has ranked merges there too: the rank of the first merge that makes a token is its score. */
#include "tokenizer/gguf.h"

#include <string.h>

typedef struct token {
    const char *text; /* NULL: no token has this id */
    int type;
    float score;
} token;

typedef struct writing {
    const json_t *root, *model;
    fr_gguf_draft *draft;
    token *tokens;
    size_t count; /* the model's vocabulary: at least the tokenizer's */
    fr_error *error;
} writing;

static fr_status unsupported(const writing *w, const char *what, const char *name)
{
    return fr_fail(w->error, FR_UNSUPPORTED,
                   "the tokenizer's %s '%.60s' has no counterpart in llama.cpp: it cannot be "
                   "written as GGUF",
                   what, name ? name : "?");
}

static const char *type_of(const json_t *stage)
{
    const char *type = json_string_value(json_object_get(stage, "type"));
    return type ? type : "?";
}

static bool is_type(const json_t *stage, const char *type)
{
    return strcmp(type_of(stage), type) == 0;
}

/* Stage i of a pre-tokenizer or normalizer, alone or in a Sequence (whose list is called `list`); NULL: there are no more. */
static const json_t *stage_at(const json_t *stages, const char *list, size_t i)
{
    if (!json_is_object(stages))
        return NULL;
    if (is_type(stages, "Sequence"))
        return json_array_get(json_object_get(stages, list), i);
    return i == 0 ? stages : NULL;
}

/* ---- tokens ---- */

static fr_status place(const writing *w, json_int_t id, const char *text, int type)
{
    if (!text || id < 0 || (size_t)id >= w->count)
        return fr_fail(w->error, FR_BAD_INPUT,
                       "the tokenizer has id %lld, the model a vocabulary of %zu", (long long)id,
                       w->count);
    w->tokens[id] = (token){text, type, 0};
    return FR_OK;
}

static fr_status collect_tokens(const writing *w)
{
    const char *text;
    json_t *id, *added;
    size_t i;
    json_object_foreach(json_object_get(w->model, "vocab"), text, id)
    {
        FR_TRY(place(w, json_is_integer(id) ? json_integer_value(id) : -1, text, GGUF_NORMAL));
    }
    json_array_foreach(json_object_get(w->root, "added_tokens"), i, added)
    {
        bool special = json_is_true(json_object_get(added, "special"));
        FR_TRY(place(w, json_integer_value(json_object_get(added, "id")),
                     json_string_value(json_object_get(added, "content")),
                     special ? GGUF_CONTROL : GGUF_USER_DEFINED));
    }
    return FR_OK;
}

/* Ids of the model without a token get a name that no text has. */
static void put_tokens(const writing *w, bool scores)
{
    fr_gguf_put_array(w->draft, "tokenizer.ggml.tokens", FR_GGUF_STRING, w->count);
    for (size_t i = 0; i < w->count; i++) {
        char filler[32];
        snprintf(filler, sizeof filler, "[PAD%zu]", i);
        const char *text = w->tokens[i].text ? w->tokens[i].text : filler;
        fr_gguf_add_text(w->draft, text, strlen(text));
    }
    if (scores) {
        fr_gguf_put_array(w->draft, "tokenizer.ggml.scores", FR_GGUF_F32, w->count);
        for (size_t i = 0; i < w->count; i++)
            fr_gguf_add_f32(w->draft, w->tokens[i].score);
    }
    fr_gguf_put_array(w->draft, "tokenizer.ggml.token_type", FR_GGUF_I32, w->count);
    for (size_t i = 0; i < w->count; i++)
        fr_gguf_add_i32(w->draft, w->tokens[i].text ? w->tokens[i].type : GGUF_UNUSED);
}

/* A merge is "a b" or ["a", "b"]: the two sides, with their sizes. */
static bool sides(const json_t *merge, const char *text[2], size_t size[2])
{
    if (json_is_array(merge) && json_array_size(merge) == 2) {
        for (size_t i = 0; i < 2; i++) {
            text[i] = json_string_value(json_array_get(merge, i));
            size[i] = json_string_length(json_array_get(merge, i));
        }
        return text[0] && text[1];
    }
    const char *both = json_string_value(merge), *space = both ? strchr(both, ' ') : NULL;
    if (!space)
        return false;
    text[0] = both;
    size[0] = (size_t)(space - both);
    text[1] = space + 1;
    size[1] = json_string_length(merge) - size[0] - 1;
    return true;
}

/* ---- byte-level ---- */

static fr_status put_merges(const writing *w)
{
    const json_t *merges = json_object_get(w->model, "merges"), *merge;
    size_t i;
    fr_gguf_put_array(w->draft, "tokenizer.ggml.merges", FR_GGUF_STRING, json_array_size(merges));
    json_array_foreach(merges, i, merge)
    {
        const char *text[2];
        size_t size[2];
        fr_buffer line = {0};
        if (!sides(merge, text, size))
            return fr_fail(w->error, FR_BAD_INPUT, "merge %zu of the tokenizer is no pair", i);
        fr_buffer_append(&line, text[0], size[0]);
        fr_buffer_text(&line, " ");
        fr_buffer_append(&line, text[1], size[1]);
        if (!line.failed)
            fr_gguf_add_text(w->draft, line.data, line.size);
        bool failed = line.failed;
        fr_buffer_free(&line);
        if (failed)
            return fr_fail(w->error, FR_NO_MEMORY, "no memory for the tokenizer's merges");
    }
    return FR_OK;
}

/* What a byte-level pre-tokenizer does; false: a stage that llama.cpp cannot say, named in *stage. */
static bool read_cut(const json_t *stages, gguf_cut *cut, bool *gpt2, const char **stage)
{
    const json_t *s;
    for (size_t i = 0; (s = stage_at(stages, "pretokenizers", i)) != NULL; i++) {
        const char *pattern =
            json_string_value(json_object_get(json_object_get(s, "pattern"), "Regex"));
        *stage = type_of(s);
        if (is_type(s, "Split") && !cut->pattern && pattern)
            cut->pattern = pattern;
        else if (is_type(s, "Digits") && json_is_true(json_object_get(s, "individual_digits")))
            cut->digits = true;
        else if (is_type(s, "ByteLevel") && !json_is_true(json_object_get(s, "add_prefix_space")))
            *gpt2 |= !json_is_false(json_object_get(s, "use_regex"));
        else
            return false;
    }
    return true;
}

static fr_status put_cut(const writing *w)
{
    gguf_cut own = {.whole_words = json_is_true(json_object_get(w->model, "ignore_merges"))};
    bool gpt2 = false;
    const char *stage = "?";
    if (!read_cut(json_object_get(w->root, "pre_tokenizer"), &own, &gpt2, &stage))
        return unsupported(w, "pre-tokenizer", stage);
    if (!own.pattern && !gpt2)
        return unsupported(w, "pre-tokenizer", "ByteLevel without a pattern");
    if (own.pattern && strcmp(own.pattern, split_gpt2_pattern) == 0)
        own.pattern = NULL;
    for (const gguf_cut *cut = gguf_cuts; cut->name; cut++)
        if (!cut->pattern == !own.pattern && cut->digits == own.digits &&
            cut->whole_words == own.whole_words &&
            (!cut->pattern || strcmp(cut->pattern, own.pattern) == 0)) {
            fr_gguf_put_text(w->draft, "tokenizer.ggml.pre", cut->name, strlen(cut->name));
            return FR_OK;
        }
    return unsupported(w, "way of cutting text", own.pattern ? own.pattern : "GPT-2's, changed");
}

static fr_status write_byte_level(const writing *w)
{
    const json_t *s;
    for (size_t i = 0;
         (s = stage_at(json_object_get(w->root, "normalizer"), "normalizers", i)) != NULL; i++)
        if (!is_type(s, "NFC"))
            return unsupported(w, "normalizer", type_of(s));
    fr_gguf_put_text(w->draft, "tokenizer.ggml.model", "gpt2", 4);
    FR_TRY(put_cut(w));
    put_tokens(w, false);
    return put_merges(w);
}

/* ---- SentencePiece's BPE ---- */

static fr_status score(const writing *w)
{
    const json_t *merges = json_object_get(w->model, "merges"),
                 *vocab = json_object_get(w->model, "vocab"), *merge;
    size_t i, count = json_array_size(merges);
    for (size_t id = 0; id < w->count; id++)
        w->tokens[id].score = -(float)count; /* made by no merge: never asked for */
    for (i = count; i-- > 0;) {              /* from the last: the first stays */
        const char *text[2];
        size_t size[2];
        merge = json_array_get(merges, i);
        fr_buffer whole = {0};
        if (!sides(merge, text, size))
            return fr_fail(w->error, FR_BAD_INPUT, "merge %zu of the tokenizer is no pair", i);
        fr_buffer_append(&whole, text[0], size[0]);
        fr_buffer_append(&whole, text[1], size[1]);
        const json_t *id = whole.failed ? NULL : json_object_get(vocab, whole.data);
        if (json_is_integer(id) && (size_t)json_integer_value(id) < w->count)
            w->tokens[json_integer_value(id)].score = -(float)i;
        fr_buffer_free(&whole);
    }
    return FR_OK;
}

/* "<0x0A>", and the token for what is unknown. */
static void mark_types(const writing *w)
{
    const char *unknown = json_string_value(json_object_get(w->model, "unk_token"));
    for (size_t i = 0; i < w->count; i++) {
        token *t = &w->tokens[i];
        unsigned byte;
        int end = 0;
        if (t->text && sscanf(t->text, "<0x%2X>%n", &byte, &end) == 1 && end == 6 && !t->text[6])
            t->type = GGUF_BYTE;
        if (t->text && unknown && strcmp(t->text, unknown) == 0)
            t->type = GGUF_UNKNOWN;
    }
}

/* Does a text get a space in front? *stage: what llama.cpp does not do. */
static bool read_spaces(const writing *w, bool *prefix, const char **stage)
{
    const json_t *s;
    for (size_t i = 0;
         (s = stage_at(json_object_get(w->root, "normalizer"), "normalizers", i)) != NULL; i++) {
        *stage = type_of(s);
        if (is_type(s, "Prepend"))
            *prefix = true;
        else if (!is_type(s, "Replace"))
            return false;
    }
    for (size_t i = 0;
         (s = stage_at(json_object_get(w->root, "pre_tokenizer"), "pretokenizers", i)) != NULL;
         i++) {
        const char *scheme = json_string_value(json_object_get(s, "prepend_scheme"));
        *stage = type_of(s);
        if (is_type(s, "Metaspace"))
            *prefix |= scheme ? strcmp(scheme, "never") != 0
                              : !json_is_false(json_object_get(s, "add_prefix_space"));
        else if (!is_type(s, "Split")) /* Gemma's at spaces, which are gone by then */
            return false;
    }
    return true;
}

static fr_status write_sentencepiece(const writing *w)
{
    bool prefix = false;
    const char *stage = "?";
    if (!read_spaces(w, &prefix, &stage))
        return unsupported(w, "stage", stage);
    fr_gguf_put_text(w->draft, "tokenizer.ggml.model", "llama", 5);
    fr_gguf_put_text(w->draft, "tokenizer.ggml.pre", "default", 7);
    FR_TRY(score(w));
    mark_types(w);
    put_tokens(w, true);
    fr_gguf_put_bool(w->draft, "tokenizer.ggml.add_space_prefix", prefix);
    return FR_OK;
}

/* ---- the whole ---- */

/* What the post-processor puts around a text must be one token before and one behind at most. */
static fr_status put_around(const fr_tokenizer *t, int64_t bos, int64_t eos, fr_gguf_draft *draft,
                            fr_error *error)
{
    fr_ids bare = {0}, whole = {0};
    fr_status status = fr_tokenizer_encode(t, "a", 1, 0, &bare, error);
    if (status == FR_OK)
        status = fr_tokenizer_encode(t, "a", 1, FR_ENCODE_ADD_SPECIAL, &whole, error);
    size_t more = status == FR_OK ? whole.count - bare.count : 0;
    bool before =
        more && bos >= 0 && whole.ids[0] == bos && (more == 2 || !bare.count || bare.ids[0] != bos);
    bool behind = more > (size_t)before && eos >= 0 && whole.ids[whole.count - 1] == eos;
    fr_ids_free(&bare);
    fr_ids_free(&whole);
    FR_TRY(status);
    if ((size_t)before + (size_t)behind != more)
        return fr_fail(
            error, FR_UNSUPPORTED,
            "the tokenizer puts other tokens around a text than the model's bos and eos, "
            "which llama.cpp does not: it cannot be written as GGUF");
    fr_gguf_put_bool(draft, "tokenizer.ggml.add_bos_token", before);
    fr_gguf_put_bool(draft, "tokenizer.ggml.add_eos_token", behind);
    return FR_OK;
}

/* The conversation's template: of several the one called "default"; in newer folders a file of its own. */
static void put_template(const fr_tokenizer *t, fr_gguf_draft *draft)
{
    json_t *config = t->config ? json_loads(t->config, 0, NULL) : NULL;
    const json_t *template = json_object_get(config, "chat_template"), *named;
    const char *alone = fr_tokenizer_file(t, "chat_template.jinja");
    size_t i;
    if (json_is_array(template)) {
        const json_t *list = template;
        template = NULL;
        json_array_foreach(list, i, named)
        {
            const char *name = json_string_value(json_object_get(named, "name"));
            if (name && strcmp(name, "default") == 0)
                template = json_object_get(named, "template");
        }
    }
    if (json_is_string(template))
        fr_gguf_put_text(draft, "tokenizer.chat_template", json_string_value(template),
                         json_string_length(template));
    else if (alone)
        fr_gguf_put_text(draft, "tokenizer.chat_template", alone, strlen(alone));
    json_decref(config);
}

static fr_status write_all(writing *w)
{
    const char *kind = json_string_value(json_object_get(w->model, "type"));
    FR_TRY(collect_tokens(w));
    if (kind && strcmp(kind, "BPE") != 0)
        return unsupported(w, "model", kind);
    if (json_is_true(json_object_get(w->model, "byte_fallback")))
        return write_sentencepiece(w);
    return write_byte_level(w);
}

fr_status fr_tokenizer_gguf(const fr_tokenizer *tokenizer, int64_t entries, int64_t bos,
                            int64_t eos, fr_gguf_draft *draft, fr_error *error)
{
    json_t *root = json_loadb(tokenizer->json, tokenizer->json_size, 0, NULL);
    writing w = {.root = root,
                 .model = json_object_get(root, "model"),
                 .draft = draft,
                 .tokens = fr_alloc_array((size_t)entries, sizeof *w.tokens, FR_MEMORY_OTHER),
                 .count = (size_t)entries,
                 .error = error};
    fr_status status = root && w.tokens
                           ? write_all(&w)
                           : fr_fail(error, FR_NO_MEMORY, "no memory to write the tokenizer");
    if (status == FR_OK)
        status = put_around(tokenizer, bos, eos, draft, error);
    if (status == FR_OK) {
        put_template(tokenizer, draft);
        fr_gguf_put_text(draft, "tokenizer.huggingface.json", tokenizer->json,
                         tokenizer->json_size);
    }
    json_decref(root);
    fr_free(w.tokens);
    return status;
}
