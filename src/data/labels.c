/* labels.c: what examples are labelled with: classes by name or number, numbers, or several classes.

   A model's head has numbered classes, perhaps with names. Where the head has none yet they are made of the labels: names in the order
   of their bytes, so that the same file always gives the same numbers; or, where all labels are whole numbers, the numbers themselves. */
#include "data/examples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CLASSES = 100000 };

/* What the labels of a file look like. */
typedef struct look {
    bool any_list, any_real, any_name;
    bool any_number;                  /* in JSON; a table has text alone */
    int64_t first_name, first_number; /* records */
    int64_t largest;                  /* whole number; -1: none */
    int64_t width;                    /* of lists, of the first record */
    const char **names;
    size_t count, room;
} look;

static const char *label_field(const fr_examples *e)
{
    return examples_field(e, e->form == FR_EXAMPLES_TAGS ? FIELD_TAGS : FIELD_LABEL);
}

/* Text that is a whole number or a real one counts as it (tables of text have no other); "inf" and "0x1" are names. */
static bool text_number(const char *text, double *number)
{
    char *end;
    if (strspn(text, "+-.0123456789eE") != strlen(text))
        return false;
    *number = strtod(text, &end);
    return end != text && !*end && isfinite(*number);
}

static bool is_number(const json_t *value, double *number)
{
    if (json_is_boolean(value))
        *number = json_is_true(value);
    else if (json_is_number(value))
        *number = json_number_value(value);
    else
        return json_is_string(value) && text_number(json_string_value(value), number);
    return true;
}

/* "0.0" is a real although its value is whole. */
static bool is_whole(const json_t *value, double number)
{
    if (json_is_real(value))
        return false;
    if (json_is_string(value) && strpbrk(json_string_value(value), ".eE"))
        return false;
    return number >= 0 && number < MOST_CLASSES && number == (double)(int64_t)number;
}

/* ---- looking ---- */

static bool note_name(look *l, const char *name)
{
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 256;
        const char **grown = fr_realloc((void *)l->names, room * sizeof *grown, FR_MEMORY_DATA);
        if (!grown)
            return false;
        l->names = grown;
        l->room = room;
    }
    l->names[l->count++] = name;
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sort the names and keep each once. Done whenever many have gathered, so that memory follows the number of classes. */
static void sort_names(look *l)
{
    size_t kept = 0;
    if (l->count)
        qsort((void *)l->names, l->count, sizeof *l->names, by_bytes);
    for (size_t i = 0; i < l->count; i++)
        if (!kept || strcmp(l->names[kept - 1], l->names[i]) != 0)
            l->names[kept++] = l->names[i];
    l->count = kept;
}

static fr_status look_at(look *l, const fr_examples *e, int64_t i, const json_t *value,
                         fr_error *error)
{
    double number;
    if (is_number(value, &number)) {
        if (!is_whole(value, number))
            l->any_real = true;
        else if ((int64_t)number > l->largest)
            l->largest = (int64_t)number;
        if (!json_is_string(value)) {
            l->first_number = l->any_number ? l->first_number : i;
            l->any_number = true;
            return FR_OK;
        }
    } else if (!json_is_string(value)) {
        return RECORD_BAD(&e->records, i, error, "field '%s' is neither a name nor a number",
                          label_field(e));
    } else {
        l->first_name = l->any_name ? l->first_name : i;
        l->any_name = true;
    }
    if (l->count == l->room && l->count > MOST_CLASSES)
        sort_names(l);
    if (!note_name(l, json_string_value(value)))
        return fr_fail(error, FR_NO_MEMORY, "no memory for the labels");
    return FR_OK;
}

static fr_status look_at_all(look *l, const fr_examples *e, fr_error *error)
{
    const char *field = label_field(e);
    l->largest = -1;
    for (int64_t i = 0; i < e->records.count; i++) {
        const json_t *value = json_object_get(e->records.items[i], field);
        if (!json_is_array(value)) {
            FR_TRY(look_at(l, e, i, value, error));
            continue;
        }
        l->any_list = true;
        if (i == 0)
            l->width = (int64_t)json_array_size(value);
        for (size_t k = 0; k < json_array_size(value); k++)
            FR_TRY(look_at(l, e, i, json_array_get(value, k), error));
    }
    sort_names(l);
    if (l->any_name && l->any_number)
        return RECORD_BAD(&e->records, l->first_number, error,
                          "field '%s' is a number, in line %ld it is a name", field,
                          e->records.lines[l->first_name]);
    return FR_OK;
}

/* ---- the head ---- */

static fr_problem problem_of(const look *l, const fr_examples *e)
{
    if (e->options->problem)
        return (fr_problem)(e->options->problem - 1);
    if (e->form == FR_EXAMPLES_TAGS)
        return FR_PROBLEM_SINGLE_LABEL;
    if (l->any_real && !l->any_name)
        return FR_PROBLEM_REGRESSION;
    return l->any_list ? FR_PROBLEM_MULTI_LABEL : FR_PROBLEM_SINGLE_LABEL;
}

static fr_status name_classes(fr_model_head *head, const look *l, fr_error *error)
{
    if (!l->any_name) {
        head->labels = l->largest + 1;
        return FR_OK;
    }
    const fr_strings names = {.items = (char **)l->names, .count = l->count};
    head->labels = (int64_t)l->count;
    if (!fr_strings_copy(&head->names, &names))
        return fr_fail(error, FR_NO_MEMORY, "no memory for the labels");
    return FR_OK;
}

