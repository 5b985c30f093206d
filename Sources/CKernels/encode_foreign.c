// Encoding of ggml's types below four bits and of its non-linear ones: the reference searches without an importance
// matrix, restated.
//
// q2_K fits x ≈ scale · q − minimum per sub-block of 16, q3_K x ≈ scale · q; the scales are then themselves rounded to
// 4 and 6 bits. iq4_nl and iq4_xs take the nearest of sixteen points, with the scale of least squared error among a
// few.

#include "encode.h"
#include "martlet_foreign.h"
#include <math.h>

#pragma clang fp contract(off)

enum { SUB = 16, SUBS = SUPERBLOCK / SUB };

typedef struct { uint8_t scales[16], q[64], scale[2], minimum[2]; } block_q2_K;
typedef struct { uint8_t mask[32], q[64], scales[12], scale[2]; } block_q3_K;
typedef struct { uint8_t scale[2], nibbles[16]; } block_iq4_nl;
typedef struct { uint8_t scale[2], high[2], low[4], nibbles[128]; } block_iq4_xs;

/// Two bits of each integer, four to a byte, in halves of 128.
static void store_pairs(const uint8_t *q, uint8_t *stored) {
    for (int half = 0; half < SUPERBLOCK; half += 128)
        for (int i = 0; i < 32; i++) {
            const uint8_t *x = q + half + i;
            stored[half / 4 + i] = (uint8_t)(x[0] | x[32] << 2 | x[64] << 4 | x[96] << 6);
        }
}

// q2_K

/// Σ |x| · |scale · q + minimum − x|.
static float deviation(const float *x, const uint8_t *q, float scale, float minimum) {
    float error = 0;
    for (int i = 0; i < SUB; i++) error += fabsf(x[i]) * fabsf(scale * (float)q[i] + minimum - x[i]);
    return error;
}

/// The scale and (negated) minimum of sixteen numbers for integers 0 ... 3, each weighted by its magnitude; and those
/// integers.
static float search_shifted(const float *x, float *negated, uint8_t *chosen) {
    enum { LEVELS = 3, TRIALS = 16 };
    memset(chosen, 0, SUB);
    float lowest = x[0], highest = x[0], sum_w = 0, sum_x = 0;
    for (int i = 0; i < SUB; i++) {
        const float w = fabsf(x[i]);
        lowest = x[i] < lowest ? x[i] : lowest, highest = x[i] > highest ? x[i] : highest;
        sum_w += w, sum_x += w * x[i];
    }
    if (lowest > 0) lowest = 0;
    *negated = -lowest;
    if (highest == lowest) return 0;
    uint8_t q[SUB];
    const float plain = (float)LEVELS / (highest - lowest);
    float scale = 1 / plain, minimum = lowest;
    for (int i = 0; i < SUB; i++) q[i] = (uint8_t)clamp(nearest(plain * (x[i] - lowest)), 0, LEVELS);
    float best = deviation(x, q, scale, minimum);
    memcpy(chosen, q, SUB);
    for (int trial = 0; trial < TRIALS; trial++) {
        const float inverse = (-0.5f + 0.1f * (float)trial + (float)LEVELS) / (highest - lowest);
        float sum_q = 0, sum_qq = 0, sum_xq = 0;
        for (int i = 0; i < SUB; i++) {
            q[i] = (uint8_t)clamp(nearest(inverse * (x[i] - lowest)), 0, LEVELS);
            const float w = fabsf(x[i]), level = (float)q[i];
            sum_q += w * level, sum_qq += w * level * level, sum_xq += w * level * x[i];
        }
        const float determinant = sum_w * sum_qq - sum_q * sum_q;
        if (!(determinant > 0)) continue;
        float fitted = (sum_w * sum_xq - sum_x * sum_q) / determinant;
        float shift = (sum_qq * sum_x - sum_q * sum_xq) / determinant;
        if (shift > 0) shift = 0, fitted = sum_xq / sum_qq;
        const float error = deviation(x, q, fitted, shift);
        if (!(error < best)) continue;
        best = error, scale = fitted, minimum = shift;
        memcpy(chosen, q, SUB);
    }
    *negated = -minimum;
    return scale;
}

