/* image_processor.c: what a model folder says is to be done with a picture before the model sees it
   (preprocessor_config.json), as transformers' image processors of ViT, DeiT and CLIP do it.

   resize -> cut the middle out -> times rescale_factor -> (x - mean) / std, each where the file asks for it. What a file leaves out is
   what its class takes; `size` may be one number, two, or an object. */
#include "data/image.h"
#include "frugal/formats.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { CHANNELS = 3, MOST_PIXELS = 1 << 24 }; /* of what a model reads */

struct fr_image_processor {
    bool do_convert_rgb, do_resize, do_center_crop, do_rescale, do_normalize;
    int64_t height, width, shortest_edge;
    int64_t crop_height, crop_width;
    int64_t resample;
    double rescale_factor;
    fr_floats image_mean, image_std;
    int family;
};

#define AT(field) offsetof(struct fr_image_processor, field)
static const fr_option options[] = {
    {"do_convert_rgb", FR_OPTION_BOOL, AT(do_convert_rgb), NULL, 0, 0, NULL,
     "turn pictures into red, green and blue, which is done in any case"},
    {"do_resize", FR_OPTION_BOOL, AT(do_resize), NULL, 0, 0, NULL, "resize the picture"},
    {"size.height", FR_OPTION_INT, AT(height), "pixels", 0, 1 << 15, NULL, "to this height"},
    {"size.width", FR_OPTION_INT, AT(width), "pixels", 0, 1 << 15, NULL, "and this width, or"},
    {"size.shortest_edge", FR_OPTION_INT, AT(shortest_edge), "pixels", 0, 1 << 15, NULL,
     "so that its shorter side becomes this and its proportions stay"},
    {"resample", FR_OPTION_INT, AT(resample), NULL, 0, FR_RESAMPLE_HAMMING, NULL,
     "filter: 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box, 5 hamming"},
    {"do_center_crop", FR_OPTION_BOOL, AT(do_center_crop), NULL, 0, 0, NULL,
     "cut the middle out, or fill up with black"},
    {"crop_size.height", FR_OPTION_INT, AT(crop_height), "pixels", 0, 1 << 15, NULL, "its height"},
    {"crop_size.width", FR_OPTION_INT, AT(crop_width), "pixels", 0, 1 << 15, NULL, "its width"},
    {"do_rescale", FR_OPTION_BOOL, AT(do_rescale), NULL, 0, 0, NULL, "scale the numbers 0 to 255"},
    {"rescale_factor", FR_OPTION_FLOAT, AT(rescale_factor), NULL, -1e9, 1e9, NULL, "by this"},
    {"do_normalize", FR_OPTION_BOOL, AT(do_normalize), NULL, 0, 0, NULL,
     "subtract a mean, divide by a standard deviation"},
    {"image_mean", FR_OPTION_FLOATS, AT(image_mean), NULL, -1e9, 1e9, NULL,
     "the mean: one, or of red, green and blue"},
    {"image_std", FR_OPTION_FLOATS, AT(image_std), NULL, -1e9, 1e9, NULL,
     "the standard deviation: one, or of red, green and blue"},
};
#undef AT
static const fr_option_table table = {"image_processor", options, sizeof options / sizeof *options,
                                      sizeof(fr_image_processor), NULL};

/* ---- families: what transformers takes where a file says nothing ---- */

#define USUAL                                                                                      \
    "\"do_resize\": true, \"do_rescale\": true, \"rescale_factor\": 0.00392156862745098, "         \
    "\"do_normalize\": true, "
#define HALVES "\"image_mean\": [0.5, 0.5, 0.5], \"image_std\": [0.5, 0.5, 0.5]"

