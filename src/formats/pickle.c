/* pickle.c: reading a pickle without executing it.

   A pickle is a program for a stack machine, and its GLOBAL and REDUCE instructions call any function of Python: a file of weights may
   run any command. What torch.save writes for a state dict needs a few instructions and a dozen classes, and these are all that is
   known here. Instructions that are not in the table below, and classes that are not in pickle_objects.c, are refused by name. The
   machine makes values of its own and calls nothing.

   Bounds: a value is made by at least one byte of the file, their number is limited, containers take what is on the stack, so
   memory and time are linear in the size of the file. Source: Python's Lib/pickletools.py, which describes every instruction. */
#include "formats/pickle_reader.h"

#include "formats/text.h"

#include <string.h>

enum { MOST_VALUES = 4 << 20, HIGHEST_PROTOCOL = 5, LOWEST_PROTOCOL = 2 };

const char *pickle_type_name(pickle_type type)
{
    static const char *const names[PICKLE_TYPES] = {
        "a mark",  "None",   "a bool", "an integer", "a float",   "a text",  "bytes",
        "a tuple", "a list", "a dict", "a class",    "a storage", "a tensor"};
    return (unsigned)type < PICKLE_TYPES ? names[type] : "?";
}

/* ---- memory, stack and memo ---- */

fr_status pickle_take(pickle_reader *r, size_t bytes, void **block)
{
    *block = fr_arena_alloc(r->arena, bytes);
    if (!*block)
        return fr_fail(r->error, FR_NO_MEMORY, "no memory to read %s", r->path);
    memset(*block, 0, bytes);
    return FR_OK;
}

fr_status pickle_count(pickle_reader *r, size_t more)
{
    r->values += more;
    if (r->values > MOST_VALUES)
        return PICKLE_FAIL(r, FR_UNSUPPORTED, "it has more than %d values", MOST_VALUES);
    return FR_OK;
}

fr_status pickle_new(pickle_reader *r, pickle_type type, pickle_value **value)
{
    FR_TRY(pickle_count(r, 1));
    void *block;
    FR_TRY(pickle_take(r, sizeof **value, &block));
    *value = block;
    (*value)->type = type;
    return FR_OK;
}

/* Room for `count` + 1 pointers in a list of the heap. */
static fr_status reserve(pickle_reader *r, pickle_value ***list, size_t *room, size_t count)
{
    if (count < *room)
        return FR_OK;
    size_t wanted = count < 32 ? 64 : 2 * count;
    void *larger = fr_realloc((void *)*list, wanted * sizeof **list, FR_MEMORY_OTHER);
    if (!larger)
        return fr_fail(r->error, FR_NO_MEMORY, "no memory to read %s", r->path);
    *list = larger;
    *room = wanted;
    return FR_OK;
}

static fr_status push(pickle_reader *r, pickle_value *value)
{
    FR_TRY(reserve(r, &r->stack, &r->stack_room, r->depth));
    r->stack[r->depth++] = value;
    return FR_OK;
}

static fr_status push_number(pickle_reader *r, pickle_type type, int64_t number)
{
    pickle_value *value;
    FR_TRY(pickle_new(r, type, &value));
    value->number = number;
    return push(r, value);
}

/* The value `below` the top; marks are not values. */
static fr_status look(pickle_reader *r, size_t below, pickle_value **value)
{
    if (r->depth <= below)
        return PICKLE_FAIL(r, FR_BAD_INPUT, "takes more from the stack than is there");
    *value = r->stack[r->depth - 1 - below];
    if ((*value)->type == PICKLE_MARK)
        return PICKLE_FAIL(r, FR_BAD_INPUT, "takes a mark for a value");
    return FR_OK;
}

static fr_status pop(pickle_reader *r, pickle_value **value)
{
    FR_TRY(look(r, 0, value));
    r->depth--;
    return FR_OK;
}

/* Where the values above the last mark begin. */
static fr_status find_mark(pickle_reader *r, size_t *first)
{
    for (*first = r->depth; *first > 0; --*first)
        if (r->stack[*first - 1]->type == PICKLE_MARK)
            return FR_OK;
    return PICKLE_FAIL(r, FR_BAD_INPUT, "there is no mark on the stack");
}

