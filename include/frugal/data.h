/* data.h: from raw text to batches.

   files -> documents -> cleaned -> deduplicated -> split -> tokens -> Megatron shards (.bin/.idx) -> packed rows -> batches.
   Everything streams: memory does not grow with the corpus, apart from about 130 bytes per kept document (docs/data.md). */
#ifndef FRUGAL_DATA_H
#define FRUGAL_DATA_H

#include "frugal/model.h"
#include "frugal/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- sources ------------------------------------------------------------------------------------------------------------- */

/* Iterates documents of files and folders (walked in byte order of the path): plain text and source code, Markdown, HTML, JSON lines
   ("text" key or `text_key`), each also .gz, .zst, .xz. What is no text is an error when named, a counted skip inside a folder
   (binary files: a known signature, more than 1 zero byte or 10 % control bytes in the first 64 KiB). A truncated archive and a
   broken record are errors everywhere. UTF-16 with a byte-order mark is converted; other bytes are kept as they are. */
typedef struct fr_source fr_source;
typedef struct fr_document {
    const char *text; /* valid until the next call */
    size_t size;      /* bytes */
    const char *path; /* of the file it came from */
    int64_t number;   /* of the document inside its file, from 0 */
} fr_document;
typedef struct fr_source_options {
    char *text_key; /* of JSON lines */
    int64_t
        max_document; /* bytes; a longer file is cut at paragraph ends into documents of half to one and a half times this;
                             0: 1/200 of all text, between 4 KiB and 32 KiB. Records of JSON lines are never cut. */
} fr_source_options;
typedef struct fr_source_counts {
    int64_t files, documents, bytes;           /* read; bytes after unpacking */
    int64_t binary, empty, hidden, unreadable; /* left out inside folders */
} fr_source_counts;
extern const fr_registry fr_sources; /* text, markdown, html, jsonl */
/* `paths` must live as long as the source. */
fr_status fr_source_open(fr_source **source, const char *const *paths, size_t count,
                         const fr_source_options *options, fr_error *error);
fr_status fr_source_next(fr_source *source, fr_document *document,
                         fr_error *error); /* text NULL at the end */
void fr_source_close(fr_source *source);
void fr_source_get_counts(const fr_source *source, fr_source_counts *counts);
double fr_source_progress(const fr_source *source);      /* 0..1, by bytes of the files */
int64_t fr_source_max_document(const fr_source *source); /* as given, or as chosen */

/* ---- preparing ------------------------------------------------------------------------------------------------------------- */

typedef struct fr_data_options {
    fr_source_options source;
    /* cleaning and filters (fr_filters names each) */
    bool clean;          /* normalise line ends, drop control characters, collapse blank runs */
    bool filter;         /* language-neutral quality heuristics, with their thresholds: */
    int64_t min_bytes;   /* shorter documents are dropped */
    double max_controls; /* control characters, of all bytes */
    double min_letters;  /* letters and digits, of characters that are not white space */
    int64_t max_word;    /* ASCII bytes without white space */
    double max_repeated_lines; /* bytes in lines that came before in the document */
    double max_repeated_words; /* runs of five words that came before in the document */
    /* deduplication */
    bool exact, near;
    double similarity; /* Jaccard of 5-grams above which a near duplicate is dropped */
    /* split */
    double held_out;      /* fraction of documents, by hash of (seed, content) */
    int64_t held_out_max; /* bytes of held-out text at most */
    int64_t seed;
} fr_data_options;
extern const fr_option_table fr_data_option_table;
extern const fr_registry fr_filters;
/* The vocabulary that is chosen for an amount of training text: 512 below 100 KiB, 1024 below 600 KiB, 2048 below 2 MiB, 4096 below
   8 MiB, 8192 below 64 MiB, 16384 below 640 MiB, else 32768. */
int64_t fr_data_vocabulary(int64_t bytes);

/* One line of the report: why documents left. */
typedef struct fr_data_drop {
    char reason[32]; /* "near_duplicate", "too_short", ... */
    char rule[96];   /* the threshold in words: "Jaccard >= 0.80" */
    int64_t documents, bytes;
} fr_data_drop;
enum { FR_DATA_DROPS = 16 };
typedef struct fr_data_report {
    fr_source_counts source; /* files, documents and bytes read; what was left out in folders */
    int64_t max_document;    /* bytes, as given or as chosen */
    int64_t train_documents, train_bytes, train_tokens;
    int64_t held_out_documents, held_out_bytes, held_out_tokens;
    int64_t vocabulary;
    fr_data_drop drops[FR_DATA_DROPS];
    size_t drop_count;
    double seconds;
} fr_data_report;

