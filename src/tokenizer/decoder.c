/* decoder.c: the steps of decoding, as Hugging Face's tokenizers does them. */
#include "tokenizer/decoder.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/utf8.h"

#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

void decoder_free(decode_step *self)
{
    fr_free(self->text);
    fr_free(self->delimiter);
    split_regex_free(self->regex);
}

/* ---- lists of texts -------------------------------------------------------------------------- */

void text_list_clear(text_list *list)
{
    fr_buffer_clear(&list->text);
    fr_buffer_clear(&list->ends);
}

void text_list_free(text_list *list)
{
    fr_buffer_free(&list->text);
    fr_buffer_free(&list->ends);
}

size_t text_list_count(const text_list *list)
{
    return list->ends.size / sizeof(size_t);
}

const char *text_list_get(const text_list *list, size_t i, size_t *size)
{
    const size_t *ends = (const size_t *)(const void *)list->ends.data;
    size_t begin = i ? ends[i - 1] : 0;
    *size = ends[i] - begin;
    return list->text.data ? list->text.data + begin : "";
}

void text_list_close(text_list *list)
{
    size_t end = list->text.size;
    fr_buffer_append(&list->ends, &end, sizeof end);
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* Append `text` with every `from` (not empty) replaced by `to`. */
static void replace_all(fr_buffer *out, const char *text, size_t size, const char *from,
                        const char *to)
{
    size_t length = strlen(from);
    for (size_t at = 0; at < size;) {
        if (size - at >= length && !memcmp(text + at, from, length)) {
            fr_buffer_text(out, to);
            at += length;
        } else {
            fr_buffer_append(out, text + at++, 1);
        }
    }
}

/* Append the text without the spaces that English has none of. */
static void clean_up(fr_buffer *out, const char *text, size_t size)
{
    static const char *const pairs[][2] = {{" .", "."},     {" ?", "?"},           {" !", "!"},
                                           {" ,", ","},     {" ' ", "'"},          {" n't", "n't"},
                                           {" 'm", "'m"},   {" do not", " don't"}, {" 's", "'s"},
                                           {" 've", "'ve"}, {" 're", "'re"}};
    fr_buffer turns[2] = {{0}, {0}};
    fr_buffer_append(&turns[0], text, size);
    size_t steps = sizeof pairs / sizeof *pairs;
    for (size_t i = 0; i < steps; i++) {
        fr_buffer *from = &turns[i % 2], *to = &turns[(i + 1) % 2];
        fr_buffer_clear(to);
        replace_all(to, from->data ? from->data : "", from->size, pairs[i][0], pairs[i][1]);
    }
    const fr_buffer *result = &turns[steps % 2];
    fr_buffer_append(out, result->data ? result->data : "", result->size);
    out->failed |= turns[0].failed || turns[1].failed;
    fr_buffer_free(&turns[0]);
    fr_buffer_free(&turns[1]);
}

/* Bytes at text[0] that are one error: the longest beginning of a well-formed sequence, or one. */
static size_t bad_length(const unsigned char *text, size_t size)
{
    unsigned char lead = text[0];
    size_t wanted = lead < 0xC2 || lead > 0xF4 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    size_t length = 1;
    for (; length < wanted && length < size; length++) {
        if (text[length] < low || text[length] > high)
            break;
        low = 0x80;
        high = 0xBF;
    }
    return length;
}

/* Append bytes as UTF-8; what is none becomes U+FFFD. */
static void append_lossy(fr_buffer *out, const char *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        const unsigned char *here = (const unsigned char *)bytes + at;
        size_t good = utf8_valid_run(here, size - at);
        fr_buffer_append(out, here, good);
        at += good;
        if (at < size) {
            fr_buffer_text(out, replacement);
            at += bad_length((const unsigned char *)bytes + at, size - at);
        }
    }
}

/* ---- steps ----------------------------------------------------------------------------------- */

