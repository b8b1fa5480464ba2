/* gguf_load.c: a model from a GGUF file: its values become a config.json in memory, which is read as any other, and
   its tensors the parameters.

   Weights become f32, or stay as they are stored: then a matrix is read from the mapped file, block by block, whenever it is used,
   and nothing is unpacked. Only matrices whose rows stand in another order there are copied (still packed). Vectors are always f32
   copies. Every tensor must be a parameter and every parameter must be there, in its shape; what does not match is named. */
#include "models/gguf.h"
#include "nn/nn.h"

#include <string.h>

enum { SHOWN = 5 };

typedef struct loading {
    const fr_gguf *file;
    const char *path;
    fr_model *model;
    const fr_gguf_arch *arch;
    fr_gguf_place *places;         /* per parameter */
    const fr_gguf_entry **entries; /* per parameter: where it comes from */
    bool stored;
    fr_error *error;
} loading;

/* ---- values ---- */

static fr_status find_arch(const fr_gguf *file, const fr_gguf_arch **found, fr_error *error)
{
    const char *name = "";
    size_t size = 0;
    if (!fr_gguf_text(fr_gguf_value_find(file, "general.architecture"), &name, &size))
        return fr_fail_at(error, FR_BAD_INPUT, fr_gguf_path(file), 0,
                          "there is no general.architecture");
    fr_buffer known = {0};
    for (const fr_kind *const *entry = fr_models.entries; *entry; entry++) {
        const fr_gguf_arch *const *arch = ((const fr_model_kind *)*entry)->gguf;
        for (const char *last = ""; arch && *arch; last = (*arch++)->name) {
            if (strlen((*arch)->name) == size && memcmp((*arch)->name, name, size) == 0) {
                *found = *arch;
                fr_buffer_free(&known);
                return FR_OK;
            }
            if (strcmp((*arch)->name, last) != 0)
                fr_buffer_printf(&known, "%s%s", known.size ? ", " : "", (*arch)->name);
        }
    }
    fr_fail_at(error, FR_UNSUPPORTED, fr_gguf_path(file), 0,
               "architecture '%.*s' is not supported (known: %s)", (int)(size < 64 ? size : 64),
               name, known.failed || !known.size ? "..." : known.data);
    fr_buffer_free(&known);
    return FR_UNSUPPORTED;
}

/* A value as JSON; NULL: absent or of another type. */
static json_t *field_json(const fr_gguf_value *value, fr_gguf_type type)
{
    int64_t integer;
    double real;
    bool flag;
    if (type == FR_GGUF_INT && fr_gguf_int(value, &integer))
        return json_integer(integer);
    if (type == FR_GGUF_REAL && fr_gguf_real(value, &real))
        return fr_gguf_json_real(real);
    if (type == FR_GGUF_FLAG && fr_gguf_bool(value, &flag))
        return json_boolean(flag);
    return NULL;
}

static fr_status read_fields(const fr_gguf *file, const fr_gguf_arch *arch,
                             const fr_gguf_field *field, json_t *config, fr_error *error)
{
    for (; field && field->key; field++) {
        char key[FR_GGUF_KEY];
        const fr_gguf_value *value = fr_gguf_value_find(file, fr_gguf_key(arch, field->key, key));
        json_t *json = field_json(value, field->type);
        if (value && !json)
            return fr_fail_at(error, FR_UNSUPPORTED, fr_gguf_path(file), 0, "%s is no single %s",
                              key,
                              field->type == FR_GGUF_INT    ? "integer"
                              : field->type == FR_GGUF_REAL ? "number"
                                                            : "bool");
        if (!value && field->required)
            return fr_fail_at(error, FR_BAD_INPUT, fr_gguf_path(file), 0, "there is no %s", key);
        if (!json && field->otherwise)
            json = json_incref(json_object_get(config, field->otherwise));
        if (json && json_object_set_new(config, field->field, json) != 0)
            return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", fr_gguf_path(file));
    }
    return FR_OK;
}

static void read_id(const fr_gguf *file, const char *key, const char *field, json_t *config)
{
    int64_t id;
    bool known = fr_gguf_int(fr_gguf_value_find(file, key), &id) && id >= 0 && id < INT32_MAX;
    json_object_set_new(config, field, known ? json_integer(id) : json_null());
}

