/* test_models.c: models are made, saved, loaded and refused as model.h says. */
#include "frugal/formats.h"
#include "models_help.h"

#include <unistd.h>

static char folder[256];

static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/frugal-models-XXXXXX", base ? base : P_tmpdir);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return fr_folder_remove(folder, NULL) == FR_OK ? 0 : -1;
}

/* ---- making ---- */

static void test_the_same_seed_gives_the_same_weights(void **state)
{
    (void)state;
    fr_model *a, *b, *c;
    must(try_recipe(&a, LLAMA_RECIPE, 5, false, NULL), NULL);
    must(try_recipe(&b, LLAMA_RECIPE, 5, false, NULL), NULL);
    must(try_recipe(&c, LLAMA_RECIPE, 6, false, NULL), NULL);
    for (size_t i = 0; i < a->parameter_count; i++) {
        const fr_parameter *p = a->parameters[i], *q = b->parameters[i], *r = c->parameters[i];
        size_t bytes = fr_tensor_bytes(p->value);
        assert_memory_equal(fr_tensor_host(p->value), fr_tensor_host(q->value), bytes);
        if (p->init_std > 0)
            assert_memory_not_equal(fr_tensor_host(p->value), fr_tensor_host(r->value), bytes);
    }
    fr_model_destroy(a);
    fr_model_destroy(b);
    fr_model_destroy(c);
}

static double deviation(const fr_parameter *parameter)
{
    const float *values = fr_tensor_host(parameter->value);
    int64_t count = fr_tensor_count(parameter->value);
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)values[i] * values[i];
    return sqrt(sum / (double)count);
}

static void test_weights_begin_with_the_spread_that_the_recipe_asks_for(void **state)
{
    (void)state;
    fr_model *model =
        model_of("kind: llama, hidden_size: 64, num_hidden_layers: 8, vocab_size: 100, "
                 "initializer_range: 0.05, attention_bias: true",
                 false);
    const char *const plain[] = {"model.embed_tokens.weight",
                                 "model.layers.3.self_attn.q_proj.weight",
                                 "model.layers.7.mlp.up_proj.weight"};
    const char *const residual[] = {"model.layers.3.self_attn.o_proj.weight",
                                    "model.layers.0.mlp.down_proj.weight"};
    for (int i = 0; i < 3; i++)
        assert_float_equal(deviation(fr_model_parameter(model, plain[i])), 0.05, 0.003);
    for (int i = 0; i < 2; i++)
        assert_float_equal(deviation(fr_model_parameter(model, residual[i])), 0.05 / 4, 0.001);
    assert_float_equal(deviation(fr_model_parameter(model, "model.norm.weight")), 1, 0);
    assert_float_equal(deviation(fr_model_parameter(model, "model.layers.0.self_attn.q_proj.bias")),
                       0, 0);
    fr_model_destroy(model);
}

static void test_parameters_carry_names_shapes_and_axes(void **state)
{
    (void)state;
    fr_model *model = model_of(LLAMA_RECIPE ", num_attention_heads: 4, head_dim: 6", false);
    const fr_parameter *key = fr_model_parameter(model, "model.layers.1.self_attn.k_proj.weight");
    assert_non_null(key);
    assert_true(key->matrix);
    assert_int_equal(key->value->shape[0], 12);
    assert_int_equal(key->value->shape[1], 16);
    assert_int_equal(key->axes[0], FR_AXIS_KV_HEADS);
    assert_int_equal(key->axes[1], FR_AXIS_HIDDEN);
    assert_false(model->output->matrix);
    assert_int_equal(model->output->axes[0], FR_AXIS_VOCAB);
    assert_null(fr_model_parameter(model, "lm_head.weight"));
    assert_null(fr_model_parameter(model, "model.layers.2.self_attn.k_proj.weight"));
    assert_int_equal(model->linear_count, 2 * 7);
    assert_string_equal(model->linears[0]->name, "model.layers.0.self_attn.q_proj");
    /* F = 64: 8/3 of 16 rounded up to a multiple of 32 */
    int64_t per_layer = 2 * 16 + 24 * 16 + 2 * 12 * 16 + 16 * 24 + 3 * 16 * 64;
    assert_int_equal(fr_model_parameter_total(model), 50 * 16 + 2 * per_layer + 16);
    fr_model_destroy(model);
}

