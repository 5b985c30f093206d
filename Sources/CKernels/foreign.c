// The element types of ggml that products do not take. Sources: the block structures of ggml; the gguf package is
// followed bit for bit.

#include "include/martlet_foreign.h"
#include "blocks.h"
#include "grids.h"

#pragma clang fp contract(off)

typedef struct { uint8_t scale[2], sum[2]; int8_t values[32]; } block_q8_1;
typedef struct { uint8_t scales[16], low[64], scale[2], minimum[2]; } block_q2_K;
typedef struct { uint8_t high[32], low[64], scales[12], scale[2]; } block_q3_K;
typedef struct { uint8_t scale[4]; int8_t values[256]; uint8_t sums[32]; } block_q8_K;
typedef struct { uint8_t scale[2], points[64]; } block_iq2_xxs;
typedef struct { uint8_t scale[2], points[64], scales[8]; } block_iq2_xs;
typedef struct { uint8_t scale[2], low[32], signs[32], high[8], scales[8]; } block_iq2_s;
typedef struct { uint8_t scale[2], points[64], words[32]; } block_iq3_xxs;
typedef struct { uint8_t scale[2], low[64], high[8], signs[32], scales[4]; } block_iq3_s;
typedef struct { uint8_t scale[2], low[32], high[16]; } block_iq1_s;
typedef struct { uint8_t low[32], high[16], scales[8]; } block_iq1_m;
typedef struct { uint8_t scale[2], nibbles[16]; } block_iq4_nl;
typedef struct { uint8_t scale[2], high[2], low[4], nibbles[128]; } block_iq4_xs;
typedef struct { uint8_t fives[48], fours[4], scale[2]; } block_tq1_0;
typedef struct { uint8_t quarters[64], scale[2]; } block_tq2_0;
typedef struct { uint8_t exponent, nibbles[16]; } block_mxfp4;
typedef struct { uint8_t scales[4], nibbles[32]; } block_nvfp4;

static uint16_t word16(const uint8_t *bytes) { return (uint16_t)(bytes[0] | bytes[1] << 8); }

static uint32_t word32(const uint8_t *bytes) { return word16(bytes) | (uint32_t)word16(bytes + 2) << 16; }

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// ---------------------------------------------------------------- integers times a scale

static const int8_t nonlinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
/// Twice the numbers of FP4 (E2M1).
static const int8_t fp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static void look_up(const uint8_t *nibbles, int count, const int8_t table[16], int8_t *values) {
    for (int i = 0; i < count; i++) values[i] = table[nibbles[i] & 15], values[i + count] = table[nibbles[i] >> 4];
}

/// Half of 2^(exponent − 127), which is a subnormal number for the two smallest.
static float half_power(uint8_t exponent) {
    return float_of(exponent < 2 ? 0x00200000u << exponent : (uint32_t)(exponent - 1) << 23);
}

/// An unsigned E4M3, halved.
static float half_e4m3(uint8_t byte) {
    if (byte == 0 || byte == 0x7F) return 0;
    const int exponent = byte >> 3 & 15;
    const float mantissa = (float)(byte & 7);
    const float value = exponent == 0 ? mantissa / 512 : (1 + mantissa / 8) * float_of((uint32_t)(exponent + 120) << 23);
    return value * 0.5f;
}

static void ternary(const uint8_t *bytes, int count, int digits, int8_t *values) {
    static const uint8_t powers[5] = {1, 3, 9, 27, 81};
    for (int digit = 0; digit < digits; digit++)
        for (int i = 0; i < count; i++)
            values[digit * count + i] = (int8_t)(((uint8_t)(bytes[i] * powers[digit]) * 3 >> 8) - 1);
}

