/* weights.c: a model's parameters from safetensors files: one, or shards that an index lists.

   All is compared with the shapes that config.json asks for before any memory is taken for them, so
   that a configuration that lies costs nothing. Each tensor of a file must be a parameter, and each
   parameter must come exactly once. What does not match is named: missing, unexpected, of another
   shape, twice. Names may leave the kind's prefix out, as files saved without the head do. A tied
   output matrix may be stored as well, if it equals the embedding. */
#include "models/models.h"
#include "frugal/formats.h"

#include <string.h>

enum { CHUNK = 1 << 16, SHOWN = 5 };

typedef struct loading {
    fr_model *model;
    const fr_safetensors_entry **found; /* per parameter; NULL: not yet */
    float *scratch; /* CHUNK numbers of the model, then room for CHUNK numbers of the file */
    bool new_head;  /* the head may be fresh, and other heads are left out */
    uint64_t seed;
    fr_error *error;
} loading;

/* ---- one tensor ---- */

static bool is_float(fr_dtype dtype)
{
    return dtype == FR_F32 || dtype == FR_BF16 || dtype == FR_F16;
}

/* Numbers [begin, begin + count) of the entry as f32 into the scratch (the map is not aligned). */
static const float *convert_chunk(const loading *l, const fr_safetensors_entry *entry,
                                  int64_t begin, int64_t count)
{
    size_t size = fr_dtype_size(entry->dtype);
    void *raw = l->scratch + CHUNK;
    memcpy(raw, (const char *)entry->data + (size_t)begin * size, (size_t)count * size);
    fr_convert(l->scratch, FR_F32, raw, entry->dtype, count);
    return l->scratch;
}

static bool is_transposed(const loading *l, const fr_parameter *parameter)
{
    const fr_model_kind *kind = l->model->kind;
    return kind->stored_transposed && kind->stored_transposed(parameter);
}

/* The file's (in, out) into the value (out, in), by blocks of whole rows of the file (or parts of one
   row), so that what is written lies together. */
static void copy_transposed(const loading *l, fr_tensor *value, const fr_safetensors_entry *entry)
{
    float *to = fr_tensor_host(value);
    int64_t out = value->shape[0], in = value->shape[1];
    int64_t width = out < CHUNK ? out : CHUNK, height = width ? CHUNK / width : 1;
    for (int64_t row = 0; row < in; row += height)
        for (int64_t column = 0; column < out; column += width) {
            int64_t rows = in - row < height ? in - row : height;
            int64_t columns = out - column < width ? out - column : width;
            const float *block = convert_chunk(l, entry, row * out + column, rows * columns);
            for (int64_t j = 0; j < columns; j++)
                for (int64_t i = 0; i < rows; i++)
                    to[(column + j) * in + row + i] = block[i * columns + j];
        }
}

static void copy_numbers(const loading *l, fr_tensor *value, const fr_safetensors_entry *entry)
{
    float *to = fr_tensor_host(value);
    int64_t count = fr_tensor_count(value);
    for (int64_t begin = 0; begin < count; begin += CHUNK) {
        int64_t part = count - begin < CHUNK ? count - begin : CHUNK;
        memcpy(to + begin, convert_chunk(l, entry, begin, part), (size_t)part * sizeof *to);
    }
}

/* "(2, 3)" of an entry. */
static const char *shape_text(const fr_safetensors_entry *entry, char *text, size_t size)
{
    fr_tensor shape = {.rank = entry->rank};
    memcpy(shape.shape, entry->shape, sizeof shape.shape);
    return fr_tensor_shape_text(&shape, text, size);
}

