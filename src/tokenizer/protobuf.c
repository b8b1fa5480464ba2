/* protobuf.c: the wire format of protocol buffers. */
#include "tokenizer/protobuf.h"

#include <string.h>

static fr_status bad(const protobuf *self, size_t at, const char *what, fr_error *error)
{
    return fr_fail_at(error, FR_BAD_INPUT, self->name, 0, "byte %zu: %s", self->base + at, what);
}

static fr_status read_varint(protobuf *self, uint64_t *value, fr_error *error)
{
    size_t begin = self->at;
    *value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (self->at == self->size)
            return bad(self, begin, "a number is cut off", error);
        unsigned char byte = self->data[self->at++];
        if (shift == 63 && byte > 1)
            break;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return FR_OK;
    }
    return bad(self, begin, "a number of more than 64 bits", error);
}

static fr_status read_fixed(protobuf *self, size_t size, uint64_t *value, fr_error *error)
{
    if (self->size - self->at < size)
        return bad(self, self->at, "a number is cut off", error);
    *value = 0;
    for (size_t i = 0; i < size; i++)
        *value |= (uint64_t)self->data[self->at + i] << 8 * i;
    self->at += size;
    return FR_OK;
}

static fr_status read_bytes(protobuf *self, protobuf *bytes, fr_error *error)
{
    size_t begin = self->at;
    uint64_t size;
    FR_TRY(read_varint(self, &size, error));
    if (size > self->size - self->at)
        return fr_fail_at(error, FR_BAD_INPUT, self->name, 0,
                          "byte %zu: a length of %llu found, %zu bytes are left",
                          self->base + begin, (unsigned long long)size, self->size - self->at);
    *bytes = (protobuf){self->data + self->at, (size_t)size, 0, self->base + self->at, self->name};
    self->at += (size_t)size;
    return FR_OK;
}

fr_status protobuf_next(protobuf *self, protobuf_field *field, fr_error *error)
{
    *field = (protobuf_field){0};
    if (self->at == self->size)
        return FR_OK;
    size_t begin = self->at;
    uint64_t key;
    FR_TRY(read_varint(self, &key, error));
    if (key >> 3 == 0 || key >> 3 > 0x1FFFFFFF)
        return bad(self, begin, "a field number outside 1 to 2^29 - 1", error);
    field->number = (uint32_t)(key >> 3);
    switch (key & 7) {
    case PROTOBUF_VARINT:
        field->type = PROTOBUF_VARINT;
        return read_varint(self, &field->value, error);
    case PROTOBUF_EIGHT:
        field->type = PROTOBUF_EIGHT;
        return read_fixed(self, 8, &field->value, error);
    case PROTOBUF_BYTES:
        field->type = PROTOBUF_BYTES;
        return read_bytes(self, &field->bytes, error);
    case PROTOBUF_FOUR:
        field->type = PROTOBUF_FOUR;
        return read_fixed(self, 4, &field->value, error);
    default:
        return bad(self, begin, "a field of a type that is not used in these files", error);
    }
}

fr_status protobuf_expect(const protobuf *self, const protobuf_field *field, protobuf_type type,
                          const char *what, fr_error *error)
{
    if (field->type == type)
        return FR_OK;
    return fr_fail_at(error, FR_BAD_INPUT, self->name, 0,
                      "byte %zu: %s has wire type %d, %d expected", self->base + self->at, what,
                      (int)field->type, (int)type);
}

float protobuf_float(const protobuf_field *field)
{
    uint32_t bits = (uint32_t)field->value;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
