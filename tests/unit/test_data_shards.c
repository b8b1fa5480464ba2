/* test_data_shards.c: Megatron shards, and the loader's rows. */
#include "data_help.h"

#include "frugal/operators.h"

/* ---- shards ---- */

/* Write documents of these sizes; token i of document d is a function of both, and the last is
   `end` (-1: like the others). */
static int32_t token(int64_t document, int64_t i, int64_t vocabulary)
{
    return (int32_t)((int64_t)chance((uint64_t)(document * 100003 + i)) % vocabulary);
}

static void write_shard(const char *name, const int *sizes, int count, int64_t vocabulary,
                        int32_t end)
{
    fr_shard_writer *writer;
    assert_int_equal(fr_shard_writer_open(&writer, in_root(name), vocabulary, NULL), FR_OK);
    for (int d = 0; d < count; d++) {
        int32_t *ids = calloc((size_t)sizes[d] + 1, sizeof *ids);
        for (int i = 0; i < sizes[d]; i++)
            ids[i] = i + 1 == sizes[d] && end >= 0 ? end : token(d, i, end >= 0 ? end : vocabulary);
        assert_int_equal(fr_shard_writer_add(writer, ids, (size_t)sizes[d], NULL), FR_OK);
        free(ids);
    }
    assert_int_equal(fr_shard_writer_commit(writer, NULL), FR_OK);
}

static fr_shard *open_shard(const char *name)
{
    fr_shard *shard;
    fr_error error;
    if (fr_shard_open(&shard, in_root(name), &error) != FR_OK)
        fail_msg("%s", error.message);
    return shard;
}

static const int sizes[] = {5, 0, 1, 300, 7, 7, 0, 64, 2, 1};
enum { SIZES = sizeof sizes / sizeof sizes[0], TOKENS = 387 };

static void test_a_shard_reads_back_what_was_written(void **state)
{
    (void)state;
    static const int64_t vocabularies[] = {300, 65536, 65537, 1000000};
    for (int v = 0; v < 4; v++) {
        int32_t ids[TOKENS], most = -1;
        write_shard("back", sizes, SIZES, vocabularies[v], -1);
        fr_shard *shard = open_shard("back");
        assert_int_equal(fr_shard_documents(shard), SIZES);
        assert_int_equal(fr_shard_tokens(shard), TOKENS);
        fr_shard_read(shard, 0, TOKENS, ids);
        for (int d = 0; d < SIZES; d++) {
            int64_t begin = fr_shard_document_begin(shard, d);
            assert_int_equal(fr_shard_document_begin(shard, d + 1) - begin, sizes[d]);
            for (int i = 0; i < sizes[d]; i++) {
                int32_t one;
                fr_shard_read(shard, begin + i, 1, &one);
                assert_int_equal(ids[begin + i], token(d, i, vocabularies[v]));
                assert_int_equal(one, ids[begin + i]);
                most = one > most ? one : most;
            }
        }
        assert_int_equal(fr_shard_max_id(shard), most);
        assert_int_equal(fr_shard_max_id(shard), most);
        fr_shard_close(shard);
    }
}

static void test_ids_outside_the_vocabulary_are_not_written(void **state)
{
    (void)state;
    fr_shard_writer *writer;
    assert_int_equal(fr_shard_writer_open(&writer, in_root("outside"), 100, NULL), FR_OK);
    assert_int_equal(fr_shard_writer_add(writer, (int32_t[]){99, 100}, 2, NULL), FR_WRONG_CALL);
    assert_int_equal(fr_shard_writer_add(writer, (int32_t[]){-1}, 1, NULL), FR_WRONG_CALL);
    fr_shard_writer_abandon(writer);
    assert_false(fr_path_exists(in_root("outside.bin")));
    assert_false(fr_path_exists(in_root("outside.idx")));
}

static void test_an_empty_shard_is_whole(void **state)
{
    (void)state;
    fr_shard_writer *writer;
    fr_loader *loader;
    assert_int_equal(fr_shard_writer_open(&writer, in_root("none"), 100, NULL), FR_OK);
    assert_int_equal(fr_shard_writer_commit(writer, NULL), FR_OK);
    fr_shard *shard = open_shard("none");
    assert_int_equal(fr_shard_documents(shard), 0);
    assert_int_equal(fr_shard_tokens(shard), 0);
    assert_int_equal(fr_shard_max_id(shard), -1);
    assert_int_equal(
        fr_loader_create(&loader, shard, &(fr_loader_options){.batch = 1, .length = 4}, NULL),
        FR_BAD_INPUT);
    fr_shard_close(shard);
}

