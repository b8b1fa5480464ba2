/* test_data_sources.c: files and folders -> documents. */
#include "data_help.h"

#include <errno.h>
#include <lzma.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

/* ---- helpers ---- */

static void expect_options(const char *name, const fr_source_options *options, const char *expected)
{
    fr_buffer out = {0};
    fr_error error = {0};
    int64_t count;
    if (read_all(in_root(name), options, &out, &count, &error) != FR_OK)
        fail_msg("%s: %s", name, error.message);
    assert_string_equal(out.data ? out.data : "", expected);
    fr_buffer_free(&out);
}

static void expect(const char *name, const char *expected)
{
    expect_options(name, NULL, expected);
}

static void expect_error(const char *name, fr_status expected, const char *words)
{
    fr_buffer out = {0};
    fr_error error = {0};
    int64_t count;
    fr_status status = read_all(in_root(name), NULL, &out, &count, &error);
    if (status != expected || !strstr(error.message, words))
        fail_msg("%s: status %d, message '%s', expected %d with '%s'", name, status, error.message,
                 expected, words);
    fr_buffer_free(&out);
}

static const char *const packings[] = {"gz", "zst", "xz"};

static size_t pack(int kind, const void *data, size_t size, unsigned char *out, size_t room)
{
    if (kind == 0) {
        z_stream z = {.next_in = (Bytef *)(uintptr_t)data,
                      .avail_in = (uInt)size,
                      .next_out = out,
                      .avail_out = (uInt)room};
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        deflateEnd(&z);
        return z.total_out;
    }
    if (kind == 1) {
        size_t n = ZSTD_compress(out, room, data, size, 3);
        assert_false(ZSTD_isError(n));
        return n;
    }
    size_t n = 0;
    assert_int_equal(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, NULL, data, size, out, &n, room),
                     LZMA_OK);
    return n;
}

static void put_packed(const char *name, int kind, const char *text)
{
    unsigned char packed[1 << 16];
    put(name, packed, pack(kind, text, strlen(text), packed, sizeof packed));
}

/* ---- files and folders ---- */

static void test_a_plain_file_is_one_document(void **state)
{
    (void)state;
    put_text("plain/one.txt", "Hello,\nworld.\n");
    put_text("plain/code.c", "int main(void) { return 0; }\n");
    expect("plain/one.txt", "Hello,\nworld.\n\x1e");
    expect("plain/code.c", "int main(void) { return 0; }\n\x1e");
}

static void test_a_folder_is_walked_in_byte_order_of_paths(void **state)
{
    (void)state;
    put_text("order/a/x", "4");
    put_text("order/a.txt", "3");
    put_text("order/a-b", "2");
    put_text("order/B", "1");
    put_text("order/a0", "5");
    expect("order", "1\x1e"
                    "2\x1e"
                    "3\x1e"
                    "4\x1e"
                    "5\x1e");
    expect("order/", "1\x1e"
                     "2\x1e"
                     "3\x1e"
                     "4\x1e"
                     "5\x1e");
}

static void test_a_loop_of_links_ends_and_a_linked_folder_is_read_once(void **state)
{
    (void)state;
    put_text("links/a/text", "once");
    assert_int_equal(symlink("..", in_root("links/a/up")), 0);
    assert_int_equal(symlink("a", in_root("links/b")), 0);
    assert_int_equal(symlink("a/text", in_root("links/c")), 0);
    assert_int_equal(symlink("nowhere", in_root("links/d")), 0);
    expect("links", "once\x1eonce\x1e");
}