static void test_every_parameter_has_a_name_of_its_own(void **state)
{
    (void)state;
    const char *const recipes[] = {LLAMA_RECIPE ", model_type: qwen3, attention_bias: true, "
                                                "tie_word_embeddings: false",
                                   GPT2_RECIPE ", tie_word_embeddings: false"};
    for (int i = 0; i < 2; i++) {
        fr_model *model = model_of(recipes[i], true);
        for (size_t k = 0; k < model->parameter_count; k++)
            assert_ptr_equal(fr_model_parameter(model, model->parameters[k]->name),
                             model->parameters[k]);
        fr_model_destroy(model);
    }
}

static void test_a_dense_form_gives_its_matrix(void **state)
{
    (void)state;
    fr_model *model = model_of(GPT2_RECIPE, false);
    const fr_weight *weight = model->linears[0]->weight;
    assert_string_equal(weight->kind->base.name, "dense");
    assert_int_equal(weight->out, 48);
    assert_int_equal(weight->in, 16);
    float matrix[48 * 16];
    must(weight->kind->dense(weight, matrix, NULL), NULL);
    assert_memory_equal(matrix, fr_tensor_host(weight->parameter->value), sizeof matrix);
    fr_model_destroy(model);
}

static void test_a_recipe_takes_the_vocabulary_and_the_end_from_the_tokenizer(void **state)
{
    (void)state;
    fr_model *model;
    fr_error error = {0};
    must(fr_model_create_from_section(&model, NULL, NULL, 300, 7, 0, true, &error), &error);
    assert_int_equal(model->vocabulary, 300);
    assert_int_equal(model->eos, 7);
    assert_int_equal(model->end_count, 1);
    fr_model_destroy(model);
    char text[] = "model: {vocab_size: 200}\n";
    fr_recipe *recipe;
    must(fr_recipe_parse(&recipe, text, strlen(text), "test.yaml", &error), &error);
    const fr_section *section = fr_recipe_section(recipe, "model");
    assert_int_equal(fr_model_create_from_section(&model, section, NULL, 300, 7, 0, true, &error),
                     FR_BAD_INPUT);
    contains(error.message, "vocab_size is 200");
    fr_recipe_free(recipe);
}

static void test_recipes_that_make_no_model_are_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *reason;
    } cases[] = {
        {"kind: lama", "llama"},
        {"kind: llama", "vocab_size"},
        {"kind: llama, vocab_size: 9, hiden_size: 8", "hidden_size"},
        {LLAMA_RECIPE ", num_attention_heads: 3", "num_key_value_heads"},
        {LLAMA_RECIPE ", num_attention_heads: 6", "num_attention_heads does not divide"},
        {LLAMA_RECIPE ", head_dim: 5", "even"},
        {LLAMA_RECIPE ", sliding_window: 5", "mistral"},
        {LLAMA_RECIPE ", use_sliding_window: true", "qwen2"},
        {LLAMA_RECIPE ", model_type: qwen3, sliding_window: 5", "need each other"},
        {LLAMA_RECIPE ", model_type: qwen2, attention_bias: true", "attention_bias"},
        {LLAMA_RECIPE ", model_type: qwen3, mlp_bias: true", "mlp_bias"},
        {LLAMA_RECIPE ", model_type: qwen3, layer_types: [full_attention]", "every layer"},
        {LLAMA_RECIPE ", model_type: qwen3, layer_types: [full_attention, linear_attention]",
         "linear_attention"},
        {LLAMA_RECIPE ", hidden_act: mish", "hidden_act"},
        {LLAMA_RECIPE ", model_type: olmo2, no_rope_layers: [1, 0]", "smollm3"},
        {LLAMA_RECIPE ", model_type: smollm3, no_rope_layers: [1]", "every layer"},
        {LLAMA_RECIPE ", rope_type: llama3", "factor is missing"},
        {LLAMA_RECIPE ", rope_type: su", "rope_type"},
        {LLAMA_RECIPE ", rope_type: longrope, rope_short_factor: [1, 1], rope_long_factor: [1]",
         "long_factor has 1 numbers, expected 2"},
        {LLAMA_RECIPE ", rope_type: dynamic, rope_factor: 2, head_dim: 2", "more than one pair"},
        {"kind: gpt2, vocab_size: 9, n_head: 3", "does not divide"},
        {"kind: gpt2, vocab_size: 9, resid_pdrop: 1", "resid_pdrop"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fr_model *model;
        fr_error error = {0};
        fr_status status = try_recipe(&model, cases[i].fields, 0, true, &error);
        if (status != FR_BAD_INPUT && status != FR_UNSUPPORTED)
            fail_msg("%s gives status %d", cases[i].fields, status);
        contains(error.message, cases[i].reason);
    }
}

