/* encode.c: text -> ids, through the stages. */
#include "tokenizer/pipeline.h"
#include "tokenizer/utf8.h"

#include <pthread.h>
#include <string.h>

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
        model_scratch_free(&one->model);
        normalize_scratch_free(&one->normal);
        split_scratch_free(&one->split);
        aligned_free(&one->mended);
        for (size_t i = 0; i < MOST_SPLITS; i++)
            aligned_free(&one->rewritten[i]);
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

/* ---- pieces ---------------------------------------------------------------------------------- */

/* Text on its way through the stages. */
typedef struct stretch {
    const fr_tokenizer *tokenizer;
    encoder *encoder;
    passage text;
    bool special_as_text;
    fr_ids *ids;
    fr_buffer *blanks; /* NULL: nobody asks */
    piece_taker *take; /* gets the pieces instead of the model; NULL: the model */
    void *taker;
} stretch;

/* Note the blanks of the text that token number `id` stands for. */
static fr_status note_blanks(const stretch *s, size_t id, size_t begin, size_t end, fr_error *error)
{
    blank_note note = {.id = id};
    if (!s->blanks)
        return FR_OK;
    post_count_blanks(s->text.text + begin, end - begin, &note.leading, &note.trailing);
    fr_buffer_append(s->blanks, &note, sizeof note);
    return s->blanks->failed ? fr_fail(error, FR_NO_MEMORY, "no memory for offsets") : FR_OK;
}

static fr_status emit_piece(const stretch *s, size_t begin, size_t end, fr_error *error)
{
    if (s->take)
        return s->take(s->taker, s->text.text + begin, end - begin, error);
    fr_ids *ids = s->ids;
    size_t before = ids->count, size = end - begin;
    bool places = ids->begin, unigram = s->tokenizer->model.kind == MODEL_UNIGRAM;
    model_scratch *scratch = &s->encoder->model;
    FR_TRY(model_encode(&s->tokenizer->model, scratch, s->text.text + begin, size,
                        s->text.size - begin, places, ids, error));
    const span *spans = (const span *)(const void *)scratch->spans.data;
    for (size_t i = before; places && i < ids->count; i++) {
        span in_piece = spans[i - before];
        if (in_piece.begin == in_piece.end || in_piece.end > size) {
            /* Bytes of a prefix or suffix that are in no text: the peer counts them from 0. */
            ids->begin[i] = in_piece.begin;
            ids->end[i] = in_piece.end;
            continue;
        }
        ids->begin[i] = passage_origin(&s->text, begin + in_piece.begin).begin;
        ids->end[i] = passage_origin(&s->text, begin + in_piece.end - 1).end;
        if (unigram && ids->ids[i] == s->tokenizer->model.unknown)
            FR_TRY(note_blanks(s, i, begin + in_piece.begin, begin + in_piece.end, error));
    }
    return FR_OK;
}

fr_status ids_add(fr_ids *ids, int32_t id, size_t begin, size_t end, fr_error *error)
{
    FR_TRY(fr_ids_reserve(ids, 1, error));
    if (ids->begin) {
        ids->begin[ids->count] = begin;
        ids->end[ids->count] = end;
    }
    ids->ids[ids->count++] = id;
    return FR_OK;
}

static fr_status emit_added(const stretch *s, const added_match *match, fr_error *error)
{
    size_t begin = s->text.base + match->begin, end = s->text.base + match->end;
    if (s->text.origin) {
        begin = s->text.origin[match->begin].begin;
        end = s->text.origin[match->end - 1].end;
    }
    FR_TRY(note_blanks(s, s->ids->count, match->begin, match->end, error));
    return ids_add(s->ids, match->token->id, begin, end, error);
}

/* ---- splits ---------------------------------------------------------------------------------- */

static fr_status run_splits(const stretch *s, size_t stage, size_t begin, size_t end,
                            fr_error *error);

