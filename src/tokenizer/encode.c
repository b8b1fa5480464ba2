/* encode.c: text -> ids, through the stages. */
#include "tokenizer/pipeline.h"
#include "tokenizer/utf8.h"

#include <pthread.h>

/* ---- encoders -------------------------------------------------------------------------------- */

struct encoder_pool {
    pthread_mutex_t lock;
    encoder *free;
};

encoder_pool *encoder_pool_create(void)
{
    encoder_pool *pool = fr_alloc(sizeof *pool, FR_MEMORY_OTHER);
    if (pool && pthread_mutex_init(&pool->lock, NULL)) {
        fr_free(pool);
        return NULL;
    }
    return pool;
}

void encoder_pool_destroy(encoder_pool *pool)
{
    if (!pool)
        return;
    for (encoder *next, *one = pool->free; one; one = next) {
        next = one->next;
        bpe_scratch_free(&one->model);
        split_scratch_free(&one->split);
        normalized_free(&one->normal);
        normalized_free(&one->prefixed);
        fr_free(one);
    }
    pthread_mutex_destroy(&pool->lock);
    fr_free(pool);
}

static encoder *take_encoder(encoder_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    encoder *one = pool->free;
    if (one)
        pool->free = one->next;
    pthread_mutex_unlock(&pool->lock);
    return one ? one : fr_alloc(sizeof *one, FR_MEMORY_OTHER);
}

static void give_back(encoder_pool *pool, encoder *one)
{
    pthread_mutex_lock(&pool->lock);
    one->next = pool->free;
    pool->free = one;
    pthread_mutex_unlock(&pool->lock);
}

/* ---- one stretch of text --------------------------------------------------------------------- */

/* Text on its way through the stages, and where its bytes came from. */
typedef struct stretch {
    const fr_tokenizer *tokenizer;
    encoder *encoder;
    const char *text;
    size_t size;
    size_t base;               /* of text[0] in the input, when no bytes were changed */
    const size_t *begin, *end; /* of each byte, when some were; NULL otherwise */
    bool special_as_text;
    fr_ids *ids;
} stretch;

static size_t source_begin(const stretch *s, size_t at)
{
    return s->begin ? s->begin[at] : s->base + at;
}

/* Where what ends at `at` (> 0) came from. */
static size_t source_end(const stretch *s, size_t at)
{
    return s->end ? s->end[at - 1] : s->base + at;
}

static fr_status emit_piece(const stretch *s, size_t begin, size_t end, fr_error *error)
{
    fr_ids *ids = s->ids;
    size_t before = ids->count;
    FR_TRY(bpe_encode(&s->tokenizer->model, &s->encoder->model, s->text + begin, end - begin,
                      s->size - begin, ids, error));
    if (!ids->begin)
        return FR_OK;
    const size_t *start = s->tokenizer->tokens.start;
    for (size_t i = before; i < ids->count; i++) {
        size_t next = begin + (start[ids->ids[i] + 1] - start[ids->ids[i]]);
        ids->begin[i] = source_begin(s, begin);
        ids->end[i] = source_end(s, next);
        begin = next;
    }
    return FR_OK;
}

static fr_status emit_token(fr_ids *ids, int32_t id, size_t begin, size_t end, fr_error *error)
{
    FR_TRY(fr_ids_reserve(ids, 1, error));
    if (ids->begin) {
        ids->begin[ids->count] = begin;
        ids->end[ids->count] = end;
    }
    ids->ids[ids->count++] = id;
    return FR_OK;
}

static fr_status run_splits(const stretch *s, size_t stage, size_t begin, size_t end,
                            fr_error *error);

static fr_status with_prefix_space(const stretch *s, size_t stage, size_t begin, size_t end,
                                   fr_error *error)
{
    if (s->text[begin] == ' ')
        return run_splits(s, stage + 1, begin, end, error);
    normalized *copy = &s->encoder->prefixed;
    normalized_clear(copy);
    size_t first = utf8_length((const unsigned char *)s->text + begin, end - begin);
    normalized_append(copy, " ", 1, source_begin(s, begin), source_end(s, begin + first), false);
    for (size_t at = begin; at < end; at++)
        normalized_append(copy, s->text + at, 1, source_begin(s, at), source_end(s, at + 1), false);
    if (normalized_failed(copy))
        return fr_fail(error, FR_NO_MEMORY, "no memory to encode %zu bytes", end - begin);
    stretch inner = *s;
    inner.text = copy->text.data;
    inner.size = copy->text.size;
    inner.begin = (const size_t *)(const void *)copy->begin.data;
    inner.end = (const size_t *)(const void *)copy->end.data;
    return run_splits(&inner, stage + 1, 0, inner.size, error);
}

