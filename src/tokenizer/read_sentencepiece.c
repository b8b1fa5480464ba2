/* read_sentencepiece.c: the pipelines that transformers puts around a SentencePiece model.

   SentencePiece itself normalises a text, puts a blank in front of it, writes blanks as U+2581 and
   cuts it. Model families depart from that in small ways that their classes know; the class without
   a name is SentencePiece's own way. */
#include "tokenizer/base64.h"
#include "tokenizer/blueprint.h"
#include "tokenizer/read.h"
#include "tokenizer/sentencepiece.h"

#include <string.h>

#define BLANK "\xE2\x96\x81" /* U+2581 */

typedef struct job {
    const read_input *input;
    sentencepiece model;
    blueprint out;
    double *score; /* of each token of `out` */
    size_t capacity;
    const char *absent[NAMED_TOKENS];
} job;

static fr_status no_memory(const job *j, fr_error *error)
{
    return fr_fail_at(error, FR_NO_MEMORY, j->input->path, 0, "no memory to read it");
}

/* ---- vocabularies ---------------------------------------------------------------------------- */

static fr_status add_token(job *j, const char *text, size_t size, double score, fr_error *error)
{
    blueprint *out = &j->out;
    if (lexicon_find(&out->tokens, text, size) >= 0)
        return fr_fail_at(error, FR_BAD_INPUT, j->input->path, 0,
                          "the token '%.*s' would be in the vocabulary twice",
                          (int)(size < 60 ? size : 60), text);
    if (out->tokens.count == j->capacity) {
        size_t capacity = j->capacity ? 2 * j->capacity : 1024;
        double *grown = fr_realloc(j->score, capacity * sizeof *grown, FR_MEMORY_OTHER);
        if (!grown)
            return no_memory(j, error);
        j->score = grown;
        j->capacity = capacity;
    }
    j->score[out->tokens.count] = score;
    return lexicon_add(&out->tokens, text, size) ? FR_OK : no_memory(j, error);
}

static fr_status add_text(job *j, const char *text, fr_error *error)
{
    return add_token(j, text, strlen(text), 0, error);
}

/* The pieces from `first` on. */
static fr_status add_pieces(job *j, size_t first, fr_error *error)
{
    const sentencepiece *m = &j->model;
    for (size_t i = first; i < m->pieces.count; i++) {
        size_t size;
        const char *text = lexicon_get(&m->pieces, i, &size);
        FR_TRY(add_token(j, text, size, m->score[i], error));
    }
    return FR_OK;
}

static bool is_merged(const job *j, size_t piece)
{
    return j->model.type[piece] == PIECE_NORMAL;
}

/* A BPE model whose merges follow from the pieces. */
static fr_status write_bpe(job *j, const blueprint_bpe *form, token_merge_order order,
                           fr_error *error)
{
    size_t count = j->out.tokens.count, merge_count = 0;
    token_merge *merges = NULL;
    uint32_t *pairs = NULL;
    bool *usable = fr_alloc_array(count, sizeof *usable, FR_MEMORY_OTHER);
    fr_status status = usable ? FR_OK : no_memory(j, error);
    for (size_t i = 0; usable && i < count; i++)
        usable[i] = order == MERGES_BY_ID || is_merged(j, i);
    if (status == FR_OK) {
        status = lexicon_merges(&j->out.tokens, order, j->score, usable, true, &merges,
                                &merge_count, error);
        if (status != FR_OK)
            fr_error_prefix(error, "%s", j->input->path);
    }
    if (status == FR_OK) {
        pairs = fr_alloc_array(2 * merge_count + 1, sizeof *pairs, FR_MEMORY_OTHER);
        if (!pairs)
            status = no_memory(j, error);
    }
    for (size_t i = 0; pairs && i < merge_count; i++) {
        pairs[2 * i] = merges[i].left;
        pairs[2 * i + 1] = merges[i].right;
    }
    if (pairs)
        blueprint_write_bpe(&j->out, form, pairs, merge_count);
    fr_free(usable);
    fr_free(merges);
    fr_free(pairs);
    return status;
}

/* ---- stages ---------------------------------------------------------------------------------- */

static json_t *charsmap_stage(const job *j)
{
    fr_buffer text = {0};
    base64_write(j->model.charsmap, j->model.charsmap_size, &text);
    json_t *stage = text.failed ? NULL
                                : json_pack("{s:s, s:s}", "type", "Precompiled",
                                            "precompiled_charsmap", text.data);
    fr_buffer_free(&text);
    return stage;
}

