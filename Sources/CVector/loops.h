// The loops themselves. Included once per instruction set, which defines LANES (floats in a vector),
// TILE_ROWS (rows of a product's tile), TABLE, NAME and, unless it is the plain set, TARGET.
//
// Everything is static and lives in one translation unit per set, so that no code for a newer processor
// can replace a function that an older one runs.
#include <math.h>
#include <string.h>

#include "CVector.h"
#include "panel.h"

#ifdef TARGET
#define TARGET_ATTRIBUTE __attribute__((target(TARGET)))
#pragma clang attribute push(TARGET_ATTRIBUTE, apply_to = function)
#endif
// A product and a sum in one expression may be fused where the set has an instruction for it.
#pragma STDC FP_CONTRACT ON

#define INLINE static inline __attribute__((always_inline))

typedef float V __attribute__((vector_size(4 * LANES)));
typedef int32_t VI __attribute__((vector_size(4 * LANES)));
typedef float VU __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE V load(const float *p) { return *(const VU *)p; }
INLINE void store(float *p, V v) { *(VU *)p = v; }
INLINE V all(float x) { return x - (V){0}; }

// `count` < LANES numbers, and `fill` behind them.
INLINE V load_rest(const float *p, long count, float fill)
{
    V v = all(fill);
    memcpy(&v, p, 4 * (size_t)count);
    return v;
}
INLINE void store_rest(float *p, V v, long count) { memcpy(p, &v, 4 * (size_t)count); }

// Runs over `count` numbers a vector at a time, the last vector filled up with zeros: BODY reads with
// GET(pointer) and writes with PUT(pointer, value).
#define GET(p) (whole ? load((p) + i) : load_rest((p) + i, rest, 0))
#define PUT(p, v)                       \
    do {                                \
        V put = (v);                    \
        if (whole)                      \
            store((p) + i, put);        \
        else                            \
            store_rest((p) + i, put, rest); \
    } while (0)
#define EACH(count, ...)                                    \
    do {                                                    \
        long i = 0;                                         \
        for (; i + LANES <= (count); i += LANES) {          \
            const int whole = 1;                            \
            const long rest = LANES;                        \
            (void)rest;                                     \
            __VA_ARGS__                                     \
        }                                                   \
        if (i < (count)) {                                  \
            const int whole = 0;                            \
            const long rest = (count)-i;                    \
            __VA_ARGS__                                     \
        }                                                   \
    } while (0)

INLINE V select(VI mask, V yes, V no) { return (V)((mask & (VI)yes) | (~mask & (VI)no)); }

INLINE float total(V v)
{
    float lanes[LANES];
    memcpy(lanes, &v, sizeof v);
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    return lanes[0];
}

// eˣ within two units in the last place for x ≥ −87; smaller arguments give 0, those above 88.7 ∞, NaN
// stays NaN.
//
// x = n·ln 2 + r with |r| ≤ ln 2 / 2; e^r by a polynomial of degree 6 [Cephes expf], 2ⁿ through the
// exponent bits. Rounding to n adds and subtracts 1.5·2²³.
INLINE V exponential(V x)
{
    const V magic = all(0x1.8p23f);
    VI below = (VI)(x < -87);
    V clamped = select(below, all(-87), x);
    clamped = select((VI)(x > 89), all(89), clamped);
    V shifted = clamped * 1.44269504f + magic;
    V n = shifted - magic;
    V r = (clamped - n * 0.693359375f) - n * -2.1219444e-4f;
    V p = r * 1.98756915e-4f + 1.39819995e-3f;
    p = p * r + 8.3334519e-3f;
    p = p * r + 4.1665796e-2f;
    p = p * r + 1.66666655e-1f;
    p = p * r + 5.0000001e-1f;
    p = p * (r * r) + r + 1;
    // 2ⁿ in two factors, so that n = 128 stays inside the exponent's range.
    VI exponent = (VI)shifted - 0x4B400000;
    VI half = exponent >> 1;
    V first = (V)((half + 127) << 23);
    V second = (V)((exponent - half + 127) << 23);
    return (V)(~below & (VI)(p * first * second));
}

// MARK: Sums

static float dot(const float *a, const float *b, long count)
{
    V s[4] = {{0}, {0}, {0}, {0}};
    long i = 0;
    for (; i + 4 * LANES <= count; i += 4 * LANES)
        for (int j = 0; j < 4; j++) s[j] += load(a + i + j * LANES) * load(b + i + j * LANES);
    a += i;
    b += i;
    count -= i;
    EACH(count, s[0] += GET(a) * GET(b););
    return total((s[0] + s[1]) + (s[2] + s[3]));
}

static float dot3(const float *a, const float *b, const float *c, long count)
{
    V s = {0};
    EACH(count, s += GET(a) * GET(b) * GET(c););
    return total(s);
}

static float sum(const float *x, long count)
{
    V s = {0};
    EACH(count, s += GET(x););
    return total(s);
}

static float deviation(const float *x, float mean, long count)
{
    V s = {0};
    EACH(count, {
        V d = (whole ? load(x + i) : load_rest(x + i, rest, mean)) - mean;
        s += d * d;
    });
    return total(s);
}

static float largest(const float *x, long count)
{
    V best = all(x[0]);
    EACH(count, {
        V next = whole ? load(x + i) : load_rest(x + i, rest, x[0]);
        // Written so that a NaN in `next` replaces what was there and one in `best` stays.
        best = select((VI)(next <= best) | (VI)(best != best), best, next);
    });
    float result = best[0];
    for (int lane = 1; lane < LANES; lane++)
        if (!(best[lane] <= result) && result == result) result = best[lane];
    return result;
}

