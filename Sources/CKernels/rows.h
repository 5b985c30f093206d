// Norms and softmax, row by row. A row's sums run over sixteen lanes (lane = index mod 16) and end in one fixed tree.

#ifndef MARTLET_ROWS_H
#define MARTLET_ROWS_H

#include "functions.h"

static void rms_norm(const float *x, const float *weight, float weight_offset, float epsilon, float *y, size_t rows, size_t width) {
    for (size_t r = 0; r < rows; r++, x += width, y += width) {
        f32x16 squares = splat(0);
        for (size_t i = 0; i < width; i += LANES) {
            f32x16 v = load_some(x + i, width - i);
            squares = fused(v, v, squares);
        }
        float factor = 1.0f / __builtin_sqrtf(sum_lanes(squares) / (float)width + epsilon);
        for (size_t i = 0; i < width; i += LANES) {
            f32x16 w = load_some(weight + i, width - i) + splat(weight_offset);
            store_some(y + i, load_some(x + i, width - i) * splat(factor) * w, width - i);
        }
    }
}

static void layer_norm(const float *x, const float *weight, const float *bias, float epsilon, float *y, size_t rows, size_t width) {
    for (size_t r = 0; r < rows; r++, x += width, y += width) {
        f32x16 sums = splat(0), squares = splat(0);
        for (size_t i = 0; i < width; i += LANES) sums += load_some(x + i, width - i);
        f32x16 mean = splat(sum_lanes(sums) / (float)width);
        for (size_t i = 0; i < width; i += LANES) {
            f32x16 v = choose(lanes_below(width - i), load_some(x + i, width - i) - mean, splat(0));
            squares = fused(v, v, squares);
        }
        f32x16 factor = splat(1.0f / __builtin_sqrtf(sum_lanes(squares) / (float)width + epsilon));
        for (size_t i = 0; i < width; i += LANES) {
            f32x16 v = (load_some(x + i, width - i) - mean) * factor;
            if (weight) v = v * load_some(weight + i, width - i);
            if (bias) v = v + load_some(bias + i, width - i);
            store_some(y + i, v, width - i);
        }
    }
}

/// The largest of a row, −∞ for an empty one.
INLINE float row_maximum(const float *x, size_t width) {
    const f32x16 lowest = splat(-__builtin_inff());
    f32x16 best = lowest;
    for (size_t i = 0; i < width; i += LANES)
        best = larger(choose(lanes_below(width - i), load_some(x + i, width - i), lowest), best);
    return largest_lane(best);
}

/// The largest of a row, and Σ e^(x − largest); largest −∞ and no sum for a row of −∞ alone.
static float exponential_sum(const float *x, size_t count, float *largest) {
    *largest = row_maximum(x, count);
    if (*largest == -__builtin_inff()) return 0;
    f32x16 sums = splat(0);
    for (size_t i = 0; i < count; i += LANES) {
        const f32x16 e = exponential(load_some(x + i, count - i) - splat(*largest));
        sums += choose(lanes_below(count - i), e, splat(0));
    }
    return sum_lanes(sums);
}

/// Softmax: y = e^(x − max) / Σ e^(x − max). A row of −∞ alone gives zeros.
static void softmax(const float *x, float *y, size_t rows, size_t width) {
    for (size_t r = 0; r < rows; r++, x += width, y += width) {
        float maximum = row_maximum(x, width);
        if (maximum == -__builtin_inff()) maximum = 0;
        f32x16 sums = splat(0);
        for (size_t i = 0; i < width; i += LANES) {
            f32x16 e = exponential(load_some(x + i, width - i) - splat(maximum));
            e = choose(lanes_below(width - i), e, splat(0));
            sums += e;
            store_some(y + i, e, width - i);
        }
        float total = sum_lanes(sums);
        f32x16 factor = splat(total == 0 ? 0 : 1.0f / total);
        for (size_t i = 0; i < width; i += LANES) store_some(y + i, load_some(y + i, width - i) * factor, width - i);
    }
}

/// Puts index i of x, larger than the last of `count` that stand in descending order, in its place.
INLINE void insert_descending(const float *x, uint32_t *indices, size_t count, size_t i) {
    size_t place = count - 1;
    for (; place > 0 && x[indices[place - 1]] < x[i]; place--) indices[place] = indices[place - 1];
    indices[place] = (uint32_t)i;
}

static size_t largest_of(const float *x, size_t count, size_t wanted, uint32_t *indices) {
    float least = -__builtin_inff();  // what an element must exceed
    size_t found = 0;
    for (size_t i = 0; i < count && wanted > 0; i += LANES) {
        const i32x16 wins = (load_some(x + i, count - i) > splat(least)) & lanes_below(count - i);
        if (__builtin_reduce_or(wins) == 0) continue;
        for (size_t k = i; k < i + LANES && k < count; k++) {
            if (!(x[k] > least)) continue;
            if (found < wanted) found++;
            insert_descending(x, indices, found, k);
            if (found == wanted) least = x[indices[found - 1]];
        }
    }
    return found;
}

static size_t argmax(const float *x, size_t count) {
    f32x16 best = splat(-__builtin_inff());
    i32x16 block = splat_int(-1);  // which group of sixteen the best of a lane stands in
    for (size_t i = 0; i < count; i += LANES) {
        f32x16 v = load_some(x + i, count - i);
        i32x16 wins = (v > best) & lanes_below(count - i);
        best = choose(wins, v, best);
        block = (wins & splat_int((int32_t)(i / LANES))) | (~wins & block);
    }
    size_t found = count;
    float value = -__builtin_inff();
    for (int lane = 0; lane < LANES; lane++) {
        if (block[lane] < 0) continue;
        size_t index = (size_t)block[lane] * LANES + (size_t)lane;
        if (found == count || best[lane] > value || (best[lane] == value && index < found)) found = index, value = best[lane];
    }
    if (found < count) return found;
    for (size_t i = 0; i < count; i++)
        if (x[i] == -__builtin_inff()) return i;
    return 0;
}

#endif
