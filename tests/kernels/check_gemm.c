/* check_gemm.c: matrix products, linear layers and the few-rows product of decoding. */
#include "check.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

static void naive_gemm(double *c, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a,
                       int64_t lda, const float *b, int64_t ldb)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double total = 0.0;
            for (int64_t l = 0; l < k; l++)
                total += (double)(ta ? a[l * lda + i] : a[i * lda + l]) *
                         (double)(tb ? b[j * ldb + l] : b[l * ldb + j]);
            c[i * n + j] = total;
        }
}

static void check_product(int64_t m, int64_t n, int64_t k, bool ta, bool tb)
{
    int64_t lda = (ta ? m : k) + 2, ldb = (tb ? k : n) + 1, ldc = n + 3;
    float *a = check_floats((ta ? k : m) * lda), *b = check_floats((tb ? n : k) * ldb),
          *c = check_floats(m * ldc);
    double *product = check_doubles(m * n), *wanted = check_doubles(m * ldc);
    naive_gemm(product, ta, tb, m, n, k, a, lda, b, ldb);
    for (int64_t i = 0; i < m * ldc; i++)
        wanted[i] = (double)c[i];
    for (int64_t i = 0; i < m * n; i++)
        wanted[i / n * ldc + i % n] = 0.5 * product[i] + 2.0 * (double)c[i / n * ldc + i % n];
    fr_gemm(ta, tb, m, n, k, 0.5F, a, lda, b, ldb, 2.0F, c, ldc);
    check_close("gemm with beta", c, wanted, m * ldc, 1e-5);
    for (int64_t i = 0; i < m; i++)
        c[i * ldc] = NAN; /* beta 0 does not read c */
    for (int64_t i = 0; i < m * n; i++)
        wanted[i / n * ldc + i % n] = product[i];
    fr_gemm(ta, tb, m, n, k, 1.0F, a, lda, b, ldb, 0.0F, c, ldc);
    check_close("gemm", c, wanted, m * ldc, 1e-5);
}

static void check_batched(int64_t count, int64_t m, int64_t n, int64_t k)
{
    float *a = check_floats(count * m * k), *b = check_floats(k * n),
          *c = check_floats(count * m * n);
    double *wanted = check_doubles(count * m * n);
    for (int64_t i = 0; i < count; i++)
        naive_gemm(wanted + i * m * n, false, true, m, n, k, a + i * m * k, k, b, k);
    fr_gemm_batched(count, false, true, m, n, k, 1.0F, a, k, m * k, b, k, 0, 0.0F, c, n, m * n);
    check_close("batched gemm, one right operand", c, wanted, count * m * n, 1e-5);
}

/* W in all types: what the half-precision forms give is compared with the product of the rounded W. */
static void check_linear(int64_t m, int64_t n, int64_t k, fr_dtype dtype)
{
    const fr_kernels *kernels = fr_kernels_get();
    float *x = check_floats(m * k), *w = check_floats(n * k), *bias = check_floats(n),
          *y = check_floats(m * n), *dy = check_floats(m * n);
    float *dx = check_floats(m * k), *dw = check_constant(n * k, 1.0F),
          *db = check_constant(n, 1.0F), *stored = check_floats(n * k);
    double *y2 = check_doubles(m * n), *dx2 = check_doubles(m * k), *dw2 = check_doubles(n * k),
           *db2 = check_doubles(n);
    kernels->convert(stored, dtype, w, FR_F32, n * k);
    kernels->convert(w, FR_F32, stored, dtype, n * k);
    naive_gemm(y2, false, true, m, n, k, x, k, w, k);
    fr_linear_forward(y, x, stored, dtype, NULL, m, n, k);
    check_close("linear without bias", y, y2, m * n, 1e-5);
    for (int64_t i = 0; i < m * n; i++)
        y2[i] += (double)bias[i % n];
    fr_linear_forward(y, x, stored, dtype, bias, m, n, k);
    check_close("linear", y, y2, m * n, 1e-5);
    naive_gemm(dx2, false, false, m, k, n, dy, n, w, k);
    fr_linear_backward_input(dx, dy, stored, dtype, m, n, k, false);
    check_close("linear dx", dx, dx2, m * k, 1e-5);
    fr_linear_backward_input(dx, dy, stored, dtype, m, n, k, true);
    for (int64_t i = 0; i < m * k; i++)
        dx2[i] *= 2.0;
    check_close("linear dx, accumulated", dx, dx2, m * k, 1e-5);
    naive_gemm(dw2, true, false, n, k, m, dy, n, x, k);
    for (int64_t i = 0; i < n * k; i++)
        dw2[i] += 1.0;
    for (int64_t i = 0; i < n; i++) {
        db2[i] = 1.0;
        for (int64_t r = 0; r < m; r++)
            db2[i] += (double)dy[r * n + i];
    }
    fr_linear_backward_weight(dw, db, dy, x, m, n, k);
    check_close("linear dweight", dw, dw2, n * k, 1e-5);
    check_close("linear dbias", db, db2, n, 1e-5);
}

