// Row-major weights to panels: a transposition of words, four columns at a time in registers, in runs short enough that
// both sides stay in the first-level cache.

#include "panel.h"

enum { RUN = 32 };

typedef uint32_t u32x4 __attribute__((vector_size(16)));
typedef uint16_t u16x8 __attribute__((vector_size(16)));

size_t martlet_panel_bytes(martlet_type type, size_t inputs) {
    switch (type) {
    case MARTLET_F32: case MARTLET_F16: return inputs * PANEL * block_bytes(type);
    case MARTLET_BF16: case MARTLET_BF16_PAIRS: return (inputs + 1) / 2 * WORD_ROW;
    case MARTLET_I32: return 0;
    default: return inputs / block_elements(type) * block_bytes(type) * PANEL;
    }
}

static inline u32x4 load_four(const uint8_t *p, uint32_t flip) {
    u32x4 words;
    memcpy(&words, p, sizeof words);
    return words ^ (u32x4){flip, flip, flip, flip};
}

static inline void copy_words(const uint8_t *source, size_t count, uint32_t flip, uint8_t *target) {
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, source + 4 * i, 4);
        word ^= flip;
        memcpy(target + i * WORD_ROW, &word, 4);
    }
}

/// `count` words of each of four columns, which begin `stride` bytes apart, flipped by `flip`.
static inline void transpose_words(const uint8_t *source, size_t stride, size_t count, uint32_t flip, uint8_t *target) {
    size_t i = 0;
    for (; i + 4 <= count; i += 4, source += 16, target += 4 * WORD_ROW) {
        const u32x4 a = load_four(source, flip), b = load_four(source + stride, flip);
        const u32x4 c = load_four(source + 2 * stride, flip), d = load_four(source + 3 * stride, flip);
        const u32x4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        const u32x4 more_ab = __builtin_shufflevector(a, b, 2, 6, 3, 7), more_cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        const u32x4 words[4] = {
            __builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
            __builtin_shufflevector(more_ab, more_cd, 0, 1, 4, 5), __builtin_shufflevector(more_ab, more_cd, 2, 3, 6, 7)};
        for (int w = 0; w < 4; w++) memcpy(target + w * WORD_ROW, &words[w], sizeof words[w]);
    }
    for (size_t c = 0; c < 4; c++) copy_words(source + c * stride, count - i, flip, target + 4 * c);
}

/// `count` words of every column that exists.
static inline void pack_run(const uint8_t *rows, size_t row_bytes, size_t columns, size_t count, uint32_t flip, uint8_t *target) {
    size_t c = 0;
    for (; c + 4 <= columns; c += 4) transpose_words(rows + c * row_bytes, row_bytes, count, flip, target + 4 * c);
    for (; c < columns; c++) copy_words(rows + c * row_bytes, count, flip, target + 4 * c);
}

static void pack_words(const uint8_t *rows, size_t row_bytes, size_t columns, size_t words, uint8_t *panel) {
    for (size_t first = 0; first < words; first += RUN)
        pack_run(rows + 4 * first, row_bytes, columns, words - first < RUN ? words - first : RUN, 0, panel + first * WORD_ROW);
}

static inline uint16_t half_at(const uint8_t *p) {
    uint16_t half;
    memcpy(&half, p, sizeof half);
    return half;
}

/// Gathers one f16 of every column that exists.
static inline void gather_halves(const uint8_t *rows, size_t row_bytes, size_t columns, uint8_t *target) {
    size_t c = 0;
    for (; c + 8 <= columns; c += 8) {
        u16x8 halves;
        for (int i = 0; i < 8; i++) halves[i] = half_at(rows + (c + (size_t)i) * row_bytes);
        memcpy(target + 2 * c, &halves, sizeof halves);
    }
    for (; c < columns; c++) memcpy(target + 2 * c, rows + c * row_bytes, 2);
}

static void pack_halves(const uint8_t *rows, size_t row_bytes, size_t columns, size_t inputs, uint8_t *panel) {
    for (size_t k = 0; k < inputs; k++) gather_halves(rows + 2 * k, row_bytes, columns, panel + k * HALF_ROW);
}

static void pack_bf16(const uint8_t *rows, size_t row_bytes, size_t columns, size_t inputs, uint8_t *panel) {
    pack_words(rows, row_bytes, columns, inputs / 2, panel);
    if (inputs % 2 == 0) return;
    uint8_t *last = panel + inputs / 2 * WORD_ROW;
    memset(last, 0, WORD_ROW);
    for (size_t c = 0; c < columns; c++) memcpy(last + 4 * c, rows + c * row_bytes + 2 * (inputs - 1), 2);
}

/// Bit 2n to bit n, bit 2n + 1 to bit 16 + n. Source: Warren, Hacker's Delight, "Shuffling Bits".
static inline uint32_t parted_bits(uint32_t x) {
    const uint32_t masks[4] = {0x22222222, 0x0c0c0c0c, 0x00f000f0, 0x0000ff00};
    for (int i = 0; i < 4; i++) {
        const uint32_t moved = (x ^ x >> (1 << i)) & masks[i];
        x ^= moved ^ moved << (1 << i);
    }
    return x;
}

/// Bit 4i + j to bit i of byte j, so that shifting brings the fifth bits of one quad into place.
static inline uint32_t transposed_bits(uint32_t bits) { return parted_bits(parted_bits(bits)); }

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
    for (size_t b = 0; b < inputs / block_elements(type); b++, rows += size, panel += size * PANEL) {
        pack_run(rows + words.at, row_bytes, columns, words.count, flip, panel);
        for (size_t c = 0; has_fifth_bits(type) && c < columns; c++) transpose_word(panel + 4 * c);
        gather_halves(rows + scale_at, row_bytes, columns, panel + scales_at(type));
        if (has_minima(type))
            gather_halves(rows + offsetof(block_q4_K, minimum), row_bytes, columns, panel + scales_at(type) + HALF_ROW);
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
