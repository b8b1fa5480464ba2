/* events.c: TensorBoard event files, so that a run can be watched with the field's usual viewer.

   Such a file is a sequence of TFRecords, each one protocol buffer of type `Event`:

       u64 length | u32 masked CRC-32C of those 8 bytes
       length bytes | u32 masked CRC-32C of them               (little-endian)

   The message is so small that it is written here by hand. Of event.proto and summary.proto we need

       Event    1 wall_time (double)  2 step (varint)  3 file_version (string)  5 summary (Summary)
       Summary  1 value (Value, repeated)
       Value    1 tag (string)  2 simple_value (float)  8 tensor (TensorProto)
                9 metadata (SummaryMetadata)
       SummaryMetadata  1 plugin_data { 1 plugin_name }
       TensorProto      1 dtype (7: string)  2 tensor_shape { 2 dim { 1 size } }  8 string_val

   A scalar is a simple_value, which every reader understands; a text is a string tensor of the
   `text` plugin. The first record of a file names the version of the format.

   Records collect in a buffer that keeps its memory, so a steady state allocates nothing; they
   reach the file when the buffer is large or at fr_events_flush. Readers skip a torn last record,
   which is what a killed process may leave. */
#include "frugal/formats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WRITE_AT = 1 << 16, STRING_TENSOR = 7 };
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; /* wire types */

struct fr_events {
    char *path;
    int file;
    uint32_t crc_table[256];
    fr_buffer records;                       /* framed, not yet written */
    fr_buffer event, summary, value, tensor; /* messages under construction, innermost last */
};

/* ---- CRC-32C (Castagnoli), reflected --------------------------------------------------------- */

static void fill_crc_table(uint32_t table[256])
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (crc >> 1) ^ 0x82F63B78u : crc >> 1;
        table[byte] = crc;
    }
}

/* Masked as TFRecords want it, so that a checksum stored inside checksummed data does no harm. */
static uint32_t masked_crc(const uint32_t table[256], const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < size; i++)
        crc = table[(crc ^ bytes[i]) & 255] ^ (crc >> 8);
    crc = ~crc;
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

/* ---- protocol buffers ------------------------------------------------------------------------ */

static void put_little(fr_buffer *out, uint64_t value, int bytes)
{
    unsigned char little[8];
    for (int i = 0; i < bytes; i++)
        little[i] = (unsigned char)(value >> (8 * i));
    fr_buffer_append(out, little, (size_t)bytes);
}

static void put_varint(fr_buffer *out, uint64_t value)
{
    unsigned char bytes[10];
    size_t count = 0;
    do {
        bytes[count++] = (unsigned char)((value & 127) | (value > 127 ? 128 : 0));
        value >>= 7;
    } while (value);
    fr_buffer_append(out, bytes, count);
}

static void put_key(fr_buffer *out, unsigned field, unsigned wire)
{
    put_varint(out, field << 3 | wire);
}

static void put_integer(fr_buffer *out, unsigned field, int64_t value)
{
    put_key(out, field, VARINT);
    put_varint(out, (uint64_t)value);
}

static void put_double(fr_buffer *out, unsigned field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(out, field, FIXED64);
    put_little(out, bits, 8);
}

static void put_float(fr_buffer *out, unsigned field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(out, field, FIXED32);
    put_little(out, bits, 4);
}

static void put_bytes(fr_buffer *out, unsigned field, const void *data, size_t size)
{
    put_key(out, field, BYTES);
    put_varint(out, size);
    fr_buffer_append(out, data, size);
}

/* ---- files ----------------------------------------------------------------------------------- */

static fr_status no_memory(const fr_events *events, fr_error *error)
{
    return fr_fail(error, FR_NO_MEMORY, "%s: no memory for an event", events->path);
}

/* Frame the finished message in `event` as one record. */
static fr_status add_record(fr_events *events, fr_error *error)
{
    fr_buffer *event = &events->event, *out = &events->records;
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)event->size >> (8 * i));
    size_t before = out->size;
    fr_buffer_append(out, length, 8);
    put_little(out, masked_crc(events->crc_table, length, 8), 4);
    fr_buffer_append(out, event->data, event->size);
    put_little(out, masked_crc(events->crc_table, event->data, event->size), 4);
    if (event->failed || out->failed || events->summary.failed || events->value.failed ||
        events->tensor.failed) {
        fr_buffer *all[] = {event, out, &events->summary, &events->value, &events->tensor};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            all[i]->failed = false;
        out->size = before; /* the records before this one are whole and stay */
        return no_memory(events, error);
    }
    return out->size < WRITE_AT ? FR_OK : fr_events_flush(events, error);
}