static void test_another_reader_of_the_format_reads_the_same(void **state)
{
    (void)state;
    if (system("python3 -c '' 2>/dev/null") != 0) {
        print_message("no python3 here\n");
        skip();
    }
    for (int wide = 0; wide < 2; wide++) {
        int64_t vocabulary = wide ? 70000 : 3000;
        write_shard("megatron", sizes, SIZES, vocabulary, -1);
        char command[700], line[1 << 14], expected[1 << 14];
        snprintf(command, sizeof command, "python3 tests/fixtures/read_megatron.py '%s'",
                 in_root("megatron"));
        FILE *pipe = popen(command, "r");
        assert_non_null(pipe);
        assert_non_null(fgets(line, sizeof line, pipe));
        assert_string_equal(line, wide ? "i\n" : "H\n");
        for (int d = 0; d < SIZES; d++) {
            int used = 0;
            for (int i = 0; i < sizes[d]; i++)
                used += snprintf(expected + used, sizeof expected - (size_t)used, i ? " %d" : "%d",
                                 token(d, i, vocabulary));
            snprintf(expected + used, sizeof expected - (size_t)used, "\n");
            assert_non_null(fgets(line, sizeof line, pipe));
            assert_string_equal(line, expected);
        }
        assert_int_equal(pclose(pipe), 0);
    }
}

/* ---- indices by hand, and lies ---- */

typedef struct index_parts {
    char magic[9];
    uint64_t version;
    uint8_t code;
    uint64_t sequences, indices;
    int32_t lengths[4];
    int64_t pointers[4], starts[4];
    size_t extra; /* bytes behind */
    size_t bin_bytes;
} index_parts;

/* Four sequences in two documents (and an empty one) of uint16 tokens 0..9. */
static const index_parts honest = {"MMIDIDX",    1, 8, 4, 4, {3, 2, 0, 5}, {0, 6, 10, 10},
                                   {0, 2, 2, 4}, 0, 20};

static void write_index(const index_parts *p)
{
    fr_buffer b = {0};
    unsigned char tokens[64];
    fr_buffer_append(&b, p->magic, 9);
    fr_buffer_append(&b, &p->version, 8);
    fr_buffer_append(&b, &p->code, 1);
    fr_buffer_append(&b, &p->sequences, 8);
    fr_buffer_append(&b, &p->indices, 8);
    fr_buffer_append(&b, p->lengths, sizeof p->lengths);
    fr_buffer_append(&b, p->pointers, sizeof p->pointers);
    fr_buffer_append(&b, p->starts, sizeof p->starts);
    for (size_t i = 0; i < p->extra; i++)
        fr_buffer_append(&b, "", 1);
    put("hand.idx", b.data, b.size);
    for (size_t i = 0; i < sizeof tokens; i++)
        tokens[i] = (unsigned char)(i % 2 ? 0 : i / 2);
    put("hand.bin", tokens, p->bin_bytes);
    fr_buffer_free(&b);
}

static void test_documents_of_several_sequences_are_read(void **state)
{
    (void)state;
    int32_t ids[10];
    write_index(&honest);
    fr_shard *shard = open_shard("hand");
    assert_int_equal(fr_shard_documents(shard), 3);
    assert_int_equal(fr_shard_tokens(shard), 10);
    assert_int_equal(fr_shard_document_begin(shard, 1), 5);
    assert_int_equal(fr_shard_document_begin(shard, 2), 5);
    assert_int_equal(fr_shard_document_begin(shard, 3), 10);
    fr_shard_read(shard, 0, 10, ids);
    for (int i = 0; i < 10; i++)
        assert_int_equal(ids[i], i);
    fr_shard_close(shard);
}

static void expect_lie(const index_parts *parts, fr_status expected, const char *words)
{
    fr_shard *shard;
    fr_error error = {0};
    write_index(parts);
    fr_status status = fr_shard_open(&shard, in_root("hand"), &error);
    assert_null(shard);
    if (status != expected || !strstr(error.message, words) || !strstr(error.message, "hand.idx"))
        fail_msg("status %d, message '%s', expected '%s'", status, error.message, words);
}

#define LIE(expected, words, ...)                                                                  \
    do {                                                                                           \
        index_parts p = honest;                                                                    \
        __VA_ARGS__;                                                                               \
        expect_lie(&p, expected, words);                                                           \
    } while (0)

