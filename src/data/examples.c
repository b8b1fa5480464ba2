/* examples.c: a file of labelled examples: its records, their form, a part kept back. */
#include "data/examples.h"

#include <string.h>

/* ---- options ---- */

static void defaults(void *options)
{
    ((fr_example_options *)options)->held_out_share = 0.1;
}

#define FIELD(name) offsetof(fr_example_options, name)
#define NAME_OF(key, what)                                                                         \
    {                                                                                              \
#key, FR_OPTION_STRING, FIELD(key), NULL, 0, 0, NULL,                                      \
            "Field of a record with " what " (default: " #key ")."                                 \
    }
static const char *const problems[] = {"auto", "single_label_classification", "regression",
                                       "multi_label_classification", NULL};
static const fr_option options[] = {
    {"train", FR_OPTION_STRING, FIELD(train), NULL, 0, 0, NULL,
     "File of examples to train on: .jsonl, or .tsv whose first line names the fields."},
    {"held_out", FR_OPTION_STRINGS, FIELD(held_out), NULL, 0, 0, NULL,
     "Files to evaluate on, each a domain: paths, or NAME=PATH."},
    {"held_out_share", FR_OPTION_FLOAT, FIELD(held_out_share), NULL, 0, 0.9, NULL,
     "Share of the training file that is kept back to evaluate on, where there is no held_out; 0: "
     "none."},
    NAME_OF(text, "the text"),
    NAME_OF(text_pair, "a second text"),
    NAME_OF(label, "the label: a class, a number, or a list of classes"),
    NAME_OF(words, "a list of words"),
    NAME_OF(tags, "a list of classes, one for each word"),
    NAME_OF(choices, "a list of texts to choose from"),
    NAME_OF(positive, "a text that means the same as the text"),
    NAME_OF(score, "how alike text and positive are"),
    NAME_OF(target, "what is to be said"),
    NAME_OF(image, "the name of a picture's file, beside the file of examples"),
    {"problem", FR_OPTION_CHOICE, FIELD(problem), NULL, 0, 0, problems,
     "What labels are: classes, numbers (regression), or several classes at once. auto: lists are "
     "several, reals are numbers."},
    {"prefix", FR_OPTION_STRING, FIELD(prefix), NULL, 0, 0, NULL,
     "Put before every text (T5: \"summarize: \")."},
    {"target_length", FR_OPTION_INT, FIELD(target_length), "tokens", 0, 1 << 24, NULL,
     "Of a target at most; 0: train.length."},
};
#undef FIELD

const fr_option_table fr_example_option_table = {"data.examples", options,
                                                 sizeof options / sizeof *options,
                                                 sizeof(fr_example_options), defaults};

/* ---- lists of ids ---- */

bool id_lists_add(id_lists *lists, const int32_t *ids, size_t count)
{
    if (lists->count + 2 > lists->room) {
        int64_t room = lists->room ? 2 * lists->room : 256;
        int64_t *grown = fr_realloc(lists->begin, (size_t)room * sizeof *grown, FR_MEMORY_DATA);
        if (!grown)
            return false;
        grown[0] = 0;
        lists->begin = grown;
        lists->room = room;
    }
    int64_t at = lists->begin[lists->count], end = at + (int64_t)count;
    if (end > lists->id_room) {
        int64_t room = end > 2 * lists->id_room ? end + 1024 : 2 * lists->id_room;
        int32_t *grown = fr_realloc(lists->ids, (size_t)room * sizeof *grown, FR_MEMORY_DATA);
        if (!grown)
            return false;
        lists->ids = grown;
        lists->id_room = room;
    }
    if (count)
        memcpy(lists->ids + at, ids, count * sizeof *ids);
    lists->begin[++lists->count] = end;
    return true;
}

void id_lists_free(id_lists *lists)
{
    fr_free(lists->ids);
    fr_free(lists->begin);
    *lists = (id_lists){.count = 0};
}

int64_t id_lists_length(const id_lists *lists, int64_t i)
{
    return lists->begin[i + 1] - lists->begin[i];
}

/* ---- the form of a record ---- */

static fr_status check_text(const fr_examples *e, int64_t i, const char *field, fr_error *error)
{
    const char *text;
    return records_text(&e->records, i, field, &text, NULL, error);
}

