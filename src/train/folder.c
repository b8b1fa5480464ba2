/* folder.c: the files of a run folder that are written once: the recipe as resolved, the machine, the model, the summary. */
#include "frugal/formats.h"
#include "kernels/kernels.h"
#include "train/trainer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* ---- machine.json ---- */

/* The processor's own name for itself, or NULL. */
static char *processor(void)
{
    char *text = NULL, *name = NULL;
    size_t size;
    if (fr_file_read("/proc/cpuinfo", 0, &text, &size, NULL) != FR_OK)
        return NULL;
    char *line = strstr(text, "model name");
    char *colon = line ? strchr(line, ':') : NULL;
    if (colon)
        name = fr_string_copy_n(colon + 2, strcspn(colon + 2, "\n"));
    fr_free(text);
    return name;
}

fr_status fr_folder_write_machine(const fr_trainer *trainer, fr_error *error)
{
    struct utsname system = {0};
    uname(&system);
    char *name = processor();
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:i, s:I, s:s, s:s, s:o}", "processor", name ? name : system.machine,
        "architecture", system.machine, "instruction_set", fr_kernels_name(), "threads",
        fr_threads(), "memory_bytes", (json_int_t)fr_physical_memory(), "system", system.release,
        "frugal", fr_version(), "gemm_flops_per_second",
        trainer->peak_flops > 0 ? json_real(trainer->peak_flops) : json_null());
    fr_free(name);
    return fr_json_write(trainer->folder, "machine.json", object, error);
}

/* ---- recipe.yaml ---- */

fr_status fr_folder_write_recipe(const fr_trainer *trainer, fr_error *error)
{
    fr_buffer text = {0};
    char *path = fr_path_join(trainer->folder, "recipe.yaml");
    fr_status status = path ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for the recipe");
    if (status == FR_OK)
        status = fr_train_recipe_write(&trainer->own->recipe, trainer->model, false, &text, error);
    if (status == FR_OK)
        status = fr_file_write(path, text.data, text.size, error);
    fr_buffer_free(&text);
    fr_free(path);
    return status;
}

/* ---- model/ ---- */

fr_status fr_folder_write_model(fr_trainer *trainer, fr_error *error)
{
    fr_trainer_report(trainer, "saving");
    char *folder = fr_path_join(trainer->folder, "model");
    fr_status status = folder ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for the model");
    if (status == FR_OK)
        status = fr_folder_create(folder, error);
    if (status == FR_OK)
        status =
            fr_model_save(trainer->model, folder, (fr_dtype)trainer->options.final_dtype, error);
    if (status == FR_OK && trainer->tokenizer)
        status = fr_tokenizer_save(
            trainer->tokenizer, folder,
            trainer->own->recipe.source.from ? 0 : trainer->model->max_positions, error);
    if (status == FR_OK && trainer->own->data.images)
        status = fr_image_processor_save(trainer->own->data.images, folder, error);
    if (status == FR_OK && trainer->objective->kind->save)
        status = trainer->objective->kind->save(trainer->objective, folder, error);
    fr_free(folder);
    return status;
}

/* ---- summary.json ---- */

fr_status fr_folder_write_summary(const fr_trainer *trainer, const fr_train_result *result,
                                  fr_error *error)
{
    json_t *domains = json_object(), *peaks = json_object(), *figures = json_object();
    for (size_t i = 0; i < trainer->domain_count; i++) {
        const fr_judgement *judgement = &trainer->domains[i].judgement;
        json_t *of_domain = json_object();
        for (int k = 0; k < judgement->count; k++)
            json_object_set_new(of_domain, judgement->figures[k].name,
                                fr_json_real(judgement->figures[k].value));
        if (judgement->count)
            json_object_set_new(figures, trainer->domains[i].name, of_domain);
        else
            json_decref(of_domain);
    }
    for (size_t i = 0; i < trainer->domain_count; i++)
        json_object_set_new(domains, trainer->domains[i].name,
                            fr_json_real(trainer->domains[i].loss));
    for (int kind = 0; kind < FR_MEMORY_KINDS; kind++)
        json_object_set_new(peaks, fr_memory_kind_name((fr_memory_kind)kind),
                            json_integer((json_int_t)fr_memory_peak((fr_memory_kind)kind)));
    json_t *object = json_pack(
        "{s:s, s:I, s:I, s:I, s:f, s:f, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:I}", "stopped_by",
        result->stopped_by, "steps", (json_int_t)result->step, "tokens", (json_int_t)result->tokens,
        "parameters", (json_int_t)trainer->own->plan.parameters, "seconds", result->seconds,
        "flops", result->flops, "loss", fr_json_real(result->loss), "held_out", domains, "figures",
        figures, "held_out_loss", fr_json_real(result->held_out_loss), "best_loss",
        fr_json_real(result->best_loss), "best_step", (json_int_t)result->best_step,
        "tokens_per_second", fr_json_real(result->tokens_per_second), "peak_bytes", peaks,
        "resident_peak_bytes", (json_int_t)fr_resident_peak());
    return fr_json_write(trainer->folder, "summary.json", object, error);
}