static json_t *replace_stage(bool regex, const char *pattern, const char *content)
{
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern",
                     regex ? "Regex" : "String", pattern, "content", content);
}

static json_t *metaspace_stage(const char *scheme, bool split)
{
    return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", BLANK,
                     "prepend_scheme", scheme, "split", split);
}

static void set_decoder(job *j, bool byte_fallback, bool fuse, bool strip)
{
    json_t *list = json_array();
    blueprint_append(&j->out, list, replace_stage(false, BLANK, " "));
    if (byte_fallback)
        blueprint_append(&j->out, list, json_pack("{s:s}", "type", "ByteFallback"));
    if (fuse)
        blueprint_append(&j->out, list, json_pack("{s:s}", "type", "Fuse"));
    if (strip)
        blueprint_append(&j->out, list,
                         json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start",
                                   1, "stop", 0));
    blueprint_set(&j->out, &j->out.decoder,
                  json_pack("{s:s, s:o}", "type", "Sequence", "decoders", list));
}

/* The tokens of the configuration, then control pieces, which are special, and user-defined ones,
   which are found whole in the text. */
static fr_status declare_tokens(job *j, bool user_defined, fr_error *error)
{
    const sentencepiece *m = &j->model;
    FR_TRY(blueprint_add_configured(&j->out, j->input->settings, j->absent, error));
    for (size_t i = 0; i < m->pieces.count; i++) {
        bool control = m->type[i] == PIECE_CONTROL;
        if (!control && !(user_defined && m->type[i] == PIECE_USER_DEFINED))
            continue;
        size_t size;
        const char *text = lexicon_get(user_defined ? &m->pieces : &j->out.tokens, i, &size);
        char *copy = fr_string_copy_n(text, size);
        if (copy)
            blueprint_add(&j->out, &(blueprint_added){.content = copy, .special = control});
        else
            j->out.failed = true;
        fr_free(copy);
    }
    return FR_OK;
}

static void set_absent(job *j, const char *bos, const char *eos, const char *unk)
{
    j->absent[TOKEN_BOS] = bos;
    j->absent[TOKEN_EOS] = eos;
    j->absent[TOKEN_UNK] = unk;
}

static const char *token(const job *j, named_token which)
{
    return settings_token(j->input->settings, which, j->absent[which]);
}

static fr_status refuse_kind(const job *j, const char *expected, fr_error *error)
{
    return fr_fail_at(error, FR_BAD_INPUT, j->input->path, 0, "%s needs a %s model; this is %s",
                      j->input->settings->class_name, expected,
                      j->model.model_type == SENTENCEPIECE_BPE ? "bpe" : "unigram");
}

/* ---- SentencePiece's own way ----------------------------------------------------------------- */

