// Row-major weights to panels: a transposition of words, in runs short enough that both sides stay in the first-level cache.

#include "panel.h"

enum { RUN = 32 };

size_t martlet_panel_bytes(martlet_type type, size_t inputs) {
    switch (type) {
    case MARTLET_F32: case MARTLET_F16: return inputs * PANEL * block_bytes(type);
    case MARTLET_BF16: case MARTLET_BF16_PAIRS: return (inputs + 1) / 2 * WORD_ROW;
    case MARTLET_I32: return 0;
    default: return inputs / block_elements(type) * block_bytes(type) * PANEL;
    }
}

static inline void copy_words(const uint8_t *source, size_t count, uint32_t flip, uint8_t *target) {
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, source + 4 * i, 4);
        word ^= flip;
        memcpy(target + i * WORD_ROW, &word, 4);
    }
}

static void pack_words(const uint8_t *rows, size_t row_bytes, size_t columns, size_t words, uint8_t *panel) {
    for (size_t first = 0; first < words; first += RUN)
        for (size_t c = 0; c < columns; c++)
            copy_words(rows + c * row_bytes + 4 * first, words - first < RUN ? words - first : RUN, 0, panel + first * WORD_ROW + 4 * c);
}

static void pack_halves(const uint8_t *rows, size_t row_bytes, size_t columns, size_t inputs, uint8_t *panel) {
    for (size_t first = 0; first < inputs; first += RUN)
        for (size_t c = 0; c < columns; c++)
            for (size_t k = first; k < inputs && k < first + RUN; k++)
                memcpy(panel + k * HALF_ROW + 2 * c, rows + c * row_bytes + 2 * k, 2);
}

static void pack_bf16(const uint8_t *rows, size_t row_bytes, size_t columns, size_t inputs, uint8_t *panel) {
    pack_words(rows, row_bytes, columns, inputs / 2, panel);
    if (inputs % 2 == 0) return;
    uint8_t *last = panel + inputs / 2 * WORD_ROW;
    memset(last, 0, WORD_ROW);
    for (size_t c = 0; c < columns; c++) memcpy(last + 4 * c, rows + c * row_bytes + 2 * (inputs - 1), 2);
}

/// Bit 4i + j to bit i of byte j, so that shifting brings the fifth bits of one quad into place.
static inline uint32_t transposed_bits(uint32_t bits) {
    uint32_t result = 0;
    for (uint32_t j = 0; j < 4; j++)
        for (uint32_t i = 0; i < 8; i++) result |= (bits >> (4 * i + j) & 1) << (8 * j + i);
    return result;
}

static inline void transpose_word(uint8_t *place) {
    uint32_t word;
    memcpy(&word, place, 4);
    word = transposed_bits(word);
    memcpy(place, &word, 4);
}

static void pack_blocks(martlet_type type, const uint8_t *rows, size_t row_bytes, size_t columns, size_t inputs, uint8_t *panel) {
    const word_range words = block_words(type);
    const size_t size = block_bytes(type), scale_at = type == MARTLET_Q6_K ? offsetof(block_q6_K, scale) : 0;
    const uint32_t flip = type == MARTLET_Q8_0 ? 0x80808080 : 0;  // adds 128 to each signed byte
    for (size_t b = 0; b < inputs / block_elements(type); b++, rows += size, panel += size * PANEL)
        for (size_t c = 0; c < columns; c++) {
            const uint8_t *block = rows + c * row_bytes;
            copy_words(block + words.at, words.count, flip, panel + 4 * c);
            if (has_fifth_bits(type)) transpose_word(panel + 4 * c);
            memcpy(panel + scales_at(type) + 2 * c, block + scale_at, 2);
            if (has_minima(type)) memcpy(panel + scales_at(type) + HALF_ROW + 2 * c, block + offsetof(block_q4_K, minimum), 2);
        }
}

void martlet_pack(martlet_type type, const void *stored, size_t row_bytes, size_t outputs, size_t inputs, void *packed,
                  size_t first_panel, size_t end_panel) {
    const size_t bytes = martlet_panel_bytes(type, inputs);
    for (size_t p = first_panel; p < end_panel; p++) {
        uint8_t *panel = (uint8_t *)packed + p * bytes;
        const size_t first = p * PANEL, columns = outputs - first < PANEL ? outputs - first : PANEL;
        const uint8_t *rows = (const uint8_t *)stored + first * row_bytes;
        if (columns < PANEL) memset(panel, 0, bytes);
        switch (type) {
        case MARTLET_F32: pack_words(rows, row_bytes, columns, inputs, panel); break;
        case MARTLET_F16: pack_halves(rows, row_bytes, columns, inputs, panel); break;
        case MARTLET_BF16: case MARTLET_BF16_PAIRS: pack_bf16(rows, row_bytes, columns, inputs, panel); break;
        case MARTLET_I32: break;
        default: pack_blocks(type, rows, row_bytes, columns, inputs, panel);
        }
    }
}