/* A small file must not ask for a large model: each layer has a tensor, and each expert a number. */
static fr_status check_counts(const fr_gguf *file, const fr_gguf_arch *arch, fr_error *error)
{
    char key[FR_GGUF_KEY];
    int64_t layers = 0, experts = 0, numbers = 0, tensors = (int64_t)fr_gguf_count(file);
    fr_gguf_int(fr_gguf_value_find(file, fr_gguf_key(arch, "block_count", key)), &layers);
    fr_gguf_int(fr_gguf_value_find(file, fr_gguf_key(arch, "expert_count", key)), &experts);
    for (size_t i = 0; i < fr_gguf_count(file); i++)
        numbers += (int64_t)fr_gguf_at(file, i)->bytes;
    if (layers <= tensors && (layers < 1 || experts <= numbers / layers))
        return FR_OK;
    return fr_fail_at(error, FR_BAD_INPUT, fr_gguf_path(file), 0,
                      "%lld layers with %lld experts are claimed, but there are %lld tensors",
                      (long long)layers, (long long)experts, (long long)tensors);
}

static fr_status read_config(const fr_gguf *file, const fr_gguf_arch *arch, json_t *config,
                             fr_error *error)
{
    const fr_gguf_entry *embedding = fr_gguf_find(file, "token_embd.weight");
    int64_t parts = 1;
    if (fr_gguf_int(fr_gguf_value_find(file, "split.count"), &parts) && parts > 1)
        return fr_fail_at(error, FR_UNSUPPORTED, fr_gguf_path(file), 0,
                          "this is one of %lld parts of a model; parts are not read: join them "
                          "first (llama-gguf-split --merge)",
                          (long long)parts);
    if (!embedding || embedding->rank != 2)
        return fr_fail_at(error, FR_BAD_INPUT, fr_gguf_path(file), 0,
                          "there is no matrix token_embd.weight");
    FR_TRY(check_counts(file, arch, error));
    json_object_set_new(config, "model_type", json_string(arch->model_type));
    json_object_set_new(config, "vocab_size", json_integer(embedding->shape[0]));
    json_object_set_new(config, "tie_word_embeddings",
                        json_boolean(!fr_gguf_find(file, "output.weight")));
    read_id(file, "tokenizer.ggml.bos_token_id", "bos_token_id", config);
    read_id(file, "tokenizer.ggml.eos_token_id", "eos_token_id", config);
    read_id(file, "tokenizer.ggml.padding_token_id", "pad_token_id", config);
    FR_TRY(read_fields(file, arch, arch->fields, config, error));
    FR_TRY(read_fields(file, arch, arch->more_fields, config, error));
    return arch->read ? arch->read(arch, file, config, error) : FR_OK;
}

/* A second id that ends a text: of a turn, in a conversation. */
static void add_end_of_turn(fr_model *model, const fr_gguf *file)
{
    int64_t id;
    if (!fr_gguf_int(fr_gguf_value_find(file, "tokenizer.ggml.eot_token_id"), &id) || id < 0 ||
        id >= model->vocabulary)
        return;
    for (size_t i = 0; i < model->end_count; i++)
        if (model->end_ids[i] == id)
            return;
    if (model->end_count < sizeof model->end_ids / sizeof *model->end_ids)
        model->end_ids[model->end_count++] = id;
}

/* ---- matching ---- */

static const char *shape_text(const fr_gguf_entry *entry, char *text, size_t size)
{
    fr_tensor shape = {.rank = entry->rank};
    memcpy(shape.shape, entry->shape, sizeof shape.shape);
    return fr_tensor_shape_text(&shape, text, size);
}

/* The entry has the parameter's shape; of experts all stand in one, along a first axis more. */
static fr_status check_shape(const loading *l, size_t i)
{
    const fr_gguf_entry *entry = l->entries[i];
    const fr_tensor *value = l->model->parameters[i]->value;
    int64_t expert = l->places[i].expert;
    int more = expert >= 0 ? 1 : 0;
    bool fits =
        entry->rank == value->rank + more && entry->dtype != FR_I32 && entry->dtype != FR_I64 &&
        (!more || expert < entry->shape[0]) &&
        memcmp(entry->shape + more, value->shape, (size_t)value->rank * sizeof(int64_t)) == 0;
    char found[96], wanted[96];
    if (fits)
        return FR_OK;
    return fr_fail_at(
        l->error, FR_BAD_INPUT, l->path, 0, "tensor '%s' is %s %s, but %s is to be %s", entry->name,
        fr_dtype_name(entry->dtype), shape_text(entry, found, sizeof found),
        l->model->parameters[i]->name, fr_tensor_shape_text(value, wanted, sizeof wanted));
}

static bool is_ignored(const loading *l, const char *name)
{
    for (const char *const *ignored = l->arch->ignored; ignored && *ignored; ignored++)
        if (strcmp(*ignored, name) == 0)
            return true;
    return false;
}