/* ---- folders ---- */

static void same_weights(const fr_model *a, const fr_model *b)
{
    assert_int_equal(a->parameter_count, b->parameter_count);
    for (size_t i = 0; i < a->parameter_count; i++) {
        assert_string_equal(a->parameters[i]->name, b->parameters[i]->name);
        assert_true(fr_tensor_same_shape(a->parameters[i]->value, b->parameters[i]->value));
        assert_memory_equal(fr_tensor_host(a->parameters[i]->value),
                            fr_tensor_host(b->parameters[i]->value),
                            fr_tensor_bytes(a->parameters[i]->value));
    }
}

static void test_a_saved_model_is_the_one_that_is_loaded(void **state)
{
    (void)state;
    const char *const recipes[] = {
        LLAMA_RECIPE ", eos_token_id: 3, bos_token_id: 1",
        LLAMA_RECIPE ", attention_bias: true, mlp_bias: true, tie_word_embeddings: false",
        LLAMA_RECIPE ", model_type: mistral, sliding_window: 9, head_dim: 6, rope_theta: 123.5, "
                     "rope_type: linear, rope_factor: 2.5",
        LLAMA_RECIPE ", rope_type: llama3, rope_factor: 8, rope_original_context: 512",
        LLAMA_RECIPE ", model_type: qwen2, use_sliding_window: true, sliding_window: 4, "
                     "max_window_layers: 1",
        LLAMA_RECIPE ", model_type: qwen3, layer_types: [full_attention, sliding_attention], "
                     "use_sliding_window: true, sliding_window: 3",
        GPT2_RECIPE ", resid_pdrop: 0.1, n_inner: 24",
        GPT2_RECIPE ", tie_word_embeddings: false, activation_function: relu",
    };
    for (size_t i = 0; i < sizeof recipes / sizeof recipes[0]; i++) {
        fr_model *made = model_of(recipes[i], false), *loaded;
        fr_error error = {0};
        must(fr_model_save(made, folder, FR_F32, &error), &error);
        must(fr_model_load(&loaded, folder, &error), &error);
        same_weights(made, loaded);
        assert_ptr_equal(made->kind, loaded->kind);
        assert_int_equal(made->eos, loaded->eos);
        assert_int_equal(made->bos, loaded->bos);
        fr_buffer a = {0}, b = {0};
        fr_options_write_yaml(&made->kind->base.options, made->config, 0, &a);
        fr_options_write_yaml(&made->kind->base.options, loaded->config, 0, &b);
        assert_string_equal(a.data, b.data);
        fr_buffer_free(&a);
        fr_buffer_free(&b);
        fr_model_destroy(made);
        fr_model_destroy(loaded);
    }
}

static void test_weights_stored_as_bf16_are_rounded_once(void **state)
{
    (void)state;
    fr_model *made = model_of(GPT2_RECIPE, false), *once, *twice;
    must(fr_model_save(made, folder, FR_BF16, NULL), NULL);
    must(fr_model_load(&once, folder, NULL), NULL);
    must(fr_model_save(once, folder, FR_BF16, NULL), NULL);
    must(fr_model_load(&twice, folder, NULL), NULL);
    same_weights(once, twice);
    const float *a = fr_tensor_host(made->parameters[0]->value);
    const float *b = fr_tensor_host(once->parameters[0]->value);
    for (int i = 0; i < 100; i++)
        assert_true(fabsf(a[i] - b[i]) <= fabsf(a[i]) / 256);
    fr_model_destroy(made);
    fr_model_destroy(once);
    fr_model_destroy(twice);
}

