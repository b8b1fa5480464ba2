/* fuzz_config.c: any bytes as a config.json, for every kind of model: a configuration that can be written and read again, and whose
   model of shapes can be built, or a message that names the file. */
#include "fuzz.h"

#include "../../src/models/models.h"

#include <string.h>

static void check_written(const fr_model_kind *kind, const void *config)
{
    json_t *json = json_object();
    fr_error error = {0};
    MUST(fr_config_write(kind, config, json, &error) == FR_OK);
    json_decref(json);
}

static void try_kind(const fr_model_kind *kind, const json_t *json)
{
    void *config;
    fr_error error = {0};
    if (fr_config_from_json(&config, kind, json, "fuzz", &error) != FR_OK) {
        MUST(!config && error.message[0]);
        return;
    }
    check_written(kind, config);
    fr_model *model;
    if (fr_model_build(&model, kind, config, NULL, true, &error) != FR_OK)
        MUST(!model && error.message[0]);
    fr_model_destroy(model);
    fr_model_config_free(kind, config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *json;
    fr_error error = {0};
    if (fr_json_parse(&json, (const char *)data, size, "fuzz", &error) != FR_OK) {
        MUST(!json && strncmp(error.message, "fuzz:", 5) == 0);
        return 0;
    }
    for (const fr_kind *const *entry = fr_models.entries; *entry; entry++)
        try_kind((const fr_model_kind *)*entry, json);
    json_decref(json);
    return 0;
}
