// K-quant encoding: ggml's reference search, restated.
//
// q4_K and q5_K fit x ≈ scale · q − minimum per sub-block of 32: from a grid of trial scales, each gives integers, and
// for those integers the least-squares scale and minimum follow in closed form; the trial of least weighted error wins.
// q6_K fits x ≈ scale · q per sub-block of 16 likewise. The sub-block scales are then themselves rounded (6 bits, or
// int8), and the integers fitted to what remains.

#include "encode.h"
#include <math.h>

#pragma clang fp contract(off)

typedef struct { float scale, minimum; } affine;

/// The trial scales of one format: (first + step · i + levels) / range, for i = 0 ... steps.
typedef struct { int levels; float first, step; int steps; } affine_search;

static float affine_error(const float *x, const float *weights, const uint8_t *q, affine fit) {
    float error = 0;
    for (int i = 0; i < BLOCK; i++) {
        const float difference = fit.scale * (float)q[i] + fit.minimum - x[i];
        error += weights[i] * (difference * difference);
    }
    return error;
}

/// The least-squares scale and minimum for given integers; false when they do not determine one. The minimum is at most
/// 0.
static bool affine_fit(const float *x, const float *weights, const uint8_t *q, float sum_w, float sum_x, affine *fit) {
    float sum_q = 0, sum_qq = 0, sum_xq = 0;
    for (int i = 0; i < BLOCK; i++) {
        const float w = weights[i], level = (float)q[i];
        sum_q += w * level, sum_qq += w * level * level, sum_xq += w * level * x[i];
    }
    const float determinant = sum_w * sum_qq - sum_q * sum_q;
    if (!(determinant > 0)) return false;
    fit->scale = (sum_w * sum_xq - sum_x * sum_q) / determinant;
    fit->minimum = (sum_qq * sum_x - sum_q * sum_xq) / determinant;
    if (fit->minimum > 0) fit->minimum = 0, fit->scale = sum_xq / sum_qq;
    return true;
}

static affine search_affine(const float *x, affine_search search) {
    float weights[BLOCK], sum_squares = 0, sum_w = 0, sum_x = 0, lowest = x[0], highest = x[0];
    for (int i = 0; i < BLOCK; i++) sum_squares += x[i] * x[i];
    const float average = sqrtf(sum_squares / BLOCK);
    for (int i = 0; i < BLOCK; i++) {
        weights[i] = average + fabsf(x[i]);
        sum_w += weights[i], sum_x += weights[i] * x[i];
        lowest = fminf(lowest, x[i]), highest = fmaxf(highest, x[i]);
    }
    lowest = fminf(lowest, 0);
    if (highest == lowest) return (affine){0, lowest};
    affine best = {1 / ((float)search.levels / (highest - lowest)), lowest};
    float best_error = 0;
    for (int trial = -1; trial <= search.steps; trial++) {
        const float spread = trial < 0 ? (float)search.levels : search.first + search.step * (float)trial + (float)search.levels;
        const float inverse = spread / (highest - lowest);
        uint8_t q[BLOCK];
        for (int i = 0; i < BLOCK; i++) q[i] = (uint8_t)clamp(nearest(inverse * (x[i] - lowest)), 0, search.levels);
        affine fit = best;
        if (trial >= 0 && !affine_fit(x, weights, q, sum_w, sum_x, &fit)) continue;
        const float error = affine_error(x, weights, q, fit);
        if (trial < 0 || error < best_error) best = fit, best_error = error;
    }
    return best;
}

void martlet_store_sub_scales(const int scales[8], const int minima[8], uint8_t packed[12]) {
    memset(packed, 0, 12);
    for (int s = 0; s < 4; s++) packed[s] = (uint8_t)scales[s], packed[s + 4] = (uint8_t)minima[s];
    for (int s = 4; s < 8; s++) {
        packed[s + 4] = (uint8_t)((scales[s] & 15) | (minima[s] & 15) << 4);
        packed[s - 4] |= (uint8_t)(scales[s] >> 4 << 6), packed[s] |= (uint8_t)(minima[s] >> 4 << 6);
    }
}

/// Writes the sub-blocks' scales and minima, then the integers that fit what these decode to.
static void encode_affine(const float *x, affine_search search, block_q4_K *header, uint8_t *q) {
    affine fits[8];
    float largest_scale = 0, largest_minimum = 0;
    for (int s = 0; s < 8; s++) {
        fits[s] = search_affine(x + BLOCK * s, search);
        fits[s].minimum = -fits[s].minimum;
        largest_scale = fmaxf(largest_scale, fits[s].scale), largest_minimum = fmaxf(largest_minimum, fits[s].minimum);
    }
    const float to_scale = largest_scale > 0 ? 63 / largest_scale : 0, to_minimum = largest_minimum > 0 ? 63 / largest_minimum : 0;
    int scales[8], minima[8];
    for (int s = 0; s < 8; s++)
        scales[s] = clamp(nearest(to_scale * fits[s].scale), 0, 63), minima[s] = clamp(nearest(to_minimum * fits[s].minimum), 0, 63);
    martlet_store_sub_scales(scales, minima, header->scales);
    martlet_float_to_half(largest_scale / 63, header->scale);
    martlet_float_to_half(largest_minimum / 63, header->minimum);
    for (int s = 0; s < 8; s++) {
        int sub, lowest;
        sub_scale(header->scales, s, &sub, &lowest);
        const float scale = martlet_half_to_float(header->scale) * (float)sub;
        const float shift = martlet_half_to_float(header->minimum) * (float)lowest;
        for (int i = BLOCK * s; i < BLOCK * (s + 1); i++)
            q[i] = scale == 0 ? 0 : (uint8_t)clamp(nearest((x[i] + shift) / scale), 0, search.levels);
    }
}

