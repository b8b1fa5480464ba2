/* zip.c: finding the members of a zip archive without copying them.

   PyTorch stores tensors in a zip archive, uncompressed, so that they can be mapped. The libraries that read zip give copies and
   do not say where a member lies; and all that is needed here is the directory, so it is read directly. From the end of the file:

       end record -> (zip64 end record ->) central directory: one entry for each member -> its local header -> its data

   An archive has many places that can contradict each other, and readers that believe different ones. So what is read must have
   one reading: one disk, nothing encrypted or compressed, local and central names equal, no name twice, names that stay inside,
   members that overlap neither each other nor the directory. Source: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3. */
#include "formats/zip.h"

#include "formats/text.h"

#include <stdlib.h>
#include <string.h>

enum {
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR_SIZE = 20,
    CENTRAL_SIZE = 46,
    LOCAL_SIZE = 30,
    LONGEST_COMMENT = 0xFFFF,
    ENCRYPTED = 1 << 0,
    STRONGLY_ENCRYPTED = 1 << 6,
    HIDDEN_HEADERS = 1 << 13,
    ZIP64_FIELD = 1
};
static const uint32_t END_SIGN = 0x06054b50, LOCATOR_SIGN = 0x07064b50, END64_SIGN = 0x06064b50,
                      CENTRAL_SIGN = 0x02014b50, LOCAL_SIGN = 0x04034b50, ELSEWHERE = 0xFFFFFFFF;

typedef struct place {
    uint64_t begin, end; /* of a member with its local header, in the file */
    const zip_member *member;
} place;

typedef struct reading {
    zip_archive *archive;
    place *places;
    const unsigned char *file;
    size_t size;      /* of the file */
    size_t directory; /* where the central directory begins */
    uint64_t directory_size, count;
    const char *path;
    fr_error *error;
} reading;

