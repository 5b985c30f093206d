// Operands of products as they are stored, copied to where tiles of registers read them.
//
// A product of bf16 numbers has the bits of vdpbf16ps: its operands are rounded to bf16, the odd step of each pair
// comes first (an odd last step is paired with zero), and numbers below 2^−126 are zero before and after each fused
// multiply-add. So step k stands at k ^ 1 here, and f32 arithmetic gives these bits at its full rate; x86 flushes by a
// mode of the processor, others by hand.

#ifndef MARTLET_STORED_OPERANDS_H
#define MARTLET_STORED_OPERANDS_H

#include "bf16.h"
#include "blocks.h"
#include "packing.h"
#include "tile.h"

enum {
    STORED_STEPS = 128,                     // steps of a slice: 32 KiB of columns
    STORED_TILE = TILE_ROWS * STORED_STEPS  // floats of a tile's share of a slice
};

/// The form in which an operand is stored and read: f32 as it is, f32 to be rounded, or bf16.
typedef enum { EXACT, ROUNDED, HALVES } operand_form;

INLINE operand_form form_of(const martlet_stored_product *p, martlet_type type) {
    return type == MARTLET_BF16 ? HALVES : p->pairs ? ROUNDED : EXACT;
}
/// Returns whether b is decoded to f32 before it is copied: blocks, f16, and bf16 where it is not multiplied as such.
INLINE bool is_decoded(const martlet_stored_product *p) {
    return p->b_type != MARTLET_F32 && !(p->b_type == MARTLET_BF16 && p->pairs && !p->b_columns);
}
INLINE size_t form_bytes(operand_form form) { return form == HALVES ? 2 : 4; }
INLINE size_t slot(operand_form form, size_t step) { return form == EXACT ? step : step ^ 1; }

#if defined(LEVEL_AVX512) || defined(LEVEL_AVX2)
/// Numbers below 2^−126 are zero from here on; returns what was before.
INLINE uint32_t begin_flush(void) {
    const uint32_t before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | 0x8040);
    return before;
}
/// Numbers below 2^−126 are what they are from here on; returns what was before.
INLINE uint32_t pause_flush(void) {
    const uint32_t before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before & ~0x8040u);
    return before;
}
INLINE void end_flush(uint32_t before) { __builtin_ia32_ldmxcsr(before); }
INLINE f32x16 settled(bool pairs, f32x16 x) { return (void)pairs, x; }
#else
INLINE uint32_t begin_flush(void) { return 0; }
INLINE uint32_t pause_flush(void) { return 0; }
INLINE void end_flush(uint32_t before) { (void)before; }
INLINE f32x16 settled(bool pairs, f32x16 x) { return pairs ? flushed(x) : x; }
#endif

/// Sixteen numbers of an operand from element `at` on, at most `left` of them.
INLINE f32x16 operand(operand_form form, const uint8_t *from, size_t at, size_t left) {
    if (form == HALVES) return settled(true, load_some_bf16((const uint16_t *)from + at, left));
    const f32x16 v = load_some((const float *)from + at, left);
    return form == EXACT ? v : settled(true, (f32x16)(rounded_bf16(v) << 16));
}

INLINE f32x16 neighbours_swapped(f32x16 v) {
    return __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
}

/// Copies one tile of rows as they lie, [row][STORED_STEPS]; asks for the tile after the next.
INLINE void tile_of_rows(operand_form form, const uint8_t *from, size_t stride, size_t rows, size_t steps, float *tile) {
    for (size_t i = 0; i < rows; i++, from += stride, tile += STORED_STEPS) {
        fetch(from + 2 * TILE_ROWS * stride, STORED_STEPS * form_bytes(form));
        for (size_t k = 0; k < steps; k += LANES) {
            const f32x16 v = operand(form, from, k, steps - k);
            store(tile + k, form == EXACT ? v : neighbours_swapped(v));
        }
    }
}

/// `count` whole tiles of turned rows, [step][TILE_ROWS] each: rows of a step lie together, so a step goes to all tiles
/// in turn.
INLINE void tiles_of_steps(operand_form form, size_t count, size_t rows, const uint8_t *from, size_t stride, size_t steps, float *tiles) {
    for (size_t k = 0; k < steps; k++, from += stride)
        UNROLL for (size_t t = 0; t < count; t++)
            store_some(tiles + t * STORED_TILE + slot(form, k) * TILE_ROWS, operand(form, from, t * TILE_ROWS, rows), rows);
    if (form == EXACT || steps % 2 == 0) return;
    for (size_t t = 0; t < count; t++) store_some(tiles + t * STORED_TILE + (steps - 1) * TILE_ROWS, splat(0), rows);
}