static void test_every_lie_of_an_index_is_refused(void **state)
{
    (void)state;
    LIE(FR_BAD_INPUT, "not the index", p.magic[0] = 'X');
    LIE(FR_BAD_INPUT, "not the index", p.magic[8] = 'X');
    LIE(FR_UNSUPPORTED, "version is 2", p.version = 2);
    LIE(FR_UNSUPPORTED, "code 6", p.code = 6);
    LIE(FR_UNSUPPORTED, "code 0", p.code = 0);
    LIE(FR_BAD_INPUT, "do not fit a file", p.sequences = 5);
    LIE(FR_BAD_INPUT, "do not fit a file", p.sequences = UINT64_MAX / 4);
    LIE(FR_BAD_INPUT, "do not fit a file", p.indices = 1ULL << 61);
    LIE(FR_BAD_INPUT, "do not fit a file", p.indices = 0);
    LIE(FR_BAD_INPUT, "do not fit a file", p.extra = 1);
    LIE(FR_BAD_INPUT, "sequence 0 has -1 tokens", p.lengths[0] = -1);
    LIE(FR_BAD_INPUT, "sequence 3 has 6 tokens", p.lengths[3] = 6);
    LIE(FR_BAD_INPUT, "tokens, but the .bin", p.lengths[0] = INT32_MAX);
    LIE(FR_BAD_INPUT, "sequence 1 is 8, expected 6", p.pointers[1] = 8);
    LIE(FR_BAD_INPUT, "sequence 0 is -2", p.pointers[0] = -2);
    LIE(FR_BAD_INPUT, "sequence 3 is", p.pointers[3] = INT64_MAX);
    LIE(FR_BAD_INPUT, "fill 20 bytes, but the .bin has 22", p.bin_bytes = 22);
    LIE(FR_BAD_INPUT, "the .bin has 8 bytes left", p.bin_bytes = 18);
    LIE(FR_BAD_INPUT, "fill 20 bytes, but the .bin has 21", p.bin_bytes = 21);
    LIE(FR_BAD_INPUT, "first document index is 1", p.starts[0] = 1);
    LIE(FR_BAD_INPUT, "document index 2 is 1", p.starts[2] = 1);
    LIE(FR_BAD_INPUT, "document index 1 is 5", p.starts[1] = 5);
    LIE(FR_BAD_INPUT, "document index 1 is -1", p.starts[1] = -1);
    LIE(FR_BAD_INPUT, "last document index is 3", p.starts[3] = 3);
    put("hand.idx", "", 0);
    fr_shard *shard;
    assert_int_equal(fr_shard_open(&shard, in_root("hand"), NULL), FR_BAD_INPUT);
    assert_int_equal(fr_shard_open(&shard, in_root("nowhere"), NULL), FR_BAD_INPUT);
}

static void test_no_mutation_of_an_index_does_harm(void **state)
{
    (void)state;
    unsigned char bytes[256], changed[256];
    write_index(&honest);
    FILE *file = fopen(in_root("hand.idx"), "rb");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    for (uint64_t i = 0; i < 3000; i++) {
        memcpy(changed, bytes, size);
        size_t length = i % 10 == 0 ? chance(i) % (size + 1) : size;
        for (uint64_t n = 0; n <= i % 3; n++)
            changed[chance(i * 8 + n) % size] = (unsigned char)chance(i * 8 + n + 4);
        put("hand.idx", changed, length);
        fr_shard *shard;
        if (fr_shard_open(&shard, in_root("hand"), NULL) != FR_OK)
            continue;
        int32_t ids[16];
        int64_t tokens = fr_shard_tokens(shard);
        assert_in_range(tokens, 0, 10);
        fr_shard_read(shard, 0, tokens, ids);
        for (int64_t d = 0; d <= fr_shard_documents(shard); d++)
            assert_in_range(fr_shard_document_begin(shard, d), 0, tokens);
        assert_in_range(fr_shard_max_id(shard) + 1, 0, UINT32_MAX);
        fr_shard_close(shard);
    }
}

/* ---- the loader ---- */

enum { END = 999, VOCABULARY = 1000 };

typedef struct rows {
    int64_t batch, length;
    int32_t *ids, *targets, *segments, *positions;
} rows;

static rows rows_create(int64_t batch, int64_t length)
{
    size_t n = (size_t)(batch * length);
    rows r = {batch, length, malloc(n * 4), malloc(n * 4), malloc(n * 4), malloc(n * 4)};
    return r;
}

static void rows_free(rows *r)
{
    free(r->ids);
    free(r->targets);
    free(r->segments);
    free(r->positions);
}

static void get(fr_loader *loader, int64_t number, rows *r)
{
    assert_int_equal(
        fr_loader_get(loader, number, r->ids, r->targets, r->segments, r->positions, NULL), FR_OK);
}

