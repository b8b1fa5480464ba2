/* verify_weights.c: the tensors of a model folder: all there, of the right shape, finite, where the index has them. */
#include "hub/verify.h"

#include <math.h>

enum { CHUNK = 1 << 16 };

static int64_t count_of(const fr_stored_tensor *tensor)
{
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    return count;
}

/* ---- numbers ---- */

typedef struct numbers {
    int64_t all, tensors;
    int64_t bad_tensors;
} numbers;

static void scan_tensor(verifying *v, const fr_weight_file *file, const fr_stored_tensor *tensor,
                        float *chunk, numbers *sum)
{
    int64_t nans = 0, infinities = 0, count = count_of(tensor);
    for (int64_t begin = 0; begin < count; begin += CHUNK) {
        int64_t part = count - begin < CHUNK ? count - begin : CHUNK;
        tensor->read(tensor, begin, part, chunk);
        for (int64_t i = 0; i < part; i++) {
            nans += isnan(chunk[i]) != 0;
            infinities += isinf(chunk[i]) != 0;
        }
    }
    sum->all += count;
    sum->tensors++;
    if (nans + infinities == 0)
        return;
    sum->bad_tensors++;
    verify_report(v, "numbers", FR_FINDING_PROBLEM,
                  "%s: tensor '%s' holds %lld NaN and %lld infinite of %lld numbers",
                  fr_weight_file_path(file), tensor->name, (long long)nans, (long long)infinities,
                  (long long)count);
}

static void scan_numbers(verifying *v, const fr_weight_folder *weights)
{
    numbers sum = {0};
    float *chunk = fr_alloc_array(CHUNK, sizeof *chunk, FR_MEMORY_OTHER);
    if (!chunk) {
        v->failed = fr_fail(v->error, FR_NO_MEMORY, "no memory to check %s", v->folder);
        return;
    }
    for (size_t i = 0; i < weights->count; i++)
        for (size_t k = 0; k < fr_weight_file_count(weights->files[i]) && v->failed == FR_OK; k++) {
            const fr_stored_tensor *tensor = fr_weight_file_at(weights->files[i], k);
            if (tensor->read)
                scan_tensor(v, weights->files[i], tensor, chunk, &sum);
            if (fr_interrupted())
                v->failed = fr_fail(v->error, FR_INTERRUPTED, "the check was interrupted");
        }
    fr_free(chunk);
    if (sum.bad_tensors == 0 && v->failed == FR_OK)
        verify_report(v, "numbers", FR_FINDING_GOOD, "%lld in %lld tensors, all finite",
                      (long long)sum.all, (long long)sum.tensors);
}

/* ---- the index ---- */

/* Every tensor of the shards is in the index (that each of the index is in its shard, opening has checked). */
static size_t count_unlisted(verifying *v, const fr_weight_folder *weights, const json_t *map)
{
    size_t unlisted = 0;
    for (size_t i = 0; i < weights->count; i++)
        for (size_t k = 0; k < fr_weight_file_count(weights->files[i]); k++) {
            const char *name = fr_weight_file_at(weights->files[i], k)->name;
            if (!json_object_get(map, name) && unlisted++ < 5)
                verify_report(v, "index", FR_FINDING_PROBLEM,
                              "tensor '%s' of %s is not in the index", name,
                              fr_weight_file_path(weights->files[i]));
        }
    return unlisted;
}

static void check_index(verifying *v, const fr_weight_folder *weights)
{
    json_t *index;
    int64_t bytes = 0;
    if (!weights->index || fr_json_load(&index, weights->index, NULL) != FR_OK)
        return;
    for (size_t i = 0; i < weights->count; i++)
        for (size_t k = 0; k < fr_weight_file_count(weights->files[i]); k++)
            bytes += (int64_t)fr_weight_file_at(weights->files[i], k)->bytes;
    size_t unlisted = count_unlisted(v, weights, json_object_get(index, "weight_map"));
    bool wrong_size = weights->total_size >= 0 && weights->total_size != bytes;
    if (wrong_size)
        verify_report(v, "index", FR_FINDING_PROBLEM,
                      "%s: total_size is %lld, but the tensors have %lld bytes", weights->index,
                      (long long)weights->total_size, (long long)bytes);
    if (unlisted == 0 && !wrong_size)
        verify_report(v, "index", FR_FINDING_GOOD, "%zu shards hold what it says", weights->count);
    json_decref(index);
}

/* ---- the whole ---- */

void verify_weights(verifying *v)
{
    fr_weight_folder weights;
    fr_error error = {0};
    if (fr_weight_folder_open(&weights, v->folder, &error) != FR_OK) {
        verify_report_error(v, "weights", &error);
        return;
    }
    size_t tensors = 0;
    for (size_t i = 0; i < weights.count; i++)
        tensors += fr_weight_file_count(weights.files[i]);
    if (v->model && fr_model_check_weights(v->model, &weights, v->folder, &error) != FR_OK)
        verify_report_error(v, "weights", &error);
    else if (v->model)
        verify_report(v, "weights", FR_FINDING_GOOD,
                      "%zu tensors in %zu file%s (%s) fit config.json", tensors, weights.count,
                      weights.count == 1 ? "" : "s", fr_weight_file_format(weights.files[0]));
    check_index(v, &weights);
    scan_numbers(v, &weights);
    fr_weight_folder_close(&weights);
}
