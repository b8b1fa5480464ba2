/* groups.c: parameter groups: what part of a model trains, how fast, and with which decay, by patterns over names. */
#include "frugal/train.h"
#include "optim/groups.h"

#include <fnmatch.h>

static void defaults(void *options)
{
    *(fr_group_options *)options = (fr_group_options){.lr_multiplier = 1, .weight_decay = -1};
}

static const fr_option options[] = {
    {"match", FR_OPTION_STRING, offsetof(fr_group_options, match), NULL, 0, 0, NULL,
     "Pattern over parameter names (* ? [...]), as in model.layers.0.*"},
    {"lr_multiplier", FR_OPTION_FLOAT, offsetof(fr_group_options, lr_multiplier), NULL, 0, 1e6,
     NULL, "Factor of the learning rate."},
    {"weight_decay", FR_OPTION_FLOAT, offsetof(fr_group_options, weight_decay), NULL, -1, 1e3, NULL,
     "Decay of these parameters, whatever their shape; -1: by the optimizer's rule."},
    {"frozen", FR_OPTION_BOOL, offsetof(fr_group_options, frozen), NULL, 0, 0, NULL,
     "These parameters do not train."},
};

const fr_option_table fr_group_option_table = {"groups", options, sizeof options / sizeof *options,
                                               sizeof(fr_group_options), defaults};

const fr_group_options *fr_group_of(const fr_group_options *groups, size_t count,
                                    const fr_parameter *parameter)
{
    for (size_t i = 0; i < count; i++)
        if (fnmatch(groups[i].match, parameter->name, 0) == 0)
            return &groups[i];
    return NULL;
}

fr_status fr_groups_apply(const fr_group_options *groups, size_t count, fr_model *model,
                          fr_error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (!groups[i].match || !*groups[i].match)
            return fr_fail(error, FR_BAD_INPUT, "group %zu has no pattern; give match: PATTERN",
                           i + 1);
        size_t matches = 0;
        for (size_t p = 0; p < model->parameter_count; p++)
            matches += fnmatch(groups[i].match, model->parameters[p]->name, 0) == 0;
        if (!matches)
            return fr_fail(
                error, FR_BAD_INPUT, "group '%s' matches no parameter; the first is called '%s'",
                groups[i].match, model->parameter_count ? model->parameters[0]->name : "");
    }
    size_t trains = 0;
    for (size_t p = 0; p < model->parameter_count; p++) {
        const fr_group_options *group = fr_group_of(groups, count, model->parameters[p]);
        model->parameters[p]->value->requires_grad =
            !model->parameters[p]->constant && (!group || !group->frozen);
        trains += model->parameters[p]->value->requires_grad;
    }
    return trains ? FR_OK
                  : fr_fail(error, FR_BAD_INPUT, "every parameter is frozen: nothing to train");
}