static void test_what_is_no_text_is_skipped_and_counted_in_a_folder(void **state)
{
    (void)state;
    const char *path = in_root("mixed");
    put_text("mixed/.hidden", "secret");
    put_text("mixed/.git/config", "secret");
    put("mixed/binary", "a\0b\0c", 5);
    put_text("mixed/empty", "");
    put_text("mixed/paper.pdf", "%PDF-1.7 and so on");
    put_text("mixed/text", "words");
    put("mixed/utf32", "\xff\xfe\0\0a\0\0\0", 8);
    fr_source *source;
    fr_document document;
    fr_source_counts counts;
    assert_int_equal(fr_source_open(&source, &path, 1, &(fr_source_options){0}, NULL), FR_OK);
    assert_int_equal(fr_source_next(source, &document, NULL), FR_OK);
    assert_string_equal(strrchr(document.path, '/'), "/text");
    assert_int_equal(fr_source_next(source, &document, NULL), FR_OK);
    assert_null(document.text);
    fr_source_get_counts(source, &counts);
    assert_int_equal(counts.files, 1);
    assert_int_equal(counts.hidden, 2);
    assert_int_equal(counts.binary, 2);
    assert_int_equal(counts.empty, 1);
    assert_int_equal(counts.unreadable, 1);
    assert_true(fr_source_progress(source) == 1);
    fr_source_close(source);
}

static void test_what_is_no_text_is_refused_when_named(void **state)
{
    (void)state;
    static const struct {
        const char *name, *bytes;
        size_t size;
        const char *words;
    } cases[] = {
        {"bad/empty", "", 0, "is empty"},
        {"bad/zeros", "ab\0cd\0ef", 8, "looks like a binary file (2 zero bytes"},
        {"bad/controls", "ab\1cd\2ef", 8, "looks like a binary file (2 control bytes"},
        {"bad/a.pdf", "%PDF-1.7\n%", 10, "looks like a binary file (PDF)"},
        {"bad/a.zip", "PK\3\4aaaa", 8, "ZIP"},
        {"bad/a.txt", "\x1f\x8b\x08\0abcd", 8, "its name should end in .gz"},
        {"bad/program",
         "\x7f"
         "ELF\2\1",
         6, "a program"},
        {"bad/empty.gz", "", 0, "compressed"},
        {"bad/text.gz", "hello there", 11, "byte "},
        {"bad/text.xz", "hello there, you", 16, "not xz data"},
        {"bad/text.zst", "hello there", 11, "byte "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put(cases[i].name, cases[i].bytes, cases[i].size);
        expect_error(cases[i].name, FR_BAD_INPUT, cases[i].words);
        expect_error(cases[i].name, FR_BAD_INPUT, in_root(cases[i].name));
    }
    expect_error("bad/missing", FR_BAD_INPUT, "No such file");
    assert_int_equal(fr_exit_code(FR_BAD_INPUT), 2);
}

static void test_no_paths_and_tiny_pieces_are_refused(void **state)
{
    (void)state;
    fr_source *source;
    fr_error error;
    const char *path = in_root("plain/one.txt");
    assert_int_equal(fr_source_open(&source, NULL, 0, &(fr_source_options){0}, &error),
                     FR_BAD_INPUT);
    assert_int_equal(
        fr_source_open(&source, &path, 1, &(fr_source_options){.max_document = 7}, &error),
        FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "max_document is 7"));
}

/* ---- packing ---- */

static void test_packed_files_read_like_plain_ones(void **state)
{
    (void)state;
    char name[64];
    for (int kind = 0; kind < 3; kind++) {
        snprintf(name, sizeof name, "packed/a.txt.%s", packings[kind]);
        put_packed(name, kind, "plain text\n");
        expect(name, "plain text\n\x1e");
        snprintf(name, sizeof name, "packed/a.html.%s", packings[kind]);
        put_packed(name, kind, "<p>one<p>two");
        expect(name, "one\n\ntwo\x1e");
        snprintf(name, sizeof name, "packed/a.JSONL.%s", packings[kind]);
        put_packed(name, kind, "{\"text\": \"one\"}\n{\"text\": \"two\"}");
        expect(name, "one\x1etwo\x1e");
        snprintf(name, sizeof name, "packed/a.md.%s", packings[kind]);
        put_packed(name, kind, "---\ntitle: x\n---\n# Hi\n");
        expect(name, "# Hi\n\x1e");
    }
}

