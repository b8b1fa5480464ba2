/* yaml.c: YAML text to a tree of nodes, through libyaml's events.

   Events and not its ready-made document, because only they show anchors, aliases and tags, which a recipe may not have: what a
   recipe says must stand where it is read. The limits keep hostile files from costing more than their size. */
#include "base/recipe.h"

#include <string.h>
#include <yaml.h>

typedef struct reader {
    yaml_parser_t parser;
    const char *file;
    size_t nodes;
    fr_error *error;
} reader;

static long line_of(const yaml_event_t *event)
{
    return (long)event->start_mark.line + 1;
}

static fr_status refuse(reader *r, const yaml_event_t *event, const char *what)
{
    return fr_fail_at(r->error, FR_BAD_INPUT, r->file, line_of(event), "%s", what);
}

static fr_status no_memory(reader *r)
{
    return fr_fail(r->error, FR_NO_MEMORY, "no memory to read %s", r->file);
}

/* The next event, into *event (deleted by the caller when FR_OK). */
static fr_status next_event(reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event))
        return FR_OK;
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "unreadable";
    if (p->error == YAML_MEMORY_ERROR)
        return no_memory(r);
    if (p->error == YAML_READER_ERROR)
        return fr_fail_at(r->error, FR_BAD_INPUT, r->file, 0, "not UTF-8 text at byte %zu: %s",
                          p->problem_offset, problem);
    return fr_fail_at(r->error, FR_BAD_INPUT, r->file, (long)p->problem_mark.line + 1,
                      "not valid YAML: %s%s%s", problem, p->context ? ", " : "",
                      p->context ? p->context : "");
}

static fr_status check_plain(reader *r, const yaml_event_t *event, const yaml_char_t *anchor,
                             const yaml_char_t *tag)
{
    if (anchor)
        return refuse(
            r, event,
            "found an anchor (&name); a recipe has none, write the value where it is used");
    if (tag)
        return refuse(r, event,
                      "found a tag (!name); a recipe has none, types come from the options");
    if (++r->nodes > FR_RECIPE_NODES)
        return refuse(r, event, "more than 100000 values, which no recipe needs");
    return FR_OK;
}

static fr_status read_node(reader *r, const yaml_event_t *event, int depth, fr_section **node);

/* Read the next event as a node; *end is set instead when it is the end of a collection. */
static fr_status read_next(reader *r, int depth, fr_section **node, bool *end)
{
    yaml_event_t event;
    FR_TRY(next_event(r, &event));
    *node = NULL;
    *end = event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
    fr_status status = *end ? FR_OK : read_node(r, &event, depth, node);
    yaml_event_delete(&event);
    return status;
}

static fr_status read_scalar(reader *r, const yaml_event_t *event, fr_section *node)
{
    size_t length = event->data.scalar.length;
    const char *value = (const char *)event->data.scalar.value;
    if (memchr(value, 0, length))
        return refuse(r, event, "found a zero byte inside a text");
    node->text = fr_string_copy_n(value, length);
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return node->text ? FR_OK : no_memory(r);
}

static fr_status read_sequence(reader *r, int depth, fr_section *node)
{
    for (;;) {
        fr_section *value;
        bool end;
        FR_TRY(read_next(r, depth + 1, &value, &end));
        if (end)
            return FR_OK;
        if (!fr_node_add(node, NULL, value->line, value))
            return no_memory(r);
    }
}

static fr_status check_key(reader *r, const fr_section *mapping, const fr_section *key)
{
    if (key->type != FR_NODE_SCALAR || (key->text[0] == 0))
        return fr_fail_at(r->error, FR_BAD_INPUT, r->file, key->line,
                          "found a key that is not a word");
    if (strcmp(key->text, "<<") == 0 && !key->quoted)
        return fr_fail_at(r->error, FR_BAD_INPUT, r->file, key->line,
                          "found a merge key (<<); a recipe has none, write the keys out");
    const fr_section_item *twin = fr_node_find(mapping, key->text);
    if (twin)
        return fr_fail_at(r->error, FR_BAD_INPUT, r->file, key->line,
                          "key '%s' is given twice, first in line %ld", key->text, twin->line);
    if (mapping->count >= FR_RECIPE_KEYS)
        return fr_fail_at(r->error, FR_BAD_INPUT, r->file, key->line,
                          "more than 4096 keys in one mapping");
    return FR_OK;
}