/* Does the entry fit parameter `number`? Then it is its source. */
static fr_status match(const loading *l, size_t number, const fr_safetensors_entry *entry,
                       const char *path)
{
    const fr_parameter *parameter = l->model->parameters[number];
    fr_tensor expected = *parameter->value;
    if (is_transposed(l, parameter)) {
        expected.shape[0] = parameter->value->shape[1];
        expected.shape[1] = parameter->value->shape[0];
    }
    char found[96], wanted[96];
    if (entry->rank != expected.rank ||
        memcmp(entry->shape, expected.shape, (size_t)expected.rank * sizeof(int64_t)) != 0)
        return fr_fail_at(l->error, FR_BAD_INPUT, path, 0,
                          "tensor '%s' has shape %s, but config.json asks for %s", entry->name,
                          shape_text(entry, found, sizeof found),
                          fr_tensor_shape_text(&expected, wanted, sizeof wanted));
    if (!is_float(entry->dtype))
        return fr_fail_at(l->error, FR_UNSUPPORTED, path, 0,
                          "tensor '%s' holds %s; weights are f32, bf16 or f16", entry->name,
                          fr_dtype_name(entry->dtype));
    if (l->found[number])
        return fr_fail_at(l->error, FR_BAD_INPUT, path, 0, "tensor '%s' comes a second time",
                          entry->name);
    l->found[number] = entry;
    return FR_OK;
}

/* The parameter that a tensor's name means; parameter_count: none. */
static size_t find(const fr_model *model, const char *name)
{
    size_t prefix = strlen(model->kind->prefix), i = 0;
    for (; i < model->parameter_count; i++) {
        const char *own = model->parameters[i]->name;
        if (strcmp(own, name) == 0 ||
            (strncmp(own, model->kind->prefix, prefix) == 0 && strcmp(own + prefix, name) == 0))
            break;
    }
    return i;
}

/* The parameter that a tensor is a tied copy of; NULL: none. */
static const fr_parameter *tied_parameter(const fr_model *model, const char *name)
{
    for (const fr_tied_name *tied = model->kind->tied; tied && tied->stored; tied++)
        if (strcmp(tied->stored, name) == 0)
            return fr_model_parameter(model, tied->parameter);
    return NULL;
}

/* Does the tensor belong to some head of the kind? */
static bool is_head(const fr_model *model, const char *name)
{
    static const char *const usual[] = {"lm_head.", "score.", NULL};
    const char *const *begin = model->kind->head_prefixes ? model->kind->head_prefixes : usual;
    for (; *begin; begin++)
        if (strncmp(name, *begin, strlen(*begin)) == 0)
            return true;
    return false;
}

/* ---- one file ---- */

static fr_status match_file(const loading *l, const fr_safetensors *file, const char *path)
{
    const fr_model *model = l->model;
    for (size_t i = 0; i < fr_safetensors_count(file); i++) {
        const fr_safetensors_entry *entry = fr_safetensors_at(file, i);
        size_t number = find(model, entry->name);
        if (number < model->parameter_count) {
            FR_TRY(match(l, number, entry, path));
            continue;
        }
        if (!tied_parameter(model, entry->name) && !(l->new_head && is_head(model, entry->name)) &&
            !(model->kind->ignores_tensor && model->kind->ignores_tensor(entry->name)))
            return fr_fail_at(l->error, FR_BAD_INPUT, path, 0,
                              "tensor '%s' does not belong to the model of config.json",
                              entry->name);
    }
    return FR_OK;
}

/* A stored copy of a tied parameter holds the same numbers. */
static fr_status check_copy(const loading *l, const fr_safetensors_entry *entry,
                            const fr_parameter *parameter, const char *path)
{
    const fr_tensor *value = parameter->value;
    bool same = is_float(entry->dtype) && entry->rank == value->rank &&
                memcmp(entry->shape, value->shape, (size_t)value->rank * sizeof(int64_t)) == 0;
    int64_t count = fr_tensor_count(value);
    for (int64_t begin = 0; begin < count && same; begin += CHUNK) {
        int64_t part = count - begin < CHUNK ? count - begin : CHUNK;
        const float *numbers = convert_chunk(l, entry, begin, part);
        same = memcmp(numbers, (const float *)fr_tensor_host(value) + begin,
                      (size_t)part * sizeof *numbers) == 0;
    }
    if (same)
        return FR_OK;
    return fr_fail_at(l->error, FR_BAD_INPUT, path, 0,
                      "tensor '%s' differs from %s, to which config.json ties it", entry->name,
                      parameter->name);
}

static fr_status check_tied(const loading *l, const fr_safetensors *file, const char *path)
{
    for (const fr_tied_name *tied = l->model->kind->tied; tied && tied->stored; tied++) {
        const fr_safetensors_entry *entry = fr_safetensors_find(file, tied->stored);
        const fr_parameter *parameter = fr_model_parameter(l->model, tied->parameter);
        if (entry && parameter && find(l->model, tied->stored) == l->model->parameter_count &&
            !(l->new_head && is_head(l->model, tied->stored)))
            FR_TRY(check_copy(l, entry, parameter, path));
    }
    return FR_OK;
}

