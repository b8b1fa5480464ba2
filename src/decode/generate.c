/* generate.c: text that continues prompts.

   A row's text must not depend on its neighbours. Sums in matrix products may come in another order
   when the number of rows changes, so

       - a prompt is read alone, in pieces of CHUNK tokens: every shape depends on the row itself.
         Equal prompts (several samples of one) are read once;
       - then up to GROUP rows take each step together, so that the weights, whose reading is what
         a step costs, are read once for all of them. GROUP is within the reach of the kernel for
         few rows, which sums every row alike, however many there are.

   An encoder-decoder reads the prompt with its encoder, once, and its text begins anew, with the id that
   the model begins texts with.

   More prompts than GROUP are done group after group, which also bounds the cache's memory. Nothing
   is allocated by us per token. */
#include "decode/stream.h"

#include <string.h>

enum { CHUNK = 512, GROUP = 8 };
enum { CONTEXT = 8 }; /* ids of the prompt that a decoder of texts sees */

typedef struct row {
    int64_t number; /* in the caller's list */
    const fr_ids *prompt;
    int32_t
        *ids; /* prompt (not of encoder-decoders) and what was made; room for all that may come */
    size_t count, most;
    text_stream stream;
    fr_generate_row info;
    bool done;
    size_t begin, read; /* ids up to `read` are in the stream; see push_decoded */
} row;

typedef struct generation {
    fr_model *model;
    const fr_tokenizer *tokenizer;
    const fr_sampling_options *options;
    const int32_t *ends; /* ids that end a text besides the model's */
    size_t end_count;
    fr_generate_callback *callback;
    void *context;
    fr_sampler *sampler;
    fr_tape *tape;
    fr_cache *reader; /* one row: reads prompts */
    fr_cache *cache;  /* the group's */
    float *logits;    /* (V): of the last prompt's last token */
    row rows[GROUP];  /* of the group */
    size_t row_count;
    fr_generate_result result;
} generation;

const char *fr_generate_end_name(fr_generate_end end)
{
    static const char *const names[] = {"end_of_text", "stop", "max_tokens", "context", "caller"};
    return (size_t)end < sizeof names / sizeof *names ? names[end] : "unknown";
}

/* ---- prompts --------------------------------------------------------------------------------- */

/* An encoder-decoder: the prompt is its source. */
static bool translates(const generation *g)
{
    return g->model->kind->encode != NULL;
}

static int32_t beginning(const generation *g)
{
    if (translates(g) && g->model->decoder_start >= 0)
        return (int32_t)g->model->decoder_start;
    if (g->model->bos >= 0)
        return (int32_t)g->model->bos;
    int32_t end = fr_tokenizer_end_of_text(g->tokenizer);
    return end >= 0 ? end : (int32_t)g->model->eos;
}

/* The ids of a prompt fit the model. */
static fr_status check_prompt(const generation *g, const fr_ids *ids, size_t number,
                              fr_error *error)
{
    for (size_t i = 0; i < ids->count; i++)
        if (ids->ids[i] >= g->model->vocabulary)
            return fr_fail(error, FR_BAD_INPUT,
                           "prompt %zu: the tokenizer gives id %d, the model knows %lld ids",
                           number + 1, (int)ids->ids[i], (long long)g->model->vocabulary);
    if (ids->count == 0 && translates(g))
        return fr_fail(error, FR_BAD_INPUT, "prompt %zu is empty: there is nothing to encode",
                       number + 1);
    if ((ids->count == 0 || translates(g)) && beginning(g) < 0)
        return fr_fail(error, FR_BAD_INPUT,
                       "prompt %zu: the model has no token to begin a text with", number + 1);
    if (!translates(g) && (int64_t)ids->count >= g->model->max_positions)
        return fr_fail(
            error, FR_BAD_INPUT,
            "prompt %zu has %zu tokens; the model's context of %lld leaves no room to go on",
            number + 1, ids->count, (long long)g->model->max_positions);
    return FR_OK;
}

