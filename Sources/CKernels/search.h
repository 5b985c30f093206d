// Rounding to blocks by search: the scales (and minima) of least Σ weight · (x − decoded)².
//
// For given integers q the best scale is a least-squares problem with a closed solution, and for a given scale the best
// integers are the nearest; a grid of first scales, each followed by such steps, comes close to the best of both. Every
// candidate is judged as a reader will decode it, its scales already in f16 or six bits, and the reference's rounding
// is among the candidates: the result is never worse.
//
// Compiled with every instruction set; no fused operations, so that the bits agree.

#ifndef MARTLET_SEARCH_H
#define MARTLET_SEARCH_H

#include "blocks.h"
#include "encode.h"
#include "vector.h"
#include <math.h>

INLINE float as_half(float x) {
    uint8_t half[2];
    martlet_float_to_half(x, half);
    return martlet_half_to_float(half);
}

/// Nearest integers, ties to even, for |x| < 2^22, within lowest ... highest; a NaN becomes lowest.
INLINE f32x16 nearest_between(f32x16 x, float lowest, float highest) {
    x = choose(x > splat(lowest), x, splat(lowest));
    x = choose(x < splat(highest), x, splat(highest));
    return (x + splat(0x1.8p23f)) - splat(0x1.8p23f);
}

/// Sixteen or thirty-two neighbours that share a scale: `groups` vectors of values and of their weights.
typedef struct { f32x16 x[2], w[2]; int groups; } search_span;

INLINE search_span span_of(const float *values, const float *weights, int groups) {
    search_span span = {.groups = groups};
    for (int g = 0; g < groups; g++) {
        span.x[g] = load(values + 16 * g);
        span.w[g] = weights ? load(weights + 16 * g) : splat(1);
    }
    return span;
}

/// A linear fit of values by integers, x ≈ scale · q + shift.
typedef struct { float scale, shift; } linear_fit;

/// The error of a fit whose integers are the nearest in lowest ... highest.
INLINE float fit_error(const search_span *span, linear_fit fit, float lowest, float highest) {
    const float inverse = fit.scale != 0 ? 1 / fit.scale : 0;
    f32x16 error = splat(0);
    for (int g = 0; g < span->groups; g++) {
        const f32x16 q = nearest_between((span->x[g] - splat(fit.shift)) * splat(inverse), lowest, highest);
        const f32x16 difference = span->x[g] - (splat(fit.scale) * q + splat(fit.shift));
        error += span->w[g] * (difference * difference);
    }
    return sum_lanes(error);
}

/// The scale by least squares without a shift, for the integers that `scale` gives; `scale` itself where they are all
/// zero.
INLINE float refit_scale(const search_span *span, float scale, float lowest, float highest) {
    const float inverse = scale != 0 ? 1 / scale : 0;
    f32x16 xq = splat(0), qq = splat(0);
    for (int g = 0; g < span->groups; g++) {
        const f32x16 q = nearest_between(span->x[g] * splat(inverse), lowest, highest), wq = span->w[g] * q;
        xq += wq * span->x[g], qq += wq * q;
    }
    const float sum_qq = sum_lanes(qq);
    return sum_qq > 0 ? sum_lanes(xq) / sum_qq : scale;
}

/// The scale and shift by least squares; `largest_shift` bounds the latter above (0 where a format only subtracts).
INLINE linear_fit refit_both(const search_span *span, linear_fit fit, float highest, float largest_shift) {
    const float inverse = fit.scale != 0 ? 1 / fit.scale : 0;
    f32x16 w = splat(0), x = splat(0), q1 = splat(0), qq = splat(0), xq = splat(0);
    for (int g = 0; g < span->groups; g++) {
        const f32x16 q = nearest_between((span->x[g] - splat(fit.shift)) * splat(inverse), 0, highest), wq = span->w[g] * q;
        w += span->w[g], x += span->w[g] * span->x[g], q1 += wq, qq += wq * q, xq += wq * span->x[g];
    }
    const float sw = sum_lanes(w), sx = sum_lanes(x), sq = sum_lanes(q1), sqq = sum_lanes(qq), sxq = sum_lanes(xq);
    const float determinant = sw * sqq - sq * sq;
    if (!(determinant > 0)) return fit;
    linear_fit result = {(sw * sxq - sx * sq) / determinant, (sqq * sx - sq * sxq) / determinant};
    if (result.shift > largest_shift) result = (linear_fit){sqq > 0 ? (sxq - largest_shift * sq) / sqq : fit.scale, largest_shift};
    return result.scale > 0 ? result : fit;
}

