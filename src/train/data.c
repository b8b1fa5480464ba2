/* data.c: what a run learns from, read before its model is made, because labels say what head the model gets.

   Packed rows need nothing here: a phase opens its shard. Labelled examples are read whole; a part of them is kept back to evaluate on
   where the recipe names no held-out file; the labels' classes make the head, or must be those of the folder's head. */
#include "train/trainer.h"

#include <string.h>

static fr_status no_memory(fr_error *error)
{
    return fr_fail(error, FR_NO_MEMORY, "no memory for the data of a run");
}

fr_status fr_domain_name(const char *text, char **name, const char **path, fr_error *error)
{
    const char *equal = strchr(text, '='), *slash = strrchr(text, '/');
    if (equal && (!slash || equal < strchr(text, '/'))) {
        *name = fr_string_copy_n(text, (size_t)(equal - text));
        *path = equal + 1;
    } else {
        *name = fr_string_copy(slash ? slash + 1 : text);
        *path = text;
    }
    return *name ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a domain");
}

/* ---- which data go with which objective ---- */

static const fr_objective_kind *objective_of(const fr_train_recipe *recipe)
{
    return (const fr_objective_kind *)recipe->objective.kind;
}

/* Examples are encoded once, from files of their own. */
static fr_status check_examples(const fr_train_recipe *recipe, fr_error *error)
{
    if (!recipe->examples.train)
        return fr_fail(error, FR_BAD_INPUT, "nothing to train on: give data.examples.train");
    if (recipe->data.folder || recipe->data.train || recipe->data.held_out.count)
        return fr_fail(error, FR_BAD_INPUT,
                       "data.examples with data.folder, data.train or data.held_out: choose one "
                       "kind of data; data.tokenizer names a tokenizer alone");
    for (size_t i = 0; i < recipe->phase_count; i++)
        if (recipe->phases[i].options.length != recipe->train.length ||
            recipe->phases[i].options.train)
            return fr_fail(error, FR_BAD_INPUT,
                           "phase %zu: phases of labelled examples share train.length and the "
                           "examples",
                           i + 1);
    return FR_OK;
}

static fr_status check_kind(const fr_train_recipe *recipe, fr_error *error)
{
    const fr_objective_kind *objective = objective_of(recipe);
    if (recipe->has_examples && !objective->examples)
        return fr_fail(error, FR_BAD_INPUT,
                       "objective %s learns from packed text (data.folder); data.examples are for "
                       "others",
                       objective->base.name);
    if (!recipe->has_examples && !objective->packed)
        return fr_fail(error, FR_BAD_INPUT,
                       "objective %s learns from labelled examples: give data.examples.train",
                       objective->base.name);
    return recipe->has_examples ? check_examples(recipe, error) : FR_OK;
}

/* ---- the tokenizer ---- */

/* Pictures alone need none. A model that begins with a folder has the folder's, where the data name none. */
static fr_status open_tokenizer(fr_run_data *data, const fr_train_recipe *recipe, fr_error *error)
{
    const char *path = recipe->data.tokenizer;
    bool text = objective_of(recipe)->examples != FR_EXAMPLES_IMAGES;
    if (!path && recipe->source.from && text)
        path = recipe->source.from;
    return path ? fr_tokenizer_load(&data->tokenizer, path, error) : FR_OK;
}

/* ---- examples ---- */

static fr_status add_held_out(fr_run_data *data, const char *name, fr_examples *examples,
                              fr_error *error)
{
    struct fr_held_out *entry = &data->held_out[data->held_out_count++];
    entry->examples = examples;
    entry->name = fr_string_copy(name);
    return entry->name ? FR_OK : no_memory(error);
}

static fr_status open_one_held_out(fr_run_data *data, const fr_train_recipe *recipe,
                                   const char *text, fr_error *error)
{
    char *name;
    const char *path;
    fr_examples *examples = NULL;
    FR_TRY(fr_domain_name(text, &name, &path, error));
    fr_status status =
        fr_examples_open(&examples, path, objective_of(recipe)->examples, &recipe->examples, error);
    if (status == FR_OK)
        status = add_held_out(data, name, examples, error);
    fr_free(name);
    return status;
}