/* Every tensor of the file is somebody's. */
static fr_status check_unexpected(const loading *l)
{
    for (size_t e = 0; e < fr_gguf_count(l->file); e++) {
        const fr_gguf_entry *entry = fr_gguf_at(l->file, e);
        int64_t users = 0;
        for (size_t i = 0; i < l->model->parameter_count; i++)
            users += l->entries[i] == entry;
        bool experts = entry->rank == 3 && users > 0;
        if ((experts && users != entry->shape[0]) || (!users && !is_ignored(l, entry->name)))
            return fr_fail_at(l->error, FR_BAD_INPUT, l->path, 0,
                              "tensor '%s' does not belong to the model that the values describe",
                              entry->name);
    }
    return FR_OK;
}

static fr_status match(const loading *l)
{
    char missing[512] = "";
    size_t used = 0, count = 0;
    for (size_t i = 0; i < l->model->parameter_count; i++) {
        const fr_parameter *parameter = l->model->parameters[i];
        if (!fr_gguf_place_of(l->arch, parameter, &l->places[i]))
            return fr_fail_at(l->error, FR_UNSUPPORTED, l->path, 0,
                              "%s has no name among the tensors of '%s'", parameter->name,
                              l->arch->name);
        l->entries[i] = fr_gguf_find(l->file, l->places[i].name);
        if (!l->entries[i] && count++ < SHOWN && used < sizeof missing)
            used +=
                (size_t)snprintf(missing + used, sizeof missing - used, " %s", l->places[i].name);
    }
    if (count)
        return fr_fail_at(l->error, FR_BAD_INPUT, l->path, 0, "%zu tensors are missing:%s%s", count,
                          missing, count > SHOWN ? " ..." : "");
    for (size_t i = 0; i < l->model->parameter_count; i++)
        FR_TRY(check_shape(l, i));
    return check_unexpected(l);
}

/* ---- numbers ---- */

/* A parameter's own part of its entry. */
static const char *bytes_of(const loading *l, size_t i)
{
    const fr_gguf_entry *entry = l->entries[i];
    int64_t expert = l->places[i].expert;
    size_t size = expert < 0 ? 0 : entry->bytes / (size_t)entry->shape[0];
    return (const char *)entry->data + size * (size_t)(expert < 0 ? 0 : expert);
}

/* Rows (or numbers of a vector) in our order, still as stored. */
static void copy_rows(const loading *l, size_t i, char *to, const char *from, int64_t count,
                      size_t size)
{
    fr_gguf_order order = l->places[i].rule->order;
    if (order == FR_GGUF_SAME) {
        memcpy(to, from, (size_t)count * size);
        return;
    }
    for (int64_t row = 0; row < count; row++)
        memcpy(to + (size_t)fr_gguf_own_row(l->model, order, row) * size, from + (size_t)row * size,
               size);
}

/* Bytes of a row, or of a number of a vector, as stored. */
static size_t row_bytes(const loading *l, size_t i, const fr_tensor *shape)
{
    fr_dtype dtype = l->entries[i]->dtype;
    return fr_dtype_bytes(dtype, shape->rank < 2 ? 1 : shape->shape[shape->rank - 1]);
}

static int64_t row_count(const fr_tensor *shape)
{
    return shape->rank < 2 ? fr_tensor_count(shape)
                           : fr_tensor_count(shape) / shape->shape[shape->rank - 1];
}

/* In our order, in memory of its own. */
static fr_tensor *copy_stored(const loading *l, size_t i, const fr_tensor *shape)
{
    fr_tensor *value =
        fr_tensor_create(l->entries[i]->dtype, shape->rank, shape->shape, FR_MEMORY_WEIGHTS);
    if (value)
        copy_rows(l, i, fr_tensor_host(value), bytes_of(l, i), row_count(shape),
                  row_bytes(l, i, shape));
    return value;
}

static fr_tensor *widen(const loading *l, size_t i, const fr_tensor *shape)
{
    fr_tensor *value = fr_tensor_create(FR_F32, shape->rank, shape->shape, FR_MEMORY_WEIGHTS);
    if (!value)
        return NULL;
    float *to = fr_tensor_host(value);
    fr_dtype dtype = l->entries[i]->dtype;
    int64_t rows = row_count(shape), width = shape->rank < 2 ? 1 : shape->shape[shape->rank - 1];
    size_t size = row_bytes(l, i, shape);
    const fr_gguf_name *rule = l->places[i].rule;
    fr_tensor *copy = copy_stored(l, i, shape); /* aligned, in our order */
    if (!copy) {
        fr_tensor_free(value);
        return NULL;
    }
    const char *from = fr_tensor_host(copy);
    for (int64_t row = 0; row < rows; row++)
        fr_convert(to + row * width, FR_F32, from + (size_t)row * size, dtype, width);
    fr_tensor_free(copy);
    for (int64_t n = 0; rule->shift != 0 && n < rows * width; n++)
        to[n] -= rule->shift;
    return value;
}

