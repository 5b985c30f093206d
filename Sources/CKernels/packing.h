// Panels made on the spot from f32 matrices, whichever way they lie, and transposition: sixteen by sixteen in
// registers.

#ifndef MARTLET_PACKING_H
#define MARTLET_PACKING_H

#include "panel.h"
#include "vector.h"

INLINE f32x16 zip_low(f32x16 a, f32x16 b) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
INLINE f32x16 zip_high(f32x16 a, f32x16 b) {
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/// One of the four rounds that together transpose: rows i and i + 8 are shuffled like two halves of a deck.
INLINE void shuffle_round(const f32x16 *from, f32x16 *to) {
    UNROLL for (int i = 0; i < 8; i++) to[2 * i] = zip_low(from[i], from[i + 8]), to[2 * i + 1] = zip_high(from[i], from[i + 8]);
}

/// Sixteen rows of at most sixteen columns; missing rows and columns are read as zeros and not written.
INLINE void transpose_square(const float *x, size_t stride, size_t rows, size_t columns, float *y, size_t y_stride) {
    f32x16 a[LANES], b[LANES];
    for (size_t i = 0; i < LANES; i++) a[i] = i < rows ? load_some(x + i * stride, columns) : splat(0);
    shuffle_round(a, b), shuffle_round(b, a), shuffle_round(a, b), shuffle_round(b, a);
    for (size_t i = 0; i < columns && i < LANES; i++) store_some(y + i * y_stride, a[i], rows);
}

/// The whole square, without any test inside.
INLINE void transpose_full(const float *x, size_t stride, float *y, size_t y_stride) {
    f32x16 a[LANES], b[LANES];
    UNROLL for (size_t i = 0; i < LANES; i++) a[i] = load(x + i * stride);
    shuffle_round(a, b), shuffle_round(b, a), shuffle_round(a, b), shuffle_round(b, a);
    UNROLL for (size_t i = 0; i < LANES; i++) store(y + i * y_stride, a[i]);
}

/// A transpose, y[c, r] = x[r, c] for a rectangle.
static void transpose_rectangle(const float *x, size_t stride, size_t rows, size_t columns, float *y, size_t y_stride) {
    for (size_t c = 0; c < columns; c += LANES)
        for (size_t r = 0; r < rows; r += LANES) {
            const float *from = x + r * stride + c;
            float *to = y + c * y_stride + r;
            if (rows - r >= LANES && columns - c >= LANES) transpose_full(from, stride, to, y_stride);
            else transpose_square(from, stride, rows - r, columns - c, to, y_stride);
        }
}

static void transpose(const float *x, size_t rows, size_t columns, float *y, size_t first, size_t end) {
    transpose_rectangle(x + first, columns, rows, end - first, y + first * rows, rows);
}

/// A mirror, y[r, c] = y[c, r] where c is greater than r, for rows `first ..< end`, a multiple of sixteen at the start.
static void mirror(float *y, size_t size, size_t first, size_t end) {
    for (size_t r = first; r < end; r += LANES) {
        const size_t rows = end - r < LANES ? end - r : LANES;
        float square[LANES * LANES] __attribute__((aligned(64)));
        transpose_square(y + r * size + r, size, rows, rows, square, LANES);
        for (size_t i = 0; i < rows; i++) memcpy(y + (r + i) * size + r + i, square + i * LANES + i, (rows - i) * sizeof(float));
        if (r + LANES < size) transpose_rectangle(y + (r + LANES) * size + r, size, size - r - LANES, rows, y + r * size + r + LANES, size);
    }
}

static void pack_columns(const float *stored, size_t stride, size_t columns, size_t steps, float *panel) {
    if (columns < PANEL) memset(panel, 0, steps * PANEL * sizeof(float));
    transpose_rectangle(stored, stride, columns, steps, panel, PANEL);
}

static void pack_steps(const float *stored, size_t stride, size_t columns, size_t steps, float *panel) {
    for (size_t k = 0; k < steps; k++, stored += stride, panel += PANEL)
        for (size_t c = 0; c < PANEL; c += LANES)
            store(panel + c, c < columns ? load_some(stored + c, columns - c) : splat(0));
}

#endif
