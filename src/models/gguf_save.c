/* gguf_save.c: a model as the values and tensors of a GGUF file.

   The file has one type for all matrices, with these exceptions, which are llama.cpp's or for the same
   reasons: vectors, positions and routers are f32; where matrices take 4 bits, the one that makes the
   logits (the embedding, when it is tied) takes q6_k; rows that are not whole blocks take q8_0, or f16. */
#include "models/gguf.h"

#include <string.h>

/* ---- types ---- */

/* general.file_type: llama.cpp's number for "mostly this type". */
static int file_type(fr_dtype dtype)
{
    switch (dtype) {
    case FR_F32:
        return 0;
    case FR_F16:
        return 1;
    case FR_Q4_0:
        return 2;
    case FR_Q8_0:
        return 7;
    case FR_Q4_K:
        return 15;
    case FR_Q6_K:
        return 18;
    case FR_BF16:
        return 32;
    default:
        return -1;
    }
}

static fr_dtype type_of(fr_dtype wanted, const fr_model *model, const fr_parameter *parameter,
                        const fr_gguf_name *rule)
{
    if (parameter->value->rank < 2 || rule->full)
        return FR_F32;
    if (parameter == model->output && (wanted == FR_Q4_0 || wanted == FR_Q4_K))
        wanted = FR_Q6_K;
    int64_t width = parameter->value->shape[parameter->value->rank - 1];
    if (width % fr_dtype_block(wanted) == 0)
        return wanted;
    return width % fr_dtype_block(FR_Q8_0) == 0 ? FR_Q8_0 : FR_F16;
}

/* ---- tensors ---- */

typedef struct source {
    const fr_model *model;
    fr_gguf_order order;
    float shift;
    size_t count;                /* parts: the experts, or one */
    const fr_parameter *parts[]; /* of one shape */
} source;

/* The parameter's rows, or its numbers when it is a vector. */
static int64_t rows_of(const fr_tensor *value)
{
    return value->rank < 2 ? 1 : fr_tensor_count(value) / value->shape[value->rank - 1];
}

static void give_vector(const source *s, const fr_tensor *value, float *out)
{
    int64_t count = fr_tensor_count(value);
    const float *numbers = fr_tensor_host(value);
    for (int64_t i = 0; i < count; i++)
        out[i] = numbers[fr_gguf_own_row(s->model, s->order, i)] + s->shift;
}

static fr_status give_rows(const void *context, int64_t first, int64_t count, float *out,
                           fr_error *error)
{
    (void)error;
    const source *s = context;
    const fr_tensor *value = s->parts[0]->value;
    if (value->rank < 2) {
        give_vector(s, value, out);
        return FR_OK;
    }
    int64_t height = rows_of(value), width = value->shape[value->rank - 1];
    for (int64_t row = first; row < first + count; row++) {
        value = s->parts[row / height]->value;
        int64_t own = fr_gguf_own_row(s->model, s->order, row % height);
        fr_convert(out + (row - first) * width, FR_F32,
                   (const char *)fr_tensor_host(value) + fr_dtype_bytes(value->dtype, own * width),
                   value->dtype, width);
    }
    for (int64_t i = 0; s->shift != 0 && i < count * width; i++)
        out[i] += s->shift;
    return FR_OK;
}

/* How many parameters stand in the tensor of this place. */
static size_t count_parts(const fr_model *model, const fr_gguf_arch *arch,
                          const fr_gguf_place *place, const fr_parameter **parts)
{
    size_t count = 0;
    for (size_t i = 0; i < model->parameter_count; i++) {
        fr_gguf_place other;
        if (!fr_gguf_place_of(arch, model->parameters[i], &other) ||
            strcmp(other.name, place->name) != 0)
            continue;
        if (parts)
            parts[other.expert] = model->parameters[i];
        count++;
    }
    return count;
}

static fr_status put(const fr_model *model, const fr_gguf_arch *arch, const fr_gguf_place *place,
                     const fr_parameter *parameter, fr_dtype dtype, fr_gguf_draft *draft,
                     fr_error *error)
{
    const fr_tensor *value = parameter->value;
    if (!fr_tensor_host(value))
        return fr_fail(error, FR_WRONG_CALL, "%s has a shape only", parameter->name);
    size_t count = place->expert < 0 ? 1 : count_parts(model, arch, place, NULL);
    size_t size = sizeof(source) + count * sizeof(fr_parameter *);
    source *s = fr_alloc(size, FR_MEMORY_OTHER);
    if (!s)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %s", place->name);
    *s = (source){model, place->rule->order, place->rule->shift, count};
    int64_t shape[FR_MAX_RANK] = {(int64_t)count};
    int rank = value->rank;
    if (place->expert < 0) {
        s->parts[0] = parameter;
        memcpy(shape, value->shape, (size_t)rank * sizeof *shape);
    } else {
        count_parts(model, arch, place, s->parts);
        memcpy(shape + 1, value->shape, (size_t)rank++ * sizeof *shape);
    }
    fr_gguf_put_tensor(draft, place->name, type_of(dtype, model, parameter, place->rule), rank,
                       shape, give_rows, s, size);
    fr_free(s);
    return FR_OK;
}