static bool may_stay(const loading *l, size_t i)
{
    return l->stored && l->model->parameters[i]->value->rank >= 2 &&
           l->places[i].rule->shift == 0 && !l->places[i].rule->full;
}

static fr_tensor *load_value(const loading *l, size_t i)
{
    const fr_tensor *shape = l->model->parameters[i]->value;
    const fr_gguf_entry *entry = l->entries[i];
    if (!may_stay(l, i))
        return widen(l, i, shape);
    size_t alignment = fr_dtype_block(entry->dtype) > 1 ? 1 : fr_dtype_size(entry->dtype);
    if (l->places[i].rule->order == FR_GGUF_SAME && (uintptr_t)bytes_of(l, i) % alignment == 0)
        return fr_tensor_create_over(entry->dtype, shape->rank, shape->shape, bytes_of(l, i));
    return copy_stored(l, i, shape);
}

static fr_status load_values(const loading *l)
{
    size_t bytes = 0;
    for (size_t i = 0; i < l->model->parameter_count; i++)
        if (!may_stay(l, i))
            bytes += (size_t)fr_tensor_count(l->model->parameters[i]->value) * sizeof(float);
    if (bytes > fr_physical_memory())
        return fr_fail_at(l->error, FR_NO_MEMORY, l->path, 0,
                          "the weights need %zu MB of memory, and there are %zu MB", bytes >> 20,
                          fr_physical_memory() >> 20);
    for (size_t i = 0; i < l->model->parameter_count; i++) {
        fr_parameter *parameter = l->model->parameters[i];
        fr_tensor *value = load_value(l, i);
        if (!value)
            return fr_fail_at(l->error, FR_NO_MEMORY, l->path, 0, "no memory for parameter %s",
                              parameter->name);
        value->requires_grad = parameter->value->requires_grad && !may_stay(l, i);
        fr_tensor_free(parameter->value);
        parameter->value = value;
    }
    for (size_t i = 0; i < l->model->linear_count; i++)
        fr_weight_refresh(l->model->linears[i]->weight);
    l->model->shapes_only = false;
    return FR_OK;
}

/* ---- the whole ---- */

static fr_status load_tensors(loading *l)
{
    size_t count = l->model->parameter_count;
    l->places = fr_alloc_array(count, sizeof *l->places, FR_MEMORY_OTHER);
    l->entries = fr_alloc_array(count, sizeof *l->entries, FR_MEMORY_OTHER);
    fr_status status = l->places && l->entries
                           ? match(l)
                           : fr_fail(l->error, FR_NO_MEMORY, "no memory to load %s", l->path);
    if (status == FR_OK)
        status = load_values(l);
    fr_free(l->places);
    fr_free((void *)l->entries);
    return status;
}

static fr_status build(loading *l, const fr_gguf_arch *found, const fr_model_change *change,
                       fr_error *error)
{
    json_t *config = json_object();
    fr_status status = config ? read_config(l->file, found, config, error)
                              : fr_fail(error, FR_NO_MEMORY, "no memory to read %s", l->path);
    if (status == FR_OK)
        status = fr_model_from_json(&l->model, config, change, l->path, error);
    if (status == FR_OK)
        l->arch = fr_gguf_arch_of(l->model->kind,
                                  json_string_value(json_object_get(config, "model_type")));
    json_decref(config);
    return status;
}

fr_status fr_gguf_load(fr_model **out, const char *path, const fr_model_change *change,
                       fr_weights weights, fr_error *error)
{
    *out = NULL;
    if (change->head && change->head->task != FR_TASK_CAUSAL_LM)
        return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                          "a GGUF file is a language model; for another head convert it to a "
                          "folder first");
    fr_gguf *file;
    const fr_gguf_arch *found = NULL;
    FR_TRY(fr_gguf_open(&file, path, error));
    loading l = {
        .file = file, .path = path, .stored = weights == FR_WEIGHTS_STORED, .error = error};
    fr_status status = find_arch(file, &found, error);
    if (status == FR_OK)
        status = build(&l, found, change, error);
    if (status == FR_OK)
        status = load_tensors(&l);
    if (status != FR_OK) {
        fr_model_destroy(l.model);
        fr_gguf_close(file);
        return status;
    }
    add_end_of_turn(l.model, file);
    if (l.stored)
        l.model->mapped = file;
    else
        fr_gguf_close(file);
    *out = l.model;
    return FR_OK;
}
