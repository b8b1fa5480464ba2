/* hub_verify.c: `frugal hub verify`: all that is wrong with a model folder. */
#include "cli/cli.h"
#include "frugal/hub.h"

#include <jansson.h>

static fr_status print_text(const fr_verification *found, fr_error *error)
{
    static const char *const marks[] = {"ok", "note", "PROBLEM"};
    for (size_t i = 0; i < found->count; i++)
        FR_TRY(cli_print(error, "%-8s %-15s %s\n", marks[found->findings[i].level],
                         found->findings[i].check, found->findings[i].text));
    return FR_OK;
}

static fr_status print_json(const char *folder, const fr_verification *found, fr_error *error)
{
    json_t *list = json_array();
    for (size_t i = 0; i < found->count; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s}", "check", found->findings[i].check,
                                        "level", fr_finding_level_name(found->findings[i].level),
                                        "text", found->findings[i].text));
    return cli_print_json(json_pack("{s:s, s:b, s:I, s:o}", "folder", folder, "good",
                                    found->problems == 0, "problems", (json_int_t)found->problems,
                                    "findings", list),
                          error);
}

static fr_status run(const cli_call *call, fr_error *error)
{
    const char *folder = call->operands[0];
    fr_verification found;
    fr_status status = fr_folder_verify(folder, &found, error);
    if (status == FR_OK)
        status = call->json ? print_json(folder, &found, error) : print_text(&found, error);
    if (status == FR_OK && found.problems > 0)
        status = fr_fail(error, FR_FAILED, "%s: %zu problem%s", folder, found.problems,
                         found.problems == 1 ? "" : "s");
    fr_verification_free(&found);
    return status;
}

const cli_verb cli_hub_verify = {
    .name = "hub verify",
    .usage = "DIR",
    .summary = "check a model folder as a whole",
    .help =
        "Checks a model folder without loading it for use: names of files and links, every JSON "
        "file, the configuration, each\n"
        "tensor's presence, shape and numbers (NaN and infinite ones are counted), the index "
        "against the shards, the\n"
        "tokenizer, and special tokens between the files. Exit code 0: no problem, 1: "
        "problems.\n\n"
        "  frugal hub verify my-model\n"
        "  frugal hub verify my-model --json\n",
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
};
