/* weights.c: a model's parameters from the files of weights of a folder, whatever container they are (formats.h).

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
    const fr_stored_tensor **found; /* per parameter; NULL: not yet */
    float *scratch;                 /* (CHUNK) */
    bool new_head;                  /* the head may be fresh, and other heads are left out */
    uint64_t seed;
    fr_error *error;
} loading;

bool fr_name_ends(const char *name, const char *const *ends)
{
    for (; *ends; ends++)
        if (fr_string_ends(name, *ends))
            return true;
    return false;
}

/* ---- one tensor ---- */

/* Numbers [begin, begin + count) of the entry as f32, into the scratch. */
static const float *convert_chunk(const loading *l, const fr_stored_tensor *entry, int64_t begin,
                                  int64_t count)
{
    entry->read(entry, begin, count, l->scratch);
    return l->scratch;
}

static bool is_transposed(const loading *l, const fr_parameter *parameter)
{
    const fr_model_kind *kind = l->model->kind;
    return kind->stored_transposed && kind->stored_transposed(parameter);
}

/* The file's (in, out) into the value (out, in), by blocks of whole rows of the file (or parts of one
   row), so that what is written lies together. */
static void copy_transposed(const loading *l, fr_tensor *value, const fr_stored_tensor *entry)
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

/* "(2, 3)" of an entry. */
static const char *shape_text(const fr_stored_tensor *entry, char *text, size_t size)
{
    fr_tensor shape = {.rank = entry->rank};
    memcpy(shape.shape, entry->shape, sizeof shape.shape);
    return fr_tensor_shape_text(&shape, text, size);
}

/* Does the entry fit parameter `number`? Then it is its source. */
static fr_status match(const loading *l, size_t number, const fr_stored_tensor *entry,
                       const char *path)
{
    const fr_parameter *parameter = l->model->parameters[number];
    fr_tensor expected = *parameter->value;
    if (is_transposed(l, parameter)) {
        expected.shape[0] = parameter->value->shape[1];
        expected.shape[1] = parameter->value->shape[0];
    }
    char found[96], wanted[96];
    bool fits = entry->rank == expected.rank &&
                memcmp(entry->shape, expected.shape, (size_t)expected.rank * sizeof(int64_t)) == 0;
    if (!fits && l->new_head && is_head(l->model, parameter->name))
        return FR_OK; /* a classifier of other labels */
    if (!fits)
        return fr_fail_at(l->error, FR_BAD_INPUT, path, 0,
                          "tensor '%s' has shape %s, but config.json asks for %s", entry->name,
                          shape_text(entry, found, sizeof found),
                          fr_tensor_shape_text(&expected, wanted, sizeof wanted));
    if (!entry->read)
        return fr_fail_at(l->error, FR_UNSUPPORTED, path, 0,
                          "tensor '%s' holds %s; weights are floating-point numbers", entry->name,
                          entry->type);
    if (l->found[number])
        return fr_fail_at(l->error, FR_BAD_INPUT, path, 0, "tensor '%s' comes a second time",
                          entry->name);
    l->found[number] = entry;
    return FR_OK;
}

/* Old files of BERT end the names of norms' parameters otherwise. */
static bool same_name(const char *own, const char *stored)
{
    static const char *const endings[][2] = {{".gamma", ".weight"}, {".beta", ".bias"}};
    if (strcmp(own, stored) == 0)
        return true;
    for (int i = 0; i < 2; i++) {
        size_t length = strlen(stored), end = strlen(endings[i][0]);
        if (length > end && strcmp(stored + length - end, endings[i][0]) == 0)
            return strncmp(own, stored, length - end) == 0 &&
                   strcmp(own + length - end, endings[i][1]) == 0;
    }
    return false;
}

/* Names may have the kind's prefix or lack it: classes differ in where they keep their body. */
static bool means(const fr_model *model, const char *own, const char *stored)
{
    const char *prefix = model->kind->prefix;
    size_t length = strlen(prefix);
    return same_name(own, stored) ||
           (strncmp(own, prefix, length) == 0 && same_name(own + length, stored)) ||
           (length && strncmp(stored, prefix, length) == 0 && same_name(own, stored + length));
}

/* The parameter that a tensor's name means; parameter_count: none. */
static size_t find(const fr_model *model, const char *name)
{
    size_t i = 0;
    while (i < model->parameter_count && !means(model, model->parameters[i]->name, name))
        i++;
    return i;
}

/* The parameter that a tensor is a tied copy of; NULL: none. */
static const fr_parameter *tied_parameter(const fr_model *model, const char *name)
{
    for (const fr_tied_name *tied = model->kind->tied; tied && tied->stored; tied++)
        if (strcmp(tied->stored, name) == 0) {
            size_t number = find(model, tied->parameter);
            return number < model->parameter_count ? model->parameters[number] : NULL;
        }
    return NULL;
}

/* ---- one file ---- */

