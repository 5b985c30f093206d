// The K-quants' reference encoders, and how integers are put into blocks.

#ifndef MARTLET_ENCODE_H
#define MARTLET_ENCODE_H

#include "blocks.h"
#include <string.h>

/// Nearest integer, ties to even, for |x| < 2^22.
static inline int nearest(float x) {
    const float shifted = x + 0x1.8p23f;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    return (bits & 0x007fffff) - 0x00400000;
}

static inline int clamp(int x, int lowest, int highest) { return x < lowest ? lowest : x > highest ? highest : x; }

void martlet_encode_q4_K(const float *values, block_q4_K *block);
void martlet_encode_q5_K(const float *values, block_q5_K *block);
void martlet_encode_q6_K(const float *values, block_q6_K *block);

/// 32 integers of four or, with `high`, five bits: element i low, i + 16 high.
void martlet_store_halves(const uint8_t *q, uint8_t *nibbles, uint8_t *high);
/// Eight six-bit scales and minima: the inverse of `sub_scale`.
void martlet_store_sub_scales(const int scales[8], const int minima[8], uint8_t packed[12]);
/// 256 integers of four or, with `high`, five bits, as q4_K and q5_K have them.
void martlet_store_nibble_pairs(const uint8_t *q, uint8_t *nibbles, uint8_t *high);
/// 256 integers of six bits.
void martlet_store_q6(const uint8_t *q, block_q6_K *block);

#endif
