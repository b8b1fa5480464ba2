/* test_torch.c: PyTorch's files as weights: the same numbers as PyTorch's, and nothing of a hostile one is believed or executed. */
#include "zip_help.h"

#include "frugal/formats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char path[300];

static int make_path(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/frugal-torch-%d.pt", base ? base : P_tmpdir, (int)getpid());
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static fr_status open_bytes(fr_weight_file **file, const void *data, size_t size, fr_error *error)
{
    assert_int_equal(fr_file_write(path, data, size, NULL), FR_OK);
    return fr_weight_file_open(file, path, error);
}

static void refuse(const void *data, size_t size, fr_status status, const char *words)
{
    fr_weight_file *file;
    fr_error error = {0};
    fr_status got = open_bytes(&file, data, size, &error);
    if (got != status || !strstr(error.message, words))
        fail_msg("expected '%s', got %d: %s", words, (int)got, error.message);
    assert_null(file);
}

/* ---- what PyTorch wrote ---- */

static void compare(const char *name)
{
    fr_weight_file *file, *expected;
    fr_error error = {0};
    if (fr_weight_file_open(&file, name, &error) != FR_OK)
        fail_msg("%s", error.message);
    assert_int_equal(
        fr_weight_file_open(&expected, "tests/fixtures/torch/expected.safetensors", NULL), FR_OK);
    assert_int_equal(fr_weight_file_count(file), fr_weight_file_count(expected) + 3);
    for (size_t i = 0; i < fr_weight_file_count(expected); i++) {
        const fr_stored_tensor *e = fr_weight_file_at(expected, i);
        const fr_stored_tensor *t = fr_weight_file_find(file, e->name);
        assert_non_null(t);
        assert_int_equal(t->rank, e->rank);
        assert_memory_equal(t->shape, e->shape, (size_t)e->rank * sizeof *e->shape);
        assert_int_equal(t->bytes, e->bytes);
        assert_string_equal(t->type, e->type);
        float a[64], b[64];
        int64_t count = (int64_t)(e->bytes / fr_dtype_size(e->dtype));
        t->read(t, 0, count, a);
        e->read(e, 0, count, b);
        assert_memory_equal(a, b, (size_t)count * sizeof *a);
        if (count > 2) { /* a part of it, too */
            t->read(t, 1, count - 2, a);
            assert_memory_equal(a, b + 1, (size_t)(count - 2) * sizeof *a);
        }
    }
    assert_null(fr_weight_file_find(file, "ids")->read);
    assert_null(fr_weight_file_find(file, "flags")->read);
    assert_int_equal(fr_weight_file_find(file, "empty")->bytes, 0);
    assert_string_equal(fr_weight_file_format(file), "torch");
    fr_weight_file_close(file);
    fr_weight_file_close(expected);
}

static void test_a_state_dict_in_a_zip_archive_gives_the_numbers_that_pytorch_saved(void **state)
{
    (void)state;
    compare("tests/fixtures/torch/zip.pt");
}

static void test_the_older_layout_gives_the_same(void **state)
{
    (void)state;
    compare("tests/fixtures/torch/legacy.pt");
}

static void test_a_checkpoint_gives_its_state_dict(void **state)
{
    (void)state;
    compare("tests/fixtures/torch/nested.pt");
}

static void test_every_cut_of_a_file_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"tests/fixtures/torch/zip.pt",
                                        "tests/fixtures/torch/legacy.pt"};
    for (int i = 0; i < 2; i++) {
        char *data;
        size_t size;
        assert_int_equal(fr_file_read(names[i], 0, &data, &size, NULL), FR_OK);
        for (size_t cut = 0; cut < size; cut += cut < 64 ? 1 : 61) {
            fr_weight_file *file;
            assert_int_not_equal(open_bytes(&file, data, cut, NULL), FR_OK);
        }
        fr_free(data);
    }
}

/* ---- hostile pickles ---- */

/* An archive with this pickle, and one storage of two f32. */
static void refuse_pickle(const char *pickle, size_t size, fr_status status, const char *words)
{
    fr_buffer bytes = {0};
    zip_places places;
    const float numbers[2] = {1, 2};
    const zip_part parts[] = {{"m/data.pkl", pickle, size}, {"m/data/0", numbers, sizeof numbers}};
    zip_make(&bytes, parts, 2, &places);
    refuse(bytes.data, bytes.size, status, words);
    fr_buffer_free(&bytes);
}
#define REFUSE(status, pickle, words) refuse_pickle("" pickle, sizeof(pickle) - 1, status, words)