INLINE float extreme_of(const search_span *span) {
    float extreme = 0;
    for (int g = 0; g < span->groups; g++)
        for (int i = 0; i < LANES; i++)
            if (fabsf(span->x[g][i]) > fabsf(extreme)) extreme = span->x[g][i];
    return extreme;
}

/// The best scale for integers lowest ... highest. `steps` trials on either side of the scale that maps the value of
/// largest magnitude to the end of the range, for both ends; with `halves`, of those that f16 can hold.
static float search_scale(const search_span *span, float lowest, float highest, int steps, float step, bool halves) {
    const float extreme = extreme_of(span);
    if (fabsf(extreme) < 1e-15f) return 0;
    float best = 0, best_error = INFINITY;
    for (int end = 0; end < 2; end++) {
        const float range = end == 0 ? lowest : highest;
        for (int trial = -steps; trial <= steps; trial++) {
            float scale = extreme / (range + (range < 0 ? -step : step) * (float)trial);
            scale = refit_scale(span, scale, lowest, highest);
            if (halves) scale = as_half(scale);
            const float error = fit_error(span, (linear_fit){scale, 0}, lowest, highest);
            if (error < best_error) best = scale, best_error = error;
        }
    }
    for (int round = 0; round < 4; round++) {
        float scale = refit_scale(span, best, lowest, highest);
        if (halves) scale = as_half(scale);
        const float error = fit_error(span, (linear_fit){scale, 0}, lowest, highest);
        if (!(error < best_error)) break;
        best = scale, best_error = error;
    }
    return best;
}

/// The best scale and shift for integers 0 ... levels.
static linear_fit search_linear(const search_span *span, float levels, float largest_shift, bool halves) {
    float lowest = span->x[0][0], highest = lowest;
    for (int g = 0; g < span->groups; g++)
        for (int i = 0; i < LANES; i++) lowest = fminf(lowest, span->x[g][i]), highest = fmaxf(highest, span->x[g][i]);
    lowest = fminf(lowest, largest_shift);
    linear_fit best = {0, halves ? as_half(lowest) : lowest};
    float best_error = fit_error(span, best, 0, levels);
    if (!(highest > lowest)) return best;
    enum { STEPS = 9 };
    for (int trial = 0; trial <= STEPS; trial++) {
        // The range shrinks from a little more than the values' to four fifths of it.
        const float share = 1.04f - 0.24f / STEPS * (float)trial, spare = (highest - lowest) * (1 - share) / 2;
        for (int anchor = 0; anchor < 3; anchor++) {
            // Cut on both sides, above only, below only.
            const float start = anchor == 0 ? lowest + spare : anchor == 1 ? lowest : lowest + 2 * spare;
            linear_fit fit = {(highest - lowest) * share / levels, fminf(start, largest_shift)};
            fit = refit_both(span, fit, levels, largest_shift);
            if (halves) fit = (linear_fit){as_half(fit.scale), as_half(fit.shift)};
            const float error = fit_error(span, fit, 0, levels);
            if (error < best_error) best = fit, best_error = error;
        }
    }
    return best;
}

/// The integers of a fit, less the lowest.
INLINE void integers_of(const search_span *span, linear_fit fit, float lowest, float highest, uint8_t *q) {
    const float inverse = fit.scale != 0 ? 1 / fit.scale : 0;
    for (int g = 0; g < span->groups; g++) {
        const f32x16 nearest = nearest_between((span->x[g] - splat(fit.shift)) * splat(inverse), lowest, highest) - splat(lowest);
        for (int i = 0; i < LANES; i++) q[16 * g + i] = (uint8_t)nearest[i];
    }
}

