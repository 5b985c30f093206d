// Backward operations, row by row and element by element.

#ifndef MARTLET_GRADIENTS_H
#define MARTLET_GRADIENTS_H

#include "elements.h"
#include "rows.h"

/// The derivative d(tanh approximation of GELU)/dx with k = √(2/π).
INLINE f32x16 gelu_tanh_slope(f32x16 x) {
    const f32x16 half = splat(0.5f), one = splat(1.0f), square = x * x;
    const f32x16 tangent = hyperbolic_tangent(fused(square * x, splat(0.044715f), x) * splat(0x1.988454p-1f));
    const f32x16 inner = fused(square, splat(3 * 0.044715f), one) * splat(0x1.988454p-1f);
    return fused(half * x * (one - tangent * tangent), inner, half * (one + tangent));
}

INLINE f32x16 slope(martlet_activation f, f32x16 x) {
    const f32x16 zero = splat(0), one = splat(1.0f), two = splat(2.0f);
    switch (f) {
    case MARTLET_RELU: return choose(x > zero, one, zero);
    case MARTLET_RELU_SQUARED: return choose(x > zero, x * two, zero);
    case MARTLET_SILU: {
        const f32x16 s = sigmoid(x);
        return s * fused(x, one - s, one);
    }
    case MARTLET_SIGMOID: {
        const f32x16 s = sigmoid(x);
        return s * (one - s);
    }
    case MARTLET_TANH: {
        const f32x16 t = hyperbolic_tangent(x);
        return one - t * t;
    }
    case MARTLET_GELU: {
        const f32x16 area = splat(0.5f) * (one + error_function(x * splat(0x1.6a09e6p-1f)));
        return fused(x * splat(0x1.988454p-2f), exponential(x * x * splat(-0.5f)), area);
    }
    case MARTLET_GELU_SIGMOID: {
        const f32x16 s = sigmoid(x * splat(1.702f));
        return s * fused(x * splat(1.702f), one - s, one);
    }
    case MARTLET_GELU_TANH: return gelu_tanh_slope(x);
    }
    return one;
}

INLINE void slope_with(martlet_activation f, const float *x, const float *dy, float *dx, size_t count) {
    FOR_GROUPS(count) store_some(dx + i, slope(f, load_some(x + i, left)) * load_some(dy + i, left), left);
}

static void activate_backward(martlet_activation f, const float *x, const float *dy, float *dx, size_t count) {
    FOR_ACTIVATION(f, slope_with, x, dy, dx, count)
}

INLINE void gate_slope_with(martlet_activation f, const float *gate, const float *up, const float *dy, float *d_gate, float *d_up,
                            size_t count) {
    FOR_GROUPS(count) {
        const f32x16 g = load_some(gate + i, left), u = load_some(up + i, left), d = load_some(dy + i, left);
        store_some(d_gate + i, slope(f, g) * u * d, left);
        store_some(d_up + i, activated(f, g) * d, left);
    }
}

static void gate_backward(martlet_activation f, const float *gates, const float *up, const float *dy, float *d_gate, float *d_up,
                          size_t count) {
    FOR_ACTIVATION(f, gate_slope_with, gates, up, dy, d_gate, d_up, count)
}

static void soft_cap_backward(const float *y, const float *dy, float cap, float *dx, size_t count) {
    FOR_GROUPS(count) {
        const f32x16 t = load_some(y + i, left) / splat(cap);
        store_some(dx + i, load_some(dy + i, left) * (splat(1.0f) - t * t), left);
    }
}

static void softmax_backward(const float *y, const float *dy, float *dx, size_t rows, size_t width) {
    for (size_t r = 0; r < rows; r++, y += width, dy += width, dx += width) {
        f32x16 sums = splat(0);
        FOR_GROUPS(width) sums = fused(load_some(y + i, left), load_some(dy + i, left), sums);
        const f32x16 total = splat(sum_lanes(sums));
        FOR_GROUPS(width) store_some(dx + i, load_some(y + i, left) * (load_some(dy + i, left) - total), left);
    }
}

