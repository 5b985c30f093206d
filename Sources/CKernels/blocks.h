// ggml's quantized blocks as they lie in a file (little endian, no padding), and the geometry that packing shares with
// the products.

#ifndef MARTLET_BLOCKS_H
#define MARTLET_BLOCKS_H

#include "include/CMartletKernels.h"
#include <string.h>

/// Elements that share one activation scale, and so the unit of a quantized product.
enum { BLOCK = 32, SUPERBLOCK = 256 };

typedef struct { uint8_t scale[2]; int8_t values[32]; } block_q8_0;
typedef struct { uint8_t scale[2]; uint8_t nibbles[16]; } block_q4_0;  // element i low, i + 16 high; value − 8
typedef struct { uint8_t scale[2], minimum[2], nibbles[16]; } block_q4_1;       // scale · q + minimum
// Bit i of `high` is the fifth of element i; value − 16.
typedef struct { uint8_t scale[2], high[4], nibbles[16]; } block_q5_0;
typedef struct { uint8_t scale[2], minimum[2], high[4], nibbles[16]; } block_q5_1;
// Σ: scale·s·q − minimum·m, 8 sub-blocks.
typedef struct { uint8_t scale[2], minimum[2], scales[12], nibbles[128]; } block_q4_K;
typedef struct { uint8_t scale[2], minimum[2], scales[12], high[32], nibbles[128]; } block_q5_K;
// Value − 32, 16 sub-blocks.
typedef struct { uint8_t low[128], high[64]; int8_t scales[16]; uint8_t scale[2]; } block_q6_K;

/// Elements of one stored block; 1 for plain types.
static inline size_t block_elements(martlet_type type) {
    switch (type) {
    case MARTLET_Q8_0: case MARTLET_Q4_0: case MARTLET_Q4_1: case MARTLET_Q5_0: case MARTLET_Q5_1: return BLOCK;
    case MARTLET_Q4_K: case MARTLET_Q5_K: case MARTLET_Q6_K: return SUPERBLOCK;
    default: return 1;
    }
}

static inline size_t block_bytes(martlet_type type) {
    switch (type) {
    case MARTLET_F32: case MARTLET_I32: return 4;
    case MARTLET_F16: case MARTLET_BF16: case MARTLET_BF16_PAIRS: return 2;
    case MARTLET_Q8_0: return sizeof(block_q8_0);
    case MARTLET_Q4_0: return sizeof(block_q4_0);
    case MARTLET_Q4_1: return sizeof(block_q4_1);
    case MARTLET_Q5_0: return sizeof(block_q5_0);
    case MARTLET_Q5_1: return sizeof(block_q5_1);
    case MARTLET_Q4_K: return sizeof(block_q4_K);
    case MARTLET_Q5_K: return sizeof(block_q5_K);
    case MARTLET_Q6_K: return sizeof(block_q6_K);
    }
    return 0;
}

/// Six-bit scale and minimum of sub-block s (0 to 7) of q4_K and q5_K: the low six bits of bytes 0–7 for the first
/// four, a nibble of bytes 8–11 under the top two bits of bytes 0–7 for the rest.
static inline void sub_scale(const uint8_t scales[12], int s, int *scale, int *minimum) {
    if (s < 4) {
        *scale = scales[s] & 63, *minimum = scales[s + 4] & 63;
    } else {
        *scale = (scales[s + 4] & 15) | (scales[s - 4] >> 6) << 4;
        *minimum = (scales[s + 4] >> 4) | (scales[s] >> 6) << 4;
    }
}

/// Unpacks the unsigned integers of one block in the order of its elements.
void martlet_unpack_block(martlet_type type, const void *block, uint8_t *values);

float martlet_half_to_float(const uint8_t half[2]);
void martlet_float_to_half(float value, uint8_t half[2]);

#endif