INLINE void tiles_with(operand_form form, bool turned, const uint8_t *from, size_t stride, size_t rows, size_t steps, float *tiles) {
    enum { TOGETHER = 8 };
    const size_t across = TILE_ROWS * (turned ? form_bytes(form) : stride);
    if (!turned) {
        for (; rows >= TILE_ROWS && steps == STORED_STEPS; rows -= TILE_ROWS, from += across, tiles += STORED_TILE)
            tile_of_rows(form, from, stride, TILE_ROWS, STORED_STEPS, tiles);
        for (; rows > 0; from += across, tiles += STORED_TILE) {
            const size_t count = rows < TILE_ROWS ? rows : TILE_ROWS;
            tile_of_rows(form, from, stride, count, steps, tiles);
            rows -= count;
        }
        return;
    }
    for (; rows >= TOGETHER * TILE_ROWS; rows -= TOGETHER * TILE_ROWS, from += TOGETHER * across, tiles += TOGETHER * STORED_TILE)
        tiles_of_steps(form, TOGETHER, TILE_ROWS, from, stride, steps, tiles);
    for (; rows >= TILE_ROWS; rows -= TILE_ROWS, from += across, tiles += STORED_TILE)
        tiles_of_steps(form, 1, TILE_ROWS, from, stride, steps, tiles);
    if (rows) tiles_of_steps(form, 1, rows, from, stride, steps, tiles);
}

/// Steps first ..< first + steps of `rows` rows of a, tile by tile.
static void stored_tiles(const martlet_stored_product *p, size_t row, size_t rows, size_t first, size_t steps, float *tiles) {
    const operand_form form = form_of(p, p->a_type);
    const size_t stride = p->a_stride * form_bytes(form);
    const uint8_t *from = (const uint8_t *)p->a + (p->a_turned ? first * stride + row * form_bytes(form) : row * stride + first * form_bytes(form));
    switch (form) {
    case EXACT: return tiles_with(EXACT, p->a_turned, from, stride, rows, steps, tiles);
    case ROUNDED: return tiles_with(ROUNDED, p->a_turned, from, stride, rows, steps, tiles);
    case HALVES: return tiles_with(HALVES, p->a_turned, from, stride, rows, steps, tiles);
    }
}

INLINE void slice_of_steps(operand_form form, const uint8_t *from, size_t stride, size_t columns, size_t steps, float *slice) {
    for (size_t k = 0; k < steps; k++, from += stride)
        UNROLL for (size_t c = 0; c < PANEL; c += LANES)
            store(slice + slot(form, k) * PANEL + c, c < columns ? operand(form, from, c, columns - c) : splat(0));
    if (form != EXACT && steps % 2) memset(slice + (steps - 1) * PANEL, 0, PANEL * sizeof(float));
}

INLINE void slice_with(operand_form form, const uint8_t *from, size_t stride, size_t columns, size_t steps, float *slice) {
    if (columns >= PANEL) slice_of_steps(form, from, stride, PANEL, steps, slice);
    else slice_of_steps(form, from, stride, columns, steps, slice);
}

/// Rounds a slice that was packed exactly, and swaps the steps of each pair.
static void round_slice(size_t steps, float *slice) {
    for (size_t k = 0; k < steps; k += 2, slice += 2 * PANEL)
        UNROLL for (size_t c = 0; c < PANEL; c += LANES) {
            const f32x16 even = load(slice + c), odd = k + 1 < steps ? load(slice + PANEL + c) : splat(0);
            store(slice + c, settled(true, (f32x16)(rounded_bf16(odd) << 16)));
            store(slice + PANEL + c, settled(true, (f32x16)(rounded_bf16(even) << 16)));
        }
}

/// Elements at ..< at + count of rows row ..< row + rows of b as it lies, decoded to rows of `count` numbers; scales in
/// f16 may be so small that they must not be flushed on their way.
static void decoded_part(const martlet_stored_product *p, size_t row, size_t rows, size_t at, size_t count, float *part) {
    const size_t elements = block_elements(p->b_type), bytes = block_bytes(p->b_type), row_bytes = p->b_stride / elements * bytes;
    const uint8_t *from = (const uint8_t *)p->b + row * row_bytes;
    const uint32_t mode = pause_flush();
    for (size_t r = 0; r < rows; r++, from += row_bytes, part += count) {
        if (elements == 1) {
            martlet_decode(p->b_type, from + at * bytes, part, count);
            continue;
        }
        for (size_t done = 0; done < count;) {
            const size_t block = (at + done) / elements, first = (at + done) % elements;
            const size_t used = elements - first < count - done ? elements - first : count - done;
            float values[SUPERBLOCK];
            martlet_decode(p->b_type, from + block * bytes, values, elements);
            memcpy(part + done, values + first, used * sizeof(float));
            done += used;
        }
    }
    end_flush(mode);
}

/// Steps first ..< first + steps of `columns` columns of b: [step][PANEL]; missing columns are zeros.
static void stored_slice(const martlet_stored_product *p, size_t column, size_t columns, size_t first, size_t steps, float *slice) {
    const operand_form form = form_of(p, p->b_type);
    if (p->b_columns) {
        pack_columns((const float *)p->b + column * p->b_stride + first, p->b_stride, columns, steps, slice);
        if (form == ROUNDED) round_slice(steps, slice);
        return;
    }
    const size_t stride = p->b_stride * form_bytes(form);
    const uint8_t *from = (const uint8_t *)p->b + first * stride + column * form_bytes(form);
    switch (form) {
    case EXACT: return slice_with(EXACT, from, stride, columns, steps, slice);
    case ROUNDED: return slice_with(ROUNDED, from, stride, columns, steps, slice);
    case HALVES: return slice_with(HALVES, from, stride, columns, steps, slice);
    }
}

#endif