static fr_status make_classes(const fr_examples *e, const look *l, fr_model_head *head,
                              fr_error *error)
{
    head->problem = problem_of(l, e);
    if (head->problem == FR_PROBLEM_REGRESSION) {
        head->labels = l->any_list ? l->width : 1;
        return FR_OK;
    }
    FR_TRY(name_classes(head, l, error));
    int64_t least = head->problem == FR_PROBLEM_SINGLE_LABEL ? 2 : 1;
    if (head->labels >= least && head->labels <= MOST_CLASSES)
        return FR_OK;
    return fr_fail_at(error, FR_BAD_INPUT, e->records.path, 0,
                      "field '%s' gives %lld classes, expected %lld to %d", label_field(e),
                      (long long)head->labels, (long long)least, MOST_CLASSES);
}

/* The head that a folder has is for one kind of label. */
static fr_status check_problem(const fr_examples *e, const fr_model_head *head, fr_error *error)
{
    int wanted = e->options->problem;
    if (e->form == FR_EXAMPLES_TAGS || !wanted || (fr_problem)(wanted - 1) == head->problem)
        return FR_OK;
    return fr_fail(error, FR_BAD_INPUT,
                   "data.examples.problem is %s, the model's head is for %s; model.new_head=true "
                   "begins with a new one",
                   fr_problem_names[wanted - 1], fr_problem_names[head->problem]);
}

fr_status fr_examples_head(const fr_examples *e, fr_model_head *head, fr_error *error)
{
    if (e->form != FR_EXAMPLES_CLASSES && e->form != FR_EXAMPLES_TAGS &&
        e->form != FR_EXAMPLES_IMAGES)
        return FR_OK;
    if (head->labels > 0)
        return check_problem(e, head, error);
    look l = {.count = 0};
    fr_status status = look_at_all(&l, e, error);
    if (status == FR_OK)
        status = make_classes(e, &l, head, error);
    fr_free((void *)l.names);
    return status;
}

/* ---- numbers of a record ---- */

/* "field 'label': \"good\" is not one of the model's 2 classes (bad, fine)" */
static fr_status unknown(const fr_examples *e, int64_t record, const json_t *value,
                         const fr_model_head *head, fr_error *error)
{
    enum { SHOWN = 8 };
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    fr_buffer names = {0};
    for (size_t i = 0; i < head->names.count && i < SHOWN; i++)
        fr_buffer_printf(&names, "%s%.32s", i ? ", " : "", head->names.items[i]);
    if (!names.size)
        fr_buffer_printf(&names, "0 to %lld", (long long)head->labels - 1);
    else if (head->names.count > SHOWN)
        fr_buffer_text(&names, ", ...");
    const char *field = examples_field(e, e->form == FR_EXAMPLES_TAGS ? FIELD_TAGS : FIELD_LABEL);
    RECORD_BAD(&e->records, record, error, "field '%s': %.64s is not one of the %lld classes (%s)",
               field, text ? text : "it", (long long)head->labels, names.failed ? "" : names.data);
    fr_buffer_free(&names);
    free(text);
    return FR_BAD_INPUT;
}

fr_status labels_class(const fr_examples *e, int64_t record, const json_t *value,
                       const fr_model_head *head, int32_t *out, fr_error *error)
{
    double number;
    if (json_is_string(value))
        for (size_t i = 0; i < head->names.count; i++)
            if (strcmp(head->names.items[i], json_string_value(value)) == 0) {
                *out = (int32_t)i;
                return FR_OK;
            }
    if (!is_number(value, &number) || !is_whole(value, number) || number >= (double)head->labels ||
        (json_is_string(value) && head->names.count))
        return unknown(e, record, value, head, error);
    *out = (int32_t)number;
    return FR_OK;
}

/* Classes of a list as zeros and ones. */
static fr_status several(const fr_examples *e, int64_t record, const json_t *list,
                         const fr_model_head *head, float *out, fr_error *error)
{
    memset(out, 0, (size_t)head->labels * sizeof *out);
    for (size_t k = 0; k < json_array_size(list); k++) {
        int32_t class = 0;
        FR_TRY(labels_class(e, record, json_array_get(list, k), head, &class, error));
        out[class] = 1;
    }
    return FR_OK;
}

fr_status labels_values(const fr_examples *e, int64_t record, const fr_model_head *head, float *out,
                        int64_t width, fr_error *error)
{
    example_field field = e->form == FR_EXAMPLES_PAIRS ? FIELD_SCORE : FIELD_LABEL;
    const char *name = examples_field(e, field);
    const json_t *value = json_object_get(e->records.items[record], name);
    if (field == FIELD_LABEL && head->problem == FR_PROBLEM_MULTI_LABEL) {
        if (!json_is_array(value))
            return RECORD_BAD(&e->records, record, error, "field '%s' is not a list of classes",
                              name);
        return several(e, record, value, head, out, error);
    }
    for (int64_t k = 0; k < width; k++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, (size_t)k) : value;
        double number;
        if ((json_is_array(value) && json_array_size(value) != (size_t)width) ||
            (!json_is_array(value) && width != 1) || !is_number(item, &number))
            return RECORD_BAD(&e->records, record, error, "field '%s': expected %lld numbers", name,
                              (long long)width);
        out[k] = (float)number;
    }
    return FR_OK;
}