/* ---- the head ---- */

static fr_status choose_head(const fr_run_data *data, fr_train_recipe *recipe, fr_error *error)
{
    fr_task task = objective_of(recipe)->task;
    if (recipe->source.from && !recipe->source.new_head) {
        FR_TRY(fr_model_folder_head(&recipe->head, recipe->source.from, error));
        if (recipe->head.task != task)
            fr_model_head_free(&recipe->head);
    }
    if (recipe->head.task != task)
        recipe->head = (fr_model_head){.task = task};
    recipe->data_shape = data->train;
    return data->train ? fr_examples_head(data->train, &recipe->head, error) : FR_OK;
}

/* After the head is known: a class that only kept-back examples have is one of the model's too. */
static fr_status open_held_out(fr_run_data *data, const fr_train_recipe *recipe, fr_error *error)
{
    const fr_example_options *o = &recipe->examples;
    fr_examples *rest = NULL;
    data->held_out = fr_alloc_array(o->held_out.count + 1, sizeof *data->held_out, FR_MEMORY_OTHER);
    if (!data->held_out)
        return no_memory(error);
    for (size_t i = 0; i < o->held_out.count; i++)
        FR_TRY(open_one_held_out(data, recipe, o->held_out.items[i], error));
    if (!o->held_out.count)
        FR_TRY(fr_examples_split(data->train, o->held_out_share, (uint64_t)recipe->train.seed,
                                 &rest, error));
    return rest ? add_held_out(data, "held_out", rest, error) : FR_OK;
}

fr_status fr_run_data_open(fr_run_data *data, fr_train_recipe *recipe, fr_error *error)
{
    FR_TRY(check_kind(recipe, error));
    FR_TRY(open_tokenizer(data, recipe, error));
    if (recipe->has_examples)
        FR_TRY(fr_examples_open(&data->train, recipe->examples.train,
                                objective_of(recipe)->examples, &recipe->examples, error));
    FR_TRY(choose_head(data, recipe, error));
    return data->train ? open_held_out(data, recipe, error) : FR_OK;
}

static fr_status open_images(fr_run_data *data, const fr_train_recipe *recipe,
                             const fr_model *model, fr_error *error)
{
    const char *from = recipe->source.from;
    return from && fr_image_processor_exists(from)
               ? fr_image_processor_load(&data->images, from, error)
               : fr_image_processor_create(&data->images, model, error);
}

fr_status fr_run_data_encode(fr_run_data *data, const fr_train_recipe *recipe,
                             const fr_model *model, fr_error *error)
{
    const fr_example_options *o = &recipe->examples;
    int64_t length = recipe->train.length;
    if (objective_of(recipe)->examples == FR_EXAMPLES_IMAGES ||
        objective_of(recipe)->examples == FR_EXAMPLES_IMAGE_TEXTS)
        FR_TRY(open_images(data, recipe, model, error));
    const fr_encoding encoding = {.tokenizer = data->tokenizer,
                                  .images = data->images,
                                  .model = model,
                                  .length = length,
                                  .target_length = o->target_length ? o->target_length : length};
    if (data->train)
        FR_TRY(fr_examples_encode(data->train, &encoding, error));
    for (size_t i = 0; i < data->held_out_count; i++)
        FR_TRY(fr_examples_encode(data->held_out[i].examples, &encoding, error));
    return FR_OK;
}

void fr_run_data_close(fr_run_data *data)
{
    fr_examples_close(data->train);
    for (size_t i = 0; i < data->held_out_count; i++) {
        fr_examples_close(data->held_out[i].examples);
        fr_free(data->held_out[i].name);
    }
    fr_free(data->held_out);
    fr_tokenizer_free(data->tokenizer);
    fr_image_processor_free(data->images);
    *data = (fr_run_data){.train = NULL};
}
