// Reading quantized panels, and preparing activations for them. `type`, indices and group are constants at each call.

#ifndef MARTLET_QUANTIZED_H
#define MARTLET_QUANTIZED_H

#include "panel.h"
#include "vector.h"

/// Sums of four unsigned weights times four signed activations per lane, added to `sums`. No intermediate saturates.
///
/// Where PAIRED_SUMS is defined, `sums` are two of 16 bits per lane, which hold PAIRED_SUMS(type) products of four
/// before `joined` makes one of 32 bits of them.
INLINE i32x16 dot4(martlet_type type, i32x16 sums, u32x16 weights, int32_t activations);

#if defined(PAIRED_SUMS)
INLINE i32x16 joined(i32x16 pairs);
#else
#define PAIRED_SUMS(type) 0
INLINE i32x16 joined(i32x16 sums) { return sums; }
#endif

/// Returns whether dot number i of a run begins new sums, and (ends_run) whether it is the last before they are joined.
INLINE bool begins_run(martlet_type type, int i) { return PAIRED_SUMS(type) && i % PAIRED_SUMS(type) == 0; }
INLINE bool ends_run(martlet_type type, int i) { return PAIRED_SUMS(type) && (i + 1) % PAIRED_SUMS(type) == 0; }

/// Inputs 4i … 4i + 3 (i from 0 to 7) of the 32 inputs number b of a packed block, for the columns of group g, as
/// unsigned bytes.
INLINE u32x16 quad(martlet_type type, const uint8_t *block, int b, int i, int g) {
    if (type == MARTLET_Q8_0) return load_words(block + i * WORD_ROW + g * 64);
    int word, upper;  // which word holds the low four bits, and whether in its upper nibbles
    switch (type) {
    case MARTLET_Q4_0: case MARTLET_Q4_1: case MARTLET_Q5_0: case MARTLET_Q5_1: word = i % 4, upper = i / 4; break;
    case MARTLET_Q6_K: word = b / 4 * 16 + b % 2 * 8 + i, upper = b / 2 % 2; break;
    default: word = b / 2 * 8 + i, upper = b % 2;
    }
    const u32x16 words = load_words(block + nibbles_at(type) + (size_t)word * WORD_ROW + g * 64);
    const u32x16 low = (upper ? words >> 4 : words) & 0x0f0f0f0f;
    int high_word, bit;
    switch (type) {
    case MARTLET_Q5_0: case MARTLET_Q5_1: high_word = 0, bit = i; break;
    case MARTLET_Q5_K: high_word = i, bit = b; break;
    case MARTLET_Q6_K: high_word = b / 4 * 8 + i, bit = b % 4 * 2; break;
    default: return low;
    }
    const u32x16 high = load_words(block + high_bits_at(type) + (size_t)high_word * WORD_ROW + g * 64);
    const uint32_t mask = type == MARTLET_Q6_K ? 0x30303030 : 0x10101010;
    return low | ((bit <= 4 ? high << (4 - bit) : high >> (bit - 4)) & mask);
}

INLINE f32x16 half_row(const uint8_t *row, int g) { return widen_f16(load_halves(row + g * 32)); }
INLINE f32x16 low_byte(u32x16 words, int byte, uint32_t mask) {
    return __builtin_convertvector((i32x16)(words >> (8 * byte) & mask), f32x16);
}

/// The word that holds the sub-block scales (`row` 0) or minima (`row` 1) of q4_K and q5_K, unpacked into the byte of
/// sub-block b.
INLINE f32x16 six_bits(const uint8_t *words, int row, int b, int g) {
    const u32x16 own = load_words(words + row * WORD_ROW + g * 64);
    if (b < 4) return low_byte(own, b, 63);
    const u32x16 shared = load_words(words + 2 * WORD_ROW + g * 64);
    const u32x16 low = shared >> (8 * (b - 4) + 4 * row) & 15, high = own >> (8 * (b - 4) + 2) & 48;
    return __builtin_convertvector((i32x16)(low | high), f32x16);
}