/* Normalisers in SentencePiece's order. Only blanks are squeezed: other white space is left alone. */
static void set_plain_normalizer(job *j, bool legacy)
{
    const sentencepiece *m = &j->model;
    json_t *list = json_array();
    if (m->charsmap)
        blueprint_append(&j->out, list, charsmap_stage(j));
    if (m->remove_extra_spaces) {
        blueprint_append(&j->out, list, replace_stage(true, "\\A +| +\\z", ""));
        blueprint_append(&j->out, list, replace_stage(true, " {2,}", " "));
    }
    if (m->escape_spaces)
        blueprint_append(&j->out, list, replace_stage(false, " ", BLANK));
    /* Metaspace puts nothing in front of a text that begins with a blank; SentencePiece does. */
    if (m->dummy_prefix && legacy)
        blueprint_append(&j->out, list, replace_stage(true, "\\A" BLANK, BLANK BLANK));
    blueprint_set(&j->out, &j->out.normalizer,
                  json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", list));
}

typedef struct user_piece {
    const char *text;
    size_t size, characters;
} user_piece;

static int compare_user_pieces(const void *a, const void *b)
{
    const user_piece *x = a, *y = b;
    if (x->characters != y->characters)
        return x->characters > y->characters ? -1 : 1;
    return x->text < y->text ? -1 : x->text > y->text; /* in the order of their ids */
}

/* A pattern that matches any of the user-defined pieces, the longest first; NULL when there are
   none. */
static fr_status user_pattern(const job *j, fr_buffer *pattern, fr_error *error)
{
    const sentencepiece *m = &j->model;
    user_piece *list = fr_alloc_array(m->pieces.count, sizeof *list, FR_MEMORY_OTHER);
    if (!list)
        return no_memory(j, error);
    size_t count = 0;
    for (size_t i = 0; i < m->pieces.count; i++) {
        if (m->type[i] != PIECE_USER_DEFINED)
            continue;
        user_piece *piece = &list[count++];
        piece->text = lexicon_get(&j->out.tokens, i, &piece->size);
        for (size_t k = 0; k < piece->size; k++)
            piece->characters += ((unsigned char)piece->text[k] & 0xC0) != 0x80;
    }
    if (count)
        qsort(list, count, sizeof *list, compare_user_pieces);
    for (size_t i = 0; i < count; i++) {
        if (i)
            fr_buffer_text(pattern, "|");
        for (size_t k = 0; k < list[i].size; k++) {
            /* What Python's re.escape escapes. */
            if (strchr("()[]{}?*+-|^$\\.&~# \t\n\r\v\f", list[i].text[k]))
                fr_buffer_text(pattern, "\\");
            fr_buffer_append(pattern, &list[i].text[k], 1);
        }
    }
    fr_free(list);
    return pattern->failed ? no_memory(j, error) : FR_OK;
}

static fr_status set_plain_pre_tokenizer(job *j, bool legacy, fr_error *error)
{
    fr_buffer pattern = {0};
    json_t *list = json_array();
    fr_status status = user_pattern(j, &pattern, error);
    if (j->model.dummy_prefix)
        blueprint_append(&j->out, list, metaspace_stage(legacy ? "always" : "first", false));
    if (pattern.size)
        blueprint_append(&j->out, list,
                         json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex",
                                   pattern.data, "behavior", "Isolated", "invert", 0));
    if (json_array_size(list))
        blueprint_set(&j->out, &j->out.pre_tokenizer,
                      json_pack("{s:s, s:O}", "type", "Sequence", "pretokenizers", list));
    json_decref(list);
    fr_buffer_free(&pattern);
    return status;
}

static bool has_user_pieces(const job *j)
{
    for (size_t i = 0; i < j->model.pieces.count; i++)
        if (j->model.type[i] == PIECE_USER_DEFINED)
            return true;
    return false;
}

/* The entry for a piece's id in "added_tokens_decoder". */
static json_t *decoder_entry(const job *j, size_t id)
{
    char key[24];
    snprintf(key, sizeof key, "%zu", id);
    return json_object_get(json_object_get(j->input->settings->root, "added_tokens_decoder"), key);
}

/* Pieces that hold places take the names that the configuration gives to their ids, unless a piece
   that keeps its name has it. */
static fr_status add_renamed_pieces(job *j, fr_error *error)
{
    const sentencepiece *m = &j->model;
    for (size_t i = 0; i < m->pieces.count; i++) {
        size_t size;
        const char *text = lexicon_get(&m->pieces, i, &size);
        const char *name = json_string_value(json_object_get(decoder_entry(j, i), "content"));
        int64_t other = name ? lexicon_find(&m->pieces, name, strlen(name)) : -1;
        if (name && (other < 0 || decoder_entry(j, (size_t)other)))
            FR_TRY(add_token(j, name, strlen(name), m->score[i], error));
        else
            FR_TRY(add_token(j, text, size, m->score[i], error));
    }
    return FR_OK;
}

/* Added tokens are looked for in the text as it came, so that what stands between them gets a blank
   in front. */
static fr_status match_in_raw_text(job *j, fr_error *error)
{
    const char *key;
    json_t *entry;
    json_object_foreach(json_object_get(j->input->settings->root, "added_tokens_decoder"), key,
                        entry)
    {
        if (json_is_object(entry) && json_object_set_new(entry, "normalized", json_false()))
            return no_memory(j, error);
    }
    return FR_OK;
}