static const struct {
    const char *model_type, *name; /* of the class: "ViTImageProcessor" */
    bool square;                   /* one number as `size` means height and width */
    const char *defaults;
} families[] = {
    {"vit", "ViT", true,
     "{" USUAL "\"size\": {\"height\": 224, \"width\": 224}, \"resample\": 2, " HALVES "}"},
    {"deit", "DeiT", true,
     "{" USUAL "\"size\": {\"height\": 256, \"width\": 256}, \"resample\": 3, "
     "\"do_center_crop\": true, \"crop_size\": {\"height\": 224, \"width\": 224}, " HALVES "}"},
    {"clip", "CLIP", false,
     "{" USUAL "\"size\": {\"shortest_edge\": 224}, \"resample\": 3, \"do_center_crop\": true, "
     "\"crop_size\": {\"height\": 224, \"width\": 224}, \"do_convert_rgb\": true, "
     "\"image_mean\": [0.48145466, 0.4578275, 0.40821073], "
     "\"image_std\": [0.26862954, 0.26130258, 0.27577711]}"},
};
enum { FAMILIES = sizeof families / sizeof *families };

/* Is `name` a class of the family? All that its classes did differently is how they computed. */
static bool is_class(int family, const char *name)
{
    static const char *const endings[] = {"ImageProcessor", "ImageProcessorFast",
                                          "ImageProcessorPil", "FeatureExtractor"};
    size_t length = strlen(families[family].name);
    if (strncmp(name, families[family].name, length) != 0)
        return false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcmp(name + length, endings[i]) == 0)
            return true;
    return false;
}

static int family_of_type(const char *model_type)
{
    for (int i = 0; i < FAMILIES; i++) /* "clip_vision_model" is of CLIP's family */
        if (model_type &&
            strncmp(model_type, families[i].model_type, strlen(families[i].model_type)) == 0)
            return i;
    return -1;
}

static fr_status find_family(int *family, const json_t *json, const char *model_type,
                             const char *path, fr_error *error)
{
    const char *name = json_string_value(json_object_get(json, "image_processor_type"));
    if (!name)
        name = json_string_value(json_object_get(json, "feature_extractor_type"));
    for (*family = 0; name && *family < FAMILIES; ++*family)
        if (is_class(*family, name))
            return FR_OK;
    if (name)
        return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                          "image processor '%.64s' is not supported (those of ViT, DeiT and CLIP "
                          "are)",
                          name);
    *family = family_of_type(model_type);
    if (*family < 0)
        return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                          "it names no image processor, and there is none for model_type '%.64s'",
                          model_type ? model_type : "");
    return FR_OK;
}

/* ---- reading ---- */

/* How others compute, or what they hand around. */
static const char *const ignored[] = {"image_processor_type",
                                      "feature_extractor_type",
                                      "processor_class",
                                      "device",
                                      "disable_grouping",
                                      "return_tensors",
                                      "image_seq_length",
                                      "input_data_format",
                                      "default_to_square",
                                      "model_input_names",
                                      NULL};
/* Fields that may say one thing, which changes nothing. */
static const struct {
    const char *name, *harmless;
} fixed[] = {{"data_format", "channels_first"}, {"do_pad", NULL}, {"use_square_size", NULL}};

static bool is_ignored(const char *name, const json_t *value)
{
    for (const char *const *entry = ignored; *entry; entry++)
        if (strcmp(*entry, name) == 0)
            return true;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (strcmp(fixed[i].name, name) == 0) {
            const char *text = json_string_value(value);
            return fixed[i].harmless ? text && strcmp(text, fixed[i].harmless) == 0
                                     : json_is_false(value);
        }
    return json_is_null(value) || name[0] == '_';
}

/* `section` is "" or "size.". */
static fr_status check_known(const json_t *json, const char *section, const char *path,
                             fr_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)json, name, value)
    {
        char full[128], inner[132];
        snprintf(full, sizeof full, "%s%s", section, name);
        snprintf(inner, sizeof inner, "%s.", full);
        if (is_ignored(full, value) || fr_option_find(&table, full))
            continue;
        if (fr_option_is_section(&table, inner) && json_is_object(value))
            FR_TRY(check_known(value, inner, path, error));
        else
            return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                              "field '%.64s' of an image processor is not supported as it stands",
                              full);
    }
    return FR_OK;
}

/* One number or a list of two becomes an object; other kinds stay and are refused. */
static json_t *size_object(json_t *value, bool square)
{
    if (json_is_integer(value))
        return square ? json_pack("{s:O, s:O}", "height", value, "width", value)
                      : json_pack("{s:O}", "shortest_edge", value);
    if (json_array_size(value) == 2)
        return json_pack("{s:O, s:O}", "height", json_array_get(value, 0), "width",
                         json_array_get(value, 1));
    return json_incref(value);
}

