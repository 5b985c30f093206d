// Operands as words of two bf16 numbers, for processors whose bf16 dot product is faster than their f32: the even step
// of a pair in the lower half. An odd last step is paired with zero.

#ifndef MARTLET_STORED_WORDS_H
#define MARTLET_STORED_WORDS_H

#include "stored_operands.h"

#if defined(LEVEL_AVX512)

INLINE f32x16 word_dot(f32x16 sums, f32x16 columns, f32x16 rows) {
    return (f32x16)_mm512_dpbf16_ps((__m512)sums, (__m512bh)columns, (__m512bh)rows);
}

/// Two steps of sixteen columns, of which `left` exist; the second step is zero without `both`.
INLINE f32x16 words_of_steps(operand_form form, const uint8_t *from, size_t stride, bool both, size_t at, size_t left) {
    const u32x16 even = (u32x16)operand(form, from, at, left);
    return (f32x16)(both ? even >> 16 | (u32x16)operand(form, from + stride, at, left) : even >> 16);
}

/// Sixteen words of a row from step `at` on.
INLINE f32x16 words_of_row(operand_form form, const uint8_t *from, size_t at, size_t left) {
    uint16_t halves[2 * LANES] __attribute__((aligned(64)));
    UNROLL for (size_t i = 0; i < 2 * LANES; i += LANES) {
        const f32x16 v = i < left ? operand(form, from, at + i, left - i) : splat(0);
        const u16x16 some = __builtin_convertvector((u32x16)v >> 16, u16x16);
        memcpy(halves + i, &some, sizeof some);
    }
    return (f32x16)load_words(halves);
}

INLINE void word_tiles_with(operand_form form, bool turned, const uint8_t *from, size_t stride, size_t rows, size_t steps, float *tiles) {
    for (size_t r = 0; r < rows; r += TILE_ROWS, tiles += STORED_TILE) {
        const size_t count = rows - r < TILE_ROWS ? rows - r : TILE_ROWS;
        for (size_t k = 0; turned && k < steps; k += 2)
            store_some(tiles + k / 2 * TILE_ROWS, words_of_steps(form, from + k * stride, stride, k + 1 < steps, r, count), count);
        for (size_t i = 0; !turned && i < count; i++)
            for (size_t k = 0; k < steps; k += 2 * LANES)
                store(tiles + i * STORED_STEPS + k / 2, words_of_row(form, from + (r + i) * stride, k, steps - k));
    }
}

static void word_tiles(const martlet_stored_product *p, size_t row, size_t rows, size_t first, size_t steps, float *tiles) {
    const operand_form form = form_of(p, p->a_type);
    const size_t stride = p->a_stride * form_bytes(form);
    const uint8_t *from = (const uint8_t *)p->a + (p->a_turned ? first * stride + row * form_bytes(form) : row * stride + first * form_bytes(form));
    if (form == HALVES) word_tiles_with(HALVES, p->a_turned, from, stride, rows, steps, tiles);
    else word_tiles_with(ROUNDED, p->a_turned, from, stride, rows, steps, tiles);
}

INLINE void word_slice_of_steps(operand_form form, const uint8_t *from, size_t stride, size_t columns, size_t steps, float *slice) {
    for (size_t k = 0; k < steps; k += 2)
        UNROLL for (size_t c = 0; c < PANEL; c += LANES)
            store(slice + k / 2 * PANEL + c, c < columns ? words_of_steps(form, from + k * stride, stride, k + 1 < steps, c, columns - c) : splat(0));
}

static void word_slice(const martlet_stored_product *p, size_t column, size_t columns, size_t first, size_t steps, float *slice) {
    const operand_form form = form_of(p, p->b_type);
    const size_t stride = p->b_stride * form_bytes(form);
    if (!p->b_columns) {
        const uint8_t *from = (const uint8_t *)p->b + first * stride + column * form_bytes(form);
        if (form == HALVES) word_slice_of_steps(HALVES, from, stride, columns, steps, slice);
        else word_slice_of_steps(ROUNDED, from, stride, columns, steps, slice);
        return;
    }
    float words[PANEL][STORED_STEPS / 2] __attribute__((aligned(64)));
    const uint8_t *from = (const uint8_t *)p->b + column * stride + first * form_bytes(form);
    for (size_t c = 0; c < columns; c++)
        for (size_t k = 0; k < steps; k += 2 * LANES) store(words[c] + k / 2, words_of_row(ROUNDED, from + c * stride, k, steps - k));
    if (columns < PANEL) memset(slice, 0, (steps + 1) / 2 * PANEL * sizeof(float));
    transpose_rectangle(words[0], STORED_STEPS / 2, columns, (steps + 1) / 2, slice, PANEL);
}

#else

INLINE f32x16 word_dot(f32x16 sums, f32x16 columns, f32x16 rows) { return (void)columns, (void)rows, sums; }

#endif

#endif