/* Every space as the mark, and one in front where the scheme wants it. */
static void put_metaspace(const split *cut, const passage *from, rewriting *r)
{
    size_t mark = strlen(cut->mark);
    bool begins =
        from->text[0] == ' ' || (from->size >= mark && !memcmp(from->text, cut->mark, mark));
    bool wanted =
        cut->prepend == PREPEND_ALWAYS || (cut->prepend == PREPEND_FIRST && from->base == 0);
    if (wanted && !begins)
        rewriting_insert(r, cut->mark, mark,
                         from->tracked ? passage_origin(from, 0) : (span){0, 0});
    while (r->at < from->size) {
        const char *here = from->text + r->at, *space = memchr(here, ' ', from->size - r->at);
        rewriting_keep(r, space ? (size_t)(space - here) : from->size - r->at);
        if (!space)
            break;
        span where = from->tracked ? passage_origin(from, r->at) : (span){0, 0};
        rewriting_skip(r, 1);
        rewriting_insert(r, cut->mark, mark, where);
    }
}

/* A split that rewrites its piece. */
static fr_status rewrite(const stretch *s, size_t stage, size_t begin, size_t end, fr_error *error)
{
    const split *cut = &s->tokenizer->splits[stage];
    if (cut->kind == SPLIT_PREFIX_SPACE && s->text.text[begin] == ' ')
        return run_splits(s, stage + 1, begin, end, error);
    passage from = passage_part(&s->text, begin, end);
    rewriting r = rewriting_start(&from, &s->encoder->rewritten[stage]);
    if (cut->kind == SPLIT_PREFIX_SPACE)
        normalize_prepend(&r, " ", 1);
    else if (cut->kind == SPLIT_BYTE_LEVEL)
        normalize_byte_level(&r);
    else
        put_metaspace(cut, &from, &r);
    stretch inner = *s;
    FR_TRY(rewriting_finish(&r, &inner.text, error));
    return run_splits(&inner, stage + 1, 0, inner.text.size, error);
}

/* Parts that wait for a neighbour to join them. */
typedef struct joined {
    bool any, match; /* there is a part; the last thing seen was a match */
    size_t begin, end;
} joined;

static fr_status join(const stretch *s, size_t stage, joined *part, size_t begin, size_t end,
                      bool match, fr_error *error)
{
    const split *cut = &s->tokenizer->splits[stage];
    bool joins = false;
    switch (cut->join) {
    case SPLIT_WITH_PREVIOUS:
        joins = match && !part->match;
        break;
    case SPLIT_WITH_NEXT:
        joins = !match && part->match;
        break;
    case SPLIT_RUNS:
        joins = match == part->match;
        break;
    case SPLIT_APART:
        break;
    }
    if (part->any && !joins)
        FR_TRY(run_splits(s, stage + 1, part->begin, part->end, error));
    if (!part->any || !joins)
        part->begin = begin;
    part->any = true;
    part->match = match;
    part->end = end;
    return FR_OK;
}

static fr_status split_joined(const stretch *s, size_t stage, size_t begin, size_t end,
                              fr_error *error)
{
    const split *cut = &s->tokenizer->splits[stage];
    split_cursor cursor = SPLIT_CURSOR_START;
    joined part = {0};
    size_t at = 0, size = end - begin;
    for (bool found = true; found;) {
        size_t from = size, to = size;
        FR_TRY(split_next(cut, &s->encoder->split, s->text.text + begin, size, &cursor, &from, &to,
                          &found, error));
        if (!found)
            from = to = size;
        if (from > at)
            FR_TRY(join(s, stage, &part, begin + at, begin + from, cut->invert, error));
        if (found)
            FR_TRY(join(s, stage, &part, begin + from, begin + to, !cut->invert, error));
        at = to;
    }
    return part.any ? run_splits(s, stage + 1, part.begin, part.end, error) : FR_OK;
}

