/* json_splits.c: the "pre_tokenizer" of a tokenizer.json. */
#include "tokenizer/json_reader.h"
#include "tokenizer/utf8.h"

#include <string.h>

static const char *const behaviors[] = {"Isolated",       "Removed",    "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous", NULL};
enum { ISOLATED, REMOVED, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT, CONTIGUOUS };

static void set_behavior(split *stage, int behavior, bool invert)
{
    stage->keep_matches = behavior != REMOVED || invert;
    stage->keep_gaps = behavior != REMOVED || !invert;
    stage->invert = invert;
    stage->join = behavior == MERGED_WITH_PREVIOUS ? SPLIT_WITH_PREVIOUS
                  : behavior == MERGED_WITH_NEXT   ? SPLIT_WITH_NEXT
                  : behavior == CONTIGUOUS         ? SPLIT_RUNS
                                                   : SPLIT_APART;
}

static fr_status add(reader *r, const char *where, split_kind kind, int behavior, split **out)
{
    fr_tokenizer *t = r->tokenizer;
    if (t->split_count == MOST_SPLITS)
        return UNSUPPORTED(r, "%s: more than %d stages are not supported", where, MOST_SPLITS);
    split *stage = &t->splits[t->split_count++];
    *stage = (split){.kind = kind};
    set_behavior(stage, behavior, false);
    if (out)
        *out = stage;
    return FR_OK;
}

static fr_status check_plain(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", NULL};
    return json_check_keys(r, where, object, known);
}

static fr_status read_byte_level(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "add_prefix_space", "trim_offsets", "use_regex",
                                        NULL};
    bool prefix_space, use_regex;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(json_read_bool(r, where, object, "add_prefix_space", true, &prefix_space));
    FR_TRY(json_read_bool(r, where, object, "use_regex", true, &use_regex));
    if (prefix_space)
        FR_TRY(add(r, where, SPLIT_PREFIX_SPACE, ISOLATED, NULL));
    if (use_regex)
        FR_TRY(add(r, where, SPLIT_GPT2, ISOLATED, NULL));
    return add(r, where, SPLIT_BYTE_LEVEL, ISOLATED, NULL);
}

static fr_status read_split(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "pattern", "behavior", "invert", NULL};
    const char *text;
    int behavior;
    bool invert, literal;
    split *stage = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(json_read_choice(r, where, object, "behavior", behaviors, &behavior));
    if (behavior < 0)
        return BAD(r, "%s.behavior: nothing found, a string expected", where);
    FR_TRY(json_read_bool(r, where, object, "invert", false, &invert));
    FR_TRY(json_read_pattern(r, where, object, &text, &literal));
    FR_TRY(add(r, where, SPLIT_REGEX, behavior, &stage));
    fr_status status = split_from_pattern(stage, text, strlen(text), literal, r->error);
    if (status != FR_OK) {
        r->tokenizer->split_count--;
        fr_error_prefix(r->error, "%s: %s.pattern", r->name, where);
        return status;
    }
    set_behavior(stage, behavior, invert);
    return FR_OK;
}

static fr_status read_digits(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "individual_digits", NULL};
    bool single;
    split *stage = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(json_read_bool(r, where, object, "individual_digits", false, &single));
    FR_TRY(add(r, where, SPLIT_DIGITS, ISOLATED, &stage));
    stage->digits = single;
    return FR_OK;
}

static fr_status read_punctuation(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "behavior", NULL};
    int behavior;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(json_read_choice(r, where, object, "behavior", behaviors, &behavior));
    return add(r, where, SPLIT_PUNCTUATION, behavior < 0 ? ISOLATED : behavior, NULL);
}

static fr_status read_bert(reader *r, const char *where, json_t *object)
{
    FR_TRY(check_plain(r, where, object));
    FR_TRY(add(r, where, SPLIT_SPACES, REMOVED, NULL));
    return add(r, where, SPLIT_PUNCTUATION, ISOLATED, NULL);
}

static fr_status read_whitespace(reader *r, const char *where, json_t *object)
{
    split *stage = NULL;
    FR_TRY(check_plain(r, where, object));
    FR_TRY(add(r, where, SPLIT_WORDS, REMOVED, &stage));
    set_behavior(stage, REMOVED, true);
    return FR_OK;
}

static fr_status read_whitespace_split(reader *r, const char *where, json_t *object)
{
    FR_TRY(check_plain(r, where, object));
    return add(r, where, SPLIT_SPACES, REMOVED, NULL);
}

/* A string of one character. */
static fr_status read_mark(reader *r, const char *where, json_t *object, const char *key,
                           char mark[5])
{
    const char *text;
    FR_TRY(json_read_string(r, where, object, key, &text));
    size_t size = strlen(text);
    if (size == 0 || utf8_length((const unsigned char *)text, size) != size)
        return BAD(r, "%s.%s: '%.20s' found, one character expected", where, key, text);
    memcpy(mark, text, size + 1);
    return FR_OK;
}

static fr_status read_delimiter(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "delimiter", NULL};
    split *stage = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(add(r, where, SPLIT_CHARACTER, REMOVED, &stage));
    return read_mark(r, where, object, "delimiter", stage->mark);
}

static fr_status read_fixed_length(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "length", NULL};
    enum { USUAL = 5 };
    split *stage = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(add(r, where, SPLIT_LENGTH, ISOLATED, &stage));
    return json_read_count(r, where, object, "length", 1, INT32_MAX, USUAL, &stage->length);
}

static fr_status read_metaspace(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {
        "type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep", NULL};
    static const char *const schemes[] = {"always", "never", "first", NULL};
    bool prefix, cuts;
    int scheme;
    char mark[5];
    split *stage = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(read_mark(r, where, object, "replacement", mark));
    FR_TRY(json_read_bool(r, where, object, "add_prefix_space", true, &prefix));
    FR_TRY(json_read_bool(r, where, object, "split", true, &cuts));
    FR_TRY(json_read_choice(r, where, object, "prepend_scheme", schemes, &scheme));
    if (!prefix && scheme != PREPEND_NEVER)
        return BAD(r, "%s: add_prefix_space is false, but prepend_scheme is not \"never\"", where);
    FR_TRY(add(r, where, SPLIT_METASPACE, ISOLATED, &stage));
    stage->prepend = scheme < 0 ? PREPEND_ALWAYS : (split_prepend)scheme;
    r->tokenizer->asks_origin |= stage->prepend == PREPEND_FIRST;
    memcpy(stage->mark, mark, sizeof mark);
    if (!cuts)
        return FR_OK;
    FR_TRY(add(r, where, SPLIT_CHARACTER, MERGED_WITH_NEXT, &stage));
    memcpy(stage->mark, mark, sizeof mark);
    return FR_OK;
}

static const stage_reader kinds[] = {{"ByteLevel", read_byte_level},
                                     {"Metaspace", read_metaspace},
                                     {"Split", read_split},
                                     {"Digits", read_digits},
                                     {"Punctuation", read_punctuation},
                                     {"BertPreTokenizer", read_bert},
                                     {"Whitespace", read_whitespace},
                                     {"WhitespaceSplit", read_whitespace_split},
                                     {"CharDelimiterSplit", read_delimiter},
                                     {"Delimiter", read_delimiter},
                                     {"FixedLength", read_fixed_length},
                                     {NULL, NULL}};

fr_status json_read_splits(reader *r, json_t *object)
{
    return json_read_stages(r, "pre_tokenizer", object, "pretokenizers", kinds);
}
