/* image_jpeg.c: JPEG (ITU-T T.81) through libjpeg. Four inks become red, green and blue as Pillow does it: inks are taken as stored the
   other way round, as Adobe's programs do, and black darkens the rest.

   libjpeg leaves through longjmp; what must outlive that is in a struct that the caller owns. */
#include "data/image.h"

#include <setjmp.h>
#include <stdio.h> /* which jpeglib.h needs before it */
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

/* A picture that comes in more passes than any program makes would only burn time. */
enum { MOST_SCANS = 200, EXIF_MARKER = JPEG_APP0 + 1, EXIF_MOST = 65533, INKS = 4 };

typedef struct jpeg_state {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr messages;
    struct jpeg_progress_mgr progress;
    const char *name;
    fr_error *error;
    uint8_t *inks; /* a row of them */
    jmp_buf leave;
} jpeg_state;

static void failed(j_common_ptr common)
{
    jpeg_state *s = common->client_data;
    char why[JMSG_LENGTH_MAX];
    common->err->format_message(common, why);
    fr_fail_at(s->error, FR_BAD_INPUT, s->name, 0, "broken JPEG: %s", why);
    longjmp(s->leave, 1);
}

/* Oddities that others read as well pass; an end that comes too early does not: the rest would be grey. */
static void warned(j_common_ptr common, int level)
{
    if (level < 0 && common->err->msg_code == JWRN_JPEG_EOF)
        failed(common);
}

static void count_scans(j_common_ptr common)
{
    const jpeg_state *s = common->client_data;
    if (s->jpeg.input_scan_number <= MOST_SCANS)
        return;
    fr_fail_at(s->error, FR_BAD_INPUT, s->name, 0, "a JPEG of more than %d scans", MOST_SCANS);
    longjmp(((jpeg_state *)common->client_data)->leave, 1);
}

static int orientation_of(const struct jpeg_decompress_struct *jpeg)
{
    static const char begin[] = "Exif\0"; /* and a second zero */
    for (jpeg_saved_marker_ptr m = jpeg->marker_list; m; m = m->next)
        if (m->marker == EXIF_MARKER && m->data_length > sizeof begin &&
            memcmp(m->data, begin, sizeof begin) == 0)
            return fr_exif_orientation(m->data + sizeof begin, m->data_length - sizeof begin);
    return 1;
}

/* x * y / 255, rounded. */
static int product(int x, int y)
{
    int p = x * y + 128;
    return ((p >> 8) + p) >> 8;
}

static void mix_inks(uint8_t *to, const uint8_t *inks, int64_t width)
{
    for (int64_t x = 0; x < width; x++)
        for (int c = 0; c < 3; c++) {
            int light = inks[INKS * x + 3]; /* 255 - black */
            int value = light - product(UINT8_MAX - inks[INKS * x + c], light);
            *to++ = (uint8_t)(value < 0 ? 0 : value);
        }
}

static fr_status decode(jpeg_state *s, fr_image *image, int *orientation, const uint8_t *data,
                        size_t size)
{
    struct jpeg_decompress_struct *jpeg = &s->jpeg;
    if (setjmp(s->leave))
        return s->error->status;
    jpeg_create_decompress(jpeg);
    jpeg->client_data = s; /* which creating cleared */
    jpeg->progress = &s->progress;
    jpeg_mem_src(jpeg, data, (unsigned long)size);
    jpeg_save_markers(jpeg, EXIF_MARKER, EXIF_MOST);
    jpeg_read_header(jpeg, TRUE);
    *orientation = orientation_of(jpeg);
    bool inks = jpeg->num_components == INKS;
    jpeg->out_color_space = inks ? JCS_CMYK : JCS_RGB;
    FR_TRY(fr_image_allocate(image, jpeg->image_width, jpeg->image_height, s->name, s->error));
    if (inks && !(s->inks = fr_alloc((size_t)image->width * INKS, FR_MEMORY_DATA)))
        return fr_fail_at(s->error, FR_NO_MEMORY, s->name, 0, "no memory");
    jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *row = image->pixels + (size_t)jpeg->output_scanline * (size_t)image->width * 3;
        JSAMPROW rows[] = {inks ? s->inks : row};
        jpeg_read_scanlines(jpeg, rows, 1);
        if (inks)
            mix_inks(row, s->inks, image->width);
    }
    jpeg_finish_decompress(jpeg);
    return FR_OK;
}

fr_status fr_image_decode_jpeg(fr_image *image, int *orientation, const uint8_t *data, size_t size,
                               const char *name, fr_error *error)
{
    fr_error own = {0};
    jpeg_state s = {.name = name, .error = error ? error : &own};
    s.jpeg.err = jpeg_std_error(&s.messages);
    s.jpeg.client_data = &s;
    s.messages.error_exit = failed;
    s.messages.emit_message = warned;
    s.progress.progress_monitor = count_scans;
    fr_status status = decode(&s, image, orientation, data, size);
    jpeg_destroy_decompress(&s.jpeg);
    fr_free(s.inks);
    return status;
}