static void test_members_that_follow_each_other_are_all_read(void **state)
{
    (void)state;
    unsigned char bytes[4096];
    char name[64];
    for (int kind = 0; kind < 3; kind++) {
        size_t n = pack(kind, "first ", 6, bytes, sizeof bytes);
        n += pack(kind, "second", 6, bytes + n, sizeof bytes - n);
        snprintf(name, sizeof name, "members.%s", packings[kind]);
        put(name, bytes, n);
        expect(name, "first second\x1e");
    }
    size_t n = pack(0, "padded", 6, bytes, sizeof bytes);
    memset(bytes + n, 0, 512);
    put("padded.gz", bytes, n + 512);
    expect("padded.gz", "padded\x1e");
}

static void test_a_truncated_archive_is_an_error_that_names_the_byte(void **state)
{
    (void)state;
    fr_buffer text = {0};
    unsigned char bytes[1 << 16];
    char name[64];
    babble(&text, 1, 5000);
    for (int kind = 0; kind < 3; kind++) {
        size_t n = pack(kind, text.data, text.size, bytes, sizeof bytes);
        snprintf(name, sizeof name, "short/cut.%s", packings[kind]);
        for (int cut = 1; cut < 12; cut++) {
            char words[64];
            size_t left = cut < 6 ? n - (size_t)cut : n * (size_t)(12 - cut) / 8;
            snprintf(words, sizeof words, "byte %zu: ", left);
            put(name, bytes, left);
            expect_error(name, FR_BAD_INPUT, words);
            expect_error(name, FR_BAD_INPUT, "truncated");
        }
        expect_error("short", FR_BAD_INPUT, name); /* in a folder, too */
        assert_int_equal(unlink(in_root(name)), 0);
    }
    fr_buffer_free(&text);
}

static void test_a_damaged_archive_never_does_harm(void **state)
{
    (void)state;
    fr_buffer text = {0}, out = {0};
    unsigned char bytes[1 << 14], changed[1 << 14];
    int64_t count, failed = 0;
    babble(&text, 2, 1000);
    for (int kind = 0; kind < 3; kind++) {
        size_t n = pack(kind, text.data, text.size, bytes, sizeof bytes);
        char name[64];
        snprintf(name, sizeof name, "damaged.%s", packings[kind]);
        for (uint64_t i = 0; i < 60; i++) {
            memcpy(changed, bytes, n);
            changed[chance(i) % (i < 30 ? 32 : n)] ^= (unsigned char)(1 + chance(i + 1000) % 255);
            put(name, changed, n);
            fr_buffer_clear(&out);
            fr_error error = {0};
            fr_status status = read_all(in_root(name), NULL, &out, &count, &error);
            assert_true(status == FR_OK || status == FR_BAD_INPUT || status == FR_UNSUPPORTED);
            failed += status != FR_OK;
        }
    }
    assert_true(failed > 100);
    fr_buffer_free(&text);
    fr_buffer_free(&out);
}

/* ---- encodings ---- */

static void test_utf16_with_a_mark_becomes_utf8(void **state)
{
    (void)state;
    static const char little[] = "\xff\xfeH\0\xe9\0\x3d\xd8\x00\xde\x3d\xd8!\0";
    static const char big[] = "\xfe\xff\0H\0\xe9\xd8\x3d\xde\x00\xd8\x3d\0!";
    put("little.txt", little, sizeof little - 1);
    put("big.txt", big, sizeof big - 1);
    const char *expected = "H\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd!\x1e";
    expect("little.txt", expected);
    expect("big.txt", expected);
    put("odd.txt", "\xff\xfeH\0i", 5);
    expect("odd.txt", "H\xef\xbf\xbd\x1e");
    put("mark.txt", "\xef\xbb\xbfHi", 5);
    expect("mark.txt", "Hi\x1e");
    put("utf32.txt", "\xff\xfe\0\0H\0\0\0", 8);
    expect_error("utf32.txt", FR_UNSUPPORTED, "UTF-32");
}