/* A new file beside those of earlier processes: the name holds the time, the host and the process.
 */
static fr_status create_file(fr_events *events, const char *folder, fr_error *error)
{
    char host[256] = "localhost";
    if (gethostname(host, sizeof host - 1) != 0 || !host[0] || strchr(host, '/'))
        snprintf(host, sizeof host, "localhost");
    for (int attempt = 0;; attempt++) {
        fr_free(events->path);
        events->path = fr_format("%s/events.out.tfevents.%010lld.%s.%ld.%d", folder,
                                 (long long)time(NULL), host, (long)getpid(), attempt);
        if (!events->path)
            return fr_fail(error, FR_NO_MEMORY, "%s: no memory for an event file", folder);
        events->file = open(events->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
        if (events->file >= 0)
            return FR_OK;
        if (errno != EEXIST || attempt == 1000)
            return fr_fail_errno(error, "create", events->path);
    }
}

fr_status fr_events_open(fr_events **result, const char *folder, fr_error *error)
{
    *result = NULL;
    FR_TRY(fr_folder_create(folder, error));
    fr_events *events = fr_alloc(sizeof *events, FR_MEMORY_OTHER);
    if (!events)
        return fr_fail(error, FR_NO_MEMORY, "%s: no memory for an event file", folder);
    events->file = -1;
    fill_crc_table(events->crc_table);
    fr_status status = create_file(events, folder, error);
    if (status == FR_OK) {
        put_double(&events->event, 1, (double)time(NULL));
        put_bytes(&events->event, 3, "brain.Event:2", 13);
        status = add_record(events, error);
    }
    if (status != FR_OK) {
        fr_events_close(events);
        return status;
    }
    *result = events;
    return FR_OK;
}

/* Wrap the value under construction as Event { wall_time, step, Summary { Value } }. */
static fr_status add_value(fr_events *events, int64_t step, double wall_time, fr_error *error)
{
    fr_buffer_clear(&events->summary);
    put_bytes(&events->summary, 1, events->value.data, events->value.size);
    fr_buffer_clear(&events->event);
    put_double(&events->event, 1, wall_time);
    put_integer(&events->event, 2, step);
    put_bytes(&events->event, 5, events->summary.data, events->summary.size);
    return add_record(events, error);
}

fr_status fr_events_scalar(fr_events *events, const char *tag, int64_t step, double wall_time,
                           float value, fr_error *error)
{
    fr_buffer_clear(&events->value);
    put_bytes(&events->value, 1, tag, strlen(tag));
    put_float(&events->value, 2, value);
    return add_value(events, step, wall_time, error);
}

fr_status fr_events_text(fr_events *events, const char *tag, int64_t step, double wall_time,
                         const char *text, fr_error *error)
{
    static const char one_element[] = {2 << 3 | BYTES, 2, 1 << 3 | VARINT,
                                       1}; /* shape { dim { size: 1 } } */
    static const char text_plugin[] = {
        1 << 3 | BYTES, 6, 1 << 3 | BYTES, 4, 't', 'e', 'x', 't'}; /* plugin_data { plugin_name } */
    fr_buffer_clear(&events->tensor);
    put_integer(&events->tensor, 1, STRING_TENSOR);
    put_bytes(&events->tensor, 2, one_element, sizeof one_element);
    put_bytes(&events->tensor, 8, text, strlen(text));
    fr_buffer_clear(&events->value);
    put_bytes(&events->value, 1, tag, strlen(tag));
    put_bytes(&events->value, 8, events->tensor.data, events->tensor.size);
    put_bytes(&events->value, 9, text_plugin, sizeof text_plugin);
    return add_value(events, step, wall_time, error);
}

fr_status fr_events_flush(fr_events *events, fr_error *error)
{
    size_t done = 0;
    fr_status status = FR_OK;
    while (done < events->records.size && status == FR_OK) {
        ssize_t written =
            write(events->file, events->records.data + done, events->records.size - done);
        if (written >= 0)
            done += (size_t)written;
        else if (errno != EINTR)
            status = fr_fail_errno(error, "write", events->path);
    }
    /* What could not be written stays, to go out with the next flush. */
    memmove(events->records.data, events->records.data + done, events->records.size - done);
    events->records.size -= done;
    return status;
}

void fr_events_close(fr_events *events)
{
    if (!events)
        return;
    if (events->file >= 0) {
        if (events->records.size)
            fr_events_flush(events, NULL);
        close(events->file);
    }
    fr_buffer *all[] = {&events->records, &events->event, &events->summary, &events->value,
                        &events->tensor};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        fr_buffer_free(all[i]);
    fr_free(events->path);
    fr_free(events);
}