/// The integers of a block that has one scale. False for other types.
static bool integers(uint32_t type, const void *block, float *scale, int8_t *values) {
    switch (type) {
    case MARTLET_GGML_Q8_1: {
        const block_q8_1 *source = block;
        *scale = martlet_half_to_float(source->scale);
        memcpy(values, source->values, sizeof source->values);
        return true;
    }
    case MARTLET_GGML_IQ4_NL: {
        const block_iq4_nl *source = block;
        *scale = martlet_half_to_float(source->scale);
        look_up(source->nibbles, 16, nonlinear, values);
        return true;
    }
    case MARTLET_GGML_MXFP4: {
        const block_mxfp4 *source = block;
        *scale = half_power(source->exponent);
        look_up(source->nibbles, 16, fp4, values);
        return true;
    }
    case MARTLET_GGML_TQ1_0: {
        const block_tq1_0 *source = block;
        *scale = martlet_half_to_float(source->scale);
        ternary(source->fives, 32, 5, values);
        ternary(source->fives + 32, 16, 5, values + 160);
        ternary(source->fours, 4, 4, values + 240);
        return true;
    }
    case MARTLET_GGML_TQ2_0: {
        const block_tq2_0 *source = block;
        *scale = martlet_half_to_float(source->scale);
        for (int i = 0; i < SUPERBLOCK; i++)
            values[i] = (int8_t)((source->quarters[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3) - 1);
        return true;
    }
    case MARTLET_GGML_Q8_K: {
        const block_q8_K *source = block;
        *scale = float_of(word32(source->scale));
        memcpy(values, source->values, sizeof source->values);
        return true;
    }
    default: return false;
    }
}

// ---------------------------------------------------------------- sixteen or thirty-two to a scale

static int low_or_high(const uint8_t *nibbles, int index) { return nibbles[index / 2] >> (index % 2 * 4) & 15; }

static void decode_q2(const block_q2_K *block, float *values) {
    const float scale = martlet_half_to_float(block->scale), minimum = martlet_half_to_float(block->minimum);
    for (int i = 0; i < SUPERBLOCK; i++) {
        const int q = block->low[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3, s = block->scales[i / 16];
        values[i] = scale * (float)(s & 15) * (float)q - minimum * (float)(s >> 4);
    }
}

static int q3_scale(const block_q3_K *block, int k) {
    const int low = block->scales[k % 8] >> (k / 8 * 4) & 15, high = block->scales[8 + k % 4] >> (k / 4 * 2) & 3;
    return (low | high << 4) - 32;
}

static int q3_value(const block_q3_K *block, int i) {
    const int low = block->low[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
    return low - ((block->high[i % 32] >> (i / 32) & 1) != 0 ? 0 : 4);
}

static void decode_q3(const block_q3_K *block, float *values) {
    const float scale = martlet_half_to_float(block->scale);
    for (int i = 0; i < SUPERBLOCK; i++) values[i] = scale * (float)q3_scale(block, i / 16) * (float)q3_value(block, i);
}

static void decode_iq4_xs(const block_iq4_xs *block, float *values) {
    const float scale = martlet_half_to_float(block->scale);
    const uint16_t high = word16(block->high);
    for (int s = 0; s < 8; s++) {
        const int sub = (low_or_high(block->low, s) | (high >> (2 * s) & 3) << 4) - 32;
        const float factor = scale * (float)sub;
        int8_t integers[BLOCK];
        look_up(block->nibbles + 16 * s, 16, nonlinear, integers);
        for (int i = 0; i < BLOCK; i++) values[32 * s + i] = factor * (float)integers[i];
    }
}

static void decode_nvfp4(const block_nvfp4 *block, float *values) {
    for (int s = 0; s < 4; s++) {
        const float scale = half_e4m3(block->scales[s]);
        int8_t integers[16];
        look_up(block->nibbles + 8 * s, 8, fp4, integers);
        for (int i = 0; i < 16; i++) values[16 * s + i] = scale * (float)integers[i];
    }
}

// ---------------------------------------------------------------- points of a grid

static int coordinate2(const uint8_t *grid, const int8_t *table, int point, int i) {
    return table[grid[2 * point + i / 4] >> (i % 4 * 2) & 3];
}

static int coordinate4(const uint8_t *grid, const int8_t *table, int point, int i) {
    return table[grid[2 * point + i / 2] >> (i % 2 * 4) & 15];
}

/// Eight coordinates of one point.
static void point8(const uint8_t *grid, const int8_t *table, int point, uint8_t signs, float scale, float *values) {
    for (int i = 0; i < 8; i++) {
        const float value = scale * (float)coordinate2(grid, table, point, i);
        values[i] = (signs >> i & 1) != 0 ? -value : value;
    }
}

/// Eight coordinates of two points.
static void points4(const uint8_t *grid, const int8_t *table, int first, int second, uint8_t signs, float scale, float *values) {
    for (int i = 0; i < 8; i++) {
        const float value = scale * (float)coordinate4(grid, table, i < 4 ? first : second, i % 4);
        values[i] = (signs >> i & 1) != 0 ? -value : value;
    }
}

static void decode_iq2_xxs(const block_iq2_xxs *block, float *values) {
    const float scale = martlet_half_to_float(block->scale);
    for (int s = 0; s < 8; s++) {
        const uint8_t *points = block->points + 8 * s;
        const uint32_t word = word32(points + 4);
        const float factor = scale * (0.5f + (float)(word >> 28)) * 0.25f;
        for (int g = 0; g < 4; g++)
            point8(iq2_xxs_grid, iq2_xxs_values, points[g], even_signs[word >> (7 * g) & 127], factor, values + 32 * s + 8 * g);
    }
}

static void decode_iq2_xs(const block_iq2_xs *block, float *values) {
    const float scale = martlet_half_to_float(block->scale);
    for (int g = 0; g < 32; g++) {
        const uint16_t word = word16(block->points + 2 * g);
        const float factor = scale * (0.5f + (float)low_or_high(block->scales, g / 2)) * 0.25f;
        point8(iq2_xs_grid, iq2_xs_values, word & 511, even_signs[word >> 9], factor, values + 8 * g);
    }
}

static void decode_iq2_s(const block_iq2_s *block, float *values) {
    const float scale = martlet_half_to_float(block->scale);
    for (int g = 0; g < 32; g++) {
        const int point = block->low[g] | (block->high[g / 4] >> (g % 4 * 2) & 3) << 8;
        const float factor = scale * (0.5f + (float)low_or_high(block->scales, g / 2)) * 0.25f;
        point8(iq2_s_grid, iq2_s_values, point, block->signs[g], factor, values + 8 * g);
    }
}

static void decode_iq3_xxs(const block_iq3_xxs *block, float *values) {
    const float scale = martlet_half_to_float(block->scale);
    for (int g = 0; g < 32; g++) {
        const uint32_t word = word32(block->words + g / 4 * 4);
        const float factor = scale * (0.5f + (float)(word >> 28)) * 0.5f;
        points4(iq3_xxs_grid, iq3_xxs_values, block->points[2 * g], block->points[2 * g + 1],
                even_signs[word >> (g % 4 * 7) & 127], factor, values + 8 * g);
    }
}

static void decode_iq3_s(const block_iq3_s *block, float *values) {
    const float scale = martlet_half_to_float(block->scale);
    for (int g = 0; g < 32; g++) {
        const float factor = scale * (float)(1 + 2 * low_or_high(block->scales, g / 4));
        int points[2];
        for (int i = 0; i < 2; i++) {
            const int k = 2 * g + i;
            points[i] = block->low[k] | (block->high[k / 8] >> (k % 8) & 1) << 8;
        }
        points4(iq3_s_grid, iq3_s_values, points[0], points[1], block->signs[g], factor, values + 8 * g);
    }
}

/// Eight coordinates of −1, 0 and 1, all shifted by an eighth.
static void shifted_point(int point, bool isNegative, float scale, float *values) {
    for (int i = 0; i < 8; i++)
        values[i] = scale * ((float)coordinate2(iq1_grid, iq1_values, point, i) + (isNegative ? -0.125f : 0.125f));
}

static void decode_iq1_s(const block_iq1_s *block, float *values) {
    const float scale = martlet_half_to_float(block->scale);
    for (int g = 0; g < 32; g++) {
        const uint16_t word = word16(block->high + g / 4 * 2);
        const float factor = scale * (float)(2 * (word >> 12 & 7) + 1);
        const int point = block->low[g] | (word >> (g % 4 * 3) & 7) << 8;
        shifted_point(point, (word & 0x8000) != 0, factor, values + 8 * g);
    }
}

static void decode_iq1_m(const block_iq1_m *block, float *values) {
    uint16_t half = 0;
    for (int i = 0; i < 4; i++) half |= (uint16_t)((word16(block->scales + 2 * i) & 0xF000) >> (12 - 4 * i));
    const uint8_t bytes[2] = {(uint8_t)half, (uint8_t)(half >> 8)};
    const float scale = martlet_half_to_float(bytes);
    for (int g = 0; g < 32; g++) {
        const int sub = word16(block->scales + g / 8 * 2) >> (g / 2 % 4 * 3) & 7, high = low_or_high(block->high, g);
        shifted_point(block->low[g] | (high & 7) << 8, (high & 8) != 0, scale * (float)(2 * sub + 1), values + 8 * g);
    }
}

// ---------------------------------------------------------------- all of them

static size_t elements(uint32_t type) {
    switch (type) {
    case MARTLET_GGML_I8: case MARTLET_GGML_I16: case MARTLET_GGML_I64: case MARTLET_GGML_F64: return 1;
    case MARTLET_GGML_Q8_1: case MARTLET_GGML_IQ4_NL: case MARTLET_GGML_MXFP4: return BLOCK;
    case MARTLET_GGML_NVFP4: return 64;
    default: return SUPERBLOCK;
    }
}

static size_t bytes(uint32_t type) {
    switch (type) {
    case MARTLET_GGML_I8: return 1;
    case MARTLET_GGML_I16: return 2;
    case MARTLET_GGML_I64: case MARTLET_GGML_F64: return 8;
    case MARTLET_GGML_Q8_1: return sizeof(block_q8_1);
    case MARTLET_GGML_Q2_K: return sizeof(block_q2_K);
    case MARTLET_GGML_Q3_K: return sizeof(block_q3_K);
    case MARTLET_GGML_Q8_K: return sizeof(block_q8_K);
    case MARTLET_GGML_IQ2_XXS: return sizeof(block_iq2_xxs);
    case MARTLET_GGML_IQ2_XS: return sizeof(block_iq2_xs);
    case MARTLET_GGML_IQ2_S: return sizeof(block_iq2_s);
    case MARTLET_GGML_IQ3_XXS: return sizeof(block_iq3_xxs);
    case MARTLET_GGML_IQ3_S: return sizeof(block_iq3_s);
    case MARTLET_GGML_IQ1_S: return sizeof(block_iq1_s);
    case MARTLET_GGML_IQ1_M: return sizeof(block_iq1_m);
    case MARTLET_GGML_IQ4_NL: return sizeof(block_iq4_nl);
    case MARTLET_GGML_IQ4_XS: return sizeof(block_iq4_xs);
    case MARTLET_GGML_TQ1_0: return sizeof(block_tq1_0);
    case MARTLET_GGML_TQ2_0: return sizeof(block_tq2_0);
    case MARTLET_GGML_MXFP4: return sizeof(block_mxfp4);
    case MARTLET_GGML_NVFP4: return sizeof(block_nvfp4);
    default: return 0;
    }
}

static void decode_element(uint32_t type, const uint8_t *stored, float *value) {
    if (type == MARTLET_GGML_I8) {
        *value = (float)(int8_t)stored[0];
    } else if (type == MARTLET_GGML_I16) {
        *value = (float)(int16_t)word16(stored);
    } else {
        const uint64_t word = word32(stored) | (uint64_t)word32(stored + 4) << 32;
        double number;
        memcpy(&number, &word, sizeof number);
        *value = type == MARTLET_GGML_I64 ? (float)(int64_t)word : (float)number;
    }
}

static void decode_one(uint32_t type, const uint8_t *block, float *values) {
    switch (type) {
    case MARTLET_GGML_I8: case MARTLET_GGML_I16: case MARTLET_GGML_I64: case MARTLET_GGML_F64:
        decode_element(type, block, values);
        break;
    case MARTLET_GGML_Q2_K: decode_q2((const void *)block, values); break;
    case MARTLET_GGML_Q3_K: decode_q3((const void *)block, values); break;
    case MARTLET_GGML_IQ4_XS: decode_iq4_xs((const void *)block, values); break;
    case MARTLET_GGML_NVFP4: decode_nvfp4((const void *)block, values); break;
    case MARTLET_GGML_IQ2_XXS: decode_iq2_xxs((const void *)block, values); break;
    case MARTLET_GGML_IQ2_XS: decode_iq2_xs((const void *)block, values); break;
    case MARTLET_GGML_IQ2_S: decode_iq2_s((const void *)block, values); break;
    case MARTLET_GGML_IQ3_XXS: decode_iq3_xxs((const void *)block, values); break;
    case MARTLET_GGML_IQ3_S: decode_iq3_s((const void *)block, values); break;
    case MARTLET_GGML_IQ1_S: decode_iq1_s((const void *)block, values); break;
    case MARTLET_GGML_IQ1_M: decode_iq1_m((const void *)block, values); break;
    default: {
        float scale = 0;
        int8_t q[SUPERBLOCK];
        integers(type, block, &scale, q);
        for (size_t i = 0; i < elements(type); i++) values[i] = scale * (float)q[i];
    }
    }
}

bool martlet_decode_foreign(uint32_t type, const void *stored, float *values, size_t blocks) {
    if (bytes(type) == 0) return false;
    for (size_t block = 0; block < blocks; block++)
        decode_one(type, (const uint8_t *)stored + block * bytes(type), values + block * elements(type));
    return true;
}

/// Sub-blocks of sixteen with a scale each are there in both; a q6_K integer is one of 64.
static void repack_q3(const block_q3_K *source, block_q6_K *target) {
    memset(target, 0, sizeof *target);
    memcpy(target->scale, source->scale, sizeof target->scale);
    for (int k = 0; k < 16; k++) target->scales[k] = (int8_t)q3_scale(source, k);
    for (int i = 0; i < SUPERBLOCK; i++) {
        const int q = q3_value(source, i) + 32, half = i / 128, quarter = i / 32 % 4;
        target->low[64 * half + 32 * (quarter & 1) + i % 32] |= (uint8_t)((q & 15) << (quarter < 2 ? 0 : 4));
        target->high[32 * half + i % 32] |= (uint8_t)(q >> 4 << (2 * quarter));
    }
}

static bool repack_integers(uint32_t type, const uint8_t *source, block_q8_0 *target) {
    float scale;
    int8_t q[SUPERBLOCK];
    uint8_t half[2];
    if (!integers(type, source, &scale, q)) return false;
    martlet_float_to_half(scale, half);
    if (martlet_half_to_float(half) != scale) return false;
    for (size_t part = 0; part < elements(type) / BLOCK; part++) {
        memcpy(target[part].scale, half, sizeof half);
        memcpy(target[part].values, q + BLOCK * part, BLOCK);
    }
    return true;
}

bool martlet_repack_foreign(uint32_t type, const void *stored, void *repacked, size_t blocks) {
    const uint8_t *source = stored;
    if (type == MARTLET_GGML_Q3_K) {
        for (size_t block = 0; block < blocks; block++)
            repack_q3((const void *)(source + block * bytes(type)), (block_q6_K *)repacked + block);
        return true;
    }
    for (size_t block = 0; block < blocks; block++) {
        block_q8_0 *target = (block_q8_0 *)repacked + block * (elements(type) / BLOCK);
        if (!repack_integers(type, source + block * bytes(type), target)) return false;
    }
    return true;
}