/* Put `text` where the folder's file NAME is. */
static void put(const char *name, const char *text)
{
    char *path = fr_path_join(folder, name);
    must(fr_file_write(path, text, strlen(text), NULL), NULL);
    fr_free(path);
}

/* The folder is refused, for this reason. */
static void refused(const char *reason)
{
    fr_model *model;
    fr_error error = {0};
    fr_status status = fr_model_load(&model, folder, &error);
    if (status != FR_BAD_INPUT && status != FR_UNSUPPORTED)
        fail_msg("status %d where '%s' was expected", status, reason);
    assert_null(model);
    contains(error.message, reason);
}

#define SMALL_LLAMA                                                                                \
    "\"vocab_size\":50,\"hidden_size\":16,\"intermediate_size\":64,\"num_hidden_layers\":2,"       \
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"tie_word_embeddings\":true"

static void save_llama(void)
{
    fr_model *model = model_of(LLAMA_RECIPE, false);
    must(fr_model_save(model, folder, FR_F32, NULL), NULL);
    fr_model_destroy(model);
}

static void test_configurations_that_are_not_supported_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *json, *reason;
    } cases[] = {
        {"{", "config.json"},
        {"[]", "object"},
        {"{}", "model_type"},
        {"{\"model_type\":\"gemma\"}", "gemma"},
        {"{\"model_type\":\"llama\"}", "vocab_size"},
        {"{\"model_type\":\"llama\"," SMALL_LLAMA ",\"logit_scale\":2}", "logit_scale"},
        {"{\"model_type\":\"llama\"," SMALL_LLAMA ",\"quantization_config\":{\"bits\":4}}",
         "quantization_config"},
        {"{\"model_type\":\"llama\"," SMALL_LLAMA
         ",\"rope_scaling\":{\"rope_type\":\"proportional\",\"factor\":4}}",
         "rope_scaling: "},
        {"{\"model_type\":\"llama\"," SMALL_LLAMA
         ",\"rope_parameters\":{\"rope_type\":\"dynamic\"}}",
         "rope_parameters: 'factor' is missing"},
        {"{\"model_type\":\"llama\"," SMALL_LLAMA
         ",\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\"}}}",
         "full_attention"},
        {"{\"model_type\":\"llama\"," SMALL_LLAMA ",\"rope_scaling\":{\"type\":\"linear\"}}",
         "rope_scaling: 'factor' is missing"},
        {"{\"model_type\":\"llama\"," SMALL_LLAMA
         ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"high_freq_factor\":4,"
         "\"original_max_position_embeddings\":16}}",
         "rope_scaling: 'low_freq_factor' is missing"},
        {"{\"model_type\":\"llama\"," SMALL_LLAMA ",\"use_mrope\":true}", "use_mrope"},
        {"{\"model_type\":\"gpt2\",\"vocab_size\":50,\"n_embd\":null,\"n_layer\":2,\"n_head\":2}",
         "'n_embd' is missing"},
        {"{\"model_type\":\"llama\"," SMALL_LLAMA
         ",\"rope_parameters\":{\"partial_rotary_factor\":0.5}}",
         "partial_rotary_factor"},
        {"{\"model_type\":\"llama\"," SMALL_LLAMA ",\"hidden_act\":\"laplace\"}", "laplace"},
        {"{\"model_type\":\"llama\"," SMALL_LLAMA ",\"rms_norm_eps\":\"small\"}", "rms_norm_eps"},
        {"{\"model_type\":\"llama\"," SMALL_LLAMA ",\"head_dim\":4.5}", "head_dim"},
        {"{\"model_type\":\"llama\"," SMALL_LLAMA ",\"sliding_window\":5}", "sliding_window"},
        {"{\"model_type\":\"llama\"," SMALL_LLAMA ",\"head_dim\":4,\"head_dim\":8}", "duplicate"},
        {"{\"model_type\":\"gpt2\",\"vocab_size\":50,\"n_embd\":16,\"n_layer\":2,\"n_head\":2,"
         "\"add_cross_attention\":true}",
         "add_cross_attention"},
    };
    save_llama();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put("config.json", cases[i].json);
        refused(cases[i].reason);
    }
}