static fr_status begin_row(generation *g, row *r, size_t number, const fr_ids *ids, fr_error *error)
{
    bool fresh = translates(g) || ids->count == 0;
    int64_t prompt = fresh ? 1 : (int64_t)ids->count, room = g->model->max_positions - prompt;
    if (g->options->max_tokens > 0 && g->options->max_tokens < room)
        room = g->options->max_tokens;
    r->number = (int64_t)number;
    r->most = (size_t)(prompt + room);
    r->count = (size_t)prompt;
    r->stream.stop = &g->options->stop;
    r->info.prompt_tokens = translates(g) ? (int64_t)ids->count : prompt;
    r->prompt = ids;
    r->read = r->count; /* of a text that begins anew the first id gives none */
    r->begin = fresh ? r->count : r->count > CONTEXT ? r->count - CONTEXT : 0;
    r->ids = fr_alloc_array(r->most, sizeof *r->ids, FR_MEMORY_OTHER);
    if (!r->ids)
        return fr_fail(error, FR_NO_MEMORY, "prompt %zu: no memory for %zu tokens", number + 1,
                       r->most);
    if (fresh)
        r->ids[0] = beginning(g);
    else
        memcpy(r->ids, ids->ids, ids->count * sizeof *r->ids);
    return FR_OK;
}

/* ---- a token of a row ------------------------------------------------------------------------ */

static void give_text(generation *g, row *r)
{
    if (r->stream.ready.size == 0 || !g->callback)
        return;
    if (!g->callback(g->context, r->number, r->stream.ready.data, r->stream.ready.size)) {
        r->done = true;
        r->info.end = FR_END_CALLER;
    }
}

/* End a row: what was held back comes out. A row that its caller ended is not asked again. */
static void end_row(generation *g, row *r, fr_generate_end end)
{
    if (r->done)
        return;
    r->done = true;
    r->info.end = end;
    text_stream_end(&r->stream);
    if (r->stream.ready.size > 0 && g->callback)
        g->callback(g->context, r->number, r->stream.ready.data, r->stream.ready.size);
}

static bool ends_text(const generation *g, int32_t id)
{
    for (size_t i = 0; i < g->model->end_count; i++)
        if (id == g->model->end_ids[i])
            return true;
    for (size_t i = 0; i < g->end_count; i++)
        if (id == g->ends[i])
            return true;
    return id == g->model->eos || id == fr_tokenizer_end_of_text(g->tokenizer);
}

/* Ids that the model prescribes: for the first token of a text, and for the last of one that fills its length. -1: none. */
static int64_t forced(const generation *g, const row *r)
{
    if (r->count == 1 && g->model->forced_bos >= 0)
        return g->model->forced_bos;
    return r->count + 1 == r->most ? g->model->forced_eos : -1;
}

/* Does the text end in the sign for broken bytes? More of them may make a character. */
static bool is_broken(const fr_buffer *text)
{
    static const char sign[] = "\xEF\xBF\xBD";
    return text->size >= 3 && memcmp(text->data + text->size - 3, sign, 3) == 0;
}

/* The text of ids, of which those that no token of the vocabulary has give none: models' tables are often longer (T5's by 28). */
static fr_status decode_known(const generation *g, const int32_t *ids, size_t count,
                              fr_buffer *text, fr_error *error)
{
    int32_t *known = fr_alloc_array(count ? count : 1, sizeof *known, FR_MEMORY_OTHER);
    if (!known)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a text of %zu tokens", count);
    size_t kept = 0, size;
    for (size_t i = 0; i < count; i++)
        if (fr_tokenizer_bytes(g->tokenizer, ids[i], &size))
            known[kept++] = ids[i];
    fr_status status = fr_tokenizer_decode(g->tokenizer, known, kept, true, text, error);
    fr_free(known);
    return status;
}

/* The text of a row's ids that was not given to the stream yet, where a decoder makes it from several: what ids since `begin` decode to,
   less what those before `read` do, so that a decoder that looks at a text's beginning sees the same one. Unless `all`, characters
   that are incomplete wait. */
static fr_status push_decoded(const generation *g, row *r, bool all, bool *stopped, fr_error *error)
{
    fr_buffer before = {0}, whole = {0};
    fr_status status = decode_known(g, r->ids + r->begin, r->read - r->begin, &before, error);
    if (status == FR_OK)
        status = decode_known(g, r->ids + r->begin, r->count - r->begin, &whole, error);
    if (status == FR_OK && whole.size > before.size && (all || !is_broken(&whole))) {
        *stopped = text_stream_push(&r->stream, whole.data + before.size, whole.size - before.size);
        r->begin = r->read;
        r->read = r->count;
    }
    fr_buffer_free(&before);
    fr_buffer_free(&whole);
    return status;
}