/// The scale of the 32 inputs number b; q6_K has one for each `half` of them.
INLINE f32x16 column_scales(martlet_type type, const uint8_t *block, int b, int half, int g) {
    const f32x16 scale = half_row(block + scales_at(type), g);
    if (has_sub_scales(type)) return scale * six_bits(block + sub_scales_at(type), 0, b, g);
    if (type != MARTLET_Q6_K) return scale;
    const int index = 2 * b + half;
    const i32x16 words = (i32x16)load_words(block + sub_scales_at(type) + index / 4 * WORD_ROW + g * 64);
    return scale * __builtin_convertvector(words << (24 - 8 * (index % 4)) >> 24, f32x16);
}

/// The minimum that is subtracted from each weight.
INLINE f32x16 column_minima(martlet_type type, const uint8_t *block, int b, int g) {
    const f32x16 minimum = half_row(block + scales_at(type) + HALF_ROW, g);
    return has_sub_scales(type) ? minimum * six_bits(block + sub_scales_at(type), 1, b, g) : -minimum;
}

/// Stores sixteen small integers as bytes and returns them.
INLINE i32x16 rounded_bytes(f32x16 scaled, int8_t *bytes) {
    // Adding 1.5 · 2^23 rounds to the nearest integer, ties to even, and leaves it in the low bits.
    const i32x16 q = (i32x16)(scaled + splat(0x1.8p23f)) << 24 >> 24;
    const i8x16 narrow = __builtin_convertvector(q, i8x16);
    memcpy(bytes, &narrow, sizeof narrow);
    return q;
}

/// The largest magnitude of 32 values; compared as integers, so that a NaN is larger than everything and is not lost.
INLINE float block_magnitude(f32x16 low, f32x16 high) {
    const i32x16 a = (i32x16)magnitude(low), b = (i32x16)magnitude(high);
    const int32_t bits = __builtin_reduce_max((i32x16)choose(a > b, (f32x16)a, (f32x16)b));
    float largest;
    memcpy(&largest, &bits, sizeof largest);
    return largest;
}

INLINE void prepare_block(martlet_type type, const float *x, int8_t *values, float *scale, uint8_t *corrections) {
    const f32x16 low = load(x), high = load(x + LANES);
    const float largest = block_magnitude(low, high);
    const f32x16 inverse = splat(largest > 0x1p-120f ? 127.0f / largest : 0.0f);
    *scale = largest / 127.0f;
    const i32x16 first = rounded_bytes(low * inverse, values), second = rounded_bytes(high * inverse, values + LANES);
    if (type == MARTLET_Q6_K) {
        const int32_t starts[2] = {-weight_offset(type) * __builtin_reduce_add(first), -weight_offset(type) * __builtin_reduce_add(second)};
        memcpy(corrections, starts, sizeof starts);
        return;
    }
    const int32_t sum = __builtin_reduce_add(first + second);
    int32_t starts[2] = {-weight_offset(type) * sum, 0};
    const float shift = -*scale * (float)sum;
    if (has_minima(type)) memcpy(starts, &shift, sizeof shift);
    memcpy(corrections, starts, sizeof starts);
}

/// Blocks `first ..< end` of each row; x begins with the first of them.
INLINE void prepare_quantized(martlet_type type, const float *x, size_t x_stride, size_t rows, size_t inputs, uint8_t *activations,
                              size_t first, size_t end) {
    const size_t bytes = martlet_activation_bytes(type, inputs);
    for (size_t r = 0; r < rows; r++, x += x_stride, activations += bytes) {
        float *scales = (float *)(activations + inputs);
        uint8_t *corrections = activations + inputs + inputs / BLOCK * sizeof(float);
        for (size_t b = first; b < end; b++)
            prepare_block(type, x + (b - first) * BLOCK, (int8_t *)activations + b * BLOCK, scales + b, corrections + 8 * b);
    }
}

#endif