static void test_random_damage_to_a_configuration_is_refused_or_harmless(void **state)
{
    (void)state;
    save_llama();
    char *path = fr_path_join(folder, "config.json"), *original;
    size_t size;
    must(fr_file_read(path, 0, &original, &size, NULL), NULL);
    char *damaged = malloc(size);
    int loaded = 0, rejected = 0;
    for (uint64_t round = 0; round < 300; round++) {
        memcpy(damaged, original, size);
        for (uint64_t change = 0; change <= round % 3; change++) {
            uint32_t bits[4];
            fr_random_bits(9, FR_RANDOM_TEST, round, change, bits);
            damaged[bits[0] % size] = "0123456789-.e,:\"[]{}truefalsn "[bits[1] % 31];
        }
        FILE *out = fopen(path, "wb");
        assert_non_null(out);
        fwrite(damaged, 1, round % 7 ? size : size * round / 300, out);
        fclose(out);
        fr_model *model;
        fr_error error = {0};
        if (fr_model_load(&model, folder, &error) == FR_OK) {
            loaded++;
            fr_model_destroy(model);
        } else {
            rejected++;
            assert_true(error.message[0] != 0);
        }
    }
    assert_true(loaded > 10 && rejected > 100); /* both ways were walked */
    free(damaged);
    fr_free(original);
    fr_free(path);
}

static void test_fields_that_change_nothing_are_passed_over(void **state)
{
    (void)state;
    save_llama();
    put("config.json",
        "{\"model_type\":\"llama\"," SMALL_LLAMA
        ",\"_name_or_path\":\"x\",\"use_cache\":false,\"pretraining_tp\":2,\"unheard_of\":null,"
        "\"temperature\":2,\"quantization_config\":null,\"pruned_heads\":{},"
        "\"use_mrope\":false,\"rope_interleaved\":false,\"is_llama_config\":true,"
        "\"transformers.js_config\":{\"dtype\":\"q4\"},\"unsloth_fixed\":true,"
        "\"rope_scaling\":{\"rope_type\":\"default\"},\"eos_token_id\":[3,4]}");
    put("generation_config.json", "{\"eos_token_id\":[3,5],\"pad_token_id\":6}");
    fr_model *model;
    fr_error error = {0};
    must(fr_model_load(&model, folder, &error), &error);
    assert_int_equal(model->eos, 3);
    assert_int_equal(model->pad, 6);
    assert_int_equal(model->end_count, 3);
    assert_int_equal(model->end_ids[1], 4);
    assert_int_equal(model->end_ids[2], 5);
    assert_int_equal(model->max_positions, 2048); /* the peer's value for a field that is absent */
    fr_model_destroy(model);
    put("generation_config.json", "{\"eos_token_id\":\"three\"}");
    refused("eos_token_id");
    put("generation_config.json", "{}");
}

/* The model's tensors written again, some changed; `skip` and `extra` are numbers of parameters. */
typedef struct change {
    const char *rename_from, *rename_to, *skip;
    const char *extra_name;
    const fr_tensor *extra;
    bool without_prefix;
} change;

static void rewrite(const fr_model *model, const char *file, const change *c)
{
    fr_safetensors_item items[64];
    size_t count = 0;
    size_t prefix = c->without_prefix ? strlen(model->kind->prefix) : 0;
    for (size_t i = 0; i < model->parameter_count; i++) {
        const fr_parameter *p = model->parameters[i];
        if (c->skip && strcmp(p->name, c->skip) == 0)
            continue;
        const char *name = c->rename_from && strcmp(p->name, c->rename_from) == 0
                               ? c->rename_to
                               : p->name + prefix;
        bool turned = model->kind->stored_transposed && model->kind->stored_transposed(p);
        items[count++] = (fr_safetensors_item){name, p->value, FR_F32, turned};
    }
    if (c->extra)
        items[count++] = (fr_safetensors_item){c->extra_name, c->extra, FR_F32, false};
    char *path = fr_path_join(folder, file);
    must(fr_safetensors_write(path, items, count, NULL, NULL, NULL), NULL);
    fr_free(path);
}

