/* make_request.c: what a job of `frugal make` was asked for, written before anything else is done, so that a job that was killed at
   any instant can begin again or go on with nothing but its folder. */
#include "cli/make_request.h"

#include "frugal/formats.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 64 << 20 };

static fr_status no_memory(fr_error *error)
{
    return fr_fail(error, FR_NO_MEMORY, "no memory for what the job was asked for");
}

static bool make_room(fr_strings *strings, size_t count)
{
    strings->items = fr_alloc_array(count ? count : 1, sizeof *strings->items, FR_MEMORY_OTHER);
    strings->count = 0;
    return strings->items;
}

static bool add(fr_strings *strings, const char *text)
{
    char *copy = text ? fr_string_copy(text) : NULL;
    if (copy)
        strings->items[strings->count++] = copy;
    return copy;
}

fr_status make_request_take(make_request *request, const char *const *texts, size_t text_count,
                            const char *const *words, size_t word_count, fr_error *error)
{
    bool taken = make_room(&request->texts, text_count) && make_room(&request->words, word_count);
    for (size_t i = 0; taken && i < text_count; i++) {
        char *absolute = realpath(texts[i], NULL); /* NULL: reading will say what is wrong */
        taken = add(&request->texts, absolute ? absolute : texts[i]);
        free(absolute);
    }
    for (size_t i = 0; taken && i < word_count; i++)
        taken = add(&request->words, words[i]);
    return taken ? FR_OK : no_memory(error);
}

void make_request_free(make_request *request)
{
    fr_strings_free(&request->texts);
    fr_strings_free(&request->words);
    fr_free(request->budget);
    fr_free(request->from);
    fr_free(request->reason);
    *request = (make_request){0};
}

/* ---- make.json ---- */

/* A name that is not UTF-8 cannot stand in JSON: the whole list is left out then, and --resume needs it said again. */
static json_t *list_json(const fr_strings *strings)
{
    json_t *list = json_array();
    for (size_t i = 0; i < strings->count; i++)
        if (json_array_append_new(list, json_string(strings->items[i])) != 0) {
            json_decref(list);
            return json_array();
        }
    return list;
}

fr_status make_request_write(const make_request *request, const char *run, fr_error *error)
{
    json_t *json = json_pack("{s:s, s:s*, s:f, s:I, s:o, s:o, s:f, s:s}", "budget", request->budget,
                             "from", request->from, "price_per_hour", request->price_per_hour,
                             "seed", (json_int_t)request->seed, "texts", list_json(&request->texts),
                             "words", list_json(&request->words), "spent_before_training",
                             request->spent, "reason", request->reason ? request->reason : "");
    return fr_json_write(run, "make.json", json, error);
}

static fr_status read_list(const json_t *list, fr_strings *strings, fr_error *error)
{
    if (!make_room(strings, json_array_size(list)))
        return no_memory(error);
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) if (!add(strings, json_string_value(item))) return fr_fail(
        error, FR_BAD_INPUT, "a list holds what is no string");
    return FR_OK;
}

static fr_status unpack(make_request *request, const json_t *json, fr_error *error)
{
    json_error_t where;
    const char *budget, *reason, *from = NULL;
    json_t *texts, *words;
    json_int_t seed;
    if (json_unpack_ex((json_t *)json, &where, 0, "{s:s, s?s, s:F, s:I, s:o, s:o, s:F, s:s}",
                       "budget", &budget, "from", &from, "price_per_hour", &request->price_per_hour,
                       "seed", &seed, "texts", &texts, "words", &words, "spent_before_training",
                       &request->spent, "reason", &reason) != 0)
        return fr_fail(error, FR_BAD_INPUT, "%s", where.text);
    request->seed = seed;
    request->budget = fr_string_copy(budget);
    request->reason = fr_string_copy(reason);
    request->from = from ? fr_string_copy(from) : NULL;
    if (!request->budget || !request->reason || (from && !request->from))
        return no_memory(error);
    FR_TRY(read_list(texts, &request->texts, error));
    return read_list(words, &request->words, error);
}

fr_status make_request_read(make_request *request, const char *run, fr_error *error)
{
    char *path = fr_path_join(run, "make.json"), *text = NULL;
    size_t size = 0;
    json_error_t where;
    *request = (make_request){0};
    fr_status status =
        path ? fr_file_read(path, MOST_BYTES, &text, &size, error) : no_memory(error);
    json_t *json = status == FR_OK ? json_loadb(text, size, JSON_REJECT_DUPLICATES, &where) : NULL;
    if (status == FR_OK && !json)
        status = fr_fail_at(error, FR_BAD_INPUT, path, where.line, "%s", where.text);
    else if (status == FR_OK && (status = unpack(request, json, error)) != FR_OK)
        fr_error_prefix(error, "%s", path);
    json_decref(json);
    fr_free(text);
    fr_free(path);
    return status;
}

/* ---- said again ---- */

static fr_status other(const char *what, const char *then, const char *now, fr_error *error)
{
    return fr_fail(error, FR_BAD_INPUT,
                   "the job was begun with %s%s, now it is %s; leave it out to go on, or make "
                   "another model in another folder",
                   what, then, now);
}

static fr_status same_list(const char *what, const fr_strings *then, const fr_strings *now,
                           fr_error *error)
{
    if (now->count == 0 || then->count == 0)
        return FR_OK;
    for (size_t i = 0; i < then->count || i < now->count; i++) {
        const char *a = i < then->count ? then->items[i] : "nothing";
        const char *b = i < now->count ? now->items[i] : "left out";
        if (strcmp(a, b) != 0)
            return other(what, a, b, error);
    }
    return FR_OK;
}

static fr_status same_number(const char *what, double then, double now, fr_error *error)
{
    char a[32], b[32];
    snprintf(a, sizeof a, "%.15g", then);
    snprintf(b, sizeof b, "%.15g", now);
    return then == now ? FR_OK : other(what, a, b, error);
}

fr_status make_request_agree(const make_request *request, const make_request *again,
                             fr_error *error)
{
    if (again->budget && strcmp(again->budget, request->budget) != 0)
        return other("--budget ", request->budget, again->budget, error);
    if (again->from && (!request->from || strcmp(again->from, request->from) != 0))
        return other("--from ", request->from ? request->from : "no model", again->from, error);
    if (again->price_per_hour > 0)
        FR_TRY(same_number("--price-per-hour ", request->price_per_hour, again->price_per_hour,
                           error));
    if (again->seed >= 0)
        FR_TRY(same_number("--seed ", (double)request->seed, (double)again->seed, error));
    FR_TRY(same_list("the text ", &request->texts, &again->texts, error));
    for (size_t i = 0; i < again->words.count; i++) {
        bool known = false;
        for (size_t k = 0; !known && k < request->words.count; k++)
            known = strcmp(again->words.items[i], request->words.items[k]) == 0;
        if (!known)
            return other("", "other words", again->words.items[i], error);
    }
    return FR_OK;
}