static void encode_q2_K(const float *x, block_q2_K *block) {
    float scales[SUBS], minima[SUBS], largest_scale = 0, largest_minimum = 0;
    uint8_t q[SUPERBLOCK];
    for (int s = 0; s < SUBS; s++) {
        scales[s] = search_shifted(x + SUB * s, &minima[s], q + SUB * s);
        largest_scale = fmaxf(largest_scale, scales[s]), largest_minimum = fmaxf(largest_minimum, minima[s]);
    }
    const float to_scale = largest_scale > 0 ? 15 / largest_scale : 0, to_minimum = largest_minimum > 0 ? 15 / largest_minimum : 0;
    martlet_float_to_half(largest_scale > 0 ? largest_scale / 15 : 0, block->scale);
    martlet_float_to_half(largest_minimum > 0 ? largest_minimum / 15 : 0, block->minimum);
    for (int s = 0; s < SUBS; s++) {
        const int sub = clamp(nearest(to_scale * scales[s]), 0, 15), lowest = clamp(nearest(to_minimum * minima[s]), 0, 15);
        block->scales[s] = (uint8_t)(sub | lowest << 4);
        const float scale = martlet_half_to_float(block->scale) * (float)sub;
        const float shift = martlet_half_to_float(block->minimum) * (float)lowest;
        // Under a scale of 0 the reference leaves what was searched.
        if (scale == 0) continue;
        for (int i = SUB * s; i < SUB * (s + 1); i++) q[i] = (uint8_t)clamp(nearest((x[i] + shift) / scale), 0, 3);
    }
    store_pairs(q, block->q);
}

// q3_K

/// The scale of sixteen numbers for integers −4 ... 3, each weighted by its square: from the plain one, integers are
/// changed one by one for as long as the fit gets better. Those integers, plus 4.
static float search_signed(const float *x, uint8_t *chosen) {
    enum { LEVELS = 4 };
    memset(chosen, 0, SUB);
    float extreme = 0;
    for (int i = 0; i < SUB; i++)
        if (fabsf(x[i]) > fabsf(extreme)) extreme = x[i];
    if (fabsf(extreme) < 1e-15f) return 0;
    const float inverse = -(float)LEVELS / extreme;
    int q[SUB];
    float sum_xq = 0, sum_qq = 0;
    for (int i = 0; i < SUB; i++) {
        q[i] = clamp(nearest(inverse * x[i]), -LEVELS, LEVELS - 1);
        const float w = x[i] * x[i];
        sum_xq += w * x[i] * (float)q[i], sum_qq += w * (float)q[i] * (float)q[i];
    }
    for (int turn = 0; turn < 5; turn++) {
        bool changed = false;
        for (int i = 0; i < SUB; i++) {
            const float w = x[i] * x[i];
            float without_xq = sum_xq - w * x[i] * (float)q[i];
            if (!(without_xq > 0)) continue;
            float without_qq = sum_qq - w * (float)q[i] * (float)q[i];
            const int other = clamp(nearest(x[i] * without_qq / without_xq), -LEVELS, LEVELS - 1);
            if (other == q[i]) continue;
            without_xq += w * x[i] * (float)other, without_qq += w * (float)other * (float)other;
            if (without_qq > 0 && without_xq * without_xq * sum_qq > sum_xq * sum_xq * without_qq)
                q[i] = other, sum_xq = without_xq, sum_qq = without_qq, changed = true;
        }
        if (!changed) break;
    }
    for (int i = 0; i < SUB; i++) chosen[i] = (uint8_t)(q[i] + LEVELS);
    return sum_qq > 0 ? sum_xq / sum_qq : 0;
}

static void encode_q3_K(const float *x, block_q3_K *block) {
    float scales[SUBS], extreme = 0;
    uint8_t q[SUPERBLOCK];
    for (int s = 0; s < SUBS; s++) {
        scales[s] = search_signed(x + SUB * s, q + SUB * s);
        if (fabsf(scales[s]) > fabsf(extreme)) extreme = scales[s];
    }
    memset(block, 0, sizeof *block);
    const float inverse = extreme == 0 ? 0 : -32.0f / extreme;
    martlet_float_to_half(extreme == 0 ? 0 : 1 / inverse, block->scale);
    for (int s = 0; s < SUBS; s++) {
        // Without any scale, what is stored is −32 times 0.
        const int sub = extreme == 0 ? -32 : clamp(nearest(inverse * scales[s]), -32, 31), stored = sub + 32;
        block->scales[s % 8] |= (uint8_t)((stored & 15) << (s < 8 ? 0 : 4));
        block->scales[8 + s % 4] |= (uint8_t)(stored >> 4 << (2 * (s / 4)));
        const float scale = martlet_half_to_float(block->scale) * (float)sub;
        if (scale == 0) continue;
        for (int i = SUB * s; i < SUB * (s + 1); i++) q[i] = (uint8_t)(clamp(nearest(x[i] / scale), -4, 3) + 4);
    }
    for (int i = 0; i < SUPERBLOCK; i++)
        if (q[i] > 3) block->mask[i % 32] |= (uint8_t)(1 << (i / 32)), q[i] -= 4;
    store_pairs(q, block->q);
}

