/* json_normalizer.c: the "normalizer" of a tokenizer.json. */
#include "tokenizer/json_reader.h"

#include <string.h>

enum { MOST_STEPS = 64 };

static fr_status add(reader *r, const char *where, normalizer_kind kind, normalizer **out)
{
    fr_tokenizer *t = r->tokenizer;
    if (t->normalizer_count == MOST_STEPS)
        return UNSUPPORTED(r, "%s: more than %d steps are not supported", where, MOST_STEPS);
    normalizer *list =
        fr_realloc(t->normalizers, (t->normalizer_count + 1) * sizeof *list, FR_MEMORY_OTHER);
    if (!list)
        return NO_MEMORY(r);
    t->normalizers = list;
    list[t->normalizer_count] = (normalizer){.kind = kind};
    if (out)
        *out = &list[t->normalizer_count];
    t->normalizer_count++;
    return FR_OK;
}

static fr_status add_plain(reader *r, const char *where, json_t *object, normalizer_kind kind)
{
    static const char *const known[] = {"type", NULL};
    FR_TRY(json_check_keys(r, where, object, known));
    return add(r, where, kind, NULL);
}

static fr_status read_nfc(reader *r, const char *where, json_t *object)
{
    return add_plain(r, where, object, NORMALIZE_NFC);
}

static fr_status read_nfd(reader *r, const char *where, json_t *object)
{
    return add_plain(r, where, object, NORMALIZE_NFD);
}

static fr_status read_nfkc(reader *r, const char *where, json_t *object)
{
    return add_plain(r, where, object, NORMALIZE_NFKC);
}

static fr_status read_nfkd(reader *r, const char *where, json_t *object)
{
    return add_plain(r, where, object, NORMALIZE_NFKD);
}

static fr_status read_lowercase(reader *r, const char *where, json_t *object)
{
    return add_plain(r, where, object, NORMALIZE_LOWERCASE);
}

static fr_status read_strip_accents(reader *r, const char *where, json_t *object)
{
    return add_plain(r, where, object, NORMALIZE_STRIP_MARKS);
}

static fr_status read_nmt(reader *r, const char *where, json_t *object)
{
    return add_plain(r, where, object, NORMALIZE_NMT);
}

static fr_status read_byte_level(reader *r, const char *where, json_t *object)
{
    return add_plain(r, where, object, NORMALIZE_BYTE_LEVEL);
}

static fr_status read_strip(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "strip_left", "strip_right", NULL};
    normalizer *step = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(add(r, where, NORMALIZE_STRIP, &step));
    FR_TRY(json_read_bool(r, where, object, "strip_left", true, &step->left));
    return json_read_bool(r, where, object, "strip_right", true, &step->right);
}

/* Clean, ideographs, accents, case: in this order, each if asked for. */
static fr_status read_bert(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type",          "clean_text", "handle_chinese_chars",
                                        "strip_accents", "lowercase",  NULL};
    bool clean, ideographs, accents, lowercase;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(json_read_bool(r, where, object, "clean_text", true, &clean));
    FR_TRY(json_read_bool(r, where, object, "handle_chinese_chars", true, &ideographs));
    FR_TRY(json_read_bool(r, where, object, "lowercase", true, &lowercase));
    FR_TRY(json_read_bool(r, where, object, "strip_accents", lowercase, &accents));
    if (clean)
        FR_TRY(add(r, where, NORMALIZE_CLEAN, NULL));
    if (ideographs)
        FR_TRY(add(r, where, NORMALIZE_IDEOGRAPHS, NULL));
    if (accents) {
        FR_TRY(add(r, where, NORMALIZE_NFD, NULL));
        FR_TRY(add(r, where, NORMALIZE_STRIP_ACCENTS, NULL));
    }
    return lowercase ? add(r, where, NORMALIZE_LOWERCASE, NULL) : FR_OK;
}

static fr_status set_text(reader *r, normalizer *step, const char *text)
{
    step->text = fr_string_copy(text);
    step->text_size = strlen(text);
    return step->text ? FR_OK : NO_MEMORY(r);
}

static fr_status read_prepend(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "prepend", NULL};
    const char *text;
    normalizer *step = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(json_read_string(r, where, object, "prepend", &text));
    FR_TRY(add(r, where, NORMALIZE_PREPEND, &step));
    return set_text(r, step, text);
}

static fr_status read_replace(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "pattern", "content", NULL};
    const char *pattern, *content;
    bool literal;
    normalizer *step = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    FR_TRY(json_read_pattern(r, where, object, &pattern, &literal));
    FR_TRY(json_read_string(r, where, object, "content", &content));
    FR_TRY(add(r, where, NORMALIZE_REPLACE, &step));
    FR_TRY(set_text(r, step, content));
    fr_status status =
        split_regex_create(&step->regex, pattern, strlen(pattern), literal, r->error);
    if (status != FR_OK)
        fr_error_prefix(r->error, "%s: %s.pattern", r->name, where);
    return status;
}

static fr_status read_precompiled(reader *r, const char *where, json_t *object)
{
    static const char *const known[] = {"type", "precompiled_charsmap", NULL};
    const char *text;
    normalizer *step = NULL;
    FR_TRY(json_check_keys(r, where, object, known));
    if (json_is_null(json_object_get(object, "precompiled_charsmap")))
        return UNSUPPORTED(r, "%s.precompiled_charsmap: null is not supported", where);
    FR_TRY(json_read_string(r, where, object, "precompiled_charsmap", &text));
    FR_TRY(add(r, where, NORMALIZE_CHARSMAP, &step));
    fr_status status = charsmap_read(&step->map, text, strlen(text), r->error);
    if (status != FR_OK)
        fr_error_prefix(r->error, "%s: %s.precompiled_charsmap", r->name, where);
    return status;
}

static const stage_reader kinds[] = {{"NFC", read_nfc},
                                     {"NFD", read_nfd},
                                     {"NFKC", read_nfkc},
                                     {"NFKD", read_nfkd},
                                     {"Lowercase", read_lowercase},
                                     {"Strip", read_strip},
                                     {"StripAccents", read_strip_accents},
                                     {"BertNormalizer", read_bert},
                                     {"Prepend", read_prepend},
                                     {"Replace", read_replace},
                                     {"Precompiled", read_precompiled},
                                     {"Nmt", read_nmt},
                                     {"ByteLevel", read_byte_level},
                                     {NULL, NULL}};

fr_status json_read_normalizer(reader *r, json_t *object)
{
    return json_read_stages(r, "normalizer", object, "normalizers", kinds);
}