// ---------------------------------------------------------------- blocks of 32 with scales in f16

static void search_signed(martlet_type type, const float *x, const float *weights, uint8_t *stored) {
    const search_span span = span_of(x, weights, 2);
    const bool is_byte = type == MARTLET_Q8_0;
    const float middle = is_byte ? 127 : type == MARTLET_Q4_0 ? 8 : 16, highest = is_byte ? 127 : middle - 1;
    const float scale = search_scale(&span, -middle, highest, is_byte ? 4 : 10, is_byte ? 0.35f : middle / 80, true);
    uint8_t q[BLOCK];
    martlet_float_to_half(scale, stored);
    integers_of(&span, (linear_fit){scale, 0}, -middle, highest, q);
    switch (type) {
    case MARTLET_Q8_0:
        for (int i = 0; i < BLOCK; i++) ((block_q8_0 *)stored)->values[i] = (int8_t)(q[i] - 127);
        break;
    case MARTLET_Q4_0: martlet_store_halves(q, ((block_q4_0 *)stored)->nibbles, NULL); break;
    default: martlet_store_halves(q, ((block_q5_0 *)stored)->nibbles, ((block_q5_0 *)stored)->high);
    }
}

static void search_from_minimum(martlet_type type, const float *x, const float *weights, uint8_t *stored) {
    const search_span span = span_of(x, weights, 2);
    const float levels = type == MARTLET_Q4_1 ? 15 : 31;
    const linear_fit fit = search_linear(&span, levels, INFINITY, true);
    uint8_t q[BLOCK];
    martlet_float_to_half(fit.scale, stored);
    martlet_float_to_half(fit.shift, stored + 2);
    integers_of(&span, fit, 0, levels, q);
    if (type == MARTLET_Q4_1) martlet_store_halves(q, ((block_q4_1 *)stored)->nibbles, NULL);
    else martlet_store_halves(q, ((block_q5_1 *)stored)->nibbles, ((block_q5_1 *)stored)->high);
}

// ---------------------------------------------------------------- superblocks: scales are themselves integers

/// q4_K and q5_K in the making: eight spans that decode to scale · codes[s] · q − minimum · lows[s].
typedef struct {
    search_span spans[8];
    float levels, scale, minimum;
    int codes[8], lows[8];
} affine_superblock;

INLINE linear_fit affine_of(const affine_superblock *block, int code, int low) {
    return (linear_fit){block->scale * (float)code, -(block->minimum * (float)low)};
}

INLINE float affine_error_of(const affine_superblock *block, int s, int code, int low) {
    return fit_error(&block->spans[s], affine_of(block, code, low), 0, block->levels);
}

INLINE int rounded_to_63(float x) { return !(x > 0) ? 0 : x > 63 ? 63 : (int)(x + 0.5f); }

/// Moves each span's codes to better neighbours until none is better; returns the whole error.
static float improve_affine_codes(affine_superblock *block) {
    float total = 0;
    for (int s = 0; s < 8; s++) {
        float error = affine_error_of(block, s, block->codes[s], block->lows[s]);
        for (bool moved = true; moved;) {
            moved = false;
            const int code = block->codes[s], low = block->lows[s];
            for (int step = 0; step < 9; step++) {
                const int other = code + step / 3 - 1, other_low = low + step % 3 - 1;
                if (other < 0 || other > 63 || other_low < 0 || other_low > 63) continue;
                const float trial = affine_error_of(block, s, other, other_low);
                if (trial < error) error = trial, block->codes[s] = other, block->lows[s] = other_low, moved = true;
            }
        }
        total += error;
    }
    return total;
}

