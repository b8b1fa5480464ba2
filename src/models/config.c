/* config.c: between a configuration's table and config.json.

   A field of config.json is known in one of four ways: the kind's table has it, the kind reads it
   itself, the kind ignores it, or every model ignores it (the list below: fields of generation, of
   other heads, of the library that wrote them). A field that is null says nothing. An object whose
   name a table's dotted names begin with ("text_config.hidden_size") is a section, whose fields are
   judged the same way. Everything else
   is refused by name, because nobody can know that it does not change the result. docs/models.md
   repeats the lists. */
#include "models/models.h"

#include <stdio.h>
#include <string.h>

enum { MOST_SECTION = 192 };

/* Fields that do not change what a decoder computes. */
static const char *const ignored[] = {
    "architectures", "model_type", "transformers_version", "torch_dtype", "dtype", "use_cache",
    "output_attentions", "output_hidden_states", "return_dict", "torchscript", "use_bfloat16",
    "id2label", "label2id", "num_labels", "problem_type", "task_specific_params", "tokenizer_class",
    "prefix", "finetuning_task", "gradient_checkpointing", "chunk_size_feed_forward", "is_decoder",
    "tie_encoder_decoder", "cross_attention_hidden_size", "sep_token_id", "decoder_start_token_id",
    /* settings of generation, which moved to generation_config.json */
    "max_length", "min_length", "max_new_tokens", "do_sample", "early_stopping", "num_beams",
    "num_beam_groups", "diversity_penalty", "temperature", "top_k", "top_p", "typical_p",
    "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
    "bad_words_ids", "num_return_sequences", "output_scores", "return_dict_in_generate",
    "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values",
    "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens",
    /* notes of other programs that published folders carry */
    "tf_legacy_loss", "transformers.js_config", "unsloth_version", "unsloth_fixed", NULL};

/* Fields that would change it; harmless while false, zero or empty. */
static const char *const refused[] = {
    "quantization_config", "auto_map",         "is_encoder_decoder", "add_cross_attention",
    "pruned_heads",        "rope_interleaved", "use_mrope",          NULL};

static bool listed(const char *const *names, const char *name)
{
    for (; names && *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static bool says_nothing(const json_t *value)
{
    return json_is_null(value) || json_is_false(value) ||
           (json_is_number(value) && json_number_value(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

fr_status fr_config_kind(const fr_model_kind **kind, const json_t *json, const char *path,
                         fr_error *error)
{
    const char *type = json_string_value(json_object_get(json, "model_type"));
    if (!type)
        return fr_fail_at(error, FR_BAD_INPUT, path, 0, "there is no model_type");
    fr_buffer known = {0};
    for (const fr_kind *const *entry = fr_models.entries; *entry; entry++) {
        *kind = (const fr_model_kind *)*entry;
        if (listed((*kind)->model_types, type)) {
            fr_buffer_free(&known);
            return FR_OK;
        }
        for (const char *const *name = (*kind)->model_types; *name; name++)
            fr_buffer_printf(&known, "%s%s", known.size ? ", " : "", *name);
    }
    fr_fail_at(error, FR_UNSUPPORTED, path, 0, "model_type '%.64s' is not supported (known: %s)",
               type, known.failed ? "..." : known.data);
    fr_buffer_free(&known);
    return FR_UNSUPPORTED;
}

/* ---- reading ---- */

/* `section` is "" or "text_config.". */
static fr_status check_known(const fr_model_kind *kind, const json_t *json, const char *section,
                             const char *path, fr_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)json, name, value)
    {
        char full[MOST_SECTION], inner[MOST_SECTION];
        snprintf(full, sizeof full, "%s%s", section, name);
        snprintf(inner, sizeof inner, "%s%.64s.", section, name);
        bool known = json_is_null(value) || name[0] == '_' || listed(kind->extra_fields, full) ||
                     listed(kind->ignored_fields, full) || listed(ignored, name) ||
                     (listed(refused, name) && says_nothing(value)) ||
                     fr_option_find(&kind->base.options, full);
        if (!known && fr_option_is_section(&kind->base.options, inner)) {
            if (!json_is_object(value))
                return fr_fail_at(error, FR_BAD_INPUT, path, 0, "field '%.64s' is not an object",
                                  full);
            FR_TRY(check_known(kind, value, inner, path, error));
        } else if (!known) {
            return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                              "field '%.64s' is not supported by model '%s': it may change the "
                              "result",
                              full, kind->base.name);
        }
    }
    return FR_OK;
}

static fr_status read_field(const fr_option_table *table, const fr_option *option, void *config,
                            const json_t *value, const char *path, fr_error *error)
{
    /* a list of ids that end a text stands for its first; the folder's reader takes the rest */
    if (strcmp(option->name, "eos_token_id") == 0 && json_is_array(value))
        value = json_array_get(value, 0);
    return fr_json_option_read(table, option, config, value, path, error);
}

fr_status fr_config_set(const fr_option_table *table, void *config, const char *name,
                        const json_t *value, const char *path, fr_error *error)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->options[i].name, name) == 0)
            return read_field(table, &table->options[i], config, value, path, error);
    return fr_fail(error, FR_WRONG_CALL, "there is no option %s", name);
}

