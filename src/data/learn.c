/* learn.c: a tokenizer from the training documents. When there is more text than the tokenizer
   wants to see, each document is taken with the same probability, decided by its hash: the first
   documents alone would be those of the first folder. */
#include "data/prepare.h"
#include "data/split.h"

typedef struct sample {
    preparation *preparation;
    uint64_t limit; /* documents with a hash up to this are taken */
    size_t next;    /* document */
    fr_buffer text, path;
} sample;

static bool wanted(const sample *s, size_t document)
{
    const preparation *p = s->preparation;
    return !p->held_out[document] && document_hash(&p->kept[document], (uint64_t)p->options->seed,
                                                   FR_RANDOM_SAMPLE) <= s->limit;
}

static fr_status next_text(void *context, const char **text, size_t *size, fr_error *error)
{
    sample *s = context;
    preparation *p = s->preparation;
    *text = NULL;
    while (s->next < p->kept_count) {
        int64_t number;
        fr_buffer_clear(&s->text);
        fr_buffer_clear(&s->path);
        if (s->next % BATCH_DOCUMENTS == 0)
            FR_TRY(preparation_progress(p, "learning the tokenizer", -1, error));
        FR_TRY(spool_next(p->spool, &s->text, size, &s->path, &number, error));
        if (wanted(s, s->next++)) {
            *text = s->text.data;
            return FR_OK;
        }
    }
    *size = 0;
    return FR_OK;
}

fr_status preparation_learn(preparation *p, const fr_tokenizer_options *given,
                            fr_tokenizer **tokenizer, fr_error *error)
{
    sample s = {.preparation = p, .limit = UINT64_MAX};
    fr_tokenizer_options options = *given;
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->kept_count; i++)
        bytes += p->held_out[i] ? 0 : p->kept[i].bytes;
    if (options.vocabulary == 0)
        options.vocabulary = fr_data_vocabulary((int64_t)bytes);
    if (options.sample > 0 && (uint64_t)options.sample < bytes)
        s.limit = (uint64_t)((double)options.sample / (double)bytes * 0x1p64);
    FR_TRY(spool_rewind(p->spool, error));
    fr_status status = fr_tokenizer_train(tokenizer, &options, next_text, &s, error);
    fr_buffer_free(&s.text);
    fr_buffer_free(&s.path);
    return status;
}