static void time_product(const char *what, bool ta, bool tb, int64_t m, int64_t n, int64_t k)
{
    float *a = check_floats(m * k), *b = check_floats(k * n), *c = check_floats(m * n);
    int64_t lda = ta ? m : k, ldb = tb ? k : n;
    char name[80];
    snprintf(name, sizeof name, "%s %lldx%lldx%lld against one call", what, (long long)m,
             (long long)n, (long long)k);
    omp_set_num_threads(fr_threads());
    CHECK_TIME(
        name, 2.0 * (double)m * (double)n * (double)k, 0,
        fr_gemm(ta, tb, m, n, k, 1.0F, a, lda, b, ldb, 0.0F, c, n),
        dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1.0F, a, lda, b, ldb, 0.0F, c, n));
}

void check_gemm(const fr_kernels *kernels)
{
    (void)kernels;
    static const int64_t shapes[][3] = {{1, 1, 1},       {3, 17, 65},     {65, 3, 17},
                                        {100, 130, 255}, {300, 270, 129}, {257, 1030, 33},
                                        {1100, 65, 40}};
    for (int s = 0; s < 7; s++)
        for (int t = 0; t < 4; t++)
            check_product(shapes[s][0], shapes[s][1], shapes[s][2], t & 1, t & 2);
    check_batched(1, 3, 5, 7);
    check_batched(5, 33, 20, 65);
    for (int dtype = FR_F32; dtype <= FR_F16; dtype++) {
        check_linear(1, 3, 17, (fr_dtype)dtype);
        check_linear(8, 65, 100, (fr_dtype)dtype);
        check_linear(65, 130, 33, (fr_dtype)dtype);
    }
    check_linear(9, 2100, 513, FR_BF16); /* more than one panel */
    if (!check_timing())
        return;
    time_product("x W^T", false, true, 2048, 512, 512);
    time_product("x W^T", false, true, 2048, 1536, 512);
    time_product("x W^T", false, true, 2048, 512, 1536);
    time_product("x W^T", false, true, 512, 8192, 512);
    time_product("dy W", false, false, 2048, 512, 512);
    time_product("dy W", false, false, 2048, 512, 1536);
    time_product("dy W", false, false, 512, 512, 8192);
    time_product("dy^T x", true, false, 512, 512, 2048);
    time_product("dy^T x", true, false, 1536, 512, 2048);
    time_product("dy^T x", true, false, 256, 256, 8192);
    time_product("dy^T x", true, false, 8192, 512, 512);
}

/* ---- a few rows ---- */

static void check_few(const fr_kernels *kernels, int64_t m, int64_t n, int64_t k, fr_dtype dtype)
{
    float *x = check_floats(m * k), *w = check_floats(n * k), *stored = check_floats(n * k),
          *y = check_floats(m * n), *bias = check_floats(n);
    double *wanted = check_doubles(m * n);
    kernels->convert(stored, dtype, w, FR_F32, n * k);
    kernels->convert(w, FR_F32, stored, dtype, n * k);
    naive_gemm(wanted, false, true, m, n, k, x, k, w, k);
    kernels->few_rows_linear(y, x, stored, dtype, NULL, m, n, k);
    check_close("few rows", y, wanted, m * n, 1e-5);
    for (int64_t i = 0; i < m * n; i++)
        wanted[i] += (double)bias[i % n];
    kernels->few_rows_linear(y, x, stored, dtype, bias, m, n, k);
    check_close("few rows with bias", y, wanted, m * n, 1e-5);
}

void check_matvec(const fr_kernels *kernels)
{
    static const int64_t shapes[][3] = {
        {1, 1, 1}, {1, 3, 17}, {2, 65, 255}, {8, 257, 1030}, {11, 30, 65}};
    for (int s = 0; s < 5; s++)
        for (int dtype = FR_F32; dtype <= FR_F16; dtype++)
            check_few(kernels, shapes[s][0], shapes[s][1], shapes[s][2], (fr_dtype)dtype);
    enum { N = 8192, K = 1024 };
    if (!check_timing())
        return;
    float *w = check_floats((int64_t)N * K), *x = check_floats(8 * K), *y = check_floats(8 * N);
    double *slow = check_doubles(8 * N);
    static const char *const names[] = {"1 row x f32 8192x1024", "1 row x bf16 8192x1024",
                                        "1 row x f16 8192x1024"};
    for (int dtype = FR_F32; dtype <= FR_F16; dtype++) {
        kernels->convert(w, (fr_dtype)dtype, w, FR_F32, dtype == FR_F32 ? 0 : (int64_t)N * K / 2);
        CHECK_TIME(names[dtype], 0, (dtype == FR_F32 ? 4.0 : 2.0) * N * K,
                   kernels->few_rows_linear(y, x, w, (fr_dtype)dtype, NULL, 1, N, K),
                   naive_gemm(slow, false, true, 1, N, K, x, K, w, K));
    }
    CHECK_TIME("8 rows x f32 8192x1024", 16.0 * N * K, 4.0 * N * K,
               kernels->few_rows_linear(y, x, w, FR_F32, NULL, 8, N, K),
               naive_gemm(slow, false, true, 8, N, K, x, K, w, K));
}