/* The patterns that match everywhere. */
static fr_status split_everywhere(const stretch *s, size_t stage, size_t begin, size_t end,
                                  fr_error *error)
{
    const split *cut = &s->tokenizer->splits[stage];
    bool last = stage + 1 == s->tokenizer->split_count;
    const char *text = s->text.text + begin;
    size_t size = end - begin;
    for (size_t at = 0, to; at < size && cut->keep_matches; at = to) {
        to = split_match_end(cut, text, size, at);
        FR_TRY(last ? emit_piece(s, begin + at, begin + to, error)
                    : run_splits(s, stage + 1, begin + at, begin + to, error));
    }
    return FR_OK;
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
    if (split_rewrites(cut))
        return rewrite(s, stage, begin, end, error);
    if (cut->join != SPLIT_APART)
        return split_joined(s, stage, begin, end, error);
    if (cut->kind == SPLIT_GPT2 || cut->kind == SPLIT_LLAMA3)
        return split_everywhere(s, stage, begin, end, error);
    split_cursor cursor = SPLIT_CURSOR_START;
    size_t at = 0, size = end - begin;
    for (bool found = true; found;) {
        size_t from = size, to = size;
        FR_TRY(split_next(cut, &s->encoder->split, s->text.text + begin, size, &cursor, &from, &to,
                          &found, error));
        if (!found)
            from = to = size;
        if (cut->keep_gaps && from > at)
            FR_TRY(run_splits(s, stage + 1, begin + at, begin + from, error));
        if (cut->keep_matches && to > from)
            FR_TRY(run_splits(s, stage + 1, begin + from, begin + to, error));
        at = to;
    }
    return FR_OK;
}

/* ---- normaliser, added tokens ---------------------------------------------------------------- */

/* Well-formed text: normalised, the second kind of added tokens apart, the rest through the
   splits. */
static fr_status encode_well_formed(stretch s, fr_error *error)
{
    const fr_tokenizer *t = s.tokenizer;
    if (t->normalizer_count)
        FR_TRY(normalize(t->normalizers, t->normalizer_count, &s.encoder->normal, &s.text, error));
    size_t from = 0, taken = 0;
    while (taken < s.text.size || from < s.text.size) {
        added_match match = added_set_next(&t->normalized_added, s.text.text, s.text.size, &from,
                                           taken, s.special_as_text);
        if (taken < match.begin)
            FR_TRY(run_splits(&s, 0, taken, match.begin, error));
        if (!match.token)
            break;
        FR_TRY(emit_added(&s, &match, error));
        taken = match.end;
    }
    return FR_OK;
}

/* Bytes that are not UTF-8, each as U+FFFD. */
static fr_status mend(encoder *one, passage *text, fr_error *error)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    const unsigned char *bytes = (const unsigned char *)text->text;
    passage whole = *text;
    rewriting r = rewriting_start(&whole, &one->mended);
    for (size_t at = 0, length; at < whole.size; at += length) {
        length = utf8_length(bytes + at, whole.size - at);
        bool good = length > 0;
        length += !good;
        span where = {(uint32_t)(whole.base + at), (uint32_t)(whole.base + at + length)};
        rewriting_insert(&r, good ? whole.text + at : replacement, good ? length : 3, where);
    }
    return rewriting_finish(&r, text, error);
}

/* A byte-level model takes any bytes: runs that are not UTF-8 are pieces of their own. */
static fr_status encode_any_bytes(stretch s, fr_error *error)
{
    passage whole = s.text;
    const unsigned char *bytes = (const unsigned char *)whole.text;
    for (size_t begin = 0, size; begin < whole.size; begin += size) {
        size = utf8_valid_run(bytes + begin, whole.size - begin);
        s.text = passage_part(&whole, begin, begin + size);
        if (size) {
            FR_TRY(encode_well_formed(s, error));
            continue;
        }
        size = utf8_invalid_run(bytes + begin, whole.size - begin);
        s.text = passage_part(&whole, begin, begin + size);
        s.text.bytewise = true;
        FR_TRY(emit_piece(&s, 0, size, error));
    }
    return FR_OK;
}