/// The least-squares scale and minimum of the superblock for the codes and integers that it has.
static void refit_affine(affine_superblock *block) {
    f32x16 aa = splat(0), ab = splat(0), bb = splat(0), ax = splat(0), bx = splat(0);
    for (int s = 0; s < 8; s++) {
        const linear_fit fit = affine_of(block, block->codes[s], block->lows[s]);
        const float inverse = fit.scale != 0 ? 1 / fit.scale : 0;
        for (int g = 0; g < 2; g++) {
            const f32x16 x = block->spans[s].x[g], w = block->spans[s].w[g];
            const f32x16 q = nearest_between((x - splat(fit.shift)) * splat(inverse), 0, block->levels);
            const f32x16 a = splat((float)block->codes[s]) * q, b = splat(-(float)block->lows[s]);
            aa += w * a * a, ab += w * a * b, bb += w * b * b, ax += w * a * x, bx += w * b * x;
        }
    }
    const float saa = sum_lanes(aa), sab = sum_lanes(ab), sbb = sum_lanes(bb), sax = sum_lanes(ax), sbx = sum_lanes(bx);
    const float determinant = saa * sbb - sab * sab;
    if (determinant > 1e-6f * saa * sbb) {
        block->scale = as_half((sax * sbb - sbx * sab) / determinant);
        block->minimum = as_half((saa * sbx - sab * sax) / determinant);
    } else if (saa > 0) {
        block->scale = as_half((sax + block->minimum * -sab) / saa);
    }
}

static void search_affine_superblock(martlet_type type, const float *x, const float *weights, uint8_t *stored) {
    affine_superblock block = {.levels = type == MARTLET_Q4_K ? 15 : 31};
    linear_fit fits[8];
    float largest = 0, deepest = 0;
    for (int s = 0; s < 8; s++) {
        block.spans[s] = span_of(x + BLOCK * s, weights ? weights + BLOCK * s : NULL, 2);
        fits[s] = search_linear(&block.spans[s], block.levels, 0, false);
        largest = fmaxf(largest, fits[s].scale), deepest = fmaxf(deepest, -fits[s].shift);
    }
    block.scale = as_half(largest / 63), block.minimum = as_half(deepest / 63);
    for (int s = 0; s < 8; s++) {
        block.codes[s] = block.scale > 0 ? rounded_to_63(fits[s].scale / block.scale) : 0;
        block.lows[s] = block.minimum > 0 ? rounded_to_63(-fits[s].shift / block.minimum) : 0;
    }
    float error = improve_affine_codes(&block);
    for (int round = 0; round < 4; round++) {
        affine_superblock other = block;
        refit_affine(&other);
        const float trial = improve_affine_codes(&other);
        if (!(trial < error)) break;
        block = other, error = trial;
    }
    block_q4_K *header = (block_q4_K *)stored;  // q5_K begins alike
    uint8_t q[SUPERBLOCK];
    martlet_float_to_half(block.scale, header->scale);
    martlet_float_to_half(block.minimum, header->minimum);
    martlet_store_sub_scales(block.codes, block.lows, header->scales);
    for (int s = 0; s < 8; s++)
        integers_of(&block.spans[s], affine_of(&block, block.codes[s], block.lows[s]), 0, block.levels, q + BLOCK * s);
    if (type == MARTLET_Q4_K) martlet_store_nibble_pairs(q, header->nibbles, NULL);
    else martlet_store_nibble_pairs(q, ((block_q5_K *)stored)->nibbles, ((block_q5_K *)stored)->high);
}

/// q6_K in the making: sixteen spans of sixteen that decode to scale · codes[s] · q.
typedef struct {
    search_span spans[16];
    float scale;
    int codes[16];
} signed_superblock;

INLINE float signed_error_of(const signed_superblock *block, int s, int code) {
    return fit_error(&block->spans[s], (linear_fit){block->scale * (float)code, 0}, -32, 31);
}

static float improve_signed_codes(signed_superblock *block) {
    float total = 0;
    for (int s = 0; s < 16; s++) {
        float error = signed_error_of(block, s, block->codes[s]);
        for (bool moved = true; moved;) {
            moved = false;
            const int code = block->codes[s];
            for (int other = code - 1; other <= code + 1; other++) {
                if (other < -128 || other > 127) continue;
                const float trial = signed_error_of(block, s, other);
                if (trial < error) error = trial, block->codes[s] = other, moved = true;
            }
        }
        total += error;
    }
    return total;
}

