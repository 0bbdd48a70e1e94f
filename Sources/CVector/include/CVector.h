// Loops over runs of floats and matrix products, compiled for several instruction sets from one source.
//
// A processor's best set is chosen at run time: see vector_loops_for. Every set computes the same sums in
// an order fixed by the lengths alone; sets differ by rounding only (some fuse a product with a sum).
#ifndef CVECTOR_H
#define CVECTOR_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

// How the numbers of a stored matrix are written.
enum vector_storage {
    vector_f32 = 0,
    vector_bf16 = 1,
    vector_f16 = 2,
    // value = code · scale of its group
    vector_int8 = 3,
    // two codes per byte, the even column in the low half; value = (code − 8) · scale of its group
    vector_int4 = 4,
};

// A row-major matrix as it is stored. Rows are `stride` elements apart (an even number for int4).
// `scales` has one number for each row and group of `group` neighbouring columns; NULL for floats.
typedef struct {
    const void *data;
    const float *_Nullable scales;
    long stride;
    long group;
    int storage;
} vector_matrix;

typedef struct {
    const char *name;
    // Σ a·b and Σ a·b·c.
    float (*dot)(const float *a, const float *b, long count);
    float (*dot3)(const float *a, const float *b, const float *c, long count);
    float (*sum)(const float *x, long count);
    // Σ (x − mean)².
    float (*deviation)(const float *x, float mean, long count);
    // The largest of count ≥ 1 numbers; NaN if any is NaN.
    float (*largest)(const float *x, long count);
    // x → exp(x − offset) in place; the sum.
    float (*exponentials)(float *x, float offset, long count);
    void (*scale)(float *x, float factor, long count);
    // y += a·x
    void (*axpy)(float a, const float *x, float *y, long count);
    // y = x·factor·gain
    void (*scale_by)(const float *x, float factor, const float *gain, float *y, long count);
    // y = (x − mean)·factor·gain + bias
    void (*standardise)(
        const float *x, float mean, float factor, const float *gain, const float *bias, float *y,
        long count);
    // dx += (dy·gain − shift − (x − mean)·slope)·factor
    void (*norm_gradient)(
        const float *dy, const float *gain, const float *x, float mean, float slope, float shift,
        float factor, float *dx, long count);
    // target += dy·(x − mean)·factor
    void (*gain_gradient)(
        const float *dy, const float *x, float mean, float factor, float *target, long count);
    // s → p = exp(s − logSumExp), d → p·(d − projection)·scale
    void (*softmax_gradient)(
        float *s, float *d, float log_sum_exp, float projection, float scale, long count);
    // y = silu(gate)·up; and gate, up → their gradients given dy
    void (*swiglu)(const float *gate, const float *up, float *y, long count);
    void (*swiglu_gradient)(float *gate, float *up, const float *dy, long count);
    // y = gelu(x), by erf or by tanh; dx = dy·gelu'(x)
    void (*gelu_erf)(const float *x, float *y, long count);
    void (*gelu_erf_gradient)(const float *x, const float *dy, float *dx, long count);
    void (*gelu_tanh)(const float *x, float *y, long count);
    void (*gelu_tanh_gradient)(const float *x, const float *dy, float *dx, long count);
    // (a, b) → (a·cos − b·sin, b·cos + a·sin), sin times `sign`
    void (*rotate)(
        float *a, float *b, const float *cosine, const float *sine, float sign, long count);
    // x → after·H(before·x) in place, H the unnormalised Walsh–Hadamard transform in natural order and
    // `count` a power of two; factors that are NULL are ones. The same bits from every set.
    void (*hadamard)(
        float *x, const float *_Nullable before, const float *_Nullable after, long count);
    // count numbers of one row of a stored matrix from `column` on, as floats
    void (*expand)(const vector_matrix *matrix, long row, long column, long count, float *y);
    // C = α·A·op(B) + β·C. A's element (i, k) is a[i·row_step + k·column_step]. op(B) is `inner` × `columns`;
    // transposed, B is stored columns × inner. β = 0 ignores what C held.
    void (*product)(
        long rows, long columns, long inner, const float *a, long row_step, long column_step,
        const vector_matrix *b, int transposed, float *c, long ldc, float alpha, float beta);
} vector_loops;

// 0 is plain code for any processor; 1 AVX2 with FMA; 2 AVX-512.
enum { vector_level_plain = 0, vector_level_avx2 = 1, vector_level_avx512 = 2 };

// The highest level that this processor and its system can run.
int vector_level_max(void);

// The loops of a level up to vector_level_max().
const vector_loops *vector_loops_for(int level);

#pragma clang assume_nonnull end

#endif
