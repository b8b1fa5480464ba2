/* models_help.h: what the tests of models share: making one from a recipe, tapes, ids. */
#ifndef FRUGAL_TEST_MODELS_HELP_H
#define FRUGAL_TEST_MODELS_HELP_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "frugal/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LLAMA_RECIPE                                                                               \
    "kind: llama, hidden_size: 16, num_hidden_layers: 2, num_key_value_heads: 2, vocab_size: 50"
#define GPT2_RECIPE "kind: gpt2, n_embd: 16, n_layer: 2, n_head: 2, n_positions: 32, vocab_size: 50"

static inline void must(fr_status status, const fr_error *error)
{
    if (status != FR_OK)
        fail_msg("%s", error->message);
}

static inline void contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not say '%s'", text, part);
}

/* A model from "kind: llama, ..." */
static inline fr_status try_recipe(fr_model **model, const char *fields, uint64_t seed,
                                   bool shapes_only, fr_error *error)
{
    char text[512];
    snprintf(text, sizeof text, "model: {%s}\n", fields);
    fr_recipe *recipe;
    FR_TRY(fr_recipe_parse(&recipe, text, strlen(text), "test.yaml", error));
    fr_status status = fr_model_create_from_section(model, fr_recipe_section(recipe, "model"), NULL,
                                                    0, -1, seed, shapes_only, error);
    fr_recipe_free(recipe);
    return status;
}

static inline fr_model *model_of(const char *fields, bool shapes_only)
{
    fr_model *model = NULL;
    fr_error error = {0};
    must(try_recipe(&model, fields, 1, shapes_only, &error), &error);
    return model;
}

static inline fr_tape *tape_of(fr_tape_mode mode, bool shape_only)
{
    fr_tape *tape =
        fr_tape_create(&(fr_tape_options){.mode = mode, .shape_only = shape_only}, NULL);
    assert_non_null(tape);
    return tape;
}

/* ids (rows, columns) of a formula on the tape. */
static inline fr_tensor *ids_of(fr_tape *tape, int64_t rows, int64_t columns)
{
    int32_t numbers[256];
    for (int64_t i = 0; i < rows * columns; i++)
        numbers[i] = (int32_t)((7 * i + i * i / 3) % 50);
    return fr_tape_input(tape, FR_I32, 2, (const int64_t[]){rows, columns}, numbers);
}

#endif
