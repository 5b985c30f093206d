// f32 to stored elements, rounded as ggml's reference quantizers round.

#include "encode.h"
#include <math.h>

#pragma clang fp contract(off)

static void encode_bf16(float value, uint8_t *stored) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const bool nan = (bits & 0x7fffffff) > 0x7f800000;
    bits = nan ? (bits >> 16 | 64) : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    stored[0] = (uint8_t)bits, stored[1] = (uint8_t)(bits >> 8);
}

/// Symmetric: the largest magnitude becomes ±127; halves round away from zero.
static void encode_q8_0(const float *values, block_q8_0 *block) {
    float largest = 0;
    for (int i = 0; i < BLOCK; i++) largest = fmaxf(largest, fabsf(values[i]));
    const float scale = largest / 127.0f, inverse = scale != 0 ? 1.0f / scale : 0.0f;
    martlet_float_to_half(scale, block->scale);
    for (int i = 0; i < BLOCK; i++) block->values[i] = (int8_t)fminf(127, fmaxf(-127, roundf(values[i] * inverse)));
}

/// Integers of four or, with `high`, five bits.
void martlet_store_halves(const uint8_t *q, uint8_t *nibbles, uint8_t *high) {
    for (int i = 0; i < 16; i++) nibbles[i] = (uint8_t)((q[i] & 15) | (q[i + 16] & 15) << 4);
    if (!high) return;
    memset(high, 0, 4);
    for (int i = 0; i < BLOCK; i++) high[i / 8] |= (uint8_t)((q[i] >> 4) << (i % 8));
}

/// The value of largest magnitude becomes the lowest integer, −`middle`, so that none of the levels is lost to
/// symmetry.
static void encode_signed(const float *values, int middle, uint8_t *scale_at, uint8_t *nibbles, uint8_t *high) {
    float extreme = 0;
    for (int i = 0; i < BLOCK; i++)
        if (fabsf(values[i]) > fabsf(extreme)) extreme = values[i];
    const float scale = extreme / (float)-middle, inverse = scale != 0 ? 1.0f / scale : 0.0f;
    martlet_float_to_half(scale, scale_at);
    uint8_t q[BLOCK];
    for (int i = 0; i < BLOCK; i++) q[i] = (uint8_t)fminf((float)(2 * middle - 1), values[i] * inverse + ((float)middle + 0.5f));
    martlet_store_halves(q, nibbles, high);
}

/// The lowest value becomes 0 and the highest `levels`.
static void encode_from_minimum(const float *values, int levels, uint8_t *scale_at, uint8_t *nibbles, uint8_t *high) {
    float lowest = values[0], highest = values[0];
    for (int i = 1; i < BLOCK; i++) lowest = fminf(lowest, values[i]), highest = fmaxf(highest, values[i]);
    const float scale = (highest - lowest) / (float)levels, inverse = scale != 0 ? 1.0f / scale : 0.0f;
    martlet_float_to_half(scale, scale_at);
    martlet_float_to_half(lowest, scale_at + 2);
    uint8_t q[BLOCK];
    for (int i = 0; i < BLOCK; i++) q[i] = (uint8_t)fminf((float)levels, (values[i] - lowest) * inverse + 0.5f);
    martlet_store_halves(q, nibbles, high);
}

static void encode_half_bytes(martlet_type type, const float *values, uint8_t *stored) {
    switch (type) {
    case MARTLET_Q4_0: encode_signed(values, 8, stored, ((block_q4_0 *)stored)->nibbles, NULL); break;
    case MARTLET_Q4_1: encode_from_minimum(values, 15, stored, ((block_q4_1 *)stored)->nibbles, NULL); break;
    case MARTLET_Q5_0: encode_signed(values, 16, stored, ((block_q5_0 *)stored)->nibbles, ((block_q5_0 *)stored)->high); break;
    default: encode_from_minimum(values, 31, stored, ((block_q5_1 *)stored)->nibbles, ((block_q5_1 *)stored)->high);
    }
}

static void encode_block(martlet_type type, const float *values, uint8_t *stored) {
    switch (type) {
    case MARTLET_F16: martlet_float_to_half(*values, stored); break;
    case MARTLET_BF16: case MARTLET_BF16_PAIRS: encode_bf16(*values, stored); break;
    case MARTLET_Q8_0: encode_q8_0(values, (block_q8_0 *)stored); break;
    case MARTLET_Q4_0: case MARTLET_Q4_1: case MARTLET_Q5_0: case MARTLET_Q5_1: encode_half_bytes(type, values, stored); break;
    case MARTLET_Q4_K: martlet_encode_q4_K(values, (block_q4_K *)stored); break;
    case MARTLET_Q5_K: martlet_encode_q5_K(values, (block_q5_K *)stored); break;
    case MARTLET_Q6_K: martlet_encode_q6_K(values, (block_q6_K *)stored); break;
    default: break;
    }
}

bool martlet_encode(martlet_type type, const float *values, void *stored, size_t count) {
    if (type == MARTLET_I32) return false;
    if (type == MARTLET_F32) return memcpy(stored, values, count * sizeof(float)), true;
    const size_t elements = block_elements(type), size = block_bytes(type);
    for (size_t i = 0; i < count / elements; i++) encode_block(type, values + i * elements, (uint8_t *)stored + i * size);
    return true;
}