static fr_status check_list(const fr_examples *e, int64_t i, const char *field, size_t *size,
                            fr_error *error)
{
    const json_t *list = json_object_get(e->records.items[i], field);
    if (!list)
        return records_missing(&e->records, i, field, error);
    if (!json_is_array(list) || !json_array_size(list))
        return RECORD_BAD(&e->records, i, error, "field '%s' is not a list of at least one", field);
    *size = json_array_size(list);
    return FR_OK;
}

static fr_status check_there(const fr_examples *e, int64_t i, const char *field, fr_error *error)
{
    const json_t *value = json_object_get(e->records.items[i], field);
    if (!value)
        return records_missing(&e->records, i, field, error);
    if (json_is_null(value) || (json_is_string(value) && !json_string_length(value)))
        return RECORD_BAD(&e->records, i, error, "field '%s' is empty", field);
    return FR_OK;
}

static fr_status check_strings(const fr_examples *e, int64_t i, const char *field, fr_error *error)
{
    const json_t *list = json_object_get(e->records.items[i], field);
    for (size_t k = 0; k < json_array_size(list); k++)
        if (!json_is_string(json_array_get(list, k)))
            return RECORD_BAD(&e->records, i, error, "item %zu of '%s' is no text", k, field);
    return FR_OK;
}

static fr_status check_tags(const fr_examples *e, int64_t i, fr_error *error)
{
    const char *words = examples_field(e, FIELD_WORDS), *tags = examples_field(e, FIELD_TAGS);
    size_t word_count = 0, tag_count = 0;
    FR_TRY(check_list(e, i, words, &word_count, error));
    FR_TRY(check_list(e, i, tags, &tag_count, error));
    if (word_count != tag_count)
        return RECORD_BAD(&e->records, i, error, "there are %zu '%s' and %zu '%s'", word_count,
                          words, tag_count, tags);
    return check_strings(e, i, words, error);
}

/* All records have as many choices as the first: a batch is a table. */
static fr_status check_choices(const fr_examples *e, int64_t i, fr_error *error)
{
    const char *field = examples_field(e, FIELD_CHOICES);
    size_t count = 0, first = 0;
    FR_TRY(check_list(e, 0, field, &first, error));
    FR_TRY(check_list(e, i, field, &count, error));
    if (count != first)
        return RECORD_BAD(&e->records, i, error,
                          "there are %zu '%s', in the first record there are %zu", count, field,
                          first);
    FR_TRY(check_strings(e, i, field, error));
    return check_there(e, i, examples_field(e, FIELD_LABEL), error);
}

/* Scores are for all pairs or for none. */
static fr_status check_pair(const fr_examples *e, int64_t i, fr_error *error)
{
    const char *field = examples_field(e, FIELD_SCORE);
    bool there = json_object_get(e->records.items[i], field) != NULL;
    if (there != examples_scored(e))
        return RECORD_BAD(&e->records, i, error, "there is %s field '%s', in the first record %s",
                          there ? "a" : "no", field, there ? "there is none" : "there is one");
    return check_text(e, i, examples_field(e, FIELD_POSITIVE), error);
}

static fr_status check_record(const fr_examples *e, int64_t i, fr_error *error)
{
    if (e->form == FR_EXAMPLES_TAGS)
        return check_tags(e, i, error);
    if (e->form == FR_EXAMPLES_IMAGES || e->form == FR_EXAMPLES_IMAGE_TEXTS)
        FR_TRY(check_text(e, i, examples_field(e, FIELD_IMAGE), error));
    if (e->form == FR_EXAMPLES_IMAGES)
        return check_there(e, i, examples_field(e, FIELD_LABEL), error);
    FR_TRY(check_text(e, i, examples_field(e, FIELD_TEXT), error));
    if (json_object_get(e->records.items[i], examples_field(e, FIELD_TEXT_PAIR)))
        FR_TRY(check_text(e, i, examples_field(e, FIELD_TEXT_PAIR), error));
    switch (e->form) {
    case FR_EXAMPLES_CLASSES:
        return check_there(e, i, examples_field(e, FIELD_LABEL), error);
    case FR_EXAMPLES_CHOICES:
        return check_choices(e, i, error);
    case FR_EXAMPLES_PAIRS:
        return check_pair(e, i, error);
    case FR_EXAMPLES_TARGETS:
        return check_text(e, i, examples_field(e, FIELD_TARGET), error);
    default:
        return FR_OK;
    }
}