static void refit_signed(signed_superblock *block) {
    f32x16 aa = splat(0), ax = splat(0);
    for (int s = 0; s < 16; s++) {
        const float scale = block->scale * (float)block->codes[s], inverse = scale != 0 ? 1 / scale : 0;
        const f32x16 x = block->spans[s].x[0], w = block->spans[s].w[0];
        const f32x16 a = splat((float)block->codes[s]) * nearest_between(x * splat(inverse), -32, 31);
        aa += w * a * a, ax += w * a * x;
    }
    const float sum = sum_lanes(aa);
    if (sum > 0) block->scale = as_half(sum_lanes(ax) / sum);
}

static void search_signed_superblock(const float *x, const float *weights, block_q6_K *stored) {
    signed_superblock block;
    float scales[16], extreme = 0;
    for (int s = 0; s < 16; s++) {
        block.spans[s] = span_of(x + 16 * s, weights ? weights + 16 * s : NULL, 1);
        scales[s] = search_scale(&block.spans[s], -32, 31, 6, 0.3f, false);
        if (fabsf(scales[s]) > fabsf(extreme)) extreme = scales[s];
    }
    block.scale = as_half(extreme / -128);
    for (int s = 0; s < 16; s++) {
        const float code = block.scale != 0 ? scales[s] / block.scale : 0;
        block.codes[s] = code > 127 ? 127 : code > -128 ? (int)(code + (code < 0 ? -0.5f : 0.5f)) : -128;
    }
    float error = improve_signed_codes(&block);
    for (int round = 0; round < 4; round++) {
        signed_superblock other = block;
        refit_signed(&other);
        const float trial = improve_signed_codes(&other);
        if (!(trial < error)) break;
        block = other, error = trial;
    }
    uint8_t q[SUPERBLOCK];
    martlet_float_to_half(block.scale, stored->scale);
    for (int s = 0; s < 16; s++) {
        stored->scales[s] = (int8_t)block.codes[s];
        integers_of(&block.spans[s], (linear_fit){block.scale * (float)block.codes[s], 0}, -32, 31, q + 16 * s);
    }
    martlet_store_q6(q, stored);
}

/// Searches the scales of one block of a type that has such.
static void search_block(martlet_type type, const float *x, const float *weights, uint8_t *stored) {
    switch (type) {
    case MARTLET_Q8_0: case MARTLET_Q4_0: case MARTLET_Q5_0: search_signed(type, x, weights, stored); break;
    case MARTLET_Q4_1: case MARTLET_Q5_1: search_from_minimum(type, x, weights, stored); break;
    case MARTLET_Q4_K: case MARTLET_Q5_K: search_affine_superblock(type, x, weights, stored); break;
    case MARTLET_Q6_K: search_signed_superblock(x, weights, (block_q6_K *)stored); break;
    default: break;
    }
}

INLINE float decoded_error(martlet_type type, const float *x, const float *weights, const uint8_t *stored, size_t count) {
    float values[SUPERBLOCK];
    martlet_decode(type, stored, values, count);
    f32x16 error = splat(0);
    for (size_t i = 0; i < count; i += LANES) {
        const f32x16 difference = load(x + i) - load(values + i);
        error += (weights ? load(weights + i) : splat(1)) * (difference * difference);
    }
    return sum_lanes(error);
}

static void search(martlet_type type, const float *values, const float *weights, uint8_t *stored, size_t count) {
    const size_t elements = block_elements(type), bytes = block_bytes(type);
    for (size_t i = 0; i < count; i += elements, stored += bytes) {
        const float *const w = weights ? weights + i : NULL;
        uint8_t plain[sizeof(block_q6_K)];
        search_block(type, values + i, w, stored);
        martlet_encode(type, values + i, plain, elements);
        const float error = decoded_error(type, values + i, w, stored, elements);
        if (!(error <= decoded_error(type, values + i, w, plain, elements))) memcpy(stored, plain, bytes);
    }
}

#endif