/* Every parameter must have come. */
static fr_status check_missing(const loading *l, const char *where)
{
    char missing[512];
    size_t used = 0, count = 0;
    for (size_t i = 0; i < l->model->parameter_count; i++)
        if (!l->found[i] && !(l->new_head && is_head(l->model, l->model->parameters[i]->name)) &&
            count++ < SHOWN && used < sizeof missing)
            used += (size_t)snprintf(missing + used, sizeof missing - used, " %s",
                                     l->model->parameters[i]->name);
    if (!count)
        return FR_OK;
    return fr_fail_at(l->error, FR_BAD_INPUT, where, 0,
                      "%zu tensors that config.json asks for are missing:%s%s", count, missing,
                      count > SHOWN ? " ..." : "");
}

/* Give the parameters their memory, now that the files are known to fill it. */
static fr_status allocate(const loading *l, const char *folder)
{
    size_t bytes = (size_t)fr_model_parameter_total(l->model) * sizeof(float);
    if (bytes > fr_physical_memory())
        return fr_fail_at(l->error, FR_NO_MEMORY, folder, 0,
                          "the weights need %zu MB of memory, and there are %zu MB", bytes >> 20,
                          fr_physical_memory() >> 20);
    for (size_t i = 0; i < l->model->parameter_count; i++) {
        fr_parameter *parameter = l->model->parameters[i];
        fr_tensor *shape = parameter->value;
        fr_tensor *value = fr_tensor_create(FR_F32, shape->rank, shape->shape, FR_MEMORY_WEIGHTS);
        if (!value)
            return fr_fail_at(l->error, FR_NO_MEMORY, folder, 0, "no memory for parameter %s",
                              parameter->name);
        value->requires_grad = shape->requires_grad;
        parameter->value = value;
        fr_tensor_free(shape);
    }
    l->model->shapes_only = false;
    return FR_OK;
}

static fr_status load_files(const loading *l, fr_safetensors *const *files, char *const *paths,
                            size_t count, const char *folder)
{
    for (size_t i = 0; i < count; i++)
        FR_TRY(match_file(l, files[i], paths[i]));
    FR_TRY(check_missing(l, count == 1 ? paths[0] : folder));
    FR_TRY(allocate(l, folder));
    for (size_t i = 0; i < l->model->parameter_count; i++) {
        const fr_parameter *parameter = l->model->parameters[i];
        if (!l->found[i])
            fr_model_draw(l->model, l->seed, i);
        else if (is_transposed(l, parameter))
            copy_transposed(l, parameter->value, l->found[i]);
        else
            copy_numbers(l, parameter->value, l->found[i]);
    }
    for (size_t i = 0; i < count; i++)
        FR_TRY(check_tied(l, files[i], paths[i]));
    return FR_OK;
}

/* ---- shards ---- */

/* The names of files that the index lists, each once; they must lie in the folder itself. */
static fr_status list_shards(const json_t *map, char **names, size_t *count, const char *path,
                             fr_error *error)
{
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (!name || !*name || name[0] == '.' || strchr(name, '/'))
            return fr_fail_at(error, FR_BAD_INPUT, path, 0,
                              "tensor '%.64s': '%.64s' is not the name of a file of this folder",
                              tensor, name ? name : "");
        size_t i = 0;
        while (i < *count && strcmp(names[i], name) != 0)
            i++;
        if (i == *count && !(names[(*count)++] = fr_string_copy(name)))
            return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", path);
    }
    return FR_OK;
}

typedef struct shards {
    char **names, **paths;
    fr_safetensors **files;
    size_t count;
} shards;

static void close_shards(shards *s)
{
    for (size_t i = 0; i < s->count; i++) {
        fr_free(s->names ? s->names[i] : NULL);
        fr_free(s->paths ? s->paths[i] : NULL);
        fr_safetensors_close(s->files ? s->files[i] : NULL);
    }
    fr_free(s->names);
    fr_free(s->paths);
    fr_free(s->files);
}