#define TEXT(length, text) "X" length "\0\0\0" text
#define STORAGE                                                                                    \
    "(" TEXT("\7", "storage") "ctorch\nFloatStorage\n" TEXT("\1", "0") TEXT("\3", "cpu") "K\2tQ"
/* {"w": tensor(storage, ARGUMENTS)} */
#define TENSOR(arguments)                                                                          \
    "\x80\2}" TEXT("\1", "w") "ctorch._utils\n_rebuild_tensor_v2\n(" arguments "tRs."

static void test_a_pickle_cannot_call_anything(void **state)
{
    (void)state;
    REFUSE(FR_UNSUPPORTED, "\x80\2cposix\nsystem\n" TEXT("\2", "id") "\x85R.", "'posix.system'");
    REFUSE(FR_UNSUPPORTED, "\x80\2cbuiltins\neval\n(" TEXT("\2", "id") "tR.", "'builtins.eval'");
    REFUSE(FR_UNSUPPORTED, "\x80\4\x8c\2os\x8c\6system\x93.", "'os.system'");
    REFUSE(FR_UNSUPPORTED, "\x80\2ctorch._utils\n_rebuild_from_type_v2\n.", "_rebuild_from_type");
    REFUSE(FR_UNSUPPORTED, "\x80\2(" TEXT("\2", "id") "ios\nsystem\n.", "instruction INST");
    REFUSE(FR_UNSUPPORTED, "\x80\2ccollections\nOrderedDict\n)\x81.", "instruction NEWOBJ");
    REFUSE(FR_UNSUPPORTED, "\x80\2ctorch\nFloatStorage\n)R.", "only a name");
    REFUSE(FR_BAD_INPUT, "\x80\2})R.", "calls a dict with a tuple");
    REFUSE(FR_BAD_INPUT, "\x80\2ccollections\nOrderedDict\n]R.", "calls a class with a list");
    REFUSE(FR_UNSUPPORTED, "\x80\2]}b.", "BUILD of a list");
    REFUSE(FR_UNSUPPORTED, "\x80\2})b.", "BUILD of a dict with a tuple");
    REFUSE(FR_UNSUPPORTED, "\x80\1}.", "protocol 1");
    REFUSE(FR_UNSUPPORTED, "\x80\2\x82\1.", "instruction EXT1");
    REFUSE(FR_BAD_INPUT, "\x80\2\xff.", "0xff is not an instruction");
}

static void test_a_pickle_cannot_leave_its_stack_memo_or_bytes(void **state)
{
    (void)state;
    REFUSE(FR_BAD_INPUT, "\x80\2R.", "more from the stack than is there");
    REFUSE(FR_BAD_INPUT, "\x80\2\x86.", "more from the stack than is there");
    REFUSE(FR_BAD_INPUT, "\x80\2u.", "no mark on the stack");
    REFUSE(FR_BAD_INPUT, "\x80\2(R.", "a mark for a value");
    REFUSE(FR_BAD_INPUT, "\x80\2}(K\1u.", "a key has no value");
    REFUSE(FR_BAD_INPUT, "\x80\2](K\1K\2u.", "adds to a list, expected a dict");
    REFUSE(FR_BAD_INPUT, "\x80\2h\5.", "memo place 5 is empty");
    REFUSE(FR_BAD_INPUT, "\x80\2}j\xff\xff\xff\xff.", "memo place 4294967295 is empty");
    REFUSE(FR_BAD_INPUT, "\x80\2}r\xff\xff\xff\xff.", "memo place 4294967295 is out of order");
    REFUSE(FR_BAD_INPUT,
           "\x80\2X\xff\xff\xff\xff"
           "a.",
           "claims 4294967295 bytes");
    REFUSE(FR_BAD_INPUT,
           "\x80\2\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
           "a.",
           "claims");
    REFUSE(FR_BAD_INPUT,
           "\x80\4\x95\xff\xff\xff\xff\xff\xff\xff\xff"
           "}.",
           "a frame of");
    REFUSE(FR_UNSUPPORTED, "\x80\2\x8a\xff.", "an integer of 255 bytes");
    REFUSE(FR_BAD_INPUT, "\x80\2cno newline", "not a short line");
    REFUSE(FR_BAD_INPUT, "\x80\2}", "does not end");
    REFUSE(FR_BAD_INPUT, "\x80\2", "does not end");
    REFUSE(FR_BAD_INPUT, "", "does not end");
    REFUSE(FR_BAD_INPUT, "\x80\2}}.", "ends with 2 values");
    REFUSE(FR_BAD_INPUT, "\x80\2}.}", "1 bytes behind its end");
}