/* A copy with sizes as objects and, for what is absent or null, the family's defaults. NULL: no memory. */
static json_t *completed(const json_t *json, int family)
{
    json_t *copy = json_object(), *defaults = json_loads(families[family].defaults, 0, NULL);
    const char *name;
    json_t *value;
    bool square = families[family].square, whole = copy && defaults;
    const json_t *said = json_object_get(json, "default_to_square");
    if (json_is_boolean(said))
        square = json_is_true(said);
    json_object_foreach((json_t *)json, name, value)
    {
        bool size = strcmp(name, "size") == 0, crop = strcmp(name, "crop_size") == 0;
        if (!json_is_null(value) && whole)
            whole = json_object_set_new(copy, name,
                                        size || crop ? size_object(value, crop || square)
                                                     : json_incref(value)) == 0;
    }
    whole = whole && json_object_update_missing(copy, defaults) == 0;
    json_decref(defaults);
    if (whole)
        return copy;
    json_decref(copy);
    return NULL;
}

static fr_status check_numbers(const fr_floats *list, bool divides, const char *name,
                               const char *path, fr_error *error)
{
    bool good = list->count == 1 || list->count == CHANNELS;
    for (size_t i = 0; i < list->count; i++)
        good &= !divides || list->items[i] != 0;
    return good ? FR_OK
                : fr_fail_at(error, FR_BAD_INPUT, path, 0, "%s is neither one number nor three%s",
                             name, divides ? " (none of them 0)" : "");
}

static fr_status check_whole(const fr_image_processor *p, const char *path, fr_error *error)
{
    bool both = p->height && p->width, none = !p->height && !p->width;
    if (p->do_resize && !(p->shortest_edge ? none : both))
        return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                          "size must have either height and width or shortest_edge");
    if (p->do_center_crop && (!p->crop_height || !p->crop_width))
        return fr_fail_at(error, FR_BAD_INPUT, path, 0, "crop_size must have height and width");
    if (p->crop_height * p->crop_width > MOST_PIXELS || p->height * p->width > MOST_PIXELS ||
        p->shortest_edge * p->shortest_edge > MOST_PIXELS)
        return fr_fail_at(error, FR_BAD_INPUT, path, 0, "pictures of more than %d pixels",
                          MOST_PIXELS);
    if (!p->do_normalize)
        return FR_OK;
    FR_TRY(check_numbers(&p->image_mean, false, "image_mean", path, error));
    return check_numbers(&p->image_std, true, "image_std", path, error);
}

static fr_status fill(fr_image_processor *p, const json_t *json, const char *path, fr_error *error)
{
    json_t *whole = completed(json, p->family);
    if (!whole)
        return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", path);
    fr_status status = check_known(whole, "", path, error);
    for (size_t i = 0; i < table.count && status == FR_OK; i++) {
        const json_t *value = fr_json_lookup(whole, options[i].name);
        if (value && !json_is_null(value))
            status = fr_json_option_read(&table, &options[i], p, value, path, error);
    }
    json_decref(whole);
    return status == FR_OK ? check_whole(p, path, error) : status;
}

static fr_status from_json(fr_image_processor **out, const json_t *json, const char *model_type,
                           const char *path, fr_error *error)
{
    int family;
    FR_TRY(find_family(&family, json, model_type, path, error));
    fr_image_processor *p = fr_alloc(sizeof *p, FR_MEMORY_OTHER);
    if (!p)
        return fr_fail(error, FR_NO_MEMORY, "no memory for an image processor");
    p->family = family;
    fr_status status = fill(p, json, path, error);
    if (status == FR_OK)
        *out = p;
    else
        fr_image_processor_free(p);
    return status;
}

fr_status fr_image_processor_parse(fr_image_processor **processor, const char *text, size_t size,
                                   const char *model_type, const char *name, fr_error *error)
{
    json_t *json;
    *processor = NULL;
    FR_TRY(fr_json_parse(&json, text, size, name, error));
    const json_t *inner = json_object_get(json, "image_processor");
    fr_status status =
        from_json(processor, json_is_object(inner) ? inner : json, model_type, name, error);
    json_decref(json);
    return status;
}

