/* sentencepiece.c: the protocol buffer of a SentencePiece model. Fields that do not change how text
   becomes ids (how the model was trained, its self-tests) are passed over; those that do and are
   not done here are refused. */
#include "tokenizer/sentencepiece.h"
#include "tokenizer/protobuf.h"
#include "tokenizer/utf8.h"

#include <math.h>
#include <string.h>

static fr_status no_memory(const protobuf *in, fr_error *error)
{
    return fr_fail_at(error, FR_NO_MEMORY, in->name, 0, "no memory to read it");
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static fr_status check_piece(const sentencepiece *s, const protobuf *text, fr_error *error)
{
    const char *bytes = (const char *)text->data;
    size_t number = s->pieces.count;
    if (text->size == 0)
        return fr_fail_at(error, FR_BAD_INPUT, text->name, 0, "piece %zu is empty", number);
    if (utf8_valid_run(text->data, text->size) != text->size || memchr(bytes, 0, text->size))
        return fr_fail_at(error, FR_BAD_INPUT, text->name, 0,
                          "piece %zu is not UTF-8 without zero bytes", number);
    int64_t twin = lexicon_find(&s->pieces, bytes, text->size);
    if (twin >= 0)
        return fr_fail_at(error, FR_BAD_INPUT, text->name, 0,
                          "piece %zu, '%.*s', is piece %lld, too", number,
                          (int)(text->size < 60 ? text->size : 60), bytes, (long long)twin);
    return FR_OK;
}

static bool make_room(sentencepiece *s)
{
    if (s->pieces.count < s->capacity)
        return true;
    size_t capacity = s->capacity ? 2 * s->capacity : 1024;
    double *score = fr_realloc(s->score, capacity * sizeof *score, FR_MEMORY_OTHER);
    if (score)
        s->score = score;
    unsigned char *type = fr_realloc(s->type, capacity, FR_MEMORY_OTHER);
    if (type)
        s->type = type;
    if (score && type)
        s->capacity = capacity;
    return score && type;
}

/* message SentencePiece { string piece = 1; float score = 2; Type type = 3; } */
static fr_status read_piece(sentencepiece *s, protobuf *in, fr_error *error)
{
    protobuf text = {.name = in->name};
    protobuf_field field;
    double score = 0;
    uint64_t type = PIECE_NORMAL;
    for (;;) {
        FR_TRY(protobuf_next(in, &field, error));
        if (field.number == 0)
            break;
        if (field.number == 1) {
            FR_TRY(protobuf_expect(in, &field, PROTOBUF_BYTES, "a piece's text", error));
            text = field.bytes;
        } else if (field.number == 2) {
            FR_TRY(protobuf_expect(in, &field, PROTOBUF_FOUR, "a piece's score", error));
            score = (double)protobuf_float(&field);
        } else if (field.number == 3) {
            FR_TRY(protobuf_expect(in, &field, PROTOBUF_VARINT, "a piece's type", error));
            type = field.value;
        }
    }
    FR_TRY(check_piece(s, &text, error));
    if (type < PIECE_NORMAL || type > PIECE_BYTE || !isfinite(score))
        return fr_fail_at(error, FR_BAD_INPUT, in->name, 0,
                          "piece %zu has type %llu and score %g; a type from 1 to 6 and a finite "
                          "score expected",
                          s->pieces.count, (unsigned long long)type, score);
    if (!make_room(s))
        return no_memory(in, error);
    s->score[s->pieces.count] = score;
    s->type[s->pieces.count] = (unsigned char)type;
    return lexicon_add(&s->pieces, (const char *)text.data, text.size) ? FR_OK
                                                                       : no_memory(in, error);
}

/* ---- the two specifications ------------------------------------------------------------------ */

static fr_status read_text(const protobuf *in, const protobuf_field *field, const char *what,
                           char **out, fr_error *error)
{
    FR_TRY(protobuf_expect(in, field, PROTOBUF_BYTES, what, error));
    const protobuf *text = &field->bytes;
    if (utf8_valid_run(text->data, text->size) != text->size || memchr(text->data, 0, text->size))
        return fr_fail_at(error, FR_BAD_INPUT, in->name, 0, "%s is not UTF-8 without zero bytes",
                          what);
    fr_free(*out);
    *out = fr_string_copy_n((const char *)text->data, text->size);
    return *out ? FR_OK : no_memory(in, error);
}

/* An int32: negative ones are written as 64 bits. */
static fr_status read_id(const protobuf *in, const protobuf_field *field, const char *what,
                         int64_t *out, fr_error *error)
{
    FR_TRY(protobuf_expect(in, field, PROTOBUF_VARINT, what, error));
    *out = (int32_t)(uint32_t)field->value;
    return FR_OK;
}

static fr_status read_truth(const protobuf *in, const protobuf_field *field, const char *what,
                            bool *out, fr_error *error)
{
    FR_TRY(protobuf_expect(in, field, PROTOBUF_VARINT, what, error));
    *out = field->value != 0;
    return FR_OK;
}

static fr_status read_trainer(sentencepiece *s, protobuf *in, fr_error *error)
{
    for (;;) {
        protobuf_field field;
        int64_t number;
        bool suffix;
        FR_TRY(protobuf_next(in, &field, error));
        switch (field.number) {
        case 0:
            return FR_OK;
        case 3:
            FR_TRY(read_id(in, &field, "model_type", &number, error));
            s->model_type = (int)number;
            break;
        case 24:
            FR_TRY(read_truth(in, &field, "treat_whitespace_as_suffix", &suffix, error));
            if (suffix)
                return fr_fail_at(error, FR_UNSUPPORTED, in->name, 0,
                                  "treat_whitespace_as_suffix is not supported");
            break;
        case 35:
            FR_TRY(read_truth(in, &field, "byte_fallback", &s->byte_fallback, error));
            break;
        case 40:
            FR_TRY(read_id(in, &field, "unk_id", &s->unk_id, error));
            break;
        case 41:
            FR_TRY(read_id(in, &field, "bos_id", &s->bos_id, error));
            break;
        case 42:
            FR_TRY(read_id(in, &field, "eos_id", &s->eos_id, error));
            break;
        case 45:
            FR_TRY(read_text(in, &field, "unk_piece", &s->unk_piece, error));
            break;
        case 46:
            FR_TRY(read_text(in, &field, "bos_piece", &s->bos_piece, error));
            break;
        case 47:
            FR_TRY(read_text(in, &field, "eos_piece", &s->eos_piece, error));
            break;
        default:
            break;
        }
    }
}

static fr_status read_normalizer(sentencepiece *s, protobuf *in, fr_error *error)
{
    for (;;) {
        protobuf_field field;
        FR_TRY(protobuf_next(in, &field, error));
        switch (field.number) {
        case 0:
            return FR_OK;
        case 2:
            FR_TRY(protobuf_expect(in, &field, PROTOBUF_BYTES, "precompiled_charsmap", error));
            s->charsmap = field.bytes.size ? field.bytes.data : NULL;
            s->charsmap_size = field.bytes.size;
            break;
        case 3:
            FR_TRY(read_truth(in, &field, "add_dummy_prefix", &s->dummy_prefix, error));
            break;
        case 4:
            FR_TRY(
                read_truth(in, &field, "remove_extra_whitespaces", &s->remove_extra_spaces, error));
            break;
        case 5:
            FR_TRY(read_truth(in, &field, "escape_whitespaces", &s->escape_spaces, error));
            break;
        default:
            break;
        }
    }
}

/* Decoding has a charsmap of its own in some models; transformers does not look at it. */
static fr_status check_denormalizer(protobuf *in, fr_error *error)
{
    protobuf_field field;
    do {
        FR_TRY(protobuf_next(in, &field, error));
        if (field.number == 2 && field.type == PROTOBUF_BYTES && field.bytes.size)
            return fr_fail_at(error, FR_UNSUPPORTED, in->name, 0,
                              "a denormalizer_spec with rules is not supported");
    } while (field.number);
    return FR_OK;
}

/* ---- the model ------------------------------------------------------------------------------- */

/* message ModelProto { repeated SentencePiece pieces = 1; TrainerSpec trainer_spec = 2;
   NormalizerSpec normalizer_spec = 3; SelfTestData self_test_data = 4; NormalizerSpec
   denormalizer_spec = 5; } */
static fr_status read_model(sentencepiece *s, protobuf *in, fr_error *error)
{
    static const char *const names[] = {
        NULL, "a piece", "trainer_spec", "normalizer_spec", "self_test_data", "denormalizer_spec"};
    for (;;) {
        protobuf_field field;
        FR_TRY(protobuf_next(in, &field, error));
        if (field.number == 0)
            return FR_OK;
        if (field.number > 5) {
            if (field.number < 200) /* from there on they are extensions */
                return fr_fail_at(error, FR_BAD_INPUT, in->name, 0,
                                  "field %u is no field of a SentencePiece model",
                                  (unsigned)field.number);
            continue;
        }
        FR_TRY(protobuf_expect(in, &field, PROTOBUF_BYTES, names[field.number], error));
        if (field.number == 1)
            FR_TRY(read_piece(s, &field.bytes, error));
        else if (field.number == 2)
            FR_TRY(read_trainer(s, &field.bytes, error));
        else if (field.number == 3)
            FR_TRY(read_normalizer(s, &field.bytes, error));
        else if (field.number == 5)
            FR_TRY(check_denormalizer(&field.bytes, error));
    }
}

static fr_status check_model(sentencepiece *s, const protobuf *in, fr_error *error)
{
    if (s->pieces.count == 0)
        return fr_fail_at(error, FR_BAD_INPUT, in->name, 0, "no pieces found");
    if (s->model_type != SENTENCEPIECE_UNIGRAM && s->model_type != SENTENCEPIECE_BPE)
        return fr_fail_at(error, FR_UNSUPPORTED, in->name, 0,
                          "model_type %d is not supported (supported: 1, unigram; 2, bpe)",
                          s->model_type);
    int64_t count = (int64_t)s->pieces.count;
    if (s->unk_id < 0 || s->unk_id >= count || s->bos_id >= count || s->eos_id >= count)
        return fr_fail_at(error, FR_BAD_INPUT, in->name, 0,
                          "unk_id %lld, bos_id %lld and eos_id %lld found; there are %lld pieces",
                          (long long)s->unk_id, (long long)s->bos_id, (long long)s->eos_id,
                          (long long)count);
    return s->unk_piece && s->bos_piece && s->eos_piece ? FR_OK : no_memory(in, error);
}

fr_status sentencepiece_read(sentencepiece *out, const read_input *input, fr_error *error)
{
    /* What the format takes for a field that is not there. */
    *out = (sentencepiece){.model_type = SENTENCEPIECE_UNIGRAM,
                           .bos_id = 1,
                           .eos_id = 2,
                           .unk_piece = fr_string_copy("<unk>"),
                           .bos_piece = fr_string_copy("<s>"),
                           .eos_piece = fr_string_copy("</s>"),
                           .dummy_prefix = true,
                           .remove_extra_spaces = true,
                           .escape_spaces = true};
    protobuf in = {(const unsigned char *)input->data, input->size, 0, 0, input->path};
    fr_status status = read_model(out, &in, error);
    if (status == FR_OK)
        status = check_model(out, &in, error);
    if (status != FR_OK)
        sentencepiece_free(out);
    return status;
}

void sentencepiece_free(sentencepiece *self)
{
    lexicon_free(&self->pieces);
    fr_free(self->score);
    fr_free(self->type);
    fr_free(self->unk_piece);
    fr_free(self->bos_piece);
    fr_free(self->eos_piece);
    *self = (sentencepiece){0};
}