/* Give the text of the row's last id to its stream; *stopped: a stop string is complete. */
static fr_status push_text(generation *g, row *r, bool *stopped, fr_error *error)
{
    int32_t id = r->ids[r->count - 1];
    size_t size = 0;
    *stopped = false;
    fr_buffer_clear(&r->stream.ready);
    if (!fr_tokenizer_decodes_bytes(g->tokenizer))
        return push_decoded(g, r, r->count == r->most, stopped, error);
    const char *bytes = fr_tokenizer_is_special(g->tokenizer, id)
                            ? NULL
                            : fr_tokenizer_bytes(g->tokenizer, id, &size);
    if (bytes)
        *stopped = text_stream_push(&r->stream, bytes, size);
    return FR_OK;
}

/* Choose the row's next token from its logits (V), and give out what text that settles. */
static fr_status next_token(generation *g, row *r, const float *logits, fr_error *error)
{
    int32_t id =
        fr_sampler_pick(g->sampler, logits, r->ids, r->count, r->number, (int64_t)r->count);
    if (id < 0)
        return fr_fail(error, FR_NUMERIC,
                       "prompt %lld, token %zu: the model's logits are not finite",
                       (long long)r->number + 1, r->count);
    if (forced(g, r) >= 0)
        id = (int32_t)forced(g, r);
    r->info.new_tokens++;
    bool stopped = false;
    if (ends_text(g, id)) {
        fr_buffer_clear(&r->stream.ready);
        if (!fr_tokenizer_decodes_bytes(g->tokenizer)) /* what waited for more bytes */
            FR_TRY(push_decoded(g, r, true, &stopped, error));
        give_text(g, r);
        end_row(g, r, FR_END_OF_TEXT);
        return FR_OK;
    }
    r->ids[r->count++] = id;
    FR_TRY(push_text(g, r, &stopped, error));
    give_text(g, r);
    if (stopped)
        end_row(g, r, FR_END_STOP);
    else if (r->count == r->most)
        end_row(g, r,
                (int64_t)r->count == g->model->max_positions ? FR_END_CONTEXT : FR_END_TOKENS);
    if (r->stream.pending.failed || r->stream.ready.failed)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the text of prompt %lld",
                       (long long)r->number + 1);
    return FR_OK;
}

/* ---- running the model ----------------------------------------------------------------------- */

/* What the model reads next: ids (B, T). */
static fr_batch batch_of(generation *g, int64_t rows, int64_t columns, const int32_t *ids)
{
    fr_tensor *input = fr_tape_input(g->tape, FR_I32, 2, (int64_t[]){rows, columns}, ids);
    return translates(g) ? (fr_batch){.decoder_ids = input} : (fr_batch){.ids = input};
}

/* Have the encoder read the prompt. */
static fr_status encode_prompt(generation *g, const row *r, fr_error *error)
{
    const int64_t shape[] = {1, (int64_t)r->prompt->count};
    fr_tape_reset(g->tape, 0);
    fr_batch batch = {.ids = fr_tape_input(g->tape, FR_I32, 2, shape, r->prompt->ids)};
    fr_model_encode(g->model, g->tape, &batch, g->reader);
    return fr_tape_check(g->tape, error);
}

/* Read all of a row's ids into the reader; g->logits receives those of the last one. */
static fr_status read_prompt(generation *g, const row *r, fr_error *error)
{
    fr_cache_clear(g->reader);
    fr_tensor *logits = NULL;
    if (translates(g))
        FR_TRY(encode_prompt(g, r, error));
    for (size_t done = 0; done < r->count;) {
        size_t count = r->count - done < CHUNK ? r->count - done : CHUNK;
        fr_tape_reset(g->tape, 0);
        fr_batch batch = batch_of(g, 1, (int64_t)count, r->ids + done);
        batch.whole = (int64_t)r->count;
        fr_tensor *hidden = fr_model_hidden(g->model, g->tape, &batch, g->reader);
        done += count;
        if (done ==
            r->count) /* of the last position alone: the logits of a whole prompt would be large */
            logits =
                fr_model_output(g->model, g->tape,
                                fr_slice(g->tape, hidden, 1, (int64_t)count - 1, (int64_t)count));
        FR_TRY(fr_tape_check(g->tape, error));
        if (fr_interrupted())
            return FR_OK;
    }
    memcpy(g->logits, fr_tensor_host(logits), (size_t)g->model->vocabulary * sizeof *g->logits);
    return FR_OK;
}