static void test_a_structure_that_holds_itself_is_refused(void **state)
{
    (void)state;
    REFUSE(FR_BAD_INPUT, "\x80\2}q\0" TEXT("\5", "model") "h\0s.", "holds no tensors");
    REFUSE(FR_BAD_INPUT, "\x80\2]q\0h\0a.", "holds a list, expected a state dict");
}

/* A list of many pairs, turned into a dict again and again. */
static void test_copies_of_copies_are_bounded(void **state)
{
    (void)state;
    fr_buffer pickle = {0};
    fr_buffer_append(&pickle, "\x80\2]q\1(NN\x86q\2", 11);
    for (int i = 0; i < 20000; i++)
        fr_buffer_append(&pickle, "h\2", 2);
    fr_buffer_text(&pickle, "e");
    for (int i = 0; i < 1000; i++)
        fr_buffer_append(&pickle, "ccollections\nOrderedDict\nh\1\x85R", 29);
    fr_buffer_text(&pickle, ".");
    refuse_pickle(pickle.data, pickle.size, FR_UNSUPPORTED, "more than 4194304 values");
    fr_buffer_free(&pickle);
}

static void test_a_tensor_stays_inside_its_storage(void **state)
{
    (void)state;
    REFUSE(FR_BAD_INPUT, TENSOR(STORAGE "K\0K\3\x85K\1\x85\x89N"),
           "reaches to element 2 of storage '0', which has 2");
    REFUSE(FR_BAD_INPUT, TENSOR(STORAGE "K\1K\2\x85K\1\x85\x89N"), "reaches to element 2");
    REFUSE(FR_BAD_INPUT, TENSOR(STORAGE "K\0K\2\x85K\2\x85\x89N"), "reaches to element 2");
    REFUSE(FR_BAD_INPUT, TENSOR(STORAGE "K\3K\0\x85K\1\x85\x89N"), "reaches to element 3");
    REFUSE(FR_BAD_INPUT, TENSOR(STORAGE "J\xff\xff\xff\xffK\1\x85K\1\x85\x89N"),
           "not made from a storage");
    REFUSE(FR_BAD_INPUT, TENSOR(STORAGE "K\0J\xff\xff\xff\xff\x85K\1\x85\x89N"),
           "axis 0 of a tensor's shape");
    REFUSE(FR_BAD_INPUT, TENSOR(STORAGE "K\0K\1\x85J\xff\xff\xff\xff\x85\x89N"),
           "axis 0 of a tensor's strides");
    REFUSE(FR_BAD_INPUT, TENSOR(STORAGE "K\0K\1\x85)\x89N"), "1 axes, but 0 strides");
    REFUSE(FR_BAD_INPUT, TENSOR(STORAGE "K\0(\x8a\x08\0\0\0\0\0\0\0\x40K\x08t(K\0K\0t\x89N"),
           "impossible shape");
    REFUSE(FR_UNSUPPORTED, TENSOR(STORAGE "K\0(K\1K\1K\1K\1K\1K\1K\1t(K\1K\1K\1K\1K\1K\1K\1t\x89N"),
           "7 axes");
    REFUSE(FR_BAD_INPUT, TENSOR("NK\0K\1\x85K\1\x85\x89N"), "not made from a storage");
    REFUSE(FR_BAD_INPUT, TENSOR("K\0"), "not made from a storage");
}

