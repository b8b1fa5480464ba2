/* matmul.c: batched product of matrices, op(a) (..., M, K) x op(b) (..., K, N) -> (..., M, N),
   where op transposes the last two axes or does nothing. b may be bf16 or f16: converted on use,
   without a gradient.

   With C = op(A) op(B): d op(A) = dC op(B)^T and d op(B) = op(A)^T dC; where an operand is stored
   transposed the whole equation is. */
#include "kernels/gemm.h"
#include "tensor/operator.h"

enum { A, B, INPUTS };

typedef struct matmul_options {
    bool transpose_a, transpose_b;
    int64_t count, m, n, k;
} matmul_options;

static void shape(fr_node *n)
{
    const matmul_options *o = n->options;
    const fr_tensor *b = n->in[B].tensor;
    fr_shape_same_as_first(n);
    n->out->shape[n->out->rank - 2] = o->m;
    n->out->shape[n->out->rank - 1] = o->n;
    if (b->dtype != FR_F32)
        n->scratch_bytes = n->backward_scratch_bytes = (size_t)fr_tensor_count(b) * sizeof(float);
}

static fr_costs cost(const fr_node *n)
{
    const matmul_options *o = n->options;
    double product = 2.0 * (double)o->count * (double)o->m * (double)o->n * (double)o->k;
    double bytes = (double)(fr_tensor_bytes(n->in[A].tensor) + fr_tensor_bytes(n->in[B].tensor) +
                            fr_tensor_bytes(n->out));
    double gradients = (n->in[A].wanted ? 1 : 0) + (n->in[B].wanted ? 1 : 0);
    return (fr_costs){{product, bytes}, {gradients * product, gradients * bytes}};
}

static const float *b_as_f32(const fr_node *n)
{
    const fr_tensor *b = n->in[B].tensor;
    if (b->dtype == FR_F32)
        return b->data;
    n->kernels->convert(n->scratch, FR_F32, b->data, b->dtype, fr_tensor_count(b));
    return n->scratch;
}

static void forward(fr_node *n)
{
    const matmul_options *o = n->options;
    fr_gemm_batched(o->count, o->transpose_a, o->transpose_b, o->m, o->n, o->k, 1.0F, fr_in(n, A),
                    o->transpose_a ? o->m : o->k, o->m * o->k, b_as_f32(n),
                    o->transpose_b ? o->k : o->n, o->k * o->n, 0.0F, fr_out(n), o->n, o->m * o->n);
}

static void backward_a(fr_node *node, float beta)
{
    const matmul_options *o = node->options;
    int64_t m = o->m, n = o->n, k = o->k, ldb = o->transpose_b ? k : n;
    const float *dc = fr_upstream(node), *b = b_as_f32(node);
    float *da = node->in[A].grad;
    if (o->transpose_a) /* (K, M) = op(B) dC^T */
        fr_gemm_batched(o->count, o->transpose_b, true, k, m, n, 1.0F, b, ldb, k * n, dc, n, m * n,
                        beta, da, m, m * k);
    else /* (M, K) = dC op(B)^T */
        fr_gemm_batched(o->count, false, !o->transpose_b, m, k, n, 1.0F, dc, n, m * n, b, ldb,
                        k * n, beta, da, k, m * k);
}

static void backward_b(fr_node *node, float beta)
{
    const matmul_options *o = node->options;
    int64_t m = o->m, n = o->n, k = o->k, lda = o->transpose_a ? m : k;
    const float *dc = fr_upstream(node), *a = fr_in(node, A);
    float *db = node->in[B].grad;
    if (o->transpose_b) /* (N, K) = dC^T op(A) */
        fr_gemm_batched(o->count, true, o->transpose_a, n, k, m, 1.0F, dc, n, m * n, a, lda, m * k,
                        beta, db, k, k * n);
    else /* (K, N) = op(A)^T dC */
        fr_gemm_batched(o->count, !o->transpose_a, false, k, n, m, 1.0F, a, lda, m * k, dc, n,
                        m * n, beta, db, n, k * n);
}

static void backward(fr_node *n)
{
    if (n->in[A].grad)
        backward_a(n, n->in[A].accumulate ? 1.0F : 0.0F);
    if (n->in[B].grad)
        backward_b(n, n->in[B].accumulate ? 1.0F : 0.0F);
}

static const fr_operator matmul = {.name = "matmul",
                                   .options_size = sizeof(matmul_options),
                                   .shape = shape,
                                   .cost = cost,
                                   .forward = forward,
                                   .backward = backward};

fr_tensor *fr_matmul(fr_tape *tape, fr_tensor *a, fr_tensor *b, bool transpose_a, bool transpose_b)
{
    if (!fr_expect_inputs(tape, "matmul", (fr_tensor *[]){a, b}, INPUTS) ||
        !fr_expect_dtype(tape, "matmul", "a", a, FR_F32) ||
        !fr_expect_number(tape, "matmul", "b", b))
        return NULL;
    bool fits = a->rank >= 2 && a->rank == b->rank;
    for (int i = 0; fits && i < a->rank - 2; i++)
        fits = a->shape[i] == b->shape[i];
    matmul_options o = {.transpose_a = transpose_a, .transpose_b = transpose_b};
    if (fits) {
        const int64_t *end_a = a->shape + a->rank - 2, *end_b = b->shape + b->rank - 2;
        o.count = fr_tensor_extent(a, 0, a->rank - 2);
        o.m = end_a[transpose_a ? 1 : 0];
        o.k = end_a[transpose_a ? 0 : 1];
        o.n = end_b[transpose_b ? 0 : 1];
        fits = end_b[transpose_b ? 1 : 0] == o.k;
    }
    if (!fits) {
        char text_a[96], text_b[96];
        return fr_tape_fail(
            tape, FR_WRONG_CALL, "matmul: a %s%s and b %s%s do not fit",
            fr_tensor_shape_text(a, text_a, sizeof text_a), transpose_a ? " transposed" : "",
            fr_tensor_shape_text(b, text_b, sizeof text_b), transpose_b ? " transposed" : "");
    }
    return fr_record(tape, &matmul, (fr_tensor *[]){a, b}, INPUTS, &o);
}
