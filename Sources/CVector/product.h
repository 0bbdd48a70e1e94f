// Part of loops.h: the matrix product. B is repacked, and expanded to floats on the way, one panel of
// 2·LANES columns at a time; a tile of TILE_ROWS rows of C stays in registers while it runs down a panel.
//
// An element of C sums its products in the order of k, in blocks whose length depends on `inner` alone. Its
// bits therefore do not depend on how many rows or columns a call has.

#define PANEL (2 * LANES)
#if PANEL > VECTOR_PANEL_MAX
#error "a panel is wider than its buffer"
#endif

INLINE float from_half(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    uint32_t magnitude = bits & 0x7FFF;
    float value;
    uint32_t word;
    if (magnitude >= 0x7C00) {
        word = (magnitude << 13) | 0x70000000;
        word |= 0x7F800000;
        memcpy(&value, &word, 4);
    } else {
        // The exponent's bias differs by 112: a product with 2¹¹² is exact and handles subnormals too.
        word = magnitude << 13;
        memcpy(&value, &word, 4);
        value *= 0x1p112f;
        memcpy(&word, &value, 4);
    }
    word |= sign;
    memcpy(&value, &word, 4);
    return value;
}

INLINE V load_codes(const int8_t *p)
{
    typedef int8_t codes __attribute__((vector_size(LANES)));
    codes x;
    memcpy(&x, p, LANES);
    return __builtin_convertvector(x, V);
}

static void expand(const vector_matrix *m, long row, long column, long count, float *restrict y)
{
    const long first = row * m->stride + column;
    switch (m->storage) {
    case vector_f32:
        memcpy(y, (const char *)m->data + 4 * first, 4 * (size_t)count);
        return;
    case vector_bf16: {
        const char *x = (const char *)m->data + 2 * first;
        for (long i = 0; i < count; i++) {
            uint16_t half;
            memcpy(&half, x + 2 * i, 2);
            uint32_t word = (uint32_t)half << 16;
            memcpy(y + i, &word, 4);
        }
        return;
    }
    case vector_f16: {
        const char *x = (const char *)m->data + 2 * first;
        for (long i = 0; i < count; i++) {
            uint16_t half;
            memcpy(&half, x + 2 * i, 2);
            y[i] = from_half(half);
        }
        return;
    }
    default:
        break;
    }
    const float *scales = m->scales + row * ((m->stride + m->group - 1) / m->group);
    // One run for each group of columns that shares a scale.
    for (long i = 0; i < count;) {
        long group = (column + i) / m->group;
        long end = (group + 1) * m->group - column;
        if (end > count) end = count;
        float factor = scales[group];
        if (m->storage == vector_int8) {
            const int8_t *x = (const int8_t *)m->data + first;
            for (; i < end; i++) y[i] = (float)x[i] * factor;
        } else {
            const uint8_t *x = (const uint8_t *)m->data;
            for (; i < end; i++) {
                long place = first + i;
                int code = x[place / 2] >> (place % 2 * 4) & 15;
                y[i] = (float)(code - 8) * factor;
            }
        }
    }
}