static fr_status match_file(const loading *l, const fr_weight_file *file, const char *path)
{
    const fr_model *model = l->model;
    for (size_t i = 0; i < fr_weight_file_count(file); i++) {
        const fr_stored_tensor *entry = fr_weight_file_at(file, i);
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

/* A stored copy of a tied parameter holds the same numbers as the parameter's own tensor. */
static fr_status check_copy(const loading *l, const fr_stored_tensor *entry,
                            const fr_stored_tensor *own, const char *path)
{
    bool same = entry->read && own->read && entry->rank == own->rank &&
                memcmp(entry->shape, own->shape, (size_t)own->rank * sizeof(int64_t)) == 0;
    int64_t count = 1;
    for (int i = 0; i < own->rank; i++)
        count *= own->shape[i];
    for (int64_t begin = 0; begin < count && same; begin += CHUNK) {
        int64_t part = count - begin < CHUNK ? count - begin : CHUNK;
        entry->read(entry, begin, part, l->scratch);
        own->read(own, begin, part, l->scratch + CHUNK);
        same = memcmp(l->scratch, l->scratch + CHUNK, (size_t)part * sizeof *l->scratch) == 0;
    }
    if (same)
        return FR_OK;
    return fr_fail_at(l->error, FR_BAD_INPUT, path, 0,
                      "tensor '%s' differs from %s, to which config.json ties it", entry->name,
                      own->name);
}

static fr_status check_tied(const loading *l, const fr_weight_file *file)
{
    for (const fr_tied_name *tied = l->model->kind->tied; tied && tied->stored; tied++) {
        const fr_stored_tensor *entry = fr_weight_file_find(file, tied->stored);
        size_t own = find(l->model, tied->parameter);
        if (entry && own < l->model->parameter_count && l->found[own] &&
            find(l->model, tied->stored) == l->model->parameter_count &&
            !(l->new_head && is_head(l->model, tied->stored)))
            FR_TRY(check_copy(l, entry, l->found[own], fr_weight_file_path(file)));
    }
    return FR_OK;
}

/* A part that the files do not have at all, and need not have, goes. */
static void drop_optional_part(const loading *l)
{
    fr_model *model = l->model;
    const char *part = model->kind->optional_part ? model->kind->optional_part(model) : NULL;
    size_t length = part ? strlen(part) : 0;
    for (size_t i = 0; i < model->parameter_count && part; i++)
        if (l->found[i] && strncmp(model->parameters[i]->name, part, length) == 0)
            part = NULL;
    if (!part)
        return;
    model->kind->drop_part(model);
    size_t kept = 0;
    for (size_t i = 0; i < model->parameter_count; i++)
        if (strncmp(model->parameters[i]->name, part, length) != 0)
            l->found[kept++] = l->found[i];
    fr_model_drop(model, part);
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

/* The files' tensors are the model's parameters. */
static fr_status match_files(const loading *l, const fr_weight_folder *weights, const char *folder)
{
    fr_weight_file *const *files = weights->files;
    for (size_t i = 0; i < weights->count; i++)
        FR_TRY(match_file(l, files[i], fr_weight_file_path(files[i])));
    drop_optional_part(l);
    FR_TRY(check_missing(l, weights->count == 1 ? fr_weight_file_path(files[0]) : folder));
    for (size_t i = 0; i < weights->count; i++)
        FR_TRY(check_tied(l, files[i]));
    return FR_OK;
}

static fr_status load_files(const loading *l, const fr_weight_folder *weights, const char *folder)
{
    FR_TRY(match_files(l, weights, folder));
    FR_TRY(allocate(l, folder));
    for (size_t i = 0; i < l->model->parameter_count; i++) {
        const fr_parameter *parameter = l->model->parameters[i];
        if (!l->found[i])
            fr_model_draw(l->model, l->seed, i);
        else if (is_transposed(l, parameter))
            copy_transposed(l, parameter->value, l->found[i]);
        else
            l->found[i]->read(l->found[i], 0, fr_tensor_count(parameter->value),
                              fr_tensor_host(parameter->value));
    }
    return FR_OK;
}

/* Match the folder's files with the model, and load them or not. */
static fr_status with_files(loading *l, const fr_weight_folder *weights, const char *folder,
                            fr_status (*work)(const loading *, const fr_weight_folder *,
                                              const char *))
{
    l->found = fr_alloc_array(l->model->parameter_count, sizeof *l->found, FR_MEMORY_OTHER);
    l->scratch = fr_alloc_array(2 * CHUNK, sizeof *l->scratch, FR_MEMORY_OTHER);
    fr_status status = l->found && l->scratch
                           ? work(l, weights, folder)
                           : fr_fail(l->error, FR_NO_MEMORY, "no memory to load %s", folder);
    fr_free((void *)l->found);
    fr_free(l->scratch);
    return status;
}

fr_status fr_weights_load(fr_model *model, const char *folder, bool new_head, uint64_t seed,
                          fr_error *error)
{
    fr_weight_folder weights;
    loading l = {.model = model, .new_head = new_head, .seed = seed, .error = error};
    FR_TRY(fr_weight_folder_open(&weights, folder, error));
    fr_status status = with_files(&l, &weights, folder, load_files);
    fr_weight_folder_close(&weights);
    return status;
}

fr_status fr_model_check_weights(fr_model *model, const fr_weight_folder *weights,
                                 const char *folder, fr_error *error)
{
    loading l = {.model = model, .error = error};
    return with_files(&l, weights, folder, match_files);
}