/* The files that may say it, the newer one first; it may be about other things alone. */
static const char *const files[] = {"processor_config.json", "preprocessor_config.json"};
enum { FILES = sizeof files / sizeof *files };

/* One of the files, *json NULL where it is not there or says nothing. */
static fr_status read_file(json_t **json, const char *folder, int number, fr_error *error)
{
    char *path = fr_path_join(folder, files[number]);
    *json = NULL;
    if (!path)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a path in %s", folder);
    fr_status status = fr_path_exists(path) ? fr_json_load(json, path, error) : FR_OK;
    if (*json && number == 0) {
        json_t *inner = json_incref(json_object_get(*json, "image_processor"));
        json_decref(*json);
        *json = inner;
    }
    fr_free(path);
    return status;
}

bool fr_image_processor_exists(const char *folder)
{
    bool found = false;
    for (int i = 0; i < FILES && !found; i++) {
        json_t *json;
        found = read_file(&json, folder, i, NULL) == FR_OK && json;
        json_decref(json);
    }
    return found;
}

/* model_type of the folder's config.json; NULL: it has none. Freed with fr_free. */
static char *type_of_folder(const char *folder)
{
    json_t *json = NULL;
    char *path = fr_path_join(folder, "config.json"), *type = NULL;
    if (path && fr_path_exists(path) && fr_json_load(&json, path, NULL) == FR_OK)
        type = fr_string_copy(json_string_value(json_object_get(json, "model_type")));
    json_decref(json);
    fr_free(path);
    return type;
}

fr_status fr_image_processor_load(fr_image_processor **processor, const char *folder,
                                  fr_error *error)
{
    json_t *json = NULL;
    int number = 0;
    *processor = NULL;
    for (; number < FILES && !json; number++)
        FR_TRY(read_file(&json, folder, number, error));
    if (!json)
        return fr_fail_at(error, FR_BAD_INPUT, folder, 0,
                          "there is no preprocessor_config.json, which says how pictures are made "
                          "ready for the model");
    char *path = fr_path_join(folder, files[number - 1]), *type = type_of_folder(folder);
    fr_status status = path ? from_json(processor, json, type, path, error)
                            : fr_fail(error, FR_NO_MEMORY, "no memory for a path in %s", folder);
    fr_free(type);
    fr_free(path);
    json_decref(json);
    return status;
}

fr_status fr_image_processor_create(fr_image_processor **processor, const fr_model *model,
                                    fr_error *error)
{
    *processor = NULL;
    int64_t height = model->image[1], width = model->image[2];
    int family = family_of_type(model->kind->model_types[0]);
    if (!height || family < 0)
        return fr_fail(error, FR_WRONG_CALL, "model %s sees no pictures", model->kind->base.name);
    json_t *none = json_object();
    fr_status status = none ? from_json(processor, none, families[family].model_type,
                                        model->kind->base.name, error)
                            : fr_fail(error, FR_NO_MEMORY, "no memory for an image processor");
    json_decref(none);
    if (status != FR_OK)
        return status;
    fr_image_processor *p = *processor;
    p->crop_height = height;
    p->crop_width = width;
    if (p->shortest_edge) {
        p->shortest_edge = height > width ? height : width;
    } else {
        p->height = p->do_center_crop ? height * 8 / 7 : height; /* DeiT cuts 224 out of 256 */
        p->width = p->do_center_crop ? width * 8 / 7 : width;
    }
    return FR_OK;
}

void fr_image_processor_free(fr_image_processor *processor)
{
    if (processor)
        fr_options_free(&table, processor);
    fr_free(processor);
}

/* ---- writing ---- */

/* Sides that are not asked for are left out. */
static fr_status write_options(const fr_image_processor *p, json_t *json, fr_error *error)
{
    for (size_t i = 0; i < table.count; i++) {
        const fr_option *option = &options[i];
        const int64_t *side = (const int64_t *)(const void *)((const char *)p + option->offset);
        if (option->type == FR_OPTION_INT && strchr(option->name, '.') && !*side)
            continue;
        FR_TRY(fr_json_option_write(option, p, json, error));
    }
    return FR_OK;
}