static fr_status memo_put(pickle_reader *r, uint64_t place)
{
    pickle_value *value;
    FR_TRY(look(r, 0, &value));
    /* picklers number in order, Python 2's from 1 on */
    if (place > r->memo_count + 1)
        return PICKLE_FAIL(r, FR_BAD_INPUT, "memo place %llu is out of order",
                           (unsigned long long)place);
    while (r->memo_count <= place) {
        FR_TRY(reserve(r, &r->memo, &r->memo_room, r->memo_count));
        r->memo[r->memo_count++] = NULL;
    }
    r->memo[place] = value;
    return FR_OK;
}

static fr_status memo_get(pickle_reader *r, uint64_t place)
{
    if (place >= r->memo_count || !r->memo[place])
        return PICKLE_FAIL(r, FR_BAD_INPUT, "memo place %llu is empty", (unsigned long long)place);
    return push(r, r->memo[place]);
}

/* ---- arguments of instructions ---- */

static fr_status take(pickle_reader *r, size_t count, const unsigned char **bytes)
{
    if (count > (size_t)(r->end - r->at))
        return PICKLE_FAIL(r, FR_BAD_INPUT, "claims %zu bytes, but %zu are left", count,
                           (size_t)(r->end - r->at));
    *bytes = r->at;
    r->at += count;
    return FR_OK;
}

static fr_status take_number(pickle_reader *r, size_t bytes, uint64_t *number)
{
    const unsigned char *at;
    FR_TRY(take(r, bytes, &at));
    *number = 0;
    for (size_t i = 0; i < bytes; i++)
        *number |= (uint64_t)at[i] << (8 * i);
    return FR_OK;
}

/* A text or bytes whose length is a number of `width` bytes. */
static fr_status push_text(pickle_reader *r, pickle_type type, size_t width)
{
    uint64_t size;
    const unsigned char *bytes;
    FR_TRY(take_number(r, width, &size));
    FR_TRY(take(r, size, &bytes));
    pickle_value *value;
    void *copy;
    FR_TRY(pickle_new(r, type, &value));
    FR_TRY(pickle_take(r, size + 1, &copy));
    memcpy(copy, bytes, size);
    value->text = copy;
    value->size = size;
    if (type == PICKLE_TEXT && !is_plain_text(value->text, size))
        value->type = PICKLE_BYTES;
    return push(r, value);
}

/* One of GLOBAL's two lines. */
static fr_status take_line(pickle_reader *r, char *line, size_t room)
{
    const unsigned char *end = memchr(r->at, '\n', (size_t)(r->end - r->at));
    size_t size = end ? (size_t)(end - r->at) : room;
    if (size >= room || !is_plain_text((const char *)r->at, size))
        return PICKLE_FAIL(r, FR_BAD_INPUT, "the name of a class is not a short line of text");
    memcpy(line, r->at, size);
    line[size] = 0;
    r->at = end + 1;
    return FR_OK;
}

/* ---- instructions: constants ---- */

static fr_status protocol(pickle_reader *r)
{
    uint64_t number;
    FR_TRY(take_number(r, 1, &number));
    if (number < LOWEST_PROTOCOL || number > HIGHEST_PROTOCOL)
        return PICKLE_FAIL(r, FR_UNSUPPORTED, "pickle protocol %d is not read (known: %d to %d)",
                           (int)number, LOWEST_PROTOCOL, HIGHEST_PROTOCOL);
    return FR_OK;
}

static fr_status frame(pickle_reader *r)
{
    uint64_t length;
    FR_TRY(take_number(r, 8, &length));
    if (length > (size_t)(r->end - r->at))
        return PICKLE_FAIL(r, FR_BAD_INPUT, "a frame of %llu bytes leaves the pickle",
                           (unsigned long long)length);
    return FR_OK;
}

static fr_status none(pickle_reader *r)
{
    return push_number(r, PICKLE_NONE, 0);
}

static fr_status new_true(pickle_reader *r)
{
    return push_number(r, PICKLE_BOOL, 1);
}

static fr_status new_false(pickle_reader *r)
{
    return push_number(r, PICKLE_BOOL, 0);
}

static fr_status push_unsigned(pickle_reader *r, size_t width)
{
    uint64_t number;
    FR_TRY(take_number(r, width, &number));
    return push_number(r, PICKLE_INT, (int64_t)number);
}

static fr_status bin_int1(pickle_reader *r)
{
    return push_unsigned(r, 1);
}

static fr_status bin_int2(pickle_reader *r)
{
    return push_unsigned(r, 2);
}

static fr_status bin_int(pickle_reader *r)
{
    uint64_t number;
    FR_TRY(take_number(r, 4, &number));
    return push_number(r, PICKLE_INT, (int32_t)(uint32_t)number);
}