static fr_status put_tensors(const fr_model *model, const fr_gguf_arch *arch, fr_dtype dtype,
                             fr_gguf_draft *draft, fr_error *error)
{
    for (size_t i = 0; i < model->parameter_count; i++) {
        const fr_parameter *parameter = model->parameters[i];
        fr_gguf_place place;
        if (!fr_gguf_place_of(arch, parameter, &place))
            return fr_fail(error, FR_UNSUPPORTED,
                           "%s has no name among llama.cpp's tensors of '%s': such a model cannot "
                           "be written as GGUF",
                           parameter->name, arch->name);
        if (place.expert <= 0) /* the first expert brings the others */
            FR_TRY(put(model, arch, &place, parameter, dtype, draft, error));
    }
    fr_gguf_place output = {"output.weight", -1,
                            &(fr_gguf_name){"output", "", FR_GGUF_SAME, 0, false}};
    bool tied = model->output->axes[0] == FR_AXIS_VOCAB && model->output == model->parameters[0];
    if (tied && arch->needs_output)
        return put(model, arch, &output, model->output, dtype, draft, error);
    return FR_OK;
}

/* ---- values ---- */

static fr_status put_fields(const fr_gguf_arch *arch, const fr_gguf_field *field,
                            const json_t *config, fr_gguf_draft *draft, fr_error *error)
{
    for (; field && field->key; field++) {
        char key[FR_GGUF_KEY];
        const json_t *value = json_object_get(config, field->field);
        fr_gguf_key(arch, field->key, key);
        if (!value || json_is_null(value))
            continue;
        if (field->type == FR_GGUF_INT && json_is_integer(value) &&
            json_integer_value(value) >= 0 && json_integer_value(value) <= UINT32_MAX)
            fr_gguf_put_u32(draft, key, (uint32_t)json_integer_value(value));
        else if (field->type == FR_GGUF_REAL && json_is_number(value))
            fr_gguf_put_f32(draft, key, (float)json_number_value(value));
        else if (field->type == FR_GGUF_FLAG && json_is_boolean(value))
            fr_gguf_put_bool(draft, key, json_is_true(value));
        else
            return fr_fail(error, FR_UNSUPPORTED, "%s of config.json does not fit %s", field->field,
                           key);
    }
    return FR_OK;
}

static void put_id(fr_gguf_draft *draft, const char *key, int64_t id)
{
    if (id >= 0)
        fr_gguf_put_u32(draft, key, (uint32_t)id);
}

/* What begins, ends and fills texts; the second of several ends is taken for the end of a turn. */
static void put_ids(const fr_model *model, fr_gguf_draft *draft)
{
    put_id(draft, "tokenizer.ggml.bos_token_id", model->bos);
    put_id(draft, "tokenizer.ggml.eos_token_id", model->eos);
    put_id(draft, "tokenizer.ggml.padding_token_id", model->pad);
    for (size_t i = 0; i < model->end_count; i++)
        if (model->end_ids[i] != model->eos) {
            put_id(draft, "tokenizer.ggml.eot_token_id", model->end_ids[i]);
            break;
        }
}

static fr_status put_all(const fr_model *model, const json_t *config, fr_dtype dtype,
                         fr_gguf_draft *draft, fr_error *error)
{
    const char *type = json_string_value(json_object_get(config, "model_type"));
    const fr_gguf_arch *arch = type ? fr_gguf_arch_of(model->kind, type) : NULL;
    if (!arch)
        return fr_fail(error, FR_UNSUPPORTED, "models of type '%s' are not written as GGUF",
                       type ? type : "?");
    fr_gguf_put_text(draft, "general.architecture", arch->name, strlen(arch->name));
    fr_gguf_put_text(draft, "general.type", "model", 5);
    fr_gguf_put_u32(draft, "general.file_type", (uint32_t)file_type(dtype));
    fr_gguf_put_u32(draft, "general.quantization_version", 2);
    put_ids(model, draft);
    FR_TRY(put_fields(arch, arch->fields, config, draft, error));
    FR_TRY(put_fields(arch, arch->more_fields, config, draft, error));
    if (arch->write)
        FR_TRY(arch->write(arch, model, config, draft, error));
    return put_tensors(model, arch, dtype, draft, error);
}

fr_status fr_model_gguf(const fr_model *model, fr_dtype dtype, fr_gguf_draft *draft,
                        fr_error *error)
{
    if (model->head.task != FR_TASK_CAUSAL_LM)
        return fr_fail(error, FR_UNSUPPORTED, "only causal language models are written as GGUF");
    if (file_type(dtype) < 0)
        return fr_fail(error, FR_UNSUPPORTED,
                       "a GGUF file is written as f32, f16, bf16, q8_0, q4_0, q4_k or q6_k, not %s",
                       fr_dtype_name(dtype));
    json_t *config = json_object();
    fr_status status = model->kind->write_config(model->config, config, error);
    if (status == FR_OK)
        status = put_all(model, config, dtype, draft, error);
    json_decref(config);
    return status;
}