fr_status fr_image_processor_save(const fr_image_processor *processor, const char *folder,
                                  fr_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "%sImageProcessor", families[processor->family].name);
    json_t *json = json_pack("{s:s}", "image_processor_type", name);
    fr_status status = json ? write_options(processor, json, error)
                            : fr_fail(error, FR_NO_MEMORY, "no memory to write an image processor");
    if (status == FR_OK)
        return fr_json_write(folder, files[FILES - 1], json, error);
    json_decref(json);
    return status;
}

/* ---- doing it ---- */

/* The picture in the size that is asked for; *own gets a new one, or nothing where it has that size already. */
static fr_status resize(const fr_image_processor *p, const fr_image *image, fr_image *own,
                        fr_error *error)
{
    int64_t height = p->height, width = p->width;
    if (p->shortest_edge) {
        bool upright = image->width <= image->height;
        int64_t shorter = upright ? image->width : image->height;
        int64_t longer = upright ? image->height : image->width;
        int64_t other = (int64_t)((double)(p->shortest_edge * longer) / (double)shorter);
        height = upright ? other : p->shortest_edge;
        width = upright ? p->shortest_edge : other;
    }
    if (height == image->height && width == image->width)
        return FR_OK;
    return fr_image_resize(own, image, width, height, (fr_resample)p->resample, error);
}

/* Floor of half a difference, which may be negative. */
static int64_t half(int64_t difference)
{
    return difference >= 0 ? difference / 2 : -((1 - difference) / 2);
}

static double channel(const fr_floats *list, int c)
{
    return list->items[list->count == CHANNELS ? c : 0];
}

/* The value of one number as the model reads it, in single precision as transformers has it. */
static float value_of(const fr_image_processor *p, uint8_t byte, int c)
{
    float value = p->do_rescale ? (float)((double)byte * p->rescale_factor) : (float)byte;
    if (p->do_normalize)
        value = (value - (float)channel(&p->image_mean, c)) / (float)channel(&p->image_std, c);
    return value;
}

/* (height, width, 3) bytes, of which (top, left) is the first that counts, -> (3, height, width). */
static void spread(const fr_image_processor *p, const fr_image *image, int64_t top, int64_t left,
                   const int64_t shape[3], float *out)
{
    for (int c = 0; c < CHANNELS; c++) {
        float values[UINT8_MAX + 1];
        for (int byte = 0; byte <= UINT8_MAX; byte++)
            values[byte] = value_of(p, (uint8_t)byte, c);
        for (int64_t y = top; y < top + shape[1]; y++)
            for (int64_t x = left; x < left + shape[2]; x++) {
                bool inside = y >= 0 && x >= 0 && y < image->height && x < image->width;
                *out++ = values[inside ? image->pixels[(y * image->width + x) * CHANNELS + c] : 0];
            }
    }
}

fr_status fr_image_process(const fr_image_processor *processor, const fr_image *image,
                           float **pixels, int64_t shape[3], fr_error *error)
{
    const fr_image_processor *p = processor;
    fr_image own = {0};
    *pixels = NULL;
    if (p->do_resize)
        FR_TRY(resize(p, image, &own, error));
    const fr_image *sized = own.pixels ? &own : image;
    shape[0] = CHANNELS;
    shape[1] = p->do_center_crop ? p->crop_height : sized->height;
    shape[2] = p->do_center_crop ? p->crop_width : sized->width;
    *pixels =
        fr_alloc_array((size_t)(shape[1] * shape[2]), CHANNELS * sizeof **pixels, FR_MEMORY_DATA);
    if (*pixels)
        spread(p, sized, half(sized->height - shape[1]), half(sized->width - shape[2]), shape,
               *pixels);
    fr_image_free(&own);
    return *pixels ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a picture");
}

fr_status fr_image_read(const fr_image_processor *processor, const char *path, float **pixels,
                        int64_t shape[3], fr_error *error)
{
    fr_image image;
    *pixels = NULL;
    FR_TRY(fr_image_load(&image, path, error));
    fr_status status = fr_image_process(processor, &image, pixels, shape, error);
    if (status != FR_OK)
        fr_error_prefix(error, "%s", path);
    fr_image_free(&image);
    return status;
}