void martlet_store_nibble_pairs(const uint8_t *q, uint8_t *nibbles, uint8_t *high) {
    for (int pair = 0; pair < 4; pair++)
        for (int i = 0; i < 32; i++)
            nibbles[32 * pair + i] = (uint8_t)((q[64 * pair + i] & 15) | (q[64 * pair + 32 + i] & 15) << 4);
    if (!high) return;
    memset(high, 0, 32);
    for (int i = 0; i < SUPERBLOCK; i++) high[i % 32] |= (uint8_t)(q[i] >> 4 << (i / 32));
}

void martlet_encode_q4_K(const float *values, block_q4_K *block) {
    uint8_t q[SUPERBLOCK];
    encode_affine(values, (affine_search){15, -1, 0.1f, 20}, block, q);
    martlet_store_nibble_pairs(q, block->nibbles, NULL);
}

void martlet_encode_q5_K(const float *values, block_q5_K *block) {
    uint8_t q[SUPERBLOCK];
    encode_affine(values, (affine_search){31, -0.5f, 0.1f, 15}, (block_q4_K *)block, q);
    martlet_store_nibble_pairs(q, block->nibbles, block->high);
}

/// The scale of sixteen values for integers −32 ... 31, each value weighted by its square.
static float search_symmetric(const float *x) {
    enum { COUNT = 16, LEVELS = 32 };
    float extreme = 0;
    for (int i = 0; i < COUNT; i++)
        if (fabsf(x[i]) > fabsf(extreme)) extreme = x[i];
    if (fabsf(extreme) < 1e-15f) return 0;
    float scale = 0, best = 0;
    for (int trial = 0; trial < 19; trial++) {
        // The plain scale first, then nine on either side of it.
        const int offset = trial == 0 ? 0 : trial <= 9 ? trial - 10 : trial - 9;
        const float inverse = -((float)LEVELS + 0.1f * (float)offset) / extreme;
        float sum_xq = 0, sum_qq = 0;
        for (int i = 0; i < COUNT; i++) {
            const float q = (float)clamp(nearest(inverse * x[i]), -LEVELS, LEVELS - 1), w = x[i] * x[i];
            sum_xq += w * x[i] * q, sum_qq += w * q * q;
        }
        if (!(sum_qq > 0)) continue;
        if (trial == 0 || sum_xq * sum_xq > best * sum_qq) scale = sum_xq / sum_qq, best = scale * sum_xq;
    }
    return scale;
}

void martlet_store_q6(const uint8_t *q, block_q6_K *block) {
    memset(block->low, 0, sizeof block->low);
    memset(block->high, 0, sizeof block->high);
    for (int i = 0; i < SUPERBLOCK; i++) {
        const int half = i / 128, quarter = i / 32 % 4, lane = i % 32;
        block->low[64 * half + 32 * (quarter & 1) + lane] |= (uint8_t)((q[i] & 15) << (quarter < 2 ? 0 : 4));
        block->high[32 * half + lane] |= (uint8_t)(q[i] >> 4 << (2 * quarter));
    }
}

void martlet_encode_q6_K(const float *values, block_q6_K *block) {
    float scales[16], extreme = 0;
    for (int s = 0; s < 16; s++) {
        scales[s] = search_symmetric(values + 16 * s);
        if (fabsf(scales[s]) > fabsf(extreme)) extreme = scales[s];
    }
    memset(block, 0, sizeof *block);
    if (fabsf(extreme) < 1e-15f) return;
    const float inverse = -128.0f / extreme;
    martlet_float_to_half(1 / inverse, block->scale);
    for (int s = 0; s < 16; s++) {
        const int sub = nearest(inverse * scales[s]);
        block->scales[s] = (int8_t)(sub > 127 ? 127 : sub);
    }
    uint8_t q[SUPERBLOCK];
    for (int i = 0; i < SUPERBLOCK; i++) {
        const float scale = martlet_half_to_float(block->scale) * (float)block->scales[i / 16];
        q[i] = (uint8_t)(scale == 0 ? 32 : clamp(nearest(values[i] / scale), -32, 31) + 32);
    }
    martlet_store_q6(q, block);
}