static fr_loader *create(const fr_shard *shard, int64_t batch, int64_t length, bool cross,
                         int64_t seed)
{
    fr_loader *loader;
    fr_loader_options options = {batch, length, cross, seed};
    assert_int_equal(fr_loader_create(&loader, shard, &options, NULL), FR_OK);
    return loader;
}

/* `count` tokens of the stream from its beginning, read as rows. */
static int32_t *stream(const fr_shard *shard, int64_t count, int64_t length, int64_t seed)
{
    int32_t *tokens = malloc((size_t)(count + length) * 4);
    fr_loader *loader = create(shard, 1, length, true, seed);
    rows r = rows_create(1, length);
    for (int64_t row = 0; row * length < count; row++) {
        get(loader, row, &r);
        memcpy(tokens + row * length, r.targets, (size_t)length * 4);
    }
    rows_free(&r);
    fr_loader_destroy(loader);
    return tokens;
}

/* Which document of `sizes` begins at tokens[at]? Its number, after checking all its tokens. */
static int document_at(const int32_t *tokens, bool *seen)
{
    for (int d = 0; d < SIZES; d++) {
        bool same = sizes[d] > 0 && !seen[d];
        for (int i = 0; i < sizes[d] && same; i++)
            same = tokens[i] == (i + 1 == sizes[d] ? END : token(d, i, END));
        if (same)
            return d;
    }
    return -1;
}

static void test_an_epoch_has_every_document_whole_and_once(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 7, 64, 387, 500, 1000};
    write_shard("epoch", sizes, SIZES, VOCABULARY, END);
    fr_shard *shard = open_shard("epoch");
    for (int l = 0; l < 6; l++) {
        int32_t *tokens = stream(shard, 3 * TOKENS, lengths[l], 5);
        for (int epoch = 0; epoch < 3; epoch++) {
            bool seen[SIZES] = {false};
            int64_t at = 0;
            while (at < TOKENS) {
                int d = document_at(tokens + epoch * TOKENS + at, seen);
                assert_true(d >= 0);
                seen[d] = true;
                at += sizes[d];
            }
            assert_int_equal(at, TOKENS);
        }
        free(tokens);
    }
    fr_shard_close(shard);
}

static void test_each_epoch_and_seed_has_its_own_order(void **state)
{
    (void)state;
    fr_shard *shard = open_shard("epoch");
    int32_t *a = stream(shard, 2 * TOKENS, 16, 5), *b = stream(shard, 2 * TOKENS, 16, 6),
            *again = stream(shard, 2 * TOKENS, 16, 5),
            *other_length = stream(shard, 2 * TOKENS, 5, 5);
    assert_memory_equal(a, again, 2 * TOKENS * 4);
    assert_memory_equal(a, other_length, 2 * TOKENS * 4);
    assert_memory_not_equal(a, a + TOKENS, TOKENS * 4);
    assert_memory_not_equal(a, b, TOKENS * 4);
    free(a);
    free(b);
    free(again);
    free(other_length);
    fr_shard_close(shard);
}

static void test_a_batch_is_a_pure_function_of_its_number(void **state)
{
    (void)state;
    fr_shard *shard = open_shard("epoch");
    fr_loader *forward = create(shard, 3, 20, false, 9), *random = create(shard, 3, 20, false, 9),
              *single = create(shard, 1, 20, false, 9);
    rows expected = rows_create(3, 20), r = rows_create(3, 20), one = rows_create(1, 20);
    get(random, 500, &r);
    for (int64_t number = 0; number < 60; number++) {
        get(forward, number, &expected);
        get(random, 60 - number, &r);
        get(random, number, &r);
        assert_memory_equal(r.ids, expected.ids, 240);
        assert_memory_equal(r.targets, expected.targets, 240);
        assert_memory_equal(r.segments, expected.segments, 240);
        assert_memory_equal(r.positions, expected.positions, 240);
        for (int b = 0; b < 3; b++) {
            get(single, 3 * number + b, &one);
            assert_memory_equal(one.ids, expected.ids + 20 * b, 80);
            assert_memory_equal(one.targets, expected.targets + 20 * b, 80);
        }
    }
    rows_free(&expected);
    rows_free(&r);
    rows_free(&one);
    fr_loader_destroy(forward);
    fr_loader_destroy(random);
    fr_loader_destroy(single);
    fr_shard_close(shard);
}