static void test_a_long_utf16_file_is_whole(void **state)
{
    (void)state;
    enum { CHARACTERS = 300000 };
    unsigned char *bytes = malloc(2 + 2 * CHARACTERS);
    bytes[0] = 0xFF;
    bytes[1] = 0xFE;
    for (int i = 0; i < CHARACTERS; i++) {
        bytes[2 + 2 * i] = (unsigned char)(i % 50 == 49 ? '\n' : 'a' + i % 26);
        bytes[3 + 2 * i] = 0;
    }
    put("long16.txt", bytes, 2 + 2 * CHARACTERS);
    fr_buffer out = {0};
    int64_t count;
    assert_int_equal(read_all(in_root("long16.txt"), &(fr_source_options){.max_document = 1 << 20},
                              &out, &count, NULL),
                     FR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(out.size, CHARACTERS + 1);
    for (int i = 0; i < CHARACTERS; i++)
        assert_int_equal(out.data[i], bytes[2 + 2 * i]);
    fr_buffer_free(&out);
    free(bytes);
}

static void test_invalid_utf8_is_kept_as_bytes(void **state)
{
    (void)state;
    put_text("latin.txt", "caf\xe9 \xff\xc0\x80 end");
    expect("latin.txt", "caf\xe9 \xff\xc0\x80 end\x1e");
}

/* ---- formats ---- */

static void test_markdown_loses_only_its_front_matter(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"---\ntitle: x\ntags: [a]\n---\nText\n", "Text\n"},
        {"---\r\ntitle: x\r\n---\r\nText\n", "Text\n"},
        {"+++\ntitle = 1\n+++\nText\n", "Text\n"},
        {"---\n# comment\na: b\n...\nText\n", "Text\n"},
        {"---\n\nA rule, then text\n\n---\nmore\n", "---\n\nA rule, then text\n\n---\nmore\n"},
        {"---\ntitle: never closed\n", "---\ntitle: never closed\n"},
        {"# Title\n---\na: b\n---\n", "# Title\n---\na: b\n---\n"},
        {"--", "--"},
        {"---\na: b\n---", ""},
        {"a <b>tag</b> &amp; [link](x)\n", "a <b>tag</b> &amp; [link](x)\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char expected[256];
        put_text("page.md", cases[i][0]);
        snprintf(expected, sizeof expected, *cases[i][1] ? "%s\x1e" : "%s", cases[i][1]);
        expect("page.md", expected);
    }
}

static void test_html_gives_the_text_in_paragraphs(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"<p>One  <b>bold</b>\n word.</p><p>Two.</p>", "One bold word.\n\nTwo."},
        {"<html><head><title>T</title><style>p{}</style></head><body><h1>Head</h1>Text</body></"
         "html>",
         "Head\n\nText"},
        {"a<script>if (1 < 2) { x(\"</p>\"); }</script>b", "ab"},
        {"<nav><ul><li>Home<li>About</ul></nav><p>Text", "Text"},
        {"<ul><li>one<li>two</ul>after", "one\ntwo\n\nafter"},
        {"<table><tr><td>a<td>b<tr><td>c<td>d</table>", "a\tb\nc\td"},
        {"<p>x</p><pre>  a\n    b\n</pre><p>y", "x\n\n  a\n    b\n\n\ny"},
        {"a&amp;b &lt;tag&gt; &eacute;&#8212;&#x41;", "a&b <tag> \xc3\xa9\xe2\x80\x94"
                                                      "A"},
        {"one<br>two<br/>three", "one\ntwo\nthree"},
        {"<!-- gone --><div>kept</div><!-- <p>gone -->", "kept"},
        {"<p>unclosed <b>tags <i>everywhere", "unclosed tags everywhere"},
        {"caf\xc3\xa9 without a declaration", "caf\xc3\xa9 without a declaration"},
        {"<meta charset=\"iso-8859-1\"><p>caf\xe9", "caf\xc3\xa9"},
        {"<meta charset='utf-8'>caf\xe9 and \xe2\x80\x9cquotes\xe2\x80\x9d",
         "caf\xc3\xa9 and \xe2\x80\x9cquotes\xe2\x80\x9d"},
        {"<meta content=\"text/html; charset=Shift_JIS\"><p>\x93\xfa\x96\x7b \xff end",
         "\xe6\x97\xa5\xe6\x9c\xac \xef\xbf\xbd end"},
        {"<meta charset=windows-1252>\x93quoted\x94", "\xe2\x80\x9cquoted\xe2\x80\x9d"},
        {"<meta charset=latin1>\x93quoted\x94", "\xe2\x80\x9cquoted\xe2\x80\x9d"},
        {"<meta charset=no-such-set>caf\xc3\xa9", "caf\xc3\xa9"},
        {"<meta charset=utf-16>caf\xc3\xa9", "caf\xc3\xa9"},
        {"<?xml version='1.0' encoding=\"windows-1252\"?><p>\x93quoted\x94",
         "\xe2\x80\x9cquoted\xe2\x80\x9d"},
        {"<p>charset=koi8-r caf\xc3\xa9", "charset=koi8-r caf\xc3\xa9"},
        {"<script charset=koi8-r></script>caf\xc3\xa9", "caf\xc3\xa9"},
        {"<meta name=d content='charset koi8-r'>caf\xc3\xa9", "caf\xc3\xa9"},
        {"<!-- <meta charset=koi8-r> --><META Charset = 'latin1'>\x93", "\xe2\x80\x9c"},
        {"<metal charset=koi8-r>caf\xc3\xa9", "caf\xc3\xa9"},
        {"cut off \xe2\x80", "cut off \xc3\xa2\xc2\x80"},
        {"<!DOCTYPE html [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><p>text &b;", NULL},
        {"<b>a</b> <i>b</i>", "a b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char expected[256];
        put_text("page.html", cases[i][0]);
        if (cases[i][1]) {
            snprintf(expected, sizeof expected, "%s\x1e", cases[i][1]);
            expect("page.html", expected);
            continue;
        }
        fr_buffer out = {0};
        int64_t count;
        assert_int_equal(read_all(in_root("page.html"), NULL, &out, &count, NULL), FR_OK);
        assert_null(out.data ? strstr(out.data, "aaaaaaaa") : NULL);
        fr_buffer_free(&out);
    }
}