static fr_status allocate_shards(shards *s, size_t most, fr_error *error)
{
    s->names = fr_alloc_array(most, sizeof *s->names, FR_MEMORY_OTHER);
    s->paths = fr_alloc_array(most, sizeof *s->paths, FR_MEMORY_OTHER);
    s->files = fr_alloc_array(most, sizeof *s->files, FR_MEMORY_OTHER);
    if (s->names && s->paths && s->files)
        return FR_OK;
    return fr_fail(error, FR_NO_MEMORY, "no memory to open the weights");
}

static fr_status open_shards(shards *s, const char *folder, fr_error *error)
{
    for (size_t i = 0; i < s->count; i++) {
        s->paths[i] = fr_path_join(folder, s->names[i]);
        if (!s->paths[i])
            return fr_fail(error, FR_NO_MEMORY, "no memory to open the weights");
        FR_TRY(fr_safetensors_open(&s->files[i], s->paths[i], error));
    }
    return FR_OK;
}

/* The index tells the truth: each tensor lies in the file that it names. */
static fr_status check_index(const shards *s, const json_t *map, const char *path, fr_error *error)
{
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)map, tensor, value) for (size_t i = 0; i < s->count; i++) if (
        strcmp(s->names[i], json_string_value(value)) == 0 &&
        !fr_safetensors_find(
            s->files[i],
            tensor)) return fr_fail_at(error, FR_BAD_INPUT, path, 0,
                                       "tensor '%.64s' is not in %.64s, where the index has it",
                                       tensor, s->names[i]);
    return FR_OK;
}

static fr_status open_index(shards *s, const char *folder, const char *path, fr_error *error)
{
    json_t *index;
    FR_TRY(fr_json_load(&index, path, error));
    const json_t *map = json_object_get(index, "weight_map");
    fr_status status = json_object_size(map)
                           ? allocate_shards(s, json_object_size(map), error)
                           : fr_fail_at(error, FR_BAD_INPUT, path, 0, "there is no weight_map");
    if (status == FR_OK)
        status = list_shards(map, s->names, &s->count, path, error);
    if (status == FR_OK)
        status = open_shards(s, folder, error);
    if (status == FR_OK)
        status = check_index(s, map, path, error);
    json_decref(index);
    return status;
}

static fr_status open_single(shards *s, const char *folder, fr_error *error)
{
    FR_TRY(allocate_shards(s, 1, error));
    s->count = 1;
    if (!(s->names[0] = fr_string_copy("model.safetensors")))
        return fr_fail(error, FR_NO_MEMORY, "no memory to open the weights");
    return open_shards(s, folder, error);
}

static fr_status open_weights(shards *s, const char *folder, fr_error *error)
{
    char *single = fr_path_join(folder, "model.safetensors");
    char *index = fr_path_join(folder, "model.safetensors.index.json");
    fr_status status;
    if (!single || !index)
        status = fr_fail(error, FR_NO_MEMORY, "no memory to open the weights");
    else if (fr_path_exists(single))
        status = open_single(s, folder, error);
    else if (fr_path_exists(index))
        status = open_index(s, folder, index, error);
    else
        status = fr_fail_at(error, FR_BAD_INPUT, folder, 0,
                            "there is neither model.safetensors nor model.safetensors.index.json "
                            "(weights in other formats are not read)");
    fr_free(single);
    fr_free(index);
    return status;
}

fr_status fr_weights_load(fr_model *model, const char *folder, bool new_head, uint64_t seed,
                          fr_error *error)
{
    shards s = {0};
    loading l = {.model = model, .new_head = new_head, .seed = seed, .error = error};
    fr_status status = open_weights(&s, folder, error);
    if (status == FR_OK) {
        l.found = fr_alloc_array(model->parameter_count, sizeof *l.found, FR_MEMORY_OTHER);
        l.scratch = fr_alloc_array(2 * CHUNK, sizeof *l.scratch, FR_MEMORY_OTHER);
        status = l.found && l.scratch
                     ? load_files(&l, s.files, s.paths, s.count, folder)
                     : fr_fail(error, FR_NO_MEMORY, "no memory to load %s", folder);
    }
    fr_free((void *)l.found);
    fr_free(l.scratch);
    close_shards(&s);
    return status;
}