static fr_status long1(pickle_reader *r)
{
    uint64_t size, number = 0;
    FR_TRY(take_number(r, 1, &size));
    if (size > sizeof number)
        return PICKLE_FAIL(r, FR_UNSUPPORTED, "an integer of %d bytes is not read", (int)size);
    FR_TRY(take_number(r, size, &number));
    if (size > 0 && size < sizeof number && number >> (8 * size - 1))
        number |= UINT64_MAX << (8 * size);
    return push_number(r, PICKLE_INT, (int64_t)number);
}

/* Its value is never needed. */
static fr_status bin_float(pickle_reader *r)
{
    const unsigned char *bytes;
    FR_TRY(take(r, 8, &bytes));
    return push_number(r, PICKLE_FLOAT, 0);
}

static fr_status short_text(pickle_reader *r)
{
    return push_text(r, PICKLE_TEXT, 1);
}

static fr_status text(pickle_reader *r)
{
    return push_text(r, PICKLE_TEXT, 4);
}

static fr_status long_text(pickle_reader *r)
{
    return push_text(r, PICKLE_TEXT, 8);
}

static fr_status short_bytes(pickle_reader *r)
{
    return push_text(r, PICKLE_BYTES, 1);
}

static fr_status bytes(pickle_reader *r)
{
    return push_text(r, PICKLE_BYTES, 4);
}

/* ---- instructions: the memo ---- */

static fr_status put_numbered(pickle_reader *r, size_t width)
{
    uint64_t place;
    FR_TRY(take_number(r, width, &place));
    return memo_put(r, place);
}

static fr_status get_numbered(pickle_reader *r, size_t width)
{
    uint64_t place;
    FR_TRY(take_number(r, width, &place));
    return memo_get(r, place);
}

static fr_status bin_put(pickle_reader *r)
{
    return put_numbered(r, 1);
}

static fr_status long_bin_put(pickle_reader *r)
{
    return put_numbered(r, 4);
}

static fr_status memoize(pickle_reader *r)
{
    return memo_put(r, r->memo_count);
}

static fr_status bin_get(pickle_reader *r)
{
    return get_numbered(r, 1);
}

static fr_status long_bin_get(pickle_reader *r)
{
    return get_numbered(r, 4);
}

/* ---- instructions: containers ---- */

static fr_status mark(pickle_reader *r)
{
    static pickle_value the_mark = {.type = PICKLE_MARK};
    return push(r, &the_mark);
}

static fr_status empty(pickle_reader *r, pickle_type type)
{
    pickle_value *value;
    FR_TRY(pickle_new(r, type, &value));
    return push(r, value);
}

static fr_status empty_tuple(pickle_reader *r)
{
    return empty(r, PICKLE_TUPLE);
}

static fr_status empty_list(pickle_reader *r)
{
    return empty(r, PICKLE_LIST);
}

static fr_status empty_dict(pickle_reader *r)
{
    return empty(r, PICKLE_DICT);
}

/* A tuple of the values from `first` on, in their place. */
static fr_status tuple_from(pickle_reader *r, size_t first, size_t left)
{
    pickle_value *tuple;
    void *items;
    FR_TRY(pickle_new(r, PICKLE_TUPLE, &tuple));
    tuple->count = tuple->room = r->depth - first;
    FR_TRY(pickle_take(r, (tuple->count + 1) * sizeof *tuple->items, &items));
    tuple->items = items;
    memcpy((void *)tuple->items, (void *)(r->stack + first), tuple->count * sizeof *tuple->items);
    r->depth = left;
    return push(r, tuple);
}

static fr_status tuple(pickle_reader *r)
{
    size_t first;
    FR_TRY(find_mark(r, &first));
    return tuple_from(r, first, first - 1);
}

static fr_status short_tuple(pickle_reader *r, size_t count)
{
    pickle_value *value;
    for (size_t i = 0; i < count; i++)
        FR_TRY(look(r, i, &value));
    return tuple_from(r, r->depth - count, r->depth - count);
}

static fr_status tuple1(pickle_reader *r)
{
    return short_tuple(r, 1);
}

static fr_status tuple2(pickle_reader *r)
{
    return short_tuple(r, 2);
}

static fr_status tuple3(pickle_reader *r)
{
    return short_tuple(r, 3);
}