/* What stands between two added tokens. */
static fr_status encode_stretch(stretch s, fr_error *error)
{
    if (s.tokenizer->model.kind == MODEL_BYTES)
        return encode_any_bytes(s, error);
    if (utf8_valid_run((const unsigned char *)s.text.text, s.text.size) < s.text.size)
        FR_TRY(mend(s.encoder, &s.text, error));
    return encode_well_formed(s, error);
}

static fr_status encode_text(stretch s, fr_error *error)
{
    passage whole = s.text;
    size_t from = 0, taken = 0;
    while (taken < whole.size || from < whole.size) {
        added_match match = added_set_next(&s.tokenizer->raw_added, whole.text, whole.size, &from,
                                           taken, s.special_as_text);
        if (taken < match.begin) {
            s.text = passage_part(&whole, taken, match.begin);
            FR_TRY(encode_stretch(s, error));
        }
        if (!match.token)
            break;
        s.text = whole;
        FR_TRY(emit_added(&s, &match, error));
        taken = match.end;
    }
    return FR_OK;
}

/* ---- calls ----------------------------------------------------------------------------------- */

fr_status ids_prepare(fr_ids *ids, bool offsets, fr_error *error)
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

fr_status encode_one(const fr_tokenizer *tokenizer, const char *text, size_t size, int flags,
                     fr_buffer *blanks, fr_ids *ids, fr_error *error)
{
    if (size >= UINT32_MAX)
        return fr_fail(error, FR_UNSUPPORTED, "a text of %zu bytes is more than can be encoded",
                       size);
    struct encoder *one = take_encoder(tokenizer->pool);
    if (!one)
        return fr_fail(error, FR_NO_MEMORY, "no memory to encode text");
    stretch s = {
        .tokenizer = tokenizer,
        .encoder = one,
        .text = {.text = text, .size = size, .tracked = ids->begin || tokenizer->asks_origin},
        .special_as_text = flags & FR_ENCODE_SPECIAL_AS_TEXT,
        .ids = ids,
        .blanks = blanks};
    fr_status status = encode_text(s, error);
    give_back(tokenizer->pool, one);
    return status;
}

fr_status encode_pieces(const fr_tokenizer *tokenizer, const char *text, size_t size,
                        piece_taker *take, void *taker, fr_error *error)
{
    struct encoder *one = take_encoder(tokenizer->pool);
    if (!one)
        return fr_fail(error, FR_NO_MEMORY, "no memory to cut text");
    stretch s = {.tokenizer = tokenizer,
                 .encoder = one,
                 .text = {.text = text, .size = size, .tracked = tokenizer->asks_origin},
                 .special_as_text = true,
                 .take = take,
                 .taker = taker};
    fr_status status = encode_text(s, error);
    give_back(tokenizer->pool, one);
    return status;
}

fr_status fr_tokenizer_encode(const fr_tokenizer *tokenizer, const char *text, size_t size,
                              int flags, fr_ids *ids, fr_error *error)
{
    size_t before = ids->count;
    const post_template *around = &tokenizer->post.single;
    fr_buffer blanks = {0};
    fr_status status = ids_prepare(ids, flags & FR_ENCODE_OFFSETS, error);
    bool trims = ids->begin && tokenizer->post.trim_count;
    for (size_t i = 0; status == FR_OK && i < around->count; i++) {
        size_t first = ids->count;
        if (around->parts[i].text >= 0) {
            fr_buffer_clear(&blanks);
            status = encode_one(tokenizer, text, size, flags, trims ? &blanks : NULL, ids, error);
            if (trims)
                post_trim(tokenizer, text, &blanks, ids, first);
        } else if (flags & FR_ENCODE_ADD_SPECIAL) {
            status = ids_add(ids, around->parts[i].id, 0, 0, error);
        }
    }
    fr_buffer_free(&blanks);
    if (status != FR_OK)
        ids->count = before;
    return status;
}
