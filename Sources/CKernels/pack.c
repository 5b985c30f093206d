// Row-major weights to panels.

#include "panel.h"

size_t martlet_panel_bytes(martlet_type type, size_t inputs) {
    switch (type) {
    case MARTLET_F32: case MARTLET_F16: return inputs * PANEL * block_bytes(type);
    case MARTLET_BF16: return (inputs + 1) / 2 * PANEL * 4;
    case MARTLET_I32: return 0;
    default: return inputs / block_elements(type) * block_bytes(type) * PANEL;
    }
}

static void pack_f32(const uint8_t *row, size_t inputs, uint8_t *panel, size_t column) {
    for (size_t k = 0; k < inputs; k++) memcpy(panel + 4 * (k * PANEL + column), row + 4 * k, 4);
}

static void pack_f16(const uint8_t *row, size_t inputs, uint8_t *panel, size_t column) {
    for (size_t k = 0; k < inputs; k++) memcpy(panel + 2 * (k * PANEL + column), row + 2 * k, 2);
}

static void pack_bf16(const uint8_t *row, size_t inputs, uint8_t *panel, size_t column) {
    for (size_t k = 0; k + 1 < inputs; k += 2) memcpy(panel + 2 * (k * PANEL + 2 * column), row + 2 * k, 4);
    if (inputs % 2) memcpy(panel + 2 * ((inputs - 1) * PANEL + 2 * column), row + 2 * (inputs - 1), 2);
}

static void pack_quads(const uint8_t *q, uint8_t *quads, size_t column) {
    for (int i = 0; i < QUADS; i++) memcpy(quads + i * QUAD_ROW + 4 * column, q + 4 * i, 4);
}

/// The low nibbles of 32 values: quad i with quad i + 4 above it.
static void pack_quad_pairs(const uint8_t *q, uint8_t *quads, size_t column) {
    for (int i = 0; i < BLOCK / 2; i++)
        quads[i / 4 * QUAD_ROW + 4 * (int)column + i % 4] = (uint8_t)((q[i] & 15) | (q[i + 16] & 15) << 4);
}

/// The upper two bits of q6_K's values: four quads of two successive 32 share a byte.
static void pack_high_pairs(const uint8_t *q, uint8_t *high, size_t column) {
    for (int pair = 0; pair < 4; pair++)
        for (int i = 0; i < 16; i++) {
            const uint8_t *first = q + 64 * pair + i;
            high[(4 * pair + i / 4) * QUAD_ROW + 4 * (int)column + i % 4] =
                (uint8_t)(first[0] >> 4 | first[16] >> 4 << 2 | first[32] >> 4 << 4 | first[48] >> 4 << 6);
        }
}

static void pack_words(const void *source, int words, uint8_t *target, size_t column) {
    for (int i = 0; i < words; i++) memcpy(target + i * WORD_ROW + 4 * column, (const uint8_t *)source + 4 * i, 4);
}

static void pack_half(const uint8_t half[2], uint8_t *target, size_t column) { memcpy(target + 2 * column, half, 2); }

static void pack_block(martlet_type type, const uint8_t *block, uint8_t *target, size_t column) {
    uint8_t q[SUPERBLOCK];
    martlet_unpack_block(type, block, q);
    if (type == MARTLET_Q8_0) pack_quads(q, target, column);
    else
        for (size_t b = 0; b < block_elements(type) / BLOCK; b++) pack_quad_pairs(q + b * BLOCK, target + b * NIBBLE_BLOCK, column);
    uint8_t *scales = target + scales_at(type), *sub_scales = target + sub_scales_at(type);
    switch (type) {
    case MARTLET_Q5_K: pack_words(((const block_q5_K *)block)->high, 8, target + NIBBLES, column);  // and as q4_K
    // fall through
    case MARTLET_Q4_K:
        pack_words(((const block_q4_K *)block)->scales, 3, sub_scales, column);
        pack_half(block, scales, column);
        pack_half(block + 2, scales + HALF_ROW, column);
        break;
    case MARTLET_Q6_K:
        pack_high_pairs(q, target + NIBBLES, column);
        pack_words(((const block_q6_K *)block)->scales, 4, sub_scales, column);
        pack_half(((const block_q6_K *)block)->scale, scales, column);
        break;
    default: pack_half(block, scales, column);
    }
}

static void pack_row(martlet_type type, const uint8_t *row, size_t inputs, uint8_t *panel, size_t column) {
    switch (type) {
    case MARTLET_F32: pack_f32(row, inputs, panel, column); break;
    case MARTLET_F16: pack_f16(row, inputs, panel, column); break;
    case MARTLET_BF16: pack_bf16(row, inputs, panel, column); break;
    case MARTLET_I32: break;
    default: {
        const size_t elements = block_elements(type), size = block_bytes(type);
        for (size_t b = 0; b < inputs / elements; b++) pack_block(type, row + b * size, panel + b * size * PANEL, column);
    }
    }
}

void martlet_pack(martlet_type type, const void *stored, size_t row_bytes, size_t outputs, size_t inputs, void *packed,
                  size_t first_panel, size_t end_panel) {
    const size_t bytes = martlet_panel_bytes(type, inputs);
    for (size_t p = first_panel; p < end_panel; p++) {
        uint8_t *panel = (uint8_t *)packed + p * bytes;
        const size_t first = p * PANEL, columns = outputs - first < PANEL ? outputs - first : PANEL;
        if (columns < PANEL || (type == MARTLET_BF16 && inputs % 2)) memset(panel, 0, bytes);
        for (size_t column = 0; column < columns; column++)
            pack_row(type, (const uint8_t *)stored + (first + column) * row_bytes, inputs, panel, column);
    }
}