static fr_status build_plain(job *j, fr_error *error)
{
    const sentencepiece *m = &j->model;
    bool legacy;
    FR_TRY(settings_bool(j->input->settings, "legacy", true, &legacy, error));
    set_absent(j, m->bos_id >= 0 ? m->bos_piece : NULL, m->eos_id >= 0 ? m->eos_piece : NULL,
               m->unk_piece);
    if (m->dummy_prefix)
        FR_TRY(match_in_raw_text(j, error));
    if (m->model_type == SENTENCEPIECE_BPE) {
        FR_TRY(add_renamed_pieces(j, error));
        const blueprint_bpe form = {.unk_token = m->unk_piece,
                                    .fuse_unk = true,
                                    .byte_fallback = m->byte_fallback,
                                    .ignore_merges = has_user_pieces(j)};
        FR_TRY(write_bpe(j, &form, MERGES_BY_SCORE, error));
    } else {
        FR_TRY(add_pieces(j, 0, error));
        blueprint_write_unigram(&j->out, j->score, (size_t)m->unk_id, m->byte_fallback);
    }
    set_plain_normalizer(j, legacy);
    FR_TRY(set_plain_pre_tokenizer(j, legacy, error));
    set_decoder(j, m->byte_fallback, m->byte_fallback || m->dummy_prefix, m->dummy_prefix);
    FR_TRY(declare_tokens(j, false, error));
    return blueprint_add_ends(&j->out, j->input->settings, j->absent, error);
}

/* ---- LLaMA, Gemma ---------------------------------------------------------------------------- */

static fr_status build_llama(job *j, fr_error *error)
{
    const blueprint_bpe form = {.fuse_unk = true, .byte_fallback = true};
    bool legacy, prefix;
    if (j->model.model_type != SENTENCEPIECE_BPE)
        return refuse_kind(j, "bpe", error);
    FR_TRY(settings_bool(j->input->settings, "legacy", false, &legacy, error));
    FR_TRY(settings_bool(j->input->settings, "add_prefix_space", true, &prefix, error));
    set_absent(j, "<s>", "</s>", "<unk>");
    FR_TRY(add_pieces(j, 0, error));
    FR_TRY(write_bpe(j, &form, MERGES_BY_ID, error));
    blueprint_set(&j->out, &j->out.pre_tokenizer,
                  metaspace_stage(!prefix  ? "never"
                                  : legacy ? "always"
                                           : "first",
                                  false));
    set_decoder(j, true, true, prefix);
    FR_TRY(declare_tokens(j, true, error));
    return blueprint_add_ends(&j->out, j->input->settings, j->absent, error);
}

static fr_status build_gemma(job *j, fr_error *error)
{
    if (j->model.model_type != SENTENCEPIECE_BPE)
        return refuse_kind(j, "bpe", error);
    set_absent(j, "<bos>", "<eos>", "<unk>");
    j->absent[TOKEN_PAD] = "<pad>";
    j->absent[TOKEN_MASK] = "<mask>";
    const blueprint_bpe form = {
        .unk_token = token(j, TOKEN_UNK), .fuse_unk = true, .byte_fallback = true};
    FR_TRY(add_pieces(j, 0, error));
    FR_TRY(write_bpe(j, &form, MERGES_BY_ID, error));
    blueprint_set(&j->out, &j->out.normalizer, replace_stage(false, " ", BLANK));
    blueprint_set(&j->out, &j->out.pre_tokenizer,
                  json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "String", " ",
                            "behavior", "MergedWithPrevious", "invert", 0));
    set_decoder(j, true, true, false);
    FR_TRY(declare_tokens(j, true, error));
    return blueprint_add_ends(&j->out, j->input->settings, j->absent, error);
}

/* ---- T5, XLM-RoBERTa, mBART ------------------------------------------------------------------ */

/* Words by white space, each with a blank in front. */
static void set_word_stages(job *j, bool words, const char *scheme)
{
    json_t *blank = metaspace_stage(scheme, true);
    if (words)
        blank = json_pack("{s:s, s:[{s:s}, o]}", "type", "Sequence", "pretokenizers", "type",
                          "WhitespaceSplit", blank);
    blueprint_set(&j->out, &j->out.pre_tokenizer, blank);
    blueprint_set(&j->out, &j->out.decoder, metaspace_stage(scheme, true));
}