static void test_a_zero_byte_does_not_end_a_page(void **state)
{
    (void)state;
    put("zero.html", "<p>one\0two<p>three", 18);
    expect("zero.html", "one two\n\nthree\x1e");
}

static void test_long_html_is_converted_across_the_pieces_that_are_read(void **state)
{
    (void)state;
    fr_buffer page = {0}, out = {0};
    int64_t count;
    enum { CHARACTERS = 200000 };
    for (int packed = 0; packed < 2; packed++) {
        fr_buffer_clear(&page);
        fr_buffer_clear(&out);
        fr_buffer_text(&page, packed ? "<meta charset=gbk><pre>x" : "<meta charset=utf-8><pre>xy");
        for (int i = 0; i < CHARACTERS; i++)
            fr_buffer_text(&page, packed ? "\xca\xc0" : "\xe4\xb8\x96");
        put("long.html", page.data, page.size);
        assert_int_equal(read_all(in_root("long.html"),
                                  &(fr_source_options){.max_document = 1 << 20}, &out, &count,
                                  NULL),
                         FR_OK);
        assert_int_equal(out.size, (packed ? 2 : 3) + 3 * CHARACTERS);
        assert_null(strstr(out.data, "\xef\xbf\xbd"));
    }
    fr_buffer_free(&page);
    fr_buffer_free(&out);
}

static void test_hostile_html_ends_with_bounded_memory(void **state)
{
    (void)state;
    fr_buffer page = {0}, out = {0};
    int64_t count;
    for (int i = 0; i < 50000; i++)
        fr_buffer_text(&page, i % 3 ? "<div>" : "<b attr='x'>");
    fr_buffer_text(&page, "deep");
    for (int i = 0; i < 50000; i++)
        fr_buffer_text(&page, "</i></p>&#x110000;&nosuch;");
    put("deep.html", page.data, page.size);
    assert_int_equal(read_all(in_root("deep.html"), NULL, &out, &count, NULL), FR_OK);
    assert_non_null(strstr(out.data, "deep"));
    fr_buffer_free(&page);
    fr_buffer_free(&out);
}

