/* gguf.c: model and tokenizer in one file, as llama.cpp wants them. Each tells its own values. */
#include "frugal/decode.h"
#include "frugal/formats.h"

static fr_status fill(fr_gguf_draft *draft, const fr_model *model, const fr_tokenizer *tokenizer,
                      fr_dtype dtype, fr_error *error)
{
    FR_TRY(fr_model_gguf(model, dtype, draft, error));
    if (tokenizer)
        return fr_tokenizer_gguf(tokenizer, model->vocabulary, model->bos, model->eos, draft,
                                 error);
    fr_gguf_put_text(draft, "tokenizer.ggml.model", "none", 4);
    return FR_OK;
}

fr_status fr_gguf_save(const fr_model *model, const fr_tokenizer *tokenizer, const char *path,
                       fr_dtype dtype, fr_error *error)
{
    fr_gguf_draft *draft = fr_gguf_draft_create();
    if (!draft)
        return fr_fail(error, FR_NO_MEMORY, "no memory to write %s", path);
    fr_status status = fill(draft, model, tokenizer, dtype, error);
    if (status == FR_OK)
        status = fr_gguf_draft_write(draft, path, error);
    fr_gguf_draft_free(draft);
    return status;
}
