// How a panel of MARTLET_PANEL = 64 output columns lies in memory.
//
// "Quad": four consecutive inputs of one column, four bytes, the unit of an integer dot product. [columns] is always 64.
//   f32     [inputs][columns]
//   f16     [inputs][columns]
//   bf16    [inputs / 2][columns][2]                  (an odd last input is paired with zero)
//   q8_0    per 32: quads [8][columns] of value + 128, f16 scale [columns]
//   q4_0    per 32: quad pairs [4][columns] (quad i in the low nibbles, i + 4 in the high), f16 scale [columns]
//   q4_K    per 256: quad pairs [8 sub-blocks][4][columns], 12 scale bytes as 3 words [3][columns], f16 scale, f16 minimum
//   q5_K    q4_K, and fifth bits [8][columns][4]: bit s of quad i belongs to sub-block s
//   q6_K    per 256: quad pairs [8 × 32][4][columns], upper two bits [4][4][columns][4] (of quads i and i + 4 of two successive 32),
//           16 sub-scales as 4 words [4][columns], f16 scale
// Every panel takes exactly the bytes of the stored rows, so a packed weight is no larger than the file's.

#ifndef MARTLET_PANEL_H
#define MARTLET_PANEL_H

#include "blocks.h"

enum {
    PANEL = MARTLET_PANEL,
    QUADS = BLOCK / 4,
    QUAD_ROW = 4 * PANEL,                      // bytes of one quad (or quad pair) of every column
    NIBBLE_BLOCK = QUADS / 2 * QUAD_ROW,       // bytes of 32 inputs in quad pairs
    NIBBLES = SUPERBLOCK / BLOCK * NIBBLE_BLOCK,
    K_HIGH = QUADS * QUAD_ROW,                 // q5_K's fifth bits
    Q6_HIGH = 16 * QUAD_ROW,
    HALF_ROW = 2 * PANEL,                      // bytes of one f16 of every column
    WORD_ROW = 4 * PANEL
};

/// Where the parts of q4_K, q5_K and q6_K stand within a packed superblock.
static inline size_t sub_scales_at(martlet_type type) {
    return NIBBLES + (type == MARTLET_Q5_K ? K_HIGH : type == MARTLET_Q6_K ? Q6_HIGH : 0);
}
static inline size_t scales_at(martlet_type type) {
    switch (type) {
    case MARTLET_Q8_0: return QUADS * QUAD_ROW;
    case MARTLET_Q4_0: return NIBBLE_BLOCK;
    default: return sub_scales_at(type) + (type == MARTLET_Q6_K ? 4 : 3) * WORD_ROW;
    }
}

/// One prepared activation row for quantized weights, of K inputs: int8 values [K], f32 scales [K / 32], and [K / 16] words of
/// corrections: what the integer sums start at (−offset · Σ q, once per 32, for q6_K per 16), or −scale · Σ q for formats with minima.
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
static inline bool has_minima(martlet_type type) { return type == MARTLET_Q4_K || type == MARTLET_Q5_K; }

/// What was added to the signed weights to store them unsigned.
static inline int weight_offset(martlet_type type) {
    return type == MARTLET_Q8_0 ? 128 : type == MARTLET_Q4_0 ? 8 : type == MARTLET_Q6_K ? 32 : 0;
}

#endif