static bool same_prompt(const row *a, const row *b)
{
    return a->prompt->count == b->prompt->count &&
           (!a->prompt->count ||
            memcmp(a->prompt->ids, b->prompt->ids, a->prompt->count * sizeof *a->prompt->ids) == 0);
}

/* Read the group's prompts, put them into the cache and make each row's first token. */
static fr_status read_prompts(generation *g, fr_error *error)
{
    double start = fr_seconds();
    for (size_t i = 0; i < g->row_count && !fr_interrupted(); i++) {
        row *r = &g->rows[i];
        if (i == 0 || !same_prompt(r, &g->rows[i - 1])) {
            FR_TRY(read_prompt(g, r, error));
            if (fr_interrupted())
                break;
        }
        FR_TRY(fr_cache_copy_row(g->cache, (int64_t)i, g->reader, 0, error));
        FR_TRY(next_token(g, r, g->logits, error));
    }
    g->result.prompt_seconds += fr_seconds() - start;
    return FR_OK;
}

/* A row that outgrows what its cache was read for is read anew, which gives its next token, too. */
static fr_status reread(generation *g, row **active, int64_t count, fr_error *error)
{
    for (int64_t i = 0; i < count && g->model->reread; i++) {
        row *r = active[i];
        if (r->done || (int64_t)r->count != g->model->reread + 1)
            continue;
        FR_TRY(read_prompt(g, r, error));
        if (fr_interrupted())
            return FR_OK;
        FR_TRY(fr_cache_copy_row(g->cache, i, g->reader, 0, error));
        FR_TRY(next_token(g, r, g->logits, error));
    }
    return FR_OK;
}

/* Drop finished rows from the cache; `active` lists the rows that its rows stand for. */
static fr_status drop_finished(generation *g, row **active, int64_t *count, fr_error *error)
{
    int64_t kept[GROUP], left = 0;
    for (int64_t i = 0; i < *count; i++)
        if (!active[i]->done) {
            kept[left] = i;
            active[left++] = active[i];
        }
    if (left > 0 && left < *count)
        FR_TRY(fr_cache_select(g->cache, kept, left, error));
    *count = left;
    return FR_OK;
}

