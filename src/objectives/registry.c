/* registry.c: the names of objectives, and how one is made and ended. */
#include "objectives/objectives.h"

static const fr_kind *const entries[] = {&fr_causal_lm.base,
                                         &fr_masked_lm.base,
                                         &fr_sequence_classification.base,
                                         &fr_token_classification.base,
                                         &fr_multiple_choice.base,
                                         &fr_sentence_embedding.base,
                                         &fr_seq2seq_lm.base,
                                         &fr_image_classification.base,
                                         &fr_contrastive.base,
                                         NULL};

const fr_registry fr_objectives = {"objective", "A batch and one or more models to a loss.",
                                   entries};

fr_status fr_objective_create(fr_objective **out, const fr_objective_kind *kind, void *options,
                              fr_model *model, const fr_tokenizer *tokenizer, fr_error *error)
{
    *out = NULL;
    fr_objective *objective = fr_alloc(sizeof *objective, FR_MEMORY_OTHER);
    if (!objective) {
        if (options)
            fr_options_free(&kind->base.options, options);
        fr_free(options);
        return fr_fail(error, FR_NO_MEMORY, "no memory for the objective");
    }
    *objective =
        (fr_objective){.kind = kind, .options = options, .model = model, .tokenizer = tokenizer};
    fr_status status = kind->init ? kind->init(objective, error) : FR_OK;
    if (status == FR_OK)
        *out = objective;
    else
        fr_objective_destroy(objective);
    return status;
}

void fr_objective_destroy(fr_objective *objective)
{
    if (!objective)
        return;
    if (objective->kind->destroy)
        objective->kind->destroy(objective);
    if (objective->options)
        fr_options_free(&objective->kind->base.options, objective->options);
    fr_free(objective->options);
    fr_free(objective);
}