// Transposes LANES × LANES floats by perfect shuffles: LANES rows in, LANES columns out.
INLINE V interleave_low(V a, V b)
{
#if LANES == 4
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
#elif LANES == 8
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#endif
}
INLINE V interleave_high(V a, V b)
{
#if LANES == 4
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
#elif LANES == 8
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
    return __builtin_shufflevector(
        a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#endif
}
static void transpose(const float *x, long ldx, float *y, long ldy)
{
    V a[LANES], b[LANES];
    for (int i = 0; i < LANES; i++) a[i] = load(x + i * ldx);
    for (int width = 1; width < LANES; width *= 2) {
        for (int i = 0; i < LANES / 2; i++) {
            b[2 * i] = interleave_low(a[i], a[i + LANES / 2]);
            b[2 * i + 1] = interleave_high(a[i], a[i + LANES / 2]);
        }
        for (int i = 0; i < LANES; i++) a[i] = b[i];
    }
    for (int i = 0; i < LANES; i++) store(y + i * ldy, a[i]);
}

// A panel of op(B): `depth` rows of PANEL floats, columns past `width` zero. Transposed, it needs room for
// PANEL rows of depth + LANES floats behind the panel.
static void pack(
    const vector_matrix *b, int transposed, long k, long depth, long column, long width, float *panel)
{
    if (!transposed) {
        const int direct = b->storage == vector_f32 && width == PANEL;
        // A row of so few codes is made without `expand`, whose divisions would take longer than the row.
        const int coded = b->storage == vector_int8 && width == PANEL && b->group >= b->stride;
        const float *source = (const float *)b->data + k * b->stride + column;
        for (long row = 0; row < depth; row++) {
            float *target = panel + row * PANEL;
            if (direct) {
                store(target, load(source + row * b->stride));
                store(target + LANES, load(source + row * b->stride + LANES));
                continue;
            }
            if (coded) {
                const int8_t *codes = (const int8_t *)b->data + (k + row) * b->stride + column;
                const V scale = all(b->scales[k + row]);
                store(target, load_codes(codes) * scale);
                store(target + LANES, load_codes(codes + LANES) * scale);
                continue;
            }
            expand(b, k + row, column, width, target);
            for (long j = width; j < PANEL; j++) target[j] = 0;
        }
        return;
    }
    const long whole = depth / LANES * LANES;
    float *rows = panel + depth * PANEL;
    for (long first = 0; first < PANEL; first += LANES) {
        long count = width - first;
        if (count > LANES) count = LANES;
        const float *source = rows;
        long stride = depth;
        if (count == LANES && b->storage == vector_f32) {
            source = (const float *)b->data + (column + first) * b->stride + k;
            stride = b->stride;
        } else {
            for (long j = 0; j < LANES; j++) {
                if (j < count)
                    expand(b, column + first + j, k, depth, rows + j * depth);
                else
                    memset(rows + j * depth, 0, 4 * (size_t)depth);
            }
        }
        for (long i = 0; i < whole; i += LANES)
            transpose(source + i, stride, panel + i * PANEL + first, PANEL);
        for (long i = whole; i < depth; i++)
            for (long j = 0; j < LANES; j++) panel[i * PANEL + first + j] = source[j * stride + i];
    }
}

// One share of `shares` of what `pack` will read of the next panel: fetched while tiles are computed, so that
// packing does not wait for memory.
INLINE void fetch(
    const vector_matrix *b, int transposed, long k, long depth, long column, long width, long share,
    long shares)
{
    static const int bits[] = {32, 16, 16, 8, 4};
    const long size = bits[b->storage];
    const long rows = transposed ? width : depth;
    const long lines = ((transposed ? depth : width) * size + 511) / 512;
    const char *first = (const char *)b->data +
                        (transposed ? column * b->stride + k : k * b->stride + column) * size / 8;
    for (long row = rows * share / shares; row < rows * (share + 1) / shares; row++)
        for (long line = 0; line < lines; line++)
            __builtin_prefetch(first + row * b->stride * size / 8 + line * 64, 0, 2);
}

// `rows` ≤ TILE_ROWS rows of C over the first one or two vectors of a panel. Constant `rows` and `vectors`
// let the sums live in registers.
INLINE void tile(
    const int rows, const int vectors, long depth, const float *a, long row_step, long column_step, const float *panel,
    float *c, long ldc, long width, float alpha, float beta)
{
    V s[TILE_ROWS][2];
    const float *group[(TILE_ROWS + 2) / 3];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) s[i][0] = s[i][1] = (V){0};
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i += 3) group[i / 3] = a + i * row_step;
    for (long k = 0; k < depth; k++) {
        V b0 = load(panel), b1 = vectors == 2 ? load(panel + LANES) : b0;
        panel += PANEL;
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            // Three rows share a pointer, because there are fewer registers for addresses than rows.
            V x = all(group[i / 3][i % 3 * row_step]);
            s[i][0] += x * b0;
            if (vectors == 2) s[i][1] += x * b1;
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i += 3) group[i / 3] += column_step;
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        float *row = c + i * ldc;
        V r0 = s[i][0] * alpha, r1 = s[i][1] * alpha;
        if (width == PANEL) {
            if (beta != 0) {
                r0 += load(row) * beta;
                r1 += load(row + LANES) * beta;
            }
            store(row, r0);
            store(row + LANES, r1);
        } else {
            float values[PANEL];
            store(values, r0);
            store(values + LANES, r1);
            for (long j = 0; j < width; j++)
                row[j] = beta == 0 ? values[j] : values[j] + row[j] * beta;
        }
    }
}

#define TILE_CASE(n)                                                                             \
    case n:                                                                                      \
        if (n > TILE_ROWS) break;                                                                \
        if (width <= LANES)                                                                      \
            tile(n <= TILE_ROWS ? n : 1, 1, depth, a, row_step, column_step, panel, c, ldc,      \
                 width, alpha, beta);                                                            \
        else                                                                                     \
            tile(n <= TILE_ROWS ? n : 1, 2, depth, a, row_step, column_step, panel, c, ldc,      \
                 width, alpha, beta);                                                            \
        break;

static void some_rows(
    long rows, long depth, const float *a, long row_step, long column_step, const float *panel,
    float *c, long ldc, long width, float alpha, float beta)
{
    switch (rows) {
        TILE_CASE(1)
        TILE_CASE(2)
        TILE_CASE(3)
        TILE_CASE(4)
        TILE_CASE(5)
        TILE_CASE(6)
        TILE_CASE(7)
        TILE_CASE(8)
        TILE_CASE(9)
        TILE_CASE(10)
        TILE_CASE(11)
        TILE_CASE(12)
        TILE_CASE(13)
        TILE_CASE(14)
    }
}

static void product(
    long rows, long columns, long inner, const float *a, long row_step, long column_step,
    const vector_matrix *b, int transposed, float *c, long ldc, float alpha, float beta)
{
    float *panel = vector_panel;
    if (inner == 0) {
        for (long i = 0; i < rows; i++)
            for (long j = 0; j < columns; j++) c[i * ldc + j] = beta == 0 ? 0 : c[i * ldc + j] * beta;
        return;
    }
    long blocks = (inner + VECTOR_DEPTH_MAX - 1) / VECTOR_DEPTH_MAX;
    long length = ((inner + blocks - 1) / blocks + 15) / 16 * 16;
    for (long k = 0; k < inner; k += length) {
        long depth = inner - k < length ? inner - k : length;
        float keep = k == 0 ? beta : 1;
        for (long column = 0; column < columns; column += PANEL) {
            long width = columns - column < PANEL ? columns - column : PANEL;
            pack(b, transposed, k, depth, column, width, panel);
            const long ahead = columns - column - PANEL;
            const long tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
            for (long i = 0; i < rows; i += TILE_ROWS) {
                if (ahead > 0)
                    fetch(
                        b, transposed, k, depth, column + PANEL, ahead < PANEL ? ahead : PANEL,
                        i / TILE_ROWS, tiles);
                some_rows(
                    rows - i < TILE_ROWS ? rows - i : TILE_ROWS, depth,
                    a + i * row_step + k * column_step, row_step, column_step, panel,
                    c + i * ldc + column, ldc, width, alpha, keep);
            }
        }
    }
}