static void test_a_storage_is_what_the_archive_holds(void **state)
{
    (void)state;
#define STORED(class, key, count)                                                                  \
    "(" TEXT("\7", "storage") "ctorch\n" class "\n" TEXT("\1", key) TEXT("\3", "cpu") count "tQ"
#define ONE "K\0K\1\x85K\1\x85\x89N"
    REFUSE(FR_BAD_INPUT, TENSOR(STORED("FloatStorage", "1", "K\2") ONE), "storage '1'");
    REFUSE(FR_BAD_INPUT, TENSOR(STORED("FloatStorage", "0", "K\3") ONE),
           "8 bytes, but the pickle says 3 elements of f32");
    REFUSE(FR_BAD_INPUT, TENSOR(STORED("DoubleStorage", "0", "K\2") ONE),
           "8 bytes, but the pickle says 2 elements of f64");
    REFUSE(FR_BAD_INPUT,
           TENSOR(STORED("FloatStorage", "0", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f") ONE),
           "8 bytes, but");
    REFUSE(FR_BAD_INPUT, TENSOR(STORED("FloatStorage", "0", "J\xff\xff\xff\xff") ONE),
           "not that of a storage");
    REFUSE(FR_UNSUPPORTED, TENSOR(STORED("ComplexFloatStorage", "0", "K\1") ONE),
           "'torch.ComplexFloatStorage'");
    REFUSE(FR_BAD_INPUT, "\x80\2K\1Q.", "not that of a storage");
    REFUSE(FR_UNSUPPORTED,
           "\x80\2}(" TEXT("\1", "w") "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE ONE
                                      "tR" TEXT("\1", "n") "K\1u.",
           "'n' of the state dict is an integer");
    REFUSE(FR_BAD_INPUT,
           "\x80\2}(" TEXT("\1", "w") "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE ONE
                                      "tRq\1" TEXT("\1", "w") "h\1u.",
           "'w' is there twice");
    REFUSE(FR_BAD_INPUT, "\x80\2}(K\1ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE ONE "tRu.",
           "has an integer for a name");
}

/* ---- hostile archives ---- */

typedef struct bent {
    fr_buffer bytes;
    zip_places places;
} bent;

static bent good_archive(void)
{
    static const char pickle[] = TENSOR(STORAGE "K\0K\2\x85K\1\x85\x89N");
    static const float numbers[2] = {1, 2};
    const zip_part parts[] = {{"m/data.pkl", pickle, sizeof pickle - 1},
                              {"m/data/0", numbers, sizeof numbers}};
    bent b = {0};
    zip_make(&b.bytes, parts, 2, &b.places);
    return b;
}

static void refuse_bent(bent *b, fr_status status, const char *words)
{
    refuse(b->bytes.data, b->bytes.size, status, words);
    fr_buffer_free(&b->bytes);
}

/* One byte of the archive becomes another. */
static void refuse_byte(size_t place, int value, fr_status status, const char *words)
{
    bent b = good_archive();
    b.bytes.data[place] = (char)value;
    refuse_bent(&b, status, words);
}

static void test_an_archive_made_here_is_read(void **state)
{
    (void)state;
    bent b = good_archive();
    fr_weight_file *file;
    fr_error error = {0};
    if (open_bytes(&file, b.bytes.data, b.bytes.size, &error) != FR_OK)
        fail_msg("%s", error.message);
    float numbers[2];
    const fr_stored_tensor *w = fr_weight_file_find(file, "w");
    w->read(w, 0, 2, numbers);
    assert_true(numbers[0] == 1 && numbers[1] == 2);
    fr_weight_file_close(file);
    fr_buffer_free(&b.bytes);
}

static void test_an_archive_that_lies_is_refused(void **state)
{
    (void)state;
    bent b = good_archive();
    const zip_places p = b.places;
    fr_buffer_free(&b.bytes);
    refuse_byte(p.central[0] + 8, 1, FR_UNSUPPORTED, "is encrypted");
    refuse_byte(p.local[0] + 6, 1, FR_UNSUPPORTED, "is encrypted");
    refuse_byte(p.central[0] + 10, 8, FR_UNSUPPORTED, "is compressed (method 8)");
    refuse_byte(p.local[0] + 8, 8, FR_UNSUPPORTED, "is compressed (method 8)");
    refuse_byte(p.central[0] + 20, 1, FR_BAD_INPUT, "has two sizes");
    refuse_byte(p.central[0] + 28, 200, FR_BAD_INPUT, "leaves its directory");
    refuse_byte(p.central[0] + 42, 5, FR_BAD_INPUT, "not where the directory has it");
    refuse_byte(p.central[1] + 42, 0, FR_BAD_INPUT, "another name at its place");
    refuse_byte(p.central[0] + 0, 0, FR_BAD_INPUT, "something that is no entry");
    refuse_byte(p.local[0] + 0, 0, FR_BAD_INPUT, "not a safetensors file");
    refuse_byte(p.local[1] + 0, 0, FR_BAD_INPUT, "not where the directory has it");
    refuse_byte(p.local[0] + 26, 3, FR_BAD_INPUT, "another name at its place");
    refuse_byte(p.end + 8, 3, FR_BAD_INPUT, "several disks");
    refuse_byte(p.end + 12, 3, FR_BAD_INPUT, "too small for the members");
    refuse_byte(p.end + 19, 0x7f, FR_BAD_INPUT, "leaves the file");
    refuse_byte(p.end + 20, 1, FR_BAD_INPUT, "no end record");
}

static void refuse_parts(const zip_part *parts, size_t count, fr_status status, const char *words)
{
    bent b = {0};
    zip_make(&b.bytes, parts, count, &b.places);
    refuse_bent(&b, status, words);
}

static void test_members_stay_inside_and_come_once(void **state)
{
    (void)state;
    static const char *const names[] = {"../data.pkl", "m/../data.pkl", "/m/data.pkl",
                                        "m\\data.pkl", "m/./data.pkl",  ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        refuse_parts(&(zip_part){names[i], "}.", 2}, 1, FR_BAD_INPUT, "leaves the archive");
    refuse_parts((zip_part[]){{"m/data.pkl", "}.", 2}, {"m/data.pkl", "}.", 2}}, 2, FR_BAD_INPUT,
                 "is there twice");
    refuse_parts((zip_part[]){{"m/data.pkl", "}.", 2}, {"n/data.pkl", "}.", 2}}, 2, FR_BAD_INPUT,
                 "several data.pkl");
    refuse_parts((zip_part[]){{"m/other", "}.", 2}}, 1, FR_BAD_INPUT, "without data.pkl");
    refuse_parts((zip_part[]){{"m/data.pkl", "}.", 2}, {"m/code/a.py", "", 0}}, 2, FR_UNSUPPORTED,
                 "TorchScript");
    refuse_parts((zip_part[]){{"m/data.pkl", "}.", 2}, {"m/byteorder", "big", 3}}, 2,
                 FR_UNSUPPORTED, "byte order is 'big'");
}

/* The second entry points into the first one's data, where a local header of its own stands. */
static void test_members_do_not_overlap(void **state)
{
    (void)state;
    fr_buffer inner = {0}, whole = {0};
    zip_places places, outer;
    zip_make(&inner, &(zip_part){"n/x", "abc", 3}, 1, &places);
    const zip_part parts[] = {{"m/y", inner.data, inner.size}, {"n/x", "abc", 3}};
    zip_make(&whole, parts, 2, &outer);
    memcpy(whole.data + outer.central[1] + 42, &(uint32_t){(uint32_t)outer.data[0]}, 4);
    refuse(whole.data, whole.size, FR_BAD_INPUT, "overlap");
    fr_buffer_free(&inner);
    fr_buffer_free(&whole);
}

static void test_what_is_no_file_of_torch_is_refused(void **state)
{
    (void)state;
    refuse("", 0, FR_BAD_INPUT, "too few for a safetensors file");
    refuse("\x80\2}q\0.        ", 14, FR_UNSUPPORTED, "a bare pickle");
    refuse("PK\3\4", 4, FR_BAD_INPUT, "no end record");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_state_dict_in_a_zip_archive_gives_the_numbers_that_pytorch_saved),
        cmocka_unit_test(test_the_older_layout_gives_the_same),
        cmocka_unit_test(test_a_checkpoint_gives_its_state_dict),
        cmocka_unit_test(test_every_cut_of_a_file_is_refused),
        cmocka_unit_test(test_a_pickle_cannot_call_anything),
        cmocka_unit_test(test_a_pickle_cannot_leave_its_stack_memo_or_bytes),
        cmocka_unit_test(test_a_structure_that_holds_itself_is_refused),
        cmocka_unit_test(test_copies_of_copies_are_bounded),
        cmocka_unit_test(test_a_tensor_stays_inside_its_storage),
        cmocka_unit_test(test_a_storage_is_what_the_archive_holds),
        cmocka_unit_test(test_an_archive_made_here_is_read),
        cmocka_unit_test(test_an_archive_that_lies_is_refused),
        cmocka_unit_test(test_members_stay_inside_and_come_once),
        cmocka_unit_test(test_members_do_not_overlap),
        cmocka_unit_test(test_what_is_no_file_of_torch_is_refused),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