/// The gradient of RMS norm: with n = x · f and g = dy · (weight + offset), dx = f · (g − n · mean(g · n)).
static void rms_norm_backward(const float *x, const float *weight, float weight_offset, float epsilon, const float *dy, float *dx,
                              float *factors, size_t rows, size_t width) {
    for (size_t r = 0; r < rows; r++, x += width, dy += width, dx += width) {
        f32x16 squares = splat(0), products = splat(0);
        FOR_GROUPS(width) {
            const f32x16 v = load_some(x + i, left);
            const f32x16 g = load_some(dy + i, left) * (load_some(weight + i, left) + splat(weight_offset));
            squares = fused(v, v, squares), products = fused(g, v, products);
        }
        const float factor = 1.0f / __builtin_sqrtf(sum_lanes(squares) / (float)width + epsilon);
        const f32x16 f = splat(factor), share = splat(sum_lanes(products) * factor * factor / (float)width);
        factors[r] = factor;
        FOR_GROUPS(width) {
            const f32x16 g = load_some(dy + i, left) * (load_some(weight + i, left) + splat(weight_offset));
            store_some(dx + i, f * (g - load_some(x + i, left) * share), left);
        }
    }
}

/// The gradient of layer norm: with n = (x − mean) · f and g = dy · weight, dx = f · (g − mean(g) − n · mean(g · n)).
static void layer_norm_backward(const float *x, const float *weight, float epsilon, const float *dy, float *dx, float *means,
                                float *factors, size_t rows, size_t width) {
    for (size_t r = 0; r < rows; r++, x += width, dy += width, dx += width) {
        f32x16 sums = splat(0), squares = splat(0), gradients = splat(0), products = splat(0);
        FOR_GROUPS(width) sums += load_some(x + i, left);
        const float mean = sum_lanes(sums) / (float)width;
        FOR_GROUPS(width) {
            const f32x16 v = choose(lanes_below(left), load_some(x + i, left) - splat(mean), splat(0));
            f32x16 g = load_some(dy + i, left);
            if (weight) g = g * load_some(weight + i, left);
            squares = fused(v, v, squares), gradients += g, products = fused(g, v, products);
        }
        const float factor = 1.0f / __builtin_sqrtf(sum_lanes(squares) / (float)width + epsilon);
        const f32x16 f = splat(factor), base = splat(sum_lanes(gradients) / (float)width);
        const f32x16 share = splat(sum_lanes(products) * factor * factor / (float)width);
        means[r] = mean, factors[r] = factor;
        FOR_GROUPS(width) {
            f32x16 g = load_some(dy + i, left);
            if (weight) g = g * load_some(weight + i, left);
            store_some(dx + i, f * (g - base - (load_some(x + i, left) - splat(mean)) * share), left);
        }
    }
}

/// Sixteen columns' totals into their place.
INLINE void finish_columns(float *sums, f32x16 total, bool accumulate, size_t left) {
    store_some(sums, accumulate ? load_some(sums, left) + total : total, left);
}

static void norm_weight_backward(const float *x, const float *means, const float *factors, const float *dy, float *sums,
                                 bool accumulate, size_t rows, size_t width, size_t first, size_t end) {
    for (size_t i = first; i < end; i += LANES) {
        const size_t left = end - i;
        f32x16 total = splat(0);
        for (size_t r = 0; r < rows; r++) {
            const f32x16 centred = load_some(x + r * width + i, left) - splat(means ? means[r] : 0);
            total = fused(centred * splat(factors[r]), load_some(dy + r * width + i, left), total);
        }
        finish_columns(sums + i, total, accumulate, left);
    }
}

static void column_sums(const float *x, float *sums, bool accumulate, size_t rows, size_t width, size_t first, size_t end) {
    for (size_t i = first; i < end; i += LANES) {
        const size_t left = end - i;
        f32x16 total = splat(0);
        for (size_t r = 0; r < rows; r++) total += load_some(x + r * width + i, left);
        finish_columns(sums + i, total, accumulate, left);
    }
}

static void scatter_rows(const float *dy, const int32_t *indices, float factor, float *table, size_t rows, size_t width, size_t first,
                         size_t end) {
    for (size_t r = 0; r < rows; r++) {
        float *target = table + (size_t)indices[r] * width;
        for (size_t i = first; i < end; i += LANES) {
            const f32x16 sum = fused(load_some(dy + r * width + i, end - i), splat(factor), load_some(target + i, end - i));
            store_some(target + i, sum, end - i);
        }
    }
}

#endif
