// Walsh–Hadamard in natural order. Distances rise level by level and every level is a plain sum and
// difference, so all sets give the same bits.

#if LANES == 4
#define SWAP1(v) __builtin_shufflevector(v, v, 1, 0, 3, 2)
#define SWAP2(v) __builtin_shufflevector(v, v, 2, 3, 0, 1)
#elif LANES == 8
#define SWAP1(v) __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6)
#define SWAP2(v) __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5)
#define SWAP4(v) __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3)
#elif LANES == 16
#define SWAP1(v) __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
#define SWAP2(v) __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
#define SWAP4(v) __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)
#define SWAP8(v) __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
#endif

// The sign bit in every lane whose number has the bit `distance`: there the level takes a difference.
INLINE VI lanes_with(int distance)
{
    int32_t signs[LANES];
    for (int i = 0; i < LANES; i++) signs[i] = (i & distance) ? INT32_MIN : 0;
    VI v;
    memcpy(&v, signs, sizeof v);
    return v;
}
#define LEVEL(v, distance, SWAP) ((v) = SWAP(v) + (V)((VI)(v) ^ lanes_with(distance)))

INLINE V within_vector(V v)
{
    LEVEL(v, 1, SWAP1);
    LEVEL(v, 2, SWAP2);
#ifdef SWAP4
    LEVEL(v, 4, SWAP4);
#endif
#ifdef SWAP8
    LEVEL(v, 8, SWAP8);
#endif
    return v;
}

// The levels among `radix` vectors, a power of two up to 8.
INLINE void among_vectors(V *v, int radix)
{
    for (int distance = 1; distance < radix; distance *= 2)
        for (int i = 0; i < radix; i++)
            if (!(i & distance)) {
                V a = v[i], b = v[i + distance];
                v[i] = a + b;
                v[i + distance] = a - b;
            }
}

// The levels at `distance`, 2·distance, … below radix·distance, in one pass, and then the factors `after`.
INLINE void pass(float *x, const float *after, long count, long distance, int radix)
{
    for (long start = 0; start < count; start += radix * distance)
        for (long offset = start; offset < start + distance; offset += LANES) {
            V v[8];
            for (int i = 0; i < radix; i++) v[i] = load(x + offset + i * distance);
            among_vectors(v, radix);
            if (after)
                for (int i = 0; i < radix; i++) v[i] = v[i] * load(after + offset + i * distance);
            for (int i = 0; i < radix; i++) store(x + offset + i * distance, v[i]);
        }
}

// The levels from `distance` to below `count`; the factors ride on the last pass, which has the numbers
// in its registers.
static void levels_from(float *x, const float *after, long count, long distance)
{
    for (; 8 * distance < count; distance *= 8) pass(x, 0, count, distance, 8);
    if (4 * distance < count) {
        pass(x, after, count, distance, 8);
    } else if (2 * distance < count) {
        pass(x, after, count, distance, 4);
    } else if (distance < count) {
        pass(x, after, count, distance, 2);
    }
}

static void hadamard_short(float *x, long count)
{
    for (long distance = 1; distance < count; distance *= 2)
        for (long start = 0; start < count; start += 2 * distance)
            for (long i = start; i < start + distance; i++) {
                float a = x[i], b = x[i + distance];
                x[i] = a + b;
                x[i + distance] = a - b;
            }
}

static void multiply(float *x, const float *factors, long count)
{
    EACH(count, { PUT(x, GET(x) * GET(factors)); });
}

static void hadamard(float *x, const float *before, const float *after, long count)
{
    // A product before the first level must not be fused with its sum: sets would differ.
#pragma STDC FP_CONTRACT OFF
    if (count <= 8 * LANES) {
        if (before) multiply(x, before, count);
        hadamard_short(x, count);
        if (after) multiply(x, after, count);
        return;
    }
    // What fits the first-level cache goes through all of its levels before the next part is touched. With
    // factors at the end the parts are smaller, so that the last pass takes few vectors at a time: their
    // distance puts them and their factors into the same set of the cache.
    const long most = after ? 4096 : 8192;
    const long part = count < most ? count : most;
    for (long start = 0; start < count; start += part) {
        for (long offset = start; offset < start + part; offset += 8 * LANES) {
            V v[8];
            for (int i = 0; i < 8; i++) {
                v[i] = load(x + offset + i * LANES);
                if (before) v[i] = v[i] * load(before + offset + i * LANES);
                v[i] = within_vector(v[i]);
            }
            among_vectors(v, 8);
            for (int i = 0; i < 8; i++) store(x + offset + i * LANES, v[i]);
        }
        levels_from(x + start, count == part ? after : 0, part, 8 * LANES);
    }
    levels_from(x, after, count, part);
}
