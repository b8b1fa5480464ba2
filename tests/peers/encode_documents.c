/* encode_documents.c: many documents through one tokenizer, for compare_tokenizers.py. Not a test.

   usage: encode_documents TOKENIZER <IN >OUT. IN: for each document u32 size, u32 flags (of
   fr_tokenizer_encode), bytes. OUT: for each document u32 0, u32 count, i32 ids, u32 begins, u32
   ends, u32 size and bytes of the ids decoded; or u32 1, u32 size and an error message. */
#include "frugal/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>

static void write_number(size_t number)
{
    uint32_t word = (uint32_t)number;
    fwrite(&word, sizeof word, 1, stdout);
}

static void write_message(const fr_error *error)
{
    size_t size = 0;
    while (error->message[size])
        size++;
    write_number(1);
    write_number(size);
    fwrite(error->message, 1, size, stdout);
}

static void write_result(const fr_ids *ids, const fr_buffer *text)
{
    write_number(0);
    write_number(ids->count);
    fwrite(ids->ids, sizeof *ids->ids, ids->count, stdout);
    for (size_t i = 0; i < ids->count; i++)
        write_number(ids->begin[i]);
    for (size_t i = 0; i < ids->count; i++)
        write_number(ids->end[i]);
    write_number(text->size);
    fwrite(text->data, 1, text->size, stdout);
}

int main(int count, char **words)
{
    fr_tokenizer *tokenizer;
    fr_error error;
    if (count != 2 || fr_tokenizer_load(&tokenizer, words[1], &error) != FR_OK) {
        fprintf(stderr, "%s\n", count == 2 ? error.message : "usage: encode_documents TOKENIZER");
        return 2;
    }
    uint32_t head[2];
    fr_ids ids = {0};
    fr_buffer text = {0};
    while (fread(head, sizeof head, 1, stdin) == 1) {
        char *data = malloc((size_t)head[0] + 1);
        if (!data || fread(data, 1, head[0], stdin) != head[0])
            return 1;
        fr_ids_clear(&ids);
        fr_buffer_clear(&text);
        if (fr_tokenizer_encode(tokenizer, data, head[0], (int)head[1] | FR_ENCODE_OFFSETS, &ids,
                                &error) != FR_OK ||
            fr_tokenizer_decode(tokenizer, ids.ids, ids.count, false, &text, &error) != FR_OK)
            write_message(&error);
        else
            write_result(&ids, &text);
        free(data);
    }
    fr_ids_free(&ids);
    fr_buffer_free(&text);
    fr_tokenizer_free(tokenizer);
    return 0;
}