static void test_json_lines_give_a_document_each(void **state)
{
    (void)state;
    put_text("a.jsonl", "{\"text\": \"one\\ntwo\", \"id\": 1}\n\n  \r\n{\"x\": {\"text\": \"no\"}, "
                        "\"text\": \"\\u00e9\"}\r\n"
                        "{\"text\": \"\"}");
    expect("a.jsonl", "one\ntwo\x1e\xc3\xa9\x1e\x1e");
    put_text("big.jsonl", "{\"id\": 18446744073709551615, \"text\": \"big\"}\n");
    expect("big.jsonl", "big\x1e");
    put_text("b.ndjson", "{\"body\": \"b\", \"text\": \"t\"}\n");
    expect_options("b.ndjson", &(fr_source_options){.text_key = (char[]){"body"}}, "b\x1e");
}

static void test_lone_surrogates_in_records_are_bytes(void **state)
{
    (void)state;
    put_text("bytes.jsonl",
             "{\"text\": \"caf\\udce9 \\uDCFF\\udc80 \\ud83d\\ude00 \\\\udc80 \\u0001\"}\n");
    expect("bytes.jsonl", "caf\xe9 \xff\x80 \xf0\x9f\x98\x80 \\udc80 \x01\x1e");
    put_text("lone.jsonl", "{\"text\": \"\\ud83d\"}\n");
    expect_error("lone.jsonl", FR_BAD_INPUT, "lone.jsonl:1: not JSON");
}

static void test_a_bad_record_names_file_and_line(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"not json", "not JSON"},
        {"{\"text\": \"unclosed}", "not JSON"},
        {"[1, 2]", "found an array, expected an object"},
        {"{\"Text\": \"x\"}", "no \"text\" in this record"},
        {"{\"text\": 5}", "\"text\" is a number, expected a string"},
        {"{\"text\": null}", "\"text\" is null"},
        {"{\"text\": \"\xff\"}", "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"text\": \"fine\"}\n\n%s\n", cases[i][0]);
        put_text("records/bad.jsonl", text);
        expect_error("records/bad.jsonl", FR_BAD_INPUT, cases[i][1]);
        expect_error("records/bad.jsonl", FR_BAD_INPUT, "records/bad.jsonl:3: ");
        expect_error("records", FR_BAD_INPUT, "records/bad.jsonl:3: ");
    }
}

/* ---- cutting ---- */

/* Cut `text` and check: nothing is lost, sizes lie between the bounds. Returns the number of
   pieces. */
static int64_t check_cut(const fr_buffer *text, int64_t max_document, fr_buffer *joined)
{
    const char *path = in_root("cut.txt");
    fr_source *source;
    fr_document document;
    int64_t pieces = 0;
    put("cut.txt", text->data, text->size);
    fr_buffer_clear(joined);
    assert_int_equal(
        fr_source_open(&source, &path, 1, &(fr_source_options){.max_document = max_document}, NULL),
        FR_OK);
    int64_t most = fr_source_max_document(source);
    while (fr_source_next(source, &document, NULL) == FR_OK && document.text) {
        assert_int_equal(document.number, pieces++);
        assert_true((int64_t)document.size <= most + most / 2);
        assert_true((int64_t)document.size >= most / 2 || (int64_t)text->size < most / 2);
        assert_true(((unsigned char)document.text[0] & 0xC0) != 0x80);
        fr_buffer_append(joined, document.text, document.size);
    }
    fr_source_close(source);
    assert_int_equal(joined->size, text->size);
    assert_memory_equal(joined->data, text->data, text->size);
    return pieces;
}

static void test_a_long_file_is_cut_at_paragraph_ends(void **state)
{
    (void)state;
    fr_buffer text = {0}, joined = {0}, out = {0};
    int64_t count;
    babble(&text, 3, 40000);
    assert_true(check_cut(&text, 4096, &joined) > 40);
    read_all(in_root("cut.txt"), &(fr_source_options){.max_document = 4096}, &out, &count, NULL);
    for (size_t i = 2; i + 1 < out.size; i++)
        if (out.data[i] == '\x1e')
            assert_memory_equal(out.data + i - 2, "\n\n", 2);
    fr_buffer_free(&out);
    fr_buffer_free(&text);
    for (int i = 0; i < 30000; i++)
        fr_buffer_text(&text,
                       "\xe4\xb8\x96\xe7\x95\x8c"); /* no place to cut but between characters */
    check_cut(&text, 1000, &joined);
    fr_buffer_free(&text);
    for (int i = 0; i < 3000; i++)
        fr_buffer_printf(&text, "line %d\r\n%s", i, i % 20 ? "" : " \t\r\n");
    check_cut(&text, 1000, &joined);
    fr_buffer_free(&text);
    fr_buffer_free(&joined);
}

