// Stored elements to f32, exactly as ggml decodes them.

#include "blocks.h"

#pragma clang fp contract(off)

static void unpack_nibble_pairs(const uint8_t *nibbles, uint8_t *values) {
    for (int pair = 0; pair < 4; pair++)
        for (int i = 0; i < 32; i++) {
            values[64 * pair + i] = nibbles[32 * pair + i] & 15;
            values[64 * pair + 32 + i] = nibbles[32 * pair + i] >> 4;
        }
}

/// Element i low, i + 16 high, below fifth bits where there are any.
static void unpack_halves(const uint8_t *nibbles, const uint8_t *high, uint8_t *values) {
    for (int i = 0; i < 16; i++) values[i] = nibbles[i] & 15, values[i + 16] = nibbles[i] >> 4;
    for (int i = 0; high && i < BLOCK; i++) values[i] |= (uint8_t)((high[i / 8] >> (i % 8) & 1) << 4);
}

static void unpack_q6(const block_q6_K *block, uint8_t *values) {
    for (int half = 0; half < 2; half++)
        for (int quarter = 0; quarter < 4; quarter++)
            for (int i = 0; i < 32; i++) {
                const int low = block->low[64 * half + 32 * (quarter & 1) + i] >> (quarter < 2 ? 0 : 4) & 15;
                const int high = block->high[32 * half + i] >> (2 * quarter) & 3;
                values[128 * half + 32 * quarter + i] = (uint8_t)(low | high << 4);
            }
}

void martlet_unpack_block(martlet_type type, const void *block, uint8_t *values) {
    switch (type) {
    case MARTLET_Q8_0:
        for (int i = 0; i < BLOCK; i++) values[i] = (uint8_t)(((const block_q8_0 *)block)->values[i] + 128);
        break;
    case MARTLET_Q4_0: unpack_halves(((const block_q4_0 *)block)->nibbles, NULL, values); break;
    case MARTLET_Q4_1: unpack_halves(((const block_q4_1 *)block)->nibbles, NULL, values); break;
    case MARTLET_Q5_0: unpack_halves(((const block_q5_0 *)block)->nibbles, ((const block_q5_0 *)block)->high, values); break;
    case MARTLET_Q5_1: unpack_halves(((const block_q5_1 *)block)->nibbles, ((const block_q5_1 *)block)->high, values); break;
    case MARTLET_Q4_K: unpack_nibble_pairs(((const block_q4_K *)block)->nibbles, values); break;
    case MARTLET_Q5_K: {
        const block_q5_K *source = block;
        unpack_nibble_pairs(source->nibbles, values);
        for (int i = 0; i < SUPERBLOCK; i++) values[i] |= (source->high[i % 32] >> (i / 32) & 1) << 4;
        break;
    }
    case MARTLET_Q6_K: unpack_q6(block, values); break;
    default: break;
    }
}

/// Decodes by scale · (q − offset), for formats whose whole block has one scale.
static void decode_plain(const uint8_t *block, const uint8_t *q, int offset, float *values) {
    const float scale = martlet_half_to_float(block);
    for (int i = 0; i < BLOCK; i++) values[i] = scale * (float)(q[i] - offset);
}

/// Decodes by scale · q + minimum.
static void decode_affine(const uint8_t *block, const uint8_t *q, float *values) {
    const float scale = martlet_half_to_float(block), minimum = martlet_half_to_float(block + 2);
    for (int i = 0; i < BLOCK; i++) values[i] = scale * (float)q[i] + minimum;
}

static void decode_with_minima(const uint8_t *block, const uint8_t *q, float *values) {
    const block_q4_K *header = (const block_q4_K *)block;  // q5_K begins alike
    const float scale = martlet_half_to_float(header->scale), minimum = martlet_half_to_float(header->minimum);
    for (int s = 0; s < 8; s++) {
        int sub, lowest;
        sub_scale(header->scales, s, &sub, &lowest);
        const float factor = scale * (float)sub, shift = minimum * (float)lowest;
        for (int i = 32 * s; i < 32 * s + 32; i++) values[i] = factor * (float)q[i] - shift;
    }
}

static void decode_q6(const block_q6_K *block, const uint8_t *q, float *values) {
    const float scale = martlet_half_to_float(block->scale);
    for (int i = 0; i < SUPERBLOCK; i++) values[i] = scale * (float)block->scales[i / 16] * (float)(q[i] - 32);
}

static void decode_block(martlet_type type, const uint8_t *block, float *values) {
    uint8_t q[SUPERBLOCK];
    martlet_unpack_block(type, block, q);
    switch (type) {
    case MARTLET_Q8_0: decode_plain(block, q, 128, values); break;
    case MARTLET_Q4_0: decode_plain(block, q, 8, values); break;
    case MARTLET_Q4_1: case MARTLET_Q5_1: decode_affine(block, q, values); break;
    case MARTLET_Q5_0: decode_plain(block, q, 16, values); break;
    case MARTLET_Q4_K: case MARTLET_Q5_K: decode_with_minima(block, q, values); break;
    case MARTLET_Q6_K: decode_q6((const block_q6_K *)block, q, values); break;
    default: break;
    }
}

void martlet_decode(martlet_type type, const void *stored, float *values, size_t count) {
    const uint8_t *bytes = stored;
    switch (type) {
    case MARTLET_F32: memcpy(values, stored, count * sizeof(float)); break;
    case MARTLET_F16:
        for (size_t i = 0; i < count; i++) values[i] = martlet_half_to_float(bytes + 2 * i);
        break;
    case MARTLET_BF16: case MARTLET_BF16_PAIRS:
        for (size_t i = 0; i < count; i++) {
            const uint32_t bits = (uint32_t)bytes[2 * i] << 16 | (uint32_t)bytes[2 * i + 1] << 24;
            memcpy(values + i, &bits, sizeof bits);
        }
        break;
    case MARTLET_I32:
        for (size_t i = 0; i < count; i++) {
            int32_t integer;
            memcpy(&integer, bytes + 4 * i, sizeof integer);
            values[i] = (float)integer;
        }
        break;
    default: {
        const size_t elements = block_elements(type), size = block_bytes(type);
        for (size_t i = 0; i < count / elements; i++) decode_block(type, bytes + i * size, values + i * elements);
    }
    }
}
