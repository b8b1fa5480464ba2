/* tensor.c: tensors outside any tape, and what every tensor can be asked. */
#include "frugal/tensor.h"
#include "kernels/kernels.h"
#include "kernels/quantise.h"
#include "tensor/operator.h"

#include <stdio.h>

static const struct {
    const char *name;
    size_t size;
    int64_t block;
} dtypes[FR_DTYPES] = {
    [FR_F32] = {"f32", 4, 1},       [FR_BF16] = {"bf16", 2, 1},   [FR_F16] = {"f16", 2, 1},
    [FR_I32] = {"i32", 4, 1},       [FR_I64] = {"i64", 8, 1},     [FR_U8] = {"u8", 1, 1},
    [FR_Q8_0] = {"q8_0", 34, 32},   [FR_Q4_0] = {"q4_0", 18, 32}, [FR_Q4_K] = {"q4_k", 144, 256},
    [FR_Q6_K] = {"q6_k", 210, 256}, [FR_F64] = {"f64", 8, 1},     [FR_I16] = {"i16", 2, 1},
    [FR_I8] = {"i8", 1, 1},
};

size_t fr_dtype_size(fr_dtype dtype)
{
    return (unsigned)dtype < FR_DTYPES ? dtypes[dtype].size : 0;
}

int64_t fr_dtype_block(fr_dtype dtype)
{
    return (unsigned)dtype < FR_DTYPES ? dtypes[dtype].block : 1;
}

size_t fr_dtype_bytes(fr_dtype dtype, int64_t count)
{
    return (size_t)(count / fr_dtype_block(dtype)) * fr_dtype_size(dtype);
}

const char *fr_dtype_name(fr_dtype dtype)
{
    return (unsigned)dtype < FR_DTYPES ? dtypes[dtype].name : "?";
}

const char *fr_axis_name(fr_axis axis)
{
    static const char *const names[FR_AXIS_COUNT] = {
        "none",     "vocab",    "hidden",  "ffn",    "heads",     "kv_heads", "qkv",  "gate_up",
        "head_dim", "position", "experts", "labels", "embedding", "channels", "patch"};
    return (unsigned)axis < FR_AXIS_COUNT ? names[axis] : "?";
}

bool fr_shape_is_possible(fr_dtype dtype, int rank, const int64_t *shape)
{
    if (rank < 0 || rank > FR_MAX_RANK || fr_dtype_size(dtype) == 0)
        return false;
    int64_t count = 1;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 1 || shape[i] > ((int64_t)1 << 48) / count)
            return false;
        count *= shape[i];
    }
    return (rank ? shape[rank - 1] : 1) % fr_dtype_block(dtype) == 0;
}

fr_tensor *fr_tensor_create_shape(fr_dtype dtype, int rank, const int64_t *shape)
{
    if (!fr_shape_is_possible(dtype, rank, shape))
        return NULL;
    fr_tensor *t = fr_alloc(sizeof *t, FR_MEMORY_OTHER);
    if (!t)
        return NULL;
    t->dtype = dtype;
    t->rank = rank;
    for (int i = 0; i < rank; i++)
        t->shape[i] = shape[i];
    return t;
}

fr_tensor *fr_tensor_create(fr_dtype dtype, int rank, const int64_t *shape, fr_memory_kind kind)
{
    fr_tensor *t = fr_tensor_create_shape(dtype, rank, shape);
    if (t && !(t->data = fr_alloc(fr_tensor_bytes(t), kind))) {
        fr_free(t);
        return NULL;
    }
    return t;
}

fr_tensor *fr_tensor_create_over(fr_dtype dtype, int rank, const int64_t *shape, const void *data)
{
    fr_tensor *t = fr_tensor_create_shape(dtype, rank, shape);
    if (t) {
        t->data = (void *)(uintptr_t)
            data; /* never written: it gets no gradient and no operator's result */
        t->borrows = true;
    }
    return t;
}

void fr_tensor_free(fr_tensor *tensor)
{
    if (!tensor)
        return;
    if (!tensor->borrows)
        fr_free(tensor->data);
    fr_free(tensor);
}

int64_t fr_tensor_extent(const fr_tensor *t, int begin, int end)
{
    int64_t product = 1;
    for (int i = begin; i < end; i++)
        product *= t->shape[i];
    return product;
}

int64_t fr_tensor_count(const fr_tensor *tensor)
{
    return fr_tensor_extent(tensor, 0, tensor->rank);
}

int64_t fr_tensor_width(const fr_tensor *t)
{
    return t->rank ? t->shape[t->rank - 1] : 1;
}

int64_t fr_tensor_rows(const fr_tensor *t)
{
    return fr_tensor_extent(t, 0, t->rank - 1);
}

size_t fr_tensor_bytes(const fr_tensor *tensor)
{
    return fr_dtype_bytes(tensor->dtype, fr_tensor_count(tensor));
}

bool fr_shape_is_suffix(const fr_tensor *b, const fr_tensor *a)
{
    if (b->rank > a->rank)
        return false;
    for (int i = 1; i <= b->rank; i++)
        if (b->shape[b->rank - i] != a->shape[a->rank - i])
            return false;
    return true;
}

bool fr_tensor_same_shape(const fr_tensor *a, const fr_tensor *b)
{
    return a->rank == b->rank && fr_shape_is_suffix(b, a);
}

const char *fr_tensor_shape_text(const fr_tensor *tensor, char *text, size_t size)
{
    size_t used = 0;
    for (int i = 0; i <= tensor->rank && used < size; i++) {
        int more = i == tensor->rank
                       ? snprintf(text + used, size - used, "%s", tensor->rank ? ")" : "()")
                       : snprintf(text + used, size - used, "%s%lld", i ? ", " : "(",
                                  (long long)tensor->shape[i]);
        used += more > 0 ? (size_t)more : 0;
    }
    return text;
}

void *fr_tensor_host(const fr_tensor *tensor)
{
    return tensor->data;
}

void fr_convert(void *out, fr_dtype out_dtype, const void *in, fr_dtype in_dtype, int64_t count)
{
    if (fr_dtype_block(out_dtype) > 1)
        fr_quantise(out, out_dtype, in, count);
    else
        fr_kernels_get()->convert(out, out_dtype, in, in_dtype, count);
}

/* Stored numbers are looked at in pieces, as f32. */
bool fr_tensor_has_nonfinite(const fr_tensor *tensor)
{
    enum { PIECE = 1024 };
    const fr_kernels *kernels = fr_kernels_get();
    int64_t count = fr_tensor_count(tensor);
    if (!tensor->data)
        return false;
    if (tensor->dtype == FR_F32)
        return kernels->has_nonfinite(tensor->data, count);
    if (tensor->dtype == FR_I32 || tensor->dtype == FR_I64 || tensor->dtype == FR_U8)
        return false;
    for (int64_t i = 0; i < count; i += PIECE) {
        float piece[PIECE];
        int64_t length = count - i < PIECE ? count - i : PIECE;
        kernels->convert(piece, FR_F32,
                         (const char *)tensor->data + fr_dtype_bytes(tensor->dtype, i),
                         tensor->dtype, length);
        if (kernels->has_nonfinite(piece, length))
            return true;
    }
    return false;
}