static fr_status build_t5(job *j, fr_error *error)
{
    if (j->model.model_type != SENTENCEPIECE_UNIGRAM)
        return refuse_kind(j, "unigram", error);
    const json_t *given = json_object_get(j->input->settings->root, "extra_ids");
    json_int_t extra = given ? json_integer_value(given) : 100;
    if ((given && !json_is_integer(given)) || extra < 0 || extra > 10000)
        return fr_fail_at(error, FR_BAD_INPUT, "tokenizer_config.json", 0,
                          "extra_ids: a number from 0 to 10000 expected");
    set_absent(j, NULL, "</s>", "<unk>");
    j->absent[TOKEN_PAD] = "<pad>";
    FR_TRY(add_pieces(j, 0, error));
    for (json_int_t i = extra; i-- > 0;) {
        char text[40];
        snprintf(text, sizeof text, "<extra_id_%lld>", (long long)i);
        FR_TRY(add_text(j, text, error));
    }
    if (j->out.tokens.count <= 2)
        return fr_fail_at(error, FR_BAD_INPUT, j->input->path, 0,
                          "T5Tokenizer needs at least 3 pieces; the third is the unknown one");
    blueprint_write_unigram(&j->out, j->score, 2, false);
    if (j->model.charsmap)
        blueprint_set(&j->out, &j->out.normalizer, charsmap_stage(j));
    set_word_stages(j, true, "always");
    FR_TRY(declare_tokens(j, true, error));
    for (json_int_t i = 0; i < extra; i++) {
        char text[40];
        snprintf(text, sizeof text, "<extra_id_%lld>", (long long)i);
        blueprint_add(&j->out, &(blueprint_added){.content = text, .special = true});
    }
    const char *eos = token(j, TOKEN_EOS);
    return blueprint_template(&j->out, (const char *[]){"$A", eos, NULL},
                              (const char *[]){"$A", eos, "$B", eos, NULL}, error);
}

/* fairseq's vocabularies: four tokens of their own instead of the first three pieces. */
static fr_status add_fairseq_pieces(job *j, named_token first, fr_error *error)
{
    if (j->model.model_type != SENTENCEPIECE_UNIGRAM)
        return refuse_kind(j, "unigram", error);
    if (j->model.pieces.count < 3)
        return fr_fail_at(error, FR_BAD_INPUT, j->input->path, 0, "%zu pieces found, 3 expected",
                          j->model.pieces.count);
    set_absent(j, "<s>", "</s>", "<unk>");
    j->absent[TOKEN_SEP] = "</s>";
    j->absent[TOKEN_CLS] = "<s>";
    j->absent[TOKEN_PAD] = "<pad>";
    j->absent[TOKEN_MASK] = "<mask>";
    const char *const own[] = {token(j, first), token(j, TOKEN_PAD), token(j, TOKEN_EOS),
                               token(j, TOKEN_UNK)};
    for (int i = 0; i < 4; i++)
        FR_TRY(add_text(j, own[i], error));
    return add_pieces(j, 3, error);
}

static fr_status build_xlm_roberta(job *j, fr_error *error)
{
    bool prefix;
    FR_TRY(settings_bool(j->input->settings, "add_prefix_space", true, &prefix, error));
    FR_TRY(add_fairseq_pieces(j, TOKEN_BOS, error));
    FR_TRY(add_text(j, token(j, TOKEN_MASK), error));
    blueprint_write_unigram(&j->out, j->score, 3, false);
    if (j->model.charsmap)
        blueprint_set(&j->out, &j->out.normalizer, charsmap_stage(j));
    set_word_stages(j, true, prefix ? "always" : "never");
    FR_TRY(declare_tokens(j, true, error));
    const char *bos = token(j, TOKEN_BOS), *eos = token(j, TOKEN_EOS);
    return blueprint_template(&j->out, (const char *[]){bos, "$A", eos, NULL},
                              (const char *[]){bos, "$A", eos, eos, "$B", eos, NULL}, error);
}

/* The languages of mBART, in the order of their ids; the 50 begin with the 25. */
static const char *const languages[] = {
    "ar_AR", "cs_CZ", "de_DE", "en_XX", "es_XX", "et_EE", "fi_FI", "fr_XX", "gu_IN",
    "hi_IN", "it_IT", "ja_XX", "kk_KZ", "ko_KR", "lt_LT", "lv_LV", "my_MM", "ne_NP",
    "nl_XX", "ro_RO", "ru_RU", "si_LK", "tr_TR", "vi_VN", "zh_CN", "af_ZA", "az_AZ",
    "bn_IN", "fa_IR", "he_IL", "hr_HR", "id_ID", "ka_GE", "km_KH", "mk_MK", "ml_IN",
    "mn_MN", "mr_IN", "pl_PL", "ps_AF", "pt_XX", "sv_SE", "sw_KE", "ta_IN", "te_IN",
    "th_TH", "tl_XX", "uk_UA", "ur_PK", "xh_ZA", "gl_ES", "sl_SI"};
enum { MBART_LANGUAGES = 25, MBART50_LANGUAGES = sizeof languages / sizeof *languages };