static float exponentials(float *x, float offset, long count)
{
    V s = {0};
    EACH(count, {
        V e = exponential((whole ? load(x + i) : load_rest(x + i, rest, -INFINITY)) - offset);
        PUT(x, e);
        s += e;
    });
    return total(s);
}

// MARK: Elementwise

static void scale(float *x, float factor, long count) { EACH(count, PUT(x, GET(x) * factor);); }

static void axpy(float a, const float *x, float *y, long count)
{
    EACH(count, PUT(y, GET(y) + GET(x) * a););
}

static void scale_by(const float *x, float factor, const float *gain, float *y, long count)
{
    EACH(count, PUT(y, GET(x) * factor * GET(gain)););
}

static void standardise(
    const float *x, float mean, float factor, const float *gain, const float *bias, float *y,
    long count)
{
    EACH(count, PUT(y, (GET(x) - mean) * factor * GET(gain) + GET(bias)););
}

static void norm_gradient(
    const float *dy, const float *gain, const float *x, float mean, float slope, float shift,
    float factor, float *dx, long count)
{
    EACH(count, {
        V step = (GET(dy) * GET(gain) - shift - (GET(x) - mean) * slope) * factor;
        PUT(dx, GET(dx) + step);
    });
}

static void gain_gradient(
    const float *dy, const float *x, float mean, float factor, float *target, long count)
{
    EACH(count, PUT(target, GET(target) + GET(dy) * ((GET(x) - mean) * factor)););
}

static void softmax_gradient(
    float *s, float *d, float log_sum_exp, float projection, float factor, long count)
{
    EACH(count, {
        V p = exponential(GET(s) - log_sum_exp);
        PUT(s, p);
        PUT(d, p * (GET(d) - projection) * factor);
    });
}

INLINE V sigmoid(V x) { return 1 / (1 + exponential(-x)); }

static void swiglu(const float *gate, const float *up, float *y, long count)
{
    EACH(count, {
        V g = GET(gate);
        PUT(y, g * sigmoid(g) * GET(up));
    });
}

static void swiglu_gradient(float *gate, float *up, const float *dy, long count)
{
    EACH(count, {
        V g = GET(gate);
        V d = GET(dy);
        V s = sigmoid(g);
        V u = GET(up);
        PUT(gate, d * u * s * (1 + g * (1 - s)));
        PUT(up, d * g * s);
    });
}

// Φ(−|x|) and the density's exponential e^(−x²/2).
//
// Mills' ratio as a polynomial in t = 1/(1 + 0.27·|x|), fitted to relative error 4e-8 for |x| ≤ 13.
INLINE V normal_tail(V x, V *bell)
{
    V magnitude = (V)((VI)x & 0x7FFFFFFF);
    V t = 1 / (1 + magnitude * 0.27f);
    V p = t * 0.02877898f - 0.12556677f;
    p = p * t + 0.16780755f;
    p = p * t - 0.06684278f;
    p = p * t + 0.10610651f;
    p = p * t + 0.07282295f;
    p = p * t + 0.10160062f;
    p = p * t + 0.10757427f;
    p = p * t + 0.10771868f;
    *bell = exponential(x * x * -0.5f);
    return *bell * (p * t);
}

static void gelu_erf(const float *x, float *y, long count)
{
    EACH(count, {
        V bell;
        V v = GET(x);
        V tail = normal_tail(v, &bell);
        PUT(y, v * select((VI)(v < 0), tail, 1 - tail));
    });
}

static void gelu_erf_gradient(const float *x, const float *dy, float *dx, long count)
{
    EACH(count, {
        V bell;
        V v = GET(x);
        V tail = normal_tail(v, &bell);
        V slope = select((VI)(v < 0), tail, 1 - tail) + v * bell * 0.398942280f;
        PUT(dx, GET(dy) * slope);
    });
}

// ½(1 + tanh u) = σ(2u) with u = √(2/π)·(x + 0.044715·x³).
static void gelu_tanh(const float *x, float *y, long count)
{
    EACH(count, {
        V v = GET(x);
        PUT(y, v * sigmoid(1.59576912f * (v + 0.044715f * v * v * v)));
    });
}

static void gelu_tanh_gradient(const float *x, const float *dy, float *dx, long count)
{
    EACH(count, {
        V v = GET(x);
        V s = sigmoid(1.59576912f * (v + 0.044715f * v * v * v));
        V inner = 1.59576912f * (1 + 0.134145f * v * v);
        PUT(dx, GET(dy) * (s + v * s * (1 - s) * inner));
    });
}

static void rotate(
    float *a, float *b, const float *cosine, const float *sine, float sign, long count)
{
    EACH(count, {
        V x = GET(a);
        V y = GET(b);
        V c = GET(cosine);
        V s = GET(sine) * sign;
        PUT(a, x * c - y * s);
        PUT(b, y * c + x * s);
    });
}

#include "hadamard.h"
#include "product.h"

const vector_loops TABLE = {
    .name = NAME,
    .dot = dot,
    .dot3 = dot3,
    .sum = sum,
    .deviation = deviation,
    .largest = largest,
    .exponentials = exponentials,
    .scale = scale,
    .axpy = axpy,
    .scale_by = scale_by,
    .standardise = standardise,
    .norm_gradient = norm_gradient,
    .gain_gradient = gain_gradient,
    .softmax_gradient = softmax_gradient,
    .swiglu = swiglu,
    .swiglu_gradient = swiglu_gradient,
    .gelu_erf = gelu_erf,
    .gelu_erf_gradient = gelu_erf_gradient,
    .gelu_tanh = gelu_tanh,
    .gelu_tanh_gradient = gelu_tanh_gradient,
    .rotate = rotate,
    .hadamard = hadamard,
    .expand = expand,
    .product = product,
};

#ifdef TARGET
#pragma clang attribute pop
#endif
