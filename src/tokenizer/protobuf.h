/* protobuf.h: walking through a message of protocol buffers.

   A message is a row of fields: a key (number << 3 | wire type) and a value. Only what
   SentencePiece's models use is known: varints, 8 and 4 bytes, and byte strings. Groups, field
   number 0, varints of more than 10 bytes and lengths beyond the message are errors.
   Source: protobuf.dev, "Encoding". */
#ifndef FRUGAL_TOKENIZER_PROTOBUF_H
#define FRUGAL_TOKENIZER_PROTOBUF_H

#include "frugal/base.h"

typedef struct protobuf {
    const unsigned char *data;
    size_t size, at; /* at: of the next field */
    size_t base;     /* of data[0] in the file, for messages */
    const char *name;
} protobuf;

typedef enum protobuf_type {
    PROTOBUF_VARINT = 0,
    PROTOBUF_EIGHT = 1,
    PROTOBUF_BYTES = 2,
    PROTOBUF_FOUR = 5
} protobuf_type;

typedef struct protobuf_field {
    uint32_t number; /* 0: the message has ended */
    protobuf_type type;
    uint64_t value; /* of numbers, as bits */
    protobuf bytes; /* of a byte string, to be read as text or as a message */
} protobuf_field;

fr_status protobuf_next(protobuf *self, protobuf_field *field, fr_error *error);
/* Complain when a known field has another type than the format says. */
fr_status protobuf_expect(const protobuf *self, const protobuf_field *field, protobuf_type type,
                          const char *what, fr_error *error);
float protobuf_float(const protobuf_field *field);

#endif