/* Cut [begin, end) with the splits from `stage` on and hand the pieces to the model. */
static fr_status run_splits(const stretch *s, size_t stage, size_t begin, size_t end,
                            fr_error *error)
{
    if (begin == end)
        return FR_OK;
    if (stage == s->tokenizer->split_count)
        return emit_piece(s, begin, end, error);
    const split *cut = &s->tokenizer->splits[stage];
    if (cut->kind == SPLIT_PREFIX_SPACE)
        return with_prefix_space(s, stage, begin, end, error);
    bool last = stage + 1 == s->tokenizer->split_count;
    for (size_t at = begin, from, to; at < end; at = to) {
        FR_TRY(split_next(cut, &s->encoder->split, s->text + begin, end - begin, at - begin, &from,
                          &to, error));
        from += begin;
        to += begin;
        if (cut->keep_gaps && from > at)
            FR_TRY(run_splits(s, stage + 1, at, from, error));
        if (!cut->keep_matches || from == to)
            continue;
        FR_TRY(last ? emit_piece(s, from, to, error) : run_splits(s, stage + 1, from, to, error));
    }
    return FR_OK;
}

/* Well-formed text, already normalised: the second kind of added tokens apart, the rest through
   the splits. */
static fr_status encode_normalized(const stretch *s, fr_error *error)
{
    size_t from = 0, taken = 0;
    while (taken < s->size || from < s->size) {
        added_match match = added_set_next(&s->tokenizer->normalized_added, s->text, s->size, &from,
                                           taken, s->special_as_text);
        if (taken < match.begin)
            FR_TRY(run_splits(s, 0, taken, match.begin, error));
        if (!match.token)
            break;
        FR_TRY(emit_token(s->ids, match.token->id, source_begin(s, match.begin),
                          source_end(s, match.end), error));
        taken = match.end;
    }
    return FR_OK;
}

static fr_status encode_well_formed(stretch s, fr_error *error)
{
    if (!s.tokenizer->nfc || nfc_is_plain(s.text, s.size))
        return encode_normalized(&s, error);
    normalized *normal = &s.encoder->normal;
    normalized_clear(normal);
    FR_TRY(nfc_append(normal, s.text, s.size, s.base, error));
    s.text = normal->text.data;
    s.size = normal->text.size;
    s.begin = (const size_t *)(const void *)normal->begin.data;
    s.end = (const size_t *)(const void *)normal->end.data;
    return encode_normalized(&s, error);
}

/* Any bytes between two added tokens: runs that are not UTF-8 are pieces of their own. */
static fr_status encode_stretch(stretch s, const char *text, size_t begin, size_t end,
                                fr_error *error)
{
    const unsigned char *bytes = (const unsigned char *)text;
    while (begin < end) {
        s.text = text + begin;
        s.base = begin;
        s.size = utf8_valid_run(bytes + begin, end - begin);
        if (s.size) {
            FR_TRY(encode_well_formed(s, error));
        } else {
            s.size = utf8_invalid_run(bytes + begin, end - begin);
            FR_TRY(emit_piece(&s, 0, s.size, error));
        }
        begin += s.size;
    }
    return FR_OK;
}

static fr_status encode_text(stretch s, const char *text, size_t size, fr_error *error)
{
    size_t from = 0, taken = 0;
    while (taken < size || from < size) {
        added_match match =
            added_set_next(&s.tokenizer->raw_added, text, size, &from, taken, s.special_as_text);
        if (taken < match.begin)
            FR_TRY(encode_stretch(s, text, taken, match.begin, error));
        if (!match.token)
            break;
        FR_TRY(emit_token(s.ids, match.token->id, match.begin, match.end, error));
        taken = match.end;
    }
    return FR_OK;
}

static fr_status prepare_offsets(fr_ids *ids, bool offsets, fr_error *error)
{
    FR_TRY(fr_ids_reserve(ids, 16, error));
    if (offsets && !ids->begin) {
        ids->begin = fr_alloc_array(ids->capacity, sizeof *ids->begin, FR_MEMORY_OTHER);
        ids->end = fr_alloc_array(ids->capacity, sizeof *ids->end, FR_MEMORY_OTHER);
        if (!ids->begin || !ids->end) {
            fr_free(ids->begin);
            fr_free(ids->end);
            ids->begin = ids->end = NULL;
            return fr_fail(error, FR_NO_MEMORY, "no memory for the offsets of tokens");
        }
    }
    return FR_OK;
}

fr_status fr_tokenizer_encode(const fr_tokenizer *tokenizer, const char *text, size_t size,
                              int flags, fr_ids *ids, fr_error *error)
{
    size_t before = ids->count;
    bool around = flags & FR_ENCODE_ADD_SPECIAL;
    FR_TRY(prepare_offsets(ids, flags & FR_ENCODE_OFFSETS, error));
    struct encoder *one = take_encoder(tokenizer->pool);
    if (!one)
        return fr_fail(error, FR_NO_MEMORY, "no memory to encode text");
    stretch s = {.tokenizer = tokenizer,
                 .encoder = one,
                 .special_as_text = flags & FR_ENCODE_SPECIAL_AS_TEXT,
                 .ids = ids};
    fr_status status = FR_OK;
    for (size_t i = 0; around && status == FR_OK && i < tokenizer->prefix_count; i++)
        status = emit_token(ids, tokenizer->prefix[i], 0, 0, error);
    if (status == FR_OK)
        status = encode_text(s, text, size, error);
    for (size_t i = 0; around && status == FR_OK && i < tokenizer->suffix_count; i++)
        status = emit_token(ids, tokenizer->suffix[i], size, size, error);
    give_back(tokenizer->pool, one);
    if (status != FR_OK)
        ids->count = before;
    return status;
}