/* Progress of long work: fraction 0..1 or -1 when unknown, and what is being done. */
typedef void fr_progress_function(void *context, const char *what, double fraction);

/* Text -> FOLDER: tokenizer.json, tokenizer_config.json, train.bin/.idx, held_out.bin/.idx, held_out.jsonl (the held-out documents'
   text, for evaluation in bytes), report.json. `tokenizer` NULL: train one with `tokenizer_options` (vocabulary 0: chosen from
   the amount of text by fr_data_vocabulary). An existing folder must be empty. The folder appears complete or not at all, also when
   fr_interrupted() ends it with FR_INTERRUPTED. `report` may be NULL. */
fr_status fr_data_prepare(const char *const *paths, size_t count, const char *folder,
                          const fr_data_options *options, const fr_tokenizer *tokenizer,
                          const fr_tokenizer_options *tokenizer_options,
                          fr_progress_function *progress, void *context, fr_data_report *report,
                          fr_error *error);
void fr_data_report_write(const fr_data_report *report, bool json,
                          fr_buffer *out); /* text table, or JSON */
/* Read a report.json. */
fr_status fr_data_report_read(const char *path, fr_data_report *report, fr_error *error);

/* ---- shards: Megatron .bin/.idx -------------------------------------------------------------------------------------------- */

typedef struct fr_shard fr_shard;
/* prefix without ".bin". Every count and offset of the index is checked against both files' sizes. */
fr_status fr_shard_open(fr_shard **shard, const char *prefix, fr_error *error);
void fr_shard_close(fr_shard *shard);
int64_t fr_shard_documents(const fr_shard *shard);
int64_t fr_shard_tokens(const fr_shard *shard);
/* Scans once. Ids are taken as unsigned, so that a negative one is larger than any vocabulary. -1: there are no tokens. */
int64_t fr_shard_max_id(const fr_shard *shard);
/* Tokens [begin, begin + count) of the concatenation of all documents, as i32. The range must lie inside. */
void fr_shard_read(const fr_shard *shard, int64_t begin, int64_t count, int32_t *out);
/* Where document i begins in that concatenation; i = documents gives the end. */
int64_t fr_shard_document_begin(const fr_shard *shard, int64_t document);

typedef struct fr_shard_writer fr_shard_writer;
/* Ids are stored as uint16 when vocabulary <= 65536, else int32. */
fr_status fr_shard_writer_open(fr_shard_writer **writer, const char *prefix, int64_t vocabulary,
                               fr_error *error);
/* FR_WRONG_CALL for an id outside the vocabulary. */
fr_status fr_shard_writer_add(fr_shard_writer *writer, const int32_t *ids, size_t count,
                              fr_error *error); /* one document */
fr_status fr_shard_writer_commit(fr_shard_writer *writer, fr_error *error);
void fr_shard_writer_abandon(fr_shard_writer *writer);

/* ---- loader: rows of T + 1 tokens in a shuffled order ------------------------------------------------------------------------ */

typedef struct fr_loader_options {
    int64_t batch, length; /* B rows of T positions */
    bool
        cross_documents; /* attention may cross document boundaries inside a row (no segments are made) */
    int64_t seed;
} fr_loader_options;
typedef struct fr_loader fr_loader;
/* The stream is the shard's documents in a shuffled order, epoch after epoch (each in another order: a pure function of (seed,
   epoch)), with the end-of-text token in front of the first. Row r has its targets at [r*T, r*T + T) of the stream and its ids one
   token before, so every token of an epoch is a target exactly once, nothing is padded, and a row may span two epochs.

   The last token of a document (end-of-text) is, as an input, the first of the document that follows: from it the model learns how
   documents begin. So with !cross_documents a new segment starts there, and no target crosses a boundary. In a shard whose documents
   do not end with one and the same token, the segment starts at the document's first token and the target before it is FR_IGNORE.

   Random access by row number; nothing is allocated after creation. One thread at a time. `shard` must outlive it. */
fr_status fr_loader_create(fr_loader **loader, const fr_shard *shard,
                           const fr_loader_options *options, fr_error *error);
void fr_loader_destroy(fr_loader *loader);
int64_t fr_loader_rows_per_epoch(const fr_loader *loader); /* whole rows, at least 1 */
/* The micro-batch with the given global number: rows number*B .. number*B + B-1. ids, targets and segments are (B, T) i32 host
   arrays of the caller; segments and positions may be NULL. With !cross_documents segments number the documents of a row from 0 and
   positions restart with each; with cross_documents all segments are 0 and positions 0..T-1. */
fr_status fr_loader_get(fr_loader *loader, int64_t number, int32_t *ids, int32_t *targets,
                        int32_t *segments, int32_t *positions, fr_error *error);

#ifdef __cplusplus
}
#endif
#endif