static fr_status add_languages(job *j, size_t count, fr_error *error)
{
    for (size_t i = 0; i < count; i++)
        FR_TRY(add_text(j, languages[i], error));
    FR_TRY(add_text(j, token(j, TOKEN_MASK), error));
    blueprint_write_unigram(&j->out, j->score, 3, false);
    /* The mask takes the blanks before it, where the configuration does not say otherwise. */
    if (!json_object_get(j->input->settings->root, "added_tokens_decoder") &&
        !json_is_object(json_object_get(j->input->settings->root, "mask_token")))
        blueprint_add(
            &j->out,
            &(blueprint_added){.content = token(j, TOKEN_MASK), .special = true, .lstrip = true});
    FR_TRY(blueprint_add_configured(&j->out, j->input->settings, j->absent, error));
    for (size_t i = 0; i < count; i++)
        blueprint_add(&j->out, &(blueprint_added){.content = languages[i], .special = true});
    return FR_OK;
}

/* "src_lang", English when it is not told. */
static fr_status source_language(const job *j, const char **language, fr_error *error)
{
    FR_TRY(settings_string(j->input->settings, "src_lang", language, error));
    if (!*language)
        *language = "en_XX";
    return FR_OK;
}

static fr_status build_mbart(job *j, fr_error *error)
{
    const char *language;
    FR_TRY(source_language(j, &language, error));
    FR_TRY(add_fairseq_pieces(j, TOKEN_BOS, error));
    FR_TRY(add_languages(j, MBART_LANGUAGES, error));
    set_word_stages(j, true, "always");
    const char *eos = token(j, TOKEN_EOS);
    return blueprint_template(&j->out, (const char *[]){"$A", eos, language, NULL},
                              (const char *[]){"$A", "$B", eos, language, NULL}, error);
}

static fr_status build_mbart50(job *j, fr_error *error)
{
    const char *language;
    FR_TRY(source_language(j, &language, error));
    FR_TRY(add_fairseq_pieces(j, TOKEN_CLS, error));
    j->absent[TOKEN_BOS] = NULL;
    FR_TRY(add_languages(j, MBART50_LANGUAGES, error));
    json_t *list = json_array();
    if (j->model.charsmap)
        blueprint_append(&j->out, list, charsmap_stage(j));
    blueprint_append(&j->out, list, replace_stage(true, " {2,}", " "));
    blueprint_set(&j->out, &j->out.normalizer,
                  json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", list));
    set_word_stages(j, false, "always");
    const char *eos = token(j, TOKEN_EOS);
    return blueprint_template(&j->out, (const char *[]){language, "$A", eos, NULL},
                              (const char *[]){language, "$A", "$B", eos, NULL}, error);
}

/* ---- which ----------------------------------------------------------------------------------- */

typedef struct kind {
    const char *class_name;
    fr_status (*build)(job *j, fr_error *error);
} kind;

static const kind kinds[] = {{"", build_plain},
                             {"PreTrainedTokenizer", build_plain},
                             {"TokenizersBackend", build_plain},
                             {"LlamaTokenizer", build_llama},
                             {"GemmaTokenizer", build_gemma},
                             {"T5Tokenizer", build_t5},
                             {"XLMRobertaTokenizer", build_xlm_roberta},
                             {"MBartTokenizer", build_mbart},
                             {"MBart50Tokenizer", build_mbart50}};

fr_status read_sentencepiece(fr_tokenizer **tokenizer, const read_input *input, fr_error *error)
{
    const char *name = input->settings->class_name;
    const kind *which = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].class_name, name) == 0)
            which = &kinds[i];
    if (!which)
        return fr_fail_at(error, FR_UNSUPPORTED, input->path, 0,
                          "a SentencePiece model for the tokenizer_class '%s' is not supported "
                          "(supported: LlamaTokenizer, GemmaTokenizer, T5Tokenizer, "
                          "XLMRobertaTokenizer, MBartTokenizer, MBart50Tokenizer, or none)",
                          name);
    job j = {.input = input};
    *tokenizer = NULL;
    FR_TRY(sentencepiece_read(&j.model, input, error));
    fr_status status = which->build(&j, error);
    if (status == FR_OK)
        status = blueprint_finish(&j.out, tokenizer, input->settings,
                                  *name ? name : "PreTrainedTokenizerFast", j.absent, input->path,
                                  error);
    blueprint_free(&j.out);
    sentencepiece_free(&j.model);
    fr_free(j.score);
    return status;
}