static void test_tensors_that_do_not_fit_are_named(void **state)
{
    (void)state;
    fr_model *model = model_of(LLAMA_RECIPE, false);
    must(fr_model_save(model, folder, FR_F32, NULL), NULL);
    const char *file = "model.safetensors", *norm = "model.norm.weight";
    rewrite(model, file, &(change){.skip = "model.layers.1.mlp.up_proj.weight"});
    refused("missing: model.layers.1.mlp.up_proj.weight");
    rewrite(model, file, &(change){.rename_from = norm, .rename_to = "model.nrom.weight"});
    refused("'model.nrom.weight' does not belong");
    const fr_tensor *embedding = fr_model_parameter(model, "model.embed_tokens.weight")->value;
    rewrite(model, file, &(change){.skip = norm, .extra_name = norm, .extra = embedding});
    refused("'model.norm.weight' has shape (50, 16), but config.json asks for (16)");
    rewrite(
        model, file,
        &(change){.extra_name = "norm.weight", .extra = fr_model_parameter(model, norm)->value});
    refused("a second time");
    const int64_t width = 16;
    fr_tensor *numbers = fr_tensor_create(FR_I32, 1, &width, FR_MEMORY_OTHER);
    rewrite(model, file, &(change){.skip = norm, .extra_name = norm, .extra = numbers});
    refused("'model.norm.weight' holds i32");
    fr_tensor_free(numbers);
    unlink(strcat(strcpy((char[300]){0}, folder), "/model.safetensors"));
    refused("neither model.safetensors nor");
    fr_model_destroy(model);
}

static void test_a_configuration_of_a_giant_takes_no_memory_before_the_files_agree(void **state)
{
    (void)state;
    save_llama();
    put("config.json",
        "{\"model_type\":\"llama\",\"vocab_size\":1000000,\"hidden_size\":131072,"
        "\"intermediate_size\":524288,\"num_hidden_layers\":1000,\"num_attention_heads\":1024}");
    fr_memory_reset_peaks();
    refused("config.json asks for");
    assert_true(fr_memory_peak(FR_MEMORY_WEIGHTS) < 1 << 20);
}

static void test_a_tied_output_matrix_may_be_stored_if_it_is_the_embedding(void **state)
{
    (void)state;
    fr_model *model = model_of(LLAMA_RECIPE, false), *loaded;
    must(fr_model_save(model, folder, FR_F32, NULL), NULL);
    fr_tensor *embedding = model->output->value;
    change same = {.extra_name = "lm_head.weight", .extra = embedding};
    rewrite(model, "model.safetensors", &same);
    fr_error error = {0};
    must(fr_model_load(&loaded, folder, &error), &error);
    fr_model_destroy(loaded);
    fr_tensor *other = fr_tensor_create(FR_F32, 2, embedding->shape, FR_MEMORY_OTHER);
    memcpy(fr_tensor_host(other), fr_tensor_host(embedding), fr_tensor_bytes(embedding));
    ((float *)fr_tensor_host(other))[799] += 1e-6f;
    rewrite(model, "model.safetensors", &(change){.extra_name = "lm_head.weight", .extra = other});
    refused("'lm_head.weight' differs from model.embed_tokens.weight");
    fr_tensor_free(other);
    fr_model_destroy(model);
}

static void test_names_without_the_prefix_and_old_masks_are_read(void **state)
{
    (void)state;
    fr_model *model = model_of(GPT2_RECIPE, false), *loaded;
    must(fr_model_save(model, folder, FR_F32, NULL), NULL);
    const int64_t shape[] = {1, 1, 32, 32};
    fr_tensor *mask = fr_tensor_create(FR_F32, 4, shape, FR_MEMORY_OTHER);
    change old = {.without_prefix = true, .extra_name = "h.0.attn.bias", .extra = mask};
    rewrite(model, "model.safetensors", &old);
    fr_error error = {0};
    must(fr_model_load(&loaded, folder, &error), &error);
    same_weights(model, loaded);
    fr_model_destroy(loaded);
    fr_model_destroy(model);
    fr_tensor_free(mask);
}