/* The container below the mark (or below `count` values) takes them. */
static fr_status extend(pickle_reader *r, pickle_type type, size_t first, size_t left)
{
    size_t count = r->depth - first;
    pickle_value *container = left > 0 ? r->stack[left - 1] : NULL;
    if (!container || container->type != type)
        return PICKLE_FAIL(r, FR_BAD_INPUT, "adds to %s, expected %s",
                           container ? pickle_type_name(container->type) : "nothing",
                           pickle_type_name(type));
    if (type == PICKLE_DICT && count % 2 != 0)
        return PICKLE_FAIL(r, FR_BAD_INPUT, "a key has no value");
    for (size_t i = first; i < r->depth; i++) {
        if (r->stack[i]->type == PICKLE_MARK)
            return PICKLE_FAIL(r, FR_BAD_INPUT, "takes a mark for a value");
        FR_TRY(pickle_append(r, container, r->stack[i]));
    }
    r->depth = left;
    return FR_OK;
}

static fr_status extend_marked(pickle_reader *r, pickle_type type)
{
    size_t first;
    FR_TRY(find_mark(r, &first));
    return extend(r, type, first, first - 1);
}

static fr_status append(pickle_reader *r)
{
    pickle_value *item;
    FR_TRY(look(r, 0, &item));
    return extend(r, PICKLE_LIST, r->depth - 1, r->depth - 1);
}

static fr_status appends(pickle_reader *r)
{
    return extend_marked(r, PICKLE_LIST);
}

static fr_status set_item(pickle_reader *r)
{
    pickle_value *item;
    FR_TRY(look(r, 1, &item));
    return extend(r, PICKLE_DICT, r->depth - 2, r->depth - 2);
}

static fr_status set_items(pickle_reader *r)
{
    return extend_marked(r, PICKLE_DICT);
}

/* ---- instructions: objects ---- */

static fr_status global(pickle_reader *r)
{
    char module[256], name[256];
    pickle_value *value;
    FR_TRY(take_line(r, module, sizeof module));
    FR_TRY(take_line(r, name, sizeof name));
    FR_TRY(pickle_class(r, module, name, &value));
    return push(r, value);
}

static fr_status stack_global(pickle_reader *r)
{
    pickle_value *module, *name, *value;
    FR_TRY(pop(r, &name));
    FR_TRY(pop(r, &module));
    if (module->type != PICKLE_TEXT || name->type != PICKLE_TEXT)
        return PICKLE_FAIL(r, FR_BAD_INPUT, "the name of a class is %s, expected a text",
                           pickle_type_name(module->type));
    FR_TRY(pickle_class(r, module->text, name->text, &value));
    return push(r, value);
}

static fr_status reduce(pickle_reader *r)
{
    pickle_value *arguments, *callee, *value;
    FR_TRY(pop(r, &arguments));
    FR_TRY(pop(r, &callee));
    FR_TRY(pickle_call(r, callee, arguments, &value));
    return push(r, value);
}

/* An ordered dict may carry attributes (_metadata: versions of modules), which say nothing about the tensors. */
static fr_status build(pickle_reader *r)
{
    pickle_value *state, *object;
    FR_TRY(pop(r, &state));
    FR_TRY(look(r, 0, &object));
    if (object->type != PICKLE_DICT || state->type != PICKLE_DICT)
        return PICKLE_FAIL(r, FR_UNSUPPORTED,
                           "BUILD of %s with %s is not read (only a dict's attributes are)",
                           pickle_type_name(object->type), pickle_type_name(state->type));
    return FR_OK;
}

static fr_status persistent(pickle_reader *r)
{
    pickle_value *id, *value;
    FR_TRY(pop(r, &id));
    FR_TRY(pickle_persistent(r, id, &value));
    return push(r, value);
}

static fr_status stop(pickle_reader *r)
{
    if (r->depth != 1 || r->stack[0]->type == PICKLE_MARK)
        return PICKLE_FAIL(r, FR_BAD_INPUT, "the pickle ends with %zu values, expected one",
                           r->depth);
    r->done = true;
    return FR_OK;
}

/* ---- the table ---- */

