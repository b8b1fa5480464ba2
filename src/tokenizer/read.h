/* read.h: tokenizers from the files that came before tokenizer.json.

   Each reader makes the tokenizer.json that transformers' converters make of the same files
   (blueprint.h) and hands it to the one loader. Which converter: the class that
   tokenizer_config.json names, else the one that belongs to config.json's model_type, else the
   reader's plainest. Classes without a converter here are refused by name. */
#ifndef FRUGAL_TOKENIZER_READ_H
#define FRUGAL_TOKENIZER_READ_H

#include "frugal/tokenizer.h"
#include "tokenizer/settings.h"

/* True when `path` is a file of another kind than tokenizer.json, or a folder without one. */
bool read_is_older(const char *path);
/* Does a folder hold such a file? (Also true when there is no memory to look.) */
bool read_is_there(const char *folder);
/* Read such a path; what lies beside it counts too. */
fr_status read_tokenizer_files(fr_tokenizer **tokenizer, const char *path, fr_error *error);

/* A file's bytes with its name and what lies beside it. */
typedef struct read_input {
    const char *path;
    const char *data; /* followed by a zero byte */
    size_t size;
    const settings *settings;
} read_input;

/* SentencePiece's .model. */
fr_status read_sentencepiece(fr_tokenizer **tokenizer, const read_input *input, fr_error *error);
/* vocab.txt: a WordPiece token on each line. */
fr_status read_wordpiece(fr_tokenizer **tokenizer, const read_input *input, fr_error *error);
/* vocab.json with merges.txt. */
fr_status read_bpe_files(fr_tokenizer **tokenizer, const read_input *vocab,
                         const read_input *merges, fr_error *error);
/* Lines of a token in base64 and its rank. */
fr_status read_tiktoken(fr_tokenizer **tokenizer, const read_input *input, fr_error *error);

/* The next line of `input` from *at on, without its end (a carriage return belongs to it); false
   behind the last. */
bool read_line(const read_input *input, size_t *at, const char **line, size_t *size);
/* Refuse bytes that a token in a text file cannot have: zeros, and what is not UTF-8. */
fr_status read_check_text(const read_input *input, const char *text, size_t size, size_t line,
                          fr_error *error);

#endif