const char *examples_field(const fr_examples *e, example_field field)
{
    const fr_example_options *o = e->options;
    const struct {
        const char *chosen, *usual;
    } names[] = {
        [FIELD_TEXT] = {o->text, "text"},
        [FIELD_TEXT_PAIR] = {o->text_pair, "text_pair"},
        [FIELD_LABEL] = {o->label, "label"},
        [FIELD_WORDS] = {o->words, "words"},
        [FIELD_TAGS] = {o->tags, "tags"},
        [FIELD_CHOICES] = {o->choices, "choices"},
        [FIELD_POSITIVE] = {o->positive, "positive"},
        [FIELD_SCORE] = {o->score, "score"},
        [FIELD_TARGET] = {o->target, "target"},
        [FIELD_IMAGE] = {o->image, "image"},
    };
    return names[field].chosen ? names[field].chosen : names[field].usual;
}

/* ---- opening and closing ---- */

fr_status fr_examples_open(fr_examples **out, const char *path, fr_example_form form,
                           const fr_example_options *options_, fr_error *error)
{
    *out = NULL;
    fr_examples *e = fr_alloc(sizeof *e, FR_MEMORY_DATA);
    if (!e)
        return fr_fail(error, FR_NO_MEMORY, "no memory for examples");
    e->form = form;
    e->options = options_;
    fr_status status = records_read(&e->records, path, error);
    for (int64_t i = 0; i < e->records.count && status == FR_OK; i++)
        status = check_record(e, i, error);
    if (status == FR_OK)
        *out = e;
    else
        fr_examples_close(e);
    return status;
}

void fr_examples_close(fr_examples *e)
{
    if (!e)
        return;
    records_free(&e->records);
    id_lists_free(&e->rows);
    id_lists_free(&e->types);
    id_lists_free(&e->tags);
    id_lists_free(&e->targets);
    fr_free(e->classes);
    fr_free(e->values);
    fr_free(e);
}

int64_t fr_examples_count(const fr_examples *e)
{
    return e->records.count;
}

/* ---- a part kept back ---- */

/* Room for `count` records of the same file. */
static fr_examples *like(const fr_examples *e, int64_t count)
{
    fr_examples *other = fr_alloc(sizeof *other, FR_MEMORY_DATA);
    if (!other)
        return NULL;
    other->form = e->form;
    other->options = e->options;
    other->records.path = fr_string_copy(e->records.path);
    other->records.items = fr_alloc_array((size_t)count, sizeof(json_t *), FR_MEMORY_DATA);
    other->records.lines = fr_alloc_array((size_t)count, sizeof(long), FR_MEMORY_DATA);
    if (other->records.path && other->records.items && other->records.lines)
        return other;
    fr_examples_close(other);
    return NULL;
}

fr_status fr_examples_split(fr_examples *e, double share, uint64_t seed, fr_examples **rest,
                            fr_error *error)
{
    records *from = &e->records;
    int64_t count = from->count, wanted = (int64_t)(share * (double)count + 0.5), kept = 0;
    *rest = NULL;
    if (share <= 0 || count < 2)
        return FR_OK;
    wanted = wanted < 1 ? 1 : wanted > count - 1 ? count - 1 : wanted;
    *rest = like(e, wanted);
    if (!*rest)
        return fr_fail(error, FR_NO_MEMORY, "no memory for examples");
    records *to = &(*rest)->records;
    for (int64_t i = 0; i < count; i++) {
        bool goes = (int64_t)fr_random_permute((uint64_t)i, (uint64_t)count, seed, FR_RANDOM_SPLIT,
                                               0) < wanted;
        records *side = goes ? to : from;
        int64_t at = goes ? to->count++ : kept++;
        side->items[at] = from->items[i];
        side->lines[at] = from->lines[i];
    }
    from->count = kept;
    return FR_OK;
}