static fr_status byte_level(const text_list *in, text_list *out, fr_error *error)
{
    fr_buffer bytes = {0};
    size_t size;
    for (size_t i = 0; i < text_list_count(in); i++) {
        const char *text = text_list_get(in, i, &size);
        if (!byte_level_read(text, size, &bytes))
            fr_buffer_append(&bytes, text, size);
    }
    append_lossy(&out->text, bytes.data ? bytes.data : "", bytes.size);
    text_list_close(out);
    bool failed = bytes.failed;
    fr_buffer_free(&bytes);
    return failed ? fr_fail(error, FR_NO_MEMORY, "no memory to decode tokens") : FR_OK;
}

/* The byte that "<0x0A>" stands for, -1: another text. */
static int byte_of(const char *text, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    if (size != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>')
        return -1;
    int value = 0;
    for (int i = 3; i < 5; i++) {
        char low = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] | 0x20) : text[i];
        const char *digit = low ? strchr(digits, low) : NULL;
        if (i == 3 && low == '+') /* the peer's reader of numbers takes a sign */
            continue;
        if (!digit)
            return -1;
        value = value * 16 + (int)(digit - digits);
    }
    return value;
}

/* Bytes that came one after the other: a text, or one U+FFFD for each. */
static void close_bytes(text_list *out, fr_buffer *bytes)
{
    size_t size = bytes->size;
    if (size == 0)
        return;
    bool good = utf8_valid_run((const unsigned char *)bytes->data, size) == size;
    if (good)
        fr_buffer_append(&out->text, bytes->data, size);
    for (size_t i = 0; i < size && !good; i++) {
        fr_buffer_text(&out->text, replacement);
        text_list_close(out);
    }
    if (good)
        text_list_close(out);
    fr_buffer_clear(bytes);
}

static fr_status byte_fallback(const text_list *in, text_list *out, fr_error *error)
{
    fr_buffer bytes = {0};
    size_t size;
    for (size_t i = 0; i < text_list_count(in); i++) {
        const char *text = text_list_get(in, i, &size);
        int byte = byte_of(text, size);
        if (byte >= 0) {
            char one = (char)byte;
            fr_buffer_append(&bytes, &one, 1);
            continue;
        }
        close_bytes(out, &bytes);
        fr_buffer_append(&out->text, text, size);
        text_list_close(out);
    }
    close_bytes(out, &bytes);
    bool failed = bytes.failed;
    fr_buffer_free(&bytes);
    return failed ? fr_fail(error, FR_NO_MEMORY, "no memory to decode tokens") : FR_OK;
}

static void wordpiece(const decode_step *step, size_t number, const char *text, size_t size,
                      fr_buffer *out)
{
    fr_buffer whole = {0};
    size_t prefix = strlen(step->text);
    if (number > 0 && size >= prefix && !memcmp(text, step->text, prefix)) {
        text += prefix;
        size -= prefix;
    } else if (number > 0) {
        fr_buffer_text(&whole, " ");
    }
    fr_buffer_append(&whole, text, size);
    if (step->cleanup)
        clean_up(out, whole.data ? whole.data : "", whole.size);
    else
        fr_buffer_append(out, whole.data ? whole.data : "", whole.size);
    out->failed |= whole.failed;
    fr_buffer_free(&whole);
}

static void strip(const decode_step *step, const char *text, size_t size, fr_buffer *out)
{
    size_t mark = strlen(step->text);
    size_t begin = 0, end = size;
    for (int64_t i = 0; i < step->start && end - begin >= mark; i++) {
        if (memcmp(text + begin, step->text, mark) != 0)
            break;
        begin += mark;
    }
    for (int64_t i = 0; i < step->stop && end - begin >= mark; i++) {
        if (memcmp(text + end - mark, step->text, mark) != 0)
            break;
        end -= mark;
    }
    fr_buffer_append(out, text + begin, end - begin);
}