static void test_one_file_gives_enough_documents_for_a_split(void **state)
{
    (void)state;
    fr_buffer text = {0}, joined = {0};
    babble(&text, 4, 45000);
    assert_in_range(text.size, 200000, 400000);
    assert_in_range(check_cut(&text, 0, &joined), 50, 120);
    for (int i = 0; i < 12; i++)
        babble(&text, 5 + (uint64_t)i, 45000);
    assert_in_range(check_cut(&text, 0, &joined), 150, 300);
    fr_buffer_free(&text);
    fr_buffer_free(&joined);
}

static void test_memory_does_not_grow_with_the_file(void **state)
{
    (void)state;
    fr_buffer text = {0};
    babble(&text, 6, 5000);
    gzFile file = gzopen(in_root("big.txt.gz"), "wb1");
    for (int i = 0; i < 800; i++)
        gzwrite(file, text.data, (unsigned)text.size);
    assert_int_equal(gzclose(file), Z_OK);
    fr_buffer_free(&text);
    fr_memory_reset_peaks();
    const char *path = in_root("big.txt.gz");
    fr_source *source;
    fr_document document;
    int64_t bytes = 0;
    assert_int_equal(fr_source_open(&source, &path, 1, &(fr_source_options){0}, NULL), FR_OK);
    while (fr_source_next(source, &document, NULL) == FR_OK && document.text)
        bytes += (int64_t)document.size;
    fr_source_close(source);
    assert_true(bytes > 20000000);
    assert_true(fr_memory_peak(FR_MEMORY_DATA) + fr_memory_peak(FR_MEMORY_OTHER) < 2000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plain_file_is_one_document),
        cmocka_unit_test(test_a_folder_is_walked_in_byte_order_of_paths),
        cmocka_unit_test(test_a_loop_of_links_ends_and_a_linked_folder_is_read_once),
        cmocka_unit_test(test_what_is_no_text_is_skipped_and_counted_in_a_folder),
        cmocka_unit_test(test_what_is_no_text_is_refused_when_named),
        cmocka_unit_test(test_no_paths_and_tiny_pieces_are_refused),
        cmocka_unit_test(test_packed_files_read_like_plain_ones),
        cmocka_unit_test(test_members_that_follow_each_other_are_all_read),
        cmocka_unit_test(test_a_truncated_archive_is_an_error_that_names_the_byte),
        cmocka_unit_test(test_a_damaged_archive_never_does_harm),
        cmocka_unit_test(test_utf16_with_a_mark_becomes_utf8),
        cmocka_unit_test(test_a_long_utf16_file_is_whole),
        cmocka_unit_test(test_invalid_utf8_is_kept_as_bytes),
        cmocka_unit_test(test_markdown_loses_only_its_front_matter),
        cmocka_unit_test(test_html_gives_the_text_in_paragraphs),
        cmocka_unit_test(test_a_zero_byte_does_not_end_a_page),
        cmocka_unit_test(test_long_html_is_converted_across_the_pieces_that_are_read),
        cmocka_unit_test(test_hostile_html_ends_with_bounded_memory),
        cmocka_unit_test(test_json_lines_give_a_document_each),
        cmocka_unit_test(test_lone_surrogates_in_records_are_bytes),
        cmocka_unit_test(test_a_bad_record_names_file_and_line),
        cmocka_unit_test(test_a_long_file_is_cut_at_paragraph_ends),
        cmocka_unit_test(test_one_file_gives_enough_documents_for_a_split),
        cmocka_unit_test(test_memory_does_not_grow_with_the_file),
    };
    return cmocka_run_group_tests_name("data sources", tests, make_root, remove_root);
}