// iq4_nl, iq4_xs

static const int8_t points[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/// The point nearest to `x`, the upper one of equals.
static int nearest_point(float x) {
    if (x <= points[0]) return 0;
    if (x >= points[15]) return 15;
    int low = 0, high = 15;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (x < points[middle]) high = middle; else low = middle;
    }
    return x - points[high - 1] < points[high] - x ? high - 1 : high;
}

/// The scale of 32 numbers, each weighted by its square.
static float search_points(const float *x) {
    enum { TRIALS = 7 };
    float extreme = 0;
    for (int i = 0; i < BLOCK; i++)
        if (fabsf(x[i]) > fabsf(extreme)) extreme = x[i];
    if (fabsf(extreme) < 1e-15f) return 0;
    float scale = 0, best = 0;
    // The plain scale first, then those on either side of it.
    for (int trial = -TRIALS - 1; trial <= TRIALS; trial++) {
        const bool is_plain = trial < -TRIALS;
        const float inverse = is_plain ? 1 / (-extreme / points[0]) : ((float)trial + points[0]) / extreme;
        float sum_xq = 0, sum_qq = 0;
        for (int i = 0; i < BLOCK; i++) {
            const float q = points[nearest_point(inverse * x[i])], w = x[i] * x[i];
            sum_xq += w * q * x[i], sum_qq += w * q * q;
        }
        if (is_plain || (sum_qq > 0 && sum_xq * sum_xq > best * sum_qq)) scale = sum_xq / sum_qq, best = scale * sum_xq;
    }
    return scale;
}

static void store_points(const float *x, float inverse, uint8_t *nibbles) {
    uint8_t q[BLOCK];
    for (int i = 0; i < BLOCK; i++) q[i] = (uint8_t)nearest_point(inverse * x[i]);
    for (int i = 0; i < BLOCK / 2; i++) nibbles[i] = (uint8_t)(q[i] | q[i + BLOCK / 2] << 4);
}

static void encode_iq4_nl(const float *x, block_iq4_nl *block) {
    const float scale = search_points(x);
    martlet_float_to_half(scale, block->scale);
    store_points(x, scale == 0 ? 0 : 1 / scale, block->nibbles);
}

static void encode_iq4_xs(const float *x, block_iq4_xs *block) {
    enum { PARTS = SUPERBLOCK / BLOCK };
    float scales[PARTS], extreme = 0;
    for (int s = 0; s < PARTS; s++) {
        scales[s] = search_points(x + BLOCK * s);
        if (fabsf(scales[s]) > fabsf(extreme)) extreme = scales[s];
    }
    memset(block, 0, sizeof *block);
    const float unit = -extreme / 32, inverse = unit == 0 ? 0 : 1 / unit;
    martlet_float_to_half(unit, block->scale);
    for (int s = 0; s < PARTS; s++) {
        const int sub = clamp(nearest(inverse * scales[s]), -32, 31), stored = sub + 32;
        const float scale = unit * (float)sub;
        store_points(x + BLOCK * s, scale == 0 ? 0 : 1 / scale, block->nibbles + BLOCK / 2 * s);
        block->low[s / 2] |= (uint8_t)((stored & 15) << (4 * (s % 2)));
        block->high[s / 4] |= (uint8_t)(stored >> 4 << (2 * (s % 4)));
    }
}

bool martlet_encode_foreign(uint32_t type, const float *values, void *stored, size_t blocks) {
    for (size_t b = 0; b < blocks; b++) {
        switch (type) {
        case MARTLET_GGML_Q2_K: encode_q2_K(values + b * SUPERBLOCK, (block_q2_K *)stored + b); break;
        case MARTLET_GGML_Q3_K: encode_q3_K(values + b * SUPERBLOCK, (block_q3_K *)stored + b); break;
        case MARTLET_GGML_IQ4_NL: encode_iq4_nl(values + b * BLOCK, (block_iq4_nl *)stored + b); break;
        case MARTLET_GGML_IQ4_XS: encode_iq4_xs(values + b * SUPERBLOCK, (block_iq4_xs *)stored + b); break;
        default: return false;
        }
    }
    return true;
}
