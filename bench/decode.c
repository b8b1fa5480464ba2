/* decode.c: tokens per second of generation with LLaMA-like models in f32: reading a prompt, and
   making tokens for 1 and 8 texts together. A step reads every weight once, whatever the number of
   texts, so the last column is what of the memory's rate that is. Best of three.

   usage: bench_decode */
#include "frugal/decode.h"
#include "frugal/machine.h"

#include <stdio.h>
#include <string.h>

enum { PROMPT = 200, NEW = 48, TEXTS = 8, RUNS = 3 };

static fr_status measure(const char *name, const char *recipe_text, const fr_tokenizer *tokenizer,
                         double stream, fr_error *error)
{
    fr_recipe *recipe;
    fr_model *model;
    FR_TRY(fr_recipe_parse(&recipe, recipe_text, strlen(recipe_text), name, error));
    fr_status status = fr_model_create_from_section(&model, fr_recipe_section(recipe, "model"),
                                                    NULL, 8192, -1, 1, false, error);
    fr_recipe_free(recipe);
    FR_TRY(status);
    char prompt[PROMPT + 1];
    memset(prompt, 'a', PROMPT);
    prompt[PROMPT] = 0;
    const char *prompts[TEXTS];
    for (int i = 0; i < TEXTS; i++)
        prompts[i] = prompt;
    fr_sampling_options how = {
        .temperature = 1, .top_k = 50, .top_p = 1, .repetition_penalty = 1, .max_tokens = NEW};
    for (int texts = 1; texts <= TEXTS && status == FR_OK; texts += TEXTS - 1) {
        double reading = 1e30, making = 1e30;
        for (int run = 0; run < RUNS && status == FR_OK; run++) {
            fr_generate_result result;
            status = fr_generate(model, tokenizer, prompts, (size_t)texts, &how, NULL, NULL, NULL,
                                 &result, error);
            reading = result.prompt_seconds < reading ? result.prompt_seconds : reading;
            making = result.decode_seconds < making ? result.decode_seconds : making;
        }
        double bytes = 4.0 * (double)fr_model_parameter_total(model) * (NEW - 1);
        if (status == FR_OK)
            printf("%-5s %d texts: prompt %8.0f tokens/s, then %7.1f tokens/s, weights at %5.1f "
                   "GB/s = %3.0f %% of a copy\n",
                   name, texts, PROMPT / reading, texts * (NEW - 1) / making, 1e-9 * bytes / making,
                   100 * bytes / making / stream);
    }
    fr_model_destroy(model);
    return status;
}

int main(void)
{
    static const struct {
        const char *name, *recipe;
    } models[] = {
        {"5M", "model: {kind: llama, hidden_size: 256, intermediate_size: 704, num_hidden_layers: "
               "6, num_attention_heads: 4, "
               "num_key_value_heads: 4, max_position_embeddings: 256}"},
        {"30M", "model: {kind: llama, hidden_size: 512, intermediate_size: 1376, "
                "num_hidden_layers: 8, num_attention_heads: 8, "
                "num_key_value_heads: 8, max_position_embeddings: 256}"},
    };
    fr_error error;
    fr_machine machine;
    fr_tokenizer *tokenizer = NULL;
    fr_status status = fr_machine_measure(0.5, &machine, &error);
    if (status == FR_OK)
        status = fr_tokenizer_create_bytes(&tokenizer, &error);
    for (size_t i = 0; i < sizeof models / sizeof *models && status == FR_OK; i++)
        status = measure(models[i].name, models[i].recipe, tokenizer, machine.stream_bytes, &error);
    fr_tokenizer_free(tokenizer);
    if (status != FR_OK)
        fprintf(stderr, "%s\n", error.message);
    return fr_exit_code(status);
}