fr_status fr_config_read_json(void *config, const fr_model_kind *kind, const json_t *json,
                              const char *path, fr_error *error)
{
    FR_TRY(check_known(kind, json, "", path, error));
    const fr_option_table *table = &kind->base.options;
    for (size_t i = 0; i < table->count; i++) {
        const json_t *value = fr_json_lookup(json, table->options[i].name);
        if (value && !json_is_null(value))
            FR_TRY(read_field(table, &table->options[i], config, value, path, error));
    }
    return FR_OK;
}

fr_status fr_config_from_json(void **config, const fr_model_kind *kind, const json_t *json,
                              const char *path, fr_error *error)
{
    *config = NULL;
    void *filled = fr_alloc(kind->base.options.size, FR_MEMORY_OTHER);
    if (!filled)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a model's configuration");
    kind->base.options.defaults(filled);
    fr_status status = fr_config_read_json(filled, kind, json, path, error);
    if (status == FR_OK && kind->read_config)
        status = kind->read_config(filled, json, path, error);
    if (status != FR_OK) {
        fr_model_config_free(kind, filled);
        return status;
    }
    *config = filled;
    return FR_OK;
}

fr_status fr_config_fill(const fr_option_table *table, void *config, const json_t *json,
                         const fr_config_default *defaults, size_t count, fr_error *error)
{
    for (size_t i = 0; i < count; i++)
        if (!fr_json_lookup(json, defaults[i].name))
            FR_TRY(fr_options_set(table, config, defaults[i].name, defaults[i].value, error));
    return FR_OK;
}

fr_status fr_config_require(const json_t *json, const char *const *names, const char *path,
                            fr_error *error)
{
    for (; *names; names++)
        if (!fr_json_lookup(json, *names) || json_is_null(fr_json_lookup(json, *names)))
            return fr_fail_at(error, FR_BAD_INPUT, path, 0, "field '%s' is missing", *names);
    return FR_OK;
}

fr_status fr_config_keep(json_t **kept, const fr_model_kind *kind, const json_t *json,
                         fr_error *error)
{
    /* these are written anew for what the model is now */
    static const char *const own[] = {"architectures", "torch_dtype", "dtype",        "id2label",
                                      "label2id",      "num_labels",  "problem_type", NULL};
    const char *name;
    json_t *value;
    *kept = json_object();
    json_object_foreach((json_t *)json, name, value)
    {
        bool other = name[0] == '_' || listed(ignored, name) || listed(kind->ignored_fields, name);
        if (other && !listed(own, name) && json_object_set(*kept, name, value) != 0)
            return fr_fail(error, FR_NO_MEMORY, "no memory for a model's configuration");
    }
    return *kept ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a model's configuration");
}

/* ---- writing and copying ---- */

fr_status fr_config_write_table(const fr_option_table *table, const void *config, json_t *json,
                                fr_error *error)
{
    for (size_t i = 0; i < table->count; i++)
        FR_TRY(fr_json_option_write(&table->options[i], config, json, error));
    return FR_OK;
}

fr_status fr_config_write_list(json_t *json, const char *name, fr_error *error)
{
    json_t *value = json_object_get(json, name);
    if (!json_is_number(value))
        return FR_OK;
    return json_object_set_new(json, name, json_pack("[O]", value)) == 0
               ? FR_OK
               : fr_fail(error, FR_NO_MEMORY, "cannot write field '%s' of a configuration", name);
}

fr_status fr_config_write(const fr_model_kind *kind, const void *config, json_t *json,
                          fr_error *error)
{
    if (json_object_set_new(json, "model_type", json_string(fr_config_model_type(kind, config))) !=
        0)
        return fr_fail(error, FR_NO_MEMORY, "cannot write a configuration");
    return kind->write_config ? kind->write_config(config, json, error)
                              : fr_config_write_table(&kind->base.options, config, json, error);
}

void *fr_config_copy(const fr_option_table *table, const void *config)
{
    char *copy = fr_alloc(table->size, FR_MEMORY_OTHER);
    if (!copy)
        return NULL;
    memcpy(copy, config, table->size);
    bool whole = true;
    for (size_t i = 0; i < table->count; i++) {
        void *field = copy + table->options[i].offset;
        if (table->options[i].type == FR_OPTION_STRING && *(char **)field) {
            *(char **)field = whole ? fr_string_copy(*(char **)field) : NULL;
            whole &= *(char **)field != NULL;
        } else if (table->options[i].type == FR_OPTION_STRINGS) {
            fr_strings from = *(fr_strings *)field;
            *(fr_strings *)field = (fr_strings){0};
            whole = whole && fr_strings_copy(field, &from);
        } else if (table->options[i].type == FR_OPTION_FLOATS) {
            fr_floats from = *(fr_floats *)field;
            *(fr_floats *)field = (fr_floats){0};
            whole = whole && fr_floats_copy(field, &from);
        }
    }
    if (whole)
        return copy;
    fr_options_free(table, copy);
    fr_free(copy);
    return NULL;
}
