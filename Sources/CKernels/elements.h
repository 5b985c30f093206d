// Element-wise operations and rotary positions.

#ifndef MARTLET_ELEMENTS_H
#define MARTLET_ELEMENTS_H

#include "functions.h"

/// A loop over groups of sixteen: `i` is where one begins, `left` how many elements there are from it on.
#define FOR_GROUPS(count) for (size_t i = 0, left = (count); i < (count); i += LANES, left -= LANES)

INLINE void activate_with(martlet_activation f, const float *x, float *y, size_t count) {
    FOR_GROUPS(count) store_some(y + i, activated(f, load_some(x + i, left)), left);
}

INLINE void gate_with(martlet_activation f, const float *gate, const float *up, float *y, size_t count) {
    FOR_GROUPS(count) store_some(y + i, activated(f, load_some(gate + i, left)) * load_some(up + i, left), left);
}

/// Calls `operation` with each activation as a constant.
#define FOR_ACTIVATION(f, operation, ...) \
    switch (f) { \
    case MARTLET_RELU: operation(MARTLET_RELU, __VA_ARGS__); break; \
    case MARTLET_SILU: operation(MARTLET_SILU, __VA_ARGS__); break; \
    case MARTLET_GELU: operation(MARTLET_GELU, __VA_ARGS__); break; \
    case MARTLET_GELU_TANH: operation(MARTLET_GELU_TANH, __VA_ARGS__); break; \
    case MARTLET_GELU_SIGMOID: operation(MARTLET_GELU_SIGMOID, __VA_ARGS__); break; \
    case MARTLET_RELU_SQUARED: operation(MARTLET_RELU_SQUARED, __VA_ARGS__); break; \
    case MARTLET_TANH: operation(MARTLET_TANH, __VA_ARGS__); break; \
    case MARTLET_SIGMOID: operation(MARTLET_SIGMOID, __VA_ARGS__); break; \
    }

static void activate(martlet_activation f, const float *x, float *y, size_t count) {
    FOR_ACTIVATION(f, activate_with, x, y, count)
}

static void gate(martlet_activation f, const float *gates, const float *up, float *y, size_t count) {
    FOR_ACTIVATION(f, gate_with, gates, up, y, count)
}

static void add(const float *a, const float *b, float *y, size_t count) {
    FOR_GROUPS(count) store_some(y + i, load_some(a + i, left) + load_some(b + i, left), left);
}

static void multiply(const float *a, const float *b, float *y, size_t count) {
    FOR_GROUPS(count) store_some(y + i, load_some(a + i, left) * load_some(b + i, left), left);
}

static void scale(const float *x, float factor, float *y, size_t count) {
    FOR_GROUPS(count) store_some(y + i, load_some(x + i, left) * splat(factor), left);
}

static void add_bias(const float *x, const float *bias, float *y, size_t rows, size_t width) {
    for (size_t r = 0; r < rows; r++) add(x + r * width, bias, y + r * width, width);
}

INLINE f32x16 capped(f32x16 x, float cap) { return hyperbolic_tangent(x / splat(cap)) * splat(cap); }

static void soft_cap(const float *x, float cap, float *y, size_t count) {
    FOR_GROUPS(count) store_some(y + i, capped(load_some(x + i, left), cap), left);
}

/// A rotation: (a, b) ← (a·cos − b·sin, b·cos + a·sin).
INLINE void turn(f32x16 *a, f32x16 *b, f32x16 cosine, f32x16 sine) {
    f32x16 first = fused(*a, cosine, -(*b * sine)), second = fused(*b, cosine, *a * sine);
    *a = first, *b = second;
}

INLINE void rotate_halves(float *x, size_t half, const float *cosines, const float *sines) {
    FOR_GROUPS(half) {
        f32x16 a = load_some(x + i, left), b = load_some(x + half + i, left);
        turn(&a, &b, load_some(cosines + i, left), load_some(sines + i, left));
        store_some(x + i, a, left), store_some(x + half + i, b, left);
    }
}

INLINE void rotate_neighbours(float *x, size_t half, const float *cosines, const float *sines) {
    FOR_GROUPS(half) {
        float pairs[2 * LANES] __attribute__((aligned(64))) = {0};
        const size_t count = left < LANES ? left : LANES;
        memcpy(pairs, x + 2 * i, 2 * count * sizeof(float));
        f32x16 low = load(pairs), high = load(pairs + LANES);
        f32x16 a = __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        f32x16 b = __builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
        turn(&a, &b, load_some(cosines + i, left), load_some(sines + i, left));
        store(pairs, __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
        store(pairs + LANES, __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
        memcpy(x + 2 * i, pairs, 2 * count * sizeof(float));
    }
}

static void rotate(float *x, size_t rows, size_t heads, size_t head_width, size_t rotary_width, bool neighbours,
                   const float *cosines, const float *sines) {
    const size_t half = rotary_width / 2;
    for (size_t r = 0; r < rows; r++, cosines += half, sines += half)
        for (size_t h = 0; h < heads; h++, x += head_width) {
            if (neighbours) rotate_neighbours(x, half, cosines, sines);
            else rotate_halves(x, half, cosines, sines);
        }
}

#endif
