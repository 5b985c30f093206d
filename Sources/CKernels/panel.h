// How a panel of MARTLET_PANEL = 64 output columns lies in memory.
//
// A stored block is cut into 4-byte words, in the order of the file, and its f16 scales; word w of all columns stands
// together, then word w + 1, … then the scales:
//   f32     word [inputs][columns]
//   bf16    word [inputs / 2][columns], each two inputs (an odd last input is paired with zero)
//   f16     half [inputs][columns]
//   q8_0    per 32:  8 words of value + 128; scale
//   q4_0    per 32:  4 words, inputs 4i … 4i + 3 in the low nibbles of word i, 16 + 4i … in the high ones; scale
//   q4_1    q4_0, and after the scale the minimum
//   q5_0    q4_0, and before the nibbles a word of fifth bits: bit i of byte j for input 4i + j
//   q5_1    q5_0, and after the scale the minimum
//   q4_K    per 256: 3 words of six-bit scales, 4 × 8 words (sub-block 2p low, 2p + 1 high); scale, minimum
//   q5_K    q4_K, and before the nibbles 8 words of fifth bits: bit s of word i for inputs 4i … of sub-block s
//   q6_K    per 256: 2 × 16 words of low nibbles, 2 × 8 words of upper pairs of bits, 4 words of 16 int8 scales; scale
// A panel takes exactly the bytes of its stored rows, so a packed weight is no larger than the file's, and four
// consecutive inputs of one column make a word, as the integer dot product wants them.

#ifndef MARTLET_PANEL_H
#define MARTLET_PANEL_H

#include "blocks.h"

enum {
    PANEL = MARTLET_PANEL,
    QUADS = BLOCK / 4,     // words of four bytes that 32 inputs make
    WORD_ROW = 4 * PANEL,  // bytes of one word of every column
    HALF_ROW = 2 * PANEL   // bytes of one f16 of every column
};

/// The range of words of a stored block: where they begin and how many there are; the f16 scales follow them in the
/// panel.
typedef struct { size_t at, count; } word_range;

static inline word_range block_words(martlet_type type) {
    switch (type) {
    case MARTLET_Q8_0: return (word_range){2, 8};
    case MARTLET_Q4_0: return (word_range){2, 4};
    case MARTLET_Q4_1: return (word_range){4, 4};
    case MARTLET_Q5_0: return (word_range){2, 5};
    case MARTLET_Q5_1: return (word_range){4, 5};
    case MARTLET_Q4_K: return (word_range){4, 35};
    case MARTLET_Q5_K: return (word_range){4, 43};
    case MARTLET_Q6_K: return (word_range){0, 52};
    default: return (word_range){0, 0};
    }
}

/// Byte offsets within a packed block.
static inline size_t scales_at(martlet_type type) { return block_words(type).count * WORD_ROW; }
static inline size_t sub_scales_at(martlet_type type) { return type == MARTLET_Q6_K ? 48 * WORD_ROW : 0; }
static inline size_t nibbles_at(martlet_type type) {
    switch (type) {
    case MARTLET_Q5_0: case MARTLET_Q5_1: return WORD_ROW;
    case MARTLET_Q4_K: return 3 * WORD_ROW;
    case MARTLET_Q5_K: return 11 * WORD_ROW;
    default: return 0;
    }
}
static inline size_t high_bits_at(martlet_type type) {
    return type == MARTLET_Q5_K ? 3 * WORD_ROW : type == MARTLET_Q6_K ? 32 * WORD_ROW : 0;
}

/// A prepared activation row for quantized weights, of K inputs: int8 values [K], f32 scales [K / 32], and [K / 16]
/// words of corrections: what the integer sums start at (−offset · Σ q, once per 32, for q6_K per 16), or −scale · Σ q
/// for formats with minima.
typedef struct {
    const int8_t *values;
    const float *scales;
    const uint8_t *corrections;
} activation_row;

static inline activation_row activation_parts(const void *row, size_t inputs) {
    const uint8_t *base = row;
    return (activation_row){(const int8_t *)base, (const float *)(base + inputs), base + inputs + inputs / BLOCK * sizeof(float)};
}

static inline bool is_quantized(martlet_type type) { return block_elements(type) > 1; }
static inline bool has_sub_scales(martlet_type type) { return type == MARTLET_Q4_K || type == MARTLET_Q5_K; }
static inline bool has_minima(martlet_type type) {
    return has_sub_scales(type) || type == MARTLET_Q4_1 || type == MARTLET_Q5_1;
}
static inline bool has_fifth_bits(martlet_type type) { return type == MARTLET_Q5_0 || type == MARTLET_Q5_1; }

/// The offset that was added to the signed weights to store them unsigned.
static inline int weight_offset(martlet_type type) {
    return type == MARTLET_Q8_0 ? 128 : type == MARTLET_Q4_0 ? 8 : type == MARTLET_Q5_0 ? 16 : type == MARTLET_Q6_K ? 32 : 0;
}

#endif