/* Steps of all unfinished rows together until none is left. */
static fr_status decode_group(generation *g, fr_error *error)
{
    double start = fr_seconds();
    row *active[GROUP];
    int64_t count = (int64_t)g->row_count;
    for (int64_t i = 0; i < count; i++)
        active[i] = &g->rows[i];
    while (!fr_interrupted()) {
        FR_TRY(reread(g, active, count, error));
        FR_TRY(drop_finished(g, active, &count, error));
        if (count == 0 || fr_interrupted())
            break;
        int32_t ids[GROUP];
        for (int64_t i = 0; i < count; i++)
            ids[i] = active[i]->ids[active[i]->count - 1];
        fr_tape_reset(g->tape, 0);
        fr_batch batch = batch_of(g, count, 1, ids);
        fr_tensor *logits = fr_model_logits(g->model, g->tape, &batch, g->cache);
        FR_TRY(fr_tape_check(g->tape, error));
        const float *numbers = fr_tensor_host(logits);
        for (int64_t i = 0; i < count; i++)
            FR_TRY(next_token(g, active[i], numbers + i * g->model->vocabulary, error));
    }
    g->result.decode_seconds += fr_seconds() - start;
    return FR_OK;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static fr_status make_caches(generation *g, fr_error *error)
{
    int64_t longest = 1, most = 1;
    for (size_t i = 0; i < g->row_count; i++) {
        longest = (int64_t)g->rows[i].count > longest ? (int64_t)g->rows[i].count : longest;
        most = (int64_t)g->rows[i].most > most ? (int64_t)g->rows[i].most : most;
    }
    if (g->model->reread && most > g->model->reread && longest <= g->model->reread)
        longest = g->model->reread + 1;
    g->reader = fr_cache_create(g->model, 1, longest, error);
    g->cache = g->reader ? fr_cache_create(g->model, (int64_t)g->row_count, most, error) : NULL;
    return g->cache ? FR_OK : error ? error->status : FR_NO_MEMORY;
}

static void end_group(generation *g)
{
    for (size_t i = 0; i < g->row_count; i++) {
        g->result.prompt_tokens += g->rows[i].info.prompt_tokens;
        g->result.new_tokens += g->rows[i].info.new_tokens;
        fr_free(g->rows[i].ids);
        text_stream_free(&g->rows[i].stream);
    }
    g->row_count = 0;
    fr_cache_destroy(g->reader);
    fr_cache_destroy(g->cache);
    g->reader = g->cache = NULL;
}

static fr_status run_group(generation *g, const fr_ids *prompts, size_t first, size_t count,
                           fr_error *error)
{
    for (size_t i = 0; i < count; i++) {
        g->rows[i] = (row){0};
        g->row_count = i + 1;
        FR_TRY(begin_row(g, &g->rows[i], first + i, &prompts[first + i], error));
    }
    FR_TRY(make_caches(g, error));
    FR_TRY(read_prompts(g, error));
    FR_TRY(decode_group(g, error));
    if (!fr_interrupted())
        return FR_OK;
    for (size_t i = 0; i < count; i++)
        end_row(g, &g->rows[i], FR_END_CALLER);
    return fr_fail(error, FR_INTERRUPTED, "generation was interrupted");
}

static fr_status prepare(generation *g, fr_error *error)
{
    fr_tape_options tape = {.mode = FR_TAPE_NO_GRAD};
    FR_TRY(fr_sampler_create(&g->sampler, g->model->vocabulary, g->options, error));
    g->tape = fr_tape_create(&tape, error);
    g->logits = fr_alloc_array((size_t)g->model->vocabulary, sizeof *g->logits, FR_MEMORY_OTHER);
    if (!g->tape || !g->logits)
        return fr_fail(error, FR_NO_MEMORY, "no memory for generation");
    return FR_OK;
}

fr_status fr_generate_ids(fr_model *model, const fr_tokenizer *tokenizer, const fr_ids *prompts,
                          size_t count, const int32_t *ends, size_t end_count,
                          const fr_sampling_options *options, fr_generate_callback *callback,
                          void *context, fr_generate_row *rows, fr_generate_result *result,
                          fr_error *error)
{
    generation g = {.model = model,
                    .tokenizer = tokenizer,
                    .options = options,
                    .ends = ends,
                    .end_count = end_count,
                    .callback = callback,
                    .context = context};
    fr_status status = prepare(&g, error);
    for (size_t i = 0; rows && i < count; i++)
        rows[i] = (fr_generate_row){.end = FR_END_CALLER}; /* until it is reached */
    /* A bad prompt is found before any text comes out. */
    for (size_t i = 0; i < count && status == FR_OK; i++)
        status = check_prompt(&g, &prompts[i], i, error);
    for (size_t first = 0; first < count && status == FR_OK; first += GROUP) {
        size_t group = count - first < GROUP ? count - first : GROUP;
        status = run_group(&g, prompts, first, group, error);
        for (size_t i = 0; rows && i < g.row_count; i++)
            rows[first + i] = g.rows[i].info;
        end_group(&g);
    }
    fr_free(g.logits);
    fr_tape_destroy(g.tape);
    fr_sampler_destroy(g.sampler);
    if (result)
        *result = g.result;
    return status;
}

fr_status fr_generate(fr_model *model, const fr_tokenizer *tokenizer, const char *const *prompts,
                      size_t count, const fr_sampling_options *options,
                      fr_generate_callback *callback, void *context, fr_generate_row *rows,
                      fr_generate_result *result, fr_error *error)
{
    fr_ids *ids = fr_alloc_array(count + 1, sizeof *ids, FR_MEMORY_OTHER);
    fr_status status =
        ids ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for %zu prompts", count);
    for (size_t i = 0; i < count && status == FR_OK; i++)
        status = fr_tokenizer_encode(tokenizer, prompts[i], strlen(prompts[i]),
                                     FR_ENCODE_ADD_SPECIAL, &ids[i], error);
    if (status == FR_OK)
        status = fr_generate_ids(model, tokenizer, ids, count, NULL, 0, options, callback, context,
                                 rows, result, error);
    for (size_t i = 0; ids && i < count; i++)
        fr_ids_free(&ids[i]);
    fr_free(ids);
    return status;
}