static void test_ids_are_the_targets_one_token_before(void **state)
{
    (void)state;
    fr_shard *shard = open_shard("epoch");
    fr_loader *loader = create(shard, 2, 13, true, 1);
    rows r = rows_create(2, 13);
    int32_t before = END; /* the stream begins after an end-of-text */
    for (int64_t number = 0; number < 100; number++) {
        get(loader, number, &r);
        for (int i = 0; i < 26; i++) {
            assert_int_equal(r.ids[i], before);
            assert_int_equal(r.segments[i], 0);
            assert_int_equal(r.positions[i], i % 13);
            before = r.targets[i];
        }
    }
    rows_free(&r);
    fr_loader_destroy(loader);
    fr_shard_close(shard);
}

static void test_segments_begin_with_the_end_of_text_and_restart_positions(void **state)
{
    (void)state;
    fr_shard *shard = open_shard("epoch");
    fr_loader *loader = create(shard, 1, 40, false, 1);
    rows r = rows_create(1, 40);
    for (int64_t number = 0; number < 50; number++) {
        get(loader, number, &r);
        int32_t segment = 0, position = 0;
        for (int i = 0; i < 40; i++, position++) {
            if (i && r.ids[i] == END) {
                segment++;
                position = 0;
            }
            assert_int_equal(r.segments[i], segment);
            assert_int_equal(r.positions[i], position);
            assert_true(r.targets[i] != FR_IGNORE);
            assert_true(i == 39 || r.targets[i] == r.ids[i + 1]);
        }
    }
    rows_free(&r);
    fr_loader_destroy(loader);
    fr_shard_close(shard);
}

static void test_without_end_tokens_no_target_crosses_a_boundary(void **state)
{
    (void)state;
    static const int plain[] = {3, 4, 50, 1};
    write_shard("plain", plain, 4, 500, -1);
    fr_shard *shard = open_shard("plain");
    fr_loader *loader = create(shard, 1, 58, false, 1);
    rows r = rows_create(1, 58);
    for (int64_t number = 0; number < 20; number++) {
        get(loader, number, &r);
        int ignored = 0;
        for (int i = 0; i < 58; i++) {
            ignored += r.targets[i] == FR_IGNORE;
            bool boundary = i < 57 && r.segments[i + 1] != r.segments[i];
            assert_true(i == 57 || (r.targets[i] == FR_IGNORE) == boundary);
            assert_true(i == 0 ||
                        r.positions[i] ==
                            (r.segments[i] == r.segments[i - 1] ? r.positions[i - 1] + 1 : 0));
        }
        assert_int_equal(ignored, 4);
    }
    rows_free(&r);
    fr_loader_destroy(loader);
    fr_shard_close(shard);
}

static void test_batches_are_given_without_allocating(void **state)
{
    (void)state;
    fr_shard *shard = open_shard("epoch");
    fr_loader *loader = create(shard, 2, 32, false, 1);
    rows r = rows_create(2, 32);
    assert_int_equal(fr_loader_rows_per_epoch(loader), TOKENS / 32);
    uint64_t before = fr_allocation_count();
    for (int64_t number = 0; number < 100; number++)
        get(loader, number, &r);
    assert_int_equal(fr_allocation_count(), before);
    assert_int_equal(fr_loader_get(loader, -1, r.ids, r.targets, NULL, NULL, NULL), FR_WRONG_CALL);
    assert_int_equal(fr_loader_get(loader, INT64_MAX, r.ids, r.targets, NULL, NULL, NULL),
                     FR_WRONG_CALL);
    rows_free(&r);
    fr_loader_destroy(loader);
    fr_shard_close(shard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_shard_reads_back_what_was_written),
        cmocka_unit_test(test_ids_outside_the_vocabulary_are_not_written),
        cmocka_unit_test(test_an_empty_shard_is_whole),
        cmocka_unit_test(test_another_reader_of_the_format_reads_the_same),
        cmocka_unit_test(test_documents_of_several_sequences_are_read),
        cmocka_unit_test(test_every_lie_of_an_index_is_refused),
        cmocka_unit_test(test_no_mutation_of_an_index_does_harm),
        cmocka_unit_test(test_an_epoch_has_every_document_whole_and_once),
        cmocka_unit_test(test_each_epoch_and_seed_has_its_own_order),
        cmocka_unit_test(test_a_batch_is_a_pure_function_of_its_number),
        cmocka_unit_test(test_ids_are_the_targets_one_token_before),
        cmocka_unit_test(test_segments_begin_with_the_end_of_text_and_restart_positions),
        cmocka_unit_test(test_without_end_tokens_no_target_crosses_a_boundary),
        cmocka_unit_test(test_batches_are_given_without_allocating),
    };
    return cmocka_run_group_tests_name("data shards", tests, make_root, remove_root);
}