static fr_status read_mapping(reader *r, int depth, fr_section *node)
{
    for (;;) {
        fr_section *key, *value = NULL;
        bool end;
        FR_TRY(read_next(r, depth + 1, &key, &end));
        if (end)
            return FR_OK;
        fr_status status = check_key(r, node, key);
        if (status == FR_OK)
            status = read_next(r, depth + 1, &value, &end);
        if (status == FR_OK && !fr_node_add(node, key->text, key->line, value))
            status = no_memory(r);
        fr_node_free(key);
        FR_TRY(status);
    }
}

static fr_status read_content(reader *r, const yaml_event_t *event, int depth, fr_section *node)
{
    switch (node->type) {
    case FR_NODE_SCALAR:
        return read_scalar(r, event, node);
    case FR_NODE_SEQUENCE:
        return read_sequence(r, depth, node);
    default:
        return read_mapping(r, depth, node);
    }
}

static fr_status read_node(reader *r, const yaml_event_t *event, int depth, fr_section **result)
{
    fr_node_type type;
    const yaml_char_t *anchor, *tag;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        type = FR_NODE_SCALAR;
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        type = FR_NODE_SEQUENCE;
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        type = FR_NODE_MAPPING;
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default:
        return refuse(r, event,
                      "found an alias (*name); a recipe has none, write the value out or put "
                      "quotes around it");
    }
    FR_TRY(check_plain(r, event, anchor, tag));
    if (depth >= FR_RECIPE_DEPTH && type != FR_NODE_SCALAR)
        return refuse(r, event, "nested deeper than 16 levels");
    fr_section *node = fr_node_create(type, r->file, line_of(event));
    if (!node)
        return no_memory(r);
    fr_status status = read_content(r, event, depth, node);
    if (status == FR_OK)
        *result = node;
    else
        fr_node_free(node);
    return status;
}

/* Expect an event of one type and drop it; *found is set to what came. */
static fr_status skip(reader *r, yaml_event_type_t *found, long *line)
{
    yaml_event_t event;
    FR_TRY(next_event(r, &event));
    *found = event.type;
    *line = line_of(&event);
    yaml_event_delete(&event);
    return FR_OK;
}

static fr_status read_document(reader *r, fr_section **root)
{
    yaml_event_type_t found;
    long line;
    bool end;
    FR_TRY(skip(r, &found, &line)); /* the stream begins */
    FR_TRY(skip(r, &found, &line));
    if (found == YAML_STREAM_END_EVENT)
        return FR_OK;
    FR_TRY(read_next(r, 0, root, &end));
    FR_TRY(skip(r, &found, &line)); /* the document ends */
    FR_TRY(skip(r, &found, &line));
    if (found != YAML_STREAM_END_EVENT)
        return fr_fail_at(r->error, FR_BAD_INPUT, r->file, line,
                          "a second document begins (---), expected one");
    return FR_OK;
}

fr_status fr_yaml_parse(fr_section **root, const char *text, size_t size, const char *file,
                        fr_error *error)
{
    *root = NULL;
    reader r = {.file = file, .error = error};
    if (!yaml_parser_initialize(&r.parser))
        return no_memory(&r);
    bool mark = size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0;
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text + (mark ? 3 : 0),
                                 size - (mark ? 3 : 0));
    fr_status status = read_document(&r, root);
    yaml_parser_delete(&r.parser);
    if (status != FR_OK) {
        fr_node_free(*root);
        *root = NULL;
    }
    return status;
}