/* By code; without a function: refused by its name. */
static const struct {
    fr_status (*run)(pickle_reader *r);
    const char *name;
} instructions[256] = {
    [0x80] = {protocol, "PROTO"},
    [0x95] = {frame, "FRAME"},
    ['N'] = {none, "NONE"},
    [0x88] = {new_true, "NEWTRUE"},
    [0x89] = {new_false, "NEWFALSE"},
    ['K'] = {bin_int1, "BININT1"},
    ['M'] = {bin_int2, "BININT2"},
    ['J'] = {bin_int, "BININT"},
    [0x8a] = {long1, "LONG1"},
    ['G'] = {bin_float, "BINFLOAT"},
    ['U'] = {short_text, "SHORT_BINSTRING"},
    ['T'] = {text, "BINSTRING"},
    [0x8c] = {short_text, "SHORT_BINUNICODE"},
    ['X'] = {text, "BINUNICODE"},
    [0x8d] = {long_text, "BINUNICODE8"},
    ['C'] = {short_bytes, "SHORT_BINBYTES"},
    ['B'] = {bytes, "BINBYTES"},
    ['q'] = {bin_put, "BINPUT"},
    ['r'] = {long_bin_put, "LONG_BINPUT"},
    [0x94] = {memoize, "MEMOIZE"},
    ['h'] = {bin_get, "BINGET"},
    ['j'] = {long_bin_get, "LONG_BINGET"},
    ['('] = {mark, "MARK"},
    [')'] = {empty_tuple, "EMPTY_TUPLE"},
    [']'] = {empty_list, "EMPTY_LIST"},
    ['}'] = {empty_dict, "EMPTY_DICT"},
    ['t'] = {tuple, "TUPLE"},
    [0x85] = {tuple1, "TUPLE1"},
    [0x86] = {tuple2, "TUPLE2"},
    [0x87] = {tuple3, "TUPLE3"},
    ['a'] = {append, "APPEND"},
    ['e'] = {appends, "APPENDS"},
    ['s'] = {set_item, "SETITEM"},
    ['u'] = {set_items, "SETITEMS"},
    ['c'] = {global, "GLOBAL"},
    [0x93] = {stack_global, "STACK_GLOBAL"},
    ['R'] = {reduce, "REDUCE"},
    ['b'] = {build, "BUILD"},
    ['Q'] = {persistent, "BINPERSID"},
    ['.'] = {stop, "STOP"},
    ['i'] = {NULL, "INST"},
    ['o'] = {NULL, "OBJ"},
    [0x81] = {NULL, "NEWOBJ"},
    [0x92] = {NULL, "NEWOBJ_EX"},
    [0x82] = {NULL, "EXT1"},
    [0x83] = {NULL, "EXT2"},
    [0x84] = {NULL, "EXT4"},
    ['P'] = {NULL, "PERSID"},
    ['0'] = {NULL, "POP"},
    ['1'] = {NULL, "POP_MARK"},
    ['2'] = {NULL, "DUP"},
    ['I'] = {NULL, "INT"},
    ['L'] = {NULL, "LONG"},
    [0x8b] = {NULL, "LONG4"},
    ['F'] = {NULL, "FLOAT"},
    ['S'] = {NULL, "STRING"},
    ['V'] = {NULL, "UNICODE"},
    ['g'] = {NULL, "GET"},
    ['p'] = {NULL, "PUT"},
    ['d'] = {NULL, "DICT"},
    ['l'] = {NULL, "LIST"},
    [0x8e] = {NULL, "BINBYTES8"},
    [0x8f] = {NULL, "EMPTY_SET"},
    [0x90] = {NULL, "ADDITEMS"},
    [0x91] = {NULL, "FROZENSET"},
    [0x96] = {NULL, "BYTEARRAY8"},
    [0x97] = {NULL, "NEXT_BUFFER"},
    [0x98] = {NULL, "READONLY_BUFFER"},
};

static fr_status run(pickle_reader *r)
{
    while (!r->done) {
        if (r->at == r->end)
            return PICKLE_FAIL(r, FR_BAD_INPUT, "the pickle does not end");
        unsigned code = *r->at;
        if (!instructions[code].name)
            return PICKLE_FAIL(r, FR_BAD_INPUT, "0x%02x is not an instruction of pickle", code);
        if (!instructions[code].run)
            return PICKLE_FAIL(r, FR_UNSUPPORTED,
                               "instruction %s is not among those that a state dict needs",
                               instructions[code].name);
        r->at++;
        FR_TRY(instructions[code].run(r));
    }
    return FR_OK;
}

fr_status pickle_read(pickle_value **value, const unsigned char *data, size_t size, size_t *used,
                      fr_arena *arena, const char *path, const char *where, fr_error *error)
{
    pickle_reader r = {.begin = data,
                       .at = data,
                       .end = data + size,
                       .arena = arena,
                       .path = path,
                       .where = where,
                       .error = error};
    *value = NULL;
    fr_status status = run(&r);
    if (status == FR_OK) {
        *value = r.stack[0];
        *used = (size_t)(r.at - data);
    }
    fr_free((void *)r.stack);
    fr_free((void *)r.memo);
    return status;
}