static uint64_t number(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static fr_status bad(const reading *r, const char *what)
{
    return fr_fail_at(r->error, FR_BAD_INPUT, r->path, 0, "not a good zip archive: %s", what);
}

/* ---- the end records ---- */

/* Where the end record begins; its comment must reach to the end of the file exactly. */
static bool find_end(const reading *r, size_t *at)
{
    for (size_t back = END_SIZE; back <= r->size && back <= END_SIZE + LONGEST_COMMENT; back++) {
        const unsigned char *record = r->file + r->size - back;
        if (number(record, 4) == END_SIGN && number(record + 20, 2) == back - END_SIZE) {
            *at = r->size - back;
            return true;
        }
    }
    return false;
}

static fr_status read_end64(reading *r, size_t locator)
{
    uint64_t at = number(r->file + locator + 8, 8);
    if (at > locator || locator - at < END64_SIZE || number(r->file + at, 4) != END64_SIGN)
        return bad(r, "its zip64 end record is not where the locator has it");
    const unsigned char *record = r->file + at;
    if (number(record + 16, 4) != 0 || number(record + 20, 4) != 0 ||
        number(record + 24, 8) != number(record + 32, 8))
        return bad(r, "it is one of several disks");
    r->count = number(record + 32, 8);
    r->directory_size = number(record + 40, 8);
    r->directory = number(record + 48, 8);
    return FR_OK;
}

static fr_status read_end(reading *r)
{
    size_t at;
    if (!find_end(r, &at))
        return bad(r, "it has no end record (truncated?)");
    const unsigned char *record = r->file + at;
    r->count = number(record + 10, 2);
    r->directory_size = number(record + 12, 4);
    r->directory = number(record + 16, 4);
    bool has64 = at >= LOCATOR_SIZE && number(record - LOCATOR_SIZE, 4) == LOCATOR_SIGN;
    if (has64)
        FR_TRY(read_end64(r, at - LOCATOR_SIZE));
    else if (number(record + 4, 2) != 0 || number(record + 6, 2) != 0 ||
             number(record + 8, 2) != r->count)
        return bad(r, "it is one of several disks");
    if (r->directory > at || r->directory_size > at - r->directory)
        return bad(r, "its directory leaves the file");
    if (r->count > r->directory_size / CENTRAL_SIZE)
        return bad(r, "its directory is too small for the members that it counts");
    return FR_OK;
}

/* ---- members ---- */

/* The sizes and the offset of a central entry, from its zip64 field where 32 bits are too few. */
static fr_status read_sizes(const reading *r, const unsigned char *entry, uint64_t sizes[3])
{
    uint64_t name = number(entry + 28, 2), extra = number(entry + 30, 2);
    const unsigned char *field = entry + CENTRAL_SIZE + name, *end = field + extra;
    sizes[0] = number(entry + 24, 4); /* unpacked, packed, offset: in the order of the field */
    sizes[1] = number(entry + 20, 4);
    sizes[2] = number(entry + 42, 4);
    while (end - field >= 4 && number(field, 2) != ZIP64_FIELD) {
        uint64_t length = number(field + 2, 2);
        if (length > (uint64_t)(end - field - 4))
            return bad(r, "an extra field leaves its entry");
        field += 4 + length;
    }
    uint64_t left = 0;
    if (end - field >= 4) {
        left = number(field + 2, 2);
        if (left > (uint64_t)(end - field - 4))
            return bad(r, "an extra field leaves its entry");
        field += 4;
    }
    for (int i = 0; i < 3; i++) {
        if (sizes[i] != ELSEWHERE || left == 0)
            continue;
        if (left < 8)
            return bad(r, "a zip64 field is cut short");
        sizes[i] = number(field, 8);
        field += 8;
        left -= 8;
    }
    return FR_OK;
}

/* Text without zeros, of parts that stay inside. */
static bool is_safe_name(const char *name, size_t size)
{
    if (size == 0 || name[0] == '/' || memchr(name, '\\', size) || !is_plain_text(name, size))
        return false;
    for (size_t begin = 0; begin <= size;) {
        size_t length = 0;
        while (begin + length < size && name[begin + length] != '/')
            length++;
        if ((length == 2 && memcmp(name + begin, "..", 2) == 0) ||
            (length == 1 && name[begin] == '.'))
            return false;
        begin += length + 1;
    }
    return true;
}

static fr_status refuse_packed(const reading *r, const char *name, uint64_t flags, uint64_t method)
{
    if (flags & (ENCRYPTED | STRONGLY_ENCRYPTED | HIDDEN_HEADERS))
        return fr_fail_at(r->error, FR_UNSUPPORTED, r->path, 0, "member '%.80s' is encrypted",
                          name);
    if (method != 0)
        return fr_fail_at(r->error, FR_UNSUPPORTED, r->path, 0,
                          "member '%.80s' is compressed (method %d); members must be stored as "
                          "they are",
                          name, (int)method);
    return FR_OK;
}

/* The data behind the local header at `offset`, which must agree with the directory. */
static fr_status find_data(const reading *r, zip_member *member, uint64_t offset, place *where)
{
    if (offset > r->directory || r->directory - offset < LOCAL_SIZE ||
        number(r->file + offset, 4) != LOCAL_SIGN)
        return fr_fail_at(r->error, FR_BAD_INPUT, r->path, 0,
                          "member '%.80s' is not where the directory has it", member->name);
    const unsigned char *local = r->file + offset;
    uint64_t name = number(local + 26, 2), extra = number(local + 28, 2);
    FR_TRY(refuse_packed(r, member->name, number(local + 6, 2), number(local + 8, 2)));
    uint64_t left = r->directory - offset - LOCAL_SIZE;
    if (name + extra > left || member->size > left - name - extra)
        return fr_fail_at(r->error, FR_BAD_INPUT, r->path, 0,
                          "member '%.80s' claims %zu bytes, more than the archive has at its place",
                          member->name, member->size);
    if (name != strlen(member->name) || memcmp(local + LOCAL_SIZE, member->name, name) != 0)
        return fr_fail_at(r->error, FR_BAD_INPUT, r->path, 0,
                          "member '%.80s' has another name at its place", member->name);
    member->data = local + LOCAL_SIZE + name + extra;
    *where = (place){offset, offset + LOCAL_SIZE + name + extra + member->size, member};
    return FR_OK;
}

static fr_status read_entry(const reading *r, const unsigned char *entry, uint64_t left,
                            uint64_t *length)
{
    if (left < CENTRAL_SIZE || number(entry, 4) != CENTRAL_SIGN)
        return bad(r, "its directory holds something that is no entry");
    uint64_t name = number(entry + 28, 2), sizes[3];
    *length = CENTRAL_SIZE + name + number(entry + 30, 2) + number(entry + 32, 2);
    if (*length > left)
        return bad(r, "an entry leaves its directory");
    if (!is_safe_name((const char *)entry + CENTRAL_SIZE, name))
        return bad(r, "a member's name is empty, not UTF-8 or leaves the archive");
    FR_TRY(read_sizes(r, entry, sizes));
    zip_member *member = &r->archive->members[r->archive->count];
    member->name = fr_string_copy_n((const char *)entry + CENTRAL_SIZE, name);
    if (!member->name)
        return fr_fail(r->error, FR_NO_MEMORY, "no memory to read %s", r->path);
    place *where = &r->places[r->archive->count++];
    FR_TRY(refuse_packed(r, member->name, number(entry + 8, 2), number(entry + 10, 2)));
    if (sizes[0] != sizes[1])
        return fr_fail_at(r->error, FR_BAD_INPUT, r->path, 0,
                          "member '%.80s' is stored as it is, but has two sizes", member->name);
    member->size = sizes[0];
    return find_data(r, member, sizes[2], where);
}

/* ---- the whole ---- */

static int by_place(const void *left, const void *right)
{
    const place *a = left, *b = right;
    return a->begin != b->begin ? (a->begin > b->begin) - (a->begin < b->begin)
                                : (a->end > b->end) - (a->end < b->end);
}

static int by_name(const void *left, const void *right)
{
    return strcmp(((const zip_member *)left)->name, ((const zip_member *)right)->name);
}

static fr_status check_members(const reading *r)
{
    zip_archive *a = r->archive;
    qsort(r->places, a->count, sizeof *r->places, by_place);
    for (size_t i = 1; i < a->count; i++)
        if (r->places[i].begin < r->places[i - 1].end)
            return fr_fail_at(r->error, FR_BAD_INPUT, r->path, 0,
                              "members '%.80s' and '%.80s' overlap", r->places[i - 1].member->name,
                              r->places[i].member->name);
    qsort(a->members, a->count, sizeof *a->members, by_name);
    for (size_t i = 1; i < a->count; i++)
        if (strcmp(a->members[i].name, a->members[i - 1].name) == 0)
            return fr_fail_at(r->error, FR_BAD_INPUT, r->path, 0, "member '%.80s' is there twice",
                              a->members[i].name);
    return FR_OK;
}

static fr_status read_directory(const reading *r)
{
    uint64_t done = 0, length = 0;
    for (uint64_t i = 0; i < r->count; i++, done += length)
        FR_TRY(read_entry(r, r->file + r->directory + done, r->directory_size - done, &length));
    if (done != r->directory_size)
        return bad(r, "its directory holds more than its entries");
    return check_members(r);
}

fr_status zip_open(zip_archive *archive, const fr_map *map, const char *path, fr_error *error)
{
    *archive = (zip_archive){0};
    reading r = {
        .archive = archive, .file = map->data, .size = map->size, .path = path, .error = error};
    FR_TRY(read_end(&r));
    archive->members = fr_alloc_array(r.count + 1, sizeof *archive->members, FR_MEMORY_OTHER);
    r.places = fr_alloc_array(r.count + 1, sizeof *r.places, FR_MEMORY_OTHER);
    fr_status status = archive->members && r.places
                           ? read_directory(&r)
                           : fr_fail(error, FR_NO_MEMORY, "no memory to read %s", path);
    fr_free(r.places);
    return status;
}

void zip_close(zip_archive *archive)
{
    for (size_t i = 0; i < archive->count; i++)
        fr_free(archive->members[i].name);
    fr_free(archive->members);
    *archive = (zip_archive){0};
}

const zip_member *zip_find(const zip_archive *archive, const char *name)
{
    const zip_member key = {.name = (char *)(uintptr_t)name};
    if (archive->count == 0)
        return NULL;
    return bsearch(&key, archive->members, archive->count, sizeof key, by_name);
}