static void test_an_index_that_lies_is_refused(void **state)
{
    (void)state;
    fr_model *model = model_of(LLAMA_RECIPE, false);
    must(fr_model_save(model, folder, FR_F32, NULL), NULL);
    unlink(strcat(strcpy((char[300]){0}, folder), "/model.safetensors"));
    const char *index = "model.safetensors.index.json";
    put(index, "{}");
    refused("weight_map");
    put(index, "{\"weight_map\":{\"model.norm.weight\":\"../outside.safetensors\"}}");
    refused("'../outside.safetensors' is not the name of a file of this folder");
    put(index, "{\"weight_map\":{\"model.norm.weight\":\"/etc/passwd\"}}");
    refused("not the name of a file");
    put(index, "{\"weight_map\":{\"model.norm.weight\":7}}");
    refused("not the name of a file");
    put(index, "{\"weight_map\":{\"model.norm.weight\":\"a.safetensors\"}}");
    fr_model *none;
    assert_int_not_equal(fr_model_load(&none, folder, NULL), FR_OK); /* no such shard */
    rewrite(model, "a.safetensors", &(change){.skip = "model.norm.weight"});
    refused("'model.norm.weight' is not in a.safetensors");
    rewrite(model, "a.safetensors", &(change){0});
    fr_model *loaded;
    fr_error error = {0};
    must(fr_model_load(&loaded, folder, &error), &error);
    same_weights(model, loaded);
    fr_model_destroy(loaded);
    fr_model_destroy(model);
    unlink(strcat(strcpy((char[300]){0}, folder), "/a.safetensors"));
    unlink(strcat(strcpy((char[300]){0}, folder), "/model.safetensors.index.json"));
}

static void test_what_is_no_folder_is_refused(void **state)
{
    (void)state;
    fr_model *model;
    fr_error error = {0};
    assert_int_equal(fr_model_load(&model, "no/such/folder", &error), FR_BAD_INPUT);
    contains(error.message, "no/such/folder");
}

static void test_the_state_holds_every_parameter(void **state)
{
    (void)state;
    fr_model *model = model_of(LLAMA_RECIPE, false);
    fr_state *tree = fr_state_create();
    must(fr_model_state(model, tree, NULL), NULL);
    assert_int_equal(fr_state_count(tree), model->parameter_count);
    assert_string_equal(fr_state_at(tree, 0)->name, "model.model.embed_tokens.weight");
    assert_ptr_equal(fr_state_at(tree, 0)->tensor, model->parameters[0]->value);
    fr_state_destroy(tree);
    fr_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_seed_gives_the_same_weights),
        cmocka_unit_test(test_weights_begin_with_the_spread_that_the_recipe_asks_for),
        cmocka_unit_test(test_parameters_carry_names_shapes_and_axes),
        cmocka_unit_test(test_every_parameter_has_a_name_of_its_own),
        cmocka_unit_test(test_a_dense_form_gives_its_matrix),
        cmocka_unit_test(test_a_recipe_takes_the_vocabulary_and_the_end_from_the_tokenizer),
        cmocka_unit_test(test_recipes_that_make_no_model_are_refused_with_the_reason),
        cmocka_unit_test(test_a_saved_model_is_the_one_that_is_loaded),
        cmocka_unit_test(test_weights_stored_as_bf16_are_rounded_once),
        cmocka_unit_test(test_configurations_that_are_not_supported_are_refused_by_name),
        cmocka_unit_test(test_random_damage_to_a_configuration_is_refused_or_harmless),
        cmocka_unit_test(test_fields_that_change_nothing_are_passed_over),
        cmocka_unit_test(test_tensors_that_do_not_fit_are_named),
        cmocka_unit_test(test_a_configuration_of_a_giant_takes_no_memory_before_the_files_agree),
        cmocka_unit_test(test_a_tied_output_matrix_may_be_stored_if_it_is_the_embedding),
        cmocka_unit_test(test_names_without_the_prefix_and_old_masks_are_read),
        cmocka_unit_test(test_an_index_that_lies_is_refused),
        cmocka_unit_test(test_what_is_no_folder_is_refused),
        cmocka_unit_test(test_the_state_holds_every_parameter),
    };
    return cmocka_run_group_tests_name("models", tests, make_folder, remove_folder);
}