static fr_status replace(const decode_step *step, split_scratch *scratch, const char *text,
                         size_t size, fr_buffer *out, fr_error *error)
{
    split_cursor cursor = SPLIT_CURSOR_START;
    size_t at = 0;
    for (bool found = size > 0; found;) {
        size_t begin = size, end = size;
        FR_TRY(split_regex_find(step->regex, scratch, text, size, &cursor, &begin, &end, &found,
                                error));
        if (!found)
            break;
        fr_buffer_append(out, text + at, begin - at);
        fr_buffer_text(out, step->text);
        at = end;
    }
    fr_buffer_append(out, text + at, size - at);
    return FR_OK;
}

/* Repeated tokens are one, padding is nothing. */
static void ctc(const decode_step *step, const text_list *in, text_list *out)
{
    size_t size, last_size = 0;
    const char *last = NULL;
    fr_buffer plain = {0}, clean = {0};
    for (size_t i = 0; i < text_list_count(in); i++) {
        const char *text = text_list_get(in, i, &size);
        bool again = last && last_size == size && !memcmp(last, text, size);
        last = text;
        last_size = size;
        if (again)
            continue;
        size_t before = out->text.size;
        fr_buffer_clear(&plain);
        fr_buffer_clear(&clean);
        replace_all(&plain, text, size, step->text, "");
        const char *rest = plain.data ? plain.data : "";
        if (step->cleanup) {
            clean_up(&clean, rest, plain.size);
            replace_all(&out->text, clean.data ? clean.data : "", clean.size, step->delimiter, " ");
        } else {
            fr_buffer_append(&out->text, rest, plain.size);
        }
        if (out->text.size > before)
            text_list_close(out);
    }
    out->text.failed |= plain.failed || clean.failed;
    fr_buffer_free(&plain);
    fr_buffer_free(&clean);
}

/* The steps that make one text of each. */
static fr_status each(const decode_step *step, split_scratch *scratch, const text_list *in,
                      text_list *out, fr_error *error)
{
    size_t count = text_list_count(in), size;
    for (size_t i = 0; i < count; i++) {
        const char *text = text_list_get(in, i, &size);
        fr_status status = FR_OK;
        if (step->kind == DECODE_METASPACE)
            replace_all(&out->text, text, size, step->text, i == 0 && step->drop_first ? "" : " ");
        else if (step->kind == DECODE_WORDPIECE)
            wordpiece(step, i, text, size, &out->text);
        else if (step->kind == DECODE_BPE)
            replace_all(&out->text, text, size, step->text, i + 1 == count ? "" : " ");
        else if (step->kind == DECODE_STRIP)
            strip(step, text, size, &out->text);
        else
            status = replace(step, scratch, text, size, &out->text, error);
        FR_TRY(status);
        text_list_close(out);
    }
    return FR_OK;
}

static fr_status run_step(const decode_step *step, split_scratch *scratch, const text_list *in,
                          text_list *out, fr_error *error)
{
    switch (step->kind) {
    case DECODE_BYTE_LEVEL:
        return byte_level(in, out, error);
    case DECODE_BYTE_FALLBACK:
        return byte_fallback(in, out, error);
    case DECODE_FUSE:
        fr_buffer_append(&out->text, in->text.data ? in->text.data : "", in->text.size);
        text_list_close(out);
        return FR_OK;
    case DECODE_CTC:
        ctc(step, in, out);
        return FR_OK;
    default:
        return each(step, scratch, in, out, error);
    }
}

fr_status decode_texts(const decode_step *steps, size_t count, text_list *list, fr_error *error)
{
    text_list other = {0};
    split_scratch scratch = {0};
    fr_status status = FR_OK;
    for (size_t i = 0; i < count && status == FR_OK; i++) {
        text_list_clear(&other);
        status = run_step(&steps[i], &scratch, list, &other, error);
        text_list result = other;
        other = *list;
        *list = result;
    }
    if (status == FR_OK && (list->text.failed || list->ends.failed))
        status = fr_fail(error, FR_NO_MEMORY, "no memory to decode tokens");
    text_list_free(&other);
    split_scratch_free(&scratch);
    return status;
}
